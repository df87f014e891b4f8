//! Tests of pictures of numbers that are huge, tiny, constant and many.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use baregrad::optim::Sgd;
use baregrad::train::plot::{self, Points};
use baregrad::train::{self, Dataset, Fit, Fitted, History, Param};

fn picture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Asserts that no other file of this test is left beside the picture.
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
            // The name of the file contains the number, too.
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
            // Residuals may exceed the range of `f32`.
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
            // Each sample has two dots, and the legend one.
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
    // One sample is far off, and not among evenly chosen ones.
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
    // The circle of the far sample is near the top, above all others.
    let heights = text.split("<circle").skip(1).map(|circle| {
        let cy = circle.split("cy=\"").nth(1).unwrap();
        cy.split('"').next().unwrap().parse::<i32>().unwrap()
    });
    let mut heights: Vec<i32> = heights.collect();
    heights.sort();
    // The first two circles are in the legend.
    assert!(heights[3] - heights[2] > 300, "{:?}", &heights[..5]);
    assert!(draw("many.png").len() < 1_000_000);

    // All samples at one place, and a series for each sample.
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

/// Returns the history of a run with this many epochs, whose loss falls.
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
    // Debug builds run fewer epochs, each of which takes ten times as long.
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
    // Many runs in one picture.
    let runs: Vec<(String, &History)> = (0..30).map(|i| (format!("run {i}"), &history)).collect();
    let runs: Vec<(&str, &History)> = runs.iter().map(|(name, h)| (&**name, *h)).collect();
    plot::losses(picture("runs.svg"), "Many", &runs).unwrap();
    assert!(fs::metadata(picture("runs.svg")).unwrap().len() < 1_500_000);
}

/// For any number of epochs, labels are whole numbers that do not overlap.
#[test]
fn epochs_have_labels_that_do_not_overlap() {
    let path = picture("curves.svg");
    for epochs in [
        1, 2, 3, 5, 9, 10, 11, 60, 99, 100, 400, 2_400, 100_000, 3_000_000,
    ] {
        let losses: Vec<f32> = (1..=epochs).map(|epoch| 1.0 / epoch as f32).collect();
        let curves: &[(&str, &[f32])] = &[("", &losses)];
        plot::curves(&path, "Labels", &[curves, curves]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        // Labels of the lower axis are text elements with a middle anchor.
        let mut labels: Vec<(f32, String)> = vec![];
        let elements = text.split("<text ").skip(1);
        for element in elements.filter(|element| element.contains("text-anchor=\"middle\"")) {
            let (attributes, rest) = element.split_once('>').unwrap();
            let label = rest.split_once('<').unwrap().0.trim();
            let x = attributes
                .split_once("x=\"")
                .unwrap()
                .1
                .split_once('"')
                .unwrap()
                .0;
            if label.parse::<f32>().is_ok() {
                labels.push((x.parse().unwrap(), label.to_string()));
            }
        }
        assert!(labels.len() >= 2, "{epochs}: {labels:?}");
        // The two panels are beside each other.
        let (left, right) = labels.split_at(labels.len() / 2);
        for panel in [left, right] {
            for (_, label) in panel {
                let whole = label.parse::<f32>().unwrap();
                assert!(whole >= 1.0 && !label.contains('.'), "{epochs}: {label}");
            }
            for pair in panel.windows(2) {
                // Digits are at most 0.6 em wide, and 28 pixels tall.
                let width = |label: &str| 0.6 * 28.0 * label.len() as f32;
                let room = (pair[1].0 - pair[0].0).abs();
                let taken = (width(&pair[0].1) + width(&pair[1].1)) / 2.0;
                assert!(room > taken, "{epochs}: {pair:?}");
            }
        }
    }
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
    // The loss, 16250, is between two labels.
    assert!(text.contains("10000") && text.contains("20000"), "{text}");
}
