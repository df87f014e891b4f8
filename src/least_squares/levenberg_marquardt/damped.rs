//! Trial steps: damped as Marquardt's, bent by their acceleration, and taken if they lead
//! down.

use super::{LevenbergMarquardt, Phase, as_seen_by};
use crate::function::{Split, TwoFloat};
use crate::kernel::Lanes;
use crate::least_squares::bounds::{Constraints, Held};
use crate::least_squares::problem::Problem;
use crate::least_squares::solution::Status;

/// The damping to start with, as a part of each diagonal element.
pub(super) const START: f32 = 1e-3;
/// The most that a step may be, as a part of the parameters: both measured by what they
/// change in the predictions.
const LONGEST: f32 = 3.0;
/// Twice the acceleration may be at most so large a part of the velocity.
const STRAIGHT: f32 = 0.75;
/// An acceleration that is so small a part of the velocity is none but for rounding: the
/// model is linear in its parameters.
const LINEAR: f32 = 1e-5;
/// How far along the step the acceleration is measured.
const AHEAD: f32 = 0.1;
/// A step that is expected to take off the sum of squares at most this part of it is one at
/// the bottom of a valley: no damping is needed any more.
const AT_THE_BOTTOM: f32 = 1e-7;

impl<const P: usize, C: Constraints<P>> LevenbergMarquardt<P, C> {
    /// Decides where to go from parameters that are taken.
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

    /// The next damped step that is not too long.
    fn propose(&mut self, rows: usize) -> Option<Status> {
        loop {
            let damping = self.of_columns();
            let step = match self.solved(Some(&damping)) {
                Ok(step) => step.map(f32::from),
                Err(_) if self.more_damping() => continue,
                Err(_) => return self.begin_polish(rows),
            };
            // Not if it is not a number, either.
            let is_short = self.length(&step) <= self.longest();
            if !is_short {
                if self.more_damping() {
                    continue;
                }
                return self.begin_polish(rows);
            }
            // Half of it is expected to come off half the sum of squares.
            let mut decrease = 0.0;
            for ((step, jr), damping) in step.iter().zip(&self.normal.residual.jr).zip(&damping) {
                decrease += step * (damping * step - jr.high());
            }
            (self.step, self.decrease) = (step, decrease);
            self.phase = Phase::Acceleration;
            return None;
        }
    }

    /// The damping of each column.
    fn of_columns(&self) -> [f32; P] {
        let mut damping = self.norms.map(|norm| self.damping * norm * norm);
        // A column that was always 0 moves nothing, and must not be divided by.
        for damping in &mut damping {
            if *damping == 0.0 {
                *damping = 1.0;
            }
        }
        damping
    }

    /// The length of a step: the most that it changes in the predictions, by the column norms.
    fn length(&self, step: &[f32; P]) -> f32 {
        let mut sum = 0.0;
        for (norm, step) in self.norms.iter().zip(step) {
            let part = norm * step;
            sum += part * part;
        }
        Lanes::sqrt(sum)
    }

    /// The longest step there may be.
    fn longest(&self) -> f32 {
        let mut scaled = self.params();
        for (p, scale) in scaled.iter_mut().zip(&self.column_scale) {
            *p *= self.residual_scale / scale;
        }
        let length = self.length(&scaled);
        let residual = Lanes::sqrt(self.normal.residual.rr.high());
        LONGEST * if length > 0.0 { length } else { residual }
    }

    /// Increases the damping, unless it is beyond all measure.
    fn more_damping(&mut self) -> bool {
        self.damping *= self.growth;
        self.growth *= 2.0;
        self.damping < 1e15
    }

    /// Bends a step by its acceleration, if that is small enough to be trusted.
    pub(super) fn accelerate<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Option<Status> {
        let (rows, step) = (problem.rows(), self.step);
        let (direction, mut ahead) = (self.in_units(step), self.params);
        for (p, d) in ahead.iter_mut().zip(&direction) {
            *p = *p + AHEAD * d;
        }
        let (params, ahead) = (self.params.map(R::Scalar::from), ahead.map(R::Scalar::from));
        // Jᵀ times the second derivative along the step, by the difference of the first.
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
        // The factors are those of the step.
        let acceleration = self.normal.solve(bends).map(|x| -0.5 * f32::from(x));
        let (bend, length) = (self.length(&acceleration), self.length(&step));
        let mut to = step;
        if bend <= LINEAR * length {
            // Then the minimum is where the undamped step leads, however long it is.
            if let Ok(undamped) = self.gauss_newton() {
                self.decrease = self.normal.decrease(&undamped);
                to = undamped.map(f32::from);
            }
        } else if 2.0 * bend <= STRAIGHT * length {
            for (to, a) in to.iter_mut().zip(acceleration) {
                *to += a;
            }
        } else {
            // Or if it is not a number.
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

    /// Tries a shorter step.
    fn reject(&mut self, rows: usize) -> Option<Status> {
        if self.more_damping() {
            self.propose(rows)
        } else {
            self.begin_polish(rows)
        }
    }

    /// Takes a step if it leads down.
    pub(super) fn judge<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Option<Status> {
        let (rows, to) = (problem.rows(), self.to);
        if to == self.params {
            return self.begin_polish(rows);
        }
        let to = as_seen_by(problem, to);
        let trial = self.sum_beside(problem, &to);
        let gained = (self.normal.residual.rr - trial.rr).high();
        // Not if it is not a number, either.
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
        self.take_sums();
        self.step(rows)
    }
}
