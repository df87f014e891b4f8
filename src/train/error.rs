//! The error of data that cannot be used: the fault, and where it is.

use core::fmt;
use std::string::String;
use std::vec::Vec;

use super::digits::{Shortest, significant};

/// Data that cannot be used, and where.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum DataError {
    /// No columns, or no rows in them.
    Empty,
    /// Columns differ in length.
    Length {
        /// The column that differs from the first.
        column: String,
        /// Rows of the first column.
        expected: usize,
        /// Rows of this one.
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
        /// The names there are.
        found: Vec<String>,
    },
    /// NaN, an infinity, or too large for `f32`.
    NotFinite {
        /// The column.
        column: String,
        /// The row, counted from 0.
        row: usize,
        /// The value.
        value: f64,
    },
    /// Every value is the same: there is nothing to learn from, and no spread to
    /// scale by.
    Constant {
        /// The column.
        column: String,
        /// The value.
        value: f64,
    },
    /// Values differ by so little that `f32` does not hold the factor that scales
    /// them.
    Spread {
        /// The column.
        column: String,
        /// The standard deviation, or half of the range, that was found.
        found: f64,
    },
    /// A fraction that leaves nothing to train with, or nothing to validate with.
    EmptyPart {
        /// The fraction of the rows to validate with.
        fraction: f64,
        /// The rows there are.
        rows: usize,
    },
    /// A part of the data would be without a row.
    TooFewRows {
        /// The rows that are needed.
        needed: usize,
        /// The rows there are.
        found: usize,
        /// The part of the data that needs them.
        purpose: &'static str,
    },
    /// Fewer than two parts to divide the rows into.
    Parts {
        /// The number of parts.
        found: usize,
    },
    /// Not a share of the rows.
    Fraction {
        /// The value, which is not in `0.0..1.0`.
        found: f64,
    },
    /// There is no such row.
    Row {
        /// The row, counted from 0.
        row: usize,
        /// The rows there are.
        rows: usize,
    },
    /// A column scaled by nothing, or by what is no number.
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

/// Why a number is refused that looks like one.
pub(super) fn too_large(x: f64) -> &'static str {
    if x.abs() > f64::from(f32::MAX) && x.is_finite() {
        ", more than the 3.4e38 that f32 holds"
    } else {
        ""
    }
}

/// Whether `f32` can hold it, rounded.
pub(super) fn is_finite_in_f32(x: f64) -> bool {
    (x as f32).is_finite()
}
