//! Negative log likelihood of classes.

use super::class::{ClassLoss, Settings};
use super::cross_entropy::classes_in_turn;
use super::{Reduction, refuse_trained};
use crate::op::Op;
use crate::ops::Entry;
use crate::var::Var;

pub(super) const ENTRY: Entry = Entry::each("nll_loss", |x, _| x.nll_loss(classes_in_turn(x)));

/// PyTorch's `NLLLoss`: the mean of `-x[class]`, where `x` are logarithms of probabilities,
/// as [`log_softmax`](Var::log_softmax) gives them. [`CrossEntropyLoss`](super::CrossEntropyLoss)
/// is both in one, and says of targets, weights and ignored rows what holds here, too.
///
/// ```
/// use baregrad::ops::loss::{NllLoss, Reduction};
/// # let mut arena = baregrad::Arena::<64, 16>::new();
/// # let tape = arena.tape();
/// let x = tape.param(&[-0.5, -1.0, -2.0, -0.25], [2, 2]);
/// let classes = tape.constant(&[0.0, 1.0], [2]);
/// let loss = NllLoss::new().reduction(Reduction::Sum).of(x, classes);
/// assert_eq!(loss.item()?, 0.75);
/// tape.backward(loss)?;
/// assert_eq!(*x.grad()?, [-1.0, 0.0, 0.0, -1.0]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NllLoss<'t> {
    settings: Settings,
    weight: Option<Var<'t>>,
}

impl Default for NllLoss<'_> {
    fn default() -> Self {
        NllLoss {
            settings: Settings::DEFAULT,
            weight: None,
        }
    }
}

impl<'t> NllLoss<'t> {
    /// The mean, with PyTorch's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What becomes of the losses of rows.
    #[must_use]
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.settings.reduction = reduction;
        self
    }

    /// A weight for each class, `[classes]`. A mean is divided by the sum of the weights of
    /// the classes that targets say.
    #[must_use]
    pub fn weight(mut self, weight: Var<'t>) -> Self {
        self.weight = Some(weight);
        self
    }

    /// The class of rows that do not count: -100, unless said otherwise.
    #[must_use]
    pub fn ignore_index(mut self, class: i32) -> Self {
        self.settings.ignored = class;
        self
    }

    /// Records the loss of `input`, `[n, classes]`, next to the classes of its rows, `[n]`.
    #[track_caller]
    #[must_use]
    pub fn of(self, input: Var<'t>, classes: Var<'t>) -> Var<'t> {
        let (tape, attrs) = (input.tape(), self.settings.pack());
        let Some(weight) = self.weight else {
            return tape.apply(&ClassLoss::<true, false>, &[input, classes], attrs);
        };
        let op: &'static dyn Op = &ClassLoss::<true, true>;
        if let Some(refused) = refuse_trained(op, classes, weight) {
            return refused;
        }
        tape.apply(op, &[input, classes, weight], attrs)
    }
}

/// Losses.
impl<'t> Var<'t> {
    /// Negative log likelihood: the mean of `-x[class]` over rows of logarithms of
    /// probabilities, as one node. See [`NllLoss`] for shapes and settings.
    #[track_caller]
    #[must_use]
    pub fn nll_loss(self, classes: Var<'t>) -> Var<'t> {
        NllLoss::new().of(self, classes)
    }
}
