//! Variances and standard deviations.

use super::{Over, Reduction, To, square_root};
use crate::kernel::groups::Group;
use crate::var::Var;

/// The mean and the sum of squared deviations of a group's numbers. The numbers are multiplied by
/// `scale`, a power of two that brings the largest magnitude near 1, so that nothing overflows
/// and squares do not underflow.
struct Moments {
    scale: f32,
    /// The rounded mean.
    mean: f32,
    /// The rounding error of the mean.
    rest: f32,
    squares: f32,
}

impl Moments {
    fn of(xs: &Group<'_>) -> Self {
        let (n, largest) = (xs.len() as f32, xs.max_of(f32::abs));
        if !largest.is_finite() {
            let mean = xs.sum_of(|x| x) / n;
            return Moments {
                scale: 1.0,
                mean,
                rest: 0.0,
                squares: f32::NAN,
            };
        }
        let exponent = (largest.to_bits() >> 23).clamp(1, 253);
        let scale = f32::from_bits((254 - exponent) << 23);
        // Differences from the first number, so that the mean of equal numbers is exact.
        let first = xs.iter().next().unwrap_or(0.0) * scale;
        let mean = first + xs.sum_of(|x| x * scale - first) / n;
        // The added 0 turns a -0.0 into 0.
        let rest = xs.sum_of(|x| x * scale - mean) / n + 0.0;
        let squares = xs.sum_of(|x| {
            let deviation = (x * scale - mean) - rest;
            deviation * deviation
        });
        Moments {
            scale,
            mean,
            rest,
            squares: squares + 0.0,
        }
    }

    /// The deviation from the mean, scaled.
    fn deviation(&self, x: f32) -> f32 {
        (x * self.scale - self.mean) - self.rest
    }

    /// The variance, times `scale` squared; infinite or NaN without degrees of freedom.
    fn variance(&self, degrees: f32) -> f32 {
        self.squares / if degrees > 0.0 { degrees } else { 0.0 }
    }
}

/// The variance.
struct VarOver;

impl Reduction for VarOver {
    const NAME: &'static str = "var";
    fn forward(correction: f32, xs: &Group<'_>) -> f32 {
        let moments = Moments::of(xs);
        let variance = moments.variance(xs.len() as f32 - correction);
        variance / moments.scale / moments.scale
    }
    fn backward(correction: f32, xs: &Group<'_>, _: f32, g: f32, to: To<'_>) {
        let moments = Moments::of(xs);
        let g = 2.0 / (xs.len() as f32 - correction) * g;
        to.each(xs, |x| g * (moments.deviation(x) / moments.scale));
    }
}

/// The standard deviation.
struct StdOver;

impl Reduction for StdOver {
    const NAME: &'static str = "std";
    fn forward(correction: f32, xs: &Group<'_>) -> f32 {
        let moments = Moments::of(xs);
        let variance = moments.variance(xs.len() as f32 - correction);
        square_root(variance) / moments.scale
    }
    fn backward(correction: f32, xs: &Group<'_>, y: f32, g: f32, to: To<'_>) {
        let moments = Moments::of(xs);
        if y == 0.0 {
            return to.each(xs, |x| 0.0 * moments.deviation(x));
        }
        let degrees = xs.len() as f32 - correction;
        let std = square_root(moments.variance(degrees));
        let g = g / degrees;
        to.each(xs, |x| g * (moments.deviation(x) / std));
    }
}

impl<'t> Var<'t> {
    /// The variance of all `n` elements: the sum of squared deviations from their mean, divided
    /// by `n - correction`. A correction of 1, PyTorch's default, estimates the variance of the
    /// population of which the elements are a sample; 0 gives the variance of the elements. The
    /// result is NaN or infinite if `n - correction` is not more than 0.
    ///
    /// For equal elements, the variance and its gradient are exactly 0; no intermediate result
    /// overflows. (PyTorch's mean of ten times 0.1, and with it the variance, is off by a
    /// rounding error.) Gradient: `2 (x - mean) / (n - correction)`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0, 2.0, 3.0, 4.0], [4]);
    /// let variance = x.var(0.0);
    /// tape.backward(variance)?;
    /// assert_eq!(variance.item()?, 1.25);
    /// assert_eq!(*x.grad()?, [-0.75, -0.25, 0.25, 0.75]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn var(self, correction: f32) -> Var<'t> {
        self.var_axes(&[], correction, false)
    }

    /// Variances over dimensions; see [`var`](Self::var).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 3.0, 5.0, 5.0], [2, 2]);
    /// assert_eq!(*x.var_axes(&[1], 1.0, false).value()?, [2.0, 0.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn var_axes(self, axes: &[isize], correction: f32, keepdim: bool) -> Var<'t> {
        self.over(&Over(VarOver), correction, axes, keepdim)
    }

    /// The standard deviation of all elements, the square root of [`var`](Self::var).
    ///
    /// Gradient: `(x - mean) / (y (n - correction))`, and 0 where `y` is 0, as for equal
    /// elements; PyTorch's is 0 only if rounding leaves its `y` at 0, too.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[0.1; 10], [10]);
    /// let std = x.std(1.0);
    /// tape.backward(std)?;
    /// assert_eq!(std.item()?, 0.0);
    /// assert_eq!(*x.grad()?, [0.0; 10]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn std(self, correction: f32) -> Var<'t> {
        self.std_axes(&[], correction, false)
    }

    /// Standard deviations over dimensions; see [`std`](Self::std).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 3.0, 5.0, 5.0], [2, 2]);
    /// assert_eq!(*x.std_axes(&[-1], 0.0, true).value()?, [1.0, 0.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn std_axes(self, axes: &[isize], correction: f32, keepdim: bool) -> Var<'t> {
        self.over(&Over(StdOver), correction, axes, keepdim)
    }
}
