//! Scales of named columns, chosen and applied by [`calibrate`](crate::calibrate).

use core::fmt;
use std::string::{String, ToString};
use std::vec::Vec;

use super::coarse::deviation;
use super::dataset::Dataset;
use super::digits::Shortest;
use super::error::DataError;
use crate::calibrate::{Scale, ScaleError, Scaling, TwoFloat};

impl Scale {
    /// The scale as Rust source for firmware: two `f32` constants, `NAME_OFFSET` and
    /// `NAME_FACTOR`.
    ///
    /// ```
    /// use baregrad::train::Scale;
    ///
    /// let scale = Scale { offset: 50.5.into(), factor: 0.1 };
    /// assert_eq!(
    ///     scale.to_rust("T_U"),
    ///     "const T_U_OFFSET: f32 = 50.5;\nconst T_U_FACTOR: f32 = 0.1;\n"
    /// );
    /// ```
    pub fn to_rust(&self, name: &str) -> String {
        let (offset, factor) = (self.offset.high(), self.factor);
        std::format!(
            "const {name}_OFFSET: f32 = {offset:?};\nconst {name}_FACTOR: f32 = {factor:?};\n"
        )
    }
}

/// Converts the error of a column that has no scale. A column may be constant in the
/// precision of [`TwoFloat`] although its `f64` values differ.
fn in_column(column: &str, values: &[f64], scaling: Scaling, error: ScaleError) -> DataError {
    let column = column.to_string();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match error {
        ScaleError::Constant { .. } | ScaleError::Spread { .. } if low < high => {
            DataError::Spread {
                column,
                found: match scaling {
                    Scaling::MinMax => (high - low) / 2.0,
                    _ => deviation(values),
                },
            }
        }
        ScaleError::Constant { .. } | ScaleError::Spread { .. } => {
            DataError::Constant { column, value: low }
        }
        ScaleError::Factor { found } => DataError::Factor { column, found },
        ScaleError::NotFinite { index } => DataError::NotFinite {
            column,
            row: index,
            value: values.get(index).copied().unwrap_or(f64::NAN),
        },
        ScaleError::Empty => DataError::Empty,
    }
}

/// Serializes the offset as one number instead of as its two parts.
#[cfg(feature = "json")]
impl serde::Serialize for Scale {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut to = to.serialize_struct("Scale", 2)?;
        to.serialize_field("offset", &self.offset.to_f64())?;
        to.serialize_field("factor", &self.factor)?;
        to.end()
    }
}

/// The scales of some columns. Fit them on the training part alone: a fit must know
/// nothing of the validation part.
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
    /// Chooses a scale for each of the named columns.
    ///
    /// # Errors
    /// A column is missing; is constant, so that it has no spread; or has a spread so
    /// small that `f32` cannot hold its factor; or a factor is 0 or not finite.
    pub fn fit(training: &Dataset, columns: &[(&str, Scaling)]) -> Result<Scaler, DataError> {
        let fit = |&(name, scaling): &(&str, Scaling)| {
            let values = training.column_f64(name)?;
            let pairs = values.iter().map(|x| TwoFloat::from_f64(*x));
            let scale = Scale::fit(pairs, scaling);
            let scale = scale.map_err(|error| in_column(name, &values, scaling, error))?;
            Ok((name.to_string(), scale))
        };
        let columns = columns.iter().map(fit).collect::<Result<_, DataError>>()?;
        Ok(Scaler { columns })
    }

    /// The scale of a column; `None` if the column is not scaled.
    pub fn scale(&self, column: &str) -> Option<Scale> {
        let found = self.columns.iter().find(|(name, _)| name == column);
        found.map(|(_, scale)| *scale)
    }

    /// Returns all columns, those with a scale scaled.
    ///
    /// # Errors
    /// The data lack a column of the scaler, or a scaled value is too large for `f32`.
    pub fn apply(&self, data: &Dataset) -> Result<Dataset, DataError> {
        self.map(data, |scale, x| scale.apply(TwoFloat::from_f64(x)).into())
    }

    /// Returns all columns, those with a scale converted back to their units.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub fn invert(&self, scaled: &Dataset) -> Result<Dataset, DataError> {
        self.map(scaled, |scale, x| scale.invert(x as f32).to_f64())
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

/// Prints a line per column, such as `t_u: (x - 50.5) * 0.0634`.
impl fmt::Display for Scaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, scale)) in self.columns.iter().enumerate() {
            let end = if i > 0 { "\n" } else { "" };
            write!(f, "{end}{name}: ")?;
            let offset = scale.offset.to_f64();
            let size = Shortest(offset.abs());
            match offset {
                0.0 => f.write_str("x")?,
                _ if offset < 0.0 => write!(f, "(x + {size})")?,
                _ => write!(f, "(x - {size})")?,
            }
            write!(f, " * {}", Shortest(f64::from(scale.factor)))?;
        }
        Ok(())
    }
}
