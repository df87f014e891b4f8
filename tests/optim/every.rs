//! Tests of properties that every optimizer has: `reset`, changes of the rate, a refused step that
//! changes nothing, and NaN that reaches the parameters.

use super::{keep, restore, trajectory};

use baregrad::Shape;
use baregrad::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Asgd, NAdam, Optimizer, OptimizerError, RAdam, RmsProp,
    Rprop, Sgd,
};
use baregrad::random::{fill_normal, seeded};

/// Every optimizer of the list has the same bits inline, in a slice, resumed and after `reset`, and
/// refused steps change nothing. A new optimizer needs no change here.
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
            // Without buffers, any number of parameters fits.
            let has_buffers = kept.iter().any(|(_, numbers)| numbers.len() > 3);
            if has_buffers {
                assert!(refused.step(&mut [0.5; N + 1], &[1.0; N + 1]).is_err(), $torch);
            }
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
            if has_buffers {
                let error = small.step(&mut other, &[1.0; N]);
                assert!(matches!(error, Err(OptimizerError::StateSize { .. })), $torch);
                assert_eq!(other, params, $torch);
            }
        })*};
    }
    baregrad::each_optimizer!(check);
}

/// State in a slice has the bits of inline state, takes the listed number of floats, and `reset`
/// restores it.
#[test]
fn every_optimizer_in_a_slice_as_inline() {
    macro_rules! check {
        ($($optimizer:ident $(. $option:ident($($argument:expr)?))*: $buffers:literal),* $(,)?) => {$({
            let mut memory = [f32::NAN; 5 * $buffers];
            let mut inline = $optimizer::<5>::new(0.1)$(.$option($($argument)?))*;
            let first = trajectory(&mut inline);
            let mut lent = $optimizer::with_state(0.1, &mut memory)$(.$option($($argument)?))*;
            assert_eq!(trajectory(&mut lent), first, stringify!($optimizer));
            // Without `reset` this is not compared, because Rprop's signs may agree by chance.
            inline.reset();
            assert_eq!(trajectory(&mut inline), first, stringify!($optimizer));
            let error = $optimizer::with_state(0.1, &mut [0.0; 5 * $buffers - 1])
                $(.$option($($argument)?))*
                .step(&mut [0.0; 5], &[0.0; 5]);
            let refused = OptimizerError::StateSize { state: 4, params: 5 };
            assert_eq!(error, Err(refused), stringify!($optimizer));
            // The loss falls, and with `lr` 0 parameters do not move.
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
            // NaN reaches the parameter and stays, except with Rprop, which uses only signs.
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

/// A refused step changes neither the parameters nor the state.
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

/// A NaN gradient reaches the parameter.
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
