//! Student's t distribution and the F distribution: for confidence intervals and tests.
//!
//! Both come down to one function, the tails of F, by one continued fraction in
//! [pairs](TwoFloat) of `f32`. There is no `f64` in it.

use super::OutOfRange;
use super::range::require;
use crate::function::{Real, TwoFloat};
use crate::kernel::math;

/// More degrees of freedom than these must be infinitely many: of larger ones `f32` does not
/// hold every whole number.
const MOST: f32 = 16_777_216.0;
/// The range of F in which tails are computed; beyond, they are powers of F.
const RANGE: [f32; 2] = [1e-24, 1e24];
/// The smallest tail of which a quantile is computed.
const SMALLEST: f32 = 1e-12;
/// A continued fraction ends when it changes by less than this part of itself: one that
/// converges slowly is then off by less than a hundred times as much.
const CHANGE: f32 = 1e-11;
/// A quantile's tail may be off by this part of it before the last step, which squares it.
const NEAR: f32 = 1e-5;

/// Student's t distribution: of the mean of normal numbers over its standard error, which is
/// known from as many of them as there are degrees of freedom. With infinitely many, the
/// normal distribution.
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
/// # How many digits
///
/// For 1 to 2²⁴ and infinitely many degrees of freedom, whole or not, quantiles of any `f32`
/// `p` between 10⁻⁶ and 1 - 10⁻⁶ are off by at most 7e-8 of themselves, and so are tails:
/// that is the nearest `f32`, or nearly so (`tests/distribution.rs` compares with scipy and
/// mpmath). Near 1 it is `p` itself that has few digits:
/// [`upper_quantile`](Self::upper_quantile) takes `1 - p`.
///
/// A tail takes up to 80 terms of a continued fraction in pairs, of F with 10⁶ degrees of
/// freedom each 350; a quantile takes about five tails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StudentT {
    freedom: f32,
}

/// The F distribution: of the ratio of two variances, of so many degrees of freedom each.
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
/// Either number of degrees of freedom may be infinite. As accurate as [`StudentT`] is.
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
    /// With so many degrees of freedom.
    ///
    /// # Errors
    /// Fewer than 1, more than 2²⁴ but not infinitely many, or not a number.
    pub fn new(freedom: f32) -> Result<Self, OutOfRange> {
        require_freedom(freedom)?;
        Ok(StudentT { freedom })
    }

    /// The distribution of a fit. More degrees of freedom than `f32` can count are taken as
    /// infinitely many: quantiles differ by less than `f32` tells. Zero is an error.
    pub(super) fn of_count(freedom: usize) -> Result<Self, OutOfRange> {
        let freedom = freedom as f32;
        Self::new(if freedom > MOST {
            f32::INFINITY
        } else {
            freedom
        })
    }

    /// The probability of a number of at most `t`; NaN for NaN.
    #[must_use]
    pub fn cdf(&self, t: f32) -> f32 {
        self.survival(-t)
    }

    /// The probability of a number above `t`, `1 - cdf(t)`, also where that is small; NaN for
    /// NaN.
    #[must_use]
    pub fn survival(&self, t: f32) -> f32 {
        if t.is_nan() {
            return t;
        }
        let a = t.abs();
        // The square of a large one is beyond the range of pairs; its tail is a power of it.
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

    /// The number that others are below with probability `p`.
    ///
    /// # Errors
    /// A `p` that is not between 1e-12 and 1.
    pub fn quantile(&self, p: f32) -> Result<f32, OutOfRange> {
        self.upper_quantile(p).map(|t| -t)
    }

    /// The number that others are above with probability `q`.
    ///
    /// # Errors
    /// A `q` that is not between 1e-12 and 1.
    pub fn upper_quantile(&self, q: f32) -> Result<f32, OutOfRange> {
        require_tail(q)?;
        if q == 0.5 {
            return Ok(0.0);
        }
        // Both are exact: the difference is only taken of numbers near ½, or from 1.
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
    /// With so many degrees of freedom of the numerator and the denominator.
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

    /// The probability of a ratio above `f`, `1 - cdf(f)`, also where that is small; NaN for
    /// NaN.
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
        // Beyond the range, tails are powers, of which pow makes 0 where they are none.
        match upper {
            true if f > most => f32::from(tails.upper) * math::pow(f / most, -0.5 * denominator),
            true => tails.upper.into(),
            false if f < least => f32::from(tails.lower) * math::pow(f / least, 0.5 * numerator),
            false => tails.lower.into(),
        }
    }

    /// The ratio that others are below with probability `p`.
    ///
    /// # Errors
    /// A `p` that is not between 1e-12 and 1.
    pub fn quantile(&self, p: f32) -> Result<f32, OutOfRange> {
        require_tail(p)?;
        let tail = if p > 0.5 {
            Tail::Upper(1.0 - p)
        } else {
            Tail::Lower(p)
        };
        Ok(quantile(self.numerator, self.denominator, tail).into())
    }

    /// The ratio that others are above with probability `q`.
    ///
    /// # Errors
    /// A `q` that is not between 1e-12 and 1.
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

/// A probability below or above something.
#[derive(Clone, Copy)]
enum Tail {
    Lower(f32),
    Upper(f32),
}

/// The probabilities of less and of more than some F, and the density of its logarithm.
#[derive(Clone, Copy)]
struct Tails {
    lower: TwoFloat,
    upper: TwoFloat,
    density: TwoFloat,
}

/// The tails of F with so many degrees of freedom at `f`, a positive number within the
/// range, or 0.
///
/// They are incomplete beta functions of `a = numerator / 2`, `b = denominator / 2` and
/// `x = a f / (a f + b)`: a product of powers, by Loader's deviance and Stirling's series,
/// so that nothing large cancels (C. Loader, "Fast and accurate computation of binomial
/// probabilities", 2000), times a continued fraction (A. R. DiDonato and A. H. Morris,
/// "Algorithm 708: significant digit computation of the incomplete beta function ratios",
/// 1992). Written with `1 / a` and `1 / b`, both hold for infinitely many degrees of freedom.
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
        // One over it has the same distribution with numbers exchanged.
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

    // b ln((a f + b) / (a + b)) + a ln((a + b / f) / (a + b)), of which neither is much larger
    // than both together.
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

/// The continued fraction of the incomplete beta function of `a`, `b` and `x = 1 - y`, where
/// `more = a y - b x` is at least 0.
fn fraction(
    one_over_a: TwoFloat,
    x: TwoFloat,
    y: TwoFloat,
    bx: TwoFloat,
    more: TwoFloat,
) -> TwoFloat {
    let part = |n: f32| 1.0 + n * one_over_a;
    // The convergents of 1 / (β₁ + α₂ / (β₂ + …)): 0, then 1 / β₁. Numerators and denominators
    // are scaled so that the denominator of the last is 1.
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

/// `ln(1 + x)`; `whole` is 1 + x.
fn ln_1p(x: TwoFloat, whole: impl FnOnce() -> TwoFloat) -> TwoFloat {
    if x.high().abs() > 0.25 {
        return Real::ln(whole());
    }
    // 2 (s + s³ / 3 + s⁵ / 5 + …), s up to 1 / 7.
    let s = x / (2.0 + x);
    let square = s * s;
    let mut sum = TwoFloat::ZERO;
    for k in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        sum = sum * square + 1.0 / TwoFloat::from(k);
    }
    2.0 * (s + s * (square * sum))
}

/// By how much `ln Γ(x + 1)` exceeds Stirling's `(x + ½) ln x - x + ½ ln 2π`, for `x` of ½ and
/// more.
fn stirling(x: TwoFloat) -> TwoFloat {
    // Bernoulli's numbers by 2 k (2 k - 1).
    const TERMS: [TwoFloat; 6] = [
        TwoFloat::from_f64(-691.0 / 360_360.0),
        TwoFloat::from_f64(1.0 / 1188.0),
        TwoFloat::from_f64(-1.0 / 1680.0),
        TwoFloat::from_f64(1.0 / 1260.0),
        TwoFloat::from_f64(-1.0 / 360.0),
        TwoFloat::from_f64(1.0 / 12.0),
    ];
    let (mut x, mut less) = (x, TwoFloat::ZERO);
    // A small x goes by the difference to x + 1: (x + ½) ln(1 + 1 / x) - 1.
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

/// Where a tail of F is so large, by Newton's method for the logarithm of the tail over that
/// of F: of a power, that is a straight line.
fn quantile(numerator: f32, denominator: f32, tail: Tail) -> TwoFloat {
    let mut f = TwoFloat::ONE;
    if numerator == f32::INFINITY && denominator == f32::INFINITY {
        return f;
    }
    let [least, most] = RANGE;
    // The logarithms between which it is, and the one that is tried.
    let (mut low, mut high, mut at) = (math::ln(least), math::ln(most), 0.0_f32);
    for _ in 0..100 {
        let tails = tails(numerator, denominator, f);
        let (found, wanted, sign) = match tail {
            Tail::Lower(p) => (tails.lower, p, -1.0),
            Tail::Upper(q) => (tails.upper, q, 1.0),
        };
        // The part by which the tail is too large.
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
