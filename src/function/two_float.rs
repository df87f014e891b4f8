//! Numbers of twice the precision, as the unevaluated sum of two `f32`.
//!
//! [`exact`] has the error-free sums and products that everything is built from, [`operators`]
//! has `+ - * /`, [`elementary`] the reduced arguments and the series, and [`functions`] the
//! functions, which sum a series of pairs or refine the result of `f32` in one step of Newton's
//! or Halley's method.

mod elementary;
mod exact;
mod functions;
mod operators;

use core::cmp::Ordering;

pub(crate) use self::exact::{Split, difference_of, sum_of, two_sum};

/// `high + low`, where `low` is at most half a unit in the last place of `high`: about 48
/// bits, where `f32` has 24 and `f64` 53.
///
/// A [`Function`](super::Function) can be computed in it where the difference of two results of
/// `f32` would have too few digits, as for the residuals of a good fit.
///
/// Readings can need it, too: those of a 24-bit converter, with a few more bits from averaging,
/// a pressure of 101325.07 Pa, seconds since 1970. Text is parsed without `f64`, for which small
/// microcontrollers have no hardware, and a model learns from the
/// [`difference`](Self::difference) of two readings, which is an `f32`.
///
/// `+ - * /`, square root, `exp`, `exp_m1`, `ln`, `sin`, `cos`, `atan`, `tanh`, `sigmoid` and
/// powers have a relative error below 1e-12, if the result and all intermediate results are in
/// the range in which products keep their lower half, 1e-31 to 8e34, and for `sin` and `cos`, if
/// the angle is below 10⁴. All other functions are as accurate as in `f32`.
///
/// ```
/// use baregrad::function::{Real, TwoFloat};
///
/// let third = TwoFloat::from(1.0) / 3.0;
/// assert_eq!(f32::from(third), 1.0 / 3.0);
/// assert_eq!(f32::from(3.0 * third - 1.0), 0.0);
/// let e = TwoFloat::from(1.0).exp();
/// assert_eq!(f64::from(e) as f32, core::f32::consts::E);
/// assert!((f64::from(e) - core::f64::consts::E).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TwoFloat {
    high: f32,
    low: f32,
}

impl TwoFloat {
    /// Zero.
    pub const ZERO: Self = TwoFloat::new(0.0, 0.0);
    /// One.
    pub const ONE: Self = TwoFloat::new(1.0, 0.0);
    /// The relative rounding error of results in pairs, elementary functions included.
    pub(crate) const ROUNDING: f32 = f32::EPSILON / (1 << 20) as f32;

    /// `high + low`; `high` must be the `f32` nearest to that sum.
    pub(crate) const fn new(high: f32, low: f32) -> Self {
        TwoFloat { high, low }
    }

    /// The sum of two numbers, without loss.
    ///
    /// ```
    /// use baregrad::function::TwoFloat;
    /// let reading = TwoFloat::sum(8_388_608.0, 0.25);
    /// assert_eq!(f64::from(reading), 8_388_608.25);
    /// ```
    #[must_use]
    #[inline(always)]
    pub fn sum(a: f32, b: f32) -> Self {
        let (high, low) = two_sum(a, b);
        TwoFloat::new(high, low).or_high()
    }

    /// The larger part: the nearest `f32`.
    #[must_use]
    #[inline(always)]
    pub const fn high(self) -> f32 {
        self.high
    }

    /// The smaller part: the rest.
    #[must_use]
    #[inline(always)]
    pub const fn low(self) -> f32 {
        self.low
    }

    #[inline(always)]
    fn halves(self) -> [f32; 2] {
        [self.high, self.low]
    }

    /// The number nearest to an `f64`, which must be in the range of `f32`. Slow where `f64` is
    /// emulated, unless `x` is a constant, which the compiler folds into two `f32`.
    #[must_use]
    #[inline(always)]
    pub const fn from_f64(x: f64) -> Self {
        let high = x as f32;
        let low = (x - high as f64) as f32;
        // The rest of an infinity would be NaN.
        TwoFloat::new(high, if low.is_finite() { low } else { 0.0 })
    }

    /// The `f64` nearest to the sum of both parts.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        f64::from(self.high) + f64::from(self.low)
    }

    /// The nearest `f32`.
    #[must_use]
    #[inline(always)]
    pub fn to_f32(self) -> f32 {
        self.high + self.low
    }

    /// The integer `n`, exactly.
    pub(crate) const fn of_count(n: u32) -> Self {
        // 20 and 12 bits: both are exact, and so is their sum.
        let (high, low) = ((n & !0xfff) as f32, (n & 0xfff) as f32);
        let sum = high + low;
        TwoFloat::new(sum, low - (sum - high))
    }

    /// `self - origin`, as an `f32`. It is accurate to the last bit or two, because the larger
    /// parts are subtracted exactly before anything is rounded.
    ///
    /// ```
    /// use baregrad::function::TwoFloat;
    ///
    /// let [a, b]: [TwoFloat; 2] = ["101325.05".parse()?, "101325.13".parse()?];
    /// assert!((b.difference(a) - 0.08).abs() < 1e-8);
    /// assert_eq!(101325.13_f32 - 101325.05_f32, 0.0859375); // of f32 alone
    /// # Ok::<(), baregrad::calibrate::DecimalError>(())
    /// ```
    #[must_use]
    pub fn difference(self, origin: Self) -> f32 {
        let [rough, difference] = difference_of(self.halves(), origin.halves());
        if rough.is_finite() { difference } else { rough }
    }

    /// `self + difference`.
    #[must_use]
    pub fn plus(self, difference: f32) -> Self {
        let (rough, [high, low]) = sum_of(self.halves(), difference);
        if rough.is_finite() {
            TwoFloat::new(high, low).or_high()
        } else {
            rough.into()
        }
    }

    /// The distance between neighbouring numbers of this type near `self`: at most 2⁻⁴⁸ of its
    /// magnitude.
    ///
    /// ```
    /// use baregrad::function::TwoFloat;
    ///
    /// let seconds: TwoFloat = "1764410430.5".parse()?;
    /// assert!(seconds.spacing() < 1e-5);
    /// # Ok::<(), baregrad::calibrate::DecimalError>(())
    /// ```
    #[must_use]
    pub fn spacing(self) -> f32 {
        // `low` is at most 2⁻²⁴ of `high`, and its spacing at most 2⁻²⁴ of that.
        (self.high.abs() * (1.0 / 16_777_216.0)) * (1.0 / 16_777_216.0)
    }

    /// Adds a product, without renormalising: `low` accumulates the rounding errors. A sum of
    /// `n` products is as accurate as if computed with 48 bits, up to `n²` units in their last
    /// place (Ogita, Rump and Oishi, "Accurate sum and dot product", 2005, algorithm Dot2).
    #[inline(always)]
    pub(crate) fn add_product(&mut self, a: Split, b: Split) {
        let (product, error) = a.times(b);
        let (sum, lost) = two_sum(self.high, product);
        self.high = sum;
        self.low += lost + error;
    }

    /// The pair of a sum and its rounding error, from [`two_sum`].
    #[inline(always)]
    pub(crate) fn of_two_sum(high: f32, low: f32) -> Self {
        TwoFloat::new(high, low).or_high()
    }

    /// The same number, with a `low` of at most half a unit in the last place of `high`.
    #[inline(always)]
    pub(crate) fn renormalised(self) -> Self {
        TwoFloat::sum(self.high, self.low)
    }

    /// Returns whether the number is neither infinite nor NaN.
    #[must_use]
    #[inline(always)]
    pub fn is_finite(self) -> bool {
        (self.high + self.low).is_finite()
    }

    /// The number times a power of two, exactly.
    #[inline(always)]
    pub(crate) fn scaled(self, power_of_two: f32) -> Self {
        TwoFloat::new(self.high * power_of_two, self.low * power_of_two)
    }

    /// `1 / self`, by one step of Newton's method, at half the cost of a division.
    pub(crate) fn reciprocal(self) -> Self {
        let rough = 1.0 / self.high;
        // The product is close to 1, so that its difference from 1 is exact.
        let (product, error) = Split::of(self.high).times(Split::of(rough));
        let off = ((1.0 - product) - error) - self.low * rough;
        TwoFloat::sum(rough, rough * off)
    }

    /// Sets `low` to 0 if `high` is infinite or NaN: arithmetic leaves a NaN there.
    #[inline(always)]
    fn or_high(self) -> Self {
        if self.high.is_finite() {
            self
        } else {
            TwoFloat::new(self.high, 0.0)
        }
    }

    /// `high + low`, or `high` alone if `low` is not finite, as next to an infinite `high`.
    #[inline(always)]
    fn with_low(high: f32, low: f32) -> Self {
        if low.is_finite() {
            TwoFloat::sum(high, low)
        } else {
            high.into()
        }
    }

    /// The square.
    #[inline(always)]
    fn squared(self) -> Self {
        self * self
    }
}

impl PartialOrd for TwoFloat {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.high.partial_cmp(&other.high) {
            Some(Ordering::Equal) => self.low.partial_cmp(&other.low),
            order => order,
        }
    }
}

impl From<f32> for TwoFloat {
    #[inline(always)]
    fn from(x: f32) -> Self {
        TwoFloat::new(x, 0.0)
    }
}

impl From<TwoFloat> for f32 {
    /// The nearest `f32`.
    #[inline(always)]
    fn from(x: TwoFloat) -> f32 {
        x.to_f32()
    }
}

impl From<f64> for TwoFloat {
    /// The nearest number, for an `f64` in the range of `f32`.
    fn from(x: f64) -> Self {
        TwoFloat::from_f64(x)
    }
}

impl From<TwoFloat> for f64 {
    fn from(x: TwoFloat) -> f64 {
        x.to_f64()
    }
}

#[cfg(test)]
#[allow(clippy::assertions_on_constants)]
mod tests {
    extern crate std;
    use super::{Split, TwoFloat};
    use crate::function::Real;
    use crate::random::{Uniform, seeded};

    /// Compares with `f64`, which has 5 bits more, for random numbers from a range.
    fn compare(
        name: &str,
        [from, to]: [f32; 2],
        unit: f64,
        f: impl Fn(TwoFloat) -> TwoFloat,
        exact: impl Fn(f64) -> f64,
    ) {
        let mut rng = seeded(1);
        let Ok(uniform) = Uniform::new(from, to) else {
            return assert!(false, "{from} to {to}");
        };
        let mut worst = 0.0_f64;
        for _ in 0..20_000 {
            let high = uniform.sample(&mut rng);
            let x = TwoFloat::sum(high, high * 1e-8 * uniform.sample(&mut rng) / to);
            let (found, expected) = (f64::from(f(x)), exact(f64::from(x)));
            let error = ((found - expected) / expected).abs();
            assert!(error <= unit, "{name} of {x:?}: {found}, {expected}");
            worst = worst.max(error);
        }
    }

    #[test]
    fn arithmetic_has_46_bits() {
        let third = TwoFloat::from(1.0) / 3.0;
        let third64 = f64::from(third);
        let unit = 1.5e-14; // 2⁻⁴⁶
        compare("add", [-9.0, 9.0], 1e-12, |x| x + third, |x| x + third64);
        compare("subtract", [1.0, 9.0], unit, |x| x - third, |x| x - third64);
        compare(
            "multiply",
            [-9.0, 9.0],
            unit,
            |x| x * third,
            |x| x * third64,
        );
        compare("divide", [-9.0, 9.0], unit, |x| third / x, |x| third64 / x);
        compare(
            "reciprocal",
            [-9.0, 9.0],
            unit,
            |x| x.reciprocal(),
            |x| 1.0 / x,
        );
        compare("square root", [1e-9, 9.0], unit, Real::sqrt, f64::sqrt);
    }

    #[test]
    fn functions_have_40_bits() {
        let unit = 1e-12;
        compare("exp", [-60.0, 80.0], unit, Real::exp, f64::exp);
        compare("exp_m1", [-0.3, 0.3], unit, Real::exp_m1, f64::exp_m1);
        compare("ln", [1e-20, 0.9], unit, Real::ln, f64::ln);
        compare("ln", [1.1, 1e20], unit, Real::ln, f64::ln);
        compare("sin", [-3.0, 3.0], unit, Real::sin, f64::sin);
        compare("cos", [-1.5, 1.5], unit, Real::cos, f64::cos);
        compare("atan", [-30.0, 30.0], unit, Real::atan, f64::atan);
        compare("tanh", [-9.0, 9.0], unit, Real::tanh, f64::tanh);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        compare("sigmoid", [-50.0, 50.0], unit, Real::sigmoid, sigmoid);
        compare("powi", [-3.0, 3.0], unit, |x| x.powi(-5), |x| x.powi(-5));
        let third = TwoFloat::from(1.0) / 3.0;
        compare(
            "pow",
            [0.01, 99.0],
            unit,
            |x| Real::pow(x, third),
            |x| x.powf(third.into()),
        );
        // An angle of many turns, not near a zero of the cosine.
        compare("cos", [7540.0, 7541.0], unit, Real::cos, f64::cos);
    }

    #[test]
    fn what_is_no_number_in_f32_is_none_in_pairs() {
        const HARD: [f32; 8] = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            3e38,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
        ];
        let same = |name: &str, found: TwoFloat, expected: f32| {
            // The two may differ by a unit in the last place.
            let near = (found.high() - expected).abs() <= 1e-6 * expected.abs();
            let agree = found.high() == expected || found.high().is_nan() && expected.is_nan();
            let agree = agree || expected.is_finite() && near;
            assert!(
                agree && found.low().is_finite(),
                "{name}: {found:?}, {expected}"
            );
        };
        for x in HARD {
            let pair = TwoFloat::from(x);
            same("exp", Real::exp(pair), Real::exp(x));
            same("ln", Real::ln(pair), Real::ln(x));
            same("sqrt", Real::sqrt(pair), Real::sqrt(x));
            same("sigmoid", Real::sigmoid(pair), Real::sigmoid(x));
            same("tanh", Real::tanh(pair), Real::tanh(x));
            same("abs", Real::abs(pair), Real::abs(x));
            for y in HARD {
                let other = TwoFloat::from(y);
                same("add", pair + other, x + y);
                same("multiply", pair * other, x * y);
                same("divide", pair / other, x / y);
                same("pow", Real::pow(pair, other), Real::pow(x, y));
                same("maximum", Real::maximum(pair, other), Real::maximum(x, y));
                same("minimum", Real::minimum(pair, other), Real::minimum(x, y));
                assert_eq!(Real::lt(pair, other), x < y);
                assert_eq!(Real::ge(pair, other), x >= y);
            }
        }
    }

    #[test]
    fn sums_of_products_keep_what_cancels() {
        let mut sum = TwoFloat::ZERO;
        // 1.25 · 8e6 - 1e7 + 2⁻²⁰ · 3, in an order that f32 would lose.
        for (a, b) in [(1.25, 8e6), (2.0_f32.powi(-20), 3.0), (-1e7, 1.0)] {
            sum.add_product(Split::of(a), Split::of(b));
        }
        assert_eq!(f32::from(sum), 3.0 * 2.0_f32.powi(-20));
    }
}
