//! Element-wise functions of two operands broadcast to one shape, and their gradients.

use super::axis::put_vectors;
use super::compensated::{BLOCK, Blocks, Columns, TILE, Tile};
use super::element::{Last, LastButOne};
use super::map::{map_as, map_in_one_loop};
use super::reduce::{IN_ORDER, OneByOne, PARTIALS, Reduce, Sum};
use super::slices::{load_all, one, run};
use super::{Acc, Broadcast, Lanes, Map, Row, Walk};

/// See [`super::zip`].
#[inline(always)]
pub fn zip<L: Lanes, F: Map<2>>(f: F, stretch: &Broadcast, a: &[f32], b: &[f32], out: &mut [f32]) {
    let n = stretch.inner();
    if n == 0 {
        return; // without a loop over the empty rows, which may be many
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
///     for each few columns along the innermost:    (one, if the operand lacks this dimension)
///         sums = -0.0                              in registers
///         for each place along the outer dimensions that the operand lacks, in order:
///             sums = sums + f(g, own, other)       or + the sum of f along the innermost
///         grad = sums                              or += sums
/// ```
///
/// The loops over the operand's dimensions are outside, so that a sum, of however many terms, is
/// finished before the next begins, and its total and part stay in registers.
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
        // Empty rows add nothing, and are not looped over, because they may be many.
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
/// [`IN_ORDER`]. `sum` adds up a row, and chooses the lanes for each.
pub(super) fn zip_grad_of_rows<'f, F: Map<3>>(
    f: &'f F,
    stretch: &Broadcast,
    [g, own, other]: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
    sum: impl Fn(LastButOne<&'f F>, [&[f32]; 2]) -> f32,
) {
    let n = stretch.inner();
    sum_repeats(stretch, grad, acc, &mut |[i, j, k]| {
        let f = LastButOne(f, one(own, i));
        sum(f, [run(g, k, n), run(other, j, n)])
    });
}

/// Sums the numbers that `row` returns for all rows that repeat one of the operand. `row` is
/// behind a pointer, so that the loops are compiled once for all functions.
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

/// A function that computes a term from each element of three slices and adds it to a sum.
type AddTerms<'a> = &'a mut dyn FnMut([&[f32]; 3], &mut [f32]);

/// [`zip_grad`] for few columns and for cores without SIMD. The sums are in memory, and `add`
/// adds the terms of a row of a tile to them, so that only `add` is compiled for each function.
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
                let sums = tile.sums.get_mut(..width).unwrap_or_default();
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
            for (to, sum) in to.iter_mut().zip(&tile.sums) {
                acc.put(to, *sum);
            }
            column += TILE;
        }
    });
}

/// The sum of a row of terms, in the order of [`sum`](super::sum).
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
    /// The offsets where the row starts in the operand, in the other operand and in the result.
    at: [usize; 3],
}

impl<F: Map<3>> Columnwise<'_, F> {
    /// Writes or adds the gradients of a row, which has more columns than a strip, or
    /// none. The last strip ends where the row does, and computes some columns a second time,
    /// because a loop for fewer columns would compile the code once more for each function and
    /// lane type.
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
