//! Tests of memory: errors of full arenas have the size that is needed, buffers are shared, and
//! chains of nodes are recorded as a whole or not at all.

use super::*;

// ---- full arenas ----------------------------------------------------------

/// Grows an arena to the size in each error until `work` succeeds. Returns the
/// sizes on the way, the sufficient one last.
macro_rules! grow {
    ($from:expr, |$tape:ident| $work:expr) => {{
        let mut sizes = vec![$from];
        loop {
            let size = *sizes.last().unwrap();
            let mut floats = vec![f32::NAN; size];
            let mut nodes = [const { Node::EMPTY }; 16];
            let $tape = Tape::new(&mut floats, &mut nodes);
            let result: Result<(), Error> = $work;
            match result.or(Ok(())).and($tape.error().map_or(result, Err)) {
                Ok(()) => break sizes,
                Err(Error {
                    kind: ErrorKind::Floats { needed, capacity },
                    ..
                }) => {
                    assert_eq!(capacity, size);
                    assert!(needed > size, "{needed} of {size}");
                    sizes.push(needed);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }};
}

#[test]
fn a_full_arena_says_what_is_needed() {
    // A parameter takes its values and its gradient.
    let sizes = grow!(0, |tape| {
        tape.param(&[1.0; 5], [5]);
        Ok(())
    });
    assert_eq!(sizes, [0, 10]);
    let sizes = grow!(9, |tape| {
        tape.constant(&[1.0; 10], [2, 5]);
        Ok(())
    });
    assert_eq!(sizes, [9, 10]);
    // An input takes no floats.
    let data = [1.0; 10];
    let sizes = grow!(0, |tape| {
        tape.input(&data, [10]);
        Ok(())
    });
    assert_eq!(sizes, [0]);
    // Each error has exactly what the next call needs.
    let sizes = grow!(0, |tape| {
        let w = tape.param(&[1.0; 5], [5]);
        let y = w * w;
        let loss = y.sum();
        let gradients = tape.backward(loss);
        assert!(gradients.is_err() || *w.grad().unwrap() == [2.0; 5]);
        gradients
    });
    // The sizes are values and gradients of w; y; the loss; the gradients of y and the loss.
    assert_eq!(sizes, [0, 10, 15, 16, 16 + 1 + 5]);
    // A late parameter is counted with the results before it.
    let sizes = grow!(15, |tape| {
        let w = tape.param(&[1.0; 5], [5]);
        let y = w * w;
        tape.param(&[1.0; 3], [3]);
        drop(y.value());
        Ok(())
    });
    assert_eq!(sizes, [15, 21]);
}

#[test]
fn gradients_are_unchanged_when_a_backward_does_not_fit() {
    let mut floats = [0.0; 21];
    let mut nodes = [const { Node::EMPTY }; 16];
    let tape = Tape::new(&mut floats, &mut nodes);
    let w = tape.param(&[1.0; 5], [5]);
    tape.backward_with(w, &[3.0; 5]).unwrap();
    let loss = (w * w).sum();
    assert_eq!(
        refused(tape.backward(loss), "backward"),
        ErrorKind::Floats {
            needed: 22,
            capacity: 21
        }
    );
    assert_eq!(grad(w), [3.0; 5]);
    assert!(tape.error().is_none());
    assert_eq!(loss.item().unwrap(), 5.0);
}

#[test]
fn nodes_run_out() {
    let mut arena = Arena::<64, 3>::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0], []);
    let mark = tape.mark();
    let y = w + w;
    let z = y + y;
    assert!(tape.error().is_none());
    let full = ErrorKind::Nodes { capacity: 3 };
    assert_eq!(refused(z.try_add(y), "add"), full);
    let over = z * 2.0;
    assert_eq!(refused(over.item(), "mul"), full);
    assert!(tape.error().unwrap().to_string().contains("4 nodes"));
    tape.rewind(mark).unwrap();
    let (y, z) = (w + 1.0, w + 2.0);
    assert_eq!((y.item().unwrap(), z.item().unwrap()), (2.0, 3.0));
    let extra = tape.param(&[1.0], []);
    assert_eq!(refused(extra.item(), "param"), full);
    tape.rewind(mark).unwrap();
    let _ = (w + 1.0, w + 2.0);
    let extra = tape.constant(&[1.0], []);
    assert_eq!(refused(extra.item(), "constant"), full);
    tape.rewind(mark).unwrap();
    let _ = (w + 1.0, w + 2.0);
    let extra = tape.input(&[1.0], []);
    assert_eq!(refused(extra.item(), "input"), full);
    assert_eq!(tape.usage().inputs, 0);
}

#[test]
fn inputs_take_nodes_only() {
    let data = [1.0, 2.0];
    let mut arena = Arena::<0, 12>::new();
    let tape = arena.tape();
    let mark = tape.mark();
    for _ in 0..3 {
        let inputs = [(); 12].map(|()| tape.input(&data, [2]));
        assert_eq!(tape.usage().inputs, 12);
        assert_eq!(values(inputs[11]), data);
        let kind = ErrorKind::Nodes { capacity: 12 };
        assert_eq!(refused(tape.input(&data, [2]).item(), "input"), kind);
        tape.rewind(mark).unwrap();
        assert_eq!(tape.usage().inputs, 0);
    }
}

#[test]
fn no_memory_at_all() {
    let mut arena = Arena::<0, 0>::new();
    let tape = arena.tape();
    assert_eq!(tape.usage().capacity_bytes(), 0);
    tape.replay().unwrap();
    tape.zero_grad();
    tape.step(&mut Sgd::new(0.1)).unwrap();
    assert!(tape.params().unwrap().is_empty() && tape.grads().unwrap().is_empty());
    let x = tape.constant(&[], [0]);
    assert_eq!(
        refused(x.value(), "constant"),
        ErrorKind::Nodes { capacity: 0 }
    );
}

#[test]
fn lengths_and_shapes_must_agree() {
    let data = [1.0, 2.0, 3.0];
    let mut arena = Small::new();
    let tape = arena.tape();
    let mark = tape.mark();
    let kind = ErrorKind::Length {
        expected: 4,
        found: 3,
    };
    let x = tape.param(&data, [2, 2]);
    assert_eq!(refused(x.item(), "param"), kind);
    tape.rewind(mark).unwrap();
    let x = tape.constant(&data, [4]);
    assert_eq!(refused(x.item(), "constant"), kind);
    tape.rewind(mark).unwrap();
    let x = tape.input(&data, [4, 1]);
    assert_eq!(refused(x.item(), "input"), kind);
    tape.rewind(mark).unwrap();
    let x = tape.param(&data, [3]);
    let kind = ErrorKind::Length {
        expected: 3,
        found: 2,
    };
    assert_eq!(refused(tape.write(x, &data[..2]), "write"), kind);
}

// ---- memory ---------------------------------------------------------------

#[test]
fn usage_is_exact() {
    let data = [1.0; 6];
    let mut arena = Arena::<100, 20>::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0; 2], [2, 1]);
    let b = tape.param(&[1.0], [1]);
    let x = tape.input(&data, [3, 2]);
    let y = tape.constant(&[1.0; 3], [3, 1]);
    let mark = tape.mark();
    assert_eq!((tape.usage().floats, tape.usage().nodes), (2 * 3 + 3, 4));
    let out = x.matmul(w) + b;
    let loss = (out - y).square().mean();
    let usage = tape.usage();
    // The results are products, sums, differences, squares, and the loss.
    assert_eq!(
        (usage.floats, usage.nodes, usage.inputs),
        (9 + 4 * 3 + 1, 9, 1)
    );
    assert_eq!((usage.floats_peak, usage.nodes_peak), (22, 9));
    assert_eq!((usage.floats_capacity, usage.nodes_capacity), (100, 20));
    assert_eq!(usage.capacity_bytes(), 400 + 20 * size_of::<Node>());
    tape.backward(loss).unwrap();
    // Beside the gradient of the loss there are two buffers of three numbers, used in turns.
    assert_eq!((tape.usage().floats, tape.usage().floats_peak), (29, 29));
    for _ in 0..3 {
        tape.backward(loss).unwrap();
        tape.step(&mut Sgd::new(0.1)).unwrap();
        tape.replay().unwrap();
    }
    assert_eq!(tape.usage().floats_peak, 29);
    tape.rewind(mark).unwrap();
    let usage = tape.usage();
    assert_eq!((usage.floats, usage.floats_peak), (9, 29));
    assert_eq!((usage.nodes, usage.nodes_peak), (4, 9));
}

/// A deep chain needs the gradients of two neighbours at a time.
#[test]
fn gradient_buffers_are_shared() {
    let mut arena = Arena::<2000, 32>::new();
    let tape = arena.tape();
    let x = tape.param(&[0.1; 100], [100]);
    let mut y = x;
    for _ in 0..10 {
        y = y.tanh();
    }
    let loss = y.sum();
    let before = tape.usage().floats;
    assert_eq!(before, 200 + 1000 + 1);
    tape.backward(loss).unwrap();
    assert_eq!(tape.usage().floats_peak - before, 2 * 100 + 1);
}

/// Nodes that depend on no parameter get no gradient.
#[test]
fn constants_take_no_gradients() {
    let mut arena = Arena::<2000, 32>::new();
    let tape = arena.tape();
    let w = tape.param(&[0.5], []);
    let c = tape.constant(&[0.1; 100], [100]);
    let features = c.tanh().exp();
    let loss = (features * w).sum();
    let before = tape.usage().floats;
    tape.backward(loss).unwrap();
    assert_eq!(tape.usage().floats_peak - before, 100 + 1);
}

#[test]
fn an_arena_is_used_again() {
    let mut arena = Small::new();
    for round in 0..3 {
        let tape = arena.tape();
        assert_eq!((tape.usage().nodes, tape.usage().floats_peak), (0, 0));
        let w = tape.param(&[round as f32], []);
        let y = w * w;
        tape.backward(y).unwrap();
        assert_eq!(grad(w), [2.0 * round as f32]);
        let _ = w + tape.constant(&[0.0; 2], [2]).matmul(w);
        assert!(tape.error().is_some());
    }
}

/// A variable that could not be recorded stays an error after a rewind has cleared
/// the tape's error.
#[test]
fn what_was_never_recorded_stays_an_error() {
    for planned_before in [false, true] {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let w = tape.param(&[1.0, 2.0], [2]);
        let mark = tape.mark();
        if planned_before {
            tape.backward(w.sum()).unwrap();
        }
        let lost = w + tape.constant(&[0.0; 3], [3]);
        assert!(tape.backward(lost).is_err());
        tape.rewind(mark).unwrap();
        assert_eq!(tape.backward(lost).unwrap_err().kind, ErrorKind::Stale);
        assert_eq!(
            tape.backward_with(lost, &[1.0]).unwrap_err().kind,
            ErrorKind::Stale
        );
        assert_eq!(lost.item().unwrap_err().kind, ErrorKind::Stale);
    }
}

// ---- joined tensors: all or nothing ---------------------------------------

/// The nodes of a chain are counted before the first of them is recorded.
#[test]
fn joining_many_tensors_takes_all_or_nothing() {
    for count in 1..=9 {
        let record = |floats: usize, nodes: usize| {
            let mut floats = vec![0.0; floats];
            let mut nodes = vec![Node::EMPTY; nodes];
            let tape = Tape::new(&mut floats, &mut nodes);
            let x = tape.input(&[1.0, 2.0], [2]);
            let before = tape.usage();
            let all = tape.concat(&vec![x; count], 0);
            let error = tape.error().map(|error| error.kind);
            if error.is_some() {
                assert_eq!(tape.usage(), before, "{count}");
            } else {
                assert_eq!(values(all), [1.0, 2.0].repeat(count));
            }
            error
        };
        let fewest = (0..200).position(|n| record(n, 32).is_none()).unwrap();
        for capacity in 0..fewest {
            let needed = fewest;
            let expected = ErrorKind::Floats { needed, capacity };
            assert_eq!(record(capacity, 32), Some(expected), "{count}");
        }
        let nodes = (1..32).find(|n| record(200, *n).is_none()).unwrap();
        // One node is the input. The first join takes three tensors, each further one two more.
        assert_eq!(nodes, 1 + (count / 2).max(1));
        for capacity in 1..nodes {
            let expected = ErrorKind::Nodes { capacity };
            assert_eq!(record(200, capacity), Some(expected), "{count}");
        }
    }
    // A tensor that does not fit, late in the chain.
    let mut arena = Arena::<200, 32>::new();
    let tape = arena.tape();
    let x = tape.input(&[1.0, 2.0], [1, 2]);
    let odd = tape.input(&[1.0, 2.0, 3.0], [1, 3]);
    let before = tape.usage();
    let _ = tape.concat(&[x, x, x, x, x, odd, x], 0);
    let error = tape.error().unwrap();
    assert_eq!((error.op, error.at.file()), ("concat", file!()));
    let expected: [Shape; 3] = [[5, 2].into(), [1, 3].into(), [1, 2].into()];
    assert_eq!(shapes(error.kind), expected);
    assert_eq!(tape.usage(), before);
}
