//! Activation functions, with PyTorch's formulas and its derivatives at kinks.

use core::f32::consts::FRAC_1_SQRT_2;

use super::{Args, Each, Entry, Unary};
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
/// `√(2/π)`.
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

/// `x Φ(x)` with `Φ` approximated by a tanh.
#[derive(Clone, Copy, Debug)]
pub struct GeluTanh;
impl Unary for GeluTanh {
    const NAME: &'static str = "gelu_tanh";
    const SHORT: usize = 0;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::gelu_tanh(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        let (half, one) = (L::splat(0.5), L::splat(1.0));
        let (k, c) = (L::splat(SQRT_2_OVER_PI), L::splat(0.044_715));
        let square = x * x;
        let inner = k * (x + c * (square * x));
        let slope = k * (one + L::splat(3.0) * c * square);
        // With e = exp(-2 |inner|), tanh is +-(1 - e) / (1 + e) and its slope
        // 4 e / (1 + e)^2: 1 - tanh^2 would cancel, and x slope amplify that.
        let e = math::exp(L::splat(-2.0) * inner.abs());
        let inverse = one / (one + e);
        let t = (one - e) * inverse;
        let t = L::select(inner.gt(L::splat(0.0)), t, -t);
        let flatness = L::splat(4.0) * e * (inverse * inverse);
        // Where tanh is saturated the second term is 0, and not 0 * inf.
        let second = half * x * (flatness * slope);
        let second = L::select(flatness.eq(L::splat(0.0)), L::splat(0.0), second);
        // 1/2 last: as in PyTorch, what is left of it vanishes for negative x.
        g * ((half * t + second) + half)
    }
}

/// `ln(1 + eˣ)`.
#[derive(Clone, Copy, Debug)]
pub struct Softplus;
impl Unary for Softplus {
    const NAME: &'static str = "softplus";
    const SHORT: usize = 0;
    #[inline(always)]
    fn forward<L: Lanes>(_: &Attrs, x: L) -> L {
        math::softplus(x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(_: &Attrs, x: L, _: L, g: L) -> L {
        L::select(x.gt(L::splat(20.0)), g, g * math::sigmoid(x))
    }
}

/// `x` above 0, `alpha (eˣ - 1)` elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Elu;
impl Unary for Elu {
    const NAME: &'static str = "elu";
    const SHORT: usize = 0;
    #[inline(always)]
    fn forward<L: Lanes>(alpha: &Attrs, x: L) -> L {
        let below = L::splat(alpha.x()) * math::exp_m1(x);
        L::select(x.gt(L::splat(0.0)), x, below)
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
        // NaN passes; with min above max everything becomes max.
        let x = L::select(x.lt(min), min, x);
        L::select(x.gt(max), max, x)
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
    /// normal density.
    #[track_caller]
    #[must_use]
    pub fn gelu(self) -> Var<'t> {
        self.unary(&Each(Gelu), Attrs::default())
    }

    /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`: PyTorch's
    /// `gelu(approximate="tanh")`.
    #[track_caller]
    #[must_use]
    pub fn gelu_tanh(self) -> Var<'t> {
        self.unary(&Each(GeluTanh), Attrs::default())
    }

    /// `ln(1 + eˣ)`, and `x` itself above 20, as PyTorch has it.
    /// Derivative: `sigmoid(x)`, and 1 above 20.
    #[track_caller]
    #[must_use]
    pub fn softplus(self) -> Var<'t> {
        self.unary(&Each(Softplus), Attrs::default())
    }

    /// `x` above 0, `alpha (eˣ - 1)` elsewhere (PyTorch's default alpha is 1).
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
    /// everything becomes `max`.
    ///
    /// Derivative: 1 strictly between the bounds, else 0 (so in PyTorch 2.15;
    /// in 1.13 it was 1 at a bound).
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
}
