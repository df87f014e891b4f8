//! The loop of training, an epoch at a time.

use super::early::{EarlyStopping, Watch};
use super::epoch::{Course, Measured, Recorded};
use super::outcome::{Losses, Reason};
use super::samples::Samples;
use crate::error::Error;
use crate::optim::schedule::{Schedule, Scheduler};
use crate::optim::{Answer, Optimizer, OptimizerError, Search, Show, Stateful, Visit};
use crate::optim::{Reason as SearchReason, halves};
use crate::tape::Tape;
use crate::var::Var;

/// Samples that go through the tape at a time in the calibrator's firmware, and wherever its
/// bits are wanted: the memory of a small chip holds what these leave behind.
pub const ROWS: usize = 8;

/// Whether a fit goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// There are epochs left.
    Running,
    /// There are none, for this reason.
    Stopped(Reason),
}

/// A fit at work: a value that is [polled](Self::poll), an epoch at a time, so that in between
/// a board can answer its serial line, feed a watchdog, or stop.
///
/// The loss is the mean squared error. What is fitted is anything that can be recorded: a
/// [`Curve`](super::Curve), or a [`Function`](crate::function::Function). The parameters of
/// the best epoch so far are always at hand.
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
    /// Records what `record` makes of readings, `[rows, 1]`, and its loss, on an empty tape.
    /// `rows` samples go through the tape at a time: how many decides the order of sums, and
    /// with it the bits.
    ///
    /// `best` is where parameters of the best epoch go: as many as are recorded, or none to keep
    /// none. The last ones are on the tape.
    ///
    /// # Errors
    /// An arena that is too small; predictions of another shape than `[rows]` or `[rows, 1]`.
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

    /// How many times all samples are gone through. Default 500.
    pub fn epochs(mut self, epochs: u32) -> Self {
        self.course.epochs = epochs;
        self
    }

    /// Watches the loss of samples that it does not train with; see [`move_behind`](super::move_behind).
    pub fn validation(mut self, validation: Samples<'t>) -> Self {
        self.validation = Some(validation).filter(|samples| !samples.is_empty());
        self
    }

    /// Stops when the watched loss no longer becomes better. The parameters of the best epoch
    /// are kept in any case.
    pub fn early_stopping(mut self, early: EarlyStopping) -> Self {
        self.course.watch = Watch::new(early);
        self
    }

    /// Goes through all samples once: measures the loss, and updates the parameters. After
    /// the last update the loss is measured once more.
    ///
    /// The optimizer may have another learning rate every time: that is a schedule.
    ///
    /// # Errors
    /// All that the tape and the optimizer refuse.
    #[track_caller]
    pub fn poll(&mut self, optimizer: &mut dyn Optimizer) -> Result<Poll, Error> {
        self.poll_with(|tape, _| tape.step(optimizer).map(|()| false))
    }

    /// [`poll`](Self::poll), and then the schedule's next epoch, which sees the validation
    /// loss, or without that the training loss.
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
    /// As for [`poll`](Self::poll), and what [`Scheduler::check`] refuses.
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

    /// [`poll`](Self::poll) with a search, such as [`Lbfgs`](crate::optim::Lbfgs), which is
    /// told the loss of all samples once in every epoch, and moves the parameters to where
    /// it asks for the next. Once it has found a minimum, the fit has converged.
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
            // After as many iterations as it was asked for it begins anew.
            Ok(matches!(
                answer,
                Answer::Found(SearchReason::FlatGradient | SearchReason::NoChange)
            ))
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

    /// Ends it: the next [`poll`](Self::poll) says so. The best so far stays.
    pub fn stop(&mut self) {
        self.course.stop();
    }

    /// How many updates there were.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.course.epoch()
    }

    /// The losses of the last epoch.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.course.losses()
    }

    /// The epoch whose parameters are the best so far, and its loss, of the samples to
    /// validate with if there are any; `None` before the first poll.
    #[must_use]
    pub fn best(&self) -> Option<(u32, f32)> {
        self.course.watch.best()
    }
}

/// Where it has come to, so that a fit that was stopped is saved, and goes on in another one
/// that was made alike, to the same bits: epochs, losses, the best so far, and the parameters
/// as they are. The optimizer and the schedule have states of their own.
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
