//! Numbers of 48 bits in 24 bits each: the first number, and differences from it.

use core::fmt;

use super::decimal::Approximate;
use super::samples::first_to_last;
use crate::function::TwoFloat;

/// A list of numbers, such as readings, that keeps the first as the origin, and every
/// number as its difference from the origin in an `f32`. The memory limits their number.
///
/// The relative error of a difference is at most 2⁻²⁴, so it is small compared with the
/// differences between the numbers. [`Scale::lost`](super::Scale::lost) tells whether the
/// numbers themselves had enough digits.
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

/// The error of a list without room for another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Full {
    /// The most numbers that the list can hold.
    pub capacity: usize,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected at most {} numbers", self.capacity)
    }
}

impl core::error::Error for Full {}

impl<'m> Differences<'m> {
    /// An empty list with room for `memory.len()` numbers.
    pub fn new(memory: &'m mut [f32]) -> Self {
        Differences {
            origin: TwoFloat::ZERO,
            differences: memory,
            len: 0,
        }
    }

    /// Appends a number.
    ///
    /// # Errors
    /// The list is full.
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

    /// Removes the number at `index` and moves the later ones forward. Does nothing if
    /// there is no such number.
    pub fn remove(&mut self, index: usize) {
        if let Some(rest) = self.differences.get_mut(index..self.len)
            && !rest.is_empty()
        {
            first_to_last(rest);
            self.len -= 1;
        }
    }

    /// Removes all numbers.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The number of numbers in the list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The most numbers that the list can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.differences.len()
    }

    /// The number at `index`; `None` if there is none.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<TwoFloat> {
        self.iter().nth(index)
    }

    /// The number at `index`, which prints with as few digits as the error of its
    /// difference allows: mostly the original digits. `None` if there is none.
    #[must_use]
    pub fn written(&self, index: usize) -> Option<Approximate> {
        let value = self.get(index)?;
        let difference = value.difference(self.origin).abs();
        // Half an ulp of the difference, and the rounding error of pairs.
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

    /// Numbers far from zero keep the digits that distinguish them.
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
                // Half an ulp of the difference, and the rounding error of 48 bits.
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
