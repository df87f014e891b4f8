//! Normalisation: of each row by itself, or of each channel over a batch.

use super::loss::refuse;
use super::stretch::no_gradient;
use super::{Args, Build, Entry, exactly, word};
use crate::error::Error;
use crate::kernel::{Lanes, sum_in_turn};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{MAX_RANK, Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("layer_norm_plain", |x, args| {
        let rank = x.shape().rank();
        let last = x.shape().dim(rank.saturating_sub(1));
        LayerNorm::new([last]).eps(args.c).of(x)
    })
    .with(EPS),
    Entry::new(
        "layer_norm",
        Build::Three(|x, w, b, args| {
            let norm = LayerNorm::new(w.shape()).weight(w).bias(b);
            norm.eps(args.c).of(x)
        }),
    )
    .of(AFFINE)
    .with(EPS),
    Entry::new(
        "batch_norm",
        Build::Three(|x, w, b, args| of_channels(x, w, b, args).train(x)),
    )
    .of(AFFINE)
    .with(EPS),
    Entry::new(
        "batch_norm_eval",
        Build::Three(|x, w, b, args| of_channels(x, w, b, args).eval(x)),
    )
    .of(AFFINE)
    .with(EPS),
];

const AFFINE: &[&[usize]] = &[&[4, 3], &[3], &[3]];

const EPS: Args = Args {
    c: 1e-3,
    ..Args::NONE
};

/// A normalisation to try, with statistics that differ from channel to channel.
fn of_channels<'t>(x: Var<'t>, w: Var<'t>, b: Var<'t>, args: &Args) -> BatchNorm<'t> {
    let (tape, shape) = (x.tape(), w.shape());
    let mean = tape.constant_from_fn(shape, |i| (i % 4) as f32 * 0.25 - 0.5);
    let var = tape.constant_from_fn(shape, |i| (i % 4) as f32 * 0.25 + 0.5);
    let norm = BatchNorm::new(mean, var).weight(w).bias(b);
    norm.eps(args.c)
}

/// Mean and variance of some numbers.
#[derive(Clone, Copy)]
struct Moments {
    /// The mean, rounded, and what the rounding took from it: so numbers far from 0, close to
    /// each other, are normalised as well as others.
    mean: f32,
    rest: f32,
    /// The mean squared distance from the mean, not divided by one less.
    variance: f32,
}

impl Moments {
    fn of(values: impl Iterator<Item = f32> + Clone, count: usize) -> Self {
        let n = count as f32;
        let mean = sum_in_turn(values.clone(), count) / n;
        let rest = sum_in_turn(values.clone().map(|x| x - mean), count) / n;
        let squares = values.map(|x| {
            let distance = (x - mean) - rest;
            distance * distance
        });
        Moments {
            mean,
            rest,
            variance: sum_in_turn(squares, count) / n,
        }
    }

    /// The factor of distances from the mean.
    fn scale(self, eps: f32) -> f32 {
        1.0 / Lanes::sqrt(self.variance + eps)
    }
}

/// Which elements are normalised together: a tensor as `[outer, groups, inner]`, of which each
/// index of the second is a group.
#[derive(Clone, Copy)]
struct Groups {
    outer: usize,
    groups: usize,
    inner: usize,
}

impl Groups {
    /// The number of elements in each.
    fn len(self) -> usize {
        self.outer.saturating_mul(self.inner)
    }

    /// The places of a group's elements.
    fn places(self, group: usize) -> impl Iterator<Item = usize> + Clone {
        (0..self.outer).flat_map(move |o| {
            let first = (o * self.groups + group) * self.inner;
            first..first + self.inner
        })
    }

    /// A group's elements.
    fn elements(self, x: &[f32], group: usize) -> impl Iterator<Item = f32> + Clone {
        self.places(group)
            .map(|place| x.get(place).copied().unwrap_or(f32::NAN))
    }

    fn moments(self, x: &[f32], group: usize) -> Moments {
        Moments::of(self.elements(x, group), self.len())
    }

    #[inline(never)]
    fn normalize(self, x: &[f32], eps: f32, out: &mut [f32]) {
        if out.is_empty() {
            return; // however large the other sizes are
        }
        for group in 0..self.groups {
            let moments = self.moments(x, group);
            let scale = moments.scale(eps);
            for (place, x) in self.places(group).zip(self.elements(x, group)) {
                if let Some(to) = out.get_mut(place) {
                    *to = ((x - moments.mean) - moments.rest) * scale;
                }
            }
        }
    }

    #[inline(never)]
    fn send(self, x: &[f32], y: &[f32], eps: f32, cx: &mut Backward<'_>) {
        let Some(grad) = cx.grad(0) else { return };
        if grad.operand.is_empty() {
            return;
        }
        let n = self.len() as f32;
        for group in 0..self.groups {
            let scale = self.moments(x, group).scale(eps);
            let gs = self.elements(grad.output, group);
            let both = gs.zip(self.elements(y, group));
            let mean = sum_in_turn(both.clone().map(|(g, _)| g), self.len()) / n;
            let along = sum_in_turn(both.clone().map(|(g, y)| g * y), self.len()) / n;
            for (place, (g, y)) in self.places(group).zip(both) {
                if let Some(to) = grad.operand.get_mut(place) {
                    grad.acc.put(to, ((g - mean) - y * along) * scale);
                }
            }
        }
    }
}

/// PyTorch's `layer_norm`: `(x - mean) / √(var + eps) · weight + bias`, of the last dimensions of
/// each sample by themselves. The variance is divided by the number of elements.
///
/// Gradient of `x`, with `y` the normalised: `(g - mean(g) - y mean(g y)) / √(var + eps)`, in
/// this order, so that an infinite `g` may give infinities where PyTorch's order gives NaN; those
/// of weights and bias are those of the product and the sum, of no samples -0.0.
///
/// A node for the normalisation, which takes no memory but the result's, and one each for weights
/// and bias if there are any. Sums are in the order of [`kernel::sum`](crate::kernel::sum). What
/// rounding takes from the mean is taken off as well, so that samples far from 0 lose nothing.
///
/// ```
/// use baregrad::ops::norm::LayerNorm;
/// # let mut arena = baregrad::Arena::<64, 8>::new();
/// # let tape = arena.tape();
/// let x = tape.input(&[1.0, 2.0, 3.0, 1001.0, 1002.0, 1003.0], [2, 3]);
/// let y = LayerNorm::new([3]).eps(0.0).of(x);
/// assert_eq!(y.value()?[..3], y.value()?[3..]);
/// assert!((y.value()?[2] - 1.5_f32.sqrt()).abs() < 1e-6);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'t> {
    shape: Shape,
    weight: Option<Var<'t>>,
    bias: Option<Var<'t>>,
    eps: f32,
}

impl<'t> LayerNorm<'t> {
    /// Normalises the last dimensions, which have this shape: PyTorch's `normalized_shape`. Without
    /// weights and bias, and with an `eps` of 1e-5.
    #[must_use]
    pub fn new(shape: impl Into<Shape>) -> Self {
        LayerNorm {
            shape: shape.into(),
            weight: None,
            bias: None,
            eps: 1e-5,
        }
    }

    /// Factors of the normalised, of the normalised shape.
    #[must_use]
    pub fn weight(mut self, weight: Var<'t>) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Terms that are added then, of the normalised shape.
    #[must_use]
    pub fn bias(mut self, bias: Var<'t>) -> Self {
        self.bias = Some(bias);
        self
    }

    /// Added to the variance, so that equal numbers give 0.
    #[must_use]
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Records the normalisation of `x`.
    ///
    /// The tape keeps an error if `x` does not end in the normalised shape, or weights and bias
    /// have another.
    #[track_caller]
    #[must_use]
    pub fn of(self, x: Var<'t>) -> Var<'t> {
        for affine in [self.weight, self.bias].into_iter().flatten() {
            if affine.shape() != self.shape {
                let why = "expected weights and bias of the normalised shape";
                return refuse(&NormalizeRows, x, affine, why);
            }
        }
        let mut words = [ABSENT; MAX_RANK];
        for (to, size) in words.iter_mut().zip(self.shape.dims()) {
            *to = word(*size).min(ABSENT - 1);
        }
        let attrs = Attrs {
            words,
            tag: self.eps.to_bits(),
        };
        let mut y = x.unary(&NormalizeRows, attrs);
        if let Some(weight) = self.weight {
            y = y * weight;
        }
        if let Some(bias) = self.bias {
            y = y + bias;
        }
        y
    }
}

/// A dimension that the normalised shape does not have.
const ABSENT: u32 = u32::MAX;

/// The last dimensions normalised. Words: their sizes. Tag: what is added to the variance.
#[derive(Debug)]
struct NormalizeRows;

impl NormalizeRows {
    fn rows(x: &Shape, attrs: &Attrs) -> Groups {
        let count = attrs.words.iter().filter(|size| **size != ABSENT).count();
        let (mut groups, mut inner) = (1_usize, 1_usize);
        for (axis, size) in x.dims().iter().enumerate() {
            let part = if axis + count < x.rank() {
                &mut groups
            } else {
                &mut inner
            };
            *part = part.saturating_mul(*size);
        }
        Groups {
            outer: 1,
            groups,
            inner,
        }
    }
}

impl Op for NormalizeRows {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        let count = attrs.words.iter().filter(|size| **size != ABSENT).count();
        if count == 0 {
            return Err(ShapeError::Other(
                "expected a normalised shape of at least one dimension",
            ));
        }
        let Some(front) = x.rank().checked_sub(count) else {
            return Err(ShapeError::TooFewDims { least: count });
        };
        let own = x.dims().iter().skip(front);
        if own.zip(attrs.words).any(|(own, size)| word(*own) != size) {
            return Err(ShapeError::Other(
                "expected a tensor that ends in the normalised shape",
            ));
        }
        Ok(*x)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let rows = Self::rows(&cx.operand_shape(0), cx.attrs());
        let eps = f32::from_bits(cx.attrs().tag);
        let ([x], out) = cx.split();
        rows.normalize(x, eps, out);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let rows = Self::rows(&cx.operand_shape(0), cx.attrs());
        let eps = f32::from_bits(cx.attrs().tag);
        rows.send(cx.operand(0), cx.output(), eps, cx);
    }
}

/// PyTorch's `batch_norm`: `(x - mean) / √(var + eps) · weight + bias`, of each channel of
/// `[n, channels, …]`.
///
/// [`train`](Self::train) takes mean and variance of the batch, [`eval`](Self::eval) the running
/// ones, two constants of the tape. [`update`](Self::update) moves those towards the batch's, once
/// for each forward pass:
///
/// ```
/// use baregrad::{ops::norm::BatchNorm, optim::Sgd};
/// # let mut arena = baregrad::Arena::<128, 32>::new();
/// # let tape = arena.tape();
/// let (w, b) = (tape.param(&[1.0], [1]), tape.param(&[0.0], [1]));
/// let (mean, var) = (tape.constant(&[0.0], [1]), tape.constant(&[1.0], [1]));
/// let norm = BatchNorm::new(mean, var).weight(w).bias(b);
/// let x = tape.input(&[2.0, 4.0, 6.0, 8.0], [4, 1]);
/// let y = tape.input(&[-1.0, -0.5, 0.5, 1.0], [4, 1]);
///
/// let loss = norm.train(x).mse(y);
/// let mut sgd = Sgd::new(0.1);
/// for _ in 0..100 {
///     tape.zero_grad();
///     tape.backward(loss)?;
///     norm.update(x)?; // before the replay, as the step
///     tape.step(&mut sgd)?;
///     tape.replay()?;
/// }
/// assert!((mean.item()? - 5.0).abs() < 1e-3); // of all samples
/// assert!((var.item()? - 20.0 / 3.0).abs() < 1e-3);
/// let one = tape.input(&[5.0], [1, 1]);
/// assert!(norm.eval(one).item()?.abs() < 1e-3); // one sample suffices
/// # Ok::<(), baregrad::Error>(())
/// ```
///
/// Gradients of `x`: `(g - mean(g) - y mean(g y)) / √(var + eps)` in training, with `y` the
/// normalised, and `g / √(var + eps)` otherwise. None flow to the running statistics.
///
/// Micro-batches, as those of [`Tape::backward_over`](crate::Tape::backward_over), each have
/// their own statistics, as PyTorch's have when gradients are accumulated.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'t> {
    mean: Var<'t>,
    var: Var<'t>,
    weight: Option<Var<'t>>,
    bias: Option<Var<'t>>,
    momentum: f32,
    eps: f32,
}

impl<'t> BatchNorm<'t> {
    /// With running statistics, two constants of `[channels]` that start at 0 and 1 in
    /// PyTorch. Without weights and bias, with a momentum of 0.1 and an `eps` of 1e-5.
    #[must_use]
    pub fn new(running_mean: Var<'t>, running_var: Var<'t>) -> Self {
        BatchNorm {
            mean: running_mean,
            var: running_var,
            weight: None,
            bias: None,
            momentum: 0.1,
            eps: 1e-5,
        }
    }

    /// Factors of the normalised, `[channels]`.
    #[must_use]
    pub fn weight(mut self, weight: Var<'t>) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Terms that are added then, `[channels]`.
    #[must_use]
    pub fn bias(mut self, bias: Var<'t>) -> Self {
        self.bias = Some(bias);
        self
    }

    /// The part of a batch's statistics in the next running ones.
    #[must_use]
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }

    /// Added to the variance, so that equal numbers give 0.
    #[must_use]
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Records the normalisation of `x` by its own statistics.
    ///
    /// The tape keeps an error if `x` is not `[n, channels, …]` with more than one value for
    /// each channel, or weights or bias are not `[channels]`.
    #[track_caller]
    #[must_use]
    pub fn train(self, x: Var<'t>) -> Var<'t> {
        let y = x.unary(&NormalizeChannels, Attrs::float(self.eps));
        self.affine(&NormalizeChannels, y)
    }

    /// Records the normalisation of `x` by the running statistics.
    ///
    /// The tape keeps an error if `x` is not `[n, channels, …]`, or statistics, weights or bias
    /// are not `[channels]`, or if the statistics are parameters.
    #[track_caller]
    #[must_use]
    pub fn eval(self, x: Var<'t>) -> Var<'t> {
        if self.mean.requires_grad() || self.var.requires_grad() {
            let why = "running statistics have no gradients: expected constants";
            return refuse(&NormalizeBy, self.mean, self.var, why);
        }
        let operands = [x, self.mean, self.var];
        let attrs = Attrs::float(self.eps);
        let y = x.tape().apply(&NormalizeBy, &operands, attrs);
        self.affine(&NormalizeBy, y)
    }

    /// Moves the running statistics towards those of `x`, as it is now: `r + momentum (s - r)`
    /// as `(1 - momentum) r + momentum s`, where the variance is that of a sample, divided by one
    /// less than the number of values. Computes the statistics once more.
    ///
    /// To be called once for each forward pass in training, between that and the next replay:
    /// what was recorded behind the statistics is outdated then, as by
    /// [`Tape::write`](crate::Tape::write).
    ///
    /// # Errors
    /// `x` is not `[n, channels, …]` with more than one value for each channel; statistics that
    /// are not `[channels]`, or computed or borrowed; the error the tape keeps.
    #[track_caller]
    pub fn update(&self, x: Var<'t>) -> Result<(), Error> {
        let tape = x.tape();
        let (x, momentum) = (tape.stamp(x), self.momentum);
        let statistics = [tape.stamp(self.mean), tape.stamp(self.var)];
        tape.leave("batch_norm", |state| {
            let shape = state.look(x)?.tensor.shape;
            let checked = NormalizeChannels.shape(&[shape], &mut Attrs::default());
            checked.map_err(|why| state.fail_shapes(why, &[shape]))?;
            let channels = channels(&shape);
            let [mean, var] = statistics;
            let [mean, var] = [state.leaf(mean)?, state.leaf(var)?];
            for leaf in [mean, var] {
                let own = state.shape_of(leaf);
                if own.dims() != [channels.groups] {
                    let why = ShapeError::Other(STATISTICS);
                    return Err(state.fail_shapes(why, &[shape, own]));
                }
            }
            let n = channels.len() as f32;
            for channel in 0..channels.groups {
                let moments = channels.moments(state.values(state.look(x)?), channel);
                let kept = 1.0 - momentum;
                let towards = |old: f32, new: f32| kept * old + momentum * new;
                let variance = moments.variance * (n / (n - 1.0));
                state.change(mean, channel, |old| {
                    towards(old, moments.mean + moments.rest)
                });
                state.change(var, channel, |old| towards(old, variance));
            }
            Ok(())
        })
    }

    /// The normalised, times the weights and plus the bias.
    #[track_caller]
    fn affine(self, op: &'static dyn Op, y: Var<'t>) -> Var<'t> {
        let channels = [channels(&y.shape()).groups];
        for affine in [self.weight, self.bias].into_iter().flatten() {
            if affine.shape().dims() != channels {
                return refuse(op, y, affine, "expected a weight and bias of [channels]");
            }
        }
        // Channels are the second dimension: those behind it are stretched.
        let stand = |mut affine: Var<'t>| {
            for _ in 2..y.shape().rank() {
                affine = affine.unsqueeze(-1);
            }
            affine
        };
        let y = self.weight.map_or(y, |weight| y * stand(weight));
        self.bias.map_or(y, |bias| y + stand(bias))
    }
}

const STATISTICS: &str = "expected running statistics of [channels]";

/// The channels of a tensor: its second dimension.
fn channels(x: &Shape) -> Groups {
    let [outer, groups, inner] = x.around(1);
    Groups {
        outer,
        groups,
        inner,
    }
}

/// Each channel normalised by its own statistics. Words: what is added to the variance.
#[derive(Debug)]
struct NormalizeChannels;

impl Op for NormalizeChannels {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        if x.rank() < 2 {
            return Err(ShapeError::TooFewDims { least: 2 });
        }
        let Groups { outer, inner, .. } = channels(x);
        if outer.saturating_mul(inner) == 1 {
            return Err(ShapeError::Other(
                "expected more than one value for each channel",
            ));
        }
        Ok(*x)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let (channels, eps) = (channels(&cx.operand_shape(0)), cx.attrs().x());
        let ([x], out) = cx.split();
        channels.normalize(x, eps, out);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (channels, eps) = (channels(&cx.operand_shape(0)), cx.attrs().x());
        channels.send(cx.operand(0), cx.output(), eps, cx);
    }
}

/// Each channel normalised by given statistics. Operands: the tensor, means, variances.
/// Words: what is added to the variance.
#[derive(Debug)]
struct NormalizeBy;

impl Op for NormalizeBy {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x, mean, var] = exactly(operands)?;
        if x.rank() < 2 {
            return Err(ShapeError::TooFewDims { least: 2 });
        }
        if mean.dims() != [x.dim(1)] || var.dims() != [x.dim(1)] {
            return Err(ShapeError::Other(STATISTICS));
        }
        Ok(*x)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let (channels, eps) = (channels(&cx.operand_shape(0)), cx.attrs().x());
        let ([x, mean, var], out) = cx.split();
        let Some(rows) = out.len().checked_div(channels.inner).filter(|n| *n > 0) else {
            return;
        };
        let rows = (0..rows).map(|row| row % channels.groups.max(1));
        let both = x.chunks(channels.inner.max(1));
        let both = both.zip(out.chunks_mut(channels.inner.max(1)));
        for ((x, out), channel) in both.zip(rows) {
            let (mean, scale) = (mean.get(channel), scale_by(var, channel, eps));
            let mean = mean.copied().unwrap_or(f32::NAN);
            for (to, x) in out.iter_mut().zip(x) {
                *to = (x - mean) * scale;
            }
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (channels, eps) = (channels(&cx.operand_shape(0)), cx.attrs().x());
        let var = cx.operand(2);
        if let Some(grad) = cx.grad(0) {
            let rows = grad.output.chunks(channels.inner.max(1));
            let rows = rows.zip(grad.operand.chunks_mut(channels.inner.max(1)));
            for (row, (g, to)) in rows.enumerate() {
                let scale = scale_by(var, row % channels.groups.max(1), eps);
                for (to, g) in to.iter_mut().zip(g) {
                    grad.acc.put(to, g * scale);
                }
            }
        }
        no_gradient(cx, 1);
        no_gradient(cx, 2);
    }
}

/// The factor of distances from a channel's mean.
fn scale_by(var: &[f32], channel: usize, eps: f32) -> f32 {
    let var = var.get(channel).copied().unwrap_or(f32::NAN);
    1.0 / Lanes::sqrt(var + eps)
}

/// Normalisations.
impl<'t> Var<'t> {
    /// Samples, each normalised by itself over the last dimensions, which `weight` and `bias`
    /// have: `(x - mean) / √(var + 1e-5) · weight + bias`. See [`LayerNorm`] for another
    /// `eps`, for neither weights nor bias, and for gradients.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<64, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 3.0, 10.0, 30.0], [2, 2]);
    /// let (w, b) = (tape.param(&[2.0, 2.0], [2]), tape.param(&[0.5, 0.5], [2]));
    /// let y = x.layer_norm(w, b);
    /// assert!((y.value()?[0] + 1.5).abs() < 1e-4);
    /// assert!((y.value()?[3] - 2.5).abs() < 1e-4);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn layer_norm(self, weight: Var<'t>, bias: Var<'t>) -> Var<'t> {
        let norm = LayerNorm::new(weight.shape());
        norm.weight(weight).bias(bias).of(self)
    }
}
