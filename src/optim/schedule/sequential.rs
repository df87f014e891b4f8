//! One schedule after another.

use super::{Now, OptimizerError, Rates, Schedule, Show, Visit};
use crate::optim::builders::show_options;

/// `first` for `milestone` epochs, then `second`, as `torch.optim.lr_scheduler.SequentialLR`.
/// At the milestone, `second` starts with its own epoch 0, and from the base rate if
/// [`Schedule::begins_at_base`].
///
/// Nest them for more than two schedules, most easily with [`Schedule::then`], with all
/// milestones counted from the start: `a.then(5, b).then(20, c)`.
#[derive(Clone, Copy, Debug)]
pub struct SequentialLr<A, B> {
    first: A,
    milestone: u32,
    second: B,
}

impl<A: Schedule, B: Schedule> SequentialLr<A, B> {
    /// Runs `first` up to the milestone, then `second`.
    #[must_use]
    pub const fn new(first: A, milestone: u32, second: B) -> Self {
        Self {
            first,
            milestone,
            second,
        }
    }
}

impl<A: Schedule, B: Schedule> Schedule for SequentialLr<A, B> {
    fn observe(&mut self, now: &Now) {
        match now.epoch.checked_sub(self.milestone) {
            None => self.first.observe(now),
            Some(epoch) => self.second.observe(&Now { epoch, ..*now }),
        }
    }

    fn set(&mut self, now: &Now, rates: &mut Rates) {
        let Some(epoch) = now.epoch.checked_sub(self.milestone) else {
            return self.first.set(now, rates);
        };
        if epoch == 0 && self.second.begins_at_base() {
            rates.lr = rates.base;
        }
        self.second.set(&Now { epoch, ..*now }, rates);
    }

    fn begins_at_base(&self) -> bool {
        self.first.begins_at_base()
    }

    fn visit_state(&mut self, visit: Visit<'_>) {
        self.first.visit_state(visit);
        self.second.visit_state(visit);
    }

    fn check_groups(&self, groups: u32) -> Result<(), OptimizerError> {
        self.first.check_groups(groups)?;
        self.second.check_groups(groups)
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show_options!(self, show, "SequentialLR": milestone);
        self.first.visit_hyper(show);
        self.second.visit_hyper(show);
    }
}
