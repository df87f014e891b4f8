//! Groups of numbers that are reduced together, along any dimensions. One number at a time:
//! these reductions are rare.

use super::compensated::{finite_or_zero, two_sum};
use super::running::sum_in_turn;
use super::slices::one;
use super::{Acc, carry};
use crate::shape::{MAX_RANK, Shape};

/// A contiguous tensor seen as `[a, r, b, s, c]`, of which `r` and `s` are reduced. Neighbouring
/// dimensions that are both reduced, or both kept, count as one, so that five suffice for all
/// choices among four dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout([usize; 5]);

impl Layout {
    /// The layout of a shape whose dimension `d` is reduced if bit `d` of `axes` is set.
    pub(crate) fn new(shape: &Shape, axes: u32) -> Self {
        let mut sizes = [1_usize; 5];
        let mut at = 0;
        for axis in 0..MAX_RANK {
            let size = shape.dim(axis);
            if size == 1 {
                continue; // a size of 1 changes nothing, and all are 1 beyond the rank
            }
            // Even places of `sizes` are kept, odd ones reduced.
            if at % 2 != (axes >> axis & 1) as usize {
                at += 1;
            }
            if let Some(to) = sizes.get_mut(at) {
                *to = to.saturating_mul(size);
            }
        }
        Layout(sizes)
    }

    /// The tensor as `[outer, len, inner]`, if the reduced dimensions are neighbours.
    pub(crate) fn around(self) -> Option<[usize; 3]> {
        let [a, r, b, s, c] = self.0;
        (s == 1).then_some([a, r, b.saturating_mul(c)])
    }

    /// The numbers of a group.
    pub(crate) fn len(self) -> usize {
        let [_, r, _, s, _] = self.0;
        r.saturating_mul(s)
    }

    /// The groups of a tensor, in the order of the results.
    pub(crate) fn groups(self, x: &[f32]) -> impl Iterator<Item = Group<'_>> {
        // Products of sizes can overflow only if the tensor is empty, and then so is each group.
        let [_, mut r, b, s, c] = self.0;
        if x.is_empty() {
            r = 0;
        }
        let inner = b.saturating_mul(c);
        let groups = x.len().checked_div(self.len()).unwrap_or(usize::MAX);
        (0..groups).map(move |k| {
            let (outer, inner) = (k / inner.max(1), k % inner.max(1));
            let (middle, column) = (inner / c.max(1), inner % c.max(1));
            let row = s.saturating_mul(c);
            let start = outer.wrapping_mul(r).wrapping_mul(b);
            Group {
                x,
                start: start
                    .wrapping_add(middle)
                    .wrapping_mul(row)
                    .wrapping_add(column),
                rows: [r, b.saturating_mul(row)],
                columns: [s, c],
            }
        })
    }
}

/// The numbers that are reduced to one result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group<'x> {
    x: &'x [f32],
    start: usize,
    /// The number of rows, and their stride.
    rows: [usize; 2],
    /// The number of columns, and their stride.
    columns: [usize; 2],
}

impl<'x> Group<'x> {
    pub(crate) fn len(&self) -> usize {
        let ([r, _], [s, _]) = (self.rows, self.columns);
        r.saturating_mul(s)
    }

    fn places(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let (start, [r, row], [s, column]) = (self.start, self.rows, self.columns);
        (0..r).flat_map(move |i| (0..s).map(move |j| start + i * row + j * column))
    }

    /// The numbers, in the order of their places in the tensor.
    pub(crate) fn iter(&self) -> impl Iterator<Item = f32> + Clone + use<'x> {
        let x = self.x;
        self.places().map(move |place| one(x, place))
    }

    /// The sum of `f` over the numbers, in the order of [`sum`](super::sum).
    pub(crate) fn sum_of(&self, f: impl Fn(f32) -> f32) -> f32 {
        sum_in_turn(self.iter().map(f), self.len())
    }

    /// The maximum of `f` over the numbers, or NaN if a value is NaN; `-inf` of an empty group.
    pub(crate) fn max_of(&self, f: impl Fn(f32) -> f32) -> f32 {
        let larger = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
        let max = self
            .iter()
            .map(f)
            .reduce(|a, b| if a.is_nan() { a } else { larger(a, b) });
        max.unwrap_or(f32::NEG_INFINITY)
    }

    /// Writes `f` of each number to its place in `out`, or adds it.
    pub(crate) fn put(&self, out: &mut [f32], acc: Acc, f: impl Fn(f32) -> f32) {
        for place in self.places() {
            if let Some(to) = out.get_mut(place) {
                acc.put(to, f(one(self.x, place)));
            }
        }
    }
}

/// The sums of all numbers up to and including each, or with `BACKWARD` from each on, along the
/// middle dimension of `x[outer, len, inner]`. They start at 0, so that none is -0.0.
///
/// Rounding errors are carried from each sum to the next, so that no sum is off by more than two
/// roundings of the largest sum so far, however many terms it has.
pub(crate) fn cumulative_sums<const BACKWARD: bool>(
    x: &[f32],
    [outer, len, inner]: [usize; 3],
    out: &mut [f32],
    acc: Acc,
) {
    if out.is_empty() {
        return; // without loops over the other sizes, which may be huge
    }
    for o in 0..outer {
        for j in 0..inner {
            let (mut total, mut part) = (0.0, 0.0);
            for i in 0..len {
                let i = if BACKWARD { len - 1 - i } else { i };
                let place = (o * len + i) * inner + j;
                let (sum, lost) = two_sum(total, one(x, place));
                (total, part) = carry(sum, part + finite_or_zero(lost));
                if let Some(to) = out.get_mut(place) {
                    acc.put(to, total + part);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_count_as_one() {
        let shape = Shape::from([2, 3, 4, 5]);
        let sizes = |axes| Layout::new(&shape, axes).0;
        assert_eq!(sizes(0b0000), [120, 1, 1, 1, 1]);
        assert_eq!(sizes(0b1111), [1, 120, 1, 1, 1]);
        assert_eq!(sizes(0b0110), [2, 12, 5, 1, 1]);
        assert_eq!(sizes(0b1001), [1, 2, 12, 5, 1]);
        assert_eq!(sizes(0b0101), [1, 2, 3, 4, 5]);
        assert_eq!(sizes(0b1010), [2, 3, 4, 5, 1]);
        assert_eq!(
            Layout::new(&Shape::from([2, 1, 4]), 0b101).0,
            [1, 8, 1, 1, 1]
        );
        assert_eq!(Layout::new(&Shape::from([3, 0]), 0b10).len(), 0);
    }
}
