//! The example `calibrate`, run as a person runs it.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The example, built as this test was: next to it, in the same profile.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--example", "calibrate", "--target-dir"]);
        cargo.arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success());
        profile.join("examples/calibrate")
    })
}

/// An empty directory for one test.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("calibrate")
        .join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

fn data(name: &str) -> String {
    format!("{}/examples/data/{name}.csv", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn norris_gives_the_certified_coefficients() {
    let directory = directory("norris");
    let norris = data("norris");
    let output = run(
        &directory,
        &[&norris, "--x", "x", "--y", "y", "--validation", "0"],
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let coefficient = |power: usize| -> f64 {
        let start = format!("  coefficient of x^{power}: ");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap().parse().unwrap()
    };
    assert!((coefficient(0) + 0.262323073774029).abs() < 5e-4);
    assert!((coefficient(1) - 1.00211681802045).abs() < 5e-7);
    for ending in [".rs", ".json", ".csv", "-fit.svg", "-loss.svg"] {
        let file = directory.join(format!("calibration/norris{ending}"));
        assert!(file.exists(), "{}", file.display());
    }
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    let directory = directory("bytes");
    let thermometer = data("thermometer");
    let files = |out: &str, seed: &str| {
        let model = [
            "--model", "mlp:4,4", "--epochs", "300", "--seed", seed, "--out", out,
        ];
        let arguments = [
            &[thermometer.as_str(), "--x", "t_u", "--y", "t_c"],
            &model[..],
        ]
        .concat();
        let output = run(&directory, &arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut names: Vec<_> = fs::read_dir(directory.join(out))
            .unwrap()
            .map(|f| f.unwrap().path())
            .collect();
        names.sort();
        names
            .iter()
            .map(|name| fs::read(name).unwrap())
            .collect::<Vec<_>>()
    };
    let first = files("one", "1");
    assert_eq!(first.len(), 5);
    assert!(first == files("two", "1"));
    assert!(first != files("three", "2"));
}

#[test]
fn help_says_it_all() {
    let output = run(&directory("help"), &["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for option in [
        "--x",
        "--y",
        "--model",
        "--method",
        "--epochs",
        "--lr",
        "--validation",
        "--seed",
        "--patience",
        "--l2",
        "--out",
        "linear, poly:N",
        "mlp:N,N",
        "adam",
    ] {
        assert!(text.contains(option), "{option} in {text}");
    }
}

#[test]
fn bad_input_is_one_line_and_code_2_and_writes_nothing() {
    let directory = directory("bad");
    let file = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    file("good.csv", "x,y\n1,2\n2,4\n3,7\n4,8\n5,9\n6,12\n");
    file("text.csv", "x,y\n1,2\n2,warm\n3,6\n");
    file("nan.csv", "x,y\n1,2\nNaN,4\n3,6\n");
    file("large.csv", "x,y\n1,2\n2,1e40\n3,6\n");
    file("short.csv", "x,y\n1,2\n2,4\n");
    file("empty.csv", "");
    file("headers.csv", "x,y\n");
    file("constant.csv", "x,y\n7,2\n7,4\n7,6\n7,1\n7,1\n");
    file("flat.csv", "x,y\n1,3\n2,3\n3,3\n4,3\n5,3\n");
    file("ragged.csv", "x,y\n1,2\n2\n");
    let names = || -> Vec<_> {
        let mut names: Vec<_> = fs::read_dir(&directory)
            .unwrap()
            .map(|f| f.unwrap().path())
            .collect();
        names.sort();
        names
    };
    let before = names();
    let xy = ["--x", "x", "--y", "y"];
    let with = |file: &'static str, more: &[&'static str]| [&[file], &xy[..], more].concat();
    let cases: [(Vec<&str>, &str); 22] = [
        (
            with("none.csv", &[]),
            "none.csv: No such file or directory (os error 2)",
        ),
        (with(".", &[]), ".: Is a directory (os error 21)"),
        (
            vec!["good.csv", "--x", "x", "--y", "z"],
            "good.csv: no column `z`: there are `x`, `y`",
        ),
        (
            with("text.csv", &[]),
            "text.csv: line 3, column `y`: expected a finite number, found `warm`",
        ),
        (
            with("nan.csv", &[]),
            "nan.csv: line 3, column `x`: expected a finite number, found `NaN`",
        ),
        (
            with("large.csv", &[]),
            "large.csv: line 3, column `y`: expected a finite number, found `1e40`",
        ),
        (
            with("short.csv", &["--validation", "0"]),
            "short.csv: expected at least 3 rows to train linear with, found 2",
        ),
        (
            with("short.csv", &[]),
            "short.csv: expected at least 5 rows for a validation part of that size, found 2",
        ),
        (
            with("empty.csv", &[]),
            "empty.csv: expected a line of column names, found nothing",
        ),
        (
            with("headers.csv", &[]),
            "headers.csv: expected at least one column with at least one row",
        ),
        (
            with("constant.csv", &[]),
            "constant.csv: column `x`: expected values that differ, found only 7",
        ),
        (
            with("flat.csv", &[]),
            "flat.csv: column `y`: expected values that differ, found only 3",
        ),
        (
            with("ragged.csv", &[]),
            "ragged.csv: line 3: expected 2 fields, as in the first line, found 1",
        ),
        (
            with("good.csv", &["--model", "poly:5", "--validation", "0"]),
            "good.csv: expected at least 7 rows to train poly:5 with, found 6",
        ),
        (
            with("good.csv", &["--model", "cubic"]),
            "invalid value 'cubic' for '--model <MODEL>': expected linear, poly:N",
        ),
        (
            with("good.csv", &["--validation", "1.5"]),
            "good.csv: expected a fraction of at least 0 and less than 1, found 1.5",
        ),
        (with("good.csv", &["--lr", "1e9"]), "the loss is "),
        (
            with("good.csv", &["--lr", "nan"]),
            "expected lr >= 0, found NaN",
        ),
        (
            with("good.csv", &["--epochs", "0"]),
            "expected epochs >= 1, found 0",
        ),
        (
            with("good.csv", &["--out", "text.csv"]),
            "text.csv: File exists (os error 17)",
        ),
        (
            vec!["good.csv", "--x", "x", "--y", "x"],
            "expected two columns, found `x` as --x and as --y",
        ),
        (
            vec!["good.csv", "--x", "x"],
            "the following required arguments were not provided: --y <COLUMN>",
        ),
    ];
    for (arguments, expected) in cases {
        let output = run(&directory, &arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(
            message.starts_with("error: ") && message.contains(expected),
            "{arguments:?}: {message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
        assert_eq!(names(), before, "{arguments:?} wrote something");
        println!("{message}");
    }
}
