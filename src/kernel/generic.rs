//! The loops, once, over [`Lanes`].
//!
//! # Element-wise
//!
//! ```text
//! for each whole group of L::LEN elements:  load, apply, store
//! the rest:                                 load_part, apply, store_part
//! ```
//!
//! The rest goes through the same `apply`, in lanes that are partly unused, so
//! that an element's bits do not depend on where it stands.
//!
//! # Reductions
//!
//! ```text
//! if n <= IN_ORDER:  r = identity; for each i: r = combine(r, f(x[i]))
//!
//! else: for each block of 512, of sums, or for all, of extremes:
//!       partial[0..32] = identity
//!       for each i: partial[i % 32] = combine(partial[i % 32], f(x[i]))
//!       v[l]  = combine(combine(partial[l],    partial[8+l]),
//!                       combine(partial[16+l], partial[24+l]))     l = 0..8
//!       v[l]  = combine(v[l], v[l+4])                              l = 0..4
//!       v[l]  = combine(v[l], v[l+2])                              l = 0..2
//!       r     = combine(v[0], v[1])
//! ```
//!
//! Each block of several goes on with what rounding took from the total of those before it
//! (`compensated.rs`), so that the error does not grow with `n`. (The last block may be
//! short, even of a single number, and goes the same way.)
//!
//! Sums across rows, whose terms are no neighbours, have lanes along the columns, and each
//! goes in order if it has up to 64 terms. If it has more, it goes in blocks of 32, in
//! order within, and these are added up in the same way.
//!
//! The order depends on `n` alone. Thirty-two partial results are four vectors
//! of eight: an addition takes about four cycles, so four in flight keep the
//! adder busy. A core without SIMD keeps the partial results in memory, which
//! costs it little. The identity of addition is `-0.0`
//! (`0.0 + -0.0` would lose a sign), so lanes beyond the end change nothing.
//!
//! # Closures
//!
//! Those that hold lanes are `#[inline(always)]` like everything else here: out of
//! line they would be compiled for the baseline, and call every operation of a lane
//! type that needs more. (Rows of a broadcast only where there is such a type: in
//! a firmware, one copy of them is enough.)
//!
//! # Short sums
//!
//! They go in order because there the tree saves little, padding costs a
//! scalar core much, and a loop anyone would write by hand gives the same bits.

use core::cell::Cell;
use core::hint::black_box;
use core::ops::Range;

use super::compensated::{
    BLOCK, Blocks, Columns, OneByOne, ROWS_IN_ORDER, ROWS_OF_BLOCK, TILE, Tile, carry_one,
    carry_vectors, in_blocks, rows_of_block,
};
use super::lanes::copy_part;
use super::{Acc, Broadcast, Lanes, Level, Map, Mask, Row, Ties, Walk, f32x8, math};

pub use super::matmul::{linear, matmul, matmul_nt, matmul_tn};

/// Reductions of up to this many elements are done in order.
pub const IN_ORDER: usize = 16;

/// Partial results of longer reductions.
pub(super) const PARTIALS: usize = 32;

/// How a reduction combines two values.
pub trait Reduce {
    /// Combined with any `x`, gives `x`.
    const IDENTITY: f32;
    /// Whether combining rounds, so that long reductions must make up for it.
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

/// The larger one; NaN if either is. Of `0.0` and `-0.0`, the left one.
#[derive(Clone, Copy, Debug)]
pub struct Max;
impl Reduce for Max {
    const IDENTITY: f32 = f32::NEG_INFINITY;
    #[inline(always)]
    fn combine<L: Lanes>(a: L, b: L) -> L {
        L::select(b.gt(a).or(b.is_nan()), b, a)
    }
}

/// The smaller one; NaN if either is. Of `0.0` and `-0.0`, the left one.
#[derive(Clone, Copy, Debug)]
pub struct Min;
impl Reduce for Min {
    const IDENTITY: f32 = f32::INFINITY;
    #[inline(always)]
    fn combine<L: Lanes>(a: L, b: L) -> L {
        L::select(b.lt(a).or(b.is_nan()), b, a)
    }
}

/// The length of the shortest slice.
///
/// Written out, like what follows: a loop over the slices stays one when compiled for
/// size, and costs more than the loop over eleven elements that it prepares.
#[inline(always)]
pub(super) fn shortest<T, const N: usize>(xs: &[&[T]; N]) -> usize {
    match xs.as_slice() {
        [x] => x.len(),
        [x, y] => x.len().min(y.len()),
        [x, y, z] => x.len().min(y.len()).min(z.len()),
        xs => xs.iter().map(|x| x.len()).min().unwrap_or(0),
    }
}

/// The same part of each slice; none of it where a slice is too short.
///
/// A loop here and below, where `map` of an array would be shorter: for each closure that
/// it is given, it makes a dozen functions to be compiled, which were a third of all.
#[inline(always)]
fn parts<'a, const N: usize>(xs: &[&'a [f32]; N], part: Range<usize>) -> [&'a [f32]; N] {
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

/// The part of each slice that [`runs`] leaves.
#[inline(always)]
pub(super) fn rests<'a, const M: usize, const N: usize>(xs: &[&'a [f32]; N]) -> [&'a [f32]; N] {
    let mut rests = [&[] as &[f32]; N];
    for (to, x) in rests.iter_mut().zip(xs) {
        *to = x.as_chunks::<M>().1;
    }
    rests
}

/// Loads the beginning of a vector from each slice.
#[inline(always)]
fn load_parts<L: Lanes, const N: usize>(xs: &[&[f32]; N]) -> [L; N] {
    let mut row = [L::splat(0.0); N];
    for (to, x) in row.iter_mut().zip(xs) {
        *to = L::load_part(x, 0.0);
    }
    row
}

/// Loads as many vectors as there are on both sides.
#[inline(always)]
fn load_all<L: Lanes>(from: &[L::Array], to: &mut [L]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = L::load(from);
    }
}

/// Calls `f` with what stands at each place in all slices, as far as the
/// shortest goes.
///
/// Written as zips of one, two or three: a zip checks no index, and a row that is passed
/// by reference is not packed into an integer register. Which of them it is, is known
/// before anything is handed to LLVM, and the others are not.
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

/// Calls `f` with the whole vectors at each place in all slices, and a place in
/// `out` for each.
#[inline(always)]
fn for_each_into<L: Lanes, const N: usize>(
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
fn fill<V: Copy, const M: usize>(row: &mut [V], values: [V; M]) {
    for (to, value) in row.iter_mut().zip(&values) {
        *to = *value;
    }
}

/// A [`Map`] of single numbers, behind a pointer.
pub(super) trait Single<const N: usize> {
    fn single(&self, x: &[f32; N]) -> f32;
}

impl<const N: usize, F: Map<N>> Single<N> for F {
    fn single(&self, x: &[f32; N]) -> f32 {
        self.apply(x)
    }
}

/// A function behind a pointer, for one number at a time where there are vectors: only
/// tests ask for that, and so it need not be fast. All loops at that level are there once
/// for all functions, in [`alone`], which saves a third of them.
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

/// Kernels with a function behind a pointer.
pub(super) mod alone {
    use super::{Acc, Alone, Reduce, Single};

    #[inline(never)]
    pub(in super::super) fn map<const N: usize>(
        f: &dyn Single<N>,
        xs: [&[f32]; N],
        out: &mut [f32],
        acc: Acc,
    ) {
        super::map::<f32, N, _>(Alone(f), xs, out, acc);
    }

    #[inline(never)]
    pub(in super::super) fn map_in_place(f: &dyn Single<1>, x: &mut [f32]) {
        super::map_in_place::<f32, _>(Alone(f), x);
    }

    #[inline(never)]
    pub(in super::super) fn zip_in_place(f: &dyn Single<2>, x: &mut [f32], y: &[f32]) {
        super::zip_in_place::<f32, _>(Alone(f), x, y);
    }

    #[inline(never)]
    pub(in super::super) fn reduce<R: Reduce, const N: usize>(
        f: &dyn Single<N>,
        xs: [&[f32]; N],
    ) -> f32 {
        super::long_reduce::<f32, R, N, _>(Alone(f), xs)
    }
}

/// See [`super::map`].
#[inline(always)]
pub fn map<L: Lanes, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32], acc: Acc) {
    if const { takes_long::<L, N, F>() } {
        return map_through_one_copy::<L, N, F>(f, xs, out, acc);
    }
    // Told apart outside of the loop.
    match acc {
        Acc::Set => map_as::<L, N, F, false>(f, xs, out),
        Acc::Add => map_as::<L, N, F, true>(f, xs, out),
    }
}

/// Whether a function takes so many operations that there should be one copy of it.
const fn takes_long<L: Lanes, const N: usize, F: Map<N>>() -> bool {
    L::LEN > 1 && F::SHORT == 0
}

/// [`map`] with one copy of the function, to overwrite and to add, for whole vectors and
/// for the rest: that is put into vectors of its own first, which costs little beside the
/// function, and is a fourth of the code to compile.
#[inline(always)]
fn map_through_one_copy<L: Lanes, const N: usize, F: Map<N>>(
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
        // Or the compiler would make a second copy after all.
        is_last = black_box(true);
    }
}

#[inline(always)]
pub(super) fn map_as<L: Lanes, const N: usize, F: Map<N>, const ADD: bool>(
    f: F,
    xs: [&[f32]; N],
    out: &mut [f32],
) {
    if const { takes_long::<L, N, F>() } {
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

/// [`map`] of one number at a time, with less code.
#[inline(always)]
pub(super) fn map_in_one_loop<const N: usize, F: Map<N>>(
    f: F,
    xs: [&[f32]; N],
    out: &mut [f32],
    acc: Acc,
) {
    for_each_into::<f32, N>(&xs, out, |[to], row| acc.put(to, f.apply(row)));
}

/// [`map`] of few elements: whole vectors of what every CPU of the target has, then
/// one at a time. Which lanes there are to choose from is not asked.
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

/// A reduction of `f(x[i], …)`; see the module for the order.
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
            // Four rows at a time, of which the compiler makes one run of instructions.
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

/// The partial results of a long reduction, added up.
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

/// A long reduction whose partial results are kept in memory: least code, for cores
/// without SIMD.
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

/// [`tree`] of partial results in memory, in one copy for all that are reduced so.
#[inline(never)]
pub(super) fn tree_of<R: Reduce>(partial: &mut [f32; PARTIALS]) -> f32 {
    // Cells, because it is in place.
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
        // Only the combining must go in order.
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

/// The partial results, a vector for each group of eight.
#[inline(always)]
fn in_groups<L: Lanes, R: Reduce, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> [L; 4] {
    let identity = [L::splat(R::IDENTITY); 4];
    let mut partial = add_groups::<L, R, N, F>(&f, runs(&xs), identity);
    // The last row, if short: lanes beyond the end combine with the identity.
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

/// Combines groups of eight of each 32 elements with the partial results.
#[inline(always)]
fn add_groups<L: Lanes, R: Reduce, const N: usize, F: Map<N>>(
    f: &F,
    blocks: [&[[f32; PARTIALS]]; N],
    mut partial: [L; 4],
) -> [L; 4] {
    // Blocks are cut into vectors once more, which costs nothing: a vector of a
    // block is one more constant offset.
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

/// See [`super::sum_axis`].
#[inline(always)]
pub fn reduce_axis<L: Lanes, R: Reduce>(
    x: &[f32],
    [outer, len, inner]: [usize; 3],
    out: &mut [f32],
) {
    if const { R::ROUNDS } {
        return sum_axis::<L>(x, [outer, len, inner], out, Acc::Set);
    }
    if inner == 1 {
        for (i, to) in out.iter_mut().take(outer).enumerate() {
            let row = x.get(i * len..(i + 1) * len).unwrap_or_default();
            *to = reduce::<L, R, 1, _>(super::Identity, [row]);
        }
        return;
    }
    if inner == 0 {
        return;
    }
    for (i, to) in out.chunks_exact_mut(inner).take(outer).enumerate() {
        let slab = run(x, i * len * inner, len * inner);
        to.fill(R::IDENTITY);
        for row in slab.chunks_exact(inner) {
            combine_into::<L, R>(row, to);
        }
    }
}

/// [`super::sum_axis`], or that added to what is there.
#[inline(always)]
pub(super) fn sum_axis<L: Lanes>(
    x: &[f32],
    [outer, len, inner]: [usize; 3],
    out: &mut [f32],
    acc: Acc,
) {
    if inner == 1 {
        for (i, to) in out.iter_mut().take(outer).enumerate() {
            let row = x.get(i * len..(i + 1) * len).unwrap_or_default();
            acc.put(to, reduce::<L, Sum, 1, _>(super::Identity, [row]));
        }
        return;
    }
    if inner == 0 {
        return;
    }
    for (i, to) in out.chunks_exact_mut(inner).take(outer).enumerate() {
        let slab = run(x, i * len * inner, len * inner);
        sum_slab::<L>(slab, [len, inner], to, acc);
    }
}

/// `to = combine(to, row)`.
#[inline(always)]
fn combine_into<L: Lanes, R: Reduce>(row: &[f32], to: &mut [f32]) {
    let (whole, rest) = L::chunks(row);
    let (to, to_rest) = L::chunks_mut(to);
    for (to, x) in to.iter_mut().zip(whole) {
        R::combine(L::load(to), L::load(x)).store(to);
    }
    if const { L::LEN > 1 } {
        let x = L::load_part(rest, 0.0);
        R::combine(L::load_part(to_rest, 0.0), x).store_part(to_rest);
    }
}

/// `f` with its last argument given.
pub(super) struct Last<F>(pub(super) F, pub(super) f32);
impl<F: Map<2>> Map<1> for Last<F> {
    const SHORT: usize = F::SHORT;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        self.0.apply(&[x, L::splat(self.1)])
    }
}
impl<F: Map<3>> Map<2> for Last<F> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        self.0.apply(&[x, y, L::splat(self.1)])
    }
}

/// `f` with its last argument but one given.
pub(super) struct LastButOne<F>(pub(super) F, pub(super) f32);
impl<F: Map<2>> Map<1> for LastButOne<F> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[y]: &[L; 1]) -> L {
        self.0.apply(&[L::splat(self.1), y])
    }
}
impl<F: Map<3>> Map<2> for LastButOne<F> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, z]: &[L; 2]) -> L {
        self.0.apply(&[x, L::splat(self.1), z])
    }
}

#[inline(always)]
pub(super) fn run(x: &[f32], start: usize, len: usize) -> &[f32] {
    x.get(start..start + len).unwrap_or_default()
}

#[inline(always)]
pub(super) fn one(x: &[f32], at: usize) -> f32 {
    x.get(at).copied().unwrap_or(0.0)
}

/// See [`super::zip`].
#[inline(always)]
pub fn zip<L: Lanes, F: Map<2>>(f: F, stretch: &Broadcast, a: &[f32], b: &[f32], out: &mut [f32]) {
    let n = stretch.inner();
    if n == 0 {
        return; // however many rows of nothing
    }
    stretch.walk().rows(
        #[cfg_attr(target_arch = "x86_64", inline(always))]
        |[i, j, k]| {
            let to = out.get_mut(k..k + n).unwrap_or_default();
            let (row, [na, nb]) = match stretch.has_inner() {
                (true, true) => (Row::Both, [n, n]),
                (true, false) => (Row::OnlyA, [n, 1]),
                (false, _) => (Row::OnlyB, [1, n]),
            };
            zip_row::<L, F>(&f, row, run(a, i, na), run(b, j, nb), to);
        },
    );
}

/// A row of [`zip`].
#[inline(always)]
pub(super) fn zip_row<L: Lanes, F: Map<2>>(f: &F, row: Row, a: &[f32], b: &[f32], out: &mut [f32]) {
    match row {
        Row::Both => map_as::<L, 2, _, false>(f, [a, b], out),
        Row::OnlyA => map_as::<L, 1, _, false>(Last(f, one(b, 0)), [a], out),
        Row::OnlyB => map_as::<L, 1, _, false>(LastButOne(f, one(a, 0)), [b], out),
    }
}

/// See [`super::zip_grad`].
///
/// ```text
/// for each place along the outer dimensions that the operand has:
///     for each few columns along the innermost:    (one, if it lacks that)
///         sums = -0.0                              in registers
///         for each place along the outer dimensions that it lacks, in order:
///             sums = sums + f(g, own, other)       or + the sum of f along the innermost
///         grad = sums                              or += sums
/// ```
///
/// The operand's dimensions go outside, so that a sum of however many terms is finished
/// before the next begins, and what it carries stays in registers.
#[inline(always)]
pub fn zip_grad<L: Lanes, F: Map<3>>(
    f: F,
    stretch: &Broadcast,
    slices: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
) {
    let n = stretch.inner();
    if n == 0 {
        // However many rows of nothing.
        if acc == Acc::Set {
            grad.fill(Sum::IDENTITY);
        }
        return;
    }
    if L::LEN == 1 || n <= IN_ORDER || !stretch.has_inner().0 {
        let add = &mut |xs: [&[f32]; 3], sums: &mut [f32]| {
            map_in_one_loop(&f, xs, sums, Acc::Add);
        };
        return zip_grad_in_tiles(stretch, slices, grad, acc, add);
    }
    if const { L::LEN > 1 } {
        zip_grad_in_strips::<L, F>(f, stretch, slices, grad, acc);
    }
}

/// [`zip_grad`] of an operand that has the innermost dimension, of more columns than
/// [`IN_ORDER`].
#[inline(always)]
pub(super) fn zip_grad_in_strips<L: Lanes, F: Map<3>>(
    f: F,
    stretch: &Broadcast,
    slices: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
) {
    let (n, walk) = (stretch.inner(), stretch.walk());
    let (_, has_other) = stretch.has_inner();
    let terms = walk.repeats();
    walk.own(
        #[inline(always)]
        |at| {
            let [i, ..] = at;
            let job = Columnwise {
                f: &f,
                walk: &walk,
                terms,
                has_other,
                slices,
                at,
            };
            job.put::<L>(grad.get_mut(i..i + n).unwrap_or_default(), acc);
        },
    );
}

/// [`zip_grad`] of an operand that lacks the innermost dimension, of more columns than
/// [`IN_ORDER`]. Lanes are chosen for each row.
pub(super) fn zip_grad_of_rows<F: Map<3>>(
    f: F,
    stretch: &Broadcast,
    [g, own, other]: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
) {
    let n = stretch.inner();
    sum_repeats(stretch, grad, acc, &mut |[i, j, k]| {
        let f = LastButOne(&f, one(own, i));
        super::long_reduce::<Sum, 2, _>(f, [run(g, k, n), run(other, j, n)])
    });
}

/// Adds up what `row` gives for each row. Once for all functions.
#[inline(never)]
fn sum_repeats(
    stretch: &Broadcast,
    grad: &mut [f32],
    acc: Acc,
    row: &mut dyn FnMut([usize; 3]) -> f32,
) {
    let walk = stretch.walk();
    let terms = walk.repeats();
    walk.own(|at| {
        let mut sums = Columns::<f32, 1>::of(terms);
        walk.repeated(at, |at| sums.add([row(at)]));
        let ([sum], [i, ..]) = (sums.sums(), at);
        if let Some(to) = grad.get_mut(i) {
            acc.put(to, sum);
        }
    });
}

/// Adds a term each to some sums.
type AddTerms<'a> = &'a mut dyn FnMut([&[f32]; 3], &mut [f32]);

/// [`zip_grad`] for few columns and for cores without SIMD: sums are in memory, and `add`
/// adds the terms of a row of a tile to them, so that all but that is there once.
#[inline(never)]
fn zip_grad_in_tiles(
    stretch: &Broadcast,
    [g, own, other]: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
    add: AddTerms<'_>,
) {
    let (n, walk) = (stretch.inner(), stretch.walk());
    let (has_own, has_other) = stretch.has_inner();
    let (len, terms) = (if has_own { n } else { 1 }, walk.repeats());
    walk.own(|at| {
        let [i, ..] = at;
        let mut column = 0;
        let grad = grad.get_mut(i..i + len).unwrap_or_default();
        for to in grad.chunks_mut(TILE) {
            let (mut tile, mut blocks) = (Tile::new(), Blocks::of(terms));
            let width = to.len();
            walk.repeated(at, |[_, j, k]| {
                if blocks.next() {
                    tile.carry();
                }
                let sums = tile.sums.as_flattened_mut();
                let sums = sums.get_mut(..width).unwrap_or_default();
                if !has_own {
                    let row = [run(g, k, n), run(other, j, n)];
                    let sum = row_sum(row, one(own, i), add);
                    sums.iter_mut().for_each(|to| *to += sum);
                    return;
                }
                let (g, own) = (run(g, k + column, width), run(own, i + column, width));
                if has_other {
                    add([g, own, run(other, j + column, width)], sums);
                } else {
                    add([g, own, &[one(other, j); TILE]], sums);
                }
            });
            tile.finish();
            for (to, sum) in to.iter_mut().zip(tile.sums.as_flattened()) {
                acc.put(to, *sum);
            }
            column += TILE;
        }
    });
}

/// The sum of a row of terms, in the order of every reduction.
fn row_sum([g, other]: [&[f32]; 2], own: f32, add: AddTerms<'_>) -> f32 {
    let (mut sums, mut partial) = (OneByOne::NEW, [Sum::IDENTITY; PARTIALS]);
    for (block, others) in g.chunks(BLOCK).zip(other.chunks(BLOCK)) {
        for (g, other) in block.chunks(PARTIALS).zip(others.chunks(PARTIALS)) {
            add([g, &[own; PARTIALS], other], &mut partial);
        }
        if g.len() <= IN_ORDER {
            return partial.iter().fold(Sum::IDENTITY, |sum, term| sum + term);
        }
        sums.close(&mut partial);
    }
    sums.sum()
}

/// The gradients of a row of an operand that has the innermost dimension, strip by strip.
struct Columnwise<'a, F> {
    f: &'a F,
    walk: &'a Walk,
    terms: usize,
    has_other: bool,
    slices: [&'a [f32]; 3],
    /// Where the row starts in the operand, in the other one and in the result.
    at: [usize; 3],
}

impl<F: Map<3>> Columnwise<'_, F> {
    /// All of them. The row has more columns than a strip, or none. The last strip ends
    /// where the row does, and computes some columns a second time: a loop for fewer
    /// columns would be the same code once more, for each function and lane type.
    #[inline(always)]
    fn put<L: Lanes>(&self, grad: &mut [f32], acc: Acc) {
        let width = 2 * L::LEN;
        let mut column = 0;
        while column < grad.len() {
            let start = column.min(grad.len().saturating_sub(width));
            if let Some(sums) = self.strip::<L, 2>(start) {
                if start == column || acc == Acc::Set {
                    put_vectors(sums, grad.get_mut(start..).unwrap_or_default(), acc);
                } else {
                    let mut lanes = [[0.0; 8]; 2];
                    for (to, sum) in lanes.iter_mut().zip(sums) {
                        sum.store_part(to);
                    }
                    let lanes = lanes.as_flattened().get(column - start..);
                    let to = grad.get_mut(column..).unwrap_or_default();
                    for (to, sum) in to.iter_mut().zip(lanes.unwrap_or_default()) {
                        *to += sum;
                    }
                }
            }
            column = start + width;
        }
    }

    /// The sums of `M` vectors of columns.
    #[inline(always)]
    fn strip<L: Lanes, const M: usize>(&self, column: usize) -> Option<[L; M]> {
        fn vectors<L: Lanes, const M: usize>(x: &[f32], at: usize) -> Option<&[L::Array; M]> {
            L::chunks(x.get(at..)?).0.first_chunk()
        }
        let [g, own, other] = self.slices;
        let own = vectors::<L, M>(own, self.at[0] + column)?;
        let mut sums = Columns::<L, M>::of(self.terms);
        self.walk.repeated(
            self.at,
            #[inline(always)]
            |[_, j, k]| {
                let Some(g) = vectors::<L, M>(g, k + column) else {
                    return;
                };
                let mut others = [L::splat(one(other, j)); M];
                if self.has_other
                    && let Some(vectors) = vectors::<L, M>(other, j + column)
                {
                    load_all(vectors, &mut others);
                }
                let mut terms = others;
                for (((term, g), own), other) in terms.iter_mut().zip(g).zip(own).zip(others) {
                    *term = self.f.apply(&[L::load(g), L::load(own), other]);
                }
                sums.add(terms);
            },
        );
        Some(sums.sums())
    }
}

/// `x + b`.
struct Shift(f32);
impl Map<1> for Shift {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        x + L::splat(self.0)
    }
}

/// `x / n`.
struct Divide(f32);
impl Map<1> for Divide {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        x / L::splat(self.0)
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

/// See [`super::sum_rows`].
#[inline(always)]
pub fn sum_rows<L: Lanes>(x: &[f32], [m, n]: [usize; 2], out: &mut [f32], acc: Acc) {
    sum_axis::<L>(x, [1, m, n], out, acc);
}

/// The sums of `n` columns, which are more than one.
#[inline(always)]
fn sum_slab<L: Lanes>(x: &[f32], [m, n]: [usize; 2], out: &mut [f32], acc: Acc) {
    // Several columns at once: each waits for the row before.
    let mut j = 0;
    if const { L::LEN > 1 } {
        while j + 4 * L::LEN <= n {
            let _ = sum_columns::<L, 4>(x, [m, n], j, out, acc);
            j += 4 * L::LEN;
        }
        while j + 2 * L::LEN <= n {
            let _ = sum_columns::<L, 2>(x, [m, n], j, out, acc);
            j += 2 * L::LEN;
        }
        while j + L::LEN <= n {
            let _ = sum_columns::<L, 1>(x, [m, n], j, out, acc);
            j += L::LEN;
        }
        // A part of a vector costs little if it is one register.
        if const { L::REGISTERS >= 16 } && j < n {
            let _ = sum_last_columns::<L>(x, [m, n], j, out, acc);
            return;
        }
        while j + 2 <= n {
            let _ = sum_columns::<f32, 2>(x, [m, n], j, out, acc);
            j += 2;
        }
    }
    for (j, to) in out.iter_mut().enumerate().take(n).skip(j) {
        acc.put(to, sum_of_column(x, [m, n], j));
    }
}

/// The sum of column `j`.
#[inline(always)]
pub(super) fn sum_of_column(x: &[f32], [m, n]: [usize; 2], j: usize) -> f32 {
    let block = rows_of_block(m);
    let (mut total, mut part) = (Sum::IDENTITY, Sum::IDENTITY);
    let (mut at, mut left) = (j, block);
    while let Some(x) = x.get(at) {
        if left == 0 {
            (total, part) = carry_one(total, part);
            left = block;
        }
        left -= 1;
        part += x;
        at += n;
    }
    total + part
}

/// The sums of `M` vectors of columns from `j` on.
#[inline(always)]
fn sum_columns<L: Lanes, const M: usize>(
    x: &[f32],
    sizes: [usize; 2],
    j: usize,
    out: &mut [f32],
    acc: Acc,
) -> Option<()> {
    let sums = sums_of_rows(
        x,
        sizes,
        #[inline(always)]
        |row| {
            let mut loaded = [L::splat(0.0); M];
            load_all::<L>(L::chunks(row.get(j..)?).0.get(..M)?, &mut loaded);
            Some(loaded)
        },
    )?;
    put_vectors(sums, out.get_mut(j..)?, acc)
}

/// The sums of the columns from `j` on, fewer than a vector has lanes.
#[inline(always)]
fn sum_last_columns<L: Lanes>(
    x: &[f32],
    [m, n]: [usize; 2],
    j: usize,
    out: &mut [f32],
    acc: Acc,
) -> Option<()> {
    let [sums] = sums_of_rows(
        x,
        [m, n],
        #[inline(always)]
        |row| Some([L::load_part(row.get(j..)?, 0.0)]),
    )?;
    let to = out.get_mut(j..n)?;
    match acc {
        Acc::Set => sums,
        Acc::Add => L::load_part(to, 0.0) + sums,
    }
    .store_part(to);
    Some(())
}

/// The sums of `M` vectors that `load` takes from each row.
#[inline(always)]
fn sums_of_rows<L: Lanes, const M: usize>(
    x: &[f32],
    [m, n]: [usize; 2],
    load: impl Fn(&[f32]) -> Option<[L; M]>,
) -> Option<[L; M]> {
    let mut parts = [L::splat(Sum::IDENTITY); M];
    if m <= ROWS_IN_ORDER {
        return add_rows(x, n, load, parts);
    }
    let mut totals = parts;
    for block in x.chunks(ROWS_OF_BLOCK.saturating_mul(n).max(1)) {
        carry_vectors(&mut totals, &mut parts);
        parts = add_rows(block, n, &load, parts)?;
    }
    for (total, part) in totals.iter_mut().zip(parts) {
        *total = *total + part;
    }
    Some(totals)
}

/// Adds what `load` takes from each row of `n` numbers.
#[inline(always)]
fn add_rows<L: Lanes, const M: usize>(
    x: &[f32],
    n: usize,
    load: impl Fn(&[f32]) -> Option<[L; M]>,
    mut sums: [L; M],
) -> Option<[L; M]> {
    for row in x.chunks_exact(n.max(1)) {
        for (sum, x) in sums.iter_mut().zip(load(row)?) {
            *sum = *sum + x;
        }
    }
    Some(sums)
}

/// Overwrites `M` vectors, or adds to them.
#[inline(always)]
fn put_vectors<L: Lanes, const M: usize>(ys: [L; M], out: &mut [f32], acc: Acc) -> Option<()> {
    let to: &mut [L::Array; M] = L::chunks_mut(out).0.first_chunk_mut()?;
    for (to, y) in to.iter_mut().zip(ys) {
        match acc {
            Acc::Set => y,
            Acc::Add => L::load(to) + y,
        }
        .store(to);
    }
    Some(())
}

/// See [`super::spread`].
#[inline(always)]
pub fn spread<L: Lanes>(
    x: &[f32],
    n: f32,
    [outer, len, inner]: [usize; 3],
    out: &mut [f32],
    acc: Acc,
) {
    if inner == 1 {
        // `x / n` is the same for a whole row.
        for i in 0..outer {
            let value = one(x, i) / n;
            let row = out.get_mut(i * len..(i + 1) * len).unwrap_or_default();
            match acc {
                Acc::Set => row.fill(value),
                Acc::Add => map_in_place::<L, _>(Shift(value), row),
            }
        }
        return;
    }
    for i in 0..outer {
        let row = run(x, i * inner, inner);
        for j in i * len..(i + 1) * len {
            let to = out.get_mut(j * inner..(j + 1) * inner).unwrap_or_default();
            map::<L, 1, _>(Divide(n), [row], to, acc);
        }
    }
}

/// See [`super::send_to_extremes`].
pub fn send_to_extremes(
    x: &[f32],
    y: &[f32],
    g: &[f32],
    [outer, len, inner]: [usize; 3],
    ties: Ties,
    out: &mut [f32],
    acc: Acc,
) {
    for o in 0..outer {
        for j in 0..inner {
            let (y, g) = (one(y, o * inner + j), one(g, o * inner + j));
            let place = |i: usize| (o * len + i) * inner + j;
            let wins = |i: usize| {
                let x = one(x, place(i));
                // Divided by a count of 0, zeros are NaN in a row with NaN.
                x == y || (ties != Ties::Scaled && x.is_nan() && y.is_nan())
            };
            let (part, rest) = if ties == Ties::First {
                (g, 0.0)
            } else {
                let count = (0..len).filter(|i| wins(*i)).count() as f32;
                let rest = if ties == Ties::Scaled {
                    g * 0.0 / count
                } else {
                    0.0
                };
                (g / count, rest)
            };
            let mut over = false;
            for i in 0..len {
                let won = !over && wins(i);
                over |= won && ties == Ties::First;
                if let Some(to) = out.get_mut(place(i)) {
                    acc.put(to, if won { part } else { rest });
                }
            }
        }
    }
}

/// See [`super::transpose`].
pub fn transpose(x: &[f32], [a, low, b, high, c]: [usize; 5], out: &mut [f32], acc: Acc) {
    // In order of the result; `x` is walked in runs of `c`.
    let mut to = out.chunks_mut(c.max(1));
    for i in 0..a {
        for j in 0..high {
            for k in 0..b {
                for l in 0..low {
                    let from = run(x, (((i * low + l) * b + k) * high + j) * c, c);
                    for (to, x) in to.next().unwrap_or_default().iter_mut().zip(from) {
                        acc.put(to, *x);
                    }
                }
            }
        }
    }
}

/// See [`super::paste`].
#[inline(always)]
pub fn paste<L: Lanes>(
    x: &[f32],
    [outer, len, inner]: [usize; 3],
    [start, length]: [usize; 2],
    out: &mut [f32],
    acc: Acc,
) {
    let n = length * inner;
    for i in 0..outer {
        let at = (i * len + start) * inner;
        let to = out.get_mut(at..at + n).unwrap_or_default();
        map::<L, 1, _>(super::Identity, [run(x, i * n, n)], to, acc);
    }
}

/// See [`super::cut`].
#[inline(always)]
pub fn cut<L: Lanes>(
    x: &[f32],
    [outer, len, inner]: [usize; 3],
    [start, length]: [usize; 2],
    out: &mut [f32],
    acc: Acc,
) {
    let n = length * inner;
    for i in 0..outer {
        let from = run(x, (i * len + start) * inner, n);
        let to = out.get_mut(i * n..(i + 1) * n).unwrap_or_default();
        map::<L, 1, _>(super::Identity, [from], to, acc);
    }
}

/// `e^(x - m)`.
struct ExpFrom(f32);
impl Map<1> for ExpFrom {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        math::exp(x - L::splat(self.0))
    }
}

/// `(x - m) - s`.
struct Less(f32, f32);
impl Map<1> for Less {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        (x - L::splat(self.0)) - L::splat(self.1)
    }
}

/// The sum of so many terms that come one after the other.
#[inline(always)]
fn in_turn(terms: impl Iterator<Item = f32>, len: usize) -> f32 {
    let mut sums = Columns::<f32, 1>::of(len);
    terms.for_each(|term| sums.add([term]));
    let [sum] = sums.sums();
    sum
}

/// See [`super::softmax`].
#[inline(always)]
pub fn softmax<L: Lanes, const LOG: bool>(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    match sizes {
        [outer, len, 1] => softmax_of_rows::<L>(LOG, x, [outer, len], out),
        _ => softmax_across(LOG, x, sizes, out),
    }
}

/// [`softmax`] of rows. Both kinds share all that takes long, to compute and to compile.
#[inline(always)]
pub(super) fn softmax_of_rows<L: Lanes>(
    log: bool,
    x: &[f32],
    [outer, len]: [usize; 2],
    out: &mut [f32],
) {
    for i in 0..outer {
        let x = run(x, i * len, len);
        let to = out.get_mut(i * len..(i + 1) * len).unwrap_or_default();
        let max = reduce::<L, Max, 1, _>(super::Identity, [x]);
        map_as::<L, 1, _, false>(ExpFrom(max), [x], to);
        let sum = reduce::<L, Sum, 1, _>(super::Identity, [to]);
        if log {
            map_as::<L, 1, _, false>(Less(max, math::ln(sum)), [x], to);
        } else {
            map_in_place::<L, _>(Divide(sum), to);
        }
    }
}

/// [`softmax`] along another dimension than the last.
#[inline]
pub(super) fn softmax_across(
    log: bool,
    x: &[f32],
    [outer, len, inner]: [usize; 3],
    out: &mut [f32],
) {
    for o in 0..outer {
        for j in 0..inner {
            let place = |i: usize| (o * len + i) * inner + j;
            let xs = (0..len).map(|i| one(x, place(i)));
            let max = xs.clone().fold(Max::IDENTITY, Max::combine);
            let exps = xs.clone().map(|x| math::exp(x - max));
            let sum = in_turn(exps.clone(), len);
            for (i, (x, exp)) in xs.zip(exps).enumerate() {
                if let Some(to) = out.get_mut(place(i)) {
                    *to = if log {
                        (x - max) - math::ln(sum)
                    } else {
                        exp / sum
                    };
                }
            }
        }
    }
}

/// `y (g - s)`.
struct SoftmaxGrad(f32);
impl Map<2> for SoftmaxGrad {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[y, g]: &[L; 2]) -> L {
        y * (g - L::splat(self.0))
    }
}

/// `g - eʸ s`.
struct LogSoftmaxGrad(f32);
impl Map<2> for LogSoftmaxGrad {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[y, g]: &[L; 2]) -> L {
        g - math::exp(y) * L::splat(self.0)
    }
}

/// See [`super::softmax_grad`].
#[inline(always)]
pub fn softmax_grad<L: Lanes, const LOG: bool>(
    y: &[f32],
    g: &[f32],
    sizes: [usize; 3],
    out: &mut [f32],
    acc: Acc,
) {
    match sizes {
        [outer, len, 1] => softmax_grad_of_rows::<L, LOG>(y, g, [outer, len], out, acc),
        _ => softmax_grad_across(LOG, y, g, sizes, out, acc),
    }
}

/// [`softmax_grad`] of rows.
#[inline(always)]
pub(super) fn softmax_grad_of_rows<L: Lanes, const LOG: bool>(
    y: &[f32],
    g: &[f32],
    [outer, len]: [usize; 2],
    out: &mut [f32],
    acc: Acc,
) {
    for i in 0..outer {
        let (y, g) = (run(y, i * len, len), run(g, i * len, len));
        let to = out.get_mut(i * len..(i + 1) * len).unwrap_or_default();
        if const { LOG } {
            let sum = reduce::<L, Sum, 1, _>(super::Identity, [g]);
            map::<L, 2, _>(LogSoftmaxGrad(sum), [y, g], to, acc);
        } else {
            let sum = reduce::<L, Sum, 2, _>(super::Product, [y, g]);
            map::<L, 2, _>(SoftmaxGrad(sum), [y, g], to, acc);
        }
    }
}

/// [`softmax_grad`] along another dimension than the last.
#[inline]
pub(super) fn softmax_grad_across(
    log: bool,
    y: &[f32],
    g: &[f32],
    [outer, len, inner]: [usize; 3],
    out: &mut [f32],
    acc: Acc,
) {
    for o in 0..outer {
        for j in 0..inner {
            let place = |i: usize| (o * len + i) * inner + j;
            let pairs = (0..len).map(|i| (one(y, place(i)), one(g, place(i))));
            let terms = pairs.clone().map(|(y, g)| if log { g } else { y * g });
            let sum = in_turn(terms, len);
            for (i, (y, g)) in pairs.enumerate() {
                let grad = if log {
                    LogSoftmaxGrad(sum).apply(&[y, g])
                } else {
                    SoftmaxGrad(sum).apply(&[y, g])
                };
                if let Some(to) = out.get_mut(place(i)) {
                    acc.put(to, grad);
                }
            }
        }
    }
}
