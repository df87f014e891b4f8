//! Tests of `backward_over`: micro-batches give the loss and gradients of the full batch.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use baregrad::function::{Function as _, models::Line};
use baregrad::{Arena, ErrorKind, ShapeError, Tape, Var};

const ROWS: usize = 103;

/// Returns rows of two inputs, and their targets.
fn data() -> (Vec<f32>, Vec<f32>) {
    let x: Vec<f32> = (0..2 * ROWS)
        .map(|i| (i * 37 % 101) as f32 * 0.02 - 1.0)
        .collect();
    let y = x.chunks(2).map(|r| 2.0 * r[0] - r[1] * r[0]).collect();
    (x, y)
}

/// A small network, recorded for some rows of the data.
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

/// Returns the loss and all gradients of one pass over all data, in micro-batches of `rows`.
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

    // One batch gives the same bits.
    assert_eq!(bits(&streamed(ROWS)), bits(&expected));
    // Micro-batches, with and without a smaller last one, agree up to rounding.
    for rows in [1, 2, 10, 50, 51, 52, 102] {
        let (loss, grads) = streamed(rows);
        assert!((loss / expected.0 - 1.0).abs() < 1e-6, "{rows}: {loss}");
        for (g, e) in grads.iter().zip(&expected.1) {
            assert!((g - e).abs() < 2e-6 * (1.0 + e.abs()), "{rows}: {g} {e}");
        }
    }
}

/// The bits do not depend on the SIMD level, which is why this may change it beside other tests.
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

/// `backward_over` equals a loop that rebinds, replays and weights.
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

    // Afterwards the inputs have the recorded number of rows.
    tape.zero_grad();
    tape.backward_over(net.loss, &net.data).unwrap();
    assert_eq!(x_var.shape().dims(), [50, 2]);
    assert_eq!(*x_var.value().unwrap(), x[2 * 53..]);
    // A second pass adds to the gradients.
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
    // A full batch is accepted although the tape is rebound to fewer rows.
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

/// The mean over many micro-batches is accurate.
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

    // The recording still works.
    assert_eq!(*x_var.value().unwrap(), x[..100]);
    assert_eq!(*tape.grads().unwrap(), before);
    assert!(tape.backward(net.loss).is_ok());
    assert!(tape.error().is_none());
}

/// An input recorded with 0 rows is an error, not an endless loop.
#[test]
fn an_input_without_rows_takes_no_data() {
    const X: [f32; 6] = [1.0; 6];
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let w = tape.param(&[3.0], []);
    let x = tape.input(&X[..4], [2, 2]);
    let inputs = [
        tape.input(&[], [0, 2]),
        tape.input(&[], [0]),
        tape.input(&[], [0, 3, 0]),
        tape.input(&[], [2, 0]),
    ];
    let losses = [(w * x).mean(), w, (w * inputs[0]).sum()];
    for loss in losses {
        for data in [&X[..], &X[..4], &X[..2], &[]] {
            for empty in inputs {
                let error = tape.backward_over(loss, &[(empty, data)]).unwrap_err();
                let expected = ErrorKind::DataSet {
                    input: 0,
                    found: data.len(),
                    row: 0,
                    rows: None,
                };
                assert_eq!(error.kind, expected);
                if !data.is_empty() {
                    // The same beside an input that has rows.
                    let both = [(x, data), (empty, data)];
                    let error = tape.backward_over(loss, &both).unwrap_err();
                    let ErrorKind::DataSet {
                        input: 1, row: 0, ..
                    } = error.kind
                    else {
                        panic!("{error}")
                    };
                }
            }
        }
    }
    assert!(!w.has_grad() && tape.error().is_none());
}

/// If an operation refuses the smaller last batch, nothing was added to gradients before.
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
/// and takes no memory per sample.
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
            let loss = Line::mse(x_var, line, y_var);
            // The loss, two means that it saves, its gradient; the line and its gradient.
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
}

// ---- all or nothing --------------------------------------------------------

type Program = for<'t> fn(&'t Tape<'t>, Var<'t>) -> Var<'t>;

/// Losses that keep gradients alive in different ways.
const PROGRAMS: [(&str, Program); 5] = [
    ("a chain", |tape, x| {
        let w = tape.param(&[0.5], []);
        (x * w).sin().exp().square().mean()
    }),
    ("a web", |tape, x| {
        let w = tape.param(&[0.5], []);
        let (a, b) = ((x * w).sin(), (x + w).cos());
        ((a * b + a).tanh() * b).square().mean()
    }),
    ("a term of parameters only", |tape, x| {
        let w = tape.param(&[0.5], []);
        let v = tape.param(&[0.1; 5], [5]);
        (x * w).exp().mean() + (v * v).exp().sin().sum()
    }),
    ("rows that are summed early", |tape, x| {
        let w = tape.param(&[0.5; 3], [3, 1]);
        let all = (w * x).exp().mean_axis(1, false);
        all.sin().exp().square().mean()
    }),
    ("joined tensors", |tape, x| {
        let w = tape.param(&[0.5], []);
        let parts = [x * w, x + w, (x * w).exp(), x, x - w, x * 2.0];
        tape.concat(&parts, 0).square().mean()
    }),
];

const SAMPLES: [f32; 12] = [
    0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7, -0.8, 0.9, -1.0, 1.1, -1.2,
];

/// Calls `backward_over` with `rows` rows in an arena of `floats` floats, recorded for
/// `recorded` rows. Returns `None` if the recording does not fit.
fn over(
    program: Program,
    floats: usize,
    [recorded, rows]: [usize; 2],
) -> Option<Result<(), ErrorKind>> {
    let mut floats = vec![f32::NAN; floats];
    let mut nodes = vec![baregrad::op::Node::EMPTY; 32];
    let tape = Tape::new(&mut floats, &mut nodes);
    let x = tape.input(&SAMPLES[..recorded], [recorded]);
    let loss = program(&tape, x);
    if tape.error().is_some() {
        return None;
    }
    let usage = tape.usage();
    let found = tape.backward_over(loss, &[(x, &SAMPLES[..rows])]);
    if found.is_err() {
        // Nothing has changed.
        assert_eq!(tape.usage(), usage);
        assert_eq!(x.shape().dims(), [recorded]);
        assert_eq!(*x.value().unwrap(), SAMPLES[..recorded]);
        assert!(tape.step(&mut baregrad::optim::Sgd::new(0.1)).is_err());
    }
    Some(found.map(drop).map_err(|error| error.kind))
}

/// The number of floats in an error is that of the smallest arena that is enough.
#[test]
fn needed_suffices_for_all_micro_batches() {
    for (name, program) in PROGRAMS {
        for recorded in [1, 3, 4] {
            for rows in [2, 4, 7, 12] {
                let found: Vec<_> = (0..=160)
                    .map(|floats| over(program, floats, [recorded, rows]))
                    .collect();
                let suffices = |found: &Option<Result<_, _>>| matches!(found, Some(Ok(())));
                let smallest = found.iter().position(suffices).unwrap();
                let mut told = 0;
                for (capacity, found) in found.into_iter().enumerate() {
                    let expected = match found {
                        None => continue,
                        Some(_) if capacity >= smallest => Ok(()),
                        Some(_) => Err(ErrorKind::Floats {
                            needed: smallest,
                            capacity,
                        }),
                    };
                    assert_eq!(
                        found.unwrap(),
                        expected,
                        "{name}: {rows} rows by {recorded}"
                    );
                    told += usize::from(capacity < smallest);
                }
                assert!(told > 0, "{name}: {rows} rows by {recorded}");
            }
        }
    }
}

/// On a tape for 4 of 6 rows, the micro-batch of 2 fits into 24 floats, but that of 4 takes 28:
/// the error comes before the first gradient.
#[test]
fn the_full_batch_is_planned_before_the_odd_one_is_added() {
    let (_, chain) = PROGRAMS[0];
    for capacity in 20..28 {
        let needed = 28;
        let refusal = ErrorKind::Floats { needed, capacity };
        assert_eq!(over(chain, capacity, [4, 6]), Some(Err(refusal)));
    }
    assert_eq!(over(chain, 28, [4, 6]), Some(Ok(())));
}

/// Returns everything that a tape shows, now and after some more calls.
fn future<'t>(tape: &'t Tape<'t>, x: Var<'t>, loss: Var<'t>, w: Var<'t>) -> Vec<String> {
    let mut seen = Vec::new();
    let mut look = |what: &str| {
        let grads = w.has_grad().then(|| w.grad().unwrap().to_vec());
        let (values, loss) = (x.value().unwrap().to_vec(), loss.value().unwrap().to_vec());
        let usage = tape.usage();
        seen.push(format!(
            "{what}: {} {values:?} {loss:?} {grads:?} {usage:?}",
            x.shape()
        ));
    };
    look("now");
    let kind = |result: Result<(), baregrad::Error>| format!("{:?}", result.map_err(|e| e.kind));
    let first = kind(tape.backward(loss));
    look(&first);
    let replayed = kind(tape.replay());
    look(&replayed);
    let second = kind(tape.backward(loss));
    look(&second);
    let step = kind(tape.step(&mut baregrad::optim::Sgd::new(0.25)));
    look(&step);
    seen
}

/// A refused `backward_over` has no effect on anything that follows.
#[test]
fn a_refusal_changes_nothing_that_can_be_seen() {
    type Before = for<'t> fn(&'t Tape<'t>, Var<'t>, Var<'t>, Var<'t>);
    let before: [(&str, Before); 11] = [
        ("recorded", |_, _, _, _| ()),
        ("backward", |tape, _, loss, _| tape.backward(loss).unwrap()),
        ("twice", |tape, _, loss, _| {
            tape.backward(loss).unwrap();
            tape.backward(loss).unwrap();
        }),
        ("zeroed", |tape, _, loss, _| {
            tape.backward(loss).unwrap();
            tape.zero_grad();
        }),
        ("stepped", |tape, _, loss, _| {
            tape.backward(loss).unwrap();
            tape.step(&mut baregrad::optim::Sgd::new(0.5)).unwrap();
        }),
        ("of the parameter", |tape, _, loss, w| {
            tape.backward(loss).unwrap();
            tape.backward(w).unwrap();
        }),
        ("recorded more", |tape, _, loss, w| {
            tape.backward(loss).unwrap();
            let _ = w * w;
        }),
        ("another loss", |tape, _, _, w| {
            tape.backward(w * w).unwrap()
        }),
        ("written", |tape, _, _, w| tape.write(w, &[0.25]).unwrap()),
        ("waiting", |tape, x, loss, _| {
            tape.backward(loss).unwrap();
            tape.rebind(x, &SAMPLES[5..6]).unwrap();
        }),
        ("waiting, and taken back", |tape, x, _, _| {
            tape.rebind(x, &SAMPLES[5..6]).unwrap();
            tape.rebind(x, &SAMPLES[5..7]).unwrap();
        }),
    ];
    // By shape, because two rows cannot be [2, 2]; by memory, because four rows do not fit.
    let refused: [(&str, usize, usize, Program); 2] = [
        ("shapes", 4, 100, |_, x| x.reshape([2, 2]).square().mean()),
        ("memory", 2, 25, |_, x| x.sin().exp().square().mean()),
    ];
    for (why, bound, floats, program) in refused {
        for (name, before) in before {
            let run = |refuse: bool| {
                let mut floats = vec![0.0; floats];
                let mut nodes = vec![baregrad::op::Node::EMPTY; 16];
                let tape = Tape::new(&mut floats, &mut nodes);
                let x = tape.input(&SAMPLES[..4], [4]);
                let w = tape.param(&[0.5], []);
                let loss = program(&tape, x * w);
                if bound < 4 {
                    tape.rebind(x, &SAMPLES[..bound]).unwrap();
                    tape.replay().unwrap();
                }
                before(&tape, x, loss, w);
                if refuse {
                    let error = tape.backward_over(loss, &[(x, &SAMPLES[..6])]).unwrap_err();
                    let expected = match error.kind {
                        ErrorKind::Shape { .. } => "shapes",
                        ErrorKind::Floats { .. } => "memory",
                        _ => "nothing else",
                    };
                    assert_eq!(expected, why, "{name}: {error}");
                }
                future(&tape, x, loss, w)
            };
            assert_eq!(run(true), run(false), "{why}: {name}");
        }
    }
}

/// After a pass, only the parameters that it has reached have gradients.
#[test]
fn gradients_are_counted_after_other_losses() {
    let mut arena = Arena::<200, 16>::new();
    let tape = arena.tape();
    let (w, v) = (tape.param(&[0.5], []), tape.param(&[2.0], []));
    let late = tape.param(&[1.0], []);
    let x = tape.input(&SAMPLES[..4], [4]);
    let loss = (x * w).mean();
    tape.backward(v * v).unwrap();
    tape.backward_over(loss, &[(x, &SAMPLES[..6])]).unwrap();
    assert!(w.has_grad() && v.has_grad() && !late.has_grad());
    assert_eq!(*v.grad().unwrap(), [4.0]);
    // -0.05 is the mean of 0.1, -0.2, 0.3, -0.4, 0.5, -0.6.
    assert!((w.grad().unwrap()[0] + 0.05).abs() < 1e-7);
}

/// A micro-batch has the smallest recorded number of rows.
#[test]
fn inputs_recorded_with_different_rows() {
    let ys: [f32; 10] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
    for (a, b) in [(4, 6), (6, 4), (1, 3), (5, 10), (10, 7)] {
        let mut arena = Arena::<256, 32>::new();
        let tape = arena.tape();
        let (w, v) = (tape.param(&[2.0], []), tape.param(&[3.0], []));
        let x = tape.input(&SAMPLES[..a], [a]);
        let y = tape.input(&ys[..b], [b]);
        let loss = (w * x).square().mean() + (v * y).mean();
        for _ in 0..2 {
            tape.zero_grad();
            let data: [(_, &[f32]); 2] = [(x, &SAMPLES[..10]), (y, &ys)];
            let mean = tape.backward_over(loss, &data).unwrap();
            // The loss is 4 · mean(x²) + 3 · mean(y), with a mean of x² = 0.01, 0.04, … 1 of 0.385.
            assert!((mean - (4.0 * 0.385 + 3.0 * 5.5)).abs() < 1e-5, "{mean}");
            // The gradients are 2 w · mean(x²) and mean(y).
            assert!((w.grad().unwrap()[0] - 4.0 * 0.385).abs() < 1e-6);
            assert!((v.grad().unwrap()[0] - 5.5).abs() < 1e-5);
            // In the last micro-batch both have the same number of rows.
            let least = a.min(b);
            assert_eq!(x.shape().dims(), [least]);
            assert_eq!(*y.value().unwrap(), ys[10 - least..]);
        }
    }
}

#[test]
fn an_input_is_named_once() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let w = tape.param(&[2.0], []);
    let x = tape.input(&SAMPLES[..4], [4]);
    let y = tape.input(&SAMPLES[..4], [4]);
    let loss = (w * x + y).mean();
    let other: [f32; 8] = [1.0; 8];
    let data: [(_, &[f32]); 3] = [(x, &SAMPLES[..8]), (y, &other), (x, &other)];
    let error = tape.backward_over(loss, &data).unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::InputTwice {
            first: 0,
            second: 2
        }
    );
    let text = error.to_string();
    assert!(text.contains("data 0 and data 2"), "{text}");
    assert!(!w.has_grad());
    assert_eq!(*x.value().unwrap(), SAMPLES[..4]);
    tape.backward_over(loss, data.get(..2).unwrap()).unwrap();
}
