//! Tests of data sets and scales, with numbers that are far from 0, huge, tiny and many.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use baregrad::optim::Sgd;
use baregrad::train::{self, Calibration, Curve, Dataset, Fit, Param, Scaler, Scaling};

// ---- numbers that f32 does not hold -------------------------------------------------

/// Fits a curve to all rows, with its scales.
fn calibrate(data: &Dataset, curve: &str) -> Calibration {
    let curve: Curve = curve.parse().unwrap();
    let columns = [("x", curve.scaling()), ("y", Scaling::Standard)];
    let scaler = Scaler::fit(data, &columns).unwrap();
    let scaled = scaler.apply(data).unwrap();
    assert!(scaled.coarse().is_empty(), "scaled numbers are near 0");
    let samples = scaled.samples(&["x"], &["y"]).unwrap();
    let count = baregrad::train::Model::params(&curve).len();
    let fitted = Fit::new(&curve, &samples)
        .epochs(2000)
        .run(&mut Sgd::new(1.0 / count as f32))
        .unwrap();
    let x = data.column_f64("x").unwrap();
    let range = [x[0], x[x.len() - 1]];
    let scales = ["x", "y"].map(|name| scaler.scale(name).unwrap());
    Calibration::new(&curve, &fitted, ["x", "y"], scales, range)
}

#[test]
fn origins_are_taken_off_before_numbers_are_rounded() {
    // x goes up from an origin in steps; y = a + b (x - origin). The last column is the number of
    // the twenty values of x that remain distinct in f32.
    for (origin, step, a, b, apart) in [
        (4155915305.0, 190.0, 0.0, 1.0, 15), // a counter
        (1764410400.0, 1.0, 20.0, 0.25, 1),  // seconds since 1970
        (101325.0, 0.01, 12.0, -8.3, 20),    // a barometer, Pa
        (13.4050123, 1e-7, 0.0, 1e4, 3),     // a longitude
        (-1e7, 0.1, 1764410400.0, 100.0, 3), // both columns
        (8388608.0, 1.0, 0.0, 1e-3, 20),     // 24 bits: f32 has them
        (0.0, 1.0, 1e9, 0.1, 20),            // only y
    ] {
        let x: Vec<f64> = (0..20).map(|i| origin + step * f64::from(i)).collect();
        let y: Vec<f64> = x.iter().map(|x| a + b * (x - origin)).collect();
        let data = Dataset::new([("x", x.clone()), ("y", y.clone())]).unwrap();
        let mut told: Vec<u32> = data
            .column("x")
            .unwrap()
            .iter()
            .map(|x| x.to_bits())
            .collect();
        told.dedup();
        assert_eq!(told.len(), apart, "{origin}");

        let spread = b.abs() * step * 6.0;
        for curve in ["linear", "poly:2"] {
            let calibration = calibrate(&data, curve);
            let about = calibration.coefficients_about(origin).unwrap();
            // Rounding errors of `f32` are a few 2^-24 of the spread.
            assert!(
                (about[1] / b - 1.0).abs() < 2e-6,
                "{curve} at {origin}: {about:?}"
            );
            assert!(
                (about[0] - a).abs() < 2e-6 * spread,
                "{curve} at {origin}: {about:?}"
            );
            let predicted = calibration.predict_f64(&x).unwrap();
            for (y, predicted) in y.iter().zip(predicted) {
                assert!((y - predicted).abs() < 2e-6 * spread, "{curve} at {origin}");
            }
        }
    }
}

#[test]
fn the_formula_shown_is_the_function() {
    let x: Vec<f64> = (0..20).map(|i| 1764410400.0 + f64::from(i)).collect();
    let y: Vec<f64> = (0..20).map(|i| 101325.0 - 0.01 * f64::from(i)).collect();
    let data = Dataset::new([("x", x), ("y", y)]).unwrap();
    let shown = calibrate(&data, "linear").to_string();
    // Evaluates the printed `y = a - b * (x - origin)`.
    let parts: Vec<&str> = shown
        .split([' ', '(', ')'])
        .filter(|part| !part.is_empty())
        .collect();
    let ["y", "=", a, "-", b, "*", "x", "-", origin] = parts[..] else {
        panic!("{shown}")
    };
    let [a, b, origin] = [a, b, origin].map(|text| text.parse::<f64>().unwrap());
    for i in 0..20 {
        let (x, y) = (1764410400.0 + f64::from(i), 101325.0 - 0.01 * f64::from(i));
        assert!((a - b * (x - origin) - y).abs() < 1e-6, "{shown}");
    }
}

#[test]
fn warnings_say_what_neither_format_holds() {
    let warnings = |origin: f64, step: f64| {
        let x = (0..20).map(|i| origin + step * f64::from(i));
        let y: Vec<f64> = (0..20).map(|i| 101325.0 + 0.01 * f64::from(i)).collect();
        let data = Dataset::new([("x", x.collect()), ("y", y)]).unwrap();
        let calibration = calibrate(&data, "linear");
        (calibration.warnings(), calibration.to_string())
    };
    // Only y loses digits, so an origin of x would not help.
    let (found, shown) = warnings(20.0, 0.5);
    assert!(
        found.len() == 1 && found[0].starts_with("`y` near 101325.0"),
        "{found:?}"
    );
    assert!(
        found[0].contains("has steps of 0.00781 in f32"),
        "{found:?}"
    );
    assert!(
        shown.starts_with("y = 101324.6") && shown.ends_with(" * x"),
        "{shown}"
    );
    // Nanoseconds since 1970, a microsecond apart, which pairs hold to 2^-48.
    let (found, _) = warnings(1_764_410_400_000_000_000.0, 1000.0);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[1].contains("has steps of 6268 even in pairs of f32"),
        "{found:?}"
    );
}

#[test]
fn columns_that_f32_does_not_hold_are_named_with_figures() {
    let steps = |origin: f64, step: f64| -> Vec<f64> {
        (0..20).map(|i| origin + step * f64::from(i)).collect()
    };
    let data = Dataset::new([
        ("counter", steps(4155915305.0, 190.0)),
        ("seconds", steps(1764410400.0, 3600.0)),
        ("longitude", steps(13.4050123, 1e-5)),
        ("adc", steps(0.0, 800_000.0)),
        ("count", steps(16_777_000.0, 1.0)),
        ("celsius", steps(20.5, 0.1)),
        ("constant", steps(1e9, 0.0)),
    ])
    .unwrap();
    let coarse = data.coarse();
    let names: Vec<&str> = coarse.iter().map(|coarse| &*coarse.column).collect();
    assert_eq!(names, ["counter", "seconds", "longitude"]);
    // From 2^31 to 2^32 `f32` has a spacing of 2^8. The deviation is 190 times that of 0..20,
    // which is the root of (400 - 1) / 12.
    assert_eq!(coarse[0].spacing, 256.0);
    assert!((coarse[0].deviation - 190.0 * 33.25_f64.sqrt()).abs() < 1e-6);
    assert_eq!(
        coarse[0].to_string(),
        "column `counter`: f32 has steps of 256 at 4155918915, 0.234 of the standard deviation of 1096"
    );
    // Samples that are not scaled, and fits of them, report it, too.
    let samples = data.samples(&["counter", "celsius"], &["adc"]).unwrap();
    assert_eq!(samples.coarse(), &coarse[..1]);
    let model = train::model([Param::scalar("b", 0.0)], |x, [b]| {
        x.sum_axis(-1, true) * 0.0 + b
    });
    let verdict = |samples| {
        let fit = Fit::new(&model, samples).epochs(1);
        fit.run(&mut Sgd::new(0.1)).unwrap().verdict().to_string()
    };
    let says = "column `counter`: f32 has steps of 256 at 4155918915, 0.234 of the standard deviation of 1096: scale it, or take off an origin, before it becomes f32";
    assert!(verdict(&samples).contains(says));
    let names = ["counter", "celsius"];
    let scaler = Scaler::fit(&data, &names.map(|name| (name, Scaling::Standard))).unwrap();
    let samples = scaler.apply(&data).unwrap().samples(&names, &["adc"]);
    assert!(!verdict(&samples.unwrap()).contains("f32 has steps"));
}

#[test]
fn data_sets_take_what_numbers_there_are() {
    let double = Dataset::new([("x", vec![0.1, 1e9 + 0.5]), ("y", vec![1.0, 2.0])]).unwrap();
    assert_eq!(double.column_f64("x").unwrap(), [0.1, 1e9 + 0.5]);
    assert_eq!(double.column("x").unwrap(), [0.1_f32, 1e9]);
    let single = Dataset::new([("x", &[0.1_f32, 2.0][..])]).unwrap();
    assert_eq!(single.column_f64("x").unwrap(), [f64::from(0.1_f32), 2.0]);
    let counts = Dataset::new([("x", [4_155_915_305_u32, 7])]).unwrap();
    assert_eq!(counts.column_f64("x").unwrap(), [4_155_915_305.0, 7.0]);
    // A selection of rows keeps the digits.
    let part = double.select(&[1]).unwrap();
    assert_eq!(part.column_f64("x").unwrap(), [1e9 + 0.5]);
    assert_eq!(
        Dataset::new([("x", [1.0, -1e39])]).unwrap_err().to_string(),
        "column `x`, row 1: expected a finite f32, found -1e39, more than the 3.4e38 that f32 holds"
    );
}

#[test]
fn data_that_cannot_be_split_or_scaled_say_why() {
    let six = Dataset::new([("x", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]).unwrap();
    for (fraction, expected) in [
        (
            0.0,
            "expected a fraction that leaves a row to train with and one to validate with, found 0 of 6 rows",
        ),
        (
            0.1,
            "expected at least 10 rows for a validation part of that size, found 6",
        ),
        (
            1.0,
            "expected a fraction of at least 0 and less than 1, found 1",
        ),
    ] {
        assert_eq!(six.split(fraction, 1).unwrap_err().to_string(), expected);
    }
    let tiny = six.split(5e-324, 1).unwrap_err().to_string();
    assert!(tiny.ends_with(", found 5e-324 of 6 rows"), "{tiny}");
    assert_eq!(six.split(1.0 / 6.0, 1).unwrap().1.rows(), 1);

    let near = Dataset::new([("x", [0.0_f32, 1e-45, 1e-44])]).unwrap();
    assert_eq!(
        Scaler::fit(&near, &[("x", Scaling::Standard)])
            .unwrap_err()
            .to_string(),
        "column `x`: expected values that differ by 2.9e-39 or more, found a spread of 4.33e-45; use a smaller unit"
    );
    // The squares underflow even in `f64`, but the spread does not: √(1/4) of 4e-300.
    let near = Dataset::new([("x", [1e-300, 5e-300])]).unwrap();
    assert_eq!(
        Scaler::fit(&near, &[("x", Scaling::Standard)])
            .unwrap_err()
            .to_string(),
        "column `x`: expected values that differ by 2.9e-39 or more, found a spread of 2.00e-300; use a smaller unit"
    );
}

#[test]
fn scales_are_written_as_people_write_them() {
    let data = Dataset::new([
        ("a", [-2.25, -1.75]),
        ("b", [2.25, 1.75]),
        ("c", [1.0, 2.0]),
        ("d", [1764410400.0, 1764410410.0]),
    ]);
    let scaling = |name| (name, Scaling::MinMax);
    let columns = [
        scaling("a"),
        scaling("b"),
        ("c", Scaling::Fixed(0.1)),
        scaling("d"),
    ];
    let scaler = Scaler::fit(&data.unwrap(), &columns).unwrap();
    assert_eq!(
        scaler.to_string(),
        "a: (x + 2) * 4\nb: (x - 2) * 4\nc: x * 0.1\nd: (x - 1764410405) * 0.2"
    );
}
