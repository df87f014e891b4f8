//! Tests of the commands `optimizer` and `schedule`: every optimizer and schedule of the firmware
//! gives the library's bits.

#![allow(clippy::unwrap_used)]

mod host;

use std::ops::Range;

use baregrad::calibrate::Curve;
use baregrad::optim::schedule::{
    Anneal, ConstantLr, CosineAnnealingLr, CosineAnnealingWarmRestarts, CyclicLr, ExponentialLr,
    LinearLr, MultiStepLr, OneCycleLr, PlateauMode, PolynomialLr, ReduceLrOnPlateau, Schedule,
    Scheduler, StepLr, ThresholdMode,
};
use baregrad::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Asgd, Lbfgs, NAdam, Optimizer, RAdam, RmsProp, Rprop,
    Search, Sgd,
};
use calibrator::{
    ALL_RULES, ALL_SCHEDULES, Board, Calibrator, Damaged, FEW_RULES, FLOATS, Memory, Ram,
    RateSchedule, Rule,
};
use host::{FEW, HostBoard, HostMemory, RULES, SCHEDULES, SmallFlash, Terminal, fitted};

fn with_terminal(test: impl FnOnce(&mut Terminal<'_>)) {
    let mut memory = HostMemory::new();
    let mut terminal = Terminal::new(HostBoard::new(), &mut memory);
    terminal.greeting();
    test(&mut terminal);
}

/// Returns the checksum in the calibrator's answer to `fit`.
fn told(t: &mut Terminal<'_>, epochs: u32) -> String {
    let answer = t.line(&format!("fit {epochs}"));
    assert!(answer.ends_with("\nok\n"), "{answer}");
    let crc = answer.split(" crc=").nth(1).unwrap();
    crc.lines().next().unwrap().to_owned()
}

enum Made {
    Stepped(Box<dyn Optimizer>),
    Searched(Box<dyn Search>),
}

/// Returns the optimizers of [`RULES`], made by the library's builders.
fn written() -> Vec<Made> {
    let stepped: [Box<dyn Optimizer>; 20] = [
        Box::new(Adagrad::<25>::new(0.1).lr_decay(0.01).eps(1e-6)),
        Box::new(Sgd::new(0.05)),
        Box::new(
            Sgd::new(0.05)
                .momentum::<25>(0.9)
                .nesterov()
                .weight_decay(0.01),
        ),
        Box::new(Sgd::new(0.05).momentum::<25>(0.5).dampening(0.1)),
        Box::new(Adadelta::<25>::new(1.0)),
        Box::new(Adadelta::<25>::new(0.5).rho(0.5).eps(0.001)),
        Box::new(Adagrad::<25>::new(0.1).initial_accumulator_value(0.5)),
        Box::new(Adam::<25>::new(0.05).betas(0.8, 0.99).amsgrad()),
        Box::new(Adam::<25>::new(0.05)),
        Box::new(AdamW::<25>::new(0.05)),
        Box::new(
            AdamW::<25>::new(0.05)
                .betas(0.75, 0.875)
                .weight_decay(0.1)
                .amsgrad(),
        ),
        Box::new(Adamax::<25>::new(0.05).eps(1e-6)),
        Box::new(Asgd::<25>::new(0.05).lambd(0.01).alpha(0.5).t0(2.0)),
        Box::new(
            NAdam::<25>::new(0.05)
                .momentum_decay(0.01)
                .decoupled_weight_decay(),
        ),
        Box::new(RAdam::<25>::new(0.1)),
        Box::new(RAdam::<25>::new(0.1).betas(0.5, 0.75)),
        Box::new(RmsProp::<25>::new(0.02)),
        Box::new(RmsProp::<25>::new(0.02).alpha(0.9).centered().momentum(0.5)),
        Box::new(Rprop::<25>::new(0.01)),
        Box::new(
            Rprop::<25>::new(0.01)
                .etas(0.25, 1.5)
                .step_sizes(0.001, 2.0),
        ),
    ];
    let searches: [Box<dyn Search>; 3] = [
        Box::new(Lbfgs::<25, 4>::new(1.0)),
        Box::new(
            Lbfgs::<25, 4>::new(0.5)
                .max_iter(4)
                .max_eval(5)
                .tolerance_grad(1e-6),
        ),
        Box::new(Lbfgs::<25, 4>::new(1.0).strong_wolfe()),
    ];
    let mut made: Vec<Made> = stepped.into_iter().map(Made::Stepped).collect();
    made.extend(searches.into_iter().map(Made::Searched));
    made.push(Made::Stepped(Box::new(Sgd::new(0.1))));
    made
}

#[test]
fn every_optimizer_fits_as_the_library_does() {
    for (model, epochs) in [("linear", 30), ("poly:3", 40), ("mlp:8", 25)] {
        let made = written();
        assert_eq!(made.len(), RULES.len());
        for (line, mut made) in RULES.iter().zip(made) {
            with_terminal(|t| {
                t.add_thermometer();
                t.line(&format!("model {model}"));
                let answer = t.line(&format!("optimizer {line}"));
                assert!(answer.starts_with("ok "), "{line}: {answer}");
                let expected = fitted(
                    Curve::parse(model).unwrap(),
                    epochs,
                    |fit| match &mut made {
                        Made::Stepped(optimizer) => fit.poll(&mut **optimizer),
                        Made::Searched(search) => fit.poll_search(&mut **search),
                    },
                );
                assert_eq!(
                    told(t, epochs),
                    format!("{:08x}", expected.checksum()),
                    "{model}: {line}"
                );
            });
        }
    }
}

/// Returns the schedules of [`SCHEDULES`], made by the library's builders.
fn schedules() -> Vec<Box<dyn Schedule>> {
    vec![
        Box::new(ConstantLr::new(1.0 / 3.0, 5)),
        Box::new(ConstantLr::new(0.5, 3)),
        Box::new(CosineAnnealingLr::new(9)),
        Box::new(CosineAnnealingLr::new(9).eta_min(0.001)),
        Box::new(CyclicLr::new(0.01, 0.1).step_size_up(3)),
        Box::new(CyclicLr::new(0.01, 0.1).exp_range(0.95)),
        Box::new(ExponentialLr::new(0.9)),
        Box::new(LinearLr::new(1.0 / 3.0, 1.0, 5)),
        Box::new(LinearLr::new(0.1, 0.8, 9)),
        Box::new(MultiStepLr::new(&[3, 8]).gamma(0.5)),
        Box::new(OneCycleLr::new(0.2, 12)),
        Box::new(OneCycleLr::new(0.2, 12).anneal(Anneal::Linear)),
        Box::new(
            ReduceLrOnPlateau::new()
                .patience(1)
                .factor(0.5)
                .threshold(0.9, ThresholdMode::Rel),
        ),
        Box::new(
            ReduceLrOnPlateau::new()
                .mode(PlateauMode::Min)
                .threshold(0.05, ThresholdMode::Abs)
                .patience(0),
        ),
        Box::new(PolynomialLr::new(20, 0.7)),
        Box::new(StepLr::new(4).gamma(0.7)),
        Box::new(StepLr::new(4)),
        Box::new(CosineAnnealingWarmRestarts::new(3).t_mult(2)),
        Box::new(CosineAnnealingWarmRestarts::new(4)),
    ]
}

#[test]
fn every_schedule_fits_as_the_library_does() {
    let curve = Curve::parse("poly:2").unwrap();
    let all = schedules();
    assert_eq!(all.len(), SCHEDULES.len());
    let mut seen = Vec::new();
    for (line, mut schedule) in SCHEDULES.iter().zip(all) {
        let mut adam_w = AdamW::<25>::new(0.1).weight_decay(0.05);
        let mut scheduler = Scheduler::new(&mut *schedule, &mut adam_w);
        let expected = fitted(curve, 12, |fit| {
            fit.poll_scheduled(&mut adam_w, &mut scheduler)
        });
        with_terminal(|t| {
            t.add_thermometer();
            t.line("model poly:2");
            t.line("optimizer adamw 0.1 weight_decay=0.05");
            assert!(t.line(&format!("schedule {line}")).starts_with("ok "));
            let expected = format!("{:08x}", expected.checksum());
            assert_eq!(told(t, 12), expected, "{line}");
            // Without the schedule the fit differs.
            assert_eq!(t.line("schedule off"), "ok off\n");
            assert_ne!(told(t, 12), expected, "{line}");
            seen.push(expected);
        });
    }
    // All schedules give different fits.
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), SCHEDULES.len(), "{seen:?}");
}

/// The tests above try all optimizers and schedules of the firmware.
#[test]
fn every_name_is_tried() {
    let first = |line: &str| line.split(' ').next().unwrap().to_lowercase();
    let tried: Vec<String> = RULES.iter().map(|line| first(line)).collect();
    for rule in ALL_RULES {
        assert!(tried.contains(&rule.to_string()), "{rule}");
    }
    assert_eq!(ALL_RULES.len(), 12);
    with_terminal(|t| {
        t.line("optimizer adamw 0.1");
        let tried: Vec<String> = SCHEDULES
            .iter()
            .map(|line| first(&t.line(&format!("schedule {line}"))[3..]))
            .map(|name| name.trim().to_owned())
            .collect();
        for schedule in ALL_SCHEDULES {
            assert!(tried.contains(&schedule.to_string()), "{schedule}");
        }
    });
    assert_eq!(ALL_SCHEDULES.len(), 11);
}

/// Lines that are refused, and the errors.
const REFUSED: [(&str, &str); 22] = [
    (
        "optimizer newton 1",
        "expected an optimizer that this firmware holds: sgd lbfgs adadelta adagrad adam adamw adamax asgd nadam radam rmsprop rprop",
    ),
    (
        "optimizer adamw 0.1 beta=0.9",
        "expected each option once, of betas=<x>,<x> eps=<x> weight_decay=<x> maximize amsgrad",
    ),
    (
        "optimizer rprop 0.1 maximize maximize",
        "expected each option once, of etas=<x>,<x> step_sizes=<x>,<x> maximize",
    ),
    (
        "optimizer adamw 0.1 betas=0.9",
        "expected a finite number of up to 15 digits in betas=<x>",
    ),
    (
        "optimizer adamw 0.1 betas",
        "expected a finite number of up to 15 digits in betas=<x>",
    ),
    (
        "optimizer adamw 0.1 betas=0.9,0.99,0.5",
        "expected no more values in betas=<x>",
    ),
    (
        "optimizer adamw 0.1 amsgrad=1",
        "expected no more values in amsgrad=<x>",
    ),
    (
        "optimizer adamw 0.1 eps=small",
        "expected a finite number in eps=<x>",
    ),
    (
        "optimizer adamw 0.1 eps=-1",
        "expected eps >= 0, found -1.0",
    ),
    (
        "optimizer sgd 0.1 nesterov",
        "expected momentum > 0 with nesterov, found 0.0",
    ),
    ("optimizer adamw 0", "expected a finite <lr> above 0"),
    (
        "schedule cubic",
        "expected off, or a schedule that this firmware holds: constant cosineannealing cyclic exponential linear multistep onecycle reducelronplateau polynomial step cosineannealingwarmrestarts",
    ),
    (
        "schedule off now",
        "expected off, or a schedule that this firmware holds: constant cosineannealing cyclic exponential linear multistep onecycle reducelronplateau polynomial step cosineannealingwarmrestarts",
    ),
    (
        "schedule step",
        "expected the option step_size=<x>, found none",
    ),
    (
        "schedule step 5",
        "expected each option once, of step_size=<x> gamma=<x>",
    ),
    (
        "schedule step step_size=2.5",
        "expected a whole number in step_size=<x>",
    ),
    (
        "schedule step step_size=-1",
        "expected a whole number in step_size=<x>",
    ),
    (
        "schedule multistep milestones=",
        "expected a whole number in milestones=<x>",
    ),
    (
        "schedule multistep gamma=0.5",
        "expected the option milestones=<x>, found none",
    ),
    (
        "schedule plateau mode=least",
        "expected min or max in mode=<x>",
    ),
    (
        "schedule plateau threshold=0.1,part",
        "expected rel or abs in threshold=<x>",
    ),
    (
        "schedule onecycle max_lr=0.1 total_steps=9 anneal=sine",
        "expected cos or linear in anneal=<x>",
    ),
];

#[test]
fn what_is_refused_changes_nothing() {
    with_terminal(|t| {
        t.line("optimizer rmsprop 0.05 alpha=0.9");
        t.line("schedule exponential gamma=0.95");
        let before = t.line("status");
        assert!(before.contains("\noptimizer rmsprop 0.05:3d4ccccd alpha=0.9\n"));
        assert!(before.contains("\nschedule exponential gamma=0.95\n"));
        for (line, expected) in REFUSED {
            assert_eq!(t.line(line), format!("error: {expected}\n"), "{line}");
            assert_eq!(t.line("status"), before, "{line}");
        }
        assert_eq!(
            t.line("optimizer lbfgs 1"),
            "error: expected no schedule with lbfgs\n"
        );
        assert_eq!(t.line("status"), before);
        t.line("schedule off");
        assert_eq!(t.line("optimizer lbfgs 1"), "ok lbfgs 1.0:3f800000\n");
        assert_eq!(
            t.line("schedule linear"),
            "error: expected no schedule with lbfgs\n"
        );
    });
}

/// A new optimizer does not keep the options of the one before.
#[test]
fn options_are_those_of_the_last_line() {
    with_terminal(|t| {
        t.add_thermometer();
        t.line("optimizer adam 0.05");
        let plain = told(t, 20);
        t.line("optimizer adam 0.05 betas=0.5,0.75 amsgrad");
        let other = told(t, 20);
        assert_ne!(plain, other);
        t.line("optimizer adam 0.05 eps=1e-8");
        assert_eq!(told(t, 20), plain);
        t.line("optimizer adam 0.05");
        assert_eq!(told(t, 20), plain);
        t.line("optimizer   adam\t0.05   betas=0.5,0.75  amsgrad ");
        assert_eq!(told(t, 20), other);
    });
}

/// A board with [`FEW_RULES`], without schedules, and without room for options.
struct Small(HostBoard);

impl Board for Small {
    const NAME: &'static str = "small";
    const PAGES: Range<u32> = HostBoard::PAGES;
    type Flash = SmallFlash;
    const RULES: &'static [Rule] = FEW_RULES;
    const SCHEDULES: &'static [RateSchedule] = &[];

    fn flash(&mut self) -> &mut SmallFlash {
        self.0.flash()
    }
    fn receive(&mut self) -> Option<Result<u8, Damaged>> {
        self.0.receive()
    }
    fn send(&mut self, bytes: &[u8]) {
        self.0.send(bytes);
    }
    fn sense(&mut self) -> Option<f32> {
        None
    }
    fn ticks(&mut self) -> (u64, &'static str) {
        self.0.ticks()
    }
    fn ram(&self) -> Option<Ram> {
        None
    }
}

#[test]
fn a_small_board_says_what_it_holds() {
    let mut memory = Memory::<48, FLOATS, 0>::new();
    let mut calibrator = Calibrator::new(Small(HostBoard::new()), &mut memory);
    let mut answer = |line: &str| {
        for byte in line.bytes().chain([b'\n']) {
            calibrator.take(Ok(byte));
        }
        let sent = std::mem::take(&mut calibrator.board_mut().0.sent);
        String::from_utf8(sent).unwrap().replace("\r\n", "\n")
    };
    for (line, expected) in FEW {
        assert_eq!(answer(line), format!("error: {expected}\n"));
    }
    assert_eq!(answer("optimizer adam 0.05"), "ok adam 0.05:3d4ccccd\n");
    assert_eq!(answer("schedule off"), "ok off\n");
    let status = answer("status");
    assert!(
        status.contains("\nschedule off, expected off: this firmware holds no schedules\n"),
        "{status}"
    );
    for line in host::add_thermometer() {
        answer(&line);
    }
    let mut adam = Adam::<25>::new(0.05);
    let expected = fitted(Curve::Linear, 40, |fit| fit.poll(&mut adam));
    let fitted = answer("fit 40");
    assert!(
        fitted.contains(&format!(" crc={:08x}\n", expected.checksum())),
        "{fitted}"
    );
}
