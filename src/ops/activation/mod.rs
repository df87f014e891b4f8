//! Activation functions, with PyTorch's formulas and its derivatives at kinks.

mod pieces;
mod smooth;

pub use pieces::{Clamp, Elu, Hardsigmoid, Hardswish, Identity, LeakyRelu, Prelu, Relu, Selu};
pub use smooth::{Gelu, GeluTanh, LogSigmoid, Mish, Sigmoid, Silu, Softplus, Softsign, Tanh};

use super::{Args, Entry};

pub(super) const ENTRIES: &[Entry] = &[
    Entry::each("tanh", |x, _| x.tanh()),
    Entry::each("sigmoid", |x, _| x.sigmoid()),
    Entry::each("relu", |x, _| x.relu()),
    Entry::each("leaky_relu", |x, args| x.leaky_relu(args.slope)),
    Entry::each("gelu_erf", |x, _| x.gelu()),
    Entry::each("gelu_tanh", |x, _| x.gelu_tanh()),
    Entry::each("softplus", |x, _| x.softplus()),
    Entry::each("elu", |x, args| x.elu(args.alpha)),
    Entry::each("silu", |x, _| x.silu()),
    Entry::each("clamp", |x, args| x.clamp(args.min, args.max)).with(Args {
        min: Some(-1.01),
        max: Some(1.01),
        ..Args::NONE
    }),
    Entry::each("mish", |x, _| x.mish()),
    Entry::each("hardswish", |x, _| x.hardswish()),
    Entry::each("hardsigmoid", |x, _| x.hardsigmoid()),
    Entry::each("selu", |x, _| x.selu()),
    Entry::each("softsign", |x, _| x.softsign()),
    Entry::each("logsigmoid", |x, _| x.logsigmoid()),
    Entry::pair("prelu", |weight, x, _| x.prelu(weight)),
];
