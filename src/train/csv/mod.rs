//! Data sets from CSV files, as spreadsheets, loggers and numpy write them.
//!
//! ```text
//! bytes ──► text ──► header: its line, the separator, where the columns are
//!                      │
//!                      └──► records: fields of each line ──► numbers ──► Dataset
//! ```
//!
//! `csv_core`, the parser inside the crate `csv`, splits records into fields and resolves
//! their quotes. `records.rs` calls it field by field, and adds what it lacks: it skips
//! comments, and blanks before quotes, counts lines, and rejects quotes that are not
//! closed or have text after them.

mod error;
mod header;
mod number;
mod records;

use std::fs;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use super::dataset::Dataset;
use error::Parsed;
pub use error::{CsvError, CsvErrorKind};
use header::Header;
use number::number;
use records::{Record, Separator};

/// Reads the named columns of a CSV file that has a line of column names. The other
/// columns may hold anything.
///
/// - Columns are separated by commas, semicolons, tabs or blanks; the line of names tells
///   which. Fields may be in double quotes.
/// - With semicolons and tabs, numbers may have a decimal comma. A file has either
///   decimal commas or decimal points.
/// - Lines that begin with `#` are comments. If the first line after them has numbers
///   instead of names, the names are taken from the last comment, as `numpy.savetxt`
///   writes them.
/// - Blank lines, lines of empty fields, and empty fields beyond the last column are
///   skipped. An empty field in a requested column is an error.
///
/// ```
/// use baregrad::train::read_csv;
///
/// let file = std::env::temp_dir().join("baregrad-readings.csv");
/// std::fs::write(&file, "t_u,note,t_c\n35.7,cold,0.5\n55.9,mild,14.0\n")?;
/// let data = read_csv(&file, &["t_u", "t_c"])?;
/// assert_eq!(data.column("t_c")?, [0.5, 14.0]);
/// let error = read_csv(&file, &["note"]).unwrap_err().to_string();
/// assert!(error.ends_with(
///     "readings.csv: line 2, column `note`: expected a finite number, found `cold`"
/// ));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The file does not exist or is not CSV; a requested column is missing or occurs twice; a field
/// of a requested column is not a finite number in the range of `f32`; or there are no rows.
pub fn read_csv(path: impl AsRef<Path>, columns: &[&str]) -> Result<Dataset, CsvError> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(CsvErrorKind::Open);
    let data = bytes.and_then(|bytes| parse(&bytes, columns));
    data.map_err(|kind| CsvError {
        file: path.to_path_buf(),
        kind,
    })
}

fn parse(bytes: &[u8], columns: &[&str]) -> Parsed<Dataset> {
    let text = text(bytes)?;
    let Header {
        places,
        width,
        mut records,
    } = Header::find(&text, columns)?;
    let mut values: Vec<(&str, usize, Vec<f64>)> = columns
        .iter()
        .zip(places)
        .map(|(name, place)| (*name, place, Vec::new()))
        .collect();
    let mut decimal = None;
    while let Some(record) = records.next_record() {
        let record = record?;
        let found = record.width(width);
        if found != width {
            return Err(ragged(&record, width, found, records.separator));
        }
        for (name, place, values) in &mut values {
            let field = record.fields.get(*place).map_or("", String::as_str);
            let value = number(field, records.separator, &mut decimal);
            values.push(value.map_err(|why| CsvErrorKind::Number {
                line: record.line,
                column: name.to_string(),
                found: field.to_string(),
                why,
            })?);
        }
    }
    let columns = values.into_iter().map(|(name, _, values)| (name, values));
    Ok(Dataset::new(columns)?)
}

/// Decodes the text. Removes the byte order mark that some programs write first, and ends
/// every line, including the last, with `\n`.
fn text(bytes: &[u8]) -> Parsed<String> {
    let wrong = |line, found: &str| CsvErrorKind::Read {
        line,
        why: std::format!("expected UTF-8 text, {found}: save it as \"CSV UTF-8\""),
    };
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(wrong(1, "found UTF-16"));
    }
    let text = core::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.split_at(error.valid_up_to()).0;
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        wrong(lines as u64 + 1, "found other bytes")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(text.replace("\r\n", "\n").replace('\r', "\n") + "\n")
}

fn ragged(record: &Record, width: usize, found: usize, separator: Separator) -> CsvErrorKind {
    let hint = if found > width && separator == Separator::Comma {
        "; for decimal commas, separate columns by semicolons"
    } else {
        ""
    };
    CsvErrorKind::Read {
        line: record.line,
        why: std::format!("expected {width} fields, as in the first line, found {found}{hint}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::parse;
    use std::string::{String, ToString};

    fn error(text: &str, columns: &[&str]) -> String {
        parse(text.as_bytes(), columns).unwrap_err().to_string()
    }

    const FILE: &str = "# a comment\nt_u, note ,t_c\n35.7,cold,0.5\n\n55.9,\"mild, dry\",14\n";

    #[test]
    fn columns_are_read_by_name() {
        let data = parse(FILE.as_bytes(), &["t_c", "t_u"]).unwrap();
        assert_eq!(data.names(), ["t_c", "t_u"]);
        assert_eq!(data.column("t_c").unwrap(), [0.5, 14.0]);
        assert_eq!(data.column_f64("t_u").unwrap(), [35.7, 55.9]);
    }

    #[test]
    fn every_dialect_gives_the_same_numbers() {
        for text in [
            "x,y\n1.5,-2\n3,4e1\n",
            "\u{feff}x,y\r\n1.5,-2\r\n3,4e1\r\n",
            "x,y\r1.5,-2\r3,4e1",
            "x;y\n1,5;-2\n3;4e1\n",
            "x\ty\n1,5\t-2\n3\t4e1\n",
            "x;y\n1.5;-2\n3;4e1\n",
            "\"x\";\"y\"\n\"1,5\";\"-2\"\n 3 ; +40,0 \n",
            "x y\n1.5 -2\n  3   4e1  \n",
            "# x y\n1.500e+00 -2.000e+00\n3.000e+00 4.000e+01\n",
            "# made by a logger\n# x,y\n1.5,-2\n3,4e1\n",
            "#x;y\n1,5;-2\n3;4e1\n",
            "# x y\n1.5,-2\n3,4e1\n",
            "#,x,note,y\n0,1.5,a,-2\n1,3,b,4e1\n",
            "# 3 columns: a,b,c\nnote,x,y\n\"two\nlines\",1.5,-2\n\"a \"\"b\"\", c\",3,4e1\n",
            "x,y,\n1.5,-2,\n,,\n3,4e1\n , \n",
            ",x,y\n0,1.5,-2\n\n1,3,4e1\n\n",
            "x,y\n1.5,-2,,\n# a comment\n3,4e1,",
            "y,t u,x\n-2,,1.5\n40,,3\n",
            "x, \"a, b\" ,y\n1.5, \"c, \"\"d\"\"\" ,-2\n3,5\" pipe, \"40\" \n",
            "\"x\"  \"a  b\"\ty\n1.5 \"c\n d\" \t-2 \n3\te 4e1\n",
        ] {
            let data = parse(text.as_bytes(), &["x", "y"]);
            let data = data
                .map_err(|kind| std::format!("{text:?}: {kind}"))
                .unwrap();
            assert_eq!(data.column("x").unwrap(), [1.5, 3.0], "{text:?}");
            assert_eq!(data.column("y").unwrap(), [-2.0, 40.0], "{text:?}");
        }
    }

    #[test]
    fn errors_name_line_column_and_what_was_found() {
        assert_eq!(
            error(FILE, &["note"]),
            "line 3, column `note`: expected a finite number, found `cold`"
        );
        assert_eq!(
            error(FILE, &["t_f"]),
            "no column `t_f`: there are `t_u`, `note`, `t_c`"
        );
        for (bad, why) in [
            ("NaN", ""),
            ("inf", ""),
            ("1e39", ", more than the 3.4e38 that f32 holds"),
            ("-3.5e38", ", more than the 3.4e38 that f32 holds"),
            ("1e400", ", more than the 3.4e38 that f32 holds"),
            ("-infinity", ""),
            ("", ", a missing value: remove the row, or fill it in"),
            ("1.2.3", ""),
            (
                "\"1,5\"",
                "; decimal commas need columns that semicolons or tabs separate",
            ),
        ] {
            let found = bad.trim_matches('"');
            assert_eq!(
                error(&std::format!("x,y\n\n# c\n1,2\n{bad},4\n"), &["x"]),
                std::format!("line 5, column `x`: expected a finite number, found `{found}`{why}")
            );
        }
        for (text, expected) in [
            (
                "x,y\n1,2\n3\n",
                "line 3: expected 2 fields, as in the first line, found 1",
            ),
            (
                "x,y\r\n\r\n\"1\r\n\",2\r\n3,4,5\r\n",
                "line 5: expected 2 fields, as in the first line, found 3; for decimal commas, separate columns by semicolons",
            ),
            ("x\n", "no column `y`: there are `x`"),
            (
                "x,y\n",
                "expected at least one column with at least one row",
            ),
            ("", "expected a line of column names, found nothing"),
            ("# x,y\n", "expected a line of column names, found nothing"),
            (
                "\n1,2\n3,4\n",
                "line 2: expected a line of column names, found numbers",
            ),
            (
                "# a second run\n1,2\n3,4\n",
                "line 2: expected a line of column names, found numbers, and no line of as many names in a comment before it",
            ),
            (
                "#\n1,2\n3,4\n",
                "line 2: expected a line of column names, found numbers, and no line of as many names in a comment before it",
            ),
            ("# a,b\n1,2\n3,4\n", "no column `x`: there are `a`, `b`"),
            (
                "x;y\n1,5;2\n1.5;2\n",
                "line 3, column `x`: expected a finite number, found `1.5`, with a decimal point after numbers with a decimal comma",
            ),
            (
                "x;y\n1.5;2\n1,500;2\n",
                "line 3, column `x`: expected a finite number, found `1,500`, with a comma after numbers with a decimal point",
            ),
            (
                "x;y\n1.234,5;2\n",
                "line 2, column `x`: expected a finite number, found `1.234,5`",
            ),
            (
                "x,y\n\"1,2\n3,4\n",
                "line 2: expected a quote to be closed, found the end",
            ),
            (
                "x,y\n\"1\"2,3\n",
                "line 2: expected a separator behind a quote that closes a field",
            ),
            // The column `note` is not requested, but its quotes would swallow rows.
            (
                "x,y,note\n1,2,\"a\n3,4,b\n",
                "line 2: expected a quote to be closed, found the end",
            ),
            (
                "x,y,note\n1,2,\"a\nb\"c\"\n",
                "line 3: expected a separator behind a quote that closes a field",
            ),
        ] {
            assert_eq!(error(text, &["x", "y"]), expected, "{text:?}");
        }
        let kind = |bytes: &[u8]| parse(bytes, &["x"]).unwrap_err().to_string();
        assert!(kind(b"x,T \xb0C\n1,2\n").starts_with("line 1: expected UTF-8 text, found other"));
        assert!(kind(b"x\n1\n# \xb0C\n").starts_with("line 3: expected UTF-8 text, found other"));
        assert!(kind(b"\xff\xfex\0\n\0").starts_with("line 1: expected UTF-8 text, found UTF-16"));
    }

    #[test]
    fn two_columns_of_one_name_are_refused_if_they_are_asked_for() {
        let text = "# a comment\nt_u,t_c,t_u,,\n35.7,0.5,71.4,,\n";
        assert_eq!(
            error(text, &["t_u", "t_c"]),
            "line 2, column `t_u`: expected one of this name, found two, in fields 1 and 3"
        );
        assert_eq!(
            error("# t_u;t_u\n1;2\n", &["t_u"]),
            "line 1, column `t_u`: expected one of this name, found two, in fields 1 and 2"
        );
        assert_eq!(parse(text.as_bytes(), &["t_c"]).unwrap().rows(), 1);
    }
}
