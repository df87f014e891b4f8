//! Random programs on square matrices, trained for a few steps.

use baregrad::optim::Sgd;
use baregrad::random::{Rng, seeded};
use baregrad::{Arena, Error, Tape, Var};

use super::training::train;
use super::{Digest, Group, below, fill, first};

/// Random programs.
pub const PROGRAMS: Group = Group {
    name: "programs",
    run: programs,
    stack: 125_000,
    digest: 0x19dc_fe10_0d27_a982,
};

/// The size of the widest matrix, which is no multiple of a vector.
const WIDE: usize = 19;

/// Trains programs on square matrices of every size for a few steps.
fn programs(digest: &mut Digest) -> Result<(), Error> {
    let mut arena = Arena::<24_576, 80>::new();
    for seed in 0..60 {
        let rng = &mut seeded(seed);
        let tape = arena.tape();
        let loss = program(&tape, 1 + seed as usize % WIDE, rng);
        for _ in 0..3 {
            train(digest, &tape, loss, &mut Sgd::new(0.01))?;
        }
        digest.add(&tape.params()?);
        digest.add(&[loss.item()?]);
    }
    Ok(())
}

/// Draws numbers from -1 to 1.
fn draw(rng: &mut impl Rng) -> [f32; WIDE * WIDE] {
    let mut numbers = [0.0; WIDE * WIDE];
    fill(rng, &mut numbers);
    numbers.map(|x| x / 1024.0)
}

/// Records operations on `n x n` matrices. Each takes earlier results, and some of these are used
/// again, so that gradients come from several operations.
fn program<'t>(tape: &'t Tape<'t>, n: usize, rng: &mut impl Rng) -> Var<'t> {
    let square = |numbers: [f32; WIDE * WIDE]| tape.constant(first(&numbers, n * n), [n, n]);
    let w = tape.param(first(&draw(rng), n * n), [n, n]);
    let b = tape.param(first(&draw(rng), n), [n]);
    let c = tape.param(first(&draw(rng), n), [n, 1]);
    let data = square(draw(rng));
    // These use all parameters, whatever is drawn.
    let mut vars = [w, data, w * b, data - c, data.linear(w, b)];
    for _ in 0..4 + below(rng, 10) {
        let [x, y] = [(); 2].map(|()| vars.get(below(rng, vars.len())).copied().unwrap_or(w));
        let axis = below(rng, 2) as isize;
        let next = match below(rng, 32) {
            0 => x + y,
            1 => x - y,
            2 => x * y,
            3 => x / (1.5 + y.square()),
            4 => x.matmul(y) / n as f32,
            5 => x.linear(y, b).tanh(),
            6 => x.tanh(),
            7 => x.sigmoid(),
            8 => x.relu(),
            9 => x.leaky_relu(0.1),
            10 => x.gelu(),
            11 => x.gelu_tanh(),
            12 => x.softplus(),
            13 => x.elu(0.7),
            14 => x.silu(),
            15 => x.clamp(-0.5, 0.5),
            16 => x.maximum(y),
            17 => x.minimum(c),
            18 => (x.square() + 0.1).sqrt(),
            19 => x.powi(3),
            20 => (x.abs() + 0.5).powf(1.7),
            21 => x.tanh().exp(),
            22 => (x.square() + 0.5).ln(),
            23 => x.sin() * y.cos(),
            24 => x.sum_axis(axis, true) * y / n as f32,
            25 => y - x.mean_axis(axis, true),
            26 => y * x.max_axis(axis, true),
            27 => x.softmax(axis),
            28 => x.log_softmax(axis) / n as f32,
            29 => x.transpose(0, 1),
            30 => tape.concat(&[x, y], axis).narrow(axis, n / 2, n),
            _ => x.reshape([-1]).reshape([n as isize, n as isize]) + y.mean(),
        };
        if let Some(var) = vars.get_mut(below(rng, 5)) {
            // The average keeps the parameters of the replaced result in use.
            *var = 0.5 * (*var + next);
        }
    }
    let sum = vars.into_iter().fold(data, |sum, var| sum + var);
    (sum * square(draw(rng))).sum().square() * 0.01 + sum.mse(data)
}
