//! Compares the t and F distributions with values of scipy and mpmath, which
//! `golden/distributions.py` wrote.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

use baregrad::least_squares::{FDistribution, StudentT};

/// The relative error that the documentation promises; rounding to `f32` alone gives up to 6e-8.
const MOST: f64 = 7e-8;

struct Line {
    is_t: bool,
    freedom: [f32; 2],
    p: f32,
    quantile: f64,
}

fn table() -> Vec<Line> {
    let text = include_str!("golden/distributions.csv");
    let parse = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        Line {
            is_t: cells[0] == "t",
            freedom: [cells[1].parse().unwrap(), cells[2].parse().unwrap()],
            p: cells[3].parse().unwrap(),
            quantile: cells[4].parse().unwrap(),
        }
    };
    text.lines().skip(1).map(parse).collect()
}

fn off(found: f32, expected: f64) -> f64 {
    if expected == 0.0 {
        f64::from(found).abs()
    } else {
        (f64::from(found) / expected - 1.0).abs()
    }
}

#[test]
fn quantiles_are_those_of_scipy() {
    let (mut worst, mut count) = ([0.0_f64; 2], [0; 2]);
    for line in table() {
        let [a, b] = line.freedom;
        let found = if line.is_t {
            StudentT::new(b).unwrap().quantile(line.p).unwrap()
        } else {
            FDistribution::new(a, b).unwrap().quantile(line.p).unwrap()
        };
        let error = off(found, line.quantile);
        let k = usize::from(line.is_t);
        worst[k] = worst[k].max(error);
        count[k] += 1;
        assert!(
            error <= MOST,
            "{a} {b} {}: {found} {}: {error:e}",
            line.p,
            line.quantile
        );
    }
    println!(
        "worst of F {:.2e}, of t {:.2e}; {count:?}",
        worst[0], worst[1]
    );
    assert!(count[0] > 2000 && count[1] > 600);
}

/// The tails of quantiles are the probabilities. Rounding a quantile to `f32` changes its tail by
/// as much as the tails of neighbouring floats differ, which is allowed.
#[test]
fn tails_are_those_of_quantiles() {
    for line in table() {
        let [a, b] = line.freedom;
        let x = line.quantile as f32;
        let tail = |x: f32, upper: bool| {
            if line.is_t {
                let t = StudentT::new(b).unwrap();
                if upper { t.survival(x) } else { t.cdf(x) }
            } else {
                let f = FDistribution::new(a, b).unwrap();
                if upper { f.survival(x) } else { f.cdf(x) }
            }
        };
        let upper = line.p > 0.5;
        let expected = if upper { 1.0 - line.p } else { line.p };
        let found = tail(x, upper);
        let slope = f64::from(tail(x.next_up(), upper)) - f64::from(tail(x.next_down(), upper));
        let bound = slope.abs() / 2.0 / f64::from(expected) + MOST;
        let error = off(found, expected.into());
        assert!(
            error <= bound,
            "{a} {b} {}: {found} {expected}: {error:e} {bound:e}",
            line.p
        );
        let sum = f64::from(found) + f64::from(tail(x, !upper));
        assert!((sum - 1.0).abs() <= 6e-8, "{a} {b} {}: {sum}", line.p);
    }
}

/// The distributions agree with closed forms: t with one (Cauchy) and two degrees of freedom, and F
/// with two and two.
#[test]
fn closed_forms_hold_far_out() {
    let (one, two) = (StudentT::new(1.0).unwrap(), StudentT::new(2.0).unwrap());
    for k in -12..=12 {
        let t = 10.0_f32.powi(k);
        let x = f64::from(t);
        let cauchy = (1.0 / x).atan() / std::f64::consts::PI;
        assert!(off(one.survival(t), cauchy) < MOST, "{t}");
        assert_eq!(one.cdf(-t), one.survival(t));
        // ½ (1 - t / √(2 + t²)), written without cancellation.
        let root = (2.0 + x * x).sqrt();
        let expected = 1.0 / (root * (root + x));
        assert!(off(two.survival(t), expected) < MOST, "{t}");
        let f = FDistribution::new(2.0, 2.0).unwrap();
        assert!(off(f.survival(t), 1.0 / (1.0 + x)) < MOST, "{t}");
        assert!(off(f.cdf(t), x / (1.0 + x)) < MOST, "{t}");
    }
    // Arguments beyond the range of pairs.
    assert!(off(one.survival(1e30), 1e-30 / std::f64::consts::PI) < 1e-6);
    let f = FDistribution::new(1.0, 1.0).unwrap();
    let expected = 2.0 / std::f64::consts::PI * 1e-15;
    assert!(off(f.survival(1e30), expected) < 1e-6);
    assert!(off(f.cdf(1e-30), expected) < 1e-6);
    assert_eq!(two.survival(f32::INFINITY), 0.0);
    assert_eq!(two.cdf(f32::INFINITY), 1.0);
    assert_eq!(f.survival(f32::INFINITY), 0.0);
    assert_eq!((f.cdf(0.0), f.survival(-1.0)), (0.0, 1.0));
    assert!(two.cdf(f32::NAN).is_nan() && f.cdf(f32::NAN).is_nan());
    assert_eq!(two.quantile(0.5).unwrap(), 0.0);
}

/// Quantiles grow with the probability, and are the inverse of the cdf.
#[test]
fn quantiles_grow_with_probability() {
    for freedom in [1.0, 1.7, 8.0, 123.0, 54_321.0, 16_777_216.0, f32::INFINITY] {
        let t = StudentT::new(freedom).unwrap();
        let mut before = f32::NEG_INFINITY;
        for k in 1..200 {
            let p = k as f32 / 200.0;
            let found = t.quantile(p).unwrap();
            assert!(found > before, "{freedom} {p}");
            before = found;
            assert!((t.cdf(found) - p).abs() <= 6e-8, "{freedom} {p}");
            assert_eq!(t.upper_quantile(p).unwrap(), -found);
        }
    }
}

#[test]
fn nonsense_is_refused() {
    for freedom in [f32::NAN, 0.0, -1.0, 0.99, 1e9, f32::NEG_INFINITY] {
        assert!(StudentT::new(freedom).is_err(), "{freedom}");
        assert!(FDistribution::new(freedom, 3.0).is_err(), "{freedom}");
        assert!(FDistribution::new(3.0, freedom).is_err(), "{freedom}");
    }
    let (t, f) = (
        StudentT::new(3.0).unwrap(),
        FDistribution::new(3.0, 4.0).unwrap(),
    );
    for p in [f32::NAN, 0.0, 1.0, -0.1, 1.5, 1e-13, f32::INFINITY] {
        for result in [
            t.quantile(p),
            t.upper_quantile(p),
            f.quantile(p),
            f.upper_quantile(p),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.what(), "probability");
        }
    }
    assert_eq!(
        StudentT::new(0.0).unwrap_err().to_string(),
        "degrees of freedom: expected 1 to 2^24, or infinitely many, found 0"
    );
}
