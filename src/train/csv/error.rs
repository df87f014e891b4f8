//! Files that cannot be used, and where.

use core::fmt;
use std::path::PathBuf;
use std::string::String;

use super::super::error::DataError;

/// A CSV file that cannot be used. `Debug` gives the text of `Display`.
pub struct CsvError {
    /// The file.
    pub file: PathBuf,
    /// The fault, and where it is.
    pub kind: CsvErrorKind,
}

/// The fault of a CSV file, and where it is. `Debug` gives the text of `Display`.
#[non_exhaustive]
pub enum CsvErrorKind {
    /// The file cannot be opened or read.
    Open(std::io::Error),
    /// The file is no CSV: rows of different lengths, no UTF-8, no line of names.
    Read {
        /// The line, counted from 1; 0 if unknown.
        line: u64,
        /// The fault, in words.
        why: String,
    },
    /// Text where a number was expected, or NaN, an infinity, or a number too
    /// large for `f32`.
    Number {
        /// The line, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// The field as it stands there.
        found: String,
        /// The reason why it is no number that can be used.
        why: &'static str,
    },
    /// Two columns have the name of one that is asked for.
    Duplicate {
        /// The line of names, counted from 1.
        line: u64,
        /// The name.
        column: String,
        /// Where it stands in that line, counted from 1.
        fields: [usize; 2],
    },
    /// A column is missing, or the columns make no data set.
    Data(DataError),
}

impl fmt::Display for CsvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.kind)
    }
}

impl fmt::Display for CsvErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Read { line: 0, why } => f.write_str(why),
            Self::Read { line, why } => write!(f, "line {line}: {why}"),
            Self::Number {
                line,
                column,
                found,
                why,
            } => write!(
                f,
                "line {line}, column `{column}`: expected a finite number, found `{found}`{why}"
            ),
            Self::Duplicate {
                line,
                column,
                fields: [first, second],
            } => write!(
                f,
                "line {line}, column `{column}`: expected one of this name, found two, in fields {first} and {second}"
            ),
            Self::Data(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for CsvError {}

impl From<DataError> for CsvErrorKind {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

pub(super) type Parsed<T> = Result<T, CsvErrorKind>;
