//! Tests of `gradcheck` itself. (`ops.rs` runs it on every operation.)

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use baregrad::gradcheck::{Gradcheck, gradcheck};
use baregrad::kernel::{self, Acc, Lanes, Map};
use baregrad::op::{Attrs, Backward, Forward, Op};
use baregrad::{Arena, ErrorKind, Shape, ShapeError};

fn bits(xs: &[f32]) -> Vec<u32> {
    xs.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn leaves_everything_as_it_was() {
    let mut arena = Arena::<128, 16>::new();
    let tape = arena.tape();
    let w = tape.param(&[0.1, -0.0, 1e-20, 3e7], [4]);
    let b = tape.param(&[-0.5], []);
    let values = (w * 0.25).tanh() * b;
    let loss = values.square().sum();
    tape.backward(loss).unwrap();
    let params = bits(&tape.params().unwrap());
    let grads = bits(&tape.grads().unwrap());
    let recorded = bits(&values.value().unwrap());
    let nodes = tape.usage().nodes;

    // Gradients from before have no influence, and are not added to.
    tape.backward(loss).unwrap();
    let report = gradcheck(loss).unwrap();
    assert_eq!(report.checked, 5);
    assert!(report.passed(), "{report}");
    assert_eq!(bits(&tape.params().unwrap()), params);
    assert_eq!(bits(&tape.grads().unwrap()), grads);
    assert_eq!(bits(&values.value().unwrap()), recorded);
    assert_eq!(tape.usage().nodes, nodes);
    // No replay is needed afterwards.
    tape.backward(loss).unwrap();
}

#[test]
fn works_over_many_magnitudes() {
    for scale in [1e-6_f32, 1e-3, 1.0, 1e3, 1e6] {
        for x in [1e-3_f32, 0.4, 1.0, 60.0] {
            let mut arena = Arena::<32, 16>::new();
            let tape = arena.tape();
            let x = tape.param(&[x], []);
            let loss = scale * (x * 0.1).exp() / (1.0 + x.square());
            let report = gradcheck(loss).unwrap();
            assert!(report.passed(), "{scale:e} at {x}: {report}");
            let worst = report.worst.unwrap();
            // The bound is useful: it is a small part of the gradient, except where the loss hardly
            // changes.
            let noise = 2e-5 * loss.item().unwrap().abs();
            assert!(
                worst.allowed <= 0.01 * worst.analytic.abs() + noise,
                "{report}"
            );
        }
    }
}

/// An operation that cubes, with an error in its slope that `FAULT` selects.
struct Faulty<const FAULT: u8>;

const SIGN: u8 = 1;
const FIVE_PERCENT: u8 = 2;
const ONE_LANE: u8 = 3;
const MISSING: u8 = 4;

struct Cube;
impl Map<1> for Cube {
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        x * x * x
    }
}

struct Slope(f32);
impl Map<2> for Slope {
    fn apply<L: Lanes>(&self, &[x, g]: &[L; 2]) -> L {
        g * (L::splat(self.0) * (x * x))
    }
}

impl<const FAULT: u8> Op for Faulty<FAULT> {
    fn name(&self) -> &'static str {
        "faulty"
    }
    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        Ok(operands[0])
    }
    fn forward(&self, cx: &mut Forward<'_>) {
        let ([x], y) = cx.split();
        kernel::map(Cube, [x], y, Acc::Set);
    }
    fn backward(&self, cx: &mut Backward<'_>) {
        let slope = match FAULT {
            SIGN => -3.0,
            FIVE_PERCENT => 3.15,
            _ => 3.0,
        };
        if FAULT == MISSING {
            return;
        }
        let x = cx.operand(0);
        if let Some(grad) = cx.grad(0) {
            kernel::map(Slope(slope), [x, grad.output], grad.operand, grad.acc);
            if FAULT == ONE_LANE {
                grad.operand[5] += 0.1;
            }
        }
    }
}

const XS: [f32; 9] = [0.7, -0.9, 1.1, -1.3, 0.5, 0.6, -0.8, 1.2, 0.4];

fn check_op(op: &'static dyn Op) -> baregrad::gradcheck::Report {
    let mut arena = Arena::<128, 16>::new();
    let tape = arena.tape();
    let x = tape.param(&XS, [9]);
    let y = tape.apply(op, &[x], Attrs::default());
    // `0.0 * x` sends a gradient to the parameter even if the operation writes none.
    gradcheck((y + 0.0 * x).sum()).unwrap()
}

#[test]
fn finds_wrong_gradients() {
    let right = check_op(&Faulty::<0>);
    assert!(right.passed(), "{right}");

    let sign = check_op(&Faulty::<SIGN>);
    assert!(!sign.passed());
    assert_eq!((sign.checked, sign.failed), (9, 9));
    let worst = sign.worst.unwrap();
    assert!(worst.analytic < 0.0 && worst.numeric > 0.0 && worst.difference < 0.0);
    assert_eq!(worst.difference, worst.analytic - worst.numeric);

    let small = check_op(&Faulty::<FIVE_PERCENT>);
    assert_eq!(small.failed, 9, "{small}");
    assert!(small.worst.unwrap().difference > 0.0);

    let one = check_op(&Faulty::<ONE_LANE>);
    assert_eq!(one.failed, 1, "{one}");
    assert_eq!(one.worst.unwrap().index, 5);

    let missing = check_op(&Faulty::<MISSING>);
    assert_eq!(missing.failed, 9, "{missing}");
}

#[test]
fn says_what_it_found() {
    let right = check_op(&Faulty::<0>).to_string();
    assert!(
        right.starts_with("passed, 9 elements: worst is "),
        "{right}"
    );
    let wrong = check_op(&Faulty::<ONE_LANE>).to_string();
    assert!(
        wrong.starts_with("failed, 1 of 9 elements: worst is 5 with gradient "),
        "{wrong}"
    );
    assert!(wrong.contains("(+1.0e-1, allowed "), "{wrong}");
}

#[test]
fn parameters_without_gradient_must_not_matter() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let used = tape.param(&[0.5], []);
    let unused = tape.param(&[2.0, 3.0], [2]);
    let report = gradcheck(used * used).unwrap();
    assert_eq!(report.checked, 3);
    assert!(report.passed(), "{report}");
    assert!(!unused.has_grad());

    // The loss depends on `unused`, but `detach` cuts off its gradient.
    let report = gradcheck(used * unused.detach().sum()).unwrap();
    assert_eq!((report.checked, report.failed), (3, 2), "{report}");
}

#[test]
fn nan_does_not_pass() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let x = tape.param(&[-2.0, 0.7], [2]);
    let report = gradcheck(x.sqrt().sum()).unwrap();
    assert!(!report.passed(), "{report}");
    assert_eq!(report.checked, 2);
}

#[test]
fn refuses_what_backward_refuses() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let x = tape.param(&[1.0, 2.0], [2]);
    let line = line!() + 1;
    let error = gradcheck(x * x).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::NotScalar { .. }), "{error}");
    assert_eq!(error.at.line(), line);

    let constant = tape.no_grad(|| x.sum());
    let error = gradcheck(constant).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoGradient);

    let guard = x.value().unwrap();
    let error = gradcheck(x.sum()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Borrowed);
    drop(guard);
}

#[test]
fn tolerances_can_be_chosen() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let x = tape.param(&[0.7], []);
    let y = tape.apply(&Faulty::<FIVE_PERCENT>, &[x], Attrs::default());
    assert!(!Gradcheck::new().run(y).unwrap().passed());
    assert!(Gradcheck::new().rtol(0.06).run(y).unwrap().passed());
    assert!(Gradcheck::new().atol(0.1).run(y).unwrap().passed());
    // With a step that is much too small there are only rounding errors, so no error is found.
    let report = Gradcheck::new().eps(1e-6).run(y).unwrap();
    assert!(report.worst.unwrap().allowed > 0.1, "{report}");
}
