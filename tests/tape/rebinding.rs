//! Tests of values that are out of date, and of rebinding inputs to other data.

use super::*;

// ---- values that are out of date ------------------------------------------

#[test]
fn an_error_is_told_once() {
    // The arena has no spare float, so that gradients cannot be aligned to a cache line. The tape
    // gives up aligning without an error.
    let mut arena = Arena::<11, 4>::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0, 2.0], [2]);
    let unused = tape.param(&[3.0], []);
    let three = tape.constant(&[0.0; 3], [3]);
    let loss = w.sum();
    let guard = w.value().unwrap();
    assert_eq!(refused(tape.replay(), "replay"), ErrorKind::Borrowed);
    drop(guard);
    let refusals: [&dyn Fn() -> ErrorKind; 4] = [
        &|| refused(w.item(), "item"),
        &|| refused(unused.grad(), "grad"),
        &|| refused(tape.rebind(w, &[]), "rebind"),
        &|| refused(w.try_add(three), "add"),
    ];
    for refuse in refusals {
        assert_ne!(refuse(), ErrorKind::Borrowed);
        assert!(!unused.has_grad());
        let guard = w.value().unwrap();
        assert_eq!(refused(tape.replay(), "replay"), ErrorKind::Borrowed);
        assert_eq!(refused(tape.write(w, &[0.0]), "write"), ErrorKind::Borrowed);
        drop(guard);
        tape.replay().unwrap();
    }
    tape.backward(loss).unwrap();
    let guard = w.grad().unwrap();
    assert_eq!(refused(tape.replay(), "replay"), ErrorKind::Borrowed);
    drop(guard);
    assert_eq!(grad(w), [1.0, 1.0]);
}

#[test]
fn backward_wants_values_that_are_up_to_date() {
    let data = [1.0, 2.0, 3.0, 4.0];
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[3.0], []);
    let c = tape.constant(&[2.0], []);
    let x = tape.input(&data[..2], [2]);
    let leaves = tape.mark();
    let loss = (w * x * c).sum();
    let check = |w: f32, change: &dyn Fn()| {
        change();
        assert_eq!(
            refused(tape.backward(loss), "backward"),
            ErrorKind::NotReplayed
        );
        tape.replay().unwrap();
        tape.backward(loss).unwrap();
        assert_eq!(loss.item().unwrap(), w);
    };
    tape.backward(loss).unwrap();
    check(-36.0, &|| tape.step(&mut Sgd::new(1.5)).unwrap());
    check(30.0, &|| tape.write(w, &[5.0]).unwrap());
    check(15.0, &|| tape.write(c, &[1.0]).unwrap());
    check(35.0, &|| tape.rebind(x, &data[2..]).unwrap());
    check(20.0, &|| tape.rebind(x, &data[3..]).unwrap());
    check(15.0, &|| tape.rebind(x, &data[..2]).unwrap());

    // After a rewind to the leaves, nothing is out of date.
    tape.write(w, &[7.0]).unwrap();
    tape.rewind(leaves).unwrap();
    tape.zero_grad();
    let loss = (w * x).sum();
    tape.backward(loss).unwrap();
    assert_eq!((loss.item().unwrap(), grad(w)), (21.0, vec![3.0]));
    tape.step(&mut Sgd::new(1.0)).unwrap();
    tape.rewind(leaves).unwrap();
    let loss = (w * x).sum();
    tape.backward(loss).unwrap();
    assert_eq!(loss.item().unwrap(), 12.0);
}

/// Every operation, even the first, can be out of date; a leaf cannot.
#[test]
fn out_of_date_from_the_first_operation_on() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[3.0], []);
    let loss = w * w;
    let late = tape.param(&[1.0], []);
    tape.backward(loss).unwrap();
    tape.backward(late).unwrap();
    tape.step(&mut Sgd::new(0.25)).unwrap();
    assert_eq!(
        refused(tape.backward(loss), "backward"),
        ErrorKind::NotReplayed
    );
    tape.backward(late).unwrap();
    assert_eq!(grad(late), [2.0]);
    tape.write(w, &[2.0]).unwrap();
    tape.write(late, &[2.0]).unwrap();
    tape.backward(w).unwrap();
    tape.backward(late).unwrap();
    assert_eq!((grad(w), grad(late)), (vec![7.0], vec![3.0]));
    assert_eq!(
        refused(tape.backward(loss), "backward"),
        ErrorKind::NotReplayed
    );
    tape.replay().unwrap();
    tape.backward(loss).unwrap();
    assert_eq!((loss.item().unwrap(), grad(w)), (4.0, vec![11.0]));
}

/// Results recorded before the mark stay out of date across a rewind.
#[test]
fn a_rewind_does_not_make_kept_results_new() {
    let data = [1.0, 2.0, 3.0];
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[3.0], []);
    let x = tape.input(&data[..2], [2]);
    let features = (w * x).sum();
    let mark = tape.mark();
    let loss = features.square();
    tape.backward(loss).unwrap();
    tape.step(&mut Sgd::new(0.1)).unwrap();
    tape.rewind(mark).unwrap();
    let loss = features.square();
    assert_eq!(
        refused(tape.backward(loss), "backward"),
        ErrorKind::NotReplayed
    );
    tape.replay().unwrap();
    tape.backward(loss).unwrap();
}

/// An input that was rebound to another batch size waits for a replay, even if all results that
/// depend on it are dropped meanwhile.
#[test]
fn a_waiting_input_is_not_forgotten_by_a_rewind() {
    let data = [1.0, 2.0, 3.0, 4.0, 5.0];
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0], []);
    let x = tape.input(&data[..3], [3]);
    let mark = tape.mark();
    let _ = (w * x).sum();
    tape.rebind(x, &data[3..]).unwrap();
    tape.rewind(mark).unwrap();
    let loss = (w * x).sum();
    assert_eq!(
        refused(tape.backward(loss), "backward"),
        ErrorKind::NotReplayed
    );
    tape.replay().unwrap();
    tape.backward(loss).unwrap();
    assert_eq!((loss.item().unwrap(), grad(w)), (9.0, vec![9.0]));
    // The same with a replay between rewind and recording.
    tape.rebind(x, &data[..1]).unwrap();
    tape.rewind(mark).unwrap();
    tape.replay().unwrap();
    tape.zero_grad();
    let loss = (w * x).sum();
    tape.backward(loss).unwrap();
    assert_eq!((loss.item().unwrap(), grad(w)), (1.0, vec![1.0]));
}

// ---- rebinding ------------------------------------------------------------

#[test]
fn rebinding_to_smaller_batches_and_back() {
    let xs: [f32; 8] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let ys: [f32; 4] = [1.0, 0.0, 1.0, 0.0];
    let mut arena = Arena::<256, 32>::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0, -1.0], [2, 1]);
    let b = tape.param(&[0.5], [1]);
    let x = tape.input(&xs, [4, 2]);
    let y = tape.input(&ys, [4, 1]);
    // A view of each kind, and an operation along every axis.
    let seen = x.reshape([-1, 2]);
    let out = seen.matmul(w) + b;
    let flat = out.reshape([-1]);
    let fixed = out.detach();
    let loss = out.mse(y) + flat.sum() * 0.125;
    let late = tape.param(&[2.0], []);
    let total = loss * late + fixed.mean() * x.transpose(0, 1).sum_axis(0, false).mean();

    let run = |from: usize, to: usize| {
        tape.rebind(x, &xs[2 * from..2 * to]).unwrap();
        tape.rebind(y, &ys[from..to]).unwrap();
        tape.replay().unwrap();
        tape.zero_grad();
        tape.backward(total).unwrap();
        let n = to - from;
        assert_eq!(x.shape().dims(), [n, 2]);
        assert_eq!(seen.shape().dims(), [n, 2]);
        assert_eq!(flat.shape().dims(), [n]);
        assert_eq!(fixed.shape().dims(), [n, 1]);
        assert_eq!(values(seen), xs[2 * from..2 * to]);
        assert_eq!(values(flat), vec![-0.5; n]);
        assert_eq!(values(fixed), values(out));
        assert_eq!(values(late), [2.0]);
        (total.item().unwrap(), grad(w), grad(b), grad(late))
    };
    let whole = run(0, 4);
    let halves = [run(0, 2), run(2, 4)];
    let one = run(3, 4);
    assert_eq!(run(0, 4), whole);
    assert_eq!([run(0, 2), run(2, 4)], halves);

    // Recordings of the same batches.
    for (from, to, expected) in [(0, 2, &halves[0]), (2, 4, &halves[1]), (3, 4, &one)] {
        let mut arena = Arena::<256, 32>::new();
        let tape = arena.tape();
        let w = tape.param(&[1.0, -1.0], [2, 1]);
        let b = tape.param(&[0.5], [1]);
        let late = tape.param(&[2.0], []);
        let x = tape.input(&xs[2 * from..2 * to], [to - from, 2]);
        let y = tape.input(&ys[from..to], [to - from, 1]);
        let out = x.matmul(w) + b;
        let loss = out.mse(y) + out.sum() * 0.125;
        let along = x.transpose(0, 1).sum_axis(0, false).mean();
        let total = loss * late + out.detach().mean() * along;
        tape.backward(total).unwrap();
        let fresh = (total.item().unwrap(), grad(w), grad(b), grad(late));
        assert_eq!(&fresh, expected);
    }
}

/// While a small batch is bound, results keep the room of the large one.
#[test]
fn recording_while_a_small_batch_is_in() {
    let data = [1.0, 2.0, 3.0, 4.0];
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[2.0], []);
    let x = tape.input(&data, [4]);
    let y = w * x;
    let mark = tape.mark();
    tape.rebind(x, &data[..1]).unwrap();
    tape.replay().unwrap();
    tape.rewind(mark).unwrap();
    let seen = y.reshape([-1, 1]);
    let fixed = seen.detach();
    let one = tape.constant(&[7.0], [1]);
    let _late = tape.param(&[9.0], []);
    assert_eq!((values(y), values(seen)), (vec![2.0], vec![2.0]));
    tape.rebind(x, &data).unwrap();
    tape.replay().unwrap();
    assert_eq!(values(one), [7.0]);
    for var in [y, seen, fixed] {
        assert_eq!(values(var), [2.0, 4.0, 6.0, 8.0]);
    }
    assert_eq!(seen.shape().dims(), [4, 1]);
}

#[test]
fn what_rebind_refuses() {
    let data = [0.0; 12];
    let mut arena = Small::new();
    let tape = arena.tape();
    let x = tape.input(&data, [4, 3]);
    let scalar = tape.input(&data[..1], []);
    let sum = x.sum();
    for found in [0, 1, 2, 4, 10, 11] {
        let kind = ErrorKind::Rows {
            found,
            row: 3,
            most: 4,
        };
        assert_eq!(refused(tape.rebind(x, &data[..found]), "rebind"), kind);
    }
    const MORE: [f32; 15] = [1.0; 15];
    assert!(matches!(
        refused(tape.rebind(x, &MORE), "rebind"),
        ErrorKind::Rows { found: 15, .. }
    ));
    assert!(matches!(
        refused(tape.rebind(scalar, &MORE[..2]), "rebind"),
        ErrorKind::Rows { .. }
    ));
    tape.rebind(scalar, &MORE[..1]).unwrap();
    tape.replay().unwrap();
    assert_eq!((sum.item().unwrap(), scalar.item().unwrap()), (0.0, 1.0));
    // The error has the possible numbers of rows.
    let text = tape.rebind(x, &MORE).unwrap_err().to_string();
    assert!(text.contains("1 to 4 rows of 3"), "{text}");
}

#[test]
fn batches_that_do_not_fit_are_undone() {
    let data = [1.0, 2.0, 3.0, 4.0];
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[2.0], []);
    let x = tape.input(&data, [4]);
    let y = tape.input(&data, [4]);
    let p = w * x;
    let (loss, line) = (p.mse(y), line!());
    tape.backward(loss).unwrap();
    let before = (loss.item().unwrap(), grad(w));

    tape.rebind(x, &data[..3]).unwrap();
    let error = tape.replay().unwrap_err();
    assert_eq!(
        (error.op, error.at.file(), error.at.line()),
        ("mse", file!(), line)
    );
    assert_eq!(shapes(error.kind), [Shape::from([3]), Shape::from([4])]);
    assert!(tape.error().is_none());

    // After a replay everything is as before.
    assert_eq!((x.shape().dims(), p.shape().dims()), (&[4][..], &[4][..]));
    tape.replay().unwrap();
    tape.zero_grad();
    tape.backward(loss).unwrap();
    assert_eq!((loss.item().unwrap(), grad(w)), before);

    // Both may be rebound, and a rebind may be taken back before the replay.
    tape.rebind(x, &data[..3]).unwrap();
    tape.rebind(y, &data[..3]).unwrap();
    tape.replay().unwrap();
    assert_eq!(loss.item().unwrap(), 14.0 / 3.0);
    tape.rebind(x, &data[..2]).unwrap();
    tape.rebind(x, &data[1..]).unwrap();
    tape.replay().unwrap();
    assert_eq!(values(p), [4.0, 6.0, 8.0]);

    // Results recorded for a small batch have no room for a larger one.
    let small = p * 10.0;
    tape.rebind(x, &data).unwrap();
    tape.rebind(y, &data).unwrap();
    let error = tape.replay().unwrap_err();
    assert_eq!(
        (error.op, error.kind),
        (
            "mul",
            ErrorKind::Length {
                expected: 3,
                found: 4
            }
        )
    );
    tape.replay().unwrap();
    assert_eq!(values(small), [40.0, 60.0, 80.0]);
}

#[test]
fn a_fixed_shape_does_not_take_another_batch() {
    let data = [1.0, 2.0, 3.0, 4.0];
    let mut arena = Small::new();
    let tape = arena.tape();
    let x = tape.input(&data, [4]);
    let fixed = x.reshape([2, 2]);
    let part = x.narrow(0, 2, 2);
    tape.rebind(x, &data[..2]).unwrap();
    let error = tape.replay().unwrap_err();
    assert_eq!(
        (error.op, shapes(error.kind)),
        ("reshape", vec![Shape::from([2])])
    );
    tape.replay().unwrap();
    assert_eq!(
        (values(fixed), values(part)),
        (data.to_vec(), vec![3.0, 4.0])
    );
}
