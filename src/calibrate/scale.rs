//! Scales readings and references to a size that learns well, and back.
//!
//! ```text
//! scaled  = (x - offset) * factor
//! x       = scaled / factor + offset
//! ```
//!
//! The difference is computed from [pairs](TwoFloat) before anything is rounded, so that a model
//! of readings near 4e9 in steps of 200 resolves the steps. If one `f32` is precise enough for
//! the offset, the offset is one, and the formula can be computed in `f32`.

use core::fmt;
use core::ops::{Add, Div, Mul, Sub};

use super::decimal::Decimal;
use crate::function::Real;
use crate::function::TwoFloat;
use crate::kernel::Lanes;

/// The largest spacing of numbers that is not coarse, as a share of their spread: errors
/// of a thousandth are below the noise of sensors.
pub(crate) const FINE: f32 = 1e-3;

/// The rule by which a [`Scale`] is chosen from values.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scaling {
    /// Scales to mean 0 and (population) standard deviation 1.
    Standard,
    /// Scales to the range from -1 to 1.
    MinMax,
    /// Multiplies by this factor, without an offset.
    Fixed(f32),
}

/// A linear scale, `scaled = (x - offset) * factor`.
///
/// ```
/// use baregrad::calibrate::{TwoFloat, Scale, Scaling};
///
/// let readings = [10.0, 20.0, 30.0].map(TwoFloat::from);
/// let scale = Scale::fit(readings.into_iter(), Scaling::MinMax)?;
/// assert_eq!(scale, Scale { offset: 20.0.into(), factor: 0.1 });
/// assert_eq!(readings.map(|x| scale.apply(x)), [-1.0, 0.0, 1.0]);
/// assert_eq!(scale.invert(0.5), TwoFloat::from(25.0));
/// # Ok::<(), baregrad::calibrate::ScaleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The value that becomes 0, in the units of the values. It is an `f32`, unless
    /// rounding would move it by more than a thousandth of the spread; then it differs
    /// from the first value by a short binary number.
    pub offset: TwoFloat,
    /// The factor of the difference, 1 over the [spread](Self::spread).
    pub factor: f32,
}

/// The reason why no scale can be chosen from values.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ScaleError {
    /// There are no values.
    Empty,
    /// A value is not finite.
    NotFinite {
        /// The index of the value, counted from 0.
        index: usize,
    },
    /// All values are equal.
    Constant {
        /// The value.
        value: TwoFloat,
    },
    /// The spread of the values is too small or too large for `f32`.
    Spread {
        /// The standard deviation, or half of the range, that was found.
        found: f32,
    },
    /// The factor is 0 or not finite.
    Factor {
        /// The factor.
        found: f32,
    },
}

impl fmt::Display for ScaleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScaleError::Empty => f.write_str("expected values to choose a scale from, found none"),
            ScaleError::NotFinite { index } => {
                write!(f, "expected finite values, found another at index {index}")
            }
            ScaleError::Constant { value } => {
                write!(f, "expected values that differ, found only {value}")
            }
            ScaleError::Spread { found } => write!(
                f,
                "expected values whose spread f32 holds, found one of {}: use another unit",
                Decimal(*found)
            ),
            ScaleError::Factor { found } => write!(
                f,
                "expected a finite factor other than 0, found {}",
                Decimal(*found)
            ),
        }
    }
}

impl core::error::Error for ScaleError {}

impl Scale {
    /// The identity.
    pub const ONE: Self = Scale {
        offset: TwoFloat::ZERO,
        factor: 1.0,
    };

    /// Chooses the scale of these values. Sums run in the order of the values, with
    /// compensated rounding errors.
    ///
    /// # Errors
    /// There are no values; a value is not finite; all values are equal; or `f32` cannot
    /// hold the spread or the factor.
    pub fn fit(
        values: impl Iterator<Item = TwoFloat> + Clone,
        scaling: Scaling,
    ) -> Result<Self, ScaleError> {
        let origin = values.clone().next().ok_or(ScaleError::Empty)?;
        if let Some(index) = values.clone().position(|x| !x.is_finite()) {
            return Err(ScaleError::NotFinite { index });
        }
        if let Scaling::Fixed(factor) = scaling {
            let scale = Scale {
                offset: TwoFloat::ZERO,
                factor,
            };
            return if scale.is_usable() {
                Ok(scale)
            } else {
                Err(ScaleError::Factor { found: factor })
            };
        }
        let range = |origin: TwoFloat| {
            let differences = values.clone().map(|x| x.difference(origin));
            let none = (f32::INFINITY, f32::NEG_INFINITY);
            differences.fold(none, |(low, high), x| (low.min(x), high.max(x)))
        };
        let (mut low, mut high) = range(origin);
        let mut origin = origin;
        if !low.is_finite() || !high.is_finite() {
            // The values are f32, and their differences overflow f32.
            origin = TwoFloat::ZERO;
            (low, high) = range(origin);
        }
        if low == high {
            return Err(ScaleError::Constant { value: origin });
        }
        // In units of the largest difference, neither sums nor squares overflow or
        // underflow. The unit is a power of two, so dividing by it rounds nothing.
        let largest = (-low).max(high);
        let unit = f32::from_bits(largest.to_bits() & 0x7f80_0000).max(f32::MIN_POSITIVE);
        let shares = values.map(|x| x.difference(origin) / unit);
        let (mut sum, mut count) = (TwoFloat::ZERO, 0_usize);
        for share in shares.clone() {
            sum = sum.plus(share);
            count += 1;
        }
        let count = count as f32;
        let (centre, spread) = match scaling {
            Scaling::MinMax => (high / 2.0 + low / 2.0, high / 2.0 - low / 2.0),
            _ => {
                let mean = sum.high() / count;
                let mut squares = TwoFloat::ZERO;
                for share in shares {
                    squares = squares.plus((share - mean) * (share - mean));
                }
                (mean * unit, Lanes::sqrt(squares.high() / count) * unit)
            }
        };
        let scale = Scale {
            offset: offset(origin, centre, spread),
            factor: 1.0 / spread,
        };
        if scale.is_usable() {
            Ok(scale)
        } else {
            Err(ScaleError::Spread { found: spread })
        }
    }

    /// The scaled value.
    #[must_use]
    pub fn apply(&self, x: TwoFloat) -> f32 {
        x.difference(self.offset) * self.factor
    }

    /// The value in its own units, from the scaled value.
    #[must_use]
    pub fn invert(&self, scaled: f32) -> TwoFloat {
        self.offset.plus(scaled / self.factor)
    }

    /// [`apply`](Self::apply) to a value of any type that computes in `f32`, such as a
    /// number or a [`Var`](crate::Var). The offset is rounded to `f32`.
    #[track_caller]
    #[must_use]
    pub fn apply_in<S: Real>(&self, x: S) -> S {
        scaled(x, self.offset.high(), self.factor)
    }

    /// [`invert`](Self::invert), rounded to `f32`, for any type that computes in `f32`.
    #[track_caller]
    #[must_use]
    pub fn invert_in<S: Real>(&self, scaled: S) -> S {
        inverted(scaled, self.offset.high(), self.factor)
    }

    /// Converts a mean of squares of scaled values, such as a loss, to the square of the
    /// units of the values.
    #[must_use]
    pub fn invert_square(&self, scaled: f32) -> f32 {
        scaled / self.factor / self.factor
    }

    /// The distance from the offset of the values that become 1 and -1.
    #[must_use]
    pub fn spread(&self) -> f32 {
        1.0 / self.factor.abs()
    }

    /// Returns whether the scale can be applied and inverted.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.offset.is_finite() && self.factor.is_finite() && self.factor != 0.0
    }

    /// The spacing of pairs at the value `farthest`, if it is more than a thousandth of
    /// the spread. Then even pairs lose significant digits, and an origin should be
    /// subtracted before values are read.
    ///
    /// ```
    /// use baregrad::calibrate::{TwoFloat, Scale, Scaling};
    ///
    /// // Pairs resolve nanoseconds since 1970 that spread over 10 ms, but not over 1 µs.
    /// let time: TwoFloat = "1764410430000000000".parse()?;
    /// let scale = |step: f32| Scale { offset: time, factor: 1.0 / step };
    /// assert_eq!(scale(1e7).lost(time), None);
    /// assert!(scale(1e3).lost(time) > Some(1000.0));
    /// # Ok::<(), baregrad::calibrate::DecimalError>(())
    /// ```
    #[must_use]
    pub fn lost(&self, farthest: TwoFloat) -> Option<f32> {
        let spacing = farthest.spacing();
        (spacing > FINE * self.spread()).then_some(spacing)
    }
}

/// `(x - offset) * factor`, for numbers and for types with numbers of their own.
#[track_caller]
#[inline(always)]
pub(super) fn scaled<S, N>(x: S, offset: N, factor: N) -> S
where
    S: Sub<N, Output = S> + Mul<N, Output = S>,
{
    (x - offset) * factor
}

/// The inverse of [`scaled`]: `scaled / factor + offset`.
#[track_caller]
#[inline(always)]
pub(super) fn inverted<S, N>(scaled: S, offset: N, factor: N) -> S
where
    S: Div<N, Output = S> + Add<N, Output = S>,
{
    scaled / factor + offset
}

/// The first value plus `centre`, or a shorter number near it: an `f32`, or the first
/// value plus a short binary number.
fn offset(origin: TwoFloat, centre: f32, spread: f32) -> TwoFloat {
    let exact = origin.plus(centre);
    if exact.low().abs() <= FINE * spread {
        return exact.high().into();
    }
    // The largest power of two up to a hundredth of the spread.
    let step = f32::from_bits((spread / 100.0).to_bits() & 0x7f80_0000);
    let steps = libm::roundf(centre / step);
    if step > 0.0 && steps.is_finite() {
        origin.plus(steps * step)
    } else {
        exact
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{Scale, ScaleError, Scaling};
    use crate::calibrate::TwoFloat;

    fn pairs(texts: &[&str]) -> Vec<TwoFloat> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// The mean and the standard deviation of decimal texts, in f64.
    fn exact(texts: &[&str]) -> (f64, f64) {
        let values: Vec<f64> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let (n, first) = (values.len() as f64, *values.first().unwrap());
        let mean = values.iter().map(|x| x - first).sum::<f64>() / n;
        let squares = values.iter().map(|x| (x - first - mean).powi(2));
        (first + mean, (squares.sum::<f64>() / n).sqrt())
    }

    #[test]
    fn readings_that_f32_does_not_hold_are_scaled_by_their_differences() {
        for texts in [
            &["101325.05", "101325.13", "101325.21", "101324.97"][..],
            &["8388607.0625", "8388606.25", "8388605.5", "8388600.125"],
            &["1764410400", "1764410430.5", "1764410460.25"],
            &["4155915305", "4155915503", "4155915996", "4155917705"],
            &["35.7", "55.9", "58.2", "81.9"],
            &["1e-30", "3e-30", "2e-30"],
            &["-3e38", "3e38", "1e38"],
        ] {
            let values = pairs(texts);
            let scale = Scale::fit(values.iter().copied(), Scaling::Standard).unwrap();
            let (mean, deviation) = exact(texts);
            let off = (scale.offset.to_f64() - mean).abs() / deviation;
            assert!(off < 0.011, "{texts:?}: mean off by {off} deviations");
            assert!(
                (f64::from(scale.spread()) / deviation - 1.0).abs() < 1e-6,
                "{texts:?}"
            );
            for (x, text) in values.iter().zip(texts) {
                let expected = (text.parse::<f64>().unwrap() - scale.offset.to_f64()) / deviation;
                let found = f64::from(scale.apply(*x));
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{text}: {found} {expected}"
                );
                let back = scale.invert(scale.apply(*x)).to_f64();
                let off = (back - x.to_f64()).abs() / deviation;
                assert!(off < 1e-6, "{text}: {back}");
            }
        }
    }

    /// If f32 holds the readings, the formula in f32 gives the same bits.
    #[test]
    fn formulas_in_f32_have_the_same_bits() {
        let values: Vec<f32> = (0..400).map(|i| 90.0 + 1.1 * i as f32).collect();
        let pairs = values.iter().map(|x| TwoFloat::from(*x));
        for scaling in [Scaling::Standard, Scaling::MinMax, Scaling::Fixed(0.1)] {
            let scale = Scale::fit(pairs.clone(), scaling).unwrap();
            assert_eq!(scale.offset.low(), 0.0);
            for x in values
                .iter()
                .copied()
                .chain([1e30, -3e38, 1e-40, f32::INFINITY])
            {
                let scaled = scale.apply(x.into());
                assert_eq!(scaled.to_bits(), scale.apply_in(x).to_bits(), "{x}");
                let back = scale.invert(scaled).high();
                assert_eq!(back.to_bits(), scale.invert_in(scaled).to_bits(), "{x}");
            }
        }
    }

    #[test]
    fn values_without_a_spread_are_refused() {
        let fit = |values: &[f32]| {
            let values = values.iter().map(|x| TwoFloat::from(*x));
            Scale::fit(values, Scaling::Standard)
        };
        assert_eq!(fit(&[]), Err(ScaleError::Empty));
        assert_eq!(
            fit(&[7.0; 3]),
            Err(ScaleError::Constant { value: 7.0.into() })
        );
        assert_eq!(
            fit(&[1.0, f32::NAN]),
            Err(ScaleError::NotFinite { index: 1 })
        );
        assert!(matches!(fit(&[0.0, 1e-45]), Err(ScaleError::Spread { .. })));
        for factor in [0.0, -0.0, f32::NAN, f32::INFINITY] {
            let found = Scale::fit([TwoFloat::ZERO].into_iter(), Scaling::Fixed(factor));
            assert!(matches!(found, Err(ScaleError::Factor { .. })), "{factor}");
        }
        // Readings whose differences pairs resolve, but f32 does not.
        let near = pairs(&["16777216.1", "16777216.2"]);
        let scale = Scale::fit(near.iter().copied(), Scaling::MinMax).unwrap();
        assert!((scale.spread() - 0.05).abs() < 1e-8, "{}", scale.spread());
    }

    /// Sums of many values are as precise as sums of few.
    #[test]
    fn a_million_values_have_the_mean_of_exact_arithmetic() {
        let values = (0..1_000_000).map(|i| TwoFloat::from(0.1 + (i % 1000) as f32));
        let scale = Scale::fit(values, Scaling::Standard).unwrap();
        // The mean is 499.6, and the variance that of 0..1000, (1000² - 1) / 12.
        assert!(
            (scale.offset.high() - 499.6).abs() < 1e-4,
            "{:?}",
            scale.offset
        );
        let deviation = (999_999.0_f64 / 12.0).sqrt();
        assert!((f64::from(scale.spread()) / deviation - 1.0).abs() < 1e-6);
    }
}
