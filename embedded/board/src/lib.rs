//! The start, the console and the end of firmware. The console is the semihosting of
//! emulators, or with the feature `rtt` the RTT of debug probes.

#![no_std]

pub mod stack;

// These are linked for their start-up code.
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

/// Prepares the console, for which semihosting needs nothing.
#[cfg(not(feature = "rtt"))]
pub fn start() {}

/// Prints on the console.
#[cfg(not(feature = "rtt"))]
pub fn print(text: core::fmt::Arguments<'_>) {
    semihosting::print!("{text}");
}

/// Prints on the console, like `std`'s macro of this name.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::print(::core::format_args!($($arg)*)) };
}

/// Prints a line on the console, like `std`'s macro of this name.
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => { $crate::print!("{}\n", ::core::format_args!($($arg)*)) };
}

/// Calls a `fn() -> i32` after reset and ends the emulation with the exit code that the function
/// returns, 0 for success.
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
