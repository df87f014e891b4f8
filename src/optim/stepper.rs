//! All optimizers share this: where their state lives, and one pass over memory.
//!
//! A [`Rule`] is a formula. It says how many numbers per parameter it remembers and what
//! one step does; a [`Stepper`] is a rule together with the memory for them, which a
//! [`Storage`] lends: inside the optimizer, on the heap, or in a slice of the caller's.
//! An [`Element`] is one step of one parameter, written once for all lanes and swept over
//! memory by [`sweep`].

use super::{Optimizer, OptimizerError, Stateful};
use crate::kernel::{Lanes, Level, with_lanes};

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
    /// if the memory is large enough, which [`sweep`] checks. All numbers are 0 before
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
}

/// Reads or overwrites numbers that have a name: see [`Stateful::visit_state`].
pub type Visit<'v> = &'v mut dyn FnMut(&'static str, &mut [f32]);

/// Takes a name and its numbers: see [`Stateful::visit_hyper`].
pub type Show<'s> = &'s mut dyn FnMut(&'static str, &[f32]);

/// One step of one parameter.
pub trait Element {
    /// The new parameter, from the old one, its gradient, and its element of
    /// each of the state buffers, which are updated in place.
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L;
}

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
        let state = std::vec![0.0; params * rule.buffers().len()];
        Self { rule, state }
    }
}

impl<R: Rule, const N: usize, S: Storage> Stepper<R, N, S> {
    /// Forgets all steps; hyper-parameters stay.
    pub fn reset(&mut self) {
        self.rule.reset();
        let count = self.rule.buffers().len();
        self.state.lend(count, |buffers| {
            buffers.iter_mut().for_each(|buffer| buffer.fill(0.0));
        });
    }
}

impl<R: Rule, const N: usize, S: Storage> Optimizer for Stepper<R, N, S> {
    #[inline]
    fn step(&mut self, params: &mut [f32], grads: &[f32]) -> Result<(), OptimizerError> {
        let Self { rule, state } = self;
        state.lend(rule.buffers().len(), |buffers| {
            rule.step(params, grads, buffers)
        })
    }

    fn refusals_change_nothing(&self) -> bool {
        true
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
        state.lend(names.len(), |buffers| {
            let buffers = buffers.get_mut(..names.len()).unwrap_or_default();
            let least = buffers.iter().map(|buffer| buffer.len()).min();
            if let Some(room) = least.filter(|least| *least < params) {
                return Err(OptimizerError::StateSize {
                    state: room,
                    params,
                });
            }
            let mut lr = [rule.learning_rate()];
            visit("lr", &mut lr);
            rule.set_learning_rate(lr[0]);
            rule.visit_scalars(visit);
            for (name, buffer) in names.iter().zip(buffers) {
                visit(name, buffer.get_mut(..params).unwrap_or_default());
            }
            Ok(())
        })
    }

    fn visit_hyper(&self, show: Show<'_>) {
        self.rule.visit_hyper(show);
    }
}

/// The constructors of an optimizer with so many buffers, for each [`Storage`]. Its rule
/// has a `const fn new(lr: f32)`.
macro_rules! constructors {
    ($name:ident, $rule:ident: $buffers:literal, $default:literal) => {
        impl<const N: usize> Stepper<$rule, N, [[f32; N]; $buffers]> {
            #[doc = concat!("With learning rate `lr` (PyTorch's default is ", $default,
                ") and state for up to `N` parameters inline.")]
            #[must_use]
            #[inline(always)]
            pub const fn new(lr: f32) -> Self {
                Self::from_rule($rule::new(lr))
            }
        }

        #[cfg(feature = "std")]
        impl Stepper<$rule, 0, std::vec::Vec<f32>> {
            /// With learning rate `lr` and state for up to `params` parameters on the heap.
            #[must_use]
            pub fn on_heap(lr: f32, params: usize) -> Self {
                Self::from_rule_on_heap($rule::new(lr), params)
            }
        }

        impl<'s> Stepper<$rule, 0, &'s mut [f32]> {
            #[doc = concat!("With learning rate `lr` and state in a slice of the caller's: ",
                stringify!($buffers), " floats for each parameter, and one more for each option \
                that needs it. It is zeroed.")]
            #[must_use]
            pub fn with_state(lr: f32, state: &'s mut [f32]) -> Self {
                Self::from_rule_with_state($rule::new(lr), state)
            }
        }
    };
}
pub(super) use constructors;

/// The learning rate of a rule that has it in a field `lr`, as part of its `impl Rule`.
macro_rules! learning_rate_in_field {
    () => {
        fn learning_rate(&self) -> f32 {
            self.lr
        }

        fn set_learning_rate(&mut self, lr: f32) {
            self.lr = lr;
        }
    };
}
pub(super) use learning_rate_in_field;

/// The builders of a rule with a [`Objective`](super::Objective) in a field `objective`.
macro_rules! objective_builders {
    ($name:ident) => {
        impl<const N: usize, S> $name<N, S> {
            /// Adds `weight_decay · p` to every gradient (L2 penalty). Default 0.
            #[must_use]
            pub const fn weight_decay(mut self, weight_decay: f32) -> Self {
                self.rule.objective.weight_decay = weight_decay;
                self
            }

            /// Climbs instead of descending.
            #[must_use]
            pub const fn maximize(mut self) -> Self {
                self.rule.objective.maximize = true;
                self
            }
        }
    };
    ($name:ident, decoupled) => {
        objective_builders!($name);

        impl<const N: usize, S> $name<N, S> {
            /// Weight decay is no penalty: the parameter is multiplied by
            /// `1 - lr · weight_decay` instead, as in [`AdamW`](crate::optim::AdamW).
            #[must_use]
            pub const fn decoupled_weight_decay(mut self) -> Self {
                self.rule.objective.decoupled = true;
                self
            }
        }
    };
}
pub(super) use objective_builders;

/// A builder after which the rule needs one buffer more, for each [`Storage`]. `$from`
/// is the number of buffers that there were; several can be given.
macro_rules! one_more_buffer {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty)?) for $rule:ident: $($inline:tt)*) => {
        one_more_buffer! {
            @each {$(#[$doc])*} $name ($($arg: $type)?) $rule $($inline)*
        }

        #[cfg(feature = "std")]
        impl Stepper<$rule, 0, std::vec::Vec<f32>> {
            $(#[$doc])*
            #[must_use]
            pub fn $name(self $(, $arg: $type)?) -> Self {
                let Self { rule, mut state } = self;
                let buffers = |rule: &$rule| $crate::optim::Rule::buffers(rule).len();
                let params = state.len() / buffers(&rule);
                let rule = rule.$name($($arg)?);
                state.resize(params * buffers(&rule), 0.0);
                Self { rule, state }
            }
        }

        impl Stepper<$rule, 0, &mut [f32]> {
            $(#[$doc])*
            #[must_use]
            pub fn $name(self $(, $arg: $type)?) -> Self {
                Self { rule: self.rule.$name($($arg)?), state: self.state }
            }
        }
    };
    (@each $docs:tt $name:ident $arg:tt $rule:ident $($from:literal $old:tt => $to:literal),*) => {
        $(one_more_buffer! { @inline $docs $name $arg $rule $from $old $to })*
    };
    (@inline {$(#[$doc:meta])*} $name:ident ($($arg:ident: $type:ty)?) $rule:ident
        $from:literal [$($old:ident)*] $to:literal) => {
        impl<const N: usize> Stepper<$rule, N, [[f32; N]; $from]> {
            $(#[$doc])*
            #[must_use]
            pub const fn $name(self $(, $arg: $type)?) -> Stepper<$rule, N, [[f32; N]; $to]> {
                let [$($old),*] = self.state;
                Stepper {
                    rule: self.rule.$name($($arg)?),
                    state: [$($old,)* [0.0; N]],
                }
            }
        }
    };
}
pub(super) use one_more_buffer;

/// Applies a rule to every element, in one pass, once all lengths agree. State may be
/// longer than there are parameters.
///
/// # Errors
/// Another number of gradients than of parameters, or a state buffer that is too short.
/// Then nothing has changed.
#[inline(always)]
pub fn sweep<const K: usize>(
    element: &impl Element,
    params: &mut [f32],
    grads: &[f32],
    state: [&mut [f32]; K],
) -> Result<(), OptimizerError> {
    let state = fit(params, grads, state)?;
    sweep_fitted(element, params, grads, state);
    Ok(())
}

/// State cut to as many numbers as there are parameters, if all lengths fit.
#[inline(always)]
pub(super) fn fit<'s, const K: usize>(
    params: &[f32],
    grads: &[f32],
    mut state: [&'s mut [f32]; K],
) -> Result<[&'s mut [f32]; K], OptimizerError> {
    let n = params.len();
    if grads.len() != n {
        return Err(OptimizerError::GradientCount {
            params: n,
            grads: grads.len(),
        });
    }
    // No loop, as above.
    const { assert!(K <= 3) };
    if let Some(buffer) = state.get_mut(0) {
        cut(buffer, n)?;
    }
    if let Some(buffer) = state.get_mut(1) {
        cut(buffer, n)?;
    }
    if let Some(buffer) = state.get_mut(2) {
        cut(buffer, n)?;
    }
    Ok(state)
}

/// Shortens a state buffer to `n` numbers.
#[inline(always)]
fn cut(buffer: &mut &mut [f32], n: usize) -> Result<(), OptimizerError> {
    let state = buffer.len();
    match core::mem::take(buffer).get_mut(..n) {
        Some(cut) => {
            *buffer = cut;
            Ok(())
        }
        None => Err(OptimizerError::StateSize { state, params: n }),
    }
}

/// [`sweep`] over slices of equal length.
#[inline(always)]
pub(super) fn sweep_fitted<const K: usize>(
    element: &impl Element,
    params: &mut [f32],
    grads: &[f32],
    state: [&mut [f32]; K],
) {
    // As in the kernels: what a few parameters need is a plain loop.
    if params.len() <= SHORT || !Level::VECTORS {
        one_by_one(element, params, grads, state);
    } else {
        long_sweep(element, params, grads, state);
    }
}

/// Up to this many parameters are updated one at a time.
const SHORT: usize = 16;

/// [`sweep`] without vectors, over slices of equal length. Written out for each
/// number of buffers, or state would wander through memory.
#[inline(always)]
fn one_by_one<const K: usize>(
    element: &impl Element,
    params: &mut [f32],
    grads: &[f32],
    mut state: [&mut [f32]; K],
) {
    const { assert!(K <= 3) };
    let elements = params.iter_mut().zip(grads);
    match state.as_mut_slice() {
        [] => elements.for_each(|(p, g)| *p = element.apply(*p, *g, &mut [])),
        [a] => elements.zip(a.iter_mut()).for_each(|((p, g), a)| {
            let mut state = [*a];
            *p = element.apply(*p, *g, &mut state);
            [*a] = state;
        }),
        [a, b] => {
            let elements = elements.zip(a.iter_mut()).zip(b.iter_mut());
            elements.for_each(|(((p, g), a), b)| {
                let mut state = [*a, *b];
                *p = element.apply(*p, *g, &mut state);
                [*a, *b] = state;
            });
        }
        [a, b, c, ..] => {
            let elements = elements.zip(a.iter_mut()).zip(b.iter_mut());
            elements
                .zip(c.iter_mut())
                .for_each(|((((p, g), a), b), c)| {
                    let mut state = [*a, *b, *c];
                    *p = element.apply(*p, *g, &mut state);
                    [*a, *b, *c] = state;
                });
        }
    }
}

#[inline(never)]
fn long_sweep<const K: usize>(
    element: &impl Element,
    params: &mut [f32],
    grads: &[f32],
    state: [&mut [f32]; K],
) {
    with_lanes!(L => sweep_as::<L, K>(element, params, grads, state));
}

/// [`sweep`] with given lanes, over slices of equal length.
#[inline(always)]
fn sweep_as<L: Lanes, const K: usize>(
    element: &impl Element,
    params: &mut [f32],
    grads: &[f32],
    mut state: [&mut [f32]; K],
) {
    if const { L::LEN == 1 } {
        return one_by_one(element, params, grads, state);
    }
    let (p_whole, p_rest) = L::chunks_mut(params);
    let (g_whole, g_rest) = L::chunks(grads);

    let n = p_whole.len();
    let mut s_whole = state
        .each_mut()
        .map(|s| L::chunks_mut(s).0.get_mut(..n).unwrap_or_default());
    for (i, (p, g)) in p_whole.iter_mut().zip(g_whole).enumerate() {
        // No block is ever missing: the lengths are equal.
        let mut s = s_whole
            .each_ref()
            .map(|s| s.get(i).map_or(L::splat(0.0), L::load));
        element.apply(L::load(p), L::load(g), &mut s).store(p);
        for (blocks, s) in s_whole.iter_mut().zip(s) {
            if let Some(block) = blocks.get_mut(i) {
                s.store(block);
            }
        }
    }

    if !p_rest.is_empty() {
        let s_rest = state.map(|s| L::chunks_mut(s).1);
        let mut s = s_rest.each_ref().map(|s| L::load_part(s, 0.0));
        element
            .apply(L::load_part(p_rest, 0.0), L::load_part(g_rest, 0.0), &mut s)
            .store_part(p_rest);
        for (rest, s) in s_rest.into_iter().zip(s) {
            s.store_part(rest);
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
pub(super) mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{Element, sweep_as};
    use crate::kernel::{Lanes, f32x8};
    use crate::random::{fill_normal, seeded};

    /// Bits, with one NaN: its sign and payload are not promised.
    fn bits(x: f32) -> u32 {
        if x.is_nan() {
            f32::NAN.to_bits()
        } else {
            x.to_bits()
        }
    }

    /// One step with lanes `L`: new parameters, then new states.
    fn run<L: Lanes, const K: usize>(element: &impl Element, data: &[Vec<f32>]) -> Vec<Vec<u32>> {
        let mut params = data[0].clone();
        let mut state: [Vec<f32>; K] = core::array::from_fn(|k| data[k + 2].clone());
        sweep_as::<L, K>(
            element,
            &mut params,
            &data[1],
            state.each_mut().map(|s| &mut s[..]),
        );
        let all = core::iter::once(params).chain(state);
        all.map(|xs| xs.into_iter().map(bits).collect()).collect()
    }

    /// Asserts that one lane and eight lanes give the same bits, at every
    /// length and with the numbers that are hardest to agree on.
    pub(in crate::optim) fn assert_lanes_agree<const K: usize>(element: &impl Element) {
        const HARD: [f32; 9] = [
            0.0,
            -0.0,
            1e-45,
            -1e-39,
            1e30,
            -3e38,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
        ];
        let mut rng = seeded(1);
        for n in 0..=67 {
            for hard in [false, true] {
                let mut data = std::vec![std::vec![0.0; n]; K + 2];
                for (k, xs) in data.iter_mut().enumerate() {
                    assert!(fill_normal(&mut rng, 0.0, 1.0, xs).is_ok());
                    if hard {
                        for (i, x) in xs.iter_mut().enumerate().step_by(3) {
                            *x = HARD[(i + 4 * k + n) % HARD.len()];
                        }
                    }
                }
                assert_eq!(
                    run::<f32, K>(element, &data),
                    run::<f32x8, K>(element, &data),
                    "length {n}"
                );
            }
        }
    }
}
