//! `backward_over`: micro-batches give what the full batch gives.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use baregrad::{Arena, ErrorKind, ShapeError, Tape, Var};

const ROWS: usize = 103;

/// Two inputs a row, and a target.
fn data() -> (Vec<f32>, Vec<f32>) {
    let x: Vec<f32> = (0..2 * ROWS)
        .map(|i| (i * 37 % 101) as f32 * 0.02 - 1.0)
        .collect();
    let y = x.chunks(2).map(|r| 2.0 * r[0] - r[1] * r[0]).collect();
    (x, y)
}

/// A small network, recorded for so many rows of the data.
struct Net<'t> {
    tape: &'t Tape<'t>,
    data: [(Var<'t>, &'t [f32]); 2],
    loss: Var<'t>,
}

fn net<'t>(tape: &'t Tape<'t>, x: &'t [f32], y: &'t [f32], rows: usize) -> Net<'t> {
    let weights: Vec<f32> = (0..25).map(|i| (i as f32 * 0.7).sin()).collect();
    let (w1, b1) = (
        tape.param(&weights[..16], [2, 8]),
        tape.param(&[0.1; 8], [8]),
    );
    let (w2, b2) = (
        tape.param(&weights[16..24], [8, 1]),
        tape.param(&weights[24..], [1]),
    );
    let x_var = tape.input(&x[..2 * rows], [rows, 2]);
    let y_var = tape.input(&y[..rows], [rows, 1]);
    let loss = x_var.linear(w1, b1).tanh().linear(w2, b2).mse(y_var);
    let data = [(x_var, x), (y_var, y)];
    Net { tape, data, loss }
}

/// The loss and all gradients of one pass over everything.
fn streamed(rows: usize) -> (f32, Vec<f32>) {
    let (x, y) = data();
    let mut arena = Arena::<8000, 32>::new();
    let tape = arena.tape();
    let net = net(&tape, &x, &y, rows);
    let loss = net.tape.backward_over(net.loss, &net.data).unwrap();
    let grads = tape.grads().unwrap().to_vec();
    (loss, grads)
}

fn bits((loss, grads): &(f32, Vec<f32>)) -> Vec<u32> {
    let all = std::iter::once(loss).chain(grads);
    all.map(|x| x.to_bits()).collect()
}

#[test]
fn equals_the_full_batch() {
    let (x, y) = data();
    let mut arena = Arena::<8000, 32>::new();
    let tape = arena.tape();
    let full = net(&tape, &x, &y, ROWS);
    tape.backward(full.loss).unwrap();
    let expected = (full.loss.item().unwrap(), tape.grads().unwrap().to_vec());

    // In one piece: to the bit.
    assert_eq!(bits(&streamed(ROWS)), bits(&expected));
    // In pieces, with and without an odd one: to rounding.
    for rows in [1, 2, 10, 50, 51, 52, 102] {
        let (loss, grads) = streamed(rows);
        assert!((loss / expected.0 - 1.0).abs() < 1e-6, "{rows}: {loss}");
        for (g, e) in grads.iter().zip(&expected.1) {
            assert!((g - e).abs() < 2e-6 * (1.0 + e.abs()), "{rows}: {g} {e}");
        }
    }
}

/// The other tests of this file may run meanwhile: a level changes no bits, so
/// they do not notice.
#[cfg(feature = "std")]
#[test]
fn has_the_same_bits_at_every_level() {
    use baregrad::kernel::{Level, level, set_level};
    let best = level();
    for rows in [7, 64] {
        let expected = bits(&streamed(rows));
        for l in Level::available() {
            set_level(l);
            assert_eq!(bits(&streamed(rows)), expected, "{l:?}");
        }
        set_level(best);
    }
}

/// By hand: rebinding, replaying, weighting.
#[test]
fn is_what_a_loop_would_do() {
    let (x, y) = data();
    let mut arena = Arena::<8000, 32>::new();
    let tape = arena.tape();
    let net = net(&tape, &x, &y, 50);
    let [(x_var, _), (y_var, _)] = net.data;
    for range in [0..3, 3..53, 53..103] {
        let weight = range.len() as f32 / 103.0;
        tape.rebind(x_var, &x[2 * range.start..2 * range.end])
            .unwrap();
        tape.rebind(y_var, &y[range]).unwrap();
        tape.replay().unwrap();
        tape.backward_with(net.loss, &[weight]).unwrap();
    }
    let by_hand = tape.grads().unwrap().to_vec();
    assert_eq!(streamed(50).1, by_hand);

    // It leaves the inputs with the rows recorded, ready for anything else.
    tape.zero_grad();
    tape.backward_over(net.loss, &net.data).unwrap();
    assert_eq!(x_var.shape().dims(), [50, 2]);
    assert_eq!(*x_var.value().unwrap(), x[2 * 53..]);
    // Gradients add up.
    tape.backward_over(net.loss, &net.data).unwrap();
    for (twice, once) in tape.grads().unwrap().iter().zip(&by_hand) {
        assert!((twice - 2.0 * once).abs() < 2e-6 * (1.0 + once.abs()));
    }
}

#[test]
fn fewer_rows_than_recorded_are_one_batch() {
    let (x, y) = data();
    let mut arena = Arena::<8000, 32>::new();
    let tape = arena.tape();
    let net = net(&tape, &x, &y, 50);
    let [(x_var, _), (y_var, _)] = net.data;
    let loss = tape.backward_over(net.loss, &[(x_var, &x[..2 * 20]), (y_var, &y[..20])]);
    assert_eq!(loss.unwrap(), net.loss.item().unwrap());
    assert_eq!(x_var.shape().dims(), [20, 2]);
    // As many as recorded again, though the tape is set up for fewer now.
    assert_eq!(
        tape.backward_over(net.loss, &net.data).unwrap(),
        streamed(50).0
    );
}

#[test]
fn a_term_of_parameters_counts_once() {
    const X: [f32; 10] = [1.0; 10];
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let w = tape.param(&[3.0], []);
    let x = tape.input(&X[..4], [4]);
    let loss = (w * x).mean() + w * w;
    let mean = tape.backward_over(loss, &[(x, &X)]).unwrap();
    assert!((mean - 12.0).abs() < 1e-5);
    assert!((w.grad().unwrap()[0] - 7.0).abs() < 1e-5);
}

/// A mean of many micro-batches keeps its digits.
#[test]
fn many_batches_lose_nothing() {
    const N: usize = 20_000;
    let x: Vec<f32> = (0..N).map(|i| 1000.0 + (i % 7) as f32 * 0.1).collect();
    let exact = x.iter().map(|x| f64::from(*x)).sum::<f64>() / N as f64;
    let mut arena = Arena::<16, 8>::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0], []);
    let x_var = tape.input(&x[..1], [1]);
    let mean = tape.backward_over((w * x_var).mean(), &[(x_var, &x)]);
    assert!((f64::from(mean.unwrap()) / exact - 1.0).abs() < 1.5e-7);
}

#[test]
fn infinities_and_nan_arrive() {
    for odd in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let x = [1.0, odd, 2.0, 3.0];
        let mut arena = Arena::<16, 8>::new();
        let tape = arena.tape();
        let w = tape.param(&[1.0], []);
        let x_var = tape.input(&x[..1], [1]);
        let mean = tape
            .backward_over((w * x_var).mean(), &[(x_var, &x)])
            .unwrap();
        assert!(mean == odd || (odd.is_nan() && mean.is_nan()), "{mean}");
    }
}

#[test]
fn refuses_before_anything_changes() {
    let (x, y) = data();
    let mut arena = Arena::<8000, 32>::new();
    let mut other = Arena::<16, 4>::new();
    let other = other.tape();
    let tape = arena.tape();
    let net = net(&tape, &x, &y, 50);
    let [(x_var, _), (y_var, _)] = net.data;
    let stray = other.input(&x[..4], [4]);
    let scalar = tape.input(&x[..1], []);
    tape.backward(net.loss).unwrap();
    let before = tape.grads().unwrap().to_vec();

    let kind = |loss, data: &[_]| tape.backward_over(loss, data).unwrap_err().kind;
    let data_set = |input, found, row, rows| ErrorKind::DataSet {
        input,
        found,
        row,
        rows,
    };
    let loss = net.loss;
    assert_eq!(
        kind(loss, &[(x_var, &x[..7]), (y_var, &y)]),
        data_set(0, 7, 2, None)
    );
    assert_eq!(
        kind(loss, &[(x_var, &x), (y_var, &y[..102])]),
        data_set(1, 102, 1, Some(103))
    );
    assert_eq!(
        kind(loss, &[(y_var, &y), (x_var, &x[..205])]),
        data_set(1, 205, 2, Some(103))
    );
    assert_eq!(kind(loss, &[(x_var, &[])]), data_set(0, 0, 2, None));
    assert_eq!(kind(loss, &[]), data_set(0, 0, 0, None));
    assert_eq!(kind(loss, &[(scalar, &x)]), data_set(0, 206, 0, None));
    assert_eq!(kind(loss, &[(stray, &x)]), ErrorKind::Foreign);
    assert_eq!(kind(loss, &[(net.loss, &x)]), ErrorKind::NotInput);
    assert_eq!(kind(x_var, &net.data), ErrorKind::NoGradient);
    let message = tape
        .backward_over(loss, &[(x_var, &x), (y_var, &y[..102])])
        .unwrap_err();
    let message = message.to_string();
    let expected = "backward_over: expected 103 rows of 1 values for data 1, found 102 values";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("tests/batch.rs"), "{message}");

    // Still good for what was recorded.
    assert_eq!(*x_var.value().unwrap(), x[..100]);
    assert_eq!(*tape.grads().unwrap(), before);
    assert!(tape.backward(net.loss).is_ok());
    assert!(tape.error().is_none());
}

/// An operation that takes 4 rows and no fewer: nothing was added to gradients.
#[test]
fn an_odd_batch_is_refused_first() {
    const X: [f32; 10] = [0.5; 10];
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let w = tape.param(&[3.0], []);
    let x = tape.input(&X[..4], [4]);
    let loss = (w * x).reshape([2, 2]).mean();
    let error = tape.backward_over(loss, &[(x, &X)]).unwrap_err();
    assert_eq!(error.op, "reshape");
    assert!(matches!(
        error.kind,
        ErrorKind::Shape {
            why: ShapeError::Reshape,
            ..
        }
    ));
    assert!(!w.has_grad());
    assert_eq!(tape.backward_over(loss, &[(x, &X[..8])]).unwrap(), 1.5);
    assert!(w.has_grad());
}

/// A line in one node agrees with `linear` and `mse`, whole and in micro-batches,
/// and takes no float per sample.
#[test]
fn a_line_in_one_node() {
    let x: Vec<f32> = (0..ROWS).map(|i| (i * 37 % 101) as f32 * 0.02).collect();
    let y: Vec<f32> = x.iter().map(|x| 3.0 * x - 1.0 + 0.2 * x * x).collect();
    let near = |found: &[f32], expected: &[f32]| {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} {b}");
        }
    };

    let mut arena = Arena::<512, 16>::new();
    let tape = arena.tape();
    let (w, b) = (tape.param(&[0.5], [1, 1]), tape.param(&[-0.25], [1]));
    let spelled = tape
        .input(&x, [ROWS, 1])
        .linear(w, b)
        .mse(tape.input(&y, [ROWS, 1]));
    tape.backward(spelled).unwrap();
    let expected = [
        spelled.item().unwrap(),
        w.grad().unwrap()[0],
        b.grad().unwrap()[0],
    ];

    for rows in [ROWS, 40, 7] {
        let mut arena = Arena::<8, 4>::new();
        let tape = arena.tape();
        let line = tape.param(&[0.5, -0.25], [2]);
        let (x_var, y_var) = (
            tape.input(&x[..rows], [rows]),
            tape.input(&y[..rows], [rows]),
        );
        let mark = tape.mark();
        for _ in 0..2 {
            let loss = x_var.line_mse(line, y_var);
            // The loss, two means it keeps, its gradient, and the line's twice.
            tape.zero_grad();
            let mean = tape
                .backward_over(loss, &[(x_var, &x), (y_var, &y)])
                .unwrap();
            assert_eq!(tape.usage().floats, 8);
            let grad = line.grad().unwrap();
            near(&[mean, grad[0], grad[1]], &expected);
            drop(grad);
            tape.rewind(mark).unwrap();
            assert_eq!(tape.usage().floats, 4);
        }
    }

    let refused = |result: Var<'_>, expected: ShapeError| {
        let error = result.item().unwrap_err();
        assert_eq!(error.op, "line_mse");
        assert!(matches!(error.kind, ErrorKind::Shape { why, .. } if why == expected));
    };
    let mut arena = Arena::<8, 8>::new();
    let tape = arena.tape();
    let mark = tape.mark();
    let (line, x_var) = (tape.param(&[1.0, 0.0], [2]), tape.input(&x[..4], [4]));
    refused(
        x_var.line_mse(line, tape.input(&y[..4], [4, 1])),
        ShapeError::Different,
    );
    tape.rewind(mark).unwrap();
    let (line, x_var) = (tape.param(&[1.0, 0.0], [2, 1]), tape.input(&x[..4], [4]));
    refused(
        x_var.line_mse(line, tape.input(&y[..4], [4])),
        ShapeError::Other("expected slope and offset, of shape [2]"),
    );
}
