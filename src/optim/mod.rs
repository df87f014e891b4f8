//! Optimizers, which update parameters from their gradients.
//!
//! All optimizers of `torch.optim` are here, with the names, formulas and defaults of PyTorch
//! 2. The documentation of each states its formula, its options with PyTorch's defaults, and
//! its memory: none ([`Sgd`]), 4 or 8 bytes per parameter (most, with 4 more for each option
//! that needs them), or up to 16. [`Lbfgs`] is a [`Search`], which evaluates the loss itself;
//! [`SparseAdam`] takes indices and values; optimizers that treat matrices differently from
//! vectors, such as [`Adafactor`], take the [`Shapes`] of the parameters.
//!
//! An optimizer receives two flat slices, parameters and gradients, and owns its state. The
//! state is allocated where the optimizer is created: inline for firmware, so that the
//! optimizer can be a `static`, in a slice of the caller, or on the heap with the feature
//! `std`. All optimizers use the same constructors: `Adam::<2>::new(lr)` holds the state of two
//! parameters inline, `Adam::with_state(lr, &mut floats)` and `Adam::on_heap(lr, 2)` hold it
//! elsewhere. [`Stateful`] saves and restores the state, as bytes in a
//! [`record`](crate::record). [`schedule`] contains learning rates that change from epoch to
//! epoch; [`ParamGroups`] gives each part of the parameters its own optimizer, and
//! [`Tape::clip_grad_norm`] and [`Tape::clip_grad_value`] clip gradients.
//!
//! ```
//! use baregrad::optim::{Adam, Optimizer, OptimizerError, Sgd};
//!
//! /// Where 100 steps down (x - 3)² + (y + 1)² lead from the origin.
//! fn descend(mut optimizer: impl Optimizer) -> Result<[f32; 2], OptimizerError> {
//!     let mut params = [0.0, 0.0];
//!     for _ in 0..100 {
//!         let [x, y] = params;
//!         optimizer.step(&mut params, &[2.0 * (x - 3.0), 2.0 * (y + 1.0)])?;
//!     }
//!     Ok(params)
//! }
//!
//! let plain = descend(Sgd::new(0.1))?; // no state
//! let momentum = descend(Sgd::new(0.05).momentum::<2>(0.5))?; // state for 2 parameters
//! let adam = descend(Adam::<2>::new(0.2).betas(0.8, 0.99))?;
//! for [x, y] in [plain, momentum, adam] {
//!     assert!((x - 3.0).abs() < 0.01 && (y + 1.0).abs() < 0.01, "{x} {y}");
//! }
//! # Ok::<(), OptimizerError>(())
//! ```
//!
//! Every optimizer is a [`Rule`] in a [`Stepper`]. Most rules are a formula for one element,
//! which one sweep over memory applies with as many lanes as the target has; the number of
//! lanes does not change a bit of the result. Implement [`Rule`] to add your own.

mod builders;
mod clip;
mod decay;
mod groups;
mod lbfgs;
mod q63;
pub mod schedule;
mod search;
mod sgd;
mod shapes;
mod state_dict;
mod stepper;
mod sweep;

pub use clip::{ClipGradNorm, Norm, clip_grad_norm, clip_grad_value};
pub use groups::ParamGroups;
pub use lbfgs::{Lbfgs, LbfgsMemory, LbfgsStorage};
pub use search::{Answer, Minimized, Reason, Search};
pub use sgd::{Sgd, SgdRule};
pub use shapes::Shapes;
pub use state_dict::{LoadError, Text};
pub use stepper::{Rule, Show, Stepper, Storage, Visit};
pub use sweep::{Element, sweep};

pub use crate::error::OptimizerError;

use crate::error::Error;
use crate::function::TwoFloat;
use crate::kernel::Lanes;
use crate::tape::Tape;
use schedule::Rates;

/// Declares and exports the modules of the optimizers that have a `new(lr)`, and defines
/// `each_optimizer`, with which tests and firmware iterate over them. A new optimizer takes a
/// file and an entry in the list below.
///
/// `cargo fmt` does not find files that a macro declares. Use
/// `rustfmt --edition 2024 src/optim/*.rs`, as `.ci/run` does.
macro_rules! optimizers {
    ($d:tt $($file:ident: $name:ident = $torch:literal [$($option:ident $values:tt)*];)*) => {
        $(
            mod $file;
            pub use $file::*;
        )*

        /// Passes the list of optimizers to a macro. Each entry has the type, its name in
        /// `torch.optim`, and its options with values to test them with. PyTorch knows the
        /// options by the same names. The values refer to exports of this module.
        #[doc(hidden)]
        #[macro_export]
        macro_rules! each_optimizer {
            ($d to:ident) => {
                $d to! { $($name = $torch [$($option $values)*];)* }
            };
        }
    };
}

optimizers! { $
    adafactor: Adafactor = "Adafactor" [shapes() beta2_decay(-0.5) eps1(1e-6) eps2(0.01) d(2.0)
        weight_decay(0.1) maximize()];
    adadelta: Adadelta = "Adadelta" [rho(0.5) eps(0.001) weight_decay(0.1) maximize()];
    adagrad: Adagrad = "Adagrad" [lr_decay(0.1) initial_accumulator_value(0.5) eps(0.001)
        weight_decay(0.1) maximize()];
    adam: Adam = "Adam" [betas(0.75, 0.875) eps(0.001) weight_decay(0.1) maximize() amsgrad()];
    adam_w: AdamW = "AdamW" [betas(0.75, 0.875) eps(0.001) weight_decay(0.1) maximize() amsgrad()];
    adamax: Adamax = "Adamax" [betas(0.75, 0.875) eps(0.001) weight_decay(0.1) maximize()];
    asgd: Asgd = "ASGD" [lambd(0.01) alpha(0.5) t0(2.0) weight_decay(0.1) maximize()];
    muon: Muon = "Muon" [shapes() momentum(0.75) nesterov(false)
        ns_coefficients([3.0, -4.0, 2.0]) ns_steps(3) eps(0.001) weight_decay(0.2)
        adjust_lr_fn(AdjustLr::MatchRmsAdamW)];
    nadam: NAdam = "NAdam" [betas(0.75, 0.875) eps(0.001) momentum_decay(0.5) weight_decay(0.1)
        decoupled_weight_decay() maximize()];
    radam: RAdam = "RAdam" [betas(0.75, 0.875) eps(0.001) weight_decay(0.1)
        decoupled_weight_decay() maximize()];
    rms_prop: RmsProp = "RMSprop" [alpha(0.75) eps(0.001) momentum(0.5) centered()
        weight_decay(0.1) maximize()];
    rprop: Rprop = "Rprop" [etas(0.25, 1.5) step_sizes(0.001, 2.0) maximize()];
    sparse_adam: SparseAdam = "SparseAdam" [betas(0.75, 0.875) eps(0.001) maximize()];
}

/// Updates parameters from their gradients: the interface of all optimizers.
pub trait Optimizer {
    /// Updates every parameter from its gradient. During a [`Tape::step`], the tape is locked:
    /// its methods return errors, and variables recorded by `step` are invalid.
    ///
    /// # Errors
    ///
    /// Slices or state of different lengths, or a hyper-parameter that is out of range. No
    /// parameter should have changed then; see
    /// [`refusals_change_nothing`](Self::refusals_change_nothing).
    fn step(&mut self, params: &mut [f32], grads: &[f32]) -> Result<(), OptimizerError>;

    /// Whether a [`step`](Self::step) that returns an error is guaranteed to leave all
    /// parameters unchanged. This holds for all optimizers of this module but [`ParamGroups`],
    /// whose first group is updated before the second one can return an error. If `false`, the
    /// default, the tape treats its results as outdated after an error: it requires a replay
    /// before the next `backward`.
    fn refusals_change_nothing(&self) -> bool {
        false
    }

    /// The shapes of the parameters, if the optimizer uses them: see [`Shapes`].
    #[inline(always)]
    fn shapes(&self) -> Shapes<'_> {
        Shapes::VECTOR
    }

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f32;

    /// Sets the learning rate between steps.
    fn set_learning_rate(&mut self, lr: f32);

    /// The momentum of the next step, for optimizers that have one: [`Sgd`] and [`RmsProp`].
    /// For [`Adam`] and related optimizers, it is β₁, as for PyTorch's schedules.
    fn momentum_factor(&self) -> Option<f32> {
        None
    }

    /// Sets the momentum between steps. Has no effect on optimizers without momentum.
    fn set_momentum_factor(&mut self, momentum: f32) {
        let _ = momentum;
    }

    /// Calls `set` with the rates of each parameter group, and applies the result. A
    /// [`Scheduler`](schedule::Scheduler) calls this in every epoch. `rates` are those of the
    /// first or only group; [`ParamGroups`] stores those of the other groups, and takes them
    /// from the groups' optimizers if `start` is true. An optimizer that wraps another one
    /// should forward the call.
    fn schedule(&mut self, start: bool, rates: &mut Rates, set: &mut dyn FnMut(&mut Rates)) {
        let _ = start;
        let before = rates.momentum();
        set(rates);
        self.set_learning_rate(rates.learning_rate());
        // Most schedules leave the momentum unchanged.
        if let Some(momentum) = rates.momentum().filter(|now| Some(*now) != before) {
            self.set_momentum_factor(momentum);
        }
    }
}

/// State that can be saved and restored: training that continues in another optimizer with a
/// restored state computes the same bits as without the interruption.
///
/// The state is a list of named numbers, like PyTorch's `state_dict`, with PyTorch's names
/// where they exist. The list does not depend on the storage: a state saved from an optimizer
/// on the heap fits one with inline state.
///
/// ```
/// use baregrad::optim::{Adam, Optimizer, Stateful};
///
/// let mut adam = Adam::<2>::new(0.1);
/// let mut params = [1.0, 0.0];
/// adam.step(&mut params, &[20.0, -0.003])?;
///
/// // Kept: names and numbers, here in memory. A file or a page of flash does as well.
/// let mut kept = Vec::new();
/// adam.visit_state(2, &mut |name, numbers| kept.push((name, numbers.to_vec())))?;
/// assert_eq!(kept[0], ("lr", vec![0.1]));
///
/// // Restored: the same names come in the same order.
/// let mut restored = Adam::<2>::new(1e-3);
/// let mut parts = kept.iter();
/// restored.visit_state(2, &mut |name, numbers| {
///     let (kept_name, kept) = parts.next().unwrap();
///     assert_eq!(*kept_name, name);
///     numbers.copy_from_slice(kept);
/// })?;
///
/// let mut again = params;
/// adam.step(&mut params, &[10.0, 1.0])?;
/// restored.step(&mut again, &[10.0, 1.0])?;
/// assert_eq!(again, params);
/// # Ok::<(), baregrad::optim::OptimizerError>(())
/// ```
pub trait Stateful {
    /// Calls `visit` with the name and the numbers of each part of the state: first scalars,
    /// among them the learning rate, then buffers with one number per parameter or, for
    /// optimizers with [`Shapes`], as many as the shapes need. `visit` reads the numbers to
    /// save them, or overwrites them to restore them.
    ///
    /// Names are unique, except that [`ParamGroups`] repeats them group after group. Names,
    /// their order and the number of numbers depend on the optimizer's options and on `params`
    /// only. Counts and powers of more than 24 bits are split into several numbers. All numbers
    /// are finite if parameters and gradients were. Hyper-parameters that do not change between
    /// steps are not included: restore into an optimizer that was built with the same options.
    ///
    /// # Errors
    /// No room for the state of `params` parameters. `visit` was not called then.
    fn visit_state(&mut self, params: usize, visit: Visit<'_>) -> Result<(), OptimizerError>;

    /// Calls `show` with the name of the rule, without numbers, and then with every
    /// hyper-parameter that no step changes. A record contains them, so that a state is not
    /// loaded into another rule or one with other hyper-parameters. The default shows none:
    /// then only names and lengths of the state are compared.
    fn visit_hyper(&self, show: Show<'_>) {
        let _ = show;
    }
}

impl Tape<'_> {
    /// Updates the parameters with `optimizer`. Results keep their old values until
    /// [`replay`](Self::replay).
    ///
    /// # Errors
    /// A parameter without a gradient (the error names it; see
    /// [`allow_unused`](Self::allow_unused)), an error of the optimizer, or an earlier error
    /// that the tape keeps. The parameters are then unchanged, unless [`ParamGroups`] or a custom
    /// optimizer changed some of them before it returned its error.
    #[track_caller]
    #[inline]
    pub fn step<O: Optimizer + ?Sized>(&self, optimizer: &mut O) -> Result<(), Error> {
        if let Some(shapes) = optimizer.shapes().told() {
            self.check_param_shapes(shapes)?;
        }
        self.update(optimizer.refusals_change_nothing(), |params, grads| {
            optimizer.step(params, grads)
        })
    }
}

/// Returns an error unless `holds`. Builders are `const` and cannot fail, and a learning rate
/// may change at any time: ranges are therefore checked in `step`.
fn require(holds: bool, expected: &'static str, found: f32) -> Result<(), OptimizerError> {
    if holds {
        Ok(())
    } else {
        Err(OptimizerError::HyperParameter { expected, found })
    }
}

/// The objective to minimise: the loss, or its negative with `maximize`, plus a penalty on
/// large parameters.
#[derive(Clone, Copy, Debug)]
struct Objective {
    maximize: bool,
    /// Whether `weight_decay` is decoupled: it multiplies the parameter by
    /// `1 - lr · weight_decay` instead of adding a penalty.
    decoupled: bool,
    weight_decay: f32,
}

impl Objective {
    const LOSS: Self = Self {
        maximize: false,
        decoupled: false,
        weight_decay: 0.0,
    };

    fn check(&self) -> Result<(), OptimizerError> {
        let decay = self.weight_decay;
        require(decay >= 0.0, "weight_decay >= 0", decay)
    }

    /// The gradient of the objective, given the gradient of the loss.
    #[inline(always)]
    fn gradient<L: Lanes>(&self, p: L, g: L) -> L {
        let g = if self.maximize { -g } else { g };
        if self.weight_decay == 0.0 {
            g
        } else {
            g + L::splat(self.weight_decay) * p
        }
    }

    /// The factor of a parameter before a step: `1 - lr · weight_decay` if the decay is
    /// decoupled, otherwise 1.
    fn keep(&self, lr: f32) -> f32 {
        if self.decoupled {
            one_minus_product(lr, self.weight_decay)
        } else {
            1.0
        }
    }

    /// Returns the parameter, multiplied by `keep` if the decay is decoupled, and the gradient
    /// of the objective.
    #[inline(always)]
    fn apply<L: Lanes>(&self, keep: f32, p: L, g: L) -> [L; 2] {
        if self.decoupled {
            let g = if self.maximize { -g } else { g };
            [p * L::splat(keep), g]
        } else {
            [p, self.gradient(p, g)]
        }
    }
}

/// `1 - a · b`, the factor of a decaying parameter, rounded once like PyTorch's `f64` result.
/// Two roundings would lose digits where the product is near 1.
fn one_minus_product(a: f32, b: f32) -> f32 {
    (TwoFloat::ONE - TwoFloat::from(a) * b).to_f32()
}

/// Linear interpolation like `torch.lerp`: from the nearer end, exact at both.
#[inline(always)]
fn lerp<L: Lanes>(from: L, to: L, weight: f32) -> L {
    if weight < 0.5 {
        from + L::splat(weight) * (to - from)
    } else {
        to + L::splat(weight - 1.0) * (to - from)
    }
}

/// Splits a count into two 16-bit numbers, which `f32` holds exactly.
pub(crate) const fn halves(count: u32) -> [f32; 2] {
    [(count >> 16) as f32, (count & 0xffff) as f32]
}

/// Visits a count as two 16-bit numbers.
pub(crate) fn visit_count(name: &'static str, count: &mut u32, visit: Visit<'_>) {
    let mut halves = halves(*count);
    visit(name, &mut halves);
    let [high, low] = halves;
    *count = (high as u32) << 16 | (low as u32 & 0xffff);
}

/// Visits a number.
fn visit_number(name: &'static str, number: &mut f32, visit: Visit<'_>) {
    let mut one = [*number];
    visit(name, &mut one);
    [*number] = one;
}

/// Visits the two parts of a pair.
fn visit_two(name: &'static str, x: &mut TwoFloat, visit: Visit<'_>) {
    let mut both = [x.high(), x.low()];
    visit(name, &mut both);
    let [high, low] = both;
    *x = TwoFloat::sum(high, low);
}

#[cfg(test)]
mod tests {
    use super::Objective;

    /// No penalty, a penalty, and decoupled weight decay.
    pub(super) const OBJECTIVES: [Objective; 3] = {
        let penalised = Objective {
            maximize: true,
            decoupled: false,
            weight_decay: 0.01,
        };
        let decoupled = Objective {
            decoupled: true,
            ..penalised
        };
        [Objective::LOSS, penalised, decoupled]
    };
}
