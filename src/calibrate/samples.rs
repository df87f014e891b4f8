//! The samples of a fit: readings and references.

use super::epoch::Rows;

/// Scaled readings and as many scaled references.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'d> {
    /// The readings.
    pub x: &'d [f32],
    /// The references.
    pub y: &'d [f32],
}

impl<'d> Samples<'d> {
    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.x.len().min(self.y.len())
    }

    /// All samples, as rows of one input and one target.
    pub(super) fn rows(&self) -> Rows<'d> {
        Rows {
            count: self.len(),
            x: self.x,
            y: self.y,
        }
    }

    /// Returns whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Splits the samples into the first `training` ones, and the others for validation.
    #[must_use]
    pub fn split_at(&self, training: usize) -> [Samples<'d>; 2] {
        let training = training.min(self.len());
        let (x, validation_x) = self.x.split_at_checked(training).unwrap_or_default();
        let (y, validation_y) = self.y.split_at_checked(training).unwrap_or_default();
        let validation = Samples {
            x: validation_x,
            y: validation_y,
        };
        [Samples { x, y }, validation]
    }
}

/// Moves the samples with these indices to the end, and returns the number of the others.
/// Both groups keep their order, so that [`Samples::split_at`] then gives samples to
/// train with and samples to validate with. Indices beyond the end are ignored.
///
/// ```
/// use baregrad::calibrate::move_behind;
///
/// let (mut x, mut y) = ([0.0, 1.0, 2.0, 3.0], [0.5, 1.5, 2.5, 3.5]);
/// assert_eq!(move_behind(&mut x, &mut y, &[2, 0]), 2);
/// assert_eq!((x, y), ([1.0, 3.0, 0.0, 2.0], [1.5, 3.5, 0.5, 2.5]));
/// ```
pub fn move_behind(x: &mut [f32], y: &mut [f32], indices: &[usize]) -> usize {
    let n = x.len().min(y.len());
    // Goes through the indices from the last to the first: each sample is moved in front
    // of those that were moved before.
    let mut end = n;
    for index in (0..n).rev().filter(|index| indices.contains(index)) {
        for values in [&mut *x, &mut *y] {
            first_to_last(values.get_mut(index..end).unwrap_or_default());
        }
        end -= 1;
    }
    end
}

/// Moves the first value to the end, as `rotate_left(1)` does, which panics if there are none.
pub(super) fn first_to_last(values: &mut [f32]) {
    let mut moved = values.first().copied().unwrap_or_default();
    for to in values.iter_mut().rev() {
        core::mem::swap(to, &mut moved);
    }
}

/// The number of distinct values, counted no further than `enough`. Repeated readings
/// carry no new information, however many there are.
///
/// ```
/// use baregrad::calibrate::distinct;
///
/// assert_eq!(distinct([1.0, 2.0, 1.0, 2.0].into_iter(), 4), 2);
/// ```
pub fn distinct(numbers: impl Iterator<Item = f32> + Clone, enough: usize) -> usize {
    let is_new = |(i, x): &(usize, f32)| !numbers.clone().take(*i).any(|y| y == *x);
    let new = numbers.clone().enumerate().filter(is_new);
    new.take(enough).count()
}
