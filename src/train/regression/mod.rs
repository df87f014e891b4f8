//! Least squares for calibrations: coefficients in the units of the data, with standard errors.
//!
//! [Levenberg–Marquardt](crate::least_squares) finds the parameters in `f32`, as on a
//! board. Data, residuals and covariance are `f64` here, so that printed numbers have as
//! many digits as the data.

mod diagnostics;
mod ends;
mod error;
mod points;
mod problem;
mod solution;
mod start;
mod symmetric;
mod text;

use std::string::{String, ToString};
use std::vec::Vec;

use crate::calibrate::{Curve, Multivariate, Scale, ScaleError, TwoFloat, distinct};
use crate::least_squares::RobustLoss;
pub use diagnostics::{Curvature, Outlier, Sufficient};
pub use ends::Ends;
pub use error::RegressionError;
use points::{Point, Recorded, Terms, arena_for};
use problem::{Row, Rows};
pub use solution::{Coefficient, Predicted, Regression};

/// The most parameters that [`LeastSquares`] takes.
pub const MAX_PARAMETERS: usize = 128;
/// The most parameters of a robust fit.
const MAX_ROBUST: usize = 16;

/// Data, and a curve to fit to them by least squares.
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

/// The known uncertainties of `y`, if any.
#[derive(Clone, Copy, Debug)]
enum Known<'d> {
    Nothing,
    Weights(&'d [f64]),
    Sigma(&'d [f64]),
}

impl<'d> LeastSquares<'d> {
    /// Takes the columns of readings `x` and the values `y` that they stand for. With
    /// several columns, a [`Linear`](Curve::Linear) curve is linear in all of them, and a
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

    /// Gives less weight to rows that lie far off, by this loss and a scale estimated
    /// from the residuals: see [`RobustFit`](crate::least_squares::RobustFit). The
    /// standard errors are those of an M-estimator, estimated from the residuals;
    /// [`sigma`](Self::sigma) then only sets weights.
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

    /// The number of parameters of a curve of `inputs` inputs.
    ///
    /// ```
    /// use baregrad::train::{Curve, LeastSquares};
    ///
    /// assert_eq!(LeastSquares::parameters(&Curve::Poly(2), 1), 3);
    /// assert_eq!(LeastSquares::parameters(&Curve::Poly(2), 2), 6); // 1, t, p, t², t p, p²
    /// ```
    pub fn parameters(curve: &Curve, inputs: usize) -> usize {
        match curve {
            Curve::Linear | Curve::Poly(_) => Multivariate::param_count(curve, inputs),
            curve => curve.param_count(),
        }
    }

    /// Sets a weight for each row, in inverse proportion to the variance of its `y`. Only
    /// ratios of weights matter; the size of the errors is estimated from the residuals.
    /// A weight of 0 leaves a row out.
    #[must_use]
    pub fn weights(self, weights: &'d [f64]) -> Self {
        LeastSquares {
            known: Known::Weights(weights),
            ..self
        }
    }

    /// Sets the standard deviation of each `y`, in units of `y`. Standard errors follow
    /// from these alone, however large the residuals are, as with `absolute_sigma=True`
    /// of scipy's `curve_fit`.
    #[must_use]
    pub fn sigma(self, sigma: &'d [f64]) -> Self {
        LeastSquares {
            known: Known::Sigma(sigma),
            ..self
        }
    }

    /// Fits the curve.
    ///
    /// # Errors
    /// The curve cannot be fitted to the data. A fit that does not converge is not an
    /// error: its [`status`](Regression::status) tells the reason.
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
        let used_of = |column: &[f64]| -> Vec<f64> {
            used.iter()
                .filter_map(|row| column.get(*row).copied())
                .collect()
        };
        let columns: Vec<Vec<f64>> = self.x.iter().map(|column| used_of(column)).collect();
        let y = used_of(self.y);
        let weights = used_of(&weights);

        let scale = |values: &[f64], scaling, input| {
            let pairs = values.iter().map(|x| TwoFloat::from_f64(*x));
            Scale::fit(pairs, scaling).map_err(|error| RegressionError::Scale { input, error })
        };
        let scales = columns.iter().enumerate();
        let scales = scales.map(|(k, column)| {
            // Rejects a constant column here for all curves, because the scale of a
            // formula is fixed and `Scale::fit` would not notice.
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
        // Residuals are weighted and in units of y, so that sums of squares are those of
        // the data.
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
            rows: in_units_of_y(solved.rows, per_scaled),
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

    /// The number of distinct readings needed; `None` for a network, which has no such minimum.
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
            let samples: Vec<_> = rows.map(|((x, y), w)| [*x, *y, *w]).collect();
            if let Some(found) = start::start(formula.start(), &samples) {
                return found.map_err(RegressionError::Start);
            }
        }
        let mut start = std::vec![0.0; parameters];
        if columns.len() == 1 {
            self.curve.start(&mut start);
        }
        Ok(start.into_iter().map(f64::from).collect())
    }

    /// The weights, checked to be finite and not negative, and whether they are known in
    /// absolute terms.
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

/// Returns rows whose residuals are in units of y, from those in units of the scaled y, each of
/// which is `per_scaled` units of y.
fn in_units_of_y(rows: Vec<Row>, per_scaled: f64) -> Vec<Row> {
    let in_units = |row: Row| Row {
        residual: row.residual * per_scaled,
        ..row
    };
    rows.into_iter().map(in_units).collect()
}

fn range(values: &[f64]) -> [f64; 2] {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    [low, high]
}
