//! Columns that lose digits that matter when rounded to `f32`.

use core::fmt;
use std::string::{String, ToString};

use super::digits::{Shortest, significant};

/// A column that `f32` does not hold well: its values stand so far from 0 that the
/// spacing of `f32` there is more than a thousandth of their standard deviation.
///
/// Integers of up to 24 bits are never such: `f32` has them all.
///
/// A [`Scaler`](super::Scaler) takes off the origin before numbers are rounded, so
/// that scaled columns are not such either.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Coarse {
    /// The column.
    pub column: String,
    /// Its value that is farthest from 0.
    pub farthest: f64,
    /// By how much neighbours among the `f32` differ there.
    pub spacing: f64,
    /// The standard deviation of the column.
    pub deviation: f64,
}

/// The share of a column's spread that the spacing of `f32` may be.
pub(super) const FINE: f64 = crate::calibrate::FINE as f64;

impl Coarse {
    /// `None` for a column that `f32` holds well, and for one that is constant.
    pub(super) fn of(column: &str, values: &[f64]) -> Option<Self> {
        let farthest = values.iter().copied();
        let farthest = farthest.reduce(|a, b| if b.abs() > a.abs() { b } else { a })?;
        let deviation = deviation(values);
        let spacing = spacing(farthest);
        let is_count =
            |x: &f64| x.fract() == 0.0 && x.abs() <= f64::from(1 << f32::MANTISSA_DIGITS);
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

/// How far the next `f32` away from 0 is.
pub(super) fn spacing(x: f64) -> f64 {
    let x = (x.abs() as f32).min(f32::MAX.next_down());
    f64::from(x.next_up()) - f64::from(x)
}

/// The mean.
pub(super) fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    // Sums differences from the first value: sums of values far from 0 would lose
    // digits.
    let origin = values.clone().next().unwrap_or(0.0);
    let n = values.clone().count() as f64;
    origin + values.map(|x| x - origin).sum::<f64>() / n
}

/// The squares of the differences from the mean, in a unit.
pub(super) fn squares(values: impl Iterator<Item = f64>, mean: f64, unit: f64) -> f64 {
    let squares = values.map(|x| (x - mean) / unit).map(|x| x * x);
    squares.sum()
}

/// The standard deviation of the population.
pub(super) fn deviation(values: &[f64]) -> f64 {
    let all = values.iter().copied();
    let mean = mean(all.clone());
    let deviation = |unit: f64| {
        let squares = squares(all.clone(), mean, unit);
        libm::sqrt(squares / values.len() as f64) * unit
    };
    match deviation(1.0) {
        // Squares of small differences vanish, unless the unit is the largest difference.
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

/// Numbers of this size have squares that `f64` holds with all their digits.
const SQUARED: f64 = 1e-150;
