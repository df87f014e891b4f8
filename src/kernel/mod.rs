//! Numeric kernels over slices, which run with SIMD where the CPU has it.
//!
//! Each kernel is written once, over the trait [`Lanes`] (see [`generic`]). The functions
//! of this module run it with the best lane type that the CPU has, or with a chosen one (see
//! [`Level`]; `dispatch.rs` decides once per slice). The lane type changes speed, never bits:
//!
//! - an element-wise result depends on its own elements only, not on their position in
//!   the slice;
//! - the order of every sum is a function of the shapes alone (see [`sum`]).
//!
//! [`scalar`] has plain loops, which all kernels must equal bit for bit.
//!
//! Kernels know slices and sizes, not tapes. If a slice is shorter than its sizes say, the
//! missing elements are left out; this is no error.

mod affine;
mod alone;
mod axis;
mod broadcast;
pub(crate) mod compensated;
mod dispatch;
mod element;
pub mod generic;
pub(crate) mod groups;
mod huge_angle;
mod lanes;
mod level;
mod map;
pub mod math;
mod matmul;
mod movement;
mod reduce;
mod running;
pub mod scalar;
mod slices;
mod softmax;
#[cfg(any(test, all(target_arch = "arm", target_abi = "eabihf")))]
mod sqrt;
mod window;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) mod x86;
mod zip;

pub use axis::Ties;
pub use broadcast::Broadcast;
pub(crate) use broadcast::{Row, Walk};
pub use element::{Acc, Identity, Map, Product, Scale, SquaredDifference};
pub(crate) use lanes::f32x4;
pub use lanes::{Bits, Lanes, Mask, f32x8};
pub use level::{Level, level};
#[cfg(feature = "std")]
pub use level::{LevelError, level_from_env, set_level};

pub(crate) use compensated::{carry, carry_all, two_sum};
pub(crate) use dispatch::{
    affine, is_short, long_linear, long_squared_distance, seldom_map, set_map, short_dot_and_sum,
    short_squared_distance, with_avx2, with_lanes, with_vectors, zip_grad_row, zip_row,
};
#[cfg(feature = "std")]
pub(crate) use lanes::sealed::Sealed as SealedLanes;
pub(crate) use movement::{Arrangement, arrange};
pub(crate) use reduce::IN_ORDER;
use reduce::{Max, Min, Sum};
pub(crate) use running::{Running, sum_in_turn};
pub(crate) use window::{Convolution, Windows, avg_pool, avg_pool_grad, max_pool, max_pool_grad};

/// `out[i] = f(x[i], …)`, or `+=`.
#[inline]
pub fn map<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32], acc: Acc) {
    dispatch::map(f, xs, out, acc);
}

/// `x[i] = f(x[i])`.
#[inline(never)]
pub fn map_in_place<F: Map<1>>(f: F, x: &mut [f32]) {
    with_lanes!(L => map::map_in_place::<L, F>(f, x), alone: alone::map_in_place(&f, x));
}

/// `x[i] = f(x[i], y[i])`.
#[inline(never)]
pub fn zip_in_place<F: Map<2>>(f: F, x: &mut [f32], y: &[f32]) {
    with_lanes!(L => map::zip_in_place::<L, F>(f, x, y), alone: alone::zip_in_place(&f, x, y));
}

/// The sum of `f(x[i], …)`, in the order of [`sum`].
#[inline]
pub fn sum_of<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> f32 {
    dispatch::reduce::<Sum, N, F>(f, xs)
}

/// The sum of all elements, `-0.0` (the identity of addition) if there are none.
///
/// Up to [`IN_ORDER`] elements are added in order. More are dealt out to
/// 32 partial sums, element `i` to number `i % 32`, which are then added as a
/// fixed tree. 32 partial sums are four vectors of eight, enough to hide the
/// latency of an addition; a target with narrower vectors, or none, computes
/// the same bits in its own way.
///
/// More than 512 elements are added in blocks of 512. Each block starts with the rounding
/// error of the total so far, so that the error of the sum is that of one block, however many
/// blocks there are. For equal numbers, the worst case, it is at most five times 2⁻²⁴ of
/// the sum. (`tests/sums.rs` has a table.)
///
/// ```
/// use baregrad::kernel;
/// assert_eq!(kernel::sum(&[1.0, 2.0, 3.0]), 6.0);
/// ```
#[inline]
pub fn sum(x: &[f32]) -> f32 {
    dispatch::sum(x)
}

/// The dot product, in the order of [`sum`].
///
/// ```
/// use baregrad::kernel;
/// assert_eq!(kernel::dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
/// ```
#[inline(never)]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    dispatch::dot(x, y)
}

/// The dot product of `x` and `g`, and the sum of `g`, both in the order of
/// [`sum`]: the gradients of the slope and the offset of an affine function of `x`, if `g` is
/// the gradient of its result.
///
/// ```
/// use baregrad::kernel;
/// assert_eq!(kernel::dot_and_sum(&[1.0, 2.0], &[3.0, 4.0]), (11.0, 7.0));
/// ```
#[inline]
pub fn dot_and_sum(x: &[f32], g: &[f32]) -> (f32, f32) {
    dispatch::dot_and_sum(x, g)
}

/// The sum of `(x[i] - y[i])²`, in the order of [`sum`].
#[inline(never)]
pub fn squared_distance(x: &[f32], y: &[f32]) -> f32 {
    dispatch::squared_distance(x, y)
}

/// The largest element, or NaN if there is a NaN; `-inf` of an empty slice.
pub fn max(x: &[f32]) -> f32 {
    dispatch::reduce::<Max, 1, _>(Identity, [x])
}

/// The smallest element, or NaN if there is a NaN; `inf` of an empty slice.
pub fn min(x: &[f32]) -> f32 {
    dispatch::reduce::<Min, 1, _>(Identity, [x])
}

/// Sums along the middle dimension of `x`, `[outer, len, inner]`, into `out`,
/// `[outer, inner]`. With `inner == 1` each row is summed in the order of
/// [`sum`]. Otherwise up to 64 terms are added in order, and more in blocks of 32, each of
/// which starts with the rounding error of the total so far. For equal numbers, the error is at
/// most nine times 2⁻²⁴ of the sum, however many terms there are.
pub fn sum_axis(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    dispatch::reduce_axis::<Sum>(x, sizes, out);
}

/// Like [`sum_axis`], but takes the largest element, or NaN if there is a NaN.
pub fn max_axis(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    dispatch::reduce_axis::<Max>(x, sizes, out);
}

/// Like [`sum_axis`], but takes the smallest element, or NaN if there is a NaN.
pub fn min_axis(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    dispatch::reduce_axis::<Min>(x, sizes, out);
}

/// `out = f(a, b)`, with both operands broadcast to one shape.
#[inline]
pub fn zip<F: Map<2>>(f: F, stretch: &Broadcast, a: &[f32], b: &[f32], out: &mut [f32]) {
    dispatch::zip(f, stretch, a, b, out);
}

/// The gradient of an operand that was broadcast: `f(g, own, other)`, summed
/// over the dimensions along which the operand was repeated. `slices` are the gradient of the
/// result, the operand and the other operand. In `stretch`, side `a` is the operand.
///
/// Neighbouring dimensions that are repeated for the same operands count as one. If the
/// operand is repeated along the innermost, each row is summed in the order of [`sum`]. The
/// rows' sums, or else the single terms, are then summed along the other dimensions in the
/// order of [`sum_axis`]. With [`Acc::Add`] the finished sum is added to `grad`.
#[inline]
pub fn zip_grad<F: Map<3>>(
    f: F,
    stretch: &Broadcast,
    slices: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
) {
    dispatch::zip_grad(f, stretch, slices, grad, acc);
}

/// `out[m, n] = a[m, k] · b[k, n]`.
///
/// Products are added in order of `k`, more than 64 in blocks as in [`sum_axis`]; with
/// `n == 1`, where both factors of a sum are contiguous, in the order of [`sum`].
pub fn matmul(a: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3]) {
    dispatch::long_linear(a, b, &[], out, [m, k, n]);
}

/// `out[k, n] = a[m, k]ᵀ · g[m, n]`, or `+=`: the gradient of the right factor of a product.
///
/// Products are added in order of `m`, more than 64 in blocks as in [`sum_axis`]; with
/// `k == n == 1` in the order of [`sum`]. With [`Acc::Add`] the finished sum is added.
#[inline]
pub fn matmul_tn(a: &[f32], g: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    dispatch::matmul_tn(a, g, out, [m, k, n], acc);
}

/// `out[m, k] = g[m, n] · b[k, n]ᵀ`, or `+=`: the gradient of the left factor of a product.
///
/// Products are added in order of `n`, more than 64 in blocks as in [`sum_axis`]; with
/// `k == 1` in the order of [`sum`]. With [`Acc::Add`] the finished sum is added.
pub fn matmul_nt(g: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    dispatch::matmul_nt(g, b, out, [m, k, n], acc);
}

/// `out[m, n] = x[m, k] · w[k, n] + b[n]`: [`matmul`], with the bias added last.
#[inline]
pub fn linear(x: &[f32], w: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3]) {
    if let (1, 1, [w], [b]) = (k, n, w, b) {
        return dispatch::affine(x, *w, *b, out);
    }
    dispatch::long_linear(x, w, b, out, [m, k, n]);
}

/// Sums the rows of `x[m, n]` into `out[n]`, in the order of [`sum_axis`]; if `n` is
/// 1, in the order of [`sum`]. With [`Acc::Add`] the finished sum is added.
#[inline]
pub fn sum_rows(x: &[f32], [m, n]: [usize; 2], out: &mut [f32], acc: Acc) {
    dispatch::sum_rows(x, [m, n], out, acc);
}

/// `out[outer, i, inner] = x[outer, inner] / n` for each `i` below `len`, or
/// `+=`: the gradient of [`sum_axis`], and of means.
#[inline]
pub fn spread(x: &[f32], n: f32, sizes: [usize; 3], out: &mut [f32], acc: Acc) {
    match (sizes, x, acc) {
        ([1, _, 1], [x], Acc::Set) => out.fill(x / n),
        _ => dispatch::long_spread(x, n, sizes, out, acc),
    }
}

/// The gradient of a maximum or minimum `y[outer, inner]` along the middle dimension of
/// `x[outer, len, inner]`: writes `g[outer, inner]` to, or adds it at, the elements that equal
/// `y`, and 0 elsewhere. `ties` chooses among several.
pub fn send_to_extremes(
    x: &[f32],
    y: &[f32],
    g: &[f32],
    sizes: [usize; 3],
    ties: Ties,
    out: &mut [f32],
    acc: Acc,
) {
    if !out.is_empty() {
        axis::send_to_extremes(x, y, g, sizes, ties, out, acc);
    }
}

/// `out[a, high, b, low, c] = x[a, low, b, high, c]`, or `+=`.
pub fn transpose(x: &[f32], sizes: [usize; 5], out: &mut [f32], acc: Acc) {
    if !out.is_empty() {
        movement::transpose(x, sizes, out, acc);
    }
}

/// Writes `x[outer, length, inner]` over the range `start..start + length` of the
/// middle dimension of `out[outer, len, inner]`, or adds it.
pub fn paste(x: &[f32], sizes: [usize; 3], range: [usize; 2], out: &mut [f32], acc: Acc) {
    if out.is_empty() {
        return;
    }
    with_lanes!(L => movement::paste::<L>(x, sizes, range, out, acc));
}

/// Writes the range `start..start + length` of the middle dimension of `x[outer, len,
/// inner]` to `out[outer, length, inner]`, or adds it.
pub fn cut(x: &[f32], sizes: [usize; 3], range: [usize; 2], out: &mut [f32], acc: Acc) {
    if out.is_empty() {
        return;
    }
    with_lanes!(L => movement::cut::<L>(x, sizes, range, out, acc));
}

/// Softmax along the middle dimension of `x[outer, len, inner]`, or with `LOG` its logarithm;
/// sums are in the order of [`sum_axis`].
pub fn softmax<const LOG: bool>(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    dispatch::softmax::<LOG>(x, sizes, out);
}

/// The gradient of [`softmax`], from its result `y` and the gradient `g` of that.
pub fn softmax_grad<const LOG: bool>(
    y: &[f32],
    g: &[f32],
    sizes: [usize; 3],
    out: &mut [f32],
    acc: Acc,
) {
    if out.is_empty() {
        return;
    }
    match sizes {
        [outer, len, 1] => {
            let sizes = [outer, len];
            with_lanes!(L => softmax::softmax_grad_of_rows::<L, LOG>(y, g, sizes, out, acc));
        }
        _ => softmax::softmax_grad_across(LOG, y, g, sizes, out, acc),
    }
}
