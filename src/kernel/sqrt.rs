//! The square root of one `f32`, for CPUs that divide in hardware but whose square root stable
//! `core` does not offer.
//!
//! It is correctly rounded, like the square root on every other target, so that the bits are the
//! same. It is shorter than that of `libm`, which divides by tables and integers: on a Cortex-M4F
//! it saves firmware 300 bytes of flash, and in an epoch of a network of 321 parameters, trained
//! with Adam, 12,886 instructions of 798,092.
//!
//! `function::source` prints the text of this file up to the tests, with its other comments.

/// The nearest `f32` to the square root of `x`.
pub(crate) fn sqrt(x: f32) -> f32 {
    const SMALLEST: u32 = f32::MIN_POSITIVE.to_bits();
    const INFINITE: u32 = f32::INFINITY.to_bits();
    let bits = x.to_bits();
    if !(SMALLEST..INFINITE).contains(&bits) {
        return if (1..SMALLEST).contains(&bits) {
            sqrt(x * 16_777_216.0) / 4096.0 // 2²⁴ and its root
        } else if bits > (-0.0_f32).to_bits() {
            f32::NAN
        } else {
            x
        };
    }
    // Half of the exponent is a root to 3.5 %. Heron's way makes that 0.03 %, the
    // factor being a little less than ½ because a mean is never too small, and
    // then 5e-8, besides what rounds.
    let root = f32::from_bits((bits >> 1).wrapping_add(0x1fbb_4f2e));
    let root = (root + x / root) * 0.49985;
    let root = (root + x / root) * 0.5;
    // So the root is the nearest number, or the one before or after. The sign and size of
    // `x - root²`, in units of the last place, tell which; it is small: integers may wrap.
    let mantissa = root.to_bits() & 0x007f_ffff | 0x0080_0000;
    let square = bits << if bits & SMALLEST == 0 { 24 } else { 23 };
    let missing = square
        .wrapping_sub(mantissa.wrapping_mul(mantissa))
        .cast_signed();
    let half = mantissa.cast_signed();
    let more = u32::from(missing > half);
    let less = u32::from(missing <= half.wrapping_neg());
    f32::from_bits(root.to_bits().wrapping_add(more).wrapping_sub(less))
}

#[cfg(test)]
mod tests {
    use super::sqrt;

    fn check(bits: u32) {
        let x = f32::from_bits(bits);
        let (found, expected) = (sqrt(x), libm::sqrtf(x));
        let same = found.to_bits() == expected.to_bits();
        assert!(
            same || found.is_nan() && expected.is_nan(),
            "{x:e}: {found:e}"
        );
    }

    /// Two exponents stand for all, because the root of four times a number is twice its root.
    #[test]
    fn correctly_rounded() {
        (0x3f80_0000..0x4080_0000).for_each(check);
    }

    #[test]
    fn any_bits() {
        (0..=u32::MAX).step_by(9973).for_each(check);
        for bits in [0, 1, 0x007f_ffff, 0x0080_0000, 0x7f7f_ffff, 0x7f80_0000] {
            check(bits);
            check(bits | 0x8000_0000);
        }
    }
}
