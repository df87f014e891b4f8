//! When to stop, and what to go back to.

use std::vec::Vec;

use super::model::Param;

/// Stops when the watched loss has not become better for some epochs.
///
/// Watched is the loss of the validation samples, or without these that of all
/// training samples, with the parameters that an epoch begins with: those that are
/// restored are the ones that had the loss. An epoch that is one update measures that
/// anyway. With mini-batches or noise the parameters move while the training loss is
/// added up, so that the mean is that of none of them: without validation samples,
/// early stopping then takes a forward pass over the training samples more per epoch.
///
/// ```
/// use baregrad::train::EarlyStopping;
///
/// // Fifty epochs without being better by 0.001: back to the best of them.
/// let early = EarlyStopping::new(50).min_delta(1e-3);
/// # let _ = early;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    patience: u32,
    pub(super) min_delta: f32,
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

/// The best epoch so far, and what the parameters were.
pub(super) struct Best {
    pub(super) epoch: u32,
    pub(super) loss: f32,
    pub(super) params: Vec<Param>,
}

/// Early stopping at work.
pub(super) struct Watch {
    early: EarlyStopping,
    best: Option<Best>,
}

impl Watch {
    pub(super) fn new(early: EarlyStopping) -> Self {
        Watch { early, best: None }
    }

    /// Looks at an epoch and the loss of the parameters `before` its updates. Whether
    /// patience has run out.
    pub(super) fn see(&mut self, epoch: u32, loss: f32, before: Vec<Param>) -> bool {
        // A loss that is no number is as bad as can be.
        let loss = if loss.is_nan() { f32::INFINITY } else { loss };
        match &self.best {
            Some(best) if loss >= best.loss - self.early.min_delta => {
                epoch - best.epoch >= self.early.patience
            }
            _ => {
                self.best = Some(Best {
                    epoch,
                    loss,
                    params: before,
                });
                false
            }
        }
    }

    /// The best epoch, unless the last parameters are to be kept.
    pub(super) fn best(self) -> Option<Best> {
        self.best.filter(|_| self.early.restore_best)
    }
}
