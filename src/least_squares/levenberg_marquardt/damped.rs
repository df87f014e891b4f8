//! Trial steps: damped, corrected by their acceleration, and accepted if the sum of squares
//! falls.

use super::{LevenbergMarquardt, Phase, as_seen_by};
use crate::function::{Split, TwoFloat};
use crate::kernel::Lanes;
use crate::least_squares::bounds::{Constraints, Held};
use crate::least_squares::problem::Problem;
use crate::least_squares::solution::Status;

/// The initial damping, relative to the diagonal elements.
pub(super) const START: f32 = 1e-3;
/// The maximum length of a step, relative to the length of the parameters. Lengths are weighted
/// by the column norms.
const LONGEST: f32 = 3.0;
/// The maximum of twice the acceleration, relative to the velocity.
const STRAIGHT: f32 = 0.75;
/// The acceleration, relative to the velocity, below which it counts as rounding and the model
/// as linear in its parameters.
const LINEAR: f32 = 1e-5;
/// The part of the step after which the acceleration is measured.
const AHEAD: f32 = 0.1;
/// The expected relative decrease of the sum of squares below which no damping is needed: the
/// minimum is near.
const AT_THE_BOTTOM: f32 = 1e-7;

impl<const P: usize, C: Constraints<P>> LevenbergMarquardt<P, C> {
    /// Decides on the next step, after parameters were accepted.
    pub(super) fn step(&mut self, rows: usize) -> Option<Status> {
        for (j, (norm, held)) in self.norms.iter_mut().zip(&self.held).enumerate() {
            if *held == Held::Free {
                *norm = norm.max(Lanes::sqrt(self.normal.diagonal(j)));
            }
        }
        if let Ok(step) = self.gauss_newton() {
            let decrease = self.normal.decrease(&step);
            if decrease <= AT_THE_BOTTOM * self.normal.residual.rr.high() || self.is_exact() {
                return self.first_undamped(rows, step);
            }
        }
        self.propose(rows)
    }

    /// Proposes the next damped step that is not too long.
    fn propose(&mut self, rows: usize) -> Option<Status> {
        loop {
            let damping = self.column_damping();
            let step = match self.solved(Some(&damping)) {
                Ok(step) => step.map(f32::from),
                Err(_) if self.more_damping() => continue,
                Err(_) => return self.begin_polish(rows),
            };
            // Written so that a NaN length is too long.
            let is_short = self.length(&step) <= self.longest();
            if !is_short {
                if self.more_damping() {
                    continue;
                }
                return self.begin_polish(rows);
            }
            // The expected decrease of the sum of squares, sᵀ (D s - Jᵀr) for damping D.
            let mut decrease = 0.0;
            for ((step, jr), damping) in step.iter().zip(&self.normal.residual.jr).zip(&damping) {
                decrease += step * (damping * step - jr.high());
            }
            (self.step, self.decrease) = (step, decrease);
            self.phase = Phase::Acceleration;
            return None;
        }
    }

    /// The damping of each column: the square of its largest norm, times the damping factor.
    fn column_damping(&self) -> [f32; P] {
        let mut damping = self.norms.map(|norm| self.damping * norm * norm);
        // A column that was always 0 gets damping 1, so that its pivot is not 0.
        for damping in &mut damping {
            if *damping == 0.0 {
                *damping = 1.0;
            }
        }
        damping
    }

    /// The length of a step, weighted by the column norms: a bound on the change of the
    /// predictions for orthogonal columns.
    fn length(&self, step: &[f32; P]) -> f32 {
        let mut sum = 0.0;
        for (norm, step) in self.norms.iter().zip(step) {
            let part = norm * step;
            sum += part * part;
        }
        Lanes::sqrt(sum)
    }

    /// The maximum length of a step.
    fn longest(&self) -> f32 {
        let mut scaled = self.params();
        for (p, scale) in scaled.iter_mut().zip(&self.column_scale) {
            *p *= self.residual_scale / scale;
        }
        let length = self.length(&scaled);
        let residual = Lanes::sqrt(self.normal.residual.rr.high());
        LONGEST * if length > 0.0 { length } else { residual }
    }

    /// Increases the damping. Returns false beyond a limit.
    fn more_damping(&mut self) -> bool {
        self.damping *= self.growth;
        self.growth *= 2.0;
        self.damping < 1e15
    }

    /// Adds the acceleration to the step, unless it is too large to be trusted: then the step
    /// is rejected.
    pub(super) fn accelerate<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Option<Status> {
        let (rows, step) = (problem.rows(), self.step);
        let (direction, mut ahead) = (self.in_units(step), self.params);
        for (p, d) in ahead.iter_mut().zip(&direction) {
            *p = *p + AHEAD * d;
        }
        let (params, ahead) = (self.params.map(R::Scalar::from), ahead.map(R::Scalar::from));
        // Jᵀ times the second derivative along the step, by finite differences of first
        // derivatives.
        let mut bends = [TwoFloat::ZERO; P];
        for i in 0..problem.rows() {
            let row = problem.row(i, &params);
            let mut here = 0.0;
            for (d, direction) in row.derivatives.iter().zip(&direction) {
                here += d * direction;
            }
            let bend = (problem.slope(i, &ahead, &direction) - here) / AHEAD;
            let bend = Split::of(bend * self.residual_scale);
            for ((to, d), scale) in bends
                .iter_mut()
                .zip(row.derivatives)
                .zip(&self.column_scale)
            {
                to.add_product(Split::of(d * scale), bend);
            }
        }
        for (bend, held) in bends.iter_mut().zip(&self.held) {
            *bend = match held {
                Held::Free => bend.renormalised(),
                _ => TwoFloat::ZERO,
            };
        }
        // The normal equations are still factored as for the step.
        let acceleration = self.normal.solve(bends).map(|x| -0.5 * f32::from(x));
        let (bend, length) = (self.length(&acceleration), self.length(&step));
        let mut to = step;
        if bend <= LINEAR * length {
            // For a linear model the undamped step leads to the minimum, whatever its length.
            if let Ok(undamped) = self.gauss_newton() {
                self.decrease = self.normal.decrease(&undamped);
                to = undamped.map(f32::from);
            }
        } else if 2.0 * bend <= STRAIGHT * length {
            for (to, a) in to.iter_mut().zip(acceleration) {
                *to += a;
            }
        } else {
            // An acceleration that is NaN ends here, too.
            return self.reject(rows);
        }
        let step = self.in_units(to);
        let mut to = self.params;
        for (to, step) in to.iter_mut().zip(step) {
            *to = *to + step;
        }
        self.constraints.clamp(&mut to);
        self.to = to;
        self.phase = Phase::Trial;
        None
    }

    /// Proposes a shorter step, or begins the undamped steps if none is short enough.
    fn reject(&mut self, rows: usize) -> Option<Status> {
        if self.more_damping() {
            self.propose(rows)
        } else {
            self.begin_polish(rows)
        }
    }

    /// Accepts the step if the sum of squares falls.
    pub(super) fn accept_or_reject<R: Problem<P> + ?Sized>(
        &mut self,
        problem: &R,
    ) -> Option<Status> {
        let (rows, to) = (problem.rows(), self.to);
        if to == self.params {
            return self.begin_polish(rows);
        }
        let to = as_seen_by(problem, to);
        let trial = self.sum_beside(problem, &to);
        let gained = (self.normal.residual.rr - trial.rr).high();
        // Written so that NaN does not lead down.
        let leads_down = gained > 0.0 && self.normal.is_finite_beside(&trial);
        if !leads_down {
            return self.reject(rows);
        }
        let ratio = gained / self.decrease;
        let far = 2.0 * ratio - 1.0;
        self.damping *= (1.0 - far * far * far).clamp(1.0 / 3.0, 2.0);
        self.growth = 2.0;
        self.params = to;
        self.normal.take(trial);
        self.apply_constraints();
        self.step(rows)
    }
}
