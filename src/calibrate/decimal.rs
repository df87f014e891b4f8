//! Parses and prints decimal numbers exactly, in integers of 16 bits.
//!
//! A number is a binary fraction that is wide enough for every `f32`: 128 binary digits before
//! the point and 192 after it. Text is parsed by multiplying and dividing this fraction by ten,
//! digit by digit, and rounding once. Text is printed by trial: the number is rounded to one
//! decimal digit, to two, and so on, until the digits parse to the number.
//!
//! `core` does both faster, in 26 KB of code and tables on a Cortex-M4F; this module
//! takes 4.3 KB.

mod fixed;

use core::fmt;
use core::str::FromStr;

use self::fixed::{DIGITS, Fixed};
use crate::function::TwoFloat;

/// The reason why a text is not a number of `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DecimalError {
    /// The text is not a decimal number such as `-12.5` or `1e-3`.
    NotANumber,
    /// The number is beyond 3.4e38.
    TooLarge,
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecimalError::NotANumber => "expected a decimal number, such as -12.5 or 1e-3",
            DecimalError::TooLarge => "expected a number of at most 3.4e38, which f32 holds",
        })
    }
}

impl core::error::Error for DecimalError {}

/// Parses text to the nearest `f32`, and the `f32` nearest to the difference from it.
pub(super) fn parse(text: &str) -> Result<[f32; 2], DecimalError> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, signed(exponent)?),
        None => (unsigned, 0),
    };
    // Splits by a list of one character: `core`'s search for a character links a panic.
    let parts = digits.split_once(['.']);
    let (before, behind) = parts.unwrap_or((digits, ""));
    let digits = before.bytes().chain(behind.bytes());
    if before.len() + behind.len() == 0 || !digits.clone().all(|byte| byte.is_ascii_digit()) {
        return Err(DecimalError::NotANumber);
    }
    let before = i32::try_from(before.len()).unwrap_or(i32::MAX);
    let point = exponent.saturating_add(before);
    let digits = digits.map(|byte| byte - b'0');
    let mut fixed = Fixed::read(digits, point).ok_or(DecimalError::TooLarge)?;
    let (hi, is_larger) = fixed.take();
    let (lo, _) = fixed.take();
    if !hi.is_finite() {
        return Err(DecimalError::TooLarge);
    }
    let lo = if is_larger { -lo } else { lo };
    Ok(if text.starts_with('-') {
        [-hi, -lo]
    } else {
        [hi, lo]
    })
}

/// Parses an exponent. An exponent that is too long for `i32` saturates.
fn signed(text: &str) -> Result<i32, DecimalError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DecimalError::NotANumber);
    }
    let size = digits.bytes().fold(0_i32, |sum, byte| {
        sum.saturating_mul(10)
            .saturating_add(i32::from(byte - b'0'))
    });
    Ok(if text.starts_with('-') { -size } else { size })
}

/// Rounds the digits of a number to `count` digits: halves up, or always up.
fn rounded(
    exact: &([u8; DIGITS + 1], i32),
    count: usize,
    always_up: bool,
) -> ([u8; DIGITS + 1], i32) {
    let (digits, mut point) = *exact;
    let mut kept = [0; DIGITS + 1];
    for (to, digit) in kept.iter_mut().zip(&digits).take(count) {
        *to = *digit;
    }
    let next = digits.get(count).copied().unwrap_or(0);
    if always_up || next >= 5 {
        let mut carry = true;
        for digit in kept.iter_mut().take(count).rev() {
            *digit += u8::from(carry);
            carry = *digit == 10;
            if carry {
                *digit = 0;
            }
        }
        if carry {
            // All digits were nines, so the result is 1 followed by zeros.
            let [first, ..] = &mut kept;
            *first = 1;
            point += 1;
        }
    }
    (kept, point)
}

/// Writes the fewest digits, at most [`DIGITS`], that parse to the pair, as `Debug` of an
/// `f32` does. If `off` is more than 0, writes the fewest digits that parse to a number
/// within `off` of the pair.
fn write_pair(pair: TwoFloat, off: f32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (hi, lo) = (pair.high(), pair.low());
    if !hi.is_finite() {
        let sign = if hi == f32::NEG_INFINITY { "-" } else { "" };
        return write_str(f, &[sign, if hi.is_nan() { "NaN" } else { "inf" }]);
    }
    if hi.is_sign_negative() {
        f.write_str("-")?;
    }
    let mut fixed = Fixed::ZERO;
    fixed.add(hi.abs(), false);
    fixed.add(
        lo.abs(),
        lo != 0.0 && lo.is_sign_negative() != hi.is_sign_negative(),
    );
    let exact = fixed.digits();
    let reads_back = |(digits, point): ([u8; DIGITS + 1], i32)| {
        let Some(mut fixed) = Fixed::read(digits.into_iter(), point) else {
            return false;
        };
        let (found, is_larger) = fixed.take();
        let (rest, _) = fixed.take();
        let is_negative = is_larger != hi.is_sign_negative();
        let rest = if is_negative { -rest } else { rest };
        if off > 0.0 {
            let found = if hi.is_sign_negative() { -found } else { found };
            return TwoFloat::sum(found, rest).difference(pair).abs() <= off;
        }
        // If its second part is 0, the number is an `f32`, which nine digits identify.
        found == hi.abs() && (lo == 0.0 || lo == rest)
    };
    // Below a power of two, `f32` are twice as dense as above it. Digits that are rounded
    // up may then parse to the number although the nearest digits do not.
    let is_power = hi.to_bits() & 0x7f_ffff == 0 && lo == 0.0;
    let attempts = (1..=DIGITS).flat_map(|count| [(count, false), (count, true)]);
    let mut attempts = attempts.filter(|(_, up)| is_power || !up);
    let found = attempts.find(|(count, up)| reads_back(rounded(&exact, *count, *up)));
    let (count, up) = found.unwrap_or((DIGITS, false));
    let (digits, point) = rounded(&exact, count, up);
    write_digits(&digits, count, point, f)
}

/// Writes `0.d₁d₂… × 10^point`, without an exponent from 1e-4 up to 1e16.
fn write_digits(
    digits: &[u8; DIGITS + 1],
    count: usize,
    point: i32,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let mut used = digits.iter().take(count);
    let used = used
        .rposition(|digit| *digit > 0)
        .map_or(0, |last| last + 1);
    if used == 0 {
        return f.write_str("0.0");
    }
    let mut text = [b'0'; 24];
    let mut len = 0;
    let mut put = |byte: u8| {
        if let Some(to) = text.get_mut(len) {
            *to = byte;
            len += 1;
        }
    };
    let mut figures = digits.iter().take(used).map(|digit| b'0' + digit);
    if (-3..=16).contains(&point) {
        for _ in 0..point {
            put(figures.next().unwrap_or(b'0'));
        }
        if point <= 0 {
            put(b'0');
        }
        put(b'.');
        for _ in point..0 {
            put(b'0');
        }
        let mut next = figures.next();
        if next.is_none() {
            next = Some(b'0');
        }
        next.into_iter().chain(figures).for_each(put);
    } else {
        put(figures.next().unwrap_or(b'0'));
        if used > 1 {
            put(b'.');
            figures.for_each(&mut put);
        }
        put(b'e');
        let exponent = point - 1;
        if exponent < 0 {
            put(b'-');
        }
        let size = exponent.unsigned_abs();
        if size > 9 {
            put(b'0' + (size / 10 % 10) as u8);
        }
        put(b'0' + (size % 10) as u8);
    }
    let text = text.get(..len).unwrap_or_default();
    f.write_str(str::from_utf8(text).unwrap_or_default())
}

fn write_str(f: &mut fmt::Formatter<'_>, parts: &[&str]) -> fmt::Result {
    parts.iter().try_for_each(|part| f.write_str(part))
}

/// An `f32` that prints the fewest digits that identify it: the text of `{:?}`, with a
/// fraction of its code size.
///
/// ```
/// use baregrad::calibrate::Decimal;
///
/// assert_eq!(Decimal(12.7).to_string(), "12.7");
/// assert_eq!(Decimal(14.0).to_string(), "14.0");
/// assert_eq!(Decimal(-1e-7).to_string(), "-1e-7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decimal(pub f32);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_pair(self.0.into(), 0.0, f)
    }
}

/// A number with an error, which prints the fewest digits within this error.
///
/// ```
/// use baregrad::calibrate::{Approximate, TwoFloat};
///
/// let value = TwoFloat::from_f64(101325.13000000012);
/// assert_eq!(Approximate { value, off: 1e-9 }.to_string(), "101325.13");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Approximate {
    /// The number.
    pub value: TwoFloat,
    /// The largest error of the number; 0 if it is exact.
    pub off: f32,
}

impl fmt::Display for Approximate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_pair(self.value, self.off, f)
    }
}

impl fmt::Display for TwoFloat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_pair(*self, 0.0, f)
    }
}

/// Parses decimal text, such as `-12.5` or `1e-3`, to the nearest `f32`, ties to even,
/// and the `f32` nearest to the difference from it.
///
/// # Errors
/// The text is not a decimal number (`inf` and `nan` are not), or the number is beyond 3.4e38.
impl FromStr for TwoFloat {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let [hi, lo] = parse(text)?;
        Ok(TwoFloat::new(hi, lo))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    extern crate std;
    use std::format;
    use std::string::ToString;

    use super::{Decimal, DecimalError};
    use crate::calibrate::TwoFloat;

    /// Numbers of every size: all powers of two with their neighbours, and random ones.
    fn numbers() -> impl Iterator<Item = f32> {
        let edges = (0..=0xfe_u32).flat_map(|exponent| {
            let power = exponent << 23;
            (0..5).map(move |step| f32::from_bits((power + step).saturating_sub(2)))
        });
        let subnormal = (0..23).map(|bit| f32::from_bits(1 << bit));
        let mut bits = 1_u32;
        let others = core::iter::repeat_with(move || {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from_bits(bits & 0x7fff_ffff)
        });
        let others = others.filter(|x| x.is_finite()).take(4000);
        let plain = (0..2000).map(|i| i as f32 * 0.1);
        edges.chain(subnormal).chain(others).chain(plain)
    }

    #[test]
    fn numbers_are_written_as_core_writes_them_and_read_back() {
        for x in numbers() {
            for x in [x, -x] {
                let text = Decimal(x).to_string();
                assert_eq!(text, format!("{x:?}"));
                let back: TwoFloat = text.parse().unwrap();
                assert_eq!(back.high().to_bits(), x.to_bits(), "{text}");
            }
        }
        for (x, text) in [
            (f32::INFINITY, "inf"),
            (-f32::INFINITY, "-inf"),
            (f32::NAN, "NaN"),
        ] {
            assert_eq!(Decimal(x).to_string(), text);
        }
    }

    #[test]
    fn text_is_read_as_core_reads_it() {
        for x in numbers() {
            for places in [0, 1, 3, 5, 7, 8, 9, 12, 16] {
                let text = format!("{x:.places$e}");
                // The largest number, rounded up, may be beyond f32.
                match (text.parse::<f32>().unwrap(), text.parse::<TwoFloat>()) {
                    (expected, Ok(found)) => assert_eq!(found.high(), expected, "{text}"),
                    (expected, Err(error)) => {
                        assert_eq!(error, DecimalError::TooLarge);
                        assert!(expected.is_infinite(), "{text}");
                    }
                }
            }
        }
    }

    /// Compares the second part with exact arithmetic: thousandths in 128 bits.
    #[test]
    fn the_rest_is_exact() {
        for thousandths in (1..2000_i128).map(|i| i * i * i * 7_919 + 1) {
            let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            let pair: TwoFloat = text.parse().unwrap();
            // Both parts are multiples of 2^-40, so they are integers in units of 1 /
            // (1000 * 2^40).
            let whole = |x: f32| (f64::from(x) * (1_u64 << 40) as f64) as i128 * 1000;
            let off = (thousandths << 40) - whole(pair.high());
            let rest = off - whole(pair.low());
            let half = whole(pair.high().next_up()) - whole(pair.high());
            assert!(2 * off.abs() <= half, "{text}: {off}");
            // The second part is rounded to 24 bits.
            assert!(
                rest.abs() << 24 <= off.abs().max(1000 << 24),
                "{text}: {rest}"
            );
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "1,5",
            "0x10",
            "nan",
            "inf",
            "-infinity",
            "1 ",
            "--1",
            "1.2.3",
            "1e5.5",
            "٣",
        ] {
            assert_eq!(
                text.parse::<TwoFloat>(),
                Err(DecimalError::NotANumber),
                "{text}"
            );
        }
        for text in [
            "1e39",
            "-3.5e38",
            "1e999999999999",
            "3.4028236e38",
            "9999999999999999999999999999999999999999",
        ] {
            assert_eq!(
                text.parse::<TwoFloat>(),
                Err(DecimalError::TooLarge),
                "{text}"
            );
        }
        for text in [
            "1e-50",
            "0e99999999999",
            "-0",
            "0.0",
            "1e-99999999999",
            "000e7",
        ] {
            assert_eq!(text.parse::<TwoFloat>().unwrap().high(), 0.0, "{text}");
        }
        assert!("-0".parse::<TwoFloat>().unwrap().high().is_sign_negative());
    }

    #[test]
    fn pairs_read_back() {
        for text in [
            "101325.07",
            "1764410430.5",
            "16777216.25",
            "-8388607.001",
            "0.1",
            "1.0000001",
            "4155915305.0",
            "-273.15",
        ] {
            assert_eq!(text.parse::<TwoFloat>().unwrap().to_string(), text);
        }
    }
}
