//! Numbers of twice the precision, as the unevaluated sum of two `f32`.
//!
//! [`exact`] has the sums and products without loss that everything is built from,
//! [`operators`] has `+ - * /`, [`elementary`] the series, [`functions`] the functions: such
//! series, whose terms are pairs, or one step of Newton's method from what `f32` gives.

mod elementary;
mod exact;
mod functions;
mod operators;

use core::cmp::Ordering;

pub(crate) use self::exact::{Split, difference_of, sum_of, two_sum};

/// `high + low`, where `low` is at most half a unit in the last place of `high`: about 48
/// bits, where `f32` has 24 and `f64` 53.
///
/// A scalar that a [`Function`](super::Function) can be computed in, for where the difference
/// of two results of `f32` would have too few digits: the residuals of a good fit.
///
/// Readings are such numbers, too: those of a converter of 24 bits with a few more from
/// averaging, pressures of 101325.07 Pa, seconds since 1970. Text is read without `f64`, which
/// small microcontrollers have no hardware for, and a model learns from the
/// [`difference`](Self::difference) of two, which is an `f32`.
///
/// `+ - * /`, square root, `exp`, `exp_m1`, `ln`, `sin`, `cos`, `atan`, `tanh`, `sigmoid` and
/// powers have a relative error below 1e-12 where neither the result nor what leads to it is
/// beyond the range in which products keep their lower half, 1e-31 to 8e34; sines and cosines
/// of up to 10⁴. All other functions are as good as in `f32`.
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

    /// `high + low`, if `high` is the nearest `f32` to that.
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

    /// The rest.
    #[must_use]
    #[inline(always)]
    pub const fn low(self) -> f32 {
        self.low
    }

    #[inline(always)]
    fn halves(self) -> [f32; 2] {
        [self.high, self.low]
    }

    /// The nearest to an `f64` in the range of `f32`. Slow where `f64` is emulated, unless the
    /// `f64` is a constant: the compiler then leaves two `f32`.
    #[must_use]
    #[inline(always)]
    pub const fn from_f64(x: f64) -> Self {
        let high = x as f32;
        let low = (x - high as f64) as f32;
        // An infinity has no rest.
        TwoFloat::new(high, if low.is_finite() { low } else { 0.0 })
    }

    /// Both parts together, which `f64` holds.
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

    /// A count, exactly.
    pub(crate) const fn of_count(n: u32) -> Self {
        // 20 and 12 bits: both are exact, and so is their sum.
        let (high, low) = ((n & !0xfff) as f32, (n & 0xfff) as f32);
        let sum = high + low;
        TwoFloat::new(sum, low - (sum - high))
    }

    /// How much more it is than `origin`, as an `f32`: accurate to the last bit or two, because
    /// the larger parts are subtracted exactly before anything is rounded.
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

    /// The number that is larger by `difference`.
    #[must_use]
    pub fn plus(self, difference: f32) -> Self {
        let (rough, [high, low]) = sum_of(self.halves(), difference);
        if rough.is_finite() {
            TwoFloat::new(high, low).or_high()
        } else {
            rough.into()
        }
    }

    /// How far apart neighbouring numbers of this type are here: 2⁻⁴⁸ of the number, at most.
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
        // Half the spacing of f32, 2⁻²⁴ times.
        (self.high.abs() * (1.0 / 16_777_216.0)) * (1.0 / 16_777_216.0)
    }

    /// Adds a product, without renormalising: `low` collects what was lost. Sums of `n`
    /// products are as if computed with 48 bits, but for `n²` units of their last place
    /// (Ogita, Rump and Oishi, "Accurate sum and dot product", 2005, algorithm Dot2).
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

    /// The same number with a small low half.
    #[inline(always)]
    pub(crate) fn renormalised(self) -> Self {
        TwoFloat::sum(self.high, self.low)
    }

    /// Whether it is neither an infinity nor NaN.
    #[must_use]
    #[inline(always)]
    pub fn is_finite(self) -> bool {
        (self.high + self.low).is_finite()
    }

    /// Times a power of two: exact.
    #[inline(always)]
    pub(crate) fn scaled(self, power_of_two: f32) -> Self {
        TwoFloat::new(self.high * power_of_two, self.low * power_of_two)
    }

    /// `1 / self`, by a step of Newton's method: half of what a division takes.
    pub(crate) fn reciprocal(self) -> Self {
        let rough = 1.0 / self.high;
        // The product is next to 1, so that its difference from 1 is exact.
        let (product, error) = Split::of(self.high).times(Split::of(rough));
        let off = ((1.0 - product) - error) - self.low * rough;
        TwoFloat::sum(rough, rough * off)
    }

    /// Infinities and NaN have no lower half, though arithmetic leaves a NaN there.
    #[inline(always)]
    fn or_high(self) -> Self {
        if self.high.is_finite() {
            self
        } else {
            TwoFloat::new(self.high, 0.0)
        }
    }

    /// `high + low`, or `high` alone if `low` is not finite, as that of an infinity.
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
    /// The nearest.
    #[inline(always)]
    fn from(x: TwoFloat) -> f32 {
        x.to_f32()
    }
}

impl From<f64> for TwoFloat {
    /// The nearest, for numbers in the range of `f32`.
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

    /// Compares with `f64`, which has 5 bits more, for numbers from a range.
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
        // Angles of many turns, where they are not near a zero.
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
