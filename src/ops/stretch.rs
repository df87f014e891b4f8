//! Operations on operands of one shape. Operands of different shapes are first stretched, that
//! is, broadcast, each by a node of its own: these operations are not worth a loop for every way
//! in which shapes can differ.

use core::marker::PhantomData;

use super::{Binary, GradA, GradB, Pair, PairForward, exactly, send};
use crate::kernel::{self, Acc, Lanes};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

/// The first of two operands, stretched to their common shape.
pub(super) struct First;
impl Binary for First {
    const NAME: &'static str = "broadcast";
    #[inline(always)]
    fn forward<L: Lanes>(a: L, _: L) -> L {
        a
    }
    #[inline(always)]
    fn grad_a<L: Lanes>(g: L, _: L, _: L) -> L {
        g
    }
    #[inline(always)]
    fn grad_b<L: Lanes>(_: L, _: L, _: L) -> L {
        L::splat(0.0)
    }
}

struct Stretch;
impl Op for Stretch {
    fn name(&self) -> &'static str {
        First::NAME
    }
    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        Pair(First).shape(operands, attrs)
    }
    fn forward(&self, cx: &mut Forward<'_>) {
        Pair(First).forward(cx);
    }
    fn backward(&self, cx: &mut Backward<'_>) {
        send(GradA::<First>(PhantomData), cx, [0, 1]);
        no_gradient(cx, 1);
    }
}

/// Stretches operands to their common shape, if there is one.
#[track_caller]
pub(super) fn stretched<'t, const N: usize>(operands: [Var<'t>; N]) -> [Var<'t>; N] {
    let mut common = Some(Shape::SCALAR);
    for operand in operands {
        common = common.and_then(|shape| shape.broadcast(&operand.shape()));
    }
    let mut stretched = operands;
    if let Some(common) = common {
        for operand in &mut stretched {
            for other in operands {
                if operand.shape() != common && operand.shape() != other.shape() {
                    *operand = operand.tape().apply_plain(&Stretch, &[*operand, other]);
                }
            }
        }
    }
    stretched
}

/// Stretches an operand to the shape of another, if the shapes differ and it can be stretched.
#[track_caller]
pub(super) fn stretched_as<'t>(operand: Var<'t>, like: Var<'t>) -> Var<'t> {
    let (own, shape) = (operand.shape(), like.shape());
    if own != shape && own.broadcast(&shape) == Some(shape) {
        operand.tape().apply_plain(&Stretch, &[operand, like])
    } else {
        operand
    }
}

/// The shape that all operands have, or an error if their shapes differ.
pub(super) fn alike(operands: &[Shape]) -> Result<Shape, ShapeError> {
    match operands {
        [first, others @ ..] if others.iter().all(|other| other == first) => Ok(*first),
        _ => Err(ShapeError::Broadcast),
    }
}

/// Passes no gradient on to operand `k`, but fills it with zeros if no other operation has
/// written it yet.
pub(super) fn no_gradient(cx: &mut Backward<'_>, k: usize) {
    if let Some(grad) = cx.grad(k)
        && grad.acc == Acc::Set
    {
        grad.operand.fill(0.0);
    }
}

/// Makes an [`Op`] of a [`Binary`], for operands of one shape.
pub(super) struct Alike<B>(pub(super) B);

impl<B: Binary> Op for Alike<B> {
    fn name(&self) -> &'static str {
        B::NAME
    }
    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        alike(exactly::<2>(operands)?)
    }
    fn forward(&self, cx: &mut Forward<'_>) {
        let (operands, out) = cx.split::<2>();
        kernel::map(PairForward::<B>(PhantomData), operands, out, Acc::Set);
    }
    fn backward(&self, cx: &mut Backward<'_>) {
        let (a, b) = (cx.operand(0), cx.operand(1));
        if let Some(grad) = cx.grad(0) {
            let f = GradA::<B>(PhantomData);
            kernel::map(f, [grad.output, a, b], grad.operand, grad.acc);
        }
        if let Some(grad) = cx.grad(1) {
            let f = GradB::<B>(PhantomData);
            kernel::map(f, [grad.output, b, a], grad.operand, grad.acc);
        }
    }
}
