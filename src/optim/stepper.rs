//! All optimizers share this: a formula, and where its state lives.
//!
//! A [`Rule`] is a formula. It says how many numbers per parameter it remembers and what
//! one step does; a [`Stepper`] is a rule together with the memory for them, which a
//! [`Storage`] lends: inside the optimizer, on the heap, or in a slice of the caller's.
//! Most rules are an [`Element`](super::Element), one step of one parameter, swept over
//! memory by [`sweep`](super::sweep).

use super::{Optimizer, OptimizerError, Shapes, Stateful};

/// The formula of an optimizer: its hyper-parameters, the scalars that change from step
/// to step, and what a step does. A rule owns no memory that grows with the parameters.
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
///         let [momentum] = state else { return Ok(()) };
///         sweep(&*self, params, grads, [momentum])
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
    /// The names, as in PyTorch's `state_dict`, of the buffers that hold one number per
    /// parameter: as many as are lent to [`step`](Self::step), in this order.
    fn buffers(&self) -> &'static [&'static str];

    /// One update of every parameter from its gradient. `state` has a slice for each of
    /// [`buffers`](Self::buffers), of at least as many numbers as there are parameters
    /// if the memory is large enough, which [`sweep`](super::sweep) checks. All numbers are 0 before
    /// the first step.
    ///
    /// # Errors
    /// Slices that do not fit each other, or a hyper-parameter out of range. Then nothing
    /// has changed.
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

    /// The momentum, where there is one: see [`Optimizer::momentum_factor`].
    fn momentum_factor(&self) -> Option<f32> {
        None
    }

    /// Sets the momentum of the next step, where there is one.
    fn set_momentum_factor(&mut self, momentum: f32) {
        let _ = momentum;
    }

    /// Shows every scalar that changes from step to step: see
    /// [`Stateful::visit_state`]. By default there is none.
    fn visit_scalars(&mut self, visit: Visit<'_>) {
        let _ = visit;
    }

    /// Shows its name, with no numbers, and every hyper-parameter that no step changes: see
    /// [`Stateful::visit_hyper`].
    fn visit_hyper(&self, show: Show<'_>) {
        let _ = show;
    }

    /// Forgets all steps. The buffers are zeroed elsewhere.
    fn reset(&mut self) {}

    /// How many buffers it is lent behind those of [`buffers`](Self::buffers), to work in: they
    /// are no part of the state that is kept. None by default.
    fn scratch(&self) -> usize {
        0
    }

    /// How many numbers of each of its buffers are in use for so many parameters: as many, if it
    /// does not say otherwise.
    fn numbers(&self, params: usize) -> usize {
        params
    }

    /// The shapes that it was told, if it asks for any: [`Tape::step`](crate::Tape::step)
    /// looks whether they are those of the tape's parameters.
    #[inline(always)]
    fn shapes(&self) -> Shapes<'_> {
        Shapes::VECTOR
    }
}

/// Reads or overwrites numbers that have a name: see [`Stateful::visit_state`].
pub type Visit<'v> = &'v mut dyn FnMut(&'static str, &mut [f32]);

/// Takes a name and its numbers: see [`Stateful::visit_hyper`].
pub type Show<'s> = &'s mut dyn FnMut(&'static str, &[f32]);

/// Memory for the state of an optimizer. Implemented by `[[f32; N]; K]`, which is `K`
/// buffers for up to `N` parameters inside the optimizer, by `&mut [f32]`, which is cut
/// into as many equal buffers as the rule needs, and on the heap by `Vec<f32>` in the
/// same way (feature `std`).
pub trait Storage {
    /// Lends the buffers, `count` of them, to `use_them`.
    fn lend<T>(&mut self, count: usize, use_them: impl FnOnce(&mut [&mut [f32]]) -> T) -> T;
}

impl<const N: usize, const K: usize> Storage for [[f32; N]; K] {
    #[inline(always)]
    fn lend<T>(&mut self, _: usize, use_them: impl FnOnce(&mut [&mut [f32]]) -> T) -> T {
        // Written out: a loop over so few stays one when compiled for size, at the cost of
        // 150 bytes on a Cortex-M4F.
        match self.as_mut_slice() {
            [] => use_them(&mut []),
            [a] => use_them(&mut [a]),
            [a, b] => use_them(&mut [a, b]),
            [a, b, c] => use_them(&mut [a, b, c]),
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

/// How many buffers a rule is lent.
#[inline(always)]
fn buffers_of<R: Rule + ?Sized>(rule: &R) -> usize {
    rule.buffers().len().saturating_add(rule.scratch())
}

/// The most buffers of any rule.
const MOST: usize = 4;

/// A rule and the memory for its state: an optimizer. [`Sgd`](super::Sgd),
/// [`Adam`](super::Adam) and all others that remember something per parameter are one.
///
/// `N` is the number of parameters that there is room for inside, `S` the [`Storage`].
/// Room for more parameters than there are is fine: the rest of it stays 0.
#[derive(Clone, Debug)]
pub struct Stepper<R, const N: usize, S> {
    pub(super) rule: R,
    pub(super) state: S,
}

impl<R, const N: usize, const K: usize> Stepper<R, N, [[f32; N]; K]> {
    /// State for up to `N` parameters inside the optimizer.
    #[must_use]
    #[inline(always)]
    pub const fn from_rule(rule: R) -> Self {
        Self {
            rule,
            // Known when compiled: put where it is to be, and nowhere before.
            state: const { [[0.0; N]; K] },
        }
    }
}

impl<'s, R> Stepper<R, 0, &'s mut [f32]> {
    /// State in a slice of the caller's: as many floats as there are parameters for each
    /// of [`Rule::buffers`], or more. It is zeroed.
    #[must_use]
    pub fn from_rule_with_state(rule: R, state: &'s mut [f32]) -> Self {
        state.fill(0.0);
        Self { rule, state }
    }
}

#[cfg(feature = "std")]
impl<R: Rule> Stepper<R, 0, std::vec::Vec<f32>> {
    /// State for up to `params` parameters on the heap.
    #[must_use]
    pub fn from_rule_on_heap(rule: R, params: usize) -> Self {
        let state = std::vec![0.0; params * buffers_of(&rule)];
        Self { rule, state }
    }
}

impl<R: Rule, const N: usize, S: Storage> Stepper<R, N, S> {
    /// Forgets all steps; hyper-parameters stay.
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
