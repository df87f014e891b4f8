//! Elements selected by indices.

use core::panic::Location;

use super::arrange::strides;
use super::stretch::no_gradient;
use super::{Entry, exactly, pack_axis, unpack_axis};
use crate::kernel::sum_in_turn;
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{MAX_RANK, Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("gather", |x, args| {
        let axis = args.axis.unwrap_or(1);
        let shape = x.shape();
        let along = shape.axis(axis).unwrap_or_default();
        x.gather(axis, indices(x, shape.with_dim(along, args.length), along))
    }),
    Entry::each("index_select", |x, args| {
        let axis = args.axis.unwrap_or(1);
        let along = x.shape().axis(axis).unwrap_or_default();
        let index = indices(x, Shape::from([args.length]), along);
        x.index_select(axis, index)
    }),
    Entry::each("embedding", |x, args| {
        indices(x, Shape::from([2, args.length]), 0).embedding(x)
    }),
];

/// Indices of an axis of `x` for tests, some of them several times.
fn indices<'t>(x: Var<'t>, shape: Shape, axis: usize) -> Var<'t> {
    let size = x.shape().dim(axis);
    let index = |i: usize| (i * 7 + i / 3).checked_rem(size).unwrap_or_default();
    x.tape().constant_from_fn(shape, |i| index(i) as f32)
}

/// The index as an integer, or `None` if it is not an integer below `size`.
fn place(index: f32, size: usize) -> Option<usize> {
    // The cast saturates, and turns NaN into 0.
    let place = index as usize;
    (place as f32 == index && place < size).then_some(place)
}

/// Fails the tape if a current value of `index` is not an integer or out of range.
#[track_caller]
fn refuse_wrong<'t>(
    op: &'static dyn Op,
    x: Var<'t>,
    axis: isize,
    index: Var<'t>,
) -> Option<Var<'t>> {
    let (tape, shape) = (x.tape(), x.shape());
    // Other errors are found when the operation is recorded.
    let size = shape.dim(shape.axis(axis).ok()?);
    let wrong = {
        let values = index.value().ok()?;
        let found = values.iter().find(|index| place(**index, size).is_none())?;
        let index = *found as isize;
        if index as f32 == *found {
            ShapeError::Index { index, size }
        } else {
            ShapeError::Other("an index is no whole number")
        }
    };
    if let Ok(state) = tape.look() {
        state.fail_shapes(wrong, &[shape, index.shape()]);
    }
    Some(tape.keep(op.name(), Location::caller()))
}

/// The attributes of an axis.
fn along(axis: isize) -> Attrs {
    let [axis, low, high] = pack_axis(axis);
    Attrs {
        words: [axis, low, high, 0],
        tag: 0,
    }
}

fn axis_of(x: &Shape, attrs: &Attrs) -> Result<usize, ShapeError> {
    let [axis, low, high, _] = attrs.words;
    x.axis(unpack_axis([axis, low, high]))
}

/// The coordinates of each element of a tensor, in order.
fn coordinates(x: &Shape) -> impl Iterator<Item = [usize; MAX_RANK]> {
    let [a, b, c, d] = [x.dim(0), x.dim(1), x.dim(2), x.dim(3)];
    (0..a).flat_map(move |i| {
        (0..b).flat_map(move |j| (0..c).flat_map(move |k| (0..d).map(move |l| [i, j, k, l])))
    })
}

/// The position of the element with these coordinates.
fn at(coordinates: [usize; MAX_RANK], strides: [usize; MAX_RANK]) -> usize {
    let terms = coordinates.into_iter().zip(strides);
    terms.map(|(i, stride)| i * stride).sum()
}

/// `coordinates` with another coordinate along one axis.
fn moved(mut coordinates: [usize; MAX_RANK], axis: usize, to: usize) -> [usize; MAX_RANK] {
    if let Some(place) = coordinates.get_mut(axis) {
        *place = to;
    }
    coordinates
}

/// An element of `x` for each index. Words: the axis, as given.
#[derive(Clone, Copy, Debug)]
pub struct Gather;

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x, index] = exactly(operands)?;
        let axis = axis_of(x, attrs)?;
        if x.rank() != index.rank() {
            return Err(ShapeError::Other(
                "expected indices of as many dimensions as the tensor has",
            ));
        }
        let sizes = index.dims().iter().zip(x.dims()).enumerate();
        for (other, (index, own)) in sizes {
            if other != axis && index > own {
                return Err(ShapeError::Other(
                    "expected indices within the tensor in all dimensions but the axis",
                ));
            }
        }
        Ok(*index)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let (x, shape) = (cx.operand_shape(0), cx.shape());
        let (axis, steps) = (axis_of(&x, cx.attrs()).unwrap_or(0), strides(&x));
        let size = x.dim(axis);
        let ([x, index], out) = cx.split();
        if out.is_empty() {
            return; // the other sizes of an empty tensor may be huge
        }
        for ((to, index), here) in out.iter_mut().zip(index).zip(coordinates(&shape)) {
            let from = place(*index, size).map(|place| at(moved(here, axis, place), steps));
            *to = from
                .and_then(|from| x.get(from))
                .copied()
                .unwrap_or(f32::NAN);
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (x, shape) = (cx.operand_shape(0), cx.shape());
        let (axis, steps) = (axis_of(&x, cx.attrs()).unwrap_or(0), strides(&shape));
        let index = cx.operand(1);
        if let Some(grad) = cx.grad(0) {
            let length = if grad.output.is_empty() {
                0
            } else {
                shape.dim(axis)
            };
            let step = steps.get(axis).copied().unwrap_or(0);
            let terms = grad.operand.iter_mut().zip(coordinates(&x));
            for (to, here) in terms {
                let place = here.get(axis).copied().unwrap_or(0) as f32;
                // Indices may cover only a part of the tensor.
                let sizes = shape.dims().iter().zip(here).enumerate();
                let mut others = sizes.filter(|(other, _)| *other != axis);
                let is_within = others.all(|(_, (size, here))| here < *size);
                let first = at(moved(here, axis, 0), steps);
                let length = if is_within { length } else { 0 };
                acc_sum(grad.acc, to, length, |i| {
                    let at = first + i * step;
                    let is_here = index.get(at) == Some(&place);
                    grad.output.get(at).copied().filter(|_| is_here)
                });
            }
        }
        no_gradient(cx, 1);
    }
}

/// Writes or adds the sum of the terms, which are those of `length` that are not `None`.
fn acc_sum(
    acc: crate::kernel::Acc,
    to: &mut f32,
    length: usize,
    term: impl Fn(usize) -> Option<f32>,
) {
    let terms = (0..length).filter_map(&term);
    let count = terms.clone().count();
    acc.put(to, sum_in_turn(terms, count) + 0.0);
}

/// A slice of `x` along an axis for each index. Words: the axis, as given. Tag: `EMBEDDING` if
/// the indices may have several dimensions, all of which replace axis 0.
#[derive(Clone, Copy, Debug)]
pub struct IndexSelect;

impl IndexSelect {
    const EMBEDDING: u32 = 1;
}

impl Op for IndexSelect {
    fn name(&self) -> &'static str {
        "index_select"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x, index] = exactly(operands)?;
        if attrs.tag == Self::EMBEDDING {
            if x.rank() != 2 {
                return Err(ShapeError::Other(
                    "expected weights of [number, length]: a row for each index",
                ));
            }
            if index.rank() == MAX_RANK {
                return Err(ShapeError::Rank { most: MAX_RANK - 1 });
            }
            let rank = index.rank();
            return Ok(index.with_rank(rank + 1).with_dim(rank, x.dim(1)));
        }
        let axis = axis_of(x, attrs)?;
        if x.rank() == 0 {
            return Err(ShapeError::TooFewDims { least: 1 });
        }
        if index.rank() > 1 {
            return Err(ShapeError::Other("expected indices of one dimension"));
        }
        Ok(x.with_dim(axis, index.numel()))
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let x = cx.operand_shape(0);
        let [_, size, inner] = x.around(axis_of(&x, cx.attrs()).unwrap_or(0));
        let ([x, index], out) = cx.split();
        if out.is_empty() {
            return; // the other sizes of an empty tensor may be huge
        }
        let rows = out.chunks_mut(inner.max(1)).enumerate();
        for (row, to) in rows {
            let (outer, i) = (row / index.len().max(1), row % index.len().max(1));
            let place = index.get(i).and_then(|index| place(*index, size));
            let from = place.map(|place| (outer * size + place) * inner);
            match from.and_then(|from| x.get(from..from + inner)) {
                Some(from) => to.iter_mut().zip(from).for_each(|(to, x)| *to = *x),
                None => to.fill(f32::NAN),
            }
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let x = cx.operand_shape(0);
        let [_, size, inner] = x.around(axis_of(&x, cx.attrs()).unwrap_or(0));
        let index = cx.operand(1);
        if let Some(grad) = cx.grad(0) {
            let length = if grad.output.is_empty() {
                0
            } else {
                index.len()
            };
            let rows = grad.operand.chunks_mut(inner.max(1)).enumerate();
            for (row, to) in rows {
                let (outer, place) = (row / size.max(1), (row % size.max(1)) as f32);
                let used = index.iter().take(length).any(|index| *index == place);
                for (column, to) in to.iter_mut().enumerate() {
                    acc_sum(grad.acc, to, if used { length } else { 0 }, |i| {
                        let is_here = index.get(i) == Some(&place);
                        let at = (outer * length + i) * inner + column;
                        grad.output.get(at).copied().filter(|_| is_here)
                    });
                }
            }
        }
        no_gradient(cx, 1);
    }
}

/// Indices.
///
/// Indices are integers from 0, as `f32`, which holds them up to 2²⁴. An index that is negative,
/// too large or not an integer is an error when the operation is recorded. Indices that are
/// rebound or written later are read only by the replay, which cannot report an error: a wrong
/// index then gives NaN, and gets no gradient.
impl<'t> Var<'t> {
    /// An element for each index, `y[i][j] = x[index[i][j]][j]` for axis 0: PyTorch's `gather`.
    /// Indices have as many dimensions as the tensor, and are no larger in any dimension but
    /// `axis`. The result has the shape of the indices.
    ///
    /// Gradient: to the selected elements. An element that is selected several times gets the
    /// sum, in the order of [`kernel::sum`](crate::kernel::sum). The backward pass takes no
    /// memory, and so searches all indices along the axis for each element.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0, 2.0, 3.0, 4.0], [2, 2]);
    /// let index = tape.constant(&[0.0, 0.0, 1.0, 0.0], [2, 2]);
    /// let y = x.gather(1, index);
    /// assert_eq!(*y.value()?, [1.0, 1.0, 4.0, 3.0]);
    /// tape.backward(y.sum())?;
    /// assert_eq!(*x.grad()?, [2.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn gather(self, axis: isize, index: Var<'t>) -> Var<'t> {
        match refuse_wrong(&Gather, self, axis, index) {
            Some(refused) => refused,
            None => self.tape().apply(&Gather, &[self, index], along(axis)),
        }
    }

    /// A slice along `axis` for each index of a list: PyTorch's `index_select`.
    ///
    /// Gradient: to the selected slices, as by [`gather`](Self::gather).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0], [2, 2]);
    /// let index = tape.constant(&[1.0, 1.0, 0.0], [3]);
    /// assert_eq!(*x.index_select(0, index).value()?, [3.0, 4.0, 3.0, 4.0, 1.0, 2.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn index_select(self, axis: isize, index: Var<'t>) -> Var<'t> {
        match refuse_wrong(&IndexSelect, self, axis, index) {
            Some(refused) => refused,
            None => self.tape().apply(&IndexSelect, &[self, index], along(axis)),
        }
    }

    /// A row of `weights`, `[number, length]`, for each of these indices, which may have any
    /// shape of up to three dimensions: PyTorch's `embedding`. The result has the shape of the
    /// indices and `length` as its last dimension.
    ///
    /// Gradient: to the selected rows, as by [`gather`](Self::gather).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let words = tape.param(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [3, 2]);
    /// let sentence = tape.input(&[2.0, 0.0], [1, 2]);
    /// let y = sentence.embedding(words);
    /// assert_eq!(y.shape().dims(), [1, 2, 2]);
    /// assert_eq!(*y.value()?, [0.5, 0.6, 0.1, 0.2]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn embedding(self, weights: Var<'t>) -> Var<'t> {
        if let Some(refused) = refuse_wrong(&IndexSelect, weights, 0, self) {
            return refused;
        }
        let attrs = Attrs {
            tag: IndexSelect::EMBEDDING,
            ..along(0)
        };
        self.tape().apply(&IndexSelect, &[weights, self], attrs)
    }
}
