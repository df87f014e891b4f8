//! Runs `losses.json`: values and gradients of loss functions. A new loss takes
//! one arm in [`make`].

use baregrad::op::Node;
use baregrad::ops::loss::{
    BceLoss, BceWithLogitsLoss, Criterion, CrossEntropyLoss, HuberLoss, L1Loss, Loss, MseLoss,
    NllLoss, Reduction, SmoothL1Loss,
};
use baregrad::{Tape, Var};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Num, Nums, Report, ratio, shape_of, ulp};

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
    /// The largest error of PyTorch's `f32`, instead of its values: of the value, and of the
    /// gradients of input and target.
    #[serde(default)]
    noise: Vec<Option<f64>>,
}

#[derive(Deserialize)]
struct Tensor {
    shape: Vec<usize>,
    data: Nums,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// The allowed error in ULPs of the largest element: a few roundings and a mean.
const ULPS: f64 = 4.0;
/// The allowed error as a multiple of PyTorch's own.
const TORCH: f64 = 4.0;

/// Records the loss, if the crate has it. A setting that is not read is an error, because the case
/// would test something else.
fn make<'t>(case: &Case, input: Var<'t>, target: Var<'t>) -> Result<Option<Var<'t>>, String> {
    let reduction = match case.reduction.as_str() {
        "mean" => Reduction::Mean,
        "sum" => Reduction::Sum,
        "none" => Reduction::None,
        other => return Err(format!("no reduction {other}")),
    };
    let mut settings = Settings(case.kwargs.clone());
    let loss = match case.loss.as_str() {
        // Tests the short forms, too.
        "MSELoss" if reduction == Reduction::Mean && case.kwargs.is_empty() => input.mse(target),
        "MSELoss" => settings.all(MseLoss::new(), reduction, input, target)?,
        "L1Loss" => settings.all(L1Loss::new(), reduction, input, target)?,
        "SmoothL1Loss" => {
            let beta = settings.number("beta")?.unwrap_or(1.0);
            settings.all(SmoothL1Loss::new().beta(beta), reduction, input, target)?
        }
        "HuberLoss" => {
            let delta = settings.number("delta")?.unwrap_or(1.0);
            settings.all(HuberLoss::new().delta(delta), reduction, input, target)?
        }
        "BCELoss" => settings.all(BceLoss::new(), reduction, input, target)?,
        "BCEWithLogitsLoss" => {
            let mut loss = BceWithLogitsLoss::new().reduction(reduction);
            if let Some(weight) = settings.tensor("weight", input)? {
                loss = loss.weight(weight);
            }
            if let Some(weight) = settings.tensor("pos_weight", input)? {
                loss = loss.pos_weight(weight);
            }
            loss.of(input, target)
        }
        "CrossEntropyLoss" => {
            let mut loss = CrossEntropyLoss::new().reduction(reduction);
            if let Some(weight) = settings.tensor("weight", input)? {
                loss = loss.weight(weight);
            }
            if let Some(smoothing) = settings.number("label_smoothing")? {
                loss = loss.label_smoothing(smoothing);
            }
            if let Some(class) = settings.number("ignore_index")? {
                loss = loss.ignore_index(class as i32);
            }
            loss.of(input, target)
        }
        "NLLLoss" => {
            let mut loss = NllLoss::new().reduction(reduction);
            if let Some(weight) = settings.tensor("weight", input)? {
                loss = loss.weight(weight);
            }
            if let Some(class) = settings.number("ignore_index")? {
                loss = loss.ignore_index(class as i32);
            }
            loss.of(input, target)
        }
        _ => return Ok(None),
    };
    match settings.0.keys().next() {
        Some(name) => Err(format!("no setting {name}")),
        None => Ok(Some(loss)),
    }
}

/// The settings of a case that were not read yet.
struct Settings(Map<String, Value>);

impl Settings {
    fn number(&mut self, name: &str) -> Result<Option<f32>, String> {
        let Some(value) = self.0.remove(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let number: Num = serde_json::from_value(value).map_err(|error| error.to_string())?;
        Ok(Some(number.0 as f32))
    }

    /// Reads a tensor: one in the format of an input; or numbers row by row, as many as `like` or
    /// its last dimension has; or a single number.
    fn tensor<'t>(&mut self, name: &str, like: Var<'t>) -> Result<Option<Var<'t>>, String> {
        let Some(value) = self.0.remove(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let tape = like.tape();
        let said = |error: serde_json::Error| error.to_string();
        if value.is_object() {
            let tensor: Tensor = serde_json::from_value(value).map_err(said)?;
            let shape = shape_of(&tensor.shape);
            return Ok(Some(tape.constant(&tensor.data.f32s(), shape)));
        }
        let is_number = !value.is_array();
        let mut data = vec![];
        flatten(&value, &mut data).map_err(said)?;
        let shape = like.shape();
        let shape = if is_number {
            shape_of(&[])
        } else if shape.dims().last() != Some(&data.len()) && shape.numel() == data.len() {
            shape
        } else {
            shape_of(&[data.len()])
        };
        Ok(Some(tape.constant(&data, shape)))
    }

    /// Records a loss of pairs of elements with all its settings.
    fn all<'t, Q: Loss>(
        &mut self,
        loss: Criterion<'t, Q>,
        reduction: Reduction,
        input: Var<'t>,
        target: Var<'t>,
    ) -> Result<Var<'t>, String> {
        let mut loss = loss.reduction(reduction);
        if let Some(weight) = self.tensor("weight", input)? {
            loss = loss.weight(weight);
        }
        Ok(loss.of(input, target))
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
    let mut floats = vec![0.0; 1 << 14];
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
    let Some(loss) = make(case, input, target)? else {
        return Ok(false);
    };

    let noise = |i: usize| case.noise.get(i).copied().flatten();
    let value = loss.value().map_err(|error| error.to_string())?.to_vec();
    compare(
        case,
        report,
        "value",
        &value,
        &case.value_f64,
        (case.value_f32.as_ref(), noise(0)),
    )?;
    // With the reduction "none" the gradient is that of the sum.
    tape.backward_with(loss, &vec![1.0; value.len()])
        .map_err(|error| error.to_string())?;
    let grads = [
        (
            "gradient of the input",
            input,
            &case.grad_input_f64,
            (case.grad_input_f32.as_ref(), noise(1)),
        ),
        (
            "gradient of the target",
            target,
            &case.grad_target_f64,
            (case.grad_target_f32.as_ref(), noise(2)),
        ),
    ];
    for (what, var, truth, torch) in grads {
        if let Some(truth) = truth {
            let grad = var.grad().map_err(|error| error.to_string())?;
            compare(case, report, what, &grad, truth, torch)?;
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
    (torch, noise): (Option<&Nums>, Option<f64>),
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
        .fold(noise.unwrap_or(0.0), finite);
    for (i, (&got, &truth)) in got.iter().zip(&truth).enumerate() {
        let allowed = (ULPS * ulp(scale)).max(TORCH * noise);
        report.check(&case.loss, ratio(got, truth, allowed), || {
            format!("{}, {what} [{i}]: {got} instead of {truth}", case.id)
        });
    }
    Ok(())
}

/// Collects the numbers of nested lists, in their order.
fn flatten(value: &Value, to: &mut Vec<f32>) -> Result<(), serde_json::Error> {
    if let Value::Array(parts) = value {
        return parts.iter().try_for_each(|part| flatten(part, to));
    }
    let number: Num = serde_json::from_value(value.clone())?;
    to.push(number.0 as f32);
    Ok(())
}
