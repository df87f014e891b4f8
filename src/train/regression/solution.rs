//! The solution of a regression: coefficients in the units of the data, with standard errors.

use std::string::String;
use std::vec::Vec;

use super::ends::Ends;
use super::points::{Point, Recorded, Terms, arena_for};
use super::problem::{Row, Scales};
use super::symmetric::{self, Symmetric};
use crate::calibrate::{Curve, Scale, powers as powers_of};

/// A coefficient, in the units of the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Coefficient {
    /// The power of each input in the term; empty for the parameter of a formula.
    pub powers: Vec<usize>,
    /// The name of a formula's parameter; empty for other curves.
    pub name: String,
    /// The estimate.
    pub value: f64,
    /// The square root of the variance of the estimate; `None` if there are no more rows
    /// than parameters, or if the data do not determine the coefficient.
    pub standard_error: Option<f64>,
}

/// A prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Predicted {
    /// The value of the curve, in units of `y`.
    pub value: f64,
    /// The standard error of the curve at these inputs, in units of `y`.
    pub standard_error: Option<f64>,
    /// The standard deviation of the difference between a new `y` of weight 1 and the curve: the
    /// error of the reading and that of the curve. If standard deviations were given, this is
    /// the error of the curve alone, because the error of a new `y` is not known.
    pub of_a_reading: Option<f64>,
    /// Whether every input is in the range of the data.
    pub is_inside: bool,
}

/// The result of [`LeastSquares`](super::LeastSquares).
#[derive(Clone, Debug)]
pub struct Regression {
    pub(super) curve: Curve,
    pub(super) terms: Option<Terms>,
    pub(super) scales: Vec<Scale>,
    pub(super) output: Scale,
    pub(super) ranges: Vec<[f64; 2]>,
    /// The indices of the data rows whose weight is above 0.
    pub(super) used: Vec<usize>,
    pub(super) absolute: bool,
    pub(super) robust: Option<Scales>,
    pub(super) start: Vec<f64>,
    pub(super) rows: Vec<Row>,
    pub(super) weights: Vec<f64>,
    /// `(JᵀJ)⁻¹` of the weighted rows, with derivatives by the scaled parameters.
    pub(super) inverse: Option<Symmetric>,
    pub(super) params: Vec<f64>,
    pub(super) ends: Ends,
    pub(super) passes: u32,
    /// The scaled inputs, column by column.
    pub(super) x: Vec<Vec<f64>>,
    pub(super) y: Vec<f64>,
}

impl Regression {
    /// The reason why the solver ended.
    pub fn status(&self) -> &Ends {
        &self.ends
    }

    /// The number of passes of the solver over the rows.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// The curve.
    pub fn curve(&self) -> &Curve {
        &self.curve
    }

    /// The parameters of the curve, for scaled readings.
    pub fn params(&self) -> &[f64] {
        &self.params
    }

    /// The parameters from which the solver started, for scaled readings.
    pub fn start(&self) -> &[f64] {
        &self.start
    }

    /// The scale of each input.
    pub fn scales(&self) -> &[Scale] {
        &self.scales
    }

    /// The scale of `y`.
    pub fn output_scale(&self) -> Scale {
        self.output
    }

    /// The smallest and the largest value of each input.
    pub fn ranges(&self) -> &[[f64; 2]] {
        &self.ranges
    }

    /// The number of rows with a weight above 0.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The number of rows less the number of parameters.
    pub fn degrees_of_freedom(&self) -> usize {
        self.rows.len().saturating_sub(self.params.len())
    }

    /// The row of the data, counted from 0, and its residual in units of `y`, measured
    /// value less predicted value, for all rows with a weight above 0.
    pub fn residuals(&self) -> impl Iterator<Item = (usize, f64)> {
        let residuals = self.rows.iter().map(|row| row.residual);
        self.used.iter().copied().zip(residuals)
    }

    /// The sum of weighted squared residuals; χ² if standard deviations were given.
    pub fn sum_of_squares(&self) -> f64 {
        let rows = self.rows.iter().zip(&self.weights);
        rows.map(|(row, weight)| weight * row.residual * row.residual)
            .sum()
    }

    /// The standard deviation of the residuals, `√(sum of squares / degrees of freedom)`, in
    /// units of `y` for a weight of 1; `None` without degrees of freedom. If standard deviations
    /// were given, the result is a pure number, which is near 1 if they are right.
    pub fn residual_standard_deviation(&self) -> Option<f64> {
        let freedom = self.degrees_of_freedom();
        (freedom > 0).then(|| (self.sum_of_squares() / freedom as f64).sqrt())
    }

    /// The standard deviation of good residuals in a robust fit, 1.4826 times the median
    /// of the absolute residuals; `None` without [`robust`](super::LeastSquares::robust).
    pub fn robust_scale(&self) -> Option<f64> {
        self.robust.map(|robust| robust.good)
    }

    /// Returns whether standard errors follow from given standard deviations rather than from the
    /// residuals.
    pub fn has_sigma(&self) -> bool {
        self.absolute
    }

    /// R², the share of the weighted variance of `y` that the curve explains.
    pub fn r_squared(&self) -> f64 {
        let total: f64 = self.weights.iter().sum();
        let weighted = self.y.iter().zip(&self.weights);
        let mean = weighted.clone().map(|(y, w)| w * y).sum::<f64>() / total;
        let all: f64 = weighted.map(|(y, w)| w * (y - mean) * (y - mean)).sum();
        1.0 - self.sum_of_squares() / all
    }

    /// The variance of a row of weight 1.
    pub(super) fn variance(&self) -> Option<f64> {
        match (self.absolute, self.robust) {
            (true, _) => Some(1.0),
            (_, Some(robust)) => Some(robust.deviation * robust.deviation),
            _ => self.residual_standard_deviation().map(|s| s * s),
        }
    }

    /// The covariance of the scaled parameters.
    pub(super) fn scaled_covariance(&self) -> Option<Symmetric> {
        Some(self.inverse.clone()?.scaled(self.variance()?))
    }

    /// The coefficients of powers and products of inputs, the constant first, or the
    /// parameters of a formula; `None` for a network, whose single parameters have no
    /// meaning.
    pub fn coefficients(&self) -> Option<Vec<Coefficient>> {
        self.coefficients_about(&[])
    }

    /// [`coefficients`](Self::coefficients) of powers of the differences from an origin
    /// in each input. Inputs beyond the length of `origin` have the origin 0. The
    /// parameters of a formula do not change.
    pub fn coefficients_about(&self, origin: &[f64]) -> Option<Vec<Coefficient>> {
        let (matrix, names) = match (&self.terms, self.curve) {
            (Some(terms), _) => {
                let (matrix, powers) = self.to_powers(terms, origin);
                let names = powers.into_iter().map(|powers| (powers, String::new()));
                (Some(matrix), names.collect::<Vec<_>>())
            }
            (None, Curve::Function(_)) => {
                let names = self.ends.parameters.iter().cloned();
                (None, names.map(|name| (Vec::new(), name)).collect())
            }
            _ => return None,
        };
        let covariance = self.scaled_covariance();
        let (values, covariance) = match &matrix {
            None => (self.params.clone(), covariance),
            Some(rows) => {
                let values = rows.iter().map(|row| symmetric::dot(row, &self.params));
                (values.collect(), covariance.map(|c| c.transformed(rows)))
            }
        };
        let constant = |powers: &[usize]| {
            let is_constant = !powers.is_empty() && powers.iter().all(|power| *power == 0);
            if is_constant {
                self.output.offset.to_f64()
            } else {
                0.0
            }
        };
        let all = names.into_iter().zip(values).enumerate();
        let all = all.map(|(j, ((powers, name), value))| Coefficient {
            value: value + constant(&powers),
            powers,
            name,
            standard_error: covariance.as_ref().map(|c| c.at(j, j).max(0.0).sqrt()),
        });
        Some(all.collect())
    }

    /// The covariance of the [`coefficients`](Self::coefficients), row by row.
    pub fn covariance(&self) -> Option<Vec<Vec<f64>>> {
        let scaled = self.scaled_covariance()?;
        let covariance = match (&self.terms, self.curve) {
            (Some(terms), _) => scaled.transformed(&self.to_powers(terms, &[]).0),
            (None, Curve::Function(_)) => scaled,
            _ => return None,
        };
        Some(covariance.rows().map(<[f64]>::to_vec).collect())
    }

    /// Returns the matrix that converts parameters of terms to coefficients of powers in
    /// units of y, and the powers, the constant first.
    fn to_powers(&self, terms: &Terms, origin: &[f64]) -> (Vec<Vec<f64>>, Vec<Vec<usize>>) {
        let most = terms.most();
        // Expands, for each input and each degree, the Chebyshev polynomial of the scaled
        // input in powers of the difference from the origin.
        let expanded = self.scales.iter().enumerate().map(|(k, scale)| {
            let origin = origin.get(k).copied().unwrap_or(0.0);
            let factor = f64::from(scale.factor);
            let scaled = [(origin - scale.offset.to_f64()) * factor, factor];
            let of_degree = |degree: usize| {
                // The constant is the last parameter.
                let one = |k: usize| f64::from(u8::from(k == (degree + most) % (most + 1)));
                let params: Vec<f64> = (0..=most).map(one).collect();
                powers_of(&params, scaled).to_vec()
            };
            (0..=most).map(of_degree).collect()
        });
        let expanded: Vec<Vec<Vec<f64>>> = expanded.collect();
        let mut powers = terms.degrees.clone();
        powers.rotate_right(1);
        let unit = f64::from(self.output.factor);
        let row = |powers: &Vec<usize>| -> Vec<f64> {
            let of_term = |degrees: &Vec<usize>| -> f64 {
                let factors = powers.iter().zip(degrees).zip(&expanded);
                let factor = |((power, degree), expanded): ((&usize, &usize), &Vec<Vec<f64>>)| {
                    let polynomial = expanded.get(*degree);
                    let coefficient = polynomial.and_then(|polynomial| polynomial.get(*power));
                    coefficient.copied().unwrap_or(0.0)
                };
                factors.map(factor).product::<f64>() / unit
            };
            terms.degrees.iter().map(of_term).collect()
        };
        (powers.iter().map(row).collect(), powers)
    }

    /// Predicts `y` for inputs in their units, with standard errors except for networks.
    pub fn predict(&self, x: &[f64]) -> Predicted {
        let scaled = x
            .iter()
            .zip(&self.scales)
            .map(|(x, scale)| (x - scale.offset.to_f64()) * f64::from(scale.factor));
        let scaled: Vec<f64> = scaled.collect();
        let mut d = std::vec![0.0; self.params.len()];
        let value = self.with_point(|point| point.at(&scaled, &self.params, &mut d));
        let unit = f64::from(self.output.factor);
        for d in &mut d {
            *d /= unit;
        }
        let variance = self.scaled_covariance().map(|c| c.form(&d).max(0.0));
        let own = match (self.absolute, self.robust) {
            (true, _) => Some(0.0),
            (_, Some(robust)) => Some(robust.good * robust.good),
            _ => self.variance(),
        };
        let ranges = x.iter().zip(&self.ranges);
        Predicted {
            value: value / unit + self.output.offset.to_f64(),
            standard_error: variance.map(f64::sqrt),
            of_a_reading: variance.zip(own).map(|(a, b)| (a + b).sqrt()),
            is_inside: ranges.clone().all(|(x, [low, high])| low <= x && x <= high),
        }
    }

    pub(super) fn with_point<T>(&self, f: impl FnOnce(&dyn Point) -> T) -> T {
        match (&self.terms, self.curve) {
            (Some(terms), _) => f(terms),
            (None, Curve::Function(formula)) => f(formula),
            _ => {
                let mut arena = arena_for(&self.curve);
                let tape = arena.tape();
                f(&Recorded::new(&tape, &self.curve))
            }
        }
    }
}
