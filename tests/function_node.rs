//! Tests functions as one node of a tape: every model of the list, at every level, has the bits of
//! a plain loop, and agrees with the model recorded operation by operation.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use baregrad::function::models::{self, Line, Sphere, Visitor};
use baregrad::function::{DataGrads, Function, Squared};
use baregrad::kernel::{Level, set_level};
use baregrad::optim::Sgd;
use baregrad::random::{Uniform, seeded};
use baregrad::{Arena, Shape, Var};

/// Draws rows of numbers, each column within its range.
fn draw(ranges: &[[f32; 2]], rows: usize, seed: u64) -> Vec<f32> {
    let mut rng = seeded(seed);
    let mut row = || -> Vec<f32> {
        ranges
            .iter()
            .map(|[from, to]| Uniform::new(*from, *to).unwrap().sample(&mut rng))
            .collect()
    };
    (0..rows).flat_map(|_| row()).collect()
}

/// Sums terms in blocks, in the order that `function::samples` documents.
fn sum(terms: &[f32], parameters: usize) -> f32 {
    if terms.len() <= 16 {
        return terms.iter().fold(-0.0, |sum, term| sum + term);
    }
    let count = if parameters <= 4 { 16 } else { 8 };
    let (mut total, mut part) = (-0.0_f32, -0.0_f32);
    for block in terms.chunks(16 * count) {
        let lost = {
            let sum = total + part;
            let lost = part - (sum - total);
            total = sum;
            if lost.is_finite() { lost } else { 0.0 }
        };
        let mut partial = vec![-0.0_f32; count];
        for (i, term) in block.iter().enumerate() {
            partial[i % count] += term;
        }
        let mut half = count / 2;
        while half > 0 {
            for l in 0..half {
                partial[l] += partial[l + half];
            }
            half /= 2;
        }
        part = lost + partial[0];
    }
    total + part
}

const LENGTHS: [usize; 24] = [
    1, 2, 3, 7, 8, 9, 11, 15, 16, 17, 23, 24, 25, 31, 33, 40, 67, 127, 128, 129, 255, 256, 257,
    1000,
];

struct OneNode;

impl Visitor for OneNode {
    fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
        &mut self,
        _: F,
        x: [[f32; 2]; X],
        p: [[f32; 2]; P],
    ) {
        for n in LENGTHS {
            let (xs, ys) = (draw(&x, n, 1), draw(&[[-1.0, 1.0]], n, 2));
            let parameters = draw(&p, 1, 3);
            let p: [f32; P] = parameters.as_slice().try_into().unwrap();
            let row = |i: usize| -> [f32; X] { xs[i * X..(i + 1) * X].try_into().unwrap() };
            let jets: Vec<_> = (0..n).map(|i| F::value_and_gradient(row(i), p)).collect();
            let residuals: Vec<f32> = jets.iter().zip(&ys).map(|((v, _), y)| v - y).collect();
            let squares: Vec<f32> = residuals.iter().map(|r| r * r).collect();
            let loss = sum(&squares, P) / n as f32;
            let gradient: Vec<f32> = (0..P)
                .map(|k| {
                    let terms = residuals.iter().zip(&jets).map(|(r, (_, d))| r * d[k]);
                    2.0 * (sum(&terms.collect::<Vec<_>>(), P) / n as f32)
                })
                .collect();
            let sent: Vec<f32> = (0..P)
                .map(|k| {
                    let terms = ys.iter().zip(&jets).map(|(g, (_, d))| g * d[k]);
                    sum(&terms.collect::<Vec<_>>(), P)
                })
                .collect();

            let mut arena = Arena::<20000, 100>::new();
            let tape = arena.tape();
            let (x, y) = (tape.input(&xs, [n, X]), tape.input(&ys, [n]));
            let p = tape.param(&parameters, [P]);
            let node = F::mse(x, p, y);
            assert_eq!(
                node.item().unwrap().to_bits(),
                loss.to_bits(),
                "{} {n}",
                F::NAME
            );
            tape.backward(node).unwrap();
            assert_eq!(bits(&p.grad().unwrap()), bits(&gradient), "{} {n}", F::NAME);

            // The same with weights, some of them negative.
            let ws = draw(&[[-0.5, 2.0]], n, 4);
            let weighted = |terms: &mut dyn Iterator<Item = f32>| {
                let terms: Vec<f32> = terms.zip(&ws).map(|(t, w)| w * t).collect();
                sum(&terms, P) / n as f32
            };
            let loss = weighted(&mut squares.iter().copied());
            let gradient: Vec<f32> = (0..P)
                .map(|k| {
                    let slopes = residuals.iter().zip(&ws).map(|(r, w)| w * r);
                    let terms = slopes.zip(&jets).map(|(r, (_, d))| r * d[k]);
                    2.0 * (sum(&terms.collect::<Vec<_>>(), P) / n as f32)
                })
                .collect();
            let node = F::weighted_mse(x, p, y, tape.input(&ws, [n]));
            assert_eq!(
                node.item().unwrap().to_bits(),
                loss.to_bits(),
                "{} {n}, weighted",
                F::NAME
            );
            tape.zero_grad();
            tape.backward(node).unwrap();
            let found = bits(&p.grad().unwrap());
            assert_eq!(found, bits(&gradient), "{} {n}, weighted", F::NAME);

            let predicted = F::predict(x, p);
            let values: Vec<f32> = jets.iter().map(|(value, _)| *value).collect();
            assert_eq!(
                bits(&predicted.value().unwrap()),
                bits(&values),
                "{} {n}",
                F::NAME
            );
            tape.zero_grad();
            tape.backward_with(predicted, &ys).unwrap();
            assert_eq!(bits(&p.grad().unwrap()), bits(&sent), "{} {n}", F::NAME);
        }
    }
}

fn bits(xs: &[f32]) -> Vec<u32> {
    xs.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn one_node_is_the_plain_loop() {
    for level in Level::available() {
        set_level(level);
        models::visit(&mut OneNode);
    }
}

fn close(a: &[f32], b: &[f32], what: &str) {
    let scale = a.iter().chain(b).fold(1e-6_f32, |m, x| m.max(x.abs()));
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 3e-5 * scale, "{what}: {a} and {b}");
    }
}

struct ToData;

impl Visitor for ToData {
    fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
        &mut self,
        _: F,
        x: [[f32; 2]; X],
        p: [[f32; 2]; P],
    ) {
        let n = 19;
        let (xs, ys) = (draw(&x, n, 1), draw(&[[-1.0, 1.0]], n, 2));
        let parameters = draw(&p, 1, 3);
        let ws = draw(&[[-0.5, 2.0]], n, 4);
        let gradients = |one_node: bool, weighted: bool| -> [Vec<f32>; 3] {
            let mut arena = Arena::<20000, 200>::new();
            let tape = arena.tape();
            let (x, y) = (tape.param(&xs, [n, X]), tape.param(&ys, [n]));
            let p = tape.param(&parameters, [P]);
            let weights = tape.input(&ws, [n]);
            let loss = match (one_node, weighted) {
                (true, false) => F::mean_loss(DataGrads(Squared), x, p, y),
                (true, true) => F::weighted_mean_loss(DataGrads(Squared), x, p, y, weights),
                (false, false) => (F::record(x, p) - y).square().mean(),
                (false, true) => (weights * (F::record(x, p) - y).square()).mean(),
            };
            tape.backward(loss).unwrap();
            [x, p, y].map(|var: Var<'_>| var.grad().unwrap().to_vec())
        };
        for weighted in [false, true] {
            let [one, other] = [gradients(true, weighted), gradients(false, weighted)];
            for (one, other) in one.iter().zip(&other) {
                close(one, other, F::NAME);
            }
        }
    }
}

#[test]
fn gradients_of_data_and_parameters_are_the_tapes() {
    models::visit(&mut ToData);
}

#[test]
fn thermometer() {
    const T_U: [f32; 11] = [
        35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4,
    ];
    const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
    baregrad::function! {
        fn Thermometer([t_u], [w, b]) { w * (0.1 * t_u) + b }
    }
    let mut arena = Arena::<16, 4>::new();
    let tape = arena.tape();
    let p = tape.param(&[1.0, 0.0], [2]);
    let loss = Thermometer::mse(tape.input(&T_U, [11]), p, tape.input(&T_C, [11]));
    let mut sgd = Sgd::new(1e-2);
    for _ in 0..5000 {
        tape.zero_grad();
        tape.backward(loss).unwrap();
        tape.step(&mut sgd).unwrap();
        tape.replay().unwrap();
    }
    assert_eq!(format!("{:.6}", loss.item().unwrap()), "2.927647");
    let p = p.value().unwrap();
    assert_eq!(format!("{:.4} {:.4}", p[0], p[1]), "5.3671 -17.3012");
    // Five floats are the loss, its gradient, and what the node saves.
    assert!(tape.usage().peak_bytes() < 700);
}

#[test]
fn streams() {
    let (xs, ys) = (
        draw(&[[-1.0, 1.0]; 3], 1000, 5),
        draw(&[[-1.0, 1.0]], 1000, 6),
    );
    let start = [0.1, -0.1, 0.05, 0.9];
    let mut arena = Arena::<64, 8>::new();
    let tape = arena.tape();
    let p = tape.param(&start, [4]);
    let whole = Sphere::mse(tape.input(&xs, [1000, 3]), p, tape.input(&ys, [1000]));
    tape.backward(whole).unwrap();
    let (loss, gradient) = (whole.item().unwrap(), p.grad().unwrap().to_vec());

    let mut arena = Arena::<64, 8>::new();
    let tape = arena.tape();
    let p = tape.param(&start, [4]);
    let (x, y) = (tape.input(&xs[..96], [32, 3]), tape.input(&ys[..32], [32]));
    let part = Sphere::mse(x, p, y);
    let streamed = tape.backward_over(part, &[(x, &xs), (y, &ys)]).unwrap();
    close(&[streamed], &[loss], "loss");
    close(&p.grad().unwrap(), &gradient, "gradient");
}

/// Weighted losses are streamed, even if micro-batches have different sums of weights, or 0.
#[test]
fn weights_stream() {
    let (xs, ys) = (draw(&[[-1.0, 1.0]], 1000, 5), draw(&[[-1.0, 1.0]], 1000, 6));
    let mut weights = draw(&[[0.0, 3.0]], 1000, 7);
    weights[96..160].fill(0.0);
    weights[500..].iter_mut().for_each(|w| *w *= 10.0);
    let exact = {
        let mut sums = [0.0_f64; 3];
        for ((x, y), w) in xs.iter().zip(&ys).zip(&weights) {
            let [x, y, w] = [x, y, w].map(|v| f64::from(*v));
            let r = (0.5 * x - 0.25) - y;
            let terms = [w * r * r, 2.0 * w * r * x, 2.0 * w * r];
            sums.iter_mut().zip(terms).for_each(|(s, t)| *s += t);
        }
        sums.map(|sum| (sum / 1000.0) as f32)
    };
    for rows in [7, 32, 1000] {
        let mut arena = Arena::<64, 8>::new();
        let tape = arena.tape();
        let p = tape.param(&[0.5, -0.25], [2]);
        let [x, y, w] = [&xs, &ys, &weights].map(|data| tape.input(&data[..rows], [rows]));
        let loss = Line::weighted_mse(x, p, y, w);
        let data = [(x, &*xs), (y, &*ys), (w, &*weights)];
        let mean = tape.backward_over(loss, &data).unwrap();
        close(&[mean], &exact[..1], "loss");
        close(&p.grad().unwrap(), &exact[1..], "gradient");

        // Weights may be rebound.
        tape.rebind(w, &weights[1000 - rows..]).unwrap();
        tape.replay().unwrap();
        let fewer = rows.min(3);
        tape.rebind(w, &weights[..fewer]).unwrap();
        if fewer < rows {
            assert!(tape.replay().is_err());
        }
        tape.rebind(x, &xs[..fewer]).unwrap();
        tape.rebind(y, &ys[..fewer]).unwrap();
        tape.rebind(w, &weights[..fewer]).unwrap();
        tape.replay().unwrap();
        let mut arena = Arena::<64, 8>::new();
        let other = arena.tape();
        let p = other.constant(&[0.5, -0.25], [2]);
        let [x, y, w] = [&xs, &ys, &weights].map(|data| other.input(&data[..fewer], [fewer]));
        let same = Line::weighted_mse(x, p, y, w);
        assert_eq!(loss.item().unwrap(), same.item().unwrap());
    }
}

/// Weights of 0 leave out samples, even those that are not finite.
#[test]
fn weights_of_zero_leave_out() {
    let value_and_grad = |target: [f32; 3], weights: [f32; 3]| {
        let mut arena = Arena::<64, 8>::new();
        let tape = arena.tape();
        let x = tape.constant(&[1.0, 2.0, 3.0], [3]);
        let p = tape.param(&[1.0, 0.0], [2]);
        let (y, w) = (tape.constant(&target, [3]), tape.constant(&weights, [3]));
        let loss = Line::weighted_mse(x, p, y, w);
        tape.backward(loss).unwrap();
        let grad = p.grad().unwrap();
        (loss.item().unwrap(), [grad[0], grad[1]])
    };
    // The residuals r are [1, 2, 3].
    assert_eq!(
        value_and_grad([0.0; 3], [1.0; 3]),
        (14.0 / 3.0, [28.0 / 3.0, 4.0])
    );
    assert_eq!(value_and_grad([0.0; 3], [0.0, 0.0, 1.0]), (3.0, [6.0, 2.0]));
    assert_eq!(value_and_grad([0.0; 3], [0.0; 3]), (0.0, [0.0; 2]));
    assert_eq!(
        value_and_grad([0.0; 3], [-3.0, 0.0, 0.0]),
        (-1.0, [-2.0, -2.0])
    );
    let (loss, grad) = value_and_grad([f32::NAN, 0.0, 0.0], [0.0, 1.0, 1.0]);
    assert!(loss.is_nan() && grad.iter().all(|g| g.is_nan()));
}

/// Gradients flow to weighted targets.
#[test]
fn weighted_targets_are_trained() {
    let mut arena = Arena::<128, 16>::new();
    let tape = arena.tape();
    let x = tape.constant(&[1.0, 2.0, 3.0], [3]);
    let p = tape.param(&[1.0, 0.0], [2]);
    let y = tape.param(&[0.0, 1.0, 5.0], [3]);
    let w = tape.constant(&[1.0, 3.0, 6.0], [3]);
    let z = y * 2.0; // r = [1, 0, -7]
    let loss = Line::weighted_mean_loss(DataGrads(Squared), x, p, z, w) + z.sum();
    tape.backward(loss).unwrap();
    // The gradient is 2 (1 - 2 w r / 3).
    assert_eq!(*y.grad().unwrap(), [2.0 - 4.0 / 3.0, 2.0, 58.0]);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let x = tape.constant(&[0.0; 6], [3, 2]);
    let (p, y) = (tape.param(&[0.0; 2], [2]), tape.constant(&[0.0; 3], [3]));
    let text = |var: Var<'_>| var.value().unwrap_err().to_string();
    let error = text(Line::mse(x, p, y));
    let expected = "expected x [n, inputs], p [parameters], target [n]";
    assert!(error.contains(expected), "{error}");
    assert!(error.contains("[3, 2] and [2] and [3]"), "{error}");
    assert!(error.contains("function_node.rs"), "{error}");

    // Samples [3, 2] for one input, a parameter too many, a target too few, targets in rows.
    for (x, p, target) in [
        ([3, 2].as_slice(), [2].as_slice(), [3].as_slice()),
        (&[3, 1], &[3], &[3]),
        (&[3, 1], &[1, 2], &[3]),
        (&[3], &[2], &[2]),
        (&[3], &[2], &[1, 3]),
        (&[3], &[2], &[3, 1, 1]),
        (&[1, 3], &[2], &[3]),
        (&[3, 1, 1], &[2], &[3]),
        (&[], &[2], &[]),
        (&[], &[2], &[1]),
    ] {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let constant = |sizes: &[usize]| {
            let shape = Shape::new(sizes).unwrap();
            tape.constant_from_fn(shape, |i| i as f32)
        };
        let loss = Line::mse(constant(x), constant(p), constant(target));
        let error = text(loss);
        assert!(error.contains(expected), "{x:?} {p:?} {target:?}: {error}");
    }
    // All shapes that are accepted.
    for (x, target) in [
        ([3].as_slice(), [3].as_slice()),
        (&[3, 1], &[3, 1]),
        (&[3, 1], &[3]),
        (&[3], &[3, 1]),
        (&[1], &[]),
        (&[1, 1], &[1]),
    ] {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let constant = |sizes: &[usize]| {
            let shape = Shape::new(sizes).unwrap();
            tape.constant_from_fn(shape, |i| i as f32)
        };
        let p = tape.constant(&[0.0, 0.0], [2]);
        let loss = Line::mse(constant(x), p, constant(target));
        loss.item().unwrap();
    }
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let (x, y) = (tape.constant(&[0.0; 3], [3]), tape.constant(&[0.0; 3], [3]));
    let p = tape.param(&[0.0; 2], [2]);
    let loss = Line::weighted_mse(x, p, y, tape.constant(&[1.0; 2], [2]));
    let error = loss.value().unwrap_err().to_string();
    assert!(
        error.contains("expected a weight for each target"),
        "{error}"
    );
    assert!(error.contains("[3] and [2]"), "{error}");
    assert!(error.contains("function_node.rs"), "{error}");
}

/// Data that need a gradient are an error if the function computes none for them.
#[test]
fn data_that_need_a_gradient_are_refused() {
    type Loss = fn([Var<'_>; 4]) -> Var<'_>;
    let losses: [(&str, Loss); 4] = [
        ("x or target", |[p, x, y, trained]| {
            let _ = x;
            Line::mse(trained, p, y)
        }),
        ("x or target", |[p, x, y, trained]| {
            let _ = y;
            Line::mse(x, p, trained.exp())
        }),
        ("x or target", |[p, x, y, trained]| {
            Line::weighted_mse(trained, p, y, x)
        }),
        ("weights", |[p, x, y, trained]| {
            Line::weighted_mean_loss(DataGrads(Squared), x, p, y, trained)
        }),
    ];
    for (what, loss) in losses {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let p = tape.param(&[0.5, 0.25], [2]);
        let data = tape.constant(&[1.0, 2.0, 3.0], [3]);
        let trained = tape.param(&[0.1, 0.2, 0.3], [3]);
        // Without gradients it is accepted.
        tape.no_grad(|| loss([p, data, data, trained]))
            .item()
            .unwrap();
        let error = loss([p, data, data, trained])
            .item()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(what) && error.contains("gradient"),
            "{error}"
        );
        assert!(error.contains("function_node.rs"), "{error}");
    }
}

#[test]
fn one_sample() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let x = tape.constant(&[3.0, 0.0, 4.0], [3]);
    let p = tape.param(&[0.0, 0.0, 0.0, 4.0], [4]);
    let off = Sphere::predict(x, p);
    assert_eq!((off.item().unwrap(), off.shape().rank()), (9.0, 0));
    let loss = Sphere::mse(x, p, tape.constant(&[0.0], []));
    tape.backward(loss).unwrap();
    assert_eq!(*p.grad().unwrap(), [-108.0, 0.0, -144.0, -144.0]);
}
