//! Tests of lines through points with errors in both coordinates, against published values, and
//! those of `golden/lines.py`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

use baregrad::function::models::Line;
use baregrad::least_squares::{
    CurveFit, InferenceError, LevenbergMarquardt, LineError, StraightLine, York,
};
use baregrad::random::{fill_normal, seeded};

/// K. Pearson's points (1901) with D. York's weights (1966).
const X: [f32; 10] = [0.0, 0.9, 1.8, 2.6, 3.3, 4.4, 5.2, 6.1, 6.5, 7.4];
const Y: [f32; 10] = [5.9, 5.4, 4.4, 4.6, 3.5, 3.7, 2.8, 2.8, 2.4, 1.5];
const WEIGHTS_X: [f32; 10] = [1e3, 1e3, 5e2, 8e2, 2e2, 8e1, 6e1, 2e1, 1.8, 1.0];
const WEIGHTS_Y: [f32; 10] = [1.0, 1.8, 4.0, 8.0, 20.0, 20.0, 70.0, 70.0, 1e2, 5e2];

fn near(found: f32, expected: f64, relative: f64) {
    let off = (f64::from(found) / expected - 1.0).abs();
    assert!(off <= relative, "{found}, expected {expected}: {off:.1e}");
}

/// Compares slope, its error, intercept, its error, covariance and sum of squares; and the input
/// for 8 ± 0.1.
fn check(line: &StraightLine, expected: [f64; 6], input: [f64; 2]) {
    let [slope_error, intercept_error] = line.standard_errors();
    let found = [
        line.slope(),
        slope_error,
        line.intercept(),
        intercept_error,
        line.covariance(),
        line.chi_squared(),
    ];
    for (found, expected) in found.into_iter().zip(expected) {
        near(found, expected, 3e-7);
    }
    let estimate = line.input_for(8.0, 0.1).unwrap();
    near(estimate.value(), input[0], 3e-7);
    near(estimate.standard_error(), input[1], 1e-6);
}

fn pearson(correlation: &[f32]) -> StraightLine {
    let (sigma_x, sigma_y) = (
        WEIGHTS_X.map(|w| 1.0 / w.sqrt()),
        WEIGHTS_Y.map(|w| 1.0 / w.sqrt()),
    );
    York {
        x: &X,
        y: &Y,
        sigma_x: &sigma_x,
        sigma_y: &sigma_y,
        correlation,
    }
    .fit()
    .unwrap()
}

/// The line agrees with York et al. 2004: slope -0.480533407 ± 0.0579850090, intercept 5.47991022 ±
/// 0.294970735, S / 8 = 1.4832942.
#[test]
fn pearsons_data_with_yorks_weights() {
    let line = pearson(&[]);
    check(
        &line,
        [
            -0.480533417,
            0.0579850105,
            5.47991021,
            0.294970736,
            -0.0164725451,
            11.866355,
        ],
        [-5.24435909, 1.25252022],
    );
    near(line.slope(), -0.480533407, 1e-7); // The roots of weights are rounded to `f32`.
    near(
        line.residual_standard_deviation(),
        1.4832942_f64.sqrt(),
        1e-6,
    );
    assert_eq!(line.degrees_of_freedom(), 8);

    let line = pearson(&[0.4]);
    check(
        &line,
        [
            -0.490875948,
            0.0620577761,
            5.52562648,
            0.310037179,
            -0.0184251328,
            9.93875772,
        ],
        [-5.04073082, 1.27177386],
    );
    assert_eq!(pearson(&[0.0; 10]), pearson(&[]));
}

/// Deming's regression agrees with Pearson's line of 1901, y = 5.784 - 0.5456 x.
#[test]
fn demings_regression() {
    let line = StraightLine::deming(&X, &Y, 1.0).unwrap();
    check(
        &line,
        [
            -0.545561206,
            0.0422327973,
            5.78404381,
            0.189896483,
            -0.00681338695,
            0.618572747,
        ],
        [-4.06179208, 0.663010251],
    );
    let line = StraightLine::deming(&X, &Y, 4.0).unwrap();
    check(
        &line,
        [
            -0.541367986,
            0.0421360628,
            5.76802571,
            0.189522026,
            -0.00678221049,
            0.186543107,
        ],
        [-4.12284129, 0.671165193],
    );
    // Exchanging x and y gives the same line.
    let other = StraightLine::deming(&Y, &X, 0.25).unwrap();
    near(1.0 / other.slope(), line.slope().into(), 3e-7);
    // York's method, with errors of the size that Deming's found, gives the same line.
    let sigma = line.residual_standard_deviation();
    let york = York {
        x: &X,
        y: &Y,
        sigma_x: &[sigma],
        sigma_y: &[2.0 * sigma],
        correlation: &[],
    };
    let york = york.fit().unwrap();
    near(york.slope(), line.slope().into(), 3e-7);
    near(york.chi_squared(), 8.0, 1e-6);
    near(
        york.standard_errors()[1],
        line.standard_errors()[1].into(),
        1e-6,
    );
    // The interval has eight degrees of freedom, because the deviation is estimated.
    let [from, to] = line.value_at(0.0).interval(0.95).unwrap();
    near(to - from, 2.0 * 2.306004 * 0.189522026, 1e-6);
    let [from, to] = york.value_at(0.0).interval(0.95).unwrap();
    near(to - from, 2.0 * 1.959964 * 0.189522026, 1e-6);
}

/// The line agrees with ISO/TS 28037:2010, clause 8: a 0.5788 ± 0.4764, b 2.1597 ± 0.1355.
#[test]
fn iso_28037() {
    let line = York {
        x: &[1.2, 1.9, 2.9, 4.0, 4.7, 5.9],
        y: &[3.4, 4.4, 7.2, 8.5, 10.8, 13.5],
        sigma_x: &[0.2],
        sigma_y: &[0.2, 0.2, 0.2, 0.4, 0.4, 0.4],
        correlation: &[],
    };
    check(
        &line.fit().unwrap(),
        [
            2.15965657,
            0.135547931,
            0.578822101,
            0.476420642,
            -0.0577169422,
            2.74267511,
        ],
        [3.43627685, 0.1108052],
    );
}

/// With exact abscissas the line is that of weighted least squares, with exact ordinates that of x
/// by y.
#[test]
fn exact_coordinates() {
    let sigma: [f32; 10] = core::array::from_fn(|k| 0.1 + 0.05 * k as f32);
    let york = |x, y, sigma_x, sigma_y| {
        let correlation = &[];
        York {
            x,
            y,
            sigma_x,
            sigma_y,
            correlation,
        }
        .fit()
        .unwrap()
    };
    let line = york(&X, &Y, &[0.0], &sigma);
    let problem = CurveFit::new(Line, &X, &Y).sigma(&sigma);
    let solution = LevenbergMarquardt::new([0.0; 2])
        .run(&problem)
        .absolute_sigma();
    let (params, errors) = (solution.params(), solution.standard_errors().unwrap());
    for k in 0..2 {
        near([line.slope(), line.intercept()][k], params[k].into(), 1e-6);
        near(line.standard_errors()[k], errors[k].into(), 1e-6);
    }
    near(line.chi_squared(), solution.sum_of_squares().into(), 1e-6);
    near(
        line.covariance(),
        solution.covariance().unwrap()[0][1].into(),
        2e-6,
    );
    let other = york(&Y, &X, &sigma, &[0.0]);
    near(1.0 / other.slope(), line.slope().into(), 1e-6);
}

/// Lines do not depend on units, nor on the distance from the origin.
#[test]
fn units_and_origins_do_not_matter() {
    for (of_x, of_y) in [(1e-18, 1e18), (1e18, 1e18), (1e12, 1e-12), (1e-20, 1e-20)] {
        let (x, y) = (X.map(|x| x * of_x), Y.map(|y| y * of_y));
        let line = York {
            x: &x,
            y: &y,
            sigma_x: &WEIGHTS_X.map(|w| of_x / w.sqrt()),
            sigma_y: &WEIGHTS_Y.map(|w| of_y / w.sqrt()),
            correlation: &[],
        };
        let line = line.fit().unwrap();
        near(line.slope() / of_y * of_x, -0.480533417, 1e-6);
        near(line.intercept() / of_y, 5.47991021, 1e-6);
        near(line.standard_errors()[1] / of_y, 0.294970736, 1e-6);
        let ratio = (of_y / of_x) * (of_y / of_x);
        if ratio.is_normal() {
            let line = StraightLine::deming(&x, &y, ratio).unwrap();
            near(line.slope() / of_y * of_x, -0.545561206, 1e-6);
        }
    }
    // Abscissas of which `f32` holds little more than the first decimal place.
    let x = X.map(|x| 8192.0 + (x * 8.0).round() / 8.0);
    let near_origin = X.map(|x| (x * 8.0).round() / 8.0);
    let line = |x: &[f32]| StraightLine::deming(x, &Y, 1.0).unwrap();
    near(line(&x).slope(), line(&near_origin).slope().into(), 1e-7);
}

/// 95 % of the intervals of many lines with known errors hold the true value.
#[test]
fn standard_errors_are_how_far_off_lines_are() {
    const FITS: usize = 3000;
    let mut rng = seeded(5);
    let (mut york, mut deming) = ([0; 2], 0);
    for _ in 0..FITS {
        let (mut x, mut y) = ([0.0; 12], [0.0; 12]);
        fill_normal(&mut rng, 0.0, 0.3, &mut x).unwrap();
        fill_normal(&mut rng, 0.0, 0.6, &mut y).unwrap();
        for k in 0..12 {
            x[k] += k as f32;
            y[k] += 1.5 * k as f32 - 4.0;
        }
        let line = York {
            x: &x,
            y: &y,
            sigma_x: &[0.3],
            sigma_y: &[0.6],
            correlation: &[],
        };
        let line = line.fit().unwrap();
        let holds = |[from, to]: [f32; 2], value: f32| usize::from(from <= value && value <= to);
        york[0] += holds(line.value_at(9.0).interval(0.95).unwrap(), 9.5);
        york[1] += holds(
            line.input_for(9.5, 0.0).unwrap().interval(0.95).unwrap(),
            9.0,
        );
        let line = StraightLine::deming(&x, &y, 4.0).unwrap();
        deming += holds(line.value_at(0.0).interval(0.95).unwrap(), -4.0);
    }
    for within in [york[0], york[1], deming] {
        // Four standard deviations of such a count, and errors beyond first order.
        let share = within as f64 / FITS as f64;
        assert!((share - 0.95).abs() < 0.02, "{share}");
    }
}

#[test]
fn points_that_tell_no_line_are_refused() {
    let york = |x: &[f32], y: &[f32], sigma_x: &[f32], sigma_y: &[f32], correlation: &[f32]| {
        York {
            x,
            y,
            sigma_x,
            sigma_y,
            correlation,
        }
        .fit()
    };
    let one = &[1.0][..];
    assert_eq!(
        york(&X, &Y[1..], one, one, &[]),
        Err(LineError::Rows {
            expected: 10,
            found: 9
        })
    );
    for (sigma_x, sigma_y, correlation) in [
        (&WEIGHTS_X[1..], one, &[][..]),
        (one, &[], &[]),
        (one, one, &WEIGHTS_X[..4]),
    ] {
        let error = york(&X, &Y, sigma_x, sigma_y, correlation).unwrap_err();
        assert!(matches!(error, LineError::Rows { expected: 10, .. }));
    }
    let error = york(&X[..2], &Y[..2], one, one, &[]).unwrap_err();
    assert_eq!(error, LineError::TooFewPoints(2));

    // An invalid row is named.
    for bad in [f32::NAN, f32::INFINITY] {
        for k in [0, 4, 9] {
            let mut x = X;
            x[k] = bad;
            let mut sigma = [1.0; 10];
            sigma[k] = bad;
            for result in [
                york(&x, &Y, one, one, &[]),
                york(&Y, &x, one, one, &[]),
                york(&X, &Y, &sigma, one, &[]),
                york(&X, &Y, one, &sigma, &[]),
                StraightLine::deming(&x, &Y, 1.0),
            ] {
                assert!(matches!(result, Err(LineError::OutOfRange { row, .. }) if row == k));
            }
        }
    }
    for correlation in [1.0, -1.0, 1.5, f32::NAN] {
        let error = york(&X, &Y, one, one, &[correlation]).unwrap_err();
        assert!(
            error.to_string().starts_with("row 0: correlation"),
            "{error}"
        );
    }
    assert!(york(&X, &Y, &[0.0], &[0.0], &[]).is_err());
    assert!(york(&X, &Y, &[-1.0], one, &[]).is_err());
    for ratio in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(StraightLine::deming(&X, &Y, ratio).is_err(), "{ratio}");
    }

    // Points at one place, on a vertical line, and scattered equally in all directions.
    let undetermined = Err(LineError::Undetermined);
    assert_eq!(york(&[1.0; 4], &[2.0; 4], one, one, &[]), undetermined);
    assert_eq!(
        york(&[1.0; 4], &[1.0, 2.0, 3.0, 4.0], one, one, &[]),
        undetermined
    );
    let (x, y) = ([0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]);
    assert_eq!(StraightLine::deming(&x, &y, 1.0), undetermined);

    // A level line has no input for another value.
    let level = york(&X, &[3.0; 10], one, one, &[]).unwrap();
    assert_eq!((level.slope(), level.intercept()), (0.0, 3.0));
    assert!(matches!(
        level.input_for(4.0, 0.0),
        Err(InferenceError::NotMonotone { .. })
    ));
    assert!(level.input_for(f32::NAN, 0.0).is_err() && level.input_for(1.0, -1.0).is_err());
    // Points on a line give errors of 0.
    let exact = StraightLine::deming(&X, &X.map(|x| 2.0 * x), 1.0).unwrap();
    near(exact.slope(), 2.0, 1e-7);
    assert!(exact.standard_errors()[0] < 1e-6);
}
