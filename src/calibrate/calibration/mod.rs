//! A calibration, which converts readings to calibrated values; its record, and its
//! polynomial in powers.

mod coefficients;
mod record;

use core::fmt;

pub(crate) use coefficients::{COEFFICIENTS, powers};
pub(super) use record::{SCALE, numbers_of, scale_of};

use super::curve::Curve;
use super::scale::Scale;
use crate::error::Error;
use crate::function::TwoFloat;
use crate::tape::Tape;

/// Converts readings to calibrated values, in the units of the data: a curve, its
/// parameters, and the scales of readings and results. The caller owns the memory of the
/// parameters, on a heap or not.
///
/// ```
/// use baregrad::calibrate::{Calibration, Curve, Origin, TwoFloat, Scale};
/// use baregrad::Arena;
///
/// let calibration = Calibration {
///     curve: Curve::Linear,
///     input: Scale { offset: 50.0.into(), factor: 0.1 },
///     output: Scale { offset: 10.0.into(), factor: 0.125 },
///     range: [20.0.into(), 80.0.into()],
///     params: &[1.0, 0.25],
///     origin: Origin { samples: 11, epochs: 500, loss: 2.9 },
/// };
///
/// let mut arena = Arena::<32, 8>::new();
/// let reading: TwoFloat = "60".parse()?;
/// let prediction = calibration.predict(&arena.tape(), reading)?;
/// assert_eq!(prediction.value.high(), 8.0 * (1.0 * (60.0 - 50.0) * 0.1 + 0.25) + 10.0);
/// assert!(prediction.is_inside);
///
/// // Writes the record, and reads it on another machine.
/// let mut bytes = [0; 256];
/// let bytes = calibration.write(&mut bytes)?;
/// let mut params = [0.0; 2];
/// assert_eq!(Calibration::read(bytes, &mut params)?, calibration);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration<'p> {
    /// The curve, which converts scaled readings to scaled results.
    pub curve: Curve,
    /// The scale of readings.
    pub input: Scale,
    /// The scale of results.
    pub output: Scale,
    /// The smallest and the largest reading to which the curve was fitted.
    pub range: [TwoFloat; 2],
    /// The parameters of the curve, [`param_count`](Curve::param_count) of them.
    pub params: &'p [f32],
    /// The number of samples and passes of the fit, and its loss.
    pub origin: Origin,
}

/// The fit from which a calibration comes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Origin {
    /// The number of samples of the fit.
    pub samples: u32,
    /// The number of passes over the samples.
    pub epochs: u32,
    /// The mean squared error after the fit, in the square of the units of the results.
    pub loss: f32,
}

/// The calibrated value of a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The value, in units of the results.
    pub value: TwoFloat,
    /// Whether the reading is in the range to which the calibration was fitted. Outside,
    /// the error of the value is unknown.
    pub is_inside: bool,
}

/// The reason why there is no prediction.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum PredictError {
    /// The reading, or the value of the curve, is not finite.
    NotFinite {
        /// The result. It can be finite if the reading is not.
        found: f32,
    },
    /// The arena is too small for the curve, or the curve has another number of parameters.
    Tape(Error),
}

impl fmt::Display for PredictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PredictError::NotFinite { found } => write!(
                f,
                "expected a reading with a finite result, found {}",
                super::Decimal(*found)
            ),
            PredictError::Tape(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for PredictError {}

impl From<Error> for PredictError {
    fn from(error: Error) -> Self {
        PredictError::Tape(error)
    }
}

/// The smallest and the largest of some numbers; `None` without numbers.
///
/// ```
/// use baregrad::calibrate::{TwoFloat, range};
///
/// let readings = [3.0, 1.0, 2.0].map(TwoFloat::from);
/// assert_eq!(range(readings.into_iter()), Some([1.0.into(), 3.0.into()]));
/// ```
pub fn range(mut values: impl Iterator<Item = TwoFloat>) -> Option<[TwoFloat; 2]> {
    let first = values.next()?;
    Some(values.fold([first, first], |[low, high], x| {
        [
            if x < low { x } else { low },
            if x > high { x } else { high },
        ]
    }))
}

impl Calibration<'_> {
    /// Predicts the calibrated value of a reading, with the same bits on every machine.
    /// The tape needs room for the parameters, twice, and for the widest layers; a
    /// formula does not use the tape.
    ///
    /// # Errors
    /// The reading or the result is not finite, the arena is too small, or the curve has another
    /// number of parameters.
    pub fn predict<'t>(
        &self,
        tape: &'t Tape<'t>,
        reading: TwoFloat,
    ) -> Result<Prediction, PredictError> {
        let x = self.input.apply(reading);
        let scaled = match self.curve {
            // Computes the same bits as the tape, without planning.
            Curve::Function(formula) if self.params.len() == formula.parameters().len() => {
                formula.value(x, self.params)
            }
            curve => {
                let x = tape.constant(&[x], [1, 1]);
                tape.no_grad(|| curve.record(x, self.params)).item()?
            }
        };
        let value = self.output.invert(scaled);
        if !reading.is_finite() || !value.is_finite() {
            return Err(PredictError::NotFinite {
                found: value.high(),
            });
        }
        Ok(Prediction {
            value,
            is_inside: self.covers(reading),
        })
    }

    /// Returns whether a reading is in the range to which the calibration was fitted, give or
    /// take the error of the range: readings are kept as
    /// [differences](super::Differences) in `f32`.
    #[must_use]
    pub fn covers(&self, reading: TwoFloat) -> bool {
        covers(self.range, reading)
    }

    /// The largest error of the ends of the range, 2⁻²³ of its width.
    #[must_use]
    pub fn range_is_off_by(&self) -> f32 {
        is_off_by(self.range)
    }
}

/// The largest error of the ends of a range: see [`Calibration::range_is_off_by`].
#[inline(always)] // as if it stood in the callers
fn is_off_by([low, high]: [TwoFloat; 2]) -> f32 {
    high.difference(low) * f32::EPSILON
}

/// Returns whether a reading is in a range: see [`Calibration::covers`].
#[inline(always)] // as if it stood in the callers
pub(super) fn covers([low, high]: [TwoFloat; 2], reading: TwoFloat) -> bool {
    let off = is_off_by([low, high]);
    reading.difference(low) >= -off && high.difference(reading) >= -off
}
