//! Smooth activation functions: sigmoids, and functions that are made of them.

use core::f32::consts::FRAC_1_SQRT_2;

use crate::kernel::{Lanes, math};
use crate::op::Attrs;
use crate::ops::{Each, Unary};
use crate::var::Var;

/// Hyperbolic tangent.
#[derive(Clone, Copy, Debug)]
pub struct Tanh;

impl Unary for Tanh {
    const NAME: &'static str = "tanh";
    const SHORT: usize = 0;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::tanh(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, y: L, g: L) -> L {
        g * (L::splat(1.0) - y * y)
    }
}

/// The logistic function.
#[derive(Clone, Copy, Debug)]
pub struct Sigmoid;

impl Unary for Sigmoid {
    const NAME: &'static str = "sigmoid";
    const SHORT: usize = 0;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::sigmoid(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, y: L, g: L) -> L {
        g * (L::splat(1.0) - y) * y
    }
}

/// `x Φ(x)` with the normal distribution function `Φ`.
#[derive(Clone, Copy, Debug)]
pub struct Gelu;

impl Unary for Gelu {
    const NAME: &'static str = "gelu";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::gelu(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        let half = L::splat(0.5);
        let erf = math::erf(x * L::splat(FRAC_1_SQRT_2));
        let pdf = math::exp(-(half * (x * x))) * L::splat(FRAC_1_SQRT_TAU);
        // 1/2 is added last, as in PyTorch: where the cdf rounds to 0, so does the derivative.
        g * ((half * erf + x * pdf) + half)
    }
}

/// `1 / √(2π)`.
const FRAC_1_SQRT_TAU: f32 = 0.398_942_3;

/// `x Φ(x)` with `Φ` approximated by a tanh.
#[derive(Clone, Copy, Debug)]
pub struct GeluTanh;

impl Unary for GeluTanh {
    const NAME: &'static str = "gelu_tanh";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::gelu_tanh(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        // With s = sigmoid(z), the derivative is s + x s (1 - s) z': the terms cancel only near
        // its zero.
        let [s, one_minus_s] = math::gelu_tanh_parts(x);
        // The magnitude is limited, because from 1e19 on, its square would give 0 * inf.
        let a = x.abs();
        let a = L::select(a.gt(L::splat(16.0)), L::splat(16.0), a);
        let slope = L::splat(GELU_LINEAR) + L::splat(GELU_CUBIC) * (a * a);
        g * (s + (x * s) * (one_minus_s * slope))
    }
}

/// `√(8/π)`, and 3 times `0.044715 √(8/π)`: the coefficients of the derivative of the
/// argument of [`GeluTanh`]'s logistic function.
const GELU_LINEAR: f32 = 1.595_769;
const GELU_CUBIC: f32 = 0.214_064_44;

/// `ln(1 + eˣ)`.
#[derive(Clone, Copy, Debug)]
pub struct Softplus;

impl Unary for Softplus {
    const NAME: &'static str = "softplus";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::softplus(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        L::select(x.gt(L::splat(20.0)), g, g * math::sigmoid(x))
    }
}

/// `x sigmoid(x)`.
#[derive(Clone, Copy, Debug)]
pub struct Silu;

impl Unary for Silu {
    const NAME: &'static str = "silu";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::silu(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        let one = L::splat(1.0);
        let s = math::sigmoid(x);
        g * (s * (one + x * (one - s)))
    }
}

/// `x tanh(softplus(x))`.
#[derive(Clone, Copy, Debug)]
pub struct Mish;

impl Unary for Mish {
    const NAME: &'static str = "mish";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::mish(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        // The tanh is w / (w + 2), and 1 minus its square 4 (w + 1) / (w + 2)².
        let (w, w_2) = math::mish_parts(x);
        let rest = L::splat(4.0) * (w + L::splat(1.0)) / (w_2 * w_2);
        g * (w / w_2 + x * math::sigmoid(x) * rest)
    }
}

/// `x / (1 + |x|)`.
#[derive(Clone, Copy, Debug)]
pub struct Softsign;

impl Unary for Softsign {
    const NAME: &'static str = "softsign";
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        x / (x.abs() + L::splat(1.0))
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        let whole = x.abs() + L::splat(1.0);
        g / whole / whole
    }
}

/// The logarithm of the logistic function.
#[derive(Clone, Copy, Debug)]
pub struct LogSigmoid;

impl Unary for LogSigmoid {
    const NAME: &'static str = "logsigmoid";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        L::splat(0.0) - math::softplus(-x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        g * math::sigmoid(-x)
    }
}

/// Smooth activation functions, element by element.
impl<'t> Var<'t> {
    /// Hyperbolic tangent. Derivative: `1 - tanh²x`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[0.0, 100.0], [2]);
    /// let y = x.tanh();
    /// tape.backward(y.sum())?;
    /// assert_eq!(*y.value()?, [0.0, 1.0]);
    /// assert_eq!(*x.grad()?, [1.0, 0.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn tanh(self) -> Var<'t> {
        self.unary(&Each(Tanh), Attrs::default())
    }

    /// `1 / (1 + e⁻ˣ)`. Derivative: `y (1 - y)`.
    #[track_caller]
    #[must_use]
    pub fn sigmoid(self) -> Var<'t> {
        self.unary(&Each(Sigmoid), Attrs::default())
    }

    /// `x Φ(x)`, `Φ` being the normal distribution function, by `erf`:
    /// PyTorch's default `gelu`. Derivative: `Φ(x) + x φ(x)`, `φ` being the
    /// normal density; NaN at both infinities, as in PyTorch.
    ///
    /// For large `x` the result is `x`. PyTorch's depends on the length: with 4 elements
    /// or more, 3e38 overflows, and infinity gives NaN.
    #[track_caller]
    #[must_use]
    pub fn gelu(self) -> Var<'t> {
        self.unary(&Each(Gelu), Attrs::default())
    }

    /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`: PyTorch's
    /// `gelu(approximate="tanh")`.
    ///
    /// More accurate than PyTorch's, whose sum cancels for negative `x`: at -4.718 it is
    /// -1.4111e-6, PyTorch's -1.547e-6, and it is -0.0 from -9.98 down instead of -5.2.
    /// The derivative is NaN at both infinities. PyTorch's is NaN wherever `x²` overflows;
    /// here it is 1 for such large `x` and 0 for such negative ones.
    #[track_caller]
    #[must_use]
    pub fn gelu_tanh(self) -> Var<'t> {
        self.unary(&Each(GeluTanh), Attrs::default())
    }

    /// `ln(1 + eˣ)`, and `x` itself above 20, as in PyTorch.
    /// Derivative: [`sigmoid(x)`](Self::sigmoid), and 1 above 20. Below -89 it is 0, where
    /// PyTorch's is `eˣ`, a subnormal number.
    #[track_caller]
    #[must_use]
    pub fn softplus(self) -> Var<'t> {
        self.unary(&Each(Softplus), Attrs::default())
    }

    /// `x sigmoid(x)`. Derivative: `s (1 + x (1 - s))`, `s = sigmoid(x)`.
    #[track_caller]
    #[must_use]
    pub fn silu(self) -> Var<'t> {
        self.unary(&Each(Silu), Attrs::default())
    }

    /// `x tanh(softplus(x))`. Derivative: `t + x s (1 - t²)`, `t` being that tanh and
    /// `s = sigmoid(x)`; NaN at both infinities, as in PyTorch.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[0.0], []);
    /// let y = x.mish();
    /// tape.backward(y)?;
    /// assert_eq!((y.item()?, x.grad()?[0]), (0.0, 0.6));
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn mish(self) -> Var<'t> {
        self.unary(&Each(Mish), Attrs::default())
    }

    /// `x / (1 + |x|)`; NaN at both infinities, as in PyTorch. Derivative: `1 / (1 + |x|)²`.
    /// PyTorch's derivative is a difference of two quotients, which cancels, and gives NaN for
    /// an infinite gradient.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[-3.0], []);
    /// let y = x.softsign();
    /// tape.backward(y)?;
    /// assert_eq!((y.item()?, x.grad()?[0]), (-0.75, 0.0625));
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn softsign(self) -> Var<'t> {
        self.unary(&Each(Softsign), Attrs::default())
    }

    /// `ln(sigmoid(x))`, which is `-softplus(-x)` and accurate for every `x`. Derivative:
    /// `sigmoid(-x)`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.constant(&[-1000.0, 1000.0], [2]);
    /// assert_eq!(*x.logsigmoid().value()?, [-1000.0, 0.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn logsigmoid(self) -> Var<'t> {
        self.unary(&Each(LogSigmoid), Attrs::default())
    }
}
