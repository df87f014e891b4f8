//! Tests of schedules beyond PyTorch's 60 steps in `golden.rs`: long runs, three schedules in a
//! row, sizes of 0, epochs after the end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use baregrad::calibrate::{Curve, Fit, Samples};
use baregrad::optim::schedule::{
    ConstantLr, CosineAnnealingLr, CosineAnnealingWarmRestarts, CyclicLr, ExponentialLr, LambdaLr,
    LinearLr, MultiStepLr, MultiplicativeLr, OneCycleLr, PolynomialLr, Rates, ReduceLrOnPlateau,
    Schedule, Scheduler, StepLr,
};
use baregrad::optim::{Adam, Optimizer, OptimizerError, ParamGroups, Sgd};
use baregrad::{Arena, ErrorKind};

fn rates(schedule: impl Schedule, epochs: usize) -> Vec<f32> {
    let mut sgd = Sgd::new(0.1);
    let mut scheduler = Scheduler::new(schedule, &mut sgd);
    let mut step = |_| {
        let lr = sgd.learning_rate();
        scheduler.step(&mut sgd);
        lr
    };
    (0..epochs).map(&mut step).collect()
}

/// Rates that are computed from the rate before stay within 4 · 2⁻²⁴ of the largest, the bound of
/// the golden files, of their closed forms, over two periods of 10,000 epochs.
#[test]
fn long_runs_stay_exact() {
    const N: usize = 10_000;
    let allowed = 0.1 * 4.0 / f64::from(1 << 24);
    let base = f64::from(0.1_f32);
    let check = |name: &str, found: Vec<f32>, exact: &dyn Fn(f64) -> f64| {
        for (epoch, found) in found.into_iter().enumerate() {
            let exact = exact(epoch as f64);
            let error = (f64::from(found) - exact).abs();
            assert!(
                error <= allowed,
                "{name}, epoch {epoch}: {found} instead of {exact}"
            );
        }
    };
    let n = N as f64;
    let cosine = CosineAnnealingLr::new(N as u32).eta_min(0.001);
    check("cosine", rates(cosine, 4 * N), &|t| {
        0.001 + (base - 0.001) * (1.0 + (core::f64::consts::PI * t / n).cos()) / 2.0
    });
    check(
        "exponential",
        rates(ExponentialLr::new(0.9999), 4 * N),
        &|t| base * 0.9999_f64.powf(t),
    );
    check(
        "linear",
        rates(LinearLr::new(0.001, 1.0, N as u32), 2 * N),
        &|t| base * (0.001 + 0.999 * t.min(n) / n),
    );
    check(
        "polynomial",
        rates(PolynomialLr::new(N as u32, 1.7), 2 * N),
        &|t| base * (1.0 - t.min(n) / n).powf(1.7),
    );
    check("step", rates(StepLr::new(7).gamma(0.999), N), &|t| {
        base * 0.999_f64.powf((t / 7.0).floor())
    });
}

/// Schedules in a row start at milestones counted from the start, each with the base rate and epoch
/// 0, except that multiplying schedules continue from the current rate, as in PyTorch 2.15
/// (`sched_more.json`).
#[test]
fn one_after_another() {
    let three = ConstantLr::new(0.5, 9)
        .then(2, StepLr::new(1).gamma(0.5))
        .then(5, 0.25);
    assert_eq!(rates(three, 7), [0.05, 0.05, 0.1, 0.05, 0.025, 0.25, 0.25]);
    let goes_on = StepLr::new(1)
        .gamma(0.5)
        .then(2, MultiplicativeLr::new(|_| 2.0));
    assert_eq!(rates(goes_on, 5), [0.1, 0.05, 0.1, 0.2, 0.4]);
    // PyTorch 2.15's rates for 0 epochs, alone and behind another schedule.
    let none = || ConstantLr::new(0.5, 0);
    assert_eq!(rates(none(), 3), [0.05, 0.05, 0.05]);
    let behind = StepLr::new(1).gamma(0.5).then(2, none());
    assert_eq!(rates(behind, 4), [0.1, 0.05, 0.1, 0.1]);
    let chained = StepLr::new(1)
        .gamma(0.5)
        .chain(StepLr::new(2).gamma(0.5))
        .chain(ConstantLr::new(0.5, 1));
    assert_eq!(rates(chained, 4), [0.05, 0.05, 0.0125, 0.00625]);
}

/// A function as a schedule gives the rate for epochs from 1, in `LambdaLr` a factor for epochs
/// from 0.
#[test]
fn functions_and_numbers() {
    assert_eq!(rates(0.25, 2), [0.25; 2]);
    assert_eq!(rates(|epoch: u32| epoch as f32, 3), [1.0, 2.0, 3.0]);
    assert_eq!(rates(LambdaLr::new(f64::from), 3), [0.0, 0.1, 0.2]);

    /// A schedule of the caller.
    struct Halves;
    impl Schedule for Halves {
        fn set(&mut self, now: &baregrad::optim::schedule::Now, rates: &mut Rates) {
            if now.epoch > 0 {
                rates.set_learning_rate(rates.learning_rate() / 2.0);
            }
        }
    }
    assert_eq!(rates(Halves.then(2, Halves), 4), [0.1, 0.05, 0.1, 0.05]);
}

/// After its steps a one-cycle schedule keeps its rate; sizes of 0 give finite rates.
#[test]
fn ends_and_zeros() {
    let cycle = rates(OneCycleLr::new(0.5, 10), 14);
    assert!(cycle[9..].iter().all(|lr| *lr == cycle[9]), "{cycle:?}");
    let zeros: [&mut dyn Schedule; 9] = [
        &mut StepLr::new(0),
        &mut MultiStepLr::new(&[]),
        &mut LinearLr::new(0.5, 1.0, 0),
        &mut PolynomialLr::new(0, 1.0),
        &mut CosineAnnealingLr::new(0),
        &mut CosineAnnealingWarmRestarts::new(0).t_mult(0),
        &mut OneCycleLr::new(0.5, 0),
        &mut CyclicLr::new(0.1, 0.5).step_size_up(0),
        &mut ReduceLrOnPlateau::new().patience(0),
    ];
    for (i, schedule) in zeros.into_iter().enumerate() {
        assert!(
            rates(schedule, 20).iter().all(|lr| lr.is_finite()),
            "schedule {i}"
        );
    }
}

/// A schedule has a number for each group, in the order of the parameters, or one for all groups.
/// (`groups.json` compares with PyTorch.)
#[test]
fn numbers_for_groups() {
    fn rates_of(groups: &mut impl Optimizer, schedule: impl Schedule) -> Vec<f32> {
        let mut scheduler = Scheduler::new(schedule, groups);
        scheduler.step(groups);
        let (mut params, grads) = ([0.0; 3], [-1.0; 3]);
        groups.step(&mut params, &grads).unwrap();
        params.to_vec()
    }
    let sgd = || Sgd::new(1.0);
    let cycle = || CyclicLr::per_group([0.0; 3], [0.5, 0.25, 0.125]).step_size_up(1);
    let mut to_the_right = ParamGroups::new(1, sgd(), ParamGroups::new(1, sgd(), sgd()));
    assert_eq!(rates_of(&mut to_the_right, cycle()), [0.5, 0.25, 0.125]);
    let mut to_the_left = ParamGroups::new(2, ParamGroups::new(1, sgd(), sgd()), sgd());
    assert_eq!(rates_of(&mut to_the_left, cycle()), [0.5, 0.25, 0.125]);
    let after_another = LambdaLr::new(|_| 1.0).then(1, cycle().step_size_up(1));
    assert_eq!(rates_of(&mut to_the_left, after_another), [0.0; 3]);
    let factors: [fn(u32) -> f64; 3] = [|_| 0.5, |_| 0.25, |_| 0.125];
    let mut anew = ParamGroups::new(1, sgd(), ParamGroups::new(1, sgd(), sgd()));
    let lambda = LambdaLr::per_group(factors);
    assert_eq!(rates_of(&mut anew, lambda), [0.5, 0.25, 0.125]);

    let momenta = |schedule: &mut dyn Schedule| {
        let adam = || Adam::<1>::new(0.1);
        let mut groups = ParamGroups::new(1, adam(), adam());
        let mut scheduler = Scheduler::new(schedule, &mut groups);
        let mut found = Vec::new();
        for _ in 0..20 {
            scheduler.step(&mut groups);
            for group in [groups.first(), groups.second()] {
                found.push((group.learning_rate(), group.momentum_factor()));
            }
        }
        found
    };
    let once = OneCycleLr::new(0.5, 16).momentum(0.7, 0.9);
    let twice = OneCycleLr::per_group([0.5; 2], 16).momentum_per_group([0.7; 2], [0.9; 2]);
    assert_eq!(momenta(&mut { once }), momenta(&mut { twice }));
    let once = CyclicLr::new(0.1, 0.5).step_size_up(3).momentum(0.7, 0.9);
    let twice = CyclicLr::per_group([0.1; 2], [0.5; 2]).step_size_up(3);
    let twice = twice.momentum_per_group([0.7; 2], [0.9; 2]);
    assert_eq!(momenta(&mut { once }), momenta(&mut { twice }));
}

/// Returns schedules with lists of `G` values, each with its name in errors.
fn lists<const G: usize>() -> Vec<(&'static str, Box<dyn Schedule>)> {
    let half: [fn(u32) -> f64; G] = [|_| 0.5; G];
    vec![
        ("max_lr", Box::new(OneCycleLr::per_group([0.5; G], 10))),
        ("base_lr", Box::new(CyclicLr::per_group([0.1; G], [0.5; G]))),
        ("lr_lambda", Box::new(LambdaLr::per_group(half))),
        ("lr_lambda", Box::new(MultiplicativeLr::per_group(half))),
        ("min_lr", Box::new(ReduceLrOnPlateau::per_group([0.01; G]))),
        (
            "min_lr",
            Box::new(StepLr::new(3).then(4, ReduceLrOnPlateau::per_group([0.01; G]))),
        ),
        (
            "max_lr",
            Box::new(OneCycleLr::per_group([0.5; G], 10).then(4, StepLr::new(3))),
        ),
        (
            "lr_lambda",
            Box::new(StepLr::new(3).chain(LambdaLr::per_group(half))),
        ),
        (
            "max_lr",
            Box::new(OneCycleLr::per_group([0.5; G], 10).chain(StepLr::new(3))),
        ),
    ]
}

/// A list that is longer or shorter than the number of groups, an error in PyTorch ("expected 2
/// values for max_lr, got 3"), gives NaN rates, which optimizers refuse, and `check` has the
/// reason.
#[test]
fn lists_of_another_length_than_the_groups_are_refused() {
    let sgd = || Sgd::new(0.1).momentum::<1>(0.9);
    let two = || ParamGroups::new(1, sgd(), sgd());
    let three = || ParamGroups::new(1, sgd(), two());
    fn refused<O: Optimizer>(
        list: &str,
        [groups, values]: [usize; 2],
        schedule: &mut dyn Schedule,
        mut optimizer: O,
    ) {
        let mut scheduler = Scheduler::new(schedule, &mut optimizer);
        for _ in 0..6 {
            let error = scheduler.check().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "expected {groups} values for {list}, one per group of parameters, found {values}"
                )
            );
            let mut params = vec![1.0; groups];
            let error = optimizer.step(&mut params, &vec![1.0; groups]).unwrap_err();
            assert_eq!(error.to_string(), "expected lr >= 0, found NaN");
            assert_eq!(params, vec![1.0; groups]);
            scheduler.step_with(1.0, &mut optimizer);
        }
    }
    for (list, mut schedule) in lists::<3>() {
        refused(list, [1, 3], &mut *schedule, sgd());
        refused(list, [2, 3], &mut *schedule, two());
        let mut groups = three();
        let scheduler = Scheduler::new(&mut *schedule, &mut groups);
        assert_eq!(scheduler.check(), Ok(()), "{list}");
        assert!(groups.step(&mut [1.0; 3], &[1.0; 3]).is_ok());
    }
    // A list of one is not a number for all groups.
    for (list, mut schedule) in lists::<1>() {
        refused(list, [2, 1], &mut *schedule, two());
        refused(list, [3, 1], &mut *schedule, three());
        assert!(Scheduler::new(&mut *schedule, &mut sgd()).check().is_ok());
    }
    // A list of one momentum applies to all groups.
    let momenta = OneCycleLr::new(0.5, 10).momentum_per_group([0.8], [0.9]);
    assert_eq!(Scheduler::new(momenta, &mut two()).check(), Ok(()));
    let momenta = OneCycleLr::per_group([0.5; 3], 10).momentum_per_group([0.8; 3], [0.9; 3]);
    assert!(Scheduler::new(momenta, &mut two()).check().is_err());
    // Numbers without a list apply to all groups.
    let mut groups = three();
    let all = CyclicLr::new(0.1, 0.5).then(2, OneCycleLr::new(0.5, 10));
    assert_eq!(Scheduler::new(all, &mut groups).check(), Ok(()));
}

/// A fit refuses such a list with the same reason.
#[test]
fn a_fit_refuses_lists_of_another_length() {
    let samples = Samples {
        x: &[-1.0, 0.0, 0.5, 1.0],
        y: &[-3.0, -1.0, 0.0, 1.0],
    };
    let mut arena = Arena::<64, 8>::new();
    let tape = arena.tape();
    let record = |x| Curve::Linear.record(x, &[0.0; 2]);
    let mut fit = Fit::new(&tape, samples, 4, &mut [], record).unwrap();
    let mut sgd = Sgd::new(0.3);
    let schedule = OneCycleLr::per_group([0.5, 0.25], 10);
    let mut scheduler = Scheduler::new(schedule, &mut sgd);
    let error = fit.poll_scheduled(&mut sgd, &mut scheduler).unwrap_err();
    let expected = ErrorKind::Optimizer(OptimizerError::GroupValues {
        list: "max_lr",
        groups: 1,
        values: 2,
    });
    assert_eq!(error.kind, expected);
}
