//! Levenberg–Marquardt with geodesic acceleration, and what it takes to end at the minimum
//! in `f32`.
//!
//! | | |
//! | --- | --- |
//! | here | the solver as a value: builders, polling, the sums of a pass, the end |
//! | `damped` | trial steps: damping, acceleration, whether one is taken |
//! | `bottom` | undamped steps where no other leads down any more, and when they end |
//! | `mixing` | how those are mixed |
//! | `straight` | linear problems, which need no more than such steps |
//! | `scales` | columns whose squares `f32` does not hold |

mod bottom;
mod damped;
mod mixing;
mod scales;
mod straight;

use super::bounds::{Bounds, Constraints, Held, Unbounded};
use super::normal::{At, Normal, Residuals};
use super::problem::Problem;
use super::solution::{Solution, Status};
use crate::function::TwoFloat;
use crate::kernel::Lanes;
use mixing::Polish;

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
    /// The best so far.
    params: [TwoFloat; P],
    normal: Normal<P>,
    /// Whether the sums are those of other parameters: of an undamped step that was not
    /// taken. They are summed again for the solution, which needs no room for a second matrix.
    elsewhere: bool,
    /// Powers of two by which derivatives and residuals are multiplied, so that their
    /// squares are numbers.
    column_scale: [f32; P],
    residual_scale: f32,
    /// The largest norm that each column of the Jacobian had.
    norms: [f32; P],
    damping: f32,
    growth: f32,
    phase: Phase,
    /// Where a step leads, whose sums are those of the next pass; of a linear problem, where
    /// it began.
    to: [TwoFloat; P],
    /// The damped step, before it is bent.
    step: [f32; P],
    /// By how much a step is expected to take off the sum of squares.
    decrease: f32,
    polish: Polish<P>,
    passes: u32,
    max_passes: u32,
}

/// The work of the next pass.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The first sums.
    Start,
    /// Largest derivatives, as the first sums were no numbers, or too small.
    Scales,
    /// The sums once scales are known.
    Scaled,
    /// How a step bends.
    Acceleration,
    /// The sums where a step leads.
    Trial,
    /// The sums after an undamped step.
    Polish,
    /// The sums in which residuals are, after the step of a linear problem.
    Straight(straight::Steps),
    Ended(Status),
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
            elsewhere: false,
            column_scale: [1.0; P],
            residual_scale: 1.0,
            norms: [0.0; P],
            damping: damped::START,
            growth: 2.0,
            phase: Phase::Start,
            to: [TwoFloat::ZERO; P],
            step: [0.0; P],
            decrease: 0.0,
            polish: Polish::NEW,
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
            elsewhere: self.elsewhere,
            column_scale: self.column_scale,
            residual_scale: self.residual_scale,
            norms: self.norms,
            damping: self.damping,
            growth: self.growth,
            phase: self.phase,
            to: self.to,
            step: self.step,
            decrease: self.decrease,
            polish: self.polish,
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
    /// assert!(RAM < 9 * 9 * 8 + 9 * 110 + 200); // a matrix of pairs, and a few columns
    /// ```
    #[must_use]
    pub const fn ram() -> usize {
        // The solver, and the sums at trial parameters.
        size_of::<Self>() + size_of::<Residuals<P>>()
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
        match self.phase {
            Phase::Start => {
                self.constraints.clamp(&mut self.params);
                self.sum(problem);
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
                self.sum(problem);
                self.begin(problem)
            }
            Phase::Acceleration => self.accelerate(problem),
            Phase::Trial => self.judge(problem),
            Phase::Polish => self.polish(problem),
            Phase::Straight(_) => self.end(Status::NoProgress),
            Phase::Ended(status) => self.end(status),
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

    /// The sums at other parameters, beside those of the best so far.
    #[inline(never)]
    fn sum_beside<R: Problem<P> + ?Sized>(
        &mut self,
        problem: &R,
        params: &[TwoFloat; P],
    ) -> Residuals<P> {
        let at = At {
            params: &params.map(R::Scalar::from),
            columns: &self.column_scale,
            residuals: self.residual_scale,
        };
        self.normal.sum_beside(problem, &at)
    }

    /// The sums at the parameters.
    fn sum<R: Problem<P> + ?Sized>(&mut self, problem: &R) {
        let params = self.params;
        let residuals = self.sum_beside(problem, &params);
        self.normal.take(residuals);
        self.elsewhere = false;
    }

    /// The sums of another problem of the same size, at the parameters, and the scales of its
    /// columns and residuals. The solver's own are gone then.
    pub(super) fn sums_of<R: Problem<P> + ?Sized>(
        &mut self,
        problem: &R,
    ) -> (&mut Normal<P>, ([f32; P], f32)) {
        self.params = self.params.map(|p| f32::from(p).into());
        self.sum(problem);
        let scales = (self.column_scale, self.residual_scale);
        (&mut self.normal, scales)
    }

    fn begin<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Option<Status> {
        self.take_sums();
        self.step(problem.rows())
    }

    /// Whether what is left is no more than rounding leaves of an exact fit.
    fn is_exact(&self) -> bool {
        self.normal.residual.rr.high() <= self.normal.residual.rounding
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

    /// The length of an undamped step where standard errors are 1, whose square,
    /// `sᵀ JᵀJ s`, is divided by the residuals' variance.
    fn in_standard_errors(&self, rows: usize, square: f32) -> f32 {
        let freedom = rows.saturating_sub(self.constraints.free()).max(1) as f32;
        Lanes::sqrt(freedom * square.max(0.0) / self.normal.residual.rr.high())
    }

    /// A step in the units of the parameters.
    fn in_units(&self, mut step: [f32; P]) -> [f32; P] {
        for (step, scale) in step.iter_mut().zip(&self.column_scale) {
            *step *= scale / self.residual_scale;
        }
        step
    }

    fn solution<R: Problem<P> + ?Sized>(&mut self, problem: &R, status: Status) -> Solution<P> {
        if self.elsewhere {
            self.sum(problem);
            for (j, held) in self.held.iter().enumerate() {
                if !matches!(held, Held::Free | Held::Undetermined) {
                    self.normal.hold(j);
                }
            }
        }
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
