//! Matrix products without SIMD: small in flash, with the order of sums of
//! [`matmul`](super::matmul).
//!
//! ```text
//! for each four rows i and four columns j of the result:
//!     sums[4][4] = -0.0                           in registers
//!     for p in 0..k:
//!         a = A[i..i + 4, p], b = B[p, j..j + 4]
//!         sums[r][c] = sums[r][c] + a[r] * b[c]
//!     result = sums                               or += sums
//! ```
//!
//! Where fewer than four rows or columns are left, the tile is moved back until it
//! fits, and computes a few sums again. What has no room for a tile is done one
//! element at a time; so are leftovers that are added, which may not count twice.

use super::generic::{Reduce, Sum, one, run};
use super::{Acc, Product, sum_of};

/// Rows and columns of a tile: 16 sums, and four numbers of each factor, fit into
/// 32 registers.
const SIDE: usize = 4;

type Four = [f32; SIDE];

/// One factor of a product: as many rows or columns as the result has.
#[derive(Clone, Copy)]
pub(super) struct Factor<'a> {
    pub(super) values: &'a [f32],
    /// How many numbers stand from one row in memory to the next.
    pub(super) step: usize,
    /// Whether neighbours in memory belong to different sums, and not to the
    /// same.
    pub(super) across: bool,
}

impl<'a> Factor<'a> {
    /// How far apart the numbers of neighbouring rows (or columns) of the result
    /// and of neighbouring steps of a sum are.
    fn strides(&self) -> [usize; 2] {
        if self.across {
            [1, self.step]
        } else {
            [self.step, 1]
        }
    }

    /// What four rows of the result from `i` on need, step by step, if it stands
    /// across.
    #[inline(always)]
    fn columns(self, i: usize, k: usize) -> impl Iterator<Item = Option<Four>> {
        let len = self.step.max(1);
        let rows = self.values.get(..k * len).unwrap_or_default();
        let four = move |row: &[f32]| row.get(i..)?.first_chunk().copied();
        rows.chunks_exact(len).map(four)
    }

    /// Four rows from `i` on, if it stands along the sum.
    #[inline(always)]
    fn rows(self, i: usize) -> Option<[&'a [f32]; SIDE]> {
        let rows = self.values.get(i * self.step..)?;
        let (a, rows) = rows.split_at_checked(self.step)?;
        let (b, rows) = rows.split_at_checked(self.step)?;
        let (c, rows) = rows.split_at_checked(self.step)?;
        Some([a, b, c, rows.get(..self.step)?])
    }

    /// What row `i` alone needs.
    #[inline(always)]
    fn row(self, i: usize) -> impl Iterator<Item = Option<[f32; 1]>> {
        let row = self.values.get(i * self.step..).unwrap_or_default();
        let row = row.get(..self.step).unwrap_or_default();
        row.iter().map(|a| Some([*a]))
    }
}

#[inline(always)]
fn steps([a, b, c, d]: [&[f32]; SIDE]) -> impl Iterator<Item = Option<Four>> {
    let rows = a.iter().zip(b).zip(c).zip(d);
    rows.map(|(((a, b), c), d)| Some([*a, *b, *c, *d]))
}

/// A tile, or the first `R` rows of one.
#[inline(always)]
fn sums<const R: usize>(
    a: impl Iterator<Item = Option<[f32; R]>>,
    b: impl Iterator<Item = Option<Four>>,
) -> Option<[Four; R]> {
    let mut steps = a.zip(b);
    let (a, b) = steps.next()?;
    let (a, b) = (a?, b?);
    let mut tile = a.map(|a| b.map(|b| a * b)); // -0.0 would change nothing
    for (a, b) in steps {
        let (a, b) = (a?, b?);
        for (sums, a) in tile.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    Some(tile)
}

/// `out[m, n]`, the product of factors with sums of `k`, and the bias unless that
/// is empty.
#[inline(never)]
pub(super) fn product(
    sizes: [usize; 3],
    factors: [Factor<'_>; 2],
    bias: &[f32],
    out: &mut [f32],
    acc: Acc,
) {
    let [m, k, n] = sizes;
    let [a, b] = factors;
    let few = m < SIDE;
    let fits = k > 0 && n >= SIDE && (!few || !a.across && b.across);
    // Rows and columns done in tiles.
    let done = match acc {
        _ if !fits => [0; 2],
        Acc::Set => [m, n],
        Acc::Add => [if few { m } else { m - m % SIDE }, n - n % SIDE],
    };
    if fits {
        // `None` if a slice is too short: what is missing is left out.
        let _ = tiles(sizes, factors, bias, out, acc, done);
    }
    if done != [m, n] {
        one_by_one(sizes, factors, bias, out, acc, done);
    }
}

fn tiles(
    [m, k, n]: [usize; 3],
    [a, b]: [Factor<'_>; 2],
    bias: &[f32],
    out: &mut [f32],
    acc: Acc,
    [rows, columns]: [usize; 2],
) -> Option<()> {
    let strips = Strips {
        n,
        columns,
        bias,
        acc,
    };
    if m < SIDE {
        for (i, row) in out.chunks_exact_mut(n).take(rows).enumerate() {
            strips.fill([row], |j| sums(a.row(i), b.columns(j, k)))?;
        }
        return Some(());
    }
    for i in (0..rows).step_by(SIDE) {
        let i = i.min(m - SIDE);
        let rows = out.get_mut(i * n..)?;
        let (r, rows) = rows.split_at_mut_checked(n)?;
        let (s, rows) = rows.split_at_mut_checked(n)?;
        let (t, rows) = rows.split_at_mut_checked(n)?;
        let rows = [r, s, t, rows.get_mut(..n)?];
        if a.across {
            strips.fill(rows, |j| sums(a.columns(i, k), b.columns(j, k)))?;
        } else {
            let a = a.rows(i)?;
            if b.across {
                strips.fill(rows, |j| sums(steps(a), b.columns(j, k)))?;
            } else {
                strips.fill(rows, |j| sums(steps(a), steps(b.rows(j)?)))?;
            }
        }
    }
    Some(())
}

/// What all rows of a result have in common.
struct Strips<'a> {
    n: usize,
    columns: usize,
    bias: &'a [f32],
    acc: Acc,
}

impl Strips<'_> {
    /// Fills `R` rows of the result, four columns at a time.
    #[inline(always)]
    fn fill<const R: usize>(
        &self,
        mut rows: [&mut [f32]; R],
        sums: impl Fn(usize) -> Option<[Four; R]>,
    ) -> Option<()> {
        for j in (0..self.columns).step_by(SIDE) {
            let j = j.min(self.n - SIDE);
            let tile = sums(j)?;
            let bias = self.bias.get(j..).and_then(|bias| bias.first_chunk());
            let bias = bias.unwrap_or(&[Sum::IDENTITY; SIDE]);
            for (row, sums) in rows.iter_mut().zip(tile) {
                let to: &mut Four = row.get_mut(j..)?.first_chunk_mut()?;
                let before = *match self.acc {
                    Acc::Set => bias,
                    Acc::Add => &*to,
                };
                for ((to, sum), before) in to.iter_mut().zip(sums).zip(before) {
                    *to = before + sum;
                }
            }
        }
        Some(())
    }
}

/// A column as result, of factors that are both contiguous along the sum.
#[inline(never)]
pub(super) fn dots(
    a: &[f32],
    b: &[f32],
    bias: &[f32],
    out: &mut [f32],
    [m, k]: [usize; 2],
    acc: Acc,
) {
    let bias = bias.first().copied().unwrap_or(Sum::IDENTITY);
    for (i, to) in out.iter_mut().take(m).enumerate() {
        let before = match acc {
            Acc::Set => Sum::IDENTITY,
            Acc::Add => *to,
        };
        let sum = sum_of(Product, [run(a, i * k, k), run(b, 0, k)]);
        *to = before + (sum + bias);
    }
}

/// The rows and columns of a product that are not yet done.
#[inline(never)]
fn one_by_one(
    [m, k, n]: [usize; 3],
    [a, b]: [Factor<'_>; 2],
    bias: &[f32],
    out: &mut [f32],
    acc: Acc,
    [rows, columns]: [usize; 2],
) {
    let ([a_row, a_next], [b_row, b_next]) = (a.strides(), b.strides());
    for i in 0..m {
        for j in if i < rows { columns } else { 0 }..n {
            let mut sum = Sum::IDENTITY;
            let (mut x, mut y) = (i * a_row, j * b_row);
            for _ in 0..k {
                sum += one(a.values, x) * one(b.values, y);
                x += a_next;
                y += b_next;
            }
            if let Some(to) = out.get_mut(i * n + j) {
                acc.put(to, bias.get(j).map_or(sum, |b| sum + b));
            }
        }
    }
}
