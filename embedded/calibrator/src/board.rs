//! What the calibrator needs of a board, and the memory it works in.

use core::ops::Range;

use baregrad::op::Node;
use embedded_storage::nor_flash::NorFlash;

use crate::calibration::MAX_DEGREE;
use crate::fit::{NODES, Sample, Scratch};

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

/// What a board has. Calls wait until they are done.
pub trait Board {
    /// What `status` calls it.
    const NAME: &'static str;

    /// Where calibrations are kept: whole pages of the flash, at least three, of which
    /// the first three are used.
    const PAGES: Range<u32>;
    /// The flash's driver.
    type Flash: NorFlash;
    /// The flash.
    fn flash(&mut self) -> &mut Self::Flash;

    /// The next byte from the serial line.
    ///
    /// # Errors
    /// A byte that did not arrive whole.
    fn receive(&mut self) -> Result<u8, Damaged>;
    /// Bytes for the serial line.
    fn send(&mut self, bytes: &[u8]);

    /// A reading of the board's own sensor, in whatever unit it has; none if
    /// there is no sensor, or it does not answer.
    fn sense(&mut self) -> Option<f32>;
    /// What counts up while it works, and how to call it (`cycles`).
    fn ticks(&mut self) -> (u64, &'static str);
    /// How much RAM was used so far, where it can be told.
    fn ram(&self) -> Option<Ram>;
}

/// Everything the calibrator works in, of the size a board can spare: room for
/// so many samples, and for a tape of so many floats
/// ([`fit::floats`](crate::fit::floats)).
#[derive(Debug)]
pub struct Memory<const SAMPLES: usize, const FLOATS: usize> {
    samples: [Sample; SAMPLES],
    inputs: [[f32; MAX_DEGREE]; SAMPLES],
    targets: [f32; SAMPLES],
    floats: [f32; FLOATS],
    nodes: [Node; NODES],
}

impl<const SAMPLES: usize, const FLOATS: usize> Memory<SAMPLES, FLOATS> {
    /// No samples.
    pub const fn new() -> Self {
        Memory {
            samples: [Sample::EMPTY; SAMPLES],
            inputs: [[0.0; MAX_DEGREE]; SAMPLES],
            targets: [0.0; SAMPLES],
            floats: [0.0; FLOATS],
            nodes: [const { Node::EMPTY }; NODES],
        }
    }

    /// Room for samples, and for training. Not generic over sizes any more.
    pub(crate) fn split(&mut self) -> (&mut [Sample], Scratch<'_>) {
        let scratch = Scratch {
            inputs: self.inputs.as_flattened_mut(),
            targets: &mut self.targets,
            floats: &mut self.floats,
            nodes: &mut self.nodes,
        };
        (&mut self.samples, scratch)
    }
}

impl<const SAMPLES: usize, const FLOATS: usize> Default for Memory<SAMPLES, FLOATS> {
    fn default() -> Self {
        Self::new()
    }
}
