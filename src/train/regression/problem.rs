//! The rows as a [`least_squares`](crate::least_squares) problem of any number of
//! parameters, and its solution.

use std::vec::Vec;

use super::points::Point;
use super::symmetric::Symmetric;
use crate::function::TwoFloat;
use crate::least_squares::{self, LevenbergMarquardt, Problem, RobustFit, RobustLoss, Status};

/// Scaled rows with a model.
pub(super) struct Rows<'a> {
    pub(super) point: &'a dyn Point,
    /// The inputs, column by column.
    pub(super) x: &'a [Vec<f64>],
    pub(super) y: &'a [f64],
    /// The factors of the residuals: square roots of the weights, times the unit of the
    /// scaled y.
    pub(super) roots: &'a [f64],
    pub(super) parameters: usize,
    /// Whether the model is linear in its parameters.
    pub(super) linear: bool,
    /// The loss of the residuals, if it is not their square.
    pub(super) robust: Option<RobustLoss>,
}

/// A row at the solution.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The measured value less the predicted one: here in units of the scaled y, in a
    /// `Regression` in units of y.
    pub(super) residual: f64,
    /// The derivatives of the prediction by the parameters, times the factor of the row.
    pub(super) derivatives: Vec<f64>,
}

/// The scales of a robust fit, in units of y for a row of weight 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales {
    /// The standard deviation of the residuals of rows that are not outliers.
    pub(super) good: f64,
    /// The standard deviation from which standard errors are computed.
    pub(super) deviation: f64,
}

pub(super) struct Solved {
    pub(super) params: Vec<f64>,
    pub(super) status: Status,
    pub(super) passes: u32,
    pub(super) rows: Vec<Row>,
    pub(super) inverse: Option<Symmetric>,
    pub(super) robust: Option<Scales>,
}

/// The rows for a solver of `P` parameters, which may be more than the model has. An extra row
/// for each of the surplus parameters has this parameter as its residual, which keeps it at 0.
struct Padded<'a, const P: usize>(&'a Rows<'a>);

impl<const P: usize> Problem<P> for Padded<'_, P> {
    type Scalar = TwoFloat;

    fn rows(&self) -> usize {
        self.0.y.len() + P.saturating_sub(self.0.parameters)
    }

    fn is_linear(&self) -> bool {
        self.0.linear
    }

    fn row(&self, i: usize, p: &[TwoFloat; P]) -> least_squares::Row<P> {
        let (rows, p) = (self.0, p.map(TwoFloat::to_f64));
        let (own, others) = p.split_at_checked(rows.parameters).unwrap_or((&p, &[]));
        let mut derivatives = [0.0; P];
        let Some(y) = rows.y.get(i) else {
            let at = i - rows.y.len();
            if let Some(one) = derivatives.get_mut(rows.parameters + at) {
                *one = 1.0;
            }
            return least_squares::Row {
                residual: others.get(at).map_or(0.0, |p| *p as f32),
                derivatives,
                rounding: 0.0,
            };
        };
        let mut exact = std::vec![0.0; rows.parameters];
        let value = rows.point.at(&rows.inputs(i), own, &mut exact);
        let root = rows.roots.get(i).copied().unwrap_or(f64::NAN);
        for (to, d) in derivatives.iter_mut().zip(&exact) {
            *to = (root * d) as f32;
        }
        least_squares::Row {
            residual: (root * (value - y)) as f32,
            derivatives,
            rounding: rows.point.rounding() * (root * y.abs().max(value.abs())) as f32,
        }
    }
}

/// The parameters, the status of the solver, its passes, and the scales of a robust fit.
type Found = (Vec<f64>, Status, u32, Option<Scales>);

/// Solves with the smallest `P` of the list that is at least the number of parameters.
macro_rules! solve {
    ($rows:expr, $start:expr, $($P:literal)*) => {
        match $rows.parameters {
            $(0..=$P => $rows.solve_padded::<$P>($start),)*
            _ => ($start.to_vec(), Status::TooFewRows, 0, None),
        }
    };
}

impl Rows<'_> {
    fn inputs(&self, i: usize) -> Vec<f64> {
        self.x
            .iter()
            .filter_map(|column| column.get(i).copied())
            .collect()
    }

    #[allow(overlapping_range_endpoints, clippy::match_overlapping_arm)]
    pub(super) fn solve(&self, start: &[f64]) -> Solved {
        let (mut params, status, passes, robust) =
            solve!(self, start, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 24 32 48 64 96 128);
        let ended_well = matches!(
            status,
            Status::Converged | Status::Exact | Status::IllConditioned { .. }
        );
        let has_digits = robust.is_none() && self.point.rounding() < f32::EPSILON;
        if ended_well && has_digits {
            self.refine(&mut params);
        }
        let (normal, _, rows) = self.sums(&params);
        Solved {
            inverse: normal.inverse(),
            params,
            status,
            passes,
            rows,
            robust,
        }
    }

    fn solve_padded<const P: usize>(&self, start: &[f64]) -> Found {
        let mut from = [0.0; P];
        for (to, p) in from.iter_mut().zip(start) {
            *to = *p as f32;
        }
        let problem = Padded::<P>(self);
        let (solution, robust) = match self.robust {
            None => (LevenbergMarquardt::new(from).run(&problem), None),
            Some(loss) => {
                let found = RobustFit::new(from, loss).run(&problem);
                let deviation = found.solution().residual_standard_deviation();
                let scales = Scales {
                    good: found.scale().into(),
                    deviation: deviation.into(),
                };
                (found.solution(), Some(scales))
            }
        };
        let params = solution.params().into_iter().take(self.parameters);
        let params = params.map(f64::from).collect();
        (params, solution.status(), solution.passes(), robust)
    }

    /// Does a few Gauss–Newton steps in `f64`. The solver rounds each parameter to `f32`, and a
    /// value computed from several of them would be off by more than its own rounding error.
    fn refine(&self, params: &mut Vec<f64>) {
        let (mut normal, mut right, mut rows) = self.sums(params);
        for _ in 0..8 {
            let Some(inverse) = normal.inverse() else {
                return;
            };
            let step = inverse.times(&right);
            let moved: Vec<f64> = params.iter().zip(&step).map(|(p, s)| p + s).collect();
            let there = self.sums(&moved);
            let squares = |rows: &[Row]| -> f64 {
                let weighted = rows.iter().zip(self.roots);
                weighted
                    .map(|(row, root)| (row.residual * root).powi(2))
                    .sum()
            };
            // Accepts a step if the sum of squares is finite and, up to rounding, does not grow.
            let leads_down = squares(&there.2) <= squares(&rows) * (1.0 + 1e-9);
            if !leads_down {
                return;
            }
            *params = moved;
            let still = normal.form(&step) <= 1e-22 * squares(&rows);
            (normal, right, rows) = there;
            if still {
                return;
            }
        }
    }

    /// Returns `JᵀJ`, `-Jᵀr`, where `r` is the model less the data, and the rows themselves,
    /// whose residuals are the data less the model.
    fn sums(&self, params: &[f64]) -> (Symmetric, Vec<f64>, Vec<Row>) {
        let mut normal = Symmetric::new(self.parameters);
        let mut right = std::vec![0.0; self.parameters];
        let mut rows = Vec::new();
        for (i, (y, root)) in self.y.iter().zip(self.roots).enumerate() {
            let mut derivatives = std::vec![0.0; self.parameters];
            let value = self.point.at(&self.inputs(i), params, &mut derivatives);
            for d in &mut derivatives {
                *d *= root;
            }
            normal.add_product(1.0, &derivatives);
            for (to, d) in right.iter_mut().zip(&derivatives) {
                *to += d * root * (y - value);
            }
            let residual = y - value;
            rows.push(Row {
                residual,
                derivatives,
            });
        }
        (normal, right, rows)
    }
}
