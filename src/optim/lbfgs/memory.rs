//! The memory of L-BFGS, and operations on its vectors.

use crate::optim::OptimizerError;

/// The memory of [`Lbfgs`](super::Lbfgs): implemented by [`LbfgsMemory`], `&mut [f32]` and, with the
/// feature `std`, `Vec<f32>`.
pub trait LbfgsStorage {
    /// Lends memory for vectors, for pairs, and for two scalars for each of `history` pairs.
    fn lend(&mut self, history: usize) -> [&mut [f32]; 3];
}

/// Inline memory for [`Lbfgs`](super::Lbfgs).
#[derive(Clone, Debug)]
pub struct LbfgsMemory<const N: usize, const M: usize> {
    pub(super) vectors: [[f32; N]; VECTORS],
    pub(super) pairs: [[[f32; N]; 2]; M],
    pub(super) scalars: [[f32; 2]; M],
}

impl<const N: usize, const M: usize> LbfgsStorage for LbfgsMemory<N, M> {
    fn lend(&mut self, _: usize) -> [&mut [f32]; 3] {
        [
            self.vectors.as_flattened_mut(),
            self.pairs.as_flattened_mut().as_flattened_mut(),
            self.scalars.as_flattened_mut(),
        ]
    }
}

impl LbfgsStorage for &mut [f32] {
    fn lend(&mut self, history: usize) -> [&mut [f32]; 3] {
        divide(self, history)
    }
}

#[cfg(feature = "std")]
impl LbfgsStorage for std::vec::Vec<f32> {
    fn lend(&mut self, history: usize) -> [&mut [f32]; 3] {
        divide(self, history)
    }
}

/// Divides memory into vectors, pairs and scalars, with room for as many parameters as fit.
#[inline(always)] // as if it stood in `lend`
fn divide(memory: &mut [f32], history: usize) -> [&mut [f32]; 3] {
    let history = history.min(memory.len() / 2);
    let (scalars, rest) = memory
        .split_at_mut_checked(history.saturating_mul(2))
        .unwrap_or_default();
    let room = rest.len() / history.saturating_mul(2).saturating_add(VECTORS);
    let (vectors, pairs) = rest
        .split_at_mut_checked(room.saturating_mul(VECTORS))
        .unwrap_or_default();
    [vectors, pairs, scalars]
}

/// The number of vectors of the parameters' length, without the pairs.
pub(super) const VECTORS: usize = 5;

/// The memory, divided for a number of parameters.
pub(super) struct Memory<'m> {
    /// The direction.
    pub(super) d: &'m mut [f32],
    /// The gradient of the previous iteration.
    pub(super) prev: &'m mut [f32],
    /// The parameters at the start of the line search.
    pub(super) x: &'m mut [f32],
    /// The gradients at both ends of the bracket.
    pub(super) bracket: [&'m mut [f32]; 2],
    /// The differences of gradients, a ring.
    pub(super) dirs: &'m mut [f32],
    /// The differences of parameters, a ring.
    pub(super) stps: &'m mut [f32],
    pub(super) ro: &'m mut [f32],
    pub(super) al: &'m mut [f32],
}

impl<'m> Memory<'m> {
    pub(super) fn new(
        [vectors, pairs, scalars]: [&'m mut [f32]; 3],
        n: usize,
        history: usize,
    ) -> Result<Self, OptimizerError> {
        let room = vectors.len() / VECTORS;
        let fits = n <= room
            && pairs.len() >= n.saturating_mul(history).saturating_mul(2)
            && scalars.len() >= history.saturating_mul(2);
        if !fits {
            return Err(OptimizerError::StateSize {
                state: room,
                params: n,
            });
        }
        let mut rest = vectors;
        let mut vector = || {
            let (vector, others) = core::mem::take(&mut rest)
                .split_at_mut_checked(n)
                .unwrap_or_default();
            rest = others;
            vector
        };
        let [d, prev, x, low, high] = [vector(), vector(), vector(), vector(), vector()];
        let pairs = pairs
            .get_mut(..n.saturating_mul(history).saturating_mul(2))
            .unwrap_or_default();
        let (dirs, stps) = pairs
            .split_at_mut_checked(n.saturating_mul(history))
            .unwrap_or_default();
        let (ro, al) = scalars.split_at_mut_checked(history).unwrap_or_default();
        let al = al.get_mut(..history).unwrap_or_default();
        Ok(Self {
            d,
            prev,
            x,
            bracket: [low, high],
            dirs,
            stps,
            ro,
            al,
        })
    }
}

impl Memory<'_> {
    pub(super) fn bracket_mut(&mut self, at: usize) -> &mut [f32] {
        let [low, high] = &mut self.bracket;
        if at == 0 { low } else { high }
    }
}

pub(super) fn scale_into(to: &mut [f32], factor: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = factor * from;
    }
}

pub(super) fn move_to(params: &mut [f32], x: &[f32], t: f32, d: &[f32]) {
    for ((p, x), d) in params.iter_mut().zip(x).zip(d) {
        *p = x + t * d;
    }
}

/// `copy_from_slice` for slices whose lengths may differ: copies up to the shorter length.
pub(super) trait CopyChecked {
    fn copy_from_slice_checked(&mut self, from: &[f32]);
}

impl CopyChecked for [f32] {
    fn copy_from_slice_checked(&mut self, from: &[f32]) {
        scale_into(self, 1.0, from);
    }
}
