//! The rows that a model sees.

use std::vec::Vec;

use super::coarse::Coarse;
use crate::calibrate::Rows;
use crate::random::{RandomError, Rng, fill_normal};

/// Inputs and targets, each stored row after row as one slice that a tape can borrow.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    pub(super) x: Vec<f32>,
    pub(super) y: Vec<f32>,
    pub(super) rows: usize,
    pub(super) inputs: usize,
    pub(super) targets: usize,
    pub(super) coarse: Vec<Coarse>,
}

impl Samples {
    /// The inputs, of shape `[rows, inputs]`.
    pub fn x(&self) -> &[f32] {
        &self.x
    }

    /// The targets, of shape `[rows, targets]`.
    pub fn y(&self) -> &[f32] {
        &self.y
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of inputs in a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The number of targets in a row.
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// The columns that `f32` does not resolve well: scale them, or subtract an origin,
    /// before a model sees them.
    pub fn coarse(&self) -> &[Coarse] {
        &self.coarse
    }

    /// Adds normally distributed noise to the inputs, but not to the targets. The noisy
    /// samples lie between the original ones, so a model that follows each sample exactly
    /// has a high loss. `std` is in units of the scaled inputs.
    ///
    /// [`Fit::noise`](super::Fit::noise) adds fresh noise in every epoch.
    ///
    /// # Errors
    /// `std` is negative or not finite.
    pub fn add_noise<R: Rng + ?Sized>(&mut self, std: f32, rng: &mut R) -> Result<(), RandomError> {
        let mut noise = std::vec![0.0; self.x.len()];
        fill_normal(rng, 0.0, std, &mut noise)?;
        for (x, noise) in self.x.iter_mut().zip(noise) {
            *x += noise;
        }
        Ok(())
    }

    /// Overwrites the rows of `self` with the rows of `from` in the given order.
    pub(super) fn gather(&mut self, from: &Samples, order: &[u32]) {
        let row = |values: &mut Vec<f32>, from: &[f32], width: usize| {
            values.clear();
            for &row in order {
                let start = row as usize * width;
                values.extend_from_slice(from.get(start..start + width).unwrap_or_default());
            }
        };
        row(&mut self.x, &from.x, from.inputs);
        row(&mut self.y, &from.y, from.targets);
        self.rows = order.len();
    }

    /// The inputs and targets of the rows in `range`.
    pub(super) fn range(&self, range: core::ops::Range<usize>) -> [&[f32]; 2] {
        let of = |width| range.start * width..range.end * width;
        [
            self.x.get(of(self.inputs)).unwrap_or_default(),
            self.y.get(of(self.targets)).unwrap_or_default(),
        ]
    }

    /// The inputs and targets of the rows in `range`, with the number of rows.
    pub(super) fn rows_in(&self, range: core::ops::Range<usize>) -> Rows<'_> {
        let count = range.len();
        let [x, y] = self.range(range);
        Rows { count, x, y }
    }

    /// The largest absolute value among the inputs.
    pub(super) fn largest_input(&self) -> f32 {
        self.x.iter().fold(0.0, |most, x| most.max(x.abs()))
    }
}
