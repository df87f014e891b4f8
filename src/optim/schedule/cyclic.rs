//! The rate increases and decreases linearly, in repeated cycles.

use super::{Now, OptimizerError, PerGroup, Rates, Schedule, Show, check_momentum, show_momentum};
use crate::function::TwoFloat;
use crate::optim::builders::{Shown, show_options};

/// The heights of the cycles of a [`CyclicLr`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum CyclicMode {
    /// All cycles have the same height.
    Triangular,
    /// Each cycle has half the height of the previous one.
    Triangular2,
    /// The height is multiplied by gamma in every step: see [`CyclicLr::exp_range`].
    ExpRange,
    /// The height is multiplied by the value of a function: see [`CyclicLr::scale_fn`].
    ScaleFn,
}

/// The argument of the function of [`CyclicLr::scale_fn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleMode {
    /// The cycle, counted from 1.
    Cycle,
    /// The number of past steps.
    Iterations,
}

/// A function of the caller.
type Scale = fn(u32) -> f64;

/// The rate increases linearly from `base_lr` to `max_lr` and decreases again, while the
/// momentum decreases and increases, as `torch.optim.lr_scheduler.CyclicLR`. Step it after
/// every update. The optimizer's own learning rate is not used.
///
/// L. N. Smith, "Cyclical Learning Rates for Training Neural Networks" (2017),
/// <https://arxiv.org/abs/1506.01186>.
///
/// | | default |
/// | --- | --- |
/// | [`step_size_up`](Self::step_size_up) | 2000 steps |
/// | [`step_size_down`](Self::step_size_down) | as many as up |
/// | [`triangular2`](Self::triangular2), [`exp_range`](Self::exp_range), [`scale_fn`](Self::scale_fn) | all cycles alike |
/// | [`momentum`](Self::momentum) | from 0.9 to 0.8 and back, if the optimizer has one |
#[derive(Clone, Copy, Debug)]
pub struct CyclicLr<const G: usize = 1> {
    base_lr: PerGroup<G>,
    max_lr: PerGroup<G>,
    up: u32,
    down: Option<u32>,
    mode: CyclicMode,
    gamma: TwoFloat,
    scale: Option<(Scale, ScaleMode)>,
    momentum: Option<[PerGroup<G>; 2]>,
}

impl CyclicLr {
    /// Lets the rates of all groups change between these two.
    #[must_use]
    #[inline(always)] // constant arguments leave no `f64`
    pub const fn new(base_lr: f64, max_lr: f64) -> Self {
        Self::of(PerGroup::all(base_lr), PerGroup::all(max_lr))
    }
}

impl<const G: usize> CyclicLr<G> {
    /// Lets the rate of each of `G` parameter [groups](crate::optim::ParamGroups) change
    /// between two rates of its own, in the order of the groups. Another number of groups is an
    /// error: see [`Scheduler::check`](super::Scheduler::check).
    ///
    /// ```
    /// use baregrad::optim::schedule::{CyclicLr, Scheduler};
    /// use baregrad::optim::{Optimizer, ParamGroups, Sgd};
    ///
    /// let mut groups = ParamGroups::new(1, Sgd::new(1.0), Sgd::new(1.0));
    /// let cycle = CyclicLr::per_group([0.125, 0.25], [0.5, 0.75]).step_size_up(1);
    /// let mut scheduler = Scheduler::new(cycle, &mut groups);
    /// assert_eq!(groups.first().learning_rate(), 0.125);
    /// assert_eq!(groups.second().learning_rate(), 0.25);
    /// scheduler.step(&mut groups);
    /// assert_eq!(groups.first().learning_rate(), 0.5);
    /// assert_eq!(groups.second().learning_rate(), 0.75);
    /// ```
    #[must_use]
    #[inline(always)] // constant arguments leave no `f64`
    pub const fn per_group(base_lr: [f64; G], max_lr: [f64; G]) -> Self {
        Self::of(PerGroup::new(base_lr), PerGroup::new(max_lr))
    }

    #[inline(always)] // constant arguments leave no `f64`
    const fn of(base_lr: PerGroup<G>, max_lr: PerGroup<G>) -> Self {
        Self {
            base_lr,
            max_lr,
            up: 2000,
            down: None,
            mode: CyclicMode::Triangular,
            gamma: TwoFloat::ONE,
            scale: None,
            momentum: const { Some([PerGroup::all(0.8), PerGroup::all(0.9)]) },
        }
    }

    /// The number of steps in which the rate increases.
    #[must_use]
    pub const fn step_size_up(mut self, steps: u32) -> Self {
        self.up = steps;
        self
    }

    /// The number of steps in which the rate decreases.
    #[must_use]
    pub const fn step_size_down(mut self, steps: u32) -> Self {
        self.down = Some(steps);
        self
    }

    /// Halves the height with every cycle.
    #[must_use]
    pub const fn triangular2(mut self) -> Self {
        self.mode = CyclicMode::Triangular2;
        self
    }

    /// Multiplies the height by `gamma^steps`, with the number of past steps.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn exp_range(mut self, gamma: f64) -> Self {
        self.mode = CyclicMode::ExpRange;
        self.gamma = TwoFloat::from_f64(gamma);
        self
    }

    /// Multiplies the height by the value of `scale`, like `scale_fn` and `scale_mode` in
    /// PyTorch: a function of the cycle, or of the number of past steps. A record does not
    /// contain the function.
    ///
    /// ```
    /// use baregrad::optim::schedule::{CyclicLr, ScaleMode, Scheduler};
    /// use baregrad::optim::{Optimizer, Sgd};
    ///
    /// let mut sgd = Sgd::new(1.0);
    /// let cycle = CyclicLr::new(0.0, 0.75).step_size_up(1);
    /// let cycle = cycle.scale_fn(|cycle| 1.0 / f64::from(cycle), ScaleMode::Cycle);
    /// let mut scheduler = Scheduler::new(cycle, &mut sgd);
    /// for expected in [0.0, 0.75, 0.0, 0.375, 0.0, 0.25] {
    ///     assert_eq!(sgd.learning_rate(), expected);
    ///     scheduler.step(&mut sgd);
    /// }
    /// ```
    #[must_use]
    pub const fn scale_fn(mut self, scale: fn(u32) -> f64, mode: ScaleMode) -> Self {
        self.mode = CyclicMode::ScaleFn;
        self.scale = Some((scale, mode));
        self
    }

    /// Sets the lowest momentum, at the highest rate, and the highest momentum.
    #[must_use]
    #[inline(always)] // constant arguments leave no `f64`
    pub const fn momentum(mut self, base: f64, max: f64) -> Self {
        self.momentum = Some([PerGroup::all(base), PerGroup::all(max)]);
        self
    }

    /// Sets the lowest and the highest momentum of each group, like
    /// [`momentum`](Self::momentum). One number applies to all groups; another number of groups
    /// is an error.
    #[must_use]
    #[inline(always)] // constant arguments leave no `f64`
    pub const fn momentum_per_group(mut self, base: [f64; G], max: [f64; G]) -> Self {
        self.momentum = Some([
            PerGroup::new(base).one_for_all(),
            PerGroup::new(max).one_for_all(),
        ]);
        self
    }

    /// Leaves the momentum unchanged.
    #[must_use]
    pub const fn without_momentum(mut self) -> Self {
        self.momentum = None;
        self
    }

    /// The steps down of a cycle: as many as up, unless set.
    #[inline(always)] // as if it stood in the callers
    fn steps_down(&self) -> u32 {
        self.down.unwrap_or(self.up)
    }
}

impl<const G: usize> Schedule for CyclicLr<G> {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        let down = self.steps_down();
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
            CyclicMode::ScaleFn => match self.scale {
                Some((scale, mode)) => {
                    let count = match mode {
                        ScaleMode::Cycle => cycle.saturating_add(1),
                        ScaleMode::Iterations => now.epoch,
                    };
                    height * TwoFloat::from_f64(scale(count))
                }
                None => height,
            },
        };
        let [base, max] = [self.base_lr, self.max_lr].map(|lr| lr.of(now.group));
        rates.lr = base + (max - base) * height;
        if let Some(momentum) = self.momentum {
            let [base, max] = momentum.map(|momentum| momentum.of(now.group));
            rates.set_momentum((max - (max - base) * height).to_f32());
        }
    }

    fn check_groups(&self, groups: u32) -> Result<(), OptimizerError> {
        self.base_lr.check("base_lr", groups)?;
        self.max_lr.check("max_lr", groups)?;
        check_momentum(&self.momentum, groups)
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show_options!(self, show, "CyclicLR": base_lr, max_lr, up as "step_size_up");
        let down = self.steps_down();
        down.show("step_size_down", show);
        show("mode", &[f32::from(self.mode as u8)]);
        if let Some((_, mode)) = self.scale {
            show("scale_mode", &[f32::from(mode as u8)]);
        }
        self.gamma.show("gamma", show);
        show_momentum(&self.momentum, show);
    }
}
