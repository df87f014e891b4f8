//! Negative log likelihood of classes.

use super::class::{Settings, class_builders, classes_in_turn, record};
use crate::ops::Entry;
use crate::var::Var;

pub(super) const ENTRY: Entry = Entry::each("nll_loss", |x, _| x.nll_loss(classes_in_turn(x)));

/// PyTorch's `NLLLoss`: the mean of `-x[class]`, where `x` are logarithms of probabilities,
/// as [`log_softmax`](Var::log_softmax) gives them. [`CrossEntropyLoss`](super::CrossEntropyLoss)
/// combines both; its notes on targets, weights and ignored rows hold here, too.
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

class_builders!(NllLoss {});

impl<'t> NllLoss<'t> {
    /// Records the loss of `input`, `[n, classes]`, against the classes of its rows, `[n]`.
    #[track_caller]
    #[must_use]
    pub fn of(self, input: Var<'t>, classes: Var<'t>) -> Var<'t> {
        record::<true>(self.settings, self.weight, [input, classes])
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
