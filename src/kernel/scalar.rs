//! The oracle: every kernel as a plain loop, one element at a time, with the
//! order of operations spelled out. Slow, obvious, and what all lane types must
//! equal bit for bit; also the "scalar" side of the benchmarks.

use super::generic::{IN_ORDER, Reduce, Sum};
use super::{Acc, Map};
use crate::shape::Shape;

/// See [`super::map`].
pub fn map<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32], acc: Acc) {
    for (i, to) in out.iter_mut().enumerate() {
        let y = f.apply(xs.map(|x| at(x, i)));
        store(to, y, acc);
    }
}

/// Reduces `f(x[i], …)` in the order `generic` documents.
pub fn reduce<R: Reduce, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> f32 {
    let n = xs.iter().map(|x| x.len()).min().unwrap_or(0);
    let ys = (0..n).map(|i| f.apply(xs.map(|x| at(x, i))));
    if n <= IN_ORDER {
        return ys.fold(R::IDENTITY, R::combine);
    }
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

/// See [`super::sum_axis`].
pub fn reduce_axis<R: Reduce>(x: &[f32], [outer, len, inner]: [usize; 3], out: &mut [f32]) {
    let places = (0..outer).flat_map(|i| (0..inner).map(move |j| (i, j)));
    for (to, (i, j)) in out.iter_mut().zip(places) {
        let start = i * len * inner + j;
        if inner == 1 {
            let row = x.get(start..start + len).unwrap_or_default();
            *to = reduce::<R, 1, _>(super::Identity, [row]);
        } else {
            *to = (0..len).fold(R::IDENTITY, |r, l| R::combine(r, at(x, start + l * inner)));
        }
    }
}

/// The offset, in an operand of shape `from`, of element `index` of `to`, the
/// shape it is stretched to.
pub fn stretched_offset(from: &Shape, to: &Shape, index: usize) -> usize {
    let (mut rest, mut step, mut offset) = (index, 1, 0);
    for back in 1..=to.rank() {
        let size = to.dim(to.rank() - back);
        let own = match from.rank().checked_sub(back) {
            Some(axis) => from.dim(axis),
            None => 1,
        };
        // Nothing of size 0 has an element to ask for.
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
        *to = f.apply([x, y]);
    }
}

/// See [`super::matmul`].
pub fn matmul(a: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3]) {
    for i in 0..m {
        for j in 0..n {
            let terms = (0..k).map(|p| at(a, i * k + p) * at(b, p * n + j));
            let sum = contract(terms, k, n == 1);
            if let Some(to) = out.get_mut(i * n + j) {
                *to = sum;
            }
        }
    }
}

/// See [`super::matmul_tn`].
pub fn matmul_tn(a: &[f32], g: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    for p in 0..k {
        for j in 0..n {
            let terms = (0..m).map(|i| at(a, i * k + p) * at(g, i * n + j));
            let sum = contract(terms, m, k == 1 && n == 1);
            if let Some(to) = out.get_mut(p * n + j) {
                store(to, sum, acc);
            }
        }
    }
}

/// See [`super::matmul_nt`].
pub fn matmul_nt(g: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    for i in 0..m {
        for p in 0..k {
            let terms = (0..n).map(|j| at(g, i * n + j) * at(b, p * n + j));
            let sum = contract(terms, n, k == 1);
            if let Some(to) = out.get_mut(i * k + p) {
                store(to, sum, acc);
            }
        }
    }
}

/// Adds products: in order, or in the order of a long sum.
fn contract(terms: impl Iterator<Item = f32>, len: usize, tree: bool) -> f32 {
    if !tree || len <= IN_ORDER {
        return terms.fold(Sum::IDENTITY, Sum::combine);
    }
    let mut partial = [Sum::IDENTITY; 32];
    for (i, y) in terms.enumerate() {
        if let Some(p) = partial.get_mut(i % 32) {
            *p += y;
        }
    }
    // Thirty-two terms go through the same tree as any other long sum.
    reduce::<Sum, 1, _>(super::Identity, [&partial])
}

fn at(x: &[f32], i: usize) -> f32 {
    x.get(i).copied().unwrap_or(0.0)
}

fn store(to: &mut f32, y: f32, acc: Acc) {
    *to = match acc {
        Acc::Set => y,
        Acc::Add => *to + y,
    };
}
