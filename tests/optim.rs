//! Promises of every optimizer. The comparison with PyTorch's is in
//! `golden.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use baregrad::optim::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Answer, Asgd, Lbfgs, Muon, NAdam, Optimizer,
    OptimizerError, ParamGroups, RAdam, Reason, RmsProp, Rprop, Search, Sgd, Shapes, SparseAdam,
    Stateful, clip_grad_norm, clip_grad_value,
};
use baregrad::random::{fill_normal, seeded};
use baregrad::{Arena, ErrorKind, Shape};

/// Parameters after each gradient, as bits.
fn trajectory(optimizer: &mut dyn Optimizer) -> Vec<Vec<u32>> {
    let mut rng = seeded(20);
    let mut params = [0.6, 0.3, -1.9, 0.9, -0.2];
    let mut step = |_| {
        let mut grads = [0.0; 5];
        fill_normal(&mut rng, 0.0, 1.0, &mut grads).unwrap();
        optimizer.step(&mut params, &grads).unwrap();
        params.iter().map(|p| p.to_bits()).collect()
    };
    (0..20).map(&mut step).collect()
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

/// And slices are zeroed before.
#[test]
fn slices_as_inline() {
    let (mut a, mut b) = ([f32::NAN; 10], [7.0; 15]);
    let sgd = Sgd::new(0.05).dampening(0.1).weight_decay(0.01);
    assert_eq!(
        trajectory(&mut sgd.clone().momentum::<5>(0.9)),
        trajectory(&mut sgd.momentum_with_state(0.9, &mut a)),
    );
    let adam = Adam::<5>::new(0.02);
    assert_eq!(
        trajectory(&mut adam.clone()),
        trajectory(&mut Adam::with_state(0.02, &mut a)),
    );
    assert_eq!(
        trajectory(&mut adam.amsgrad()),
        trajectory(&mut Adam::with_state(0.02, &mut b).amsgrad()),
    );
    let error = Adam::with_state(0.02, &mut a[..9]).step(&mut [0.0; 5], &[0.0; 5]);
    assert_eq!(
        error,
        Err(OptimizerError::StateSize {
            state: 4,
            params: 5
        })
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
    check(AdamW::<5>::new(0.1), true);
    check(NAdam::<5>::new(0.1), true);
    check(RAdam::<5>::new(0.1), true);
    check(Adamax::<5>::new(0.1), true);
    check(RmsProp::<5>::new(0.1), true);
    check(RmsProp::<5>::new(0.1).centered().momentum(0.5), true);
    check(Adagrad::<5>::new(0.1), true);
    check(Adadelta::<5>::new(0.1), true);
    check(Asgd::<5>::new(0.1), true);
    check(Rprop::<5>::new(0.1), true);
}

/// The memory that each takes, and that reset forgets all steps, of all in one list.
#[test]
fn every_optimizer_in_a_slice_as_inline() {
    macro_rules! check {
        ($($optimizer:ident $(. $option:ident($($argument:expr)?))*: $buffers:literal),* $(,)?) => {$({
            let mut memory = [f32::NAN; 5 * $buffers];
            let mut inline = $optimizer::<5>::new(0.1)$(.$option($($argument)?))*;
            let first = trajectory(&mut inline);
            let mut lent = $optimizer::with_state(0.1, &mut memory)$(.$option($($argument)?))*;
            assert_eq!(trajectory(&mut lent), first, stringify!($optimizer));
            // Rprop's signs may agree by chance, so that it is not compared again.
            inline.reset();
            assert_eq!(trajectory(&mut inline), first, stringify!($optimizer));
            let error = $optimizer::with_state(0.1, &mut [0.0; 5 * $buffers - 1])
                $(.$option($($argument)?))*
                .step(&mut [0.0; 5], &[0.0; 5]);
            let refused = OptimizerError::StateSize { state: 4, params: 5 };
            assert_eq!(error, Err(refused), stringify!($optimizer));
            // It does descend, and with `lr` 0 stays where it is.
            let mut descending = $optimizer::<5>::new(0.1)$(.$option($($argument)?))*;
            let mut params = [1.0; 5];
            for _ in 0..10 {
                let grads = params.map(|p: f32| 2.0 * p);
                descending.step(&mut params, &grads).unwrap();
            }
            assert!(params.iter().all(|p| *p < 1.0), "{} {params:?}", stringify!($optimizer));
            let still = params;
            let mut still_one = $optimizer::<5>::new(0.0)$(.$option($($argument)?))*;
            still_one.step(&mut params, &[1.0; 5]).unwrap();
            if !stringify!($optimizer).contains("Rprop") {
                assert_eq!(params, still, stringify!($optimizer));
            }
            // NaN shows and stays, but where signs are all that counts: NaN has none.
            let mut poisoned = $optimizer::<2>::new(0.1)$(.$option($($argument)?))*;
            let mut params = [1.0, 1.0];
            poisoned.step(&mut params, &[f32::NAN, 1.0]).unwrap();
            poisoned.step(&mut params, &[1.0, 1.0]).unwrap();
            let shows = params[0].is_nan() || stringify!($optimizer) == "Rprop";
            assert!(shows && params[1] < 1.0, "{} {params:?}", stringify!($optimizer));
        })*};
    }
    check!(
        Adam: 2,
        Adam.amsgrad(): 3,
        AdamW: 2,
        AdamW.amsgrad(): 3,
        NAdam: 2,
        RAdam: 2,
        Adamax: 2,
        RmsProp: 1,
        RmsProp.centered(): 2,
        RmsProp.momentum(0.9): 2,
        RmsProp.momentum(0.9).centered(): 3,
        RmsProp.centered().momentum(0.9): 3,
        Adagrad: 1,
        Adadelta: 2,
        Asgd: 1,
        Rprop: 2,
    );
}

/// PyTorch refuses these with a `ValueError`.
#[test]
fn other_hyper_parameters_out_of_range() {
    fn refuses(mut optimizer: impl Optimizer, message: &str) {
        let mut params = [1.0];
        let error = optimizer.step(&mut params, &[1.0]).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(params, [1.0]);
    }
    refuses(AdamW::<1>::new(-1.0), "expected lr >= 0, found -1");
    refuses(
        AdamW::<1>::new(0.1).eps(-1.0),
        "expected eps >= 0, found -1",
    );
    refuses(
        AdamW::<1>::new(0.1).weight_decay(-1.0),
        "expected weight_decay >= 0, found -1",
    );
    refuses(
        AdamW::<1>::new(0.1).betas(1.0, 0.9),
        "expected 0 <= beta1 < 1, found 1",
    );
    refuses(NAdam::<1>::new(f32::NAN), "expected lr >= 0, found NaN");
    refuses(
        NAdam::<1>::new(0.1).betas(1.0, 0.9),
        "expected 0 <= beta1 < 1, found 1",
    );
    refuses(
        NAdam::<1>::new(0.1).betas(0.9, -1.0),
        "expected 0 <= beta2 < 1, found -1",
    );
    refuses(
        NAdam::<1>::new(0.1).eps(-1.0),
        "expected eps >= 0, found -1",
    );
    assert!(
        NAdam::<1>::new(0.1)
            .momentum_decay(-1.0)
            .step(&mut [1.0], &[1.0])
            .is_err()
    );
    assert!(
        NAdam::<1>::new(0.1)
            .momentum_decay(0.0)
            .step(&mut [1.0], &[1.0])
            .is_ok()
    );
    refuses(
        RAdam::<1>::new(0.1).betas(0.9, 1.0),
        "expected 0 <= beta2 < 1, found 1",
    );
    refuses(
        RAdam::<1>::new(0.1).weight_decay(-1.0),
        "expected weight_decay >= 0, found -1",
    );
    refuses(
        Adamax::<1>::new(0.1).betas(0.9, 1.5),
        "expected 0 <= beta2 < 1, found 1.5",
    );
    refuses(
        Adamax::<1>::new(0.1).eps(f32::NAN),
        "expected eps >= 0, found NaN",
    );
    refuses(
        RmsProp::<1>::new(0.1).alpha(-0.5),
        "expected alpha >= 0, found -0.5",
    );
    refuses(
        RmsProp::<1>::new(0.1).momentum(-0.5),
        "expected momentum >= 0, found -0.5",
    );
    refuses(
        Adagrad::<1>::new(0.1).lr_decay(-0.5),
        "expected lr_decay >= 0, found -0.5",
    );
    refuses(
        Adagrad::<1>::new(0.1).initial_accumulator_value(-0.5),
        "expected initial_accumulator_value >= 0, found -0.5",
    );
    refuses(
        Adadelta::<1>::new(0.1).rho(1.5),
        "expected 0 <= rho <= 1, found 1.5",
    );
    refuses(
        Adadelta::<1>::new(0.1).eps(-1.0),
        "expected eps >= 0, found -1",
    );
    refuses(Asgd::<1>::new(-1.0), "expected lr >= 0, found -1");
    refuses(
        Asgd::<1>::new(0.1).weight_decay(-1.0),
        "expected weight_decay >= 0, found -1",
    );
    refuses(
        Rprop::<1>::new(0.1).etas(1.0, 1.2),
        "expected 0 < etaminus < 1, found 1",
    );
    refuses(
        Rprop::<1>::new(0.1).etas(0.5, 1.0),
        "expected etaplus > 1, found 1",
    );
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
    let corrected = adam().betas(1.0, 0.9).betas(0.9, 0.99).eps(-1.0).eps(0.0);
    assert!(corrected.clone().step(&mut [1.0], &[1.0]).is_ok());
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

/// Every hyper-parameter at NaN, infinities, negative numbers, and what rounds to 0, to
/// 1 or to infinity where it is kept. Refused is what `torch.optim` of PyTorch 2.15
/// refuses, and beyond that what no `f32` can say and NaN.
#[test]
fn hyper_parameters_at_the_ends() {
    fn refused(mut optimizer: impl Optimizer) -> bool {
        let mut params = [1.0];
        let outcome = optimizer.step(&mut params, &[0.5]);
        assert!(outcome.is_ok() || params == [1.0]);
        outcome.is_err()
    }
    const INF: f32 = f32::INFINITY;
    const NAN: f32 = f32::NAN;
    let heavy = || Sgd::new(0.1).momentum::<1>(0.9);
    let adam = || Adam::<1>::new(0.1);
    // The least negative and the least positive numbers.
    for (x, expected) in [
        (NAN, true),
        (-INF, true),
        (-1.0, true),
        (-1e-45, true),
        (-0.0, false),
        (0.0, false),
        (1e-45, false),
        (3e38, false),
        (INF, false),
    ] {
        assert_eq!(refused(Sgd::new(x)), expected, "lr {x}");
        assert_eq!(refused(Sgd::new(x).momentum::<1>(0.9)), expected, "lr {x}");
        assert_eq!(
            refused(Sgd::new(0.1).momentum::<1>(x)),
            expected,
            "momentum {x}"
        );
        assert_eq!(
            refused(Sgd::new(0.1).weight_decay(x)),
            expected,
            "weight_decay {x}"
        );
        assert_eq!(
            refused(heavy().weight_decay(x)),
            expected,
            "weight_decay {x}"
        );
        assert_eq!(refused(Adam::<1>::new(x)), expected, "Adam's lr {x}");
        assert_eq!(refused(adam().eps(x)), expected, "eps {x}");
        assert_eq!(
            refused(adam().amsgrad().weight_decay(x)),
            expected,
            "weight_decay {x}"
        );
        let mut later = [Sgd::new(0.1), Sgd::new(0.1).maximize()];
        later.iter_mut().for_each(|sgd| sgd.set_learning_rate(x));
        assert!(
            later.into_iter().all(|sgd| refused(sgd) == expected),
            "later {x}"
        );
        let mut later = adam();
        later.set_learning_rate(x);
        assert_eq!(refused(later), expected, "Adam's later lr {x}");
    }
    for (beta, expected) in [
        (f64::NAN, true),
        (f64::INFINITY, true),
        (f64::NEG_INFINITY, true),
        (-1e-300, true),
        (-0.0, false),
        (1e-300, false),
        (1.0 - f64::EPSILON / 2.0, false),
        (1.0, true),
        (1.0 + f64::EPSILON, true),
    ] {
        assert_eq!(
            refused(adam().betas(beta, 0.999)),
            expected,
            "beta1 {beta:e}"
        );
        assert_eq!(refused(adam().betas(0.9, beta)), expected, "beta2 {beta:e}");
    }
    // PyTorch accepts any dampening, but with Nesterov's momentum only 0.
    for (dampening, expected) in [
        (f64::NAN, true),
        (f64::INFINITY, true),
        (f64::NEG_INFINITY, true),
        (1e300, true),
        (-1e39, true),
        (-0.5, false),
        (2.0, false),
        (1.0, false),
        (1e-9, false),
        (-1e-9, false),
        (1e-300, false),
        (5e-324, false),
        (-0.0, false),
    ] {
        assert_eq!(
            refused(heavy().dampening(dampening)),
            expected,
            "{dampening:e}"
        );
        let without = Sgd::new(0.1).dampening(dampening);
        assert_eq!(refused(without), expected, "{dampening:e} without momentum");
        for nesterov in [
            heavy().dampening(dampening).nesterov(),
            heavy().nesterov().dampening(dampening),
        ] {
            assert_eq!(
                refused(nesterov),
                dampening != 0.0,
                "{dampening:e} with nesterov"
            );
        }
    }
    let mut tiny = heavy().dampening(1e-9).nesterov();
    let error = tiny.step(&mut [1.0], &[0.5]).unwrap_err().to_string();
    assert_eq!(
        error,
        "expected dampening = 0 with nesterov, found 0.000000001"
    );
    // The last one counts.
    assert!(!refused(
        heavy().dampening(f64::NAN).dampening(0.0).nesterov()
    ));
    // A weight of 1 - 1e-9 is 1 in `f32`, in PyTorch as well.
    assert_eq!(
        trajectory(&mut Sgd::new(0.05).momentum::<5>(0.9).dampening(1e-9)),
        trajectory(&mut Sgd::new(0.05).momentum::<5>(0.9)),
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
    // Adam: six scalars, two powers and two rates of 8 bytes each, a function pointer.
    assert!(size_of::<Sgd>() <= 32 && size_of::<Adam<0>>() <= 72);
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

/// A hyper-parameter that is set between steps counts from the next step on.
#[test]
fn sgd_is_changed_after_steps() {
    let stepped = |sgd: Sgd| {
        let mut sgd = sgd;
        sgd.step(&mut [1.0], &[0.0]).unwrap();
        sgd
    };
    let after = |mut sgd: Sgd| {
        let mut params = [1.0];
        sgd.step(&mut params, &[0.5]).map(|()| params[0])
    };
    assert_eq!(after(stepped(Sgd::new(0.1))).unwrap(), 0.95);
    assert_eq!(after(stepped(Sgd::new(0.1)).maximize()).unwrap(), 1.05);
    assert_eq!(
        after(stepped(Sgd::new(0.5)).weight_decay(0.5)).unwrap(),
        0.5
    );
    assert!(after(stepped(Sgd::new(0.1)).nesterov()).is_err());
    assert!(after(stepped(Sgd::new(0.1)).weight_decay(-1.0)).is_err());
    let mut slower = stepped(Sgd::new(0.1));
    slower.set_learning_rate(-1.0);
    assert!(after(slower).is_err());
}

/// There may be fewer parameters than there is room for: they end with the same bits as
/// with state that fits, and the rest of the state stays 0.
#[test]
fn room_for_more() {
    fn spare(optimizer: &mut impl Stateful) -> Vec<f32> {
        let mut all = Vec::new();
        let mut keep =
            |_, numbers: &mut [f32]| all.extend_from_slice(numbers.get(5..).unwrap_or(&[]));
        optimizer.visit_state(40, &mut keep).unwrap();
        all
    }
    let mut memory = [f32::NAN; 129];
    let mut adam = Adam::<40>::new(0.02).amsgrad();
    let fits = trajectory(&mut Adam::<5>::new(0.02).amsgrad());
    assert_eq!(trajectory(&mut adam), fits);
    assert_eq!(spare(&mut adam), [0.0; 105]);
    let mut lent = Adam::with_state(0.02, &mut memory).amsgrad();
    assert_eq!(trajectory(&mut lent), fits);
    assert_eq!(spare(&mut lent), [0.0; 105]);
    let mut sgd = Sgd::new(0.1).momentum::<40>(0.9);
    let fits = trajectory(&mut Sgd::new(0.1).momentum::<5>(0.9));
    assert_eq!(trajectory(&mut sgd), fits);
    assert_eq!(spare(&mut sgd), [0.0; 35]);

    // In vectors, and too long a parameter list is still refused.
    let (mut long, mut exact) = ([0.5; 67], [0.5; 67]);
    for _ in 0..3 {
        Adam::<100>::new(0.1).step(&mut long, &[0.25; 67]).unwrap();
        Adam::<67>::new(0.1).step(&mut exact, &[0.25; 67]).unwrap();
    }
    assert_eq!(long, exact);
    let error = Adam::<66>::new(0.1)
        .step(&mut long, &[0.25; 67])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected at most 66 parameters, for which the state has room, found 67: make it for 67"
    );
}

/// Everything that [`Stateful`] shows.
type Kept = Vec<(&'static str, Vec<f32>)>;

fn keep(optimizer: &mut impl Stateful, params: usize) -> Kept {
    let mut kept = Kept::new();
    optimizer
        .visit_state(params, &mut |name, numbers| {
            kept.push((name, numbers.to_vec()))
        })
        .unwrap();
    kept
}

fn restore(optimizer: &mut impl Stateful, params: usize, kept: &Kept) {
    let mut parts = kept.iter();
    optimizer
        .visit_state(params, &mut |name, numbers| {
            let (kept_name, kept) = parts.next().unwrap();
            assert_eq!(*kept_name, name);
            numbers.copy_from_slice(kept);
        })
        .unwrap();
    assert!(parts.next().is_none());
}

/// Stopped after any epoch, kept, and restored into a new optimizer whose memory is
/// elsewhere, training goes on to the same bits.
#[test]
fn resumed_after_any_epoch() {
    const EPOCHS: usize = 60;
    fn epoch(optimizer: &mut impl Optimizer, params: &mut [f32], epoch: usize) {
        let grads: Vec<f32> = params
            .iter()
            .enumerate()
            .map(|(i, p)| (p - i as f32) * (1.0 + ((epoch * 7 + i) % 5) as f32))
            .collect();
        optimizer.step(params, &grads).unwrap();
    }
    fn check<O: Optimizer + Stateful, R: Optimizer + Stateful>(
        mut new: impl FnMut() -> O,
        mut other: impl FnMut() -> R,
    ) {
        for n in [3, 19] {
            let mut through = new();
            let mut params = vec![0.25_f32; n];
            let mut kept = vec![(keep(&mut through, n), params.clone())];
            for e in 0..EPOCHS {
                through.set_learning_rate(0.02 / (1 + e) as f32);
                epoch(&mut through, &mut params, e);
                kept.push((keep(&mut through, n), params.clone()));
            }
            for (stopped, (state, then)) in kept.iter().enumerate() {
                let mut resumed = other();
                restore(&mut resumed, n, state);
                let mut again = then.clone();
                for (e, (state, _)) in kept.iter().enumerate().take(EPOCHS).skip(stopped) {
                    assert_eq!(keep(&mut resumed, n), *state, "epoch {e}");
                    resumed.set_learning_rate(0.02 / (1 + e) as f32);
                    epoch(&mut resumed, &mut again, e);
                }
                assert_eq!(again, params, "resumed after epoch {stopped}");
            }
            let names: std::collections::BTreeSet<_> =
                kept[0].0.iter().map(|kept| kept.0).collect();
            assert_eq!(names.len(), kept[0].0.len(), "names differ");
        }
    }
    let heavy = || Sgd::new(0.1).dampening(0.1);
    check(
        || heavy().momentum::<19>(0.9),
        || heavy().momentum::<30>(0.9),
    );
    check(|| Adam::<19>::new(0.1), || Adam::<30>::new(0.2));
    check(
        || Adam::<19>::new(0.1).amsgrad(),
        || Adam::<30>::new(0.2).amsgrad(),
    );
    #[cfg(feature = "std")]
    {
        check(
            || Sgd::new(0.1).momentum_on_heap(0.9, 19),
            || Sgd::new(0.1).momentum::<19>(0.9),
        );
        check(|| Adam::<19>::new(0.1), || Adam::on_heap(0.2, 19));
        check(
            || Adam::on_heap(0.1, 19).amsgrad(),
            || Adam::<20>::new(0.2).amsgrad(),
        );
    }
}

/// No room, nothing shown.
#[test]
fn state_of_too_many_parameters() {
    let error = Adam::<5>::new(0.1).visit_state(6, &mut |name, _| panic!("{name}"));
    assert_eq!(
        error,
        Err(OptimizerError::StateSize {
            state: 5,
            params: 6
        })
    );
}

/// Powers that bias corrections are made of survive being kept in `f32`s, at every step
/// until nothing is left of them.
#[test]
fn powers_are_kept_whole() {
    let (mut adam, mut again) = (Adam::<1>::new(0.1), Adam::<1>::new(0.1));
    let [mut p, mut q] = [[1.0], [1.0]];
    for step in 0..2000 {
        let grads = [((step * 37) % 11) as f32 - 5.0];
        adam.step(&mut p, &grads).unwrap();
        again.step(&mut q, &grads).unwrap();
        let kept = keep(&mut again, 1);
        again = Adam::new(0.7);
        restore(&mut again, 1, &kept);
        assert_eq!(p, q, "step {step}");
    }
}

/// The banana function of H. H. Rosenbrock, least at (1, 1).
fn rosenbrock(p: &[f32]) -> (f32, [f32; 2]) {
    let [x, y] = [p[0], p[1]];
    let residual = y - x * x;
    let loss = (1.0 - x) * (1.0 - x) + 100.0 * (residual * residual);
    let grads = [-2.0 * (1.0 - x) - 400.0 * residual * x, 200.0 * residual];
    (loss, grads)
}

/// Tells a search of the banana function, so many times: parameters, and all answers.
fn tell(search: &mut impl Search, params: &mut [f32], times: usize) -> Vec<Answer> {
    (0..times)
        .map(|_| {
            let (loss, grads) = rosenbrock(params);
            search.tell(params, loss, &grads).unwrap()
        })
        .collect()
}

/// Kept after any evaluation, also in the middle of a line search, and restored into a new
/// search, it goes on to the same bits.
#[test]
fn search_resumed_after_any_evaluation() {
    const TIMES: usize = 70;
    fn check<A: Search + Stateful, B: Search + Stateful>(new: fn() -> A, other: fn() -> B) {
        let start = [-1.5, 2.0];
        let mut through = start;
        tell(&mut new(), &mut through, TIMES);
        for stopped in 0..TIMES {
            let (mut first, mut params) = (new(), start);
            tell(&mut first, &mut params, stopped);
            let mut resumed = other();
            restore(&mut resumed, 2, &keep(&mut first, 2));
            tell(&mut resumed, &mut params, TIMES - stopped);
            assert_eq!(params, through, "after {stopped}");
        }
    }
    check(
        || Lbfgs::<2, 3>::new(1.0).strong_wolfe(),
        || Lbfgs::<5, 3>::new(0.5).strong_wolfe(),
    );
    check(|| Lbfgs::<2, 3>::new(0.2), || Lbfgs::<2, 3>::new(0.5));
    #[cfg(feature = "std")]
    check(
        || Lbfgs::on_heap(1.0, 3, 6).strong_wolfe(),
        || Lbfgs::<2, 6>::new(0.5).strong_wolfe(),
    );
}

#[test]
fn search_with_state_anywhere() {
    let mut memory = [f32::NAN; 17 * 2 + 12];
    let (mut inline, mut lent) = ([-1.5, 2.0], [-1.5, 2.0]);
    let answers = tell(&mut Lbfgs::<9, 6>::new(1.0).strong_wolfe(), &mut inline, 60);
    let mut search = Lbfgs::with_state(1.0, 6, &mut memory).strong_wolfe();
    assert_eq!(tell(&mut search, &mut lent, 60), answers);
    assert_eq!(inline, lent);
    assert!((inline[0] - 1.0).abs() < 1e-3 && (inline[1] - 1.0).abs() < 1e-3);
    let error = Lbfgs::with_state(1.0, 6, &mut memory[1..]).tell(&mut lent, 0.0, &[1.0, 0.0]);
    let refused = OptimizerError::StateSize {
        state: 1,
        params: 2,
    };
    assert_eq!(error, Err(refused));
}

#[test]
fn search_says_why_it_ends() {
    let tell = |search: Lbfgs<1, 4>, start: f32, slope: f32| {
        let (mut search, mut params) = (search, [start]);
        loop {
            let [x] = params;
            let answer = search.tell(&mut params, x * x + slope * x, &[2.0 * x + slope]);
            if let Answer::Found(reason) = answer.unwrap() {
                return (reason, params[0]);
            }
        }
    };
    let search = || Lbfgs::<1, 4>::new(1.0);
    assert_eq!(tell(search(), 0.0, 0.0), (Reason::FlatGradient, 0.0));
    assert_eq!(tell(search().max_iter(1), 5.0, 0.0).0, Reason::Iterations);
    assert_eq!(
        tell(Lbfgs::new(1e-3).max_eval(3), 5.0, 0.0).0,
        Reason::Evaluations
    );
    let cautious = search().tolerance_change(1e3);
    assert_eq!(tell(cautious, 5.0, 0.0), (Reason::NoChange, 5.0));
    assert_eq!(tell(search(), 5.0, 0.5), (Reason::FlatGradient, -0.25));
    // Upside down.
    let mut params = [0.25];
    let mut climbing = search().maximize().strong_wolfe();
    while let Answer::Ask = {
        let [x] = params;
        climbing
            .tell(&mut params, 1.0 - x * x, &[-2.0 * x])
            .unwrap()
    } {}
    assert!(params[0].abs() < 1e-6, "{params:?}");

    let refuses = |mut search: Lbfgs<1, 4>, message: &str| {
        let mut params = [1.0];
        let error = search.tell(&mut params, 1.0, &[1.0]).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(params, [1.0]);
    };
    refuses(Lbfgs::new(-1.0), "expected lr >= 0, found -1");
    refuses(search().max_iter(0), "expected max_iter >= 1, found 0");
    refuses(
        search().tolerance_grad(f32::NAN),
        "expected tolerance_grad >= 0, found NaN",
    );
    refuses(
        search().tolerance_change(-1.0),
        "expected tolerance_change >= 0, found -1",
    );
}

/// A search and the tape's `minimize` are the same evaluations, and leave results that are
/// up to date.
#[test]
fn minimize_on_a_tape() {
    let mut arena = Arena::<64, 24>::new();
    let tape = arena.tape();
    let p = [tape.param(&[-1.5], []), tape.param(&[2.0], [])];
    let residual = p[1] - p[0] * p[0];
    let loss = (1.0 - p[0]).square() + 100.0 * residual.square();
    let mut search = Lbfgs::<2, 8>::new(1.0).strong_wolfe();
    let mut evaluations = 0;
    loop {
        let found = tape.minimize(loss, &mut search).unwrap();
        evaluations += found.evaluations;
        let [x, y] = p.map(|p| p.item().unwrap());
        assert_eq!(loss.item().unwrap(), rosenbrock(&[x, y]).0);
        if !matches!(found.reason, Reason::Iterations | Reason::Evaluations) {
            assert!((x - 1.0).abs() < 1e-3 && (y - 1.0).abs() < 1e-3, "{x} {y}");
            break;
        }
    }
    assert!(evaluations < 60, "{evaluations}");
    assert_eq!(search.evaluations(), evaluations);
    // A search that refuses leaves the tape usable.
    let error = tape
        .minimize(loss, &mut Lbfgs::<1, 8>::new(1.0))
        .unwrap_err();
    assert!(error.to_string().contains("has room"), "{error}");
    tape.replay().unwrap();
    tape.backward(loss).unwrap();
}

/// Each group is what its optimizer alone makes of its part, and a schedule scales all.
#[test]
fn groups_are_their_parts() {
    let new = || {
        let rest = ParamGroups::new(2, Adam::<2>::new(0.02), Sgd::new(0.3).momentum::<9>(0.5));
        ParamGroups::new(1, AdamW::<1>::new(0.1), rest)
    };
    let (mut groups, mut adam_w) = (new(), AdamW::<1>::new(0.1));
    let (mut adam, mut sgd) = (Adam::<2>::new(0.02), Sgd::new(0.3).momentum::<2>(0.5));
    let [mut together, mut apart] = [[0.5, -1.0, 2.0, 0.25, 3.0]; 2];
    let mut kept = Vec::new();
    for step in 0..12 {
        if step == 6 {
            groups.set_learning_rate(0.05);
            adam_w.set_learning_rate(0.05);
            adam.set_learning_rate(0.01);
            sgd.set_learning_rate(0.15);
            kept.push((keep(&mut groups, 5), together));
        }
        let grads = together.map(|p| p + step as f32);
        groups.step(&mut together, &grads).unwrap();
        adam_w.step(&mut apart[..1], &grads[..1]).unwrap();
        adam.step(&mut apart[1..3], &grads[1..3]).unwrap();
        sgd.step(&mut apart[3..], &grads[3..]).unwrap();
        for (a, b) in together.iter().zip(&apart) {
            assert!((a - b).abs() < 1e-6, "step {step}: {together:?} {apart:?}");
        }
    }
    // β₁ of the first, as PyTorch's schedules have it; the last has a momentum.
    assert_eq!(groups.momentum_factor(), Some(0.9));
    assert_eq!(groups.second().second().momentum_factor(), Some(0.5));
    let mut resumed = new();
    let (state, mut again) = kept.remove(0);
    restore(&mut resumed, 5, &state);
    for step in 6..12 {
        let grads = again.map(|p| p + step as f32);
        resumed.step(&mut again, &grads).unwrap();
    }
    assert_eq!(again, together);
    let error = groups.step(&mut together, &[0.0; 4]).unwrap_err();
    assert_eq!(
        error,
        OptimizerError::GradientCount {
            params: 5,
            grads: 4
        }
    );
    assert!(
        groups
            .visit_state(13, &mut |name, _| panic!("{name}"))
            .is_err()
    );
}

/// As `torch.nn.utils.clip_grad_norm_` and `clip_grad_value_`; what is hard about it is
/// tested next to `train::Clip`, which calls the same.
#[test]
fn gradients_are_clipped() {
    let mut arena = Arena::<64, 24>::new();
    let tape = arena.tape();
    let [x, y] = [tape.param(&[3.0], []), tape.param(&[-4.0], [])];
    let loss = 0.5 * (x.square() + y.square());
    let clipped = |clip: &dyn Fn()| {
        tape.zero_grad();
        tape.backward(loss).unwrap();
        clip();
        [x.grad().unwrap()[0], y.grad().unwrap()[0]]
    };
    let [a, b] = clipped(&|| assert_eq!(tape.clip_grad_norm(1.0).unwrap(), 5.0));
    assert!((a - 0.6).abs() < 1e-6 && (b + 0.8).abs() < 1e-6, "{a} {b}");
    let unchanged = clipped(&|| assert_eq!(tape.clip_grad_norm(6.0).unwrap(), 5.0));
    assert_eq!(unchanged, [3.0, -4.0]);
    let values = clipped(&|| tape.clip_grad_value(3.5).unwrap());
    assert_eq!(values, [3.0, -3.5]);
    tape.zero_grad();
    assert!(tape.clip_grad_norm(1.0).is_err());

    let mut huge = [3e38; 4];
    assert_eq!(clip_grad_norm(&mut huge, 2.0), f32::INFINITY);
    assert!(huge.iter().all(|g| (g - 1.0).abs() < 1e-6), "{huge:?}");
    let mut none: [f32; 0] = [];
    assert_eq!(clip_grad_norm(&mut none, 1.0), 0.0);
    let mut values = [f32::NAN, f32::INFINITY, -0.5];
    clip_grad_value(&mut values, 1.0);
    assert!(values[0].is_nan() && values[1..] == [1.0, -0.5]);
}

/// Against PyTorch's formula (`torch/optim/_functional.py`, `sparse_adam`), evaluated in
/// `f64`: moments of parameters without a gradient stay as they are, yet all steps count.
#[test]
fn sparse_adam_is_its_formula() {
    let (lr, beta1, beta2, eps) = (0.1, 0.8_f64, 0.99_f64, 1e-6);
    let mut adam = SparseAdam::<9>::new(lr as f32)
        .betas(beta1, beta2)
        .eps(eps as f32);
    let mut params = [0.5, -1.0, 2.0, 0.25, 3.0];
    let mut exact = params.map(f64::from);
    let [mut m, mut v] = [[0.0; 5]; 2];
    let mut rng = seeded(9);
    for step in 1..=40_i32 {
        let indices: Vec<usize> = (0..5)
            .filter(|i| !(step as usize * 7 + i * i).is_multiple_of(3))
            .collect();
        let mut values = vec![0.0; indices.len()];
        fill_normal(&mut rng, 0.0, 1.0, &mut values).unwrap();
        let before = params;
        adam.step_sparse(&mut params, &indices, &values).unwrap();
        let size = lr * (1.0 - beta2.powi(step)).sqrt() / (1.0 - beta1.powi(step));
        for (&i, &g) in indices.iter().zip(&values) {
            let g = f64::from(g);
            m[i] += (g - m[i]) * (1.0 - beta1);
            v[i] += (g * g - v[i]) * (1.0 - beta2);
            exact[i] -= size * m[i] / (v[i].sqrt() + eps);
        }
        for i in 0..5 {
            assert!(
                (f64::from(params[i]) - exact[i]).abs() < 3e-6,
                "step {step}, {i}"
            );
            assert!(indices.contains(&i) || params[i] == before[i]);
        }
    }

    let mut refused = adam.clone();
    let before = params;
    for (indices, values, message) in [
        (
            vec![1, 1],
            vec![1.0; 2],
            "expected increasing indices of parameters, found 1",
        ),
        (
            vec![3, 2],
            vec![1.0; 2],
            "expected increasing indices of parameters, found 2",
        ),
        (
            vec![5],
            vec![1.0],
            "expected increasing indices of parameters, found 5",
        ),
        (
            vec![0, 1],
            vec![1.0],
            "expected 2 gradients, one per parameter, found 1",
        ),
    ] {
        let error = refused
            .step_sparse(&mut params, &indices, &values)
            .unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let mut small = SparseAdam::<4>::new(0.1);
    assert!(small.step_sparse(&mut params, &[0], &[1.0]).is_err());
    assert!(
        SparseAdam::<9>::new(0.0)
            .step_sparse(&mut params, &[0], &[1.0])
            .is_err()
    );
    assert!(
        SparseAdam::<9>::new(0.1)
            .eps(0.0)
            .step_sparse(&mut params, &[0], &[1.0])
            .is_err()
    );
    assert_eq!(params, before);
    // As if nothing had happened; and dense gradients are those with all indices.
    let mut dense = params;
    adam.step_sparse(&mut params, &[0, 1, 2, 3, 4], &[0.5; 5])
        .unwrap();
    refused.step(&mut dense, &[0.5; 5]).unwrap();
    assert_eq!(params, dense);
}

/// Every optimizer of the list is held to these, so that a new one needs no line here: the
/// same bits inline, in a slice and resumed, `reset`, and refusals that change nothing.
#[test]
fn every_optimizer_of_the_list() {
    const N: usize = 27;
    let shapes = [[3, 4], [2, 5], [1, 5]].map(Shape::from);
    fn steps(optimizer: &mut dyn Optimizer, params: &mut [f32], seeds: std::ops::Range<u64>) {
        for seed in seeds {
            let mut grads = [0.0; N];
            fill_normal(&mut seeded(seed), 0.0, 1.0, &mut grads).unwrap();
            optimizer.step(params, &grads).unwrap();
        }
    }
    macro_rules! told {
        ($optimizer:expr, shapes $($option:ident)*) => {
            $optimizer.shapes(&shapes)
        };
        ($optimizer:expr, $($option:ident)*) => {
            $optimizer
        };
    }
    macro_rules! check {
        ($($name:ident = $torch:literal [$($option:ident $values:tt)*];)*) => {$({
            let new = || told!(baregrad::optim::$name::<N>::new(0.1), $($option)*);
            let (mut inline, mut params) = (new(), [0.5; N]);
            steps(&mut inline, &mut params, 0..3);
            let (kept, halfway) = (keep(&mut inline, N), params);
            steps(&mut inline, &mut params, 3..6);
            assert!(params.iter().all(|p| p.is_finite() && *p != 0.5), $torch);

            let (mut memory, mut other) = ([f32::NAN; 4 * N + 3], halfway);
            let mut lent = told!(baregrad::optim::$name::with_state(0.7, &mut memory), $($option)*);
            restore(&mut lent, N, &kept);
            steps(&mut lent, &mut other, 3..6);
            assert_eq!(other, params, "{} resumed", $torch);
            lent.set_learning_rate(0.1);
            lent.reset();
            let mut other = [0.5; N];
            steps(&mut lent, &mut other, 0..6);
            assert_eq!(other, params, "{} after reset", $torch);

            let mut refused = new();
            steps(&mut refused, &mut [0.5; N], 0..3);
            let mut other = halfway;
            assert!(refused.step(&mut other, &[1.0; N - 1]).is_err(), $torch);
            assert!(refused.step(&mut [0.5; N + 1], &[1.0; N + 1]).is_err(), $torch);
            for lr in [-1.0, f32::NAN] {
                refused.set_learning_rate(lr);
                assert!(refused.step(&mut other, &[1.0; N]).is_err(), $torch);
            }
            assert_eq!(other, halfway, $torch);
            refused.set_learning_rate(0.1);
            assert_eq!(refused.learning_rate(), 0.1, $torch);
            steps(&mut refused, &mut other, 3..6);
            assert_eq!(other, params, "{} after refusals", $torch);
            let mut small = told!(
                baregrad::optim::$name::with_state(0.1, &mut memory[..3]),
                $($option)*
            );
            let error = small.step(&mut other, &[1.0; N]);
            assert!(matches!(error, Err(OptimizerError::StateSize { .. })), $torch);
            assert_eq!(other, params, $torch);
        })*};
    }
    baregrad::each_optimizer!(check);
}

/// The shapes of a small network's parameters, recorded.
fn network<'t>(tape: &'t baregrad::Tape<'t>) -> baregrad::Var<'t> {
    let w = tape.param(&[0.5, -0.25, 1.0, 0.75, -0.5, 0.125], [2, 3]);
    let b = tape.param(&[0.1, 0.2, 0.3], [3]);
    let scale = tape.param(&[1.5], []);
    let x = tape.input(&[1.0, 2.0, -1.0, 0.5, 0.25, -2.0, 3.0, 1.0], [4, 2]);
    (x.linear(w, b).tanh() * scale).square().mean()
}

#[test]
fn a_tape_knows_the_shapes_of_its_parameters() {
    let mut arena = Arena::<200, 24>::new();
    let tape = arena.tape();
    network(&tape);
    let mut room = [Shape::SCALAR; 5];
    let shapes = [Shape::from([2, 3]), Shape::from([3]), Shape::SCALAR];
    assert_eq!(tape.param_shapes(&mut room).unwrap(), shapes);
    let error = tape.param_shapes(&mut room[..2]).unwrap_err();
    assert_eq!(error.op, "param_shapes");
    assert!(
        error.to_string().contains("expected 3 values, found 2"),
        "{error}"
    );
    assert!(
        Arena::<4, 2>::new()
            .tape()
            .param_shapes(&mut [])
            .unwrap()
            .is_empty()
    );
}

/// An optimizer that was told other shapes than the tape's moves nothing and says so, also
/// if they have as many elements; without shapes all parameters are one vector.
#[test]
fn shapes_are_those_of_the_tape() {
    let mut arena = Arena::<200, 24>::new();
    let tape = arena.tape();
    let loss = network(&tape);
    let before = tape.params().unwrap().to_vec();
    let right = [Shape::from([2, 3]), Shape::from([3]), Shape::SCALAR];
    let turned = [Shape::from([3, 2]), Shape::from([3]), Shape::SCALAR];
    let merged = [Shape::from([2, 3]), Shape::from([4])];
    let more = [right[0], right[1], right[2], Shape::from([0])];
    for (shapes, param) in [
        (&turned[..], 0),
        (&merged[..], 1),
        (&right[..2], 2),
        (&more[..], 3),
    ] {
        tape.zero_grad();
        tape.backward(loss).unwrap();
        let error = tape
            .step(&mut Adafactor::<10>::new(0.1).shapes(shapes))
            .unwrap_err();
        let refused = OptimizerError::OtherShape { param };
        assert_eq!(error.kind, ErrorKind::Optimizer(refused));
        assert!(error.to_string().contains("param_shapes"), "{error}");
        assert_eq!(*tape.params().unwrap(), *before);
    }
    for shapes in [None, Some(&right[..])] {
        let mut adafactor = Adafactor::<10>::new(0.1);
        if let Some(shapes) = shapes {
            adafactor = adafactor.shapes(shapes);
        }
        let first = loss.item().unwrap();
        for _ in 0..20 {
            tape.zero_grad();
            tape.backward(loss).unwrap();
            tape.step(&mut adafactor).unwrap();
            tape.replay().unwrap();
        }
        assert!(loss.item().unwrap() < 0.9 * first);
    }
}

/// Shapes of other numbers of elements than there are parameters, also without a tape; the
/// memory that is needed; and ranges, as PyTorch's.
#[test]
fn adafactor_refuses() {
    let shapes = [
        Shape::from([16, 16]),
        Shape::from([16]),
        Shape::from([1, 3]),
    ];
    let (mut params, grads) = ([0.5; 275], [0.25; 275]);
    let mut exact = Adafactor::<51>::new(0.1).shapes(&shapes);
    exact.step(&mut params, &grads).unwrap();
    let after = params;
    let error = exact.step(&mut params[..274], &grads[..274]).unwrap_err();
    assert_eq!(
        error,
        OptimizerError::Shapes {
            elements: 275,
            params: 274
        }
    );
    assert!(error.to_string().contains("274 elements in all"), "{error}");
    let error = exact.step(&mut params, &grads[1..]);
    assert!(matches!(error, Err(OptimizerError::GradientCount { .. })));
    let mut small = Adafactor::<50>::new(0.1).shapes(&shapes);
    let refused = OptimizerError::StateSize {
        state: 50,
        params: 51,
    };
    assert_eq!(small.step(&mut params, &grads), Err(refused));
    assert_eq!(
        small.visit_state(275, &mut |name, _| panic!("{name}")),
        Err(refused)
    );
    let new = || Adafactor::<2>::new(0.1);
    for (mut refused, message) in [
        (Adafactor::<2>::new(-1.0), "expected lr >= 0, found -1"),
        (
            new().beta2_decay(0.5),
            "expected beta2_decay <= 0, found 0.5",
        ),
        (new().eps1(-1.0), "expected eps1 >= 0, found -1"),
        (new().eps2(f32::NAN), "expected eps2 >= 0, found NaN"),
        (new().d(0.5), "expected d >= 1, found 0.5"),
        (
            new().weight_decay(-1.0),
            "expected weight_decay >= 0, found -1",
        ),
    ] {
        let mut params = [1.0, 2.0];
        let error = refused.step(&mut params, &[1.0, 1.0]).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(params, [1.0, 2.0]);
    }
    assert_eq!(params, after);
}

/// State is as many numbers wherever it is held, and goes on to the same bits.
#[test]
fn state_of_shaped_parameters_is_kept() {
    let shapes = [
        Shape::from([2, 3, 4]),
        Shape::from([5, 1]),
        Shape::from([1, 1]),
    ];
    let new = || Adafactor::<20>::new(0.1).shapes(&shapes);
    let step = |optimizer: &mut dyn Optimizer, params: &mut [f32], seed| {
        let mut grads = [0.0; 30];
        fill_normal(&mut seeded(seed), 0.0, 1.0, &mut grads).unwrap();
        optimizer.step(params, &grads).unwrap();
    };
    let (mut through, mut params) = (new(), [0.5; 30]);
    for seed in 0..3 {
        step(&mut through, &mut params, seed);
    }
    let kept = keep(&mut through, 30);
    assert_eq!(
        kept.iter()
            .map(|(_, numbers)| numbers.len())
            .collect::<Vec<_>>(),
        [1, 2, 20]
    );
    let mut memory = [f32::NAN; 33];
    let mut lent = Adafactor::with_state(0.7, &mut memory).shapes(&shapes);
    restore(&mut lent, 30, &kept);
    let mut again = params;
    step(&mut through, &mut params, 3);
    step(&mut lent, &mut again, 3);
    assert_eq!(again, params);
    through.reset();
    let mut first = [0.5; 30];
    let mut other = first;
    step(&mut through, &mut first, 0);
    step(&mut new(), &mut other, 0);
    assert_eq!(first, other);
    assert!(Shapes::default().parts(7).eq([(Shape::from([7]), 0..7)]));
}

/// The sums of a tall matrix stay accurate: of equal gradients, every mean of squares is
/// that square, and the first step `lr · eps2` long however many rows there are.
#[test]
fn adafactor_of_many_rows() {
    for [rows, cols] in [[20_000, 3], [3, 20_000], [60_000, 1], [1, 60_000]] {
        let shapes = [Shape::from([rows, cols])];
        let (mut params, grads) = (vec![0.0_f32; 60_000], vec![0.1; 60_000]);
        let mut memory = vec![0.0; 60_000];
        let mut adafactor = Adafactor::with_state(1.0, &mut memory).shapes(&shapes);
        adafactor.step(&mut params, &grads).unwrap();
        for p in params {
            assert!(
                (f64::from(p) + 1e-3).abs() < 2e-6 * 1e-3,
                "{rows} {cols}: {p}"
            );
        }
    }
}

/// As PyTorch: what is no matrix, and ranges; NaN shows, and a zero gradient only decays.
#[test]
fn muon_takes_matrices() {
    let (matrix, others) = (
        [Shape::from([2, 3])],
        [Shape::from([6]), Shape::from([1, 2, 3]), Shape::from([])],
    );
    let new = || Muon::<6>::new(0.1).shapes(&matrix);
    let message = |mut muon: Muon<'_, 6>| {
        let mut params = [1.0; 6];
        let error = muon.step(&mut params, &[1.0; 6]).unwrap_err();
        assert_eq!(params, [1.0; 6]);
        error.to_string()
    };
    let expected = "expected 2 dimensions of every parameter, told by `shapes`, found ";
    assert_eq!(message(Muon::new(0.1)), format!("{expected}1"));
    for (shape, rank) in others.chunks(1).zip([1, 3, 0]) {
        let found = message(Muon::new(0.1).shapes(shape));
        assert_eq!(found, format!("{expected}{rank}"));
    }
    for (muon, expected) in [
        (new().momentum(-0.5), "expected momentum >= 0, found -0.5"),
        (
            new().weight_decay(-0.5),
            "expected weight_decay >= 0, found -0.5",
        ),
        (new().ns_steps(100), "expected ns_steps < 100, found 100"),
    ] {
        assert_eq!(message(muon), expected);
    }
    let mut params = [1.0; 6];
    new().step(&mut params, &[0.0; 6]).unwrap();
    assert_eq!(params, [0.99; 6]);
    let mut poisoned = [0.0; 6];
    poisoned[4] = f32::NAN;
    new().step(&mut params, &poisoned).unwrap();
    assert!(params.iter().all(|p| p.is_nan()));
    // An empty matrix is no obstacle.
    let empty = [Shape::from([0, 3]), Shape::from([2, 0])];
    Muon::<0>::new(0.1)
        .shapes(&empty)
        .step(&mut [], &[])
        .unwrap();
    assert_eq!(new().momentum_factor(), Some(0.95));
}
