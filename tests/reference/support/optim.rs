//! `optim.json`: what PyTorch's optimizers do to given gradients, and on three
//! problems. To drive an optimizer through all of it takes one arm in [`make`].

use std::collections::BTreeMap;

use baregrad::optim::{Adam, Optimizer, Sgd};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Num, Report, ratio, ulp};

/// Fixed gradients: distance from PyTorch's f32 parameters, relative to the
/// largest magnitude the parameter has had. A step rounds a few times by half
/// an ULP (6e-8), 20 steps add up, and PyTorch's vector code fuses some of the
/// multiply-adds that we must not.
const GRADSEQ_RELATIVE: f64 = 6e-7;
/// Problems: distance from the f64 parameters, in units of the checkpoint's
/// `tol_abs_suggested`, which was measured by rounding noise in PyTorch itself.
const CASES_SUGGESTED: f64 = 1.0;

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
    gradseq: GivenGradients,
    problems: Problems,
}

#[derive(Deserialize)]
struct GivenGradients {
    p0: Vec<f32>,
    grads: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Problems {
    thermo: Thermo,
    quadratic: Quadratic,
}

#[derive(Deserialize)]
struct Thermo {
    t: Vec<f32>,
    c: Vec<f32>,
}

#[derive(Deserialize)]
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
    tol_abs_suggested: Vec<Num>,
    ill_conditioned: Vec<bool>,
}

/// Hyper-parameters by PyTorch's names; each must be asked for.
struct Hyper<'a> {
    left: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Hyper<'a> {
    /// Without the flags that choose PyTorch's implementation, not a result.
    fn new(map: &'a Map<String, Value>) -> Self {
        const OTHER: [&str; 5] = ["foreach", "fused", "capturable", "differentiable", "lr"];
        let given = map.iter().map(|(name, value)| (name.as_str(), value));
        Self {
            left: given.filter(|(name, _)| !OTHER.contains(name)).collect(),
        }
    }
    fn number(&mut self, name: &str) -> Option<f64> {
        self.left.remove(name).map(|value| value.as_f64().unwrap())
    }
    fn flag(&mut self, name: &str) -> bool {
        self.left
            .remove(name)
            .is_some_and(|value| value.as_bool().unwrap())
    }
    fn pair(&mut self, name: &str) -> Option<[f64; 2]> {
        self.left
            .remove(name)
            .map(|value| serde_json::from_value(value.clone()).unwrap())
    }
}

/// The optimizer of that name for `N` parameters, if it exists here.
fn make_for<const N: usize>(
    name: &str,
    lr: f64,
    hyper: &Map<String, Value>,
) -> Option<Box<dyn Optimizer>> {
    let mut hyper = Hyper::new(hyper);
    let optimizer: Box<dyn Optimizer> = match name {
        "SGD" => {
            let sgd = Sgd::new(lr as f32);
            match hyper.number("momentum") {
                Some(momentum) => {
                    Box::new(sgd_options(sgd.momentum::<N>(momentum as f32), &mut hyper))
                }
                None => Box::new(sgd_options(sgd, &mut hyper)),
            }
        }
        "Adam" => {
            let mut adam = Adam::<N>::new(lr as f32);
            if let Some([beta1, beta2]) = hyper.pair("betas") {
                adam = adam.betas(beta1, beta2);
            }
            if let Some(eps) = hyper.number("eps") {
                adam = adam.eps(eps as f32);
            }
            if let Some(decay) = hyper.number("weight_decay") {
                adam = adam.weight_decay(decay as f32);
            }
            if hyper.flag("maximize") {
                adam = adam.maximize();
            }
            assert!(!hyper.flag("decoupled_weight_decay"), "that is AdamW");
            if hyper.flag("amsgrad") {
                Box::new(adam.amsgrad())
            } else {
                Box::new(adam)
            }
        }
        _ => return None,
    };
    assert!(
        hyper.left.is_empty(),
        "{name} has more hyper-parameters: {:?}",
        hyper.left
    );
    Some(optimizer)
}

fn sgd_options<const N: usize, S>(mut sgd: Sgd<N, S>, hyper: &mut Hyper<'_>) -> Sgd<N, S> {
    if let Some(dampening) = hyper.number("dampening") {
        sgd = sgd.dampening(dampening);
    }
    if let Some(decay) = hyper.number("weight_decay") {
        sgd = sgd.weight_decay(decay as f32);
    }
    if hyper.flag("nesterov") {
        sgd = sgd.nesterov();
    }
    if hyper.flag("maximize") {
        sgd = sgd.maximize();
    }
    sgd
}

/// The optimizer of that name for `n` parameters, if it exists here.
pub fn make(
    name: &str,
    lr: f64,
    hyper: &Map<String, Value>,
    n: usize,
) -> Option<Box<dyn Optimizer>> {
    macro_rules! sized {
        ($($n:literal)*) => {
            match n {
                $($n => make_for::<$n>(name, lr, hyper),)*
                _ => panic!("no state for {n} parameters: add the number to this list"),
            }
        };
    }
    sized!(1 2 3 4 5 6 7 8 9 10 11 12 16 20 32 321)
}

/// Writes the gradient of a problem, summed in order in f32.
fn gradient(problems: &Problems, name: &str, p: &[f32], grad: &mut [f32]) {
    match name {
        "thermo" => {
            let Thermo { t, c } = &problems.thermo;
            grad.fill(0.0);
            for (t, c) in t.iter().zip(c) {
                let upstream = 2.0 * (p[0] * t + p[1] - c) / problems.thermo.t.len() as f32;
                grad[0] += upstream * t;
                grad[1] += upstream;
            }
        }
        "rosenbrock" => {
            let [x, y] = [p[0], p[1]];
            let residual = y - x * x;
            grad[0] = -2.0 * (1.0 - x) - 400.0 * residual * x;
            grad[1] = 200.0 * residual;
        }
        "quadratic" => {
            let Quadratic { a, b } = &problems.quadratic;
            for ((row, b), g) in a.chunks(b.len()).zip(b).zip(grad) {
                *g = row.iter().zip(p).fold(0.0, |sum, (a, p)| sum + a * p) - b;
            }
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
         {checkpoints} checkpoints compared and {ill} ill-conditioned ones not; {defaults} of {} \
         sets of defaults",
        file.gradseq.len(),
        file.cases.len(),
        file.defaults.len(),
    );
    report
}

fn given_gradients(file: &File, report: &mut Report) -> usize {
    let mut ran = 0;
    let GivenGradients { p0, grads } = &file.meta.gradseq;
    for sequence in &file.gradseq {
        let made = make(&sequence.optimizer, sequence.lr, &sequence.hyper, p0.len());
        let Some(mut optimizer) = made else {
            report.not_covered(&sequence.optimizer, 1);
            continue;
        };
        let mut params = p0.clone();
        let mut scale: Vec<f64> = params.iter().map(|p| f64::from(p.abs())).collect();
        let steps = grads.iter().zip(&sequence.params_f32);
        for (step, (grads, expected)) in steps.enumerate() {
            optimizer.step(&mut params, grads).unwrap();
            for (i, (&p, want)) in params.iter().zip(expected).enumerate() {
                scale[i] = scale[i].max(want.0.abs());
                let error = ratio(p, want.0, GRADSEQ_RELATIVE * scale[i]);
                report.check(&format!("gradseq {}", sequence.optimizer), error, || {
                    format!(
                        "{} after {} steps, parameter {i}: {p} instead of {}",
                        sequence.name,
                        step + 1,
                        want.0
                    )
                });
            }
        }
        ran += 1;
    }
    ran
}

fn problems(file: &File, report: &mut Report) -> (usize, usize, usize) {
    let (mut ran, mut compared, mut ill) = (0, 0, 0);
    for case in &file.cases {
        let n = case.start.len();
        let Some(mut optimizer) = make(&case.optimizer, case.lr, &case.hyper, n) else {
            report.not_covered(&case.optimizer, 1);
            continue;
        };
        let (mut params, mut grads) = (case.start.clone(), vec![0.0; n]);
        let mut done = 0;
        for (i, &step) in case.steps.iter().enumerate() {
            while done < step {
                gradient(&file.meta.problems, &case.problem, &params, &mut grads);
                optimizer.step(&mut params, &grads).unwrap();
                done += 1;
            }
            if case.ill_conditioned[i] {
                ill += 1;
                continue;
            }
            // No finer than f32 can tell apart.
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
        ran += 1;
    }
    (ran, compared, ill)
}

/// Leaving all hyper-parameters out and spelling PyTorch's out is the same.
fn defaults(file: &File, report: &mut Report) -> usize {
    let GivenGradients { p0, grads } = &file.meta.gradseq;
    let mut ran = 0;
    for Defaults {
        optimizer,
        defaults,
    } in &file.defaults
    {
        let lr = defaults.get("lr").and_then(Value::as_f64).unwrap_or(1e-2);
        let (Some(mut ours), Some(mut theirs)) = (
            make(optimizer, lr, &Map::new(), p0.len()),
            make(optimizer, lr, defaults, p0.len()),
        ) else {
            report.not_covered(optimizer, 1);
            continue;
        };
        let mut params = [p0.clone(), p0.clone()];
        for grads in grads {
            ours.step(&mut params[0], grads).unwrap();
            theirs.step(&mut params[1], grads).unwrap();
        }
        if params[0] != params[1] {
            report.fail(format!("{optimizer}: other defaults than PyTorch's"));
        }
        ran += 1;
    }
    ran
}
