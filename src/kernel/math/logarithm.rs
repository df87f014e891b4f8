//! Logarithms.

use super::exponential::{LN2_HI, LN2_LO};
use super::{head, or_sign, poly};
use crate::kernel::lanes::{Bits, Lanes};

/// ln(1 + f) - f + `small`, for sqrt(1/2) <= 1 + f <= sqrt(2).
#[inline(always)]
pub(super) fn ln_1p_tail<L: Lanes>(f: L, small: L) -> L {
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

/// Splits x = 2^k m with sqrt(1/2) <= m < sqrt(2), for finite x > 0. Returns k and m.
#[inline(always)]
pub(super) fn split<L: Lanes>(x: L) -> (L, L) {
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
/// [`ln`] of u = 1 + x, plus the rounding error of u divided by u. 0.95 ULP.
#[inline(always)]
pub fn ln_1p<L: Lanes>(x: L) -> L {
    let one = L::splat(1.0);
    let u = one + x;
    // The rounding error of u, which is exact: the larger of 1 and x is subtracted first.
    let lost = L::select(x.lt(one), x - (u - one), one - (u - x));
    let (k, m) = split(u);
    let f = m - one;
    let tail = ln_1p_tail(f, k * L::splat(LN2_LO)) + lost / u;
    let y = or_sign(k * L::splat(LN2_HI) + (f + tail), x);
    let y = L::select(x.lt(L::splat(f32::INFINITY)), y, x);
    let y = L::select(u.lt(L::splat(0.0)), L::splat(f32::NAN), y);
    L::select(u.eq(L::splat(0.0)), L::splat(f32::NEG_INFINITY), y)
}

/// The logarithm to a base, given 1 / ln(base) and ln2 / ln(base), each as its first 12 bits
/// and the rest.
#[inline(always)]
fn logarithm<L: Lanes>(x: L, [factor, factor_rest, k_factor, k_rest]: [f32; 4]) -> L {
    let (k, m) = split(x);
    let f = m - L::splat(1.0);
    // ln(m) = hi + lo, where hi has 12 bits, so that its product with `factor` is exact.
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

/// Logarithm to base 2. For a power of two, the result is exact.
///
/// Special cases as for [`ln`]. k + ln(m) / ln2, with ln(m) in two `f32`s. 0.90 ULP.
#[inline(always)]
pub fn log2<L: Lanes>(x: L) -> L {
    logarithm(x, LOG2_OF_E)
}
/// The first 12 bits of 1 / ln2, and the rest; then 1 and 0.
const LOG2_OF_E: [f32; 4] = [1.4423828e0, 3.122284e-4, 1.0, 0.0];

/// Logarithm to base 10.
///
/// Special cases as for [`ln`]. k log10(2) + ln(m) / ln10, with both factors and ln(m) in two
/// `f32`s. 0.86 ULP.
#[inline(always)]
pub fn log10<L: Lanes>(x: L) -> L {
    logarithm(x, LOG10_OF_E)
}
/// The first 12 bits of 1 / ln10, and the rest; the first 12 bits of log10(2), and the rest.
const LOG10_OF_E: [f32; 4] = [4.342041e-1, 9.038034e-5, 3.010254e-1, 4.605039e-6];
