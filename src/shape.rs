//! Shapes of up to four dimensions, and PyTorch's broadcasting rule.

use core::fmt;

/// The most dimensions a tensor can have.
pub const MAX_RANK: usize = 4;

/// The size of every dimension of a tensor, outermost first; `[]` is a scalar.
///
/// Functions that take a shape also take an array; an array of more than four
/// dimensions does not compile.
///
/// ```
/// use baregrad::Shape;
///
/// let batch = Shape::from([11, 1]);
/// assert_eq!(batch.dims(), [11, 1]);
/// assert_eq!(batch.numel(), 11);
/// assert_eq!(Shape::from([]).numel(), 1);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Unused trailing dimensions are 1, so that equal shapes are equal structs.
    dims: [usize; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// The shape of a single number, `[]`.
    pub const SCALAR: Shape = Shape {
        dims: [1; MAX_RANK],
        rank: 0,
    };

    /// The placeholder in an unused node: all zeros, so that a `static` arena takes no flash.
    pub(crate) const UNUSED: Shape = Shape {
        dims: [0; MAX_RANK],
        rank: 0,
    };

    /// Returns a shape with the given dimensions.
    ///
    /// # Errors
    /// [`ShapeError::Rank`] for more than [`MAX_RANK`] dimensions.
    ///
    /// ```
    /// use baregrad::Shape;
    /// assert!(Shape::new(&[2, 3]).is_ok());
    /// assert!(Shape::new(&[1, 2, 3, 4, 5]).is_err());
    /// ```
    pub const fn new(dims: &[usize]) -> Result<Self, ShapeError> {
        let mut padded = [1; MAX_RANK];
        match padded.split_at_mut_checked(dims.len()) {
            Some((used, _)) => used.copy_from_slice(dims),
            None => return Err(ShapeError::Rank { most: MAX_RANK }),
        }
        Ok(Shape {
            dims: padded,
            rank: dims.len() as u8,
        })
    }

    /// The size of every dimension, padded with 1 to [`MAX_RANK`].
    pub(crate) fn sizes(&self) -> [u32; MAX_RANK] {
        self.dims
            .map(|size| u32::try_from(size).unwrap_or(u32::MAX))
    }

    /// The number of dimensions.
    pub const fn rank(&self) -> usize {
        self.rank as usize
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        self.dims.get(..self.rank()).unwrap_or_default()
    }

    /// The size of dimension `axis`; 1 beyond the last one.
    pub fn dim(&self, axis: usize) -> usize {
        self.dims.get(axis).copied().unwrap_or(1)
    }

    /// The number of elements. A product too large for `usize` saturates, and
    /// no arena has room for that many.
    pub const fn numel(&self) -> usize {
        product(&self.dims)
    }

    /// The number of elements in a row, that is for one index of the first dimension.
    pub(crate) const fn row_numel(&self) -> usize {
        let [_, row @ ..] = &self.dims;
        product(row)
    }

    /// Returns the shape that both operands of an element-wise operation are broadcast to.
    /// With the last dimensions aligned, the sizes of each pair must be equal or one of them 1;
    /// otherwise returns `None`.
    ///
    /// ```
    /// use baregrad::Shape;
    /// let column = Shape::from([3, 1]);
    /// let row = Shape::from([4]);
    /// assert_eq!(column.broadcast(&row), Some(Shape::from([3, 4])));
    /// assert_eq!(Shape::from([2, 3]).broadcast(&Shape::from([3, 2])), None);
    /// ```
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank.max(other.rank);
        let mut dims = [1; MAX_RANK];
        for (axis, out) in dims.iter_mut().enumerate().take(rank as usize) {
            *out = match (self.aligned(axis, rank), other.aligned(axis, rank)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return None,
            };
        }
        Some(Shape { dims, rank })
    }

    /// The size at `axis` once this shape is padded with 1 in front to `rank` dimensions.
    pub(crate) fn aligned(&self, axis: usize, rank: u8) -> usize {
        match axis.checked_sub((rank - self.rank.min(rank)) as usize) {
            Some(own) => self.dim(own),
            None => 1,
        }
    }

    /// The index of a dimension that is counted from the front, or from the back if negative.
    pub(crate) fn axis(&self, axis: isize) -> Result<usize, ShapeError> {
        let rank = self.rank();
        // As in PyTorch, a scalar may be reduced along axis 0 or -1.
        let dims = rank.max(1);
        let from_front = if axis < 0 {
            dims.checked_sub(axis.unsigned_abs())
        } else {
            Some(axis.unsigned_abs())
        };
        from_front
            .filter(|&axis| axis < dims)
            .ok_or(ShapeError::Axis { axis, rank })
    }

    /// This shape with the size at `axis` replaced.
    pub(crate) fn with_dim(mut self, axis: usize, size: usize) -> Shape {
        if let Some(dim) = self
            .dims
            .get_mut(axis)
            .filter(|_| axis < self.rank as usize)
        {
            *dim = size;
        }
        self
    }

    /// This shape with another rank. The sizes beyond it must be 1.
    pub(crate) fn with_rank(mut self, rank: usize) -> Shape {
        self.rank = rank as u8;
        self
    }

    /// This shape without `axis`.
    pub(crate) fn without(self, axis: usize) -> Shape {
        let mut dims = [1; MAX_RANK];
        let kept = self.dims().iter().enumerate().filter(|&(a, _)| a != axis);
        for (to, (_, from)) in dims.iter_mut().zip(kept) {
            *to = *from;
        }
        Shape {
            dims,
            rank: if axis < self.rank() {
                self.rank - 1
            } else {
                self.rank
            },
        }
    }

    /// This shape with two dimensions exchanged.
    pub(crate) fn swapped(mut self, a: usize, b: usize) -> Shape {
        if a < self.rank() && b < self.rank() {
            let (x, y) = (self.dim(a), self.dim(b));
            self = self.with_dim(a, y).with_dim(b, x);
        }
        self
    }

    /// The sizes `[outer, size of axis, inner]` of this shape seen as three dimensions around
    /// `axis`.
    pub(crate) fn around(&self, axis: usize) -> [usize; 3] {
        let size = self.dim(axis);
        let (mut outer, mut inner) = (1usize, 1usize);
        for (a, dim) in self.dims().iter().enumerate() {
            if a < axis {
                outer = outer.saturating_mul(*dim);
            } else if a > axis {
                inner = inner.saturating_mul(*dim);
            }
        }
        [outer, size, inner]
    }
}

#[inline(never)] // one copy for all callers
const fn product(mut sizes: &[usize]) -> usize {
    let mut product = 1usize;
    while let [size, rest @ ..] = sizes {
        product = product.saturating_mul(*size);
        sizes = rest;
    }
    product
}

impl<const N: usize> From<[usize; N]> for Shape {
    #[inline]
    fn from(sizes: [usize; N]) -> Self {
        const { assert!(N <= MAX_RANK, "a shape has at most four dimensions") };
        // Written out, because a loop is not unrolled when compiled for size.
        let dims = match *sizes.as_slice() {
            [] => [1, 1, 1, 1],
            [a] => [a, 1, 1, 1],
            [a, b] => [a, b, 1, 1],
            [a, b, c] => [a, b, c, 1],
            [a, b, c, d, ..] => [a, b, c, d],
        };
        Shape {
            dims,
            rank: N as u8,
        }
    }
}

impl Default for Shape {
    fn default() -> Self {
        Shape::SCALAR
    }
}

/// Prints the sizes as Python prints a list: `[2, 3]`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, dim) in self.dims().iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{dim}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Shape {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=[?]}", self.dims());
    }
}

/// The reason why a shape rule refused its operands. The tape adds their shapes, the
/// operation's name and the caller's line, and makes an [`Error`](crate::Error).
/// `Debug` prints the text of `Display`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ShapeError {
    /// Two sizes differ and neither is 1.
    Broadcast,
    /// The sizes summed over differ.
    Inner,
    /// An operand has more dimensions than the operation takes.
    Rank {
        /// The most dimensions that the operation takes.
        most: usize,
    },
    /// An operand has fewer dimensions than the operation needs.
    TooFewDims {
        /// The fewest dimensions that the operation takes.
        least: usize,
    },
    /// There is no such dimension.
    Axis {
        /// The dimension that was given.
        axis: isize,
        /// The number of dimensions of the operand.
        rank: usize,
    },
    /// The new shape has another number of elements.
    Reshape,
    /// The new shape contains a size that no shape can have.
    Size {
        /// The size that was given.
        size: isize,
    },
    /// The operands' sizes differ in a dimension other than the joined one.
    Concat,
    /// The range reaches beyond the dimension.
    Range {
        /// The end of the range.
        end: usize,
        /// The size of the dimension.
        size: usize,
    },
    /// An index is out of range.
    Index {
        /// The index.
        index: isize,
        /// The size of the axis.
        size: usize,
    },
    /// The operands' shapes differ, although the operation needs equal ones.
    Different,
    /// The maximum or minimum of an empty tensor is not defined.
    Empty,
    /// The operation takes another number of operands.
    Operands {
        /// The number of operands that the operation takes.
        expected: usize,
    },
    /// Any other reason, in the words of an operation outside this crate.
    Other(&'static str),
}

impl fmt::Debug for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broadcast => f.write_str(
                "shapes do not broadcast: sizes, aligned at the last, must be equal or 1",
            ),
            Self::Inner => f.write_str("the sizes summed over differ"),
            Self::Rank { most } => write!(f, "more than {most} dimensions"),
            Self::TooFewDims { least } => write!(f, "fewer than {least} dimensions"),
            Self::Axis { axis, rank } => {
                write!(f, "axis {axis} is out of range for {rank} dimensions")
            }
            Self::Reshape => f.write_str("the new shape has another number of elements"),
            Self::Size { size } => write!(
                f,
                "a size of {size} cannot be: expected 0 to 4294967294, or -1 for one that follows from the others"
            ),
            Self::Concat => f.write_str("all sizes but that of the joined axis must be equal"),
            Self::Range { end, size } => {
                write!(f, "index {end} is out of range for a size of {size}")
            }
            Self::Index { index, size } => write!(
                f,
                "index {index} is out of range: expected one from 0 and below {size}"
            ),
            Self::Different => f.write_str("expected equal shapes"),
            Self::Empty => f.write_str("an empty tensor has no largest or smallest element"),
            Self::Operands { expected } => write!(f, "expected {expected} operands"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl core::error::Error for ShapeError {}
