//! The rate is multiplied by a factor whenever a metric stops improving.

use super::{Now, OptimizerError, PerGroup, Rates, Schedule, Show, Visit, visit_count};
use crate::function::{Real, TwoFloat};
use crate::optim::builders::show_options;

/// The direction in which a metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlateauMode {
    /// Lower is better, for example a loss.
    Min,
    /// Higher is better, for example an accuracy.
    Max,
}

/// The unit of the threshold of a [`ReduceLrOnPlateau`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThresholdMode {
    /// Relative to the best metric so far.
    Rel,
    /// In the unit of the metric.
    Abs,
}

/// `lr ← lr · factor` when a metric has not improved for more than `patience` epochs, as
/// `torch.optim.lr_scheduler.ReduceLROnPlateau`. Pass the metric to
/// [`Scheduler::step_with`](super::Scheduler::step_with); NaN is never an improvement.
///
/// | | default |
/// | --- | --- |
/// | [`mode`](Self::mode) | [`PlateauMode::Min`] |
/// | [`factor`](Self::factor) | 0.1 |
/// | [`patience`](Self::patience) | 10 epochs |
/// | [`threshold`](Self::threshold) | 1e-4, relative to the best |
/// | [`cooldown`](Self::cooldown) | 0 epochs |
/// | [`min_lr`](Self::min_lr) | 0 |
/// | [`eps`](Self::eps) | 1e-8 |
#[derive(Clone, Copy, Debug)]
pub struct ReduceLrOnPlateau<const G: usize = 1> {
    mode: PlateauMode,
    factor: TwoFloat,
    patience: u32,
    threshold: TwoFloat,
    threshold_mode: ThresholdMode,
    cooldown: u32,
    min_lr: PerGroup<G>,
    eps: TwoFloat,
    best: f32,
    bad_epochs: u32,
    cooling: u32,
    /// Whether rates are reduced in the current epoch.
    reduces: bool,
}

impl ReduceLrOnPlateau {
    /// Creates the schedule with PyTorch's defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self::of(PerGroup::all(0.0))
    }
}

impl<const G: usize> ReduceLrOnPlateau<G> {
    /// Creates the schedule with PyTorch's defaults and the lowest rate of each of `G`
    /// parameter [groups](crate::optim::ParamGroups), in order. Another number of groups is an
    /// error: see [`Scheduler::check`](super::Scheduler::check).
    ///
    /// ```
    /// use baregrad::optim::schedule::{ReduceLrOnPlateau, Scheduler};
    /// use baregrad::optim::{Optimizer, ParamGroups, Sgd};
    ///
    /// let mut groups = ParamGroups::new(1, Sgd::new(0.5), Sgd::new(0.25));
    /// let plateau = ReduceLrOnPlateau::per_group([0.125, 0.0]).patience(0);
    /// let mut scheduler = Scheduler::new(plateau, &mut groups);
    /// scheduler.step_with(1.0, &mut groups);
    /// scheduler.step_with(1.0, &mut groups); // no better: a tenth, and not below the least
    /// assert_eq!(groups.first().learning_rate(), 0.125);
    /// assert_eq!(groups.second().learning_rate(), 0.025);
    /// ```
    #[must_use]
    #[inline(always)] // constant arguments leave no `f64`
    pub const fn per_group(min_lr: [f64; G]) -> Self {
        Self::of(PerGroup::new(min_lr))
    }

    #[inline(always)] // constant arguments leave no `f64`
    const fn of(min_lr: PerGroup<G>) -> Self {
        Self {
            mode: PlateauMode::Min,
            factor: const { TwoFloat::from_f64(0.1) },
            patience: 10,
            threshold: const { TwoFloat::from_f64(1e-4) },
            threshold_mode: ThresholdMode::Rel,
            cooldown: 0,
            min_lr,
            eps: const { TwoFloat::from_f64(1e-8) },
            best: f32::INFINITY,
            bad_epochs: 0,
            cooling: 0,
            reduces: false,
        }
    }

    /// The direction in which the metric improves.
    #[must_use]
    pub const fn mode(mut self, mode: PlateauMode) -> Self {
        self.mode = mode;
        self.best = self.worst();
        self
    }

    /// The factor of a reduction.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = TwoFloat::from_f64(factor);
        self
    }

    /// The number of epochs without improvement after which the next one reduces the rate.
    #[must_use]
    pub const fn patience(mut self, epochs: u32) -> Self {
        self.patience = epochs;
        self
    }

    /// The least change of the metric that counts as an improvement.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn threshold(mut self, threshold: f64, mode: ThresholdMode) -> Self {
        self.threshold = TwoFloat::from_f64(threshold);
        self.threshold_mode = mode;
        self
    }

    /// The number of epochs after a reduction in which epochs without improvement do not count.
    #[must_use]
    pub const fn cooldown(mut self, epochs: u32) -> Self {
        self.cooldown = epochs;
        self
    }

    /// The lowest rate of all groups.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn min_lr(mut self, lr: f64) -> Self {
        self.min_lr = PerGroup::all(lr);
        self
    }

    /// The largest reduction that is skipped.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn eps(mut self, eps: f64) -> Self {
        self.eps = TwoFloat::from_f64(eps);
        self
    }

    const fn worst(&self) -> f32 {
        match self.mode {
            PlateauMode::Min => f32::INFINITY,
            PlateauMode::Max => f32::NEG_INFINITY,
        }
    }

    fn is_better(&self, metric: f32) -> bool {
        if !self.best.is_finite() {
            // Pairs cannot hold infinities.
            return match self.mode {
                PlateauMode::Min => metric < self.best,
                PlateauMode::Max => metric > self.best,
            };
        }
        let (metric, best) = (TwoFloat::from(metric), TwoFloat::from(self.best));
        let margin = match self.threshold_mode {
            ThresholdMode::Rel => best * self.threshold,
            ThresholdMode::Abs => self.threshold,
        };
        match self.mode {
            PlateauMode::Min => metric < best - margin,
            PlateauMode::Max => best + margin < metric,
        }
    }
}

impl Default for ReduceLrOnPlateau {
    fn default() -> Self {
        Self::new()
    }
}

impl<const G: usize> Schedule for ReduceLrOnPlateau<G> {
    fn observe(&mut self, now: &Now) {
        self.reduces = false;
        if now.epoch == 0 {
            self.best = self.worst();
            self.bad_epochs = 0;
            self.cooling = 0;
            return;
        }
        if self.is_better(now.metric) {
            self.best = now.metric;
            self.bad_epochs = 0;
        } else {
            self.bad_epochs = self.bad_epochs.saturating_add(1);
        }
        if let Some(left) = self.cooling.checked_sub(1) {
            self.cooling = left;
            self.bad_epochs = 0;
        }
        if self.bad_epochs > self.patience {
            self.reduces = true;
            self.cooling = self.cooldown;
            self.bad_epochs = 0;
        }
    }

    fn set(&mut self, now: &Now, rates: &mut Rates) {
        let reduced = (rates.lr * self.factor).maximum(self.min_lr.of(now.group));
        if self.reduces && self.eps < rates.lr - reduced {
            rates.lr = reduced;
        }
    }

    fn visit_state(&mut self, visit: Visit<'_>) {
        let mut best = [self.best];
        visit("best", &mut best);
        [self.best] = best;
        visit_count("num_bad_epochs", &mut self.bad_epochs, visit);
        visit_count("cooldown_counter", &mut self.cooling, visit);
    }

    fn check_groups(&self, groups: u32) -> Result<(), OptimizerError> {
        self.min_lr.check("min_lr", groups)
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("ReduceLROnPlateau", &[]);
        show("mode", &[f32::from(self.mode as u8)]);
        show_options!(self, show, factor, patience, threshold);
        show("threshold_mode", &[f32::from(self.threshold_mode as u8)]);
        show_options!(self, show, cooldown, min_lr, eps);
    }
}
