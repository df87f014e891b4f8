//! Inputs and targets of a size that learns well, and the way back.
//!
//! Constants are `f32` and are applied in `f32`, by the two operations that
//! firmware will apply too: the numbers a model was trained with are the numbers
//! it will see on the device, bit for bit. Statistics and the way back are in
//! `f64`.

use core::fmt;
use std::string::{String, ToString};
use std::vec::Vec;

use super::data::{DataError, Dataset};

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
    /// What is subtracted, in the units of the column.
    pub offset: f32,
    /// What the difference is multiplied by.
    pub factor: f32,
}

impl Scale {
    /// The scaled value, as firmware computes it: a subtraction, then a
    /// multiplication.
    pub fn apply(&self, x: f32) -> f32 {
        (x - self.offset) * self.factor
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
        scaled / f64::from(self.factor) + f64::from(self.offset)
    }

    /// The two numbers as Rust, for firmware: `NAME_OFFSET` and `NAME_FACTOR`.
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
        let Scale { offset, factor } = self;
        std::format!(
            "const {name}_OFFSET: f32 = {offset:?};\nconst {name}_FACTOR: f32 = {factor:?};\n"
        )
    }

    fn fit(column: &str, values: &[f32], scaling: Scaling) -> Result<Scale, DataError> {
        let spread = |offset: f64, spread: f64| Scale {
            offset: offset as f32,
            factor: (1.0 / spread) as f32,
        };
        let low = values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let scale = match scaling {
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
            Scaling::Standard => {
                let n = values.len() as f64;
                let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
                let deviation = |&x: &f32| f64::from(x) - mean;
                let squares = values.iter().map(|x| deviation(x) * deviation(x));
                spread(mean, (squares.sum::<f64>() / n).sqrt())
            }
            Scaling::MinMax => {
                let (low, high) = (f64::from(low), f64::from(high));
                spread((low + high) / 2.0, (high - low) / 2.0)
            }
        };
        if low == high || !scale.factor.is_finite() {
            return Err(DataError::Constant {
                column: column.to_string(),
                value: low,
            });
        }
        Ok(scale)
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
/// assert_eq!(scaler.invert(&scaled)?, training);
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
    /// A column that is not there; one that is constant, which has no spread; a
    /// factor that is 0 or not finite.
    pub fn fit(training: &Dataset, columns: &[(&str, Scaling)]) -> Result<Scaler, DataError> {
        let fit = |&(name, scaling): &(&str, Scaling)| {
            let scale = Scale::fit(name, training.column(name)?, scaling)?;
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
        self.map(data, |scale, x| scale.apply(x))
    }

    /// All columns, those that have a scale back in their units.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub fn invert(&self, scaled: &Dataset) -> Result<Dataset, DataError> {
        self.map(scaled, |scale, x| scale.invert(f64::from(x)) as f32)
    }

    fn map(&self, data: &Dataset, f: impl Fn(Scale, f32) -> f32) -> Result<Dataset, DataError> {
        for (name, _) in &self.columns {
            data.column(name)?;
        }
        Dataset::new(data.columns().map(|(name, values)| {
            let values: Vec<f32> = match self.scale(name) {
                Some(scale) => values.iter().map(|&x| f(scale, x)).collect(),
                None => values.to_vec(),
            };
            (name, values)
        }))
    }
}

/// A line per column: `t_u: (x - 50.5) * 0.0634`.
impl fmt::Display for Scaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, Scale { offset, factor })) in self.columns.iter().enumerate() {
            let end = if i > 0 { "\n" } else { "" };
            write!(f, "{end}{name}: (x - {offset}) * {factor}")?;
        }
        Ok(())
    }
}
