//! Powers, and the reciprocal of the square root.

use super::exponential::scale;
use super::logarithm::split;
use super::{ROUND, SIGN, head, poly};
use crate::kernel::lanes::{Bits, Lanes, Mask};

/// 1 / sqrt(x).
///
/// Infinity for 0, with its sign; NaN for negative numbers and NaN; 0 for infinity. Two roundings:
/// 1.50 ULP.
#[inline(always)]
pub fn rsqrt<L: Lanes>(x: L) -> L {
    L::splat(1.0) / x.sqrt()
}

/// a^(`y_head` + `y_tail`) for a >= 0, where `y_head` has 12 bits and `y` is the rounded sum of
/// both. Handles a = 0 and infinity, but not NaN.
///
/// log2(a) is computed in two `f32`s: with s = (m - 1) / (m + 1) and z = s^2 it is
/// k + 2 / (3 ln2) s (3 + z + z^2 p(z)) with p of degree 3. The leading parts
/// have 12 bits, so that their products are exact (the scheme of fdlibm's
/// `powf`, without its table). y log2(a) is split into n + r; 2^r is a polynomial of
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

    // Results for a = 0 and for infinite a.
    let y_negative = y.lt(zero);
    let a_zero = a.eq(zero);
    let a_inf = a.eq(inf);
    let to_inf = a_zero.and(y_negative).or(a_inf.and(y_negative.not()));
    L::select(a_zero.or(a_inf), L::select(to_inf, inf, zero), power)
}

/// x^y lane by lane.
///
/// Special cases as in C: 1 for y = 0 and for x = 1, even if the other is NaN. A negative x
/// gives NaN unless y is an integer, and a negative result if y is odd, also for -0.0 and
/// -infinity. For -infinity, a y that is no integer counts as even. 0^y is infinite for y < 0.
///
/// 2^(y log2|x|), the logarithm in two `f32`s. At most 1.19 ULP in 20 million
/// samples.
#[inline(always)]
pub fn pow<L: Lanes>(x: L, y: L) -> L {
    let zero = L::splat(0.0);
    let one = L::splat(1.0);
    let inf = L::splat(f32::INFINITY);

    // From |y| = 2^33 on, the power of every |x| but 1 overflows or underflows.
    let bound = L::splat(8_589_934_592.0);
    let e_y = L::select(y.gt(bound), bound, y);
    let e_y = L::select(y.lt(-bound), -bound, e_y);
    let y_head = head(e_y);
    let power = power_of_magnitude(x.abs(), e_y, y_head, e_y - y_head);

    // Sign and NaN for negative x. From 2^23 on, every y is an integer; from 2^24 on, an even one.
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

    // NaN for NaN, except where the result is 1 whatever the other argument is.
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

/// x^n for an integer n: 1 for n = 0 even if x is NaN, negative for odd n and
/// negative x (also -0.0 and -infinity), infinite for x = 0 and n < 0.
///
/// n = 2 and n = -1 are correctly rounded, and n = 1 is x itself; x^3 takes two
/// multiplications, 1.29 ULP. For all other n, the result is 2^(n log2|x|) as
/// in [`pow`], with n split without rounding: 1.19 ULP, subnormal results
/// included. No intermediate result overflows.
#[inline(always)]
pub fn powi<L: Lanes>(x: L, n: i32) -> L {
    if is_short_power(n) {
        short_powi(x, n)
    } else {
        long_powi(x, n.into())
    }
}

/// Returns whether [`short_powi`] takes this n.
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

/// x^n for any n but 0 between -2^33 and 2^33, by the logarithm of [`pow`].
#[inline(always)]
pub(crate) fn long_powi<L: Lanes>(x: L, n: i64) -> L {
    // Splits n without rounding: `n as f32` alone may be off by 2^7, and x^n with it. The tail,
    // below 2^22, is exact.
    let n_head = head(n as f32);
    let n_tail = n.wrapping_sub(n_head as i64) as f32;
    let [y, y_head, y_tail] = [n as f32, n_head, n_tail].map(L::splat);
    let power = power_of_magnitude(x.abs(), y, y_head, y_tail);
    let power = L::select(x.is_nan(), x, power);
    let sign = if n & 1 == 0 { 0 } else { SIGN };
    L::from_bits(power.to_bits().or(x.to_bits().and(L::Bits::splat(sign))))
}
