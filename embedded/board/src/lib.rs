//! The start, the console and the end of firmware. The console is semihosting, as
//! emulators have it, or with the feature `rtt` that of a debug probe.

#![no_std]

pub mod stack;

// Linked for their start-up code.
#[cfg(target_arch = "arm")]
use cortex_m as _;
#[cfg(target_arch = "arm")]
use cortex_m_rt as _;
#[cfg(target_arch = "riscv32")]
use riscv as _;
#[cfg(target_arch = "riscv32")]
use riscv_rt as _;

#[cfg(feature = "rtt")]
mod rtt;
#[cfg(feature = "rtt")]
pub use rtt::{exit, print, start};

#[cfg(not(feature = "rtt"))]
pub use semihosting::process::exit;

/// Prepares the console: semihosting needs nothing.
#[cfg(not(feature = "rtt"))]
pub fn start() {}

/// Prints on the console.
#[cfg(not(feature = "rtt"))]
pub fn print(text: core::fmt::Arguments<'_>) {
    semihosting::print!("{text}");
}

/// Prints on the console, as `std`'s does.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::print(::core::format_args!($($arg)*)) };
}

/// Prints a line on the console, as `std`'s does.
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => { $crate::print!("{}\n", ::core::format_args!($($arg)*)) };
}

/// Calls a `fn() -> i32` after reset and ends the emulation with what it
/// returns: 0 is success.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        // The start-up code of both architectures jumps here.
        #[unsafe(export_name = "main")]
        extern "C" fn start() -> ! {
            $crate::start();
            let code: i32 = $main();
            $crate::exit(code)
        }
    };
}
