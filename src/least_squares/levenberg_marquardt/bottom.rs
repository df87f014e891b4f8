//! The last steps near the minimum: undamped, until one is a small part of the standard errors.

use super::{LevenbergMarquardt, Phase, Polish, as_seen_by};
use crate::function::TwoFloat;
use crate::kernel::Lanes;
use crate::least_squares::bounds::{Constraints, Held};
use crate::least_squares::problem::Problem;
use crate::least_squares::solution::Status;

/// The length of a last step, in standard errors, below which the fit has converged.
pub(super) const CONVERGED: f32 = 2e-3;
/// The length of a step, in standard errors, after which no further step is needed.
pub(super) const FINE: f32 = 1e-4;
/// The relative change of a column by rounding derivatives to `f32`: two units in the last
/// place.
const ROUNDING: f32 = 2.0 * f32::EPSILON;

impl<const P: usize, C: Constraints<P>> LevenbergMarquardt<P, C> {
    /// Begins the undamped steps, when sums of squares no longer show a step that leads down.
    #[cold]
    pub(super) fn begin_polish(&mut self, rows: usize) -> Option<Status> {
        match self.gauss_newton() {
            Ok(step) => self.first_undamped(rows, step),
            Err(parameter) => self.end(Status::Singular { parameter }),
        }
    }

    /// Examines the first undamped step.
    pub(super) fn first_undamped(&mut self, rows: usize, step: [TwoFloat; P]) -> Option<Status> {
        self.polish = Polish::NEW;
        self.undamped(rows, &step, None)
    }

    /// Computes the sums after an undamped step, and the next step from there.
    pub(super) fn polish<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Option<Status> {
        let to = as_seen_by(problem, self.to);
        let sums = self.sum_beside(problem, &to);
        if !self.normal.is_finite_beside(&sums) {
            return self.end(Status::NoProgress);
        }
        let best = (self.params, self.held);
        self.params = to;
        self.normal.take(sums);
        if self.apply_constraints() {
            // The minimum over other free parameters is a different one.
            self.polish.forget();
        }
        match self.gauss_newton() {
            Ok(step) => self.undamped(problem.rows(), &step, Some(best)),
            Err(parameter) => {
                self.restore(best);
                self.end(Status::Singular { parameter })
            }
        }
    }

    /// Examines an undamped step: either the fit ends, or the next pass follows the step. If
    /// the step is no shorter than the one from the `best` parameters so far, the solver
    /// returns to those.
    #[inline(never)]
    fn undamped(
        &mut self,
        rows: usize,
        step: &[TwoFloat; P],
        best: Option<([TwoFloat; P], [Held; P])>,
    ) -> Option<Status> {
        let length = self.in_standard_errors(rows, self.normal.decrease(step));
        let exact = self.is_exact();
        let (at, step) = (self.params, self.in_units(step.map(f32::from)));
        if exact || length < self.polish.shortest {
            self.polish.shortest = length;
            self.polish.step = step;
            self.polish.weakest = self.normal.weakest;
            self.elsewhere = false;
        } else {
            if let Some(best) = best {
                self.restore(best);
            }
            if self.polish.shortest < CONVERGED {
                return self.converge();
            }
        }
        if exact || self.polish.shortest < FINE || self.polish.left == 0 {
            return self.converge();
        }
        self.polish.left -= 1;
        let mut norms = self.norms;
        for (norm, scale) in norms.iter_mut().zip(&self.column_scale) {
            *norm /= scale;
        }
        self.to = self.polish.mixed(at, step, &norms);
        self.constraints.clamp(&mut self.to);
        self.phase = Phase::Polish;
        None
    }

    fn restore(&mut self, best: ([TwoFloat; P], [Held; P])) {
        (self.params, self.held) = best;
        self.elsewhere = true;
    }

    /// Applies the shortest step, and ends.
    fn converge(&mut self) -> Option<Status> {
        // Without an exact fit, the shortest step must be below the limit.
        if !self.is_exact() && self.polish.shortest >= CONVERGED {
            return self.end(Status::NoProgress);
        }
        let status = self.verdict(self.polish.weakest);
        for (p, step) in self.params.iter_mut().zip(self.polish.step) {
            *p = *p + step;
        }
        self.constraints.clamp(&mut self.params);
        self.end(status)
    }

    /// The status at a minimum with `parameter` as the weakest column, which keeps the part
    /// `own` of its square after projection on the other columns.
    pub(super) fn verdict(&self, (parameter, own): (usize, f32)) -> Status {
        if self.is_exact() {
            Status::Exact
        } else if ROUNDING > CONVERGED * Lanes::sqrt(own) {
            // Rounded derivatives may move the parameter by ROUNDING / √own of its standard
            // error.
            Status::IllConditioned { parameter }
        } else {
            self.at_bound().unwrap_or(Status::Converged)
        }
    }

    /// The status for the first parameter that is held at a bound.
    fn at_bound(&self) -> Option<Status> {
        if !self.constraints.is_bounded() {
            return None;
        }
        let at_bound = |held: &Held| matches!(held, Held::AtLower | Held::AtUpper);
        let parameter = self.held.iter().position(at_bound)?;
        Some(Status::AtBound { parameter })
    }
}
