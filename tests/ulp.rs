//! How far the elementary functions are from the truth, in units in the last
//! place, and that one lane and eight lanes give the same bits.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{fmt::Write as _, ops::Range, thread};

use baregrad::kernel::{Lanes as _, f32x8, math};

/// A function of one argument at both widths, with what it approximates.
struct Case {
    name: &'static str,
    one: fn(f32) -> f32,
    eight: fn(f32x8) -> f32x8,
    truth: fn(f64) -> f64,
    /// What an error is measured in, given x and the true result.
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

/// One ULP of an `f32` result near `y`.
fn ulp(_: f64, y: f64) -> f64 {
    let exponent = ((y.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    f64::powi(2.0, exponent.clamp(-126, 127) - 23)
}

/// 2^-24 |x|: for what is x times a factor that ends in 1 + something near -1.
fn part_of_x(x: f64, _: f64) -> f64 {
    (x.abs() * f64::powi(2.0, -24)).max(f64::powi(2.0, -149))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
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
    case!("exp", exp, f64::exp, ulp, -INF, INF, 4.0),
    case!("exp_m1", exp_m1, f64::exp_m1, ulp, -INF, INF, 4.0),
    case!("ln", ln, f64::ln, ulp, 0.0, INF, 4.0),
    case!("tanh", tanh, f64::tanh, ulp, -INF, INF, 4.0),
    case!("sigmoid", sigmoid, sigmoid, ulp, -89.0, INF, 4.0),
    case!("silu", silu, |x| x * sigmoid(x), ulp, -89.0, f32::MAX, 4.0),
    case!("softplus", softplus, softplus, ulp, -INF, INF, 4.0),
    case!("sin", sin, f64::sin, ulp, -8192.0, 8192.0, 4.0),
    case!("sin, huge", sin, f64::sin, ulp, 8192.0, f32::MAX, 4.0),
    case!("cos", cos, f64::cos, ulp, -8192.0, 8192.0, 4.0),
    case!("cos, huge", cos, f64::cos, ulp, 8192.0, f32::MAX, 4.0),
    case!("erf", erf, libm::erf, ulp, -INF, INF, 4.0),
    case!("gelu, x > 0", gelu, gelu, ulp, 0.0, INF, 4.0),
    case!("gelu, x < 0, in 2^-24 |x|", gelu, gelu, part_of_x, f32::MIN, -0.0, 4.0),
    case!("gelu_tanh, x > 0", gelu_tanh, gelu_tanh, ulp, 0.0, 1e30, 4.0),
    case!("gelu_tanh, x < 0, in 2^-24 |x|", gelu_tanh, gelu_tanh, part_of_x, -1e30, -0.0, 4.0),
];

/// Numbers the floats in ascending order.
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

/// The error of `got` in units; infinite for a NaN or an infinity out of place.
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
        // Also two infinities.
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

/// The largest error over every `stride`th float, and where it is.
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
    for case in CASES {
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
    check(9973);
}

/// `cargo test --release --test ulp -- --ignored --nocapture`
#[test]
#[ignore = "minutes"]
fn errors_are_within_their_limits_over_every_float() {
    check(std::env::var("STRIDE").map_or(1, |s| s.parse().unwrap()));
}

/// Stronger than any use: exponents, bases and signs all over the place.
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
        // An exponent that leaves the result in range.
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
    assert!(worst.0 <= 2.0);
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

/// A spread of arguments: every special value, then floats from all over.
fn arguments() -> impl Iterator<Item = f32> {
    let all = (i64::from(i32::MIN)..=i64::from(i32::MAX)).step_by(50_021);
    SPECIAL.into_iter().chain(all.map(unrank))
}

/// The bits, with all NaN made one: their sign and payload are not promised.
fn bits(x: f32) -> u32 {
    if x.is_nan() { 0x7fc0_0000 } else { x.to_bits() }
}

/// Compares `eight` with `one` on every argument, each time in another lane
/// and with other neighbours, and returns a hash of all results.
fn compare(name: &str, one: impl Fn(f32) -> f32, eight: impl Fn(f32x8) -> f32x8) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut window = [0.0; 8];
    for (i, x) in arguments().enumerate() {
        window[i % 8] = x;
        let mut got = [0.0; 8];
        eight(f32x8::load(&window)).store(&mut got);
        for (x, got) in window.into_iter().zip(got) {
            let expected = one(x);
            assert_eq!(
                bits(got),
                bits(expected),
                "{name}({x:e}): {got:e}, alone {expected:e}"
            );
        }
        for byte in bits(got[i % 8]).to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    hash
}

#[test]
fn eight_lanes_give_the_bits_of_one() {
    let mut all = String::new();
    let mut last = "";
    for case in CASES {
        let name = case.name.split(',').next().unwrap();
        if name != last {
            writeln!(all, "{name} {:016x}", compare(name, case.one, case.eight)).unwrap();
        }
        last = name;
    }
    for y in SPECIAL {
        let hash = compare(
            &format!("pow(_, {y:e})"),
            |x| math::pow(x, y),
            |x| math::pow(x, f32x8::splat(y)),
        );
        let reverse = compare(
            &format!("pow({y:e}, _)"),
            |x| math::pow(y, x),
            |x| math::pow(f32x8::splat(y), x),
        );
        writeln!(all, "pow {y:e} {hash:016x} {reverse:016x}").unwrap();
    }
    for n in [0, 1, 2, 3, 7, -1, -2, -5, i32::MAX, i32::MIN] {
        let hash = compare(
            &format!("powi(_, {n})"),
            |x| math::powi(x, n),
            |x| math::powi(x, n),
        );
        writeln!(all, "powi {n} {hash:016x}").unwrap();
    }
    println!("{all}");
}
