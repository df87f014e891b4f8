//! Columns that lose significant differences when rounded to `f32`.

use core::fmt;
use std::string::{String, ToString};

use super::digits::{Shortest, significant};

/// A column that `f32` does not resolve well: its values lie so far from 0 that the
/// spacing of `f32` there is more than a thousandth of their standard deviation.
///
/// Columns of integers of up to 24 bits are never coarse, because `f32` holds them exactly.
///
/// A [`Scaler`](super::Scaler) subtracts the origin before it rounds to `f32`, so scaled
/// columns are not coarse either.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Coarse {
    /// The name of the column.
    pub column: String,
    /// The value of the column that is farthest from 0.
    pub farthest: f64,
    /// The distance between neighbouring `f32` values at `farthest`.
    pub spacing: f64,
    /// The standard deviation of the column.
    pub deviation: f64,
}

/// The largest spacing of `f32` that is not coarse, as a share of the standard deviation.
pub(super) const FINE: f64 = crate::calibrate::FINE as f64;

/// Returns whether a number is an integer of at most 24 bits, which `f32` holds exactly.
pub(super) fn is_count(x: &f64) -> bool {
    x.fract() == 0.0 && x.abs() <= f64::from(1 << f32::MANTISSA_DIGITS)
}

impl Coarse {
    /// Returns `None` for a column that `f32` resolves well, and for a constant column.
    pub(super) fn of(column: &str, values: &[f64]) -> Option<Self> {
        let farthest = values.iter().copied();
        let farthest = farthest.reduce(|a, b| if b.abs() > a.abs() { b } else { a })?;
        let deviation = deviation(values);
        let spacing = spacing(farthest);
        let coarse = deviation > 0.0 && spacing > FINE * deviation && !values.iter().all(is_count);
        coarse.then(|| Coarse {
            column: column.to_string(),
            farthest,
            spacing,
            deviation,
        })
    }
}

impl fmt::Display for Coarse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Coarse {
            column,
            farthest,
            spacing,
            deviation,
        } = self;
        write!(
            f,
            "column `{column}`: f32 has steps of {} at {}, {} of the standard deviation of {}",
            significant(*spacing, 3),
            Shortest(*farthest),
            significant(spacing / deviation, 3),
            significant(*deviation, 3)
        )
    }
}

/// The distance from `|x|`, rounded to `f32`, to the next larger `f32`.
pub(super) fn spacing(x: f64) -> f64 {
    let x = (x.abs() as f32).min(f32::MAX.next_down());
    f64::from(x.next_up()) - f64::from(x)
}

/// The mean.
pub(super) fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    // Sums differences from the first value, because sums of values far from 0 would lose
    // digits.
    let origin = values.clone().next().unwrap_or(0.0);
    let n = values.clone().count() as f64;
    origin + values.map(|x| x - origin).sum::<f64>() / n
}

/// The sum of the squared differences from `mean`, in units of `unit`².
pub(super) fn squares(values: impl Iterator<Item = f64>, mean: f64, unit: f64) -> f64 {
    let squares = values.map(|x| (x - mean) / unit).map(|x| x * x);
    squares.sum()
}

/// The population standard deviation.
pub(super) fn deviation(values: &[f64]) -> f64 {
    let all = values.iter().copied();
    let mean = mean(all.clone());
    let deviation = |unit: f64| {
        let squares = squares(all.clone(), mean, unit);
        libm::sqrt(squares / values.len() as f64) * unit
    };
    match deviation(1.0) {
        // Squares of small differences underflow unless the unit is the largest difference.
        plain if plain < SQUARED => {
            let largest = all
                .clone()
                .fold(0.0, |most: f64, x| most.max((x - mean).abs()));
            if largest > 0.0 {
                deviation(largest)
            } else {
                0.0
            }
        }
        plain => plain,
    }
}

/// Numbers of at least this size have squares that are normal numbers of `f64`.
const SQUARED: f64 = 1e-150;
