//! The two ways to move the parameters: an optimizer with its schedule, or a search.

use std::vec::Vec;

use crate::error::Error;
use crate::optim::schedule::{Schedule, Scheduler};
use crate::optim::{Answer, Optimizer, OptimizerError, Search};
use crate::tape::Tape;
use crate::train::model::Param;
use crate::train::step::{Penalised, Prepared};

/// Moves the parameters, once per batch.
pub(super) trait Update {
    /// The learning rate of the next step.
    fn learning_rate(&self) -> f32;

    /// Moves the parameters by the gradients on the tape; `loss` is the loss that they
    /// belong to. Returns whether the parameters are now at a minimum.
    fn step(&mut self, tape: &Tape<'_>, loss: f32) -> Result<bool, Error>;

    /// Returns whether the parameters are at a minimum.
    fn has_found(&self) -> bool {
        false
    }

    /// Prepares for another epoch, given the watched loss of the last one.
    fn next_epoch(&mut self, loss: f32);

    /// Returns earlier parameters if `params`, whose loss is `loss`, are worse: a search
    /// may end at a trial point.
    fn better_than(&self, loss: f32, params: &[Param]) -> Option<Vec<f32>> {
        let _ = (loss, params);
        None
    }
}

/// An optimizer with the schedule of its learning rate.
pub(super) struct Steps<'a, O: Optimizer + ?Sized, S: Schedule> {
    pub(super) optimizer: Prepared<'a, O>,
    pub(super) scheduler: Option<Scheduler<S>>,
}

impl<O: Optimizer + ?Sized, S: Schedule> Update for Steps<'_, O, S> {
    fn learning_rate(&self) -> f32 {
        self.optimizer.learning_rate()
    }

    fn step(&mut self, tape: &Tape<'_>, _: f32) -> Result<bool, Error> {
        if let Some(scheduler) = &self.scheduler {
            scheduler.check_on(tape)?;
        }
        tape.step(&mut self.optimizer).map(|()| false)
    }

    fn next_epoch(&mut self, loss: f32) {
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.step_with(loss, &mut self.optimizer);
        }
    }
}

/// A search that receives losses and gradients with their penalties.
pub(super) struct Searching<'a, S: Search + ?Sized> {
    search: &'a mut S,
    penalised: Penalised,
    grads: Vec<f32>,
    /// The parameters with the lowest loss so far.
    best: Vec<f32>,
    least: f32,
    found: bool,
}

impl<'a, S: Search + ?Sized> Searching<'a, S> {
    pub(super) fn new(search: &'a mut S, penalised: Penalised) -> Self {
        Searching {
            search,
            penalised,
            grads: Vec::new(),
            best: Vec::new(),
            least: f32::INFINITY,
            found: false,
        }
    }
}

impl<S: Search + ?Sized> Search for Searching<'_, S> {
    fn tell(
        &mut self,
        params: &mut [f32],
        loss: f32,
        grads: &[f32],
    ) -> Result<Answer, OptimizerError> {
        let loss = loss + self.penalised.loss(params.iter().copied());
        if loss < self.least {
            self.least = loss;
            self.best.clear();
            self.best.extend_from_slice(params);
        }
        self.grads.clear();
        self.grads.extend_from_slice(grads);
        self.penalised.add_to(&mut self.grads, params);
        self.search.tell(params, loss, &self.grads)
    }
}

impl<S: Search + ?Sized> Update for Searching<'_, S> {
    /// A search finds its step length itself.
    fn learning_rate(&self) -> f32 {
        1.0
    }

    fn step(&mut self, tape: &Tape<'_>, loss: f32) -> Result<bool, Error> {
        let answer = tape.tell(loss, self)?;
        self.found = matches!(answer, Answer::Found(reason) if reason.is_minimum());
        Ok(self.found)
    }

    fn has_found(&self) -> bool {
        self.found
    }

    fn next_epoch(&mut self, _: f32) {}

    fn better_than(&self, loss: f32, params: &[Param]) -> Option<Vec<f32>> {
        let values = params
            .iter()
            .flat_map(|param| param.values().iter().copied());
        let here = loss + self.penalised.loss(values);
        // `better_than` keeps `params` if the losses are equal in `f32`: the search may
        // have found a minimum that `f32` does not tell from an earlier point.
        let is_worse = self.least < here || here.is_nan();
        (is_worse && !self.best.is_empty()).then(|| self.best.clone())
    }
}
