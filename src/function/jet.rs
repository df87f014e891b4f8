//! `Jet`: a value and its partial derivatives, in lanes.

use core::marker::PhantomData;
use core::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

use super::{Real, straight};
use crate::kernel::{Lanes, Mask};
use crate::op::Attrs;
use crate::ops::arithmetic::{
    AddOp, AddScalar, DivOp, DivScalar, MulOp, MulScalar, NegOp, ScalarDiv, ScalarSub, SubOp,
    SubScalar,
};
use crate::ops::compare::{Compare, Comparison};
use crate::ops::{Binary, Each, Pair, Unary};

/// A value and its `P` partial derivatives, each in lanes: the scalar of forward-mode
/// differentiation, a dual number with several derivatives.
///
/// ```
/// use baregrad::function::{Jet, Real};
///
/// let x = Jet::<f32, 2>::variable(3.0, 0);
/// let y = Jet::variable(5.0, 1);
/// let z = x * y + 0.5 * x.square();
/// assert_eq!(z.value(), 19.5);
/// assert_eq!(z.derivatives(), [8.0, 3.0]); // y + x, and x
/// ```
///
/// A jet knows which of its derivatives are live, that is, may be other than 0. No operation
/// computes or multiplies the others, so that infinite data do not turn them into NaN. The
/// compiler folds this bookkeeping into constants: a jet costs as much as its live derivatives.
///
/// Derivatives follow the rules of [`ops`](crate::ops), also at kinks: the same code passes
/// gradients through a tape's operations.
#[derive(Clone, Copy, Debug)]
pub struct Jet<L, const P: usize> {
    value: L,
    derivatives: [L; P],
    /// Bit `k` is set if `derivatives[k]` may be other than 0.
    live: u32,
}

/// A value in lanes, without derivatives: [`Lanes`] whose operators also take an `f32` on
/// either side.
pub type Value<L> = Jet<L, 0>;

impl<L: Lanes, const P: usize> Jet<L, P> {
    /// The largest number of derivatives.
    pub const MAX: usize = u32::BITS as usize;

    /// A constant, without live derivatives.
    #[inline(always)]
    pub fn constant(value: L) -> Self {
        const { assert!(P <= Self::MAX, "a Jet has at most 32 derivatives") };
        Jet {
            value,
            derivatives: [L::splat(0.0); P],
            live: 0,
        }
    }

    /// The variable that derivative `k` is with respect to. If `k` is not less than `P`, the jet
    /// is a constant.
    #[inline(always)]
    pub fn variable(value: L, k: usize) -> Self {
        let mut jet = Self::constant(value);
        if let Some(one) = jet.derivatives.get_mut(k) {
            *one = L::splat(1.0);
            jet.live = 1 << (k & 31);
        }
        jet
    }

    /// The value.
    #[inline(always)]
    pub fn value(self) -> L {
        self.value
    }

    /// The derivatives.
    #[inline(always)]
    pub fn derivatives(self) -> [L; P] {
        self.derivatives
    }

    /// The live derivatives: bit `k` is set if derivative `k` may be other than 0.
    #[inline(always)]
    pub fn live(self) -> u32 {
        self.live
    }

    #[inline(always)]
    fn is_live(self, k: usize) -> bool {
        self.live >> (k & 31) & 1 == 1
    }

    /// Replaces the value, and passes each live derivative through `rule`.
    #[inline(always)]
    fn chain(self, value: L, rule: impl Fn(L) -> L) -> Self {
        let mut to = Jet { value, ..self };
        straight::<P>(
            #[inline(always)]
            |k| {
                if let Some(d) = to.derivatives.get_mut(k)
                    && self.is_live(k)
                {
                    *d = rule(*d);
                }
            },
        );
        to
    }

    /// Joins two jets. Each derivative is computed by `left`, `right` or `both`, depending on
    /// the jets in which it is live.
    #[inline(always)]
    fn join(
        self,
        other: Self,
        value: L,
        left: impl Fn(L) -> L,
        right: impl Fn(L) -> L,
        both: impl Fn(L, L) -> L,
    ) -> Self {
        let mut to = Jet {
            value,
            derivatives: self.derivatives,
            live: self.live | other.live,
        };
        straight::<P>(
            #[inline(always)]
            |k| {
                if let (Some(a), Some(b)) = (to.derivatives.get_mut(k), other.derivatives.get(k)) {
                    match (self.is_live(k), other.is_live(k)) {
                        (true, true) => *a = both(*a, *b),
                        (true, false) => *a = left(*a),
                        (false, true) => *a = right(*b),
                        (false, false) => {}
                    }
                }
            },
        );
        to
    }

    /// Applies an operation of one operand.
    #[cfg_attr(debug_assertions, inline(never))]
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn unary<U: Unary>(self, attrs: Attrs) -> Self {
        let x = self.value;
        let y = forward::<U, L>(&attrs, x);
        if const { P == 0 || U::PASSES_GRAD } {
            return Jet { value: y, ..self };
        }
        if const { U::DEAR } {
            if self.live == 0 {
                return Jet { value: y, ..self };
            }
            let slope = backward::<U, L>(&attrs, x, y, L::splat(1.0));
            return self.chain(
                y,
                #[inline(always)]
                |d| d * slope,
            );
        }
        self.chain(
            y,
            #[inline(always)]
            |d| backward::<U, L>(&attrs, x, y, d),
        )
    }

    /// Applies an operation of two operands.
    #[cfg_attr(debug_assertions, inline(never))]
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn binary<B: Binary>(self, other: Self) -> Self {
        let (a, b) = (self.value, other.value);
        let value = both::<B, L>(a, b);
        if const { P == 0 } {
            return Jet { value, ..self };
        }
        let rule = Rule::<B, L>::new(a, b, self.live != 0, other.live != 0);
        self.join(
            other,
            value,
            #[inline(always)]
            |da| rule.left(da),
            #[inline(always)]
            |db| rule.right(db),
            #[inline(always)]
            |da, db| rule.left(da) + rule.right(db),
        )
    }
}

// The functions of this file are inlined into the loop that calls them. Debug builds do not
// inline them: without optimisation, each copy would cost compile time and stack.

#[cfg_attr(debug_assertions, inline(never))]
#[cfg_attr(not(debug_assertions), inline(always))]
fn forward<U: Unary, L: Lanes>(attrs: &Attrs, x: L) -> L {
    U::forward(attrs, x)
}

#[cfg_attr(debug_assertions, inline(never))]
#[cfg_attr(not(debug_assertions), inline(always))]
fn backward<U: Unary, L: Lanes>(attrs: &Attrs, x: L, y: L, g: L) -> L {
    U::backward(attrs, x, y, g)
}

#[cfg_attr(debug_assertions, inline(never))]
#[cfg_attr(not(debug_assertions), inline(always))]
fn both<B: Binary, L: Lanes>(a: L, b: L) -> L {
    B::forward(a, b)
}

/// How derivatives pass through an operation on `a` and `b`.
struct Rule<B, L> {
    a: L,
    b: L,
    /// The derivatives with respect to `a` and `b`, if the operation is [`Binary::DEAR`].
    slopes: [L; 2],
    op: PhantomData<B>,
}

impl<B: Binary, L: Lanes> Rule<B, L> {
    #[inline(always)]
    fn new(a: L, b: L, left: bool, right: bool) -> Self {
        let one = L::splat(1.0);
        let slopes = [
            if const { B::DEAR } && left {
                B::grad_a(one, a, b)
            } else {
                one
            },
            if const { B::DEAR } && right {
                B::grad_b(one, a, b)
            } else {
                one
            },
        ];
        Rule {
            a,
            b,
            slopes,
            op: PhantomData,
        }
    }

    #[cfg_attr(debug_assertions, inline(never))]
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn left(&self, d: L) -> L {
        if const { B::PASSES_GRAD[0] } {
            d
        } else if const { B::DEAR } {
            let [slope, _] = self.slopes;
            d * slope
        } else {
            B::grad_a(d, self.a, self.b)
        }
    }

    #[cfg_attr(debug_assertions, inline(never))]
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn right(&self, d: L) -> L {
        if const { B::PASSES_GRAD[1] } {
            d
        } else if const { B::DEAR } {
            let [_, slope] = self.slopes;
            d * slope
        } else {
            B::grad_b(d, self.a, self.b)
        }
    }
}

impl<L: Lanes, const P: usize> Neg for Jet<L, P> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.unary::<NegOp>(Attrs::NONE)
    }
}

macro_rules! operators {
    ($($Trait:ident $method:ident $Pair:ident $Right:ident $Left:ident;)*) => {$(
        impl<L: Lanes, const P: usize> $Trait for Jet<L, P> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.binary::<$Pair>(other)
            }
        }
        impl<L: Lanes, const P: usize> $Trait<f32> for Jet<L, P> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, c: f32) -> Self {
                self.unary::<$Right>(Attrs::float(c))
            }
        }
        impl<L: Lanes, const P: usize> $Trait<Jet<L, P>> for f32 {
            type Output = Jet<L, P>;
            #[inline(always)]
            fn $method(self, other: Jet<L, P>) -> Jet<L, P> {
                other.unary::<$Left>(Attrs::float(self))
            }
        }
    )*};
}
operators! {
    Add add AddOp AddScalar AddScalar;
    Sub sub SubOp SubScalar ScalarSub;
    Mul mul MulOp MulScalar MulScalar;
    Div div DivOp DivScalar ScalarDiv;
}

impl<L: Lanes, const P: usize> Real for Jet<L, P> {
    type Mask = JetMask<L::Mask>;

    #[inline(always)]
    fn number(self, c: f32) -> Self {
        Self::constant(L::splat(c))
    }
    #[inline(always)]
    fn each<U: Unary + 'static>(self, _: &'static Each<U>, attrs: Attrs) -> Self {
        self.unary::<U>(attrs)
    }
    #[inline(always)]
    fn pair<B: Binary + 'static>(self, _: &'static Pair<B>, other: Self) -> Self {
        self.binary::<B>(other)
    }
    #[inline(always)]
    fn compare<C: Comparison + 'static>(self, _: &'static Compare<C>, other: Self) -> Self::Mask {
        JetMask(C::mask(self.value, other.value))
    }
    #[cfg_attr(debug_assertions, inline(never))]
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn where_(self, JetMask(mask): Self::Mask, other: Self) -> Self {
        let zero = L::splat(0.0);
        self.join(
            other,
            L::select(mask, self.value, other.value),
            #[inline(always)]
            |a| L::select(mask, a, zero),
            #[inline(always)]
            |b| L::select(mask, zero, b),
            #[inline(always)]
            |a, b| L::select(mask, a, b),
        )
    }
}

/// The result of comparing [`Jet`]s: a [`Mask`] of lanes with operators.
#[derive(Clone, Copy, Debug)]
pub struct JetMask<M>(pub M);

impl<M: Mask> BitAnd for JetMask<M> {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        JetMask(self.0.and(other.0))
    }
}
impl<M: Mask> BitOr for JetMask<M> {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        JetMask(self.0.or(other.0))
    }
}
impl<M: Mask> Not for JetMask<M> {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        JetMask(self.0.not())
    }
}
