//! Functions of one sample as curves: a name, and how they are recorded.

use core::fmt;

use crate::function::Function;
use crate::function::models::{Exponential, Logistic, Power, SteinhartHart};
#[cfg(feature = "std")]
use crate::function::{TwoFloat, Value, source::Scalar};
use crate::var::Var;

/// A [`Function`] of one reading as a [`Curve`](super::Curve): with a name, by which records
/// find it again, and words for people.
///
/// A record says no more than the name. Who [reads](super::Calibration::read_with) it says
/// which functions it may be of, so that firmware links those that it wants and no others.
///
/// ```
/// use baregrad::calibrate::{Curve, Formula};
/// use baregrad::{Arena, function};
///
/// function! {
///     /// The flow over a weir, by its head.
///     pub fn Weir([head], [c]) { c * (head * head.sqrt()) }
/// }
/// static WEIR: Formula = Formula::of::<Weir, 1>("weir", "c h^(3/2)", &["m³/s at a head of 1 m"]);
///
/// let curve = Curve::parse_with("weir", &[&WEIR]).unwrap();
/// let mut arena = Arena::<16, 8>::new();
/// let tape = arena.tape();
/// let flow = curve.record(tape.input(&[1.0, 4.0], [2, 1]), &[1.5]);
/// assert_eq!(*flow.value()?, [1.5, 12.0]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Formula {
    name: &'static str,
    text: &'static str,
    parameters: &'static [&'static str],
    meanings: &'static [&'static str],
    predict: for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>,
    /// The value and its derivatives by the parameters, for least squares on the desktop.
    #[cfg(feature = "std")]
    at: fn(f64, &[f64], &mut [f64]) -> f64,
    #[cfg(feature = "std")]
    write_down: fn(Scalar, &[Scalar]) -> Scalar,
}

/// The value, computed in pairs of `f32`, and its derivatives in `f32`. Parameters that are
/// too few are 0.
#[cfg(feature = "std")]
fn at<F: Function<1, P>, const P: usize>(x: f64, p: &[f64], derivatives: &mut [f64]) -> f64 {
    let mut params = [TwoFloat::ZERO; P];
    for (to, p) in params.iter_mut().zip(p) {
        *to = TwoFloat::from_f64(*p);
    }
    let x = TwoFloat::from_f64(x);
    let (_, gradient) = F::value_and_gradient([x.high()], params.map(f32::from));
    for (to, d) in derivatives.iter_mut().zip(gradient) {
        *to = d.into();
    }
    F::eval([x], params).to_f64()
}

/// The formula over symbols. Parameters that are too few are the last one.
#[cfg(feature = "std")]
fn write_down<F: Function<1, P>, const P: usize>(x: Scalar, p: &[Scalar]) -> Scalar {
    let p = core::array::from_fn(|k| p.get(k).or(p.last()).copied().unwrap_or(x).value());
    Value::constant(F::lanes([x.value()], p))
}

impl Formula {
    /// A function of `P` parameters. The name is of [`MAX_NAME`](super::MAX_NAME) bytes at
    /// most, `text` is the formula in `x` for people to read, and `meanings` says of each
    /// parameter what it is.
    #[must_use]
    pub const fn of<F: Function<1, P> + 'static, const P: usize>(
        name: &'static str,
        text: &'static str,
        meanings: &'static [&'static str; P],
    ) -> Self {
        Formula {
            name,
            text,
            parameters: const { &F::PARAMETERS },
            meanings,
            predict: F::predict,
            #[cfg(feature = "std")]
            at: at::<F, P>,
            #[cfg(feature = "std")]
            write_down: write_down::<F, P>,
        }
    }

    /// The name, which a record has.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The formula, for people: `a e^(b x) + c`.
    #[must_use]
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// The names of the parameters, in their order.
    #[must_use]
    pub fn parameters(&self) -> &'static [&'static str] {
        self.parameters
    }

    /// The meaning of each parameter, in a few words.
    #[must_use]
    pub fn meanings(&self) -> &'static [&'static str] {
        self.meanings
    }

    /// Records predictions for readings `x`, `[n, 1]`, with parameters `p`, `[P]`: `[n, 1]`,
    /// in one operation, and a view of it.
    #[track_caller]
    pub(super) fn record<'t>(&self, x: Var<'t>, p: Var<'t>) -> Var<'t> {
        (self.predict)(x, p).reshape([-1, 1])
    }

    /// The value at a reading, and its derivatives by the parameters.
    #[cfg(feature = "std")]
    pub(crate) fn at(&self, x: f64, p: &[f64], derivatives: &mut [f64]) -> f64 {
        (self.at)(x, p, derivatives)
    }

    /// Writes down the operations of the formula, to be printed.
    #[cfg(feature = "std")]
    pub(super) fn write_down(&self, x: Scalar, p: &[Scalar]) -> Scalar {
        (self.write_down)(x, p)
    }
}

/// Formulas of one name are one.
impl PartialEq for Formula {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Formula {}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The functions that `baregrad fit --model` and [`Curve`](super::Curve)'s `FromStr` know.
pub static FORMULAS: [&Formula; 4] = [
    &Formula::of::<SteinhartHart, 3>(
        "steinhart-hart",
        "1 / (a + b ln x + c (ln x)^3) - 273.15",
        &[
            "1/K at a resistance of 1",
            "1/K for a factor of e in resistance",
            "the bend of that, 1/K",
        ],
    ),
    &Formula::of::<Exponential, 3>(
        "exp",
        "a e^(b x) + c",
        &["height above c at 0", "rate", "level"],
    ),
    &Formula::of::<Power, 2>("power", "a x^b", &["value at 1", "exponent"]),
    &Formula::of::<Logistic, 3>(
        "logistic",
        "a / (1 + e^(-b (x - c)))",
        &["upper level", "steepness", "middle"],
    ),
];
