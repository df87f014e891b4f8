//! Scales samples for a curve, and rejects samples to which it cannot be fitted.

use core::fmt;

use super::curve::Curve;
use super::samples::distinct;
use super::scale::{Scale, ScaleError};
use crate::function::TwoFloat;

/// The reason why a curve cannot be fitted to samples.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PrepareError {
    /// There are fewer samples than the curve needs.
    TooFew {
        /// The number of samples that the curve needs.
        needed: usize,
        /// The number of samples.
        found: usize,
    },
    /// There are fewer distinct scaled readings than the curve needs.
    Alike {
        /// The number of distinct readings that the curve needs.
        needed: usize,
        /// The number of distinct readings.
        found: usize,
        /// The number of samples.
        samples: usize,
    },
    /// The readings have no scale.
    Readings(ScaleError),
    /// The references have no scale.
    References(ScaleError),
    /// There is too little room for the scaled samples.
    Room {
        /// The number of samples.
        needed: usize,
        /// The number of samples for which there is room.
        capacity: usize,
    },
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrepareError::TooFew { needed, found } => {
                write!(f, "expected at least {needed} samples, found {found}")
            }
            PrepareError::Alike {
                needed,
                found,
                samples,
            } => write!(
                f,
                "expected at least {needed} readings that differ once scaled, found {found} in {samples} samples"
            ),
            PrepareError::Readings(error) => write!(f, "readings: {error}"),
            PrepareError::References(error) => write!(f, "references: {error}"),
            PrepareError::Room { needed, capacity } => {
                write!(f, "expected at most {capacity} samples, found {needed}")
            }
        }
    }
}

impl core::error::Error for PrepareError {}

/// Chooses the scales of readings `x` and references `y` for a curve, writes the scaled
/// values to `scaled_x` and `scaled_y`, as [`Fit`](super::Fit) takes them, and returns
/// both scales. The bits are the same on every target.
///
/// Repeated readings carry no new information, so the curve needs
/// [`min_samples`](Curve::min_samples) distinct ones. References may all be equal.
///
/// ```
/// use baregrad::calibrate::{Curve, TwoFloat, prepare};
///
/// let readings = [10.0, 20.0, 30.0].map(TwoFloat::from);
/// let references = [5.0; 3].map(TwoFloat::from);
/// let (mut x, mut y) = ([0.0; 3], [0.0; 3]);
/// let [input, output] =
///     prepare(&Curve::Poly(1), readings.into_iter(), references.into_iter(), &mut x, &mut y)?;
/// assert_eq!((x, y), ([-1.0, 0.0, 1.0], [0.0; 3]));
/// assert_eq!((input.factor, output.offset), (0.1, 5.0.into()));
/// # Ok::<(), baregrad::calibrate::PrepareError>(())
/// ```
///
/// # Errors
/// There are too few samples or too few distinct readings; the readings or references
/// have no scale; or there is too little room.
pub fn prepare(
    curve: &Curve,
    x: impl Iterator<Item = TwoFloat> + Clone,
    y: impl Iterator<Item = TwoFloat> + Clone,
    scaled_x: &mut [f32],
    scaled_y: &mut [f32],
) -> Result<[Scale; 2], PrepareError> {
    let samples = x.clone().count().min(y.clone().count());
    let needed = curve.min_samples();
    if samples < needed {
        let found = samples;
        return Err(PrepareError::TooFew { needed, found });
    }
    let capacity = scaled_x.len().min(scaled_y.len());
    if samples > capacity {
        let needed = samples;
        return Err(PrepareError::Room { needed, capacity });
    }
    let alike = |found| PrepareError::Alike {
        needed,
        found,
        samples,
    };
    let (x, y) = (x.take(samples), y.take(samples));
    let input = match Scale::fit(x.clone(), curve.scaling()) {
        Err(ScaleError::Constant { .. }) => return Err(alike(1)),
        input => input.map_err(PrepareError::Readings)?,
    };
    let found = distinct(x.clone().map(|x| input.apply(x)), needed);
    if found < needed {
        return Err(alike(found));
    }
    let output = match Scale::fit(y.clone(), curve.output_scaling()) {
        Err(ScaleError::Constant { value }) => Ok(Scale {
            offset: value,
            factor: 1.0,
        }),
        output => output,
    };
    let output = output.map_err(PrepareError::References)?;
    for (to, x) in scaled_x.iter_mut().zip(x) {
        *to = input.apply(x);
    }
    for (to, y) in scaled_y.iter_mut().zip(y) {
        *to = output.apply(y);
    }
    Ok([input, output])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{PrepareError, prepare};
    use crate::calibrate::{Curve, Scale, TwoFloat};

    fn prepared(curve: &str, readings: &[f32]) -> Result<[Scale; 2], PrepareError> {
        let curve = Curve::parse(curve).unwrap();
        let x = readings.iter().map(|x| TwoFloat::from(*x));
        let y = (0..readings.len()).map(|i| TwoFloat::from(i as f32));
        let mut room = std::vec![[0.0; 48]; 2];
        let (x_room, y_room) = room.split_at_mut(1);
        prepare(
            &curve,
            x,
            y,
            x_room.as_flattened_mut(),
            y_room.as_flattened_mut(),
        )
    }

    /// A polynomial needs a distinct reading for each of its coefficients, one more than
    /// its degree; a network needs one more than it has units.
    #[test]
    fn readings_must_differ_as_often_as_the_curve_needs() {
        let values = [0.1, 16_777.217, -3.0, 0.101, 7.0, 1e4];
        for (curve, needed) in [("linear", 2), ("poly:2", 3), ("poly:3", 4), ("mlp:5", 6)] {
            for samples in 0..needed {
                let few: Vec<f32> = values.into_iter().take(samples).collect();
                let error = PrepareError::TooFew {
                    needed,
                    found: samples,
                };
                assert_eq!(prepared(curve, &few), Err(error), "{curve}");
            }
            for found in 1..=needed {
                for samples in [needed, 7, 13, 48] {
                    let in_turn = values.into_iter().take(found).cycle().take(samples);
                    let in_turn: Vec<f32> = in_turn.collect();
                    let expected = PrepareError::Alike {
                        needed,
                        found,
                        samples,
                    };
                    match prepared(curve, &in_turn) {
                        Ok(_) => assert_eq!(found, needed, "{curve}"),
                        Err(error) => assert_eq!(error, expected, "{curve}"),
                    }
                }
            }
        }
    }

    #[test]
    fn samples_without_room_and_without_a_scale_are_refused() {
        let many: Vec<f32> = (0..49).map(|i| i as f32).collect();
        let room = PrepareError::Room {
            needed: 49,
            capacity: 48,
        };
        assert_eq!(prepared("linear", &many), Err(room));
        for readings in [[1.0, f32::NAN], [0.0, 1e-45]] {
            let found = prepared("linear", &readings);
            assert!(matches!(found, Err(PrepareError::Readings(_))), "{found:?}");
        }
        let y = [0.0, f32::INFINITY].map(TwoFloat::from).into_iter();
        let x = [1.0, 2.0].map(TwoFloat::from).into_iter();
        let found = prepare(&Curve::Linear, x, y, &mut [0.0; 2], &mut [0.0; 2]);
        assert!(
            matches!(found, Err(PrepareError::References(_))),
            "{found:?}"
        );
    }
}
