//! Student's t distribution and the F distribution, for confidence intervals and tests.
//!
//! Both are computed from the tails of F by one continued fraction in [pairs](TwoFloat) of
//! `f32`, without `f64`.

use super::OutOfRange;
use super::range::require;
use crate::function::{Real, TwoFloat};
use crate::kernel::math;

/// The largest finite number of degrees of freedom: `f32` holds every whole number up to it.
const MOST: f32 = 16_777_216.0;
/// The range of F in which tails are computed. Beyond it, they are continued as powers of F.
const RANGE: [f32; 2] = [1e-24, 1e24];
/// The smallest tail probability for which quantiles are computed.
const SMALLEST: f32 = 1e-12;
/// The relative change at which a continued fraction ends. If it converges slowly, its error is
/// less than a hundred times as large.
const CHANGE: f32 = 1e-11;
/// The relative error of a tail at which the last Newton step is taken, which squares the
/// error.
const NEAR: f32 = 1e-5;

/// Student's t distribution: the distribution of the mean of normal numbers over its standard
/// error, when that is estimated with `freedom` degrees of freedom. With infinitely many, it is
/// the normal distribution.
///
/// ```
/// use baregrad::least_squares::StudentT;
///
/// let t = StudentT::new(9.0)?;
/// let quantile = t.quantile(0.975)?; // for an interval of 95 %
/// assert!((quantile - 2.262157).abs() < 1e-6);
/// assert!((t.cdf(quantile) - 0.975).abs() < 1e-7);
/// assert!((StudentT::new(f32::INFINITY)?.quantile(0.975)? - 1.959964).abs() < 1e-6);
/// # Ok::<(), baregrad::least_squares::OutOfRange>(())
/// ```
///
/// # Precision
///
/// For 1 to 2²⁴ and infinitely many degrees of freedom, whole or not, tails, and quantiles of
/// any `f32` `p` between 10⁻⁶ and 1 - 10⁻⁶, have relative errors of at most 7e-8: they are the
/// nearest `f32`, or almost (`tests/distribution.rs` compares with scipy and mpmath). Near 1,
/// `p` itself has few digits: use [`upper_quantile`](Self::upper_quantile), which takes
/// `1 - p`.
///
/// A tail takes up to 80 terms of a continued fraction in pairs; 350 for an F with 10⁶ degrees
/// of freedom in numerator and denominator. A quantile takes about five tails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StudentT {
    freedom: f32,
}

/// The F distribution: the distribution of the ratio of two independent variance estimates.
///
/// ```
/// use baregrad::least_squares::FDistribution;
///
/// let f = FDistribution::new(2.0, 9.0)?;
/// assert!((f.quantile(0.95)? - 4.256495).abs() < 1e-6);
/// assert!((f.survival(8.0215173) - 0.01).abs() < 1e-8);
/// # Ok::<(), baregrad::least_squares::OutOfRange>(())
/// ```
///
/// Either number of degrees of freedom may be infinite. The precision is that of [`StudentT`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FDistribution {
    numerator: f32,
    denominator: f32,
}

fn require_freedom(freedom: f32) -> Result<(), OutOfRange> {
    require(
        freedom == f32::INFINITY || (1.0..=MOST).contains(&freedom),
        "degrees of freedom",
        "1 to 2^24, or infinitely many",
        freedom,
    )
}

fn require_tail(q: f32) -> Result<(), OutOfRange> {
    require(
        (SMALLEST..1.0).contains(&q),
        "probability",
        "1e-12 or more, less than 1",
        q,
    )
}

impl StudentT {
    /// Creates the distribution with this number of degrees of freedom.
    ///
    /// # Errors
    /// Fewer than 1, more than 2²⁴ but not infinitely many, or not a number.
    pub fn new(freedom: f32) -> Result<Self, OutOfRange> {
        require_freedom(freedom)?;
        Ok(StudentT { freedom })
    }

    /// The distribution for a fit. Takes numbers of degrees of freedom above 2²⁴ as infinite:
    /// quantiles then differ by less than the precision of `f32`. Zero is an error.
    pub(super) fn of_count(freedom: usize) -> Result<Self, OutOfRange> {
        let freedom = freedom as f32;
        Self::new(if freedom > MOST {
            f32::INFINITY
        } else {
            freedom
        })
    }

    /// The probability of a value of at most `t`; NaN for NaN.
    #[must_use]
    pub fn cdf(&self, t: f32) -> f32 {
        self.survival(-t)
    }

    /// The probability of a value above `t`, `1 - cdf(t)`, precise also where it is small; NaN
    /// for NaN.
    #[must_use]
    pub fn survival(&self, t: f32) -> f32 {
        if t.is_nan() {
            return t;
        }
        let a = t.abs();
        // The square of a larger t is out of the range of pairs; the tail there is a power of
        // t.
        let bound = 1e12;
        let tails = match a > bound {
            false => tails(1.0, self.freedom, squared(a)),
            true => tails(1.0, self.freedom, squared(bound)),
        };
        let mut upper = f32::from(tails.upper) * 0.5;
        if a > bound {
            upper *= math::pow(a / bound, -self.freedom);
        }
        if t < 0.0 {
            // 1 - upper, rounded once.
            0.5 + f32::from((tails.lower).scaled(0.5))
        } else {
            upper
        }
    }

    /// The value below which a number falls with probability `p`.
    ///
    /// # Errors
    /// A `p` that is below 1e-12 or not below 1.
    pub fn quantile(&self, p: f32) -> Result<f32, OutOfRange> {
        self.upper_quantile(p).map(|t| -t)
    }

    /// The value above which a number falls with probability `q`.
    ///
    /// # Errors
    /// A `q` that is below 1e-12 or not below 1.
    pub fn upper_quantile(&self, q: f32) -> Result<f32, OutOfRange> {
        require_tail(q)?;
        if q == 0.5 {
            return Ok(0.0);
        }
        // Both subtractions are exact.
        let smaller = if q > 0.5 { 1.0 - q } else { q };
        let tail = if smaller <= 0.25 {
            Tail::Upper(2.0 * smaller)
        } else {
            Tail::Lower(1.0 - 2.0 * smaller)
        };
        let square = quantile(1.0, self.freedom, tail);
        let t = f32::from(Real::sqrt(square));
        Ok(if q > 0.5 { -t } else { t })
    }
}

impl FDistribution {
    /// Creates the distribution with these numbers of degrees of freedom.
    ///
    /// # Errors
    /// Fewer than 1, more than 2²⁴ but not infinitely many, or not a number.
    pub fn new(numerator: f32, denominator: f32) -> Result<Self, OutOfRange> {
        require_freedom(numerator)?;
        require_freedom(denominator)?;
        Ok(FDistribution {
            numerator,
            denominator,
        })
    }

    /// The probability of a ratio of at most `f`; NaN for NaN.
    #[must_use]
    pub fn cdf(&self, f: f32) -> f32 {
        self.tail(f, false)
    }

    /// The probability of a ratio above `f`, `1 - cdf(f)`, precise also where it is small; NaN
    /// for NaN.
    #[must_use]
    pub fn survival(&self, f: f32) -> f32 {
        self.tail(f, true)
    }

    fn tail(&self, f: f32, upper: bool) -> f32 {
        let (numerator, denominator) = (self.numerator, self.denominator);
        if f.is_nan() {
            return f;
        }
        if f <= 0.0 {
            return if upper { 1.0 } else { 0.0 };
        }
        let [least, most] = RANGE;
        let tails = tails(numerator, denominator, f.clamp(least, most).into());
        // Beyond the range, tails are powers of f. With infinite degrees of freedom, pow
        // returns 0.
        match upper {
            true if f > most => f32::from(tails.upper) * math::pow(f / most, -0.5 * denominator),
            true => tails.upper.into(),
            false if f < least => f32::from(tails.lower) * math::pow(f / least, 0.5 * numerator),
            false => tails.lower.into(),
        }
    }

    /// The value below which a ratio falls with probability `p`.
    ///
    /// # Errors
    /// A `p` that is below 1e-12 or not below 1.
    pub fn quantile(&self, p: f32) -> Result<f32, OutOfRange> {
        require_tail(p)?;
        let tail = if p > 0.5 {
            Tail::Upper(1.0 - p)
        } else {
            Tail::Lower(p)
        };
        Ok(quantile(self.numerator, self.denominator, tail).into())
    }

    /// The value above which a ratio falls with probability `q`.
    ///
    /// # Errors
    /// A `q` that is below 1e-12 or not below 1.
    pub fn upper_quantile(&self, q: f32) -> Result<f32, OutOfRange> {
        require_tail(q)?;
        let tail = if q > 0.5 {
            Tail::Lower(1.0 - q)
        } else {
            Tail::Upper(q)
        };
        Ok(quantile(self.numerator, self.denominator, tail).into())
    }
}

fn squared(x: f32) -> TwoFloat {
    TwoFloat::from(x) * x
}

/// A lower or upper tail probability.
#[derive(Clone, Copy)]
enum Tail {
    Lower(f32),
    Upper(f32),
}

/// The probabilities below and above some F, and the density of ln F.
#[derive(Clone, Copy)]
struct Tails {
    lower: TwoFloat,
    upper: TwoFloat,
    density: TwoFloat,
}

/// The tails of F with these degrees of freedom at `f`, a positive number within [`RANGE`], or
/// 0.
///
/// They are incomplete beta functions of `a = numerator / 2`, `b = denominator / 2` and
/// `x = a f / (a f + b)`: a product of powers, computed from Loader's deviance and Stirling's
/// series to avoid cancellation (C. Loader, "Fast and accurate computation of binomial
/// probabilities", 2000), times a continued fraction (A. R. DiDonato and A. H. Morris,
/// "Algorithm 708: significant digit computation of the incomplete beta function ratios",
/// 1992). Both are written in `1 / a` and `1 / b`, so that they hold for infinitely many
/// degrees of freedom, too.
fn tails(numerator: f32, denominator: f32, f: TwoFloat) -> Tails {
    let (zero, one) = (TwoFloat::ZERO, TwoFloat::ONE);
    if numerator == f32::INFINITY {
        if denominator == f32::INFINITY {
            let below = f.high() < 1.0;
            return Tails {
                lower: if below { zero } else { one },
                upper: if below { one } else { zero },
                density: zero,
            };
        }
        // 1 / F has the F distribution with the degrees of freedom exchanged.
        let Tails {
            lower,
            upper,
            density,
        } = tails(denominator, numerator, 1.0 / f);
        return Tails {
            lower: upper,
            upper: lower,
            density,
        };
    }
    if f.high() <= 0.0 {
        return Tails {
            lower: zero,
            upper: one,
            density: zero,
        };
    }
    let (a, b) = (0.5 * numerator, 0.5 * denominator);
    let inverse = |x: f32| {
        if x < f32::INFINITY {
            1.0 / TwoFloat::from(x)
        } else {
            zero
        }
    };
    let (one_over_a, one_over_b) = (inverse(a), inverse(b));

    let more = f - 1.0;
    let af = a * f;
    let ratio = af * one_over_b;
    let scale = 1.0 / (1.0 + ratio);
    let (x, y) = (ratio * scale, scale);
    let (bx, ay) = (af * scale, a * scale);

    // The deviance is b ln((a f + b) / (a + b)) + a ln((a + b / f) / (a + b)). Neither term is
    // much larger than the sum.
    let excess = a * more;
    let (deviance, stirling) = if b < f32::INFINITY {
        let n = TwoFloat::from(a) + b;
        let first = ln_1p(excess / n, || (af + b) / n);
        let second = ln_1p(-(b * more) / (n * f), || (a + b / f) / n);
        (b * first + a * second, stirling(n) - stirling(b.into()))
    } else {
        (excess - a * ln_1p(more, || f), zero)
    };
    let exponent = stirling - self::stirling(a.into()) - deviance;
    let harmonic = a / (1.0 + a * one_over_b);
    let density = Real::sqrt(harmonic * INVERSE_OF_TWO_PI) * Real::exp(exponent);

    if more.high() <= 0.0 {
        let lower = density * fraction(one_over_a, x, y, bx, ay - bx);
        Tails {
            lower,
            upper: one - lower,
            density,
        }
    } else {
        let upper = density * fraction(one_over_b, y, x, ay, bx - ay);
        Tails {
            lower: one - upper,
            upper,
            density,
        }
    }
}

const INVERSE_OF_TWO_PI: TwoFloat = TwoFloat::from_f64(0.5 / core::f64::consts::PI);

/// The continued fraction of the incomplete beta function of `a`, `b` and `x = 1 - y`, with
/// `more = a y - b x` of at least 0.
fn fraction(
    one_over_a: TwoFloat,
    x: TwoFloat,
    y: TwoFloat,
    bx: TwoFloat,
    more: TwoFloat,
) -> TwoFloat {
    let part = |n: f32| 1.0 + n * one_over_a;
    // The convergents of 1 / (β₁ + α₂ / (β₂ + …)): 0, then 1 / β₁. Numerators and denominators
    // are scaled so that the last denominator is 1.
    let mut convergent = part(1.0) / (more + 1.0);
    let mut before = [TwoFloat::ZERO, convergent];
    for n in 1..20_000_u16 {
        let n = f32::from(n);
        let middle = 1.0 / part(2.0 * n - 1.0);
        let w = n * (bx - n * x);
        let ahead = part(n - 1.0) * middle;
        let alpha = ahead * ((part(n - 1.0) * x + bx * one_over_a) * middle) * w;
        let beta = n
            + w * one_over_a * middle
            + part(n) * (more + 1.0 + n * (1.0 + y)) / part(2.0 * n + 1.0);
        let [numerator, denominator] = before;
        let numerator = beta * convergent + alpha * numerator;
        let scale = 1.0 / (beta + alpha * denominator);
        before = [convergent * scale, scale];
        let change = (numerator * scale - convergent).high().abs();
        convergent = numerator * scale;
        if change <= CHANGE * convergent.high().abs() || alpha.high() == 0.0 {
            break;
        }
    }
    convergent
}

/// `ln(1 + x)`; `whole` computes 1 + x.
fn ln_1p(x: TwoFloat, whole: impl FnOnce() -> TwoFloat) -> TwoFloat {
    if x.high().abs() > 0.25 {
        return Real::ln(whole());
    }
    // 2 (s + s³ / 3 + s⁵ / 5 + …), with |s| up to 1 / 7.
    let s = x / (2.0 + x);
    let square = s * s;
    let mut sum = TwoFloat::ZERO;
    for k in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        sum = sum * square + 1.0 / TwoFloat::from(k);
    }
    2.0 * (s + s * (square * sum))
}

/// The remainder of Stirling's formula: `ln Γ(x + 1) - ((x + ½) ln x - x + ½ ln 2π)`, for `x`
/// of at least ½.
fn stirling(x: TwoFloat) -> TwoFloat {
    // Bernoulli numbers over 2 k (2 k - 1).
    const TERMS: [TwoFloat; 6] = [
        TwoFloat::from_f64(-691.0 / 360_360.0),
        TwoFloat::from_f64(1.0 / 1188.0),
        TwoFloat::from_f64(-1.0 / 1680.0),
        TwoFloat::from_f64(1.0 / 1260.0),
        TwoFloat::from_f64(-1.0 / 360.0),
        TwoFloat::from_f64(1.0 / 12.0),
    ];
    let (mut x, mut less) = (x, TwoFloat::ZERO);
    // A small x is increased in steps of 1; each changes the remainder by (x + ½) ln(1 + 1 / x)
    // - 1.
    while x.high() < 9.0 {
        let inverse = 1.0 / x;
        less = less + ((x + 0.5) * ln_1p(inverse, || 1.0 + inverse) - 1.0);
        x = x + 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let mut sum = TwoFloat::ZERO;
    for term in TERMS {
        sum = sum * square + term;
    }
    less + sum * inverse
}

/// The F with this tail probability, by Newton's method for the logarithm of the tail as a
/// function of ln F, which is a straight line where the tail is a power of F.
fn quantile(numerator: f32, denominator: f32, tail: Tail) -> TwoFloat {
    let mut f = TwoFloat::ONE;
    if numerator == f32::INFINITY && denominator == f32::INFINITY {
        return f;
    }
    let [least, most] = RANGE;
    // The interval of ln F, and the current value.
    let (mut low, mut high, mut at) = (math::ln(least), math::ln(most), 0.0_f32);
    for _ in 0..100 {
        let tails = tails(numerator, denominator, f);
        let (found, wanted, sign) = match tail {
            Tail::Lower(p) => (tails.lower, p, -1.0),
            Tail::Upper(q) => (tails.upper, q, 1.0),
        };
        // The relative excess of the tail.
        let off = Real::ln(found / wanted);
        let step = sign * off * (found / tails.density);
        if off.high().abs() <= NEAR {
            return f * Real::exp(step);
        }
        if sign * off.high() > 0.0 {
            low = at;
        } else {
            high = at;
        }
        let next = at + step.high();
        if next > low && next < high {
            f = f * Real::exp(step);
            at = next;
        } else {
            at = 0.5 * (low + high);
            f = Real::exp(TwoFloat::from(at));
        }
    }
    f
}
