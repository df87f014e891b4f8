//! Tests of L-BFGS, which evaluates the loss again within a step, and of the tape's `minimize`.

use super::{keep, restore};

use baregrad::Arena;
use baregrad::optim::{Answer, Lbfgs, OptimizerError, Reason, Search, Stateful};

/// Returns value and gradient of Rosenbrock's function, whose minimum is at (1, 1).
fn rosenbrock(p: &[f32]) -> (f32, [f32; 2]) {
    let [x, y] = [p[0], p[1]];
    let residual = y - x * x;
    let loss = (1.0 - x) * (1.0 - x) + 100.0 * (residual * residual);
    let grads = [-2.0 * (1.0 - x) - 400.0 * residual * x, 200.0 * residual];
    (loss, grads)
}

/// Evaluates Rosenbrock's function `times` times for a search, and returns all answers.
fn tell(search: &mut impl Search, params: &mut [f32], times: usize) -> Vec<Answer> {
    (0..times)
        .map(|_| {
            let (loss, grads) = rosenbrock(params);
            search.tell(params, loss, &grads).unwrap()
        })
        .collect()
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

/// A search that is saved after any evaluation, even within a line search, and restored into a new
/// one continues with the same bits.
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
    // A maximum.
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

/// The tape's `minimize` makes the same evaluations as a search, and leaves results up to date.
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
    // The tape stays usable after an error of the search.
    let error = tape
        .minimize(loss, &mut Lbfgs::<1, 8>::new(1.0))
        .unwrap_err();
    assert!(error.to_string().contains("has room"), "{error}");
    tape.replay().unwrap();
    tape.backward(loss).unwrap();
}
