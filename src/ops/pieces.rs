//! `stack`, which joins tensors, and `split`, `split_sizes` and `chunk`, which cut a tensor into
//! pieces.

use core::iter::FusedIterator;
use core::panic::Location;

use super::arrange::Unsqueeze;
use super::{Args, Build, Entry};
use crate::error::MAX_OPERANDS;
use crate::op::Op;
use crate::shape::ShapeError;
use crate::tape::{Failed, Tape};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::new(
        "stack",
        Build::Many(|first, all, args| first.tape().stack(all, args.axis.unwrap_or(0))),
    )
    .of(&[&[2, 3], &[2, 3]])
    .with(Args {
        axis: Some(1),
        ..Args::NONE
    }),
    Entry::each("split", |x, args| {
        let mut pieces = x.split(args.length, args.axis.unwrap_or(1));
        pieces.nth(args.d0 as usize).unwrap_or(x)
    })
    .with(Args {
        d0: 1,
        ..Args::NONE
    }),
    Entry::each("split_sizes", |x, args| {
        let axis = args.axis.unwrap_or(1);
        let size = x.shape().axis(axis).map_or(0, |axis| x.shape().dim(axis));
        let rest = size.saturating_sub(args.start);
        let [_, last] = x.split_sizes([args.start, rest], axis);
        last
    }),
    Entry::each("chunk", |x, args| {
        let mut pieces = x.chunk(args.length, args.axis.unwrap_or(1));
        pieces.nth(args.d0 as usize).unwrap_or(x)
    })
    .with(Args {
        d0: 1,
        ..Args::NONE
    }),
];

// The names of the operations, for errors.
const SPLIT: &str = "split";
const CHUNK: &str = "chunk";
const STACK: &str = "stack";

/// An iterator over the pieces of a tensor, in order. It records each piece when it yields it,
/// by [`Var::narrow`]. See [`Var::split`].
#[derive(Clone, Debug)]
pub struct Pieces<'t> {
    x: Var<'t>,
    axis: isize,
    /// The length of each piece but the last.
    size: usize,
    start: usize,
    /// The end of the axis.
    end: usize,
    left: usize,
}

impl<'t> Pieces<'t> {
    /// `count` pieces of length `size`, of a total length of `len`.
    fn new(x: Var<'t>, axis: isize, len: usize, size: usize, count: usize) -> Self {
        Pieces {
            x,
            axis,
            size,
            start: 0,
            end: len,
            left: count,
        }
    }

    /// A failure in place of a single piece.
    fn failed(x: Var<'t>) -> Self {
        Self::new(x, 0, 0, 0, 1)
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = Var<'t>;

    #[track_caller]
    fn next(&mut self) -> Option<Var<'t>> {
        self.left = self.left.checked_sub(1)?;
        let (start, length) = (self.start, self.size.min(self.end - self.start));
        self.start += length;
        Some(self.x.narrow(self.axis, start, length))
    }

    /// Skips pieces without recording them.
    #[track_caller]
    fn nth(&mut self, n: usize) -> Option<Var<'t>> {
        let skipped = n.min(self.left);
        self.left -= skipped;
        self.start = self.size.saturating_mul(skipped).saturating_add(self.start);
        self.start = self.start.min(self.end);
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Pieces<'_> {}
impl FusedIterator for Pieces<'_> {}

/// Keeps an error on the tape, for an operation that is made of others.
#[cold]
#[inline(never)]
#[track_caller]
fn refuse<'t>(op: &'static str, x: Var<'t>, why: ShapeError) -> Var<'t> {
    let (tape, shapes) = (x.tape(), [x.shape()]);
    if let Ok(state) = tape.look() {
        state.fail_shapes(why, &shapes);
    }
    tape.keep(op, Location::caller())
}

/// Pieces.
impl<'t> Var<'t> {
    /// Splits the tensor into pieces of length `size` along `axis`, counted from the back if
    /// negative: `torch.split` with a number. The last piece is shorter if `size` does not
    /// divide the length of the axis. The iterator records each piece when it yields it, as a
    /// [`narrow`](Self::narrow).
    ///
    /// Gradient: to the elements of each piece.
    ///
    /// The tape keeps an error if there is no such axis, or if `size` is 0 and the length of the
    /// axis is not; the iterator then yields only this failure.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0], [5]);
    /// let mut sums = [0.0; 3];
    /// for (sum, piece) in sums.iter_mut().zip(x.split(2, 0)) {
    ///     *sum = piece.sum().item()?;
    /// }
    /// assert_eq!(sums, [3.0, 7.0, 5.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn split(self, size: usize, axis: isize) -> Pieces<'t> {
        match self.cut_along(axis) {
            Ok(0) => Pieces::new(self, axis, 0, size, 1),
            Ok(_) if size == 0 => {
                let why = ShapeError::Other("expected pieces of at least 1");
                Pieces::failed(refuse(SPLIT, self, why))
            }
            Ok(len) => Pieces::new(self, axis, len, size, len.div_ceil(size)),
            Err(why) => Pieces::failed(refuse(SPLIT, self, why)),
        }
    }

    /// Splits the tensor into pieces of these lengths along `axis`: `torch.split` with a list.
    /// The lengths must add up to that of the axis. Each piece is a [`narrow`](Self::narrow).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
    /// let [first, others] = x.split_sizes([1, 2], 1);
    /// assert_eq!(*first.value()?, [1.0, 4.0]);
    /// assert_eq!(*others.value()?, [2.0, 3.0, 5.0, 6.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn split_sizes<const N: usize>(self, sizes: [usize; N], axis: isize) -> [Var<'t>; N] {
        let whole = sizes.iter().fold(0_usize, |sum, n| sum.saturating_add(*n));
        let why = match self.cut_along(axis) {
            Ok(len) if len == whole => None,
            Ok(_) => Some(ShapeError::Other(
                "the sizes of the pieces differ in sum from that of the axis",
            )),
            Err(why) => Some(why),
        };
        if let Some(why) = why {
            return [refuse(SPLIT, self, why); N];
        }
        let mut pieces = [self; N];
        let mut start = 0;
        for (piece, size) in pieces.iter_mut().zip(sizes) {
            *piece = self.narrow(axis, start, size);
            start += size;
        }
        pieces
    }

    /// Splits the tensor into at most `chunks` pieces along `axis`. As in PyTorch, their length
    /// is `len / chunks`, rounded up, so that the last may be shorter and there may be fewer
    /// than `chunks`. See [`split`](Self::split).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0], [5]);
    /// let lengths = [3, 2];
    /// for (piece, length) in x.chunk(2, 0).zip(lengths) {
    ///     assert_eq!(piece.shape().dims(), [length]);
    /// }
    /// ```
    #[track_caller]
    #[must_use]
    pub fn chunk(self, chunks: usize, axis: isize) -> Pieces<'t> {
        match self.cut_along(axis) {
            Ok(_) if chunks == 0 => {
                let why = ShapeError::Other("expected at least 1 chunk");
                Pieces::failed(refuse(CHUNK, self, why))
            }
            Ok(0) => Pieces::new(self, axis, 0, 0, chunks),
            Ok(len) => {
                let size = len.div_ceil(chunks).max(1);
                Pieces::new(self, axis, len, size, len.div_ceil(size))
            }
            Err(why) => Pieces::failed(refuse(CHUNK, self, why)),
        }
    }

    /// The length of an axis, or an error if there is no such axis to cut.
    fn cut_along(self, axis: isize) -> Result<usize, ShapeError> {
        let shape = self.shape();
        if shape.rank() == 0 {
            return Err(ShapeError::TooFewDims { least: 1 });
        }
        Ok(shape.dim(shape.axis(axis)?))
    }
}

impl<'t> Tape<'t> {
    /// Joins tensors of one shape along a new `axis` of the result, counted from the back if
    /// negative: `torch.stack`. Gradient: to each tensor its part.
    ///
    /// It is recorded as a view of each tensor ([`Var::unsqueeze`]) and [`concat`](Self::concat).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 8>::new();
    /// # let tape = arena.tape();
    /// let a = tape.input(&[1.0, 2.0], [2]);
    /// let b = tape.input(&[3.0, 4.0], [2]);
    /// assert_eq!(*tape.stack(&[a, b], 0).value()?, [1.0, 2.0, 3.0, 4.0]);
    /// assert_eq!(*tape.stack(&[a, b], -1).value()?, [1.0, 3.0, 2.0, 4.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    pub fn stack(&'t self, tensors: &[Var<'t>], axis: isize) -> Var<'t> {
        if self.check_stack(tensors, axis).is_err() {
            return self.keep(STACK, Location::caller());
        }
        let add = |var: &Var<'t>| self.apply(&Unsqueeze, &[*var], Unsqueeze::attrs(axis));
        let (first, mut rest) = tensors.split_at(tensors.len().min(MAX_OPERANDS));
        let mut operands = [Var::unrecorded(self); MAX_OPERANDS];
        for (to, var) in operands.iter_mut().zip(first) {
            *to = add(var);
        }
        let views = operands.get(..first.len()).unwrap_or_default();
        let mut joined = self.concat(views, axis);
        // A node has at most `MAX_OPERANDS`: some tensors are joined first, then their result
        // with the next.
        while !rest.is_empty() {
            let (some, later) = rest.split_at(rest.len().min(MAX_OPERANDS - 1));
            let mut operands = [joined; MAX_OPERANDS];
            for (to, var) in operands.iter_mut().skip(1).zip(some) {
                *to = add(var);
            }
            joined = self.concat(operands.get(..=some.len()).unwrap_or_default(), axis);
            rest = later;
        }
        joined
    }

    /// Checks, before the first node is recorded, that none of them would fail and that the
    /// arena has room for all of them.
    fn check_stack(&'t self, tensors: &[Var<'t>], axis: isize) -> Result<(), Failed> {
        let state = self.look()?;
        let Some(first) = tensors.first() else {
            let why = ShapeError::Other("expected at least one tensor");
            return Err(state.fail_shapes(why, &[]));
        };
        let first = state.look(self.stamp(*first))?.tensor.shape;
        for var in tensors {
            let shape = state.look(self.stamp(*var))?.tensor.shape;
            if shape != first {
                return Err(state.fail_shapes(ShapeError::Different, &[first, shape]));
            }
        }
        let checked = Unsqueeze.shape(&[first], &mut Unsqueeze::attrs(axis));
        checked.map_err(|why| state.fail_shapes(why, &[first]))?;
        let (mut floats, mut joins, mut done) = (0_usize, 0, 0);
        while done < tensors.len() {
            let more = if joins == 0 {
                MAX_OPERANDS
            } else {
                MAX_OPERANDS - 1
            };
            done = tensors.len().min(done + more);
            floats = floats.saturating_add(first.numel().saturating_mul(done));
            joins += 1;
        }
        state.expect_room(floats, tensors.len() + joins)
    }
}
