//! One function of one sample for every use of a model.
//!
//! A model of a sensor is a formula that takes a reading and a few parameters and gives a
//! result. Written once, generic over its scalar type, it can be evaluated, differentiated,
//! fitted, recorded and printed.
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
//! // The exact derivative with respect to each parameter: a row of the Jacobian.
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
//! [`function!`](crate::function!) defines such a model in one line and takes the names from
//! its arguments; [`models`] has the usual curves of sensors.
//!
//! | | |
//! | --- | --- |
//! | [`Function`] | a model of `X` inputs and `P` parameters |
//! | [`Real`] | the scalar type it is computed in |
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

/// A model: a function of the `X` inputs of one sample and of `P` parameters. See the
/// [module](self) for an example.
///
/// A model has no state. A number that is not trained is a constant in the formula, or one
/// more input.
pub trait Function<const X: usize, const P: usize> {
    /// The model's name, in reports and in printed source.
    const NAME: &'static str;
    /// The names of the inputs.
    const INPUTS: [&'static str; X];
    /// The names of the parameters.
    const PARAMETERS: [&'static str; P];

    /// The formula. Mark it `#[inline(always)]`, so that it becomes part of the loop over
    /// samples, and write no loop that the compiler might not unroll.
    fn eval<S: Real>(x: [S; X], p: [S; P]) -> S;

    /// The value for one sample.
    #[inline(always)]
    fn value(x: [f32; X], p: [f32; P]) -> f32 {
        Self::eval(x, p)
    }

    /// The value for one sample, and its derivatives with respect to the parameters.
    #[inline(always)]
    fn value_and_gradient(x: [f32; X], p: [f32; P]) -> (f32, [f32; P]) {
        let jet = Self::by_parameters(x, p);
        (jet.value(), jet.derivatives())
    }

    /// Returns whether the formula is written as linear in the parameters: it multiplies and
    /// divides them by inputs and numbers only, and adds the results. A formula that does
    /// anything else with them gives `false`, even if it is linear.
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

    /// The values for one sample per lane.
    #[inline(always)]
    fn lanes<L: Lanes>(x: [L; X], p: [L; P]) -> L {
        Self::eval::<Value<L>>(constants(x), constants(p)).value()
    }

    /// The values for one sample per lane, and their derivatives with respect to the
    /// parameters.
    #[inline(always)]
    fn by_parameters<L: Lanes>(x: [L; X], p: [L; P]) -> Jet<L, P> {
        Self::eval(constants(x), variables(p))
    }

    /// The values for one sample per lane, and their derivatives with respect to the inputs.
    #[inline(always)]
    fn by_inputs<L: Lanes>(x: [L; X], p: [L; P]) -> Jet<L, X> {
        Self::eval(variables(x), constants(p))
    }

    /// Records the model's predictions, `[n]`, for samples `x`, `[n, X]`, and parameters `p`,
    /// `[P]`, as one operation. The bits are those of [`value`](Self::value).
    ///
    /// `x` may be `[n]` if there is one input, or `[X]` for one sample of several inputs, whose
    /// prediction is `[]`; `p` may be `[]` if there is one parameter. Gradients flow to
    /// parameters and inputs. The sums over samples are in the order described at
    /// [`mse`](Self::mse).
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

    /// Records the mean squared error against `target`, `[n]`, for samples `x`, `[n, X]`, and
    /// parameters `p`, `[P]`: `Σ (model - target)² / n`, as one operation. One pass over the
    /// data computes the gradient as well, for which the tape keeps `P` floats.
    ///
    /// Gradients flow to the parameters only. An `x` or `target` that needs a gradient is an
    /// error: see [`DataGrads`]. (Release builds for microcontrollers do not check this when
    /// recording; there, `backward` gives the parameters NaN.)
    ///
    /// Up to 16 samples are summed in order. More samples are summed in blocks of 16 partial
    /// sums, or 8 if there are more than four parameters, each of 16 terms. Blocks are added up
    /// as in [`kernel::sum`](crate::kernel::sum). The order depends on `n` and `P` alone.
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
    /// `Σ weight (model - target)² / n`. If the standard deviation `σ` of each target is known,
    /// use weights of `1 / σ²`.
    ///
    /// The sum is divided by the number of samples, so that the mean over micro-batches is the
    /// mean over all samples ([`backward_over`](crate::Tape::backward_over)). PyTorch's weighted
    /// cross entropy is divided by the sum of the weights; both agree if the mean weight is 1.
    ///
    /// A weight of 0 leaves a sample out if the sample's loss is finite (`0 * NaN` is NaN, as
    /// in PyTorch). If all weights are 0, so are loss and gradient. Negative weights are used as
    /// they are. No gradient flows to weights, and weights that need one are an error. Weights
    /// take one more node of the tape, which attaches them to the target.
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

    /// Records the mean of any [`Loss`] of the model's predictions, as [`mse`](Self::mse) does
    /// for [`Squared`]: one operation, one pass, `P` floats.
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

    /// Records the mean of any [`Loss`] of weighted samples, as
    /// [`weighted_mse`](Self::weighted_mse) does for [`Squared`].
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
    ///
    /// `x` may be `[n]` if there is one input, or `[X]` for one sample; `p` may be `[]` if there
    /// is one parameter.
    #[track_caller]
    fn record<'t>(x: Var<'t>, p: Var<'t>) -> Var<'t> {
        Self::eval(columns(x), columns(p))
    }
}

/// Makes a constant jet of each value.
#[inline(always)]
fn constants<L: Lanes, const P: usize, const N: usize>(values: [L; N]) -> [Jet<L, P>; N] {
    jets(
        values,
        #[inline(always)]
        |value, _| Jet::constant(value),
    )
}

/// Makes a variable of each value: derivative `k` is with respect to `values[k]`.
#[inline(always)]
fn variables<L: Lanes, const P: usize, const N: usize>(values: [L; N]) -> [Jet<L, P>; N] {
    jets(values, Jet::variable)
}

/// Makes a jet of each value and its index, through [`straight`] rather than the loop of
/// `array::map`.
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

/// Calls `line` with each number below `N`. The first 16 calls are written out, without a loop.
///
/// The compiler knows which derivatives of a jet are live only after it has unrolled a loop,
/// and when it optimises for size, it does not unroll: an epoch of a line through eleven
/// samples then takes a Cortex-M4F 1,912 instructions rather than 390, and 650 bytes of flash
/// more.
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

/// Returns the `N` columns of a matrix, or the `N` elements of a vector. A tensor whose last
/// size is not `N` is itself the column if `N` is 1, and an error otherwise.
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

/// An operation that always fails, so that the tape keeps the error with the shape and the
/// caller's line.
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

/// Defines a [`Function`] in one line: inputs, parameters, formula.
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
