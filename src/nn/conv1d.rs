//! A convolution along rows.

use super::init::linear_bound;
use crate::ops::conv;
use crate::random::{Rng, Uniform};
use crate::tape::Tape;
use crate::var::Var;

/// PyTorch's `nn.Conv1d`: filters slid along the rows of all channels, such as the axes of an
/// accelerometer.
///
/// ```
/// use baregrad::{Arena, nn::Conv1d, random::seeded};
///
/// let mut arena = Arena::<600, 8>::new();
/// let tape = arena.tape();
/// let window = tape.constant_from_fn([1, 3, 20], |i| i as f32 / 60.0);
/// let layer = Conv1d::new(&tape, 3, 8, 5, &mut seeded(1)); // 8 filters of 5 readings
/// assert_eq!(layer.forward(window).shape().dims(), [1, 8, 16]);
/// let layer = layer.stride(2).padding(2);
/// assert_eq!(layer.forward(window).shape().dims(), [1, 8, 10]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Conv1d<'t> {
    /// The filters, `[out_channels, in_channels, kernel_size]`.
    pub weight: Var<'t>,
    /// A bias for each filter, `[out_channels]`.
    pub bias: Var<'t>,
    settings: conv::Conv1d<'t>,
}

impl<'t> Conv1d<'t> {
    /// A layer with a stride of 1, no padding and no dilation, whose parameters are drawn as
    /// PyTorch draws them, weights first, both within `1 / √(in_channels kernel_size)` of 0.
    /// They are drawn directly into the arena.
    ///
    /// If the arena is full, the tape keeps the error.
    #[track_caller]
    pub fn new<R: Rng + ?Sized>(
        tape: &'t Tape<'t>,
        in_channels: usize,
        out_channels: usize,
        kernel_size: usize,
        rng: &mut R,
    ) -> Self {
        let bound = linear_bound(in_channels.saturating_mul(kernel_size));
        let uniform = Uniform::new(-bound, bound);
        // The bound is finite, so `uniform` is never an error.
        let mut draw = |_| uniform.map_or(0.0, |uniform| uniform.sample(rng));
        let weight = tape.param_from_fn([out_channels, in_channels, kernel_size], &mut draw);
        let bias = tape.param_from_fn([out_channels], &mut draw);
        Conv1d {
            weight,
            bias,
            settings: conv::Conv1d::new(),
        }
    }

    /// Sets the distance from one window to the next, in elements: 1 unless it is set.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.settings = self.settings.stride(stride);
        self
    }

    /// Sets the number of zeros that are added at either end of a row: none unless it is set.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.settings = self.settings.padding(padding);
        self
    }

    /// Sets the distance between the elements of a window: 1, neighbours, unless it is set.
    #[must_use]
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.settings = self.settings.dilation(dilation);
        self
    }

    /// Records the layer for `x`, `[n, in_channels, length]` or `[in_channels, length]`, as one
    /// node: `[n, out_channels, windows]` or `[out_channels, windows]`. See the operation
    /// [`Conv1d`](conv::Conv1d) for the number of windows.
    ///
    /// The tape keeps an error if shapes do not fit, if a window is longer than a row with its
    /// padding, or if the stride or the dilation is 0.
    #[track_caller]
    #[must_use]
    pub fn forward(&self, x: Var<'t>) -> Var<'t> {
        self.settings.bias(self.bias).of(x, self.weight)
    }

    /// The parameters by PyTorch's names, in PyTorch's shapes.
    #[must_use]
    pub fn params(&self) -> [(&'static str, Var<'t>); 2] {
        [("weight", self.weight), ("bias", self.bias)]
    }

    /// The number of parameters of a layer.
    #[must_use]
    pub const fn param_count(in_channels: usize, out_channels: usize, kernel_size: usize) -> usize {
        let filter = in_channels.saturating_mul(kernel_size).saturating_add(1);
        filter.saturating_mul(out_channels)
    }
}
