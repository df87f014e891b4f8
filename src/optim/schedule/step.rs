//! The rate is multiplied by a factor at regular intervals.

use super::{Now, Rates, Schedule, Show};
use crate::function::TwoFloat;
use crate::optim::builders::show_options;

/// `lr ← lr · gamma` every `step_size` epochs, as `torch.optim.lr_scheduler.StepLR`, by default
/// with a [`gamma`](Self::gamma) of 0.1. A step size of 0 never changes the rate.
#[derive(Clone, Copy, Debug)]
pub struct StepLr {
    step_size: u32,
    gamma: TwoFloat,
}

impl StepLr {
    /// Multiplies the rate by 0.1 every `step_size` epochs.
    #[must_use]
    pub const fn new(step_size: u32) -> Self {
        Self {
            step_size,
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

impl Schedule for StepLr {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        if now.epoch > 0 && now.epoch.checked_rem(self.step_size) == Some(0) {
            rates.lr = rates.lr * self.gamma;
        }
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show_options!(self, show, "StepLR": step_size, gamma);
    }
}
