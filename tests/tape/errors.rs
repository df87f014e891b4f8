//! Tests of errors: stale variables, the first error that the tape keeps, places and texts.

use super::*;

// ---- variables that are not there -----------------------------------------

#[test]
fn stale_variables_are_errors() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[2.0], []);
    let mark = tape.mark();
    let old = w * 3.0;
    let old_mark = tape.mark();
    tape.rewind(mark).unwrap();
    assert_eq!(refused(old.item(), "item"), ErrorKind::Stale);
    // The same after another node has taken its place.
    let new = w * 5.0;
    for error in [
        refused(old.item(), "item"),
        refused(old.value(), "value"),
        refused(tape.backward(old), "backward"),
        refused(tape.write(old, &[1.0]), "write"),
        refused(tape.rewind(old_mark), "rewind"),
        refused(old.try_add(new), "add"),
        refused(new.try_mul(old), "mul"),
    ] {
        assert_eq!(error, ErrorKind::Stale);
    }
    assert!(!old.has_grad() && !old.requires_grad());
    assert_eq!(new.item().unwrap(), 10.0);
    assert!(tape.error().is_none());
    // The operator keeps the error.
    let dead = old + new;
    assert_eq!(refused(dead.item(), "add"), ErrorKind::Stale);
}

#[test]
fn rewinding_twice_to_one_mark() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let start = tape.mark();
    let w = tape.param(&[2.0], []);
    let after_w = tape.mark();
    let _ = w * w;
    tape.rewind(after_w).unwrap();
    tape.rewind(after_w).unwrap();
    let _ = w + w;
    tape.rewind(after_w).unwrap();
    assert_eq!((w * w).item().unwrap(), 4.0);
    tape.rewind(start).unwrap();
    assert_eq!(tape.usage().nodes, 0);
    assert_eq!(tape.usage().floats, 0);
    assert_eq!(refused(tape.rewind(after_w), "rewind"), ErrorKind::Stale);
    assert_eq!(refused(w.item(), "item"), ErrorKind::Stale);
    let again = tape.param(&[7.0], []);
    assert_eq!(refused(tape.rewind(after_w), "rewind"), ErrorKind::Stale);
    assert_eq!(again.item().unwrap(), 7.0);
}

#[test]
fn variables_of_another_tape_are_errors() {
    let (mut one, mut other) = (Small::new(), Small::new());
    let (tape, foreign) = (one.tape(), other.tape());
    let (a, b) = (tape.param(&[1.0], []), foreign.param(&[2.0], []));
    for error in [
        refused(a.try_add(b), "add"),
        refused(tape.backward(b), "backward"),
        refused(tape.write(b, &[0.0]), "write"),
        refused(tape.allow_unused(b), "allow_unused"),
        refused(tape.rewind(foreign.mark()), "rewind"),
    ] {
        assert_eq!(error, ErrorKind::Foreign);
    }
    let lost = a * b;
    assert_eq!(refused(lost.item(), "mul"), ErrorKind::Foreign);
    // The other tape has no error.
    assert!(foreign.error().is_none());
    assert_eq!(b.item().unwrap(), 2.0);
}

// ---- errors stick ---------------------------------------------------------

#[test]
fn the_first_error_is_kept_and_returned_everywhere() {
    let data = [0.0; 6];
    let mut arena = Small::new();
    let tape = arena.tape();
    let mark = tape.mark();
    let w = tape.param(&[1.0], []);
    let a = tape.input(&data, [2, 3]);
    let b = tape.input(&data, [3, 2]);
    tape.backward(w * w).unwrap();
    let before = tape.usage();
    let (dead, line) = (a - b, line!());
    let (_second, _) = (a.matmul(a), w.reshape([5]));
    let loss = (dead.square() * w).mean();
    let late = tape.param(&[1.0], []);
    assert_eq!(tape.usage(), before, "later operations do nothing");

    let error = tape.error().unwrap();
    assert_eq!(
        (error.op, error.at.file(), error.at.line()),
        ("sub", file!(), line)
    );
    assert_eq!(
        shapes(error.kind),
        [Shape::from([2, 3]), Shape::from([3, 2])]
    );
    let text = error.to_string();
    assert!(
        text.contains("sub") && text.contains("[2, 3] and [3, 2]"),
        "{text}"
    );
    assert!(text.contains(&format!("{}:{line}", file!())), "{text}");

    let mut sgd = Sgd::new(0.1);
    for (exit, found) in [
        ("item", loss.item().err()),
        ("item of another", w.item().err()),
        ("value", w.value().err()),
        ("grad", w.grad().err()),
        ("late", late.item().err()),
        ("backward", tape.backward(loss).err()),
        ("backward_with", tape.backward_with(w, &[1.0]).err()),
        ("step", tape.step(&mut sgd).err()),
        ("replay", tape.replay().err()),
        ("params", tape.params().err()),
        ("grads", tape.grads().err()),
        ("rebind", tape.rebind(a, &data).err()),
        ("write", tape.write(w, &[1.0]).err()),
        ("allow_unused", tape.allow_unused(w).err()),
        ("try_add", w.try_add(w).err()),
        ("try_neg", w.try_neg().err()),
    ] {
        let found = found.unwrap_or_else(|| panic!("{exit} succeeded"));
        assert_eq!((found.op, found.at.line()), ("sub", line), "{exit}");
    }
    assert_eq!(loss.shape(), Shape::SCALAR);
    tape.zero_grad();

    tape.rewind(mark).unwrap();
    assert!(tape.error().is_none());
    let w = tape.param(&[4.0], []);
    assert_eq!((w * w).item().unwrap(), 16.0);
    // A variable that could not be recorded stays unusable.
    assert_eq!(refused(dead.item(), "item"), ErrorKind::Stale);
}

#[test]
fn a_rewind_to_before_the_failure_goes_on_from_there() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0, 2.0], [2]);
    let y = w.square();
    let mark = tape.mark();
    let v = tape.constant(&[0.0; 3], [3]);
    let dead = y + v;
    assert!(dead.item().is_err());
    tape.rewind(mark).unwrap();
    tape.backward(y.sum()).unwrap();
    assert_eq!(grad(w), [2.0, 4.0]);
    assert_eq!(refused(tape.backward(dead), "backward"), ErrorKind::Stale);
    // A mark of another tape clears nothing.
    let mut other = Small::new();
    let foreign = other.tape();
    let _ = w + dead;
    assert!(tape.rewind(foreign.mark()).is_err());
    assert!(tape.error().is_some());
}

/// The error of every operation has its name, the operands' shapes and the caller's line.
#[test]
fn errors_name_operation_shapes_and_line() {
    let mut arena = Arena::<256, 64>::new();
    let tape = arena.tape();
    let a = tape.constant(&[0.0; 6], [2, 3]);
    let b = tape.constant(&[0.0; 8], [4, 2]);
    let s = tape.constant(&[1.0], []);
    let mark = tape.mark();
    macro_rules! check {
        ($op:literal, [$($shape:expr),*], $record:expr) => {{
            let line = line!();
            let _ = $record;
            let error = tape.error().expect($op);
            assert_eq!((error.op, error.at.file()), ($op, file!()));
            // A call of this macro may span a few lines.
            assert!((line..line + 6).contains(&error.at.line()), "{error}");
            assert_eq!(shapes(error.kind), [$(Shape::from($shape)),*] as [Shape; _], "{}", $op);
            tape.rewind(mark).unwrap();
        }};
    }
    check!("add", [[2, 3], [4, 2]], a + b);
    check!("sub", [[2, 3], [4, 2]], a - b);
    check!("mul", [[2, 3], [4, 2]], a * b);
    check!("div", [[4, 2], [2, 3]], b / a);
    check!("maximum", [[4, 2], [2, 3]], b.maximum(a));
    check!("minimum", [[4, 2], [2, 3]], b.minimum(a));
    check!("matmul", [[2, 3], [4, 2]], a.matmul(b));
    check!("mse", [[2, 3], [4, 2]], a.mse(b));
    check!("linear", [[2, 3], [4, 2], [2, 3]], a.linear(b, a));
    check!("concat", [[2, 3], [4, 2]], tape.concat(&[a, b], 0));
    check!(
        "concat",
        [[2, 3], [2, 3], [4, 2]],
        tape.concat(&[a, a, b, a], 1)
    );
    check!("reshape", [[2, 3]], a.reshape([4, 2]));
    check!("reshape", [[2, 3]], a.reshape([-1, -1]));
    check!("reshape", [[2, 3]], a.reshape([-6]));
    check!("reshape", [[2, 3]], a.reshape([-1, 4]));
    check!("transpose", [[2, 3]], a.transpose(0, 2));
    check!("narrow", [[2, 3]], a.narrow(1, 2, 2));
    check!("narrow", [[2, 3]], a.narrow(1, usize::MAX, 2));
    check!("narrow", [[2, 3]], a.select(0, 2));
    check!("sum", [[2, 3]], a.sum_axis(2, false));
    check!("mean", [[2, 3]], a.mean_axis(-3, false));
    check!("max", [[2, 3]], a.max_axis(isize::MAX, true));
    check!("softmax", [[2, 3]], a.softmax(isize::MIN));
    // This error has no shapes; the macro cannot infer the type of an empty list.
    let _ = s.matmul(a);
    let kind = refused(Err::<(), _>(tape.error().unwrap()), "matmul");
    assert!(matches!(
        kind,
        ErrorKind::Shape {
            why: ShapeError::TooFewDims { .. },
            ..
        }
    ));
}

#[test]
fn sizes_beyond_32_bits_are_refused() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let x = tape.constant(&[0.0; 6], [6]);
    let mark = tape.mark();
    let wide = isize::try_from(1u64 << 32).unwrap_or(isize::MAX);
    for sizes in [[wide + 6, 1], [6, wide + 1], [-wide + 6, 1], [wide, wide]] {
        assert!(x.reshape(sizes).value().is_err(), "{sizes:?}");
        tape.rewind(mark).unwrap();
    }
    let _ = tape.param(&[], [usize::MAX, usize::MAX, 2]);
    assert!(matches!(
        tape.error().unwrap().kind,
        ErrorKind::Length { found: 0, .. }
    ));
}

#[test]
fn try_twins_leave_the_tape_healthy() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let a = tape.param(&[1.0, 2.0], [2]);
    let b = tape.param(&[1.0, 2.0, 3.0], [3]);
    let before = tape.usage();
    for (op, result) in [
        ("add", a.try_add(b)),
        ("sub", a.try_sub(b)),
        ("mul", a.try_mul(b)),
        ("div", a.try_div(b)),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.op, op);
        assert_eq!(shapes(error.kind), [Shape::from([2]), Shape::from([3])]);
    }
    assert_eq!(tape.usage(), before);
    assert!(tape.error().is_none());
    assert_eq!(values(a.try_add(a).unwrap()), [2.0, 4.0]);
    assert_eq!(values(a.try_sub(a).unwrap()), [0.0, 0.0]);
    assert_eq!(values(a.try_mul(a).unwrap()), [1.0, 4.0]);
    assert_eq!(values(a.try_div(a).unwrap()), [1.0, 1.0]);
    assert_eq!(values(a.try_neg().unwrap()), [-1.0, -2.0]);
}

// ---- what is named, and how -----------------------------------------------

#[test]
fn an_axis_is_reported_as_given() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let x = tape.constant(&[0.0; 6], [2, 3]);
    let start = tape.mark();
    let wide = isize::try_from(1u64 << 33).unwrap_or(isize::MAX);
    let min = isize::try_from(i32::MIN).unwrap();
    for axis in [
        2,
        -3,
        127,
        -129,
        40_000,
        i32::MAX as isize - 1,
        i32::MAX as isize,
        min,
        min.wrapping_sub(1),
        wide,
        wide + 1,
        -wide,
        isize::MAX,
        isize::MIN,
    ] {
        let ops: [&dyn Fn(); 12] = [
            &|| _ = x.sum_axis(axis, false),
            &|| _ = x.mean_axis(axis, true),
            &|| _ = x.max_axis(axis, false),
            &|| _ = x.amin(axis, false),
            &|| _ = x.softmax(axis),
            &|| _ = x.log_softmax(axis),
            &|| _ = x.transpose(axis, 0),
            &|| _ = x.transpose(0, axis),
            &|| _ = x.select(axis, 0),
            &|| _ = x.narrow(axis, 0, 1),
            &|| _ = tape.concat(&[x, x], axis),
            &|| _ = tape.concat(&[x; 7], axis),
        ];
        for op in ops {
            op();
            let error = tape.error().unwrap();
            let ErrorKind::Shape { why, .. } = error.kind else {
                panic!("{error}");
            };
            assert_eq!(why, ShapeError::Axis { axis, rank: 2 }, "{error}");
            assert!(error.to_string().contains(&format!("axis {axis} ")));
            tape.rewind(start).unwrap();
        }
    }
    // The error names the first of two wrong axes.
    let _ = x.transpose(wide, wide + 5);
    let why = match tape.error().unwrap().kind {
        ErrorKind::Shape { why, .. } => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        why,
        ShapeError::Axis {
            axis: wide,
            rank: 2
        }
    );
}

/// With all nodes in use, the error of an invalid operation is still its own.
#[test]
fn full_nodes_hide_no_other_refusal() {
    let mut arena = Arena::<8, 3>::new();
    let tape = arena.tape();
    let mut other = Small::new();
    let other = other.tape();
    let foreign = other.param(&[1.0], []);
    let mark = tape.mark();
    let gone = tape.constant(&[1.0], []);
    tape.rewind(mark).unwrap();
    let w = tape.param(&[1.0], []);
    let a = tape.constant(&[0.0; 3], [3]);
    let b = tape.input(&[0.0; 2], [2]);
    let full = ErrorKind::Nodes { capacity: 3 };
    assert_eq!(
        shapes(refused(a.try_add(b), "add")),
        [[3].into(), [2].into()]
    );
    assert_eq!(refused(a.try_add(gone), "add"), ErrorKind::Stale);
    assert_eq!(refused(a.try_add(foreign), "add"), ErrorKind::Foreign);
    assert!(matches!(
        refused(a.try_mul(a), "mul"),
        ErrorKind::Floats { needed: 8, .. } | ErrorKind::Nodes { .. }
    ));
    assert_eq!(refused(w.try_add(w), "add"), full);
    let late = tape.param(&[1.0; 2], [3]);
    assert!(matches!(
        refused(late.item(), "param"),
        ErrorKind::Length { .. }
    ));
}

/// Calling the tape from code that it runs gives an error that does not mention a guard.
#[test]
fn a_tape_at_work_names_no_guard() {
    struct Asking<'t>(&'t Tape<'t>, Option<Error>);
    impl Optimizer for Asking<'_> {
        fn step(&mut self, _: &mut [f32], _: &[f32]) -> Result<(), OptimizerError> {
            self.1 = self.0.replay().err();
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
    tape.backward(w * w).unwrap();
    let mut optimizer = Asking(&tape, None);
    tape.step(&mut optimizer).unwrap();
    let error = optimizer.1.unwrap();
    assert_eq!(error.kind, ErrorKind::Borrowed);
    let text = error.to_string();
    assert!(!text.contains("drop the guard"), "{text}");
    assert!(text.contains("return from the step"), "{text}");
}
