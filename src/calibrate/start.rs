//! Start parameters of formulas for least squares, found by simpler fits without a heap.
//!
//! If a transformation of its parameters makes a formula linear, the linear fit gives the start.
//! A formula with a rate is linear in its other parameters, apart from the middle of a logistic
//! curve. A table of rates (and middles) is tried, each with the best linear parameters, and the
//! entry nearest to the data is taken; no iteration has to converge.
//!
//! Boards compute the start in `f32`, and [`train`] on the desktop in `f64`, as its data.
//!
//! [`train`]: crate::train

use core::ops::{Add, Div, Mul, Neg, Sub};

use crate::function::Real;

/// The method by which a formula's start is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// All parameters start at 1, because nothing is known about the formula.
    Ones,
    /// A linear fit of `1 / (y + 273.15) = a + b ln x + c ln³ x`.
    SteinhartHart,
    /// A linear fit of `ln y = ln a + b ln x`, or of `ln -y` if most `y` are negative.
    Power,
    /// A table of rates `b`, each with the best `a` and `c`.
    Exponential,
    /// A table of rates `b` and middles `c`, each with the best `a`.
    Logistic,
}

/// A type of number in which starts are computed.
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
    /// The number of rates tried per doubling of the rate.
    const RATES_PER_DOUBLING: u8;
    /// The ratio of successive rates, `2^(1 / RATES_PER_DOUBLING)`.
    const RATIO: Self;
    /// The number of middles tried per range of the readings. Middles extend from half a
    /// range below the readings to half a range above.
    const MIDDLES_PER_RANGE: u8;

    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn sigmoid(self) -> Self;
    /// Returns whether the number is finite, and neither 0 nor subnormal.
    fn is_normal(self) -> bool;
    fn is_finite(self) -> bool;
}

/// The table is coarse, because each rate of a logistic curve costs a small chip 34
/// exponentials per sample.
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

/// The table is finer: some steep curves converge only from a rate within half of such a step.
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

/// A reading, its reference, and the weight of its squared residual.
pub(crate) type Sample<N> = [N; 3];

/// The first rate, per range of the readings: the curve hardly bends.
const SLOWEST: f32 = 1.0 / 32.0;
/// The rates span this many doublings: with the last rate, the curve changes within a
/// thousandth of the range.
const DOUBLINGS: u8 = 15;

/// An equation of the linear fit, `terms · parameters = target`. Its residual times
/// `factor` is, to first order, the residual of the formula.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Equation<N> {
    pub(crate) terms: [N; 3],
    pub(crate) target: N,
    pub(crate) factor: N,
}

impl Start {
    /// Returns whether the start is found by a linear fit.
    pub(crate) fn is_straight(self) -> bool {
        matches!(self, Start::SteinhartHart | Start::Power)
    }

    /// The equation of a sample for the linear fit. `sign` is the sign of most `y`; the
    /// power has no equation for a `y` of the other sign.
    pub(crate) fn equation<N: Number>(self, sign: N, [x, y]: [N; 2]) -> Option<Equation<N>> {
        let (zero, one) = (N::from(0.0), N::from(1.0));
        let ln = x.ln();
        Some(match self {
            Start::Power => {
                let y = sign * y;
                if y <= zero {
                    return None;
                }
                // d(ln y) = dy / y.
                Equation {
                    terms: [one, ln, zero],
                    target: y.ln(),
                    factor: y,
                }
            }
            _ => {
                let kelvin = y + N::from(273.15);
                // d(1 / T) = -dT / T².
                Equation {
                    terms: [one, ln, ln * ln * ln],
                    target: one / kelvin,
                    factor: kelvin * kelvin,
                }
            }
        })
    }

    /// Converts the parameters of the linear fit to those of the formula, in place.
    pub(crate) fn bent<N: Number>(self, sign: N, params: &mut [N]) {
        if let (Start::Power, [a, ..]) = (self, params) {
            *a = sign * a.exp();
        }
    }
}

/// Returns 1, or -1 if most `y` are not positive.
pub(crate) fn sign<N: Number>(y: impl Iterator<Item = N>) -> N {
    let mut above: i32 = 0;
    for y in y {
        above += if y > N::from(0.0) { 1 } else { -1 };
    }
    N::from(if above >= 0 { 1.0 } else { -1.0 })
}

/// A search of the table of rates, one rate at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates<N> {
    tried: u8,
    rate: N,
    /// The part of the sum of squares that the best entry explains.
    explained: N,
    best: Option<[N; 3]>,
}

impl<N: Number> Rates<N> {
    /// Starts before the first rate.
    pub(crate) fn new(samples: impl Iterator<Item = Sample<N>>) -> Self {
        let [low, high] = range(samples);
        Rates {
            tried: 0,
            rate: N::from(SLOWEST) / (high - low),
            explained: N::from(-1.0),
            best: None,
        }
    }

    /// Tries the next rate and its negative. Returns `Some` after the last rate, with the
    /// best parameters, or `None` in it if no entry fits the samples.
    pub(crate) fn poll(
        &mut self,
        start: Start,
        samples: impl Iterator<Item = Sample<N>> + Clone,
    ) -> Option<Option<[N; 3]>> {
        let [low, high] = range(samples.clone());
        for rate in [self.rate, -self.rate] {
            if start == Start::Exponential {
                // Measures x from the end where the exponential is largest, so that it is
                // at most 1.
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
        // NaN is not better either.
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

/// The best `a` of `a f(x)`, and the part of the sum of squares that it explains.
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

/// The best `a` and `c` of `a f(x) + c`, and the part of the sum of squares about the
/// mean that they explain.
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
