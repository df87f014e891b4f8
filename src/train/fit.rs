//! The training loop and its settings.
//!
//! ```text
//! each epoch:
//!     learning rate of the epoch
//!     validation loss, recorded under no_grad; without validation, the loss that
//!         early stopping watches, unless the update measures it
//!     each batch: zero_grad, backward_over, penalties, clipping, step
//!     history, observers, early stopping, stop flag
//! ```

mod error;
mod order;
mod run;
mod update;

use core::fmt;
use core::sync::atomic::AtomicBool;
use std::boxed::Box;
use std::vec::Vec;

use super::fitted::Fitted;
use super::history::Epoch;
use super::model::{Model, mse};
use super::samples::Samples;
use super::step::{Clip, Penalised, Penalty, Prepared};
use crate::calibrate::EarlyStopping;
use crate::optim::schedule::{Schedule, Scheduler};
use crate::optim::{Optimizer, Search};
use crate::var::Var;
pub use error::FitError;
use order::Order;
use update::{Searching, Steps};

/// The default of [`Fit::micro_batch`], the number of rows that go through a tape at
/// once: enough for kernels to run at full speed, and few enough for their intermediate
/// values to stay in a cache.
const MICRO_BATCH: usize = 2048;

type Observer<'a> = Box<dyn FnMut(&Epoch) + 'a>;

/// The settings of a training run: the model, the data, and how to fit one to the other.
///
/// | | default |
/// | --- | --- |
/// | [`epochs`](Self::epochs) | 1000 |
/// | [`loss`](Self::loss) | [`mse`] |
/// | [`batch_size`](Self::batch_size) | all rows, in order |
/// | [`micro_batch`](Self::micro_batch) | 2048 rows |
/// | [`seed`](Self::seed) | 0 |
/// | [`learning_rate`](Self::learning_rate) | the learning rate of the optimizer |
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
    /// Shuffles the samples in each epoch, unless `in_order` is set.
    shuffle: bool,
    in_order: bool,
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
    /// Prepares to fit `model` to the training samples.
    pub fn new(model: &'a M, training: &'a Samples) -> Self {
        Fit {
            model,
            training,
            validation: None,
            loss: Box::new(mse),
            epochs: 1000,
            batch_size: training.rows(),
            shuffle: false,
            in_order: false,
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

    /// Measures the loss of these samples as well. They do not take part in training.
    pub fn validation(mut self, samples: &'a Samples) -> Self {
        self.validation = Some(samples);
        self
    }

    /// Minimises this loss: a function of the predictions and their targets that returns
    /// a mean over the rows, either one of the [losses](crate::ops::loss) or your own.
    ///
    /// The shape of the targets is `[rows, columns]`. [`cross_entropy`](Var::cross_entropy)
    /// expects classes of the shape `[rows]`, so a column of classes has to be reshaped:
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

    /// The number of epochs, each of which passes over all training samples once.
    pub fn epochs(mut self, epochs: u32) -> Self {
        self.epochs = epochs;
        self
    }

    /// Trains with mini-batches: updates the parameters after every `rows` samples, and
    /// shuffles the samples in each epoch, unless they stay [in order](Self::in_order).
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows;
        self.shuffle = true;
        self
    }

    /// Keeps the samples in their given order in every epoch.
    pub fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    /// Leaves out the last batch of an epoch if it is smaller than the others, unless it
    /// is the only one.
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// Sends at most `rows` rows through the tape at once and accumulates their
    /// gradients, so that memory does not grow with the batch
    /// ([`Tape::backward_over`](crate::Tape::backward_over)).
    pub fn micro_batch(mut self, rows: usize) -> Self {
        self.micro_batch = rows;
        self
    }

    /// Seeds the random numbers for the order of the samples and for the noise.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the learning rate of each epoch: a constant; a function of the epoch, counted
    /// from 1, such as `|epoch| 0.1 / epoch as f32`; or one of PyTorch's
    /// [schedules](crate::optim::schedule), most of which start from the learning rate of the
    /// optimizer. The schedule advances once per epoch and receives the watched loss: the
    /// validation loss, or the training loss if there is no validation.
    pub fn learning_rate(mut self, schedule: impl Schedule + 'a) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Stops when the watched loss no longer improves.
    pub fn early_stopping(mut self, early_stopping: EarlyStopping) -> Self {
        self.early_stopping = Some(early_stopping);
        self
    }

    /// Clips gradients that are too long.
    pub fn clip(mut self, clip: Clip) -> Self {
        self.clip = Some(clip);
        self
    }

    /// Adds `weight · Σ|p|` to the minimised loss, over the parameters that are not
    /// [exempt](crate::train::Param::without_penalty). Reported losses do not include the
    /// penalty.
    pub fn l1(mut self, weight: f32) -> Self {
        self.penalty.l1 = weight;
        self
    }

    /// Adds `weight · Σp²` to the minimised loss, over the parameters that are not
    /// [exempt](crate::train::Param::without_penalty). Reported losses do not include the
    /// penalty.
    pub fn l2(mut self, weight: f32) -> Self {
        self.penalty.l2 = weight;
        self
    }

    /// Adds fresh normal noise of this standard deviation to the training inputs in every epoch.
    pub fn noise(mut self, std: f32) -> Self {
        self.noise = std;
        self
    }

    /// Calls `observer` after every epoch.
    pub fn observe(mut self, observer: impl FnMut(&Epoch) + 'a) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Stops after the epoch in which `flag` is found set, be it by an observer, a signal
    /// handler or another thread.
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

    /// Runs the fit and returns the parameters with their history. The optimizer keeps
    /// the last learning rate and the state of the last update.
    ///
    /// # Errors
    /// A setting is out of range; a loss is no longer finite; or the tape or the
    /// optimizer returns an error.
    pub fn run<O: Optimizer + ?Sized>(mut self, optimizer: &mut O) -> Result<Fitted, FitError> {
        self.check()?;
        let start = self.model.params();
        let mut optimizer = Prepared::new(optimizer, self.clip, self.penalty, &start);
        let schedule = self.schedule.take();
        let scheduler = schedule.map(|schedule| Scheduler::new(schedule, &mut optimizer));
        let mut steps = Steps {
            optimizer,
            scheduler,
        };
        self.run_with(&mut steps, &start)
    }

    /// Runs the fit with a search, such as [`Lbfgs`](crate::optim::Lbfgs). Once per epoch, the
    /// search receives the loss of all samples, penalties included, and moves the parameters to
    /// the point whose loss it needs next. The fit ends when the search
    /// [finds](super::Stopped::Found) a minimum, or after the last epoch. Since the last point
    /// may be a trial that went too far, the fit keeps the parameters with the lowest loss seen.
    ///
    /// ```
    /// use baregrad::optim::Lbfgs;
    /// use baregrad::train::{Curve, Dataset, Fit, Stopped};
    ///
    /// let data = Dataset::new([("x", [-1.0, 0.0, 0.5, 1.0]), ("y", [-3.0, -1.0, 0.0, 1.0])])?;
    /// let samples = data.samples(&["x"], &["y"])?;
    /// let mut search = Lbfgs::<2, 4>::new(1.0).strong_wolfe();
    /// let fitted = Fit::new(&Curve::Linear, &samples).run_search(&mut search)?;
    /// assert_eq!(fitted.history().stopped(), Stopped::Found);
    /// assert!((fitted.params()[0] - 2.0).abs() < 1e-5 && (fitted.params()[1] + 1.0).abs() < 1e-5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`run`](Self::run). A search assumes that all losses and gradients it
    /// receives belong to one function of the parameters, so batches of some of the rows,
    /// noise and clipping are refused; so is a schedule, because the search chooses its
    /// step length itself.
    pub fn run_search<S: Search + ?Sized>(self, search: &mut S) -> Result<Fitted, FitError> {
        self.check()?;
        let refuse = |expected, found: f64| Err(FitError::Setting { expected, found });
        if self.noise > 0.0 {
            return refuse("no noise of inputs for a search", self.noise.into());
        }
        if !Order::new(&self).is_one_update() {
            let expected = "all samples in one batch for a search";
            return refuse(expected, self.batch_size as f64);
        }
        if let Some(clip) = self.clip {
            return refuse("no clipping bound for a search", clip.most().into());
        }
        if self.schedule.is_some() {
            return refuse("0 schedules of the learning rate for a search", 1.0);
        }
        let start = self.model.params();
        let penalised = Penalised::new(self.penalty, &start);
        self.run_with(&mut Searching::new(search, penalised), &start)
    }
}
