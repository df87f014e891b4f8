//! Runs `optim.json`: trajectories of PyTorch's optimizers with given gradients, and on three
//! problems. A new optimizer of the list `baregrad::each_optimizer` needs no change here, unless
//! its options are of a new kind: [`set`].

use std::collections::BTreeMap;

use baregrad::Shape;
use baregrad::optim::{
    Answer, Lbfgs, Optimizer, OptimizerError, ParamGroups, Search, Sgd, SparseAdam, Stateful,
    Visit, clip_grad_norm, clip_grad_value,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Num, Report, ratio, shape_of, ulp};

/// With given gradients: the allowed distance from PyTorch's `f32` parameters, relative to the
/// largest magnitude that the parameter has had. A step rounds a few times by half
/// an ULP (6e-8), 20 steps add up, and PyTorch's vector code fuses some of the
/// multiply-adds, which this crate must not. On 2,400 random trajectories of twelve optimizers,
/// PyTorch without fused operations (`ATEN_CPU_CAPABILITY=default`) differs by more from
/// PyTorch with them on 18, and this crate on 25, in which a small difference of large numbers is
/// divided by its own size: weight decay against a gradient, or β₂ = 0.
const GRADSEQ_RELATIVE: f64 = 6e-7;
/// The same for Adafactor, whose steps are scaled by norms of whole tensors: PyTorch's own `f32`
/// parameters differ from its `f64` ones by up to 6.8e-7 (`layers`), and this crate's as much.
const GRADSEQ_OF_NORMS: f64 = 1.4e-6;
/// Muon's directions have 8 bits. If a sum in another order is rounded to the neighbour of
/// PyTorch's number, a step differs by this part of its length.
const NEIGHBOUR: f64 = 1.0 / 256.0;
/// The largest share of parameters that may differ so (one of 51 that does in the first step does
/// in all).
const NEIGHBOURS: f64 = 0.05;
/// On problems: the allowed distance from the `f64` parameters, in units of the checkpoint's
/// `tol_abs_suggested`, which was measured by rounding noise in PyTorch itself.
const CASES_SUGGESTED: f64 = 1.0;

/// For ill-conditioned parameters: the allowed distance from the `f64` loss, in units of that of
/// PyTorch's own `f32` loss, and relative. Adadelta on Rosenbrock's function is at 0.47 of
/// this, where its loss agrees with PyTorch's `f32` loss to seven digits.
const ILL_NOISE: f64 = 1.0;
const ILL_RELATIVE: f64 = 0.05;

#[derive(Deserialize)]
pub struct File {
    meta: Meta,
    #[serde(default)]
    defaults: Vec<Defaults>,
    #[serde(default)]
    gradseq: Vec<Sequence>,
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    gradseq: GivenGradients,
    /// Other gradients, for sequences that name them.
    #[serde(default)]
    given: BTreeMap<String, GivenGradients>,
    #[serde(default)]
    problems: Problems,
}

#[derive(Deserialize, Default)]
struct GivenGradients {
    /// The shapes of the parameters. Without them, the parameters are one vector.
    #[serde(default)]
    shapes: Option<Vec<Vec<usize>>>,
    p0: Vec<f32>,
    /// In sparse gradients, `null` for an element without a gradient.
    #[serde(deserialize_with = "elements")]
    grads: Vec<Vec<Option<f32>>>,
}

/// Reads gradients, which may be infinite or NaN.
fn elements<'d, D: serde::Deserializer<'d>>(from: D) -> Result<Vec<Vec<Option<f32>>>, D::Error> {
    let steps = Vec::<Vec<Option<Num>>>::deserialize(from)?.into_iter();
    Ok(steps
        .map(|step| step.iter().map(|g| g.map(|g| g.0 as f32)).collect())
        .collect())
}

impl GivenGradients {
    /// Returns the shapes, leaked for the time of the tests.
    fn shapes(&self) -> Option<&'static [Shape]> {
        let shapes = self.shapes.as_ref()?;
        let shapes: Vec<Shape> = shapes.iter().map(|dims| shape_of(dims)).collect();
        Some(shapes.leak())
    }
}

#[derive(Deserialize, Default)]
struct Problems {
    thermo: Thermo,
    quadratic: Quadratic,
}

#[derive(Deserialize, Default)]
struct Thermo {
    t: Vec<f32>,
    c: Vec<f32>,
}

#[derive(Deserialize, Default)]
struct Quadratic {
    #[serde(rename = "A_rowmajor_10x10", alias = "A")]
    a: Vec<f32>,
    b: Vec<f32>,
}

#[derive(Deserialize)]
struct Defaults {
    optimizer: String,
    defaults: Map<String, Value>,
}

#[derive(Deserialize)]
struct Sequence {
    name: String,
    optimizer: String,
    lr: f64,
    hyper: Map<String, Value>,
    params_f32: Vec<Vec<Num>>,
    /// The name of its parameters and gradients, if they are not those of `meta.gradseq`.
    #[serde(default)]
    given: Option<String>,
    /// The limits by which gradients are clipped before every step, first by value and then by
    /// norm; and the norms.
    #[serde(default)]
    clip_value: Option<f64>,
    #[serde(default)]
    clip_norm: Option<f64>,
    #[serde(default)]
    norms_f32: Vec<Num>,
    /// Parameter groups, instead of the hyper-parameters above.
    #[serde(default)]
    groups: Vec<Group>,
}

/// A group of tensors, with its own hyper-parameters.
#[derive(Deserialize)]
struct Group {
    tensors: usize,
    lr: f64,
    hyper: Map<String, Value>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    optimizer: String,
    problem: String,
    lr: f64,
    hyper: Map<String, Value>,
    start: Vec<f32>,
    steps: Vec<usize>,
    params_f64: Vec<Vec<Num>>,
    loss_f64: Vec<Num>,
    loss_f32: Vec<Num>,
    /// The averages of ASGD after the last step.
    #[serde(default)]
    asgd_ax_f64_final: Vec<Num>,
    tol_abs_suggested: Vec<Num>,
    ill_conditioned: Vec<bool>,
}

/// Hyper-parameters by PyTorch's names, all of which must be read.
pub struct Hyper<'a> {
    left: BTreeMap<&'a str, &'a Value>,
    /// The shapes of the parameters, for optimizers that need them.
    shapes: Option<&'static [Shape]>,
}

impl<'a> Hyper<'a> {
    /// Takes all hyper-parameters but the flags that choose an implementation of PyTorch.
    pub fn new(map: &'a Map<String, Value>) -> Self {
        const OTHER: [&str; 5] = ["foreach", "fused", "capturable", "differentiable", "lr"];
        let given = map.iter().map(|(name, value)| (name.as_str(), value));
        Self {
            // `null`, which is PyTorch's `None`, counts as not given.
            left: given
                .filter(|(name, value)| !OTHER.contains(name) && !value.is_null())
                .collect(),
            shapes: None,
        }
    }
    pub fn take(&mut self, name: &str) -> Option<&'a Value> {
        self.left.remove(name)
    }
    pub fn number(&mut self, name: &str) -> Option<f64> {
        self.take(name).map(|value| value.as_f64().unwrap())
    }
    /// Reads the `i`-th number of a pair, either of which may be missing.
    pub fn element(&mut self, name: &str, i: usize) -> Option<f64> {
        let pair = self.left.get(name)?.as_array().unwrap();
        let element = pair[i].as_f64();
        if i + 1 == pair.len() {
            self.left.remove(name);
        }
        element
    }
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.take(name)
            .map(|value| value.as_str().unwrap().to_owned())
    }
    pub fn end(&self, optimizer: &str) {
        assert!(
            self.left.is_empty(),
            "{optimizer} has more hyper-parameters: {:?}",
            self.left
        );
    }
    pub fn list(&mut self, name: &str) -> Option<Vec<u32>> {
        self.take(name)
            .map(|value| serde_json::from_value(value.clone()).unwrap())
    }
    pub fn maybe_flag(&mut self, name: &str) -> Option<bool> {
        self.take(name).map(|value| value.as_bool().unwrap())
    }
    pub fn flag(&mut self, name: &str) -> bool {
        self.take(name)
            .is_some_and(|value| value.as_bool().unwrap())
    }
    pub fn pair(&mut self, name: &str) -> Option<[f64; 2]> {
        self.take(name)
            .map(|value| serde_json::from_value(value.clone()).unwrap())
    }
}

/// An optimizer whose state can be visited.
pub trait Stepping: Optimizer + Stateful {}
impl<O: Optimizer + Stateful> Stepping for O {}

impl Optimizer for Box<dyn Stepping> {
    fn step(&mut self, params: &mut [f32], grads: &[f32]) -> Result<(), OptimizerError> {
        (**self).step(params, grads)
    }
    fn learning_rate(&self) -> f32 {
        (**self).learning_rate()
    }
    fn set_learning_rate(&mut self, lr: f32) {
        (**self).set_learning_rate(lr);
    }
}

impl Stateful for Box<dyn Stepping> {
    fn visit_state(&mut self, params: usize, visit: Visit<'_>) -> Result<(), OptimizerError> {
        (**self).visit_state(params, visit)
    }
}

/// An optimizer, or a search.
pub enum Made {
    Optimizer(Box<dyn Stepping>),
    Search(Box<dyn Search>),
}

impl Made {
    /// Runs PyTorch's `optimizer.step()`, or `optimizer.step(closure)`.
    fn step(&mut self, params: &mut [f32], loss: &mut dyn FnMut(&[f32], &mut [f32]) -> f32) {
        let mut grads = vec![0.0; params.len()];
        match self {
            Made::Optimizer(optimizer) => {
                loss(params, &mut grads);
                optimizer.step(params, &grads).unwrap();
            }
            Made::Search(search) => loop {
                let value = loss(params, &mut grads);
                match search.tell(params, value, &grads).unwrap() {
                    Answer::Ask => (),
                    Answer::Found(_) => break,
                }
            },
        }
    }
}

/// Makes the optimizer of a name, if it needs only gradients.
pub fn make_optimizer(
    name: &str,
    lr: f64,
    hyper: &Map<String, Value>,
    n: usize,
) -> Option<Box<dyn Stepping>> {
    make_for_shapes(name, lr, hyper, n, None)
}

/// Makes the optimizer of a name for parameters of these shapes.
fn make_for_shapes(
    name: &str,
    lr: f64,
    hyper: &Map<String, Value>,
    n: usize,
    shapes: Option<&'static [Shape]>,
) -> Option<Box<dyn Stepping>> {
    let hyper = Hyper {
        shapes,
        ..Hyper::new(hyper)
    };
    match made(name, lr, hyper, n)? {
        Made::Optimizer(optimizer) => Some(optimizer),
        Made::Search(_) => None,
    }
}

/// Leaks memory for state, because optimizers hold a `Vec` only with the feature `std`.
fn memory(floats: usize) -> &'static mut [f32] {
    vec![f32::NAN; floats].leak()
}

/// Sets an option by its name in PyTorch, if it is given: a flag if the list has no value
/// for it, a number or a pair if it has one or two, unless its name is listed here. The numbers are
/// `f64`, and are rounded if the builder takes an `f32`.
macro_rules! set {
    ($optimizer:ident, $hyper:ident, shapes()) => {
        if let Some(shapes) = $hyper.shapes {
            $optimizer = $optimizer.shapes(shapes);
        }
    };
    // `eps1` and `eps2` are one pair in PyTorch.
    ($optimizer:ident, $hyper:ident, eps1 $values:tt) => {
        if let Some(number) = $hyper.element("eps", 0) {
            $optimizer = $optimizer.eps1(number as _);
        }
    };
    ($optimizer:ident, $hyper:ident, eps2 $values:tt) => {
        if let Some(number) = $hyper.element("eps", 1) {
            $optimizer = $optimizer.eps2(number as _);
        }
    };
    // `nesterov` is on by default.
    ($optimizer:ident, $hyper:ident, nesterov $values:tt) => {
        if let Some(flag) = $hyper.maybe_flag("nesterov") {
            $optimizer = $optimizer.nesterov(flag);
        }
    };
    ($optimizer:ident, $hyper:ident, ns_coefficients $values:tt) => {
        if let Some(value) = $hyper.take("ns_coefficients") {
            let coefficients: [f32; 3] = serde_json::from_value(value.clone()).unwrap();
            $optimizer = $optimizer.ns_coefficients(coefficients);
        }
    };
    ($optimizer:ident, $hyper:ident, adjust_lr_fn $values:tt) => {
        if let Some(name) = $hyper.text("adjust_lr_fn") {
            $optimizer = $optimizer.adjust_lr_fn(match &*name {
                "original" => baregrad::optim::AdjustLr::Original,
                "match_rms_adamw" => baregrad::optim::AdjustLr::MatchRmsAdamW,
                "spectral_unclamped" => baregrad::optim::AdjustLr::SpectralUnclamped,
                other => panic!("no adjust_lr_fn {other}"),
            });
        }
    };
    ($optimizer:ident, $hyper:ident, $flag:ident()) => {
        if $hyper.flag(stringify!($flag)) {
            $optimizer = $optimizer.$flag();
        }
    };
    ($optimizer:ident, $hyper:ident, $number:ident($value:expr)) => {
        if let Some(number) = $hyper.number(stringify!($number)) {
            $optimizer = $optimizer.$number(number as _);
        }
    };
    ($optimizer:ident, $hyper:ident, $pair:ident($first:expr, $second:expr)) => {
        if let Some([a, b]) = $hyper.pair(stringify!($pair)) {
            $optimizer = $optimizer.$pair(a as _, b as _);
        }
    };
}

/// Makes the optimizer of a name for `n` parameters, if the crate has it.
pub fn make(name: &str, lr: f64, hyper: &Map<String, Value>, n: usize) -> Option<Made> {
    made(name, lr, Hyper::new(hyper), n)
}

fn made(name: &str, lr: f64, mut hyper: Hyper<'_>, n: usize) -> Option<Made> {
    // PyTorch's `f64`, rounded as in an `f32` computation.
    let lr = lr as f32;
    macro_rules! listed {
        ($($optimizer:ident = $torch:literal [$($option:ident $values:tt)*];)*) => {
            match name {
                $($torch => {
                    // As much memory as any optimizer needs, which is divided into equal parts.
                    let mut made = baregrad::optim::$optimizer::with_state(lr, memory(4 * n));
                    $(set!(made, hyper, $option $values);)*
                    Made::Optimizer(Box::new(made))
                })*
                "SGD" => Made::Optimizer(Box::new(sgd(lr, &mut hyper, n))),
                "LBFGS" => Made::Search(Box::new(lbfgs(lr, &mut hyper, n))),
                _ => return None,
            }
        };
    }
    if name == "Adam" {
        assert!(!hyper.flag("decoupled_weight_decay"), "that is AdamW");
    }
    if name == "RMSprop" {
        // A momentum of 0 has no buffer, and one rounding less.
        hyper
            .left
            .retain(|name, value| *name != "momentum" || value.as_f64() != Some(0.0));
    }
    let made = baregrad::each_optimizer!(listed);
    hyper.end(name);
    Some(made)
}

/// Makes the optimizer of the list for sparse gradients.
fn sparse_adam(lr: f32, hyper: &Map<String, Value>, n: usize) -> SparseAdam<0, &'static mut [f32]> {
    let mut hyper = Hyper::new(hyper);
    let mut adam = SparseAdam::with_state(lr, memory(2 * n));
    set!(adam, hyper, betas(_, _));
    set!(adam, hyper, eps(_));
    set!(adam, hyper, maximize());
    hyper.end("SparseAdam");
    adam
}

fn sgd(lr: f32, hyper: &mut Hyper<'_>, n: usize) -> Sgd<0, &'static mut [f32]> {
    let momentum = hyper.number("momentum").unwrap_or_default();
    let mut sgd = Sgd::new(lr).momentum_with_state(momentum as f32, memory(n));
    if let Some(dampening) = hyper.number("dampening") {
        sgd = sgd.dampening(dampening);
    }
    set!(sgd, hyper, weight_decay(_));
    if hyper.flag("nesterov") {
        sgd = sgd.nesterov();
    }
    set!(sgd, hyper, maximize());
    sgd
}

fn lbfgs(lr: f32, hyper: &mut Hyper<'_>, n: usize) -> Lbfgs<0, 0, &'static mut [f32]> {
    let history = hyper
        .number("history_size")
        .map_or(100, |size| size as usize);
    let mut search = Lbfgs::with_state(lr, history, memory((2 * history + 5) * n + 2 * history));
    set!(search, hyper, max_iter(_));
    set!(search, hyper, max_eval(_));
    set!(search, hyper, tolerance_grad(_));
    set!(search, hyper, tolerance_change(_));
    match hyper.text("line_search_fn").as_deref() {
        Some("strong_wolfe") => search = search.strong_wolfe(),
        other => assert_eq!(other, None),
    }
    set!(search, hyper, maximize());
    search
}

/// Computes the loss of a problem and its gradient in `f32`, with sums in order.
fn loss(problems: &Problems, name: &str, p: &[f32], grad: &mut [f32]) -> f32 {
    match name {
        "thermo" => {
            let Thermo { t, c } = &problems.thermo;
            grad.fill(0.0);
            let mut sum = 0.0;
            for (t, c) in t.iter().zip(c) {
                let residual = p[0] * t + p[1] - c;
                let upstream = 2.0 * residual / problems.thermo.t.len() as f32;
                grad[0] += upstream * t;
                grad[1] += upstream;
                sum += residual * residual;
            }
            sum / t.len() as f32
        }
        "rosenbrock" => {
            let [x, y] = [p[0], p[1]];
            let residual = y - x * x;
            grad[0] = -2.0 * (1.0 - x) - 400.0 * residual * x;
            grad[1] = 200.0 * residual;
            (1.0 - x) * (1.0 - x) + 100.0 * (residual * residual)
        }
        "quadratic" => {
            let Quadratic { a, b } = &problems.quadratic;
            let (mut product_sum, mut linear_sum) = (0.0, 0.0);
            for (i, (row, b)) in a.chunks(b.len()).zip(b).enumerate() {
                let product = row.iter().zip(p).fold(0.0, |sum, (a, p)| sum + a * p);
                grad[i] = product - b;
                product_sum += p[i] * product;
                linear_sum += p[i] * b;
            }
            0.5 * product_sum - linear_sum
        }
        other => panic!("no problem {other}"),
    }
}

/// Computes the loss of a problem in `f64`, at parameters in `f32`.
fn loss_f64(problems: &Problems, name: &str, p: &[f32]) -> f64 {
    let p: Vec<f64> = p.iter().map(|p| f64::from(*p)).collect();
    match name {
        "thermo" => {
            let Thermo { t, c } = &problems.thermo;
            let residuals = t.iter().zip(c);
            let residuals = residuals.map(|(t, c)| p[0] * f64::from(*t) + p[1] - f64::from(*c));
            residuals.map(|r| r * r).sum::<f64>() / t.len() as f64
        }
        "rosenbrock" => (1.0 - p[0]).powi(2) + 100.0 * (p[1] - p[0] * p[0]).powi(2),
        "quadratic" => {
            let Quadratic { a, b } = &problems.quadratic;
            let rows = a.chunks(b.len()).zip(b).zip(&p);
            rows.map(|((row, b), p_i)| {
                let product: f64 = row.iter().zip(&p).map(|(a, p)| f64::from(*a) * p).sum();
                p_i * (0.5 * product - f64::from(*b))
            })
            .sum()
        }
        other => panic!("no problem {other}"),
    }
}

pub fn test(file: File) -> Report {
    let mut report = Report::default();
    let sequences = given_gradients(&file, &mut report);
    let (trajectories, checkpoints, ill) = problems(&file, &mut report);
    let defaults = defaults(&file, &mut report);
    report.summary = format!(
        "{sequences} of {} sequences of given gradients; {trajectories} of {} trajectories with \
         {checkpoints} checkpoints compared, and {ill} ill-conditioned ones by their loss; {defaults} of {} \
         sets of defaults",
        file.gradseq.len(),
        file.cases.len(),
        file.defaults.len(),
    );
    report
}

/// A closure that takes a step by given gradients.
type Given<'a> = Box<dyn FnMut(&mut [f32], &[Option<f32>]) -> Result<(), OptimizerError> + 'a>;

/// Makes the optimizer of a sequence, if the crate has it.
fn stepper<'a>(sequence: &'a Sequence, given: &GivenGradients) -> Option<Given<'a>> {
    let (name, n) = (&sequence.optimizer, given.p0.len());
    let is_sparse = given.grads.iter().flatten().any(Option::is_none);
    if is_sparse {
        assert_eq!(name, "SparseAdam");
        let mut adam = sparse_adam(sequence.lr as f32, &sequence.hyper, n);
        return Some(Box::new(move |params, grads| {
            let there = grads.iter().enumerate();
            let there = there.filter_map(|(i, g)| g.map(|g| (i, g)));
            let (indices, values): (Vec<_>, Vec<_>) = there.unzip();
            adam.step_sparse(params, &indices, &values)
        }));
    }
    let shapes = given.shapes();
    let mut optimizer = if sequence.groups.is_empty() {
        make_for_shapes(name, sequence.lr, &sequence.hyper, n, shapes)?
    } else {
        grouped(name, &sequence.groups, shapes?)?
    };
    Some(Box::new(move |params, grads| {
        let grads: Vec<f32> = grads.iter().flatten().copied().collect();
        optimizer.step(params, &grads)
    }))
}

/// Makes an optimizer for each group of tensors.
fn grouped(name: &str, groups: &[Group], shapes: &'static [Shape]) -> Option<Box<dyn Stepping>> {
    let (group, others) = groups.split_first()?;
    let (shapes, other_shapes) = shapes.split_at(group.tensors);
    let n = shapes.iter().map(Shape::numel).sum();
    let first = make_for_shapes(name, group.lr, &group.hyper, n, Some(shapes))?;
    if others.is_empty() {
        return Some(first);
    }
    let second = grouped(name, others, other_shapes)?;
    Some(Box::new(ParamGroups::new(n, first, second)))
}

fn given_gradients(file: &File, report: &mut Report) -> usize {
    let mut ran = 0;
    for sequence in &file.gradseq {
        let given = match &sequence.given {
            Some(name) => &file.meta.given[name],
            None => &file.meta.gradseq,
        };
        let Some(mut step_by) = stepper(sequence, given) else {
            report.not_covered(&sequence.optimizer, 1);
            continue;
        };
        let GivenGradients { p0, grads, .. } = given;
        assert_eq!(grads.len(), sequence.params_f32.len(), "{}", sequence.name);
        let relative = match &*sequence.optimizer {
            "Adafactor" => GRADSEQ_OF_NORMS,
            _ => GRADSEQ_RELATIVE,
        };
        let mut params = p0.clone();
        let mut scale: Vec<f64> = params.iter().map(|p| f64::from(p.abs())).collect();
        let is_muon = sequence.optimizer == "Muon";
        let (mut path, mut neighbours) = (0.0, 0);
        let mut before: Vec<f64> = p0.iter().map(|p| f64::from(*p)).collect();
        let steps = grads.iter().zip(&sequence.params_f32);
        for (step, (grads, expected)) in steps.enumerate() {
            if is_muon {
                let moved = before.iter().zip(expected).map(|(p, q)| (p - q.0).abs());
                path += moved.fold(0.0, f64::max);
                before = expected.iter().map(|p| p.0).collect();
            }
            let mut grads = grads.clone();
            clip(sequence, step, &mut grads, report);
            if let Err(why) = step_by(&mut params, &grads) {
                report.fail(format!("{} {:?}: {why}", sequence.name, sequence.hyper));
                break;
            }
            for (i, (&p, want)) in params.iter().zip(expected).enumerate() {
                scale[i] = scale[i].max(want.0.abs());
                let mut allowed = relative * scale[i];
                if is_muon {
                    neighbours += usize::from(ratio(p, want.0, allowed) > 1.0);
                    allowed += NEIGHBOUR * path;
                }
                let error = ratio(p, want.0, allowed);
                report.check(&format!("gradseq {}", sequence.optimizer), error, || {
                    format!(
                        "{} {:?} after {} steps, parameter {i}: {p} instead of {}",
                        sequence.name,
                        sequence.hyper,
                        step + 1,
                        want.0
                    )
                });
            }
        }
        if is_muon {
            let all = grads.len() * p0.len();
            let share = neighbours as f64 / all as f64;
            report.check("Muon's neighbours", share / NEIGHBOURS, || {
                format!(
                    "{} {:?}: {neighbours} of {all} parameters are not PyTorch's",
                    sequence.name, sequence.hyper
                )
            });
        }
        ran += 1;
    }
    ran
}

/// Clips gradients by the settings of the sequence, and compares their norm.
fn clip(sequence: &Sequence, step: usize, grads: &mut [Option<f32>], report: &mut Report) {
    let mut dense: Vec<f32> = grads.iter().flatten().copied().collect();
    if let Some(most) = sequence.clip_value {
        clip_grad_value(&mut dense, most as f32);
    }
    if let Some(most) = sequence.clip_norm {
        let norm = clip_grad_norm(&mut dense, most as f32);
        let want = sequence.norms_f32[step].0;
        report.check("norms", ratio(norm, want, GRADSEQ_RELATIVE * want), || {
            format!(
                "{} step {step}: norm {norm} instead of {want}",
                sequence.name
            )
        });
    }
    for (to, clipped) in grads.iter_mut().flatten().zip(dense) {
        *to = clipped;
    }
}

fn problems(file: &File, report: &mut Report) -> (usize, usize, usize) {
    let (mut ran, mut compared, mut ill) = (0, 0, 0);
    for case in &file.cases {
        let n = case.start.len();
        let Some(mut optimizer) = make(&case.optimizer, case.lr, &case.hyper, n) else {
            report.not_covered(&case.optimizer, 1);
            continue;
        };
        let mut params = case.start.clone();
        let mut evaluate =
            |p: &[f32], grads: &mut [f32]| loss(&file.meta.problems, &case.problem, p, grads);
        let mut done = 0;
        for (i, &step) in case.steps.iter().enumerate() {
            while done < step {
                optimizer.step(&mut params, &mut evaluate);
                done += 1;
            }
            if case.ill_conditioned[i] {
                // Rounding determines the place on a flat region, so only the loss is compared, by
                // the noise of PyTorch's own loss.
                let found = loss_f64(&file.meta.problems, &case.problem, &params);
                let [exact, theirs] = [case.loss_f64[i].0, case.loss_f32[i].0];
                let allowed = ILL_NOISE * (theirs - exact).abs() + ILL_RELATIVE * exact.abs();
                report.check(
                    "losses where ill-conditioned",
                    (found - exact).abs() / allowed,
                    || {
                        format!(
                            "{} on {} after {step} steps: loss {found} instead of {exact}",
                            case.name, case.problem
                        )
                    },
                );
                ill += 1;
                continue;
            }
            // A search ends when losses no longer differ, by the resolution of `f32` or its own
            // tolerance (1e-9), so the loss is compared instead of parameters.
            if let Made::Search(_) = optimizer {
                let loss = loss_f64(&file.meta.problems, &case.problem, &params);
                let resolution = 2.0 * ulp(case.loss_f64[i].0) + 1e-9;
                if (loss - case.loss_f64[i].0).abs() <= resolution {
                    compared += 1;
                    continue;
                }
            }
            // The bound is at least the resolution of `f32`.
            let suggested = case.tol_abs_suggested[i].0 * CASES_SUGGESTED;
            for (k, (&p, want)) in params.iter().zip(&case.params_f64[i]).enumerate() {
                let error = ratio(p, want.0, suggested.max(ulp(want.0)));
                report.check(&format!("problems {}", case.optimizer), error, || {
                    format!(
                        "{} on {} after {step} steps, parameter {k}: {p} instead of {}",
                        case.name, case.problem, want.0
                    )
                });
            }
            compared += 1;
        }
        if let Made::Optimizer(asgd) = &mut optimizer
            && case.optimizer == "ASGD"
        {
            let mut average = vec![0.0; n];
            asgd.visit_state(n, &mut |name, numbers| {
                if name == "ax" {
                    average.copy_from_slice(numbers);
                }
            })
            .unwrap();
            let suggested = case.tol_abs_suggested.last().unwrap().0 * CASES_SUGGESTED;
            for (&a, want) in average.iter().zip(&case.asgd_ax_f64_final) {
                let error = ratio(a, want.0, suggested.max(ulp(want.0)));
                report.check("averages ASGD", error, || {
                    format!(
                        "{} on {}: average {a} instead of {}",
                        case.name, case.problem, want.0
                    )
                });
            }
        }
        ran += 1;
    }
    (ran, compared, ill)
}

/// Checks that PyTorch's default hyper-parameters give the same steps as no hyper-parameters.
fn defaults(file: &File, report: &mut Report) -> usize {
    let GivenGradients { p0, grads, .. } = &file.meta.gradseq;
    let mut ran = 0;
    for Defaults {
        optimizer,
        defaults,
    } in &file.defaults
    {
        let lr = defaults.get("lr").and_then(Value::as_f64).unwrap_or(1e-2);
        // The parameters are one column for optimizers that take only matrices.
        let n = p0.len();
        let with = |hyper: &Map<String, Value>| {
            let hyper = Hyper {
                shapes: Some(vec![shape_of(&[n, 1])].leak()),
                ..Hyper::new(hyper)
            };
            made(optimizer, lr, hyper, n)
        };
        let (Some(mut ours), Some(mut theirs)) = (with(&Map::new()), with(defaults)) else {
            report.not_covered(optimizer, 1);
            continue;
        };
        let mut params = [p0.clone(), p0.clone()];
        for given in grads {
            // For a search, they are the gradients of a linear loss.
            let mut linear = |p: &[f32], grads: &mut [f32]| {
                let given: Vec<f32> = given.iter().flatten().copied().collect();
                grads.copy_from_slice(&given);
                p.iter().zip(given).map(|(p, g)| p * g).sum()
            };
            ours.step(&mut params[0], &mut linear);
            theirs.step(&mut params[1], &mut linear);
        }
        if params[0] != params[1] {
            report.fail(format!("{optimizer}: other defaults than PyTorch's"));
        }
        ran += 1;
    }
    ran
}
