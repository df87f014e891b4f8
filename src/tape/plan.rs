//! The result of `planning`, for one loss.

use core::cell::Cell;

use super::places::Live;
use crate::op::{NodePtr, Stamp};

/// Where a backward pass begins, and how many floats its intermediate gradients take.
///
/// The rest of a plan, the place of each gradient and the order of the operations, is kept in
/// the nodes.
pub(super) struct Plan {
    /// The loss that the plan was made for; [`Stamp::NONE`] if there is no plan.
    pub(super) loss: Stamp,
    /// The first operation to run.
    pub(super) first: Option<NodePtr>,
    /// The place of the loss's own gradient among the floats, and its length.
    pub(super) seed: usize,
    pub(super) seed_len: usize,
    /// The floats taken by gradients of intermediate results.
    pub(super) floats: usize,
    /// The number of parameters that no gradient flows to.
    pub(super) unreached: usize,
    /// Where the account of live buffers begins, while planning.
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
