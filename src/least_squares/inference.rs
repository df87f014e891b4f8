//! Inference from a fit: confidence intervals, the bands of a prediction, and inverse
//! prediction.

use core::fmt;

use super::{OutOfRange, Solution, StudentT};
use crate::function::{Function, TwoFloat};

/// An estimated number and its standard error.
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

    /// The estimated number.
    #[must_use]
    pub fn value(&self) -> f32 {
        self.value
    }

    /// The standard error of the number: the standard uncertainty of the GUM.
    #[must_use]
    pub fn standard_error(&self) -> f32 {
        self.standard_error
    }

    /// The interval that contains the true number with this probability, for example 0.95.
    ///
    /// It extends from the number to both sides by the standard error times a quantile of
    /// Student's t with the fit's degrees of freedom, or of the normal distribution if standard
    /// deviations were [absolute](Solution::absolute_sigma).
    ///
    /// # Errors
    /// A probability that is not between 0 and 1.
    pub fn interval(&self, probability: f32) -> Result<[f32; 2], OutOfRange> {
        let by = self.standard_error * quantile(&self.distribution, probability)?;
        Ok([self.value - by, self.value + by])
    }
}

/// The half width of the interval with this probability, in standard errors.
fn quantile(distribution: &StudentT, probability: f32) -> Result<f32, OutOfRange> {
    super::range::require(
        probability > 0.0 && probability < 1.0,
        "probability of an interval",
        "more than 0, less than 1",
        probability,
    )?;
    // For probabilities below ½ the subtraction rounds, by a negligible amount.
    distribution.upper_quantile(0.5 * (1.0 - probability))
}

/// The reason why a fit does not answer a question.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum InferenceError {
    /// The data do not determine all parameters: there is no covariance.
    Undetermined,
    /// There are as many parameters as rows, so that residuals do not show the size of errors.
    /// Fits with [absolute](Solution::absolute_sigma) standard deviations need no degrees of
    /// freedom.
    NoFreedom,
    /// A number is outside its valid range.
    OutOfRange(OutOfRange),
    /// The data have another length than those of the fit.
    Rows {
        /// The number of rows of the fit.
        expected: usize,
        /// The number of rows that were given.
        found: usize,
    },
    /// The observations do not vary, or are not finite.
    NoVariation,
    /// A prediction, or one of its derivatives, is not finite at an input.
    NotFinite {
        /// The input.
        at: f32,
    },
    /// The curve is not strictly monotone over the range, so that several inputs, or none, may
    /// have the value.
    NotMonotone {
        /// An input at which the curve turns or is flat.
        at: f32,
    },
    /// No input within the range has the value.
    NotReached {
        /// The requested value.
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

/// The number of parts into which a range is divided to look for turns of the curve.
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

    /// For each parameter, the interval that contains its true value with this probability, for
    /// example 0.95.
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

    /// The mean of readings at `x`, which is the value of the curve, and its uncertainty. The
    /// [`interval`](Estimate::interval)s of this estimate form the confidence band.
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

    /// One new reading at `x`, and its uncertainty, which combines those of the curve and of
    /// the reading. The [`interval`](Estimate::interval)s of this estimate form the prediction
    /// band. `sigma` is the standard deviation of the reading, on the scale of
    /// [`CurveFit::sigma`]; if the fit had no standard deviations, pass 1.
    ///
    /// [`CurveFit::sigma`]: super::CurveFit::sigma
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
    /// The errors of [`mean_at`](Self::mean_at), and a `sigma` that is negative or not finite.
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

    /// The input in `range` at which the curve has this value, and its uncertainty: for example
    /// the reading that corresponds to 25 °C.
    ///
    /// `deviation` is the standard deviation of the value itself, in its unit: 0 for a set
    /// point; for the mean of `n` observations, [`residual_standard_deviation`] over the root
    /// of `n`. The standard error follows the GUM, with the slope of the curve at the input:
    /// `√(deviation² + standard error of the curve²) / |slope|`, as in ISO/TS 28037 for
    /// straight lines.
    ///
    /// [`residual_standard_deviation`]: Self::residual_standard_deviation
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
    /// The curve must rise or fall over the whole range. Its slope is checked at 65 inputs; two
    /// turns between neighbouring ones are not found.
    ///
    /// # Errors
    /// A curve that turns, is flat or not finite; a value that it does not reach in the range;
    /// an invalid range or a negative deviation; and the errors of [`mean_at`](Self::mean_at).
    pub fn input_for<F: Function<1, P>>(
        &self,
        value: f32,
        deviation: f32,
        range: [f32; 2],
    ) -> Result<Estimate, InferenceError> {
        use super::range::{require, require_value};
        let [from, to] = range;
        require(
            from < to && (to - from).is_finite(),
            "end of the range",
            "a finite number above its beginning",
            to,
        )?;
        require_value(value, deviation)?;
        let rises = self.monotone::<F>(range)?;

        // The sign makes a falling curve rise.
        let sign = if rises { 1.0 } else { -1.0 };
        let above = |x: f32| sign * self.difference_from::<F>(x, value);
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
            // Newton's step, or bisection if it leads out of the remaining interval.
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

    /// The curve minus `value`, computed in pairs.
    fn difference_from<F: Function<1, P>>(&self, x: f32, value: f32) -> f32 {
        let params = self.params().map(TwoFloat::from);
        f32::from(F::eval([TwoFloat::from(x)], params) - value)
    }

    fn slope<F: Function<1, P>>(&self, x: f32) -> f32 {
        let [slope] = F::by_inputs([x], self.params()).derivatives();
        slope
    }

    /// Checks that the curve is monotone over the range. Returns whether it rises.
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

/// `√(a² + b²)` for numbers that are not negative, without overflow or underflow of their
/// squares.
pub(super) fn hypotenuse(a: f32, b: f32) -> f32 {
    let (large, small) = if a > b { (a, b) } else { (b, a) };
    if small == 0.0 {
        return large;
    }
    let ratio = small / large;
    large * libm::sqrtf(1.0 + ratio * ratio)
}
