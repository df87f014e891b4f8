//! Every epoch a fraction of the rate.

use super::{Now, Rates, Schedule};
use crate::optim::pair::Pair;

/// `lr ← lr · gamma` every epoch, as `torch.optim.lr_scheduler.ExponentialLR`.
#[derive(Clone, Copy, Debug)]
pub struct ExponentialLr {
    gamma: Pair,
}

impl ExponentialLr {
    /// Multiplies by this factor.
    #[must_use]
    #[inline(always)] // of a constant, no `f64` is left
    pub const fn new(gamma: f64) -> Self {
        Self {
            gamma: Pair::new(gamma),
        }
    }
}

impl Schedule for ExponentialLr {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        if now.epoch > 0 {
            rates.lr = rates.lr * self.gamma;
        }
    }
}
