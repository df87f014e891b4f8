//! The node of [cross entropy](super::CrossEntropyLoss) and of
//! [negative log likelihood](super::NllLoss).

use super::rows::{Rows, axis_of, weight, weights};
use super::{Reduction, refuse_trained};
use crate::kernel::{self, Acc, Level, Running, math, sum_in_turn};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::ops::stretch::no_gradient;
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

/// The settings of a loss of rows of classes. Words: the smoothing; the index to ignore.
/// Tag: the reduction, and whether targets are probabilities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) reduction: Reduction,
    /// The part of each target that is shared by all classes, 0 to 1.
    pub(super) smoothing: f32,
    /// The class of rows that do not count.
    pub(super) ignored: i32,
}

impl Settings {
    /// PyTorch's defaults.
    pub(super) const DEFAULT: Self = Settings {
        reduction: Reduction::Mean,
        smoothing: 0.0,
        ignored: -100,
    };
    const PROBABILITIES: u32 = 4;

    pub(super) fn pack(self) -> Attrs {
        Attrs {
            words: [self.smoothing.to_bits(), self.ignored as u32, 0, 0],
            tag: self.reduction.tag(),
        }
    }

    pub(super) fn unpack(attrs: &Attrs) -> Self {
        let [smoothing, ignored, ..] = attrs.words;
        Settings {
            reduction: Reduction::of(attrs),
            smoothing: f32::from_bits(smoothing),
            ignored: ignored as i32,
        }
    }
}

/// The builders that all losses of classes have. The struct has `settings`, a `weight`, and
/// the further fields that are given with their defaults.
macro_rules! class_builders {
    ($Loss:ident { $($field:ident: $default:expr)? }) => {
        impl Default for $Loss<'_> {
            fn default() -> Self {
                $Loss {
                    settings: Settings::DEFAULT,
                    weight: None,
                    $($field: $default,)?
                }
            }
        }

        impl<'t> $Loss<'t> {
            /// The mean, with PyTorch's defaults.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            /// Chooses the mean, the sum, or a loss for each row.
            #[must_use]
            pub fn reduction(mut self, reduction: $crate::ops::loss::Reduction) -> Self {
                self.settings.reduction = reduction;
                self
            }

            /// A weight for each class, `[classes]`. As in PyTorch, a mean over rows is divided
            /// by the sum of the weights of their targets' classes, and NaN if that is 0; where
            /// targets are probabilities, by the number of rows.
            ///
            /// No gradient flows to weights, and weights that need one are an error.
            #[must_use]
            pub fn weight(mut self, weight: Var<'t>) -> Self {
                self.weight = Some(weight);
                self
            }

            /// The class of rows that do not count: -100, unless said otherwise. It is about
            /// targets that are classes.
            #[must_use]
            pub fn ignore_index(mut self, class: i32) -> Self {
                self.settings.ignored = class;
                self
            }
        }
    };
}
pub(super) use class_builders;

/// Records the node of a loss of classes, with or without weights of the classes.
#[track_caller]
pub(super) fn record<'t, const LOG: bool>(
    settings: Settings,
    weight: Option<Var<'t>>,
    [input, target]: [Var<'t>; 2],
) -> Var<'t> {
    let (tape, attrs) = (input.tape(), settings.pack());
    let Some(weight) = weight else {
        return tape.apply(&ClassLoss::<LOG, false>, &[input, target], attrs);
    };
    let op: &'static dyn Op = &ClassLoss::<LOG, true>;
    if let Some(refused) = refuse_trained(op, target, weight) {
        return refused;
    }
    tape.apply(op, &[input, target, weight], attrs)
}

/// A target to try a loss of classes with: the first for the first row, and so on.
pub(super) fn classes_in_turn(x: Var<'_>) -> Var<'_> {
    let shape = x.shape();
    let axis = axis_of(&shape);
    let classes = shape.dim(axis);
    let class = |row: usize| row.checked_rem(classes).unwrap_or_default() as f32;
    x.tape().constant_from_fn(shape.without(axis), class)
}

/// Whether targets are probabilities, once the shape rule has found out.
fn are_probabilities(attrs: &Attrs) -> bool {
    attrs.tag & Settings::PROBABILITIES != 0
}

/// The shape of a loss of rows of classes: of `x`, targets and maybe weights of classes.
fn shape_of(
    operands: &[Shape],
    attrs: &mut Attrs,
    takes_probabilities: bool,
) -> Result<Shape, ShapeError> {
    let smoothing = Settings::unpack(attrs).smoothing;
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(ShapeError::Other("expected a label_smoothing from 0 to 1"));
    }
    let [x, target, weights @ ..] = operands else {
        return Err(ShapeError::Operands { expected: 2 });
    };
    if x.rank() == 0 {
        return Err(ShapeError::TooFewDims { least: 1 });
    }
    let axis = axis_of(x);
    if weights.iter().any(|w| w.dims() != [x.dim(axis)]) {
        return Err(ShapeError::Other("expected a weight for each class"));
    }
    let rows = x.without(axis);
    attrs.tag &= Reduction::BITS;
    if takes_probabilities && target == x {
        attrs.tag |= Settings::PROBABILITIES;
    } else if *target != rows {
        return Err(ShapeError::Other(if takes_probabilities {
            "expected a class for each row, [n] for [n, classes], or the input's shape"
        } else {
            "expected a class for each row, [n] for [n, classes]"
        }));
    }
    Ok(if Reduction::of(attrs) == Reduction::None {
        rows
    } else {
        Shape::SCALAR
    })
}

/// Cross entropy of logits, or with `LOG` of logarithms of probabilities, which is the
/// negative log likelihood. Operands: the input; targets; and, with `WEIGHTS`, a weight for
/// each class.
pub(super) struct ClassLoss<const LOG: bool, const WEIGHTS: bool>;

/// A row's logarithms of probabilities are `(x - max) - ln_sum`.
#[derive(Clone, Copy)]
struct Norm {
    max: f32,
    sum: f32,
    ln_sum: f32,
}

impl Norm {
    /// The norm of what is normalised already.
    const ONE: Norm = Norm {
        max: 0.0,
        sum: 1.0,
        ln_sum: 0.0,
    };

    /// The norm of logits: shifted by the largest, so that nothing overflows.
    fn of(row: impl Iterator<Item = f32> + Clone, classes: usize) -> Self {
        let larger = |max: f32, x: f32| if x > max || x.is_nan() { x } else { max };
        let max = row.clone().fold(f32::NEG_INFINITY, larger);
        let sum = sum_in_turn(row.map(|x| math::exp(x - max)), classes);
        Norm {
            max,
            sum,
            ln_sum: math::ln(sum),
        }
    }

    fn ln(self, x: f32) -> f32 {
        (x - self.max) - self.ln_sum
    }

    fn probability(self, x: f32) -> f32 {
        math::exp(x - self.max) / self.sum
    }
}

/// So many numbers are normalised at a time: 2 KiB of stack, where there are vectors.
const AT_ONCE: usize = 512;

/// A loss with its operands.
#[derive(Clone, Copy)]
struct Classes<'a, const LOG: bool> {
    settings: Settings,
    probabilities: bool,
    rows: Rows,
    x: &'a [f32],
    targets: &'a [f32],
    weights: &'a [f32],
}

/// The class that a row's target names.
enum Said {
    /// The row does not count.
    Ignored,
    /// The row has this class, of this weight.
    Class(usize, f32),
    /// There is no such class.
    Wrong,
}

impl<const LOG: bool> Classes<'_, LOG> {
    /// The norm of a row; none is needed where the input is logarithms of probabilities.
    fn norm(&self, start: usize) -> Norm {
        if const { LOG } {
            Norm::ONE
        } else {
            Norm::of(self.rows.row(self.x, start), self.rows.classes)
        }
    }

    fn weights(&self) -> impl Iterator<Item = f32> + Clone {
        weights(self.weights, self.rows.classes)
    }

    fn said(&self, row: usize) -> Said {
        let target = self.targets.get(row).copied().unwrap_or(f32::NAN);
        if target == self.settings.ignored as f32 {
            return Said::Ignored;
        }
        match self.rows.class(target) {
            Some(class) => Said::Class(class, weight(self.weights, class)),
            None => Said::Wrong,
        }
    }

    /// The part of a target that its own class keeps, and the part that every class gets.
    fn parts(&self) -> (f32, f32) {
        let smoothing = self.settings.smoothing;
        (1.0 - smoothing, smoothing / self.rows.classes as f32)
    }

    /// The smoothed targets of a row of probabilities, times the weights of the classes.
    fn smoothed(&self, start: usize) -> impl Iterator<Item = f32> + Clone {
        let (own, each) = self.parts();
        let targets = self.rows.row(self.targets, start);
        let terms = targets.zip(self.weights());
        terms.map(move |(target, weight)| weight * (own * target + each))
    }

    /// The loss of a row.
    fn loss(&self, row: usize, start: usize) -> f32 {
        let (classes, (own, each)) = (self.rows.classes, self.parts());
        let xs = self.rows.row(self.x, start);
        if self.probabilities {
            let norm = self.norm(start);
            let terms = self.smoothed(start).zip(xs);
            return -sum_in_turn(terms.map(|(target, x)| target * norm.ln(x)), classes);
        }
        match self.said(row) {
            Said::Ignored => 0.0,
            Said::Wrong => f32::NAN,
            Said::Class(class, weight) => {
                let norm = self.norm(start);
                let x = self.rows.at(self.x, start, class);
                let loss = 0.0 - own * (weight * norm.ln(x));
                if each == 0.0 {
                    // The other logarithms are not multiplied by 0: that of an impossible class
                    // is -inf.
                    return loss;
                }
                let terms = self.weights().zip(xs);
                loss - each * sum_in_turn(terms.map(|(w, x)| w * norm.ln(x)), classes)
            }
        }
    }

    /// Calls `f` with the losses of all rows, in their order.
    fn each_loss(&self, mut f: impl FnMut(f32)) {
        let parts = self.each_part::<true>(
            #[inline(always)]
            |part, _| {
                if part.is_plain() {
                    part.each_plain_loss(&mut f);
                } else {
                    part.each_loss_in_turn(&mut f);
                }
            },
        );
        if parts.is_none() {
            self.each_loss_in_turn(&mut f);
        }
    }

    #[inline(always)]
    fn each_loss_in_turn(&self, f: &mut impl FnMut(f32)) {
        for (row, start) in self.rows.starts().enumerate() {
            f(self.loss(row, start));
        }
    }

    /// Whether targets are classes that all count the same, without smoothing. Most are, and
    /// losses and gradients of such rows take a third of the instructions if nothing else is
    /// asked for each of them.
    fn is_plain(&self) -> bool {
        !self.probabilities && self.weights.is_empty() && self.settings.smoothing == 0.0
    }

    /// The rows of a plain loss that are normalised, each with what its target says: 1 for a
    /// row that counts, 0 for one that does not, and NaN if there is no such class; and its class.
    #[inline(always)]
    fn plain_rows(&self) -> impl Iterator<Item = (&[f32], f32, usize)> {
        let (rows, ignored) = (self.rows, self.settings.ignored as f32);
        let each = self.x.chunks_exact(rows.classes.max(1)).zip(self.targets);
        each.map(move |(row, target)| {
            if *target == ignored {
                (row, 0.0, usize::MAX)
            } else if let Some(class) = rows.class(*target) {
                (row, 1.0, class)
            } else {
                (row, f32::NAN, usize::MAX)
            }
        })
    }

    /// [`each_loss_in_turn`](Self::each_loss_in_turn) of a plain loss, from logarithms of
    /// probabilities.
    #[inline(always)]
    fn each_plain_loss(&self, f: &mut impl FnMut(f32)) {
        for (row, counts, class) in self.plain_rows() {
            // Rows without a class have their loss in what they count.
            f(row.get(class).map_or(counts, |x| 0.0 - x));
        }
    }

    /// [`send_row`](Self::send_row) of all rows of a plain loss, from probabilities. `s` is the
    /// gradient of each loss.
    #[inline(always)]
    fn send_plain_rows(&self, s: impl Fn(usize) -> f32, to: &mut [f32], acc: Acc) {
        let to = to.chunks_exact_mut(self.rows.classes.max(1));
        for (row, (to, (ps, counts, class))) in to.zip(self.plain_rows()).enumerate() {
            // Rows that do not count get 0 even if the divisor is 0.
            let s = if counts == 0.0 { 0.0 } else { s(row) * counts };
            let send = |c: usize, to: &mut f32, p: f32| {
                let at = if c == class { -s } else { 0.0 };
                acc.put(to, at - p * (0.0 - s));
            };
            if let ([to, second], [p, q]) = (&mut *to, ps) {
                send(0, to, *p);
                send(1, second, *q);
                continue;
            }
            for (c, (to, p)) in to.iter_mut().zip(ps).enumerate() {
                send(c, to, *p);
            }
        }
    }

    /// Has vectors normalise logits, as many rows at a time as a buffer takes, to logarithms of
    /// probabilities or to probabilities, and calls `f` with the rows and the number of the
    /// first. Same bits as one row after the other, which for 200 rows of two classes takes
    /// four times as long. `None` where there are no vectors, or rows for which there is no
    /// such way; firmware for small cores is compiled without it.
    #[inline(always)]
    fn each_part<const LOGARITHMS: bool>(
        &self,
        mut f: impl FnMut(&Classes<'_, true>, usize),
    ) -> Option<()> {
        let classes = self.rows.classes;
        if const { LOG || !Level::VECTORS } || self.rows.inner != 1 {
            return None;
        }
        let mut buffer = [0.0; AT_ONCE];
        let rows = AT_ONCE.checked_div(classes).filter(|rows| *rows > 0)?;
        let targets = if self.probabilities { classes } else { 1 };
        for (k, x) in self.x.chunks(rows * classes).enumerate() {
            let (first, outer) = (k * rows, x.len() / classes);
            let to = buffer.get_mut(..x.len()).unwrap_or_default();
            kernel::softmax::<LOGARITHMS>(x, [outer, classes, 1], to);
            let part = Classes {
                settings: self.settings,
                probabilities: self.probabilities,
                rows: Rows { outer, ..self.rows },
                x: to,
                targets: self.targets.get(first * targets..).unwrap_or_default(),
                weights: self.weights,
            };
            f(&part, first);
        }
        Some(())
    }

    /// The divisor of the sum: the weights of the classes that targets say, or the
    /// number of rows whose targets are probabilities.
    fn divisor(&self) -> f32 {
        let count = self.rows.count();
        match self.settings.reduction {
            Reduction::Mean if self.probabilities => count as f32,
            // Ones add up to their number.
            Reduction::Mean
                if Level::VECTORS
                    && self.weights.is_empty()
                    && count.max(self.rows.classes) <= 1 << 23 =>
            {
                let (ignored, classes) = (self.settings.ignored as f32, self.rows.classes as f32);
                // Four counts at a time, of floats that are whole, at least 0 and less than the
                // number of classes. Up to 2²³ this addition leaves no fraction.
                const WHOLE: f32 = 8_388_608.0;
                let (mut counted, mut right) = (0_u32, 0_u32);
                for target in self.targets.iter().take(count) {
                    let whole = (*target + WHOLE) - WHOLE == *target;
                    let counts = *target != ignored;
                    let is_class = whole & (*target >= 0.0) & (*target < classes);
                    counted += u32::from(counts);
                    right += u32::from(counts & is_class);
                }
                let all = right == counted;
                if all { counted as f32 } else { f32::NAN }
            }
            Reduction::Mean => {
                let weights = (0..count).map(|row| match self.said(row) {
                    Said::Ignored => 0.0,
                    Said::Class(_, weight) => weight,
                    Said::Wrong => f32::NAN,
                });
                let sum = sum_in_turn(weights, count);
                // Also where smoothing has left a loss to divide.
                let is_nothing = !self.weights.is_empty() && sum == 0.0;
                if is_nothing { f32::NAN } else { sum }
            }
            _ => 1.0,
        }
    }

    /// The gradient of a row's loss, `s` times, to its input. With `SOFT`, probabilities stand
    /// in the place of logits.
    #[inline(always)]
    fn send_row<const SOFT: bool>(
        &self,
        row: usize,
        start: usize,
        s: f32,
        to: &mut [f32],
        acc: Acc,
    ) {
        let norm = || if SOFT { Norm::ONE } else { self.norm(start) };
        let probability = |norm: Norm, x| if SOFT { x } else { norm.probability(x) };
        let (classes, (own, each)) = (self.rows.classes, self.parts());
        let xs = self.rows.row(self.x, start);
        let to = self.rows.row_mut(to, start).zip(xs);
        if self.probabilities {
            let norm = norm();
            let targets = self.smoothed(start);
            let all = s * sum_in_turn(targets.clone(), classes);
            for ((to, x), target) in to.zip(targets) {
                acc.put(to, probability(norm, x) * all - s * target);
            }
            return;
        }
        // Rows that do not count get 0 even if the divisor is 0. A row with a wrong target gets
        // NaN throughout.
        let (s, class, weight) = match self.said(row) {
            Said::Ignored => (0.0, None, 0.0),
            Said::Wrong => (f32::NAN, None, 1.0),
            Said::Class(class, weight) => (s, Some(class), weight),
        };
        let said = s * (own * weight);
        let shared = s * each;
        let all = if each == 0.0 {
            said
        } else {
            said + shared * sum_in_turn(self.weights(), classes)
        };
        let norm = norm();
        for (c, ((to, x), w)) in to.zip(self.weights()).enumerate() {
            // The gradient of the logarithm, to the signs of zeros as PyTorch has it.
            let is_wrong = class.is_none() && said.is_nan();
            let at = if Some(c) == class || is_wrong {
                -said
            } else {
                0.0
            };
            let at = if each == 0.0 { at } else { at - shared * w };
            let grad = if const { LOG && !SOFT } {
                at
            } else {
                at - probability(norm, x) * (0.0 - all)
            };
            acc.put(to, grad);
        }
    }

    /// The gradient of a row's loss, `s` times, to its probabilities.
    fn send_row_to_targets(&self, start: usize, s: f32, to: &mut [f32], acc: Acc) {
        let (norm, (own, _)) = (self.norm(start), self.parts());
        let xs = self.rows.row(self.x, start).zip(self.weights());
        for (to, (x, w)) in self.rows.row_mut(to, start).zip(xs) {
            acc.put(to, -(s * norm.ln(x)) * w * own);
        }
    }
}

impl<const LOG: bool, const WEIGHTS: bool> ClassLoss<LOG, WEIGHTS> {
    /// A loss of this shape, with its operands.
    fn with<'a>(
        attrs: &Attrs,
        shape: &Shape,
        [x, targets, weights]: [&'a [f32]; 3],
    ) -> Classes<'a, LOG> {
        Classes {
            settings: Settings::unpack(attrs),
            probabilities: are_probabilities(attrs),
            rows: Rows::of(shape),
            x,
            targets,
            weights: if const { WEIGHTS } { weights } else { &[] },
        }
    }
}

impl<const LOG: bool, const WEIGHTS: bool> Op for ClassLoss<LOG, WEIGHTS> {
    fn name(&self) -> &'static str {
        if LOG { "nll_loss" } else { "cross_entropy" }
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let expected = if WEIGHTS { 3 } else { 2 };
        if operands.len() != expected {
            return Err(ShapeError::Operands { expected });
        }
        shape_of(operands, attrs, !LOG)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let (attrs, shape) = (cx.attrs(), cx.operand_shape(0));
        let (operands, out) = cx.split();
        let all = Self::with(attrs, &shape, operands);
        if all.settings.reduction == Reduction::None {
            // Rows without classes are not among the losses below.
            out.fill(f32::NAN);
            let mut to = out.iter_mut();
            all.each_loss(|loss| {
                if let Some(to) = to.next() {
                    *to = loss;
                }
            });
        } else if let [loss, ..] = out {
            let mut sum = Running::of(all.rows.count());
            all.each_loss(|loss| sum.add(loss));
            *loss = sum.sum() / all.divisor();
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (attrs, shape) = (cx.attrs(), cx.operand_shape(0));
        let operands = [cx.operand(0), cx.operand(1), cx.operand(2)];
        let all = Self::with(attrs, &shape, operands);
        let divisor = all.divisor();
        // The gradient of the result is one number for all rows, or one for each.
        let each = all.settings.reduction == Reduction::None;
        let of_row = |g: &[f32], row: usize| {
            let g = if each { g.get(row) } else { g.first() };
            g.copied().unwrap_or_default() / divisor
        };
        if let Some(grad) = cx.grad(0) {
            let classes = all.rows.classes;
            let parts = all.each_part::<false>(|part, first| {
                let to = grad.operand.get_mut(first * classes..);
                let to = to.unwrap_or_default();
                if part.is_plain() {
                    let s = |row| of_row(grad.output, first + row);
                    return part.send_plain_rows(s, to, grad.acc);
                }
                for (row, start) in part.rows.starts().enumerate() {
                    let s = of_row(grad.output, first + row);
                    part.send_row::<true>(row, start, s, to, grad.acc);
                }
            });
            if parts.is_none() {
                for (row, start) in all.rows.starts().enumerate() {
                    let s = of_row(grad.output, row);
                    all.send_row::<false>(row, start, s, grad.operand, grad.acc);
                }
            }
        }
        if !all.probabilities {
            no_gradient(cx, 1);
        } else if let Some(grad) = cx.grad(1) {
            let classes = all.rows.classes;
            let parts = all.each_part::<true>(|part, first| {
                let to = grad.operand.get_mut(first * classes..);
                let to = to.unwrap_or_default();
                for (row, start) in part.rows.starts().enumerate() {
                    let s = of_row(grad.output, first + row);
                    part.send_row_to_targets(start, s, to, grad.acc);
                }
            });
            if parts.is_none() {
                for (row, start) in all.rows.starts().enumerate() {
                    let s = of_row(grad.output, row);
                    all.send_row_to_targets(start, s, grad.operand, grad.acc);
                }
            }
        }
        no_gradient(cx, 2);
    }
}
