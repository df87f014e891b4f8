//! Cross entropy of classes.

use super::class::{ClassLoss, Settings};
use super::{Reduction, refuse_trained};
use crate::op::Op;
use crate::ops::Entry;
use crate::var::Var;

pub(super) const ENTRY: Entry =
    Entry::each("cross_entropy", |x, _| x.cross_entropy(classes_in_turn(x)));

pub(super) const PROBABILITIES: Entry = Entry::pair("cross_entropy_probabilities", |x, y, args| {
    let loss = CrossEntropyLoss::new().label_smoothing(args.slope);
    loss.of(x, y)
})
.of(&[&[2, 3], &[2, 3]]);

/// A target to try a loss of classes with: the first for the first row, and so on.
pub(super) fn classes_in_turn(x: Var<'_>) -> Var<'_> {
    let shape = x.shape();
    let axis = super::rows::axis_of(&shape);
    let classes = shape.dim(axis);
    let class = |row: usize| row.checked_rem(classes).unwrap_or_default() as f32;
    x.tape().constant_from_fn(shape.without(axis), class)
}

/// PyTorch's `CrossEntropyLoss`: `-ln softmax(x)[class]` of logits `x`, a mean over rows.
///
/// | input | classes | or probabilities |
/// | --- | --- | --- |
/// | `[n, classes]` | `[n]` | `[n, classes]` |
/// | `[classes]` | `[]` | `[classes]` |
/// | `[n, classes, d, …]` | `[n, d, …]` | `[n, classes, d, …]` |
///
/// A target of the input's shape is probabilities. Gradients flow to them, as to the input.
///
/// Classes are whole numbers from 0, as `f32`, which hold them up to 2²⁴. A target that is no
/// class, as it is negative, too large, no whole number or NaN, gives NaN, the loss and the
/// gradient of its row: also when data are rebound later, where an error could not be said.
/// (PyTorch stops with an error.) A row whose target is
/// [`ignore_index`](Self::ignore_index) does not count.
///
/// One node, without a buffer: rows are normalised again for the gradient. Sums over classes
/// and over rows are in the order of [`kernel::sum`](crate::kernel::sum).
///
/// ```
/// use baregrad::ops::loss::CrossEntropyLoss;
/// # let mut arena = baregrad::Arena::<64, 16>::new();
/// # let tape = arena.tape();
/// let logits = tape.param(&[2.0, 2.0, 0.0, 0.0], [2, 2]);
/// let classes = tape.constant(&[1.0, -100.0], [2]); // nobody knows the second
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

impl Default for CrossEntropyLoss<'_> {
    fn default() -> Self {
        CrossEntropyLoss {
            settings: Settings::DEFAULT,
            weight: None,
            row_weight: None,
        }
    }
}

impl<'t> CrossEntropyLoss<'t> {
    /// The mean, with PyTorch's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses the mean, the sum, or a loss for each row.
    #[must_use]
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.settings.reduction = reduction;
        self
    }

    /// A weight for each class, `[classes]`. As in PyTorch, a mean over classes is divided by
    /// the sum of the weights of those that targets say, and NaN if that is 0; one over
    /// probabilities by the number of rows.
    ///
    /// No gradient flows to weights, and weights that need one are an error.
    #[must_use]
    pub fn weight(mut self, weight: Var<'t>) -> Self {
        self.weight = Some(weight);
        self
    }

    /// A weight for each row, of the shape of the classes. PyTorch has none: this is
    /// what is written there as `(loss(reduction='none') * weight).mean()`, by as many
    /// nodes, and its mean is over all rows.
    #[must_use]
    pub fn row_weight(mut self, weight: Var<'t>) -> Self {
        self.row_weight = Some(weight);
        self
    }

    /// The class of rows that do not count: -100, unless said otherwise. It is about
    /// targets that are classes.
    #[must_use]
    pub fn ignore_index(mut self, class: i32) -> Self {
        self.settings.ignored = class;
        self
    }

    /// The part of each target, 0 to 1, that is shared evenly by all classes.
    #[must_use]
    pub fn label_smoothing(mut self, smoothing: f32) -> Self {
        self.settings.smoothing = smoothing;
        self
    }

    /// Records the loss of logits next to `target`: classes or probabilities.
    ///
    /// The tape keeps an error if shapes are none of the table, or a setting is out of range.
    #[track_caller]
    #[must_use]
    pub fn of(mut self, input: Var<'t>, target: Var<'t>) -> Var<'t> {
        let Some(row_weight) = self.row_weight.take() else {
            return self.of_rows(input, target);
        };
        if let Some(refused) = refuse_trained(&ClassLoss::<false, false>, target, row_weight) {
            return refused;
        }
        let reduction = self.settings.reduction;
        reduction.weighted(
            self.reduction(Reduction::None).of_rows(input, target),
            row_weight,
        )
    }

    #[track_caller]
    fn of_rows(self, input: Var<'t>, target: Var<'t>) -> Var<'t> {
        let (tape, attrs) = (input.tape(), self.settings.pack());
        let Some(weight) = self.weight else {
            return tape.apply(&ClassLoss::<false, false>, &[input, target], attrs);
        };
        let op: &'static dyn Op = &ClassLoss::<false, true>;
        if let Some(refused) = refuse_trained(op, target, weight) {
            return refused;
        }
        tape.apply(op, &[input, target, weight], attrs)
    }
}

/// Losses.
impl<'t> Var<'t> {
    /// Cross entropy of logits: the mean of `-ln softmax(x)[class]` over rows, as one node.
    /// See [`CrossEntropyLoss`] for shapes, and for class weights, label smoothing and the
    /// like.
    ///
    /// Gradient: `(softmax(x) - 1 where the class is) / n`.
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
