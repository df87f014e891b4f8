//! The pieces of [`TwoFloat`]'s elementary functions: reduced arguments, series, powers.

use super::TwoFloat;

/// ln 2 and π / 2, cut so that a whole number of up to 13 bits times either of the first two
/// parts is exact.
const LN_2: [f32; 2] = [0.692_871_1, 2.758_503e-4];
const LN_2_REST: TwoFloat = TwoFloat::new(2.365_139_3e-7, -1.864_188_7e-15);
const HALF_PI: [f32; 2] = [1.570_312_5, 4.837_513e-4];
const HALF_PI_REST: TwoFloat = TwoFloat::new(7.549_79e-8, -1.715_124_5e-15);

/// The largest angle that these parts of π / 2 reduce.
const LARGEST_ANGLE: f32 = 1e4;

impl TwoFloat {
    /// `self` less `k` times a constant of three parts.
    #[inline(always)]
    fn less(self, k: f32, [first, second]: [f32; 2], rest: TwoFloat) -> Self {
        ((self - first * k) - second * k) - rest * k
    }

    /// `1 + x/d (1 + x/e (1 + …))`: the sum of a series whose terms are each the one before
    /// times `x` and divided by the next of the divisors.
    #[inline(never)]
    fn series(x: Self, divisors: &[f32]) -> Self {
        let mut sum = TwoFloat::from(1.0);
        for divisor in divisors.iter().rev() {
            sum = 1.0 + (x * sum) / *divisor;
        }
        sum
    }

    /// `eʳ - 1` and `k`, where `self = r + k ln 2`: so `exp(self)` is `2ᵏ eʳ`.
    #[inline(never)]
    pub(super) fn exp_m1_reduced(self) -> (Self, f32) {
        let k = libm::rintf(self.high * core::f32::consts::LOG2_E);
        // |r| up to ln 2 / 32, of which seven terms are enough; then squared four times.
        let r = self.less(k, LN_2, LN_2_REST).scaled(0.0625);
        let mut x = r * TwoFloat::series(r, &[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        for _ in 0..4 {
            x = x.scaled(2.0) + x.squared();
        }
        (x, k)
    }

    /// Whether `eˣ` is a number that a pair can be.
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

    /// Sine and cosine of an angle that can be reduced.
    #[inline(never)]
    pub(super) fn sin_cos(self) -> (Self, Self) {
        let k = libm::rintf(self.high * core::f32::consts::FRAC_2_PI);
        let r = self.less(k, HALF_PI, HALF_PI_REST);
        let minus = -r.squared();
        // |r| up to π / 4.
        let sin = r * TwoFloat::series(minus, &[6.0, 20.0, 42.0, 72.0, 110.0, 156.0, 210.0, 272.0]);
        let cos = TwoFloat::series(minus, &[2.0, 12.0, 30.0, 56.0, 90.0, 132.0, 182.0, 240.0]);
        match k as i32 & 3 {
            0 => (sin, cos),
            1 => (cos, -sin),
            2 => (-sin, -cos),
            _ => (-cos, sin),
        }
    }

    /// Whether [`sin_cos`](Self::sin_cos) takes this angle.
    pub(super) fn can_be_reduced(self) -> bool {
        self.high > -LARGEST_ANGLE && self.high < LARGEST_ANGLE
    }
}
