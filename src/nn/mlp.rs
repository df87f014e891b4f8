//! A network of linear layers.

use core::marker::PhantomData;

use super::Linear;
use super::{Relu, Sigmoid, Tanh};
use crate::random::Rng;
use crate::tape::Tape;
use crate::var::Var;

/// The activation after each layer of an [`Mlp`] but the last. It is a type, so that firmware
/// links only the activation that it names.
pub trait Hidden {
    /// Records a layer with this activation, as one node.
    #[track_caller]
    fn layer<'t>(x: Var<'t>, weight: Var<'t>, bias: Var<'t>) -> Var<'t>;
}

macro_rules! hidden {
    ($($activation:ident $layer:ident),*) => {$(
        impl Hidden for $activation {
            #[track_caller]
            fn layer<'t>(x: Var<'t>, weight: Var<'t>, bias: Var<'t>) -> Var<'t> {
                x.$layer(weight, bias)
            }
        }
    )*};
}

hidden!(Relu linear_relu, Sigmoid linear_sigmoid, Tanh linear_tanh);

/// The largest number of layers of an [`Mlp`].
const MOST: usize = 8;

/// Names of parameters. PyTorch's `nn.Sequential` numbers activations as well, hence the gaps.
#[rustfmt::skip]
const NAMES: [[&str; 2]; MOST] = [
    ["0.weight", "0.bias"], ["2.weight", "2.bias"], ["4.weight", "4.bias"], ["6.weight", "6.bias"],
    ["8.weight", "8.bias"], ["10.weight", "10.bias"], ["12.weight", "12.bias"], ["14.weight", "14.bias"],
];

/// A network of `N` linear layers, from 1 to 8, with the activation `A` between them: PyTorch's
/// `nn.Sequential(nn.Linear(…), A, nn.Linear(…), …)`.
///
/// See [the module](super) for how it is trained, saved and loaded.
pub struct Mlp<'t, A, const N: usize> {
    layers: [Linear<'t>; N],
    activation: PhantomData<A>,
}

impl<A, const N: usize> Clone for Mlp<'_, A, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, const N: usize> Copy for Mlp<'_, A, N> {}

impl<A, const N: usize> core::fmt::Debug for Mlp<'_, A, N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut list = f.debug_list();
        list.entries(self.layers.iter()).finish()
    }
}

impl<'t, A: Hidden, const N: usize> Mlp<'t, A, N> {
    /// A network with the given number of inputs, and of units in each layer. Parameters are
    /// drawn layer after layer, as by [`Linear::new`].
    #[track_caller]
    pub fn new<R: Rng + ?Sized>(
        tape: &'t Tape<'t>,
        inputs: usize,
        units: [usize; N],
        rng: &mut R,
    ) -> Self {
        const { assert!(N >= 1 && N <= MOST, "expected 1 to 8 layers") };
        let mut inputs = inputs;
        // A loop, because a closure would not know the caller's line.
        let unrecorded = Var::unrecorded(tape);
        let mut layers = [Linear {
            weight: unrecorded,
            bias: unrecorded,
        }; N];
        for (layer, units) in layers.iter_mut().zip(units) {
            *layer = Linear::new(tape, inputs, units, rng);
            inputs = units;
        }
        Mlp {
            layers,
            activation: PhantomData,
        }
    }

    /// The layers, first to last.
    #[must_use]
    pub fn layers(&self) -> &[Linear<'t>; N] {
        &self.layers
    }

    /// Records the network for `x`, `[n, inputs]`, as `N` nodes. The result is
    /// `[n, units of the last layer]`, without an activation, as losses of logits expect it.
    #[track_caller]
    #[must_use]
    pub fn forward(&self, x: Var<'t>) -> Var<'t> {
        let mut units = x;
        if let [hidden @ .., last] = self.layers.as_slice() {
            for layer in hidden {
                units = A::layer(units, layer.weight, layer.bias);
            }
            units = units.linear_identity(last.weight, last.bias);
        }
        units
    }

    /// The parameters of each layer by PyTorch's names: `0.weight`, `0.bias`, `2.weight`, ….
    /// `params().as_flattened()` is what
    /// [`Writer::params`](crate::record::Writer::params) and
    /// [`Record::load_params`](crate::record::Record::load_params) take.
    #[must_use]
    pub fn params(&self) -> [[(&'static str, Var<'t>); 2]; N] {
        let mut params = self.layers.map(|layer| layer.params());
        for (params, names) in params.iter_mut().zip(NAMES) {
            for ((to, _), name) in params.iter_mut().zip(names) {
                *to = name;
            }
        }
        params
    }

    /// The number of parameters of such a network, which an optimizer's type needs.
    #[must_use]
    pub const fn param_count(inputs: usize, units: [usize; N]) -> usize {
        let (mut count, mut inputs, mut rest) = (0_usize, inputs, units.as_slice());
        while let [units, others @ ..] = rest {
            count = count.saturating_add(Linear::param_count(inputs, *units));
            (inputs, rest) = (*units, others);
        }
        count
    }
}
