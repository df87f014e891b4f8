//! The rate of the previous epoch times the value of a function.

use super::per_group::Factors;
use super::{Now, OptimizerError, Rates, Schedule, Show};

/// `lr ← lr · factor(epoch)` from epoch 1 on, as `torch.optim.lr_scheduler.MultiplicativeLR`.
/// After another schedule in a [`SequentialLr`](super::SequentialLr), it continues from the
/// last rate of that schedule, and multiplies in its epoch 0, too, as in PyTorch 2.15.
#[derive(Clone, Copy, Debug)]
pub struct MultiplicativeLr<F, const G: usize = 1> {
    factors: Factors<F, G>,
}

impl<F: FnMut(u32) -> f64> MultiplicativeLr<F> {
    /// Takes the factor of each epoch, for all groups.
    #[must_use]
    pub const fn new(factor: F) -> Self {
        Self {
            factors: Factors::all(factor),
        }
    }
}

impl<F: FnMut(u32) -> f64, const G: usize> MultiplicativeLr<F, G> {
    /// Takes a function for each of `G` parameter [groups](crate::optim::ParamGroups), in
    /// order. Another number of groups is an error: see
    /// [`Scheduler::check`](super::Scheduler::check).
    #[must_use]
    pub const fn per_group(factors: [F; G]) -> Self {
        Self {
            factors: Factors::per_group(factors),
        }
    }
}

impl<F: FnMut(u32) -> f64, const G: usize> Schedule for MultiplicativeLr<F, G> {
    #[inline]
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        if !now.is_first {
            rates.lr = rates.lr * self.factors.of(now);
        }
    }

    fn begins_at_base(&self) -> bool {
        false
    }

    fn check_groups(&self, groups: u32) -> Result<(), OptimizerError> {
        self.factors.check(groups)
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("MultiplicativeLR", &[]);
    }
}
