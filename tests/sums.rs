//! Tests that long sums stay accurate: compares every reduction, from a thousand to ten million
//! terms, with sums in `f64`, and lists PyTorch's errors beside.
//!
//! ```text
//! cargo test --release --test sums -- --nocapture        prints the table
//! ```
//!
//! Errors are in units of 2^-24, half the relative spacing of `f32`, relative to the sum of all
//! magnitudes, which for equal numbers is the sum itself. PyTorch's errors are those of 2.15.0 on
//! x86-64 with AVX2, one thread, for the same numbers and shapes, the largest over all
//! lengths. PyTorch adds sums as cascades, but passes matrix products to a library that adds
//! in order, so their errors grow.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use baregrad::function::Function as _;
#[cfg(feature = "std")]
use baregrad::function::models::Line;
use baregrad::function::models::Polynomial;
use baregrad::kernel::{self, Acc, Broadcast, Lanes, Map};
use baregrad::{Arena, Shape};
#[cfg(feature = "std")]
use baregrad::{ErrorKind, HeapArena};

const UNIT: f64 = 1.0 / 16_777_216.0;

/// The numbers of terms. Debug builds stop earlier, so that they take seconds.
const LENGTHS: &[usize] = if cfg!(debug_assertions) {
    &[1_000, 40_000]
} else {
    &[1_000, 10_000, 100_000, 1_000_000, 10_000_000]
};

/// SplitMix64.
struct Rng(u64);

impl Rng {
    /// Draws a uniform number in [0, 1).
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws a normal number, by Box–Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (core::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Returns the terms of a kind of sums.
fn numbers(kind: &str, n: usize) -> Vec<f32> {
    let mut rng = Rng(n as u64);
    (0..n)
        .map(|i| match kind {
            "uniform" => rng.uniform() as f32,
            "normal" => rng.normal() as f32,
            "alternating" => [1.1, -1.0][i % 2] * (1.0 + (i % 7) as f32 / 8.0),
            equal => equal.parse().unwrap(),
        })
        .collect()
}

const EQUAL: [&str; 3] = ["0.1", "101325", "0.33333334"];
const OTHERS: [&str; 3] = ["uniform", "normal", "alternating"];

/// Results: the sum that was found, the right one, and the sum of magnitudes.
type Found = Vec<(f32, f64, f64)>;

struct Row {
    name: &'static str,
    run: fn(&[f32]) -> Found,
    /// The largest allowed errors, for equal numbers and for others.
    limits: [f64; 2],
    /// PyTorch's errors, if they were measured.
    pytorch: Option<[f64; 2]>,
}

fn exact(terms: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    (terms.clone().sum(), terms.map(f64::abs).sum())
}

/// Returns the results of a kernel, each of which should be the sum of `terms`.
fn of_terms(found: &[f32], terms: impl Iterator<Item = f64> + Clone) -> Found {
    let (sum, size) = exact(terms);
    found.iter().map(|x| (*x, sum, size)).collect()
}

fn f64s(x: &[f32]) -> impl Iterator<Item = f64> + Clone + '_ {
    x.iter().map(|x| f64::from(*x))
}

/// Returns products rounded to `f32`, so that only the error of their sum is measured.
fn products<'a>(x: &'a [f32], y: &'a [f32]) -> impl Iterator<Item = f64> + Clone + 'a {
    x.iter().zip(y).map(|(x, y)| f64::from(x * y))
}

/// Repeats each number `n` times.
fn times(x: &[f32], n: usize) -> Vec<f32> {
    x.iter().flat_map(|x| (0..n).map(|_| *x)).collect()
}

fn factors(x: &[f32]) -> Vec<f32> {
    x.iter().rev().copied().collect()
}

/// A map that returns `g`.
struct Passed;
impl Map<3> for Passed {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g, _, _]: &[L; 3]) -> L {
        g
    }
}

/// Computes the gradient of an operand of shape `own` that was broadcast to `shape`, with the same
/// number of dimensions. Every element should be the sum of `x`.
fn stretched(x: &[f32], own: Shape, shape: Shape, g: &[f32]) -> Found {
    let (_, stretch) = Broadcast::new(&own, &shape).unwrap();
    let (zeros, other) = (vec![0.0; own.numel()], vec![0.0; g.len()]);
    let mut found = zeros.clone();
    kernel::zip_grad(Passed, &stretch, [g, &zeros, &other], &mut found, Acc::Set);
    let mut twice = found.clone();
    kernel::zip_grad(Passed, &stretch, [g, &zeros, &other], &mut twice, Acc::Add);
    assert!(
        found
            .iter()
            .zip(&twice)
            .all(|(x, y)| *y == 2.0 * x || x.is_nan())
    );
    of_terms(&found, f64s(x))
}

/// Computes the mean squared error of predictions that are all 0, and its gradients by parameters,
/// each of which should be twice the mean.
fn function<const P: usize>(x: &[f32]) -> Found {
    let (ones, n) = (vec![1.0; x.len()], x.len() as f64);
    let mut arena = Arena::<64, 4>::new();
    let tape = arena.tape();
    let p = tape.param(&[0.0; P], [P]);
    let (ones, y) = (tape.input(&ones, [x.len()]), tape.input(x, [x.len()]));
    let loss = Polynomial::<P>::mse(ones, p, y);
    tape.backward(loss).unwrap();
    let (squares, _) = exact(products(x, x));
    let (sum, size) = exact(f64s(x));
    let mut found = vec![(loss.item().unwrap(), squares / n, squares / n)];
    let gradients = p.grad().unwrap();
    found.extend(
        gradients
            .iter()
            .map(|g| (*g, -2.0 * sum / n, 2.0 * size / n)),
    );
    found
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row { name: "sum", limits: [5.0, 3.0], pytorch: Some([9.7, 0.9]), run: |x| {
        of_terms(&[kernel::sum(x)], f64s(x))
    } },
    Row { name: "dot", limits: [5.0, 3.0], pytorch: None, run: |x| {
        let y = factors(x);
        of_terms(&[kernel::dot(x, &y)], products(x, &y))
    } },
    Row { name: "dot and sum", limits: [5.0, 3.0], pytorch: None, run: |x| {
        let y = factors(x);
        let (dot, sum) = kernel::dot_and_sum(&y, x);
        let mut found = of_terms(&[dot], products(x, &y));
        found.extend(of_terms(&[sum], f64s(x)));
        found
    } },
    Row { name: "squared distance", limits: [5.0, 3.0], pytorch: Some([10.3, 0.9]), run: |x| {
        let zeros = vec![0.0; x.len()];
        of_terms(&[kernel::squared_distance(x, &zeros)], products(x, x))
    } },
    Row { name: "function of 4 parameters", limits: [4.0, 3.0], pytorch: None, run: function::<4> },
    Row { name: "function of 5 parameters", limits: [4.0, 3.0], pytorch: None, run: function::<5> },
    Row { name: "axis 1 of [2, n]", limits: [5.0, 3.0], pytorch: Some([9.7, 0.9]), run: |x| {
        let mut found = [0.0; 2];
        kernel::sum_axis(&[x, x].concat(), [2, x.len(), 1], &mut found);
        of_terms(&found, f64s(x))
    } },
    Row { name: "axis 0 of [n, 2]", limits: [9.5, 3.0], pytorch: Some([15.0, 1.7]), run: |x| {
        let mut found = [0.0; 2];
        kernel::sum_axis(&times(x, 2), [1, x.len(), 2], &mut found);
        of_terms(&found, f64s(x))
    } },
    Row { name: "axis 1 of [2, n, 3]", limits: [9.5, 3.0], pytorch: Some([15.0, 1.7]), run: |x| {
        let (mut found, row) = ([0.0; 6], times(x, 3));
        kernel::sum_axis(&[row.as_slice(), &row].concat(), [2, x.len(), 3], &mut found);
        of_terms(&found, f64s(x))
    } },
    Row { name: "gradient of [2] in [n, 2]", limits: [9.5, 3.0], pytorch: Some([15.0, 1.7]), run: |x| {
        let shape = Shape::from([x.len(), 2]);
        stretched(x, Shape::from([1, 2]), shape, &times(x, 2))
    } },
    Row { name: "gradient of [19] in [n, 19]", limits: [9.5, 3.0], pytorch: None, run: |x| {
        let x = &x[..x.len().min(100_000)];
        let shape = Shape::from([x.len(), 19]);
        stretched(x, Shape::from([1, 19]), shape, &times(x, 19))
    } },
    Row { name: "gradient of [1, 3, 1] in [n, 3, 1]", limits: [9.5, 3.0], pytorch: None, run: |x| {
        let shape = Shape::from([x.len(), 3, 1]);
        stretched(x, Shape::from([1, 3, 1]), shape, &times(x, 3))
    } },
    Row { name: "gradient of [1, 3, 1] in [n / 2, 3, 2]", limits: [9.5, 3.0], pytorch: None, run: |x| {
        let shape = Shape::from([x.len() / 2, 3, 2]);
        let g: Vec<f32> = x.chunks(2).flat_map(|two| [two, two, two].concat()).collect();
        stretched(x, Shape::from([1, 3, 1]), shape, &g)
    } },
    Row { name: "gradient of [1, 1] in [1, n]", limits: [5.0, 3.0], pytorch: None, run: |x| {
        stretched(x, Shape::from([1, 1]), Shape::from([1, x.len()]), x)
    } },
    Row { name: "sum of rows, a bias", limits: [9.5, 3.0], pytorch: Some([15.0, 1.7]), run: |x| {
        let mut found = [0.0; 2];
        kernel::sum_rows(&times(x, 2), [x.len(), 2], &mut found, Acc::Set);
        of_terms(&found, f64s(x))
    } },
    Row { name: "[3, n] · [n, 5]", limits: [9.5, 3.0], pytorch: Some([5233.3, 66.1]), run: |x| {
        let (y, mut found) = (factors(x), [0.0; 15]);
        kernel::matmul(&[x, x, x].concat(), &times(&y, 5), &mut found, [3, x.len(), 5]);
        of_terms(&found, products(x, &y))
    } },
    Row { name: "[5, n] · [n, 19]", limits: [9.5, 3.0], pytorch: None, run: |x| {
        let x = &x[..x.len().min(100_000)];
        let (y, mut found) = (factors(x), [0.0; 95]);
        kernel::matmul(&[x, x, x, x, x].concat(), &times(&y, 19), &mut found, [5, x.len(), 19]);
        of_terms(&found, products(x, &y))
    } },
    Row { name: "[n, 3]ᵀ · [n, 5], weights", limits: [9.5, 3.0], pytorch: Some([5233.3, 66.1]), run: |x| {
        let (y, mut found) = (factors(x), [0.0; 15]);
        kernel::matmul_tn(&times(x, 3), &times(&y, 5), &mut found, [x.len(), 3, 5], Acc::Set);
        of_terms(&found, products(x, &y))
    } },
    Row { name: "[3, n] · [5, n]ᵀ", limits: [9.5, 3.0], pytorch: None, run: |x| {
        let (y, mut found) = (factors(x), [0.0; 15]);
        let (g, b) = ([x, x, x].concat(), [&y[..]; 5].concat());
        kernel::matmul_nt(&g, &b, &mut found, [3, 5, x.len()], Acc::Set);
        of_terms(&found, products(x, &y))
    } },
    Row { name: "softmax of equal numbers", limits: [5.0, 5.0], pytorch: None, run: |x| {
        let (x, mut found) = (vec![1.0; 2 * x.len()], vec![0.0; 2 * x.len()]);
        let n = x.len() / 2;
        kernel::softmax::<false>(&x, [1, n, 2], &mut found);
        let right = 1.0 / n as f64;
        vec![(found[0], right, right), (found[2 * n - 1], right, right)]
    } },
];

#[test]
fn errors_do_not_grow() {
    let mut wrong = Vec::new();
    println!("errors in 2^-24, at {LENGTHS:?} terms");
    println!(
        "{:38} {:>34}  {:>34}",
        "", "equal (most; PyTorch's)", "other (most; PyTorch's)"
    );
    for row in TABLE {
        let mut line = format!("{:38}", row.name);
        let pytorch = row.pytorch.map(|errors| errors.map(|x| format!("{x:6.1}")));
        let pytorch = pytorch.unwrap_or_else(|| [(); 2].map(|()| "     -".into()));
        let kinds = [EQUAL, OTHERS].into_iter();
        for (kinds, (limit, pytorch)) in kinds.zip(row.limits.into_iter().zip(pytorch)) {
            for n in LENGTHS {
                let errors = kinds.iter().flat_map(|kind| (row.run)(&numbers(kind, *n)));
                let error = errors
                    .map(|(found, sum, size)| (f64::from(found) - sum).abs() / size / UNIT)
                    .fold(0.0, |most, x| if x <= most { most } else { x });
                line += &format!(" {error:5.2}");
                // NaN is wrong, too.
                if error.is_nan() || error > limit {
                    wrong.push(format!(
                        "{} of {n} {kinds:?}: {error}, not {limit}",
                        row.name
                    ));
                }
            }
            line += &format!(" ({limit:4.1}; {pytorch})  ");
        }
        println!("{line}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

// ---- on a tape -------------------------------------------------------------

/// Returns the error in units, relative to the right result.
fn off(found: f32, right: f64) -> f64 {
    ((f64::from(found) - right) / right / UNIT).abs()
}

/// Means, losses and their gradients over a million rows are accurate.
#[cfg(feature = "std")]
#[test]
fn of_a_million_rows_on_a_tape() {
    let n = if cfg!(debug_assertions) {
        50_000
    } else {
        1_000_000
    };
    let tenth = f64::from(0.1_f32);
    let x = vec![0.1; 2 * n];
    let mut arena = HeapArena::new(24 * n, 64);
    let tape = arena.tape();
    let pairs = tape.input(&x, [n, 2]);

    for mean in pairs.mean_axis(0, false).value().unwrap().iter() {
        assert!(off(*mean, tenth) <= 10.0, "{mean}");
    }
    assert!(off(pairs.mean().item().unwrap(), tenth) <= 6.0);
    assert!(off(pairs.sum().item().unwrap(), 2.0 * n as f64 * tenth) <= 5.0);

    // A broadcast bias: half of the mean over two columns.
    let b = tape.param(&[0.0, 0.0], [2]);
    let loss = ((pairs + b) - 1.0).mean();
    tape.backward(loss).unwrap();
    for grad in b.grad().unwrap().iter() {
        assert!(off(*grad, 0.5) <= 10.0, "{grad}");
    }
    assert!(off(loss.item().unwrap(), tenth - 1.0) <= 6.0);
    tape.zero_grad();

    // A layer: its bias and its weights.
    let w = tape.param(&[0.0; 6], [2, 3]);
    let bias = tape.param(&[0.0; 3], [3]);
    let ones = vec![1.0; 3 * n];
    let loss = pairs.linear(w, bias).mse(tape.input(&ones, [n, 3]));
    tape.backward(loss).unwrap();
    assert!(off(loss.item().unwrap(), 1.0) <= 5.0);
    for grad in bias.grad().unwrap().iter() {
        assert!(off(*grad, -2.0 / 3.0) <= 11.0, "{grad}");
    }
    for grad in w.grad().unwrap().iter() {
        assert!(off(*grad, -2.0 / 3.0 * tenth) <= 12.0, "{grad}");
    }
    tape.zero_grad();

    // A line as a function, whose residual is 0.9 everywhere.
    let line = tape.param(&[0.0, 0.1], [2]);
    let (x, y) = (tape.input(&x, [2 * n]), tape.input(&ones[..2 * n], [2 * n]));
    let loss = Line::mse(x, line, y);
    tape.backward(loss).unwrap();
    let r = f64::from(0.1_f32 - 1.0);
    assert!(off(loss.item().unwrap(), r * r) <= 6.0);
    let grad = line.grad().unwrap();
    assert!(off(grad[0], 2.0 * tenth * r) <= 7.0 && off(grad[1], 2.0 * r) <= 6.0);
}

/// Ten million tenths, the case with the largest error, sum to a million.
#[cfg(not(debug_assertions))]
#[test]
fn a_million_of_ten_million_tenths() {
    let sum = kernel::sum(&vec![0.1; 10_000_000]);
    assert!(off(sum, 1e7 * f64::from(0.1_f32)) <= 5.0, "{sum}");
    let mean = kernel::sum(&vec![101_325.0; 1_000_000]) / 1e6;
    assert!(off(mean, 101_325.0) <= 5.0, "{mean}");
}

// ---- streams ---------------------------------------------------------------

/// Streams `mean((w x)²)` over rows that are all 1, one row at a time. Returns the mean, and the
/// gradient, which should be 2.
#[cfg(feature = "std")]
fn streamed(batches: usize, room: usize) -> Result<(f32, f32), ErrorKind> {
    let x = vec![1.0; batches];
    let mut arena = HeapArena::new(room, 8);
    let tape = arena.tape();
    let w = tape.param(&[1.0], []);
    let row = tape.input(&x[..1], [1]);
    let loss = (w * row).square().mean();
    let mean = tape.backward_over(loss, &[(row, &x)]).map_err(|e| e.kind)?;
    let grad = w.grad().unwrap()[0];
    Ok((mean, grad))
}

#[cfg(feature = "std")]
#[test]
fn streams_of_many_batches_do_not_drift() {
    let lengths: &[usize] = if cfg!(debug_assertions) {
        &[65, 128, 129, 1_000, 10_007, 100_000]
    } else {
        &[65, 128, 129, 1_000, 10_007, 100_000, 1_000_003, 3_000_000]
    };
    for batches in lengths {
        let (mean, grad) = streamed(*batches, 16).unwrap();
        // The weight of a batch, 1 / n, is rounded once.
        let right = f64::from(1.0 / *batches as f32) * *batches as f64;
        assert!(off(mean, right) <= 2.0, "{batches}: {mean}, not {right}");
        assert!(off(grad, 2.0 * right) <= 18.0, "{batches}: {grad}");
    }
}

/// More than 64 micro-batches need one more float for each parameter; without room for them there
/// is an error with the number, and nothing changes.
#[cfg(feature = "std")]
#[test]
fn totals_of_many_batches_need_room() {
    let needed = (0..16).find(|room| streamed(64, *room).is_ok()).unwrap();
    for room in needed..needed + 1 {
        let refused = streamed(65, room);
        let expected = ErrorKind::Floats {
            needed: needed + 1,
            capacity: room,
        };
        assert_eq!(refused, Err(expected));
    }
    assert!(streamed(65, needed + 1).is_ok());

    let x = [1.0; 65];
    let mut arena = Arena::<7, 8>::new();
    let tape = arena.tape();
    let w = tape.param(&[1.0], []);
    let row = tape.input(&x[..1], [1]);
    let loss = (w * row).square().mean();
    tape.backward(loss).unwrap();
    if tape.backward_over(loss, &[(row, &x)]).is_err() {
        assert_eq!(*w.grad().unwrap(), [2.0]);
        assert_eq!(*row.value().unwrap(), [1.0]);
        assert_eq!(tape.usage().floats_capacity, 7);
    }
}

/// Streams of any number of micro-batches add to existing gradients.
#[test]
fn streams_add_to_what_is_there() {
    let x = [1.0; 1000];
    let mut arena = Arena::<16, 8>::new();
    let tape = arena.tape();
    let (w, idle) = (tape.param(&[1.0], []), tape.param(&[1.0, 2.0], [2]));
    let row = tape.input(&x[..1], [1]);
    let loss = (w * row).square().mean();
    tape.backward(idle.sum()).unwrap();
    for times in 1..=3 {
        tape.backward_over(loss, &[(row, &x)]).unwrap();
        // The weight of a batch, 1 / 1000, is rounded once.
        let right = 2.0 * f64::from(times) * 1000.0 * f64::from(0.001_f32);
        let grad = w.grad().unwrap()[0];
        assert!(off(grad, right) <= 18.0, "{grad}");
        assert_eq!(*idle.grad().unwrap(), [1.0, 1.0]);
    }
    // The memory is free again.
    assert!(tape.param(&[0.0; 1], [1]).value().is_ok());
}

#[test]
fn streams_keep_infinities_and_nan() {
    for odd in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        for at in [0, 63, 64, 65, 199] {
            let mut x = [1.0; 200];
            x[at] = odd;
            let mut arena = Arena::<16, 8>::new();
            let tape = arena.tape();
            let w = tape.param(&[1.0], []);
            let row = tape.input(&x[..1], [1]);
            let mean = tape.backward_over((w * row).mean(), &[(row, &x)]).unwrap();
            let grad = w.grad().unwrap()[0];
            for found in [mean, grad] {
                assert!(found == odd || (odd.is_nan() && found.is_nan()), "{found}");
            }
        }
    }
}
