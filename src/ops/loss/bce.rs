//! Binary cross entropy of probabilities.

use super::{Criterion, Loss};
use crate::kernel::{Lanes, math};
use crate::ops::{Domain, Entry};
use crate::var::Var;

pub(super) const ENTRY: Entry =
    Entry::pair("binary_cross_entropy", |p, y, _| p.binary_cross_entropy(y))
        .of(&[&[2, 3], &[2, 3]])
        .on(Domain::Probability);

/// `-(target ln p + (1 - target) ln(1 - p))` of a probability `p`. As in PyTorch, each logarithm
/// is at least -100: a certain prediction that is wrong costs 100, not infinity. PyTorch rejects
/// a `p` or a target outside 0 to 1; here such a `p` gives NaN, and such a target the result of
/// the formula.
///
/// Derivative: `(p - target) / max(p (1 - p), 1e-12)`; with respect to the target,
/// `ln(1 - p) - ln p`, whose logarithms have no bound, as in PyTorch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bce;

/// `ln(1 - p)` for `p` from 0 to 1. Above 1 it is NaN. Below 0 its value does not matter, as
/// `ln p` is NaN there.
///
/// `u = 1 - p` is rounded; the factor `p / (1 - u)` of `ln(u)`, which is near 1, corrects for
/// it. The error is at most 2 ULP.
#[inline(always)]
fn ln_1m<L: Lanes>(p: L) -> L {
    let one = L::splat(1.0);
    let u = one - p;
    let y = math::ln(u) * (p / (one - u));
    L::select(u.eq(one), -p, y)
}

/// A logarithm, or -100 if it is less. NaN stays NaN.
#[inline(always)]
fn bounded<L: Lanes>(ln: L) -> L {
    let least = L::splat(-100.0);
    L::select(ln.lt(least), least, ln)
}

impl Loss for Bce {
    const NAME: &'static str = "binary_cross_entropy";
    const SHORT: usize = 0;
    #[inline(always)]
    fn of<L: Lanes>(self, p: L, target: L) -> L {
        let (no, yes) = (bounded(ln_1m(p)), bounded(math::ln(p)));
        (L::splat(1.0) - target) * -no - target * yes
    }
    #[inline(always)]
    fn slope<L: Lanes>(self, p: L, target: L) -> L {
        let (zero, least) = (L::splat(0.0), L::splat(1e-12));
        let variance = (L::splat(1.0) - p) * p;
        let divisor = L::select(variance.lt(least), least, variance);
        // The variance is negative if `p` is not a probability.
        let divisor = L::select(variance.lt(zero), L::splat(f32::NAN), divisor);
        (p - target) / divisor
    }
    #[inline(always)]
    fn slope_of_target<L: Lanes>(self, p: L, _: L) -> L {
        -(math::ln(p) - ln_1m(p))
    }
}

/// PyTorch's `BCELoss`: the mean of [`Bce`].
pub type BceLoss<'t> = Criterion<'t, Bce>;

/// Losses.
impl<'t> Var<'t> {
    /// Binary cross entropy of probabilities: the mean of [`Bce`], as one node. See
    /// [`BceLoss`] for the sum, for a loss of each element, and for weights.
    ///
    /// If a sigmoid gives the probabilities, use
    /// [`binary_cross_entropy_with_logits`](Self::binary_cross_entropy_with_logits) of its
    /// argument, which stays accurate where the sigmoid is nearly 0 or 1.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let p = tape.param(&[0.5, 0.25], [2]);
    /// let target = tape.constant(&[1.0, 0.0], [2]);
    /// let loss = p.binary_cross_entropy(target);
    /// tape.backward(loss)?;
    /// assert!((loss.item()? - 0.490415).abs() < 1e-6); // (ln 2 - ln 0.75) / 2
    /// assert_eq!(p.grad()?[0], -1.0);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn binary_cross_entropy(self, target: Var<'t>) -> Var<'t> {
        BceLoss::new().of(self, target)
    }
}
