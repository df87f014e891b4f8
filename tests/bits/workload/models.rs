//! Every model of one sample of the list: values and derivatives, and as one node of a tape.

use baregrad::function::models::{Logistic, Visitor, visit};
use baregrad::function::{
    Absolute, Bce, BceWithLogits, DataGrads, Function, Huber, Loss, SmoothL1, Squared,
};
use baregrad::random::{Rng, seeded};
use baregrad::{Arena, Error};

use super::{Digest, Group, fill, fill_wild};

/// Values and derivatives of every model of the list. A new model needs no change here.
pub const MODELS: Group = Group {
    name: "models",
    run: models,
    stack: 2000,
    digest: 0x18e5_fbeb_1773_f4f7,
};

/// Every model as one node: losses, predictions and gradients.
pub const MODEL_NODES: Group = Group {
    name: "model-nodes",
    run: model_nodes,
    stack: 6500,
    digest: 0x742d_e0e1_5190_0a9e,
};

/// Computes values and derivatives for ordinary and special samples.
fn models(digest: &mut Digest) -> Result<(), Error> {
    struct Digested<'a>(&'a mut Digest);
    impl Visitor for Digested<'_> {
        #[inline(never)]
        fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
            &mut self,
            _: F,
            x: [[f32; 2]; X],
            p: [[f32; 2]; P],
        ) {
            let rng = &mut seeded(14);
            for sample in 0..32 {
                let (x, p) = (draw_sample(rng, x, sample), draw_sample(rng, p, sample));
                let (value, gradient) = F::value_and_gradient(x, p);
                self.0.add(&[value]);
                self.0.add(&gradient);
            }
        }
    }
    visit(&mut Digested(digest));
    Ok(())
}

/// Draws a number within each of the ranges; for every second sample, numbers of any size.
fn draw_sample<const N: usize>(rng: &mut impl Rng, ranges: [[f32; 2]; N], sample: u32) -> [f32; N] {
    let mut drawn = [0.0; N];
    fill_wild(rng, &mut drawn);
    if sample.is_multiple_of(2) {
        for (to, [least, most]) in drawn.iter_mut().zip(ranges) {
            let unit = (rng.next_u32() >> 8) as f32 / 16_777_216.0;
            *to = least + unit * (most - least);
        }
    }
    drawn
}

/// Records every model as one node.
fn model_nodes(digest: &mut Digest) -> Result<(), Error> {
    struct Digested<'a>(&'a mut Digest);
    impl Visitor for Digested<'_> {
        #[inline(never)]
        fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
            &mut self,
            _: F,
            x: [[f32; 2]; X],
            p: [[f32; 2]; P],
        ) {
            let rng = &mut seeded(15);
            for rows in [11, ROWS] {
                let (mut xs, mut ys) = ([[0.0; X]; ROWS], [0.0; ROWS]);
                for row in xs.iter_mut().take(rows) {
                    *row = draw_sample(rng, x, 0);
                }
                fill(rng, &mut ys);
                let xs = xs.as_flattened().get(..rows * X).unwrap_or_default();
                let ys = ys.get(..rows).unwrap_or_default();
                if one_node::<F, X, P>(self.0, xs, ys, &draw_sample(rng, p, 0)).is_err() {
                    self.0.add(&[f32::NAN]);
                }
            }
        }
    }
    visit(&mut Digested(digest));
    one_node_of(digest, Absolute)?;
    one_node_of(digest, SmoothL1 { beta: 0.5 })?;
    one_node_of(digest, Huber { delta: 0.5 })?;
    one_node_of(digest, Bce)?;
    one_node_of(digest, BceWithLogits)
}

/// Records a loss of probabilities, for ordinary and special samples.
#[inline(never)]
fn one_node_of<Q: Loss>(digest: &mut Digest, loss: Q) -> Result<(), Error> {
    let rng = &mut seeded(18);
    for (rows, wild) in [(11, false), (ROWS, false), (ROWS, true)] {
        let [mut xs, mut ys] = [[0.0; ROWS]; 2];
        if wild {
            fill_wild(rng, &mut xs);
        } else {
            fill(rng, &mut xs);
        }
        fill(rng, &mut ys);
        let xs = xs.get(..rows).unwrap_or_default();
        let ys = ys.get(..rows).unwrap_or_default();
        let mut arena = Arena::<400, 8>::new();
        let tape = arena.tape();
        let p = tape.param(&[0.875, 1.5, 0.25], [3]);
        let (x, y) = (tape.param(xs, [rows]), tape.param(ys, [rows]));
        let loss = Logistic::weighted_mean_loss(DataGrads(loss), x, p, y, tape.input(ys, [rows]));
        tape.backward(loss)?;
        digest.add(&[loss.item()?]);
        digest.add(&tape.grads()?);
    }
    Ok(())
}

/// More rows than are summed in order.
const ROWS: usize = 35;

/// Records a model as one node: its loss, its predictions and all gradients.
fn one_node<F: Function<X, P> + 'static, const X: usize, const P: usize>(
    digest: &mut Digest,
    xs: &[f32],
    ys: &[f32],
    p: &[f32],
) -> Result<(), Error> {
    let mut arena = Arena::<400, 8>::new();
    let tape = arena.tape();
    let p = tape.param(p, [P]);
    let (x, y) = (tape.param(xs, [ys.len(), X]), tape.param(ys, [ys.len()]));
    let loss = F::mean_loss(DataGrads(Squared), x, p, y);
    tape.backward(loss)?;
    digest.add(&[loss.item()?]);
    digest.add(&tape.grads()?);
    tape.zero_grad();
    let weights = tape.input(ys, [ys.len()]);
    let weighted = F::weighted_mean_loss(DataGrads(Squared), x, p, y, weights);
    tape.backward(weighted)?;
    digest.add(&[weighted.item()?]);
    digest.add(&tape.grads()?);
    let predictions = F::predict(x, p);
    digest.add(&predictions.value()?);
    tape.backward_with(predictions, ys)?;
    digest.add(&tape.grads()?);
    Ok(())
}
