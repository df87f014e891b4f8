//! Tests of Levenberg–Marquardt with NIST's certified values, closed forms, and difficult data.

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
use baregrad::function::Function;
use baregrad::function::models::{Exponential, Line, Logistic, Polynomial, Sphere};
use baregrad::least_squares::{
    Counts, CurveFit, FitRows, Held, LevenbergMarquardt, Outlier, Problem, Recorded, Restarted,
    Robust, RobustFit, RobustLoss, Row, Rows, Sample, Solution, Status, outliers, residual_scale,
};
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

/// Asserts that every run that reports convergence has the certified digits. One run does not
/// converge, because it leads into a flat region.
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

/// The thermometer agrees with closed forms in `f64`.
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
    // One pass is enough, because a line is a linear problem, and rounding hardly affects these
    // residuals.
    assert_eq!(solution.passes(), 1);
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

/// The digits do not depend on the units of readings and results.
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

/// Asserts that a solution is an exact fit with these parameters, up to a unit or two in the last
/// place.
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

    // A start at the solution, and data that are all zeros.
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
    // Equal readings do not determine slope and constant.
    let problem = CurveFit::new(Line, &[2.0; 4], &[1.0, 2.0, 3.0, 4.0]);
    let solution = LevenbergMarquardt::new([0.0; 2]).run(&problem);
    assert_eq!(solution.status(), Status::Singular { parameter: 1 });
    let [w, b] = solution.params();
    assert!((2.0 * w + b - 2.5).abs() < 1e-3, "{w} {b}"); // The best parameters are kept.
    assert_eq!(solution.covariance(), None);
    assert!(
        solution
            .status()
            .to_string()
            .contains("say nothing about parameter 1")
    );

    // Two distinct readings do not determine a parabola.
    let problem = CurveFit::new(
        Polynomial::<3>,
        &[1.0, 1.0, 2.0, 2.0],
        &[1.0, 2.0, 3.0, 4.0],
    );
    let solution = LevenbergMarquardt::new([0.0; 3]).run(&problem);
    assert_eq!(solution.status(), Status::Singular { parameter: 2 });
}

/// Far from the origin the terms of a parabola are nearly dependent, and the status names one.
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
    // The model is not finite at the start.
    let problem = CurveFit::new(Exponential, &T_U, &T_C);
    let solution = LevenbergMarquardt::new([1.0, 100.0, 0.0]).run(&problem);
    assert_eq!(solution.status(), Status::NotFinite { row: 0 });
}

/// Slices of different lengths are an error, and are not cut to the shortest.
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

    // The last row of inputs is incomplete.
    let problem = CurveFit::<_, 3>::new(Sphere, &[1.0; 3 * 8 + 1], &[1.0; 8]);
    let solution = LevenbergMarquardt::new([1.0; 4]).run(&problem);
    assert_eq!(solution.status(), not_finite);
}

/// Weights act like scipy's `sigma` in `curve_fit`, by closed forms of a weighted line.
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

/// Parameters of many noisy fits lie within one and two standard errors as often as normal numbers.
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
        // 68.3 % and 95.4 %, within four standard deviations of such counts.
        let (one, two) = (one as f64 / FITS as f64, two as f64 / FITS as f64);
        assert!(
            (one - 0.676).abs() < 0.042 && (two - 0.947).abs() < 0.02,
            "{one} {two}"
        );
    }
}

/// A problem whose rows are not samples of one function, with the default methods.
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
    // A solver that has ended stays ended.
    assert_eq!(polled.poll(&problem), Some(status));
    assert_eq!(polled.run(&problem), run);

    let cut = LevenbergMarquardt::new(start).max_passes(4).run(&problem);
    assert_eq!((cut.status(), cut.passes()), (Status::MaxPasses, 4));
    assert!(!cut.is_converged());
}

// ---- linear problems --------------------------------------------------------

#[test]
fn models_linear_in_their_parameters_are_known() {
    fn is_linear<F: Function<X, P>, const X: usize, const P: usize>(_: F) -> bool {
        F::is_linear()
    }
    function! { fn Chosen([x], [a, b]) { (a * x).where_(x.lt(x.number(0.5)), b * x.exp() / 3.0) } }
    function! { fn Kinked([x], [a, b]) { x.where_(a.lt(b), -x) } }
    function! { fn Larger([x], [a, b]) { a.maximum(b) + x } }
    function! { fn Ratio([x], [a, b]) { a * x / b } }
    function! { fn Product([x], [a, b]) { a * (b + x) } }
    function! { fn Constants([x], [a, b]) { a + b * x.powi(3) / (1.0 + x.exp()) - 2.0 } }
    assert!(is_linear(Line) && is_linear(Polynomial::<7>) && is_linear(Thermometer));
    assert!(is_linear(Chosen) && is_linear(Constants));
    assert!(!is_linear(Kinked) && !is_linear(Larger) && !is_linear(Ratio));
    assert!(!is_linear(Product) && !is_linear(Exponential) && !is_linear(Sphere));
}

/// A problem has the same solution whether or not it is known to be linear.
#[test]
fn linear_problems_need_one_pass_and_have_the_same_solution() {
    struct Unknown<'a>(CurveFit<'a, Thermometer, 1>);
    impl Problem<2> for Unknown<'_> {
        type Scalar = f32;
        fn rows(&self) -> usize {
            self.0.rows()
        }
        fn row(&self, i: usize, p: &[f32; 2]) -> Row<2> {
            self.0.row(i, p)
        }
    }
    let known = CurveFit::new(Thermometer, &T_U, &T_C);
    let quick = LevenbergMarquardt::new([1.0, 0.0]).run(&known);
    let slow = LevenbergMarquardt::new([1.0, 0.0]).run(&Unknown(known));
    assert_eq!((quick.passes(), slow.passes()), (1, 3));
    assert_eq!(quick.status(), slow.status());
    for k in 0..2 {
        near(quick.params()[k], f64::from(slow.params()[k]), 1.2e-7);
        let errors = [quick, slow].map(|solution| solution.standard_errors().unwrap()[k]);
        near(errors[0], f64::from(errors[1]), 3e-7);
    }
}

/// If residuals are small or the start is far away, one pass is not enough, and the solver takes a
/// second one.
#[test]
fn linear_problems_that_rounding_has_a_part_in_are_looked_at_again() {
    let x = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
    // The line is 2 x + 1. The residuals have the sum 0, and so have their products with x.
    let off = [1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0];
    for (size, start, once) in [
        (0.25, 0.0, true),
        (0.25, 1e4, false),
        (0.000_488_281_25, 0.0, false),
    ] {
        let y: [f32; 8] = std::array::from_fn(|i| 2.0 * x[i] + 1.0 + size * off[i]);
        let solution = LevenbergMarquardt::new([start, start]).run(&CurveFit::new(Line, &x, &y));
        assert_eq!(solution.status(), Status::Converged);
        assert_eq!(solution.passes() == 1, once, "{size} {start}");
        near(solution.params()[0], 2.0, 1.2e-7);
        near(solution.params()[1], 1.0, 1.2e-7);
        near(
            solution.sum_of_squares(),
            8.0 * f64::from(size * size),
            2e-6,
        );
    }
}

fn near(found: f32, expected: f64, tolerance: f64) {
    let off = (f64::from(found) - expected).abs();
    assert!(off <= tolerance * expected.abs(), "{found} {expected}");
}

// ---- bounds, fixed parameters, sigmas: values of tests/golden/least_squares.py -------------

#[test]
fn sigmas_are_scipys() {
    let sigma = [0.5, 1.0, 1.0, 2.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 2.0];
    let problem = CurveFit::new(Thermometer, &T_U, &T_C).sigma(&sigma);
    let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&problem);
    let relative = solution.standard_errors().unwrap();
    let absolute = solution.absolute_sigma().standard_errors().unwrap();
    for (found, expected) in [
        (solution.params(), [4.97458095, -15.6125756]),
        (relative, [0.444477648, 1.99033582]),
        (absolute, [0.201028787, 0.900191039]),
    ] {
        for k in 0..2 {
            near(found[k], expected[k], 5e-7);
        }
    }
}

const NONE: f32 = f32::INFINITY;

#[test]
fn bounds_are_kept_and_named() {
    let readings = CurveFit::new(Thermometer, &T_U, &T_C);
    let at_lower = Status::AtBound { parameter: 1 };
    let at_upper = Status::AtBound { parameter: 0 };
    for (start, lower, upper, expected, status, held) in [
        (
            [1.0, 0.0],
            [-NONE, -15.0],
            [NONE; 2],
            [4.961748, -15.0],
            at_lower,
            [Held::Free, Held::AtLower],
        ),
        (
            [1.0, 0.0],
            [-NONE; 2],
            [5.0, NONE],
            [5.0, -15.4000009],
            at_upper,
            [Held::AtUpper, Held::Free],
        ),
        (
            [5.6, -14.0],
            [5.5, -17.0],
            [6.0, -10.0],
            [5.5, -17.0],
            at_upper,
            [Held::AtLower, Held::AtLower],
        ),
        // Bounds that are not active.
        (
            [1.0, 0.0],
            [0.0, -20.0],
            [6.0, 0.0],
            [5.36771921, -17.3047855],
            Status::Converged,
            [Held::Free; 2],
        ),
        // A start outside of the bounds.
        (
            [9.0, 9.0],
            [0.0, -15.0],
            [6.0, 0.0],
            [4.961748, -15.0],
            at_lower,
            [Held::Free, Held::AtLower],
        ),
    ] {
        let solution = LevenbergMarquardt::new(start)
            .bounds(lower, upper)
            .run(&readings);
        let name = format!(
            "{lower:?} {upper:?}: {} {:?}",
            solution.status(),
            solution.params()
        );
        assert_eq!(
            (solution.status(), solution.held()),
            (status, held),
            "{name}"
        );
        assert!(solution.is_converged());
        for k in 0..2 {
            near(solution.params()[k], expected[k], 5e-7);
            assert!(
                (lower[k]..=upper[k]).contains(&solution.params()[k]),
                "{name}"
            );
            let error = solution.standard_errors().unwrap()[k];
            assert_eq!(error == 0.0, held[k] != Held::Free, "{name}");
        }
    }
    let text = Status::AtBound { parameter: 1 }.to_string();
    assert_eq!(text, "converged, with parameter 1 at a bound");
}

#[test]
fn bounds_that_are_none_are_named() {
    let readings = CurveFit::new(Thermometer, &T_U, &T_C);
    for (lower, upper) in [
        ([0.0, 2.0], [1.0, 1.0]),
        ([0.0, f32::NAN], [1.0; 2]),
        ([0.0; 2], [1.0, f32::NAN]),
    ] {
        let solution = LevenbergMarquardt::new([0.5, 0.5])
            .bounds(lower, upper)
            .run(&readings);
        assert_eq!(solution.status(), Status::InvalidBounds { parameter: 1 });
        assert!(!solution.is_converged());
    }
}

const S_X: [f32; 12] = [
    -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5,
];
const S_Y: [f32; 12] = [
    0.21, 0.3, 0.52, 0.71, 1.02, 1.38, 1.79, 2.11, 2.4, 2.55, 2.76, 2.83,
];

#[test]
fn bounds_of_a_curve_are_kept() {
    let problem = CurveFit::new(Logistic, &S_X, &S_Y);
    let solution = LevenbergMarquardt::new([2.0, 1.0, 0.0])
        .bounds([0.0; 3], [2.5, NONE, 1.0])
        .run(&problem);
    assert_eq!(solution.status(), Status::AtBound { parameter: 0 });
    for (k, expected) in [2.5, 1.35767429, 0.212142426].into_iter().enumerate() {
        near(solution.params()[k], expected, 2e-5);
    }
    // The same in pairs.
    let pairs = LevenbergMarquardt::new([2.0, 1.0, 0.0])
        .bounds([0.0; 3], [2.5, NONE, 1.0])
        .run(&problem.in_pairs());
    assert_eq!(pairs.held(), [Held::AtUpper, Held::Free, Held::Free]);
    near(pairs.params()[1], 1.35767429, 2e-5);
}

#[test]
fn fixed_parameters_stay_and_are_not_estimated() {
    let readings = CurveFit::new(Thermometer, &T_U, &T_C);
    for (start, fixed, expected, errors) in [
        (
            [1.0, -15.0],
            [false, true],
            [4.961748, -15.0],
            [0.107411694, 0.0],
        ),
        (
            [5.0, 1.0],
            [true, false],
            [5.0, -15.4000009],
            [0.0, 0.572355539],
        ),
    ] {
        let solution = LevenbergMarquardt::new(start).fixed(fixed).run(&readings);
        assert_eq!(solution.status(), Status::Converged);
        assert_eq!((solution.degrees_of_freedom(), solution.passes()), (10, 1));
        for k in 0..2 {
            near(solution.params()[k], expected[k], 3e-7);
            near(solution.standard_errors().unwrap()[k], errors[k], 1e-6);
            let held = if fixed[k] { Held::Fixed } else { Held::Free };
            assert_eq!(solution.held()[k], held);
        }
    }
    let solution = LevenbergMarquardt::new([2.0, 1.0, 0.0])
        .fixed([false, true, false])
        .run(&CurveFit::new(Logistic, &S_X, &S_Y));
    assert_eq!(solution.status(), Status::Converged);
    let errors = solution.standard_errors().unwrap();
    for (k, (p, error)) in [
        (2.99551124, 0.0169685366),
        (1.0, 0.0),
        (0.638969616, 0.0206913905),
    ]
    .into_iter()
    .enumerate()
    {
        near(solution.params()[k], p, 1e-6);
        near(errors[k], error, 2e-5);
    }

    // All parameters are fixed: the solution has only residuals.
    let solution = LevenbergMarquardt::new([5.0, -15.0])
        .fixed([true; 2])
        .run(&readings);
    assert_eq!(solution.params(), [5.0, -15.0]);
    assert!(solution.is_converged());
    // One row is enough for one free parameter.
    let solution = LevenbergMarquardt::new([1.0, 0.5])
        .fixed([false, true])
        .run(&CurveFit::new(Line, &[2.0], &[4.5]));
    assert_exact(solution, [2.0, 0.5]);
    // A fixed parameter, and another at its bound.
    let solution = LevenbergMarquardt::new([2.0, 1.0, 0.0])
        .bounds([0.0; 3], [2.5, NONE, 1.0])
        .fixed([false, true, false])
        .run(&CurveFit::new(Logistic, &S_X, &S_Y));
    assert_eq!(solution.held()[..2], [Held::AtUpper, Held::Fixed]);
}

/// A parameter that the data do not determine is named, even if others are fixed.
#[test]
fn undetermined_parameters_are_named_whatever_is_held() {
    let x = [2.0; 4];
    let problem = CurveFit::new(Polynomial::<3>, &x, &[1.0, 2.0, 3.0, 4.0]);
    let solution = LevenbergMarquardt::new([0.0; 3]).run(&problem);
    assert_eq!(solution.status(), Status::Singular { parameter: 1 });
    assert_eq!(
        solution.held(),
        [Held::Free, Held::Undetermined, Held::Undetermined]
    );
    near(solution.params()[0], 2.5, 1e-6);
    let solution = LevenbergMarquardt::new([0.0; 3])
        .fixed([true, false, false])
        .run(&problem);
    assert_eq!(solution.status(), Status::Singular { parameter: 2 });
    near(solution.params()[1], 1.25, 1e-6);

    // Two equal exponentials, a nonlinear problem.
    function! { fn Twice([x], [a, b, c]) { a * (b * x).exp() + c * (b * x).exp() } }
    let x: [f32; 9] = core::array::from_fn(|i| i as f32 * 0.25);
    let y = x.map(|x| 2.0 * (-x).exp() + 0.01 * (7.0 * x).sin());
    let solution = LevenbergMarquardt::new([1.0, -0.8, 1.0]).run(&CurveFit::new(Twice, &x, &y));
    assert_eq!(solution.status(), Status::Singular { parameter: 2 });
    assert_eq!(solution.held()[2], Held::Undetermined);
}

// ---- outliers ---------------------------------------------------------------

fn off_by(row: usize, by: f32) -> [f32; 11] {
    let mut y = T_C;
    y[row] += by;
    y
}

const LOSSES: [RobustLoss; 4] = [
    RobustLoss::Huber,
    RobustLoss::SoftL1,
    RobustLoss::Cauchy,
    RobustLoss::Tukey,
];

/// Losses agree with their definitions, with `rho(0) = 0` and `rho'(0) = 1`, and weights are their
/// derivatives.
#[test]
fn losses_are_what_they_are_called() {
    for loss in LOSSES {
        let rho = |z: f64| match loss {
            RobustLoss::Huber => {
                if z <= 1.0 {
                    z
                } else {
                    2.0 * z.sqrt() - 1.0
                }
            }
            RobustLoss::SoftL1 => 2.0 * ((1.0 + z).sqrt() - 1.0),
            RobustLoss::Cauchy => z.ln_1p(),
            RobustLoss::Tukey => (1.0 - (1.0 - z.min(1.0)).powi(3)) / 3.0,
        };
        assert_eq!((loss.rho(0.0), loss.weight(0.0)), (0.0, 1.0));
        for z in [1e-6, 0.01, 0.3, 0.9, 0.99, 1.01, 1.7, 4.0, 100.0, 1e6_f32] {
            // The tolerance includes the digits that `f64` loses for a small z.
            near(loss.rho(z), rho(f64::from(z)), 3e-7 + 1e-15 / f64::from(z));
            let step = 1e-3 * f64::from(z).min(1.0);
            let slope = (rho(f64::from(z) + step) - rho(f64::from(z) - step)) / (2.0 * step);
            assert!(
                (f64::from(loss.weight(z)) - slope).abs() < 2e-5,
                "{loss:?} {z}"
            );
        }
    }
}

/// Robust fits with a fixed scale are scipy's with the same `f_scale`.
#[test]
fn robust_fits_are_scipys() {
    let y = off_by(5, 100.0);
    let problem = CurveFit::new(Thermometer, &T_U, &y);
    for (loss, expected) in [
        (RobustLoss::Huber, [5.32192122, -16.6623095]),
        (RobustLoss::SoftL1, [5.32150675, -16.4168122]),
        (RobustLoss::Cauchy, [5.38436151, -16.9898736]),
    ] {
        let fit = RobustFit::new([5.4, -17.0], loss)
            .f_scale(3.0)
            .run(&problem);
        let solution = fit.solution();
        assert!(solution.is_converged(), "{loss:?}: {}", solution.status());
        let plain = LevenbergMarquardt::new([5.4, -17.0]).run(&Robust::new(&problem, loss, 3.0));
        assert_eq!(plain.params(), solution.params());
        for (found, expected) in solution.params().into_iter().zip(expected) {
            near(found, expected, 2e-4);
        }
    }
}

/// The scale is estimated, and standard errors follow Huber's formula for M-estimators.
#[test]
fn scales_are_estimated_and_errors_are_those_of_m_estimators() {
    let y = off_by(5, 100.0);
    let problem = CurveFit::new(Thermometer, &T_U, &y);
    for (loss, expected, errors) in [
        (
            RobustLoss::Huber,
            [5.32084453, -16.6456683],
            [0.457609233, 2.48157499],
        ),
        (
            RobustLoss::SoftL1,
            [5.31881047, -16.4016077],
            [0.555304981, 3.01137052],
        ),
        (
            RobustLoss::Cauchy,
            [5.36286504, -17.0668534],
            [0.454675462, 2.46566541],
        ),
        (
            RobustLoss::Tukey,
            [5.3630789, -17.1432262],
            [0.428104347, 2.32157257],
        ),
    ] {
        let fit = RobustFit::new([1.0, 0.0], loss).run(&problem);
        let solution = fit.solution();
        assert!(solution.is_converged(), "{loss:?}: {}", solution.status());
        near(fit.scale(), 2.383731, 2e-3);
        for k in 0..2 {
            // The scale is iterated to a part in a thousand.
            near(solution.params()[k], expected[k], 1e-3);
            near(solution.standard_errors().unwrap()[k], errors[k], 4e-3);
        }
    }
}

/// One reading that is off by 100 is named, and the line moves by less than 2 %.
#[test]
fn outliers_are_named_and_have_no_say() {
    let readings = CurveFit::new(Thermometer, &T_U, &T_C);
    let [w, b] = LevenbergMarquardt::new([1.0, 0.0]).run(&readings).params();
    for row in 0..11 {
        for by in [100.0, -100.0] {
            let y = off_by(row, by);
            let problem = CurveFit::new(Thermometer, &T_U, &y);
            for loss in LOSSES {
                let fit = RobustFit::new([1.0, 0.0], loss).run(&problem);
                let named: Vec<Outlier> = fit.outliers(&problem, 5.0).collect();
                assert_eq!(named.len(), 1, "{loss:?} {row} {by}: {named:?}");
                assert_eq!(named[0].row, row);
                assert!(
                    (named[0].residual + by).abs() < 12.0
                        && named[0]
                            .to_string()
                            .contains(&format!("row {row}: off by "))
                );
            }
            // With Tukey's loss the line is that of the other ten readings.
            let fit = RobustFit::new([1.0, 0.0], RobustLoss::Tukey).run(&problem);
            let (mut x, mut others) = (T_U.to_vec(), T_C.to_vec());
            x.remove(row);
            others.remove(row);
            let ten = CurveFit::<_, 1>::new(Thermometer, &x, &others);
            let ten = RobustFit::new([1.0, 0.0], RobustLoss::Tukey)
                .f_scale(fit.f_scale())
                .run(&ten);
            for k in 0..2 {
                near(
                    fit.solution().params()[k],
                    f64::from(ten.solution().params()[k]),
                    1e-3,
                );
            }
            // The line is within 2 % of the least squares of the others; with Cauchy's loss, 5 %.
            let squares = LevenbergMarquardt::new([1.0, 0.0])
                .run(&CurveFit::<_, 1>::new(Thermometer, &x, &others))
                .params();
            let cauchy = RobustFit::new([1.0, 0.0], RobustLoss::Cauchy).run(&problem);
            let tukey = fit.solution().params();
            let found = tukey.into_iter().zip(cauchy.solution().params());
            for ((tukey, cauchy), squares) in found.zip(squares) {
                near(tukey, squares.into(), 0.02);
                near(cauchy, squares.into(), 0.05);
            }
            if row == 5 {
                let [found_w, found_b] = fit.solution().params();
                near(found_w, w.into(), 0.02);
                near(found_b, b.into(), 0.02);
            }
        }
    }
    // Least squares moves the constant by more than a quarter.
    let y = off_by(5, 100.0);
    let [_, off] = LevenbergMarquardt::new([1.0, 0.0])
        .run(&CurveFit::new(Thermometer, &T_U, &y))
        .params();
    assert!((off / b - 1.0).abs() > 0.25);
    // Good data have no outliers.
    let fit = RobustFit::new([1.0, 0.0], RobustLoss::Tukey).run(&readings);
    assert_eq!(fit.outliers(&readings, 5.0).count(), 0);
}

#[test]
fn medians_are_those_of_sorted_residuals() {
    function! { fn Zero([x], [p]) { p * x } }
    let mut rng = seeded(7);
    for n in [1, 2, 3, 4, 15, 16, 101] {
        let (x, mut y) = (vec![0.0; n], vec![0.0; n]);
        fill_normal(&mut rng, 0.0, 3.0, &mut y).unwrap();
        let mut sorted: Vec<f32> = y.iter().map(|y| y.abs()).collect();
        sorted.sort_by(f32::total_cmp);
        let median = 0.5 * (sorted[(n - 1) / 2] + sorted[n / 2]);
        let scale = residual_scale(&CurveFit::<_, 1>::new(Zero, &x, &y), &[0.0]);
        assert_eq!(scale, 1.4826 * median, "{n}");
    }
    // Almost half of the readings may be anything, even NaN.
    let y = [1.0, f32::NAN, -1.0, f32::INFINITY, 1.0];
    let problem = CurveFit::new(Zero, &[0.0; 5], &y);
    assert_eq!(residual_scale(&problem, &[0.0]), 1.4826);
    let rows: Vec<usize> = outliers(&problem, [0.0], 1.0, 3.0)
        .map(|outlier| outlier.row)
        .collect();
    assert_eq!(rows, [1, 3]);
}

#[test]
fn robust_fits_are_polled_and_end() {
    let y = off_by(2, 100.0);
    let problem = CurveFit::new(Thermometer, &T_U, &y);
    let run = RobustFit::new([1.0, 0.0], RobustLoss::Cauchy).run(&problem);
    let mut polled = RobustFit::new([1.0, 0.0], RobustLoss::Cauchy);
    let mut polls = 0;
    let status = loop {
        polls += 1;
        if let Some(status) = polled.poll(&problem) {
            break status;
        }
    };
    assert!(polls > 4 && polls < 400);
    assert_eq!(
        (polled.params(), status),
        (run.solution().params(), run.solution().status())
    );

    // The limit also holds for the first fit, which is the only one if the scale is given.
    for fit in [
        RobustFit::new([1.0, 0.0], RobustLoss::Cauchy).max_passes(2),
        RobustFit::new([1.0, 0.0], RobustLoss::Cauchy)
            .f_scale(1.0)
            .max_passes(2),
        RobustFit::new([1.0, 0.0], RobustLoss::Cauchy)
            .max_passes(2)
            .f_scale(1.0),
    ] {
        let mut fit = fit;
        let fits = fit.run(&problem);
        assert_eq!(fits.solution().status(), Status::MaxPasses);
    }

    // An impossible fit has a status.
    let fit =
        RobustFit::new([1.0, 0.0], RobustLoss::Tukey).run(&CurveFit::new(Line, &[1.0], &[1.0]));
    assert_eq!(fit.solution().status(), Status::TooFewRows);
    let fit = RobustFit::new([1.0, 0.0], RobustLoss::Tukey).run(&CurveFit::new(
        Line,
        &[1.0; 5],
        &T_C[..5],
    ));
    assert_eq!(fit.solution().status(), Status::Singular { parameter: 1 });
    // All readings but one are exact.
    let x: [f32; 9] = core::array::from_fn(|i| i as f32);
    let mut y = x.map(|x| 2.0 * x + 1.0);
    y[4] += 50.0;
    let fit = RobustFit::new([1.0, 0.0], RobustLoss::Tukey).run(&CurveFit::new(Line, &x, &y));
    near(fit.solution().params()[0], 2.0, 1e-5);
    near(fit.solution().params()[1], 1.0, 1e-5);
}

// ---- rows from anywhere -----------------------------------------------------

#[test]
fn counts_and_iterators_give_what_slices_do() {
    let (counts_x, counts_y) = (
        T_U.map(|x| (10.0 * x).round() as i16),
        T_C.map(|y| (2.0 * y) as i16),
    );
    let x = counts_x.map(|x| f32::from(x) * 0.1);
    let expected = LevenbergMarquardt::new([1.0, 0.0]).run(&CurveFit::new(Thermometer, &x, &T_C));
    let counts = Counts::new(&counts_x, [0.1], &counts_y, 0.5);
    assert_eq!(counts.len(), 11);
    let found = LevenbergMarquardt::new([1.0, 0.0]).run(&FitRows::new(Thermometer, counts));
    assert_eq!(found, expected);

    let samples = x.iter().zip(&T_C).map(|(x, y)| Sample {
        x: [*x],
        y: *y,
        weight: 1.0,
    });
    let problem = FitRows::new(Thermometer, Restarted::new(samples));
    let found = LevenbergMarquardt::new([1.0, 0.0]).run(&problem);
    assert_eq!(found, expected);

    // A nonlinear model with three inputs, whose rows are read in any order.
    let counts: Vec<i16> = (0..90).map(|i| ((i * 7919) % 601 - 300) as i16).collect();
    let rows = Counts::<3>::new(&counts, [0.01, 0.02, 0.03], &[0; 30], 1.0);
    let samples: Vec<Sample<3>> = (0..30).map(|i| rows.sample(i)).collect();
    let restarted = Restarted::new(samples.iter().copied());
    for i in [0, 1, 1, 5, 3, 29, 0] {
        assert_eq!(restarted.sample(i), samples[i]);
    }
    let by_counts = LevenbergMarquardt::new([0.1, 0.0, 0.0, 3.0]).run(&FitRows::new(Sphere, rows));
    let by_iterator =
        LevenbergMarquardt::new([0.1, 0.0, 0.0, 3.0]).run(&FitRows::new(Sphere, restarted));
    assert!(by_counts.is_converged(), "{}", by_counts.status());
    assert_eq!(by_counts, by_iterator);

    // The last row is incomplete.
    let rows = Counts::<3>::new(&counts[..89], [1.0; 3], &[0; 30], 1.0);
    let solution = LevenbergMarquardt::new([1.0; 4]).run(&FitRows::new(Sphere, rows));
    assert_eq!(solution.status(), Status::NotFinite { row: 29 });
}

/// A recorded network of 25 parameters is fitted.
#[test]
fn recorded_networks_are_fitted() {
    let mut arena = baregrad::Arena::<400, 32>::new();
    let tape = arena.tape();
    let start: [f32; 25] = core::array::from_fn(|i| ((i * 37 + 11) % 25) as f32 * 0.1 - 1.2);
    let x = tape.constant(&[0.0], [1, 1]);
    let params = [
        tape.param(&start[..8], [1, 8]),
        tape.param(&start[8..16], [8]),
        tape.param(&start[16..24], [8, 1]),
        tape.param(&start[24..], [1]),
    ];
    let [w1, b1, w2, b2] = params;
    let prediction = x.linear_tanh(w1, b1).linear(w2, b2);
    let samples: Vec<(f32, f32)> = (0..64)
        .map(|i| i as f32 / 31.5 - 1.0)
        .map(|x| (x, (3.0 * x).sin() + 0.01 * (97.0 * x).sin()))
        .collect();
    let row = |i: usize| {
        let (at, y) = samples[i];
        tape.write(x, &[at])?;
        Ok(y)
    };
    let problem = Recorded::new(prediction, &params, samples.len(), row);
    let squares = |p: &[f32; 25]| {
        let residuals = (0..64).map(|i| problem.row(i, p).residual);
        residuals.map(|r| f64::from(r * r)).sum::<f64>()
    };
    // The derivatives agree with finite differences.
    let row = problem.row(20, &start);
    for k in [0, 9, 17, 24] {
        let [less, more] = [-1e-2, 1e-2].map(|step| {
            let mut p = start;
            p[k] += step;
            problem.row(20, &p).residual
        });
        let difference = (more - less) / 2e-2;
        let off = (row.derivatives[k] - difference).abs();
        assert!(off < 1e-3, "{k}: {} {difference}", row.derivatives[k]);
    }
    let before = squares(&start);
    let solution = LevenbergMarquardt::new(start).max_passes(300).run(&problem);
    let after = squares(&solution.params());
    // The noise has a mean square of 0.01² / 2, some of which the network fits.
    assert!(
        before > 10.0 && after / 64.0 < 0.6e-4,
        "{before} {after} {}",
        solution.status()
    );

    // A row for which the tape fails is named.
    let bad = Recorded::new(prediction, &params, 64, |i| {
        tape.write(x, if i == 3 { &[0.0; 2] } else { &[0.0] })?;
        Ok(0.0)
    });
    let solution = LevenbergMarquardt::new(start).run(&bad);
    assert_eq!(solution.status(), Status::NotFinite { row: 3 });
}

/// NIST's Norris, a line: slope, constant and their standard errors are the certified ones.
#[test]
fn norris_has_the_digits_that_f32_can_hold() {
    let text = include_str!("../examples/data/norris.csv");
    let rows: Vec<[f32; 2]> = text
        .lines()
        .filter_map(|line| {
            let (x, y) = line.split_once(',')?;
            Some([x.trim().parse().ok()?, y.trim().parse().ok()?])
        })
        .collect();
    assert_eq!(rows.len(), 36);
    let (x, y): (Vec<f32>, Vec<f32>) = rows.iter().map(|[x, y]| (*x, *y)).unzip();
    let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&CurveFit::<_, 1>::new(Line, &x, &y));
    assert_eq!(solution.status(), Status::Converged);
    let errors = solution.standard_errors().unwrap();
    let digits = |found: f32, certified: f64| -(f64::from(found) / certified - 1.0).abs().log10();
    let [b1, b0] = solution.params();
    let found = [
        digits(b0, -0.262323073774029),
        digits(b1, 1.00211681802045),
        digits(errors[1], 0.232818234301152),
        digits(errors[0], 0.429796848199937e-3),
    ];
    for (found, least) in found.into_iter().zip([4.5, 6.5, 5.0, 5.0]) {
        assert!(found >= least, "{found} {least}");
    }
}
