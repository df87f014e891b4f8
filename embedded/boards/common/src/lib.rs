//! Code that the calibrator's firmware shares on all boards but the ESP32-C3.

#![no_std]

pub mod mapped;
pub mod stack;

#[cfg(target_arch = "arm")]
mod arm;
#[cfg(target_arch = "arm")]
pub use arm::Ticks;

#[cfg(target_arch = "riscv32")]
mod riscv;
#[cfg(target_arch = "riscv32")]
pub use riscv::Ticks;

/// Resets the board, as a driver that panics leaves nothing to go on with. The saved calibration
/// is still there afterwards.
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    reset()
}

#[cfg(target_arch = "arm")]
fn reset() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}

/// Jumps to the program's start, as RISC-V boards have no reset in common.
#[cfg(target_arch = "riscv32")]
fn reset() -> ! {
    unsafe extern "C" {
        fn _start() -> !;
    }
    // SAFETY: the same code runs after power-on, when memory holds anything.
    unsafe { _start() }
}
