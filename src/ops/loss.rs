//! Losses that are one node: one pass over the data, no buffers in between.

use super::{Entry, exactly};
use crate::kernel::{self, Lanes, Map};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] =
    &[Entry::pair("mse", |p, y, _| p.mse(y)).of(&[&[2, 3], &[2, 3]])];

/// The mean of squared differences.
#[derive(Clone, Copy, Debug)]
pub struct Mse;

/// `s * (x - y)`, with `s = 2 g / n`: the product that the spelled-out form rounds.
struct Slope(f32);
impl Map<2> for Slope {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        L::splat(self.0) * (x - y)
    }
}

impl Op for Mse {
    fn name(&self) -> &'static str {
        "mse"
    }

    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        let [prediction, target] = exactly(operands)?;
        if prediction == target {
            Ok(Shape::SCALAR)
        } else {
            Err(ShapeError::Different)
        }
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let ([p, y], loss) = cx.split();
        if let [loss, ..] = loss {
            let sum = if p.len() <= kernel::IN_ORDER {
                kernel::short_squared_distance(p, y)
            } else {
                kernel::squared_distance(p, y)
            };
            *loss = sum / p.len() as f32;
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        send(cx, [0, 1]);
        if cx.needs_grad(1) {
            send_to_target(cx);
        }
    }
}

#[inline(always)]
fn send(cx: &mut Backward<'_>, [k, other]: [usize; 2]) {
    let (own, other) = (cx.operand(k), cx.operand(other));
    if let Some(grad) = cx.grad(k)
        && let [g, ..] = grad.output
    {
        let g = g / own.len() as f32;
        kernel::map(Slope(g + g), [own, other], grad.operand, grad.acc);
    }
}

// Seldom trained, so that what is should not pay for it.
#[inline(never)]
fn send_to_target(cx: &mut Backward<'_>) {
    send(cx, [1, 0]);
}

/// Losses.
impl<'t> Var<'t> {
    /// Mean squared error: `Σ (x - target)² / n`, as one node.
    ///
    /// Shapes must be equal; PyTorch would broadcast with a warning, and a mean
    /// over the wrong elements is a mistake nobody sees.
    ///
    /// Gradient: `2 (x - target) / n`, and its negative to the target. Same
    /// bits as `(x - target).square().mean()`, values and gradients.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0, 2.0], [2]);
    /// let target = tape.constant(&[0.0, 4.0], [2]);
    /// let loss = x.mse(target);
    /// tape.backward(loss)?;
    /// assert_eq!(loss.item()?, 2.5);
    /// assert_eq!(*x.grad()?, [1.0, -2.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn mse(self, target: Var<'t>) -> Var<'t> {
        self.tape().apply(&Mse, &[self, target], Attrs::default())
    }
}
