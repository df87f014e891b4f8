//! Products of inputs, as inputs of a linear model: the features of scikit-learn's
//! `PolynomialFeatures`, in the same order.
//!
//! ```
//! use baregrad::nn::polynomial;
//!
//! // 1, a, b, a², ab, b²
//! let mut features = [0.0; polynomial::count(2, 2)];
//! polynomial::features(&[2.0, 3.0], 2, &mut features)?;
//! assert_eq!(features, [1.0, 2.0, 3.0, 4.0, 6.0, 9.0]);
//! # Ok::<(), polynomial::WrongCount>(())
//! ```

use core::fmt;

/// An error: the slice for the features has another length than their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WrongCount {
    /// The number of features.
    pub expected: usize,
    /// The length of the slice.
    pub found: usize,
}

impl fmt::Display for WrongCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WrongCount { expected, found } = self;
        write!(
            f,
            "polynomial features: expected room for {expected} of them, found {found}; `count` gives the number"
        )
    }
}

impl core::error::Error for WrongCount {}

/// The number of products of up to `degree` inputs, including 1:
/// `(inputs + degree)! / (inputs! degree!)`. It saturates at `usize::MAX`.
#[must_use]
pub const fn count(inputs: usize, degree: usize) -> usize {
    choose(inputs, degree)
}

/// `(a + b)! / (a! b!)`.
const fn choose(a: usize, b: usize) -> usize {
    let (few, many) = if a < b { (a, b) } else { (b, a) };
    let (mut product, mut i) = (1_usize, 0_usize);
    while i < few {
        i += 1;
        // A product of i consecutive integers is a multiple of i!.
        product = match product.checked_mul(many.saturating_add(i)) {
            Some(product) => match product.checked_div(i) {
                Some(product) => product,
                None => return usize::MAX,
            },
            None => return usize::MAX,
        };
    }
    product
}

/// Writes the products of up to `degree` of the inputs `x` to `to`: 1, the inputs, their
/// products of two, and so on. Each is an input times a product of one degree less, which is
/// already written.
///
/// # Errors
/// The length of `to` is not [`count`]`(x.len(), degree)`. Then nothing is written.
pub fn features(x: &[f32], degree: usize, to: &mut [f32]) -> Result<(), WrongCount> {
    let inputs = x.len();
    let (expected, found) = (count(inputs, degree), to.len());
    if expected != found {
        return Err(WrongCount { expected, found });
    }
    if let Some(one) = to.first_mut() {
        *one = 1.0;
    }
    // The index at which the products of this degree begin.
    let mut begin = 1_usize;
    for degree in 1..=degree {
        let mut end = begin;
        for (i, x) in x.iter().enumerate() {
            // The products of one degree less without an input before this one come last.
            let others = inputs.saturating_sub(i + 1);
            let count = choose(others, degree - 1).min(begin);
            for from in begin - count..begin {
                let product = to.get(from).map_or(0.0, |product| x * product);
                if let Some(to) = to.get_mut(end) {
                    *to = product;
                }
                end += 1;
            }
        }
        begin = end;
    }
    Ok(())
}
