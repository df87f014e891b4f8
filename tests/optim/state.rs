//! Tests of state: where it is held (inline, in a slice, on the heap), how large it is, and that a
//! run that was stopped, saved and restored continues with the same bits.

use super::{keep, restore, trajectory};

use baregrad::optim::{Adam, Optimizer, OptimizerError, Sgd, Stateful};

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

/// State in slices has the bits of inline state, and slices are zeroed first.
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

/// Optimizers are no larger than their options need, and can be a `static`.
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
    // Adam has six scalars, two powers and two rates of 8 bytes each, and a function pointer.
    assert!(size_of::<Sgd>() <= 32 && size_of::<Adam<0>>() <= 72);
}

/// With fewer parameters than there is room for, the bits are the same, and the rest of the state
/// stays 0.
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

    // The same with vectors; too many parameters are still refused.
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

/// `visit_state` for too many parameters is an error, and shows nothing.
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

/// Training that is stopped after any epoch and restored into a new optimizer with other memory
/// continues with the same bits.
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

/// The `f64` powers of bias corrections survive being saved as `f32`s, at every step until they are
/// 0.
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
