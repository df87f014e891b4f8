//! Warnings from the residuals: outliers, terms that the data do not support, and a bend
//! that the curve does not have.
//!
//! Each diagnostic computes the probability that normal noise alone would look like the data.

use std::vec::Vec;

use super::problem::Row;
use super::solution::Regression;
use super::symmetric::{Symmetric, dot};
use crate::calibrate::chebyshev;
use crate::least_squares::{FDistribution, Status, StudentT};

/// The largest probability, for all rows together (Bonferroni's correction), with which
/// noise alone would show an outlier: one data set out of 20.
const OUTLIER: f64 = 0.05;
/// The least number of standard deviations of an outlier in a robust fit, because the
/// scale estimated from few rows is rough.
const LEAST_OFF: f64 = 3.5;
/// The largest probability with which noise alone would look like a supported term: one
/// fit out of 20.
const SUPPORTED: f64 = 0.05;
/// The largest probability with which noise alone may be called a bend: one fit out of
/// 250, as for [`Verdict`](crate::train::Verdict).
const BENT: f64 = 0.004;
/// The least share of the sum of squares that a bend must explain.
const SHARE: f64 = 0.2;
/// Residuals of at most this share of the range of the data are rounding errors.
const TRIFLE: f64 = 1e-7;

/// A row that lies far from the curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlier {
    /// The row of the data, counted from 0.
    pub row: usize,
    /// The measured value less the predicted one, in units of `y`.
    pub residual: f64,
    /// The externally studentised residual: the residual in standard deviations that it
    /// would have if the curve were fitted without this row.
    pub deviations: f64,
}

/// A degree that suffices for the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sufficient {
    /// The degree; 0 if the data do not show that `y` depends on the inputs.
    pub degree: usize,
    /// The probability that noise alone explains as much as the terms above this degree.
    pub probability: f64,
}

/// A bend in the residuals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curvature {
    /// The share of the sum of squares that a few additional smooth terms explain.
    pub share: f64,
    /// The probability that noise alone looks like this bend.
    pub probability: f64,
}

/// The probability that noise alone gives a larger F; 1 if it cannot be computed. A
/// `denominator` of `None` stands for infinitely many degrees of freedom.
fn survival_of_f(f: f64, numerator: usize, denominator: Option<usize>) -> f64 {
    let denominator = denominator.map_or(f32::INFINITY, |d| d as f32);
    let survival = FDistribution::new(numerator as f32, denominator);
    survival.map_or(1.0, |of| of.survival(f as f32).into())
}

impl Regression {
    /// The half-width of a confidence interval of this probability, in standard errors: a
    /// quantile of Student's t. `None` without degrees of freedom, or if `probability` is
    /// not between 0 and 1.
    pub fn deviations_of_interval(&self, probability: f64) -> Option<f64> {
        let freedom = match (self.has_sigma(), self.degrees_of_freedom()) {
            (true, _) => f32::INFINITY,
            (false, freedom) => freedom as f32,
        };
        let t = StudentT::new(freedom).ok()?;
        let tail = (1.0 - probability) / 2.0;
        t.upper_quantile(tail as f32).ok().map(f64::from)
    }

    /// Returns whether the residuals are only rounding errors.
    fn is_exact(&self) -> bool {
        let most = self
            .rows
            .iter()
            .fold(0.0, |most: f64, row| most.max(row.residual.abs()));
        let [low, high] = super::range(&self.y);
        self.ends.status == Status::Exact || most <= TRIFLE * (high - low)
    }

    /// Rows so far from the curve through the other rows that noise alone would show such
    /// a row in at most one data set out of 20. A robust fit measures the distance by the
    /// scale of good residuals.
    pub fn outliers(&self) -> Vec<Outlier> {
        let freedom = self.degrees_of_freedom();
        if let Some(robust) = &self.robust {
            return self.beyond(robust.good);
        }
        let (Some(inverse), true) = (&self.inverse, freedom > 1) else {
            return Vec::new();
        };
        if self.is_exact() {
            return Vec::new();
        }
        let all = self.sum_of_squares();
        let rows = self.rows.iter().zip(&self.weights).zip(&self.used);
        let rows = rows.filter_map(
            |(
                (
                    Row {
                        residual,
                        derivatives,
                    },
                    weight,
                ),
                row,
            )| {
                let own = 1.0 - inverse.form(derivatives);
                // A row that alone determines a parameter has no residual: the curve goes
                // through it.
                if own < 1e-9 {
                    return None;
                }
                let square = weight * residual * residual / own;
                let (variance, t) = match self.has_sigma() {
                    true => (1.0, StudentT::new(f32::INFINITY)),
                    false => {
                        let freedom = freedom as f64 - 1.0;
                        let without = (all - square).max(1e-12 * all) / freedom;
                        (without, StudentT::new(freedom as f32))
                    }
                };
                let deviations = (square / variance).sqrt();
                let probability = 2.0 * f64::from(t.ok()?.survival(deviations as f32));
                let is_off = probability * (self.rows.len() as f64) < OUTLIER;
                is_off.then_some(Outlier {
                    row: *row,
                    residual: *residual,
                    deviations: deviations.copysign(*residual),
                })
            },
        );
        rows.collect()
    }

    /// Rows that lie far off in units of `scale`, which outliers do not influence.
    fn beyond(&self, scale: f64) -> Vec<Outlier> {
        let tail = OUTLIER / 2.0 / self.rows.len() as f64;
        let limit = StudentT::new(self.degrees_of_freedom() as f32)
            .and_then(|t| t.upper_quantile(tail as f32))
            .map_or(f64::INFINITY, f64::from);
        let rows = self.rows.iter().zip(&self.weights).zip(&self.used);
        let rows = rows.map(|((Row { residual, .. }, weight), row)| Outlier {
            row: *row,
            residual: *residual,
            deviations: residual * weight.sqrt() / scale,
        });
        rows.filter(|outlier| outlier.deviations.abs() > limit.max(LEAST_OFF))
            .collect()
    }

    /// The degree that suffices, if it is less than the curve's. From the highest degree
    /// down, a degree is dropped if its terms explain no more than noise would (a partial
    /// F test at 5 %). `None` if the data support all degrees, if there are no degrees of
    /// freedom, or if the curve has no degree.
    pub fn sufficient_degree(&self) -> Option<Sufficient> {
        let terms = self.terms.as_ref()?;
        let covariance = self.inverse.as_ref()?;
        let freedom = self.degrees_of_freedom();
        if freedom == 0 || self.is_exact() {
            return None;
        }
        let most = terms.most();
        // The reduction of the sum of squares by all terms above `degree`, and the number
        // of these terms.
        let taken = |degree: usize| -> Option<(f64, usize)> {
            let above: Vec<usize> = (0..terms.degrees.len())
                .filter(|term| terms.degree(*term) > degree)
                .collect();
            let params = above
                .iter()
                .filter_map(|term| self.params.get(*term).copied());
            let params: Vec<f64> = params.collect();
            let part = covariance.part(&above).inverse()?;
            Some((part.form(&params), above.len()))
        };
        let left = self.sum_of_squares();
        let (mut above, mut count) = (0.0, 0);
        let mut sufficient = None;
        for degree in (0..most).rev() {
            let (with_this, terms_of_all) = taken(degree)?;
            let terms_of_this = terms_of_all - count;
            let freedom = freedom + count;
            let variance = match (self.has_sigma(), self.robust) {
                (true, _) => 1.0,
                (_, Some(robust)) => robust.deviation * robust.deviation,
                _ => (left + above) / freedom as f64,
            };
            let f = (with_this - above).max(0.0) / terms_of_this as f64 / variance;
            let denominator = (!self.has_sigma()).then_some(freedom);
            let probability = survival_of_f(f, terms_of_this, denominator);
            if probability < SUPPORTED {
                break;
            }
            (above, count) = (with_this, terms_of_all);
            sufficient = Some(Sufficient {
                degree,
                probability,
            });
        }
        sufficient
    }

    /// Finds a bend in the residuals along one of the inputs that small changes of the
    /// parameters do not explain: an F test of two additional smooth terms for each input.
    pub fn curvature(&self) -> Option<Curvature> {
        let terms = self.terms.as_ref().map_or(0, |terms| terms.most());
        let inverse = self.inverse.as_ref()?;
        // A robust fit has no such test, because it would take outliers for a bend.
        if self.is_exact() || self.robust.is_some() {
            return None;
        }
        let roots: Vec<f64> = self.weights.iter().map(|w| w.sqrt()).collect();
        let residuals: Vec<f64> = self
            .rows
            .iter()
            .zip(&roots)
            .map(|(row, root)| row.residual * root)
            .collect();
        let mut basis: Vec<Vec<f64>> = Vec::new();
        for (column, degree) in self
            .x
            .iter()
            .flat_map(|column| [(column, terms.max(1) + 1), (column, terms.max(1) + 2)])
        {
            let [low, high] = super::range(column);
            let unit = |x: &f64| (2.0 * x - low - high) / (high - low);
            let values = column.iter().zip(&roots).map(|(x, root)| {
                root * core::iter::once(1.0)
                    .chain(chebyshev(1.0, unit(x)))
                    .nth(degree)
                    .unwrap_or(0.0)
            });
            let values: Vec<f64> = values.collect();
            let size = dot(&values, &values);
            let rest = orthogonal(&values, &self.rows, inverse, &basis);
            let length = dot(&rest, &rest);
            // Skips a term that the curve already contains.
            if length > 1e-6 * size {
                basis.push(rest.iter().map(|x| x / length.sqrt()).collect());
            }
        }
        let all = dot(&residuals, &residuals);
        let explained: f64 = basis.iter().map(|b| dot(b, &residuals).powi(2)).sum();
        let freedom = self.degrees_of_freedom().checked_sub(basis.len())?;
        if freedom == 0 || basis.is_empty() {
            return None;
        }
        let f = explained / basis.len() as f64 / ((all - explained) / freedom as f64);
        let probability = survival_of_f(f, basis.len(), Some(freedom));
        let share = explained / all;
        let is_bent = probability < BENT && share > SHARE;
        is_bent.then_some(Curvature { share, probability })
    }
}

/// The part of a column that neither the columns of the Jacobian nor those of the basis explain.
fn orthogonal(column: &[f64], rows: &[Row], inverse: &Symmetric, basis: &[Vec<f64>]) -> Vec<f64> {
    let mut rest = column.to_vec();
    // Removes twice, because rounding errors of the first removal leave a remainder.
    for _ in 0..2 {
        let count = rows.first().map_or(0, |row| row.derivatives.len());
        let mut right = std::vec![0.0; count];
        for (row, x) in rows.iter().zip(&rest) {
            for (to, d) in right.iter_mut().zip(&row.derivatives) {
                *to += d * x;
            }
        }
        let share = inverse.times(&right);
        for (x, row) in rest.iter_mut().zip(rows) {
            *x -= dot(&share, &row.derivatives);
        }
        for b in basis {
            let share = dot(b, &rest);
            for (x, b) in rest.iter_mut().zip(b) {
                *x -= share * b;
            }
        }
    }
    rest
}
