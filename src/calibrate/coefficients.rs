//! From the parameters of a polynomial to its coefficients.

use core::ops::{Add, Mul, Sub};

use super::curve::MAX_DEGREE;

/// Room for the coefficients of every polynomial.
pub(crate) const COEFFICIENTS: usize = MAX_DEGREE + 1;

/// The coefficients of `1, u, u², …` in a sum of Chebyshev polynomials of `a + b u`; those
/// beyond the degree are 0. The parameters are those of a [curve](super::Curve): the weights
/// of `T₁, T₂, …`, and last the constant.
///
/// The recurrence of the curve itself, `Tₖ₊₁ = 2x Tₖ - Tₖ₋₁`, of coefficients in place of
/// numbers.
pub(crate) fn powers<P, S>(params: &[P], [a, b]: [S; 2]) -> [S; COEFFICIENTS]
where
    P: Copy,
    S: Copy + From<P> + From<f32> + Add<Output = S> + Sub<Output = S> + Mul<Output = S>,
{
    let zero = S::from(0.0_f32);
    let [mut sum, mut before, mut t] = [[zero; COEFFICIENTS]; 3];
    let [one, ..] = &mut t;
    *one = S::from(1.0_f32);
    let weights = params.last().into_iter().chain(params).take(params.len());
    for (k, weight) in weights.enumerate() {
        for (sum, t) in sum.iter_mut().zip(t) {
            *sum = *sum + S::from(*weight) * t;
        }
        // T₁ is x, and not 2x.
        let twice = S::from(if k == 0 { 1.0_f32 } else { 2.0 });
        let mut below = zero;
        for (t, before) in t.iter_mut().zip(&mut before) {
            let next = twice * (a * *t + b * below) - *before;
            (below, *before) = (*t, *t);
            *t = next;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{COEFFICIENTS, powers};
    use crate::function::TwoFloat;

    /// `T₁ = x`, `T₂ = 2x² - 1`, `T₃ = 4x³ - 3x`, `T₄ = 8x⁴ - 8x² + 1`.
    #[test]
    fn chebyshev_polynomials_in_powers() {
        for (params, expected) in [
            (&[2.0, 7.0][..], &[7.0, 2.0][..]),
            (&[0.0, 1.0, 0.0], &[-1.0, 0.0, 2.0]),
            (&[0.0, 0.0, 1.0, 0.0], &[0.0, -3.0, 0.0, 4.0]),
            (&[0.0, 0.0, 0.0, 1.0, 0.5], &[1.5, 0.0, -8.0, 0.0, 8.0]),
        ] {
            let params: &[f32] = params;
            let mut all = [0.0; COEFFICIENTS];
            for (to, x) in all.iter_mut().zip(expected) {
                *to = *x;
            }
            assert_eq!(powers(params, [0.0_f64, 1.0]), all, "{params:?}");
            let pairs = powers(params, [TwoFloat::ZERO, TwoFloat::ONE]);
            assert_eq!(pairs.map(TwoFloat::to_f64), all, "{params:?}");
        }
        // T₂ of 3 - 2u: 2 (9 - 12u + 4u²) - 1.
        let found = powers(&[0.0_f32, 1.0, 0.0], [3.0_f64, -2.0]);
        assert_eq!(found[..4], [17.0, -24.0, 8.0, 0.0]);
    }

    /// The highest degree leaves nothing out, and has a leading coefficient of 2¹¹.
    #[test]
    fn the_highest_degree_has_room() {
        let mut params = [0.0_f32; COEFFICIENTS];
        params[COEFFICIENTS - 2] = 1.0;
        let found = powers(&params, [0.0_f64, 1.0]);
        assert_eq!(found[COEFFICIENTS - 1], 2048.0);
        assert_eq!(found[0], 1.0);
        // All Chebyshev polynomials are 1 at 1.
        assert_eq!(found.iter().sum::<f64>(), 1.0);
    }
}
