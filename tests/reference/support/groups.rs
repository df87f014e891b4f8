//! Runs `groups.json`: optimizers under schedules, with one and two groups of parameters.

use baregrad::optim::schedule::Scheduler;
use baregrad::optim::{
    Adam, AdamW, Adamax, NAdam, Optimizer, ParamGroups, RAdam, RmsProp, Sgd, Stateful,
};
use baregrad::record::{Record, Writer};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::optim::Hyper;
use super::sched::{self, Part};
use super::{Num, Report, ratio};

/// The allowed distance from PyTorch's `f32` parameters, relative to the largest magnitude. It is
/// larger than that of `optim.json`, because there are 24 steps instead of 20, rates are rounded to
/// `f32`, and 1 - β₁, at least 0.02, is off by 2⁻²⁵.
const RELATIVE: f64 = 8e-7;

#[derive(Deserialize)]
pub struct File {
    sizes: [usize; 2],
    rates: [f32; 2],
    decays: [f32; 2],
    start: Vec<f32>,
    grads: Vec<Vec<f32>>,
    metric: Vec<f32>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    optimizer: String,
    hyper: Map<String, Value>,
    schedule: String,
    kwargs: Map<String, Value>,
    groups: usize,
    lr: Vec<Vec<Num>>,
    momentum: Vec<Vec<Num>>,
    params: Vec<Vec<Num>>,
}

/// Room for the parameters of all groups.
const N: usize = 5;

/// Rates, momenta and parameters, step by step.
type Found = [Vec<Vec<f32>>; 3];

fn run<O: Optimizer + Stateful>(
    file: &File,
    case: &Case,
    new: impl Fn(f32, f32) -> O,
) -> Option<[Found; 2]> {
    let steps = |resumed| {
        if case.groups == 1 {
            let make = || new(file.rates[0], file.decays[0]);
            step(file, case, resumed, make, |o| vec![rates(o)])
        } else {
            let make = || {
                let [first, second] = [0, 1].map(|g| new(file.rates[g], file.decays[g]));
                ParamGroups::new(file.sizes[0], first, second)
            };
            step(file, case, resumed, make, |o| {
                vec![rates(o.first()), rates(o.second())]
            })
        }
    };
    Some([steps(false)?, steps(true)?])
}

fn rates(optimizer: &impl Optimizer) -> [f32; 2] {
    [
        optimizer.learning_rate(),
        optimizer.momentum_factor().unwrap_or(f32::NAN),
    ]
}

/// Takes all steps. If `resumed`, restores a new optimizer and schedule every fifth step.
fn step<O: Optimizer + Stateful>(
    file: &File,
    case: &Case,
    resumed: bool,
    new: impl Fn() -> O,
    rates: impl Fn(&O) -> Vec<[f32; 2]>,
) -> Option<Found> {
    let part = Part {
        name: case.schedule.clone(),
        kwargs: case.kwargs.clone(),
        parts: Vec::new(),
        milestones: Vec::new(),
    };
    let make = |optimizer: &mut O| Some(Scheduler::new(sched::make(&part)?, optimizer));
    let mut optimizer = new();
    let mut scheduler = make(&mut optimizer)?;
    let mut params = file.start.clone();
    let mut found = Found::default();
    for (at, grads) in file.grads.iter().enumerate() {
        if resumed && at % 5 == 3 {
            let mut bytes = [0; 4000];
            let mut writer = Writer::new(&mut bytes);
            writer.state_dict("o", &mut optimizer, N).unwrap();
            writer.state_dict("s", &mut scheduler, 0).unwrap();
            let record = Record::read(writer.finish().unwrap()).unwrap();
            optimizer = new();
            scheduler = make(&mut optimizer)?;
            record.load_state_dict("o", &mut optimizer, N).unwrap();
            record.load_state_dict("s", &mut scheduler, 0).unwrap();
        }
        let now = rates(&optimizer);
        found[0].push(now.iter().map(|now| now[0]).collect());
        found[1].push(now.iter().map(|now| now[1]).collect());
        optimizer.step(&mut params, grads).unwrap();
        found[2].push(params.clone());
        scheduler.step_with(file.metric[at], &mut optimizer);
    }
    Some(found)
}

/// Makes an optimizer that has a builder `weight_decay`.
macro_rules! with_decay {
    ($file:ident, $case:ident, $make:expr) => {
        run($file, $case, |lr, decay| $make(lr).weight_decay(decay))
    };
}

fn all(file: &File, case: &Case) -> Option<[Found; 2]> {
    let mut hyper = Hyper::new(&case.hyper);
    let momentum = hyper.number("momentum").unwrap_or(0.0) as f32;
    let amsgrad = hyper.flag("amsgrad");
    match case.optimizer.as_str() {
        "SGD" => with_decay!(file, case, |lr| Sgd::new(lr).momentum::<N>(momentum)),
        "RMSprop" => with_decay!(file, case, |lr| RmsProp::<N>::new(lr).momentum(momentum)),
        "Adam" => with_decay!(file, case, Adam::<N>::new),
        "AdamW" if amsgrad => with_decay!(file, case, |lr| AdamW::<N>::new(lr).amsgrad()),
        "NAdam" => with_decay!(file, case, NAdam::<N>::new),
        "RAdam" => with_decay!(file, case, RAdam::<N>::new),
        "Adamax" => with_decay!(file, case, Adamax::<N>::new),
        _ => None,
    }
}

pub fn test(file: File) -> Report {
    let mut report = Report::default();
    let mut ran = 0;
    for case in &file.cases {
        let name = format!("{} {} {}", case.optimizer, case.schedule, case.groups);
        let Some([found, resumed]) = all(&file, case) else {
            report.not_covered(&case.optimizer, 1);
            continue;
        };
        if found != resumed {
            report.fail(format!("{name}: other bits once resumed"));
        }
        ran += 1;
        let wanted = [
            ("rates", &case.lr, sched::ALLOWED),
            ("momenta", &case.momentum, sched::ALLOWED),
            ("parameters", &case.params, RELATIVE),
        ];
        for ((what, wanted, relative), found) in wanted.into_iter().zip(&found) {
            assert_eq!(found.len(), wanted.len());
            let all = wanted.iter().flatten();
            let largest = all.fold(0.0, |most: f64, x| most.max(x.0.abs()));
            for (step, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                assert_eq!(found.len(), wanted.len());
                for (&found, wanted) in found.iter().zip(wanted) {
                    report.check(
                        &format!("{what} {}", case.optimizer),
                        ratio(found, wanted.0, relative * largest),
                        || {
                            format!(
                                "{name}, step {step}: {what} {found} instead of {}",
                                wanted.0
                            )
                        },
                    );
                }
            }
        }
    }
    report.summary = format!("{ran} of {} runs", file.cases.len());
    report
}
