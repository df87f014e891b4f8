//! Tests of `baregrad fit`, by running it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use baregrad::calibrate::{Calibration, Input, Multivariate};

/// Makes an empty directory for a test.
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

/// Returns the number of digits that agree, NIST's log relative error.
fn digits(found: f64, certified: f64) -> f64 {
    -((found / certified - 1.0).abs() + 1e-16).log10()
}

/// NIST's Norris gives the certified values, to more digits than `f32` readings would, as the file
/// is read to pairs.
#[test]
fn norris_gives_the_certified_coefficients_and_their_errors() {
    let directory = directory("norris");
    let norris = data("norris");
    let output = run(&directory, &[&norris, "--x", "x", "--y", "y"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for (power, value, error) in [
        (0, -0.262323073774029, 0.232818234301152),
        (1, 1.00211681802045, 0.429796848199937e-3),
    ] {
        let [found, its_error] = with_errors(&text, "x")[power];
        assert!(digits(found, value) > 6.0, "{text}");
        assert!(digits(its_error, error) > 5.0, "{text}");
    }
    let deviation = after(&text, "residual standard deviation: ");
    assert!(digits(deviation, 0.884796396144373) > 8.0, "{text}");
    for ending in [".rs", ".json", "-residuals.csv", "-fit.svg"] {
        let file = directory.join(format!("calibration/norris{ending}"));
        assert!(file.exists(), "{}", file.display());
    }
    let report = fs::read_to_string(directory.join("calibration/norris.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let [b0, b1] = [0, 1].map(|k| report["parameters"][k].clone());
    assert!(digits(number(&b0["value"]), -0.262323073774029) > 9.0);
    assert!(digits(number(&b1["value"]), 1.00211681802045) > 11.0);
    assert!(digits(number(&b1["standard_error"]), 0.429796848199937e-3) > 11.0);
    assert_eq!(report["residuals"].as_array().unwrap().len(), 36);
}

/// As `baregrad fit … | head` does once it has seen enough: not a panic, and no file is missing.
#[test]
fn a_closed_pipe_ends_neither_a_fit_nor_the_program() {
    for (method, ending) in [("lm", "-residuals.csv"), ("adam", "-history.csv")] {
        let directory = directory(&format!("pipe-{method}"));
        let arguments = [&data("thermometer"), "--x", "t_u", "--y", "t_c"];
        let mut fit = Command::new(env!("CARGO_BIN_EXE_baregrad"))
            .args(["fit", "--method", method])
            .args(arguments)
            .current_dir(&directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(fit.stdout.take());
        let output = fit.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{method}: {errors}");
        assert_eq!(errors, "", "{method}");
        for ending in [".rs", ".json", "-fit.svg", ending] {
            let file = directory.join(format!("calibration/thermometer{ending}"));
            assert!(file.exists(), "{}", file.display());
        }
    }
}

/// Standard output that cannot be written, here a full device, is an error and not a panic.
#[cfg(target_os = "linux")]
#[test]
fn full_standard_output_is_an_error() {
    let directory = directory("full");
    let output = Command::new(env!("CARGO_BIN_EXE_baregrad"))
        .args(["fit", &data("thermometer"), "--x", "t_u", "--y", "t_c"])
        .current_dir(&directory)
        .stdout(fs::File::create("/dev/full").unwrap())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.starts_with("error: standard output: "), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
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
        "--weights",
        "--sigma",
        "--robust",
        "[possible values: huber, soft_l1, cauchy, tukey]",
        "--at",
        "--epochs",
        "--lr",
        "--validation",
        "--seed",
        "--patience",
        "--l2",
        "--out",
        "--save",
        "--c",
        "--force",
        "linear, poly:N",
        "steinhart-hart",
        "exp (a e^(b x) + c)",
        "power",
        "logistic",
        "mlp:N,N",
        "[possible values: lm, sgd, adam, adamw, rmsprop]",
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
    let xy = ["--x", "x", "--y", "y"];
    let with = |file: &'static str, more: &[&'static str]| [&[file], &xy[..], more].concat();
    file("weights.csv", "x,y,w\n1,2,1\n2,4,-1\n3,7,0\n4,8,1\n5,9,1\n");
    file("straight.csv", "x,y\n1,2\n2,4\n3,6\n4,8\n5,10\n6,12\n");
    file("negative.csv", "x,y\n1,2\n-2,4\n3,7\n4,8\n5,9\n");
    let before = names();
    let cases: [(Vec<&str>, &str); 42] = [
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
            "short.csv: expected at least 3 rows for linear, one more than its parameters, found 2",
        ),
        (
            with("short.csv", &["--validation", "0.2"]),
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
            "good.csv: expected at least 7 rows for poly:5, one more than its parameters, found 6",
        ),
        (
            with("good.csv", &["--model", "cubic"]),
            "invalid value 'cubic' for '--model <MODEL>': expected linear, poly:N",
        ),
        (
            with("good.csv", &["--validation", "1.5"]),
            "good.csv: expected a fraction of at least 0 and less than 1, found 1.5",
        ),
        (
            with("good.csv", &["--model", "foo"]),
            "expected linear, poly:N with N from 1 to 12, steinhart-hart, exp, power, logistic, or mlp:N,N,…",
        ),
        (
            with("good.csv", &["--method", "lm", "--epochs", "5"]),
            "--epochs is for gradient descent, which --method lm is not: leave one of them out",
        ),
        (
            with("good.csv", &["--method", "lm", "--lr", "0.1"]),
            "--lr is for gradient descent",
        ),
        (
            with("good.csv", &["--model", "exp", "--method", "adam"]),
            "a function, whose parameters have units, takes least squares, --method lm",
        ),
        (
            with("good.csv", &["--at", "3", "--patience", "5"]),
            "--at takes least squares, --method lm, without --epochs",
        ),
        (
            with("good.csv", &["--at", "1,2"]),
            "--at: expected finite numbers for x, found `1,2`",
        ),
        (
            with("good.csv", &["--at", "inf"]),
            "--at: expected finite numbers for x, found `inf`",
        ),
        (
            with("weights.csv", &["--weights", "w"]),
            "weights.csv: expected a weight of 0 or more, found -1 in row 2",
        ),
        (
            with("weights.csv", &["--sigma", "w"]),
            "weights.csv: expected a standard deviation of more than 0, found -1 in row 2",
        ),
        (
            with("weights.csv", &["--sigma", "w", "--weights", "w"]),
            "the argument '--sigma <COLUMN>' cannot be used with '--weights <COLUMN>'",
        ),
        (
            with("good.csv", &["--weights", "w"]),
            "good.csv: no column `w`: there are `x`, `y`",
        ),
        (
            with("negative.csv", &["--model", "power"]),
            "negative.csv: expected readings of more than 0, found -2 in row 2",
        ),
        (
            with("negative.csv", &["--model", "steinhart-hart"]),
            "negative.csv: expected resistances of more than 0, found -2 in row 2",
        ),
        (
            vec![
                "weights.csv",
                "--x",
                "x",
                "--x",
                "w",
                "--y",
                "y",
                "--model",
                "logistic",
            ],
            "weights.csv: expected one column of readings for logistic, found 2: linear and poly:N take several",
        ),
        (
            vec!["weights.csv", "--x", "x,x", "--y", "y"],
            "expected columns that differ, found `x` as --x twice",
        ),
        // The curve fits as well as a line, so that its level is not determined.
        (
            with("straight.csv", &["--model", "exp"]),
            "straight.csv: exp: not converged: the data say nothing about parameter c; started from a = ",
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

/// Invented readings of a pH probe: 59 mV per unit, and some noise.
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

    // The data file has the name of an output, or another name leads to it.
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
        // A link with the name of an output leads to the data.
        symlink("ph.csv", directory.join("three.csv")).unwrap();
        symlink("ph.csv", directory.join("three-history.csv")).unwrap();
        refused("three.csv", &["--out", "."]);
        // A hard link.
        fs::write(directory.join("four.csv"), PH).unwrap();
        fs::hard_link(directory.join("four.csv"), directory.join("four-fit.svg")).unwrap();
        refused("four.csv", &["--out", "."]);
        // A link to the directory.
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
    // The same command again, written differently, with new data.
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

    // An existing file that no run has written.
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

/// The saved record predicts like the fit: for the line, like the printed coefficients.
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
        // The origin has the passes of least squares, or the epochs of the network.
        let passes = calibration.origin.epochs;
        assert_eq!(passes == 2000, model == "mlp:4", "{model}: {passes}");
        let range = calibration.range.map(|reading| reading.to_string());
        assert_eq!(range, ["21.8", "81.9"]);

        // The Rust for firmware has the same numbers.
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
                // Coefficients are printed with an error of a millionth of their standard errors.
                (value - (found[0] + 40.0 * found[1])).abs() < 2e-5,
                "{value}"
            );
        }
    }
}

/// A record is never written over the data, over a file of another run, or partially.
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
    // The same command may replace its record; a run that diverges leaves none.
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

/// Returns the printed coefficients of this base.
fn coefficients(text: &str, base: &str) -> Vec<f64> {
    let start = format!("  coefficient of {base}^");
    let lines = text.lines().filter_map(|line| line.strip_prefix(&start));
    let number = |text: &str| text.split(" ±").next().unwrap().parse().unwrap();
    lines
        .map(|line| number(line.split_once(": ").unwrap().1))
        .collect()
}

/// Returns the printed coefficients of this base, with their standard errors.
fn with_errors(text: &str, base: &str) -> Vec<[f64; 2]> {
    let start = format!("  coefficient of {base}^");
    let lines = text.lines().filter_map(|line| line.strip_prefix(&start));
    let both = |line: &str| -> [f64; 2] {
        let (value, error) = line.split_once(": ").unwrap().1.split_once(" ± ").unwrap();
        [value, error].map(|number| number.parse().unwrap())
    };
    lines.map(both).collect()
}

/// Returns the number behind these words.
fn after(text: &str, words: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(words));
    let number = line.unwrap().split_whitespace().next();
    number.unwrap().parse().unwrap()
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
    // x is near 4.155e9, where `f32` has every 256th integer, in steps of 190. y is x less its
    // first value, so the slope is 1 and residuals are 0.
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
    // The constant is 4155916609 - 4155915305, up to rounding in `f32`.
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
    // The data are exact in decimal: y = 2e-7 x - 3e-15 x^2.
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
    // The term is 4 % of the others, so that rounding in `f32` leaves fewer digits.
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

// ---- least squares --------------------------------------------------------------

/// Every model and kind of weights gives the figures of scipy's `curve_fit` and numpy's `lstsq`,
/// which `tests/golden/tool_fit.py` computed.
#[test]
fn parameters_and_errors_are_those_of_scipy() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("golden/tool_fit.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let directory = directory(&format!("scipy-{name}"));
        fs::write(directory.join("in.csv"), case["csv"].as_str().unwrap()).unwrap();
        let mut arguments = vec![
            "in.csv",
            "--y",
            "y",
            "--model",
            case["model"].as_str().unwrap(),
        ];
        for x in case["x"].as_array().unwrap() {
            arguments.extend(["--x", x.as_str().unwrap()]);
        }
        let more = case["more"].as_array().unwrap().iter();
        arguments.extend(more.map(|word| word.as_str().unwrap()));
        let output = run(&directory, &arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {text}{error}");
        assert!(
            text.contains("(Levenberg-Marquardt): converged, "),
            "{name}: {text}"
        );

        let report = fs::read_to_string(directory.join("calibration/in.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let found = report["parameters"].as_array().unwrap();
        let expected = case["parameters"].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{name}");
        // scipy's steps leave 1e-7 in parameters; derivatives in `f32` leave as much in errors.
        let near = |found: &serde_json::Value, expected: &serde_json::Value, least: f64| {
            let [found, expected] = [found, expected].map(|x| x.as_f64().unwrap());
            let digits = digits(found, expected);
            assert!(
                digits > least,
                "{name}: {found} {expected}: {digits} digits"
            );
            // Compares the printed number.
            let shown = text
                .lines()
                .filter(|line| line.starts_with("  "))
                .any(|line| {
                    let numbers = line.split([' ', ',']);
                    let mut numbers = numbers.filter_map(|word| word.parse::<f64>().ok());
                    numbers.any(|number| (number - found).abs() <= 1e-4 * found.abs())
                });
            assert!(shown, "{name}: {found} in {text}");
        };
        for (found, expected) in found.iter().zip(expected) {
            near(&found["value"], &expected[0], 6.5);
            near(&found["standard_error"], &expected[1], 6.0);
        }
        let deviation = "residual_standard_deviation";
        let [found, expected] = [&report, case].map(|of| of[deviation].as_f64().unwrap());
        assert!(digits(found, expected) > 8.0, "{name}: {found} {expected}");
    }
}

/// Functions have the same bits by their record and by printed code.
#[test]
fn functions_are_saved_and_printed_with_the_bits_of_their_record() {
    use baregrad::calibrate::{FORMULAS, TwoFloat};
    for formula in FORMULAS {
        let name = formula.name();
        let (x, y): (Vec<f64>, fn(f64) -> f64) = match name {
            "steinhart-hart" => ((1..30).map(|i| 1e3 * f64::from(i)).collect(), |r| {
                1.0 / (1.1e-3 + 2.3e-4 * r.ln() + 9e-8 * r.ln().powi(3)) - 273.15
            }),
            "exp" => ((0..30).map(f64::from).collect(), |x| {
                5.0 * (-0.2 * x).exp() + 1.0
            }),
            "power" => ((1..30).map(f64::from).collect(), |x| 3.0 * x.powf(0.6)),
            "logistic" => ((0..30).map(f64::from).collect(), |x| {
                9.0 / (1.0 + (-0.4 * (x - 12.0)).exp())
            }),
            name => panic!("{name} has no data here"),
        };
        // The values are rounded, so that the fit is not exact.
        let rows = x.iter().map(|x| format!("{x},{:.2}\n", y(*x)));
        let csv = format!("x,y\n{}", rows.collect::<String>());
        let more = ["--model", name, "--save", "cal.bin", "--c", "--at", "7.5"];
        let (out, text) = run_in(&format!("function-{name}"), &csv, &more);
        for (parameter, meaning) in formula.parameters().iter().zip(formula.meanings()) {
            assert!(text.contains(&format!("  {parameter}: ")), "{text}");
            assert!(text.contains(&format!(" ({meaning})")), "{text}");
        }
        assert!(
            text.contains("started from a = ") && text.contains("estimated from the data"),
            "{text}"
        );

        let bytes = fs::read(out.parent().unwrap().join("cal.bin")).unwrap();
        let mut params = [0.0; 4];
        // Without the functions, reading the record is an error.
        let error = Calibration::read(&bytes, &mut params)
            .unwrap_err()
            .to_string();
        assert!(error.contains("a curve that is known here"), "{error}");
        let calibration = Calibration::read_with(&bytes, &mut params, &FORMULAS).unwrap();
        assert_eq!(calibration.curve.to_string(), name);
        let predict = |x: f32| {
            let mut arena = baregrad::Arena::<32, 8>::new();
            let tape = arena.tape();
            let found = calibration.predict(&tape, TwoFloat::from(x)).unwrap();
            found.value.high()
        };
        let at = text
            .lines()
            .find_map(|line| line.strip_prefix("y at x = 7.5: "));
        let at: f32 = at.unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((predict(7.5) / at - 1.0).abs() < 1e-4, "{text}");

        // The Rust for firmware gives the same bits.
        let readings: Vec<f32> = x.iter().map(|x| *x as f32 * 1.01).collect();
        let predicted: Vec<u32> = readings.iter().map(|x| predict(*x).to_bits()).collect();
        assert_eq!(compiled(&out.join("in.rs"), &readings), predicted, "{name}");
        if let Some(found) = compiled_c(&out.join("in"), &readings, 1) {
            assert_eq!(found, predicted, "{name}");
        }
    }
}

/// For every other model and both methods, the C for firmware has the bits of the record.
#[test]
fn c_has_the_bits_of_the_record() {
    let directory = directory("c");
    let thermometer = data("thermometer");
    for (model, more) in [
        ("linear", &[][..]),
        ("poly:3", &[]),
        ("poly:2", &["--epochs", "50"]),
        ("mlp:4", &["--epochs", "50"]),
        ("mlp:20,3", &["--epochs", "20"]),
    ] {
        let columns = [
            "--x", "t_u", "--y", "t_c", "--c", "--force", "--model", model,
        ];
        let save = ["--save", "cal.bin"];
        let arguments = [&[thermometer.as_str()], &columns[..], &save, more].concat();
        let output = run(&directory, &arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        for ending in ["c", "h"] {
            let written = format!("calibration/thermometer.{ending}\n");
            assert!(text.contains(&written), "{text}");
        }
        let bytes = fs::read(directory.join("cal.bin")).unwrap();
        let mut params = vec![0.0; 200];
        let calibration = Calibration::read(&bytes, &mut params).unwrap();
        let readings: Vec<f32> = (0..60).map(|i| 15.0 + 1.3 * i as f32).collect();
        let predicted = readings.iter().map(|x| {
            let mut arena = baregrad::HeapArena::new(4096, 64);
            let tape = arena.tape();
            let found = calibration.predict(&tape, (*x).into()).unwrap();
            found.value.high().to_bits()
        });
        let predicted: Vec<u32> = predicted.collect();
        let out = directory.join("calibration/thermometer");
        assert_eq!(
            compiled(&out.with_extension("rs"), &readings),
            predicted,
            "{model}"
        );
        if let Some(found) = compiled_c(&out, &readings, 1) {
            assert_eq!(found, predicted, "{model}");
        }
    }
    // Files of other runs are kept, and C is written only on request.
    fs::write(directory.join("ph.csv"), PH).unwrap();
    fs::create_dir(directory.join("own")).unwrap();
    fs::write(directory.join("own/ph.h"), "mine").unwrap();
    let error = calibrate_ph(&directory, "ph.csv", &["--c", "--out", "own"]).unwrap_err();
    assert!(
        error.contains("ph.h: exists, and is not of this run"),
        "{error}"
    );
    calibrate_ph(&directory, "ph.csv", &["--out", "own"]).unwrap();
    assert_eq!(
        fs::read_to_string(directory.join("own/ph.h")).unwrap(),
        "mine"
    );
    assert!(!directory.join("own/ph.c").exists());
}

/// Returns the bits of a printed Rust function of one reading.
fn compiled(rust: &Path, readings: &[f32]) -> Vec<u32> {
    let main = format!(
        "include!({rust:?});\nfn main() {{\n    for x in {readings:?} {{ println!(\"{{}}\", calibrated(x).to_bits()); }}\n}}\n"
    );
    let lines = compiled_program(rust, &main);
    lines.iter().map(|line| line.parse().unwrap()).collect()
}

/// Returns the bits of the C function beside it, with `inputs` readings at a time, if there is a C
/// compiler.
fn compiled_c(stem: &Path, readings: &[f32], inputs: usize) -> Option<Vec<u32>> {
    if Command::new("cc").arg("--version").output().is_err() {
        let required = std::env::var("BAREGRAD_CC").is_ok_and(|value| value == "required");
        assert!(!required, "expected a compiler named cc, found none");
        eprintln!("SKIPPED: printed C is not compiled, as there is no compiler named cc");
        return None;
    }
    let directory = stem.parent().unwrap();
    let name = stem.file_name().unwrap().to_str().unwrap();
    let bits = readings.iter().map(|x| format!("{:#x}u", x.to_bits()));
    let bits = bits.collect::<Vec<_>>().join(", ");
    let arguments = (0..inputs).map(|i| format!("number(bits[k + {i}])"));
    let arguments = arguments.collect::<Vec<_>>().join(", ");
    let main = format!(
        "#include \"{name}.h\"\n#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n\
         static const uint32_t bits[] = {{{bits}}};\n\
         static float number(uint32_t bits) {{ float x; memcpy(&x, &bits, 4); return x; }}\n\
         int main(void)\n{{\n    unsigned k;\n    for (k = 0; k < {}; k += {inputs}) {{\n        \
             uint32_t to;\n        const float y = calibrated({arguments});\n        \
             memcpy(&to, &y, 4);\n        printf(\"%lu\\n\", (unsigned long)to);\n    }}\n    \
             return 0;\n}}\n",
        readings.len()
    );
    fs::write(directory.join("main.c"), main).unwrap();
    let output = Command::new("cc")
        .args([
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-O2",
        ])
        .args([
            "-ffp-contract=off",
            "main.c",
            &format!("{name}.c"),
            "-lm",
            "-o",
            "printed_c",
        ])
        .current_dir(directory)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let output = Command::new(directory.join("printed_c")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| line.parse().unwrap()).collect())
}

/// Compiles and runs a program with the printed code, and returns the lines that it prints.
fn compiled_program(rust: &Path, main: &str) -> Vec<String> {
    let directory = rust.parent().unwrap();
    fs::write(directory.join("main.rs"), main).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc)
        .args(["--edition", "2024", "-O", "main.rs", "-o", "printed"])
        .current_dir(directory)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let output = Command::new(directory.join("printed")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// A pressure sensor that depends on temperature gets the product of both, and the code for
/// firmware has the bits of the predictions.
#[test]
fn several_columns_have_their_products_and_print_as_code() {
    let mut csv = String::from("raw,t,p\n");
    for i in 0..7 {
        for j in 0..5 {
            let (raw, t) = (300.0 + 110.0 * f64::from(i), -10.0 + 15.0 * f64::from(j));
            let noise = f64::from((7 * i + 3 * j) % 5) - 2.0;
            let p = 12.0 + 1.04 * raw - 0.35 * t + 2.5e-4 * raw * t + 0.1 * noise;
            csv += &format!("{raw},{t},{p:.2}\n");
        }
    }
    let directory = directory("products");
    fs::write(directory.join("in.csv"), &csv).unwrap();
    let columns = ["in.csv", "--x", "raw,t", "--y", "p", "--model", "poly:2"];
    let more = [
        "--at", "600,20", "--at", "600,80", "--save", "cal.bin", "--c",
    ];
    let output = run(&directory, &[&columns[..], &more].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let coefficient = |of: &str| after(&text, &format!("  coefficient of {of}: "));
    assert!((coefficient("raw * t") - 2.5e-4).abs() < 1e-5, "{text}");
    assert!((coefficient("1") - 12.0).abs() < 0.5, "{text}");
    for of in ["raw", "t", "raw^2", "t^2"] {
        coefficient(of);
    }
    let at = after(&text, "p at raw = 600, t = 20: ");
    assert!((at - (12.0 + 624.0 - 7.0 + 3.0)).abs() < 0.2, "{text}");
    let warning = "warning: extrapolation: t = 80 is outside of the range fitted, -10 to 50";
    assert!(text.contains(warning), "{text}");
    let main = "include!(\"in.rs\");\nfn main() { println!(\"{}\", calibrated([600.0, 20.0])); }\n";
    let printed = compiled_program(&directory.join("calibration/in.rs"), main);
    let printed: f64 = printed[0].parse().unwrap();
    assert!((printed / at - 1.0).abs() < 1e-6, "{printed} {at}");

    // The record predicts the bits of both programs.
    let bytes = fs::read(directory.join("cal.bin")).unwrap();
    let (mut inputs, mut params) = ([Input::NONE; 2], [0.0; 6]);
    let there = Multivariate::read(&bytes, &mut inputs, &mut params).unwrap();
    assert_eq!(there.origin.samples, 35);
    let rows = (0..200).map(|i| [300.0 + 3.3 * i as f32, -10.0 + 0.3 * i as f32]);
    let readings: Vec<f32> = rows.flatten().collect();
    let predicted = readings.chunks(2).map(|row| {
        let found = there.predict(&[row[0].into(), row[1].into()]).unwrap();
        found.value.high().to_bits()
    });
    let predicted: Vec<u32> = predicted.collect();
    let main = format!(
        "include!(\"in.rs\");\nfn main() {{\n    for x in {readings:?}.as_chunks().0 {{ println!(\"{{}}\", calibrated(*x).to_bits()); }}\n}}\n"
    );
    let lines = compiled_program(&directory.join("calibration/in.rs"), &main);
    let found: Vec<u32> = lines.iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(found, predicted);
    if let Some(found) = compiled_c(&directory.join("calibration/in"), &readings, 2) {
        assert_eq!(found, predicted);
    }
    // A board takes only one reading, and the tool reports it before it opens the port.
    let output = Command::new(env!("CARGO_BIN_EXE_baregrad"))
        .current_dir(&directory)
        .args(["board", "unix:none", "--put", "cal.bin"])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let expected =
        "cal.bin: expected a calibration of one reading, which boards take, found one of 2\n";
    assert_eq!((output.status.code(), error.as_str()), (Some(1), expected));
    // Without products, residuals are large.
    let more = ["--model", "linear", "--out", "line"];
    let output = run(&directory, &[&columns[..5], &more].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        after(&text, "residual standard deviation: ") > 1.0,
        "{text}"
    );
}

/// A reading that is off by 100 is named by its row, and no other is.
#[test]
fn an_outlier_is_named_by_its_row() {
    let good = fs::read_to_string(data("thermometer")).unwrap();
    let warnings = |name: &str, csv: &str| -> Vec<String> {
        let directory = directory(name);
        fs::write(directory.join("in.csv"), csv).unwrap();
        let output = run(&directory, &["in.csv", "--x", "t_u", "--y", "t_c"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("warning: "));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(warnings("no-outlier", &good), [""; 0]);
    for (row, before, after) in [
        (1, "35.7,0.5", "35.7,100.5"),
        (4, "81.9,28.0", "81.9,-72.0"),
        (11, "68.4,21.0", "68.4,121.0"),
    ] {
        assert!(good.contains(before));
        let found = warnings("outlier", &good.replace(before, after));
        let outliers: Vec<&String> = found
            .iter()
            .filter(|warning| warning.contains("is an outlier"))
            .collect();
        assert_eq!(outliers.len(), 1, "{found:?}");
        assert!(
            outliers[0].starts_with(&format!("row {row} (t_u = ")),
            "{found:?}"
        );
    }
}

/// With every robust loss an outlier is named by its row, and the line moves by less than 2 %; with
/// Tukey's loss it is the line of the other rows.
#[test]
fn robust_losses_name_the_outlier_and_hardly_move_the_line() {
    let good = fs::read_to_string(data("thermometer")).unwrap();
    let slope = |name: &str, csv: &str, more: &[&str]| {
        let directory = directory(&format!("robust-{name}"));
        fs::write(directory.join("in.csv"), csv).unwrap();
        let columns = ["in.csv", "--x", "t_u", "--y", "t_c"];
        let output = run(&directory, &[&columns[..], more].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{error}");
        (with_errors(&text, "t_u")[1][0], text)
    };
    let spoiled = good.replace("33.9,3.0", "33.9,103.0");
    let (of_all, _) = slope("all", &good, &[]);
    let (of_others, _) = slope("others", &good.replace("33.9,3.0\n", ""), &[]);
    for loss in ["huber", "soft_l1", "cauchy", "tukey"] {
        let (found, text) = slope(loss, &spoiled, &["--robust", loss]);
        let least = if loss == "huber" { of_all } else { of_others };
        let limit = if loss == "soft_l1" { 0.07 } else { 0.02 };
        assert!(
            (found / least - 1.0).abs() < limit,
            "{loss}: {found} {least}"
        );
        let warnings: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("warning: "))
            .collect();
        assert_eq!(warnings.len(), 1, "{text}");
        let expected = "warning: row 7 (t_u = 33.9, t_c = 103) is an outlier: ";
        assert!(warnings[0].starts_with(expected), "{text}");
        // Without an outlier no row is named.
        let (_, text) = slope("good", &good, &["--robust", loss]);
        assert!(!text.contains("outlier"), "{text}");
    }
}

/// A degree that is too high is reported with one that is enough, and one that is too low with the
/// next.
#[test]
fn the_degree_that_the_data_support_is_told() {
    let rows = |bend: f64, noise: f64| -> String {
        let row = |i: i32| {
            let x = f64::from(i);
            // The golden ratio spreads these evenly.
            let share = (x * 0.618_033_988_749_895).fract() - 0.5;
            format!("{x},{}\n", 3.0 + 0.5 * x + bend * x * x + noise * share)
        };
        format!("x,y\n{}", (0..40).map(row).collect::<String>())
    };
    let (_, text) = run_in("degree-5", &rows(0.02, 1.0), &["--model", "poly:5"]);
    let warning = "the data do not support poly:5: beyond degree 2 its terms explain no more than noise would (p = ";
    assert!(
        text.contains(warning) && text.contains("--model poly:2 suffices"),
        "{text}"
    );
    let (_, text) = run_in("degree-3", &rows(0.0, 1.0), &["--model", "poly:3"]);
    assert!(
        text.contains("beyond linear") && text.contains("--model linear suffices"),
        "{text}"
    );
    let (_, text) = run_in("degree-2", &rows(0.02, 1.0), &["--model", "poly:2"]);
    assert!(!text.contains("warning"), "{text}");
    let (_, text) = run_in("degree-1", &rows(0.02, 1.0), &[]);
    let warning = "the residuals follow a curve: it explains ";
    assert!(
        text.contains(warning) && text.contains("try poly:2"),
        "{text}"
    );
    // Only noise.
    let flat = |i: i32| format!("{i},{}\n", (f64::from(i) * 0.618_033_988_749_895).fract());
    let csv = format!("x,y\n{}", (0..40).map(flat).collect::<String>());
    let (_, text) = run_in("degree-0", &csv, &[]);
    assert!(
        text.contains("the data do not show that y depends on x"),
        "{text}"
    );
}

/// Intervals of a line are the textbook's: the standard error is s / √n at the mean, and larger
/// elsewhere; a new reading adds its own variance.
#[test]
fn predictions_come_with_their_intervals() {
    let thermometer = data("thermometer");
    let directory = directory("at");
    let columns = [thermometer.as_str(), "--x", "t_u", "--y", "t_c"];
    let at = ["--at", "51.8", "--at", "100", "--at", "-5"];
    let output = run(&directory, &[&columns[..], &at].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let s = after(&text, "residual standard deviation: ");
    let line = text
        .lines()
        .find(|line| line.starts_with("t_c at t_u = 51.8: "))
        .unwrap();
    let numbers: Vec<f64> = line
        .split([' ', ';', ','])
        .filter_map(|word| word.parse().ok())
        .collect();
    let [value, error, low, high, new_low, new_high] = numbers[..] else {
        panic!("{line}")
    };
    // The mean of t_u is 51.8, that of t_c 10.5; 2.262157 is t of 97.5 % with 9 degrees of freedom.
    assert!(
        (value - 10.5).abs() < 1e-5 && digits(error, s / 11_f64.sqrt()) > 5.0,
        "{line}"
    );
    let reach = 2.262157 * error;
    assert!(
        (low - (value - reach)).abs() < 0.01 && (high - (value + reach)).abs() < 0.01,
        "{line}"
    );
    let reach = 2.262157 * (s * s + error * error).sqrt();
    assert!((new_low - (value - reach)).abs() < 0.1 && (new_high - (value + reach)).abs() < 0.1);
    for reading in ["100", "-5"] {
        let warning = format!("warning: extrapolation: t_u = {reading} is outside of the range");
        assert!(text.contains(&warning), "{text}");
    }
    // The picture has the band, and a table has the residuals.
    let svg = fs::read_to_string(directory.join("calibration/thermometer-fit.svg")).unwrap();
    assert!(
        svg.contains("95 % of readings") && svg.contains("<polygon"),
        "{svg}"
    );
    let csv = fs::read_to_string(directory.join("calibration/thermometer-residuals.csv")).unwrap();
    assert!(
        csv.starts_with("\"row\",\"t_u\",\"t_c\",\"fit\",\"residual\"\n1,35.7,0.5,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 12);
    let sum: f64 = csv
        .lines()
        .skip(1)
        .map(|line| line.rsplit(',').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!(sum.abs() < 1e-9, "{sum}");
}

/// Weights are relative: a common factor changes only the residual standard deviation. Standard
/// deviations are absolute: doubling them doubles the errors.
#[test]
fn weights_are_relative_and_standard_deviations_are_absolute() {
    let line = |i: i32| (f64::from(i), 2.0 * f64::from(i) + f64::from(i * i % 3));
    let csv = |column: fn(i32) -> f64, rows: std::ops::Range<i32>| {
        let rows = rows.map(|i| {
            let (x, y) = line(i);
            format!("{x},{y},{}\n", column(i))
        });
        format!("x,y,w\n{}", rows.collect::<String>())
    };
    let fitted = |name: &str, csv: &str, option: &str| {
        let (_, text) = run_in(name, csv, &[option, "w"]);
        with_errors(&text, "x")
    };
    let few = fitted("w-few", &csv(|_| 1.0, 0..8), "--weights");
    let left_out = fitted(
        "w-0",
        &csv(|i| f64::from(u8::from(i < 8)), 0..12),
        "--weights",
    );
    assert_eq!(few, left_out);
    let some = fitted("w-some", &csv(|i| f64::from(i + 1), 0..12), "--weights");
    let more = fitted(
        "w-more",
        &csv(|i| 1e-3 * f64::from(i + 1), 0..12),
        "--weights",
    );
    for (a, b) in some.iter().flatten().zip(more.iter().flatten()) {
        assert!(digits(*a, *b) > 5.0, "{a} {b}");
    }
    let one = fitted("s-one", &csv(|i| f64::from(i + 1), 0..12), "--sigma");
    let two = fitted("s-two", &csv(|i| 2.0 * f64::from(i + 1), 0..12), "--sigma");
    for ([a, a_error], [b, b_error]) in one.iter().zip(&two) {
        assert!(digits(*a, *b) > 4.0 && digits(2.0 * a_error, *b_error) > 5.0);
    }
}

/// Gradient descent is chosen by its name, or by one of its options.
#[test]
fn options_of_gradient_descent_choose_it() {
    let thermometer = data("thermometer");
    let columns = [thermometer.as_str(), "--x", "t_u", "--y", "t_c"];
    for (name, more, descends) in [
        ("lm", &[][..], false),
        ("epochs", &["--epochs", "300"], true),
        ("l2", &["--l2", "0"], true),
        ("sgd", &["--method", "sgd"], true),
        ("adamw", &["--method", "adamw"], true),
        ("rmsprop", &["--method", "rmsprop"], true),
        // 10 parameters are less than 11 rows, 13 are more, 22 are many.
        ("mlp:3", &["--model", "mlp:3"], false),
        ("mlp:4", &["--model", "mlp:4"], true),
        ("mlp:7", &["--model", "mlp:7"], true),
    ] {
        let directory = directory(&format!("method-{name}"));
        let output = run(&directory, &[&columns[..], more].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{name}: {text}");
        assert_eq!(
            text.contains("Levenberg-Marquardt"),
            !descends,
            "{name}: {text}"
        );
        let losses = directory.join("calibration/thermometer-history.csv");
        assert_eq!(losses.exists(), descends, "{name}");
    }
}
