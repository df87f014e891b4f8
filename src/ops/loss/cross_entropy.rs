//! Cross entropy of classes.

use super::class::{ClassLoss, Settings, class_builders, classes_in_turn, record};
use super::{Reduction, refuse_trained};
use crate::ops::Entry;
use crate::var::Var;

pub(super) const ENTRY: Entry =
    Entry::each("cross_entropy", |x, _| x.cross_entropy(classes_in_turn(x)));

pub(super) const PROBABILITIES: Entry = Entry::pair("cross_entropy_probabilities", |x, y, args| {
    let loss = CrossEntropyLoss::new().label_smoothing(args.slope);
    loss.of(x, y)
})
.of(&[&[2, 3], &[2, 3]]);

/// PyTorch's `CrossEntropyLoss`: `-ln softmax(x)[class]` of logits `x`, a mean over rows.
///
/// | input | classes | or probabilities |
/// | --- | --- | --- |
/// | `[n, classes]` | `[n]` | `[n, classes]` |
/// | `[classes]` | `[]` | `[classes]` |
/// | `[n, classes, d, …]` | `[n, d, …]` | `[n, classes, d, …]` |
///
/// A target of the input's shape holds probabilities. Gradients flow to them as to the input.
///
/// Classes are integers from 0, as `f32`, which holds them up to 2²⁴. If a target is not a class
/// because it is negative, too large, not an integer or NaN, the loss and the gradient of its
/// row are NaN, also when data are rebound later and no error could be reported. (PyTorch stops
/// with an error.) A row whose target is [`ignore_index`](Self::ignore_index) does not count.
///
/// It is one node without a buffer: the backward pass normalises the rows again. Sums over
/// classes and over rows are in the order of [`kernel::sum`](crate::kernel::sum).
///
/// ```
/// use baregrad::ops::loss::CrossEntropyLoss;
/// # let mut arena = baregrad::Arena::<64, 16>::new();
/// # let tape = arena.tape();
/// let logits = tape.param(&[2.0, 2.0, 0.0, 0.0], [2, 2]);
/// let classes = tape.constant(&[1.0, -100.0], [2]); // the second one is unknown
/// let loss = CrossEntropyLoss::new().of(logits, classes);
/// tape.backward(loss)?;
/// assert_eq!(loss.item()?, core::f32::consts::LN_2);
/// assert_eq!(*logits.grad()?, [0.5, -0.5, 0.0, 0.0]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropyLoss<'t> {
    settings: Settings,
    weight: Option<Var<'t>>,
    row_weight: Option<Var<'t>>,
}

class_builders!(CrossEntropyLoss { row_weight: None });

impl<'t> CrossEntropyLoss<'t> {
    /// Sets a weight for each row, of the shape of the classes. PyTorch has no such setting:
    /// there, it is `(loss(reduction='none') * weight).mean()`. Here it takes the same nodes,
    /// and its mean is over all rows, too.
    #[must_use]
    pub fn row_weight(mut self, weight: Var<'t>) -> Self {
        self.row_weight = Some(weight);
        self
    }

    /// Sets the part of each target, 0 to 1, that is shared evenly by all classes.
    #[must_use]
    pub fn label_smoothing(mut self, smoothing: f32) -> Self {
        self.settings.smoothing = smoothing;
        self
    }

    /// Records the loss of logits against `target`, which holds classes or probabilities.
    ///
    /// The tape keeps an error if shapes are not those of the table, or a setting is out of
    /// range.
    #[track_caller]
    #[must_use]
    pub fn of(self, input: Var<'t>, target: Var<'t>) -> Var<'t> {
        let Some(row_weight) = self.row_weight else {
            return record::<false>(self.settings, self.weight, [input, target]);
        };
        if let Some(refused) = refuse_trained(&ClassLoss::<false, false>, target, row_weight) {
            return refused;
        }
        let each = Settings {
            reduction: Reduction::None,
            ..self.settings
        };
        let losses = record::<false>(each, self.weight, [input, target]);
        self.settings.reduction.weighted(losses, row_weight)
    }
}

/// Losses.
impl<'t> Var<'t> {
    /// Cross entropy of logits: the mean of `-ln softmax(x)[class]` over rows, as one node.
    /// See [`CrossEntropyLoss`] for shapes, and for settings such as class weights and label
    /// smoothing.
    ///
    /// Gradient: `(softmax(x) - t) / n`, where `t` is 1 at the class of the row and 0 elsewhere.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<64, 8>::new();
    /// # let tape = arena.tape();
    /// let logits = tape.param(&[0.0, 0.0, 1000.0, 0.0], [2, 2]);
    /// let classes = tape.constant(&[1.0, 0.0], [2]);
    /// let loss = logits.cross_entropy(classes);
    /// tape.backward(loss)?;
    /// assert_eq!(loss.item()?, core::f32::consts::LN_2 / 2.0);
    /// assert_eq!(*logits.grad()?, [0.25, -0.25, 0.0, 0.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn cross_entropy(self, target: Var<'t>) -> Var<'t> {
        CrossEntropyLoss::new().of(self, target)
    }
}
