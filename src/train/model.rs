//! Models to fit: functions of variables, with initial values of their parameters.

use core::fmt;
use std::string::String;
use std::vec::Vec;

use crate::shape::Shape;
use crate::var::Var;

/// A trainable leaf before it is recorded: its name, shape and initial values.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
pub struct Param {
    pub(super) name: String,
    #[cfg_attr(feature = "json", serde(serialize_with = "sizes"))]
    pub(super) shape: Shape,
    pub(super) values: Vec<f32>,
    #[cfg_attr(feature = "json", serde(skip))]
    pub(super) penalised: bool,
}

impl Param {
    /// A parameter with the initial values `values`, one for each element of `shape`.
    pub fn new(
        name: impl Into<String>,
        values: impl Into<Vec<f32>>,
        shape: impl Into<Shape>,
    ) -> Self {
        Param {
            name: name.into(),
            shape: shape.into(),
            values: values.into(),
            penalised: true,
        }
    }

    /// A parameter of shape `[]`, a single number.
    pub fn scalar(name: impl Into<String>, value: f32) -> Self {
        Self::new(name, [value], Shape::SCALAR)
    }

    /// Exempts the parameter from the penalties of [`Fit::l1`](super::Fit::l1) and
    /// [`Fit::l2`](super::Fit::l2), as is often done with biases: a large bias does not
    /// make a model wiggle.
    #[must_use]
    pub fn without_penalty(mut self) -> Self {
        self.penalised = false;
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// Serializes a shape as the list of its sizes.
#[cfg(feature = "json")]
fn sizes<S: serde::Serializer>(shape: &Shape, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(shape.dims())
}

/// A model that [`Fit`](super::Fit) can fit. [`model`] makes one from a function; a type of
/// your own may implement it, as [`Curve`](super::Curve) does.
pub trait Model {
    /// The parameters, with their initial values.
    fn params(&self) -> Vec<Param>;

    /// Records the predictions for the rows of `x`, whose shape is `[rows, inputs]`.
    /// `params` holds a variable for each of the [`params`](Self::params).
    fn forward<'t>(&self, x: Var<'t>, params: &[Var<'t>]) -> Var<'t>;
}

/// A function as a [`Model`], made by [`model`].
#[derive(Clone)]
pub struct Function<const N: usize, F> {
    params: [Param; N],
    forward: F,
}

/// Makes a model of a function of `N` parameters.
///
/// ```
/// use baregrad::train::{Param, model};
///
/// // The body of the closure may call a function that also runs on the device.
/// let line = model(
///     [Param::scalar("w", 1.0), Param::scalar("b", 0.0)],
///     |x, [w, b]| w * x + b,
/// );
/// # let _ = line;
/// ```
pub fn model<const N: usize, F>(params: [Param; N], forward: F) -> Function<N, F>
where
    F: for<'t> Fn(Var<'t>, [Var<'t>; N]) -> Var<'t>,
{
    Function { params, forward }
}

impl<const N: usize, F> Model for Function<N, F>
where
    F: for<'t> Fn(Var<'t>, [Var<'t>; N]) -> Var<'t>,
{
    fn params(&self) -> Vec<Param> {
        self.params.to_vec()
    }

    fn forward<'t>(&self, x: Var<'t>, params: &[Var<'t>]) -> Var<'t> {
        match params.try_into() {
            Ok(params) => (self.forward)(x, params),
            Err(_) => unreachable!("a model gets as many variables as it has parameters"),
        }
    }
}

impl<const N: usize, F> fmt::Debug for Function<N, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

/// A function that records the loss of predictions and their targets, a mean over the rows.
pub type Loss<'a> = &'a dyn for<'t> Fn(Var<'t>, Var<'t>) -> Var<'t>;

/// The mean squared error, [`Var::mse`].
#[must_use]
pub fn mse<'t>(prediction: Var<'t>, target: Var<'t>) -> Var<'t> {
    prediction.mse(target)
}
