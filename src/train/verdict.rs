//! Underfitting or overfitting? Two rules every introduction tells, with numbers, and
//! a third that every textbook of regression does.
//!
//! 1. If the training loss does not decrease, the model is too simple for the
//!    data, or the data do not tell what it should explain.
//! 2. If the training loss and the validation loss diverge, it is overfitting.
//!
//! When do they diverge? Losses of a few samples differ by chance: a mean of `n`
//! squared errors scatters by about `√(2 / n)` of itself. So the validation loss
//! has to be more than `1 + 3 √(2 / n + 2 / m)` times the training loss, of `n`
//! and `m` samples, and either well above its lowest, or an order of magnitude
//! off. Means over some epochs are compared, because small batches, noise and
//! large steps make losses jump about.
//!
//! 3. If the residuals are not noise but follow a curve, a better model would follow
//!    it, too: `residuals.rs` tells how that is found.
//!
//! Losses that are rounding tell nothing: those of an exact line are 0 and 1e-18, and
//! no ratio of them means anything. Below what rounding may leave, a fit is good.
//! Targets that are all the same have no variance that a model could explain a share
//! of: their residuals are compared with the targets themselves.

use core::fmt;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::digits::Digits;
use super::history::{Epoch, History, Stopped};
use super::residuals::{Along, Curvature, Residuals};

/// A loss that has not come down by this share has not decreased.
const DECREASED: f32 = 0.01;
/// A model should leave at most this share of what always answering the mean
/// leaves: half of the spread.
const EXPLAINED: f32 = 0.25;
/// Where all targets are equal, the root mean square of the residuals should be at
/// most a thousandth of them.
const EQUAL: f64 = 1e-6;
/// A validation loss this many times its lowest has risen.
const RISEN: f64 = 1.1;
/// The share of the epochs that such means are taken over.
const WINDOW: usize = 50;
/// Validation and training loss that are this far apart have diverged even if
/// neither rises.
const FAR: f64 = 10.0;

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
    /// Rule three: most is explained, and the residuals follow a curve.
    Curved,
    /// The training loss is small next to what there was to explain, and the
    /// validation loss stays near it; or both are rounding.
    GoodFit,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLearning => f.write_str("not learning"),
            Self::Underfitting => f.write_str("underfitting"),
            Self::Overfitting { since } => write!(f, "overfitting since epoch {since}"),
            Self::Curved => f.write_str("curved residuals"),
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
    /// How the fit went.
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

impl History {
    /// Judges the fit, and names the columns that lost digits when rounded to `f32`: see
    /// [`Coarse`](super::Coarse).
    pub fn verdict(&self) -> Judgement {
        let mut judgement = Judgement::of(self);
        let coarse = self.coarse.iter().map(|coarse| {
            std::format!("{coarse}: scale it, or take off an origin, before it becomes f32")
        });
        judgement.evidence.extend(coarse);
        judgement
    }
}

impl Judgement {
    fn of(history: &History) -> Self {
        let start = history.start_loss();
        let lowest = history.best();
        let loss = history.training_loss();
        let residuals = history.residuals.as_ref();
        let exact = residuals.is_some_and(|left| left.training <= left.rounding);

        let mut evidence = Vec::from([format!(
            "training loss {} → {}{}",
            Digits(start),
            Digits(loss),
            next_to_baseline(history)
        )]);
        if let Some(r_squared) = history.r_squared() {
            let share = Share(r_squared);
            evidence.push(format!(
                "R² {share}: the share of the variance of the targets that is explained"
            ));
        }
        let overfitting = match (history.first().validation_loss, history.validation_loss()) {
            (Some(start), Some(end)) => {
                evidence.push(format!(
                    "validation loss {} → {}, lowest {} at epoch {}",
                    Digits(start),
                    Digits(end),
                    Digits(lowest.watched_loss()),
                    lowest.epoch
                ));
                diverges(history, &mut evidence)
            }
            _ => {
                if !exact {
                    evidence.push(String::from(
                        "without validation, overfitting would not be seen",
                    ));
                }
                false
            }
        };
        let curve = residuals.and_then(|left| left.curve);
        if let Some(curve) = curve {
            evidence.push(describe(&curve));
        }
        if let Some(epoch) = history.restored_epoch() {
            let why = match history.stopped() {
                Stopped::Early => "stopped early",
                Stopped::Finished | Stopped::Asked | Stopped::Found => "stopped",
            };
            evidence.push(format!(
                "{why} at epoch {}, with the parameters of epoch {epoch}",
                history.last().epoch
            ));
        }

        let (verdict, advice) = if overfitting {
            (
                Verdict::Overfitting {
                    since: lowest.epoch,
                },
                "rule two: the losses diverge; simplify the model, penalise it, stop early, or get more data",
            )
        } else if explains(history) {
            match curve {
                Some(_) => (
                    Verdict::Curved,
                    "rule three: the residuals follow a curve; try a higher degree, or a transform of the input, such as its logarithm",
                ),
                None if exact => (
                    Verdict::GoodFit,
                    "what is left over is the rounding of f32: the model is exact",
                ),
                None => (Verdict::GoodFit, ""),
            }
        } else if loss > (1.0 - DECREASED) * start {
            (
                Verdict::NotLearning,
                "rule one: the training loss does not decrease; the model is too simple, the data do not tell, or the learning rate is too small",
            )
        } else {
            (
                Verdict::Underfitting,
                "rule one: the training loss stays high; the model is too simple, the data do not tell, or more epochs are needed",
            )
        };
        if !advice.is_empty() {
            evidence.push(String::from(advice));
        }
        Judgement { verdict, evidence }
    }
}

/// The loss of always answering the mean, as words behind the training loss.
fn next_to_baseline(history: &History) -> String {
    let (loss, mean_loss) = (history.training_loss(), history.mean_loss());
    match &history.residuals {
        Some(left) if left.constant => String::from(
            "; the targets differ by no more than rounding, so that always answering their mean leaves nothing to explain",
        ),
        Some(left) if left.variance > 0.0 && !mean_loss.is_normal() => String::from(
            "; f32 cannot hold the loss of always answering the mean: scale the targets",
        ),
        // A loss of another kind, which may be negative.
        _ if mean_loss <= 0.0 || !mean_loss.is_finite() => String::new(),
        _ => format!(
            ", {} of that of always answering the mean",
            Digits(loss / mean_loss)
        ),
    }
}

/// Whether the training loss is small next to what there was to explain.
fn explains(history: &History) -> bool {
    let (loss, mean_loss) = (history.training_loss(), history.mean_loss());
    match &history.residuals {
        Some(left) if left.training <= left.rounding => true,
        // Targets of 0 have no size: the loss at the start is the only measure.
        Some(left) if left.constant && left.size == 0.0 => {
            f64::from(loss) <= EQUAL * f64::from(history.start_loss())
        }
        Some(left) if left.constant => left.training <= EQUAL * left.size,
        Some(left) if !mean_loss.is_normal() => {
            left.training <= f64::from(EXPLAINED) * left.variance
        }
        // The mean of the targets is no answer, and the loss at the start the only measure.
        None if mean_loss.is_nan() => loss <= EXPLAINED * history.start_loss(),
        _ => loss <= EXPLAINED * mean_loss,
    }
}

/// Whether training and validation loss diverge; what speaks for and against it.
fn diverges(history: &History, evidence: &mut Vec<String>) -> bool {
    let (rows, validation_rows) = history.rows();
    let chance = chance(rows, validation_rows);
    let losses = [Some(history.training_loss()), history.validation_loss()];
    let [training, validation] = losses.map(|loss| f64::from(loss.unwrap_or_default()));
    // A loss below rounding counts as rounding.
    let (name, training, validation) = match history.residuals {
        Some(Residuals {
            training,
            validation: Some(validation),
            rounding,
            ..
        }) if training <= rounding => {
            if validation <= rounding {
                evidence.push(String::from("both are within the rounding of f32"));
                return false;
            }
            ("rounding", rounding, validation)
        }
        _ => ("training loss", training, validation),
    };
    let ratio = validation / training;
    if ratio.is_finite() {
        let ratio = Ratio(ratio);
        evidence.push(format!(
            "validation loss / {name} = {ratio}; with {validation_rows} and {rows} samples up to {chance:.1} may be chance"
        ));
    } else if validation > 0.0 {
        evidence.push(String::from(
            "the training loss is 0, the validation loss is not",
        ));
    } else {
        evidence.push(String::from("both are 0"));
    }
    // Restored parameters are those of the lowest validation loss.
    let rises = history.restored_epoch().is_none() && has_risen(history.epochs());
    let apart = validation > chance * training;
    let far = validation > FAR * training;
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

fn describe(curve: &Curvature) -> String {
    let along = match curve.along {
        Along::Input(_) if curve.inputs == 1 => String::from("the input"),
        Along::Input(i) => format!("input {i}, counted from 0"),
        Along::Prediction => String::from("the prediction"),
    };
    format!(
        "the residuals are no noise: along {along} a smooth curve explains {} of their squares",
        Share(curve.share)
    )
}

/// A share of 1 with the digits that tell it from 1.
struct Share(f64);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = 1.0 - self.0;
        if self.0.abs() < 0.01 && self.0 != 0.0 {
            write!(f, "{:.2e}", self.0)
        } else if rest == 0.0 || rest >= 1e-2 {
            write!(f, "{}", (self.0 * 1e4).round() / 1e4)
        } else if rest >= 1e-9 {
            // Shows two digits of the difference from 1.
            write!(f, "{:.*}", (1.0 - rest.log10().floor()) as usize, self.0)
        } else {
            write!(f, "1 - {rest:.1e}")
        }
    }
}

/// A ratio with a digit behind the point, or if it is small with two that count.
struct Ratio(f64);

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0.0 => f.write_str("0"),
            0.1..1e6 => write!(f, "{:.1}", self.0),
            _ => write!(f, "{:.1e}", self.0),
        }
    }
}

/// How many times the training loss the validation loss may be by chance.
fn chance(rows: usize, validation_rows: usize) -> f64 {
    1.0 + 3.0 * (2.0 / rows as f64 + 2.0 / validation_rows as f64).sqrt()
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
