//! Matrix products without SIMD, and sums of rows, which are products with ones. One
//! routine for all forms, small in flash, which adds in the same order as the
//! [vectors](super).
//!
//! ```text
//! for each eight columns j and two rows i of the result:
//!     sums[2][8] = -0.0                           in registers
//!     for p in 0..k:
//!         a = A[i..i + 2, p], b = B[p, j..j + 8]
//!         sums[r][c] = sums[r][c] + a[r] * b[c]
//!     result = sums + bias                        or result + sums
//! ```
//!
//! The inner loop reads eight neighbours of `B`. If the eight numbers of a step are not
//! neighbours, and at the last columns, they are copied first,
//! [`DEPTH`] steps at a time ([`copy`]). Results beyond the edges are computed from
//! whatever numbers are read, and not written.

use super::super::compensated::{ROWS_IN_ORDER, ROWS_OF_BLOCK, carry};
use super::super::reduce::{Reduce, Sum};
use super::super::{Acc, dot};

/// The columns of a tile. With two rows, its 16 sums and ten factors fit into 32 registers.
const WIDTH: usize = 8;

/// The steps of the sums that are copied at a time: 512 bytes of stack.
const DEPTH: usize = 16;

type Four = [f32; 4];

/// A product to be computed: `out[m, n]`, with sums of `k` products.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    /// `[m, k, n]`.
    pub(super) sizes: [usize; 3],
    pub(super) a: Factor<'a>,
    pub(super) b: Factor<'a>,
    /// One number for each column; empty if there is no bias.
    pub(super) bias: &'a [f32],
    pub(super) acc: Acc,
}

/// A factor of a product.
#[derive(Clone, Copy)]
pub(super) struct Factor<'a> {
    values: &'a [f32],
    /// The stride in `values` from row to row of the result (for `B`, from column to column),
    /// and the stride from step to step of a sum. One of the two is 1.
    strides: [usize; 2],
}

impl<'a> Factor<'a> {
    /// `A[m, k]` or `B[n, k]`: steps of a sum are neighbours.
    #[inline(always)]
    pub(super) fn by_rows(values: &'a [f32], k: usize) -> Self {
        Factor {
            values,
            strides: [k, 1],
        }
    }

    /// `A[k, m]` or `B[k, n]`: rows, or columns, of the result are neighbours.
    #[inline(always)]
    pub(super) fn by_steps(values: &'a [f32], len: usize) -> Self {
        Factor {
            values,
            strides: [1, len],
        }
    }

    /// An `A[1, k]` of ones, for any `k`: the product is the sum of the rows of `B`. The stride
    /// of a step is 0, which tells `tiles` to read the same few ones again and again.
    const ONES: Self = Factor {
        values: &[1.0; ONES],
        strides: [1, 0],
    };
}

/// The number of ones in flash, which is also the number of steps that a product with them takes
/// at a time.
const ONES: usize = 8;

/// Computes a product. With [`Acc::Set`], first writes the bias or -0 to `out`, so that the loops
/// only add.
#[inline(never)]
pub(super) fn product(job: &Job<'_>, out: &mut [f32]) {
    if out.is_empty() {
        return; // without loops over the other sizes, which may be huge
    }
    let [m, k, n] = job.sizes;
    let ([_, step], [apart, b_step]) = (job.a.strides, job.b.strides);
    let out = out.get_mut(..m * n).unwrap_or_default();
    if job.acc == Acc::Set {
        if job.bias.is_empty() {
            out.fill(Sum::IDENTITY);
        } else {
            for row in out.chunks_exact_mut(n.max(1)) {
                for (to, bias) in row.iter_mut().zip(job.bias) {
                    *to = *bias;
                }
            }
        }
    }
    if n == 1 && step == 1 && b_step == 1 {
        dots(job, out);
    } else if k == 1 {
        outer(job, out);
    } else if apart != 1 || n % WIDTH != 0 {
        copied(job, out);
    } else {
        let _ = tiles(job, out, &mut []);
    }
}

/// See [`kernel::sum_rows`](super::super::sum_rows). Computed as a product with ones, because a
/// loop of its own would take 60 bytes of flash more than eight ones, and twice the time.
#[inline(always)]
pub(in super::super) fn sum_rows(x: &[f32], [m, n]: [usize; 2], out: &mut [f32], acc: Acc) {
    let job = Job {
        sizes: [1, m, n],
        a: Factor::ONES,
        b: Factor::by_steps(x, n),
        bias: &[],
        acc,
    };
    product(&job, out);
}

// Out of line, so that only products that copy reserve the 512 bytes on the stack.
#[inline(never)]
fn copied(job: &Job<'_>, out: &mut [f32]) {
    let _ = tiles(job, out, &mut [0.0; WIDTH * DEPTH]);
}

/// The outer product of a column and a row: each sum has one product.
#[inline(always)]
fn outer(job: &Job<'_>, out: &mut [f32]) {
    let [_, _, n] = job.sizes;
    for (row, a) in out.chunks_exact_mut(n.max(1)).zip(job.a.values) {
        for (to, b) in row.iter_mut().zip(job.b.values) {
            *to += a * b;
        }
    }
}

#[inline(never)]
fn tiles(job: &Job<'_>, out: &mut [f32], panel: &mut [f32]) -> Option<()> {
    let ([m, k, n], [apart, _]) = (job.sizes, job.b.strides);
    let z = Sum::IDENTITY;
    let is_long = k > ROWS_IN_ORDER;
    let mut j = 0;
    while j < n {
        let direct = apart == 1 && j + WIDTH <= n;
        let mut i = 0;
        while i < m {
            let mut sums = [[z, z, z, z], [z, z, z, z], [z, z, z, z], [z, z, z, z]];
            // `None` as long as there is a single block, because clearing totals would take as long
            // as clearing the sums.
            let mut totals = None;
            let mut p = 0;
            while p < k {
                let (b, next) = if direct {
                    ((job.b.values.get(p * n..)?, n, j), p + ROWS_OF_BLOCK)
                } else {
                    if i == 0 || k > DEPTH {
                        copy(job, j, p, panel);
                    }
                    ((&*panel, WIDTH, 0), p + DEPTH)
                };
                let next = if job.a.strides[1] == 0 {
                    p + ONES
                } else {
                    next
                };
                add(job, [i, p, next.min(k)], b, &mut sums);
                p = next;
                if is_long && (p >= k || p % ROWS_OF_BLOCK == 0) {
                    carry_tile(&mut totals, &mut sums);
                }
            }
            let sums = totals.as_ref().unwrap_or(&sums);
            let rows = out.chunks_exact_mut(n).skip(i);
            for (row, sums) in rows.zip(sums.as_flattened().as_chunks::<WIDTH>().0) {
                for (to, sum) in row.get_mut(j..)?.iter_mut().zip(sums) {
                    *to += sum;
                }
            }
            i += 2;
        }
        j += WIDTH;
    }
    Some(())
}

/// Ends a block of sums of several blocks. After the last block, the totals are the sums.
#[inline(never)]
fn carry_tile(totals: &mut Option<[Four; 4]>, sums: &mut [Four; 4]) {
    let z = Sum::IDENTITY;
    let none = [[z, z, z, z], [z, z, z, z], [z, z, z, z], [z, z, z, z]];
    let totals = totals.get_or_insert(none).as_flattened_mut();
    for (total, part) in totals.iter_mut().zip(sums.as_flattened_mut()) {
        (*total, *part) = carry(*total, *part);
    }
}

/// Copies the steps from `p` on of a tile's columns, as many as there are and as fit.
#[inline(never)]
fn copy(job: &Job<'_>, j: usize, p: usize, panel: &mut [f32]) -> Option<()> {
    let ([_, k, n], [apart, step]) = (job.sizes, job.b.strides);
    let panel = panel.as_chunks_mut::<WIDTH>().0;
    for c in 0..WIDTH.min(n - j) {
        let (start, at) = if apart == 1 {
            (p * step, j + c)
        } else {
            ((j + c) * apart + p, 0)
        };
        let column = job.b.values.get(start..)?.get(..(k - p) * step)?;
        for (to, from) in panel.iter_mut().zip(column.chunks_exact(step.max(1))) {
            *to.get_mut(c)? = *from.get(at)?;
        }
    }
    Some(())
}

/// Adds the products of the steps from `p` to `end` to the sums of two rows.
#[inline(never)]
fn add(
    job: &Job<'_>,
    [i, p, end]: [usize; 3],
    (rows, width, at_column): (&[f32], usize, usize),
    sums: &mut [Four; 4],
) -> Option<()> {
    let ([m, _, _], [apart, step]) = (job.sizes, job.a.strides);
    // In memory, the rows `i` and `i + 1` are interleaved or one behind the other. If `i` is the
    // last row, it is also used as the second.
    let below = usize::from(i + 1 < m);
    let (start, at, shift, below) = if apart == 1 {
        (p * step, i, 0, below)
    } else {
        (i * apart + p, 0, below * apart, 0)
    };
    let step = step.max(1); // ones have a stride of 0, and are read one by one
    let len = (end - p) * step;
    let first = job.a.values.get(start..)?;
    let second = first.get(shift..)?.get(..len)?.chunks_exact(step);
    let first = first.get(..len)?.chunks_exact(step);
    let [mut q, mut r, mut s, mut t] = *sums;
    for ((row, a), b) in rows.chunks_exact(width.max(1)).zip(first).zip(second) {
        let [c, d, e, f, g, h, u, v] = *row.get(at_column..)?.first_chunk()?;
        let (a, b) = (*a.get(at)?, *b.get(at + below)?);
        let (left, right) = ([c, d, e, f], [g, h, u, v]);
        add_row(&mut q, a, &left);
        add_row(&mut r, a, &right);
        add_row(&mut s, b, &left);
        add_row(&mut t, b, &right);
    }
    *sums = [q, r, s, t];
    Some(())
}

#[inline(always)]
fn add_row([p, q, r, s]: &mut Four, a: f32, [b, c, d, e]: &Four) {
    *p += a * b;
    *q += a * c;
    *r += a * d;
    *s += a * e;
}

/// A result of one column, whose factors are both contiguous along the sum.
#[inline(always)]
fn dots(job: &Job<'_>, out: &mut [f32]) {
    let [_, k, _] = job.sizes;
    for (to, row) in out.iter_mut().zip(job.a.values.chunks_exact(k.max(1))) {
        *to += dot(row, job.b.values);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::super::super::{Acc, axis, generic};
    use super::sum_rows;

    /// On targets with vectors, only this test runs [`sum_rows`].
    #[test]
    fn products_with_ones_are_sums_of_rows() {
        for m in (0..70).chain([96, 97, 511, 1000]) {
            // A single long column is added in the order of a row, and so left out.
            let from = if m > generic::IN_ORDER { 2 } else { 1 };
            for n in from..20 {
                for acc in [Acc::Set, Acc::Add] {
                    let value = |i: usize| (i % 37) as f32 / 7.0 - 2.5e-3 * i as f32;
                    let x: Vec<f32> = (0..m * n).map(value).collect();
                    let (mut sums, mut right) = (vec![0.3; n], vec![0.3; n]);
                    sum_rows(&x, [m, n], &mut sums, acc);
                    for (j, to) in right.iter_mut().enumerate() {
                        acc.put(to, axis::sum_of_column(&x, [m, n], j));
                    }
                    assert_eq!(sums, right, "[{m}, {n}], {acc:?}");
                }
            }
        }
    }
}
