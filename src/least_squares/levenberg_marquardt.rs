//! Levenberg–Marquardt with geodesic acceleration, and what it takes to end at the minimum
//! in `f32`.

use super::bounds::{Bounds, Constraints, Held, Unbounded};
use super::normal::{Normal, power_of_two};
use super::polish::Polish;
use super::problem::Problem;
use super::solution::{Solution, Status};
use crate::function::{Split, TwoFloat};
use crate::kernel::Lanes;

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
/// The most steps of a linear problem, after the first.
const LINEAR_STEPS: u8 = 8;

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
///
/// A problem that says that it is [linear](Problem::is_linear), as lines and polynomials are,
/// needs no more than such steps: the first leads to the minimum.
#[derive(Clone, Debug)]
pub struct LevenbergMarquardt<const P: usize, C = Unbounded> {
    constraints: C,
    /// Which parameters have no part in a step.
    held: [Held; P],
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
    /// The sums in which residuals are, after the step of a linear problem.
    Straight(Straight<P>),
    Ended(Status),
}

/// The steps of a linear problem so far.
#[derive(Clone, Debug)]
struct Straight<const P: usize> {
    /// Where the last one began.
    before: [TwoFloat; P],
    /// Its length in standard errors.
    length: f32,
    left: u8,
    /// The first parameter that data say nothing about.
    singular: Option<usize>,
}

impl<const P: usize> LevenbergMarquardt<P> {
    /// Starts at `params`.
    #[must_use]
    pub fn new(params: [f32; P]) -> Self {
        LevenbergMarquardt {
            constraints: Unbounded,
            held: [Held::Free; P],
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

    /// Keeps parameters within bounds, as `bounds` of scipy's `curve_fit`: infinite ones are
    /// none. A start outside is moved to the nearest bound.
    ///
    /// A solution at a bound says so: its status is [`Status::AtBound`], and
    /// [`Solution::held`] tells which parameters are at which bound. Such a parameter is no
    /// longer estimated: standard errors are those of the others, with it where it is.
    ///
    /// ```
    /// use baregrad::function::models::Line;
    /// use baregrad::least_squares::{CurveFit, Held, LevenbergMarquardt};
    ///
    /// let (x, y) = ([0.0, 1.0, 2.0, 3.0], [-0.2, 1.1, 1.9, 3.1]);
    /// let solution = LevenbergMarquardt::new([1.0, 1.0])
    ///     .bounds([f32::NEG_INFINITY, 0.0], [f32::INFINITY; 2])
    ///     .run(&CurveFit::new(Line, &x, &y));
    /// assert!(solution.is_converged());
    /// // Free, the constant were -0.13.
    /// assert_eq!(solution.params()[1], 0.0);
    /// assert_eq!(solution.held(), [Held::Free, Held::AtLower]);
    /// ```
    #[must_use]
    pub fn bounds(self, lower: [f32; P], upper: [f32; P]) -> LevenbergMarquardt<P, Bounds<P>> {
        self.within(Bounds::NONE.bounds(lower, upper))
    }

    /// Leaves parameters as they are where `fixed` is true. Standard errors are those of the
    /// others, and so are degrees of freedom.
    ///
    /// ```
    /// use baregrad::function::models::Line;
    /// use baregrad::least_squares::{CurveFit, LevenbergMarquardt};
    ///
    /// // A line through the origin.
    /// let (x, y) = ([1.0, 2.0, 3.0], [1.1, 1.9, 3.1]);
    /// let solution = LevenbergMarquardt::new([1.0, 0.0])
    ///     .fixed([false, true])
    ///     .run(&CurveFit::new(Line, &x, &y));
    /// let [w, b] = solution.params();
    /// assert!((w - 14.2 / 14.0).abs() < 1e-6 && b == 0.0); // Σ x y / Σ x²
    /// assert_eq!(solution.degrees_of_freedom(), 2);
    /// ```
    #[must_use]
    pub fn fixed(self, fixed: [bool; P]) -> LevenbergMarquardt<P, Bounds<P>> {
        self.within(Bounds::NONE.fixed(fixed))
    }

    fn within(self, bounds: Bounds<P>) -> LevenbergMarquardt<P, Bounds<P>> {
        LevenbergMarquardt {
            constraints: bounds,
            held: self.held,
            params: self.params,
            normal: self.normal,
            column_scale: self.column_scale,
            residual_scale: self.residual_scale,
            norms: self.norms,
            damping: self.damping,
            growth: self.growth,
            phase: self.phase,
            passes: self.passes,
            max_passes: self.max_passes,
        }
    }
}

impl<const P: usize> LevenbergMarquardt<P, Bounds<P>> {
    /// The same with other bounds: see [`bounds`](LevenbergMarquardt::bounds).
    #[must_use]
    pub fn bounds(self, lower: [f32; P], upper: [f32; P]) -> Self {
        LevenbergMarquardt {
            constraints: self.constraints.bounds(lower, upper),
            ..self
        }
    }

    /// The same with other parameters fixed: see [`fixed`](LevenbergMarquardt::fixed).
    #[must_use]
    pub fn fixed(self, fixed: [bool; P]) -> Self {
        LevenbergMarquardt {
            constraints: self.constraints.fixed(fixed),
            ..self
        }
    }
}

impl<const P: usize, C: Constraints<P>> LevenbergMarquardt<P, C> {
    /// How many bytes of RAM a fit takes: the solver, and the sums it keeps on the stack while
    /// it is polled. What calls take, and the model's own variables, are not among them.
    ///
    /// ```
    /// use baregrad::least_squares::LevenbergMarquardt;
    ///
    /// const RAM: usize = LevenbergMarquardt::<9>::ram();
    /// assert!(RAM < 9 * 9 * 40 + 9 * 200 + 400); // as P²
    /// ```
    #[must_use]
    pub const fn ram() -> usize {
        // The sums at other parameters, and the best so far.
        size_of::<Self>() + 2 * size_of::<Normal<P>>() + size_of::<Best<P>>()
    }

    /// Ends after so many passes over the rows, if nothing else ends it: 1000 if it is not
    /// said.
    #[must_use]
    pub fn max_passes(mut self, passes: u32) -> Self {
        self.max_passes = passes;
        self
    }

    /// The same, in place.
    pub fn set_max_passes(&mut self, passes: u32) {
        self.max_passes = passes;
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
        if let Some(parameter) = self.constraints.invalid() {
            return self.end(Status::InvalidBounds { parameter });
        }
        if problem.rows() < self.constraints.free() {
            return self.end(Status::TooFewRows);
        }
        if self.passes >= self.max_passes {
            return self.end(Status::MaxPasses);
        }
        self.passes += 1;
        if problem.is_linear() && !self.constraints.is_bounded() {
            // Known when compiled: nothing below is linked then.
            return self.poll_linear(problem);
        }
        match core::mem::replace(&mut self.phase, Phase::Start) {
            Phase::Start => {
                self.constraints.clamp(&mut self.params);
                self.normal = self.sums(problem, &self.params);
                if self.needs_scales() {
                    self.phase = Phase::Scales;
                    return None;
                }
                self.begin(problem)
            }
            Phase::Scales => match self.find_scales(problem) {
                Ok(()) => {
                    self.phase = Phase::Scaled;
                    None
                }
                Err(row) => self.end(Status::NotFinite { row }),
            },
            Phase::Scaled => {
                self.normal = self.sums(problem, &self.params);
                self.begin(problem)
            }
            Phase::Acceleration { step, decrease } => self.accelerate(problem, step, decrease),
            Phase::Trial { to, decrease } => self.judge(problem, to, decrease),
            Phase::Polish { to, polish } => self.polish(problem, to, polish),
            Phase::Straight(_) => self.end(Status::NoProgress),
            Phase::Ended(status) => self.end(status),
        }
    }

    /// As [`poll`](Self::poll), for a linear problem: the first step leads to the minimum, but
    /// for what rounding leaves of it.
    fn poll_linear<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Option<Status> {
        match &self.phase {
            Phase::Start | Phase::Scaled => {
                let first = matches!(self.phase, Phase::Start);
                self.normal = self.sums(problem, &self.params);
                if first && self.needs_scales() {
                    self.phase = Phase::Scales;
                    return None;
                }
                self.take_sums();
                let singular = self.determined();
                let step = self.normal.step();
                self.go_straight(step, f32::INFINITY, LINEAR_STEPS, singular)
            }
            Phase::Scales => match self.find_scales(problem) {
                Ok(()) => {
                    self.phase = Phase::Scaled;
                    None
                }
                Err(row) => self.end(Status::NotFinite { row }),
            },
            Phase::Straight(Straight {
                before,
                length,
                left,
                singular,
            }) => {
                let (before, last, left, singular) = (*before, *length, *left, *singular);
                self.params = as_seen_by(problem, self.params);
                self.residual_sums(problem);
                if !self.normal.is_finite() {
                    self.params = before;
                    return self.end(Status::NoProgress);
                }
                let (step, square) = self.normal.correction();
                let length = self.in_standard_errors(problem.rows(), square);
                let ends = self.is_exact()
                    || length < FINE
                    || length < CONVERGED && (length >= last || left == 0);
                let step = step.map(TwoFloat::from);
                if !(ends || left == 0) {
                    return self.go_straight(step, length, left - 1, singular);
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
    fn go_straight(
        &mut self,
        step: [TwoFloat; P],
        length: f32,
        left: u8,
        singular: Option<usize>,
    ) -> Option<Status> {
        let before = self.params;
        self.move_by(step);
        self.phase = Phase::Straight(Straight {
            before,
            length,
            left,
            singular,
        });
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
        let params = self.params.map(R::Scalar::from);
        let (columns, residuals) = (self.column_scale, self.residual_scale);
        let rows = (0..problem.rows()).map(
            #[inline(always)]
            |i| problem.row(i, &params).scaled(&columns, residuals),
        );
        self.normal.take_residuals(&Normal::of_rows::<false>(rows));
        for (jr, held) in self.normal.jr.iter_mut().zip(&self.held) {
            if *held != Held::Free {
                *jr = TwoFloat::ZERO;
            }
        }
    }

    /// The length of an undamped step where standard errors are 1, whose square,
    /// `sᵀ JᵀJ s`, is divided by the residuals' variance.
    fn in_standard_errors(&self, rows: usize, square: f32) -> f32 {
        let freedom = rows.saturating_sub(self.constraints.free()).max(1) as f32;
        Lanes::sqrt(freedom * square.max(0.0) / self.normal.rr.high())
    }

    /// What a minimum is called at which this parameter has this part of its square for its
    /// own.
    fn verdict(&self, (parameter, own): (usize, f32)) -> Status {
        if self.is_exact() {
            Status::Exact
        } else if ROUNDING > CONVERGED * Lanes::sqrt(own) {
            // As many standard errors as derivatives of `f32` may be off by.
            Status::IllConditioned { parameter }
        } else {
            self.at_bound().unwrap_or(Status::Converged)
        }
    }

    fn end(&mut self, status: Status) -> Option<Status> {
        if let Status::Singular { parameter } = status
            && let Some(held) = self.held.get_mut(parameter)
        {
            *held = Held::Undetermined;
        }
        self.phase = Phase::Ended(status);
        Some(status)
    }

    /// The sums with these parameters.
    #[inline(never)]
    fn sums<R: Problem<P> + ?Sized>(&self, problem: &R, params: &[TwoFloat; P]) -> Normal<P> {
        let params = params.map(R::Scalar::from);
        let (columns, residuals) = (self.column_scale, self.residual_scale);
        let rows = (0..problem.rows()).map(
            #[inline(always)]
            |i| problem.row(i, &params).scaled(&columns, residuals),
        );
        Normal::of_rows::<true>(rows)
    }

    /// The sums of another problem of the same size, at the parameters, and the scales of its
    /// columns and residuals.
    pub(super) fn sums_of<R: Problem<P> + ?Sized>(
        &self,
        problem: &R,
    ) -> (Normal<P>, ([f32; P], f32)) {
        let normal = self.sums(problem, &self.params.map(|p| f32::from(p).into()));
        (normal, (self.column_scale, self.residual_scale))
    }

    /// Whether squares of derivatives or residuals are none that pairs can hold.
    fn needs_scales(&self) -> bool {
        let fits = |square: f32| square > 1e-20 && square < 1e30;
        let mut columns = (0..P).map(|j| self.normal.diagonal(j));
        !fits(self.normal.rr.high()) || !columns.all(fits)
    }

    /// # Errors
    /// The first row of which something is not finite.
    #[cold]
    fn find_scales<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Result<(), usize> {
        let params = self.params.map(R::Scalar::from);
        let (mut largest, mut residual) = ([0.0_f32; P], 0.0_f32);
        for i in 0..problem.rows() {
            let row = problem.row(i, &params);
            let mut is_finite = row.residual.is_finite();
            for (largest, d) in largest.iter_mut().zip(row.derivatives) {
                *largest = largest.max(d.abs());
                is_finite &= d.is_finite();
            }
            residual = residual.max(row.residual.abs());
            if !is_finite {
                return Err(i);
            }
        }
        for (scale, largest) in self.column_scale.iter_mut().zip(largest) {
            *scale = 1.0 / power_of_two(largest);
        }
        self.residual_scale = 1.0 / power_of_two(residual);
        Ok(())
    }

    fn begin<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Option<Status> {
        self.take_sums();
        self.step(problem.rows())
    }

    /// Whether what is left is no more than rounding leaves of an exact fit.
    fn is_exact(&self) -> bool {
        self.normal.rr.high() <= self.normal.rounding
    }

    /// Holds what must be held at these parameters. Whether that is not the same as before.
    fn take_sums(&mut self) -> bool {
        let held = self.constraints.hold(&self.params, &mut self.normal);
        core::mem::replace(&mut self.held, held) != held
    }

    /// The undamped step.
    ///
    /// # Errors
    /// The parameter that data say nothing about.
    fn gauss_newton(&mut self) -> Result<[TwoFloat; P], usize> {
        self.solved(None)
    }

    /// A step of those parameters that no bound keeps from it.
    #[inline(never)]
    fn solved(&mut self, damping: Option<&[f32; P]>) -> Result<[TwoFloat; P], usize> {
        loop {
            match damping {
                None => self.normal.factor()?,
                Some(damping) => self.normal.factor_damped(damping)?,
            }
            let step = self.normal.step();
            let (normal, held) = (&mut self.normal, &mut self.held);
            if !(self.constraints).hold_beyond(&self.params, &step, normal, held) {
                return Ok(step);
            }
        }
    }

    /// Decides where to go from parameters that are taken.
    fn step(&mut self, rows: usize) -> Option<Status> {
        for (j, (norm, held)) in self.norms.iter_mut().zip(&self.held).enumerate() {
            if *held == Held::Free {
                *norm = norm.max(Lanes::sqrt(self.normal.diagonal(j)));
            }
        }
        if let Ok(step) = self.gauss_newton() {
            let decrease = self.normal.decrease(&step);
            if decrease <= AT_THE_BOTTOM * self.normal.rr.high() || self.is_exact() {
                return self.undamped(rows, step, Polish::NEW, None);
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
            for ((step, jr), damping) in step.iter().zip(&self.normal.jr).zip(&damping) {
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
        Lanes::sqrt(sum)
    }

    /// The longest step there may be.
    fn longest(&self) -> f32 {
        let mut scaled = self.params();
        for (p, scale) in scaled.iter_mut().zip(&self.column_scale) {
            *p *= self.residual_scale / scale;
        }
        let length = self.length(&scaled);
        let residual = Lanes::sqrt(self.normal.rr.high());
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
                decrease = self.normal.decrease(&undamped);
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
        let to = as_seen_by(problem, to);
        let trial = self.sums(problem, &to);
        let gained = (self.normal.rr - trial.rr).high();
        // Not if it is not a number, either.
        let leads_down = gained > 0.0 && trial.is_finite();
        if !leads_down {
            return self.reject(rows);
        }
        let ratio = gained / decrease;
        let far = 2.0 * ratio - 1.0;
        self.damping *= (1.0 - far * far * far).clamp(1.0 / 3.0, 2.0);
        self.growth = 2.0;
        self.params = to;
        self.normal = trial;
        self.take_sums();
        self.step(rows)
    }

    /// The undamped steps, as no step leads down any more as far as sums of squares can tell.
    #[cold]
    fn begin_polish(&mut self, rows: usize) -> Option<Status> {
        match self.gauss_newton() {
            Ok(step) => self.undamped(rows, step, Polish::NEW, None),
            Err(parameter) => self.end(Status::Singular { parameter }),
        }
    }

    /// Looks at an undamped step: the last one, or where to go on. One that is no shorter
    /// than that of the `best` parameters so far is not taken.
    #[inline(never)]
    fn undamped(
        &mut self,
        rows: usize,
        step: [TwoFloat; P],
        mut polish: Polish<P>,
        best: Option<Best<P>>,
    ) -> Option<Status> {
        let length = self.in_standard_errors(rows, self.normal.decrease(&step));
        let exact = self.is_exact();
        let (at, step) = (self.params, self.in_units(step.map(f32::from)));
        if exact || length < polish.shortest {
            polish.shortest = length;
            polish.step = step;
            polish.weakest = self.normal.weakest;
        } else {
            if let Some(best) = best {
                self.back_to(best);
            }
            if polish.shortest < CONVERGED {
                return self.converge(polish);
            }
        }
        if exact || polish.shortest < FINE || polish.left == 0 {
            return self.converge(polish);
        }
        polish.left -= 1;
        let mut norms = self.norms;
        for (norm, scale) in norms.iter_mut().zip(&self.column_scale) {
            *norm /= scale;
        }
        let mut to = polish.mixed(at, step, &norms);
        self.constraints.clamp(&mut to);
        self.phase = Phase::Polish { to, polish };
        None
    }

    fn back_to(&mut self, best: Best<P>) {
        self.params = best.params;
        self.normal = best.normal;
        self.held = best.held;
    }

    /// Takes the shortest step, and ends.
    fn converge(&mut self, polish: Polish<P>) -> Option<Status> {
        if !self.is_exact() && polish.shortest >= CONVERGED {
            return self.end(Status::NoProgress);
        }
        let status = self.verdict(polish.weakest);
        for (p, step) in self.params.iter_mut().zip(polish.step) {
            *p = *p + step;
        }
        self.constraints.clamp(&mut self.params);
        self.end(status)
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
        mut polish: Polish<P>,
    ) -> Option<Status> {
        let to = as_seen_by(problem, to);
        let here = self.sums(problem, &to);
        if !here.is_finite() {
            return self.end(Status::NoProgress);
        }
        let best = Best {
            params: core::mem::replace(&mut self.params, to),
            normal: core::mem::replace(&mut self.normal, here),
            held: self.held,
        };
        if self.take_sums() {
            // Among other parameters, the minimum is another one.
            polish.forget();
        }
        match self.gauss_newton() {
            Ok(step) => self.undamped(problem.rows(), step, polish, Some(best)),
            Err(parameter) => {
                self.back_to(best);
                self.end(Status::Singular { parameter })
            }
        }
    }

    fn solution<R: Problem<P> + ?Sized>(&mut self, problem: &R, status: Status) -> Solution<P> {
        Solution::new(
            (self.params(), status, self.passes),
            problem.rows(),
            (&mut self.normal, self.held),
            (&self.column_scale, self.residual_scale),
        )
    }
}

/// Parameters as the problem computes with them: steps begin there, and not at what `f32` does
/// not hold.
#[inline(always)]
fn as_seen_by<R: Problem<P> + ?Sized, const P: usize>(
    _: &R,
    mut params: [TwoFloat; P],
) -> [TwoFloat; P] {
    for p in &mut params {
        *p = R::Scalar::from(*p).into();
    }
    params
}

/// The parameters that have the shortest undamped step so far, with the sums there.
struct Best<const P: usize> {
    params: [TwoFloat; P],
    normal: Normal<P>,
    held: [Held; P],
}
