//! The training loop, an epoch at a time.

use super::early::{EarlyStopping, Watch};
use super::epoch::{Course, Measured, Recorded};
use super::outcome::{Losses, Reason};
use super::samples::Samples;
use crate::error::Error;
use crate::optim::schedule::{Schedule, Scheduler};
use crate::optim::{Answer, Optimizer, OptimizerError, Search, Show, Stateful, Visit, halves};
use crate::tape::Tape;
use crate::var::Var;

/// The number of samples that go through the tape at once in the calibrator's firmware,
/// and in any program that needs the same bits: their intermediate values fit the memory
/// of a small chip.
pub const ROWS: usize = 8;

/// The state of a fit after a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// The fit has not ended.
    Running,
    /// The fit has ended for this reason.
    Stopped(Reason),
}

/// A fit by gradient descent that is [polled](Self::poll) an epoch at a time, so that a
/// board can answer its serial line, feed a watchdog, or stop in between.
///
/// The loss is the mean squared error. The model can be anything that can be recorded,
/// such as a [`Curve`](super::Curve) or a [`Function`](crate::function::Function). The
/// parameters of the best epoch so far are kept.
///
/// ```
/// use baregrad::calibrate::{Curve, Fit, Poll, Reason, Samples};
/// use baregrad::{Arena, optim::Sgd};
///
/// let samples = Samples { x: &[-1.0, 0.0, 0.5, 1.0], y: &[-3.0, -1.0, 0.0, 1.0] };
/// let mut params = [0.0; 2];
/// Curve::Linear.start(&mut params);
///
/// let mut arena = Arena::<64, 8>::new();
/// let tape = arena.tape();
/// let rows = 2; // at a time: memory does not grow with the samples
/// let start = params;
/// let mut fit = Fit::new(&tape, samples, rows, &mut params, |x| Curve::Linear.record(x, &start))?
///     .epochs(200);
///
/// let mut sgd = Sgd::new(0.2);
/// let reason = loop {
///     match fit.poll(&mut sgd)? {
///         Poll::Running => {} // a schedule: sgd.set_learning_rate(…); Ctrl-C: fit.stop()
///         Poll::Stopped(reason) => break reason,
///     }
/// };
/// assert_eq!(reason, Reason::Converged);
/// assert!((params[0] - 2.0).abs() < 1e-5 && (params[1] + 1.0).abs() < 1e-5);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is fitted before it is polled"]
pub struct Fit<'t, 'p> {
    recorded: Recorded<'t>,
    training: Samples<'t>,
    validation: Option<Samples<'t>>,
    /// The parameters of the best epoch so far.
    best: &'p mut [f32],
    course: Course,
}

impl<'t, 'p> Fit<'t, 'p> {
    /// Records the predictions that `record` makes of readings of shape `[rows, 1]`, and
    /// their loss, on an empty tape. `rows` samples go through the tape at once; this
    /// number determines the order of sums, and so the bits.
    ///
    /// `best` receives the parameters of the best epoch: it has room for all recorded
    /// parameters, or is empty to keep none. The last parameters are on the tape.
    ///
    /// # Errors
    /// The arena is too small, or the predictions have another shape than `[rows]` or
    /// `[rows, 1]`.
    #[track_caller]
    pub fn new(
        tape: &'t Tape<'t>,
        training: Samples<'t>,
        rows: usize,
        best: &'p mut [f32],
        record: impl FnOnce(Var<'t>) -> Var<'t>,
    ) -> Result<Self, Error> {
        let rows = rows.clamp(1, training.len().max(1));
        let x = tape.input(training.x.get(..rows).unwrap_or_default(), [rows, 1]);
        let predictions = record(x);
        let shape = predictions.shape();
        let y = tape.input(training.y.get(..rows).unwrap_or_default(), shape);
        let loss = predictions.mse(y);
        if let Some(error) = tape.error() {
            return Err(error);
        }
        Ok(Fit {
            recorded: Recorded {
                tape,
                x,
                y,
                loss,
                rows,
            },
            training,
            validation: None,
            best,
            course: Course::new(500),
        })
    }

    /// Sets the number of epochs, each of which passes over all samples once. The default
    /// is 500.
    pub fn epochs(mut self, epochs: u32) -> Self {
        self.course.epochs = epochs;
        self
    }

    /// Watches the loss of samples that do not take part in training; see
    /// [`move_behind`](super::move_behind).
    pub fn validation(mut self, validation: Samples<'t>) -> Self {
        self.validation = Some(validation).filter(|samples| !samples.is_empty());
        self
    }

    /// Stops when the watched loss no longer improves. The parameters of the best epoch
    /// are kept with and without early stopping.
    pub fn early_stopping(mut self, early: EarlyStopping) -> Self {
        self.course.watch = Watch::new(early);
        self
    }

    /// Runs an epoch: measures the loss of all samples, and updates the parameters. After
    /// the last update, one more poll measures the loss.
    ///
    /// The learning rate of the optimizer may change from poll to poll, as a schedule does.
    ///
    /// # Errors
    /// The tape or the optimizer returns an error.
    #[track_caller]
    pub fn poll(&mut self, optimizer: &mut dyn Optimizer) -> Result<Poll, Error> {
        self.poll_with(|tape, _| tape.step(optimizer).map(|()| false))
    }

    /// Runs an epoch as [`poll`](Self::poll) does, then advances the schedule, which
    /// receives the validation loss, or the training loss if there is no validation.
    ///
    /// ```
    /// use baregrad::calibrate::{Curve, Fit, Poll, Reason, Samples};
    /// use baregrad::optim::schedule::{CosineAnnealingLr, Scheduler};
    /// use baregrad::{Arena, optim::Sgd};
    ///
    /// let samples = Samples { x: &[-1.0, 0.0, 0.5, 1.0], y: &[-3.0, -1.0, 0.0, 1.0] };
    /// let mut best = [0.0; 2];
    /// let mut arena = Arena::<64, 8>::new();
    /// let tape = arena.tape();
    /// let mut fit = Fit::new(&tape, samples, 4, &mut best, |x| Curve::Linear.record(x, &[0.0; 2]))?
    ///     .epochs(100);
    /// let mut sgd = Sgd::new(0.3);
    /// let mut cosine = Scheduler::new(CosineAnnealingLr::new(100), &mut sgd);
    /// while fit.poll_scheduled(&mut sgd, &mut cosine)? == Poll::Running {}
    /// assert!((best[0] - 2.0).abs() < 1e-4);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`poll`](Self::poll) and [`Scheduler::check`].
    #[track_caller]
    pub fn poll_scheduled<S: Schedule>(
        &mut self,
        optimizer: &mut dyn Optimizer,
        scheduler: &mut Scheduler<S>,
    ) -> Result<Poll, Error> {
        let poll = self.poll_with(|tape, _| {
            scheduler.check_on(tape)?;
            tape.step(optimizer).map(|()| false)
        })?;
        if poll == Poll::Running {
            let Losses {
                training,
                validation,
                ..
            } = self.losses();
            scheduler.step_with(validation.unwrap_or(training), optimizer);
        }
        Ok(poll)
    }

    /// Runs an epoch with a search, such as [`Lbfgs`](crate::optim::Lbfgs), instead of an
    /// optimizer. In every epoch, the search receives the loss of all samples and moves
    /// the parameters to the point whose loss it needs next. When it has found a minimum,
    /// the fit has converged.
    ///
    /// ```
    /// use baregrad::calibrate::{Curve, Fit, Poll, Reason, Samples};
    /// use baregrad::{Arena, optim::Lbfgs};
    ///
    /// let samples = Samples { x: &[-1.0, 0.0, 0.5, 1.0], y: &[-3.0, -1.0, 0.0, 1.0] };
    /// let mut best = [0.0; 2];
    /// let mut arena = Arena::<64, 8>::new();
    /// let tape = arena.tape();
    /// let mut fit = Fit::new(&tape, samples, 4, &mut best, |x| Curve::Linear.record(x, &[0.0; 2]))?;
    /// let mut search = Lbfgs::<2, 4>::new(1.0).strong_wolfe();
    /// while fit.poll_search(&mut search)? == Poll::Running {}
    /// assert_eq!(fit.poll_search(&mut search)?, Poll::Stopped(Reason::Converged));
    /// assert!(fit.epoch() < 20 && (best[0] - 2.0).abs() < 1e-5);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`poll`](Self::poll).
    #[track_caller]
    pub fn poll_search(&mut self, search: &mut dyn Search) -> Result<Poll, Error> {
        self.poll_with(|tape, loss| {
            let answer = tape.tell(loss, search)?;
            Ok(matches!(answer, Answer::Found(reason) if reason.is_minimum()))
        })
    }

    #[track_caller]
    fn poll_with(
        &mut self,
        step: impl FnMut(&Tape<'t>, f32) -> Result<bool, Error>,
    ) -> Result<Poll, Error> {
        if let Some(reason) = self.course.stopped() {
            return Ok(Poll::Stopped(reason));
        }
        let measured = Measured {
            validation: match self.validation {
                Some(samples) => Some(self.recorded.measure(samples.rows())?),
                None => None,
            },
            watched: None,
        };
        let best = &mut *self.best;
        let keep = |tape: &Tape<'t>| {
            for (to, p) in best.iter_mut().zip(tape.params()?.iter()) {
                *to = *p;
            }
            Ok(())
        };
        let all = core::iter::once(self.training.rows());
        self.course.run(&self.recorded, all, measured, keep, step)?;
        Ok(self.course.stopped().map_or(Poll::Running, Poll::Stopped))
    }

    /// Ends the fit, as the next [`poll`](Self::poll) will report. The best parameters are kept.
    pub fn stop(&mut self) {
        self.course.stop();
    }

    /// The number of updates.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.course.epoch()
    }

    /// The losses of the last epoch.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.course.losses()
    }

    /// The best epoch so far with its loss, the validation loss if there are validation
    /// samples; `None` before the first poll.
    #[must_use]
    pub fn best(&self) -> Option<(u32, f32)> {
        self.course.watch.best()
    }
}

/// The progress of a fit: epochs, losses, the best parameters, and the current parameters. A fit
/// that was stopped and saved continues in another fit that was made in the same way, to the
/// same bits. The optimizer and the schedule have states of their own.
impl Stateful for Fit<'_, '_> {
    fn visit_state(&mut self, _: usize, visit: Visit<'_>) -> Result<(), OptimizerError> {
        self.course.visit(visit);
        visit("best", self.best);
        let shown = self.recorded.tape.visit_params(visit);
        shown.map_err(|_| OptimizerError::HyperParameter {
            expected: "a tape that keeps no error and lends no values",
            found: f32::NAN,
        })
    }

    fn visit_hyper(&self, show: Show<'_>) {
        let count = |n: usize| halves(u32::try_from(n).unwrap_or(u32::MAX));
        show("fit", &[]);
        show("rows", &count(self.recorded.rows));
        show("training", &count(self.training.len()));
        show("validation", &count(self.validation.map_or(0, |v| v.len())));
    }
}
