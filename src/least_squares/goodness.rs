//! How much of the observations' variation a fit accounts for.

use super::inference::InferenceError;
use super::{FDistribution, Solution};
use crate::function::TwoFloat;

/// How well a fit accounts for what was observed: see [`Solution::goodness`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goodness {
    unexplained: f32,
    rows: f32,
    parameters: f32,
}

impl<const P: usize> Solution<P> {
    /// How much of the variation of the observations `y`, `[n]`, the fit accounts for; with
    /// the standard deviations `sigma`, `[n]`, if residuals were divided by such, or `&[]`.
    ///
    /// Variation is the sum of squares about the mean, both weighted by `1 / sigma²` if there
    /// are such. It is summed in pairs, so that also an R² of 0.999999 tells how much is
    /// missing.
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
    /// Another number of observations or standard deviations than there were rows, or
    /// observations that are all equal or not finite.
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
        // Divided by the largest weight, whose square may be no number.
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
        // NaN where nothing varies or something is no number.
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
    /// R²: 1 less the sum of squared residuals over that of the observations about their
    /// mean, the part of the variation that is accounted for. Negative if the mean alone
    /// would be closer, which models without a constant may bring about.
    #[must_use]
    pub fn r_squared(&self) -> f32 {
        1.0 - self.unexplained
    }

    /// `1 - R²`, with all digits also where R² is so near 1 that `f32` tells few: off by at
    /// most some 3e-7 of itself, besides what the residuals are off by.
    #[must_use]
    pub fn unexplained(&self) -> f32 {
        self.unexplained
    }

    /// Adjusted R²: of mean squares by degrees of freedom, `1 - (1 - R²) (n - 1) / (n - P)`, so
    /// that a further parameter must be worth it. NaN or infinite without degrees of freedom.
    #[must_use]
    pub fn adjusted_r_squared(&self) -> f32 {
        let Goodness {
            unexplained,
            rows,
            parameters,
        } = self;
        1.0 - unexplained * ((rows - 1.0) / (rows - parameters))
    }

    /// The F statistic of the fit against a constant: the variation accounted for by each of
    /// the `P - 1` other parameters over the mean square of residuals. For models one of whose
    /// parameters is a constant that is added.
    #[must_use]
    pub fn f_statistic(&self) -> f32 {
        let Goodness {
            unexplained,
            rows,
            parameters,
        } = self;
        (1.0 - unexplained) / unexplained * ((rows - parameters) / (parameters - 1.0))
    }

    /// The probability of at least such an F statistic if only the constant mattered and errors
    /// were normal.
    ///
    /// # Errors
    /// A model of one parameter, or no degrees of freedom.
    pub fn p_value(&self) -> Result<f32, InferenceError> {
        let distribution = FDistribution::new(self.parameters - 1.0, self.rows - self.parameters)?;
        Ok(distribution.survival(self.f_statistic()))
    }
}
