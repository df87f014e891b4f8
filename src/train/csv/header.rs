//! Finds the line of names, the separator of its fields, and the columns.

use std::string::{String, ToString};
use std::vec::Vec;

use super::super::error::DataError;
use super::error::{CsvErrorKind, Parsed};
use super::number::is_number;
use super::records::{Lines, Record, Records, Separator, passed_over};

/// The positions of the requested columns, and the records after the line of names.
pub(super) struct Header<'a> {
    pub(super) places: Vec<usize>,
    pub(super) width: usize,
    pub(super) records: Records<'a>,
}

impl<'a> Header<'a> {
    pub(super) fn find(text: &'a str, columns: &[&str]) -> Parsed<Self> {
        let (comment, start) = skip_comments(text);
        // Takes the first separator that yields all requested columns. If none does, the
        // error lists the names found by the first separator that yields the most.
        let (mut most, mut wrong) = (None, None);
        for separator in Separator::ALL {
            let mut records = start.records(separator);
            let record = match records.next_record() {
                Some(Ok(record)) => record,
                // Quotes that are wrong with this separator may be right with another one.
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
                // Prefers more names, but blanks only to a single name, since a name may
                // contain blanks.
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

    /// Takes the names from a comment, if it has as many as the first line has numbers.
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
            // Tries the separator of the names first: most programs use it for the numbers, too.
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

/// Returns the text from the last comment on, without its `#`, and the text after all comments.
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
