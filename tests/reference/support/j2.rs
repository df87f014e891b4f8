//! Runs `j2_mlp.json`: a small tanh network learns a sine with Adam.

use std::collections::BTreeMap;

use baregrad::op::Node;
use baregrad::{Error, Tape, Var};
use serde::Deserialize;
use serde_json::Map;

use super::{Num, Nums, Report, optim, ratio, shape_of};

#[derive(Deserialize)]
pub struct File {
    meta: Meta,
    x: Nums,
    y: Nums,
    params: Vec<Tensor>,
    /// The losses of each implementation; each rounds in its own way.
    loss: BTreeMap<String, Vec<Num>>,
}

#[derive(Deserialize)]
struct Meta {
    epochs: Vec<usize>,
}

#[derive(Deserialize)]
struct Tensor {
    shape: Vec<usize>,
    data: Nums,
}

/// The last epoch in which the implementations agree; later Adam amplifies rounding errors.
const LAST: usize = 100;
/// The allowed error relative to the loss.
const RELATIVE: f64 = 2e-6;
/// The allowed error as a multiple of that of other `f32` implementations.
const OTHERS: f64 = 4.0;

pub fn test(file: File) -> Report {
    let mut report = Report::default();
    match train(&file) {
        Ok(losses) => compare(&file, &losses, &mut report),
        Err(error) => report.fail(error.to_string()),
    }
    report
}

/// Returns the loss before each epoch's step.
fn train(file: &File) -> Result<Vec<f32>, Error> {
    let epochs = file.meta.epochs.iter().copied().max().unwrap_or(0);
    let (x, y) = (file.x.f32s(), file.y.f32s());
    let mut floats = vec![0.0; 1 << 15];
    let mut nodes = vec![Node::EMPTY; 64];
    let tape = Tape::new(&mut floats, &mut nodes);
    let params: Vec<Var<'_>> = file
        .params
        .iter()
        .map(|param| tape.param(&param.data.f32s(), shape_of(&param.shape)))
        .collect();

    let mut activation = tape.input(&x, [x.len(), 1]);
    let layers = params.len() / 2;
    for (i, layer) in params.chunks_exact(2).enumerate() {
        activation = activation.linear(layer[0], layer[1]);
        if i + 1 < layers {
            activation = activation.tanh();
        }
    }
    let loss = activation.mse(tape.input(&y, [y.len(), 1]));

    let count = tape.params()?.len();
    let adam = optim::make_optimizer("Adam", 1e-2, &Map::new(), count);
    let mut adam = adam.expect("there is an Adam");
    let mut losses = vec![];
    for _ in 0..epochs {
        losses.push(loss.item()?);
        tape.zero_grad();
        tape.backward(loss)?;
        tape.step(&mut *adam)?;
        tape.replay()?;
    }
    Ok(losses)
}

fn compare(file: &File, losses: &[f32], report: &mut Report) {
    let Some(truth) = file.loss.get("f64") else {
        return report.fail("no f64 losses");
    };
    let mut compared = vec![];
    for (i, (&epoch, truth)) in file.meta.epochs.iter().zip(truth).enumerate() {
        let loss = losses[epoch - 1];
        if epoch > LAST {
            // Later losses must only be lower than before.
            let learned = losses.get(LAST - 1).is_some_and(|earlier| loss < *earlier);
            if !learned {
                report.fail(format!(
                    "epoch {epoch}: loss {loss} is no lower than before"
                ));
            }
            continue;
        }
        let others = file.loss.iter().filter(|(name, _)| name.contains("f32"));
        let off = others.filter_map(|(_, losses)| losses.get(i));
        let off = off.fold(0.0, |max: f64, loss| max.max((loss.0 - truth.0).abs()));
        let allowed = (RELATIVE * truth.0).max(OTHERS * off);
        report.check("loss", ratio(loss, truth.0, allowed), || {
            format!("epoch {epoch}: {loss} instead of {}", truth.0)
        });
        compared.push(epoch);
    }
    report.summary = format!("losses at epochs {compared:?}; the later ones are noise");
}
