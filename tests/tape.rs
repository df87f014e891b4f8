//! The tape, as someone who knows PyTorch expects it: what accumulates, what
//! is refused, what an error says, what is still right after the odd things
//! users do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use baregrad::op::Node;
use baregrad::optim::{Adam, Optimizer, OptimizerError, Sgd};
use baregrad::{Arena, Error, ErrorKind, Shape, ShapeError, Tape, Var};

type Small = Arena<256, 32>;

fn values(var: Var<'_>) -> Vec<f32> {
    var.value().unwrap().to_vec()
}

fn grad(var: Var<'_>) -> Vec<f32> {
    var.grad().unwrap().to_vec()
}

/// The kind of an error, and that of the line and operation it names.
#[track_caller]
fn refused<T>(result: Result<T, Error>, op: &str) -> ErrorKind {
    let caller = std::panic::Location::caller();
    let error = result.err().expect("an error");
    assert_eq!(error.op, op);
    assert_eq!(error.at.file(), file!());
    let distance = caller.line().abs_diff(error.at.line());
    assert!(distance <= 6, "{} is far from {caller}", error.at);
    error.kind
}

fn shapes(kind: ErrorKind) -> Vec<Shape> {
    match kind {
        ErrorKind::Shape { operands, .. } => operands.iter().collect(),
        other => panic!("no shapes in {other:?}"),
    }
}

// ---- gradients -------------------------------------------------------------

#[test]
fn gradients_accumulate_until_zeroed() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[3.0, -1.0], [2]);
    let loss = w.square().sum();
    assert!(!w.has_grad());
    for round in 1..4 {
        tape.backward(loss).unwrap();
        assert_eq!(grad(w), [6.0 * round as f32, -2.0 * round as f32]);
    }
    assert!(w.has_grad());
    tape.zero_grad();
    assert!(!w.has_grad());
    assert_eq!(
        refused(w.grad(), "grad"),
        ErrorKind::Unused {
            param: 0,
            shape: [2].into()
        }
    );
    tape.backward(loss).unwrap();
    assert_eq!(grad(w), [6.0, -2.0]);
}

#[test]
fn several_losses_accumulate() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[2.0], []);
    let v = tape.param(&[5.0], []);
    let first = w * 3.0;
    let second = first * v;
    tape.backward(first).unwrap();
    assert!(w.has_grad() && !v.has_grad());
    tape.backward(second).unwrap();
    assert_eq!((grad(w), grad(v)), (vec![3.0 + 15.0], vec![6.0]));
    // A loss recorded afterwards finds them as they were.
    let third = v * v;
    tape.backward(third).unwrap();
    tape.backward(first).unwrap();
    assert_eq!((grad(w), grad(v)), (vec![21.0], vec![16.0]));
}

#[test]
fn operands_used_twice() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let x = tape.param(&[3.0], []);
    for (y, dy) in [
        (x * x, 6.0),
        (x + x, 2.0),
        (x - x, 0.0),
        (x / x, 0.0),
        (x.maximum(x), 1.0),
        (x * x * x, 27.0),
        ((x + 1.0) * (x - 1.0), 6.0),
        (x.mse(x), 0.0),
    ] {
        tape.zero_grad();
        tape.backward(y).unwrap();
        assert_eq!(grad(x), [dy], "{y:?}");
    }
    let row = tape.param(&[1.0, 2.0], [2]);
    let thrice = tape.concat(&[row, row, row, row], 0);
    let weights = tape.constant(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [8]);
    tape.backward((thrice * weights).sum()).unwrap();
    assert_eq!(grad(row), [16.0, 20.0]);
    let m = tape.param(&[1.0, 2.0, 3.0, 4.0], [2, 2]);
    tape.backward(m.matmul(m).sum()).unwrap();
    // d/dm sum(m·m) = rows of row sums + columns of column sums.
    assert_eq!(grad(m), [7.0, 11.0, 9.0, 13.0]);
}

#[test]
fn a_diamond() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let x = tape.param(&[2.0], []);
    let y = x.square();
    let (left, right) = (y * 3.0, y.square());
    let z = left * right + y;
    tape.backward(z).unwrap();
    // z = 3 x⁶ + x²
    assert_eq!(grad(x), [18.0 * 32.0 + 4.0]);
    tape.backward(z).unwrap();
    assert_eq!(grad(x), [2.0 * 580.0]);
}

#[test]
fn a_parameter_can_be_the_loss() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let x = tape.param(&[2.0], []);
    tape.backward(x).unwrap();
    tape.backward(x).unwrap();
    assert_eq!(grad(x), [2.0]);
    tape.backward(x * 3.0).unwrap();
    assert_eq!(grad(x), [5.0]);
    let v = tape.param(&[1.0, 2.0], [2]);
    tape.backward_with(v, &[7.0, 8.0]).unwrap();
    assert_eq!((grad(x), grad(v)), (vec![5.0], vec![7.0, 8.0]));
    tape.step(&mut Sgd::new(1.0)).unwrap();
    assert_eq!((values(x), values(v)), (vec![-3.0], vec![-6.0, -6.0]));
}

#[test]
fn a_parameter_made_late_disturbs_nothing() {
    let data = [10.0, 20.0];
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0, 2.0], [2]);
    let x = tape.input(&data, [2]);
    let c = tape.constant(&[3.0, 4.0], [2]);
    let y = w * x + c;
    let view = y.reshape([2, 1]);
    let of_param = w.reshape([1, 2]);
    let of_input = x.reshape([1, 2]);
    let fixed = w.detach();
    tape.backward(y.sum()).unwrap();

    let late = tape.param(&[100.0, 200.0, 300.0], [3]);
    assert_eq!(values(w), [1.0, 2.0]);
    assert_eq!(values(c), [3.0, 4.0]);
    assert_eq!(
        (values(y), values(view)),
        (vec![13.0, 44.0], vec![13.0, 44.0])
    );
    assert_eq!(values(of_param), [1.0, 2.0]);
    assert_eq!(values(of_input), data);
    assert_eq!(values(fixed), [1.0, 2.0]);
    assert_eq!(values(late), [100.0, 200.0, 300.0]);
    assert_eq!(grad(w), [10.0, 20.0]);
    assert!(!late.has_grad());
    assert_eq!(*tape.params().unwrap(), [1.0, 2.0, 100.0, 200.0, 300.0]);

    let loss = (view.sum() * late).sum() + of_param.sum() * 2.0;
    tape.backward(loss).unwrap();
    assert_eq!(grad(late), [57.0; 3]);
    assert_eq!(grad(w), [10.0 + 6000.0 + 2.0, 20.0 + 12000.0 + 2.0]);
    tape.step(&mut Sgd::new(1.0)).unwrap();
    tape.replay().unwrap();
    assert_eq!(values(of_param), values(w));
    assert_eq!(values(fixed), values(w));
    assert_eq!(values(y)[0], values(w)[0] * 10.0 + 3.0);
}

#[test]
fn views_of_parameters_survive_a_rewind_over_later_parameters() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0, 2.0], [2]);
    let view = w.reshape([2, 1]);
    let y = view * 2.0;
    let mark = tape.mark();
    for _ in 0..3 {
        let late = tape.param(&[5.0; 7], [7]);
        assert_eq!(values(view.detach()), [1.0, 2.0]);
        tape.backward(y.sum() + late.sum()).unwrap();
        assert_eq!(grad(w), [2.0, 2.0]);
        tape.rewind(mark).unwrap();
        assert_eq!((values(view), values(y)), (vec![1.0, 2.0], vec![2.0, 4.0]));
        assert_eq!(grad(w), [2.0, 2.0]);
        assert_eq!(*tape.grads().unwrap(), [2.0, 2.0]);
        tape.zero_grad();
    }
}

#[test]
fn detached_and_unrecorded_values_are_constants() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let x = tape.param(&[3.0], []);
    let fixed = x.detach();
    assert!(x.requires_grad() && !fixed.requires_grad());
    tape.backward(x * fixed).unwrap();
    assert_eq!(grad(x), [3.0]);

    assert!(tape.is_grad_enabled());
    assert!(tape.set_grad_enabled(false));
    let hidden = x * x;
    let p = tape.param(&[1.0], []);
    assert!(!tape.set_grad_enabled(true));
    assert!(!hidden.requires_grad());
    // As in PyTorch, a parameter made meanwhile is one.
    assert!(p.requires_grad());
    let inner = tape.no_grad(|| {
        assert!(!tape.is_grad_enabled());
        tape.no_grad(|| ());
        assert!(!tape.is_grad_enabled());
        x * 2.0
    });
    assert!(tape.is_grad_enabled() && !inner.requires_grad());
    assert_eq!(
        refused(tape.backward(hidden), "backward"),
        ErrorKind::NoGradient
    );
    assert_eq!(
        refused(tape.backward(fixed), "backward"),
        ErrorKind::NoGradient
    );
    // A panic that somebody catches does not leave gradients switched off.
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tape.no_grad(|| std::panic::resume_unwind(Box::new(())));
    }));
    assert!(caught.is_err() && tape.is_grad_enabled());
}

#[test]
fn what_backward_refuses() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let x = tape.param(&[1.0, 2.0], [2]);
    let c = tape.constant(&[1.0], []);
    let y = x * 2.0;
    assert_eq!(
        refused(tape.backward(y), "backward"),
        ErrorKind::NotScalar { shape: [2].into() }
    );
    assert_eq!(refused(tape.backward(c), "backward"), ErrorKind::NoGradient);
    assert_eq!(
        refused(tape.backward(c + 1.0), "backward"),
        ErrorKind::NoGradient
    );
    assert_eq!(
        refused(tape.backward_with(y, &[1.0]), "backward_with"),
        ErrorKind::Length {
            expected: 2,
            found: 1
        }
    );
    // None of it is kept, and nothing was collected.
    assert!(tape.error().is_none() && !x.has_grad());
    tape.backward_with(y, &[1.0, 10.0]).unwrap();
    assert_eq!(grad(x), [2.0, 20.0]);
    // One element, of whatever rank, is a number.
    tape.backward(y.narrow(0, 1, 1).reshape([1, 1, 1])).unwrap();
    assert_eq!(grad(x), [2.0, 22.0]);
    assert_eq!(
        refused(y.item(), "item"),
        ErrorKind::NotScalar { shape: [2].into() }
    );
    assert_eq!(refused(y.grad(), "grad"), ErrorKind::NotParam);
    assert_eq!(refused(c.grad(), "grad"), ErrorKind::NotParam);
    assert_eq!(
        refused(tape.allow_unused(y), "allow_unused"),
        ErrorKind::NotParam
    );
    assert_eq!(
        refused(tape.rebind(x, &[0.0; 2]), "rebind"),
        ErrorKind::NotInput
    );
    assert_eq!(
        refused(tape.rebind(y, &[0.0; 2]), "rebind"),
        ErrorKind::NotInput
    );
    assert_eq!(
        refused(tape.write(y, &[0.0; 2]), "write"),
        ErrorKind::NotLeaf
    );
}

// ---- unused parameters -----------------------------------------------------

#[test]
fn an_unused_parameter_is_named() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let a = tape.param(&[1.0], []);
    let (b, line) = (tape.param(&[2.0, 3.0], [2]), line!());
    let mut sgd = Sgd::new(0.5);

    // No parameter has a gradient: the error names the first.
    let error = tape.step(&mut sgd).unwrap_err();
    assert!(
        matches!(error.kind, ErrorKind::Unused { param: 0, .. }),
        "{error}"
    );

    tape.backward(a * a).unwrap();
    let error = tape.step(&mut sgd).unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::Unused {
            param: 1,
            shape: [2].into()
        }
    );
    assert_eq!(
        (error.op, error.at.file(), error.at.line()),
        ("step", file!(), line)
    );
    assert!(
        error.to_string().contains("parameter 1 of shape [2]"),
        "{error}"
    );
    assert_eq!(*tape.params().unwrap(), [1.0, 2.0, 3.0]);

    tape.allow_unused(b).unwrap();
    tape.step(&mut sgd).unwrap();
    assert_eq!(*tape.params().unwrap(), [0.0, 2.0, 3.0]);

    // A parameter that may go without a gradient may have one.
    tape.replay().unwrap();
    tape.zero_grad();
    tape.backward(a + b.sum()).unwrap();
    tape.step(&mut sgd).unwrap();
    assert_eq!(*tape.params().unwrap(), [-0.5, 1.5, 2.5]);

    // A stale gradient of an earlier round does not count.
    tape.zero_grad();
    tape.replay().unwrap();
    assert!(tape.step(&mut sgd).is_err());
    tape.backward(a * 1.0).unwrap();
    tape.step(&mut sgd).unwrap();
    assert_eq!(*tape.params().unwrap(), [-1.0, 1.5, 2.5]);
}

#[test]
fn empty_parameters_are_counted() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let none = tape.param(&[], [0]);
    let also_none = tape.param(&[], [0, 3]);
    let one = tape.param(&[1.0], []);
    for (number, var) in [none, also_none, one].into_iter().enumerate() {
        assert!(
            matches!(refused(var.grad(), "grad"), ErrorKind::Unused { param, .. } if param == number)
        );
    }
    tape.backward(none.sum() + also_none.sum() + one).unwrap();
    tape.step(&mut Sgd::new(1.0)).unwrap();
    assert_eq!(values(one), [0.0]);

    // A parameter that is not reached is missed like any other.
    tape.replay().unwrap();
    tape.zero_grad();
    tape.backward(none.sum() + one).unwrap();
    let shape = [0, 3].into();
    let error = tape.step(&mut Sgd::new(1.0)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unused { param: 1, shape });
}

#[test]
fn what_goes_without_a_gradient_keeps_its_bits() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0], []);
    let frozen = tape.param(&[-0.0, 0.0, 2.0], [3]);
    tape.allow_unused(frozen).unwrap();
    let loss = w * w;
    let mut sgd = Sgd::new(0.5);
    // Also after a pass that prepared it for gradients to be added.
    for _ in 0..2 {
        tape.backward(loss).unwrap();
        tape.backward(w * 2.0).unwrap();
        tape.step(&mut sgd).unwrap();
        tape.replay().unwrap();
        tape.zero_grad();
        let bits = values(frozen)
            .iter()
            .map(|x| x.to_bits())
            .collect::<Vec<_>>();
        assert_eq!(bits, [-0.0_f32, 0.0, 2.0].map(f32::to_bits));
    }
}

#[test]
fn what_an_optimizer_refuses_names_the_step() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0, 2.0], [2]);
    tape.backward(w.sum()).unwrap();
    let refusal = OptimizerError::StateSize {
        state: 1,
        params: 2,
    };
    assert_eq!(
        refused(tape.step(&mut Adam::<1>::new(0.1)), "step"),
        ErrorKind::Optimizer(refusal)
    );
    assert_eq!(values(w), [1.0, 2.0]);
    // Values are as they were, so there is nothing to replay.
    tape.backward(w.sum()).unwrap();
}

// ---- variables that are not there ------------------------------------------

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
    // Also when something else has taken its place.
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
    // The other tape is none the wiser.
    assert!(foreign.error().is_none());
    assert_eq!(b.item().unwrap(), 2.0);
}

// ---- errors stick ----------------------------------------------------------

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
    // A variable that failed stays unusable.
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

/// Every operation says its name, the shapes it got and the caller's line.
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
            // A call of this macro may take a few lines.
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
    // No shapes to name: a macro cannot guess the type of an empty list.
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

// ---- full arenas -----------------------------------------------------------

/// Grows an arena by what errors ask for until `work` succeeds. Returns the
/// sizes on the way, the sufficient one last.
macro_rules! grow {
    ($from:expr, |$tape:ident| $work:expr) => {{
        let mut sizes = vec![$from];
        loop {
            let size = *sizes.last().unwrap();
            let mut floats = vec![f32::NAN; size];
            let mut nodes = [const { Node::EMPTY }; 16];
            let $tape = Tape::new(&mut floats, &mut nodes);
            let result: Result<(), Error> = $work;
            match result.or(Ok(())).and($tape.error().map_or(result, Err)) {
                Ok(()) => break sizes,
                Err(Error {
                    kind: ErrorKind::Floats { needed, capacity },
                    ..
                }) => {
                    assert_eq!(capacity, size);
                    assert!(needed > size, "{needed} of {size}");
                    sizes.push(needed);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }};
}

#[test]
fn a_full_arena_says_what_is_needed() {
    // A parameter takes its values and its gradient.
    let sizes = grow!(0, |tape| {
        tape.param(&[1.0; 5], [5]);
        Ok(())
    });
    assert_eq!(sizes, [0, 10]);
    let sizes = grow!(9, |tape| {
        tape.constant(&[1.0; 10], [2, 5]);
        Ok(())
    });
    assert_eq!(sizes, [9, 10]);
    // An input takes none.
    let data = [1.0; 10];
    let sizes = grow!(0, |tape| {
        tape.input(&data, [10]);
        Ok(())
    });
    assert_eq!(sizes, [0]);
    // One after the other, each exactly.
    let sizes = grow!(0, |tape| {
        let w = tape.param(&[1.0; 5], [5]);
        let y = w * w;
        let loss = y.sum();
        let gradients = tape.backward(loss);
        assert!(gradients.is_err() || *w.grad().unwrap() == [2.0; 5]);
        gradients
    });
    // Values and gradients of w; y; the loss; the gradients of both.
    assert_eq!(sizes, [0, 10, 15, 16, 16 + 1 + 5]);
    // A late parameter is counted with what is there.
    let sizes = grow!(15, |tape| {
        let w = tape.param(&[1.0; 5], [5]);
        let y = w * w;
        tape.param(&[1.0; 3], [3]);
        drop(y.value());
        Ok(())
    });
    assert_eq!(sizes, [15, 21]);
}

#[test]
fn gradients_are_unchanged_when_a_backward_does_not_fit() {
    let mut floats = [0.0; 21];
    let mut nodes = [const { Node::EMPTY }; 16];
    let tape = Tape::new(&mut floats, &mut nodes);
    let w = tape.param(&[1.0; 5], [5]);
    tape.backward_with(w, &[3.0; 5]).unwrap();
    let loss = (w * w).sum();
    assert_eq!(
        refused(tape.backward(loss), "backward"),
        ErrorKind::Floats {
            needed: 22,
            capacity: 21
        }
    );
    assert_eq!(grad(w), [3.0; 5]);
    assert!(tape.error().is_none());
    assert_eq!(loss.item().unwrap(), 5.0);
}

#[test]
fn nodes_run_out() {
    let mut arena = Arena::<64, 3>::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0], []);
    let mark = tape.mark();
    let y = w + w;
    let z = y + y;
    assert!(tape.error().is_none());
    let full = ErrorKind::Nodes { capacity: 3 };
    assert_eq!(refused(z.try_add(y), "add"), full);
    let over = z * 2.0;
    assert_eq!(refused(over.item(), "mul"), full);
    assert!(tape.error().unwrap().to_string().contains("4 nodes"));
    tape.rewind(mark).unwrap();
    let (y, z) = (w + 1.0, w + 2.0);
    assert_eq!((y.item().unwrap(), z.item().unwrap()), (2.0, 3.0));
    let extra = tape.param(&[1.0], []);
    assert_eq!(refused(extra.item(), "param"), full);
    tape.rewind(mark).unwrap();
    let _ = (w + 1.0, w + 2.0);
    let extra = tape.constant(&[1.0], []);
    assert_eq!(refused(extra.item(), "constant"), full);
    tape.rewind(mark).unwrap();
    let _ = (w + 1.0, w + 2.0);
    let extra = tape.input(&[1.0], []);
    assert_eq!(refused(extra.item(), "input"), full);
    assert_eq!(tape.usage().inputs, 0);
}

#[test]
fn inputs_take_nodes_only() {
    let data = [1.0, 2.0];
    let mut arena = Arena::<0, 12>::new();
    let tape = arena.tape();
    let mark = tape.mark();
    for _ in 0..3 {
        let inputs = [(); 12].map(|()| tape.input(&data, [2]));
        assert_eq!(tape.usage().inputs, 12);
        assert_eq!(values(inputs[11]), data);
        let kind = ErrorKind::Nodes { capacity: 12 };
        assert_eq!(refused(tape.input(&data, [2]).item(), "input"), kind);
        tape.rewind(mark).unwrap();
        assert_eq!(tape.usage().inputs, 0);
    }
}

#[test]
fn no_memory_at_all() {
    let mut arena = Arena::<0, 0>::new();
    let tape = arena.tape();
    assert_eq!(tape.usage().capacity_bytes(), 0);
    tape.replay().unwrap();
    tape.zero_grad();
    tape.step(&mut Sgd::new(0.1)).unwrap();
    assert!(tape.params().unwrap().is_empty() && tape.grads().unwrap().is_empty());
    let x = tape.constant(&[], [0]);
    assert_eq!(
        refused(x.value(), "constant"),
        ErrorKind::Nodes { capacity: 0 }
    );
}

#[test]
fn lengths_and_shapes_must_agree() {
    let data = [1.0, 2.0, 3.0];
    let mut arena = Small::new();
    let tape = arena.tape();
    let mark = tape.mark();
    let kind = ErrorKind::Length {
        expected: 4,
        found: 3,
    };
    let x = tape.param(&data, [2, 2]);
    assert_eq!(refused(x.item(), "param"), kind);
    tape.rewind(mark).unwrap();
    let x = tape.constant(&data, [4]);
    assert_eq!(refused(x.item(), "constant"), kind);
    tape.rewind(mark).unwrap();
    let x = tape.input(&data, [4, 1]);
    assert_eq!(refused(x.item(), "input"), kind);
    tape.rewind(mark).unwrap();
    let x = tape.param(&data, [3]);
    let kind = ErrorKind::Length {
        expected: 3,
        found: 2,
    };
    assert_eq!(refused(tape.write(x, &data[..2]), "write"), kind);
}

// ---- leaves whose values are computed ---------------------------------------

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

    // As if they had been given.
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
    // Those errors were returned; the rest is as usual.
    assert!(tape.error().is_none());
    assert_eq!((w * x).item().unwrap(), 6.0);

    // An error that cannot be returned is kept, as that of the leaf.
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

// ---- guards ----------------------------------------------------------------

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
        // Looking is possible, by any number.
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
    // An operator has no other way than to keep the error.
    let guard = y.value().unwrap();
    let dead = w + w;
    drop(guard);
    assert_eq!(refused(dead.item(), "add"), ErrorKind::Borrowed);
}

// ---- values that are out of date -------------------------------------------

#[test]
fn an_error_is_told_once() {
    // The arena has not a float to spare, so that gradients cannot begin where a cache line does:
    // that attempt is given up without an error.
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

    // Rewound to leaves, nothing is out of date.
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

/// The first operation counts as well; a leaf is never out of date.
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

/// An input rebound to another batch size waits for a replay, also if all that
/// was computed from it is dropped meanwhile.
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
    // Replayed between rewind and recording, it is as good.
    tape.rebind(x, &data[..1]).unwrap();
    tape.rewind(mark).unwrap();
    tape.replay().unwrap();
    tape.zero_grad();
    let loss = (w * x).sum();
    tape.backward(loss).unwrap();
    assert_eq!((loss.item().unwrap(), grad(w)), (1.0, vec![1.0]));
}

// ---- rebinding -------------------------------------------------------------

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

    // The same batches, recorded afresh.
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

/// While a small batch is in, results keep the room of the large one.
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
    // The error says how many rows there may be.
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

    // As before, once replayed.
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

// ---- odd data --------------------------------------------------------------

#[test]
fn nan_flows_through() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let x = tape.param(&[f32::NAN, 1.0, -1.0], [3]);
    let y = x.relu();
    assert!(values(y)[0].is_nan());
    assert_eq!(values(y)[1..], [1.0, 0.0]);
    for z in [x.sum(), x.max(), x.min(), x.mean(), x.softmax(0).sum()] {
        assert!(z.item().unwrap().is_nan(), "{z:?}");
    }
    let loss = x.square().sum();
    tape.backward(loss).unwrap();
    let g = grad(x);
    assert!(g[0].is_nan());
    assert_eq!(g[1..], [2.0, -2.0]);
    tape.step(&mut Sgd::new(0.5)).unwrap();
    tape.replay().unwrap();
    assert!(loss.item().unwrap().is_nan());
    assert_eq!(values(x)[1..], [0.0, 0.0]);
}

/// Every operation on tensors without elements: an answer or an error, never a
/// panic, forward and backward.
#[test]
fn empty_tensors_never_panic() {
    use baregrad::ops::{ALL, Args, Build};
    let mut done = 0;
    for shape in [[0, 3], [3, 0], [0, 0], [1, 0], [0, 1]] {
        for entry in ALL.iter().copied().flatten() {
            for axis in [0, 1, -1] {
                let count = match entry.build {
                    Build::One(_) => 1,
                    Build::Two(_) => 2,
                    Build::Three(_) => 3,
                    Build::Many(_) => 4,
                };
                let mut arena = Arena::<64, 32>::new();
                let tape = arena.tape();
                let mut vars = vec![tape.param(&[], shape); count];
                vars[0] = tape.param(&[], shape);
                let args = Args {
                    axis: Some(axis),
                    start: 0,
                    length: 0,
                    ..entry.args
                };
                let Some(y) = entry.build.call(&vars, &args) else {
                    continue;
                };
                if let Ok(found) = y.value().map(|value| value.len()) {
                    let ones = vec![1.0; found];
                    // A comparison has no gradient.
                    if y.requires_grad() {
                        tape.backward_with(y, &ones).unwrap();
                    }
                    tape.replay().unwrap();
                    done += 1;
                }
            }
        }
    }
    assert!(done > 400, "{done}");
}

#[test]
fn empty_tensors_beside_others() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let e = tape.param(&[], [0, 3]);
    let row = tape.param(&[1.0, 2.0, 3.0], [3]);
    let column = tape.constant(&[], [2, 0]);
    let y = e * row;
    assert_eq!(y.shape().dims(), [0, 3]);
    let z = column.matmul(e);
    assert_eq!(z.shape().dims(), [2, 3]);
    assert_eq!(values(z), [0.0; 6]);
    let both = tape.concat(&[z, e, row.reshape([1, 3])], 0);
    assert_eq!(both.shape().dims(), [3, 3]);
    let loss = y.sum() + both.sum() + e.sum_axis(0, false).sum() + e.sum_axis(1, false).sum();
    assert_eq!(loss.item().unwrap(), 6.0);
    tape.backward(loss).unwrap();
    assert_eq!((grad(e), grad(row)), (vec![], vec![1.0; 3]));
    assert!(e.mean().item().unwrap().is_nan());
    let largest = e.max();
    assert!(matches!(
        refused(largest.item(), "max"),
        ErrorKind::Shape {
            why: ShapeError::Empty,
            ..
        }
    ));
}

#[test]
fn four_dimensions() {
    let data: Vec<f32> = (0..24).map(|i| i as f32).collect();
    let mut arena = Arena::<512, 32>::new();
    let tape = arena.tape();
    let x = tape.param(&data, [2, 3, 2, 2]);
    let scale = tape.param(&[1.0, 10.0, 100.0], [3, 1, 1]);
    let y = x * scale;
    assert_eq!(y.shape().dims(), [2, 3, 2, 2]);
    let t = y.transpose(1, 3);
    assert_eq!(t.shape().dims(), [2, 2, 2, 3]);
    // t[1, 0, 1, 2] = y[1, 2, 1, 0]
    assert_eq!(values(t)[12 + 3 + 2], 100.0 * 22.0);
    let sums = t.sum_axis(-2, true).max_axis(0, false);
    assert_eq!(sums.shape().dims(), [2, 1, 3]);
    tape.backward(y.sum()).unwrap();
    let per_channel = |c: usize| (0..24).filter(|i| i / 4 % 3 == c).sum::<usize>() as f32;
    assert_eq!(
        grad(scale),
        [per_channel(0), per_channel(1), per_channel(2)]
    );
    assert_eq!(grad(x)[4], 10.0);
}

// ---- what it looks like ----------------------------------------------------

#[test]
fn display() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let s = tape.param(&[2.5], []);
    let v = tape.param(&[3.0, 5.25, -1.0], [3]);
    assert_eq!(format!("{s}"), "2.5");
    assert_eq!(format!("{s:.2}"), "2.50");
    assert_eq!(format!("{v}"), "[3, 5.25, -1] with shape [3]");
    assert_eq!(format!("{v:.1}"), "[3.0, 5.2, -1.0] with shape [3]");
    assert_eq!(
        format!("{}", v.reshape([3, 1])),
        "[3, 5.25, -1] with shape [3, 1]"
    );
    assert_eq!(format!("{}", s.reshape([1])), "[2.5] with shape [1]");
    assert!(format!("{v:?}").contains("[3]"));
    let dead = v + tape.constant(&[0.0; 2], [2]);
    let text = format!("{dead}");
    assert!(
        text.starts_with("(add: ") && text.contains("[3] and [2]"),
        "{text}"
    );
    assert!(format!("{tape:?}").contains("add"));
    let source: &dyn core::error::Error = &tape.error().unwrap();
    assert!(!source.to_string().is_empty());
}

// ---- memory ----------------------------------------------------------------

#[test]
fn usage_is_exact() {
    let data = [1.0; 6];
    let mut arena = Arena::<100, 20>::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0; 2], [2, 1]);
    let b = tape.param(&[1.0], [1]);
    let x = tape.input(&data, [3, 2]);
    let y = tape.constant(&[1.0; 3], [3, 1]);
    let mark = tape.mark();
    assert_eq!((tape.usage().floats, tape.usage().nodes), (2 * 3 + 3, 4));
    let out = x.matmul(w) + b;
    let loss = (out - y).square().mean();
    let usage = tape.usage();
    // Products, sums, differences, squares, the loss.
    assert_eq!(
        (usage.floats, usage.nodes, usage.inputs),
        (9 + 4 * 3 + 1, 9, 1)
    );
    assert_eq!((usage.floats_peak, usage.nodes_peak), (22, 9));
    assert_eq!((usage.floats_capacity, usage.nodes_capacity), (100, 20));
    assert_eq!(usage.capacity_bytes(), 400 + 20 * size_of::<Node>());
    tape.backward(loss).unwrap();
    // Beside the loss's gradient two of three numbers each, taking turns.
    assert_eq!((tape.usage().floats, tape.usage().floats_peak), (29, 29));
    for _ in 0..3 {
        tape.backward(loss).unwrap();
        tape.step(&mut Sgd::new(0.1)).unwrap();
        tape.replay().unwrap();
    }
    assert_eq!(tape.usage().floats_peak, 29);
    tape.rewind(mark).unwrap();
    let usage = tape.usage();
    assert_eq!((usage.floats, usage.floats_peak), (9, 29));
    assert_eq!((usage.nodes, usage.nodes_peak), (4, 9));
}

/// A deep chain needs the gradients of two neighbours at a time.
#[test]
fn gradient_buffers_are_shared() {
    let mut arena = Arena::<2000, 32>::new();
    let tape = arena.tape();
    let x = tape.param(&[0.1; 100], [100]);
    let mut y = x;
    for _ in 0..10 {
        y = y.tanh();
    }
    let loss = y.sum();
    let before = tape.usage().floats;
    assert_eq!(before, 200 + 1000 + 1);
    tape.backward(loss).unwrap();
    assert_eq!(tape.usage().floats_peak - before, 2 * 100 + 1);
}

/// Nodes that lead to no parameter get no gradient.
#[test]
fn constants_take_no_gradients() {
    let mut arena = Arena::<2000, 32>::new();
    let tape = arena.tape();
    let w = tape.param(&[0.5], []);
    let c = tape.constant(&[0.1; 100], [100]);
    let features = c.tanh().exp();
    let loss = (features * w).sum();
    let before = tape.usage().floats;
    tape.backward(loss).unwrap();
    assert_eq!(tape.usage().floats_peak - before, 100 + 1);
}

#[test]
fn an_arena_is_used_again() {
    let mut arena = Small::new();
    for round in 0..3 {
        let tape = arena.tape();
        assert_eq!((tape.usage().nodes, tape.usage().floats_peak), (0, 0));
        let w = tape.param(&[round as f32], []);
        let y = w * w;
        tape.backward(y).unwrap();
        assert_eq!(grad(w), [2.0 * round as f32]);
        let _ = w + tape.constant(&[0.0; 2], [2]).matmul(w);
        assert!(tape.error().is_some());
    }
}

/// A variable that could not be recorded stays an error after a rewind has cleared
/// the one the tape kept, whatever was planned before.
#[test]
fn what_was_never_recorded_stays_an_error() {
    for planned_before in [false, true] {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let w = tape.param(&[1.0, 2.0], [2]);
        let mark = tape.mark();
        if planned_before {
            tape.backward(w.sum()).unwrap();
        }
        let lost = w + tape.constant(&[0.0; 3], [3]);
        assert!(tape.backward(lost).is_err());
        tape.rewind(mark).unwrap();
        assert_eq!(tape.backward(lost).unwrap_err().kind, ErrorKind::Stale);
        assert_eq!(
            tape.backward_with(lost, &[1.0]).unwrap_err().kind,
            ErrorKind::Stale
        );
        assert_eq!(lost.item().unwrap_err().kind, ErrorKind::Stale);
    }
}

// ---- empty tensors with large other sizes -----------------------------------

/// `2^exponent`, or as large as a size can be.
fn power(exponent: u32) -> usize {
    1usize.checked_shl(exponent).unwrap_or(usize::MAX)
}

/// Runs `check`, which names what it is about to do, and fails if that takes a minute.
fn in_time(check: impl FnOnce(&dyn Fn(String)) + Send + 'static) {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    let (send, receive) = channel::<String>();
    let thread = std::thread::spawn(move || check(&|doing| send.send(doing).unwrap()));
    let mut last = String::new();
    loop {
        match receive.recv_timeout(std::time::Duration::from_secs(60)) {
            Ok(doing) => last = doing,
            Err(RecvTimeoutError::Timeout) => panic!("no end of {last}"),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if thread.join().is_err() {
        panic!("in {last}");
    }
}

/// Every operation on empty tensors whose other sizes are as large as they can be: an
/// answer or an error, at once, forward and backward.
#[test]
fn empty_tensors_of_any_size_take_no_time() {
    use baregrad::ops::{ALL, Build};
    in_time(|doing| {
        let sizes = [0, 1, 3, power(20), power(31), power(40), usize::MAX];
        let mut random = 1u32;
        let mut draw = |n: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as usize % n
        };
        let mut arena = Arena::<512, 64>::new();
        let tape = arena.tape();
        let start = tape.mark();
        let mut done = 0;
        for entry in ALL.iter().copied().flatten() {
            let count = match entry.build {
                Build::One(_) => 1,
                Build::Two(_) => 2,
                Build::Three(_) => 3,
                Build::Many(_) => 5,
            };
            for round in 0..150 {
                // One shape for all, or a few sizes changed; each with a zero somewhere, or
                // small enough to be filled.
                let rank = 1 + draw(4);
                let first: [usize; 4] = std::array::from_fn(|_| sizes[draw(sizes.len())]);
                let zero = draw(rank);
                let operands: Vec<Vec<usize>> = (0..count)
                    .map(|_| {
                        let mut dims = first[..rank].to_vec();
                        if round % 2 == 1 {
                            dims[draw(rank)] = sizes[draw(sizes.len())];
                            dims.truncate(1 + draw(rank));
                        }
                        let shape = Shape::new(&dims).unwrap();
                        if shape.numel() > 12 {
                            let last = dims.len() - 1;
                            dims[zero.min(last)] = 0;
                        }
                        dims
                    })
                    .collect();
                let mut args = entry.args;
                args.axis = Some(draw(rank) as isize);
                args.d0 = draw(rank) as isize;
                args.d1 = draw(rank) as isize;
                args.keepdim = draw(2) == 0;
                args.start = sizes[draw(sizes.len())];
                args.length = sizes[draw(sizes.len())];
                if draw(2) == 0 {
                    args.start = first[draw(rank)] / 2;
                    args.length = args.start;
                }
                args.rank = rank;
                args.shape = std::array::from_fn(|_| {
                    let negative = draw(8) == 0;
                    if negative {
                        -1
                    } else {
                        sizes[draw(sizes.len())] as isize
                    }
                });
                doing(format!("{} {operands:?} {args:?}", entry.name));
                let vars: Vec<_> = operands
                    .iter()
                    .map(|dims| {
                        let shape = Shape::new(dims).unwrap();
                        tape.param(&vec![0.5; shape.numel()], shape)
                    })
                    .collect();
                let y = entry.build.call(&vars, &args).unwrap();
                if tape.error().is_none() {
                    let found = y.value().unwrap().len();
                    assert_eq!(y.shape().numel(), found);
                    let sent = tape.backward_with(y, &vec![1.0; found]);
                    match sent.map_err(|error| error.kind) {
                        Ok(()) => {
                            // A mask has none either.
                            for var in vars.iter().filter(|var| var.has_grad()) {
                                // Nothing is left of what stood there before.
                                assert_eq!(grad(*var).len(), var.shape().numel());
                                if found == 0 {
                                    assert!(grad(*var).iter().all(|g| *g == 0.0));
                                }
                            }
                            for var in vars.iter().filter(|var| !var.has_grad()) {
                                tape.allow_unused(*var).unwrap();
                            }
                            tape.step(&mut Sgd::new(0.5)).unwrap();
                            tape.replay().unwrap();
                        }
                        // A comparison has no gradient.
                        Err(kind) if !y.requires_grad() => {
                            assert!(matches!(kind, ErrorKind::NoGradient));
                        }
                        Err(kind) => assert!(matches!(kind, ErrorKind::Floats { .. })),
                    }
                    done += 1;
                }
                tape.rewind(start).unwrap();
            }
        }
        assert!(done > 2000, "{done}");
    });
}

/// Shapes are PyTorch's: `torch.empty(2**40, 0).T.shape` and so on.
#[test]
fn shapes_of_empty_tensors() {
    in_time(|doing| {
        let (big, half) = (power(40), power(39));
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let start = tape.mark();
        let check = |what: &str, from: &[usize], op: &dyn Fn(Var<'_>) -> Shape, to: &[usize]| {
            doing(what.to_string());
            let x = tape.param(&[], Shape::new(from).unwrap());
            let shape = op(x);
            assert!(tape.error().is_none(), "{what}: {:?}", tape.error());
            assert_eq!(shape.dims(), to, "{what}");
            tape.replay().unwrap();
            tape.rewind(start).unwrap();
        };
        let run = |y: Var<'_>| {
            if let Ok(n) = y.value().map(|y| y.len()) {
                y.tape().backward_with(y, &vec![1.0; n]).unwrap();
            }
            y.shape()
        };
        check(
            "transpose",
            &[big, 0],
            &|x| run(x.transpose(0, 1)),
            &[0, big],
        );
        check(
            "transpose of 4",
            &[big, usize::MAX, 0, 3],
            &|x| run(x.transpose(0, 3)),
            &[3, usize::MAX, 0, big],
        );
        check(
            "narrow",
            &[big, 0],
            &|x| run(x.narrow(0, half, half)),
            &[half, 0],
        );
        check(
            "narrow to nothing",
            &[big, 0],
            &|x| run(x.narrow(1, 0, 0)),
            &[big, 0],
        );
        check(
            "narrow of 3",
            &[usize::MAX, usize::MAX, 0],
            &|x| run(x.narrow(1, 1, usize::MAX - 1)),
            &[usize::MAX, usize::MAX - 1, 0],
        );
        check("select", &[big, 0], &|x| run(x.select(0, half)), &[0]);
        check(
            "concat",
            &[half, 0],
            &|x| run(x.tape().concat(&[x, x], 0)),
            &[2 * half, 0],
        );
        check(
            "concat of five",
            &[usize::MAX, usize::MAX, 0],
            &|x| run(x.tape().concat(&[x; 5], 2)),
            &[usize::MAX, usize::MAX, 0],
        );
        check("softmax", &[big, 0], &|x| run(x.softmax(1)), &[big, 0]);
        check(
            "log_softmax",
            &[big, 0, 3],
            &|x| run(x.log_softmax(0)),
            &[big, 0, 3],
        );
        check("sum", &[big, 0], &|x| run(x.sum()), &[]);
        check("sum_axis", &[big, 0], &|x| run(x.sum_axis(0, false)), &[0]);
        check(
            "mean_axis",
            &[0, big, 3],
            &|x| run(x.mean_axis(1, true)),
            &[0, 1, 3],
        );
        check("max_axis", &[0, big], &|x| run(x.max_axis(1, false)), &[0]);
        check(
            "amin",
            &[0, power(32) - 1],
            &|x| run(x.amin(1, false)),
            &[0],
        );
        check("reshape", &[big, 0], &|x| run(x.reshape([-1, 3])), &[0, 3]);
        check("add", &[big, 1, 0], &|x| run(x + x), &[big, 1, 0]);
        check(
            "add, stretched by turns",
            &[power(31), 1, 0, 1],
            &|x| {
                let other = x.tape().param(&[0.5; 5], [1, 1, 1, 5]);
                run(x + other.reshape([1, 1, 1, 5]))
            },
            &[power(31), 1, 0, 5],
        );
        check(
            "matmul",
            &[0, big],
            &|x| run(x.matmul(x.transpose(0, 1))),
            &[0, 0],
        );
        check(
            "linear",
            &[big, 0],
            &|x| {
                let b = x.tape().param(&[], [0]);
                run(x.linear(x.transpose(0, 1).matmul(x), b))
            },
            &[big, 0],
        );
        check("tanh", &[big, 0], &|x| run(x.tanh()), &[big, 0]);
    });
}

/// Shapes of too many elements are refused, with what was asked for.
#[test]
fn refusals_of_empty_tensors_say_what_was_asked() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let start = tape.mark();
    let why = |dims: &[usize], op: &dyn Fn(Var<'_>)| {
        let x = tape.param(&[], Shape::new(dims).unwrap());
        op(x);
        let kind = tape.error().unwrap().kind;
        tape.rewind(start).unwrap();
        match kind {
            ErrorKind::Shape { why, .. } => why,
            other => panic!("{other:?}"),
        }
    };
    let big = power(40);
    let end = big.saturating_add(1);
    let range = ShapeError::Range { end, size: big };
    assert_eq!(why(&[big, 0], &|x| _ = x.select(0, big)), range);
    assert_eq!(why(&[big, 0], &|x| _ = x.narrow(0, 1, big)), range);
    // An end that no number can say: it is not that of the largest axis.
    let (most, end) = (usize::MAX, usize::MAX);
    let range = ShapeError::Range { end, size: most };
    for (start, length) in [(most, 1), (most, 2), (most - 1, 2), (2, most), (most, most)] {
        assert_eq!(why(&[most, 0], &|x| _ = x.narrow(0, start, length)), range);
        assert_eq!(why(&[0, most], &|x| _ = x.narrow(1, start, length)), range);
    }
    assert_eq!(why(&[most, 0], &|x| _ = x.select(0, most)), range);
    assert_eq!(
        why(&[big, 0], &|x| _ = x.max_axis(1, false)),
        ShapeError::Empty
    );
    for size in [-2, -5, isize::MIN, u32::MAX as isize, isize::MAX] {
        assert_eq!(
            why(&[0], &|x| _ = x.reshape([size, 0])),
            ShapeError::Size { size }
        );
    }
    let text = ShapeError::Size { size: -2 }.to_string();
    assert!(text.starts_with("a size of -2 cannot be"), "{text}");
    assert_eq!(why(&[0], &|x| _ = x.reshape([-1, 0])), ShapeError::Reshape);
    // Sizes that cannot be added.
    assert!(matches!(
        why(&[usize::MAX, 0], &|x| _ = x.tape().concat(&[x, x], 0)),
        ShapeError::Other(_)
    ));
    // With elements after all, more than there can be.
    let x = tape.param(&[], [big, 0]);
    assert!(matches!(
        refused(x.sum_axis(1, false).item(), "sum"),
        ErrorKind::Floats { .. }
    ));
}

/// Kernels by themselves.
#[test]
fn kernels_have_nothing_to_do_for_empty_results() {
    use baregrad::kernel::{self, Acc, Broadcast, Product};
    in_time(|doing| {
        let big = usize::MAX;
        let none: &mut [f32] = &mut [];
        let (x, s, r) = ([], [big, 0, big], [big, big]);
        doing("kernels".to_string());
        for acc in [Acc::Set, Acc::Add] {
            kernel::transpose(&x, [big, big, 0, big, big], none, acc);
            kernel::paste(&x, s, r, none, acc);
            kernel::cut(&x, s, r, none, acc);
            kernel::spread(&x, 1.0, s, none, acc);
            kernel::softmax_grad::<true>(&x, &x, s, none, acc);
            kernel::softmax_grad::<false>(&x, &x, s, none, acc);
            kernel::matmul_tn(&x, &x, none, s, acc);
            kernel::matmul_nt(&x, &x, none, s, acc);
        }
        kernel::softmax::<true>(&x, s, none);
        kernel::softmax::<false>(&x, s, none);
        kernel::sum_axis(&x, s, none);
        kernel::max_axis(&x, s, none);
        kernel::min_axis(&x, s, none);
        kernel::send_to_extremes(&x, &x, &x, s, kernel::Ties::Even, none, Acc::Set);
        kernel::matmul(&x, &x, none, s);
        kernel::linear(&x, &x, &x, none, s);
        let (a, b) = (Shape::from([big, 1, 0, 1]), Shape::from([1, big, 1, 5]));
        let (shape, stretch) = Broadcast::new(&a, &b).unwrap();
        assert_eq!(shape, Shape::from([big, big, 0, 5]));
        kernel::zip(Product, &stretch, &x, &[1.0; 5], none);
    });
}

#[cfg(feature = "std")]
#[test]
fn a_heap_arena_of_more_than_there_is_says_so() {
    use baregrad::HeapArena;
    for (floats, nodes) in [
        (usize::MAX, 1),
        (usize::MAX - 15, 1),
        (usize::MAX / 4, 0),
        (1, usize::MAX),
        (1, usize::MAX / size_of::<Node>()),
    ] {
        let made = std::panic::catch_unwind(|| HeapArena::new(floats, nodes));
        let message = *made.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("HeapArena::new"), "{message}");
        assert!(message.contains(&floats.to_string()), "{message}");
    }
}

/// More elements than 32 bits can count: memory that is never touched.
#[cfg(target_pointer_width = "64")]
#[test]
#[allow(unsafe_code)]
fn an_input_of_more_than_32_bits_is_refused() {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    const END: usize = u32::MAX as usize;
    let len = END + 4;
    let layout = Layout::array::<f32>(len).unwrap();
    // SAFETY: the layout is not empty.
    let start = unsafe { alloc_zeroed(layout) };
    if start.is_null() {
        eprintln!("left out: the system does not lend 17 GB, not even untouched");
        return;
    }
    {
        // SAFETY: zeros are numbers, and the slice is gone before they are freed.
        let data = unsafe { std::slice::from_raw_parts(start.cast::<f32>(), len) };
        let mut arena = Small::new();
        let tape = arena.tape();
        let x = tape.input(data, [len]);
        let most = u32::MAX;
        let kind = ErrorKind::TooLong { most, found: len };
        assert_eq!(refused(x.value(), "input"), kind);
        let text = tape.error().unwrap().to_string();
        assert!(text.contains("expected at most 4294967295 values, found 4294967299"));
        assert_eq!(tape.usage().nodes, 0);

        // As many as can be; and a data set may be longer.
        let mut arena = Small::new();
        let tape = arena.tape();
        let x = tape.input(&data[..most as usize], [most as usize]);
        assert_eq!(x.value().unwrap().len(), most as usize);
        let part = x.narrow(0, most as usize - 2, 2);
        assert_eq!(values(part), [0.0; 2]);
        let error = tape.rebind(x, data).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Rows { found, .. } if found == len));
        tape.rebind(x, &data[..1]).unwrap();
        let error = tape.replay().unwrap_err();
        assert!(matches!(
            error.kind,
            ErrorKind::Shape {
                why: ShapeError::Range { end: END, size: 1 },
                ..
            }
        ));
    }
    // SAFETY: allocated with this layout.
    unsafe { dealloc(start, layout) };
}

// ---- what is named, and how ---------------------------------------------------

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
    // Of two wrong axes the first is named.
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

/// With nodes full, what is wrong with an operation is still what is wrong with it.
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

/// A tape that is asked by what it runs is not said to have lent something.
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

// ---- joined tensors: all or nothing -----------------------------------------

/// A chain of nodes is counted before the first of them is recorded: the
/// right number is the smallest arena, found by trying.
#[test]
fn joining_many_tensors_takes_all_or_nothing() {
    for count in 1..=9 {
        let record = |floats: usize, nodes: usize| {
            let mut floats = vec![0.0; floats];
            let mut nodes = vec![Node::EMPTY; nodes];
            let tape = Tape::new(&mut floats, &mut nodes);
            let x = tape.input(&[1.0, 2.0], [2]);
            let before = tape.usage();
            let all = tape.concat(&vec![x; count], 0);
            let error = tape.error().map(|error| error.kind);
            if error.is_some() {
                assert_eq!(tape.usage(), before, "{count}");
            } else {
                assert_eq!(values(all), [1.0, 2.0].repeat(count));
            }
            error
        };
        let fewest = (0..200).position(|n| record(n, 32).is_none()).unwrap();
        for capacity in 0..fewest {
            let needed = fewest;
            let expected = ErrorKind::Floats { needed, capacity };
            assert_eq!(record(capacity, 32), Some(expected), "{count}");
        }
        let nodes = (1..32).find(|n| record(200, *n).is_none()).unwrap();
        // The input; three joined, and two more with each further node.
        assert_eq!(nodes, 1 + (count / 2).max(1));
        for capacity in 1..nodes {
            let expected = ErrorKind::Nodes { capacity };
            assert_eq!(record(200, capacity), Some(expected), "{count}");
        }
    }
    // One that does not fit, late in the chain.
    let mut arena = Arena::<200, 32>::new();
    let tape = arena.tape();
    let x = tape.input(&[1.0, 2.0], [1, 2]);
    let odd = tape.input(&[1.0, 2.0, 3.0], [1, 3]);
    let before = tape.usage();
    let _ = tape.concat(&[x, x, x, x, x, odd, x], 0);
    let error = tape.error().unwrap();
    assert_eq!((error.op, error.at.file()), ("concat", file!()));
    let expected: [Shape; 3] = [[5, 2].into(), [1, 3].into(), [1, 2].into()];
    assert_eq!(shapes(error.kind), expected);
    assert_eq!(tape.usage(), before);
}

// ---- lines that no test noticed ------------------------------------------------

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

/// A parameter as the loss forgets which others the loss before it reached.
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

/// Gradients that are passed on as they are: once, to what has as many elements, and to
/// nothing that has one of its own already.
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
    // Twice to one.
    let x = w * 3.0;
    check((x + x) * 1.0, 6.0);
    // To one of which more is added later.
    let (x, z) = (w * 3.0, w * 5.0);
    check((x + z) * 1.0 + x, 11.0);
    // To two, one of which changes it on its way: 2 (3 + 2 · 5 · 10).
    let (x, z) = (w * 3.0, (w * 5.0).square());
    check((x + z) * 2.0, 206.0);
    // Not where it was stretched.
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
        // It is still closed.
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
