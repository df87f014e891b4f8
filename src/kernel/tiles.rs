//! Matrix products without SIMD: one routine for all forms, small in flash, with
//! the order of sums of [`matmul`](super::matmul).
//!
//! ```text
//! result = -0.0                                   or the bias, or what is there
//! for each four rows i and four columns j of the result:
//!     sums[4][4] = -0.0                           in registers
//!     for p in 0..k:
//!         a = A[i..i + 4, p], b = B[p, j..j + 4]
//!         sums[r][c] = sums[r][c] + a[r] * b[c]
//!     result = result + sums
//! ```
//!
//! The inner loop reads four neighbours of each factor. Where the four numbers of a
//! step do not stand next to each other, and at an edge of the result, they are
//! copied first, [`DEPTH`] steps at a time ([`Factor::copy`]). What is beyond an edge
//! is computed with whatever the copy holds there, and not written.

use super::generic::{Reduce, Sum, one};
use super::{Acc, dot};

/// Rows and columns of a tile: 16 sums, and four numbers of each factor, fit into
/// 32 registers.
const SIDE: usize = 4;

/// Steps of the sums that are copied at a time: 256 bytes of stack for each factor.
const DEPTH: usize = 16;

type Four = [f32; SIDE];

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
    let ([m, k, n], [transposed, _]) = (job.sizes, job.transposed);
    if job.acc == Acc::Set {
        let len = out.len().min(m * n);
        let out = out.get_mut(..len).unwrap_or_default();
        if job.bias.is_empty() {
            out.fill(Sum::IDENTITY);
        } else {
            // Column by column: rows would be calls of `memcpy`.
            for (j, bias) in job.bias.iter().enumerate().take(n) {
                let mut at = j;
                while let Some(to) = out.get_mut(at) {
                    *to = *bias;
                    at += n;
                }
            }
        }
    }
    if n == 1 && (m == 1 || !transposed) {
        dots(job, out);
    } else if k == 1 {
        outer(job, out);
    } else {
        tiles(job, out);
    }
}

/// Sums of one product each.
#[inline(always)]
fn outer(job: &Job<'_>, mut rest: &mut [f32]) {
    let [m, _, n] = job.sizes;
    for a in job.a.iter().take(m) {
        let (row, next) = rest.split_at_mut(n.min(rest.len()));
        for (to, b) in row.iter_mut().zip(job.b) {
            *to += a * b;
        }
        rest = next;
    }
}

/// One factor: as many rows as the result has rows, or columns, and as many columns
/// as a sum has steps.
struct Factor<'a> {
    values: &'a [f32],
    rows: usize,
    steps: usize,
    /// Whether neighbours in memory belong to different rows.
    across: bool,
    copy: [f32; SIDE * DEPTH],
}

impl<'a> Factor<'a> {
    /// Copies four rows from `i` on, or what there is of them, and as many steps
    /// from `p` on as there is room for.
    #[inline(never)]
    fn copy(&mut self, i: usize, p: usize) {
        let copy = self.copy.as_chunks_mut::<SIDE>().0;
        let [row, step] = if self.across {
            [1, self.rows]
        } else {
            [self.steps, 1]
        };
        let first = self.values.get(i * row + p * step..).unwrap_or_default();
        let rows = SIDE.min(self.rows - i);
        if rows == SIDE
            && step == 1
            && let Some((a, rest)) = first.split_at_checked(row)
            && let Some((b, rest)) = rest.split_at_checked(row)
            && let Some((c, d)) = rest.split_at_checked(row)
        {
            for ((((to, a), b), c), d) in copy.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *to = [*a, *b, *c, *d];
            }
            return;
        }
        for r in 0..rows {
            let mut x = r * row;
            for to in &mut *copy {
                if let Some(to) = to.get_mut(r) {
                    *to = one(first, x);
                }
                x += step;
            }
        }
    }

    /// Four rows from `i` on, step by step from `p` on: some numbers, how many belong
    /// to a step, and where among them the four are. Either where they stand, next to
    /// each other, or in the copy, which is made unless it is there.
    #[inline(always)]
    fn panel(&mut self, i: usize, p: usize, copied: bool) -> (&[f32], usize, usize) {
        if self.across && i + SIDE <= self.rows {
            let values = self.values.get(p * self.rows..);
            return (values.unwrap_or_default(), self.rows, i);
        }
        if !copied {
            self.copy(i, p);
        }
        (&self.copy, SIDE, 0)
    }
}

#[inline(never)]
fn tiles(job: &Job<'_>, out: &mut [f32]) {
    let ([m, k, n], [ta, tb]) = (job.sizes, job.transposed);
    let mut a = Factor {
        values: job.a,
        rows: m,
        steps: k,
        across: ta,
        copy: [0.0; _],
    };
    let mut b = Factor {
        values: job.b,
        rows: n,
        steps: k,
        across: !tb,
        copy: [0.0; _],
    };
    let mut i = 0;
    while i < m {
        let mut j = 0;
        while j < n {
            let _ = tile(job, [&mut a, &mut b], [i, j], out);
            j += SIDE;
        }
        i += SIDE;
    }
}

/// Four rows and four columns of the result, or what there is of them.
#[inline(never)]
fn tile(
    job: &Job<'_>,
    [a, b]: [&mut Factor<'_>; 2],
    [i, j]: [usize; 2],
    out: &mut [f32],
) -> Option<()> {
    let [_, k, _] = job.sizes;
    let z = Sum::IDENTITY;
    let mut tile = [[z, z, z, z], [z, z, z, z], [z, z, z, z], [z, z, z, z]];
    let mut p = 0;
    loop {
        let a = a.panel(i, p, j > 0 && k <= DEPTH);
        let b = b.panel(j, p, false);
        add(&mut tile, a, b, k - p);
        p += DEPTH;
        if p >= k {
            break;
        }
    }
    put(job, [i, j], &tile, out)
}

/// Adds products to the sums of a tile. Written out, as loops over four stay loops
/// when compiled for size.
#[inline(always)]
fn add(
    tile: &mut [Four; SIDE],
    (a, a_step, i): (&[f32], usize, usize),
    (b, b_step, j): (&[f32], usize, usize),
    steps: usize,
) -> Option<()> {
    let len = DEPTH.min(steps);
    if a_step == 0 || b_step == 0 {
        return None;
    }
    let a = a.get(..len * a_step)?.chunks_exact(a_step);
    let b = b.chunks_exact(b_step);
    let [mut r, mut s, mut t, mut u] = *tile;
    for (a, b) in a.zip(b) {
        let [a, c, d, e] = *a.get(i..)?.first_chunk()?;
        let b = b.get(j..)?.first_chunk()?;
        add_row(&mut r, a, b);
        add_row(&mut s, c, b);
        add_row(&mut t, d, b);
        add_row(&mut u, e, b);
    }
    *tile = [r, s, t, u];
    Some(())
}

#[inline(always)]
fn add_row([p, q, r, s]: &mut Four, a: f32, [b, c, d, e]: &Four) {
    *p += a * b;
    *q += a * c;
    *r += a * d;
    *s += a * e;
}

/// Adds the sums that belong to the result to what is there.
#[inline(always)]
fn put(job: &Job<'_>, [i, j]: [usize; 2], tile: &[Four; SIDE], out: &mut [f32]) -> Option<()> {
    let [m, _, n] = job.sizes;
    let mut rest = out.get_mut(i * n + j..)?;
    let [rows, columns] = [SIDE.min(m - i), SIDE.min(n - j)];
    if rows == SIDE && columns == SIDE {
        let [r, s, t, u] = tile;
        add_four(r, rest)?;
        rest = rest.get_mut(n..)?;
        add_four(s, rest)?;
        rest = rest.get_mut(n..)?;
        add_four(t, rest)?;
        rest = rest.get_mut(n..)?;
        return add_four(u, rest);
    }
    for sums in tile.iter().take(rows) {
        for (to, sum) in rest.iter_mut().zip(sums).take(columns) {
            *to += sum;
        }
        rest = rest.get_mut(n..)?;
    }
    Some(())
}

#[inline(always)]
fn add_four([p, q, r, s]: &Four, to: &mut [f32]) -> Option<()> {
    let [a, b, c, d] = to.first_chunk_mut()?;
    *a += p;
    *b += q;
    *c += r;
    *d += s;
    Some(())
}

/// A column as result, of factors that are both contiguous along the sum.
#[inline(always)]
fn dots(job: &Job<'_>, out: &mut [f32]) {
    let [m, k, _] = job.sizes;
    let mut rows = job.a;
    for to in out.iter_mut().take(m) {
        let (row, rest) = rows.split_at_checked(k).unwrap_or_default();
        *to += dot(row, job.b);
        rows = rest;
    }
}
