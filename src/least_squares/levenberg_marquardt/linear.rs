//! Linear problems: the first undamped step leads to the minimum, except for rounding.

use super::bottom::{CONVERGED, FINE};
use super::{LevenbergMarquardt, Phase, as_seen_by};
use crate::function::TwoFloat;
use crate::kernel::Level;
use crate::least_squares::bounds::{Constraints, Held};
use crate::least_squares::normal::{At, Normal};
use crate::least_squares::problem::Problem;
use crate::least_squares::solution::Status;

/// The maximum number of steps after the first.
const MOST: u8 = 8;

/// The steps so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    /// The length of the last step, in standard errors.
    length: f32,
    left: u8,
}

impl<const P: usize, C: Constraints<P>> LevenbergMarquardt<P, C> {
    /// The [`poll`](Self::poll) of a linear problem: the first step leads to the minimum,
    /// except for rounding. Further steps correct the rounding.
    pub(super) fn poll_linear<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Option<Status> {
        let rows = problem.rows();
        let (step, ends, next) = match self.phase {
            Phase::Start | Phase::Scaled => {
                let first = matches!(self.phase, Phase::Start);
                self.sum(problem);
                if first && self.needs_scales() {
                    self.phase = Phase::Scales;
                    return None;
                }
                self.apply_constraints();
                self.determined();
                let step = self.normal.step_here();
                let next = Steps {
                    length: f32::INFINITY,
                    left: MOST,
                };
                // Residuals in pairs have digits that derivatives in `f32` lack: they need a
                // second step.
                let in_pairs = size_of::<R::Scalar>() > size_of::<f32>();
                let settles = !in_pairs && self.settles(rows, &step);
                (step, settles, Some(next))
            }
            Phase::Scales => match self.find_scales(problem) {
                Ok(()) => {
                    self.phase = Phase::Scaled;
                    return None;
                }
                Err(row) => return self.end(Status::NotFinite { row }),
            },
            Phase::Straight(last) => {
                self.params = as_seen_by(problem, self.params);
                self.residual_sums(problem);
                if !self.normal.is_finite() {
                    self.params = self.to;
                    return self.end(Status::NoProgress);
                }
                let (step, square) = self.normal.correction();
                let length = self.in_standard_errors(rows, square);
                let next = last.left.checked_sub(1).map(|left| Steps { length, left });
                let ends = self.is_exact()
                    || length < FINE
                    || length < CONVERGED && (length >= last.length || next.is_none());
                (step.map(TwoFloat::from), ends, next)
            }
            _ => return self.end(Status::NoProgress),
        };
        self.to = self.params;
        self.move_by(step);
        if let Some(next) = next
            && !ends
        {
            self.phase = Phase::Straight(next);
            return None;
        }
        let singular = self
            .held
            .iter()
            .position(|held| *held == Held::Undetermined);
        let status = match singular {
            Some(parameter) => Status::Singular { parameter },
            None if !ends => Status::NoProgress,
            None => self.verdict(self.normal.weakest),
        };
        self.end(status)
    }

    /// Factors the normal equations, and holds the parameters that the data do not determine.
    fn determined(&mut self) {
        while let Err(parameter) = self.normal.factor_here() {
            self.normal.hold(parameter);
            if let Some(held) = self.held.get_mut(parameter) {
                *held = Held::Undetermined;
            }
        }
    }

    /// Whether the first step certainly leads to the minimum, so that a second pass is not
    /// needed. This requires that rounding of residuals and derivatives moves no parameter by
    /// more than [`FINE`] of its standard error, and that the remaining sum of squares, which
    /// is computed as a difference, keeps the digits of an `f32`. Most measurements satisfy
    /// both; nearly exact fits do not.
    fn settles(&mut self, rows: usize, step: &[TwoFloat; P]) -> bool {
        let residual = &mut self.normal.residual;
        let before = residual.rr.high();
        let mut rounding = residual.rounding;
        let mut left = residual.rr;
        for (jr, step) in residual.jr.iter().zip(step) {
            left = left + *jr * *step;
        }
        residual.rr = left;
        for (j, step) in step.iter().enumerate() {
            let part = f32::EPSILON * step.high();
            rounding += part * part * self.normal.diagonal(j);
        }
        // Each row costs the sum about one unit in the last place of a pair.
        left.high() > rows as f32 * f32::EPSILON * before
            && self.in_standard_errors(rows, rounding) < FINE
    }

    /// Moves the parameters by a step.
    fn move_by(&mut self, step: [TwoFloat; P]) {
        let units = self
            .column_scale
            .iter()
            .map(|scale| scale / self.residual_scale);
        for ((p, step), unit) in self.params.iter_mut().zip(step).zip(units) {
            *p = *p + step.scaled(unit);
        }
    }

    /// Computes the sums that depend on residuals; `JᵀJ` and its factors stay.
    fn residual_sums<R: Problem<P> + ?Sized>(&mut self, problem: &R) {
        if const { P <= 2 && !Level::VECTORS } {
            // The code that computes all sums is linked anyway and reproduces the same JᵀJ. On
            // a Cortex-M4F, separate code for the sums of residuals would take 800 bytes of
            // flash.
            self.sum(problem);
            self.apply_constraints();
            self.determined();
            return;
        }
        let at = At {
            params: &self.params.map(R::Scalar::from),
            columns: &self.column_scale,
            residuals: self.residual_scale,
        };
        self.normal.residual = Normal::sum_residuals(problem, &at);
        for (jr, held) in self.normal.residual.jr.iter_mut().zip(&self.held) {
            if *held != Held::Free {
                *jr = TwoFloat::ZERO;
            }
        }
    }
}
