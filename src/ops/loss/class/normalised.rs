//! Losses of rows of classes that vectors normalise, many at a time.

use super::losses::Classes;
use crate::kernel::{self, Acc, Level};
use crate::ops::loss::rows::Rows;

/// The number of elements that vectors normalise at a time. Their buffer takes 2 KiB of stack.
const AT_ONCE: usize = 512;

/// Returns `a` if `so`, otherwise `b`, selected by their bits. The compiler would turn an `if` of
/// floats into a branch, which a CPU mispredicts for every other row of two classes, and which
/// keeps loops from being vectorised.
#[inline(always)]
fn either(so: bool, a: f32, b: f32) -> f32 {
    let mask = u32::from(so).wrapping_neg();
    f32::from_bits((a.to_bits() & mask) | (b.to_bits() & !mask))
}

/// A target of a plain loss: whether its row counts, and the class that it names.
struct PlainTarget {
    /// 1 if the row counts, 0 if it is ignored, and NaN if there is no such class.
    count: f32,
    /// The class, or -1 if the row has none.
    class: f32,
}

impl PlainTarget {
    /// The gradient of the row's loss, from that of rows that count, `s`. Ignored rows get 0 even
    /// if the divisor is 0.
    #[inline(always)]
    fn gradient(&self, s: f32) -> f32 {
        either(self.count == 0.0, 0.0, s * self.count)
    }

    /// The gradient of the logit of class `c`, whose probability is `p`, from that of the row's
    /// loss, `s`.
    #[inline(always)]
    fn send(&self, c: f32, p: f32, s: f32) -> f32 {
        either(c == self.class, -s, 0.0) - p * (0.0 - s)
    }
}

impl<const LOG: bool> Classes<'_, LOG> {
    /// Calls `f` with the losses of all rows, in their order, one or more at a time.
    pub(super) fn each_loss(&self, mut f: impl FnMut(&[f32])) {
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

    /// Returns whether targets are classes without weights and without smoothing. Most losses
    /// are, and their rows take a third of the instructions if the loops test for nothing else.
    pub(super) fn is_plain(&self) -> bool {
        !self.probabilities && self.weights.is_empty() && self.settings.smoothing == 0.0
    }

    /// Reads a target of a plain loss. Nothing here branches, so that a CPU mispredicts nothing
    /// and the compiler can vectorise a loop over targets.
    #[inline(always)]
    fn plain_target(&self, target: f32) -> PlainTarget {
        // A class is an integer from 0. There are at most `AT_ONCE` classes here, and up to 2²³,
        // adding `WHOLE` rounds to an integer.
        const WHOLE: f32 = 8_388_608.0;
        let whole = (target + WHOLE) - WHOLE == target;
        let is_class = whole & (target >= 0.0) & (target < self.rows.classes as f32);
        let counts = target != self.settings.ignored as f32;
        PlainTarget {
            count: either(counts, either(is_class, 1.0, f32::NAN), 0.0),
            class: either(counts & is_class, target, -1.0),
        }
    }

    /// [`each_loss_in_turn`](Self::each_loss_in_turn) of a plain loss, from logarithms of
    /// probabilities.
    #[inline(always)]
    fn each_plain_loss(&self, f: &mut impl FnMut(&[f32])) {
        // Two classes, the most common number, need no loop over classes.
        if self.rows.classes == 2 {
            let mut losses = [0.0; AT_ONCE / 2];
            let rows = self.x.as_chunks().0.iter().zip(self.targets);
            let count = rows.len();
            for (loss, ([x, y], said)) in losses.iter_mut().zip(rows) {
                let target = self.plain_target(*said);
                let loss_of_class = 0.0 - either(target.class == 0.0, *x, *y);
                *loss = either(target.class < 0.0, target.count, loss_of_class);
            }
            return f(losses.get(..count).unwrap_or_default());
        }
        let rows = self.x.chunks_exact(self.rows.classes.max(1));
        for (row, said) in rows.zip(self.targets) {
            let target = self.plain_target(*said);
            // The loss of a row without a class is its `count`: 0 if it is ignored, or NaN.
            let x = row
                .get(target.class as usize)
                .filter(|_| target.class >= 0.0);
            f(&[x.map_or(target.count, |x| 0.0 - x)]);
        }
    }

    /// [`send_row`](Self::send_row) of all rows of a plain loss, from probabilities. `s` is the
    /// gradient of each loss.
    #[inline(always)]
    pub(super) fn send_plain_rows(&self, s: impl Fn(usize) -> f32, to: &mut [f32], acc: Acc) {
        if self.rows.classes == 2 {
            return self.send_plain_pairs(s, to, acc);
        }
        let classes = self.rows.classes.max(1);
        let rows = to
            .chunks_exact_mut(classes)
            .zip(self.x.chunks_exact(classes));
        for (row, ((to, ps), said)) in rows.zip(self.targets).enumerate() {
            let target = self.plain_target(*said);
            let s = target.gradient(s(row));
            for (c, (to, p)) in to.iter_mut().zip(ps).enumerate() {
                acc.put(to, target.send(c as f32, *p, s));
            }
        }
    }

    /// [`send_plain_rows`](Self::send_plain_rows) of two classes.
    #[inline(always)]
    fn send_plain_pairs(&self, s: impl Fn(usize) -> f32, to: &mut [f32], acc: Acc) {
        // The compiler vectorises this loop because no other slice can overlap a local array,
        // and because the loop does not test `acc` for each row.
        let mut grads = [0.0; AT_ONCE];
        let rows = grads.as_chunks_mut().0.iter_mut();
        let rows = rows.zip(self.x.as_chunks().0).zip(self.targets);
        for (row, (([to0, to1], [p0, p1]), said)) in rows.enumerate() {
            let target = self.plain_target(*said);
            let s = target.gradient(s(row));
            (*to0, *to1) = (target.send(0.0, *p0, s), target.send(1.0, *p1, s));
        }
        for (to, grad) in to.iter_mut().zip(grads).take(self.x.len()) {
            acc.put(to, grad);
        }
    }

    /// Normalises logits in vectors, as many rows at a time as the buffer holds, to logarithms of
    /// probabilities or to probabilities, and calls `f` with these rows and the number of the
    /// first. The bits are those of one row after the other, which for 200 rows of two classes
    /// takes four times as long.
    ///
    /// Returns `None` on targets without vectors, whose firmware does not contain this code, and
    /// if the input is not logits, or its rows are not contiguous or do not fit into the buffer.
    #[inline(always)]
    pub(super) fn each_part<const LOGARITHMS: bool>(
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
}
