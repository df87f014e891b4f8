//! Judges a fit by three rules: the two rules about underfitting and overfitting of every
//! introduction, with numbers, and the residual check of every textbook on regression.
//!
//! 1. If the training loss does not decrease, the model is too simple for the data, or
//!    the data do not determine the targets.
//! 2. If the training loss and the validation loss diverge, the model overfits.
//! 3. If the residuals are not noise but follow a curve, a better model would follow this
//!    curve, too. `residuals.rs` tells how curves are found.
//!
//! Losses of a few samples differ by chance: a mean of `n` squared errors scatters by
//! about `√(2 / n)` of itself. The losses of `n` training and `m` validation samples
//! therefore count as diverging only if the validation loss is more than `1 + 3 √(2 / n +
//! 2 / m)` times the training loss, and is either well above its lowest value, or an
//! order of magnitude larger than the training loss. Means over several epochs are
//! compared, because small batches, noise and large steps make losses jump about.
//!
//! Losses at the level of rounding carry no information: the losses of an exact line may
//! be 0 and 1e-18, and their ratio means nothing. A fit whose loss is below a bound of
//! the rounding errors is good. Targets that are all equal have no variance to explain;
//! their residuals are compared with the targets themselves.

use core::fmt;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::digits::Digits;
use super::history::{Epoch, History, Stopped};
use super::residuals::{Along, Curvature, Residuals};

/// The share by which the training loss has to fall to count as decreased.
const DECREASED: f32 = 0.01;
/// The largest loss of a good fit, as a share of the loss of always predicting the mean:
/// the residuals have half of the spread of the targets.
const EXPLAINED: f32 = 0.25;
/// The largest mean square of the residuals of a good fit, as a share of the mean square of the
/// targets, if all targets are equal: the root mean square is a thousandth of the targets.
const EQUAL: f64 = 1e-6;
/// A validation loss of this many times its lowest value has risen.
const RISEN: f64 = 1.1;
/// Losses are averaged over windows of `epochs / WINDOW` epochs.
const WINDOW: usize = 50;
/// A validation loss of more than this many times the training loss has diverged even if
/// it does not rise.
const FAR: f64 = 10.0;

/// The outcome of a fit.
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
    /// Rule three: most of the variance is explained, but the residuals follow a curve.
    Curved,
    /// The training loss is small next to the variance of the targets, and the validation
    /// loss stays near it; or both are rounding errors.
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

/// A verdict and its evidence.
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
    /// The outcome of the fit.
    pub verdict: Verdict,
    /// Sentences that support the verdict, or that qualify it.
    pub evidence: Vec<String>,
}

/// Prints the verdict, then a line for each piece of evidence.
impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "verdict: {}", self.verdict)?;
        self.evidence
            .iter()
            .try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl History {
    /// Judges the fit, and names the columns that lost digits when rounded to `f32`; see
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

/// Compares the training loss with the loss of always predicting the mean, as the rest of
/// a sentence.
fn next_to_baseline(history: &History) -> String {
    let (loss, mean_loss) = (history.training_loss(), history.mean_loss());
    match &history.residuals {
        Some(left) if left.constant => String::from(
            "; the targets differ by no more than rounding, so that always answering their mean leaves nothing to explain",
        ),
        Some(left) if left.variance > 0.0 && !mean_loss.is_normal() => String::from(
            "; f32 cannot hold the loss of always answering the mean: scale the targets",
        ),
        // Some losses may be negative; a ratio of such losses means nothing.
        _ if mean_loss <= 0.0 || !mean_loss.is_finite() => String::new(),
        _ => format!(
            ", {} of that of always answering the mean",
            Digits(loss / mean_loss)
        ),
    }
}

/// Returns whether the training loss is small next to the variance of the targets.
fn explains(history: &History) -> bool {
    let (loss, mean_loss) = (history.training_loss(), history.mean_loss());
    match &history.residuals {
        Some(left) if left.training <= left.rounding => true,
        // If all targets are 0, only the loss at the start can serve as a measure.
        Some(left) if left.constant && left.size == 0.0 => {
            f64::from(loss) <= EQUAL * f64::from(history.start_loss())
        }
        Some(left) if left.constant => left.training <= EQUAL * left.size,
        Some(left) if !mean_loss.is_normal() => {
            left.training <= f64::from(EXPLAINED) * left.variance
        }
        // If the mean of the targets is no valid prediction, only the loss at the start
        // can serve as a measure.
        None if mean_loss.is_nan() => loss <= EXPLAINED * history.start_loss(),
        _ => loss <= EXPLAINED * mean_loss,
    }
}

/// Returns whether the training and validation losses diverge. Adds the evidence for and against
/// it.
fn diverges(history: &History, evidence: &mut Vec<String>) -> bool {
    let (rows, validation_rows) = history.rows();
    let chance = chance(rows, validation_rows);
    let losses = [Some(history.training_loss()), history.validation_loss()];
    let [training, validation] = losses.map(|loss| f64::from(loss.unwrap_or_default()));
    // A training loss below the rounding error counts as equal to it.
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
    // Restored parameters have the lowest validation loss, so this loss has not risen since.
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

/// A share of 1, printed with enough digits to distinguish it from 1.
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

/// A ratio, printed with one decimal, or with two significant digits if it is small or large.
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

/// The largest ratio of validation loss to training loss that may be chance.
fn chance(rows: usize, validation_rows: usize) -> f64 {
    1.0 + 3.0 * (2.0 / rows as f64 + 2.0 / validation_rows as f64).sqrt()
}

/// Returns whether the validation loss is now well above its lowest value while the training loss
/// is below its value at that time.
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
