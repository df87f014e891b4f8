//! Least squares for calibrations: coefficients in the units of the data, and how sure they
//! are.
//!
//! [Levenberg–Marquardt](crate::least_squares) finds the parameters in `f32`, as a board
//! would. Data, residuals and covariance are `f64` here: what is printed has the digits that
//! the data have.

mod diagnostics;
mod error;
mod points;
mod problem;
mod start;
mod symmetric;
mod text;

use std::string::{String, ToString};
use std::vec::Vec;

use crate::calibrate::{Curve, Scale, ScaleError, TwoFloat, distinct, powers as powers_of};
use crate::least_squares::{RobustLoss, Status};
pub use diagnostics::{Curvature, Outlier, Sufficient};
pub use error::RegressionError;
use points::{Point, Recorded, Terms, arena_for};
use problem::{Rows, Scales};
use symmetric::Symmetric;

/// The most parameters that [`LeastSquares`] takes.
pub const MAX_PARAMETERS: usize = 128;
/// The most of a robust fit.
const MAX_ROBUST: usize = 16;

/// Data and a curve to be fitted to them by least squares.
///
/// ```
/// use baregrad::train::{Curve, LeastSquares};
///
/// let t_u = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
/// let t_c = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
/// let line = LeastSquares::new(&Curve::Linear, &[&t_u], &t_c).run()?;
/// assert!(line.status().is_converged());
/// let [b, w] = &line.coefficients().unwrap()[..] else { panic!() };
/// assert!((w.value - 0.536772).abs() < 1e-6 && (b.value + 17.304786).abs() < 2e-6);
/// assert!((w.standard_error.unwrap() - 0.035539).abs() < 1e-6);
/// # Ok::<(), baregrad::train::RegressionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LeastSquares<'d> {
    curve: Curve,
    x: Vec<&'d [f64]>,
    y: &'d [f64],
    known: Known<'d>,
    robust: Option<RobustLoss>,
}

/// The known uncertainty of each `y`.
#[derive(Clone, Copy, Debug)]
enum Known<'d> {
    Nothing,
    Weights(&'d [f64]),
    Sigma(&'d [f64]),
}

impl<'d> LeastSquares<'d> {
    /// The columns of readings, and what they mean. With several columns, a
    /// [`Linear`](Curve::Linear) curve is linear in all of them, and a
    /// [`Poly`](Curve::Poly) has all products of them up to its degree.
    pub fn new(curve: &Curve, x: &[&'d [f64]], y: &'d [f64]) -> Self {
        LeastSquares {
            curve: *curve,
            x: x.to_vec(),
            y,
            known: Known::Nothing,
            robust: None,
        }
    }

    /// Has rows that lie far off count for less, by this loss and a scale that is estimated from
    /// the residuals: see [`RobustFit`](crate::least_squares::RobustFit). Standard errors are
    /// those of an M-estimator, from the residuals, and [`sigma`](Self::sigma) only weighs.
    ///
    /// ```
    /// use baregrad::least_squares::RobustLoss;
    /// use baregrad::train::{Curve, LeastSquares};
    ///
    /// let x = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    /// let y = [0.1, 0.9, 2.1, 53.0, 3.9, 5.1, 5.9]; // the fourth is off by 50
    /// let line = LeastSquares::new(&Curve::Linear, &[&x], &y).robust(RobustLoss::Tukey).run()?;
    /// let [_, w] = &line.coefficients().unwrap()[..] else { panic!() };
    /// assert!((w.value - 1.0).abs() < 0.02);
    /// let outliers = line.outliers();
    /// assert!(outliers.len() == 1 && outliers[0].row == 3);
    /// # Ok::<(), baregrad::train::RegressionError>(())
    /// ```
    #[must_use]
    pub fn robust(self, loss: RobustLoss) -> Self {
        LeastSquares {
            robust: Some(loss),
            ..self
        }
    }

    /// How many parameters a curve of so many inputs has.
    ///
    /// ```
    /// use baregrad::train::{Curve, LeastSquares};
    ///
    /// assert_eq!(LeastSquares::parameters(&Curve::Poly(2), 1), 3);
    /// assert_eq!(LeastSquares::parameters(&Curve::Poly(2), 2), 6); // 1, t, p, t², t p, p²
    /// ```
    pub fn parameters(curve: &Curve, inputs: usize) -> usize {
        match curve {
            Curve::Linear => Terms::count(inputs, 1),
            Curve::Poly(_) => Terms::count(inputs, curve.inputs()),
            curve => curve.param_count(),
        }
    }

    /// A weight for each row, in inverse proportion to the variance of its `y`: only ratios of
    /// weights matter, and how large errors are is taken from the residuals. A weight of 0
    /// leaves a row out.
    #[must_use]
    pub fn weights(self, weights: &'d [f64]) -> Self {
        LeastSquares {
            known: Known::Weights(weights),
            ..self
        }
    }

    /// The standard deviation of each `y`, in its unit. Standard errors are those that follow
    /// from it, however large the residuals are: `absolute_sigma=True` of scipy's `curve_fit`.
    #[must_use]
    pub fn sigma(self, sigma: &'d [f64]) -> Self {
        LeastSquares {
            known: Known::Sigma(sigma),
            ..self
        }
    }

    /// Fits.
    ///
    /// # Errors
    /// Data that the curve cannot be fitted to. A fit that does not converge is none: its
    /// [`status`](Regression::status) says why.
    pub fn run(&self) -> Result<Regression, RegressionError> {
        let inputs = self.x.len();
        let terms = match (inputs, &self.curve) {
            (_, Curve::Linear) => Some((inputs, 1)),
            (_, curve @ Curve::Poly(_)) => Some((inputs, curve.inputs())),
            (1, _) => None,
            _ => {
                let curve = self.curve;
                return Err(RegressionError::Inputs { curve, inputs });
            }
        };
        let parameters = Self::parameters(&self.curve, inputs);
        if parameters > MAX_PARAMETERS {
            return Err(RegressionError::Parameters {
                found: parameters,
                most: MAX_PARAMETERS,
            });
        }
        if self.robust.is_some() && parameters > MAX_ROBUST {
            return Err(RegressionError::Parameters {
                found: parameters,
                most: MAX_ROBUST,
            });
        }
        let terms = terms.map(|(inputs, degree)| Terms::new(inputs, degree));
        let (weights, absolute) = self.checked_weights()?;
        let used: Vec<usize> = (0..self.y.len())
            .filter(|row| weights.get(*row).is_some_and(|w| *w > 0.0))
            .collect();
        if used.len() < parameters {
            return Err(RegressionError::TooFew {
                needed: parameters,
                found: used.len(),
            });
        }
        let of = |column: &[f64]| -> Vec<f64> {
            used.iter()
                .filter_map(|row| column.get(*row).copied())
                .collect()
        };
        let columns: Vec<Vec<f64>> = self.x.iter().map(|column| of(column)).collect();
        let y = of(self.y);
        let weights = of(&weights);

        let scale = |values: &[f64], scaling, input| {
            let pairs = values.iter().map(|x| TwoFloat::from_f64(*x));
            Scale::fit(pairs, scaling).map_err(|error| RegressionError::Scale { input, error })
        };
        let scales = columns.iter().enumerate();
        let scales = scales.map(|(k, column)| {
            // A function changes no scale, and would not notice.
            let first = column.first().copied().unwrap_or(f64::NAN);
            match column.iter().all(|x| *x == first) {
                true => Err(RegressionError::Scale {
                    input: Some(k),
                    error: ScaleError::Constant {
                        value: TwoFloat::from_f64(first),
                    },
                }),
                false => scale(column, self.curve.scaling(), Some(k)),
            }
        });
        let scales: Vec<Scale> = scales.collect::<Result<_, _>>()?;
        let output = scale(&y, self.curve.output_scaling(), None)?;

        let scaled = |values: &[f64], scale: Scale| -> Vec<f64> {
            let (offset, factor) = (scale.offset.to_f64(), f64::from(scale.factor));
            values.iter().map(|x| (x - offset) * factor).collect()
        };
        let scaled_columns = columns.iter().zip(&scales).map(|(x, s)| scaled(x, *s));
        let scaled_columns: Vec<Vec<f64>> = scaled_columns.collect();
        if let ([column], Some(needed)) = (&scaled_columns[..], self.needed(parameters)) {
            let found = distinct(column.iter().map(|x| *x as f32), needed);
            if found < needed {
                return Err(RegressionError::Alike { needed, found });
            }
        }
        let scaled_y = scaled(&y, output);
        // Weighted residuals in the units of y, so that sums of squares are those of the data.
        let per_scaled = 1.0 / f64::from(output.factor);
        let roots: Vec<f64> = weights.iter().map(|w| w.sqrt() * per_scaled).collect();

        let mut arena = arena_for(&self.curve);
        let tape = arena.tape();
        let recorded;
        let point: &dyn Point = match (&terms, self.curve) {
            (Some(terms), _) => terms,
            (None, Curve::Function(formula)) => formula,
            _ => {
                recorded = Recorded::new(&tape, &self.curve);
                &recorded
            }
        };
        let rows = Rows {
            point,
            x: &scaled_columns,
            y: &scaled_y,
            roots: &roots,
            parameters,
            linear: terms.is_some(),
            robust: self.robust,
        };
        let start = self.start(&columns, &y, &weights, parameters)?;
        let solved = rows.solve(&start);
        Ok(Regression {
            curve: self.curve,
            terms,
            scales,
            output,
            ranges: columns.iter().map(|column| range(column)).collect(),
            used,
            absolute: absolute && self.robust.is_none(),
            robust: solved.robust,
            start,
            rows: rows_in_units(solved.rows, per_scaled),
            weights,
            inverse: solved.inverse,
            params: solved.params,
            ends: Ends {
                status: solved.status,
                parameters: self.names(),
            },
            passes: solved.passes,
            x: scaled_columns,
            y,
        })
    }

    /// How many readings must differ, if it can be said.
    fn needed(&self, parameters: usize) -> Option<usize> {
        match self.curve {
            Curve::Mlp { .. } => None,
            _ => Some(parameters),
        }
    }

    fn names(&self) -> Vec<String> {
        match self.curve {
            Curve::Function(formula) => {
                let names = formula.parameters().iter();
                names.map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        }
    }

    fn start(
        &self,
        columns: &[Vec<f64>],
        y: &[f64],
        weights: &[f64],
        parameters: usize,
    ) -> Result<Vec<f64>, RegressionError> {
        if let (Curve::Function(formula), Some(x)) = (&self.curve, columns.first()) {
            let rows = x.iter().zip(y).zip(weights);
            let samples: Vec<_> = rows.map(|((x, y), w)| (*x, *y, *w)).collect();
            if let Some(found) = start::start(formula.name(), &samples) {
                return found.map_err(RegressionError::Start);
            }
        }
        let mut start = std::vec![0.0; parameters];
        if columns.len() == 1 {
            self.curve.start(&mut start);
        }
        Ok(start.into_iter().map(f64::from).collect())
    }

    /// Weights that are finite and not negative, and whether they say how large errors are.
    fn checked_weights(&self) -> Result<(Vec<f64>, bool), RegressionError> {
        let rows = self.y.len();
        let columns = self.x.iter().map(|column| column.len());
        let known = match self.known {
            Known::Nothing => rows,
            Known::Weights(values) | Known::Sigma(values) => values.len(),
        };
        if let Some(found) = columns.chain([known]).find(|found| *found != rows) {
            return Err(RegressionError::Lengths {
                expected: rows,
                found,
            });
        }
        for column in self.x.iter().copied().chain([self.y]) {
            if let Some(row) = column.iter().position(|x| !x.is_finite()) {
                return Err(RegressionError::NotFinite { row });
            }
        }
        let checked = |values: &[f64], is_sigma: bool| {
            let bad = |x: &f64| !(x.is_finite() && (*x > 0.0 || *x == 0.0 && !is_sigma));
            match values.iter().position(bad) {
                Some(row) => Err(RegressionError::Weight {
                    row,
                    found: values.get(row).copied().unwrap_or(f64::NAN),
                    is_sigma,
                }),
                None => Ok(()),
            }
        };
        Ok(match self.known {
            Known::Nothing => (std::vec![1.0; rows], false),
            Known::Weights(weights) => {
                checked(weights, false)?;
                (weights.to_vec(), false)
            }
            Known::Sigma(sigma) => {
                checked(sigma, true)?;
                (sigma.iter().map(|s| 1.0 / (s * s)).collect(), true)
            }
        })
    }
}

/// Residuals in the unit of y.
fn rows_in_units(mut rows: Vec<Row>, unit: f64) -> Vec<Row> {
    for row in &mut rows {
        row.residual *= unit;
    }
    rows
}

fn range(values: &[f64]) -> [f64; 2] {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    [low, high]
}

/// A row at the solution.
#[derive(Clone, Debug)]
struct Row {
    /// The measured value less the predicted one, in units of y.
    residual: f64,
    /// The derivatives of the weighted prediction.
    derivatives: Vec<f64>,
}

/// Why the solver ended, in words that name parameters.
#[derive(Clone, Debug)]
pub struct Ends {
    status: Status,
    parameters: Vec<String>,
}

impl Ends {
    /// The solver's own word.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether the parameters are those of a minimum.
    pub fn is_converged(&self) -> bool {
        matches!(self.status, Status::Converged | Status::Exact)
    }

    /// Whether they are near a minimum at least: that of a valley so flat that some of them
    /// are hardly determined.
    pub fn is_usable(&self) -> bool {
        self.is_converged() || matches!(self.status, Status::IllConditioned { .. })
    }
}

impl core::fmt::Display for Ends {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let name = |parameter: usize| match self.parameters.get(parameter) {
            Some(name) => name.clone(),
            None => std::format!("{} of the scaled curve", parameter + 1),
        };
        match self.status {
            Status::IllConditioned { parameter } => write!(
                f,
                "not converged: parameter {} is hardly told apart from those before it",
                name(parameter)
            ),
            Status::Singular { parameter } => write!(
                f,
                "not converged: the data say nothing about parameter {}",
                name(parameter)
            ),
            Status::NotFinite { row } => write!(
                f,
                "not converged: the curve is not finite at the start, in row {}",
                row + 1
            ),
            status => status.fmt(f),
        }
    }
}

/// A coefficient, in the units of the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Coefficient {
    /// The power of each input that it multiplies; none for the parameter of a function.
    pub powers: Vec<usize>,
    /// The name of a function's parameter, else nothing.
    pub name: String,
    /// The estimate.
    pub value: f64,
    /// The root of its variance; `None` if there are no more rows than parameters, or the data
    /// do not determine it.
    pub standard_error: Option<f64>,
}

/// A prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Predicted {
    /// The curve, in the units of `y`.
    pub value: f64,
    /// How far off the curve is.
    pub standard_error: Option<f64>,
    /// How far from the curve another reading would lie, of weight 1: the errors of both. If
    /// standard deviations were given it is that of the curve, as nobody knows the reading's.
    pub of_a_reading: Option<f64>,
    /// Whether every input is in the range of the data.
    pub is_inside: bool,
}

/// The result of [`LeastSquares`].
#[derive(Clone, Debug)]
pub struct Regression {
    curve: Curve,
    terms: Option<Terms>,
    scales: Vec<Scale>,
    output: Scale,
    ranges: Vec<[f64; 2]>,
    /// The rows of the data that have a weight.
    used: Vec<usize>,
    absolute: bool,
    robust: Option<Scales>,
    start: Vec<f64>,
    rows: Vec<Row>,
    weights: Vec<f64>,
    /// `(JᵀJ)⁻¹` of the weighted rows, by the scaled parameters.
    inverse: Option<Symmetric>,
    params: Vec<f64>,
    ends: Ends,
    passes: u32,
    /// Scaled.
    x: Vec<Vec<f64>>,
    y: Vec<f64>,
}

impl Regression {
    /// Why it ended.
    pub fn status(&self) -> &Ends {
        &self.ends
    }

    /// How often the solver went through the rows.
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

    /// Where the solver started: the same kind of numbers.
    pub fn start(&self) -> &[f64] {
        &self.start
    }

    /// The scale of each input.
    pub fn scales(&self) -> &[Scale] {
        &self.scales
    }

    /// The scale of what they mean.
    pub fn output_scale(&self) -> Scale {
        self.output
    }

    /// The least and the largest of each input.
    pub fn ranges(&self) -> &[[f64; 2]] {
        &self.ranges
    }

    /// How many rows have a weight.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Rows without those that the parameters account for.
    pub fn degrees_of_freedom(&self) -> usize {
        self.rows.len().saturating_sub(self.params.len())
    }

    /// The measured value less the predicted one, in units of `y`, with the row of the data,
    /// counted from 0: for all rows that have a weight.
    pub fn residuals(&self) -> impl Iterator<Item = (usize, f64)> {
        let residuals = self.rows.iter().map(|row| row.residual);
        self.used.iter().copied().zip(residuals)
    }

    /// The sum of squared residuals times weights; with standard deviations, χ².
    pub fn sum_of_squares(&self) -> f64 {
        let rows = self.rows.iter().zip(&self.weights);
        rows.map(|(row, weight)| weight * row.residual * row.residual)
            .sum()
    }

    /// The standard deviation of residuals, `√(sum of squares / degrees of freedom)`, in units
    /// of `y` for a weight of 1; `None` without degrees of freedom. With standard deviations it
    /// is a pure number, 1 if they are right.
    pub fn residual_standard_deviation(&self) -> Option<f64> {
        let freedom = self.degrees_of_freedom();
        (freedom > 0).then(|| (self.sum_of_squares() / freedom as f64).sqrt())
    }

    /// The standard deviation of good residuals, of a robust fit: 1.4826 times the median of
    /// the absolute residuals.
    pub fn robust_scale(&self) -> Option<f64> {
        self.robust.map(|robust| robust.good)
    }

    /// Whether standard deviations were given, rather than residuals taken for them.
    pub fn has_sigma(&self) -> bool {
        self.absolute
    }

    /// The share of the weighted variance of `y` that the curve explains.
    pub fn r_squared(&self) -> f64 {
        let total: f64 = self.weights.iter().sum();
        let weighted = self.y.iter().zip(&self.weights);
        let mean = weighted.clone().map(|(y, w)| w * y).sum::<f64>() / total;
        let all: f64 = weighted.map(|(y, w)| w * (y - mean) * (y - mean)).sum();
        1.0 - self.sum_of_squares() / all
    }

    /// The variance of rows of weight 1.
    fn variance(&self) -> Option<f64> {
        match (self.absolute, self.robust) {
            (true, _) => Some(1.0),
            (_, Some(robust)) => Some(robust.deviation * robust.deviation),
            _ => self.residual_standard_deviation().map(|s| s * s),
        }
    }

    /// The covariance of the scaled parameters.
    fn scaled_covariance(&self) -> Option<Symmetric> {
        Some(self.inverse.clone()?.scaled(self.variance()?))
    }

    /// The coefficients of powers and products of inputs, the constant first, or the
    /// parameters of a function; `None` for a network, whose parameters mean nothing by
    /// themselves.
    pub fn coefficients(&self) -> Option<Vec<Coefficient>> {
        self.coefficients_about(&[])
    }

    /// [`coefficients`](Self::coefficients) of the powers of differences from an origin in each
    /// input: 0 for inputs beyond those given. The parameters of a function stay as they are.
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

    /// The matrix that makes coefficients of powers, in the unit of y, from parameters of
    /// terms, and the powers, the constant first.
    fn to_powers(&self, terms: &Terms, origin: &[f64]) -> (Vec<Vec<f64>>, Vec<Vec<usize>>) {
        let most = terms.most();
        // Of each input, and each degree: the Chebyshev polynomial of the scaled input in
        // powers of the difference from the origin.
        let expanded = self.scales.iter().enumerate().map(|(k, scale)| {
            let origin = origin.get(k).copied().unwrap_or(0.0);
            let factor = f64::from(scale.factor);
            let scaled = [(origin - scale.offset.to_f64()) * factor, factor];
            let of_degree = |degree: usize| {
                // The parameter of the constant is the last.
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

    /// Predicts what inputs mean, and how sure that is; networks without errors.
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

    fn with_point<T>(&self, f: impl FnOnce(&dyn Point) -> T) -> T {
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
