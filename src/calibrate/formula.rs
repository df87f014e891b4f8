//! Functions of one reading as curves, with a name and the ways to evaluate them.

use core::fmt;

use super::start::Start;
use crate::function::models::{Exponential, Logistic, Power, SteinhartHart};
use crate::function::{Function, TwoFloat};
#[cfg(feature = "std")]
use crate::function::{Value, source::Scalar};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

/// A [`Function`] of one reading as a [`Curve`](super::Curve), with a name, by which
/// records refer to it, and texts for readers.
///
/// A record contains only the name. The reader of a record passes the formulas that it
/// [accepts](super::Calibration::read_with), so that firmware links only those that it uses.
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
    start: Start,
    /// `None` if the formula cannot be recorded.
    predict: Option<for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>>,
    /// The value and its derivatives by the parameters.
    value_and_gradient: fn(f32, &[f32], &mut [f32]) -> f32,
    /// The value, in pairs.
    in_pairs: fn(f32, &[TwoFloat]) -> TwoFloat,
    /// The value in pairs and the derivatives in `f32`, both converted to `f64`, for
    /// least squares on the desktop.
    #[cfg(feature = "std")]
    at: fn(f64, &[f64], &mut [f64]) -> f64,
    #[cfg(feature = "std")]
    write_down: fn(Scalar, &[Scalar]) -> Scalar,
}

/// Returns the value and writes its derivatives. Missing parameters count as 0.
fn value_and_gradient<F: Function<1, P>, const P: usize>(
    x: f32,
    p: &[f32],
    derivatives: &mut [f32],
) -> f32 {
    let mut params = [0.0; P];
    for (to, p) in params.iter_mut().zip(p) {
        *to = *p;
    }
    let (value, gradient) = F::value_and_gradient([x], params);
    for (to, d) in derivatives.iter_mut().zip(gradient) {
        *to = d;
    }
    value
}

/// The value, computed in pairs of `f32`. Missing parameters count as 0.
fn in_pairs<F: Function<1, P>, const P: usize>(x: f32, p: &[TwoFloat]) -> TwoFloat {
    let mut params = [TwoFloat::ZERO; P];
    for (to, p) in params.iter_mut().zip(p) {
        *to = *p;
    }
    F::eval([TwoFloat::from(x)], params)
}

/// Returns the value, computed in pairs of `f32`, and writes its derivatives, computed in
/// `f32`. Missing parameters count as 0.
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

/// The formula over symbols. Missing parameters are replaced by the last one.
#[cfg(feature = "std")]
fn write_down<F: Function<1, P>, const P: usize>(x: Scalar, p: &[Scalar]) -> Scalar {
    let p = core::array::from_fn(|k| p.get(k).or(p.last()).copied().unwrap_or(x).value());
    Value::constant(F::lanes([x.value()], p))
}

impl Formula {
    /// A formula of `P` parameters. `name` has at most [`MAX_NAME`](super::MAX_NAME) bytes,
    /// `text` is the formula in `x` for readers, and `meanings` describes each parameter.
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
            start: Start::Ones,
            predict: Some(F::predict),
            value_and_gradient: value_and_gradient::<F, P>,
            in_pairs: in_pairs::<F, P>,
            #[cfg(feature = "std")]
            at: at::<F, P>,
            #[cfg(feature = "std")]
            write_down: write_down::<F, P>,
        }
    }

    /// The formula with a start that least squares computes from the data.
    const fn starting(self, start: Start) -> Self {
        Formula { start, ..self }
    }

    /// The formula for firmware that fits it by least squares alone, and never
    /// [records](super::Curve::record) it. Recording it becomes an error, which saves
    /// some 3 thousand bytes of flash for operations of each lane type and their
    /// gradients. Formulas of the same name are equal, with or without a tape.
    ///
    /// ```
    /// use baregrad::calibrate::{FORMULAS, Formula};
    ///
    /// static POWER: Formula = FORMULAS[2].without_tape();
    /// assert_eq!(&POWER, FORMULAS[2]);
    /// ```
    #[must_use]
    pub const fn without_tape(self) -> Self {
        Formula {
            predict: None,
            ..self
        }
    }

    /// The method by which least squares finds its start.
    pub(crate) fn start(&self) -> Start {
        self.start
    }

    /// Returns the value at a reading, and writes its derivatives by the parameters.
    pub(super) fn value_and_gradient(&self, x: f32, p: &[f32], derivatives: &mut [f32]) -> f32 {
        (self.value_and_gradient)(x, p, derivatives)
    }

    /// The name, which records contain.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The formula for readers, such as `a e^(b x) + c`.
    #[must_use]
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// The names of the parameters, in order.
    #[must_use]
    pub fn parameters(&self) -> &'static [&'static str] {
        self.parameters
    }

    /// A description of each parameter in a few words.
    #[must_use]
    pub fn meanings(&self) -> &'static [&'static str] {
        self.meanings
    }

    /// Records predictions of shape `[n, 1]` for readings `x` of shape `[n, 1]` with
    /// parameters `p` of shape `[P]`, in one operation and a view.
    #[track_caller]
    pub(super) fn record<'t>(&self, x: Var<'t>, p: Var<'t>) -> Var<'t> {
        match self.predict {
            Some(predict) => predict(x, p).reshape([-1, 1]),
            None => x.tape().apply_plain(&WithoutTape, &[x]),
        }
    }

    /// The value at a reading, in pairs.
    pub(super) fn in_pairs(&self, x: f32, p: &[TwoFloat]) -> TwoFloat {
        (self.in_pairs)(x, p)
    }

    /// The value at a reading, without a tape.
    pub(super) fn value(&self, x: f32, p: &[f32]) -> f32 {
        (self.value_and_gradient)(x, p, &mut [])
    }

    /// Returns the value at a reading, and writes its derivatives by the parameters.
    #[cfg(feature = "std")]
    pub(crate) fn at(&self, x: f64, p: &[f64], derivatives: &mut [f64]) -> f64 {
        (self.at)(x, p, derivatives)
    }

    /// Evaluates the formula over symbols, to be printed as source code.
    #[cfg(feature = "std")]
    pub(super) fn write_down(&self, x: Scalar, p: &[Scalar]) -> Scalar {
        (self.write_down)(x, p)
    }
}

/// An operation in place of a formula that cannot be recorded; recording it fails.
struct WithoutTape;

impl Op for WithoutTape {
    fn name(&self) -> &'static str {
        "formula"
    }

    fn shape(&self, _: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        Err(ShapeError::Other(
            "expected a formula that can be recorded, found one without_tape",
        ))
    }

    fn forward(&self, _: &mut Forward<'_>) {}

    fn backward(&self, _: &mut Backward<'_>) {}
}

/// Formulas of the same name are equal.
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

/// The formulas that `baregrad fit --model` and the `FromStr` of [`Curve`](super::Curve) accept.
pub static FORMULAS: [&Formula; 4] = [
    &Formula::of::<SteinhartHart, 3>(
        "steinhart-hart",
        "1 / (a + b ln x + c (ln x)^3) - 273.15",
        &[
            "1/K at a resistance of 1",
            "1/K for a factor of e in resistance",
            "the bend of that, 1/K",
        ],
    )
    .starting(Start::SteinhartHart),
    &Formula::of::<Exponential, 3>(
        "exp",
        "a e^(b x) + c",
        &["height above c at 0", "rate", "level"],
    )
    .starting(Start::Exponential),
    &Formula::of::<Power, 2>("power", "a x^b", &["value at 1", "exponent"]).starting(Start::Power),
    &Formula::of::<Logistic, 3>(
        "logistic",
        "a / (1 + e^(-b (x - c)))",
        &["upper level", "steepness", "middle"],
    )
    .starting(Start::Logistic),
];
