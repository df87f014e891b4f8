//! The course of a fit, epoch by epoch.

use core::fmt;
use std::string::String;
use std::vec::Vec;

use super::coarse::Coarse;
use super::digits::Digits;
use super::residuals::Residuals;

/// An epoch, with losses measured before its update, as the loop that prints
/// them after `loss.backward()` does. With several batches the training loss is
/// the mean over them, each before its own update.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: u32,
    /// The mean over the training samples, without penalties.
    pub training_loss: f32,
    /// The mean over the validation samples, if there are any.
    pub validation_loss: Option<f32>,
    /// The learning rate of the update; of a search, which finds how far to go, 1.
    pub learning_rate: f32,
}

impl Epoch {
    /// The validation loss if there is one, otherwise the training loss: early stopping
    /// watches it where an epoch is one update.
    pub fn watched_loss(&self) -> f32 {
        self.validation_loss.unwrap_or(self.training_loss)
    }
}

/// `Epoch 500, Training loss 8.2724, Validation loss 1.0062`.
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

/// Why fitting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[cfg_attr(feature = "json", serde(rename_all = "snake_case"))]
pub enum Stopped {
    /// After the last epoch.
    Finished,
    /// The watched loss had not become better for as long as patience lasts.
    Early,
    /// The stop flag was set.
    Asked,
    /// A search found a minimum: [`Fit::run_search`](super::Fit::run_search).
    Found,
}

/// Every epoch, and the losses with the parameters that were kept.
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
    /// The training loss before the first update, where the first epoch has another.
    #[cfg_attr(feature = "json", serde(skip))]
    pub(super) start_loss: Option<f32>,
    pub(super) training_loss: f32,
    pub(super) validation_loss: Option<f32>,
    pub(super) r_squared: Option<f64>,
    #[cfg_attr(feature = "json", serde(skip))]
    pub(super) residuals: Option<Residuals>,
    /// The training loss with the parameters that each epoch began with, if early
    /// stopping had to measure it.
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

    /// The epoch of the lowest watched loss, the first of several: of what
    /// [`EarlyStopping`](super::EarlyStopping) watched, if it did, otherwise of
    /// [`Epoch::watched_loss`].
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

    /// Why fitting ended.
    pub fn stopped(&self) -> Stopped {
        self.stopped
    }

    /// The epoch whose parameters, those before its update, were restored at the
    /// end; `None` if the last update was kept.
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

    /// The training loss of always answering the mean of the targets: what a
    /// model has to beat. NaN where that is no answer: predictions are of another shape, as
    /// logits are next to classes.
    pub fn mean_loss(&self) -> f32 {
        self.mean_loss
    }

    /// The share of the variance of the training targets that the parameters that were
    /// kept explain: `1 - Σ(y - prediction)² / Σ(y - mean)²`, over all targets together.
    /// `None` if all targets are the same, or if predictions are not meant to equal
    /// targets, as logits next to classes.
    pub fn r_squared(&self) -> Option<f64> {
        self.r_squared
    }

    /// Training and validation samples.
    pub fn rows(&self) -> (usize, usize) {
        (self.training_rows, self.validation_rows)
    }

    /// All of it as JSON. Numbers have as many digits as tell them apart, so that
    /// equal text means equal bits.
    #[cfg(feature = "json")]
    pub fn to_json(&self) -> String {
        match serde_json::to_string_pretty(self) {
            Ok(text) => text,
            Err(error) => unreachable!("plain numbers can be written: {error}"),
        }
    }

    /// A line per epoch: `epoch,training_loss,validation_loss,learning_rate`.
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
