//! Operations that move elements without changing them.

use core::panic::Location;

use super::{Args, Build, Entry, WIDE_AXIS, exactly, halves, pack_axis, unpack_axis, wide};
use crate::error::MAX_OPERANDS;
use crate::kernel::{self, Acc, Identity};
use crate::op::{Attrs, Backward, Forward, Op, PassGrad};
use crate::shape::{MAX_RANK, Shape, ShapeError};
use crate::tape::{Failed, Tape};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("transpose", |x, args| x.transpose(args.d0, args.d1)),
    Entry::each("reshape", |x, args| {
        x.reshape_slice(args.shape.get(..args.rank).unwrap_or_default())
    })
    .with(Args {
        shape: [3, -1, 1, 1],
        rank: 2,
        ..Args::NONE
    }),
    Entry::new(
        "concat",
        Build::Many(|first, all, args| first.tape().concat(all, args.axis.unwrap_or(0))),
    )
    .of(&[&[2, 3], &[1, 3], &[3, 3], &[1, 3]]),
    Entry::each("select", |x, args| {
        x.select(args.axis.unwrap_or(1), args.start)
    }),
    Entry::each("narrow", |x, args| {
        x.narrow(args.axis.unwrap_or(1), args.start, args.length)
    }),
];

/// The same values, without gradients.
#[derive(Clone, Copy, Debug)]
struct Detach;

impl Op for Detach {
    fn name(&self) -> &'static str {
        "detach"
    }
    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        Ok(*x)
    }
    fn forward(&self, _: &mut Forward<'_>) {}
    fn backward(&self, _: &mut Backward<'_>) {}
    fn is_view(&self) -> bool {
        true
    }
}

/// The same elements in another shape. Words: the sizes, of which one may be -1.
/// Tag: the rank, or `IMPOSSIBLE` if the first two words are a size that is not valid.
#[derive(Clone, Copy, Debug)]
pub struct Reshape;

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        refuse_impossible(attrs)?;
        if attrs.tag as usize > MAX_RANK {
            return Err(ShapeError::Rank { most: MAX_RANK });
        }
        let wanted = attrs.words.get(..attrs.tag as usize).unwrap_or_default();
        let known = wanted
            .iter()
            .filter(|&&size| size != INFERRED)
            .fold(1usize, |n, size| n.saturating_mul(*size as usize));
        let mut sizes = [1; MAX_RANK];
        for (to, size) in sizes.iter_mut().zip(wanted) {
            *to = if *size == INFERRED {
                x.numel().checked_div(known).ok_or(ShapeError::Reshape)?
            } else {
                *size as usize
            };
        }
        let shape = Shape::new(sizes.get(..wanted.len()).unwrap_or_default())?;
        let inferred = wanted.iter().filter(|&&size| size == INFERRED).count();
        if inferred > 1 || shape.numel() != x.numel() {
            return Err(ShapeError::Reshape);
        }
        Ok(shape)
    }

    fn forward(&self, _: &mut Forward<'_>) {}

    fn backward(&self, cx: &mut Backward<'_>) {
        if let Some(grad) = cx.grad(0) {
            kernel::map(Identity, [grad.output], grad.operand, grad.acc);
        }
    }

    fn is_view(&self) -> bool {
        true
    }

    fn passes_grad(&self, _: usize) -> Option<PassGrad> {
        Some(PassGrad::new())
    }
}

/// The word of the size -1, which follows from the other sizes.
pub(super) const INFERRED: u32 = u32::MAX;

/// The tag, instead of a rank, if a size is not valid.
const IMPOSSIBLE: u32 = u32::MAX;

/// Packs sizes, of which one may be -1, into the attributes of [`Reshape`].
#[inline]
pub(super) fn pack_sizes(sizes: &[isize]) -> Attrs {
    let mut attrs = Attrs {
        words: [0; 4],
        tag: sizes.len() as u32,
    };
    for (word, size) in attrs.words.iter_mut().zip(sizes) {
        *word = match u32::try_from(*size) {
            Ok(size) if size != INFERRED => size,
            _ if *size == -1 => INFERRED,
            _ => {
                let [low, high] = halves(*size as usize);
                attrs = Attrs {
                    words: [low, high, 0, 0],
                    tag: IMPOSSIBLE,
                };
                break;
            }
        };
    }
    attrs
}

/// Returns an error if [`pack_sizes`] packed a size that is not valid.
pub(super) fn refuse_impossible(attrs: &Attrs) -> Result<(), ShapeError> {
    if attrs.tag == IMPOSSIBLE {
        let [low, high, ..] = attrs.words;
        let size = wide(low, high) as isize;
        return Err(ShapeError::Size { size });
    }
    Ok(())
}

/// Exchanges two dimensions. Words: both axes, as given; and two for the first axis that does
/// not fit into a word.
#[derive(Clone, Copy, Debug)]
pub struct Transpose;

impl Transpose {
    fn axes(shape: &Shape, attrs: &Attrs) -> Result<[usize; 2], ShapeError> {
        let [d0, d1, low, high] = attrs.words;
        let axis = |word| shape.axis(unpack_axis([word, low, high]));
        Ok([axis(d0)?, axis(d1)?])
    }

    /// The tensor as `[_, lower axis, _, higher axis, _]`.
    fn sizes(shape: Shape, attrs: &Attrs) -> [usize; 5] {
        let [d0, d1] = Self::axes(&shape, attrs).unwrap_or_default();
        let (low, high) = (d0.min(d1), d0.max(d1));
        let [outer, low_size, between] = shape.around(low);
        let [before, high_size, inner] = shape.around(high);
        if low == high {
            return [outer, low_size, 1, 1, between];
        }
        let between = before
            .checked_div(outer.saturating_mul(low_size))
            .unwrap_or(0);
        [outer, low_size, between, high_size, inner]
    }
}

impl Op for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        let [d0, d1] = Self::axes(x, attrs)?;
        Ok(x.swapped(d0, d1))
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let sizes = Self::sizes(cx.operand_shape(0), cx.attrs());
        let ([x], out) = cx.split();
        kernel::transpose(x, sizes, out, Acc::Set);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let [a, low, b, high, c] = Self::sizes(cx.operand_shape(0), cx.attrs());
        if let Some(grad) = cx.grad(0) {
            kernel::transpose(grad.output, [a, high, b, low, c], grad.operand, grad.acc);
        }
    }
}

/// Joins tensors along an axis. Words: the axis, as given; the number of operands; and two for
/// an axis that does not fit into a word.
#[derive(Clone, Copy, Debug)]
pub struct Concat;

impl Concat {
    fn attrs(axis: isize) -> Attrs {
        let [axis, low, high] = pack_axis(axis);
        Attrs {
            words: [axis, 0, low, high],
            tag: 0,
        }
    }

    fn axis(shape: &Shape, attrs: &Attrs) -> Result<usize, ShapeError> {
        let [word, _, low, high] = attrs.words;
        shape.axis(unpack_axis([word, low, high]))
    }
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [first, ..] = operands else {
            return Err(ShapeError::Operands { expected: 1 });
        };
        if first.rank() == 0 {
            return Err(ShapeError::TooFewDims { least: 1 });
        }
        let axis = Self::axis(first, attrs)?;
        let mut size = 0usize;
        for shape in operands {
            if shape.rank() != first.rank() || shape.with_dim(axis, 1) != first.with_dim(axis, 1) {
                return Err(ShapeError::Concat);
            }
            // Only sizes of empty tensors overflow.
            size = size.checked_add(shape.dim(axis)).ok_or(ShapeError::Other(
                "the joined sizes are too large to be added",
            ))?;
        }
        attrs.words[1] = operands.len() as u32;
        Ok(first.with_dim(axis, size))
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let shape = cx.shape();
        if shape.numel() == 0 {
            return; // the other sizes of an empty tensor may be huge
        }
        let axis = Self::axis(&shape, cx.attrs()).unwrap_or(0);
        let sizes: [usize; MAX_OPERANDS] = core::array::from_fn(|k| cx.operand_shape(k).dim(axis));
        let count = cx.attrs().words[1] as usize;
        let (operands, out) = cx.split::<MAX_OPERANDS>();
        let mut start = 0;
        for (x, size) in operands.into_iter().zip(sizes).take(count) {
            kernel::paste(x, shape.around(axis), [start, size], out, Acc::Set);
            start += size;
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let shape = cx.shape();
        if shape.numel() == 0 {
            return;
        }
        let axis = Self::axis(&shape, cx.attrs()).unwrap_or(0);
        let mut start = 0;
        for k in 0..cx.attrs().words[1] as usize {
            let size = cx.operand_shape(k).dim(axis);
            if let Some(grad) = cx.grad(k) {
                let sizes = shape.around(axis);
                kernel::cut(grad.output, sizes, [start, size], grad.operand, grad.acc);
            }
            start += size;
        }
    }
}

/// A range of one axis. Words: the range's start and length, two each. Tag: `DROP` if the axis
/// (then of length 1) is dropped; above this bit the axis, as given, in 16 bits, or
/// `WIDE_AXIS_BIT` if the axis takes more bits and is in the first two words.
#[derive(Clone, Copy, Debug)]
pub struct Narrow;

impl Narrow {
    const DROP: u32 = 1;
    const WIDE_AXIS_BIT: u32 = 1 << 31;

    fn attrs(axis: isize, start: usize, length: usize, drop: u32) -> Attrs {
        let ([a, b], [c, d]) = (halves(start), halves(length));
        match i16::try_from(axis) {
            Ok(axis) => Attrs {
                words: [a, b, c, d],
                tag: drop | u32::from(axis as u16) << 1,
            },
            Err(_) => {
                let [low, high] = halves(axis as usize);
                Attrs {
                    words: [low, high, c, d],
                    tag: drop | Self::WIDE_AXIS_BIT,
                }
            }
        }
    }

    fn axis(x: &Shape, attrs: &Attrs) -> Result<usize, ShapeError> {
        let [low, high, ..] = attrs.words;
        x.axis(if attrs.tag & Self::WIDE_AXIS_BIT != 0 {
            wide(low, high) as isize
        } else {
            (attrs.tag >> 1) as i16 as isize
        })
    }

    fn range(attrs: &Attrs) -> [usize; 2] {
        let [a, b, c, d] = attrs.words;
        [wide(a, b), wide(c, d)]
    }
}

impl Op for Narrow {
    fn name(&self) -> &'static str {
        "narrow"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        if x.rank() == 0 {
            return Err(ShapeError::TooFewDims { least: 1 });
        }
        let axis = Self::axis(x, attrs)?;
        let [start, length] = Self::range(attrs);
        let size = x.dim(axis);
        if size.checked_sub(start) < Some(length) {
            let end = start.saturating_add(length);
            return Err(ShapeError::Range { end, size });
        }
        Ok(match attrs.tag & Self::DROP {
            0 => x.with_dim(axis, length),
            _ => x.without(axis),
        })
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let (x, range) = (cx.operand_shape(0), Self::range(cx.attrs()));
        let sizes = x.around(Self::axis(&x, cx.attrs()).unwrap_or(0));
        let ([x], out) = cx.split();
        kernel::cut(x, sizes, range, out, Acc::Set);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (x, range) = (cx.operand_shape(0), Self::range(cx.attrs()));
        let sizes = x.around(Self::axis(&x, cx.attrs()).unwrap_or(0));
        if let Some(grad) = cx.grad(0) {
            if grad.acc == Acc::Set {
                grad.operand.fill(0.0);
            }
            kernel::paste(grad.output, sizes, range, grad.operand, grad.acc);
        }
    }
}

/// Shapes and slices.
impl<'t> Var<'t> {
    /// The same values, detached from the graph: no gradient flows through.
    /// The result is a view, which takes no floats.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[3.0], []);
    /// let y = x * x.detach();
    /// tape.backward(y)?;
    /// assert_eq!(*x.grad()?, [3.0]); // not 6
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn detach(self) -> Var<'t> {
        let tape = self.tape();
        match tape.record(&Detach, &[self], &Attrs::NONE, false) {
            Ok(var) => var,
            Err(_) => tape.keep(Detach.name(), Location::caller()),
        }
    }

    /// The same elements, in the same order, in another shape. One size may be
    /// -1 and follows from the others; use it for the batch if inputs are
    /// rebound to smaller ones. The result is a view, which takes no floats.
    ///
    /// Gradient: `g` in the original shape.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [6]);
    /// assert_eq!(x.reshape([-1, 2]).shape().dims(), [3, 2]);
    /// ```
    #[track_caller]
    #[must_use]
    pub fn reshape<const N: usize>(self, sizes: [isize; N]) -> Var<'t> {
        const { assert!(N <= MAX_RANK, "a shape has at most four dimensions") };
        self.reshape_slice(&sizes)
    }

    #[track_caller]
    fn reshape_slice(self, sizes: &[isize]) -> Var<'t> {
        self.unary(&Reshape, pack_sizes(sizes))
    }

    /// The tensor with two dimensions exchanged, each counted from the back if
    /// negative. Gradient: `g` with the two dimensions exchanged back.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
    /// assert_eq!(*x.transpose(0, 1).value()?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn transpose(self, d0: isize, d1: isize) -> Var<'t> {
        let ([d0, low, high], [d1, a, b]) = (pack_axis(d0), pack_axis(d1));
        let [low, high] = if d0 == WIDE_AXIS { [low, high] } else { [a, b] };
        let attrs = Attrs {
            words: [d0, d1, low, high],
            tag: 0,
        };
        self.unary(&Transpose, attrs)
    }

    /// Element `index` of `axis`, which is dropped: `x[index]` for axis 0.
    /// Gradient: to that element, 0 elsewhere.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
    /// assert_eq!(*x.select(0, 1).value()?, [4.0, 5.0, 6.0]);
    /// assert_eq!(*x.select(-1, 0).value()?, [1.0, 4.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn select(self, axis: isize, index: usize) -> Var<'t> {
        self.unary(&Narrow, Narrow::attrs(axis, index, 1, Narrow::DROP))
    }

    /// The `length` elements of `axis` from `start` on: `x[start..start +
    /// length]` for axis 0. Gradient: to those elements, 0 elsewhere.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
    /// assert_eq!(*x.narrow(1, 1, 2).value()?, [2.0, 3.0, 5.0, 6.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn narrow(self, axis: isize, start: usize, length: usize) -> Var<'t> {
        self.unary(&Narrow, Narrow::attrs(axis, start, length, 0))
    }
}

impl<'t> Tape<'t> {
    /// Joins tensors along `axis`: PyTorch's `cat`. All other sizes must be equal.
    /// Gradient: to each tensor its part.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let a = tape.input(&[1.0, 2.0], [1, 2]);
    /// let b = tape.input(&[3.0, 4.0], [1, 2]);
    /// assert_eq!(tape.concat(&[a, b], 0).shape().dims(), [2, 2]);
    /// assert_eq!(*tape.concat(&[a, b], 1).value()?, [1.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    pub fn concat(&'t self, tensors: &[Var<'t>], axis: isize) -> Var<'t> {
        let attrs = Concat::attrs(axis);
        // A node has at most `MAX_OPERANDS`: some tensors are joined first, then their result
        // with the next.
        let (first, mut rest) = tensors.split_at(tensors.len().min(MAX_OPERANDS));
        if !rest.is_empty() && self.check_chain(tensors, attrs).is_err() {
            return self.keep(Concat.name(), Location::caller());
        }
        let mut joined = self.apply(&Concat, first, attrs);
        while !rest.is_empty() {
            let (some, later) = rest.split_at(rest.len().min(MAX_OPERANDS - 1));
            let mut operands = [joined; MAX_OPERANDS];
            for (to, operand) in operands.iter_mut().skip(1).zip(some) {
                *to = *operand;
            }
            let operands = operands.get(..=some.len()).unwrap_or_default();
            joined = self.apply(&Concat, operands, attrs);
            rest = later;
        }
        joined
    }

    /// Checks, before the first node of a chain is recorded, that none of them would fail and
    /// that the arena has room for all of them.
    fn check_chain(&'t self, tensors: &[Var<'t>], mut attrs: Attrs) -> Result<(), Failed> {
        let state = self.enter()?;
        let (mut floats, mut nodes) = (0usize, 0);
        let mut shapes = [Shape::SCALAR; MAX_OPERANDS];
        let (mut rest, mut joined) = (tensors, 0);
        while !rest.is_empty() {
            let (some, later) = rest.split_at(rest.len().min(MAX_OPERANDS - joined));
            for (to, var) in shapes.iter_mut().skip(joined).zip(some) {
                *to = state.look(self.stamp(*var))?.tensor.shape;
            }
            let operands = shapes.get(..joined + some.len()).unwrap_or_default();
            let shape = Concat.shape(operands, &mut attrs);
            let shape = shape.map_err(|why| state.fail_shapes(why, operands))?;
            floats = floats.saturating_add(shape.numel());
            nodes += 1;
            let [first, ..] = &mut shapes;
            (*first, joined, rest) = (shape, 1, later);
        }
        state.expect_room(floats, nodes)
    }
}
