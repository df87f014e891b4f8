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
/// let mut arena = Arena::<1024, 8>::new();
/// let tape = arena.tape();
/// let window = tape.constant_from_fn([1, 3, 20], |i| i as f32 / 60.0);
/// let layer = Conv1d::new(&tape, 3, 8, 5, &mut seeded(1)); // 8 filters of 5 readings
/// assert_eq!(layer.forward(window).shape().dims(), [1, 8, 16]);
/// // Stride and padding: `layer.options()` takes them.
/// let y = layer.options().stride(2).padding(2).of(window, layer.weight);
/// assert_eq!(y.shape().dims(), [1, 8, 10]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Conv1d<'t> {
    /// The filters, `[filters, channels, kernel]`.
    pub weight: Var<'t>,
    /// A bias for each filter, `[filters]`.
    pub bias: Var<'t>,
}

impl<'t> Conv1d<'t> {
    /// A layer whose parameters are drawn as PyTorch draws them, weights first, both within
    /// `1 / √(channels kernel)` of 0.
    ///
    /// Should the arena be full, the tape keeps the error.
    #[track_caller]
    pub fn new<R: Rng + ?Sized>(
        tape: &'t Tape<'t>,
        channels: usize,
        filters: usize,
        kernel: usize,
        rng: &mut R,
    ) -> Self {
        let bound = linear_bound(channels.saturating_mul(kernel));
        let uniform = Uniform::new(-bound, bound);
        // Such a bound is finite.
        let mut draw = |_| uniform.map_or(0.0, |uniform| uniform.sample(rng));
        Conv1d {
            weight: tape.param_from_fn([filters, channels, kernel], &mut draw),
            bias: tape.param_from_fn([filters], &mut draw),
        }
    }

    /// Records the layer for `x`, `[n, channels, length]` or `[channels, length]`, without
    /// padding: `[n, filters, length - kernel + 1]`.
    #[track_caller]
    #[must_use]
    pub fn forward(&self, x: Var<'t>) -> Var<'t> {
        self.options().of(x, self.weight)
    }

    /// The operation with this bias, to be given a stride, padding or dilation, and then `x`
    /// and the [`weight`](Self::weight).
    #[must_use]
    pub fn options(&self) -> conv::Conv1d<'t> {
        conv::Conv1d::new().bias(self.bias)
    }

    /// The parameters by PyTorch's names, in PyTorch's shapes.
    #[must_use]
    pub fn params(&self) -> [(&'static str, Var<'t>); 2] {
        [("weight", self.weight), ("bias", self.bias)]
    }

    /// How many parameters a layer has.
    #[must_use]
    pub const fn param_count(channels: usize, filters: usize, kernel: usize) -> usize {
        let filter = channels.saturating_mul(kernel).saturating_add(1);
        filter.saturating_mul(filters)
    }
}
