//! Early stopping: ends a fit when its loss no longer improves.

use crate::optim::{Visit, visit_count};

/// Stops when the watched loss has not improved for a number of epochs.
///
/// The watched loss is that of the validation samples or, without these, that of all training
/// samples, with the parameters at the start of an epoch, so that the restored parameters are
/// those that had this loss. If an epoch is one update, the update measures this loss anyway.
/// With mini-batches or noise, the parameters change while the training loss is summed up, so
/// that the mean is not the loss of any parameters. Without validation samples, early stopping
/// then costs one more forward pass over the training samples per epoch.
///
/// ```
/// use baregrad::calibrate::EarlyStopping;
///
/// // Stops after 50 epochs without an improvement of 0.001, and restores the best epoch.
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
    /// Waits `patience` epochs for an improvement, then restores the parameters of the
    /// best epoch.
    #[must_use]
    pub const fn new(patience: u32) -> Self {
        EarlyStopping {
            patience,
            min_delta: 0.0,
            restore_best: true,
        }
    }

    /// Sets how much lower than the best loss so far a loss has to be to count as better.
    /// The default is 0.
    #[must_use]
    pub const fn min_delta(mut self, min_delta: f32) -> Self {
        self.min_delta = min_delta;
        self
    }

    /// Keeps the last parameters instead of restoring the best ones.
    #[must_use]
    pub const fn keep_last(mut self) -> Self {
        self.restore_best = false;
        self
    }
}

/// The state of early stopping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    early: EarlyStopping,
    /// The best epoch so far, and its loss.
    best: Option<(u32, f32)>,
}

/// The loss of an epoch compared with those of the epochs before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The loss is the best so far.
    Best,
    /// The loss is not better.
    NotBetter,
    /// The loss is not better, and patience has run out.
    TooLong,
}

impl Watch {
    pub(crate) const fn new(early: EarlyStopping) -> Self {
        Watch { early, best: None }
    }

    /// Compares the loss at the start of an epoch with the best so far.
    pub(crate) fn see(&mut self, epoch: u32, loss: f32) -> Seen {
        // NaN counts as infinity, the worst loss.
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

    /// Passes the best epoch and its loss to `visit`; the loss is NaN if there is none.
    pub(super) fn visit(&mut self, visit: Visit<'_>) {
        let (mut epoch, least) = self.best.unwrap_or((0, f32::NAN));
        let mut least = [least];
        visit_count("best_epoch", &mut epoch, visit);
        visit("best_loss", &mut least);
        let [least] = least;
        self.best = (!least.is_nan()).then_some((epoch, least));
    }
}
