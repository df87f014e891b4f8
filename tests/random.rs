//! Tests that random numbers have the same bits on every target, and the right distributions.
//!
//! The reference values of draws, uniform numbers and permutations were
//! computed by a separate program from the published algorithms. The normal
//! numbers agree with that program's in `f64`, and their bits were then committed.
//! Seeds are fixed, so no test fails by chance; a sound generator exceeds the statistical bounds
//! with at most one in a thousand seeds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use core::convert::Infallible;

use baregrad::random::{
    RandomError, Rng, SeedableRng, Uniform, Xoshiro128PlusPlus, fill_normal, fill_uniform,
    randperm, seeded, shuffle,
};
use rand_core::TryRng;

/// A generator that returns the given numbers, and then repeats the last.
struct Script<'a>(&'a [u32]);

impl TryRng for Script<'_> {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let next = self.0[0];
        if self.0.len() > 1 {
            self.0 = &self.0[1..];
        }
        Ok(next)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_core::utils::next_u64_via_u32(self)
    }
    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        rand_core::utils::fill_bytes_via_next_word(to, || self.try_next_u32())
    }
}

fn bits<const N: usize>(xs: [f32; N]) -> [u32; N] {
    xs.map(f32::to_bits)
}

/// Returns mean and variance, in `f64`.
fn moments(xs: &[f32]) -> (f64, f64) {
    let n = xs.len() as f64;
    let mean = xs.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let var = xs
        .iter()
        .map(|&x| (f64::from(x) - mean).powi(2))
        .sum::<f64>()
        / n;
    (mean, var)
}

/// Returns Pearson's statistic of equally likely classes.
fn chi_square(counts: &[u32]) -> f64 {
    let expected = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
    counts
        .iter()
        .map(|&n| (f64::from(n) - expected).powi(2) / expected)
        .sum()
}

#[test]
fn generator_reference_vector() {
    // The numbers are those of the authors' C program, from the state 1, 2, 3, 4.
    let mut rng = Xoshiro128PlusPlus::from_seed([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0]);
    let expected = [
        641, 1573767, 3222811527, 3517856514, 836907274, 4247214768, 3867114732, 1355841295,
        495546011, 621204420,
    ];
    assert_eq!(expected.map(|_| rng.next_u32()), expected);

    let mut rng = seeded(42);
    let expected = [
        2643743425, 1762251840, 1632151183, 1417845339, 3326664244, 3989346982,
    ];
    assert_eq!(expected.map(|_| rng.next_u32()), expected);
}

#[test]
fn uniform_reference_bits() {
    let mut xs = [0.0; 8];
    fill_uniform(&mut seeded(42), -1.0, 2.0, &mut xs).unwrap();
    let expected = [
        0x3f58bcf6, 0x3e6c75f0, 0x3e0f67c8, 0xbc1e0c80, 0x3fa96d4c, 0x3fe4ace8, 0x3ffea144,
        0x3f811500,
    ];
    assert_eq!(bits(xs), expected);
    // Sampling one at a time gives the same bits.
    let (uniform, mut rng) = (Uniform::new(-1.0, 2.0).unwrap(), seeded(42));
    assert_eq!(bits(xs.map(|_| uniform.sample(&mut rng))), expected);
}

#[test]
fn normal_reference_bits() {
    let mut xs = [0.0; 8];
    fill_normal(&mut seeded(42), 0.0, 1.0, &mut xs).unwrap();
    let exact = [
        -0.8327933204622149,
        0.5262616897077523,
        -0.6710582567080206,
        1.218511772056878,
        0.6445449218195455,
        -0.30904629129936523,
        -0.04097075699923873,
        -0.0739571953889542,
    ];
    for (x, exact) in xs.iter().zip(exact) {
        assert!(
            (f64::from(*x) - exact).abs() < 3e-7,
            "{x} instead of {exact}"
        );
    }
    let expected = [
        0xbf5531f1, 0x3f06b916, 0xbf2bca79, 0x3f9bf831, 0x3f2500e5, 0xbe9e3b51, 0xbd27d0f4,
        0xbd9776de,
    ];
    assert_eq!(bits(xs), expected);
}

#[test]
fn permutation_reference() {
    let mut order = [0; 11];
    randperm(&mut seeded(42), &mut order);
    assert_eq!(order, [0, 8, 1, 7, 9, 10, 5, 2, 3, 4, 6]);
    let mut order = [0; 20];
    randperm(&mut seeded(42), &mut order);
    assert_eq!(
        order,
        [
            11, 17, 0, 4, 10, 2, 3, 15, 1, 16, 9, 18, 8, 14, 13, 19, 5, 6, 7, 12
        ]
    );
}

#[test]
fn a_longer_fill_starts_like_a_shorter() {
    let (mut long_u, mut long_n) = ([0.0; 33], [0.0; 33]);
    fill_uniform(&mut seeded(5), 0.0, 1.0, &mut long_u).unwrap();
    fill_normal(&mut seeded(5), 0.0, 1.0, &mut long_n).unwrap();
    for n in 0..33 {
        let mut xs = [0.0; 33];
        fill_uniform(&mut seeded(5), 0.0, 1.0, &mut xs[..n]).unwrap();
        assert_eq!(xs[..n], long_u[..n]);
        fill_normal(&mut seeded(5), 0.0, 1.0, &mut xs[..n]).unwrap();
        assert_eq!(xs[..n], long_n[..n]);
    }
}

#[test]
fn uniform_never_returns_high() {
    let ranges = [
        (0.0, 1.0),
        (-1.0, 1.0),
        (1.0, 1.0_f32.next_up()),
        (0.1, 0.3),
        (-1e-45, 0.0),
    ];
    for (low, high) in ranges {
        for draw in [0, 1 << 31, u32::MAX - 256, u32::MAX] {
            let mut x = [f32::NAN];
            fill_uniform(&mut Script(&[draw]), low, high, &mut x).unwrap();
            assert!(
                (low..high).contains(&x[0]),
                "{} not in [{low}, {high})",
                x[0]
            );
        }
    }
    let mut x = [0.0];
    fill_uniform(&mut Script(&[u32::MAX]), 0.5, 0.5, &mut x).unwrap();
    assert_eq!(x, [0.5]);
}

#[test]
fn normal_is_finite_at_the_extremes() {
    for first in [0, 1, u32::MAX] {
        for second in [0, 1 << 30, u32::MAX] {
            let mut xs = [f32::NAN; 2];
            fill_normal(&mut Script(&[first, second]), 0.0, 1.0, &mut xs).unwrap();
            assert!(xs.iter().all(|x| x.abs() < 6.67), "{xs:?}");
        }
    }
    let mut xs = [0.0; 3];
    fill_normal(&mut seeded(1), 2.5, 0.0, &mut xs).unwrap();
    assert_eq!(xs, [2.5; 3]);
}

#[test]
fn bad_arguments_write_nothing_and_draw_nothing() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let mut rng = seeded(1);
    let mut xs = [7.0; 3];
    for (low, high) in [
        (1.0, 0.0),
        (nan, 1.0),
        (0.0, nan),
        (-inf, 0.0),
        (0.0, inf),
        (inf, inf),
        (-3e38, 3e38),
    ] {
        let error = fill_uniform(&mut rng, low, high, &mut xs).unwrap_err();
        assert!(matches!(error, RandomError::Range { .. }), "{low} {high}");
        assert!(Uniform::new(low, high).is_err());
    }
    for (mean, std) in [(0.0, -1.0), (nan, 1.0), (0.0, nan), (inf, 1.0), (0.0, inf)] {
        let error = fill_normal(&mut rng, mean, std, &mut xs).unwrap_err();
        assert!(matches!(error, RandomError::Normal { .. }), "{mean} {std}");
    }
    assert_eq!(xs, [7.0; 3]);
    assert_eq!(rng, seeded(1));
    let error = fill_normal(&mut rng, 0.5, -1.0, &mut xs).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected finite mean and std >= 0, found mean 0.5, std -1"
    );
}

/// `unwrap` prints the text of the error; without `std` that links no formatting of floats.
#[test]
fn what_unwrap_prints_is_the_text() {
    let range = fill_uniform(&mut seeded(1), 2.0, 1.0, &mut [0.0]).unwrap_err();
    let normal = fill_normal(&mut seeded(1), 0.5, -1.0, &mut [0.0]).unwrap_err();
    if cfg!(feature = "std") {
        assert_eq!(format!("{range:?}"), range.to_string());
        assert_eq!(format!("{normal:?}"), normal.to_string());
    } else {
        // The bits of 2 and 1, and of 1/2 and -1.
        assert_eq!(
            format!("{range:?}"),
            "expected finite low <= high, found low 0x40000000, high 0x3f800000"
        );
        assert_eq!(
            format!("{normal:?}"),
            "expected finite mean and std >= 0, found mean 0x3f000000, std 0xbf800000"
        );
    }
}

#[test]
fn uniform_is_uniform() {
    let mut xs = vec![0.0; 100_000];
    fill_uniform(&mut seeded(11), 2.0, 5.0, &mut xs).unwrap();
    let (mean, var) = moments(&xs);
    assert!(
        (mean - 3.5).abs() < 3.3 * (0.75_f64 / 1e5).sqrt(),
        "mean {mean}"
    );
    assert!(
        (var - 0.75).abs() < 3.3 * 0.75 * (0.8_f64 / 1e5).sqrt(),
        "variance {var}"
    );
    let mut counts = [0; 100];
    for x in xs {
        counts[((x - 2.0) / 3.0 * 100.0) as usize] += 1;
    }
    let chi = chi_square(&counts);
    assert!(chi < 148.3, "{chi}"); // 99 degrees of freedom, p = 0.001
    assert!(chi > 60.0, "{chi}"); // Below, it would be more even than chance allows.
}

#[test]
fn normal_is_normal() {
    let mut xs = vec![0.0; 100_000];
    fill_normal(&mut seeded(12), 0.0, 1.0, &mut xs).unwrap();
    let (mean, var) = moments(&xs);
    assert!(mean.abs() < 3.3 / 1e5_f64.sqrt(), "mean {mean}");
    assert!(
        (var - 1.0).abs() < 3.3 * (2.0_f64 / 1e5).sqrt(),
        "variance {var}"
    );
    // The two numbers of a pair come from the same draws, and must not correlate.
    let product: f64 = xs
        .chunks(2)
        .map(|pair| f64::from(pair[0] * pair[1]))
        .sum::<f64>()
        / 5e4;
    assert!(
        product.abs() < 3.3 / 5e4_f64.sqrt(),
        "correlation {product}"
    );

    const OCTILES: [f32; 7] = [
        -1.150_349_4,
        -0.674_489_75,
        -0.318_639_36,
        0.0,
        0.318_639_36,
        0.674_489_75,
        1.150_349_4,
    ];
    let mut counts = [0; 8];
    for x in &xs {
        counts[OCTILES.iter().filter(|octile| x >= octile).count()] += 1;
    }
    let chi = chi_square(&counts);
    assert!(chi < 24.3, "{chi}"); // 7 degrees of freedom, p = 0.001
    // 2 * 1e5 * (1 - Phi(4)) = 6.3 are expected.
    let far = xs.iter().filter(|x| x.abs() > 4.0).count();
    assert!((1..=16).contains(&far), "{far} beyond 4 std");

    let mut shifted = vec![0.0; 100_000];
    fill_normal(&mut seeded(12), 3.0, 0.3, &mut shifted).unwrap();
    assert!(shifted.iter().zip(&xs).all(|(y, x)| *y == 3.0 + 0.3 * x));
}

/// Returns Pearson's statistic of the 24 orders of 4 that `permute` gives.
fn chi_square_of_orders(mut permute: impl FnMut(&mut [u32; 4])) -> f64 {
    let mut counts = [0; 256];
    for _ in 0..24_000 {
        let mut order = [0, 1, 2, 3];
        permute(&mut order);
        counts[order.iter().fold(0, |code, i| 4 * code + *i as usize)] += 1;
    }
    let counts: Vec<u32> = counts.into_iter().filter(|&n| n > 0).collect();
    assert_eq!(counts.len(), 24);
    chi_square(&counts)
}

#[test]
fn every_order_is_as_likely() {
    let mut rng = seeded(13);
    let limit = 49.7; // 23 degrees of freedom, p = 0.001
    let perm = chi_square_of_orders(|order| randperm(&mut rng, order));
    assert!(perm < limit && perm > 7.0, "{perm}");
    let shuffled = chi_square_of_orders(|order| shuffle(&mut rng, order));
    assert!(shuffled < limit && shuffled > 7.0, "{shuffled}");
    // The classical mistake, swapping with any place, fails the test.
    let naive = chi_square_of_orders(|order| {
        for i in 0..4 {
            order.swap(i, (rng.next_u32() >> 30) as usize);
        }
    });
    assert!(naive > 10.0 * limit, "{naive}");
}

/// As 2^32 is not a multiple of 3, one draw in 2^32 is rejected.
#[test]
fn biased_draws_are_rejected() {
    let two_thirds = 0xb000_0000; // place 2 of 3, then place 1 of 2: all stay
    let mut items = ['a', 'b', 'c'];
    shuffle(&mut Script(&[0, two_thirds]), &mut items);
    assert_eq!(items, ['a', 'b', 'c']);
    shuffle(&mut Script(&[1, two_thirds]), &mut items);
    assert_eq!(items, ['c', 'b', 'a']);
}

#[test]
fn short_slices_draw_nothing() {
    let mut rng = seeded(1);
    randperm(&mut rng, &mut []);
    let mut one = [9];
    randperm(&mut rng, &mut one);
    assert_eq!(one, [0]);
    assert_eq!(rng, seeded(1));
}

#[test]
fn takes_a_trait_object() {
    let mut rng = seeded(1);
    let rng: &mut dyn Rng<Error = Infallible> = &mut rng;
    let mut xs = [0.0; 2];
    fill_uniform(rng, 0.0, 1.0, &mut xs).unwrap();
    shuffle(rng, &mut xs);
}
