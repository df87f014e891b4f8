//! The rate is multiplied by a factor at given epochs.

use super::{Now, Rates, Schedule, Show};
use crate::function::TwoFloat;
use crate::optim::builders::Shown;

/// `lr ← lr · gamma` at each of the `milestones`, as `torch.optim.lr_scheduler.MultiStepLR`, by
/// default with a [`gamma`](Self::gamma) of 0.1. Milestones may be in any order, and repeated
/// ones apply repeatedly.
#[derive(Clone, Copy, Debug)]
pub struct MultiStepLr<'m> {
    milestones: &'m [u32],
    gamma: TwoFloat,
}

impl<'m> MultiStepLr<'m> {
    /// Multiplies the rate by 0.1 at each of the milestones.
    #[must_use]
    pub const fn new(milestones: &'m [u32]) -> Self {
        Self {
            milestones,
            gamma: const { TwoFloat::from_f64(0.1) },
        }
    }

    /// Multiplies by this factor instead.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn gamma(mut self, gamma: f64) -> Self {
        self.gamma = TwoFloat::from_f64(gamma);
        self
    }
}

impl Schedule for MultiStepLr<'_> {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        for _ in self.milestones.iter().filter(|at| **at == now.epoch) {
            rates.lr = rates.lr * self.gamma;
        }
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("MultiStepLR", &[]);
        for milestone in self.milestones {
            milestone.show("milestone", show);
        }
        self.gamma.show("gamma", show);
    }
}
