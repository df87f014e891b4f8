//! The rate decreases along half a cosine, and increases again.

use super::{Now, Rates, Schedule, Show, sine_squared};
use crate::function::TwoFloat;
use crate::optim::builders::show_options;

/// `eta_min + (lr - eta_min) · (1 + cos(π · epoch / t_max)) / 2`, as
/// `torch.optim.lr_scheduler.CosineAnnealingLR`: the rate decreases to
/// [`eta_min`](Self::eta_min), by default 0, in `t_max` epochs, and increases again in as many.
///
/// I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017),
/// <https://arxiv.org/abs/1608.03983>, without the restarts. As in PyTorch, each rate is
/// computed from the previous one, so that schedules can be chained. `(1 + cos x) / 2` is
/// computed as a squared sine, which keeps its digits where the cosine is near -1.
#[derive(Clone, Copy, Debug)]
pub struct CosineAnnealingLr {
    t_max: u32,
    eta_min: TwoFloat,
}

impl CosineAnnealingLr {
    /// Lets the rate decrease to 0 in `t_max` epochs, at least 1.
    #[must_use]
    pub const fn new(t_max: u32) -> Self {
        Self {
            t_max,
            eta_min: TwoFloat::ZERO,
        }
    }

    /// Sets the lowest rate, instead of 0.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn eta_min(mut self, eta_min: f64) -> Self {
        self.eta_min = TwoFloat::from_f64(eta_min);
        self
    }

    /// `(1 + cos(π · epoch / t_max)) / 2`.
    fn height(&self, epoch: u32) -> TwoFloat {
        let at = u64::from(epoch).checked_rem(2 * u64::from(self.t_max));
        let from_bottom = at.unwrap_or(0).abs_diff(u64::from(self.t_max)) as u32;
        sine_squared(TwoFloat::of_count(from_bottom) / TwoFloat::of_count(self.t_max))
    }
}

impl Schedule for CosineAnnealingLr {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        let (Some(before), 1..) = (now.epoch.checked_sub(1), self.t_max) else {
            return;
        };
        let is_bottom = (u64::from(before) + u64::from(self.t_max))
            .checked_rem(2 * u64::from(self.t_max))
            == Some(0);
        rates.lr = if is_bottom {
            let first = sine_squared(TwoFloat::ONE / TwoFloat::of_count(self.t_max));
            rates.lr + (rates.base - self.eta_min) * first
        } else {
            let ratio = self.height(now.epoch) / self.height(before);
            ratio * (rates.lr - self.eta_min) + self.eta_min
        };
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show_options!(self, show, "CosineAnnealingLR": t_max as "T_max", eta_min);
    }
}
