//! One epoch, and the course of all epochs. [`Fit`](super::Fit) polls them one at a time,
//! and `train::Fit` runs them in a loop.

use super::early::{EarlyStopping, Seen, Watch};
use super::outcome::{Losses, Reason};
use crate::error::Error;
use crate::function::TwoFloat;
use crate::optim::{Visit, visit_count};
use crate::tape::Tape;
use crate::var::Var;

/// Rows of inputs and as many rows of targets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'d> {
    pub(crate) count: usize,
    pub(crate) x: &'d [f32],
    pub(crate) y: &'d [f32],
}

/// A model and its loss on a tape, recorded for `rows` rows at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded<'t> {
    pub(crate) tape: &'t Tape<'t>,
    pub(crate) x: Var<'t>,
    pub(crate) y: Var<'t>,
    pub(crate) loss: Var<'t>,
    pub(crate) rows: usize,
}

impl<'t> Recorded<'t> {
    /// Accumulates the gradients of the mean loss of these rows, and returns the loss.
    #[track_caller]
    fn gradients(&self, batch: Rows<'t>) -> Result<f32, Error> {
        self.tape.zero_grad();
        let data = [(self.x, batch.x), (self.y, batch.y)];
        self.tape.backward_over(self.loss, &data)
    }

    /// The mean loss of these rows, without gradients.
    #[track_caller]
    pub(crate) fn measure(&self, all: Rows<'t>) -> Result<f32, Error> {
        let width = |values: &[f32]| values.len().checked_div(all.count).unwrap_or(1).max(1);
        let at_once = |values| width(values).saturating_mul(self.rows).max(1);
        let inputs = width(all.x);
        let mut mean = Mean::default();
        for (x, y) in all
            .x
            .chunks(at_once(all.x))
            .zip(all.y.chunks(at_once(all.y)))
        {
            self.tape.rebind(self.x, x)?;
            self.tape.rebind(self.y, y)?;
            self.tape.replay()?;
            mean.add(
                self.loss.item()?,
                x.len().checked_div(inputs).unwrap_or_default(),
            );
        }
        Ok(mean.value())
    }
}

/// A mean of losses, weighted by their numbers of rows.
#[derive(Default)]
struct Mean {
    sum: TwoFloat,
    rows: u32,
    /// The first loss, or the first that is not finite.
    one: f32,
    /// Whether only one loss was added, whose mean is the loss itself.
    is_one: bool,
}

impl Mean {
    fn add(&mut self, loss: f32, rows: usize) {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        if self.rows == 0 || (self.one.is_finite() && !loss.is_finite()) {
            self.one = loss;
        }
        self.is_one = self.rows == 0;
        self.rows = self.rows.saturating_add(rows);
        self.sum = self.sum + TwoFloat::of_count(rows) * loss;
    }

    fn value(&self) -> f32 {
        if self.is_one || !self.one.is_finite() {
            self.one
        } else {
            (self.sum / TwoFloat::of_count(self.rows)).to_f32()
        }
    }
}

/// Losses with the parameters at the start of an epoch, measured before the epoch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// The loss of the validation samples.
    pub(crate) validation: Option<f32>,
    /// The watched loss, if it is neither the validation loss nor the loss of the first batch.
    pub(crate) watched: Option<f32>,
}

/// The progress of a fit: counts epochs, watches a loss, and determines why the fit ends.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) epochs: u32,
    pub(crate) watch: Watch,
    /// Whether the last epoch also updates the parameters. Otherwise a further epoch
    /// follows, which only measures the losses.
    pub(crate) ends_with_update: bool,
    epoch: u32,
    losses: Losses,
    stopped: Option<Reason>,
    found: bool,
}

impl Course {
    pub(crate) fn new(epochs: u32) -> Self {
        Course {
            epochs,
            // By default, early stopping never ends the fit.
            watch: Watch::new(EarlyStopping::new(u32::MAX)),
            ends_with_update: false,
            epoch: 0,
            losses: Losses::NONE,
            stopped: None,
            found: false,
        }
    }

    /// The number of epochs that updated the parameters.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn losses(&self) -> Losses {
        self.losses
    }

    /// The reason why the fit ended; `None` while it runs.
    pub(crate) fn stopped(&self) -> Option<Reason> {
        self.stopped
    }

    /// Ends the fit on request.
    pub(crate) fn stop(&mut self) {
        self.stopped.get_or_insert(Reason::Asked);
    }

    /// Runs an epoch: for each batch, computes the gradients and calls `step`, which
    /// returns whether it has found a minimum. Calls `keep` while the tape holds the best
    /// parameters so far. Returns the mean loss of the batches, each before its step, or
    /// the first loss that is not finite.
    #[track_caller]
    pub(crate) fn run<'t>(
        &mut self,
        recorded: &Recorded<'t>,
        batches: impl Iterator<Item = Rows<'t>>,
        measured: Measured,
        mut keep: impl FnMut(&Tape<'t>) -> Result<(), Error>,
        mut step: impl FnMut(&Tape<'t>, f32) -> Result<bool, Error>,
    ) -> Result<f32, Error> {
        let mut mean = Mean::default();
        let mut over = None;
        for (at, batch) in batches.enumerate() {
            let loss = recorded.gradients(batch)?;
            mean.add(loss, batch.count);
            if at == 0 {
                let watched = measured.watched.or(measured.validation).unwrap_or(loss);
                let seen = self.watch.see(self.epoch, watched);
                if seen == Seen::Best && watched.is_finite() {
                    keep(recorded.tape)?;
                }
                over = self.over(seen, loss, measured);
            }
            if !loss.is_finite() || (over.is_some() && !self.ends_with_update) {
                break;
            }
            self.found |= step(recorded.tape, loss)?;
        }
        let training = mean.value();
        self.note(training, measured.validation);
        let is_update = over.is_none() || self.ends_with_update;
        self.epoch = self.epoch.saturating_add(u32::from(is_update));
        if !training.is_finite() {
            over = Some(Reason::Diverged);
        } else if self.ends_with_update && self.epoch >= self.epochs {
            over = over.or(Some(self.losses.judge()));
        } else if over == Some(Reason::Converged) && !self.found {
            over = Some(self.losses.judge());
        }
        self.stopped = over;
        Ok(training)
    }

    /// Returns a reason if this is the last epoch.
    fn over(&self, seen: Seen, loss: f32, measured: Measured) -> Option<Reason> {
        if !loss.is_finite() || !measured.validation.is_none_or(f32::is_finite) {
            Some(Reason::Diverged)
        } else if seen == Seen::TooLong {
            Some(Reason::Early)
        } else if self.found || (self.epoch >= self.epochs && !self.ends_with_update) {
            Some(Reason::Converged) // replaced by `judge` once the losses are noted
        } else {
            None
        }
    }

    fn note(&mut self, training: f32, validation: Option<f32>) {
        let losses = &mut self.losses;
        (losses.training, losses.validation) = (training, validation);
        if self.epoch == 0 {
            losses.first = training;
        }
        let left = self.epochs.saturating_sub(self.epoch);
        if left > self.epochs / 10 {
            losses.late = training;
        }
    }

    /// Passes the state to `visit`: see
    /// [`Stateful::visit_state`](crate::optim::Stateful::visit_state).
    pub(crate) fn visit(&mut self, visit: Visit<'_>) {
        visit_count("epoch", &mut self.epoch, visit);
        let Losses {
            first,
            training,
            late,
            ..
        } = &mut self.losses;
        let mut losses = [*first, *training, *late];
        visit("losses", &mut losses);
        [*first, *training, *late] = losses;
        self.watch.visit(visit);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::Mean;

    /// Compares means of losses between 1 and 2, in steps of one ulp, with the exact
    /// quotients of integers, rounded to even. Means of `n / N · loss` in `f64`, whose
    /// weights are rounded, break some of the ties the wrong way.
    #[test]
    fn means_of_batches_are_rounded_once() {
        const ONE: u64 = 1 << 23;
        let mut state = 7_u32;
        let mut word = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        let (mut ties, mut of_weights) = (0, 0);
        for case in 0..60_000 {
            let batches = 2 + case % 4;
            let rows: Vec<usize> = (0..batches).map(|_| 1 + word() as usize % 12).collect();
            let steps: Vec<u64> = (0..batches).map(|_| ONE + u64::from(word() >> 9)).collect();
            let loss = |steps: u64| steps as f32 / ONE as f32;
            let mut mean = Mean::default();
            for (n, steps) in rows.iter().zip(&steps) {
                mean.add(loss(*steps), *n);
            }
            let all = rows.iter().sum::<usize>() as u64;
            let sum: u64 = rows.iter().zip(&steps).map(|(n, s)| *n as u64 * s).sum();
            let (whole, rest) = (sum / all, sum % all);
            let is_tie = 2 * rest == all;
            let up = 2 * rest > all || (is_tie && whole % 2 == 1);
            let expected = loss(whole + u64::from(up));
            assert_eq!(mean.value(), expected, "{rows:?} {steps:?}");
            ties += u32::from(is_tie);
            let weighted = rows.iter().zip(&steps);
            let weighted: f64 = weighted
                .map(|(n, s)| *n as f64 / all as f64 * f64::from(loss(*s)))
                .sum();
            of_weights += u32::from(weighted as f32 != expected);
        }
        assert!(
            ties > 1000 && of_weights > 30,
            "{ties} ties, {of_weights} missed"
        );
    }
}
