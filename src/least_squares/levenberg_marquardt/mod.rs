//! Levenberg–Marquardt with geodesic acceleration, and the last steps to the minimum in `f32`.
//!
//! | module | |
//! | --- | --- |
//! | here | the solver as a value: builders, polling, the sums of a pass, the end |
//! | `damped` | trial steps: damping, acceleration, acceptance |
//! | `bottom` | undamped steps once no trial step leads down, and their end |
//! | `mixing` | Anderson mixing of the undamped steps |
//! | `linear` | linear problems, which take undamped steps only |
//! | `scales` | scaling of columns whose squares are out of the range of `f32` |

mod bottom;
mod damped;
mod linear;
mod mixing;
mod scales;

use super::bounds::{Bounds, Constraints, Held, Unbounded};
use super::normal::{At, Normal, Residuals};
use super::problem::Problem;
use super::solution::{Solution, Status};
use crate::function::TwoFloat;
use crate::kernel::Lanes;
use mixing::Polish;

/// The solver: parameters on their way to the minimum of the sum of squares.
///
/// The solver is a value that is polled: each [`poll`](Self::poll) goes through the rows once,
/// so that firmware can do something else in between. [`run`](Self::run) polls until the fit
/// ends.
///
/// The solver sums the normal equations in pairs of `f32`. Damping uses Marquardt's running
/// maximum of the column norms (J. J. Moré, "The Levenberg–Marquardt algorithm: implementation
/// and theory", 1978) and Nielsen's update (H. B. Nielsen, "Damping parameter in Marquardt's
/// method", 1999). Steps are corrected by the geodesic acceleration (M. K. Transtrum and J. P.
/// Sethna, "Improvements to the Levenberg–Marquardt algorithm for nonlinear least-squares
/// minimization", 2012).
///
/// Near a minimum the sum of squares hardly depends on the parameters, so that its `f32` values
/// no longer show the distance to the minimum. The last steps are therefore undamped
/// Gauss–Newton steps, mixed by Anderson's method, until one is a small part of the parameters'
/// standard errors.
///
/// For a [linear](Problem::is_linear) problem, such as a line or a polynomial, the solver takes
/// Gauss–Newton steps only: the first leads to the minimum.
#[derive(Clone, Debug)]
pub struct LevenbergMarquardt<const P: usize, C = Unbounded> {
    constraints: C,
    /// The state of each parameter; steps move only free ones.
    held: [Held; P],
    /// The best parameters so far.
    params: [TwoFloat; P],
    normal: Normal<P>,
    /// Whether the sums belong to the parameters of a rejected undamped step. They are computed
    /// again for the solution; that saves the memory of a second matrix.
    elsewhere: bool,
    /// Powers of two by which derivatives and residuals are multiplied, so that their squares
    /// neither overflow nor underflow.
    column_scale: [f32; P],
    residual_scale: f32,
    /// The largest norm so far of each column of the Jacobian.
    norms: [f32; P],
    damping: f32,
    growth: f32,
    phase: Phase,
    /// The parameters after the proposed step, at which the next pass computes the sums. In a
    /// linear problem, the parameters before the step.
    to: [TwoFloat; P],
    /// The damped step, without acceleration.
    step: [f32; P],
    /// The expected decrease of the sum of squares by the step.
    decrease: f32,
    polish: Polish<P>,
    passes: u32,
    max_passes: u32,
}

/// The task of the next pass.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Compute the first sums.
    Start,
    /// Find the largest derivatives, because the first sums overflowed or underflowed.
    Scales,
    /// Compute the sums with the scales.
    Scaled,
    /// Compute the acceleration of the step.
    Acceleration,
    /// Compute the sums at the end of the step.
    Trial,
    /// Compute the sums after an undamped step.
    Polish,
    /// Compute the sums that depend on residuals, after a step of a linear problem.
    Straight(linear::Steps),
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

    /// Keeps parameters within bounds, like `bounds` of scipy's `curve_fit`. Infinite bounds
    /// have no effect. A start out of bounds is moved to the nearest bound.
    ///
    /// If the solution is at a bound, its status is [`Status::AtBound`], and [`Solution::held`]
    /// returns which parameters are at which bound. These parameters count as fixed in the
    /// standard errors of the others.
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
    /// // Without bounds, the constant would be -0.13.
    /// assert_eq!(solution.params()[1], 0.0);
    /// assert_eq!(solution.held(), [Held::Free, Held::AtLower]);
    /// ```
    #[must_use]
    pub fn bounds(self, lower: [f32; P], upper: [f32; P]) -> LevenbergMarquardt<P, Bounds<P>> {
        self.within(Bounds::NONE.bounds(lower, upper))
    }

    /// Fixes the parameters whose element of `fixed` is true. Standard errors and degrees of
    /// freedom are computed for the other parameters.
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
    /// Replaces the bounds: see [`bounds`](LevenbergMarquardt::bounds).
    #[must_use]
    pub fn bounds(self, lower: [f32; P], upper: [f32; P]) -> Self {
        LevenbergMarquardt {
            constraints: self.constraints.bounds(lower, upper),
            ..self
        }
    }

    /// Replaces the fixed parameters: see [`fixed`](LevenbergMarquardt::fixed).
    #[must_use]
    pub fn fixed(self, fixed: [bool; P]) -> Self {
        LevenbergMarquardt {
            constraints: self.constraints.fixed(fixed),
            ..self
        }
    }
}

impl<const P: usize, C: Constraints<P>> LevenbergMarquardt<P, C> {
    /// The bytes of RAM that a fit takes: the solver, and the sums that a poll keeps on the
    /// stack. Stack frames and the model's own variables come on top.
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

    /// Ends the fit after this number of passes over the rows. Default: 1000.
    #[must_use]
    pub fn max_passes(mut self, passes: u32) -> Self {
        self.max_passes = passes;
        self
    }

    /// Sets [`max_passes`](Self::max_passes) in place.
    pub fn set_max_passes(&mut self, passes: u32) {
        self.max_passes = passes;
    }

    /// The current parameters, the best that were found.
    #[must_use]
    pub fn params(&self) -> [f32; P] {
        self.params.map(f32::from)
    }

    /// The number of passes over the rows.
    #[must_use]
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// Polls until the fit ends.
    pub fn run<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Solution<P> {
        loop {
            if let Some(status) = self.poll(problem) {
                return self.solution(problem, status);
            }
        }
    }

    /// Goes through the rows once. Returns the reason when the fit has ended, otherwise `None`.
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
            // `is_linear` is a constant after inlining: the solver of linear problems links no
            // code from below.
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
            Phase::Trial => self.accept_or_reject(problem),
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

    /// Computes the sums at other parameters and keeps the sums of the best parameters.
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

    /// Computes the sums at the current parameters.
    fn sum<R: Problem<P> + ?Sized>(&mut self, problem: &R) {
        let params = self.params;
        let residuals = self.sum_beside(problem, &params);
        self.normal.take(residuals);
        self.elsewhere = false;
    }

    /// Computes the sums of another problem of the same size at the current parameters.
    /// Replaces the solver's own sums. Returns them, and the scales of columns and residuals.
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
        self.apply_constraints();
        self.step(problem.rows())
    }

    /// Whether the sum of squares is no larger than the rounding errors of an exact fit.
    fn is_exact(&self) -> bool {
        self.normal.residual.rr.high() <= self.normal.residual.rounding
    }

    /// Applies the constraints to the sums. Returns whether the state of a parameter changed.
    fn apply_constraints(&mut self) -> bool {
        let held = self.constraints.hold(&self.params, &mut self.normal);
        core::mem::replace(&mut self.held, held) != held
    }

    /// The undamped step.
    ///
    /// # Errors
    /// The first parameter that the data do not determine.
    fn gauss_newton(&mut self) -> Result<[TwoFloat; P], usize> {
        self.solved(None)
    }

    /// Computes the step of the parameters that no bound holds. Each parameter that the step
    /// would move beyond its bound is held, and the step computed again.
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

    /// The length of an undamped step `s` in standard errors. `square` is `sᵀ JᵀJ s`, which is
    /// divided by the variance of the residuals.
    fn in_standard_errors(&self, rows: usize, square: f32) -> f32 {
        let freedom = rows.saturating_sub(self.constraints.free()).max(1) as f32;
        Lanes::sqrt(freedom * square.max(0.0) / self.normal.residual.rr.high())
    }

    /// Converts a step to the units of the parameters.
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

/// Rounds parameters to the precision of the problem, so that steps start where residuals were
/// computed.
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
