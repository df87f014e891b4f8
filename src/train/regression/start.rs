//! Where least squares starts: parameters of a function by simpler regressions of the data.
//!
//! The same data give the same start. A function with a rate and levels is linear in the
//! levels, so that a table of rates is tried, each with its best levels, and the nearest to
//! the data is taken: there is nothing to converge.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::symmetric::{dot, regression};
use crate::train::digits::Shortest;

/// A row: reading, reference, weight.
pub(super) type Sample = (f64, f64, f64);

/// Parameters to start from for the formula of this name; `None` for one that is not known
/// here, which starts from ones.
///
/// # Errors
/// Readings that the formula cannot have, or that say nothing about a parameter: a sentence.
pub(super) fn start(name: &str, samples: &[Sample]) -> Option<Result<Vec<f64>, String>> {
    match name {
        "steinhart-hart" => Some(steinhart_hart(samples)),
        "power" => Some(power(samples)),
        "exp" => Some(exponential(samples)),
        "logistic" => Some(logistic(samples)),
        _ => None,
    }
}

/// Readings that are not more than 0 are an error, which says the row.
fn positive(samples: &[Sample], of: &str) -> Result<(), String> {
    match samples.iter().position(|(x, ..)| *x <= 0.0) {
        None => Ok(()),
        Some(row) => {
            let x = samples.get(row).map_or(f64::NAN, |sample| sample.0);
            let (row, x) = (row + 1, Shortest(x));
            Err(format!(
                "expected {of} of more than 0, found {x} in row {row}"
            ))
        }
    }
}

/// `1 / T` is linear in the parameters.
fn steinhart_hart(samples: &[Sample]) -> Result<Vec<f64>, String> {
    positive(samples, "resistances")?;
    let row = samples.iter().position(|(_, y, _)| *y <= -273.15);
    if let Some((row, y)) = row.and_then(|row| Some((row, samples.get(row)?.1))) {
        let (row, y) = (row + 1, Shortest(y));
        return Err(format!(
            "expected °C of more than -273.15, found {y} in row {row}"
        ));
    }
    let rows: Vec<_> = samples
        .iter()
        .map(|(r, celsius, weight)| {
            let (ln, kelvin) = (r.ln(), celsius + 273.15);
            // A change of T is one of 1 / T times T², whose square multiplies the weight.
            let weight = weight * kelvin.powi(4);
            (Vec::from([1.0, ln, ln * ln * ln]), 1.0 / kelvin, weight)
        })
        .collect();
    regression(&rows).ok_or_else(|| undetermined("a, b and c"))
}

fn undetermined(parameters: &str) -> String {
    format!("the readings do not determine {parameters}: expected more that differ")
}

/// `ln y = ln a + b ln x`, of the sign that most have.
fn power(samples: &[Sample]) -> Result<Vec<f64>, String> {
    positive(samples, "readings")?;
    let up = samples.iter().filter(|(_, y, _)| *y > 0.0).count();
    let sign = if 2 * up >= samples.len() { 1.0 } else { -1.0 };
    let rows: Vec<_> = samples
        .iter()
        .filter(|(_, y, _)| sign * *y > 0.0)
        // A change of y is one of ln y times y, whose square multiplies the weight.
        .map(|(x, y, weight)| (Vec::from([1.0, x.ln()]), (sign * y).ln(), weight * y * y))
        .collect();
    match regression(&rows).as_deref() {
        Some([ln_a, b]) => Ok(Vec::from([sign * ln_a.exp(), *b])),
        _ => Err(undetermined("a and b")),
    }
}

/// The range of the readings.
fn range(samples: &[Sample]) -> [f64; 2] {
    let low = samples
        .iter()
        .fold(f64::INFINITY, |low, (x, ..)| low.min(*x));
    let high = samples
        .iter()
        .fold(f64::NEG_INFINITY, |high, (x, ..)| high.max(*x));
    [low, high]
}

/// Rates of either sign, from one that hardly bends over the range to one that changes within
/// a thousandth of it.
fn rates(width: f64) -> impl Iterator<Item = f64> {
    (0..=80).flat_map(move |k| {
        let rate = 0.02 * 10_f64.powf(f64::from(k) / 16.0) / width;
        [rate, -rate]
    })
}

/// The levels of terms that are nearest to the data, and the sum of squares that is left.
fn levels<const N: usize>(
    samples: &[Sample],
    terms: impl Fn(f64) -> [f64; N],
) -> Option<(Vec<f64>, f64)> {
    let rows: Vec<_> = samples
        .iter()
        .map(|(x, y, weight)| (Vec::from(terms(*x)), *y, *weight))
        .collect();
    let levels = regression(&rows)?;
    let squares = rows.iter().map(|(terms, y, weight)| {
        let off = y - dot(terms, &levels);
        weight * off * off
    });
    let left: f64 = squares.sum();
    left.is_finite().then_some((levels, left))
}

/// The levels that leave the least, of all that are tried.
fn least(tried: impl Iterator<Item = Option<(Vec<f64>, f64)>>) -> Option<Vec<f64>> {
    let best = tried.flatten().min_by(|(_, a), (_, b)| a.total_cmp(b));
    best.map(|(params, _)| params)
}

fn exponential(samples: &[Sample]) -> Result<Vec<f64>, String> {
    let [low, high] = range(samples);
    let tried = rates(high - low).map(|b| {
        // Measured from the end where the exponential is largest, so that it is at most 1.
        let end = if b > 0.0 { high } else { low };
        let (levels, left) = levels(samples, |x| [(b * (x - end)).exp(), 1.0])?;
        let [a, c] = levels[..] else { return None };
        Some((Vec::from([a * (-b * end).exp(), b, c]), left))
    });
    let found = least(tried).ok_or_else(|| undetermined("a, b and c"))?;
    match found.first() {
        Some(a) if (*a as f32).is_normal() => Ok(found),
        _ => Err(
            "the height at x = 0 is no number that f32 holds, so far are the readings from it: \
             take off an origin from the readings"
                .to_string(),
        ),
    }
}

fn logistic(samples: &[Sample]) -> Result<Vec<f64>, String> {
    let [low, high] = range(samples);
    let width = high - low;
    let tried = rates(width).flat_map(|b| {
        (-20..=40).map(move |k| {
            let c = low + width * f64::from(k) / 20.0;
            let (levels, left) = levels(samples, |x| [1.0 / (1.0 + (-b * (x - c)).exp())])?;
            let [a] = levels[..] else { return None };
            Some((Vec::from([a, b, c]), left))
        })
    });
    least(tried).ok_or_else(|| undetermined("a, b and c"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::start;
    use std::vec::Vec;

    fn found(name: &str, x: &[f64], y: impl Fn(f64) -> f64) -> Vec<f64> {
        let samples: Vec<_> = x.iter().map(|x| (*x, y(*x), 1.0)).collect();
        start(name, &samples).unwrap().unwrap()
    }

    /// Starts are within the steps of the table, for data that are exact.
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
                &found("exp", &x, |x| a * (b * x).exp() + c),
                &[a, b, c],
                0.6,
            );
        }
        // The data show no more than a fiftieth of the last curve's height.
        for ([a, b, c], by) in [
            ([5.0, 0.9, 6.0], 0.3),
            ([-2.0, -1.5, 4.0], 0.3),
            ([100.0, 0.5, 20.0], 1.0),
        ] {
            let y = |x: f64| a / (1.0 + (-b * (x - c)).exp());
            near(&found("logistic", &x, y), &[a, b, c], by);
        }
        for [a, b] in [[5.0, -0.7], [-0.01, 2.6]] {
            near(&found("power", &x, |x| a * x.powf(b)), &[a, b], 1e-9);
        }
        let [a, b, c] = [1.129e-3, 2.341e-4, 8.78e-8];
        let celsius = |r: f64| 1.0 / (a + b * r.ln() + c * r.ln().powi(3)) - 273.15;
        let r: Vec<f64> = x.iter().map(|x| 1e3 * x * x).collect();
        near(&found("steinhart-hart", &r, celsius), &[a, b, c], 1e-6);
    }

    #[test]
    fn readings_a_formula_cannot_have_are_told_by_their_row() {
        for (name, samples, expected) in [
            (
                "power",
                [(1.0, 1.0, 1.0), (-2.0, 3.0, 1.0)],
                "found -2 in row 2",
            ),
            (
                "steinhart-hart",
                [(0.0, 1.0, 1.0), (2.0, 3.0, 1.0)],
                "found 0 in row 1",
            ),
            (
                "steinhart-hart",
                [(1.0, 1.0, 1.0), (2.0, -300.0, 1.0)],
                "found -300 in row 2",
            ),
            (
                "exp",
                [(1e9, 1.0, 1.0), (1e9 + 1.0, 3.0, 1.0)],
                "take off an origin",
            ),
        ] {
            let error = start(name, &samples).unwrap().unwrap_err();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }
}
