//! Data sets from CSV files, as spreadsheets, loggers and numpy write them.
//!
//! ```text
//! bytes ──► text ──► header: its line, the separator, where the columns are
//!                      │
//!                      └──► records: fields of each line ──► numbers ──► Dataset
//! ```
//!
//! `csv_core`, the parser inside the crate `csv`, splits records into fields and
//! resolves their quotes. This file calls it field by field and does what it does not:
//! passes over comments and blanks before quotes, counts lines, and refuses quotes
//! that are not closed or have text behind them.

use core::fmt;
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

use super::data::{DataError, Dataset, is_finite_in_f32, too_large};

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
        /// Why that is no number that can be used.
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

type Parsed<T> = Result<T, CsvErrorKind>;

/// Reads the named columns of a CSV file with a line of column names. Other columns
/// may hold anything.
///
/// - Columns are separated by commas, semicolons, tabs or blanks, whichever the
///   line of names has. Fields may stand in double quotes.
/// - With semicolons and tabs, numbers may have a decimal comma. All of a file's
///   have it, or none.
/// - Lines that begin with `#` are comments. If the first line after them has
///   numbers instead of names, the last comment is the line of names, as
///   `numpy.savetxt` writes it.
/// - Blank lines, lines of empty fields, and empty fields beyond the last column are
///   passed over. A value that is missing in a column asked for is an error.
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
/// A file that is not there or is no CSV; columns that are not there, or there
/// twice; what is no finite number in the range of `f32`; no rows.
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

/// The text without the mark of its encoding that some programs begin a file with,
/// and with `\n` as the end of each line, the last one too.
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

// ---- the line of names ------------------------------------------------------

/// Where the columns asked for are, and the records after the line of names.
struct Header<'a> {
    places: Vec<usize>,
    width: usize,
    records: Records<'a>,
}

impl<'a> Header<'a> {
    fn find(text: &'a str, columns: &[&str]) -> Parsed<Self> {
        let (comment, start) = skip_comments(text);
        // The first separator with which all columns are there; to say what is, the
        // first that finds the most.
        let (mut most, mut wrong) = (None, None);
        for separator in Separator::ALL {
            let mut records = start.records(separator);
            let record = match records.next_record() {
                Some(Ok(record)) => record,
                // Quotes that end where only another separator follows.
                Some(Err(error)) => {
                    wrong = wrong.or(Some(error));
                    continue;
                }
                None => continue,
            };
            if columns.iter().all(|name| record.has(name)) {
                return Self::new(&record, columns, records);
            }
            if most.as_ref().is_none_or(|most: &Record| {
                // Names may have blanks.
                let more = record.names() > most.names();
                more && (separator != Separator::Blanks || most.names() == 1)
            }) {
                most = Some(record);
            }
        }
        let Some(first) = most else {
            let why = String::from("expected a line of column names, found nothing");
            return Err(wrong.unwrap_or(CsvErrorKind::Read { line: 0, why }));
        };
        let numbers = first.fields.iter().all(|field| is_number(field));
        match comment {
            Some(comment) => Self::in_comment(comment, start, columns, &first, numbers),
            None if numbers => Err(no_names(&first, "")),
            None => Err(missing(&first, columns)),
        }
    }

    /// Names in a comment, as many as the first line has numbers.
    fn in_comment(
        comment: Lines<'a>,
        start: Lines<'a>,
        columns: &[&str],
        first: &Record,
        numbers: bool,
    ) -> Parsed<Self> {
        let mut near = None;
        for named in Separator::ALL {
            let Some(Ok(names)) = comment.records(named).next_record() else {
                continue;
            };
            // Most programs separate names as they separate numbers.
            let others = Separator::ALL.into_iter().filter(|other| *other != named);
            for separator in core::iter::once(named).chain(others) {
                let Some(Ok(row)) = start.records(separator).next_record() else {
                    continue;
                };
                let width = names.names();
                if row.width(width) != width {
                    continue;
                }
                let at = |name: &&str| row.fields.get(names.place(name)?);
                let holds = |name| at(name).is_some_and(|field| is_number(field));
                if columns.iter().all(holds) {
                    return Self::new(&names, columns, start.records(separator));
                }
                if width == first.names() {
                    near = near.or(Some(missing(&names, columns)));
                }
            }
        }
        match near {
            Some(near) if numbers => Err(near),
            _ if numbers => Err(no_names(
                first,
                ", and no line of as many names in a comment before it",
            )),
            _ => Err(missing(first, columns)),
        }
    }

    fn new(names: &Record, columns: &[&str], records: Records<'a>) -> Parsed<Self> {
        let mut places = Vec::new();
        for &column in columns {
            let named = names.fields.iter().enumerate();
            let mut named = named.filter(|(_, name)| **name == column);
            match (named.next(), named.next()) {
                (Some((first, _)), Some((second, _))) => {
                    return Err(CsvErrorKind::Duplicate {
                        line: names.line,
                        column: column.to_string(),
                        fields: [first + 1, second + 1],
                    });
                }
                (Some((place, _)), None) => places.push(place),
                (None, _) => return Err(missing(names, columns)),
            }
        }
        Ok(Header {
            places,
            width: names.names(),
            records,
        })
    }
}

fn no_names(first: &Record, and: &str) -> CsvErrorKind {
    CsvErrorKind::Read {
        line: first.line,
        why: std::format!("expected a line of column names, found numbers{and}"),
    }
}

fn missing(names: &Record, columns: &[&str]) -> CsvErrorKind {
    let absent = columns.iter().find(|name| !names.has(name));
    let found = names.fields.iter().take(names.names());
    CsvErrorKind::Data(DataError::Missing {
        column: absent.map_or_else(String::new, ToString::to_string),
        found: found.map(ToString::to_string).collect(),
    })
}

/// The last comment, from behind its `#`, and what comes after all of them.
fn skip_comments(text: &str) -> (Option<Lines<'_>>, Lines<'_>) {
    let mut start = Lines { text, line: 1 };
    let mut comment = None;
    while let Some((passed, after)) = passed_over(start.text) {
        if passed.starts_with('#') {
            comment = Some(Lines {
                text: passed.trim_start_matches('#'),
                line: start.line,
            });
        }
        start.text = after;
        start.line += 1;
    }
    (comment, start)
}

/// The first line from its first letter on, and what follows it, if that line is
/// blank or a comment.
fn passed_over(text: &str) -> Option<(&str, &str)> {
    let (line, after) = text.split_at(text.find('\n')? + 1);
    let line = line.trim_start();
    (line.is_empty() || line.starts_with('#')).then_some((line, after))
}

// ---- records ------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq)]
enum Separator {
    Comma,
    Semicolon,
    Tab,
    /// Any number of them, and tabs.
    Blanks,
}

impl Separator {
    const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Blanks];

    fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Blanks => b' ',
        }
    }

    /// Whether it is blank space before a field.
    fn pads(self, c: char) -> bool {
        c.is_whitespace() && c != '\n' && (self != Self::Tab || c != '\t')
    }
}

/// A line, or several if there are line ends in quotes.
struct Record {
    line: u64,
    fields: Vec<String>,
}

impl Record {
    fn place(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field == name)
    }

    fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// How many fields there are up to the last that is not empty.
    fn names(&self) -> usize {
        let last = self.fields.iter().rposition(|field| !field.is_empty());
        last.map_or(0, |last| last + 1)
    }

    /// How many fields there are, empty ones beyond so many not counted.
    fn width(&self, wanted: usize) -> usize {
        self.names().max(self.fields.len().min(wanted))
    }
}

/// Whole lines, and the place of the first of them in the file.
#[derive(Clone, Copy)]
struct Lines<'a> {
    text: &'a str,
    line: u64,
}

impl<'a> Lines<'a> {
    fn records(self, separator: Separator) -> Records<'a> {
        let text = match separator {
            // Tabs separate as blanks do, and the parser knows one separator.
            Separator::Blanks => Cow::Owned(self.text.replace('\t', " ")),
            _ => Cow::Borrowed(self.text),
        };
        Records {
            at: 0,
            line: self.line,
            separator,
            parser: ReaderBuilder::new().delimiter(separator.byte()).build(),
            // No field is longer than all of them.
            field: std::vec![0; text.len()],
            text,
        }
    }
}

/// Lines, record by record.
struct Records<'a> {
    text: Cow<'a, str>,
    /// Where in `text` the next record begins, or the next field of one.
    at: usize,
    /// The line that this is in.
    line: u64,
    separator: Separator,
    parser: Reader,
    /// Where the parser writes a field.
    field: Vec<u8>,
}

impl Records<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next record that holds anything.
    fn next_record(&mut self) -> Option<Parsed<Record>> {
        loop {
            while let Some((_, after)) = passed_over(self.rest()) {
                self.at = self.text.len() - after.len();
                self.line += 1;
            }
            if self.rest().is_empty() {
                return None;
            }
            match self.record() {
                Ok(record) if record.names() == 0 => {}
                record => return Some(record),
            }
        }
    }

    fn record(&mut self) -> Parsed<Record> {
        let wrong = |line, why| CsvErrorKind::Read {
            line,
            why: String::from(why),
        };
        let (line, mut fields) = (self.line, Vec::new());
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let rest = rest.trim_start_matches(|c| self.separator.pads(c));
            let (found, read, written) = self.parser.read_field(rest.as_bytes(), &mut self.field);
            // All lines have ends, and a field goes beyond one only in quotes.
            let ReadFieldResult::Field { record_end } = found else {
                return Err(wrong(line, "expected a quote to be closed, found the end"));
            };
            // The field with its quotes, without the separator or line end behind it.
            let raw = rest.get(..read.saturating_sub(1)).unwrap_or_default();
            let field = String::from_utf8_lossy(self.field.get(..written).unwrap_or_default());
            self.at = self.text.len() - rest.len() + read;
            self.line += raw.matches('\n').count() as u64;
            if raw.starts_with('"') && !is_closed(raw, &field) {
                return Err(wrong(
                    self.line,
                    "expected a separator behind a quote that closes a field",
                ));
            }
            // Blanks at the end of a line separate nothing.
            if self.separator != Separator::Blanks || !raw.is_empty() {
                fields.push(field.trim().to_string());
            }
            if record_end {
                self.line += 1;
                return Ok(Record { line, fields });
            }
        }
    }
}

/// Whether a field in quotes ends with them. The parser takes text behind them for a
/// part of the field: `"1"2` for `12`.
fn is_closed(raw: &str, field: &str) -> bool {
    let quotes = |text: &str| text.matches('"').count();
    // There are two around the field, and two for each in it.
    raw.trim_end().ends_with('"') && quotes(raw) == 2 + 2 * quotes(field)
}

// ---- numbers --------------------------------------------------------------------

/// The number in a field. `decimal` is the mark that numbers before it had.
fn number(
    field: &str,
    separator: Separator,
    decimal: &mut Option<char>,
) -> Result<f64, &'static str> {
    if field.is_empty() {
        return Err(", a missing value: remove the row, or fill it in");
    }
    let mark = field.chars().find(|c| matches!(c, '.' | ','));
    let has_comma = mark == Some(',');
    if has_comma && matches!(separator, Separator::Comma | Separator::Blanks) {
        return Err("; decimal commas need columns that semicolons or tabs separate");
    }
    let number = if has_comma {
        field.replacen(',', ".", 1).parse()
    } else {
        field.parse()
    };
    let x: f64 = number.map_err(|_| "")?;
    if !is_finite_in_f32(x) {
        // Digits that have become an infinity are too large for `f64`, too.
        let has_digits = field.contains(|c: char| c.is_ascii_digit());
        let x = if has_digits {
            x.clamp(f64::MIN, f64::MAX)
        } else {
            x
        };
        return Err(too_large(x));
    }
    if let Some(mark) = mark {
        match *decimal.get_or_insert(mark) {
            before if before == mark => {}
            ',' => return Err(", with a decimal point after numbers with a decimal comma"),
            _ => return Err(", with a comma after numbers with a decimal point"),
        }
    }
    Ok(x)
}

/// Whether it can be no name.
fn is_number(field: &str) -> bool {
    field.replacen(',', ".", 1).parse::<f64>().is_ok()
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
            // The column is not asked for, but its quotes would swallow rows.
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
