//! Tests of losses beyond those with PyTorch's values, which `cargo test --test golden` runs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use baregrad::function::models::{Line, Logistic};
use baregrad::function::{
    Absolute, Bce, BceWithLogits, DataGrads, Function, Huber, Loss, SmoothL1, Squared,
};
use baregrad::gradcheck::gradcheck;
use baregrad::kernel;
use baregrad::ops::loss::{
    BceLoss, BceWithLogitsLoss, Criterion, CrossEntropyLoss, HuberLoss, L1Loss, MseLoss, NllLoss,
    Reduction, SmoothL1Loss,
};
use baregrad::random::{Uniform, seeded};
use baregrad::{Arena, Shape, Var};

fn draw(from: f32, to: f32, n: usize, seed: u64) -> Vec<f32> {
    let uniform = Uniform::new(from, to).unwrap();
    let mut rng = seeded(seed);
    (0..n).map(|_| uniform.sample(&mut rng)).collect()
}

fn bits(xs: &[f32]) -> Vec<u32> {
    xs.iter().map(|x| x.to_bits()).collect()
}

fn close(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    let scale = a.iter().chain(b).fold(1e-6_f32, |m, x| m.max(x.abs()));
    for (a, b) in a.iter().zip(b) {
        // The sums have different orders.
        assert!((a - b).abs() <= 3e-6 * scale, "{what}: {a} and {b}");
    }
}

// ---- fused into a function ---------------------------------------------------

/// Asserts that a loss fused into a function agrees with the recorded function and the tape's loss:
/// values, and gradients of parameters, inputs and targets, with and without weights.
fn fused<Q: Loss, F: Function<1, P> + 'static, const P: usize>(loss: Q, parameters: [f32; P]) {
    for n in [1, 11, 19, 300] {
        let (xs, ys) = (draw(-1.0, 1.0, n, 1), draw(0.05, 0.95, n, 2));
        let ws = draw(0.0, 2.0, n, 3);
        for weighted in [false, true] {
            let run = |one_node: bool| -> [Vec<f32>; 4] {
                let mut arena = Arena::<20000, 64>::new();
                let tape = arena.tape();
                let (x, y) = (tape.param(&xs, [n]), tape.param(&ys, [n]));
                let p = tape.param(&parameters, [P]);
                let w = tape.input(&ws, [n]);
                let criterion = Criterion::from(loss).reduction(Reduction::None);
                let result = match (one_node, weighted) {
                    (true, false) => F::mean_loss(DataGrads(loss), x, p, y),
                    (true, true) => F::weighted_mean_loss(DataGrads(loss), x, p, y, w),
                    (false, false) => criterion.of(F::record(x, p).reshape([-1]), y).mean(),
                    (false, true) => {
                        let record = F::record(x, p).reshape([-1]);
                        criterion.weight(w).of(record, y).mean()
                    }
                };
                if one_node && n == 11 {
                    let report = gradcheck(result).unwrap();
                    assert!(report.passed(), "{}, {weighted}: {report}", Q::NAME);
                }
                tape.zero_grad();
                tape.backward(result).unwrap();
                let [x, p, y] = [x, p, y].map(|var: Var<'_>| var.grad().unwrap().to_vec());
                [vec![result.item().unwrap()], x, p, y]
            };
            let (one, other) = (run(true), run(false));
            for (one, other) in one.iter().zip(&other) {
                close(one, other, Q::NAME);
            }
            // Without gradients of the data the bits are the same.
            let mut arena = Arena::<20000, 64>::new();
            let tape = arena.tape();
            let (x, y) = (tape.input(&xs, [n]), tape.input(&ys, [n]));
            let (p, w) = (tape.param(&parameters, [P]), tape.input(&ws, [n]));
            let plain = if weighted {
                F::weighted_mean_loss(loss, x, p, y, w)
            } else {
                F::mean_loss(loss, x, p, y)
            };
            tape.backward(plain).unwrap();
            assert_eq!(bits(&[plain.item().unwrap()]), bits(&one[0]));
            assert_eq!(bits(&p.grad().unwrap()), bits(&one[2]), "{}", Q::NAME);
        }
    }
}

#[test]
fn fused_losses_are_the_tapes() {
    let line = [1.5, 0.2];
    fused::<_, Line, 2>(Squared, line);
    fused::<_, Line, 2>(Absolute, line);
    fused::<_, Line, 2>(SmoothL1 { beta: 0.3 }, line);
    fused::<_, Line, 2>(SmoothL1 { beta: 0.0 }, line);
    fused::<_, Line, 2>(Huber { delta: 0.3 }, line);
    fused::<_, Line, 2>(BceWithLogits, line);
    // The values of `Logistic` are probabilities.
    fused::<_, Logistic, 3>(Bce, [0.9, 1.5, 0.25]);
}

/// Each node keeps its own settings over replays.
#[test]
fn settings_are_the_nodes_own() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let (x, y) = (tape.input(&[1.0, 2.0], [2]), tape.input(&[0.0, 0.0], [2]));
    let p = tape.param(&[2.0, 0.0], [2]);
    let losses = [0.5, 1.0, 3.0].map(|delta| Line::mean_loss(Huber { delta }, x, p, y));
    let expected = |delta: f32| {
        let one = |z: f32| {
            if z <= delta {
                0.5 * z * z
            } else {
                delta * (z - 0.5 * delta)
            }
        };
        (one(2.0) + one(4.0)) / 2.0
    };
    for _ in 0..2 {
        let found = losses.map(|loss| loss.item().unwrap());
        assert_eq!(found, [0.5, 1.0, 3.0].map(expected));
        tape.replay().unwrap();
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    type Record = for<'t> fn([Var<'t>; 3]) -> Var<'t>;
    let cases: [(&str, Record); 11] = [
        ("beta of 0 or more", |[x, y, _]| x.smooth_l1_loss(y, -0.5)),
        ("beta of 0 or more", |[x, y, _]| {
            x.smooth_l1_loss(y, f32::NAN)
        }),
        ("delta of more than 0", |[x, y, _]| x.huber_loss(y, 0.0)),
        ("delta of more than 0", |[x, y, _]| {
            x.huber_loss(y, f32::NAN)
        }),
        ("delta of more than 0", |[x, y, p]| {
            Line::mean_loss(Huber { delta: -1.0 }, x.detach(), p, y)
        }),
        ("beta of 0 or more", |[x, y, p]| {
            let loss = SmoothL1 { beta: -1.0 };
            Line::weighted_mean_loss(loss, x.detach(), p, y, y)
        }),
        ("label_smoothing from 0 to 1", |[x, y, _]| {
            CrossEntropyLoss::new().label_smoothing(1.5).of(x, y)
        }),
        ("label_smoothing from 0 to 1", |[x, y, _]| {
            CrossEntropyLoss::new().label_smoothing(f32::NAN).of(x, y)
        }),
        ("no gradient flows to weights", |[x, y, p]| {
            MseLoss::new().weight(p.select(0, 0)).of(x, y)
        }),
        ("no gradient flows to weights", |[x, y, p]| {
            BceWithLogitsLoss::new().pos_weight(p.sum()).of(x, y)
        }),
        ("no gradient flows to weights", |[x, y, _]| {
            CrossEntropyLoss::new().weight(x * 2.0).of(x, y)
        }),
    ];
    for (expected, record) in cases {
        let mut arena = Arena::<128, 16>::new();
        let tape = arena.tape();
        let x = tape.param(&[1.0, 2.0, 3.0], [3]);
        let y = tape.input(&[0.5, 0.25, 0.25], [3]);
        let p = tape.param(&[1.0, 2.0], [2]);
        let error = record([x, y, p]).value().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("losses.rs"), "{error}");
    }
}

// ---- on the tape -------------------------------------------------------------

#[test]
fn shapes_that_do_not_fit_are_refused() {
    type Record = for<'t> fn(Var<'t>, Var<'t>, Var<'t>) -> Var<'t>;
    let elements: [Record; 6] = [
        |x, y, w| MseLoss::new().weight(w).of(x, y),
        |x, y, w| L1Loss::new().weight(w).of(x, y),
        |x, y, w| SmoothL1Loss::new().weight(w).of(x, y),
        |x, y, w| HuberLoss::new().weight(w).of(x, y),
        |x, y, w| BceLoss::new().weight(w).of(x, y),
        |x, y, w| BceWithLogitsLoss::new().pos_weight(w).of(x, y),
    ];
    let error = |record: Record, [x, y, w]: [&[usize]; 3]| {
        let mut arena = Arena::<512, 16>::new();
        let tape = arena.tape();
        let [x, y, w] = [x, y, w].map(|dims| {
            let shape = Shape::new(dims).unwrap();
            tape.constant_from_fn(shape, |_| 0.5)
        });
        let outcome = record(x, y, w).value().map(|value| value.len());
        outcome.err().map(|error| error.to_string())
    };
    for record in elements {
        // A column and a row would broadcast to a matrix.
        let refused = error(record, [&[4, 1], &[4], &[4]]).unwrap();
        assert!(refused.contains("[4, 1] and [4]"), "{refused}");
        assert!(error(record, [&[4, 3], &[3], &[3]]).is_some());
        // Weights would broadcast the losses.
        let refused = error(record, [&[3], &[3], &[2, 3]]).unwrap();
        assert!(refused.contains("expected weights"), "{refused}");
        assert!(error(record, [&[4, 3], &[4, 3], &[4]]).is_some());
        for weights in [&[4, 3][..], &[3], &[4, 1], &[1], &[]] {
            assert_eq!(error(record, [&[4, 3], &[4, 3], weights]), None);
        }
    }
    let both: Record = |x, y, w| BceWithLogitsLoss::new().pos_weight(y).weight(w).of(x, y);
    assert!(error(both, [&[3], &[3], &[3, 1]]).is_some());
    let rows: Record = |x, y, w| CrossEntropyLoss::new().row_weight(w).of(x, y);
    // Weights of rows with another shape would broadcast to a matrix.
    assert!(error(rows, [&[4, 3], &[4], &[4, 1]]).is_some());
    let classes: Record = |x, y, w| CrossEntropyLoss::new().weight(w).of(x, y);
    for [x, y, w] in [
        [&[4, 3][..], &[4, 1], &[3]],
        [&[4, 3], &[3], &[3]],
        [&[4, 3], &[4], &[4]],
        [&[4, 3], &[4], &[1, 3]],
        [&[3], &[1], &[3]],
        [&[], &[], &[1]],
        [&[2, 3, 4], &[2, 3], &[3]],
        [&[2, 3, 4], &[2, 4, 1], &[3]],
    ] {
        let refused = error(classes, [x, y, w]);
        assert!(refused.is_some(), "{x:?} {y:?} {w:?}");
    }
    // `nll_loss` takes no probabilities as targets.
    let nll: Record = |x, y, _| x.nll_loss(y);
    let refused = error(nll, [&[4, 3], &[4, 3], &[]]).unwrap();
    assert!(
        refused.contains("expected a class for each row"),
        "{refused}"
    );
}

/// Each loss is one node, even with weights of the input's shape; only weights that broadcast, or
/// more operands than a node has, take more.
#[test]
fn losses_are_one_node() {
    type Record = for<'t> fn([Var<'t>; 5]) -> Var<'t>;
    let cases: [(usize, Record); 15] = [
        (1, |[x, y, _, _, _]| x.l1_loss(y)),
        (1, |[x, y, _, _, _]| x.smooth_l1_loss(y, 0.5)),
        (1, |[x, y, _, _, _]| x.huber_loss(y, 0.5)),
        (1, |[x, y, _, _, _]| x.binary_cross_entropy(y)),
        (1, |[x, y, _, _, _]| x.binary_cross_entropy_with_logits(y)),
        (1, |[x, y, _, _, _]| x.cross_entropy(y)),
        (1, |[x, _, c, _, _]| x.cross_entropy(c)),
        (1, |[x, _, c, _, _]| x.nll_loss(c)),
        (1, |[x, y, _, _, _]| MseLoss::new().weight(y).of(x, y)),
        (1, |[x, y, _, _, _]| {
            BceWithLogitsLoss::new().pos_weight(y).of(x, y)
        }),
        (1, |[x, _, c, w, _]| {
            CrossEntropyLoss::new().weight(w).of(x, c)
        }),
        (1, |[x, _, c, w, _]| NllLoss::new().weight(w).of(x, c)),
        (2, |[x, y, _, w, _]| HuberLoss::new().weight(w).of(x, y)),
        (3, |[x, y, _, _, _]| {
            BceWithLogitsLoss::new().weight(y).pos_weight(y).of(x, y)
        }),
        (3, |[x, _, c, w, r]| {
            CrossEntropyLoss::new().weight(w).row_weight(r).of(x, c)
        }),
    ];
    for (k, (expected, record)) in cases.into_iter().enumerate() {
        let mut arena = Arena::<256, 32>::new();
        let tape = arena.tape();
        let x = tape.param(&[0.5; 6], [2, 3]);
        let y = tape.input(&[0.25; 6], [2, 3]);
        let classes = tape.input(&[0.0, 2.0], [2]);
        let of_classes = tape.input(&[1.0, 2.0, 3.0], [3]);
        let of_rows = tape.input(&[1.0, 2.0], [2]);
        let before = tape.usage().nodes;
        record([x, y, classes, of_classes, of_rows]).item().unwrap();
        assert_eq!(tape.usage().nodes - before, expected, "{k}");
    }
}

/// L1, and weights of rows, have the bits of the same loss in separate operations.
#[test]
fn as_spelled_out() {
    let (xs, ys) = (draw(-1.0, 1.0, 67, 1), draw(-1.0, 1.0, 67, 2));
    let run = |record: for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>| {
        let mut arena = Arena::<1024, 16>::new();
        let tape = arena.tape();
        let (x, y) = (tape.param(&xs, [67]), tape.param(&ys, [67]));
        let loss = record(x, y);
        tape.backward(loss).unwrap();
        (loss.item().unwrap().to_bits(), bits(&tape.grads().unwrap()))
    };
    assert_eq!(run(|x, y| x.l1_loss(y)), run(|x, y| (x - y).abs().mean()));
    assert_eq!(run(|x, y| x.mse(y)), run(|x, y| MseLoss::new().of(x, y)));
    assert_eq!(run(|x, y| x.mse(y)), run(|x, y| (x - y).square().mean()));

    // Values of PyTorch 2.15: (F.cross_entropy(x, c, reduction='none') * w).mean() and .sum()
    let mut arena = Arena::<256, 32>::new();
    let tape = arena.tape();
    let x = tape.param(&[1.0, 2.0, 0.5, -1.0, 0.0, 3.0], [2, 3]);
    let (classes, w) = (tape.input(&[1.0, 0.0], [2]), tape.input(&[2.0, 0.5], [2]));
    let all = CrossEntropyLoss::new().row_weight(w);
    let sum = all.reduction(Reduction::Sum).of(x, classes);
    let none = all.reduction(Reduction::None).of(x, classes);
    assert_eq!(
        sum.item().unwrap(),
        none.value().unwrap().iter().sum::<f32>()
    );
    let mean = all.of(x, classes);
    assert!((mean.item().unwrap() - 1.480_839_8).abs() < 1e-6, "{mean}");
}

/// Sums of losses have the order of `kernel::sum`, and a mean is that sum divided.
#[test]
fn sums_in_the_order_of_sum() {
    for n in [1, 5, 16, 17, 33, 512, 513, 1500] {
        let (xs, ys) = (draw(0.05, 0.95, 2 * n, 1), draw(0.05, 0.95, 2 * n, 2));
        let classes: Vec<f32> = ys[..n].iter().map(|y| f32::from(*y > 0.5)).collect();
        let mut arena = Arena::<50000, 32>::new();
        let tape = arena.tape();
        let (x, y) = (tape.input(&xs, [2 * n]), tape.input(&ys, [2 * n]));
        let c = tape.input(&classes, [n]);
        let rows = x.reshape([-1, 2]);
        let bce = BceLoss::new();
        let entropy = CrossEntropyLoss::new();
        for [none, sum, mean] in [
            [Reduction::None, Reduction::Sum, Reduction::Mean].map(|r| bce.reduction(r).of(x, y)),
            [Reduction::None, Reduction::Sum, Reduction::Mean]
                .map(|r| entropy.reduction(r).of(rows, c)),
        ] {
            let losses = none.value().unwrap();
            let expected = kernel::sum(&losses);
            assert_eq!(sum.item().unwrap().to_bits(), expected.to_bits(), "{n}");
            let expected = expected / losses.len() as f32;
            assert_eq!(mean.item().unwrap().to_bits(), expected.to_bits(), "{n}");
        }
    }
}

/// Classes along the second axis of three have the bits of a matrix.
#[test]
fn classes_along_the_second_axis() {
    const CLASSES: usize = 37;
    let xs = draw(-3.0, 3.0, CLASSES * 12, 1);
    let targets = draw(0.0, 0.1, CLASSES * 12, 2);
    let weights = draw(0.1, 2.0, CLASSES, 3);
    let classes: Vec<f32> = (0..12).map(|i| (i * 7 % CLASSES) as f32).collect();
    // Rearranges [12, classes] to [3, classes, 4].
    let turned = |rows: &[f32]| -> Vec<f32> {
        (0..3 * CLASSES * 4)
            .map(|i| {
                let (o, c, d) = (i / (CLASSES * 4), i / 4 % CLASSES, i % 4);
                rows[(o * 4 + d) * CLASSES + c]
            })
            .collect()
    };
    for probabilities in [false, true] {
        for smoothing in [0.0, 0.1] {
            let run = |xs: &[f32], targets: &[f32], shape: Shape, rows: Shape| {
                let mut arena = Arena::<4096, 16>::new();
                let tape = arena.tape();
                let x = tape.param(xs, shape);
                let target = if probabilities {
                    tape.param(targets, shape)
                } else {
                    tape.constant(&classes, rows)
                };
                let weight = tape.constant(&weights, [CLASSES]);
                let loss = CrossEntropyLoss::new().weight(weight);
                let loss = loss.label_smoothing(smoothing).of(x, target);
                tape.backward(loss).unwrap();
                tape.backward(loss).unwrap();
                let grad_of_target = target.grad().map(|grad| grad.to_vec());
                (
                    loss.item().unwrap().to_bits(),
                    x.grad().unwrap().to_vec(),
                    grad_of_target.unwrap_or_default(),
                )
            };
            let rows = run(&xs, &targets, [12, CLASSES].into(), [12].into());
            let other = run(
                &turned(&xs),
                &turned(&targets),
                [3, CLASSES, 4].into(),
                [3, 4].into(),
            );
            assert_eq!(other.0, rows.0);
            assert_eq!(bits(&other.1), bits(&turned(&rows.1)));
            if probabilities {
                assert_eq!(bits(&other.2), bits(&turned(&rows.2)));
            }
        }
    }
}

/// A target that is not a class gives NaN, when recorded and when rebound, and without reduction
/// in its row only.
#[test]
fn wrong_classes_are_nan() {
    type Record = for<'t> fn(Var<'t>, Var<'t>, Reduction) -> Var<'t>;
    let losses: [Record; 3] = [
        |x, c, r| CrossEntropyLoss::new().reduction(r).of(x, c),
        |x, c, r| {
            let loss = CrossEntropyLoss::new().label_smoothing(0.1);
            loss.reduction(r).of(x, c)
        },
        |x, c, r| NllLoss::new().reduction(r).of(x, c),
    ];
    for record in losses {
        for wrong in [
            3.0,
            -1.0,
            0.5,
            -0.25,
            2.000_000_2,
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            16_777_216.0,
            -99.0,
            1e30,
        ] {
            let right = [0.0, 1.0];
            let mut arena = Arena::<128, 16>::new();
            let tape = arena.tape();
            let x = tape.param(&[0.5, 1.0, -1.0, 0.0, 0.25, 0.75], [2, 3]);
            let classes = tape.input(&right, [2]);
            let mean = record(x, classes, Reduction::Mean);
            let none = record(x, classes, Reduction::None);
            assert!(mean.item().unwrap().is_finite());
            let data = [wrong, 1.0];
            tape.rebind(classes, &data).unwrap();
            tape.replay().unwrap();
            assert!(mean.item().unwrap().is_nan(), "{wrong}");
            let losses = none.value().unwrap().to_vec();
            assert!(losses[0].is_nan() && losses[1].is_finite(), "{wrong}");
            tape.backward(mean).unwrap();
            assert!(x.grad().unwrap()[..3].iter().all(|g| g.is_nan()));
            tape.zero_grad();
            tape.backward_with(none, &[1.0, 1.0]).unwrap();
            let grad = x.grad().unwrap().to_vec();
            assert!(grad[..3].iter().all(|g| g.is_nan()), "{wrong}");
            assert!(grad[3..].iter().all(|g| g.is_finite()), "{wrong}");
        }
    }
    // Valid targets: the last class, zero of either sign, and the ignored index.
    let mut arena = Arena::<128, 16>::new();
    let tape = arena.tape();
    let x = tape.param(&[0.5, 1.0, -1.0, 0.0, 0.25, 0.75], [2, 3]);
    for (classes, ignored) in [([2.0, -0.0], -100), ([7.0, 1.0], 7), ([-1.0, 1.0], -1)] {
        let classes = tape.constant(&classes, [2]);
        let loss = CrossEntropyLoss::new().ignore_index(ignored).of(x, classes);
        assert!(loss.item().unwrap().is_finite(), "{ignored}");
    }
}

/// A probability outside of 0 to 1 gives NaN, where PyTorch raises an error.
#[test]
fn no_probability_is_nan() {
    for p in [-0.1, 1.1, f32::NAN, f32::INFINITY, -1e-30] {
        for target in [0.0, 0.5, 1.0] {
            let mut arena = Arena::<32, 8>::new();
            let tape = arena.tape();
            let x = tape.param(&[p], []);
            let loss = x.binary_cross_entropy(tape.constant(&[target], []));
            assert!(loss.item().unwrap().is_nan(), "{p} {target}");
            tape.backward(loss).unwrap();
            assert!(x.grad().unwrap()[0].is_nan(), "{p} {target}");
        }
    }
}

/// Losses near 0 are accurate to the last bits: `p` for `-ln(1 - p)`, and `e^x` for a logit.
#[test]
fn small_losses_are_accurate() {
    for exponent in 1..40 {
        let p = 0.3_f32 * 2.0_f32.powi(-exponent);
        let exact = -(-f64::from(p)).ln_1p();
        let found = f64::from(Bce.of(p, 0.0));
        assert!((found / exact - 1.0).abs() < 3e-7, "{p}: {found} {exact}");
        let x = -(exponent as f32);
        let exact = f64::from(x).exp().ln_1p();
        for found in [BceWithLogits.of(x, 0.0), BceWithLogits.of(-x, 1.0)] {
            let found = f64::from(found);
            assert!((found / exact - 1.0).abs() < 3e-7, "{x}: {found} {exact}");
        }
    }
}

/// Losses without data have the sum 0, and the mean NaN, as in PyTorch.
#[test]
fn nothing_to_measure() {
    let mut arena = Arena::<64, 32>::new();
    let tape = arena.tape();
    let (x, none) = (tape.param(&[], [0, 3]), tape.constant(&[], [0, 3]));
    let classes = tape.constant(&[], [0]);
    let (sum, mean) = (Reduction::Sum, Reduction::Mean);
    let entropy = CrossEntropyLoss::new();
    for (reduction, check) in [
        (sum, (|x| x == 0.0) as fn(f32) -> bool),
        (mean, f32::is_nan),
    ] {
        for loss in [
            HuberLoss::new().reduction(reduction).of(x, none),
            entropy.reduction(reduction).of(x, none),
            entropy.reduction(reduction).of(x, classes),
        ] {
            assert!(check(loss.item().unwrap()), "{reduction:?}");
            tape.backward(loss).unwrap();
        }
    }
}

/// Weights of 0 leave finite elements out of loss and gradient.
#[test]
fn weights_of_zero_leave_out() {
    let mut arena = Arena::<128, 32>::new();
    let tape = arena.tape();
    let x = tape.param(&[3.0, -70.0, 0.5], [3]);
    let y = tape.constant(&[1.0, 1e9, 1.0], [3]);
    let w = tape.constant(&[1.0, 0.0, 2.0], [3]);
    // Values of PyTorch 2.15: F.mse_loss(x, y, weight=w), which divides by the sum of weights, and
    // F.huber_loss(x, y, weight=w), which divides by their number.
    let loss = MseLoss::new().weight(w).of(x, y);
    tape.backward(loss).unwrap();
    assert_eq!(loss.item().unwrap(), 1.5);
    close(&x.grad().unwrap(), &[4.0 / 3.0, 0.0, -2.0 / 3.0], "mse");
    tape.zero_grad();
    let loss = HuberLoss::new().weight(w).of(x, y);
    tape.backward(loss).unwrap();
    close(&[loss.item().unwrap()], &[1.75 / 3.0], "huber");
    close(&x.grad().unwrap(), &[1.0 / 3.0, 0.0, -1.0 / 3.0], "huber");
    tape.zero_grad();
    let loss = MseLoss::new().weight(tape.constant(&[0.0], [1])).of(x, y);
    assert!(loss.item().unwrap().is_nan());
}

/// The fast path for classes without weights and smoothing has the bits of the general path with
/// weights of 1, even for ignored rows, wrong targets and numbers that overflow.
#[test]
fn plain_classes_have_the_bits_of_weights_of_one() {
    let all = [Reduction::None, Reduction::Sum, Reduction::Mean];
    for (classes, rows) in (1..=18).flat_map(|c| [1, 7, 8, 9, 24, 67].map(|n| (c, n))) {
        let n = rows * classes;
        let mut x = draw(-9.0, 9.0, n, 1);
        if rows == 67 {
            x[0] = f32::INFINITY;
            x[n / 2] = f32::NAN;
            x[n - 1] = 200.0;
        }
        for odd in [
            None,
            Some(-100.0),
            Some(0.5),
            Some(-1.0),
            Some(1e10),
            Some(f32::NAN),
        ] {
            let mut target: Vec<f32> = (0..rows).map(|row| (row * 5 % classes) as f32).collect();
            if let Some(odd) = odd {
                target[rows / 2] = odd;
            }
            for reduction in all {
                let [plain, weighted] = [false, true].map(|weighted| {
                    let mut arena = Arena::<8000, 16>::new();
                    let tape = arena.tape();
                    let z = tape.param(&x, [rows, classes]);
                    let class = tape.constant(&target, [rows]);
                    let mut loss = CrossEntropyLoss::new().reduction(reduction);
                    if weighted {
                        loss = loss.weight(tape.constant(&vec![1.0; classes], [classes]));
                    }
                    let loss = loss.of(z, class);
                    // The second gradient is added to the first.
                    tape.backward(loss.sum() + (loss * 0.3).sum()).unwrap();
                    tape.backward(loss.sum()).unwrap();
                    let numbers = [loss.value().unwrap().to_vec(), z.grad().unwrap().to_vec()];
                    // All NaN count as one, as sign and payload are not guaranteed.
                    numbers
                        .concat()
                        .iter()
                        .map(|x| if x.is_nan() { None } else { Some(x.to_bits()) })
                        .collect::<Vec<_>>()
                });
                assert_eq!(
                    plain, weighted,
                    "{rows} of {classes}, {reduction:?}, {odd:?}"
                );
            }
        }
    }
}
