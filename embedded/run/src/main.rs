//! Lists the folders of the boards for `cargo run` in `embedded/`, which does not know what board
//! is meant.

use std::process::ExitCode;

/// Folders in `boards/`, each with its target and with what its `cargo run` does.
const BOARDS: [[&str; 3]; 8] = [
    ["microbit", "thumbv6m-none-eabi", "flashes a micro:bit v1"],
    [
        "microbit-v2",
        "thumbv7em-none-eabihf",
        "flashes a micro:bit v2",
    ],
    ["pico", "thumbv6m-none-eabi", "flashes a Raspberry Pi Pico"],
    [
        "netduinoplus2",
        "thumbv7em-none-eabihf",
        "flashes a Netduino Plus 2",
    ],
    [
        "stm32vldiscovery",
        "thumbv7m-none-eabi",
        "flashes an STM32VLDISCOVERY",
    ],
    [
        "esp32c3",
        "riscv32imc-unknown-none-elf",
        "flashes an ESP32-C3",
    ],
    ["mps2", "thumbv7em-none-eabihf", "emulates an MPS2"],
    ["virt", "riscv32imac-unknown-none-elf", "emulates a RISC-V"],
];

fn main() -> ExitCode {
    eprintln!("expected cargo run in the folder of a board:");
    for [board, target, does] in BOARDS {
        eprintln!("  (cd boards/{board} && cargo run --release)  # {does}, {target}");
    }
    eprintln!("what each needs: README.md");
    ExitCode::FAILURE
}
