//! Softmax along a dimension, its logarithm, and their gradients.

use super::compensated::Columns;
use super::element::Divide;
use super::map::{map, map_as, map_in_place};
use super::reduce::{IN_ORDER, Max, Reduce, Sum, reduce};
use super::slices::{one, run};
use super::{Acc, Identity, Lanes, Map, Product, math};

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

/// The sum of `len` terms, in the order of sums across rows.
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

/// [`softmax`] of rows. `log` is an argument and not a constant, so that both kinds share one
/// copy of the code.
#[inline(always)]
pub(super) fn softmax_of_rows<L: Lanes>(
    log: bool,
    x: &[f32],
    [outer, len]: [usize; 2],
    out: &mut [f32],
) {
    if const { L::LEN > 1 } && len <= IN_ORDER && outer > 1 {
        return softmax_of_short_rows::<L>(log, x, len, out);
    }
    for i in 0..outer {
        let x = run(x, i * len, len);
        let to = out.get_mut(i * len..(i + 1) * len).unwrap_or_default();
        let max = reduce::<L, Max, 1, _>(Identity, [x]);
        map_as::<L, 1, _, false>(ExpFrom(max), [x], to);
        let sum = reduce::<L, Sum, 1, _>(Identity, [to]);
        if log {
            map_as::<L, 1, _, false>(Less(max, math::ln(sum)), [x], to);
        } else {
            map_in_place::<L, _>(Divide(sum), to);
        }
    }
}

/// [`softmax`] of rows of a few numbers, such as classes, with a lane for each row. For 200 rows
/// of two, it takes a sixth of the time of a loop over rows. Each sum is added in order, as in a
/// loop over rows.
#[inline(always)]
fn softmax_of_short_rows<L: Lanes>(log: bool, x: &[f32], len: usize, out: &mut [f32]) {
    match len {
        2 => return softmax_of_tuples::<L, 2>(log, x, out),
        3 => return softmax_of_tuples::<L, 3>(log, x, out),
        4 => return softmax_of_tuples::<L, 4>(log, x, out),
        _ => {}
    }
    let rows = (8 * len).max(1);
    for (x, to) in x.chunks(rows).zip(out.chunks_mut(rows)) {
        // Transposes up to eight rows, so that each vector has one number of each row.
        let (mut columns, mut exps) = ([[0.0; 8]; IN_ORDER], [[0.0; 8]; IN_ORDER]);
        for (r, row) in x.chunks_exact(len.max(1)).enumerate() {
            for (column, x) in columns.iter_mut().zip(row) {
                if let Some(to) = column.get_mut(r) {
                    *to = *x;
                }
            }
        }
        let columns = columns.get(..len).unwrap_or_default();
        let mut max = L::splat(Max::IDENTITY);
        for column in columns {
            max = Max::combine(max, L::load_part(column, 0.0));
        }
        let mut sum = L::splat(Sum::IDENTITY);
        for (column, to) in columns.iter().zip(&mut exps) {
            let exp = math::exp(L::load_part(column, 0.0) - max);
            exp.store_part(to);
            sum = Sum::combine(sum, exp);
        }
        if log {
            let ln = math::ln(sum);
            for (column, to) in columns.iter().zip(&mut exps) {
                ((L::load_part(column, 0.0) - max) - ln).store_part(to);
            }
        } else {
            for to in exps.iter_mut().take(len) {
                (L::load_part(to.as_slice(), 0.0) / sum).store_part(to);
            }
        }
        for (r, row) in to.chunks_exact_mut(len.max(1)).enumerate() {
            for (to, result) in row.iter_mut().zip(&exps) {
                *to = result.get(r).copied().unwrap_or(f32::NAN);
            }
        }
    }
}

/// [`softmax_of_short_rows`] with a constant length: eight rows stay in registers, and 200 rows
/// of two take a fifth of the instructions.
#[inline(always)]
fn softmax_of_tuples<L: Lanes, const N: usize>(log: bool, x: &[f32], out: &mut [f32]) {
    let (blocks, rest) = x.as_chunks::<N>().0.as_chunks::<8>();
    let (to_blocks, to_rest) = out.as_chunks_mut::<N>().0.as_chunks_mut::<8>();
    for (block, to) in blocks.iter().zip(to_blocks) {
        *to = softmax_of_eight::<L, N>(log, block);
    }
    if rest.is_empty() {
        return;
    }
    let mut block = [[0.0; N]; 8];
    for (to, row) in block.iter_mut().zip(rest) {
        *to = *row;
    }
    for (to, row) in to_rest
        .iter_mut()
        .zip(softmax_of_eight::<L, N>(log, &block))
    {
        *to = row;
    }
}

/// [`softmax`] of eight rows of `N`, with a lane for each row.
#[inline(always)]
fn softmax_of_eight<L: Lanes, const N: usize>(log: bool, rows: &[[f32; N]; 8]) -> [[f32; N]; 8] {
    let mut columns = [L::splat(0.0); N];
    for (c, lanes) in columns.iter_mut().enumerate() {
        let mut column = [0.0; 8];
        for (to, row) in column.iter_mut().zip(rows) {
            *to = row.get(c).copied().unwrap_or_default();
        }
        *lanes = L::load_part(&column, 0.0);
    }
    // Loops, because closures passed to `array::map` would not be compiled for AVX2.
    let (mut max, mut sum) = (L::splat(Max::IDENTITY), L::splat(Sum::IDENTITY));
    for x in &columns {
        max = Max::combine(max, *x);
    }
    let mut results = columns;
    for x in &mut results {
        *x = math::exp(*x - max);
        sum = Sum::combine(sum, *x);
    }
    if log {
        let ln = math::ln(sum);
        for (to, x) in results.iter_mut().zip(&columns) {
            *to = (*x - max) - ln;
        }
    } else {
        for to in &mut results {
            *to = *to / sum;
        }
    }
    let mut out = [[0.0; N]; 8];
    for (c, lanes) in results.into_iter().enumerate() {
        let mut column = [0.0; 8];
        lanes.store_part(&mut column);
        for (row, result) in out.iter_mut().zip(column) {
            if let Some(to) = row.get_mut(c) {
                *to = result;
            }
        }
    }
    out
}

/// [`softmax`] along a dimension that is not the last.
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
            let sum = reduce::<L, Sum, 1, _>(Identity, [g]);
            map::<L, 2, _>(LogSoftmaxGrad(sum), [y, g], to, acc);
        } else {
            let sum = reduce::<L, Sum, 2, _>(Product, [y, g]);
            map::<L, 2, _>(SoftmaxGrad(sum), [y, g], to, acc);
        }
    }
}

/// [`softmax_grad`] along a dimension that is not the last.
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
