//! Data sets from CSV files.

use core::fmt;
use std::io::Read;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use super::data::{DataError, Dataset};

/// What is wrong with a CSV file, and where.
#[non_exhaustive]
pub enum CsvError {
    /// The file cannot be opened.
    Open(std::io::Error),
    /// The file cannot be read, or is no CSV: rows of different lengths, no
    /// UTF-8.
    Read {
        /// The line, counted from 1; 0 if unknown.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// Text where a number was expected, or NaN, an infinity, or a number too
    /// large for `f32`.
    Number {
        /// The line, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// What stands there.
        found: String,
    },
    /// A column is missing, or the columns make no data set.
    Data(DataError),
}

impl fmt::Display for CsvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Read { line: 0, why } => f.write_str(why),
            Self::Read { line, why } => write!(f, "line {line}: {why}"),
            Self::Number {
                line,
                column,
                found,
            } => write!(
                f,
                "line {line}, column `{column}`: expected a finite number, found `{found}`"
            ),
            Self::Data(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for CsvError {}

impl From<DataError> for CsvError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

/// Reads the named columns of a CSV file with a line of headers. Lines that
/// begin with `#` are comments; other columns may hold anything.
///
/// ```
/// use baregrad::train::read_csv;
///
/// let file = std::env::temp_dir().join("baregrad-readings.csv");
/// std::fs::write(&file, "t_u,note,t_c\n35.7,cold,0.5\n55.9,mild,14.0\n")?;
/// let data = read_csv(&file, &["t_u", "t_c"])?;
/// assert_eq!(data.column("t_c")?, [0.5, 14.0]);
/// assert_eq!(
///     read_csv(&file, &["note"]).unwrap_err().to_string(),
///     "line 2, column `note`: expected a finite number, found `cold`"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A file that is not there or is no CSV; columns that are not there; what is no
/// finite number; no rows.
pub fn read_csv(path: impl AsRef<Path>, columns: &[&str]) -> Result<Dataset, CsvError> {
    parse(std::fs::File::open(path).map_err(CsvError::Open)?, columns)
}

fn parse(from: impl Read, columns: &[&str]) -> Result<Dataset, CsvError> {
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(from);
    let headers = reader.headers().map_err(unreadable)?.clone();
    if headers.is_empty() {
        let why = String::from("expected a line of column names, found nothing");
        return Err(CsvError::Read { line: 0, why });
    }
    // Some programs begin a file with a mark of its encoding.
    let names: Vec<&str> = headers
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}'))
        .collect();
    let place = |name: &str| {
        let place = names.iter().position(|found| *found == name);
        place.ok_or_else(|| DataError::Missing {
            column: name.to_string(),
            found: names.iter().map(ToString::to_string).collect(),
        })
    };
    let mut values = Vec::new();
    for &name in columns {
        values.push((name, place(name)?, Vec::new()));
    }
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        for (name, place, values) in &mut values {
            let text = record.get(*place).unwrap_or_default();
            let number = text.parse().ok().filter(|x: &f32| x.is_finite());
            values.push(number.ok_or_else(|| CsvError::Number {
                line: record.position().map_or(0, csv::Position::line),
                column: name.to_string(),
                found: text.to_string(),
            })?);
        }
    }
    let columns = values.into_iter().map(|(name, _, values)| (name, values));
    Ok(Dataset::new(columns)?)
}

fn unreadable(error: csv::Error) -> CsvError {
    let line = error.position().map_or(0, csv::Position::line);
    let why = match error.kind() {
        csv::ErrorKind::Io(error) => error.to_string(),
        csv::ErrorKind::Utf8 { .. } => String::from("expected UTF-8 text"),
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => std::format!("expected {expected_len} fields, as in the first line, found {len}"),
        _ => error.to_string(),
    };
    CsvError::Read { line, why }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::parse;
    use std::string::ToString;

    const FILE: &str = "# a comment\nt_u, note ,t_c\n35.7,cold,0.5\n\n55.9,\"mild, dry\",14\n";

    #[test]
    fn columns_are_read_by_name() {
        let data = parse(FILE.as_bytes(), &["t_c", "t_u"]).unwrap();
        assert_eq!(data.names(), ["t_c", "t_u"]);
        assert_eq!(data.column("t_c").unwrap(), [0.5, 14.0]);
        assert_eq!(data.column("t_u").unwrap(), [35.7, 55.9]);
    }

    #[test]
    fn errors_name_line_column_and_what_was_found() {
        let error =
            |text: &str, columns: &[&str]| parse(text.as_bytes(), columns).unwrap_err().to_string();
        assert_eq!(
            error(FILE, &["note"]),
            "line 3, column `note`: expected a finite number, found `cold`"
        );
        assert_eq!(
            error(FILE, &["t_f"]),
            "no column `t_f`: there are `t_u`, `note`, `t_c`"
        );
        for bad in ["NaN", "inf", "1e39", "", "1.2.3"] {
            assert_eq!(
                error(&std::format!("x,y\n1,2\n{bad},4\n"), &["x"]),
                std::format!("line 3, column `x`: expected a finite number, found `{bad}`")
            );
        }
        assert_eq!(
            error("x,y\n1,2\n3\n", &["x"]),
            "line 3: expected 2 fields, as in the first line, found 1"
        );
        assert_eq!(
            error("x,y\n", &["x"]),
            "expected at least one column with at least one row"
        );
    }
}
