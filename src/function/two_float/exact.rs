//! Error-free sums and products: the rounded result and its rounding error.
//!
//! Sums follow Knuth, products Dekker (T. J. Dekker, "A floating-point technique for extending
//! the available precision", 1971). They do without fused multiply-add, so that the bits are the
//! same on every target.

use core::ops::{Add, Mul, Neg, Sub};

pub(crate) use crate::kernel::two_sum;

/// `[high, low]` minus an origin: first the difference of the higher halves alone, then the
/// difference of the whole numbers, which is valid if the first one is finite.
#[inline(always)]
pub(crate) fn difference_of<T>([high, low]: [T; 2], [origin_high, origin_low]: [T; 2]) -> [T; 2]
where
    T: Copy + Add<Output = T> + Sub<Output = T> + Neg<Output = T>,
{
    let (difference, rest) = two_sum(high, -origin_high);
    [difference, difference + (rest + (low - origin_low))]
}

/// `[high, low]` plus a difference: first the sum of `high` and the difference alone, then both
/// halves of the whole sum, which are valid if the first one is finite.
#[inline(always)]
pub(crate) fn sum_of<T>([high, low]: [T; 2], difference: T) -> (T, [T; 2])
where
    T: Copy + Add<Output = T> + Sub<Output = T>,
{
    let (sum, rest) = two_sum(high, difference);
    let (high, low) = two_sum(sum, rest + low);
    (sum, [high, low])
}

/// [`two_sum`] if `a` is not smaller than `b` in magnitude: three operations rather than six.
#[inline(always)]
pub(super) fn quick_two_sum(a: f32, b: f32) -> (f32, f32) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// A number that can be added and multiplied, or several in lanes.
pub(crate) trait Summand:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Mul<f32, Output = Self>
{
}
impl<T> Summand for T where
    T: Copy + Add<Output = T> + Sub<Output = T> + Mul<Output = T> + Mul<f32, Output = T>
{
}

/// A number and its two halves of 12 bits. Products of halves are exact.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Split<T = f32> {
    whole: T,
    high: T,
    low: T,
}

impl<T: Summand> Split<T> {
    #[inline(always)]
    pub(crate) fn of(x: T) -> Self {
        let big = x * 4097.0; // 2¹² + 1
        let high = big - (big - x);
        Split {
            whole: x,
            high,
            low: x - high,
        }
    }

    /// The rounded product of two numbers, and its rounding error.
    #[inline(always)]
    pub(crate) fn times(self, other: Self) -> (T, T) {
        let product = self.whole * other.whole;
        let error =
            ((self.high * other.high - product) + self.high * other.low + self.low * other.high)
                + self.low * other.low;
        (product, error)
    }
}
