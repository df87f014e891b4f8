//! Schedules of learning rates, and of momenta, from epoch to epoch.
//!
//! | schedule | the learning rate |
//! | --- | --- |
//! | [`StepLr`] | multiplied by gamma every `step_size` epochs |
//! | [`MultiStepLr`] | multiplied by gamma at given epochs |
//! | [`ConstantLr`] | multiplied by a factor up to an epoch |
//! | [`LinearLr`] | multiplied by a factor that changes linearly: warm-up |
//! | [`ExponentialLr`] | multiplied by gamma every epoch |
//! | [`PolynomialLr`] | decreases to 0 along a power |
//! | [`CosineAnnealingLr`] | decreases along half a cosine, and increases again |
//! | [`CosineAnnealingWarmRestarts`] | decreases along half a cosine, repeatedly |
//! | [`OneCycleLr`] | increases and decreases once, the momentum inversely |
//! | [`CyclicLr`] | increases and decreases repeatedly, the momentum inversely |
//! | [`ReduceLrOnPlateau`] | multiplied by a factor when a metric stops improving |
//! | [`LambdaLr`], [`MultiplicativeLr`] | multiplied by the value of a function |
//! | [`SequentialLr`], [`ChainedScheduler`] | two schedules one after the other, or both in every epoch |
//! | a number | that number |
//! | a function `Fn(u32) -> f32` | its value for the epoch, counted from 1 |
//!
//! Names, defaults and formulas are those of `torch.optim.lr_scheduler`. The caller decides
//! what counts as an epoch: [`OneCycleLr`] and [`CyclicLr`] are meant to be stepped after every
//! update.
//!
//! ```
//! use baregrad::optim::schedule::{CosineAnnealingLr, LinearLr, Schedule, Scheduler};
//! use baregrad::optim::{Optimizer, Sgd};
//!
//! let mut sgd = Sgd::new(0.1);
//! // Five epochs of warm-up, then down to 0 in twenty.
//! let schedule = LinearLr::new(0.2, 1.0, 5).then(5, CosineAnnealingLr::new(20));
//! let mut scheduler = Scheduler::new(schedule, &mut sgd);
//! let mut rates = Vec::new();
//! for _ in 0..25 {
//!     rates.push(sgd.learning_rate());
//!     // … an epoch of training …
//!     scheduler.step(&mut sgd);
//! }
//! assert_eq!((rates[0], rates[5], rates[15]), (0.02, 0.1, 0.05));
//! assert_eq!(sgd.learning_rate(), 0.0);
//! ```
//!
//! All schedules are `no_std` and store a few numbers. Rates are computed in pairs of `f32`,
//! with about 46 bits. PyTorch uses `f64`, which on a microcontroller would link kilobytes of
//! software floating point. Builders take `f64`; for constants the compiler converts it.

mod chained;
mod per_group;
mod sequential;

pub use chained::ChainedScheduler;
pub use sequential::SequentialLr;

use crate::error::Error;
use crate::function::{Real, TwoFloat};
use crate::tape::Tape;

use super::builders::Shown;
use super::{Optimizer, OptimizerError, Show, Stateful, Visit, visit_count, visit_two};
use per_group::PerGroup;

/// Declares and exports the modules of all schedules but the combinators, and defines
/// `each_schedule`, with which tests and firmware iterate over them. A new schedule takes a
/// file and an entry in the list below.
///
/// `cargo fmt` does not find files that a macro declares. Use
/// `rustfmt --edition 2024 src/optim/schedule/*.rs`, as `.ci/run` does.
macro_rules! schedules {
    ($d:tt $(
        $file:ident: $name:ident = $torch:literal
            ($($arg:ident: $sample:expr $(=> $default:expr)?),*)
            [$($option:ident($($value:expr),*))*];
    )*) => {
        $(
            mod $file;
            pub use $file::*;
        )*

        /// Passes the list of schedules to a macro. Each entry has the type; its name in
        /// `torch.optim.lr_scheduler`; the arguments of `new` under PyTorch's names, each with
        /// a value to test with and PyTorch's default, if there is one; and the options, which
        /// are builders, with values to test them with. The values refer to exports of this
        /// module.
        #[doc(hidden)]
        #[macro_export]
        macro_rules! each_schedule {
            ($d to:ident) => {
                $d to! {$(
                    $name = $torch ($($arg: $sample $(=> $default)?),*)
                        [$($option($($value),*))*];
                )*}
            };
        }
    };
}

schedules! { $
    constant: ConstantLr = "ConstantLR" (factor: 0.3 => 1.0 / 3.0, total_iters: 6 => 5) [];
    cosine: CosineAnnealingLr = "CosineAnnealingLR" (t_max: 9) [eta_min(0.001)];
    cyclic: CyclicLr = "CyclicLR" (base_lr: 0.01, max_lr: 0.1)
        [step_size_up(3) step_size_down(4) exp_range(0.95) momentum(0.7, 0.95)];
    exponential: ExponentialLr = "ExponentialLR" (gamma: 0.9) [];
    lambda: LambdaLr = "LambdaLR" (lr_lambda: |epoch| if epoch % 3 == 0 { 1.0 } else { 0.75 }) [];
    linear: LinearLr = "LinearLR"
        (start_factor: 0.1 => 1.0 / 3.0, end_factor: 0.8 => 1.0, total_iters: 9 => 5) [];
    multi_step: MultiStepLr = "MultiStepLR" (milestones: &[3, 8, 8]) [gamma(0.7)];
    multiplicative: MultiplicativeLr = "MultiplicativeLR"
        (lr_lambda: |epoch| if epoch % 3 == 0 { 1.25 } else { 0.875 }) [];
    one_cycle: OneCycleLr = "OneCycleLR" (max_lr: 0.5, total_steps: 20)
        [pct_start(0.4) anneal(Anneal::Linear) momentum(0.6, 0.98) div_factor(10.0)
            final_div_factor(100.0) three_phase()];
    plateau: ReduceLrOnPlateau = "ReduceLROnPlateau" ()
        [mode(PlateauMode::Max) factor(0.3) patience(1) threshold(0.05, ThresholdMode::Abs)
            cooldown(1) min_lr(0.001) eps(1e-6)];
    polynomial: PolynomialLr = "PolynomialLR" (total_iters: 20 => 5, power: 0.7 => 1.0) [];
    step: StepLr = "StepLR" (step_size: 4) [gamma(0.7)];
    warm_restarts: CosineAnnealingWarmRestarts = "CosineAnnealingWarmRestarts" (t_0: 3)
        [t_mult(2) eta_min(0.001)];
}

/// A rule for the rates of each epoch. A [`Scheduler`] applies it, epoch by epoch.
pub trait Schedule {
    /// Called before the rates of epoch `now` are set: once for every epoch in order, starting
    /// at 0, and from 0 again after a restart. Schedules that depend on the metric decide here.
    /// The default does nothing.
    fn observe(&mut self, now: &Now) {
        let _ = now;
    }

    /// Sets the rates of epoch `now`, given those of the previous epoch. Called once in every
    /// epoch for each parameter group, with that group's rates.
    fn set(&mut self, now: &Now, rates: &mut Rates);

    /// Whether the schedule starts from the base rate when it follows another one in a
    /// [`SequentialLr`], instead of the other's last rate.
    fn begins_at_base(&self) -> bool {
        true
    }

    /// Checks that lists of values have one for each of `groups` parameter groups. The default
    /// has no lists.
    ///
    /// # Errors
    /// [`OptimizerError::GroupValues`] with the name of a list of another length.
    fn check_groups(&self, groups: u32) -> Result<(), OptimizerError> {
        let _ = groups;
        Ok(())
    }

    /// Calls `visit` with the state besides the rates, like [`Stateful::visit_state`]. The
    /// default has none.
    fn visit_state(&mut self, visit: Visit<'_>) {
        let _ = visit;
    }

    /// Calls `show` with the schedule's name, without numbers, and then with its parameters,
    /// like [`Stateful::visit_hyper`], so that the state is not loaded into another schedule.
    /// Functions of the caller cannot be compared.
    fn visit_hyper(&self, show: Show<'_>) {
        let _ = show;
    }

    /// Runs this schedule for `milestone` epochs, then `next`, whose epochs count from the
    /// milestone.
    fn then<N: Schedule>(self, milestone: u32, next: N) -> SequentialLr<Self, N>
    where
        Self: Sized,
    {
        SequentialLr::new(self, milestone, next)
    }

    /// Runs this schedule and `other` in every epoch, `other` on the result of this one.
    fn chain<N: Schedule>(self, other: N) -> ChainedScheduler<Self, N>
    where
        Self: Sized,
    {
        ChainedScheduler::new(self, other)
    }
}

/// The state of training that a [`Schedule`] sees.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Now {
    /// The next epoch, counted from 0, which is the number of past epochs.
    pub epoch: u32,
    /// The metric after the past epoch, for example its validation loss; NaN if there is none.
    pub metric: f32,
    /// The parameter group whose rates are set, counted from 0 in the order of the parameters:
    /// see [`ParamGroups`](super::ParamGroups).
    pub group: u32,
    /// Whether this is the first epoch of training. False in epoch 0 of a schedule that follows
    /// another one in a [`SequentialLr`].
    pub is_first: bool,
}

/// The learning rate and the momentum of an optimizer.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    base: TwoFloat,
    lr: TwoFloat,
    momentum: Option<f32>,
}

impl Rates {
    /// Reads the rates of an optimizer, or of its first group.
    pub fn of<O: Optimizer + ?Sized>(optimizer: &O) -> Self {
        let base = TwoFloat::from(optimizer.learning_rate());
        Rates {
            base,
            lr: base,
            momentum: optimizer.momentum_factor(),
        }
    }

    /// Visits the rates.
    pub(super) fn visit(&mut self, visit: Visit<'_>) {
        let Rates { base, lr, momentum } = self;
        visit_two("base_lr", base, visit);
        visit_two("last_lr", lr, visit);
        // NaN if there is no momentum.
        let mut one = [momentum.unwrap_or(f32::NAN)];
        visit("last_momentum", &mut one);
        *momentum = momentum.is_some().then_some(one[0]);
    }

    /// The learning rate that the optimizer had before the schedule started.
    pub fn base_learning_rate(&self) -> f32 {
        self.base.to_f32()
    }

    /// The current learning rate.
    pub fn learning_rate(&self) -> f32 {
        self.lr.to_f32()
    }

    /// Sets the learning rate.
    pub fn set_learning_rate(&mut self, lr: f32) {
        self.lr = TwoFloat::from(lr);
    }

    /// The momentum, if the optimizer has one.
    pub fn momentum(&self) -> Option<f32> {
        self.momentum
    }

    /// Sets the momentum, if the optimizer has one.
    pub fn set_momentum(&mut self, momentum: f32) {
        if let Some(now) = &mut self.momentum {
            *now = momentum;
        }
    }
}

/// Steps a [`Schedule`], and sets the rates of an optimizer.
///
/// Its state consists of the epoch, the rates and the state of the schedule. When saved and
/// restored with [`visit_state`](Self::visit_state), it continues with the same bits.
#[derive(Clone, Debug)]
pub struct Scheduler<S> {
    schedule: S,
    epoch: u32,
    rates: Rates,
    /// The number of parameter groups of the optimizer.
    groups: u32,
}

impl<S: Schedule> Scheduler<S> {
    /// Starts a schedule at epoch 0, and sets the optimizer's rates for it. The optimizer's
    /// learning rate becomes the base rate; in [`ParamGroups`](super::ParamGroups), each group
    /// has its own.
    pub fn new<O: Optimizer + ?Sized>(schedule: S, optimizer: &mut O) -> Self {
        let mut scheduler = Self {
            schedule,
            epoch: 0,
            rates: Rates::of(optimizer),
            groups: 0,
        };
        scheduler.set(f32::NAN, optimizer);
        scheduler
    }

    /// Advances to the next epoch, after the updates of this one.
    pub fn step<O: Optimizer + ?Sized>(&mut self, optimizer: &mut O) {
        self.step_with(f32::NAN, optimizer);
    }

    /// Advances to the next epoch, with a metric of this one, which [`ReduceLrOnPlateau`]
    /// needs.
    pub fn step_with<O: Optimizer + ?Sized>(&mut self, metric: f32, optimizer: &mut O) {
        self.epoch = self.epoch.saturating_add(1);
        self.set(metric, optimizer);
    }

    fn set<O: Optimizer + ?Sized>(&mut self, metric: f32, optimizer: &mut O) {
        let mut now = Now {
            epoch: self.epoch,
            metric,
            group: 0,
            is_first: self.epoch == 0,
        };
        let schedule = &mut self.schedule;
        schedule.observe(&now);
        optimizer.schedule(now.epoch == 0, &mut self.rates, &mut |rates| {
            schedule.set(&now, rates);
            now.group = now.group.saturating_add(1);
        });
        self.groups = now.group;
        if self.check().is_err() {
            optimizer.schedule(false, &mut self.rates, &mut |rates| {
                rates.set_learning_rate(f32::NAN);
            });
        }
    }

    /// Checks that the lists of the schedule have a value for each parameter group. If they do
    /// not, all rates are NaN, for which optimizers return an error. The
    /// [fit](crate::calibrate::Fit::poll_scheduled) of `calibrate` and that of `train` return
    /// the error of this function.
    ///
    /// ```
    /// use baregrad::optim::schedule::{OneCycleLr, Scheduler};
    /// use baregrad::optim::{Optimizer, ParamGroups, Sgd};
    ///
    /// let mut groups = ParamGroups::new(1, Sgd::new(0.1), Sgd::new(0.1));
    /// let scheduler = Scheduler::new(OneCycleLr::per_group([0.5, 0.25, 0.1], 9), &mut groups);
    /// assert_eq!(
    ///     scheduler.check().unwrap_err().to_string(),
    ///     "expected 2 values for max_lr, one per group of parameters, found 3"
    /// );
    /// assert!(groups.step(&mut [0.0; 2], &[1.0; 2]).is_err());
    /// ```
    ///
    /// # Errors
    /// A list of more or fewer values than there are groups.
    pub fn check(&self) -> Result<(), OptimizerError> {
        self.schedule.check_groups(self.groups)
    }

    /// Performs [`check`](Self::check) in place of a step, and stores an error in the tape.
    #[track_caller]
    #[inline]
    pub(crate) fn check_on(&self, tape: &Tape<'_>) -> Result<(), Error> {
        match self.check() {
            Ok(()) => Ok(()),
            Err(error) => tape.update(true, |_, _| Err(error)),
        }
    }

    /// The next epoch, counted from 0.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Visits the state: see [`Stateful::visit_state`]. The optimizer's own rates are part of
    /// the optimizer's state.
    pub fn visit_state(&mut self, visit: Visit<'_>) {
        visit_count("last_epoch", &mut self.epoch, visit);
        self.rates.visit(visit);
        self.schedule.visit_state(visit);
    }
}

/// Saves the state in a record. The number of parameters is ignored.
impl<S: Schedule> Stateful for Scheduler<S> {
    fn visit_state(&mut self, _: usize, visit: Visit<'_>) -> Result<(), OptimizerError> {
        self.visit_state(visit);
        Ok(())
    }

    fn visit_hyper(&self, show: Show<'_>) {
        self.schedule.visit_hyper(show);
    }
}

/// A number as the rate of every epoch.
impl Schedule for f32 {
    fn set(&mut self, _: &Now, rates: &mut Rates) {
        rates.set_learning_rate(*self);
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("constant", &[]);
        show("lr", &[*self]);
    }
}

/// A function that returns the rate of each epoch, counted from 1.
impl<F: FnMut(u32) -> f32> Schedule for F {
    fn set(&mut self, now: &Now, rates: &mut Rates) {
        rates.set_learning_rate(self(now.epoch.saturating_add(1)));
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("function", &[]);
    }
}

/// Implements [`Schedule`] for a pointer to a schedule, by forwarding every call.
macro_rules! pointer_is_schedule {
    ($Pointer:ty) => {
        impl Schedule for $Pointer {
            fn observe(&mut self, now: &Now) {
                (**self).observe(now);
            }

            fn set(&mut self, now: &Now, rates: &mut Rates) {
                (**self).set(now, rates);
            }

            fn begins_at_base(&self) -> bool {
                (**self).begins_at_base()
            }

            fn check_groups(&self, groups: u32) -> Result<(), OptimizerError> {
                (**self).check_groups(groups)
            }

            fn visit_state(&mut self, visit: Visit<'_>) {
                (**self).visit_state(visit);
            }

            fn visit_hyper(&self, show: Show<'_>) {
                (**self).visit_hyper(show);
            }
        }
    };
}

#[cfg(feature = "std")]
pointer_is_schedule!(std::boxed::Box<dyn Schedule + '_>);
pointer_is_schedule!(&mut (dyn Schedule + '_));

/// Checks that both bounds of the momentum have a value for each group.
fn check_momentum<const G: usize>(
    momentum: &Option<[PerGroup<G>; 2]>,
    groups: u32,
) -> Result<(), OptimizerError> {
    match momentum {
        Some([base, max]) => {
            base.check("base_momentum", groups)?;
            max.check("max_momentum", groups)
        }
        None => Ok(()),
    }
}

/// Shows the bounds of the momentum, if it is scheduled.
fn show_momentum<const G: usize>(momentum: &Option<[PerGroup<G>; 2]>, show: Show<'_>) {
    momentum.is_some().show("cycle_momentum", show);
    if let Some([base, max]) = momentum {
        base.show("base_momentum", show);
        max.show("max_momentum", show);
    }
}

/// sin²(π/2 · x) for x from 0 to 1, which equals (1 - cos(πx)) / 2.
fn sine_squared(x: TwoFloat) -> TwoFloat {
    const HALF_PI: TwoFloat = TwoFloat::from_f64(core::f64::consts::FRAC_PI_2);
    Real::square(Real::sin(x * HALF_PI))
}
