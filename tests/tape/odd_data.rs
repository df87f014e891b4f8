//! Tests of data without elements, NaN and other unusual data, and of printing a variable.

use super::*;

// ---- odd data -------------------------------------------------------------

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

/// Every operation on tensors without elements gives a result or an error, forward and backward.
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
                    // A comparison has no gradient.
                    if y.requires_grad() {
                        tape.backward_with(y, &ones).unwrap();
                    }
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
    // By the permutation, t[1, 0, 1, 2] = y[1, 2, 1, 0].
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

// ---- what it looks like ---------------------------------------------------

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
