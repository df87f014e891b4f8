//! Logarithms of sums of exponentials.

use super::{Over, Reduction, To};
use crate::kernel::groups::Group;
use crate::kernel::{self, math};
use crate::var::Var;

/// The logarithm of the sum of exponentials.
struct LogSumExp;

impl Reduction for LogSumExp {
    const NAME: &'static str = "logsumexp";
    fn forward(_: f32, xs: &Group<'_>) -> f32 {
        let max = xs.max_of(|x| x);
        if !max.is_finite() {
            return max;
        }
        // The exponential of the largest element is 1, which `ln_1p` adds: it is left out once.
        let mut largest = xs.iter().map(|x| x == max);
        let first = largest.position(|is| is);
        let terms = xs.iter().enumerate().map(|(i, x)| {
            if Some(i) == first {
                0.0
            } else {
                math::exp(x - max)
            }
        });
        max + math::ln_1p(kernel::sum_in_turn(terms, xs.len()))
    }
    fn backward(_: f32, xs: &Group<'_>, y: f32, g: f32, to: To<'_>) {
        to.each(xs, |x| g * math::exp(x - y));
    }
}

impl<'t> Var<'t> {
    /// `ln Σ eˣ` over dimensions. It does not overflow, and does not lose the small contributions
    /// of other elements to the largest one. It is infinite if the largest element is.
    ///
    /// Gradient: `eˣ⁻ʸ`, the softmax; NaN at infinite elements of an infinite result.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1000.0, 1000.0, 0.0, -1000.0], [2, 2]);
    /// let y = x.logsumexp(&[-1], false);
    /// assert_eq!(*y.value()?, [1000.0 + core::f32::consts::LN_2, 0.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn logsumexp(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        self.over(&Over(LogSumExp), 0.0, axes, keepdim)
    }
}
