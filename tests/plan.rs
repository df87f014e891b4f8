//! Tests of planning gradient buffers: the memory that it takes of the arena, and that it does not
//! affect replays, on tapes of few and of many nodes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use baregrad::op::{Attrs, Backward, Forward, Node, Op, PassGrad};
use baregrad::{ErrorKind, Shape, ShapeError, Tape, Var};

/// Makes a tape with this many floats and nodes. It is a macro, because both must outlive the tape.
macro_rules! tape {
    ($tape:ident, $floats:expr, $nodes:expr) => {
        let mut floats = vec![f32::NAN; $floats];
        let mut nodes = vec![Node::EMPTY; $nodes];
        let $tape = Tape::new(&mut floats, &mut nodes);
    };
}

/// Records a graph with many gradients of different lengths alive at once, views, and operations
/// that pass gradients on.
fn graph<'t>(tape: &'t Tape<'t>, leaves: usize) -> (Vec<Var<'t>>, Var<'t>) {
    let w = tape.param(&[0.5, -0.25], [2]);
    let c = tape.param(&[0.125], []);
    let all: Vec<_> = (0..leaves)
        .map(|i| {
            let row = tape.constant_from_fn([1 + i % 7, 2], |j| (i + j) as f32 * 0.0625);
            let leaf = (w * row).sin();
            if i % 3 == 0 { leaf.reshape([-1]) } else { leaf }
        })
        .collect();
    let loss = all.iter().fold(c * 2.0, |s, l| s + (*l * *l + *l).sum());
    (vec![w, c], loss)
}

fn grad_bits(params: &[Var<'_>]) -> Vec<u32> {
    let grads = params.iter().map(|p| p.grad().unwrap().to_vec());
    grads.flatten().map(f32::to_bits).collect()
}

/// An arena of the peak is enough; a float less is an error with the number that is needed.
#[test]
fn the_peak_is_enough_and_no_less() {
    // The last two cases have more nodes than are planned in a list.
    for (leaves, nodes) in [(1, 20), (12, 128), (12, 129), (300, 2500)] {
        tape!(roomy, 100_000, nodes);
        let (params, loss) = graph(&roomy, leaves);
        let recorded = roomy.usage().floats_peak;
        roomy.backward(loss).unwrap();
        let (peak, grads) = (roomy.usage().floats_peak, grad_bits(&params));
        assert!(peak > recorded);

        tape!(tight, peak, nodes);
        let (params, loss) = graph(&tight, leaves);
        for _ in 0..2 {
            tight.backward(loss).unwrap();
            assert_eq!(grad_bits(&params), grads);
            assert_eq!(tight.usage().floats_peak, peak);
            tight.replay().unwrap();
            tight.zero_grad();
        }

        tape!(small, peak - 1, nodes);
        let (params, loss) = graph(&small, leaves);
        for _ in 0..2 {
            let error = small.backward(loss).unwrap_err();
            let expected = ErrorKind::Floats {
                needed: peak,
                capacity: peak - 1,
            };
            assert_eq!(error.kind, expected);
            assert!(!params[0].has_grad());
            assert_eq!(small.usage().floats, recorded);
        }
    }
}

/// An operation that copies, passes its gradient on, and can unwind while the planner asks for it.
struct Copy;

thread_local! {
    static UNWINDS: Cell<bool> = const { Cell::new(false) };
}

impl Op for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }
    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        Ok(operands[0])
    }
    fn forward(&self, cx: &mut Forward<'_>) {
        let ([x], y) = cx.split();
        y.copy_from_slice(x);
    }
    fn backward(&self, cx: &mut Backward<'_>) {
        assert!(cx.grad(0).is_none(), "it is passed on");
    }
    fn passes_grad(&self, _: usize) -> Option<PassGrad> {
        assert!(!UNWINDS.get(), "as a test would have it");
        Some(PassGrad::new())
    }
}

/// Replays still work after an operation from outside has unwound during planning, when the list
/// of nodes to run is kept elsewhere.
#[test]
fn planning_that_unwinds_leaves_replays_alone() {
    for nodes in [100, 1000] {
        tape!(tape, 5000, nodes);
        let (params, sum) = graph(&tape, 5);
        let copy = tape.apply(&Copy, &[sum.sin()], Attrs::default());
        let loss = copy.exp() * graph(&tape, 2).1;
        tape.backward(loss).unwrap();
        let expected = (loss.item().unwrap(), grad_bits(&params));
        tape.zero_grad();

        // Another loss makes the tape plan again.
        tape.backward(sum).unwrap();
        tape.zero_grad();
        UNWINDS.set(true);
        assert!(catch_unwind(AssertUnwindSafe(|| tape.backward(loss))).is_err());
        UNWINDS.set(false);

        tape.write(params[1], &[4.0]).unwrap();
        tape.replay().unwrap();
        assert_ne!(loss.item().unwrap(), expected.0);
        tape.write(params[1], &[0.125]).unwrap();
        tape.replay().unwrap();
        assert_eq!(loss.item().unwrap(), expected.0);
        tape.zero_grad();
        tape.backward(loss).unwrap();
        assert_eq!(grad_bits(&params), expected.1);
    }
}

/// After a rewind to any mark, the kept operations run as before.
#[test]
fn rewound_to_anywhere_it_goes_on() {
    let data = [1.0, 2.0, 3.0, 4.0];
    let other = [5.0, 6.0, 7.0, 8.0];
    tape!(tape, 500, 60);
    let mut marks = Vec::new();
    let mut all: Vec<Var<'_>> = Vec::new();
    let fresh = |from: usize, all: &mut Vec<_>, marks: &mut Vec<_>| {
        fn last<'t>(n: usize, all: &[Var<'t>]) -> Var<'t> {
            all[all.len() - n]
        }
        for step in from..12 {
            marks.push((tape.mark(), tape.usage()));
            let var = match step {
                0 => tape.input(&data, [4]),
                1 => last(1, all).reshape([2, 2]),
                2 => tape.param(&[0.5, 0.25], [2]),
                3 => last(2, all) * last(1, all),
                4 => tape.constant(&[3.0], []),
                5 => tape.param(&[2.0], []),
                6 => last(3, all) * last(1, all),
                7 => last(1, all).reshape([4]),
                8 => last(1, all) + all[0],
                9 => tape.input(&data[..2], [2]),
                10 => last(1, all) * all[2],
                _ => last(3, all).sum() + last(1, all).sum(),
            };
            all.push(var);
        }
    };
    fresh(0, &mut all, &mut marks);
    let values = |all: &[Var<'_>]| -> Vec<Vec<f32>> {
        all.iter()
            .map(|var| var.value().unwrap().to_vec())
            .collect()
    };
    let expected = values(&all);
    for keep in (0..12).rev() {
        let (mark, usage) = marks[keep];
        tape.rewind(mark).unwrap();
        let now = tape.usage();
        assert_eq!(
            (now.floats, now.nodes, now.inputs),
            (usage.floats, usage.nodes, usage.inputs)
        );
        all.truncate(keep);
        marks.truncate(keep);
        if keep > 1 {
            // A view shows the first input.
            tape.rebind(all[0], &other).unwrap();
            assert_eq!(*all[1].value().unwrap(), other);
        }
        tape.replay().unwrap();
        if keep > 1 {
            tape.rebind(all[0], &data).unwrap();
        }
        tape.replay().unwrap();
        assert_eq!(values(&all), expected[..keep]);
        fresh(keep, &mut all, &mut marks);
        assert_eq!(values(&all), expected);
        tape.backward(all[11]).unwrap();
        assert_eq!(values(&all), expected);
    }
}
