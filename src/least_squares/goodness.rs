//! The coefficient of determination R² and the F test.

use super::inference::InferenceError;
use super::{FDistribution, Solution};
use crate::function::TwoFloat;

/// Measures of how well a fit explains the observations: see [`Solution::goodness`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goodness {
    unexplained: f32,
    rows: f32,
    parameters: f32,
}

impl<const P: usize> Solution<P> {
    /// Computes how much of the variation of the observations `y`, `[n]`, the fit explains.
    /// `sigma` holds the standard deviations, `[n]`, if the residuals were divided by them,
    /// otherwise it is `&[]`.
    ///
    /// Variation is the sum of squared deviations from the mean. With `sigma`, both the sum and
    /// the mean are weighted by `1 / sigma²`. The sum is accumulated in pairs, so that `1 - R²`
    /// keeps its digits even if R² is 0.999999.
    ///
    /// ```
    /// use baregrad::function::models::Line;
    /// use baregrad::least_squares::{CurveFit, LevenbergMarquardt};
    ///
    /// let (x, y) = ([0.0, 1.0, 2.0, 3.0], [0.1, 0.9, 2.1, 2.9]);
    /// let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&CurveFit::new(Line, &x, &y));
    /// let goodness = solution.goodness(&y, &[])?;
    /// assert!((goodness.r_squared() - 0.9931034).abs() < 1e-6);
    /// # Ok::<(), baregrad::least_squares::InferenceError>(())
    /// ```
    ///
    /// # Errors
    /// `y` or a nonempty `sigma` whose length is not the number of rows, or observations that
    /// are all equal or not finite.
    pub fn goodness(&self, y: &[f32], sigma: &[f32]) -> Result<Goodness, InferenceError> {
        for found in [y.len(), sigma.len()] {
            if found != self.rows() && (found > 0 || y.is_empty()) {
                return Err(InferenceError::Rows {
                    expected: self.rows(),
                    found,
                });
            }
        }
        let weight = |i: usize| match sigma {
            [] => 1.0,
            sigma => 1.0 / sigma.get(i).copied().unwrap_or(f32::NAN),
        };
        // Weights are divided by the largest: its square may overflow.
        let largest = (0..y.len()).fold(0.0_f32, |largest, i| largest.max(weight(i)));
        let share = |i: usize| {
            let share = TwoFloat::from(weight(i) / largest);
            share * share
        };
        let (mut shares, mut sum) = (TwoFloat::ZERO, TwoFloat::ZERO);
        for (i, y) in y.iter().enumerate() {
            shares = shares + share(i);
            sum = sum + share(i) * *y;
        }
        let mean = sum / shares;
        let farthest = y.iter().fold(0.0_f32, |farthest, y| {
            farthest.max((*y - mean.to_f32()).abs())
        });
        let mut total = TwoFloat::ZERO;
        for (i, y) in y.iter().enumerate() {
            let off = (TwoFloat::from(*y) - mean) / farthest;
            total = total + share(i) * (off * off);
        }
        let root = libm::sqrtf(total.to_f32()) * farthest * largest;
        let unexplained = self.norm() / root;
        // NaN or infinite if the observations do not vary or a number is not finite.
        if !(unexplained.is_finite() && root.is_finite()) {
            return Err(InferenceError::NoVariation);
        }
        Ok(Goodness {
            unexplained: unexplained * unexplained,
            rows: self.rows() as f32,
            parameters: P as f32,
        })
    }
}

impl Goodness {
    /// R²: 1 minus the ratio of the sum of squared residuals to the sum of squared deviations
    /// of the observations from their mean. Negative if the mean alone would fit better, which
    /// can happen to models without a constant term.
    #[must_use]
    pub fn r_squared(&self) -> f32 {
        1.0 - self.unexplained
    }

    /// `1 - R²`, with all its digits even if R² is so near 1 that an `f32` holds few of them:
    /// the relative error is at most about 3e-7, besides the error of the residuals.
    #[must_use]
    pub fn unexplained(&self) -> f32 {
        self.unexplained
    }

    /// Adjusted R², which divides the sums of squares by their degrees of freedom,
    /// `1 - (1 - R²) (n - 1) / (n - P)`, so that a further parameter raises it only if the fit
    /// improves enough. NaN or infinite without degrees of freedom.
    #[must_use]
    pub fn adjusted_r_squared(&self) -> f32 {
        let Goodness {
            unexplained,
            rows,
            parameters,
        } = self;
        1.0 - unexplained * ((rows - 1.0) / (rows - parameters))
    }

    /// The F statistic of the fit against a constant: the explained variation per parameter, of
    /// the `P - 1` other parameters, over the mean square of the residuals. For models with an
    /// additive constant among their parameters.
    #[must_use]
    pub fn f_statistic(&self) -> f32 {
        let Goodness {
            unexplained,
            rows,
            parameters,
        } = self;
        (1.0 - unexplained) / unexplained * ((rows - parameters) / (parameters - 1.0))
    }

    /// The probability of an F statistic at least as large if only the constant mattered and
    /// errors were normal.
    ///
    /// # Errors
    /// A model with one parameter, or no degrees of freedom.
    pub fn p_value(&self) -> Result<f32, InferenceError> {
        let distribution = FDistribution::new(self.parameters - 1.0, self.rows - self.parameters)?;
        Ok(distribution.survival(self.f_statistic()))
    }
}
