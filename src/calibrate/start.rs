//! Where least squares starts with a formula: parameters of it by simpler fits, without a heap.
//!
//! A formula that a change of its parameters makes linear is fitted so first. One with a rate
//! and levels is linear in the levels, so that a table of rates is tried, each with its best
//! levels, and the nearest to the data is taken: there is nothing to converge.
//!
//! Boards start so in `f32`, and the desktop's [`train`] in the `f64` that its data are in.
//!
//! [`train`]: crate::train

use core::ops::{Add, Div, Mul, Neg, Sub};

use crate::function::Real;

/// How a formula's start is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
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

/// A number that starts are computed in.
pub(crate) trait Number:
    Copy
    + PartialOrd
    + From<f32>
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// Rates that are tried to each doubling of the rate.
    const RATES_PER_DOUBLING: u8;
    /// The quotient of two rates that follow each other: 2 to the power of 1 divided by
    /// [`RATES_PER_DOUBLING`](Self::RATES_PER_DOUBLING).
    const RATIO: Self;
    /// Middles that are tried to each range of the readings, from half a range before the
    /// readings to half a range behind.
    const MIDDLES_PER_RANGE: u8;

    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn sigmoid(self) -> Self;
    /// Whether it is neither 0 nor so near it that digits are missing, and finite.
    fn is_normal(self) -> bool;
    fn is_finite(self) -> bool;
}

/// A coarse table: each rate of a logistic curve takes a small chip 34 exponentials a sample.
impl Number for f32 {
    const RATES_PER_DOUBLING: u8 = 1;
    const RATIO: f32 = 2.0;
    const MIDDLES_PER_RANGE: u8 = 8;

    fn exp(self) -> Self {
        Real::exp(self)
    }

    fn ln(self) -> Self {
        Real::ln(self)
    }

    fn sigmoid(self) -> Self {
        Real::sigmoid(self)
    }

    fn is_normal(self) -> bool {
        f32::is_normal(self)
    }

    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }
}

/// A finer table: steep curves are met within half a step, which some of them need to converge.
#[cfg(feature = "std")]
impl Number for f64 {
    const RATES_PER_DOUBLING: u8 = 5;
    const RATIO: f64 = 1.148_698_354_997_035;
    const MIDDLES_PER_RANGE: u8 = 32;

    fn exp(self) -> Self {
        f64::exp(self)
    }

    fn ln(self) -> Self {
        f64::ln(self)
    }

    fn sigmoid(self) -> Self {
        1.0 / (1.0 + f64::exp(-self))
    }

    fn is_normal(self) -> bool {
        f64::is_normal(self)
    }

    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }
}

/// A reading, its reference, and the weight of the squared residual.
pub(crate) type Sample<N> = [N; 3];

/// The first rate that is tried, over the range of the readings: it hardly bends.
const SLOWEST: f32 = 1.0 / 32.0;
/// The last rate is so many times the first: it changes within a thousandth of the range.
const DOUBLINGS: u8 = 15;

/// An equation of the linear fit: `terms · parameters = target`. A residual of it times
/// `factor` is one of the formula, nearly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Equation<N> {
    pub(crate) terms: [N; 3],
    pub(crate) target: N,
    pub(crate) factor: N,
}

impl Start {
    /// Whether it is by a linear fit.
    pub(crate) fn is_straight(self) -> bool {
        matches!(self, Start::SteinhartHart | Start::Power)
    }

    /// The linear fit's equation for a sample. `sign` is that of most `y`; a `y` of the
    /// other sign gives a power no equation.
    pub(crate) fn equation<N: Number>(self, sign: N, [x, y]: [N; 2]) -> Option<Equation<N>> {
        let (zero, one) = (N::from(0.0), N::from(1.0));
        let ln = x.ln();
        Some(match self {
            Start::Power => {
                let y = sign * y;
                if y <= zero {
                    return None;
                }
                // A change of y changes ln y by 1 / y of it.
                Equation {
                    terms: [one, ln, zero],
                    target: y.ln(),
                    factor: y,
                }
            }
            _ => {
                let kelvin = y + N::from(273.15);
                // A change of T changes 1 / T by 1 / T² of it.
                Equation {
                    terms: [one, ln, ln * ln * ln],
                    target: one / kelvin,
                    factor: kelvin * kelvin,
                }
            }
        })
    }

    /// The formula's parameters by those of the linear fit.
    pub(crate) fn bent<N: Number>(self, sign: N, params: &mut [N]) {
        if let (Start::Power, [a, ..]) = (self, params) {
            *a = sign * a.exp();
        }
    }
}

/// 1, or -1 if most are negative.
pub(crate) fn sign<N: Number>(y: impl Iterator<Item = N>) -> N {
    let mut above: i32 = 0;
    for y in y {
        above += if y > N::from(0.0) { 1 } else { -1 };
    }
    N::from(if above >= 0 { 1.0 } else { -1.0 })
}

/// Rates on trial, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates<N> {
    tried: u8,
    rate: N,
    /// How much of the sum of squares the best one explains.
    explained: N,
    best: Option<[N; 3]>,
}

impl<N: Number> Rates<N> {
    /// None was tried yet.
    pub(crate) fn new(samples: impl Iterator<Item = Sample<N>>) -> Self {
        let [low, high] = range(samples);
        Rates {
            tried: 0,
            rate: N::from(SLOWEST) / (high - low),
            explained: N::from(-1.0),
            best: None,
        }
    }

    /// Tries a rate and its opposite. The best parameters if it was the last; `None` in them
    /// if the samples tell none.
    pub(crate) fn poll(
        &mut self,
        start: Start,
        samples: impl Iterator<Item = Sample<N>> + Clone,
    ) -> Option<Option<[N; 3]>> {
        let [low, high] = range(samples.clone());
        for rate in [self.rate, -self.rate] {
            if start == Start::Exponential {
                // The end where the exponential is largest, so that it is at most 1.
                let end = if rate > N::from(0.0) { high } else { low };
                let (a, c, explained) =
                    level_and_constant(samples.clone(), |x| (rate * (x - end)).exp());
                self.offer([a * (-rate * end).exp(), rate, c], explained);
                continue;
            }
            for k in 0..=2 * N::MIDDLES_PER_RANGE {
                let place = f32::from(k) / f32::from(N::MIDDLES_PER_RANGE) - 0.5;
                let middle = low + (high - low) * N::from(place);
                let (a, explained) = level(samples.clone(), |x| (rate * (x - middle)).sigmoid());
                self.offer([a, rate, middle], explained);
            }
        }
        self.rate = self.rate * N::RATIO;
        self.tried += 1;
        (self.tried > DOUBLINGS * N::RATES_PER_DOUBLING).then_some(self.best)
    }

    fn offer(&mut self, params: [N; 3], explained: N) {
        let [a, ..] = params;
        // Not if it is not a number, either.
        if explained > self.explained && explained.is_finite() && a.is_normal() {
            (self.explained, self.best) = (explained, Some(params));
        }
    }
}

fn range<N: Number>(samples: impl Iterator<Item = Sample<N>>) -> [N; 2] {
    let none = [N::from(f32::INFINITY), N::from(f32::NEG_INFINITY)];
    samples.fold(none, |[low, high], [x, ..]| {
        [
            if x < low { x } else { low },
            if x > high { x } else { high },
        ]
    })
}

/// The best `a` of `a f(x)`, and how much it explains.
fn level<N: Number>(samples: impl Iterator<Item = Sample<N>>, f: impl Fn(N) -> N) -> (N, N) {
    let (mut ff, mut fy) = (N::from(0.0), N::from(0.0));
    for [x, y, weight] in samples {
        let f = f(x);
        ff = ff + weight * f * f;
        fy = fy + weight * f * y;
    }
    let a = fy / ff;
    (a, a * fy)
}

/// The best `a` and `c` of `a f(x) + c`, and how much more than a constant they explain.
fn level_and_constant<N: Number>(
    samples: impl Iterator<Item = Sample<N>> + Clone,
    f: impl Fn(N) -> N,
) -> (N, N, N) {
    let zero = N::from(0.0);
    let total = samples
        .clone()
        .fold(zero, |total, [_, _, weight]| total + weight);
    let (mut f_mean, mut y_mean) = (zero, zero);
    for [x, y, weight] in samples.clone() {
        f_mean = f_mean + weight * f(x) / total;
        y_mean = y_mean + weight * y / total;
    }
    let centred = samples.map(|[x, y, weight]| [x, y - y_mean, weight]);
    let (a, explained) = level(centred, |x| f(x) - f_mean);
    (a, y_mean - a * f_mean, explained)
}
