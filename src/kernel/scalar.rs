//! The reference: every kernel as a plain loop, one element at a time, with the
//! order of operations spelled out. It is slow and obvious; all lane types must
//! equal it bit for bit, and benchmarks compare with it. The functions are generic or
//! `#[inline]`, so that they are compiled only where they are used: the library does not use
//! them.

use super::generic::{IN_ORDER, Max, Reduce, Sum};
use super::{Acc, Identity, Map, Ties, math};
use crate::shape::Shape;

/// See [`super::map`].
pub fn map<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32], acc: Acc) {
    for (i, to) in out.iter_mut().enumerate() {
        let y = f.apply(&xs.map(|x| at(x, i)));
        acc.put(to, y);
    }
}

/// Reduces `f(x[i], …)` in the order that [`generic`](super::generic) describes.
pub fn reduce<R: Reduce, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> f32 {
    let n = xs.iter().map(|x| x.len()).min().unwrap_or(0);
    let ys = (0..n).map(|i| f.apply(&xs.map(|x| at(x, i))));
    if R::ROUNDS {
        contract(n, true, ys)
    } else if n <= IN_ORDER {
        ys.fold(R::IDENTITY, R::combine)
    } else {
        tree::<R>(ys)
    }
}

/// Deals values out to 32 partial results, and combines these.
fn tree<R: Reduce>(ys: impl Iterator<Item = f32>) -> f32 {
    let mut partial = [R::IDENTITY; 32];
    for (i, y) in ys.enumerate() {
        if let Some(p) = partial.get_mut(i % 32) {
            *p = R::combine(*p, y);
        }
    }
    let [a, b, c, d]: [[f32; 8]; 4] =
        core::array::from_fn(|g| core::array::from_fn(|l| at(&partial, 8 * g + l)));
    let mut v: [f32; 8] = core::array::from_fn(|l| {
        R::combine(
            R::combine(at(&a, l), at(&b, l)),
            R::combine(at(&c, l), at(&d, l)),
        )
    });
    for half in [4, 2, 1] {
        for l in 0..half {
            let combined = R::combine(at(&v, l), at(&v, l + half));
            if let Some(to) = v.get_mut(l) {
                *to = combined;
            }
        }
    }
    at(&v, 0)
}

/// Adds up blocks. `add` adds the terms of the next block to a number; each block starts with
/// the rounding error of the total.
fn compensated(blocks: usize, mut add: impl FnMut(f32) -> f32) -> f32 {
    let (mut total, mut part) = (-0.0_f32, -0.0_f32);
    for _ in 0..blocks {
        let sum = total + part;
        let lost = part - (sum - total);
        total = sum;
        part = add(if lost.is_finite() { lost } else { 0.0 });
    }
    total + part
}

/// Adds terms that are not neighbours: up to 64 in order, more in blocks of 32.
fn across(len: usize, mut terms: impl Iterator<Item = f32>) -> f32 {
    let block = if len <= 64 { 64 } else { 32 };
    compensated(len.div_ceil(block), |part| {
        terms.by_ref().take(block).fold(part, Sum::combine)
    })
}

/// See [`super::sum_axis`].
pub fn reduce_axis<R: Reduce>(x: &[f32], [outer, len, inner]: [usize; 3], out: &mut [f32]) {
    let places = (0..outer).flat_map(|i| (0..inner).map(move |j| (i, j)));
    for (to, (i, j)) in out.iter_mut().zip(places) {
        let start = i * len * inner + j;
        if inner == 1 {
            let row = x.get(start..start + len).unwrap_or_default();
            *to = reduce::<R, 1, _>(Identity, [row]);
        } else {
            let ys = (0..len).map(|l| at(x, start + l * inner));
            *to = if R::ROUNDS {
                across(len, ys)
            } else {
                ys.fold(R::IDENTITY, R::combine)
            };
        }
    }
}

/// The offset, in an operand of shape `from`, of the element that is repeated at element `index`
/// of `to`, the shape that the operand is broadcast to.
#[inline]
pub fn stretched_offset(from: &Shape, to: &Shape, index: usize) -> usize {
    let (mut rest, mut step, mut offset) = (index, 1, 0);
    for back in 1..=to.rank() {
        let size = to.dim(to.rank() - back);
        let own = match from.rank().checked_sub(back) {
            Some(axis) => from.dim(axis),
            None => 1,
        };
        // A size of 0 is never divided by: such a tensor has no elements.
        if own != 1 {
            offset += rest.checked_rem(size).unwrap_or(0) * step;
            step *= own;
        }
        rest = rest.checked_div(size).unwrap_or(0);
    }
    offset
}

/// See [`super::zip`].
pub fn zip<F: Map<2>>(
    f: F,
    [a_shape, b_shape]: [&Shape; 2],
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
) {
    let Some(shape) = a_shape.broadcast(b_shape) else {
        return;
    };
    for (i, to) in out.iter_mut().enumerate() {
        let x = at(a, stretched_offset(a_shape, &shape, i));
        let y = at(b, stretched_offset(b_shape, &shape, i));
        *to = f.apply(&[x, y]);
    }
}

/// See [`super::zip_grad`]; the operand's own shape is the first. The terms of each
/// element's gradient are visited in the order of the result. The terms along a run of
/// innermost dimensions, along which the operand is repeated, are one sum, and this sum is one
/// term of the element's sum over the other dimensions.
pub fn zip_grad<F: Map<3>>(
    f: F,
    [own_shape, other_shape]: [&Shape; 2],
    [g, own, other]: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
) {
    let Some(shape) = own_shape.broadcast(other_shape) else {
        return;
    };
    // The number of neighbouring elements of the result that repeat one of the operand.
    let mut repeated = 1;
    for back in 1..=shape.rank() {
        let size = shape.dim(shape.rank() - back);
        let own = match own_shape.rank().checked_sub(back) {
            Some(axis) => own_shape.dim(axis),
            None => 1,
        };
        if own != 1 {
            break;
        }
        repeated *= size;
    }
    let all = shape.numel().checked_div(own_shape.numel()).unwrap_or(0);
    for (i, to) in grad.iter_mut().enumerate() {
        let term = |nth: usize| {
            let k = stretched_place(own_shape, &shape, i, nth);
            let j = stretched_offset(other_shape, &shape, k);
            f.apply(&[at(g, k), at(own, i), at(other, j)])
        };
        let runs = all.checked_div(repeated).unwrap_or(0);
        let sums = (0..runs).map(|run| {
            let terms = (run * repeated..).map(term);
            contract(repeated, true, terms)
        });
        acc.put(to, across(runs, sums));
    }
}

/// The inverse of [`stretched_offset`]: the place in `to` of the `nth` repetition of element
/// `index` of `from`.
fn stretched_place(from: &Shape, to: &Shape, index: usize, nth: usize) -> usize {
    let (mut own, mut nth, mut step, mut place) = (index, nth, 1, 0);
    for back in 1..=to.rank() {
        let size = to.dim(to.rank() - back);
        let has = from
            .rank()
            .checked_sub(back)
            .is_some_and(|axis| from.dim(axis) != 1);
        let rest = if has { &mut own } else { &mut nth };
        place += rest.checked_rem(size).unwrap_or(0) * step;
        *rest = rest.checked_div(size).unwrap_or(0);
        step *= size;
    }
    place
}

/// See [`super::matmul`].
#[inline]
pub fn matmul(a: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3]) {
    for i in 0..m {
        for j in 0..n {
            let sum = contract(
                k,
                n == 1,
                (0..k).map(|p| at(a, i * k + p) * at(b, p * n + j)),
            );
            if let Some(to) = out.get_mut(i * n + j) {
                *to = sum;
            }
        }
    }
}

/// See [`super::matmul_tn`].
#[inline]
pub fn matmul_tn(a: &[f32], g: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    for p in 0..k {
        for j in 0..n {
            let terms = (0..m).map(|i| at(a, i * k + p) * at(g, i * n + j));
            let sum = contract(m, k == 1 && n == 1, terms);
            if let Some(to) = out.get_mut(p * n + j) {
                acc.put(to, sum);
            }
        }
    }
}

/// See [`super::matmul_nt`].
#[inline]
pub fn matmul_nt(g: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    for i in 0..m {
        for p in 0..k {
            let sum = contract(
                n,
                k == 1,
                (0..n).map(|j| at(g, i * n + j) * at(b, p * n + j)),
            );
            if let Some(to) = out.get_mut(i * k + p) {
                acc.put(to, sum);
            }
        }
    }
}

/// See [`super::linear`].
#[inline]
pub fn linear(x: &[f32], w: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3]) {
    matmul(x, w, out, [m, k, n]);
    for (i, to) in out.iter_mut().enumerate() {
        *to += at(b, i % n);
    }
}

/// See [`super::sum_rows`].
#[inline]
pub fn sum_rows(x: &[f32], [m, n]: [usize; 2], out: &mut [f32], acc: Acc) {
    for (j, to) in out.iter_mut().enumerate() {
        acc.put(to, contract(m, n == 1, (0..m).map(|i| at(x, i * n + j))));
    }
}

/// See [`super::spread`].
#[inline]
pub fn spread(x: &[f32], n: f32, [outer, len, inner]: [usize; 3], out: &mut [f32], acc: Acc) {
    for (o, i, j) in indices([outer, len, inner]) {
        if let Some(to) = out.get_mut((o * len + i) * inner + j) {
            acc.put(to, at(x, o * inner + j) / n);
        }
    }
}

/// See [`super::send_to_extremes`].
#[inline]
pub fn send_to_extremes(
    x: &[f32],
    y: &[f32],
    g: &[f32],
    [outer, len, inner]: [usize; 3],
    ties: Ties,
    out: &mut [f32],
    acc: Acc,
) {
    for (o, i, j) in indices([outer, len, inner]) {
        let (y, g) = (at(y, o * inner + j), at(g, o * inner + j));
        let wins = |i: usize| {
            let x = at(x, (o * len + i) * inner + j);
            x == y || (x.is_nan() && y.is_nan())
        };
        let before = (0..i).filter(|i| wins(*i)).count();
        let count = (0..len).filter(|i| wins(*i)).count() as f32;
        let grad = match ties {
            Ties::First if wins(i) && before == 0 => g,
            Ties::Even if wins(i) => g / count,
            Ties::Scaled if y.is_nan() => f32::NAN,
            Ties::Scaled if wins(i) => g / count,
            Ties::Scaled => g * 0.0,
            _ => 0.0,
        };
        if let Some(to) = out.get_mut((o * len + i) * inner + j) {
            acc.put(to, grad);
        }
    }
}

/// See [`super::transpose`].
#[inline]
pub fn transpose(x: &[f32], [a, low, b, high, c]: [usize; 5], out: &mut [f32], acc: Acc) {
    for (i, l, k) in indices([a, low, b]) {
        for h in 0..high {
            for m in 0..c {
                let from = (((i * low + l) * b + k) * high + h) * c + m;
                let to = (((i * high + h) * b + k) * low + l) * c + m;
                if let Some(to) = out.get_mut(to) {
                    acc.put(to, at(x, from));
                }
            }
        }
    }
}

/// See [`super::paste`].
#[inline]
pub fn paste(
    x: &[f32],
    [outer, len, inner]: [usize; 3],
    [start, length]: [usize; 2],
    out: &mut [f32],
    acc: Acc,
) {
    for (o, i, j) in indices([outer, length, inner]) {
        if let Some(to) = out.get_mut((o * len + start + i) * inner + j) {
            acc.put(to, at(x, (o * length + i) * inner + j));
        }
    }
}

/// See [`super::cut`].
#[inline]
pub fn cut(
    x: &[f32],
    [outer, len, inner]: [usize; 3],
    [start, length]: [usize; 2],
    out: &mut [f32],
    acc: Acc,
) {
    for (o, i, j) in indices([outer, length, inner]) {
        if let Some(to) = out.get_mut((o * length + i) * inner + j) {
            acc.put(to, at(x, (o * len + start + i) * inner + j));
        }
    }
}

/// See [`super::softmax`].
pub fn softmax<const LOG: bool>(x: &[f32], [outer, len, inner]: [usize; 3], out: &mut [f32]) {
    for (o, _, j) in indices([outer, 1, inner]) {
        let place = |i: usize| (o * len + i) * inner + j;
        let max = (0..len).fold(Max::IDENTITY, |max, i| Max::combine(max, at(x, place(i))));
        let shifted = |i: usize| at(x, place(i)) - max;
        let sum = contract(len, inner == 1, (0..len).map(|i| math::exp(shifted(i))));
        for i in 0..len {
            if let Some(to) = out.get_mut(place(i)) {
                *to = if LOG {
                    shifted(i) - math::ln(sum)
                } else {
                    math::exp(shifted(i)) / sum
                };
            }
        }
    }
}

/// See [`super::softmax_grad`].
pub fn softmax_grad<const LOG: bool>(
    y: &[f32],
    g: &[f32],
    [outer, len, inner]: [usize; 3],
    out: &mut [f32],
    acc: Acc,
) {
    for (o, _, j) in indices([outer, 1, inner]) {
        let place = |i: usize| (o * len + i) * inner + j;
        let pair = |i: usize| (at(y, place(i)), at(g, place(i)));
        let terms = (0..len).map(|i| match pair(i) {
            (_, g) if LOG => g,
            (y, g) => y * g,
        });
        let sum = contract(len, inner == 1, terms);
        for i in 0..len {
            let (y, g) = pair(i);
            if let Some(to) = out.get_mut(place(i)) {
                let grad = if LOG {
                    g - math::exp(y) * sum
                } else {
                    y * (g - sum)
                };
                acc.put(to, grad);
            }
        }
    }
}

/// All indices of a three-dimensional tensor, row by row.
fn indices([a, b, c]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

/// Adds `len` terms, in the order for neighbours or for terms that are not.
fn contract(len: usize, neighbours: bool, terms: impl Iterator<Item = f32>) -> f32 {
    let mut terms = terms.take(len);
    if !neighbours {
        across(len, terms)
    } else if len <= IN_ORDER {
        terms.fold(Sum::IDENTITY, Sum::combine)
    } else {
        compensated(len.div_ceil(512), |part| {
            part + tree::<Sum>(terms.by_ref().take(512))
        })
    }
}

fn at(x: &[f32], i: usize) -> f32 {
    x.get(i).copied().unwrap_or(0.0)
}
