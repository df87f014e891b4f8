//! Exponentials.

use super::{ROUND, poly};
use crate::kernel::lanes::{Bits, Lanes};

pub(super) const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// The first 15 bits of ln 2: its product with an integer below 2^9 is exact.
pub(super) const LN2_HI: f32 = 0.693_145_75;
/// ln 2 - `LN2_HI`. Positive, so that reducing -0.0 leaves -0.0.
pub(super) const LN2_LO: f32 = 1.428_606_8e-6;

/// Splits x = n ln2 + r with |r| <= ln2 / 2, for |x| < 2^9 ln2. Returns bits whose low nine are
/// n + `bias`, n, and r.
#[inline(always)]
fn reduce_exp<L: Lanes>(x: L, bias: f32) -> (L::Bits, L, L) {
    let rounded = x * L::splat(LOG2_E) + L::splat(ROUND + bias);
    let n = rounded - L::splat(ROUND + bias);
    let r = (x - n * L::splat(LN2_HI)) - n * L::splat(LN2_LO);
    (rounded.to_bits(), n, r)
}

/// Multiplies by 2^n for n from -252 to 254, given bits whose low nine are
/// n + 254. Multiplies by two factors, each a normal number, so that only a subnormal result is
/// rounded.
#[inline(always)]
pub(super) fn scale<L: Lanes>(x: L, biased: L::Bits) -> L {
    let first = biased.shr::<1>();
    let second = biased.sub(first);
    x * L::from_bits(first.shl::<23>()) * L::from_bits(second.shl::<23>())
}

/// e^x without a guard against |x| too large for `reduce_exp`.
#[inline(always)]
pub(super) fn exp_in_range<L: Lanes>(x: L) -> L {
    let (biased, _, r) = reduce_exp(x, 254.0);
    let p = poly(r, EXP);
    let y = (r * r * p + r) + L::splat(1.0);
    scale(y, biased)
}
/// (e^r - 1 - r) / r^2, error weighted by r^2 / e^r.
pub(super) const EXP: [f32; 5] = [
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

/// 2^`shift` e^x as the pair s and s p, where s is a power of two and the sum of the pair is the
/// result. s must be a normal number or infinite.
#[inline(always)]
pub(super) fn exp_in_two<L: Lanes>(x: L, shift: f32) -> (L, L) {
    let (biased, _, r) = reduce_exp(x, 127.0 + shift);
    let s = L::from_bits(biased.shl::<23>());
    (s, (r + r * exp_m1_factor(r)) * s)
}

/// e^x.
///
/// Infinite above 88.72, 0 below -103.97, with gradual underflow before. NaN for NaN.
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
/// Infinite above 88.72, -1 from about -17 down; keeps the sign of zero. NaN
/// for NaN.
///
/// Like [`exp`], but with p = e^r - 1 kept apart from the 1: 2^n p + (2^n - 1).
/// 1.71 ULP.
#[inline(always)]
pub fn exp_m1<L: Lanes>(x: L) -> L {
    let x = L::select(x.gt(L::splat(89.0)), L::splat(89.0), x);
    let x = L::select(x.lt(L::splat(-18.0)), L::splat(-18.0), x);
    let (biased, n, r) = reduce_exp(x, 126.0);
    // For r = -0.0 the factor is -0.0. Their product would be +0.0, and so would the sum with r.
    // Adding 0.0 to the factor first makes the product and the sum -0.0.
    let p = r + r * (exp_m1_factor(r) + L::splat(0.0));
    // 2^(n-1), because 2^n could be infinite.
    let half = L::from_bits(biased.shl::<23>());
    let y = p * half + (half - L::splat(0.5));
    L::select(n.eq(L::splat(0.0)), p, y + y)
}
