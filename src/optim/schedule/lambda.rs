//! The base rate times what a function says.

use super::{Now, Rates, Schedule, Show};
use crate::function::TwoFloat;

/// The base rate times `factor(epoch)`, with the epoch counted from 0, as
/// `torch.optim.lr_scheduler.LambdaLR`. (For the rate itself, a function is a schedule
/// without this.)
#[derive(Clone, Copy, Debug)]
pub struct LambdaLr<F> {
    factor: F,
}

impl<F: FnMut(u32) -> f64> LambdaLr<F> {
    /// The factor of each epoch.
    #[must_use]
    pub const fn new(factor: F) -> Self {
        Self { factor }
    }
}

impl<F: FnMut(u32) -> f64> Schedule for LambdaLr<F> {
    #[inline]
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        rates.lr = rates.base * TwoFloat::from_f64((self.factor)(now.epoch));
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("LambdaLR", &[]);
    }
}
