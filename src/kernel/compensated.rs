//! Compensated sums: the accumulator of all long sums.
//!
//! ```text
//! total = -0.0, part = -0.0
//! for each block of terms:
//!     (total, part) = carry(total, part)
//!     part = part + the block's terms          in the order of the block
//! sum = total + part
//!
//! carry(total, part): s = total + part;  (s, part - (s - total))
//! ```
//!
//! Every block starts with the rounding error of the total (W. Kahan, "Further remarks
//! on reducing truncation errors", 1965, applied to blocks), so that the error of a sum is that
//! of one block, whatever their number: at most two roundings of the sum of all
//! magnitudes, beside those within blocks. Adding up the rounding errors in a second sum
//! (Neumaier) is not enough: the second sum drifts as well, by 1311 × 2⁻²⁴ after a million equal
//! terms. A sum of one block has the bits of the plain loop, because the first `carry` leaves
//! total and part at `-0.0`, the identity of addition.
//!
//! Each of the following computes such sums. Where two of them can compute the same sum, they
//! add in the same order.
//!
//! | code | adds | reason for code of its own |
//! | --- | --- | --- |
//! | `reduce::in_order` | up to 16 neighbours | a tree would cost a short sum twice the time |
//! | `reduce::long_reduce` | neighbours, in vectors | four vectors of partial sums stay in registers |
//! | `reduce::one_by_one` | neighbours, one at a time | partial sums are in memory; takes any function |
//! | `reduce::long_sum` | three kinds of neighbours, without vectors | one copy for the three: 60 bytes of flash |
//! | `affine` | a dot product and a sum in one pass | reading twice would take twice as long |
//! | `axis::sums_of_rows`, `sum_of_column` | terms across rows, in vectors or not | a row is loaded once for all columns |
//! | [`Columns`] | terms that come one by one, in registers | serves softmax and gradients of broadcast operands |
//! | [`Tile`] | terms that come one by one, in memory | one copy for all functions, which are behind a pointer: a thermometer recorded with operators takes 2,964 bytes of flash less, of 19,712, and no more instructions |
//! | [`Running`](super::Running) | terms that are computed one after the other | the terms are in no slice; the order is that of `sum` |
//! | `window::sum_of_rows` | a term of each row of a batch | the terms are sums themselves: a carry for each |
//! | `groups::cumulative_sums` | neighbours along an axis | every partial sum is a result: a carry for each term |
//! | `matmul::vectors`, `matmul::scalar` | products | each factor is used for several sums |
//!
//! If a total is infinite or NaN, its rounding error is neither finite nor useful: `part` then
//! becomes 0, and the total stays as it is.

use core::ops::{Add, Sub};

use super::Lanes;
use super::slices::{for_each, rests, runs, shortest};

/// The terms in a block of a sum of neighbours. Each of 32 partial sums gets 16 of them: a sum
/// of equal numbers is then off by 4.3 × 2⁻²⁴ at most, by 1.7 × 2⁻²⁴ on average.
pub(super) const BLOCK: usize = 512;

/// The most terms of a sum across rows that are added in order.
pub(super) const ROWS_IN_ORDER: usize = 64;

/// The terms in a block of a longer sum across rows. A sum of equal numbers is then off by
/// 8.8 × 2⁻²⁴ at most, by 3.5 × 2⁻²⁴ on average. Blocks of 64 would double this error; blocks of
/// 16 would halve it and cost a matrix product twice as much.
pub(super) const ROWS_OF_BLOCK: usize = 32;

/// The length of a block of a sum of `terms` across rows.
#[inline(always)]
pub(super) const fn rows_of_block(terms: usize) -> usize {
    if terms > ROWS_IN_ORDER {
        ROWS_OF_BLOCK
    } else {
        usize::MAX
    }
}

/// The rounded sum of two numbers, and its rounding error: together they are the exact sum. Either
/// number may be the larger (D. E. Knuth, "The Art of Computer Programming", volume 2, 4.2.2).
#[inline(always)]
pub(crate) fn two_sum<T: Copy + Add<Output = T> + Sub<Output = T>>(a: T, b: T) -> (T, T) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// Adds a part to a total. Returns the new total, and what rounding lost of the part, or 0 if
/// that is not finite.
#[inline(always)]
pub(crate) fn carry<L: Lanes>(total: L, part: L) -> (L, L) {
    let (sum, lost) = carry_unchecked(total, part);
    (sum, finite_or_zero(lost))
}

/// [`carry`] without the check that the loss is finite.
#[inline(always)]
pub(super) fn carry_unchecked<L: Lanes>(total: L, part: L) -> (L, L) {
    let sum = total + part;
    (sum, part - (sum - total))
}

/// The loss, or 0 if it is infinite or NaN.
#[inline(always)]
pub(super) fn finite_or_zero<L: Lanes>(lost: L) -> L {
    L::select(is_finite(lost), lost, L::splat(0.0))
}

#[inline(always)]
pub(super) fn is_finite<L: Lanes>(x: L) -> L::Mask {
    x.abs().lt(L::splat(f32::INFINITY))
}

/// [`carry`] of each part to its total. One copy for all sums where flash is scarce.
#[cfg_attr(
    any(
        target_feature = "sse2",
        target_feature = "neon",
        target_feature = "simd128"
    ),
    inline(always)
)]
#[cfg_attr(
    not(any(
        target_feature = "sse2",
        target_feature = "neon",
        target_feature = "simd128"
    )),
    inline(never)
)]
pub(crate) fn carry_all(totals: &mut [f32], parts: &mut [f32]) {
    for (total, part) in totals.iter_mut().zip(parts) {
        (*total, *part) = carry(*total, *part);
    }
}

/// `N` sums whose terms are computed from `M` slices, as far as the shortest reaches. `whole`
/// adds up a block of terms, and `rest` the last terms, fewer than a block.
#[inline(always)]
pub(super) fn in_blocks<const N: usize, const M: usize>(
    xs: [&[f32]; M],
    mut whole: impl FnMut([&[f32; BLOCK]; M]) -> [f32; N],
    rest: impl FnOnce([&[f32]; M]) -> [f32; N],
) -> [f32; N] {
    let n = shortest(&xs);
    let (mut totals, mut parts) = ([-0.0; N], [-0.0; N]);
    let mut close = |sums: [f32; N]| {
        for ((total, part), sum) in totals.iter_mut().zip(&mut parts).zip(sums) {
            (*total, *part) = carry(*total, *part);
            *part += sum;
        }
    };
    for_each(
        runs(&xs),
        &[0.0; BLOCK],
        #[inline(always)]
        |block| block,
        #[inline(always)]
        |blocks| close(whole(*blocks)),
    );
    let xs = rests::<BLOCK, M>(&xs);
    if shortest(&xs) > 0 {
        let sums = rest(xs);
        if n < BLOCK {
            return sums; // a single block has no total to be added to
        }
        close(sums);
    }
    add(&mut totals, &parts);
    totals
}

#[inline(always)]
fn add(to: &mut [f32], terms: &[f32]) {
    for (to, term) in to.iter_mut().zip(terms) {
        *to += term;
    }
}

/// The number of sums in a [`Tile`].
pub(super) const TILE: usize = 16;

/// Several sums in memory, on the stack.
pub(super) struct Tile {
    pub(super) sums: [f32; TILE],
    /// The totals of all blocks but the last.
    totals: [f32; TILE],
}

impl Tile {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Tile {
            sums: [-0.0; TILE],
            totals: [-0.0; TILE],
        }
    }

    /// Ends a block of each sum.
    #[inline(never)]
    pub(super) fn carry(&mut self) {
        carry_all(&mut self.totals, &mut self.sums);
    }

    /// Adds the totals to the sums, after the last term.
    #[inline(never)]
    pub(super) fn finish(&mut self) {
        add(&mut self.sums, &self.totals);
    }
}

/// `M` vectors of sums whose terms come one after the other. Up to [`ROWS_IN_ORDER`] terms are
/// added in order, more in blocks of [`ROWS_OF_BLOCK`].
pub(super) struct Columns<L, const M: usize> {
    totals: [L; M],
    parts: [L; M],
    blocks: Blocks,
}

impl<L: Lanes, const M: usize> Columns<L, M> {
    /// Begins sums of `terms` terms each.
    #[inline(always)]
    pub(super) fn of(terms: usize) -> Self {
        Columns {
            totals: [L::splat(-0.0); M],
            parts: [L::splat(-0.0); M],
            blocks: Blocks::of(terms),
        }
    }

    /// Adds the next term of each sum.
    #[inline(always)]
    pub(super) fn add(&mut self, terms: [L; M]) {
        if self.blocks.next() {
            carry_vectors(&mut self.totals, &mut self.parts);
        }
        for (part, term) in self.parts.iter_mut().zip(terms) {
            *part = *part + term;
        }
    }

    /// The sums.
    #[inline(always)]
    pub(super) fn sums(mut self) -> [L; M] {
        for (total, part) in self.totals.iter_mut().zip(self.parts) {
            *total = *total + part;
        }
        self.totals
    }
}

/// [`carry`] of vectors in registers.
#[inline(always)]
pub(super) fn carry_vectors<L: Lanes, const M: usize>(totals: &mut [L; M], parts: &mut [L; M]) {
    for (total, part) in totals.iter_mut().zip(parts) {
        (*total, *part) = carry(*total, *part);
    }
}

/// Counts the terms of a sum across rows, to find the ends of blocks.
pub(super) struct Blocks {
    block: usize,
    left: usize,
}

impl Blocks {
    #[inline(always)]
    pub(super) fn of(terms: usize) -> Self {
        let block = rows_of_block(terms);
        Blocks { block, left: block }
    }

    /// Counts one more term, and returns whether it begins another block.
    #[inline(always)]
    pub(super) fn next(&mut self) -> bool {
        let full = self.left == 0;
        if full {
            self.left = self.block;
        }
        self.left -= 1;
        full
    }
}
