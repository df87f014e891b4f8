//! Piecewise activation functions, with PyTorch's derivatives where the pieces meet.

use crate::kernel::{Lanes, Mask, math};
use crate::op::Attrs;
use crate::ops::stretch::{Alike, stretched_as};
use crate::ops::{Binary, Each, Unary};
use crate::var::Var;

/// `x` itself, as an activation.
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
        // At 0 the result is `x` itself: 0 times alpha would be NaN for an infinite alpha, and
        // -0.0 for a negative one.
        L::select(x.lt(L::splat(0.0)), below, x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(alpha: &Attrs, x: L, _: L, g: L) -> L {
        let below = g * L::splat(alpha.x()) * math::exp(x);
        L::select(x.gt(L::splat(0.0)), g, below)
    }
}

/// `x` confined to a range. Words: the bounds. Tag: which bounds there are.
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
        // NaN in `x` or in a bound gives NaN; with min above max everything becomes max.
        let x = L::select(x.lt(min).or(min.is_nan()), min, x);
        L::select(x.gt(max).or(max.is_nan()), max, x)
    }
    #[inline(always)]
    fn backward<L: Lanes>(bounds: &Attrs, x: L, _: L, g: L) -> L {
        // A missing bound is not compared: the gradient of an infinite `x` passes, too.
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

/// The scale of Klambauer and others (2017).
const SELU_SCALE: f32 = 1.050_701;
/// The scale times their alpha.
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

/// `x` above 0, `weight x` elsewhere. The weight is the first operand.
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

/// Piecewise activation functions, element by element.
impl<'t> Var<'t> {
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

    /// `x` from 0 up, `alpha (eˣ - 1)` below (PyTorch's default alpha is 1).
    /// Derivative: 1 above 0, else `alpha eˣ`.
    #[track_caller]
    #[must_use]
    pub fn elu(self, alpha: f32) -> Var<'t> {
        self.unary(&Each(Elu), Attrs::float(alpha))
    }

    /// `x` confined to `min..=max`; `None` is no bound. If `min` is above `max`,
    /// everything becomes `max`; if a bound is NaN, everything becomes NaN.
    ///
    /// Derivative: 1 strictly between the bounds, else 0, also where `x` or a
    /// bound is NaN (as in PyTorch 2.15; in 1.13 it was 1 at a bound).
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

    /// `x` times [`hardsigmoid(x)`](Self::hardsigmoid), rounded as PyTorch's:
    /// `x min(max(x + 3, 0), 6) / 6`. Derivative: `x/3 + 1/2` between -3 and 3; 0 from
    /// -3 down, 1 from 3 up.
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

    /// `x` above 0, `weight x` elsewhere: [`leaky_relu`](Self::leaky_relu) with a slope that
    /// is learned. The weight is one number or, as in PyTorch, a number for each channel, that
    /// is, for each index of the second dimension of `x` (`[C]` for an `x` of `[N, C]` or
    /// `[N, C, L]`). For a vector `x`, it can be a number for each element. A weight of another
    /// shape than `x` takes up to two more nodes.
    ///
    /// Derivatives: with respect to `x`, 1 above 0, else `weight`; with respect to the weight, 0
    /// above 0, else `x`.
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
        // Dimensions of 1 behind the channels let them broadcast over a channel's elements.
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
