//! The rate is multiplied by a factor that changes linearly.

use super::{Now, Rates, Schedule, Show};
use crate::function::TwoFloat;
use crate::optim::builders::show_options;

/// `lr · factor`, where the factor changes linearly from `start_factor` to `end_factor` in
/// `total_iters` epochs and then stays, as `torch.optim.lr_scheduler.LinearLR`: a warm-up.
/// PyTorch's defaults: from a third to 1 in 5 epochs.
#[derive(Clone, Copy, Debug)]
pub struct LinearLr {
    start_factor: TwoFloat,
    end_factor: TwoFloat,
    total_iters: u32,
}

impl LinearLr {
    /// Lets the factor change from `start_factor`, which must not be 0, to `end_factor` in
    /// `total_iters` epochs.
    #[must_use]
    #[inline(always)] // constant arguments leave no `f64`
    pub const fn new(start_factor: f64, end_factor: f64, total_iters: u32) -> Self {
        Self {
            start_factor: TwoFloat::from_f64(start_factor),
            end_factor: TwoFloat::from_f64(end_factor),
            total_iters,
        }
    }

    /// The factor in an epoch, times `total_iters`.
    fn factor(&self, epoch: u32) -> TwoFloat {
        let total = TwoFloat::of_count(self.total_iters);
        total * self.start_factor
            + TwoFloat::of_count(epoch) * (self.end_factor - self.start_factor)
    }
}

impl Default for LinearLr {
    fn default() -> Self {
        Self::new(1.0 / 3.0, 1.0, 5)
    }
}

impl Schedule for LinearLr {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        if let Some(before) = now.epoch.checked_sub(1) {
            if now.epoch <= self.total_iters {
                rates.lr = rates.lr * self.factor(now.epoch) / self.factor(before);
            }
        } else {
            rates.lr = rates.lr * self.start_factor;
        }
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show_options!(self, show, "LinearLR": start_factor, end_factor, total_iters);
    }
}
