//! The serial line: reading lines, printing numbers.

use core::fmt::{self, Write};

use baregrad::calibrate::{Approximate, Decimal, Scale, TwoFloat};

use crate::board::{Board, Damaged};

/// The most bytes of a line, without its end.
pub const MAX_LINE: usize = 64;
/// The byte that Ctrl-C sends.
pub(crate) const CTRL_C: u8 = 3;

/// Writes to the board's serial line.
pub(crate) struct Console<'b, B>(pub(crate) &'b mut B);

impl<B: Board> Write for Console<'_, B> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.send(text.as_bytes());
        Ok(())
    }
}

/// Sends text over the board's serial line. [`Board::send`] does not report errors.
macro_rules! put {
    ($board:expr, $($format:tt)*) => {{
        let mut console = $crate::line::Console(&mut *$board);
        let _ = core::fmt::Write::write_fmt(&mut console, format_args!($($format)*));
    }};
}

/// Sends a line of text over the board's serial line.
macro_rules! say {
    ($board:expr, $($format:tt)*) => {{
        $crate::line::put!($board, $($format)*);
        $board.send(b"\r\n");
    }};
}

pub(crate) use {put, say};

/// A number that is printed with its bits: `12.7:414b3333`. A [`TwoFloat`] is printed with the
/// bits of both `f32`: `101325.07:47c5e689+3b23d70a`.
pub(crate) enum Number {
    Single(f32),
    Double(Approximate),
}

impl Number {
    /// Makes a number to which others of the given size are added. It is printed as one `f32` if
    /// that loses no digits of the sum.
    pub(crate) fn added_to(value: TwoFloat, size: f32) -> Self {
        if value.high().abs() <= 8.0 * size {
            return Number::Single(value.high());
        }
        let off = size * (f32::EPSILON / 2.0);
        Number::Double(Approximate { value, off })
    }

    /// Makes a number of a result in the unit of a scale.
    pub(crate) fn in_unit_of(scale: &Scale, value: TwoFloat) -> Self {
        let difference = value.difference(scale.offset).abs();
        Number::added_to(value, difference.max(scale.spread()))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Single(x) => write!(f, "{}:{:08x}", Decimal(*x), x.to_bits()),
            Number::Double(number) => {
                let [high, low] = [number.value.high(), number.value.low()];
                write!(f, "{number}:{:08x}+{:08x}", high.to_bits(), low.to_bits())
            }
        }
    }
}

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
