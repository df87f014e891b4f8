//! Straight lines through points with errors in both coordinates.

use core::fmt;

use super::inference::{Estimate, InferenceError, hypotenuse};
use super::normal::power_of_two;
use super::range::{require, require_value};
use super::{OutOfRange, StudentT};
use crate::function::{Real, TwoFloat};

/// The maximum number of iterations of York's equation.
const STEPS: u16 = 500;
/// The iteration ends when a step is at most `SMALL` times the slope's standard error, or at
/// most `ROUNDING`, the rounding error of pairs, times the slope.
const SMALL: f32 = 1e-9;
const ROUNDING: f32 = 1e-12;

/// Points with a standard deviation of each coordinate. [`fit`](Self::fit) computes the maximum
/// likelihood straight line through them by York's method.
///
/// ```
/// use baregrad::least_squares::York;
///
/// // The example of ISO/TS 28037:2010, clause 8.
/// let line = York {
///     x: &[1.2, 1.9, 2.9, 4.0, 4.7, 5.9],
///     y: &[3.4, 4.4, 7.2, 8.5, 10.8, 13.5],
///     sigma_x: &[0.2],
///     sigma_y: &[0.2, 0.2, 0.2, 0.4, 0.4, 0.4],
///     correlation: &[],
/// }
/// .fit()?;
/// assert_eq!(format!("{:.4} {:.4}", line.intercept(), line.slope()), "0.5788 2.1597");
/// let [slope, intercept] = line.standard_errors();
/// assert_eq!(format!("{intercept:.4} {slope:.4}"), "0.4764 0.1355");
/// # Ok::<(), baregrad::least_squares::LineError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct York<'a> {
    /// The abscissas of the points, `[n]`.
    pub x: &'a [f32],
    /// The ordinates of the points, `[n]`.
    pub y: &'a [f32],
    /// The standard deviation of each abscissa, in its unit: `[n]`, or `[1]` if it is the same
    /// for all. 0 means that the abscissa is exact.
    pub sigma_x: &'a [f32],
    /// The standard deviation of each ordinate, likewise.
    pub sigma_y: &'a [f32],
    /// The correlation of the two errors of a point, between -1 and 1: `[n]` or `[1]`, or `&[]`
    /// if the errors are independent.
    pub correlation: &'a [f32],
}

/// A straight line, and its uncertainties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StraightLine {
    slope: f32,
    intercept: f32,
    /// The abscissa at which the line's standard error is smallest: the weighted mean of the
    /// adjusted abscissas.
    center: f32,
    /// The standard errors of the slope and of the ordinate at `center`, which are
    /// uncorrelated.
    errors: [f32; 2],
    /// The root of the weighted sum of squares.
    norm: f32,
    rows: usize,
    distribution: StudentT,
}

/// The reason why there is no line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum LineError {
    /// The slices have different lengths.
    Rows {
        /// The number of abscissas.
        expected: usize,
        /// The length of the other slice.
        found: usize,
    },
    /// Fewer than three points. Two points determine a line, but no uncertainties.
    TooFewPoints(usize),
    /// A number in a row is outside its valid range.
    OutOfRange {
        /// The row, from 0.
        row: usize,
        /// The reason.
        error: OutOfRange,
    },
    /// The points do not determine a slope: all coincide, or all have the same abscissa.
    Undetermined,
    /// The iteration of the slope did not converge.
    NotConverged,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::Rows { expected, found } => {
                write!(
                    f,
                    "points: expected {expected} of each number, found {found}"
                )
            }
            LineError::TooFewPoints(found) => {
                write!(f, "points: expected 3 or more, found {found}")
            }
            LineError::OutOfRange { row, error } => write!(f, "row {row}: {error}"),
            LineError::Undetermined => f.write_str(
                "points: expected some whose abscissas differ and that tell a slope, found none \
                 of the kind",
            ),
            LineError::NotConverged => f.write_str(
                "line: expected a slope that more steps do not change, found none: exchange x \
                 and y if the line is steep, or look at the standard deviations",
            ),
        }
    }
}

impl core::error::Error for LineError {}

/// A point, its variances and covariance, scaled to the range of pairs.
struct Point {
    x: TwoFloat,
    y: TwoFloat,
    xx: TwoFloat,
    yy: TwoFloat,
    xy: TwoFloat,
}

impl Point {
    /// The reciprocal of the variance of the distance, in y, from a line with this slope.
    fn weight(&self, slope: TwoFloat) -> TwoFloat {
        1.0 / (self.yy + slope * (slope * self.xx - 2.0 * self.xy))
    }
}

/// Sums over the points, for a line with one slope.
struct Sums {
    mean: [TwoFloat; 2],
    weights: TwoFloat,
    /// The slope of the next iteration.
    slope: TwoFloat,
    /// The weighted mean of the adjusted abscissas.
    center: TwoFloat,
    /// The weighted sum of squares of the adjusted abscissas about their mean.
    spread: TwoFloat,
    chi_squared: TwoFloat,
}

impl York<'_> {
    /// Fits the line.
    ///
    /// The slope is the fixed point of York's equation; standard errors are computed at the
    /// adjusted points (D. York, N. M. Evensen, M. L. Martínez and J. De Basabe Delgado,
    /// "Unified equations for the slope, intercept, and standard errors of the best straight
    /// line", 2004). The given standard deviations are taken as correct;
    /// [`chi_squared`](StraightLine::chi_squared) shows if the distances of the points agree
    /// with them. The computation uses pairs of `f32`.
    ///
    /// # Errors
    /// Slices of different lengths, fewer than three points, numbers outside their valid range,
    /// points that do not determine a slope, or an iteration that does not converge.
    pub fn fit(&self) -> Result<StraightLine, LineError> {
        let (units, rows) = (self.units()?, self.x.len());
        let point = |i| self.point(i, units);
        // The iteration starts at the slope for mean variances, which has a closed form.
        let (mut xx, mut yy) = (TwoFloat::ZERO, TwoFloat::ZERO);
        for i in 0..rows {
            let point = point(i);
            (xx, yy) = (xx + point.xx, yy + point.yy);
        }
        let mut slope = deming_slope(point, rows, xx, yy).ok_or(LineError::Undetermined)?;
        for _ in 0..STEPS {
            let sums = Sums::of(point, rows, slope);
            let error = 1.0 / libm::sqrtf(sums.spread.high());
            if !(sums.slope.is_finite() && error.is_finite()) {
                return Err(LineError::Undetermined);
            }
            let step = (sums.slope - slope).high().abs();
            slope = sums.slope;
            if step <= SMALL * error || step <= ROUNDING * slope.high().abs() {
                let distribution = StudentT::new(f32::INFINITY);
                return Sums::of(point, rows, slope).line(slope, rows, units, 1.0, distribution);
            }
        }
        Err(LineError::NotConverged)
    }

    /// Checks all numbers. Returns powers of two near the largest abscissa and ordinate.
    fn units(&self) -> Result<[f32; 2], LineError> {
        let rows = self.x.len();
        for (found, one) in [
            (self.y.len(), false),
            (self.sigma_x.len(), true),
            (self.sigma_y.len(), true),
            (self.correlation.len().max(1), true),
        ] {
            if found != rows && !(one && found == 1) {
                return Err(LineError::Rows {
                    expected: rows,
                    found,
                });
            }
        }
        if rows < 3 {
            return Err(LineError::TooFewPoints(rows));
        }
        let mut largest = [0.0_f32; 2];
        for row in 0..rows {
            let here = |error| LineError::OutOfRange { row, error };
            let [x, y] = [self.x, self.y].map(|of| at(of, row));
            let sigmas = [self.sigma_x, self.sigma_y].map(|of| at(of, row));
            for ((largest, number), sigma) in largest.iter_mut().zip([x, y]).zip(sigmas) {
                require(number.is_finite(), "point", "finite numbers", number).map_err(here)?;
                let holds = sigma >= 0.0 && sigma.is_finite();
                let expected = "0 or more, and finite";
                require(holds, "standard deviation", expected, sigma).map_err(here)?;
                *largest = largest.max(number.abs()).max(sigma);
            }
            let r = self.correlation_at(row);
            require(r > -1.0 && r < 1.0, "correlation", "between -1 and 1", r).map_err(here)?;
            let [x, y] = sigmas;
            let expected = "more than 0 for x or y";
            require(x > 0.0 || y > 0.0, "standard deviation", expected, y).map_err(here)?;
        }
        Ok(largest.map(power_of_two))
    }

    fn correlation_at(&self, i: usize) -> f32 {
        if self.correlation.is_empty() {
            0.0
        } else {
            at(self.correlation, i)
        }
    }

    fn point(&self, i: usize, [unit_x, unit_y]: [f32; 2]) -> Point {
        let sigma_x = TwoFloat::from(at(self.sigma_x, i) / unit_x);
        let sigma_y = TwoFloat::from(at(self.sigma_y, i) / unit_y);
        Point {
            x: (at(self.x, i) / unit_x).into(),
            y: (at(self.y, i) / unit_y).into(),
            xx: sigma_x * sigma_x,
            yy: sigma_y * sigma_y,
            xy: sigma_x * sigma_y * self.correlation_at(i),
        }
    }
}

impl Sums {
    fn of(point: impl Fn(usize) -> Point, rows: usize, slope: TwoFloat) -> Self {
        let zero = TwoFloat::ZERO;
        let (mut weights, mut x, mut y) = (zero, zero, zero);
        for i in 0..rows {
            let point = point(i);
            let weight = point.weight(slope);
            weights = weights + weight;
            (x, y) = (x + weight * point.x, y + weight * point.y);
        }
        let mean = [x / weights, y / weights];
        let [mean_x, mean_y] = mean;
        let (mut rises, mut runs, mut chi_squared) = (zero, zero, zero);
        let (mut adjusted, mut squares) = (zero, zero);
        for i in 0..rows {
            let point = point(i);
            let weight = point.weight(slope);
            let (u, v) = (point.x - mean_x, point.y - mean_y);
            // The adjusted abscissa, relative to the mean.
            let to = weight * (u * point.yy + slope * v * point.xx - (slope * u + v) * point.xy);
            let weighted = weight * to;
            (rises, runs) = (rises + weighted * v, runs + weighted * u);
            (adjusted, squares) = (adjusted + weighted, squares + weighted * to);
            let off = v - slope * u;
            chi_squared = chi_squared + weight * off * off;
        }
        let off_center = adjusted / weights;
        Sums {
            mean,
            weights,
            slope: rises / runs,
            center: mean_x + off_center,
            spread: squares - adjusted * off_center,
            chi_squared,
        }
    }

    /// Converts the line to the units of the points. `deviation` is the factor by which
    /// standard errors are scaled.
    fn line(
        &self,
        slope: TwoFloat,
        rows: usize,
        [unit_x, unit_y]: [f32; 2],
        deviation: f32,
        distribution: Result<StudentT, OutOfRange>,
    ) -> Result<StraightLine, LineError> {
        let [mean_x, mean_y] = self.mean;
        let intercept = mean_y - slope * mean_x;
        let error = |inverse: TwoFloat| deviation / libm::sqrtf(inverse.to_f32());
        let line = StraightLine {
            slope: slope.to_f32() * (unit_y / unit_x),
            intercept: intercept.to_f32() * unit_y,
            center: self.center.to_f32() * unit_x,
            errors: [
                error(self.spread) * (unit_y / unit_x),
                error(self.weights) * unit_y,
            ],
            norm: libm::sqrtf(self.chi_squared.to_f32()),
            rows,
            distribution: distribution.map_err(|_| LineError::Undetermined)?,
        };
        let [a, b] = line.errors;
        if (a + b + line.slope + line.intercept).is_finite() {
            Ok(line)
        } else {
            Err(LineError::Undetermined)
        }
    }
}

/// Element `i` of a slice that has one element per row, or one for all rows.
fn at(of: &[f32], i: usize) -> f32 {
    match of {
        [one] => *one,
        all => all.get(i).copied().unwrap_or(f32::NAN),
    }
}

/// The slope if all points have the same variances. Only the ratio of the variances matters.
fn deming_slope(
    point: impl Fn(usize) -> Point,
    rows: usize,
    variance_x: TwoFloat,
    variance_y: TwoFloat,
) -> Option<TwoFloat> {
    let zero = TwoFloat::ZERO;
    let (mut x, mut y) = (zero, zero);
    for i in 0..rows {
        let point = point(i);
        (x, y) = (x + point.x, y + point.y);
    }
    let count = TwoFloat::from(rows as f32);
    let (x, y) = (x / count, y / count);
    let (mut xx, mut xy, mut yy) = (zero, zero, zero);
    for i in 0..rows {
        let point = point(i);
        let (u, v) = (point.x - x, point.y - y);
        (xx, xy, yy) = (xx + u * u, xy + u * v, yy + v * v);
    }
    // The root of variance_x xy b² + (variance_y xx - variance_x yy) b - variance_y xy that has
    // the sign of xy. The formula depends on the sign of `half` to avoid cancellation.
    let half = (variance_x * yy - variance_y * xx).scaled(0.5);
    let (quadratic, constant) = (variance_x * xy, variance_y * xy);
    let root = Real::sqrt(half * half + quadratic * constant);
    let slope = if half.high() > 0.0 {
        (half + root) / quadratic
    } else if root.high() > 0.0 || xx.high() > 0.0 {
        constant / (root - half)
    } else {
        return None;
    };
    slope.is_finite().then_some(slope)
}

impl StraightLine {
    /// Fits the line to points whose errors all have the same variances: `ratio` is the
    /// variance of the errors of `y` over that of the errors of `x`, in their units. This is
    /// Deming regression; a ratio of 1 is orthogonal regression.
    ///
    /// The size of the errors is estimated from the residuals: standard errors are York's,
    /// multiplied by the [residual standard deviation](Self::residual_standard_deviation).
    ///
    /// ```
    /// use baregrad::least_squares::StraightLine;
    ///
    /// // K. Pearson, "On lines and planes of closest fit", 1901: y = 5.784 - 0.5456 x.
    /// let x = [0.0, 0.9, 1.8, 2.6, 3.3, 4.4, 5.2, 6.1, 6.5, 7.4];
    /// let y = [5.9, 5.4, 4.4, 4.6, 3.5, 3.7, 2.8, 2.8, 2.4, 1.5];
    /// let line = StraightLine::deming(&x, &y, 1.0)?;
    /// assert_eq!(format!("{:.4} {:.3}", line.slope(), line.intercept()), "-0.5456 5.784");
    /// # Ok::<(), baregrad::least_squares::LineError>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`York::fit`], and a ratio that is not positive and finite.
    pub fn deming(x: &[f32], y: &[f32], ratio: f32) -> Result<Self, LineError> {
        require(
            ratio > 0.0 && ratio.is_finite(),
            "ratio of variances",
            "more than 0, and finite",
            ratio,
        )
        .map_err(|error| LineError::OutOfRange { row: 0, error })?;
        let rows = x.len();
        let units = York {
            x,
            y,
            sigma_x: &[f32::MIN_POSITIVE],
            sigma_y: &[f32::MIN_POSITIVE],
            correlation: &[],
        }
        .units()?;
        let [unit_x, unit_y] = units;
        // The ratio in scaled units, in which the variance of errors of x is 1.
        let ratio = TwoFloat::from(ratio) * (unit_x / unit_y) * (unit_x / unit_y);
        let point = |i| Point {
            x: (at(x, i) / unit_x).into(),
            y: (at(y, i) / unit_y).into(),
            xx: TwoFloat::ONE,
            yy: ratio,
            xy: TwoFloat::ZERO,
        };
        let slope =
            deming_slope(point, rows, TwoFloat::ONE, ratio).ok_or(LineError::Undetermined)?;
        let sums = Sums::of(point, rows, slope);
        let freedom = rows.saturating_sub(2);
        let deviation = libm::sqrtf(sums.chi_squared.to_f32() / freedom as f32);
        let line = sums.line(slope, rows, units, deviation, StudentT::of_count(freedom))?;
        Ok(StraightLine {
            norm: line.norm * unit_x,
            ..line
        })
    }

    /// The slope, in units of y per unit of x.
    #[must_use]
    pub fn slope(&self) -> f32 {
        self.slope
    }

    /// The ordinate at 0.
    #[must_use]
    pub fn intercept(&self) -> f32 {
        self.intercept
    }

    /// The standard errors of slope and intercept.
    #[must_use]
    pub fn standard_errors(&self) -> [f32; 2] {
        let [slope, _] = self.errors;
        [slope, self.error_at(0.0)]
    }

    /// The covariance of slope and intercept. It is negative if the mean abscissa is positive.
    #[must_use]
    pub fn covariance(&self) -> f32 {
        let [slope, _] = self.errors;
        -self.center * (slope * slope)
    }

    /// The minimised sum of squared distances, each in standard deviations. With correct
    /// standard deviations it is about the number of degrees of freedom. After
    /// [`deming`](Self::deming), the standard deviation of errors of `x` counts as 1.
    #[must_use]
    pub fn chi_squared(&self) -> f32 {
        self.norm * self.norm
    }

    /// The number of points minus 2.
    #[must_use]
    pub fn degrees_of_freedom(&self) -> usize {
        self.rows.saturating_sub(2)
    }

    /// The root mean square distance of the points in standard deviations: about 1 if the
    /// standard deviations are correct. After [`deming`](Self::deming), it estimates the
    /// standard deviation of errors of `x`.
    #[must_use]
    pub fn residual_standard_deviation(&self) -> f32 {
        self.norm / libm::sqrtf(self.degrees_of_freedom() as f32)
    }

    /// The standard error of the ordinate at `x`.
    fn error_at(&self, x: f32) -> f32 {
        let [slope, center] = self.errors;
        hypotenuse(center, slope * (x - self.center).abs())
    }

    /// The ordinate at `x`, and its uncertainty.
    #[must_use]
    pub fn value_at(&self, x: f32) -> Estimate {
        let value = self.slope * x + self.intercept;
        Estimate::new(value, self.error_at(x), self.distribution)
    }

    /// The abscissa at which the line has this value, and its uncertainty; `deviation` is the
    /// standard deviation of the value. Equivalent to
    /// [`Solution::input_for`](super::Solution::input_for).
    ///
    /// # Errors
    /// A value or deviation outside its valid range, or a level line.
    pub fn input_for(&self, value: f32, deviation: f32) -> Result<Estimate, InferenceError> {
        require_value(value, deviation)?;
        let x = f32::from((TwoFloat::from(value) - self.intercept) / self.slope);
        let error = hypotenuse(self.error_at(x), deviation) / self.slope.abs();
        if (x + error).is_finite() {
            Ok(Estimate::new(x, error, self.distribution))
        } else {
            Err(InferenceError::NotMonotone { at: self.center })
        }
    }
}
