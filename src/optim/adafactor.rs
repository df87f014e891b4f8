//! Adafactor: stores only the mean squares of the rows and of the columns of a matrix.

use super::builders::{
    constructors, options, rate_and_options, require_at_least_0, shapes_builder,
};
use super::sweep::other_buffers;
use super::{
    OptimizerError, Rule, Shapes, Stepper, Visit, lerp, one_minus_product, require, visit_count,
};
use crate::function::{Real, TwoFloat};
use crate::kernel::{self, Acc, Lanes, Map, carry};
use crate::shape::Shape;

/// Adafactor, as `torch.optim.Adafactor`.
///
/// ```text
/// g ← gradient                                (maximize: −gradient)
/// ω ← t^beta2_decay,   ρ ← min(lr, 1 / √t)
/// α ← max(eps2, rms(p)) · ρ
/// p ← p · (1 − lr · weight_decay)
/// r ← r + ω · (mean of g² over each row − r)        matrices
/// c ← c + ω · (mean of g² over each column − c)
/// v ← r · cᵀ / max(mean of r, eps1)
/// v ← v + ω · (g² − v)                              other tensors
/// u ← g / √max(v, eps1²)
/// p ← p − α / max(1, rms(u) / d) · u
/// ```
///
/// N. Shazeer and M. Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost"
/// (2018), <https://arxiv.org/abs/1804.04235>, with the differences that PyTorch's
/// documentation lists. A tensor with three or four dimensions consists of several matrices.
///
/// Set the [`shapes`](Adafactor::shapes) of the parameters; without them, all parameters are
/// one vector with a common rate. `t^beta2_decay` is computed in pairs of `f32`; PyTorch uses
/// `f64`.
///
/// | | default | RAM |
/// | --- | --- | --- |
/// | [`beta2_decay`](Adafactor::beta2_decay) | −0.8 | 4 bytes for each row and column of a matrix, and for each element of a vector |
/// | [`eps1`](Adafactor::eps1), [`eps2`](Adafactor::eps2) | 2⁻²³, 1e-3 | |
/// | [`d`](Adafactor::d) | 1 | |
/// | [`weight_decay`](Adafactor::weight_decay) | 0 | |
///
/// `N` is the number of these rows, columns and elements: a 16 × 16 matrix has 32. It is never
/// more than the number of parameters.
///
/// ```
/// use baregrad::optim::{Adafactor, Optimizer};
/// use baregrad::Shape;
///
/// // A layer of 16 × 16 weights with its 16 biases: 48 numbers for 272 parameters.
/// let shapes = [Shape::from([16, 16]), Shape::from([16])];
/// let mut adafactor = Adafactor::<48>::new(1e-2).shapes(&shapes);
/// adafactor.step(&mut [0.5; 272], &[0.25; 272])?;
/// # Ok::<(), baregrad::optim::OptimizerError>(())
/// ```
pub type Adafactor<'s, const N: usize, S = [[f32; N]; 1]> = Stepper<AdafactorRule<'s>, N, S>;

/// The formula of [`Adafactor`].
#[derive(Clone, Debug)]
pub struct AdafactorRule<'s> {
    lr: f32,
    beta2_decay: TwoFloat,
    eps1: f32,
    eps2: f32,
    d: f32,
    weight_decay: f32,
    maximize: bool,
    steps: u32,
    shapes: Shapes<'s>,
}

impl AdafactorRule<'_> {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            beta2_decay: const { TwoFloat::from_f64(-0.8) },
            eps1: f32::EPSILON,
            eps2: 1e-3,
            d: 1.0,
            weight_decay: 0.0,
            maximize: false,
            steps: 0,
            shapes: Shapes::VECTOR,
        }
    }
}

/// The matrices of a tensor: their number, rows and columns. `None` for tensors with fewer than
/// two dimensions.
fn matrices(shape: Shape) -> Option<[usize; 3]> {
    match *shape.dims() {
        [] | [_] => None,
        [.., rows, cols] => {
            let count = shape.numel().checked_div(rows.saturating_mul(cols));
            Some([count.unwrap_or_default(), rows, cols])
        }
    }
}

/// The number of state elements for a tensor. For a matrix with one row or one column, the mean
/// square of that row or column follows from the stored elements and is not stored.
fn numbers(shape: Shape) -> usize {
    match matrices(shape) {
        Some([count, rows, cols]) if rows > 1 && cols > 1 => {
            count.saturating_mul(rows.saturating_add(cols))
        }
        _ => shape.numel(),
    }
}

impl Rule for AdafactorRule<'_> {
    fn buffers(&self) -> &'static [&'static str] {
        &["variance"]
    }

    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        require_at_least_0!(self, lr, eps1, eps2, weight_decay);
        let decay = self.beta2_decay.to_f32();
        require(decay <= 0.0, "beta2_decay <= 0", decay)?;
        require(self.d >= 1.0, "d >= 1", self.d)?;
        self.shapes.check(params, grads)?;
        let [state] = state else {
            return Err(other_buffers(params));
        };
        let needed = self.numbers(params.len());
        if state.len() < needed {
            return Err(OptimizerError::StateSize {
                state: state.len(),
                params: needed,
            });
        }

        self.steps = self.steps.saturating_add(1);
        let t = TwoFloat::of_count(self.steps);
        let rate = 1.0 / Real::sqrt(t);
        let lr = TwoFloat::from(self.lr);
        let step = Step {
            fresh: Real::pow(t, self.beta2_decay).to_f32(),
            rate: if rate < lr { rate } else { lr },
            keep: one_minus_product(self.lr, self.weight_decay),
            rule: self,
        };
        let mut rest = &mut **state;
        for (shape, range) in self.shapes.parts(params.len()) {
            let (variance, others) = core::mem::take(&mut rest)
                .split_at_mut_checked(numbers(shape))
                .unwrap_or_default();
            rest = others;
            let p = params.get_mut(range.clone()).unwrap_or_default();
            let g = grads.get(range).unwrap_or_default();
            step.tensor(shape, p, g, variance);
        }
        Ok(())
    }

    rate_and_options!();

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        visit_count("step", &mut self.steps, visit);
    }

    fn reset(&mut self) {
        self.steps = 0;
    }

    fn numbers(&self, params: usize) -> usize {
        let each = self.shapes.parts(params).map(|(shape, _)| numbers(shape));
        each.fold(0, usize::saturating_add)
    }

    fn shapes(&self) -> Shapes<'_> {
        self.shapes
    }
}

constructors!(AdafactorRule<'_>: 1, "1e-2");
shapes_builder!(AdafactorRule);
options! { AdafactorRule<'_> = "Adafactor":
    /// The exponent of the step number in the weight `ω` of a new square, at most 0.
    beta2_decay: f64 as TwoFloat::from_f64;

    /// The lower bound of the mean of `r`, and of the divisor of a gradient; at least 0.
    eps1: f32;

    /// The lower bound of `rms(p)`, which scales the rate; at least 0.
    eps2: f32;

    /// The root mean square to which larger steps of a tensor are shortened before they are
    /// multiplied by the rate; at least 1.
    d: f32;

    /// Multiplies every parameter by `1 - lr · weight_decay`, at least 0.
    weight_decay: f32;

    /// Maximises the loss instead of minimising it.
    maximize: flag;
}

/// One step of all tensors.
struct Step<'r, 's> {
    rule: &'r AdafactorRule<'s>,
    /// The weight `ω` of new squares.
    fresh: f32,
    rate: TwoFloat,
    keep: f32,
}

impl Step<'_, '_> {
    fn tensor(&self, shape: Shape, p: &mut [f32], g: &[f32], variance: &mut [f32]) {
        // As in PyTorch, norms are `f32`, and quantities derived from them are rounded once, at
        // the end.
        let n = u32::try_from(p.len()).unwrap_or(u32::MAX);
        let root_n = Real::sqrt(TwoFloat::of_count(n));
        let rms = Lanes::sqrt(kernel::dot(p, p)) / root_n;
        let least = TwoFloat::from(self.rule.eps2);
        // Like Python's `max`, returns `least` if `rms` is NaN.
        let alpha = self.rate * if rms > least { rms } else { least };
        if self.rule.weight_decay != 0.0 {
            p.iter_mut().for_each(|p| *p *= self.keep);
        }
        let squares = match matrices(shape) {
            Some([_, rows, cols]) => self.observe_matrices([rows, cols], g, variance),
            None => {
                for (v, g) in variance.iter_mut().zip(g) {
                    *v = lerp(*v, g * g, self.fresh);
                }
                kernel::sum_of(Squared(self.of_vector(1.0)), [g, variance])
            }
        };
        let longer = Lanes::sqrt(squares) / (root_n * self.rule.d);
        let is_longer = longer > TwoFloat::ONE;
        let shortened = if is_longer { alpha / longer } else { alpha }.to_f32();
        let factor = if self.rule.maximize {
            shortened
        } else {
            -shortened
        };
        match matrices(shape) {
            Some([_, rows, cols]) => self.for_each_row([rows, cols], variance, |at, of, v| {
                let at = at..at.saturating_add(cols);
                let p = p.get_mut(at.clone()).unwrap_or_default();
                let g = g.get(at).unwrap_or_default();
                kernel::map(Scaled { factor, ..of }, [g, v], p, Acc::Add);
            }),
            None => kernel::map(self.of_vector(factor), [g, variance], p, Acc::Add),
        }
    }

    /// Updates the means of rows and columns with the squares of gradients. Returns the sum of
    /// squares of the unscaled steps.
    fn observe_matrices(&self, [rows, cols]: [usize; 2], g: &[f32], variance: &mut [f32]) -> f32 {
        let each = numbers_of_matrix([rows, cols]);
        let gradients = g.chunks_exact(rows.saturating_mul(cols).max(1));
        for (g, variance) in gradients.zip(variance.chunks_exact_mut(each.max(1))) {
            let (r, c) = means_of([rows, cols], variance);
            for (r, row) in r.iter_mut().zip(g.chunks_exact(cols.max(1))) {
                *r = lerp(*r, kernel::dot(row, row) / cols as f32, self.fresh);
            }
            for (j, c) in c.iter_mut().enumerate() {
                let column = g.get(j..).unwrap_or_default().iter().step_by(cols.max(1));
                *c = lerp(*c, sum_of_squares(column) / rows as f32, self.fresh);
            }
        }
        // Adds the sums of rows, with carry as in all long sums.
        let (mut total, mut part) = (0.0, 0.0);
        self.for_each_row([rows, cols], variance, |at, of, v| {
            let g = g.get(at..at.saturating_add(cols)).unwrap_or_default();
            let (sum, lost) = carry(total, part + kernel::sum_of(Squared(of), [g, v]));
            (total, part) = (sum, lost);
        });
        total + part
    }

    /// Calls `with` for each row with its offset, the divisor of its gradients, and the means
    /// of the columns.
    fn for_each_row(
        &self,
        [rows, cols]: [usize; 2],
        variance: &mut [f32],
        mut with: impl FnMut(usize, Scaled, &[f32]),
    ) {
        let mut at = 0_usize;
        for variance in variance.chunks_exact_mut(numbers_of_matrix([rows, cols]).max(1)) {
            let (r, c) = means_of([rows, cols], variance);
            let scaled = |r: f32, mean: f32| Scaled {
                factor: 1.0,
                row: r,
                mean: if mean < self.rule.eps1 {
                    self.rule.eps1
                } else {
                    mean
                },
                least: self.rule.eps1 * self.rule.eps1,
            };
            if r.is_empty() {
                // A single row: its mean is the mean of its elements.
                let mean = kernel::sum(c) / cols as f32;
                with(at, scaled(mean, mean), c);
                at = at.saturating_add(cols);
                continue;
            }
            let mean = kernel::sum(r) / rows as f32;
            let one_column = [mean];
            let c = if c.is_empty() { &one_column } else { &*c };
            for r in r.iter() {
                with(at, scaled(*r, mean), c);
                at = at.saturating_add(cols);
            }
        }
    }

    /// The divisor of the gradients of a vector, and `factor`.
    fn of_vector(&self, factor: f32) -> Scaled {
        Scaled {
            factor,
            row: 1.0,
            mean: 1.0,
            least: self.rule.eps1 * self.rule.eps1,
        }
    }
}

/// The number of state elements for one matrix.
fn numbers_of_matrix([rows, cols]: [usize; 2]) -> usize {
    if rows > 1 && cols > 1 {
        rows.saturating_add(cols)
    } else {
        rows.saturating_mul(cols)
    }
}

/// Splits the state into means of rows and means of columns. Means of a single row, or of a
/// single column, are not stored.
fn means_of([rows, cols]: [usize; 2], variance: &mut [f32]) -> (&mut [f32], &mut [f32]) {
    let rows = if rows > 1 || cols == 1 { rows } else { 0 };
    variance.split_at_mut_checked(rows).unwrap_or_default()
}

/// The sum of squares of a column: blocks of 32 in order, and carries between blocks as in all
/// long sums.
fn sum_of_squares<'g>(column: impl Iterator<Item = &'g f32>) -> f32 {
    let (mut total, mut part) = (0.0, 0.0);
    for (i, g) in column.enumerate() {
        if i > 0 && i % 32 == 0 {
            (total, part) = carry(total, part);
        }
        part += g * g;
    }
    total + part
}

/// The step of one element: `factor` times its gradient, over the root of
/// `row · column / mean`.
#[derive(Clone, Copy)]
struct Scaled {
    factor: f32,
    row: f32,
    mean: f32,
    least: f32,
}

impl Map<2> for Scaled {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g, column]: &[L; 2]) -> L {
        let v = L::splat(self.row) * column / L::splat(self.mean);
        let least = L::splat(self.least);
        // NaN is not less, and stays NaN.
        let v = L::select(v.lt(least), least, v);
        L::splat(self.factor) * (L::splat(1.0) / v.sqrt() * g)
    }
}

/// The square of a [`Scaled`] step.
struct Squared(Scaled);

impl Map<2> for Squared {
    #[inline(always)]
    fn apply<L: Lanes>(&self, x: &[L; 2]) -> L {
        let step = self.0.apply(x);
        step * step
    }
}
