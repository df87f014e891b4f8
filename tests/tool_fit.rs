//! `baregrad fit`, run as a person runs it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use baregrad::calibrate::Calibration;

/// An empty directory for one test.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("fit")
        .join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baregrad"));
    command
        .arg("fit")
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
    for ending in [".rs", ".json", "-history.csv", "-fit.svg", "-loss.svg"] {
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
        "--save",
        "--force",
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
    file("twice.csv", "x,y,x\n1,2,3\n2,4,7\n");
    file("names.csv", "1,2\n2,4\n3,7\n");
    file("near.csv", "x,y\n0,1\n1e-45,2\n1e-44,3\n5e-45,4\n3e-45,4\n");
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
    let cases: [(Vec<&str>, &str); 26] = [
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
            "large.csv: line 3, column `y`: expected a finite number, found `1e40`, more than the 3.4e38 that f32 holds",
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
            with("twice.csv", &[]),
            "twice.csv: line 1, column `x`: expected one of this name, found two, in fields 1 and 3",
        ),
        (
            with("names.csv", &[]),
            "names.csv: line 1: expected a line of column names, found numbers",
        ),
        (
            with("near.csv", &[]),
            "near.csv: column `x`: expected values that differ by 2.9e-39 or more, found a spread of ",
        ),
        (
            with("good.csv", &["--out", "text.csv/sub"]),
            "text.csv/sub: Not a directory (os error 20)",
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

// ---- outputs ----------------------------------------------------------------------

/// Readings of a pH probe, made up: 59 mV per unit, and some noise.
const PH: &str =
    "mV,pH\n177.2,4.01\n118.1,5.0\n59.4,6.02\n0.3,6.98\n-58.8,8.01\n-118.3,9.0\n-177.0,10.01\n";

const PH_COLUMNS: [&str; 4] = ["--x", "mV", "--y", "pH"];

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap())
        .filter(|file| file.file_type().unwrap().is_file())
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            (name, fs::read(file.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn calibrate_ph(directory: &Path, data: &str, more: &[&str]) -> Result<String, String> {
    let arguments = [&[data], &PH_COLUMNS[..], &["--epochs", "50"], more].concat();
    let output = run(directory, &arguments);
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    match output.status.code() {
        Some(0) => Ok(out),
        Some(2) => Err(err),
        code => panic!("{code:?}: {err}"),
    }
}

#[test]
fn outputs_are_named_after_the_data_and_never_are_the_data() {
    let directory = directory("own");
    fs::write(directory.join("ph.csv"), PH).unwrap();
    calibrate_ph(&directory, "ph.csv", &["--out", "."]).unwrap();
    let names: Vec<String> = files(&directory)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let expected = "ph-fit.svg ph-history.csv ph-loss.svg ph.csv ph.json ph.rs";
    assert_eq!(names.join(" "), expected);
    assert_eq!(fs::read_to_string(directory.join("ph.csv")).unwrap(), PH);

    // Data that are called as an output is, by their name or by another.
    let refused = |data: &str, more: &[&str]| {
        let before = files(&directory);
        for force in [&[][..], &["--force"]] {
            let error = calibrate_ph(&directory, data, &[more, force].concat()).unwrap_err();
            assert!(error.contains("the data themselves"), "{data}: {error}");
        }
        assert!(files(&directory) == before, "{data}");
    };
    for name in ["one.json", "two.rs"] {
        fs::write(directory.join(name), PH).unwrap();
        refused(name, &["--out", "."]);
        refused(&format!("./{name}"), &["--out", "../own"]);
        let absolute = directory.join(name);
        refused(absolute.to_str().unwrap(), &["--out", "."]);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        // A link of the name of an output that leads to the data.
        symlink("ph.csv", directory.join("three.csv")).unwrap();
        symlink("ph.csv", directory.join("three-history.csv")).unwrap();
        refused("three.csv", &["--out", "."]);
        // The same file under two names.
        fs::write(directory.join("four.csv"), PH).unwrap();
        fs::hard_link(directory.join("four.csv"), directory.join("four-fit.svg")).unwrap();
        refused("four.csv", &["--out", "."]);
        // A directory under two names.
        symlink(".", directory.join("elsewhere")).unwrap();
        refused("one.json", &["--out", "elsewhere"]);
    }
}

#[test]
fn files_of_another_run_are_not_replaced() {
    let directory = directory("runs");
    fs::create_dir(directory.join("other")).unwrap();
    fs::write(directory.join("ph.csv"), PH).unwrap();
    fs::write(directory.join("other/ph.csv"), PH).unwrap();
    let out = directory.join("calibration");

    let text = calibrate_ph(&directory, "ph.csv", &[]).unwrap();
    assert_eq!(text.matches("written: ").count(), 5, "{text}");
    // The same command again, spelled differently, with new data.
    fs::write(directory.join("ph.csv"), PH.replace("4.01", "4.0")).unwrap();
    let before = files(&out);
    let text = calibrate_ph(&directory, "./ph.csv", &["--out", "other/../calibration"]).unwrap();
    assert_eq!(text.matches("replaced: ").count(), 5, "{text}");
    assert!(files(&out) != before);

    let before = files(&out);
    for (data, more) in [
        ("ph.csv", &["--model", "poly:2"][..]),
        ("ph.csv", &["--seed", "2"]),
        ("ph.csv", &["--validation", "0"]),
        ("other/ph.csv", &[]),
    ] {
        let error = calibrate_ph(&directory, data, more).unwrap_err();
        let expected = "exists, and is not of this run: write to another directory with --out, or replace it with --force";
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert!(files(&out) == before);
    calibrate_ph(&directory, "other/ph.csv", &["--force"]).unwrap();
    assert!(files(&out) != before);

    // A file that no run has written.
    let free = directory.join("free");
    fs::create_dir(&free).unwrap();
    fs::write(free.join("ph.rs"), "mine").unwrap();
    let error = calibrate_ph(&directory, "ph.csv", &["--out", "free"]).unwrap_err();
    assert!(error.contains("free/ph.rs: exists"), "{error}");
    assert_eq!(files(&free).len(), 1);
    // A directory cannot be replaced.
    fs::remove_file(free.join("ph.rs")).unwrap();
    fs::create_dir(free.join("ph-fit.svg")).unwrap();
    let error = calibrate_ph(&directory, "ph.csv", &["--out", "free", "--force"]).unwrap_err();
    assert!(
        error.contains("ph-fit.svg: expected a file, found a directory"),
        "{error}"
    );
    assert!(files(&free).is_empty());
}

/// The record predicts, without std or a heap, what the tool's calibration does: of the
/// thermometer's line by the coefficients that are printed.
#[test]
fn the_saved_record_predicts_what_was_fitted() {
    let directory = directory("save");
    let thermometer = data("thermometer");
    let columns = ["--x", "t_u", "--y", "t_c", "--validation", "0"];
    for model in ["linear", "poly:3", "mlp:4"] {
        let more = ["--model", model, "--save", "cal.bin", "--force"];
        let arguments = [&[thermometer.as_str()], &columns[..], &more].concat();
        let output = run(&directory, &arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        assert!(text.ends_with("cal.bin\n"), "{text}");

        let bytes = fs::read(directory.join("cal.bin")).unwrap();
        let mut params = [0.0; 16];
        let calibration = Calibration::read(&bytes, &mut params).unwrap();
        assert_eq!(calibration.curve.to_string(), model);
        assert_eq!(calibration.origin.samples, 11);
        assert_eq!(calibration.origin.epochs, 2000);
        let range = calibration.range.map(|reading| reading.to_string());
        assert_eq!(range, ["21.8", "81.9"]);

        // The Rust that is written for firmware has the same numbers.
        let rust = fs::read_to_string(directory.join("calibration/thermometer.rs")).unwrap();
        let offset = format!(
            "const X_OFFSET: f32 = {:?};",
            calibration.input.offset.high()
        );
        assert!(rust.contains(&offset), "{rust}");
        if model == "linear" {
            let found: Vec<f64> = coefficients(&text, "t_u");
            let mut arena = baregrad::Arena::<64, 8>::new();
            let value = calibration.predict(&arena.tape(), "40".parse().unwrap());
            let value = value.unwrap().value.to_f64();
            assert!(
                (value - (found[0] + 40.0 * found[1])).abs() < 1e-5,
                "{value}"
            );
        }
    }
}

/// A record is never written over the data, over what is not of this run, or in part.
#[test]
fn the_record_is_written_like_all_other_files() {
    let directory = directory("save-refused");
    fs::write(directory.join("ph.csv"), PH).unwrap();
    fs::write(directory.join("mine.bin"), "mine").unwrap();
    let before = files(&directory);
    for (save, expected) in [
        ("ph.csv", "the data themselves"),
        ("mine.bin", "exists, and is not of this run"),
        ("none/cal.bin", "none/cal.bin: No such file or directory"),
        (".", "expected a file, found a directory"),
    ] {
        let error = calibrate_ph(&directory, "ph.csv", &["--save", save]).unwrap_err();
        assert!(error.contains(expected), "{save}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(files(&directory) == before, "{save}");
    }
    // The same command again is of the same run; diverging leaves nothing.
    for written in ["written: cal.bin", "replaced: cal.bin"] {
        let text = calibrate_ph(&directory, "ph.csv", &["--save", "cal.bin"]).unwrap();
        assert!(text.contains(written), "{text}");
    }
    let more = ["--save", "other.bin", "--lr", "1e9", "--out", "other"];
    calibrate_ph(&directory, "ph.csv", &more).unwrap_err();
    let names: Vec<String> = files(&directory)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["cal.bin", "mine.bin", "ph.csv"]);
}

// ---- numbers --------------------------------------------------------------------

/// The coefficients that are printed, of this base.
fn coefficients(text: &str, base: &str) -> Vec<f64> {
    let start = format!("  coefficient of {base}^");
    let lines = text.lines().filter_map(|line| line.strip_prefix(&start));
    lines
        .map(|line| line.split_once(": ").unwrap().1.parse().unwrap())
        .collect()
}

fn run_in(name: &str, csv: &str, more: &[&str]) -> (PathBuf, String) {
    let directory = directory(name);
    fs::write(directory.join("in.csv"), csv).unwrap();
    let arguments = [&["in.csv", "--x", "x", "--y", "y"], more].concat();
    let output = run(&directory, &arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}");
    (directory.join("calibration"), text)
}

#[test]
fn readings_that_f32_cannot_hold_are_fitted_by_their_differences() {
    // Near 4.155e9, where f32 has every 256th integer, in steps of 190: y is what x
    // is above its first value, so the slope is 1 and nothing is left over.
    let steps = [
        0, 198, 691, 881, 1065, 1259, 1449, 1640, 1831, 2021, 2212, 2400,
    ];
    let rows = steps.map(|step: u64| format!("{},{step}\n", 4155915305 + step));
    let csv = format!("x,y\n{}", rows.concat());
    let (out, text) = run_in("counter", &csv, &["--validation", "0"]);
    let slope = coefficients(&text, "x")[1];
    assert!((slope - 1.0).abs() < 1e-6, "{slope}");
    assert!(
        text.contains("y = ") && text.contains(" * (x - 41559"),
        "{text}"
    );
    let [constant, slope] = coefficients(&text, "(x - 4155916609)")[..] else {
        panic!("{text}")
    };
    // 4155916609 - 4155915305, to the rounding of f32.
    assert!(
        (constant - 1304.0).abs() < 1e-3 && (slope - 1.0).abs() < 1e-6,
        "{text}"
    );
    let off = text
        .lines()
        .find(|line| line.starts_with("y off by"))
        .unwrap();
    let rms: f64 = off.split_whitespace().nth(4).unwrap().parse().unwrap();
    assert!(rms < 1e-3, "{off}");
    assert!(
        text.contains("warning: `x` near 4155916609 has steps of 256 in f32"),
        "{text}"
    );
    let rust = fs::read_to_string(out.join("in.rs")).unwrap();
    assert!(rust.contains("// Warning: `x` near") && rust.contains("fn calibrated_f64"));
    let report = fs::read_to_string(out.join("in.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["origin"], 4155916609.0);
    assert_eq!(report["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn small_numbers_are_printed_by_their_digits() {
    // Exact in decimal: y = 2e-7 x - 3e-15 x^2.
    let row = |i: u64| {
        format!(
            "{},{:e}\n",
            i * 150_000,
            (200 * i * 150_000 - 3 * i * i * 22_500) as f64 * 1e-9
        )
    };
    let csv = format!("x,y\n{}", (1..=20).map(row).collect::<String>());
    let (_, text) = run_in("small", &csv, &["--model", "poly:2", "--validation", "0"]);
    let square = coefficients(&text, "x")[2];
    // The part that f32 leaves of a term that is 4 % of the others.
    assert!((square + 3e-15).abs() < 1e-4 * 3e-15, "{text}");
    let off = text
        .lines()
        .find(|line| line.starts_with("y off by"))
        .unwrap();
    let rms = off.split_whitespace().nth(4).unwrap();
    assert!(
        rms.contains("e-") && rms.parse::<f64>().unwrap() > 0.0,
        "{off}"
    );
}

#[test]
fn pictures_of_huge_numbers_end() {
    let ramp = |scale: f64| {
        (-10..=10)
            .map(|i| f64::from(i) * scale)
            .collect::<Vec<f64>>()
    };
    let csv = |x: &[f64], y: &[f64]| {
        let rows = x.iter().zip(y).map(|(x, y)| format!("{x:e},{y:e}\n"));
        format!("x,y\n{}", rows.collect::<String>())
    };
    let [small, huge] = [ramp(1.0), ramp(2.9e37)];
    for (name, csv) in [
        ("huge-x", csv(&huge, &small)),
        ("huge-y", csv(&small, &huge)),
    ] {
        let (out, text) = run_in(name, &csv, &["--validation", "0"]);
        let expected = if name == "huge-x" {
            1.0 / 2.9e37
        } else {
            2.9e37
        };
        let slope = coefficients(&text, "x")[1];
        assert!((slope / expected - 1.0).abs() < 1e-5, "{text}");
        assert!(
            fs::read_to_string(out.join("in-fit.svg"))
                .unwrap()
                .contains("</svg>")
        );
    }
}
