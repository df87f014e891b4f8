//! `+ - * /` of [`TwoFloat`] with itself and with `f32`.

use core::ops::{Add, Div, Mul, Neg, Sub};

use super::TwoFloat;
use super::exact::{Split, quick_two_sum, two_sum};

impl Add for TwoFloat {
    type Output = Self;
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    fn add(self, other: Self) -> Self {
        let (sum, lost) = two_sum(self.high, other.high);
        let (low, lower) = two_sum(self.low, other.low);
        let (high, low) = quick_two_sum(sum, lost + low);
        let (high, low) = quick_two_sum(high, low + lower);
        if high.is_finite() {
            TwoFloat { high, low }
        } else {
            sum.into()
        }
    }
}

impl Neg for TwoFloat {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        TwoFloat::new(-self.high, -self.low)
    }
}

impl Sub for TwoFloat {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for TwoFloat {
    type Output = Self;
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    fn mul(self, other: Self) -> Self {
        let (product, error) = Split::of(self.high).times(Split::of(other.high));
        let error = error + (self.high * other.low + self.low * other.high);
        let (high, low) = quick_two_sum(product, error);
        // `low` is not finite if the product is not, or if splitting a factor overflows.
        if low.is_finite() {
            TwoFloat { high, low }
        } else {
            product.into()
        }
    }
}

impl Div for TwoFloat {
    type Output = Self;
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    fn div(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self - other * first;
        let second = rest.high / other.high;
        if !second.is_finite() {
            return TwoFloat::new(first, 0.0);
        }
        let rest = rest - other * second;
        let (high, low) = quick_two_sum(first, second);
        TwoFloat { high, low } + rest.high / other.high
    }
}

macro_rules! with_f32 {
    ($($Trait:ident $function:ident),*) => {$(
        impl $Trait<f32> for TwoFloat {
            type Output = Self;
            #[inline(always)]
            fn $function(self, other: f32) -> Self {
                self.$function(TwoFloat::from(other))
            }
        }
        impl $Trait<TwoFloat> for f32 {
            type Output = TwoFloat;
            #[inline(always)]
            fn $function(self, other: TwoFloat) -> TwoFloat {
                TwoFloat::from(self).$function(other)
            }
        }
    )*};
}
with_f32!(Add add, Sub sub, Mul mul, Div div);
