//! The losses of rows of classes and their gradients, row by row.

use super::settings::Settings;
use crate::kernel::{Acc, Level, math, sum_in_turn};
use crate::ops::loss::Reduction;
use crate::ops::loss::rows::{Rows, weight, weights};

/// The normalisation of a row: its logarithms of probabilities are `(x - max) - ln_sum`.
#[derive(Clone, Copy)]
struct Norm {
    max: f32,
    sum: f32,
    ln_sum: f32,
}

impl Norm {
    /// The norm of a row that is normalised already.
    const ONE: Norm = Norm {
        max: 0.0,
        sum: 1.0,
        ln_sum: 0.0,
    };

    /// The norm of a row of logits, shifted by the largest so that nothing overflows.
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

/// A loss with its operands.
#[derive(Clone, Copy)]
pub(super) struct Classes<'a, const LOG: bool> {
    pub(super) settings: Settings,
    pub(super) probabilities: bool,
    pub(super) rows: Rows,
    pub(super) x: &'a [f32],
    pub(super) targets: &'a [f32],
    pub(super) weights: &'a [f32],
}

/// The class that a row's target names.
enum RowTarget {
    /// The row does not count.
    Ignored,
    /// The row has this class, of this weight.
    Class(usize, f32),
    /// There is no such class.
    Wrong,
}

impl<const LOG: bool> Classes<'_, LOG> {
    /// The norm of a row: [`Norm::ONE`] if the input is logarithms of probabilities.
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

    fn target_of(&self, row: usize) -> RowTarget {
        let target = self.targets.get(row).copied().unwrap_or(f32::NAN);
        if target == self.settings.ignored as f32 {
            return RowTarget::Ignored;
        }
        match self.rows.class(target) {
            Some(class) => RowTarget::Class(class, weight(self.weights, class)),
            None => RowTarget::Wrong,
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
        match self.target_of(row) {
            RowTarget::Ignored => 0.0,
            RowTarget::Wrong => f32::NAN,
            RowTarget::Class(class, weight) => {
                let norm = self.norm(start);
                let x = self.rows.at(self.x, start, class);
                let loss = 0.0 - own * (weight * norm.ln(x));
                if each == 0.0 {
                    // The other logarithms must not be multiplied by 0, because the logarithm of
                    // an impossible class is -inf.
                    return loss;
                }
                let terms = self.weights().zip(xs);
                loss - each * sum_in_turn(terms.map(|(w, x)| w * norm.ln(x)), classes)
            }
        }
    }

    #[inline(always)]
    pub(super) fn each_loss_in_turn(&self, f: &mut impl FnMut(&[f32])) {
        for (row, start) in self.rows.starts().enumerate() {
            f(&[self.loss(row, start)]);
        }
    }

    /// The divisor of the sum of losses. For a mean, it is the sum of the weights of the targets'
    /// classes, or the number of rows if targets are probabilities.
    pub(super) fn divisor(&self) -> f32 {
        let count = self.rows.count();
        match self.settings.reduction {
            Reduction::Mean if self.probabilities => count as f32,
            // Weights of 1 add up to their number.
            Reduction::Mean
                if Level::VECTORS
                    && self.weights.is_empty()
                    && count.max(self.rows.classes) <= 1 << 23 =>
            {
                let (ignored, classes) = (self.settings.ignored as f32, self.rows.classes as f32);
                // The compiler vectorises this loop, four targets at a time. A class is an integer
                // from 0 to below the number of classes; up to 2²³, adding `WHOLE` rounds to an
                // integer.
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
                let weights = (0..count).map(|row| match self.target_of(row) {
                    RowTarget::Ignored => 0.0,
                    RowTarget::Class(_, weight) => weight,
                    RowTarget::Wrong => f32::NAN,
                });
                let sum = sum_in_turn(weights, count);
                // NaN also if smoothing leaves a loss other than 0 to be divided by 0.
                let is_nothing = !self.weights.is_empty() && sum == 0.0;
                if is_nothing { f32::NAN } else { sum }
            }
            _ => 1.0,
        }
    }

    /// Passes `s` times the gradient of a row's loss on to its input. With `SOFT`, the input
    /// `x` holds probabilities in place of logits.
    #[inline(always)]
    pub(super) fn send_row<const SOFT: bool>(
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
        // An ignored row gets 0 even if the divisor is 0. A row with a wrong target gets NaN in
        // all classes.
        let (s, class, weight) = match self.target_of(row) {
            RowTarget::Ignored => (0.0, None, 0.0),
            RowTarget::Wrong => (f32::NAN, None, 1.0),
            RowTarget::Class(class, weight) => (s, Some(class), weight),
        };
        let at_target = s * (own * weight);
        let shared = s * each;
        let all = if each == 0.0 {
            at_target
        } else {
            at_target + shared * sum_in_turn(self.weights(), classes)
        };
        let norm = norm();
        for (c, ((to, x), w)) in to.zip(self.weights()).enumerate() {
            // The gradient of the logarithm of the probability, with PyTorch's signs of zeros.
            let is_wrong = class.is_none() && at_target.is_nan();
            let at = if Some(c) == class || is_wrong {
                -at_target
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

    /// Passes `s` times the gradient of a row's loss on to its target probabilities.
    pub(super) fn send_row_to_targets(&self, start: usize, s: f32, to: &mut [f32], acc: Acc) {
        let (norm, (own, _)) = (self.norm(start), self.parts());
        let xs = self.rows.row(self.x, start).zip(self.weights());
        for (to, (x, w)) in self.rows.row_mut(to, start).zip(xs) {
            acc.put(to, -(s * norm.ln(x)) * w * own);
        }
    }
}
