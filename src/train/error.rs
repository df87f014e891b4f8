//! Errors of data that cannot be used.

use core::fmt;
use std::string::String;
use std::vec::Vec;

use super::digits::{Shortest, significant};

/// The reason why data cannot be used, and the place of the fault.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum DataError {
    /// There are no columns, or they have no rows.
    Empty,
    /// Columns differ in length.
    Length {
        /// The column that differs from the first.
        column: String,
        /// The number of rows of the first column.
        expected: usize,
        /// The number of rows of this column.
        found: usize,
    },
    /// Two columns have the same name.
    Duplicate {
        /// The name.
        column: String,
    },
    /// No column has this name.
    Missing {
        /// The name.
        column: String,
        /// The names that exist.
        found: Vec<String>,
    },
    /// A value is NaN, infinite, or too large for `f32`.
    NotFinite {
        /// The column.
        column: String,
        /// The row, counted from 0.
        row: usize,
        /// The value.
        value: f64,
    },
    /// All values of a column are equal: there is nothing to learn from them, and no
    /// spread to scale by.
    Constant {
        /// The column.
        column: String,
        /// The value.
        value: f64,
    },
    /// The values of a column differ by so little that `f32` cannot hold the factor that
    /// scales them.
    Spread {
        /// The column.
        column: String,
        /// The standard deviation, or half of the range, that was found.
        found: f64,
    },
    /// The fraction leaves no row to train with, or no row to validate with.
    EmptyPart {
        /// The fraction of the rows for validation.
        fraction: f64,
        /// The number of rows.
        rows: usize,
    },
    /// There are too few rows to give every part of the data one.
    TooFewRows {
        /// The number of rows needed.
        needed: usize,
        /// The number of rows found.
        found: usize,
        /// The part of the data that needs them.
        purpose: &'static str,
    },
    /// The rows are to be divided into fewer than two parts.
    Parts {
        /// The number of parts.
        found: usize,
    },
    /// The fraction of the rows is out of range.
    Fraction {
        /// The fraction, which is not in `0.0..1.0`.
        found: f64,
    },
    /// The row does not exist.
    Row {
        /// The row, counted from 0.
        row: usize,
        /// The number of rows.
        rows: usize,
    },
    /// The factor of a scale is 0 or not finite.
    Factor {
        /// The column.
        column: String,
        /// The factor.
        found: f32,
    },
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("expected at least one column with at least one row"),
            Self::Length {
                column,
                expected,
                found,
            } => write!(
                f,
                "column `{column}`: expected {expected} rows, as in the first column, found {found}"
            ),
            Self::Duplicate { column } => {
                write!(f, "column `{column}`: expected one of this name, found two")
            }
            Self::Missing { column, found } => {
                let found = found.join("`, `");
                write!(f, "no column `{column}`: there are `{found}`")
            }
            Self::NotFinite { column, row, value } => write!(
                f,
                "column `{column}`, row {row}: expected a finite f32, found {}{}",
                Shortest(*value),
                too_large(*value)
            ),
            Self::Constant { column, value } => write!(
                f,
                "column `{column}`: expected values that differ, found only {}",
                Shortest(*value)
            ),
            Self::Spread { column, found } => write!(
                f,
                "column `{column}`: expected values that differ by {:.1e} or more, found a spread of {}; use a smaller unit",
                1.0 / f64::from(f32::MAX),
                significant(*found, 3)
            ),
            Self::EmptyPart { fraction, rows } => write!(
                f,
                "expected a fraction that leaves a row to train with and one to validate with, found {} of {rows} rows",
                Shortest(*fraction)
            ),
            Self::TooFewRows {
                needed,
                found,
                purpose,
            } => write!(
                f,
                "expected at least {needed} rows for {purpose}, found {found}"
            ),
            Self::Parts { found } => write!(f, "expected at least 2 parts, found {found}"),
            Self::Fraction { found } => {
                write!(
                    f,
                    "expected a fraction of at least 0 and less than 1, found {found}"
                )
            }
            Self::Row { row, rows } => {
                write!(f, "expected a row less than {rows}, found {row}")
            }
            Self::Factor { column, found } => write!(
                f,
                "column `{column}`: expected a finite factor other than 0, found {found}"
            ),
        }
    }
}

impl core::error::Error for DataError {}

/// A hint for the error text if a number is finite in `f64`, but not in `f32`.
pub(super) fn too_large(x: f64) -> &'static str {
    if x.abs() > f64::from(f32::MAX) && x.is_finite() {
        ", more than the 3.4e38 that f32 holds"
    } else {
        ""
    }
}

/// Returns whether `x` is finite after rounding to `f32`.
pub(super) fn is_finite_in_f32(x: f64) -> bool {
    (x as f32).is_finite()
}
