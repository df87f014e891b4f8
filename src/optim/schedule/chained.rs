//! Two schedules that both change the rate in every epoch.

use super::{Now, OptimizerError, Rates, Schedule, Show, Visit};

/// Both schedules in every epoch, `second` on the result of `first`, as
/// `torch.optim.lr_scheduler.ChainedScheduler`. Nest them for more than two schedules, most
/// easily with [`Schedule::chain`]: `a.chain(b).chain(c)`.
#[derive(Clone, Copy, Debug)]
pub struct ChainedScheduler<A, B> {
    first: A,
    second: B,
}

impl<A: Schedule, B: Schedule> ChainedScheduler<A, B> {
    /// Runs `first` and, on its result, `second`.
    #[must_use]
    pub const fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A: Schedule, B: Schedule> Schedule for ChainedScheduler<A, B> {
    fn observe(&mut self, now: &Now) {
        self.first.observe(now);
        self.second.observe(now);
    }

    fn set(&mut self, now: &Now, rates: &mut Rates) {
        self.first.set(now, rates);
        self.second.set(now, rates);
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
        show("ChainedScheduler", &[]);
        self.first.visit_hyper(show);
        self.second.visit_hyper(show);
    }
}
