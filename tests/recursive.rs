//! Compares recursive least squares with fits of all samples at once, and with
//! textbook Kalman filters, in `f64`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

use baregrad::function::Function;
use baregrad::function::models::{Exponential, Line, Polynomial};
use baregrad::least_squares::{Recursive, Refused};
use baregrad::random::{Uniform, fill_normal, seeded};

type Matrix<const P: usize> = [[f64; P]; P];

/// Inverts a matrix by Gauss–Jordan with pivots.
fn inverse<const P: usize>(mut a: Matrix<P>) -> Matrix<P> {
    let mut b = [[0.0; P]; P];
    (0..P).for_each(|i| b[i][i] = 1.0);
    for j in 0..P {
        let pivot = (j..P)
            .max_by(|m, n| a[*m][j].abs().total_cmp(&a[*n][j].abs()))
            .unwrap();
        a.swap(j, pivot);
        b.swap(j, pivot);
        let by = 1.0 / a[j][j];
        for k in 0..P {
            a[j][k] *= by;
            b[j][k] *= by;
        }
        for i in 0..P {
            let factor = a[i][j];
            if i != j {
                for k in 0..P {
                    a[i][k] -= factor * a[j][k];
                    b[i][k] -= factor * b[j][k];
                }
            }
        }
    }
    b
}

/// A fit of all samples at once: normal equations in `f64`, the prior included.
struct AtOnce<const P: usize> {
    information: Matrix<P>,
    right: [f64; P],
}

impl<const P: usize> AtOnce<P> {
    fn new(params: [f32; P], deviations: [f32; P]) -> Self {
        let mut information = [[0.0; P]; P];
        let mut right = [0.0; P];
        for j in 0..P {
            information[j][j] = f64::from(deviations[j]).powi(-2);
            right[j] = information[j][j] * f64::from(params[j]);
        }
        AtOnce { information, right }
    }

    fn add(&mut self, features: [f32; P], reading: f32, sigma: f32, forgetting: f32) {
        let weight = f64::from(sigma).powi(-2);
        let h = features.map(f64::from);
        for j in 0..P {
            for k in 0..P {
                self.information[j][k] =
                    f64::from(forgetting) * self.information[j][k] + weight * h[j] * h[k];
            }
            self.right[j] =
                f64::from(forgetting) * self.right[j] + weight * h[j] * f64::from(reading);
        }
    }

    fn solve(&self) -> ([f64; P], Matrix<P>) {
        let covariance = inverse(self.information);
        let params = covariance.map(|row| row.iter().zip(&self.right).map(|(a, b)| a * b).sum());
        (params, covariance)
    }
}

/// Asserts that parameters agree to `of_error` standard errors, and covariances to `relative` of
/// the product of two standard errors.
fn assert_same<const P: usize>(
    found: &Recursive<P>,
    (params, covariance): &([f64; P], Matrix<P>),
    of_error: f64,
    relative: f64,
) {
    let errors: [f64; P] = std::array::from_fn(|j| covariance[j][j].sqrt());
    for j in 0..P {
        let off = (f64::from(found.params()[j]) - params[j]).abs();
        assert!(
            off <= of_error * errors[j],
            "parameter {j}: {} {} {}",
            found.params()[j],
            params[j],
            errors[j]
        );
        let error = f64::from(found.standard_errors()[j]);
        assert!(
            (error / errors[j] - 1.0).abs() <= relative,
            "error of {j}: {error} {}",
            errors[j]
        );
        for k in 0..P {
            let covariance_found = f64::from(found.covariance()[j][k]);
            let off = (covariance_found - covariance[j][k]).abs();
            assert!(off <= relative * errors[j] * errors[k], "{j} {k}");
            assert_eq!(found.covariance()[j][k], found.covariance()[k][j]);
        }
    }
}

fn follow_all_samples_at_once(forgetting: f32, compared: &[u32]) {
    let mut rng = seeded(7);
    let inputs = Uniform::new(-2.0, 2.0).unwrap();
    let (start, deviations, sigma) = ([0.5, -0.25, 0.0, 1.0], [3.0, 10.0, 2.0, 0.5], 0.1);
    let mut recursive = Recursive::new(start, deviations, sigma)
        .unwrap()
        .forgetting(forgetting)
        .unwrap();
    let mut at_once = AtOnce::new(start, deviations);
    for n in 1..=2000 {
        let x: f32 = inputs.sample(&mut rng);
        let mut noise = [0.0];
        fill_normal(&mut rng, 0.0, sigma, &mut noise).unwrap();
        let y = Polynomial::<4>::value([x], [1.0, 2.0, -0.5, 0.75]) + noise[0];
        // The two methods that take a sample.
        if n % 2 == 0 {
            recursive.observe::<Polynomial<4>, 1>([x], y).unwrap();
        } else {
            recursive.update(&[1.0, x, x * x, x * x * x], y).unwrap();
        }
        at_once.add([1.0, x, x * x, x * x * x], y, sigma, forgetting);
        if compared.contains(&n) {
            // The sum of n roundings of `f32` is below a hundredth of the noise.
            assert_same(&recursive, &at_once.solve(), 0.01, 2e-4);
        }
    }
}

#[test]
fn without_forgetting_it_is_a_fit_of_all_samples() {
    follow_all_samples_at_once(1.0, &[1, 2, 3, 4, 5, 10, 100, 1000, 2000]);
}

#[test]
fn with_forgetting_it_is_a_fit_of_weighted_samples() {
    // Compared after the prior is forgotten, because the covariance is limited where the first
    // samples do not determine all parameters.
    follow_all_samples_at_once(0.98, &[300, 400, 1000, 2000]);
}

/// The covariance stays positive and accurate for a hundred thousand samples of two nearly equal
/// readings, in which it shrinks from 1e8 to 1e-5.
#[test]
fn the_covariance_stays_positive() {
    let (start, deviations, sigma) = ([0.0, 0.0], [1e4, 1e4], 1.0);
    let mut recursive = Recursive::new(start, deviations, sigma).unwrap();
    let mut at_once = AtOnce::new(start, deviations);
    for n in 0..100_000 {
        let x = 1.0 + 1e-3 * (n % 2) as f32;
        recursive.update(&[1.0, x], 1.0 + x).unwrap();
        at_once.add([1.0, x], 1.0 + x, sigma, 1.0);
        let [a, b] = recursive.standard_errors();
        assert!(a > 0.0 && b > 0.0, "{n}: {a} {b}");
    }
    assert_same(&recursive, &at_once.solve(), 0.01, 0.02);
}

/// With forgetting, equal readings, which do not determine the slope, do not make the covariance
/// grow without bound.
#[test]
fn forgetting_does_not_wind_up() {
    let mut line = Recursive::new([0.0, 0.0], [10.0, 10.0], 0.1)
        .unwrap()
        .forgetting(0.9)
        .unwrap();
    for _ in 0..100_000 {
        line.observe::<Line, 1>([2.0], 5.0).unwrap();
        let [w, b] = line.standard_errors();
        // The bounds are the prior deviation of w, and |x| times as much for b.
        assert!(w <= 10.0 * 1.001 && b <= 21.0, "{w} {b}");
    }
    assert!((Line::value([2.0], line.params()) - 5.0).abs() < 1e-5);
    // Then readings differ.
    for n in 0..200 {
        let x = (n % 5) as f32;
        line.observe::<Line, 1>([x], 3.0 * x - 1.0).unwrap();
    }
    let [w, b] = line.params();
    assert!((w - 3.0).abs() < 1e-4 && (b + 1.0).abs() < 1e-4, "{w} {b}");
}

/// With forgetting, a parameter that changes is followed within about `1 / (1 - factor)` samples.
#[test]
fn forgetting_follows() {
    let run = |forgetting: f32| {
        let mut line = Recursive::new([0.0, 0.0], [10.0, 10.0], 0.1)
            .unwrap()
            .forgetting(forgetting)
            .unwrap();
        for n in 0..600 {
            let (x, w) = ((n % 7) as f32, if n < 300 { 1.0 } else { 2.0 });
            line.observe::<Line, 1>([x], w * x).unwrap();
        }
        line.params()[0]
    };
    assert!((run(0.95) - 2.0).abs() < 1e-3);
    assert!((run(1.0) - 1.5).abs() < 0.05); // Without forgetting it fits both halves.
}

/// A textbook extended Kalman filter in `f64`, in Joseph's form.
struct Textbook<const P: usize> {
    params: [f64; P],
    covariance: Matrix<P>,
}

impl<const P: usize> Textbook<P> {
    fn drift(&mut self, variances: [f32; P]) {
        (0..P).for_each(|j| self.covariance[j][j] += f64::from(variances[j]));
    }

    fn correct(&mut self, h: [f64; P], innovation: f64, sigma: f32) {
        let c = self.covariance;
        let ch: [f64; P] = std::array::from_fn(|i| (0..P).map(|k| c[i][k] * h[k]).sum());
        let r = f64::from(sigma).powi(2);
        let s = r + (0..P).map(|k| ch[k] * h[k]).sum::<f64>();
        let gain = ch.map(|x| x / s);
        let a: Matrix<P> =
            std::array::from_fn(|i| std::array::from_fn(|j| f64::from(i == j) - gain[i] * h[j]));
        self.covariance = std::array::from_fn(|i| {
            std::array::from_fn(|j| {
                let mut sum = r * gain[i] * gain[j];
                for k in 0..P {
                    for m in 0..P {
                        sum += a[i][k] * c[k][m] * a[j][m];
                    }
                }
                sum
            })
        });
        (0..P).for_each(|j| self.params[j] += gain[j] * innovation);
    }
}

#[test]
fn functions_are_followed_as_by_an_extended_kalman_filter() {
    let mut rng = seeded(11);
    let inputs = Uniform::new(0.0, 3.0).unwrap();
    let (start, deviations, sigma): ([f32; 3], [f32; 3], f32) =
        ([1.5, -0.8, 0.1], [0.5, 0.3, 0.3], 0.02);
    let wander = [1e-5_f32, 4e-6, 0.0];
    let mut filter = Recursive::new(start, deviations, sigma).unwrap();
    let mut textbook = Textbook {
        params: start.map(f64::from),
        covariance: std::array::from_fn(|i| {
            std::array::from_fn(|j| f64::from(i == j) * f64::from(deviations[j]).powi(2))
        }),
    };
    for n in 0..1000 {
        let x: f32 = inputs.sample(&mut rng);
        let mut noise = [0.0];
        fill_normal(&mut rng, 0.0, sigma, &mut noise).unwrap();
        let b = -1.0 - 2e-4 * n as f32;
        let y = Exponential::value([x], [2.0, b, 0.5]) + noise[0];

        filter.drift(&wander).unwrap();
        filter.observe::<Exponential, 1>([x], y).unwrap();
        let [a, b, c] = textbook.params;
        let e = (b * f64::from(x)).exp();
        textbook.drift(wander);
        let innovation = f64::from(y) - (a * e + c);
        textbook.correct([e, a * f64::from(x) * e, 1.0], innovation, sigma);
        assert_same(&filter, &(textbook.params, textbook.covariance), 0.02, 1e-3);
    }
    // The filter follows b, which went from -1 to -1.2.
    assert!((filter.params()[1] + 1.2).abs() < 0.05);
}

#[test]
fn drift_adds_to_the_variances_and_to_nothing_else() {
    let mut filter = Recursive::new([0.0; 3], [1.0, 2.0, 3.0], 0.5).unwrap();
    for features in [[1.0, 0.5, 0.25], [1.0, -1.0, 2.0], [0.5, 3.0, 1.0]] {
        filter.update(&features, 1.0).unwrap();
    }
    let (before, added) = (filter.covariance(), [0.25, 0.0, 4.0]);
    filter.drift(&added).unwrap();
    let after = filter.covariance();
    for j in 0..3 {
        for k in 0..3 {
            let expected = before[j][k] + if j == k { added[j] } else { 0.0 };
            assert!((after[j][k] - expected).abs() < 1e-6, "{j} {k}");
        }
    }
    let same = filter;
    assert!(filter.drift(&[0.0, -1.0, 0.0]).is_err());
    assert!(filter.drift(&[0.0, f32::NAN, 0.0]).is_err());
    assert!(filter.drift(&[f32::INFINITY, 0.0, 0.0]).is_err());
    assert!(filter.drift(&[f32::MAX; 3]).is_ok() || filter == same);
}

/// Samples that are not finite, or that would lead to numbers that are not, are refused.
#[test]
fn samples_that_are_no_numbers_change_nothing() {
    for forgetting in [1.0, 0.95] {
        for gate in [4.0, f32::INFINITY] {
            let mut line = Recursive::new([1.0, 2.0], [1.0, 1.0], 0.1)
                .unwrap()
                .forgetting(forgetting)
                .unwrap()
                .gate(gate)
                .unwrap();
            line.observe::<Line, 1>([1.0], 3.1).unwrap();
            let before = line;
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for result in [
                    line.observe::<Line, 1>([bad], 3.0),
                    line.observe::<Line, 1>([1.0], bad),
                    line.update(&[bad, 0.0], 3.0),
                    line.update(&[0.0, bad], 3.0),
                    line.correct(&[bad, bad], 0.0),
                    line.correct(&[1.0, bad], 1.0),
                ] {
                    assert_eq!(result, Err(Refused::NotFinite), "{bad}");
                }
                assert_eq!(line, before);
            }
            // The square overflows.
            assert_eq!(line.update(&[1e30, 1.0], 1.0), Err(Refused::NotFinite));
            assert_eq!(line, before);
            assert!(line.observe::<Line, 1>([1.0], 3.0).is_ok());
        }
    }
    // The parameter would become infinite.
    let mut one = Recursive::new([3e38], [1e15], 1.0).unwrap();
    let before = one;
    assert_eq!(one.correct(&[1e-15], 3e38), Err(Refused::NotFinite));
    assert_eq!(one, before);
}

#[test]
fn outliers_are_refused_by_what_they_should_be_off() {
    for forgetting in [1.0, 0.9] {
        let mut mean = Recursive::new([0.0], [2.0], 1.0)
            .unwrap()
            .gate(3.0)
            .unwrap()
            .forgetting(forgetting)
            .unwrap();
        let before = mean;
        // The standard deviation is √(1 + 2² / forgetting).
        let deviation = (1.0 + 4.0 / forgetting).sqrt();
        match mean.update(&[1.0], 3.001 * deviation) {
            Err(Refused::Outlier {
                innovation,
                deviation: found,
            }) => {
                assert_eq!(innovation, 3.001 * deviation);
                assert!((found / deviation - 1.0).abs() < 1e-6);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(mean, before);
        assert_eq!(
            mean.update(&[1.0], -2.999 * deviation),
            Ok(-2.999 * deviation)
        );
        assert_ne!(mean, before);
    }
    // The order of `gate` and `forgetting` does not matter.
    let new = || Recursive::new([0.0], [1.0], 1.0).unwrap();
    let one = new().gate(3.0).unwrap().forgetting(0.75).unwrap();
    let other = new().forgetting(0.75).unwrap().gate(3.0).unwrap();
    assert_eq!(one, other);
    let message = new().gate(1.0).unwrap().update(&[1.0], 9.0).unwrap_err();
    assert!(message.to_string().contains("1.414"), "{message}");
}

#[test]
fn a_parameter_without_deviation_stays() {
    let mut line = Recursive::new([2.0, 0.0], [0.0, 10.0], 0.1).unwrap();
    for x in [0.0, 1.0, 2.0, 3.0] {
        line.observe::<Line, 1>([x], 3.0 * x + 1.0).unwrap();
    }
    let [w, b] = line.params();
    assert_eq!(w, 2.0);
    assert!((b - 2.5).abs() < 1e-3, "{b}"); // the mean of 1, 2, 3, 4
    assert_eq!(line.standard_errors()[0], 0.0);
}

#[test]
fn state_goes_on_where_it_was_saved() {
    let new = || {
        Recursive::new([0.0; 4], [1.0, 2.0, 3.0, 4.0], 0.25)
            .unwrap()
            .forgetting(0.97)
            .unwrap()
    };
    let mut running = new();
    let sample = |n: u32| {
        let x = 0.1 * (n % 17) as f32;
        ([1.0, x, x * x, x * x * x], (n % 3) as f32)
    };
    for n in 0..100 {
        let (features, y) = sample(n);
        running.update(&features, y).unwrap();
    }
    let mut kept = [f32::NAN; Recursive::<4>::STATE];
    running.save(&mut kept).unwrap();
    let mut restored = new();
    restored.restore(&kept).unwrap();
    for n in 100..200 {
        let (features, y) = sample(n);
        running.update(&features, y).unwrap();
        restored.update(&features, y).unwrap();
    }
    assert_eq!(running, restored);

    // An invalid state is refused.
    let before = restored;
    assert!(restored.restore(&kept[1..]).is_err());
    assert!(restored.save(&mut kept[1..]).is_err());
    for k in 0..kept.len() {
        let mut broken = kept;
        broken[k] = f32::NAN;
        assert!(restored.restore(&broken).is_err(), "{k}");
    }
    kept[4] = -1.0; // the first variance
    let error = restored.restore(&kept).unwrap_err();
    assert_eq!(
        error.to_string(),
        "saved state: expected variances of 0 or more, found -1"
    );
    assert_eq!(restored, before);
}

#[test]
fn nonsense_is_refused_from_the_start() {
    let bad = [f32::NAN, f32::INFINITY, -1.0];
    assert!(Recursive::new([f32::NAN], [1.0], 1.0).is_err());
    for bad in bad {
        assert!(Recursive::new([0.0], [bad], 1.0).is_err(), "{bad}");
        assert!(Recursive::new([0.0], [1.0], bad).is_err(), "{bad}");
    }
    assert!(Recursive::new([0.0], [1e20], 1.0).is_err()); // its square is infinite
    assert!(Recursive::new([0.0], [1.0], 1e-30).is_err());
    assert!(Recursive::new([0.0], [1.0], 0.0).is_err());
    let good = Recursive::new([0.0], [1.0], 1.0).unwrap();
    for bad in [f32::NAN, 0.0, 0.5, 1.001, -0.9] {
        assert!(good.forgetting(bad).is_err(), "{bad}");
    }
    for bad in [f32::NAN, 0.0, -3.0] {
        assert!(good.gate(bad).is_err(), "{bad}");
    }
}
