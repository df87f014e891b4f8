//! The residuals of a fit: how large they are, whether they are only rounding, and
//! whether a curve is hidden in them.
//!
//! All of it is `f64`, in which squares of `f32` neither overflow nor vanish.
//!
//! # Curvature
//!
//! Residuals of a model that suits its data look like noise. Ordered by a reading,
//! those of a line through a bent curve are positive, then negative, then positive.
//! The classical test for runs of signs needs some twenty rows to see that. This one
//! sees it in eight, as it looks at sizes, too: it fits a few smooth curves more (the
//! lack-of-fit test of regression) and asks how often they explain so much of noise.
//!
//! 1. Rows are ordered. Those with nearly equal readings, or one after the other with
//!    equal targets, are repeated measurements of one point, or the steps of a display:
//!    their mean counts once.
//! 2. The part that a small change of the parameters would explain is taken out. So a fit
//!    that has not converged, or is held back by a penalty, is not called curved.
//! 3. Residuals are replaced by their ranks, so that one outlier is no curve and the
//!    chance below does not depend on how noise is distributed.
//! 4. The share of noise in `m` dimensions that `d` directions explain has the beta
//!    distribution of `d / 2` and `(m - d) / 2`.

use std::vec::Vec;

use super::coarse;
use super::evaluate::{loss_of_targets, predict};
use super::model::{Loss, Model, Param};
use super::samples::Samples;
use crate::error::Error;
use crate::least_squares::FDistribution;

/// Residuals of this size next to the largest target, 64 halves of its last bit, are
/// rounding: a prediction adds up several rounded terms, and descent with a learning
/// rate of 0.01 stands still where a parameter is 50 halves of a last bit off, as its
/// steps are then less than half of one.
const ROUNDING: f64 = 64.0 / 16_777_216.0;
/// More than this share of the variance is no rounding, however far from 0 the
/// targets are: next to 101325 Pa, 64 halves of a last bit are 0.25 Pa.
const TRIFLE: f64 = 1e-6;
/// How rarely noise alone may be called curved: once in 250 fits, or less.
const CHANCE: f64 = 0.004;
/// The least share of all residuals that a curve must explain: without it, their root
/// mean square would be a tenth smaller. Less is of no use, however certain.
const SHARE: f64 = 0.2;
/// Readings this near each other, next to their range, are one point.
const NEAR: f64 = 1.0 / 200.0;
/// Rows that are looked at, evenly chosen from more.
const ROWS: usize = 1 << 14;
/// Parameters whose effect is taken out. Networks have more, and hardly leave out
/// what their parameters could explain.
const PARAMETERS: usize = 16;
/// Steps of a parameter that are tried, each 16 times the one before.
const ATTEMPTS: usize = 24;

/// The size of the residuals, next to that of what there was to explain.
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
    /// Whether the targets of each column are the same, but for their last bit.
    pub(super) constant: bool,
    /// The mean square that rounding may leave.
    pub(super) rounding: f64,
    /// The curve found in them.
    pub(super) curve: Option<Curvature>,
}

/// The numbers that rows are ordered by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Along {
    /// The input, counted from 0.
    Input(usize),
    /// The prediction of the target.
    Prediction,
}

/// A curve in residuals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curvature {
    pub(super) along: Along,
    /// How many inputs there are.
    pub(super) inputs: usize,
    /// The share of the residuals' squares it explains.
    pub(super) share: f64,
}

impl Residuals {
    /// The share of the variance that is explained.
    pub(super) fn r_squared(&self) -> Option<f64> {
        let r_squared = 1.0 - self.training / self.variance;
        (self.variance > 0.0 && r_squared.is_finite()).then_some(r_squared)
    }
}

/// A model and its loss, to predict with.
pub(super) struct Predictor<'a, M: ?Sized> {
    pub(super) model: &'a M,
    pub(super) loss: Loss<'a>,
    /// Rows that go through a tape at once.
    pub(super) at_once: usize,
}

impl<M: Model + ?Sized> Predictor<'_, M> {
    fn predict(&self, params: &[Param], x: &[f32], inputs: usize) -> Result<Vec<f32>, Error> {
        predict(self.model, params, x, inputs, self.at_once)
    }

    /// The mean square of the residuals, if there is a prediction for each target.
    fn mean_square(&self, params: &[Param], samples: &Samples) -> Result<Option<f64>, Error> {
        let predicted = self.predict(params, samples.x(), samples.inputs())?;
        let left = predicted
            .iter()
            .zip(samples.y())
            .map(|(p, y)| difference(*y, *p));
        let n = samples.y().len();
        Ok((predicted.len() == n).then(|| left.map(square).sum::<f64>() / n as f64))
    }

    /// The residuals of these parameters. `None` if predictions are not meant to equal
    /// the targets, number by number: there are more or fewer of them, or the loss of
    /// the targets themselves is not 0, as with logits next to classes.
    ///
    /// # Errors
    /// The tape refuses the model, as it would when fitting.
    pub(super) fn residuals(
        &self,
        params: &[Param],
        training: &Samples,
        validation: Option<&Samples>,
        mean_loss: f32,
    ) -> Result<Option<Residuals>, Error> {
        // A loss may refuse predictions that are its targets: it compares other things.
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
        // Targets are constant if they differ in their last bit only.
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

    /// The clearest curve in the residuals of any target, ordered by any input, and
    /// with several inputs by the prediction, too.
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
        let looks = ways.len() * targets;
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
                    && chance * looks as f64 <= CHANCE
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

    /// How predictions change with each number of the parameters, up to a factor;
    /// nothing if there are too many.
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
            // Looks for a step whose effect is large next to rounding, and small enough that
            // predictions hardly bend. The size of a parameter near 0 does not tell that step.
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

/// Rows in an order, with repeated measurements as one.
struct Points {
    /// The point that each row belongs to.
    of_row: Vec<usize>,
    /// The rows of each point.
    rows: Vec<f64>,
}

impl Points {
    /// Orders rows by `at`, and puts neighbours together whose `at` is nearly equal
    /// or whose target is the same.
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

    /// The mean of the rows of each point.
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

    /// How probable it is that a smooth curve explains as much of noise as of the
    /// residuals, and the share that it explains of the residuals. `None` if there
    /// are too few points to tell, or nothing but rounding.
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
        // No curve explains by how much repeated measurements differ.
        let within = (total - self.squares(&means)).max(0.0);
        remove(&basis.0, &mut means);
        let between = self.squares(&means);
        if between <= rounding * left.len() as f64 {
            return None;
        }
        // The share that the parameters explain is taken out with equal weights for all points:
        // where these have different numbers of rows, that may leave more than there was.
        let total = total.max(within + between);

        // About two directions more than the model has, as an even number; and again
        // with more of them if there are points enough, for what goes up and down.
        let few = 2 * params.clamp(1, 8).div_ceil(2);
        let many = 2 * (points / 6).min(6);
        let many = (many > few && self.more_than_steps(y, &means)).then_some(many);
        let found = [Some(few), many].into_iter().flatten();
        let found = found.filter_map(|more| self.explained(basis.clone(), more, &means, total));
        let least = found.min_by(|(a, _), (b, _)| a.total_cmp(b));
        least.map(|(chance, share)| (2.0 * chance, share))
    }

    /// Whether the residuals are larger than those of targets or readings rounded to whole
    /// steps: a sawtooth of `√(1 / 12)` of a step.
    fn more_than_steps(&self, y: &[f32], means: &[f64]) -> bool {
        let y = self.means(y.iter().map(|&y| f64::from(y)));
        let pairs = y.iter().zip(y.iter().skip(1));
        let mut steps: Vec<f64> = pairs.map(|(a, b)| (a - b).abs()).collect();
        steps.sort_by(f64::total_cmp);
        let median = steps.get(steps.len() / 2).copied().unwrap_or_default();
        let mean_square = means.iter().map(|&x| square(x)).sum::<f64>() / means.len() as f64;
        mean_square > square(0.35 * median)
    }

    /// [`curve`](Self::curve) with so many directions `more` than those of `basis`.
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
            // A polynomial of the place in the order, between -1 and 1.
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
        // By how much more of the ranks' squares a direction explains than one of the rest.
        let ratio = (all / rest - 1.0) * freedom as f64 / smooth.len() as f64;
        let distribution = FDistribution::new(smooth.len() as f32, freedom as f32).ok()?;
        let chance = f64::from(distribution.survival(ratio as f32));
        (smooth.len() == more).then_some((chance, share))
    }

    /// The sum of squares over rows that have the value of their point.
    fn squares(&self, values: &[f64]) -> f64 {
        let squares = values.iter().zip(&self.rows);
        squares.map(|(x, rows)| rows * x * x).sum()
    }
}

/// Directions at right angles, of length 1.
#[derive(Clone, Default)]
struct Basis(Vec<Vec<f64>>);

impl Basis {
    /// Adds the part of a direction that is at right angles to the others, if there is any.
    fn push(&mut self, mut direction: Vec<f64>) {
        let length = |x: &[f64]| x.iter().map(|&x| square(x)).sum::<f64>().sqrt();
        let before = length(&direction);
        // Removed twice, because rounding leaves something the first time.
        remove(&self.0, &mut direction);
        remove(&self.0, &mut direction);
        let new = length(&direction);
        if new > 1e-4 * before {
            direction.iter_mut().for_each(|x| *x /= new);
            self.0.push(direction);
        }
    }
}

/// Subtracts from `values` their part along each direction.
fn remove(directions: &[Vec<f64>], values: &mut [f64]) {
    for direction in directions {
        let along: f64 = direction.iter().zip(&*values).map(|(d, x)| d * x).sum();
        values
            .iter_mut()
            .zip(direction)
            .for_each(|(x, d)| *x -= along * d);
    }
}

/// The places of the values in ascending order, around 0. Equal ones share theirs.
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

    /// Effects of the parameters of a polynomial that was fitted by least squares:
    /// its residuals are noise without what these explain, which `curve` takes out.
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
                // Ten or fewer are expected; the tails of ranks are a little heavier than
                // those of a normal distribution.
                assert!(
                    curved <= 25,
                    "{rows} rows, {params} parameters: {curved} of {runs}"
                );
            }
        }
    }
}
