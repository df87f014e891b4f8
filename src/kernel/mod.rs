//! Numeric kernels over slices: the part that is fast.
//!
//! Each kernel is written once, over the trait [`Lanes`] (see [`generic`]), and
//! entered here once per slice with the best lane type the CPU has, or the one
//! asked for (see [`Level`]; `dispatch.rs` decides). Which one that is changes speed, never bits:
//!
//! - an element-wise result depends on its own elements only, not on where in
//!   the slice they stand;
//! - the order of every sum is a function of the shapes alone (see [`sum`]).
//!
//! [`scalar`] holds the plain loops all of this must equal bit for bit.
//!
//! Kernels know slices and sizes, nothing of tapes. A slice shorter than the
//! sizes say is not an error here: what is missing is left out.

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
use reduce::{Max, Min, Sum, Term, long_sum};
pub(crate) use running::{Running, sum_in_turn};
pub(crate) use window::{Convolution, Windows, avg_pool, avg_pool_grad, max_pool, max_pool_grad};

/// `out[i] = f(x[i], …)`, or `+=`.
#[inline]
pub fn map<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32], acc: Acc) {
    if const { dispatch::has_short_way::<N, F>() } && dispatch::takes_short_way::<N, F>(out.len()) {
        map::short_map(f, xs, out, acc);
    } else {
        dispatch::long_map(f, xs, out, acc);
    }
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
/// fixed tree: 32 partial sums are four vectors of eight, enough to hide the
/// latency of an addition, and a target with narrower registers, or none, walks
/// them in whatever way gives the same bits.
///
/// More than 512 elements go so in blocks of 512, and each block starts with what rounding
/// took from the total of those before: the error stays that of one block, however many
/// there are. Of equal numbers, the worst there are, a sum is off by five times 2⁻²⁴ of
/// itself at most. (`tests/sums.rs` has a table.)
///
/// ```
/// use baregrad::kernel;
/// assert_eq!(kernel::sum(&[1.0, 2.0, 3.0]), 6.0);
/// ```
#[inline]
pub fn sum(x: &[f32]) -> f32 {
    if Level::VECTORS || x.len() <= IN_ORDER {
        sum_of(Identity, [x])
    } else {
        long_sum(Term::X, x, x)
    }
}

/// The dot product, in the order of [`sum`].
///
/// ```
/// use baregrad::kernel;
/// assert_eq!(kernel::dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
/// ```
#[inline(never)]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    if Level::VECTORS || slices::shortest(&[x, y]) <= IN_ORDER {
        sum_of(Product, [x, y])
    } else {
        long_sum(Term::Product, x, y)
    }
}

/// The dot product of `x` and `g`, and the sum of `g`, both in the order of
/// [`sum`]: what `g` says of the slope and the offset of an affine function.
///
/// ```
/// use baregrad::kernel;
/// assert_eq!(kernel::dot_and_sum(&[1.0, 2.0], &[3.0, 4.0]), (11.0, 7.0));
/// ```
#[inline]
pub fn dot_and_sum(x: &[f32], g: &[f32]) -> (f32, f32) {
    if slices::shortest(&[x, g]) <= IN_ORDER {
        dispatch::short_dot_and_sum(x, g)
    } else {
        dispatch::long_dot_and_sum(x, g)
    }
}

/// The sum of `(x[i] - y[i])²`, in the order of [`sum`].
#[inline(never)]
pub fn squared_distance(x: &[f32], y: &[f32]) -> f32 {
    if slices::shortest(&[x, y]) <= IN_ORDER {
        dispatch::short_squared_distance(x, y)
    } else {
        dispatch::long_squared_distance(x, y)
    }
}

/// The largest element, NaN if there is one; `-inf` if there is none.
pub fn max(x: &[f32]) -> f32 {
    dispatch::reduce::<Max, 1, _>(Identity, [x])
}

/// The smallest element, NaN if there is one; `inf` if there is none.
pub fn min(x: &[f32]) -> f32 {
    dispatch::reduce::<Min, 1, _>(Identity, [x])
}

/// Reduces the middle dimension of `x`, `[outer, len, inner]`, to `out`,
/// `[outer, inner]`. With `inner == 1` each row is summed in the order of
/// [`sum`]. Otherwise up to 64 terms are added in order, and more in blocks of 32, each of
/// which starts with what rounding took from the total: an error of nine times 2⁻²⁴ at
/// most, however many terms there are.
pub fn sum_axis(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    dispatch::reduce_axis::<Sum>(x, sizes, out);
}

/// Like [`sum_axis`], with the largest element; NaN if there is one.
pub fn max_axis(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    dispatch::reduce_axis::<Max>(x, sizes, out);
}

/// Like [`sum_axis`], with the smallest element; NaN if there is one.
pub fn min_axis(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    dispatch::reduce_axis::<Min>(x, sizes, out);
}

/// `out = f(a, b)` over operands that are stretched to one shape.
#[inline]
pub fn zip<F: Map<2>>(f: F, stretch: &Broadcast, a: &[f32], b: &[f32], out: &mut [f32]) {
    if dispatch::is_short::<2, F>(stretch.inner()) || level::is_scalar() {
        zip::zip::<f32, F>(f, stretch, a, b, out);
    } else {
        dispatch::long_zip(f, stretch, a, b, out);
    }
}

/// The gradient of an operand that was stretched: `f(g, own, other)`, summed
/// over the dimensions along which the operand was repeated. `stretch` is seen
/// from the operand: `a` is its own side.
///
/// Neighbouring dimensions that both operands treat alike count as one. The
/// innermost, if repeated, is summed in the order of [`sum`], and what that gives, or the
/// single terms, along the others in the order of [`sum_axis`]. With [`Acc::Add`] the
/// finished sum is added at once.
#[inline]
pub fn zip_grad<F: Map<3>>(
    f: F,
    stretch: &Broadcast,
    slices: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
) {
    if dispatch::is_short::<3, F>(stretch.inner())
        || stretch.inner() <= IN_ORDER
        || level::is_scalar()
    {
        zip::zip_grad::<f32, F>(f, stretch, slices, grad, acc);
    } else {
        dispatch::long_zip_grad(f, stretch, slices, grad, acc);
    }
}

/// `out[m, n] = a[m, k] · b[k, n]`.
///
/// Products are added in order of `k`, more than 64 in blocks as by [`sum_axis`]; with
/// `n == 1`, where both factors of a sum are contiguous, in the order of [`sum`].
pub fn matmul(a: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3]) {
    dispatch::long_linear(a, b, &[], out, [m, k, n]);
}

/// `out[k, n] = a[m, k]ᵀ · g[m, n]`, or `+=`: the gradient of a right factor.
///
/// Products are added in order of `m`, more than 64 in blocks as by [`sum_axis`]; with
/// `k == n == 1` in the order of [`sum`]. With [`Acc::Add`] the finished sum is added.
#[inline]
pub fn matmul_tn(a: &[f32], g: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    if Level::VECTORS && k == 1 && n == 1 {
        return dispatch::add_up(sum_of(Product, [a, g]), out, acc);
    }
    dispatch::long_matmul_tn(a, g, out, [m, k, n], acc);
}

/// `out[m, k] = g[m, n] · b[k, n]ᵀ`, or `+=`: the gradient of a left factor.
///
/// Products are added in order of `n`, more than 64 in blocks as by [`sum_axis`]; with
/// `k == 1` in the order of [`sum`]. With [`Acc::Add`] the finished sum is added.
pub fn matmul_nt(g: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    if const { Level::VECTORS } {
        dispatch::product(&matmul::nt_job(g, b, [m, k, n], acc), out);
    } else {
        matmul::matmul_nt::<f32>(g, b, out, [m, k, n], acc);
    }
}

/// `out[m, n] = x[m, k] · w[k, n] + b[n]`: [`matmul`], and the bias added last.
#[inline]
pub fn linear(x: &[f32], w: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3]) {
    if let (1, 1, [w], [b]) = (k, n, w, b) {
        return dispatch::affine(x, *w, *b, out);
    }
    dispatch::long_linear(x, w, b, out, [m, k, n]);
}

/// `out[n]` is the sum of the rows of `x[m, n]`, in the order of [`sum_axis`]; if `n` is
/// 1, in that of [`sum`]. With [`Acc::Add`] the finished sum is added at once.
#[inline]
pub fn sum_rows(x: &[f32], [m, n]: [usize; 2], out: &mut [f32], acc: Acc) {
    if Level::VECTORS && n == 1 {
        return dispatch::add_up(sum(x), out, acc);
    }
    dispatch::long_sum_rows(x, [m, n], out, acc);
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

/// Sends `g[outer, inner]` to where `x[outer, i, inner]` equals `y[outer, inner]`, and
/// 0 elsewhere, or adds it: the gradient of a maximum or minimum.
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

/// The range `start..start + length` of the middle dimension of `x[outer, len,
/// inner]`.
pub fn cut(x: &[f32], sizes: [usize; 3], range: [usize; 2], out: &mut [f32], acc: Acc) {
    if out.is_empty() {
        return;
    }
    with_lanes!(L => movement::cut::<L>(x, sizes, range, out, acc));
}

/// Softmax of the middle dimension of `x[outer, len, inner]`, or its logarithm; sums are
/// in the order of [`sum_axis`].
pub fn softmax<const LOG: bool>(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    if const { Level::VECTORS } {
        return dispatch::long_softmax(LOG, x, sizes, out);
    }
    softmax::softmax::<f32, LOG>(x, sizes, out);
}

/// The gradient of [`softmax`], from its result `y`.
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
