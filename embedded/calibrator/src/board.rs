//! The hardware that the calibrator needs of a board, and the memory it works in.

use core::ops::Range;

use baregrad::calibrate::{Differences, MAX_DEGREE, ROWS};
use baregrad::op::Node;
use embedded_storage::nor_flash::NorFlash;

use crate::kept::Kept;
use crate::line::MAX_LINE;
use crate::rule::{ALL_RULES, ALL_SCHEDULES, RateSchedule, Rule, Texts};
use crate::training::{Borrow, Errors, Scratch};

/// A byte that did not arrive whole: a framing, parity or overrun error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// Bytes of RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ram {
    /// Statics, and the deepest that the stack has been.
    pub used: usize,
    /// All there is.
    pub total: usize,
}

/// The hardware of a board. Calls wait until they are done, but for [`receive`](Self::receive).
pub trait Board {
    /// The name of the board in `status`.
    const NAME: &'static str;

    /// Where calibrations are kept: whole pages of the flash, at least three, of which
    /// the first three are used.
    const PAGES: Range<u32>;
    /// The flash's driver.
    type Flash: NorFlash;
    /// The flash.
    fn flash(&mut self) -> &mut Self::Flash;

    /// The most parameters of a curve that is fitted by least squares: as many as a polynomial
    /// of the highest degree has. The solver's stack grows with their square; for boards of
    /// little RAM 4 are enough for a cubic and all functions. Larger polynomials are fitted by
    /// gradient descent then.
    const SOLVED: usize = MAX_DEGREE + 1;

    /// The optimizers that the firmware holds, all by default: of these the first is the one
    /// that gradient descent begins with. All of them are 56 thousand bytes of flash
    /// on a Cortex-M0, with the schedules, and L-BFGS takes 1.3 thousand bytes of stack; a
    /// board that has no room takes [`FEW_RULES`](crate::FEW_RULES), 2 of them.
    const RULES: &'static [Rule] = ALL_RULES;

    /// The schedules of the learning rate that the firmware holds, all by default. A board
    /// that takes none, `&[]`, needs no room in its [`Memory`] for options.
    const SCHEDULES: &'static [RateSchedule] = ALL_SCHEDULES;

    /// The next byte from the serial line, if one has come. An error is a byte that did
    /// not arrive whole, or others that were lost before it.
    fn receive(&mut self) -> Option<Result<u8, Damaged>>;
    /// Bytes for the serial line.
    fn send(&mut self, bytes: &[u8]);

    /// Feeds the watchdog, if there is one: called all the time while nothing comes in, and
    /// before and after every epoch of a fit. Only work on flash takes longer, as long as
    /// erasing three pages does.
    fn feed(&mut self) {}

    /// A reading of the board's own sensor, in whatever unit it has; none if
    /// there is no sensor, or it does not answer.
    fn sense(&mut self) -> Option<f32>;
    /// A counter that goes up while the board works, and its unit (`cycles`).
    fn ticks(&mut self) -> (u64, &'static str);
    /// How much RAM was used so far, where it can be told.
    fn ram(&self) -> Option<Ram>;
}

/// Nodes of the largest recording, a network of one hidden layer and its loss: two
/// inputs, four parameters, two layers, loss.
pub(crate) const NODES: usize = 9;
/// The units of a hidden layer that [`FLOATS`] are enough for.
const HIDDEN: usize = 8;
/// Floats that the widest network takes. Polynomials of all degrees take fewer.
pub const FLOATS: usize = floats(HIDDEN);

/// Floats that a network with so many units in a hidden layer takes: parameters and their
/// gradients, the hidden values and their gradients for each sample that passes the tape at
/// a time, the output and its gradient, the loss.
pub const fn floats(hidden: usize) -> usize {
    2 * (3 * hidden + 1) + ROWS * (2 * hidden + 2) + 2
}

/// Options of an optimizer and of a schedule, each no longer than a line.
const OPTION_BYTES: usize = 2 * MAX_LINE;

/// Everything the calibrator works in, of the size a board can spare: room for
/// so many samples, and on the stack, as long as there is a tape, for one of so many [`floats`];
/// and for so many bytes of options of optimizers and schedules, half of them each. A board
/// whose optimizers have none and that has no schedules sets these to 0.
#[derive(Debug)]
pub struct Memory<const SAMPLES: usize, const FLOATS: usize, const OPTIONS: usize = OPTION_BYTES> {
    /// Options as they were typed.
    options: [u8; OPTIONS],
    /// Readings and references, as differences from the first; and both, scaled.
    samples: [[f32; SAMPLES]; 4],
    records: Records,
}

/// Room for records of calibrations.
#[derive(Debug)]
pub(crate) struct Records {
    /// The one in use; no bytes if there is none.
    pub(crate) current: Kept,
    /// The one that comes in, line by line.
    pub(crate) incoming: Kept,
}

/// Readings, and next to them what they should have been.
pub(crate) struct Samples<'m> {
    pub(crate) readings: Differences<'m>,
    pub(crate) references: Differences<'m>,
}

impl<const SAMPLES: usize, const FLOATS: usize, const OPTIONS: usize>
    Memory<SAMPLES, FLOATS, OPTIONS>
{
    /// No samples.
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

    /// Room for samples, and for training. Not generic over sizes any more.
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

/// Lends an arena, which is on the stack meanwhile: least squares, which needs none, has its
/// memory there, and both together would be 1,300 bytes too many for 8 KiB of RAM.
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
