//! Ticks on Cortex-M.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// The number of times that SysTick, which is 24 bits wide, wrapped around.
static ROUNDS: AtomicU32 = AtomicU32::new(0);
const ROUND: u32 = 0x0100_0000;

#[cortex_m_rt::exception]
fn SysTick() {
    // A Cortex-M0 has no fetch_add. No other code writes, so a load and a store lose nothing.
    ROUNDS.store(
        ROUNDS.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// A counter of the core's cycles, by its SysTick.
pub struct Ticks(SYST);

impl Ticks {
    /// Starts counting.
    pub fn new(mut syst: SYST) -> Self {
        syst.set_clock_source(SystClkSource::Core);
        syst.set_reload(ROUND - 1);
        syst.clear_current();
        syst.enable_interrupt();
        syst.enable_counter();
        Ticks(syst)
    }

    /// Returns the ticks so far, and their unit.
    pub fn now(&self) -> (u64, &'static str) {
        loop {
            let rounds = ROUNDS.load(Ordering::Relaxed);
            // SysTick counts down.
            let ticks = ROUND - 1 - SYST::get_current();
            if rounds == ROUNDS.load(Ordering::Relaxed) {
                return (
                    u64::from(rounds) * u64::from(ROUND) + u64::from(ticks),
                    "ticks",
                );
            }
        }
    }
}
