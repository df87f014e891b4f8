//! Splits lines into records of fields.

use std::borrow::Cow;
use std::string::{String, ToString};
use std::vec::Vec;

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

use super::error::{CsvErrorKind, Parsed};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Separator {
    Comma,
    Semicolon,
    Tab,
    /// A run of blanks and tabs of any length.
    Blanks,
}

impl Separator {
    pub(super) const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Blanks];

    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Blanks => b' ',
        }
    }

    /// Returns whether `c` is white space that may precede a field.
    pub(super) fn pads(self, c: char) -> bool {
        c.is_whitespace() && c != '\n' && (self != Self::Tab || c != '\t')
    }
}

/// The fields of one line, or of several lines if quoted fields contain line ends.
pub(super) struct Record {
    pub(super) line: u64,
    pub(super) fields: Vec<String>,
}

impl Record {
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// The number of fields up to the last one that is not empty.
    pub(super) fn names(&self) -> usize {
        let last = self.fields.iter().rposition(|field| !field.is_empty());
        last.map_or(0, |last| last + 1)
    }

    /// The number of fields, not counting empty fields beyond the first `wanted`.
    pub(super) fn width(&self, wanted: usize) -> usize {
        self.names().max(self.fields.len().min(wanted))
    }
}

/// Whole lines, and the number of the first one in the file.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a> {
    pub(super) text: &'a str,
    pub(super) line: u64,
}

impl<'a> Lines<'a> {
    pub(super) fn records(self, separator: Separator) -> Records<'a> {
        let text = match separator {
            // The parser accepts one separator, so tabs are replaced by blanks.
            Separator::Blanks => Cow::Owned(self.text.replace('\t', " ")),
            _ => Cow::Borrowed(self.text),
        };
        Records {
            at: 0,
            line: self.line,
            separator,
            parser: ReaderBuilder::new().delimiter(separator.byte()).build(),
            // A field is never longer than the text.
            field: std::vec![0; text.len()],
            text,
        }
    }
}

/// Reads lines record by record.
pub(super) struct Records<'a> {
    text: Cow<'a, str>,
    /// The position in `text` of the next record, or of the next field within a record.
    at: usize,
    /// The line number of this position.
    line: u64,
    pub(super) separator: Separator,
    parser: Reader,
    /// The buffer into which the parser writes a field.
    field: Vec<u8>,
}

impl Records<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Returns the next record with a field that is not empty.
    pub(super) fn next_record(&mut self) -> Option<Parsed<Record>> {
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
            // Only a quoted field continues beyond the end of its line.
            let ReadFieldResult::Field { record_end } = found else {
                return Err(wrong(line, "expected a quote to be closed, found the end"));
            };
            // The field with its quotes, without the separator or line end after it.
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
            // Blanks at the end of a line do not separate fields.
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

/// Returns whether a quoted field ends with its closing quote. The parser would append text after
/// this quote to the field: `"1"2` becomes `12`.
fn is_closed(raw: &str, field: &str) -> bool {
    let quotes = |text: &str| text.matches('"').count();
    // Two quotes enclose the field, and each quote within is written as two.
    raw.trim_end().ends_with('"') && quotes(raw) == 2 + 2 * quotes(field)
}

/// If the first line is blank or a comment, returns this line from its first letter on,
/// and the text after it.
pub(super) fn passed_over(text: &str) -> Option<(&str, &str)> {
    let (line, after) = text.split_at(text.find('\n')? + 1);
    let line = line.trim_start();
    (line.is_empty() || line.starts_with('#')).then_some((line, after))
}
