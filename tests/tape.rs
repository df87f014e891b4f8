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

    // Nothing yet: the first one.
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

    // Allowed to go without, not obliged to.
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

    // One that is not reached is missed like any other.
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
        state: 3,
        params: 2,
    };
    assert_eq!(
        refused(tape.step(&mut Adam::<3>::new(0.1)), "step"),
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
    // What failed stays unusable.
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
    // They were told; the rest is as usual.
    assert!(tape.error().is_none());
    assert_eq!((w * x).item().unwrap(), 6.0);

    // What cannot be told is kept, as of the leaf.
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
    // To the float, so that gradients do not begin where a cache line does: the way
    // they are tried first is given up, and nobody is told.
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

/// What was recorded before the mark stays out of date across a rewind.
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

    // Both: fine. A rebind that is taken back before the replay: also.
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
                    tape.backward_with(y, &ones).unwrap();
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
