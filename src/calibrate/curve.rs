//! Curves of one variable: lines, polynomials, small networks, functions of one sample.

use core::fmt;

use super::formula::Formula;
use super::scale::Scaling;
use super::terms::chebyshev;
use crate::function::TwoFloat;
use crate::kernel::Lanes;
use crate::nn::init;
use crate::op::{Attrs, Backward, Forward, Op};
use crate::ops::Unary;
use crate::ops::layer::{Activation, Layer};
use crate::random::seeded;
use crate::shape::{Shape, ShapeError};
use crate::tape::Tape;
use crate::var::Var;

/// The highest degree: beyond it `f32` and the noise of data leave nothing to find.
pub const MAX_DEGREE: usize = 12;
/// The most hidden layers of a network.
pub const MAX_HIDDEN: usize = 4;
/// The most units of a hidden layer.
pub const MAX_WIDTH: usize = 64;

/// The most bytes of a curve's name.
pub const MAX_NAME: usize = 16;

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

    /// The curve of this name: `linear`, `poly:3`, `mlp:16,16`. A network starts from seed 0.
    /// Functions are found by [`parse_with`](Self::parse_with).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        // A list of one: `core`'s search for a character cannot be proved not to panic.
        match name.split_once([':']) {
            None if name == "linear" => Some(Curve::Linear),
            Some(("poly", degree)) => {
                let degree = degree.parse().ok();
                let degree = degree.filter(|degree| (1..=MAX_DEGREE).contains(degree));
                degree.map(Curve::Poly)
            }
            Some(("mlp", widths)) => {
                let mut list = [0; MAX_HIDDEN];
                let mut count = 0;
                for width in widths.split([',']) {
                    *list.get_mut(count)? = width.parse().ok()?;
                    count += 1;
                }
                Curve::mlp(list.get(..count)?, 0)
            }
            _ => None,
        }
    }

    /// The curve of this name, which may be one of these functions.
    ///
    /// ```
    /// use baregrad::calibrate::{Curve, FORMULAS};
    ///
    /// assert!(matches!(Curve::parse_with("exp", &FORMULAS), Some(Curve::Function(_))));
    /// assert_eq!(Curve::parse_with("poly:3", &FORMULAS), Some(Curve::Poly(3)));
    /// assert_eq!(Curve::parse("exp"), None);
    /// ```
    #[must_use]
    pub fn parse_with(name: &str, formulas: &[&'static Formula]) -> Option<Self> {
        let known = formulas.iter().find(|formula| formula.name() == name);
        known.map_or_else(
            || Curve::parse(name),
            |formula| Some(Curve::Function(formula)),
        )
    }

    /// Its name, as [`parse`](Self::parse) reads it, in bytes of the caller's.
    ///
    /// Without `core`'s formatting, which cannot be proved not to panic.
    #[must_use]
    pub fn name<'b>(&self, bytes: &'b mut [u8; MAX_NAME]) -> &'b str {
        let mut len = 0;
        let mut put = |text: &[u8]| {
            for byte in text {
                if let Some(to) = bytes.get_mut(len) {
                    *to = *byte;
                    len += 1;
                }
            }
        };
        // A number of one digit or two.
        let digits = |number: usize| [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
        match self {
            Curve::Linear => put(b"linear"),
            Curve::Poly(_) => put(b"poly"),
            Curve::Mlp { .. } => put(b"mlp"),
            Curve::Function(formula) => put(formula.name().as_bytes()),
        }
        let degree = matches!(self, Curve::Poly(_)).then(|| self.inputs());
        let widths = match self {
            Curve::Mlp { widths, .. } => Some(widths.iter()),
            _ => None,
        };
        let separators = core::iter::once(b":").chain(core::iter::repeat(b","));
        let numbers = degree.into_iter().chain(widths.into_iter().flatten());
        for (separator, number) in separators.zip(numbers) {
            put(separator);
            let [tens, ones] = digits(number);
            if number > 9 {
                put(&[tens]);
            }
            put(&[ones]);
        }
        let name = bytes.get(..len).unwrap_or_default();
        str::from_utf8(name).unwrap_or_default()
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

    /// Records the curve for scaled readings `x`, `[n, 1]`, with its parameters as trainable
    /// leaves of these values: `[n, 1]`.
    ///
    /// ```
    /// use baregrad::{Arena, calibrate::Curve};
    ///
    /// let mut arena = Arena::<64, 8>::new();
    /// let tape = arena.tape();
    /// let x = tape.input(&[-1.0, 0.0, 0.5], [3, 1]);
    /// let y = Curve::Poly(2).record(x, &[1.0, 2.0, 10.0]); // 1 T₁ + 2 T₂ + 10
    /// assert_eq!(*y.value()?, [11.0, 8.0, 9.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn record<'t>(&self, x: Var<'t>, params: &[f32]) -> Var<'t> {
        let tape: &'t Tape<'t> = x.tape();
        let mut rest = params;
        self.record_layers(x, |shape| {
            let (values, others) = rest.split_at_checked(shape.numel()).unwrap_or((rest, &[]));
            rest = others;
            Some(tape.param(values, shape))
        })
    }

    /// [`record`](Self::record) with parameters that stand on the tape already: weights and
    /// biases of each layer, or those of a function, `[P]`.
    #[track_caller]
    #[must_use]
    pub fn record_on<'t>(&self, x: Var<'t>, params: &[Var<'t>]) -> Var<'t> {
        let mut params = params.iter();
        self.record_layers(x, |_| params.next().copied())
    }

    /// Records the layers one after the other. `next` gives the weights of each,
    /// `[inputs, units]`, then its biases, `[units]`.
    #[track_caller]
    fn record_layers<'t>(
        &self,
        x: Var<'t>,
        mut next: impl FnMut(Shape) -> Option<Var<'t>>,
    ) -> Var<'t> {
        let tape = x.tape();
        let mut units = x;
        if let Curve::Function(formula) = self {
            if let Some(p) = next(Shape::from([formula.parameters().len()])) {
                units = formula.record(x, p);
            }
            return units;
        }
        let count = self.inputs();
        if count > 1 {
            let attrs = Attrs {
                words: [count as u32, 0, 0, 0],
                tag: 0,
            };
            units = tape.apply(&Chebyshev, &[x], attrs);
        }
        let mut layers = self.layers().peekable();
        while let Some([inputs, width]) = layers.next() {
            let weights = next(Shape::from([inputs, width]));
            let (Some(w), Some(b)) = (weights, next(Shape::from([width]))) else {
                break;
            };
            units = if layers.peek().is_some() {
                tape.apply_plain(&Layer(Softsign), &[units, w, b])
            } else {
                units.linear(w, b)
            };
        }
        units
    }
}

/// Its [name](Curve::name).
impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name(&mut [0; MAX_NAME]))
    }
}

/// `z / (1 + |z|)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Softsign;

impl Unary for Softsign {
    const NAME: &'static str = "softsign";
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, z: L) -> L {
        z / (z.abs() + L::splat(1.0))
    }
    /// `1 / (1 + |z|)²`, which is `(1 - |y|)²`.
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, y: L, g: L) -> L {
        let slope = L::splat(1.0) - y.abs();
        g * (slope * slope)
    }
}

impl Activation for Softsign {
    const LAYER: &'static str = "linear_softsign";
}

/// `T₁(x)` to `T_d(x)`, `[n, d]`, of `x`, `[n, 1]`: `T₁ = x`, `T₂ = 2x x - 1`,
/// `Tₖ₊₁ = 2x Tₖ - Tₖ₋₁`.
struct Chebyshev;

impl Op for Chebyshev {
    fn name(&self) -> &'static str {
        "chebyshev"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [degree, ..] = attrs.words;
        match operands {
            [x] if x.rank() == 2 && x.dims().last() == Some(&1) => {
                Ok(Shape::from([x.dim(0), degree as usize]))
            }
            _ => Err(ShapeError::Other("expected readings of shape [n, 1]")),
        }
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let degree = inputs_of(cx.attrs());
        let ([x], y) = cx.split();
        for (x, row) in x.iter().zip(y.chunks_exact_mut(degree)) {
            for (to, t) in row.iter_mut().zip(chebyshev(1.0, *x)) {
                *to = t;
            }
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let degree = inputs_of(cx.attrs());
        let x = cx.operand(0);
        let Some(grad) = cx.grad(0) else { return };
        let rows = grad.output.chunks_exact(degree).zip(grad.operand);
        for ((g, to), x) in rows.zip(x) {
            // Derivatives follow from the recurrence: Tₖ₊₁' = 2 Tₖ + 2x Tₖ' - Tₖ₋₁'.
            let twice = x + x;
            let (mut before, mut t) = (1.0, *x);
            let (mut slope_before, mut slope) = (0.0, 1.0);
            let mut sum = -0.0;
            for g in g {
                sum += g * slope;
                let next = (t + t) + twice * slope - slope_before;
                (slope_before, slope) = (slope, next);
                (before, t) = (t, twice * t - before);
            }
            grad.acc.put(to, sum);
        }
    }
}

fn inputs_of(attrs: &Attrs) -> usize {
    let [degree, ..] = attrs.words;
    (degree as usize).max(1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    extern crate std;
    use std::string::ToString;
    use std::vec::Vec;

    use super::{Curve, Softsign, Widths};
    use crate::Arena;
    use crate::gradcheck::gradcheck;
    use crate::op::Attrs;
    use crate::ops::Unary;

    #[test]
    fn names_read_back_and_others_are_none() {
        for name in [
            "linear",
            "poly:1",
            "poly:12",
            "mlp:1",
            "mlp:64,64,64,64",
            "mlp:16,3",
        ] {
            assert_eq!(Curve::parse(name).unwrap().to_string(), name);
        }
        for name in [
            "",
            "line",
            "linear:1",
            "poly",
            "poly:",
            "poly:0",
            "poly:13",
            "poly:x",
            "mlp:",
            "mlp:0",
            "mlp:8,",
            "mlp:65",
            "mlp:1,1,1,1,1",
            "poly:-1",
        ] {
            assert_eq!(Curve::parse(name), None, "{name}");
        }
        assert_eq!(Widths::new(&[]), None);
    }

    /// Quarters and their products are exact.
    #[test]
    fn polynomials_are_sums_of_chebyshev_polynomials() {
        let x = [-1.0_f32, -0.5, 0.0, 0.25, 1.0];
        let mut arena = Arena::<256, 16>::new();
        let tape = arena.tape();
        let params = [0.5, -0.25, 2.0, 0.125, 1.0];
        let y = Curve::Poly(4).record(tape.constant(&x, [5, 1]), &params);
        // T2 = 2x² - 1, T3 = 4x³ - 3x, T4 = 8x⁴ - 8x² + 1.
        let expected = x.map(|x| {
            let (t2, t3) = (2.0 * x * x - 1.0, 4.0 * x * x * x - 3.0 * x);
            let t4 = 8.0 * x * x * x * x - 8.0 * x * x + 1.0;
            0.5 * x - 0.25 * t2 + 2.0 * t3 + 0.125 * t4 + 1.0
        });
        assert_eq!(*y.value().unwrap(), expected);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        for curve in ["linear", "poly:1", "poly:3", "poly:7", "mlp:3", "mlp:4,3"] {
            let curve = Curve::parse(curve).unwrap();
            let mut params = std::vec![0.0; curve.param_count()];
            curve.start(&mut params);
            for (i, p) in params.iter_mut().enumerate() {
                *p += 0.3 - 0.1 * (i % 5) as f32;
            }
            let mut arena = Arena::<2048, 64>::new();
            let tape = arena.tape();
            // The readings are differentiated as well.
            let x = tape.param(&[-0.9, -0.3, 0.2, 0.7], [4, 1]);
            let y = curve.record(x, &params);
            let loss = y.square().mean();
            let report = gradcheck(loss).unwrap();
            assert!(report.passed(), "{curve}: {report}");
        }
    }

    #[test]
    fn softsign_is_that_of_the_operations() {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let z = [
            -1e30,
            -3.0,
            -0.5,
            -0.0,
            0.0,
            1e-40,
            0.25,
            7.0,
            1e30,
            f32::INFINITY,
        ];
        let x = tape.constant(&z, [10]);
        let spelled = x / (x.abs() + 1.0);
        for (z, y) in z.into_iter().zip(spelled.value().unwrap().iter()) {
            let found = Softsign::forward(&Attrs::NONE, z);
            assert!(
                found.to_bits() == y.to_bits() || (found.is_nan() && y.is_nan()),
                "{z}"
            );
        }
    }

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
