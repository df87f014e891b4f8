//! The largest and the smallest elements.

use super::{Over, Reduction, To};
use crate::kernel::groups::Group;
use crate::kernel::{self, Ties};
use crate::var::Var;

/// The largest number, or with `MIN` the smallest.
struct ExtremeOver<const MIN: bool>;

impl<const MIN: bool> Reduction for ExtremeOver<MIN> {
    const NAME: &'static str = if MIN { "amin" } else { "amax" };
    const NEEDS_SOME: bool = true;
    fn forward(_: f32, xs: &Group<'_>) -> f32 {
        if MIN {
            -xs.max_of(|x| -x)
        } else {
            xs.max_of(|x| x)
        }
    }
    fn backward(_: f32, xs: &Group<'_>, y: f32, g: f32, to: To<'_>) {
        // As [`Ties::Scaled`].
        let ties = xs.iter().filter(|x| *x == y).count() as f32;
        let (tied, other) = (g / ties, g * 0.0 / ties);
        to.each(xs, |x| if x == y { tied } else { other });
    }
    fn in_vectors(x: &[f32], sizes: [usize; 3], out: &mut [f32]) -> bool {
        if MIN {
            kernel::min_axis(x, sizes, out);
        } else {
            kernel::max_axis(x, sizes, out);
        }
        true
    }
    fn in_vectors_backward([x, y, g]: [&[f32]; 3], sizes: [usize; 3], to: To<'_>) -> bool {
        kernel::send_to_extremes(x, y, g, sizes, Ties::Scaled, to.grad, to.acc);
        true
    }
}

impl<'t> Var<'t> {
    /// The largest elements over several dimensions, with the gradient of
    /// [`amax`](Self::amax), shared by all ties.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0, 8.0, 3.0, 4.0, 5.0, 8.0], [2, 3]);
    /// let largest = x.amax_axes(&[0, 1], false);
    /// tape.backward(largest)?;
    /// assert_eq!(largest.item()?, 8.0);
    /// assert_eq!(*x.grad()?, [0.0, 0.5, 0.0, 0.0, 0.0, 0.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn amax_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        self.over(&Over(ExtremeOver::<false>), 0.0, axes, keepdim)
    }

    /// The smallest elements over several dimensions, with the gradient of
    /// [`amax`](Self::amax), shared by all ties.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 8.0, 3.0, 4.0, 5.0, 8.0], [1, 2, 3]);
    /// assert_eq!(*x.amin_axes(&[0, 2], false).value()?, [1.0, 4.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn amin_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        self.over(&Over(ExtremeOver::<true>), 0.0, axes, keepdim)
    }
}
