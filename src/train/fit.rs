//! The training loop, with all that goes around it.
//!
//! ```text
//! each epoch:
//!     learning rate of the epoch
//!     validation loss, recorded under no_grad
//!     each batch: zero_grad, backward_over, penalties, clipping, step
//!     history, observers, early stopping, stop flag
//! ```
//!
//! A tape borrows its data for as long as it lives. So it lives for all epochs
//! if these see the same rows in the same order, and for one epoch if rows are
//! shuffled or made noisy: recording again costs less than an update does.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

use super::batches::Batches;
use super::data::Samples;
use super::evaluate::{Evaluator, Recording, arena_for, predict};
use super::history::{Digits, Epoch, History, Stopped};
use super::model::{Loss, Model, Param, mse};
use super::step::{Clip, Penalty, Prepared};
use super::verdict::Judgement;
use crate::error::Error;
use crate::optim::Optimizer;
use crate::random::{Xoshiro128PlusPlus, seeded};

/// Rows that go through a tape at once, unless [`Fit::micro_batch`] says
/// otherwise: enough for kernels to run at full speed, and what they leave
/// behind fits a cache.
const MICRO_BATCH: usize = 2048;

/// Why fitting failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FitError {
    /// A setting is out of range.
    Setting {
        /// What must hold, such as `epochs >= 1`.
        expected: &'static str,
        /// The value for which it does not.
        found: f64,
    },
    /// Samples of validation have other columns than those of training.
    Columns {
        /// Inputs and targets of a training sample.
        training: [usize; 2],
        /// Inputs and targets of a validation sample.
        validation: [usize; 2],
    },
    /// The loss is no longer a finite number.
    Diverged {
        /// In which epoch.
        epoch: u32,
        /// What it is now.
        loss: f32,
        /// The learning rate of the updates before.
        learning_rate: f32,
        /// The largest absolute value among the inputs.
        largest_input: f32,
    },
    /// The tape, or the optimizer, refused.
    Tape(Error),
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Columns {
                training: [x, y],
                validation: [vx, vy],
            } => write!(
                f,
                "expected {x} inputs and {y} targets in a validation sample, as in a training sample, found {vx} and {vy}"
            ),
            Self::Diverged {
                epoch,
                loss,
                learning_rate,
                largest_input,
            } => write!(
                f,
                "the loss is {loss} at epoch {epoch}: try a smaller learning rate than {learning_rate}, or normalise the inputs, which reach {largest_input}"
            ),
            Self::Tape(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for FitError {}

impl From<Error> for FitError {
    fn from(error: Error) -> Self {
        Self::Tape(error)
    }
}

/// A learning rate for each epoch: a number, or any function of the epoch,
/// counted from 1.
pub trait Schedule {
    /// The learning rate of the updates of this epoch.
    fn learning_rate(&self, epoch: u32) -> f32;
}

impl Schedule for f32 {
    fn learning_rate(&self, _: u32) -> f32 {
        *self
    }
}

impl<F: Fn(u32) -> f32> Schedule for F {
    fn learning_rate(&self, epoch: u32) -> f32 {
        self(epoch)
    }
}

/// Stops when the watched loss, that of validation if there is one, has not
/// become better for some epochs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    patience: u32,
    min_delta: f32,
    restore_best: bool,
}

impl EarlyStopping {
    /// Waits for `patience` epochs, then restores the parameters of the best.
    #[must_use]
    pub const fn new(patience: u32) -> Self {
        EarlyStopping {
            patience,
            min_delta: 0.0,
            restore_best: true,
        }
    }

    /// How much less than the best so far counts as better. Default 0.
    #[must_use]
    pub const fn min_delta(mut self, min_delta: f32) -> Self {
        self.min_delta = min_delta;
        self
    }

    /// Keeps the parameters as they are at the end.
    #[must_use]
    pub const fn keep_last(mut self) -> Self {
        self.restore_best = false;
        self
    }
}

type Observer<'a> = Box<dyn FnMut(&Epoch) + 'a>;

/// The best epoch so far, and what the parameters were.
struct Best {
    epoch: u32,
    loss: f32,
    params: Vec<Param>,
}

/// A training run to be: what to fit to what, and how.
///
/// | | default |
/// | --- | --- |
/// | [`epochs`](Self::epochs) | 1000 |
/// | [`loss`](Self::loss) | [`mse`] |
/// | [`batch_size`](Self::batch_size) | all rows, in order |
/// | [`learning_rate`](Self::learning_rate) | the optimizer's |
/// | [`validation`](Self::validation), [`early_stopping`](Self::early_stopping), [`clip`](Self::clip), [`l1`](Self::l1), [`l2`](Self::l2), [`noise`](Self::noise), [`observe`](Self::observe), [`stop_flag`](Self::stop_flag) | none |
///
/// See [`train`](crate::train) for an example.
#[must_use = "nothing is fitted before `run`"]
pub struct Fit<'a, M: ?Sized> {
    model: &'a M,
    training: &'a Samples,
    validation: Option<&'a Samples>,
    loss: Loss,
    epochs: u32,
    batch_size: usize,
    shuffle: bool,
    drop_last: bool,
    micro_batch: usize,
    seed: u64,
    schedule: Option<Box<dyn Schedule + 'a>>,
    early_stopping: Option<EarlyStopping>,
    clip: Option<Clip>,
    penalty: Penalty,
    noise: f32,
    observers: Vec<Observer<'a>>,
    stop_flag: Option<&'a AtomicBool>,
}

impl<M: ?Sized> fmt::Debug for Fit<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fit")
            .field("epochs", &self.epochs)
            .field("batch_size", &self.batch_size)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl<'a, M: Model + ?Sized> Fit<'a, M> {
    /// Fits `model` to the training samples.
    pub fn new(model: &'a M, training: &'a Samples) -> Self {
        Fit {
            model,
            training,
            validation: None,
            loss: mse,
            epochs: 1000,
            batch_size: training.rows(),
            shuffle: false,
            drop_last: false,
            micro_batch: MICRO_BATCH,
            seed: 0,
            schedule: None,
            early_stopping: None,
            clip: None,
            penalty: Penalty::default(),
            noise: 0.0,
            observers: Vec::new(),
            stop_flag: None,
        }
    }

    /// Measures the loss of these samples, too. They are not trained with.
    pub fn validation(mut self, samples: &'a Samples) -> Self {
        self.validation = Some(samples);
        self
    }

    /// What is minimised: a mean over the rows.
    pub fn loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// How many times all training samples are seen.
    pub fn epochs(mut self, epochs: u32) -> Self {
        self.epochs = epochs;
        self
    }

    /// Updates after every `rows` samples, which are drawn in another order each
    /// epoch: mini-batches.
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows;
        self.shuffle = true;
        self
    }

    /// Takes samples in the order they are in, in every epoch.
    pub fn in_order(mut self) -> Self {
        self.shuffle = false;
        self
    }

    /// Leaves out the last batch of an epoch if it is smaller than the others.
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// Sends at most so many rows through the tape at once and adds their
    /// gradients up, so that memory does not grow with the batch
    /// ([`Tape::backward_over`](crate::Tape::backward_over)).
    pub fn micro_batch(mut self, rows: usize) -> Self {
        self.micro_batch = rows;
        self
    }

    /// Where the order of samples and the noise come from.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// A number, or any function of the epoch: `|epoch| 0.1 / epoch as f32`.
    pub fn learning_rate(mut self, schedule: impl Schedule + 'a) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Stops when it no longer gets better.
    pub fn early_stopping(mut self, early_stopping: EarlyStopping) -> Self {
        self.early_stopping = Some(early_stopping);
        self
    }

    /// Shortens gradients that are too long.
    pub fn clip(mut self, clip: Clip) -> Self {
        self.clip = Some(clip);
        self
    }

    /// Adds `weight · Σ|p|` to what is minimised, over the parameters that are
    /// not [exempt](Param::without_penalty). Reported losses are without it.
    pub fn l1(mut self, weight: f32) -> Self {
        self.penalty.l1 = weight;
        self
    }

    /// Adds `weight · Σp²` to what is minimised, over the parameters that are
    /// not [exempt](Param::without_penalty). Reported losses are without it.
    pub fn l2(mut self, weight: f32) -> Self {
        self.penalty.l2 = weight;
        self
    }

    /// Adds fresh noise of this standard deviation to the training inputs in
    /// every epoch.
    pub fn noise(mut self, std: f32) -> Self {
        self.noise = std;
        self
    }

    /// Calls `observer` after every epoch.
    pub fn observe(mut self, observer: impl FnMut(&Epoch) + 'a) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Ends after the epoch in which the flag is found set, by an observer, a
    /// signal handler or another thread.
    pub fn stop_flag(mut self, flag: &'a AtomicBool) -> Self {
        self.stop_flag = Some(flag);
        self
    }

    fn check(&self) -> Result<(), FitError> {
        let require = |holds: bool, expected: &'static str, found: f64| {
            if holds {
                Ok(())
            } else {
                Err(FitError::Setting { expected, found })
            }
        };
        let size = |x: f32| x.is_finite() && x >= 0.0;
        let Penalty { l1, l2 } = self.penalty;
        let most = self.clip.map_or(1.0, |clip| clip.most());
        let min_delta = self.early_stopping.map_or(0.0, |early| early.min_delta);
        require(self.epochs >= 1, "epochs >= 1", self.epochs.into())?;
        require(
            self.batch_size >= 1,
            "batch_size >= 1",
            self.batch_size as f64,
        )?;
        require(
            self.micro_batch >= 1,
            "micro_batch >= 1",
            self.micro_batch as f64,
        )?;
        require(most > 0.0, "a clipping bound > 0", most.into())?;
        require(size(min_delta), "a finite min_delta >= 0", min_delta.into())?;
        require(size(l1), "a finite l1 >= 0", l1.into())?;
        require(size(l2), "a finite l2 >= 0", l2.into())?;
        require(size(self.noise), "a finite noise >= 0", self.noise.into())?;
        let columns = |samples: &Samples| [samples.inputs(), samples.targets()];
        let training = columns(self.training);
        match self.validation.map(columns) {
            Some(validation) if validation != training => Err(FitError::Columns {
                training,
                validation,
            }),
            _ => Ok(()),
        }
    }

    /// Runs until it ends, and returns what came of it. The optimizer is left
    /// with the last learning rate and the state of the last update.
    ///
    /// # Errors
    /// A setting that is out of range; a loss that is no longer finite; what the
    /// tape or the optimizer refuses.
    pub fn run<O: Optimizer + ?Sized>(mut self, optimizer: &mut O) -> Result<Fitted, FitError> {
        self.check()?;
        let mut params = self.model.params();
        let start = params.clone();
        let mut optimizer = Prepared::new(optimizer, self.clip, self.penalty, &start);

        let rows = |samples: &Samples| samples.rows().min(self.micro_batch);
        let at_once = self
            .micro_batch
            .min(self.batch_size)
            .min(self.training.rows());
        let arena = |samples, rows| arena_for(self.model, &start, self.loss, samples, rows);
        let mut training_arena = arena(self.training, at_once)?;

        // What measures without training: on tapes of their own.
        let mut plain_arena = arena(self.training, rows(self.training))?;
        let plain_tape = plain_arena.tape();
        let evaluator = |tape, samples| {
            Evaluator::new(tape, self.model, &start, self.loss, samples, rows(samples))
        };
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
        let validation_loss = |params: &[Param]| -> Result<Option<f32>, Error> {
            validation.as_ref().map(|set| set.loss(params)).transpose()
        };

        let diverged = |epoch, loss, learning_rate| FitError::Diverged {
            epoch,
            loss,
            learning_rate,
            largest_input: self.training.largest_input(),
        };

        let mut batches = Batches::new(self.training.rows(), self.batch_size);
        if self.shuffle {
            batches = batches.shuffled(self.seed);
        }
        if self.drop_last {
            batches = batches.drop_last();
        }
        // Another stream of random numbers than that of the order.
        let mut noise_rng = seeded(!self.seed);
        let changes = self.shuffle || self.noise > 0.0;
        let mut seen = self.training.clone();

        let mut epochs: Vec<Epoch> = Vec::new();
        let mut best: Option<Best> = None;
        let mut stopped = Stopped::Finished;
        'tapes: loop {
            if changes {
                batches.next_epoch();
                seen.gather(self.training, batches.order());
                add_noise(&mut seen, self.noise, &mut noise_rng);
            }
            let tape = training_arena.tape();
            let recording = Recording::new(&tape, self.model, &params, self.loss, &seen, at_once);

            loop {
                let epoch = epochs.len() as u32 + 1;
                if let Some(schedule) = &self.schedule {
                    optimizer.set_learning_rate(schedule.learning_rate(epoch));
                }
                let learning_rate = optimizer.learning_rate();
                let validation_loss = validation_loss(&params)?;
                if let Some(loss) = validation_loss.filter(|loss| !loss.is_finite()) {
                    return Err(diverged(epoch, loss, learning_rate));
                }
                // Before the update: the parameters these losses belong to.
                let before = self.early_stopping.map(|_| params.clone());

                let (mut sum, mut rows) = (0.0, 0);
                for range in batches.ranges() {
                    let [x, y] = seen.range(range.clone());
                    tape.zero_grad();
                    let data = [(recording.x, x), (recording.y, y)];
                    let loss = tape.backward_over(recording.loss, &data)?;
                    if !loss.is_finite() {
                        return Err(diverged(epoch, loss, learning_rate));
                    }
                    tape.step(&mut optimizer)?;
                    sum += range.len() as f64 * f64::from(loss);
                    rows += range.len();
                }
                overwrite(&mut params, &tape.params()?);

                let epoch = Epoch {
                    epoch,
                    training_loss: (sum / rows as f64) as f32,
                    validation_loss,
                    learning_rate,
                };
                epochs.push(epoch);
                for observer in &mut self.observers {
                    observer(&epoch);
                }

                if let (Some(early), Some(before)) = (self.early_stopping, before) {
                    let loss = epoch.watched_loss();
                    match &best {
                        Some(best) if loss >= best.loss - early.min_delta => {
                            if epoch.epoch - best.epoch >= early.patience {
                                stopped = Stopped::Early;
                            }
                        }
                        _ => {
                            best = Some(Best {
                                epoch: epoch.epoch,
                                loss,
                                params: before,
                            });
                        }
                    }
                }
                if self
                    .stop_flag
                    .is_some_and(|flag| flag.load(Ordering::Relaxed))
                {
                    stopped = Stopped::Asked;
                }
                if stopped != Stopped::Finished || epoch.epoch >= self.epochs {
                    break 'tapes;
                }
                if changes {
                    break;
                }
            }
        }

        let last = epochs.len() as u32;
        let mut restored_epoch = None;
        if self.early_stopping.is_some_and(|early| early.restore_best)
            && let Some(best) = best
            && validation_loss(&params)?.map_or(plain.loss(&params)?, |loss| loss) >= best.loss
        {
            params = best.params;
            restored_epoch = Some(best.epoch);
        }
        let (training_loss, validation_loss) = (plain.loss(&params)?, validation_loss(&params)?);
        if let Some(loss) = [Some(training_loss), validation_loss]
            .into_iter()
            .flatten()
            .find(|loss| !loss.is_finite())
        {
            return Err(diverged(last, loss, optimizer.learning_rate()));
        }
        let history = History {
            training_rows: self.training.rows(),
            validation_rows: self.validation.map_or(0, Samples::rows),
            mean_loss: mean_loss(self.training, self.loss)?,
            stopped,
            restored_epoch,
            training_loss,
            validation_loss,
            epochs,
        };
        Ok(Fitted {
            flat: params
                .iter()
                .flat_map(|param| &param.values)
                .copied()
                .collect(),
            params,
            history,
            inputs: self.training.inputs(),
            at_once: self.micro_batch,
        })
    }
}

/// `check` has made sure that there is such a distribution.
fn add_noise(samples: &mut Samples, std: f32, rng: &mut Xoshiro128PlusPlus) {
    if std > 0.0 {
        let added = samples.add_noise(std, rng);
        debug_assert!(added.is_ok());
    }
}

/// Sets parameters to values that stand one after the other.
fn overwrite(params: &mut [Param], mut flat: &[f32]) {
    for param in params {
        let (own, rest) = flat.split_at(param.values.len());
        param.values.copy_from_slice(own);
        flat = rest;
    }
}

/// The loss of always answering the mean of the targets.
fn mean_loss(samples: &Samples, loss: Loss) -> Result<f32, Error> {
    let (n, width) = (samples.rows(), samples.targets());
    let mean = |column: usize| {
        let values = samples.y().iter().skip(column).step_by(width);
        (values.map(|&y| f64::from(y)).sum::<f64>() / n as f64) as f32
    };
    let means: Vec<f32> = (0..width).map(mean).collect();
    let answer = super::model([Param::new("mean", means, [1, width])], |x, [mean]| {
        // As many rows as there are inputs, whatever these are.
        x.sum_axis(-1, true) * 0.0 + mean
    });
    let params = answer.params();
    let mut arena = arena_for(&answer, &params, loss, samples, n.min(MICRO_BATCH))?;
    let tape = arena.tape();
    Evaluator::new(&tape, &answer, &params, loss, samples, n.min(MICRO_BATCH)).loss(&params)
}

/// What came of a [`Fit`].
#[derive(Clone, Debug)]
pub struct Fitted {
    flat: Vec<f32>,
    params: Vec<Param>,
    history: History,
    inputs: usize,
    at_once: usize,
}

impl Fitted {
    /// All parameters, one after the other.
    pub fn params(&self) -> &[f32] {
        &self.flat
    }

    /// The parameters with their names and shapes.
    pub fn named_params(&self) -> &[Param] {
        &self.params
    }

    /// Every epoch.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What the history means.
    pub fn verdict(&self) -> Judgement {
        self.history.verdict()
    }

    /// What `model`, the one that was fitted, predicts for rows of inputs that
    /// are scaled as the training inputs were.
    ///
    /// # Errors
    /// No whole number of rows, or none.
    pub fn predict(&self, model: &(impl Model + ?Sized), x: &[f32]) -> Result<Vec<f32>, Error> {
        predict(model, &self.params, x, self.inputs, self.at_once)
    }

    /// The parameters as a table.
    ///
    /// ```text
    /// parameter  shape    values
    /// w          []           5.5010
    /// b          []         -18.3851
    /// ```
    pub fn table(&self) -> String {
        let mut text = String::new();
        let width = self.params.iter().map(|param| param.name.len());
        let width = width.fold("parameter".len(), usize::max);
        push(
            &mut text,
            format_args!("{:width$}  {:8} values\n", "parameter", "shape"),
        );
        for param in &self.params {
            let shape = std::format!("{}", param.shape);
            push(&mut text, format_args!("{:width$}  {shape:8}", param.name));
            for x in param.values.iter().take(TABLE) {
                let x = std::format!("{}", Digits(*x));
                push(&mut text, format_args!(" {x:>10}"));
            }
            if param.values.len() > TABLE {
                push(&mut text, format_args!(" … {} values", param.values.len()));
            }
            text.push('\n');
        }
        text
    }
}

/// Values of a parameter that the table shows.
const TABLE: usize = 6;

fn push(text: &mut String, what: fmt::Arguments<'_>) {
    // Nothing that writes to a `String` fails.
    let written = fmt::Write::write_fmt(text, what);
    debug_assert!(written.is_ok());
}
