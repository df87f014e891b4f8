//! Norms of any order.

use super::{Over, Reduction, To, square_root};
use crate::kernel::groups::Group;
use crate::kernel::math;
use crate::var::Var;

/// The norm; `word` is its order.
struct NormOver;

impl Reduction for NormOver {
    const NAME: &'static str = "norm";
    fn forward(p: f32, xs: &Group<'_>) -> f32 {
        if p == f32::INFINITY {
            let max = xs.max_of(f32::abs);
            if max < 0.0 { 0.0 } else { max }
        } else if p == f32::NEG_INFINITY {
            -xs.max_of(|x| -x.abs())
        } else if p == 0.0 {
            xs.iter().filter(|x| *x != 0.0).count() as f32
        } else if p == 1.0 {
            xs.sum_of(f32::abs) + 0.0
        } else if p == 2.0 {
            square_root(xs.sum_of(|x| x * x) + 0.0)
        } else {
            math::pow(xs.sum_of(|x| math::pow(x.abs(), p)) + 0.0, 1.0 / p)
        }
    }
    fn backward(p: f32, xs: &Group<'_>, y: f32, g: f32, to: To<'_>) {
        if p.is_infinite() {
            let is_extreme = |x: f32| x.abs() == y || x.is_nan() && y.is_nan();
            let g = g / xs.iter().filter(|x| is_extreme(*x)).count() as f32;
            to.each(xs, |x| {
                let one_if = if is_extreme(x) { 1.0 } else { 0.0 };
                sign(x) * one_if * g
            });
        } else if p == 0.0 {
            to.each(xs, |_| 0.0);
        } else if p == 1.0 {
            to.each(xs, |x| sign(x) * g);
        } else if p == 2.0 {
            to.each(xs, |x| g * if y == 0.0 { 0.0 } else { x / y });
        } else if p < 1.0 {
            let g = g * math::pow(y, 1.0 - p);
            to.each(xs, |x| {
                let slope = sign(x) * math::pow(x.abs(), p - 1.0);
                g * if x == 0.0 { 0.0 } else { slope }
            });
        } else {
            let g = g / math::pow(y, p - 1.0);
            let g = if y == 0.0 { 0.0 } else { g };
            to.each(xs, |x| {
                let slope = if p < 2.0 {
                    sign(x) * math::pow(x.abs(), p - 1.0)
                } else {
                    x * math::pow(x.abs(), p - 2.0)
                };
                slope * g
            });
        }
    }
}

/// As [`Sign`](crate::ops::math::Sign).
fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

impl<'t> Var<'t> {
    /// The norm of order `p` of all elements: `(Σ |x|ᵖ)^(1/p)`. The norm of order infinity is the
    /// largest magnitude, of -infinity the smallest, of 0 the number of elements other than 0. It
    /// overflows or underflows where the sum of powers does, as in PyTorch.
    ///
    /// Gradient for a `p` of 2: `x / y`, and 0 where `y` is 0; of 1: the [sign](Self::sign); of
    /// 0: 0; for an infinite `p`: shared among ties; otherwise: `sign(x) (|x| / y)^(p - 1)`, which
    /// is 0 where `y` is 0 and, for a `p` below 1, where `x` is 0.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[3.0, -4.0], [2]);
    /// let norm = x.norm(2.0);
    /// tape.backward(norm)?;
    /// assert_eq!(norm.item()?, 5.0);
    /// assert_eq!(*x.grad()?, [0.6, -0.8]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn norm(self, p: f32) -> Var<'t> {
        self.norm_axes(p, &[], false)
    }

    /// Norms over dimensions; see [`norm`](Self::norm).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[3.0, -4.0, 0.0, 1.0], [2, 2]);
    /// assert_eq!(*x.norm_axes(1.0, &[1], false).value()?, [7.0, 1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn norm_axes(self, p: f32, axes: &[isize], keepdim: bool) -> Var<'t> {
        self.over(&Over(NormOver), p, axes, keepdim)
    }
}
