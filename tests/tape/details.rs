//! Tests of details of the tape that no other test covers.

use super::*;

#[test]
fn a_parameter_made_after_backward_is_missed_by_a_step() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[2.0], []);
    tape.backward(w * w).unwrap();
    let late = tape.param(&[1.0, 2.0], [2]);
    let error = tape.step(&mut Sgd::new(0.1)).unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::Unused {
            param: 1,
            shape: [2].into()
        }
    );
    assert_eq!((values(w), values(late)), (vec![2.0], vec![1.0, 2.0]));
}

#[test]
fn a_step_after_a_rewind_makes_results_old() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[2.0], []);
    let loss = w * w;
    let mark = tape.mark();
    tape.rewind(mark).unwrap();
    tape.backward(loss).unwrap();
    tape.step(&mut Sgd::new(0.25)).unwrap();
    assert_eq!(
        refused(tape.backward(loss), "backward"),
        ErrorKind::NotReplayed
    );
    tape.replay().unwrap();
    tape.backward(loss).unwrap();
    assert_eq!((loss.item().unwrap(), grad(w)), (1.0, vec![4.0 + 2.0]));
}

#[test]
fn a_plan_for_a_gradient_is_none_for_a_number() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[2.0, 3.0], [2]);
    let y = w * w;
    tape.backward_with(y, &[1.0, 10.0]).unwrap();
    assert_eq!(grad(w), [4.0, 60.0]);
    tape.zero_grad();
    assert_eq!(
        refused(tape.backward(y), "backward"),
        ErrorKind::NotScalar { shape: [2].into() }
    );
    for wrong in [&[][..], &[1.0], &[1.0; 3]] {
        assert_eq!(
            refused(tape.backward_with(y, wrong), "backward_with"),
            ErrorKind::Length {
                expected: 2,
                found: wrong.len()
            }
        );
    }
    assert!(!w.has_grad());
}

/// A backward pass from a parameter resets the set of parameters that the loss before it reached.
#[test]
fn a_parameter_as_the_loss_between_two_passes() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let (w, q) = (tape.param(&[2.0], []), tape.param(&[3.0], []));
    let loss = w * q;
    tape.backward(loss).unwrap();
    tape.zero_grad();
    tape.backward(w).unwrap();
    assert!(w.has_grad() && !q.has_grad());
    tape.backward(loss).unwrap();
    assert_eq!((grad(w), grad(q)), (vec![1.0 + 3.0], vec![2.0]));
    tape.step(&mut Sgd::new(0.5)).unwrap();
    assert_eq!((values(w), values(q)), (vec![0.0], vec![2.0]));
}

#[test]
fn what_was_reached_before_zero_grad_does_not_count() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let params = [2.0, 3.0, 4.0].map(|x| tape.param(&[x], []));
    let [a, b, c] = params.map(|p| p * p);
    tape.backward(a).unwrap();
    tape.backward(b).unwrap();
    tape.zero_grad();
    tape.backward(b).unwrap();
    tape.backward(c).unwrap();
    assert_eq!(params.map(Var::has_grad), [false, true, true]);
    assert_eq!((grad(params[1]), grad(params[2])), (vec![6.0], vec![8.0]));
    let error = tape.step(&mut Sgd::new(0.1)).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Unused { param: 0, .. }));
}

/// A gradient buffer is passed on only once, to an operand with as many elements, which has no
/// gradient yet.
#[test]
fn gradients_are_passed_on_only_where_that_is_right() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let w = tape.param(&[2.0], []);
    let start = tape.mark();
    let check = |y, expected: f32| {
        tape.zero_grad();
        for round in 1..3 {
            tape.backward(y).unwrap();
            assert_eq!(grad(w), [expected * round as f32]);
        }
        tape.rewind(start).unwrap();
    };
    // Both operands are the same.
    let x = w * 3.0;
    check((x + x) * 1.0, 6.0);
    // An operand to whose gradient more is added later.
    let (x, z) = (w * 3.0, w * 5.0);
    check((x + z) * 1.0 + x, 11.0);
    // Two operands, one of which changes the gradient: 2 (3 + 2 · 5 · 10).
    let (x, z) = (w * 3.0, (w * 5.0).square());
    check((x + z) * 2.0, 206.0);
    // An operand that was broadcast.
    let x = w * 3.0;
    check((x + tape.constant(&[1.0; 3], [3])).sum(), 9.0);
}

#[test]
fn a_refused_rewind_keeps_the_first_error() {
    let (mut arena, mut other) = (Small::new(), Small::new());
    let (tape, foreign) = (arena.tape(), other.tape());
    let w = tape.param(&[2.0], []);
    let mark = tape.mark();
    let _ = w.sum_axis(7, false);
    let first = tape.error().unwrap();
    for _ in 0..2 {
        assert_eq!(
            refused(tape.rewind(foreign.mark()), "rewind"),
            ErrorKind::Foreign
        );
        let kept = tape.error().unwrap();
        assert_eq!((kept.kind, kept.op), (first.kind, "sum"));
        assert_eq!(kept.at.line(), first.at.line());
        // The tape keeps its first error, and records nothing.
        let _ = w + w;
        assert_eq!(tape.usage().nodes, 1);
        assert_eq!(tape.replay().unwrap_err().kind, first.kind);
        assert_eq!(w.item().unwrap_err().kind, first.kind);
    }
    tape.rewind(mark).unwrap();
    assert_eq!((w + w).item().unwrap(), 4.0);
}

#[test]
fn what_a_leaf_recorded_is_forgotten_with_it() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[2.0], []);
    let mark = tape.mark();
    let mut inner = None;
    let _ = tape.param_from_fn([1], |_| {
        let _ = w + w;
        inner = Some(tape.mark());
        1.0
    });
    // A mark that was taken while the tape was borrowed is refused.
    let nodes = tape.usage().nodes;
    assert_eq!(
        refused(tape.rewind(inner.unwrap()), "rewind"),
        ErrorKind::Stale
    );
    assert_eq!(tape.usage().nodes, nodes);
    assert_eq!(tape.error().unwrap().kind, ErrorKind::Borrowed);
    tape.rewind(mark).unwrap();
    for _ in 0..2 {
        let p = tape.param(&[1.0], []);
        assert_eq!(p.item().unwrap(), 1.0);
        assert_eq!(tape.param_from_fn([], |_| 5.0).item().unwrap(), 5.0);
    }
    assert_eq!(
        refused(tape.rewind(inner.unwrap()), "rewind"),
        ErrorKind::Stale
    );
}
