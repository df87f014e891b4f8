//! Straight lines through points of which both coordinates are uncertain.

use core::fmt;

use super::inference::{Estimate, InferenceError, hypotenuse};
use super::normal::power_of_two;
use super::range::require;
use super::{OutOfRange, StudentT};
use crate::function::{Real, TwoFloat};

/// The most steps towards York's slope.
const STEPS: u16 = 500;
/// The last step is at most so small a part of the slope's standard error, or, which is
/// what pairs round to, of the slope.
const SMALL: f32 = 1e-9;
const ROUNDING: f32 = 1e-12;

/// Points with standard deviations of both coordinates, each its own: a straight line through
/// them is [`fit`](Self::fit) by maximum likelihood, after York.
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
    /// The points' abscissas, `[n]`.
    pub x: &'a [f32],
    /// Their ordinates, `[n]`.
    pub y: &'a [f32],
    /// The standard deviation of each abscissa, `[n]`, in its unit, or `[1]`, if all have the
    /// same. 0 is one that is known exactly.
    pub sigma_x: &'a [f32],
    /// The standard deviation of each ordinate, `[n]` or `[1]`.
    pub sigma_y: &'a [f32],
    /// The correlation of both errors of a point, `[n]` or `[1]`, between -1 and 1; `&[]` if
    /// they are independent.
    pub correlation: &'a [f32],
}

/// A straight line, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StraightLine {
    slope: f32,
    intercept: f32,
    /// Where the line is surest: the weighted mean of the adjusted abscissas.
    center: f32,
    /// The standard errors of the slope and, independent of it, of the ordinate there.
    errors: [f32; 2],
    /// The root of the sum of squares.
    norm: f32,
    rows: usize,
    distribution: StudentT,
}

/// Why there is no line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum LineError {
    /// Slices of different lengths.
    Rows {
        /// How many abscissas there are.
        expected: usize,
        /// How many numbers another slice has.
        found: usize,
    },
    /// Fewer than three points: two have a line, but nothing tells how far off they are.
    TooFewPoints(usize),
    /// A number that makes no sense, in a row.
    OutOfRange {
        /// Which row, from 0.
        row: usize,
        /// The reason.
        error: OutOfRange,
    },
    /// The points do not tell a slope: all at one place, or one above the other.
    Undetermined,
    /// No slope was found that stays the same.
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

/// A point, its variances and covariance, in units that suit pairs.
struct Point {
    x: TwoFloat,
    y: TwoFloat,
    xx: TwoFloat,
    yy: TwoFloat,
    xy: TwoFloat,
}

impl Point {
    /// One over the variance of the distance from a line of this slope.
    fn weight(&self, slope: TwoFloat) -> TwoFloat {
        1.0 / (self.yy + slope * (slope * self.xx - 2.0 * self.xy))
    }
}

/// Sums over the points, for a line of one slope.
struct Sums {
    mean: [TwoFloat; 2],
    weights: TwoFloat,
    /// The next slope.
    slope: TwoFloat,
    /// The mean of adjusted abscissas, and the sum of weighted squares about it.
    center: TwoFloat,
    spread: TwoFloat,
    chi_squared: TwoFloat,
}

impl York<'_> {
    /// The line.
    ///
    /// The slope is that at which York's equation says the same again; standard errors are
    /// those at the adjusted points (D. York, N. M. Evensen, M. L. Martínez and J. De Basabe
    /// Delgado, "Unified equations for the slope, intercept, and standard errors of the best
    /// straight line", 2004). Standard deviations are taken as they are given; whether the
    /// points are as far off as those say, [`chi_squared`](StraightLine::chi_squared) tells.
    /// All of it is computed in pairs of `f32`.
    ///
    /// # Errors
    /// Lengths that differ, fewer than three points, numbers that are not finite or make no
    /// sense, points that tell no slope.
    pub fn fit(&self) -> Result<StraightLine, LineError> {
        let (units, rows) = (self.units()?, self.x.len());
        let point = |i| self.point(i, units);
        // From the slope for mean variances, which has a closed form.
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

    /// Powers of two near the largest numbers, once all are looked at.
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
            // The adjusted abscissa, from the mean.
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

    /// The line in the points' own units. A standard deviation of 1 is `deviation` there.
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

/// One of a slice that has one for each row or one for all.
fn at(of: &[f32], i: usize) -> f32 {
    match of {
        [one] => *one,
        all => all.get(i).copied().unwrap_or(f32::NAN),
    }
}

/// The slope if all points have these variances, or some with their ratio.
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
    // The root of variance_x xy b² + (variance_y xx - variance_x yy) b - variance_y xy that
    // has the sign of xy, with no difference of numbers that are nearly the same.
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
    /// The line of points whose errors are all alike: `ratio` is the variance of ordinates'
    /// errors over that of abscissas' errors, in their units. Deming's regression; 1 is
    /// orthogonal regression.
    ///
    /// How large errors are, the points' distances say: standard errors are York's, by the
    /// [residual standard deviation](Self::chi_squared).
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
    /// As [`York::fit`], and a ratio that is not positive and finite.
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
        // The ratio in these units. A standard deviation of 1 is that of abscissas' errors.
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

    /// The covariance of slope and intercept: negative, if the points are at positive
    /// abscissas.
    #[must_use]
    pub fn covariance(&self) -> f32 {
        let [slope, _] = self.errors;
        -self.center * (slope * slope)
    }

    /// The sum of squared distances in standard deviations, which were minimised. If those are
    /// right it is about as large as there are degrees of freedom. Of
    /// [`deming`](Self::deming), that for errors of abscissas of 1.
    #[must_use]
    pub fn chi_squared(&self) -> f32 {
        self.norm * self.norm
    }

    /// Points without the two that a line takes.
    #[must_use]
    pub fn degrees_of_freedom(&self) -> usize {
        self.rows.saturating_sub(2)
    }

    /// By how many of their standard deviations the points are off: about 1, if those are
    /// right. Of [`deming`](Self::deming), the standard deviation of abscissas' errors.
    #[must_use]
    pub fn residual_standard_deviation(&self) -> f32 {
        self.norm / libm::sqrtf(self.degrees_of_freedom() as f32)
    }

    /// The standard error of the ordinate at `x`.
    fn error_at(&self, x: f32) -> f32 {
        let [slope, center] = self.errors;
        hypotenuse(center, slope * (x - self.center).abs())
    }

    /// The ordinate at `x`, and how sure it is.
    #[must_use]
    pub fn value_at(&self, x: f32) -> Estimate {
        let value = self.slope * x + self.intercept;
        Estimate::new(value, self.error_at(x), self.distribution)
    }

    /// The abscissa at which the line has this value, and how sure that is; `deviation` is
    /// the standard deviation of the value itself. As
    /// [`Solution::input_for`](super::Solution::input_for) has it.
    ///
    /// # Errors
    /// A value or deviation that makes no sense, a line that is level.
    pub fn input_for(&self, value: f32, deviation: f32) -> Result<Estimate, InferenceError> {
        require(value.is_finite(), "value", "a finite number", value)?;
        require(
            deviation >= 0.0 && deviation.is_finite(),
            "standard deviation of the value",
            "0 or more, and finite",
            deviation,
        )?;
        let x = f32::from((TwoFloat::from(value) - self.intercept) / self.slope);
        let error = hypotenuse(self.error_at(x), deviation) / self.slope.abs();
        if (x + error).is_finite() {
            Ok(Estimate::new(x, error, self.distribution))
        } else {
            Err(InferenceError::NotMonotone { at: self.center })
        }
    }
}
