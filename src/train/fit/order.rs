//! The order of the samples in each epoch.

use super::Fit;
use crate::random::{Xoshiro128PlusPlus, seeded};
use crate::train::batches::Batches;
use crate::train::samples::Samples;

/// The samples that an epoch sees, in order.
pub(super) struct Order<'a> {
    training: &'a Samples,
    pub(super) batches: Batches,
    noise: f32,
    noise_rng: Xoshiro128PlusPlus,
    /// Whether epochs see different samples, or the same ones in another order.
    pub(super) changes: bool,
    pub(super) seen: Samples,
}

impl<'a> Order<'a> {
    pub(super) fn new<M: ?Sized>(fit: &Fit<'a, M>) -> Self {
        let mut batches = Batches::new(fit.training.rows(), fit.batch_size);
        let shuffles = fit.shuffle && !fit.in_order;
        if shuffles {
            batches = batches.shuffled(fit.seed);
        }
        if fit.drop_last {
            batches = batches.drop_last();
        }
        Order {
            training: fit.training,
            batches,
            noise: fit.noise,
            // A stream of random numbers independent of the one that shuffles.
            noise_rng: seeded(!fit.seed),
            changes: shuffles || fit.noise > 0.0,
            seen: fit.training.clone(),
        }
    }

    /// Returns whether an epoch is one update by the loss of all samples, without noise.
    pub(super) fn is_one_update(&self) -> bool {
        let mut ranges = self.batches.ranges();
        let first = ranges.next().unwrap_or_default();
        first.len() == self.training.rows() && ranges.next().is_none() && self.noise == 0.0
    }

    pub(super) fn next_epoch(&mut self) {
        if self.changes {
            self.batches.next_epoch();
            self.seen.gather(self.training, self.batches.order());
        }
        if self.noise > 0.0 {
            // `Fit::check` has made sure that the standard deviation is valid.
            let added = self.seen.add_noise(self.noise, &mut self.noise_rng);
            debug_assert!(added.is_ok());
        }
    }
}
