//! Pooling along the last axis: each window of a signal is reduced to one number.

use super::{Args, Entry, exactly, word};
use crate::kernel::{self, Windows};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("max_pool1d", |x, args| {
        let [kernel, stride, padding, dilation] = args.shape.map(|size| size as usize);
        let pool = MaxPool1d::new(kernel).stride(stride).padding(padding);
        pool.dilation(dilation).ceil_mode(args.keepdim).of(x)
    })
    .of(&[&[1, 2, 6]])
    .with(Args {
        shape: [3, 2, 1, 2],
        rank: 4,
        ..Args::NONE
    }),
    Entry::each("avg_pool1d", |x, args| {
        let [kernel, stride, padding, counted] = args.shape.map(|size| size as usize);
        let pool = AvgPool1d::new(kernel).stride(stride).padding(padding);
        let pool = pool.count_include_pad(counted == 1);
        pool.ceil_mode(args.keepdim).of(x)
    })
    .of(&[&[1, 2, 6]])
    .with(Args {
        shape: [3, 2, 1, 1],
        rank: 4,
        ..Args::NONE
    }),
];

/// Tag: an incomplete last window counts.
const CEIL: u32 = 1;
/// Tag: padding does not count in means.
const WITHOUT_PADDING: u32 = 2;

/// PyTorch's `max_pool1d`: the largest element of each window along the last axis of
/// `[n, channels, length]` or `[channels, length]`; NaN if the window has one.
///
/// The result has `(length + 2 padding - dilation (kernel - 1) - 1) / stride + 1` windows.
///
/// Gradient: to the first of the largest elements of a window, or to its last NaN. An element
/// of several windows gets the sum of their gradients, in order, more than 32 in blocks as by
/// [`kernel::sum_axis`].
///
/// ```
/// use baregrad::ops::pool::MaxPool1d;
/// # let mut arena = baregrad::Arena::<32, 4>::new();
/// # let tape = arena.tape();
/// let x = tape.param(&[1.0, 5.0, 2.0, 3.0, 4.0], [1, 5]);
/// let y = MaxPool1d::new(3).stride(1).of(x);
/// tape.backward(y.sum())?;
/// assert_eq!(*y.value()?, [5.0, 5.0, 4.0]);
/// assert_eq!(*x.grad()?, [0.0, 2.0, 0.0, 0.0, 1.0]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MaxPool1d {
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    ceil: bool,
}

impl MaxPool1d {
    /// Adjacent windows of `kernel` elements, with PyTorch's defaults.
    #[must_use]
    pub fn new(kernel: usize) -> Self {
        MaxPool1d {
            kernel,
            stride: kernel,
            padding: 0,
            dilation: 1,
            ceil: false,
        }
    }

    /// Sets the distance from one window to the next, in elements.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// Sets how far windows reach beyond either end of a row: at most half of a window. The
    /// padding is never the largest element.
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

    /// Sets whether an incomplete last window counts, too.
    #[must_use]
    pub fn ceil_mode(mut self, ceil: bool) -> Self {
        self.ceil = ceil;
        self
    }

    /// Records the largest elements of `x`.
    ///
    /// The tape keeps an error if there is no whole window in a row, if padding is more than
    /// half of a window, or if a kernel, stride or dilation is 0.
    #[track_caller]
    #[must_use]
    pub fn of(self, x: Var<'_>) -> Var<'_> {
        let sizes = [self.kernel, self.stride, self.padding, self.dilation];
        x.unary(&PoolOp::<true>, pack(sizes, self.ceil, true))
    }
}

/// PyTorch's `avg_pool1d`: the mean of each window along the last axis of
/// `[n, channels, length]` or `[channels, length]`.
///
/// The result has `(length + 2 padding - kernel) / stride + 1` windows. Each is summed in the
/// order of [`kernel::sum`], and divided once.
///
/// Gradient: to each element of a window, `g` over the number that its sum was divided by. An
/// element of several windows gets the sum.
///
/// ```
/// use baregrad::ops::pool::AvgPool1d;
/// # let mut arena = baregrad::Arena::<32, 4>::new();
/// # let tape = arena.tape();
/// let x = tape.input(&[1.0, 5.0, 2.0, 3.0], [1, 4]);
/// assert_eq!(*AvgPool1d::new(2).of(x).value()?, [3.0, 2.5]);
/// let padded = AvgPool1d::new(2).padding(1);
/// assert_eq!(*padded.of(x).value()?, [0.5, 3.5, 1.5]);
/// assert_eq!(*padded.count_include_pad(false).of(x).value()?, [1.0, 3.5, 3.0]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AvgPool1d {
    kernel: usize,
    stride: usize,
    padding: usize,
    ceil: bool,
    padding_counts: bool,
}

impl AvgPool1d {
    /// Adjacent windows of `kernel` elements, with PyTorch's defaults.
    #[must_use]
    pub fn new(kernel: usize) -> Self {
        AvgPool1d {
            kernel,
            stride: kernel,
            padding: 0,
            ceil: false,
            padding_counts: true,
        }
    }

    /// Sets the distance from one window to the next, in elements.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// Sets how far windows reach beyond either end of a row: at most half of a window.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = padding;
        self
    }

    /// Sets whether an incomplete last window counts, too. Its sum is divided by the number of
    /// its elements that are in the row and its padding.
    #[must_use]
    pub fn ceil_mode(mut self, ceil: bool) -> Self {
        self.ceil = ceil;
        self
    }

    /// Sets whether padding counts as zeros, which is the default. Otherwise the sum of a window
    /// is divided by the number of its elements that are in the row.
    #[must_use]
    pub fn count_include_pad(mut self, counts: bool) -> Self {
        self.padding_counts = counts;
        self
    }

    /// Records the means of `x`.
    ///
    /// The tape keeps an error if there is no whole window in a row, if padding is more than
    /// half of a window, or if a kernel or stride is 0.
    #[track_caller]
    #[must_use]
    pub fn of(self, x: Var<'_>) -> Var<'_> {
        let sizes = [self.kernel, self.stride, self.padding, 1];
        let attrs = pack(sizes, self.ceil, self.padding_counts);
        x.unary(&PoolOp::<false>, attrs)
    }
}

/// Words: kernel, stride, padding, dilation. Tag: the two flags.
fn pack(sizes: [usize; 4], ceil: bool, padding_counts: bool) -> Attrs {
    let [kernel, stride, padding, dilation] = sizes;
    Attrs {
        words: [word(kernel), word(stride), word(padding), word(dilation)],
        tag: if ceil { CEIL } else { 0 } | if padding_counts { 0 } else { WITHOUT_PADDING },
    }
}

/// The largest elements of windows, or their means.
#[derive(Debug)]
struct PoolOp<const MAX: bool>;

fn windows(x: &Shape, y: &Shape, attrs: &Attrs) -> Windows {
    let [kernel, stride, padding, dilation] = attrs.sizes();
    let last = x.rank().saturating_sub(1);
    Windows {
        len: x.dim(last),
        count: y.dim(last),
        kernel,
        stride,
        padding,
        // A window of a single element has no distances.
        dilation: if kernel == 1 { 1 } else { dilation },
    }
}

impl<const MAX: bool> Op for PoolOp<MAX> {
    fn name(&self) -> &'static str {
        if MAX { "max_pool1d" } else { "avg_pool1d" }
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        if x.rank() < 2 {
            return Err(ShapeError::TooFewDims { least: 2 });
        }
        if x.rank() > 3 {
            return Err(ShapeError::Rank { most: 3 });
        }
        let [kernel, stride, padding, dilation] = attrs.sizes();
        if kernel == 0 || stride == 0 || dilation == 0 {
            return Err(ShapeError::Other(
                "expected a kernel, a stride and a dilation of at least 1",
            ));
        }
        let span = dilation.saturating_mul(kernel - 1).saturating_add(1);
        if padding > span / 2 {
            return Err(ShapeError::Other("padding is more than half of a window"));
        }
        let last = x.rank() - 1;
        let (len, ceil) = (x.dim(last), attrs.tag & CEIL != 0);
        let more = if ceil { stride - 1 } else { 0 };
        let padded = len.saturating_add(padding.saturating_mul(2));
        let free = padded.saturating_add(more).checked_sub(span);
        let count = free.and_then(|free| free.checked_div(stride)?.checked_add(1));
        let count = count.map(|count| {
            // A window that lies wholly in the padding does not count.
            let start = (count - 1).saturating_mul(stride);
            let is_over = ceil && start >= len.saturating_add(padding);
            count - usize::from(is_over)
        });
        let count = count.filter(|count| len > 0 && *count > 0);
        let count = count.ok_or(ShapeError::Other(
            "expected a window no longer than the row with its padding",
        ))?;
        Ok(x.with_dim(last, count))
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let windows = windows(&cx.operand_shape(0), &cx.shape(), cx.attrs());
        let counts = cx.attrs().tag & WITHOUT_PADDING == 0;
        let ([x], out) = cx.split();
        if MAX {
            kernel::max_pool(x, &windows, out);
        } else {
            kernel::avg_pool(x, &windows, counts, out);
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let windows = windows(&cx.operand_shape(0), &cx.shape(), cx.attrs());
        let counts = cx.attrs().tag & WITHOUT_PADDING == 0;
        let x = cx.operand(0);
        if let Some(grad) = cx.grad(0) {
            if MAX {
                kernel::max_pool_grad(x, &windows, grad.output, grad.operand, grad.acc);
            } else {
                kernel::avg_pool_grad(&windows, counts, grad.output, grad.operand, grad.acc);
            }
        }
    }
}

/// Pooling.
impl<'t> Var<'t> {
    /// The largest of every `kernel` neighbouring elements along the last axis; fewer elements
    /// at the end are left out. See [`MaxPool1d`] for strides, padding and dilation.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 5.0, 2.0, 3.0, 4.0], [1, 1, 5]);
    /// assert_eq!(*x.max_pool1d(2).value()?, [5.0, 3.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn max_pool1d(self, kernel: usize) -> Var<'t> {
        MaxPool1d::new(kernel).of(self)
    }

    /// The mean of every `kernel` neighbouring elements along the last axis; fewer elements at
    /// the end are left out. See [`AvgPool1d`] for strides and padding.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 4>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 5.0, 2.0, 3.0, 4.0], [1, 1, 5]);
    /// assert_eq!(*x.avg_pool1d(2).value()?, [3.0, 2.5]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn avg_pool1d(self, kernel: usize) -> Var<'t> {
        AvgPool1d::new(kernel).of(self)
    }
}
