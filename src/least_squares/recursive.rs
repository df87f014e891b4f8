//! Least squares online: one sample at a time, nothing of it kept.

use core::fmt;

use super::OutOfRange;
use super::range::require;
use crate::function::{Function, straight};

/// Parameters that follow samples one at a time, and how sure they are.
///
/// For a model that is linear in its parameters this is recursive least squares: after `n`
/// samples parameters and covariance are those of a fit to all of them, in which the start
/// counts as one more observation of each parameter. For any other model each sample is
/// taken by the tangent at the parameters so far: the step of an extended Kalman filter.
///
/// Parameters may change while they are watched. Either old samples count less and less
/// ([`forgetting`](Self::forgetting)), or parameters wander by so much between samples
/// ([`drift`](Self::drift)). A sample that is much farther off than its standard deviation
/// and that of the prediction explain can be refused ([`gate`](Self::gate)).
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
/// # Why it is safe in `f32`
///
/// The covariance `C` is kept as `U D Uᵀ`, `U` upper triangular with ones on its diagonal and
/// `D` diagonal, and updated in that form (G. J. Bierman, "Factorization methods for discrete
/// sequential estimation", 1977). `C` itself, of which each sample takes away nearly all it
/// had, would lose its symmetry, and after enough samples a variance would be negative. Here
/// every element of `D` is only multiplied by positive numbers of at most 1, and added to. Of
/// a covariance that is as accurate as `C` in numbers of twice the digits, Joseph's form
/// would need three times the products.
///
/// Forgetting alone would let the variance of what no sample tells of grow until it is
/// infinite (a sensor that rests at one reading tells nothing of its slope). So no element
/// of `D` grows by forgetting beyond the variance that its parameter started with.
///
/// A value of `2 P + P² + 4` floats; what of it changes can be [saved](Self::save). One
/// sample takes `1.5 P²` products or so and `P` divisions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recursive<const P: usize> {
    params: [f32; P],
    /// `D` on the diagonal, `U` above it, 0 below.
    factors: [[f32; P]; P],
    /// Beyond these forgetting lets no element of `D` grow.
    limits: [f32; P],
    /// The variance of a reading, times the forgetting factor.
    variance: f32,
    forgetting: f32,
    /// `1 / forgetting`.
    growth: f32,
    /// The square of the gate, divided by the forgetting factor.
    gate: f32,
}

/// Why a sample was not taken. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refused {
    /// The sample, the prediction or its derivatives, or what they would make of the
    /// parameters, are not finite.
    NotFinite,
    /// The reading is outside of the [gate](Recursive::gate).
    Outlier {
        /// By how much it is more than the prediction.
        innovation: f32,
        /// The standard deviation that it should have.
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

/// Calls `step` for each number below `N`, in straight lines where there are few.
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
    /// How many floats [`save`](Self::save) writes.
    pub const STATE: usize = P + P * (P + 1) / 2;

    /// Starts at `params`, of which each may be off by its `deviations` (standard
    /// deviations, in the parameters' units); readings have the standard deviation `sigma`,
    /// in theirs.
    ///
    /// Where nothing is known of a parameter, a deviation of some hundred times what it may
    /// be will do. One of 0 fixes it.
    ///
    /// # Errors
    /// A parameter that is not finite, a deviation that is negative or not finite, a
    /// `sigma` that is not positive and finite; also if the square of one is not.
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

    /// Lets the weight of all samples so far shrink by this factor with each new one, so that
    /// about the last `1 / (1 - factor)` of them count: 1, if it is not said.
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

    /// Refuses readings that are more than so many standard deviations off: that of the
    /// reading and that of the prediction together. No limit, if it is not said.
    ///
    /// Behind a gate, parameters do not follow a sensor that really jumps: who gets one
    /// [`Refused::Outlier`] after another should [`drift`](Self::drift) by as much as the
    /// sensor may have jumped.
    ///
    /// # Errors
    /// A number that is not positive.
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

    /// Takes a sample of a model: its inputs, and the reading. Returns the innovation, by how
    /// much the reading is more than what was predicted.
    ///
    /// # Errors
    /// Numbers that are not finite, and readings outside of the [gate](Self::gate). Then
    /// nothing has changed.
    #[inline(always)]
    pub fn observe<F: Function<X, P>, const X: usize>(
        &mut self,
        x: [f32; X],
        reading: f32,
    ) -> Result<f32, Refused> {
        let (value, gradient) = F::value_and_gradient(x, self.params);
        self.correct(&gradient, reading - value)
    }

    /// Takes a sample of `Σ features · parameters`, as [`observe`](Self::observe) does.
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

    /// Takes a sample whose prediction has this gradient by the parameters and is short of
    /// the reading by `innovation`, which is returned.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    #[inline(always)]
    pub fn correct(&mut self, gradient: &[f32; P], innovation: f32) -> Result<f32, Refused> {
        let mut factors = self.factors;
        // The gradient by the columns of U, and C times the gradient as it comes up.
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
        // The variance of the innovation, from that of the reading alone up.
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
        // Not finite if anything is not: a number that is none stays none, and infinities
        // cancel to such.
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
        // An infinite variance takes nothing and leaves nothing.
        if sum + inverse > 0.0 {
            (self.params, self.factors) = (params, factors);
            Ok(innovation)
        } else {
            Err(Refused::NotFinite)
        }
    }

    /// Says that a reading is outside of the gate.
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

    /// Lets the parameters wander: adds to the variance of each, independently. Called
    /// between samples, with what may have happened since the last one, it makes a Kalman
    /// filter of it.
    ///
    /// Each variance is taken by an update of rank one that keeps `D` positive (W. S. Agee
    /// and R. H. Turner, "Triangular decomposition of a positive definite matrix plus a
    /// symmetric dyad", 1972).
    ///
    /// # Errors
    /// A variance that is negative or not finite. Then nothing has changed.
    pub fn drift(&mut self, variances: &[f32; P]) -> Result<(), OutOfRange> {
        let mut factors = self.factors;
        for (k, variance) in variances.iter().enumerate() {
            require(
                *variance >= 0.0 && variance.is_finite(),
                "variance by which a parameter wanders",
                "0 or more, and finite",
                *variance,
            )?;
            // C + c a aᵀ, where a has only zeros beyond k.
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
        let largest = factors
            .as_flattened()
            .iter()
            .fold(0.0, |sum, x| sum + x * 0.0);
        require(
            largest == 0.0,
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

    /// The standard error of what depends on the parameters by this gradient: of a
    /// prediction, if that is its gradient. `√(gradientᵀ C gradient)`.
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

    /// Writes down what samples have changed, to go on from after a pause: the parameters,
    /// then `D` and `U` column by column, [`STATE`](Self::STATE) numbers in all.
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
    /// If there is no room for exactly so many.
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

    /// `D` and `U` as [`save`](Self::save) writes them: of the first `n` parameters of a
    /// larger number, they are the first `n (n + 1) / 2`.
    pub(crate) fn triangle(&self) -> impl Iterator<Item = f32> + '_ {
        Self::places().map(|(i, j)| at(&self.factors, i, j))
    }

    /// `D`: the variance of each parameter, if those after it were known.
    pub(crate) fn diagonal(&self) -> impl Iterator<Item = f32> + '_ {
        (0..P).map(|k| at(&self.factors, k, k))
    }

    /// The numbers that options make: the variance of a reading, the forgetting factor, its
    /// reciprocal, the gate, each as it is used.
    pub(crate) fn options(&self) -> [f32; 4] {
        [self.variance, self.forgetting, self.growth, self.gate]
    }

    /// Forgets all samples: variances become so many times their limits, and independent.
    pub(crate) fn forget(&mut self, times: f32) {
        self.factors = [[0.0; P]; P];
        for k in 0..P {
            set_at(&mut self.factors, k, k, of(&self.limits, k) * times);
        }
    }

    /// Puts one together again from [`options`](Self::options), the limits of `D`, and
    /// [`triangle`](Self::triangle), without checking them: those of one of fewer parameters
    /// leave the others at 0.
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

    /// Goes on from what was [saved](Self::save).
    ///
    /// # Errors
    /// Another number of floats, one that is not finite, or a negative variance: they were
    /// not saved by one of so many parameters. Then nothing has changed.
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

    /// The upper triangle, column by column.
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
