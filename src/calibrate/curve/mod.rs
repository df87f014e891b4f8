//! Curves of one variable: lines, polynomials, small networks, functions of one sample.

mod name;
mod record;

pub use name::MAX_NAME;
#[cfg(feature = "std")]
pub(in crate::calibrate) use record::Softsign;

use super::formula::Formula;
use super::scale::Scaling;
use super::terms::chebyshev;
use crate::function::TwoFloat;
use crate::nn::init;
use crate::random::seeded;

/// The highest degree: beyond it `f32` and the noise of data leave nothing to find.
pub const MAX_DEGREE: usize = 12;
/// The most hidden layers of a network.
pub const MAX_HIDDEN: usize = 4;
/// The most units of a hidden layer.
pub const MAX_WIDTH: usize = 64;

/// A curve of one variable, from scaled readings to scaled results.
///
/// But for functions, all of them are layers of units behind a first row of inputs, so that
/// what trains, evaluates and prints one of them does so with all:
///
/// | | inputs | layers |
/// | --- | --- | --- |
/// | [`Linear`](Self::Linear) | `x` | `w · x + b` |
/// | [`Poly`](Self::Poly) | `T₁(x), T₂(x), …` | `w · T + b` |
/// | [`Mlp`](Self::Mlp) | `x` | `softsign(w · x + b)`, …, `w · u + b` |
///
/// - A polynomial is a sum of Chebyshev polynomials, which hardly depend on one another
///   between -1 and 1, where powers of `x` look alike. So gradient descent finds them.
/// - Units of a network are `z / (1 + |z|)`, PyTorch's `softsign`: as smooth a step as
///   `tanh`, for a division. `tanh` takes an exponential, which no microcontroller has: more
///   code, and several times the instructions.
/// - A [`Function`](Self::Function) is a formula of its own, in the units of the data: its
///   scales change nothing, so that its parameters are those one would look up. Least
///   squares fits it; gradient descent would need scaled ones.
///
/// Parameters stand one after the other: the weights of a layer, `[inputs, units]`, then its
/// biases, `[units]`.
///
/// ```
/// use baregrad::calibrate::Curve;
///
/// let curve = Curve::parse("mlp:16,16").unwrap();
/// assert_eq!(curve, Curve::mlp(&[16, 16], 0).unwrap());
/// assert_eq!(curve.param_count(), 2 * 16 + 17 * 16 + 17);
/// assert_eq!(curve.to_string(), "mlp:16,16");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Curve {
    /// `w · x + b`.
    Linear,
    /// A polynomial of this degree, 1 to [`MAX_DEGREE`].
    Poly(usize),
    /// A network with hidden layers of these widths. [`Curve::mlp`] makes one.
    Mlp {
        /// The units of each hidden layer.
        widths: Widths,
        /// Where the weights to start from come from.
        seed: u64,
    },
    /// A function of one sample, such as those of [`FORMULAS`](super::FORMULAS).
    Function(&'static Formula),
}

/// The units of each hidden layer: 1 to [`MAX_HIDDEN`] layers of 1 to [`MAX_WIDTH`] units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths([u8; MAX_HIDDEN]);

impl Widths {
    /// Them as a list; `None` if there are too many, too few, or one is too wide or empty.
    #[must_use]
    pub fn new(widths: &[usize]) -> Option<Self> {
        if widths.is_empty() || widths.len() > MAX_HIDDEN {
            return None;
        }
        let mut list = [0; MAX_HIDDEN];
        for (to, width) in list.iter_mut().zip(widths) {
            let is_valid = (1..=MAX_WIDTH).contains(width);
            *to = u8::try_from(*width).ok().filter(|_| is_valid)?;
        }
        Some(Widths(list))
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        self.0
            .into_iter()
            .map(usize::from)
            .take_while(|width| *width > 0)
    }
}

impl Curve {
    /// A network of hidden layers of these widths; `None` if there are more than
    /// [`MAX_HIDDEN`], or none, or one has no units or more than [`MAX_WIDTH`].
    #[must_use]
    pub fn mlp(widths: &[usize], seed: u64) -> Option<Self> {
        let widths = Widths::new(widths)?;
        Some(Curve::Mlp { widths, seed })
    }

    /// How to scale what goes in: to -1 to 1 for Chebyshev polynomials, not at all for
    /// functions, otherwise to mean 0 and standard deviation 1. What comes out is best fitted
    /// at [`output_scaling`](Self::output_scaling).
    #[must_use]
    pub fn scaling(&self) -> Scaling {
        match self {
            Curve::Poly(_) => Scaling::MinMax,
            Curve::Linear | Curve::Mlp { .. } => Scaling::Standard,
            Curve::Function(_) => Scaling::Fixed(1.0),
        }
    }

    /// How to scale what comes out: to mean 0 and standard deviation 1, but for functions,
    /// whose results are in the units of the data.
    #[must_use]
    pub fn output_scaling(&self) -> Scaling {
        match self {
            Curve::Function(_) => Scaling::Fixed(1.0),
            _ => Scaling::Standard,
        }
    }

    /// How many inputs its first layer has: the degree of a polynomial.
    #[must_use]
    pub fn inputs(&self) -> usize {
        match self {
            Curve::Poly(degree) => (*degree).clamp(1, MAX_DEGREE),
            Curve::Linear | Curve::Mlp { .. } | Curve::Function(_) => 1,
        }
    }

    /// Inputs and units of each layer: `[1, 16]`, `[16, 16]`, `[16, 1]`. A function has none.
    pub fn layers(&self) -> impl Iterator<Item = [usize; 2]> + Clone + use<> {
        let hidden = match self {
            Curve::Mlp { widths, .. } => widths.0,
            _ => [0; MAX_HIDDEN],
        };
        let hidden = hidden.into_iter().take_while(|width| *width > 0);
        let last = !matches!(self, Curve::Function(_));
        let units = hidden.map(usize::from).chain(last.then_some(1));
        units.scan(self.inputs(), |inputs, units| {
            let layer = [*inputs, units];
            *inputs = units;
            Some(layer)
        })
    }

    /// How many parameters it has.
    #[must_use]
    pub fn param_count(&self) -> usize {
        if let Curve::Function(formula) = self {
            return formula.parameters().len();
        }
        self.layers()
            .map(|[inputs, units]| (inputs + 1) * units)
            .sum()
    }

    /// The fewest samples, of as many different readings, that it makes sense to fit: as
    /// many as a polynomial or a function has parameters, one more than a network has units
    /// in its first layer.
    #[must_use]
    pub fn min_samples(&self) -> usize {
        match self {
            Curve::Mlp { widths, .. } => widths.iter().next().unwrap_or(0) + 1,
            Curve::Linear | Curve::Poly(_) => self.inputs() + 1,
            Curve::Function(formula) => formula.parameters().len(),
        }
    }

    /// Writes the parameters to start from: zeros, or for a network what `nn.Linear` starts
    /// from, within `1 / √inputs` of zero, drawn from the seed. The same on every machine.
    /// A function's parameters start at 1; better starts depend on the data.
    pub fn start(&self, params: &mut [f32]) {
        let seed = match self {
            Curve::Mlp { seed, .. } => seed,
            Curve::Function(_) => return params.fill(1.0),
            _ => return params.fill(0.0),
        };
        let mut rng = seeded(*seed);
        let mut rest = params;
        for [inputs, units] in self.layers() {
            let count = ((inputs + 1) * units).min(rest.len());
            let (layer, others) = rest.split_at_mut_checked(count).unwrap_or_default();
            init::linear(&mut rng, inputs, layer);
            rest = others;
        }
    }

    /// Its value at a scaled reading, in pairs, and its derivatives by the parameters, without
    /// a tape: what least squares takes. `None` for a network, and for parameters or
    /// derivatives that are fewer than it has; of more, the rest is left alone.
    pub(super) fn value_and_gradient(
        &self,
        x: f32,
        params: &[TwoFloat],
        derivatives: &mut [f32],
    ) -> Option<TwoFloat> {
        let count = self.param_count();
        let (params, derivatives) = (params.get(..count)?, derivatives.get_mut(..count)?);
        match self {
            Curve::Mlp { .. } => None,
            Curve::Function(formula) => {
                let mut rounded = [0.0; MAX_DEGREE + 1];
                for (to, p) in rounded.iter_mut().zip(params) {
                    *to = p.to_f32();
                }
                formula.value_and_gradient(x, rounded.get(..count)?, derivatives);
                Some(formula.in_pairs(x, params))
            }
            Curve::Linear | Curve::Poly(_) => {
                let ([weights @ .., bias], [terms @ .., one]) = (params, derivatives) else {
                    return None;
                };
                let mut value = *bias;
                for ((to, t), w) in terms.iter_mut().zip(chebyshev(1.0, x)).zip(weights) {
                    *to = t;
                    value = value + *w * t;
                }
                *one = 1.0;
                Some(value)
            }
        }
    }
    /// Its value at a scaled reading and its derivatives by the parameters, both in `f32`: what
    /// one sample at a time takes. The value is a sum from the first parameter to the last, as
    /// [`Recursive::update`](crate::least_squares::Recursive::update) has it. `None` for a
    /// network, and for parameters or derivatives that are fewer than it has; of more
    /// derivatives, the rest is left alone.
    pub(super) fn tangent(&self, x: f32, params: &[f32], derivatives: &mut [f32]) -> Option<f32> {
        let count = self.param_count();
        let (params, derivatives) = (params.get(..count)?, derivatives.get_mut(..count)?);
        match self {
            Curve::Mlp { .. } => None,
            Curve::Function(formula) => Some(formula.value_and_gradient(x, params, derivatives)),
            Curve::Linear | Curve::Poly(_) => {
                let [terms @ .., one] = derivatives else {
                    return None;
                };
                for (to, t) in terms.iter_mut().zip(chebyshev(1.0, x)) {
                    *to = t;
                }
                *one = 1.0;
                let products = derivatives.iter().zip(params).map(|(d, p)| d * p);
                Some(products.fold(0.0, |sum, product| sum + product))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::Curve;

    /// PyTorch's rule of `nn.Linear`: weights and biases within 1 / √inputs.
    #[test]
    fn networks_start_within_the_bounds_of_their_layers() {
        let curve = Curve::mlp(&[16, 4], 3).unwrap();
        let mut params = [9.0; 32 + 68 + 5];
        assert_eq!(params.len(), curve.param_count());
        curve.start(&mut params);
        let largest = |part: &[f32]| part.iter().fold(0.0, |most: f32, p| most.max(p.abs()));
        let (first, rest) = params.split_at(32);
        let (second, third) = rest.split_at(68);
        for (part, bound) in [(first, 1.0), (second, 0.25), (third, 0.5)] {
            let found = largest(part);
            assert!(found <= bound && found > 0.6 * bound, "{found} of {bound}");
        }
        let mut again = [0.0; 105];
        curve.start(&mut again);
        assert_eq!(params, again);
        let others: Vec<f32> = {
            let mut params = std::vec![0.0; 105];
            Curve::mlp(&[16, 4], 4).unwrap().start(&mut params);
            params
        };
        assert_ne!(params.as_slice(), others);
    }
}
