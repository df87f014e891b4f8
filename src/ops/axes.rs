//! Reductions over any number of dimensions, and those that are no plain sums: variances, norms,
//! products, logarithms of sums of exponentials; and cumulative sums.
//!
//! A reduction says how the numbers of one group become one, and what each gets of its gradient
//! (`Reduction`). Sums and largest elements of neighbouring dimensions run in vectors, as those
//! of one dimension do; all others one number at a time.

use super::{Args, Entry, exactly, pack_axis, unpack_axis};
use crate::kernel::groups::{Group, Layout, cumulative_sums};
use crate::kernel::{self, Acc, Ties, math};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{MAX_RANK, Shape, ShapeError};
use crate::var::Var;

/// Two dimensions with one between them.
const APART: Args = Args {
    axes: [0, -1, 0, 0],
    axes_len: 2,
    ..Args::NONE
};
const CUBE: &[&[usize]] = &[&[2, 3, 2]];

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("sum_axes", |x, args| x.sum_axes(args.axes(), args.keepdim))
        .of(CUBE)
        .with(APART),
    Entry::each("mean_axes", |x, args| {
        x.mean_axes(args.axes(), args.keepdim)
    })
    .of(CUBE)
    .with(APART),
    Entry::each("amax_axes", |x, args| {
        x.amax_axes(args.axes(), args.keepdim)
    })
    .of(CUBE)
    .with(APART),
    Entry::each("amin_axes", |x, args| {
        x.amin_axes(args.axes(), args.keepdim)
    })
    .of(CUBE)
    .with(APART),
    Entry::each("var", |x, args| {
        x.var_axes(args.axes(), args.correction, args.keepdim)
    }),
    Entry::each("std", |x, args| {
        x.std_axes(args.axes(), args.correction, args.keepdim)
    })
    .of(CUBE)
    .with(APART),
    Entry::each("norm", |x, args| {
        x.norm_axes(args.p, args.axes(), args.keepdim)
    })
    .with(Args {
        p: 2.0,
        ..Args::NONE
    }),
    Entry::each("logsumexp", |x, args| {
        x.logsumexp(args.axes(), args.keepdim)
    })
    .with(Args {
        axis: Some(-1),
        ..Args::NONE
    }),
    Entry::each("prod", |x, args| x.prod_axes(args.axes(), args.keepdim)).with(Args {
        axis: Some(0),
        ..Args::NONE
    }),
    Entry::each("cumsum", |x, args| x.cumsum(args.axis.unwrap_or(0))),
];

/// A reduction of the numbers of a group to one. `word` is what the method was given.
trait Reduction: Sync {
    const NAME: &'static str;
    /// Whether a group must have numbers.
    const NEEDS_SOME: bool = false;
    fn forward(word: f32, xs: &Group<'_>) -> f32;
    /// The gradients of the numbers, from that of the result, `y`.
    fn backward(word: f32, xs: &Group<'_>, y: f32, g: f32, to: To<'_>);
    /// `forward` of a tensor whose reduced dimensions are neighbours, if there is a faster way.
    fn in_vectors(_: &[f32], _: [usize; 3], _: &mut [f32]) -> bool {
        false
    }
    /// The same of `backward`, from the operand, the result and its gradient.
    fn in_vectors_backward(_: [&[f32]; 3], _: [usize; 3], _: To<'_>) -> bool {
        false
    }
}

/// Where gradients go.
struct To<'g> {
    grad: &'g mut [f32],
    acc: Acc,
}

impl To<'_> {
    /// To each number of a group what `f` says of it.
    fn each(self, xs: &Group<'_>, f: impl Fn(f32) -> f32) {
        xs.put(self.grad, self.acc, f);
    }
}

// Tag: which dimensions, counted from the front, by their bits; and
const AXES: u32 = 15;
const KEEPDIM: u32 = 16;
/// The words hold an axis that does not exist,
const NO_AXIS: u32 = 32;
/// or an axis was given twice.
const TWICE: u32 = 64;

/// Attributes for dimensions of `shape`; all of them if none is given, as in PyTorch.
fn over(shape: &Shape, axes: &[isize], keepdim: bool, word: f32) -> Attrs {
    let mut attrs = Attrs::float(word);
    attrs.tag = if keepdim { KEEPDIM } else { 0 };
    for axis in axes {
        match shape.axis(*axis) {
            Ok(axis) if attrs.tag >> axis & 1 == 1 => attrs.tag |= TWICE,
            Ok(axis) => attrs.tag |= 1 << axis,
            Err(_) => {
                let [a, b, c] = pack_axis(*axis);
                attrs.words = [a, b, c, 0];
                attrs.tag |= NO_AXIS;
                break;
            }
        }
    }
    if axes.is_empty() {
        attrs.tag |= AXES;
    }
    attrs
}

/// Makes an [`Op`] of a [`Reduction`].
struct Over<R>(R);

impl<R: Reduction> Op for Over<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        let [a, b, c, _] = attrs.words;
        if attrs.tag & NO_AXIS != 0 {
            x.axis(unpack_axis([a, b, c]))?;
        }
        if attrs.tag & TWICE != 0 {
            return Err(ShapeError::Other("an axis is given twice"));
        }
        if R::NEEDS_SOME && Layout::new(x, attrs.tag & AXES).len() == 0 {
            return Err(ShapeError::Empty);
        }
        let mut shape = *x;
        for axis in (0..MAX_RANK).rev() {
            if attrs.tag >> axis & 1 == 1 {
                shape = if attrs.tag & KEEPDIM != 0 {
                    shape.with_dim(axis, 1)
                } else {
                    shape.without(axis)
                };
            }
        }
        Ok(shape)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let attrs = cx.attrs();
        let layout = Layout::new(&cx.operand_shape(0), attrs.tag & AXES);
        let ([x], out) = cx.split();
        if let Some(sizes) = layout.around()
            && R::in_vectors(x, sizes, out)
        {
            return;
        }
        for (out, xs) in out.iter_mut().zip(layout.groups(x)) {
            *out = R::forward(attrs.x(), &xs);
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let attrs = cx.attrs();
        let layout = Layout::new(&cx.operand_shape(0), attrs.tag & AXES);
        let (x, y) = (cx.operand(0), cx.output());
        let Some(to) = cx.grad(0) else { return };
        let (g, grad, acc) = (to.output, to.operand, to.acc);
        if let Some(sizes) = layout.around()
            && R::in_vectors_backward([x, y, g], sizes, To { grad, acc })
        {
            return;
        }
        for ((y, g), xs) in y.iter().zip(g).zip(layout.groups(x)) {
            R::backward(attrs.x(), &xs, *y, *g, To { grad, acc });
        }
    }
}

/// A sum, or with `MEAN` a mean.
struct SumOver<const MEAN: bool>;

impl<const MEAN: bool> SumOver<MEAN> {
    fn divisor(len: usize) -> f32 {
        if MEAN { len as f32 } else { 1.0 }
    }
}

impl<const MEAN: bool> Reduction for SumOver<MEAN> {
    const NAME: &'static str = if MEAN { "mean" } else { "sum" };
    fn forward(_: f32, xs: &Group<'_>) -> f32 {
        // A sum of nothing, and of nothing but -0.0, is -0.0: in PyTorch 0.
        (xs.sum_of(|x| x) + 0.0) / Self::divisor(xs.len())
    }
    fn backward(_: f32, xs: &Group<'_>, _: f32, g: f32, to: To<'_>) {
        let g = g / Self::divisor(xs.len());
        to.each(xs, |_| g);
    }
    fn in_vectors(x: &[f32], sizes: [usize; 3], out: &mut [f32]) -> bool {
        kernel::sum_axis(x, sizes, out);
        let n = Self::divisor(sizes[1]);
        out.iter_mut().for_each(|sum| *sum = (*sum + 0.0) / n);
        true
    }
    fn in_vectors_backward([_, _, g]: [&[f32]; 3], sizes: [usize; 3], to: To<'_>) -> bool {
        kernel::spread(g, Self::divisor(sizes[1]), sizes, to.grad, to.acc);
        true
    }
}

/// The largest number, or with `MIN` the smallest.
struct ExtremeOver<const MIN: bool>;

impl<const MIN: bool> Reduction for ExtremeOver<MIN> {
    const NAME: &'static str = if MIN { "amin" } else { "amax" };
    const NEEDS_SOME: bool = true;
    fn forward(_: f32, xs: &Group<'_>) -> f32 {
        if MIN {
            -xs.max_of(|x| -x)
        } else {
            xs.max_of(|x| x)
        }
    }
    fn backward(_: f32, xs: &Group<'_>, y: f32, g: f32, to: To<'_>) {
        // As [`Ties::Scaled`].
        let ties = xs.iter().filter(|x| *x == y).count() as f32;
        let (tied, other) = (g / ties, g * 0.0 / ties);
        to.each(xs, |x| if x == y { tied } else { other });
    }
    fn in_vectors(x: &[f32], sizes: [usize; 3], out: &mut [f32]) -> bool {
        if MIN {
            kernel::min_axis(x, sizes, out);
        } else {
            kernel::max_axis(x, sizes, out);
        }
        true
    }
    fn in_vectors_backward([x, y, g]: [&[f32]; 3], sizes: [usize; 3], to: To<'_>) -> bool {
        kernel::send_to_extremes(x, y, g, sizes, Ties::Scaled, to.grad, to.acc);
        true
    }
}

/// Mean and sum of squared deviations of a group's numbers, all times `scale`, a power of two
/// that brings the largest near 1: nothing overflows, and no square vanishes.
struct Moments {
    scale: f32,
    /// The mean, and what it is short of.
    mean: f32,
    rest: f32,
    squares: f32,
}

impl Moments {
    fn of(xs: &Group<'_>) -> Self {
        let (n, largest) = (xs.len() as f32, xs.max_of(f32::abs));
        if !largest.is_finite() {
            let mean = xs.sum_of(|x| x) / n;
            return Moments {
                scale: 1.0,
                mean,
                rest: 0.0,
                squares: f32::NAN,
            };
        }
        let exponent = (largest.to_bits() >> 23).clamp(1, 253);
        let scale = f32::from_bits((254 - exponent) << 23);
        // From the first number, so that equal ones have exactly their own mean.
        let first = xs.iter().next().unwrap_or(0.0) * scale;
        let mean = first + xs.sum_of(|x| x * scale - first) / n;
        // Plus 0, so that it takes no sign from a zero.
        let rest = xs.sum_of(|x| x * scale - mean) / n + 0.0;
        let squares = xs.sum_of(|x| {
            let deviation = (x * scale - mean) - rest;
            deviation * deviation
        });
        Moments {
            scale,
            mean,
            rest,
            squares: squares + 0.0,
        }
    }

    /// The deviation from the mean, scaled.
    fn deviation(&self, x: f32) -> f32 {
        (x * self.scale - self.mean) - self.rest
    }

    /// The variance, scaled twice; infinite or NaN without degrees of freedom.
    fn variance(&self, degrees: f32) -> f32 {
        self.squares / if degrees > 0.0 { degrees } else { 0.0 }
    }
}

/// The variance.
struct VarOver;

impl Reduction for VarOver {
    const NAME: &'static str = "var";
    fn forward(correction: f32, xs: &Group<'_>) -> f32 {
        let moments = Moments::of(xs);
        let variance = moments.variance(xs.len() as f32 - correction);
        variance / moments.scale / moments.scale
    }
    fn backward(correction: f32, xs: &Group<'_>, _: f32, g: f32, to: To<'_>) {
        let moments = Moments::of(xs);
        let g = 2.0 / (xs.len() as f32 - correction) * g;
        to.each(xs, |x| g * (moments.deviation(x) / moments.scale));
    }
}

/// The standard deviation.
struct StdOver;

impl Reduction for StdOver {
    const NAME: &'static str = "std";
    fn forward(correction: f32, xs: &Group<'_>) -> f32 {
        let moments = Moments::of(xs);
        let variance = moments.variance(xs.len() as f32 - correction);
        square_root(variance) / moments.scale
    }
    fn backward(correction: f32, xs: &Group<'_>, y: f32, g: f32, to: To<'_>) {
        let moments = Moments::of(xs);
        if y == 0.0 {
            return to.each(xs, |x| 0.0 * moments.deviation(x));
        }
        let degrees = xs.len() as f32 - correction;
        let std = square_root(moments.variance(degrees));
        let g = g / degrees;
        to.each(xs, |x| g * (moments.deviation(x) / std));
    }
}

/// The square root for the target, correctly rounded.
fn square_root(x: f32) -> f32 {
    kernel::Lanes::sqrt(x)
}

/// The norm of an order.
struct NormOver;

impl Reduction for NormOver {
    const NAME: &'static str = "norm";
    fn forward(p: f32, xs: &Group<'_>) -> f32 {
        if p == f32::INFINITY {
            let max = xs.max_of(f32::abs);
            if max < 0.0 { 0.0 } else { max }
        } else if p == f32::NEG_INFINITY {
            -xs.max_of(|x| -x.abs())
        } else if p == 0.0 {
            xs.iter().filter(|x| *x != 0.0).count() as f32
        } else if p == 1.0 {
            xs.sum_of(f32::abs) + 0.0
        } else if p == 2.0 {
            square_root(xs.sum_of(|x| x * x) + 0.0)
        } else {
            math::pow(xs.sum_of(|x| math::pow(x.abs(), p)) + 0.0, 1.0 / p)
        }
    }
    fn backward(p: f32, xs: &Group<'_>, y: f32, g: f32, to: To<'_>) {
        if p.is_infinite() {
            let is_extreme = |x: f32| x.abs() == y || x.is_nan() && y.is_nan();
            let g = g / xs.iter().filter(|x| is_extreme(*x)).count() as f32;
            to.each(xs, |x| {
                let one_if = if is_extreme(x) { 1.0 } else { 0.0 };
                sign(x) * one_if * g
            });
        } else if p == 0.0 {
            to.each(xs, |_| 0.0);
        } else if p == 1.0 {
            to.each(xs, |x| sign(x) * g);
        } else if p == 2.0 {
            to.each(xs, |x| g * if y == 0.0 { 0.0 } else { x / y });
        } else if p < 1.0 {
            let g = g * math::pow(y, 1.0 - p);
            to.each(xs, |x| {
                let slope = sign(x) * math::pow(x.abs(), p - 1.0);
                g * if x == 0.0 { 0.0 } else { slope }
            });
        } else {
            let g = g / math::pow(y, p - 1.0);
            let g = if y == 0.0 { 0.0 } else { g };
            to.each(xs, |x| {
                let slope = if p < 2.0 {
                    sign(x) * math::pow(x.abs(), p - 1.0)
                } else {
                    x * math::pow(x.abs(), p - 2.0)
                };
                slope * g
            });
        }
    }
}

/// As [`Sign`](super::math::Sign).
fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

/// The logarithm of the sum of exponentials.
struct LogSumExp;

impl Reduction for LogSumExp {
    const NAME: &'static str = "logsumexp";
    fn forward(_: f32, xs: &Group<'_>) -> f32 {
        let max = xs.max_of(|x| x);
        if !max.is_finite() {
            return max;
        }
        // One of the largest has an exponential of 1, which is left to `ln_1p`.
        let mut largest = xs.iter().map(|x| x == max);
        let first = largest.position(|is| is);
        let terms = xs.iter().enumerate().map(|(i, x)| {
            if Some(i) == first {
                0.0
            } else {
                math::exp(x - max)
            }
        });
        max + math::ln_1p(kernel::sum_in_turn(terms, xs.len()))
    }
    fn backward(_: f32, xs: &Group<'_>, y: f32, g: f32, to: To<'_>) {
        to.each(xs, |x| g * math::exp(x - y));
    }
}

/// A product of finite numbers other than 0, as a number and what it is short of, times a power
/// of two: nothing overflows or vanishes on the way. Others are counted.
#[derive(Clone, Copy)]
struct Factors {
    number: f32,
    rest: f32,
    exponent: i32,
    negative: bool,
    zeros: usize,
    infinities: usize,
    nans: usize,
}

impl Factors {
    fn of(xs: &Group<'_>) -> Self {
        let mut all = Factors {
            number: 1.0,
            rest: 0.0,
            exponent: 0,
            negative: false,
            zeros: 0,
            infinities: 0,
            nans: 0,
        };
        for x in xs.iter() {
            all.negative ^= x.is_sign_negative();
            match Factors::kind(x) {
                Kind::Nan => all.nans += 1,
                Kind::Infinite => all.infinities += 1,
                Kind::Zero => all.zeros += 1,
                Kind::Finite(part, exponent) => all.multiply(part, exponent),
            }
        }
        all
    }

    fn kind(x: f32) -> Kind {
        let a = x.abs();
        if a == 0.0 {
            Kind::Zero
        } else if a < f32::INFINITY {
            let subnormal = a < f32::MIN_POSITIVE;
            let bits = if subnormal { a * 8_388_608.0 } else { a }.to_bits();
            let bias = if subnormal { 150 } else { 127 };
            let part = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000);
            Kind::Finite(part, (bits >> 23) as i32 - bias)
        } else if a.is_nan() {
            Kind::Nan
        } else {
            Kind::Infinite
        }
    }

    /// Multiplies by a number from 1 to 2 times a power of two.
    fn multiply(&mut self, part: f32, exponent: i32) {
        let product = self.number * part;
        // Halves of 12 bits, whose products are exact.
        let half = |x: f32| f32::from_bits(x.to_bits() & 0xffff_f000);
        let (a, b) = (half(self.number), half(part));
        let (a_rest, b_rest) = (self.number - a, part - b);
        let lost = ((a * b - product) + a * b_rest + a_rest * b) + a_rest * b_rest;
        let rest = self.rest * part + lost;
        let halve = product >= 2.0;
        let by = if halve { 0.5 } else { 1.0 };
        (self.number, self.rest) = (product * by, rest * by);
        self.exponent = self.exponent.saturating_add(exponent + i32::from(halve));
    }

    /// The product of all.
    fn product(&self) -> f32 {
        self.signed(
            self.negative,
            [self.zeros, self.infinities, self.nans],
            || times_power_of_two(self.number + self.rest, self.exponent),
        )
    }

    /// The product of all but one of them.
    fn product_without(&self, x: f32) -> f32 {
        let [mut zeros, mut infinities, mut nans] = [self.zeros, self.infinities, self.nans];
        let mut finite = (1.0, 0);
        match Factors::kind(x) {
            Kind::Zero => zeros = zeros.saturating_sub(1),
            Kind::Infinite => infinities = infinities.saturating_sub(1),
            Kind::Nan => nans = nans.saturating_sub(1),
            Kind::Finite(part, exponent) => finite = (part, exponent),
        }
        let negative = self.negative ^ x.is_sign_negative();
        self.signed(negative, [zeros, infinities, nans], || {
            let exponent = self.exponent.saturating_sub(finite.1);
            times_power_of_two((self.number + self.rest) / finite.0, exponent)
        })
    }

    fn signed(
        &self,
        negative: bool,
        [zeros, infinities, nans]: [usize; 3],
        finite: impl Fn() -> f32,
    ) -> f32 {
        let magnitude = match (zeros, infinities, nans) {
            (0, 0, 0) => finite(),
            (0, _, 0) => f32::INFINITY,
            (_, 0, 0) => 0.0,
            _ => f32::NAN,
        };
        if negative { -magnitude } else { magnitude }
    }
}

enum Kind {
    Zero,
    Infinite,
    Nan,
    /// From 1 to 2, and the exponent of the power of two that it is multiplied by.
    Finite(f32, i32),
}

/// x times 2^n for x from 1/2 to 4, rounded once.
fn times_power_of_two(x: f32, n: i32) -> f32 {
    // Beyond these it is infinite, or 0.
    let n = n.clamp(-200, 200);
    let first = n / 2;
    let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
    x * power(first) * power(n - first)
}

/// The product.
struct ProdOver;

impl Reduction for ProdOver {
    const NAME: &'static str = "prod";
    fn forward(_: f32, xs: &Group<'_>) -> f32 {
        Factors::of(xs).product()
    }
    fn backward(whole: f32, xs: &Group<'_>, _: f32, g: f32, to: To<'_>) {
        let all = Factors::of(xs);
        // As PyTorch has it of a whole tensor: with several zeros nothing is multiplied by `g`,
        // and without zeros the gradient is that of a quotient, of the product by the element.
        let whole = whole == 1.0;
        if whole && all.zeros > 1 {
            return to.each(xs, |_| 0.0);
        }
        to.each(xs, |x| {
            if whole && all.zeros == 0 && (all.nans > 0 || x.is_infinite()) {
                f32::NAN
            } else {
                g * all.product_without(x)
            }
        });
    }
}

/// Cumulative sums. Words: the tensor as `[outer, axis, inner]`; the axis, as given.
#[derive(Clone, Copy, Debug)]
pub struct CumSum;

impl Op for CumSum {
    fn name(&self) -> &'static str {
        "cumsum"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        let [low, high, _, word] = attrs.words;
        let [outer, len, inner] = x.around(x.axis(unpack_axis([word, low, high]))?);
        attrs.words = [outer as u32, len as u32, inner as u32, word];
        Ok(*x)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let [outer, len, inner, _] = cx.attrs().sizes();
        let ([x], out) = cx.split();
        cumulative_sums::<false>(x, [outer, len, inner], out, Acc::Set);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let [outer, len, inner, _] = cx.attrs().sizes();
        if let Some(to) = cx.grad(0) {
            cumulative_sums::<true>(to.output, [outer, len, inner], to.operand, to.acc);
        }
    }
}

/// Reductions over dimensions, which are counted from the back if negative; over all of them if
/// none is given. With `keepdim` they stay, of size 1. Their sums have the order of
/// [`sum_axis`](kernel::sum_axis) if the dimensions are neighbours, else that of
/// [`sum`](kernel::sum); those of variances, norms, products and exponentials always the
/// latter.
impl<'t> Var<'t> {
    #[track_caller]
    fn over<R: Reduction>(
        self,
        op: &'static Over<R>,
        word: f32,
        axes: &[isize],
        keepdim: bool,
    ) -> Var<'t> {
        self.unary(op, over(&self.shape(), axes, keepdim, word))
    }

    /// Sums over several dimensions. Gradient: `g`, repeated.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [2, 2, 2]);
    /// assert_eq!(*x.sum_axes(&[0, -1], false).value()?, [14.0, 22.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn sum_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        self.over(&Over(SumOver::<false>), 0.0, axes, keepdim)
    }

    /// Means over several dimensions: sums, divided once. Gradient: `g / n`, repeated.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [2, 2, 2]);
    /// assert_eq!(*x.mean_axes(&[0, 2], false).value()?, [3.5, 5.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn mean_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        self.over(&Over(SumOver::<true>), 0.0, axes, keepdim)
    }

    /// The largest elements over several dimensions, with the gradient of
    /// [`amax`](Self::amax), shared by all ties.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0, 8.0, 3.0, 4.0, 5.0, 8.0], [2, 3]);
    /// let largest = x.amax_axes(&[0, 1], false);
    /// tape.backward(largest)?;
    /// assert_eq!(largest.item()?, 8.0);
    /// assert_eq!(*x.grad()?, [0.0, 0.5, 0.0, 0.0, 0.0, 0.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn amax_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        self.over(&Over(ExtremeOver::<false>), 0.0, axes, keepdim)
    }

    /// The smallest elements over several dimensions, with the gradient of
    /// [`amax`](Self::amax), shared by all ties.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 8.0, 3.0, 4.0, 5.0, 8.0], [1, 2, 3]);
    /// assert_eq!(*x.amin_axes(&[0, 2], false).value()?, [1.0, 4.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn amin_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        self.over(&Over(ExtremeOver::<true>), 0.0, axes, keepdim)
    }

    /// The variance of all elements: the sum of squared deviations from their mean, divided
    /// by their number less `correction` (1, as is PyTorch's default, for that of what they
    /// are a sample of; 0 for their own). NaN or infinite if nothing is left to divide by.
    ///
    /// Exactly 0 for equal elements, as is then the gradient; nothing overflows on the way.
    /// (PyTorch's mean, and with it the variance of ten times 0.1, is off by a rounding.)
    /// Gradient: `2 (x - mean) / (n - correction)`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0, 2.0, 3.0, 4.0], [4]);
    /// let variance = x.var(0.0);
    /// tape.backward(variance)?;
    /// assert_eq!(variance.item()?, 1.25);
    /// assert_eq!(*x.grad()?, [-0.75, -0.25, 0.25, 0.75]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn var(self, correction: f32) -> Var<'t> {
        self.var_axes(&[], correction, false)
    }

    /// Variances over dimensions; see [`var`](Self::var).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 3.0, 5.0, 5.0], [2, 2]);
    /// assert_eq!(*x.var_axes(&[1], 1.0, false).value()?, [2.0, 0.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn var_axes(self, axes: &[isize], correction: f32, keepdim: bool) -> Var<'t> {
        self.over(&Over(VarOver), correction, axes, keepdim)
    }

    /// The standard deviation of all elements, the square root of [`var`](Self::var).
    ///
    /// Gradient: `(x - mean) / (y (n - correction))`, and 0 where `y` is 0: for equal elements,
    /// as in PyTorch where that finds them equal.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[0.1; 10], [10]);
    /// let std = x.std(1.0);
    /// tape.backward(std)?;
    /// assert_eq!(std.item()?, 0.0);
    /// assert_eq!(*x.grad()?, [0.0; 10]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn std(self, correction: f32) -> Var<'t> {
        self.std_axes(&[], correction, false)
    }

    /// Standard deviations over dimensions; see [`std`](Self::std).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 3.0, 5.0, 5.0], [2, 2]);
    /// assert_eq!(*x.std_axes(&[-1], 0.0, true).value()?, [1.0, 0.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn std_axes(self, axes: &[isize], correction: f32, keepdim: bool) -> Var<'t> {
        self.over(&Over(StdOver), correction, axes, keepdim)
    }

    /// The norm of order `p` of all elements: `(Σ |x|ᵖ)^(1/p)`; of order infinity the largest
    /// magnitude, of -infinity the smallest, of 0 the number of elements other than 0. It
    /// overflows, and vanishes, where the sum of powers does, as in PyTorch.
    ///
    /// Gradient for 2: `x / y`, and 0 where `y` is 0; for 1 the [sign](Self::sign); for infinite
    /// `p` shared by all ties; otherwise `sign(x) (|x| / y)^(p - 1)`, 0 where `y` is 0, and for
    /// `p` below 1 where `x` is.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[3.0, -4.0], [2]);
    /// let norm = x.norm(2.0);
    /// tape.backward(norm)?;
    /// assert_eq!(norm.item()?, 5.0);
    /// assert_eq!(*x.grad()?, [0.6, -0.8]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn norm(self, p: f32) -> Var<'t> {
        self.norm_axes(p, &[], false)
    }

    /// Norms over dimensions; see [`norm`](Self::norm).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[3.0, -4.0, 0.0, 1.0], [2, 2]);
    /// assert_eq!(*x.norm_axes(1.0, &[1], false).value()?, [7.0, 1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn norm_axes(self, p: f32, axes: &[isize], keepdim: bool) -> Var<'t> {
        self.over(&Over(NormOver), p, axes, keepdim)
    }

    /// `ln Σ eˣ` over dimensions, which neither overflows nor loses what is added to the largest
    /// element; infinite as that is.
    ///
    /// Gradient: `eˣ⁻ʸ`, the softmax; NaN at infinite elements of an infinite result.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1000.0, 1000.0, 0.0, -1000.0], [2, 2]);
    /// let y = x.logsumexp(&[-1], false);
    /// assert_eq!(*y.value()?, [1000.0 + core::f32::consts::LN_2, 0.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn logsumexp(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        self.over(&Over(LogSumExp), 0.0, axes, keepdim)
    }

    /// The product of all elements; 1 if there are none. Rounded once, however many there are,
    /// and without overflow on the way: `1e30 * 1e30 * 1e-30` is 1e30, where PyTorch, depending
    /// on the order, has infinity.
    ///
    /// Gradient: the product of all others, also where elements are 0; NaN at an infinite
    /// element of a product that is infinite, as in PyTorch.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[2.0, 0.0, 5.0], [3]);
    /// let product = x.prod();
    /// tape.backward(product)?;
    /// assert_eq!(product.item()?, 0.0);
    /// assert_eq!(*x.grad()?, [0.0, 10.0, 0.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn prod(self) -> Var<'t> {
        self.prod_axes(&[], false)
    }

    /// Products over dimensions; see [`prod`](Self::prod). The gradient is always the product of
    /// all others, at infinite elements, too, as PyTorch's if there is a zero anywhere in `x`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[2.0, 3.0, 4.0, 5.0], [2, 2]);
    /// assert_eq!(*x.prod_axes(&[0], false).value()?, [8.0, 15.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn prod_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        let whole = if axes.is_empty() { 1.0 } else { 0.0 };
        self.over(&Over(ProdOver), whole, axes, keepdim)
    }

    /// Sums along `axis` of all elements up to each, that included. Each sum hands on what
    /// rounding took from it, so that errors do not grow along the way.
    ///
    /// Gradient: the cumulative sums of `g` from the end.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0, 2.0, 3.0], [3]);
    /// let sums = x.cumsum(0);
    /// tape.backward(sums.sum())?;
    /// assert_eq!(*sums.value()?, [1.0, 3.0, 6.0]);
    /// assert_eq!(*x.grad()?, [3.0, 2.0, 1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn cumsum(self, axis: isize) -> Var<'t> {
        let [axis, low, high] = pack_axis(axis);
        let attrs = Attrs {
            words: [low, high, 0, axis],
            tag: 0,
        };
        self.unary(&CumSum, attrs)
    }
}
