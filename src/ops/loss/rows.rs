//! Rows of classes in a tensor, along its only axis or along the second of several.

use crate::shape::Shape;

/// The axis along which the classes are.
pub(super) fn axis_of(x: &Shape) -> usize {
    usize::from(x.rank() > 1)
}

/// The rows of classes in a tensor.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) outer: usize,
    pub(super) classes: usize,
    pub(super) inner: usize,
}

impl Rows {
    /// The rows of a tensor of this shape; none if it is empty, whatever the sizes.
    pub(super) fn of(x: &Shape) -> Self {
        let [outer, classes, inner] = x.around(axis_of(x));
        let outer = if x.numel() == 0 { 0 } else { outer };
        Rows {
            outer,
            classes,
            inner,
        }
    }

    pub(super) fn count(self) -> usize {
        self.outer * self.inner
    }

    /// The position of the first element of each row.
    pub(super) fn starts(self) -> impl Iterator<Item = usize> {
        (0..self.outer).flat_map(move |o| {
            let first = o * self.classes * self.inner;
            first..first + self.inner
        })
    }

    /// The elements of the row that starts at position `start`.
    pub(super) fn row(self, x: &[f32], start: usize) -> impl Iterator<Item = f32> + Clone {
        (0..self.classes).map(move |class| self.at(x, start, class))
    }

    /// An element of the row that starts at position `start`.
    pub(super) fn at(self, x: &[f32], start: usize, class: usize) -> f32 {
        let place = start + class * self.inner;
        x.get(place).copied().unwrap_or(f32::NAN)
    }

    /// The elements of the row that starts at position `start`, mutably.
    pub(super) fn row_mut(self, x: &mut [f32], start: usize) -> impl Iterator<Item = &mut f32> {
        let after = x.get_mut(start..).unwrap_or_default();
        let row = after.chunks_mut(self.inner.max(1)).take(self.classes);
        row.filter_map(|chunk| chunk.first_mut())
    }

    /// The class that a target names; `None` if it is not an integer from 0 to the last class.
    pub(super) fn class(self, target: f32) -> Option<usize> {
        // The cast saturates, and turns NaN into 0. A cast to `i32` is a single instruction, and
        // classes beyond its range are not distinct in `f32`.
        let whole = target as i32;
        let class = usize::try_from(whole).ok()?;
        (whole as f32 == target && class < self.classes).then_some(class)
    }
}

/// The weights of classes: 1 for each class if there are no weights.
pub(super) fn weights(of: &[f32], classes: usize) -> impl Iterator<Item = f32> + Clone {
    let ones = if of.is_empty() { classes } else { 0 };
    of.iter().copied().chain(core::iter::repeat_n(1.0, ones))
}

/// The weight of a class: 1 if there are no weights.
pub(super) fn weight(of: &[f32], class: usize) -> f32 {
    of.get(class).copied().unwrap_or(1.0)
}
