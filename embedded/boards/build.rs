//! Build script of all boards but the ESP32-C3: lets the linker script of the start-up code find
//! the board's `memory.x`.

use std::env;

fn main() {
    let board = env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    println!("cargo:rustc-link-search={board}");
    println!("cargo:rerun-if-changed={board}/memory.x");
    let target = env::var("TARGET").expect("set by cargo");
    if target.starts_with("riscv") {
        println!("cargo:rustc-link-arg-bins=-Tmemory.x");
    }
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    // Does not pad sections to the page size of a desktop.
    println!("cargo:rustc-link-arg-bins=--nmagic");
}
