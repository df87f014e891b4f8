//! Curves of one variable: lines, polynomials, small networks, and formulas.

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

/// The highest degree of a polynomial: above it, `f32` and the noise of the data hide all terms.
pub const MAX_DEGREE: usize = 12;
/// The most hidden layers of a network.
pub const MAX_HIDDEN: usize = 4;
/// The most units of a hidden layer.
pub const MAX_WIDTH: usize = 64;

/// A curve of one variable, which converts scaled readings to scaled results.
///
/// All curves except formulas consist of layers of units after a first row of inputs, so
/// that the same code trains, evaluates and prints them:
///
/// | | inputs | layers |
/// | --- | --- | --- |
/// | [`Linear`](Self::Linear) | `x` | `w · x + b` |
/// | [`Poly`](Self::Poly) | `T₁(x), T₂(x), …` | `w · T + b` |
/// | [`Mlp`](Self::Mlp) | `x` | `softsign(w · x + b)`, …, `w · u + b` |
///
/// - A polynomial is a sum of Chebyshev polynomials, which are nearly uncorrelated
///   between -1 and 1, where powers of `x` look alike. Gradient descent therefore
///   converges.
/// - The activation of a network is `z / (1 + |z|)`, PyTorch's `softsign`: as smooth a
///   step as `tanh`, for one division. `tanh` needs an exponential, for which
///   microcontrollers have no instruction: more code, and several times the instructions.
/// - A [`Function`](Self::Function) is a formula in the units of the data: its scales are
///   the identity, so that its parameters are those found in the literature. Least
///   squares fits it; gradient descent would need scaled parameters.
///
/// Parameters are stored one after the other: the weights of a layer, of shape
/// `[inputs, units]`, then its biases, of shape `[units]`.
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
    /// A polynomial of this degree, from 1 to [`MAX_DEGREE`].
    Poly(usize),
    /// A network with hidden layers of these widths, made by [`Curve::mlp`].
    Mlp {
        /// The units of each hidden layer.
        widths: Widths,
        /// The seed of the initial weights.
        seed: u64,
    },
    /// A formula of one reading, such as those of [`FORMULAS`](super::FORMULAS).
    Function(&'static Formula),
}

/// The units of each hidden layer: 1 to [`MAX_HIDDEN`] layers of 1 to [`MAX_WIDTH`] units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths([u8; MAX_HIDDEN]);

impl Widths {
    /// Makes a list of widths; `None` if there are too many or too few, or if one is out
    /// of range.
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

    /// The widths, from the first hidden layer to the last.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        self.0
            .into_iter()
            .map(usize::from)
            .take_while(|width| *width > 0)
    }
}

impl Curve {
    /// A network with hidden layers of these widths; `None` if there are none or more
    /// than [`MAX_HIDDEN`], or if a width is 0 or more than [`MAX_WIDTH`].
    #[must_use]
    pub fn mlp(widths: &[usize], seed: u64) -> Option<Self> {
        let widths = Widths::new(widths)?;
        Some(Curve::Mlp { widths, seed })
    }

    /// The scaling of readings: to -1 to 1 for Chebyshev polynomials, none for formulas,
    /// otherwise to mean 0 and standard deviation 1. References have their own
    /// [`output_scaling`](Self::output_scaling).
    #[must_use]
    pub fn scaling(&self) -> Scaling {
        match self {
            Curve::Poly(_) => Scaling::MinMax,
            Curve::Linear | Curve::Mlp { .. } => Scaling::Standard,
            Curve::Function(_) => Scaling::Fixed(1.0),
        }
    }

    /// The scaling of references: none for formulas, whose results are in the units of
    /// the data, otherwise to mean 0 and standard deviation 1.
    #[must_use]
    pub fn output_scaling(&self) -> Scaling {
        match self {
            Curve::Function(_) => Scaling::Fixed(1.0),
            _ => Scaling::Standard,
        }
    }

    /// The number of inputs of the first layer: the degree of a polynomial, otherwise 1.
    #[must_use]
    pub fn inputs(&self) -> usize {
        match self {
            Curve::Poly(degree) => (*degree).clamp(1, MAX_DEGREE),
            Curve::Linear | Curve::Mlp { .. } | Curve::Function(_) => 1,
        }
    }

    /// The inputs and units of each layer, such as `[1, 16]`, `[16, 16]`, `[16, 1]`. A
    /// formula has no layers.
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

    /// The number of parameters.
    #[must_use]
    pub fn param_count(&self) -> usize {
        if let Curve::Function(formula) = self {
            return formula.parameters().len();
        }
        self.layers()
            .map(|[inputs, units]| (inputs + 1) * units)
            .sum()
    }

    /// The least number of samples with distinct readings that determines the curve: the
    /// number of parameters of a polynomial or a formula; for a network, one more than
    /// the units of its first layer.
    #[must_use]
    pub fn min_samples(&self) -> usize {
        match self {
            Curve::Mlp { widths, .. } => widths.iter().next().unwrap_or(0) + 1,
            Curve::Linear | Curve::Poly(_) => self.inputs() + 1,
            Curve::Function(formula) => formula.parameters().len(),
        }
    }

    /// Writes the initial parameters: zeros for polynomials; for a network, values drawn
    /// from the seed as in PyTorch's `nn.Linear`, within `1 / √inputs` of zero, the same
    /// on every machine; ones for a formula, for which better starts depend on the data.
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

    /// Returns the value for a scaled reading, in pairs, and writes its derivatives by
    /// the parameters, as least squares needs them, without a tape. `None` for a network,
    /// or if `params` or `derivatives` is shorter than the number of parameters; surplus
    /// derivatives are not written.
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
    /// Returns the value for a scaled reading and writes its derivatives by the
    /// parameters, both in `f32`, as recursive least squares needs them. The value is
    /// summed from the first parameter to the last, as in
    /// [`Recursive::update`](crate::least_squares::Recursive::update). `None` for a
    /// network, or if `params` or `derivatives` is shorter than the number of parameters;
    /// surplus derivatives are not written.
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

    /// As in PyTorch's `nn.Linear`, weights and biases are within 1 / √inputs.
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
