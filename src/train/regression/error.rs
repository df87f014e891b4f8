//! Data that nothing can be fitted to.

use core::fmt;
use std::string::String;

use crate::calibrate::{Curve, ScaleError};
use crate::train::digits::Shortest;

/// Why nothing was fitted. Rows and inputs are counted from 0, and from 1 in the text.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum RegressionError {
    /// Columns of different length.
    Lengths {
        /// How many `y` there are.
        expected: usize,
        /// The length of the column that differs.
        found: usize,
    },
    /// A number that is not finite.
    NotFinite {
        /// Its row.
        row: usize,
    },
    /// Several inputs for a curve of one.
    Inputs {
        /// The curve.
        curve: Curve,
        /// How many inputs there are.
        inputs: usize,
    },
    /// Too many parameters.
    Parameters {
        /// How many the curve has.
        found: usize,
        /// The most there may be: [`MAX_PARAMETERS`](super::MAX_PARAMETERS), of a robust fit
        /// 16.
        most: usize,
    },
    /// Fewer rows with a weight than parameters.
    TooFew {
        /// How many parameters there are.
        needed: usize,
        /// How many rows have a weight.
        found: usize,
    },
    /// Fewer readings that differ than parameters.
    Alike {
        /// How many parameters there are.
        needed: usize,
        /// How many readings differ.
        found: usize,
    },
    /// A weight that is negative, or a standard deviation that is not more than 0.
    Weight {
        /// Its row.
        row: usize,
        /// The number.
        found: f64,
        /// Whether it is a standard deviation.
        is_sigma: bool,
    },
    /// A column that is constant, or has no scale.
    Scale {
        /// The input; `None` for `y`.
        input: Option<usize>,
        /// Why it has no scale.
        error: ScaleError,
    },
    /// The data give no parameters to start from, for this reason.
    Start(String),
}

impl RegressionError {
    /// The error for people, with the names of the columns.
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
