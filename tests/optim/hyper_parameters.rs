//! Tests of the ranges of hyper-parameters, which are PyTorch's, and of the error messages.

use super::trajectory;

use baregrad::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Asgd, NAdam, Optimizer, RAdam, RmsProp, Rprop, Sgd,
};

/// SGD and Adam refuse hyper-parameters for which PyTorch raises a `ValueError`.
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

/// The other optimizers refuse hyper-parameters for which PyTorch raises a `ValueError`.
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

/// Hyper-parameters at the ends of their ranges: PyTorch 2.15's errors are refused, and besides
/// them NaN and numbers that `f32` does not hold.
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
    // PyTorch accepts any dampening, with Nesterov momentum only 0.
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
    // The last call of a builder counts.
    assert!(!refused(
        heavy().dampening(f64::NAN).dampening(0.0).nesterov()
    ));
    // A weight of 1 - 1e-9 is 1 in `f32`, in PyTorch as well.
    assert_eq!(
        trajectory(&mut Sgd::new(0.05).momentum::<5>(0.9).dampening(1e-9)),
        trajectory(&mut Sgd::new(0.05).momentum::<5>(0.9)),
    );
}

/// A hyper-parameter that is set between steps applies from the next step on.
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
