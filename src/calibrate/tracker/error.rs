//! The reasons why a sample is left out, and why a calibration cannot be tracked.

use core::fmt;

use crate::calibrate::decimal::Decimal;
use crate::least_squares::OutOfRange;

/// The reason why a sample was left out. The parameters have not changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LeftOut {
    /// The sample, the result of the reading or its derivatives are not finite.
    NotFinite,
    /// The sample is outside the gate.
    Outlier {
        /// The reference less the result, in units of the results.
        off: f32,
        /// The expected standard deviation of this difference.
        deviation: f32,
        /// The number of successive samples left out so far.
        in_a_row: u32,
    },
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeftOut::NotFinite => f.write_str(
                "expected a sample with a finite result and derivatives, found none: left out",
            ),
            LeftOut::Outlier {
                off,
                deviation,
                in_a_row,
            } => write!(
                f,
                "expected a sample in the gate, found it off by {} where the standard deviation is {}: left out, {in_a_row} in a row",
                Decimal(*off),
                Decimal(*deviation)
            ),
        }
    }
}

impl core::error::Error for LeftOut {}

/// The reason why a calibration cannot be tracked.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum TrackError {
    /// The curve is a network, which has too many parameters for single samples to determine.
    Network,
    /// The curve has more parameters than there is room for.
    Room {
        /// The number of floats needed.
        needed: usize,
        /// The number of floats available.
        capacity: usize,
    },
    /// The forgetting factor is not in `0.5 < x <= 1`, the gate or the standard deviation is not
    /// positive, or the standard deviation that follows from the calibration is out of range.
    Option(OutOfRange),
}

impl fmt::Display for TrackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrackError::Network => {
                f.write_str("expected a line, a polynomial or a function to track, found a network")
            }
            TrackError::Room { needed, capacity } => write!(
                f,
                "expected a curve that is tracked in {capacity} floats, it takes {needed}"
            ),
            // Does not use the error's own `Display`, because a board has no room for
            // `core`'s formatting of floats.
            TrackError::Option(error) => write!(
                f,
                "{}: expected {}, found {}",
                error.what(),
                error.expected(),
                Decimal(error.found())
            ),
        }
    }
}

impl core::error::Error for TrackError {}

impl From<OutOfRange> for TrackError {
    fn from(error: OutOfRange) -> Self {
        TrackError::Option(error)
    }
}
