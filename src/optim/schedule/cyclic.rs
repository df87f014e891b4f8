//! Up and down again and again.

use super::{Now, Rates, Schedule};
use crate::optim::pair::Pair;

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
    base_lr: Pair,
    max_lr: Pair,
    up: u32,
    down: Option<u32>,
    mode: CyclicMode,
    gamma: Pair,
    momentum: Option<[Pair; 2]>,
}

impl CyclicLr {
    /// Between these rates.
    #[must_use]
    #[inline(always)] // of constants, no `f64` is left
    pub const fn new(base_lr: f64, max_lr: f64) -> Self {
        Self {
            base_lr: Pair::new(base_lr),
            max_lr: Pair::new(max_lr),
            up: 2000,
            down: None,
            mode: CyclicMode::Triangular,
            gamma: Pair::ONE,
            momentum: const { Some([Pair::new(0.8), Pair::new(0.9)]) },
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
        self.gamma = Pair::new(gamma);
        self
    }

    /// The least momentum, where the rate is highest, and the largest.
    #[must_use]
    #[inline(always)] // of constants, no `f64` is left
    pub const fn momentum(mut self, base: f64, max: f64) -> Self {
        self.momentum = Some([Pair::new(base), Pair::new(max)]);
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
        let height = Pair::of_count(part) / Pair::of_count(whole.max(1));
        let height = match self.mode {
            CyclicMode::Triangular => height,
            CyclicMode::Triangular2 => height * Pair::new(0.5).powi(cycle),
            CyclicMode::ExpRange => height * self.gamma.powi(now.epoch),
        };
        rates.lr = self.base_lr + (self.max_lr - self.base_lr) * height;
        if let Some([base, max]) = self.momentum {
            rates.set_momentum((max - (max - base) * height).to_f32());
        }
    }
}
