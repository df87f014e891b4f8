//! The solution of a fit, and its covariance.

use core::fmt;

use super::bounds::Held;
use super::normal::Normal;
use crate::function::TwoFloat;
use crate::kernel::Lanes;

/// The reason for which a solver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// At a minimum: another step would change the parameters by less than 0.002 of their
    /// standard errors.
    Converged,
    /// At a minimum with residuals no larger than rounding errors. The parameters are as
    /// accurate as the data; standard errors only show that they are small.
    Exact,
    /// At a minimum within the bounds, where a bound keeps a parameter from a smaller sum of
    /// squares. [`Solution::held`] returns all parameters at bounds.
    AtBound {
        /// The first parameter at a bound, from 0.
        parameter: usize,
    },
    /// A bound is NaN, or a lower bound is above the upper one.
    InvalidBounds {
        /// The parameter with these bounds, from 0.
        parameter: usize,
    },
    /// The maximum number of passes over the rows was reached.
    MaxPasses,
    /// No step leads further down, but the last one was not a small part of the standard
    /// errors: the sum of squares is flat there, or dominated by rounding. Another start may
    /// help.
    NoProgress,
    /// Near a minimum, but the effect of a parameter hardly differs from the effects of those
    /// before it: rounding of derivatives to `f32` moves it by more than 0.002 of its standard
    /// error.
    IllConditioned {
        /// The parameter, from 0.
        parameter: usize,
    },
    /// The data do not determine a parameter: its effect is a combination of those before it.
    Singular {
        /// The parameter, from 0.
        parameter: usize,
    },
    /// A residual or a derivative was infinite or not a number at the start.
    NotFinite {
        /// The first such row, from 0.
        row: usize,
    },
    /// Fewer rows than parameters.
    TooFewRows,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Converged => f.write_str("converged"),
            Status::Exact => f.write_str("exact, but for rounding"),
            Status::AtBound { parameter } => {
                write!(f, "converged, with parameter {parameter} at a bound")
            }
            Status::InvalidBounds { parameter } => write!(
                f,
                "bounds of parameter {parameter}: expected a lower bound that is not above the upper"
            ),
            Status::MaxPasses => f.write_str("not converged: as many passes as were allowed"),
            Status::NoProgress => f.write_str("not converged: no progress, try another start"),
            Status::IllConditioned { parameter } => write!(
                f,
                "not converged: parameter {parameter} is hardly told apart from those before"
            ),
            Status::Singular { parameter } => write!(
                f,
                "not converged: the data say nothing about parameter {parameter}"
            ),
            Status::NotFinite { row } => {
                write!(
                    f,
                    "not finite at the start, in row {row}: try another start"
                )
            }
            Status::TooFewRows => f.write_str("fewer rows than parameters"),
        }
    }
}

/// The parameters at the end of a fit, and their covariance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solution<const P: usize> {
    params: [f32; P],
    status: Status,
    passes: u32,
    rows: usize,
    /// The root of the sum of squared residuals. The sum itself may overflow or underflow.
    norm: f32,
    absolute_sigma: bool,
    /// `W` of `(JᵀJ)⁻¹ = WᵀW`, 0 above the diagonal, for a `J` whose columns are multiplied by
    /// `scale`.
    root: Option<[[f32; P]; P]>,
    scale: [f32; P],
    held: [Held; P],
}

impl<const P: usize> Solution<P> {
    /// Takes the sums at the end, and the scales of columns and residuals.
    pub(super) fn new(
        (params, status, passes): ([f32; P], Status, u32),
        rows: usize,
        (normal, held): (&mut Normal<P>, [Held; P]),
        (column_scale, residual_scale): (&[f32; P], f32),
    ) -> Self {
        let mut root = match status {
            Status::Singular { .. } => None,
            _ => normal.root(),
        };
        if let Some(root) = &mut root {
            for (j, row) in root.iter_mut().enumerate() {
                if let Some(error) = row.get_mut(j)
                    && held.get(j) != Some(&Held::Free)
                {
                    *error = 0.0;
                }
            }
        }
        Solution {
            params,
            status,
            passes,
            rows,
            norm: <f32 as Lanes>::sqrt(normal.residual.rr.into()) / residual_scale,
            absolute_sigma: false,
            root,
            scale: *column_scale,
            held,
        }
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> [f32; P] {
        self.params
    }

    /// The reason for which the solver ended.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether the solver ended at a minimum.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        matches!(
            self.status,
            Status::Converged | Status::Exact | Status::AtBound { .. }
        )
    }

    /// The number of passes over the rows.
    #[must_use]
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// The sum of squared residuals, in the square of their unit.
    #[must_use]
    pub fn sum_of_squares(&self) -> f32 {
        self.norm * self.norm
    }

    /// The state of each parameter: free, or how it was held. Covariance and standard errors of
    /// held parameters are 0.
    #[must_use]
    pub fn held(&self) -> [Held; P] {
        self.held
    }

    /// The number of rows minus the number of parameters that are not
    /// [fixed](super::LevenbergMarquardt::fixed).
    #[must_use]
    pub fn degrees_of_freedom(&self) -> usize {
        let fixed = self.held.iter().filter(|held| **held == Held::Fixed);
        self.rows.saturating_sub(P - fixed.count())
    }

    /// The standard deviation of residuals, `√(sum of squares / degrees of freedom)`; NaN or
    /// infinite without degrees of freedom.
    #[must_use]
    pub fn residual_standard_deviation(&self) -> f32 {
        self.norm / <f32 as Lanes>::sqrt(self.degrees_of_freedom() as f32)
    }

    /// Takes the given standard deviations of observations as absolute, like `absolute_sigma`
    /// of scipy's `curve_fit`. By default, only their ratios count, and their size is estimated
    /// from the residuals.
    ///
    /// ```
    /// use baregrad::function::models::Line;
    /// use baregrad::least_squares::{CurveFit, LevenbergMarquardt};
    ///
    /// let (x, y, sigma) = ([0.0, 1.0, 2.0], [0.0, 1.5, 2.0], [0.1; 3]);
    /// let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&CurveFit::new(Line, &x, &y).sigma(&sigma));
    /// let [slope, _] = solution.standard_errors().unwrap();
    /// assert!((slope - 0.288675).abs() < 1e-5); // by the scatter of the points
    /// let [slope, _] = solution.absolute_sigma().standard_errors().unwrap();
    /// assert!((slope - 0.0707107).abs() < 1e-6); // 0.1 / √2
    /// ```
    #[must_use]
    pub fn absolute_sigma(self) -> Self {
        Solution {
            absolute_sigma: true,
            ..self
        }
    }

    /// The standard deviation of observations, scaled for each parameter's column.
    fn deviations(&self) -> [f32; P] {
        let deviation = match self.absolute_sigma {
            true => 1.0,
            false => self.residual_standard_deviation(),
        };
        self.scale.map(|scale| deviation * scale)
    }

    /// The covariance of the parameters, `(JᵀJ)⁻¹` times the variance of the observations.
    /// `None` if the data do not determine all parameters, not finite if there are as many of
    /// them as rows.
    #[must_use]
    pub fn covariance(&self) -> Option<[[f32; P]; P]> {
        let (mut covariance, deviations) = (self.inverse()?, self.deviations());
        for (row, deviation) in covariance.iter_mut().zip(&deviations) {
            for (x, other) in row.iter_mut().zip(&deviations) {
                *x *= deviation * other;
            }
        }
        Some(covariance)
    }

    /// `(JᵀJ)⁻¹`.
    fn inverse(&self) -> Option<[[f32; P]; P]> {
        let root = self.root?;
        let mut inverse = [[0.0; P]; P];
        for (j, row) in inverse.iter_mut().enumerate() {
            for (k, x) in row.iter_mut().enumerate() {
                // The order of summation is the same on both sides of the diagonal, so that the
                // matrix is symmetric.
                for row in &root {
                    if let (Some(a), Some(b)) = (row.get(j), row.get(k)) {
                        *x += a * b;
                    }
                }
            }
        }
        Some(inverse)
    }

    /// The correlation matrix of the parameters: near 1 or -1 where the data hardly distinguish
    /// two of them, NaN beside the diagonal for held parameters. `None` if the data do not
    /// determine all parameters.
    ///
    /// It depends on the inputs of the data, not on the size of the residuals.
    #[must_use]
    pub fn correlation(&self) -> Option<[[f32; P]; P]> {
        let mut correlation = self.inverse()?;
        let mut roots = [1.0; P];
        for (j, (root, row)) in roots.iter_mut().zip(&correlation).enumerate() {
            *root = libm::sqrtf(row.get(j).copied().unwrap_or(f32::NAN));
        }
        for (j, (row, root)) in correlation.iter_mut().zip(&roots).enumerate() {
            for (k, (x, other)) in row.iter_mut().zip(&roots).enumerate() {
                // Rounding could take the quotient beyond 1.
                *x = if j == k {
                    1.0
                } else {
                    ((*x / root) / other).clamp(-1.0, 1.0)
                };
            }
        }
        Some(correlation)
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The root of the sum of squared residuals. The sum itself may overflow or underflow.
    pub(super) fn norm(&self) -> f32 {
        self.norm
    }

    /// Whether [`absolute_sigma`](Self::absolute_sigma) was called.
    pub(super) fn has_absolute_sigma(&self) -> bool {
        self.absolute_sigma
    }

    /// The standard error of each parameter, the root of its variance; `None` if the data do
    /// not determine all parameters.
    #[must_use]
    pub fn standard_errors(&self) -> Option<[f32; P]> {
        let (root, mut errors) = (self.root?, self.deviations());
        for (j, error) in errors.iter_mut().enumerate() {
            let mut square = 0.0;
            for row in &root {
                let x = row.get(j).copied().unwrap_or(f32::NAN);
                square += x * x;
            }
            *error *= <f32 as Lanes>::sqrt(square);
        }
        Some(errors)
    }

    /// The standard error of a quantity with this gradient with respect to the parameters, for
    /// example the model's value at a point. `None` if the data do not determine all
    /// parameters.
    ///
    /// ```
    /// use baregrad::function::{Function, models::Line};
    /// use baregrad::least_squares::{CurveFit, LevenbergMarquardt};
    ///
    /// let (x, y) = ([0.0, 1.0, 2.0, 3.0], [0.1, 0.9, 2.1, 2.9]);
    /// let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&CurveFit::new(Line, &x, &y));
    /// let error_at = |x: f32| {
    ///     let (_, gradient) = Line::value_and_gradient([x], solution.params());
    ///     solution.standard_error_of(&gradient).unwrap()
    /// };
    /// // Smallest in the middle of the data.
    /// assert!(error_at(1.5) < error_at(0.0) && error_at(3.0) < error_at(10.0));
    /// ```
    #[must_use]
    pub fn standard_error_of(&self, gradient: &[f32; P]) -> Option<f32> {
        let (root, deviations) = (self.root?, self.deviations());
        let mut scaled = *gradient;
        for (g, deviation) in scaled.iter_mut().zip(deviations) {
            *g *= deviation;
        }
        // The length of W times the scaled gradient.
        let mut variance = 0.0;
        for row in &root {
            let mut part = TwoFloat::ZERO;
            for (g, x) in scaled.iter().zip(row) {
                part = part + TwoFloat::from(*g) * *x;
            }
            let part = part.to_f32();
            variance += part * part;
        }
        Some(<f32 as Lanes>::sqrt(variance))
    }
}
