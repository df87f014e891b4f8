//! The reader: checks header and checksum, then finds entries in place, without copying.

use super::{ARRAY, CHECKSUM, HEADER, INTEGER, MAGIC, RecordError, TEXT, VERSION, crc32};
use crate::shape::{MAX_RANK, Shape};

/// A record in borrowed bytes that [`read`](Self::read) has checked.
#[derive(Clone, Copy, Debug)]
pub struct Record<'b> {
    entries: &'b [u8],
}

/// A value in a record.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Value<'b> {
    /// An array of `f32`.
    Array(Array<'b>),
    /// An integer.
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
    /// The shape of the array.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The values of the array, row by row.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f32> + Clone {
        let (chunks, _) = self.bytes.as_chunks();
        chunks.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }

    /// Copies the values to a slice of the same length.
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
    /// Wraps entries that the [`Writer`](super::Writer) has written, without header and
    /// checksum.
    pub(super) fn of_entries(entries: &'b [u8]) -> Self {
        Record { entries }
    }

    /// Checks that the bytes are a whole, unchanged record.
    ///
    /// # Errors
    /// Bytes that do not begin like a record, have another version, another length or another
    /// checksum; malformed entries, or two entries with the same name.
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

    /// Returns the number of entries.
    ///
    /// # Errors
    /// A malformed entry, or two entries with the same name.
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

    /// Iterates over all entries, in the order in which they were written.
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

    /// Returns the array with this name.
    ///
    /// # Errors
    /// [`RecordError::Missing`] if there is no array with this name.
    pub fn array(&self, name: &'static str) -> Result<Array<'b>, RecordError> {
        match self.get(name) {
            Some(Value::Array(array)) => Ok(array),
            _ => Err(RecordError::Missing { name }),
        }
    }

    /// Returns the integer with this name.
    ///
    /// # Errors
    /// [`RecordError::Missing`] if there is no integer with this name.
    pub fn integer(&self, name: &'static str) -> Result<u64, RecordError> {
        match self.get(name) {
            Some(Value::Integer(integer)) => Ok(integer),
            _ => Err(RecordError::Missing { name }),
        }
    }

    /// Returns the text with this name.
    ///
    /// # Errors
    /// [`RecordError::Missing`] if there is no text with this name.
    pub fn text(&self, name: &'static str) -> Result<&'b str, RecordError> {
        match self.get(name) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(RecordError::Missing { name }),
        }
    }
}

/// Parses the first entry. Returns its name, its value and the bytes after it; `None` if it is
/// malformed.
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
