//! Tests of gradients: accumulation, broadcasting, several losses, parameters without a gradient.

use super::*;

// ---- gradients ------------------------------------------------------------

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
    // A loss that is recorded afterwards adds to them.
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
    // Here z = 3 x⁶ + x².
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
    // As in PyTorch, a parameter that is made meanwhile needs a gradient.
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
    // A panic that is caught does not leave gradients disabled.
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
    // The tape keeps none of the errors, and collected no gradients.
    assert!(tape.error().is_none() && !x.has_grad());
    tape.backward_with(y, &[1.0, 10.0]).unwrap();
    assert_eq!(grad(x), [2.0, 20.0]);
    // A tensor of one element, of any rank, counts as a scalar.
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

// ---- unused parameters ----------------------------------------------------

#[test]
fn an_unused_parameter_is_named() {
    let mut arena = Small::new();
    let tape = arena.tape();
    let a = tape.param(&[1.0], []);
    let (b, line) = (tape.param(&[2.0, 3.0], [2]), line!());
    let mut sgd = Sgd::new(0.5);

    // If no parameter has a gradient, the error names the first.
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

    // A parameter that is allowed to have no gradient may have one.
    tape.replay().unwrap();
    tape.zero_grad();
    tape.backward(a + b.sum()).unwrap();
    tape.step(&mut sgd).unwrap();
    assert_eq!(*tape.params().unwrap(), [-0.5, 1.5, 2.5]);

    // A gradient of an earlier round does not count.
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

    // A parameter that is not reached is an error again.
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
    // The same after a pass that prepared it for accumulation.
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
    // Values are unchanged, so no replay is needed.
    tape.backward(w.sum()).unwrap();
}
