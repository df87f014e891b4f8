//! The order in which two operands are walked to compute one result.

use crate::shape::{MAX_RANK, Shape};

/// Two operands broadcast to one shape.
///
/// Neighbouring dimensions along which the same operands are repeated are merged, so that
/// equal shapes, a scalar, a row or a column end up as one or two dimensions
/// whatever their rank. For each remaining dimension, a flag says whether an operand
/// has it or is repeated along it; since operands are contiguous, their strides
/// follow from the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// Sizes, innermost last, padded in front with 1.
    dims: [usize; MAX_RANK],
    /// Bit `d`: operand `a` has dimension `d`.
    a: u8,
    /// Bit `d`: operand `b` has dimension `d`.
    b: u8,
}

/// A walk of a single row, the usual case: equal shapes, or a number and any shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// Both sides have all elements of the row.
    Both,
    /// Side `a` has all elements, side `b` has a single value.
    OnlyA,
    /// Side `b` has all elements, side `a` has a single value.
    OnlyB,
}

impl Row {
    /// A flag among the packed sides: the walk is a single row.
    const SINGLE: u32 = 1 << (2 * MAX_RANK);

    /// The kind of row, if the packed walk is a single row.
    #[inline(always)]
    pub(crate) fn unpack(sides: u32) -> Option<Row> {
        const A: u32 = Broadcast::INNER as u32;
        const B: u32 = A << MAX_RANK;
        if sides & Self::SINGLE == 0 {
            None
        } else if sides & A == 0 {
            Some(Row::OnlyB)
        } else if sides & B == 0 {
            Some(Row::OnlyA)
        } else {
            Some(Row::Both)
        }
    }

    /// The walk with its sides exchanged.
    #[inline(always)]
    pub(crate) fn swap(self) -> Row {
        match self {
            Row::Both => Row::Both,
            Row::OnlyA => Row::OnlyB,
            Row::OnlyB => Row::OnlyA,
        }
    }
}

impl Broadcast {
    /// The flag of a side that has the innermost dimension.
    const INNER: u8 = 1 << (MAX_RANK - 1);

    /// Returns the common shape and the walk, or `None` if the shapes do not broadcast.
    pub fn new(a: &Shape, b: &Shape) -> Option<(Shape, Self)> {
        let shape = a.broadcast(b)?;
        let rank = shape.rank() as u8;
        let mut merged = Broadcast {
            dims: [1; MAX_RANK],
            a: 0,
            b: 0,
        };
        if shape.numel() == 0 {
            // No rows and no columns, so that no loop runs over the other sizes, which may be
            // huge.
            merged.dims = [1, 1, 0, 0];
            return Some((shape, merged));
        }
        // Goes from the innermost dimension outwards; `at` is the merged dimension that grows.
        let mut at = MAX_RANK;
        let mut last = None;
        for axis in (0..shape.rank()).rev() {
            let size = shape.dim(axis);
            if size == 1 {
                continue;
            }
            let has = (a.aligned(axis, rank) != 1, b.aligned(axis, rank) != 1);
            if last != Some(has) {
                at -= 1;
                last = Some(has);
                merged.a |= (has.0 as u8) << at;
                merged.b |= (has.1 as u8) << at;
            }
            if let Some(dim) = merged.dims.get_mut(at) {
                *dim = dim.saturating_mul(size);
            }
        }
        if at == MAX_RANK {
            // A single element counts as a row of length 1 that both sides have.
            merged.a = 1 << (MAX_RANK - 1);
            merged.b = merged.a;
        }
        Some((shape, merged))
    }

    /// The walk with its sides exchanged.
    pub fn swap(self) -> Self {
        Broadcast {
            dims: self.dims,
            a: self.b,
            b: self.a,
        }
    }

    /// Packs the walk into words, to be kept on the tape.
    pub(crate) fn pack(self) -> ([u32; 4], u32) {
        let [p, q, r, s] = self.dims;
        let words = [p as u32, q as u32, r as u32, s as u32];
        let sides = u32::from(self.a) | u32::from(self.b) << MAX_RANK;
        let single = p == 1 && q == 1 && r == 1;
        (words, if single { sides | Row::SINGLE } else { sides })
    }

    /// Returns the walk that [`pack`](Self::pack) packed.
    #[inline(always)]
    pub(crate) fn unpack(&[p, q, r, s]: &[u32; 4], sides: u32) -> Self {
        Broadcast {
            dims: [p as usize, q as usize, r as usize, s as usize],
            a: sides as u8 & 15,
            b: (sides >> MAX_RANK) as u8 & 15,
        }
    }

    /// The length of the innermost dimension.
    #[inline(always)]
    pub(crate) fn inner(&self) -> usize {
        self.dims[MAX_RANK - 1]
    }

    /// For each side, whether it has the innermost dimension; if not, it is repeated along it.
    #[inline(always)]
    pub(crate) fn has_inner(&self) -> (bool, bool) {
        (self.a & Self::INNER != 0, self.b & Self::INNER != 0)
    }

    /// The walk over the outer dimensions, from row to row of the innermost.
    #[inline(always)]
    pub(crate) fn walk(&self) -> Walk {
        let steps = |side: u8| {
            let mut run = 1_usize;
            let mut steps = [0; MAX_RANK];
            for (d, size) in self.dims.iter().enumerate().rev() {
                if side & (1 << d) != 0 {
                    if let Some(step) = steps.get_mut(d) {
                        *step = run;
                    }
                    run = run.wrapping_mul(*size); // wraps only beyond all memory
                }
            }
            steps
        };
        let ([p, q, r, _], [ap, aq, ar, _]) = (self.dims, steps(self.a));
        let ([bp, bq, br, _], [op, oq, or, _]) = (steps(self.b), steps(u8::MAX));
        Walk {
            sizes: [p, q, r],
            steps: [[ap, bp, op], [aq, bq, oq], [ar, br, or]],
            own: [self.a & 1 != 0, self.a & 2 != 0, self.a & 4 != 0],
        }
    }
}

/// The outer dimensions of a [`Broadcast`].
#[derive(Debug)]
pub(crate) struct Walk {
    sizes: [usize; 3],
    /// The strides of each dimension in `a`, `b` and the result.
    steps: [[usize; 3]; 3],
    /// For each dimension, whether `a` has it.
    own: [bool; 3],
}

impl Walk {
    /// Calls `row` for each row, in order, with the offsets where it begins in `a`, `b` and the
    /// result.
    #[inline(always)]
    pub(crate) fn rows(&self, row: impl FnMut([usize; 3])) {
        self.along(self.sizes, [0; 3], row);
    }

    /// Calls `row` like [`rows`](Self::rows), but only at the first index of the dimensions that
    /// `a` lacks: once for each row of `a`.
    #[inline(always)]
    pub(crate) fn own(&self, row: impl FnMut([usize; 3])) {
        self.along(self.sizes_where(true), [0; 3], row);
    }

    /// Calls `row` like [`rows`](Self::rows), for all rows along the dimensions that `a` lacks,
    /// from the row at `first` on: the repetitions of one row of `a`.
    #[inline(always)]
    pub(crate) fn repeated(&self, first: [usize; 3], row: impl FnMut([usize; 3])) {
        self.along(self.sizes_where(false), first, row);
    }

    /// The number of calls that [`repeated`](Self::repeated) makes.
    #[inline(always)]
    pub(crate) fn repeats(&self) -> usize {
        let [p, q, r] = self.sizes_where(false);
        p.saturating_mul(q).saturating_mul(r)
    }

    /// The sizes of the dimensions that `a` has, or with `own` false lacks; 1 for the others.
    #[inline(always)]
    fn sizes_where(&self, own: bool) -> [usize; 3] {
        let ([p, q, r], [op, oq, or]) = (self.sizes, self.own);
        let size = |size, of_own| if of_own == own { size } else { 1 };
        [size(p, op), size(q, oq), size(r, or)]
    }

    #[inline(always)]
    fn along(&self, [p, q, r]: [usize; 3], first: [usize; 3], mut row: impl FnMut([usize; 3])) {
        fn after([a, b, out]: [usize; 3], [da, db, d_out]: [usize; 3]) -> [usize; 3] {
            // May wrap behind the last row, whose offset is not used.
            [
                a.wrapping_add(da),
                b.wrapping_add(db),
                out.wrapping_add(d_out),
            ]
        }
        if p == 0 || q == 0 || r == 0 {
            return; // without loops over the other sizes, which may be huge
        }
        let [p_step, q_step, r_step] = self.steps;
        let mut i = first;
        for _ in 0..p {
            let mut j = i;
            for _ in 0..q {
                let mut k = j;
                for _ in 0..r {
                    row(k);
                    k = after(k, r_step);
                }
                j = after(j, q_step);
            }
            i = after(i, p_step);
        }
    }
}
