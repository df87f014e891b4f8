//! Ticks on RISC-V.

use riscv::register::minstret;

/// A counter of retired instructions, by the core's `minstret`.
pub struct Ticks;

impl Ticks {
    /// Starts counting.
    pub fn new() -> Self {
        Ticks
    }

    /// Returns the ticks so far, and their unit.
    pub fn now(&self) -> (u64, &'static str) {
        (minstret::read64(), "instructions")
    }
}

impl Default for Ticks {
    fn default() -> Self {
        Self::new()
    }
}
