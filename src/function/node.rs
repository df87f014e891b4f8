//! A function as one operation of a tape: its predictions, or the loss of them.

use core::marker::PhantomData;

use super::samples::{self, PerSample, Samples, Sums, Terms};
use super::{Function, Jet, straight};
use crate::kernel::{Acc, Lanes};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::ops::exactly;
use crate::shape::{Shape, ShapeError};

/// A loss that is a mean over samples, each of which has its own.
///
/// ```
/// use baregrad::function::{Loss, Squared};
/// let (prediction, target) = (3.0, 5.0);
/// assert_eq!(Squared::of(prediction, target), 4.0);
/// assert_eq!(Squared::FACTOR * Squared::slope(prediction, target), -4.0);
/// ```
pub trait Loss: Sync + 'static {
    /// PyTorch's name for it, for errors.
    const NAME: &'static str;
    /// A factor of the [slope](Self::slope), which is multiplied once and not for each sample.
    const FACTOR: f32 = 1.0;
    /// The loss of one sample.
    fn of<L: Lanes>(prediction: L, target: L) -> L;
    /// Its derivative by the prediction, but for [`FACTOR`](Self::FACTOR).
    fn slope<L: Lanes>(prediction: L, target: L) -> L;
    /// Its derivative by the target, but for the factor: that by the prediction with the
    /// other sign, unless the loss is no function of their difference.
    #[inline(always)]
    fn slope_of_target<L: Lanes>(prediction: L, target: L) -> L {
        -Self::slope(prediction, target)
    }
}

/// `(prediction - target)²`, whose mean is the mean squared error.
#[derive(Clone, Copy, Debug)]
pub struct Squared;

impl Loss for Squared {
    const NAME: &'static str = "mse";
    const FACTOR: f32 = 2.0;
    #[inline(always)]
    fn of<L: Lanes>(prediction: L, target: L) -> L {
        let r = prediction - target;
        r * r
    }
    #[inline(always)]
    fn slope<L: Lanes>(prediction: L, target: L) -> L {
        prediction - target
    }
    #[inline(always)]
    fn slope_of_target<L: Lanes>(prediction: L, target: L) -> L {
        target - prediction
    }
}

/// The predictions of a function for samples: operands `x` and `p`.
pub(super) struct Predictions<F, const X: usize, const P: usize>(PhantomData<fn() -> F>);

/// The mean of a loss over samples: operands `x`, `p` and targets.
pub(super) struct MeanLoss<F, Q, const X: usize, const P: usize>(PhantomData<fn() -> (F, Q)>);

impl<F, const X: usize, const P: usize> Predictions<F, X, P> {
    pub(super) const OP: Self = Self(PhantomData);
}

impl<F, Q, const X: usize, const P: usize> MeanLoss<F, Q, X, P> {
    pub(super) const OP: Self = Self(PhantomData);
}

/// Parameters in all lanes.
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

/// Each derivative times `g`; zeros for those that are always 0.
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

/// The shape of predictions for inputs of a shape: `[n]` for `[n, X]`, or for `[n]` if `X`
/// is 1; `[]` for one sample, `[X]`.
fn of_samples<const X: usize>(x: &Shape) -> Result<Shape, ShapeError> {
    match *x.dims() {
        [n] if X == 1 => Ok(Shape::from([n])),
        [n, inputs] if inputs == X => Ok(Shape::from([n])),
        [inputs] if inputs == X => Ok(Shape::SCALAR),
        _ => Err(ShapeError::Other(
            "expected samples as rows, [n, inputs of the function]",
        )),
    }
}

fn expect_parameters<const P: usize>(p: &Shape) -> Result<(), ShapeError> {
    match *p.dims() {
        [n] if n == P => Ok(()),
        [] if P == 1 => Ok(()),
        _ => Err(ShapeError::Other(
            "expected one parameter for each of the function, [parameters]",
        )),
    }
}

/// A target for each sample: of the shape of predictions, or a column, `[n, 1]`.
fn expect_targets(target: &Shape, predictions: &Shape) -> Result<(), ShapeError> {
    if target == predictions || matches!(target.dims(), [n, 1] if *n == predictions.numel()) {
        Ok(())
    } else {
        Err(ShapeError::Other("expected a target for each sample, [n]"))
    }
}

/// A function with its parameters.
struct With<'a, F, const P: usize> {
    p: &'a [f32; P],
    function: PhantomData<F>,
}

impl<'a, F, const P: usize> With<'a, F, P> {
    #[inline(always)]
    fn parameters(p: &'a [f32]) -> Option<Self> {
        Some(With {
            p: p.first_chunk()?,
            function: PhantomData,
        })
    }
}

/// Predictions.
impl<F: Function<X, P>, const X: usize, const P: usize> PerSample<X, 0, 1> for With<'_, F, P> {
    #[inline(always)]
    fn of<L: Lanes>(&self, x: [L; X], _: [L; 0]) -> [L; 1] {
        [F::lanes(x, in_lanes(self.p))]
    }
}

/// From the gradient of predictions to that of parameters.
impl<F: Function<X, P>, const X: usize, const P: usize> Terms<X, 1, 0, P> for With<'_, F, P> {
    #[inline(always)]
    fn of<L: Lanes>(&self, x: [L; X], [g]: [L; 1]) -> Sums<L, 0, P> {
        Sums {
            first: [],
            rest: times(F::by_parameters(x, in_lanes(self.p)), g),
        }
    }
}

/// From the gradient of predictions to that of inputs.
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
        let [x, p] = exactly(operands)?;
        expect_parameters::<P>(p)?;
        of_samples::<X>(x)
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
            let sums = samples::sums(&with, Samples::<X, 1>::new(x, [grad.output]));
            for (to, sum) in grad.operand.iter_mut().zip(sums.rest) {
                grad.acc.put(to, sum);
            }
        }
    }
}

/// The loss of a sample, and its derivatives by the parameters, but for a factor.
struct LossOf<'a, F, Q, const P: usize> {
    with: With<'a, F, P>,
    loss: PhantomData<Q>,
}

impl<'a, F, Q, const P: usize> LossOf<'a, F, Q, P> {
    #[inline(always)]
    fn parameters(p: &'a [f32]) -> Option<Self> {
        Some(LossOf {
            with: With::parameters(p)?,
            loss: PhantomData,
        })
    }
}

impl<F, Q, const X: usize, const P: usize> Terms<X, 1, 1, P> for LossOf<'_, F, Q, P>
where
    F: Function<X, P>,
    Q: Loss,
{
    #[inline(always)]
    fn of<L: Lanes>(&self, x: [L; X], [target]: [L; 1]) -> Sums<L, 1, P> {
        let jet = F::by_parameters(x, in_lanes(self.with.p));
        let prediction = jet.value();
        Sums {
            first: [Q::of(prediction, target)],
            rest: times(jet, Q::slope(prediction, target)),
        }
    }
}

/// From the gradient of a loss to that of the data: `s` times the derivatives by them.
struct ToData<'a, F, Q, const P: usize> {
    of: LossOf<'a, F, Q, P>,
    s: f32,
}

/// By the inputs.
struct ToInputs<'a, F, Q, const P: usize>(ToData<'a, F, Q, P>);

impl<F, Q, const X: usize, const P: usize> PerSample<X, 1, X> for ToInputs<'_, F, Q, P>
where
    F: Function<X, P>,
    Q: Loss,
{
    #[inline(always)]
    fn of<L: Lanes>(&self, x: [L; X], [target]: [L; 1]) -> [L; X] {
        let jet = F::by_inputs(x, in_lanes(self.0.of.with.p));
        let slope = L::splat(Q::FACTOR * self.0.s) * Q::slope(jet.value(), target);
        times(jet, slope)
    }
}

/// By the target.
struct ToTarget<'a, F, Q, const P: usize>(ToData<'a, F, Q, P>);

impl<F, Q, const X: usize, const P: usize> PerSample<X, 1, 1> for ToTarget<'_, F, Q, P>
where
    F: Function<X, P>,
    Q: Loss,
{
    #[inline(always)]
    fn of<L: Lanes>(&self, x: [L; X], [target]: [L; 1]) -> [L; 1] {
        let prediction = F::lanes(x, in_lanes(self.0.of.with.p));
        [L::splat(Q::FACTOR * self.0.s) * Q::slope_of_target(prediction, target)]
    }
}

impl<F, Q, const X: usize, const P: usize> MeanLoss<F, Q, X, P>
where
    F: Function<X, P> + 'static,
    Q: Loss,
{
    /// To operand `k`, one of the data. They are seldom trained, and what is should not pay
    /// for it.
    #[cold]
    #[inline(never)]
    fn send_to_data(cx: &mut Backward<'_>, k: usize) {
        let (x, p, y) = (cx.operand(0), cx.operand(1), cx.operand(2));
        let samples = Samples::<X, 1>::new(x, [y]);
        let n = samples.len() as f32;
        if let Some(grad) = cx.grad(k)
            && let ([g, ..], Some(of)) = (grad.output, LossOf::<F, Q, P>::parameters(p))
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

impl<F, Q, const X: usize, const P: usize> Op for MeanLoss<F, Q, X, P>
where
    F: Function<X, P> + 'static,
    Q: Loss,
{
    fn name(&self) -> &'static str {
        Q::NAME
    }

    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x, p, target] = exactly(operands)?;
        expect_parameters::<P>(p)?;
        expect_targets(target, &of_samples::<X>(x)?)?;
        Ok(Shape::SCALAR)
    }

    fn saves(&self) -> u8 {
        P as u8
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let ([x, p, y], loss) = cx.split();
        let samples = Samples::<X, 1>::new(x, [y]);
        let Some(of) = LossOf::<F, Q, P>::parameters(p) else {
            return;
        };
        let n = samples.len() as f32;
        let Sums {
            first: [sum],
            rest: slopes,
        } = samples::sums(&of, samples);
        if let [loss, ..] = loss {
            *loss = sum / n;
        }
        for (to, slope) in cx.saved().iter_mut().zip(slopes) {
            *to = slope / n;
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        if cx.needs_grad(0) {
            Self::send_to_data(cx, 0);
        }
        if cx.needs_grad(2) {
            Self::send_to_data(cx, 2);
        }
        let saved = cx.saved();
        if let Some(grad) = cx.grad(1)
            && let [g, ..] = grad.output
        {
            let g = Q::FACTOR * g;
            for (to, mean) in grad.operand.iter_mut().zip(saved) {
                grad.acc.put(to, g * mean);
            }
        }
    }
}
