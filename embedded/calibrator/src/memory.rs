//! The memory that the calibrator works in, of the size that a board can spare.

use baregrad::calibrate::{Differences, MAX_DEGREE, ROWS};
use baregrad::op::Node;

use crate::kept::Kept;
use crate::line::MAX_LINE;
use crate::rule::Texts;

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

/// The memory that training needs besides the samples. `x` and `y` have no meaning between two
/// fits, except for the tracker's state in `x`.
pub(crate) struct Scratch<'m> {
    /// Scaled readings, one for each sample.
    pub(crate) x: &'m mut [f32],
    /// Scaled references.
    pub(crate) y: &'m mut [f32],
    /// The number of floats in the arena.
    pub(crate) floats: usize,
    /// Calls a closure with the arena.
    pub(crate) lend: fn(Borrow<'_>),
    /// The standard errors of the last fit by least squares. If they were returned, every caller
    /// on the way would have a copy on its stack.
    pub(crate) errors: Errors,
    /// Options of the optimizer and of the schedule.
    pub(crate) texts: Texts<'m>,
}

/// A closure that borrows an arena. The number of nodes is a constant, so that the code for
/// planning large tapes is not linked.
pub(crate) type Borrow<'b> = &'b mut dyn FnMut(&mut [f32], &mut [Node; NODES]);

impl Scratch<'_> {
    /// Calls `with` with an arena, and returns its result. `none` only initialises the result.
    pub(crate) fn with_arena<T>(
        &self,
        none: T,
        mut with: impl FnMut(&mut [f32], &mut [Node; NODES]) -> T,
    ) -> T {
        let mut found = none;
        (self.lend)(&mut |floats, nodes| found = with(floats, nodes));
        found
    }
}

/// The standard errors of a fit by least squares.
#[derive(Debug)]
pub(crate) struct Errors {
    /// The standard errors of the coefficients of the unscaled reading if the calibration has
    /// them, otherwise of those of the scaled reading. `None` if the samples do not determine
    /// them.
    pub(crate) coefficients: Option<[f32; MAX_DEGREE + 1]>,
    /// The standard deviation of the residuals, in the references' unit.
    pub(crate) deviation: f32,
    /// The degrees of freedom: the number of samples less that of parameters.
    pub(crate) freedom: usize,
}

impl Errors {
    pub(crate) const NONE: Self = Errors {
        coefficients: None,
        deviation: f32::NAN,
        freedom: 0,
    };
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
