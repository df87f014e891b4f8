//! The absolute difference.

use super::{Criterion, Loss};
use crate::kernel::Lanes;
use crate::op::Attrs;
use crate::ops::math::Abs;
use crate::ops::{Entry, Unary};
use crate::var::Var;

pub(super) const ENTRY: Entry =
    Entry::pair("l1_loss", |x, y, _| x.l1_loss(y)).of(&[&[2, 3], &[2, 3]]);

/// `|prediction - target|`.
///
/// Derivative: 1, -1, or 0 where both are equal, or either is NaN (as in PyTorch).
#[derive(Clone, Copy, Debug, Default)]
pub struct Absolute;

impl Loss for Absolute {
    const NAME: &'static str = "l1_loss";
    const MEAN_BY_WEIGHTS: bool = true;
    #[inline(always)]
    fn of<L: Lanes>(self, prediction: L, target: L) -> L {
        (prediction - target).abs()
    }
    #[inline(always)]
    fn slope<L: Lanes>(self, prediction: L, target: L) -> L {
        let d = prediction - target;
        Abs::backward(&Attrs::NONE, d, d, L::splat(1.0))
    }
}

/// PyTorch's `L1Loss`: the mean of [`Absolute`] differences.
pub type L1Loss<'t> = Criterion<'t, Absolute>;

/// Losses.
impl<'t> Var<'t> {
    /// Mean absolute error: `Σ |x - target| / n`, as one node. See
    /// [`L1Loss`] for the sum, for a loss of each element, and for
    /// weights.
    ///
    /// Gradient: `sign(x - target) / n`, 0 where they are equal, and its negative to the
    /// target. Same bits as `(x - target).abs().mean()`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[1.0, 2.0], [2]);
    /// let target = tape.constant(&[0.0, 4.0], [2]);
    /// let loss = x.l1_loss(target);
    /// tape.backward(loss)?;
    /// assert_eq!(loss.item()?, 1.5);
    /// assert_eq!(*x.grad()?, [0.5, -0.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn l1_loss(self, target: Var<'t>) -> Var<'t> {
        L1Loss::new().of(self, target)
    }
}
