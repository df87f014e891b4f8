//! Trigonometry.

use crate::kernel::{Lanes, math};
use crate::op::Attrs;
use crate::ops::stretch::{Alike, stretched};
use crate::ops::{Binary, Each, Unary};
use crate::var::Var;

/// Sine.
#[derive(Clone, Copy, Debug)]
pub struct Sin;

impl Unary for Sin {
    const NAME: &'static str = "sin";
    const SHORT: usize = 0;
    const DEAR: bool = true;
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
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::cos(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        -(g * math::sin(x))
    }
}

/// Tangent.
#[derive(Clone, Copy, Debug)]
pub struct Tan;

impl Unary for Tan {
    const NAME: &'static str = "tan";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::tan(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, y: L, g: L) -> L {
        g * (L::splat(1.0) + y * y)
    }
}

/// Arc sine.
#[derive(Clone, Copy, Debug)]
pub struct Asin;

impl Unary for Asin {
    const NAME: &'static str = "asin";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::asin(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        g * slope_of_arc(x)
    }
}

/// Arc cosine.
#[derive(Clone, Copy, Debug)]
pub struct Acos;

impl Unary for Acos {
    const NAME: &'static str = "acos";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::acos(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        g * -slope_of_arc(x)
    }
}

/// `1 / √(1 - x²)`, with the difference computed as a product, which is accurate near 1.
#[inline(always)]
fn slope_of_arc<L: Lanes>(x: L) -> L {
    let one = L::splat(1.0);
    math::rsqrt((one - x) * (one + x))
}

/// Arc tangent.
#[derive(Clone, Copy, Debug)]
pub struct Atan;

impl Unary for Atan {
    const NAME: &'static str = "atan";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::atan(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        g / (x * x + L::splat(1.0))
    }
}

/// The angle of the point `(x, y)`.
#[derive(Clone, Copy, Debug)]
pub struct Atan2;

impl Binary for Atan2 {
    const NAME: &'static str = "atan2";
    const DEAR: bool = true;
    #[cfg_attr(debug_assertions, inline(never))]
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn forward<L: Lanes>(y: L, x: L) -> L {
        math::atan2(y, x)
    }
    #[inline(always)]
    fn grad_a<L: Lanes>(g: L, y: L, x: L) -> L {
        (g * x) * one_by_square_of_distance(y, x)
    }
    #[inline(always)]
    fn grad_b<L: Lanes>(g: L, y: L, x: L) -> L {
        (g * -y) * one_by_square_of_distance(y, x)
    }
}

/// `1 / (y² + x²)`, and 0 where the sum is 0.
#[inline(always)]
fn one_by_square_of_distance<L: Lanes>(y: L, x: L) -> L {
    let (zero, square) = (L::splat(0.0), y * y + x * x);
    L::select(square.eq(zero), zero, L::splat(1.0) / square)
}

/// Trigonometry, element by element. The result has the shape of the operand.
impl<'t> Var<'t> {
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

    /// Tangent of `x` radians. Derivative: `1 + tan²x`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[0.0], []);
    /// let y = x.tan();
    /// tape.backward(y)?;
    /// assert_eq!((y.item()?, x.grad()?[0]), (0.0, 1.0));
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn tan(self) -> Var<'t> {
        self.unary(&Each(Tan), Attrs::default())
    }

    /// Arc sine, in radians, of `x` from -1 to 1; NaN beyond. Derivative: `1 / √(1 - x²)`,
    /// infinite at both ends.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.constant(&[1.0, -1.0], [2]);
    /// let quarter = core::f32::consts::FRAC_PI_2;
    /// assert_eq!(*x.asin().value()?, [quarter, -quarter]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn asin(self) -> Var<'t> {
        self.unary(&Each(Asin), Attrs::default())
    }

    /// Arc cosine, in radians, of `x` from -1 to 1; NaN beyond. Derivative:
    /// `-1 / √(1 - x²)`, infinite at both ends.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.constant(&[1.0, -1.0], [2]);
    /// assert_eq!(*x.acos().value()?, [0.0, core::f32::consts::PI]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn acos(self) -> Var<'t> {
        self.unary(&Each(Acos), Attrs::default())
    }

    /// Arc tangent of `x`, in radians. Derivative: `1 / (1 + x²)`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0], []);
    /// let angle = x.atan();
    /// tape.backward(angle)?;
    /// assert_eq!(angle.item()?, core::f32::consts::FRAC_PI_4);
    /// assert_eq!(*x.grad()?, [0.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn atan(self) -> Var<'t> {
        self.unary(&Each(Atan), Attrs::default())
    }

    /// The angle of the point `(x, self)`, in radians from -π to π: the arc tangent of
    /// `self / x` in the quadrant of both signs, including the signs of zeros. Broadcasts, as
    /// [`pow`](Self::pow) does.
    ///
    /// Derivatives, with `y = self`: `x / (x² + y²)` with respect to `y`, `-y / (x² + y²)` with
    /// respect to `x`; 0 where the sum of squares is 0, and where it overflows, as in PyTorch.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let (y, x) = (tape.param(&[1.0], []), tape.param(&[0.0], []));
    /// let angle = y.atan2(x);
    /// tape.backward(angle)?;
    /// assert_eq!(angle.item()?, core::f32::consts::FRAC_PI_2);
    /// assert_eq!((y.grad()?[0], x.grad()?[0]), (0.0, -1.0));
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn atan2(self, x: Var<'t>) -> Var<'t> {
        let operands = stretched([self, x]);
        self.tape().apply_plain(&Alike(Atan2), &operands)
    }
}
