//! Tests of operations on dimensions and windows, and of layers, beyond those that use the list of
//! operations: shapes and indices that are refused, smaller batches, micro-batches, long sums, and
//! changes between replays.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use baregrad::op::Node;
use baregrad::ops::conv::Conv1d;
use baregrad::ops::dropout::Dropout;
use baregrad::ops::norm::{BatchNorm, LayerNorm};
use baregrad::ops::pool::{AvgPool1d, MaxPool1d};
use baregrad::{Arena, ErrorKind, ShapeError, Tape, Var};

fn values(x: Var<'_>) -> Vec<f32> {
    x.value().unwrap().to_vec()
}

fn grad(x: Var<'_>) -> Vec<f32> {
    x.grad().unwrap().to_vec()
}

/// Returns plenty of room for a tape.
fn storage() -> (Vec<f32>, Vec<Node>) {
    (vec![0.0; 1 << 20], vec![Node::EMPTY; 128])
}

/// Returns numbers between -1 and 1 without a pattern.
fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.7 + 0.3).sin()).collect()
}

/// Returns the text of the error that the tape keeps after recording this on `[2, 3, 4]`.
fn refusal(record: impl for<'t> Fn(&'t Tape<'t>, Var<'t>) -> Var<'t>) -> String {
    let mut arena = Arena::<2048, 32>::new();
    let tape = arena.tape();
    let x = tape.param(&numbers(24), [2, 3, 4]);
    let _ = record(&tape, x);
    let text = tape.error().expect("nothing was refused").to_string();
    assert!(text.contains("tests/structure.rs"), "{text}");
    text
}

#[test]
#[allow(clippy::type_complexity)]
fn refusals_name_operation_and_reason() {
    type Record = for<'t> fn(&'t Tape<'t>, Var<'t>) -> Var<'t>;
    let cases: &[(Record, &str, &str)] = &[
        (|_, x| x.permute([0, 1]), "permute", "each dimension"),
        (|_, x| x.permute([0, 1, 1]), "permute", "twice"),
        (|_, x| x.permute([0, 1, 3]), "permute", "axis 3"),
        (|_, x| x.flip([0, -3]), "flip", "twice"),
        (
            |_, x| x.flip([isize::MAX]),
            "flip",
            "axis 9223372036854775807",
        ),
        (|_, x| x.flip([-4]), "flip", "axis -4"),
        (|_, x| x.expand([2, 3, 5]), "expand", "broadcast"),
        (|_, x| x.expand([3, 4]), "expand", "each dimension"),
        (|_, x| x.expand([-1, 2, 3, 4]), "expand", "size of -1"),
        (|_, x| x.expand([2, 3, -4]), "expand", "size of -4"),
        (|_, x| x.unsqueeze(4), "unsqueeze", "axis 4"),
        (|t, x| t.stack(&[x, x.sum()], 0), "stack", "equal shapes"),
        (|t, x| t.stack(&[x, x], 5), "stack", "axis 5"),
        (|t, _| t.stack(&[], 0), "stack", "at least one"),
        (|_, x| x.split(0, 1).next().unwrap(), "split", "at least 1"),
        (|_, x| x.split(2, 3).next().unwrap(), "split", "axis 3"),
        (|_, x| x.split_sizes([2, 2], 1)[0], "split", "in sum"),
        (|_, x| x.chunk(0, 1).next().unwrap(), "chunk", "at least 1"),
        (
            |_, x| x.conv1d(x.narrow(1, 0, 2)),
            "conv1d",
            "channels / groups",
        ),
        (
            |t, x| x.conv1d(t.constant(&[0.0; 15], [1, 3, 5])),
            "conv1d",
            "no longer than the row",
        ),
        (
            |t, x| {
                Conv1d::new()
                    .stride(0)
                    .of(x, t.constant(&[0.0; 3], [1, 3, 1]))
            },
            "conv1d",
            "at least 1",
        ),
        (
            |t, x| {
                Conv1d::new()
                    .groups(2)
                    .of(x, t.constant(&[0.0; 4], [2, 2, 1]))
            },
            "conv1d",
            "groups divide",
        ),
        (
            |t, x| {
                let bias = t.constant(&[0.0; 2], [2]);
                Conv1d::new()
                    .bias(bias)
                    .of(x, t.constant(&[0.0; 3], [1, 3, 1]))
            },
            "conv1d",
            "bias for each filter",
        ),
        (|_, x| x.max_pool1d(5), "max_pool1d", "no longer"),
        (|_, x| x.avg_pool1d(0), "avg_pool1d", "at least 1"),
        (
            |_, x| MaxPool1d::new(2).padding(2).of(x),
            "max_pool1d",
            "half",
        ),
        (
            |_, x| AvgPool1d::new(3).stride(0).of(x),
            "avg_pool1d",
            "at least 1",
        ),
        (
            |_, x| LayerNorm::new([3]).of(x),
            "layer_norm",
            "ends in the normalised shape",
        ),
        (|_, x| x.layer_norm(x, x.sum()), "layer_norm", "weights"),
        (
            |t, x| {
                let s = t.constant(&[1.0; 2], [2]);
                BatchNorm::new(s, s).eval(x)
            },
            "batch_norm",
            "[channels]",
        ),
        (
            |t, x| {
                let s = t.constant(&[1.0; 3], [3]);
                BatchNorm::new(s, s).train(x.narrow(0, 0, 1).narrow(2, 0, 1))
            },
            "batch_norm",
            "more than one value",
        ),
        (
            |t, x| {
                let s = t.param(&[1.0; 3], [3]);
                BatchNorm::new(s, s).eval(x)
            },
            "batch_norm",
            "constants",
        ),
        (
            |t, x| Dropout::new(1.5).of(x, t.constant(&[0.0], [])),
            "dropout",
            "from 0 to 1",
        ),
        (
            |t, x| Dropout::new(0.5).of(x, t.constant(&[0.0; 3], [3])),
            "dropout",
            "each row",
        ),
        (|_, x| x.matmul(x), "matmul", "summed over"),
        (
            |t, x| x.matmul(t.constant(&[0.0; 12], [3, 4, 1])),
            "matmul",
            "broadcast",
        ),
        (
            |t, x| x.gather(0, t.constant(&[0.0; 2], [2])),
            "gather",
            "as many dimensions",
        ),
        (
            |t, x| x.gather(0, t.constant(&[0.0; 4], [1, 4, 1])),
            "gather",
            "within the tensor",
        ),
        (
            |t, x| x.index_select(1, t.constant(&[0.0, 2.0, 3.0], [3])),
            "index_select",
            "index 3 is out of range: expected one from 0 and below 3",
        ),
        (
            |t, x| x.gather(2, t.constant(&[-1.0], [1, 1, 1])),
            "gather",
            "index -1 is out of range",
        ),
        (
            |t, x| t.constant(&[0.5], []).embedding(x.select(0, 0)),
            "index_select",
            "no whole number",
        ),
    ];
    for (i, (record, op, reason)) in cases.iter().enumerate() {
        let text = refusal(record);
        assert!(text.contains(op) && text.contains(reason), "{i}: {text}");
    }
}

/// A stack that does not fit as a whole records nothing.
#[test]
fn a_stack_that_does_not_fit_leaves_nothing_behind() {
    let mut arena = Arena::<64, 10>::new();
    let tape = arena.tape();
    let x = tape.constant(&[1.0; 4], [4]);
    let mark = tape.mark();
    let before = tape.usage().nodes;
    let _ = tape.stack(&[x; 7], 0); // 7 views and 3 joins
    assert!(matches!(
        tape.error().unwrap().kind,
        ErrorKind::Nodes { .. }
    ));
    assert_eq!(tape.usage().nodes, before);
    tape.rewind(mark).unwrap();
    let fits = tape.stack(&[x; 5], 1); // 5 views and 2 joins
    assert_eq!(fits.shape().dims(), [4, 5]);
    assert_eq!(values(fits), [1.0; 20]);
}

#[test]
fn pieces_join_to_the_whole() {
    let (mut floats, mut nodes) = storage();
    let tape = &Tape::new(&mut floats, &mut nodes);
    let x = tape.constant(&numbers(70), [7, 10]);
    for axis in [0, 1, -1] {
        for size in [1, 3, 4, 7, 10, usize::MAX] {
            let pieces: Vec<_> = x.split(size, axis).collect();
            assert_eq!(pieces.len(), x.split(size, axis).len());
            let mark = tape.mark();
            assert_eq!(values(tape.concat(&pieces, axis)), values(x));
            tape.rewind(mark).unwrap();
        }
    }
    // In PyTorch, torch.arange(n).chunk(6) has six pieces for n of 11 and 12, and five for 13.
    let lengths = |n: usize, chunks: usize| {
        let mark = tape.mark();
        let x = tape.constant(&numbers(n), [n]);
        let pieces = x.chunk(chunks, 0);
        let lengths: Vec<_> = pieces.map(|piece| piece.shape().dim(0)).collect();
        tape.rewind(mark).unwrap();
        lengths
    };
    assert_eq!(lengths(11, 6), [2, 2, 2, 2, 2, 1]);
    assert_eq!(lengths(12, 6), [2; 6]);
    assert_eq!(lengths(13, 6), [3, 3, 3, 3, 1]);
    assert_eq!(lengths(2, 5), [1, 1]);
}

/// Records a network of all these operations, whose loss is a mean over samples.
fn network<'t>(tape: &'t Tape<'t>, x: Var<'t>, step: Var<'t>, y: Var<'t>) -> Var<'t> {
    let weights = numbers(400);
    let w = tape.param(&weights[..24], [4, 2, 3]);
    let b = tape.param(&weights[24..28], [4]);
    let x = Conv1d::new().bias(b).padding(1).of(x, w).tanh();
    let x = MaxPool1d::new(2).padding(1).of(x); // [n, 4, 5]
    let (w, b) = (
        tape.param(&weights[30..35], [5]),
        tape.param(&weights[35..40], [5]),
    );
    let x = x.layer_norm(w, b).permute([0, 2, 1]).flip([1]); // [n, 5, 4]
    let x = Dropout::new(0.25).seed(5).of(x, step);
    let w = tape.param(&weights[40..52], [4, 3]);
    let x = x.matmul(w).permute([0, 2, 1]); // [n, 3, 5]
    let x = AvgPool1d::new(5).of(x).reshape([-1, 3]);
    x.mse(y)
}

/// Micro-batches give the loss and gradients of the batch.
#[test]
fn micro_batches_give_what_the_batch_gives() {
    const ROWS: usize = 23;
    let data = numbers(ROWS * (16 + 3));
    let (x, y) = data.split_at(ROWS * 16);
    let steps: Vec<f32> = (0..ROWS).map(|i| i as f32).collect();
    let run = |rows: usize| {
        let mut floats = vec![0.0; 1 << 16];
        let mut nodes = vec![Node::EMPTY; 64];
        let tape = Tape::new(&mut floats, &mut nodes);
        let inputs = [
            tape.input(&x[..rows * 16], [rows, 2, 8]),
            tape.input(&steps[..rows], [rows]),
            tape.input(&y[..rows * 3], [rows, 3]),
        ];
        let loss = network(&tape, inputs[0], inputs[1], inputs[2]);
        let all = [(inputs[0], x), (inputs[1], &steps[..]), (inputs[2], y)];
        let loss = tape.backward_over(loss, &all).unwrap();
        (loss, tape.grads().unwrap().to_vec())
    };
    let (loss, grads) = run(ROWS);
    assert!(grads.iter().all(|g| *g != 0.0));
    for rows in [1, 4, 22] {
        let (other, others) = run(rows);
        assert!((other / loss - 1.0).abs() < 1e-6, "{rows}: {other} {loss}");
        for (g, e) in others.iter().zip(&grads) {
            // The bound is a dozen roundings of terms near 1.
            assert!((g - e).abs() < 2e-6, "{rows}: {g} {e}");
        }
    }
}

/// Asserts that a sum is off by at most a dozen roundings.
fn close(found: f32, x: f64, what: &str) {
    let error = (f64::from(found) / x - 1.0).abs();
    assert!(error < 12.0 / f64::from(1 << 24), "{what}: {found} {x}");
}

/// Asserts that all elements of the gradients of `of` are `expected`, if the gradient of the result
/// is 0.1 everywhere.
fn check<'t>(what: &str, of: &[Var<'t>], result: Var<'t>, expected: &[f64]) {
    let tape = result.tape();
    tape.zero_grad();
    let g = vec![0.1; result.shape().numel()];
    tape.backward_with(result, &g).unwrap();
    for (x, expected) in of.iter().zip(expected) {
        grad(*x).iter().for_each(|g| close(*g, *expected, what));
    }
}

/// Sums of many equal terms stay accurate, whose sums in order are off by hundreds of roundings.
#[test]
fn long_sums_stay_accurate() {
    const N: usize = 40_000;
    let third = f64::from(0.1_f32);
    let (mut floats, mut nodes) = storage();
    let tape = &Tape::new(&mut floats, &mut nodes);
    let mark = tape.mark();
    let n = N as f64;
    // Weights and bias, over samples and windows.
    let x = tape.constant_from_fn([N, 1, 1], |_| 0.1);
    let (w, b) = (tape.param(&[1.0], [1, 1, 1]), tape.param(&[0.0], [1]));
    let y = Conv1d::new().bias(b).of(x, w);
    check("samples", &[w, b], y, &[n * third * third, n * third]);
    tape.rewind(mark).unwrap();
    for stride in [1, 2] {
        let x = tape.constant_from_fn([1, N], |_| 0.1);
        let (w, b) = (tape.param(&[1.0], [1, 1, 1]), tape.param(&[0.0], [1]));
        let y = Conv1d::new().bias(b).stride(stride).of(x, w);
        let n = n / stride as f64;
        check("windows", &[w, b], y, &[n * third * third, n * third]);
        tape.rewind(mark).unwrap();
    }
    // A result that sums many channels, and the gradient of an input that sums many filters.
    let x = tape.param(&[0.1], [1, 1]);
    let x = x.expand([N as isize, 1]);
    let w = tape.constant_from_fn([1, N, 1], |_| 0.1);
    close(x.conv1d(w).item().unwrap(), n * third * third, "channels");
    tape.rewind(mark).unwrap();
    let x = tape.param(&[1.0], [1, 1]);
    let w = tape.constant_from_fn([N, 1, 1], |_| 0.1);
    check("filters", &[x], x.conv1d(w), &[n * third * third]);
    tape.rewind(mark).unwrap();
    // One element that is repeated, or picked many times.
    let x = tape.param(&[1.0], [1]);
    check("expand", &[x], x.expand([N as isize]), &[n * third]);
    tape.rewind(mark).unwrap();
    let index = tape.constant_from_fn([N], |_| 0.0);
    let x = tape.param(&[1.0], [1, 1]);
    check("embedding", &[x], index.embedding(x), &[n * third]);
    let x = tape.param(&[1.0], [1]);
    check("gather", &[x], x.gather(0, index), &[n * third]);
    tape.rewind(mark).unwrap();
    // A matrix that is repeated over batches, on either side.
    let many = tape.constant_from_fn([N, 1, 1], |_| 0.1);
    let x = tape.param(&[1.0], [1, 1, 1]);
    check("left", &[x], x.matmul(many), &[n * third * third]);
    check("right", &[x], many.matmul(x), &[n * third * third]);
    tape.rewind(mark).unwrap();
    let many = tape.constant_from_fn([N / 2, 2, 1, 1], |_| 0.1);
    let x = tape.param(&[1.0, 1.0], [2, 1, 1]);
    check("both", &[x], many.matmul(x), &[n / 2.0 * third * third]);
    tape.rewind(mark).unwrap();
    // A window of many elements, and an element in many windows.
    let x = tape.constant_from_fn([1, N], |_| 0.1);
    close(x.avg_pool1d(N).item().unwrap(), third, "mean");
    tape.rewind(mark).unwrap();
    let n = 800;
    let x = tape.param_from_fn([1, 2 * n - 1], |i| if i == n - 1 { 1.0 } else { 0.0 });
    let y = MaxPool1d::new(n).stride(1).of(x);
    tape.zero_grad();
    tape.backward_with(y, &vec![0.1; n]).unwrap();
    close(grad(x)[n - 1], n as f64 * third, "largest");
    let y = AvgPool1d::new(n).stride(1).of(x);
    tape.zero_grad();
    tape.backward_with(y, &vec![0.1; n]).unwrap();
    close(grad(x)[n - 1], third, "means");
}

/// Numbers far from 0 are normalised as accurately as those near it: 0, 1, 2, 3 plus any constant
/// give `(i - 1.5) / √1.25`.
#[test]
fn the_mean_is_taken_off_exactly() {
    let (mut floats, mut nodes) = storage();
    let tape = &Tape::new(&mut floats, &mut nodes);
    for center in [0.0, 1000.0, 65536.0, 4_194_304.0] {
        let x = tape.constant_from_fn([1024], |i| center + (i % 4) as f32);
        let rows = LayerNorm::new([1024]).eps(0.0).of(x);
        let statistics = tape.constant(&[1.0], [1]);
        let norm = BatchNorm::new(statistics, statistics).eps(0.0);
        let channels = norm.train(x.reshape([512, 1, 2]));
        for y in [rows, channels] {
            for (i, y) in values(y).into_iter().enumerate() {
                let exact = ((i % 4) as f32 - 1.5) / 1.25_f32.sqrt();
                assert!((y - exact).abs() < 1e-6, "{center}: {y} {exact}");
            }
        }
    }
}

/// Running statistics are updated like by torch.nn.functional.batch_norm, with momentum 0.25 and
/// two batches.
#[test]
fn running_statistics_move_as_in_pytorch() {
    let (mut floats, mut nodes) = storage();
    let tape = &Tape::new(&mut floats, &mut nodes);
    let x = tape.constant(&[1.0, 10.0, 3.0, 20.0, 5.0, 60.0], [3, 2]);
    let mean = tape.constant(&[0.0, 0.0], [2]);
    let var = tape.constant(&[1.0, 1.0], [2]);
    let norm = BatchNorm::new(mean, var).momentum(0.25);
    let y = norm.train(x);
    norm.update(x).unwrap();
    // The batch has means of 3 and 30, and sample variances of 4 and 700.
    assert_eq!(values(mean), [0.75, 7.5]);
    assert_eq!(values(var), [1.75, 175.75]);
    tape.write(x, &[0.0, 1.0, 0.0, 1.0, 3.0, 1.0]).unwrap();
    tape.replay().unwrap();
    norm.update(x).unwrap();
    assert_eq!(values(mean), [0.8125, 5.875]);
    assert_eq!(values(var), [2.0625, 131.8125]);
    // The training result is unchanged.
    assert_eq!(values(y)[5], 0.0);
    // Statistics that are results cannot be updated, and the tape stays usable.
    let computed = BatchNorm::new(mean + 0.0, var);
    let error = computed.update(x).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::NotLeaf), "{error}");
    let error = norm.update(x.reshape([2, 3])).unwrap_err();
    assert!(error.to_string().contains("[channels]"), "{error}");
    assert!(tape.error().is_none());
}

#[test]
fn dropout_drops_as_many_as_it_says() {
    let (mut floats, mut nodes) = storage();
    let tape = &Tape::new(&mut floats, &mut nodes);
    let n = 20_000;
    let x = tape.constant_from_fn([n], |_| 1.0);
    let step = tape.constant(&[0.0], []);
    for p in [0.1, 0.5, 0.9] {
        let y = Dropout::new(p).seed(9).of(x, step);
        let mut before = vec![];
        for turn in 0..4 {
            tape.write(step, &[turn as f32]).unwrap();
            tape.replay().unwrap();
            let found = values(y);
            assert!(found.iter().all(|y| *y == 0.0 || *y == 1.0 / (1.0 - p)));
            let dropped = found.iter().filter(|y| **y == 0.0).count() as f32 / n as f32;
            // The bound is five standard deviations of twenty thousand draws.
            assert!((dropped - p).abs() < 0.018, "{p}: {dropped}");
            assert_ne!(found, before);
            tape.replay().unwrap();
            assert_eq!(values(y), found);
            before = found;
        }
        tape.write(step, &[-1.0]).unwrap();
        tape.replay().unwrap();
        assert_eq!(values(y), values(x));
    }
    let other = Dropout::new(0.5).seed(10).of(x, tape.constant(&[0.0], []));
    let same = Dropout::new(0.5).seed(9).of(x, tape.constant(&[0.0], []));
    assert_ne!(values(other), values(same));
    // With p = 1 all are dropped; without training nothing is recorded.
    let all = Dropout::new(1.0).of(x, tape.constant(&[0.0], []));
    assert!(values(all).iter().all(|y| *y == 0.0));
    let nodes = tape.usage().nodes;
    let none = Dropout::new(0.5).training(false).of(x, step);
    assert_eq!((tape.usage().nodes, none.shape()), (nodes, x.shape()));
}

/// Indices that become wrong by a rebind give NaN in the replay, and no gradient.
#[test]
fn indices_that_turn_wrong_give_nan() {
    let good = [2.0, 0.0, 2.0];
    let wrong = [2.0, 3.0, -1.0];
    let mut arena = Arena::<256, 16>::new();
    let tape = arena.tape();
    let index = tape.input(&good, [3]);
    let x = tape.param(&[1.0, 2.0, 3.0], [3]);
    let rows = x.reshape([3, 1]);
    let all = [
        x.gather(0, index),
        x.index_select(0, index),
        index.embedding(rows).reshape([-1]),
    ];
    for y in all {
        assert_eq!(values(y), [3.0, 1.0, 3.0]);
    }
    tape.rebind(index, &wrong).unwrap();
    tape.replay().unwrap();
    for y in all {
        let found = values(y);
        assert_eq!(found[0], 3.0);
        assert!(found[1].is_nan() && found[2].is_nan());
        tape.zero_grad();
        tape.backward_with(y, &[1.0; 3]).unwrap();
        assert_eq!(grad(x), [0.0, 0.0, 1.0]);
    }
    let error = x.gather(0, index);
    assert!(matches!(
        error.value().unwrap_err().kind,
        ErrorKind::Shape {
            why: ShapeError::Index { index: 3, size: 3 },
            ..
        }
    ));
}

/// Shapes follow when a batch is rebound to fewer rows.
#[test]
fn dimensions_follow_a_smaller_batch() {
    let data = numbers(24);
    let mut arena = Arena::<1024, 32>::new();
    let tape = arena.tape();
    let x = tape.input(&data, [4, 2, 3]);
    let w = tape.param(&numbers(8), [2, 2, 2]);
    let all = [
        x.permute([2, 0, 1]),
        x.flip([0]),
        x.unsqueeze(1),
        x.unsqueeze(1).expand([-1, 2, 2, 3]),
        x.conv1d(w),
        x.max_pool1d(2),
        x.matmul(tape.constant(&numbers(6), [3, 2])),
        LayerNorm::new([2, 3]).of(x),
        tape.stack(&[x, x], 1),
    ];
    let before: Vec<_> = all.iter().map(|y| y.shape().numel()).collect();
    tape.rebind(x, &data[..12]).unwrap();
    tape.replay().unwrap();
    for (y, before) in all.iter().zip(before) {
        assert_eq!(y.shape().numel(), before / 2);
        assert_eq!(y.value().unwrap().len(), before / 2);
    }
    assert_eq!(values(all[1])[..6], data[6..12]);
    assert_eq!(values(all[8])[..12], [&data[..6], &data[..6]].concat());
}
