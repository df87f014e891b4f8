//! Levenberg–Marquardt: NIST's certified values, closed forms, and data that are hard.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

#[path = "../examples/nist/models.rs"]
mod models;
#[path = "../examples/nist/set.rs"]
mod set;

use baregrad::function;
use baregrad::function::models::{Exponential, Line, Logistic, Polynomial, Sphere};
use baregrad::least_squares::{CurveFit, LevenbergMarquardt, Problem, Row, Solution, Status};
use baregrad::random::{fill_normal, seeded};
use set::{Precision, Run, Set};

function! {
    /// The thermometer, with the scale of its readings.
    fn Thermometer([t_u], [w, b]) { w * (0.1 * t_u) + b }
}

const T_U: [f32; 11] = [
    35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4,
];
const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];

fn nist() -> Vec<Set> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/nist");
    let files = std::fs::read_dir(folder).unwrap();
    let read = |file: std::io::Result<std::fs::DirEntry>| {
        Set::parse(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap()
    };
    files.map(read).collect()
}

/// Every run that says that it has converged has the digits. The one that does not converge
/// is the one that is known to lead into a flat region.
fn assert_certified(precision: Precision, least: [f64; 2], mean: [f64; 2]) {
    let sets = nist();
    assert_eq!(sets.len(), 9);
    let (mut sums, mut converged) = ([0.0; 2], 0);
    for set in &sets {
        for start in 0..2 {
            let run = set.run(start, precision).unwrap();
            let Run { status, passes, .. } = run;
            let name = format!(
                "{} from start {}: {status}, {passes} passes",
                set.name,
                start + 1
            );
            if set.name == "MGH17" && start == 0 {
                assert_ne!(run.status, Status::Converged, "{name}");
                continue;
            }
            assert_eq!(run.status, Status::Converged, "{name}");
            for k in 0..2 {
                assert!(run.digits[k] >= least[k], "{name}: {:.2?}", run.digits);
                sums[k] += run.digits[k];
            }
            converged += 1;
        }
    }
    assert_eq!(converged, 17);
    let means = sums.map(|sum| sum / 17.0);
    assert!(means[0] >= mean[0] && means[1] >= mean[1], "{means:.2?}");
}

#[test]
fn nists_parameters_have_four_digits_and_their_errors_three() {
    assert_certified(Precision::Pairs, [5.5, 4.7], [6.8, 5.9]);
}

#[test]
fn so_they_have_if_residuals_are_computed_in_f32() {
    assert_certified(Precision::Single, [5.0, 4.0], [6.1, 5.4]);
}

/// Closed forms, in `f64`.
#[test]
fn thermometer_is_solved_completely() {
    let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&CurveFit::new(Thermometer, &T_U, &T_C));
    let [w, b] = solution.params();
    assert!((f64::from(w) - 5.367_719_21).abs() < 2e-6, "{w}");
    assert!((f64::from(b) + 17.304_785_5).abs() < 1e-5, "{b}");
    let mean = f64::from(solution.sum_of_squares()) / 11.0;
    assert!((mean - 2.927_645_57).abs() < 1e-6, "{mean}");
    let [w, b] = solution.standard_errors().unwrap();
    assert!((f64::from(w) - 0.355_386).abs() < 1e-6, "{w}");
    assert!((f64::from(b) - 1.927_227).abs() < 5e-6, "{b}");
    assert_eq!(solution.status(), Status::Converged);
    assert_eq!(solution.degrees_of_freedom(), 9);
    // The sums, and those at the minimum: a line is known to be straight.
    assert_eq!(solution.passes(), 2);
}

#[test]
fn starts_far_away_lead_to_the_same_line() {
    let problem = CurveFit::new(Thermometer, &T_U, &T_C);
    for start in [
        [0.0, 0.0],
        [-1e6, 1e6],
        [1e10, 0.0],
        [1e-20, 1e-20],
        [0.0, -3e8],
    ] {
        let solution = LevenbergMarquardt::new(start).run(&problem);
        let [w, b] = solution.params();
        assert!(solution.is_converged(), "{start:?}: {}", solution.status());
        assert!(
            (w - 5.367_719).abs() < 2e-4 && (b + 17.304_79).abs() < 2e-4,
            "{start:?}"
        );
    }
}

/// Readings and results in any unit give the same digits.
#[test]
fn units_do_not_matter() {
    for (of_x, of_y) in [
        (1e-12, 1.0),
        (1e12, 1e-12),
        (1e18, 1e18),
        (3e-19, 1e17),
        (1.0, 1e-25),
        (1e-18, 1e-18),
    ] {
        let (x, y) = (T_U.map(|x| x * of_x), T_C.map(|y| y * of_y));
        let solution = LevenbergMarquardt::new([0.0, 0.0]).run(&CurveFit::new(Line, &x, &y));
        let [w, b] = solution.params();
        let (w, b) = (w * of_x / of_y, b / of_y);
        let name = format!("{of_x:e} {of_y:e}: {} {w} {b}", solution.status());
        assert!(solution.is_converged(), "{name}");
        assert!(
            (w - 0.536_771_9).abs() < 5e-6 && (b + 17.304_79).abs() < 2e-4,
            "{name}"
        );
        let [w, _] = solution.standard_errors().unwrap();
        assert!((w * of_x / of_y - 0.035_538_6).abs() < 1e-6, "{name}: {w}");
    }
}

/// Ended as an exact fit, at these parameters but for a unit or two in the last place.
fn assert_exact<const P: usize>(solution: Solution<P>, expected: [f32; P]) {
    let params = solution.params();
    let near = |(found, expected): (&f32, &f32)| (found - expected).abs() <= 5e-7;
    assert!(
        params.iter().zip(&expected).all(near),
        "{params:?} {expected:?}"
    );
    assert_eq!(solution.status(), Status::Exact);
}

#[test]
fn exact_fits_end() {
    let x: [f32; 20] = core::array::from_fn(|i| i as f32 * 0.25 - 2.0);
    let line = x.map(|x| 3.0 * x - 0.5);
    let solution = LevenbergMarquardt::new([0.0; 2]).run(&CurveFit::new(Line, &x, &line));
    assert_exact(solution, [3.0, -0.5]);

    let parabola = x.map(|x| 1.0 + x * (2.0 + x * -0.5));
    let solution =
        LevenbergMarquardt::new([0.0; 3]).run(&CurveFit::new(Polynomial::<3>, &x, &parabola));
    assert_exact(solution, [1.0, 2.0, -0.5]);

    let decay = x.map(|x| 2.0 * (-0.7 * x).exp() + 1.0);
    let solution =
        LevenbergMarquardt::new([1.0, -0.1, 0.0]).run(&CurveFit::new(Exponential, &x, &decay));
    let [a, b, c] = solution.params();
    assert!(solution.is_converged(), "{}", solution.status());
    assert!((a - 2.0).abs() < 1e-5 && (b + 0.7).abs() < 1e-5 && (c - 1.0).abs() < 2e-5);

    // All at the solution from the start, and nothing but zeros.
    let solution = LevenbergMarquardt::new([3.0, -0.5]).run(&CurveFit::new(Line, &x, &line));
    assert_exact(solution, [3.0, -0.5]);
    let solution = LevenbergMarquardt::new([3.0, -0.5]).run(&CurveFit::new(Line, &x, &[0.0; 20]));
    assert_exact(solution, [0.0, 0.0]);
}

#[test]
fn as_many_rows_as_parameters_are_enough_and_fewer_are_not() {
    let solution =
        LevenbergMarquardt::new([0.0; 2]).run(&CurveFit::new(Line, &[1.0, 2.0], &[3.0, 5.0]));
    assert_exact(solution, [2.0, 1.0]);
    assert!(solution.residual_standard_deviation().is_nan());

    let solution = LevenbergMarquardt::new([0.5; 2]).run(&CurveFit::new(Line, &[1.0], &[3.0]));
    assert_eq!(
        (solution.params(), solution.status()),
        ([0.5; 2], Status::TooFewRows)
    );
    assert_eq!(solution.standard_errors(), None);
}

#[test]
fn parameters_that_data_say_nothing_about_are_named() {
    // All readings equal: slope and constant cannot be told apart.
    let problem = CurveFit::new(Line, &[2.0; 4], &[1.0, 2.0, 3.0, 4.0]);
    let solution = LevenbergMarquardt::new([0.0; 2]).run(&problem);
    assert_eq!(solution.status(), Status::Singular { parameter: 1 });
    let [w, b] = solution.params();
    assert!((2.0 * w + b - 2.5).abs() < 1e-3, "{w} {b}"); // the best so far
    assert_eq!(solution.covariance(), None);
    assert!(
        solution
            .status()
            .to_string()
            .contains("say nothing about parameter 1")
    );

    // Two different readings do not determine a parabola.
    let problem = CurveFit::new(
        Polynomial::<3>,
        &[1.0, 1.0, 2.0, 2.0],
        &[1.0, 2.0, 3.0, 4.0],
    );
    let solution = LevenbergMarquardt::new([0.0; 3]).run(&problem);
    assert_eq!(solution.status(), Status::Singular { parameter: 2 });
}

/// A parabola far from the origin: there its terms are nearly combinations of each other.
#[test]
fn parameters_that_are_hardly_told_apart_are_named() {
    let x: [f32; 20] = core::array::from_fn(|i| i as f32);
    let y: [f32; 20] = core::array::from_fn(|i| 0.01 * (i * i) as f32 + ((i * 7) % 5) as f32);
    let status_at = |from: f32| {
        let x = x.map(|x| x + from);
        let problem = CurveFit::new(Polynomial::<3>, &x, &y);
        LevenbergMarquardt::new([0.0; 3]).run(&problem).status()
    };
    assert_eq!(status_at(0.0), Status::Converged);
    assert_eq!(status_at(1000.0), Status::IllConditioned { parameter: 2 });
    assert_eq!(status_at(100_000.0), Status::Singular { parameter: 2 });
}

#[test]
fn numbers_that_are_none_are_named_by_row() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for k in [0, 3, 10] {
            let (mut x, mut y) = (T_U, T_C);
            x[k] = bad;
            let start = [1.0, 0.0];
            let solution = LevenbergMarquardt::new(start).run(&CurveFit::new(Line, &x, &T_C));
            assert_eq!(solution.status(), Status::NotFinite { row: k });
            assert_eq!(solution.params(), start);
            y[k] = bad;
            let solution = LevenbergMarquardt::new(start).run(&CurveFit::new(Line, &T_U, &y));
            assert_eq!(solution.status(), Status::NotFinite { row: k });
        }
    }
    // The model is no number at the start.
    let problem = CurveFit::new(Exponential, &T_U, &T_C);
    let solution = LevenbergMarquardt::new([1.0, 100.0, 0.0]).run(&problem);
    assert_eq!(solution.status(), Status::NotFinite { row: 0 });
}

/// Lengths that do not fit are not cut to the shortest.
#[test]
fn rows_of_which_something_is_missing_are_named() {
    let status = |x: &[f32], y: &[f32], sigma: &[f32]| {
        let problem = CurveFit::<_, 1>::new(Line, x, y).sigma(sigma);
        LevenbergMarquardt::new([1.0, 0.0]).run(&problem).status()
    };
    let not_finite = Status::NotFinite { row: 8 };
    assert_eq!(status(&T_U[..8], &T_C, &[]), not_finite);
    assert_eq!(status(&T_U, &T_C[..8], &[]), not_finite);
    assert_eq!(status(&T_U, &T_C, &[1.0; 8]), not_finite);
    assert_eq!(status(&T_U[..8], &T_C[..8], &[1.0; 11]), not_finite);
    assert_eq!(status(&T_U, &T_C, &[1.0; 11]), Status::Converged);

    // Half a row of inputs.
    let problem = CurveFit::<_, 3>::new(Sphere, &[1.0; 3 * 8 + 1], &[1.0; 8]);
    let solution = LevenbergMarquardt::new([1.0; 4]).run(&problem);
    assert_eq!(solution.status(), not_finite);
}

/// As scipy's `curve_fit` with `sigma`: closed forms of a weighted line.
#[test]
fn weights_are_those_of_standard_deviations() {
    let x = [0.0, 1.0, 2.0, 3.0, 4.0];
    let y = [1.0, 2.9, 5.2, 6.8, 9.5];
    let sigma = [0.1, 0.2, 0.1, 0.4, 0.2];
    let (mut s, mut sx, mut sy, mut sxx, mut sxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for ((x, y), sigma) in x.iter().zip(&y).zip(&sigma) {
        let (x, y) = (f64::from(*x as f32), f64::from(*y as f32));
        let weight = f64::from(1.0 / (*sigma as f32)).powi(2);
        s += weight;
        sx += weight * x;
        sy += weight * y;
        sxx += weight * x * x;
        sxy += weight * x * y;
    }
    let determinant = s * sxx - sx * sx;
    let expected = [
        (s * sxy - sx * sy) / determinant,
        (sxx * sy - sx * sxy) / determinant,
    ];
    let errors = [(s / determinant).sqrt(), (sxx / determinant).sqrt()];

    let [x, y, sigma] = [x, y, sigma].map(|numbers| numbers.map(|x| x as f32));
    let problem = CurveFit::new(Line, &x, &y).sigma(&sigma);
    let solution = LevenbergMarquardt::new([0.0; 2]).run(&problem);
    let absolute = solution.absolute_sigma();
    let relative = f64::from(solution.residual_standard_deviation());
    for k in 0..2 {
        let near = |found: f32, expected: f64| {
            assert!(
                (f64::from(found) / expected - 1.0).abs() < 1e-5,
                "{found} {expected}"
            );
        };
        near(solution.params()[k], expected[k]);
        near(absolute.standard_errors().unwrap()[k], errors[k]);
        near(solution.standard_errors().unwrap()[k], relative * errors[k]);
        near(absolute.covariance().unwrap()[k][k], errors[k] * errors[k]);
    }
}

/// Many fits to data with the same noise: as many lie within one standard error and within
/// two as normal numbers do.
#[test]
fn standard_errors_are_how_far_off_parameters_are() {
    let x: [f32; 40] = core::array::from_fn(|i| i as f32 * 0.25 - 5.0);
    let (truth, noise) = ([3.0, 1.2, 0.5], 0.05);
    let mut rng = seeded(3);
    let mut within = [[0; 2]; 3];
    const FITS: usize = 2000;
    for _ in 0..FITS {
        let mut y = [0.0; 40];
        fill_normal(&mut rng, 0.0, noise, &mut y).unwrap();
        for (y, x) in y.iter_mut().zip(x) {
            *y += <Logistic as function::Function<1, 3>>::value([x], truth);
        }
        let solution =
            LevenbergMarquardt::new([2.0, 1.0, 0.0]).run(&CurveFit::new(Logistic, &x, &y));
        assert!(solution.is_converged(), "{}", solution.status());
        let errors = solution.standard_errors().unwrap();
        for (k, counts) in within.iter_mut().enumerate() {
            let off = (solution.params()[k] - truth[k]).abs() / errors[k];
            counts[0] += usize::from(off < 1.0);
            counts[1] += usize::from(off < 2.0);
        }
    }
    for [one, two] in within {
        // 68.3 % and 95.4 %, and four standard deviations of such counts. t-distributed.
        let (one, two) = (one as f64 / FITS as f64, two as f64 / FITS as f64);
        assert!(
            (one - 0.676).abs() < 0.042 && (two - 0.947).abs() < 0.02,
            "{one} {two}"
        );
    }
}

/// Rows that are no function of a sample, asked for one by one, with the default slope.
struct Rosenbrock;
impl Problem<2> for Rosenbrock {
    type Scalar = f32;
    fn rows(&self) -> usize {
        2
    }
    fn row(&self, i: usize, &[a, b]: &[f32; 2]) -> Row<2> {
        let (residual, derivatives) = match i {
            0 => (10.0 * (b - a * a), [-20.0 * a, 10.0]),
            _ => (1.0 - a, [-1.0, 0.0]),
        };
        Row {
            residual,
            derivatives,
            rounding: 1e-6,
        }
    }
}

#[test]
fn any_residuals_will_do() {
    let solution = LevenbergMarquardt::new([-1.2, 1.0]).run(&Rosenbrock);
    assert_eq!(solution.status(), Status::Exact);
    let [a, b] = solution.params();
    assert!((a - 1.0).abs() < 1e-5 && (b - 1.0).abs() < 1e-5, "{a} {b}");
}

#[test]
fn polling_is_running_and_can_be_stopped() {
    let set = nist()
        .into_iter()
        .find(|set| set.name == "Thurber")
        .unwrap();
    let x = &set.x[0];
    let problem = CurveFit::<_, 1>::new(models::Cubics, x, &set.y[0]);
    let start: [f32; 7] = core::array::from_fn(|k| set.starts[0][k] as f32);
    let run: Solution<7> = LevenbergMarquardt::new(start).run(&problem);

    let mut polled = LevenbergMarquardt::new(start);
    let mut polls = 0;
    let status = loop {
        if let Some(status) = polled.poll(&problem) {
            break status;
        }
        polls += 1;
        assert!(polled.params().iter().all(|p| p.is_finite()));
    };
    assert_eq!((status, polled.params()), (run.status(), run.params()));
    assert!(polls <= polled.passes());
    // Once ended, it stays so.
    assert_eq!(polled.poll(&problem), Some(status));
    assert_eq!(polled.run(&problem), run);

    let cut = LevenbergMarquardt::new(start).max_passes(4).run(&problem);
    assert_eq!((cut.status(), cut.passes()), (Status::MaxPasses, 4));
    assert!(!cut.is_converged());
}
