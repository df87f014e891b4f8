//! The hardware that the calibrator needs of a board, and the memory that it works in.

use core::ops::Range;

use baregrad::calibrate::{Differences, MAX_DEGREE, ROWS};
use baregrad::op::Node;
use embedded_storage::nor_flash::NorFlash;

use crate::kept::Kept;
use crate::line::MAX_LINE;
use crate::rule::{ALL_RULES, ALL_SCHEDULES, RateSchedule, Rule, Texts};
use crate::training::{Borrow, Errors, Scratch};

/// A framing, parity or overrun error of the serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

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
    /// that has none, `&[]`, needs no room in its [`Memory`] for options.
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

/// Nodes of the largest recording, a network of one hidden layer and its loss: two
/// inputs, four parameters, two layers, loss.
pub(crate) const NODES: usize = 9;
/// The units of a hidden layer that [`FLOATS`] are enough for.
const HIDDEN: usize = 8;
/// Floats that the widest network takes. Polynomials of all degrees take fewer.
pub const FLOATS: usize = floats(HIDDEN);

/// Returns the floats that a network with `hidden` units in its hidden layer takes: parameters
/// and their gradients, the hidden values and their gradients for each sample that passes the
/// tape at a time, the output and its gradient, the loss.
pub const fn floats(hidden: usize) -> usize {
    2 * (3 * hidden + 1) + ROWS * (2 * hidden + 2) + 2
}

/// Bytes for the options of an optimizer and of a schedule, each no longer than a line.
const OPTION_BYTES: usize = 2 * MAX_LINE;

/// The memory that the calibrator works in, of the size that a board can spare.
///
/// - `SAMPLES` is the most samples.
/// - `FLOATS` is the size of the arena, see [`floats`]. The arena is on the stack, and only as
///   long as there is a tape.
/// - `OPTIONS` are the bytes for options, one half for those of the optimizer, the other for
///   those of the schedule. It is 0 for a board without schedules, whose optimizers have none.
#[derive(Debug)]
pub struct Memory<const SAMPLES: usize, const FLOATS: usize, const OPTIONS: usize = OPTION_BYTES> {
    /// Options as they were typed.
    options: [u8; OPTIONS],
    /// Readings and references, as differences from the first; and both, scaled for a fit.
    samples: [[f32; SAMPLES]; 4],
    records: Records,
}

/// Room for records of calibrations.
#[derive(Debug)]
pub(crate) struct Records {
    /// The calibration in use; no bytes if there is none.
    pub(crate) current: Kept,
    /// The calibration that `put` receives, line by line.
    pub(crate) incoming: Kept,
}

/// Readings and their references.
pub(crate) struct Samples<'m> {
    pub(crate) readings: Differences<'m>,
    pub(crate) references: Differences<'m>,
}

impl<const SAMPLES: usize, const FLOATS: usize, const OPTIONS: usize>
    Memory<SAMPLES, FLOATS, OPTIONS>
{
    /// Creates a memory without samples and calibrations.
    pub const fn new() -> Self {
        Memory {
            options: [0; OPTIONS],
            samples: [[0.0; SAMPLES]; 4],
            records: Records {
                current: Kept::EMPTY,
                incoming: Kept::EMPTY,
            },
        }
    }

    /// Splits the memory into its parts, whose types are not generic over the sizes.
    pub(crate) fn split(&mut self) -> (Samples<'_>, Scratch<'_>, &mut Records) {
        let [readings, references, x, y] = &mut self.samples;
        let samples = Samples {
            readings: Differences::new(readings),
            references: Differences::new(references),
        };
        let scratch = Scratch {
            x,
            y,
            floats: FLOATS,
            lend: lend::<FLOATS>,
            errors: Errors::NONE,
            texts: Texts(&mut self.options),
        };
        (samples, scratch, &mut self.records)
    }
}

/// Calls `borrow` with an arena that is on the stack for the time of the call. If it were always
/// there, least squares, which needs none but much stack, would exceed 8 KiB of RAM by 1,300
/// bytes.
#[inline(never)]
fn lend<const FLOATS: usize>(borrow: Borrow<'_>) {
    let mut floats = [0.0; FLOATS];
    let mut nodes = [const { Node::EMPTY }; NODES];
    borrow(&mut floats, &mut nodes);
}

impl<const SAMPLES: usize, const FLOATS: usize, const OPTIONS: usize> Default
    for Memory<SAMPLES, FLOATS, OPTIONS>
{
    fn default() -> Self {
        Self::new()
    }
}
