//! The scalar level on targets with vectors: one number at a time. Only tests use it, so it need
//! not be fast. Its loops are compiled once, with the function behind a pointer, instead of once
//! for each function: a third less is compiled.

use super::reduce::{self, Reduce};
use super::{Acc, Lanes, Map};

/// A [`Map`] of single numbers, behind a pointer.
pub(super) trait Single<const N: usize> {
    fn single(&self, x: &[f32; N]) -> f32;
}

impl<const N: usize, F: Map<N>> Single<N> for F {
    fn single(&self, x: &[f32; N]) -> f32 {
        self.apply(x)
    }
}

/// A [`Map`] that calls a function behind a pointer.
struct Alone<'a, const N: usize>(&'a dyn Single<N>);

impl<const N: usize> Map<N> for Alone<'_, N> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, x: &[L; N]) -> L {
        const { assert!(L::LEN == 1) };
        let mut numbers = [0.0; N];
        for (to, x) in numbers.iter_mut().zip(x) {
            x.store_part(core::slice::from_mut(to));
        }
        L::splat(self.0.single(&numbers))
    }
}

#[inline(never)]
pub(super) fn map<const N: usize>(f: &dyn Single<N>, xs: [&[f32]; N], out: &mut [f32], acc: Acc) {
    super::map::map::<f32, N, _>(Alone(f), xs, out, acc);
}

#[inline(never)]
pub(super) fn map_in_place(f: &dyn Single<1>, x: &mut [f32]) {
    super::map::map_in_place::<f32, _>(Alone(f), x);
}

#[inline(never)]
pub(super) fn zip_in_place(f: &dyn Single<2>, x: &mut [f32], y: &[f32]) {
    super::map::zip_in_place::<f32, _>(Alone(f), x, y);
}

#[inline(never)]
pub(super) fn reduce<R: Reduce, const N: usize>(f: &dyn Single<N>, xs: [&[f32]; N]) -> f32 {
    reduce::long_reduce::<f32, R, N, _>(Alone(f), xs)
}
