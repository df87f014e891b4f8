//! Tests of leaves whose values a closure computes, and of guards that lend values.

use super::*;

// ---- leaves whose values are computed -------------------------------------

#[test]
fn leaves_are_computed_in_order_where_they_stand() {
    let mut arena = Arena::<64, 8>::new();
    let tape = arena.tape();
    let mut positions = Vec::new();
    let w = tape.param_from_fn([2, 3], |i| {
        positions.push(i);
        0.1 * i as f32
    });
    assert_eq!(positions, [0, 1, 2, 3, 4, 5]);
    let b = tape.constant_from_fn([], |i| 7.0 + i as f32);
    let none = tape.param_from_fn([0, 2], |_| panic!("no element, no value"));
    assert_eq!(w.shape(), Shape::from([2, 3]));
    assert_eq!(values(none), [0.0; 0]);

    // They equal leaves with given values.
    let mut given = Arena::<64, 8>::new();
    let other = given.tape();
    let same: Vec<f32> = (0..6).map(|i| 0.1 * i as f32).collect();
    let v = other.param(&same, [2, 3]);
    let c = other.constant(&[7.0], []);
    other.param(&[], [0, 2]);
    for (tape, w, b) in [(&tape, w, b), (&other, v, c)] {
        let loss = (w * w * b).sum();
        tape.backward(loss).unwrap();
        assert!(!b.requires_grad());
    }
    assert_eq!((values(w), grad(w)), (values(v), grad(v)));
    assert_eq!(tape.usage(), other.usage());
}

#[test]
fn a_leaf_made_late_moves_collected_gradients() {
    let mut arena = Arena::<32, 8>::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0, 2.0], [2]);
    tape.backward((w * w).sum()).unwrap();
    let late = tape.param_from_fn([3], |i| i as f32);
    assert_eq!(grad(w), [2.0, 4.0]);
    assert!(!late.has_grad());
    assert_eq!(*tape.params().unwrap(), [1.0, 2.0, 0.0, 1.0, 2.0]);
}

#[test]
fn values_that_do_not_fit_are_not_computed() {
    let mut arena = Arena::<5, 4>::new();
    let tape = arena.tape();
    let kept = tape.param(&[1.0], []);
    let mark = tape.mark();
    let needing = |needed| ErrorKind::Floats {
        needed,
        capacity: 5,
    };
    tape.param_from_fn([6], |_| panic!("there is no room"));
    assert_eq!(refused(kept.item(), "param"), needing(2 + 2 * 6));
    tape.rewind(mark).unwrap();
    tape.constant_from_fn([6], |_| panic!("there is no room"));
    assert_eq!(refused(kept.item(), "constant"), needing(2 + 6));
    tape.rewind(mark).unwrap();
    assert_eq!(kept.item().unwrap(), 1.0);
}

#[test]
fn the_tape_is_not_at_hand_while_a_leaf_is_computed() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[3.0], []);
    let mark = tape.mark();
    let x = tape.param_from_fn([], |_| {
        assert_eq!(refused(w.item(), "item"), ErrorKind::Borrowed);
        assert_eq!(refused(tape.replay(), "replay"), ErrorKind::Borrowed);
        2.0
    });
    // The errors above were returned to the caller, so that the tape keeps none of them.
    assert!(tape.error().is_none());
    assert_eq!((w * x).item().unwrap(), 6.0);

    // An error that cannot be returned is kept, as the leaf's error.
    tape.rewind(mark).unwrap();
    let mut inner = None;
    let outer = tape.constant_from_fn([], |_| {
        inner = Some(w * w);
        2.0
    });
    assert_eq!(refused(w.item(), "constant"), ErrorKind::Borrowed);
    assert_eq!(refused(outer.item(), "constant"), ErrorKind::Borrowed);
    tape.rewind(mark).unwrap();
    assert!(inner.unwrap().item().is_err());
    let outer = tape.param_from_fn([], |_| {
        tape.zero_grad();
        2.0
    });
    assert_eq!(refused(outer.item(), "param"), ErrorKind::Borrowed);
    tape.rewind(mark).unwrap();
    assert_eq!((w * w).item().unwrap(), 9.0);
}

#[test]
fn nor_while_an_optimizer_steps() {
    struct Recording<'t>(&'t Tape<'t>, Option<Var<'t>>);
    impl Optimizer for Recording<'_> {
        fn step(&mut self, _: &mut [f32], _: &[f32]) -> Result<(), OptimizerError> {
            self.1 = Some(self.0.constant(&[1.0], []));
            Ok(())
        }
        fn learning_rate(&self) -> f32 {
            1.0
        }
        fn set_learning_rate(&mut self, _: f32) {}
    }
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[3.0], []);
    tape.backward((w * w).sum()).unwrap();
    let mut optimizer = Recording(&tape, None);
    tape.step(&mut optimizer).unwrap();
    assert!(tape.error().is_none());
    assert!(optimizer.1.unwrap().item().is_err());
    assert_eq!((w * w).item().unwrap(), 9.0);
}

#[test]
fn a_tape_survives_values_that_unwind() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[3.0], []);
    tape.backward((w * w).sum()).unwrap();
    let mark = tape.mark();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tape.param_from_fn([2], |i| if i == 0 { 5.0 } else { panic!("planned") })
    }));
    assert!(unwound.is_err());
    assert_eq!((values(w), grad(w)), (vec![3.0], vec![6.0]));
    tape.rewind(mark).unwrap();
    assert_eq!(*tape.params().unwrap(), [3.0]);
    assert_eq!(grad(w), [6.0]);
}

// ---- guards ---------------------------------------------------------------

#[test]
fn held_guards_make_changes_errors() {
    let data = [1.0, 2.0];
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[3.0, 4.0], [2]);
    let x = tape.input(&data, [2]);
    let mark = tape.mark();
    let y = w * x;
    let loss = y.sum();
    tape.backward(loss).unwrap();
    let mut sgd = Sgd::new(1.0);
    for guard in [y.value(), w.grad(), tape.params(), tape.grads(), x.value()] {
        let guard = guard.unwrap();
        assert_eq!(refused(tape.replay(), "replay"), ErrorKind::Borrowed);
        assert_eq!(refused(tape.step(&mut sgd), "step"), ErrorKind::Borrowed);
        assert_eq!(
            refused(tape.backward(loss), "backward"),
            ErrorKind::Borrowed
        );
        assert_eq!(
            refused(tape.rebind(x, &data), "rebind"),
            ErrorKind::Borrowed
        );
        assert_eq!(refused(tape.write(w, &data), "write"), ErrorKind::Borrowed);
        assert_eq!(refused(tape.rewind(mark), "rewind"), ErrorKind::Borrowed);
        assert_eq!(refused(w.try_add(w), "add"), ErrorKind::Borrowed);
        // Reading is possible meanwhile, through any number of guards.
        assert_eq!(loss.item().unwrap(), 11.0);
        assert_eq!(tape.usage().nodes, 4);
        assert_eq!(values(w), [3.0, 4.0]);
        let _ = (tape.mark(), format!("{tape:?} {w} {w:?}"));
        drop(guard);
    }
    assert!(tape.error().is_none());
    tape.replay().unwrap();
    tape.step(&mut sgd).unwrap();
    assert_eq!(values(w), [2.0, 2.0]);
    // An operator cannot return the error, so the tape keeps it.
    let guard = y.value().unwrap();
    let dead = w + w;
    drop(guard);
    assert_eq!(refused(dead.item(), "add"), ErrorKind::Borrowed);
}
