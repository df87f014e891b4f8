//! The squared difference.

use super::{Criterion, Loss};
use crate::kernel::{self, Lanes, Map};
use crate::op::{Attrs, Backward, Forward, Grad, Op};
use crate::ops::{Entry, exactly};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRY: Entry = Entry::pair("mse", |p, y, _| p.mse(y)).of(&[&[2, 3], &[2, 3]]);

/// `(prediction - target)²`, whose mean is the mean squared error.
///
/// Derivative: `2 (prediction - target)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Squared;

impl Loss for Squared {
    const NAME: &'static str = "mse";
    const FACTOR: f32 = 2.0;
    const MEAN_BY_WEIGHTS: bool = true;
    #[inline(always)]
    fn of<L: Lanes>(self, prediction: L, target: L) -> L {
        let r = prediction - target;
        r * r
    }
    #[inline(always)]
    fn slope<L: Lanes>(self, prediction: L, target: L) -> L {
        prediction - target
    }
    #[inline(always)]
    fn slope_of_target<L: Lanes>(self, prediction: L, target: L) -> L {
        target - prediction
    }
}

/// PyTorch's `MSELoss`: the mean of [`Squared`] differences. [`Var::mse`] is the same, and
/// faster for few elements.
pub type MseLoss<'t> = Criterion<'t, Squared>;

/// The mean of squared differences, which is faster than [`MseLoss`] for few elements.
#[derive(Clone, Copy, Debug)]
pub struct Mse;

/// `s * (x - y)`, with `s = 2 g / n`: the product that `(x - y).square().mean()` rounds, too.
struct Slope(f32);
impl Map<2> for Slope {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        L::splat(self.0) * Squared.slope(x, y)
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
                kernel::long_squared_distance(p, y)
            };
            *loss = sum / p.len() as f32;
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (p, y) = (cx.operand(0), cx.operand(1));
        if let Some(grad) = cx.first_grad(0) {
            if let Some(slope) = Slope::of(&grad, p) {
                kernel::set_map(slope, [p, y], grad.operand);
            }
        } else {
            seldom_send(cx, [0, 1]);
        }
        if cx.needs_grad(1) {
            seldom_send(cx, [1, 0]);
        }
    }
}

impl Slope {
    #[inline(always)]
    fn of(grad: &Grad<'_>, x: &[f32]) -> Option<Self> {
        let g = grad.output.first()? / x.len() as f32;
        Some(Slope(g + g))
    }
}

// Passes the gradient on to a target, which is seldom trained, or adds it to other gradients. Not
// inlined, so that the usual case does not pay for it.
#[inline(never)]
fn seldom_send(cx: &mut Backward<'_>, [k, other]: [usize; 2]) {
    let (own, other) = (cx.operand(k), cx.operand(other));
    if let Some(grad) = cx.grad(k)
        && let Some(slope) = Slope::of(&grad, own)
    {
        kernel::seldom_map(slope, [own, other], grad.operand, grad.acc);
    }
}

/// Losses.
impl<'t> Var<'t> {
    /// Mean squared error: `Σ (x - target)² / n`, as one node. See [`MseLoss`] for the sum,
    /// for a loss of each element, and for weights.
    ///
    /// Shapes must be equal; PyTorch would broadcast with a warning, and a mean
    /// over the wrong elements is easy to overlook.
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
        self.tape().apply_plain(&Mse, &[self, target])
    }
}
