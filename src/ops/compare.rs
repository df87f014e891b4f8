//! Comparisons, and `where`, which selects by a mask.

use core::marker::PhantomData;
use core::ops::{BitAnd, BitOr, Not};

use super::stretch::{alike, no_gradient, stretched};
use super::{Binary, Build, Entry, PairForward, exactly};
use crate::kernel::{self, Acc, Lanes, Map, Mask};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pair("lt", |a, b, _| a.lt(b)),
    Entry::pair("le", |a, b, _| a.le(b)),
    Entry::pair("gt", |a, b, _| a.gt(b)),
    Entry::pair("ge", |a, b, _| a.ge(b)),
    Entry::pair("eq", |a, b, _| a.eq(b)),
    Entry::pair("ne", |a, b, _| a.ne(b)),
    Entry::new(
        "where",
        Build::Three(|mask, x, y, _| x.where_(mask.gt(mask.tape().constant(&[0.0], [])), y)),
    )
    .of(&[&[2, 3], &[3], &[2, 3]]),
];

/// A comparison of two numbers.
pub trait Comparison: Sync {
    /// PyTorch's name.
    const NAME: &'static str;
    /// The mask of the elements for which the comparison holds.
    fn mask<L: Lanes>(a: L, b: L) -> L::Mask;
}

/// Makes an [`Op`] of a [`Comparison`]: 1 where it holds, 0 elsewhere, and no gradient.
#[derive(Clone, Copy, Debug)]
pub struct Compare<C>(pub C);

struct OneOrZero<C>(PhantomData<C>);
impl<C: Comparison> Binary for OneOrZero<C> {
    const NAME: &'static str = C::NAME;
    #[inline(always)]
    fn forward<L: Lanes>(a: L, b: L) -> L {
        L::select(C::mask(a, b), L::splat(1.0), L::splat(0.0))
    }
    #[inline(always)]
    fn grad_a<L: Lanes>(_: L, _: L, _: L) -> L {
        L::splat(0.0)
    }
    #[inline(always)]
    fn grad_b<L: Lanes>(_: L, _: L, _: L) -> L {
        L::splat(0.0)
    }
}

impl<C: Comparison> Op for Compare<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }
    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        alike(exactly::<2>(operands)?)
    }
    fn forward(&self, cx: &mut Forward<'_>) {
        let (operands, mask) = cx.split::<2>();
        let f = PairForward::<OneOrZero<C>>(PhantomData);
        kernel::map(f, operands, mask, Acc::Set);
    }
    fn backward(&self, cx: &mut Backward<'_>) {
        for k in 0..2 {
            no_gradient(cx, k);
        }
    }
}

macro_rules! comparison {
    ($($(#[$doc:meta])* $Op:ident, $name:literal, |$a:ident, $b:ident| $mask:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $Op;
        impl Comparison for $Op {
            const NAME: &'static str = $name;
            #[inline(always)]
            fn mask<L: Lanes>($a: L, $b: L) -> L::Mask {
                $mask
            }
        }
    )*};
}
comparison! {
    /// `a < b`.
    Lt, "lt", |a, b| a.lt(b);
    /// `a <= b`.
    Le, "le", |a, b| a.le(b);
    /// `a > b`.
    Gt, "gt", |a, b| a.gt(b);
    /// `a >= b`.
    Ge, "ge", |a, b| a.ge(b);
    /// `a == b`.
    Eq, "eq", |a, b| a.eq(b);
    /// `a != b`.
    Ne, "ne", |a, b| a.eq(b).not();
}

/// Selects by a mask. Operands: the mask, the values where it holds, and the values elsewhere.
#[derive(Clone, Copy, Debug)]
struct Where;

/// Selects one of two elements by a mask, which holds if it is not 0. NaN holds, as in PyTorch.
struct Choose;
impl Map<3> for Choose {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[mask, yes, no]: &[L; 3]) -> L {
        L::select(mask.eq(L::splat(0.0)), no, yes)
    }
}

/// The gradient of the values that are selected where the mask `HOLDS`, or where it does not.
struct Chosen<const HOLDS: bool>;
impl<const HOLDS: bool> Map<2> for Chosen<HOLDS> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[mask, g]: &[L; 2]) -> L {
        let zero = L::splat(0.0);
        if HOLDS {
            Choose.apply(&[mask, g, zero])
        } else {
            Choose.apply(&[mask, zero, g])
        }
    }
}

impl Op for Where {
    fn name(&self) -> &'static str {
        "where"
    }
    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        alike(exactly::<3>(operands)?)
    }
    fn forward(&self, cx: &mut Forward<'_>) {
        let (operands, out) = cx.split::<3>();
        kernel::map(Choose, operands, out, Acc::Set);
    }
    fn backward(&self, cx: &mut Backward<'_>) {
        no_gradient(cx, 0);
        let mask = cx.operand(0);
        if let Some(grad) = cx.grad(1) {
            kernel::map(Chosen::<true>, [mask, grad.output], grad.operand, grad.acc);
        }
        if let Some(grad) = cx.grad(2) {
            kernel::map(Chosen::<false>, [mask, grad.output], grad.operand, grad.acc);
        }
    }
}

macro_rules! compare {
    ($($method:ident, $Op:ident, $doc:literal;)*) => {$(
        #[doc = $doc]
        #[track_caller]
        #[must_use]
        pub fn $method(self, other: Var<'t>) -> Var<'t> {
            self.compare(&Compare($Op), other)
        }
    )*};
}

/// Comparisons give 1 where they hold and 0 elsewhere. With a NaN on either side, only
/// [`ne`](Self::ne) holds. They broadcast, and no gradient flows through them:
/// [`requires_grad`](Self::requires_grad) of their result is false.
impl<'t> Var<'t> {
    compare! {
        lt, Lt, "1 where `self < other`, else 0.";
        le, Le, "1 where `self <= other`, else 0.";
        gt, Gt, "1 where `self > other`, else 0.";
        ge, Ge, "1 where `self >= other`, else 0.";
        eq, Eq, "1 where `self == other`, else 0.";
        ne, Ne, "1 where `self != other`, else 0.";
    }

    /// Records a comparison as an operation that needs no gradient.
    #[track_caller]
    pub(crate) fn compare(self, op: &'static dyn Op, other: Var<'t>) -> Var<'t> {
        let tape = self.tape();
        let enabled = tape.set_grad_enabled(false);
        let mask = tape.apply_plain(op, &stretched([self, other]));
        tape.set_grad_enabled(enabled);
        mask
    }

    /// `self` where `mask` is not 0, and `other` elsewhere: PyTorch's `Tensor.where`.
    /// All three broadcast, which takes one more node for each whose shape is not that of the
    /// result.
    ///
    /// Gradient: `g` to the selected elements; 0 to the others and to the mask.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 16>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[-2.0, 3.0], [2]);
    /// let zero = tape.constant(&[0.0], []);
    /// let leaky = x.where_(x.gt(zero), 0.1 * x);
    /// tape.backward(leaky.sum())?;
    /// assert_eq!(*leaky.value()?, [-0.2, 3.0]);
    /// assert_eq!(*x.grad()?, [0.1, 1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn where_(self, mask: Var<'t>, other: Var<'t>) -> Var<'t> {
        let operands = stretched([mask, self, other]);
        self.tape().apply_plain(&Where, &operands)
    }
}

/// 1 where both masks hold: the product of masks of 1 and 0.
#[allow(clippy::suspicious_arithmetic_impl)]
impl<'t> BitAnd for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn bitand(self, other: Var<'t>) -> Var<'t> {
        self * other
    }
}

/// 1 where either mask holds: the larger of masks of 1 and 0.
impl<'t> BitOr for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn bitor(self, other: Var<'t>) -> Var<'t> {
        self.maximum(other)
    }
}

/// 1 where a mask of 1 and 0 does not hold.
#[allow(clippy::suspicious_arithmetic_impl)]
impl<'t> Not for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn not(self) -> Var<'t> {
        1.0 - self
    }
}
