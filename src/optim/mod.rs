//! Optimizers: what turns gradients into better parameters.
//!
//! | optimizer | state per parameter | PyTorch |
//! | --- | --- | --- |
//! | [`Sgd`] | none; 4 bytes with momentum | `torch.optim.SGD` |
//! | [`Adam`] | 8 bytes; 12 with AMSGrad | `torch.optim.Adam` |
//!
//! Names, defaults and formulas are those of PyTorch 2. An optimizer sees two
//! flat slices, parameters and gradients, and owns its state, which is sized
//! where it is made: inline for firmware, so that it can be a `static`, in slices
//! of the caller's, or on the heap with the feature `std`.
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
//! Every optimizer is one rule for one element (`Rule`), swept once over
//! memory by as many lanes as the target has; which lanes does not change a
//! bit of the result.

mod adam;
mod fraction;
mod sgd;

pub use adam::Adam;
pub use sgd::Sgd;

pub use crate::error::OptimizerError;

use crate::error::Error;
use crate::kernel::{Lanes, Level, with_lanes};
use crate::tape::Tape;

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

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f32;

    /// Sets the learning rate between steps, which is all a schedule does.
    fn set_learning_rate(&mut self, lr: f32);
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

/// What is minimised: the loss, or with `maximize` its opposite, and a penalty
/// on large parameters.
#[derive(Clone, Copy, Debug)]
struct Objective {
    maximize: bool,
    weight_decay: f32,
}

impl Objective {
    const LOSS: Self = Self {
        maximize: false,
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
}

/// What a step does to one element.
trait Rule {
    /// The new parameter, from the old one, its gradient, and its element of
    /// each of the state buffers, which are updated in place.
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L;
}

/// Applies a rule to every element, in one pass, once all lengths agree.
#[inline(always)]
fn sweep<const K: usize>(
    rule: &impl Rule,
    params: &mut [f32],
    grads: &[f32],
    state: [&mut [f32]; K],
) -> Result<(), OptimizerError> {
    check_lengths(params, grads, &state)?;
    sweep_checked(rule, params, grads, state);
    Ok(())
}

#[inline(always)]
fn check_lengths<const K: usize>(
    params: &[f32],
    grads: &[f32],
    state: &[&mut [f32]; K],
) -> Result<(), OptimizerError> {
    let n = params.len();
    if grads.len() != n {
        return Err(OptimizerError::GradientCount {
            params: n,
            grads: grads.len(),
        });
    }
    // No loop: few buffers are compared in a row, even where code is to be small.
    let misfit = match state.as_slice() {
        [a, ..] if a.len() != n => Some(a.len()),
        [_, b, ..] if b.len() != n => Some(b.len()),
        [_, _, c, ..] if c.len() != n => Some(c.len()),
        _ => None,
    };
    match misfit {
        Some(state) => Err(OptimizerError::StateSize { state, params: n }),
        None => Ok(()),
    }
}

/// [`sweep`] over slices of equal length.
#[inline(always)]
fn sweep_checked<const K: usize>(
    rule: &impl Rule,
    params: &mut [f32],
    grads: &[f32],
    state: [&mut [f32]; K],
) {
    // As in the kernels: what a few parameters need is a plain loop.
    if params.len() <= SHORT || !Level::VECTORS {
        one_by_one(rule, params, grads, state);
    } else {
        long_sweep(rule, params, grads, state);
    }
}

/// Up to this many parameters are updated one at a time.
const SHORT: usize = 16;

/// [`sweep`] without vectors, over slices of equal length. Written out for each
/// number of buffers, or state would wander through memory.
#[inline(always)]
fn one_by_one<const K: usize>(
    rule: &impl Rule,
    params: &mut [f32],
    grads: &[f32],
    mut state: [&mut [f32]; K],
) {
    const { assert!(K <= 3) };
    let elements = params.iter_mut().zip(grads);
    match state.as_mut_slice() {
        [] => elements.for_each(|(p, g)| *p = rule.apply(*p, *g, &mut [])),
        [a] => elements.zip(a.iter_mut()).for_each(|((p, g), a)| {
            let mut state = [*a];
            *p = rule.apply(*p, *g, &mut state);
            [*a] = state;
        }),
        [a, b] => {
            let elements = elements.zip(a.iter_mut()).zip(b.iter_mut());
            elements.for_each(|(((p, g), a), b)| {
                let mut state = [*a, *b];
                *p = rule.apply(*p, *g, &mut state);
                [*a, *b] = state;
            });
        }
        [a, b, c, ..] => {
            let elements = elements.zip(a.iter_mut()).zip(b.iter_mut());
            elements
                .zip(c.iter_mut())
                .for_each(|((((p, g), a), b), c)| {
                    let mut state = [*a, *b, *c];
                    *p = rule.apply(*p, *g, &mut state);
                    [*a, *b, *c] = state;
                });
        }
    }
}

#[inline(never)]
fn long_sweep<const K: usize>(
    rule: &impl Rule,
    params: &mut [f32],
    grads: &[f32],
    state: [&mut [f32]; K],
) {
    with_lanes!(L => sweep_as::<L, K>(rule, params, grads, state));
}

/// [`sweep`] with given lanes, over slices of equal length.
#[inline(always)]
fn sweep_as<L: Lanes, const K: usize>(
    rule: &impl Rule,
    params: &mut [f32],
    grads: &[f32],
    mut state: [&mut [f32]; K],
) {
    if const { L::LEN == 1 } {
        return one_by_one(rule, params, grads, state);
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
        rule.apply(L::load(p), L::load(g), &mut s).store(p);
        for (blocks, s) in s_whole.iter_mut().zip(s) {
            if let Some(block) = blocks.get_mut(i) {
                s.store(block);
            }
        }
    }

    if !p_rest.is_empty() {
        let s_rest = state.map(|s| L::chunks_mut(s).1);
        let mut s = s_rest.each_ref().map(|s| L::load_part(s, 0.0));
        rule.apply(L::load_part(p_rest, 0.0), L::load_part(g_rest, 0.0), &mut s)
            .store_part(p_rest);
        for (rest, s) in s_rest.into_iter().zip(s) {
            s.store_part(rest);
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{Rule, sweep_as};
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

    /// One step of `rule` with lanes `L`: new parameters, then new states.
    fn run<L: Lanes, const K: usize>(rule: &impl Rule, data: &[Vec<f32>]) -> Vec<Vec<u32>> {
        let mut params = data[0].clone();
        let mut state: [Vec<f32>; K] = core::array::from_fn(|k| data[k + 2].clone());
        sweep_as::<L, K>(
            rule,
            &mut params,
            &data[1],
            state.each_mut().map(|s| &mut s[..]),
        );
        let all = core::iter::once(params).chain(state);
        all.map(|xs| xs.into_iter().map(bits).collect()).collect()
    }

    /// Asserts that one lane and eight lanes give the same bits, at every
    /// length and with the numbers that are hardest to agree on.
    pub(super) fn assert_lanes_agree<const K: usize>(rule: &impl Rule) {
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
                    run::<f32, K>(rule, &data),
                    run::<f32x8, K>(rule, &data),
                    "length {n}"
                );
            }
        }
    }
}
