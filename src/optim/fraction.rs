//! Numbers from 0 to 1 with 63 bits after the point, for the powers of a step
//! that PyTorch computes in `f64`.
//!
//! A microcontroller without `f64` in hardware is spared the routines that stand
//! in for it, which take kilobytes, and no bit is lost: an `f64` from 2⁻¹⁰ to 1
//! is such a fraction, and so is one minus it.

use super::{OptimizerError, Visit};
use crate::function::TwoFloat;

/// A multiple of 2⁻⁶³.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(Rust, packed(4))] // no stricter than the floats it stands with: no gap, one `memclr`
pub(super) struct Fraction(u64);

/// A rate of decay, and its power after so many steps: `beta`, `betaᵗ`.
///
/// A schedule may [move](Self::set_beta) the rate. As in PyTorch, the power is then that of
/// the rate of the step, as if it had always been this one, so that steps have to be
/// counted: rate and count stand in place of the power, as a number that no fraction is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decay {
    pub(super) beta: Fraction,
    pub(super) power: Fraction,
}

impl Decay {
    /// No decay at all, which is no fraction.
    pub(super) const ONE: Self = Self {
        beta: Fraction::ONE,
        power: Fraction::ONE,
    };

    /// Before the first step. Always inlined: of a constant, no `f64` is left.
    #[inline(always)]
    pub(super) const fn new(beta: f64) -> Self {
        Self {
            beta: Fraction::new(beta),
            power: Fraction::ONE,
        }
    }

    /// Fails unless the rate is at least 0 and less than 1.
    pub(super) fn check(&self, expected: &'static str) -> Result<(), OptimizerError> {
        let out_of_range = |found| OptimizerError::HyperParameter { expected, found };
        self.beta.check().map_err(out_of_range)
    }

    /// Fails unless the rate is at least 0 and at most 1.
    pub(super) fn check_up_to_1(&self, expected: &'static str) -> Result<(), OptimizerError> {
        if self.beta == Fraction::ONE {
            Ok(())
        } else {
            self.check(expected)
        }
    }

    /// `1 - betaᵗ`.
    #[inline(always)]
    pub(super) fn correction(&self) -> f32 {
        self.power.one_minus().to_f32()
    }

    /// To the power of the next step, of a rate that does not move.
    #[inline(always)]
    pub(super) fn advance(&mut self) {
        self.power = self.power.times(self.beta);
    }

    /// To the power of the next step, whether or not the rate moves.
    pub(super) fn advance_any(&mut self) {
        match self.moved() {
            Some((_, u32::MAX)) => {}
            Some(_) => self.power.0 = self.power.0.wrapping_add(1),
            None => self.advance(),
        }
    }

    /// Both as numbers, whether or not the rate moves.
    pub(super) fn fixed(&self) -> Self {
        match self.moved() {
            Some((beta, steps)) => {
                let beta = Fraction::of_f32(beta);
                let power = beta.to_the(steps);
                Self { beta, power }
            }
            None => *self,
        }
    }

    /// The rate, and how many steps there were, if a schedule moves it.
    pub(super) fn moved(&self) -> Option<(f32, u32)> {
        let bits = self.power.0;
        let beta = f32::from_bits((bits >> 32) as u32 & BETA);
        (bits >> 62 == MOVED).then_some((beta, bits as u32))
    }

    /// The rate as it is now.
    pub(super) fn rate(&self) -> f32 {
        match self.moved() {
            Some((beta, _)) => beta,
            None => self.beta.to_pair().to_f32(),
        }
    }

    /// Another rate from now on. One that is no fraction is refused by the next
    /// [`check`](Self::check).
    #[cold]
    pub(super) fn set_beta(&mut self, beta: f32) {
        if beta == self.rate() {
            return;
        }
        if !(0.0..1.0).contains(&beta) {
            // Only a number can be wrong, and only once.
            self.beta = Fraction(1 << 63 | u64::from(beta.to_bits()));
            return;
        }
        let steps = self
            .moved()
            .map_or_else(|| self.steps(), |(_, steps)| steps);
        self.power = Fraction(MOVED << 62 | u64::from(beta.to_bits()) << 32 | u64::from(steps));
    }

    /// How many steps there were, up to where the power has vanished.
    fn steps(&self) -> u32 {
        let (mut power, mut steps) = (Fraction::ONE, 0_u32);
        while power != self.power && power.0 != 0 {
            power = power.times(self.beta);
            steps = steps.saturating_add(1);
        }
        steps
    }
}

/// The two highest bits of a power in whose place a rate and a count stand.
const MOVED: u64 = 0b11;
/// Bits that a rate below 2 has: not its sign, and not the highest of its exponent.
const BETA: u32 = 0x3fff_ffff;

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

    /// Shows it as three numbers of 21 bits, the highest first, and takes them back.
    pub(super) fn visit(&mut self, name: &'static str, visit: Visit<'_>) {
        // ONE has 64 bits: its three are 2²¹, 0 and 0.
        let digit = |shift: u32| (self.0 >> shift & 0x1f_ffff) as f32;
        let mut digits = [(self.0 >> 42) as f32, digit(21), digit(0)];
        visit(name, &mut digits);
        let [high, middle, low] = digits.map(|digit| u64::from(digit as u32));
        // Fractions, 1, and a rate with a count are all that there is.
        let value = high.min(0x3f_ffff) << 42 | middle.min(1 << 21) << 21 | low.min(1 << 21);
        self.0 = match value >> 62 {
            MOVED => value,
            _ => value.min(Self::ONE.0),
        };
    }

    /// All but its last 15 bits.
    pub(super) fn to_pair(self) -> TwoFloat {
        const HIGH: f32 = 1.0 / (1_u64 << 24) as f32;
        let (high, low) = ((self.0 >> 39) as f32, (self.0 >> 15 & 0xff_ffff) as f32);
        TwoFloat::from(high * HIGH) + TwoFloat::from(low * HIGH * HIGH)
    }

    /// An `f32` from 0 to 1, less what is below 2⁻⁶³.
    fn of_f32(x: f32) -> Self {
        const HALF: f32 = (1_u64 << 32) as f32;
        // Both are whole numbers of 32 bits, and what the first leaves is exact.
        let high = (x * HALF / 2.0) as u32;
        let rest = x * HALF / 2.0 - high as f32;
        Self(u64::from(high) << 32 | u64::from((rest * HALF) as u32))
    }

    /// To a power, by squaring.
    fn to_the(self, mut n: u32) -> Self {
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

    pub(super) fn one_minus(self) -> Self {
        Self(Self::ONE.0.wrapping_sub(self.0))
    }

    /// The product, at most three units of 2⁻⁶² too small.
    pub(super) fn times(self, other: Self) -> Self {
        let halves = |x: u64| (x >> 32, x & 0xffff_ffff);
        let ((a_high, a_low), (b_high, b_low)) = (halves(self.0), halves(other.0));
        // Each is below 2⁶³, so that none of this wraps.
        let crossed =
            (a_high.wrapping_mul(b_low) >> 32).wrapping_add(a_low.wrapping_mul(b_high) >> 32);
        Self(a_high.wrapping_mul(b_high).wrapping_add(crossed) << 1)
    }

    /// As an `f32`, which may be the one next to the nearest: both halves are
    /// rounded, and their sum.
    #[inline(always)]
    pub(super) fn to_f32(self) -> f32 {
        const HIGH: f32 = 1.0 / (1_u64 << 31) as f32;
        const LOW: f32 = HIGH / (1_u64 << 32) as f32;
        (self.0 >> 32) as u32 as f32 * HIGH + self.0 as u32 as f32 * LOW
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::{Decay, Fraction};
    use crate::random::{Rng as _, seeded};

    /// How many `f32`s away the nearest to `exact` is. Both are positive.
    fn off(found: f32, exact: f64) -> u32 {
        found.to_bits().abs_diff((exact as f32).to_bits())
    }

    /// As steps need them: within one `f32` of what `f64` gives.
    #[test]
    fn bias_corrections_are_almost_those_of_f64() {
        for beta in [
            0.0, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999,
        ] {
            let fraction = Fraction::new(beta);
            let (mut power, mut exact) = (Fraction::ONE, 1.0);
            for t in 1..=20_000 {
                power = power.times(fraction);
                exact *= beta;
                let (found, exact) = (power.one_minus().to_f32(), 1.0 - exact);
                assert!(off(found, exact) <= 1, "{beta}, step {t}: {found}");
            }
        }
    }

    /// A rate that is moved counts steps from where it was, and is kept whole.
    #[test]
    fn rates_that_move() {
        for beta in [0.0, 0.5, 0.85, 0.9, 0.95, 0.99] {
            for steps in [0, 1, 2, 7, 60, 200] {
                let mut decay = Decay::new(beta);
                (0..steps).for_each(|_| decay.advance_any());
                assert_eq!(decay.moved(), None);
                assert_eq!(decay.rate(), beta as f32);
                decay.set_beta(0.8125);
                let vanished = decay.moved().map_or(0, |(_, found)| found) < steps;
                assert!(!vanished || beta < 0.9, "{beta} {steps}");
                decay.advance_any();
                decay.set_beta(0.96);
                let Some((rate, found)) = decay.moved() else {
                    panic!("{beta}");
                };
                assert_eq!(rate, 0.96);
                assert!(vanished || found == steps + 1, "{beta}: {found}");
                let exact = f64::from(0.96_f32).powi(found as i32);
                let power = decay.fixed().power.to_f32();
                assert!(
                    (f64::from(power) / exact - 1.0).abs() < 1.5e-7,
                    "{power} {exact}"
                );

                let mut digits = [0.0; 3];
                decay
                    .power
                    .visit("power", &mut |_, now| digits.copy_from_slice(now));
                let mut kept = Decay::new(beta);
                kept.power
                    .visit("power", &mut |_, now| now.copy_from_slice(&digits));
                assert_eq!(kept.power, decay.power);
            }
        }
        for bad in [-0.5, 1.0, 2.0, f32::NAN] {
            let mut decay = Decay::new(0.9);
            decay.set_beta(bad);
            assert!(decay.check("0 <= beta < 1").is_err(), "{bad}");
        }
        for x in [0.0, 1e-30, 0.1, 0.5, 0.9, 1.0_f32.next_down()] {
            let found = Fraction::of_f32(x).0 as f64 / (1_u64 << 63) as f64;
            assert!((found - f64::from(x)).abs() < 1e-18, "{x}");
        }
    }

    #[test]
    fn any_fraction() {
        assert_eq!(Fraction::ONE.to_f32(), 1.0);
        assert_eq!(Fraction::ONE.one_minus().to_f32(), 0.0);
        let mut rng = seeded(3);
        for _ in 0..200_000 {
            let bits = u64::from(rng.next_u32()) << 31 | u64::from(rng.next_u32()) >> 1;
            let fraction = Fraction(bits >> (rng.next_u32() % 60));
            let exact = fraction.0 as f64 / (1_u64 << 63) as f64;
            let found = fraction.to_f32();
            assert!(off(found, exact) <= 1, "{exact}: {found}");
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
