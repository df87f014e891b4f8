//! The sweep: one pass over memory that updates every parameter, with as many lanes as the
//! target has.

use super::OptimizerError;
use crate::kernel::{Lanes, Level, with_lanes};

/// The update of one parameter.
pub trait Element {
    /// Returns the new parameter, given the old one, its gradient, and its element of each
    /// state buffer. Updates the state elements in place.
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L;
}

impl<E: Element> Element for &E {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        (**self).apply(p, g, state)
    }
}

/// Applies an element to every parameter in one pass, after checking all lengths. State buffers
/// may be longer than the parameters.
///
/// # Errors
/// Different numbers of gradients and parameters, or a state buffer that is too short. Nothing
/// has changed then.
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

/// Performs one step of a rule with `K` buffers. If all lengths fit, calls `element`, which
/// advances the rule to the next step and returns the update of each element. `element` may
/// write to the buffers.
///
/// # Errors
/// The errors of [`sweep`]. `element` was not called then.
#[inline(always)]
pub(super) fn step_each<const K: usize, E: Element>(
    params: &mut [f32],
    grads: &[f32],
    state: &mut [&mut [f32]],
    element: impl FnOnce(&mut [&mut [f32]; K]) -> E,
) -> Result<(), OptimizerError> {
    let Ok(state) = <&mut [&mut [f32]; K]>::try_from(state) else {
        return Err(other_buffers(params));
    };
    let mut state = fit(params, grads, state.each_mut().map(|buffer| &mut **buffer))?;
    sweep_fitted(&element(&mut state), params, grads, state);
    Ok(())
}

/// The error of a step if the storage has another number of buffers than the rule: it has room
/// for no parameter.
pub(super) fn other_buffers(params: &[f32]) -> OptimizerError {
    OptimizerError::StateSize {
        state: 0,
        params: params.len(),
    }
}

/// Cuts state buffers to the number of parameters, if all lengths fit.
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
    // Unrolled, like `Storage::lend`.
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
    // A few parameters are updated fastest by a plain loop, as in the kernels.
    if params.len() <= SHORT || !Level::VECTORS {
        one_by_one(element, params, grads, state);
    } else {
        long_sweep(element, params, grads, state);
    }
}

/// The largest number of parameters that are updated one at a time.
const SHORT: usize = 16;

/// [`sweep`] without vectors, over slices of equal length. Written out for each number of
/// buffers, so that the state of an element stays in registers.
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
        // All blocks exist: the lengths are equal.
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

    /// The bits of a number, with one pattern for all NaNs: Rust does not specify their sign
    /// and payload.
    fn bits(x: f32) -> u32 {
        if x.is_nan() {
            f32::NAN.to_bits()
        } else {
            x.to_bits()
        }
    }

    /// Takes one step with lanes `L`. Returns the new parameters, then the new state buffers.
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

    /// Asserts that one lane and eight lanes give the same bits, for every length, and for
    /// special values such as zeros, subnormal numbers, infinities and NaN.
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
