//! Compares the statistics of fits with scipy, closed forms and NIST.
//! `golden/inference.py` wrote scipy's values.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_range_loop,
    missing_docs,
    unreachable_pub
)]

use baregrad::function::models::{Exponential, Line, Logistic, Polynomial, SteinhartHart};
use baregrad::function::{Function, TwoFloat};
use baregrad::least_squares::{
    CurveFit, Goodness, InferenceError, LevenbergMarquardt, Solution, Status,
};

const T_U: [f32; 11] = [
    35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4,
];
const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
const SIGMA: [f32; 11] = [0.5, 1.0, 1.0, 2.0, 1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 1.5];
const X: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
const Y: [f32; 8] = [3.02, 2.21, 1.74, 1.33, 1.13, 0.81, 0.66, 0.55];

fn fit<F: Function<1, P>, const P: usize>(
    model: F,
    start: [f32; P],
    x: &[f32],
    y: &[f32],
    sigma: &[f32],
) -> Solution<P> {
    let solution = LevenbergMarquardt::new(start).run(&CurveFit::new(model, x, y).sigma(sigma));
    assert!(solution.is_converged(), "{}", solution.status());
    solution
}

/// Asserts that a number is within `relative` of the expected value.
fn near(found: f32, expected: f64, relative: f64) {
    let off = (f64::from(found) - expected).abs();
    assert!(
        off <= relative * expected.abs(),
        "{found}, expected {expected}: {:.1e}",
        off / expected.abs()
    );
}

/// The input of a prediction, and a value to invert.
struct At {
    x: f32,
    probability: f32,
    value: f32,
    deviation: f32,
    range: [f32; 2],
    /// The relative error of sums of squared residuals, and of results that depend on them, due to
    /// rounding predictions to `f32`.
    residuals: f64,
}

/// The values that the script prints.
struct Expected<const P: usize> {
    /// The lower triangle of the correlation matrix, row by row.
    correlation: &'static [f64],
    goodness: [f64; 4],
    intervals: [[f64; 2]; P],
    mean: [f64; 4],
    reading: [f64; 3],
    input: [f64; 2],
}

/// The allowed relative error: three times the sum of the roundings in a standard error.
const DIGITS: f64 = 3e-6;

fn check<F: Function<1, P>, const P: usize>(
    _: F,
    solution: &Solution<P>,
    goodness: Goodness,
    at: &At,
    expected: &Expected<P>,
) {
    let correlation = solution.correlation().unwrap();
    let mut lower = expected.correlation.iter();
    for i in 0..P {
        assert_eq!(correlation[i][i], 1.0);
        for j in 0..i {
            let expected = *lower.next().unwrap();
            assert!((f64::from(correlation[i][j]) - expected).abs() < DIGITS);
            assert!((correlation[i][j] - correlation[j][i]).abs() < 1e-6);
        }
    }
    let [unexplained, adjusted, f, p_value] = expected.goodness;
    near(goodness.unexplained(), unexplained, at.residuals);
    near(goodness.r_squared(), 1.0 - unexplained, 1e-7);
    near(goodness.adjusted_r_squared(), adjusted, 3e-7);
    near(goodness.f_statistic(), f, at.residuals);
    near(goodness.p_value().unwrap(), p_value, 2e-5); // F to the power of degrees of freedom

    // The ends of an interval are differences of larger numbers, so the bound is relative to its
    // width.
    let interval = |[from, to]: [f32; 2], [low, high]: [f64; 2]| {
        for (found, expected) in [(from, low), (to, high)] {
            let off = (f64::from(found) - expected).abs();
            assert!(
                off <= (at.residuals + 2e-6) * (high - low),
                "{found} {expected}"
            );
        }
    };
    let intervals = solution.confidence_intervals(at.probability).unwrap();
    for (found, expected) in intervals.iter().zip(expected.intervals) {
        interval(*found, expected);
    }
    let mean = solution.mean_at::<F, 1>([at.x]).unwrap();
    near(mean.value(), expected.mean[0], 1e-6);
    near(mean.standard_error(), expected.mean[1], at.residuals);
    interval(
        mean.interval(at.probability).unwrap(),
        [expected.mean[2], expected.mean[3]],
    );
    let reading = solution.reading_at::<F, 1>([at.x], 1.0).unwrap();
    near(reading.standard_error(), expected.reading[0], at.residuals);
    interval(
        reading.interval(at.probability).unwrap(),
        [expected.reading[1], expected.reading[2]],
    );
    let input = solution
        .input_for::<F>(at.value, at.deviation, at.range)
        .unwrap();
    near(input.value(), expected.input[0], 1e-6);
    near(input.standard_error(), expected.input[1], at.residuals);
}

#[test]
fn a_line() {
    let solution = fit(Line, [1.0, 0.0], &T_U, &T_C, &[]);
    let at = At {
        x: 70.0,
        probability: 0.95,
        value: 25.0,
        deviation: 0.0,
        range: [20.0, 90.0],
        residuals: DIGITS,
    };
    let expected = Expected {
        correlation: &[-0.955206236],
        goodness: [0.0379541547, 0.957828717, 228.12819, 1.06243473e-07],
        intervals: [[0.456378013, 0.617165805], [-21.6644763, -12.9450945]],
        mean: [20.2692482, 0.862349913, 18.3184772, 22.2200193],
        reading: [2.07891335, 15.5664195, 24.972077],
        input: [78.8133371, 2.08032107],
    };
    let goodness = solution.goodness(&T_C, &[]).unwrap();
    check(Line, &solution, goodness, &at, &expected);
}

#[test]
fn a_weighted_line() {
    let solution = fit(Line, [1.0, 0.0], &T_U, &T_C, &SIGMA);
    let at = At {
        x: 70.0,
        probability: 0.99,
        value: 25.0,
        deviation: 0.5,
        range: [20.0, 90.0],
        residuals: DIGITS,
    };
    let expected = Expected {
        correlation: &[-0.942056466],
        goodness: [0.0488869678, 0.945681147, 175.098143, 3.33443394e-07],
        intervals: [[0.369833882, 0.610632007], [-20.2649462, -10.084377]],
        mean: [19.1416445, 1.23511386, 15.1277276, 23.1555615],
        reading: [2.58584382, 10.7380774, 27.5452117],
        input: [81.9501464, 3.51022703],
    };
    let goodness = solution.goodness(&T_C, &SIGMA).unwrap();
    check(Line, &solution, goodness, &at, &expected);

    let at = At {
        probability: 0.9,
        ..at
    };
    let expected = Expected {
        intervals: [[0.46340925, 0.517056639], [-16.3087256, -14.0405976]],
        mean: [19.1416445, 0.54367156, 18.2473844, 20.0359047],
        reading: [1.13823493, 17.2694147, 21.0138744],
        input: [81.9501464, 1.79613829],
        ..expected
    };
    check(Line, &solution.absolute_sigma(), goodness, &at, &expected);
}

#[test]
fn a_parabola() {
    let solution = fit(Polynomial::<3>, [0.0; 3], &T_U, &T_C, &[]);
    let at = At {
        x: 40.0,
        probability: 0.95,
        value: 10.0,
        deviation: 0.0,
        range: [20.0, 90.0],
        residuals: DIGITS,
    };
    let expected = Expected {
        correlation: &[-0.96763947, 0.906936947, -0.981118179],
        goodness: [0.027104207, 0.966119741, 143.578566, 5.39693048e-07],
        intervals: [
            [-20.105486, -1.19376125],
            [-0.132189973, 0.627398216],
            [-0.000816875233, 0.00647773942],
        ],
        mean: [3.7832326, 0.669623805, 2.23907734, 5.32738787],
        reading: [1.82294706, -0.420490865, 7.98695607],
        input: [52.2224865, 1.20214425],
    };
    let goodness = solution.goodness(&T_C, &[]).unwrap();
    check(Polynomial::<3>, &solution, goodness, &at, &expected);
}

#[test]
fn a_decay() {
    let solution = fit(Exponential, [2.0, -0.5, 0.5], &X, &Y, &[]);
    let at = At {
        x: 2.5,
        probability: 0.95,
        value: 1.5,
        deviation: 0.02,
        range: [0.0, 6.0],
        // Predictions up to 3 are rounded by 1.2e-7, and residuals are 0.02.
        residuals: 6e-6,
    };
    let expected = Expected {
        correlation: &[0.184277919, -0.597408119, -0.789614698],
        goodness: [0.000683755015, 0.999042743, 3653.78031, 1.22250688e-08],
        intervals: [
            [2.39941031, 2.55086281],
            [-0.788468497, -0.677145973],
            [0.470558619, 0.588509445],
        ],
        mean: [0.925779054, 0.011812778, 0.895413341, 0.956144766],
        reading: [0.028893306, 0.851506446, 1.00005166],
        input: [1.27765457, 0.0346013964],
    };
    let goodness = solution.goodness(&Y, &[]).unwrap();
    check(Exponential, &solution, goodness, &at, &expected);

    // With pairs the error vanishes.
    let problem = CurveFit::new(Exponential, &X, &Y).in_pairs();
    let solution = LevenbergMarquardt::new([2.0, -0.5, 0.5]).run(&problem);
    let goodness = solution.goodness(&Y, &[]).unwrap();
    let at = At {
        residuals: DIGITS,
        ..at
    };
    check(Exponential, &solution, goodness, &at, &expected);
}

/// Returns the columns of a file, in pairs of `f32`.
fn columns(text: &str) -> [[Vec<f32>; 2]; 2] {
    let mut columns: [[Vec<f32>; 2]; 2] = Default::default();
    let numbers = text.lines().filter(|line| !line.starts_with(['#', 'x']));
    for line in numbers {
        for (cell, column) in line.split(',').zip(&mut columns) {
            let number: TwoFloat = cell.parse().unwrap();
            column[0].push(number.high());
            column[1].push(number.low());
        }
    }
    columns
}

/// R², F and the residual standard deviation are NIST's certified values of linear sets.
#[test]
fn nist_certifies_r_squared() {
    let [[x, x_low], [y, y_low]] = columns(include_str!("../examples/data/norris.csv"));
    let problem = CurveFit::new(Line, &x, &y).in_pairs().low(&x_low, &y_low);
    let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&problem);
    let goodness = solution.goodness(&y, &[]).unwrap();
    near(goodness.unexplained(), 1.0 - 0.999993745883712, 1e-6);
    near(goodness.r_squared(), 0.999993745883712, 4e-8);
    near(goodness.f_statistic(), 5436385.54079785, 1e-6);
    near(
        solution.residual_standard_deviation(),
        0.884796396144373,
        1e-6,
    );

    // Readings up to 3e6 are scaled by 1e-6, because the model has their squares.
    let [[x, x_low], [y, y_low]] = columns(include_str!("../examples/data/pontius.csv"));
    assert_eq!(x.len(), 40);
    let scaled: Vec<TwoFloat> = (x.iter().zip(&x_low))
        .map(|(x, low)| TwoFloat::sum(*x, *low) / 1e6)
        .collect();
    let high: Vec<f32> = scaled.iter().map(|x| x.high()).collect();
    let low: Vec<f32> = scaled.iter().map(|x| x.low()).collect();
    let problem = CurveFit::new(Polynomial::<3>, &high, &y)
        .in_pairs()
        .low(&low, &y_low);
    let solution = LevenbergMarquardt::new([0.0; 3]).run(&problem);
    assert!(solution.is_converged(), "{}", solution.status());
    let goodness = solution.goodness(&y, &[]).unwrap();
    near(goodness.unexplained(), 1.0 - 0.999999900178537, 2e-6);
    near(goodness.f_statistic(), 185330865.995752, 2e-6);
    near(
        solution.residual_standard_deviation(),
        0.205177424076185e-3,
        2e-6,
    );
}

/// Statistics do not depend on the units.
#[test]
fn units_do_not_matter() {
    for (of_x, of_y) in [(1e-12, 1.0), (1e12, 1e-18), (1e18, 1e18), (1e-18, 1e-18)] {
        let (x, y) = (T_U.map(|x| x * of_x), T_C.map(|y| y * of_y));
        let solution = fit(Line, [0.0; 2], &x, &y, &[]);
        near(solution.correlation().unwrap()[1][0], -0.955206236, 3e-6);
        let goodness = solution.goodness(&y, &[]).unwrap();
        near(goodness.unexplained(), 0.0379541547, 3e-6);
        let range = [20.0 * of_x, 90.0 * of_x];
        let input = solution.input_for::<Line>(25.0 * of_y, 0.0, range).unwrap();
        near(input.value() / of_x, 78.8133371, 1e-5);
        near(input.standard_error() / of_x, 2.08032107, 1e-5);
        // Standard deviations of any size scale the residuals.
        let sigma = [of_y; 11];
        let solution = fit(Line, [0.0; 2], &x, &T_C, &sigma);
        let goodness = solution.goodness(&T_C, &sigma).unwrap();
        near(goodness.unexplained(), 0.0379541547, 3e-6);
    }
}

#[test]
fn a_thermistor_says_which_resistance_means_25_degrees() {
    // Inverting over two decades of resistance is accurate to the last digits.
    let truth = [1.129_148e-3, 2.341_25e-4, 8.767_41e-8];
    let r = [
        32_650.0, 25_390.0, 19_900.0, 15_710.0, 12_490.0, 10_000.0, 8_057.0, 6_531.0, 5_327.0,
        4_369.0,
    ];
    let mut t = r.map(|r: f32| SteinhartHart::value([r], truth));
    for (k, t) in t.iter_mut().enumerate() {
        *t += [0.01, -0.02, 0.015, 0.0, -0.005][k % 5];
    }
    let solution =
        LevenbergMarquardt::new([1e-3, 2e-4, 1e-7]).run(&CurveFit::new(SteinhartHart, &r, &t));
    let input = solution
        .input_for::<SteinhartHart>(25.0, 0.0, [4_000.0, 40_000.0])
        .unwrap();
    let back = SteinhartHart::value([input.value()], solution.params());
    assert!((back - 25.0).abs() < 1e-4, "{back}");
    // The curve has a standard error of 0.01 °C there, and falls by 440 Ω for each °C.
    let slope = SteinhartHart::value([10_100.0], solution.params())
        - SteinhartHart::value([9_900.0], solution.params());
    let mean = solution
        .mean_at::<SteinhartHart, 1>([input.value()])
        .unwrap();
    near(
        input.standard_error(),
        f64::from(mean.standard_error() / (slope.abs() / 200.0)),
        0.01,
    );
}

#[test]
fn what_no_input_means_is_refused() {
    let solution = fit(Polynomial::<3>, [0.0; 3], &T_U, &T_C, &[]);
    let invert = |value, deviation, range| {
        solution
            .input_for::<Polynomial<3>>(value, deviation, range)
            .unwrap_err()
    };
    // The parabola's vertex at -43.7 is in the middle of the range, or close to one end.
    for range in [[-80.0, 80.0], [-44.0, 80.0], [-100.0, -43.0]] {
        let error = invert(-5.0, 0.0, range);
        assert!(matches!(error, InferenceError::NotMonotone { .. }));
        assert!(error.to_string().contains("rises or falls"), "{error}");
    }
    match invert(40.0, 0.0, [20.0, 90.0]) {
        InferenceError::NotReached { value, between } => {
            assert_eq!(value, 40.0);
            assert_eq!(
                between[1],
                Polynomial::<3>::value([90.0], solution.params())
            );
        }
        other => panic!("{other}"),
    }
    assert!(matches!(
        invert(-10.0, 0.0, [20.0, 90.0]),
        InferenceError::NotReached { .. }
    ));
    for (value, deviation, range) in [
        (f32::NAN, 0.0, [20.0, 90.0]),
        (f32::INFINITY, 0.0, [20.0, 90.0]),
        (10.0, -1.0, [20.0, 90.0]),
        (10.0, f32::NAN, [20.0, 90.0]),
        (10.0, 0.0, [90.0, 20.0]),
        (10.0, 0.0, [20.0, 20.0]),
        (10.0, 0.0, [20.0, f32::NAN]),
        (10.0, 0.0, [f32::NEG_INFINITY, 90.0]),
    ] {
        let error = invert(value, deviation, range);
        assert!(matches!(error, InferenceError::OutOfRange(_)), "{error}");
    }
    // A value at the end of the range is found.
    let end = Polynomial::<3>::value([90.0], solution.params());
    let input = solution
        .input_for::<Polynomial<3>>(end, 0.0, [20.0, 90.0])
        .unwrap();
    near(input.value(), 90.0, 1e-6);

    // A curve that is flat in `f32`, and one that is not finite.
    let x: [f32; 9] = core::array::from_fn(|k| k as f32 - 4.0);
    let y = x.map(|x| 1.0 / (1.0 + (-x).exp()) + if x > 0.0 { 0.01 } else { -0.01 });
    let logistic = fit(Logistic, [1.0, 1.0, 0.0], &x, &y, &[]);
    assert!(matches!(
        logistic.input_for::<Logistic>(0.5, 0.0, [-4.0, 1e4]),
        Err(InferenceError::NotMonotone { .. })
    ));
    let decay = fit(Exponential, [2.0, -0.5, 0.5], &X, &Y, &[]);
    assert!(matches!(
        decay.input_for::<Exponential>(1.0, 0.0, [-1e4, 6.0]),
        Err(InferenceError::NotFinite { .. })
    ));
    assert!(matches!(
        decay.mean_at::<Exponential, 1>([-1e4]),
        Err(InferenceError::NotFinite { at: -1e4 })
    ));
}

#[test]
fn what_a_fit_does_not_know_it_does_not_say() {
    // As many rows as parameters leave no degree of freedom.
    let exact = fit(Line, [0.0; 2], &[1.0, 2.0], &[3.0, 5.0], &[0.5, 0.5]);
    assert_eq!(
        exact.confidence_intervals(0.95),
        Err(InferenceError::NoFreedom)
    );
    assert_eq!(
        exact.mean_at::<Line, 1>([1.0]),
        Err(InferenceError::NoFreedom)
    );
    let [[from, to], _] = exact.absolute_sigma().confidence_intervals(0.95).unwrap();
    near(to - from, 2.0 * 1.959964 * 0.5 * 2.0_f64.sqrt(), 1e-5);
    // R² is undefined then, and a single parameter has no F.
    let goodness = exact.goodness(&[3.0, 5.0], &[0.5, 0.5]).unwrap();
    assert!(goodness.p_value().is_err());
    let mean = fit(Polynomial::<1>, [0.0], &T_U, &T_C, &[]);
    let goodness = mean.goodness(&T_C, &[]).unwrap();
    assert!(goodness.p_value().is_err() && goodness.r_squared().abs() < 1e-6);

    // Parameters that the data do not determine.
    let problem = CurveFit::new(Line, &[2.0; 4], &[1.0, 2.0, 3.0, 4.0]);
    let singular = LevenbergMarquardt::new([0.0; 2]).run(&problem);
    assert_eq!(singular.status(), Status::Singular { parameter: 1 });
    assert_eq!(singular.correlation(), None);
    let undetermined = InferenceError::Undetermined;
    assert_eq!(singular.confidence_intervals(0.95), Err(undetermined));
    assert_eq!(singular.mean_at::<Line, 1>([1.0]), Err(undetermined));
    assert!(singular.input_for::<Line>(1.0, 0.0, [0.0, 9.0]).is_err());

    let line = fit(Line, [1.0, 0.0], &T_U, &T_C, &[]);
    for probability in [0.0, 1.0, -0.5, 1.5, f32::NAN] {
        let error = line.confidence_intervals(probability).unwrap_err();
        assert!(
            matches!(error, InferenceError::OutOfRange(_)),
            "{probability}"
        );
    }
    assert!(line.reading_at::<Line, 1>([1.0], -1.0).is_err());
    for (y, sigma) in [
        (&T_C[1..], &[][..]),
        (&[], &[]),
        (&T_C, &SIGMA[1..]),
        (&[2.0; 11], &[]),
        (&[f32::NAN; 11], &[]),
    ] {
        assert!(line.goodness(y, sigma).is_err(), "{y:?}");
    }
}

/// 95 % of the intervals of the curve, of a new reading and of an input hold the true value.
#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    use baregrad::random::{fill_normal, seeded};
    const FITS: usize = 2000;
    let x: [f32; 8] = core::array::from_fn(|k| k as f32);
    let (truth, noise) = ([2.0, -1.0, 0.1], 0.3);
    let mut rng = seeded(21);
    let mut within = [0; 3];
    for _ in 0..FITS {
        let mut errors = [0.0; 9];
        fill_normal(&mut rng, 0.0, noise, &mut errors).unwrap();
        let y: [f32; 8] =
            core::array::from_fn(|k| Polynomial::<3>::value([x[k]], truth) + errors[k]);
        let solution = fit(Polynomial::<3>, [0.0; 3], &x, &y, &[]);
        let holds = |[from, to]: [f32; 2], value: f32| usize::from(from <= value && value <= to);
        let at = 2.3;
        let value = Polynomial::<3>::value([at], truth);
        let mean = solution.mean_at::<Polynomial<3>, 1>([at]).unwrap();
        within[0] += holds(mean.interval(0.95).unwrap(), value);
        let reading = solution.reading_at::<Polynomial<3>, 1>([at], 1.0).unwrap();
        within[1] += holds(reading.interval(0.95).unwrap(), value + errors[8]);
        // Some fits are not monotone over the range, and give an error; they do not count.
        match solution.input_for::<Polynomial<3>>(value, 0.0, [0.0, 3.0]) {
            Ok(input) => within[2] += holds(input.interval(0.95).unwrap(), at),
            Err(_) => within[2] += 1,
        }
    }
    for within in within {
        // Four standard deviations of such a count, and a bit more for the error of the slope.
        let share = within as f64 / FITS as f64;
        assert!((share - 0.95).abs() < 0.02, "{share}");
    }
}
