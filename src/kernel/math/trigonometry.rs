//! Trigonometry.

use super::{ROUND, SIGN, or_sign, poly};
use crate::kernel::huge_angle::{huge_cos_angle, huge_sin_angle};
use crate::kernel::lanes::{Bits, Lanes, Mask};

/// The largest magnitude up to which the first three products in `minus_half_turns` are exact.
const TRIG_LIMIT: f32 = 8192.0;

/// x - n pi for n a multiple of 1/2 below 2^12.
#[inline(always)]
fn minus_half_turns<L: Lanes>(x: L, n: L) -> L {
    // Splits pi into parts of 8, 11 and 11 bits, whose products with n are exact, and
    // the rest. Near a multiple of pi the differences are exact, too;
    // elsewhere the third is rounded, and the fourth corrects this rounding.
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
/// r = x - n pi with the nearest integer n, and pi in four parts; then
/// +-(r + r^3 p(r^2)) with p of degree 3. 2.08 ULP.
///
/// Beyond |x| = 8192, r comes from a multiplication by 1 / pi in integers, lane
/// by lane, which is skipped for a vector without such a lane. 2.09 ULP.
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
/// r = x - n pi / 2 with the nearest integer n, reduced as in [`sin`], also beyond |x| = 8192;
/// then t = r + r^3 p(r^2) with p of degree 6, or -1 / t for odd n. 2.45 ULP.
#[inline(always)]
pub fn tan<L: Lanes>(x: L) -> L {
    let rounded = x * L::splat(core::f32::consts::FRAC_2_PI) + L::splat(ROUND);
    let half_turns = (rounded - L::splat(ROUND)) * L::splat(0.5);
    let r = minus_half_turns(x, half_turns);
    let odd = rounded.to_bits().shl::<31>();
    let huge = x.abs().gt(L::splat(TRIG_LIMIT));
    let (r, odd) = if huge.any() {
        // The smaller of the angle with this sine and the angle whose sine is this cosine is within
        // pi / 4. If the second is smaller, the tangent is the reciprocal of its tangent.
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
/// The bits of 1.0. With the sign bit they are those of -1.0.
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

/// Reduces a magnitude a for the arc sine and cosine. Returns whether a is above 1/2; s, which is
/// sqrt((1 - a) / 2) if so and a itself otherwise; and asin(s) - s. s is NaN for a above 1.
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
/// twice the arc sine of s = sqrt((1 - |x|) / 2). 2.05 ULP.
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
/// Up to 1/2 in magnitude, pi / 2 minus the arc sine of x. Above, twice the arc sine of
/// s = sqrt((1 - |x|) / 2), and for negative x pi minus this. 1.20 ULP.
#[inline(always)]
pub fn acos<L: Lanes>(x: L) -> L {
    let (large, s, tail) = arc_parts(x.abs());
    let negative = x.lt(L::splat(0.0));
    let (pi_hi, pi_lo) = (L::splat(2.0 * PI_2_HI), L::splat(2.0 * PI_2_LO));
    // Both choices give pi / 2 for -0.0.
    let near = L::select(negative, s, -s);
    let near_tail = L::select(negative, tail, -tail);
    let middle = (L::splat(PI_2_HI) + near) + (near_tail + L::splat(PI_2_LO));
    let (twice, twice_tail) = (s + s, tail + tail);
    let far = (pi_hi - twice) - (twice_tail - pi_lo);
    let outer = L::select(negative, far, twice + twice_tail);
    L::select(large, outer, middle)
}

/// The angle of the point (x, y), in radians, between -pi and pi: the arc tangent of y / x in
/// the quadrant of both signs, those of zeros included. NaN if x or y is.
///
/// The polynomial of [`atan`], for the smaller magnitude divided by the larger one, is added to or
/// subtracted from 0, pi / 2 or pi, in two `f32`s. 1.85 ULP, sampled.
#[inline(always)]
pub fn atan2<L: Lanes>(y: L, x: L) -> L {
    let (zero, one) = (L::splat(0.0), L::splat(1.0));
    let (a, b) = (y.abs(), x.abs());
    let steep = a.gt(b);
    let (large, small) = (L::select(steep, a, b), L::select(steep, b, a));
    // The quotient is 1 for two infinities, 0 for two zeros, and NaN if one number is.
    let r = L::select(small.eq(large), one, small / large);
    let r = L::select(small.eq(zero).and(large.eq(zero)), zero, r);
    let z = r * r;
    let tail = r * (z * poly(z, ATAN));
    // Tests the sign bit of x, so that -0.0 counts as negative.
    let left = or_sign(one, x).lt(zero);
    let (hi, lo) = (L::splat(PI_2_HI), L::splat(PI_2_LO));
    let from_hi = L::select(steep, hi, L::select(left, hi + hi, zero));
    let from_lo = L::select(steep, lo, L::select(left, lo + lo, zero));
    // Left of the y axis, the result is pi / 2 plus the angle (steep) or pi minus the angle; right
    // of it, pi / 2 minus the angle (steep) or the angle itself.
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
/// minus the arc tangent of r = 1 / |x|. 1.31 ULP.
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
/// pi / 2 as an `f32`, and pi / 2 minus that.
const PI_2_HI: f32 = core::f32::consts::FRAC_PI_2;
const PI_2_LO: f32 = -4.371_139e-8;
