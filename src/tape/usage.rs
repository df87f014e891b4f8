//! The use of an arena, now and at the peak.

use core::fmt;

use crate::op::Node;

/// How much of an arena is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Usage {
    /// Floats in use: parameters, their gradients, values and, once `backward` has
    /// run, the shared buffers of intermediate gradients.
    pub floats: usize,
    /// The most floats that were ever in use at once.
    pub floats_peak: usize,
    /// Floats in the arena.
    pub floats_capacity: usize,
    /// Nodes in use.
    pub nodes: usize,
    /// The most nodes that were ever in use at once.
    pub nodes_peak: usize,
    /// Nodes in the arena.
    pub nodes_capacity: usize,
    /// Inputs, whose data are borrowed and take no floats.
    pub inputs: usize,
}

impl Usage {
    /// The bytes of the smallest arena that would have been large enough so far.
    pub const fn peak_bytes(&self) -> usize {
        self.floats_peak * size_of::<f32>() + self.nodes_peak * size_of::<Node>()
    }

    /// The bytes of the arena.
    pub const fn capacity_bytes(&self) -> usize {
        self.floats_capacity * size_of::<f32>() + self.nodes_capacity * size_of::<Node>()
    }
}

/// Prints the peak, for example on a 32-bit target
/// `72 of 128 floats, 9 of 16 nodes: 1152 of 2048 bytes`.
impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} floats, {} of {} nodes: {} of {} bytes",
            self.floats_peak,
            self.floats_capacity,
            self.nodes_peak,
            self.nodes_capacity,
            self.peak_bytes(),
            self.capacity_bytes()
        )
    }
}
