//! The pieces of [`TwoFloat`]'s elementary functions: reduced arguments, series, powers.

use super::TwoFloat;

/// ln 2 and π / 2 in three parts each. The first two are cut so that their product with an
/// integer of up to 13 bits is exact.
const LN_2: [f32; 2] = [0.692_871_1, 2.758_503e-4];
const LN_2_REST: TwoFloat = TwoFloat::new(2.365_139_3e-7, -1.864_188_7e-15);
const HALF_PI: [f32; 2] = [1.570_312_5, 4.837_513e-4];
const HALF_PI_REST: TwoFloat = TwoFloat::new(7.549_79e-8, -1.715_124_5e-15);

/// The largest angle, in radians, that these parts of π / 2 can reduce.
const LARGEST_ANGLE: f32 = 1e4;

impl TwoFloat {
    /// `self` minus `k` times a constant in three parts.
    #[inline(always)]
    fn less(self, k: f32, [first, second]: [f32; 2], rest: TwoFloat) -> Self {
        ((self - first * k) - second * k) - rest * k
    }

    /// `1 + x/d (1 + x/e (1 + …))`: the sum of a series in which each term is the previous term
    /// times `x`, divided by the next divisor.
    #[inline(never)]
    fn series(x: Self, divisors: &[f32]) -> Self {
        let mut sum = TwoFloat::from(1.0);
        for divisor in divisors.iter().rev() {
            sum = 1.0 + (x * sum) / *divisor;
        }
        sum
    }

    /// `eʳ - 1` and `k`, where `self = r + k ln 2`, so that `exp(self)` is `2ᵏ eʳ`.
    #[inline(never)]
    pub(super) fn exp_m1_reduced(self) -> (Self, f32) {
        let k = libm::rintf(self.high * core::f32::consts::LOG2_E);
        // |r| is scaled to at most ln 2 / 32, where these terms of the series suffice. Squaring
        // eʳ four times undoes the scaling: (1 + x)² - 1 = 2 x + x².
        let r = self.less(k, LN_2, LN_2_REST).scaled(0.0625);
        let mut x = r * TwoFloat::series(r, &[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        for _ in 0..4 {
            x = x.scaled(2.0) + x.squared();
        }
        (x, k)
    }

    /// Returns whether `eˣ` is in the range in which pairs keep their lower half.
    #[inline(always)]
    pub(super) fn has_exp(self) -> bool {
        self.high > -70.0 && self.high < 80.0
    }

    /// `selfⁿ` by squaring.
    pub(crate) fn power(self, n: u32) -> Self {
        let (mut left, mut square, mut power) = (n, self, TwoFloat::ONE);
        while left > 0 {
            if left & 1 == 1 {
                power = power * square;
            }
            left >>= 1;
            if left > 0 {
                square = square.squared();
            }
        }
        power
    }

    /// Sine and cosine of an angle for which [`can_be_reduced`](Self::can_be_reduced) holds.
    #[inline(never)]
    pub(super) fn sin_cos(self) -> (Self, Self) {
        let k = libm::rintf(self.high * core::f32::consts::FRAC_2_PI);
        let r = self.less(k, HALF_PI, HALF_PI_REST);
        let minus = -r.squared();
        // |r| is at most π / 4.
        let sin = r * TwoFloat::series(minus, &[6.0, 20.0, 42.0, 72.0, 110.0, 156.0, 210.0, 272.0]);
        let cos = TwoFloat::series(minus, &[2.0, 12.0, 30.0, 56.0, 90.0, 132.0, 182.0, 240.0]);
        match k as i32 & 3 {
            0 => (sin, cos),
            1 => (cos, -sin),
            2 => (-sin, -cos),
            _ => (-cos, sin),
        }
    }

    /// Returns whether the angle is small enough for [`sin_cos`](Self::sin_cos).
    pub(super) fn can_be_reduced(self) -> bool {
        self.high > -LARGEST_ANGLE && self.high < LARGEST_ANGLE
    }
}
