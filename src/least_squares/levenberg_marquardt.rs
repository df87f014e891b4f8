//! Levenberg–Marquardt with geodesic acceleration, and what it takes to end at the minimum
//! in `f32`.

use super::Problem;
use super::normal::{Factors, Normal, power_of_two};
use super::polish::Polish;
use super::solution::{Solution, Status};
use crate::function::{Split, TwoFloat};

/// The damping to start with, as a part of each diagonal element.
const DAMPING: f32 = 1e-3;
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
/// A last step that is so small a part of the standard errors is one at the minimum.
const CONVERGED: f32 = 2e-3;
/// The part of a column that rounding of derivatives to `f32` may change: two units in the
/// last place.
const ROUNDING: f32 = 2.0 * f32::EPSILON;
/// One that is so small need not be followed by another.
const FINE: f32 = 1e-4;

/// The solver: parameters on their way to the least sum of squares.
///
/// It is a value that is polled: each [`poll`](Self::poll) goes through the rows once, so that
/// firmware can do something else in between. [`run`](Self::run) polls until it ends.
///
/// The method: normal equations whose sums are kept in pairs of `f32`, damped by Marquardt's
/// running maximum of the column norms (J. J. Moré, "The Levenberg–Marquardt algorithm:
/// implementation and theory", 1978) as H. B. Nielsen tells ("Damping parameter in
/// Marquardt's method", 1999), steps bent by the geodesic acceleration (M. K. Transtrum and
/// J. P. Sethna, "Improvements to the Levenberg–Marquardt algorithm for nonlinear
/// least-squares minimization", 2012). At the bottom follow undamped Gauss–Newton steps,
/// mixed by Anderson's method, until one is a small part of the parameters' standard errors:
/// near a minimum, the sum of squares hardly depends on the parameters, and `f32` cannot tell
/// by it how near.
#[derive(Clone, Debug)]
pub struct LevenbergMarquardt<const P: usize> {
    params: [TwoFloat; P],
    normal: Normal<P>,
    /// Powers of two by which derivatives and residuals are multiplied, so that their
    /// squares are numbers.
    column_scale: [f32; P],
    residual_scale: f32,
    /// The largest norm that each column of the Jacobian had.
    norms: [f32; P],
    damping: f32,
    growth: f32,
    phase: Phase<P>,
    passes: u32,
    max_passes: u32,
}

/// The work of the next pass.
#[derive(Clone, Debug)]
enum Phase<const P: usize> {
    /// The first sums.
    Start,
    /// Largest derivatives, as the first sums were no numbers, or too small.
    Scales,
    /// The sums once scales are known.
    Scaled,
    /// How a step bends.
    Acceleration {
        step: [f32; P],
        decrease: f32,
    },
    /// The sums where a step leads.
    Trial {
        to: [TwoFloat; P],
        decrease: f32,
    },
    /// The sums after an undamped step.
    Polish {
        to: [TwoFloat; P],
        polish: Polish<P>,
    },
    Ended(Status),
}

impl<const P: usize> LevenbergMarquardt<P> {
    /// Starts at `params`.
    #[must_use]
    pub fn new(params: [f32; P]) -> Self {
        LevenbergMarquardt {
            params: params.map(TwoFloat::from),
            normal: Normal::EMPTY,
            column_scale: [1.0; P],
            residual_scale: 1.0,
            norms: [0.0; P],
            damping: DAMPING,
            growth: 2.0,
            phase: Phase::Start,
            passes: 0,
            max_passes: 1000,
        }
    }

    /// Ends after so many passes over the rows, if nothing else ends it: 1000 if it is not
    /// said.
    #[must_use]
    pub fn max_passes(mut self, passes: u32) -> Self {
        self.max_passes = passes;
        self
    }

    /// The parameters so far: the best that were found.
    #[must_use]
    pub fn params(&self) -> [f32; P] {
        self.params.map(f32::from)
    }

    /// How often the rows were gone through.
    #[must_use]
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// Polls until it ends.
    pub fn run<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Solution<P> {
        loop {
            if let Some(status) = self.poll(problem) {
                return self.solution(problem, status);
            }
        }
    }

    /// Goes through the rows once. The reason if it ended, `None` as long as there is
    /// something to do.
    pub fn poll<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Option<Status> {
        if let Phase::Ended(status) = self.phase {
            return Some(status);
        }
        if problem.rows() < P {
            return self.end(Status::TooFewRows);
        }
        if self.passes >= self.max_passes {
            return self.end(Status::MaxPasses);
        }
        self.passes += 1;
        match core::mem::replace(&mut self.phase, Phase::Start) {
            Phase::Start => {
                let params = self.params;
                self.normal = self.sums(problem, &params);
                if self.needs_scales() {
                    self.phase = Phase::Scales;
                    return None;
                }
                self.begin(problem.rows())
            }
            Phase::Scales => {
                self.find_scales(problem);
                self.phase = Phase::Scaled;
                None
            }
            Phase::Scaled => {
                let params = self.params;
                self.normal = self.sums(problem, &params);
                self.begin(problem.rows())
            }
            Phase::Acceleration { step, decrease } => self.accelerate(problem, step, decrease),
            Phase::Trial { to, decrease } => self.judge(problem, to, decrease),
            Phase::Polish { to, polish } => self.polish(problem, to, polish),
            Phase::Ended(status) => self.end(status),
        }
    }

    fn end(&mut self, status: Status) -> Option<Status> {
        self.phase = Phase::Ended(status);
        Some(status)
    }

    /// The sums with these parameters.
    fn sums<R: Problem<P> + ?Sized>(&self, problem: &R, params: &[TwoFloat; P]) -> Normal<P> {
        let params = params.map(R::Scalar::from);
        let mut normal = Normal::EMPTY;
        for i in 0..problem.rows() {
            let mut row = problem.row(i, &params);
            for (d, scale) in row.derivatives.iter_mut().zip(&self.column_scale) {
                *d *= scale;
            }
            let residual = row.residual * self.residual_scale;
            normal.add(
                i,
                residual,
                &row.derivatives,
                row.rounding * self.residual_scale,
            );
        }
        normal.finish();
        normal
    }

    /// Whether squares of derivatives or residuals are none that pairs can hold.
    fn needs_scales(&self) -> bool {
        let fits = |square: f32| square > 1e-20 && square < 1e30;
        let mut columns = (0..P).map(|j| self.normal.diagonal(j));
        !fits(self.normal.rr.high()) || !columns.all(fits)
    }

    fn find_scales<R: Problem<P> + ?Sized>(&mut self, problem: &R) {
        let params = self.params.map(R::Scalar::from);
        let (mut largest, mut residual) = ([0.0_f32; P], 0.0_f32);
        for i in 0..problem.rows() {
            let row = problem.row(i, &params);
            for (largest, d) in largest.iter_mut().zip(row.derivatives) {
                *largest = largest.max(d.abs());
            }
            residual = residual.max(row.residual.abs());
        }
        for (scale, largest) in self.column_scale.iter_mut().zip(largest) {
            *scale = 1.0 / power_of_two(largest);
        }
        self.residual_scale = 1.0 / power_of_two(residual);
    }

    fn begin(&mut self, rows: usize) -> Option<Status> {
        if let Some(row) = self.normal.not_finite {
            return self.end(Status::NotFinite { row });
        }
        self.step(rows)
    }

    /// Whether what is left is no more than rounding leaves of an exact fit.
    fn is_exact(&self) -> bool {
        self.normal.rr.high() <= self.normal.rounding
    }

    /// Decides where to go from parameters that are taken.
    fn step(&mut self, rows: usize) -> Option<Status> {
        for (j, norm) in self.norms.iter_mut().enumerate() {
            *norm = norm.max(libm::sqrtf(self.normal.diagonal(j)));
        }
        let normal = &self.normal;
        if let Ok(factors) = Factors::of(&normal.jj, &[0.0; P]) {
            let step = factors.solve(normal.jr.map(|x| -x));
            let decrease = -dot(&normal.jr, &step);
            if decrease <= AT_THE_BOTTOM * normal.rr.high() || self.is_exact() {
                return self.begin_polish(rows);
            }
        }
        self.propose(rows)
    }

    /// The next damped step that is not too long.
    fn propose(&mut self, rows: usize) -> Option<Status> {
        loop {
            let (normal, damping) = (&self.normal, self.of_columns());
            let step = Factors::of(&normal.jj, &damping)
                .map(|factors| factors.solve(normal.jr.map(|x| -x)).map(f32::from));
            let step = match step {
                Ok(step) if self.length(&step) <= self.longest() => step,
                _ if self.more_damping() => continue,
                _ => return self.begin_polish(rows),
            };
            // Half of it is expected to come off half the sum of squares.
            let mut decrease = 0.0;
            for ((step, jr), damping) in step.iter().zip(&normal.jr).zip(&damping) {
                decrease += step * (damping * step - jr.high());
            }
            self.phase = Phase::Acceleration { step, decrease };
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
        libm::sqrtf(sum)
    }

    /// The longest step there may be.
    fn longest(&self) -> f32 {
        let mut scaled = self.params();
        for (p, scale) in scaled.iter_mut().zip(&self.column_scale) {
            *p *= self.residual_scale / scale;
        }
        let length = self.length(&scaled);
        let residual = libm::sqrtf(self.normal.rr.high());
        LONGEST * if length > 0.0 { length } else { residual }
    }

    /// Increases the damping, unless it is beyond all measure.
    fn more_damping(&mut self) -> bool {
        self.damping *= self.growth;
        self.growth *= 2.0;
        self.damping < 1e15
    }

    /// Bends a step by its acceleration, if that is small enough to be trusted.
    fn accelerate<R: Problem<P> + ?Sized>(
        &mut self,
        problem: &R,
        step: [f32; P],
        mut decrease: f32,
    ) -> Option<Status> {
        let rows = problem.rows();
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
        let Ok(factors) = Factors::of(&self.normal.jj, &self.of_columns()) else {
            return self.reject(rows);
        };
        let acceleration = factors
            .solve(bends.map(TwoFloat::renormalised))
            .map(|x| -0.5 * f32::from(x));
        let (bend, length) = (self.length(&acceleration), self.length(&step));
        let mut to = step;
        if bend <= LINEAR * length {
            // Then the minimum is where the undamped step leads, however long it is.
            if let Ok(factors) = Factors::of(&self.normal.jj, &[0.0; P]) {
                let undamped = factors.solve(self.normal.jr.map(|x| -x));
                decrease = -dot(&self.normal.jr, &undamped);
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
        self.phase = Phase::Trial { to, decrease };
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
    fn judge<R: Problem<P> + ?Sized>(
        &mut self,
        problem: &R,
        to: [TwoFloat; P],
        decrease: f32,
    ) -> Option<Status> {
        let rows = problem.rows();
        if to == self.params {
            return self.begin_polish(rows);
        }
        let trial = self.sums(problem, &to);
        let gained = (self.normal.rr - trial.rr).high();
        // Not if it is not a number, either.
        let leads_down = gained > 0.0 && trial.not_finite.is_none();
        if !leads_down {
            return self.reject(rows);
        }
        let ratio = gained / decrease;
        let far = 2.0 * ratio - 1.0;
        self.damping *= (1.0 - far * far * far).clamp(1.0 / 3.0, 2.0);
        self.growth = 2.0;
        self.params = to;
        self.normal = trial;
        self.step(problem.rows())
    }

    /// The undamped steps: at the bottom of a valley, or if no step leads down any more as
    /// far as sums of squares can tell.
    fn begin_polish(&mut self, rows: usize) -> Option<Status> {
        let (at, here) = (self.params, self.normal.clone());
        self.undamped(rows, at, &here, Polish::NEW)
    }

    /// The step from `at`, undamped: the last one, or where to go on.
    fn undamped(
        &mut self,
        rows: usize,
        at: [TwoFloat; P],
        here: &Normal<P>,
        mut polish: Polish<P>,
    ) -> Option<Status> {
        let factors = match Factors::of(&here.jj, &[0.0; P]) {
            Ok(factors) => factors,
            Err(parameter) => return self.end(Status::Singular { parameter }),
        };
        let step = factors.solve(here.jr.map(|x| -x));
        // Its length where standard errors are 1: sᵀ JᵀJ s / (rᵀr / degrees of freedom).
        let freedom = rows.saturating_sub(P).max(1) as f32;
        let square = -dot(&here.jr, &step);
        let length = libm::sqrtf(freedom * square.max(0.0) / here.rr.high());
        let exact = here.rr.high() <= here.rounding;
        let stalled = !(exact || length < polish.shortest);
        if stalled && polish.shortest < CONVERGED {
            return self.converge(polish);
        }
        let step = self.in_units(step.map(f32::from));
        if !stalled {
            polish.shortest = length;
            polish.step = step;
            polish.weakest = factors.weakest;
            (self.params, self.normal) = (at, here.clone());
        }
        if exact || polish.shortest < FINE || polish.left == 0 {
            return self.converge(polish);
        }
        polish.left -= 1;
        let mut norms = self.norms;
        for (norm, scale) in norms.iter_mut().zip(&self.column_scale) {
            *norm /= scale;
        }
        let to = polish.mixed(at, step, &norms);
        self.phase = Phase::Polish { to, polish };
        None
    }

    /// Takes the shortest step, and ends.
    fn converge(&mut self, polish: Polish<P>) -> Option<Status> {
        let (parameter, own) = polish.weakest;
        let status = match self.is_exact() {
            true => Status::Exact,
            false if polish.shortest >= CONVERGED => return self.end(Status::NoProgress),
            // As many standard errors as derivatives of `f32` may be off by.
            false if ROUNDING > CONVERGED * libm::sqrtf(own) => {
                Status::IllConditioned { parameter }
            }
            false => Status::Converged,
        };
        for (p, step) in self.params.iter_mut().zip(polish.step) {
            *p = *p + step;
        }
        self.end(status)
    }

    /// A step in the units of the parameters.
    fn in_units(&self, mut step: [f32; P]) -> [f32; P] {
        for (step, scale) in step.iter_mut().zip(&self.column_scale) {
            *step *= scale / self.residual_scale;
        }
        step
    }

    fn polish<R: Problem<P> + ?Sized>(
        &mut self,
        problem: &R,
        to: [TwoFloat; P],
        polish: Polish<P>,
    ) -> Option<Status> {
        let here = self.sums(problem, &to);
        if here.not_finite.is_some() {
            return self.end(Status::NoProgress);
        }
        self.undamped(problem.rows(), to, &here, polish)
    }

    fn solution<R: Problem<P> + ?Sized>(&self, problem: &R, status: Status) -> Solution<P> {
        Solution::new(
            self.params(),
            &self.normal,
            &self.column_scale,
            self.residual_scale,
            problem.rows(),
            self.passes,
            status,
        )
    }
}

fn dot<const P: usize>(a: &[TwoFloat; P], b: &[TwoFloat; P]) -> f32 {
    let mut sum = TwoFloat::ZERO;
    for (a, b) in a.iter().zip(b) {
        sum = sum + *a * *b;
    }
    sum.into()
}
