//! Online least squares: updates parameters one sample at a time, and stores no samples.

use core::fmt;

use super::OutOfRange;
use super::range::require;
use crate::function::{Function, straight};

/// Parameters estimated from one sample at a time, and their covariance.
///
/// For a model that is linear in its parameters this is recursive least squares: after `n`
/// samples, parameters and covariance are those of a fit to all of them, with the start as one
/// more observation of each parameter. Any other model is linearised at the current parameters
/// for each sample, which is the update of an extended Kalman filter.
///
/// Parameters may change over time. To follow them, either let the weight of old samples decay
/// ([`forgetting`](Self::forgetting)), or add variance to the parameters between samples
/// ([`drift`](Self::drift)). A [`gate`](Self::gate) refuses samples that are much farther from
/// the prediction than the standard deviations of reading and prediction explain.
///
/// ```
/// use baregrad::function::models::Line;
/// use baregrad::least_squares::Recursive;
///
/// // Slope and constant are about 0, give or take 100; readings, give or take 0.1.
/// let mut line = Recursive::new([0.0, 0.0], [100.0, 100.0], 0.1)?.gate(5.0)?;
/// for (x, y) in [(0.0, 1.0), (1.0, 3.1), (2.0, 4.9), (3.0, 7.0)] {
///     assert!(line.observe::<Line, 1>([x], y).is_ok());
/// }
/// assert!(line.observe::<Line, 1>([1.5], 40.0).is_err()); // refused, nothing changed
/// let [slope, constant] = line.params();
/// assert!((slope - 1.98).abs() < 1e-3 && (constant - 1.03).abs() < 1e-3);
/// let [slope, _] = line.standard_errors();
/// assert!((slope - 0.044721).abs() < 1e-5); // 0.1 / √5
/// # Ok::<(), baregrad::least_squares::OutOfRange>(())
/// ```
///
/// # Numerical stability in `f32`
///
/// The covariance `C` is kept as `U D Uᵀ`, `U` upper triangular with ones on its diagonal and
/// `D` diagonal, and updated in that form (G. J. Bierman, "Factorization methods for discrete
/// sequential estimation", 1977). If `C` itself were updated, each sample would subtract nearly
/// all of it: rounding would destroy its symmetry and, after enough samples, make a variance
/// negative. Here, elements of `D` are only multiplied by positive numbers of at most 1, and
/// added to. The result is as accurate as updating `C` in numbers of twice the digits. Joseph's
/// form would need three times the products.
///
/// Forgetting alone lets the variance of a parameter grow without limit while no sample
/// contains information on it: a sensor that rests at one reading says nothing about its slope.
/// Forgetting therefore raises no element of `D` above the variance with which its parameter
/// started.
///
/// The value consists of `2 P + P² + 4` floats. The [`STATE`](Self::STATE) of them that samples
/// change can be [saved](Self::save). One sample takes about `1.5 P²` products and `P` divisions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recursive<const P: usize> {
    params: [f32; P],
    /// `D` on the diagonal, `U` above it, 0 below.
    factors: [[f32; P]; P],
    /// The values above which forgetting raises no element of `D`.
    limits: [f32; P],
    /// The variance of a reading, times the forgetting factor.
    variance: f32,
    forgetting: f32,
    /// `1 / forgetting`.
    growth: f32,
    /// The square of the gate, divided by the forgetting factor.
    gate: f32,
}

/// The reason for which a sample was refused. The parameters and their covariance are
/// unchanged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refused {
    /// The sample, the prediction, a derivative, or a parameter after the update is not finite.
    NotFinite,
    /// The reading is outside of the [gate](Recursive::gate).
    Outlier {
        /// The reading minus the prediction.
        innovation: f32,
        /// The expected standard deviation of the innovation.
        deviation: f32,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NotFinite => {
                f.write_str("sample: expected finite numbers, found some that are not: left out")
            }
            Refused::Outlier {
                innovation,
                deviation,
            } => write!(
                f,
                "sample: expected within the gate, found {innovation} off where {deviation} is \
                 the standard deviation: left out"
            ),
        }
    }
}

impl core::error::Error for Refused {}

/// Calls `step` for each number below `N`, unrolled for `N` of at most 3.
#[inline(always)]
fn each<const N: usize>(mut step: impl FnMut(usize)) {
    if const { N <= 3 } {
        straight::<N>(step);
    } else {
        for k in 0..N {
            step(k);
        }
    }
}

/// `matrix[i][j]`, or 0.
#[inline(always)]
fn at<const P: usize>(matrix: &[[f32; P]; P], i: usize, j: usize) -> f32 {
    matrix.get(i).map_or(0.0, |row| of(row, j))
}

/// `vector[i]`, or 0.
#[inline(always)]
fn of<const P: usize>(vector: &[f32; P], i: usize) -> f32 {
    vector.get(i).copied().unwrap_or(0.0)
}

#[inline(always)]
fn set<const P: usize>(vector: &mut [f32; P], i: usize, x: f32) {
    if let Some(to) = vector.get_mut(i) {
        *to = x;
    }
}

#[inline(always)]
fn set_at<const P: usize>(matrix: &mut [[f32; P]; P], i: usize, j: usize, x: f32) {
    if let Some(row) = matrix.get_mut(i) {
        set(row, j, x);
    }
}

impl<const P: usize> Recursive<P> {
    /// The number of floats that [`save`](Self::save) writes.
    pub const STATE: usize = P + P * (P + 1) / 2;

    /// Starts at `params`, with the standard deviation of each in `deviations`, in the
    /// parameters' units. `sigma` is the standard deviation of a reading, in the unit of
    /// readings.
    ///
    /// For a parameter about which nothing is known, choose a deviation of some hundred times
    /// its expected size. A deviation of 0 fixes the parameter.
    ///
    /// # Errors
    /// A parameter that is not finite, a deviation that is negative or not finite, a `sigma`
    /// that is not positive and finite, or a deviation or `sigma` whose square is out of range.
    pub fn new(params: [f32; P], deviations: [f32; P], sigma: f32) -> Result<Self, OutOfRange> {
        let mut factors = [[0.0; P]; P];
        let mut limits = [0.0; P];
        for (j, (param, deviation)) in params.iter().zip(&deviations).enumerate() {
            require(param.is_finite(), "parameter", "a finite number", *param)?;
            let square = deviation * deviation;
            require(
                *deviation >= 0.0 && square.is_finite(),
                "standard deviation of a parameter",
                "0 or more, and a square that is finite",
                *deviation,
            )?;
            set(&mut limits, j, square);
            set_at(&mut factors, j, j, square);
        }
        let variance = sigma * sigma;
        require(
            sigma > 0.0 && variance.is_normal(),
            "standard deviation of a reading",
            "more than 0, and a square that is neither 0 nor infinite",
            sigma,
        )?;
        Ok(Recursive {
            params,
            factors,
            limits,
            variance,
            forgetting: 1.0,
            growth: 1.0,
            gate: f32::INFINITY,
        })
    }

    /// Multiplies the weight of all earlier samples by this factor with each new sample, so
    /// that about the last `1 / (1 - factor)` samples count. Default: 1.
    ///
    /// # Errors
    /// A factor that is not above 0.5 and at most 1.
    pub fn forgetting(self, factor: f32) -> Result<Self, OutOfRange> {
        require(
            factor > 0.5 && factor <= 1.0,
            "forgetting factor",
            "more than 0.5, at most 1",
            factor,
        )?;
        Ok(Recursive {
            variance: self.variance / self.forgetting * factor,
            gate: self.gate * self.forgetting / factor,
            forgetting: factor,
            growth: 1.0 / factor,
            ..self
        })
    }

    /// Refuses readings that are farther from the prediction than this many standard
    /// deviations, which combine the errors of reading and prediction. Default: no limit.
    ///
    /// With a gate, parameters do not follow a sensor that really jumps. After several
    /// [`Refused::Outlier`] in a row, call [`drift`](Self::drift) with the variance of a
    /// possible jump.
    ///
    /// # Errors
    /// A number of `deviations` that is not positive.
    pub fn gate(self, deviations: f32) -> Result<Self, OutOfRange> {
        require(
            deviations > 0.0,
            "gate",
            "more than 0 standard deviations",
            deviations,
        )?;
        Ok(Recursive {
            gate: deviations * deviations / self.forgetting,
            ..self
        })
    }

    /// The parameters so far.
    #[must_use]
    #[inline(always)]
    pub fn params(&self) -> [f32; P] {
        self.params
    }

    /// Updates the parameters with a sample of a model: its inputs `x` and the reading. Returns
    /// the innovation, which is the reading minus the prediction.
    ///
    /// # Errors
    /// Numbers that are not finite, and readings outside of the [gate](Self::gate). Nothing has
    /// changed then.
    #[inline(always)]
    pub fn observe<F: Function<X, P>, const X: usize>(
        &mut self,
        x: [f32; X],
        reading: f32,
    ) -> Result<f32, Refused> {
        let (value, gradient) = F::value_and_gradient(x, self.params);
        self.correct(&gradient, reading - value)
    }

    /// Updates the parameters with a sample of the linear model `Σ features · parameters`.
    /// Returns the innovation, as [`observe`](Self::observe) does.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    #[inline(always)]
    pub fn update(&mut self, features: &[f32; P], reading: f32) -> Result<f32, Refused> {
        let mut predicted = 0.0;
        each::<P>(
            #[inline(always)]
            |j| predicted += of(features, j) * of(&self.params, j),
        );
        self.correct(features, reading - predicted)
    }

    /// Updates the parameters with a sample, given the gradient of its prediction with respect
    /// to the parameters, and its innovation, which is returned.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    #[inline(always)]
    pub fn correct(&mut self, gradient: &[f32; P], innovation: f32) -> Result<f32, Refused> {
        let mut factors = self.factors;
        // f = Uᵀ gradient, and gain = C gradient, which is accumulated below.
        let (mut f, mut gain) = ([0.0; P], [0.0; P]);
        each::<P>(
            #[inline(always)]
            |j| {
                let mut sum = of(gradient, j);
                each::<P>(
                    #[inline(always)]
                    |i| {
                        if i < j {
                            sum += at(&self.factors, i, j) * of(gradient, i);
                        }
                    },
                );
                set(&mut f, j, sum);
            },
        );
        // The variance of the innovation, accumulated from the variance of the reading.
        let (mut variance, mut inverse) = (self.variance, 0.0);
        each::<P>(
            #[inline(always)]
            |j| {
                let (before, before_inverse) = (variance, inverse);
                let (d, f) = (at(&self.factors, j, j), of(&f, j));
                let v = d * f;
                variance = before + v * f;
                inverse = 1.0 / variance;
                let d = d * (before * inverse);
                let grown = d * self.growth;
                let d = if grown <= of(&self.limits, j) {
                    grown
                } else {
                    d
                };
                set_at(&mut factors, j, j, d);
                let slope = f * before_inverse;
                each::<P>(
                    #[inline(always)]
                    |i| {
                        if i < j {
                            let (u, b) = (at(&self.factors, i, j), of(&gain, i));
                            set_at(&mut factors, i, j, u - b * slope);
                            set(&mut gain, i, b + u * v);
                        }
                    },
                );
                set(&mut gain, j, v);
            },
        );
        if innovation * innovation > self.gate * variance {
            return self.outlier(innovation, variance);
        }
        let by = innovation * inverse;
        let mut params = self.params;
        // 0, or NaN if any number is not finite: infinity times 0 is NaN, too.
        let mut sum = 0.0;
        each::<P>(
            #[inline(always)]
            |j| {
                let to = of(&params, j) + of(&gain, j) * by;
                set(&mut params, j, to);
                sum += to * 0.0;
                each::<P>(
                    #[inline(always)]
                    |i| {
                        if i <= j {
                            sum += at(&factors, i, j) * 0.0;
                        }
                    },
                );
            },
        );
        // With an infinite variance, `inverse` is 0 and the sample is refused.
        if sum + inverse > 0.0 {
            (self.params, self.factors) = (params, factors);
            Ok(innovation)
        } else {
            Err(Refused::NotFinite)
        }
    }

    /// Returns the error for a reading outside of the gate.
    #[cold]
    #[inline(never)]
    fn outlier(&self, innovation: f32, variance: f32) -> Result<f32, Refused> {
        if !(innovation.is_finite() && variance.is_finite()) {
            return Err(Refused::NotFinite);
        }
        Err(Refused::Outlier {
            innovation,
            deviation: libm::sqrtf(variance * self.growth),
        })
    }

    /// Lets the parameters wander: adds to the variance of each, independently. A call between
    /// samples, with the variance of the possible change since the last sample, makes this a
    /// Kalman filter.
    ///
    /// Each variance is added by a rank-one update that keeps `D` positive (W. S. Agee and R.
    /// H. Turner, "Triangular decomposition of a positive definite matrix plus a symmetric
    /// dyad", 1972).
    ///
    /// # Errors
    /// A variance that is negative or not finite, or one that makes the covariance infinite.
    /// Nothing has changed then.
    pub fn drift(&mut self, variances: &[f32; P]) -> Result<(), OutOfRange> {
        let mut factors = self.factors;
        for (k, variance) in variances.iter().enumerate() {
            require(
                *variance >= 0.0 && variance.is_finite(),
                "variance by which a parameter wanders",
                "0 or more, and finite",
                *variance,
            )?;
            // C + c a aᵀ, where all elements of a beyond k are 0.
            let (mut a, mut c) = ([0.0; P], *variance);
            set(&mut a, k, 1.0);
            for j in (0..=k).rev() {
                let (d, step) = (at(&factors, j, j), of(&a, j));
                let more = d + c * step * step;
                set_at(&mut factors, j, j, more);
                if more > 0.0 {
                    let slope = c * step / more;
                    c *= d / more;
                    for i in 0..j {
                        let u = at(&factors, i, j);
                        let left = of(&a, i) - step * u;
                        set(&mut a, i, left);
                        set_at(&mut factors, i, j, u + slope * left);
                    }
                }
            }
        }
        // A number that is not finite makes the sum NaN.
        let numbers = factors.as_flattened().iter();
        let zero_if_finite = numbers.fold(0.0, |sum, x| sum + x * 0.0);
        require(
            zero_if_finite == 0.0,
            "variance by which a parameter wanders",
            "one with which the covariance stays finite",
            variances.iter().fold(0.0, |a, b| a.max(*b)),
        )?;
        self.factors = factors;
        Ok(())
    }

    /// The covariance of the parameters.
    #[must_use]
    pub fn covariance(&self) -> [[f32; P]; P] {
        let u = |i: usize, j: usize| {
            if i == j { 1.0 } else { at(&self.factors, i, j) }
        };
        let mut covariance = [[0.0; P]; P];
        for i in 0..P {
            for j in i..P {
                let mut sum = 0.0;
                for k in j..P {
                    sum += u(i, k) * at(&self.factors, k, k) * u(j, k);
                }
                set_at(&mut covariance, i, j, sum);
                set_at(&mut covariance, j, i, sum);
            }
        }
        covariance
    }

    /// The standard error of each parameter.
    #[must_use]
    pub fn standard_errors(&self) -> [f32; P] {
        let covariance = self.covariance();
        core::array::from_fn(|j| libm::sqrtf(at(&covariance, j, j)))
    }

    /// The standard error of a quantity with this gradient with respect to the parameters, for
    /// example a prediction: `√(gradientᵀ C gradient)`.
    #[must_use]
    pub fn standard_error_of(&self, gradient: &[f32; P]) -> f32 {
        let mut variance = 0.0;
        for j in 0..P {
            let mut sum = of(gradient, j);
            for i in 0..j {
                sum += at(&self.factors, i, j) * of(gradient, i);
            }
            variance += at(&self.factors, j, j) * sum * sum;
        }
        libm::sqrtf(variance)
    }

    /// Writes the numbers that samples change, so that [`restore`](Self::restore) can continue
    /// from them: the parameters, then `D` and `U` column by column, [`STATE`](Self::STATE)
    /// numbers in all.
    ///
    /// ```
    /// use baregrad::least_squares::Recursive;
    ///
    /// let new = || Recursive::new([0.0, 0.0], [10.0, 10.0], 1.0);
    /// let mut running = new()?;
    /// assert!(running.update(&[1.0, 2.0], 3.0).is_ok());
    /// let mut kept = [0.0; Recursive::<2>::STATE];
    /// running.save(&mut kept)?;
    ///
    /// let mut restored = new()?;
    /// restored.restore(&kept)?;
    /// assert_eq!(restored, running);
    /// # Ok::<(), baregrad::least_squares::OutOfRange>(())
    /// ```
    ///
    /// # Errors
    /// A slice whose length is not [`STATE`](Self::STATE).
    pub fn save(&self, to: &mut [f32]) -> Result<(), OutOfRange> {
        Self::require_length(to.len())?;
        let (params, triangle) = to.split_at_mut_checked(P).unwrap_or_default();
        for (to, param) in params.iter_mut().zip(&self.params) {
            *to = *param;
        }
        for (to, factor) in triangle.iter_mut().zip(self.triangle()) {
            *to = factor;
        }
        Ok(())
    }

    /// `D` and `U` in the order of [`save`](Self::save). The first `n (n + 1) / 2` of them
    /// belong to the first `n` parameters.
    pub(crate) fn triangle(&self) -> impl Iterator<Item = f32> + '_ {
        Self::places().map(|(i, j)| at(&self.factors, i, j))
    }

    /// `D`: the variance of each parameter, given the parameters after it.
    pub(crate) fn diagonal(&self) -> impl Iterator<Item = f32> + '_ {
        (0..P).map(|k| at(&self.factors, k, k))
    }

    /// The numbers that the options determine, as they are used: the variance of a reading, the
    /// forgetting factor, its reciprocal, and the gate.
    pub(crate) fn options(&self) -> [f32; 4] {
        [self.variance, self.forgetting, self.growth, self.gate]
    }

    /// Forgets all samples: variances become `times` their limits, and all covariances 0.
    pub(crate) fn forget(&mut self, times: f32) {
        self.factors = [[0.0; P]; P];
        for k in 0..P {
            set_at(&mut self.factors, k, k, of(&self.limits, k) * times);
        }
    }

    /// Assembles a value from [`options`](Self::options), the limits of `D`, the parameters,
    /// and [`triangle`](Self::triangle), without checks. Elements beyond the ends of shorter
    /// slices are 0.
    pub(crate) fn of_parts(
        options: [f32; 4],
        limits: &[f32],
        params: &[f32],
        triangle: &[f32],
    ) -> Self {
        let [variance, forgetting, growth, gate] = options;
        let mut recursive = Recursive {
            params: [0.0; P],
            factors: [[0.0; P]; P],
            limits: [0.0; P],
            variance,
            forgetting,
            growth,
            gate,
        };
        for (to, from) in recursive.limits.iter_mut().zip(limits) {
            *to = *from;
        }
        for (to, from) in recursive.params.iter_mut().zip(params) {
            *to = *from;
        }
        for (from, (i, j)) in triangle.iter().zip(Self::places()) {
            set_at(&mut recursive.factors, i, j, *from);
        }
        recursive
    }

    /// Continues from a [saved](Self::save) state.
    ///
    /// # Errors
    /// A slice whose length is not [`STATE`](Self::STATE), a number that is not finite, or a
    /// negative variance. Nothing has changed then.
    pub fn restore(&mut self, from: &[f32]) -> Result<(), OutOfRange> {
        Self::require_length(from.len())?;
        let (params, triangle) = from.split_at_checked(P).unwrap_or_default();
        for x in from {
            require(x.is_finite(), "saved state", "finite numbers", *x)?;
        }
        let mut factors = [[0.0; P]; P];
        for (from, (i, j)) in triangle.iter().zip(Self::places()) {
            require(
                i != j || *from >= 0.0,
                "saved state",
                "variances of 0 or more",
                *from,
            )?;
            set_at(&mut factors, i, j, *from);
        }
        self.factors = factors;
        for (to, param) in self.params.iter_mut().zip(params) {
            *to = *param;
        }
        Ok(())
    }

    /// Row and column of each element of the upper triangle, column by column.
    fn places() -> impl Iterator<Item = (usize, usize)> {
        (0..P).flat_map(|j| (0..=j).map(move |i| (i, j)))
    }

    fn require_length(found: usize) -> Result<(), OutOfRange> {
        require(
            found == Self::STATE,
            "number of floats of a saved state",
            "as many as `Recursive::STATE` says",
            found as f32,
        )
    }
}
