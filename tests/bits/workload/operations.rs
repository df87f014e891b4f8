//! Every operation of the list.

use baregrad::ops::{self, Args, Domain, Entry};
use baregrad::random::seeded;
use baregrad::{Arena, Error, Shape};

use super::layers::network_of_layers;
use super::{Digest, Group, fill, fill_wild};

/// Every element-wise operation, reduction and loss of the list. A new one needs no change here.
pub const OPERATIONS: Group = Group {
    name: "operations",
    run: operations,
    stack: 10_000,
    digest: 0x77c2_597b_e29d_155a,
};

/// Every operation of the list that moves elements, every layer, and a network of layers.
pub const SHAPES_AND_LAYERS: Group = Group {
    name: "shapes-and-layers",
    run: shapes_and_layers,
    stack: 10_000,
    digest: 0x2867_9953_e57a_e934,
};

/// Records each operation on its own shapes and on larger ones, on ordinary and special numbers,
/// with its own arguments and with others. Computes results, and gradients twice, so that the
/// second ones are added to the first.
fn operations(digest: &mut Digest) -> Result<(), Error> {
    each_of(ops::ELEMENTARY, digest)
}

fn shapes_and_layers(digest: &mut Digest) -> Result<(), Error> {
    each_of(ops::STRUCTURAL, digest)?;
    network_of_layers(digest)
}

fn each_of(list: &[&[Entry]], digest: &mut Digest) -> Result<(), Error> {
    for entry in list.iter().copied().flatten() {
        for factor in [1, 3] {
            for wild in [false, true] {
                let args = Args {
                    n: if wild { -2 } else { 20 },
                    ..entry.args
                };
                for args in [entry.args, args] {
                    operation(digest, entry, &args, factor, wild)?;
                }
            }
        }
    }
    Ok(())
}

#[inline(never)]
fn operation(
    digest: &mut Digest,
    entry: &Entry,
    args: &Args,
    factor: usize,
    wild: bool,
) -> Result<(), Error> {
    // The most elements of a result. Larger operands repeat their numbers.
    const MOST: usize = 256;
    let rng = &mut seeded(12);
    let mut arena = Arena::<1024, 8>::new();
    let tape = arena.tape();
    let mut operand = |shape: &[usize]| {
        let mut numbers = [0.0; MOST];
        match wild {
            true => fill_wild(rng, &mut numbers),
            false => fill(rng, &mut numbers),
        }
        // Small enough for `exp`, and within the operation's domain.
        for x in numbers.iter_mut().filter(|_| !wild) {
            *x *= 0.02;
            match entry.domain {
                Domain::Positive => *x = x.abs(),
                Domain::Probability => *x = x.abs() / (1.0 + x.abs()),
                Domain::Signed => {}
            }
        }
        let mut grown = [1; 4];
        for (to, d) in grown.iter_mut().zip(shape) {
            *to = if *d == 1 { 1 } else { d * factor };
        }
        let shape = Shape::new(grown.get(..shape.len()).unwrap_or_default());
        tape.param_from_fn(shape.unwrap_or_default(), |i| {
            numbers.get(i % MOST).copied().unwrap_or_default()
        })
    };
    let first = operand(entry.shapes.first().copied().unwrap_or_default());
    let mut operands = [first; 4];
    for (to, shape) in operands.iter_mut().zip(entry.shapes).skip(1) {
        *to = operand(shape);
    }
    let operands = operands.get(..entry.shapes.len()).unwrap_or_default();
    let Some(result) = entry.build.call(operands, args) else {
        return Ok(());
    };
    digest.add(&result.value()?);
    if !result.requires_grad() {
        return Ok(()); // A comparison has no gradient.
    }
    let mut g = [0.0; MOST];
    fill(&mut seeded(13), &mut g);
    for _ in 0..2 {
        tape.backward_with(result, g.get(..result.shape().numel()).unwrap_or_default())?;
        for operand in operands.iter().filter(|operand| operand.has_grad()) {
            digest.add(&operand.grad()?);
        }
    }
    Ok(())
}
