//! Activation functions, with PyTorch's formulas and its derivatives at kinks.

use core::f32::consts::FRAC_1_SQRT_2;

use super::stretch::{Alike, stretched_as};
use super::{Args, Binary, Each, Entry, Unary};
use crate::kernel::{Lanes, Mask, math};
use crate::op::Attrs;
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("tanh", |x, _| x.tanh()),
    Entry::each("sigmoid", |x, _| x.sigmoid()),
    Entry::each("relu", |x, _| x.relu()),
    Entry::each("leaky_relu", |x, args| x.leaky_relu(args.slope)),
    Entry::each("gelu_erf", |x, _| x.gelu()),
    Entry::each("gelu_tanh", |x, _| x.gelu_tanh()),
    Entry::each("softplus", |x, _| x.softplus()),
    Entry::each("elu", |x, args| x.elu(args.alpha)),
    Entry::each("silu", |x, _| x.silu()),
    Entry::each("clamp", |x, args| x.clamp(args.min, args.max)).with(Args {
        min: Some(-1.01),
        max: Some(1.01),
        ..Args::NONE
    }),
    Entry::each("mish", |x, _| x.mish()),
    Entry::each("hardswish", |x, _| x.hardswish()),
    Entry::each("hardsigmoid", |x, _| x.hardsigmoid()),
    Entry::each("selu", |x, _| x.selu()),
    Entry::each("softsign", |x, _| x.softsign()),
    Entry::each("logsigmoid", |x, _| x.logsigmoid()),
    Entry::pair("prelu", |weight, x, _| x.prelu(weight)),
];

/// `x`, where an activation is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Identity;
impl Unary for Identity {
    const NAME: &'static str = "identity";
    const PASSES_GRAD: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        x
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, _: L, _: L, g: L) -> L {
        g
    }
}

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

/// `max(x, 0)`.
#[derive(Clone, Copy, Debug)]
pub struct Relu;
impl Unary for Relu {
    const NAME: &'static str = "relu";
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        // Written so that NaN and -0.0 pass.
        L::select(x.lt(L::splat(0.0)), L::splat(0.0), x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        L::select(x.le(L::splat(0.0)), L::splat(0.0), g)
    }
}

/// `x` above 0, `slope * x` elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct LeakyRelu;
impl Unary for LeakyRelu {
    const NAME: &'static str = "leaky_relu";
    #[inline(always)]
    fn forward<L: Lanes>(slope: &Attrs, x: L) -> L {
        L::select(x.gt(L::splat(0.0)), x, x * L::splat(slope.x()))
    }
    #[inline(always)]
    fn backward<L: Lanes>(slope: &Attrs, x: L, _: L, g: L) -> L {
        L::select(x.gt(L::splat(0.0)), g, g * L::splat(slope.x()))
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
        // 1/2 last: as in PyTorch, what is left of x pdf vanishes with the cdf.
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
        // With s the logistic function of z, s + x s (1 - s) z': nothing cancels but where
        // the slope is 0.
        let [s, one_minus_s] = math::gelu_tanh_parts(x);
        // Finite: beyond 1e19 it would be 0 * inf.
        let a = x.abs();
        let a = L::select(a.gt(L::splat(16.0)), L::splat(16.0), a);
        let slope = L::splat(GELU_LINEAR) + L::splat(GELU_CUBIC) * (a * a);
        g * (s + (x * s) * (one_minus_s * slope))
    }
}

/// `√(8/π)` and, times 3, `0.044715 √(8/π)`: the derivative of the argument of
/// [`GeluTanh`]'s logistic function.
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

/// `x` from 0 up, `alpha (eˣ - 1)` below.
#[derive(Clone, Copy, Debug)]
pub struct Elu;
impl Unary for Elu {
    const NAME: &'static str = "elu";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(alpha: &Attrs, x: L) -> L {
        let below = L::splat(alpha.x()) * math::exp_m1(x);
        // At 0 nothing is multiplied: alpha may be infinite, or negative.
        L::select(x.lt(L::splat(0.0)), below, x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(alpha: &Attrs, x: L, _: L, g: L) -> L {
        let below = g * L::splat(alpha.x()) * math::exp(x);
        L::select(x.gt(L::splat(0.0)), g, below)
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

/// `x` confined to a range. The tag says which bounds there are.
#[derive(Clone, Copy, Debug)]
pub struct Clamp;

impl Clamp {
    const HAS_MIN: u32 = 1;
    const HAS_MAX: u32 = 2;
}

impl Unary for Clamp {
    const NAME: &'static str = "clamp";
    #[inline(always)]
    fn forward<L: Lanes>(bounds: &Attrs, x: L) -> L {
        let (min, max) = (L::splat(bounds.x()), L::splat(bounds.y()));
        // NaN passes, as a bound, too; with min above max everything becomes max.
        let x = L::select(x.lt(min).or(min.is_nan()), min, x);
        L::select(x.gt(max).or(max.is_nan()), max, x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(bounds: &Attrs, x: L, _: L, g: L) -> L {
        // A missing bound does not bind even an infinite x.
        let above = x.gt(L::splat(bounds.x()));
        let below = x.lt(L::splat(bounds.y()));
        let free = match bounds.tag {
            0 => return g,
            Clamp::HAS_MIN => above,
            Clamp::HAS_MAX => below,
            _ => above.and(below),
        };
        L::select(free, g, L::splat(0.0))
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

/// `x` times [`Hardsigmoid`].
#[derive(Clone, Copy, Debug)]
pub struct Hardswish;
impl Unary for Hardswish {
    const NAME: &'static str = "hardswish";
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        x * zero_to_six(x) / L::splat(6.0)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        let three = L::splat(3.0);
        let between = g * (x / three + L::splat(0.5));
        let grad = L::select(x.ge(three), g, between);
        L::select(x.le(-three), L::splat(0.0), grad)
    }
}

/// `(x + 3) / 6`, confined to 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Hardsigmoid;
impl Unary for Hardsigmoid {
    const NAME: &'static str = "hardsigmoid";
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        zero_to_six(x) / L::splat(6.0)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        let slopes = x.gt(L::splat(-3.0)).and(x.lt(L::splat(3.0)));
        L::select(slopes, g * L::splat(1.0 / 6.0), L::splat(0.0))
    }
}

/// `x + 3`, confined to 0 to 6; NaN passes.
#[inline(always)]
fn zero_to_six<L: Lanes>(x: L) -> L {
    let (zero, six) = (L::splat(0.0), L::splat(6.0));
    let y = x + L::splat(3.0);
    let y = L::select(y.lt(zero), zero, y);
    L::select(y.gt(six), six, y)
}

/// `scale x` above 0, `scale alpha (eˣ - 1)` below.
#[derive(Clone, Copy, Debug)]
pub struct Selu;

/// The two numbers of Klambauer and others (2017), and their product.
const SELU_SCALE: f32 = 1.050_701;
const SELU_BELOW: f32 = 1.758_099_3;

impl Unary for Selu {
    const NAME: &'static str = "selu";
    const SHORT: usize = 0;
    const DEAR: bool = true;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        let below = math::exp_m1(x) * L::splat(SELU_BELOW);
        L::select(x.lt(L::splat(0.0)), below, x * L::splat(SELU_SCALE))
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        let below = g * L::splat(SELU_BELOW) * math::exp(x);
        L::select(x.gt(L::splat(0.0)), g * L::splat(SELU_SCALE), below)
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

/// `x` above 0, `weight x` elsewhere, the weight first.
#[derive(Clone, Copy, Debug)]
pub struct Prelu;
impl Binary for Prelu {
    const NAME: &'static str = "prelu";
    #[inline(always)]
    fn forward<L: Lanes>(weight: L, x: L) -> L {
        L::select(x.gt(L::splat(0.0)), x, weight * x)
    }
    #[inline(always)]
    fn grad_a<L: Lanes>(g: L, _: L, x: L) -> L {
        let zero = L::splat(0.0);
        L::select(x.gt(zero), zero, x * g)
    }
    #[inline(always)]
    fn grad_b<L: Lanes>(g: L, weight: L, x: L) -> L {
        L::select(x.gt(L::splat(0.0)), g, weight * g)
    }
}

/// Activation functions, element by element.
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

    /// `max(x, 0)`. Derivative: 1 above 0, else 0.
    #[track_caller]
    #[must_use]
    pub fn relu(self) -> Var<'t> {
        self.unary(&Each(Relu), Attrs::default())
    }

    /// `x` above 0, `slope * x` elsewhere (PyTorch's default slope is 0.01).
    /// Derivative: 1 above 0, else `slope`.
    #[track_caller]
    #[must_use]
    pub fn leaky_relu(self, slope: f32) -> Var<'t> {
        self.unary(&Each(LeakyRelu), Attrs::float(slope))
    }

    /// `x Φ(x)`, `Φ` being the normal distribution function, by `erf`:
    /// PyTorch's default `gelu`. Derivative: `Φ(x) + x φ(x)`, `φ` being the
    /// normal density; NaN at both infinities, as in PyTorch.
    ///
    /// For large `x` it is `x`, where PyTorch's depends on the length: for 4 elements
    /// and more 3e38 overflows, and infinity gives NaN.
    #[track_caller]
    #[must_use]
    pub fn gelu(self) -> Var<'t> {
        self.unary(&Each(Gelu), Attrs::default())
    }

    /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`: PyTorch's
    /// `gelu(approximate="tanh")`.
    ///
    /// More accurate than PyTorch's, whose sum cancels for negative `x`: at -4.718
    /// -1.4111e-6, PyTorch's -1.547e-6, and -0.0 from -9.98 down instead of -5.2.
    /// The derivative is NaN at both infinities, but not, as PyTorch's, wherever `x²`
    /// overflows: it is 1 for large `x` and 0 for very negative ones.
    #[track_caller]
    #[must_use]
    pub fn gelu_tanh(self) -> Var<'t> {
        self.unary(&Each(GeluTanh), Attrs::default())
    }

    /// `ln(1 + eˣ)`, and `x` itself above 20, as PyTorch has it.
    /// Derivative: [`sigmoid(x)`](Self::sigmoid), and 1 above 20. Below -89, where that
    /// is 0, PyTorch's is `eˣ`, subnormal.
    #[track_caller]
    #[must_use]
    pub fn softplus(self) -> Var<'t> {
        self.unary(&Each(Softplus), Attrs::default())
    }

    /// `x` from 0 up, `alpha (eˣ - 1)` below (PyTorch's default alpha is 1).
    /// Derivative: 1 above 0, else `alpha eˣ`.
    #[track_caller]
    #[must_use]
    pub fn elu(self, alpha: f32) -> Var<'t> {
        self.unary(&Each(Elu), Attrs::float(alpha))
    }

    /// `x sigmoid(x)`. Derivative: `s (1 + x (1 - s))`, `s = sigmoid(x)`.
    #[track_caller]
    #[must_use]
    pub fn silu(self) -> Var<'t> {
        self.unary(&Each(Silu), Attrs::default())
    }

    /// `x` confined to `min..=max`; `None` is no bound. If `min` is above `max`
    /// everything becomes `max`; if a bound is NaN, so does everything.
    ///
    /// Derivative: 1 strictly between the bounds, else 0, also where `x` or a
    /// bound is NaN (so in PyTorch 2.15; in 1.13 it was 1 at a bound).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.constant(&[-2.0, 0.5, 2.0], [3]);
    /// assert_eq!(*x.clamp(-1.0, 1.0).value()?, [-1.0, 0.5, 1.0]);
    /// assert_eq!(*x.clamp(0.0, None).value()?, [0.0, 0.5, 2.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn clamp(self, min: impl Into<Option<f32>>, max: impl Into<Option<f32>>) -> Var<'t> {
        let (min, max) = (min.into(), max.into());
        let mut attrs = Attrs::floats(
            min.unwrap_or(f32::NEG_INFINITY),
            max.unwrap_or(f32::INFINITY),
        );
        if min.is_some() {
            attrs.tag |= Clamp::HAS_MIN;
        }
        if max.is_some() {
            attrs.tag |= Clamp::HAS_MAX;
        }
        self.unary(&Each(Clamp), attrs)
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

    /// `x` times [`hardsigmoid(x)`](Self::hardsigmoid), rounded as PyTorch's:
    /// `x min(max(x + 3, 0), 6) / 6`. Derivative: `x/3 + 1/2` between -3 and 3; 0 from
    /// there down, 1 from there up.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[-3.0, 0.0, 3.0], [3]);
    /// let y = x.hardswish();
    /// tape.backward(y.sum())?;
    /// assert_eq!(*y.value()?, [0.0, 0.0, 3.0]);
    /// assert_eq!(*x.grad()?, [0.0, 0.5, 1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn hardswish(self) -> Var<'t> {
        self.unary(&Each(Hardswish), Attrs::default())
    }

    /// `(x + 3) / 6`, confined to 0 to 1. Derivative: 1/6 strictly between -3 and 3, else 0,
    /// also at NaN.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.constant(&[-4.0, 0.0, 4.0], [3]);
    /// assert_eq!(*x.hardsigmoid().value()?, [0.0, 0.5, 1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn hardsigmoid(self) -> Var<'t> {
        self.unary(&Each(Hardsigmoid), Attrs::default())
    }

    /// `scale x` above 0 and `scale alpha (eˣ - 1)` below, with a scale of 1.0507 and an
    /// alpha of 1.67326, which keep the mean 0 and the variance 1 through layers (Klambauer
    /// and others, 2017). Derivative: `scale` above 0, else `scale alpha eˣ`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.constant(&[1.0, 0.0, -100.0], [3]);
    /// assert_eq!(*x.selu().value()?, [1.050701, 0.0, -1.7580993]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn selu(self) -> Var<'t> {
        self.unary(&Each(Selu), Attrs::default())
    }

    /// `x / (1 + |x|)`; NaN at both infinities, as in PyTorch. Derivative: `1 / (1 + |x|)²`.
    /// PyTorch has the difference of two quotients, which cancels, and is NaN for an infinite
    /// gradient.
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

    /// `x` above 0, `weight x` elsewhere: [`leaky_relu`](Self::leaky_relu) with a slope that
    /// is learned. The weight is one number, or one for each channel: each index of the second
    /// dimension of `x` (`[C]` beside `[N, C]` or `[N, C, L]`), as in PyTorch; beside a vector
    /// one for each element. It takes up to two nodes more for its shape.
    ///
    /// Derivatives: by `x` 1 above 0, else `weight`; by the weight 0 above 0, else `x`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let (x, weight) = (tape.param(&[2.0, -4.0], [2]), tape.param(&[0.25], [1]));
    /// let y = x.prelu(weight);
    /// tape.backward(y.sum())?;
    /// assert_eq!(*y.value()?, [2.0, -1.0]);
    /// assert_eq!(*x.grad()?, [1.0, 0.25]);
    /// assert_eq!(*weight.grad()?, [-4.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn prelu(self, weight: Var<'t>) -> Var<'t> {
        // Channels stand before what a channel has.
        let channels = weight.shape().numel() as isize;
        let weight = match (channels, weight.shape().rank(), self.shape().rank()) {
            (2.., 1, 3) => weight.reshape([channels, 1]),
            (2.., 1, 4) => weight.reshape([channels, 1, 1]),
            _ => weight,
        };
        let operands = [stretched_as(weight, self), self];
        self.tape().apply_plain(&Alike(Prelu), &operands)
    }
}
