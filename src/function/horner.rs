//! Polynomials by their coefficients.

use super::Real;

/// Runs a step for each coefficient, from the last to the first. The steps of the first 16
/// coefficients are written out. When the compiler optimises for size, a loop stays a loop and
/// keeps jets in memory: an epoch of a cubic through 11 samples then takes 2,160 instructions
/// on a Cortex-M4F rather than 516, and 580 bytes of flash more.
///
/// This is a macro because an error that is recorded in a closure would not name the caller's
/// line.
macro_rules! downwards {
    ($coefficients:expr, |$k:ident, $c:ident| $step:block) => {
        downwards!($coefficients, |$k, $c| $step, 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0)
    };
    ($coefficients:expr, |$k:ident, $c:ident| $step:block, $($written_out:literal)*) => {
        let coefficients = $coefficients;
        for $k in (16..coefficients.len()).rev() {
            if let Some(&$c) = coefficients.get($k) $step
        }
        $(
            let $k: usize = $written_out;
            if let Some(&$c) = coefficients.get($k) $step
        )*
    };
}

/// `c[0] + c[1] x + c[2] x² + …` by Horner's method: `(c[2] x + c[1]) x + c[0]`. Without
/// coefficients, 0.
///
/// ```
/// use baregrad::function::horner;
/// assert_eq!(horner(2.0_f32, [3.0, 5.0, 7.0]), 3.0 + 5.0 * 2.0 + 7.0 * 4.0);
/// ```
#[track_caller]
#[inline(always)]
pub fn horner<S: Real, const N: usize>(x: S, coefficients: [S; N]) -> S {
    let mut sum = None;
    downwards!(coefficients, |_k, c| {
        sum = Some(match sum {
            Some(sum) => sum * x + c,
            None => c,
        });
    });
    match sum {
        Some(sum) => sum,
        None => x.number(0.0),
    }
}

/// `c[0] T₀(x) + c[1] T₁(x) + …` with the Chebyshev polynomials `Tₖ(cos t) = cos(k t)`, by
/// Clenshaw's recurrence, for `x` from -1 to 1. Without coefficients, 0.
///
/// Its coefficients stay small where the coefficients of [`horner`] for the same polynomial
/// would be large and cancel.
///
/// ```
/// use baregrad::function::chebyshev;
/// let x = 0.5_f32;
/// assert_eq!(chebyshev(x, [3.0, 5.0, 7.0]), 3.0 + 5.0 * x + 7.0 * (2.0 * x * x - 1.0));
/// ```
#[track_caller]
#[inline(always)]
pub fn chebyshev<S: Real, const N: usize>(x: S, coefficients: [S; N]) -> S {
    // b[k] = 2 x b[k + 1] - b[k + 2] + c[k]; the last step, k = 0, has x instead of 2 x. Terms
    // above the highest coefficient are `None` rather than 0, so that no operation uses them.
    let mut last_two: (Option<S>, Option<S>) = (None, None);
    let mut twice = x;
    if N > 2 {
        twice = x + x;
    }
    downwards!(coefficients, |k, c| {
        let factor = if k == 0 { x } else { twice };
        let b = match last_two {
            (None, _) => c,
            (Some(b), None) => factor * b + c,
            (Some(b), Some(b_before)) => (factor * b - b_before) + c,
        };
        last_two = (Some(b), last_two.0);
    });
    match last_two.0 {
        Some(sum) => sum,
        None => x.number(0.0),
    }
}
