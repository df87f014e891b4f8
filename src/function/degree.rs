//! `Degree`: a scalar that tracks how a formula uses its parameters, which tells whether a model
//! is linear in them.

use core::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

use super::Real;
use crate::op::Attrs;
use crate::ops::compare::{Compare, Comparison};
use crate::ops::{Binary, Each, Pair, Unary};

/// How a number depends on the parameters. The compiler folds the whole formula into a constant.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) enum Degree {
    /// Not at all.
    Constant,
    /// As a sum of a constant and of a constant multiple of each parameter.
    Linear,
    /// In a way that is not known to be linear.
    Any,
}

impl Degree {
    /// The larger of two degrees, which is the degree of a sum.
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        if self < other { other } else { self }
    }

    /// The degree after an operation other than `+ - * /`.
    #[inline(always)]
    fn bent(self) -> Self {
        match self {
            Degree::Constant => Degree::Constant,
            _ => Degree::Any,
        }
    }
}

impl Neg for Degree {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self
    }
}

macro_rules! operators {
    ($($Trait:ident $function:ident |$a:ident, $b:ident| $rule:expr;)*) => {$(
        impl $Trait for Degree {
            type Output = Self;
            #[inline(always)]
            fn $function(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                $rule
            }
        }
        impl $Trait<f32> for Degree {
            type Output = Self;
            #[inline(always)]
            fn $function(self, _: f32) -> Self {
                let ($a, $b) = (self, Degree::Constant);
                $rule
            }
        }
        impl $Trait<Degree> for f32 {
            type Output = Degree;
            #[inline(always)]
            fn $function(self, other: Degree) -> Degree {
                let ($a, $b) = (Degree::Constant, other);
                $rule
            }
        }
    )*};
}
operators! {
    Add add |a, b| a.or(b);
    Sub sub |a, b| a.or(b);
    Mul mul |a, b| match (a, b) {
        (Degree::Constant, other) | (other, Degree::Constant) => other,
        _ => Degree::Any,
    };
    Div div |a, b| match b {
        Degree::Constant => a,
        _ => Degree::Any,
    };
}

/// The mask of [`Degree`]: true if a comparison does not depend on the parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IsConstant(bool);

impl BitAnd for IsConstant {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        IsConstant(self.0 && other.0)
    }
}
impl BitOr for IsConstant {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        IsConstant(self.0 && other.0)
    }
}
impl Not for IsConstant {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        self
    }
}

impl Real for Degree {
    type Mask = IsConstant;

    #[inline(always)]
    fn number(self, _: f32) -> Self {
        Degree::Constant
    }
    #[inline(always)]
    fn each<U: Unary + 'static>(self, _: &'static Each<U>, _: Attrs) -> Self {
        self.bent()
    }
    #[inline(always)]
    fn pair<B: Binary + 'static>(self, _: &'static Pair<B>, other: Self) -> Self {
        self.or(other).bent()
    }
    #[inline(always)]
    fn compare<C: Comparison + 'static>(self, _: &'static Compare<C>, other: Self) -> Self::Mask {
        IsConstant(self.or(other) == Degree::Constant)
    }
    #[inline(always)]
    fn where_(self, mask: Self::Mask, other: Self) -> Self {
        match mask {
            IsConstant(true) => self.or(other),
            IsConstant(false) => Degree::Any,
        }
    }
}
