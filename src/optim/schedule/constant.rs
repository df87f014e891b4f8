//! The rate is multiplied by a factor up to an epoch.

use super::{Now, Rates, Schedule, Show};
use crate::function::TwoFloat;
use crate::optim::builders::show_options;

/// `lr · factor` for the first `total_iters` epochs, then `lr`, as
/// `torch.optim.lr_scheduler.ConstantLR`. PyTorch's defaults: a third, for 5 epochs. With 0
/// epochs, as in PyTorch, the factor applies from the start and stays, or not at all if another
/// schedule came before.
#[derive(Clone, Copy, Debug)]
pub struct ConstantLr {
    factor: TwoFloat,
    total_iters: u32,
}

impl ConstantLr {
    /// Multiplies the rate by `factor` in the first `total_iters` epochs.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn new(factor: f64, total_iters: u32) -> Self {
        Self {
            factor: TwoFloat::from_f64(factor),
            total_iters,
        }
    }
}

impl Default for ConstantLr {
    fn default() -> Self {
        Self::new(1.0 / 3.0, 5)
    }
}

impl Schedule for ConstantLr {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        if now.epoch == 0 {
            // With `total_iters` of 0, PyTorch applies the factor only if no schedule came
            // before, and never removes it.
            if now.is_first || self.total_iters > 0 {
                rates.lr = rates.lr * self.factor;
            }
        } else if now.epoch == self.total_iters {
            rates.lr = rates.lr / self.factor;
        }
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show_options!(self, show, "ConstantLR": factor, total_iters);
    }
}
