//! Compares every kernel, for every lane type, bit for bit with the plain loops of
//! `kernel::scalar`, with all short lengths, odd offsets and special numbers. The order
//! of long sums is written out here once more, and a digest of a fixed workload
//! detects any change of any order on any target.
//!
//! The lane type of AVX2 is not public: `kernel::` functions use it on CPUs that have AVX2, or
//! another one that `BAREGRAD_SIMD` selects.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[path = "common/bits.rs"]
mod bits;

use baregrad::Shape;
use baregrad::kernel::generic::{self, Max, Min, Reduce, Sum};
use baregrad::kernel::{self, Acc, Broadcast, Lanes, Map, Ties, f32x8, math, scalar};
use bits::bits;

// ---- numbers ---------------------------------------------------------------

/// SplitMix64, which gives the same test data on every machine.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Draws magnitudes between 2^-10 and 2^10 with full mantissas, and at times
    /// the negative of the number before, so that sums cancel and every order of
    /// summation gives different bits.
    fn numbers(&mut self, n: usize) -> Vec<f32> {
        let mut out: Vec<f32> = Vec::with_capacity(n);
        for i in 0..n {
            let bits = self.next();
            out.push(if i > 0 && bits & 7 == 0 {
                -out[i - 1]
            } else {
                let exponent = 117 + (bits >> 8) as u32 % 20;
                f32::from_bits((bits >> 32) as u32 & 0x807f_ffff | exponent << 23)
            });
        }
        out
    }

    /// Draws the same numbers, with special ones among them.
    fn wild(&mut self, n: usize) -> Vec<f32> {
        const SPECIAL: [f32; 12] = [
            0.0,
            -0.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            f32::MAX,
            f32::MIN,
            f32::MIN_POSITIVE,
            f32::from_bits(1),
            f32::from_bits(0x807f_ffff),
            1.0,
            -1.0,
        ];
        let mut out = self.numbers(n);
        for x in &mut out {
            if self.below(3) == 0 {
                *x = SPECIAL[self.below(SPECIAL.len())];
            }
        }
        out
    }

    /// Draws numbers with special ones among them that keep sums finite.
    fn tame(&mut self, n: usize) -> Vec<f32> {
        let mut out = self.numbers(n);
        for x in &mut out {
            match self.below(16) {
                0 => *x = 0.0,
                1 => *x = -0.0,
                2 => *x *= f32::from_bits(1),
                _ => {}
            }
        }
        out
    }

    /// Draws a slice that starts 0 to 3 elements into its buffer.
    fn offset(&mut self, n: usize, fill: impl Fn(&mut Rng, usize) -> Vec<f32>) -> Slice {
        let start = self.below(4);
        Slice(fill(self, n + start), start)
    }
}

struct Slice(Vec<f32>, usize);

impl std::ops::Deref for Slice {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.0[self.1..]
    }
}

const FILLS: [fn(&mut Rng, usize) -> Vec<f32>; 3] = [Rng::numbers, Rng::tame, Rng::wild];

/// Returns all lengths that matter to loops over 8, 16 or 32 elements, and some
/// longer ones on both sides of the ends of blocks of 512.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=67)
        .chain([100, 127, 128, 129, 511, 512, 513, 529, 1000])
        .chain([1023, 1024, 1025, 1536, 1537, 4101])
}

/// Numbers of terms on both sides of the ends of the blocks in which sums across rows
/// are added.
const BLOCK_ENDS: [usize; 11] = [63, 64, 65, 66, 95, 96, 97, 127, 128, 129, 200];

#[track_caller]
fn same(found: &[f32], expected: &[f32], what: impl Fn() -> String) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            bits(*found) == bits(*expected),
            "{}: element {i} is {found:e}, not {expected:e}",
            what()
        );
    }
}

// ---- comparing -------------------------------------------------------------

const GUARD: f32 = 123.456;

/// Runs a kernel on a destination that starts `start` elements into a buffer, and checks
/// that it writes nothing else.
fn within(start: usize, held: &[f32], kernel: impl FnOnce(&mut [f32])) -> Vec<f32> {
    let mut buffer = vec![GUARD; start + held.len() + 3];
    let range = start..start + held.len();
    buffer[range.clone()].copy_from_slice(held);
    kernel(&mut buffer[range.clone()]);
    let outside = buffer[..start].iter().chain(&buffer[range.end..]);
    assert!(outside.into_iter().all(|x| *x == GUARD), "wrote outside");
    buffer[range].to_vec()
}

/// Runs `generic::kernel` for every lane type, `kernel::kernel`, which chooses one,
/// and the oracle, overwriting and adding, and compares what they leave in a
/// destination of `n` elements.
macro_rules! compare {
    ($rng:ident, $n:expr,
        |$out:ident, $acc:ident| $kernel:ident::<L $(, $generic:tt)*>($($arg:expr),*),
        oracle: $oracle:expr, $what:expr) => {{
        for $acc in [Acc::Set, Acc::Add] {
            let held = $rng.numbers($n);
            let expected = within(0, &held, |$out| $oracle);
            // A kernel that overwrites must not depend on its destination.
            let held = match $acc {
                Acc::Set => vec![f32::NAN; $n],
                Acc::Add => held,
            };
            let start = $rng.below(4);
            let found = within(start, &held, |$out| {
                generic::$kernel::<f32 $(, $generic)*>($($arg),*);
            });
            same(&found, &expected, || format!("f32 {:?} {}", $acc, $what));
            let found = within(start, &held, |$out| {
                generic::$kernel::<f32x8 $(, $generic)*>($($arg),*);
            });
            same(&found, &expected, || format!("f32x8 {:?} {}", $acc, $what));
            let found = within(start, &held, |$out| {
                kernel::$kernel::<$($generic),*>($($arg),*);
            });
            same(&found, &expected, || format!("{:?} {:?} {}", kernel::level(), $acc, $what));
        }
    }};
}

// ---- element-wise functions to try -----------------------------------------

// `SHORT` is 0, so that `kernel::` functions use vectors for every length.

/// A map with a transcendental function, on which lane types could disagree.
struct One;
impl Map<1> for One {
    const SHORT: usize = 0;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        math::exp(x) - x / L::splat(3.0)
    }
}

struct Two;
impl Map<2> for Two {
    const SHORT: usize = 0;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        L::select(x.lt(y), x * y, x - y.abs().sqrt())
    }
}

struct Three;
impl Map<3> for Three {
    const SHORT: usize = 0;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y, z]: &[L; 3]) -> L {
        x * (y - z) + y / z
    }
}

#[test]
fn map_equals_the_plain_loop() {
    let mut rng = Rng(1);
    for n in lengths() {
        for fill in FILLS {
            let [x, y, z] = [(); 3].map(|()| rng.offset(n, fill));
            compare!(rng, n, |out, acc| map::<L, 1, _>(One, [&x], out, acc),
                oracle: scalar::map(One, [&x], out, acc), format!("map 1 of {n}"));
            compare!(rng, n, |out, acc| map::<L, 2, _>(Two, [&x, &y], out, acc),
                oracle: scalar::map(Two, [&x, &y], out, acc), format!("map 2 of {n}"));
            compare!(rng, n, |out, acc| map::<L, 3, _>(Three, [&x, &y, &z], out, acc),
                oracle: scalar::map(Three, [&x, &y, &z], out, acc), format!("map 3 of {n}"));
        }
    }
}

#[test]
fn maps_in_place_equal_the_plain_loop() {
    let mut rng = Rng(16);
    for n in lengths() {
        for fill in FILLS {
            let [x, y] = [(); 2].map(|()| rng.offset(n, fill));
            let [mut expected_one, mut expected_two] = [(); 2].map(|()| vec![0.0; n]);
            scalar::map(One, [&x], &mut expected_one, Acc::Set);
            scalar::map(Two, [&x, &y], &mut expected_two, Acc::Set);
            let start = rng.below(4);
            let one = |kernel: fn(&mut [f32])| within(start, &x, kernel);
            let two = |kernel: fn(&mut [f32], &[f32])| within(start, &x, |x| kernel(x, &y));
            for (name, found) in [
                ("f32", one(|x| generic::map_in_place::<f32, _>(One, x))),
                ("f32x8", one(|x| generic::map_in_place::<f32x8, _>(One, x))),
                ("chosen", one(|x| kernel::map_in_place(One, x))),
            ] {
                same(&found, &expected_one, || format!("{name}: map of {n}"));
            }
            for (name, found) in [
                (
                    "f32",
                    two(|x, y| generic::zip_in_place::<f32, _>(Two, x, y)),
                ),
                (
                    "f32x8",
                    two(|x, y| generic::zip_in_place::<f32x8, _>(Two, x, y)),
                ),
                ("chosen", two(|x, y| kernel::zip_in_place(Two, x, y))),
            ] {
                same(&found, &expected_two, || format!("{name}: zip of {n}"));
            }
        }
    }
}

/// The bits of an element do not depend on its position or its neighbours.
#[test]
fn position_does_not_matter() {
    let mut rng = Rng(2);
    for x in rng.wild(60).into_iter().chain([-0.0, f32::NAN, 1e-40]) {
        let alone = bits(One.apply(&[x]));
        let alone_of_three = bits(Three.apply(&[x, 3.0, x]));
        for n in [1, 7, 8, 9, 31, 33] {
            for i in 0..n {
                let mut xs = rng.wild(n);
                xs[i] = x;
                let mut out = vec![0.0; n];
                generic::map::<f32x8, 1, _>(One, [&xs], &mut out, Acc::Set);
                assert_eq!(bits(out[i]), alone, "{x:e} at {i} of {n}");
                kernel::map(One, [&xs], &mut out, Acc::Set);
                assert_eq!(bits(out[i]), alone, "{x:e} at {i} of {n}");
                let threes = vec![3.0; n];
                generic::map::<f32x8, 3, _>(Three, [&xs, &threes, &xs], &mut out, Acc::Set);
                assert_eq!(bits(out[i]), alone_of_three, "{x:e} at {i} of {n}");
            }
        }
    }
}

// ---- reductions ------------------------------------------------------------

/// Sums in the documented order of `kernel::sum`.
fn documented_sum(x: &[f32]) -> f32 {
    if x.len() <= 16 {
        return x.iter().fold(-0.0, |sum, x| sum + x);
    }
    let (mut total, mut part) = (-0.0_f32, -0.0_f32);
    for block in x.chunks(512) {
        let sum = total + part;
        let lost = part - (sum - total);
        total = sum;
        part = if lost.is_finite() { lost } else { 0.0 } + documented_block(block);
    }
    total + part
}

fn documented_block(x: &[f32]) -> f32 {
    let partial = |i: usize| x.iter().skip(i).step_by(32).fold(-0.0, |sum, x| sum + x);
    let v = |l: usize| (partial(l) + partial(8 + l)) + (partial(16 + l) + partial(24 + l));
    let u = |l: usize| v(l) + v(l + 4);
    let t = |l: usize| u(l) + u(l + 2);
    t(0) + t(1)
}

#[test]
fn sums_are_added_in_the_documented_order() {
    let mut rng = Rng(3);
    let mut differ = 0;
    for n in lengths() {
        for fill in FILLS {
            let x = rng.offset(n, fill);
            let sum = documented_sum(&x);
            for (name, found) in [
                ("kernel", kernel::sum(&x)),
                (
                    "f32",
                    generic::reduce::<f32, Sum, 1, _>(kernel::Identity, [&x]),
                ),
                (
                    "f32x8",
                    generic::reduce::<f32x8, Sum, 1, _>(kernel::Identity, [&x]),
                ),
                (
                    "oracle",
                    scalar::reduce::<Sum, 1, _>(kernel::Identity, [&x]),
                ),
            ] {
                assert_eq!(bits(found), bits(sum), "{name} {n}: {found:e} not {sum:e}");
            }
            let in_order = x.iter().fold(-0.0, |sum, x| sum + x);
            differ += u32::from(bits(in_order) != bits(sum));
        }
    }
    // The data must distinguish orders.
    assert!(differ > 80, "{differ}");
}

fn reductions<R: Reduce>(seed: u64, name: &str) {
    let mut rng = Rng(seed);
    for n in lengths() {
        for fill in FILLS {
            let [x, y, z] = [(); 3].map(|()| rng.offset(n, fill));
            // The shortest operand determines the length.
            let y = &y[..n - n.min(rng.below(2))];
            let check = |found: [f32; 2], expected: f32, maps: usize| {
                for found in found {
                    assert_eq!(
                        bits(found),
                        bits(expected),
                        "{name} of {n}, {maps} operands: {found:e}, not {expected:e}"
                    );
                }
            };
            check(
                [
                    generic::reduce::<f32, R, 1, _>(One, [&x]),
                    generic::reduce::<f32x8, R, 1, _>(One, [&x]),
                ],
                scalar::reduce::<R, 1, _>(One, [&x]),
                1,
            );
            check(
                [
                    generic::reduce::<f32, R, 2, _>(Two, [&x, y]),
                    generic::reduce::<f32x8, R, 2, _>(Two, [&x, y]),
                ],
                scalar::reduce::<R, 2, _>(Two, [&x, y]),
                2,
            );
            check(
                [
                    generic::reduce::<f32, R, 3, _>(Three, [&x, y, &z]),
                    generic::reduce::<f32x8, R, 3, _>(Three, [&x, y, &z]),
                ],
                scalar::reduce::<R, 3, _>(Three, [&x, y, &z]),
                3,
            );
        }
    }
}

#[test]
fn reductions_equal_the_plain_loop() {
    reductions::<Sum>(4, "sum");
    reductions::<Max>(5, "max");
    reductions::<Min>(6, "min");
}

/// Reductions of `kernel`, which chooses the lane type, equal the plain loop.
#[test]
fn chosen_lanes_reduce_as_the_plain_loop() {
    let mut rng = Rng(21);
    for n in lengths() {
        for fill in FILLS {
            let [x, y, z] = [(); 3].map(|()| rng.offset(n, fill));
            for (name, found, expected) in [
                (
                    "sum 1",
                    kernel::sum_of(One, [&x]),
                    scalar::reduce::<Sum, 1, _>(One, [&x]),
                ),
                (
                    "sum 2",
                    kernel::sum_of(Two, [&x, &y]),
                    scalar::reduce::<Sum, 2, _>(Two, [&x, &y]),
                ),
                (
                    "sum 3",
                    kernel::sum_of(Three, [&x, &y, &z]),
                    scalar::reduce::<Sum, 3, _>(Three, [&x, &y, &z]),
                ),
                (
                    "max",
                    kernel::max(&x),
                    scalar::reduce::<Max, 1, _>(kernel::Identity, [&x]),
                ),
                (
                    "min",
                    kernel::min(&x),
                    scalar::reduce::<Min, 1, _>(kernel::Identity, [&x]),
                ),
            ] {
                let level = kernel::level();
                assert_eq!(bits(found), bits(expected), "{name} of {n}, {level:?}");
            }
        }
    }
}

/// A maximum or minimum is one of the elements, and NaN at any position.
#[test]
fn extremes_are_elements_and_nan_wins() {
    let mut rng = Rng(7);
    for n in lengths().filter(|n| *n > 0) {
        let x = rng.tame(n);
        let max = x.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let min = x.iter().fold(f32::INFINITY, |a, b| a.min(*b));
        assert!(kernel::max(&x) == max && kernel::min(&x) == min, "{n}");
        let mut x = x;
        x[rng.below(n)] = f32::NAN;
        assert!(kernel::max(&x).is_nan() && kernel::min(&x).is_nan(), "{n}");
    }
    assert_eq!(kernel::max(&[]), f32::NEG_INFINITY);
    assert_eq!(kernel::min(&[]), f32::INFINITY);
    assert_eq!(kernel::sum(&[]).to_bits(), (-0.0_f32).to_bits());
    assert_eq!(kernel::sum(&[-0.0; 40]).to_bits(), (-0.0_f32).to_bits());
}

#[test]
fn reductions_along_an_axis_equal_the_plain_loop() {
    type Kernel = fn(&[f32], [usize; 3], &mut [f32]);
    fn check<R: Reduce>(rng: &mut Rng, sizes: [usize; 3], x: &[f32], kernel: Kernel) {
        let n = sizes[0] * sizes[2];
        let held = vec![f32::NAN; n];
        let expected = within(0, &held, |out| scalar::reduce_axis::<R>(x, sizes, out));
        let start = rng.below(4);
        let one = within(start, &held, |out| {
            generic::reduce_axis::<f32, R>(x, sizes, out);
        });
        same(&one, &expected, || format!("f32 {sizes:?}"));
        let eight = within(start, &held, |out| {
            generic::reduce_axis::<f32x8, R>(x, sizes, out);
        });
        same(&eight, &expected, || format!("f32x8 {sizes:?}"));
        let chosen = within(start, &held, |out| kernel(x, sizes, out));
        same(&chosen, &expected, || {
            format!("{:?} {sizes:?}", kernel::level())
        });
    }
    let mut rng = Rng(8);
    for outer in [0, 1, 2, 3] {
        for len in [0, 1, 2, 5, 16, 17, 33, 67] {
            for inner in (0..=17).chain([31, 33]) {
                for fill in FILLS {
                    let x = rng.offset(outer * len * inner, fill);
                    let sizes = [outer, len, inner];
                    check::<Sum>(&mut rng, sizes, &x, kernel::sum_axis);
                    check::<Max>(&mut rng, sizes, &x, kernel::max_axis);
                    check::<Min>(&mut rng, sizes, &x, kernel::min_axis);
                }
            }
        }
    }
    for len in BLOCK_ENDS {
        for inner in [1, 2, 3, 7, 8, 9, 15, 35] {
            for fill in FILLS {
                let x = rng.offset(2 * len * inner, fill);
                check::<Sum>(&mut rng, [2, len, inner], &x, kernel::sum_axis);
                check::<Max>(&mut rng, [2, len, inner], &x, kernel::max_axis);
            }
        }
    }
}

// ---- broadcasting ----------------------------------------------------------

/// Draws two shapes that broadcast, of rank 0 to 4.
fn shapes(rng: &mut Rng) -> [Shape; 2] {
    let full: Vec<usize> = (0..4).map(|_| [0, 1, 2, 3, 4, 9][rng.below(6)]).collect();
    // Zero-size tensors are one case in a few, not most.
    let full: Vec<usize> = match rng.below(4) {
        0 => full,
        _ => full.iter().map(|size| (*size).max(1)).collect(),
    };
    [(); 2].map(|()| {
        let rank = rng.below(5);
        let sizes: Vec<usize> = full[4 - rank..]
            .iter()
            .map(|size| if rng.below(3) == 0 { 1 } else { *size })
            .collect();
        Shape::new(&sizes).unwrap()
    })
}

fn broadcasts(seed: u64, [a, b]: [Shape; 2], fill: fn(&mut Rng, usize) -> Vec<f32>) {
    let mut rng = Rng(seed);
    let (shape, stretch) = Broadcast::new(&a, &b).unwrap();
    assert_eq!(Some(shape), a.broadcast(&b));
    let (x, y) = (rng.offset(a.numel(), fill), rng.offset(b.numel(), fill));
    let n = shape.numel();

    let held = vec![f32::NAN; n];
    let expected = within(0, &held, |out| scalar::zip(Two, [&a, &b], &x, &y, out));
    let found = within(1, &held, |out| {
        generic::zip::<f32, _>(Two, &stretch, &x, &y, out);
    });
    same(&found, &expected, || format!("f32 zip {a} {b}"));
    let found = within(2, &held, |out| {
        generic::zip::<f32x8, _>(Two, &stretch, &x, &y, out);
    });
    same(&found, &expected, || format!("f32x8 zip {a} {b}"));
    let found = within(3, &held, |out| kernel::zip(Two, &stretch, &x, &y, out));
    same(&found, &expected, || {
        format!("{:?} zip {a} {b}", kernel::level())
    });

    let g = rng.offset(n, fill);
    compare!(rng, a.numel(),
        |out, acc| zip_grad::<L, _>(Three, &stretch, [&g, &x, &y], out, acc),
        oracle: scalar::zip_grad(Three, [&a, &b], [&g, &x, &y], out, acc),
        format!("zip_grad {a} {b}"));
    let swapped = stretch.swap();
    compare!(rng, b.numel(),
        |out, acc| zip_grad::<L, _>(Three, &swapped, [&g, &y, &x], out, acc),
        oracle: scalar::zip_grad(Three, [&b, &a], [&g, &y, &x], out, acc),
        format!("zip_grad {b} {a}"));
}

#[test]
fn broadcasting_equals_the_index_walk() {
    let mut rng = Rng(9);
    for round in 0..3000 {
        broadcasts(rng.next(), shapes(&mut rng), FILLS[round % 3]);
    }
    // Long sums, whose bits depend on the order.
    for terms in BLOCK_ENDS {
        for [a, b] in [
            [Shape::from([2]), Shape::from([terms, 2])],
            [Shape::from([35]), Shape::from([terms, 35])],
            [Shape::from([2, 1, 9]), Shape::from([2, terms, 9])],
            [Shape::from([1, 3, 1]), Shape::from([terms, 3, 2])],
            [Shape::from([1, 3, 1]), Shape::from([2, 3, terms])],
            [Shape::from([1, 2, 1, 17]), Shape::from([terms, 1, 3, 1])],
            [Shape::from([1, 2, 1, 4]), Shape::from([3, 1, terms, 4])],
        ] {
            let fill = FILLS[rng.below(3)];
            broadcasts(rng.next(), [a, b], fill);
        }
    }
    for (a, b) in [
        (Shape::from([]), Shape::from([67])),
        (Shape::from([]), Shape::from([40, 27])),
        (Shape::from([]), Shape::from([9, 11])),
        (Shape::from([3, 1]), Shape::from([3, 67])),
        (Shape::from([1, 3, 1]), Shape::from([40, 1, 50])),
        (Shape::from([33]), Shape::from([67, 33])),
        (Shape::from([2, 1, 1, 5]), Shape::from([1, 7, 3, 1])),
        (Shape::from([5, 1, 1]), Shape::from([5, 6, 7])),
        (Shape::from([1, 0]), Shape::from([3, 1])),
        (Shape::from([1, 3]), Shape::from([0, 3])),
        (Shape::from([3, 1]), Shape::from([3, 0])),
    ] {
        for fill in FILLS {
            broadcasts(rng.next(), [a, b], fill);
            broadcasts(rng.next(), [b, a], fill);
        }
    }
}

/// The reference's offsets equal loops over four dimensions.
#[test]
fn offsets_of_stretched_operands() {
    let mut rng = Rng(10);
    for _ in 0..300 {
        let [a, b] = shapes(&mut rng);
        let to = a.broadcast(&b).unwrap();
        let pad = |shape: &Shape| {
            let mut sizes = [1; 4];
            sizes[4 - shape.rank()..].copy_from_slice(shape.dims());
            sizes
        };
        let (own, full) = (pad(&a), pad(&to));
        let mut index = 0;
        for i in 0..full[0] {
            for j in 0..full[1] {
                for k in 0..full[2] {
                    for l in 0..full[3] {
                        let at = [i, j, k, l];
                        let offset = (0..4).fold(0, |offset, d| {
                            offset * own[d] + if own[d] == 1 { 0 } else { at[d] }
                        });
                        assert_eq!(scalar::stretched_offset(&a, &to, index), offset);
                        index += 1;
                    }
                }
            }
        }
    }
}

// ---- matrix products -------------------------------------------------------

/// Two sums in one pass have the bits of two passes, at every level.
#[cfg(feature = "std")]
#[test]
fn a_dot_product_and_a_sum_in_one_pass() {
    use baregrad::kernel::{Level, level, set_level};
    let best = level();
    let mut rng = Rng(23);
    for n in lengths().chain([1000]) {
        for fill in FILLS {
            let (x, g) = (rng.offset(n, fill), rng.offset(n + 1, fill));
            let expected = [
                scalar::reduce::<Sum, 2, _>(kernel::Product, [&x, &g]),
                scalar::reduce::<Sum, 1, _>(kernel::Identity, [&g[..n]]),
            ];
            for level in Level::available() {
                set_level(level);
                let (dot, sum) = kernel::dot_and_sum(&x, &g);
                same(&[dot, sum], &expected, || format!("{n}, {level:?}"));
            }
        }
    }
    set_level(best);
}

fn products(rng: &mut Rng, sizes: [usize; 3], fill: fn(&mut Rng, usize) -> Vec<f32>) {
    let [m, k, n] = sizes;
    let (a, b) = (rng.offset(m * k, fill), rng.offset(k * n, fill));
    let (g, bias) = (rng.offset(m * n, fill), rng.offset(n, fill));
    let what = || format!("{sizes:?}");

    let held = vec![f32::NAN; m * n];
    let start = rng.below(4);
    let mut product = within(0, &held, |out| scalar::matmul(&a, &b, out, sizes));
    let found = within(start, &held, |out| {
        generic::matmul::<f32>(&a, &b, out, sizes);
    });
    same(&found, &product, || format!("f32 matmul {sizes:?}"));
    let found = within(start, &held, |out| {
        generic::matmul::<f32x8>(&a, &b, out, sizes);
    });
    same(&found, &product, || format!("f32x8 matmul {sizes:?}"));
    let found = within(start, &held, |out| kernel::matmul(&a, &b, out, sizes));
    same(&found, &product, || {
        format!("{:?} matmul {sizes:?}", kernel::level())
    });

    // A linear layer is the product plus the bias.
    for (i, to) in product.iter_mut().enumerate() {
        *to += bias[i % n];
    }
    let oracle = within(0, &held, |out| scalar::linear(&a, &b, &bias, out, sizes));
    same(&oracle, &product, || format!("scalar linear {sizes:?}"));
    let found = within(start, &held, |out| {
        generic::linear::<f32>(&a, &b, &bias, out, sizes);
    });
    same(&found, &product, || format!("f32 linear {sizes:?}"));
    let found = within(start, &held, |out| {
        generic::linear::<f32x8>(&a, &b, &bias, out, sizes);
    });
    same(&found, &product, || format!("f32x8 linear {sizes:?}"));
    let found = within(start, &held, |out| {
        kernel::linear(&a, &b, &bias, out, sizes)
    });
    same(&found, &product, || {
        format!("{:?} linear {sizes:?}", kernel::level())
    });

    compare!(rng, k * n, |out, acc| matmul_tn::<L>(&a, &g, out, sizes, acc),
        oracle: scalar::matmul_tn(&a, &g, out, sizes, acc), format!("matmul_tn {}", what()));
    compare!(rng, m * k, |out, acc| matmul_nt::<L>(&g, &b, out, sizes, acc),
        oracle: scalar::matmul_nt(&g, &b, out, sizes, acc), format!("matmul_nt {}", what()));
    compare!(rng, n, |out, acc| sum_rows::<L>(&g, [m, n], out, acc),
        oracle: scalar::sum_rows(&g, [m, n], out, acc), format!("sum_rows {}", what()));
}

#[test]
fn small_matrix_products_equal_the_plain_loop() {
    let mut rng = Rng(11);
    for m in 0..=9 {
        for k in 0..=9 {
            for n in 0..=9 {
                products(&mut rng, [m, k, n], Rng::tame);
                products(&mut rng, [m, k, n], Rng::wild);
            }
        }
    }
}

#[test]
fn larger_matrix_products_equal_the_plain_loop() {
    let mut rng = Rng(12);
    for m in [1, 3, 16, 17, 31, 33, 64] {
        for k in [1, 3, 16, 17, 31, 33, 64] {
            for n in [1, 3, 16, 17, 31, 33, 64] {
                products(&mut rng, [m, k, n], Rng::tame);
            }
        }
    }
    // Sizes on both sides of the ends of blocks, in every dimension.
    for long in BLOCK_ENDS {
        for [a, b] in [[1, 1], [2, 3], [5, 8], [9, 16], [4, 35], [33, 9]] {
            for sizes in [[long, a, b], [a, long, b], [a, b, long], [long, b, a]] {
                let fill = FILLS[rng.below(3)];
                products(&mut rng, sizes, fill);
            }
        }
    }
    products(&mut rng, [1000, 1, 1], Rng::tame);
    products(&mut rng, [1, 1000, 1], Rng::tame);
    products(&mut rng, [1, 1, 1000], Rng::tame);
}

// ---- moving and spreading --------------------------------------------------

#[test]
fn spreading_equals_the_plain_loop() {
    let mut rng = Rng(13);
    for sizes in axes() {
        let [outer, len, inner] = sizes;
        for fill in FILLS {
            let x = rng.offset(outer * inner, fill);
            for n in [1.0, 3.0, len as f32] {
                compare!(rng, outer * len * inner,
                    |out, acc| spread::<L>(&x, n, sizes, out, acc),
                    oracle: scalar::spread(&x, n, sizes, out, acc),
                    format!("spread {sizes:?} / {n}"));
            }
        }
    }
}

/// Returns sizes `[outer, len, inner]`: all small ones, and a few with longer rows.
fn axes() -> impl Iterator<Item = [usize; 3]> {
    let small = (0..4).flat_map(|a| (0..6).flat_map(move |b| (0..4).map(move |c| [a, b, c])));
    small.chain([
        [1, 17, 1],
        [3, 33, 1],
        [1, 67, 1],
        [2, 100, 1],
        [2, 3, 9],
        [2, 17, 8],
        [1, 20, 33],
        [1, 64, 2],
        [2, 65, 3],
        [1, 129, 2],
        [1, 600, 1],
    ])
}

#[test]
fn gradients_of_extremes_equal_the_plain_loop() {
    let mut rng = Rng(14);
    for sizes in axes() {
        let [outer, len, inner] = sizes;
        for round in 0..6 {
            let mut x = rng.wild(outer * len * inner);
            if round % 2 == 0 {
                // Makes ties, some of them of 0 and -0.
                x.iter_mut()
                    .for_each(|x| *x = (*x).clamp(-0.0, 1.0).round());
            }
            let mut y = vec![0.0; outer * inner];
            kernel::max_axis(&x, sizes, &mut y);
            let g = rng.numbers(outer * inner);
            for (ties, acc) in [Ties::First, Ties::Even, Ties::Scaled]
                .into_iter()
                .flat_map(|ties| [(ties, Acc::Set), (ties, Acc::Add)])
            {
                let held = rng.numbers(x.len());
                let expected = within(0, &held, |out| {
                    scalar::send_to_extremes(&x, &y, &g, sizes, ties, out, acc);
                });
                let found = within(1, &held, |out| {
                    kernel::send_to_extremes(&x, &y, &g, sizes, ties, out, acc);
                });
                same(&found, &expected, || format!("{sizes:?} {ties:?} {acc:?}"));
                // The gradients add up to all of `g`, up to rounding.
                if len > 0 && ties != Ties::Scaled {
                    let (mut to, total) = (vec![0.0; x.len()], kernel::sum(&g));
                    kernel::send_to_extremes(&x, &y, &g, sizes, ties, &mut to, Acc::Set);
                    let scale: f32 = g.iter().map(|g| g.abs()).sum();
                    assert!((kernel::sum(&to) - total).abs() <= 1e-5 * scale);
                }
            }
        }
    }
}

#[test]
fn transposing_equals_the_plain_loop() {
    let mut rng = Rng(15);
    for round in 0..1500 {
        let sizes: [usize; 5] = std::array::from_fn(|_| match round % 5 {
            0 => rng.below(4),
            _ => 1 + rng.below(4),
        });
        let [a, low, b, high, c] = sizes;
        let x = rng.offset(sizes.iter().product(), Rng::wild);
        for acc in [Acc::Set, Acc::Add] {
            let held = rng.numbers(x.len());
            let expected = within(0, &held, |out| scalar::transpose(&x, sizes, out, acc));
            let held = match acc {
                Acc::Set => vec![f32::NAN; x.len()],
                Acc::Add => held,
            };
            let found = within(2, &held, |out| kernel::transpose(&x, sizes, out, acc));
            same(&found, &expected, || format!("transpose {sizes:?}"));
            // The inverse gives the original.
            if acc == Acc::Set {
                let back = within(0, &held, |out| {
                    kernel::transpose(&found, [a, high, b, low, c], out, acc);
                });
                same(&back, &x, || format!("back {sizes:?}"));
            }
        }
    }
}

#[test]
fn cutting_and_pasting_equal_the_plain_loop() {
    let mut rng = Rng(16);
    for [outer, len, inner] in axes() {
        let sizes = [outer, len, inner];
        for start in 0..=len {
            let lengths: Vec<usize> = match len {
                ..6 => (0..=len - start).collect(),
                _ => vec![0, (len - start) / 2, len - start],
            };
            for length in lengths {
                let range = [start, length];
                let what = || format!("{sizes:?} {range:?}");
                let part = rng.offset(outer * length * inner, Rng::wild);
                let whole = rng.offset(outer * len * inner, Rng::wild);
                compare!(rng, part.len(),
                    |out, acc| cut::<L>(&whole, sizes, range, out, acc),
                    oracle: scalar::cut(&whole, sizes, range, out, acc),
                    format!("cut {}", what()));
                // `paste` leaves elements outside of the range unchanged.
                for acc in [Acc::Set, Acc::Add] {
                    let held = rng.numbers(whole.len());
                    let expected = within(0, &held, |out| {
                        scalar::paste(&part, sizes, range, out, acc);
                    });
                    let one = within(1, &held, |out| {
                        generic::paste::<f32>(&part, sizes, range, out, acc);
                    });
                    same(&one, &expected, || format!("f32 paste {}", what()));
                    let eight = within(3, &held, |out| {
                        generic::paste::<f32x8>(&part, sizes, range, out, acc);
                    });
                    same(&eight, &expected, || format!("f32x8 paste {}", what()));
                    let chosen = within(2, &held, |out| {
                        kernel::paste(&part, sizes, range, out, acc);
                    });
                    same(&chosen, &expected, || format!("paste {}", what()));
                }
            }
        }
    }
}

// ---- softmax ---------------------------------------------------------------

fn softmaxes<const LOG: bool>(seed: u64) {
    let mut rng = Rng(seed);
    for sizes in axes() {
        let n = sizes.iter().product();
        for fill in FILLS {
            let (mut x, g) = (rng.offset(n, fill), rng.offset(n, fill));
            // Mostly small enough for `exp`.
            x.0.iter_mut().for_each(|x| *x *= 0.02);
            let held = vec![f32::NAN; n];
            let y = within(0, &held, |out| scalar::softmax::<LOG>(&x, sizes, out));
            let start = rng.below(4);
            let one = within(start, &held, |out| {
                generic::softmax::<f32, LOG>(&x, sizes, out);
            });
            same(&one, &y, || format!("f32 softmax {sizes:?}"));
            let eight = within(start, &held, |out| {
                generic::softmax::<f32x8, LOG>(&x, sizes, out);
            });
            same(&eight, &y, || format!("f32x8 softmax {sizes:?}"));
            let chosen = within(start, &held, |out| {
                kernel::softmax::<LOG>(&x, sizes, out);
            });
            same(&chosen, &y, || format!("softmax {sizes:?}"));
            compare!(rng, n,
                |out, acc| softmax_grad::<L, LOG>(&y, &g, sizes, out, acc),
                oracle: scalar::softmax_grad::<LOG>(&y, &g, sizes, out, acc),
                format!("softmax_grad {sizes:?}"));
        }
    }
}

#[test]
fn softmax_equals_the_plain_loop() {
    softmaxes::<false>(17);
    softmaxes::<true>(18);
}

// ---- slices that are too short ---------------------------------------------

/// Slices that are too short cause neither a panic nor a write elsewhere.
#[test]
fn short_slices_do_no_harm() {
    let mut rng = Rng(19);
    for _ in 0..2000 {
        let x = {
            let n = rng.below(40);
            rng.numbers(n)
        };
        let y = {
            let n = rng.below(40);
            rng.numbers(n)
        };
        let z = {
            let n = rng.below(40);
            rng.numbers(n)
        };
        let held = {
            let n = rng.below(40);
            rng.numbers(n)
        };
        let sizes: [usize; 3] = std::array::from_fn(|_| rng.below(12));
        let [a, b, c] = sizes;
        let [shape_a, shape_b] = shapes(&mut rng);
        let (_, stretch) = Broadcast::new(&shape_a, &shape_b).unwrap();
        for acc in [Acc::Set, Acc::Add] {
            within(1, &held, |out| kernel::map(Three, [&x, &y, &z], out, acc));
            within(1, &held, |out| {
                kernel::zip_grad(Three, &stretch, [&x, &y, &z], out, acc)
            });
            within(1, &held, |out| kernel::matmul_tn(&x, &y, out, sizes, acc));
            within(1, &held, |out| kernel::matmul_nt(&x, &y, out, sizes, acc));
            within(1, &held, |out| kernel::sum_rows(&x, [a, b], out, acc));
            within(1, &held, |out| kernel::spread(&x, 2.0, sizes, out, acc));
            within(1, &held, |out| {
                kernel::transpose(&x, [a, b, 2, c, 3], out, acc)
            });
            within(1, &held, |out| kernel::paste(&x, sizes, [1, 2], out, acc));
            within(1, &held, |out| kernel::cut(&x, sizes, [1, 2], out, acc));
            within(1, &held, |out| {
                kernel::softmax_grad::<true>(&x, &y, sizes, out, acc)
            });
            within(1, &held, |out| {
                kernel::softmax_grad::<false>(&x, &y, sizes, out, acc)
            });
        }
        within(1, &held, |out| kernel::zip_in_place(Two, out, &y));
        within(1, &held, |out| kernel::zip(Two, &stretch, &x, &y, out));
        within(1, &held, |out| kernel::matmul(&x, &y, out, sizes));
        within(1, &held, |out| kernel::linear(&x, &y, &z, out, sizes));
        within(1, &held, |out| kernel::sum_axis(&x, sizes, out));
        within(1, &held, |out| kernel::max_axis(&x, sizes, out));
        within(1, &held, |out| {
            kernel::send_to_extremes(&x, &y, &z, sizes, Ties::Even, out, Acc::Set)
        });
        within(1, &held, |out| kernel::softmax::<true>(&x, sizes, out));
        within(1, &held, |out| kernel::softmax::<false>(&x, sizes, out));
    }
}

// ---- one digest of everything ----------------------------------------------

/// Returns the digest (FNV-1a, 64 bits) of the bits of every result.
fn digest() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |xs: &[f32]| {
        for byte in xs.iter().flat_map(|x| bits(*x).to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    let mut rng = Rng(20);
    for n in [1, 15, 16, 17, 33, 100, 1000] {
        let [x, y, z] = [(); 3].map(|()| rng.tame(n));
        let wild = rng.wild(n);
        let mut out = vec![0.0; n];
        kernel::map(One, [&wild], &mut out, Acc::Set);
        add(&out);
        kernel::map(Three, [&x, &y, &wild], &mut out, Acc::Add);
        add(&out);
        add(&[
            kernel::sum(&x),
            kernel::dot(&x, &y),
            kernel::squared_distance(&x, &z),
            kernel::sum_of(Two, [&x, &y]),
            kernel::max(&x),
            kernel::min(&y),
            kernel::max(&wild),
        ]);
    }
    for sizes in axes() {
        let [outer, len, inner] = sizes;
        let (n, rows) = (outer * len * inner, outer * inner);
        let x = rng.numbers(n);
        let mut less = vec![0.0; rows];
        kernel::sum_axis(&x, sizes, &mut less);
        add(&less);
        kernel::max_axis(&x, sizes, &mut less);
        add(&less);
        let mut out = rng.numbers(n);
        kernel::spread(&less, 3.0, sizes, &mut out, Acc::Add);
        add(&out);
        let scaled: Vec<f32> = x.iter().map(|x| x * 0.02).collect();
        kernel::softmax::<false>(&scaled, sizes, &mut out);
        add(&out);
        let mut grad = vec![0.0; n];
        kernel::softmax_grad::<false>(&out, &x, sizes, &mut grad, Acc::Set);
        kernel::softmax::<true>(&scaled, sizes, &mut out);
        add(&out);
        kernel::softmax_grad::<true>(&out, &x, sizes, &mut grad, Acc::Add);
        add(&grad);
        // A matrix product of other numbers.
        let [a, b] = [rng.numbers(outer * len), rng.numbers(len * inner)];
        let mut product = vec![0.0; rows];
        kernel::matmul(&a, &b, &mut product, sizes);
        add(&product);
        let bias = rng.numbers(inner);
        kernel::linear(&a, &b, &bias, &mut product, sizes);
        add(&product);
        let (mut left, mut right) = (rng.numbers(a.len()), rng.numbers(b.len()));
        kernel::matmul_nt(&product, &b, &mut left, sizes, Acc::Add);
        kernel::matmul_tn(&a, &product, &mut right, sizes, Acc::Add);
        add(&left);
        add(&right);
        let mut column = rng.numbers(inner);
        kernel::sum_rows(&product, [outer, inner], &mut column, Acc::Add);
        add(&column);
    }
    for _ in 0..200 {
        let [a, b] = shapes(&mut rng);
        let (shape, stretch) = Broadcast::new(&a, &b).unwrap();
        let (x, y) = (rng.numbers(a.numel()), rng.numbers(b.numel()));
        let mut out = vec![0.0; shape.numel()];
        kernel::zip(Two, &stretch, &x, &y, &mut out);
        add(&out);
        let mut grad = rng.numbers(a.numel());
        kernel::zip_grad(Three, &stretch, [&out, &x, &y], &mut grad, Acc::Add);
        add(&grad);
        kernel::zip_grad(Three, &stretch, [&out, &x, &y], &mut grad, Acc::Set);
        add(&grad);
    }
    hash
}

/// The committed digest. If it changes, users' results change: say so in the changelog.
const DIGEST: u64 = 0x42e1_215c_0eab_4b8f;

#[test]
fn digest_is_the_committed_one() {
    // This uses one level. `bits.rs` compares the others, where no other test runs beside it.
    assert_eq!(digest(), DIGEST, "{:#018x}", digest());
}
