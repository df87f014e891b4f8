//! Problems: rows of residuals and derivatives, whose sum of squares is minimised.

use core::marker::PhantomData;

use crate::function::{Function, Jet, TwoFloat, straight};
use crate::kernel::{Lanes, f32x8};

/// One observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<const X: usize> {
    /// The inputs.
    pub x: [f32; X],
    /// The observed value.
    pub y: f32,
    /// The factor of the residual: 1, or the reciprocal of the standard deviation of `y`.
    pub weight: f32,
}

/// One row of a problem with `P` parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<const P: usize> {
    /// Prediction minus observation, times the row's weight.
    pub residual: f32,
    /// The derivatives of the residual with respect to the parameters: a row of the Jacobian.
    pub derivatives: [f32; P],
    /// An estimate of the rounding error of the residual. A fit counts as exact when the residuals
    /// are no larger.
    pub rounding: f32,
}

impl<const P: usize> Row<P> {
    /// Multiplies derivatives and residual by powers of two.
    #[inline(always)]
    pub(super) fn scaled(mut self, columns: &[f32; P], residuals: f32) -> Self {
        straight::<P>(
            #[inline(always)]
            |j| {
                if let (Some(d), Some(scale)) = (self.derivatives.get_mut(j), columns.get(j)) {
                    *d *= scale;
                }
            },
        );
        self.residual *= residuals;
        self.rounding *= residuals;
        self
    }
}

/// Eight rows in lanes. Lanes beyond the last row may have any content.
#[derive(Clone, Copy, Debug)]
pub struct Eight<const P: usize> {
    pub(super) residual: f32x8,
    pub(super) derivatives: [f32x8; P],
    pub(super) rounding: f32x8,
}

impl<const P: usize> Eight<P> {
    /// Collects up to eight rows, in order.
    #[inline(always)]
    fn of_rows(rows: impl Iterator<Item = Row<P>>) -> Self {
        let (mut residual, mut rounding) = ([0.0; 8], [0.0; 8]);
        let mut derivatives = [[0.0; 8]; P];
        let to = residual.iter_mut().zip(&mut rounding).enumerate();
        for (row, (k, (residual, rounding))) in rows.zip(to) {
            (*residual, *rounding) = (row.residual, row.rounding);
            for (to, d) in derivatives.iter_mut().zip(row.derivatives) {
                if let Some(to) = to.get_mut(k) {
                    *to = d;
                }
            }
        }
        Eight {
            residual: f32x8::new(residual),
            derivatives: derivatives.map(f32x8::new),
            rounding: f32x8::new(rounding),
        }
    }
}

/// Residuals and their derivatives, of which a solver minimises the sum of squares.
///
/// A solver requests rows by number, in order, and stores none. They may be computed from data
/// in flash.
pub trait Problem<const P: usize> {
    /// The precision of parameters: `f32`, or [`TwoFloat`] if residuals are computed with
    /// more digits than `f32` has.
    type Scalar: Copy + From<TwoFloat> + Into<TwoFloat>;

    /// The number of rows.
    fn rows(&self) -> usize;

    /// Computes row `i` with parameters `p`.
    fn row(&self, i: usize, p: &[Self::Scalar; P]) -> Row<P>;

    /// Computes up to eight rows from row `i` on, with parameters `p`. An implementation
    /// returns the same bits as [`row`](Self::row) for each.
    #[doc(hidden)]
    #[inline(always)]
    fn eight(&self, i: usize, p: &[Self::Scalar; P]) -> Eight<P> {
        let to = self.rows().min(i.saturating_add(8));
        Eight::of_rows((i..to).map(
            #[inline(always)]
            |i| self.row(i, p),
        ))
    }

    /// Whether residuals are linear in the parameters, so that derivatives do not depend on
    /// them and the first step leads to the minimum. `false` is always correct: it costs a
    /// solver a pass or two more.
    fn is_linear(&self) -> bool {
        false
    }

    /// The derivative of residual `i` at `p` along `direction`.
    fn slope(&self, i: usize, p: &[Self::Scalar; P], direction: &[f32; P]) -> f32 {
        let derivatives = self.row(i, p).derivatives;
        let mut sum = 0.0;
        for (d, direction) in derivatives.iter().zip(direction) {
            sum += d * direction;
        }
        sum
    }
}

/// A [`Function`] and the observations to fit it to: rows of `X` inputs, observed values, and
/// optionally their standard deviations.
///
/// ```
/// use baregrad::function::models::Line;
/// use baregrad::least_squares::{CurveFit, LevenbergMarquardt};
///
/// let (t_u, t_c) = ([35.7, 55.9, 58.2, 81.9], [0.5, 14.0, 15.0, 28.0]);
/// let problem = CurveFit::new(Line, &t_u, &t_c);
/// let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&problem);
/// assert!(solution.is_converged());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CurveFit<'a, F, const X: usize> {
    x: &'a [[f32; X]],
    y: &'a [f32],
    sigma: &'a [f32],
    /// The length of the longest of `x`, `y` and `sigma`.
    rows: usize,
    function: PhantomData<fn() -> F>,
}

impl<'a, F, const X: usize> CurveFit<'a, F, X> {
    /// Takes the inputs row by row, `[n, X]`, and an observation for each row, `[n]`.
    ///
    /// A row with a missing number is NaN: a solver ends with
    /// [`Status::NotFinite`](super::Status::NotFinite), which contains the row's number.
    #[must_use]
    pub fn new(function: F, x: &'a [f32], y: &'a [f32]) -> Self {
        let _ = function;
        let (x, rest) = x.as_chunks();
        CurveFit {
            x,
            y,
            sigma: &[],
            rows: y.len().max(x.len() + usize::from(!rest.is_empty())),
            function: PhantomData,
        }
    }

    /// Sets the standard deviation of each observation, `[n]`, in its unit: residuals are
    /// divided by it. Without `sigma`, all are 1. Rows beyond the end of a shorter slice are
    /// NaN.
    #[must_use]
    pub fn sigma(self, sigma: &'a [f32]) -> Self {
        CurveFit {
            sigma,
            rows: self.rows.max(sigma.len()),
            ..self
        }
    }

    #[inline(always)]
    fn sample(&self, i: usize) -> Sample<X> {
        Sample {
            x: self.x.get(i).copied().unwrap_or([f32::NAN; X]),
            y: self.y.get(i).copied().unwrap_or(f32::NAN),
            weight: match self.sigma {
                [] => 1.0,
                sigma => 1.0 / sigma.get(i).copied().unwrap_or(f32::NAN),
            },
        }
    }
}

/// Eight samples in lanes.
struct EightSamples<const X: usize> {
    x: [f32x8; X],
    y: f32x8,
    weight: f32x8,
}

impl<F, const X: usize> CurveFit<'_, F, X> {
    /// Eight samples from number `i` on; NaN beyond the last.
    #[inline(always)]
    fn eight_samples(&self, i: usize) -> EightSamples<X> {
        let whole = |of: &[f32]| of.get(i..).and_then(|of| of.first_chunk().copied());
        let inputs = self.x.get(i..).and_then(|x| x.first_chunk().copied());
        let weights = match self.sigma {
            [] => Some([1.0; 8]),
            sigma => whole(sigma),
        };
        let (rows, y, sigma) = match (inputs, whole(self.y), weights) {
            (Some(inputs), Some(y), Some(sigma)) => (inputs, y, sigma),
            _ => self.last_samples(i),
        };
        let mut x = [f32x8::splat(0.0); X];
        for (k, x) in x.iter_mut().enumerate() {
            *x = f32x8::new(rows.map(|row| row.get(k).copied().unwrap_or(f32::NAN)));
        }
        let mut weight = f32x8::new(sigma);
        if !self.sigma.is_empty() {
            weight = f32x8::splat(1.0) / weight;
        }
        EightSamples {
            x,
            y: f32x8::new(y),
            weight,
        }
    }

    /// Inputs, observations and standard deviations of the last rows, of which there may be
    /// fewer than eight.
    #[cold]
    fn last_samples(&self, i: usize) -> ([[f32; X]; 8], [f32; 8], [f32; 8]) {
        let part = |of: &[f32], other: f32| {
            let mut part = [other; 8];
            let of = of.get(i..).unwrap_or_default();
            part.iter_mut().zip(of).for_each(|(to, x)| *to = *x);
            part
        };
        let mut rows = [[f32::NAN; X]; 8];
        let of = self.x.get(i..).unwrap_or_default();
        rows.iter_mut().zip(of).for_each(|(to, x)| *to = *x);
        let other = if self.sigma.is_empty() { 1.0 } else { f32::NAN };
        (rows, part(self.y, f32::NAN), part(self.sigma, other))
    }
}

/// The row of a function at a sample.
#[inline(always)]
pub(super) fn row_of<F: Function<X, P>, const X: usize, const P: usize>(
    Sample { x, y, weight }: Sample<X>,
    p: &[f32; P],
) -> Row<P> {
    let (value, mut derivatives) = F::value_and_gradient(x, *p);
    straight::<P>(
        #[inline(always)]
        |j| {
            if let Some(d) = derivatives.get_mut(j) {
                *d *= weight;
            }
        },
    );
    let (size, other) = (y.abs(), value.abs());
    let size = if size < other { other } else { size };
    Row {
        residual: weight * (value - y),
        derivatives,
        rounding: f32::EPSILON * weight * size,
    }
}

/// The derivative along `direction` of a function's residual at a sample.
#[inline(always)]
pub(super) fn slope_of<F: Function<X, P>, const X: usize, const P: usize>(
    Sample { x, weight, .. }: Sample<X>,
    p: &[f32; P],
    direction: &[f32; P],
) -> f32 {
    // The parameters as a function of one variable, the distance along the direction.
    let along = Jet::<f32, 1>::variable(0.0, 0);
    let mut moving = [along; P];
    for ((to, p), d) in moving.iter_mut().zip(p).zip(direction) {
        *to = along * *d + *p;
    }
    let [slope] = F::eval(x.map(Jet::constant), moving).derivatives();
    weight * slope
}

impl<F: Function<X, P>, const X: usize, const P: usize> Problem<P> for CurveFit<'_, F, X> {
    type Scalar = f32;

    #[inline(always)]
    fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn is_linear(&self) -> bool {
        F::is_linear()
    }

    #[inline(always)]
    fn row(&self, i: usize, p: &[f32; P]) -> Row<P> {
        row_of::<F, X, P>(self.sample(i), p)
    }

    #[inline(always)]
    fn eight(&self, i: usize, p: &[f32; P]) -> Eight<P> {
        let EightSamples { x, y, weight } = self.eight_samples(i);
        let jet = F::by_parameters(x, p.map(f32x8::splat));
        let value = jet.value();
        let (size, other) = (y.abs(), value.abs());
        let size = Lanes::select(size.lt(other), other, size);
        Eight {
            residual: weight * (value - y),
            derivatives: jet.derivatives().map(
                #[inline(always)]
                |d| d * weight,
            ),
            rounding: f32x8::splat(f32::EPSILON) * weight * size,
        }
    }

    #[inline(always)]
    fn slope(&self, i: usize, p: &[f32; P], direction: &[f32; P]) -> f32 {
        slope_of::<F, X, P>(self.sample(i), p, direction)
    }
}

/// A [`CurveFit`] whose predictions are computed in [pairs](TwoFloat) of `f32`.
#[derive(Clone, Copy, Debug)]
pub struct InPairs<'a, F, const X: usize> {
    fit: CurveFit<'a, F, X>,
    x_low: &'a [[f32; X]],
    y_low: &'a [f32],
}

impl<'a, F, const X: usize> CurveFit<'a, F, X> {
    /// Computes predictions in pairs of `f32`.
    #[must_use]
    pub fn in_pairs(self) -> InPairs<'a, F, X> {
        InPairs {
            fit: self,
            x_low: &[],
            y_low: &[],
        }
    }
}

impl<'a, F, const X: usize> InPairs<'a, F, X> {
    /// Adds the low parts of inputs, `[n, X]`, and of observations, `[n]`: the parts beyond the
    /// precision of `f32`. Missing ones are 0.
    #[must_use]
    pub fn low(self, x_low: &'a [f32], y_low: &'a [f32]) -> Self {
        InPairs {
            x_low: x_low.as_chunks().0,
            y_low,
            ..self
        }
    }
}

impl<F: Function<X, P>, const X: usize, const P: usize> Problem<P> for InPairs<'_, F, X> {
    type Scalar = TwoFloat;

    fn rows(&self) -> usize {
        Problem::<P>::rows(&self.fit)
    }

    fn is_linear(&self) -> bool {
        F::is_linear()
    }

    fn row(&self, i: usize, p: &[TwoFloat; P]) -> Row<P> {
        let row = self.fit.row(i, &p.map(f32::from));
        let Sample { x, y, weight } = self.fit.sample(i);
        let mut inputs = x.map(TwoFloat::from);
        if let Some(low) = self.x_low.get(i) {
            for (x, low) in inputs.iter_mut().zip(low) {
                *x = *x + *low;
            }
        }
        let y = TwoFloat::sum(y, self.y_low.get(i).copied().unwrap_or(0.0));
        let value = F::eval(inputs, *p);
        Row {
            residual: weight * f32::from(value - y),
            rounding: row.rounding * (TwoFloat::ROUNDING / f32::EPSILON),
            ..row
        }
    }

    fn slope(&self, i: usize, p: &[TwoFloat; P], direction: &[f32; P]) -> f32 {
        self.fit.slope(i, &p.map(f32::from), direction)
    }
}
