//! Tests every operation of the list: gradients against finite
//! differences, and bits at every SIMD level; and random programs of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::collections::BTreeSet;

use baregrad::gradcheck::gradcheck;
use baregrad::op::Node;
use baregrad::ops::{self, Args, Domain, Entry};
use baregrad::optim::Sgd;
use baregrad::random::{fill_uniform, seeded, shuffle};
use baregrad::{ErrorKind, Shape, ShapeError, Tape, Var};
use rand_core::Rng;

fn entries() -> impl Iterator<Item = &'static Entry> {
    ops::ALL.iter().copied().flatten()
}

fn entry(name: &str) -> &'static Entry {
    entries().find(|entry| entry.name == name).unwrap()
}

/// Returns whether an operation has a gradient, which comparisons have not.
fn has_gradient(entry: &Entry) -> bool {
    !["lt", "le", "gt", "ge", "eq", "ne"].contains(&entry.name)
}

/// Returns numbers of different magnitudes, 0.1 apart and at least 0.36 from 0,
/// with 1.01 half-way between two of them, so that they are away from every kink, even
/// of a maximum of two operands.
fn values(domain: Domain, n: usize, rng: &mut impl Rng) -> Vec<f32> {
    let mut magnitudes: Vec<f32> = (0..n).map(|i| 0.36 + 0.1 * (i % 20) as f32).collect();
    shuffle(rng, &mut magnitudes);
    if domain == Domain::Probability {
        magnitudes.iter_mut().for_each(|x| *x /= 2.5);
    }
    if domain == Domain::Signed {
        for x in &mut magnitudes {
            *x = if rng.next_u32().is_multiple_of(2) {
                *x
            } else {
                -*x
            };
        }
    }
    magnitudes
}

fn uniform(n: usize, rng: &mut impl Rng) -> Vec<f32> {
    let mut values = vec![0.0; n];
    fill_uniform(rng, -1.5, 1.5, &mut values).unwrap();
    values
}

/// Records the entry on its shapes, with each dimension but 1 multiplied by `factor`, and a
/// scalar to which every element of the result has a different slope.
fn record<'t>(
    tape: &'t Tape<'t>,
    entry: &Entry,
    factor: usize,
    rng: &mut impl Rng,
) -> (Vec<Var<'t>>, Var<'t>, Var<'t>) {
    let shapes: Vec<Vec<usize>> = entry
        .shapes
        .iter()
        .map(|shape| {
            let grown = shape.iter().map(|&d| if d == 1 { 1 } else { d * factor });
            grown.collect()
        })
        .collect();
    let numel = |shape: &Vec<usize>| shape.iter().product::<usize>();
    let all = values(entry.domain, shapes.iter().map(numel).sum(), rng);
    let mut rest = all.as_slice();
    let mut operands = vec![];
    for shape in &shapes {
        let (values, after) = rest.split_at(numel(shape));
        operands.push(tape.param(values, Shape::new(shape).unwrap()));
        rest = after;
    }
    let result = entry.build.call(&operands, &entry.args).unwrap();
    let weights = uniform(result.shape().numel(), rng);
    let loss = (result * tape.constant(&weights, result.shape())).sum();
    (operands, result, loss)
}

#[test]
fn gradients_as_by_differences() {
    let mut floats = vec![0.0; 1 << 12];
    let mut nodes = vec![Node::EMPTY; 32];
    let mut checked = 0;
    for entry in entries() {
        for seed in 0..4 {
            let tape = Tape::new(&mut floats, &mut nodes);
            let (_, result, loss) = record(&tape, entry, 1, &mut seeded(seed));
            assert_eq!(
                result.requires_grad(),
                has_gradient(entry),
                "{}",
                entry.name
            );
            if !has_gradient(entry) {
                continue;
            }
            let report = gradcheck(loss);
            let report = report.unwrap_or_else(|error| panic!("{}: {error}", entry.name));
            assert!(report.passed(), "{}, seed {seed}: {report}", entry.name);
            checked += report.checked;
        }
    }
    println!("{} operations, {checked} elements", entries().count());
}

/// Values and gradients do not depend on the lane type. This is one test, because the
/// level is set for the whole process.
#[cfg(feature = "std")]
#[test]
fn same_bits_at_every_level() {
    use baregrad::kernel::{Level, level, set_level};

    let bits = |xs: &[f32]| xs.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    let best = level();
    let mut floats = vec![0.0; 1 << 16];
    let mut nodes = vec![Node::EMPTY; 32];
    for entry in entries() {
        // Lengths 6, 54, 150, … have whole blocks of 8 and of 32, and remainders.
        for factor in [1, 2, 3, 5, 7, 11] {
            let mut outcomes = Level::available().map(|level| {
                set_level(level);
                let tape = Tape::new(&mut floats, &mut nodes);
                let (operands, result, loss) =
                    record(&tape, entry, factor, &mut seeded(factor as u64));
                let mut outcome = vec![bits(&result.value().unwrap())];
                if has_gradient(entry) {
                    tape.backward(loss).unwrap();
                    // A second pass adds to the gradients.
                    tape.backward(loss).unwrap();
                }
                for operand in operands.into_iter().filter(|operand| operand.has_grad()) {
                    outcome.push(bits(&operand.grad().unwrap()));
                }
                (level, outcome)
            });
            let (first, expected) = outcomes.next().unwrap();
            for (level, outcome) in outcomes {
                assert_eq!(
                    outcome, expected,
                    "{} times {factor}: {level:?} differs from {first:?}",
                    entry.name
                );
            }
        }
    }
    set_level(best);
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<_> = entries().map(|entry| entry.name).collect();
    assert_eq!(names.len(), entries().count());
}

#[test]
fn operands_are_counted() {
    let mut floats = vec![0.0; 64];
    let mut nodes = vec![Node::EMPTY; 16];
    let tape = Tape::new(&mut floats, &mut nodes);
    let x = tape.param(&[1.0], []);
    for entry in entries() {
        assert!(entry.build.call(&[], &entry.args).is_none());
        let takes_many = matches!(entry.build, ops::Build::Many(_));
        assert!(entry.build.call(&[x; 4], &entry.args).is_none() != takes_many);
    }
}

// ---- reductions over any axes ------------------------------------------------

/// Records `build` of `x` with this shape. Returns the values, and the gradient of their sum.
fn reduced(
    x: &[f32],
    shape: &[usize],
    build: impl for<'t> Fn(Var<'t>) -> Var<'t>,
) -> (Vec<f32>, Vec<f32>) {
    let mut floats = vec![0.0; 6 * x.len() + 64];
    let mut nodes = vec![Node::EMPTY; 8];
    let tape = Tape::new(&mut floats, &mut nodes);
    let x = tape.param(x, Shape::new(shape).unwrap());
    let y = build(x);
    let values = y.value().unwrap().to_vec();
    tape.backward(y.sum()).unwrap();
    let grad = x.grad().unwrap().to_vec();
    (values, grad)
}

/// Equal numbers have a variance and gradients of exactly 0, despite rounding of the mean.
#[test]
fn equal_numbers_deviate_by_nothing() {
    for c in [0.1, -3.3, 1e-45, 1e-40, 7e-20, 1e6 + 0.1, 3e38, 0.0] {
        for n in [1, 2, 3, 10, 33, 1000] {
            for build in [
                (|x| x.std(0.0)) as for<'t> fn(Var<'t>) -> Var<'t>,
                |x| x.var(0.0),
                |x| x.std_axes(&[-1], 0.5, true),
            ] {
                let (y, grad) = reduced(&vec![c; n], &[n], build);
                assert_eq!(y, [0.0], "{n} times {c}");
                assert!(grad.iter().all(|g| *g == 0.0), "{n} times {c}: {grad:?}");
            }
        }
    }
}

/// Deviations agree with `f64` to a few roundings, for means up to a million times as large and for
/// any count. (Rounding the mean alone would give a larger error.)
#[test]
fn deviations_stay_accurate() {
    let mut rng = seeded(5);
    for n in [10, 1000, 30_000] {
        for (mean, spread) in [
            (0.0, 1.0),
            (1e4, 1.0),
            (-1e6, 3.0),
            (1e30, 1e29),
            (3e-39, 1e-39),
        ] {
            let mut x = uniform(n, &mut rng);
            x.iter_mut().for_each(|x| *x = mean + spread * *x);
            let wide: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
            let m = wide.iter().sum::<f64>() / n as f64;
            let squares: f64 = wide.iter().map(|x| (x - m) * (x - m)).sum();
            let std = (squares / (n - 1) as f64).sqrt();
            let (y, grad) = reduced(&x, &[n], |x| x.std(1.0));
            let off = (f64::from(y[0]) / std - 1.0).abs();
            // Subnormal numbers have fewer digits.
            let unit = (1.0 / 16_777_216.0_f64).max(1e-45 / std);
            assert!(off <= 4.0 * unit, "{n} around {mean}: {off:e}");
            for (x, g) in wide.iter().zip(grad) {
                let right = (x - m) / (std * (n - 1) as f64);
                let largest = 3.0 / (n - 1) as f64;
                assert!(
                    (f64::from(g) - right).abs() <= 4.0 * unit * largest,
                    "{n}, {x}: {g:e}"
                );
            }
        }
    }
}

/// Products are rounded once, even if partial products would overflow in `f32`.
#[test]
fn products_round_once() {
    let mut rng = seeded(6);
    for n in [3, 100, 50_000] {
        let mut x = uniform(n, &mut rng);
        for (i, x) in x.iter_mut().enumerate() {
            // Half of the factors are large, the other half small; the large ones come first.
            let size = if i < n / 2 { 1e30 } else { 1e-30 };
            *x = (1.0 + 1e-3 * *x) * if n == 3 { 1.0 } else { size };
        }
        let logarithms = x.iter().map(|x| f64::from(x.abs()).log2());
        let whole: f64 = logarithms.sum();
        let (y, grad) = reduced(&x, &[n], |x| x.prod());
        // The error of the logarithms in `f64` grows with their number.
        let allowed = 0.6 / 16_777_216.0 * 2.0 + 1e-12 * n as f64;
        assert!(
            (f64::from(y[0]) / whole.exp2() - 1.0).abs() <= allowed,
            "{n}: {}",
            y[0]
        );
        for (x, g) in x.iter().zip(grad) {
            let right = whole.exp2() / f64::from(*x);
            assert!(
                (f64::from(g) / right - 1.0).abs() <= 2.0 * allowed,
                "{n}: {g:e}"
            );
        }
    }
    assert_eq!(reduced(&[1e30, 1e30, 1e-30], &[3], |x| x.prod()).0, [1e30]);
    assert_eq!(
        reduced(&[1e-30, -1e-30, 1e30], &[3], |x| x.prod()).0,
        [-1e-30]
    );
    // A subnormal product is rounded once, too: 1.5 times the smallest number is a tie.
    assert_eq!(reduced(&[1e-45, 1.5], &[2], |x| x.prod()).0, [2.8e-45]);
}

/// Cumulative sums of up to a hundred thousand tenths, from either end, agree with exact multiples.
#[test]
fn cumulative_sums_stay_accurate() {
    let n = 100_000;
    let (y, grad) = reduced(&vec![0.1; n], &[n], |x| x.cumsum(0));
    for (i, y) in y.iter().enumerate() {
        let right = f64::from(0.1_f32) * (i + 1) as f64;
        assert!((f64::from(*y) / right - 1.0).abs() <= 1.2e-7, "{i}: {y}");
        assert_eq!(grad[i], (n - i) as f32);
    }
    // A large term does not lose the small ones before it.
    let (y, _) = reduced(&[1.0, 1e10, -1e10], &[3], |x| x.cumsum(0));
    assert_eq!(y, [1.0, 1e10, 1.0]);
    let (y, _) = reduced(&[f32::INFINITY, 1.0, f32::NEG_INFINITY], &[3], |x| {
        x.cumsum(0)
    });
    assert!(y[0] == f32::INFINITY && y[1] == f32::INFINITY && y[2].is_nan());
}

/// Reducing a set of axes equals reducing them one after the other.
#[test]
fn axes_in_any_combination() {
    let mut rng = seeded(7);
    let shape = [2, 3, 4, 5];
    let x = values(Domain::Signed, 120, &mut rng);
    for set in 1..16_u32 {
        let axes: Vec<isize> = (0..4).filter(|d| set >> d & 1 == 1).collect();
        let backwards: Vec<isize> = axes.iter().rev().map(|d| d - 4).collect();
        let (by_axes, grad) = reduced(&x, &shape, |x| x.sum_axes(&axes, false));
        let (other, _) = reduced(&x, &shape, |x| x.sum_axes(&backwards, true));
        assert_eq!(by_axes, other);
        assert_eq!(grad, [1.0; 120]);
        let one_by_one = |f: for<'t> fn(Var<'t>, isize) -> Var<'t>| {
            let last_first = axes.iter().rev();
            reduced(&x, &shape, |x| {
                last_first.clone().fold(x, |x, axis| f(x, *axis))
            })
            .0
        };
        let sums = one_by_one(|x, axis| x.sum_axis(axis, false));
        for (a, b) in by_axes.iter().zip(&sums) {
            assert!((a - b).abs() < 1e-4, "{axes:?}: {a} and {b}");
        }
        assert_eq!(by_axes.len(), sums.len());
        let (largest, _) = reduced(&x, &shape, |x| x.amax_axes(&axes, false));
        assert_eq!(largest, one_by_one(|x, axis| x.amax(axis, false)));
        let (smallest, _) = reduced(&x, &shape, |x| x.amin_axes(&axes, false));
        assert_eq!(smallest, one_by_one(|x, axis| x.amin(axis, false)));
        let (means, _) = reduced(&x, &shape, |x| x.mean_axes(&axes, false));
        let n = (120 / means.len()) as f32;
        for (mean, sum) in means.iter().zip(&by_axes) {
            assert_eq!(*mean, sum / n);
        }
    }
}

#[test]
fn axes_that_there_are_not() {
    let mut floats = vec![0.0; 64];
    let mut nodes = vec![Node::EMPTY; 16];
    for (axes, why) in [
        (&[0, 2][..], ShapeError::Axis { axis: 2, rank: 2 }),
        (&[-3], ShapeError::Axis { axis: -3, rank: 2 }),
        (
            &[isize::MAX, 0],
            ShapeError::Axis {
                axis: isize::MAX,
                rank: 2,
            },
        ),
        (&[0, -2], ShapeError::Other("an axis is given twice")),
    ] {
        let tape = Tape::new(&mut floats, &mut nodes);
        let x = tape.param(&[1.0; 6], [2, 3]);
        let error = x.std_axes(axes, 1.0, false).value().unwrap_err();
        let ErrorKind::Shape { why: found, .. } = error.kind else {
            panic!("{error}");
        };
        assert_eq!(found, why, "{error}");
    }
    let tape = Tape::new(&mut floats, &mut nodes);
    let empty = tape.constant(&[], [0, 3]);
    assert!(empty.amax_axes(&[0], false).value().is_err());
}

// ---- random programs -------------------------------------------------------

/// Operations that are smooth everywhere, and bounded for bounded operands, so that finite
/// differences work for programs of any length.
const ELEMENTWISE: [&str; 11] = [
    "tanh",
    "sigmoid",
    "sin",
    "cos",
    "silu",
    "gelu_erf",
    "gelu_tanh",
    "softplus",
    "neg",
    "mul_s",
    "square",
];
const PAIRS: [&str; 4] = ["add", "sub", "mul", "matmul"];
const REST: [&str; 8] = [
    "sum",
    "reshape",
    "mean",
    "softmax",
    "log_softmax",
    "transpose",
    "concat",
    "narrow",
];

const N: usize = 3;
const PARAMS: usize = N * N + N + N;

/// Records a program on square matrices, whose intermediate results are used at random and
/// often more than once.
fn program<'t>(tape: &'t Tape<'t>, params: &[f32], rng: &mut impl Rng) -> Var<'t> {
    fn pick<T: Copy>(from: &[T], rng: &mut impl Rng) -> T {
        from[rng.next_u32() as usize % from.len()]
    }
    let mut vars = vec![
        tape.param(&params[..N * N], [N, N]),
        tape.constant(&uniform(N * N, rng), [N, N]),
    ];
    // Broadcast to a matrix, so that any operation can follow.
    vars.push(tape.param(&params[N * N..PARAMS - N], [N]) * vars[1]);
    let steps = 4 + rng.next_u32() % 8;
    for step in 0..steps {
        if step == steps / 2 {
            // A parameter that is made late moves earlier results in memory.
            vars.push(vars[0] - tape.param(&params[PARAMS - N..], [N, 1]));
        }
        let args = Args {
            c: pick(&[-1.5, 0.5], rng),
            axis: Some(pick(&[0, 1, -1], rng)),
            keepdim: true,
            length: 1,
            ..Args::NONE
        };
        let (x, y) = (pick(&vars, rng), pick(&vars, rng));
        let (kind, small) = (rng.next_u32() % 4, 0.5_f32);
        let next = match kind {
            0 | 1 => entry(pick(&ELEMENTWISE, rng)).build.call(&[x], &args),
            2 => entry(pick(&PAIRS, rng)).build.call(&[x, y], &args),
            _ => match pick(&REST, rng) {
                // Three rows or columns are taken, so that the result is square.
                "concat" => entry("concat")
                    .build
                    .call(&[x, y, x], &args)
                    .and_then(|all| {
                        let args = Args {
                            start: 2,
                            length: N,
                            ..args
                        };
                        entry("narrow").build.call(&[all], &args)
                    }),
                // A view of a view, through a row of all elements.
                "reshape" => {
                    let call = |x, shape, rank| {
                        let args = Args {
                            shape,
                            rank,
                            ..args
                        };
                        entry("reshape").build.call(&[x], &args)
                    };
                    call(x, [-1; 4], 1).and_then(|row| call(row * row, [N as isize, -1, 0, 0], 2))
                }
                name => entry(name).build.call(&[x], &args).map(|part| part + y),
            },
        };
        // Keeps repeated products from growing.
        vars.push(small * next.unwrap());
    }
    let used = vars.iter().skip(1).fold(vars[0], |sum, &var| sum + var);
    let weights = uniform(N * N, rng);
    (used * tape.constant(&weights, [N, N])).sum().square() + used.square().mean()
}

#[test]
fn random_programs_as_by_differences() {
    let mut floats = vec![0.0; 1 << 12];
    let mut nodes = vec![Node::EMPTY; 128];
    let mut checked = 0;
    for seed in 0..100 {
        let mut rng = seeded(seed);
        let tape = Tape::new(&mut floats, &mut nodes);
        let loss = program(&tape, &uniform(PARAMS, &mut rng), &mut rng);
        let report = gradcheck(loss).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(report.passed(), "seed {seed}: {report}");
        checked += report.checked;
    }
    println!("{checked} elements");
}

/// A replay after a training step has the bits of a recording with the new
/// parameters.
#[test]
fn random_programs_replayed_as_recorded() {
    let bits = |xs: &[f32]| xs.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    let outcome = |tape: &Tape<'_>, loss: Var<'_>| {
        (loss.item().unwrap().to_bits(), bits(&tape.grads().unwrap()))
    };
    let mut floats = vec![0.0; 1 << 12];
    let mut nodes = vec![Node::EMPTY; 128];
    for seed in 0..50 {
        let tape = Tape::new(&mut floats, &mut nodes);
        let start = tape.mark();
        let params = uniform(PARAMS, &mut seeded(seed));
        let loss = program(&tape, &params, &mut seeded(seed));
        tape.backward(loss).unwrap();
        tape.step(&mut Sgd::new(0.01)).unwrap();
        tape.replay().unwrap();
        tape.zero_grad();
        tape.backward(loss).unwrap();
        let replayed = outcome(&tape, loss);

        let params = tape.params().unwrap().to_vec();
        tape.rewind(start).unwrap();
        let loss = program(&tape, &params, &mut seeded(seed));
        tape.backward(loss).unwrap();
        assert_eq!(outcome(&tape, loss), replayed, "seed {seed}");
    }
}

/// Views of parameters stay valid when parameters are made or dropped later.
#[test]
fn views_of_parameters_stay_with_them() {
    let mut floats = vec![0.0; 64];
    let mut nodes = vec![Node::EMPTY; 16];
    let tape = Tape::new(&mut floats, &mut nodes);
    let x = tape.param(&[3.0, 4.0], [2]);
    let (view, alias, result) = (x.reshape([2, 1]), x.detach(), x + 1.0);
    let all = || {
        let values = [x, view, alias, result].map(|var| var.value().unwrap().to_vec());
        values.concat()
    };
    let expected = [3.0, 4.0, 3.0, 4.0, 3.0, 4.0, 4.0, 5.0];
    let mark = tape.mark();
    tape.param(&[7.0, 8.0, 9.0], [3]);
    assert_eq!(all(), expected);
    tape.rewind(mark).unwrap();
    assert_eq!(all(), expected);
    tape.replay().unwrap();
    assert_eq!(all(), expected);
}

/// A layer has the bits of separate operations, for straight lines and all other shapes, even when
/// gradients accumulate.
#[test]
fn layers_as_spelled_out() {
    type Layer = for<'t> fn(Var<'t>, Var<'t>, Var<'t>) -> Var<'t>;
    let pairs: [[Layer; 2]; 4] = [
        [|x, w, b| x.linear_identity(w, b), |x, w, b| x.linear(w, b)],
        [
            |x, w, b| x.linear_tanh(w, b),
            |x, w, b| x.linear(w, b).tanh(),
        ],
        [
            |x, w, b| x.linear_sigmoid(w, b),
            |x, w, b| x.linear(w, b).sigmoid(),
        ],
        [
            |x, w, b| x.linear_relu(w, b),
            |x, w, b| x.linear(w, b).relu(),
        ],
    ];
    let bits = |xs: &[f32]| xs.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    let mut rng = seeded(5);
    let mut floats = vec![0.0; 4096];
    let mut nodes = vec![Node::EMPTY; 8];
    for [m, k, n] in [
        [1, 1, 1],
        [11, 1, 1],
        [70, 1, 1],
        [6, 4, 1],
        [5, 1, 3],
        [1, 3, 9],
        [33, 7, 17],
    ] {
        let (xs, ws) = (uniform(m * k, &mut rng), uniform(k * n, &mut rng));
        let (bs, gs) = (uniform(n, &mut rng), uniform(m * n, &mut rng));
        for (kind, pair) in pairs.iter().enumerate() {
            let [layer, spelled_out] = pair.map(|layer| {
                let tape = Tape::new(&mut floats, &mut nodes);
                let (x, w) = (tape.param(&xs, [m, k]), tape.param(&ws, [k, n]));
                let y = layer(x, w, tape.param(&bs, [n]));
                let mut found = bits(&y.value().unwrap());
                for _ in 0..2 {
                    tape.backward_with(y, &gs).unwrap();
                    found.extend(bits(&tape.grads().unwrap()));
                }
                found
            });
            assert_eq!(layer, spelled_out, "{kind} {m} {k} {n}");
        }
    }
}

/// Rebound to fewer rows, a tape has the bits of a recording with as many, through
/// views and operations that derive sizes from shapes.
#[test]
fn rebound_as_recorded() {
    const ROWS: usize = 9;
    fn model<'t>(x: Var<'t>, y: Var<'t>) -> Var<'t> {
        let tape = x.tape();
        let w = tape.param(&[0.3, -0.4, 0.5, 0.6, -0.7, 0.8], [3, 2]);
        let b = tape.param(&[0.1, -0.2], [2]);
        let view = x.reshape([-1, 1, 3]).reshape([-1, 3]);
        let hidden = view.linear(w, b).tanh();
        let joined = tape.concat(&[hidden, x.narrow(1, 1, 2)], 1);
        let soft = joined.log_softmax(-1).transpose(0, 1).mean_axis(1, false);
        let late = tape.param(&[0.9], []);
        (hidden.matmul(w.transpose(0, 1)) - x).square().mean()
            + soft.max()
            + late * hidden.sum_axis(1, false).mse(y)
            + hidden.max_axis(0, true).sum() * (x * y.reshape([-1, 1])).mean()
    }
    let bits = |xs: &[f32]| xs.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    let outcome = |tape: &Tape<'_>, loss: Var<'_>| {
        (loss.item().unwrap().to_bits(), bits(&tape.grads().unwrap()))
    };
    let mut rng = seeded(3);
    let (xs, ys) = (uniform(3 * ROWS, &mut rng), uniform(ROWS, &mut rng));
    let mut floats = vec![0.0; 1 << 12];
    let mut nodes = vec![Node::EMPTY; 64];
    let mut fresh_floats = vec![0.0; 1 << 12];
    let mut fresh_nodes = vec![Node::EMPTY; 64];
    let tape = Tape::new(&mut floats, &mut nodes);
    let (x, y) = (tape.input(&xs, [ROWS, 3]), tape.input(&ys, [ROWS]));
    let loss = model(x, y);
    for (from, to) in [(0, 9), (2, 7), (8, 9), (0, 4), (4, 8), (0, 9), (1, 3)] {
        let (some_xs, some_ys) = (&xs[3 * from..3 * to], &ys[from..to]);
        tape.rebind(x, some_xs).unwrap();
        tape.rebind(y, some_ys).unwrap();
        tape.replay().unwrap();
        tape.zero_grad();
        tape.backward(loss).unwrap();

        let fresh = Tape::new(&mut fresh_floats, &mut fresh_nodes);
        let x = fresh.input(some_xs, [to - from, 3]);
        let expected = model(x, fresh.input(some_ys, [to - from]));
        fresh.backward(expected).unwrap();
        assert_eq!(
            outcome(&tape, loss),
            outcome(&fresh, expected),
            "{from}..{to}"
        );
    }
    // Inputs that do not fit together are an error, and nothing changes.
    let before = outcome(&tape, loss);
    tape.rebind(x, &xs[..12]).unwrap();
    tape.rebind(y, &ys[..3]).unwrap();
    tape.replay().unwrap_err();
    tape.replay().unwrap();
    tape.zero_grad();
    tape.backward(loss).unwrap();
    assert_eq!(outcome(&tape, loss), before);
}

/// Returns value and slope at one number.
fn at(x: f32, f: impl for<'t> FnOnce(Var<'t>) -> Var<'t>) -> (f32, f32) {
    let mut floats = vec![0.0; 64];
    let mut nodes = vec![Node::EMPTY; 8];
    let tape = Tape::new(&mut floats, &mut nodes);
    let var = tape.param(&[x], []);
    let y = f(var);
    tape.backward(y).unwrap();
    (y.item().unwrap(), var.grad().unwrap()[0])
}

/// Far from 0 the slope of `gelu_tanh` is as accurate as elsewhere. The reference is the formula
/// with a logistic function in `f64`, which does not cancel. Errors are largest near -1.5, where
/// one of the two terms is up to 25 times the slope.
#[test]
fn gelu_tanh_has_accurate_tails() {
    let (mut value, mut slope) = (0.0_f64, 0.0_f64);
    for i in 0..=20_000 {
        let x = if i % 2 == 0 {
            -1.5 - 4.2e-4 * i as f32
        } else {
            1e-3 * i as f32
        };
        let wide = f64::from(x);
        let scale = (8.0 / std::f64::consts::PI).sqrt();
        let z = scale * (wide + 0.044715 * wide.powi(3));
        let [s, other] = [z, -z].map(|z| 1.0 / (1.0 + (-z).exp()));
        let truth = s + wide * s * other * scale * (1.0 + 3.0 * 0.044715 * wide * wide);
        let (y, g) = at(x, |x| x.gelu_tanh());
        value = value.max((f64::from(y) / (wide * s) - 1.0).abs());
        slope = slope.max((f64::from(g) / truth - 1.0).abs());
    }
    println!(
        "{:.2} {:.2} of 2^-24",
        value * 16_777_216.0,
        slope * 16_777_216.0
    );
    assert!(value <= 4.0 / 16_777_216.0 && slope <= 9.0 / 16_777_216.0);
    // PyTorch's 1 + tanh(z) would give -1.547e-6 here.
    let y = at(-4.718, |x| x.gelu_tanh()).0;
    assert!((y / -1.411_062_5e-6 - 1.0).abs() < 4e-7, "{y:e}");
}

/// The slope of `powi` is n x^(n - 1) for every exponent.
#[test]
fn powi_has_the_slope_of_every_exponent() {
    for (n, slope) in [
        (i32::MIN, 2_147_483_648.0),
        (i32::MIN + 1, -2_147_483_648.0),
        (i32::MAX, 2_147_483_648.0),
        (i32::MAX - 1, -2_147_483_648.0),
        (16_777_217, 16_777_216.0),
        (5, 5.0),
        (4, -4.0),
        (-1, -1.0),
        (0, 0.0),
    ] {
        let y = if n % 2 == 0 { 1.0 } else { -1.0 };
        assert_eq!(at(-1.0, |x| x.powi(n)), (y, slope), "{n}");
    }
    // x² and x^20 overflow here.
    assert_eq!(at(1e20, |x| x.powi(-1)), (1e-20, -1e-40));
    assert_eq!(at(1e20, |x| x.powi(-2)).0, 1e-40);
    assert_eq!(at(100.0, |x| x.powi(-20)).0, 1e-40);
}

/// The slope of `abs().sqrt()` at 0 is NaN (0 · ∞), as in PyTorch.
#[test]
fn the_root_of_abs_has_no_slope_at_zero() {
    for x in [0.0, -0.0] {
        assert!(at(x, |x| x.abs().sqrt()).1.is_nan());
    }
}

/// The product of two vectors is a scalar, which broadcasts to the shape of the bias.
#[test]
fn linear_has_the_shape_of_matmul_and_sum() {
    let mut floats = vec![0.0; 256];
    let mut nodes = vec![Node::EMPTY; 64];
    for (x, w, b) in [
        (&[3][..], &[3][..], &[][..]),
        (&[3], &[3], &[1]),
        (&[3], &[3, 2], &[2]),
        (&[4, 3], &[3], &[]),
        (&[4, 3], &[3], &[1]),
        (&[4, 3], &[3, 1], &[1]),
        (&[4, 3], &[3, 2], &[2]),
    ] {
        let tape = Tape::new(&mut floats, &mut nodes);
        let [x, w, b] = [x, w, b].map(|shape| {
            let shape = Shape::new(shape).unwrap();
            tape.param_from_fn(shape, |i| i as f32)
        });
        let spelled_out = x.matmul(w) + b;
        for layer in [x.linear(w, b), x.linear_identity(w, b)] {
            assert_eq!(layer.shape(), spelled_out.shape());
            assert_eq!(*layer.value().unwrap(), *spelled_out.value().unwrap());
        }
        assert!(tape.error().is_none());
    }
}
