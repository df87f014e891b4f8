//! A calibration as its record: in use, in flash, on the serial line.

use core::fmt;

use baregrad::calibrate::{self, Calibration, Curve, Formula, RecordError};

/// The most parameters of a curve: a network of eight units has as many.
pub const MAX_PARAMS: usize = 25;
/// The most bytes of a record.
pub const MAX_BYTES: usize = Calibration::max_bytes(MAX_PARAMS);

/// The functions that a board knows: by least squares alone, which takes no tape.
pub(crate) static FORMULAS: [&Formula; 4] = [
    &calibrate::FORMULAS[0].without_tape(),
    &calibrate::FORMULAS[1].without_tape(),
    &calibrate::FORMULAS[2].without_tape(),
    &calibrate::FORMULAS[3].without_tape(),
];

/// A record of a calibration, or the beginning of one that comes in.
#[derive(Clone, Debug)]
pub struct Kept {
    bytes: [u8; MAX_BYTES],
    len: usize,
}

impl Kept {
    /// No bytes yet.
    pub const EMPTY: Self = Kept {
        bytes: [0; MAX_BYTES],
        len: 0,
    };

    /// The record of a calibration.
    ///
    /// # Errors
    /// A curve of more parameters than [`MAX_PARAMS`].
    pub fn write(calibration: &Calibration<'_>) -> Result<Self, RecordError> {
        let mut kept = Kept::EMPTY;
        kept.set(calibration)?;
        Ok(kept)
    }

    /// Becomes the record of a calibration, in place.
    pub(crate) fn set(&mut self, calibration: &Calibration<'_>) -> Result<(), RecordError> {
        self.len = 0;
        self.len = calibration.write(&mut self.bytes)?.len();
        Ok(())
    }

    /// Forgets its bytes.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Takes over the bytes of another one.
    pub(crate) fn copy_from(&mut self, other: &[u8]) -> Result<(), RecordError> {
        self.clear();
        self.push(other)
    }

    /// Bytes of a record.
    ///
    /// # Errors
    /// More of them than there is room for.
    pub fn of(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut kept = Kept::EMPTY;
        kept.push(bytes)?;
        Ok(kept)
    }

    /// Adds bytes behind the others.
    ///
    /// # Errors
    /// There is no room for them. None is added then.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let needed = self.len + bytes.len();
        let to = self.bytes.get_mut(self.len..needed);
        let to = to.ok_or(RecordError::Full {
            needed,
            capacity: MAX_BYTES,
        })?;
        for (to, byte) in to.iter_mut().zip(bytes) {
            *to = *byte;
        }
        self.len = needed;
        Ok(())
    }

    /// The calibration that it is of.
    ///
    /// # Errors
    /// Bytes that are no record of one, or one of a curve of more parameters than there is
    /// room for.
    pub fn read<'p>(
        &self,
        params: &'p mut [f32; MAX_PARAMS],
    ) -> Result<Calibration<'p>, RecordError> {
        read(self.bytes(), params)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The checksum that ends the record. It differs if any bit of the calibration does:
    /// compare it with another machine's.
    pub fn checksum(&self) -> u32 {
        checksum(self.bytes())
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

/// The curve and the checksum of a record, which tell it from others: `linear crc=354766cf`.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    curve: Curve,
    checksum: u32,
}

impl Name {
    /// The name of the record in these bytes.
    ///
    /// # Errors
    /// Bytes that are no record of a calibration, or one of a curve of more parameters than
    /// there is room for.
    #[inline(never)]
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut params = [0.0; MAX_PARAMS];
        let curve = read(bytes, &mut params)?.curve;
        let checksum = checksum(bytes);
        Ok(Name { curve, checksum })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} crc={:08x}", self.curve, self.checksum)
    }
}

/// The calibration in these bytes.
///
/// # Errors
/// Bytes that are no record of one, or one of a curve of more parameters than there is room
/// for.
pub(crate) fn read<'p>(
    bytes: &[u8],
    params: &'p mut [f32; MAX_PARAMS],
) -> Result<Calibration<'p>, RecordError> {
    Calibration::read_with(bytes, params, &FORMULAS)
}

fn checksum(bytes: &[u8]) -> u32 {
    let checksum = bytes.last_chunk();
    checksum.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
