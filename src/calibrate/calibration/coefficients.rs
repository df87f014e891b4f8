//! The polynomial of a calibration: its coefficients for the reading in its own units,
//! and for the scaled reading.

use core::ops::{Add, Mul, Sub};

use super::Calibration;
use crate::calibrate::curve::{Curve, MAX_DEGREE};
use crate::function::TwoFloat;

/// The number of coefficients of a polynomial of the highest degree.
pub(crate) const COEFFICIENTS: usize = MAX_DEGREE + 1;
/// The largest error of the polynomial, as a share of the largest result.
const SIX_DIGITS: f32 = 1e-6;
/// The number of parts of the range at whose ends the error of the coefficients is measured.
const PARTS: usize = 16;

impl Calibration<'_> {
    /// The coefficients of `1, z, z², …` in units of the results, where `z` is the
    /// [scaled](super::super::Scale::apply) reading; those beyond the degree are 0.
    /// `None` for a network or a formula.
    ///
    /// ```
    /// use baregrad::calibrate::{Calibration, Curve, Origin, Scale};
    ///
    /// let calibration = Calibration {
    ///     curve: Curve::Poly(2),
    ///     input: Scale { offset: 50.0.into(), factor: 0.5 },
    ///     output: Scale { offset: 10.0.into(), factor: 0.25 },
    ///     range: [48.0.into(), 52.0.into()],
    ///     params: &[1.0, 0.5, 0.25], // T₁ + T₂ / 2 + 1/4, which is z + z² - 1/4
    ///     origin: Origin::default(),
    /// };
    /// let [c0, c1, c2, ..] = calibration.scaled_coefficients().unwrap();
    /// assert_eq!([c0, c1, c2], [9.0, 4.0, 4.0].map(Into::into));
    /// let [c0, c1, c2, ..] = calibration.coefficients().unwrap(); // z = 0.5 x - 25
    /// assert_eq!([c0, c1, c2], [2409.0, -98.0, 1.0]);
    /// ```
    #[must_use]
    pub fn scaled_coefficients(&self) -> Option<[TwoFloat; COEFFICIENTS]> {
        self.coefficients_of([TwoFloat::ZERO, TwoFloat::ONE])
    }

    /// The coefficients of `1, x, x², …` for the reading `x` in its own units; those
    /// beyond the degree are 0. `None` for a network or a formula, and if terms cancel,
    /// so that the polynomial in `f32` would miss a result in the fitted range by more
    /// than 1e-6 of the largest result there. Use the coefficients for the [scaled
    /// reading](Self::scaled_coefficients) then.
    #[must_use]
    pub fn coefficients(&self) -> Option<[f32; COEFFICIENTS]> {
        let factor = TwoFloat::from(self.input.factor);
        let exact = self.coefficients_of([-(self.input.offset * factor), factor])?;
        let rounded = exact.map(TwoFloat::to_f32);
        let scaled = self.scaled_coefficients()?;
        let [low, high] = self.range;
        let step = high.difference(low) / PARTS as f32;
        let (mut largest, mut off) = (0.0_f32, 0.0_f32);
        for part in 0..=PARTS {
            let x = low.plus(part as f32 * step);
            let [mut found, reading] = [0.0, x.high()];
            for c in rounded.iter().rev() {
                found = found * reading + c;
            }
            let z = TwoFloat::from(self.input.apply(x));
            let mut expected = TwoFloat::ZERO;
            for c in scaled.into_iter().rev() {
                expected = expected * z + c;
            }
            let difference = expected.difference(found.into());
            if !difference.is_finite() {
                return None;
            }
            largest = largest.max(expected.high().abs());
            off = off.max(difference.abs());
        }
        (off <= SIX_DIGITS * largest).then_some(rounded)
    }

    /// Returns whether there are [coefficients](Self::coefficients) for the reading in its own
    /// units.
    #[must_use]
    pub fn has_coefficients(&self) -> bool {
        self.coefficients().is_some()
    }

    /// The coefficients of `1, u, u², …`, where the scaled reading is `a + b u`.
    fn coefficients_of(&self, scaled: [TwoFloat; 2]) -> Option<[TwoFloat; COEFFICIENTS]> {
        let (Curve::Linear | Curve::Poly(_)) = self.curve else {
            return None;
        };
        let mut coefficients = powers(self.params, scaled).map(|c| c / self.output.factor);
        let [constant, ..] = &mut coefficients;
        *constant = *constant + self.output.offset;
        Some(coefficients)
    }
}

/// The coefficients of `1, u, u², …` of a sum of Chebyshev polynomials of `a + b u`;
/// those beyond the degree are 0. The parameters are those of a [curve](super::Curve):
/// the weights of `T₁, T₂, …`, and last the constant.
///
/// Applies the recurrence of the curve itself, `Tₖ₊₁ = 2x Tₖ - Tₖ₋₁`, to coefficients
/// instead of numbers.
pub(crate) fn powers<P, S>(params: &[P], [a, b]: [S; 2]) -> [S; COEFFICIENTS]
where
    P: Copy,
    S: Copy + From<P> + From<f32> + Add<Output = S> + Sub<Output = S> + Mul<Output = S>,
{
    let zero = S::from(0.0_f32);
    let [mut sum, mut before, mut t] = [[zero; COEFFICIENTS]; 3];
    let [one, ..] = &mut t;
    *one = S::from(1.0_f32);
    let weights = params.last().into_iter().chain(params).take(params.len());
    for (k, weight) in weights.enumerate() {
        for (sum, t) in sum.iter_mut().zip(t) {
            *sum = *sum + S::from(*weight) * t;
        }
        // T₁ is x rather than 2x.
        let twice = S::from(if k == 0 { 1.0_f32 } else { 2.0 });
        let mut below = zero;
        for (t, before) in t.iter_mut().zip(&mut before) {
            let next = twice * (a * *t + b * below) - *before;
            (below, *before) = (*t, *t);
            *t = next;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{COEFFICIENTS, powers};
    use crate::function::TwoFloat;

    /// `T₁ = x`, `T₂ = 2x² - 1`, `T₃ = 4x³ - 3x`, `T₄ = 8x⁴ - 8x² + 1`.
    #[test]
    fn chebyshev_polynomials_in_powers() {
        for (params, expected) in [
            (&[2.0, 7.0][..], &[7.0, 2.0][..]),
            (&[0.0, 1.0, 0.0], &[-1.0, 0.0, 2.0]),
            (&[0.0, 0.0, 1.0, 0.0], &[0.0, -3.0, 0.0, 4.0]),
            (&[0.0, 0.0, 0.0, 1.0, 0.5], &[1.5, 0.0, -8.0, 0.0, 8.0]),
        ] {
            let params: &[f32] = params;
            let mut all = [0.0; COEFFICIENTS];
            for (to, x) in all.iter_mut().zip(expected) {
                *to = *x;
            }
            assert_eq!(powers(params, [0.0_f64, 1.0]), all, "{params:?}");
            let pairs = powers(params, [TwoFloat::ZERO, TwoFloat::ONE]);
            assert_eq!(pairs.map(TwoFloat::to_f64), all, "{params:?}");
        }
        // T₂ of 3 - 2u: 2 (9 - 12u + 4u²) - 1.
        let found = powers(&[0.0_f32, 1.0, 0.0], [3.0_f64, -2.0]);
        assert_eq!(found[..4], [17.0, -24.0, 8.0, 0.0]);
    }

    /// The highest degree fits, and has the leading coefficient 2¹¹.
    #[test]
    fn the_highest_degree_has_room() {
        let mut params = [0.0_f32; COEFFICIENTS];
        params[COEFFICIENTS - 2] = 1.0;
        let found = powers(&params, [0.0_f64, 1.0]);
        assert_eq!(found[COEFFICIENTS - 1], 2048.0);
        assert_eq!(found[0], 1.0);
        // All Chebyshev polynomials are 1 at 1.
        assert_eq!(found.iter().sum::<f64>(), 1.0);
    }
}
