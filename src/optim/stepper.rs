//! The common structure of all optimizers: a formula, and the memory for its state.
//!
//! A [`Rule`] is a formula. It defines the number of state buffers, with one number per
//! parameter, and the computation of one step. A [`Stepper`] combines a rule with the memory
//! for its buffers, which a [`Storage`] lends: inside the optimizer, on the heap, or in a slice
//! of the caller. Most rules are an [`Element`](super::Element), the step of one parameter,
//! which [`sweep`](super::sweep) applies to all parameters.

use super::{Optimizer, OptimizerError, Shapes, Stateful};

/// The formula of an optimizer: its hyper-parameters, the scalars that change from step to
/// step, and the computation of a step. A rule owns no memory that grows with the number of
/// parameters.
///
/// ```
/// use baregrad::kernel::Lanes;
/// use baregrad::optim::{Element, Optimizer, OptimizerError, Rule, Stepper, sweep};
///
/// /// Steps along the sign of the momentum, always `lr` long: Lion without its decay.
/// #[derive(Clone, Debug)]
/// struct SignDescent {
///     lr: f32,
/// }
///
/// impl Element for SignDescent {
///     fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
///         let [momentum] = state else { return p };
///         *momentum = L::splat(0.9) * *momentum + L::splat(0.1) * g;
///         let zero = L::splat(0.0);
///         let step = L::select(momentum.lt(zero), L::splat(-self.lr), L::splat(self.lr));
///         p - L::select(momentum.eq(zero), zero, step)
///     }
/// }
///
/// impl Rule for SignDescent {
///     fn buffers(&self) -> &'static [&'static str] {
///         &["momentum_buffer"]
///     }
///     fn step(
///         &mut self,
///         params: &mut [f32],
///         grads: &[f32],
///         state: &mut [&mut [f32]],
///     ) -> Result<(), OptimizerError> {
///         match state {
///             [momentum] => sweep(&*self, params, grads, [momentum]),
///             _ => Err(OptimizerError::StateSize { state: 0, params: params.len() }),
///         }
///     }
///     fn learning_rate(&self) -> f32 {
///         self.lr
///     }
///     fn set_learning_rate(&mut self, lr: f32) {
///         self.lr = lr;
///     }
/// }
///
/// let mut lion = Stepper::<_, 2, [[f32; 2]; 1]>::from_rule(SignDescent { lr: 0.5 });
/// let mut params = [1.0, 0.0];
/// lion.step(&mut params, &[3.0, -1e-3])?;
/// assert_eq!(params, [0.5, 0.5]);
/// # Ok::<(), OptimizerError>(())
/// ```
pub trait Rule {
    /// The names of the buffers that hold one number per parameter, as in PyTorch's
    /// `state_dict`. [`step`](Self::step) receives the buffers in this order. There may be up
    /// to four, including [`scratch`](Self::scratch); [`sweep`](super::sweep) supports three.
    fn buffers(&self) -> &'static [&'static str];

    /// Updates every parameter from its gradient. `state` contains a slice for each of
    /// [`buffers`](Self::buffers) and [`scratch`](Self::scratch). If the type of the [`Stepper`]
    /// has another number of buffers inline, it contains that number, and the rule returns an
    /// error. Each slice has at least as many numbers as there are
    /// parameters if the memory is large enough, which [`sweep`](super::sweep) checks. All
    /// numbers are 0 before the first step.
    ///
    /// # Errors
    /// Slices of different lengths, or a hyper-parameter that is out of range. Nothing has
    /// changed then.
    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError>;

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f32;

    /// Sets the learning rate of the next step.
    fn set_learning_rate(&mut self, lr: f32);

    /// The momentum, if the rule has one: see [`Optimizer::momentum_factor`].
    fn momentum_factor(&self) -> Option<f32> {
        None
    }

    /// Sets the momentum of the next step, if the rule has one.
    fn set_momentum_factor(&mut self, momentum: f32) {
        let _ = momentum;
    }

    /// Calls `visit` with every scalar that changes from step to step: see
    /// [`Stateful::visit_state`]. The default has none.
    fn visit_scalars(&mut self, visit: Visit<'_>) {
        let _ = visit;
    }

    /// Calls `show` with the name of the rule, without numbers, and with every hyper-parameter
    /// that no step changes: see [`Stateful::visit_hyper`].
    fn visit_hyper(&self, show: Show<'_>) {
        let _ = show;
    }

    /// Forgets all steps. The caller zeroes the buffers.
    fn reset(&mut self) {}

    /// The number of work buffers that [`step`](Self::step) receives after those of
    /// [`buffers`](Self::buffers). They are not part of the saved state. Default: 0.
    fn scratch(&self) -> usize {
        0
    }

    /// The number of numbers in use in each buffer for `params` parameters. Default: `params`.
    fn numbers(&self, params: usize) -> usize {
        params
    }

    /// The shapes of the parameters, if the rule uses them. [`Tape::step`](crate::Tape::step)
    /// compares them with those of the tape's parameters.
    #[inline(always)]
    fn shapes(&self) -> Shapes<'_> {
        Shapes::VECTOR
    }
}

/// A function that reads or overwrites named numbers: see [`Stateful::visit_state`].
pub type Visit<'v> = &'v mut dyn FnMut(&'static str, &mut [f32]);

/// A function that receives a name and its numbers: see [`Stateful::visit_hyper`].
pub type Show<'s> = &'s mut dyn FnMut(&'static str, &[f32]);

/// Memory for the state of an optimizer. `[[f32; N]; K]` holds `K` buffers for up to `N`
/// parameters inside the optimizer. `&mut [f32]` and, with the feature `std`, `Vec<f32>` are
/// divided into as many equal buffers as the rule needs.
pub trait Storage {
    /// Calls `use_them` with `count` buffers.
    fn lend<T>(&mut self, count: usize, use_them: impl FnOnce(&mut [&mut [f32]]) -> T) -> T;
}

impl<const N: usize, const K: usize> Storage for [[f32; N]; K] {
    #[inline(always)]
    fn lend<T>(&mut self, _: usize, use_them: impl FnOnce(&mut [&mut [f32]]) -> T) -> T {
        // Written out: a loop over at most four buffers is not unrolled when compiled for size,
        // which takes 150 bytes more on a Cortex-M4F.
        match self.as_mut_slice() {
            [] => use_them(&mut []),
            [a] => use_them(&mut [a]),
            [a, b] => use_them(&mut [a, b]),
            [a, b, c] => use_them(&mut [a, b, c]),
            // No more than four, see `Stepper::from_rule`.
            [a, b, c, d, ..] => use_them(&mut [a, b, c, d]),
        }
    }
}

impl Storage for &mut [f32] {
    fn lend<T>(&mut self, count: usize, use_them: impl FnOnce(&mut [&mut [f32]]) -> T) -> T {
        let each = self.len().checked_div(count).unwrap_or_default();
        let mut rest = &mut **self;
        let mut buffers: [&mut [f32]; MOST] = core::array::from_fn(|_| {
            let (buffer, others) = core::mem::take(&mut rest)
                .split_at_mut_checked(each)
                .unwrap_or_default();
            rest = others;
            buffer
        });
        use_them(buffers.get_mut(..count).unwrap_or_default())
    }
}

#[cfg(feature = "std")]
impl Storage for std::vec::Vec<f32> {
    fn lend<T>(&mut self, count: usize, use_them: impl FnOnce(&mut [&mut [f32]]) -> T) -> T {
        self.as_mut_slice().lend(count, use_them)
    }
}

/// The number of buffers that a rule receives.
#[inline(always)]
fn buffers_of<R: Rule + ?Sized>(rule: &R) -> usize {
    rule.buffers().len().saturating_add(rule.scratch())
}

/// The maximum number of buffers of a rule.
const MOST: usize = 4;

/// A rule and the memory for its state: an optimizer. [`Sgd`](super::Sgd),
/// [`Adam`](super::Adam) and all others with state per parameter are aliases of this type.
///
/// `N` is the number of parameters for which there is room inline, `S` the [`Storage`]. There
/// may be room for more parameters than are used: the rest stays 0.
#[derive(Clone, Debug)]
pub struct Stepper<R, const N: usize, S> {
    pub(super) rule: R,
    pub(super) state: S,
}

impl<R, const N: usize, const K: usize> Stepper<R, N, [[f32; N]; K]> {
    /// Creates an optimizer with state for up to `N` parameters inline.
    #[must_use]
    #[inline(always)]
    pub const fn from_rule(rule: R) -> Self {
        const { assert!(K <= MOST, "a rule has up to four buffers") };
        Self {
            rule,
            // A constant, so that the compiler writes it to its destination without a
            // temporary.
            state: const { [[0.0; N]; K] },
        }
    }
}

impl<'s, R> Stepper<R, 0, &'s mut [f32]> {
    /// Creates an optimizer with state in a slice of the caller, of at least one float per
    /// parameter for each of [`Rule::buffers`] and [`Rule::scratch`]. The slice is zeroed.
    #[must_use]
    pub fn from_rule_with_state(rule: R, state: &'s mut [f32]) -> Self {
        state.fill(0.0);
        Self { rule, state }
    }
}

#[cfg(feature = "std")]
impl<R: Rule> Stepper<R, 0, std::vec::Vec<f32>> {
    /// Creates an optimizer with state for up to `params` parameters on the heap.
    #[must_use]
    pub fn from_rule_on_heap(rule: R, params: usize) -> Self {
        let state = std::vec![0.0; params * buffers_of(&rule)];
        Self { rule, state }
    }
}

impl<R: Rule, const N: usize, S: Storage> Stepper<R, N, S> {
    /// Forgets all steps. Hyper-parameters stay.
    pub fn reset(&mut self) {
        self.rule.reset();
        let count = buffers_of(&self.rule);
        self.state.lend(count, |buffers| {
            buffers.iter_mut().for_each(|buffer| buffer.fill(0.0));
        });
    }
}

impl<R: Rule, const N: usize, S: Storage> Optimizer for Stepper<R, N, S> {
    #[inline]
    fn step(&mut self, params: &mut [f32], grads: &[f32]) -> Result<(), OptimizerError> {
        let Self { rule, state } = self;
        state.lend(buffers_of(rule), |buffers| {
            rule.step(params, grads, buffers)
        })
    }

    fn refusals_change_nothing(&self) -> bool {
        true
    }

    #[inline(always)]
    fn shapes(&self) -> Shapes<'_> {
        self.rule.shapes()
    }

    fn learning_rate(&self) -> f32 {
        self.rule.learning_rate()
    }

    fn set_learning_rate(&mut self, lr: f32) {
        self.rule.set_learning_rate(lr);
    }

    fn momentum_factor(&self) -> Option<f32> {
        self.rule.momentum_factor()
    }

    fn set_momentum_factor(&mut self, momentum: f32) {
        self.rule.set_momentum_factor(momentum);
    }
}

impl<R: Rule, const N: usize, S: Storage> Stateful for Stepper<R, N, S> {
    fn visit_state(&mut self, params: usize, visit: Visit<'_>) -> Result<(), OptimizerError> {
        let Self { rule, state } = self;
        let names = rule.buffers();
        let numbers = rule.numbers(params);
        state.lend(buffers_of(rule), |buffers| {
            let buffers = buffers.get_mut(..names.len()).unwrap_or_default();
            let least = buffers.iter().map(|buffer| buffer.len()).min();
            if let Some(room) = least.filter(|least| *least < numbers) {
                return Err(OptimizerError::StateSize {
                    state: room,
                    params: numbers,
                });
            }
            let mut lr = [rule.learning_rate()];
            visit("lr", &mut lr);
            rule.set_learning_rate(lr[0]);
            rule.visit_scalars(visit);
            for (name, buffer) in names.iter().zip(buffers) {
                visit(name, buffer.get_mut(..numbers).unwrap_or_default());
            }
            Ok(())
        })
    }

    fn visit_hyper(&self, show: Show<'_>) {
        self.rule.visit_hyper(show);
    }
}
