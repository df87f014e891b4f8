//! Numbers of 48 bits in the memory of 24: the first one, and differences from it.

use core::fmt;

use super::decimal::Approximate;
use super::samples::first_to_last;
use crate::function::TwoFloat;

/// Numbers as they come in, such as readings: the first is the origin, and of all others the
/// difference from it is kept, as an `f32`. They may be as many as the memory has room for.
///
/// A difference is exact to 2⁻²⁴ of itself, so the loss is small next to how much numbers
/// differ. [`Scale::lost`](super::Scale::lost) says whether the numbers themselves had the
/// digits.
///
/// ```
/// use baregrad::calibrate::Differences;
///
/// let mut memory = [0.0; 3];
/// let mut readings = Differences::new(&mut memory);
/// for text in ["101325.05", "101325.13", "101324.97"] {
///     readings.push(text.parse()?)?;
/// }
/// assert_eq!(readings.written(1).unwrap().to_string(), "101325.13");
/// assert!(readings.push("101325.21".parse()?).is_err()); // there is no room for it
/// readings.remove(0);
/// assert_eq!(readings.written(0).unwrap().to_string(), "101325.13");
/// assert_eq!(readings.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Differences<'m> {
    origin: TwoFloat,
    differences: &'m mut [f32],
    len: usize,
}

/// The error that there is no room for another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Full {
    /// How many there is room for.
    pub capacity: usize,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected at most {} numbers", self.capacity)
    }
}

impl core::error::Error for Full {}

impl<'m> Differences<'m> {
    /// No numbers yet, and room for as many as the memory has floats.
    pub fn new(memory: &'m mut [f32]) -> Self {
        Differences {
            origin: TwoFloat::ZERO,
            differences: memory,
            len: 0,
        }
    }

    /// Adds a number behind the others.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn push(&mut self, x: TwoFloat) -> Result<(), Full> {
        let capacity = self.differences.len();
        let to = self
            .differences
            .get_mut(self.len)
            .ok_or(Full { capacity })?;
        if self.len == 0 {
            self.origin = x;
        }
        *to = x.difference(self.origin);
        self.len += 1;
        Ok(())
    }

    /// Takes a number out, and the others close up. Nothing happens if there is no such.
    pub fn remove(&mut self, index: usize) {
        if let Some(rest) = self.differences.get_mut(index..self.len)
            && !rest.is_empty()
        {
            first_to_last(rest);
            self.len -= 1;
        }
    }

    /// Takes all of them out.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.differences.len()
    }

    /// The number at an index; `None` if there is none.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<TwoFloat> {
        self.iter().nth(index)
    }

    /// The number at an index, to be written by as few digits as its difference is exact to:
    /// mostly those that it came in. `None` if there is none.
    #[must_use]
    pub fn written(&self, index: usize) -> Option<Approximate> {
        let value = self.get(index)?;
        let difference = value.difference(self.origin).abs();
        // Half a bit of the difference, and what pairs do not hold.
        let off = difference / 16_777_216.0 + 2.0 * value.spacing();
        Some(Approximate { value, off })
    }

    /// All numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = TwoFloat> + Clone + '_ {
        let origin = self.origin;
        let differences = self.differences.iter().take(self.len);
        differences.map(move |difference| origin.plus(*difference))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    extern crate std;
    use std::format;
    use std::string::{String, ToString};
    use std::vec::Vec;

    use super::Differences;
    use crate::calibrate::TwoFloat;

    /// Numbers far from zero come back with the digits that tell them apart.
    #[test]
    fn numbers_come_back_to_a_part_of_their_differences() {
        for (first, step) in [
            ("101325.07", 0.01_f64),
            ("1764410400", 0.5),
            ("8388607.25", 0.0625),
            ("0.1", 7.3),
        ] {
            let origin: f64 = first.parse().unwrap();
            let texts: Vec<String> = (0..50)
                .map(|i| format!("{:.6}", origin + step * f64::from(i * i % 37)))
                .collect();
            let mut memory = [0.0; 50];
            let mut numbers = Differences::new(&mut memory);
            for text in &texts {
                numbers.push(text.parse().unwrap()).unwrap();
            }
            for (i, (x, text)) in numbers.iter().zip(&texts).enumerate() {
                let written = numbers.written(i).unwrap().to_string();
                let (written, as_it_came): (f64, f64) =
                    (written.parse().unwrap(), text.parse().unwrap());
                assert!(
                    (written - as_it_came).abs() <= 1e-6 * step,
                    "{text}: {written}"
                );
                let exact: TwoFloat = text.parse().unwrap();
                let most = exact.difference(TwoFloat::from_f64(origin)).abs();
                let off = x.difference(exact).abs();
                // Half a bit of the difference, and what 48 bits do not hold.
                assert!(
                    off <= most / 16_777_216.0 + 2.0 * exact.spacing(),
                    "{text}: {off}"
                );
            }
        }
    }

    #[test]
    fn numbers_are_taken_out_and_added_again() {
        let mut memory = [0.0; 3];
        let mut numbers = Differences::new(&mut memory);
        let texts = |numbers: &Differences<'_>| -> Vec<String> {
            numbers.iter().map(|x| x.to_string()).collect()
        };
        for text in ["5", "6", "7"] {
            numbers.push(text.parse().unwrap()).unwrap();
        }
        numbers.remove(3);
        numbers.remove(1);
        assert_eq!(texts(&numbers), ["5.0", "7.0"]);
        numbers.remove(0);
        numbers.push("8".parse().unwrap()).unwrap();
        assert_eq!(texts(&numbers), ["7.0", "8.0"]);
        numbers.clear();
        assert!(numbers.is_empty() && numbers.get(0).is_none());
        // A new first number is a new origin.
        numbers.push("1764410400.25".parse().unwrap()).unwrap();
        assert_eq!(texts(&numbers), ["1764410400.25"]);
        assert_eq!((numbers.len(), numbers.capacity()), (1, 3));
    }
}
