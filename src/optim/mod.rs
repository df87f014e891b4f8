//! Optimizers, which turn gradients into better parameters.
//!
//! All of `torch.optim` is here, and each says its formula, its options with PyTorch's
//! defaults, and the memory it takes: from none ([`Sgd`]) through 4 or 8 bytes per parameter
//! (most, with 4 more for each option that needs them) to 16. [`Lbfgs`] is a
//! [`Search`], which evaluates the loss itself; [`SparseAdam`] takes indices and values;
//! rules that treat matrices otherwise, as [`Adafactor`], ask for the [`Shapes`] of parameters.
//!
//! Names, defaults and formulas are those of PyTorch 2. An optimizer sees two
//! flat slices, parameters and gradients, and owns its state, which is sized
//! where it is made: inline for firmware, so that it can be a `static`, in a slice
//! of the caller's, or on the heap with the feature `std`. All are spelled alike:
//! `Adam::<2>::new(lr)` has room for two parameters inline,
//! `Adam::with_state(lr, &mut floats)` and `Adam::on_heap(lr, 2)` have it elsewhere. State
//! can be kept and restored: [`Stateful`], as bytes in a [`record`](crate::record).
//! Learning rates that go from epoch to epoch are in [`schedule`]; [`ParamGroups`] gives each part of the parameters its own optimizer, and
//! [`Tape::clip_grad_norm`] and [`Tape::clip_grad_value`] shorten gradients.
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
//! Every optimizer is a [`Rule`] in a [`Stepper`]: a formula for one element, swept once
//! over memory by as many lanes as the target has; which lanes does not change a bit of
//! the result. A rule of your own is one, too.

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

/// Declares the files of the optimizers that have a `new(lr)`, exports what they have,
/// and makes `each_optimizer`, by which tests and firmware go through all of them: a new
/// optimizer is a file and a line of the list below.
///
/// `cargo fmt` does not see files that a macro declares: `rustfmt --edition 2024
/// src/optim/*.rs` does, as in `.ci/run`.
macro_rules! optimizers {
    ($d:tt $($file:ident: $name:ident = $torch:literal [$($option:ident $values:tt)*];)*) => {
        $(
            mod $file;
            pub use $file::*;
        )*

        /// Hands the list of optimizers to a macro: of each its type, its name in
        /// `torch.optim`, and the options, which are builders and known to PyTorch by the
        /// same names, with values to test them with. The values name what this module
        /// exports.
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

/// Updates parameters from their gradients.
pub trait Optimizer {
    /// One update of every parameter from its gradient. The tape they are of is not at
    /// hand meanwhile: what is asked of it is refused, and what is recorded is an error
    /// to use.
    ///
    /// # Errors
    ///
    /// If the slices or the state differ in length, or a hyper-parameter is
    /// out of range. Then nothing should have changed; see
    /// [`refusals_change_nothing`](Self::refusals_change_nothing).
    fn step(&mut self, params: &mut [f32], grads: &[f32]) -> Result<(), OptimizerError>;

    /// Whether it is sure that a [`step`](Self::step) that is refused has changed no
    /// parameter, as it is of all optimizers here. Otherwise, as by default, the tape
    /// takes results to be older than the parameters then: they must be replayed before
    /// the next `backward`.
    fn refusals_change_nothing(&self) -> bool {
        false
    }

    /// The shapes that it was told, if it asks for any: see [`Shapes`].
    #[inline(always)]
    fn shapes(&self) -> Shapes<'_> {
        Shapes::VECTOR
    }

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f32;

    /// Sets the learning rate between steps.
    fn set_learning_rate(&mut self, lr: f32);

    /// The momentum of the next step, for optimizers that have one: [`Sgd`] and
    /// [`RmsProp`]; of [`Adam`] and its relatives it is β₁, as to PyTorch's schedules.
    fn momentum_factor(&self) -> Option<f32> {
        None
    }

    /// Sets the momentum between steps. Nothing happens where there is none.
    fn set_momentum_factor(&mut self, momentum: f32) {
        let _ = momentum;
    }

    /// Gives every group of parameters the rates that `set` makes of its own: what a
    /// [`Scheduler`](schedule::Scheduler) does in every epoch. `rates` are those of the
    /// first group, or of the only one; [`ParamGroups`] holds those of the others, which
    /// `start` takes from their optimizers. An optimizer around another hands this on.
    fn schedule(&mut self, start: bool, rates: &mut Rates, set: &mut dyn FnMut(&mut Rates)) {
        let _ = start;
        let before = rates.momentum();
        set(rates);
        self.set_learning_rate(rates.learning_rate());
        // Most schedules leave it alone.
        if let Some(momentum) = rates.momentum().filter(|now| Some(*now) != before) {
            self.set_momentum_factor(momentum);
        }
    }
}

/// A memory of earlier steps that can be kept and restored: training
/// that was stopped, saved, and restored into a new optimizer goes on to the same bits.
///
/// The state is a list of named numbers, as PyTorch's `state_dict`, with its names where
/// it has them. It is the same list wherever the numbers live, so that a state saved from
/// an optimizer on the heap fits one with inline state.
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
    /// Shows every part of the state to `visit`, with its name: first scalars, among them
    /// the learning rate, then buffers of `params` numbers, one per parameter, or of as many
    /// as the shapes say that the optimizer was told. `visit`
    /// reads them, to keep them, or overwrites them, to restore them.
    ///
    /// Names differ, but for those of [`ParamGroups`], which come group after group; and
    /// their number, order and lengths depend on the optimizer's options and on `params`
    /// alone. Counts and powers of more than 24 bits are several
    /// numbers. All are finite unless parameters or gradients were not. Other
    /// hyper-parameters than those that may change between steps are not part of it:
    /// restore into an optimizer that was built alike.
    ///
    /// # Errors
    /// If there is no room for so many parameters. Then nothing was shown.
    fn visit_state(&mut self, params: usize, visit: Visit<'_>) -> Result<(), OptimizerError>;

    /// Shows what it was built as: the name of its rule, with no numbers, then every
    /// hyper-parameter that no step changes. A record keeps them, and a state is not loaded
    /// into another rule or with others. By default there are none, and nothing but the
    /// names and lengths of the state is compared.
    fn visit_hyper(&self, show: Show<'_>) {
        let _ = show;
    }
}

impl Tape<'_> {
    /// Updates the parameters. Results keep their old values until
    /// [`replay`](Self::replay).
    ///
    /// # Errors
    /// A parameter without a gradient (the error names it; see
    /// [`allow_unused`](Self::allow_unused)), what the optimizer refuses, or
    /// the error the tape keeps. Parameters are then unchanged, unless an optimizer of
    /// your own has changed them before it refused.
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

/// Fails unless `holds`. Builders are `const` and cannot fail, and a learning
/// rate may change at any time, so ranges are checked where they matter: in
/// `step`.
fn require(holds: bool, expected: &'static str, found: f32) -> Result<(), OptimizerError> {
    if holds {
        Ok(())
    } else {
        Err(OptimizerError::HyperParameter { expected, found })
    }
}

/// The quantity to minimise: the loss, or with `maximize` its opposite, and a penalty
/// on large parameters.
#[derive(Clone, Copy, Debug)]
struct Objective {
    maximize: bool,
    /// Whether `weight_decay` shortens the parameter, `p · (1 - lr · weight_decay)`, and is
    /// no penalty.
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

    /// The gradient of the objective, from that of the loss.
    #[inline(always)]
    fn gradient<L: Lanes>(&self, p: L, g: L) -> L {
        let g = if self.maximize { -g } else { g };
        if self.weight_decay == 0.0 {
            g
        } else {
            g + L::splat(self.weight_decay) * p
        }
    }

    /// The part of a parameter that weight decay leaves before a step of that rate: `1 - lr ·
    /// weight_decay` where it is decoupled, otherwise all of it.
    fn keep(&self, lr: f32) -> f32 {
        if self.decoupled {
            one_minus_product(lr, self.weight_decay)
        } else {
            1.0
        }
    }

    /// The parameter before a step, of which `keep` is left, and the gradient.
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

/// `1 - a · b` for what is left of a parameter that decays: rounded once, as PyTorch rounds
/// its `f64`. Two roundings lose digits where the product is next to 1.
fn one_minus_product(a: f32, b: f32) -> f32 {
    (TwoFloat::ONE - TwoFloat::from(a) * b).to_f32()
}

/// As `torch.lerp`: from the nearer end, exact at both.
#[inline(always)]
fn lerp<L: Lanes>(from: L, to: L, weight: f32) -> L {
    if weight < 0.5 {
        from + L::splat(weight) * (to - from)
    } else {
        to + L::splat(weight - 1.0) * (to - from)
    }
}

/// A count as two numbers of 16 bits, which are exact.
pub(crate) const fn halves(count: u32) -> [f32; 2] {
    [(count >> 16) as f32, (count & 0xffff) as f32]
}

/// Shows a count as two numbers of 16 bits, and takes it back.
pub(crate) fn visit_count(name: &'static str, count: &mut u32, visit: Visit<'_>) {
    let mut halves = halves(*count);
    visit(name, &mut halves);
    let [high, low] = halves;
    *count = (high as u32) << 16 | (low as u32 & 0xffff);
}

/// Shows a number, and takes it back.
fn visit_number(name: &'static str, number: &mut f32, visit: Visit<'_>) {
    let mut one = [*number];
    visit(name, &mut one);
    [*number] = one;
}

/// Shows a number of two parts, and takes it back.
fn visit_two(name: &'static str, x: &mut TwoFloat, visit: Visit<'_>) {
    let mut both = [x.high(), x.low()];
    visit(name, &mut both);
    let [high, low] = both;
    *x = TwoFloat::sum(high, low);
}

#[cfg(test)]
mod tests {
    use super::Objective;

    /// With and without a penalty, and weight decay that is none.
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
