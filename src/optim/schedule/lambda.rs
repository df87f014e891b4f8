//! The base rate times the value of a function.

use super::per_group::Factors;
use super::{Now, OptimizerError, Rates, Schedule, Show};

/// The base rate times `factor(epoch)`, with the epoch counted from 0, as
/// `torch.optim.lr_scheduler.LambdaLR`. (A function that returns the rate itself is a schedule
/// without this type.)
#[derive(Clone, Copy, Debug)]
pub struct LambdaLr<F, const G: usize = 1> {
    factors: Factors<F, G>,
}

impl<F: FnMut(u32) -> f64> LambdaLr<F> {
    /// Takes the factor of each epoch, for all groups.
    #[must_use]
    pub const fn new(factor: F) -> Self {
        Self {
            factors: Factors::all(factor),
        }
    }
}

impl<F: FnMut(u32) -> f64, const G: usize> LambdaLr<F, G> {
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

impl<F: FnMut(u32) -> f64, const G: usize> Schedule for LambdaLr<F, G> {
    #[inline]
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        rates.lr = rates.base * self.factors.of(now);
    }

    fn check_groups(&self, groups: u32) -> Result<(), OptimizerError> {
        self.factors.check(groups)
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("LambdaLR", &[]);
    }
}
