//! Element-wise loops over [`Lanes`].
//!
//! ```text
//! for each whole group of L::LEN elements:  load, apply, store
//! the rest:                                 load_part, apply, store_part
//! ```
//!
//! The rest goes through the same `apply`, in lanes that are partly unused, so
//! that an element's bits do not depend on its position.

use core::hint::black_box;

use super::lanes::copy_part;
use super::slices::{for_each_into, load_parts, parts, run, shortest};
use super::{Acc, Lanes, Level, Map, f32x8};

/// See [`super::map`].
#[inline(always)]
pub fn map<L: Lanes, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32], acc: Acc) {
    if const { is_heavy::<L, N, F>() } {
        return map_through_one_copy::<L, N, F>(f, xs, out, acc);
    }
    // Two loops, so that neither checks `acc` for each element.
    match acc {
        Acc::Set => map_as::<L, N, F, false>(f, xs, out),
        Acc::Add => map_as::<L, N, F, true>(f, xs, out),
    }
}

/// Returns whether a function takes so many operations that one copy of it should serve all
/// cases.
pub(super) const fn is_heavy<L: Lanes, const N: usize, F: Map<N>>() -> bool {
    L::LEN > 1 && F::SHORT == 0
}

/// [`map`] with one copy of the function, which overwrites and adds, for whole vectors and
/// for the rest. The rest is first copied into whole vectors, which costs little beside the
/// function. A fourth of the code is compiled.
#[inline(always)]
pub(super) fn map_through_one_copy<L: Lanes, const N: usize, F: Map<N>>(
    f: F,
    xs: [&[f32]; N],
    out: &mut [f32],
    acc: Acc,
) {
    let n = shortest(&xs).min(out.len());
    let out = out.get_mut(..n).unwrap_or_default();
    let (whole, rest) = out.split_at_mut(n - n % L::LEN);
    let (mut last_xs, mut last) = ([[0.0; 8]; N], [0.0; 8]);
    let mut is_last = false;
    loop {
        let mut vectors = parts(&xs, 0..whole.len());
        let mut to = &mut *whole;
        if is_last {
            for (vector, x) in vectors.iter_mut().zip(&last_xs) {
                *vector = x;
            }
            to = &mut last;
        }
        for_each_into::<L, N>(&vectors, to, |to, row| {
            let y = f.apply(row);
            match acc {
                Acc::Set => y,
                Acc::Add => L::load(to) + y,
            }
            .store(to);
        });
        if is_last {
            return copy_part(&last, rest);
        }
        if rest.is_empty() {
            return;
        }
        for (to, x) in last_xs.iter_mut().zip(parts(&xs, whole.len()..n)) {
            copy_part(x, to);
        }
        if acc == Acc::Add {
            copy_part(rest, &mut last);
        }
        // `black_box` hides the value, because the compiler would otherwise unroll the loop into
        // a second copy.
        is_last = black_box(true);
    }
}

#[inline(always)]
pub(super) fn map_as<L: Lanes, const N: usize, F: Map<N>, const ADD: bool>(
    f: F,
    xs: [&[f32]; N],
    out: &mut [f32],
) {
    if const { is_heavy::<L, N, F>() } {
        let acc = if const { ADD } { Acc::Add } else { Acc::Set };
        return map_through_one_copy::<L, N, F>(f, xs, out, acc);
    }
    for_each_into::<L, N>(&xs, out, |to, row| {
        let y = f.apply(row);
        if const { ADD } { L::load(to) + y } else { y }.store(to);
    });
    if const { L::LEN > 1 } {
        let n = shortest(&xs).min(out.len());
        let rest = n - n % L::LEN..n;
        let out = out.get_mut(rest.clone()).unwrap_or_default();
        if !out.is_empty() {
            let y = f.apply(&load_parts::<L, N>(&parts(&xs, rest)));
            if const { ADD } {
                L::load_part(out, 0.0) + y
            } else {
                y
            }
            .store_part(out);
        }
    }
}

/// [`map`] of one number at a time, in a single loop that overwrites or adds: less code.
#[inline(always)]
pub(super) fn map_in_one_loop<const N: usize, F: Map<N>>(
    f: F,
    xs: [&[f32]; N],
    out: &mut [f32],
    acc: Acc,
) {
    for_each_into::<f32, N>(&xs, out, |[to], row| acc.put(to, f.apply(row)));
}

/// [`map`] of few elements, with the vectors that every CPU of the target has, and the rest
/// one at a time. Does not check the level.
#[inline(always)]
pub fn short_map<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32], acc: Acc) {
    match acc {
        Acc::Set => short_map_as::<N, F, false>(f, xs, out),
        Acc::Add => short_map_as::<N, F, true>(f, xs, out),
    }
}

#[inline(always)]
pub(super) fn short_map_as<const N: usize, F: Map<N>, const ADD: bool>(
    f: F,
    xs: [&[f32]; N],
    out: &mut [f32],
) {
    if const { !Level::VECTORS } {
        return map_as::<f32, N, F, ADD>(f, xs, out);
    }
    let n = shortest(&xs).min(out.len());
    let rest = n - n % f32x8::LEN..n;
    for_each_into::<f32x8, N>(&xs, out, |to, row| {
        let y = f.apply(row);
        if const { ADD } {
            f32x8::load(to) + y
        } else {
            y
        }
        .store(to);
    });
    if let Some(out) = out.get_mut(rest.clone()) {
        map_as::<f32, N, F, ADD>(f, parts(&xs, rest), out);
    }
}

/// See [`super::map_in_place`].
#[inline(always)]
pub fn map_in_place<L: Lanes, F: Map<1>>(f: F, x: &mut [f32]) {
    let (whole, rest) = L::chunks_mut(x);
    for x in whole {
        f.apply(&[L::load(x)]).store(x);
    }
    if const { L::LEN > 1 } && !rest.is_empty() {
        f.apply(&[L::load_part(rest, 0.0)]).store_part(rest);
    }
}

/// See [`super::zip_in_place`].
#[inline(always)]
pub fn zip_in_place<L: Lanes, F: Map<2>>(f: F, x: &mut [f32], y: &[f32]) {
    let n = x.len().min(y.len());
    let (whole, rest) = L::chunks_mut(x.get_mut(..n).unwrap_or_default());
    let (y_whole, y_rest) = L::chunks(run(y, 0, n));
    for (x, y) in whole.iter_mut().zip(y_whole) {
        f.apply(&[L::load(x), L::load(y)]).store(x);
    }
    if const { L::LEN > 1 } && !rest.is_empty() {
        let y = L::load_part(y_rest, 0.0);
        f.apply(&[L::load_part(rest, 0.0), y]).store_part(rest);
    }
}
