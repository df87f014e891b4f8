//! Mini-batches: the order in which a fit sees rows, and how many at a time.

use core::ops::Range;
use std::vec::Vec;

use crate::random::{Xoshiro128PlusPlus, randperm, seeded};

/// The mini-batches of an epoch: every row once, in batches of a fixed size.
///
/// ```
/// use baregrad::train::Batches;
///
/// let mut batches = Batches::new(7, 3).shuffled(1);
/// for _epoch in 0..2 {
///     batches.next_epoch();
///     let mut seen: Vec<u32> = batches.iter().flatten().copied().collect();
///     seen.sort();
///     assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
/// }
/// let sizes: Vec<_> = batches.iter().map(<[u32]>::len).collect();
/// assert_eq!(sizes, [3, 3, 1]);                            // the last one kept
/// assert_eq!(Batches::new(7, 3).drop_last().iter().count(), 2); // or dropped
/// ```
#[derive(Clone, Debug)]
pub struct Batches {
    order: Vec<u32>,
    size: usize,
    drop_last: bool,
    shuffle: Option<Xoshiro128PlusPlus>,
}

impl Batches {
    /// Batches of `size` rows (at least 1) over the rows `0..rows`, in order.
    #[must_use]
    pub fn new(rows: usize, size: usize) -> Self {
        Batches {
            order: (0..u32::MAX).take(rows).collect(),
            size: size.max(1),
            drop_last: false,
            shuffle: None,
        }
    }

    /// Shuffles the rows anew for each epoch, with random numbers drawn from `seed`.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Self {
        self.shuffle = Some(seeded(seed));
        self
    }

    /// Leaves out the last batch if it is smaller than the others, unless it is the only one.
    #[must_use]
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// Draws a new order for the next epoch if the batches are shuffled.
    pub fn next_epoch(&mut self) {
        if let Some(rng) = &mut self.shuffle {
            randperm(rng, &mut self.order);
        }
    }

    /// Iterates over the batches, each as the indices of its rows.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.ranges().filter_map(|range| self.order.get(range))
    }

    /// All rows, in the order of this epoch.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// The position of each batch within [`order`](Self::order).
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, size) = (self.order.len(), self.size);
        let whole_only = self.drop_last && rows >= size;
        let end = if whole_only { rows - rows % size } else { rows };
        (0..end)
            .step_by(size)
            .map(move |start| start..end.min(start + size))
    }
}
