//! Up and down again and again.

use super::{Now, Rates, Schedule, Show, halves, show_momentum, show_two};
use crate::function::TwoFloat;

/// How high the cycles of a [`CyclicLr`] are.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum CyclicMode {
    /// All alike.
    Triangular,
    /// Each half as high as the one before.
    Triangular2,
    /// Times gamma for every step there was: see [`CyclicLr::exp_range`].
    ExpRange,
}

/// From `base_lr` up to `max_lr` and down again in lines, while the momentum goes down and
/// up, as `torch.optim.lr_scheduler.CyclicLR`. To be stepped after every update. The
/// optimizer's own learning rate does not matter.
///
/// L. N. Smith, "Cyclical Learning Rates for Training Neural Networks" (2017),
/// <https://arxiv.org/abs/1506.01186>.
///
/// | | default |
/// | --- | --- |
/// | [`step_size_up`](Self::step_size_up) | 2000 steps |
/// | [`step_size_down`](Self::step_size_down) | as many as up |
/// | [`triangular2`](Self::triangular2), [`exp_range`](Self::exp_range) | all cycles alike |
/// | [`momentum`](Self::momentum) | from 0.9 to 0.8 and back, if the optimizer has one |
#[derive(Clone, Copy, Debug)]
pub struct CyclicLr {
    base_lr: TwoFloat,
    max_lr: TwoFloat,
    up: u32,
    down: Option<u32>,
    mode: CyclicMode,
    gamma: TwoFloat,
    momentum: Option<[TwoFloat; 2]>,
}

impl CyclicLr {
    /// Between these rates.
    #[must_use]
    #[inline(always)] // of constants, no `f64` is left
    pub const fn new(base_lr: f64, max_lr: f64) -> Self {
        Self {
            base_lr: TwoFloat::from_f64(base_lr),
            max_lr: TwoFloat::from_f64(max_lr),
            up: 2000,
            down: None,
            mode: CyclicMode::Triangular,
            gamma: TwoFloat::ONE,
            momentum: const { Some([TwoFloat::from_f64(0.8), TwoFloat::from_f64(0.9)]) },
        }
    }

    /// How many steps go up.
    #[must_use]
    pub const fn step_size_up(mut self, steps: u32) -> Self {
        self.up = steps;
        self
    }

    /// How many steps go down.
    #[must_use]
    pub const fn step_size_down(mut self, steps: u32) -> Self {
        self.down = Some(steps);
        self
    }

    /// Every cycle is half as high as the one before.
    #[must_use]
    pub const fn triangular2(mut self) -> Self {
        self.mode = CyclicMode::Triangular2;
        self
    }

    /// The height is `gamma^steps` of what it would be.
    #[must_use]
    #[inline(always)] // of a constant, no `f64` is left
    pub const fn exp_range(mut self, gamma: f64) -> Self {
        self.mode = CyclicMode::ExpRange;
        self.gamma = TwoFloat::from_f64(gamma);
        self
    }

    /// The least momentum, where the rate is highest, and the largest.
    #[must_use]
    #[inline(always)] // of constants, no `f64` is left
    pub const fn momentum(mut self, base: f64, max: f64) -> Self {
        self.momentum = Some([TwoFloat::from_f64(base), TwoFloat::from_f64(max)]);
        self
    }

    /// Leaves the momentum alone.
    #[must_use]
    pub const fn without_momentum(mut self) -> Self {
        self.momentum = None;
        self
    }
}

impl Schedule for CyclicLr {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        let down = self.down.unwrap_or(self.up);
        let total = self.up.saturating_add(down).max(1);
        let at = now.epoch.checked_rem(total).unwrap_or(0);
        let cycle = now.epoch.checked_div(total).unwrap_or(0);
        let (part, whole) = if at <= self.up {
            (at, self.up)
        } else {
            (total.saturating_sub(at), down)
        };
        let height = TwoFloat::of_count(part) / TwoFloat::of_count(whole.max(1));
        let height = match self.mode {
            CyclicMode::Triangular => height,
            CyclicMode::Triangular2 => height * TwoFloat::from(0.5).power(cycle),
            CyclicMode::ExpRange => height * self.gamma.power(now.epoch),
        };
        rates.lr = self.base_lr + (self.max_lr - self.base_lr) * height;
        if let Some([base, max]) = self.momentum {
            rates.set_momentum((max - (max - base) * height).to_f32());
        }
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("CyclicLR", &[]);
        show_two("base_lr", self.base_lr, show);
        show_two("max_lr", self.max_lr, show);
        show("step_size_up", &halves(self.up));
        show("step_size_down", &halves(self.down.unwrap_or(self.up)));
        show("mode", &[f32::from(self.mode as u8)]);
        show_two("gamma", self.gamma, show);
        show_momentum(self.momentum, show);
    }
}
