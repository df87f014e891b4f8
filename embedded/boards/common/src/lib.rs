//! Shared by the calibrator's firmware on all boards.

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

/// A driver that panics leaves nothing to go on with. Start again: what was
/// saved is still there.
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    reset()
}

#[cfg(target_arch = "arm")]
fn reset() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}

/// RISC-V boards have no reset in common: jumps to where programs start.
#[cfg(target_arch = "riscv32")]
fn reset() -> ! {
    unsafe extern "C" {
        fn _start() -> !;
    }
    // SAFETY: the same code runs after power-on, and expects nothing of memory.
    unsafe { _start() }
}
