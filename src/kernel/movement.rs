//! Kernels that move elements to other places.

use super::map::map;
use super::slices::{one, run};
use super::{Acc, Identity, Lanes};

/// See [`super::transpose`].
pub fn transpose(x: &[f32], [a, low, b, high, c]: [usize; 5], out: &mut [f32], acc: Acc) {
    // Writes the result in order, and reads `x` in runs of `c`.
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
        map::<L, 1, _>(Identity, [run(x, i * n, n)], to, acc);
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
        map::<L, 1, _>(Identity, [from], to, acc);
    }
}

/// The map from each element of a result to an element of `x`, by strides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrangement {
    /// The sizes of the result, innermost last.
    pub(crate) sizes: [usize; 4],
    /// The strides in `x` along each dimension of the result. A stride is 0 where elements are
    /// repeated, and negative, as a wrapped number, where the order is reversed.
    pub(crate) strides: [usize; 4],
    /// The place in `x` of the first element of the result.
    pub(crate) start: usize,
}

/// `out[i, j, k, l] = x[start + i p + j q + k r + l s]`, or `+=`.
pub(crate) fn arrange(x: &[f32], order: &Arrangement, out: &mut [f32], acc: Acc) {
    if out.is_empty() {
        return; // without loops over the other sizes, which may be huge
    }
    let ([a, b, c, d], [p, q, r, s]) = (order.sizes, order.strides);
    let after = |at: usize, stride: usize| at.wrapping_add(stride);
    let mut rows = out.chunks_mut(d.max(1));
    let mut i = order.start;
    for _ in 0..a {
        let mut j = i;
        for _ in 0..b {
            let mut k = j;
            for _ in 0..c {
                let row = rows.next().unwrap_or_default();
                if s == 1 {
                    for (to, x) in row.iter_mut().zip(x.get(k..).unwrap_or_default()) {
                        acc.put(to, *x);
                    }
                } else {
                    let mut l = k;
                    for to in row {
                        acc.put(to, one(x, l));
                        l = after(l, s);
                    }
                }
                k = after(k, r);
            }
            j = after(j, q);
        }
        i = after(i, p);
    }
}
