//! Softmax and its logarithm, shifted by the largest element so that nothing
//! overflows.

use super::{Args, Entry, exactly, pack_axis, unpack_axis};
use crate::kernel;
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("softmax", |x, args| x.softmax(args.axis.unwrap_or(-1))),
    Entry::each("log_softmax", |x, args| {
        x.log_softmax(args.axis.unwrap_or(-1))
    })
    .with(Args {
        axis: Some(0),
        ..Args::NONE
    }),
];

/// Softmax, or with `LOG` its logarithm. Words: the sizes of the tensor as
/// `[outer, axis, inner]`; the axis, as given.
#[derive(Clone, Copy, Debug)]
pub struct Softmax<const LOG: bool>;

fn sizes(attrs: &Attrs) -> [usize; 3] {
    let [outer, len, inner, _] = attrs.sizes();
    [outer, len, inner]
}

impl<const LOG: bool> Op for Softmax<LOG> {
    fn name(&self) -> &'static str {
        if LOG { "log_softmax" } else { "softmax" }
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        let [low, high, _, word] = attrs.words;
        let [outer, len, inner] = x.around(x.axis(unpack_axis([word, low, high]))?);
        attrs.words = [outer as u32, len as u32, inner as u32, word];
        Ok(*x)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let sizes = sizes(cx.attrs());
        let ([x], out) = cx.split();
        kernel::softmax::<LOG>(x, sizes, out);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (y, sizes) = (cx.output(), sizes(cx.attrs()));
        if let Some(grad) = cx.grad(0) {
            kernel::softmax_grad::<LOG>(y, grad.output, sizes, grad.operand, grad.acc);
        }
    }
}

fn along(axis: isize) -> Attrs {
    let [axis, low, high] = pack_axis(axis);
    Attrs {
        words: [low, high, 0, axis],
        tag: 0,
    }
}

/// Softmax.
impl<'t> Var<'t> {
    /// `eˣ / Σ eˣ` along `axis`, counted from the back if negative.
    ///
    /// Gradient: `y (g - Σ g y)`. Sums along rows (the last axis) are in the order
    /// of [`kernel::sum`], other axes in that of [`kernel::sum_axis`]. (A sum of terms that are
    /// all -0.0 is -0.0 here, but in PyTorch only along a row, so that zeros may differ in
    /// sign.)
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1000.0, 1000.0], [2]);
    /// assert_eq!(*x.softmax(-1).value()?, [0.5, 0.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn softmax(self, axis: isize) -> Var<'t> {
        self.unary(&Softmax::<false>, along(axis))
    }

    /// `x - ln Σ eˣ` along `axis`: the logarithm of [`softmax`](Self::softmax),
    /// accurate where the softmax is nearly 0.
    ///
    /// Gradient: `g - eʸ Σ g`.
    #[track_caller]
    #[must_use]
    pub fn log_softmax(self, axis: isize) -> Var<'t> {
        self.unary(&Softmax::<true>, along(axis))
    }
}
