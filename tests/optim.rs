//! Optimizers against PyTorch's, and what must hold of every optimizer.
//!
//! `golden/optim.json` holds the parameters of PyTorch 2.15 after each step.
//! To drive an optimizer through all of it takes one arm in `make`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::BTreeMap;

use baregrad::optim::{Adam, Optimizer, OptimizerError, Sgd};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Fixed gradients: distance from PyTorch's f32 parameters, relative to the
/// largest magnitude the parameter has had. A step rounds a few times by half
/// an ULP (6e-8) and PyTorch's vector code fuses some of the multiply-adds
/// that we must not.
const GRADSEQ_RELATIVE: f64 = 4e-7;
/// Problems: distance from the f64 parameters, in units of the checkpoint's
/// `tol_abs_suggested`, which was measured by rounding noise in PyTorch itself.
const CASES_SUGGESTED: f64 = 1.0;

#[derive(Deserialize)]
struct Golden {
    meta: Meta,
    defaults: Vec<Defaults>,
    gradseq: Vec<Sequence>,
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
    #[serde(rename = "A_rowmajor_10x10")]
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
    params_f32: Vec<Vec<f32>>,
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
    params_f64: Vec<Vec<f64>>,
    tol_abs_suggested: Vec<f64>,
    ill_conditioned: Vec<bool>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/optim.json")).unwrap()
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
fn make<const N: usize>(
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

fn ulp(x: f64) -> f64 {
    let x = (x as f32).abs();
    f64::from(x.next_up()) - f64::from(x)
}

#[test]
fn given_gradients_as_pytorch() {
    let Golden { meta, gradseq, .. } = golden();
    let (mut ran, mut skipped) = (0, vec![]);
    for sequence in &gradseq {
        let Some(mut optimizer) = make::<5>(&sequence.optimizer, sequence.lr, &sequence.hyper)
        else {
            skipped.push(&*sequence.name);
            continue;
        };
        let mut params = meta.gradseq.p0.clone();
        let mut scale: Vec<f64> = params.iter().map(|p| f64::from(p.abs())).collect();
        let (mut worst, mut worst_ulps, mut equal, mut all) = (0_f64, 0_f64, 0, 0);
        for (grads, expected) in meta.gradseq.grads.iter().zip(&sequence.params_f32) {
            optimizer.step(&mut params, grads).unwrap();
            for ((p, want), scale) in params.iter().zip(expected).zip(&mut scale) {
                *scale = scale.max(f64::from(want.abs()));
                let distance = (f64::from(*p) - f64::from(*want)).abs();
                worst = worst.max(distance / *scale);
                worst_ulps = worst_ulps.max(distance / ulp(*scale));
                equal += usize::from(p.to_bits() == want.to_bits());
                all += 1;
            }
        }
        println!(
            "{:18} {equal:3} of {all} bit-equal, worst {worst_ulps} ULP, {worst:.1e} relative",
            sequence.name
        );
        assert!(worst <= GRADSEQ_RELATIVE, "{}: {worst:e}", sequence.name);
        ran += 1;
    }
    println!("ran {ran} sequences; no such optimizer here: {skipped:?}");
    assert!(ran >= 13);
}

/// Writes the gradient of a problem, summed in order in f32.
fn gradient(problems: &Problems, name: &str, p: &[f32], grad: &mut [f32]) {
    match name {
        "thermo" => {
            let Thermo { t, c } = &problems.thermo;
            grad.fill(0.0);
            for (t, c) in t.iter().zip(c) {
                let upstream = 2.0 * (p[0] * t + p[1] - c) / 11.0;
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
            for ((row, b), g) in a.chunks(10).zip(b).zip(grad) {
                *g = row.iter().zip(p).fold(0.0, |sum, (a, p)| sum + a * p) - b;
            }
        }
        other => panic!("no problem {other}"),
    }
}

#[test]
fn problems_as_pytorch() {
    let Golden { meta, cases, .. } = golden();
    let (mut ran, mut worst, mut ill) = (0, (0.0, String::new()), vec![]);
    let mut absent = BTreeMap::<&str, usize>::new();
    for case in &cases {
        let make = if case.start.len() == 2 {
            make::<2>
        } else {
            make::<10>
        };
        let Some(mut optimizer) = make(&case.optimizer, case.lr, &case.hyper) else {
            *absent.entry(&case.optimizer).or_default() += case.steps.len();
            continue;
        };
        let (mut params, mut grads) = (case.start.clone(), vec![0.0; case.start.len()]);
        let mut done = 0;
        for (i, &step) in case.steps.iter().enumerate() {
            while done < step {
                gradient(&meta.problems, &case.problem, &params, &mut grads);
                optimizer.step(&mut params, &grads).unwrap();
                done += 1;
            }
            let checkpoint = format!("{} on {} after {step}", case.name, case.problem);
            if case.ill_conditioned[i] {
                ill.push(checkpoint);
                continue;
            }
            for (p, want) in params.iter().zip(&case.params_f64[i]) {
                let distance = (f64::from(*p) - want).abs() / case.tol_abs_suggested[i];
                assert!(
                    distance <= CASES_SUGGESTED,
                    "{checkpoint}: {p} instead of {want}"
                );
                if distance > worst.0 {
                    worst = (distance, checkpoint.clone());
                }
            }
            ran += 1;
        }
    }
    println!(
        "ran {ran} checkpoints; worst {:.2} of the tolerance: {}",
        worst.0, worst.1
    );
    println!("skipped, ill-conditioned: {ill:?}; no such optimizer here: {absent:?}");
    assert!(ran + ill.len() >= 39 * 6);
}

/// Leaving all hyper-parameters out and spelling PyTorch's out is the same.
#[test]
fn defaults_as_pytorch() {
    let Golden { meta, defaults, .. } = golden();
    let mut ran = 0;
    for Defaults {
        optimizer,
        defaults,
    } in &defaults
    {
        let lr = defaults["lr"].as_f64().unwrap();
        let (Some(mut ours), Some(mut theirs)) = (
            make::<5>(optimizer, lr, &Map::new()),
            make::<5>(optimizer, lr, defaults),
        ) else {
            continue;
        };
        let mut params = [meta.gradseq.p0.clone(), meta.gradseq.p0.clone()];
        for grads in &meta.gradseq.grads {
            ours.step(&mut params[0], grads).unwrap();
            theirs.step(&mut params[1], grads).unwrap();
            assert_eq!(params[0], params[1], "{optimizer}");
        }
        ran += 1;
    }
    assert!(ran >= 2);
}

/// Parameters after each gradient, as bits.
fn trajectory(optimizer: &mut dyn Optimizer) -> Vec<Vec<u32>> {
    let GivenGradients { mut p0, grads } = golden().meta.gradseq;
    let mut step = |grads: Vec<f32>| {
        optimizer.step(&mut p0, &grads).unwrap();
        p0.iter().map(|p| p.to_bits()).collect()
    };
    grads.into_iter().map(&mut step).collect()
}

#[cfg(feature = "std")]
#[test]
fn heap_as_inline() {
    let sgd = Sgd::new(0.05).dampening(0.1).weight_decay(0.01);
    assert_eq!(
        trajectory(&mut sgd.clone().momentum::<5>(0.9)),
        trajectory(&mut sgd.momentum_on_heap(0.9, 5)),
    );
    let (inline, heap) = (Adam::<5>::new(0.02), Adam::on_heap(0.02, 5));
    assert_eq!(
        trajectory(&mut inline.clone()),
        trajectory(&mut heap.clone())
    );
    assert_eq!(
        trajectory(&mut inline.amsgrad()),
        trajectory(&mut heap.amsgrad())
    );
}

#[test]
fn reset_forgets_all_steps() {
    let mut sgd = Sgd::new(0.05).momentum::<5>(0.9).dampening(0.1);
    let first = trajectory(&mut sgd);
    assert_ne!(trajectory(&mut sgd), first);
    sgd.reset();
    assert_eq!(trajectory(&mut sgd), first);

    let mut adam = Adam::<5>::new(0.02).amsgrad();
    let first = trajectory(&mut adam);
    assert_ne!(trajectory(&mut adam), first);
    adam.reset();
    assert_eq!(trajectory(&mut adam), first);
}

#[test]
fn learning_rate_may_change_between_steps() {
    let mut optimizers: [Box<dyn Optimizer>; 2] =
        [Box::new(Sgd::new(0.5)), Box::new(Adam::<1>::new(0.5))];
    for optimizer in &mut optimizers {
        assert_eq!(optimizer.learning_rate(), 0.5);
        optimizer.set_learning_rate(0.0);
        assert_eq!(optimizer.learning_rate(), 0.0);
        let mut params = [1.0];
        optimizer.step(&mut params, &[1.0]).unwrap();
        assert_eq!(params, [1.0]);
        optimizer.set_learning_rate(0.25);
        optimizer.step(&mut params, &[1.0]).unwrap();
        assert!((params[0] - 0.75).abs() < 1e-6, "{params:?}");
    }
}

/// A refused step changes neither the parameters nor the state: the next one
/// continues as if nothing had happened.
#[test]
fn a_refused_step_changes_nothing() {
    fn check(mut optimizer: impl Optimizer + Clone, sized: bool) {
        optimizer.step(&mut [1.0; 5], &[0.3; 5]).unwrap();
        let mut refused = optimizer.clone();

        let mut params = [1.0; 5];
        let error = refused.step(&mut params, &[0.5; 4]);
        assert_eq!(
            error,
            Err(OptimizerError::GradientCount {
                params: 5,
                grads: 4
            })
        );
        assert_eq!(params, [1.0; 5]);

        if sized {
            let mut params = [1.0; 6];
            let error = refused.step(&mut params, &[0.5; 6]);
            assert_eq!(
                error,
                Err(OptimizerError::StateSize {
                    state: 5,
                    params: 6
                })
            );
            assert_eq!(params, [1.0; 6]);
        }

        let lr = refused.learning_rate();
        refused.set_learning_rate(-1.0);
        let mut params = [1.0; 5];
        let error = refused.step(&mut params, &[0.5; 5]);
        assert_eq!(
            error,
            Err(OptimizerError::HyperParameter {
                expected: "lr >= 0",
                found: -1.0
            })
        );
        assert_eq!(params, [1.0; 5]);
        refused.set_learning_rate(lr);

        assert_eq!(trajectory(&mut refused), trajectory(&mut optimizer));
    }
    check(Sgd::new(0.1), false);
    check(Sgd::new(0.1).momentum::<5>(0.9).dampening(0.5), true);
    check(Adam::<5>::new(0.1), true);
    check(Adam::<5>::new(0.1).amsgrad(), true);
}

/// The ranges PyTorch enforces by `ValueError`.
#[test]
fn hyper_parameters_out_of_range() {
    fn refuses(mut optimizer: impl Optimizer, message: &str) {
        let mut params = [1.0];
        let error = optimizer.step(&mut params, &[1.0]).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(params, [1.0]);
    }
    let sgd = || Sgd::new(0.1);
    refuses(Sgd::new(-0.1), "expected lr >= 0, found -0.1");
    refuses(Sgd::new(f32::NAN), "expected lr >= 0, found NaN");
    refuses(
        sgd().momentum::<1>(-0.5),
        "expected momentum >= 0, found -0.5",
    );
    refuses(
        sgd().weight_decay(-0.5),
        "expected weight_decay >= 0, found -0.5",
    );
    refuses(
        sgd().nesterov(),
        "expected momentum > 0 with nesterov, found 0",
    );
    refuses(
        sgd().momentum::<1>(0.9).dampening(0.5).nesterov(),
        "expected dampening = 0 with nesterov, found 0.5",
    );
    refuses(
        sgd().weight_decay(f32::NAN),
        "expected weight_decay >= 0, found NaN",
    );
    let adam = || Adam::<1>::new(0.1);
    refuses(Adam::<1>::new(-0.1), "expected lr >= 0, found -0.1");
    refuses(adam().betas(1.0, 0.9), "expected 0 <= beta1 < 1, found 1");
    refuses(
        adam().betas(0.9, -0.5),
        "expected 0 <= beta2 < 1, found -0.5",
    );
    refuses(
        adam().betas(f64::NAN, 0.9),
        "expected 0 <= beta1 < 1, found NaN",
    );
    refuses(adam().eps(-1.0), "expected eps >= 0, found -1");
    refuses(
        adam().weight_decay(-1.0),
        "expected weight_decay >= 0, found -1",
    );
}

/// Nobody pays RAM for what they do not use, and an optimizer can be a `static`.
#[test]
fn size_and_const() {
    use std::sync::Mutex;
    static ADAM: Mutex<Adam<2>> = Mutex::new(Adam::new(1e-1).betas(0.9, 0.99).eps(1e-6));
    static SGD: Mutex<Sgd<2>> = Mutex::new(Sgd::new(1e-2).momentum(0.9));
    assert_eq!(SGD.lock().unwrap().learning_rate(), 1e-2);
    assert_eq!(ADAM.lock().unwrap().learning_rate(), 1e-1);

    assert_eq!(size_of::<Sgd<100>>() - size_of::<Sgd>(), 400);
    assert_eq!(size_of::<Adam<100>>() - size_of::<Adam<0>>(), 800);
    assert_eq!(
        size_of_val(&Adam::<100>::new(0.1).amsgrad()) - size_of::<Adam<0>>(),
        1200
    );
    assert!(size_of::<Sgd>() <= 32 && size_of::<Adam<0>>() <= 56);
}

/// As `torch.lerp`, which is exact at both ends: with beta1 = 0 nothing is left
/// of a gradient that was 1e9 times as large.
#[test]
fn adam_without_memory_forgets_completely() {
    let mut adam = Adam::<1>::new(0.5).betas(0.0, 0.0).eps(0.0);
    let mut params = [0.0];
    adam.step(&mut params, &[1e8]).unwrap();
    assert_eq!(params, [-0.5]);
    adam.step(&mut params, &[0.125]).unwrap();
    assert_eq!(params, [-1.0]);
}

/// A gradient that is not a number must show, not vanish.
#[test]
fn nan_reaches_the_parameter() {
    let optimizers: [Box<dyn Optimizer>; 4] = [
        Box::new(Sgd::new(0.1)),
        Box::new(Sgd::new(0.1).momentum::<2>(0.9)),
        Box::new(Adam::<2>::new(0.1)),
        Box::new(Adam::<2>::new(0.1).amsgrad()),
    ];
    for mut optimizer in optimizers {
        let mut params = [1.0, 1.0];
        optimizer.step(&mut params, &[f32::NAN, 1.0]).unwrap();
        optimizer.step(&mut params, &[1.0, 1.0]).unwrap();
        assert!(params[0].is_nan() && params[1] < 1.0, "{params:?}");
    }
}
