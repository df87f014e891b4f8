//! Numbers from 0 to 1 with 63 bits after the point, for the few numbers of a
//! step that PyTorch computes in `f64`.
//!
//! A microcontroller without `f64` in hardware is spared the routines that stand
//! in for it, which take kilobytes, and no bit is lost: an `f64` from 2⁻¹⁰ to 1
//! is such a fraction, and so is one minus it.

use crate::kernel::Lanes;

/// A multiple of 2⁻⁶³.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fraction(u64);

/// 2 to the power of what is from -126 to 127.
#[inline(always)]
fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits((exponent.wrapping_add(127) as u32) << 23)
}

impl Fraction {
    pub(super) const ONE: Self = Self(1 << 63);

    /// A number that is at least 0 and less than 1; of any other, what [`check`]
    /// finds wrong. Always inlined: of a constant, no `f64` is left.
    ///
    /// [`check`]: Self::check
    #[inline(always)]
    pub(super) const fn new(x: f64) -> Self {
        if x >= 0.0 && x < 1.0 {
            Self((x * (1_u64 << 63) as f64) as u64)
        } else {
            Self(1 << 63 | (x as f32).to_bits() as u64)
        }
    }

    /// If [`new`](Self::new) was given what is no fraction: that number.
    pub(super) fn check(self) -> Result<(), f32> {
        if self.0 < Self::ONE.0 {
            Ok(())
        } else {
            Err(f32::from_bits(self.0 as u32))
        }
    }

    pub(super) fn one_minus(self) -> Self {
        Self(Self::ONE.0.wrapping_sub(self.0))
    }

    /// The product, at most three units of 2⁻⁶² too small.
    #[inline(never)]
    pub(super) fn times(self, other: Self) -> Self {
        let halves = |x: u64| (x >> 32, x & 0xffff_ffff);
        let ((a_high, a_low), (b_high, b_low)) = (halves(self.0), halves(other.0));
        // Each is below 2⁶³, so that none of this wraps.
        let crossed =
            (a_high.wrapping_mul(b_low) >> 32).wrapping_add(a_low.wrapping_mul(b_high) >> 32);
        Self(a_high.wrapping_mul(b_high).wrapping_add(crossed) << 1)
    }

    /// The bits from the highest that is set, as `m` in `m / 2⁶³ / 2ᶻ`, and `z`.
    #[inline(never)]
    fn normalized(self) -> (u64, i32) {
        let z = self.0.leading_zeros();
        // Of zero nothing is moved.
        (self.0.wrapping_shl(z), z as i32)
    }

    /// The nearest `f32`.
    #[inline(never)]
    pub(super) fn to_f32(self) -> f32 {
        let (m, z) = self.normalized();
        high(m) * power_of_two((-31_i32).wrapping_sub(z))
    }

    /// The `f32` nearest to the square root of a number greater than 0.
    pub(super) fn sqrt(self) -> f32 {
        let (m, z) = self.normalized();
        // The root of `square / 2⁶²`, from 1 to 2, is to have 23 bits after the
        // point.
        let square = if z & 1 == 0 { m >> 1 } else { m };
        let root = (Lanes::sqrt(high(square)) * 256.0) as u32;
        // What is missing, with five bits more than the square of `root`, is
        // small enough to be computed modulo 2³².
        let found = root.wrapping_mul(root) << 5;
        let missing = ((square >> 11) as u32).wrapping_sub(found).cast_signed();
        // From (root - ½)² - root² to (root + ½)² - root².
        let (least, most) = (8_u32.wrapping_sub(root << 5), 8_u32.wrapping_add(root << 5));
        let up = missing >= most.cast_signed();
        let down = missing < least.cast_signed();
        moved(root, up, down) * power_of_two((-23_i32).wrapping_sub((z.wrapping_add(1)) >> 1))
    }

    /// The `f32` nearest to `x / self`, for a number greater than 0 and `x ≥ 0`.
    /// Below the normal numbers, `x` counts as 0.
    pub(super) fn divide(self, x: f32) -> f32 {
        let (m, z) = self.normalized();
        // Of `x`, 24 bits or 25, so that the quotient has 24.
        let mantissa = x.to_bits() & 0x007f_ffff | 0x0080_0000;
        let shift = i32::from(u64::from(mantissa) << 40 < m);
        let dividend = mantissa << shift;
        let quotient = (dividend as f32 / high(m) * power_of_two(31)) as u32;
        // Modulo 2⁶⁴, like the product. The difference is below 2⁶².
        let m = m >> 3;
        let missing = (u64::from(dividend) << 60).wrapping_sub(u64::from(quotient).wrapping_mul(m));
        let (missing, half) = (missing.cast_signed(), (m >> 1).cast_signed());
        let (up, down) = (missing > half, missing < half.wrapping_neg());
        let power = f32::from_bits(x.to_bits() & 0x7f80_0000);
        let exponent = z.wrapping_sub(shift).wrapping_sub(23);
        moved(quotient, up, down) * power_of_two(exponent) * power
    }
}

/// The upper half, rounded.
#[inline(always)]
fn high(m: u64) -> f32 {
    // To the conversion, any lower bit is as good as all of them.
    ((m >> 32) as u32 | u32::from(m as u32 != 0)) as f32
}

/// One more, or one less. An estimate with `f32`s is no further off.
#[inline(always)]
fn moved(estimate: u32, up: bool, down: bool) -> f32 {
    let moved = estimate.wrapping_add(u32::from(up));
    moved.wrapping_sub(u32::from(down)) as f32
}

#[cfg(test)]
mod tests {
    use super::Fraction;
    use crate::random::{Rng as _, seeded};

    /// Against `f64`, which rounds the same once more on the way to an `f32`.
    #[test]
    fn bias_corrections_are_those_of_f64() {
        for beta in [
            0.0, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999,
        ] {
            let fraction = Fraction::new(beta);
            assert_eq!(fraction.to_f32(), beta as f32);
            assert_eq!(fraction.one_minus().to_f32(), (1.0 - beta) as f32);

            let (mut power, mut exact) = (Fraction::ONE, 1.0);
            for t in 1..=20_000 {
                power = power.times(fraction);
                exact *= beta;
                let (found, exact) = (power.one_minus(), 1.0 - exact);
                assert_eq!(found.to_f32(), exact as f32, "{beta}, step {t}");
                let root = libm::sqrt(exact) as f32;
                assert_eq!(found.sqrt(), root, "{beta}, step {t}");
                for lr in [0.7, 1e-1, 3e-2, 1e-2, 2e-3, 1e-3, 1e-4_f32] {
                    let quotient = (f64::from(lr) / exact) as f32;
                    assert_eq!(found.divide(lr), quotient, "{lr}, {beta}, step {t}");
                }
            }
        }
    }

    /// Estimates are off by as much as they can be, too.
    #[test]
    fn any_fraction() {
        let mut rng = seeded(3);
        for _ in 0..200_000 {
            let bits = u64::from(rng.next_u32()) << 31 | 1 << 30;
            let fraction = Fraction(bits >> (rng.next_u32() % 12) & !0x7ff);
            let exact = fraction.0 as f64 / (1_u64 << 63) as f64;
            let lr = f32::from_bits(rng.next_u32() >> 9 | 0x3c00_0000);
            assert_eq!(fraction.to_f32(), exact as f32);
            assert_eq!(fraction.sqrt(), libm::sqrt(exact) as f32, "{exact}");
            let quotient = (f64::from(lr) / exact) as f32;
            assert_eq!(fraction.divide(lr), quotient, "{lr} / {exact}");
        }
    }

    #[test]
    fn any_learning_rate() {
        for beta in [0.0, 0.5, 0.9, 0.999, 1.0 - 1e-15] {
            let rate = Fraction::new(beta).one_minus();
            for lr in [0.0, 2e-38, 1e-30, 1e10, 1e30, 3e38, f32::INFINITY] {
                let expected = (f64::from(lr) / (1.0 - beta)) as f32;
                assert_eq!(rate.divide(lr), expected, "{lr}, {beta}");
            }
        }
    }

    #[test]
    fn what_is_no_fraction() {
        for x in [1.0, 2.0, -0.5, f64::INFINITY] {
            assert_eq!(Fraction::new(x).check(), Err(x as f32));
        }
        let nan = Fraction::new(f64::NAN).check();
        assert!(nan.is_err_and(f32::is_nan));
        for x in [0.0, 0.9, 1.0 - f64::EPSILON / 2.0, 1e-300] {
            assert_eq!(Fraction::new(x).check(), Ok(()));
        }
    }
}
