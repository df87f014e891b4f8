//! The reasons why bytes are no record, and why a record does not fit into bytes.

use core::fmt;

use super::VERSION;

/// The reason why bytes are no record, or why a record does not fit into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RecordError {
    /// It does not begin as a record does.
    NotARecord,
    /// It was written by another version of this library.
    Version {
        /// The version in the bytes.
        found: u8,
    },
    /// It was cut short, or something was added.
    Length {
        /// The length in its header.
        expected: usize,
        /// How many bytes there are.
        found: usize,
    },
    /// At least one bit is not as it was written.
    Checksum {
        /// The checksum of the bytes as they are.
        expected: u32,
        /// The checksum that came with them.
        found: u32,
    },
    /// The bytes are as they were written, but an entry makes no sense, or nothing can be made
    /// of it.
    Content {
        /// The content that was expected.
        expected: &'static str,
    },
    /// There is no such entry, or one of another kind.
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// An array of so many numbers does not fit its place.
    Count {
        /// How many were expected.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The record does not fit into the bytes that it is written to.
    Full {
        /// How many bytes it takes.
        needed: usize,
        /// How many there are.
        capacity: usize,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::NotARecord => f.write_str("expected a record, which begins with `bgrd`"),
            RecordError::Version { found } => {
                write!(f, "expected a record of version {VERSION}, found {found}")
            }
            RecordError::Length { expected, found } => {
                write!(f, "expected a record of {expected} bytes, found {found}")
            }
            RecordError::Checksum { expected, found } => write!(
                f,
                "expected a record with checksum {expected:08x}, found {found:08x}"
            ),
            RecordError::Content { expected } => write!(f, "expected a record with {expected}"),
            RecordError::Missing { name } => write!(f, "expected a record that has `{name}`"),
            RecordError::Count { expected, found } => {
                write!(
                    f,
                    "expected {expected} numbers in the record, found {found}"
                )
            }
            RecordError::Full { needed, capacity } => write!(
                f,
                "expected {needed} bytes for the record, there are {capacity}"
            ),
        }
    }
}

impl core::error::Error for RecordError {}
