//! Products of matrices in batches.

use super::Entry;
use crate::kernel::{self, Acc, carry, sum_in_turn};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{Shape, ShapeError};

pub(super) const ENTRIES: &[Entry] =
    &[Entry::pair("matmul_batched", |a, b, _| a.matmul(b)).of(&[&[1, 1, 3], &[2, 3, 2]])];

/// `a · b` for each pair of matrices of two batches, which broadcast. At least one operand has
/// more than two dimensions.
#[derive(Clone, Copy, Debug)]
pub struct BatchedMatmul;

/// The sizes of a product, `[m, k, n]`, and the number of products in two dimensions.
struct Batches {
    sizes: [usize; 3],
    /// The batches of the result.
    counts: [usize; 2],
    /// The batches of `a` and of `b`: in each dimension, as many as the result has, or 1.
    own: [[usize; 2]; 2],
}

/// The batches of a shape: up to two dimensions before its matrices.
fn batches(x: &Shape) -> [usize; 2] {
    match *x.dims() {
        [p, q, _, _] => [p, q],
        [q, _, _] => [1, q],
        _ => [1, 1],
    }
}

impl Batches {
    fn of(a: &Shape, b: &Shape) -> Result<(Self, Shape), ShapeError> {
        if a.rank().min(b.rank()) == 0 {
            return Err(ShapeError::TooFewDims { least: 1 });
        }
        // A vector on the left is a row, one on the right a column.
        let last = |x: &Shape, back: usize| x.dim(x.rank().saturating_sub(back));
        let (m, k) = match a.rank() {
            1 => (1, a.dim(0)),
            _ => (last(a, 2), last(a, 1)),
        };
        let (inner, n) = match b.rank() {
            1 => (b.dim(0), 1),
            _ => (last(b, 2), last(b, 1)),
        };
        if inner != k {
            return Err(ShapeError::Inner);
        }
        let own = [batches(a), batches(b)];
        let [[p, q], [r, s]] = own;
        let common = |x: usize, y: usize| match (x, y) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(ShapeError::Broadcast),
        };
        let counts = [common(p, r)?, common(q, s)?];
        let rank = a.rank().max(b.rank()).saturating_sub(2);
        let dims = [counts[0], counts[1], m, n];
        // A vector is a matrix with a dimension of 1, which the result omits.
        let from = 2 - rank.min(2);
        let mut kept = [1; 4];
        let present = [true, true, a.rank() > 1, b.rank() > 1];
        let dims = dims.into_iter().zip(present).skip(from);
        let mut rank = 0;
        for (to, (size, _)) in kept.iter_mut().zip(dims.filter(|(_, is)| *is)) {
            *to = size;
            rank += 1;
        }
        let shape = Shape::new(kept.get(..rank).unwrap_or_default())?;
        let mut batches = Batches {
            sizes: [m, k, n],
            counts,
            own,
        };
        if r == 1 && s == 1 {
            // A single matrix on the right is multiplied with the rows of all matrices on the
            // left, as if they were one matrix.
            batches.sizes[0] = m.saturating_mul(p).saturating_mul(q);
            (batches.counts, batches.own) = ([1, 1], [[1, 1]; 2]);
        }
        Ok((batches, shape))
    }

    /// The pairs of matrices, each as the matrix's number in `a` and in `b`, in the order of the
    /// result.
    fn pairs(&self) -> impl Iterator<Item = [usize; 2]> {
        let [outer, inner] = self.counts;
        let own = self.own;
        let number = |[p, q]: [usize; 2], i: usize, j: usize| {
            let i = if p == 1 { 0 } else { i };
            let j = if q == 1 { 0 } else { j };
            i * q + j
        };
        (0..outer).flat_map(move |i| {
            (0..inner).map(move |j| {
                let [a, b] = own;
                [number(a, i, j), number(b, i, j)]
            })
        })
    }

    /// Returns whether an operand has fewer matrices than the result.
    fn is_repeated(&self, operand: usize) -> bool {
        self.own.get(operand) != Some(&self.counts)
    }
}

/// Matrix `number` of a batch of `len` elements each.
fn matrix(x: &[f32], number: usize, len: usize) -> &[f32] {
    let from = x.get(number.saturating_mul(len)..).unwrap_or_default();
    from.get(..len).unwrap_or_default()
}

/// The compensated sum of a term for each pair; 0 if there are no pairs.
fn sum_of_pairs(
    pairs: impl Iterator<Item = (usize, [usize; 2])>,
    term: impl Fn(usize, [usize; 2]) -> f32,
) -> f32 {
    let (mut total, mut part) = (-0.0_f32, -0.0_f32);
    for (i, pair) in pairs {
        (total, part) = carry(total, part);
        part += term(i, pair);
    }
    total + part + 0.0
}

impl Op for BatchedMatmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        let [a, b] = super::exactly(operands)?;
        Ok(Batches::of(a, b)?.1)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let Ok((batches, _)) = Batches::of(&cx.operand_shape(0), &cx.operand_shape(1)) else {
            return;
        };
        let ([a, b], out) = cx.split();
        if out.is_empty() {
            return; // the other sizes of an empty tensor may be huge
        }
        let [m, k, n] = batches.sizes;
        for (out, [i, j]) in out.chunks_mut((m * n).max(1)).zip(batches.pairs()) {
            let (a, b) = (matrix(a, i, m * k), matrix(b, j, k * n));
            kernel::matmul(a, b, out, batches.sizes);
        }
        zero_if(k == 0, out);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let Ok((batches, _)) = Batches::of(&cx.operand_shape(0), &cx.operand_shape(1)) else {
            return;
        };
        let (a, b, [m, k, n]) = (cx.operand(0), cx.operand(1), batches.sizes);
        for operand in 0..2 {
            let Some(grad) = cx.grad(operand) else {
                continue;
            };
            let (g, to, acc) = (grad.output, grad.operand, grad.acc);
            if g.is_empty() || to.is_empty() {
                zero_if(acc == Acc::Set, to);
                continue;
            }
            let len = if operand == 0 { m * k } else { k * n };
            let all = to.chunks_mut(len.max(1)).enumerate();
            if !batches.is_repeated(operand) {
                for ((number, to), [i, j]) in all.zip(batches.pairs()) {
                    let g = matrix(g, number, m * n);
                    if operand == 0 {
                        let b = matrix(b, j, k * n);
                        kernel::matmul_nt(g, b, to, batches.sizes, acc);
                    } else {
                        let a = matrix(a, i, m * k);
                        kernel::matmul_tn(a, g, to, batches.sizes, acc);
                    }
                }
                continue;
            }
            for (number, to) in all {
                let pairs = || batches.pairs().enumerate();
                if operand == 0 {
                    // Both factors of a dot product are contiguous.
                    let pairs = || pairs().filter(|(_, [i, _])| *i == number);
                    for (place, to) in to.iter_mut().enumerate() {
                        let (row, column) = (place / k.max(1), place % k.max(1));
                        let sum = sum_of_pairs(pairs(), |at, [_, j]| {
                            let g = matrix(matrix(g, at, m * n), row, n);
                            kernel::dot(g, matrix(matrix(b, j, k * n), column, n))
                        });
                        acc.put(to, sum);
                    }
                } else {
                    let pairs = || pairs().filter(|(_, [_, j])| *j == number);
                    for (place, to) in to.iter_mut().enumerate() {
                        let (row, column) = (place / n.max(1), place % n.max(1));
                        let sum = sum_of_pairs(pairs(), |at, [i, _]| {
                            let a = matrix(a, i, m * k).iter().skip(row).step_by(k.max(1));
                            let g = matrix(g, at, m * n).iter().skip(column);
                            sum_in_turn(a.zip(g.step_by(n.max(1))).map(|(a, g)| a * g), m)
                        });
                        acc.put(to, sum);
                    }
                }
            }
        }
    }
}

/// Sets `sums` to 0 if they are sums of no terms: the kernel's are -0.0, PyTorch's 0.
pub(super) fn zero_if(nothing: bool, sums: &mut [f32]) {
    if nothing {
        sums.fill(0.0);
    }
}
