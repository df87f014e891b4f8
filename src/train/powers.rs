//! Chebyshev polynomials of scaled readings as polynomials of the readings.

use std::vec::Vec;

use crate::calibrate::Scale;

/// The coefficients of `1, x - origin, (x - origin)², …` of `T₀` to `T_degree` of the scaled
/// `x`: a list for each, normalisation undone in `f64`.
pub(super) fn powers_of_chebyshev(scale: Scale, origin: f64, degree: usize) -> Vec<Vec<f64>> {
    // The scaled reading as a polynomial of its difference from the origin.
    let factor = f64::from(scale.factor);
    let scaled = [(origin - scale.offset.to_f64()) * factor, factor];
    let mut all = Vec::from([Vec::from([1.0]), scaled.to_vec()]);
    while let (true, [.., before, last]) = (all.len() <= degree, &all[..]) {
        let mut next = product(&scaled.map(|c| 2.0 * c), last);
        for (next, before) in next.iter_mut().zip(before) {
            *next -= before;
        }
        all.push(next);
    }
    all.truncate(degree + 1);
    all
}

/// The product of two polynomials.
fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut product = std::vec![0.0; (a.len() + b.len()).saturating_sub(1)];
    for (i, a) in a.iter().enumerate() {
        for (to, b) in product.iter_mut().skip(i).zip(b) {
            *to += a * b;
        }
    }
    product
}
