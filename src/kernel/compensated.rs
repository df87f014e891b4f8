//! Long sums that stay accurate: the one accumulator behind all of them.
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
//! Every block starts with what rounding took from the total (W. Kahan, "Further remarks
//! on reducing truncation errors", 1965, block by block), so that the error is that of one
//! block and does not grow with their number: at most two roundings of the sum of all
//! magnitudes, beside those within blocks. Collecting what is lost in a sum of its own
//! (Neumaier) is not enough: that sum drifts as well, by 1311 × 2⁻²⁴ after a million equal
//! terms. A sum of one block has the bits of the plain loop, since the first `carry` finds
//! `-0.0` twice, the identity of addition, and leaves it.
//!
//! Every sum of the kernels is one of these, in the same order wherever two can be asked for:
//!
//! | | adds | is apart because |
//! | --- | --- | --- |
//! | `reduce::in_order` | up to 16 neighbours | a tree would cost a short sum twice the time |
//! | `reduce::long_reduce` | neighbours, in vectors | four vectors of partial sums stay in registers |
//! | `reduce::one_by_one` | neighbours, one at a time | partial sums are in memory; takes any function |
//! | `reduce::long_sum` | three kinds of neighbours, without vectors | one copy for the three: 60 bytes of flash |
//! | `affine` | a dot product and a sum in one pass | reading twice would take twice as long |
//! | `axis::sums_of_rows`, `sum_of_column` | terms across rows, in vectors or not | a row is loaded once for all columns |
//! | [`Columns`] | terms that come one by one, in registers | serves softmax and gradients of stretched operands |
//! | [`Tile`] | terms that come one by one, in memory | no copy for each function, which is behind a pointer: a thermometer spelled with operators takes 2,964 bytes of flash less, of 19,712, and no more instructions |
//! | [`Running`](super::Running) | terms that are computed one after the other | no slice has them; the order is that of `sum` |
//! | `window::sum_of_rows` | a term of each row of a batch | such terms are sums themselves: a carry for each |
//! | `groups::cumulative_sums` | neighbours along an axis | every partial sum is a result: a carry for each term |
//! | `matmul::vectors`, `matmul::scalar` | products | factors are used for several sums each |
//!
//! An infinity, NaN or an overflow has lost nothing that could be carried: `part` is 0
//! then, and the total stays what it is.

use core::ops::{Add, Sub};

use super::Lanes;
use super::slices::{for_each, rests, runs, shortest};

/// Terms of a block of a sum of neighbours. Each of 32 partial sums gets 16: equal numbers
/// are then off by 4.3 × 2⁻²⁴ at most, by 1.7 on average.
pub(super) const BLOCK: usize = 512;

/// Terms of a sum across rows that are added in order.
pub(super) const ROWS_IN_ORDER: usize = 64;

/// Terms of a block of a sum across rows, if it has more. Equal numbers are then off by
/// 8.8 × 2⁻²⁴ at most, by 3.5 on average; blocks of 64 would double that, blocks of 16 halve it
/// and cost a matrix product twice as much.
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

/// The sum of two numbers, and what rounding took from it, whichever of the two is larger (D. E.
/// Knuth, "The Art of Computer Programming", volume 2, 4.2.2).
#[inline(always)]
pub(crate) fn two_sum<T: Copy + Add<Output = T> + Sub<Output = T>>(a: T, b: T) -> (T, T) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// Adds a part to a total: the new total, and what rounding took from it.
#[inline(always)]
pub(crate) fn carry<L: Lanes>(total: L, part: L) -> (L, L) {
    let (sum, lost) = carry_unchecked(total, part);
    (sum, finite_or_zero(lost))
}

/// [`carry`] without the check that the loss is a finite number.
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

/// `N` sums whose terms are computed from `M` slices of the same length. `whole` adds up a
/// block of terms, and `rest` those at the end, which are fewer.
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
            return sums; // of a single block
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

/// A few sums in memory, on the stack.
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

    /// Ends a block.
    #[inline(never)]
    pub(super) fn carry(&mut self) {
        carry_all(&mut self.totals, &mut self.sums);
    }

    /// Makes sums of all that was added.
    #[inline(never)]
    pub(super) fn finish(&mut self) {
        add(&mut self.sums, &self.totals);
    }
}

/// `M` vectors of sums to which terms come one after the other: in order if they are few,
/// otherwise in blocks of [`ROWS_OF_BLOCK`].
pub(super) struct Columns<L, const M: usize> {
    totals: [L; M],
    parts: [L; M],
    blocks: Blocks,
}

impl<L: Lanes, const M: usize> Columns<L, M> {
    /// Sums of so many terms.
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

/// Counts the terms of a sum across rows, and says when a block is full.
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

    /// Counts one more term: whether the block before it is full.
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
