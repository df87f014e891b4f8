//! The places of the gradients of intermediate results, as `planning` found them.

use core::cell::Cell;

use super::places::Live;
use crate::op::{NodePtr, Stamp};

/// Where the gradients of intermediate results stand, for one loss.
///
/// Made with the nodes at hand, in which it keeps the place of each gradient and the order
/// of the operations.
pub(super) struct Plan {
    /// The loss it was made for; [`Stamp::NONE`] if there is no plan.
    pub(super) loss: Stamp,
    /// The first operation to run.
    pub(super) first: Option<NodePtr>,
    /// The place of the loss's own gradient among the floats, and its length.
    pub(super) seed: usize,
    pub(super) seed_len: usize,
    /// The floats taken by gradients of intermediate results.
    pub(super) floats: usize,
    /// The parameters that no gradient flows to.
    pub(super) unreached: usize,
    /// The account of live buffers, while planning.
    pub(super) live: Live,
}

impl Plan {
    pub(super) fn new() -> Self {
        Plan {
            loss: Stamp::NONE,
            first: None,
            seed: usize::MAX, // none
            seed_len: 0,
            floats: 0,
            unreached: 0,
            live: Cell::new(None),
        }
    }

    /// Forgets the plan: the next backward pass makes another.
    pub(super) fn forget(&mut self) {
        self.loss = Stamp::NONE;
        self.floats = 0;
    }
}
