//! Work in groups, each with the digest of every bit it computes. It needs no
//! `std`, so that a board can do the same work: `super::thermometer` is what it
//! trains, and `mod workload` may stand wherever that does.

use core::fmt;

use baregrad::calibrate::{Calibration, Curve, Differences, Fit, Origin, Poll, Samples, prepare};
use baregrad::function::models::{Line, Logistic, Visitor, visit};
use baregrad::function::{
    Absolute, Bce, BceWithLogits, DataGrads, Function, Huber, Loss, Real, SmoothL1, Squared,
    TwoFloat,
};
use baregrad::kernel::{self, Acc, Bits as _, Broadcast, Lanes, Map, Mask as _, Ties, math};
use baregrad::least_squares::{
    CurveFit, FDistribution, LevenbergMarquardt, Problem, Recursive, RobustFit, RobustLoss,
    Solution, StraightLine, StudentT, York,
};
use baregrad::nn::{self, Conv1d, Dropout, LayerNorm, Linear, Mlp};
use baregrad::ops::{self, Args, Domain, Entry};
use baregrad::optim::schedule::*;
use baregrad::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Asgd, Lbfgs, NAdam, Optimizer, ParamGroups, RAdam,
    RmsProp, Rprop, Sgd, SparseAdam, Stateful, clip_grad_norm,
};
use baregrad::random::{Rng, seeded};
use baregrad::record::{Record, Writer};
use baregrad::{Arena, Error, Shape, Tape, Var};

use super::thermometer;

#[path = "nist.rs"]
mod nist;
#[rustfmt::skip] // tables
#[allow(dead_code)] // nor are PyTorch's losses of interest here
#[path = "../../examples/sine/mod.rs"]
mod sine;

/// Some work, and the digest of its results.
pub struct Group {
    /// The group's name.
    pub name: &'static str,
    /// Does the work.
    pub run: fn(&mut Digest) -> Result<(), Error>,
    /// Bytes of stack that suffice for it in firmware, on every target.
    #[allow(dead_code)] // the host has plenty
    pub stack: usize,
    /// The digest. If it changes, users' results change: say so in the changelog.
    pub digest: u64,
}

/// All groups. A board with little flash takes some.
#[allow(dead_code)]
pub static GROUPS: [Group; 23] = [
    KERNELS,
    MATH,
    OPERATIONS,
    MODELS,
    MODEL_NODES,
    LEAST_SQUARES,
    OPTIMIZERS,
    MORE_OPTIMIZERS,
    SEARCHES,
    SCHEDULES,
    LAYERS,
    THERMOMETER,
    CALIBRATIONS,
    SINE_IN_PARTS,
    SINE,
    PROGRAMS,
    RESUME,
    EVERY_OPTIMIZER,
    NIST_SMALL,
    NIST,
    STATISTICS,
    SHAPES_AND_LAYERS,
    ROBUST,
];

/// Every kernel, on slices of every length and matrices of many.
pub const KERNELS: Group = Group {
    name: "kernels",
    run: kernels,
    stack: 15_500,
    digest: 0x81cf_255f_5e66_2124,
};

/// Elementary functions.
pub const MATH: Group = Group {
    name: "math",
    run: functions,
    stack: 2000,
    digest: 0xbb26_c34c_c381_180a,
};

/// Every operation on elements, of sums and losses of the list, so that a new one needs no
/// line here.
pub const OPERATIONS: Group = Group {
    name: "operations",
    run: operations,
    stack: 10_000,
    digest: 0x77c2_597b_e29d_155a,
};

/// Every operation of the list that moves elements or is a layer, and a network of layers.
pub const SHAPES_AND_LAYERS: Group = Group {
    name: "shapes-and-layers",
    run: shapes_and_layers,
    stack: 10_000,
    digest: 0x2867_9953_e57a_e934,
};

/// Every model of the list, so that a new one needs no line here.
pub const MODELS: Group = Group {
    name: "models",
    run: models,
    stack: 2000,
    digest: 0x18e5_fbeb_1773_f4f7,
};

/// Every model as one operation: losses, predictions and gradients.
pub const MODEL_NODES: Group = Group {
    name: "model-nodes",
    run: model_nodes,
    stack: 6500,
    digest: 0x742d_e0e1_5190_0a9e,
};

/// Fits by Levenberg–Marquardt, in `f32` and in pairs.
pub const LEAST_SQUARES: Group = Group {
    name: "least-squares",
    run: least_squares,
    stack: 6000,
    digest: 0x9d33_51db_bfd0_0fb0,
};

/// NIST's sets of two and three parameters.
pub const NIST_SMALL: Group = Group {
    name: "nist-small",
    run: |digest| {
        nist::small(digest);
        Ok(())
    },
    stack: 6000,
    digest: 0x7448_7d9f_130e_11c5,
};

/// NIST's other sets, of up to eight parameters and 250 rows.
pub const NIST: Group = Group {
    name: "nist",
    run: |digest| {
        nist::large(digest);
        Ok(())
    },
    stack: 16000,
    digest: 0xd0ae_e77e_387e_7e55,
};

/// Steps of SGD and Adam.
pub const OPTIMIZERS: Group = Group {
    name: "optimizers",
    run: optimizers,
    stack: 5000,
    digest: 0x0da1_b224_4b97_d1ca,
};

/// Steps and state of the optimizers besides SGD and Adam.
pub const MORE_OPTIMIZERS: Group = Group {
    name: "more-optimizers",
    run: more_optimizers,
    stack: 2500,
    digest: 0xfd42_0f1d_0cf0_3a78,
};

/// L-BFGS on a recorded loss.
pub const SEARCHES: Group = Group {
    name: "searches",
    run: searches,
    stack: 4500,
    digest: 0x9738_64d5_299d_1fb2,
};

/// Rates of every schedule of the list, so that a new one changes only the digest here.
pub const SCHEDULES: Group = Group {
    name: "schedules",
    run: schedules,
    stack: 1400,
    digest: 0x49cb_dc14_1bce_9c59,
};

/// Layers with their activations, lines among them.
pub const LAYERS: Group = Group {
    name: "layers",
    run: layers,
    stack: 4500,
    digest: 0xf4a8_7b06_0a0a_0066,
};

/// A line through eleven samples, 5000 epochs.
pub const THERMOMETER: Group = Group {
    name: "thermometer",
    run: fit_thermometer,
    stack: 4500,
    digest: 0x4859_82d3_36d7_0265,
};

/// Readings in decimal text, curves fitted to them, records and predictions.
pub const CALIBRATIONS: Group = Group {
    name: "calibrations",
    run: calibrations,
    stack: 6000,
    digest: 0x2259_95e4_1af1_691f,
};

/// A network of two hidden layers, 50 epochs, a few samples at a time.
pub const SINE_IN_PARTS: Group = Group {
    name: "sine-parts",
    run: learn_sine_in_parts,
    stack: 12_000,
    digest: 0x073a_afa6_bade_a3f2,
};

/// A network of two hidden layers, 100 epochs.
pub const SINE: Group = Group {
    name: "sine",
    run: learn_sine,
    stack: 36_000,
    digest: 0xfd45_8a86_2a21_a1e5,
};

/// Random programs.
pub const PROGRAMS: Group = Group {
    name: "programs",
    run: programs,
    stack: 125_000,
    digest: 0x19dc_fe10_0d27_a982,
};

/// Training that was stopped after every epoch, saved and restored; and a run that the
/// desktop has begun.
pub const RESUME: Group = Group {
    name: "resume",
    run: resume,
    stack: 7000,
    digest: 0x4446_6470_5fcd_ca44,
};

/// Every optimizer of the list, so that a new one changes only the digest here.
pub const EVERY_OPTIMIZER: Group = Group {
    name: "every-optimizer",
    run: every_optimizer,
    stack: 3000,
    digest: 0xe945_c533_3ab2_a0ca,
};

impl Group {
    /// Does the work.
    pub fn digest(&self) -> Result<Digest, Error> {
        let mut digest = Digest(0xcbf2_9ce4_8422_2325);
        (self.run)(&mut digest)?;
        Ok(digest)
    }
}

/// FNV-1a, 64 bits, over the bits of numbers. There is one NaN: its sign and
/// payload are not promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub u64);

impl Digest {
    fn add(&mut self, xs: &[f32]) {
        for x in xs {
            let bits = if x.is_nan() { f32::NAN } else { *x }.to_bits();
            for byte in bits.to_le_bytes() {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

// ---- numbers ----------------------------------------------------------------

fn below(rng: &mut impl Rng, n: usize) -> usize {
    rng.next_u32() as usize % n.max(1)
}

/// Magnitudes between 2^-10 and 2^10 with full mantissas, and now and then the
/// negative of the number before: sums cancel, and every order of adding gives
/// other bits.
fn fill(rng: &mut impl Rng, to: &mut [f32]) {
    let mut last = 1.0;
    for x in to {
        let bits = rng.next_u32();
        let exponent = 117 + rng.next_u32() % 20;
        *x = match exponent {
            120 => -last,
            _ => f32::from_bits(bits & 0x807f_ffff | exponent << 23),
        };
        last = *x;
    }
}

/// The same, with every kind of special number strewn in.
fn fill_wild(rng: &mut impl Rng, to: &mut [f32]) {
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
    fill(rng, to);
    for x in to {
        let special = SPECIAL.get(below(rng, 3 * SPECIAL.len()));
        *x = special.copied().unwrap_or(*x);
    }
}

/// The first `n`.
fn first(x: &[f32], n: usize) -> &[f32] {
    x.get(..n).unwrap_or_default()
}

fn first_mut(x: &mut [f32], n: usize) -> &mut [f32] {
    x.get_mut(..n).unwrap_or_default()
}

// ---- kernels ----------------------------------------------------------------

// Vectors also for the shortest slices.

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

/// The operations of lanes that are rare elsewhere.
struct Rare;
impl Map<2> for Rare {
    const SHORT: usize = 0;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        let (a, b) = (x.to_bits(), y.to_bits());
        let mixed = a.xor(b.shr::<9>()).add(b.shl::<5>());
        let mixed = L::from_bits(mixed.sub(L::Bits::splat(12_345)).or(a.and(b)));
        let z = L::select(x.le(y), mixed, -mixed);
        let z = L::select(x.ge(y).and(y.gt(x.abs()).not()), z, z.abs());
        L::select(x.le(-y).or(x.eq(-y)).or(x.is_nan()), y - x, z)
    }
}

/// The longest operand.
const LONG: usize = 515;

fn kernels(digest: &mut Digest) -> Result<(), Error> {
    let rng = &mut seeded(1);
    let [mut a, mut b, mut c, mut out] = [[0.0; LONG]; 4];
    // Every remainder of 8, and of 32 what is near its ends.
    for n in (0..=41).chain([63, 64, 65, 100, 257, LONG]) {
        for wild in [false, true] {
            for x in [&mut a, &mut b, &mut c] {
                let to = first_mut(x, n);
                match wild {
                    true => fill_wild(rng, to),
                    false => fill(rng, to),
                }
            }
            fill(rng, &mut out);
            let (x, y, z) = (first(&a, n), first(&b, n), first(&c, n));
            slices(digest, [x, y, z], first_mut(&mut out, n));
        }
    }
    for sizes in [
        [1, 1, 1],
        [2, 3, 4],
        [3, 5, 1],
        [1, 17, 1],
        [3, 33, 1],
        [1, 67, 1],
        [2, 3, 9],
        [2, 17, 8],
        [1, 20, 23],
        [9, 1, 31],
        [16, 16, 2],
        [5, 4, 17],
        [7, 9, 8],
    ] {
        fill(rng, &mut a);
        fill(rng, &mut b);
        fill(rng, &mut c);
        axes(digest, sizes, [&a, &b, &c], &mut out);
    }
    for [m, k, n] in [
        [1, 1, 1],
        [3, 1, 5],
        [1, 67, 1],
        [67, 1, 1],
        [5, 7, 1],
        [1, 9, 33],
        [4, 4, 4],
        [8, 8, 8],
        [9, 5, 17],
        [16, 16, 16],
        [17, 13, 19],
        [22, 22, 22],
        [3, 41, 12],
    ] {
        fill(rng, &mut a);
        fill(rng, &mut b);
        fill(rng, &mut c);
        matrices(digest, [m, k, n], [&a, &b, &c], &mut out);
    }
    for [p, q] in [
        [Shape::from([]), Shape::from([67])],
        [Shape::from([9]), Shape::from([9])],
        [Shape::from([3, 1]), Shape::from([3, 67])],
        [Shape::from([33]), Shape::from([7, 33])],
        [Shape::from([5, 1]), Shape::from([1, 41])],
        [Shape::from([1, 3, 1]), Shape::from([4, 1, 40])],
        [Shape::from([2, 1, 1, 5]), Shape::from([1, 7, 3, 1])],
        [Shape::from([5, 1, 1]), Shape::from([5, 6, 7])],
    ] {
        for [p, q] in [[p, q], [q, p]] {
            fill(rng, &mut a);
            fill(rng, &mut b);
            stretched(digest, [p, q], [&a, &b], [&mut c, &mut out]);
        }
    }
    Ok(())
}

// Each part has a frame of its own: a board needs stack for one at a time.
#[inline(never)]
fn slices(digest: &mut Digest, [x, y, z]: [&[f32]; 3], out: &mut [f32]) {
    for acc in [Acc::Add, Acc::Set] {
        kernel::map(One, [x], out, acc);
        digest.add(out);
        kernel::map(Two, [x, y], out, acc);
        digest.add(out);
        kernel::map(Rare, [x, y], out, acc);
        digest.add(out);
        kernel::map(Three, [x, y, z], out, acc);
        digest.add(out);
    }
    digest.add(&[
        kernel::sum(x),
        kernel::dot(x, y),
        kernel::squared_distance(x, z),
        kernel::sum_of(One, [x]),
        kernel::sum_of(Two, [x, y]),
        kernel::sum_of(Three, [x, y, z]),
        kernel::max(x),
        kernel::min(y),
    ]);
    let (dot, sum) = kernel::dot_and_sum(x, z);
    digest.add(&[dot, sum]);
}

#[inline(never)]
fn axes(digest: &mut Digest, sizes: [usize; 3], [a, b, c]: [&[f32]; 3], out: &mut [f32]) {
    let [outer, len, inner] = sizes;
    let (n, rows) = (outer * len * inner, outer * inner);
    let (x, g) = (first(a, n), first(b, n));
    // Where `soft` will be: a board has 16 KiB.
    let mut soft = [0.0; LONG];
    let less = first_mut(&mut soft, rows);
    for axis in [kernel::sum_axis, kernel::min_axis, kernel::max_axis] {
        axis(x, sizes, less);
        digest.add(less);
    }
    let out = first_mut(out, n);
    for acc in [Acc::Add, Acc::Set] {
        for ties in [Ties::First, Ties::Even, Ties::Scaled] {
            kernel::send_to_extremes(x, less, c, sizes, ties, out, acc);
            digest.add(out);
        }
    }
    let soft = first_mut(&mut soft, n);
    // Within reach of `exp`.
    let mut small = [0.0; LONG];
    let small = first_mut(&mut small, n);
    kernel::map(kernel::Scale(0.02), [x], small, Acc::Set);
    for acc in [Acc::Add, Acc::Set] {
        kernel::spread(first(c, rows), 3.0, sizes, out, acc);
        digest.add(out);
        kernel::softmax::<false>(small, sizes, soft);
        digest.add(soft);
        kernel::softmax_grad::<false>(soft, g, sizes, out, acc);
        digest.add(out);
        kernel::softmax::<true>(small, sizes, soft);
        digest.add(soft);
        kernel::softmax_grad::<true>(soft, g, sizes, out, acc);
        digest.add(out);
        kernel::transpose(x, [1, outer, 1, len, inner], out, acc);
        digest.add(out);
        let range = [len / 3, len - len / 3];
        let part = first_mut(soft, outer * range[1] * inner);
        kernel::cut(x, sizes, range, part, acc);
        digest.add(part);
        kernel::paste(part, sizes, range, out, acc);
        digest.add(out);
    }
}

#[inline(never)]
fn matrices(digest: &mut Digest, sizes: [usize; 3], [a, b, c]: [&[f32]; 3], out: &mut [f32]) {
    let [m, k, n] = sizes;
    let (x, w, g) = (first(a, m * k), first(b, k * n), first(c, m * n));
    let y = first_mut(out, m * n);
    kernel::matmul(x, w, y, sizes);
    digest.add(y);
    kernel::linear(x, w, first(c, n), y, sizes);
    digest.add(y);
    for acc in [Acc::Set, Acc::Add] {
        let to = first_mut(out, k * n);
        kernel::matmul_tn(x, g, to, sizes, acc);
        digest.add(to);
        let to = first_mut(out, m * k);
        kernel::matmul_nt(g, w, to, sizes, acc);
        digest.add(to);
        let to = first_mut(out, n);
        kernel::sum_rows(g, [m, n], to, acc);
        digest.add(to);
    }
}

#[inline(never)]
fn stretched(
    digest: &mut Digest,
    [p, q]: [Shape; 2],
    [a, b]: [&[f32]; 2],
    [out, grad]: [&mut [f32]; 2],
) {
    let Some((shape, stretch)) = Broadcast::new(&p, &q) else {
        return;
    };
    let (x, y) = (first(a, p.numel()), first(b, q.numel()));
    let out = first_mut(out, shape.numel());
    kernel::zip(Two, &stretch, x, y, out);
    digest.add(out);
    for acc in [Acc::Set, Acc::Add] {
        let grad = first_mut(grad, p.numel());
        kernel::zip_grad(Three, &stretch, [out, x, y], grad, acc);
        digest.add(grad);
    }
}

// ---- elementary functions ---------------------------------------------------

macro_rules! functions {
    ($($Name:ident $function:ident),*) => {
        $(
            struct $Name;
            impl Map<1> for $Name {
                const SHORT: usize = 0;
                #[inline(always)]
                fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
                    math::$function(x)
                }
            }
        )*

        fn every_function(digest: &mut Digest, x: &[f32], out: &mut [f32]) {
            $(
                kernel::map($Name, [x], out, Acc::Set);
                digest.add(out);
            )*
        }
    };
}

functions!(
    Exp exp, ExpM1 exp_m1, Ln ln, Tanh tanh, Sigmoid sigmoid, Silu silu, Softplus softplus,
    Sin sin, Cos cos, Erf erf, Gelu gelu, GeluTanh gelu_tanh, Atan atan
);

struct Pow;
impl Map<2> for Pow {
    const SHORT: usize = 0;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        math::pow(x, y)
    }
}

struct Powi(i32);
impl Map<1> for Powi {
    const SHORT: usize = 0;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        math::powi(x, self.0)
    }
}

fn functions(digest: &mut Digest) -> Result<(), Error> {
    const N: usize = 101;
    let rng = &mut seeded(2);
    let [mut x, mut y, mut out] = [[0.0; N]; 3];
    for round in 0_u16..60 {
        match round % 3 {
            // All bit patterns, a stride apart that is prime.
            0 => {
                for (x, i) in x.iter_mut().zip(u32::from(round) * 1000..) {
                    *x = f32::from_bits(i.wrapping_mul(2_147_483_659_u64 as u32));
                }
            }
            1 => fill(rng, &mut x),
            _ => fill_wild(rng, &mut x),
        }
        every_function(digest, &x, &mut out);
        fill_wild(rng, &mut y);
        kernel::map(Pow, [&x, &y], &mut out, Acc::Set);
        digest.add(&out);
        // Whole exponents of either sign, and bases of either.
        y.iter_mut().for_each(|y| *y = (*y as i32 % 30) as f32);
        kernel::map(Pow, [&x, &y], &mut out, Acc::Set);
        digest.add(&out);
        kernel::map(Powi(i32::from(round) - 30), [&x], &mut out, Acc::Set);
        digest.add(&out);
    }
    Ok(())
}

// ---- operations -------------------------------------------------------------

/// Each on its own shapes and on larger ones, on usual numbers and on special ones,
/// with its own arguments and with others: results, and gradients that are set and
/// then added to.
fn operations(digest: &mut Digest) -> Result<(), Error> {
    each_of(ops::ELEMENTARY, digest)
}

fn shapes_and_layers(digest: &mut Digest) -> Result<(), Error> {
    each_of(ops::STRUCTURAL, digest)?;
    network_of_layers(digest)
}

/// Every layer of `nn`, in one network that is trained for a few steps.
#[inline(never)]
fn network_of_layers(digest: &mut Digest) -> Result<(), Error> {
    const PARAMS: usize = Conv1d::param_count(1, 2, 3)
        + 2 * 6
        + Mlp::<nn::Tanh, 2>::param_count(12, [3, 3])
        + Linear::param_count(3, 2);
    let rng = &mut seeded(14);
    let mut windows = [0.0; 4 * 8];
    fill(rng, &mut windows);
    for x in &mut windows {
        *x *= 0.1;
    }
    let mut arena = Arena::<1024, 24>::new();
    let tape = arena.tape();
    let conv = Conv1d::new(&tape, 1, 2, 3, rng);
    let norm = LayerNorm::new(&tape, [6]);
    let drop = Dropout::new(&tape, 0.3, 5);
    let mlp = Mlp::<nn::Tanh, 2>::new(&tape, 12, [3, 3], rng);
    let last = Linear::new(&tape, 3, 2, rng);
    let filtered = norm.forward(conv.forward(tape.input(&windows, [4, 1, 8])));
    let units = drop.forward(filtered.relu()).reshape([4, 12]);
    let logits = last.forward(mlp.forward(units));
    let loss = logits.cross_entropy(tape.input(&[0.0, 1.0, 1.0, 0.0], [4]));
    let mut adam = Adam::<PARAMS>::new(0.02);
    for step in 0..5 {
        drop.train(step)?;
        tape.replay()?;
        tape.zero_grad();
        tape.backward(loss)?;
        tape.step(&mut adam)?;
        digest.add(&[loss.item()?]);
    }
    drop.eval()?;
    tape.replay()?;
    digest.add(&logits.value()?);
    digest.add(&tape.params()?);
    Ok(())
}

fn each_of(list: &[&[Entry]], digest: &mut Digest) -> Result<(), Error> {
    for entry in list.iter().copied().flatten() {
        for factor in [1, 3] {
            for wild in [false, true] {
                let args = Args {
                    n: if wild { -2 } else { 20 },
                    ..entry.args
                };
                for args in [entry.args, args] {
                    operation(digest, entry, &args, factor, wild)?;
                }
            }
        }
    }
    Ok(())
}

#[inline(never)]
fn operation(
    digest: &mut Digest,
    entry: &Entry,
    args: &Args,
    factor: usize,
    wild: bool,
) -> Result<(), Error> {
    // Nine rows of three times four rows of what is concatenated.
    const MOST: usize = 256;
    let rng = &mut seeded(12);
    let mut arena = Arena::<1024, 8>::new();
    let tape = arena.tape();
    let mut operand = |shape: &[usize]| {
        let mut numbers = [0.0; MOST];
        match wild {
            true => fill_wild(rng, &mut numbers),
            false => fill(rng, &mut numbers),
        }
        // Within reach of `exp`, and where the operation is defined.
        for x in numbers.iter_mut().filter(|_| !wild) {
            *x *= 0.02;
            match entry.domain {
                Domain::Positive => *x = x.abs(),
                Domain::Probability => *x = x.abs() / (1.0 + x.abs()),
                Domain::Signed => {}
            }
        }
        let mut grown = [1; 4];
        for (to, d) in grown.iter_mut().zip(shape) {
            *to = if *d == 1 { 1 } else { d * factor };
        }
        let shape = Shape::new(grown.get(..shape.len()).unwrap_or_default());
        tape.param_from_fn(shape.unwrap_or_default(), |i| {
            numbers.get(i % MOST).copied().unwrap_or_default()
        })
    };
    let first = operand(entry.shapes.first().copied().unwrap_or_default());
    let mut operands = [first; 4];
    for (to, shape) in operands.iter_mut().zip(entry.shapes).skip(1) {
        *to = operand(shape);
    }
    let operands = operands.get(..entry.shapes.len()).unwrap_or_default();
    let Some(result) = entry.build.call(operands, args) else {
        return Ok(());
    };
    digest.add(&result.value()?);
    if !result.requires_grad() {
        return Ok(()); // a comparison
    }
    let mut g = [0.0; MOST];
    fill(&mut seeded(13), &mut g);
    for _ in 0..2 {
        tape.backward_with(result, g.get(..result.shape().numel()).unwrap_or_default())?;
        for operand in operands.iter().filter(|operand| operand.has_grad()) {
            digest.add(&operand.grad()?);
        }
    }
    Ok(())
}

// ---- models -----------------------------------------------------------------

/// Values and derivatives of ordinary samples and of special ones.
fn models(digest: &mut Digest) -> Result<(), Error> {
    struct Digested<'a>(&'a mut Digest);
    impl Visitor for Digested<'_> {
        #[inline(never)]
        fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
            &mut self,
            _: F,
            x: [[f32; 2]; X],
            p: [[f32; 2]; P],
        ) {
            let rng = &mut seeded(14);
            for sample in 0..32 {
                let (x, p) = (draw_sample(rng, x, sample), draw_sample(rng, p, sample));
                let (value, gradient) = F::value_and_gradient(x, p);
                self.0.add(&[value]);
                self.0.add(&gradient);
            }
        }
    }
    visit(&mut Digested(digest));
    Ok(())
}

/// A number within each of the ranges, of every second sample of any size.
fn draw_sample<const N: usize>(rng: &mut impl Rng, ranges: [[f32; 2]; N], sample: u32) -> [f32; N] {
    let mut drawn = [0.0; N];
    fill_wild(rng, &mut drawn);
    if sample.is_multiple_of(2) {
        for (to, [least, most]) in drawn.iter_mut().zip(ranges) {
            let unit = (rng.next_u32() >> 8) as f32 / 16_777_216.0;
            *to = least + unit * (most - least);
        }
    }
    drawn
}

/// Every model as one operation of a tape.
fn model_nodes(digest: &mut Digest) -> Result<(), Error> {
    struct Digested<'a>(&'a mut Digest);
    impl Visitor for Digested<'_> {
        #[inline(never)]
        fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
            &mut self,
            _: F,
            x: [[f32; 2]; X],
            p: [[f32; 2]; P],
        ) {
            let rng = &mut seeded(15);
            for rows in [11, ROWS] {
                let (mut xs, mut ys) = ([[0.0; X]; ROWS], [0.0; ROWS]);
                for row in xs.iter_mut().take(rows) {
                    *row = draw_sample(rng, x, 0);
                }
                fill(rng, &mut ys);
                let xs = xs.as_flattened().get(..rows * X).unwrap_or_default();
                let ys = ys.get(..rows).unwrap_or_default();
                if one_node::<F, X, P>(self.0, xs, ys, &draw_sample(rng, p, 0)).is_err() {
                    self.0.add(&[f32::NAN]);
                }
            }
        }
    }
    visit(&mut Digested(digest));
    one_node_of(digest, Absolute)?;
    one_node_of(digest, SmoothL1 { beta: 0.5 })?;
    one_node_of(digest, Huber { delta: 0.5 })?;
    one_node_of(digest, Bce)?;
    one_node_of(digest, BceWithLogits)
}

/// A loss of what is a probability, of ordinary samples and of special ones.
#[inline(never)]
fn one_node_of<Q: Loss>(digest: &mut Digest, loss: Q) -> Result<(), Error> {
    let rng = &mut seeded(18);
    for (rows, wild) in [(11, false), (ROWS, false), (ROWS, true)] {
        let [mut xs, mut ys] = [[0.0; ROWS]; 2];
        if wild {
            fill_wild(rng, &mut xs);
        } else {
            fill(rng, &mut xs);
        }
        fill(rng, &mut ys);
        let xs = xs.get(..rows).unwrap_or_default();
        let ys = ys.get(..rows).unwrap_or_default();
        let mut arena = Arena::<400, 8>::new();
        let tape = arena.tape();
        let p = tape.param(&[0.875, 1.5, 0.25], [3]);
        let (x, y) = (tape.param(xs, [rows]), tape.param(ys, [rows]));
        let loss = Logistic::weighted_mean_loss(DataGrads(loss), x, p, y, tape.input(ys, [rows]));
        tape.backward(loss)?;
        digest.add(&[loss.item()?]);
        digest.add(&tape.grads()?);
    }
    Ok(())
}

/// More than are summed in order.
const ROWS: usize = 35;

/// A model as one operation: its loss, its predictions and all gradients.
fn one_node<F: Function<X, P> + 'static, const X: usize, const P: usize>(
    digest: &mut Digest,
    xs: &[f32],
    ys: &[f32],
    p: &[f32],
) -> Result<(), Error> {
    let mut arena = Arena::<400, 8>::new();
    let tape = arena.tape();
    let p = tape.param(p, [P]);
    let (x, y) = (tape.param(xs, [ys.len(), X]), tape.param(ys, [ys.len()]));
    let loss = F::mean_loss(DataGrads(Squared), x, p, y);
    tape.backward(loss)?;
    digest.add(&[loss.item()?]);
    digest.add(&tape.grads()?);
    tape.zero_grad();
    let weights = tape.input(ys, [ys.len()]);
    let weighted = F::weighted_mean_loss(DataGrads(Squared), x, p, y, weights);
    tape.backward(weighted)?;
    digest.add(&[weighted.item()?]);
    digest.add(&tape.grads()?);
    let predictions = F::predict(x, p);
    digest.add(&predictions.value()?);
    tape.backward_with(predictions, ys)?;
    digest.add(&tape.grads()?);
    Ok(())
}

// ---- least squares ----------------------------------------------------------

fn least_squares(digest: &mut Digest) -> Result<(), Error> {
    fn add<const P: usize>(digest: &mut Digest, solution: Solution<P>) {
        digest.add(&solution.params());
        digest.add(&solution.standard_errors().unwrap_or([f32::NAN; P]));
        digest.add(&[solution.sum_of_squares(), solution.passes() as f32]);
    }
    const SAMPLES: usize = 24;
    let rng = &mut seeded(16);
    let (mut x, mut y) = ([0.0; SAMPLES], [0.0; SAMPLES]);
    fill(rng, &mut x);
    for (y, x) in y.iter_mut().zip(&mut x) {
        *x *= 4.0;
        *y = Logistic::value([*x], [3.0, 1.5, 0.25]) + 0.02 * (rng.next_u32() >> 25) as f32 / 128.0;
    }
    let problem = CurveFit::new(Logistic, &x, &y);
    add(
        digest,
        LevenbergMarquardt::new([1.0, 1.0, 0.0]).run(&problem),
    );
    add(
        digest,
        LevenbergMarquardt::new([1.0, 1.0, 0.0]).run(&problem.in_pairs()),
    );

    let line = CurveFit::new(Line, &x, &y);
    add(digest, LevenbergMarquardt::new([0.0, 0.0]).run(&line));
    // Squares of these are no numbers: the solver finds scales.
    let (x, y) = (x.map(|x| x * 1e18), y.map(|y| y * 1e-19));
    let line = CurveFit::new(Line, &x, &y);
    add(digest, LevenbergMarquardt::new([0.0, 0.0]).run(&line));

    // Elementary functions of pairs.
    for _ in 0..64 {
        let mut drawn = [0.0; 2];
        fill_wild(rng, &mut drawn);
        let [x, low] = drawn;
        let x = TwoFloat::sum(x, low);
        let [exp, ln, sin] = [Real::exp(x), Real::ln(x), Real::sin(x)];
        let [atan, tanh, pow] = [Real::atan(x), Real::tanh(x), Real::pow(x, exp)];
        for y in [exp, ln, sin, atan, tanh, pow, x / exp, Real::sqrt(x)] {
            digest.add(&[y.high(), y.low()]);
        }
    }
    Ok(())
}

// ---- bounds and robust losses ---------------------------------------------------

/// Fits within bounds, with parameters fixed, and by robust losses: of a line and of a curve.
pub const ROBUST: Group = Group {
    name: "robust",
    run: robust,
    stack: 4000,
    digest: 0x985e_6320_8b72_5dc2,
};

fn robust(digest: &mut Digest) -> Result<(), Error> {
    const SAMPLES: usize = 21;
    let mut rng = seeded(23);
    let mut noise = || 0.02 * (rng.next_u32() >> 25) as f32 / 128.0;
    let mut x = [0.0; SAMPLES];
    let (mut line, mut curve) = ([0.0; SAMPLES], [0.0; SAMPLES]);
    for (k, ((line, curve), x)) in line.iter_mut().zip(&mut curve).zip(&mut x).enumerate() {
        *x = 0.25 * k as f32 - 2.0;
        *line = 2.0 * *x - 1.0 + noise();
        *curve = Logistic::value([*x], [3.0, 1.5, 0.25]) + noise();
    }
    // Outliers.
    for y in [&mut line, &mut curve] {
        for (row, by) in [(3, 5.0), (11, -2.0), (20, 0.4)] {
            if let Some(y) = y.get_mut(row) {
                *y += by;
            }
        }
    }
    bounded(
        digest,
        &CurveFit::new(Line, &x, &line),
        [1.0, 0.0],
        [1.9, 0.5],
    );
    bounded(
        digest,
        &CurveFit::new(Logistic, &x, &curve),
        [1.0, 1.0, 0.0],
        [2.9, 1.4, 9.0],
    );
    Ok(())
}

/// Free, within bounds that keep parameters from where they want to be, and fixed; and by every
/// robust loss.
fn bounded<R: Problem<P>, const P: usize>(
    digest: &mut Digest,
    problem: &R,
    start: [f32; P],
    upper: [f32; P],
) {
    let mut add = |solution: Solution<P>| {
        digest.add(&solution.params());
        digest.add(&solution.standard_errors().unwrap_or([f32::NAN; P]));
        digest.add(&[solution.passes() as f32]);
    };
    let lower = [f32::NEG_INFINITY; P];
    let fixed = core::array::from_fn(|k| k == 0);
    add(LevenbergMarquardt::new(start)
        .bounds(lower, upper)
        .run(problem));
    add(LevenbergMarquardt::new(start).fixed(fixed).run(problem));
    for loss in [
        RobustLoss::Huber,
        RobustLoss::SoftL1,
        RobustLoss::Cauchy,
        RobustLoss::Tukey,
    ] {
        add(RobustFit::new(start, loss).run(problem).solution());
        add(RobustFit::new(start, loss)
            .f_scale(0.05)
            .run(problem)
            .solution());
    }
}

// ---- statistics -------------------------------------------------------------

/// Distributions, what a fit says of itself, lines with errors in both coordinates, and
/// recursive least squares.
pub const STATISTICS: Group = Group {
    name: "statistics",
    run: statistics,
    stack: 3000,
    digest: 0x8c0f_9ebe_3341_f47e,
};

fn statistics(digest: &mut Digest) -> Result<(), Error> {
    const NONE: f32 = f32::NAN;
    for freedom in [1.0, 2.5, 9.0, 1000.0, f32::INFINITY] {
        for p in [1e-6, 0.025, 0.4, 0.95, 0.999] {
            let t = StudentT::new(freedom);
            let quantile = t.and_then(|t| t.quantile(p)).unwrap_or(NONE);
            let f = FDistribution::new(3.0, freedom);
            let ratio = f.and_then(|f| f.quantile(p)).unwrap_or(NONE);
            let tails = f.map_or(NONE, |f| f.cdf(1.5 * ratio));
            digest.add(&[quantile, ratio, tails, t.map_or(NONE, |t| t.survival(p))]);
        }
    }

    const SAMPLES: usize = 20;
    let rng = &mut seeded(17);
    let (mut x, mut y) = ([0.0; SAMPLES], [0.0; SAMPLES]);
    fill(rng, &mut x);
    for (y, x) in y.iter_mut().zip(&mut x) {
        *x *= 4.0;
        *y = Logistic::value([*x], [3.0, 1.5, 0.25]) + 0.02 * (rng.next_u32() >> 25) as f32 / 128.0;
    }
    let solution = LevenbergMarquardt::new([1.0, 1.0, 0.0]).run(&CurveFit::new(Logistic, &x, &y));
    digest.add(
        solution
            .correlation()
            .unwrap_or([[NONE; 3]; 3])
            .as_flattened(),
    );
    let intervals = solution.confidence_intervals(0.95);
    digest.add(intervals.unwrap_or([[NONE; 2]; 3]).as_flattened());
    let estimates = [
        solution.mean_at::<Logistic, 1>([0.5]),
        solution.reading_at::<Logistic, 1>([0.5], 1.0),
        solution.input_for::<Logistic>(2.0, 0.01, [-2.0, 2.0]),
    ];
    for estimate in estimates {
        digest.add(&estimate.map_or([NONE; 2], |at| [at.value(), at.standard_error()]));
    }
    let unexplained = solution
        .goodness(&y, &[])
        .map_or(NONE, |good| good.unexplained());
    digest.add(&[unexplained]);

    let york = York {
        x: &x,
        y: &y,
        sigma_x: &[0.1],
        sigma_y: &[0.3],
        correlation: &[0.2],
    };
    for line in [york.fit(), StraightLine::deming(&x, &y, 2.0)] {
        let [slope, intercept] = line.map_or([NONE; 2], |line| line.standard_errors());
        digest.add(&[slope, intercept]);
        digest.add(&line.map_or([NONE; 2], |line| [line.slope(), line.chi_squared()]));
    }

    let start = || {
        Recursive::new([1.0, 1.0, 0.0], [1.0; 3], 0.02)?
            .forgetting(0.98)?
            .gate(9.0)
    };
    if let Ok(mut recursive) = start() {
        for (x, y) in x.iter().zip(&y) {
            let _ = recursive.drift(&[1e-6, 1e-5, 0.0]);
            let innovation = recursive.observe::<Logistic, 1>([*x], *y).unwrap_or(NONE);
            digest.add(&[innovation]);
        }
        let mut state = [0.0; Recursive::<3>::STATE];
        let _ = recursive.save(&mut state);
        digest.add(&state);
        digest.add(recursive.covariance().as_flattened());
    }
    Ok(())
}

// ---- optimizers -------------------------------------------------------------

fn optimizers(digest: &mut Digest) -> Result<(), Error> {
    const N: usize = 67;
    fn run(digest: &mut Digest, mut optimizer: impl Optimizer) {
        let rng = &mut seeded(3);
        let [mut params, mut grads] = [[0.0; N]; 2];
        fill(rng, &mut params);
        for _ in 0..5 {
            fill(rng, &mut grads);
            let stepped = optimizer.step(&mut params, &grads).is_ok();
            digest.add(&[if stepped { 1.0 } else { 0.0 }]);
            digest.add(&params);
        }
    }
    let sgd = Sgd::new(0.1);
    run(digest, sgd.clone());
    run(digest, sgd.clone().weight_decay(0.01).maximize());
    run(digest, sgd.clone().momentum::<N>(0.9).dampening(0.1));
    run(digest, sgd.momentum::<N>(0.9).nesterov());
    run(digest, Adam::<N>::new(0.1));
    run(digest, Adam::<N>::new(0.1).weight_decay(0.01).maximize());
    run(digest, Adam::<N>::new(0.1).betas(0.8, 0.99).amsgrad());
    Ok(())
}

/// The others: fewer parameters, or they would not fit the stack of a small board.
fn more_optimizers(digest: &mut Digest) -> Result<(), Error> {
    const N: usize = 19;
    fn run(digest: &mut Digest, mut optimizer: impl Optimizer + Stateful) {
        let rng = &mut seeded(4);
        let [mut params, mut grads] = [[0.0; N]; 2];
        fill(rng, &mut params);
        for _ in 0..7 {
            fill(rng, &mut grads);
            let stepped = optimizer.step(&mut params, &grads).is_ok();
            digest.add(&[if stepped { 1.0 } else { 0.0 }]);
            digest.add(&params);
        }
        let shown = optimizer.visit_state(N, &mut |_, numbers| digest.add(numbers));
        digest.add(&[if shown.is_ok() { 1.0 } else { 0.0 }]);
    }
    run(digest, AdamW::<N>::new(0.1).amsgrad());
    run(digest, NAdam::<N>::new(0.1).weight_decay(0.01));
    run(
        digest,
        RAdam::<N>::new(0.1)
            .decoupled_weight_decay()
            .weight_decay(0.01),
    );
    run(digest, Adamax::<N>::new(0.1).maximize());
    run(digest, RmsProp::<N>::new(0.1).momentum(0.9).centered());
    run(digest, Adagrad::<N>::new(0.1).lr_decay(0.01));
    run(digest, Adadelta::<N>::new(0.1));
    run(digest, Asgd::<N>::new(0.1).t0(3.0));
    run(digest, Rprop::<N>::new(0.1));
    run(digest, SparseAdam::<N>::new(0.1));
    run(
        digest,
        ParamGroups::new(7, Adagrad::<7>::new(0.1), Sgd::new(0.1)),
    );
    let mut grads = [0.0; 67];
    fill(&mut seeded(5), &mut grads);
    for most in [1.0, 1e-38] {
        digest.add(&[clip_grad_norm(&mut grads, most)]);
        digest.add(&grads);
    }
    Ok(())
}

/// Each with its defaults, on matrices, which some take nothing but.
fn every_optimizer(digest: &mut Digest) -> Result<(), Error> {
    const N: usize = 30;
    let shapes = [[3, 4], [2, 5], [1, 5], [3, 1]].map(Shape::from);
    #[inline(never)]
    fn run(digest: &mut Digest, mut optimizer: impl Optimizer + Stateful) {
        let rng = &mut seeded(6);
        let [mut params, mut grads] = [[0.0; N]; 2];
        fill(rng, &mut params);
        for step in 0..7 {
            fill(rng, &mut grads);
            if step == 4 {
                grads.fill(0.0);
            }
            let stepped = optimizer.step(&mut params, &grads).is_ok();
            digest.add(&[if stepped { 1.0 } else { 0.0 }]);
            digest.add(&params);
        }
        let shown = optimizer.visit_state(N, &mut |_, numbers| digest.add(numbers));
        digest.add(&[if shown.is_ok() { 1.0 } else { 0.0 }]);
    }
    macro_rules! told {
        ($optimizer:expr, shapes $($option:ident)*) => {
            $optimizer.shapes(&shapes)
        };
        ($optimizer:expr, $($option:ident)*) => {
            $optimizer
        };
    }
    macro_rules! run_all {
        ($($name:ident = $torch:literal [$($option:ident $values:tt)*];)*) => {
            $(run(digest, told!(baregrad::optim::$name::<N>::new(0.1), $($option)*));)*
        };
    }
    baregrad::each_optimizer!(run_all);
    Ok(())
}

/// L-BFGS with both kinds of steps, on a recorded loss.
fn searches(digest: &mut Digest) -> Result<(), Error> {
    for strong_wolfe in [false, true] {
        let mut arena = Arena::<64, 24>::new();
        let tape = arena.tape();
        let [x, y] = [tape.param(&[-1.5], []), tape.param(&[2.0], [])];
        let loss = (1.0 - x).square() + 100.0 * (y - x * x).square();
        let mut search = Lbfgs::<2, 4>::new(if strong_wolfe { 1.0 } else { 0.2 });
        if strong_wolfe {
            search = search.strong_wolfe();
        }
        for _ in 0..3 {
            let found = tape.minimize(loss, &mut search)?;
            digest.add(&[found.evaluations as f32, loss.item()?]);
            digest.add(&tape.params()?);
        }
    }
    Ok(())
}

/// Rates of every schedule, and momentum.
fn schedules(digest: &mut Digest) -> Result<(), Error> {
    fn run(digest: &mut Digest, schedule: impl Schedule) {
        let mut sgd = Sgd::new(0.1).momentum::<1>(0.9);
        let mut scheduler = Scheduler::new(schedule, &mut sgd);
        for epoch in 0..25_u16 {
            digest.add(&[
                sgd.learning_rate(),
                sgd.momentum_factor().unwrap_or_default(),
            ]);
            scheduler.step_with(f32::from(epoch % 7), &mut sgd);
        }
        scheduler.visit_state(&mut |_, numbers| digest.add(numbers));
    }
    macro_rules! run_all {
        ($(
            $name:ident = $torch:literal ($($arg:ident: $sample:expr $(=> $default:expr)?),*)
                [$($option:ident($($value:expr),*))*];
        )*) => {
            $(run(digest, $name::new($($sample),*)$(.$option($($value),*))*);)*
        };
    }
    baregrad::each_schedule!(run_all);
    // Modes and combinations that the list does not have.
    run(digest, OneCycleLr::new(0.5, 20));
    run(
        digest,
        CyclicLr::new(0.01, 0.1).step_size_up(3).triangular2(),
    );
    run(digest, ReduceLrOnPlateau::new().patience(2).factor(0.3));
    run(
        digest,
        LinearLr::new(0.1, 0.8, 10).chain(ExponentialLr::new(0.9)),
    );
    run(
        digest,
        LinearLr::default().then(5, CosineAnnealingLr::new(20)),
    );
    Ok(())
}

// ---- layers -----------------------------------------------------------------

/// Results and gradients, those of the inputs as well.
fn layers(digest: &mut Digest) -> Result<(), Error> {
    type Layer = for<'t> fn(Var<'t>, Var<'t>, Var<'t>) -> Var<'t>;
    let layers: [Layer; 5] = [
        |x, w, b| x.linear(w, b),
        |x, w, b| x.linear_identity(w, b),
        |x, w, b| x.linear_tanh(w, b),
        |x, w, b| x.linear_sigmoid(w, b),
        |x, w, b| x.linear_relu(w, b),
    ];
    let mut arena = Arena::<288, 4>::new();
    let rng = &mut seeded(11);
    for [m, k, n] in [
        [11, 1, 1],
        [40, 1, 1],
        [1, 4, 1],
        [7, 3, 1],
        [5, 1, 3],
        [9, 2, 10],
    ] {
        for layer in layers {
            let tape = arena.tape();
            let mut numbers = [0.0; 160];
            fill(rng, &mut numbers);
            numbers.iter_mut().for_each(|x| *x /= 1024.0);
            let from = |start: usize| {
                let numbers = &numbers;
                move |i| numbers.get(start + i).copied().unwrap_or_default()
            };
            let x = tape.param_from_fn([m, k], from(0));
            let w = tape.param_from_fn([k, n], from(40));
            let b = tape.param_from_fn([n], from(60));
            let y = layer(x, w, b);
            digest.add(&y.value()?);
            tape.backward_with(y, first(numbers.get(70..).unwrap_or_default(), m * n))?;
            digest.add(&tape.grads()?);
        }
    }
    Ok(())
}

// ---- training ---------------------------------------------------------------

fn fit_thermometer(digest: &mut Digest) -> Result<(), Error> {
    use thermometer::{EPOCHS, Spelling, fit};
    for spelling in [Spelling::Operators, Spelling::Fused] {
        let fit = fit(spelling, EPOCHS)?;
        digest.add(&[fit.w, fit.b, fit.loss]);
    }
    Ok(())
}

/// Parameters of two hidden layers of 16 units.
const WEIGHTS: usize = 321;

/// The loss of the network on its first samples, and what it is fed with.
fn network<'t>(tape: &'t Tape<'t>, samples: usize) -> (Var<'t>, [(Var<'t>, &'t [f32]); 2]) {
    let [w1, b1, w2, b2, w3, b3] = [
        tape.param(&sine::W1, [1, 16]),
        tape.param(&sine::B1, [16]),
        tape.param(&sine::W2, [16, 16]),
        tape.param(&sine::B2, [16]),
        tape.param(&sine::W3, [16, 1]),
        tape.param(&sine::B3, [1]),
    ];
    let x = tape.input(first(&sine::X, samples), [samples, 1]);
    let y = tape.input(first(&sine::Y, samples), [samples, 1]);
    let hidden = x.linear(w1, b1).tanh();
    let hidden = hidden.linear(w2, b2).tanh();
    let loss = hidden.linear(w3, b3).mse(y);
    (loss, [(x, &sine::X), (y, &sine::Y)])
}

fn learn_sine(digest: &mut Digest) -> Result<(), Error> {
    let mut arena = Arena::<6916, 14>::new();
    let tape = arena.tape();
    let (loss, _) = network(&tape, 64);
    let mut adam = Adam::<WEIGHTS>::new(1e-2);
    for _ in 0..100 {
        train(digest, &tape, loss, &mut adam)?;
    }
    digest.add(&tape.params()?);
    Ok(())
}

/// Five samples at a time, so that four are left over.
fn learn_sine_in_parts(digest: &mut Digest) -> Result<(), Error> {
    let mut arena = Arena::<1200, 14>::new();
    let tape = arena.tape();
    let (loss, data) = network(&tape, 5);
    let mut adam = Adam::<WEIGHTS>::new(1e-2);
    for _ in 0..50 {
        tape.zero_grad();
        digest.add(&[tape.backward_over(loss, &data)?]);
        digest.add(&tape.grads()?);
        tape.step(&mut adam)?;
    }
    digest.add(&tape.params()?);
    Ok(())
}

/// One step; loss and gradients count.
fn train<'t>(
    digest: &mut Digest,
    tape: &'t Tape<'t>,
    loss: Var<'t>,
    optimizer: &mut impl Optimizer,
) -> Result<(), Error> {
    tape.zero_grad();
    tape.backward(loss)?;
    digest.add(&[loss.item()?]);
    digest.add(&tape.grads()?);
    tape.step(optimizer)?;
    tape.replay()
}

// ---- random programs --------------------------------------------------------

/// The widest matrix: two vectors and something.
const WIDE: usize = 19;

/// Programs on square matrices of every size, trained for a few steps.
fn programs(digest: &mut Digest) -> Result<(), Error> {
    let mut arena = Arena::<24_576, 80>::new();
    for seed in 0..60 {
        let rng = &mut seeded(seed);
        let tape = arena.tape();
        let loss = program(&tape, 1 + seed as usize % WIDE, rng);
        for _ in 0..3 {
            train(digest, &tape, loss, &mut Sgd::new(0.01))?;
        }
        digest.add(&tape.params()?);
        digest.add(&[loss.item()?]);
    }
    Ok(())
}

/// Numbers from -1 to 1.
fn draw(rng: &mut impl Rng) -> [f32; WIDE * WIDE] {
    let mut numbers = [0.0; WIDE * WIDE];
    fill(rng, &mut numbers);
    numbers.map(|x| x / 1024.0)
}

/// Steps on `n x n` matrices, each from results before it, some of which stay
/// where they are, so that gradients come from several sides.
fn program<'t>(tape: &'t Tape<'t>, n: usize, rng: &mut impl Rng) -> Var<'t> {
    let square = |numbers: [f32; WIDE * WIDE]| tape.constant(first(&numbers, n * n), [n, n]);
    let w = tape.param(first(&draw(rng), n * n), [n, n]);
    let b = tape.param(first(&draw(rng), n), [n]);
    let c = tape.param(first(&draw(rng), n), [n, 1]);
    let data = square(draw(rng));
    // All the parameters are used, whatever is drawn.
    let mut vars = [w, data, w * b, data - c, data.linear(w, b)];
    for _ in 0..4 + below(rng, 10) {
        let [x, y] = [(); 2].map(|()| vars.get(below(rng, vars.len())).copied().unwrap_or(w));
        let axis = below(rng, 2) as isize;
        let next = match below(rng, 32) {
            0 => x + y,
            1 => x - y,
            2 => x * y,
            3 => x / (1.5 + y.square()),
            4 => x.matmul(y) / n as f32,
            5 => x.linear(y, b).tanh(),
            6 => x.tanh(),
            7 => x.sigmoid(),
            8 => x.relu(),
            9 => x.leaky_relu(0.1),
            10 => x.gelu(),
            11 => x.gelu_tanh(),
            12 => x.softplus(),
            13 => x.elu(0.7),
            14 => x.silu(),
            15 => x.clamp(-0.5, 0.5),
            16 => x.maximum(y),
            17 => x.minimum(c),
            18 => (x.square() + 0.1).sqrt(),
            19 => x.powi(3),
            20 => (x.abs() + 0.5).powf(1.7),
            21 => x.tanh().exp(),
            22 => (x.square() + 0.5).ln(),
            23 => x.sin() * y.cos(),
            24 => x.sum_axis(axis, true) * y / n as f32,
            25 => y - x.mean_axis(axis, true),
            26 => y * x.max_axis(axis, true),
            27 => x.softmax(axis),
            28 => x.log_softmax(axis) / n as f32,
            29 => x.transpose(0, 1),
            30 => tape.concat(&[x, y], axis).narrow(axis, n / 2, n),
            _ => x.reshape([-1]).reshape([n as isize, n as isize]) + y.mean(),
        };
        if let Some(var) = vars.get_mut(below(rng, 5)) {
            // The result is averaged with the one it replaces, whose parameters so still count.
            *var = 0.5 * (*var + next);
        }
    }
    let sum = vars.into_iter().fold(data, |sum, var| sum + var);
    (sum * square(draw(rng))).sum().square() * 0.01 + sum.mse(data)
}

/// Readings of the thermometer, and what they should have been.
const READINGS: [&str; 11] = [
    "35.7", "55.9", "58.2", "81.9", "56.3", "48.9", "33.9", "21.8", "48.4", "60.4", "68.4",
];
const REFERENCES: [&str; 11] = [
    "0.5", "14.0", "15.0", "28.0", "11.0", "8.0", "3.0", "-4.0", "6.0", "13.0", "21.0",
];

/// The thermometer's readings as they are, and far from zero.
fn calibrations(digest: &mut Digest) -> Result<(), Error> {
    for (origin, step) in [("0", 1.0), ("101325.07", 0.01), ("1764410400", 0.5)] {
        let origin: TwoFloat = origin.parse().unwrap_or_default();
        let (mut x_memory, mut y_memory) = ([0.0; 11], [0.0; 11]);
        let mut x = Differences::new(&mut x_memory);
        let mut y = Differences::new(&mut y_memory);
        let pair = |text: &str| text.parse::<TwoFloat>().unwrap_or_default();
        for (reading, reference) in READINGS.into_iter().zip(REFERENCES) {
            let _ = x.push(origin.plus(step * pair(reading).high()));
            let _ = y.push(pair(reference));
        }
        for curve in ["linear", "poly:3", "mlp:4"] {
            calibrate(digest, curve, &x, &y)?;
        }
    }
    for text in [
        "101325.07",
        "-8388607.001",
        "1e-45",
        "3.4028235e38",
        "16777217",
    ] {
        let pair: TwoFloat = text.parse().unwrap_or_default();
        digest.add(&[pair.high(), pair.low()]);
    }
    Ok(())
}

fn calibrate(
    digest: &mut Digest,
    curve: &str,
    x: &Differences<'_>,
    y: &Differences<'_>,
) -> Result<(), Error> {
    let curve = Curve::parse(curve).unwrap_or(Curve::Linear);
    let (mut scaled_x, mut scaled_y) = ([0.0; 11], [0.0; 11]);
    let scales = prepare(&curve, x.iter(), y.iter(), &mut scaled_x, &mut scaled_y);
    let Ok([input, output]) = scales else {
        return Ok(());
    };
    let mut start = [0.0; 13];
    let (start, _) = start.split_at_mut(curve.param_count());
    curve.start(start);
    let mut params = [0.0; 13];
    let (params, _) = params.split_at_mut(start.len());
    let samples = Samples {
        x: &scaled_x,
        y: &scaled_y,
    };
    let mut floats = [0.0; 256];
    let mut nodes = [const { baregrad::op::Node::EMPTY }; 12];
    {
        let tape = Tape::new(&mut floats, &mut nodes);
        let record = |x| curve.record(x, start);
        let mut fit = Fit::new(&tape, samples, 8, params, record)?.epochs(60);
        // For as many parameters as the largest curve has.
        let mut adam = Adam::<13>::new(0.05);
        while fit.poll(&mut adam)? == Poll::Running {}
        digest.add(&[fit.losses().first, fit.losses().training]);
    }
    let calibration = Calibration {
        curve,
        input,
        output,
        range: [TwoFloat::ZERO; 2],
        params,
        origin: Origin::default(),
    };
    let mut bytes = [0; 252];
    let mut room = [0.0; 13];
    let record = calibration.write(&mut bytes);
    let read = record.and_then(|record| {
        for byte in record {
            digest.add(&[f32::from(*byte)]);
        }
        Calibration::read(record, &mut room)
    });
    let Ok(read) = read else { return Ok(()) };
    for reading in x.iter() {
        let tape = Tape::new(&mut floats, &mut nodes);
        if let Ok(prediction) = read.predict(&tape, reading) {
            digest.add(&[prediction.value.high(), prediction.value.low()]);
        }
    }
    Ok(())
}

// ---- resuming ---------------------------------------------------------------

/// The record of the first run of [`resume`] in the middle, as a desktop has written it:
/// `cargo test --test bits -- --write-record`.
const HALF_WAY: &[u8] = include_bytes!("half_way.bin");
const MIDDLE: usize = 4;
const WHOLE: usize = 8;

/// Room for the records here.
pub const RECORD: usize = 1500;

static SEEN: [f32; 5] = [3.57, 5.59, 5.82, 8.19, 5.63];
static MEANT: [f32; 5] = [0.5, 14.0, 15.0, 28.0, 11.0];

/// A line through a few samples, its optimizer and its schedule.
struct Run<'t, O, S> {
    tape: &'t Tape<'t>,
    loss: Var<'t>,
    params: [(&'static str, Var<'t>); 2],
    optimizer: O,
    scheduler: Scheduler<S>,
}

impl<'t, O: Optimizer + Stateful, S: Schedule> Run<'t, O, S> {
    fn new(tape: &'t Tape<'t>, start: f32, mut optimizer: O, schedule: S) -> Self {
        let (w, b) = (tape.param(&[start], []), tape.param(&[0.0], []));
        let (x, y) = (tape.input(&SEEN, [5]), tape.input(&MEANT, [5]));
        let scheduler = Scheduler::new(schedule, &mut optimizer);
        Run {
            tape,
            loss: (w * x + b).mse(y),
            params: [("w", w), ("b", b)],
            optimizer,
            scheduler,
        }
    }

    fn epochs(&mut self, epochs: usize) -> Result<(), Error> {
        for _ in 0..epochs {
            self.tape.zero_grad();
            self.tape.replay()?;
            self.tape.backward(self.loss)?;
            self.tape.step(&mut self.optimizer)?;
            self.scheduler
                .step_with(self.loss.item()?, &mut self.optimizer);
        }
        Ok(())
    }

    /// The record of the run; empty if it is refused.
    fn save<'b>(&mut self, bytes: &'b mut [u8]) -> Result<&'b [u8], Error> {
        let mut writer = Writer::new(bytes);
        writer.params("model", &self.params)?;
        let optimizer = writer.state_dict("optimizer", &mut self.optimizer, 2);
        let scheduler = writer.state_dict("scheduler", &mut self.scheduler, 0);
        let all = optimizer.and(scheduler).is_ok();
        Ok(writer.finish().ok().filter(|_| all).unwrap_or_default())
    }

    fn load(&mut self, bytes: &[u8]) -> bool {
        Record::read(bytes).is_ok_and(|record| {
            record.load_params("model", &self.params).is_ok()
                && record
                    .load_state_dict("optimizer", &mut self.optimizer, 2)
                    .is_ok()
                && record
                    .load_state_dict("scheduler", &mut self.scheduler, 0)
                    .is_ok()
        })
    }
}

/// The first run, whose record the desktop has written.
fn first_run<'t>(
    tape: &'t Tape<'t>,
    start: f32,
) -> Run<'t, impl Optimizer + Stateful, impl Schedule> {
    let schedule = OneCycleLr::new(0.5, WHOLE as u32 + 1).chain(ExponentialLr::new(0.9));
    Run::new(tape, start, Adam::<2>::new(0.1).amsgrad(), schedule)
}

/// The record of the first run in the middle.
#[allow(dead_code)] // of boards, which have it
pub fn half_way(bytes: &mut [u8]) -> Result<&[u8], Error> {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let mut run = first_run(&tape, 1.0);
    run.epochs(MIDDLE)?;
    run.save(bytes)
}

/// Ends the run that the desktop has begun, and writes the record that it wrote: so a desktop
/// can end a run that was begun here. Then stops runs after every epoch.
fn resume(digest: &mut Digest) -> Result<(), Error> {
    let mut bytes = [0; RECORD];
    let same = half_way(&mut bytes)? == HALF_WAY;
    {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let mut run = first_run(&tape, -3.0);
        let loaded = run.load(HALF_WAY);
        run.epochs(WHOLE - MIDDLE)?;
        digest.add(&[f32::from(u8::from(same)), f32::from(u8::from(loaded))]);
        digest.add(&tape.params()?);
    }
    stop_and_go(
        digest,
        || Sgd::new(0.01).momentum::<2>(0.8),
        || CyclicLr::new(0.001, 0.01).step_size_up(3),
    )?;
    stop_and_go(
        digest,
        || AdamW::<2>::new(0.5),
        || ReduceLrOnPlateau::new().patience(1),
    )?;
    stop_and_go(
        digest,
        || RmsProp::<2>::new(0.1).centered(),
        || LinearLr::default().then(3, CosineAnnealingLr::new(5)),
    )
}

/// Goes on in a new run after every epoch, by way of a record.
fn stop_and_go<O: Optimizer + Stateful, S: Schedule>(
    digest: &mut Digest,
    optimizer: fn() -> O,
    schedule: fn() -> S,
) -> Result<(), Error> {
    let (mut bytes, mut len) = ([0; RECORD], 0);
    for epoch in 0..WHOLE {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let mut run = Run::new(&tape, 1.0 + epoch as f32, optimizer(), schedule());
        let loaded = epoch == 0 || run.load(bytes.get(..len).unwrap_or_default());
        run.epochs(1)?;
        digest.add(&[f32::from(u8::from(loaded))]);
        digest.add(&tape.params()?);
        len = run.save(&mut bytes)?.len();
    }
    for byte in bytes.get(..len).unwrap_or_default() {
        digest.add(&[f32::from(*byte)]);
    }
    Ok(())
}
