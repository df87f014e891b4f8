//! Options of an optimizer or a schedule as they are typed: `betas=0.9,0.99 amsgrad`.

use core::fmt;

use baregrad::calibrate::TwoFloat;
use baregrad::optim::schedule::{Anneal, PlateauMode, ThresholdMode};

use crate::failure::Failure;

/// An option that an optimizer or a schedule has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// PyTorch's name.
    pub(crate) name: &'static str,
    /// How many values it takes; none if it is only named.
    pub(crate) values: usize,
}

/// As it is typed: `betas=<x>,<x>`.
impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        for i in 0..self.values {
            f.write_str(if i == 0 { "=<x>" } else { ",<x>" })?;
        }
        Ok(())
    }
}

/// Words that each name an option: `name=value`, `name=value,value` or `name`.
#[derive(Clone, Copy)]
pub(crate) struct Options<'t>(pub(crate) &'t str);

impl<'t> Options<'t> {
    /// The name of each option, and its values.
    fn each(self) -> impl Iterator<Item = (&'t str, Option<&'t str>)> {
        let words = self.0.split_ascii_whitespace();
        words.map(|word| match word.split_once('=') {
            Some((name, values)) => (name, Some(values)),
            None => (word, None),
        })
    }

    /// # Errors
    /// An option that is none of these, or is there twice.
    pub(crate) fn check(self, known: &'static [Known]) -> Result<(), Failure> {
        for (i, (name, _)) in self.each().enumerate() {
            let is_known = known.iter().any(|option| option.name == name);
            let is_first = !self.each().take(i).any(|(before, _)| before == name);
            if !is_known || !is_first {
                return Err(Failure::Options(known));
            }
        }
        Ok(())
    }

    /// The values of an option, if it is there.
    pub(crate) fn get(self, name: &'static str) -> Option<Values<'t>> {
        let mut found = self.each().filter(|(other, _)| *other == name);
        found.next().map(|(_, text)| Values { name, text })
    }

    /// The only value of an option.
    ///
    /// # Errors
    /// It is not there, or its value is none of this type.
    pub(crate) fn required<V: Value>(self, name: &'static str) -> Result<V, Failure> {
        self.get(name).ok_or(Failure::Missing(name))?.only()
    }

    /// The only value of an option, or this one if it is not there.
    ///
    /// # Errors
    /// Its value is none of this type.
    pub(crate) fn or<V: Value>(self, name: &'static str, default: V) -> Result<V, Failure> {
        self.get(name).map_or(Ok(default), Values::only)
    }
}

/// The values of an option, of which one after the other is taken.
#[derive(Clone, Copy)]
pub(crate) struct Values<'t> {
    name: &'static str,
    text: Option<&'t str>,
}

impl Values<'_> {
    /// The next value.
    ///
    /// # Errors
    /// There is none, or it is none of this type.
    pub(crate) fn take<V: Value>(&mut self) -> Result<V, Failure> {
        let refused = Failure::Value {
            option: self.name,
            expected: V::EXPECTED,
        };
        let text = self.text.take();
        let (value, rest) = match text.and_then(|text| text.split_once(',')) {
            Some((value, rest)) => (Some(value), Some(rest)),
            None => (text, None),
        };
        self.text = rest;
        value.and_then(V::parse).ok_or(refused)
    }

    /// Whether all were taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_none()
    }

    /// # Errors
    /// Not all were taken.
    pub(crate) fn end(self) -> Result<(), Failure> {
        if self.is_empty() {
            return Ok(());
        }
        Err(Failure::Value {
            option: self.name,
            expected: "no more values",
        })
    }

    /// The only value.
    fn only<V: Value>(mut self) -> Result<V, Failure> {
        let value = self.take()?;
        self.end()?;
        Ok(value)
    }
}

/// A value of an option.
pub(crate) trait Value: Sized {
    /// How an error calls what is expected.
    const EXPECTED: &'static str;

    fn parse(text: &str) -> Option<Self>;
}

impl Value for f32 {
    const EXPECTED: &'static str = "a finite number";

    fn parse(text: &str) -> Option<Self> {
        text.parse().map(TwoFloat::high).ok()
    }
}

impl Value for u32 {
    const EXPECTED: &'static str = "a whole number";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// The `f64` next to a decimal number, as a compiler reads it, so that a board computes with
/// the bits of a program in which the number stands. Up to 15 digits and 22 of them behind
/// the point are exact as `f64`, and so are powers of ten up to 10²²: one division or product
/// of two such numbers is rounded once. `core`'s parser, which reads all numbers, would be
/// 20 thousand bytes.
impl Value for f64 {
    const EXPECTED: &'static str = "a finite number of up to 15 digits";

    fn parse(text: &str) -> Option<Self> {
        const MOST_DIGITS: u64 = 1_000_000_000_000_000;
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (digits, exponent) = match digits.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i8>().ok()?),
            None => (digits, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut number = 0;
        for digit in whole.chars().chain(fraction.chars()) {
            number = 10 * number + u64::from(digit.to_digit(10)?);
            if number >= MOST_DIGITS {
                return None;
            }
        }
        let power = i32::from(exponent) - i32::try_from(fraction.len()).ok()?;
        let mut ten = 1.0;
        if power.unsigned_abs() > 22 {
            return None;
        }
        for _ in 0..power.unsigned_abs() {
            ten *= 10.0;
        }
        let number = number as f64;
        let number = if power < 0 {
            number / ten
        } else {
            number * ten
        };
        Some(if is_negative { -number } else { number })
    }
}

/// Values that are one of a few words.
macro_rules! words {
    ($type:ident: $expected:literal $($word:literal = $value:ident),*) => {
        impl Value for $type {
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Option<Self> {
                match text {
                    $($word => Some($type::$value),)*
                    _ => None,
                }
            }
        }
    };
}

words! { PlateauMode: "min or max" "min" = Min, "max" = Max }
words! { ThresholdMode: "rel or abs" "rel" = Rel, "abs" = Abs }
words! { Anneal: "cos or linear" "cos" = Cos, "linear" = Linear }

/// A name in small letters, as it is typed.
pub(crate) struct Lower(pub(crate) &'static str);

impl fmt::Display for Lower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let mut letters = self.0.chars().map(|letter| letter.to_ascii_lowercase());
        letters.try_for_each(|letter| f.write_char(letter))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::Value;

    /// Every number of up to 15 digits next to what the standard library makes of its text.
    #[test]
    fn doubles_are_those_of_the_compiler() {
        let mut state = 1_u64;
        let mut read = 0;
        for i in 0..200_000_u64 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let digits = state % 10_u64.pow((i % 16) as u32);
            let text = match i % 3 {
                0 => std::format!("{digits}e{}", i as i64 % 45 - 22),
                1 => std::format!("-0.{digits}"),
                _ => std::format!("{}.{:03}E-{}", digits / 1000, digits % 1000, i % 19),
            };
            let expected = text.parse::<f64>().ok();
            let found = f64::parse(&text);
            assert_eq!(
                found.map(f64::to_bits),
                expected.map(f64::to_bits),
                "{text}"
            );
            read += 1;
        }
        assert_eq!(read, 200_000);
        for text in [
            "", ".", "-", "1e", "e5", "1,5", "nan", "inf", "--1", "1e23", "+1",
        ] {
            assert_eq!(f64::parse(text), None, "{text}");
        }
        assert_eq!(f64::parse("1234567890123456"), None);
        assert_eq!(f64::parse("0.999"), Some(0.999));
    }
}
