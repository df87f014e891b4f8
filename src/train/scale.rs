//! Inputs and targets of a size that learns well, and the way back.
//!
//! The origin is taken off in `f64`, and the difference is rounded to `f32` after it
//! has been scaled: of readings near 4e9 in steps of 200 the model sees the steps.
//! Firmware applies both constants in `f32`. Where `f32` holds the readings well,
//! both constants are `f32`, and what firmware computes differs from what the model
//! was trained with by rounding alone; where it does not, see
//! [`Coarse`](super::Coarse).

use core::fmt;
use std::string::{String, ToString};
use std::vec::Vec;

use super::data::{DataError, Dataset, FINE, mean_and_deviation};
use super::digits::Shortest;

/// How to choose a [`Scale`] from the values of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scaling {
    /// To mean 0 and standard deviation 1 (that of the population).
    Standard,
    /// To the range from -1 to 1.
    MinMax,
    /// By this factor, and no offset.
    Fixed(f32),
}

/// `scaled = (x - offset) * factor`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
pub struct Scale {
    /// The origin that is subtracted, in the units of the column. One that `f32` has, unless
    /// rounding would move it by more than a thousandth of the spread.
    pub offset: f64,
    /// What the difference is multiplied by.
    pub factor: f32,
}

impl Scale {
    /// The scaled value, as firmware computes it: a subtraction, then a
    /// multiplication, in `f32`.
    pub fn apply(&self, x: f32) -> f32 {
        (x - self.offset as f32) * self.factor
    }

    /// The scaled value of a reading of which every digit counts: in `f64`.
    ///
    /// ```
    /// use baregrad::train::Scale;
    ///
    /// let scale = Scale { offset: 4155917000.0, factor: 0.01 };
    /// assert_eq!(scale.apply_f64(4155917100.0) as f32, 1.0);
    /// assert_eq!(scale.apply(4155917100.0), 0.0); // no f32 lies between them
    /// ```
    pub fn apply_f64(&self, x: f64) -> f64 {
        (x - self.offset) * f64::from(self.factor)
    }

    /// The value in the units of the column.
    ///
    /// ```
    /// use baregrad::train::Scale;
    ///
    /// let scale = Scale { offset: 50.0, factor: 0.25 };
    /// assert_eq!(scale.apply(58.0), 2.0);
    /// assert_eq!(scale.invert(2.0), 58.0);
    /// ```
    pub fn invert(&self, scaled: f64) -> f64 {
        scaled / f64::from(self.factor) + self.offset
    }

    /// The two numbers as Rust, for firmware: `NAME_OFFSET` and `NAME_FACTOR`, both
    /// `f32`.
    ///
    /// ```
    /// use baregrad::train::Scale;
    ///
    /// let scale = Scale { offset: 50.5, factor: 0.1 };
    /// assert_eq!(
    ///     scale.to_rust("T_U"),
    ///     "const T_U_OFFSET: f32 = 50.5;\nconst T_U_FACTOR: f32 = 0.1;\n"
    /// );
    /// ```
    pub fn to_rust(&self, name: &str) -> String {
        let (offset, factor) = (self.offset as f32, self.factor);
        std::format!(
            "const {name}_OFFSET: f32 = {offset:?};\nconst {name}_FACTOR: f32 = {factor:?};\n"
        )
    }

    fn fit(column: &str, values: &[f64], scaling: Scaling) -> Result<Scale, DataError> {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (centre, spread) = match scaling {
            Scaling::Fixed(factor) => {
                if !factor.is_finite() || factor == 0.0 {
                    return Err(DataError::Factor {
                        column: column.to_string(),
                        found: factor,
                    });
                }
                return Ok(Scale {
                    offset: 0.0,
                    factor,
                });
            }
            Scaling::Standard => mean_and_deviation(values),
            Scaling::MinMax => ((low + high) / 2.0, (high - low) / 2.0),
        };
        if low == high {
            return Err(DataError::Constant {
                column: column.to_string(),
                value: low,
            });
        }
        let factor = (1.0 / spread) as f32;
        if !factor.is_finite() {
            return Err(DataError::Spread {
                column: column.to_string(),
                found: spread,
            });
        }
        Ok(Scale {
            offset: origin(centre, spread),
            factor,
        })
    }
}

/// An `f32` near the centre, if there is one that is near enough; otherwise a number
/// of few digits, for people to read: within a hundredth of the spread.
fn origin(centre: f64, spread: f64) -> f64 {
    let rounded = f64::from(centre as f32);
    if (rounded - centre).abs() <= FINE * spread {
        return rounded;
    }
    let digits = (spread / 100.0).log10().floor() as i32;
    // Powers of ten below 1 are no binary fractions, their inverses are.
    let power = 10.0_f64.powi(digits.abs());
    let short = if digits >= 0 {
        (centre / power).round() * power
    } else {
        (centre * power).round() / power
    };
    if (short - centre).abs() <= spread {
        short
    } else {
        centre
    }
}

/// The scales of some columns. Fitted on the training part alone: what the
/// validation part is like must not be known before.
///
/// ```
/// use baregrad::train::{Dataset, Scaler, Scaling};
///
/// let training = Dataset::new([("x", [10.0, 20.0, 30.0]), ("y", [1.0, 2.0, 4.0])])?;
/// let scaler = Scaler::fit(&training, &[("x", Scaling::MinMax)])?;
/// let scaled = scaler.apply(&training)?;
/// assert_eq!(scaled.column("x")?, [-1.0, 0.0, 1.0]);
/// assert_eq!(scaled.column("y")?, [1.0, 2.0, 4.0]);
/// assert_eq!(scaler.invert(&scaled)?.column("x")?, [10.0, 20.0, 30.0]);
/// # Ok::<(), baregrad::train::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[cfg_attr(feature = "json", serde(transparent))]
pub struct Scaler {
    columns: Vec<(String, Scale)>,
}

impl Scaler {
    /// Chooses a scale for each of the columns named.
    ///
    /// # Errors
    /// A column that is not there; one that is constant, which has no spread, or has
    /// next to none; a factor that is 0 or not finite.
    pub fn fit(training: &Dataset, columns: &[(&str, Scaling)]) -> Result<Scaler, DataError> {
        let fit = |&(name, scaling): &(&str, Scaling)| {
            let scale = Scale::fit(name, &training.column_f64(name)?, scaling)?;
            Ok((name.to_string(), scale))
        };
        let columns = columns.iter().map(fit).collect::<Result<_, DataError>>()?;
        Ok(Scaler { columns })
    }

    /// The scale of a column; `None` if it stays as it is.
    pub fn scale(&self, column: &str) -> Option<Scale> {
        let found = self.columns.iter().find(|(name, _)| name == column);
        found.map(|(_, scale)| *scale)
    }

    /// All columns, those that have a scale scaled.
    ///
    /// # Errors
    /// A column of the scaler that the data do not have; values that become too
    /// large.
    pub fn apply(&self, data: &Dataset) -> Result<Dataset, DataError> {
        self.map(data, |scale, x| scale.apply_f64(x))
    }

    /// All columns, those that have a scale back in their units.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub fn invert(&self, scaled: &Dataset) -> Result<Dataset, DataError> {
        self.map(scaled, |scale, x| scale.invert(x))
    }

    fn map(&self, data: &Dataset, f: impl Fn(Scale, f64) -> f64) -> Result<Dataset, DataError> {
        for (name, _) in &self.columns {
            data.column(name)?;
        }
        let column = |name: &String| {
            let values = data.column_f64(name)?;
            let values: Vec<f64> = match self.scale(name) {
                Some(scale) => values.into_iter().map(|x| f(scale, x)).collect(),
                None => values,
            };
            Ok((name.clone(), values))
        };
        let columns = data.names().iter().map(column);
        Dataset::new(columns.collect::<Result<Vec<_>, DataError>>()?)
    }
}

/// A line per column: `t_u: (x - 50.5) * 0.0634`.
impl fmt::Display for Scaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, Scale { offset, factor })) in self.columns.iter().enumerate() {
            let end = if i > 0 { "\n" } else { "" };
            write!(f, "{end}{name}: ")?;
            let size = Shortest(offset.abs());
            match offset {
                0.0 => f.write_str("x")?,
                _ if *offset < 0.0 => write!(f, "(x + {size})")?,
                _ => write!(f, "(x - {size})")?,
            }
            write!(f, " * {}", Shortest(f64::from(*factor)))?;
        }
        Ok(())
    }
}
