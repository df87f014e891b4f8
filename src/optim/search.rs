//! Searches: methods that evaluate the loss at several points in one step.
//!
//! An [`Optimizer`](super::Optimizer) receives gradients and moves the parameters. A [`Search`]
//! receives a loss and its gradients, and moves the parameters to the next point of evaluation,
//! until it ends. [`Tape::minimize`] evaluates the recorded tape, where PyTorch's `LBFGS.step`
//! takes a closure.

use super::OptimizerError;
use crate::error::Error;
use crate::tape::Tape;
use crate::var::Var;

/// Minimises a loss, one evaluation at a time.
///
/// ```
/// use baregrad::optim::{Answer, Lbfgs, OptimizerError, Search};
///
/// // (x - 3)² + 10 (y + 1)², without a tape.
/// let mut search = Lbfgs::<2, 4>::new(1.0).strong_wolfe();
/// let mut params = [0.0, 0.0];
/// loop {
///     let [x, y] = params;
///     let loss = (x - 3.0) * (x - 3.0) + 10.0 * (y + 1.0) * (y + 1.0);
///     let grads = [2.0 * (x - 3.0), 20.0 * (y + 1.0)];
///     if let Answer::Found(_) = search.tell(&mut params, loss, &grads)? {
///         break;
///     }
/// }
/// assert!((params[0] - 3.0).abs() < 1e-4 && (params[1] + 1.0).abs() < 1e-4);
/// # Ok::<(), OptimizerError>(())
/// ```
pub trait Search {
    /// Takes the loss and its gradients at `params`, and moves `params` to the next point of
    /// evaluation or, at the end, to the result. The call after that begins a new search, and
    /// keeps the curvature that the search has estimated.
    ///
    /// # Errors
    /// Slices of different lengths, no room for this number of parameters, or a hyper-parameter
    /// out of range. Nothing has changed then.
    fn tell(
        &mut self,
        params: &mut [f32],
        loss: f32,
        grads: &[f32],
    ) -> Result<Answer, OptimizerError>;
}

/// The answer of a [`Search`] to a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Answer {
    /// Evaluate loss and gradients at the parameters next.
    Ask,
    /// The search has ended at the parameters.
    Found(Reason),
}

/// The reason for which a [`Search`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// No element of the gradient is larger than its tolerance: a minimum.
    FlatGradient,
    /// Loss, parameters or the slope along the direction change by less than their tolerance.
    NoChange,
    /// The maximum number of iterations was reached: the loss may fall further.
    Iterations,
    /// The maximum number of evaluations was reached: the loss may fall further.
    Evaluations,
}

impl Reason {
    /// Returns whether the search cannot improve the loss further. The other reasons are limits on
    /// the work of one search: the next call starts another search.
    pub(crate) fn is_minimum(self) -> bool {
        matches!(self, Reason::FlatGradient | Reason::NoChange)
    }
}

/// The outcome of [`Tape::minimize`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Minimized {
    /// The reason for which the search ended.
    pub reason: Reason,
    /// The number of evaluations of loss and gradients.
    pub evaluations: u32,
}

impl<'t> Tape<'t> {
    /// Moves the parameters to where `search` finds the minimum of `loss`: replays, computes
    /// gradients and tells the search, until it ends. With [`Lbfgs`](super::Lbfgs), this is one
    /// `step(closure)` in PyTorch, which ends after 20 iterations: call it again while the
    /// reason is [`Reason::Iterations`].
    ///
    /// Afterwards all results belong to the parameters found, and there are no gradients. If an
    /// evaluation takes more than one replay, because data come in micro-batches or a board
    /// must not wait, call [`tell`](Self::tell) instead.
    ///
    /// ```
    /// use baregrad::{Arena, optim::{Lbfgs, Reason}};
    ///
    /// let mut arena = Arena::<32, 16>::new();
    /// let tape = arena.tape();
    /// let w = tape.param(&[0.0], []);
    /// let x = tape.input(&[1.0, 2.0, 3.0], [3]);
    /// let y = tape.input(&[2.0, 4.0, 6.0], [3]);
    /// let loss = (w * x - y).square().mean();
    ///
    /// let mut search = Lbfgs::<1, 4>::new(1.0).strong_wolfe();
    /// let found = tape.minimize(loss, &mut search)?;
    /// assert!((w.item()? - 2.0).abs() < 1e-6);
    /// assert!(found.reason != Reason::Iterations && found.evaluations < 10);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`replay`](Self::replay), [`backward`](Self::backward) and
    /// [`step`](Self::step).
    #[track_caller]
    pub fn minimize<S: Search + ?Sized>(
        &'t self,
        loss: Var<'t>,
        search: &mut S,
    ) -> Result<Minimized, Error> {
        let mut evaluations = 0_u32;
        loop {
            self.zero_grad();
            self.replay()?;
            self.backward(loss)?;
            evaluations = evaluations.saturating_add(1);
            if let Answer::Found(reason) = self.tell(loss.item()?, search)? {
                self.zero_grad();
                self.replay()?;
                return Ok(Minimized {
                    reason,
                    evaluations,
                });
            }
        }
    }

    /// Passes the loss and the tape's gradients to `search`, which moves the parameters.
    /// Results keep their old values until [`replay`](Self::replay).
    ///
    /// # Errors
    /// The errors of [`step`](Self::step).
    #[track_caller]
    pub fn tell<S: Search + ?Sized>(&self, loss: f32, search: &mut S) -> Result<Answer, Error> {
        let mut answer = Answer::Ask;
        // A custom search may have changed parameters before it returned an error.
        self.update(false, |params, grads| {
            answer = search.tell(params, loss, grads)?;
            Ok(())
        })?;
        Ok(answer)
    }
}
