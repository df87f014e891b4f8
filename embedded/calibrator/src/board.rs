//! The hardware that the calibrator needs of a board.

use core::ops::Range;

use baregrad::calibrate::MAX_DEGREE;
use embedded_storage::nor_flash::NorFlash;

use crate::line::Damaged;
use crate::rule::{ALL_RULES, ALL_SCHEDULES, RateSchedule, Rule};

/// Use of the RAM, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ram {
    /// Statics, and the deepest stack so far.
    pub used: usize,
    /// All RAM of the board.
    pub total: usize,
}

/// The hardware of a board. All calls but [`receive`](Self::receive) block until they are done.
pub trait Board {
    /// The name of the board in `status`.
    const NAME: &'static str;

    /// The range of the flash for calibrations: at least three whole pages, of which the first
    /// three are used.
    const PAGES: Range<u32>;
    /// The flash's driver.
    type Flash: NorFlash;
    /// Returns the flash.
    fn flash(&mut self) -> &mut Self::Flash;

    /// The most parameters of a curve that is fitted by least squares, by default enough for a
    /// polynomial of the highest degree. The solver's stack grows with the square of this number.
    /// For boards of little RAM 4 are enough for a cubic and all functions; they fit larger
    /// polynomials by gradient descent.
    const SOLVED: usize = MAX_DEGREE + 1;

    /// The optimizers that the firmware holds, all by default. The first one is in use after a
    /// start. All of them, with the schedules, take 56 thousand bytes of flash on a Cortex-M0, and
    /// L-BFGS takes 1.3 thousand bytes of stack. [`FEW_RULES`](crate::FEW_RULES), two of them, are
    /// for boards without that room.
    const RULES: &'static [Rule] = ALL_RULES;

    /// The schedules of the learning rate that the firmware holds, all by default. A board
    /// that has none, `&[]`, needs no room in its [`Memory`](crate::Memory) for options.
    const SCHEDULES: &'static [RateSchedule] = ALL_SCHEDULES;

    /// Returns the next byte from the serial line, if one has come, or [`Damaged`] if a byte
    /// arrived with an error or bytes were lost.
    fn receive(&mut self) -> Option<Result<u8, Damaged>>;
    /// Sends bytes over the serial line.
    fn send(&mut self, bytes: &[u8]);

    /// Feeds the watchdog, if there is one. The calibrator calls it all the time while it waits
    /// for a byte, and before and after every epoch of a fit. The longest time between two calls
    /// is that of work on flash, which erases up to three pages.
    fn feed(&mut self) {}

    /// Reads the board's own sensor, in any unit. Returns `None` if there is no sensor, or it does
    /// not answer.
    fn sense(&mut self) -> Option<f32>;
    /// Returns a counter that goes up while the board works, and its unit (`cycles`).
    fn ticks(&mut self) -> (u64, &'static str);
    /// Returns the RAM that was used so far, if the board can measure it.
    fn ram(&self) -> Option<Ram>;
}
