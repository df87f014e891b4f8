//! Runs `ops.json`: small programs, their values and gradients, and calls that must
//! be refused.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use baregrad::function::models::Line;
use baregrad::function::{DataGrads, Function as _, Squared};
use baregrad::op::Node;
use baregrad::ops::{self, Args, Entry};
use baregrad::{Error, Tape, Var};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Num, Nums, Report, message, ratio, same_bits, shape_of, ulp};

#[derive(Deserialize)]
pub struct File {
    cases: Vec<Case>,
    #[serde(default)]
    rejects: Vec<Reject>,
}

#[derive(Clone, Deserialize)]
pub struct Case {
    pub id: Value,
    /// The operation of the case. `special.json` lacks this and the next two fields, and has
    /// the operation in the program.
    #[serde(default)]
    pub tag: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    cmp: String,
    #[serde(rename = "in")]
    pub leaves: Vec<Leaf>,
    pub prog: Vec<Step>,
    pub out_shape: Vec<usize>,
    pub g: Vec<Nums>,
    #[serde(default)]
    retain_graph: bool,
    pub out: Nums,
    pub grads: Vec<Option<Nums>>,
    out32: Option<Nums>,
    grads32: Option<Vec<Option<Nums>>>,
    /// The largest errors instead of these values: of the result, then of each gradient.
    #[serde(default)]
    noise: Vec<Option<f64>>,
}

#[derive(Clone, Deserialize)]
pub struct Leaf {
    shape: Vec<usize>,
    pub data: Nums,
    #[serde(default = "yes")]
    requires_grad: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Deserialize)]
pub struct Step {
    pub op: String,
    #[serde(rename = "in")]
    operands: Vec<usize>,
    pub args: Option<Map<String, Value>>,
    #[serde(default)]
    nograd: bool,
}

#[derive(Deserialize)]
struct Reject {
    id: Value,
    kind: String,
    a: Vec<usize>,
    b: Option<Vec<usize>>,
    ops: Option<String>,
    /// The operation's arguments, by name.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The allowed error of results, the largest of these.
struct Tolerance {
    /// The groups of cases; the last entry is for all others.
    groups: &'static [&'static str],
    /// ULPs of the true value, for roundings of the result itself.
    ulps: f64,
    /// ULPs of the largest true value in the tensor, or of the largest operand
    /// (upstream gradient) if that is larger, because the roundings of terms remain where the terms
    /// cancel.
    scale_ulps: f64,
    /// A multiple of PyTorch's own largest `f32` error in the tensor, which shows how
    /// much a program amplifies roundings, but can be 0 by chance.
    torch: f64,
}

/// The tolerances, about twice the measured errors.
const TOLERANCES: &[Tolerance] = &[
    // At most one rounding of the element.
    Tolerance {
        groups: &["scalar", "shape", "shape_optional", "kink"],
        ulps: 2.0,
        scale_ulps: 1.0,
        torch: 2.0,
    },
    // One function. Slopes such as 1 - tanh^2 cancel, at the scale of g.
    Tolerance {
        groups: &["unary", "unary_wide", "pow"],
        ulps: 4.0,
        scale_ulps: 2.5,
        torch: 4.0,
    },
    // One sum.
    Tolerance {
        groups: &["reduce", "softmax", "matmul_optional", "detach"],
        ulps: 2.0,
        scale_ulps: 2.0,
        torch: 3.0,
    },
    // Gradients over broadcast axes, and over several passes, are sums of terms
    // that can be larger than operands and results: g a / b^2 for small b.
    Tolerance {
        groups: &["binary", "accumulate", "accumulate_retain_graph"],
        ulps: 6.0,
        scale_ulps: 6.0,
        torch: 6.0,
    },
    // Programs of several operations.
    Tolerance {
        groups: &[],
        ulps: 5.0,
        scale_ulps: 5.0,
        torch: 5.0,
    },
];

/// The allowed ULPs for overflow, saturation and NaN, from PyTorch's `f32`, which rounds, too.
const EDGE_ULPS: f64 = 4.0;
/// The allowed absolute error, as the libraries round subnormal results differently.
const EDGE_ABSOLUTE: f64 = 1e-37;

fn tolerance(group: &str) -> &'static Tolerance {
    TOLERANCES
        .iter()
        .find(|t| t.groups.is_empty() || t.groups.contains(&group))
        .expect("the last entry is for all groups")
}

pub fn entry(name: &str) -> Option<&'static Entry> {
    ops::ALL
        .iter()
        .copied()
        .flatten()
        .find(|entry| entry.name == name)
}

/// Reads arguments by PyTorch's names, with PyTorch's defaults. An argument that is not read is an
/// error, because the case would test something else.
fn arguments(given: Option<&Map<String, Value>>) -> Result<Args, String> {
    let mut args = Args {
        slope: 0.01,
        alpha: 1.0,
        p: 2.0,
        ..Args::NONE
    };
    for (name, value) in given.into_iter().flatten().filter(|(_, v)| !v.is_null()) {
        let wrong = || format!("argument {name} is {value}");
        let float = || {
            let text = value.as_str().and_then(|text| text.parse().ok());
            let number = value.as_f64().or(text);
            number.map(|x| x as f32).ok_or_else(wrong)
        };
        let int = || value.as_i64().ok_or_else(wrong);
        match name.as_str() {
            "c" => args.c = float()?,
            "p" => args.p = float()?,
            "slope" => args.slope = float()?,
            "alpha" => args.alpha = float()?,
            "min" => args.min = Some(float()?),
            "max" => args.max = Some(float()?),
            "n" => args.n = int()? as i32,
            "d0" => args.d0 = int()? as isize,
            "d1" => args.d1 = int()? as isize,
            "axis" | "axes" | "dim" if value.is_array() => {
                let axes = value.as_array().ok_or_else(wrong)?;
                args.axes_len = axes.len();
                for (to, axis) in args.axes.iter_mut().zip(axes) {
                    *to = axis.as_i64().ok_or_else(wrong)? as isize;
                }
            }
            "axis" | "dim" => args.axis = Some(int()? as isize),
            "correction" => args.correction = float()?,
            "start" => args.start = int()? as usize,
            "length" => args.length = int()? as usize,
            "keepdim" => args.keepdim = value.as_bool().ok_or_else(wrong)?,
            "shape" => {
                let sizes = value.as_array().ok_or_else(wrong)?;
                args.rank = sizes.len();
                for (to, size) in args.shape.iter_mut().zip(sizes) {
                    *to = size.as_i64().ok_or_else(wrong)? as isize;
                }
            }
            _ => return Err(format!("no argument {name}")),
        }
    }
    Ok(args)
}

impl Case {
    /// Returns the case with results multiplied by `factor`, and with gradients multiplied by it;
    /// `None` if all of them are 0.
    pub fn wrong_by(&self, factor: f64) -> [Option<Case>; 2] {
        let times = |nums: &Nums| {
            let scaled = nums.f64s().into_iter().map(|x| Num(x * factor));
            Nums::Many(scaled.collect())
        };
        let all = |grads: &Vec<Option<Nums>>| -> Vec<Option<Nums>> {
            let scaled = grads.iter().map(|grad| grad.as_ref().map(times));
            scaled.collect()
        };
        let is_zero = |nums: &Nums| nums.f64s().iter().all(|x| *x == 0.0);
        let noise: Vec<_> = self.noise.iter().map(|x| x.map(|x| x * factor)).collect();
        let results = Case {
            out: times(&self.out),
            out32: self.out32.as_ref().map(times),
            noise: noise.clone(),
            ..self.clone()
        };
        let gradients = Case {
            grads: all(&self.grads),
            grads32: self.grads32.as_ref().map(all),
            noise,
            ..self.clone()
        };
        [
            (!is_zero(&self.out)).then_some(results),
            (!self.grads.iter().flatten().all(is_zero)).then_some(gradients),
        ]
    }
}

/// The kind of leaves without gradients.
#[derive(Clone, Copy, PartialEq)]
pub enum Leaves {
    Copied,
    Borrowed,
}

/// Every value, and the gradient of every leaf.
pub struct Outcome {
    pub values: Vec<Vec<f32>>,
    pub shape: Vec<usize>,
    pub grads: Vec<Option<Vec<f32>>>,
}

pub fn run(case: &Case, leaves: Leaves, replayed: bool) -> Result<Outcome, String> {
    let data: Vec<_> = case.leaves.iter().map(|leaf| leaf.data.f32s()).collect();
    let mut floats = vec![0.0; 1 << 13];
    let mut nodes = vec![Node::EMPTY; 256];
    let tape = Tape::new(&mut floats, &mut nodes);
    let said = |error: Error| error.to_string();

    let mut vars: Vec<Var<'_>> = vec![];
    for (leaf, data) in case.leaves.iter().zip(&data) {
        vars.push(match (leaf.requires_grad, leaves) {
            (true, _) => tape.param(data, shape_of(&leaf.shape)),
            (false, Leaves::Copied) => tape.constant(data, shape_of(&leaf.shape)),
            (false, Leaves::Borrowed) => tape.input(data, shape_of(&leaf.shape)),
        });
    }
    for step in &case.prog {
        let operands: Vec<_> = step.operands.iter().map(|&i| vars[i]).collect();
        let build = || match (step.op.as_str(), operands.as_slice()) {
            ("detach", [x]) => Ok(x.detach()),
            // The function of a line, whose gradients flow to all of its operands.
            ("line_mse", [x, line, y]) => Ok(Line::mean_loss(DataGrads(Squared), *x, *line, *y)),
            (name, operands) => {
                let entry = entry(name).ok_or_else(|| format!("no operation {name}"))?;
                let args = arguments(step.args.as_ref())?;
                let built = entry.build.call(operands, &args);
                built.ok_or_else(|| format!("{name} takes another number of operands"))
            }
        };
        vars.push(if step.nograd {
            tape.no_grad(build)?
        } else {
            build()?
        });
    }
    let result = *vars.last().ok_or("an empty program")?;
    if replayed {
        tape.replay().map_err(said)?;
    }

    if result.requires_grad() {
        for (k, g) in case.g.iter().enumerate() {
            if k > 0 && !case.retain_graph {
                tape.replay().map_err(said)?;
            }
            tape.backward_with(result, &g.f32s()).map_err(said)?;
        }
    }

    let mut outcome = Outcome {
        values: vec![],
        shape: result.shape().dims().to_vec(),
        grads: vec![],
    };
    for var in &vars {
        outcome.values.push(var.value().map_err(said)?.to_vec());
    }
    for var in vars.iter().take(case.leaves.len()) {
        outcome.grads.push(if var.has_grad() {
            Some(var.grad().map_err(said)?.to_vec())
        } else {
            None
        });
    }
    Ok(outcome)
}

fn differ(a: &[f32], b: &[f32]) -> bool {
    a.len() != b.len() || a.iter().zip(b).any(|(a, b)| !same_bits(*a, *b))
}

/// Runs a case in every way, and compares the first with the reference.
pub fn check(case: &Case, report: &mut Report) -> Result<(), String> {
    let eager = run(case, Leaves::Copied, false)?;
    let mut ways = vec![("replayed", Leaves::Copied, true)];
    if case.leaves.iter().any(|leaf| !leaf.requires_grad) {
        ways.push(("with borrowed data", Leaves::Borrowed, true));
    }
    for (way, leaves, replayed) in ways {
        let other = run(case, leaves, replayed)?;
        for (i, (a, b)) in eager.values.iter().zip(&other.values).enumerate() {
            if differ(a, b) {
                return Err(format!("value {i} is {a:?}, {way} {b:?}"));
            }
        }
        for (i, (a, b)) in eager.grads.iter().zip(&other.grads).enumerate() {
            let none: &[f32] = &[];
            if a.is_some() != b.is_some()
                || differ(a.as_deref().unwrap_or(none), b.as_deref().unwrap_or(none))
            {
                return Err(format!("gradient {i} is {a:?}, {way} {b:?}"));
            }
        }
    }

    if eager.shape != case.out_shape {
        return Err(format!(
            "shape {:?}, expected {:?}",
            eager.shape, case.out_shape
        ));
    }
    // The size of the terms of a gradient.
    let biggest = |nums: &Nums| {
        let finite = nums.f64s().into_iter().filter(|x| x.is_finite());
        finite.fold(0.0, |max: f64, x| max.max(x.abs()))
    };
    let leaf_scale = case.leaves.iter().map(|leaf| biggest(&leaf.data));
    let leaf_scale = leaf_scale.fold(0.0, f64::max);
    let g_scale = case.g.iter().map(biggest).fold(0.0, f64::max);

    let noise = |i: usize| case.noise.get(i).copied().flatten();
    let out = eager.values.last().map_or(&[][..], Vec::as_slice);
    compare(
        case,
        report,
        "result",
        out,
        &case.out,
        (case.out32.as_ref(), noise(0)),
        leaf_scale,
    )?;
    if eager.grads.len() != case.grads.len() {
        return Err("as many gradients as leaves were expected".into());
    }
    for (i, (got, truth)) in eager.grads.iter().zip(&case.grads).enumerate() {
        let torch = case
            .grads32
            .as_ref()
            .and_then(|grads| grads.get(i)?.as_ref());
        match (got, truth) {
            (None, None) => {}
            (Some(got), Some(truth)) => {
                let what = format!("gradient {i}");
                compare(
                    case,
                    report,
                    &what,
                    got,
                    truth,
                    (torch, noise(1 + i)),
                    g_scale,
                )?;
            }
            (got, truth) => {
                return Err(format!("gradient {i} is {got:?}, expected {truth:?}"));
            }
        }
    }
    Ok(())
}

fn compare(
    case: &Case,
    report: &mut Report,
    what: &str,
    got: &[f32],
    truth: &Nums,
    (torch, noise): (Option<&Nums>, Option<f64>),
    terms: f64,
) -> Result<(), String> {
    let truth = truth.f64s();
    if got.len() != truth.len() {
        return Err(format!("{what} is {got:?}, expected {truth:?}"));
    }
    let torch = torch.map(Nums::f64s);
    // If `f32` overflows and `f64` does not, PyTorch's `f32` is the reference.
    let torch_at = |i: usize| torch.as_ref().and_then(|torch| torch.get(i).copied());
    let truth: Vec<f64> = truth
        .into_iter()
        .enumerate()
        .map(|(i, x)| torch_at(i).filter(|t| !t.is_finite()).unwrap_or(x))
        .collect();
    let finite = || truth.iter().enumerate().filter(|(_, x)| x.is_finite());
    let scale = finite().fold(0.0, |max: f64, (_, x)| max.max(x.abs()));
    let noise = finite().fold(noise.unwrap_or(0.0), |max: f64, (i, x)| {
        torch_at(i).map_or(max, |torch| max.max((torch - x).abs()))
    });

    let tolerance = tolerance(&case.group);
    for (i, (&got, &truth)) in got.iter().zip(&truth).enumerate() {
        let allowed = match case.cmp.as_str() {
            "f32" => EDGE_ABSOLUTE.max(EDGE_ULPS * ulp(truth)),
            "f64" => (tolerance.ulps * ulp(truth))
                .max(tolerance.scale_ulps * ulp(scale.max(terms)))
                .max(tolerance.torch * noise),
            other => return Err(format!("no comparison {other}")),
        };
        report.check(&case.group, ratio(got, truth, allowed), || {
            format!(
                "{} {}, {what} [{i}]: {got} instead of {truth}",
                case.id, case.tag
            )
        });
    }
    Ok(())
}

/// Cases about features that this tape does not have: operations that overwrite their
/// operand, and a graph that is freed by `backward`.
const NOT_APPLICABLE: [&str; 2] = [
    "inplace_on_leaf_requiring_grad",
    "backward_twice_without_retain",
];

const ELEMENTWISE: &str = "add sub mul div maximum minimum";

fn check_reject(reject: &Reject) -> Result<(), String> {
    let kind = reject.kind.as_str();
    if kind.starts_with("backward") {
        return refused("backward", |tape| {
            let ones = vec![1.0; reject.a.iter().product()];
            let x = tape.param(&ones, shape_of(&reject.a));
            let result = match kind {
                "backward_nonscalar_without_gradient" => Ok(x * x),
                "backward_on_no_grad_output" => Ok(tape.no_grad(|| (x * x).sum())),
                _ => Err(format!("no reject {kind}")),
            }?;
            Ok(tape.backward(result).err())
        });
    }
    // The error of `sum_axis` names `sum`, and likewise for all names with `_axis`.
    let name = kind.strip_suffix("_axis").unwrap_or(kind);
    let names: Vec<_> = if kind == "broadcast" {
        let listed = reject.ops.as_deref().unwrap_or(ELEMENTWISE);
        let named = listed.split(|c: char| !c.is_alphanumeric() && c != '_');
        named.filter(|word| entry(word).is_some()).collect()
    } else {
        vec![name]
    };
    if names.is_empty() {
        return Err("no operation is named".into());
    }
    let args = arguments(Some(&reject.rest))?;
    for name in names {
        let entry = entry(name).ok_or_else(|| format!("no operation {name}"))?;
        refused(name, |tape| {
            let shapes = [Some(&reject.a), reject.b.as_ref()];
            let operands: Vec<_> = shapes
                .into_iter()
                .flatten()
                .map(|shape| {
                    let ones = vec![1.0; shape.iter().product()];
                    tape.param(&ones, shape_of(shape))
                })
                .collect();
            let built = entry.build.call(&operands, &args);
            let result = built.ok_or("another number of operands")?;
            // `value` returns the error, and the tape keeps it.
            let error = result.value().err();
            if error.is_some() != tape.error().is_some() {
                return Err("the tape did not keep the error".into());
            }
            Ok(error)
        })?;
    }
    Ok(())
}

/// Checks that an error names the operation and the line, and that the tape still
/// works.
fn refused(
    name: &str,
    call: impl for<'t> FnOnce(&'t Tape<'t>) -> Result<Option<Error>, String>,
) -> Result<(), String> {
    let mut floats = vec![0.0; 1 << 12];
    let mut nodes = vec![Node::EMPTY; 16];
    let tape = Tape::new(&mut floats, &mut nodes);
    let start = tape.mark();
    let Some(error) = call(&tape)? else {
        return Err(format!("{name} was not refused"));
    };
    let message = error.to_string();
    let line = format!("{}:{}", error.at.file(), error.at.line());
    if error.op != name || !message.contains(name) || !message.contains(&line) {
        return Err(format!("{name}: an error that does not say so: {message}"));
    }

    tape.rewind(start).map_err(|error| error.to_string())?;
    let x = tape.param(&[3.0], []);
    let y = x * x;
    tape.backward(y).map_err(|error| error.to_string())?;
    let grad = x.grad().map_err(|error| error.to_string())?;
    if tape.error().is_some() || y.item().ok() != Some(9.0) || *grad != [6.0] {
        return Err(format!("{name}: the tape does not work after a rewind"));
    }
    Ok(())
}

/// Turns a panic into a failure.
pub fn guard(check: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(check))
        .unwrap_or_else(|panic| Err(format!("panicked: {}", message(&*panic))))
}

pub fn test(file: File) -> Report {
    let mut report = Report::default();
    let (mut ran, mut optional) = (0, 0);
    for case in &file.cases {
        match guard(|| check(case, &mut report)) {
            Ok(()) => {}
            Err(why) => report.fail(format!("{} {}: {why}", case.id, case.tag)),
        }
        ran += 1;
        optional += usize::from(case.group.ends_with("_optional"));
    }
    let mut refused = 0;
    let mut not_applicable = vec![];
    for reject in &file.rejects {
        if NOT_APPLICABLE.contains(&&*reject.kind) {
            not_applicable.push(&*reject.kind);
            continue;
        }
        match guard(|| check_reject(reject)) {
            Ok(()) => {}
            Err(why) => report.fail(format!("{} {}: {why}", reject.id, reject.kind)),
        }
        refused += 1;
    }
    // Every operation that programs use must be in the list.
    let steps = file.cases.iter().flat_map(|case| &case.prog);
    let used: BTreeSet<_> = steps.map(|step| step.op.as_str()).collect();
    let listed = ops::ALL.iter().copied().flatten().map(|entry| entry.name);
    let listed: BTreeSet<_> = listed.collect();
    for name in used.difference(&listed) {
        // `detach` has no gradient, and so no entry.
        if *name != "detach" {
            report.fail(format!("{name} is not in the list of operations"));
        }
    }
    report.summary = format!(
        "{ran} of {} cases ({optional} of them optional), {refused} of {} rejects",
        file.cases.len(),
        file.rejects.len()
    );
    if !not_applicable.is_empty() {
        not_applicable.sort_unstable();
        not_applicable.dedup();
        report.summary += &format!("; not applicable: {}", not_applicable.join(", "));
    }
    report
}
