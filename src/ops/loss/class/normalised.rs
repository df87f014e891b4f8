//! Rows of classes that vectors normalise, many at a time.

use super::losses::Classes;
use crate::kernel::{self, Acc, Level};
use crate::ops::loss::rows::Rows;

/// So many numbers are normalised at a time: 2 KiB of stack, where there are vectors.
const AT_ONCE: usize = 512;

impl<const LOG: bool> Classes<'_, LOG> {
    /// Calls `f` with the losses of all rows, in their order.
    pub(super) fn each_loss(&self, mut f: impl FnMut(f32)) {
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

    /// Whether targets are classes that all count the same, without smoothing. Most are, and
    /// losses and gradients of such rows take a third of the instructions if nothing else is
    /// asked for each of them.
    pub(super) fn is_plain(&self) -> bool {
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
    pub(super) fn send_plain_rows(&self, s: impl Fn(usize) -> f32, to: &mut [f32], acc: Acc) {
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
