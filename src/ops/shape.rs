//! Operations that move elements and change none.

use core::panic::Location;

use super::{Args, Build, Entry, exactly};
use crate::error::MAX_OPERANDS;
use crate::kernel::{self, Acc, Identity};
use crate::op::{Attrs, Backward, Forward, Op, PassGrad};
use crate::shape::{MAX_RANK, Shape, ShapeError};
use crate::tape::Tape;
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

/// A signed axis in an attribute word.
fn axis_of(word: u32) -> isize {
    word as i32 as isize
}

fn axis_word(axis: isize) -> u32 {
    // What does not fit is out of range for any shape, and stays so.
    i32::try_from(axis).unwrap_or(i32::MAX) as u32
}

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

/// The same elements in another shape. Words: the sizes, one of them maybe -1.
/// Tag: the rank.
#[derive(Clone, Copy, Debug)]
pub struct Reshape;

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
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

/// `-1`, as a size.
const INFERRED: u32 = u32::MAX;

/// Two dimensions exchanged. Words: the two, as given.
#[derive(Clone, Copy, Debug)]
pub struct Transpose;

impl Transpose {
    /// The tensor as `[_, lower axis, _, higher axis, _]`.
    fn sizes(shape: Shape, attrs: &Attrs) -> [usize; 5] {
        let [d0, d1, ..] = attrs.words;
        let d0 = shape.axis(axis_of(d0)).unwrap_or(0);
        let d1 = shape.axis(axis_of(d1)).unwrap_or(0);
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
        let [d0, d1, ..] = attrs.words;
        Ok(x.swapped(x.axis(axis_of(d0))?, x.axis(axis_of(d1))?))
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

/// Tensors joined along an axis. Words: the axis, as given.
#[derive(Clone, Copy, Debug)]
pub struct Concat;

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
        let axis = first.axis(axis_of(attrs.words[0]))?;
        let mut size = 0usize;
        for shape in operands {
            if shape.rank() != first.rank() || shape.with_dim(axis, 1) != first.with_dim(axis, 1) {
                return Err(ShapeError::Concat);
            }
            size = size.saturating_add(shape.dim(axis));
        }
        attrs.words[1] = operands.len() as u32;
        Ok(first.with_dim(axis, size))
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let shape = cx.shape();
        let axis = shape.axis(axis_of(cx.attrs().words[0])).unwrap_or(0);
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
        let axis = shape.axis(axis_of(cx.attrs().words[0])).unwrap_or(0);
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

/// A range of one axis. Words: the axis, as given; the range's start and
/// length. Tag: whether the axis (then of length 1) is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Narrow;

impl Narrow {
    fn range(x: Shape, attrs: &Attrs) -> ([usize; 3], [usize; 2]) {
        let [axis, start, length, _] = attrs.words;
        let axis = x.axis(axis_of(axis)).unwrap_or(0);
        (x.around(axis), [start as usize, length as usize])
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
        let [axis, start, length, _] = attrs.sizes();
        let axis = x.axis(axis_of(axis as u32))?;
        let (end, size) = (start.saturating_add(length), x.dim(axis));
        if end > size {
            return Err(ShapeError::Range { end, size });
        }
        Ok(match attrs.tag {
            0 => x.with_dim(axis, length),
            _ => x.without(axis),
        })
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let (sizes, range) = Self::range(cx.operand_shape(0), cx.attrs());
        let ([x], out) = cx.split();
        kernel::cut(x, sizes, range, out, Acc::Set);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (sizes, range) = Self::range(cx.operand_shape(0), cx.attrs());
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
    /// The same values, cut off from the graph: no gradient flows through.
    /// Takes no floats.
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
    /// rebound to smaller ones. Takes no floats.
    ///
    /// Gradient: reshaped back.
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
        let mut attrs = Attrs {
            words: [0; 4],
            tag: sizes.len() as u32,
        };
        for (word, size) in attrs.words.iter_mut().zip(sizes) {
            // Other negative sizes become absurdly large ones, and are refused.
            *word = if *size == -1 {
                INFERRED
            } else {
                u32::try_from(*size).map_or(INFERRED - 1, |size| size.min(INFERRED - 1))
            };
        }
        self.unary(&Reshape, attrs)
    }

    /// The tensor with two dimensions exchanged, each counted from the back if
    /// negative. Gradient: exchanged back.
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
        let attrs = Attrs {
            words: [axis_word(d0), axis_word(d1), 0, 0],
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
        self.unary(&Narrow, narrow_attrs(axis, index, 1, 1))
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
        self.unary(&Narrow, narrow_attrs(axis, start, length, 0))
    }
}

fn narrow_attrs(axis: isize, start: usize, length: usize, drop_axis: u32) -> Attrs {
    let word = |size| u32::try_from(size).unwrap_or(u32::MAX);
    Attrs {
        words: [axis_word(axis), word(start), word(length), 0],
        tag: drop_axis,
    }
}

impl<'t> Tape<'t> {
    /// Tensors joined along `axis`: PyTorch's `cat`. All other sizes are equal.
    /// Gradient: to each its part.
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
        let attrs = Attrs {
            words: [axis_word(axis), 0, 0, 0],
            tag: 0,
        };
        // A node has few operands: join some, then the result with the next.
        let (first, mut rest) = tensors.split_at(tensors.len().min(MAX_OPERANDS));
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
}
