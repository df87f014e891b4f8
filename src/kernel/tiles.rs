//! Matrix products without SIMD: one routine for all forms, small in flash, with
//! the order of sums of [`matmul`](super::matmul).
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
//! The inner loop reads eight neighbours of `B`. Where the eight numbers of a step do
//! not stand next to each other, and at the last columns, they are copied first,
//! [`DEPTH`] steps at a time ([`copy`]). What is beyond an edge is computed with
//! whatever is read there, and not written.

use core::slice::ChunksExact;

use super::compensated::{ROWS_IN_ORDER, ROWS_OF_BLOCK, carry};
use super::generic::{Reduce, Sum};
use super::{Acc, dot};

/// Columns of a tile. With two rows 16 sums, and ten factors, fit into 32 registers.
const WIDTH: usize = 8;

/// Steps of the sums that are copied at a time: 512 bytes of stack.
const DEPTH: usize = 16;

type Four = [f32; 4];

/// A product to be computed, `out[m, n]` with sums of `k`.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    /// `[m, k, n]`.
    pub(super) sizes: [usize; 3],
    /// `A[m, k]`, or `[k, m]` if transposed.
    pub(super) a: &'a [f32],
    /// `B[k, n]`, or `[n, k]` if transposed.
    pub(super) b: &'a [f32],
    pub(super) transposed: [bool; 2],
    /// One number for each column, or nothing.
    pub(super) bias: &'a [f32],
    pub(super) acc: Acc,
}

/// Computes it. What the sums are added to is written first, so that all that
/// follows only adds.
#[inline(never)]
pub(super) fn product(job: &Job<'_>, out: &mut [f32]) {
    if out.is_empty() {
        return; // whatever the sizes are
    }
    let ([m, k, n], [transposed, _]) = (job.sizes, job.transposed);
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
    if n == 1 && (m == 1 || !transposed) {
        dots(job, out);
    } else if k == 1 {
        outer(job, out);
    } else if job.transposed[1] || n % WIDTH != 0 {
        copied(job, out);
    } else {
        let _ = tiles(job, out, &mut []);
    }
}

// The copies are on the stack of those that need them.
#[inline(never)]
fn copied(job: &Job<'_>, out: &mut [f32]) {
    let _ = tiles(job, out, &mut [0.0; WIDTH * DEPTH]);
}

/// Sums of one product each.
#[inline(always)]
fn outer(job: &Job<'_>, out: &mut [f32]) {
    let [_, _, n] = job.sizes;
    for (row, a) in out.chunks_exact_mut(n.max(1)).zip(job.a) {
        for (to, b) in row.iter_mut().zip(job.b) {
            *to += a * b;
        }
    }
}

#[inline(never)]
fn tiles(job: &Job<'_>, out: &mut [f32], panel: &mut [f32]) -> Option<()> {
    let ([m, k, n], [_, tb]) = (job.sizes, job.transposed);
    let z = Sum::IDENTITY;
    let is_long = k > ROWS_IN_ORDER;
    let block = if is_long { ROWS_OF_BLOCK } else { k };
    let mut j = 0;
    while j < n {
        let direct = !tb && j + WIDTH <= n;
        let mut i = 0;
        while i < m {
            let mut sums = [[z, z, z, z], [z, z, z, z], [z, z, z, z], [z, z, z, z]];
            // None as long as there is a single block: to clear totals takes as long as to
            // clear sums.
            let mut totals = None;
            let mut p = 0;
            while p < k {
                let (b, next) = if direct {
                    ((job.b.get(p * n..)?, n, j), p + block)
                } else {
                    if i == 0 || k > DEPTH {
                        copy(job, j, p, panel);
                    }
                    ((&*panel, WIDTH, 0), p + DEPTH)
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

/// Ends a block of sums of several: of the last, totals are the sums.
#[inline(never)]
fn carry_tile(totals: &mut Option<[Four; 4]>, sums: &mut [Four; 4]) {
    let z = Sum::IDENTITY;
    let none = [[z, z, z, z], [z, z, z, z], [z, z, z, z], [z, z, z, z]];
    let totals = totals.get_or_insert(none).as_flattened_mut();
    for (total, part) in totals.iter_mut().zip(sums.as_flattened_mut()) {
        (*total, *part) = carry(*total, *part);
    }
}

/// The steps from `p` to `end` of row `i` of a factor that has as many rows as the result
/// has rows, or columns: for each step some numbers, and which of them it is.
#[inline(always)]
fn steps(
    values: &[f32],
    [i, rows]: [usize; 2],
    [p, end, k]: [usize; 3],
    across: bool,
) -> Option<(ChunksExact<'_, f32>, usize)> {
    let (start, step, at) = if across {
        (p * rows, rows, i)
    } else {
        (i * k + p, 1, 0)
    };
    let values = values.get(start..)?.get(..(end - p) * step)?;
    Some((values.chunks_exact(step.max(1)), at))
}

/// Copies the steps from `p` on of as many columns as a tile has, or what there is.
#[inline(never)]
fn copy(job: &Job<'_>, j: usize, p: usize, panel: &mut [f32]) -> Option<()> {
    let ([_, k, n], [_, transposed]) = (job.sizes, job.transposed);
    let panel = panel.as_chunks_mut::<WIDTH>().0;
    for c in 0..WIDTH.min(n - j) {
        let (column, at) = steps(job.b, [j + c, n], [p, k, k], !transposed)?;
        for (to, from) in panel.iter_mut().zip(column) {
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
    (rows, width, at): (&[f32], usize, usize),
    sums: &mut [Four; 4],
) -> Option<()> {
    let ([m, k, _], [transposed, _]) = (job.sizes, job.transposed);
    let (first, first_at) = steps(job.a, [i, m], [p, end, k], transposed)?;
    // Below the last row, that one again.
    let below = if i + 1 < m { i + 1 } else { i };
    let (second, second_at) = steps(job.a, [below, m], [p, end, k], transposed)?;
    let [mut q, mut r, mut s, mut t] = *sums;
    for ((c, a), b) in rows.chunks_exact(width.max(1)).zip(first).zip(second) {
        let [c, d, e, f, g, h, u, v] = *c.get(at..)?.first_chunk()?;
        let (a, b) = (*a.get(first_at)?, *b.get(second_at)?);
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

/// A column as result, of factors that are both contiguous along the sum.
#[inline(always)]
fn dots(job: &Job<'_>, out: &mut [f32]) {
    let [_, k, _] = job.sizes;
    for (to, row) in out.iter_mut().zip(job.a.chunks_exact(k.max(1))) {
        *to += dot(row, job.b);
    }
}
