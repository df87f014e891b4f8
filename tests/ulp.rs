//! Tests the errors of the elementary functions, in units in the last
//! place (ULP), and that one lane and eight lanes give the same bits.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "common/bits.rs"]
mod bits;

use std::{fmt::Write as _, ops::Range, thread};

use baregrad::kernel::{Lanes as _, f32x8, math};
use bits::bits;

/// A function of one argument at both widths, and the function that it approximates.
struct Case {
    name: &'static str,
    one: fn(f32) -> f32,
    eight: fn(f32x8) -> f32x8,
    truth: fn(f64) -> f64,
    /// Returns the unit of an error, given x and the true result.
    unit: fn(f64, f64) -> f64,
    from: f32,
    to: f32,
    /// The largest error found over every `f32` between `from` and `to`,
    /// rounded up.
    limit: f64,
}

const INF: f32 = f32::INFINITY;

macro_rules! case {
    ($name:literal, $f:ident, $truth:expr, $unit:expr, $from:expr, $to:expr, $limit:expr) => {
        Case {
            name: $name,
            one: math::$f::<f32>,
            eight: math::$f::<f32x8>,
            truth: $truth,
            unit: $unit,
            from: $from,
            to: $to,
            limit: $limit,
        }
    };
}

/// Returns one ULP of an `f32` result near `y`.
fn ulp(_: f64, y: f64) -> f64 {
    let exponent = ((y.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    f64::powi(2.0, exponent.clamp(-126, 127) - 23)
}

/// Returns 2^-24 |x|, the unit for functions of the form x (1 + f) with f near -1.
fn part_of_x(x: f64, _: f64) -> f64 {
    (x.abs() * f64::powi(2.0, -24)).max(f64::powi(2.0, -149))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn mish(x: f64) -> f64 {
    let w = x.exp() * (x.exp() + 2.0);
    if x < 20.0 { x * (w / (w + 2.0)) } else { x }
}

fn gelu(x: f64) -> f64 {
    0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

fn gelu_tanh(x: f64) -> f64 {
    // (1 + tanh(z)) / 2 is the logistic function of 2 z.
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    x * sigmoid(2.0 * inner)
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    case!("exp", exp, f64::exp, ulp, -INF, INF, 0.99),
    case!("exp_m1", exp_m1, f64::exp_m1, ulp, -INF, INF, 1.71),
    case!("ln", ln, f64::ln, ulp, 0.0, INF, 0.86),
    case!("ln_1p", ln_1p, f64::ln_1p, ulp, -1.0, INF, 0.95),
    case!("log2", log2, f64::log2, ulp, 0.0, INF, 0.90),
    case!("log10", log10, f64::log10, ulp, 0.0, INF, 0.86),
    case!("tanh", tanh, f64::tanh, ulp, -INF, INF, 1.99),
    case!("sigmoid", sigmoid, sigmoid, ulp, -89.0, INF, 2.00),
    case!("silu", silu, |x| x * sigmoid(x), ulp, -89.0, f32::MAX, 2.00),
    case!("softplus", softplus, softplus, ulp, -INF, INF, 1.71),
    case!("sin", sin, f64::sin, ulp, -8192.0, 8192.0, 2.08),
    case!("sin, huge", sin, f64::sin, ulp, 8192.0, f32::MAX, 2.09),
    case!("cos", cos, f64::cos, ulp, -8192.0, 8192.0, 2.06),
    case!("cos, huge", cos, f64::cos, ulp, 8192.0, f32::MAX, 2.09),
    case!("tan", tan, f64::tan, ulp, -8192.0, 8192.0, 2.45),
    case!("tan, huge", tan, f64::tan, ulp, 8192.0, f32::MAX, 2.45),
    case!("asin", asin, f64::asin, ulp, -1.0, 1.0, 2.05),
    case!("acos", acos, f64::acos, ulp, -1.0, 1.0, 1.20),
    case!("rsqrt", rsqrt, |x| 1.0 / x.sqrt(), ulp, 0.0, INF, 1.50),
    case!("mish", mish, mish, ulp, -87.0, INF, 4.70),
    case!("erf", erf, libm::erf, ulp, -INF, INF, 2.11),
    case!("atan", atan, f64::atan, ulp, -INF, INF, 1.31),
    case!("gelu, x > 0", gelu, gelu, ulp, 0.0, INF, 1.93),
    case!("gelu, x < 0, in 2^-24 |x|", gelu, gelu, part_of_x, f32::MIN, -0.0, 0.96),
    case!("gelu_tanh, x > 0", gelu_tanh, gelu_tanh, ulp, 0.0, 1e30, 2.40),
    case!("gelu_tanh, x < 0", gelu_tanh, gelu_tanh, ulp, -9.98, -0.0, 3.30),
];

/// Returns the rank of a float in ascending order.
fn rank(x: f32) -> i64 {
    let bits = x.to_bits();
    let magnitude = i64::from(bits & 0x7fff_ffff);
    if bits >> 31 == 0 {
        magnitude
    } else {
        -1 - magnitude
    }
}

fn unrank(rank: i64) -> f32 {
    if rank >= 0 {
        f32::from_bits(rank as u32)
    } else {
        f32::from_bits((-1 - rank) as u32 | 0x8000_0000)
    }
}

/// Returns the error of `got` in units; infinite for a wrong NaN or infinity.
fn error(got: f32, truth: f64, unit: f64) -> f64 {
    let rounded = truth as f32;
    if got.is_nan() || rounded.is_nan() {
        return if got.is_nan() && rounded.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if got == rounded {
        // Equal infinities have no error.
        return if rounded.is_infinite() {
            0.0
        } else {
            (f64::from(got) - truth).abs() / unit
        };
    }
    // Infinity counts as the power of two that overflows.
    let finite = |y: f32| {
        if y.is_infinite() {
            f64::powi(2.0, 128).copysign(y.into())
        } else {
            y.into()
        }
    };
    (finite(got) - truth).abs() / unit
}

/// Returns the largest error over every `stride`th float, and its argument.
fn worst(case: &Case, ranks: Range<i64>, stride: usize) -> (f64, f32) {
    let mut worst = (0.0, 0.0);
    let mut xs = ranks.step_by(stride).map(unrank).peekable();
    while xs.peek().is_some() {
        let lanes = [0.0; 8].map(|_| xs.next().unwrap_or(1.0));
        let mut got = [0.0; 8];
        (case.eight)(f32x8::load(&lanes)).store(&mut got);
        for (x, y) in lanes.into_iter().zip(got) {
            if x < case.from || x > case.to {
                continue;
            }
            let truth = (case.truth)(x.into());
            let error = error(y, truth, (case.unit)(x.into(), truth));
            if error > worst.0 {
                worst = (error, x);
            }
        }
    }
    worst
}

fn check(stride: usize) {
    let mut table = String::from("| function | from | to | max ULP | at |\n");
    let mut failed = false;
    let only = std::env::var("ONLY").unwrap_or_default();
    for case in CASES.iter().filter(|case| case.name.contains(&only)) {
        let (from, to) = (rank(case.from), rank(case.to) + 1);
        let middle = from + (to - from) / 2 / stride as i64 * stride as i64;
        let (error, at) = thread::scope(|scope| {
            let lower = scope.spawn(move || worst(case, from..middle, stride));
            let upper = worst(case, middle..to, stride);
            let lower = lower.join().unwrap();
            if lower.0 > upper.0 { lower } else { upper }
        });
        // The ends themselves, and the first floats above and below zero.
        let ends = [from, to - 1, 0, -1, 1, -2]
            .map(|rank| worst(case, rank..rank + 1, 1).0)
            .into_iter()
            .fold(0.0, f64::max);
        let error = error.max(ends);
        failed |= error > case.limit;
        let mark = if error > case.limit {
            "  <-- limit exceeded"
        } else {
            ""
        };
        let line = format!(
            "| {} | {:e} | {:e} | {error:.4} | {at:e} |{mark}\n",
            case.name, case.from, case.to
        );
        print!("{line}");
        write!(table, "{line}").unwrap();
    }
    assert!(!failed, "\n{table}");
}

#[test]
fn errors_are_within_their_limits() {
    check(if cfg!(debug_assertions) { 19_997 } else { 997 });
}

/// Errors are within their limits over every float:
/// `cargo test --release --test ulp -- --ignored --nocapture`, with `ONLY=tanh`
/// for one function and `STRIDE=100` for every hundredth float.
#[test]
#[ignore = "minutes"]
fn errors_are_within_their_limits_over_every_float() {
    check(std::env::var("STRIDE").map_or(1, |s| s.parse().unwrap()));
}

/// Returns pairs for `pow`, with exponents, bases and signs of all sizes.
fn scattered(count: u32) -> impl Iterator<Item = (f32, f32)> {
    let mut state = 1_u64;
    let mut next = move || {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 32) as u32
    };
    (0..count).map(move |i| {
        let any = f32::from_bits(next());
        // Bases near one, where the exponents can be large, and all others.
        let base = match i % 4 {
            0 => any.abs(),
            1 => 1.0 + (next() as f32 / 4294967296.0 - 0.5),
            2 => f32::from_bits(0x3f80_0000_u32.wrapping_add((next() >> 8).wrapping_sub(1 << 23))),
            _ => 32.0 * (next() as f32 / 4294967296.0),
        };
        // An exponent that keeps the result in range.
        let wanted = 300.0 * (f64::from(next()) / 4294967296.0) - 155.0;
        let exponent = (wanted / f64::from(base).log2()) as f32;
        match i % 3 {
            0 => (base, exponent.round()),
            1 => (base, exponent),
            _ => (base, [0.5, 2.0, -0.5, 1.5, -2.0, 3.0][i as usize / 3 % 6]),
        }
    })
}

const SPECIAL: [f32; 44] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    -2.0,
    3.0,
    -3.0,
    0.5,
    -0.5,
    1.5,
    -1.5,
    2.5,
    -2.5,
    100.0,
    -100.0,
    88.0,
    -88.0,
    89.0,
    -89.0,
    104.0,
    -104.0,
    INF,
    -INF,
    f32::NAN,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    1e-40,
    -1e-40,
    8388607.5,
    8388608.0,
    -8388609.0,
    16777215.0,
    -16777215.0,
    16777216.0,
    -16777218.0,
    0.99999994,
    1.0000001,
    1e30,
    -1e30,
];

fn pow_eight(x: f32, y: f32) -> f32 {
    let mut to = [0.0; 8];
    math::pow(f32x8::splat(x), f32x8::splat(y)).store(&mut to);
    to[3]
}

#[test]
fn pow_is_within_its_limit() {
    let count = if cfg!(debug_assertions) {
        100_000
    } else {
        20_000_000
    };
    let mut worst = (0.0, (0.0, 0.0));
    for (x, y) in scattered(count) {
        let truth = f64::from(x).powf(y.into());
        let error = error(math::pow(x, y), truth, ulp(0.0, truth));
        if error > worst.0 {
            worst = (error, (x, y));
        }
    }
    println!("pow: {:.4} ULP at {:?}", worst.0, worst.1);
    assert!(worst.0 <= 1.19);
}

/// `atan2` is within its limit of `f64`'s `atan2`, for points in every direction and of unlike
/// magnitudes.
#[test]
fn atan2_is_within_its_limit() {
    let count = if cfg!(debug_assertions) {
        100_000
    } else {
        20_000_000
    };
    let mut worst = (0.0, (0.0, 0.0));
    for (i, (x, z)) in scattered(count).enumerate() {
        let signed = |y: f32, bit: usize| if i >> bit & 1 == 0 { y } else { -y };
        // Near the diagonals, at all angles, and of unlike magnitudes.
        let y = match i % 3 {
            0 => x * (1.0 + 1e-3 * (z % 1.0)),
            1 => x * (z % 8.0),
            _ => z,
        };
        let (y, x) = (signed(y, 4), signed(x, 5));
        let truth = f64::from(y).atan2(x.into());
        let error = error(math::atan2(y, x), truth, ulp(0.0, truth));
        if error > worst.0 {
            worst = (error, (y, x));
        }
    }
    println!("atan2: {:.4} ULP at {:?}", worst.0, worst.1);
    assert!(worst.0 <= 1.85);
}

#[test]
fn atan2_treats_special_arguments_as_c_does() {
    for y in SPECIAL {
        for x in SPECIAL {
            let mut eight = [0.0; 8];
            math::atan2(f32x8::splat(y), f32x8::splat(x)).store(&mut eight);
            let got = eight[3];
            let truth = f64::from(y).atan2(x.into());
            assert!(
                error(got, truth, ulp(0.0, truth)) <= 1.85
                    && (got.is_nan() || got.is_sign_negative() == truth.is_sign_negative()),
                "atan2({y:e}, {x:e}) = {got:e}, not {truth:e}"
            );
        }
    }
}

#[test]
fn pow_treats_special_arguments_as_c_does() {
    for x in SPECIAL {
        for y in SPECIAL {
            let got = pow_eight(x, y);
            let truth = f64::from(x).powf(y.into());
            let expected = truth as f32;
            assert!(
                error(got, truth, ulp(0.0, truth)) <= 2.0
                    && (got.is_nan() || got.is_sign_negative() == expected.is_sign_negative()),
                "pow({x:e}, {y:e}) = {got:e}, not {expected:e}"
            );
        }
    }
}

/// Returns every special value, then every `stride`th float.
fn arguments(stride: usize) -> impl Iterator<Item = f32> {
    let all = (i64::from(i32::MIN)..=i64::from(i32::MAX)).step_by(stride);
    SPECIAL.into_iter().chain(all.map(unrank))
}

/// A hash of all results of the test.
struct Fnv(u64);

impl Fnv {
    fn add(&mut self, x: f32) {
        for byte in bits(x).to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

/// Compares `eight` with `one`. Every argument passes through every lane, with
/// other neighbours each time.
fn compare(
    hash: &mut Fnv,
    name: &str,
    stride: usize,
    one: impl Fn(f32) -> f32,
    eight: impl Fn(f32x8) -> f32x8,
) {
    let mut window = [0.0; 8];
    let mut expected = [one(0.0); 8];
    for x in arguments(stride) {
        window.rotate_right(1);
        expected.rotate_right(1);
        window[0] = x;
        expected[0] = one(x);
        hash.add(expected[0]);
        let mut got = [0.0; 8];
        eight(f32x8::load(&window)).store(&mut got);
        for ((x, got), expected) in window.into_iter().zip(got).zip(expected) {
            assert_eq!(
                bits(got),
                bits(expected),
                "{name}({x:e}): {got:e}, alone {expected:e}"
            );
        }
    }
}

#[test]
fn eight_lanes_give_the_bits_of_one_and_those_are_the_same_everywhere() {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    let mut last = "";
    for case in CASES {
        let name = case.name.split(',').next().unwrap();
        if name != last {
            compare(&mut hash, name, 150_001, case.one, case.eight);
        }
        last = name;
    }
    for y in SPECIAL {
        let name = format!("pow(_, {y:e})");
        let one = |x| math::pow(x, y);
        let eight = |x| math::pow(x, f32x8::splat(y));
        compare(&mut hash, &name, 9_000_011, one, eight);
        let name = format!("pow({y:e}, _)");
        let one = |x| math::pow(y, x);
        let eight = |x| math::pow(f32x8::splat(y), x);
        compare(&mut hash, &name, 9_000_011, one, eight);
    }
    for y in SPECIAL {
        let name = format!("atan2(_, {y:e})");
        let one = |x| math::atan2(x, y);
        let eight = |x| math::atan2(x, f32x8::splat(y));
        compare(&mut hash, &name, 9_000_011, one, eight);
        let name = format!("atan2({y:e}, _)");
        let one = |x| math::atan2(y, x);
        let eight = |x| math::atan2(f32x8::splat(y), x);
        compare(&mut hash, &name, 9_000_011, one, eight);
    }
    for n in [0, 1, 2, 3, 4, 7, -1, -2, -5, 100, i32::MAX, i32::MIN] {
        let name = format!("powi(_, {n})");
        let one = |x| math::powi(x, n);
        let eight = |x| math::powi(x, n);
        compare(&mut hash, &name, 9_000_011, one, eight);
    }
    println!("bits: {:016x}", hash.0);
    // The hash changes with an algorithm or a sample, but not with the target, the
    // CPU features or the optimisation level.
    assert_eq!(hash.0, 0xf104_3acd_d8b9_c7de, "{:016x}", hash.0);
}

/// Returns exponents for `powi`: all small ones, and larger ones up to the ends.
fn exponents() -> impl Iterator<Item = i32> {
    let large = [
        100,
        127,
        128,
        149,
        1000,
        4097,
        65_537,
        1 << 24,
        (1 << 24) + 1,
        123_456_789,
    ];
    let both = large.into_iter().flat_map(|n| [n, -n]);
    let ends = [i32::MAX, i32::MAX - 1, i32::MIN + 1, i32::MIN];
    (-40..=40).chain(both).chain(ends)
}

/// Returns bases of both signs whose `n`th powers cover the range of `f32` and go beyond both ends,
/// evenly in the logarithm, so that for a large `n` they are close to 1.
fn bases(n: i32, count: u32) -> impl Iterator<Item = f32> {
    (0..count).map(move |i| {
        let logarithm = 284.0 * f64::from(i) / f64::from(count) - 153.0;
        let base = (logarithm / f64::from(n)).exp2() as f32;
        if i % 2 == 0 { base } else { -base }
    })
}

/// `powi` is within its limits of `f64`'s `powf`, whose relative error is below 2^-52.
#[test]
fn powi_is_within_its_limit() {
    let count = if cfg!(debug_assertions) {
        5_000
    } else {
        200_000
    };
    let mut worst = [(0.0, (0.0, 0)); 3];
    for n in exponents().filter(|n| *n != 0) {
        for x in bases(n, count) {
            let truth = f64::from(x).powf(n.into());
            let error = error(math::powi(x, n), truth, ulp(0.0, truth));
            let kind = match n {
                -1 | 1 | 2 => 0,
                3 => 1,
                _ => 2,
            };
            if error > worst[kind].0 {
                worst[kind] = (error, (x, n));
            }
        }
    }
    println!("powi: {worst:?}");
    // The limits are those of one rounding, of two, and of `pow`.
    for ((error, at), limit) in worst.into_iter().zip([0.5, 1.29, 1.19]) {
        assert!(error <= limit, "{error} at {at:?}");
    }
}

/// `powi` of special arguments is exact, with the sign for odd and even exponents.
#[test]
fn powi_of_special_arguments() {
    for n in exponents() {
        for x in SPECIAL.into_iter().chain([-1.0000001, -0.99999994]) {
            let got = math::powi(x, n);
            let truth = f64::from(x).powf(n.into());
            let allowed = if n == 3 { 1.29 } else { 1.19 };
            assert!(
                error(got, truth, ulp(0.0, truth)) <= allowed
                    && (got.is_nan() || got.is_sign_negative() == truth.is_sign_negative()),
                "powi({x:e}, {n}) = {got:e}, not {truth:e}"
            );
        }
    }
    assert_eq!(math::powi(f32::NAN, 0), 1.0);
    // x^|n| would overflow here.
    assert_eq!(math::powi(1e20_f32, -2).to_bits(), 1e-40_f32.to_bits());
    assert_eq!(math::powi(-1.0_f32, i32::MIN), 1.0);
    assert_eq!(math::powi(-1.0_f32, i32::MAX), -1.0);
    assert_eq!(math::powi(-1.0_f32, 16_777_217), -1.0);
}

#[test]
fn nan_stays_nan() {
    for case in CASES {
        assert!((case.one)(f32::NAN).is_nan(), "{}", case.name);
        assert!((case.one)(-f32::NAN).is_nan(), "{}", case.name);
    }
    assert!(math::pow(f32::NAN, 2.0).is_nan());
    assert!(math::pow(2.0, f32::NAN).is_nan());
}

/// Chosen values are exact, or saturate like PyTorch's.
#[test]
fn chosen_values() {
    type Row = (&'static str, fn(f32) -> f32, &'static [(f32, f32)]);
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("exp", math::exp, &[(0.0, 1.0), (-0.0, 1.0), (-80.0, 1.804_851_3e-35), (88.0, 1.651_636_3e38),
            (89.0, INF), (-100.0, 3.8e-44), (-104.0, 0.0), (INF, INF), (-INF, 0.0)]),
        ("exp_m1", math::exp_m1, &[(0.0, 0.0), (-0.0, -0.0), (1e-45, 1e-45), (-1e-30, -1e-30), (89.0, INF),
            (INF, INF), (-INF, -1.0), (-100.0, -1.0)]),
        ("ln", math::ln, &[(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (-1.0, f32::NAN), (-INF, f32::NAN),
            (INF, INF), (1e-45, -103.278_93)]),
        ("ln_1p", math::ln_1p, &[(0.0, 0.0), (-0.0, -0.0), (1e-45, 1e-45), (-1e-45, -1e-45), (-1.0, -INF),
            (-1.5, f32::NAN), (-INF, f32::NAN), (INF, INF), (f32::MAX, 88.722_84), (1.0, core::f32::consts::LN_2)]),
        ("log2", math::log2, &[(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (-1.0, f32::NAN), (-INF, f32::NAN),
            (INF, INF), (1e-45, -149.0), (0.125, -3.0), (f32::MIN_POSITIVE, -126.0), (1024.0, 10.0)]),
        ("log10", math::log10, &[(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (-1.0, f32::NAN), (-INF, f32::NAN),
            (INF, INF), (1000.0, 3.0), (1e10, 10.0)]),
        ("tan", math::tan, &[(0.0, 0.0), (-0.0, -0.0), (1e-45, 1e-45), (-1e-10, -1e-10), (INF, f32::NAN),
            (-INF, f32::NAN)]),
        ("asin", math::asin, &[(0.0, 0.0), (-0.0, -0.0), (1e-45, 1e-45), (1.0, core::f32::consts::FRAC_PI_2),
            (-1.0, -core::f32::consts::FRAC_PI_2), (1.000_000_1, f32::NAN), (-2.0, f32::NAN), (INF, f32::NAN)]),
        ("acos", math::acos, &[(1.0, 0.0), (-1.0, core::f32::consts::PI), (0.0, core::f32::consts::FRAC_PI_2),
            (-0.0, core::f32::consts::FRAC_PI_2), (1.000_000_1, f32::NAN), (-2.0, f32::NAN), (INF, f32::NAN)]),
        ("rsqrt", math::rsqrt, &[(0.0, INF), (-0.0, -INF), (4.0, 0.5), (-1.0, f32::NAN), (INF, 0.0)]),
        ("mish", math::mish, &[(0.0, 0.0), (-0.0, -0.0), (-110.0, -0.0), (f32::MIN, -0.0), (100.0, 100.0),
            (f32::MAX, f32::MAX), (INF, INF), (-INF, f32::NAN)]),
        ("tanh", math::tanh, &[(0.0, 0.0), (-0.0, -0.0), (1e-45, 1e-45), (-1e-10, -1e-10), (9.1, 1.0),
            (100.0, 1.0), (-100.0, -1.0), (INF, 1.0), (-INF, -1.0)]),
        ("sigmoid", math::sigmoid, &[(0.0, 0.5), (-88.0, 6.054_601e-39), (-100.0, 0.0), (89.0, 1.0),
            (100.0, 1.0), (INF, 1.0), (-INF, 0.0)]),
        ("silu", math::silu, &[(0.0, 0.0), (-0.0, -0.0), (-100.0, -0.0), (100.0, 100.0), (INF, INF),
            (f32::MAX, f32::MAX), (f32::MIN, -0.0)]),
        ("softplus", math::softplus, &[(0.0, core::f32::consts::LN_2), (-100.0, 3.8e-44), (20.5, 20.5),
            (INF, INF), (-INF, 0.0), (1e38, 1e38)]),
        ("sin", math::sin, &[(0.0, 0.0), (-0.0, -0.0), (1e-45, 1e-45), (-1e-10, -1e-10), (INF, f32::NAN),
            (-INF, f32::NAN)]),
        ("cos", math::cos, &[(0.0, 1.0), (-0.0, 1.0), (1e-10, 1.0), (INF, f32::NAN), (-INF, f32::NAN)]),
        ("erf", math::erf, &[(0.0, 0.0), (-0.0, -0.0), (3.95, 1.0), (INF, 1.0), (-INF, -1.0), (1e-45, 1e-45)]),
        ("gelu", math::gelu, &[(0.0, 0.0), (-0.0, -0.0), (-10.0, -0.0), (-100.0, -0.0), (f32::MIN, -0.0),
            (100.0, 100.0), (INF, INF)]),
        ("gelu_tanh", math::gelu_tanh, &[(0.0, 0.0), (-0.0, -0.0), (-10.0, -0.0), (-100.0, -0.0),
            (f32::MIN, -0.0), (100.0, 100.0), (f32::MAX, f32::MAX), (INF, INF)]),
    ];
    for (name, f, values) in rows {
        for &(x, expected) in *values {
            assert_eq!(
                bits(f(x)),
                bits(expected),
                "{name}({x:e}) = {:e}, not {expected:e}",
                f(x)
            );
        }
    }
}

#[test]
fn nothing_leaves_its_range() {
    for x in arguments(100_003).filter(|x| !x.is_nan()) {
        for y in [math::sin(x), math::cos(x), math::tanh(x), math::erf(x)] {
            assert!(
                y.abs() <= 1.0 || (x.is_infinite() && y.is_nan()),
                "{x:e}: {y:e}"
            );
        }
        assert!((0.0..=1.0).contains(&math::sigmoid(x)), "{x:e}");
    }
}
