//! Exponentials and logarithms, and the error function.

use crate::kernel::{Lanes, math};
use crate::op::Attrs;
use crate::ops::{Each, Unary};
use crate::var::Var;

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

/// `eˣ - 1`.
#[derive(Clone, Copy, Debug)]
pub struct ExpM1;

impl Unary for ExpM1 {
    const NAME: &'static str = "expm1";
    const SHORT: usize = 0;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::exp_m1(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, y: L, g: L) -> L {
        g * (y + L::splat(1.0))
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

/// `ln(1 + x)`.
#[derive(Clone, Copy, Debug)]
pub struct Ln1p;

impl Unary for Ln1p {
    const NAME: &'static str = "log1p";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::ln_1p(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        g / (x + L::splat(1.0))
    }
}

/// Logarithm to base 2.
#[derive(Clone, Copy, Debug)]
pub struct Log2;

impl Unary for Log2 {
    const NAME: &'static str = "log2";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::log2(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        g / (x * L::splat(core::f32::consts::LN_2))
    }
}

/// Logarithm to base 10.
#[derive(Clone, Copy, Debug)]
pub struct Log10;

impl Unary for Log10 {
    const NAME: &'static str = "log10";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::log10(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        g / (x * L::splat(core::f32::consts::LN_10))
    }
}

/// The error function.
#[derive(Clone, Copy, Debug)]
pub struct Erf;

impl Unary for Erf {
    const NAME: &'static str = "erf";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::erf(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        g * (L::splat(core::f32::consts::FRAC_2_SQRT_PI) * math::exp(-(x * x)))
    }
}

/// Exponentials and logarithms, element by element. The result has the shape of the operand.
impl<'t> Var<'t> {
    /// `eˣ`. Derivative: `eˣ`.
    #[track_caller]
    #[must_use]
    pub fn exp(self) -> Var<'t> {
        self.unary(&Each(Exp), Attrs::default())
    }

    /// `eˣ - 1`, accurate also where the result is small. Derivative: `eˣ`.
    #[track_caller]
    #[must_use]
    pub fn exp_m1(self) -> Var<'t> {
        self.unary(&Each(ExpM1), Attrs::default())
    }

    /// The natural logarithm, PyTorch's `log`; `-inf` at 0, NaN below.
    /// Derivative: `1 / x`.
    #[track_caller]
    #[must_use]
    pub fn ln(self) -> Var<'t> {
        self.unary(&Each(Ln), Attrs::default())
    }

    /// `ln(1 + x)`, PyTorch's `log1p`, accurate also where `x` is small; `-inf` at -1, NaN
    /// below. Derivative: `1 / (1 + x)`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// assert_eq!(tape.constant(&[1e-10], []).ln_1p().item()?, 1e-10);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn ln_1p(self) -> Var<'t> {
        self.unary(&Each(Ln1p), Attrs::default())
    }

    /// Logarithm to base 2, exact for powers of two; special cases as [`ln`](Self::ln).
    /// Derivative: `1 / (x ln 2)`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// assert_eq!(tape.constant(&[0.125], []).log2().item()?, -3.0);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn log2(self) -> Var<'t> {
        self.unary(&Each(Log2), Attrs::default())
    }

    /// Logarithm to base 10; special cases as [`ln`](Self::ln). Derivative: `1 / (x ln 10)`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let decibels = 10.0 * tape.constant(&[1000.0], []).log10();
    /// assert_eq!(decibels.item()?, 30.0);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn log10(self) -> Var<'t> {
        self.unary(&Each(Log10), Attrs::default())
    }

    /// The error function. Derivative: `2/√π exp(-x²)`.
    #[track_caller]
    #[must_use]
    pub fn erf(self) -> Var<'t> {
        self.unary(&Each(Erf), Attrs::default())
    }
}
