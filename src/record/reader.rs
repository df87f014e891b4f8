//! Checks the header and the checksum, then finds entries where they lie: nothing is copied.

use super::{ARRAY, CHECKSUM, HEADER, INTEGER, MAGIC, RecordError, TEXT, VERSION, crc32};
use crate::shape::{MAX_RANK, Shape};

/// A record in bytes that were [read](Self::read), and found to be whole.
#[derive(Clone, Copy, Debug)]
pub struct Record<'b> {
    entries: &'b [u8],
}

/// A value that a record has.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Value<'b> {
    /// Numbers of some shape.
    Array(Array<'b>),
    /// One integer.
    Integer(u64),
    /// A text.
    Text(&'b str),
}

/// An array in a record.
#[derive(Clone, Copy, Debug)]
pub struct Array<'b> {
    shape: Shape,
    bytes: &'b [u8],
}

impl Array<'_> {
    /// Its shape.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Its numbers, row by row.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f32> + Clone {
        let (chunks, _) = self.bytes.as_chunks();
        chunks.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }

    /// Writes its numbers to a slice of the same length.
    ///
    /// # Errors
    /// A slice of another length.
    pub fn copy_to(&self, to: &mut [f32]) -> Result<(), RecordError> {
        if to.len() != self.values().len() {
            return Err(RecordError::Count {
                expected: to.len(),
                found: self.values().len(),
            });
        }
        for (to, value) in to.iter_mut().zip(self.values()) {
            *to = value;
        }
        Ok(())
    }
}

impl<'b> Record<'b> {
    /// Entries that the [`Writer`](super::Writer) has just written, without header and checksum.
    pub(super) fn of_entries(entries: &'b [u8]) -> Self {
        Record { entries }
    }

    /// Takes bytes for a record, if they are one, whole and unchanged.
    ///
    /// # Errors
    /// Bytes of something else, of another version, of another length, with another
    /// checksum; entries that make no sense, or two of one name.
    pub fn read(bytes: &'b [u8]) -> Result<Self, RecordError> {
        let short = RecordError::Length {
            expected: HEADER + CHECKSUM,
            found: bytes.len(),
        };
        let beginning = bytes.iter().zip(MAGIC);
        if beginning.clone().any(|(byte, magic)| *byte != magic) {
            return Err(RecordError::NotARecord);
        }
        let (header, _) = bytes.split_first_chunk::<HEADER>().ok_or(short)?;
        let [_, _, _, _, version, reserved, low, high, length @ ..] = *header;
        if version != VERSION {
            return Err(RecordError::Version { found: version });
        }
        let length = u32::from_le_bytes(length) as usize;
        if length != bytes.len() {
            return Err(RecordError::Length {
                expected: length,
                found: bytes.len(),
            });
        }
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(short)?;
        let (expected, found) = (crc32(body), u32::from_le_bytes(*checksum));
        if expected != found {
            return Err(RecordError::Checksum { expected, found });
        }
        let record = Record {
            entries: body.get(HEADER..).ok_or(short)?,
        };
        let count = record.count()?;
        if reserved != 0 || count != usize::from(u16::from_le_bytes([low, high])) {
            let expected = "as many entries as it says";
            return Err(RecordError::Content { expected });
        }
        Ok(record)
    }

    /// How many entries there are, if all of them make sense and have a name of their own.
    pub(super) fn count(&self) -> Result<usize, RecordError> {
        let content = |expected| Err(RecordError::Content { expected });
        let mut rest = self.entries;
        let mut count = 0_usize;
        while !rest.is_empty() {
            let Some((name, _, others)) = next(rest) else {
                return content("whole entries");
            };
            if self.entries().take(count).any(|(other, _)| other == name) {
                return content("one entry of a name");
            }
            rest = others;
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    /// All entries, in the order they were written in.
    pub fn entries(&self) -> impl Iterator<Item = (&'b str, Value<'b>)> + use<'b> {
        let mut rest = self.entries;
        core::iter::from_fn(move || {
            let (name, value, others) = next(rest)?;
            rest = others;
            Some((name, value))
        })
    }

    fn get(&self, name: &str) -> Option<Value<'b>> {
        let mut entries = self.entries();
        entries
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// The array of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn array(&self, name: &'static str) -> Result<Array<'b>, RecordError> {
        match self.get(name) {
            Some(Value::Array(array)) => Ok(array),
            _ => Err(RecordError::Missing { name }),
        }
    }

    /// The integer of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn integer(&self, name: &'static str) -> Result<u64, RecordError> {
        match self.get(name) {
            Some(Value::Integer(integer)) => Ok(integer),
            _ => Err(RecordError::Missing { name }),
        }
    }

    /// The text of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn text(&self, name: &'static str) -> Result<&'b str, RecordError> {
        match self.get(name) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(RecordError::Missing { name }),
        }
    }
}

/// The first entry, and the bytes behind it; `None` if it makes no sense.
fn next(bytes: &[u8]) -> Option<(&str, Value<'_>, &[u8])> {
    let (&[kind, name, rank, reserved], rest) = bytes.split_first_chunk()?;
    let (name, mut rest) = rest.split_at_checked(name.into())?;
    let name = str::from_utf8(name).ok()?;
    let rank = usize::from(rank);
    if rank > MAX_RANK || reserved != 0 {
        return None;
    }
    let mut sizes = [1; MAX_RANK];
    let mut count = 1_usize;
    for to in sizes.iter_mut().take(rank) {
        let (size, others) = rest.split_first_chunk()?;
        *to = usize::try_from(u32::from_le_bytes(*size)).ok()?;
        count = count.checked_mul(*to)?;
        rest = others;
    }
    let (value, rest) = match (kind, rank) {
        (ARRAY, _) => {
            let (bytes, rest) = rest.split_at_checked(count.checked_mul(4)?)?;
            let shape = Shape::new(sizes.get(..rank)?).ok()?;
            (Value::Array(Array { shape, bytes }), rest)
        }
        (INTEGER, 0) => {
            let (bytes, rest) = rest.split_first_chunk()?;
            (Value::Integer(u64::from_le_bytes(*bytes)), rest)
        }
        (TEXT, 1) => {
            let (bytes, rest) = rest.split_at_checked(count)?;
            (Value::Text(str::from_utf8(bytes).ok()?), rest)
        }
        _ => return None,
    };
    Some((name, value, rest))
}
