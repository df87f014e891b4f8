//! Numbers of 48 bits: a pair of `f32`, of which the second is what the first rounds away.
//!
//! Sums and products whose rounding errors are known exactly: D. E. Knuth, "The Art of
//! Computer Programming", volume 2, and T. J. Dekker, "A floating-point technique for
//! extending the available precision" (1971). Every operation here is off by a few units of
//! 2⁻⁴⁷, and the same bits everywhere, as nothing is fused.

use core::ops::{Add, Div, Mul, Neg, Sub};

use super::Visit;
use crate::kernel::math;

/// `hi + lo`, with `hi` the nearest `f32` to it.
#[derive(Clone, Copy, Debug)]
pub(in crate::optim) struct Pair {
    hi: f32,
    lo: f32,
}

impl Pair {
    pub(in crate::optim) const ZERO: Self = Self { hi: 0.0, lo: 0.0 };
    pub(in crate::optim) const ONE: Self = Self { hi: 1.0, lo: 0.0 };
    const LN_2: Self = Self::new(core::f64::consts::LN_2);
    const HALF_PI: Self = Self::new(core::f64::consts::FRAC_PI_2);

    /// Always inlined: of a constant, no `f64` is left.
    #[inline(always)]
    pub(in crate::optim) const fn new(x: f64) -> Self {
        let hi = x as f32;
        let lo = (x - hi as f64) as f32;
        // An infinity has no rest.
        Self {
            hi,
            lo: if lo.is_finite() { lo } else { 0.0 },
        }
    }

    pub(in crate::optim) const fn of(x: f32) -> Self {
        Self { hi: x, lo: 0.0 }
    }

    pub(in crate::optim) const fn of_count(n: u32) -> Self {
        // 20 and 12 bits: both are exact, and their sum is made a pair.
        Self::sum((n & !0xfff) as f32, (n & 0xfff) as f32)
    }

    pub(in crate::optim) const fn to_f32(self) -> f32 {
        self.hi + self.lo
    }

    /// The sum of two numbers, of which the first is larger.
    const fn sum(a: f32, b: f32) -> Self {
        let hi = a + b;
        Self {
            hi,
            lo: b - (hi - a),
        }
    }

    pub(in crate::optim) fn less(self, other: Self) -> bool {
        let difference = self - other;
        difference.hi < 0.0
    }

    pub(in crate::optim) fn min(self, other: Self) -> Self {
        if other.less(self) { other } else { self }
    }

    pub(in crate::optim) fn max(self, other: Self) -> Self {
        if self.less(other) { other } else { self }
    }

    fn scale(self, power_of_two: f32) -> Self {
        Self {
            hi: self.hi * power_of_two,
            lo: self.lo * power_of_two,
        }
    }

    /// `selfⁿ` by squaring.
    pub(in crate::optim) fn powi(self, mut n: u32) -> Self {
        let (mut power, mut square) = (Self::ONE, self);
        while n > 0 {
            if n & 1 == 1 {
                power = power * square;
            }
            square = square * square;
            n >>= 1;
        }
        power
    }

    /// `self^exponent` for a number that is not negative.
    pub(in crate::optim) fn pow(self, exponent: Self) -> Self {
        if self.hi <= 0.0 {
            return if exponent.hi == 0.0 {
                Self::ONE
            } else {
                Self::ZERO
            };
        }
        (exponent * self.ln()).exp()
    }

    /// eˣ, between the least and the largest normal numbers.
    fn exp(self) -> Self {
        if self.hi < -87.0 {
            return Self::ZERO;
        }
        let wanted = self.hi * core::f32::consts::LOG2_E;
        let n = (wanted + if wanted < 0.0 { -0.5 } else { 0.5 }) as i32;
        // 2⁻⁴⁷ after eight terms, as |r| is at most ln 2 / 16.
        let r = (self - Self::of(n as f32) * Self::LN_2).scale(0.125);
        let mut sum = Self::ONE;
        for k in (1_u8..=9).rev() {
            sum = Self::ONE + sum * r / Self::of(f32::from(k));
        }
        for _ in 0..3 {
            sum = sum * sum;
        }
        let biased = n.saturating_add(127).clamp(1, 254);
        sum.scale(f32::from_bits((biased as u32) << 23))
    }

    /// ln x, by a step of Newton's method from the nearest `f32`.
    fn ln(self) -> Self {
        let near = Self::of(math::ln(self.hi));
        near + (self * (-near).exp() - Self::ONE)
    }

    /// sin²(π/2 · x) for x from 0 to 1, which is (1 - cos(πx)) / 2.
    pub(in crate::optim) fn sine_squared(self) -> Self {
        let z = self * Self::HALF_PI;
        let square = z * z;
        let mut sum = Self::ONE;
        // Up to z¹⁷ / 17!, after which 2⁻⁴⁰ is missing at the most.
        for k in [16_u16, 14, 12, 10, 8, 6, 4, 2] {
            sum = Self::ONE - sum * square / Self::of(f32::from(k * (k + 1)));
        }
        let sine = z * sum;
        sine * sine
    }

    /// Shows it as two numbers, and takes it back.
    pub(in crate::optim) fn visit(&mut self, name: &'static str, visit: Visit<'_>) {
        let mut both = [self.hi, self.lo];
        visit(name, &mut both);
        let [hi, lo] = both;
        *self = Self { hi, lo };
    }
}

impl Neg for Pair {
    type Output = Self;
    fn neg(self) -> Self {
        Self {
            hi: -self.hi,
            lo: -self.lo,
        }
    }
}

impl Add for Pair {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let hi = self.hi + other.hi;
        let of_other = hi - self.hi;
        let lost = (self.hi - (hi - of_other)) + (other.hi - of_other);
        Self::sum(hi, lost + (self.lo + other.lo))
    }
}

impl Sub for Pair {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Pair {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let halves = |x: f32| {
            let shifted = x * 4097.0;
            let high = shifted - (shifted - x);
            [high, x - high]
        };
        let hi = self.hi * other.hi;
        let ([a, b], [c, d]) = (halves(self.hi), halves(other.hi));
        let lost = ((a * c - hi) + a * d + b * c) + b * d;
        Self::sum(hi, lost + (self.hi * other.lo + self.lo * other.hi))
    }
}

impl Div for Pair {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let first = self.hi / other.hi;
        let rest = self - other * Self::of(first);
        let second = rest.hi / other.hi;
        let rest = rest - other * Self::of(second);
        Self::sum(first, second) + Self::of(rest.hi / other.hi)
    }
}

#[cfg(test)]
mod tests {
    use super::Pair;
    use crate::random::{Uniform, seeded};

    fn value(x: Pair) -> f64 {
        f64::from(x.hi) + f64::from(x.lo)
    }

    /// Against `f64`, which has 53 bits.
    #[test]
    fn forty_eight_bits() {
        let mut rng = seeded(5);
        let Ok(uniform) = Uniform::new(0.0, 1.0) else {
            return;
        };
        let mut draw = || {
            let [a, b] = [(); 2].map(|()| f64::from(uniform.sample(&mut rng)));
            a + b / f64::from(1 << 24) + 1e-3
        };
        let close = |found: Pair, exact: f64, bits: i32| {
            let error = (value(found) - exact).abs() / exact.abs();
            assert!(error < (0.5_f64).powi(bits), "{exact}: {error}");
        };
        for _ in 0..20_000 {
            let (x, y) = (draw(), draw());
            let (a, b) = (Pair::new(x), Pair::new(y));
            close(a + b, x + y, 45);
            close(a * b, x * y, 44);
            close(a / b, x / y, 44);
            close(a.pow(b), x.powf(y), 38);
            let u = x.min(1.0);
            let sine = (core::f64::consts::FRAC_PI_2 * u).sin();
            close(Pair::new(u).sine_squared(), sine * sine, 37);
            assert_eq!(a.less(b), x < y);
        }
        close(Pair::new(0.97).powi(60), 0.97_f64.powi(60), 40);
        assert_eq!(value(Pair::of_count(u32::MAX)), f64::from(u32::MAX));
        assert_eq!(value(Pair::ZERO.pow(Pair::new(0.5))), 0.0);
        assert_eq!(value(Pair::ZERO.sine_squared()), 0.0);
        assert_eq!(Pair::ONE.sine_squared().to_f32(), 1.0);
    }
}
