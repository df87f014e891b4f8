//! Reduces angles beyond 8192 for `math::sin`, `math::cos` and `math::tan`, by a multiplication in
//! integers. Uses nothing but `core`, because `function::source` prints the text of this file, with
//! its other comments, for firmware that does not link the crate.

/// The r with |r| <= pi / 2 and sin(r) = sin(x), for |x| > 2^13.
#[cold]
#[inline(never)]
pub(super) fn huge_sin_angle(x: f32) -> f32 {
    let r = huge_angle(x, 0);
    if x < 0.0 { -r } else { r }
}

/// The r with |r| <= pi / 2 and sin(r) = cos(x), for |x| > 2^13.
#[cold]
#[inline(never)]
pub(super) fn huge_cos_angle(x: f32) -> f32 {
    // cos(x) = sin(|x| + pi / 2)
    huge_angle(x, 1 << 62)
}

/// |x| / pi modulo 2, in units of 2^-63.
fn huge_half_turns(x: f32) -> u64 {
    // The binary digits of 1 / pi, after 16 zeros.
    const HIGH: u128 = 0x0000_517c_c1b7_2722_0a94_fe13_abe8_fa9a;
    const LOW: u128 = 0x6ee0_6db1_4acc_9e21_c820_ff28_b1d5_ef5d;
    let bits = x.to_bits();
    let mantissa = (bits & 0x007f_ffff) | 0x0080_0000;
    // |x| = mantissa * 2^(exponent - 150). The digits of 1 / pi that weigh 2
    // or more after multiplying by that power of two count whole turns; the
    // window is the 96 digits after them.
    let skip = ((bits >> 23) & 0xff).wrapping_sub(135) & 127;
    let window = HIGH.wrapping_shl(skip) | (LOW >> 1).wrapping_shr(127 - skip);
    let product = u128::from(mantissa).wrapping_mul(window >> 32);
    (product >> 32) as u64
}

/// |x| + pi 2^-63 `add` brought into +-pi / 2 without changing its sine; NaN
/// for an infinite x.
fn huge_angle(x: f32, add: u64) -> f32 {
    const QUARTER: i64 = 1 << 62;
    if !x.is_finite() {
        return f32::NAN;
    }
    let signed = huge_half_turns(x).wrapping_add(add) as i64;
    let folded = if (-QUARTER..=QUARTER).contains(&signed) {
        signed
    } else {
        i64::MIN.wrapping_sub(signed)
    };
    // Times pi 2^-2 as a fraction of 2^64, then 2^2 2^-63: rounds once.
    const PI: u128 = 0xc90f_daa2_2168_c234;
    let r = u128::from(folded.unsigned_abs()).wrapping_mul(PI) >> 64;
    let r = r as u64 as f32 * 4.336_808_7e-19;
    if folded < 0 { -r } else { r }
}
