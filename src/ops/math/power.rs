//! Powers, roots and reciprocals; magnitude and sign.

use crate::kernel::{Lanes, Mask, math};
use crate::op::Attrs;
use crate::ops::stretch::{Alike, stretched};
use crate::ops::{Binary, Each, Unary};
use crate::var::Var;

/// `x²`.
#[derive(Clone, Copy, Debug)]
pub struct Square;

impl Unary for Square {
    const NAME: &'static str = "square";
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        x * x
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        g * (x + x)
    }
}

/// `√x`.
#[derive(Clone, Copy, Debug)]
pub struct Sqrt;

impl Unary for Sqrt {
    const NAME: &'static str = "sqrt";
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        x.sqrt()
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, y: L, g: L) -> L {
        g / (y + y)
    }
}

/// `1 / √x`.
#[derive(Clone, Copy, Debug)]
pub struct Rsqrt;

impl Unary for Rsqrt {
    const NAME: &'static str = "rsqrt";
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::rsqrt(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, y: L, g: L) -> L {
        (L::splat(-0.5) * g) * (y * y * y)
    }
}

/// `1 / x`.
#[derive(Clone, Copy, Debug)]
pub struct Reciprocal;

impl Unary for Reciprocal {
    const NAME: &'static str = "reciprocal";
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        L::splat(1.0) / x
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, y: L, g: L) -> L {
        -g * (y * y)
    }
}

/// `xⁿ` for an integer `n`; with `SHORT` for `n` from -1 to 3, by multiplication or division.
#[derive(Clone, Copy, Debug)]
pub struct Powi<const SHORT: bool>;

impl<const SHORT: bool> Unary for Powi<SHORT> {
    const NAME: &'static str = "powi";
    const SHORT: usize = if SHORT { 16 } else { 0 };
    const DEAR: bool = !SHORT;
    #[inline(always)]
    fn forward<L: Lanes>(attrs: &Attrs, x: L) -> L {
        let n = attrs.words[0] as i32;
        if SHORT {
            math::short_powi(x, n)
        } else {
            math::long_powi(x, n.into())
        }
    }
    #[inline(always)]
    fn backward<L: Lanes>(attrs: &Attrs, x: L, y: L, g: L) -> L {
        let n = attrs.words[0] as i32;
        let slope = match (SHORT, n) {
            (true, 0) => return L::splat(0.0),
            // 1 / x² would be 0 where x² overflows.
            (true, -1) => -(y / x),
            (true, _) => L::splat(n as f32) * math::short_powi(x, n.wrapping_sub(1)),
            (false, 4) => L::splat(4.0) * math::short_powi(x, 3),
            // In `i64`, which holds `n - 1` even for the smallest `n`.
            (false, _) => L::splat(n as f32) * math::long_powi(x, i64::from(n).wrapping_sub(1)),
        };
        g * slope
    }
}

/// `xᵖ`.
#[derive(Clone, Copy, Debug)]
pub struct Powf;

impl Unary for Powf {
    const NAME: &'static str = "powf";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(p: &Attrs, x: L) -> L {
        power(x, p.x())
    }
    #[inline(always)]
    fn backward<L: Lanes>(p: &Attrs, x: L, _: L, g: L) -> L {
        let p = p.x();
        if p == 0.0 {
            return L::splat(0.0);
        }
        g * (L::splat(p) * power(x, p - 1.0))
    }
}

/// `xᵖ`, for 0.5 and -0.5 by a square root, as in PyTorch.
#[inline(always)]
fn power<L: Lanes>(x: L, p: f32) -> L {
    if p == 0.5 {
        x.sqrt()
    } else if p == -0.5 {
        L::splat(1.0) / x.sqrt()
    } else {
        math::pow(x, L::splat(p))
    }
}

/// `xʸ`.
#[derive(Clone, Copy, Debug)]
pub struct Pow;

// Debug builds do not inline these functions: without optimisation, powers in the loops of a
// broadcast would take more stack than a thread has.
impl Binary for Pow {
    const NAME: &'static str = "pow";
    const DEAR: bool = true;
    #[cfg_attr(debug_assertions, inline(never))]
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn forward<L: Lanes>(x: L, y: L) -> L {
        math::pow(x, y)
    }
    #[cfg_attr(debug_assertions, inline(never))]
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn grad_a<L: Lanes>(g: L, x: L, y: L) -> L {
        let (zero, one) = (L::splat(0.0), L::splat(1.0));
        let grad = g * (y * math::pow(x, y - one));
        L::select(y.eq(zero), zero, grad)
    }
    #[cfg_attr(debug_assertions, inline(never))]
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn grad_b<L: Lanes>(g: L, x: L, y: L) -> L {
        let zero = L::splat(0.0);
        let slope = math::pow(x, y) * math::ln(x);
        g * L::select(x.eq(zero).and(y.ge(zero)), zero, slope)
    }
}

/// `|x|`.
#[derive(Clone, Copy, Debug)]
pub struct Abs;

impl Unary for Abs {
    const NAME: &'static str = "abs";
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        x.abs()
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        let zero = L::splat(0.0);
        let (plus, minus) = (L::splat(1.0), L::splat(-1.0));
        g * L::select(x.gt(zero), plus, L::select(x.lt(zero), minus, zero))
    }
}

/// The sign of `x`: 1, 0 or -1.
#[derive(Clone, Copy, Debug)]
pub struct Sign;

impl Unary for Sign {
    const NAME: &'static str = "sign";
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        let zero = L::splat(0.0);
        let below = L::select(x.lt(zero), L::splat(-1.0), zero);
        L::select(x.gt(zero), L::splat(1.0), below)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, _: L, _: L) -> L {
        L::splat(0.0)
    }
}

/// Powers, element by element. The result has the shape of the operand.
impl<'t> Var<'t> {
    /// `x²`. Derivative: `2x`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[3.0], []);
    /// let y = x.square();
    /// tape.backward(y)?;
    /// assert_eq!((y.item()?, x.grad()?[0]), (9.0, 6.0));
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn square(self) -> Var<'t> {
        self.unary(&Each(Square), Attrs::default())
    }

    /// Square root; NaN below 0. Derivative: `1 / (2√x)`, infinite at 0.
    #[track_caller]
    #[must_use]
    pub fn sqrt(self) -> Var<'t> {
        self.unary(&Each(Sqrt), Attrs::default())
    }

    /// `1 / √x`: infinite at zeros, with their sign, and NaN below. Derivative: `-y³ / 2`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[4.0], []);
    /// let y = x.rsqrt();
    /// tape.backward(y)?;
    /// assert_eq!((y.item()?, x.grad()?[0]), (0.5, -0.0625));
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn rsqrt(self) -> Var<'t> {
        self.unary(&Each(Rsqrt), Attrs::default())
    }

    /// `1 / x`: infinite at zeros, with their sign. Derivative: `-1 / x²`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[4.0], []);
    /// let y = x.reciprocal();
    /// tape.backward(y)?;
    /// assert_eq!((y.item()?, x.grad()?[0]), (0.25, -0.0625));
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn reciprocal(self) -> Var<'t> {
        self.unary(&Each(Reciprocal), Attrs::default())
    }

    /// `xⁿ` for an integer `n`; `x⁰` is 1 everywhere. Derivative: `n xⁿ⁻¹`, and 0 if
    /// `n` is 0. The derivative of `1 / x` is computed as `-(1/x) / x`, which is not 0
    /// where `x²` overflows; PyTorch's is.
    ///
    /// Powers from -1 to 3 are products or quotients; if `n` is a constant, firmware
    /// links nothing else. Other powers are computed as by [`powf`](Self::powf), with
    /// an error of at most 1.19 ULP. `n` is used exactly, even if an `f32` cannot hold
    /// it: `(-1)ⁿ` is -1 for 16777217, which PyTorch rounds to an even number.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[2.0], []);
    /// let y = x.powi(-2);
    /// tape.backward(y)?;
    /// assert_eq!((y.item()?, x.grad()?[0]), (0.25, -0.25));
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    #[inline] // otherwise firmware would link both, even for a constant `n`
    pub fn powi(self, n: i32) -> Var<'t> {
        let attrs = Attrs {
            words: [n as u32, 0, 0, 0],
            tag: 0,
        };
        if math::is_short_power(n) {
            self.unary(&Each(Powi::<true>), attrs)
        } else {
            self.unary(&Each(Powi::<false>), attrs)
        }
    }

    /// `xᵖ`, with the special cases of C and PyTorch: it is 1 if `p` is 0 or `x` is 1,
    /// even if the other is NaN. For a finite `x` below 0 it is NaN unless `p` is an
    /// integer, and negative if `p` is odd. For `x = -inf` and a `p` that is not an
    /// integer it is infinite, or 0 if `p` is below 0. For a `p` of 0.5 or -0.5 it is the
    /// square root or its reciprocal, also at `-0.0` and `-inf`, where the root is `-0.0`
    /// and NaN.
    ///
    /// Derivative: `p xᵖ⁻¹` by the same rules, and 0 if `p` is 0.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.constant(&[f32::NEG_INFINITY, -8.0, 4.0], [3]);
    /// assert!(x.powf(0.5).value()?[..2].iter().all(|y| y.is_nan()));
    /// assert_eq!(x.powf(1.5).value()?[0], f32::INFINITY);
    /// assert_eq!(*x.powf(3.0).value()?, [f32::NEG_INFINITY, -512.0, 64.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn powf(self, p: f32) -> Var<'t> {
        self.unary(&Each(Powf), Attrs::float(p))
    }

    /// `xʸ` of two variables, with the special cases of [`powf`](Self::powf) except its square
    /// roots. Broadcasts; an operand whose shape is not that of the result takes one more node.
    ///
    /// Derivatives: with respect to `x`, `y xʸ⁻¹`, and 0 where `y` is 0; with respect to `y`,
    /// `xʸ ln x`, and 0 where `x` is 0 and `y` is not negative.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let (x, y) = (tape.param(&[3.0], []), tape.param(&[2.0], []));
    /// let power = x.pow(y);
    /// tape.backward(power)?;
    /// assert_eq!((power.item()?, x.grad()?[0]), (9.0, 6.0));
    /// assert!((y.grad()?[0] - 9.0 * 3_f32.ln()).abs() < 1e-5);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn pow(self, exponent: Var<'t>) -> Var<'t> {
        let operands = stretched([self, exponent]);
        self.tape().apply_plain(&Alike(Pow), &operands)
    }

    /// Absolute value. Derivative: the sign of `x`, 0 at 0 and at NaN. The gradient
    /// is multiplied by it, so that an infinite gradient becomes NaN at 0:
    /// `x.abs().sqrt()` has no gradient there.
    #[track_caller]
    #[must_use]
    pub fn abs(self) -> Var<'t> {
        self.unary(&Each(Abs), Attrs::default())
    }

    /// 1 above 0, -1 below, and 0 at zeros of both signs and, as in PyTorch, at NaN.
    /// Derivative: 0 everywhere.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.constant(&[-2.5, -0.0, 7.0], [3]);
    /// assert_eq!(*x.sign().value()?, [-1.0, 0.0, 1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn sign(self) -> Var<'t> {
        self.unary(&Each(Sign), Attrs::default())
    }
}
