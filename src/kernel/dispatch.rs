//! Dispatch: decides, for each kernel and slice, which code runs.
//!
//! | target | slices | code |
//! | --- | --- | --- |
//! | without vectors | all | inlined at the call, one number at a time; long or rare loops share one copy, because flash is scarce |
//! | with vectors | short | inlined at the call, with the vectors that every CPU of the target has: up to [`Map::SHORT`] elements, and sums up to [`IN_ORDER`]; the level is not checked |
//! | | long | out of line, with the lanes of the [`level`](super::level): AVX2, the vectors that every CPU has, or, for tests, one number at a time ([`alone`]) |
//!
//! The choice never changes bits. Whether a target has vectors is known at compile time, and
//! the code of the other case is not compiled.

use super::element::{Affine, Last, LastButOne};
use super::reduce::{IN_ORDER, Reduce, Sum, Term, long_sum};
use super::{Acc, Broadcast, Identity, Level, Map, Product, Row, SquaredDifference};
use super::{alone, axis, level, matmul, reduce, slices};
use crate::kernel;

/// Whether every CPU of the target has vectors.
const VECTORS: bool = Level::VECTORS;

/// Returns whether a function has a short path, which is inlined where the kernel is called.
/// Without vectors, all functions have one: on a Cortex-M4F this saves a thermometer recorded
/// with operators 26 of 1,079 instructions an epoch and 72 bytes of flash, and one recorded
/// with `linear` and `mse` 20 of 607 instructions and 56 bytes.
pub(super) const fn has_short_path<const N: usize, F: Map<N>>() -> bool {
    !VECTORS || F::SHORT > 0
}

/// Returns whether a slice of this length takes the short path. At the baseline level all
/// slices do, because the long path has no wider vectors.
#[inline(always)]
pub(super) fn takes_short_path<const N: usize, F: Map<N>>(len: usize) -> bool {
    is_short::<N, F>(len) || level::is_baseline()
}

/// Returns whether a slice of this length is too short for the long path to pay. Without vectors,
/// every slice is.
#[inline(always)]
pub(crate) const fn is_short<const N: usize, F: Map<N>>(len: usize) -> bool {
    !VECTORS || len <= F::SHORT
}

/// [`map`](super::map).
#[inline(always)]
pub(super) fn map<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32], acc: Acc) {
    if const { has_short_path::<N, F>() } && takes_short_path::<N, F>(out.len()) {
        kernel::map::short_map(f, xs, out, acc);
    } else {
        long_map(f, xs, out, acc);
    }
}

/// [`map`](super::map) with [`Acc::Set`]. The code that adds is not compiled.
#[inline]
pub(crate) fn set_map<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32]) {
    if const { has_short_path::<N, F>() } && takes_short_path::<N, F>(out.len()) {
        kernel::map::short_map_as::<N, F, false>(f, xs, out);
    } else {
        long_set_map(f, xs, out);
    }
}

#[inline(never)]
pub(super) fn long_set_map<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32]) {
    if const { has_short_path::<N, F>() } {
        return with_avx2!(level(), L => kernel::map::map_as::<L, N, F, false>(f, xs, out), otherwise: alone::map(&f, xs, out, Acc::Set));
    }
    with_lanes!(L => kernel::map::map_as::<L, N, F, false>(f, xs, out), alone: alone::map(&f, xs, out, Acc::Set));
}

// Out of line, because short slices would otherwise pay for the registers and the stack that
// vectors need. With a function that has a short path, this is called for AVX2, and in two cases
// that need not be fast: at the scalar level, which only tests use, and for the first long slice,
// before the level is known.
#[inline(never)]
pub(super) fn long_map<const N: usize, F: Map<N>>(
    f: F,
    xs: [&[f32]; N],
    out: &mut [f32],
    acc: Acc,
) {
    if const { has_short_path::<N, F>() } {
        return with_avx2!(level(), L => kernel::map::map::<L, N, F>(f, xs, out, acc), otherwise: alone::map(&f, xs, out, acc));
    }
    with_lanes!(L => kernel::map::map::<L, N, F>(f, xs, out, acc), alone: alone::map(&f, xs, out, acc));
}

/// [`map`](super::map) for code that rarely runs: without vectors it is a single loop, which
/// checks for each element whether to overwrite or to add.
#[inline]
pub(crate) fn seldom_map<const N: usize, F: Map<N>>(
    f: F,
    xs: [&[f32]; N],
    out: &mut [f32],
    acc: Acc,
) {
    if const { VECTORS } {
        map(f, xs, out, acc);
    } else {
        kernel::map::map_in_one_loop(f, xs, out, acc);
    }
}

/// [`sum`](super::sum).
#[inline(always)]
pub(super) fn sum(x: &[f32]) -> f32 {
    if VECTORS || x.len() <= IN_ORDER {
        reduce::<Sum, 1, _>(Identity, [x])
    } else {
        long_sum(Term::X, x, x)
    }
}

/// [`dot`](super::dot).
#[inline(always)]
pub(super) fn dot(x: &[f32], y: &[f32]) -> f32 {
    if VECTORS || slices::shortest(&[x, y]) <= IN_ORDER {
        reduce::<Sum, 2, _>(Product, [x, y])
    } else {
        long_sum(Term::Product, x, y)
    }
}

#[inline]
pub(super) fn reduce<R: Reduce, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> f32 {
    if slices::shortest(&xs) <= IN_ORDER {
        reduce::in_order::<R, N, F>(f, xs)
    } else {
        long_reduce::<R, N, F>(f, xs)
    }
}

#[inline(never)]
pub(super) fn long_reduce<R: Reduce, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> f32 {
    with_lanes!(L => reduce::long_reduce::<L, R, N, F>(f, xs), alone: alone::reduce::<R, N>(&f, xs))
}

/// [`dot_and_sum`](super::dot_and_sum).
#[inline(always)]
pub(super) fn dot_and_sum(x: &[f32], g: &[f32]) -> (f32, f32) {
    if slices::shortest(&[x, g]) <= IN_ORDER {
        short_dot_and_sum(x, g)
    } else {
        long_dot_and_sum(x, g)
    }
}

/// [`dot_and_sum`](super::dot_and_sum) of up to [`IN_ORDER`] elements.
#[inline(always)]
pub(crate) fn short_dot_and_sum(x: &[f32], g: &[f32]) -> (f32, f32) {
    super::affine::in_order(x, g)
}

#[inline(never)]
pub(super) fn long_dot_and_sum(x: &[f32], g: &[f32]) -> (f32, f32) {
    // One number at a time, partial sums are in memory, so that a single pass for both sums gains
    // little and takes more flash.
    let one_by_one = || {
        let n = x.len().min(g.len());
        let (x, g) = (slices::run(x, 0, n), slices::run(g, 0, n));
        (
            long_reduce::<Sum, 2, _>(Product, [x, g]),
            long_reduce::<Sum, 1, _>(Identity, [g]),
        )
    };
    if const { !VECTORS } {
        return one_by_one();
    }
    with_lanes!(L => super::affine::dot_and_sum::<L>(x, g), alone: one_by_one())
}

/// [`squared_distance`](super::squared_distance).
#[inline(always)]
pub(super) fn squared_distance(x: &[f32], y: &[f32]) -> f32 {
    if slices::shortest(&[x, y]) <= IN_ORDER {
        short_squared_distance(x, y)
    } else {
        long_squared_distance(x, y)
    }
}

/// [`squared_distance`](super::squared_distance) of up to [`IN_ORDER`] elements.
#[inline(always)]
pub(crate) fn short_squared_distance(x: &[f32], y: &[f32]) -> f32 {
    reduce::in_order::<Sum, 2, _>(SquaredDifference, [x, y])
}

/// [`squared_distance`](super::squared_distance) of more than [`IN_ORDER`] elements.
#[inline]
pub(crate) fn long_squared_distance(x: &[f32], y: &[f32]) -> f32 {
    if VECTORS {
        long_reduce::<Sum, 2, _>(SquaredDifference, [x, y])
    } else {
        long_sum(Term::SquaredDifference, x, y)
    }
}

#[inline]
pub(super) fn reduce_axis<R: Reduce>(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    match (sizes, out) {
        ([1, _, 1], [out]) => *out = reduce::<R, 1, _>(Identity, [x]),
        (_, out) => long_reduce_axis::<R>(x, sizes, out),
    }
}

#[inline(never)]
pub(super) fn long_reduce_axis<R: Reduce>(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    if out.is_empty() {
        return; // without loops over the other sizes, which may be huge; the same holds below
    }
    if const { R::ROUNDS && VECTORS } {
        return sum_slabs(x, sizes, out, Acc::Set);
    }
    with_lanes!(L => axis::reduce_axis::<L, R>(x, sizes, out));
}

/// [`sum_axis`](super::sum_axis), which overwrites or adds.
#[inline(never)]
pub(super) fn sum_slabs(x: &[f32], sizes: [usize; 3], out: &mut [f32], acc: Acc) {
    with_lanes!(L => axis::sum_axis::<L>(x, sizes, out, acc));
}

/// [`zip`](super::zip).
#[inline(always)]
pub(super) fn zip<F: Map<2>>(f: F, stretch: &Broadcast, a: &[f32], b: &[f32], out: &mut [f32]) {
    if is_short::<2, F>(stretch.inner()) || level::is_scalar() {
        kernel::zip::zip::<f32, F>(f, stretch, a, b, out);
    } else {
        long_zip(f, stretch, a, b, out);
    }
}

#[inline(never)]
pub(super) fn long_zip<F: Map<2>>(
    f: F,
    stretch: &Broadcast,
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
) {
    with_vectors!(level(), L => kernel::zip::zip::<L, F>(f, stretch, a, b, out));
}

/// [`zip`](super::zip) of a single row, for few elements or without vectors.
#[inline(always)]
pub(crate) fn zip_row<F: Map<2>>(f: F, row: Row, a: &[f32], b: &[f32], out: &mut [f32]) {
    match row {
        Row::Both => kernel::map::short_map_as::<2, _, false>(&f, [a, b], out),
        Row::OnlyA => {
            let f = Last(&f, slices::one(b, 0));
            kernel::map::short_map_as::<1, _, false>(f, [a], out);
        }
        Row::OnlyB => {
            let f = LastButOne(&f, slices::one(a, 0));
            kernel::map::short_map_as::<1, _, false>(f, [b], out);
        }
    }
}

/// [`zip_grad`](super::zip_grad).
#[inline(always)]
pub(super) fn zip_grad<F: Map<3>>(
    f: F,
    stretch: &Broadcast,
    slices: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
) {
    if is_short::<3, F>(stretch.inner()) || stretch.inner() <= IN_ORDER || level::is_scalar() {
        kernel::zip::zip_grad::<f32, F>(f, stretch, slices, grad, acc);
    } else {
        long_zip_grad(f, stretch, slices, grad, acc);
    }
}

#[inline(never)]
pub(super) fn long_zip_grad<F: Map<3>>(
    f: F,
    stretch: &Broadcast,
    slices: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
) {
    if !stretch.has_inner().0 {
        return kernel::zip::zip_grad_of_rows(&f, stretch, slices, grad, acc, |f, xs| {
            long_reduce::<Sum, 2, _>(f, xs)
        });
    }
    with_vectors!(level(), L => kernel::zip::zip_grad_in_strips::<L, F>(f, stretch, slices, grad, acc));
}

/// [`zip_grad`](super::zip_grad) of a single row, for few elements or without vectors.
#[inline(always)]
pub(crate) fn zip_grad_row<F: Map<3>>(
    f: F,
    row: Row,
    [g, own, other]: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
) {
    match row {
        Row::Both => kernel::map::short_map(&f, [g, own, other], grad, acc),
        Row::OnlyA => {
            let f = Last(&f, slices::one(other, 0));
            kernel::map::short_map(f, [g, own], grad, acc);
        }
        Row::OnlyB => {
            let f = LastButOne(&f, slices::one(own, 0));
            add_up(reduce::<Sum, 2, _>(f, [g, other]), grad, acc);
        }
    }
}

/// A matrix product, with the lanes of the level.
#[inline(never)]
pub(super) fn product(job: &matmul::Job<'_>, out: &mut [f32]) {
    with_lanes!(L => matmul::compute::<L>(job, out));
}

/// [`matmul_tn`](super::matmul_tn).
#[inline(always)]
pub(super) fn matmul_tn(a: &[f32], g: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    if VECTORS && k == 1 && n == 1 {
        return add_up(reduce::<Sum, 2, _>(Product, [a, g]), out, acc);
    }
    long_matmul_tn(a, g, out, [m, k, n], acc);
}

/// [`matmul_nt`](super::matmul_nt).
#[inline(always)]
pub(super) fn matmul_nt(g: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    if const { VECTORS } {
        product(&matmul::nt_job(g, b, [m, k, n], acc), out);
    } else {
        matmul::matmul_nt::<f32>(g, b, out, [m, k, n], acc);
    }
}

#[inline]
pub(super) fn long_matmul_tn(a: &[f32], g: &[f32], out: &mut [f32], sizes: [usize; 3], acc: Acc) {
    if const { VECTORS } {
        product(&matmul::tn_job(a, g, sizes, acc), out);
    } else {
        matmul::matmul_tn::<f32>(a, g, out, sizes, acc);
    }
}

/// [`linear`](super::linear) with one input and one output.
#[inline(always)]
pub(crate) fn affine(x: &[f32], w: f32, b: f32, out: &mut [f32]) {
    set_map(Affine(w, b), [x], out);
}

/// [`linear`](super::linear) with more than one input or output.
#[inline]
pub(crate) fn long_linear(x: &[f32], w: &[f32], b: &[f32], out: &mut [f32], sizes: [usize; 3]) {
    if const { VECTORS } {
        product(&matmul::linear_job(x, w, b, sizes), out);
    } else {
        matmul::linear::<f32>(x, w, b, out, sizes);
    }
}

/// [`sum_rows`](super::sum_rows).
#[inline(always)]
pub(super) fn sum_rows(x: &[f32], [m, n]: [usize; 2], out: &mut [f32], acc: Acc) {
    if VECTORS && n == 1 {
        return add_up(sum(x), out, acc);
    }
    long_sum_rows(x, [m, n], out, acc);
}

#[inline(never)]
pub(super) fn long_sum_rows(x: &[f32], [m, n]: [usize; 2], out: &mut [f32], acc: Acc) {
    if const { VECTORS } {
        return sum_slabs(x, [1, m, n], out, acc);
    }
    let x = x.get(..m * n).unwrap_or_default();
    if n == 1 && m > IN_ORDER {
        return add_up(long_sum(Term::X, x, x), out, acc);
    }
    matmul::sum_rows(x, [m, n], out, acc);
}

#[inline(never)]
pub(super) fn long_spread(x: &[f32], n: f32, sizes: [usize; 3], out: &mut [f32], acc: Acc) {
    if out.is_empty() {
        return;
    }
    with_lanes!(L => axis::spread::<L>(x, n, sizes, out, acc));
}

/// [`softmax`](super::softmax) of at least one element.
#[inline(always)]
pub(super) fn softmax<const LOG: bool>(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    if const { VECTORS } {
        return long_softmax(LOG, x, sizes, out);
    }
    kernel::softmax::softmax::<f32, LOG>(x, sizes, out);
}

#[inline(never)]
pub(super) fn long_softmax(log: bool, x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    match sizes {
        [outer, len, 1] => {
            let sizes = [outer, len];
            with_lanes!(L => kernel::softmax::softmax_of_rows::<L>(log, x, sizes, out));
        }
        _ => kernel::softmax::softmax_across(log, x, sizes, out),
    }
}

#[inline(always)]
pub(super) fn add_up(sum: f32, out: &mut [f32], acc: Acc) {
    if let Some(to) = out.first_mut() {
        acc.put(to, sum);
    }
}

/// Evaluates an expression with `$L` as the lane type of the level. This is where a lane type
/// is chosen, once per slice.
///
/// On a target without vectors, the expression is compiled for `f32` only. With `alone`, another
/// expression is evaluated at the scalar level, which only tests use.
macro_rules! with_lanes {
    ($L:ident => $kernel:expr) => {
        $crate::kernel::with_lanes!($L => $kernel, alone: {
            type $L = f32;
            $kernel
        })
    };
    ($L:ident => $kernel:expr, alone: $alone:expr) => {
        if const { !$crate::kernel::Level::VECTORS } {
            type $L = f32;
            $kernel
        } else {
            let level = $crate::kernel::level();
            if const { cfg!(feature = "std") } && level == $crate::kernel::Level::Scalar {
                $alone
            } else {
                $crate::kernel::with_vectors!(level, $L => $kernel)
            }
        }
    };
}

/// Like `with_lanes!`, for a level that is not `Scalar`.
macro_rules! with_vectors {
    ($level:expr, $L:ident => $kernel:expr) => {
        $crate::kernel::with_avx2!($level, $L => $kernel, otherwise: {
            type $L = $crate::kernel::f32x8;
            $kernel
        })
    };
}

/// Evaluates an expression with the lanes of AVX2, or `otherwise` at any other level.
macro_rules! with_avx2 {
    ($level:expr, $L:ident => $kernel:expr, otherwise: $otherwise:expr) => {{
        #[cfg(all(feature = "std", target_arch = "x86_64"))]
        if $level == $crate::kernel::Level::Avx2 {
            $crate::kernel::x86::enter(
                #[inline(always)]
                || {
                    type $L = $crate::kernel::x86::M256;
                    $kernel
                },
            )
        } else {
            $otherwise
        }
        #[cfg(not(all(feature = "std", target_arch = "x86_64")))]
        {
            let _ = $level;
            $otherwise
        }
    }};
}
pub(crate) use {with_avx2, with_lanes, with_vectors};
