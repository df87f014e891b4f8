//! Runs `sched.json`: learning rates, and momentum if it is scheduled, over 60 steps. A new
//! schedule of the list `baregrad::each_schedule` needs no change here, unless its arguments are of
//! a new kind: [`argument`] and [`set`].

use std::ops::{Deref, DerefMut};

use baregrad::optim::schedule::*;
use baregrad::optim::{Optimizer, Sgd};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::optim::Hyper;
use super::{Num, Report, ratio};

/// The allowed error relative to the largest rate or momentum, in units of 2⁻²⁴: half of a unit is
/// the rounding of the base rate to an `f32`, another half that of the result.
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

/// A leaked schedule, which works without the feature `std`.
pub type Made = &'static mut dyn Schedule;

fn made(schedule: impl Schedule + 'static) -> Made {
    Box::leak(Box::new(schedule))
}

/// Reads an argument of `new` by its name in PyTorch: a number, unless its name is listed here.
macro_rules! argument {
    ($kwargs:ident, milestones) => {
        &*$kwargs.list("milestones").unwrap().leak()
    };
    ($kwargs:ident, lr_lambda) => {{
        let [factor, _] = $kwargs.factors();
        factor
    }};
    ($kwargs:ident, total_steps) => {
        $kwargs.total_steps()
    };
    ($kwargs:ident, $number:ident) => {
        $kwargs.number(stringify!($number)).unwrap() as _
    };
    ($kwargs:ident, $number:ident => $default:expr) => {
        $kwargs
            .number(stringify!($number))
            .unwrap_or($default as f64) as _
    };
}

/// Makes a schedule with numbers for each of two groups, if it has such a constructor.
macro_rules! of_two_groups {
    ($kwargs:ident, OneCycleLr $args:tt) => {
        OneCycleLr::per_group($kwargs.two("max_lr").unwrap(), $kwargs.total_steps())
    };
    ($kwargs:ident, CyclicLr $args:tt) => {
        CyclicLr::per_group(
            $kwargs.two("base_lr").unwrap(),
            $kwargs.two("max_lr").unwrap(),
        )
    };
    ($kwargs:ident, ReduceLrOnPlateau $args:tt) => {
        ReduceLrOnPlateau::per_group($kwargs.two("min_lr").unwrap_or_default())
    };
    ($kwargs:ident, LambdaLr $args:tt) => {
        LambdaLr::per_group($kwargs.factors())
    };
    ($kwargs:ident, MultiplicativeLr $args:tt) => {
        MultiplicativeLr::per_group($kwargs.factors())
    };
    ($kwargs:ident, $other:ident ($($arg:ident $(=> $default:expr)?),*)) => {
        $other::new($(argument!($kwargs, $arg $(=> $default)?)),*)
    };
}

/// Sets an option by its name in PyTorch, if it is given: a flag if the list has no value
/// for it, a number if it has one, unless its name is listed here.
macro_rules! set {
    ($schedule:ident, $kwargs:ident, anneal $values:tt) => {
        match $kwargs.text("anneal_strategy").as_deref() {
            Some("linear") => $schedule = $schedule.anneal(Anneal::Linear),
            other => assert!(matches!(other, None | Some("cos"))),
        }
    };
    ($schedule:ident, $kwargs:ident, momentum $values:tt) => {
        let [base, max] = $kwargs.momenta();
        $schedule = $schedule.momentum_per_group(first(base), first(max));
        if $kwargs.maybe_flag("cycle_momentum") == Some(false) {
            $schedule = $schedule.without_momentum();
        }
    };
    // `exp_range` is PyTorch's `mode` and `gamma`.
    ($schedule:ident, $kwargs:ident, exp_range $values:tt) => {
        let gamma = $kwargs.number("gamma").unwrap_or(1.0);
        match $kwargs.text("mode").as_deref() {
            Some("triangular2") => $schedule = $schedule.triangular2(),
            Some("exp_range") => $schedule = $schedule.exp_range(gamma),
            other => assert!(matches!(other, None | Some("triangular"))),
        }
        // The mode determines `scale_mode`, unless the caller gives a function.
        $kwargs.text("scale_mode");
    };
    ($schedule:ident, $kwargs:ident, mode $values:tt) => {
        match $kwargs.text("mode").as_deref() {
            Some("max") => $schedule = $schedule.mode(PlateauMode::Max),
            other => assert!(matches!(other, None | Some("min"))),
        }
    };
    ($schedule:ident, $kwargs:ident, threshold $values:tt) => {
        let threshold = $kwargs.number("threshold");
        let mode = match $kwargs.text("threshold_mode").as_deref() {
            Some("abs") => ThresholdMode::Abs,
            other => {
                assert!(matches!(other, None | Some("rel")));
                ThresholdMode::Rel
            }
        };
        $schedule = $schedule.threshold(threshold.unwrap_or(1e-4), mode);
    };
    ($schedule:ident, $kwargs:ident, $flag:ident()) => {
        if $kwargs.flag(stringify!($flag)) {
            $schedule = $schedule.$flag();
        }
    };
    ($schedule:ident, $kwargs:ident, $number:ident($value:expr)) => {
        if let Some(number) = $kwargs.number(stringify!($number)) {
            $schedule = $schedule.$number(number as _);
        }
    };
}

/// Returns the first `G` numbers, one or both.
fn first<const G: usize>(two: [f64; 2]) -> [f64; G] {
    std::array::from_fn(|g| two[g])
}

/// Arguments by PyTorch's names in lower case, all of which must be read.
struct Kwargs<'a> {
    schedule: &'a str,
    hyper: Hyper<'a>,
}

impl<'a> Deref for Kwargs<'a> {
    type Target = Hyper<'a>;
    fn deref(&self) -> &Hyper<'a> {
        &self.hyper
    }
}

impl<'a> DerefMut for Kwargs<'a> {
    fn deref_mut(&mut self) -> &mut Hyper<'a> {
        &mut self.hyper
    }
}

impl Kwargs<'_> {
    /// Reads a number for each of two groups, or one for both.
    fn two(&mut self, name: &str) -> Option<[f64; 2]> {
        self.take(name).map(|value| match value.as_f64() {
            Some(number) => [number; 2],
            None => serde_json::from_value(value.clone()).unwrap(),
        })
    }

    fn total_steps(&mut self) -> u32 {
        let epochs = self.number("epochs").zip(self.number("steps_per_epoch"));
        let product = epochs.map(|(epochs, steps)| epochs * steps);
        self.number("total_steps").or(product).unwrap() as u32
    }

    /// Reads the least and the largest momentum of each of two groups.
    fn momenta(&mut self) -> [[f64; 2]; 2] {
        let [base, max] = match self.schedule {
            "OneCycleLR" => [0.85, 0.95],
            _ => [0.8, 0.9],
        };
        [
            self.two("base_momentum").unwrap_or([base; 2]),
            self.two("max_momentum").unwrap_or([max; 2]),
        ]
    }

    /// Makes the functions of both groups from the numbers in the file. `LambdaLR` multiplies by
    /// the number to the power of the epoch, `MultiplicativeLR` by the number.
    fn factors(&mut self) -> [impl FnMut(u32) -> f64 + use<>; 2] {
        let is_power = self.schedule == "LambdaLR";
        self.two("factor")
            .unwrap()
            .map(|factor| move |epoch| factor.powi(if is_power { epoch as i32 } else { 1 }))
    }
}

/// Makes the schedule of a name, if the crate has it.
pub fn make(part: &Part) -> Option<Made> {
    match part.name.as_str() {
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
        _ => (),
    }
    let lower_case = |(name, value): (&String, &Value)| (name.to_lowercase(), value.clone());
    let given: Map<String, Value> = part.kwargs.iter().map(lower_case).collect();
    let has_groups = |(name, value): (&String, &Value)| name != "milestones" && value.is_array();
    let has_groups = given.iter().any(has_groups);
    let mut kwargs = Kwargs {
        schedule: &part.name,
        hyper: Hyper::new(&given),
    };
    // No case starts at a later epoch.
    let last_epoch = kwargs.number("last_epoch");
    assert!(last_epoch.is_none_or(|epoch| epoch == -1.0));
    macro_rules! listed {
        ($(
            $schedule:ident = $torch:literal ($($arg:ident: $sample:expr $(=> $default:expr)?),*)
                [$($option:ident($($value:expr),*))*];
        )*) => {
            match part.name.as_str() {
                $(
                    #[allow(unused_mut)]
                    $torch if has_groups => {
                        let mut schedule =
                            of_two_groups!(kwargs, $schedule ($($arg $(=> $default)?),*));
                        $(set!(schedule, kwargs, $option($($value),*));)*
                        made(schedule)
                    }
                    #[allow(unused_mut)]
                    $torch => {
                        let mut schedule =
                            $schedule::new($(argument!(kwargs, $arg $(=> $default)?)),*);
                        $(set!(schedule, kwargs, $option($($value),*));)*
                        made(schedule)
                    }
                )*
                _ => return None,
            }
        };
    }
    let schedule = baregrad::each_schedule!(listed);
    kwargs.end(&part.name);
    Some(schedule)
}

/// Compares numbers with the file's.
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

/// Runs a case, and returns rates and momentum at every step. If `resumed`, restores a new schedule
/// halfway.
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

/// Checks that PyTorch's defaults give the same rates as no arguments.
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
            // These need arguments that are not numbers.
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
