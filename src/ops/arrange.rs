//! Operations that permute, reverse, repeat and add dimensions.

use core::marker::PhantomData;

use super::shape::{INFERRED, pack_sizes, refuse_impossible};
use super::stretch::First;
use super::{Args, Entry, GradA, exactly, halves, pack_axis, unpack_axis, wide};
use crate::kernel::{self, Acc, Arrangement, Broadcast};
use crate::op::{Attrs, Backward, Forward, Op, PassGrad};
use crate::shape::{MAX_RANK, Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("permute", |x, args| {
        x.unary(&Permute, pack_axes(listed(args)))
    })
    .with(Args {
        shape: [1, -2, 1, 1],
        rank: 2,
        ..Args::NONE
    }),
    Entry::each("flip", |x, args| x.unary(&Flip, pack_axes(listed(args)))).with(Args {
        shape: [-1, 0, 1, 1],
        rank: 2,
        ..Args::NONE
    }),
    Entry::each("expand", |x, args| {
        x.unary(&Expand, pack_sizes(listed(args)))
    })
    .of(&[&[2, 1]])
    .with(Args {
        shape: [2, -1, 3, 1],
        rank: 3,
        ..Args::NONE
    }),
    Entry::each("unsqueeze", |x, args| x.unsqueeze(args.axis.unwrap_or(1))),
];

/// The axes or sizes among the arguments of a test.
fn listed(args: &Args) -> &[isize] {
    args.shape.get(..args.rank).unwrap_or_default()
}

/// The tag if an axis does not fit into a word. The first two words then hold this axis.
const WIDE_AXIS_TAG: u32 = u32::MAX;

/// Packs up to four axes, as the caller gave them. Tag: their number.
fn pack_axes(axes: &[isize]) -> Attrs {
    let mut attrs = Attrs {
        words: [0; 4],
        tag: axes.len() as u32,
    };
    for (word, axis) in attrs.words.iter_mut().zip(axes) {
        match i32::try_from(*axis) {
            Ok(axis) => *word = axis as u32,
            Err(_) => {
                let [low, high] = halves(*axis as usize);
                attrs = Attrs {
                    words: [low, high, 0, 0],
                    tag: WIDE_AXIS_TAG,
                };
                break;
            }
        }
    }
    attrs
}

/// The axes of `x` that [`pack_axes`] packed, counted from the front, and their number.
fn unpack_axes(x: &Shape, attrs: &Attrs) -> Result<([usize; MAX_RANK], usize), ShapeError> {
    let count = attrs.tag as usize;
    if attrs.tag == WIDE_AXIS_TAG {
        let [low, high, ..] = attrs.words;
        x.axis(wide(low, high) as isize)?;
    }
    let mut axes = [0; MAX_RANK];
    let mut seen = 0_u32;
    for (to, word) in axes.iter_mut().zip(attrs.words).take(count) {
        let axis = x.axis(word as i32 as isize)?;
        if seen & 1 << axis != 0 {
            return Err(ShapeError::Other(
                "an axis is given twice: expected different ones",
            ));
        }
        seen |= 1 << axis;
        *to = axis;
    }
    Ok((axes, count.min(MAX_RANK)))
}

/// The distance from one element to the next along each axis.
pub(super) fn strides(x: &Shape) -> [usize; MAX_RANK] {
    let mut strides = [1; MAX_RANK];
    let mut run = 1_usize;
    for (axis, to) in strides.iter_mut().enumerate().rev() {
        *to = run;
        run = run.wrapping_mul(x.dim(axis)); // wraps only if the tensor is empty
    }
    strides
}

/// An arrangement of axes with these sizes and strides, at most `MAX_RANK` of them.
fn arrangement(sizes: &[usize], strides: &[usize], start: usize) -> Arrangement {
    let mut order = Arrangement {
        sizes: [1; MAX_RANK],
        strides: [0; MAX_RANK],
        start,
    };
    let all = order.sizes.iter_mut().zip(&mut order.strides).rev();
    for ((to_size, to_stride), (size, stride)) in all.zip(sizes.iter().zip(strides).rev()) {
        (*to_size, *to_stride) = (*size, *stride);
    }
    order
}

/// Puts dimensions in another order. Words: the axes, as given. Tag: their number.
#[derive(Clone, Copy, Debug)]
pub struct Permute;

impl Permute {
    /// The arrangement that takes the result from `x`.
    fn forth(x: &Shape, attrs: &Attrs) -> Arrangement {
        let (axes, count) = unpack_axes(x, attrs).unwrap_or_default();
        let steps = strides(x);
        let (mut sizes, mut ways) = ([1; MAX_RANK], [0; MAX_RANK]);
        for ((size, way), axis) in sizes.iter_mut().zip(&mut ways).zip(axes).take(count) {
            *size = x.dim(axis);
            *way = steps.get(axis).copied().unwrap_or(0);
        }
        let (sizes, ways) = (sizes.get(..count), ways.get(..count));
        arrangement(sizes.unwrap_or_default(), ways.unwrap_or_default(), 0)
    }

    /// The arrangement that takes the gradient of `x` from the gradient of the result, `y`.
    fn back(x: &Shape, y: &Shape, attrs: &Attrs) -> Arrangement {
        let (axes, count) = unpack_axes(x, attrs).unwrap_or_default();
        let mut ways = [0; MAX_RANK];
        for (axis, step) in axes.into_iter().zip(strides(y)).take(count) {
            if let Some(way) = ways.get_mut(axis) {
                *way = step;
            }
        }
        arrangement(x.dims(), ways.get(..x.rank()).unwrap_or_default(), 0)
    }
}

impl Op for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        let (axes, count) = unpack_axes(x, attrs)?;
        if count != x.rank() {
            return Err(ShapeError::Other("expected an axis for each dimension"));
        }
        let mut sizes = [1; MAX_RANK];
        for (to, axis) in sizes.iter_mut().zip(axes).take(count) {
            *to = x.dim(axis);
        }
        Shape::new(sizes.get(..count).unwrap_or_default())
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let order = Self::forth(&cx.operand_shape(0), cx.attrs());
        let ([x], out) = cx.split();
        kernel::arrange(x, &order, out, Acc::Set);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let order = Self::back(&cx.operand_shape(0), &cx.shape(), cx.attrs());
        if let Some(grad) = cx.grad(0) {
            kernel::arrange(grad.output, &order, grad.operand, grad.acc);
        }
    }
}

/// Reverses the elements along dimensions. Words: the axes, as given. Tag: their number.
#[derive(Clone, Copy, Debug)]
pub struct Flip;

impl Flip {
    /// The arrangement that takes the result from `x`, and equally the gradient of `x` from the
    /// gradient of the result.
    fn order(x: &Shape, attrs: &Attrs) -> Arrangement {
        let (axes, count) = unpack_axes(x, attrs).unwrap_or_default();
        let (mut steps, mut start) = (strides(x), 0_usize);
        for axis in axes.into_iter().take(count) {
            if let Some(step) = steps.get_mut(axis) {
                let last = x.dim(axis).saturating_sub(1);
                start = start.wrapping_add(last.wrapping_mul(*step));
                *step = step.wrapping_neg();
            }
        }
        arrangement(x.dims(), steps.get(..x.rank()).unwrap_or_default(), start)
    }
}

impl Op for Flip {
    fn name(&self) -> &'static str {
        "flip"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        unpack_axes(x, attrs)?;
        Ok(*x)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let order = Self::order(&cx.operand_shape(0), cx.attrs());
        let ([x], out) = cx.split();
        kernel::arrange(x, &order, out, Acc::Set);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let order = Self::order(&cx.operand_shape(0), cx.attrs());
        if let Some(grad) = cx.grad(0) {
            kernel::arrange(grad.output, &order, grad.operand, grad.acc);
        }
    }
}

/// Repeats dimensions of size 1, and adds dimensions in front. Words: the sizes, -1 for a size
/// that stays. Tag: their number.
#[derive(Clone, Copy, Debug)]
pub struct Expand;

impl Op for Expand {
    fn name(&self) -> &'static str {
        "expand"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        refuse_impossible(attrs)?;
        let rank = attrs.tag as usize;
        if rank > MAX_RANK {
            return Err(ShapeError::Rank { most: MAX_RANK });
        }
        let Some(added) = rank.checked_sub(x.rank()) else {
            return Err(ShapeError::Other(
                "expected a size for each dimension: see reshape for fewer",
            ));
        };
        let mut sizes = [1; MAX_RANK];
        let wanted = attrs.words.into_iter().take(rank);
        for (axis, (to, size)) in sizes.iter_mut().zip(wanted).enumerate() {
            let own = axis.checked_sub(added).map(|axis| x.dim(axis));
            *to = match (size, own) {
                (INFERRED, Some(own)) => own,
                (INFERRED, None) => return Err(ShapeError::Size { size: -1 }),
                (size, None | Some(1)) => size as usize,
                (size, Some(own)) if size as usize == own => own,
                _ => return Err(ShapeError::Broadcast),
            };
        }
        Shape::new(sizes.get(..rank).unwrap_or_default())
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let (x, y) = (cx.operand_shape(0), cx.shape());
        let added = y.rank().saturating_sub(x.rank());
        let mut ways = [0; MAX_RANK];
        let own = ways.iter_mut().skip(added).zip(strides(&x));
        for (axis, (way, step)) in own.enumerate() {
            *way = if x.dim(axis) == 1 { 0 } else { step };
        }
        let order = arrangement(y.dims(), ways.get(..y.rank()).unwrap_or_default(), 0);
        let ([x], out) = cx.split();
        kernel::arrange(x, &order, out, Acc::Set);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let Some((_, stretch)) = Broadcast::new(&cx.operand_shape(0), &cx.shape()) else {
            return;
        };
        let x = cx.operand(0);
        if let Some(grad) = cx.grad(0) {
            let slices = [grad.output, x, grad.output];
            let f = GradA::<First>(PhantomData);
            let repeats = grad.operand.len() != grad.output.len();
            let sets = grad.acc == Acc::Set;
            if grad.output.is_empty() && sets {
                grad.operand.fill(0.0);
            }
            kernel::zip_grad(f, &stretch, slices, grad.operand, grad.acc);
            if repeats && sets {
                // The kernel's sum of terms that are all -0.0 is -0.0, PyTorch's is 0.
                grad.operand.iter_mut().for_each(|sum| *sum += 0.0);
            }
        }
    }
}

/// Adds a dimension of size 1. Words: the axis, as given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsqueeze;

impl Unsqueeze {
    pub(super) fn attrs(axis: isize) -> Attrs {
        let [axis, low, high] = pack_axis(axis);
        Attrs {
            words: [axis, low, high, 0],
            tag: 0,
        }
    }
}

impl Op for Unsqueeze {
    fn name(&self) -> &'static str {
        "unsqueeze"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        if x.rank() == MAX_RANK {
            return Err(ShapeError::Rank { most: MAX_RANK - 1 });
        }
        let [axis, low, high, _] = attrs.words;
        // The axis is one of the result, which has one more than `x`.
        let result = x.with_rank(x.rank() + 1);
        let axis = result.axis(unpack_axis([axis, low, high]))?;
        let mut sizes = [1; MAX_RANK];
        for (from, size) in x.dims().iter().enumerate() {
            let at = if from < axis { from } else { from + 1 };
            if let Some(to) = sizes.get_mut(at) {
                *to = *size;
            }
        }
        Shape::new(sizes.get(..result.rank()).unwrap_or_default())
    }

    fn forward(&self, _: &mut Forward<'_>) {}

    fn backward(&self, cx: &mut Backward<'_>) {
        if let Some(grad) = cx.grad(0) {
            kernel::map(kernel::Identity, [grad.output], grad.operand, grad.acc);
        }
    }

    fn is_view(&self) -> bool {
        true
    }

    fn passes_grad(&self, _: usize) -> Option<PassGrad> {
        Some(PassGrad::new())
    }
}

/// Dimensions.
impl<'t> Var<'t> {
    /// The tensor with its dimensions in another order: dimension `k` of the result is
    /// dimension `axes[k]` of this tensor, counted from the back if negative. Gradient: `g`
    /// with its dimensions in the original order.
    ///
    /// The tape keeps an error if `axes` does not have each dimension once.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1, 2, 3]);
    /// let y = x.permute([2, 0, -2]);
    /// assert_eq!(y.shape().dims(), [3, 1, 2]);
    /// assert_eq!(*y.value()?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn permute<const N: usize>(self, axes: [isize; N]) -> Var<'t> {
        const { assert!(N <= MAX_RANK, "a shape has at most four dimensions") };
        self.unary(&Permute, pack_axes(&axes))
    }

    /// The elements along each of these axes, counted from the back if negative, in
    /// reversed order. Gradient: `g`, reversed in the same way.
    ///
    /// The tape keeps an error if an axis is given twice.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
    /// assert_eq!(*x.flip([1]).value()?, [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    /// assert_eq!(*x.flip([0, 1]).value()?, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn flip<const N: usize>(self, axes: [isize; N]) -> Var<'t> {
        const { assert!(N <= MAX_RANK, "a shape has at most four dimensions") };
        self.unary(&Flip, pack_axes(&axes))
    }

    /// The tensor in a larger shape: dimensions of size 1 are repeated, new ones are added in
    /// front, and -1 keeps a size. The result is a copy of the full size. Operations on two
    /// tensors broadcast by themselves and do not need it.
    ///
    /// Gradient: summed over the dimensions that were repeated, in the order of
    /// [`kernel::zip_grad`].
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let column = tape.param(&[1.0, 2.0], [2, 1]);
    /// let y = column.expand([-1, 3]);
    /// assert_eq!(*y.value()?, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    /// tape.backward(y.sum())?;
    /// assert_eq!(*column.grad()?, [3.0, 3.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn expand<const N: usize>(self, sizes: [isize; N]) -> Var<'t> {
        const { assert!(N <= MAX_RANK, "a shape has at most four dimensions") };
        self.unary(&Expand, pack_sizes(&sizes))
    }

    /// The same elements with one more dimension, of size 1, which is `axis` of the result:
    /// counted from the back if negative, so that -1 adds the last. The result is a view, which
    /// takes no floats. Gradient: `g` without this dimension.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0], [3]);
    /// assert_eq!(x.unsqueeze(0).shape().dims(), [1, 3]);
    /// assert_eq!(x.unsqueeze(-1).shape().dims(), [3, 1]);
    /// ```
    #[track_caller]
    #[must_use]
    pub fn unsqueeze(self, axis: isize) -> Var<'t> {
        self.unary(&Unsqueeze, Unsqueeze::attrs(axis))
    }
}
