//! Muon: orthogonalised momentum of matrices.

use super::builders::{
    Shown, constructors, options, rate_and_options, require_at_least_0, shapes_builder,
};
use super::decay::Average;
use super::sweep::other_buffers;
use super::{OptimizerError, Rule, Shapes, Show, Stepper, Visit, lerp, one_minus_product, require};
use crate::function::{Real, TwoFloat};
use crate::kernel::{self, Lanes};

/// Momentum, orthogonalised by Newton–Schulz iterations, as `torch.optim.Muon`: for the
/// matrices of hidden layers.
///
/// ```text
/// b ← b + (1 − momentum) · (g − b)
/// u ← g + momentum · (b − g)                 (not nesterov: b), rounded to bf16
/// X ← u / max(‖u‖, eps)                      (transposed if it has more rows than columns)
/// A ← X · Xᵀ,  B ← c₂ · A + c₃ · A · A,  X ← c₁ · X + B · X
///                                            (c: ns_coefficients; ns_steps times, in bf16)
/// p ← p · (1 − lr · weight_decay)
/// p ← p − lr · adjust(rows, columns) · X
/// ```
///
/// K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024),
/// <https://kellerjordan.github.io/posts/muon/>. PyTorch iterates in `bfloat16`. This
/// implementation computes in `f32` and rounds each result to the 8 significant bits of
/// `bfloat16` like PyTorch, once per element, including those of matrix products. The order of
/// summation differs from PyTorch's, which occasionally rounds a result to the neighbouring
/// number.
///
/// Set the [`shapes`](Muon::shapes) of the parameters. As in PyTorch, all must be matrices,
/// otherwise a step returns an error: use another optimizer for biases, with
/// [`ParamGroups`](super::ParamGroups).
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`momentum`](Muon::momentum), [`nesterov`](Muon::nesterov) | 0.95, on | 4 bytes: b |
/// | [`ns_steps`](Muon::ns_steps), [`ns_coefficients`](Muon::ns_coefficients) | 5; 3.4445, −4.775, 2.0315 | 12 bytes of work memory, not part of the state |
/// | [`eps`](Muon::eps) | 1e-7 | |
/// | [`weight_decay`](Muon::weight_decay) | 0.1 | |
/// | [`adjust_lr_fn`](Muon::adjust_lr_fn) | [`AdjustLr::Original`] | |
///
/// ```
/// use baregrad::optim::{AdamW, Muon, Optimizer, ParamGroups};
/// use baregrad::Shape;
///
/// // A layer of 4 × 3 weights, and its 3 biases.
/// let shapes = [Shape::from([4, 3])];
/// let weights = Muon::<12>::new(0.02).shapes(&shapes);
/// let mut groups = ParamGroups::new(12, weights, AdamW::<3>::new(1e-3));
/// groups.step(&mut [0.5; 15], &[0.25; 15])?;
/// # Ok::<(), baregrad::optim::OptimizerError>(())
/// ```
pub type Muon<'s, const N: usize, S = [[f32; N]; 4]> = Stepper<MuonRule<'s>, N, S>;

/// The formula of [`Muon`].
#[derive(Clone, Debug)]
pub struct MuonRule<'s> {
    lr: f32,
    momentum: Average,
    nesterov: bool,
    ns_coefficients: [f32; 3],
    ns_steps: u32,
    eps: f32,
    weight_decay: f32,
    adjust_lr_fn: AdjustLr,
    shapes: Shapes<'s>,
}

/// The factor of [`Muon`]'s learning rate for a matrix with this number of rows and columns.
/// For a layer in PyTorch's layout, these are outputs and inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdjustLr {
    /// `√max(1, rows / columns)`.
    #[default]
    Original,
    /// `0.2 · √max(rows, columns)`: matches the size of AdamW's steps.
    MatchRmsAdamW,
    /// `√(rows / columns)`.
    SpectralUnclamped,
}

impl AdjustLr {
    /// The factor as a pair: PyTorch computes it in `f64`, and rounds after the multiplication
    /// by the learning rate.
    fn factor(self, rows: usize, cols: usize) -> TwoFloat {
        const ONE_FIFTH: TwoFloat = TwoFloat::from_f64(0.2);
        let count = |n: usize| TwoFloat::of_count(u32::try_from(n).unwrap_or(u32::MAX));
        match self {
            Self::Original if rows <= cols => TwoFloat::ONE,
            Self::Original | Self::SpectralUnclamped => Real::sqrt(count(rows) / count(cols)),
            Self::MatchRmsAdamW => ONE_FIFTH * Real::sqrt(count(rows.max(cols))),
        }
    }
}

impl Shown for AdjustLr {
    fn show(&self, name: &'static str, show: Show<'_>) {
        show(name, &[f32::from(*self as u8)]);
    }
}

impl MuonRule<'_> {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            momentum: const { Average::new(0.95) },
            nesterov: true,
            ns_coefficients: [3.4445, -4.775, 2.0315],
            ns_steps: 5,
            eps: 1e-7,
            weight_decay: 0.1,
            adjust_lr_fn: AdjustLr::Original,
            shapes: Shapes::VECTOR,
        }
    }

    fn check(&self, params: usize) -> Result<(), OptimizerError> {
        require_at_least_0!(self, lr, weight_decay);
        let momentum = self.momentum.keep;
        require(momentum >= 0.0, "momentum >= 0", momentum)?;
        let steps = self.ns_steps;
        require(steps < 100, "ns_steps < 100", steps as f32)?;
        for (shape, _) in self.shapes.parts(params) {
            let rank = shape.rank();
            let expected = "2 dimensions of every parameter, told by `shapes`";
            require(rank == 2, expected, rank as f32)?;
        }
        Ok(())
    }

    /// Replaces a matrix of `rows` × `cols`, with no more rows than columns, by its step
    /// direction. `a` and `b` have room for `rows` × `rows`.
    fn orthogonalize(&self, [rows, cols]: [usize; 2], x: &mut [f32], a: &mut [f32], b: &mut [f32]) {
        let norm = bf16(Lanes::sqrt(kernel::dot(x, x)));
        let least = bf16(self.eps);
        // NaN is not less, and stays NaN.
        let norm = if norm < least { least } else { norm };
        x.iter_mut().for_each(|x| *x = bf16(*x / norm));
        let [of_x, of_a, of_square] = self.ns_coefficients;
        for _ in 0..self.ns_steps {
            // Both products are symmetric, bit by bit.
            products_of_rows(x, [rows, cols], a, |dot, _| bf16(dot));
            let given = &*a;
            products_of_rows(given, [rows, rows], b, |dot, at| {
                let a = given.get(at).copied().unwrap_or_default();
                bf16(of_a * a + of_square * dot)
            });
            // Processes `rows` columns at a time: their old values are copied to where A was.
            let mut first = 0_usize;
            while first < cols {
                let width = rows.min(cols.saturating_sub(first));
                for (old, row) in a
                    .chunks_exact_mut(rows.max(1))
                    .zip(x.chunks_exact(cols.max(1)))
                {
                    let row = row.get(first..).unwrap_or_default();
                    old.iter_mut().zip(row).for_each(|(old, x)| *old = *x);
                }
                for (i, row) in x.chunks_exact_mut(cols.max(1)).enumerate() {
                    let end = first.saturating_add(width);
                    let new = row.get_mut(first..end).unwrap_or_default();
                    new.fill(0.0);
                    // Summed in order: the `f32` rounding errors of `rows` products are far below
                    // the 8 bits of the result.
                    let weights = b.get(i.saturating_mul(rows)..).unwrap_or_default();
                    for (weight, old) in weights.iter().zip(a.chunks_exact(rows.max(1))) {
                        new.iter_mut()
                            .zip(old)
                            .for_each(|(new, old)| *new += weight * old);
                    }
                    let own = a.get(i.saturating_mul(rows)..).unwrap_or_default();
                    for (new, old) in new.iter_mut().zip(own) {
                        *new = bf16(of_x * old + *new);
                    }
                }
                first = first.saturating_add(width);
            }
        }
    }
}

/// Writes `element` of the dot product of each pair of rows and its index.
fn products_of_rows(
    x: &[f32],
    [rows, cols]: [usize; 2],
    out: &mut [f32],
    element: impl Fn(f32, usize) -> f32,
) {
    let mut at = 0_usize;
    for left in x.chunks_exact(cols.max(1)).take(rows) {
        for right in x.chunks_exact(cols.max(1)).take(rows) {
            if let Some(out) = out.get_mut(at) {
                *out = element(kernel::dot(left, right), at);
            }
            at = at.saturating_add(1);
        }
    }
}

/// Rounds to the nearest number with 8 significant bits, ties to even, like `torch.bfloat16`.
fn bf16(x: f32) -> f32 {
    if x.is_nan() {
        return x;
    }
    let bits = x.to_bits();
    let odd = bits >> 16 & 1;
    // The sum cannot wrap: infinity has the largest bits.
    f32::from_bits(bits.wrapping_add(0x7fff).wrapping_add(odd) & 0xffff_0000)
}

impl Rule for MuonRule<'_> {
    fn buffers(&self) -> &'static [&'static str] {
        &["momentum_buffer"]
    }

    fn scratch(&self) -> usize {
        3
    }

    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        self.check(params.len())?;
        self.shapes.check(params, grads)?;
        let [momentum, x, a, b] = state else {
            return Err(other_buffers(params));
        };
        let n = params.len();
        for buffer in [&*momentum, &*x, &*a, &*b] {
            let state = buffer.len();
            if state < n {
                return Err(OptimizerError::StateSize { state, params: n });
            }
        }
        for (shape, range) in self.shapes.parts(n) {
            let &[rows, cols] = shape.dims() else {
                continue;
            };
            if range.is_empty() {
                continue;
            }
            let p = params.get_mut(range.clone()).unwrap_or_default();
            let g = grads.get(range.clone()).unwrap_or_default();
            let momentum = momentum.get_mut(range).unwrap_or_default();
            let x = x.get_mut(..p.len()).unwrap_or_default();
            // Maps the index of an element to its index in X, which is transposed if the matrix
            // is tall.
            let is_tall = rows > cols;
            let [least, most] = if is_tall { [cols, rows] } else { [rows, cols] };
            let place = |i: usize| match i.checked_div(cols).zip(i.checked_rem(cols)) {
                Some((row, col)) if is_tall => col.saturating_mul(rows).saturating_add(row),
                _ => i,
            };
            for (i, (b, g)) in momentum.iter_mut().zip(g).enumerate() {
                *b = lerp(*b, *g, self.momentum.fresh);
                let update = if self.nesterov {
                    lerp(*g, *b, self.momentum.keep)
                } else {
                    *b
                };
                if let Some(x) = x.get_mut(place(i)) {
                    *x = bf16(update);
                }
            }
            let square = ..least.saturating_mul(least);
            let (a, b) = (a.get_mut(square), b.get_mut(square));
            let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
            self.orthogonalize([least, most], x, a, b);
            let keep = one_minus_product(self.lr, self.weight_decay);
            let rate = (self.lr * self.adjust_lr_fn.factor(rows, cols)).to_f32();
            for (i, p) in p.iter_mut().enumerate() {
                let x = x.get(place(i)).copied().unwrap_or_default();
                *p = *p * keep - rate * x;
            }
        }
        Ok(())
    }

    rate_and_options!();

    fn momentum_factor(&self) -> Option<f32> {
        Some(self.momentum.keep)
    }

    fn set_momentum_factor(&mut self, momentum: f32) {
        self.momentum = Average::moved_to(momentum);
    }

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        self.momentum.visit("momentum", visit);
    }

    fn shapes(&self) -> Shapes<'_> {
        self.shapes
    }
}

constructors!(MuonRule<'_>: 4, "1e-3");
shapes_builder!(MuonRule);
options! { MuonRule<'_> = "Muon":
    /// Whether to use Nesterov's momentum, which looks one step ahead.
    nesterov: bool;

    /// The number of iterations, less than 100.
    ns_steps: u32;

    /// The coefficients of an iteration, which maps singular values to
    /// `a · s + b · s³ + c · s⁵`.
    ns_coefficients: [f32; 3];

    /// The lower bound of the norm by which the momentum is divided.
    eps: f32;

    /// Multiplies every parameter by `1 - lr · weight_decay`, at least 0.
    weight_decay: f32;

    /// The dependence of the learning rate on the shape of a matrix.
    adjust_lr_fn: AdjustLr;
}

impl<const N: usize, S> Muon<'_, N, S> {
    /// The decay rate of the momentum, at least 0.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn momentum(mut self, momentum: f64) -> Self {
        self.rule.momentum = Average::new(momentum);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::bf16;

    /// Like `torch.tensor(x).bfloat16()`: ties go to even, numbers that are too large to
    /// infinity.
    #[test]
    fn rounding_to_8_bits() {
        for (x, rounded) in [
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),               // half way, down to even
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0), // half way, up to even
            (1.003_906_4, 1.007_812_5),
            (-0.1, -0.100_097_656),
            (1e-7, 1.001_171_8e-7),
            (f32::MAX, f32::INFINITY),
            (1e-45, 0.0),
            (f32::INFINITY, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ] {
            assert_eq!(bf16(x).to_bits(), f32::to_bits(rounded), "{x}");
        }
        assert!(bf16(f32::NAN).is_nan());
    }
}
