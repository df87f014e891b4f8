//! Numbers formatted for readers, by significant digits.

use core::fmt;

/// Formats `x` with `digits` significant digits, at least one: in plain notation from
/// 1e-4 to below 1e7, otherwise with an exponent.
///
/// ```
/// use baregrad::train::significant;
///
/// assert_eq!(significant(1.00211681802045, 9).to_string(), "1.00211682");
/// assert_eq!(significant(-3.16081871e-15, 4).to_string(), "-3.161e-15");
/// assert_eq!(significant(101325.07, 6).to_string(), "101325");
/// assert_eq!(significant(0.0, 6).to_string(), "0");
/// ```
pub fn significant(x: f64, digits: usize) -> impl fmt::Display {
    Significant {
        x,
        digits: digits.max(1),
    }
}

struct Significant {
    x: f64,
    digits: usize,
}

impl fmt::Display for Significant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_significant(f, self.x, self.digits, 0)
    }
}

/// The number of digits before the point above which an exponent is used.
const PLAIN: i32 = 7;

fn write_significant(
    f: &mut fmt::Formatter<'_>,
    x: f64,
    digits: usize,
    least_decimals: usize,
) -> fmt::Result {
    if x == 0.0 && least_decimals == 0 {
        return f.write_str("0");
    }
    // The exponent after rounding: 9.99999 may become 10.0.
    let exponent = exponent(x, digits);
    match exponent {
        Some(exponent) if (-4..PLAIN).contains(&exponent) => {
            let decimals = i64::try_from(digits).unwrap_or(i64::MAX) - 1 - i64::from(exponent);
            let decimals = usize::try_from(decimals).unwrap_or(0);
            write!(f, "{x:.*}", decimals.max(least_decimals))
        }
        Some(_) => write!(f, "{x:.*e}", digits - 1),
        // NaN and infinities.
        None => write!(f, "{x}"),
    }
}

/// The decimal exponent of `x` after rounding to `digits` significant digits; `None` if
/// `x` is not finite.
pub(super) fn exponent(x: f64, digits: usize) -> Option<i32> {
    let text = std::format!("{x:.*e}", digits.saturating_sub(1));
    text.split_once('e')?.1.parse().ok()
}

/// Formats a loss or a parameter with four decimals, and at least four significant digits.
pub(super) struct Digits(pub(super) f32);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let x = f64::from(self.0);
        match exponent(x, 4) {
            Some(exponent) if x != 0.0 && exponent < 0 => write_significant(f, x, 4, 4),
            Some(exponent) if exponent >= PLAIN => write!(f, "{x:.4e}"),
            _ => write!(f, "{x:.4}"),
        }
    }
}

/// Formats a number with the fewest digits that identify it: as an `f32` if it is exactly
/// one, otherwise as an `f64`.
pub(super) struct Shortest(pub(super) f64);

impl fmt::Display for Shortest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shortest(x) = *self;
        let single = x as f32;
        let plain = x == 0.0 || !x.is_finite() || (1e-5..1e16).contains(&x.abs());
        match (f64::from(single) == x, plain) {
            (true, true) => write!(f, "{single}"),
            (true, false) => write!(f, "{single:e}"),
            (false, true) => write!(f, "{x}"),
            (false, false) => write!(f, "{x:e}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Digits, Shortest, significant};
    use std::string::ToString;

    #[test]
    fn small_and_large_numbers_keep_their_digits() {
        for (x, digits, expected) in [
            (0.0, 6, "0"),
            (-0.262323073774029, 7, "-0.2623231"),
            (9.9999999, 4, "10.00"),
            (99999999.0, 4, "1.000e8"),
            (1234567.8, 4, "1234568"),
            (0.00012345678, 4, "0.0001235"),
            (0.00001, 3, "1.00e-5"),
            (5e-324, 3, "4.94e-324"),
            (-1.7976931348623157e308, 3, "-1.80e308"),
            (f64::NAN, 3, "NaN"),
            (f64::NEG_INFINITY, 3, "-inf"),
            (2.5, 0, "2"),
        ] {
            assert_eq!(significant(x, digits).to_string(), expected);
        }
    }

    #[test]
    fn losses_have_four_digits_whatever_their_size() {
        for (x, expected) in [
            (0.0, "0.0000"),
            (90.3475, "90.3475"),
            (0.1318, "0.1318"),
            (0.012345, "0.01235"),
            (0.00054321, "0.0005432"),
            (2.5e-13, "2.500e-13"),
            (1e-45, "1.401e-45"),
            (3e38, "3.0000e38"),
            (f32::INFINITY, "inf"),
        ] {
            assert_eq!(Digits(x).to_string(), expected);
        }
    }

    #[test]
    fn shortest_numbers_come_back_exactly() {
        for (x, expected) in [
            (7.0, "7"),
            (f64::from(0.1_f32), "0.1"),
            (0.1, "0.1"),
            (1e39, "1e39"),
            (4155917520.5, "4155917520.5"),
            (1e-45, "1e-45"),
        ] {
            assert_eq!(Shortest(x).to_string(), expected);
        }
    }
}
