//! [`Real`] for [`TwoFloat`]: the functions that models are made of.

use super::TwoFloat;
use crate::function::Real;
use crate::op::Attrs;
use crate::ops::compare::{Compare, Comparison};
use crate::ops::{Binary, Each, Pair, Unary};

impl TwoFloat {
    /// The result of `f32` for `high`, plus its derivative times `low`.
    #[inline(always)]
    fn roughly<U: Unary>(self, attrs: &Attrs) -> Self {
        let y = U::forward(attrs, self.high);
        TwoFloat::with_low(y, U::backward(attrs, self.high, y, self.low))
    }
}

impl Real for TwoFloat {
    type Mask = bool;

    #[inline(always)]
    fn number(self, c: f32) -> Self {
        c.into()
    }

    #[inline(always)]
    fn each<U: Unary + 'static>(self, _: &'static Each<U>, attrs: Attrs) -> Self {
        self.roughly::<U>(&attrs)
    }

    #[inline(always)]
    fn pair<B: Binary + 'static>(self, _: &'static Pair<B>, other: Self) -> Self {
        let (a, b) = (self.high, other.high);
        let low = B::grad_a(self.low, a, b) + B::grad_b(other.low, a, b);
        TwoFloat::with_low(B::forward(a, b), low)
    }

    #[inline(always)]
    fn compare<C: Comparison + 'static>(self, _: &'static Compare<C>, other: Self) -> bool {
        // The larger parts decide, unless they are equal.
        if self.high == other.high {
            C::mask(self.low, other.low)
        } else {
            C::mask(self.high, other.high)
        }
    }

    #[inline(always)]
    fn where_(self, mask: bool, other: Self) -> Self {
        if mask { self } else { other }
    }

    fn maximum(self, other: Self) -> Self {
        if self.high.is_nan() || !(self.lt(other) || other.high.is_nan()) {
            self
        } else {
            other
        }
    }

    fn minimum(self, other: Self) -> Self {
        if self.high.is_nan() || !(self.gt(other) || other.high.is_nan()) {
            self
        } else {
            other
        }
    }

    fn abs(self) -> Self {
        if self.high < 0.0 {
            -self
        } else {
            self.where_(self.high != 0.0, Self::ZERO)
        }
    }

    #[inline(always)]
    fn square(self) -> Self {
        self.squared()
    }

    #[inline(never)]
    fn sqrt(self) -> Self {
        let root = libm::sqrtf(self.high);
        if !(root > 0.0 && root.is_finite()) {
            return root.into();
        }
        // One step of Newton's method.
        let rest = self - TwoFloat::from(root).squared();
        TwoFloat::sum(root, rest.high / (2.0 * root))
    }

    #[inline(never)]
    fn powi(self, n: i32) -> Self {
        let power = self.power(n.unsigned_abs());
        if n < 0 { 1.0 / power } else { power }
    }

    fn powf(self, p: f32) -> Self {
        self.pow(p.into())
    }

    #[inline(never)]
    fn pow(self, exponent: Self) -> Self {
        let product = exponent * Real::ln(self);
        if self.high > 0.0 && product.has_exp() {
            Real::exp(product)
        } else {
            self.pair(&Pair(crate::ops::math::Pow), exponent)
        }
    }

    #[inline(never)]
    fn exp(self) -> Self {
        if self.has_exp() {
            let (x, k) = self.exp_m1_reduced();
            // The exponent k of 2ᵏ is in range, because `has_exp` is true.
            (1.0 + x).scaled(f32::from_bits(((k as i32 + 127) as u32) << 23))
        } else {
            self.roughly::<crate::ops::math::Exp>(&Attrs::default())
        }
    }

    #[inline(never)]
    fn exp_m1(self) -> Self {
        if self.high > -0.3 && self.high < 0.3 {
            self.exp_m1_reduced().0
        } else {
            Real::exp(self) - 1.0
        }
    }

    #[inline(never)]
    fn ln(self) -> Self {
        let rough = crate::kernel::math::ln(self.high);
        if !rough.is_finite() {
            return rough.into();
        }
        // Halley's method: y + 2 (x - eʸ) / (x + eʸ).
        let y = TwoFloat::from(rough);
        if !y.has_exp() {
            return self.roughly::<crate::ops::math::Ln>(&Attrs::default());
        }
        let e = Real::exp(y);
        y + (2.0 * (self - e)) / (self + e)
    }

    #[inline(never)]
    fn sin(self) -> Self {
        if self.can_be_reduced() {
            self.sin_cos().0
        } else {
            self.roughly::<crate::ops::math::Sin>(&Attrs::default())
        }
    }

    #[inline(never)]
    fn cos(self) -> Self {
        if self.can_be_reduced() {
            self.sin_cos().1
        } else {
            self.roughly::<crate::ops::math::Cos>(&Attrs::default())
        }
    }

    #[inline(never)]
    fn atan(self) -> Self {
        let rough = TwoFloat::from(crate::kernel::math::atan(self.high));
        if self.high.abs() < 1e30 {
            // Adds the tangent of the angle that `rough` lacks, which is so small that it equals
            // this angle.
            let (sin, cos) = rough.sin_cos();
            return rough + (self * cos - sin) / (cos + self * sin);
        }
        rough
    }

    #[inline(never)]
    fn tanh(self) -> Self {
        if self.high > -20.0 && self.high < 20.0 {
            let x = Real::exp_m1(2.0 * self);
            x / (x + 2.0)
        } else {
            self.roughly::<crate::ops::activation::Tanh>(&Attrs::default())
        }
    }

    #[inline(never)]
    fn sigmoid(self) -> Self {
        if self.has_exp() && (-self).has_exp() {
            1.0 / (1.0 + Real::exp(-self))
        } else {
            self.roughly::<crate::ops::activation::Sigmoid>(&Attrs::default())
        }
    }

    fn silu(self) -> Self {
        self * Real::sigmoid(self)
    }
}
