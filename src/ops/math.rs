//! Powers, roots, exponentials and trigonometry.

use super::{Domain, Each, Entry, Unary};
use crate::kernel::{Lanes, math};
use crate::op::Attrs;
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("square", |x, _| x.square()),
    Entry::each("sqrt", |x, _| x.sqrt()).on(Domain::Positive),
    Entry::each("powi", |x, args| x.powi(args.n)),
    Entry::each("powf", |x, args| x.powf(args.p)).on(Domain::Positive),
    Entry::each("exp", |x, _| x.exp()),
    Entry::each("log", |x, _| x.ln()).on(Domain::Positive),
    Entry::each("abs", |x, _| x.abs()),
    Entry::each("sin", |x, _| x.sin()),
    Entry::each("cos", |x, _| x.cos()),
];

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
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        x.sqrt()
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, y: L, g: L) -> L {
        g / (y + y)
    }
}

/// `xⁿ` for a whole `n`.
#[derive(Clone, Copy, Debug)]
pub struct Powi;
impl Unary for Powi {
    const NAME: &'static str = "powi";
    #[inline(always)]
    fn forward<L: Lanes>(attrs: &Attrs, x: L) -> L {
        math::powi(x, attrs.words[0] as i32)
    }
    #[inline(always)]
    fn backward<L: Lanes>(attrs: &Attrs, x: L, _: L, g: L) -> L {
        let n = attrs.words[0] as i32;
        if n == 0 {
            return L::splat(0.0);
        }
        g * (L::splat(n as f32) * math::powi(x, n.saturating_sub(1)))
    }
}

/// `xᵖ`.
#[derive(Clone, Copy, Debug)]
pub struct Powf;
impl Unary for Powf {
    const NAME: &'static str = "powf";
    const SHORT: usize = 0;
    #[inline(always)]
    fn forward<L: Lanes>(p: &Attrs, x: L) -> L {
        math::pow(x, L::splat(p.x()))
    }
    #[inline(always)]
    fn backward<L: Lanes>(p: &Attrs, x: L, _: L, g: L) -> L {
        let p = p.x();
        if p == 0.0 {
            return L::splat(0.0);
        }
        g * (L::splat(p) * math::pow(x, L::splat(p - 1.0)))
    }
}

/// `eˣ`.
#[derive(Clone, Copy, Debug)]
pub struct Exp;
impl Unary for Exp {
    const NAME: &'static str = "exp";
    const SHORT: usize = 0;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::exp(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, y: L, g: L) -> L {
        g * y
    }
}

/// The natural logarithm.
#[derive(Clone, Copy, Debug)]
pub struct Ln;
impl Unary for Ln {
    const NAME: &'static str = "ln";
    const SHORT: usize = 0;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::ln(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        g / x
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
        L::select(x.gt(zero), g, L::select(x.lt(zero), -g, zero))
    }
}

/// Sine.
#[derive(Clone, Copy, Debug)]
pub struct Sin;
impl Unary for Sin {
    const NAME: &'static str = "sin";
    const SHORT: usize = 0;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::sin(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        g * math::cos(x)
    }
}

/// Cosine.
#[derive(Clone, Copy, Debug)]
pub struct Cos;
impl Unary for Cos {
    const NAME: &'static str = "cos";
    const SHORT: usize = 0;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::cos(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        -(g * math::sin(x))
    }
}

/// Element-wise functions. The result has the shape of the operand.
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

    /// `xⁿ` for a whole `n`, by repeated multiplication; `x⁰` is 1 everywhere.
    /// Derivative: `n xⁿ⁻¹`.
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
    pub fn powi(self, n: i32) -> Var<'t> {
        let attrs = Attrs {
            words: [n as u32, 0, 0, 0],
            tag: 0,
        };
        self.unary(&Each(Powi), attrs)
    }

    /// `xᵖ`; NaN for `x` below 0 unless `p` is whole. Derivative: `p xᵖ⁻¹`, and
    /// 0 if `p` is 0.
    #[track_caller]
    #[must_use]
    pub fn powf(self, p: f32) -> Var<'t> {
        self.unary(&Each(Powf), Attrs::float(p))
    }

    /// `eˣ`. Derivative: `eˣ`.
    #[track_caller]
    #[must_use]
    pub fn exp(self) -> Var<'t> {
        self.unary(&Each(Exp), Attrs::default())
    }

    /// The natural logarithm, PyTorch's `log`; `-inf` at 0, NaN below.
    /// Derivative: `1 / x`.
    #[track_caller]
    #[must_use]
    pub fn ln(self) -> Var<'t> {
        self.unary(&Each(Ln), Attrs::default())
    }

    /// Absolute value. Derivative: the sign of `x`, 0 at 0.
    #[track_caller]
    #[must_use]
    pub fn abs(self) -> Var<'t> {
        self.unary(&Each(Abs), Attrs::default())
    }

    /// Sine of `x` radians. Derivative: `cos x`.
    #[track_caller]
    #[must_use]
    pub fn sin(self) -> Var<'t> {
        self.unary(&Each(Sin), Attrs::default())
    }

    /// Cosine of `x` radians. Derivative: `-sin x`.
    #[track_caller]
    #[must_use]
    pub fn cos(self) -> Var<'t> {
        self.unary(&Each(Cos), Attrs::default())
    }
}
