//! Elementary functions over lanes.
//!
//! Each function is one algorithm without branches on the data, made of the
//! operations of [`Lanes`]: an element's result is the same bits for one lane
//! and for eight, whatever its neighbours, in debug and release, with and
//! without AVX or FMA. (One branch remains: [`sin`], [`cos`] and [`tan`] reduce angles
//! beyond 8192 one lane at a time, if there are any.) `tests/ulp.rs` checks
//! this and the table below.
//!
//! # Errors
//!
//! The largest difference from the true result over **every** `f32` between
//! the bounds, in units in the last place of the result (0.5 is the best a
//! function can do). Subnormal results are included; results that overflow
//! count as 2^128.
//!
//! | function | from | to | max ULP | at |
//! | --- | --- | --- | --- | --- |
//! | [`exp`] | -infinity | infinity | 0.99 | -5.85337 |
//! | [`exp_m1`] | -infinity | infinity | 1.71 | 0.394222 |
//! | [`ln`] | 0 | infinity | 0.86 | 0.698935 |
//! | [`ln_1p`] | -1 | infinity | 0.95 | 0.281590 |
//! | [`log2`] | 0 | infinity | 0.90 | 0.699818 |
//! | [`log10`] | 0 | infinity | 0.86 | 0.664740 |
//! | [`tanh`] | -infinity | infinity | 1.99 | 0.519564 |
//! | [`softplus`] | -infinity | infinity | 1.71 | -0.88005 |
//! | [`sin`] | -8192 | 8192 | 2.08 | 20.3424 |
//! | [`sin`] | 8192 | max | 2.09 | 1.05927e+23 |
//! | [`cos`] | -8192 | 8192 | 2.06 | 15.63 |
//! | [`cos`] | 8192 | max | 2.09 | 1.9186e+25 |
//! | [`tan`] | -8192 | 8192 | 2.45 | sampled: 2.40 at -45.8043, of every 37th float |
//! | [`tan`] | 8192 | max | 2.45 | sampled: 2.43 at 1.54779e+29, of every 37th float |
//! | [`erf`] | -infinity | infinity | 2.11 | 0.225267 |
//! | [`asin`] | -1 | 1 | 2.05 | sampled: 2.02 at -0.839923, of every 37th float |
//! | [`acos`] | -1 | 1 | 1.20 | sampled: 1.14 at -0.606379, of every 37th float |
//! | [`atan`] | -infinity | infinity | 1.31 | 1.09191 |
//! | [`atan2`] | | | 1.85 | sampled: 20 million pairs of all sizes |
//! | [`rsqrt`] | 0 | infinity | 1.50 | sampled: 1.49, of every 37th float |
//! | [`mish`] | -87 | infinity | 4.70 | sampled: 4.57 at -3.31055, of every 37th float |
//! | [`gelu`] | 0 | infinity | 1.93 | 0.380295 |
//! | [`gelu`] | -max | -0 | 0.96 (2^-24 \|x\|) | -0.366846 |
//! | [`gelu_tanh`] | 0 | 1e30 | 2.40 | sampled: 2.19 at 0.0303441, of every 23rd float |
//! | [`gelu_tanh`] | -9.98 | -0 | 3.30 | sampled: 3.16 at -3.73960, of every 5th float |
//! | [`sigmoid`] | -89 | infinity | 2.00 | -0.000344992 |
//! | [`silu`] | -89 | max | 2.00 | -0.000488341 |
//! | [`pow`] | | | 1.19 | sampled: 20 million pairs of all sizes |
//! | [`powi`], n = -1, 1, 2 | -infinity | infinity | 0.50 | |
//! | [`powi`], n = 3 | -infinity | infinity | 1.29 | 1.58202 |
//! | [`powi`], other n | -infinity | infinity | 1.19 | sampled: n from -2^31 to 2^31 - 1 |
//!
//! `gelu` multiplies `x` by `1 + erf` as PyTorch does. For negative `x` this sum cancels, so
//! that the error is not small relative to the result; its unit there is 2^-24 |x|.
//!
//! # Coefficients
//!
//! The polynomials were fitted for this crate: minimax (reweighted least
//! squares until the error is level) for the weight stated at each array. The
//! coefficients were rounded to `f32` from the lowest power up, and the
//! higher ones fitted again after each rounding. Their own error is 0.01 to 0.25 ULP; the
//! rest of the errors in the table is rounding.

mod activation;
mod exponential;
mod logarithm;
mod power;
mod trigonometry;

pub use activation::{erf, gelu, gelu_tanh, mish, sigmoid, silu, softplus, tanh};
pub(crate) use activation::{gelu_tanh_parts, mish_parts};
pub use exponential::{exp, exp_m1};
pub use logarithm::{ln, ln_1p, log2, log10};
pub(crate) use power::{is_short_power, long_powi, short_powi};
pub use power::{pow, powi, rsqrt};
pub use trigonometry::{acos, asin, atan, atan2, cos, sin, tan};

use super::lanes::{Bits, Lanes};

/// Adding this to a number below 2^22 in magnitude rounds it to an integer
/// (the sum has no bits left for a fraction) and leaves that integer in the low bits of the
/// sum. An integer added to `ROUND` beforehand is added to that integer.
const ROUND: f32 = 12_582_912.0;

const SIGN: u32 = 0x8000_0000;

/// The sum c0 + c1 x + c2 x^2 + ..., from the highest power down.
#[inline(always)]
fn poly<L: Lanes, const N: usize>(x: L, coefficients: [f32; N]) -> L {
    const { assert!(0 < N && N <= 9) };
    // Written out, because a loop is not unrolled when compiled for size: a call of `exp` or
    // `tanh` would take 94 instructions on a Cortex-M4F instead of 40, and 12 bytes of flash more.
    let sum = None;
    let sum = step(sum, x, &coefficients, 8);
    let sum = step(sum, x, &coefficients, 7);
    let sum = step(sum, x, &coefficients, 6);
    let sum = step(sum, x, &coefficients, 5);
    let sum = step(sum, x, &coefficients, 4);
    let sum = step(sum, x, &coefficients, 3);
    let sum = step(sum, x, &coefficients, 2);
    let sum = step(sum, x, &coefficients, 1);
    let sum = step(sum, x, &coefficients, 0);
    sum.unwrap_or(x)
}

/// One step of Horner's rule: the sum of the powers from `power` up, divided by x^`power`, from
/// that of the higher powers. `None` as long as there are no coefficients.
#[inline(always)]
fn step<L: Lanes>(sum: Option<L>, x: L, coefficients: &[f32], power: usize) -> Option<L> {
    let c = L::splat(*coefficients.get(power)?);
    Some(sum.map_or(c, |sum| sum * x + c))
}

/// `y` with the sign bit set where `x` has it set. Where `x` is positive, the sign of `y` stays.
#[inline(always)]
fn or_sign<L: Lanes>(y: L, x: L) -> L {
    L::from_bits(y.to_bits().or(x.to_bits().and(L::Bits::splat(SIGN))))
}

/// Clears the last 12 bits of the mantissa. Products of two such numbers are exact.
#[inline(always)]
fn head<L: Lanes>(x: L) -> L {
    L::from_bits(x.to_bits().and(L::Bits::splat(0xffff_f000)))
}
