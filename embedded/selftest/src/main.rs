//! Does the work of `tests/bits.rs` on a board, group by group, and compares
//! the digests with the committed ones. A group that needs more stack than the board has free is
//! left out and named. A group fails, too, if it takes more stack than it declares.
//!
//! `qemu.sh` runs it on emulated boards. On a real one, through a debug probe
//! (here with probe-rs, on a micro:bit v2):
//!
//! ```text
//! BOARD=nrf52833 cargo build --release -p selftest --target thumbv7em-none-eabihf \
//!     --no-default-features --features rtt,all
//! probe-rs run --chip nRF52833_xxAA target/thumbv7em-none-eabihf/release/selftest
//! ```
//!
//! For another chip, add its memory layout to `memory/` and name the file in `BOARD`.

#![no_std]
#![no_main]
#![allow(unreachable_pub)] // The workload is a module of several crates.

use board::{println, stack};
use jobs::thermometer;

#[path = "../../../tests/bits/workload/mod.rs"]
mod workload;

static GROUPS: &[workload::Group] = &[
    #[cfg(feature = "kernels")]
    workload::KERNELS,
    #[cfg(feature = "math")]
    workload::MATH,
    #[cfg(feature = "operations")]
    workload::OPERATIONS,
    #[cfg(feature = "models")]
    workload::MODELS,
    #[cfg(feature = "model-nodes")]
    workload::MODEL_NODES,
    #[cfg(feature = "least-squares")]
    workload::LEAST_SQUARES,
    #[cfg(feature = "optimizers")]
    workload::OPTIMIZERS,
    #[cfg(feature = "more-optimizers")]
    workload::MORE_OPTIMIZERS,
    #[cfg(feature = "searches")]
    workload::SEARCHES,
    #[cfg(feature = "schedules")]
    workload::SCHEDULES,
    #[cfg(feature = "layers")]
    workload::LAYERS,
    #[cfg(feature = "thermometer")]
    workload::THERMOMETER,
    #[cfg(feature = "calibrations")]
    workload::CALIBRATIONS,
    #[cfg(feature = "sine-parts")]
    workload::SINE_IN_PARTS,
    #[cfg(feature = "sine")]
    workload::SINE,
    #[cfg(feature = "programs")]
    workload::PROGRAMS,
    #[cfg(feature = "resume")]
    workload::RESUME,
    #[cfg(feature = "every-optimizer")]
    workload::EVERY_OPTIMIZER,
    #[cfg(feature = "nist-small")]
    workload::NIST_SMALL,
    #[cfg(feature = "nist")]
    workload::NIST,
    #[cfg(feature = "statistics")]
    workload::STATISTICS,
    #[cfg(feature = "shapes-and-layers")]
    workload::SHAPES_AND_LAYERS,
    #[cfg(feature = "robust")]
    workload::ROBUST,
];

board::entry!(run);

fn run() -> i32 {
    let mut failed = 0;
    for group in GROUPS {
        let (name, free) = (group.name, stack::free());
        if free < group.stack {
            println!(
                "{name:15} left out: {} bytes of stack, {free} are free",
                group.stack
            );
            continue;
        }
        stack::paint();
        let digest = group.digest();
        let used = stack::used();
        match digest {
            Ok(digest) if digest.0 == group.digest && used <= group.stack => {
                println!("{name:15} {digest}  {used} bytes of stack");
            }
            Ok(digest) => {
                let expected = workload::Digest(group.digest);
                println!(
                    "{name:15} {digest}  {used} bytes of stack: expected {expected}, at most {}",
                    group.stack
                );
                failed = 1;
            }
            Err(error) => {
                println!("{name:15} {error}");
                failed = 1;
            }
        }
    }
    println!("{}", if failed == 0 { "same bits" } else { "FAILED" });
    failed
}
