//! Named numbers as bytes: for a file, for flash, or for a serial line.
//!
//! ```text
//! record    "bgrd"  version  0  entries: u16  length: u32  entry …  checksum: u32
//! entry     kind  length of the name  rank  0  name  size: u32 …  data
//! data      of an array: f32 …       of an integer: u64       of a text: UTF-8
//! ```
//!
//! All numbers are little endian. The length counts all bytes, and the checksum is the
//! [CRC-32](crc32) of all bytes before it. Reading a record that was cut short, has a flipped
//! bit or bytes after its end, or is of another version returns an error.
//!
//! A record holds calibrations
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

mod crc32;
mod error;
mod name;
mod reader;
mod writer;

pub use self::crc32::crc32;
pub use error::RecordError;
pub(crate) use name::Name;
pub use reader::{Array, Record, Value};
pub use writer::Writer;

/// The version of the format: the only one that is written and read.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"bgrd";
const HEADER: usize = 12;
const CHECKSUM: usize = 4;
// The kinds of entries.
const ARRAY: u8 = 1;
const INTEGER: u8 = 2;
const TEXT: u8 = 3;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{Record, RecordError, Value, Writer, crc32};
    use crate::shape::Shape;

    /// Two layers of a model and the state of an optimizer: every kind of entry, every rank.
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
        // One byte too many.
        let longer = [&whole[..], &[0]].concat();
        assert!(matches!(
            Record::read(&longer),
            Err(RecordError::Length { .. })
        ));
    }

    /// Forged bytes with the right checksum.
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
                // Reading returns an error, or other numbers and names. It does not panic.
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
