//! Numeric kernels over slices: the part that is fast.
//!
//! Each kernel is written once, in [`generic`], over the trait [`Lanes`], and
//! entered here once per slice with the best lane type the CPU has, or the one
//! asked for (see [`Level`]). Which one that is changes speed, never bits:
//!
//! - an element-wise result depends on its own elements only, not on where in
//!   the slice they stand;
//! - the order of every sum is a function of the shapes alone (see [`sum`]).
//!
//! [`scalar`] holds the plain loops all of this must equal bit for bit.
//!
//! Kernels know slices and sizes, nothing of tapes. A slice shorter than the
//! sizes say is not an error here: what is missing is left out.

mod broadcast;
pub(crate) mod compensated;
pub mod generic;
mod huge_angle;
mod lanes;
mod level;
mod line;
pub mod math;
mod matmul;
mod running;
pub mod scalar;
#[cfg(any(test, all(target_arch = "arm", target_abi = "eabihf")))]
mod sqrt;
mod tiles;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) mod x86;

pub use broadcast::Broadcast;
pub(crate) use broadcast::{Row, Walk};
pub(crate) use lanes::f32x4;
pub use lanes::{Bits, Lanes, Mask, f32x8};
pub use level::{Level, level};
#[cfg(feature = "std")]
pub use level::{LevelError, level_from_env, set_level};

pub(crate) use compensated::{carry, carry_all};
pub(crate) use generic::IN_ORDER;
use generic::{Max, Min, PARTIALS, Reduce, Sum, alone};
pub(crate) use level::{with_avx2, with_lanes, with_vectors};
pub(crate) use running::{Running, sum_in_turn};

/// Whether a kernel overwrites its destination or adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acc {
    /// Overwrite. What the destination held is not read.
    Set,
    /// Add to what is there.
    Add,
}

impl Acc {
    /// Overwrites one number, or adds to it.
    #[inline(always)]
    pub fn put(self, to: &mut f32, x: f32) {
        *to = match self {
            Acc::Set => x,
            Acc::Add => *to + x,
        };
    }
}

/// An element-wise function of `N` numbers.
///
/// A trait and not a closure because `apply` is compiled for every lane type. It
/// should be `#[inline(always)]`: what is called from a loop, instead of being
/// part of it, costs a call for each vector and each operation on it.
///
/// One implementation serves whole kernels:
///
/// ```
/// use baregrad::kernel::{self, Acc, Lanes, Map};
///
/// /// `min(x, y)²`
/// struct SmallerSquared;
/// impl Map<2> for SmallerSquared {
///     #[inline(always)]
///     fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
///         let smaller = L::select(x.lt(y), x, y);
///         smaller * smaller
///     }
/// }
///
/// let mut out = [0.0; 3];
/// kernel::map(SmallerSquared, [&[1.0, 2.0, 3.0], &[2.0, 1.0, 5.0]], &mut out, Acc::Set);
/// assert_eq!(out, [1.0, 1.0, 9.0]);
/// assert_eq!(kernel::sum_of(SmallerSquared, [&[1.0, 2.0, 3.0], &[2.0, 1.0, 5.0]]), 11.0);
/// ```
pub trait Map<const N: usize> {
    /// Slices up to this long are done right where the kernel is called, with what
    /// every CPU of the target has, whatever the [`Level`]. 0 is better for
    /// functions that take many operations.
    const SHORT: usize = 16;

    /// The function, in every lane.
    fn apply<L: Lanes>(&self, x: &[L; N]) -> L;
}

impl<const N: usize, F: Map<N>> Map<N> for &F {
    const SHORT: usize = F::SHORT;
    #[inline(always)]
    fn apply<L: Lanes>(&self, x: &[L; N]) -> L {
        (*self).apply(x)
    }
}

/// `out[i] = f(x[i], …)`, or `+=`.
#[inline]
pub fn map<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32], acc: Acc) {
    if const { has_short_way::<N, F>() } && takes_short_way::<N, F>(out.len()) {
        generic::short_map(f, xs, out, acc);
    } else {
        long_map(f, xs, out, acc);
    }
}

/// [`map`] that overwrites, of which alone code is made.
#[inline]
pub(crate) fn set_map<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32]) {
    if const { has_short_way::<N, F>() } && takes_short_way::<N, F>(out.len()) {
        generic::short_map_as::<N, F, false>(f, xs, out);
    } else {
        long_set_map(f, xs, out);
    }
}

#[inline(never)]
fn long_set_map<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32]) {
    if const { has_short_way::<N, F>() } {
        return with_avx2!(level(), L => generic::map_as::<L, N, F, false>(f, xs, out), otherwise: alone::map(&f, xs, out, Acc::Set));
    }
    with_lanes!(L => generic::map_as::<L, N, F, false>(f, xs, out), alone: alone::map(&f, xs, out, Acc::Set));
}

// The long way out is not inlined: with it, short slices would pay for the
// registers and the stack that vectors need. Functions with a short way need it for AVX2
// alone. They come here for two reasons more, which need not be fast: one number at a
// time, which only tests ask for, and the first long slice, before the level is known.
#[inline(never)]
fn long_map<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N], out: &mut [f32], acc: Acc) {
    if const { has_short_way::<N, F>() } {
        return with_avx2!(level(), L => generic::map::<L, N, F>(f, xs, out, acc), otherwise: alone::map(&f, xs, out, acc));
    }
    with_lanes!(L => generic::map::<L, N, F>(f, xs, out, acc), alone: alone::map(&f, xs, out, acc));
}

/// [`map`] that is seldom run: without vectors it is one loop, to overwrite or to add.
#[inline]
pub(crate) fn seldom_map<const N: usize, F: Map<N>>(
    f: F,
    xs: [&[f32]; N],
    out: &mut [f32],
    acc: Acc,
) {
    if const { Level::VECTORS } {
        map(f, xs, out, acc);
    } else {
        generic::map_in_one_loop(f, xs, out, acc);
    }
}

/// `x[i] = f(x[i])`.
#[inline(never)]
pub fn map_in_place<F: Map<1>>(f: F, x: &mut [f32]) {
    with_lanes!(L => generic::map_in_place::<L, F>(f, x), alone: alone::map_in_place(&f, x));
}

/// `x[i] = f(x[i], y[i])`.
#[inline(never)]
pub fn zip_in_place<F: Map<2>>(f: F, x: &mut [f32], y: &[f32]) {
    with_lanes!(L => generic::zip_in_place::<L, F>(f, x, y), alone: alone::zip_in_place(&f, x, y));
}

/// The sum of `f(x[i], …)`, in the order of [`sum`].
#[inline]
pub fn sum_of<const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> f32 {
    reduce::<Sum, N, F>(f, xs)
}

#[inline]
fn reduce<R: Reduce, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> f32 {
    if generic::shortest(&xs) <= generic::IN_ORDER {
        generic::in_order::<R, N, F>(f, xs)
    } else {
        long_reduce::<R, N, F>(f, xs)
    }
}

#[inline(never)]
fn long_reduce<R: Reduce, const N: usize, F: Map<N>>(f: F, xs: [&[f32]; N]) -> f32 {
    with_lanes!(L => generic::long_reduce::<L, R, N, F>(f, xs), alone: alone::reduce::<R, N>(&f, xs))
}

/// The sum of all elements, `-0.0` (the identity of addition) if there are none.
///
/// Up to [`generic::IN_ORDER`] elements are added in order. More are dealt out to
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
    if Level::VECTORS || generic::shortest(&[x, y]) <= IN_ORDER {
        sum_of(Product, [x, y])
    } else {
        long_sum(Term::Product, x, y)
    }
}

/// The dot product of `x` and `g`, and the sum of `g`, both in the order of
/// [`sum`]: what `g` says of the slope and the offset of a straight line.
///
/// ```
/// use baregrad::kernel;
/// assert_eq!(kernel::dot_and_sum(&[1.0, 2.0], &[3.0, 4.0]), (11.0, 7.0));
/// ```
#[inline]
pub fn dot_and_sum(x: &[f32], g: &[f32]) -> (f32, f32) {
    if generic::shortest(&[x, g]) <= IN_ORDER {
        short_dot_and_sum(x, g)
    } else {
        long_dot_and_sum(x, g)
    }
}

/// [`dot_and_sum`] of up to [`IN_ORDER`] elements.
#[inline(always)]
pub(crate) fn short_dot_and_sum(x: &[f32], g: &[f32]) -> (f32, f32) {
    line::in_order(x, g)
}

#[inline(never)]
fn long_dot_and_sum(x: &[f32], g: &[f32]) -> (f32, f32) {
    with_lanes!(L => line::dot_and_sum::<L>(x, g))
}

/// The sum of `(x[i] - y[i])²`, in the order of [`sum`].
#[inline(never)]
pub fn squared_distance(x: &[f32], y: &[f32]) -> f32 {
    if generic::shortest(&[x, y]) <= IN_ORDER {
        short_squared_distance(x, y)
    } else {
        long_squared_distance(x, y)
    }
}

/// [`squared_distance`] of up to [`IN_ORDER`] elements.
#[inline(always)]
pub(crate) fn short_squared_distance(x: &[f32], y: &[f32]) -> f32 {
    generic::in_order::<Sum, 2, _>(SquaredDifference, [x, y])
}

/// [`squared_distance`] of more.
#[inline]
pub(crate) fn long_squared_distance(x: &[f32], y: &[f32]) -> f32 {
    if Level::VECTORS {
        long_reduce::<Sum, 2, _>(SquaredDifference, [x, y])
    } else {
        long_sum(Term::SquaredDifference, x, y)
    }
}

/// The terms that [`long_sum`] adds.
#[derive(Clone, Copy)]
enum Term {
    X,
    Product,
    SquaredDifference,
}

/// Long sums without vectors. All but the innermost loops are there once, which saves 60
/// bytes of flash.
#[inline(never)]
fn long_sum(term: Term, mut x: &[f32], mut y: &[f32]) -> f32 {
    let (mut total, mut part) = (Sum::IDENTITY, Sum::IDENTITY);
    loop {
        let mut partial = [Sum::IDENTITY; PARTIALS];
        let mut left = compensated::BLOCK;
        while left > 0 && !x.is_empty() && !y.is_empty() {
            for (sum, (x, y)) in partial.iter_mut().zip(x.iter().zip(y)) {
                *sum += match term {
                    Term::X => *x,
                    Term::Product => Product.apply(&[*x, *y]),
                    Term::SquaredDifference => SquaredDifference.apply(&[*x, *y]),
                };
            }
            x = x.get(PARTIALS..).unwrap_or_default();
            y = y.get(PARTIALS..).unwrap_or_default();
            left -= PARTIALS;
        }
        part += generic::tree_of::<Sum>(&mut partial);
        (total, part) = compensated::carry_one(total, part);
        if x.is_empty() || y.is_empty() {
            // The total has taken all that it can.
            return total;
        }
    }
}

/// The largest element, NaN if there is one; `-inf` if there is none.
pub fn max(x: &[f32]) -> f32 {
    reduce::<Max, 1, _>(Identity, [x])
}

/// The smallest element, NaN if there is one; `inf` if there is none.
pub fn min(x: &[f32]) -> f32 {
    reduce::<Min, 1, _>(Identity, [x])
}

/// Reduces the middle dimension of `x`, `[outer, len, inner]`, to `out`,
/// `[outer, inner]`. With `inner == 1` each row is summed in the order of
/// [`sum`]. Otherwise up to 64 terms are added in order, and more in blocks of 32, each of
/// which starts with what rounding took from the total: an error of nine times 2⁻²⁴ at
/// most, however many terms there are.
pub fn sum_axis(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    reduce_axis::<Sum>(x, sizes, out);
}

/// Like [`sum_axis`], with the largest element; NaN if there is one.
pub fn max_axis(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    reduce_axis::<Max>(x, sizes, out);
}

/// Like [`sum_axis`], with the smallest element; NaN if there is one.
pub fn min_axis(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    reduce_axis::<Min>(x, sizes, out);
}

#[inline]
fn reduce_axis<R: Reduce>(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    match (sizes, out) {
        ([1, _, 1], [out]) => *out = reduce::<R, 1, _>(Identity, [x]),
        (_, out) => long_reduce_axis::<R>(x, sizes, out),
    }
}

#[inline(never)]
fn long_reduce_axis<R: Reduce>(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    if out.is_empty() {
        return; // whatever the sizes are, here and below
    }
    if const { R::ROUNDS && Level::VECTORS } {
        return sum_slabs(x, sizes, out, Acc::Set);
    }
    with_lanes!(L => generic::reduce_axis::<L, R>(x, sizes, out));
}

/// [`sum_axis`], or that added to what is there.
#[inline(never)]
fn sum_slabs(x: &[f32], sizes: [usize; 3], out: &mut [f32], acc: Acc) {
    with_lanes!(L => generic::sum_axis::<L>(x, sizes, out, acc));
}

/// `out = f(a, b)` over operands that are stretched to one shape.
#[inline]
pub fn zip<F: Map<2>>(f: F, stretch: &Broadcast, a: &[f32], b: &[f32], out: &mut [f32]) {
    if is_short::<2, F>(stretch.inner()) || level::is_scalar() {
        generic::zip::<f32, F>(f, stretch, a, b, out);
    } else {
        long_zip(f, stretch, a, b, out);
    }
}

#[inline(never)]
fn long_zip<F: Map<2>>(f: F, stretch: &Broadcast, a: &[f32], b: &[f32], out: &mut [f32]) {
    with_vectors!(level(), L => generic::zip::<L, F>(f, stretch, a, b, out));
}

/// [`zip`] of a single row, for few elements or without vectors.
#[inline(always)]
pub(crate) fn zip_row<F: Map<2>>(f: F, row: Row, a: &[f32], b: &[f32], out: &mut [f32]) {
    match row {
        Row::Both => generic::short_map_as::<2, _, false>(&f, [a, b], out),
        Row::OnlyA => {
            let f = generic::Last(&f, generic::one(b, 0));
            generic::short_map_as::<1, _, false>(f, [a], out);
        }
        Row::OnlyB => {
            let f = generic::LastButOne(&f, generic::one(a, 0));
            generic::short_map_as::<1, _, false>(f, [b], out);
        }
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
    if is_short::<3, F>(stretch.inner()) || stretch.inner() <= IN_ORDER || level::is_scalar() {
        generic::zip_grad::<f32, F>(f, stretch, slices, grad, acc);
    } else {
        long_zip_grad(f, stretch, slices, grad, acc);
    }
}

#[inline(never)]
fn long_zip_grad<F: Map<3>>(
    f: F,
    stretch: &Broadcast,
    slices: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
) {
    if !stretch.has_inner().0 {
        return generic::zip_grad_of_rows(f, stretch, slices, grad, acc);
    }
    with_vectors!(level(), L => generic::zip_grad_in_strips::<L, F>(f, stretch, slices, grad, acc));
}

/// [`zip_grad`] of a single row, for few elements or without vectors.
#[inline(always)]
pub(crate) fn zip_grad_row<F: Map<3>>(
    f: F,
    row: Row,
    [g, own, other]: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
) {
    match row {
        Row::Both => generic::short_map(&f, [g, own, other], grad, acc),
        Row::OnlyA => {
            let f = generic::Last(&f, generic::one(other, 0));
            generic::short_map(f, [g, own], grad, acc);
        }
        Row::OnlyB => {
            let f = generic::LastButOne(&f, generic::one(own, 0));
            add_up(sum_of(f, [g, other]), grad, acc);
        }
    }
}

/// Whether there are slices that are done right where the kernel is called.
const fn has_short_way<const N: usize, F: Map<N>>() -> bool {
    !Level::VECTORS || F::SHORT > 0
}

/// Whether a slice of this length is done there: all are, unless there are wider vectors.
#[inline(always)]
fn takes_short_way<const N: usize, F: Map<N>>(len: usize) -> bool {
    is_short::<N, F>(len) || level::is_baseline()
}

/// Whether a single row of this length is best done one element at a time.
#[inline(always)]
pub(crate) const fn is_short<const N: usize, F: Map<N>>(len: usize) -> bool {
    !Level::VECTORS || len <= F::SHORT
}

/// `out[m, n] = a[m, k] · b[k, n]`.
///
/// Products are added in order of `k`, more than 64 in blocks as by [`sum_axis`]; with
/// `n == 1`, where both factors of a sum are contiguous, in the order of [`sum`].
pub fn matmul(a: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3]) {
    long_linear(a, b, &[], out, [m, k, n]);
}

/// A matrix product, with the lanes there are.
#[inline(never)]
fn product(job: &matmul::Job<'_>, out: &mut [f32]) {
    with_lanes!(L => matmul::compute::<L>(job, out));
}

/// `out[k, n] = a[m, k]ᵀ · g[m, n]`, or `+=`: the gradient of a right factor.
///
/// Products are added in order of `m`, more than 64 in blocks as by [`sum_axis`]; with
/// `k == n == 1` in the order of [`sum`]. With [`Acc::Add`] the finished sum is added.
#[inline]
pub fn matmul_tn(a: &[f32], g: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    if Level::VECTORS && k == 1 && n == 1 {
        return add_up(sum_of(Product, [a, g]), out, acc);
    }
    long_matmul_tn(a, g, out, [m, k, n], acc);
}

#[inline]
fn long_matmul_tn(a: &[f32], g: &[f32], out: &mut [f32], sizes: [usize; 3], acc: Acc) {
    if const { Level::VECTORS } {
        product(&matmul::tn_job(a, g, sizes, acc), out);
    } else {
        generic::matmul_tn::<f32>(a, g, out, sizes, acc);
    }
}

/// `out[m, k] = g[m, n] · b[k, n]ᵀ`, or `+=`: the gradient of a left factor.
///
/// Products are added in order of `n`, more than 64 in blocks as by [`sum_axis`]; with
/// `k == 1` in the order of [`sum`]. With [`Acc::Add`] the finished sum is added.
pub fn matmul_nt(g: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3], acc: Acc) {
    if const { Level::VECTORS } {
        product(&matmul::nt_job(g, b, [m, k, n], acc), out);
    } else {
        generic::matmul_nt::<f32>(g, b, out, [m, k, n], acc);
    }
}

/// `out[m, n] = x[m, k] · w[k, n] + b[n]`: [`matmul`], and the bias added last.
#[inline]
pub fn linear(x: &[f32], w: &[f32], b: &[f32], out: &mut [f32], [m, k, n]: [usize; 3]) {
    if let (1, 1, [w], [b]) = (k, n, w, b) {
        return line(x, *w, *b, out);
    }
    long_linear(x, w, b, out, [m, k, n]);
}

/// [`linear`] with one input and one output.
#[inline(always)]
pub(crate) fn line(x: &[f32], w: f32, b: f32, out: &mut [f32]) {
    set_map(Line(w, b), [x], out);
}

/// [`linear`] with more than one input or output.
#[inline]
pub(crate) fn long_linear(x: &[f32], w: &[f32], b: &[f32], out: &mut [f32], sizes: [usize; 3]) {
    if const { Level::VECTORS } {
        product(&matmul::linear_job(x, w, b, sizes), out);
    } else {
        generic::linear::<f32>(x, w, b, out, sizes);
    }
}

/// `out[n]` is the sum of the rows of `x[m, n]`, in the order of [`sum_axis`]; if `n` is
/// 1, in that of [`sum`]. With [`Acc::Add`] the finished sum is added at once.
#[inline]
pub fn sum_rows(x: &[f32], [m, n]: [usize; 2], out: &mut [f32], acc: Acc) {
    if Level::VECTORS && n == 1 {
        return add_up(sum(x), out, acc);
    }
    long_sum_rows(x, [m, n], out, acc);
}

#[inline(never)]
fn long_sum_rows(x: &[f32], [m, n]: [usize; 2], out: &mut [f32], acc: Acc) {
    if const { Level::VECTORS } {
        return sum_slabs(x, [1, m, n], out, acc);
    }
    let x = x.get(..m * n).unwrap_or_default();
    if n == 1 && m > IN_ORDER {
        return add_up(long_sum(Term::X, x, x), out, acc);
    }
    tiles::sum_rows(x, [m, n], out, acc);
}

/// `out[outer, i, inner] = x[outer, inner] / n` for each `i` below `len`, or
/// `+=`: the gradient of [`sum_axis`], and of means.
#[inline]
pub fn spread(x: &[f32], n: f32, sizes: [usize; 3], out: &mut [f32], acc: Acc) {
    match (sizes, x, acc) {
        ([1, _, 1], [x], Acc::Set) => out.fill(x / n),
        _ => long_spread(x, n, sizes, out, acc),
    }
}

#[inline(never)]
fn long_spread(x: &[f32], n: f32, sizes: [usize; 3], out: &mut [f32], acc: Acc) {
    if out.is_empty() {
        return;
    }
    with_lanes!(L => generic::spread::<L>(x, n, sizes, out, acc));
}

/// Chooses which elements get the gradient of a maximum or minimum, if several equal it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// The first of them all of it, as with `torch.max(x, axis)`. The first NaN, if
    /// there are any.
    First,
    /// Each the same part, as with `torch.max(x)`. All NaN, if there are any.
    Even,
    /// Each the same part, as with `torch.amax(x, axis)`, which multiplies by 1 or 0
    /// and divides by the number of ties: the others get 0 with the gradient's sign,
    /// or NaN if that is infinite; and a row with NaN, which equals nothing, is NaN
    /// throughout.
    Scaled,
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
        generic::send_to_extremes(x, y, g, sizes, ties, out, acc);
    }
}

/// `out[a, high, b, low, c] = x[a, low, b, high, c]`, or `+=`.
pub fn transpose(x: &[f32], sizes: [usize; 5], out: &mut [f32], acc: Acc) {
    if !out.is_empty() {
        generic::transpose(x, sizes, out, acc);
    }
}

/// Writes `x[outer, length, inner]` over the range `start..start + length` of the
/// middle dimension of `out[outer, len, inner]`, or adds it.
pub fn paste(x: &[f32], sizes: [usize; 3], range: [usize; 2], out: &mut [f32], acc: Acc) {
    if out.is_empty() {
        return;
    }
    with_lanes!(L => generic::paste::<L>(x, sizes, range, out, acc));
}

/// The range `start..start + length` of the middle dimension of `x[outer, len,
/// inner]`.
pub fn cut(x: &[f32], sizes: [usize; 3], range: [usize; 2], out: &mut [f32], acc: Acc) {
    if out.is_empty() {
        return;
    }
    with_lanes!(L => generic::cut::<L>(x, sizes, range, out, acc));
}

/// Softmax of the middle dimension of `x[outer, len, inner]`, or its logarithm; sums are
/// in the order of [`sum_axis`].
pub fn softmax<const LOG: bool>(x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    if const { Level::VECTORS } {
        return long_softmax(LOG, x, sizes, out);
    }
    generic::softmax::<f32, LOG>(x, sizes, out);
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
            with_lanes!(L => generic::softmax_grad_of_rows::<L, LOG>(y, g, sizes, out, acc));
        }
        _ => generic::softmax_grad_across(LOG, y, g, sizes, out, acc),
    }
}

#[inline(never)]
fn long_softmax(log: bool, x: &[f32], sizes: [usize; 3], out: &mut [f32]) {
    match sizes {
        [outer, len, 1] => {
            let sizes = [outer, len];
            with_lanes!(L => generic::softmax_of_rows::<L>(log, x, sizes, out));
        }
        _ => generic::softmax_across(log, x, sizes, out),
    }
}

#[inline(always)]
fn add_up(sum: f32, out: &mut [f32], acc: Acc) {
    if let Some(to) = out.first_mut() {
        acc.put(to, sum);
    }
}

/// `x`.
#[derive(Clone, Copy, Debug)]
pub struct Identity;
impl Map<1> for Identity {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        x
    }
}

/// `x * y`.
#[derive(Clone, Copy, Debug)]
pub struct Product;
impl Map<2> for Product {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        x * y
    }
}

/// `(x - y)²`.
#[derive(Clone, Copy, Debug)]
pub struct SquaredDifference;
impl Map<2> for SquaredDifference {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        let d = x - y;
        d * d
    }
}

/// `x * w + b`.
struct Line(f32, f32);
impl Map<1> for Line {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        x * L::splat(self.0) + L::splat(self.1)
    }
}

/// `s * x`.
#[derive(Clone, Copy, Debug)]
pub struct Scale(pub f32);
impl Map<1> for Scale {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        L::splat(self.0) * x
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::random::{fill_normal, seeded};

    /// Where there are vectors, nothing else runs it.
    #[test]
    fn long_sums_without_vectors_have_the_same_bits() {
        let (mut x, mut y) = ([0.0; 200], [0.0; 200]);
        let mut rng = seeded(1);
        fill_normal(&mut rng, 0.1, 1.0, &mut x).unwrap();
        fill_normal(&mut rng, 0.0, 1.0, &mut y).unwrap();
        for n in IN_ORDER + 1..=x.len() {
            let (x, y) = (&x[..n], &y[200 - n..]);
            for (term, expected) in [
                (Term::X, sum(x)),
                (Term::Product, dot(x, y)),
                (Term::SquaredDifference, squared_distance(x, y)),
            ] {
                assert_eq!(long_sum(term, x, y).to_bits(), expected.to_bits(), "{n}");
            }
            // As far as the shorter goes.
            let same = |x: &[f32], y: &[f32]| long_sum(Term::Product, x, y).to_bits();
            let short = &y[..n - 1];
            assert_eq!(same(x, short), same(&x[..n - 1], short));
            assert_eq!(same(short, x), same(x, short));
        }
    }
}
