//! Tests of a calibration's record, coefficients and predictions, and of its errors.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use baregrad::Arena;
use baregrad::calibrate::{
    Calibration, Curve, Origin, PredictError, RecordError, Scale, TwoFloat, Writer,
};

const CURVES: [&str; 6] = [
    "linear",
    "poly:1",
    "poly:3",
    "poly:12",
    "mlp:8",
    "mlp:64,64,64,64",
];

fn params(curve: &Curve) -> Vec<f32> {
    (0..curve.param_count())
        .map(|i| 0.5 - 0.01 * i as f32)
        .collect()
}

fn calibration(curve: Curve, params: &[f32]) -> Calibration<'_> {
    Calibration {
        curve,
        input: Scale {
            offset: "101325.07".parse().unwrap(),
            factor: 0.25,
        },
        output: Scale {
            offset: 10.0.into(),
            factor: 1e-3,
        },
        range: ["101320.05".parse().unwrap(), "101330.1".parse().unwrap()],
        params,
        origin: Origin {
            samples: 48,
            epochs: 100_000,
            loss: 1e-9,
        },
    }
}

#[test]
fn bytes_give_the_calibration_back() {
    for name in CURVES {
        let mut curve = Curve::parse(name).unwrap();
        if let Curve::Mlp { seed, .. } = &mut curve {
            *seed = 7;
        }
        let params = params(&curve);
        let before = calibration(curve, &params);
        let mut bytes = vec![0; Calibration::max_bytes(params.len())];
        let bytes = before.write(&mut bytes).unwrap();
        let mut room = vec![9.0; params.len() + 3];
        assert_eq!(Calibration::read(bytes, &mut room), Ok(before), "{name}");
        let mut room = vec![9.0; params.len() - 1];
        let found = Calibration::read(bytes, &mut room);
        assert!(matches!(found, Err(RecordError::Count { .. })), "{name}");
    }
}

/// Coefficients agree with exact arithmetic, and are `None` where a formula with them would be
/// wrong (-127,816 instead of 2,500).
#[test]
fn coefficients_are_given_where_they_agree_to_six_digits() {
    let at = |text: &str, factor, curve, params| Calibration {
        input: Scale {
            offset: text.parse().unwrap(),
            factor,
        },
        ..calibration(curve, params)
    };
    for (offset, reach, agrees) in [
        ("51.8", 30.0_f64, [true, true]),
        ("500", 500.0, [true, true]),
        ("-3", 1.0, [true, false]),
        ("-0.3", 1e-3, [false, false]),
        ("8388607.25", 40.0, [false, false]),
        ("101325.07", 5.0, [false, false]),
    ] {
        for (curve, params, agrees) in [
            (Curve::Linear, &[0.75, -0.5][..], agrees[0]),
            (Curve::Poly(3), &[0.75, 0.25, -0.125, 0.5], agrees[1]),
        ] {
            let mut tried = at(offset, (1.0 / reach) as f32, curve, params);
            let middle = tried.input.offset.to_f64();
            tried.range = [middle - reach, middle + reach].map(TwoFloat::from_f64);
            let scaled = tried.scaled_coefficients().unwrap();
            let found = tried.coefficients();
            assert_eq!(found.is_some(), agrees, "{offset} {curve}");
            for i in 0..=100 {
                let x = middle + reach * (f64::from(i) / 50.0 - 1.0);
                let z = (x - middle) * f64::from(tried.input.factor);
                let sum = match params {
                    [w, b] => f64::from(*w) * z + f64::from(*b),
                    _ => {
                        let (t2, t3) = (2.0 * z * z - 1.0, 4.0 * z * z * z - 3.0 * z);
                        0.75 * z + 0.25 * t2 - 0.125 * t3 + 0.5
                    }
                };
                let expected = sum / f64::from(tried.output.factor) + 10.0;
                let horner = |x: f64, c: &[f64]| c.iter().rev().fold(0.0, |y, c| y * x + c);
                let by_scaled = horner(z, &scaled.map(TwoFloat::to_f64));
                assert!((by_scaled - expected).abs() < 1e-9, "{offset} {curve}");
                if let Some(c) = found {
                    let c = c.map(f64::from);
                    // Results go up to a thousand.
                    let off = (horner(x, &c) - expected).abs();
                    assert!(off < 2e-3, "{offset} {curve} {x}: {off}");
                }
            }
        }
    }
    let network = Curve::mlp(&[2], 1).unwrap();
    assert_eq!(calibration(network, &[0.0; 7]).scaled_coefficients(), None);
    assert_eq!(calibration(network, &[0.0; 7]).coefficients(), None);
    let not_finite = at("0", 1.0, Curve::Linear, &[f32::INFINITY, 0.0]);
    assert_eq!(not_finite.coefficients(), None);
}

/// A record with any flipped bit, or cut short, is refused.
#[test]
fn no_bit_of_the_bytes_may_change() {
    let mut tried = 0;
    for name in ["linear", "poly:3", "mlp:8"] {
        let curve = Curve::parse(name).unwrap();
        let params = params(&curve);
        let mut bytes = [0; 512];
        let len = calibration(curve, &params).write(&mut bytes).unwrap().len();
        let mut room = [0.0; 25];
        for bit in 0..8 * len {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Calibration::read(&bytes[..len], &mut room).is_err(),
                "{bit}"
            );
            bytes[bit / 8] ^= 1 << (bit % 8);
            tried += 1;
        }
        for len in 0..len {
            assert!(
                Calibration::read(&bytes[..len], &mut room).is_err(),
                "{len}"
            );
            tried += 1;
        }
        assert!(Calibration::read(&bytes[..len], &mut room).is_ok());
    }
    assert!(tried > 5000, "{tried}");
}

#[test]
fn numbers_no_calibration_has_are_refused() {
    let good = [1.0, 2.0];
    let with = |change: fn(&mut Calibration<'_>)| {
        let mut bad = calibration(Curve::Linear, &good);
        change(&mut bad);
        let mut bytes = [0; 256];
        let bytes = bad.write(&mut bytes).unwrap();
        let mut room = [0.0; 2];
        Calibration::read(bytes, &mut room).map(|_| ())
    };
    assert_eq!(with(|_| {}), Ok(()));
    for change in [
        (|bad| bad.input.factor = 0.0) as fn(&mut Calibration<'_>),
        |bad| bad.output.factor = f32::NAN,
        |bad| bad.output.offset = f32::INFINITY.into(),
        |bad| bad.params = &[1.0, f32::NAN],
        |bad| bad.params = &[1.0],
        |bad| bad.params = &[1.0; 3],
        |bad| bad.range = [1.0.into(), 0.0.into()],
        |bad| bad.range = [f32::NAN.into(), 0.0.into()],
        |bad| bad.curve = Curve::Poly(3),
    ] {
        assert!(with(change).is_err());
    }
    // A valid record that is not a calibration.
    let mut bytes = [0; 64];
    let mut writer = Writer::new(&mut bytes);
    writer.text("curve", "spline");
    let bytes = writer.finish().unwrap();
    let found = Calibration::read(bytes, &mut []);
    assert!(
        matches!(found, Err(RecordError::Content { .. })),
        "{found:?}"
    );
}

#[test]
fn readings_outside_the_range_are_told_and_others_are_errors() {
    let params = [1.0, 0.0];
    let calibration = calibration(Curve::Linear, &params);
    let predict = |reading: TwoFloat| {
        let mut arena = Arena::<32, 8>::new();
        let tape = arena.tape();
        calibration.predict(&tape, reading)
    };
    for (text, is_inside) in [
        ("101320.05", true),
        ("101320.04999", false),
        ("101330.1", true),
        ("101330.10001", false),
        ("0", false),
    ] {
        let found = predict(text.parse().unwrap()).unwrap();
        assert_eq!(found.is_inside, is_inside, "{text}");
    }
    for reading in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38] {
        let found = predict(reading.into());
        assert!(
            matches!(found, Err(PredictError::NotFinite { .. })),
            "{reading}"
        );
    }
    // An arena that is too small gives the tape's error.
    let mut arena = Arena::<1, 2>::new();
    let tape = arena.tape();
    let found = calibration.predict(&tape, TwoFloat::ZERO);
    assert!(matches!(found, Err(PredictError::Tape(_))));
}
