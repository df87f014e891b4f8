//! Robust losses, which limit the influence of outliers, and the detection of outliers.

use core::fmt;

use super::levenberg_marquardt::LevenbergMarquardt;
use super::problem::{Problem, Row};
use super::solution::{Solution, Status};
use crate::function::TwoFloat;
use crate::kernel::Lanes;

/// The loss of a residual: `f² ρ(z)` instead of its square, where `z = (residual / f)²` and `f`
/// is the size at which residuals begin to lose weight. These are `loss` and `f_scale` of
/// scipy's `least_squares`.
///
/// | | `ρ(z)` | `f` in standard deviations |
/// | --- | --- | --- |
/// | `Huber` | `z` up to 1, then `2 √z - 1` | 1.345 |
/// | `SoftL1` | `2 (√(1 + z) - 1)` | 1.3475 |
/// | `Cauchy` | `ln(1 + z)` | 2.3849 |
/// | `Tukey` | `(1 - (1 - z)³) / 3` up to 1, then 1/3 | 4.6851 |
///
/// With `f` from the last column and normal errors without outliers, the efficiency is 95 % of
/// that of least squares: standard errors are 2.6 % larger. (scipy has no Tukey loss; this is
/// that of R and statsmodels, scaled so that `ρ'(0)` is 1.)
///
/// Huber and SoftL1 bound the influence of a residual. Cauchy and Tukey are redescending:
/// beyond some size, the influence of a residual falls again, with Tukey to 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RobustLoss {
    /// Quadratic up to `f`, linear beyond.
    Huber,
    /// A smooth version of `Huber`.
    SoftL1,
    /// Logarithmic from about `f` on.
    Cauchy,
    /// Constant from `f` on: larger residuals have no influence.
    Tukey,
}

/// The loss of a residual, and its derivatives.
struct Counted {
    /// `ρ(z) / z`.
    part: f32,
    /// `ρ'(z)`: the weight of the residual.
    weight: f32,
    /// The derivative of weight times residual, `ρ' + 2 z ρ''`.
    slope: f32,
}

impl RobustLoss {
    /// The `f` in units of the standard deviation of normal residuals: see [`RobustLoss`].
    #[must_use]
    pub fn tuning(self) -> f32 {
        match self {
            RobustLoss::Huber => 1.345,
            RobustLoss::SoftL1 => 1.3475,
            RobustLoss::Cauchy => 2.3849,
            RobustLoss::Tukey => 4.6851,
        }
    }

    /// `ρ(z)`.
    #[must_use]
    pub fn rho(self, z: f32) -> f32 {
        self.counted(z).part * z
    }

    /// `ρ'(z)`: the weight of a residual in iteratively reweighted least squares.
    #[must_use]
    pub fn weight(self, z: f32) -> f32 {
        self.counted(z).weight
    }

    fn counted(self, z: f32) -> Counted {
        let [part, weight, slope] = match self {
            RobustLoss::Huber if z <= 1.0 => [1.0; 3],
            RobustLoss::Huber => {
                let inverse = 1.0 / Lanes::sqrt(z);
                [inverse * (2.0 - inverse), inverse, 0.0]
            }
            // Written as a quotient, which keeps the digits of a small z.
            RobustLoss::SoftL1 => {
                let root = Lanes::sqrt(1.0 + z);
                let weight = 1.0 / root;
                [2.0 / (1.0 + root), weight, weight * weight * weight]
            }
            RobustLoss::Cauchy => {
                let weight = 1.0 / (1.0 + z);
                let part = if z > 0.0 { libm::log1pf(z) / z } else { 1.0 };
                [part, weight, (1.0 - z) * weight * weight]
            }
            RobustLoss::Tukey if z < 1.0 => {
                let rest = 1.0 - z;
                [
                    1.0 - z * (1.0 - z / 3.0),
                    rest * rest,
                    rest * (1.0 - 5.0 * z),
                ]
            }
            RobustLoss::Tukey => [1.0 / (3.0 * z), 0.0, 0.0],
        };
        Counted {
            part,
            weight,
            slope,
        }
    }
}

/// A problem with a [`RobustLoss`], as a least-squares problem with the residuals `± f √ρ(z)`,
/// whose squares are the losses.
///
/// The solver's sum of squares is the sum of losses. Its standard errors, computed from the
/// modified residuals, are too small or too large: [`RobustFit`] corrects them.
#[derive(Clone, Copy, Debug)]
pub struct Robust<'a, R: ?Sized> {
    problem: &'a R,
    loss: RobustLoss,
    f_scale: f32,
}

impl<'a, R: ?Sized> Robust<'a, R> {
    /// Takes the problem, the loss, and the size at which residuals begin to lose weight.
    #[must_use]
    pub fn new(problem: &'a R, loss: RobustLoss, f_scale: f32) -> Self {
        Robust {
            problem,
            loss,
            f_scale,
        }
    }

    fn z(&self, residual: f32) -> f32 {
        let ratio = residual / self.f_scale;
        let z = ratio * ratio;
        // A limit that keeps z finite.
        if z > 1e30 { 1e30 } else { z }
    }
}

impl<R: Problem<P> + ?Sized, const P: usize> Problem<P> for Robust<'_, R> {
    type Scalar = R::Scalar;

    fn rows(&self) -> usize {
        self.problem.rows()
    }

    fn row(&self, i: usize, p: &[Self::Scalar; P]) -> Row<P> {
        let mut row = self.problem.row(i, p);
        let Counted { part, weight, .. } = self.loss.counted(self.z(row.residual));
        let root = Lanes::sqrt(part);
        row.residual *= root;
        for d in &mut row.derivatives {
            *d *= weight / root;
        }
        row
    }
}

/// A fit that is insensitive to outliers: minimises a [`RobustLoss`] whose scale is estimated
/// from the residuals.
///
/// ```
/// use baregrad::function::models::Line;
/// use baregrad::least_squares::{CurveFit, RobustLoss, RobustFit};
///
/// let x = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let y = [0.1, 0.9, 2.1, 53.0, 3.9, 5.1, 5.9]; // the fourth is off by 50
/// let readings = CurveFit::new(Line, &x, &y);
/// let fit = RobustFit::new([1.0, 0.0], RobustLoss::Tukey).run(&readings);
/// let [w, b] = fit.solution().params();
/// assert!((w - 1.0).abs() < 0.02 && b.abs() < 0.1);
/// let outlier = fit.outliers(&readings, 5.0).next().unwrap();
/// assert_eq!(outlier.row, 3);
/// ```
///
/// # Scale
///
/// The standard deviation of the good residuals is estimated as 1.4826 times the median of the
/// absolute residuals (their median absolute deviation from 0), which is consistent for normal
/// residuals; up to half of the residuals may be arbitrary. The median is found by counting, in
/// 8 passes over the rows if their number is odd and 16 if it is even, without memory for the
/// residuals. The first fit uses least squares. Fits with Huber's loss follow, and the scale is
/// estimated anew after each, until it no longer changes. From there, the last fit uses the
/// requested loss. [`f_scale`](Self::f_scale) skips the estimation and leaves a single fit, as
/// in scipy.
///
/// # Standard errors
///
/// The covariance is that of an M-estimator: `K² Σψ² / (n - p) / (Σψ' / n)² (JᵀJ)⁻¹`, where `ψ`
/// is a residual times its weight and `K = 1 + p var(ψ') / (n mean(ψ')²)` (P. J. Huber, "Robust
/// Statistics", 1981, section 7.6; `cov="H1"` of statsmodels' `RLM`). The residual standard
/// deviation of the solution is the root of the factor before `(JᵀJ)⁻¹`.
///
/// # Choice of the loss
///
/// If any one of eleven readings of a thermometer is off by 100 °C, every loss identifies it as
/// an outlier. With Tukey's loss, the line is within 2 % of the least-squares line through the
/// other ten readings; with Cauchy's within 5 %. With the two losses that only bound the
/// influence of a residual, the line is off by up to 32 % if the reading is at an end of the
/// range. No loss recovers the information of the lost reading: without the coldest one, the
/// line moves by 10 %.
///
/// An outlier among the inputs, far from all other inputs, draws the curve to itself. No loss
/// of residuals prevents this.
#[derive(Clone, Debug)]
pub struct RobustFit<const P: usize> {
    solver: LevenbergMarquardt<P>,
    loss: RobustLoss,
    /// The estimated scale of the residuals, or the one that follows from a given `f_scale`.
    scale: f32,
    f_scale: f32,
    stage: Stage,
    passes: u32,
    max_passes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Least squares.
    Squares,
    /// Huber's loss, for at most `left` further fits.
    Scale { left: u8 },
    /// The requested loss.
    Last,
}

/// The relative change of the scale below which it counts as settled.
const SETTLED: f32 = 1e-3;
/// The maximum number of further fits that estimate the scale.
const ROUNDS: u8 = 20;

impl<const P: usize> RobustFit<P> {
    /// Starts at `params`.
    #[must_use]
    pub fn new(params: [f32; P], loss: RobustLoss) -> Self {
        RobustFit {
            solver: LevenbergMarquardt::new(params),
            loss,
            scale: 0.0,
            f_scale: 0.0,
            stage: Stage::Squares,
            passes: 0,
            max_passes: 1000,
        }
    }

    /// Sets the size at which residuals begin to lose weight, in their unit (in standard
    /// deviations, if the problem divides by them), as in scipy's `least_squares`. The scale is
    /// then not estimated.
    #[must_use]
    pub fn f_scale(self, f_scale: f32) -> Self {
        RobustFit {
            f_scale,
            scale: f_scale / self.loss.tuning(),
            stage: Stage::Last,
            ..self
        }
    }

    /// Limits each fit to this number of passes over the rows. Default: 1000.
    #[must_use]
    pub fn max_passes(self, passes: u32) -> Self {
        RobustFit {
            solver: self.solver.max_passes(passes),
            max_passes: passes,
            ..self
        }
    }

    /// The current parameters.
    #[must_use]
    pub fn params(&self) -> [f32; P] {
        self.solver.params()
    }

    /// Polls until the fit ends.
    pub fn run<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> RobustSolution<P> {
        loop {
            if let Some(status) = self.poll(problem) {
                return self.solution(problem, status);
            }
        }
    }

    /// Goes through the rows once or, at the end of a fit, additionally as often as the median
    /// needs. Returns the reason when the last fit has ended.
    pub fn poll<R: Problem<P> + ?Sized>(&mut self, problem: &R) -> Option<Status> {
        let status = match self.stage {
            Stage::Squares => self.solver.poll(problem)?,
            Stage::Scale { .. } => {
                let f_scale = RobustLoss::Huber.tuning() * self.scale;
                self.solver
                    .poll(&Robust::new(problem, RobustLoss::Huber, f_scale))?
            }
            Stage::Last => {
                let robust = Robust::new(problem, self.loss, self.f_scale);
                return self.solver.poll(&robust);
            }
        };
        let is_hopeless = matches!(
            status,
            Status::TooFewRows | Status::NotFinite { .. } | Status::Singular { .. }
        );
        if is_hopeless {
            return Some(status);
        }
        let scale = residual_scale(problem, &self.params());
        // Without a positive, finite scale the residuals cannot be weighted: most of them are
        // 0, or one is not finite.
        let is_number = scale > 0.0 && scale.is_finite();
        let before = core::mem::replace(&mut self.scale, scale);
        if !is_number {
            return Some(status);
        }
        self.stage = match self.stage {
            Stage::Squares => Stage::Scale { left: ROUNDS },
            Stage::Scale { left } if left > 0 && (scale - before).abs() > SETTLED * scale => {
                Stage::Scale { left: left - 1 }
            }
            _ => Stage::Last,
        };
        self.f_scale = self.loss.tuning() * scale;
        self.passes += self.solver.passes();
        self.solver = LevenbergMarquardt::new(self.params()).max_passes(self.max_passes);
        None
    }

    fn solution<R: Problem<P> + ?Sized>(
        &mut self,
        problem: &R,
        status: Status,
    ) -> RobustSolution<P> {
        let passes = self.passes + self.solver.passes();
        let params = self.params();
        // The sums for the original residuals, without a loss.
        let (normal, scales) = self.solver.sums_of(problem);
        let mut sums = [TwoFloat::ZERO; 3];
        let is_weighed = self.f_scale > 0.0;
        let by_loss = Robust::new(problem, self.loss, self.f_scale);
        let at = params.map(|p| R::Scalar::from(TwoFloat::from(p)));
        let rows = problem.rows();
        for i in 0..rows {
            let residual = problem.row(i, &at).residual;
            let (weight, slope) = match self.loss.counted(by_loss.z(residual)) {
                counted if is_weighed => (counted.weight, counted.slope),
                _ => (1.0, 1.0),
            };
            let psi = TwoFloat::from(weight * residual * scales.1);
            let slope = TwoFloat::from(slope);
            for (sum, term) in sums.iter_mut().zip([psi * psi, slope, slope * slope]) {
                *sum = *sum + term;
            }
        }
        let [squares, slope, slopes] = sums.map(f32::from);
        let n = rows as f32;
        let mean = slope / n;
        let variance = (slopes / n - mean * mean).max(0.0);
        let k = 1.0 + P as f32 * variance / (n * mean * mean);
        normal.residual.rr = TwoFloat::from(squares * (k / mean) * (k / mean));
        let solution = Solution::new(
            (params, status, passes),
            rows,
            (normal, [super::Held::Free; P]),
            (&scales.0, scales.1),
        );
        RobustSolution {
            solution,
            scale: self.scale,
            f_scale: self.f_scale,
        }
    }
}

/// The solution of a robust fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RobustSolution<const P: usize> {
    solution: Solution<P>,
    scale: f32,
    f_scale: f32,
}

impl<const P: usize> RobustSolution<P> {
    /// The parameters, with the standard errors that [`RobustFit`] describes.
    #[must_use]
    pub fn solution(&self) -> Solution<P> {
        self.solution
    }

    /// The standard deviation of the good residuals.
    #[must_use]
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// The size at which residuals began to lose weight.
    #[must_use]
    pub fn f_scale(&self) -> f32 {
        self.f_scale
    }

    /// The rows whose residuals exceed `limit` standard deviations of the good residuals, in
    /// order. Among normal residuals, 1 in 370 is beyond 3 standard deviations, and 1 in 1.7
    /// million beyond 5.
    pub fn outliers<'a, R: Problem<P> + ?Sized>(
        &self,
        problem: &'a R,
        limit: f32,
    ) -> impl Iterator<Item = Outlier> + use<'a, R, P> {
        outliers(problem, self.solution.params(), self.scale, limit)
    }
}

/// A row with an outlying residual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlier {
    /// The row, from 0.
    pub row: usize,
    /// The prediction minus the observation, times the row's weight.
    pub residual: f32,
    /// The residual in standard deviations.
    pub standardised: f32,
}

impl fmt::Display for Outlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "row {}: off by {}, {:.1} standard deviations",
            self.row,
            -self.residual,
            self.standardised.abs()
        )
    }
}

/// The rows whose residuals exceed `limit` times `scale`, in order, for any fit. `scale` is its
/// [residual standard deviation](Solution::residual_standard_deviation) or a
/// [`residual_scale`]. Residuals that are NaN are included.
pub fn outliers<'a, R: Problem<P> + ?Sized, const P: usize>(
    problem: &'a R,
    params: [f32; P],
    scale: f32,
    limit: f32,
) -> impl Iterator<Item = Outlier> + use<'a, R, P> {
    let params = params.map(|p| R::Scalar::from(TwoFloat::from(p)));
    (0..problem.rows()).filter_map(move |row| {
        let residual = problem.row(row, &params).residual;
        let standardised = residual / scale;
        let is_within = standardised.abs() <= limit || residual == 0.0;
        (!is_within).then_some(Outlier {
            row,
            residual,
            standardised,
        })
    })
}

/// The standard deviation of residuals of which most are normal and the rest are arbitrary:
/// 1.4826 times the median of their absolute values. See [`RobustFit`].
pub fn residual_scale<R: Problem<P> + ?Sized, const P: usize>(
    problem: &R,
    params: &[f32; P],
) -> f32 {
    let params = params.map(|p| R::Scalar::from(TwoFloat::from(p)));
    let rows = problem.rows();
    let of_rank = |rank: usize| {
        // Absolute values have the order of their bits. Each pass finds four bits of the
        // result.
        let (mut found, mut rank) = (0_u32, rank);
        for shift in (0..32).step_by(4).rev() {
            let mut counts = [0_usize; 16];
            for i in 0..rows {
                let bits = problem.row(i, &params).residual.abs().to_bits();
                if (bits ^ found) >> shift < 16
                    && let Some(count) = counts.get_mut((bits >> shift & 15) as usize)
                {
                    *count += 1;
                }
            }
            for (digit, count) in counts.iter().enumerate() {
                if rank < *count {
                    found |= (digit as u32) << shift;
                    break;
                }
                rank -= count;
            }
        }
        f32::from_bits(found)
    };
    let upper = of_rank(rows / 2);
    let median = match rows % 2 {
        0 if rows > 0 => 0.5 * (of_rank(rows / 2 - 1) + upper),
        _ => upper,
    };
    1.4826 * median
}
