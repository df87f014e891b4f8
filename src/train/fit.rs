//! The training loop, with all that goes around it.
//!
//! ```text
//! each epoch:
//!     learning rate of the epoch
//!     validation loss, recorded under no_grad; without validation, what early
//!         stopping watches, if the updates do not measure it
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
use std::vec::Vec;

use super::batches::Batches;
use super::coarse;
use super::evaluate::{Evaluator, Recording, arena_for};
use super::fitted::Fitted;
use super::history::{Epoch, History, Stopped};
use super::model::{Loss, Model, Param, mse};
use super::residuals::{Predictor, Residuals};
use super::samples::Samples;
use super::step::{Clip, Penalty, Prepared};
use crate::calibrate::{Course, EarlyStopping, Measured, Reason, Watch};
use crate::error::Error;
use crate::optim::Optimizer;
use crate::optim::schedule::{Schedule, Scheduler};
use crate::random::{Xoshiro128PlusPlus, seeded};
use crate::tape::Tape;
use crate::var::Var;

/// Rows that go through a tape at once, unless [`Fit::micro_batch`] says
/// otherwise: enough for kernels to run at full speed, and what they leave
/// behind fits a cache.
const MICRO_BATCH: usize = 2048;

/// Why fitting failed.
#[derive(Clone)]
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
    /// The validation loss is no finite number, while the training loss has not risen:
    /// a validation sample is far from all that the model is trained with.
    Validation {
        /// In which epoch.
        epoch: u32,
        /// The validation loss now.
        loss: f32,
        /// The largest absolute value among the inputs of the training samples.
        training_input: f32,
        /// The same of the validation samples.
        validation_input: f32,
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
            Self::Validation {
                epoch,
                loss,
                training_input,
                validation_input,
            } => write!(
                f,
                "the validation loss is {loss} at epoch {epoch}, that of training is finite: inputs to validate with reach {validation_input}, those to train with {training_input}; remove outliers, or split the rows otherwise"
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

type Observer<'a> = Box<dyn FnMut(&Epoch) + 'a>;

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
/// ```
/// use baregrad::optim::Adam;
/// use baregrad::train::{Clip, Curve, Dataset, EarlyStopping, Fit, Model};
///
/// let x: Vec<f32> = (0..200).map(|i| i as f32 / 100.0 - 1.0).collect();
/// let y: Vec<f32> = x.iter().map(|x| x * x).collect();
/// let data = Dataset::new([("x", x), ("y", y)])?;
/// let (training, validation) = data.split(0.2, 1)?;
/// let (training, validation) = (training.samples(&["x"], &["y"])?, validation.samples(&["x"], &["y"])?);
///
/// let network: Curve = "mlp:8".parse()?;
/// let parameters = network.params().iter().map(|p| p.values().len()).sum();
/// let fitted = Fit::new(&network, &training)
///     .validation(&validation)
///     .epochs(200)
///     .batch_size(32)                                   // mini-batches, shuffled
///     .learning_rate(|epoch| 0.05 / (1.0 + epoch as f32 / 50.0))
///     .clip(Clip::Norm(1.0))
///     .l2(1e-6)
///     .early_stopping(EarlyStopping::new(50))
///     .seed(7)
///     .run(&mut Adam::on_heap(0.05, parameters))?;
/// assert!(fitted.history().validation_loss() < Some(0.01));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is fitted before `run`"]
pub struct Fit<'a, M: ?Sized> {
    model: &'a M,
    training: &'a Samples,
    validation: Option<&'a Samples>,
    loss: Box<dyn for<'t> Fn(Var<'t>, Var<'t>) -> Var<'t> + 'a>,
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
            loss: Box::new(mse),
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

    /// What is minimised: a mean over the rows, of predictions next to their targets. Any
    /// [loss](crate::ops::loss) will do, or one that is spelled out.
    ///
    /// Targets are `[rows, columns]`. Classes are `[rows]` to
    /// [`cross_entropy`](Var::cross_entropy), so one column of them is reshaped:
    ///
    /// ```
    /// use baregrad::train::{Curve, Dataset, Fit, Param, model};
    /// # use baregrad::optim::Sgd;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let data = Dataset::new([
    ///     ("x", [-2.0, 0.1, 1.5]),
    ///     ("y", [2.0, 4.0, 60.0]),
    ///     ("class", [0.0, 1.0, 2.0]),
    /// ])?;
    ///
    /// let (samples, delta) = (data.samples(&["x"], &["y"])?, 0.5);
    /// let fit = Fit::new(&Curve::Linear, &samples).loss(|p, y| p.huber_loss(y, delta));
    /// # fit.epochs(3).run(&mut Sgd::new(0.01))?;
    ///
    /// let classes = data.samples(&["x"], &["class"])?;
    /// let classifier = model(
    ///     [Param::new("w", [0.0; 3], [1, 3]), Param::new("b", [0.0; 3], [3])],
    ///     |x, [w, b]| x.matmul(w) + b,
    /// );
    /// let fit = Fit::new(&classifier, &classes).loss(|p, y| p.cross_entropy(y.reshape([-1])));
    /// # fit.epochs(3).run(&mut Sgd::new(0.1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn loss(mut self, loss: impl for<'t> Fn(Var<'t>, Var<'t>) -> Var<'t> + 'a) -> Self {
        self.loss = Box::new(loss);
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

    /// A number, any function of the epoch, counted from 1, `|epoch| 0.1 / epoch as f32`,
    /// or one of PyTorch's [schedules](crate::optim::schedule), which multiplies the
    /// optimizer's rate. It goes on from epoch to epoch, and sees the validation loss, or
    /// without that the training loss.
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
        let loss: Loss<'_> = &*self.loss;
        let mut params = self.model.params();
        let start = params.clone();
        let mut optimizer = Prepared::new(optimizer, self.clip, self.penalty, &start);
        let mut scheduler = self
            .schedule
            .take()
            .map(|schedule| Scheduler::new(schedule, &mut optimizer));

        // What measures has tapes of its own: training replays only what it needs.
        let rows = |samples: &Samples| samples.rows().min(self.micro_batch);
        let arena = |samples, rows| arena_for(self.model, &start, loss, samples, rows);
        let evaluator =
            |tape, samples| Evaluator::new(tape, self.model, &start, loss, samples, rows(samples));
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
        // The course of the firmware's fit; its last epoch has an update here.
        let mut course = Course::new(self.epochs);
        course.ends_with_update = true;
        if let Some(early) = self.early_stopping {
            course.watch = Watch::new(early);
        }
        let watches = self.early_stopping.is_some();
        let mut best = Vec::new();
        // Whether the updates of an epoch measure a loss of several parameters.
        let moves = !order.is_one_update();
        let evaluates = moves && watches && self.validation.is_none();
        let start_loss = if moves {
            Some(plain.loss(&start)?)
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
                let learning_rate = optimizer.learning_rate();
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
                let step = |tape: &Tape<'_>, _| tape.step(&mut optimizer).map(|()| false);
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
                } else {
                    course.stopped().map(|reason| match reason {
                        Reason::Early => Stopped::Early,
                        _ => Stopped::Finished,
                    })
                };
                if let (Some(scheduler), None) = (&mut scheduler, &stopped) {
                    scheduler.step_with(watched_loss, &mut optimizer);
                }
                if stopped.is_some() || order.changes {
                    break;
                }
            }
        }

        let mut last = Epoch {
            epoch: epochs.len() as u32,
            training_loss: plain.loss(&params)?,
            validation_loss: validate(&params)?,
            learning_rate: optimizer.learning_rate(),
        };
        self.check_finite(&last, epochs.first())?;
        let mut restored_epoch = None;
        if let (Some((epoch, _)), true) = (course.watch.best(), self.restores_best()) {
            let mut kept = params.clone();
            overwrite(&mut kept, &best);
            // Measured as those of the last parameters were, in the same order.
            let losses = (plain.loss(&kept)?, validate(&kept)?);
            if losses.1.unwrap_or(losses.0) <= last.watched_loss() {
                params = kept;
                restored_epoch = Some(epoch + 1);
                (last.training_loss, last.validation_loss) = losses;
            }
        }
        // A loss may refuse an answer of the shape of targets: logits next to classes have
        // another.
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

/// The samples an epoch sees, in their order.
struct Order<'a> {
    training: &'a Samples,
    batches: Batches,
    noise: f32,
    noise_rng: Xoshiro128PlusPlus,
    /// Whether epochs differ.
    changes: bool,
    seen: Samples,
}

impl<'a> Order<'a> {
    fn new<M: ?Sized>(fit: &Fit<'a, M>) -> Self {
        let mut batches = Batches::new(fit.training.rows(), fit.batch_size);
        if fit.shuffle {
            batches = batches.shuffled(fit.seed);
        }
        if fit.drop_last {
            batches = batches.drop_last();
        }
        Order {
            training: fit.training,
            batches,
            noise: fit.noise,
            // Another stream of random numbers than that of the order.
            noise_rng: seeded(!fit.seed),
            changes: fit.shuffle || fit.noise > 0.0,
            seen: fit.training.clone(),
        }
    }

    /// Whether an epoch is one update by the loss of all samples as they are.
    fn is_one_update(&self) -> bool {
        let mut ranges = self.batches.ranges();
        let first = ranges.next().unwrap_or_default();
        first.len() == self.training.rows() && ranges.next().is_none() && self.noise == 0.0
    }

    fn next_epoch(&mut self) {
        if self.changes {
            self.batches.next_epoch();
            self.seen.gather(self.training, self.batches.order());
        }
        if self.noise > 0.0 {
            // `check` has made sure that there is such a distribution.
            let added = self.seen.add_noise(self.noise, &mut self.noise_rng);
            debug_assert!(added.is_ok());
        }
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
fn mean_loss(samples: &Samples, loss: Loss<'_>) -> Result<f32, Error> {
    let (n, width) = (samples.rows(), samples.targets());
    let mean = |column: usize| {
        let values = samples.y().iter().skip(column).step_by(width);
        coarse::mean(values.map(|&y| f64::from(y))) as f32
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
