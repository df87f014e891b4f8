//! Layers: affine maps with their activations, and a network of every layer of `nn`.

use baregrad::nn::{self, Conv1d, Dropout, LayerNorm, Linear, Mlp};
use baregrad::optim::Adam;
use baregrad::random::seeded;
use baregrad::{Arena, Error, Var};

use super::{Digest, Group, fill, first};

/// Layers with their activations, straight lines included.
pub const LAYERS: Group = Group {
    name: "layers",
    run: layers,
    stack: 4500,
    digest: 0xf4a8_7b06_0a0a_0066,
};

/// Computes results and gradients, with those of the inputs.
fn layers(digest: &mut Digest) -> Result<(), Error> {
    type Layer = for<'t> fn(Var<'t>, Var<'t>, Var<'t>) -> Var<'t>;
    let layers: [Layer; 5] = [
        |x, w, b| x.linear(w, b),
        |x, w, b| x.linear_identity(w, b),
        |x, w, b| x.linear_tanh(w, b),
        |x, w, b| x.linear_sigmoid(w, b),
        |x, w, b| x.linear_relu(w, b),
    ];
    let mut arena = Arena::<288, 4>::new();
    let rng = &mut seeded(11);
    for [m, k, n] in [
        [11, 1, 1],
        [40, 1, 1],
        [1, 4, 1],
        [7, 3, 1],
        [5, 1, 3],
        [9, 2, 10],
    ] {
        for layer in layers {
            let tape = arena.tape();
            let mut numbers = [0.0; 160];
            fill(rng, &mut numbers);
            numbers.iter_mut().for_each(|x| *x /= 1024.0);
            let from = |start: usize| {
                let numbers = &numbers;
                move |i| numbers.get(start + i).copied().unwrap_or_default()
            };
            let x = tape.param_from_fn([m, k], from(0));
            let w = tape.param_from_fn([k, n], from(40));
            let b = tape.param_from_fn([n], from(60));
            let y = layer(x, w, b);
            digest.add(&y.value()?);
            tape.backward_with(y, first(numbers.get(70..).unwrap_or_default(), m * n))?;
            digest.add(&tape.grads()?);
        }
    }
    Ok(())
}

/// Trains a network of every layer of `nn` for a few steps.
#[inline(never)]
pub(super) fn network_of_layers(digest: &mut Digest) -> Result<(), Error> {
    const PARAMS: usize = Conv1d::param_count(1, 2, 3)
        + 2 * 6
        + Mlp::<nn::Tanh, 2>::param_count(12, [3, 3])
        + Linear::param_count(3, 2);
    let rng = &mut seeded(14);
    let mut windows = [0.0; 4 * 8];
    fill(rng, &mut windows);
    for x in &mut windows {
        *x *= 0.1;
    }
    let mut arena = Arena::<1024, 24>::new();
    let tape = arena.tape();
    let conv = Conv1d::new(&tape, 1, 2, 3, rng);
    let norm = LayerNorm::new(&tape, [6]);
    let drop = Dropout::new(&tape, 0.3, 5);
    let mlp = Mlp::<nn::Tanh, 2>::new(&tape, 12, [3, 3], rng);
    let last = Linear::new(&tape, 3, 2, rng);
    let filtered = norm.forward(conv.forward(tape.input(&windows, [4, 1, 8])));
    let units = drop.forward(filtered.relu()).reshape([4, 12]);
    let logits = last.forward(mlp.forward(units));
    let loss = logits.cross_entropy(tape.input(&[0.0, 1.0, 1.0, 0.0], [4]));
    let mut adam = Adam::<PARAMS>::new(0.02);
    for step in 0..5 {
        drop.train(step)?;
        tape.replay()?;
        tape.zero_grad();
        tape.backward(loss)?;
        tape.step(&mut adam)?;
        digest.add(&[loss.item()?]);
    }
    drop.eval()?;
    tape.replay()?;
    digest.add(&logits.value()?);
    digest.add(&tape.params()?);
    Ok(())
}
