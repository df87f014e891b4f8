//! Elementary functions over lanes.
//!
//! Each function is one algorithm without branches on the data, made of the
//! operations of [`Lanes`]: an element's result is the same bits for one lane
//! and for eight, whatever its neighbours, in debug and release, with and
//! without AVX or FMA. (One branch remains: [`sin`] and [`cos`] reduce angles
//! beyond 8192 one lane at a time, where there are any.) `tests/ulp.rs` checks
//! that and the table below.
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
//! `gelu` multiplies `x` by `1 + erf` as PyTorch does. Where that sum cancels,
//! for negative `x`, there is no small error relative to the result; there the
//! unit is 2^-24 |x|.
//!
//! # Coefficients
//!
//! The polynomials were fitted for this crate: minimax (reweighted least
//! squares until the error is level) for the weight stated at each array, the
//! coefficients rounded to `f32` from the lowest power up, refitting the
//! higher ones after each rounding. Their own error is 0.01 to 0.25 ULP; the
//! rest of the table is rounding.

use super::huge_angle::{huge_cos_angle, huge_sin_angle};
use super::lanes::{Bits, Lanes, Mask};

/// Adding this to a number below 2^22 in magnitude rounds it to an integer
/// (the sum has no bits left for a fraction) and leaves that integer, plus
/// whatever was added to `ROUND`, in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// The first 15 bits of ln 2: times an integer below 2^9 it is exact.
const LN2_HI: f32 = 0.693_145_75;
/// ln 2 - `LN2_HI`. Positive, so that reducing -0.0 leaves -0.0.
const LN2_LO: f32 = 1.428_606_8e-6;

const SIGN: u32 = 0x8000_0000;

/// The sum c0 + c1 x + c2 x^2 + ..., from the highest power down.
#[inline(always)]
fn poly<L: Lanes, const N: usize>(x: L, coefficients: [f32; N]) -> L {
    const { assert!(0 < N && N <= 9) };
    // Written out: a loop stays one when compiled for size, and costs more than
    // what it does.
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

/// The sum of the powers from `power` up, if there are any, from that of the
/// higher ones.
#[inline(always)]
fn step<L: Lanes>(sum: Option<L>, x: L, coefficients: &[f32], power: usize) -> Option<L> {
    let c = L::splat(*coefficients.get(power)?);
    Some(sum.map_or(c, |sum| sum * x + c))
}

/// `y`, made negative where `x` has its sign bit set; `y` must not be negative
/// where `x` has not.
#[inline(always)]
fn or_sign<L: Lanes>(y: L, x: L) -> L {
    L::from_bits(y.to_bits().or(x.to_bits().and(L::Bits::splat(SIGN))))
}

/// Splits x = n ln2 + r with |r| <= ln2 / 2. Gives bits whose low nine are
/// n + `bias`, n, and r. For |x| < 2^9 ln2.
#[inline(always)]
fn reduce_exp<L: Lanes>(x: L, bias: f32) -> (L::Bits, L, L) {
    let rounded = x * L::splat(LOG2_E) + L::splat(ROUND + bias);
    let n = rounded - L::splat(ROUND + bias);
    let r = (x - n * L::splat(LN2_HI)) - n * L::splat(LN2_LO);
    (rounded.to_bits(), n, r)
}

/// Multiplies by 2^n for n from -254 to 257, given bits whose low nine are
/// n + 254. In two factors, each a normal number, so that the only rounding is
/// the one into a subnormal result.
#[inline(always)]
fn scale<L: Lanes>(x: L, biased: L::Bits) -> L {
    let first = biased.shr::<1>();
    let second = biased.sub(first);
    x * L::from_bits(first.shl::<23>()) * L::from_bits(second.shl::<23>())
}

/// e^x without a guard against |x| too large for `reduce_exp`.
#[inline(always)]
fn exp_in_range<L: Lanes>(x: L) -> L {
    let (biased, _, r) = reduce_exp(x, 254.0);
    let p = poly(r, EXP);
    let y = (r * r * p + r) + L::splat(1.0);
    scale(y, biased)
}
/// (e^r - 1 - r) / r^2, error weighted by r^2 / e^r.
const EXP: [f32; 5] = [
    4.999_999_4e-1,
    1.666_652_1e-1,
    4.166_826_6e-2,
    8.368_677e-3,
    1.382_073_4e-3,
];

/// (e^r - 1) / r - 1 for |r| <= ln2 / 2.
#[inline(always)]
fn exp_m1_factor<L: Lanes>(r: L) -> L {
    r * poly(r, EXP_M1)
}
/// (e^r - 1 - r) / r^2, error weighted by r^2 / (e^r - 1).
const EXP_M1: [f32; 5] = [
    4.999_999_7e-1,
    1.666_654_6e-1,
    4.166_743_5e-2,
    8.366_262e-3,
    1.387_065_7e-3,
];

/// e^x as s and s p, where s is a power of two and e^x = s + s p, times
/// 2^`shift`. For s a normal number or infinite.
#[inline(always)]
fn exp_in_two<L: Lanes>(x: L, shift: f32) -> (L, L) {
    let (biased, _, r) = reduce_exp(x, 127.0 + shift);
    let s = L::from_bits(biased.shl::<23>());
    (s, (r + r * exp_m1_factor(r)) * s)
}

/// e^x.
///
/// Above 88.72 infinite, below -103.97 zero, in between rounded gradually into
/// the subnormals. NaN for NaN.
///
/// x = n ln2 + r with |r| <= ln2 / 2, e^r = 1 + r + r^2 p(r) with p of degree
/// 4, then times 2^n in two steps. 0.99 ULP.
#[inline(always)]
pub fn exp<L: Lanes>(x: L) -> L {
    let x = L::select(x.gt(L::splat(89.0)), L::splat(89.0), x);
    let x = L::select(x.lt(L::splat(-104.0)), L::splat(-104.0), x);
    exp_in_range(x)
}

/// e^x - 1, accurate where that is near zero.
///
/// Above 88.72 infinite, -1 from about -17 down; keeps the sign of zero. NaN
/// for NaN.
///
/// As [`exp`], but with e^r - 1 = p kept apart from the 1: 2^n p + (2^n - 1).
/// 1.71 ULP.
#[inline(always)]
pub fn exp_m1<L: Lanes>(x: L) -> L {
    let x = L::select(x.gt(L::splat(89.0)), L::splat(89.0), x);
    let x = L::select(x.lt(L::splat(-18.0)), L::splat(-18.0), x);
    let (biased, n, r) = reduce_exp(x, 126.0);
    // The factor of -0.0 is -0.0, times -0.0 it would be +0.0, and so would the
    // sum. Adding 0.0 first makes it -0.0.
    let p = r + r * (exp_m1_factor(r) + L::splat(0.0));
    // 2^(n-1): 2^n could be infinite.
    let half = L::from_bits(biased.shl::<23>());
    let y = p * half + (half - L::splat(0.5));
    L::select(n.eq(L::splat(0.0)), p, y + y)
}

/// ln(1 + f) = f + `ln_1p_tail`(f) for sqrt(1/2) <= 1 + f <= sqrt(2), plus
/// something small.
#[inline(always)]
fn ln_1p_tail<L: Lanes>(f: L, small: L) -> L {
    let f2 = f * f;
    (f2 * f * poly(f, LN) + small) - f2 * L::splat(0.5)
}
/// (ln(1 + f) - f + f^2 / 2) / f^3, error weighted by f^3 / ln(1 + f).
const LN: [f32; 8] = [
    3.333_333e-1,
    -2.500_082e-1,
    2.000_124_2e-1,
    -1.662_340_9e-1,
    1.420_158e-1,
    -1.315_961e-1,
    1.276_221_6e-1,
    -7.636_435e-2,
];

/// The bits of sqrt(1/2).
const SQRT_HALF: u32 = 0x3f35_04f3;

/// Splits x = 2^k m with sqrt(1/2) <= m < sqrt(2), for finite x > 0.
#[inline(always)]
fn split<L: Lanes>(x: L) -> (L, L) {
    let tiny = x.lt(L::splat(f32::MIN_POSITIVE));
    let x = L::select(tiny, x * L::splat(8_388_608.0), x);
    let bias = L::select(tiny, L::splat(8_388_758.0), L::splat(8_388_735.0));
    let offset = x.to_bits().add(L::Bits::splat(0x3f80_0000 - SQRT_HALF));
    // k + 127 becomes the last bits of 2^23 + k + 127.
    let k = offset.shr::<23>().or(L::Bits::splat(0x4b00_0000));
    let m = offset
        .and(L::Bits::splat(0x007f_ffff))
        .add(L::Bits::splat(SQRT_HALF));
    (L::from_bits(k) - bias, L::from_bits(m))
}

/// Natural logarithm.
///
/// -infinity for zeros of both signs, NaN for negative numbers and NaN,
/// infinity for infinity. Subnormal numbers are scaled up first.
///
/// x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), then
/// k ln2 + f - f^2 / 2 + f^3 p(f) with p of degree 7. 0.86 ULP.
#[inline(always)]
pub fn ln<L: Lanes>(x: L) -> L {
    let (k, m) = split(x);
    let f = m - L::splat(1.0);
    let y = k * L::splat(LN2_HI) + (f + ln_1p_tail(f, k * L::splat(LN2_LO)));
    let y = L::select(x.lt(L::splat(f32::INFINITY)), y, x);
    let y = L::select(x.lt(L::splat(0.0)), L::splat(f32::NAN), y);
    L::select(x.eq(L::splat(0.0)), L::splat(f32::NEG_INFINITY), y)
}

/// ln(1 + x), accurate where that is near zero.
///
/// -infinity for -1, NaN below and for NaN, infinity for infinity; keeps the sign of zero.
///
/// As [`ln`] of u = 1 + x, plus what rounding took from u, divided by u. 0.95 ULP.
#[inline(always)]
pub fn ln_1p<L: Lanes>(x: L) -> L {
    let one = L::splat(1.0);
    let u = one + x;
    // Exact: the smaller of the two numbers that were added loses its last bits.
    let lost = L::select(x.lt(one), x - (u - one), one - (u - x));
    let (k, m) = split(u);
    let f = m - one;
    let tail = ln_1p_tail(f, k * L::splat(LN2_LO)) + lost / u;
    let y = or_sign(k * L::splat(LN2_HI) + (f + tail), x);
    let y = L::select(x.lt(L::splat(f32::INFINITY)), y, x);
    let y = L::select(u.lt(L::splat(0.0)), L::splat(f32::NAN), y);
    L::select(u.eq(L::splat(0.0)), L::splat(f32::NEG_INFINITY), y)
}

/// The logarithm to a base, given 1 / ln(base) and ln2 / ln(base), both by their first 12 bits
/// and the rest.
#[inline(always)]
fn logarithm<L: Lanes>(x: L, [factor, factor_rest, k_factor, k_rest]: [f32; 4]) -> L {
    let (k, m) = split(x);
    let f = m - L::splat(1.0);
    // ln(m) = hi + lo, hi having 12 bits, so that its product with those of the factor is exact.
    let f2 = f * f;
    let half = f2 * L::splat(0.5);
    let hi = head(f - half);
    let lo = ((f - hi) - half) + f2 * f * poly(f, LN);
    let small = k * L::splat(k_rest) + ((lo + hi) * L::splat(factor_rest) + lo * L::splat(factor));
    let y = k * L::splat(k_factor) + (hi * L::splat(factor) + small);
    let y = L::select(x.lt(L::splat(f32::INFINITY)), y, x);
    let y = L::select(x.lt(L::splat(0.0)), L::splat(f32::NAN), y);
    L::select(x.eq(L::splat(0.0)), L::splat(f32::NEG_INFINITY), y)
}

/// Logarithm to base 2: of a power of two exactly its exponent.
///
/// Special cases as [`ln`]. k + ln(m) / ln2, with ln(m) in two `f32`s. 0.90 ULP.
#[inline(always)]
pub fn log2<L: Lanes>(x: L) -> L {
    logarithm(x, LOG2_OF_E)
}
/// 1 / ln2, its first 12 bits and the rest; 1 and 0.
const LOG2_OF_E: [f32; 4] = [1.4423828e0, 3.122284e-4, 1.0, 0.0];

/// Logarithm to base 10.
///
/// Special cases as [`ln`]. k log10(2) + ln(m) / ln10, both factors and ln(m) in two `f32`s.
/// 0.86 ULP.
#[inline(always)]
pub fn log10<L: Lanes>(x: L) -> L {
    logarithm(x, LOG10_OF_E)
}
/// 1 / ln10, its first 12 bits and the rest; log10(2), its first 12 bits and the rest.
const LOG10_OF_E: [f32; 4] = [4.342041e-1, 9.038034e-5, 3.010254e-1, 4.605039e-6];

/// Hyperbolic tangent.
///
/// Exactly 1 in magnitude from about 9.01 on; keeps the sign of zero. NaN for
/// NaN.
///
/// (1 - e) / (1 + e) with e = e^(-2|x|) = 2^n (1 + p): both sums are taken as
/// (1 -+ 2^n) -+ 2^n p and round once, so that small x lose nothing. 1.99 ULP.
#[inline(always)]
pub fn tanh<L: Lanes>(x: L) -> L {
    let a = x.abs();
    let a = L::select(a.gt(L::splat(9.1)), L::splat(9.1), a);
    // (1 - e) / (1 + e) with e = e^(-2a) = s (1 + p): both sums round once.
    let (s, sp) = exp_in_two(a * L::splat(-2.0), 0.0);
    let one = L::splat(1.0);
    or_sign(((one - s) - sp) / ((one + s) + sp), x)
}

/// (1 + e^-x) / 2, which is finite where e^-x is; infinite for x < -89.
#[inline(always)]
fn half_of_1p_exp_neg<L: Lanes>(x: L) -> L {
    // e^-x / 2 = s + s p. Added in this order the sum loses least, both where s
    // is small and where it is so large that 0.5 alone would vanish in it. The
    // upper bound makes s infinite and p positive.
    let y = -x;
    let y = L::select(y.gt(L::splat(89.0)), L::splat(89.6), y);
    let y = L::select(y.lt(L::splat(-30.0)), L::splat(-30.0), y);
    let (s, sp) = exp_in_two(y, -1.0);
    (L::splat(0.5) + sp) + s
}

/// Logistic function, 1 / (1 + e^-x).
///
/// 1 from about 17 up. Down to -89 subnormal results are right; below, 0.
/// NaN for NaN.
///
/// e^-x = 2^n (1 + p) as in [`exp_m1`]; 1 + e^-x is (1 + 2^n p) + 2^n, all
/// halved to stay finite. 2.00 ULP.
#[inline(always)]
pub fn sigmoid<L: Lanes>(x: L) -> L {
    L::splat(0.5) / half_of_1p_exp_neg(x)
}

/// x / (1 + e^-x), also called swish.
///
/// -0.0 below -89, NaN for -infinity (as in PyTorch) and NaN. Otherwise as
/// [`sigmoid`], with x in the numerator. 2.00 ULP.
#[inline(always)]
pub fn silu<L: Lanes>(x: L) -> L {
    x * L::splat(0.5) / half_of_1p_exp_neg(x)
}

/// ln(1 + e^x).
///
/// Accurate relative to the result also for negative x, where it is close to
/// e^x. From 15 up it is exactly x, so PyTorch's threshold of 20 makes no
/// difference. NaN for NaN.
///
/// max(x, 0) + ln(1 + u) with u = e^-|x| <= 1, by the polynomial of [`ln`];
/// above 0.414, ln(1 + u) is taken as ln2 + ln(1 + (u - 1) / 2). 1.71 ULP.
#[inline(always)]
pub fn softplus<L: Lanes>(x: L) -> L {
    let a = x.abs();
    let a = L::select(a.gt(L::splat(104.0)), L::splat(104.0), a);
    let u = exp_in_range(-a);
    // ln(1 + u) = ln2 + ln(1 + f) for the larger u.
    let large = u.gt(L::splat(0.414));
    let f = L::select(large, u * L::splat(0.5) - L::splat(0.5), u);
    let k = L::select(large, L::splat(1.0), L::splat(0.0));
    let y = k * L::splat(LN2_HI) + (f + ln_1p_tail(f, k * L::splat(LN2_LO)));
    L::select(x.gt(L::splat(0.0)), x, L::splat(0.0)) + y
}

/// x tanh(ln(1 + e^x)).
///
/// x itself from about 9 up; -0.0 below -104, and NaN for -infinity (as in PyTorch) and NaN.
///
/// With w = e^x (e^x + 2) it is x w / (w + 2). 4.70 ULP from -87 up; below, where e^x is
/// subnormal, its rounding is multiplied by |x|.
#[inline(always)]
pub fn mish<L: Lanes>(x: L) -> L {
    let (w, w_2) = mish_parts(x);
    x * (w / w_2)
}

/// The w of [`mish`], and w + 2. Finite; their quotient is 1 from x = 9 on.
#[inline(always)]
pub(crate) fn mish_parts<L: Lanes>(x: L) -> (L, L) {
    let two = L::splat(2.0);
    // Up to here w is finite, and 4 / w is 0 next to 1 long before.
    let e = exp(L::select(x.gt(L::splat(40.0)), L::splat(40.0), x));
    let w = e * (e + two);
    (w, w + two)
}

/// Error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.
///
/// Exactly 1 in magnitude from about 3.92 on; keeps the sign of zero. NaN for
/// NaN.
///
/// 1 - e^-q with q = -ln(1 - erf(|x|)) = |x| + |x| p(|x|), p of degree 8, which
/// serves the whole range; 1 - e^-q is taken as in [`exp_m1`]. 2.11 ULP.
#[inline(always)]
pub fn erf<L: Lanes>(x: L) -> L {
    let a = x.abs();
    let a = L::select(a.gt(L::splat(3.95)), L::splat(3.95), a);
    let q = a + a * poly(a, ERF);
    let (s, sp) = exp_in_two(-q, 0.0);
    or_sign((L::splat(1.0) - s) - sp, x)
}
/// -ln(erfc(x)) / x - 1, error weighted by its effect on erf(x).
const ERF: [f32; 9] = [
    1.283_791_7e-1,
    6.366_195_7e-1,
    1.027_763e-1,
    -1.914_782_3e-2,
    -1.695_047e-4,
    1.675_677_8e-3,
    -6.373_651e-4,
    1.188_621_3e-4,
    -9.388_103e-6,
];

/// Gaussian error linear unit, x / 2 (1 + erf(x / sqrt(2))).
///
/// -0.0 from about -5.5 down, as in PyTorch. NaN for -infinity and NaN.
/// 1.93 ULP for x > 0; for x < 0 at most 0.96 2^-24 |x|.
#[inline(always)]
pub fn gelu<L: Lanes>(x: L) -> L {
    let e = erf(x * L::splat(core::f32::consts::FRAC_1_SQRT_2));
    x * L::splat(0.5) * (L::splat(1.0) + e)
}

/// [`gelu`] by its usual approximation,
/// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
///
/// As x / (1 + e^-z) with z = sqrt(8 / pi) (x + 0.044715 x^3), which is the same
/// and loses nothing where 1 + tanh would cancel. Below -9.98, where the result
/// would be less than 1.6e-37 in magnitude, -0.0 (in PyTorch, whose sum cancels,
/// from about -5.2 down). NaN for -infinity and NaN. See the table for its
/// errors.
#[inline(always)]
pub fn gelu_tanh<L: Lanes>(x: L) -> L {
    x * gelu_tanh_parts(x)[0]
}

/// The logistic functions of z and of -z, for the z of [`gelu_tanh`]; 0 where
/// |z| is above 87.
///
/// Both are as accurate where they are small as elsewhere: e^-|z| amplifies what
/// z is off by, 15 times at -4.7, so that z is taken in two `f32`s, the leading
/// parts of every product having 12 bits and being exact.
#[inline(always)]
pub(crate) fn gelu_tanh_parts<L: Lanes>(x: L) -> [L; 2] {
    let a = x.abs();
    let a = L::select(a.gt(L::splat(10.0)), L::splat(10.0), a);
    // a^2 = square + square_tail. The first has 24 bits, its head 12.
    let a_head = head(a);
    let a_tail = a - a_head;
    let square = a_head * a_head;
    let square_head = head(square);
    let square_tail = (square - square_head) + a_tail * (a + a_head);
    // |z| / a = factor + factor_tail. The constants are
    // sqrt(8 / pi) = 1.595_703_1 + 6.599_655e-5 and 0.044715 times that.
    let leading = L::splat(GELU_CUBIC_HEAD) * square_head;
    let trailing = L::splat(GELU_CUBIC) * square_tail + L::splat(GELU_CUBIC_TAIL) * square_head;
    let constant = L::splat(GELU_LINEAR_HEAD);
    let factor = head(constant + leading);
    let factor_tail = ((constant - factor) + leading) + (trailing + L::splat(GELU_LINEAR_TAIL));
    // |z| = z_head + z_tail
    let z_head = a_head * factor;
    let z_tail = a_tail * factor + a * factor_tail;

    // e^-|z|, as in `exp`.
    let z = z_head + z_tail;
    let rounded = L::splat(ROUND + 254.0) - z * L::splat(LOG2_E);
    let n = rounded - L::splat(ROUND + 254.0);
    let r = (-z_head - n * L::splat(LN2_HI)) - (n * L::splat(LN2_LO) + z_tail);
    let y = (r * r * poly(r, EXP) + r) + L::splat(1.0);
    let e = scale(y, rounded.to_bits());
    let e = L::select(z.gt(L::splat(87.0)), L::splat(0.0), e);

    let whole = L::splat(1.0) + e;
    let (large, small) = (L::splat(1.0) / whole, e / whole);
    let negative = x.lt(L::splat(0.0));
    [
        L::select(negative, small, large),
        L::select(negative, large, small),
    ]
}
/// sqrt(8 / pi), its first 12 bits and the rest.
const GELU_LINEAR_HEAD: f32 = 1.595_703_1;
const GELU_LINEAR_TAIL: f32 = 6.599_66e-5;
/// 0.044715 sqrt(8 / pi), its first 12 bits and the rest.
const GELU_CUBIC: f32 = 7.135_481_4e-2;
const GELU_CUBIC_HEAD: f32 = 7.135_01e-2;
const GELU_CUBIC_TAIL: f32 = 4.718_616_3e-6;

/// Up to this magnitude the products in `minus_half_turns` that have to be
/// exact are.
const TRIG_LIMIT: f32 = 8192.0;

/// x - n pi for n a multiple of 1/2 below 2^12.
#[inline(always)]
fn minus_half_turns<L: Lanes>(x: L, n: L) -> L {
    // pi in parts of 8, 11 and 11 bits, whose products with n are exact, and
    // what is left. Near a multiple of pi the differences are exact, too;
    // elsewhere the third rounds, and the fourth makes up for that.
    let r = x - n * L::splat(3.140_625);
    let r = r - n * L::splat(9.675_026e-4);
    let third = n * L::splat(1.509_906_7e-7);
    let rough = r - third;
    let rounding = (r - rough) - third;
    rough - (n * L::splat(5.126_688e-12) - rounding)
}

/// sin(r) for |r| <= pi / 2, keeping the sign of zero.
#[inline(always)]
fn sin_reduced<L: Lanes>(r: L) -> L {
    let z = r * r;
    // Adding 0.0 keeps the sign of zero, as in `exp_m1`.
    r + r * (z * poly(z, SIN) + L::splat(0.0))
}
/// (sin(r) - r) / r^3 as a polynomial in r^2, error weighted by r^3 / sin(r).
const SIN: [f32; 4] = [-1.666_666e-1, 8.333_069e-3, -1.980_977_4e-4, 2.606_081_8e-6];

/// Sine.
///
/// Accurate for every argument; keeps the sign of zero. NaN for infinities and
/// NaN.
///
/// r = x - n pi with n the nearest integer, in four parts; then
/// +-(r + r^3 p(r^2)) with p of degree 3. 2.08 ULP.
///
/// Beyond |x| = 8192, r comes from a multiplication by 1 / pi in integers, lane
/// by lane; a vector without such a lane skips that. 2.09 ULP.
#[inline(always)]
pub fn sin<L: Lanes>(x: L) -> L {
    let rounded = x * L::splat(core::f32::consts::FRAC_1_PI) + L::splat(ROUND);
    let r = minus_half_turns(x, rounded - L::splat(ROUND));
    let r = L::from_bits(r.to_bits().xor(rounded.to_bits().shl::<31>()));
    let huge = x.abs().gt(L::splat(TRIG_LIMIT));
    let r = if huge.any() {
        L::select(huge, x.map_named("huge_sin_angle", huge_sin_angle), r)
    } else {
        r
    };
    sin_reduced(r)
}

/// Cosine.
///
/// Accurate for every argument. NaN for infinities and NaN.
///
/// -+sin(r) for r = x - (n + 1/2) pi, reduced as in [`sin`], also beyond
/// |x| = 8192. 2.06 ULP, beyond 2.09.
#[inline(always)]
pub fn cos<L: Lanes>(x: L) -> L {
    let turns = x * L::splat(core::f32::consts::FRAC_1_PI) - L::splat(0.5);
    let rounded = turns + L::splat(ROUND);
    let r = minus_half_turns(x, (rounded - L::splat(ROUND)) + L::splat(0.5));
    let odd = rounded.to_bits().add(L::Bits::splat(1));
    let r = L::from_bits(r.to_bits().xor(odd.shl::<31>()));
    let huge = x.abs().gt(L::splat(TRIG_LIMIT));
    let r = if huge.any() {
        L::select(huge, x.map_named("huge_cos_angle", huge_cos_angle), r)
    } else {
        r
    };
    sin_reduced(r)
}

/// Tangent.
///
/// Accurate for every argument; keeps the sign of zero. NaN for infinities and NaN.
///
/// r = x - n pi / 2 with n the nearest integer, reduced as in [`sin`], also beyond |x| = 8192;
/// then r + r^3 p(r^2) with p of degree 6, or -1 by that for odd n. 2.45 ULP.
#[inline(always)]
pub fn tan<L: Lanes>(x: L) -> L {
    let rounded = x * L::splat(core::f32::consts::FRAC_2_PI) + L::splat(ROUND);
    let half_turns = (rounded - L::splat(ROUND)) * L::splat(0.5);
    let r = minus_half_turns(x, half_turns);
    let odd = rounded.to_bits().shl::<31>();
    let huge = x.abs().gt(L::splat(TRIG_LIMIT));
    let (r, odd) = if huge.any() {
        // The smaller of the angles with this sine and with this cosine is within pi / 4. If it is
        // the cosine's, the tangent is the reciprocal.
        let zero = L::splat(0.0);
        let sine = L::select(huge, x.map_named("huge_sin_angle", huge_sin_angle), zero);
        let cosine = L::select(huge, x.map_named("huge_cos_angle", huge_cos_angle), zero);
        let by_cosine = cosine.abs().lt(sine.abs());
        let near = L::select(by_cosine, -cosine.abs(), sine.abs());
        let sign = sine.to_bits().xor(cosine.to_bits());
        let sign = sign.and(L::Bits::splat(SIGN));
        let near = L::from_bits(near.to_bits().xor(sign));
        let near_odd = L::select(by_cosine, L::splat(-0.0), zero);
        let odd = L::select(huge, near_odd, L::from_bits(odd));
        (L::select(huge, near, r), odd.to_bits())
    } else {
        (r, odd)
    };
    let z = r * r;
    // Adding 0.0 keeps the sign of zero, as in `exp_m1`.
    let t = r + r * (z * poly(z, TAN) + L::splat(0.0));
    let even = L::from_bits(odd.or(L::Bits::splat(ONE_BITS))).gt(L::splat(0.0));
    L::select(even, t, L::splat(-1.0) / t)
}
/// (tan(r) - r) / r^3 as a polynomial in r^2, error weighted by r^3 / tan(r).
const TAN: [f32; 7] = [
    3.333335e-1,
    1.3332674e-1,
    5.4059166e-2,
    2.1284647e-2,
    1.0831919e-2,
    9.218028e-5,
    4.3758405e-3,
];
/// The bits of 1.0: with a sign, those of -1.0.
const ONE_BITS: u32 = 0x3f80_0000;

/// asin(s) - s for s = sqrt(z) between 0 and 1/2.
#[inline(always)]
fn asin_tail<L: Lanes>(s: L, z: L) -> L {
    s * (z * poly(z, ASIN))
}
/// (asin(s) / s - 1) / s^2 as a polynomial in s^2, error weighted by s^3 / asin(s).
const ASIN: [f32; 5] = [
    1.6666752e-1,
    7.4953064e-2,
    4.5469772e-2,
    2.4180776e-2,
    4.2166404e-2,
];

/// Splits a magnitude for an arc: whether it is above 1/2; the s whose arc sine is asked for, sqrt((1 - a) / 2)
/// where it is, a itself elsewhere; and asin(s) - s. NaN above 1.
#[inline(always)]
fn arc_parts<L: Lanes>(a: L) -> (L::Mask, L, L) {
    let half = L::splat(0.5);
    let large = a.gt(half);
    let z = L::select(large, (L::splat(1.0) - a) * half, a * a);
    let s = L::select(large, z.sqrt(), a);
    (large, s, asin_tail(s, z))
}

/// Arc sine, in radians.
///
/// Keeps the sign of zero. NaN above 1 in magnitude and for NaN.
///
/// s + s^3 p(s^2) with p of degree 4 for s = |x| up to 1/2; above, pi / 2, in two `f32`s, minus
/// twice that of s = sqrt((1 - |x|) / 2). 2.05 ULP.
#[inline(always)]
pub fn asin<L: Lanes>(x: L) -> L {
    let (large, s, tail) = arc_parts(x.abs());
    let rest = (L::splat(PI_2_HI) - (s + s)) - ((tail + tail) - L::splat(PI_2_LO));
    or_sign(L::select(large, rest, s + tail), x)
}

/// Arc cosine, in radians, between 0 and pi.
///
/// NaN above 1 in magnitude and for NaN.
///
/// By the parts of [`asin`]: pi / 2 minus that of x up to 1/2 in magnitude; above, twice
/// that of s, for negative x taken from pi. 1.20 ULP.
#[inline(always)]
pub fn acos<L: Lanes>(x: L) -> L {
    let (large, s, tail) = arc_parts(x.abs());
    let negative = x.lt(L::splat(0.0));
    let (pi_hi, pi_lo) = (L::splat(2.0 * PI_2_HI), L::splat(2.0 * PI_2_LO));
    // At -0.0 it is pi / 2, whichever is taken.
    let near = L::select(negative, s, -s);
    let near_tail = L::select(negative, tail, -tail);
    let middle = (L::splat(PI_2_HI) + near) + (near_tail + L::splat(PI_2_LO));
    let (twice, twice_tail) = (s + s, tail + tail);
    let far = (pi_hi - twice) - (twice_tail - pi_lo);
    let outer = L::select(negative, far, twice + twice_tail);
    L::select(large, outer, middle)
}

/// 1 / sqrt(x).
///
/// Infinite at zeros, with their sign; NaN below, and for NaN; 0 for infinity. Two roundings:
/// 1.50 ULP.
#[inline(always)]
pub fn rsqrt<L: Lanes>(x: L) -> L {
    L::splat(1.0) / x.sqrt()
}

/// The angle of the point (x, y), in radians, between -pi and pi: the arc tangent of y / x in
/// the quadrant of both signs, those of zeros included. NaN if either is.
///
/// By the polynomial of [`atan`] of the smaller magnitude by the larger one; what is missing to
/// pi / 2 or pi in two `f32`s. 1.85 ULP, sampled.
#[inline(always)]
pub fn atan2<L: Lanes>(y: L, x: L) -> L {
    let (zero, one) = (L::splat(0.0), L::splat(1.0));
    let (a, b) = (y.abs(), x.abs());
    let steep = a.gt(b);
    let (large, small) = (L::select(steep, a, b), L::select(steep, b, a));
    // 1 for two infinities, 0 for two zeros, and NaN beside NaN.
    let r = L::select(small.eq(large), one, small / large);
    let r = L::select(small.eq(zero).and(large.eq(zero)), zero, r);
    let z = r * r;
    let tail = r * (z * poly(z, ATAN));
    // Negative zeros count as negative: by the sign bit.
    let left = or_sign(one, x).lt(zero);
    let (hi, lo) = (L::splat(PI_2_HI), L::splat(PI_2_LO));
    let from_hi = L::select(steep, hi, L::select(left, hi + hi, zero));
    let from_lo = L::select(steep, lo, L::select(left, lo + lo, zero));
    // To the left pi / 2 plus the angle, or pi minus it; to the right pi / 2 minus it, or itself.
    let turn = L::select(steep, one, zero).eq(L::select(left, zero, one));
    let r = L::select(turn, -r, r);
    let tail = L::select(turn, -tail, tail);
    or_sign((from_hi + r) + (tail + from_lo), y)
}

/// Arc tangent, in radians.
///
/// pi / 2 in magnitude from about 5e7 on; keeps the sign of zero. NaN for NaN.
///
/// For r = |x| below 1, r + r^3 p(r^2) with p of degree 8; from 1 on, pi / 2, in two `f32`s,
/// minus that of r = 1 / |x|. 1.31 ULP.
#[inline(always)]
pub fn atan<L: Lanes>(x: L) -> L {
    let one = L::splat(1.0);
    let a = x.abs();
    let steep = a.ge(one);
    let r = L::select(steep, one / a, a);
    let z = r * r;
    let tail = r * (z * poly(z, ATAN));
    let rest = (L::splat(PI_2_HI) - r) - (tail - L::splat(PI_2_LO));
    or_sign(L::select(steep, rest, r + tail), x)
}
/// (atan(r) / r - 1) / r^2 as a polynomial in r^2, error weighted by r^3 / atan(r).
const ATAN: [f32; 9] = [
    -3.333_33e-1,
    1.999_853e-1,
    -1.426_401_6e-1,
    1.095_088_05e-1,
    -8.399_306e-2,
    5.788_139_3e-2,
    -3.109_700_2e-2,
    1.086_871e-2,
    -1.782_832e-3,
];
/// pi / 2 as an `f32`, and what that is short of.
const PI_2_HI: f32 = core::f32::consts::FRAC_PI_2;
const PI_2_LO: f32 = -4.371_139e-8;

/// Drops the last 12 bits of the mantissa: products of two such are exact.
#[inline(always)]
fn head<L: Lanes>(x: L) -> L {
    L::from_bits(x.to_bits().and(L::Bits::splat(0xffff_f000)))
}

/// |x|^y for a = |x| and for y = `y_head` + `y_tail`, of which the first has 12
/// bits; `y` is their sum, rounded. 0 and infinity are right, NaN is not.
///
/// log2(a) in two `f32`s: with s = (m - 1) / (m + 1) and z = s^2 it is
/// k + 2 / (3 ln2) s (3 + z + z^2 p(z)), p of degree 3, where the leading parts
/// have 12 bits so that their products are exact (the scheme of fdlibm's
/// `powf`, without its table). y times that is n + r, 2^r a polynomial of
/// degree 6.
#[inline(always)]
fn power_of_magnitude<L: Lanes>(a: L, y: L, y_head: L, y_tail: L) -> L {
    let zero = L::splat(0.0);
    let one = L::splat(1.0);
    let inf = L::splat(f32::INFINITY);

    // log2(a) = hi + lo. With s = (m - 1) / (m + 1) and z = s^2,
    // log2(m) = 2/(3 ln2) s (3 + z + z^2 tail(z)).
    let (k, m) = split(a);
    let f = m - one;
    let g = m + one;
    let g_lo = m - (g - one);
    let reciprocal = one / g;
    let g_head = head(g);
    let g_tail = (g - g_head) + g_lo;
    let s_head = head(f * reciprocal);
    let s_tail = ((f - s_head * g_head) - s_head * g_tail) * reciprocal;
    let s = s_head + s_tail;
    let z_head = s_head * s_head;
    let z = s * s;
    let rest = z * z * poly(z, POW_LOG) + s_tail * (s_head + s);
    let three = L::splat(3.0);
    let w_head = head(three + (z_head + rest));
    let w_tail = rest - ((w_head - three) - z_head);
    let u = s_head * w_head;
    let v = s_tail * w_head + w_tail * s;
    let p_head = head(u + v);
    let p_tail = v - (p_head - u);
    let log_a = p_head * L::splat(9.616_699e-1);
    let log_b = p_head * L::splat(1.267_720_5e-4) + p_tail * L::splat(9.617_967e-1);
    let hi = head(k + (log_a + log_b));
    let lo = log_b - ((hi - k) - log_a);

    // y log2(a) = e_head + e_tail.
    let e_head = y_head * hi;
    let e_tail = y_tail * hi + y * lo;
    let e = e_head + e_tail;
    let rounded = e + L::splat(ROUND + 254.0);
    let n = rounded - L::splat(ROUND + 254.0);
    let r = (e_head - n) + e_tail;
    let power = scale(r * poly(r, POW_EXP2) + one, rounded.to_bits());
    let power = L::select(e.gt(L::splat(129.0)), inf, power);
    let power = L::select(e.lt(L::splat(-151.0)), zero, power);

    // 0 and infinity.
    let y_negative = y.lt(zero);
    let a_zero = a.eq(zero);
    let a_inf = a.eq(inf);
    let to_inf = a_zero.and(y_negative).or(a_inf.and(y_negative.not()));
    L::select(a_zero.or(a_inf), L::select(to_inf, inf, zero), power)
}

/// x^y lane by lane.
///
/// As in C: 1 for y = 0 and for x = 1 even if the other is NaN; negative x give
/// NaN unless y is an integer, and a negative result if y is odd (also zeros
/// and infinities); -infinity counts as even where y is no integer; 0^y is
/// infinite for y < 0.
///
/// 2^(y log2|x|), the logarithm in two `f32`s. At most 1.19 ULP in 20 million
/// samples.
#[inline(always)]
pub fn pow<L: Lanes>(x: L, y: L) -> L {
    let zero = L::splat(0.0);
    let one = L::splat(1.0);
    let inf = L::splat(f32::INFINITY);

    // Beyond 2^33 every |x| but 1 is out of range.
    let bound = L::splat(8_589_934_592.0);
    let e_y = L::select(y.gt(bound), bound, y);
    let e_y = L::select(y.lt(-bound), -bound, e_y);
    let y_head = head(e_y);
    let power = power_of_magnitude(x.abs(), e_y, y_head, e_y - y_head);

    // Negative x. Above 2^23 every number is an integer, above 2^24 even.
    let y_abs = y.abs();
    let y_abs = L::select(
        y_abs.gt(L::splat(16_777_216.0)),
        L::splat(16_777_216.0),
        y_abs,
    );
    let y_half = y_abs * L::splat(0.5);
    let two_23 = L::splat(8_388_608.0);
    let integral = ((y_abs + two_23) - two_23).eq(y_abs).or(y_abs.ge(two_23));
    let even = ((y_half + two_23) - two_23).eq(y_half);
    let odd = integral.and(even.not());
    let sign = L::select(odd, x, zero).to_bits().and(L::Bits::splat(SIGN));
    let power = L::from_bits(power.to_bits().or(sign));
    let undefined = x.lt(zero).and(x.gt(-inf)).and(integral.not());
    let power = L::select(undefined, L::splat(f32::NAN), power);

    // NaN, except where any number would do.
    let power = L::select(x.is_nan().or(y.is_nan()), x + y, power);
    L::select(x.eq(one).or(y.eq(zero)), one, power)
}
/// 3 (atanh(s) / s - 1 - z / 3) / z^2 as a polynomial in z = s^2, error
/// weighted by z^2.
const POW_LOG: [f32; 4] = [5.999_999_6e-1, 4.285_796e-1, 3.326_942_3e-1, 2.933_919_7e-1];
/// (2^r - 1) / r for |r| <= 1/2, error weighted by r / 2^r.
const POW_EXP2: [f32; 6] = [
    6.931_472e-1,
    2.402_264_8e-1,
    5.550_359_6e-2,
    9.618_503e-3,
    1.339_099_7e-3,
    1.532_780_3e-4,
];

/// x^n for a whole n: 1 for n = 0 even if x is NaN, negative for odd n and
/// negative x (also -0.0 and -infinity), infinite for x = 0 and n < 0.
///
/// n = 2 and n = -1 are correctly rounded, and n = 1 is x itself; x^3 is two
/// multiplications, 1.29 ULP. All other n, however large, are 2^(n log2|x|) as
/// in [`pow`], with n split without rounding: 1.19 ULP, subnormal results
/// included. Nothing overflows on the way.
#[inline(always)]
pub fn powi<L: Lanes>(x: L, n: i32) -> L {
    if is_short_power(n) {
        short_powi(x, n)
    } else {
        long_powi(x, n.into())
    }
}

/// Whether [`short_powi`] is meant for this n.
#[inline(always)]
pub(crate) const fn is_short_power(n: i32) -> bool {
    -1 <= n && n <= 3
}

/// x^n for n from -1 to 3, by multiplication or division.
#[inline(always)]
pub(crate) fn short_powi<L: Lanes>(x: L, n: i32) -> L {
    match n {
        0 => L::splat(1.0),
        1 => x,
        2 => x * x,
        3 => x * x * x,
        _ => L::splat(1.0) / x,
    }
}

/// x^n for any n but 0 between -2^33 and 2^33, by [`pow`]'s logarithm.
#[inline(always)]
pub(crate) fn long_powi<L: Lanes>(x: L, n: i64) -> L {
    // Without the rounding of `n as f32`, which would be off by up to 2^7, and
    // x^n with it: the rest, below 2^22, is exact.
    let n_head = head(n as f32);
    let n_tail = n.wrapping_sub(n_head as i64) as f32;
    let [y, y_head, y_tail] = [n as f32, n_head, n_tail].map(L::splat);
    let power = power_of_magnitude(x.abs(), y, y_head, y_tail);
    let power = L::select(x.is_nan(), x, power);
    let sign = if n & 1 == 0 { 0 } else { SIGN };
    L::from_bits(power.to_bits().or(x.to_bits().and(L::Bits::splat(sign))))
}
