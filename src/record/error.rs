//! The error for bytes that are not a valid record, or that are too few for one.

use core::fmt;

use super::VERSION;

/// The reason why bytes are no record, or why a record does not fit into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes do not begin like a record.
    NotARecord,
    /// It was written by another version of this library.
    Version {
        /// The version in the bytes.
        found: u8,
    },
    /// The record was cut short, or bytes were appended.
    Length {
        /// The length in the record's header.
        expected: usize,
        /// The number of bytes.
        found: usize,
    },
    /// At least one bit differs from the bytes that were written.
    Checksum {
        /// The checksum of the bytes as they were found.
        expected: u32,
        /// The checksum stored in the record.
        found: u32,
    },
    /// The checksum is right, but an entry is malformed, or its content is invalid for its
    /// reader.
    Content {
        /// The expected content.
        expected: &'static str,
    },
    /// The record has no entry with this name and of the requested kind.
    Missing {
        /// The name of the entry.
        name: &'static str,
    },
    /// The length of an array does not match its destination or its shape.
    Count {
        /// The expected number of elements.
        expected: usize,
        /// The number of elements found.
        found: usize,
    },
    /// The record does not fit into the buffer.
    Full {
        /// The size of the record in bytes.
        needed: usize,
        /// The size of the buffer in bytes.
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
