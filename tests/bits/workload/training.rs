//! Whole training runs: the thermometer, and a network that learns a sine.

use baregrad::optim::{Adam, Optimizer};
use baregrad::{Arena, Error, Tape, Var};

use super::super::thermometer;
use super::{Digest, Group, first};

#[rustfmt::skip] // The tables have their own layout.
#[allow(dead_code)] // PyTorch's losses are not used here.
#[path = "../../../examples/sine/mod.rs"]
mod sine;

/// A line through eleven samples, 5000 epochs.
pub const THERMOMETER: Group = Group {
    name: "thermometer",
    run: fit_thermometer,
    stack: 4500,
    digest: 0x4859_82d3_36d7_0265,
};

/// A network of two hidden layers, 50 epochs, a few samples at a time.
pub const SINE_IN_PARTS: Group = Group {
    name: "sine-parts",
    run: learn_sine_in_parts,
    stack: 12_000,
    digest: 0x073a_afa6_bade_a3f2,
};

/// A network of two hidden layers, 100 epochs.
pub const SINE: Group = Group {
    name: "sine",
    run: learn_sine,
    stack: 36_000,
    digest: 0xfd45_8a86_2a21_a1e5,
};

fn fit_thermometer(digest: &mut Digest) -> Result<(), Error> {
    use thermometer::{EPOCHS, Spelling, fit};
    for spelling in [Spelling::Operators, Spelling::Fused] {
        let fit = fit(spelling, EPOCHS)?;
        digest.add(&[fit.w, fit.b, fit.loss]);
    }
    Ok(())
}

/// The number of parameters of a network with two hidden layers of 16 units.
const WEIGHTS: usize = 321;

/// Records the network and its loss for some samples. Returns the loss, and the inputs with all
/// their data.
fn network<'t>(tape: &'t Tape<'t>, samples: usize) -> (Var<'t>, [(Var<'t>, &'t [f32]); 2]) {
    let [w1, b1, w2, b2, w3, b3] = [
        tape.param(&sine::W1, [1, 16]),
        tape.param(&sine::B1, [16]),
        tape.param(&sine::W2, [16, 16]),
        tape.param(&sine::B2, [16]),
        tape.param(&sine::W3, [16, 1]),
        tape.param(&sine::B3, [1]),
    ];
    let x = tape.input(first(&sine::X, samples), [samples, 1]);
    let y = tape.input(first(&sine::Y, samples), [samples, 1]);
    let hidden = x.linear(w1, b1).tanh();
    let hidden = hidden.linear(w2, b2).tanh();
    let loss = hidden.linear(w3, b3).mse(y);
    (loss, [(x, &sine::X), (y, &sine::Y)])
}

fn learn_sine(digest: &mut Digest) -> Result<(), Error> {
    let mut arena = Arena::<6916, 14>::new();
    let tape = arena.tape();
    let (loss, _) = network(&tape, 64);
    let mut adam = Adam::<WEIGHTS>::new(1e-2);
    for _ in 0..100 {
        train(digest, &tape, loss, &mut adam)?;
    }
    digest.add(&tape.params()?);
    Ok(())
}

/// Trains with five samples at a time, so that the last micro-batch has four.
fn learn_sine_in_parts(digest: &mut Digest) -> Result<(), Error> {
    let mut arena = Arena::<1200, 14>::new();
    let tape = arena.tape();
    let (loss, data) = network(&tape, 5);
    let mut adam = Adam::<WEIGHTS>::new(1e-2);
    for _ in 0..50 {
        tape.zero_grad();
        digest.add(&[tape.backward_over(loss, &data)?]);
        digest.add(&tape.grads()?);
        tape.step(&mut adam)?;
    }
    digest.add(&tape.params()?);
    Ok(())
}

/// Takes one step, and adds loss and gradients to the digest.
pub(super) fn train<'t>(
    digest: &mut Digest,
    tape: &'t Tape<'t>,
    loss: Var<'t>,
    optimizer: &mut impl Optimizer,
) -> Result<(), Error> {
    tape.zero_grad();
    tape.backward(loss)?;
    digest.add(&[loss.item()?]);
    digest.add(&tape.grads()?);
    tape.step(optimizer)?;
    tape.replay()
}
