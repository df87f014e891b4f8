//! The rate decreases to 0 along a power.

use super::{Now, Rates, Schedule, Show};
use crate::function::{Real, TwoFloat};
use crate::optim::builders::show_options;

/// `lr · (1 - epoch / total_iters)^power`, then 0, as
/// `torch.optim.lr_scheduler.PolynomialLR`. PyTorch's defaults: 5 epochs, power 1.
#[derive(Clone, Copy, Debug)]
pub struct PolynomialLr {
    total_iters: u32,
    power: TwoFloat,
}

impl PolynomialLr {
    /// Lets the rate decrease to 0 in `total_iters` epochs, along this power, which must not be
    /// negative.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn new(total_iters: u32, power: f64) -> Self {
        Self {
            total_iters,
            power: TwoFloat::from_f64(power),
        }
    }
}

impl Default for PolynomialLr {
    fn default() -> Self {
        Self::new(5, 1.0)
    }
}

impl Schedule for PolynomialLr {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        if now.epoch == 0 {
            return;
        }
        if let Some(left) = self.total_iters.checked_sub(now.epoch) {
            let ratio = TwoFloat::of_count(left) / TwoFloat::of_count(left.saturating_add(1));
            rates.lr = rates.lr * Real::pow(ratio, self.power);
        }
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show_options!(self, show, "PolynomialLR": total_iters, power);
    }
}
