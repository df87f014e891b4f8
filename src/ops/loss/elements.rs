//! A [`Loss`] of pairs of elements as one node, with any reduction and with weights.

use core::marker::PhantomData;

use super::{Loss, Reduction, refuse_trained};
use crate::kernel::{self, Lanes, Map};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::ops::exactly;
use crate::ops::stretch::{no_gradient, stretched_as};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

/// A loss of pairs of elements with its settings, like PyTorch's `nn.MSELoss` and others. Each
/// loss has an alias of its own: [`MseLoss`](super::MseLoss), [`HuberLoss`](super::HuberLoss), …
///
/// Input and target must have the same shape. PyTorch broadcasts them with a warning, or gives
/// an error; a mean over the wrong elements is easy to overlook. Gradients flow to both.
///
/// ```
/// use baregrad::ops::loss::{L1Loss, Reduction};
/// # let mut arena = baregrad::Arena::<64, 16>::new();
/// # let tape = arena.tape();
/// let x = tape.param(&[1.0, 2.0, 3.0, 4.0], [2, 2]);
/// let target = tape.input(&[1.0; 4], [2, 2]);
/// let weight = tape.constant(&[1.0, 0.5], [2]); // of each column
/// let loss = L1Loss::new().reduction(Reduction::None).weight(weight).of(x, target);
/// assert_eq!(*loss.value()?, [0.0, 0.5, 2.0, 1.5]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Criterion<'t, Q> {
    pub(super) loss: Q,
    pub(super) reduction: Reduction,
    pub(super) weight: Option<Var<'t>>,
}

impl<'t, Q: Loss> Criterion<'t, Q> {
    /// The mean of the loss, with PyTorch's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::from(Q::default())
    }

    /// Chooses the mean, the sum, or a loss for each element.
    #[must_use]
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Sets a weight for each element: of the input's shape, or of a shape that broadcasts to
    /// it, such as `[n, 1]` for rows or `[columns]` for columns, which takes one more node of
    /// the tape.
    ///
    /// Each loss is multiplied by its weight. As in PyTorch, the mean of [MSE](super::MseLoss)
    /// or [L1](super::L1Loss) is divided by the sum of the weights, and is NaN if this sum is 0;
    /// the mean of other losses is divided by the number of elements. A weight of 0 leaves an
    /// element out if its loss is finite: `0 * inf` is NaN. No gradient flows to weights, and
    /// weights that need one are an error.
    #[must_use]
    pub fn weight(mut self, weight: Var<'t>) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Records the loss of `input` against `target` as one node: a number, or with
    /// [`Reduction::None`] a tensor of their shape.
    ///
    /// The tape keeps an error if shapes differ or a setting is out of range.
    #[track_caller]
    #[must_use]
    pub fn of(self, input: Var<'t>, target: Var<'t>) -> Var<'t> {
        let attrs = Attrs {
            tag: self.reduction.tag(),
            ..self.loss.pack()
        };
        match self.weight {
            None => {
                let op: &'static Elements<Plain<Q>, 2> = &Elements::OP;
                input.tape().apply(op, &[input, target], attrs)
            }
            Some(weight) => {
                let op: &'static Elements<Weighted<Q>, 3> = &Elements::OP;
                with_third(op, [input, target, weight], attrs)
            }
        }
    }
}

impl<Q: Loss> From<Q> for Criterion<'_, Q> {
    /// The mean of this loss.
    fn from(loss: Q) -> Self {
        Criterion {
            loss,
            reduction: Reduction::Mean,
            weight: None,
        }
    }
}

/// Records a loss with a third operand, stretched to the shape of the target.
#[track_caller]
pub(super) fn with_third<'t>(
    op: &'static dyn Op,
    [input, target, third]: [Var<'t>; 3],
    attrs: Attrs,
) -> Var<'t> {
    if let Some(refused) = refuse_trained(op, target, third) {
        return refused;
    }
    let third = stretched_as(third, target);
    input.tape().apply(op, &[input, target, third], attrs)
}

/// A loss of a prediction, a target and, for some losses, a third number.
pub(super) trait Term: Copy + Sync + 'static {
    const NAME: &'static str;
    const SHORT: usize;
    const FACTOR: f32;
    /// True if a mean is divided by the sum of the third numbers.
    const BY_THIRD: bool;
    fn unpack(attrs: &Attrs) -> Self;
    fn check(self) -> Result<(), ShapeError>;
    fn of<L: Lanes>(self, columns: [L; 3]) -> L;
    fn slope<L: Lanes>(self, columns: [L; 3]) -> L;
    fn slope_of_target<L: Lanes>(self, columns: [L; 3]) -> L;
}

/// A loss of two numbers, which ignores the third.
#[derive(Clone, Copy)]
struct Plain<Q>(Q);

impl<Q: Loss> Term for Plain<Q> {
    const NAME: &'static str = Q::NAME;
    const SHORT: usize = Q::SHORT;
    const FACTOR: f32 = Q::FACTOR;
    const BY_THIRD: bool = false;
    #[inline(always)]
    fn unpack(attrs: &Attrs) -> Self {
        Plain(Q::unpack(attrs))
    }
    fn check(self) -> Result<(), ShapeError> {
        self.0.check()
    }
    #[inline(always)]
    fn of<L: Lanes>(self, [x, target, _]: [L; 3]) -> L {
        self.0.of(x, target)
    }
    #[inline(always)]
    fn slope<L: Lanes>(self, [x, target, _]: [L; 3]) -> L {
        self.0.slope(x, target)
    }
    #[inline(always)]
    fn slope_of_target<L: Lanes>(self, [x, target, _]: [L; 3]) -> L {
        self.0.slope_of_target(x, target)
    }
}

/// A loss of two numbers times the third.
#[derive(Clone, Copy)]
struct Weighted<Q>(Q);

impl<Q: Loss> Term for Weighted<Q> {
    const NAME: &'static str = Q::NAME;
    const SHORT: usize = Q::SHORT;
    const FACTOR: f32 = Q::FACTOR;
    const BY_THIRD: bool = Q::MEAN_BY_WEIGHTS;
    #[inline(always)]
    fn unpack(attrs: &Attrs) -> Self {
        Weighted(Q::unpack(attrs))
    }
    fn check(self) -> Result<(), ShapeError> {
        self.0.check()
    }
    #[inline(always)]
    fn of<L: Lanes>(self, [x, target, weight]: [L; 3]) -> L {
        weight * self.0.of(x, target)
    }
    #[inline(always)]
    fn slope<L: Lanes>(self, [x, target, weight]: [L; 3]) -> L {
        weight * self.0.slope(x, target)
    }
    #[inline(always)]
    fn slope_of_target<L: Lanes>(self, [x, target, weight]: [L; 3]) -> L {
        weight * self.0.slope_of_target(x, target)
    }
}

/// The node of a [`Term`] of `N` operands, 2 or 3. Words: its settings. Tag: the reduction.
pub(super) struct Elements<T, const N: usize>(PhantomData<fn() -> T>);

impl<T, const N: usize> Elements<T, N> {
    pub(super) const OP: Self = Self(PhantomData);
}

/// The loss of an element.
struct ElementLoss<T>(T);

impl<T: Term> Map<3> for ElementLoss<T> {
    const SHORT: usize = T::SHORT;
    #[inline(always)]
    fn apply<L: Lanes>(&self, columns: &[L; 3]) -> L {
        self.0.of(*columns)
    }
}

/// The derivative of an element's loss with respect to the input, or to the target if `TARGET`,
/// times a factor that is the same for all elements.
struct Slope<T, const TARGET: bool>(T, f32);

impl<T: Term, const TARGET: bool> Map<3> for Slope<T, TARGET> {
    const SHORT: usize = T::SHORT;
    #[inline(always)]
    fn apply<L: Lanes>(&self, columns: &[L; 3]) -> L {
        let slope = if const { TARGET } {
            self.0.slope_of_target(*columns)
        } else {
            self.0.slope(*columns)
        };
        L::splat(self.1) * slope
    }
}

/// The same derivative times [`Loss::FACTOR`] and the gradient of the element's own loss.
struct EachSlope<T, const TARGET: bool>(T);

impl<T: Term, const TARGET: bool> Map<4> for EachSlope<T, TARGET> {
    const SHORT: usize = T::SHORT;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g, x, target, third]: &[L; 4]) -> L {
        let columns = [x, target, third];
        let slope = if const { TARGET } {
            self.0.slope_of_target(columns)
        } else {
            self.0.slope(columns)
        };
        L::splat(T::FACTOR) * g * slope
    }
}

impl<T: Term, const N: usize> Elements<T, N> {
    /// The operands. Without a third operand, the target takes its place and is not used.
    #[inline(always)]
    fn columns<'a>(of: impl Fn(usize) -> &'a [f32]) -> [&'a [f32]; 3] {
        [of(0), of(1), of(const { N - 1 })]
    }

    /// The divisor of the sum.
    fn divisor(reduction: Reduction, [x, _, third]: [&[f32]; 3]) -> f32 {
        match reduction {
            Reduction::Mean if T::BY_THIRD => kernel::sum(third),
            Reduction::Mean => x.len() as f32,
            _ => 1.0,
        }
    }

    fn send<const TARGET: bool>(cx: &mut Backward<'_>) {
        let term = T::unpack(cx.attrs());
        let reduction = Reduction::of(cx.attrs());
        let columns = Self::columns(|k| cx.operand(k));
        let Some(grad) = cx.grad(TARGET.into()) else {
            return;
        };
        if reduction == Reduction::None {
            let [x, target, third] = columns;
            let f = EachSlope::<T, TARGET>(term);
            let columns = [grad.output, x, target, third];
            kernel::map(f, columns, grad.operand, grad.acc);
        } else if let [g, ..] = grad.output {
            let s = T::FACTOR * (g / Self::divisor(reduction, columns));
            kernel::map(Slope::<T, TARGET>(term, s), columns, grad.operand, grad.acc);
        }
    }
}

impl<T: Term, const N: usize> Op for Elements<T, N> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        T::unpack(attrs).check()?;
        let operands = exactly::<N>(operands)?;
        match operands.as_slice() {
            [x, target, ..] if x != target => Err(ShapeError::Different),
            [x, _, third] if x != third => Err(ShapeError::Other(
                "expected weights of the input's shape, or of one that stretches to it",
            )),
            [x, ..] if Reduction::of(attrs) == Reduction::None => Ok(*x),
            _ => Ok(Shape::SCALAR),
        }
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let term = T::unpack(cx.attrs());
        let reduction = Reduction::of(cx.attrs());
        let (operands, out) = cx.split::<N>();
        let columns = Self::columns(|k| operands.get(k).copied().unwrap_or_default());
        if reduction == Reduction::None {
            kernel::set_map(ElementLoss(term), columns, out);
        } else if let [loss, ..] = out {
            *loss = kernel::sum_of(ElementLoss(term), columns) / Self::divisor(reduction, columns);
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        Self::send::<false>(cx);
        Self::send::<true>(cx);
        if const { N == 3 } && cx.needs_grad(2) {
            no_gradient(cx, 2);
        }
    }
}
