//! The rate of the epoch before times what a function says.

use super::{Now, Rates, Schedule, Show};
use crate::function::TwoFloat;

/// `lr ← lr · factor(epoch)` from epoch 1 on, as
/// `torch.optim.lr_scheduler.MultiplicativeLR`.
#[derive(Clone, Copy, Debug)]
pub struct MultiplicativeLr<F> {
    factor: F,
}

impl<F: FnMut(u32) -> f64> MultiplicativeLr<F> {
    /// The factor of each epoch.
    #[must_use]
    pub const fn new(factor: F) -> Self {
        Self { factor }
    }
}

impl<F: FnMut(u32) -> f64> Schedule for MultiplicativeLr<F> {
    #[inline]
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        if now.epoch > 0 {
            rates.lr = rates.lr * TwoFloat::from_f64((self.factor)(now.epoch));
        }
    }

    fn begins_at_base(&self) -> bool {
        false
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("MultiplicativeLR", &[]);
    }
}
