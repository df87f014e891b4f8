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
    /// The number of its values; 0 for a flag.
    pub(crate) values: usize,
}

/// Prints the syntax: `betas=<x>,<x>`.
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
    /// Iterates over the options: the name of each, and its values.
    fn each(self) -> impl Iterator<Item = (&'t str, Option<&'t str>)> {
        let words = self.0.split_ascii_whitespace();
        words.map(|word| match word.split_once('=') {
            Some((name, values)) => (name, Some(values)),
            None => (word, None),
        })
    }

    /// Checks the names of the options.
    ///
    /// # Errors
    /// An option is unknown or given twice.
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

    /// Returns the values of an option, if it is given.
    pub(crate) fn get(self, name: &'static str) -> Option<Values<'t>> {
        let mut found = self.each().filter(|(other, _)| *other == name);
        found.next().map(|(_, text)| Values { name, text })
    }

    /// Returns the only value of an option.
    ///
    /// # Errors
    /// The option is missing, or its value is not of this type.
    pub(crate) fn required<V: Value>(self, name: &'static str) -> Result<V, Failure> {
        self.get(name).ok_or(Failure::Missing(name))?.only()
    }

    /// Returns the only value of an option, or `default` if it is not given.
    ///
    /// # Errors
    /// The value is not of this type.
    pub(crate) fn or<V: Value>(self, name: &'static str, default: V) -> Result<V, Failure> {
        self.get(name).map_or(Ok(default), Values::only)
    }
}

/// The values of an option, which are taken one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Values<'t> {
    name: &'static str,
    text: Option<&'t str>,
}

impl Values<'_> {
    /// Takes the next value.
    ///
    /// # Errors
    /// There is none, or it is not of this type.
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

    /// Returns whether all values were taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_none()
    }

    /// Checks that all values were taken.
    ///
    /// # Errors
    /// Some were not.
    pub(crate) fn end(self) -> Result<(), Failure> {
        if self.is_empty() {
            return Ok(());
        }
        Err(Failure::Value {
            option: self.name,
            expected: "no more values",
        })
    }

    /// Takes the only value.
    fn only<V: Value>(mut self) -> Result<V, Failure> {
        let value = self.take()?;
        self.end()?;
        Ok(value)
    }
}

/// A value of an option.
pub(crate) trait Value: Sized {
    /// The expected value, for an error.
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

/// Parses the `f64` nearest to a decimal number, which a compiler would make of it, so that a
/// board computes the bits of a program that has the number as a literal. Integers of up to 15
/// digits and powers of ten up to 10²² are exact as `f64`, so one product or quotient of the two
/// is rounded once. `core`'s parser, which reads all numbers, would take 20 thousand bytes.
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

/// Implements [`Value`] for an enum by a word for each variant.
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

/// A name that is printed in lower case.
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

    /// Numbers of up to 15 digits have the bits that the standard library parses.
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
