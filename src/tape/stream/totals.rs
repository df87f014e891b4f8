//! Totals of gradients over many micro-batches, and the memory for them.
//!
//! ```text
//! | parameters | gradients | intermediate …free… | totals of gradients | values |
//!                                           bottom'                bottom
//! ```
//!
//! There is a total for each float of the parameters. Micro-batches add to the gradients as
//! always. After every 64 micro-batches the gradients are added to the totals, and start again
//! from the rounding errors (see [`compensated`](crate::kernel::compensated)).

use super::super::failure::Failed;
use super::super::params::Collected;
use super::super::state::State;
use crate::error::ErrorKind;
use crate::kernel::compensated::carry_all;

impl State<'_> {
    /// Fails if there is no room for totals beside the planned gradients.
    pub(super) fn expect_room_for_totals(&self) -> Result<(), Failed> {
        let needed = self.used() + self.plan.floats + self.params.floats;
        let capacity = self.floats.len();
        if needed > capacity {
            return Err(self.fail(ErrorKind::Floats { needed, capacity }));
        }
        Ok(())
    }

    /// Sets free memory aside for totals. The caller has checked that there is enough. The next
    /// backward pass plans its gradients in front of the totals.
    #[cold]
    #[inline(never)]
    pub(crate) fn set_totals_aside(&mut self) {
        self.plan.forget();
        self.bottom -= self.params.floats;
        let (_, totals) = self.grads_and_totals();
        totals.fill(-0.0);
        if self.params.collected.get() != Collected::NONE {
            // Carries earlier gradients over at once: to add a micro-batch to a large gradient
            // would lose digits of the micro-batch.
            self.mark_written();
            self.carry_grads();
        }
    }

    /// Carries gradients over to their totals.
    #[cold]
    #[inline(never)]
    pub(crate) fn carry_grads(&mut self) {
        let (grads, totals) = self.grads_and_totals();
        carry_all(totals, grads);
    }

    /// Adds the totals to what the gradients hold since the last carry, and frees the memory of
    /// the totals.
    #[cold]
    #[inline(never)]
    pub(crate) fn give_totals_back(&mut self) {
        let (grads, totals) = self.grads_and_totals();
        for (grad, total) in grads.iter_mut().zip(totals) {
            *grad += *total;
        }
        self.bottom += self.params.floats;
    }

    fn grads_and_totals(&mut self) -> (&mut [f32], &mut [f32]) {
        let (params, end) = (self.params.floats, self.bottom + self.params.floats);
        let floats = self.floats.get_mut(params..end).unwrap_or_default();
        let totals = floats.len() - params.min(floats.len());
        let (grads, totals) = floats.split_at_mut_checked(totals).unwrap_or_default();
        (grads.get_mut(..params).unwrap_or_default(), totals)
    }
}
