//! Binary cross entropy of logits.

use super::elements::{Elements, Term, with_third};
use super::{Criterion, Loss, Reduction, refuse_trained};
use crate::kernel::{Lanes, math};
use crate::op::Attrs;
use crate::ops::Entry;
use crate::shape::ShapeError;
use crate::var::Var;

pub(super) const ENTRY: Entry = Entry::pair("binary_cross_entropy_with_logits", |x, y, _| {
    x.binary_cross_entropy_with_logits(y)
})
.of(&[&[2, 3], &[2, 3]]);

pub(super) const POS_WEIGHT: Entry = Entry::pair("bce_with_logits_pos_weight", |x, y, args| {
    let weight = x.tape().constant_from_fn([], |_| args.c);
    BceWithLogitsLoss::new().pos_weight(weight).of(x, y)
})
.of(&[&[2, 3], &[2, 3]]);

/// [`Bce`](super::Bce) of `sigmoid(x)`, from the logit `x`:
/// `max(x, 0) - x target + ln(1 + e^-|x|)`.
///
/// Nothing cancels or overflows: the loss is accurate to the last bits also where PyTorch's sum
/// of `(1 - target) x` and a logarithm loses them. An infinite logit of the sign that a target
/// of 0 or 1 predicts gives `0 * inf`, NaN, as in PyTorch. A logit of `-inf` with any other
/// target gives infinity, where PyTorch gives NaN.
///
/// Derivative: `sigmoid(x) - target`; with respect to the target, `-x`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BceWithLogits;

/// The loss, with a weight `p` of positive targets if there is one.
#[inline(always)]
fn loss<L: Lanes>(x: L, target: L, p: Option<L>) -> L {
    let (zero, one) = (L::splat(0.0), L::splat(1.0));
    // NaN of a logit stays NaN, because softplus keeps it.
    let rest = math::softplus(-x.abs());
    let (yes, rest) = match p {
        None => (target, rest),
        Some(p) => (p * target, ((p - one) * target + one) * rest),
    };
    L::select(x.gt(zero), x * (one - target), -(x * yes)) + rest
}

impl Loss for BceWithLogits {
    const NAME: &'static str = "binary_cross_entropy_with_logits";
    const SHORT: usize = 0;
    #[inline(always)]
    fn of<L: Lanes>(self, x: L, target: L) -> L {
        loss(x, target, None)
    }
    #[inline(always)]
    fn slope<L: Lanes>(self, x: L, target: L) -> L {
        math::sigmoid(x) - target
    }
    #[inline(always)]
    fn slope_of_target<L: Lanes>(self, x: L, _: L) -> L {
        -x
    }
}

/// [`BceWithLogits`] with a weight of positive targets.
#[derive(Clone, Copy)]
struct PosWeighted;

impl Term for PosWeighted {
    const NAME: &'static str = BceWithLogits::NAME;
    const SHORT: usize = 0;
    const FACTOR: f32 = 1.0;
    const BY_THIRD: bool = false;
    fn unpack(_: &Attrs) -> Self {
        PosWeighted
    }
    fn check(self) -> Result<(), ShapeError> {
        Ok(())
    }
    #[inline(always)]
    fn of<L: Lanes>(self, [x, target, p]: [L; 3]) -> L {
        loss(x, target, Some(p))
    }
    #[inline(always)]
    fn slope<L: Lanes>(self, [x, target, p]: [L; 3]) -> L {
        let yes = p * target;
        (yes + (L::splat(1.0) - target)) * math::sigmoid(x) - yes
    }
    #[inline(always)]
    fn slope_of_target<L: Lanes>(self, [x, _, p]: [L; 3]) -> L {
        p * math::softplus(-x) - math::softplus(x)
    }
}

/// PyTorch's `BCEWithLogitsLoss`: the mean of [`BceWithLogits`].
///
/// ```
/// use baregrad::ops::loss::BceWithLogitsLoss;
/// # let mut arena = baregrad::Arena::<64, 16>::new();
/// # let tape = arena.tape();
/// let x = tape.param(&[0.0; 4], [2, 2]);
/// let target = tape.input(&[1.0, 0.0, 0.0, 1.0], [2, 2]);
/// let rare = tape.constant(&[1.0, 3.0], [2]); // positives of the second column count thrice
/// let loss = BceWithLogitsLoss::new().pos_weight(rare).of(x, target);
/// tape.backward(loss)?;
/// assert_eq!(*x.grad()?, [-0.125, 0.125, 0.125, -0.375]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BceWithLogitsLoss<'t> {
    all: Criterion<'t, BceWithLogits>,
    pos_weight: Option<Var<'t>>,
}

impl<'t> BceWithLogitsLoss<'t> {
    /// The mean, with PyTorch's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses the mean, the sum, or a loss for each element.
    #[must_use]
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.all = self.all.reduction(reduction);
        self
    }

    /// Sets a weight for each element, as [`Criterion::weight`]. A mean is divided by the number
    /// of elements.
    #[must_use]
    pub fn weight(mut self, weight: Var<'t>) -> Self {
        self.all = self.all.weight(weight);
        self
    }

    /// Sets a weight `p` of positive targets, for classes that are seldom positive:
    /// `-(p target ln sigmoid(x) + (1 - target) ln(1 - sigmoid(x)))`. Its shape must broadcast
    /// to the input's; a number or a row `[columns]` takes one more node of the tape.
    ///
    /// No gradient flows to this weight, and a weight that needs one is an error.
    #[must_use]
    pub fn pos_weight(mut self, pos_weight: Var<'t>) -> Self {
        self.pos_weight = Some(pos_weight);
        self
    }

    /// Records the loss of logits against `target`, as [`Criterion::of`] does. It is one node of
    /// the tape, or three with both kinds of weights; a weight of another shape takes one more.
    #[track_caller]
    #[must_use]
    pub fn of(self, input: Var<'t>, target: Var<'t>) -> Var<'t> {
        let Some(pos_weight) = self.pos_weight else {
            return self.all.of(input, target);
        };
        let op: &'static Elements<PosWeighted, 3> = &Elements::OP;
        // A node has three operands, so that weights of elements are multiplied by another node.
        let own = match self.all.weight {
            Some(_) => Reduction::None,
            None => self.all.reduction,
        };
        let attrs = Attrs {
            tag: own.tag(),
            ..Attrs::NONE
        };
        let loss = with_third(op, [input, target, pos_weight], attrs);
        let Some(weight) = self.all.weight else {
            return loss;
        };
        if let Some(refused) = refuse_trained(op, target, weight) {
            return refused;
        }
        self.all.reduction.weighted(loss, weight)
    }
}

/// Losses.
impl<'t> Var<'t> {
    /// Binary cross entropy of logits: the mean of [`BceWithLogits`], as one node. See
    /// [`BceWithLogitsLoss`] for the sum, for a loss of each element, and for weights.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.param(&[0.0, -100.0], [2]);
    /// let target = tape.constant(&[1.0, 0.0], [2]);
    /// let loss = x.binary_cross_entropy_with_logits(target);
    /// tape.backward(loss)?;
    /// assert_eq!(loss.item()?, core::f32::consts::LN_2 / 2.0);
    /// assert_eq!(x.grad()?[0], -0.25);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn binary_cross_entropy_with_logits(self, target: Var<'t>) -> Var<'t> {
        BceWithLogitsLoss::new().of(self, target)
    }
}
