//! The commands `get` and `put`: records of calibrations as lines, between boards and the desktop.

use baregrad::calibrate::RecordError;

use super::{Calibrator, Origin, check};
use crate::board::Board;
use crate::console::{put, say};
use crate::failure::Failure;
use crate::kept::MAX_BYTES;
use crate::line::MAX_LINE;
use crate::memory::Records;

/// Bytes of a record in a line of `get`.
const BYTES_A_LINE: usize = 24;

impl<B: Board> Calibrator<'_, B> {
    /// Sends the record of the calibration in use, as lines of the command `put` for another board.
    #[inline(never)]
    pub(super) fn get(&mut self) -> Result<(), Failure> {
        self.in_use()?;
        let chunks = self.records.current.bytes().chunks(BYTES_A_LINE);
        for (i, chunk) in chunks.enumerate() {
            put!(&mut self.board, "put {} ", i * BYTES_A_LINE);
            for byte in chunk {
                put!(&mut self.board, "{byte:02x}");
            }
            self.board.send(b"\r\n");
        }
        self.say_checksum();
        Ok(())
    }

    /// Takes bytes of a record. With the last of them the calibration is in use, if the record is
    /// valid and there is room for its curve.
    #[inline(never)]
    pub(super) fn put(&mut self, offset: &str, hex: &str) -> Result<(), Failure> {
        self.untracked()?;
        let expected = self.records.incoming.bytes().len();
        let begins = offset == "0";
        let goes_on = offset.parse() == Ok(expected);
        if !begins && !goes_on {
            return Err(Failure::Offset { expected });
        }
        let mut bytes = [0; MAX_LINE / 2];
        let mut count = 0;
        for (digits, to) in hex.as_bytes().chunks(2).zip(&mut bytes) {
            *to = byte(digits).ok_or(Failure::Hex)?;
            count += 1;
        }
        if begins {
            self.records.incoming.clear();
        }
        let added = self
            .records
            .incoming
            .push(bytes.get(..count).unwrap_or_default());
        let checked = check(self.records.incoming.bytes(), &mut self.scratch);
        if let Err(Failure::Record(RecordError::Length { expected, found })) = checked
            && added.is_ok()
            && found < expected
            && expected <= MAX_BYTES
        {
            say!(self.board_mut(), "ok {found} of {expected} bytes");
            return Ok(());
        }
        let Records { current, incoming } = &mut *self.records;
        match checked {
            Err(Failure::Record(RecordError::Length { expected, .. })) if expected > MAX_BYTES => {
                incoming.clear();
                return Err(Failure::Long { found: expected });
            }
            Err(failure) => {
                incoming.clear();
                return Err(failure);
            }
            Ok(()) => {}
        }
        current.copy_from(incoming.bytes())?;
        incoming.clear();
        self.origin = Origin::Put;
        self.say_checksum();
        Ok(())
    }
}

/// Parses a byte of two hexadecimal digits.
fn byte(digits: &[u8]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    match *digits {
        [high, low] => Some((16 * digit(high)? + digit(low)?) as u8),
        _ => None,
    }
}
