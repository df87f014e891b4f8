//! Matrix products.

use super::batched::{BatchedMatmul, zero_if};
use super::{Build, Entry, exactly};
use crate::kernel::{self, Acc, Level};
use crate::op::{Attrs, Backward, Forward, Grad, Op};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pair("matmul", |a, b, _| a.matmul(b)).of(&[&[2, 3], &[3, 4]]),
    Entry::new("linear", Build::Three(|x, w, b, _| x.linear(w, b))).of(&[&[4, 3], &[3, 2], &[2]]),
];

/// The sizes `[m, k, n]` of a product, and its shape. A vector on the left is a
/// row, a vector on the right a column, and the shape omits their dimension of 1.
///
/// The shape has at least the rank of `added`, which is added to the product.
fn product(a: &Shape, b: &Shape, added: &Shape) -> Result<([usize; 3], Shape), ShapeError> {
    let (rows, columns) = (a.rank(), b.rank());
    if rows.min(columns) == 0 {
        return Err(ShapeError::TooFewDims { least: 1 });
    }
    if rows.max(columns) > 2 {
        return Err(ShapeError::Rank { most: 2 });
    }
    // Sizes beyond the last dimension are 1.
    let n = b.dim(1);
    let (m, k, sizes) = if rows == 1 {
        (1, a.dim(0), [n, 1])
    } else {
        (a.dim(0), a.dim(1), [a.dim(0), n])
    };
    if k != b.dim(0) {
        return Err(ShapeError::Inner);
    }
    let rank = (rows + columns - 2).max(added.rank());
    Ok(([m, k, n], Shape::from(sizes).with_rank(rank)))
}

fn keep(sizes: [usize; 3], attrs: &mut Attrs) {
    let [m, k, n] = sizes;
    attrs.words = [m as u32, k as u32, n as u32, 0];
}

fn sizes(attrs: &Attrs) -> [usize; 3] {
    let [m, k, n, _] = attrs.sizes();
    [m, k, n]
}

/// `a · b`.
#[derive(Clone, Copy, Debug)]
pub struct Matmul;

impl Op for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [a, b] = exactly(operands)?;
        let (sizes, shape) = product(a, b, &Shape::SCALAR)?;
        keep(sizes, attrs);
        Ok(shape)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let sizes = sizes(cx.attrs());
        let ([a, b], out) = cx.split();
        kernel::matmul(a, b, out, sizes);
        zero_if(sizes[1] == 0, out);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (a, b, sizes) = (cx.operand(0), cx.operand(1), sizes(cx.attrs()));
        if let Some(grad) = cx.grad(0) {
            kernel::matmul_nt(grad.output, b, grad.operand, sizes, grad.acc);
            zero_if(grad.acc == Acc::Set && sizes[2] == 0, grad.operand);
        }
        if let Some(grad) = cx.grad(1) {
            kernel::matmul_tn(a, grad.output, grad.operand, sizes, grad.acc);
            zero_if(grad.acc == Acc::Set && sizes[0] == 0, grad.operand);
        }
    }
}

/// `x · w + b`.
#[derive(Clone, Copy, Debug)]
pub struct Linear;

impl Linear {
    /// Tag: one input and one output, an affine function of one number, as most sensors need.
    const AFFINE: u32 = 1;
    /// Tag: the same, with so few samples that sums are in order.
    const SHORT_AFFINE: u32 = 2;

    /// The forward pass of a layer. Where flash is scarce, an affine function of one number
    /// takes the general path, so that a network does not link code for this case alone, which
    /// saves 360 bytes of 10,460 on a Cortex-M4F, and 39 of 327,670 instructions an epoch.
    #[inline(always)]
    pub(super) fn layer_forward(cx: &mut Forward<'_>) {
        if Level::SCARCE_FLASH {
            Self::any_forward(cx);
        } else {
            Self.forward(cx);
        }
    }

    /// The backward pass of a layer. See [`layer_forward`](Self::layer_forward).
    #[inline(always)]
    pub(super) fn layer_backward(cx: &mut Backward<'_>) {
        if Level::SCARCE_FLASH {
            Self::any_backward(cx);
        } else {
            Self.backward(cx);
        }
    }

    /// The shape of a layer's result. The tag is not set where
    /// [`layer_forward`](Self::layer_forward) always takes the general path.
    #[inline(always)]
    pub(super) fn layer_shape(operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        if Level::SCARCE_FLASH {
            Self::any_shape(operands, attrs)
        } else {
            Self.shape(operands, attrs)
        }
    }

    #[inline(never)] // one copy
    fn any_shape(operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x, w, b] = exactly(operands)?;
        let (sizes, shape) = product(x, w, b)?;
        // A bias for each column is required: a single one is not broadcast.
        if b.dim(0) != sizes[2] || b.rank() > 1 {
            return Err(ShapeError::Broadcast);
        }
        keep(sizes, attrs);
        Ok(shape)
    }

    // Not inlined: an affine function of one number would pay for their registers and stack.

    #[inline(never)]
    fn any_forward(cx: &mut Forward<'_>) {
        let sizes = sizes(cx.attrs());
        let ([x, w, b], out) = cx.split();
        kernel::long_linear(x, w, b, out, sizes);
    }

    #[inline(never)]
    fn any_backward(cx: &mut Backward<'_>) {
        let (x, w, attrs) = (cx.operand(0), cx.operand(1), cx.attrs());
        let sizes = sizes(attrs);
        if let Some(grad) = cx.grad(0) {
            kernel::matmul_nt(grad.output, w, grad.operand, sizes, grad.acc);
        }
        // Without vectors, the two gradients are as fast one by one, and take less flash.
        if Level::VECTORS && attrs.tag != 0 && cx.needs_grad(1) {
            return Self::send_to_affine(cx, Backward::grad, |g| kernel::dot_and_sum(x, g));
        }
        if let Some(grad) = cx.grad(1) {
            kernel::matmul_tn(x, grad.output, grad.operand, sizes, grad.acc);
        }
        if let Some(grad) = cx.grad(2) {
            let [m, _, n] = sizes;
            kernel::sum_rows(grad.output, [m, n], grad.operand, grad.acc);
        }
    }

    /// Computes the gradients of `w` and `b` of an affine function of one number, in one pass.
    #[inline(always)]
    fn send_to_affine<'a>(
        cx: &mut Backward<'a>,
        lend: for<'g> fn(&'g mut Backward<'a>, usize) -> Option<Grad<'g>>,
        dot_and_sum: impl FnOnce(&[f32]) -> (f32, f32),
    ) {
        let Some(grad) = lend(cx, 1) else { return };
        let (slope, offset) = dot_and_sum(grad.output);
        grad.put(slope);
        if let Some(grad) = lend(cx, 2) {
            grad.put(offset);
        }
    }
}

impl Op for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let shape = Self::any_shape(operands, attrs)?;
        let [m, k, n] = sizes(attrs);
        attrs.tag = if k != 1 || n != 1 {
            0
        } else if m > kernel::IN_ORDER {
            Self::AFFINE
        } else {
            Self::SHORT_AFFINE
        };
        Ok(shape)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        if cx.attrs().tag == 0 {
            return Self::any_forward(cx);
        }
        if let ([x, [w, ..], [b, ..]], out) = cx.split() {
            kernel::affine(x, *w, *b, out);
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        // Only the gradients of `w` and `b` are needed, and they are written, not added to.
        if cx.attrs().tag == Self::SHORT_AFFINE && cx.are_first(0b110) && !cx.needs_grad(0) {
            let x = cx.operand(0);
            Self::send_to_affine(cx, Backward::first_grad, |g| {
                kernel::short_dot_and_sum(x, g)
            });
        } else {
            Self::any_backward(cx);
        }
    }
}

/// Matrix products.
impl<'t> Var<'t> {
    /// Matrix product: `[m, k] · [k, n]` is `[m, n]`. A vector on the right,
    /// `[k]`, gives `[m]`; on the left, `[n]`; two vectors give their dot
    /// product.
    ///
    /// Dimensions before the last two are batches, which broadcast: `[5, 1, m, k] · [3, k, n]`
    /// is `[5, 3, m, n]`. The gradient of an operand that is repeated over batches is a
    /// compensated sum over them, so that its error does not grow with their number. A single
    /// matrix on the right is multiplied with the rows of all batches at once.
    ///
    /// Gradients: `g · bᵀ` and `aᵀ · g`. Products are summed in order of `k`, more than 64
    /// in the blocks of [`kernel::sum_axis`]; or, if `n` is 1, in the order of
    /// [`kernel::sum`]. A sum of no terms is 0. A sum of terms that are all -0.0 is -0.0, in
    /// PyTorch only some sums of a single term: to start all sums at 0 would take a
    /// microcontroller 3 % more instructions.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let a = tape.constant(&[1.0, 2.0, 3.0, 4.0], [2, 2]);
    /// let x = tape.constant(&[1.0, 10.0], [2]);
    /// assert_eq!(*a.matmul(x).value()?, [21.0, 43.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn matmul(self, other: Var<'t>) -> Var<'t> {
        let rank = self.shape().rank().max(other.shape().rank());
        let op: &'static dyn Op = if rank > 2 { &BatchedMatmul } else { &Matmul };
        self.tape().apply_plain(op, &[self, other])
    }

    /// `x · w + b` as one node: `x` of shape `[samples, in]`, `w` of
    /// `[in, out]`, `b` of `[out]`.
    ///
    /// Weights have a row for each input, as in `x @ w`, so that vectors run along a row in
    /// both passes; PyTorch's `nn.Linear` stores the transpose. A `w` of shape `[in]` with a
    /// `b` of `[]` or `[1]` gives `[samples]`; if `x` is `[in]` as well, the result has the
    /// shape of `b`.
    ///
    /// Same bits as `x.matmul(w) + b`: the bias is added last. Gradients:
    /// `g · wᵀ`, `xᵀ · g`, and `g` summed over the samples. Without samples, these sums are
    /// -0.0, in PyTorch 0: a check for this case would take a microcontroller's flash.
    ///
    /// One input and one output, an affine function of one number, have code of their own,
    /// which takes half the instructions. A network on a microcontroller is smaller without
    /// it: see [`linear_identity`](Self::linear_identity).
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 3.0, 4.0], [2, 2]);
    /// let w = tape.param(&[1.0, 10.0], [2, 1]);
    /// let b = tape.param(&[0.5], [1]);
    /// assert_eq!(*x.linear(w, b).value()?, [21.5, 43.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn linear(self, w: Var<'t>, b: Var<'t>) -> Var<'t> {
        self.tape().apply_plain(&Linear, &[self, w, b])
    }
}
