//! Tests of optimizers that need the shapes of the parameters: Adafactor and Muon.

use super::{keep, restore};

use baregrad::optim::{Adafactor, Muon, Optimizer, OptimizerError, Shapes, Stateful};
use baregrad::random::{fill_normal, seeded};
use baregrad::{Arena, ErrorKind, Shape};

/// Records a small network with parameters of different shapes.
fn network<'t>(tape: &'t baregrad::Tape<'t>) -> baregrad::Var<'t> {
    let w = tape.param(&[0.5, -0.25, 1.0, 0.75, -0.5, 0.125], [2, 3]);
    let b = tape.param(&[0.1, 0.2, 0.3], [3]);
    let scale = tape.param(&[1.5], []);
    let x = tape.input(&[1.0, 2.0, -1.0, 0.5, 0.25, -2.0, 3.0, 1.0], [4, 2]);
    (x.linear(w, b).tanh() * scale).square().mean()
}

#[test]
fn a_tape_knows_the_shapes_of_its_parameters() {
    let mut arena = Arena::<200, 24>::new();
    let tape = arena.tape();
    network(&tape);
    let mut room = [Shape::SCALAR; 5];
    let shapes = [Shape::from([2, 3]), Shape::from([3]), Shape::SCALAR];
    assert_eq!(tape.param_shapes(&mut room).unwrap(), shapes);
    let error = tape.param_shapes(&mut room[..2]).unwrap_err();
    assert_eq!(error.op, "param_shapes");
    assert!(
        error.to_string().contains("expected 3 values, found 2"),
        "{error}"
    );
    assert!(
        Arena::<4, 2>::new()
            .tape()
            .param_shapes(&mut [])
            .unwrap()
            .is_empty()
    );
}

/// Shapes that differ from the tape's are an error, even with the same number of elements; without
/// shapes, all parameters are one vector.
#[test]
fn shapes_are_those_of_the_tape() {
    let mut arena = Arena::<200, 24>::new();
    let tape = arena.tape();
    let loss = network(&tape);
    let before = tape.params().unwrap().to_vec();
    let right = [Shape::from([2, 3]), Shape::from([3]), Shape::SCALAR];
    let turned = [Shape::from([3, 2]), Shape::from([3]), Shape::SCALAR];
    let merged = [Shape::from([2, 3]), Shape::from([4])];
    let more = [right[0], right[1], right[2], Shape::from([0])];
    for (shapes, param) in [
        (&turned[..], 0),
        (&merged[..], 1),
        (&right[..2], 2),
        (&more[..], 3),
    ] {
        tape.zero_grad();
        tape.backward(loss).unwrap();
        let error = tape
            .step(&mut Adafactor::<10>::new(0.1).shapes(shapes))
            .unwrap_err();
        let refused = OptimizerError::OtherShape { param };
        assert_eq!(error.kind, ErrorKind::Optimizer(refused));
        assert!(error.to_string().contains("param_shapes"), "{error}");
        assert_eq!(*tape.params().unwrap(), *before);
    }
    for shapes in [None, Some(&right[..])] {
        let mut adafactor = Adafactor::<10>::new(0.1);
        if let Some(shapes) = shapes {
            adafactor = adafactor.shapes(shapes);
        }
        let first = loss.item().unwrap();
        for _ in 0..20 {
            tape.zero_grad();
            tape.backward(loss).unwrap();
            tape.step(&mut adafactor).unwrap();
            tape.replay().unwrap();
        }
        assert!(loss.item().unwrap() < 0.9 * first);
    }
}

/// State has the same size wherever it is held, and resumes with the same bits.
#[test]
fn state_of_shaped_parameters_is_kept() {
    let shapes = [
        Shape::from([2, 3, 4]),
        Shape::from([5, 1]),
        Shape::from([1, 1]),
    ];
    let new = || Adafactor::<20>::new(0.1).shapes(&shapes);
    let step = |optimizer: &mut dyn Optimizer, params: &mut [f32], seed| {
        let mut grads = [0.0; 30];
        fill_normal(&mut seeded(seed), 0.0, 1.0, &mut grads).unwrap();
        optimizer.step(params, &grads).unwrap();
    };
    let (mut through, mut params) = (new(), [0.5; 30]);
    for seed in 0..3 {
        step(&mut through, &mut params, seed);
    }
    let kept = keep(&mut through, 30);
    assert_eq!(
        kept.iter()
            .map(|(_, numbers)| numbers.len())
            .collect::<Vec<_>>(),
        [1, 2, 20]
    );
    let mut memory = [f32::NAN; 33];
    let mut lent = Adafactor::with_state(0.7, &mut memory).shapes(&shapes);
    restore(&mut lent, 30, &kept);
    let mut again = params;
    step(&mut through, &mut params, 3);
    step(&mut lent, &mut again, 3);
    assert_eq!(again, params);
    through.reset();
    let mut first = [0.5; 30];
    let mut other = first;
    step(&mut through, &mut first, 0);
    step(&mut new(), &mut other, 0);
    assert_eq!(first, other);
    assert!(Shapes::default().parts(7).eq([(Shape::from([7]), 0..7)]));
}

/// Adafactor refuses shapes with another number of elements, too little memory, and
/// hyper-parameters outside of PyTorch's ranges.
#[test]
fn adafactor_refuses() {
    let shapes = [
        Shape::from([16, 16]),
        Shape::from([16]),
        Shape::from([1, 3]),
    ];
    let (mut params, grads) = ([0.5; 275], [0.25; 275]);
    let mut exact = Adafactor::<51>::new(0.1).shapes(&shapes);
    exact.step(&mut params, &grads).unwrap();
    let after = params;
    let error = exact.step(&mut params[..274], &grads[..274]).unwrap_err();
    assert_eq!(
        error,
        OptimizerError::Shapes {
            elements: 275,
            params: 274
        }
    );
    assert!(error.to_string().contains("274 elements in all"), "{error}");
    let error = exact.step(&mut params, &grads[1..]);
    assert!(matches!(error, Err(OptimizerError::GradientCount { .. })));
    let mut small = Adafactor::<50>::new(0.1).shapes(&shapes);
    let refused = OptimizerError::StateSize {
        state: 50,
        params: 51,
    };
    assert_eq!(small.step(&mut params, &grads), Err(refused));
    assert_eq!(
        small.visit_state(275, &mut |name, _| panic!("{name}")),
        Err(refused)
    );
    let new = || Adafactor::<2>::new(0.1);
    for (mut refused, message) in [
        (Adafactor::<2>::new(-1.0), "expected lr >= 0, found -1"),
        (
            new().beta2_decay(0.5),
            "expected beta2_decay <= 0, found 0.5",
        ),
        (new().eps1(-1.0), "expected eps1 >= 0, found -1"),
        (new().eps2(f32::NAN), "expected eps2 >= 0, found NaN"),
        (new().d(0.5), "expected d >= 1, found 0.5"),
        (
            new().weight_decay(-1.0),
            "expected weight_decay >= 0, found -1",
        ),
    ] {
        let mut params = [1.0, 2.0];
        let error = refused.step(&mut params, &[1.0, 1.0]).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(params, [1.0, 2.0]);
    }
    assert_eq!(params, after);
}

/// Sums over many rows stay accurate: with equal gradients the first step is `lr · eps2` for any
/// number of rows.
#[test]
fn adafactor_of_many_rows() {
    for [rows, cols] in [[20_000, 3], [3, 20_000], [60_000, 1], [1, 60_000]] {
        let shapes = [Shape::from([rows, cols])];
        let (mut params, grads) = (vec![0.0_f32; 60_000], vec![0.1; 60_000]);
        let mut memory = vec![0.0; 60_000];
        let mut adafactor = Adafactor::with_state(1.0, &mut memory).shapes(&shapes);
        adafactor.step(&mut params, &grads).unwrap();
        for p in params {
            assert!(
                (f64::from(p) + 1e-3).abs() < 2e-6 * 1e-3,
                "{rows} {cols}: {p}"
            );
        }
    }
}

/// Muon refuses shapes that are not matrices and hyper-parameters out of range, like PyTorch; NaN
/// reaches the parameters, and a zero gradient only decays them.
#[test]
fn muon_takes_matrices() {
    let (matrix, others) = (
        [Shape::from([2, 3])],
        [Shape::from([6]), Shape::from([1, 2, 3]), Shape::from([])],
    );
    let new = || Muon::<6>::new(0.1).shapes(&matrix);
    let message = |mut muon: Muon<'_, 6>| {
        let mut params = [1.0; 6];
        let error = muon.step(&mut params, &[1.0; 6]).unwrap_err();
        assert_eq!(params, [1.0; 6]);
        error.to_string()
    };
    let expected = "expected 2 dimensions of every parameter, told by `shapes`, found ";
    assert_eq!(message(Muon::new(0.1)), format!("{expected}1"));
    for (shape, rank) in others.chunks(1).zip([1, 3, 0]) {
        let found = message(Muon::new(0.1).shapes(shape));
        assert_eq!(found, format!("{expected}{rank}"));
    }
    for (muon, expected) in [
        (new().momentum(-0.5), "expected momentum >= 0, found -0.5"),
        (
            new().weight_decay(-0.5),
            "expected weight_decay >= 0, found -0.5",
        ),
        (new().ns_steps(100), "expected ns_steps < 100, found 100"),
    ] {
        assert_eq!(message(muon), expected);
    }
    let mut params = [1.0; 6];
    new().step(&mut params, &[0.0; 6]).unwrap();
    assert_eq!(params, [0.99; 6]);
    let mut poisoned = [0.0; 6];
    poisoned[4] = f32::NAN;
    new().step(&mut params, &poisoned).unwrap();
    assert!(params.iter().all(|p| p.is_nan()));
    // Empty matrices are accepted.
    let empty = [Shape::from([0, 3]), Shape::from([2, 0])];
    Muon::<0>::new(0.1)
        .shapes(&empty)
        .step(&mut [], &[])
        .unwrap();
    assert_eq!(new().momentum_factor(), Some(0.95));
}
