//! Convolution along one axis, which filters a signal.

use super::{Args, Build, Entry, word};
use crate::kernel::{Convolution, Windows};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::pair("conv1d", |x, w, args| settings(args).of(x, w))
        .of(&[&[1, 2, 6], &[2, 2, 2]])
        .with(SETTINGS),
    Entry::new(
        "conv1d_bias",
        Build::Three(|x, w, b, args| settings(args).bias(b).of(x, w)),
    )
    .of(&[&[1, 2, 6], &[2, 2, 2], &[2]])
    .with(Args {
        shape: [1, 0, 1, 1],
        ..SETTINGS
    }),
];

/// Stride, padding, dilation and groups for tests.
const SETTINGS: Args = Args {
    shape: [2, 1, 2, 1],
    rank: 4,
    ..Args::NONE
};

fn settings<'t>(args: &Args) -> Conv1d<'t> {
    let [stride, padding, dilation, groups] = args.shape.map(|size| size as usize);
    Conv1d::new()
        .stride(stride)
        .padding(padding)
        .dilation(dilation)
        .groups(groups)
}

/// PyTorch's `conv1d`: every filter slides along the rows of all channels and gives one row.
///
/// | | shape |
/// | --- | --- |
/// | input | `[n, channels, length]`, or `[channels, length]` for one sample |
/// | weights | `[filters, channels / groups, kernel]` |
/// | bias | `[filters]` |
/// | result | `[n, filters, (length + 2 padding - dilation (kernel - 1) - 1) / stride + 1]` |
///
/// As usual in neural networks, the kernel is not mirrored: `y[l] = Σ w[k] x[l + k] + b`.
///
/// Gradients: of the input `Σ w g` over filters, of the weights `Σ x g` and of the bias `Σ g`
/// over samples and windows. No sum includes padding, which PyTorch may multiply: 0 times an
/// infinite weight is NaN. The products of a result are summed channel by channel in order of
/// the kernel, more than 64 in blocks as by [`kernel::sum_axis`](crate::kernel::sum_axis). Sums
/// over a row of results are in the order of [`kernel::sum`](crate::kernel::sum) and are added
/// sample by sample, compensated, so that the error grows neither with the length nor with the
/// number of samples.
///
/// It is one node, which takes memory only for its result.
///
/// ```
/// use baregrad::ops::conv::Conv1d;
/// # let mut arena = baregrad::Arena::<64, 8>::new();
/// # let tape = arena.tape();
/// let x = tape.input(&[1.0, 2.0, 4.0, 8.0], [1, 4]);
/// let w = tape.param(&[1.0, 0.0, -1.0], [1, 1, 3]); // a slope
/// let b = tape.param(&[0.5], [1]);
/// let y = Conv1d::new().bias(b).padding(1).of(x, w);
/// assert_eq!(y.shape().dims(), [1, 4]);
/// assert_eq!(*y.value()?, [-1.5, -2.5, -5.5, 4.5]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Conv1d<'t> {
    bias: Option<Var<'t>>,
    stride: usize,
    padding: usize,
    dilation: usize,
    groups: usize,
}

impl Default for Conv1d<'_> {
    fn default() -> Self {
        Conv1d {
            bias: None,
            stride: 1,
            padding: 0,
            dilation: 1,
            groups: 1,
        }
    }
}

impl<'t> Conv1d<'t> {
    /// A convolution with PyTorch's defaults: no bias, a stride of 1, no padding, no dilation, one
    /// group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the bias, `[filters]`: a number for each filter, which is added to its results.
    #[must_use]
    pub fn bias(mut self, bias: Var<'t>) -> Self {
        self.bias = Some(bias);
        self
    }

    /// Sets the distance from one window to the next, in elements.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// Sets the number of zeros that are added at either end of a row.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = padding;
        self
    }

    /// Sets the distance between the elements of a window: 1 for neighbours.
    #[must_use]
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.dilation = dilation;
        self
    }

    /// Sets the number of groups into which channels and filters are divided. A filter sees only
    /// the channels of its group: with as many groups as channels, a single one.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Records the convolution of `x` with `weights`.
    ///
    /// The tape keeps an error if the shapes are not those of the table, if a window is longer
    /// than a row with its padding, or if a stride, dilation or number of groups is 0.
    #[track_caller]
    #[must_use]
    pub fn of(self, x: Var<'t>, weights: Var<'t>) -> Var<'t> {
        let attrs = Attrs {
            words: [
                word(self.stride),
                word(self.padding),
                word(self.dilation),
                word(self.groups),
            ],
            tag: 0,
        };
        match self.bias {
            Some(bias) => x.tape().apply(&ConvOp::<true>, &[x, weights, bias], attrs),
            None => x.tape().apply(&ConvOp::<false>, &[x, weights], attrs),
        }
    }
}

/// A convolution. Words: stride, padding, dilation, groups.
#[derive(Debug)]
struct ConvOp<const BIAS: bool>;

/// The number of windows of `kernel` elements in a row.
fn windows_in(len: usize, kernel: usize, [stride, padding, dilation]: [usize; 3]) -> Option<usize> {
    let padded = len.saturating_add(padding.saturating_mul(2));
    let span = dilation.saturating_mul(kernel.saturating_sub(1));
    let free = padded.checked_sub(span.checked_add(1)?)?;
    free.checked_div(stride)?.checked_add(1)
}

impl<const BIAS: bool> ConvOp<BIAS> {
    fn of(x: &Shape, w: &Shape, y: &Shape, attrs: &Attrs) -> Convolution {
        let [stride, padding, dilation, groups] = attrs.sizes();
        // A single sample has no dimension for the batch.
        let front = x.rank().saturating_sub(2);
        Convolution {
            batch: if front == 0 { 1 } else { x.dim(0) },
            channels: x.dim(front),
            filters: w.dim(0),
            groups,
            windows: Windows {
                len: x.dim(front + 1),
                count: y.dim(front + 1),
                kernel: w.dim(2),
                stride,
                padding,
                dilation,
            },
        }
    }
}

impl<const BIAS: bool> Op for ConvOp<BIAS> {
    fn name(&self) -> &'static str {
        "conv1d"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let (x, w, b) = match operands {
            [x, w] if !BIAS => (x, w, None),
            [x, w, b] if BIAS => (x, w, Some(b)),
            _ => {
                let expected = if BIAS { 3 } else { 2 };
                return Err(ShapeError::Operands { expected });
            }
        };
        if x.rank() < 2 {
            return Err(ShapeError::TooFewDims { least: 2 });
        }
        if x.rank() > 3 || w.rank() > 3 {
            return Err(ShapeError::Rank { most: 3 });
        }
        if w.rank() < 3 {
            return Err(ShapeError::TooFewDims { least: 3 });
        }
        let [stride, padding, dilation, groups] = attrs.sizes();
        if stride == 0 || dilation == 0 || groups == 0 {
            return Err(ShapeError::Other(
                "expected a stride, a dilation and groups of at least 1",
            ));
        }
        let front = x.rank() - 2;
        let (channels, len) = (x.dim(front), x.dim(front + 1));
        let (filters, kernel) = (w.dim(0), w.dim(2));
        if channels % groups != 0 || filters % groups != 0 {
            return Err(ShapeError::Other(
                "expected channels and filters that the groups divide",
            ));
        }
        if w.dim(1) != channels / groups {
            return Err(ShapeError::Other(
                "expected weights of [filters, channels / groups, kernel]",
            ));
        }
        if b.is_some_and(|b| b.dims() != [filters]) {
            return Err(ShapeError::Other("expected a bias for each filter"));
        }
        let count = if kernel == 0 {
            None
        } else {
            windows_in(len, kernel, [stride, padding, dilation])
        };
        let count = count.ok_or(ShapeError::Other(
            "expected a window of at least 1, no longer than the row with its padding",
        ))?;
        Ok(x.with_dim(front, filters).with_dim(front + 1, count))
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let (x, w) = (cx.operand_shape(0), cx.operand_shape(1));
        let sizes = Self::of(&x, &w, &cx.shape(), cx.attrs());
        let ([x, w, b], out) = cx.split();
        sizes.forward(x, w, b, out);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let (x, w) = (cx.operand_shape(0), cx.operand_shape(1));
        let sizes = Self::of(&x, &w, &cx.shape(), cx.attrs());
        let (x, w) = (cx.operand(0), cx.operand(1));
        if let Some(grad) = cx.grad(0) {
            sizes.grad_input(w, grad.output, grad.operand, grad.acc);
        }
        if let Some(grad) = cx.grad(1) {
            sizes.grad_weights(x, grad.output, grad.operand, grad.acc);
        }
        if BIAS && let Some(grad) = cx.grad(2) {
            sizes.grad_bias(grad.output, grad.operand, grad.acc);
        }
    }
}

/// Convolutions.
impl<'t> Var<'t> {
    /// Slides every filter of `weights`, `[filters, channels, kernel]`, along the rows of this
    /// tensor, `[n, channels, length]`. The result is `[n, filters, length - kernel + 1]`. See
    /// [`Conv1d`] for a bias, strides, padding, dilation and groups, and for gradients.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0, 4.0, 8.0], [1, 1, 4]);
    /// let w = tape.param(&[-1.0, 1.0], [1, 1, 2]);
    /// assert_eq!(*x.conv1d(w).value()?, [1.0, 2.0, 4.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn conv1d(self, weights: Var<'t>) -> Var<'t> {
        Conv1d::new().of(self, weights)
    }
}
