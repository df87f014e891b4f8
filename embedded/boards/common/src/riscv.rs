//! Ticks on RISC-V.

use riscv::register::minstret;

/// Instructions, counted by the core.
pub struct Ticks;

impl Ticks {
    /// Starts counting.
    pub fn new() -> Self {
        Ticks
    }

    /// How many so far, and what they are.
    pub fn now(&self) -> (u64, &'static str) {
        (minstret::read64(), "instructions")
    }
}

impl Default for Ticks {
    fn default() -> Self {
        Self::new()
    }
}
