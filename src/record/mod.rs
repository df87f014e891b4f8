//! Named numbers as bytes: for a file, a flash, or a serial line.
//!
//! ```text
//! record    "bgrd"  version  0  entries: u16  length: u32  entry …  checksum: u32
//! entry     kind  length of the name  rank  0  name  size: u32 …  data
//! data      of an array: f32 …       of an integer: u64       of a text: UTF-8
//! ```
//!
//! All of it is little endian. The length is that of all bytes, the checksum is the
//! [CRC-32](crc32) of all bytes before it: a record that was cut short, has a bit flipped,
//! or something behind it, is refused with a word. One of another version is refused as
//! well, and not guessed at.

//!
//! A record holds whatever it is given: calibrations
//! ([`calibrate::Calibration`](crate::calibrate::Calibration)), parameters by name and shape
//! ([`Writer::params`], [`Record::load_params`]), and the state of optimizers, searches,
//! schedules and fits ([`Writer::state_dict`], [`Record::load_state_dict`]). A checkpoint is
//! a few calls:
//!
//! ```
//! use baregrad::optim::schedule::{CosineAnnealingLr, Scheduler};
//! use baregrad::optim::{Adam, Stateful};
//! use baregrad::record::{Record, Writer};
//! use baregrad::{Arena, Tape, Var};
//!
//! /// A model, its optimizer and its schedule.
//! struct Run<'t> {
//!     tape: &'t Tape<'t>,
//!     w: Var<'t>,
//!     loss: Var<'t>,
//!     adam: Adam<1>,
//!     rates: Scheduler<CosineAnnealingLr>,
//! }
//!
//! impl<'t> Run<'t> {
//!     fn new(tape: &'t Tape<'t>) -> Self {
//!         let w = tape.param(&[0.0], []);
//!         let loss = (w * tape.input(&[1.0, 2.0], [2]) - tape.input(&[2.0, 4.0], [2])).square().mean();
//!         let mut adam = Adam::new(0.1);
//!         let rates = Scheduler::new(CosineAnnealingLr::new(100), &mut adam);
//!         Run { tape, w, loss, adam, rates }
//!     }
//!
//!     fn epoch(&mut self) -> Result<(), baregrad::Error> {
//!         self.tape.zero_grad();
//!         self.tape.replay()?;
//!         self.tape.backward(self.loss)?;
//!         self.tape.step(&mut self.adam)?;
//!         self.rates.step(&mut self.adam);
//!         Ok(())
//!     }
//! }
//!
//! let mut bytes = [0; 1024];
//! let mut arena = Arena::<64, 16>::new();
//! let tape = arena.tape();
//! let mut run = Run::new(&tape);
//! for _ in 0..30 {
//!     run.epoch()?;
//! }
//! let mut checkpoint = Writer::new(&mut bytes);
//! checkpoint.params("model", &[("w", run.w)])?;
//! checkpoint.state_dict("optimizer", &mut run.adam, 1)?;
//! checkpoint.state_dict("scheduler", &mut run.rates, 0)?;
//! let checkpoint = checkpoint.finish()?;
//! run.epoch()?;
//!
//! // In another process, or on another machine.
//! let mut arena = Arena::<64, 16>::new();
//! let tape = arena.tape();
//! let mut resumed = Run::new(&tape);
//! let checkpoint = Record::read(checkpoint)?;
//! checkpoint.load_params("model", &[("w", resumed.w)])?;
//! checkpoint.load_state_dict("optimizer", &mut resumed.adam, 1)?;
//! checkpoint.load_state_dict("scheduler", &mut resumed.rates, 0)?;
//! resumed.epoch()?;
//! assert_eq!(resumed.w.value()?[0].to_bits(), run.w.value()?[0].to_bits());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::fmt;

use crate::shape::{MAX_RANK, Shape};

/// The version of the bytes that are written, and the only one that is read.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"bgrd";
const HEADER: usize = 12;
const CHECKSUM: usize = 4;
/// Kinds of entries.
const ARRAY: u8 = 1;
const INTEGER: u8 = 2;
const TEXT: u8 = 3;

/// Bytes that are not taken for a record, or that a record does not fit into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RecordError {
    /// It does not begin as a record does.
    NotARecord,
    /// It was written by another version of this library.
    Version {
        /// Which version of the bytes.
        found: u8,
    },
    /// It was cut short, or something was added.
    Length {
        /// The bytes that it says it has.
        expected: usize,
        /// The bytes that there are.
        found: usize,
    },
    /// A bit is not as it was written.
    Checksum {
        /// The checksum of the bytes as they are.
        expected: u32,
        /// The checksum that came with them.
        found: u32,
    },
    /// The bytes are as they were written, but make no sense: of an entry, or of what is
    /// made of it.
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

/// Writes a record into bytes of the caller's.
///
/// Mistakes are told at the [end](Self::finish).
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
    /// How many were to be written so far.
    len: usize,
    entries: u16,
    error: Option<RecordError>,
}

impl<'b> Writer<'b> {
    /// An empty record.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Writer {
            bytes,
            len: HEADER,
            entries: 0,
            error: None,
        }
    }

    /// Adds an array of this shape, row by row.
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

    /// Adds a text.
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

    /// Ends the record: the bytes that it took.
    ///
    /// # Errors
    /// Bytes that are too few, the error says how many it takes; a name of more than 255
    /// bytes, or that there is twice; an array of other than as many numbers as its shape
    /// has.
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
        Record { entries }.count()?;
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
            // A larger one does not fit anyway.
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

/// The name of an entry, in parts: `optimizer.3.exp_avg`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'n> {
    prefix: Option<&'n str>,
    place: Option<u16>,
    name: &'n str,
}

impl<'n> Name<'n> {
    pub(crate) fn plain(name: &'n str) -> Self {
        Name {
            prefix: None,
            place: None,
            name,
        }
    }

    pub(crate) fn of(prefix: &'n str, name: &'n str) -> Self {
        Name {
            prefix: Some(prefix),
            place: None,
            name,
        }
    }

    pub(crate) fn at(prefix: &'n str, place: u16, name: &'n str) -> Self {
        Name {
            prefix: Some(prefix),
            place: Some(place),
            name,
        }
    }

    /// Shows its parts, one after the other.
    pub(crate) fn each(&self, show: &mut dyn FnMut(&str)) {
        if let Some(prefix) = self.prefix {
            show(prefix);
            show(".");
        }
        if let Some(place) = self.place {
            let mut started = false;
            for unit in [10_000, 1000, 100, 10, 1] {
                let digit = place / unit % 10;
                started |= digit > 0 || unit == 1;
                if started {
                    let digit = [b'0'.saturating_add(digit as u8)];
                    show(str::from_utf8(&digit).unwrap_or_default());
                }
            }
            show(".");
        }
        show(self.name);
    }

    /// Whether it is this name.
    pub(crate) fn is(&self, name: &str) -> bool {
        let mut rest = Some(name);
        self.each(&mut |part| rest = rest.and_then(|rest| rest.strip_prefix(part)));
        rest == Some("")
    }
}

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

    /// Writes its numbers to a slice that is as long.
    ///
    /// # Errors
    /// A slice that is not.
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
    fn count(&self) -> Result<usize, RecordError> {
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

/// The first entry, and what is behind it; `None` if it makes no sense.
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

/// CRC-32 as in zip and Ethernet (ISO-HDLC), half a byte at a time: four times as fast as
/// bit by bit, for a table of 64 bytes.
///
/// ```
/// assert_eq!(baregrad::record::crc32(b"123456789"), 0xcbf4_3926);
/// ```
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    // An index that is wrong would not compile.
    #[allow(clippy::indexing_slicing)]
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut half = 0;
        while half < 16 {
            let mut crc = half as u32;
            let mut bit = 0;
            while bit < 4 {
                crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
                bit += 1;
            }
            table[half] = crc;
            half += 1;
        }
        table
    };
    let mut crc = u32::MAX;
    for byte in bytes {
        for half in [*byte, *byte >> 4] {
            let at = (crc as u8 ^ half) & 0xf;
            crc = (crc >> 4) ^ TABLE.get(usize::from(at)).unwrap_or(&0);
        }
    }
    !crc
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{Record, RecordError, Value, Writer, crc32};
    use crate::shape::Shape;

    /// A model of two layers and the state of an optimizer: all kinds, all ranks.
    fn write(bytes: &mut [u8]) -> Result<&[u8], RecordError> {
        let mut writer = Writer::new(bytes);
        writer.text("model", "mlp:2");
        writer.array("w1", [1, 2], [0.5, f32::MIN_POSITIVE]);
        writer.array("b1", [2], [-0.0, 1e-45]);
        writer.array("loss", [], [2.9]);
        writer.array("kernel", [1, 2, 1, 2], [1.0, 2.0, 3.0, 4.0]);
        writer.array("none", [0, 3], []);
        writer.integer("step", u64::MAX);
        writer.text("note", "");
        writer.finish()
    }

    #[test]
    fn bytes_give_the_entries_back() {
        let mut bytes = [0; 256];
        let bytes = write(&mut bytes).unwrap();
        let record = Record::read(bytes).unwrap();
        assert_eq!(record.text("model"), Ok("mlp:2"));
        assert_eq!(record.text("note"), Ok(""));
        assert_eq!(record.integer("step"), Ok(u64::MAX));
        let bits = |name| -> Vec<u32> {
            record
                .array(name)
                .unwrap()
                .values()
                .map(f32::to_bits)
                .collect()
        };
        assert_eq!(bits("b1"), [0x8000_0000, 1]);
        assert_eq!(bits("loss"), [2.9_f32.to_bits()]);
        assert_eq!(record.array("loss").unwrap().shape(), Shape::SCALAR);
        assert_eq!(record.array("kernel").unwrap().shape().dims(), [1, 2, 1, 2]);
        assert_eq!(record.array("none").unwrap().shape().dims(), [0, 3]);
        let names: Vec<_> = record.entries().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "model", "w1", "b1", "loss", "kernel", "none", "step", "note"
            ]
        );
        assert!(matches!(
            record.entries().last(),
            Some((_, Value::Text("")))
        ));

        assert_eq!(
            record.text("step"),
            Err(RecordError::Missing { name: "step" })
        );
        assert_eq!(
            record.integer("epoch"),
            Err(RecordError::Missing { name: "epoch" })
        );
        let found = record.array("b1").unwrap().copy_to(&mut [0.0; 3]);
        assert_eq!(
            found,
            Err(RecordError::Count {
                expected: 3,
                found: 2
            })
        );
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_refused() {
        let mut bytes = [0; 256];
        let len = write(&mut bytes).unwrap().len();
        let whole = &mut bytes[..len];
        let (mut cut, mut flipped) = (0, 0);
        for len in 0..len {
            assert!(Record::read(&whole[..len]).is_err(), "{len}");
            cut += 1;
        }
        for bit in 0..8 * len {
            whole[bit / 8] ^= 1 << (bit % 8);
            let found = Record::read(whole).map(|_| ());
            whole[bit / 8] ^= 1 << (bit % 8);
            let byte = bit / 8;
            let expected = match byte {
                0..4 => matches!(found, Err(RecordError::NotARecord)),
                4 => matches!(found, Err(RecordError::Version { .. })),
                8..12 => matches!(found, Err(RecordError::Length { .. })),
                _ => matches!(found, Err(RecordError::Checksum { .. })),
            };
            assert!(expected, "bit {bit}: {found:?}");
            flipped += 1;
        }
        assert_eq!((cut, flipped), (len, 8 * len));
        assert!(Record::read(whole).is_ok());
        // One byte more.
        let longer = [&whole[..], &[0]].concat();
        assert!(matches!(
            Record::read(&longer),
            Err(RecordError::Length { .. })
        ));
    }

    /// Bytes that someone made on purpose, with the right checksum.
    #[test]
    fn content_that_makes_no_sense_is_refused() {
        let mut bytes = [0; 256];
        let len = write(&mut bytes).unwrap().len();
        let mut refused = 0;
        for at in 5..len - 4 {
            for value in [0, 1, 2, 3, 4, 5, 127, 255] {
                let mut forged = bytes[..len].to_vec();
                forged[at] = value;
                let crc = crc32(&forged[..len - 4]);
                forged[len - 4..].copy_from_slice(&crc.to_le_bytes());
                // It says what is wrong, or has changed numbers and names; no panic.
                match Record::read(&forged) {
                    Ok(record) => assert_eq!(record.entries().count(), 8),
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > 100, "{refused}");
        let expected = "one entry of a name";
        let mut twice = Writer::new(&mut bytes);
        twice.integer("a", 1);
        twice.integer("a", 2);
        assert_eq!(twice.finish(), Err(RecordError::Content { expected }));
        let mut forged = Writer::new(&mut bytes);
        forged.integer("a", 1);
        forged.integer("b", 2);
        let len = forged.finish().unwrap().len();
        let b = bytes.iter().position(|byte| *byte == b'b').unwrap();
        let b = b
            + 1
            + bytes[b + 1..]
                .iter()
                .position(|byte| *byte == b'b')
                .unwrap();
        bytes[b] = b'a';
        let crc = crc32(&bytes[..len - 4]);
        bytes[len - 4..len].copy_from_slice(&crc.to_le_bytes());
        let found = Record::read(&bytes[..len]).map(|_| ());
        assert_eq!(found, Err(RecordError::Content { expected }));
    }

    #[test]
    fn too_few_bytes_say_how_many_it_takes() {
        let mut bytes = [0; 256];
        let needed = write(&mut bytes).unwrap().len();
        for capacity in 0..needed {
            let found = write(&mut bytes[..capacity]);
            assert_eq!(found, Err(RecordError::Full { needed, capacity }));
        }
        assert!(write(&mut bytes[..needed]).is_ok());
        let mut writer = Writer::new(&mut bytes);
        writer.array("a", [2], [1.0]);
        let expected = RecordError::Count {
            expected: 2,
            found: 1,
        };
        assert_eq!(writer.finish(), Err(expected));
    }
}
