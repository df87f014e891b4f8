//! Underfitting or overfitting? Two rules every introduction tells, with numbers.
//!
//! 1. If the training loss does not decrease, the model is too simple for the
//!    data, or the data do not tell what it should explain.
//! 2. If the training loss and the validation loss diverge, it is overfitting.
//!
//! When do they diverge? Losses of a few samples differ by chance: a mean of `n`
//! squared errors scatters by about `√(2 / n)` of itself. So the validation loss
//! has to be more than `1 + 3 √(2 / n + 2 / m)` times the training loss, of `n`
//! and `m` samples, and either well above what it was before, or an order of
//! magnitude off. What it is and was is a mean over some epochs: small batches,
//! noise and large steps make it jump about.

use core::fmt;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::digits::Digits;
use super::history::{Epoch, History, Stopped};

/// A loss that has not come down by this share has not decreased.
const DECREASED: f32 = 0.01;
/// A model should leave at most this share of what always answering the mean
/// leaves: half of the spread.
const EXPLAINED: f32 = 0.25;
/// A validation loss this many times its lowest has risen.
const RISEN: f64 = 1.1;
/// The share of the epochs that such means are taken over.
const WINDOW: usize = 50;
/// Validation and training loss that are this far apart have diverged even if
/// neither rises.
const FAR: f32 = 10.0;

/// How the fit went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Rule one: the training loss does not decrease.
    NotLearning,
    /// Rule one: the training loss stopped decreasing too early.
    Underfitting,
    /// Rule two: training and validation loss diverge.
    Overfitting {
        /// The epoch of the lowest validation loss.
        since: u32,
    },
    /// The training loss is small next to what there was to explain, and the
    /// validation loss stays near it.
    GoodFit,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLearning => f.write_str("not learning"),
            Self::Underfitting => f.write_str("underfitting"),
            Self::Overfitting { since } => write!(f, "overfitting since epoch {since}"),
            Self::GoodFit => f.write_str("good fit"),
        }
    }
}

/// A verdict and what it rests on.
///
/// ```
/// use baregrad::optim::Sgd;
/// use baregrad::train::{Curve, Dataset, Fit, Verdict};
///
/// // A line through a parabola.
/// let data = Dataset::new([("x", [-1.0, -0.5, 0.0, 0.5, 1.0]), ("y", [1.0, 0.25, 0.0, 0.25, 1.0])])?;
/// let samples = data.samples(&["x"], &["y"])?;
/// let judgement = Fit::new(&Curve::Linear, &samples).run(&mut Sgd::new(0.1))?.verdict();
/// assert_eq!(judgement.verdict, Verdict::Underfitting);
/// println!("{judgement}"); // verdict: underfitting, and a line for each reason
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// How it went.
    pub verdict: Verdict,
    /// A sentence each.
    pub evidence: Vec<String>,
}

/// The verdict, then a line for each piece of evidence.
impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "verdict: {}", self.verdict)?;
        self.evidence
            .iter()
            .try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl Judgement {
    pub(super) fn of(history: &History) -> Self {
        let first = history.first();
        let lowest = history.best();
        let loss = history.training_loss();
        let mean_loss = history.mean_loss();
        let explains = loss <= EXPLAINED * mean_loss;

        let mut evidence = Vec::from([format!(
            "training loss {} → {}, {} of that of always answering the mean",
            Digits(first.training_loss),
            Digits(loss),
            Digits(loss / mean_loss)
        )]);
        let overfitting = match (first.validation_loss, history.validation_loss()) {
            (Some(start), Some(end)) => {
                let (rows, validation_rows) = history.rows();
                let chance = chance(rows, validation_rows);
                evidence.push(format!(
                    "validation loss {} → {}, lowest {} at epoch {}",
                    Digits(start),
                    Digits(end),
                    Digits(lowest.watched_loss()),
                    lowest.epoch
                ));
                evidence.push(format!(
                    "validation loss / training loss = {:.1}; with {validation_rows} and {rows} samples up to {chance:.1} may be chance",
                    end / loss
                ));
                // Restored parameters are those of the lowest validation loss.
                let rises = history.restored_epoch().is_none() && has_risen(history.epochs());
                let apart = end > chance * loss;
                let far = end > FAR * loss;
                if rises && !apart {
                    evidence.push(String::from(
                        "it has risen since, but not beyond chance: more validation samples would tell",
                    ));
                } else if apart && !rises && !far {
                    evidence.push(String::from(
                        "more than chance, less than an order of magnitude, and not rising: a simpler model may do as well",
                    ));
                }
                apart && (rises || far)
            }
            _ => {
                evidence.push(String::from(
                    "without validation, overfitting would not be seen",
                ));
                false
            }
        };
        if let Some(epoch) = history.restored_epoch() {
            let why = match history.stopped() {
                Stopped::Early => "stopped early",
                Stopped::Finished | Stopped::Asked => "stopped",
            };
            evidence.push(format!(
                "{why} at epoch {}, with the parameters of epoch {epoch}",
                history.last().epoch
            ));
        }

        let verdict = if overfitting {
            evidence.push(String::from(
                "rule two: the losses diverge; simplify the model, penalise it, stop early, or get more data",
            ));
            Verdict::Overfitting {
                since: lowest.epoch,
            }
        } else if explains {
            Verdict::GoodFit
        } else if loss > (1.0 - DECREASED) * first.training_loss {
            evidence.push(String::from(
                "rule one: the training loss does not decrease; the model is too simple, the data do not tell, or the learning rate is too small",
            ));
            Verdict::NotLearning
        } else {
            evidence.push(String::from(
                "rule one: the training loss stays high; the model is too simple, the data do not tell, or more epochs are needed",
            ));
            Verdict::Underfitting
        };
        Judgement { verdict, evidence }
    }
}

/// How many times the training loss the validation loss may be by chance.
fn chance(rows: usize, validation_rows: usize) -> f32 {
    1.0 + 3.0 * libm::sqrtf(2.0 / rows as f32 + 2.0 / validation_rows as f32)
}

/// Whether the validation loss is now well above its lowest, and the training
/// loss below what it was then.
fn has_risen(epochs: &[Epoch]) -> bool {
    let window = (epochs.len() / WINDOW).max(1);
    let total = |epochs: &[Epoch], loss: fn(&Epoch) -> f32| {
        epochs
            .iter()
            .map(|epoch| f64::from(loss(epoch)))
            .sum::<f64>()
    };
    let mut totals = epochs.windows(window).map(|epochs| {
        let validation = total(epochs, Epoch::watched_loss);
        (validation, total(epochs, |epoch| epoch.training_loss))
    });
    let lowest = totals.clone().min_by(|(a, _), (b, _)| a.total_cmp(b));
    match (lowest, totals.next_back()) {
        (Some(lowest), Some(last)) => last.0 > RISEN * lowest.0 && last.1 < lowest.1,
        _ => false,
    }
}
