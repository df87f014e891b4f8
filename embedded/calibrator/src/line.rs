//! Reading lines from the serial line.

/// The most bytes of a line, without its end.
pub const MAX_LINE: usize = 64;
/// The byte that Ctrl-C sends.
pub(crate) const CTRL_C: u8 = 3;

/// A framing, parity or overrun error of the serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// The reason why a line could not be read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LineError {
    TooLong,
    NotText,
    Damaged,
}

/// A line that is being received. It keeps its first error until it ends.
pub(crate) struct Line {
    bytes: [u8; MAX_LINE],
    len: usize,
    error: Option<LineError>,
}

impl Line {
    pub(crate) const EMPTY: Self = Line {
        bytes: [0; MAX_LINE],
        len: 0,
        error: None,
    };

    /// Takes a byte, and returns whether it ended the line.
    pub(crate) fn push(&mut self, byte: Result<u8, Damaged>) -> bool {
        match byte {
            Ok(b'\r' | b'\n') => return true,
            Ok(CTRL_C) => *self = Line::EMPTY,
            // Backspace and delete.
            Ok(0x08 | 0x7f) => self.len = self.len.saturating_sub(1),
            Ok(byte @ (b'\t' | b' '..=b'~')) => match self.bytes.get_mut(self.len) {
                Some(free) => {
                    *free = byte;
                    self.len += 1;
                }
                None => self.fail(LineError::TooLong),
            },
            Ok(_) => self.fail(LineError::NotText),
            Err(Damaged) => self.fail(LineError::Damaged),
        }
        false
    }

    /// Returns the line that has ended, and begins another one.
    pub(crate) fn take(&mut self) -> Self {
        core::mem::replace(self, Line::EMPTY)
    }

    fn fail(&mut self, error: LineError) {
        self.error.get_or_insert(error);
    }

    pub(crate) fn text(&self) -> Result<&str, LineError> {
        match self.error {
            Some(error) => Err(error),
            None => {
                let bytes = self.bytes.get(..self.len).unwrap_or_default();
                str::from_utf8(bytes).map_err(|_| LineError::NotText)
            }
        }
    }
}
