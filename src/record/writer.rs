//! The writer: header, entries one after the other, and checksum.

use super::name::Name;
use super::reader::Record;
use super::{ARRAY, CHECKSUM, HEADER, INTEGER, MAGIC, RecordError, TEXT, VERSION, crc32};
use crate::shape::Shape;

/// Writes a record into a buffer of the caller.
///
/// Errors are kept: [`finish`](Self::finish) returns the first one.
///
/// ```
/// use baregrad::record::{Record, Writer};
///
/// let mut bytes = [0; 128];
/// let mut writer = Writer::new(&mut bytes);
/// writer.text("curve", "linear");
/// writer.integer("epochs", 500);
/// writer.array("params", [2], [0.5, -17.0]);
/// let bytes = writer.finish()?;
///
/// let record = Record::read(bytes)?;
/// assert_eq!(record.text("curve")?, "linear");
/// assert_eq!(record.integer("epochs")?, 500);
/// let mut params = [0.0; 2];
/// record.array("params")?.copy_to(&mut params)?;
/// assert_eq!(params, [0.5, -17.0]);
/// # Ok::<(), baregrad::record::RecordError>(())
/// ```
#[derive(Debug)]
pub struct Writer<'b> {
    bytes: &'b mut [u8],
    /// The number of bytes of the record so far, even if they did not fit.
    len: usize,
    entries: u16,
    error: Option<RecordError>,
}

impl<'b> Writer<'b> {
    /// Begins an empty record in `bytes`.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Writer {
            bytes,
            len: HEADER,
            entries: 0,
            error: None,
        }
    }

    /// Adds an array of this shape, with its values row by row.
    pub fn array(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        values: impl IntoIterator<Item = f32>,
    ) {
        self.named_array(Name::plain(name), shape, values);
    }

    /// Adds an integer.
    pub fn integer(&mut self, name: &str, value: u64) {
        self.begin(INTEGER, Name::plain(name), &[]);
        self.put(&value.to_le_bytes());
    }

    /// Adds a text, encoded in UTF-8.
    pub fn text(&mut self, name: &str, value: &str) {
        self.named_text(Name::plain(name), value);
    }

    pub(crate) fn named_text(&mut self, name: Name<'_>, value: &str) {
        self.begin(TEXT, name, &[value.len()]);
        self.put(value.as_bytes());
    }

    pub(crate) fn named_array(
        &mut self,
        name: Name<'_>,
        shape: impl Into<Shape>,
        values: impl IntoIterator<Item = f32>,
    ) {
        let shape = shape.into();
        self.begin(ARRAY, name, shape.dims());
        let mut count = 0;
        for value in values {
            self.put(&value.to_le_bytes());
            count += 1;
        }
        if count != shape.numel() {
            self.fail(RecordError::Count {
                expected: shape.numel(),
                found: count,
            });
        }
    }

    /// Writes the header and the checksum. Returns the bytes of the record.
    ///
    /// # Errors
    /// A buffer that is too small (the error contains the size of the record); a name of more
    /// than 255 bytes, or two entries with the same name; an array whose number of values does
    /// not match its shape.
    pub fn finish(mut self) -> Result<&'b [u8], RecordError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let needed = self.len + CHECKSUM;
        let capacity = self.bytes.len();
        let full = RecordError::Full { needed, capacity };
        let length = u32::try_from(needed).map_err(|_| full)?.to_le_bytes();
        self.len = 0;
        let entries = self.entries.to_le_bytes();
        self.put(&MAGIC);
        self.put(&[VERSION, 0]);
        self.put(&entries);
        self.put(&length);
        self.len = needed - CHECKSUM;
        let written = self.bytes.get(..self.len).ok_or(full)?;
        let entries = written.get(HEADER..).unwrap_or_default();
        Record::of_entries(entries).count()?;
        let checksum = crc32(written);
        self.put(&checksum.to_le_bytes());
        self.bytes.get(..needed).ok_or(full)
    }

    fn begin(&mut self, kind: u8, name: Name<'_>, sizes: &[usize]) {
        let mut name_len = 0_usize;
        name.each(&mut |part| name_len = name_len.saturating_add(part.len()));
        let Ok(name_len) = u8::try_from(name_len) else {
            return self.fail(RecordError::Content {
                expected: "names of at most 255 bytes",
            });
        };
        self.entries = self.entries.saturating_add(1);
        self.put(&[kind, name_len, sizes.len() as u8, 0]);
        name.each(&mut |part| self.put(part.as_bytes()));
        for size in sizes {
            // A size above `u32::MAX` does not fit into the buffer in any case.
            let size = u32::try_from(*size).unwrap_or(u32::MAX);
            self.put(&size.to_le_bytes());
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        let to = self.bytes.get_mut(self.len..end).unwrap_or_default();
        for (to, byte) in to.iter_mut().zip(bytes) {
            *to = *byte;
        }
        self.len = end;
    }

    fn fail(&mut self, error: RecordError) {
        self.error.get_or_insert(error);
    }
}
