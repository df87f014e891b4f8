//! The rate is multiplied by a factor in every epoch.

use super::{Now, Rates, Schedule, Show};
use crate::function::TwoFloat;
use crate::optim::builders::show_options;

/// `lr ← lr · gamma` every epoch, as `torch.optim.lr_scheduler.ExponentialLR`.
#[derive(Clone, Copy, Debug)]
pub struct ExponentialLr {
    gamma: TwoFloat,
}

impl ExponentialLr {
    /// Multiplies the rate by `gamma` in every epoch.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn new(gamma: f64) -> Self {
        Self {
            gamma: TwoFloat::from_f64(gamma),
        }
    }
}

impl Schedule for ExponentialLr {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        if now.epoch > 0 {
            rates.lr = rates.lr * self.gamma;
        }
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show_options!(self, show, "ExponentialLR": gamma);
    }
}
