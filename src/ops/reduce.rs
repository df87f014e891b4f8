//! Sums, means, and largest and smallest elements.

use super::{Args, Entry, exactly, pack_axis, unpack_axis};
use crate::kernel::{self, Ties};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("sum", |x, args| match args.axis {
        Some(axis) => x.sum_axis(axis, args.keepdim),
        None if args.axes_len > 0 => x.sum_axes(args.axes(), args.keepdim),
        None => x.sum(),
    }),
    Entry::each("mean", |x, args| match args.axis {
        Some(axis) => x.mean_axis(axis, args.keepdim),
        None if args.axes_len > 0 => x.mean_axes(args.axes(), args.keepdim),
        None => x.mean(),
    })
    .with(Args {
        axis: Some(0),
        ..Args::NONE
    }),
    Entry::each("max", |x, args| match args.axis {
        Some(axis) => x.max_axis(axis, args.keepdim),
        None => x.max(),
    })
    .with(Args {
        axis: Some(1),
        ..Args::NONE
    }),
    Entry::each("min", |x, args| match args.axis {
        Some(axis) => x.min_axis(axis, args.keepdim),
        None => x.min(),
    }),
    // Over all elements, `max` shares the gradient among ties as well.
    Entry::each("amax", |x, args| match args.axis {
        Some(axis) => x.amax(axis, args.keepdim),
        None if args.axes_len > 0 => x.amax_axes(args.axes(), args.keepdim),
        None => x.max(),
    })
    .with(Args {
        axis: Some(0),
        ..Args::NONE
    }),
    // Over all elements, `min` shares the gradient among ties as well.
    Entry::each("amin", |x, args| match args.axis {
        Some(axis) => x.amin(axis, args.keepdim),
        None if args.axes_len > 0 => x.amin_axes(args.axes(), args.keepdim),
        None => x.min(),
    })
    .with(Args {
        axis: Some(0),
        ..Args::NONE
    }),
];

// Words: the sizes of the tensor as `[outer, reduced, inner]`; the axis, as given. Tag: the flags
// below.

/// Reduces all elements, not an axis.
const ALL: u32 = 1;
/// Keeps the reduced axis, with a size of 1.
const KEEPDIM: u32 = 2;
/// Shares the gradient among ties, instead of passing all of it to the first.
const SHARE: u32 = 4;

fn all() -> Attrs {
    Attrs {
        words: [0; 4],
        tag: ALL | SHARE,
    }
}

fn along(axis: isize, keepdim: bool) -> Attrs {
    let [axis, low, high] = pack_axis(axis);
    Attrs {
        words: [low, high, 0, axis],
        tag: if keepdim { KEEPDIM } else { 0 },
    }
}

fn share(attrs: Attrs) -> Attrs {
    Attrs {
        tag: attrs.tag | SHARE,
        ..attrs
    }
}

fn sizes(attrs: &Attrs) -> [usize; 3] {
    let [outer, len, inner, _] = attrs.sizes();
    [outer, len, inner]
}

fn reduced(operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
    let [x] = exactly(operands)?;
    let [low, high, _, word] = attrs.words;
    let (around, shape) = if attrs.tag & ALL != 0 {
        ([1, x.numel(), 1], Shape::SCALAR)
    } else {
        let axis = x.axis(unpack_axis([word, low, high]))?;
        let shape = if attrs.tag & KEEPDIM != 0 {
            x.with_dim(axis, 1)
        } else {
            x.without(axis)
        };
        (x.around(axis), shape)
    };
    // Only empty tensors have larger sizes, which are not used.
    let [outer, len, inner] = around.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
    attrs.words = [outer, len, inner, word];
    Ok(shape)
}

/// A sum, or with `MEAN` a mean.
#[derive(Clone, Copy, Debug)]
pub struct SumOp<const MEAN: bool>;

impl<const MEAN: bool> Op for SumOp<MEAN> {
    fn name(&self) -> &'static str {
        if MEAN { "mean" } else { "sum" }
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        reduced(operands, attrs)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let sizes = sizes(cx.attrs());
        let ([x], out) = cx.split();
        kernel::sum_axis(x, sizes, out);
        // The kernel's sum of no terms, or of terms that are all -0.0, is -0.0, PyTorch's is 0.
        let n = if MEAN { sizes[1] as f32 } else { 1.0 };
        out.iter_mut().for_each(|sum| *sum = (*sum + 0.0) / n);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let sizes = sizes(cx.attrs());
        let n = if MEAN { sizes[1] as f32 } else { 1.0 };
        if let Some(grad) = cx.grad(0) {
            kernel::spread(grad.output, n, sizes, grad.operand, grad.acc);
        }
    }
}

/// The largest element, or with `MIN` the smallest.
#[derive(Clone, Copy, Debug)]
pub struct Extreme<const MIN: bool>;

impl<const MIN: bool> Op for Extreme<MIN> {
    fn name(&self) -> &'static str {
        if MIN { "min" } else { "max" }
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let shape = reduced(operands, attrs)?;
        if attrs.words[1] == 0 {
            return Err(ShapeError::Empty);
        }
        Ok(shape)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let sizes = sizes(cx.attrs());
        let ([x], out) = cx.split();
        if MIN {
            kernel::min_axis(x, sizes, out);
        } else {
            kernel::max_axis(x, sizes, out);
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (x, y, sizes) = (cx.operand(0), cx.output(), sizes(cx.attrs()));
        let ties = match cx.attrs().tag & (ALL | SHARE) {
            0 => Ties::First,
            SHARE => Ties::Scaled,
            _ => Ties::Even,
        };
        if let Some(grad) = cx.grad(0) {
            kernel::send_to_extremes(x, y, grad.output, sizes, ties, grad.operand, grad.acc);
        }
    }
}

/// Reductions, over all elements or along one axis (counted from the back if
/// negative). With `keepdim` the axis stays, of size 1.
impl<'t> Var<'t> {
    /// The sum of all elements, in the order of [`kernel::sum`], as a scalar; 0 if
    /// there are none. Gradient: `g` to every element.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0], [2, 2]);
    /// assert_eq!(x.sum().item()?, 10.0);
    /// assert_eq!(*x.sum_axis(0, false).value()?, [4.0, 6.0]);
    /// assert_eq!(x.sum_axis(1, true).shape().dims(), [2, 1]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn sum(self) -> Var<'t> {
        self.unary(&SumOp::<false>, all())
    }

    /// Sums along `axis`: rows (the last axis) in the order of [`kernel::sum`],
    /// other axes in that of [`kernel::sum_axis`]. Gradient: `g`, repeated along
    /// the axis.
    #[track_caller]
    #[must_use]
    pub fn sum_axis(self, axis: isize, keepdim: bool) -> Var<'t> {
        self.unary(&SumOp::<false>, along(axis, keepdim))
    }

    /// The mean of all elements, as a scalar: the sum, divided once.
    /// Gradient: `g / n` to every element.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0, 3.0], [2]);
    /// let mean = x.mean();
    /// tape.backward(mean)?;
    /// assert_eq!(mean.item()?, 2.0);
    /// assert_eq!(*x.grad()?, [0.5, 0.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn mean(self) -> Var<'t> {
        self.unary(&SumOp::<true>, all())
    }

    /// Means along `axis`. Gradient: `g / n`, repeated along the axis.
    #[track_caller]
    #[must_use]
    pub fn mean_axis(self, axis: isize, keepdim: bool) -> Var<'t> {
        self.unary(&SumOp::<true>, along(axis, keepdim))
    }

    /// The largest element as a scalar; NaN if any element is NaN. If zeros of both signs are the
    /// largest, it is the first of them among up to 16 elements. With more, it depends
    /// on their positions; in PyTorch on the length.
    ///
    /// Gradient: shared evenly among ties, as by `torch.max(x)`, or among all NaN if
    /// there are any; 0 to the others.
    #[track_caller]
    #[must_use]
    pub fn max(self) -> Var<'t> {
        self.unary(&Extreme::<false>, all())
    }

    /// The smallest element as a scalar; NaN if any element is NaN. If zeros of both signs are the
    /// smallest, it is the first of them among up to 16 elements. With more, it depends
    /// on their positions; in PyTorch on the length.
    ///
    /// Gradient: shared evenly among ties, as by `torch.min(x)`, or among all NaN if
    /// there are any; 0 to the others.
    #[track_caller]
    #[must_use]
    pub fn min(self) -> Var<'t> {
        self.unary(&Extreme::<true>, all())
    }

    /// The largest elements along `axis`: `torch.max(x, axis).values`.
    /// Gradient: all to the first of equal elements, or to the first NaN; 0 to
    /// the others. [`amax`](Self::amax) shares it among ties.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0, 3.0, 3.0], [3]);
    /// tape.backward(x.max_axis(0, false))?;
    /// assert_eq!(*x.grad()?, [0.0, 1.0, 0.0]);
    /// tape.zero_grad();
    /// tape.backward(x.amax(0, false))?;
    /// assert_eq!(*x.grad()?, [0.0, 0.5, 0.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn max_axis(self, axis: isize, keepdim: bool) -> Var<'t> {
        self.unary(&Extreme::<false>, along(axis, keepdim))
    }

    /// The smallest elements along `axis`: `torch.min(x, axis).values`.
    /// Gradient: as that of [`max_axis`](Self::max_axis).
    #[track_caller]
    #[must_use]
    pub fn min_axis(self, axis: isize, keepdim: bool) -> Var<'t> {
        self.unary(&Extreme::<true>, along(axis, keepdim))
    }

    /// The largest elements along `axis`; NaN if any of them is NaN.
    ///
    /// Gradient: shared evenly among ties. As in PyTorch, `g` is multiplied by 1 or 0, so
    /// that the other elements get NaN if `g` is infinite or NaN. If any element along the
    /// axis is NaN, the gradient of all of them is NaN.
    #[track_caller]
    #[must_use]
    pub fn amax(self, axis: isize, keepdim: bool) -> Var<'t> {
        self.unary(&Extreme::<false>, share(along(axis, keepdim)))
    }

    /// The smallest elements along `axis`; NaN if any of them is NaN. Gradient: as that
    /// of [`amax`](Self::amax).
    #[track_caller]
    #[must_use]
    pub fn amin(self, axis: isize, keepdim: bool) -> Var<'t> {
        self.unary(&Extreme::<true>, share(along(axis, keepdim)))
    }
}
