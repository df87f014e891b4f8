//! Elements moved to other places.

use super::map::map;
use super::slices::run;
use super::{Acc, Identity, Lanes};

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
