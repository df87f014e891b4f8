//! A linear layer.

use super::init::linear_bound;
use crate::random::{Rng, Uniform};
use crate::tape::Tape;
use crate::var::Var;

/// PyTorch's `nn.Linear`: `x · weight + bias`.
///
/// ```
/// use baregrad::{Arena, nn::Linear, random::seeded};
///
/// let mut arena = Arena::<64, 8>::new();
/// let tape = arena.tape();
/// let layer = Linear::new(&tape, 4, 3, &mut seeded(1));
/// let y = layer.forward(tape.input(&[1.0; 8], [2, 4]));
/// assert_eq!(y.shape().dims(), [2, 3]);
/// assert!(layer.weight.value()?.iter().all(|w| w.abs() <= 0.5)); // 1 / √4
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Linear<'t> {
    /// The weights, `[inputs, outputs]`.
    pub weight: Var<'t>,
    /// A bias for each output, `[outputs]`.
    pub bias: Var<'t>,
}

impl<'t> Linear<'t> {
    /// A layer whose parameters are drawn as PyTorch draws them, weights first, both within
    /// `1 / √inputs` of 0. They are drawn directly into the arena.
    ///
    /// If the arena is full, the tape keeps the error.
    #[track_caller]
    pub fn new<R: Rng + ?Sized>(
        tape: &'t Tape<'t>,
        inputs: usize,
        outputs: usize,
        rng: &mut R,
    ) -> Self {
        let bound = linear_bound(inputs);
        let uniform = Uniform::new(-bound, bound);
        // The bound is finite, so `uniform` is never an error.
        let mut draw = |_| uniform.map_or(0.0, |uniform| uniform.sample(rng));
        Linear {
            weight: tape.param_from_fn([inputs, outputs], &mut draw),
            bias: tape.param_from_fn([outputs], &mut draw),
        }
    }

    /// Records `x · weight + bias`, `[n, outputs]`, for `x`, `[n, inputs]`.
    #[track_caller]
    #[must_use]
    pub fn forward(&self, x: Var<'t>) -> Var<'t> {
        x.linear(self.weight, self.bias)
    }

    /// The parameters by PyTorch's names, for [`Writer::params`](crate::record::Writer::params)
    /// and [`Record::load_params`](crate::record::Record::load_params).
    #[must_use]
    pub fn params(&self) -> [(&'static str, Var<'t>); 2] {
        [("weight", self.weight), ("bias", self.bias)]
    }

    /// The number of parameters of a layer.
    #[must_use]
    pub const fn param_count(inputs: usize, outputs: usize) -> usize {
        inputs.saturating_add(1).saturating_mul(outputs)
    }
}
