//! Calibrates a sensor, on the desktop and on the device itself, by the same code and
//! with the same bits. No `std`, no heap, no panics.
//!
//! ```
//! use baregrad::calibrate::{Curve, TwoFloat, Scale, Scaling};
//! use baregrad::Arena;
//!
//! // Pressures around which the steps of f32 are 0.0078, in decimal text.
//! let readings = ["101325.05", "101325.13", "101325.21", "101324.97"];
//! let readings: Vec<TwoFloat> = readings.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
//!
//! let curve = Curve::Linear;
//! let scale = Scale::fit(readings.iter().copied(), curve.scaling())?;
//! let scaled: Vec<f32> = readings.iter().map(|x| scale.apply(*x)).collect();
//!
//! let mut arena = Arena::<64, 8>::new();
//! let tape = arena.tape();
//! let y = curve.record(tape.input(&scaled, [4, 1]), &[2.0, 1.0]); // 2 x + 1
//! assert_eq!(y.value()?[0], 2.0 * scaled[0] + 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | |
//! | --- | --- |
//! | [`TwoFloat`], [`Decimal`], [`Approximate`] | numbers of 48 bits, and decimal text without `f64` |
//! | [`Differences`] | many such numbers, in the memory of `f32` |
//! | [`Scale`], [`Scaling`], [`prepare()`] | scales values to a size that learns well, and back |
//! | [`Curve`], [`Formula`], [`FORMULAS`] | lines, polynomials, small networks, formulas |
//! | [`Fit`], [`EarlyStopping`] | gradient descent, an epoch at a time, and why it ended |
//! | [`CurveSolver`] | least squares instead of gradient descent, with standard errors |
//! | [`Tracker`] | a calibration that follows new samples, one at a time |
//! | [`Calibration`] | curve, scales and parameters: converts readings to calibrated values |
//! | [`Multivariate`] | the same for several inputs |
//! | [`Record`], [`Writer`] | stored state as bytes |

mod calibration;
mod curve;
mod decimal;
mod differences;
mod early;
mod epoch;
mod fit;
mod formula;
mod multivariate;
mod outcome;
mod prepare;
mod samples;
mod scale;
mod solver;
#[cfg(feature = "std")]
mod source;
pub(crate) mod start;
mod terms;
mod tracker;
mod uncertainty;

pub use crate::function::TwoFloat;
pub use crate::record::{Array, Record, RecordError, VERSION, Value, Writer, crc32};
#[cfg(feature = "std")]
pub(crate) use calibration::powers;
pub use calibration::{Calibration, Origin, PredictError, Prediction, range};
pub use curve::{Curve, MAX_DEGREE, MAX_HIDDEN, MAX_NAME, MAX_WIDTH, Widths};
pub use decimal::{Approximate, Decimal, DecimalError};
pub use differences::{Differences, Full};
pub use early::EarlyStopping;
#[cfg(feature = "std")]
pub(crate) use early::Watch;
#[cfg(feature = "std")]
pub(crate) use epoch::{Course, Measured, Recorded, Rows};
pub use fit::{Fit, Poll, ROWS};
pub use formula::{FORMULAS, Formula};
pub use multivariate::{Input, MAX_TERMS, Multivariate};
pub use outcome::{Losses, Reason};
pub use prepare::{PrepareError, prepare};
pub use samples::{Samples, distinct, move_behind};
#[cfg(feature = "std")]
pub(crate) use scale::FINE;
pub use scale::{Scale, ScaleError, Scaling};
pub use solver::CurveSolver;
#[cfg(feature = "std")]
pub(crate) use source::Words;
pub use terms::MAX_INPUTS;
#[cfg(feature = "std")]
pub(crate) use terms::{Degrees, chebyshev};
pub use tracker::{LeftOut, TrackError, Tracked, Tracker, Tracking};
