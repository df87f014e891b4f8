//! Tests with random programs: results by replaying, rewinding,
//! in micro-batches, in an arena without a spare float, and with any lane type
//! have the bits of a fresh recording.
//!
//! The programs are the same in every run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[path = "../common/bits.rs"]
mod bits;

use baregrad::op::Node;
use baregrad::{ErrorKind, Shape, Tape, Var};
use bits::bits;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value)) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(&strategy, |value| {
            test(value);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Makes a tape with this many floats and nodes. It is a macro, because both must outlive the tape.
macro_rules! tape {
    ($tape:ident, $floats:expr, $nodes:expr) => {
        let mut floats = vec![f32::NAN; $floats];
        let mut nodes = vec![Node::EMPTY; $nodes];
        let $tape = Tape::new(&mut floats, &mut nodes);
    };
}

const FLOATS: usize = 20_000;
/// Enough nodes for gradients to be planned in a tree.
const NODES: usize = 200;
/// Few enough nodes for gradients to be planned in a list.
const FEW_NODES: usize = 100;

/// Returns the [bits] of each number.
fn all_bits(xs: &[f32]) -> Vec<u32> {
    xs.iter().copied().map(bits).collect()
}

/// Returns numbers `i / 2^23 * 4 - 2` with full mantissas, which depend on the arguments only.
fn numbers(seed: u64, version: u64, number: usize, len: usize) -> Vec<f32> {
    let mut z = seed ^ version << 32 ^ (number as u64) << 48;
    (0..len)
        .map(|_| {
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut x = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (x >> 41) as f32 / 8_388_608.0 * 4.0 - 2.0
        })
        .collect()
}

// ---- programs --------------------------------------------------------------

/// Leaves, and steps, each of which makes a value from earlier ones: an operation,
/// two operands, an argument.
#[derive(Clone, Debug)]
struct Program {
    leaves: Vec<Vec<usize>>,
    steps: Vec<[u8; 4]>,
    seed: u64,
    /// Whether numbers are whole and operations keep them whole, so that all sums are exact.
    whole: bool,
}

struct Built<'t> {
    vars: Vec<Var<'t>>,
    params: Vec<Var<'t>>,
}

const OPERATIONS: u8 = 36;
/// The number of operations, the first ones, that are linear and keep whole numbers whole.
const LINEAR: u8 = 16;
const PARAM: u8 = 15;

impl Program {
    fn new(program: (Vec<Vec<usize>>, Vec<[u8; 4]>, u64), whole: bool) -> Self {
        let (leaves, steps, seed) = program;
        let program = Program {
            leaves,
            steps,
            seed,
            whole,
        };
        // Steps whose shapes do not fit are removed here, which also tests that a tape continues
        // after an error.
        tape!(tape, FLOATS, NODES);
        let mut built = program.leaves(&tape, 0);
        let mut steps = Vec::new();
        for step in &program.steps {
            let mark = tape.mark();
            let var = program.step(&tape, &mut built, *step, 0);
            if tape.error().is_some() || var.shape().numel() > 200 {
                tape.rewind(mark).unwrap();
                if step[0] % program.operations() == PARAM {
                    built.params.pop();
                }
            } else {
                built.vars.push(var);
                steps.push(*step);
            }
        }
        Program { steps, ..program }
    }

    fn operations(&self) -> u8 {
        if self.whole { LINEAR } else { OPERATIONS }
    }

    fn values(&self, version: u64, number: usize, len: usize) -> Vec<f32> {
        let mut values = numbers(self.seed, version, number, len);
        if self.whole {
            values.iter_mut().for_each(|x| *x = x.round());
        }
        values
    }

    fn param<'t>(
        &self,
        tape: &'t Tape<'t>,
        built: &mut Built<'t>,
        shape: Shape,
        version: u64,
    ) -> Var<'t> {
        let values = self.values(version, built.params.len(), shape.numel());
        let param = tape.param(&values, shape);
        built.params.push(param);
        param
    }

    /// Records the leaves: parameters, and every third one a constant.
    fn leaves<'t>(&self, tape: &'t Tape<'t>, version: u64) -> Built<'t> {
        let mut built = Built {
            vars: Vec::new(),
            params: Vec::new(),
        };
        for (i, sizes) in self.leaves.iter().enumerate() {
            let shape = Shape::new(sizes).unwrap();
            let var = if i % 3 == 2 {
                tape.constant(&self.values(0, 100 + i, shape.numel()), shape)
            } else {
                self.param(tape, &mut built, shape, version)
            };
            built.vars.push(var);
        }
        built
    }

    fn step<'t>(
        &self,
        tape: &'t Tape<'t>,
        built: &mut Built<'t>,
        [code, a, b, arg]: [u8; 4],
        version: u64,
    ) -> Var<'t> {
        let vars = &built.vars;
        // Large numbers pick one of the latest values, so that programs become deep.
        let pick = |n: u8| match n {
            128.. => vars[vars.len() - 1 - n as usize % vars.len().min(3)],
            _ => vars[n as usize % vars.len()],
        };
        let (x, y) = (pick(a), pick(b));
        // Matrices rarely fit by chance, so one that does is searched for.
        let fitting = |fits: &dyn Fn(&[usize]) -> bool| {
            let mut found = vars.iter().rev().filter(|var| fits(var.shape().dims()));
            found.next().copied().unwrap_or(y)
        };
        let axis = isize::from(arg % 4) - 1;
        let keep = arg & 64 != 0;
        let size = x.shape().dim(axis.unsigned_abs()).max(1);
        match code % self.operations() {
            0 => x + y,
            1 => x - y,
            2 => -x,
            3 => x * 2.0,
            4 => 1.0 - x,
            5 => x.sum_axis(axis, keep),
            6 => x.reshape([-1]),
            7 => x.reshape([-1, x.shape().dim(x.shape().rank().max(1) - 1) as isize]),
            8 => x.transpose(0, axis),
            9 => tape.concat(&[x, y], axis),
            10 => tape.concat(&[x, y, x, x], axis),
            11 => x.narrow(axis, arg as usize / 8 % size, 1 + arg as usize / 64 % size),
            12 => x.select(axis, arg as usize / 8 % size),
            13 => x.detach(),
            14 => x.sum(),
            PARAM => {
                let shape = Shape::new(&[1 + b as usize % 3, 1 + arg as usize % 4]).unwrap();
                self.param(tape, built, shape, version)
            }
            16 | 17 => x.matmul(fitting(&|y| y.first() == x.shape().dims().last())),
            18 => {
                let w = fitting(&|w| w.len() == 2 && Some(&w[0]) == x.shape().dims().last());
                x.linear(
                    w,
                    fitting(&|b| *b == w.shape().dims()[w.shape().rank().min(1)..]),
                )
            }
            19 => x * y,
            20 => x / (y.square() + 0.5),
            21 => x.maximum(y),
            22 => x.minimum(y),
            23 => x.tanh(),
            24 => x.sigmoid(),
            25 => x.relu(),
            26 => x.tanh().exp(),
            27 => x.sin(),
            28 => x.mean_axis(axis, keep),
            29 => x.max_axis(axis, keep),
            30 => x.amin(axis, keep),
            31 => x.softmax(axis),
            32 => x.log_softmax(axis),
            33 => x.mse(y),
            34 => x.max(),
            _ => tape.no_grad(|| x * y),
        }
    }

    fn run<'t>(&self, tape: &'t Tape<'t>, built: &mut Built<'t>, steps: &[[u8; 4]], version: u64) {
        for step in steps {
            let var = self.step(tape, built, *step, version);
            built.vars.push(var);
        }
    }

    fn record<'t>(&self, tape: &'t Tape<'t>, version: u64) -> (Built<'t>, Var<'t>) {
        let mut built = self.leaves(tape, version);
        self.run(tape, &mut built, &self.steps, version);
        let loss = loss(&built);
        (built, loss)
    }

    fn fresh(&self, version: u64) -> Outcome {
        tape!(tape, FLOATS, FEW_NODES);
        let (built, loss) = self.record(&tape, version);
        tape.backward(loss).unwrap();
        Outcome::of(&built, loss)
    }
}

/// Records a loss of the last values and, so that it always has a gradient, of the
/// first parameter.
fn loss<'t>(built: &Built<'t>) -> Var<'t> {
    let last = built.vars.iter().rev().take(4);
    last.fold(built.params[0].sum(), |loss, var| loss + var.sum() * 2.0)
}

#[derive(Debug, PartialEq)]
struct Outcome {
    values: Vec<Vec<u32>>,
    loss: Vec<u32>,
    /// `None` for a parameter without a gradient.
    grads: Vec<Option<Vec<u32>>>,
}

impl Outcome {
    fn of(built: &Built<'_>, loss: Var<'_>) -> Self {
        Outcome {
            values: built
                .vars
                .iter()
                .map(|v| all_bits(&v.value().unwrap()))
                .collect(),
            loss: all_bits(&loss.value().unwrap()),
            grads: built.params.iter().map(|p| grad_bits(*p)).collect(),
        }
    }
}

fn grad_bits(param: Var<'_>) -> Option<Vec<u32>> {
    param.has_grad().then(|| all_bits(&param.grad().unwrap()))
}

fn programs(whole: bool) -> impl Strategy<Value = Program> {
    let sizes = vec(prop_oneof![1..5_usize, 1..5_usize, Just(17_usize)], 0..4);
    let few = sizes.prop_filter("small", |sizes| sizes.iter().product::<usize>() <= 100);
    let leaves = vec(few, 2..6);
    let steps = vec(any::<[u8; 4]>(), 1..24);
    (leaves, steps, any::<u64>()).prop_map(move |program| Program::new(program, whole))
}

/// The programs are not trivial, and enough of every kind.
#[test]
fn programs_are_worth_running() {
    use std::cell::{Cell, RefCell};
    let seen = RefCell::new(std::collections::BTreeMap::<u8, u32>::new());
    let (steps, finite, count) = (Cell::new(0), Cell::new(0), Cell::new(0));
    check(200, programs(false), |program| {
        for step in &program.steps {
            *seen.borrow_mut().entry(step[0] % OPERATIONS).or_default() += 1;
        }
        steps.set(steps.get() + program.steps.len());
        tape!(tape, FLOATS, NODES);
        let (_, loss) = program.record(&tape, 0);
        count.set(count.get() + 1);
        finite.set(finite.get() + u32::from(loss.item().unwrap().is_finite()));
    });
    let seen = seen.into_inner();
    assert!(
        seen.len() == OPERATIONS as usize && seen.values().all(|n| *n >= 5),
        "{seen:?}"
    );
    assert!(steps.get() > 5 * 200, "{}", steps.get());
    assert!(
        finite.get() * 10 > count.get() * 9,
        "{finite:?} of {count:?}"
    );
}

// ---- replay, rewind, accumulate --------------------------------------------

#[test]
fn replayed_with_other_parameters_is_recorded_with_them() {
    check(1000, programs(false), |program| {
        tape!(tape, FLOATS, NODES);
        let (built, loss) = program.record(&tape, 0);
        tape.backward(loss).unwrap();
        assert_eq!(Outcome::of(&built, loss), program.fresh(0));
        for version in [1, 2, 0] {
            for (i, param) in built.params.iter().enumerate() {
                let values = program.values(version, i, param.shape().numel());
                tape.write(*param, &values).unwrap();
            }
            assert_eq!(
                tape.backward(loss).unwrap_err().kind,
                ErrorKind::NotReplayed
            );
            tape.replay().unwrap();
            tape.zero_grad();
            tape.backward(loss).unwrap();
            assert_eq!(Outcome::of(&built, loss), program.fresh(version));
        }
    });
}

#[test]
fn rewound_and_recorded_again_is_recorded_afresh() {
    check(1000, (programs(false), any::<u8>()), |(program, cut)| {
        let fresh = program.fresh(0);
        tape!(tape, FLOATS, NODES);
        let cut = cut as usize % (program.steps.len() + 1);
        let (before, after) = program.steps.split_at(cut);
        let mut built = program.leaves(&tape, 0);
        program.run(&tape, &mut built, before, 0);
        let (vars, params) = (built.vars.len(), built.params.len());
        let mark = tape.mark();
        for round in 0..3 {
            // Records something else in between.
            if round == 1 {
                let other = tape.param(&[1.0; 7], [7]);
                let extra = (other * 3.0).sum() + loss(&built);
                tape.backward(extra).unwrap();
                tape.replay().unwrap();
                tape.rewind(mark).unwrap();
            }
            program.run(&tape, &mut built, after, 0);
            let loss = loss(&built);
            tape.zero_grad();
            tape.backward(loss).unwrap();
            assert_eq!(Outcome::of(&built, loss), fresh);
            tape.replay().unwrap();
            assert_eq!(Outcome::of(&built, loss), fresh);
            tape.rewind(mark).unwrap();
            built.vars.truncate(vars);
            built.params.truncate(params);
        }
    });
}

/// Gradients of kept parameters survive later parameters that are made and dropped.
#[test]
fn collected_gradients_survive_later_parameters() {
    check(800, programs(false), |program| {
        tape!(tape, FLOATS, NODES);
        let (built, loss) = program.record(&tape, 0);
        tape.backward(loss).unwrap();
        let before = Outcome::of(&built, loss);
        let mark = tape.mark();
        let late = tape.param(&[1.0; 5], [5]);
        assert_eq!(Outcome::of(&built, loss), before);
        tape.backward(late.sum()).unwrap();
        assert_eq!(Outcome::of(&built, loss), before);
        assert_eq!(*late.grad().unwrap(), [1.0; 5]);
        tape.rewind(mark).unwrap();
        assert_eq!(Outcome::of(&built, loss), before);
    });
}

/// A second backward pass doubles the gradients exactly, if each parameter has
/// one contribution, here through `p * 1`. (Several contributions are added one after the other,
/// which rounds.)
#[test]
fn accumulating_twice_doubles() {
    check(800, programs(false), |program| {
        tape!(tape, FLOATS, NODES);
        let mut built = program.leaves(&tape, 0);
        let leaves = built.vars.clone();
        built.vars = leaves.iter().map(|leaf| *leaf * 1.0).collect();
        for step in &program.steps {
            let var = program.step(&tape, &mut built, *step, 0);
            // Late parameters, too.
            built.vars.push(match step[0] % OPERATIONS {
                PARAM => var * 1.0,
                _ => var,
            });
        }
        let last = built.vars.iter().rev().take(4);
        let loss = last.fold(built.vars[0].sum(), |loss, var| loss + var.sum());
        tape.backward(loss).unwrap();
        let once: Vec<Option<Vec<f32>>> = built
            .params
            .iter()
            .map(|p| p.has_grad().then(|| p.grad().unwrap().to_vec()))
            .collect();
        tape.backward(loss).unwrap();
        for (param, once) in built.params.iter().zip(once) {
            let twice = once.map(|once| once.iter().map(|g| g + g).collect::<Vec<f32>>());
            assert_eq!(grad_bits(*param), twice.map(|twice| all_bits(&twice)));
        }
    });
}

/// With whole numbers gradients accumulate exactly, in any order.
#[test]
fn whole_gradients_accumulate_exactly() {
    let exact = std::cell::Cell::new(0);
    check(800, programs(true), |program| {
        tape!(tape, FLOATS, NODES);
        let (built, loss) = program.record(&tape, 0);
        let mut sums: Vec<Option<Vec<f32>>> = vec![None; built.params.len()];
        for round in 1..=3 {
            tape.backward(loss).unwrap();
            for (param, sum) in built.params.iter().zip(&mut sums) {
                if !param.has_grad() {
                    continue;
                }
                let grad = param.grad().unwrap().to_vec();
                if grad.iter().any(|g| g.abs() > 4e6) {
                    return;
                }
                let once = sum.get_or_insert_with(|| grad.clone());
                let times: Vec<f32> = once.iter().map(|g| g * round as f32).collect();
                assert_eq!(grad, times);
            }
        }
        exact.set(exact.get() + 1);
    });
    assert!(exact.get() > 600, "{exact:?}");
}

// ---- memory ----------------------------------------------------------------

#[test]
fn the_peak_is_enough_and_one_less_is_not() {
    check(800, programs(false), |program| {
        tape!(tape, FLOATS, NODES);
        let (built, loss) = program.record(&tape, 0);
        tape.backward(loss).unwrap();
        let expected = Outcome::of(&built, loss);
        let usage = tape.usage();
        {
            tape!(tape, usage.floats_peak, usage.nodes_peak);
            let (built, loss) = program.record(&tape, 0);
            tape.backward(loss).unwrap();
            assert_eq!(Outcome::of(&built, loss), expected);
            for _ in 0..2 {
                tape.replay().unwrap();
                tape.zero_grad();
                tape.backward(loss).unwrap();
                assert_eq!(Outcome::of(&built, loss), expected);
            }
        }
        {
            tape!(tape, usage.floats_peak - 1, usage.nodes_peak);
            let (_, loss) = program.record(&tape, 0);
            match tape.backward(loss).unwrap_err().kind {
                ErrorKind::Floats { needed, capacity } => {
                    assert_eq!(capacity, usage.floats_peak - 1);
                    assert_eq!(needed, usage.floats_peak);
                }
                other => panic!("{other:?}"),
            }
        }
        {
            tape!(tape, usage.floats_peak, usage.nodes_peak - 1);
            let (_, loss) = program.record(&tape, 0);
            let kind = tape.backward(loss).unwrap_err().kind;
            assert!(matches!(kind, ErrorKind::Nodes { .. }), "{kind:?}");
        }
    });
}

// ---- micro-batches ---------------------------------------------------------

/// Records layers that treat every row alike, each with parameters of its own.
fn layers<'t>(
    tape: &'t Tape<'t>,
    x: Var<'t>,
    codes: &[u8],
    seed: u64,
    params: &mut Vec<Var<'t>>,
) -> Var<'t> {
    let mut out = x;
    for code in codes {
        let width = out.shape().dim(1);
        let mut param = |sizes: &[usize]| {
            let shape = Shape::new(sizes).unwrap();
            let param = tape.param(&numbers(seed, 0, params.len(), shape.numel()), shape);
            params.push(param);
            param
        };
        out = match code % 13 {
            0 | 1 => {
                let next = 1 + *code as usize / 13 % 9;
                let (w, b) = (param(&[width, next]), param(&[next]));
                out.linear(w, b)
            }
            2 => out.matmul(param(&[width, 1 + *code as usize / 13 % 4])),
            3 => out.tanh(),
            4 => out.relu(),
            5 => out + param(&[width]),
            6 => out * param(&[1, width]),
            7 => out.sigmoid() * param(&[]),
            8 => out.softmax(1),
            9 => tape.concat(&[out, x], 1),
            10 => out
                .reshape([-1, 1, width as isize])
                .reshape([-1, width as isize]),
            11 => out.transpose(0, 1).transpose(1, 0) - out.mean_axis(1, true),
            _ => out.narrow(1, 0, width.div_ceil(2)).square(),
        };
    }
    out
}

#[test]
fn micro_batches_add_up() {
    let strategy = (
        1..5_usize,
        2..13_usize,
        vec(any::<u8>(), 1..7),
        1..6_usize,
        any::<u64>(),
    );
    check(600, strategy, |(width, batch, codes, chunk, seed)| {
        let xs = numbers(seed, 1, 1, batch * width);
        let target = numbers(seed, 1, 2, batch);
        // Computes loss and gradients of some rows, recorded for them alone.
        let fresh = |from: usize, to: usize| {
            let rows = to - from;
            tape!(tape, FLOATS, NODES);
            let mut params = Vec::new();
            let x = tape.input(&xs[from * width..to * width], [rows, width]);
            let y = tape.input(&target[from..to], [rows, 1]);
            let out = layers(&tape, x, &codes, seed, &mut params);
            let extra = tape.param(&[0.5], []);
            let loss = (out * extra - y).square().sum();
            tape.backward(loss).unwrap();
            let grads = tape.grads().unwrap().to_vec();
            (loss.item().unwrap(), grads)
        };
        let whole = fresh(0, batch);

        tape!(tape, FLOATS, NODES);
        let mut params = Vec::new();
        let x = tape.input(&xs, [batch, width]);
        let y = tape.input(&target, [batch, 1]);
        let out = layers(&tape, x, &codes, seed, &mut params);
        let extra = tape.param(&[0.5], []);
        let loss = (out * extra - y).square().sum();
        let all_values = all_bits(&out.value().unwrap());

        let mut losses = 0.0;
        for from in (0..batch).step_by(chunk) {
            let to = (from + chunk).min(batch);
            tape.rebind(x, &xs[from * width..to * width]).unwrap();
            tape.rebind(y, &target[from..to]).unwrap();
            tape.replay().unwrap();
            // From zero gradients, this equals a recording of these rows.
            let before = (from > 0).then(|| tape.grads().unwrap().to_vec());
            tape.zero_grad();
            tape.backward(loss).unwrap();
            let alone = (loss.item().unwrap(), tape.grads().unwrap().to_vec());
            let expected = fresh(from, to);
            assert_eq!(all_bits(&[alone.0]), all_bits(&[expected.0]));
            assert_eq!(all_bits(&alone.1), all_bits(&expected.1));
            losses += alone.0;
            // Accumulates from the gradients before.
            if let Some(before) = before {
                tape.zero_grad();
                let mut at = 0;
                for param in params.iter().chain([&extra]) {
                    let len = param.shape().numel();
                    tape.backward_with(*param, &before[at..at + len]).unwrap();
                    at += len;
                }
                tape.backward(loss).unwrap();
            }
        }
        // Single rows differ only by the order of sums.
        let rows: Vec<Vec<f32>> = (0..batch).map(|row| fresh(row, row + 1).1).collect();
        let grads = tape.grads().unwrap().to_vec();
        let sizes = params.iter().chain([&extra]).map(|p| p.shape());
        let single: Vec<bool> = sizes
            .flat_map(|shape| vec![shape.rank() == 0; shape.numel()])
            .collect();
        for (i, (sum, whole)) in grads.iter().zip(&whole.1).enumerate() {
            let scale: f32 = rows.iter().map(|row| row[i].abs()).sum();
            // Each addition rounds by at most half a unit, in both sums.
            let bound = 2.0 * (batch + 1) as f32 * f32::EPSILON * scale;
            // The gradient of a single number is also summed over columns, which cancels.
            let bound = if single[i] { 100.0 * bound } else { bound };
            assert!((sum - whole).abs() <= bound, "{i}: {sum} {whole} ± {bound}");
        }
        assert!((losses - whole.0).abs() <= 1e-5 * whole.0);

        // The whole batch has the same bits again.
        tape.rebind(x, &xs).unwrap();
        tape.rebind(y, &target).unwrap();
        tape.replay().unwrap();
        tape.zero_grad();
        tape.backward(loss).unwrap();
        assert_eq!(all_bits(&out.value().unwrap()), all_values);
        assert_eq!(all_bits(&[loss.item().unwrap()]), all_bits(&[whole.0]));
        assert_eq!(all_bits(&tape.grads().unwrap()), all_bits(&whole.1));
    });
}

// ---- broadcasting ----------------------------------------------------------

/// Broadcasting whole numbers has the values and gradients of a walk over all indices.
#[test]
fn broadcasting_is_a_walk_over_indices() {
    let full = vec(0..4_usize, 4);
    let cut = (0..5_usize, any::<[bool; 4]>());
    check(
        500,
        (full, cut.clone(), cut, any::<u64>()),
        |(full, a, b, seed)| {
            let shape = |(rank, ones): (usize, [bool; 4])| -> Vec<usize> {
                let sizes = full
                    .iter()
                    .zip(ones)
                    .map(|(n, one)| if one { 1 } else { *n });
                sizes.skip(4 - rank).collect()
            };
            let (a, b) = (shape(a), shape(b));
            let rank = a.len().max(b.len());
            let pad = |sizes: &[usize]| [vec![1; rank - sizes.len()], sizes.to_vec()].concat();
            let (pa, pb) = (pad(&a), pad(&b));
            let out: Vec<usize> = pa
                .iter()
                .zip(&pb)
                .map(|(a, b)| if *a == 1 { *b } else { *a })
                .collect();
            let n: usize = out.iter().product();
            // Returns the element of an operand at an index of the result.
            let offset = |own: &[usize], mut index: usize| {
                let (mut offset, mut step) = (0, 1);
                for (own, size) in own.iter().zip(&out).rev() {
                    if *own != 1 {
                        offset += index % size * step;
                    }
                    step *= own;
                    index /= size;
                }
                offset
            };
            let whole = |number, sizes: &[usize]| -> Vec<f32> {
                let values = numbers(seed, 0, number, sizes.iter().product());
                values.iter().map(|x| (x * 4.0).round()).collect()
            };
            let (xs, ys, gs) = (whole(0, &a), whole(1, &b), whole(2, &out));
            let mut product = vec![0.0; n];
            let (mut gx, mut gy) = (vec![0.0; xs.len()], vec![0.0; ys.len()]);
            for (k, g) in gs.iter().enumerate() {
                let (i, j) = (offset(&pa, k), offset(&pb, k));
                product[k] = xs[i] * ys[j];
                gx[i] += g * ys[j];
                gy[j] += g * xs[i];
            }
            tape!(tape, FLOATS, NODES);
            let x = tape.param(&xs, Shape::new(&a).unwrap());
            let y = tape.param(&ys, Shape::new(&b).unwrap());
            let z = x * y;
            assert_eq!(z.shape().dims(), out);
            assert_eq!(*z.value().unwrap(), product);
            for round in 1..3 {
                tape.backward_with(z, &gs).unwrap();
                let times = |g: &[f32]| g.iter().map(|g| g * round as f32).collect::<Vec<f32>>();
                assert_eq!(*x.grad().unwrap(), times(&gx));
                assert_eq!(*y.grad().unwrap(), times(&gy));
            }
        },
    );
}

// ---- fused operations ------------------------------------------------------

/// `linear` and `mse` have the bits of the separate operations.
#[test]
fn fused_operations_are_what_they_spell() {
    let strategy = (1..40_usize, 1..10_usize, 1..10_usize, any::<u64>());
    check(300, strategy, |(m, k, n, seed)| {
        let values = |number, len| numbers(seed, 0, number, len);
        let run = |fused: bool| {
            tape!(tape, FLOATS, NODES);
            let x = tape.param(&values(0, m * k), [m, k]);
            let w = tape.param(&values(1, k * n), [k, n]);
            let b = tape.param(&values(2, n), [n]);
            let y = tape.param(&values(3, m * n), [m, n]);
            let (out, loss) = if fused {
                let out = x.linear(w, b);
                (out, out.mse(y))
            } else {
                let out = x.matmul(w) + b;
                (out, (out - y).square().mean())
            };
            // Once more, added to the gradients.
            tape.backward(loss * 3.0).unwrap();
            let once = all_bits(&tape.grads().unwrap());
            tape.backward(loss).unwrap();
            let twice = all_bits(&tape.grads().unwrap());
            let values = (
                all_bits(&out.value().unwrap()),
                all_bits(&loss.value().unwrap()),
            );
            (values, once, twice)
        };
        assert_eq!(run(true), run(false));
    });
}

// ---- axes ------------------------------------------------------------------

/// Returns all indices of a shape, in order.
fn indices(sizes: &[usize]) -> Vec<Vec<usize>> {
    sizes.iter().fold(vec![vec![]], |all, size| {
        let longer = |index: Vec<usize>| (0..*size).map(move |i| [index.clone(), vec![i]].concat());
        all.into_iter().flat_map(longer).collect()
    })
}

fn place(sizes: &[usize], index: &[usize]) -> usize {
    let axes = sizes.iter().zip(index);
    axes.fold(0, |place, (size, i)| place * size + i)
}

/// Operations that move elements along an axis, or sum over one, have the values and gradients of a
/// walk over all indices.
#[test]
fn axes_are_counted_from_either_end() {
    // Compares a result with the elements of the operand that each of its elements is the sum of.
    fn compare<'t>(y: Var<'t>, x: Var<'t>, sizes: &[usize], from: &[Vec<usize>], what: &str) {
        let xs = x.value().unwrap().to_vec();
        assert_eq!(y.shape().dims(), sizes, "{what}");
        let sums: Vec<f32> = from
            .iter()
            .map(|from| from.iter().map(|k| xs[*k]).sum())
            .collect();
        assert_eq!(*y.value().unwrap(), sums, "{what}");
        let gs: Vec<f32> = (0..from.len()).map(|i| (i * i % 23) as f32 - 9.0).collect();
        let mut gx = vec![0.0; xs.len()];
        for (g, from) in gs.iter().zip(from) {
            from.iter().for_each(|k| gx[*k] += g);
        }
        let tape = x.tape();
        tape.zero_grad();
        for round in 1..3 {
            tape.backward_with(y, &gs).unwrap();
            let times: Vec<f32> = gx.iter().map(|g| g * round as f32).collect();
            assert_eq!(*x.grad().unwrap(), times, "gradient of {what}");
        }
    }

    check(
        300,
        (vec(1..5_usize, 1..5), any::<u64>()),
        |(sizes, seed)| {
            let rank = sizes.len();
            let mut xs = numbers(seed, 0, 0, sizes.iter().product());
            xs.iter_mut().for_each(|x| *x = (*x * 20.0).round());
            tape!(tape, FLOATS, NODES);
            let x = tape.param(&xs, Shape::new(&sizes).unwrap());
            let mark = tape.mark();
            let all = indices(&sizes);
            let with = |axis: usize, size: usize| {
                let mut sizes = sizes.clone();
                sizes[axis] = size;
                sizes
            };
            for axis in 0..rank {
                let without = [&sizes[..axis], &sizes[axis + 1..]].concat();
                for signed in [axis as isize, axis as isize - rank as isize] {
                    for other in 0..rank {
                        let y = x.transpose(other as isize - rank as isize, signed);
                        let mut swapped = sizes.clone();
                        swapped.swap(axis, other);
                        let from = indices(&swapped).into_iter().map(|mut index| {
                            index.swap(axis, other);
                            vec![place(&sizes, &index)]
                        });
                        compare(y, x, &swapped, &from.collect::<Vec<_>>(), "transpose");
                        tape.rewind(mark).unwrap();
                    }
                    for keep in [false, true] {
                        let kept = with(axis, 1);
                        let y = x.sum_axis(signed, keep);
                        let from = indices(&kept).into_iter().map(|index| {
                            let same = |full: &&Vec<usize>| {
                                (0..rank).all(|a| a == axis || full[a] == index[a])
                            };
                            all.iter()
                                .filter(same)
                                .map(|full| place(&sizes, full))
                                .collect()
                        });
                        let shape = if keep { &kept } else { &without };
                        compare(y, x, shape, &from.collect::<Vec<_>>(), "sum");
                        tape.rewind(mark).unwrap();
                    }
                    for start in 0..sizes[axis] {
                        for length in 0..=sizes[axis] - start {
                            let part = with(axis, length);
                            let moved = |mut index: Vec<usize>| {
                                index[axis] += start;
                                vec![place(&sizes, &index)]
                            };
                            let from: Vec<_> = indices(&part).into_iter().map(moved).collect();
                            compare(x.narrow(signed, start, length), x, &part, &from, "narrow");
                            if length == 1 {
                                compare(x.select(signed, start), x, &without, &from, "select");
                            }
                            tape.rewind(mark).unwrap();
                        }
                    }
                    // Concatenates pieces in another order, one of them twice.
                    let cut = seed as usize % (sizes[axis] + 1);
                    let (low, high) = (
                        x.narrow(signed, 0, cut),
                        x.narrow(signed, cut, sizes[axis] - cut),
                    );
                    let y = tape.concat(&[high, low, x, low], signed);
                    let order: Vec<usize> = [cut..sizes[axis], 0..cut, 0..sizes[axis], 0..cut]
                        .into_iter()
                        .flatten()
                        .collect();
                    let joined = with(axis, order.len());
                    let moved = |mut index: Vec<usize>| {
                        index[axis] = order[index[axis]];
                        vec![place(&sizes, &index)]
                    };
                    let from: Vec<_> = indices(&joined).into_iter().map(moved).collect();
                    compare(y, x, &joined, &from, "concat");
                    tape.rewind(mark).unwrap();
                }
            }
        },
    );
}

/// Maxima and softmax along every axis equal those of each line by
/// itself. (With more elements, softmax would have another order of sums along inner axes.)
#[test]
fn lines_along_an_axis_are_alike() {
    check(
        200,
        (vec(1..5_usize, 1..5), any::<u64>()),
        |(sizes, seed)| {
            let mut xs = numbers(seed, 0, 0, sizes.iter().product());
            // Makes ties.
            xs.iter_mut().for_each(|x| *x = (*x * 2.0).round());
            let gs = numbers(seed, 1, 0, xs.len());
            type Operation = for<'t> fn(Var<'t>, isize) -> Var<'t>;
            const OPERATIONS: [Operation; 7] = [
                |x, axis| x.max_axis(axis, true),
                |x, axis| x.min_axis(axis, true),
                |x, axis| x.amax(axis, true),
                |x, axis| x.amin(axis, true),
                |x, axis| x.mean_axis(axis, true),
                |x, axis| x.softmax(axis),
                |x, axis| x.log_softmax(axis),
            ];
            for operation in OPERATIONS {
                for axis in 0..sizes.len() {
                    tape!(tape, FLOATS, 10);
                    let x = tape.param(&xs, Shape::new(&sizes).unwrap());
                    let y = operation(x, axis as isize);
                    let out = y.shape().dims().to_vec();
                    let n = y.shape().numel();
                    tape.backward_with(y, &gs[..n]).unwrap();
                    let mut first = sizes.clone();
                    first[axis] = 1;
                    for index in indices(&first) {
                        let line = |sizes: &[usize]| -> Vec<usize> {
                            let at = |i: usize| {
                                let mut index = index.clone();
                                index[axis] = i;
                                place(sizes, &index)
                            };
                            (0..sizes[axis]).map(at).collect()
                        };
                        let (from, to) = (line(&sizes), line(&out));
                        let pick = |all: &[f32], places: &[usize]| -> Vec<f32> {
                            places.iter().map(|k| all[*k]).collect()
                        };
                        tape!(alone, 100, 10);
                        let row = alone.param(&pick(&xs, &from), [from.len()]);
                        let result = operation(row, 0);
                        alone.backward_with(result, &pick(&gs, &to)).unwrap();
                        let (ys, gx) = (y.value().unwrap(), x.grad().unwrap());
                        assert_eq!(
                            all_bits(&pick(&ys, &to)),
                            all_bits(&result.value().unwrap())
                        );
                        assert_eq!(pick(&gx, &from), *row.grad().unwrap());
                    }
                }
            }
        },
    );
}

// ---- anything at any time --------------------------------------------------

/// No sequence of calls panics or corrupts the tape, in a small arena and with variables that may
/// be stale.
#[test]
fn no_sequence_of_calls_panics() {
    static DATA: [f32; 64] = {
        let mut data = [0.0; 64];
        let mut i = 0;
        while i < 64 {
            data[i] = (i * 29 % 64) as f32 * 0.0625 - 2.0;
            i += 1;
        }
        data
    };
    use std::cell::Cell;
    let (errors, steps, replays) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let strategy = (vec(any::<[u8; 4]>(), 1..120), 40..300_usize, 4..40_usize);
    check(1500, strategy, |(calls, floats, nodes)| {
        let sizes = |n: u8| [n as usize % 4, 1 + n as usize / 4 % 3];
        let program = Program {
            leaves: Vec::new(),
            steps: Vec::new(),
            seed: 1,
            whole: false,
        };
        tape!(tape, floats, nodes);
        let mut built = Built {
            vars: vec![tape.param(&DATA[..3], [3, 1])],
            params: Vec::new(),
        };
        let mut marks = vec![tape.mark()];
        let mut sgd = baregrad::optim::Sgd::new(0.1);
        for [call, a, b, c] in calls {
            let var = built.vars[a as usize % built.vars.len()];
            let rows = &DATA[b as usize % 32..][..c as usize % 32];
            let result = match call % 20 {
                0 => tape.backward(var),
                1 => tape.backward(var.sum() * var.mean()),
                2 => tape.backward_with(var, &DATA[..var.shape().numel().min(64)]),
                3 => tape.step(&mut sgd),
                4 => tape.replay(),
                5 | 6 => tape.rebind(var, rows),
                7 => tape.write(var, &DATA[b as usize % 8..][..var.shape().numel().min(56)]),
                8 => tape.rewind(marks[a as usize % marks.len()]),
                9 => tape.allow_unused(var),
                10 => {
                    tape.zero_grad();
                    marks.push(tape.mark());
                    tape.set_grad_enabled(b & 7 != 0);
                    Ok(())
                }
                11 => {
                    let n = sizes(b).iter().product();
                    built.vars.push(match c % 3 {
                        0 => tape.param(&DATA[..n], sizes(b)),
                        1 => tape.constant(&DATA[c as usize % 40..][..n], sizes(b)),
                        _ => tape.input(&DATA[c as usize % 40..][..n], sizes(b)),
                    });
                    Ok(())
                }
                12 => var
                    .grad()
                    .map(|grad| assert_eq!(grad.len(), var.shape().numel())),
                _ => {
                    let var = program.step(&tape, &mut built, [call, a, b, c], 0);
                    built.vars.push(var);
                    Ok(())
                }
            };
            errors.set(errors.get() + u32::from(result.is_err()));
            steps.set(steps.get() + u32::from(result.is_ok() && call % 20 == 3));
            // Clears most errors by a rewind.
            if tape.error().is_some() && c & 3 != 0 {
                let latest = marks.iter().rev().find(|mark| tape.rewind(**mark).is_ok());
                assert!(latest.is_some() || tape.error().is_some());
            }
            let usage = tape.usage();
            assert!(usage.floats <= usage.floats_peak && usage.floats_peak <= floats);
            assert!(usage.nodes <= usage.nodes_peak && usage.nodes_peak <= nodes);
            if tape.error().is_some() {
                continue;
            }
            let grads = tape.grads().unwrap().len();
            assert_eq!(tape.params().unwrap().len(), grads);
            for var in &built.vars {
                if let Ok(values) = var.value() {
                    // A rebound input has its old size until the replay.
                    assert_eq!(values.len(), var.shape().numel());
                }
            }
            // A second replay changes nothing.
            if call % 20 == 4 && tape.replay().is_ok() {
                let values = |var: &Var<'_>| var.value().map(|values| all_bits(&values)).ok();
                let before: Vec<_> = built.vars.iter().map(values).collect();
                tape.replay().unwrap();
                assert_eq!(before, built.vars.iter().map(values).collect::<Vec<_>>());
                replays.set(replays.get() + 1);
            }
        }
    });
    let counts = (errors.get(), steps.get(), replays.get());
    assert!(
        counts.0 > 1000 && counts.1 > 100 && counts.2 > 1000,
        "{counts:?}"
    );
}

// ---- lane types ------------------------------------------------------------

/// Every level gives the same bits. This is the only test that switches levels; other tests may run
/// meanwhile, as their bits do not depend on the level.
#[cfg(feature = "std")]
#[test]
fn every_level_gives_the_same_bits() {
    use baregrad::kernel::{Level, level, set_level};
    let best = level();
    check(800, programs(false), |program| {
        let expected = program.fresh(0);
        for level in Level::available() {
            set_level(level);
            assert_eq!(program.fresh(0), expected, "{level:?}");
        }
        set_level(best);
    });
}
