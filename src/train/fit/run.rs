//! The training loop, and the measurements around it.
//!
//! A tape borrows its data for as long as it lives. One tape therefore serves all epochs
//! if they see the same rows in the same order; if rows are shuffled or made noisy, each
//! epoch records a new tape, which costs less than an update.

use core::sync::atomic::Ordering;
use std::vec::Vec;

use super::order::Order;
use super::update::Update;
use super::{Fit, FitError, MICRO_BATCH};
use crate::calibrate::{Course, Measured, Reason, Watch};
use crate::error::Error;
use crate::tape::Tape;
use crate::train::coarse;
use crate::train::evaluate::{Evaluator, Recording, arena_for};
use crate::train::fitted::Fitted;
use crate::train::history::{Epoch, History, Stopped};
use crate::train::model::{Loss, Model, Param, model};
use crate::train::residuals::{Predictor, Residuals};
use crate::train::samples::Samples;

impl<M: Model + ?Sized> Fit<'_, M> {
    /// Runs all epochs, then chooses the parameters to keep and measures their losses.
    pub(super) fn run_with(
        mut self,
        update: &mut dyn Update,
        start: &[Param],
    ) -> Result<Fitted, FitError> {
        let loss: Loss<'_> = &*self.loss;
        let mut params = start.to_vec();

        // Evaluators have their own tapes, so that training replays only its own recording.
        let rows = |samples: &Samples| samples.rows().min(self.micro_batch);
        let arena = |samples, rows| arena_for(self.model, start, loss, samples, rows);
        let evaluator =
            |tape, samples| Evaluator::new(tape, self.model, start, loss, samples, rows(samples));
        let mut plain_arena = arena(self.training, rows(self.training))?;
        let plain_tape = plain_arena.tape();
        let plain = evaluator(&plain_tape, self.training);
        let mut validation_arena = match self.validation {
            Some(samples) => Some(arena(samples, rows(samples))?),
            None => None,
        };
        let validation_tape = validation_arena.as_mut().map(|arena| arena.tape());
        let validation = match (&validation_tape, self.validation) {
            (Some(tape), Some(samples)) => Some(evaluator(tape, samples)),
            _ => None,
        };
        let validate = |params: &[Param]| -> Result<Option<f32>, Error> {
            validation.as_ref().map(|set| set.loss(params)).transpose()
        };

        let at_once = rows(self.training).min(self.batch_size);
        let mut training_arena = arena(self.training, at_once)?;
        let mut order = Order::new(&self);
        // The firmware's fit uses the same `Course`; unlike there, the last epoch here
        // ends with an update.
        let mut course = Course::new(self.epochs);
        course.ends_with_update = true;
        if let Some(early) = self.early_stopping {
            course.watch = Watch::new(early);
        }
        let watches = self.early_stopping.is_some();
        let mut best = Vec::new();
        // The parameters move, or the samples change, while the loss of an epoch is measured.
        let moves = !order.is_one_update();
        let evaluates = moves && watches && self.validation.is_none();
        let start_loss = if moves {
            Some(plain.loss(start)?)
        } else {
            None
        };
        let mut evaluated = Vec::new();
        let mut epochs: Vec<Epoch> = Vec::new();
        let mut stopped = None;
        while stopped.is_none() {
            order.next_epoch();
            let seen = &order.seen;
            let tape = training_arena.tape();
            let recording = Recording::new(&tape, self.model, &params, loss, seen, at_once);
            loop {
                let epoch = epochs.len() as u32 + 1;
                let learning_rate = update.learning_rate();
                let validation_loss = validate(&params)?;
                if evaluates {
                    evaluated.push(plain.loss(&params)?);
                }
                let measured = Measured {
                    validation: validation_loss,
                    watched: evaluated.last().copied(),
                };
                let keep = |tape: &Tape<'_>| {
                    if watches {
                        best.clear();
                        best.extend_from_slice(&tape.params()?);
                    }
                    Ok(())
                };
                let batches = order.batches.ranges().map(|range| seen.rows_in(range));
                let step = |tape: &Tape<'_>, loss| update.step(tape, loss);
                let training_loss =
                    course.run(&recording.recorded, batches, measured, keep, step)?;
                overwrite(&mut params, &tape.params()?);

                let epoch = Epoch {
                    epoch,
                    training_loss,
                    validation_loss,
                    learning_rate,
                };
                self.check_finite(&epoch, epochs.first())?;
                epochs.push(epoch);
                for observer in &mut self.observers {
                    observer(&epoch);
                }
                let watched_loss = match evaluated.last() {
                    Some(loss) => *loss,
                    None => epoch.watched_loss(),
                };
                stopped = if self.is_asked_to_stop() {
                    Some(Stopped::Asked)
                } else if update.has_found() {
                    Some(Stopped::Found)
                } else {
                    course.stopped().map(|reason| match reason {
                        Reason::Early => Stopped::Early,
                        _ => Stopped::Finished,
                    })
                };
                if stopped.is_none() {
                    update.next_epoch(watched_loss);
                }
                if stopped.is_some() || order.changes {
                    break;
                }
            }
        }

        let mut training_loss = plain.loss(&params)?;
        if let Some(best) = update.better_than(training_loss, &params) {
            overwrite(&mut params, &best);
            training_loss = plain.loss(&params)?;
        }
        let mut last = Epoch {
            epoch: epochs.len() as u32,
            training_loss,
            validation_loss: validate(&params)?,
            learning_rate: update.learning_rate(),
        };
        self.check_finite(&last, epochs.first())?;
        let mut restored_epoch = None;
        if let (Some((epoch, _)), true) = (course.watch.best(), self.restores_best()) {
            let mut kept = params.clone();
            overwrite(&mut kept, &best);
            // Measured on the same tapes and in the same order as the losses of the last
            // parameters.
            let losses = (plain.loss(&kept)?, validate(&kept)?);
            if losses.1.unwrap_or(losses.0) <= last.watched_loss() {
                params = kept;
                restored_epoch = Some(epoch + 1);
                (last.training_loss, last.validation_loss) = losses;
            }
        }
        // The loss may reject predictions of the shape of the targets: logits have
        // another shape than classes.
        let mean_loss = mean_loss(self.training, loss).unwrap_or(f32::NAN);
        let predictor = Predictor {
            model: self.model,
            loss,
            at_once: self.micro_batch,
        };
        let residuals = predictor.residuals(&params, self.training, self.validation, mean_loss)?;
        let history = History {
            coarse: self.training.coarse().to_vec(),
            training_rows: self.training.rows(),
            validation_rows: self.validation.map_or(0, Samples::rows),
            mean_loss,
            stopped: stopped.unwrap_or(Stopped::Finished),
            restored_epoch,
            start_loss,
            training_loss: last.training_loss,
            validation_loss: last.validation_loss,
            r_squared: residuals.as_ref().and_then(Residuals::r_squared),
            residuals,
            evaluated,
            epochs,
        };
        let inputs = self.training.inputs();
        Ok(Fitted::new(params, history, inputs, self.micro_batch))
    }

    fn check_finite(&self, epoch: &Epoch, first: Option<&Epoch>) -> Result<(), FitError> {
        let losses = [Some(epoch.training_loss), epoch.validation_loss];
        let first = first.unwrap_or(epoch);
        match losses.into_iter().flatten().find(|loss| !loss.is_finite()) {
            None => Ok(()),
            Some(loss) if epoch.training_loss <= first.training_loss => Err(FitError::Validation {
                epoch: epoch.epoch,
                loss,
                training_input: self.training.largest_input(),
                validation_input: self.validation.map_or(0.0, Samples::largest_input),
            }),
            Some(loss) => Err(FitError::Diverged {
                epoch: epoch.epoch,
                loss,
                learning_rate: epoch.learning_rate,
                largest_input: self.training.largest_input(),
            }),
        }
    }

    fn restores_best(&self) -> bool {
        self.early_stopping.is_some_and(|early| early.restore_best)
    }

    fn is_asked_to_stop(&self) -> bool {
        let flag = self.stop_flag;
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

/// Overwrites all parameters from one slice that holds their values one after another.
fn overwrite(params: &mut [Param], mut flat: &[f32]) {
    for param in params {
        let (own, rest) = flat.split_at(param.values.len());
        param.values.copy_from_slice(own);
        flat = rest;
    }
}

/// The loss of always predicting the mean of the targets.
fn mean_loss(samples: &Samples, loss: Loss<'_>) -> Result<f32, Error> {
    let (n, width) = (samples.rows(), samples.targets());
    let mean = |column: usize| {
        let values = samples.y().iter().skip(column).step_by(width);
        coarse::mean(values.map(|&y| f64::from(y))) as f32
    };
    let means: Vec<f32> = (0..width).map(mean).collect();
    let answer = model([Param::new("mean", means, [1, width])], |x, [mean]| {
        // Takes only the number of rows from `x`.
        x.sum_axis(-1, true) * 0.0 + mean
    });
    let params = answer.params();
    let mut arena = arena_for(&answer, &params, loss, samples, n.min(MICRO_BATCH))?;
    let tape = arena.tape();
    Evaluator::new(&tape, &answer, &params, loss, samples, n.min(MICRO_BATCH)).loss(&params)
}
