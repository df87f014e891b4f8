//! Inference from a fit, beyond its parameters: intervals, the band of a prediction, and which
//! input means what.

use core::fmt;

use super::{OutOfRange, Solution, StudentT};
use crate::function::{Function, TwoFloat};

/// A number that a fit gives, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    value: f32,
    standard_error: f32,
    distribution: StudentT,
}

impl Estimate {
    pub(super) fn new(value: f32, standard_error: f32, distribution: StudentT) -> Self {
        Estimate {
            value,
            standard_error,
            distribution,
        }
    }

    /// The number.
    #[must_use]
    pub fn value(&self) -> f32 {
        self.value
    }

    /// Its standard error: the standard uncertainty of the GUM.
    #[must_use]
    pub fn standard_error(&self) -> f32 {
        self.standard_error
    }

    /// An interval that holds the true number with this probability: 0.95, say.
    ///
    /// The number, give or take its standard error times a quantile of Student's t with the
    /// fit's degrees of freedom; of the normal distribution if standard deviations were
    /// [absolute](Solution::absolute_sigma).
    ///
    /// # Errors
    /// A probability that is not between 0 and 1.
    pub fn interval(&self, probability: f32) -> Result<[f32; 2], OutOfRange> {
        let by = self.standard_error * quantile(&self.distribution, probability)?;
        Ok([self.value - by, self.value + by])
    }
}

/// The number of standard errors to either side for this probability.
fn quantile(distribution: &StudentT, probability: f32) -> Result<f32, OutOfRange> {
    super::range::require(
        probability > 0.0 && probability < 1.0,
        "probability of an interval",
        "more than 0, less than 1",
        probability,
    )?;
    // Below ½ the subtraction rounds, by nothing that matters.
    distribution.upper_quantile(0.5 * (1.0 - probability))
}

/// Why a fit does not tell.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum InferenceError {
    /// The data do not determine all parameters: there is no covariance.
    Undetermined,
    /// There are as many parameters as rows, so that residuals do not say how far off
    /// observations are; with [absolute](Solution::absolute_sigma) standard deviations they
    /// need not.
    NoFreedom,
    /// A number that makes no sense.
    OutOfRange(OutOfRange),
    /// Data of another length than the fit had.
    Rows {
        /// How many rows the fit had.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// The observations do not vary, or are not finite.
    NoVariation,
    /// A prediction, or one of its derivatives, is not finite there.
    NotFinite {
        /// The input.
        at: f32,
    },
    /// The curve does not rise, or fall, all along the range: more than one input, or none,
    /// may mean the same.
    NotMonotone {
        /// An input where it turns, or does neither.
        at: f32,
    },
    /// No input within the range means that.
    NotReached {
        /// The value that was asked for.
        value: f32,
        /// The curve's values at the ends of the range.
        between: [f32; 2],
    },
}

impl From<OutOfRange> for InferenceError {
    fn from(error: OutOfRange) -> Self {
        InferenceError::OutOfRange(error)
    }
}

impl fmt::Display for InferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InferenceError::Undetermined => f.write_str(
                "fit: expected data that determine all parameters, found none of the kind: give \
                 more, or a model with fewer parameters",
            ),
            InferenceError::NoFreedom => f.write_str(
                "fit: expected more rows than parameters, found as many: give more, or standard \
                 deviations with absolute_sigma",
            ),
            InferenceError::OutOfRange(error) => error.fmt(f),
            InferenceError::Rows { expected, found } => write!(
                f,
                "data: expected the {expected} rows of the fit, found {found}"
            ),
            InferenceError::NoVariation => {
                f.write_str("data: expected finite observations that vary, found none of the kind")
            }
            InferenceError::NotFinite { at } => {
                write!(
                    f,
                    "curve: expected a finite value and slope, found none at {at}"
                )
            }
            InferenceError::NotMonotone { at } => write!(
                f,
                "curve: expected one that rises or falls all along the range, found a turn or a \
                 flat at {at}: give a smaller range"
            ),
            InferenceError::NotReached {
                value,
                between: [a, b],
            } => write!(
                f,
                "value: expected one that the curve has in the range, {a} to {b}, found {value}"
            ),
        }
    }
}

impl core::error::Error for InferenceError {}

/// In how many parts of a range a curve is looked at for turns.
const PARTS: u8 = 64;

impl<const P: usize> Solution<P> {
    /// The distribution whose quantiles multiply standard errors.
    fn distribution(&self) -> Result<StudentT, InferenceError> {
        if self.has_absolute_sigma() {
            return Ok(StudentT::new(f32::INFINITY)?);
        }
        match self.degrees_of_freedom() {
            0 => Err(InferenceError::NoFreedom),
            freedom => Ok(StudentT::of_count(freedom)?),
        }
    }

    fn estimate(&self, value: f32, standard_error: f32) -> Result<Estimate, InferenceError> {
        Ok(Estimate {
            value,
            standard_error,
            distribution: self.distribution()?,
        })
    }

    /// For each parameter an interval that holds its true value with this probability: 0.95,
    /// say.
    ///
    /// ```
    /// use baregrad::function::models::Line;
    /// use baregrad::least_squares::{CurveFit, LevenbergMarquardt};
    ///
    /// let (x, y) = ([0.0, 1.0, 2.0, 3.0], [0.1, 0.9, 2.1, 2.9]);
    /// let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&CurveFit::new(Line, &x, &y));
    /// let [[from, to], _] = solution.confidence_intervals(0.95)?;
    /// assert!((from - 0.716605).abs() < 1e-5 && (to - 1.203395).abs() < 1e-5);
    /// # Ok::<(), baregrad::least_squares::InferenceError>(())
    /// ```
    ///
    /// # Errors
    /// Parameters that the data do not determine, no degrees of freedom, a probability that
    /// is not between 0 and 1.
    pub fn confidence_intervals(&self, probability: f32) -> Result<[[f32; 2]; P], InferenceError> {
        let errors = self.standard_errors().ok_or(InferenceError::Undetermined)?;
        let by = quantile(&self.distribution()?, probability)?;
        let mut intervals = [[0.0; 2]; P];
        for ((to, param), error) in intervals.iter_mut().zip(self.params()).zip(errors) {
            *to = [param - by * error, param + by * error];
        }
        Ok(intervals)
    }

    /// The curve at `x`, and how sure that is: the mean of many readings there. Its
    /// [`interval`](Estimate::interval)s make the confidence band.
    ///
    /// # Errors
    /// Parameters that the data do not determine, no degrees of freedom, a prediction or a
    /// derivative that is not finite.
    pub fn mean_at<F: Function<X, P>, const X: usize>(
        &self,
        x: [f32; X],
    ) -> Result<Estimate, InferenceError> {
        let (value, gradient) = F::value_and_gradient(x, self.params());
        let error = self
            .standard_error_of(&gradient)
            .ok_or(InferenceError::Undetermined)?;
        let estimate = self.estimate(value, error)?;
        if (value + error).is_finite() {
            Ok(estimate)
        } else {
            let at = x.first().copied().unwrap_or(f32::NAN);
            Err(InferenceError::NotFinite { at })
        }
    }

    /// One new reading at `x`, and how sure that is: the curve is uncertain and the reading is.
    /// Its [`interval`](Estimate::interval)s make the prediction band. `sigma` is
    /// the reading's standard deviation as [`CurveFit::sigma`](super::CurveFit::sigma) has
    /// those of observations; 1 without such.
    ///
    /// ```
    /// use baregrad::function::models::Line;
    /// use baregrad::least_squares::{CurveFit, LevenbergMarquardt};
    ///
    /// let (x, y) = ([0.0, 1.0, 2.0, 3.0], [0.1, 0.9, 2.1, 2.9]);
    /// let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&CurveFit::new(Line, &x, &y));
    /// let mean = solution.mean_at::<Line, 1>([1.5])?;
    /// let reading = solution.reading_at::<Line, 1>([1.5], 1.0)?;
    /// assert_eq!(mean.value(), reading.value());
    /// assert!((mean.standard_error() - 0.0632).abs() < 1e-4);    // s / √4
    /// assert!((reading.standard_error() - 0.1414).abs() < 1e-4); // s √(1 + 1 / 4)
    /// # Ok::<(), baregrad::least_squares::InferenceError>(())
    /// ```
    ///
    /// # Errors
    /// As [`mean_at`](Self::mean_at), and a `sigma` that is negative or not finite.
    pub fn reading_at<F: Function<X, P>, const X: usize>(
        &self,
        x: [f32; X],
        sigma: f32,
    ) -> Result<Estimate, InferenceError> {
        super::range::require(
            sigma >= 0.0 && sigma.is_finite(),
            "standard deviation of a reading",
            "0 or more, and finite",
            sigma,
        )?;
        let mean = self.mean_at::<F, X>(x)?;
        let unit = match self.has_absolute_sigma() {
            true => 1.0,
            false => self.residual_standard_deviation(),
        };
        Ok(Estimate {
            standard_error: hypotenuse(mean.standard_error, unit * sigma),
            ..mean
        })
    }

    /// The input at which the curve has this value, within a range, and how sure that is:
    /// which reading means 25 °C.
    ///
    /// `deviation` is the standard deviation of the value itself, in its unit: 0 if that is
    /// a set point; if it was observed, that of the observation, such as
    /// [`residual_standard_deviation`](Self::residual_standard_deviation) by the root of how
    /// many were averaged. The standard error is that of the GUM, by the curve's slope
    /// there: `√(deviation² + that of the curve²) / |slope|`, as ISO/TS 28037 evaluates
    /// straight lines.
    ///
    /// ```
    /// use baregrad::function::models::Line;
    /// use baregrad::least_squares::{CurveFit, LevenbergMarquardt};
    ///
    /// const T_U: [f32; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
    /// const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
    /// let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&CurveFit::new(Line, &T_U, &T_C));
    /// let reading = solution.input_for::<Line>(25.0, 0.0, [20.0, 90.0])?;
    /// assert!((reading.value() - 78.8134).abs() < 1e-3);
    /// assert!((reading.standard_error() - 2.0803).abs() < 1e-3);
    /// # Ok::<(), baregrad::least_squares::InferenceError>(())
    /// ```
    ///
    /// The curve must rise, or fall, all along the range. Its slope is looked at in 65 places
    /// of it: turns that lie in pairs between two of those are not found.
    ///
    /// # Errors
    /// A curve that turns, is flat or not finite; a value that it does not have in the range;
    /// a range that is none, a negative deviation; and as [`mean_at`](Self::mean_at).
    pub fn input_for<F: Function<1, P>>(
        &self,
        value: f32,
        deviation: f32,
        range: [f32; 2],
    ) -> Result<Estimate, InferenceError> {
        use super::range::require;
        let [from, to] = range;
        require(
            from < to && (to - from).is_finite(),
            "end of the range",
            "a finite number above its beginning",
            to,
        )?;
        require(value.is_finite(), "value", "a finite number", value)?;
        require(
            deviation >= 0.0 && deviation.is_finite(),
            "standard deviation of the value",
            "0 or more, and finite",
            deviation,
        )?;
        let rises = self.monotone::<F>(range)?;

        // The sign is that of a curve that rises.
        let sign = if rises { 1.0 } else { -1.0 };
        let above = |x: f32| sign * self.off::<F>(x, value);
        let (mut low, mut high) = (from, to);
        if above(low) > 0.0 || above(high) < 0.0 {
            let params = self.params();
            return Err(InferenceError::NotReached {
                value,
                between: range.map(|x| F::value([x], params)),
            });
        }
        let mut x = 0.5 * low + 0.5 * high;
        for _ in 0..200 {
            let off = above(x);
            if off > 0.0 {
                high = x;
            } else {
                low = x;
            }
            // Newton's step, unless it leads out of what is left.
            let mut next = x - off / (sign * self.slope::<F>(x));
            if !(next >= low && next <= high) {
                next = 0.5 * low + 0.5 * high;
            }
            if next == x {
                break;
            }
            x = next;
        }

        let slope = self.slope::<F>(x);
        let curve = self.mean_at::<F, 1>([x])?;
        let error = hypotenuse(curve.standard_error, deviation) / slope.abs();
        if !error.is_finite() {
            return Err(InferenceError::NotMonotone { at: x });
        }
        self.estimate(x, error)
    }

    /// By how much the curve is above a value, in pairs.
    fn off<F: Function<1, P>>(&self, x: f32, value: f32) -> f32 {
        let params = self.params().map(TwoFloat::from);
        f32::from(F::eval([TwoFloat::from(x)], params) - value)
    }

    fn slope<F: Function<1, P>>(&self, x: f32) -> f32 {
        let [slope] = F::by_inputs([x], self.params()).derivatives();
        slope
    }

    /// Whether the curve rises all along the range, and not falls.
    fn monotone<F: Function<1, P>>(&self, [from, to]: [f32; 2]) -> Result<bool, InferenceError> {
        let rises = self.slope::<F>(from) > 0.0;
        for k in 0..=PARTS {
            let part = f32::from(k) / f32::from(PARTS);
            let at = if k == PARTS {
                to
            } else {
                from + part * (to - from)
            };
            let (slope, value) = (self.slope::<F>(at), F::value([at], self.params()));
            if !(slope + value).is_finite() {
                return Err(InferenceError::NotFinite { at });
            }
            if slope == 0.0 || (slope > 0.0) != rises {
                return Err(InferenceError::NotMonotone { at });
            }
        }
        Ok(rises)
    }
}

/// `√(a² + b²)` of numbers that are not negative, whose squares may be none.
pub(super) fn hypotenuse(a: f32, b: f32) -> f32 {
    let (large, small) = if a > b { (a, b) } else { (b, a) };
    if small == 0.0 {
        return large;
    }
    let ratio = small / large;
    large * libm::sqrtf(1.0 + ratio * ratio)
}
