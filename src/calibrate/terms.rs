//! Sums of products of Chebyshev polynomials, for any type of number.

use core::array::from_fn;
use core::ops::{Add, Mul, Sub};

use crate::kernel::IN_ORDER;

/// The most inputs of a polynomial.
pub const MAX_INPUTS: usize = 127;

/// `T₁(x), T₂(x), …`, where `one` is 1 of this type: `T₁ = x`, `T₂ = 2x x - 1`,
/// `Tₖ₊₁ = 2x Tₖ - Tₖ₋₁`.
#[inline(always)]
pub(crate) fn chebyshev<S>(one: S, x: S) -> impl Iterator<Item = S>
where
    S: Copy + Add<Output = S> + Sub<Output = S> + Mul<Output = S>,
{
    let twice = x + x;
    let (mut before, mut t) = (one, x);
    core::iter::from_fn(move || {
        let this = t;
        (before, t) = (t, twice * t - before);
        Some(this)
    })
}

/// The sum of up to 512 terms, in the order in which kernels sum neighbours: up to 16
/// terms one after the other, more terms in 32 interleaved sums that are then added in
/// pairs. `None` without terms.
pub(super) fn sum<S: Copy + Add<Output = S>>(terms: impl Iterator<Item = S> + Clone) -> Option<S> {
    let mut sums = [None; 32];
    let lanes = if terms.clone().nth(IN_ORDER).is_some() {
        sums.len()
    } else {
        1
    };
    for (i, term) in terms.enumerate() {
        if let Some(sum) = sums.get_mut(i & (lanes - 1)) {
            *sum = add(*sum, Some(term));
        }
    }
    if lanes == 1 {
        return sums.first().copied().flatten();
    }
    let at = |l: usize| sums.get(l).copied().flatten();
    // A sum without terms is -0.0, the identity of addition.
    let mut v: [Option<S>; 8] =
        from_fn(|l| add(add(at(l), at(8 + l)), add(at(16 + l), at(24 + l))));
    for half in [4, 2, 1] {
        v = from_fn(|l| match v.get(l + half) {
            Some(other) if l < half => add(v.get(l).copied().flatten(), *other),
            _ => None,
        });
    }
    v.first().copied().flatten()
}

fn add<S: Add<Output = S>>(a: Option<S>, b: Option<S>) -> Option<S> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// The degrees in each input of the terms of a polynomial of several inputs, without the
/// constant. Terms are ordered by total degree and, within it, by higher powers of
/// earlier inputs first.
#[derive(Clone, Debug)]
pub(crate) struct Degrees {
    of: [u8; MAX_INPUTS],
    inputs: usize,
    total: usize,
    most: usize,
    is_new: bool,
}

impl Degrees {
    /// Takes up to [`MAX_INPUTS`] inputs, and a degree of 255 at most.
    pub(crate) fn new(inputs: usize, degree: usize) -> Self {
        Degrees {
            of: [0; MAX_INPUTS],
            inputs: inputs.min(MAX_INPUTS),
            total: 1,
            most: degree.min(255),
            is_new: true,
        }
    }

    /// The number of terms, the constant included; `usize::MAX` if it overflows.
    pub(crate) fn count(inputs: usize, degree: usize) -> usize {
        // The binomial coefficient (inputs + degree) over degree.
        let mut count: usize = 1;
        for k in 1..=degree {
            let Some(product) = count.checked_mul(inputs.saturating_add(k)) else {
                return usize::MAX;
            };
            count = product.checked_div(k).unwrap_or(product);
        }
        count
    }

    /// Moves on to the next term of the same total degree, and returns whether there is one.
    fn advance(&mut self) -> bool {
        let Some((last, first)) = self
            .of
            .get_mut(..self.inputs)
            .and_then(<[u8]>::split_last_mut)
        else {
            return false;
        };
        // Takes one from the last nonzero degree before the last input, and gives it to
        // the next input, together with the whole degree of the last input.
        let given = core::mem::take(last);
        let Some(at) = first.iter().rposition(|degree| *degree > 0) else {
            return false;
        };
        if let Some(giver) = first.get_mut(at) {
            *giver = giver.saturating_sub(1);
        }
        let to = first.get_mut(at + 1).unwrap_or(last);
        *to = given.saturating_add(1);
        true
    }
}

impl Iterator for Degrees {
    type Item = [u8; MAX_INPUTS];

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_new || !self.advance() {
            self.total += usize::from(!self.is_new);
            self.is_new = false;
            if self.total > self.most || self.inputs == 0 {
                // The iterator has ended, and stays so.
                (self.is_new, self.most) = (true, 0);
                return None;
            }
            self.of = [0; MAX_INPUTS];
            let [first, ..] = &mut self.of;
            *first = u8::try_from(self.total).unwrap_or(u8::MAX);
        }
        Some(self.of)
    }
}

/// The value of a polynomial of the scaled inputs `x`. `params` are the parameters of the
/// [terms](Degrees) in their order; `constant` is the last parameter.
pub(super) fn polynomial<S>(
    degrees: Degrees,
    one: S,
    x: &(impl Fn(usize) -> S + Clone),
    params: impl Iterator<Item = S> + Clone,
    constant: S,
) -> S
where
    S: Copy + Add<Output = S> + Sub<Output = S> + Mul<Output = S>,
{
    let term = |of: [u8; MAX_INPUTS]| {
        let factors = of.into_iter().enumerate().filter(|(_, degree)| *degree > 0);
        factors
            .filter_map(|(k, degree)| {
                chebyshev(one, x(k)).nth(usize::from(degree.saturating_sub(1)))
            })
            .reduce(|product, factor| product * factor)
    };
    let terms = degrees.zip(params);
    let terms = terms.filter_map(|(of, p)| Some(term(of)? * p));
    match sum(terms) {
        Some(sum) => sum + constant,
        None => constant,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{Degrees, chebyshev, sum};

    /// Recorded layers sum in the order of the kernels.
    #[test]
    fn sums_have_the_bits_of_the_kernels() {
        for n in 0..=130 {
            let x: Vec<f32> = (0..n).map(|i| 1.0 / (i as f32 + 0.7) - 0.3).collect();
            let w: Vec<f32> = (0..n)
                .map(|i| 0.1 * i as f32 - 1e3 / (i as f32 + 1.0))
                .collect();
            let found = sum(x.iter().zip(&w).map(|(x, w)| x * w)).unwrap_or(-0.0);
            let expected = crate::kernel::dot(&x, &w);
            assert_eq!(found.to_bits(), expected.to_bits(), "{n}");
        }
    }

    /// `T₂ = 2x² - 1`, `T₃ = 4x³ - 3x`; a quarter and its powers are exact, so the values
    /// are equal.
    #[test]
    fn the_recurrence_is_that_of_chebyshev() {
        let found: Vec<f32> = chebyshev(1.0_f32, 0.25).take(4).collect();
        assert_eq!(found, [0.25, -0.875, -0.6875, 0.53125]);
        assert_eq!(chebyshev(1.0_f64, 0.25).nth(3), Some(0.53125));
    }

    /// There are as many degrees as the binomial coefficient says, all different, ordered
    /// by their sums.
    #[test]
    fn degrees_are_all_there_are_in_graded_order() {
        let list = |inputs, degree| -> Vec<Vec<u8>> {
            let of = Degrees::new(inputs, degree);
            of.map(|of| of[..inputs].to_vec()).collect()
        };
        assert_eq!(list(2, 2), [[1, 0], [0, 1], [2, 0], [1, 1], [0, 2]]);
        assert_eq!(list(1, 3), [[1], [2], [3]]);
        let of_three: [[u8; 3]; 6] = [
            [2, 0, 0],
            [1, 1, 0],
            [1, 0, 1],
            [0, 2, 0],
            [0, 1, 1],
            [0, 0, 2],
        ];
        assert_eq!(list(3, 2)[3..], of_three);
        assert_eq!(list(0, 3), [[0_u8; 0]; 0]);
        for (inputs, degree) in [(1, 12), (2, 7), (3, 4), (4, 3), (5, 2), (127, 1)] {
            let all = list(inputs, degree);
            assert_eq!(all.len() + 1, Degrees::count(inputs, degree));
            let mut different = all.clone();
            different.sort();
            different.dedup();
            assert_eq!(different.len(), all.len());
            let sums: Vec<u8> = all.iter().map(|of| of.iter().sum()).collect();
            assert!(sums.is_sorted() && sums.iter().all(|sum| usize::from(*sum) <= degree));
        }
        assert_eq!(Degrees::count(1000, 1000), usize::MAX);
    }
}
