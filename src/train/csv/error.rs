//! Errors of CSV files that cannot be used.

use core::fmt;
use std::path::PathBuf;
use std::string::String;

use super::super::error::DataError;

/// A CSV file that cannot be used. `Debug` prints the text of `Display`.
pub struct CsvError {
    /// The file.
    pub file: PathBuf,
    /// The fault and its place in the file.
    pub kind: CsvErrorKind,
}

/// The fault of a CSV file and its place. `Debug` prints the text of `Display`.
#[non_exhaustive]
pub enum CsvErrorKind {
    /// The file cannot be opened or read.
    Open(std::io::Error),
    /// The file is not a CSV file: rows differ in length, the text is not UTF-8, or there
    /// is no line of names.
    Read {
        /// The line, counted from 1; 0 if unknown.
        line: u64,
        /// The fault, in words.
        why: String,
    },
    /// A field should hold a number, but holds text, NaN, an infinity, or a number too
    /// large for `f32`.
    Number {
        /// The line, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// The text of the field.
        found: String,
        /// A hint why the field cannot be used, which continues the sentence; may be empty.
        why: &'static str,
    },
    /// Two columns share the name of a requested column.
    Duplicate {
        /// The line of names, counted from 1.
        line: u64,
        /// The name.
        column: String,
        /// The positions of the two fields in that line, counted from 1.
        fields: [usize; 2],
    },
    /// A column is missing, or the columns do not make a data set.
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
