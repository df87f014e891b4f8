//! Printing on the serial line: text, and numbers with their bits.

use core::fmt::{self, Write};

use baregrad::calibrate::{Approximate, Decimal, Scale, TwoFloat};

use crate::board::Board;

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
        let mut console = $crate::console::Console(&mut *$board);
        let _ = core::fmt::Write::write_fmt(&mut console, format_args!($($format)*));
    }};
}

/// Sends a line of text over the board's serial line.
macro_rules! say {
    ($board:expr, $($format:tt)*) => {{
        $crate::console::put!($board, $($format)*);
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
