//! Start parameters of formulas for least squares on the desktop. They come from the table and
//! the equations of [`calibrate::start`](crate::calibrate); errors here name the row.
//!
//! The same data give the same start.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::symmetric::regression;
use crate::calibrate::start::{Rates, Sample, Start, sign};
use crate::train::digits::Shortest;

/// Returns parameters to start from, or `None` for a formula without a start of its own,
/// whose parameters start at one.
///
/// # Errors
/// A sentence that tells which reading the formula does not allow, or which parameters
/// the readings do not determine.
pub(super) fn start(start: Start, samples: &[Sample<f64>]) -> Option<Result<Vec<f64>, String>> {
    match start {
        Start::Ones => None,
        Start::SteinhartHart => {
            let above_zero = samples.iter().position(|[_, y, _]| *y <= -273.15);
            let checked = positive(samples, "resistances").and_then(|()| match above_zero {
                None => Ok(()),
                Some(row) => Err(refused(samples, row, 1, "°C of more than -273.15")),
            });
            Some(checked.and_then(|()| straight::<3>(start, samples, "a, b and c")))
        }
        Start::Power => {
            let checked = positive(samples, "readings");
            Some(checked.and_then(|()| straight::<2>(start, samples, "a and b")))
        }
        Start::Exponential | Start::Logistic => Some(by_rates(start, samples)),
    }
}

/// Returns an error that names the first row whose reading is not positive.
fn positive(samples: &[Sample<f64>], expected: &str) -> Result<(), String> {
    match samples.iter().position(|[x, ..]| *x <= 0.0) {
        None => Ok(()),
        Some(row) => {
            let expected = format!("{expected} of more than 0");
            Err(refused(samples, row, 0, &expected))
        }
    }
}

fn refused(samples: &[Sample<f64>], row: usize, column: usize, expected: &str) -> String {
    let sample = samples.get(row);
    let found = sample.and_then(|sample| sample.get(column));
    let (found, row) = (Shortest(found.copied().unwrap_or(f64::NAN)), row + 1);
    format!("expected {expected}, found {found} in row {row}")
}

fn undetermined(parameters: &str) -> String {
    format!("the readings do not determine {parameters}: expected more that differ")
}

/// Fits the `P` parameters of a start whose equations are linear in them.
fn straight<const P: usize>(
    start: Start,
    samples: &[Sample<f64>],
    parameters: &str,
) -> Result<Vec<f64>, String> {
    let sign = sign(samples.iter().map(|[_, y, _]| *y));
    let rows: Vec<_> = samples
        .iter()
        .filter_map(|[x, y, weight]| {
            let equation = start.equation(sign, [*x, *y])?;
            let terms = equation.terms.into_iter().take(P).collect();
            // The weight applies to squares, so the factor of the equation enters squared.
            let weight = weight * equation.factor * equation.factor;
            Some((terms, equation.target, weight))
        })
        .collect();
    let mut params = regression(&rows).ok_or_else(|| undetermined(parameters))?;
    start.bent(sign, &mut params);
    Ok(params)
}

/// Finds the best start in a table of rates.
fn by_rates(start: Start, samples: &[Sample<f64>]) -> Result<Vec<f64>, String> {
    let mut rates = Rates::new(samples.iter().copied());
    let best = loop {
        if let Some(best) = rates.poll(start, samples.iter().copied()) {
            break best;
        }
    };
    // The height at x = 0 may be beyond the range of f32 or even of f64, if readings are
    // far from 0.
    let first = samples.first().map(|[_, y, _]| *y);
    let levels_differ = samples.iter().any(|[_, y, _]| Some(*y) != first);
    let is_held = best.is_some_and(|[a, ..]| (a as f32).is_normal());
    match best {
        _ if start == Start::Exponential && levels_differ && !is_held => Err(
            "the height at x = 0 is no number that f32 holds, so far are the readings \
                 from it: take off an origin from the readings"
                .to_string(),
        ),
        Some(params) => Ok(params.to_vec()),
        None => Err(undetermined("a, b and c")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Start, start};
    use std::vec::Vec;

    fn found(from: Start, x: &[f64], y: impl Fn(f64) -> f64) -> Vec<f64> {
        let samples: Vec<_> = x.iter().map(|x| [*x, y(*x), 1.0]).collect();
        start(from, &samples).unwrap().unwrap()
    }

    /// For exact data, starts are within a step of the table.
    #[test]
    fn starts_are_near_the_parameters_of_exact_data() {
        let near = |found: &[f64], expected: &[f64], by: f64| {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found / expected - 1.0).abs() < by, "{found} {expected}");
            }
        };
        let x: Vec<f64> = (1..=12).map(f64::from).collect();
        for [a, b, c] in [[5.0, -0.7, 2.0], [0.01, 0.6, -3.0], [-8.0, -0.3, 10.0]] {
            near(
                &found(Start::Exponential, &x, |x| a * (b * x).exp() + c),
                &[a, b, c],
                0.6,
            );
        }
        // For the last curve, the data show no more than a fiftieth of its height.
        for ([a, b, c], by) in [
            ([5.0, 0.9, 6.0], 0.3),
            ([-2.0, -1.5, 4.0], 0.3),
            ([100.0, 0.5, 20.0], 1.0),
        ] {
            let y = |x: f64| a / (1.0 + (-b * (x - c)).exp());
            near(&found(Start::Logistic, &x, y), &[a, b, c], by);
        }
        for [a, b] in [[5.0, -0.7], [-0.01, 2.6]] {
            near(&found(Start::Power, &x, |x| a * x.powf(b)), &[a, b], 1e-9);
        }
        let [a, b, c] = [1.129e-3, 2.341e-4, 8.78e-8];
        let celsius = |r: f64| 1.0 / (a + b * r.ln() + c * r.ln().powi(3)) - 273.15;
        let r: Vec<f64> = x.iter().map(|x| 1e3 * x * x).collect();
        near(&found(Start::SteinhartHart, &r, celsius), &[a, b, c], 1e-6);
    }

    #[test]
    fn readings_a_formula_cannot_have_are_told_by_their_row() {
        for (from, samples, expected) in [
            (
                Start::Power,
                [[1.0, 1.0, 1.0], [-2.0, 3.0, 1.0]],
                "found -2 in row 2",
            ),
            (
                Start::SteinhartHart,
                [[0.0, 1.0, 1.0], [2.0, 3.0, 1.0]],
                "found 0 in row 1",
            ),
            (
                Start::SteinhartHart,
                [[1.0, 1.0, 1.0], [2.0, -300.0, 1.0]],
                "found -300 in row 2",
            ),
            (
                Start::Exponential,
                [[1e9, 1.0, 1.0], [1e9 + 1.0, 3.0, 1.0]],
                "take off an origin",
            ),
        ] {
            let error = start(from, &samples).unwrap().unwrap_err();
            assert!(error.contains(expected), "{from:?}: {error}");
        }
    }
}
