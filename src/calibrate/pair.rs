//! Numbers of 48 bits: pairs of `f32`.

use core::cmp::Ordering;
use core::str::FromStr;

use super::decimal::{self, DecimalError};
use crate::function::two_sum;

/// A number that one `f32` does not hold: `hi` is the nearest `f32`, and `lo` the nearest
/// to what that is off by. Together they have 48 binary digits, or some 14 decimal ones.
///
/// Readings are such numbers: those of a converter of 24 bits with a few more from
/// averaging, pressures of 101325.07 Pa, seconds since 1970. What a model learns from is
/// the [`difference`](Self::difference) of two, which is an `f32`.
///
/// It is read from text without `f64`, which small microcontrollers have no hardware for:
///
/// ```
/// use baregrad::calibrate::Pair;
///
/// let [a, b]: [Pair; 2] = ["101325.05".parse()?, "101325.13".parse()?];
/// assert!((b.difference(a) - 0.08).abs() < 1e-8);
/// assert_eq!(101325.13_f32 - 101325.05_f32, 0.0859375); // of f32 alone
/// assert_eq!(b.to_string(), "101325.13");
/// # Ok::<(), baregrad::calibrate::DecimalError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pair {
    hi: f32,
    lo: f32,
}

impl Pair {
    /// Zero.
    pub const ZERO: Self = Pair { hi: 0.0, lo: 0.0 };

    /// The sum of two numbers.
    #[must_use]
    pub fn new(a: f32, b: f32) -> Self {
        let (hi, lo) = two_sum(a, b);
        // An infinity has no rest.
        let lo = if hi.is_finite() { lo } else { 0.0 };
        Pair { hi, lo }
    }

    /// The nearest `f32`.
    #[must_use]
    pub const fn hi(self) -> f32 {
        self.hi
    }

    /// The `f32` nearest to the rest, by which [`hi`](Self::hi) is off.
    #[must_use]
    pub const fn lo(self) -> f32 {
        self.lo
    }

    /// The pair next to an `f64`. On a microcontroller without `f64` this is slow.
    #[must_use]
    pub fn from_f64(x: f64) -> Self {
        let hi = x as f32;
        let lo = if hi.is_finite() {
            (x - f64::from(hi)) as f32
        } else {
            0.0
        };
        Pair { hi, lo }
    }

    /// Both parts together, which `f64` holds.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        f64::from(self.hi) + f64::from(self.lo)
    }

    /// How much more it is than `origin`, as an `f32`: accurate to the last bit or two, as
    /// what both have in common is taken off before anything is rounded.
    #[must_use]
    pub fn difference(self, origin: Self) -> f32 {
        let (difference, rest) = two_sum(self.hi, -origin.hi);
        if difference.is_finite() {
            difference + (rest + (self.lo - origin.lo))
        } else {
            difference
        }
    }

    /// The number that is so much more.
    #[must_use]
    pub fn plus(self, difference: f32) -> Self {
        let (sum, rest) = two_sum(self.hi, difference);
        if sum.is_finite() {
            Pair::new(sum, rest + self.lo)
        } else {
            Pair { hi: sum, lo: 0.0 }
        }
    }

    /// Whether it is neither an infinity nor NaN.
    #[must_use]
    pub fn is_finite(self) -> bool {
        self.hi.is_finite()
    }

    /// How far apart such numbers are at this size: 2⁻⁴⁸ of it, at most.
    ///
    /// ```
    /// use baregrad::calibrate::Pair;
    ///
    /// let seconds: Pair = "1764410430.5".parse()?;
    /// assert!(seconds.spacing() < 1e-5);
    /// # Ok::<(), baregrad::calibrate::DecimalError>(())
    /// ```
    #[must_use]
    pub fn spacing(self) -> f32 {
        // 2^-48: half the spacing of f32, 2^-24 times.
        (self.hi.abs() * (1.0 / 16_777_216.0)) * (1.0 / 16_777_216.0)
    }
}

impl From<f32> for Pair {
    fn from(x: f32) -> Self {
        Pair { hi: x, lo: 0.0 }
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.hi.partial_cmp(&other.hi) {
            Some(Ordering::Equal) => self.lo.partial_cmp(&other.lo),
            order => order,
        }
    }
}

/// Decimal text, such as `-12.5` or `1e-3`: `hi` is the nearest `f32`, ties to even, and
/// `lo` the nearest to the rest.
///
/// # Errors
/// Text that is no decimal number, `inf` and `nan` among it; a number beyond 3.4e38.
impl FromStr for Pair {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let [hi, lo] = decimal::parse(text)?;
        Ok(Pair { hi, lo })
    }
}
