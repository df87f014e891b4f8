//! A function as one operation of a tape: its predictions, or their loss.

use core::marker::PhantomData;

use super::samples::{self, PerSample, Samples, Sums, Terms};
use super::{Function, Jet, straight};
use crate::kernel::{Acc, Lanes, Level};
use crate::op::{Attrs, Backward, Forward, Op, PassGrad};
use crate::ops::loss::{Loss, refuse};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

/// Wraps any [`Loss`] so that gradients also flow to inputs and targets that need them: those
/// that are trained, or depend on trained parameters.
///
/// ```
/// use baregrad::function::{DataGrads, Function, Squared, models::Line};
/// # let mut arena = baregrad::Arena::<32, 8>::new();
/// # let tape = arena.tape();
/// let x = tape.param(&[1.0, 2.0], [2]);
/// let (p, target) = (tape.input(&[3.0, 1.0], [2]), tape.input(&[5.0, 7.0], [2]));
/// let loss = Line::mean_loss(DataGrads(Squared), x, p, target);
/// tape.backward(loss)?;
/// assert_eq!(*x.grad()?, [-3.0, 0.0]); // 2 (p(x) - target) 3 / 2
/// # Ok::<(), baregrad::Error>(())
/// ```
///
/// It is a type of its own so that firmware that trains parameters only does not link these
/// gradients, which saves 508 bytes of flash and 27 instructions an epoch on a Cortex-M4F.
#[derive(Clone, Copy, Debug, Default)]
pub struct DataGrads<Q>(pub Q);

impl<Q: Loss> Loss for DataGrads<Q> {
    const NAME: &'static str = Q::NAME;
    const SHORT: usize = Q::SHORT;
    const FACTOR: f32 = Q::FACTOR;
    const DATA_GRADS: bool = true;
    const MEAN_BY_WEIGHTS: bool = Q::MEAN_BY_WEIGHTS;
    #[inline(always)]
    fn of<L: Lanes>(self, prediction: L, target: L) -> L {
        self.0.of(prediction, target)
    }
    #[inline(always)]
    fn slope<L: Lanes>(self, prediction: L, target: L) -> L {
        self.0.slope(prediction, target)
    }
    #[inline(always)]
    fn slope_of_target<L: Lanes>(self, prediction: L, target: L) -> L {
        self.0.slope_of_target(prediction, target)
    }
    #[inline(always)]
    fn pack(self) -> Attrs {
        self.0.pack()
    }
    #[inline(always)]
    fn unpack(attrs: &Attrs) -> Self {
        DataGrads(Q::unpack(attrs))
    }
    #[inline(always)]
    fn check(self) -> Result<(), ShapeError> {
        self.0.check()
    }
}

/// The predictions of a function for samples: operands `x` and `p`.
pub(super) struct Predictions<F, const X: usize, const P: usize>(PhantomData<fn() -> F>);

/// The mean of a loss over samples: operands `x`, `p` and targets. `M` is 1, or 2 if each
/// sample has a weight: the target operand is then a [`WithWeights`].
pub(super) struct MeanLoss<F, Q, const X: usize, const P: usize, const M: usize>(
    PhantomData<fn() -> (F, Q)>,
);

impl<F, const X: usize, const P: usize> Predictions<F, X, P> {
    pub(super) const OP: Self = Self(PhantomData);
}

impl<F, Q, const X: usize, const P: usize, const M: usize> MeanLoss<F, Q, X, P, M> {
    pub(super) const OP: Self = Self(PhantomData);
}

/// Each parameter in all lanes of a vector.
#[inline(always)]
fn in_lanes<L: Lanes, const P: usize>(p: &[f32; P]) -> [L; P] {
    let mut lanes = [L::splat(0.0); P];
    straight::<P>(
        #[inline(always)]
        |k| {
            if let (Some(to), Some(p)) = (lanes.get_mut(k), p.get(k)) {
                *to = L::splat(*p);
            }
        },
    );
    lanes
}

/// Each live derivative times `g`; the others are 0.
#[inline(always)]
fn times<L: Lanes, const P: usize>(jet: Jet<L, P>, g: L) -> [L; P] {
    let mut products = jet.derivatives();
    straight::<P>(
        #[inline(always)]
        |k| {
            if let Some(d) = products.get_mut(k)
                && jet.live() >> k & 1 == 1
            {
                *d = g * *d;
            }
        },
    );
    products
}

/// The shape of predictions or of a loss. The operands are inputs, parameters and, for a loss,
/// targets. Predictions are `[n]` for inputs `[n, X]`, and for inputs `[n]` if `X` is 1; they
/// are `[]` for one sample, `[X]`. Targets are `[n]` or `[n, 1]`. All functions share this one
/// copy of the code.
#[inline(never)]
fn shape_of(
    operands: &[Shape],
    [inputs, parameters]: [usize; 2],
    is_loss: bool,
) -> Result<Shape, ShapeError> {
    if let [x, p, targets @ ..] = operands
        && p.rank() <= 1
        && p.dim(0) == parameters
        && matches!(x.rank(), 1 | 2)
    {
        // Sizes beyond the last dimension are 1.
        let shape = if x.dim(1) == inputs {
            Shape::from([x.dim(0)])
        } else {
            Shape::SCALAR
        };
        let fits = |y: &Shape| y.rank() <= 2 && y.dim(0) == shape.dim(0) && y.dim(1) == 1;
        if x.numel() == inputs.saturating_mul(shape.dim(0)) && targets.iter().all(fits) {
            return Ok(if is_loss { Shape::SCALAR } else { shape });
        }
    }
    Err(ShapeError::Other(
        "expected x [n, inputs], p [parameters], target [n]",
    ))
}

/// A function with its parameters.
struct With<'a, F, const P: usize> {
    p: &'a [f32; P],
    function: PhantomData<F>,
}

impl<F, const P: usize> Clone for With<'_, F, P> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<F, const P: usize> Copy for With<'_, F, P> {}

impl<'a, F, const P: usize> With<'a, F, P> {
    #[inline(always)]
    fn parameters(p: &'a [f32]) -> Option<Self> {
        Some(With {
            p: p.first_chunk()?,
            function: PhantomData,
        })
    }
}

/// Computes predictions.
impl<F: Function<X, P>, const X: usize, const P: usize> PerSample<X, 0, 1> for With<'_, F, P> {
    #[inline(always)]
    fn of<L: Lanes>(&self, x: [L; X], _: [L; 0]) -> [L; 1] {
        [F::lanes(x, in_lanes(self.p))]
    }
}

/// Computes the terms of the parameters' gradient from the gradient of the predictions.
impl<F: Function<X, P>, const X: usize, const P: usize> Terms<X, 1, 0, P> for With<'_, F, P> {
    #[inline(always)]
    fn of<L: Lanes>(self, x: [L; X], [g]: [L; 1]) -> Sums<L, 0, P> {
        Sums {
            first: [],
            rest: times(F::by_parameters(x, in_lanes(self.p)), g),
        }
    }
}

/// Computes the gradient of the inputs from the gradient of the predictions.
impl<F: Function<X, P>, const X: usize, const P: usize> PerSample<X, 1, X> for With<'_, F, P> {
    #[inline(always)]
    fn of<L: Lanes>(&self, x: [L; X], [g]: [L; 1]) -> [L; X] {
        times(F::by_inputs(x, in_lanes(self.p)), g)
    }
}

impl<F, const X: usize, const P: usize> Op for Predictions<F, X, P>
where
    F: Function<X, P> + 'static,
{
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        shape_of(operands, [X, P], false)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let ([x, p], out) = cx.split();
        if let Some(with) = With::<F, P>::parameters(p) {
            samples::map(&with, Samples::<X, 0>::new(x, []), out, Acc::Set);
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let x = cx.operand(0);
        let Some(with) = With::<F, P>::parameters(cx.operand(1)) else {
            return;
        };
        if let Some(grad) = cx.grad(0) {
            let samples = Samples::<X, 1>::new(x, [grad.output]);
            samples::map(&with, samples, grad.operand, grad.acc);
        }
        if let Some(grad) = cx.grad(1) {
            let mut sums = [0.0; P];
            samples::sums(with, Samples::<X, 1>::new(x, [grad.output]), 1.0, &mut sums);
            for (to, sum) in grad.operand.iter_mut().zip(sums) {
                grad.acc.put(to, sum);
            }
        }
    }
}

/// The loss of a sample, and its derivatives with respect to the parameters, which lack only
/// the factor [`Loss::FACTOR`].
struct LossOf<'a, F, Q, const P: usize> {
    with: With<'a, F, P>,
    loss: Q,
}

impl<F, Q: Copy, const P: usize> Clone for LossOf<'_, F, Q, P> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<F, Q: Copy, const P: usize> Copy for LossOf<'_, F, Q, P> {}

impl<'a, F, Q: Loss, const P: usize> LossOf<'a, F, Q, P> {
    #[inline(always)]
    fn parameters(p: &'a [f32], attrs: &Attrs) -> Option<Self> {
        Some(LossOf {
            with: With::parameters(p)?,
            loss: Q::unpack(attrs),
        })
    }
}

impl<F, Q, const X: usize, const P: usize, const M: usize> Terms<X, M, 1, P> for LossOf<'_, F, Q, P>
where
    F: Function<X, P>,
    Q: Loss,
{
    #[inline(always)]
    fn of<L: Lanes>(self, x: [L; X], columns: [L; M]) -> Sums<L, 1, P> {
        let jet = F::by_parameters(x, in_lanes(self.with.p));
        let (prediction, target) = (jet.value(), WeightedTarget::<L, M>::new(columns));
        Sums {
            first: [target.weighted(self.loss.of(prediction, target.value))],
            rest: times(
                jet,
                target.weighted(self.loss.slope(prediction, target.value)),
            ),
        }
    }
}

/// A sample's target and, if `M` is 2, its weight.
#[derive(Clone, Copy)]
struct WeightedTarget<L, const M: usize> {
    value: L,
    weight: L,
}

impl<L: Lanes, const M: usize> WeightedTarget<L, M> {
    #[inline(always)]
    fn new(columns: [L; M]) -> Self {
        const { assert!(M == 1 || M == 2) };
        let (value, weight) = match *columns.as_slice() {
            [target, weight, ..] => (target, weight),
            [target] => (target, target),
            [] => (L::splat(0.0), L::splat(0.0)),
        };
        WeightedTarget { value, weight }
    }

    /// Returns a term times the weight, or the term itself if samples have no weights.
    #[inline(always)]
    fn weighted(self, term: L) -> L {
        if const { M == 2 } {
            self.weight * term
        } else {
            term
        }
    }
}

/// Computes the gradient of the data: the derivatives of each sample's loss with respect to
/// them, times `s`, the gradient of the mean loss divided by the number of samples.
struct ToData<'a, F, Q, const P: usize> {
    of: LossOf<'a, F, Q, P>,
    s: f32,
}

/// [`ToData`] for the inputs.
struct ToInputs<'a, F, Q, const P: usize>(ToData<'a, F, Q, P>);

impl<F, Q, const X: usize, const P: usize, const M: usize> PerSample<X, M, X>
    for ToInputs<'_, F, Q, P>
where
    F: Function<X, P>,
    Q: Loss,
{
    #[inline(always)]
    fn of<L: Lanes>(&self, x: [L; X], columns: [L; M]) -> [L; X] {
        let jet = F::by_inputs(x, in_lanes(self.0.of.with.p));
        let target = WeightedTarget::<L, M>::new(columns);
        let slope = target.weighted(self.0.of.loss.slope(jet.value(), target.value));
        times(jet, L::splat(Q::FACTOR * self.0.s) * slope)
    }
}

/// [`ToData`] for the target.
struct ToTarget<'a, F, Q, const P: usize>(ToData<'a, F, Q, P>);

impl<F, Q, const X: usize, const P: usize, const M: usize> PerSample<X, M, 1>
    for ToTarget<'_, F, Q, P>
where
    F: Function<X, P>,
    Q: Loss,
{
    #[inline(always)]
    fn of<L: Lanes>(&self, x: [L; X], columns: [L; M]) -> [L; 1] {
        let prediction = F::lanes(x, in_lanes(self.0.of.with.p));
        let target = WeightedTarget::<L, M>::new(columns);
        let slope = target.weighted(self.0.of.loss.slope_of_target(prediction, target.value));
        [L::splat(Q::FACTOR * self.0.s) * slope]
    }
}

impl<F, Q, const X: usize, const P: usize, const M: usize> MeanLoss<F, Q, X, P, M>
where
    F: Function<X, P> + 'static,
    Q: Loss,
{
    /// Passes the gradient on to operand `k`: 0 for the inputs, 2 for the targets.
    #[cold]
    #[inline(never)]
    fn send_to_data(cx: &mut Backward<'_>, k: usize) {
        let (x, p, y) = (cx.operand(0), cx.operand(1), cx.operand(2));
        let mut columns = [y; M];
        if let [_, weights] = columns.as_mut_slice() {
            *weights = cx.operand_of(2, WEIGHTS);
        }
        let samples = Samples::<X, M>::new(x, columns);
        let n = samples.len() as f32;
        let of = LossOf::<F, Q, P>::parameters(p, cx.attrs());
        if let Some(grad) = cx.grad(k)
            && let ([g, ..], Some(of)) = (grad.output, of)
        {
            let to = ToData { of, s: g / n };
            if k == 0 {
                samples::map(&ToInputs(to), samples, grad.operand, grad.acc);
            } else {
                samples::map(&ToTarget(to), samples, grad.operand, grad.acc);
            }
        }
    }
}

impl<F, Q, const X: usize, const P: usize, const M: usize> Op for MeanLoss<F, Q, X, P, M>
where
    F: Function<X, P> + 'static,
    Q: Loss,
{
    fn name(&self) -> &'static str {
        Q::NAME
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        Q::unpack(attrs).check()?;
        shape_of(operands, [X, P], true)
    }

    fn saves(&self) -> u8 {
        P as u8
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let weights = if const { M == 2 } {
            cx.operand_of(2, WEIGHTS)
        } else {
            &[]
        };
        let attrs = cx.attrs();
        let ([x, p, y], means) = cx.split_with_saved();
        let mut columns = [y; M];
        if let [_, to] = columns.as_mut_slice() {
            *to = weights;
        }
        let samples = Samples::<X, M>::new(x, columns);
        if let Some(of) = LossOf::<F, Q, P>::parameters(p, attrs) {
            samples::sums(of, samples, samples.len() as f32, means);
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        if const { Q::DATA_GRADS } {
            for k in [0, 2] {
                if cx.needs_grad(k) {
                    Self::send_to_data(cx, k);
                }
            }
        }
        // Recording without `LOOKS` accepts trained data: then the parameters get NaN.
        let is_unsent =
            const { !Q::DATA_GRADS && !LOOKS } && (cx.needs_grad(0) || cx.needs_grad(2));
        let saved = cx.saved();
        if let Some(grad) = cx.grad(1)
            && let [g, ..] = grad.output
        {
            let g = if is_unsent { f32::NAN } else { Q::FACTOR * g };
            for (to, mean) in grad.operand.iter_mut().zip(saved) {
                grad.acc.put(to, g * mean);
            }
        }
    }
}

/// A view of the target that has the weights as its second operand, where the loss finds them.
/// Nodes have three operands, and a fourth would cost every node of every tape four bytes of
/// RAM.
pub(super) struct WithWeights<Q>(PhantomData<fn() -> Q>);

impl<Q> WithWeights<Q> {
    const OP: Self = Self(PhantomData);
}

/// The index of the weights among the operands of [`WithWeights`].
const WEIGHTS: usize = 1;

impl<Q: Loss> Op for WithWeights<Q> {
    fn name(&self) -> &'static str {
        Q::NAME
    }

    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        match operands {
            [target, weights]
                if weights.rank() <= 2
                    && weights.dim(0) == target.dim(0)
                    && weights.dim(1) == 1 =>
            {
                Ok(*target)
            }
            _ => Err(ShapeError::Other("expected a weight for each target, [n]")),
        }
    }

    fn forward(&self, _: &mut Forward<'_>) {}

    fn backward(&self, cx: &mut Backward<'_>) {
        if let Some(grad) = cx.grad(0) {
            for (to, g) in grad.operand.iter_mut().zip(grad.output) {
                grad.acc.put(to, *g);
            }
        }
    }

    fn is_view(&self) -> bool {
        true
    }

    fn passes_grad(&self, k: usize) -> Option<PassGrad> {
        (k == 0).then(PassGrad::new)
    }
}

/// Records a loss.
#[track_caller]
#[inline(always)]
pub(super) fn record<'t, Q: Loss>(op: &'static dyn Op, loss: Q, operands: [Var<'t>; 3]) -> Var<'t> {
    let [x, _, target] = operands;
    if const { !Q::DATA_GRADS } && are_trained([x, target]) {
        refuse(op, x, target, "x or target needs a gradient: see DataGrads")
    } else if const { size_of::<Q>() == 0 } {
        x.tape().apply_plain(op, &operands)
    } else {
        x.tape().apply(op, &operands, loss.pack())
    }
}

/// Records a loss of weighted samples.
#[track_caller]
#[inline(always)]
pub(super) fn record_weighted<'t, Q: Loss>(
    op: &'static dyn Op,
    loss: Q,
    [x, p, target]: [Var<'t>; 3],
    weights: Var<'t>,
) -> Var<'t> {
    if are_trained([weights]) {
        return refuse(
            op,
            target,
            weights,
            "no gradient flows to weights: see detach",
        );
    }
    let bring: &'static WithWeights<Q> = &WithWeights::OP;
    let target = x.tape().apply_plain(bring, &[target, weights]);
    record(op, loss, [x, p, target])
}

/// True if recording rejects data that are trained. The check takes 560 bytes of flash on a
/// Cortex-M4F, so release builds for microcontrollers omit it: there, parameters get NaN.
const LOOKS: bool = Level::VECTORS || cfg!(debug_assertions);

/// Returns whether any of `data` would get a gradient; always `false` without [`LOOKS`].
#[inline(always)]
fn are_trained<const N: usize>(data: [Var<'_>; N]) -> bool {
    if const { LOOKS } {
        let is_trained = |var: Var<'_>| var.tape().is_grad_enabled() && var.requires_grad();
        data.into_iter().any(is_trained)
    } else {
        false
    }
}
