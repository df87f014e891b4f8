//! The absolute difference, with a parabola around 0.

use super::{Absolute, Criterion, Loss};
use crate::kernel::{Lanes, Mask};
use crate::op::Attrs;
use crate::ops::{Args, Entry};
use crate::shape::ShapeError;
use crate::var::Var;

pub(super) const ENTRY: Entry =
    Entry::pair("smooth_l1_loss", |x, y, a| x.smooth_l1_loss(y, a.alpha))
        .of(&[&[2, 3], &[2, 3]])
        .with(Args {
            alpha: 0.75,
            ..Args::NONE
        });

/// With `d = prediction - target`: `d² / (2 beta)` for `|d|` below `beta`, `|d| - beta / 2` from
/// there on. If `beta` is 0, it is `|d|`.
///
/// Derivative: `d / beta`, and `sign(d)` from `beta` on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothL1 {
    /// The magnitude of the difference at which the parabola ends: 0 or more.
    pub beta: f32,
}

impl Default for SmoothL1 {
    /// PyTorch's default: `beta` is 1.
    fn default() -> Self {
        SmoothL1 { beta: 1.0 }
    }
}

impl Loss for SmoothL1 {
    const NAME: &'static str = "smooth_l1_loss";
    #[inline(always)]
    fn of<L: Lanes>(self, prediction: L, target: L) -> L {
        let (beta, half) = (L::splat(self.beta), L::splat(0.5));
        let z = (prediction - target).abs();
        L::select(z.lt(beta), half * z * z / beta, z - half * beta)
    }
    #[inline(always)]
    fn slope<L: Lanes>(self, prediction: L, target: L) -> L {
        let (beta, d) = (L::splat(self.beta), prediction - target);
        // A comparison with NaN is false: NaN is divided by `beta` and stays NaN, unless `beta`
        // is 0.
        let outside = beta.le(d.abs()).or(beta.eq(L::splat(0.0)));
        L::select(outside, Absolute.slope(prediction, target), d / beta)
    }
    #[inline(always)]
    fn slope_of_target<L: Lanes>(self, prediction: L, target: L) -> L {
        // In either case, zeros have PyTorch's sign.
        if self.beta == 0.0 {
            Absolute.slope_of_target(prediction, target)
        } else {
            self.slope(target, prediction)
        }
    }
    #[inline(always)]
    fn pack(self) -> Attrs {
        Attrs::float(self.beta)
    }
    #[inline(always)]
    fn unpack(attrs: &Attrs) -> Self {
        SmoothL1 { beta: attrs.x() }
    }
    fn check(self) -> Result<(), ShapeError> {
        if self.beta >= 0.0 {
            Ok(())
        } else {
            Err(ShapeError::Other("expected a beta of 0 or more"))
        }
    }
}

/// PyTorch's `SmoothL1Loss`: the mean of [`SmoothL1`], with a `beta` of 1.
pub type SmoothL1Loss<'t> = Criterion<'t, SmoothL1>;

impl SmoothL1Loss<'_> {
    /// Sets the magnitude of the difference at which the parabola ends: 0 or more.
    #[must_use]
    pub fn beta(mut self, beta: f32) -> Self {
        self.loss.beta = beta;
        self
    }
}

/// Losses.
impl<'t> Var<'t> {
    /// The mean of [`SmoothL1`], as one node. See [`SmoothL1Loss`] for the sum, for a loss of
    /// each element, and for weights.
    ///
    /// A `beta` of 0 is [`l1_loss`](Self::l1_loss); a negative one is an error.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[0.5, 3.0], [2]);
    /// let target = tape.constant(&[0.0, 0.0], [2]);
    /// let loss = x.smooth_l1_loss(target, 1.0);
    /// tape.backward(loss)?;
    /// assert_eq!(loss.item()?, (0.125 + 2.5) / 2.0);
    /// assert_eq!(*x.grad()?, [0.25, 0.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn smooth_l1_loss(self, target: Var<'t>, beta: f32) -> Var<'t> {
        SmoothL1Loss::new().beta(beta).of(self, target)
    }
}
