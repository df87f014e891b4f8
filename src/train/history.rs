//! The course of a fit, epoch by epoch.

use core::fmt;
use std::string::String;
use std::vec::Vec;

use super::coarse::Coarse;
use super::digits::Digits;
use super::residuals::Residuals;

/// The losses of one epoch, measured before its update, as by a loop that prints the losses
/// between `loss.backward()` and `optimizer.step()`. With several batches, the training loss is
/// the mean of the losses of the batches, each measured before the update by that batch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
pub struct Epoch {
    /// The number of the epoch, counted from 1.
    pub epoch: u32,
    /// The mean over the training samples, without penalties.
    pub training_loss: f32,
    /// The mean over the validation samples, if there are any.
    pub validation_loss: Option<f32>,
    /// The learning rate of the update; 1 for a search, which finds its step length itself.
    pub learning_rate: f32,
}

impl Epoch {
    /// The validation loss if there is one, otherwise the training loss. If an epoch is
    /// one update, early stopping watches this loss.
    pub fn watched_loss(&self) -> f32 {
        self.validation_loss.unwrap_or(self.training_loss)
    }
}

/// Prints, for example, `Epoch 500, Training loss 8.2724, Validation loss 1.0062`.
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let training = Digits(self.training_loss);
        write!(f, "Epoch {}, Training loss {training}", self.epoch)?;
        match self.validation_loss {
            Some(loss) => write!(f, ", Validation loss {}", Digits(loss)),
            None => Ok(()),
        }
    }
}

/// The reason why fitting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[cfg_attr(feature = "json", serde(rename_all = "snake_case"))]
pub enum Stopped {
    /// The last epoch was done.
    Finished,
    /// Early stopping: the watched loss had not improved for `patience` epochs.
    Early,
    /// The stop flag was set.
    Asked,
    /// A search found a minimum: [`Fit::run_search`](super::Fit::run_search).
    Found,
}

/// The losses of every epoch, and the losses with the parameters that were kept.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
pub struct History {
    #[cfg_attr(feature = "json", serde(skip))]
    pub(super) coarse: Vec<Coarse>,
    pub(super) training_rows: usize,
    pub(super) validation_rows: usize,
    pub(super) mean_loss: f32,
    pub(super) stopped: Stopped,
    pub(super) restored_epoch: Option<u32>,
    /// The training loss before the first update, if the loss of the first epoch is another one.
    #[cfg_attr(feature = "json", serde(skip))]
    pub(super) start_loss: Option<f32>,
    pub(super) training_loss: f32,
    pub(super) validation_loss: Option<f32>,
    pub(super) r_squared: Option<f64>,
    #[cfg_attr(feature = "json", serde(skip))]
    pub(super) residuals: Option<Residuals>,
    /// The training loss with the parameters at the start of each epoch; empty unless
    /// early stopping needed it measured apart.
    #[cfg_attr(feature = "json", serde(skip))]
    pub(super) evaluated: Vec<f32>,
    pub(super) epochs: Vec<Epoch>,
}

impl History {
    /// The epochs, in order. There is at least one.
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// The first epoch.
    pub fn first(&self) -> Epoch {
        match self.epochs.first() {
            Some(epoch) => *epoch,
            None => unreachable!("fit runs at least one epoch"),
        }
    }

    /// The last epoch.
    pub fn last(&self) -> Epoch {
        self.epochs.last().map_or(self.first(), |epoch| *epoch)
    }

    /// The first epoch with the lowest loss: the loss that
    /// [`EarlyStopping`](super::EarlyStopping) watched, or [`Epoch::watched_loss`]
    /// without early stopping.
    pub fn best(&self) -> Epoch {
        let mut best = (f32::INFINITY, self.first());
        for (i, epoch) in self.epochs.iter().enumerate() {
            let evaluated = self.evaluated.get(i);
            let loss = evaluated.map_or(epoch.watched_loss(), |loss| *loss);
            if loss < best.0 {
                best = (loss, *epoch);
            }
        }
        best.1
    }

    /// The reason why fitting ended.
    pub fn stopped(&self) -> Stopped {
        self.stopped
    }

    /// The epoch whose parameters, as they were before its update, were restored at the
    /// end; `None` if the parameters after the last update were kept.
    pub fn restored_epoch(&self) -> Option<u32> {
        self.restored_epoch
    }

    /// The training loss with the parameters that fitting began with.
    pub(super) fn start_loss(&self) -> f32 {
        let start = self.start_loss.filter(|loss| loss.is_finite());
        start.unwrap_or(self.first().training_loss)
    }

    /// The training loss with the parameters that were kept.
    pub fn training_loss(&self) -> f32 {
        self.training_loss
    }

    /// The validation loss with the parameters that were kept.
    pub fn validation_loss(&self) -> Option<f32> {
        self.validation_loss
    }

    /// The training loss of a model that always predicts the mean of the targets: the
    /// baseline that a model has to beat. NaN if predictions have another shape than
    /// targets, as logits have next to classes.
    pub fn mean_loss(&self) -> f32 {
        self.mean_loss
    }

    /// R², the share of the variance of the training targets that the kept parameters explain:
    /// `1 - Σ(y - prediction)² / Σ(y - mean)²`, over all targets together. `None` if all targets
    /// are equal, or if predictions are not meant to equal targets, as with logits and classes.
    pub fn r_squared(&self) -> Option<f64> {
        self.r_squared
    }

    /// The numbers of training and validation samples.
    pub fn rows(&self) -> (usize, usize) {
        (self.training_rows, self.validation_rows)
    }

    /// The history as JSON. Numbers have enough digits to be read back exactly, so equal
    /// text means equal bits.
    #[cfg(feature = "json")]
    pub fn to_json(&self) -> String {
        match serde_json::to_string_pretty(self) {
            Ok(text) => text,
            Err(error) => unreachable!("plain numbers can be written: {error}"),
        }
    }

    /// The history as CSV, with a header
    /// `epoch,training_loss,validation_loss,learning_rate` and a line per epoch.
    pub fn to_csv(&self) -> String {
        let mut text = String::from("epoch,training_loss,validation_loss,learning_rate\n");
        for epoch in &self.epochs {
            use fmt::Write as _;
            let validation = epoch.validation_loss.map(|loss| std::format!("{loss}"));
            let written = writeln!(
                text,
                "{},{},{},{}",
                epoch.epoch,
                epoch.training_loss,
                validation.unwrap_or_default(),
                epoch.learning_rate
            );
            debug_assert!(written.is_ok());
        }
        text
    }
}
