//! Sums, means and cumulative sums.

use super::{Over, Reduction, To};
use crate::kernel::groups::{Group, cumulative_sums};
use crate::kernel::{self, Acc};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::ops::{exactly, pack_axis, unpack_axis};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

/// A sum, or with `MEAN` a mean.
struct SumOver<const MEAN: bool>;

impl<const MEAN: bool> SumOver<MEAN> {
    fn divisor(len: usize) -> f32 {
        if MEAN { len as f32 } else { 1.0 }
    }
}

impl<const MEAN: bool> Reduction for SumOver<MEAN> {
    const NAME: &'static str = if MEAN { "mean" } else { "sum" };
    fn forward(_: f32, xs: &Group<'_>) -> f32 {
        // A sum of no terms, or of terms that are all -0.0, is -0.0, PyTorch's is 0.
        (xs.sum_of(|x| x) + 0.0) / Self::divisor(xs.len())
    }
    fn backward(_: f32, xs: &Group<'_>, _: f32, g: f32, to: To<'_>) {
        let g = g / Self::divisor(xs.len());
        to.each(xs, |_| g);
    }
    fn in_vectors(x: &[f32], sizes: [usize; 3], out: &mut [f32]) -> bool {
        kernel::sum_axis(x, sizes, out);
        let n = Self::divisor(sizes[1]);
        out.iter_mut().for_each(|sum| *sum = (*sum + 0.0) / n);
        true
    }
    fn in_vectors_backward([_, _, g]: [&[f32]; 3], sizes: [usize; 3], to: To<'_>) -> bool {
        kernel::spread(g, Self::divisor(sizes[1]), sizes, to.grad, to.acc);
        true
    }
}

/// Cumulative sums. Words: the sizes of the tensor as `[outer, axis, inner]`; the axis, as given.
#[derive(Clone, Copy, Debug)]
pub struct CumSum;

impl Op for CumSum {
    fn name(&self) -> &'static str {
        "cumsum"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        let [low, high, _, word] = attrs.words;
        let [outer, len, inner] = x.around(x.axis(unpack_axis([word, low, high]))?);
        attrs.words = [outer as u32, len as u32, inner as u32, word];
        Ok(*x)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let [outer, len, inner, _] = cx.attrs().sizes();
        let ([x], out) = cx.split();
        cumulative_sums::<false>(x, [outer, len, inner], out, Acc::Set);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let [outer, len, inner, _] = cx.attrs().sizes();
        if let Some(to) = cx.grad(0) {
            cumulative_sums::<true>(to.output, [outer, len, inner], to.operand, to.acc);
        }
    }
}

impl<'t> Var<'t> {
    /// Sums over several dimensions. Gradient: `g`, repeated over these dimensions.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [2, 2, 2]);
    /// assert_eq!(*x.sum_axes(&[0, -1], false).value()?, [14.0, 22.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn sum_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        self.over(&Over(SumOver::<false>), 0.0, axes, keepdim)
    }

    /// Means over several dimensions: sums, divided once. Gradient: `g / n`, repeated over these
    /// dimensions.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [2, 2, 2]);
    /// assert_eq!(*x.mean_axes(&[0, 2], false).value()?, [3.5, 5.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn mean_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        self.over(&Over(SumOver::<true>), 0.0, axes, keepdim)
    }

    /// Cumulative sums along `axis`, each including its own element. The rounding error of each
    /// sum is added to the next, so that errors do not grow along the axis.
    ///
    /// Gradient: the cumulative sums of `g` from the end.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0, 2.0, 3.0], [3]);
    /// let sums = x.cumsum(0);
    /// tape.backward(sums.sum())?;
    /// assert_eq!(*sums.value()?, [1.0, 3.0, 6.0]);
    /// assert_eq!(*x.grad()?, [3.0, 2.0, 1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn cumsum(self, axis: isize) -> Var<'t> {
        let [axis, low, high] = pack_axis(axis);
        let attrs = Attrs {
            words: [low, high, 0, axis],
            tag: 0,
        };
        self.unary(&CumSum, attrs)
    }
}
