//! `sched.json`: learning rates, and momentum where it moves, over 60 steps.

use baregrad::optim::schedule::{
    Anneal, ConstantLr, CosineAnnealingLr, CosineAnnealingWarmRestarts, CyclicLr, ExponentialLr,
    LambdaLr, LinearLr, MultiStepLr, MultiplicativeLr, OneCycleLr, PlateauMode, PolynomialLr,
    ReduceLrOnPlateau, Schedule, Scheduler, StepLr, ThresholdMode,
};
use baregrad::optim::{Optimizer, Sgd};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::optim::Hyper;
use super::{Num, Report, ratio};

/// Units of 2⁻²⁴ of the largest rate, or momentum: half of one is the rounding of the base
/// rate to an `f32`, another half that of the result.
pub const ALLOWED: f64 = 4.0 / (1 << 24) as f64;

#[derive(Deserialize)]
pub struct File {
    #[serde(default)]
    defaults: Map<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: usize,
    base_lr: f64,
    #[serde(flatten)]
    what: Part,
    #[serde(default)]
    metric: Vec<Num>,
    lr: Vec<Num>,
    #[serde(default)]
    momentum: Vec<Num>,
}

#[derive(Deserialize)]
pub struct Part {
    pub name: String,
    #[serde(default)]
    pub kwargs: Map<String, Value>,
    #[serde(default)]
    pub parts: Vec<Part>,
    #[serde(default)]
    pub milestones: Vec<u32>,
}

/// Boxed without the feature `std`, too.
pub type Made = &'static mut dyn Schedule;

fn made(schedule: impl Schedule + 'static) -> Made {
    Box::leak(Box::new(schedule))
}

/// The schedule of that name, if it exists here.
pub fn make(part: &Part) -> Option<Made> {
    let mut kwargs = Hyper::new(&part.kwargs);
    let count = |kwargs: &mut Hyper<'_>, name| kwargs.number(name).map(|n| n as u32);
    // Where a case begins is said by none of them.
    assert!(
        kwargs
            .number("last_epoch")
            .is_none_or(|epoch| epoch == -1.0)
    );
    let schedule = match part.name.as_str() {
        "StepLR" => {
            let mut step = StepLr::new(count(&mut kwargs, "step_size").unwrap());
            if let Some(gamma) = kwargs.number("gamma") {
                step = step.gamma(gamma);
            }
            made(step)
        }
        "MultiStepLR" => {
            let mut step = MultiStepLr::new(kwargs.list("milestones").unwrap().leak());
            if let Some(gamma) = kwargs.number("gamma") {
                step = step.gamma(gamma);
            }
            made(step)
        }
        "ConstantLR" => made(ConstantLr::new(
            kwargs.number("factor").unwrap_or(1.0 / 3.0),
            count(&mut kwargs, "total_iters").unwrap_or(5),
        )),
        "LinearLR" => made(LinearLr::new(
            kwargs.number("start_factor").unwrap_or(1.0 / 3.0),
            kwargs.number("end_factor").unwrap_or(1.0),
            count(&mut kwargs, "total_iters").unwrap_or(5),
        )),
        "ExponentialLR" => made(ExponentialLr::new(kwargs.number("gamma").unwrap())),
        "PolynomialLR" => made(PolynomialLr::new(
            count(&mut kwargs, "total_iters").unwrap_or(5),
            kwargs.number("power").unwrap_or(1.0),
        )),
        "CosineAnnealingLR" => {
            let cosine = CosineAnnealingLr::new(count(&mut kwargs, "T_max").unwrap());
            made(cosine.eta_min(kwargs.number("eta_min").unwrap_or(0.0)))
        }
        "CosineAnnealingWarmRestarts" => {
            let cosine = CosineAnnealingWarmRestarts::new(count(&mut kwargs, "T_0").unwrap());
            let cosine = cosine.t_mult(count(&mut kwargs, "T_mult").unwrap_or(1));
            made(cosine.eta_min(kwargs.number("eta_min").unwrap_or(0.0)))
        }
        "OneCycleLR" => {
            let product = count(&mut kwargs, "epochs")
                .zip(count(&mut kwargs, "steps_per_epoch"))
                .map(|(epochs, steps)| epochs * steps);
            let total = count(&mut kwargs, "total_steps").or(product).unwrap();
            let mut cycle = OneCycleLr::new(kwargs.number("max_lr").unwrap(), total);
            if let Some(part) = kwargs.number("pct_start") {
                cycle = cycle.pct_start(part);
            }
            cycle = match kwargs.text("anneal_strategy").as_deref() {
                Some("linear") => cycle.anneal(Anneal::Linear),
                other => {
                    assert!(matches!(other, None | Some("cos")));
                    cycle
                }
            };
            let base = kwargs.number("base_momentum").unwrap_or(0.85);
            cycle = cycle.momentum(base, kwargs.number("max_momentum").unwrap_or(0.95));
            if kwargs.maybe_flag("cycle_momentum") == Some(false) {
                cycle = cycle.without_momentum();
            }
            if let Some(factor) = kwargs.number("div_factor") {
                cycle = cycle.div_factor(factor);
            }
            if let Some(factor) = kwargs.number("final_div_factor") {
                cycle = cycle.final_div_factor(factor);
            }
            if kwargs.flag("three_phase") {
                cycle = cycle.three_phase();
            }
            made(cycle)
        }
        "CyclicLR" => {
            let base = kwargs.number("base_lr").unwrap();
            let mut cycle = CyclicLr::new(base, kwargs.number("max_lr").unwrap());
            if let Some(steps) = count(&mut kwargs, "step_size_up") {
                cycle = cycle.step_size_up(steps);
            }
            if let Some(steps) = count(&mut kwargs, "step_size_down") {
                cycle = cycle.step_size_down(steps);
            }
            let gamma = kwargs.number("gamma").unwrap_or(1.0);
            cycle = match kwargs.text("mode").as_deref() {
                Some("triangular2") => cycle.triangular2(),
                Some("exp_range") => cycle.exp_range(gamma),
                other => {
                    assert!(matches!(other, None | Some("triangular")));
                    cycle
                }
            };
            // Chosen by the mode, unless there is a function of the caller's.
            kwargs.text("scale_mode");
            let base = kwargs.number("base_momentum").unwrap_or(0.8);
            cycle = cycle.momentum(base, kwargs.number("max_momentum").unwrap_or(0.9));
            if kwargs.maybe_flag("cycle_momentum") == Some(false) {
                cycle = cycle.without_momentum();
            }
            made(cycle)
        }
        "MultiplicativeLR" => {
            let factor = kwargs.number("factor").unwrap();
            made(MultiplicativeLr::new(move |_| factor))
        }
        "LambdaLR" => {
            let factor = kwargs.number("factor").unwrap();
            made(LambdaLr::new(move |epoch| factor.powi(epoch as i32)))
        }
        "SequentialLR" => {
            let mut parts = part.parts.iter();
            let first = make(parts.next()?)?;
            let mut rest = parts.zip(&part.milestones);
            return rest.try_fold(first, |before, (part, milestone)| {
                Some(made(before.then(*milestone, make(part)?)))
            });
        }
        "ChainedScheduler" => {
            let mut parts = part.parts.iter();
            let first = make(parts.next()?)?;
            return parts.try_fold(first, |before, part| Some(made(before.chain(make(part)?))));
        }
        "ReduceLROnPlateau" => {
            let mut plateau = ReduceLrOnPlateau::new();
            match kwargs.text("mode").as_deref() {
                Some("max") => plateau = plateau.mode(PlateauMode::Max),
                other => assert!(matches!(other, None | Some("min"))),
            }
            if let Some(factor) = kwargs.number("factor") {
                plateau = plateau.factor(factor);
            }
            if let Some(epochs) = count(&mut kwargs, "patience") {
                plateau = plateau.patience(epochs);
            }
            let threshold = kwargs.number("threshold").unwrap_or(1e-4);
            let mode = match kwargs.text("threshold_mode").as_deref() {
                Some("abs") => ThresholdMode::Abs,
                other => {
                    assert!(matches!(other, None | Some("rel")));
                    ThresholdMode::Rel
                }
            };
            plateau = plateau.threshold(threshold, mode);
            if let Some(epochs) = count(&mut kwargs, "cooldown") {
                plateau = plateau.cooldown(epochs);
            }
            if let Some(lr) = kwargs.number("min_lr") {
                plateau = plateau.min_lr(lr);
            }
            if let Some(eps) = kwargs.number("eps") {
                plateau = plateau.eps(eps);
            }
            made(plateau)
        }
        _ => return None,
    };
    kwargs.end(&part.name);
    Some(schedule)
}

/// Holds found numbers against given ones.
fn compare(report: &mut Report, case: &Case, what: &str, found: &[f32], given: &[Num]) {
    let largest = given.iter().fold(0.0, |most: f64, x| most.max(x.0.abs()));
    for (step, (&found, want)) in found.iter().zip(given).enumerate() {
        let name = &case.what.name;
        report.check(
            &format!("{what} {name}"),
            ratio(found, want.0, ALLOWED * largest),
            || {
                format!(
                    "case {} {name}, step {step}: {what} {found} instead of {}",
                    case.id, want.0
                )
            },
        );
    }
}

/// Runs one case: rates and momentum at every step. Halfway it is kept and restored into a
/// schedule that was made anew, or it runs through.
fn run(case: &Case, resumed: bool) -> Option<[Vec<f32>; 2]> {
    let new = |sgd: &mut Sgd<1>| Some(Scheduler::new(make(&case.what)?, sgd));
    let optimizer = || Sgd::new(case.base_lr as f32).momentum::<1>(0.9);
    let mut sgd = optimizer();
    let mut scheduler = new(&mut sgd)?;
    let mut found = [
        vec![sgd.learning_rate()],
        vec![sgd.momentum_factor().unwrap()],
    ];
    for step in 1..case.lr.len() {
        if resumed && step % 7 == 3 {
            let mut kept = Vec::new();
            scheduler.visit_state(&mut |name, numbers| kept.push((name, numbers.to_vec())));
            let mut parts = kept.iter();
            scheduler = new(&mut optimizer())?;
            scheduler.visit_state(&mut |name, numbers| {
                let (kept_name, kept) = parts.next().unwrap();
                assert_eq!(*kept_name, name);
                numbers.copy_from_slice(kept);
            });
        }
        match case.metric.get(step - 1) {
            Some(metric) => scheduler.step_with(metric.0 as f32, &mut sgd),
            None => scheduler.step(&mut sgd),
        }
        found[0].push(sgd.learning_rate());
        found[1].push(sgd.momentum_factor().unwrap());
    }
    Some(found)
}

pub fn test(file: File) -> Report {
    let mut report = Report::default();
    let mut ran = 0;
    for case in &file.cases {
        let (Some(through), Some(resumed)) = (run(case, false), run(case, true)) else {
            report.not_covered(&case.what.name, 1);
            continue;
        };
        if through != resumed {
            report.fail(format!("case {}: other rates once resumed", case.id));
        }
        compare(&mut report, case, "rate", &through[0], &case.lr);
        compare(&mut report, case, "momentum", &through[1], &case.momentum);
        ran += 1;
    }
    let defaults = defaults(&file, &mut report);
    report.summary = format!(
        "{ran} of {} cases; {defaults} sets of defaults",
        file.cases.len()
    );
    report
}

/// Spelling all of PyTorch's defaults out is the same as leaving them out.
fn defaults(file: &File, report: &mut Report) -> usize {
    let mut ran = 0;
    for (name, defaults) in &file.defaults {
        let required: &[&str] = match name.as_str() {
            "StepLR" => &["step_size"],
            "CosineAnnealingLR" => &["T_max"],
            "CosineAnnealingWarmRestarts" => &["T_0"],
            "ExponentialLR" => &["gamma"],
            "OneCycleLR" => &["max_lr", "total_steps"],
            "CyclicLR" => &["base_lr", "max_lr"],
            "ConstantLR" | "LinearLR" | "PolynomialLR" | "ReduceLROnPlateau" => &[],
            // These need something that is no number.
            _ => continue,
        };
        let number = |name: &&str| {
            let value = match *name {
                "gamma" => 0.9.into(),
                "max_lr" => 0.5.into(),
                "base_lr" => 0.01.into(),
                _ => 60.into(),
            };
            ((*name).to_owned(), value)
        };
        let kwargs: Map<String, Value> = required.iter().map(number).collect();
        let mut spelled = kwargs.clone();
        for (name, value) in defaults.as_object().unwrap() {
            spelled.entry(name.clone()).or_insert_with(|| value.clone());
            if spelled[name].is_null() {
                spelled[name] = kwargs.get(name).cloned().unwrap_or(Value::Null);
            }
        }
        let rates = |kwargs: Map<String, Value>| {
            let case = Case {
                id: 0,
                base_lr: 0.1,
                what: Part {
                    name: name.clone(),
                    kwargs,
                    parts: Vec::new(),
                    milestones: Vec::new(),
                },
                metric: vec![Num(1.0); 60],
                lr: vec![Num(0.0); 61],
                momentum: Vec::new(),
            };
            run(&case, false)
        };
        if rates(kwargs) != rates(spelled) {
            report.fail(format!("{name}: other defaults than PyTorch's"));
        }
        ran += 1;
    }
    ran
}
