//! Reductions over [`Lanes`], in the order that [`generic`](super::generic) describes.

use core::cell::Cell;

use super::compensated::{BLOCK, carry, in_blocks};
use super::slices::{for_each, load_parts, parts, rests, runs, shortest};
use super::{Lanes, Level, Map, Mask, Product, SquaredDifference, f32x8};

/// The most elements that a reduction combines in order.
pub const IN_ORDER: usize = 16;

/// The number of partial results of longer reductions.
pub(super) const PARTIALS: usize = 32;

/// A reduction, by the way it combines two values.
pub trait Reduce {
    /// The value that, combined with any `x`, gives `x`.
    const IDENTITY: f32;
    /// Whether combining rounds, so that long reductions must compensate for it.
    const ROUNDS: bool = false;
    /// Combines two partial results.
    fn combine<L: Lanes>(a: L, b: L) -> L;
}

/// Addition.
#[derive(Clone, Copy, Debug)]
pub struct Sum;

impl Reduce for Sum {
    const IDENTITY: f32 = -0.0;
    const ROUNDS: bool = true;
    #[inline(always)]
    fn combine<L: Lanes>(a: L, b: L) -> L {
        a + b
    }
}

/// The larger of two values; NaN if either is. For `0.0` and `-0.0`, the left one.
#[derive(Clone, Copy, Debug)]
pub struct Max;

impl Reduce for Max {
    const IDENTITY: f32 = f32::NEG_INFINITY;
    #[inline(always)]
    fn combine<L: Lanes>(a: L, b: L) -> L {
        L::select(b.gt(a).or(b.is_nan()), b, a)
    }
}

/// The smaller of two values; NaN if either is. For `0.0` and `-0.0`, the left one.
#[derive(Clone, Copy, Debug)]
pub struct Min;

impl Reduce for Min {
    const IDENTITY: f32 = f32::INFINITY;
    #[inline(always)]
    fn combine<L: Lanes>(a: L, b: L) -> L {
        L::select(b.lt(a).or(b.is_nan()), b, a)
    }
}

/// Reduces `f(x[i], …)`, in the order that the [module](super::generic) describes.
#[inline(always)]
pub fn reduce<L: Lanes, R: Reduce, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> f32 {
    if shortest(&xs) <= IN_ORDER {
        return in_order::<R, N, F>(f, xs);
    }
    long_reduce::<L, R, N, F>(f, xs)
}

/// [`reduce`] of more than [`IN_ORDER`] elements.
#[inline(always)]
pub fn long_reduce<L: Lanes, R: Reduce, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> f32 {
    if const { L::LEN == 1 } {
        return one_by_one::<R, N, F>(f, xs);
    }
    let n = shortest(&xs);
    let xs = parts(&xs, 0..n);
    if const { !R::ROUNDS } {
        return tree::<L, R>(in_groups::<L, R, N, F>(f, xs));
    }
    let [sum] = in_blocks(
        xs,
        #[inline(always)]
        |block| {
            // Takes four rows at a time, which the compiler unrolls.
            let mut partial = [L::splat(R::IDENTITY); 4];
            let mut fours = [&[] as &[[f32; 4 * PARTIALS]]; N];
            for (to, x) in fours.iter_mut().zip(block) {
                *to = x.as_chunks().0;
            }
            for_each(
                fours,
                &[0.0; 4 * PARTIALS],
                #[inline(always)]
                |four| four,
                #[inline(always)]
                |row| {
                    let mut rows = [&[] as &[[f32; PARTIALS]]; N];
                    for (to, four) in rows.iter_mut().zip(row) {
                        *to = four.as_chunks().0;
                    }
                    partial = add_groups::<L, R, N, F>(&f, rows, partial);
                },
            );
            [tree::<L, R>(partial)]
        },
        #[inline(always)]
        |rest| [tree::<L, R>(in_groups::<L, R, N, _>(&f, rest))],
    );
    sum
}

/// Combines the partial results of a long reduction.
#[inline(always)]
pub(super) fn tree<L: Lanes, R: Reduce>([a, b, c, d]: [L; 4]) -> f32 {
    let mut v = [0.0; 8];
    let sums = R::combine(R::combine(a, b), R::combine(c, d));
    if let [to, ..] = L::chunks_mut(&mut v).0 {
        sums.store(to);
    }
    let [a, b, c, d, e, f, g, h] = v;
    let (a, b) = (R::combine(a, e), R::combine(b, f));
    let (c, d) = (R::combine(c, g), R::combine(d, h));
    R::combine(R::combine(a, c), R::combine(b, d))
}

/// A long reduction whose partial results are kept in memory, which takes the least code: for
/// cores without SIMD.
#[inline(always)]
fn one_by_one<R: Reduce, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> f32 {
    if const { R::ROUNDS } {
        let (mut sums, mut partial) = (OneByOne::NEW, [R::IDENTITY; PARTIALS]);
        let mut i = 0;
        for_each(
            xs,
            0.0,
            |x| *x,
            |row| {
                if i == BLOCK {
                    sums.close(&mut partial);
                    i = 0;
                }
                if let Some(partial) = partial.get_mut(i % PARTIALS) {
                    *partial = R::combine(*partial, f.apply(row));
                }
                i += 1;
            },
        );
        sums.close(&mut partial);
        return sums.sum();
    }
    let mut partial = [R::IDENTITY; PARTIALS];
    let mut i = 0;
    for_each(
        xs,
        0.0,
        |x| *x,
        |row| {
            if let Some(partial) = partial.get_mut(i % PARTIALS) {
                *partial = R::combine(*partial, f.apply(row));
            }
            i += 1;
        },
    );
    tree_of::<R>(&mut partial)
}

/// A sum of blocks for cores without SIMD: the total so far, and the last block with the
/// rounding error that it started with.
pub(super) struct OneByOne {
    total: f32,
    part: f32,
}

impl OneByOne {
    pub(super) const NEW: Self = OneByOne {
        total: -0.0,
        part: -0.0,
    };

    /// Adds the partial sums of a block, and clears them for the next block.
    #[inline(never)]
    pub(super) fn close(&mut self, partial: &mut [f32; PARTIALS]) {
        (self.total, self.part) = carry(self.total, self.part);
        self.part += tree_of::<Sum>(partial);
        partial.fill(-0.0);
    }

    #[inline(always)]
    pub(super) fn sum(&self) -> f32 {
        self.total + self.part
    }
}

/// [`tree`] of partial results in memory. One copy for all callers.
#[inline(never)]
pub(super) fn tree_of<R: Reduce>(partial: &mut [f32; PARTIALS]) -> f32 {
    // Cells, because the values read and written overlap.
    let partial = Cell::from_mut(partial.as_mut_slice()).as_slice_of_cells();
    for [apart, count] in &[[8, 24], [16, 8], [4, 4], [2, 2], [1, 1_u8]] {
        let ys = partial.get(usize::from(*apart)..).unwrap_or_default();
        for (x, y) in partial.iter().zip(ys).take(usize::from(*count)) {
            x.set(R::combine(x.get(), y.get()));
        }
    }
    partial.first().map_or(R::IDENTITY, Cell::get)
}

/// A reduction of up to [`IN_ORDER`] elements.
#[inline(always)]
pub fn in_order<R: Reduce, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> f32 {
    let mut result = R::IDENTITY;
    let mut rests = xs;
    if const { Level::VECTORS } {
        // Applies `f` to vectors: only the combining must be done in order.
        let zero = f32x8::splat(0.0);
        let n = shortest(&xs);
        for_each(runs(&xs), zero, f32x8::load, |row| {
            for y in f.apply(row).to_array() {
                result = R::combine(result, y);
            }
        });
        rests = parts(&xs, n - n % f32x8::LEN..n);
    }
    for_each(
        rests,
        0.0,
        |x| *x,
        |row| result = R::combine(result, f.apply(row)),
    );
    result
}

/// The partial results of a long reduction, or of a block, as four vectors of eight.
#[inline(always)]
fn in_groups<L: Lanes, R: Reduce, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> [L; 4] {
    let identity = [L::splat(R::IDENTITY); 4];
    let mut partial = add_groups::<L, R, N, F>(&f, runs(&xs), identity);
    // The last row may be short: lanes beyond the end combine with the identity.
    let rests = rests::<PARTIALS, N>(&xs);
    let len = shortest(&rests);
    for (g, partial) in partial.iter_mut().enumerate() {
        let start = L::LEN * g;
        if start < len {
            let mut lanes = [R::IDENTITY; 8];
            let y = f.apply(&load_parts::<L, N>(&parts(&rests, start..len)));
            y.store_part(lanes.get_mut(..(len - start).min(8)).unwrap_or_default());
            *partial = R::combine(*partial, L::load_part(&lanes, 0.0));
        }
    }
    partial
}

/// Combines rows of 32 elements, as four vectors of eight, with the partial results.
#[inline(always)]
fn add_groups<L: Lanes, R: Reduce, const N: usize, F: Map<N>>(
    f: &F,
    blocks: [&[[f32; PARTIALS]]; N],
    mut partial: [L; 4],
) -> [L; 4] {
    // Cutting a row into vectors costs nothing, because each vector is at a constant offset.
    let zero = L::splat(0.0);
    for_each(
        blocks,
        [zero; 4],
        #[inline(always)]
        |block| {
            let mut vectors = [zero; 4];
            for (to, x) in vectors.iter_mut().zip(L::chunks(block).0) {
                *to = L::load(x);
            }
            vectors
        },
        #[inline(always)]
        |row| {
            for (g, partial) in partial.iter_mut().enumerate() {
                let mut xs = [zero; N];
                for (to, vectors) in xs.iter_mut().zip(row) {
                    *to = vectors.get(g).copied().unwrap_or(zero);
                }
                *partial = R::combine(*partial, f.apply(&xs));
            }
        },
    );
    partial
}

/// The terms that [`long_sum`] adds.
#[derive(Clone, Copy)]
pub(super) enum Term {
    X,
    Product,
    SquaredDifference,
}

/// Long sums without vectors. The three kinds share all code but the innermost loops, which saves
/// 60 bytes of flash.
#[inline(never)]
pub(super) fn long_sum(term: Term, mut x: &[f32], mut y: &[f32]) -> f32 {
    let (mut total, mut part) = (Sum::IDENTITY, Sum::IDENTITY);
    loop {
        let mut partial = [Sum::IDENTITY; PARTIALS];
        let mut left = BLOCK;
        while left > 0 && !x.is_empty() && !y.is_empty() {
            for (sum, (x, y)) in partial.iter_mut().zip(x.iter().zip(y)) {
                *sum += match term {
                    Term::X => *x,
                    Term::Product => Product.apply(&[*x, *y]),
                    Term::SquaredDifference => SquaredDifference.apply(&[*x, *y]),
                };
            }
            x = x.get(PARTIALS..).unwrap_or_default();
            y = y.get(PARTIALS..).unwrap_or_default();
            left -= PARTIALS;
        }
        part += tree_of::<Sum>(&mut partial);
        (total, part) = carry(total, part);
        if x.is_empty() || y.is_empty() {
            // `total` is now the rounded sum of both; its rounding error in `part` is dropped.
            return total;
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)]
mod tests {
    use super::super::{dot, squared_distance, sum};
    use super::*;
    use crate::random::{fill_normal, seeded};

    /// On targets with vectors, only this test runs [`long_sum`].
    #[test]
    fn long_sums_without_vectors_have_the_same_bits() {
        let (mut x, mut y) = ([0.0; 200], [0.0; 200]);
        let mut rng = seeded(1);
        fill_normal(&mut rng, 0.1, 1.0, &mut x).unwrap();
        fill_normal(&mut rng, 0.0, 1.0, &mut y).unwrap();
        for n in IN_ORDER + 1..=x.len() {
            let (x, y) = (&x[..n], &y[200 - n..]);
            for (term, expected) in [
                (Term::X, sum(x)),
                (Term::Product, dot(x, y)),
                (Term::SquaredDifference, squared_distance(x, y)),
            ] {
                assert_eq!(long_sum(term, x, y).to_bits(), expected.to_bits(), "{n}");
            }
            // The sum ends where the shorter slice does.
            let same = |x: &[f32], y: &[f32]| long_sum(Term::Product, x, y).to_bits();
            let short = &y[..n - 1];
            assert_eq!(same(x, short), same(&x[..n - 1], short));
            assert_eq!(same(short, x), same(x, short));
        }
    }
}
