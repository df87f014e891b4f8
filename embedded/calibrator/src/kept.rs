//! Calibrations as records, the bytes in which they are in use, in flash and on the serial line.

use core::fmt;

use baregrad::calibrate::{self, Calibration, Curve, Formula, RecordError};

/// The most parameters of a curve, those of a network of eight units.
pub const MAX_PARAMS: usize = 25;
/// The most bytes of a record.
pub const MAX_BYTES: usize = Calibration::max_bytes(MAX_PARAMS);

/// The functions that a board knows, without their recording on a tape: it fits them by least
/// squares alone.
pub(crate) static FORMULAS: [&Formula; 4] = [
    &calibrate::FORMULAS[0].without_tape(),
    &calibrate::FORMULAS[1].without_tape(),
    &calibrate::FORMULAS[2].without_tape(),
    &calibrate::FORMULAS[3].without_tape(),
];

/// The record of a calibration, or the beginning of one that `put` receives.
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

    /// Makes the record of a calibration.
    ///
    /// # Errors
    /// The curve has more than [`MAX_PARAMS`] parameters.
    pub fn write(calibration: &Calibration<'_>) -> Result<Self, RecordError> {
        let mut kept = Kept::EMPTY;
        kept.set(calibration)?;
        Ok(kept)
    }

    /// Becomes the record of a calibration, in place.
    ///
    /// # Errors
    /// The curve has more than [`MAX_PARAMS`] parameters. The record is empty then.
    pub(crate) fn set(&mut self, calibration: &Calibration<'_>) -> Result<(), RecordError> {
        self.len = 0;
        self.len = calibration.write(&mut self.bytes)?.len();
        Ok(())
    }

    /// Becomes empty.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Becomes a copy of another record.
    pub(crate) fn copy_from(&mut self, other: &[u8]) -> Result<(), RecordError> {
        self.clear();
        self.push(other)
    }

    /// Takes over the bytes of a record, without checking them.
    ///
    /// # Errors
    /// There are more than [`MAX_BYTES`].
    pub fn of(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut kept = Kept::EMPTY;
        kept.push(bytes)?;
        Ok(kept)
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// There is no room for them all. None is appended then.
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

    /// Reads the calibration, whose parameters go to `params`.
    ///
    /// # Errors
    /// The bytes are no valid record, or the curve has more than [`MAX_PARAMS`] parameters.
    pub fn read<'p>(
        &self,
        params: &'p mut [f32; MAX_PARAMS],
    ) -> Result<Calibration<'p>, RecordError> {
        read(self.bytes(), params)
    }

    /// Returns the bytes of the record.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Returns the checksum that ends the record. Two machines can compare their calibrations by
    /// it, because it differs with any bit of the calibration.
    pub fn checksum(&self) -> u32 {
        checksum(self.bytes())
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

/// The curve and the checksum of a record, which identify it: `linear crc=354766cf`.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    curve: Curve,
    checksum: u32,
}

impl Name {
    /// Returns the name of the record in these bytes.
    ///
    /// # Errors
    /// The bytes are no valid record, or the curve has more than [`MAX_PARAMS`] parameters.
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

/// Reads the calibration in these bytes, whose parameters go to `params`.
///
/// # Errors
/// The bytes are no valid record, or the curve has more than [`MAX_PARAMS`] parameters.
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
