//! Functions as one operation of a tape: every model of the list, at every level, against a
//! plain loop bit for bit, and against the model recorded operation by operation.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use baregrad::function::Function;
use baregrad::function::models::{self, Line, Sphere, Visitor};
use baregrad::kernel::{Level, set_level};
use baregrad::optim::Sgd;
use baregrad::random::{Uniform, seeded};
use baregrad::{Arena, Var};

/// Numbers between two bounds each, row by row.
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

/// The sums of many terms in blocks, as `function::samples` says.
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
        let gradients = |one_node: bool| -> [Vec<f32>; 3] {
            let mut arena = Arena::<20000, 200>::new();
            let tape = arena.tape();
            let (x, y) = (tape.param(&xs, [n, X]), tape.param(&ys, [n]));
            let p = tape.param(&parameters, [P]);
            let loss = if one_node {
                F::mse(x, p, y)
            } else {
                (F::record(x, p) - y).square().mean()
            };
            tape.backward(loss).unwrap();
            [x, p, y].map(|var: Var<'_>| var.grad().unwrap().to_vec())
        };
        let [one, other] = [gradients(true), gradients(false)];
        for (one, other) in one.iter().zip(&other) {
            close(one, other, F::NAME);
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
    // Five floats for the loss, its own gradient, and what it keeps.
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

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let x = tape.constant(&[0.0; 6], [3, 2]);
    let (p, y) = (tape.param(&[0.0; 2], [2]), tape.constant(&[0.0; 3], [3]));
    let text = |var: Var<'_>| var.value().unwrap_err().to_string();
    let error = text(Line::mse(x, p, y));
    assert!(error.contains("expected samples as rows"), "{error}");
    assert!(error.contains("function_node.rs"), "{error}");

    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let x = tape.constant(&[0.0; 3], [3]);
    let error = text(Line::predict(x, tape.param(&[0.0; 3], [3])));
    assert!(error.contains("one parameter for each"), "{error}");

    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let x = tape.constant(&[0.0; 3], [3]);
    let (p, y) = (tape.param(&[0.0; 2], [2]), tape.constant(&[0.0; 2], [2]));
    let error = text(Line::mse(x, p, y));
    assert!(
        error.contains("expected a target for each sample"),
        "{error}"
    );
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
