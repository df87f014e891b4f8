//! Activation functions: `tanh`, `sigmoid`, `softplus`, `gelu` and their relatives, and `erf`.

use super::exponential::{EXP, LN2_HI, LN2_LO, LOG2_E, exp, exp_in_range, exp_in_two, scale};
use super::logarithm::ln_1p_tail;
use super::{ROUND, head, or_sign, poly};
use crate::kernel::lanes::Lanes;

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
    // e^-x / 2 = s + s p. This order of additions loses least, both where s
    // is small and where s is so large that 0.5 alone would vanish in it. At the
    // upper bound, s is infinite and p positive.
    let y = -x;
    let y = L::select(y.gt(L::splat(89.0)), L::splat(89.6), y);
    let y = L::select(y.lt(L::splat(-30.0)), L::splat(-30.0), y);
    let (s, sp) = exp_in_two(y, -1.0);
    (L::splat(0.5) + sp) + s
}

/// Logistic function, 1 / (1 + e^-x).
///
/// 1 from about 17 up. Subnormal results are accurate down to -89; below, the result is 0.
/// NaN for NaN.
///
/// e^-x = 2^n (1 + p) as in [`exp_m1`](super::exp_m1); 1 + e^-x is (1 + 2^n p) + 2^n, all
/// halved to stay finite. 2.00 ULP.
#[inline(always)]
pub fn sigmoid<L: Lanes>(x: L) -> L {
    L::splat(0.5) / half_of_1p_exp_neg(x)
}

/// x / (1 + e^-x), also called swish.
///
/// -0.0 below -89; NaN for -infinity (as in PyTorch) and for NaN. Computed like
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
/// max(x, 0) + ln(1 + u) with u = e^-|x| <= 1, by the polynomial of [`ln`](super::ln);
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
/// x itself from about 9 up; -0.0 below -104; NaN for -infinity (as in PyTorch) and for NaN.
///
/// Computed as x w / (w + 2) with w = e^x (e^x + 2). 4.70 ULP from -87 up; below, where e^x is
/// subnormal, the rounding error of e^x is multiplied by |x|.
#[inline(always)]
pub fn mish<L: Lanes>(x: L) -> L {
    let (w, w_2) = mish_parts(x);
    x * (w / w_2)
}

/// The w of [`mish`], and w + 2. Both are finite; their quotient is 1 from x = 9 on.
#[inline(always)]
pub(crate) fn mish_parts<L: Lanes>(x: L) -> (L, L) {
    let two = L::splat(2.0);
    // At 40, w is still finite, and w / (w + 2) has rounded to 1 long before.
    let e = exp(L::select(x.gt(L::splat(40.0)), L::splat(40.0), x));
    let w = e * (e + two);
    (w, w + two)
}

/// Error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.
///
/// Exactly 1 in magnitude from about 3.92 on; keeps the sign of zero. NaN for
/// NaN.
///
/// 1 - e^-q with q = -ln(1 - erf(|x|)) = |x| + |x| p(|x|), where p of degree 8
/// serves the whole range; 1 - e^-q is computed as in [`exp_m1`](super::exp_m1). 2.11 ULP.
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
/// Computed as x / (1 + e^-z) with z = sqrt(8 / pi) (x + 0.044715 x^3), which is equal
/// and loses nothing where 1 + tanh would cancel. Below -9.98, where the result
/// would be less than 1.6e-37 in magnitude, -0.0 (in PyTorch, whose sum cancels,
/// from about -5.2 down). NaN for -infinity and NaN. For its errors see the table of the
/// [module](super).
#[inline(always)]
pub fn gelu_tanh<L: Lanes>(x: L) -> L {
    x * gelu_tanh_parts(x)[0]
}

/// The logistic functions of z and of -z, for the z of [`gelu_tanh`]. The smaller one is 0 where
/// |z| is above 87.
///
/// Both are accurate also where they are small: e^-|z| amplifies the relative error of z, 15
/// times at -4.7, so z is computed in two `f32`s. The leading parts of the factors have 12 bits,
/// so that their products are exact.
#[inline(always)]
pub(crate) fn gelu_tanh_parts<L: Lanes>(x: L) -> [L; 2] {
    let a = x.abs();
    let a = L::select(a.gt(L::splat(10.0)), L::splat(10.0), a);
    // a^2 = square + square_tail, where square has 24 bits and its head 12.
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
/// The first 12 bits of sqrt(8 / pi), and the rest.
const GELU_LINEAR_HEAD: f32 = 1.595_703_1;
const GELU_LINEAR_TAIL: f32 = 6.599_66e-5;
/// 0.044715 sqrt(8 / pi), its first 12 bits, and the rest.
const GELU_CUBIC: f32 = 7.135_481_4e-2;
const GELU_CUBIC_HEAD: f32 = 7.135_01e-2;
const GELU_CUBIC_TAIL: f32 = 4.718_616_3e-6;
