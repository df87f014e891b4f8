//! The solution, and how sure it is.

use core::fmt;

use super::bounds::Held;
use super::normal::Normal;
use crate::function::TwoFloat;
use crate::kernel::Lanes;

/// Why a solver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// At a minimum: another step would change the parameters by less than 0.002 of their
    /// standard errors.
    Converged,
    /// At a minimum, where residuals are no larger than what rounding leaves: parameters are
    /// as good as the data, standard errors say no more than that they are small.
    Exact,
    /// At the minimum of what bounds allow, and one of them keeps a parameter from a smaller
    /// sum of squares: [`Solution::held`] says which it is, and whether there are more.
    AtBound {
        /// The first parameter at a bound, from 0.
        parameter: usize,
    },
    /// A bound that is not a number, or a lower bound above the upper one.
    InvalidBounds {
        /// Whose bounds, from 0.
        parameter: usize,
    },
    /// As many passes over the rows as were allowed.
    MaxPasses,
    /// No step leads further down, and yet the last one was no small part of the standard
    /// errors: a flat region, or rounding. Another start may do.
    NoProgress,
    /// Near a minimum, but a parameter hardly differs in its effect from those before it:
    /// rounding of derivatives to `f32` moves it by more than 0.002 of its standard error.
    IllConditioned {
        /// Which, from 0.
        parameter: usize,
    },
    /// The data say nothing about a parameter that those before it do not account for.
    Singular {
        /// Which, from 0.
        parameter: usize,
    },
    /// A residual or a derivative was infinite or not a number at the start.
    NotFinite {
        /// The first row of that kind, from 0.
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

/// Parameters at the end, and their covariance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solution<const P: usize> {
    params: [f32; P],
    status: Status,
    passes: u32,
    rows: usize,
    /// The root of the sum of squared residuals, whose square may be no number.
    norm: f32,
    absolute_sigma: bool,
    /// `W` of `(JᵀJ)⁻¹ = WᵀW`, 0 above the diagonal, where columns of `J` are multiplied by the
    /// scale of their parameters.
    root: Option<[[f32; P]; P]>,
    scale: [f32; P],
    held: [Held; P],
}

impl<const P: usize> Solution<P> {
    /// With the sums at the end, whose scales are those of columns and of residuals.
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

    /// Why it ended.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether the parameters are those of a minimum.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        matches!(
            self.status,
            Status::Converged | Status::Exact | Status::AtBound { .. }
        )
    }

    /// How often the rows were gone through.
    #[must_use]
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// The sum of squared residuals, in the square of their unit.
    #[must_use]
    pub fn sum_of_squares(&self) -> f32 {
        self.norm * self.norm
    }

    /// Whether each parameter was free, and if not, what held it where it is. Covariance and
    /// standard errors are those of the free ones; of the others, they are 0.
    #[must_use]
    pub fn held(&self) -> [Held; P] {
        self.held
    }

    /// Rows without those that the parameters account for: all but
    /// [fixed](super::LevenbergMarquardt::fixed) ones.
    #[must_use]
    pub fn degrees_of_freedom(&self) -> usize {
        let fixed = self.held.iter().filter(|held| **held == Held::Fixed);
        self.rows.saturating_sub(P - fixed.count())
    }

    /// The standard deviation of residuals, `√(sum of squares / degrees of freedom)`; not a
    /// number if there are no degrees of freedom.
    #[must_use]
    pub fn residual_standard_deviation(&self) -> f32 {
        self.norm / <f32 as Lanes>::sqrt(self.degrees_of_freedom() as f32)
    }

    /// Takes what residuals were divided by for the standard deviations that observations
    /// have, and not only for their ratios: `absolute_sigma` of scipy's `curve_fit`. Else
    /// the residuals say how large deviations are.
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

    /// The standard deviation of observations for each parameter, in units of its column.
    fn deviations(&self) -> [f32; P] {
        let deviation = match self.absolute_sigma {
            true => 1.0,
            false => self.residual_standard_deviation(),
        };
        self.scale.map(|scale| deviation * scale)
    }

    /// The covariance of the parameters, `(JᵀJ)⁻¹` times the variance of the observations;
    /// `None` if the data do not determine all parameters, NaN if there are as many of them
    /// as rows.
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
                // In the same order on both sides of the diagonal.
                for row in &root {
                    if let (Some(a), Some(b)) = (row.get(j), row.get(k)) {
                        *x += a * b;
                    }
                }
            }
        }
        Some(inverse)
    }

    /// The correlation of each parameter with each: 1 on the diagonal, near 1 or -1 where the
    /// data hardly tell two parameters apart. `None` if they do not determine all of them.
    ///
    /// It depends on the data's places alone, not on how far off observations are.
    #[must_use]
    pub fn correlation(&self) -> Option<[[f32; P]; P]> {
        let mut correlation = self.inverse()?;
        let mut roots = [1.0; P];
        for (j, (root, row)) in roots.iter_mut().zip(&correlation).enumerate() {
            *root = libm::sqrtf(row.get(j).copied().unwrap_or(f32::NAN));
        }
        for (j, (row, root)) in correlation.iter_mut().zip(&roots).enumerate() {
            for (k, (x, other)) in row.iter_mut().zip(&roots).enumerate() {
                // Rounding does not take it beyond 1.
                *x = if j == k {
                    1.0
                } else {
                    ((*x / root) / other).clamp(-1.0, 1.0)
                };
            }
        }
        Some(correlation)
    }

    /// How many rows there were.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The root of the sum of squared residuals, whose square may be no number.
    pub(super) fn norm(&self) -> f32 {
        self.norm
    }

    /// Whether [`absolute_sigma`](Self::absolute_sigma) was said.
    pub(super) fn has_absolute_sigma(&self) -> bool {
        self.absolute_sigma
    }

    /// The standard error of each parameter: the root of its variance.
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

    /// The standard error of something that depends on the parameters by this gradient: of
    /// the model's value at a point, say.
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
    /// // Least in the middle of the data.
    /// assert!(error_at(1.5) < error_at(0.0) && error_at(3.0) < error_at(10.0));
    /// ```
    #[must_use]
    pub fn standard_error_of(&self, gradient: &[f32; P]) -> Option<f32> {
        let (root, deviations) = (self.root?, self.deviations());
        let mut scaled = *gradient;
        for (g, deviation) in scaled.iter_mut().zip(deviations) {
            *g *= deviation;
        }
        // The length of W times the gradient.
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
