//! Early stopping: a fit ends when its loss no longer gets better.

use crate::optim::{Visit, visit_count};

/// Stops when the watched loss has not become better for some epochs.
///
/// It watches the loss of the validation samples, or without these that of all training
/// samples, with the parameters that an epoch begins with: the restored parameters are the
/// ones that had the loss. An epoch that is one update measures that anyway. With
/// mini-batches or noise the parameters move while the training loss is added up, so that
/// no parameters have that mean: without validation samples, early stopping then takes one
/// more forward pass over the training samples per epoch.
///
/// ```
/// use baregrad::calibrate::EarlyStopping;
///
/// // Fifty epochs without being better by 0.001: back to the best of them.
/// let early = EarlyStopping::new(50).min_delta(1e-3);
/// # let _ = early;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    patience: u32,
    pub(crate) min_delta: f32,
    #[cfg_attr(not(feature = "std"), allow(dead_code))]
    pub(crate) restore_best: bool,
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

/// Early stopping at work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    early: EarlyStopping,
    /// The best epoch so far, and its loss.
    best: Option<(u32, f32)>,
}

/// The loss of an epoch next to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is the best so far.
    Best,
    /// It is no better.
    NotBetter,
    /// It is no better, and patience has run out.
    TooLong,
}

impl Watch {
    pub(crate) const fn new(early: EarlyStopping) -> Self {
        Watch { early, best: None }
    }

    /// Looks at an epoch and the loss that it began with.
    pub(crate) fn see(&mut self, epoch: u32, loss: f32) -> Seen {
        // A loss that is no number is as bad as can be.
        let loss = if loss.is_nan() { f32::INFINITY } else { loss };
        match self.best {
            Some((best, least)) if loss >= least - self.early.min_delta => {
                if epoch.saturating_sub(best) >= self.early.patience {
                    Seen::TooLong
                } else {
                    Seen::NotBetter
                }
            }
            _ => {
                self.best = Some((epoch, loss));
                Seen::Best
            }
        }
    }

    pub(crate) fn best(&self) -> Option<(u32, f32)> {
        self.best
    }

    /// Shows the best so far; NaN if there is none.
    pub(super) fn visit(&mut self, visit: Visit<'_>) {
        let (mut epoch, least) = self.best.unwrap_or((0, f32::NAN));
        let mut least = [least];
        visit_count("best_epoch", &mut epoch, visit);
        visit("best_loss", &mut least);
        let [least] = least;
        self.best = (!least.is_nan()).then_some((epoch, least));
    }
}
