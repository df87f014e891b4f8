//! The squared difference, with straight lines far from 0.

use super::{Criterion, Loss};
use crate::kernel::Lanes;
use crate::op::Attrs;
use crate::ops::{Args, Entry};
use crate::shape::ShapeError;
use crate::var::Var;

pub(super) const ENTRY: Entry = Entry::pair("huber_loss", |x, y, a| x.huber_loss(y, a.alpha))
    .of(&[&[2, 3], &[2, 3]])
    .with(Args {
        alpha: 0.75,
        ..Args::NONE
    });

/// With `d = prediction - target`: `d² / 2` for `|d|` up to `delta`, `delta (|d| - delta / 2)`
/// beyond.
///
/// Derivative: `d`, at most `delta` in magnitude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Huber {
    /// The magnitude of the difference at which the parabola ends: more than 0.
    pub delta: f32,
}

impl Default for Huber {
    /// PyTorch's default: `delta` is 1.
    fn default() -> Self {
        Huber { delta: 1.0 }
    }
}

impl Loss for Huber {
    const NAME: &'static str = "huber_loss";
    #[inline(always)]
    fn of<L: Lanes>(self, prediction: L, target: L) -> L {
        let (delta, half) = (L::splat(self.delta), L::splat(0.5));
        let z = (prediction - target).abs();
        L::select(z.le(delta), half * z * z, delta * (z - half * delta))
    }
    #[inline(always)]
    fn slope<L: Lanes>(self, prediction: L, target: L) -> L {
        let (delta, d) = (L::splat(self.delta), prediction - target);
        let d = L::select(d.gt(delta), delta, d);
        L::select(d.lt(-delta), -delta, d)
    }
    #[inline(always)]
    fn slope_of_target<L: Lanes>(self, prediction: L, target: L) -> L {
        // The operands are exchanged rather than the result negated, so that zeros have PyTorch's
        // sign.
        self.slope(target, prediction)
    }
    #[inline(always)]
    fn pack(self) -> Attrs {
        Attrs::float(self.delta)
    }
    #[inline(always)]
    fn unpack(attrs: &Attrs) -> Self {
        Huber { delta: attrs.x() }
    }
    fn check(self) -> Result<(), ShapeError> {
        if self.delta > 0.0 {
            Ok(())
        } else {
            Err(ShapeError::Other("expected a delta of more than 0"))
        }
    }
}

/// PyTorch's `HuberLoss`: the mean of [`Huber`], with a `delta` of 1.
pub type HuberLoss<'t> = Criterion<'t, Huber>;

impl HuberLoss<'_> {
    /// Sets the magnitude of the difference at which the parabola ends: more than 0.
    #[must_use]
    pub fn delta(mut self, delta: f32) -> Self {
        self.loss.delta = delta;
        self
    }
}

/// Losses.
impl<'t> Var<'t> {
    /// The mean of [`Huber`], as one node: readings that are far off count by their distance
    /// and not by its square. See [`HuberLoss`] for the sum, for a loss of each element, and
    /// for weights.
    ///
    /// A `delta` that is not more than 0 is an error.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[0.5, 10.0], [2]);
    /// let target = tape.constant(&[0.0, 0.0], [2]);
    /// let loss = x.huber_loss(target, 2.0);
    /// tape.backward(loss)?;
    /// assert_eq!(loss.item()?, (0.125 + 18.0) / 2.0);
    /// assert_eq!(*x.grad()?, [0.25, 1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn huber_loss(self, target: Var<'t>, delta: f32) -> Var<'t> {
        HuberLoss::new().delta(delta).of(self, target)
    }
}
