//! Searches: methods that must know the loss at several places before they have taken a step.
//!
//! An [`Optimizer`](super::Optimizer) is told gradients and moves. A [`Search`] is told a
//! loss and its gradients, and moves the parameters to where it wants to know them next,
//! until it has found what it looked for. The recorded tape is what evaluates, where
//! PyTorch's `LBFGS.step` takes a closure: [`Tape::minimize`].

use super::OptimizerError;
use crate::error::Error;
use crate::tape::Tape;
use crate::var::Var;

/// Looks for the least loss, evaluation by evaluation.
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
    /// Takes the loss and its gradients at `params`, and moves `params`: to where it asks
    /// for them next, or to what it has found. After that, the next call begins anew,
    /// with what the search has learned of the loss.
    ///
    /// # Errors
    /// If slices differ in length, there is no room for so many parameters, or a
    /// hyper-parameter is out of range. Then nothing has changed.
    fn tell(
        &mut self,
        params: &mut [f32],
        loss: f32,
        grads: &[f32],
    ) -> Result<Answer, OptimizerError>;
}

/// A [`Search`] answers a loss with this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Answer {
    /// The parameters are where loss and gradients are wanted next.
    Ask,
    /// The parameters are where the search ends.
    Found(Reason),
}

/// Why a [`Search`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// No element of the gradient is larger than its tolerance: a minimum.
    FlatGradient,
    /// Loss, parameters or the slope ahead change by less than their tolerance.
    NoChange,
    /// As many iterations as were asked for: the loss may fall further.
    Iterations,
    /// As many evaluations as were asked for: the loss may fall further.
    Evaluations,
}

/// The outcome of [`Tape::minimize`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Minimized {
    /// Why it ended.
    pub reason: Reason,
    /// How often loss and gradients were computed.
    pub evaluations: u32,
}

impl<'t> Tape<'t> {
    /// Moves the parameters to where `search` finds the least `loss`: replays, computes
    /// gradients and tells them, until there is an answer. With [`Lbfgs`](super::Lbfgs)
    /// that is one `step(closure)` of PyTorch's, which ends after 20 iterations: call it
    /// again while the answer is [`Reason::Iterations`].
    ///
    /// Afterwards all results are those of the parameters found, and there are no
    /// gradients. Where an evaluation is more than this, for data in micro-batches or a
    /// board that must not wait, call [`tell`](Self::tell) instead.
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
    /// All that [`replay`](Self::replay), [`backward`](Self::backward) and
    /// [`step`](Self::step) refuse.
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

    /// Tells `search` the loss and the gradients that the tape has, and lets it move the
    /// parameters. Results keep their old values until [`replay`](Self::replay).
    ///
    /// # Errors
    /// As for [`step`](Self::step).
    #[track_caller]
    pub fn tell<S: Search + ?Sized>(&self, loss: f32, search: &mut S) -> Result<Answer, Error> {
        let mut answer = Answer::Ask;
        // An own search may have changed parameters before it refused.
        self.update(false, |params, grads| {
            answer = search.tell(params, loss, grads)?;
            Ok(())
        })?;
        Ok(answer)
    }
}
