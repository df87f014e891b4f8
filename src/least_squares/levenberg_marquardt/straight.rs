//! Linear problems: the first undamped step leads to the minimum, but for what rounding leaves
//! of it.

use super::bottom::{CONVERGED, FINE};
use super::{LevenbergMarquardt, Phase, as_seen_by};
use crate::function::TwoFloat;
use crate::least_squares::bounds::{Constraints, Held};
use crate::least_squares::normal::{At, Normal};
use crate::least_squares::problem::Problem;
use crate::least_squares::solution::Status;

/// The most steps after the first.
const MOST: u8 = 8;

/// The steps so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    /// The length of the last one in standard errors.
    length: f32,
    left: u8,
    /// The first parameter that data say nothing about.
    singular: Option<usize>,
}

impl<const P: usize, C: Constraints<P>> LevenbergMarquardt<P, C> {
    /// As [`poll`](Self::poll), for a linear problem: the first step leads to the minimum, but
    /// for what rounding leaves of it.
    pub(super) fn poll_linear<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Option<Status> {
        match self.phase {
            Phase::Start | Phase::Scaled => {
                let first = matches!(self.phase, Phase::Start);
                self.sum(problem);
                if first && self.needs_scales() {
                    self.phase = Phase::Scales;
                    return None;
                }
                self.take_sums();
                let singular = self.determined();
                let step = self.normal.step();
                let steps = Steps {
                    length: f32::INFINITY,
                    left: MOST,
                    singular,
                };
                self.go_straight(step, steps)
            }
            Phase::Scales => match self.find_scales(problem) {
                Ok(()) => {
                    self.phase = Phase::Scaled;
                    None
                }
                Err(row) => self.end(Status::NotFinite { row }),
            },
            Phase::Straight(steps) => {
                let Steps { left, singular, .. } = steps;
                self.params = as_seen_by(problem, self.params);
                self.residual_sums(problem);
                if !self.normal.is_finite() {
                    self.params = self.to;
                    return self.end(Status::NoProgress);
                }
                let (step, square) = self.normal.correction();
                let length = self.in_standard_errors(problem.rows(), square);
                let ends = self.is_exact()
                    || length < FINE
                    || length < CONVERGED && (length >= steps.length || left == 0);
                let step = step.map(TwoFloat::from);
                if !(ends || left == 0) {
                    let left = left - 1;
                    return self.go_straight(
                        step,
                        Steps {
                            length,
                            left,
                            singular,
                        },
                    );
                }
                let status = match singular {
                    Some(parameter) => Status::Singular { parameter },
                    None if !ends => Status::NoProgress,
                    None => self.verdict(self.normal.weakest),
                };
                self.move_by(step);
                self.end(status)
            }
            _ => self.end(Status::NoProgress),
        }
    }

    /// Factors what the data determine, and holds the parameters that they say nothing about
    /// where they are: the first of those, if there are any.
    fn determined(&mut self) -> Option<usize> {
        let mut singular = None;
        while let Err(parameter) = self.normal.factor() {
            singular = singular.or(Some(parameter));
            self.normal.hold(parameter);
            if let Some(held) = self.held.get_mut(parameter) {
                *held = Held::Undetermined;
            }
        }
        singular
    }

    /// Takes a step of a linear problem, to look at the residuals there.
    fn go_straight(&mut self, step: [TwoFloat; P], steps: Steps) -> Option<Status> {
        self.to = self.params;
        self.move_by(step);
        self.phase = Phase::Straight(steps);
        None
    }

    /// Takes a step.
    fn move_by(&mut self, step: [TwoFloat; P]) {
        let units = self
            .column_scale
            .iter()
            .map(|scale| scale / self.residual_scale);
        for ((p, step), unit) in self.params.iter_mut().zip(step).zip(units) {
            *p = *p + step.scaled(unit);
        }
    }

    /// The sums in which residuals are.
    #[inline(never)]
    fn residual_sums<R: Problem<P> + ?Sized>(&mut self, problem: &R) {
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
