//! Layers of small networks, with parameters initialised as PyTorch's. They need no heap: the
//! parameters are on the tape, and a layer holds only its variables.
//!
//! ```
//! use baregrad::nn::{Mlp, Relu};
//! use baregrad::optim::Adam;
//! use baregrad::random::seeded;
//! use baregrad::record::{Record, Writer};
//! use baregrad::Arena;
//!
//! const LAYERS: [usize; 3] = [16, 16, 2]; // units of each
//! const PARAMS: usize = Mlp::<Relu, 3>::param_count(2, LAYERS);
//!
//! // Is a point within the circle?
//! let x = [0.1, 0.2, -0.9, 0.8, 0.5, -0.1, -0.2, -0.9, -0.3, 0.3, 0.9, 0.7];
//! let class = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
//!
//! let mut arena = Arena::<1200, 16>::new();
//! let tape = arena.tape();
//! let mlp = Mlp::<Relu, 3>::new(&tape, 2, LAYERS, &mut seeded(1));
//! let logits = mlp.forward(tape.input(&x, [6, 2]));
//! let loss = logits.cross_entropy(tape.input(&class, [6]));
//! let mut adam = Adam::<PARAMS>::new(0.01);
//! for _ in 0..100 {
//!     tape.zero_grad();
//!     tape.backward(loss)?;
//!     tape.step(&mut adam)?;
//!     tape.replay()?;
//! }
//! assert!(loss.item()? < 0.1);
//!
//! // Saved and loaded: `0.weight`, `0.bias`, `2.weight`, …, as PyTorch names the parameters
//! // of `nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), …)`.
//! let mut bytes = [0; 2048];
//! let mut writer = Writer::new(&mut bytes);
//! writer.params("model", mlp.params().as_flattened())?;
//! let bytes = writer.finish()?;
//! let mut arena = Arena::<1200, 16>::new();
//! let tape = arena.tape();
//! let other = Mlp::<Relu, 3>::new(&tape, 2, LAYERS, &mut seeded(2));
//! Record::read(bytes)?.load_params("model", other.params().as_flattened())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | takes | gives |
//! | --- | --- | --- |
//! | [`Linear`] | `[n, inputs]` | `[n, outputs]` |
//! | [`Mlp`]: linear layers with an activation between them | `[n, inputs]` | `[n, units of the last]` |
//! | [`Conv1d`]: filters along a window of a sensor | `[n, in_channels, length]` | `[n, out_channels, windows]` |
//! | [`LayerNorm`]: each sample normalised by itself | `[…, normalized_shape]` | the same |
//! | [`Dropout`]: elements set to 0 in training | any shape | the same |
//!
//! | | |
//! | --- | --- |
//! | [`init`] | `torch.nn.init`: initial values of parameters |
//! | [`polynomial`] | products of inputs, as inputs of a linear model |
//!
//! A board trains a network as above: nothing in it needs `std`. If RAM is short, it trains only
//! the last layer, on the results of the other layers for each sample, as the example `gestures`
//! does.
//!
//! Weights of linear layers are `[inputs, outputs]`, so that a layer is `x · w + b`. PyTorch
//! stores them transposed; the module `train::safetensors` shows how to load its files.
//!
//! The same seed gives the same bits on every target. The distributions are PyTorch's, but the
//! numbers are not, because the generators differ.

mod conv1d;
mod dropout;
pub mod init;
mod layer_norm;
mod linear;
mod mlp;
pub mod polynomial;

pub use crate::ops::activation::{Relu, Sigmoid, Tanh};
pub use conv1d::Conv1d;
pub use dropout::Dropout;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mlp::{Hidden, Mlp};
