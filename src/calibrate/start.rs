//! Where least squares starts with a formula: parameters of it by simpler fits, without a heap.
//!
//! A formula that a change of its parameters makes linear is fitted so first. One with a rate
//! and levels is linear in the levels, so that a table of rates is tried, each with its best
//! levels, and the nearest to the data is taken: there is nothing to converge.

use super::fit::Samples;
use crate::function::Real;

/// How a formula's start is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Ones: nothing is known of the formula.
    Ones,
    /// `1 / (y + 273.15) = a + b ln x + c ln³ x`.
    SteinhartHart,
    /// `ln y = ln a + b ln x`, of the sign that most `y` have.
    Power,
    /// Rates `b`, each with the best `a` and `c`.
    Exponential,
    /// Rates `b` and middles `c`, each with the best `a`.
    Logistic,
}

/// The first rate that is tried, over the range of the readings: it hardly bends.
const SLOWEST: f32 = 1.0 / 32.0;
/// Rates that are tried, each twice the one before: the last changes within a thousandth of
/// the range.
const RATES: u8 = 16;
/// Middles that are tried: from half a range before the readings to half a range behind, an
/// eighth apart.
const MIDDLES: u8 = 17;

impl Start {
    /// Whether it is by a linear fit.
    pub(super) fn is_straight(self) -> bool {
        matches!(self, Start::SteinhartHart | Start::Power)
    }

    /// A row of the linear fit: the residual, and its derivatives. `sign` is that of most
    /// `y`.
    pub(super) fn row(self, sign: f32, [x, y]: [f32; 2], p: &[f32], to: &mut [f32]) -> f32 {
        let ln = x.ln();
        let (weight, target, terms) = match self {
            Start::Power => {
                let y = sign * y;
                if y <= 0.0 {
                    return 0.0;
                }
                // A change of y changes ln y by 1 / y of it.
                (y, y.ln(), [1.0, ln, 0.0])
            }
            _ => {
                let kelvin = y + 273.15;
                // A change of T changes 1 / T by 1 / T² of it.
                (kelvin * kelvin, 1.0 / kelvin, [1.0, ln, ln * ln * ln])
            }
        };
        let mut residual = -target;
        for ((to, term), p) in to.iter_mut().zip(terms).zip(p) {
            *to = weight * term;
            residual += p * term;
        }
        weight * residual
    }

    /// The formula's parameters by those of the linear fit.
    pub(super) fn bent(self, sign: f32, params: &mut [f32]) {
        if let (Start::Power, [a, ..]) = (self, params) {
            *a = sign * a.exp();
        }
    }
}

/// 1, or -1 if most are negative.
pub(super) fn sign(y: &[f32]) -> f32 {
    let up = y.iter().filter(|y| **y > 0.0).count();
    if 2 * up >= y.len() { 1.0 } else { -1.0 }
}

/// Rates on trial, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    tried: u8,
    rate: f32,
    /// How much of the sum of squares the best one explains.
    explained: f32,
    best: [f32; 3],
}

impl Rates {
    /// None was tried yet.
    pub(super) fn new(samples: Samples<'_>) -> Self {
        let [low, high] = range(samples.x);
        Rates {
            tried: 0,
            rate: SLOWEST / (high - low),
            explained: -1.0,
            best: [1.0; 3],
        }
    }

    /// Tries a rate and its opposite. The best parameters if it was the last, and there is
    /// nothing better than ones if none could be told.
    pub(super) fn poll(&mut self, start: Start, samples: Samples<'_>) -> Option<[f32; 3]> {
        let [low, high] = range(samples.x);
        for rate in [self.rate, -self.rate] {
            if start == Start::Exponential {
                // The end where the exponential is largest, so that it is at most 1.
                let end = if rate > 0.0 { high } else { low };
                let (a, c, explained) = level_and_constant(samples, |x| (rate * (x - end)).exp());
                self.offer([a * (-rate * end).exp(), rate, c], explained);
                continue;
            }
            for k in 0..MIDDLES {
                let middle = low + (high - low) * (f32::from(k) / 8.0 - 0.5);
                let (a, explained) = level(samples, |x| (rate * (x - middle)).sigmoid());
                self.offer([a, rate, middle], explained);
            }
        }
        self.rate *= 2.0;
        self.tried += 1;
        (self.tried >= RATES).then_some(self.best)
    }

    fn offer(&mut self, params: [f32; 3], explained: f32) {
        let [a, ..] = params;
        // Not if it is not a number, either.
        if explained > self.explained && explained.is_finite() && a.is_normal() {
            (self.explained, self.best) = (explained, params);
        }
    }
}

fn range(x: &[f32]) -> [f32; 2] {
    let none = [f32::INFINITY, f32::NEG_INFINITY];
    x.iter()
        .fold(none, |[low, high], x| [low.min(*x), high.max(*x)])
}

/// The best `a` of `a f(x)`, and how much it explains.
fn level(samples: Samples<'_>, f: impl Fn(f32) -> f32) -> (f32, f32) {
    let (mut ff, mut fy) = (0.0, 0.0);
    for (x, y) in samples.x.iter().zip(samples.y) {
        let f = f(*x);
        ff += f * f;
        fy += f * y;
    }
    let a = fy / ff;
    (a, a * fy)
}

/// The best `a` and `c` of `a f(x) + c`, and how much more than a constant they explain.
fn level_and_constant(samples: Samples<'_>, f: impl Fn(f32) -> f32) -> (f32, f32, f32) {
    let count = samples.len() as f32;
    let (mut f_mean, mut y_mean) = (0.0, 0.0);
    for (x, y) in samples.x.iter().zip(samples.y) {
        f_mean += f(*x) / count;
        y_mean += y / count;
    }
    let (mut ff, mut fy) = (0.0, 0.0);
    for (x, y) in samples.x.iter().zip(samples.y) {
        let f = f(*x) - f_mean;
        ff += f * f;
        fy += f * (y - y_mean);
    }
    let a = fy / ff;
    (a, y_mean - a * f_mean, a * fy)
}
