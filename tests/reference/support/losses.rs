//! `losses.json`: values and gradients of loss functions. To cover a loss takes
//! one arm in [`make`].

use baregrad::op::Node;
use baregrad::{Tape, Var};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Nums, Report, ratio, shape_of, ulp};

#[derive(Deserialize)]
pub struct File {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: Value,
    loss: String,
    kwargs: Map<String, Value>,
    reduction: String,
    input: Tensor,
    target: Tensor,
    value_f64: Nums,
    value_f32: Option<Nums>,
    grad_input_f64: Option<Nums>,
    grad_input_f32: Option<Nums>,
    grad_target_f64: Option<Nums>,
    grad_target_f32: Option<Nums>,
}

#[derive(Deserialize)]
struct Tensor {
    shape: Vec<usize>,
    data: Nums,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A loss is a handful of roundings and a mean: ULPs of the largest element,
/// or PyTorch's own error where that is larger.
const ULPS: f64 = 4.0;
const TORCH: f64 = 4.0;

/// Records the loss, if it exists here.
fn make<'t>(case: &Case, input: Var<'t>, target: Var<'t>) -> Option<Var<'t>> {
    match (case.loss.as_str(), case.reduction.as_str()) {
        ("MSELoss", "mean") if case.kwargs.is_empty() => Some(input.mse(target)),
        _ => None,
    }
}

pub fn test(file: File) -> Report {
    let mut report = Report::default();
    let mut ran = 0;
    for case in &file.cases {
        match run(case, &mut report) {
            Ok(true) => ran += 1,
            Ok(false) => report.not_covered(&format!("{} {}", case.loss, case.reduction), 1),
            Err(why) => report.fail(format!("{} {}: {why}", case.id, case.loss)),
        }
    }
    report.summary = format!("{ran} of {} cases", file.cases.len());
    report
}

fn run(case: &Case, report: &mut Report) -> Result<bool, String> {
    let mut floats = vec![0.0; 1 << 12];
    let mut nodes = vec![Node::EMPTY; 64];
    let tape = Tape::new(&mut floats, &mut nodes);
    let input = tape.param(&case.input.data.f32s(), shape_of(&case.input.shape));
    let classes = case
        .target
        .kind
        .as_deref()
        .is_some_and(|kind| kind != "f32");
    let target = case.target.data.f32s();
    let target = if classes || case.grad_target_f64.is_none() {
        tape.constant(&target, shape_of(&case.target.shape))
    } else {
        tape.param(&target, shape_of(&case.target.shape))
    };
    let Some(loss) = make(case, input, target) else {
        return Ok(false);
    };

    let value = loss.value().map_err(|error| error.to_string())?.to_vec();
    compare(
        case,
        report,
        "value",
        &value,
        &case.value_f64,
        case.value_f32.as_ref(),
    )?;
    // With reduction "none" the gradient is that of the sum.
    tape.backward_with(loss, &vec![1.0; value.len()])
        .map_err(|error| error.to_string())?;
    let grads = [
        (
            "gradient of the input",
            input,
            &case.grad_input_f64,
            &case.grad_input_f32,
        ),
        (
            "gradient of the target",
            target,
            &case.grad_target_f64,
            &case.grad_target_f32,
        ),
    ];
    for (what, var, truth, torch) in grads {
        if let Some(truth) = truth {
            let grad = var.grad().map_err(|error| error.to_string())?;
            compare(case, report, what, &grad, truth, torch.as_ref())?;
        }
    }
    Ok(true)
}

fn compare(
    case: &Case,
    report: &mut Report,
    what: &str,
    got: &[f32],
    truth: &Nums,
    torch: Option<&Nums>,
) -> Result<(), String> {
    let truth = truth.f64s();
    if got.len() != truth.len() {
        return Err(format!("{what} is {got:?}, expected {truth:?}"));
    }
    let finite = |max: f64, x: f64| if x.is_finite() { max.max(x.abs()) } else { max };
    let scale = truth.iter().copied().fold(0.0, finite);
    let torch = torch.map(Nums::f64s).unwrap_or_default();
    let noise = torch
        .iter()
        .zip(&truth)
        .map(|(a, b)| a - b)
        .fold(0.0, finite);
    for (i, (&got, &truth)) in got.iter().zip(&truth).enumerate() {
        let allowed = (ULPS * ulp(scale)).max(TORCH * noise);
        report.check(&case.loss, ratio(got, truth, allowed), || {
            format!("{}, {what} [{i}]: {got} instead of {truth}", case.id)
        });
    }
    Ok(())
}
