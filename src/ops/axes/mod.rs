//! Reductions over several dimensions: sums, means, largest and smallest elements, variances,
//! norms, products, and logarithms of sums of exponentials. Also cumulative sums.
//!
//! A `Reduction` defines how the numbers of a group are reduced to one, and the gradient of each
//! number. Sums and largest elements over neighbouring dimensions run in vectors, as over one
//! dimension; all other reductions run one number at a time.

mod extremes;
mod logsumexp;
mod norm;
mod product;
mod sums;
mod variance;

pub use sums::CumSum;

use super::{Args, Entry, exactly, pack_axis, unpack_axis};
use crate::kernel::groups::{Group, Layout};
use crate::kernel::{self, Acc};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{MAX_RANK, Shape, ShapeError};
use crate::var::Var;

/// Two dimensions with one between them.
const APART: Args = Args {
    axes: [0, -1, 0, 0],
    axes_len: 2,
    ..Args::NONE
};
const CUBE: &[&[usize]] = &[&[2, 3, 2]];

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("sum_axes", |x, args| x.sum_axes(args.axes(), args.keepdim))
        .of(CUBE)
        .with(APART),
    Entry::each("mean_axes", |x, args| {
        x.mean_axes(args.axes(), args.keepdim)
    })
    .of(CUBE)
    .with(APART),
    Entry::each("amax_axes", |x, args| {
        x.amax_axes(args.axes(), args.keepdim)
    })
    .of(CUBE)
    .with(APART),
    Entry::each("amin_axes", |x, args| {
        x.amin_axes(args.axes(), args.keepdim)
    })
    .of(CUBE)
    .with(APART),
    Entry::each("var", |x, args| {
        x.var_axes(args.axes(), args.correction, args.keepdim)
    }),
    Entry::each("std", |x, args| {
        x.std_axes(args.axes(), args.correction, args.keepdim)
    })
    .of(CUBE)
    .with(APART),
    Entry::each("norm", |x, args| {
        x.norm_axes(args.p, args.axes(), args.keepdim)
    })
    .with(Args {
        p: 2.0,
        ..Args::NONE
    }),
    Entry::each("logsumexp", |x, args| {
        x.logsumexp(args.axes(), args.keepdim)
    })
    .with(Args {
        axis: Some(-1),
        ..Args::NONE
    }),
    Entry::each("prod", |x, args| x.prod_axes(args.axes(), args.keepdim)).with(Args {
        axis: Some(0),
        ..Args::NONE
    }),
    Entry::each("cumsum", |x, args| x.cumsum(args.axis.unwrap_or(0))),
];

/// A reduction of the numbers of a group to one. `word` is the argument of the method, such as
/// the order of a norm.
trait Reduction: Sync {
    const NAME: &'static str;
    /// True if a group must not be empty.
    const NEEDS_SOME: bool = false;
    fn forward(word: f32, xs: &Group<'_>) -> f32;
    /// The gradients of the numbers, from that of the result, `y`.
    fn backward(word: f32, xs: &Group<'_>, y: f32, g: f32, to: To<'_>);
    /// `forward` of a tensor of sizes `[outer, reduced, inner]`, if there is a faster way for
    /// neighbouring dimensions. Otherwise returns `false`.
    fn in_vectors(_: &[f32], _: [usize; 3], _: &mut [f32]) -> bool {
        false
    }
    /// The same for `backward`, from the operand, the result and its gradient.
    fn in_vectors_backward(_: [&[f32]; 3], _: [usize; 3], _: To<'_>) -> bool {
        false
    }
}

/// The gradient of the operand, and whether to write or to add to it.
struct To<'g> {
    grad: &'g mut [f32],
    acc: Acc,
}

impl To<'_> {
    /// Writes or adds `f(x)` to the gradient of each number `x` of a group.
    fn each(self, xs: &Group<'_>, f: impl Fn(f32) -> f32) {
        xs.put(self.grad, self.acc, f);
    }
}

// The bits of the tag.

/// The reduced dimensions: a bit for each, counted from the front.
const AXES: u32 = 15;
/// Keeps the reduced dimensions, with a size of 1.
const KEEPDIM: u32 = 16;
/// An error: the words hold an axis that does not exist.
const NO_AXIS: u32 = 32;
/// An error: an axis was given twice.
const TWICE: u32 = 64;

/// Attributes for dimensions of `shape`; all of them if none is given, as in PyTorch.
fn over(shape: &Shape, axes: &[isize], keepdim: bool, word: f32) -> Attrs {
    let mut attrs = Attrs::float(word);
    attrs.tag = if keepdim { KEEPDIM } else { 0 };
    for axis in axes {
        match shape.axis(*axis) {
            Ok(axis) if attrs.tag >> axis & 1 == 1 => attrs.tag |= TWICE,
            Ok(axis) => attrs.tag |= 1 << axis,
            Err(_) => {
                let [a, b, c] = pack_axis(*axis);
                attrs.words = [a, b, c, 0];
                attrs.tag |= NO_AXIS;
                break;
            }
        }
    }
    if axes.is_empty() {
        attrs.tag |= AXES;
    }
    attrs
}

/// Makes an [`Op`] of a [`Reduction`].
struct Over<R>(R);

impl<R: Reduction> Op for Over<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        let [a, b, c, _] = attrs.words;
        if attrs.tag & NO_AXIS != 0 {
            x.axis(unpack_axis([a, b, c]))?;
        }
        if attrs.tag & TWICE != 0 {
            return Err(ShapeError::Other("an axis is given twice"));
        }
        if R::NEEDS_SOME && Layout::new(x, attrs.tag & AXES).len() == 0 {
            return Err(ShapeError::Empty);
        }
        let mut shape = *x;
        for axis in (0..MAX_RANK).rev() {
            if attrs.tag >> axis & 1 == 1 {
                shape = if attrs.tag & KEEPDIM != 0 {
                    shape.with_dim(axis, 1)
                } else {
                    shape.without(axis)
                };
            }
        }
        Ok(shape)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let attrs = cx.attrs();
        let layout = Layout::new(&cx.operand_shape(0), attrs.tag & AXES);
        let ([x], out) = cx.split();
        if let Some(sizes) = layout.around()
            && R::in_vectors(x, sizes, out)
        {
            return;
        }
        for (out, xs) in out.iter_mut().zip(layout.groups(x)) {
            *out = R::forward(attrs.x(), &xs);
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let attrs = cx.attrs();
        let layout = Layout::new(&cx.operand_shape(0), attrs.tag & AXES);
        let (x, y) = (cx.operand(0), cx.output());
        let Some(to) = cx.grad(0) else { return };
        let (g, grad, acc) = (to.output, to.operand, to.acc);
        if let Some(sizes) = layout.around()
            && R::in_vectors_backward([x, y, g], sizes, To { grad, acc })
        {
            return;
        }
        for ((y, g), xs) in y.iter().zip(g).zip(layout.groups(x)) {
            R::backward(attrs.x(), &xs, *y, *g, To { grad, acc });
        }
    }
}

/// The correctly rounded square root.
fn square_root(x: f32) -> f32 {
    kernel::Lanes::sqrt(x)
}

/// Reductions over dimensions, which are counted from the back if negative; over all of them if
/// none is given. With `keepdim` they stay, of size 1. Sums and means are in the order of
/// [`sum_axis`](kernel::sum_axis) if the dimensions are neighbours, otherwise in that of
/// [`sum`](kernel::sum). The sums in variances, norms and `logsumexp` are always in the order of
/// [`sum`](kernel::sum).
impl<'t> Var<'t> {
    #[track_caller]
    fn over<R: Reduction>(
        self,
        op: &'static Over<R>,
        word: f32,
        axes: &[isize],
        keepdim: bool,
    ) -> Var<'t> {
        self.unary(op, over(&self.shape(), axes, keepdim, word))
    }
}
