//! Compares trackers with [`Recursive`], and tests them with sensors that drift, jump and
//! rest. The tests are in the crate because they look into a tracker's memory.

extern crate std;
use std::vec::Vec;

use super::{LeftOut, TrackError, Tracker, Tracking};
use crate::calibrate::{
    Calibration, Curve, CurveSolver, FORMULAS, Origin, Samples, Scale, TwoFloat, prepare, range,
};
use crate::function::models::Line;
use crate::least_squares::Recursive;

/// Fits a curve to samples of readings and references, and calls `test` with the calibration,
/// the readings, and the solver's standard errors of the results at the readings.
fn fitted(
    name: &str,
    samples: &[[f32; 2]],
    test: impl FnOnce(Calibration<'_>, &[TwoFloat], &[f32]),
) {
    let curve = Curve::parse_with(name, &FORMULAS).unwrap();
    let column = |k: usize| samples.iter().map(move |s| TwoFloat::from(s[k]));
    let readings: Vec<TwoFloat> = column(0).collect();
    let n = samples.len();
    let (mut x, mut y) = (std::vec![0.0; n], std::vec![0.0; n]);
    let [input, output] =
        prepare(&curve, readings.iter().copied(), column(1), &mut x, &mut y).unwrap();
    let samples = Samples { x: &x, y: &y };
    let mut solver = CurveSolver::<4>::new(&curve, samples).unwrap();
    let solution = solver.solution();
    let params = solution.params();
    let calibration = Calibration {
        curve,
        input,
        output,
        range: range(readings.iter().copied()).unwrap(),
        params: &params[..curve.param_count()],
        origin: Origin {
            samples: n as u32,
            epochs: 1,
            loss: output.invert_square(solver.loss(&solution)),
        },
    };
    let errors: Vec<f32> = readings
        .iter()
        .map(|reading| {
            let (_, gradient) = super::tangent::<4>(&calibration, *reading).unwrap();
            solution.standard_error_of(&gradient).unwrap() / output.factor.abs()
        })
        .collect();
    test(calibration, &readings, &errors);
}

const THERMOMETER: [[f32; 2]; 11] = [
    [35.7, 0.5],
    [55.9, 14.0],
    [58.2, 15.0],
    [81.9, 28.0],
    [56.3, 11.0],
    [48.9, 8.0],
    [33.9, 3.0],
    [21.8, -4.0],
    [48.4, 6.0],
    [60.4, 13.0],
    [68.4, 21.0],
];
const THERMISTOR: [[f32; 2]; 8] = [
    [32650.0, 0.3],
    [19900.0, 9.8],
    [12490.0, 20.1],
    [10000.0, 24.8],
    [8057.0, 30.2],
    [5327.0, 39.9],
    [3603.0, 50.1],
    [2488.0, 59.8],
];
const DECAY: [[f32; 2]; 6] = [
    [0.0, 3.1],
    [1.0, 2.2],
    [2.0, 1.7],
    [3.0, 1.45],
    [4.0, 1.2],
    [6.0, 1.1],
];

/// The tracker starts with the standard errors of the solver's covariance, also with a
/// larger `P`. Other tests compare the covariance with that of the textbook.
#[test]
fn it_begins_with_the_covariance_of_the_fit() {
    for (name, samples) in [
        ("linear", &THERMOMETER[..]),
        ("poly:2", &THERMOMETER),
        ("poly:3", &THERMOMETER),
        ("steinhart-hart", &THERMISTOR),
        ("exp", &DECAY),
        ("power", &THERMISTOR),
    ] {
        fitted(name, samples, |calibration, readings, errors| {
            let mut memory = [0.0; Tracker::floats(4)];
            let at = |i: usize| readings.get(i).copied();
            let options = Tracking::default();
            let tracker = Tracker::begin::<13>(&mut memory, &calibration, options, at).unwrap();
            for (reading, error) in readings.iter().zip(errors) {
                let found = tracker.standard_error::<4>(&calibration, *reading);
                assert!(
                    (found / error - 1.0).abs() < 5e-3,
                    "{name} at {reading:?}: {found}, expected {error}"
                );
            }
        });
    }
}

/// Evenly spaced readings replace unknown ones. If the readings were evenly spaced, this
/// makes no difference; if there were many, fewer replacements suffice.
#[test]
fn evenly_spread_readings_stand_for_those_that_are_forgotten() {
    for n in [11_usize, 1000] {
        let samples: Vec<[f32; 2]> = (0..n)
            .map(|i| {
                let x = i as f32 * (20.0 / (n - 1) as f32);
                [x, 3.0 * x + if i % 2 == 0 { 0.5 } else { -0.5 }]
            })
            .collect();
        fitted("linear", &samples, |calibration, readings, _| {
            let mut memory = [[0.0; Tracker::floats(2)]; 2];
            let [known, forgotten] = &mut memory;
            let options = Tracking::default();
            let at = |i: usize| readings.get(i).copied();
            let known = Tracker::begin::<2>(known, &calibration, options, at).unwrap();
            let forgotten =
                Tracker::begin::<2>(forgotten, &calibration, options, |_| None).unwrap();
            for x in [-5.0, 0.0, 7.0, 20.0] {
                let error = |t: &Tracker<'_>| t.standard_error::<2>(&calibration, x.into());
                let ratio = error(&forgotten) / error(&known);
                // Among fewer readings, the ends have more weight.
                assert!((ratio - 1.0).abs() < 0.03, "{n} at {x}: {ratio}");
            }
        });
    }
}

/// Each step has the bits of a [`Recursive`] of exactly as many parameters.
#[test]
fn a_line_has_the_bits_of_recursive_least_squares() {
    fitted("linear", &THERMOMETER, |calibration, readings, _| {
        let options = Tracking {
            forgetting: 0.9,
            sigma: Some(2.0),
            gate: 4.0,
        };
        let mut memory = [[0.0; Tracker::floats(4)]; 2];
        let [small, large] = &mut memory;
        let at = |i: usize| readings.get(i).copied();
        let mut small = Tracker::begin::<2>(small, &calibration, options, at).unwrap();
        let mut large = Tracker::begin::<13>(large, &calibration, options, at).unwrap();
        let [w, b] = calibration.params.first_chunk().copied().unwrap();
        let deviations: Vec<f32> = small.limits.iter().map(|v| v.sqrt()).collect();
        let deviations = [deviations[0], deviations[1]];
        let sigma = 2.0 * calibration.output.factor;
        let mut host = Recursive::new([w, b], deviations, sigma)
            .unwrap()
            .forgetting(0.9)
            .unwrap()
            .gate(4.0)
            .unwrap();
        let state: Vec<f32> = [w, b].iter().chain(&*small.triangle).copied().collect();
        host.restore(&state).unwrap();
        let mut params = [[w, b]; 2];
        let mut taken = 0;
        for i in 0..500_u32 {
            let x = 20.0 + (i * 7 % 60) as f32;
            let y = 0.55 * x - 17.0 + 0.01 * i as f32 + (i * i % 5) as f32 - 2.0;
            let y = if i % 50 == 49 { y + 100.0 } else { y };
            let [from, to] = params;
            let now = |params| Calibration {
                params,
                ..calibration
            };
            let scaled = [
                calibration.input.apply(x.into()),
                calibration.output.apply(y.into()),
            ];
            let expected = host.observe::<Line, 1>([scaled[0]], scaled[1]);
            let a = small.observe::<2>(&now(&from), x.into(), y.into());
            let b = large.observe::<13>(&now(&to), x.into(), y.into());
            assert_eq!(expected.is_ok(), a.is_ok(), "{i}");
            assert_eq!(expected.is_ok(), b.is_ok(), "{i}");
            if let (Ok(a), Ok(b)) = (a, b) {
                taken += 1;
                params = [a.params, [b.params[0], b.params[1]]];
            }
            for params in params {
                assert_eq!(params.map(f32::to_bits), host.params().map(f32::to_bits));
            }
        }
        assert_eq!((taken, small.samples(), small.left_out()), (490, 490, 10));
        let mut slope = params[0][0] * calibration.input.factor / calibration.output.factor;
        slope -= 0.55;
        assert!(slope.abs() < 0.05, "{slope}");
    });
}

/// Tracks `samples` samples, and returns the parameters at the end, the number of samples
/// left out, and the number of jumps.
fn follow(
    calibration: &Calibration<'_>,
    readings: &[TwoFloat],
    options: Tracking,
    samples: u32,
    sample: impl Fn(u32) -> [f32; 2],
) -> ([f32; 4], u32, u32) {
    let mut memory = [0.0; Tracker::floats(4)];
    let at = |i: usize| readings.get(i).copied();
    let mut tracker = Tracker::begin::<4>(&mut memory, calibration, options, at).unwrap();
    let mut params = [0.0; 4];
    let count = calibration.params.len();
    params[..count].copy_from_slice(calibration.params);
    let mut jumps = 0;
    for i in 0..samples {
        let now = Calibration {
            params: &params[..count],
            ..*calibration
        };
        let [x, y] = sample(i);
        if let Ok(tracked) = tracker.observe::<4>(&now, x.into(), y.into()) {
            jumps += u32::from(tracked.is_jump);
            params = tracked.params;
        }
    }
    (params, tracker.left_out(), jumps)
}

/// The tracker follows a thermistor whose resistance creeps up by 5 % to within 0.2 °C,
/// where the original calibration is off by almost 1 °C. Outliers are left out.
#[test]
fn a_drifting_thermistor_is_followed_and_outliers_are_not() {
    fitted("steinhart-hart", &THERMISTOR, |calibration, readings, _| {
        let is = |x: f32| super::tangent::<4>(&calibration, x.into()).unwrap().0;
        let sample = |i: u32| {
            let t = 3000.0 + (i * 37 % 29) as f32 * 900.0;
            let noise = (i * 7919 % 13) as f32 / 13.0 - 0.5;
            let outlier = if i % 40 == 39 { 25.0 } else { 0.0 };
            [
                t * (1.0 + 0.05 * i as f32 / 1000.0),
                is(t) + 0.3 * noise + outlier,
            ]
        };
        let options = Tracking::default();
        let (params, left_out, jumps) = follow(&calibration, readings, options, 1000, sample);
        assert_eq!((left_out, jumps), (25, 0));
        for t in [4000.0, 12000.0, 25000.0_f32] {
            let now = Calibration {
                params: &params[..3],
                ..calibration
            };
            let off =
                |c: &Calibration<'_>| super::tangent::<4>(c, (t * 1.05).into()).unwrap().0 - is(t);
            assert!(off(&now).abs() < 0.2, "{}", off(&now));
            assert!(off(&calibration).abs() > 0.9);
        }
    });
}

/// A jump of 300 from one sample to the next is accepted at the fifth sample.
#[test]
fn a_jump_is_followed_after_five_samples() {
    fitted("linear", &THERMOMETER, |calibration, readings, _| {
        let line = |x: f32| 0.536_772 * x - 17.304_78;
        let sample = |i: u32| {
            let x = 25.0 + (i * 7 % 50) as f32;
            [x, line(x) + if i < 20 { 0.0 } else { 300.0 }]
        };
        let options = Tracking::default();
        let (params, left_out, jumps) = follow(&calibration, readings, options, 60, sample);
        assert_eq!((left_out, jumps), (4, 1));
        let [w, b, ..] = params;
        let z = calibration.input.apply(50.0.into());
        let found = calibration.output.invert(w * z + b).high();
        assert!((found - line(50.0) - 300.0).abs() < 1.0, "{found}");
    });
}

/// A sensor that rests at one reading for long gives no information about other readings:
/// results there stay within a few standard errors.
#[test]
fn a_resting_sensor_unlearns_nothing() {
    for name in ["linear", "poly:3"] {
        fitted(name, &THERMOMETER, |calibration, readings, errors| {
            let result = |params: &[f32], x: f32| {
                let now = Calibration {
                    params,
                    ..calibration
                };
                let value = super::tangent::<4>(&now, x.into()).unwrap().0;
                calibration.output.invert(value).high()
            };
            let before = calibration.params;
            let sample = |i: u32| [56.0, result(before, 56.0) + (i % 2) as f32 - 0.5];
            let options = Tracking::default();
            let (params, ..) = follow(&calibration, readings, options, 100_000, sample);
            let count = before.len();
            for (reading, error) in readings.iter().zip(errors) {
                let x = reading.high();
                let moved = result(&params[..count], x) - result(before, x);
                assert!(moved.abs() < 4.0 * error, "{name} at {x}: {moved}, {error}");
            }
        });
    }
}

/// A tracker also starts from calibrations that fit exactly, that have no samples, or
/// whose loss is NaN.
#[test]
fn it_begins_from_calibrations_of_all_kinds() {
    let params = [2.0, 1.0];
    for (samples, loss) in [
        (0, 0.0),
        (2, 0.0),
        (11, f32::NAN),
        (u32::MAX, 1.0),
        (1, 1e-30),
    ] {
        for ends in [[0.0, 10.0], [3.0, 3.0]] {
            let line = Calibration {
                curve: Curve::Linear,
                input: Scale::ONE,
                output: Scale::ONE,
                range: ends.map(TwoFloat::from),
                params: &params,
                origin: Origin {
                    samples,
                    epochs: 1,
                    loss,
                },
            };
            let options = Tracking::default();
            let mut memory = [0.0; Tracker::floats(2)];
            let begun = Tracker::begin::<2>(&mut memory, &line, options, |_| None);
            let mut tracker = begun.unwrap();
            let tracked = tracker.observe::<2>(&line, 3.0.into(), 7.0.into());
            let found = tracked.unwrap().params;
            assert!((found[0] * 3.0 + found[1] - 7.0).abs() < 1e-5, "{found:?}");
        }
    }
}

#[test]
fn what_cannot_be_tracked_says_so() {
    let line = Calibration {
        curve: Curve::Linear,
        input: Scale::ONE,
        output: Scale {
            offset: TwoFloat::ZERO,
            factor: 0.5,
        },
        range: [0.0.into(), 10.0.into()],
        params: &[2.0, 1.0],
        origin: Origin {
            samples: 11,
            epochs: 1,
            loss: 0.01,
        },
    };
    let begin = |calibration: &Calibration<'_>, room: usize, options| {
        let mut memory = std::vec![0.0; room];
        let begun = Tracker::begin::<4>(&mut memory, calibration, options, |_| None);
        begun.map(|_| ())
    };
    let options = Tracking::default();
    let needed = Tracker::floats(2);
    assert_eq!(begin(&line, needed, options), Ok(()));
    let capacity = needed - 1;
    let room = Err(TrackError::Room { needed, capacity });
    assert_eq!(begin(&line, capacity, options), room);
    let more = Calibration {
        curve: Curve::Poly(4),
        params: &[0.0; 5],
        ..line
    };
    let found = begin(&more, 100, options);
    let [needed, capacity] = [5, 4].map(Tracker::floats);
    assert_eq!(found, Err(TrackError::Room { needed, capacity }));
    let network = Calibration {
        curve: Curve::mlp(&[1], 0).unwrap(),
        params: &[0.0; 4],
        ..line
    };
    assert_eq!(begin(&network, 100, options), Err(TrackError::Network));
    for (options, expected) in [
        (
            Tracking {
                sigma: Some(-3.0),
                ..options
            },
            "standard deviation of a reading: expected more than 0, and a square that is \
             neither 0 nor infinite, found -3.0",
        ),
        (
            Tracking {
                forgetting: 0.25,
                ..options
            },
            "forgetting factor: expected more than 0.5, at most 1, found 0.25",
        ),
        (
            Tracking {
                gate: 0.0,
                ..options
            },
            "gate: expected more than 0 standard deviations, found 0.0",
        ),
    ] {
        let error = begin(&line, 100, options).unwrap_err();
        assert_eq!(std::string::ToString::to_string(&error), expected);
    }
    let mut memory = [0.0; 100];
    let mut tracker = Tracker::begin::<2>(&mut memory, &line, options, |_| None).unwrap();
    for [x, y] in [[f32::NAN, 0.0], [0.0, f32::INFINITY]] {
        let found = tracker.observe::<2>(&line, x.into(), y.into());
        assert_eq!(found, Err(LeftOut::NotFinite));
    }
    let found = tracker
        .observe::<2>(&line, 3.0.into(), 15.0.into())
        .unwrap_err();
    let text = std::string::ToString::to_string(&found);
    assert!(
        text.starts_with("expected a sample in the gate, found it off by 1.0 where ")
            && text.ends_with(": left out, 1 in a row"),
        "{text}"
    );
    assert_eq!((tracker.samples(), tracker.left_out()), (0, 3));
}
