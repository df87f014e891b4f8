//! The rate decreases along half a cosine, in repeated cycles.

use super::{Now, Rates, Schedule, Show, sine_squared};
use crate::function::TwoFloat;
use crate::optim::builders::show_options;

/// `eta_min + (lr - eta_min) · (1 + cos(π · t / T)) / 2` in epoch `t` of a cycle of `T` epochs,
/// as `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`. The first cycle has `t_0` epochs,
/// each later one [`t_mult`](Self::t_mult) times as many as the previous one (default 1).
///
/// I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts"
/// (2017), <https://arxiv.org/abs/1608.03983>.
#[derive(Clone, Copy, Debug)]
pub struct CosineAnnealingWarmRestarts {
    t_0: u32,
    t_mult: u32,
    eta_min: TwoFloat,
}

impl CosineAnnealingWarmRestarts {
    /// Lets the rate decrease to 0 in cycles of `t_0` epochs.
    #[must_use]
    pub const fn new(t_0: u32) -> Self {
        Self {
            t_0,
            t_mult: 1,
            eta_min: TwoFloat::ZERO,
        }
    }

    /// Makes every cycle `t_mult` times as long as the previous one.
    #[must_use]
    pub const fn t_mult(mut self, t_mult: u32) -> Self {
        self.t_mult = t_mult;
        self
    }

    /// Sets the lowest rate, instead of 0.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn eta_min(mut self, eta_min: f64) -> Self {
        self.eta_min = TwoFloat::from_f64(eta_min);
        self
    }
}

impl Schedule for CosineAnnealingWarmRestarts {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        let (mut t, mut cycle) = (now.epoch, self.t_0.max(1));
        if self.t_mult <= 1 {
            t = t.checked_rem(cycle).unwrap_or(0);
        } else {
            while let Some(later) = t.checked_sub(cycle) {
                t = later;
                cycle = cycle.saturating_mul(self.t_mult);
            }
        }
        let left = TwoFloat::of_count(cycle.saturating_sub(t)) / TwoFloat::of_count(cycle);
        rates.lr = self.eta_min + (rates.base - self.eta_min) * sine_squared(left);
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show_options!(self, show, "CosineAnnealingWarmRestarts": t_0 as "T_0", t_mult as "T_mult",
            eta_min);
    }
}
