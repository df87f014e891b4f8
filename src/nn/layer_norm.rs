//! Normalisation of each sample by itself.

use crate::ops::norm;
use crate::shape::Shape;
use crate::tape::Tape;
use crate::var::Var;

/// PyTorch's `nn.LayerNorm`: each sample normalised over its last dimensions, then weighted.
///
/// ```
/// use baregrad::{Arena, nn::LayerNorm};
///
/// let mut arena = Arena::<64, 8>::new();
/// let tape = arena.tape();
/// let layer = LayerNorm::new(&tape, [2]); // weights of 1, biases of 0
/// let y = layer.forward(tape.input(&[1.0, 3.0, 10.0, 30.0], [2, 2]));
/// assert!(y.value()?.iter().all(|y| (y.abs() - 1.0).abs() < 1e-4));
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'t> {
    /// The factor of each element, of the normalised shape.
    pub weight: Var<'t>,
    /// The offset of each element, of the same shape.
    pub bias: Var<'t>,
    settings: norm::LayerNorm<'t>,
}

impl<'t> LayerNorm<'t> {
    /// A layer for samples whose last dimensions are `normalized_shape`; weights start as 1,
    /// biases as 0.
    ///
    /// If the arena is full, the tape keeps the error.
    #[track_caller]
    pub fn new(tape: &'t Tape<'t>, normalized_shape: impl Into<Shape>) -> Self {
        let shape = normalized_shape.into();
        LayerNorm {
            weight: tape.param_from_fn(shape, |_| 1.0),
            bias: tape.param_from_fn(shape, |_| 0.0),
            settings: norm::LayerNorm::new(shape),
        }
    }

    /// Sets `eps`, which is added to the variance: 1e-5 unless it is set.
    #[must_use]
    pub fn eps(mut self, eps: f32) -> Self {
        self.settings = self.settings.eps(eps);
        self
    }

    /// Records the layer for `x`. The result has the same shape.
    ///
    /// The tape keeps an error if the last dimensions of `x` are not those of the layer.
    #[track_caller]
    #[must_use]
    pub fn forward(&self, x: Var<'t>) -> Var<'t> {
        self.settings.weight(self.weight).bias(self.bias).of(x)
    }

    /// The parameters by PyTorch's names.
    #[must_use]
    pub fn params(&self) -> [(&'static str, Var<'t>); 2] {
        [("weight", self.weight), ("bias", self.bias)]
    }
}
