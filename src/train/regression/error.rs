//! Errors of data to which no curve can be fitted.

use core::fmt;
use std::string::String;

use crate::calibrate::{Curve, ScaleError};
use crate::train::digits::Shortest;

/// The reason why nothing was fitted. Rows and inputs are counted from 0 in the fields,
/// and from 1 in the text.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum RegressionError {
    /// Columns differ in length.
    Lengths {
        /// The number of rows of `y`.
        expected: usize,
        /// The length of the column that differs.
        found: usize,
    },
    /// A number is not finite.
    NotFinite {
        /// The row of the number.
        row: usize,
    },
    /// The curve takes one input, but there are several.
    Inputs {
        /// The curve.
        curve: Curve,
        /// The number of inputs.
        inputs: usize,
    },
    /// The curve has too many parameters.
    Parameters {
        /// The number of parameters of the curve.
        found: usize,
        /// The most that are allowed: [`MAX_PARAMETERS`](super::MAX_PARAMETERS), or 16
        /// for a robust fit.
        most: usize,
    },
    /// There are fewer rows with a weight above 0 than parameters.
    TooFew {
        /// The number of parameters.
        needed: usize,
        /// The number of rows with a weight above 0.
        found: usize,
    },
    /// There are fewer distinct readings than parameters.
    Alike {
        /// The number of parameters.
        needed: usize,
        /// The number of distinct readings.
        found: usize,
    },
    /// A weight is negative, or a standard deviation is not positive.
    Weight {
        /// The row of the weight or standard deviation.
        row: usize,
        /// The weight or standard deviation.
        found: f64,
        /// Whether `found` is a standard deviation.
        is_sigma: bool,
    },
    /// A column is constant, or has no scale for another reason.
    Scale {
        /// The input; `None` for `y`.
        input: Option<usize>,
        /// The reason why the column has no scale.
        error: ScaleError,
    },
    /// The data give no parameters to start from; the text tells the reason.
    Start(String),
}

impl RegressionError {
    /// Displays the error with the names of the columns.
    pub fn with_names<'a>(&'a self, x: &'a [&'a str], y: &'a str) -> impl fmt::Display + 'a {
        Named { error: self, x, y }
    }
}

struct Named<'a> {
    error: &'a RegressionError,
    x: &'a [&'a str],
    y: &'a str,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RegressionError::Scale { input, error } = self.error else {
            return self.error.fmt(f);
        };
        let name = input.map_or(Some(&self.y), |input| self.x.get(input));
        write!(f, "column `{}`: ", name.unwrap_or(&""))?;
        match error {
            ScaleError::Constant { value } => write!(
                f,
                "expected values that differ, found only {}",
                Shortest(value.to_f64())
            ),
            ScaleError::Spread { found } => write!(
                f,
                "expected values that differ by {:e} or more, found a spread of {found:e}",
                2.9e-39
            ),
            error => error.fmt(f),
        }
    }
}

impl fmt::Display for RegressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegressionError::Lengths { expected, found } => write!(
                f,
                "expected columns of the same length, found {expected} and {found} rows"
            ),
            RegressionError::NotFinite { row } => {
                write!(
                    f,
                    "expected finite numbers, found another in row {}",
                    row + 1
                )
            }
            RegressionError::Inputs { curve, inputs } => write!(
                f,
                "expected one column of readings for {curve}, found {inputs}: linear and poly:N take several"
            ),
            RegressionError::Parameters { found, most } => write!(
                f,
                "expected at most {most} parameters for such least squares, found {found}"
            ),
            RegressionError::TooFew { needed, found } => write!(
                f,
                "expected at least as many rows as there are parameters, {needed}, found {found}"
            ),
            RegressionError::Alike { needed, found } => write!(
                f,
                "expected at least as many readings that differ as there are parameters, {needed}, found {found}"
            ),
            RegressionError::Weight {
                row,
                found,
                is_sigma,
            } => {
                let expected = match is_sigma {
                    true => "a standard deviation of more than 0",
                    false => "a weight of 0 or more",
                };
                let (row, found) = (row + 1, Shortest(*found));
                write!(f, "expected {expected}, found {found} in row {row}")
            }
            RegressionError::Scale { input, error } => match input {
                Some(input) => write!(f, "input {}: {error}", input + 1),
                None => write!(f, "y: {error}"),
            },
            RegressionError::Start(why) => f.write_str(why),
        }
    }
}

impl core::error::Error for RegressionError {}
