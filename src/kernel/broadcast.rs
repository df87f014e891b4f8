//! How two operands are walked to give one result.

use crate::shape::{MAX_RANK, Shape};

/// Two operands stretched to one shape, worked out once.
///
/// Neighbouring dimensions that both operands treat alike are merged, so that
/// equal shapes, a scalar, a row or a column end up as one or two dimensions
/// whatever their rank. What is left says of each dimension whether an operand
/// has it or is repeated along it; since operands are contiguous, strides
/// follow from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// Sizes, innermost last, padded in front with 1.
    dims: [usize; MAX_RANK],
    /// Bit `d`: the operand has dimension `d`.
    a: u8,
    b: u8,
}

/// A walk of a single row, which most are: same shapes, or a number and any shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// Both sides have all of the row.
    Both,
    /// Side `b` has one value for all.
    OnlyA,
    /// Side `a` has one value for all.
    OnlyB,
}

impl Row {
    /// A flag among the packed sides: the walk is a single row.
    const SINGLE: u32 = 1 << (2 * MAX_RANK);

    /// The single row that the packed walk is, if it is one.
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
    /// The side has the innermost dimension.
    const INNER: u8 = 1 << (MAX_RANK - 1);

    /// The common shape and the walk, or `None` if the shapes do not fit.
    pub fn new(a: &Shape, b: &Shape) -> Option<(Shape, Self)> {
        let shape = a.broadcast(b)?;
        let rank = shape.rank() as u8;
        let mut merged = Broadcast {
            dims: [1; MAX_RANK],
            a: 0,
            b: 0,
        };
        if shape.numel() == 0 {
            // No rows, and nothing in them, however large the other sizes are.
            merged.dims = [1, 1, 0, 0];
            return Some((shape, merged));
        }
        // From the innermost dimension outwards; `at` is the one being merged.
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
            // One element: two slices of length 1.
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

    /// As words, to be kept on the tape.
    pub(crate) fn pack(self) -> ([u32; 4], u32) {
        let [p, q, r, s] = self.dims;
        let words = [p as u32, q as u32, r as u32, s as u32];
        let sides = u32::from(self.a) | u32::from(self.b) << MAX_RANK;
        let single = p == 1 && q == 1 && r == 1;
        (words, if single { sides | Row::SINGLE } else { sides })
    }

    /// The walk that [`pack`](Self::pack) packed.
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

    /// Whether each side has the innermost dimension, or one value for all.
    #[inline(always)]
    pub(crate) fn has_inner(&self) -> (bool, bool) {
        (self.a & Self::INNER != 0, self.b & Self::INNER != 0)
    }

    /// How rows, runs of the innermost dimension, follow each other.
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
                    run = run.wrapping_mul(*size); // nothing is there if it wraps
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
    /// How far it is from one place along each to the next, in `a`, `b` and the result.
    steps: [[usize; 3]; 3],
    /// Whether `a` has the dimension.
    own: [bool; 3],
}

impl Walk {
    /// Calls `row` with where each row begins in `a`, `b` and the result, in order.
    #[inline(always)]
    pub(crate) fn rows(&self, row: impl FnMut([usize; 3])) {
        self.along(self.sizes, [0; 3], row);
    }

    /// Calls `row` as [`rows`](Self::rows), for the first row at each place along the
    /// dimensions that `a` has.
    #[inline(always)]
    pub(crate) fn own(&self, row: impl FnMut([usize; 3])) {
        self.along(self.those(true), [0; 3], row);
    }

    /// Calls `row` as [`rows`](Self::rows), for the rows from `first` on, at each place along
    /// the dimensions that `a` lacks.
    #[inline(always)]
    pub(crate) fn repeated(&self, first: [usize; 3], row: impl FnMut([usize; 3])) {
        self.along(self.those(false), first, row);
    }

    /// How many rows [`repeated`](Self::repeated) shows.
    #[inline(always)]
    pub(crate) fn repeats(&self) -> usize {
        let [p, q, r] = self.those(false);
        p.saturating_mul(q).saturating_mul(r)
    }

    /// The sizes of the dimensions that `a` has, or lacks; 1 for the others.
    #[inline(always)]
    fn those(&self, own: bool) -> [usize; 3] {
        let ([p, q, r], [op, oq, or]) = (self.sizes, self.own);
        let size = |size, of_own| if of_own == own { size } else { 1 };
        [size(p, op), size(q, oq), size(r, or)]
    }

    #[inline(always)]
    fn along(&self, [p, q, r]: [usize; 3], first: [usize; 3], mut row: impl FnMut([usize; 3])) {
        fn after([a, b, out]: [usize; 3], [da, db, d_out]: [usize; 3]) -> [usize; 3] {
            // Wraps behind the last row, where the place is no longer used.
            [
                a.wrapping_add(da),
                b.wrapping_add(db),
                out.wrapping_add(d_out),
            ]
        }
        if p == 0 || q == 0 || r == 0 {
            return; // however large the others are
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
