//! What the calibrator's firmware shares on all boards.

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

/// No reset is common to all of them: jump to where they start.
#[cfg(target_arch = "riscv32")]
fn reset() -> ! {
    unsafe extern "C" {
        fn _start() -> !;
    }
    // SAFETY: what runs after power-on, which expects nothing of memory.
    unsafe { _start() }
}
