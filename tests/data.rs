//! Data sets, scales and pictures of what people have: numbers far from 0, huge,
//! tiny and many.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use baregrad::optim::Sgd;
use baregrad::train::{
    self, Calibration, Curve, Dataset, Fit, Fitted, History, Param, Scaler, Scaling,
    plot::{self, Points},
};

// ---- numbers that f32 does not hold -------------------------------------------------

/// A curve through all rows, with its scales.
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
    // x from an origin in steps; y = a + b (x - origin). What f32 would make of x is
    // in the last column: how many of the twenty values it can tell apart.
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
            // f32 leaves 2^-24 of the spread, some times over.
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
    // `y = a - b * (x - origin)`, evaluated as printed.
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
    // Only y: an origin of x would not help.
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
    // Nanoseconds since 1970, in microseconds: f64 has every 256th.
    let (found, _) = warnings(1_764_410_400_000_000_000.0, 1000.0);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[1].contains("has steps of 256 even in f64"),
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
    // f32 near 2^31 to 2^32 has a spacing of 2^8; 190 times the deviation of 0..20,
    // which is the root of (400 - 1) / 12.
    assert_eq!(coarse[0].spacing, 256.0);
    assert!((coarse[0].deviation - 190.0 * 33.25_f64.sqrt()).abs() < 1e-6);
    assert_eq!(
        coarse[0].to_string(),
        "column `counter`: f32 has steps of 256 at 4155918915, 0.234 of the standard deviation of 1096"
    );
    // Samples that are not scaled say so, too, and what was fitted to them.
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
    // Parts keep the digits.
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
    // Their squares vanish even in `f64`, their spread does not: √(1/4) of 4e-300.
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

// ---- pictures -----------------------------------------------------------------------

fn picture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// No file of this test is left beside it.
fn nothing_beside(name: &str) {
    let stem = name.split_once('.').unwrap().0;
    let left = fs::read_dir(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for file in left {
        let file = file.unwrap().file_name().into_string().unwrap();
        assert!(!file.starts_with(&format!(".{stem}.")), "{file}");
    }
}

#[test]
fn numbers_that_cannot_be_drawn_are_errors() {
    let good = [1.0, 2.0, 3.0];
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let name = format!("not-finite-{bad}.svg");
        let path = picture(&name);
        let _ = fs::remove_file(&path);
        let with = [1.0, bad, 3.0];
        let error = |x: &[f32], y: &[f32], predicted: &[f32], curve: &[(f32, f32)]| {
            let points = [Points {
                name: "data",
                x,
                y,
                predicted,
            }];
            let error = plot::fit(&path, "", ["x", "y"], &points, curve).unwrap_err();
            assert!(!path.exists());
            error.to_string()
        };
        for (text, what) in [
            (
                error(&with, &good, &good, &[]),
                format!("`data`, point 1: expected a finite x, found {bad}"),
            ),
            (
                error(&good, &with, &good, &[]),
                format!("`data`, point 1: expected a finite y, found {bad}"),
            ),
            (
                error(&good, &good, &with, &[]),
                format!("`data`, point 1: expected a finite prediction, found {bad}"),
            ),
            (
                error(&good, &good, &good, &[(0.0, 1.0), (bad, 1.0)]),
                format!("point 1 of the curve: expected finite numbers, found ({bad}, 1)"),
            ),
            (
                error(&good, &good, &good, &[(0.0, bad)]),
                format!("point 0 of the curve: expected finite numbers, found (0, {bad})"),
            ),
        ] {
            // The file's name has the number, too.
            assert!(text.ends_with(&what), "{text}");
        }
        let text = error(&good, &good[..2], &good, &[]);
        assert!(
            text.contains("expected as many x, y and predicted, found [3, 2, 3]"),
            "{text}"
        );
        nothing_beside(&name);
    }
}

#[test]
fn any_finite_numbers_are_drawn() {
    let ramp = |scale: f32| -> Vec<f32> { (-10..=10).map(|i| i as f32 * scale).collect() };
    let columns = [
        ramp(1.0),
        ramp(2.9e37), // a span that f32 does not hold
        vec![f32::MAX, -f32::MAX],
        ramp(1e-45), // subnormal
        vec![0.0; 5],
        vec![7e8; 5], // constant, and adding 1 changes nothing
        vec![1e-30; 5],
        vec![f32::MAX; 3],
        vec![1e9, 1e9_f32.next_up()], // neighbours
        vec![3.0],
        vec![],
    ];
    let start = Instant::now();
    for (i, x) in columns.iter().enumerate() {
        for (j, y) in columns.iter().enumerate() {
            let n = x.len().min(y.len());
            let (x, y) = (&x[..n], &y[..n]);
            // Residuals may be beyond the range of f32.
            let against: Vec<f32> = y.iter().map(|y| -y).collect();
            let curve: Vec<(f32, f32)> = x.iter().copied().zip(against.iter().copied()).collect();
            let points = [Points {
                name: "data",
                x,
                y,
                predicted: &against,
            }];
            let path = picture("any.svg");
            plot::fit(&path, "any", ["x", "y"], &points, &curve).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.ends_with("</svg>\n"), "{i} {j}");
            let dots = text.matches("<circle").count();
            // Two of each, and one in the legend.
            assert_eq!(dots, 2 * n + 1, "{i} {j}");
            assert!(text.len() < 40_000, "{i} {j}: {}", text.len());
        }
    }
    plot::fit(picture("none.png"), "", ["", ""], &[], &[]).unwrap();
    nothing_beside("any.svg");
    assert!(
        start.elapsed() < Duration::from_secs(120),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_million_points_are_a_small_picture_with_their_extremes() {
    let n = 1_000_000;
    let x: Vec<f32> = (0..n).map(|i| i as f32 * 1e-3).collect();
    let mut y: Vec<f32> = (0..n).map(|i| ((i * 7919) % 1000) as f32 * 1e-3).collect();
    // One sample far off, which an even choice misses.
    y[123_457] = 9.0;
    let predicted = vec![0.5; n];
    let curve: Vec<(f32, f32)> = x.iter().map(|&x| (x, (x * 0.01).sin())).collect();
    let half = n / 2;
    let part = |name, rows: std::ops::Range<usize>| Points {
        name,
        x: &x[rows.clone()],
        y: &y[rows.clone()],
        predicted: &predicted[rows],
    };
    let points = [part("training", 0..half), part("validation", half..n)];
    let draw = |name: &str| {
        let path = picture(name);
        plot::fit(&path, "Many", ["x", "y"], &points, &curve).unwrap();
        fs::read(path).unwrap()
    };
    let svg = draw("many.svg");
    assert!(svg.len() < 1_000_000, "{}", svg.len());
    assert!(svg == draw("again.svg"), "the same points each time");
    let text = String::from_utf8(svg).unwrap();
    assert!(text.contains("training: ") && text.contains(" of 500000"));
    // The far sample is the only one above the others: its circle is near the top.
    let heights = text.split("<circle").skip(1).map(|circle| {
        let cy = circle.split("cy=\"").nth(1).unwrap();
        cy.split('"').next().unwrap().parse::<i32>().unwrap()
    });
    let mut heights: Vec<i32> = heights.collect();
    heights.sort();
    // The first two are of the legend.
    assert!(heights[3] - heights[2] > 300, "{:?}", &heights[..5]);
    assert!(draw("many.png").len() < 1_000_000);

    // As many samples at one place, and as many series as samples.
    let same = vec![1.0; n];
    let points = [Points {
        name: "same",
        x: &same,
        y: &same,
        predicted: &same,
    }];
    plot::fit(picture("same.svg"), "", ["", ""], &points, &[]).unwrap();
    assert!(fs::metadata(picture("same.svg")).unwrap().len() < 1_000_000);
}

/// A run of so many epochs, whose loss falls from one number to another, through a
/// history that only `Fit` can make.
fn history(epochs: u32) -> History {
    let data = Dataset::new([("x", [0.0, 1.0]), ("y", [1.0, 1.5])]).unwrap();
    let samples = data.samples(&["x"], &["y"]).unwrap();
    let model = train::model([Param::scalar("b", 0.0)], |x, [b]| x * 0.0 + b);
    let fitted: Fitted = Fit::new(&model, &samples)
        .validation(&samples)
        .epochs(epochs)
        .learning_rate(|epoch: u32| if epoch.is_multiple_of(997) { 0.3 } else { 1e-4 })
        .run(&mut Sgd::new(1e-4))
        .unwrap();
    fitted.history().clone()
}

#[test]
fn a_million_epochs_are_a_small_picture() {
    // Fewer without optimization, where an epoch takes ten times as long.
    let epochs = if cfg!(debug_assertions) {
        60_000
    } else {
        1_000_000
    };
    let history = history(epochs);
    for name in ["epochs.svg", "epochs.png"] {
        let path = picture(name);
        plot::losses(&path, "Many", &[("", &history)]).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 300_000);
    }
    let text = fs::read_to_string(picture("epochs.svg")).unwrap();
    let every = epochs.div_ceil(1000);
    let says = format!("epoch (of every {every} the first, last, lowest and highest)");
    assert!(text.contains(&says), "{says}");
    // Several runs, too.
    let runs: Vec<(String, &History)> = (0..30).map(|i| (format!("run {i}"), &history)).collect();
    let runs: Vec<(&str, &History)> = runs.iter().map(|(name, h)| (&**name, *h)).collect();
    plot::losses(picture("runs.svg"), "Many", &runs).unwrap();
    assert!(fs::metadata(picture("runs.svg")).unwrap().len() < 1_500_000);
}

#[test]
fn losses_that_do_not_change_are_in_the_picture() {
    let data = Dataset::new([("x", [0.0, 1.0]), ("y", [100.0, 150.0])]).unwrap();
    let samples = data.samples(&["x"], &["y"]).unwrap();
    let model = train::model([Param::scalar("b", 0.0)], |x, [b]| x * 0.0 + b);
    let fit = Fit::new(&model, &samples).epochs(5).learning_rate(0.0);
    let fitted = fit.run(&mut Sgd::new(0.0)).unwrap();
    let path = picture("flat.svg");
    plot::losses(&path, "Flat", &[("", fitted.history())]).unwrap();
    let text = fs::read_to_string(path).unwrap();
    // The loss, 16250, has a label on either side.
    assert!(text.contains("10000") && text.contains("20000"), "{text}");
}
