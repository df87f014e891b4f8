//! Q63: fixed-point numbers from 0 to 1 with 63 fractional bits, for the powers of decay rates
//! that PyTorch computes in `f64`.
//!
//! Multiplication takes integer instructions only, so that a microcontroller without `f64` in
//! hardware does not link kilobytes of software floating point. Conversion loses no bits: a Q63
//! represents every `f64` from 2⁻¹⁰ to 1, and 1 minus it, exactly.

use super::Visit;
use crate::function::TwoFloat;

/// A multiple of 2⁻⁶³ from 0 to 1.
///
/// The alignment is that of `f32`, so that structs with floats have no padding and are cleared
/// by one `memclr`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(Rust, packed(4))]
pub(super) struct Q63(pub(super) u64);

impl Q63 {
    pub(super) const ONE: Self = Self(1 << 63);

    /// The two highest bits of a value that contains a rate and a step count instead of a
    /// power: see [`Decay`](super::decay::Decay).
    pub(super) const MOVED: u64 = 0b11;

    /// Converts a number that is at least 0 and less than 1. For any other number, sets bit 63
    /// and stores its `f32`, which [`check`](Self::check) returns as an error. Always inlined,
    /// so that a constant argument leaves no `f64` code.
    #[inline(always)]
    pub(super) const fn new(x: f64) -> Self {
        if x >= 0.0 && x < 1.0 {
            Self((x * (1_u64 << 63) as f64) as u64)
        } else {
            Self(1 << 63 | (x as f32).to_bits() as u64)
        }
    }

    /// Returns the argument of [`new`](Self::new) as an error, if it was not at least 0 and
    /// less than 1.
    pub(super) fn check(self) -> Result<(), f32> {
        if self.0 < Self::ONE.0 {
            Ok(())
        } else {
            Err(f32::from_bits(self.0 as u32))
        }
    }

    /// Visits the number as three numbers of 21 bits, the highest first.
    pub(super) fn visit(&mut self, name: &'static str, visit: Visit<'_>) {
        // ONE has 64 bits: its three numbers are 2²¹, 0 and 0.
        let digit = |shift: u32| (self.0 >> shift & 0x1f_ffff) as f32;
        let mut digits = [(self.0 >> 42) as f32, digit(21), digit(0)];
        visit(name, &mut digits);
        let [high, middle, low] = digits.map(|digit| u64::from(digit as u32));
        // Accepts numbers up to 1, and the rate with a count that `Decay` stores instead of a
        // power.
        let value = high.min(0x3f_ffff) << 42 | middle.min(1 << 21) << 21 | low.min(1 << 21);
        self.0 = match value >> 62 {
            Self::MOVED => value,
            _ => value.min(Self::ONE.0),
        };
    }

    /// Converts to a pair of `f32` with a precision of 46 bits, also for small numbers.
    pub(super) fn to_pair(self) -> TwoFloat {
        const HIGH: f32 = 1.0 / (1_u64 << 24) as f32;
        const LAST: f32 = 1.0 / (1_u64 << 63) as f32;
        let (high, middle) = ((self.0 >> 39) as f32, (self.0 >> 15 & 0xff_ffff) as f32);
        let last = (self.0 & 0x7fff) as f32;
        // All three parts are exact.
        TwoFloat::from(high * HIGH) + TwoFloat::sum(middle * HIGH * HIGH, last * LAST)
    }

    /// Converts an `f32` from 0 to 1. Bits below 2⁻⁶³ are cut off.
    pub(super) fn of_f32(x: f32) -> Self {
        const HALF: f32 = (1_u64 << 32) as f32;
        // Both products are below 2³², and the remainder of the first is exact.
        let high = (x * HALF / 2.0) as u32;
        let rest = x * HALF / 2.0 - high as f32;
        Self(u64::from(high) << 32 | u64::from((rest * HALF) as u32))
    }

    /// The number to the power `n`, by squaring.
    pub(super) fn to_the(self, mut n: u32) -> Self {
        let (mut power, mut square) = (Self::ONE, self);
        while n > 0 {
            if n & 1 == 1 {
                power = if power == Self::ONE {
                    square
                } else {
                    power.times(square)
                };
            }
            n >>= 1;
            square = square.times(square);
        }
        power
    }

    /// 1 minus the number.
    pub(super) fn one_minus(self) -> Self {
        Self(Self::ONE.0.wrapping_sub(self.0))
    }

    /// The product, too small by at most three units of 2⁻⁶².
    pub(super) fn times(self, other: Self) -> Self {
        let halves = |x: u64| (x >> 32, x & 0xffff_ffff);
        let ((a_high, a_low), (b_high, b_low)) = (halves(self.0), halves(other.0));
        // Each product is below 2⁶³, so that nothing wraps.
        let crossed =
            (a_high.wrapping_mul(b_low) >> 32).wrapping_add(a_low.wrapping_mul(b_high) >> 32);
        Self(a_high.wrapping_mul(b_high).wrapping_add(crossed) << 1)
    }

    /// Converts to `f32`: the nearest one or a neighbour, because both halves and their sum are
    /// rounded.
    #[inline(always)]
    pub(super) fn to_f32(self) -> f32 {
        const HIGH: f32 = 1.0 / (1_u64 << 31) as f32;
        const LOW: f32 = HIGH / (1_u64 << 32) as f32;
        (self.0 >> 32) as u32 as f32 * HIGH + self.0 as u32 as f32 * LOW
    }
}

#[cfg(test)]
mod tests {
    use super::Q63;
    use crate::random::{Rng as _, seeded};

    /// The number of `f32` values between `found` and the one nearest to `exact`. Both are
    /// positive.
    fn off(found: f32, exact: f64) -> u32 {
        found.to_bits().abs_diff((exact as f32).to_bits())
    }

    /// Bias corrections of 20,000 steps are within one `f32` of those in `f64`.
    #[test]
    fn bias_corrections_are_almost_those_of_f64() {
        for beta in [
            0.0, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999,
        ] {
            let rate = Q63::new(beta);
            let (mut power, mut exact) = (Q63::ONE, 1.0);
            for t in 1..=20_000 {
                power = power.times(rate);
                exact *= beta;
                let (found, exact) = (power.one_minus().to_f32(), 1.0 - exact);
                assert!(off(found, exact) <= 1, "{beta}, step {t}: {found}");
            }
        }
    }

    #[test]
    fn any_number() {
        assert_eq!(Q63::ONE.to_f32(), 1.0);
        assert_eq!(Q63::ONE.one_minus().to_f32(), 0.0);
        let mut rng = seeded(3);
        for _ in 0..200_000 {
            let bits = u64::from(rng.next_u32()) << 31 | u64::from(rng.next_u32()) >> 1;
            let number = Q63(bits >> (rng.next_u32() % 60));
            let exact = number.0 as f64 / (1_u64 << 63) as f64;
            let found = number.to_f32();
            assert!(off(found, exact) <= 1, "{exact}: {found}");
        }
    }

    /// Precision of pairs, also for small numbers such as `1 - β` for a rate near 1.
    #[test]
    fn pairs() {
        let mut rng = seeded(4);
        for _ in 0..200_000 {
            let bits = u64::from(rng.next_u32()) << 31 | u64::from(rng.next_u32()) >> 1;
            let number = Q63(bits >> (rng.next_u32() % 63));
            let exact = number.0 as f64 / (1_u64 << 63) as f64;
            let found = number.to_pair().to_f64();
            let error = (found - exact).abs();
            assert!(error <= exact / (1_u64 << 46) as f64, "{exact}: {found}");
        }
        assert_eq!(Q63::ONE.to_pair().to_f64(), 1.0);
    }

    #[test]
    fn numbers_out_of_range() {
        for x in [1.0, 2.0, -0.5, f64::INFINITY] {
            assert_eq!(Q63::new(x).check(), Err(x as f32));
        }
        let nan = Q63::new(f64::NAN).check();
        assert!(nan.is_err_and(f32::is_nan));
        for x in [0.0, 0.9, 1.0 - f64::EPSILON / 2.0, 1e-300] {
            assert_eq!(Q63::new(x).check(), Ok(()));
        }
    }
}
