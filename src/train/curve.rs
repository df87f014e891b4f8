//! Ready-made models of one variable: lines, polynomials, small networks.

use core::fmt;
use core::str::FromStr;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::model::{Model, Param};
use super::scale::Scaling;
use crate::random::{fill_uniform, seeded};
use crate::var::Var;

/// The highest degree: beyond it `f32` and the noise of data leave nothing to
/// find.
const MAX_DEGREE: usize = 12;
const MAX_LAYERS: usize = 4;
const MAX_WIDTH: usize = 64;

/// A model of one variable, by name: `linear`, `poly:3`, `mlp:16,16`.
///
/// It takes and gives scaled numbers, see [`scaling`](Self::scaling).
/// [`Calibration`](super::Calibration) has the units of the data.
///
/// - A polynomial is a sum of Chebyshev polynomials, `Σ cₖ Tₖ(x)`, which hardly
///   depend on one another between -1 and 1, where powers of `x` look alike. So
///   gradient descent finds them.
/// - Units of a network are `z / (1 + |z|)`, PyTorch's `softsign`: as smooth a
///   step as `tanh` without an exponential, for the device's sake.
///
/// ```
/// use baregrad::train::Curve;
///
/// let curve: Curve = "mlp:16,16".parse()?;
/// assert_eq!(curve, Curve::Mlp { widths: vec![16, 16], seed: 0 });
/// assert_eq!(curve.to_string(), "mlp:16,16");
/// # Ok::<(), baregrad::train::CurveError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Curve {
    /// `w · x + b`.
    Linear,
    /// A polynomial of this degree.
    Poly(usize),
    /// A network with hidden layers of these widths.
    Mlp {
        /// The units of each hidden layer.
        widths: Vec<usize>,
        /// Where the weights to start from come from.
        seed: u64,
    },
}

/// A name that is no [`Curve`].
#[derive(Clone, PartialEq, Eq)]
pub struct CurveError {
    found: String,
}

impl fmt::Display for CurveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected linear, poly:N with N from 1 to {MAX_DEGREE}, or mlp:N,N,… with up to {MAX_LAYERS} layers of 1 to {MAX_WIDTH} units, found `{}`",
            self.found
        )
    }
}

impl core::error::Error for CurveError {}

impl FromStr for Curve {
    type Err = CurveError;

    fn from_str(text: &str) -> Result<Self, CurveError> {
        let number = |text: &str, most: usize| {
            let number = text.parse().ok();
            number.filter(|n| (1..=most).contains(n))
        };
        let curve = match text.split_once(':') {
            None if text == "linear" => Some(Curve::Linear),
            Some(("poly", degree)) => number(degree, MAX_DEGREE).map(Curve::Poly),
            Some(("mlp", widths)) => {
                let widths = widths.split(',').map(|width| number(width, MAX_WIDTH));
                let widths: Option<Vec<usize>> = widths.collect();
                let widths = widths.filter(|widths| widths.len() <= MAX_LAYERS);
                widths.map(|widths| Curve::Mlp { widths, seed: 0 })
            }
            _ => None,
        };
        curve.ok_or_else(|| CurveError {
            found: text.to_string(),
        })
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Curve::Linear => f.write_str("linear"),
            Curve::Poly(degree) => write!(f, "poly:{degree}"),
            Curve::Mlp { widths, .. } => {
                let widths: Vec<String> = widths.iter().map(ToString::to_string).collect();
                write!(f, "mlp:{}", widths.join(","))
            }
        }
    }
}

impl Curve {
    /// How to scale what goes in: to -1 to 1 for Chebyshev polynomials, otherwise
    /// to mean 0 and standard deviation 1. What comes out is best fitted at mean
    /// 0 and standard deviation 1.
    pub fn scaling(&self) -> Scaling {
        match self {
            Curve::Poly(_) => Scaling::MinMax,
            Curve::Linear | Curve::Mlp { .. } => Scaling::Standard,
        }
    }

    /// Sizes in, between and out: `[1, 16, 16, 1]`. Only a network has layers.
    fn layers(&self) -> Vec<[usize; 2]> {
        match self {
            Curve::Linear | Curve::Poly(_) => Vec::new(),
            Curve::Mlp { widths, .. } => {
                let sizes = [&[1], widths.as_slice(), &[1]].concat();
                let pairs = sizes.windows(2).filter_map(|pair| pair.try_into().ok());
                pairs.collect()
            }
        }
    }
}

impl Model for Curve {
    fn params(&self) -> Vec<Param> {
        match self {
            Curve::Linear => Vec::from([
                Param::scalar("w", 0.0),
                Param::scalar("b", 0.0).without_penalty(),
            ]),
            Curve::Poly(degree) => (0..=*degree)
                .map(|k| {
                    let c = Param::scalar(format!("c{k}"), 0.0);
                    if k == 0 { c.without_penalty() } else { c }
                })
                .collect(),
            Curve::Mlp { seed, .. } => {
                let mut rng = seeded(*seed);
                let mut params = Vec::new();
                for (i, [inputs, units]) in (1..).zip(self.layers()) {
                    // As `nn.Linear` starts: within 1 / √inputs of zero.
                    let bound = 1.0 / libm::sqrtf(inputs as f32);
                    let mut uniform = |count| {
                        let mut values = std::vec![0.0; count];
                        let filled = fill_uniform(&mut rng, -bound, bound, &mut values);
                        debug_assert!(filled.is_ok());
                        values
                    };
                    let w = uniform(inputs * units);
                    params.push(Param::new(format!("w{i}"), w, [inputs, units]));
                    let b = Param::new(format!("b{i}"), uniform(units), [units]);
                    params.push(b.without_penalty());
                }
                params
            }
        }
    }

    fn forward<'t>(&self, x: Var<'t>, params: &[Var<'t>]) -> Var<'t> {
        match (self, params) {
            (Curve::Linear, &[w, b]) => w * x + b,
            (Curve::Poly(_), &[c0, c1, ref rest @ ..]) => chebyshev(x, c0, c1, rest),
            (_, layers) => network(x, layers),
        }
    }
}

/// `Σ cₖ Tₖ(x)` with `T₀ = 1`, `T₁ = x`, `Tₖ₊₁ = 2x Tₖ - Tₖ₋₁`.
fn chebyshev<'t>(x: Var<'t>, c0: Var<'t>, c1: Var<'t>, rest: &[Var<'t>]) -> Var<'t> {
    let mut sum = c1 * x + c0;
    let two_x = x + x;
    let (mut before, mut t) = (None, x);
    for &c in rest {
        let next = match before {
            None => two_x * t - 1.0,
            Some(before) => two_x * t - before,
        };
        (before, t) = (Some(t), next);
        sum = sum + c * t;
    }
    sum
}

fn network<'t>(x: Var<'t>, layers: &[Var<'t>]) -> Var<'t> {
    let mut units = x;
    for (i, layer) in layers.chunks_exact(2).enumerate() {
        let &[w, b] = layer else { continue };
        if i > 0 {
            units = units / (units.abs() + 1.0); // softsign
        }
        units = units.linear(w, b);
    }
    units
}

#[cfg(test)]
mod tests {
    use super::Curve;
    use crate::HeapArena;
    use crate::train::Model;
    use std::format;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn names_that_are_no_curve_are_refused() {
        for bad in [
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
            let error = bad.parse::<Curve>().map_err(|error| error.to_string());
            let expected = format!("found `{bad}`");
            assert!(
                error.is_err_and(|error| error.ends_with(&expected)),
                "{bad}"
            );
        }
    }

    #[test]
    fn polynomials_are_sums_of_chebyshev_polynomials() {
        let x = [-1.0_f32, -0.5, 0.0, 0.25, 1.0];
        let mut arena = HeapArena::new(512, 64);
        let tape = arena.tape();
        let c: Vec<_> = [1.0, 0.5, -0.25, 2.0, 0.125]
            .map(|c| tape.param(&[c], []))
            .into();
        let y = Curve::Poly(4).forward(tape.constant(&x, [5, 1]), &c);
        // T2 = 2x² - 1, T3 = 4x³ - 3x, T4 = 8x⁴ - 8x² + 1.
        let expected = x.map(|x| {
            let (t2, t3) = (2.0 * x * x - 1.0, 4.0 * x * x * x - 3.0 * x);
            let t4 = 8.0 * x * x * x * x - 8.0 * x * x + 1.0;
            1.0 + 0.5 * x - 0.25 * t2 + 2.0 * t3 + 0.125 * t4
        });
        // Quarters and their products are exact.
        assert!(y.value().is_ok_and(|y| *y == expected));
    }
}
