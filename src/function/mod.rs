//! One function of one sample for every use of a model.
//!
//! A model of a sensor is a formula: a reading, a few parameters, a result. Written once,
//! generic over what it is computed in, it serves for everything.
//!
//! ```
//! use baregrad::function::{Function, Real};
//!
//! /// °C of a thermometer without units.
//! struct Thermometer;
//!
//! impl Function<1, 2> for Thermometer {
//!     const NAME: &'static str = "thermometer";
//!     const INPUTS: [&'static str; 1] = ["t_u"];
//!     const PARAMETERS: [&'static str; 2] = ["w", "b"];
//!
//!     #[inline(always)]
//!     fn eval<S: Real>([t_u]: [S; 1], [w, b]: [S; 2]) -> S {
//!         w * (0.1 * t_u) + b
//!     }
//! }
//!
//! let (t_u, w_b) = ([35.7], [5.367, -17.3]);
//!
//! // The value of one sample, on the device.
//! let t_c = Thermometer::value(t_u, w_b);
//! assert!((t_c - 1.86).abs() < 0.01);
//!
//! // What it says of each parameter, exactly: a row of the Jacobian.
//! let (same, gradient) = Thermometer::value_and_gradient(t_u, w_b);
//! assert_eq!(same, t_c);
//! assert_eq!(gradient, [0.1 * 35.7, 1.0]);
//!
//! // Recorded on a tape, operation by operation, for all samples: the same bits.
//! let mut arena = baregrad::Arena::<64, 16>::new();
//! let tape = arena.tape();
//! let samples = tape.input(&[35.7, 55.9, 58.2], [3, 1]);
//! let t_p = Thermometer::record(samples, tape.param(&w_b, [2]));
//! assert_eq!(t_p.value()?[0], t_c);
//! # Ok::<(), baregrad::Error>(())
//! ```
//!
//! For one-liners there is [`function!`](crate::function!), which writes the names down by
//! itself, and [`models`] has the usual curves of sensors.
//!
//! | | |
//! | --- | --- |
//! | [`Function`] | a model of `X` inputs and `P` parameters |
//! | [`Real`] | what it is computed in |
//! | [`Jet`] | a value with its derivatives |
//! | [`Loss`], [`Squared`], [`DataGrads`] | losses of a model in one operation |
//! | [`horner`], [`chebyshev`] | polynomials |
//! | [`models`] | line, polynomials, Steinhart–Hart, exponential, logistic, … |
#![cfg_attr(
    feature = "std",
    doc = "| [`source`] | prints a function as Rust or C |"
)]

mod degree;
mod horner;
mod jet;
pub mod models;
mod node;
mod real;
mod samples;
#[cfg(feature = "std")]
pub mod source;
mod two_float;

use degree::Degree;
pub use horner::{chebyshev, horner};
pub use jet::{Jet, JetMask, Value};
pub use node::DataGrads;
pub use real::{Arithmetic, Implies, Names, Real};
pub use two_float::TwoFloat;
pub(crate) use two_float::{Split, two_sum};
#[cfg(feature = "std")]
pub(crate) use two_float::{difference_of, sum_of};

use crate::kernel::Lanes;
use crate::op::{Attrs, Backward, Forward, Op};
pub use crate::ops::loss::{Absolute, Bce, BceWithLogits, Huber, Loss, SmoothL1, Squared};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

/// A model: a function of `X` inputs and `P` parameters, of one sample. See the
/// [module](self) for an example.
///
/// It has no state. Numbers that it needs and nobody trains are written into it, or are
/// inputs like a sample's others.
pub trait Function<const X: usize, const P: usize> {
    /// The model's name, in reports and in printed source.
    const NAME: &'static str;
    /// The names of the inputs.
    const INPUTS: [&'static str; X];
    /// The names of the parameters.
    const PARAMETERS: [&'static str; P];

    /// The formula. It should be `#[inline(always)]`, to become part of the loop over
    /// samples, and have no loops of its own that the compiler would not unroll.
    fn eval<S: Real>(x: [S; X], p: [S; P]) -> S;

    /// The value for one sample.
    #[inline(always)]
    fn value(x: [f32; X], p: [f32; P]) -> f32 {
        Self::eval(x, p)
    }

    /// The value for one sample, and its derivatives by the parameters.
    #[inline(always)]
    fn value_and_gradient(x: [f32; X], p: [f32; P]) -> (f32, [f32; P]) {
        let jet = Self::by_parameters(x, p);
        (jet.value(), jet.derivatives())
    }

    /// Whether the formula is linear in the parameters: whether it multiplies them by inputs
    /// and numbers only, and adds. One that does something else with them, and is linear all
    /// the same, is not known to be.
    ///
    /// ```
    /// use baregrad::function::{Function, models};
    ///
    /// assert!(models::Cubic::is_linear()); // though not in its input
    /// assert!(!models::Exponential::is_linear());
    /// ```
    #[must_use]
    #[inline(always)]
    fn is_linear() -> bool {
        Self::eval([Degree::Constant; X], [Degree::Linear; P]) != Degree::Any
    }

    /// The values for as many samples as there are lanes.
    #[inline(always)]
    fn lanes<L: Lanes>(x: [L; X], p: [L; P]) -> L {
        Self::eval::<Value<L>>(constants(x), constants(p)).value()
    }

    /// The values for as many samples as there are lanes, and their derivatives by the
    /// parameters.
    #[inline(always)]
    fn by_parameters<L: Lanes>(x: [L; X], p: [L; P]) -> Jet<L, P> {
        Self::eval(constants(x), variables(p))
    }

    /// The values for as many samples as there are lanes, and their derivatives by the
    /// inputs.
    #[inline(always)]
    fn by_inputs<L: Lanes>(x: [L; X], p: [L; P]) -> Jet<L, X> {
        Self::eval(variables(x), constants(p))
    }

    /// The model's predictions, `[n]`, for samples `x`, `[n, X]`, with parameters `p`, `[P]`, in
    /// one operation of a tape, with the bits of [`value`](Self::value).
    ///
    /// `[n]` of inputs or `[]` of parameters, where there is only one, will do, and `[X]` for
    /// one sample. Gradients flow to parameters and inputs. The sums over samples are in the
    /// order that [`mse`](Self::mse) tells.
    ///
    /// ```
    /// use baregrad::function::{Function, models::Line};
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0], [3]);
    /// let p = tape.param(&[2.0, -1.0], [2]);
    /// let predictions = Line::predict(x, p);
    /// assert_eq!(*predictions.value()?, [1.0, 3.0, 5.0]);
    /// tape.backward(predictions.sum())?;
    /// assert_eq!(*p.grad()?, [6.0, 3.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    fn predict<'t>(x: Var<'t>, p: Var<'t>) -> Var<'t>
    where
        Self: Sized + 'static,
    {
        let op: &'static node::Predictions<Self, X, P> = &node::Predictions::OP;
        x.tape().apply_plain(op, &[x, p])
    }

    /// The mean squared error of the model against `target`, `[n]`, for samples `x`, `[n, X]`,
    /// with parameters `p`, `[P]`: `Σ (model - target)² / n`, in one operation of a tape, and
    /// one pass over the data, in which the gradient is computed as well. It keeps `P` floats.
    ///
    /// Gradients flow to the parameters. Data that need one as well are an error: see
    /// [`DataGrads`]. (Release builds for microcontrollers do not look when recording; there,
    /// `backward` gives the parameters NaN.)
    ///
    /// Up to 16 samples are summed in order. More go in blocks, with 16 partial sums if there
    /// are at most four parameters, otherwise 8, and 16 terms for each: an order that depends
    /// on `n` and `P` alone. Blocks are added up as in [`kernel::sum`](crate::kernel::sum).
    ///
    /// ```
    /// use baregrad::function::{Function, models::Line};
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0], [3]);
    /// let target = tape.input(&[1.0, 3.0, 8.0], [3]);
    /// let p = tape.param(&[2.0, -1.0], [2]);
    /// let loss = Line::mse(x, p, target);
    /// assert_eq!(loss.item()?, 3.0); // (0² + 0² + 3²) / 3
    /// tape.backward(loss)?;
    /// assert_eq!(*p.grad()?, [-6.0, -2.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    fn mse<'t>(x: Var<'t>, p: Var<'t>, target: Var<'t>) -> Var<'t>
    where
        Self: Sized + 'static,
    {
        Self::mean_loss(Squared, x, p, target)
    }

    /// [`mse`](Self::mse) with a weight for each sample, `weights`, `[n]`:
    /// `Σ weight (model - target)² / n`. To weigh by what is known of the errors, use
    /// `1 / σ²`.
    ///
    /// The sum is divided by the number of samples. PyTorch's weighted cross entropy is divided
    /// by the sum of the weights; but then the mean over micro-batches would not be that over
    /// all samples ([`backward_over`](crate::Tape::backward_over)). Weights whose mean is 1
    /// make both the same.
    ///
    /// A weight of 0 leaves a sample out, if its loss is finite: `0 * NaN` is NaN, as in
    /// PyTorch. If all are 0, so are loss and gradient. A negative one is taken as it is. No
    /// gradient flows to weights, and weights that need one are an error. They travel with the
    /// target, in a view of it, which takes one more node of the tape.
    ///
    /// ```
    /// use baregrad::function::{Function, models::Line};
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0], [3]);
    /// let target = tape.input(&[1.0, 3.0, 8.0], [3]);
    /// let weights = tape.input(&[1.0, 1.0, 0.5], [3]);
    /// let p = tape.param(&[2.0, -1.0], [2]);
    /// let loss = Line::weighted_mse(x, p, target, weights);
    /// assert_eq!(loss.item()?, 1.5); // (0² + 0² + 0.5 * 3²) / 3
    /// tape.backward(loss)?;
    /// assert_eq!(*p.grad()?, [-3.0, -1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    fn weighted_mse<'t>(x: Var<'t>, p: Var<'t>, target: Var<'t>, weights: Var<'t>) -> Var<'t>
    where
        Self: Sized + 'static,
    {
        Self::weighted_mean_loss(Squared, x, p, target, weights)
    }

    /// The mean of any [`Loss`] of the model's predictions, as [`mse`](Self::mse) is that of
    /// [`Squared`]: one operation, one pass, `P` floats.
    ///
    /// ```
    /// use baregrad::function::{Function, Huber, models::Line};
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0], [3]);
    /// let target = tape.input(&[1.0, 3.0, 80.0], [3]); // a reading that is far off
    /// let p = tape.param(&[2.0, -1.0], [2]);
    /// let loss = Line::mean_loss(Huber { delta: 1.0 }, x, p, target);
    /// assert_eq!(loss.item()?, 24.833334); // (0 + 0 + 1 (75 - 1 / 2)) / 3
    /// tape.backward(loss)?;
    /// assert_eq!(*p.grad()?, [-1.0, -1.0 / 3.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    fn mean_loss<'t, Q: Loss>(loss: Q, x: Var<'t>, p: Var<'t>, target: Var<'t>) -> Var<'t>
    where
        Self: Sized + 'static,
    {
        let op: &'static node::MeanLoss<Self, Q, X, P, 1> = &node::MeanLoss::OP;
        node::record(op, loss, [x, p, target])
    }

    /// The mean of any [`Loss`] of weighted samples, as [`weighted_mse`](Self::weighted_mse).
    #[track_caller]
    #[must_use]
    fn weighted_mean_loss<'t, Q: Loss>(
        loss: Q,
        x: Var<'t>,
        p: Var<'t>,
        target: Var<'t>,
        weights: Var<'t>,
    ) -> Var<'t>
    where
        Self: Sized + 'static,
    {
        let op: &'static node::MeanLoss<Self, Q, X, P, 2> = &node::MeanLoss::OP;
        node::record_weighted(op, loss, [x, p, target], weights)
    }

    /// Records the model on a tape, operation by operation, for samples `x`, `[n, X]`, and
    /// parameters `p`, `[P]`. The result is `[n]`, or `[]` for a model that uses no input.
    /// A single sample may be `[X]`.
    ///
    /// `[n]` of inputs or `[]` of parameters, where there is only one, will do.
    #[track_caller]
    fn record<'t>(x: Var<'t>, p: Var<'t>) -> Var<'t> {
        Self::eval(columns(x), columns(p))
    }
}

/// Jets that depend on nothing.
#[inline(always)]
fn constants<L: Lanes, const P: usize, const N: usize>(values: [L; N]) -> [Jet<L, P>; N] {
    jets(
        values,
        #[inline(always)]
        |value, _| Jet::constant(value),
    )
}

/// Jets each of which is the variable that its derivative is by.
#[inline(always)]
fn variables<L: Lanes, const P: usize, const N: usize>(values: [L; N]) -> [Jet<L, P>; N] {
    jets(values, Jet::variable)
}

/// Makes a jet of each value and its place: [`straight`], not in a loop as `map` has it.
#[inline(always)]
fn jets<L: Lanes, const P: usize, const N: usize>(
    values: [L; N],
    jet_of: impl Fn(L, usize) -> Jet<L, P>,
) -> [Jet<L, P>; N] {
    let mut jets = [Jet::constant(L::splat(0.0)); N];
    straight::<N>(
        #[inline(always)]
        |k| {
            if let (Some(jet), Some(value)) = (jets.get_mut(k), values.get(k)) {
                *jet = jet_of(*value, k);
            }
        },
    );
    jets
}

/// Calls `line` for each number below `N`, up to 16 in straight lines.
///
/// In a loop, a jet would not know which derivatives it has until the loop is unrolled, if it
/// is. Compiled for size it is not: an epoch of a line through eleven samples then takes a
/// Cortex-M4F 1,912 instructions rather than 390, and 650 bytes of flash more.
#[inline(always)]
pub(crate) fn straight<const N: usize>(mut line: impl FnMut(usize)) {
    macro_rules! written_out {
        ($($k:literal)*) => {$(
            if const { $k < N } {
                line($k);
            }
        )*};
    }
    written_out!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    for k in 16..N {
        line(k);
    }
}

/// The columns of a matrix, the elements of a row.
#[track_caller]
fn columns<const N: usize>(of: Var<'_>) -> [Var<'_>; N] {
    let mut columns = [of; N];
    if of.shape().dims().last() != Some(&N) {
        if N > 1 {
            columns = [of.unary(&Columns, Attrs::NONE); N];
        }
        return columns;
    }
    for (k, column) in columns.iter_mut().enumerate() {
        *column = of.select(-1, k);
    }
    columns
}

/// An operation that always fails, so that the tape keeps the error with shape and line.
struct Columns;
impl Op for Columns {
    fn name(&self) -> &'static str {
        "function"
    }
    fn shape(&self, _: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        Err(ShapeError::Other(
            "the last size must be the number of the model's inputs, or parameters",
        ))
    }
    fn forward(&self, _: &mut Forward<'_>) {}
    fn backward(&self, _: &mut Backward<'_>) {}
}

/// A [`Function`] in one line: inputs, parameters, formula.
///
/// ```
/// use baregrad::function::{Function, Real};
///
/// baregrad::function! {
///     /// °C of a thermometer without units.
///     pub fn Thermometer([t_u], [w, b]) { w * (0.1 * t_u) + b }
/// }
///
/// assert_eq!(Thermometer::PARAMETERS, ["w", "b"]);
/// assert_eq!(Thermometer::value([10.0], [5.0, -17.0]), -12.0);
/// ```
#[macro_export]
macro_rules! function {
    (
        $(#[$meta:meta])*
        $vis:vis fn $Name:ident([$($x:ident),* $(,)?], [$($p:ident),* $(,)?]) $formula:block
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $Name;

        impl $crate::function::Function<
            { <[&str]>::len(&[$(::core::stringify!($x)),*]) },
            { <[&str]>::len(&[$(::core::stringify!($p)),*]) },
        > for $Name {
            const NAME: &'static str = ::core::stringify!($Name);
            const INPUTS: [&'static str; <[&str]>::len(&[$(::core::stringify!($x)),*])] =
                [$(::core::stringify!($x)),*];
            const PARAMETERS: [&'static str; <[&str]>::len(&[$(::core::stringify!($p)),*])] =
                [$(::core::stringify!($p)),*];

            #[inline(always)]
            fn eval<S: $crate::function::Real>(
                [$($x),*]: [S; <[&str]>::len(&[$(::core::stringify!($x)),*])],
                [$($p),*]: [S; <[&str]>::len(&[$(::core::stringify!($p)),*])],
            ) -> S $formula
        }
    };
}
