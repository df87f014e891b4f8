//! The residuals of a fit: how large they are, whether they are only rounding errors, and
//! whether they follow a curve.
//!
//! All computations are in `f64`, in which squares of `f32` neither overflow nor underflow.
//!
//! # Curvature
//!
//! The residuals of a model that suits its data look like noise. The residuals of a line
//! through a bent curve, ordered by the input, are positive, then negative, then
//! positive. The classical test for runs of signs needs some twenty rows to detect this
//! pattern. The test here needs eight, because it also uses the sizes: as in the
//! lack-of-fit test of regression, it fits a few additional smooth curves, and computes
//! the probability that they explain as much of noise.
//!
//! 1. Rows are ordered by an input or by the prediction. Neighbouring rows whose inputs
//!    are nearly equal, or whose targets are equal, are repeated measurements of one
//!    point, or steps of a display: they are averaged and count as one point.
//! 2. The part of the residuals that a small change of the parameters would explain is
//!    removed, so that a fit that has not converged, or that a penalty holds back, is not
//!    called curved.
//! 3. Residuals are replaced by their ranks, so that one outlier does not count as a
//!    curve, and the probability below does not depend on the distribution of the noise.
//! 4. The share of noise in `m` dimensions that `d` directions explain has the beta
//!    distribution with parameters `d / 2` and `(m - d) / 2`.

use std::vec::Vec;

use super::coarse;
use super::evaluate::{loss_of_targets, predict};
use super::model::{Loss, Model, Param};
use super::samples::Samples;
use crate::error::Error;
use crate::least_squares::FDistribution;

/// Residuals up to this share of the largest target (64 times half an ulp) count as
/// rounding errors. A prediction adds up several rounded terms. Gradient descent with a
/// learning rate of 0.01 stops when a parameter is off by 50 times half an ulp, because
/// its steps are then less than half an ulp.
const ROUNDING: f64 = 64.0 / 16_777_216.0;
/// Residuals with more than this share of the variance are not rounding errors, however
/// far from 0 the targets are: next to 101325 Pa, 64 times half an ulp is 0.25 Pa.
const TRIFLE: f64 = 1e-6;
/// The largest probability with which noise alone may be called curved: once in 250 fits.
const CHANCE: f64 = 0.004;
/// The least share of the sum of squares that a curve must explain: without the curve,
/// the root mean square of the residuals would be a tenth smaller. A smaller gain is of
/// no use, however certain the curve is.
const SHARE: f64 = 0.2;
/// Inputs that differ by at most this share of their range are one point.
const NEAR: f64 = 1.0 / 200.0;
/// The most rows that are examined; of more rows, every second, third, … is taken.
const ROWS: usize = 1 << 14;
/// The most parameters whose effects are removed. Networks have more, and their fits
/// leave hardly any residuals that their parameters could explain.
const PARAMETERS: usize = 16;
/// The most steps of a parameter that are tried; each is 16 times the one before, or a
/// 16th of it.
const ATTEMPTS: usize = 24;

/// The size of the residuals, and the variance of the targets to compare it with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Residuals {
    /// The mean square over the training samples.
    pub(super) training: f64,
    /// The mean square over the validation samples, if there are any.
    pub(super) validation: Option<f64>,
    /// The mean square of the targets around the mean of their column.
    pub(super) variance: f64,
    /// The mean square of the targets.
    pub(super) size: f64,
    /// Whether the targets of each column are equal up to their last bit.
    pub(super) constant: bool,
    /// The largest mean square that counts as rounding errors.
    pub(super) rounding: f64,
    /// The curve that the residuals follow, if any.
    pub(super) curve: Option<Curvature>,
}

/// The numbers by which rows are ordered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Along {
    /// The input of this index, counted from 0.
    Input(usize),
    /// The prediction of the target.
    Prediction,
}

/// A curve that residuals follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curvature {
    pub(super) along: Along,
    /// The number of inputs of the model.
    pub(super) inputs: usize,
    /// The share of the sum of squares that the curve explains.
    pub(super) share: f64,
}

impl Residuals {
    /// R², the share of the variance that the model explains; `None` if the targets have
    /// no variance.
    pub(super) fn r_squared(&self) -> Option<f64> {
        let r_squared = 1.0 - self.training / self.variance;
        (self.variance > 0.0 && r_squared.is_finite()).then_some(r_squared)
    }
}

/// A model that predicts, with the loss it was fitted by.
pub(super) struct Predictor<'a, M: ?Sized> {
    pub(super) model: &'a M,
    pub(super) loss: Loss<'a>,
    /// The number of rows that go through a tape at once.
    pub(super) at_once: usize,
}

impl<M: Model + ?Sized> Predictor<'_, M> {
    fn predict(&self, params: &[Param], x: &[f32], inputs: usize) -> Result<Vec<f32>, Error> {
        predict(self.model, params, x, inputs, self.at_once)
    }

    /// The mean square of the residuals; `None` unless there is one prediction for each target.
    fn mean_square(&self, params: &[Param], samples: &Samples) -> Result<Option<f64>, Error> {
        let predicted = self.predict(params, samples.x(), samples.inputs())?;
        let left = predicted
            .iter()
            .zip(samples.y())
            .map(|(p, y)| difference(*y, *p));
        let n = samples.y().len();
        Ok((predicted.len() == n).then(|| left.map(square).sum::<f64>() / n as f64))
    }

    /// The residuals of the model with `params`. Returns `None` if predictions are not
    /// meant to equal the targets number by number: their numbers differ, or the loss of
    /// predicting the targets themselves is not 0, as with logits and classes.
    ///
    /// # Errors
    /// The tape cannot record the model, which would also have failed the fit.
    pub(super) fn residuals(
        &self,
        params: &[Param],
        training: &Samples,
        validation: Option<&Samples>,
        mean_loss: f32,
    ) -> Result<Option<Residuals>, Error> {
        // A loss that compares other things than predictions and targets may reject the
        // targets as predictions.
        let of_targets = loss_of_targets(self.loss, training, self.at_once).ok();
        if !of_targets.is_some_and(|loss| loss == 0.0 || loss.abs() <= 1e-3 * mean_loss.abs()) {
            return Ok(None);
        }
        let Some(left) = self.mean_square(params, training)? else {
            return Ok(None);
        };
        let validation = match validation {
            Some(samples) => self.mean_square(params, samples)?,
            None => None,
        };
        let (y, width) = (training.y(), training.targets());
        let column = |t: usize| y.iter().skip(t).step_by(width);
        let mut squares = 0.0;
        let mut constant = true;
        for t in 0..width {
            let values = column(t).map(|&y| f64::from(y));
            squares += coarse::squares(values.clone(), coarse::mean(values), 1.0);
            constant &=
                column(t).min_by(|a, b| a.total_cmp(b)) == column(t).max_by(|a, b| a.total_cmp(b));
        }
        let largest = y.iter().fold(0.0_f32, |most, y| most.max(y.abs()));
        let (largest, mut variance) = (f64::from(largest), squares / y.len() as f64);
        let mut rounding = square(ROUNDING * largest);
        // Targets that differ in their last bit only count as constant.
        constant |= variance <= square(f64::from(f32::EPSILON) * largest);
        if constant {
            variance = 0.0;
        } else {
            rounding = rounding.min(TRIFLE * variance);
        }
        let curve = if left > rounding {
            self.curvature(params, training, rounding)?
        } else {
            None
        };
        Ok(Some(Residuals {
            training: left,
            validation,
            variance,
            size: y.iter().map(|&y| square(f64::from(y))).sum::<f64>() / y.len() as f64,
            constant,
            rounding,
            curve,
        }))
    }

    /// Returns the curve with the lowest probability under noise, among the residuals of all
    /// targets, ordered by each input, and by the prediction if there are several inputs.
    fn curvature(
        &self,
        params: &[Param],
        samples: &Samples,
        rounding: f64,
    ) -> Result<Option<Curvature>, Error> {
        let (inputs, targets) = (samples.inputs(), samples.targets());
        let step = samples.rows().div_ceil(ROWS).max(1);
        let some = |values: &[f32], width: usize| -> Vec<f32> {
            let rows = values.chunks_exact(width.max(1)).step_by(step);
            rows.flatten().copied().collect()
        };
        let (x, y) = (some(samples.x(), inputs), some(samples.y(), targets));
        let predicted = self.predict(params, &x, inputs)?;
        let effects = self.effects(params, &x, inputs, &predicted)?;
        let count = params.iter().map(|param| param.values.len()).sum();

        let by_input = (0..inputs).map(Along::Input);
        let by_prediction = (inputs > 1).then_some(Along::Prediction);
        let ways: Vec<Along> = by_input.chain(by_prediction).collect();
        let tests = ways.len() * targets;
        let mut clearest: Option<(f64, Curvature)> = None;
        for t in 0..targets {
            let column = |values: &[f32]| -> Vec<f32> {
                values.iter().skip(t).step_by(targets).copied().collect()
            };
            let (y, predicted) = (column(&y), column(&predicted));
            let left = y.iter().zip(&predicted).map(|(y, p)| difference(*y, *p));
            let left: Vec<f64> = left.collect();
            let effects = effects.iter().map(|effect| column(effect));
            let effects: Vec<Vec<f32>> = effects.collect();
            for &along in &ways {
                let at: Vec<f32> = match along {
                    Along::Input(i) => x.iter().skip(i).step_by(inputs).copied().collect(),
                    Along::Prediction => predicted.clone(),
                };
                let points = Points::new(&at, &y);
                let found = points.curve(&y, &left, &effects, count, rounding);
                if let Some((chance, share)) = found
                    && chance * tests as f64 <= CHANCE
                    && share >= SHARE
                    && clearest.is_none_or(|(least, _)| chance < least)
                {
                    clearest = Some((
                        chance,
                        Curvature {
                            along,
                            inputs,
                            share,
                        },
                    ));
                }
            }
        }
        Ok(clearest.map(|(_, curve)| curve))
    }

    /// The change of the predictions with each element of the parameters, up to a factor;
    /// empty if there are more than [`PARAMETERS`] elements.
    fn effects(
        &self,
        params: &[Param],
        x: &[f32],
        inputs: usize,
        predicted: &[f32],
    ) -> Result<Vec<Vec<f32>>, Error> {
        let mut effects = Vec::new();
        let sizes: Vec<usize> = params.iter().map(|param| param.values.len()).collect();
        if sizes.iter().sum::<usize>() > PARAMETERS {
            return Ok(effects);
        }
        let most = |values: &[f32]| values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let size = most(predicted).max(f32::MIN_POSITIVE);
        let elements = sizes.iter().enumerate();
        for (i, k) in elements.flat_map(|(i, &size)| (0..size).map(move |k| (i, k))) {
            let value = params.get(i).and_then(|param| param.values.get(k));
            let value = value.copied().unwrap_or_default();
            let mut step = if value == 0.0 { 1.0 } else { value } / 256.0;
            let mut effect = Vec::new();
            // Searches for a step whose effect is large next to rounding errors, yet
            // small enough for predictions to be nearly linear in it. If a parameter is
            // near 0, its size does not tell this step.
            for _ in 0..ATTEMPTS {
                let mut moved = params.to_vec();
                if let Some(to) = moved.get_mut(i).and_then(|param| param.values.get_mut(k)) {
                    *to += step;
                }
                let moved = self.predict(&moved, x, inputs)?;
                effect = moved.iter().zip(predicted).map(|(a, b)| a - b).collect();
                let is_finite = effect.iter().all(|x| x.is_finite());
                if !is_finite || most(&effect) > size / 16.0 {
                    step /= 16.0;
                } else if most(&effect) < size / 1024.0 {
                    step *= 16.0;
                } else {
                    break;
                }
            }
            if effect.iter().all(|x| x.is_finite()) {
                effects.push(effect);
            }
        }
        Ok(effects)
    }
}

fn difference(a: f32, b: f32) -> f64 {
    f64::from(a) - f64::from(b)
}

fn square(x: f64) -> f64 {
    x * x
}

/// Rows in an order, with repeated measurements combined into one point.
struct Points {
    /// The point that each row belongs to.
    of_row: Vec<usize>,
    /// The number of rows of each point.
    rows: Vec<f64>,
}

impl Points {
    /// Orders rows by `at`, and combines neighbours whose `at` is nearly equal or whose
    /// target is equal.
    fn new(at: &[f32], y: &[f32]) -> Self {
        let mut rows: Vec<(f32, f32, usize)> = Vec::with_capacity(at.len());
        rows.extend(
            at.iter()
                .zip(y)
                .enumerate()
                .map(|(row, (at, y))| (*at, *y, row)),
        );
        rows.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
        let ends = rows.first().zip(rows.last());
        let range = ends.map_or(0.0, |((low, ..), (high, ..))| difference(*high, *low));
        let mut points = Points {
            of_row: std::vec![0; at.len()],
            rows: Vec::new(),
        };
        let mut before: Option<(f32, f32)> = None;
        for (at, y, row) in rows {
            before = match before {
                Some((start, last)) if last == y || difference(at, start) <= NEAR * range => {
                    Some((start, y))
                }
                _ => {
                    points.rows.push(0.0);
                    Some((at, y))
                }
            };
            if let (Some(point), Some(count)) = (points.of_row.get_mut(row), points.rows.last_mut())
            {
                *count += 1.0;
                *point = points.rows.len() - 1;
            }
        }
        points
    }

    /// The mean of `values`, which has an element per row, over the rows of each point.
    fn means(&self, values: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut means = std::vec![0.0; self.rows.len()];
        for (value, &point) in values.zip(&self.of_row) {
            if let Some(mean) = means.get_mut(point) {
                *mean += value;
            }
        }
        means
            .iter_mut()
            .zip(&self.rows)
            .for_each(|(mean, rows)| *mean /= rows);
        means
    }

    /// Returns the probability that a smooth curve explains as large a share of noise as
    /// it does of the residuals `left`, and this share. Returns `None` if there are too
    /// few points for a test, or if the residuals are only rounding errors.
    fn curve(
        &self,
        y: &[f32],
        left: &[f64],
        effects: &[Vec<f32>],
        params: usize,
        rounding: f64,
    ) -> Option<(f64, f64)> {
        let points = self.rows.len();
        let mut basis = Basis::default();
        for effect in effects {
            basis.push(self.means(effect.iter().map(|&x| f64::from(x))));
        }
        if effects.is_empty() {
            basis.push(std::vec![1.0; points]);
        }
        let mut means = self.means(left.iter().copied());
        let total: f64 = left.iter().map(|&x| square(x)).sum();
        // A curve cannot explain the differences between repeated measurements.
        let within = (total - self.squares(&means)).max(0.0);
        remove(&basis.0, &mut means);
        let between = self.squares(&means);
        if between <= rounding * left.len() as f64 {
            return None;
        }
        // `remove` gives all points equal weights. If the points have different numbers
        // of rows, it may leave a larger weighted sum of squares than there was.
        let total = total.max(within + between);

        // The first test adds as many directions as the model has parameters, rounded up
        // to an even number and at most 8. If there are enough points, a second test adds
        // up to 12 directions, which detects residuals that oscillate.
        let few = 2 * params.clamp(1, 8).div_ceil(2);
        let many = 2 * (points / 6).min(6);
        let many = (many > few && self.more_than_steps(y, &means)).then_some(many);
        let found = [Some(few), many].into_iter().flatten();
        let found = found.filter_map(|more| self.explained(basis.clone(), more, &means, total));
        let least = found.min_by(|(a, _), (b, _)| a.total_cmp(b));
        // Twice the lower of two probabilities bounds the probability that either test errs.
        least.map(|(chance, share)| (2.0 * chance, share))
    }

    /// Returns whether the residuals are larger than the rounding errors of targets or inputs
    /// that are rounded to steps: a sawtooth with a root mean square of `√(1 / 12)` of a
    /// step. The median distance between neighbouring points serves as the step.
    fn more_than_steps(&self, y: &[f32], means: &[f64]) -> bool {
        let y = self.means(y.iter().map(|&y| f64::from(y)));
        let pairs = y.iter().zip(y.iter().skip(1));
        let mut steps: Vec<f64> = pairs.map(|(a, b)| (a - b).abs()).collect();
        steps.sort_by(f64::total_cmp);
        let median = steps.get(steps.len() / 2).copied().unwrap_or_default();
        let mean_square = means.iter().map(|&x| square(x)).sum::<f64>() / means.len() as f64;
        mean_square > square(0.35 * median)
    }

    /// Computes [`curve`](Self::curve) with `more` smooth directions in addition to those
    /// of `basis`.
    fn explained(
        &self,
        mut basis: Basis,
        more: usize,
        means: &[f64],
        total: f64,
    ) -> Option<(f64, f64)> {
        let (points, known) = (self.rows.len(), basis.0.len());
        let freedom = points.checked_sub(known + more);
        let freedom = freedom.filter(|freedom| *freedom >= 3)?;
        for degree in 0..points {
            // A Chebyshev polynomial of the position of the point, mapped to -1..1.
            let place = |i: usize| 2.0 * i as f64 / (points - 1) as f64 - 1.0;
            let curve = |i| libm::cos(degree as f64 * libm::acos(place(i)));
            if basis.0.len() < known + more {
                basis.push((0..points).map(curve).collect());
            }
        }
        let (known, smooth) = basis.0.split_at(known);
        let mut rest = means.to_vec();
        remove(smooth, &mut rest);
        let share = (self.squares(means) - self.squares(&rest)) / total;

        let mut ranks = ranks(means);
        remove(known, &mut ranks);
        let all: f64 = ranks.iter().map(|&x| square(x)).sum();
        remove(smooth, &mut ranks);
        let rest: f64 = ranks.iter().map(|&x| square(x)).sum();
        // The F statistic: how much more of the ranks' sum of squares a smooth direction
        // explains than a remaining direction, on average.
        let ratio = (all / rest - 1.0) * freedom as f64 / smooth.len() as f64;
        let distribution = FDistribution::new(smooth.len() as f32, freedom as f32).ok()?;
        let chance = f64::from(distribution.survival(ratio as f32));
        (smooth.len() == more).then_some((chance, share))
    }

    /// The sum of squares over all rows, each with the value of its point.
    fn squares(&self, values: &[f64]) -> f64 {
        let squares = values.iter().zip(&self.rows);
        squares.map(|(x, rows)| rows * x * x).sum()
    }
}

/// Orthonormal directions.
#[derive(Clone, Default)]
struct Basis(Vec<Vec<f64>>);

impl Basis {
    /// Adds the part of a direction that is orthogonal to the others, unless it is negligible.
    fn push(&mut self, mut direction: Vec<f64>) {
        let length = |x: &[f64]| x.iter().map(|&x| square(x)).sum::<f64>().sqrt();
        let before = length(&direction);
        // Removes twice, because rounding errors of the first removal leave a remainder.
        remove(&self.0, &mut direction);
        remove(&self.0, &mut direction);
        let new = length(&direction);
        if new > 1e-4 * before {
            direction.iter_mut().for_each(|x| *x /= new);
            self.0.push(direction);
        }
    }
}

/// Subtracts from `values` their projection onto each direction.
fn remove(directions: &[Vec<f64>], values: &mut [f64]) {
    for direction in directions {
        let along: f64 = direction.iter().zip(&*values).map(|(d, x)| d * x).sum();
        values
            .iter_mut()
            .zip(direction)
            .for_each(|(x, d)| *x -= along * d);
    }
}

/// The ranks of the values in ascending order, centred around 0. Equal values share their
/// mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = |x: &f64| {
        let below = sorted.partition_point(|other| other < x);
        let up_to = sorted.partition_point(|other| other <= x);
        (below + up_to) as f64 / 2.0 - values.len() as f64 / 2.0
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::Points;
    use crate::random::{Rng, seeded};
    use std::vec::Vec;

    /// Effects of the parameters of a polynomial of degree `params - 1`. `curve` removes
    /// them from the noise, which leaves the residuals of a least-squares fit.
    fn effects(x: &[f32], params: usize) -> Vec<Vec<f32>> {
        let power = |k: usize| x.iter().map(|x| x.powi(k as i32)).collect();
        (0..params).map(power).collect()
    }

    #[test]
    fn noise_is_called_curved_as_rarely_as_it_says() {
        let mut rng = seeded(1);
        let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
        for (rows, params) in [(8, 2), (11, 2), (30, 4), (60, 7)] {
            for heavy in [false, true] {
                let (mut curved, runs) = (0, 1000);
                for _ in 0..runs {
                    let x: Vec<f32> = (0..rows).map(|_| uniform() as f32).collect();
                    let noise = (0..rows).map(|_| match heavy {
                        false => (0..12).map(|_| uniform()).sum::<f64>() - 6.0,
                        true => -uniform().ln(),
                    });
                    let noise: Vec<f64> = noise.collect();
                    let y: Vec<f32> = noise.iter().map(|&x| x as f32).collect();
                    let found =
                        Points::new(&x, &y).curve(&y, &noise, &effects(&x, params), params, 0.0);
                    curved += usize::from(found.is_some_and(|(chance, _)| chance < 0.01));
                }
                // Ten or fewer are expected, but the tails of ranks are slightly heavier
                // than those of a normal distribution.
                assert!(
                    curved <= 25,
                    "{rows} rows, {params} parameters: {curved} of {runs}"
                );
            }
        }
    }
}
