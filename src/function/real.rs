//! `Real`: the scalar type a model is computed in.

use core::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

use crate::kernel::{Lanes as _, math};
use crate::op::{Attrs, Op};
use crate::ops::activation::{
    Gelu, GeluTanh, Hardsigmoid, Hardswish, Mish, Relu, Selu, Sigmoid, Silu, Softplus, Tanh,
};
use crate::ops::arithmetic::{Maximum, Minimum};
use crate::ops::compare::{Compare, Comparison, Eq, Ge, Gt, Le, Lt, Ne};
use crate::ops::math::{
    Abs, Acos, Asin, Atan, Atan2, Cos, Erf, Exp, ExpM1, Ln, Ln1p, Log2, Log10, Pow, Powf, Powi,
    Reciprocal, Rsqrt, Sign, Sin, Sqrt, Square, Tan,
};
use crate::ops::{Binary, Each, Pair, Unary};
use crate::var::Var;

/// `+ - * /` with `Rhs` on the right, giving `Output`.
pub trait Arithmetic<Rhs, Output>:
    Add<Rhs, Output = Output>
    + Sub<Rhs, Output = Output>
    + Mul<Rhs, Output = Output>
    + Div<Rhs, Output = Output>
{
}
impl<T, Rhs, Output> Arithmetic<Rhs, Output> for T where
    T: Add<Rhs, Output = Output>
        + Sub<Rhs, Output = Output>
        + Mul<Rhs, Output = Output>
        + Div<Rhs, Output = Output>
{
}

/// Names `T` as an associated type; see [`Implies`].
pub trait Names<T> {
    /// `T` itself.
    type Is;
}
impl<S, T> Names<T> for S {
    type Is = T;
}

/// Puts implied bounds on `T`: with `trait Real: Implies<f32, Is: Mul<Self>>`, every function
/// that is generic over a `Real` can multiply an `f32` by it. With `where f32: Mul<Self>` on
/// the trait, each such function would have to repeat the bound.
pub trait Implies<T>: Names<T, Is = T> {}
impl<S, T> Implies<T> for S {}

/// The scalar a [`Function`](super::Function) is computed in: a number, or something that
/// behaves like one.
///
/// It has negation, `+ - * /`, also with an `f32` on either side, and the functions below.
/// There is no conversion from `f32`, because a [`Var`] needs a tape: [`number`](Self::number)
/// makes a constant of the same kind from an existing value. Comparisons do not give a `bool`,
/// because lanes can differ: they give a [mask](Self::Mask), by which
/// [`where_`](Self::where_) selects.
///
/// ```
/// use baregrad::function::Real;
///
/// /// Leaves `x` as it is up to 1, and continues beyond with the logarithm.
/// fn compressed<S: Real>(x: S) -> S {
///     let one = x.number(1.0);
///     x.where_(x.le(one), 1.0 + x.ln())
/// }
///
/// assert_eq!(compressed(0.5_f32), 0.5);
/// assert_eq!(compressed(1.0_f32.exp()), 2.0);
/// ```
///
/// | computed in | gives |
/// | --- | --- |
/// | `f32` | the value |
/// | [`Value<L>`](super::Value) | the values in all [lanes](crate::kernel::Lanes) |
/// | [`Jet<L, P>`](super::Jet) | values and derivatives |
/// | [`Var`] | a recording, operation by operation |
#[cfg_attr(
    feature = "std",
    doc = "| [`Value<Symbol>`](super::source::Symbol) | source text |"
)]
///
/// All of them give the same bits for a value. Each operation is one of [`ops`](crate::ops),
/// whose [`Unary`] or [`Binary`] defines how it is computed and differentiated; an
/// implementation of `Real` only applies them ([`each`](Self::each), [`pair`](Self::pair),
/// [`compare`](Self::compare)). NaN is NaN everywhere; its sign and payload are not promised.
///
/// Outside of a generic function, in a program with `std`, a method call on an `f32` finds the
/// inherent functions of `std` instead, which give other bits: `x.exp()` is then `f32::exp`.
#[diagnostic::on_unimplemented(
    message = "a model cannot be computed in `{Self}`",
    label = "expected `f32`, `Value<L>`, `Jet<L, P>` or `Var`",
    note = "`Value<f32x8>` is `f32x8` with numbers on either side of its operators"
)]
pub trait Real:
    Copy
    + Neg<Output = Self>
    + Arithmetic<Self, Self>
    + Arithmetic<f32, Self>
    + Implies<f32, Is: Arithmetic<f32, f32> + Arithmetic<Self, Self>>
{
    /// The result of a comparison, true or false for each element, with the operators `&`, `|`
    /// and `!`.
    type Mask: Copy
        + BitAnd<Output = Self::Mask>
        + BitOr<Output = Self::Mask>
        + Not<Output = Self::Mask>;

    /// The number `c`, of the same kind as `self`. The value of `self` has no effect; a
    /// [`Var`] gives its tape.
    #[track_caller]
    #[must_use]
    fn number(self, c: f32) -> Self;

    /// Applies an element-wise operation, one of [`ops`](crate::ops) or your own.
    #[track_caller]
    #[must_use]
    fn each<U: Unary + 'static>(self, op: &'static Each<U>, attrs: Attrs) -> Self;

    /// Applies an operation on pairs of elements.
    #[track_caller]
    #[must_use]
    fn pair<B: Binary + 'static>(self, op: &'static Pair<B>, other: Self) -> Self;

    /// Applies a comparison.
    #[track_caller]
    #[must_use]
    fn compare<C: Comparison + 'static>(self, op: &'static Compare<C>, other: Self) -> Self::Mask;

    /// `self` where `mask` is true, and `other` elsewhere, as PyTorch's `Tensor.where`. Values
    /// that are not selected have no effect, even if they are NaN, and neither have their
    /// derivatives. The exception is `backward` on a tape: as in PyTorch, a gradient of 0 times
    /// an infinite derivative is NaN.
    #[track_caller]
    #[must_use]
    fn where_(self, mask: Self::Mask, other: Self) -> Self;

    /// `self < other`; false if either is NaN, as are all comparisons but [`ne`](Self::ne).
    #[track_caller]
    #[inline(always)]
    fn lt(self, other: Self) -> Self::Mask {
        self.compare(&Compare(Lt), other)
    }
    /// `self <= other`.
    #[track_caller]
    #[inline(always)]
    fn le(self, other: Self) -> Self::Mask {
        self.compare(&Compare(Le), other)
    }
    /// `self > other`.
    #[track_caller]
    #[inline(always)]
    fn gt(self, other: Self) -> Self::Mask {
        self.compare(&Compare(Gt), other)
    }
    /// `self >= other`.
    #[track_caller]
    #[inline(always)]
    fn ge(self, other: Self) -> Self::Mask {
        self.compare(&Compare(Ge), other)
    }
    /// `self == other`.
    #[track_caller]
    #[inline(always)]
    fn eq(self, other: Self) -> Self::Mask {
        self.compare(&Compare(Eq), other)
    }
    /// `self != other`; true if either is NaN.
    #[track_caller]
    #[inline(always)]
    fn ne(self, other: Self) -> Self::Mask {
        self.compare(&Compare(Ne), other)
    }

    /// The larger of two; NaN if either is NaN.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        self.pair(&Pair(Maximum), other)
    }
    /// The smaller of two; NaN if either is NaN.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn minimum(self, other: Self) -> Self {
        self.pair(&Pair(Minimum), other)
    }

    /// Absolute value.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn abs(self) -> Self {
        self.each(&Each(Abs), Attrs::default())
    }
    /// Square.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn square(self) -> Self {
        self.each(&Each(Square), Attrs::default())
    }
    /// Square root.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.each(&Each(Sqrt), Attrs::default())
    }
    /// The power with an integer exponent. See [`Var::powi`].
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn powi(self, n: i32) -> Self {
        let attrs = Attrs {
            words: [n as u32, 0, 0, 0],
            tag: 0,
        };
        if math::is_short_power(n) {
            self.each(&Each(Powi::<true>), attrs)
        } else {
            self.each(&Each(Powi::<false>), attrs)
        }
    }
    /// The power with a constant exponent. See [`Var::powf`].
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn powf(self, p: f32) -> Self {
        self.each(&Each(Powf), Attrs::float(p))
    }
    /// The power with an exponent that can be trained. See [`Var::pow`].
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn pow(self, exponent: Self) -> Self {
        self.pair(&Pair(Pow), exponent)
    }
    /// `eˣ`.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn exp(self) -> Self {
        self.each(&Each(Exp), Attrs::default())
    }
    /// `eˣ - 1`, accurate near 0.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn exp_m1(self) -> Self {
        self.each(&Each(ExpM1), Attrs::default())
    }
    /// The natural logarithm.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn ln(self) -> Self {
        self.each(&Each(Ln), Attrs::default())
    }
    /// Sine of radians.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn sin(self) -> Self {
        self.each(&Each(Sin), Attrs::default())
    }
    /// Cosine of radians.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn cos(self) -> Self {
        self.each(&Each(Cos), Attrs::default())
    }
    /// Arc tangent in radians.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn atan(self) -> Self {
        self.each(&Each(Atan), Attrs::default())
    }
    /// Hyperbolic tangent.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn tanh(self) -> Self {
        self.each(&Each(Tanh), Attrs::default())
    }
    /// The error function.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn erf(self) -> Self {
        self.each(&Each(Erf), Attrs::default())
    }
    /// The logistic function, `1 / (1 + e⁻ˣ)`.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn sigmoid(self) -> Self {
        self.each(&Each(Sigmoid), Attrs::default())
    }
    /// `ln(1 + eˣ)`. See [`Var::softplus`].
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn softplus(self) -> Self {
        self.each(&Each(Softplus), Attrs::default())
    }
    /// `max(x, 0)`.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn relu(self) -> Self {
        self.each(&Each(Relu), Attrs::default())
    }
    /// `x sigmoid(x)`.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn silu(self) -> Self {
        self.each(&Each(Silu), Attrs::default())
    }
    /// See [`Var::gelu`].
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn gelu(self) -> Self {
        self.each(&Each(Gelu), Attrs::default())
    }
    /// See [`Var::gelu_tanh`].
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn gelu_tanh(self) -> Self {
        self.each(&Each(GeluTanh), Attrs::default())
    }
    /// `ln(1 + x)`, accurate near 0.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn ln_1p(self) -> Self {
        self.each(&Each(Ln1p), Attrs::default())
    }
    /// Logarithm to base 2.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn log2(self) -> Self {
        self.each(&Each(Log2), Attrs::default())
    }
    /// Logarithm to base 10.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn log10(self) -> Self {
        self.each(&Each(Log10), Attrs::default())
    }
    /// `1 / √x`.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn rsqrt(self) -> Self {
        self.each(&Each(Rsqrt), Attrs::default())
    }
    /// `1 / x`.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn reciprocal(self) -> Self {
        self.each(&Each(Reciprocal), Attrs::default())
    }
    /// 1, 0 or -1. See [`Var::sign`].
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn sign(self) -> Self {
        self.each(&Each(Sign), Attrs::default())
    }
    /// Tangent of radians.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn tan(self) -> Self {
        self.each(&Each(Tan), Attrs::default())
    }
    /// Arc sine in radians.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn asin(self) -> Self {
        self.each(&Each(Asin), Attrs::default())
    }
    /// Arc cosine in radians.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn acos(self) -> Self {
        self.each(&Each(Acos), Attrs::default())
    }
    /// The angle of the point `(x, self)` in radians. See [`Var::atan2`].
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn atan2(self, x: Self) -> Self {
        self.pair(&Pair(Atan2), x)
    }
    /// `x tanh(softplus(x))`.
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn mish(self) -> Self {
        self.each(&Each(Mish), Attrs::default())
    }
    /// See [`Var::hardswish`].
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn hardswish(self) -> Self {
        self.each(&Each(Hardswish), Attrs::default())
    }
    /// See [`Var::hardsigmoid`].
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn hardsigmoid(self) -> Self {
        self.each(&Each(Hardsigmoid), Attrs::default())
    }
    /// See [`Var::selu`].
    #[track_caller]
    #[must_use]
    #[inline(always)]
    fn selu(self) -> Self {
        self.each(&Each(Selu), Attrs::default())
    }
}

impl Real for f32 {
    type Mask = bool;

    #[inline(always)]
    fn number(self, c: f32) -> f32 {
        c
    }
    #[inline(always)]
    fn each<U: Unary + 'static>(self, _: &'static Each<U>, attrs: Attrs) -> f32 {
        U::forward(&attrs, self)
    }
    #[inline(always)]
    fn pair<B: Binary + 'static>(self, _: &'static Pair<B>, other: f32) -> f32 {
        B::forward(self, other)
    }
    #[inline(always)]
    fn compare<C: Comparison + 'static>(self, _: &'static Compare<C>, other: f32) -> bool {
        C::mask(self, other)
    }
    #[inline(always)]
    fn where_(self, mask: bool, other: f32) -> f32 {
        f32::select(mask, self, other)
    }
}

/// Each operation becomes a node of the tape, and each number a constant on the tape.
impl<'t> Real for Var<'t> {
    type Mask = Var<'t>;

    fn number(self, c: f32) -> Var<'t> {
        self.tape().constant(&[c], [])
    }
    fn each<U: Unary + 'static>(self, op: &'static Each<U>, attrs: Attrs) -> Var<'t> {
        self.unary(op, attrs)
    }
    fn pair<B: Binary + 'static>(self, op: &'static Pair<B>, other: Var<'t>) -> Var<'t> {
        let op: &'static dyn Op = op;
        self.tape().apply_plain(op, &[self, other])
    }
    fn compare<C: Comparison + 'static>(self, op: &'static Compare<C>, other: Var<'t>) -> Var<'t> {
        Var::compare(self, op, other)
    }
    fn where_(self, mask: Var<'t>, other: Var<'t>) -> Var<'t> {
        Var::where_(self, mask, other)
    }
    fn pow(self, exponent: Var<'t>) -> Var<'t> {
        Var::pow(self, exponent)
    }
    fn atan2(self, x: Var<'t>) -> Var<'t> {
        Var::atan2(self, x)
    }
}
