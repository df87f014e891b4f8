//! The rate increases and decreases once.

use super::{
    Now, OptimizerError, PerGroup, Rates, Schedule, Show, check_momentum, show_momentum,
    sine_squared,
};
use crate::function::{Real, TwoFloat};
use crate::optim::builders::show_options;

/// The curve along which a rate changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anneal {
    /// Along half a cosine.
    Cos,
    /// Linearly.
    Linear,
}

/// The rate increases from `max_lr / div_factor` to `max_lr` and decreases to
/// `max_lr / div_factor / final_div_factor`, while the momentum decreases and increases, as
/// `torch.optim.lr_scheduler.OneCycleLR`. Step it after every update. The optimizer's own
/// learning rate is not used. After `total_steps` steps, where PyTorch raises an error, the
/// last rate stays.
///
/// L. N. Smith and N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using
/// Large Learning Rates" (2018), <https://arxiv.org/abs/1708.07120>.
///
/// | | default |
/// | --- | --- |
/// | [`pct_start`](Self::pct_start) | 0.3: the part of the steps in which the rate increases |
/// | [`anneal`](Self::anneal) | [`Anneal::Cos`] |
/// | [`momentum`](Self::momentum) | from 0.95 to 0.85 and back, if the optimizer has one |
/// | [`div_factor`](Self::div_factor) | 25 |
/// | [`final_div_factor`](Self::final_div_factor) | 10,000 |
/// | [`three_phase`](Self::three_phase) | off |
#[derive(Clone, Copy, Debug)]
pub struct OneCycleLr<const G: usize = 1> {
    max_lr: PerGroup<G>,
    total_steps: u32,
    pct_start: TwoFloat,
    anneal: Anneal,
    momentum: Option<[PerGroup<G>; 2]>,
    div_factor: TwoFloat,
    final_div_factor: TwoFloat,
    three_phase: bool,
}

impl OneCycleLr {
    /// Lets the rates of all groups increase to `max_lr` and decrease again in `total_steps`
    /// steps.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn new(max_lr: f64, total_steps: u32) -> Self {
        Self::of(PerGroup::all(max_lr), total_steps)
    }
}

impl<const G: usize> OneCycleLr<G> {
    /// Lets the rate of each of `G` parameter [groups](crate::optim::ParamGroups) increase to
    /// its own maximum, in the order of the groups, and decrease again in `total_steps` steps.
    /// Another number of groups is an error: see [`Scheduler::check`](super::Scheduler::check).
    ///
    /// ```
    /// use baregrad::optim::schedule::{OneCycleLr, Scheduler};
    /// use baregrad::optim::{Adam, Optimizer, ParamGroups};
    ///
    /// let mut groups = ParamGroups::new(4, Adam::<4>::new(0.1), Adam::<2>::new(0.1));
    /// let cycle = OneCycleLr::per_group([0.5, 0.25], 100);
    /// let _scheduler = Scheduler::new(cycle, &mut groups);
    /// assert_eq!(groups.first().learning_rate(), 0.02); // a 25th
    /// assert_eq!(groups.second().learning_rate(), 0.01);
    /// ```
    #[must_use]
    #[inline(always)] // constant arguments leave no `f64`
    pub const fn per_group(max_lr: [f64; G], total_steps: u32) -> Self {
        Self::of(PerGroup::new(max_lr), total_steps)
    }

    #[inline(always)] // constant arguments leave no `f64`
    const fn of(max_lr: PerGroup<G>, total_steps: u32) -> Self {
        Self {
            max_lr,
            total_steps,
            pct_start: const { TwoFloat::from_f64(0.3) },
            anneal: Anneal::Cos,
            momentum: const { Some([PerGroup::all(0.85), PerGroup::all(0.95)]) },
            div_factor: const { TwoFloat::from_f64(25.0) },
            final_div_factor: const { TwoFloat::from_f64(1e4) },
            three_phase: false,
        }
    }

    /// The part of the steps in which the rate increases, from 0 to 1.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn pct_start(mut self, pct_start: f64) -> Self {
        self.pct_start = TwoFloat::from_f64(pct_start);
        self
    }

    /// The curve along which rates change.
    #[must_use]
    pub const fn anneal(mut self, anneal: Anneal) -> Self {
        self.anneal = anneal;
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

    /// The highest rate over the first.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn div_factor(mut self, factor: f64) -> Self {
        self.div_factor = TwoFloat::from_f64(factor);
        self
    }

    /// The first rate over the last.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn final_div_factor(mut self, factor: f64) -> Self {
        self.final_div_factor = TwoFloat::from_f64(factor);
        self
    }

    /// Lets the rate decrease to the first rate in as many steps as it increased, and then to
    /// the last.
    #[must_use]
    pub const fn three_phase(mut self) -> Self {
        self.three_phase = true;
        self
    }

    fn between(&self, start: TwoFloat, end: TwoFloat, part: TwoFloat) -> TwoFloat {
        let height = match self.anneal {
            Anneal::Cos => sine_squared(TwoFloat::ONE - part),
            Anneal::Linear => TwoFloat::ONE - part,
        };
        end + (start - end) * height
    }
}

impl<const G: usize> Schedule for OneCycleLr<G> {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        let last = self.total_steps.saturating_sub(1);
        let total = TwoFloat::of_count(self.total_steps);
        let up = self.pct_start * total;
        let max_lr = self.max_lr.of(now.group);
        let first_lr = max_lr / self.div_factor;
        let least_lr = first_lr / self.final_div_factor;
        let momentum = self.momentum.map(|both| both.map(|one| one.of(now.group)));
        let [base, most] = momentum.unwrap_or([TwoFloat::ZERO; 2]);
        let top = up - TwoFloat::ONE;
        let bottom = up + up - TwoFloat::ONE - TwoFloat::ONE;
        // The end of each phase, its rates at start and end, and its momenta at start and end.
        let rise = (top, [first_lr, max_lr], [most, base]);
        let (fall, rest) = if self.three_phase {
            let fall = (bottom, [max_lr, first_lr], [base, most]);
            (fall, ([first_lr, least_lr], [most, most]))
        } else {
            (rise, ([max_lr, least_lr], [base, most]))
        };
        let end = TwoFloat::of_count(last);
        let step = TwoFloat::of_count(now.epoch.min(last));
        let (start, end, [lr, to_lr], [momentum, to_momentum]) = if rise.0 >= step {
            (TwoFloat::ZERO, rise.0, rise.1, rise.2)
        } else if self.three_phase && fall.0 >= step {
            (rise.0, fall.0, fall.1, fall.2)
        } else {
            (fall.0, end, rest.0, rest.1)
        };
        let length = end - start;
        let part = if TwoFloat::ZERO < length {
            ((step - start) / length)
                .minimum(TwoFloat::ONE)
                .maximum(TwoFloat::ZERO)
        } else {
            TwoFloat::ONE
        };
        rates.lr = self.between(lr, to_lr, part);
        if self.momentum.is_some() {
            rates.set_momentum(self.between(momentum, to_momentum, part).to_f32());
        }
    }

    fn check_groups(&self, groups: u32) -> Result<(), OptimizerError> {
        self.max_lr.check("max_lr", groups)?;
        check_momentum(&self.momentum, groups)
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show_options!(self, show, "OneCycleLR": max_lr, total_steps, pct_start);
        show("anneal_strategy", &[f32::from(self.anneal as u8)]);
        show_options!(self, show, div_factor, final_div_factor, three_phase);
        show_momentum(&self.momentum, show);
    }
}
