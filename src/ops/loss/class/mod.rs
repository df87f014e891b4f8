//! The node of [cross entropy](super::CrossEntropyLoss) and of
//! [negative log likelihood](super::NllLoss): its shapes and passes.

mod losses;
mod normalised;
mod settings;

use losses::Classes;
pub(super) use settings::{Settings, class_builders};

use super::rows::{Rows, axis_of};
use super::{Reduction, refuse_trained};
use crate::kernel::Running;
use crate::op::{Attrs, Backward, Forward, Op};
use crate::ops::stretch::no_gradient;
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

/// Records the node of a loss of classes, with or without weights of the classes.
#[track_caller]
pub(super) fn record<'t, const LOG: bool>(
    settings: Settings,
    weight: Option<Var<'t>>,
    [input, target]: [Var<'t>; 2],
) -> Var<'t> {
    let (tape, attrs) = (input.tape(), settings.pack());
    let Some(weight) = weight else {
        return tape.apply(&ClassLoss::<LOG, false>, &[input, target], attrs);
    };
    let op: &'static dyn Op = &ClassLoss::<LOG, true>;
    if let Some(refused) = refuse_trained(op, target, weight) {
        return refused;
    }
    tape.apply(op, &[input, target, weight], attrs)
}

/// A target for tests of a loss of classes: class 0 for the first row, 1 for the second, and so
/// on.
pub(super) fn classes_in_turn(x: Var<'_>) -> Var<'_> {
    let shape = x.shape();
    let axis = axis_of(&shape);
    let classes = shape.dim(axis);
    let class = |row: usize| row.checked_rem(classes).unwrap_or_default() as f32;
    x.tape().constant_from_fn(shape.without(axis), class)
}

/// Returns whether targets are probabilities. [`shape_of`] sets this bit.
fn are_probabilities(attrs: &Attrs) -> bool {
    attrs.tag & Settings::PROBABILITIES != 0
}

/// The shape of a loss of rows of classes. The operands are `x`, targets and, if there are any,
/// weights of classes.
fn shape_of(
    operands: &[Shape],
    attrs: &mut Attrs,
    takes_probabilities: bool,
) -> Result<Shape, ShapeError> {
    let smoothing = Settings::unpack(attrs).smoothing;
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(ShapeError::Other("expected a label_smoothing from 0 to 1"));
    }
    let [x, target, weights @ ..] = operands else {
        return Err(ShapeError::Operands { expected: 2 });
    };
    if x.rank() == 0 {
        return Err(ShapeError::TooFewDims { least: 1 });
    }
    let axis = axis_of(x);
    if weights.iter().any(|w| w.dims() != [x.dim(axis)]) {
        return Err(ShapeError::Other("expected a weight for each class"));
    }
    let rows = x.without(axis);
    attrs.tag &= Reduction::BITS;
    if takes_probabilities && target == x {
        attrs.tag |= Settings::PROBABILITIES;
    } else if *target != rows {
        return Err(ShapeError::Other(if takes_probabilities {
            "expected a class for each row, [n] for [n, classes], or the input's shape"
        } else {
            "expected a class for each row, [n] for [n, classes]"
        }));
    }
    Ok(if Reduction::of(attrs) == Reduction::None {
        rows
    } else {
        Shape::SCALAR
    })
}

/// Cross entropy of logits, or with `LOG` of logarithms of probabilities, which is the
/// negative log likelihood. Operands: the input; targets; and, with `WEIGHTS`, a weight for
/// each class.
pub(super) struct ClassLoss<const LOG: bool, const WEIGHTS: bool>;

impl<const LOG: bool, const WEIGHTS: bool> ClassLoss<LOG, WEIGHTS> {
    /// A loss of this shape, with its operands.
    fn with<'a>(
        attrs: &Attrs,
        shape: &Shape,
        [x, targets, weights]: [&'a [f32]; 3],
    ) -> Classes<'a, LOG> {
        Classes {
            settings: Settings::unpack(attrs),
            probabilities: are_probabilities(attrs),
            rows: Rows::of(shape),
            x,
            targets,
            weights: if const { WEIGHTS } { weights } else { &[] },
        }
    }
}

impl<const LOG: bool, const WEIGHTS: bool> Op for ClassLoss<LOG, WEIGHTS> {
    fn name(&self) -> &'static str {
        if LOG { "nll_loss" } else { "cross_entropy" }
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let expected = if WEIGHTS { 3 } else { 2 };
        if operands.len() != expected {
            return Err(ShapeError::Operands { expected });
        }
        shape_of(operands, attrs, !LOG)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let (attrs, shape) = (cx.attrs(), cx.operand_shape(0));
        let (operands, out) = cx.split();
        let all = Self::with(attrs, &shape, operands);
        if all.settings.reduction == Reduction::None {
            // Without classes, the loop below visits no row, and each loss stays NaN.
            out.fill(f32::NAN);
            let mut to = out.iter_mut();
            all.each_loss(|losses| {
                for (loss, to) in losses.iter().zip(&mut to) {
                    *to = *loss;
                }
            });
        } else if let [loss, ..] = out {
            let mut sum = Running::of(all.rows.count());
            all.each_loss(|losses| sum.add_all(losses));
            *loss = sum.sum() / all.divisor();
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (attrs, shape) = (cx.attrs(), cx.operand_shape(0));
        let operands = [cx.operand(0), cx.operand(1), cx.operand(2)];
        let all = Self::with(attrs, &shape, operands);
        let divisor = all.divisor();
        // The gradient of the result is one number for all rows, or one for each.
        let each = all.settings.reduction == Reduction::None;
        let of_row = |g: &[f32], row: usize| {
            let g = if each { g.get(row) } else { g.first() };
            g.copied().unwrap_or_default() / divisor
        };
        if let Some(grad) = cx.grad(0) {
            let classes = all.rows.classes;
            let parts = all.each_part::<false>(|part, first| {
                let to = grad.operand.get_mut(first * classes..);
                let to = to.unwrap_or_default();
                if part.is_plain() && each {
                    let s = |row| of_row(grad.output, first + row);
                    return part.send_plain_rows(s, to, grad.acc);
                }
                if part.is_plain() {
                    // One division for all rows.
                    let s = of_row(grad.output, 0);
                    return part.send_plain_rows(|_| s, to, grad.acc);
                }
                for (row, start) in part.rows.starts().enumerate() {
                    let s = of_row(grad.output, first + row);
                    part.send_row::<true>(row, start, s, to, grad.acc);
                }
            });
            if parts.is_none() {
                for (row, start) in all.rows.starts().enumerate() {
                    let s = of_row(grad.output, row);
                    all.send_row::<false>(row, start, s, grad.operand, grad.acc);
                }
            }
        }
        if !all.probabilities {
            no_gradient(cx, 1);
        } else if let Some(grad) = cx.grad(1) {
            let classes = all.rows.classes;
            let parts = all.each_part::<true>(|part, first| {
                let to = grad.operand.get_mut(first * classes..);
                let to = to.unwrap_or_default();
                for (row, start) in part.rows.starts().enumerate() {
                    let s = of_row(grad.output, first + row);
                    part.send_row_to_targets(start, s, to, grad.acc);
                }
            });
            if parts.is_none() {
                for (row, start) in all.rows.starts().enumerate() {
                    let s = of_row(grad.output, row);
                    all.send_row_to_targets(start, s, grad.operand, grad.acc);
                }
            }
        }
        no_gradient(cx, 2);
    }
}
