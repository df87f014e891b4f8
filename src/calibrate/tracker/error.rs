//! Why a sample is left out, and why a calibration cannot be tracked.

use core::fmt;

use crate::calibrate::decimal::Decimal;
use crate::least_squares::OutOfRange;

/// Why a sample was left out. The parameters are as before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LeftOut {
    /// The sample, the result of the reading or its derivatives are not finite.
    NotFinite,
    /// The sample is outside of the gate.
    Outlier {
        /// How much more it is than the result, in the unit of the results.
        off: f32,
        /// The standard deviation that this should have.
        deviation: f32,
        /// How many have been left out one after the other.
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

/// Why a calibration cannot be tracked.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum TrackError {
    /// The curve is a network, whose parameters are too many and no sample tells apart.
    Network,
    /// The curve has more parameters than there is room for.
    Room {
        /// How many floats it takes.
        needed: usize,
        /// How many there are.
        capacity: usize,
    },
    /// The forgetting factor is not above 0.5 and at most 1, the gate or the standard deviation
    /// is not positive, or one that makes no sense follows from the calibration.
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
            // Not by its own `Display`: a board has no room for `core`'s formatting of floats.
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
