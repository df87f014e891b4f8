//! Batch normalisation: each channel over a batch.

use super::Groups;
use crate::error::Error;
use crate::kernel::Lanes;
use crate::op::{Attrs, Backward, Forward, Op};
use crate::ops::exactly;
use crate::ops::loss::refuse;
use crate::ops::stretch::no_gradient;
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

/// PyTorch's `batch_norm`: `(x - mean) / √(var + eps) · weight + bias`, for each channel of
/// `[n, channels, …]`.
///
/// [`train`](Self::train) takes the mean and variance of the batch, [`eval`](Self::eval) the
/// running statistics, which are two constants of the tape. [`update`](Self::update), called once
/// for each forward pass, moves the running statistics towards those of the batch:
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
/// normalised values, and `g / √(var + eps)` in evaluation. None flow to the running statistics.
///
/// Each micro-batch of [`Tape::backward_over`](crate::Tape::backward_over) has its own
/// statistics, as in PyTorch when gradients are accumulated.
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
    /// A normalisation with these running statistics, two constants of `[channels]`, which in
    /// PyTorch start at 0 and 1. It has no weight and bias, a momentum of 0.1 and an `eps` of
    /// 1e-5.
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

    /// Sets the factors of the normalised values, `[channels]`.
    #[must_use]
    pub fn weight(mut self, weight: Var<'t>) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Sets the terms that are added after the factors, `[channels]`.
    #[must_use]
    pub fn bias(mut self, bias: Var<'t>) -> Self {
        self.bias = Some(bias);
        self
    }

    /// Sets the share of the batch's statistics in the new running statistics.
    #[must_use]
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }

    /// Sets `eps`, which is added to the variance, so that equal numbers give 0.
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

    /// Moves the running statistics `r` towards the statistics `s` of `x` as it is now, to
    /// `(1 - momentum) r + momentum s`. The variance in `s` is that of a sample, divided by one
    /// less than the number of values. The statistics are computed once more for this.
    ///
    /// Call it once for each forward pass in training, before the next replay. Results that
    /// were recorded from the running statistics are outdated afterwards, as after
    /// [`Tape::write`](crate::Tape::write).
    ///
    /// # Errors
    /// `x` is not `[n, channels, …]` with more than one value for each channel; statistics that
    /// are not `[channels]`, or are computed or borrowed; the error the tape keeps.
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

    /// Multiplies the normalised values by the weight and adds the bias.
    #[track_caller]
    fn affine(self, op: &'static dyn Op, y: Var<'t>) -> Var<'t> {
        let channels = [channels(&y.shape()).groups];
        for affine in [self.weight, self.bias].into_iter().flatten() {
            if affine.shape().dims() != channels {
                return refuse(op, y, affine, "expected a weight and bias of [channels]");
            }
        }
        // Channels are the second dimension: weight and bias broadcast over those behind it.
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

/// Normalises each channel by its own statistics. Words: `eps`.
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

/// Normalises each channel by given statistics. Operands: the tensor, means, variances.
/// Words: `eps`.
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

/// The factor that normalises distances from a channel's mean.
fn scale_by(var: &[f32], channel: usize, eps: f32) -> f32 {
    let var = var.get(channel).copied().unwrap_or(f32::NAN);
    1.0 / Lanes::sqrt(var + eps)
}
