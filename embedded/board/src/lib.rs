//! What firmware needs from an emulated board: a start, a console, an end.

#![no_std]

// Linked for their start-up code.
#[cfg(target_arch = "arm")]
use cortex_m as _;
#[cfg(target_arch = "arm")]
use cortex_m_rt as _;
#[cfg(target_arch = "riscv32")]
use riscv as _;
#[cfg(target_arch = "riscv32")]
use riscv_rt as _;

pub use semihosting::process::exit;
pub use semihosting::{print, println};

/// Calls a `fn() -> i32` after reset and ends the emulation with what it
/// returns: 0 is success.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        // The start-up code of both architectures jumps here.
        #[unsafe(export_name = "main")]
        extern "C" fn start() -> ! {
            let code: i32 = $main();
            $crate::exit(code)
        }
    };
}
