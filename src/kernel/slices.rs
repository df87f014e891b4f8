//! Loops over several slices at once, from which all kernels are made.

use core::ops::Range;

use super::Lanes;

/// The length of the shortest slice.
///
/// The cases are written out, here and below, because a loop over the slices is not unrolled when
/// compiled for size, and costs more than the loop over eleven elements that it prepares.
#[inline(always)]
pub(super) fn shortest<T, const N: usize>(xs: &[&[T]; N]) -> usize {
    match xs.as_slice() {
        [x] => x.len(),
        [x, y] => x.len().min(y.len()),
        [x, y, z] => x.len().min(y.len()).min(z.len()),
        xs => xs.iter().map(|x| x.len()).min().unwrap_or(0),
    }
}

/// The same part of each slice; empty where a slice is too short.
///
/// This and the functions below use loops where an array's `map` would be shorter, because `map`
/// makes a dozen functions for each closure: with it, they were a third of the compiler's work.
#[inline(always)]
pub(super) fn parts<'a, const N: usize>(xs: &[&'a [f32]; N], part: Range<usize>) -> [&'a [f32]; N] {
    let mut parts = [&[] as &[f32]; N];
    for (to, x) in parts.iter_mut().zip(xs) {
        *to = x.get(part.clone()).unwrap_or_default();
    }
    parts
}

/// The whole runs of `M` numbers in each slice.
#[inline(always)]
pub(super) fn runs<'a, const M: usize, const N: usize>(xs: &[&'a [f32]; N]) -> [&'a [[f32; M]]; N] {
    let mut runs = [&[] as &[[f32; M]]; N];
    for (to, x) in runs.iter_mut().zip(xs) {
        *to = x.as_chunks().0;
    }
    runs
}

/// The rest of each slice behind its [`runs`].
#[inline(always)]
pub(super) fn rests<'a, const M: usize, const N: usize>(xs: &[&'a [f32]; N]) -> [&'a [f32]; N] {
    let mut rests = [&[] as &[f32]; N];
    for (to, x) in rests.iter_mut().zip(xs) {
        *to = x.as_chunks::<M>().1;
    }
    rests
}

/// Loads each slice, shorter than a vector, into the first lanes of one.
#[inline(always)]
pub(super) fn load_parts<L: Lanes, const N: usize>(xs: &[&[f32]; N]) -> [L; N] {
    let mut row = [L::splat(0.0); N];
    for (to, x) in row.iter_mut().zip(xs) {
        *to = L::load_part(x, 0.0);
    }
    row
}

/// Loads vectors, as many as the shorter side has.
#[inline(always)]
pub(super) fn load_all<L: Lanes>(from: &[L::Array], to: &mut [L]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = L::load(from);
    }
}

/// Calls `f` with the elements at each place of all slices, up to the end of the shortest.
///
/// The loops are zips of one, two or three slices, because a zip checks no index. The row is
/// passed by reference, because it would otherwise be packed into an integer register. `N` is
/// constant, so that only one of the cases reaches LLVM.
#[inline(always)]
pub(super) fn for_each<'a, T, V: Copy, const N: usize>(
    xs: [&'a [T]; N],
    zero: V,
    load: impl Fn(&'a T) -> V,
    mut f: impl FnMut(&[V; N]),
) {
    let mut row = [zero; N];
    if const { N == 1 } {
        let [x, ..] = xs.as_slice() else { return };
        for x in x.iter() {
            fill(&mut row, [load(x)]);
            f(&row);
        }
    } else if const { N == 2 } {
        let [x, y, ..] = xs.as_slice() else { return };
        for (x, y) in x.iter().zip(y.iter()) {
            fill(&mut row, [load(x), load(y)]);
            f(&row);
        }
    } else if const { N == 3 } {
        let [x, y, z, ..] = xs.as_slice() else {
            return;
        };
        for ((x, y), z) in x.iter().zip(y.iter()).zip(z.iter()) {
            fill(&mut row, [load(x), load(y), load(z)]);
            f(&row);
        }
    } else {
        for i in 0..shortest(&xs) {
            for (to, x) in row.iter_mut().zip(&xs) {
                *to = x.get(i).map_or(zero, &load);
            }
            f(&row);
        }
    }
}

/// Calls `f` with the vectors at each place of all slices, and the array at the same place of
/// `out` for the result.
#[inline(always)]
pub(super) fn for_each_into<L: Lanes, const N: usize>(
    xs: &[&[f32]; N],
    out: &mut [f32],
    mut f: impl FnMut(&mut L::Array, &[L; N]),
) {
    let mut row = [L::splat(0.0); N];
    let out = L::chunks_mut(out).0.iter_mut();
    if const { N == 1 } {
        let [x, ..] = xs.as_slice() else { return };
        for (to, x) in out.zip(L::chunks(x).0) {
            fill(&mut row, [L::load(x)]);
            f(to, &row);
        }
    } else if const { N == 2 } {
        let [x, y, ..] = xs.as_slice() else { return };
        for ((to, x), y) in out.zip(L::chunks(x).0).zip(L::chunks(y).0) {
            fill(&mut row, [L::load(x), L::load(y)]);
            f(to, &row);
        }
    } else if const { N == 3 } {
        let [x, y, z, ..] = xs.as_slice() else {
            return;
        };
        let zip = out.zip(L::chunks(x).0).zip(L::chunks(y).0);
        for (((to, x), y), z) in zip.zip(L::chunks(z).0) {
            fill(&mut row, [L::load(x), L::load(y), L::load(z)]);
            f(to, &row);
        }
    } else {
        let n = shortest(xs) / L::LEN;
        for (i, to) in out.take(n).enumerate() {
            for (to, x) in row.iter_mut().zip(xs) {
                *to = L::chunks(x).0.get(i).map_or(*to, L::load);
            }
            f(to, &row);
        }
    }
}

#[inline(always)]
pub(super) fn fill<V: Copy, const M: usize>(row: &mut [V], values: [V; M]) {
    for (to, value) in row.iter_mut().zip(&values) {
        *to = *value;
    }
}

/// The `len` numbers from `start` on; an empty slice if there are fewer.
#[inline(always)]
pub(super) fn run(x: &[f32], start: usize, len: usize) -> &[f32] {
    x.get(start..start + len).unwrap_or_default()
}

/// The number at `at`; 0 behind the end.
#[inline(always)]
pub(super) fn one(x: &[f32], at: usize) -> f32 {
    x.get(at).copied().unwrap_or(0.0)
}
