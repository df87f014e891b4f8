//! Training: samples in, a [`Calibration`] out. Knows nothing but the tape, so
//! that the desktop can run the very same code (`baregrad board`).

use core::fmt;

use baregrad::op::Node;
use baregrad::optim::{Adam, Optimizer, Sgd};
use baregrad::{Error, Tape, Usage, Var, random};

use super::calibration::{Calibration, MAX_DEGREE, MAX_HIDDEN, MAX_PARAMS, Model, Scale, extremes};

/// Samples that pass the tape at a time. A constant of all boards: it decides
/// the order of sums, and with it the bits.
pub const BATCH: usize = 8;
/// Nodes of the largest recording, a network and its loss: two inputs, four
/// parameters, two layers, loss.
pub const NODES: usize = 9;
/// Floats that the widest network takes: [`floats`] of [`MAX_HIDDEN`].
pub const FLOATS: usize = floats(MAX_HIDDEN);
/// What `fit` is given if nothing is said.
pub const EPOCHS: u32 = 500;
/// The most epochs of one fit.
pub const MAX_EPOCHS: u32 = 100_000;

/// Floats that a network with so many units takes: parameters and their
/// gradients, the hidden values and their gradients for each sample of a
/// batch, the output and its gradient, the loss. The polynomials take fewer.
pub const fn floats(hidden: usize) -> usize {
    2 * (3 * hidden + 1) + BATCH * (2 * hidden + 2) + 2
}

/// A reading next to what it should have been.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// What the sensor said, in any unit.
    pub reading: f32,
    /// What was true, in the unit wanted.
    pub reference: f32,
}

impl Sample {
    /// What a store is filled with before there are any.
    pub const EMPTY: Self = Sample {
        reading: 0.0,
        reference: 0.0,
    };
}

/// How parameters are improved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Gradient descent.
    Sgd {
        /// Learning rate.
        lr: f32,
    },
    /// Adam with PyTorch's defaults.
    Adam {
        /// Learning rate.
        lr: f32,
    },
}

/// What to fit, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The model.
    pub model: Model,
    /// The optimizer.
    pub method: Method,
    /// How often all samples are gone through, 1 to [`MAX_EPOCHS`].
    pub epochs: u32,
}

impl Plan {
    /// A line, gradient descent, and as many epochs as a line needs.
    pub const DEFAULT: Self = Plan {
        model: Model::Linear,
        method: Method::Sgd { lr: 0.1 },
        epochs: EPOCHS,
    };
}

/// The memory that training needs besides the samples. What is left in it is of
/// no use.
#[derive(Debug)]
pub struct Scratch<'m> {
    /// [`MAX_DEGREE`] for each sample.
    pub inputs: &'m mut [f32],
    /// One for each sample.
    pub targets: &'m mut [f32],
    /// Up to [`FLOATS`].
    pub floats: &'m mut [f32],
    /// [`NODES`].
    pub nodes: &'m mut [Node],
}

/// What came out of a fit.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// To be used from now on.
    pub calibration: Calibration,
    /// Mean squared error, in the reference's unit squared.
    pub loss: f32,
    /// What the arena was used for.
    pub usage: Usage,
}

/// Why there is no new calibration.
#[derive(Clone, Copy, Debug)]
pub enum FitError {
    /// Fewer samples than the model needs.
    TooFew {
        /// How many it needs.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// Fewer different readings than the model needs, as they are or once they are
    /// scaled.
    Alike {
        /// How many it needs.
        needed: usize,
        /// How many there are.
        found: usize,
        /// In so many samples.
        samples: usize,
        /// The least reading and the most.
        range: [f32; 2],
    },
    /// Numbers that lie so far apart, or so close together, that the square of their
    /// deviation is no f32.
    Spread {
        /// Readings or references.
        what: &'static str,
        /// The least of them and the most.
        range: [f32; 2],
    },
    /// The loss did not fall but grow, or is no number any more.
    Diverged {
        /// After so many epochs.
        epoch: u32,
        /// The loss then, in the reference's unit squared.
        loss: f32,
    },
    /// The tape refused: an arena too small for the model.
    Tape(Error),
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FitError::TooFew { needed, found } => {
                write!(f, "expected at least {needed} samples, found {found}")
            }
            FitError::Alike {
                needed,
                found,
                samples,
                range: [least, most],
            } => write!(
                f,
                "expected at least {needed} readings that differ once scaled, found {found} in {samples} samples, from {least:?} to {most:?}"
            ),
            FitError::Spread {
                what,
                range: [least, most],
            } => write!(
                f,
                "expected {what} whose spread can be squared in f32, found {least:?} to {most:?}"
            ),
            FitError::Diverged { epoch, loss } => write!(
                f,
                "diverged, loss {loss:?} after {epoch} epochs: expected a smaller learning rate"
            ),
            FitError::Tape(error) => error.kind.fmt(f),
        }
    }
}

impl From<Error> for FitError {
    fn from(error: Error) -> Self {
        FitError::Tape(error)
    }
}

/// Fits `plan.model` to `samples`, from the same start every time. `progress`
/// is told the epochs done and the loss then, about ten times.
///
/// # Errors
/// See [`FitError`].
pub fn fit(
    plan: &Plan,
    samples: &[Sample],
    scratch: &mut Scratch<'_>,
    progress: &mut dyn FnMut(u32, f32),
) -> Result<Fit, FitError> {
    let Plan {
        model,
        method,
        epochs,
    } = *plan;
    let needed = model.min_samples();
    if samples.len() < needed {
        let found = samples.len();
        return Err(FitError::TooFew { needed, found });
    }
    let different = |scale: Scale| {
        let readings = samples.iter().map(|sample| scale.apply(sample.reading));
        match different(readings, needed) {
            found if found < needed => Err(FitError::Alike {
                needed,
                found,
                samples: samples.len(),
                range: extremes(samples.iter().map(|sample| sample.reading)),
            }),
            _ => Ok(()),
        }
    };
    different(Scale::ONE)?;
    let mut calibration = start(model, samples)?;
    // Readings that differ may still be one number next to much larger ones.
    different(calibration.input)?;
    let degree = model.degree();
    let (inputs, targets) = scale(&calibration, samples, scratch.inputs, scratch.targets);

    let tape = Tape::new(scratch.floats, scratch.nodes);
    let rows = samples.len().min(BATCH);
    let x = tape.input(
        inputs.get(..rows * degree).unwrap_or_default(),
        [rows, degree],
    );
    let y = tape.input(targets.get(..rows).unwrap_or_default(), [rows, 1]);
    let loss = record(&tape, &calibration, x).mse(y);
    let data: [(Var<'_>, &[f32]); 2] = [(x, inputs), (y, targets)];

    let (mut sgd, mut adam);
    let optimizer: &mut dyn Optimizer = match method {
        Method::Sgd { lr } => {
            sgd = Sgd::new(lr);
            &mut sgd
        }
        Method::Adam { lr } => {
            adam = Adam::<MAX_PARAMS>::new(lr);
            &mut adam
        }
    };
    let unit = calibration.output.deviation * calibration.output.deviation;
    let every = epochs.div_ceil(10).max(1);
    let mut first = f32::INFINITY;
    for epoch in 0..=epochs {
        tape.zero_grad();
        let mean = tape.backward_over(loss, &data)?;
        let told = unit * mean;
        if epoch == 0 {
            first = mean;
        } else if epoch == epochs || epoch % every == 0 {
            progress(epoch, told);
        }
        let grown = epoch == epochs && mean > first;
        if !mean.is_finite() || grown {
            return Err(FitError::Diverged { epoch, loss: told });
        }
        if epoch < epochs {
            tape.step(optimizer)?;
        } else {
            first = told;
        }
    }
    for (to, p) in calibration.params.iter_mut().zip(tape.params()?.iter()) {
        *to = *p;
    }
    Ok(Fit {
        calibration,
        loss: first,
        usage: tape.usage(),
    })
}

/// What the calibration makes of a reading.
///
/// # Errors
/// An arena too small for the model.
pub fn evaluate(
    calibration: &Calibration,
    reading: f32,
    scratch: &mut Scratch<'_>,
) -> Result<f32, Error> {
    let mut powers = [0.0; MAX_DEGREE];
    let degree = calibration.model.degree();
    let powers = powers.get_mut(..degree).unwrap_or_default();
    fill_powers(calibration.input.apply(reading), powers);
    let tape = Tape::new(scratch.floats, scratch.nodes);
    let x = tape.input(powers, [1, degree]);
    let scaled = record(&tape, calibration, x).item()?;
    Ok(calibration.output.undo(scaled))
}

/// Where training begins: scales from the samples; polynomials at 0; networks
/// at random weights, always the same.
fn start(model: Model, samples: &[Sample]) -> Result<Calibration, FitError> {
    let input = Scale::of(samples.iter().map(|sample| sample.reading));
    let mut output = Scale::of(samples.iter().map(|sample| sample.reference));
    // References that are all equal, or nearly so, are nothing to complain about.
    if output.deviation == 0.0 {
        output.deviation = 1.0;
    }
    let spread = |what, range| Err(FitError::Spread { what, range });
    if !input.is_usable() {
        return spread(
            "readings",
            extremes(samples.iter().map(|sample| sample.reading)),
        );
    }
    if !output.is_usable() {
        return spread(
            "references",
            extremes(samples.iter().map(|sample| sample.reference)),
        );
    }
    let mut params = [0.0; MAX_PARAMS];
    if let Model::Mlp { hidden } = model {
        let hidden = usize::from(hidden);
        let mut rng = random::seeded(7);
        let mut rest = params.as_mut_slice();
        // Weights and biases of the hidden layer, then weights of the output:
        // as nn.Linear starts, uniform up to 1 / √(inputs of the layer).
        for (count, bound) in [
            (2 * hidden, 1.0),
            (hidden, 1.0 / libm::sqrtf(hidden as f32)),
        ] {
            let (layer, others) = rest.split_at_mut_checked(count).unwrap_or_default();
            // Bounds are finite and in order.
            let _ = random::fill_uniform(&mut rng, -bound, bound, layer);
            rest = others;
        }
    }
    Ok(Calibration {
        model,
        input,
        output,
        params,
    })
}

/// How many different numbers there are, counted up to as many as are enough, which
/// are at most what a network needs.
fn different(numbers: impl Iterator<Item = f32>, enough: usize) -> usize {
    let mut seen = [0.0; MAX_HIDDEN + 1];
    let mut count = 0;
    for x in numbers {
        let new = !seen.iter().take(count).any(|y| *y == x);
        match seen.get_mut(count) {
            Some(free) if new && count < enough => {
                *free = x;
                count += 1;
            }
            _ => {}
        }
    }
    count
}

/// Writes scaled powers of readings, and scaled references; returns what it
/// wrote.
fn scale<'s>(
    calibration: &Calibration,
    samples: &[Sample],
    inputs: &'s mut [f32],
    targets: &'s mut [f32],
) -> (&'s [f32], &'s [f32]) {
    let degree = calibration.model.degree();
    let rows = inputs.chunks_exact_mut(degree);
    for (row, sample) in rows.zip(samples) {
        fill_powers(calibration.input.apply(sample.reading), row);
    }
    for (target, sample) in targets.iter_mut().zip(samples) {
        *target = calibration.output.apply(sample.reference);
    }
    let n = samples.len();
    (
        inputs.get(..n * degree).unwrap_or_default(),
        targets.get(..n).unwrap_or_default(),
    )
}

/// `z`, `z²`, `z³`, as many as fit.
fn fill_powers(z: f32, to: &mut [f32]) {
    let mut power = 1.0;
    for x in to {
        power *= z;
        *x = power;
    }
}

/// Records the model over rows of powers `[rows, degree]`: `[rows, 1]`.
fn record<'t>(tape: &'t Tape<'t>, calibration: &Calibration, x: Var<'t>) -> Var<'t> {
    let params = calibration.params();
    let layer = |params: &[f32], inputs: usize, outputs: usize| {
        let (w, b) = params
            .split_at_checked(inputs * outputs)
            .unwrap_or_default();
        let w = tape.param(w, [inputs, outputs]);
        (w, tape.param(b, [outputs]))
    };
    match calibration.model {
        Model::Mlp { hidden } => {
            let hidden = usize::from(hidden);
            let (first, second) = params.split_at_checked(2 * hidden).unwrap_or_default();
            let (w, b) = layer(first, 1, hidden);
            let hidden_values = x.linear_tanh(w, b);
            let (w, b) = layer(second, hidden, 1);
            hidden_values.linear(w, b)
        }
        polynomial => {
            let (w, b) = layer(params, polynomial.degree(), 1);
            x.linear(w, b)
        }
    }
}
