//! The bottom of the valley: undamped steps, until one is a small part of the standard errors.

use super::{LevenbergMarquardt, Phase, Polish, as_seen_by};
use crate::function::TwoFloat;
use crate::kernel::Lanes;
use crate::least_squares::bounds::{Constraints, Held};
use crate::least_squares::problem::Problem;
use crate::least_squares::solution::Status;

/// A last step that is so small a part of the standard errors is one at the minimum.
pub(super) const CONVERGED: f32 = 2e-3;
/// One that is so small need not be followed by another.
pub(super) const FINE: f32 = 1e-4;
/// The part of a column that rounding of derivatives to `f32` may change: two units in the
/// last place.
const ROUNDING: f32 = 2.0 * f32::EPSILON;

impl<const P: usize, C: Constraints<P>> LevenbergMarquardt<P, C> {
    /// The undamped steps, as no step leads down any more as far as sums of squares can tell.
    #[cold]
    pub(super) fn begin_polish(&mut self, rows: usize) -> Option<Status> {
        match self.gauss_newton() {
            Ok(step) => self.first_undamped(rows, step),
            Err(parameter) => self.end(Status::Singular { parameter }),
        }
    }

    /// Looks at the first undamped step.
    pub(super) fn first_undamped(&mut self, rows: usize, step: [TwoFloat; P]) -> Option<Status> {
        self.polish = Polish::NEW;
        self.undamped(rows, &step, None)
    }

    /// The sums where an undamped step leads, and the next one from there.
    pub(super) fn polish<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Option<Status> {
        let to = as_seen_by(problem, self.to);
        let sums = self.sum_beside(problem, &to);
        if !self.normal.is_finite_beside(&sums) {
            return self.end(Status::NoProgress);
        }
        let best = (self.params, self.held);
        self.params = to;
        self.normal.take(sums);
        if self.take_sums() {
            // Among other parameters, the minimum is another one.
            self.polish.forget();
        }
        match self.gauss_newton() {
            Ok(step) => self.undamped(problem.rows(), &step, Some(best)),
            Err(parameter) => {
                self.back_to(best);
                self.end(Status::Singular { parameter })
            }
        }
    }

    /// Looks at an undamped step: the last one, or where to go on. If it is no shorter than
    /// that of the `best` parameters so far, the solver goes back to those.
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
                self.back_to(best);
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

    fn back_to(&mut self, best: ([TwoFloat; P], [Held; P])) {
        (self.params, self.held) = best;
        self.elsewhere = true;
    }

    /// Takes the shortest step, and ends.
    fn converge(&mut self) -> Option<Status> {
        // An exact fit ends at once: there is none to go back to.
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

    /// The status of a minimum at which this parameter keeps this part of its square, beside the
    /// other parameters.
    pub(super) fn verdict(&self, (parameter, own): (usize, f32)) -> Status {
        if self.is_exact() {
            Status::Exact
        } else if ROUNDING > CONVERGED * Lanes::sqrt(own) {
            // As many standard errors as derivatives of `f32` may be off by.
            Status::IllConditioned { parameter }
        } else {
            self.at_bound().unwrap_or(Status::Converged)
        }
    }

    /// The first parameter that a bound holds.
    fn at_bound(&self) -> Option<Status> {
        if !self.constraints.is_bounded() {
            return None;
        }
        let at_bound = |held: &Held| matches!(held, Held::AtLower | Held::AtUpper);
        let parameter = self.held.iter().position(at_bound)?;
        Some(Status::AtBound { parameter })
    }
}
