//! `+ - * /`, negation, `maximum` and `minimum`.

use core::ops::{Add, Div, Mul, Neg, Sub};

use super::{Binary, Each, Entry, Pair, Unary};
use crate::error::Error;
use crate::kernel::{Lanes, Mask};
use crate::op::{Attrs, Op};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pair("add", |a, b, _| a + b),
    Entry::pair("sub", |a, b, _| a - b),
    Entry::pair("mul", |a, b, _| a * b),
    Entry::pair("div", |a, b, _| a / b),
    Entry::pair("maximum", |a, b, _| a.maximum(b)),
    Entry::pair("minimum", |a, b, _| a.minimum(b)),
    Entry::each("neg", |x, _| -x),
    Entry::each("add_s", |x, args| x + args.c),
    Entry::each("sub_s", |x, args| x - args.c),
    Entry::each("rsub_s", |x, args| args.c - x),
    Entry::each("mul_s", |x, args| x * args.c),
    Entry::each("div_s", |x, args| x / args.c),
    Entry::each("rdiv_s", |x, args| args.c / x),
];

/// `a + b`.
#[derive(Clone, Copy, Debug)]
pub struct AddOp;
impl Binary for AddOp {
    const NAME: &'static str = "add";
    const PASSES_GRAD: [bool; 2] = [true, true];
    #[inline(always)]
    fn forward<L: Lanes>(a: L, b: L) -> L {
        a + b
    }
    #[inline(always)]
    fn grad_a<L: Lanes>(g: L, _: L, _: L) -> L {
        g
    }
    #[inline(always)]
    fn grad_b<L: Lanes>(g: L, _: L, _: L) -> L {
        g
    }
}

/// `a - b`.
#[derive(Clone, Copy, Debug)]
pub struct SubOp;
impl Binary for SubOp {
    const NAME: &'static str = "sub";
    const PASSES_GRAD: [bool; 2] = [true, false];
    #[inline(always)]
    fn forward<L: Lanes>(a: L, b: L) -> L {
        a - b
    }
    #[inline(always)]
    fn grad_a<L: Lanes>(g: L, _: L, _: L) -> L {
        g
    }
    #[inline(always)]
    fn grad_b<L: Lanes>(g: L, _: L, _: L) -> L {
        -g
    }
}

/// `a * b`.
#[derive(Clone, Copy, Debug)]
pub struct MulOp;
impl Binary for MulOp {
    const NAME: &'static str = "mul";
    #[inline(always)]
    fn forward<L: Lanes>(a: L, b: L) -> L {
        a * b
    }
    #[inline(always)]
    fn grad_a<L: Lanes>(g: L, _: L, b: L) -> L {
        g * b
    }
    #[inline(always)]
    fn grad_b<L: Lanes>(g: L, a: L, _: L) -> L {
        g * a
    }
}

/// `a / b`.
#[derive(Clone, Copy, Debug)]
pub struct DivOp;
impl Binary for DivOp {
    const NAME: &'static str = "div";
    #[inline(always)]
    fn forward<L: Lanes>(a: L, b: L) -> L {
        a / b
    }
    #[inline(always)]
    fn grad_a<L: Lanes>(g: L, _: L, b: L) -> L {
        g / b
    }
    #[inline(always)]
    fn grad_b<L: Lanes>(g: L, a: L, b: L) -> L {
        -g * ((a / b) / b)
    }
}

/// The larger of two.
#[derive(Clone, Copy, Debug)]
pub struct Maximum;
impl Binary for Maximum {
    const NAME: &'static str = "maximum";
    #[inline(always)]
    fn forward<L: Lanes>(a: L, b: L) -> L {
        L::select(b.gt(a).or(b.is_nan()), b, a)
    }
    #[inline(always)]
    fn grad_a<L: Lanes>(g: L, a: L, b: L) -> L {
        share(g, b.gt(a), a.eq(b))
    }
    #[inline(always)]
    fn grad_b<L: Lanes>(g: L, a: L, b: L) -> L {
        share(g, a.gt(b), a.eq(b))
    }
}

/// The smaller of two.
#[derive(Clone, Copy, Debug)]
pub struct Minimum;
impl Binary for Minimum {
    const NAME: &'static str = "minimum";
    #[inline(always)]
    fn forward<L: Lanes>(a: L, b: L) -> L {
        L::select(b.lt(a).or(b.is_nan()), b, a)
    }
    #[inline(always)]
    fn grad_a<L: Lanes>(g: L, a: L, b: L) -> L {
        share(g, b.lt(a), a.eq(b))
    }
    #[inline(always)]
    fn grad_b<L: Lanes>(g: L, a: L, b: L) -> L {
        share(g, a.lt(b), a.eq(b))
    }
}

/// The gradient of an operand: 0 if it `lost`, half of `g` in a tie, otherwise
/// `g`. If either operand is NaN, neither has lost and both get `g`, as in
/// PyTorch.
#[inline(always)]
fn share<L: Lanes>(g: L, lost: L::Mask, tied: L::Mask) -> L {
    let won = L::select(tied, g * L::splat(0.5), g);
    L::select(lost, L::splat(0.0), won)
}

/// `-x`.
#[derive(Clone, Copy, Debug)]
pub struct NegOp;
impl Unary for NegOp {
    const NAME: &'static str = "neg";
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        -x
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, _: L, g: L) -> L {
        -g
    }
}

/// `x + c`.
#[derive(Clone, Copy, Debug)]
pub struct AddScalar;
impl Unary for AddScalar {
    const NAME: &'static str = "add";
    const PASSES_GRAD: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(c: &Attrs, x: L) -> L {
        x + L::splat(c.x())
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, _: L, g: L) -> L {
        g
    }
}

/// `x - c`.
#[derive(Clone, Copy, Debug)]
pub struct SubScalar;
impl Unary for SubScalar {
    const NAME: &'static str = "sub";
    const PASSES_GRAD: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(c: &Attrs, x: L) -> L {
        x - L::splat(c.x())
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, _: L, g: L) -> L {
        g
    }
}

/// `c - x`.
#[derive(Clone, Copy, Debug)]
pub struct ScalarSub;
impl Unary for ScalarSub {
    const NAME: &'static str = "sub";
    #[inline(always)]
    fn forward<L: Lanes>(c: &Attrs, x: L) -> L {
        L::splat(c.x()) - x
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, _: L, g: L) -> L {
        -g
    }
}

/// `x * c`.
#[derive(Clone, Copy, Debug)]
pub struct MulScalar;
impl Unary for MulScalar {
    const NAME: &'static str = "mul";
    #[inline(always)]
    fn forward<L: Lanes>(c: &Attrs, x: L) -> L {
        x * L::splat(c.x())
    }
    #[inline(always)]
    fn backward<L: Lanes>(c: &Attrs, _: L, _: L, g: L) -> L {
        g * L::splat(c.x())
    }
}

/// `x / c`.
#[derive(Clone, Copy, Debug)]
pub struct DivScalar;
impl Unary for DivScalar {
    const NAME: &'static str = "div";
    #[inline(always)]
    fn forward<L: Lanes>(c: &Attrs, x: L) -> L {
        x / L::splat(c.x())
    }
    #[inline(always)]
    fn backward<L: Lanes>(c: &Attrs, _: L, _: L, g: L) -> L {
        g / L::splat(c.x())
    }
}

/// `c / x`, rounded once. PyTorch multiplies by `1 / x`, which overflows for subnormal
/// `x`, so that 0 divided by 1e-45 is NaN.
#[derive(Clone, Copy, Debug)]
pub struct ScalarDiv;
impl Unary for ScalarDiv {
    const NAME: &'static str = "div";
    #[inline(always)]
    fn forward<L: Lanes>(c: &Attrs, x: L) -> L {
        L::splat(c.x()) / x
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, y: L, g: L) -> L {
        -g * (y / x)
    }
}

/// Implements an operator between variables and with a number on either side,
/// and its `try_` method.
macro_rules! operator {
    (
        $Trait:ident::$method:ident, $try:ident, $doc:literal,
        var: $pair:expr,
        number_right: |$r:ident| $right:expr,
        number_left: |$l:ident| $left:expr $(,)?
    ) => {
        impl<'t> $Trait for Var<'t> {
            type Output = Var<'t>;
            #[track_caller]
            fn $method(self, rhs: Var<'t>) -> Var<'t> {
                self.tape().apply_plain($pair, &[self, rhs])
            }
        }
        impl<'t> $Trait<f32> for Var<'t> {
            type Output = Var<'t>;
            #[track_caller]
            fn $method(self, $r: f32) -> Var<'t> {
                let (op, attrs): (&'static dyn Op, Attrs) = $right;
                self.unary(op, attrs)
            }
        }
        impl<'t> $Trait<Var<'t>> for f32 {
            type Output = Var<'t>;
            #[track_caller]
            fn $method(self, rhs: Var<'t>) -> Var<'t> {
                let $l = self;
                let (op, attrs): (&'static dyn Op, Attrs) = $left;
                rhs.unary(op, attrs)
            }
        }
        impl<'t> Var<'t> {
            #[doc = $doc]
            ///
            /// # Errors
            /// Shapes that do not broadcast, a full arena, a stale or foreign
            /// operand, or the error the tape already keeps. The tape is
            /// unchanged and keeps no new error.
            #[track_caller]
            pub fn $try(self, rhs: Var<'t>) -> Result<Var<'t>, Error> {
                self.tape().try_apply($pair, &[self, rhs], Attrs::default())
            }
        }
    };
}

operator! {
    Add::add, try_add, "Records `self + rhs`, and returns the error if it fails.",
    var: &Pair(AddOp),
    number_right: |c| (&Each(AddScalar), Attrs::float(c)),
    number_left: |c| (&Each(AddScalar), Attrs::float(c)),
}
operator! {
    Sub::sub, try_sub, "Records `self - rhs`, and returns the error if it fails.",
    var: &Pair(SubOp),
    number_right: |c| (&Each(SubScalar), Attrs::float(c)),
    number_left: |c| (&Each(ScalarSub), Attrs::float(c)),
}
operator! {
    Mul::mul, try_mul, "Records `self * rhs`, and returns the error if it fails.",
    var: &Pair(MulOp),
    number_right: |c| (&Each(MulScalar), Attrs::float(c)),
    number_left: |c| (&Each(MulScalar), Attrs::float(c)),
}
operator! {
    Div::div, try_div, "Records `self / rhs`, and returns the error if it fails.",
    var: &Pair(DivOp),
    number_right: |c| (&Each(DivScalar), Attrs::float(c)),
    number_left: |c| (&Each(ScalarDiv), Attrs::float(c)),
}

impl<'t> Neg for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn neg(self) -> Var<'t> {
        self.unary(&Each(NegOp), Attrs::default())
    }
}

impl<'t> Var<'t> {
    /// Records `-self`, and returns the error if it fails.
    ///
    /// # Errors
    /// A full arena, a stale operand, or the error the tape already keeps.
    #[track_caller]
    pub fn try_neg(self) -> Result<Var<'t>, Error> {
        self.tape()
            .try_apply(&Each(NegOp), &[self], Attrs::default())
    }

    /// The larger of two elements; NaN if either is NaN. Broadcasts. If both are
    /// zeros, the result is the first; in PyTorch its sign depends on the length.
    ///
    /// Gradient: `g` to the larger; half to each in a tie; `g` to both if either is NaN.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let a = tape.param(&[1.0, 2.0, 3.0], [3]);
    /// let b = tape.param(&[2.0], []);
    /// tape.backward(a.maximum(b).sum())?;
    /// assert_eq!(*a.grad()?, [0.0, 0.5, 1.0]);
    /// assert_eq!(*b.grad()?, [1.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn maximum(self, other: Var<'t>) -> Var<'t> {
        self.tape().apply_plain(&Pair(Maximum), &[self, other])
    }

    /// The smaller of two elements; NaN if either is NaN. Broadcasts. If both are
    /// zeros, the result is the first; in PyTorch its sign depends on the length.
    ///
    /// Gradient: `g` to the smaller; half to each in a tie; `g` to both if either is NaN.
    #[track_caller]
    #[must_use]
    pub fn minimum(self, other: Var<'t>) -> Var<'t> {
        self.tape().apply_plain(&Pair(Minimum), &[self, other])
    }
}
