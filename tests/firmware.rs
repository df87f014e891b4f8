//! Tests that the code that calibrations write for firmware, in Rust and in C99, has the bits of
//! the tape when it is compiled.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "common/cc.rs"]
mod cc;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use baregrad::calibrate::{FORMULAS, Input, Multivariate, TwoFloat};
use baregrad::optim::Adam;
use baregrad::train::{Calibration, Curve, Dataset, Fit, LeastSquares, Scaler, Scaling};
use cc::has_cc;

/// The name of a column that must not be printed as code.
const READING: &str = "reading\nlet */ /* \\";

/// Returns a calibration that is fitted to a bent curve.
fn calibration(curve: &str) -> Calibration {
    let curve: Curve = curve.parse().unwrap();
    let x: Vec<f64> = (0..40).map(|i| 100.0 + 5.0 * f64::from(i)).collect();
    let y: Vec<f64> = x.iter().map(|x| 0.001 * x * x - 0.1 * x + 3.0).collect();
    descended(curve, 20, [READING, "meaning"], x, y)
}

fn descended(curve: Curve, epochs: u32, names: [&str; 2], x: Vec<f64>, y: Vec<f64>) -> Calibration {
    let range = [x[0], x[x.len() - 1]];
    let data = Dataset::new(names.into_iter().zip([x, y])).unwrap();
    let [x, y] = names;
    let scaler = Scaler::fit(&data, &[(x, curve.scaling()), (y, Scaling::Standard)]).unwrap();
    let samples = scaler.apply(&data).unwrap().samples(&[x], &[y]).unwrap();
    let count = curve.param_count();
    let fitted = Fit::new(&curve, &samples)
        .epochs(epochs)
        .run(&mut Adam::on_heap(1e-2, count))
        .unwrap();
    let scales = names.map(|name| scaler.scale(name).unwrap());
    Calibration::new(&curve, &fitted, names, scales, range)
}

/// Returns an exact line of pressures in Pa over seconds since 1970, which need more digits than
/// `f32` has.
fn coarse() -> [Vec<f64>; 2] {
    let x = (0..40).map(|i| 1764410400.0 + 5.0 * f64::from(i));
    let y = (0..40).map(|i| 101325.0 + 0.01 * f64::from(i));
    [x.collect(), y.collect()]
}

/// Special readings.
const HARD: [f32; 8] = [
    0.0,
    -0.0,
    1e-40,
    1e30,
    -3e38,
    f32::MAX,
    f32::INFINITY,
    f32::NEG_INFINITY,
];

/// Returns readings around a range, special ones, and one in four of any bits.
fn readings([low, high]: [f32; 2], count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut word = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let drawn = (0..count).map(|i| match i % 4 {
        3 => f32::from_bits(word()),
        _ => low + (high - low) * (1.2 * (word() >> 8) as f32 / 16_777_216.0 - 0.1),
    });
    HARD.into_iter().chain(drawn).collect()
}

/// A file for firmware, with readings and the expected results.
struct Case {
    name: String,
    rust: String,
    c: String,
    header: String,
    /// The number of inputs of the function.
    inputs: usize,
    readings: Vec<f32>,
    expected: Vec<f32>,
    /// Whether `expected` is predicted by a record, which has no results that are not finite.
    by_record: bool,
    /// Readings and expected results of `calibrated_f64`, if there is one.
    pairs: [Vec<f64>; 2],
}

impl Case {
    fn of_one(name: &str, calibration: &Calibration, range: [f32; 2]) -> Self {
        let readings = readings(range, 4000, 7 + name.len() as u32);
        let on_tape = calibration.predict(&readings).unwrap();
        let finite = on_tape.iter().filter(|y| y.is_finite()).count();
        assert!(finite > 2500, "{name}: {finite} finite");
        Case {
            name: name.to_string(),
            rust: calibration.to_rust(),
            c: calibration.to_c(),
            header: calibration.to_c_header("case.h"),
            inputs: 1,
            by_record: false,
            expected: on_tape,
            readings,
            pairs: [Vec::new(), Vec::new()],
        }
    }

    /// Makes a case with readings that `f32` does not hold.
    fn of_pairs(name: &str) -> Self {
        let [x, y] = coarse();
        let curve: Curve = name.parse().unwrap();
        let calibration = descended(curve, 3000, ["s", "Pa"], x.clone(), y.clone());
        let mut case = Self::of_one(name, &calibration, [1.7644104e9, 1.7644106e9]);
        // Predictions are closer than the spacing of `f32` there, 1 / 128; the network's error is
        // a third of that.
        let predicted = calibration.predict_f64(&x).unwrap();
        for (y, predicted) in y.iter().zip(&predicted) {
            let off = (y - predicted).abs();
            assert!(off < 0.5 / 128.0, "{name}: {off}");
        }
        let hard = HARD.map(f64::from);
        let others = [f64::MAX, -1e300, 1e-300, f64::NAN, 1764410400.123];
        let x: Vec<f64> = x.into_iter().chain(hard).chain(others).collect();
        let expected = calibration.predict_f64(&x).unwrap();
        case.name = format!("{name} in pairs");
        case.pairs = [x, expected];
        case
    }

    /// Makes a case with a function that is fitted by least squares.
    fn of_function(name: &str) -> Self {
        let curve: Curve = name.parse().unwrap();
        let (x, f): (Vec<f64>, fn(f64) -> f64) = match name {
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
        let y: Vec<f64> = x.iter().map(|x| (100.0 * f(*x)).round() / 100.0).collect();
        let fitted = LeastSquares::new(&curve, &[&x], &y).run().unwrap();
        let calibration = Calibration::of_regression(&fitted, ["R", "°C"]).unwrap();
        Self::of_one(name, &calibration, [x[0] as f32, x[x.len() - 1] as f32])
    }

    /// Makes a case with several inputs, fitted by least squares. The expected results are the
    /// record's predictions without a tape.
    fn of_several(curve: &str, names: &[&str]) -> Self {
        let model: Curve = curve.parse().unwrap();
        let count = names.len();
        let rows = 80;
        let column = |k: usize| -> Vec<f64> {
            let step = 1.0 + 3.0 * k as f64;
            (0..rows)
                .map(|i| 10.0 * step + ((7 + 4 * k) * i % 37) as f64 * step)
                .collect()
        };
        let columns: Vec<Vec<f64>> = (0..count).map(column).collect();
        let y: Vec<f64> = (0..rows)
            .map(|i| {
                let sum: f64 = columns.iter().map(|x| x[i]).sum();
                let product: f64 = columns.iter().map(|x| x[i] / 100.0).product();
                sum + product + ((i * 5) % 7) as f64
            })
            .collect();
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let fitted = LeastSquares::new(&model, &slices, &y).run().unwrap();
        let record = fitted.to_record().unwrap();
        let mut inputs = vec![Input::NONE; count];
        let mut params = vec![0.0; LeastSquares::parameters(&model, count)];
        let there = Multivariate::read(&record, &mut inputs, &mut params).unwrap();
        let flat = readings([10.0, 300.0], count * 3000, 11);
        let flat: Vec<f32> = flat[..count * (flat.len() / count)].to_vec();
        let mut finite = 0;
        let expected = flat.chunks(count).map(|row| {
            let pairs: Vec<TwoFloat> = row.iter().map(|x| TwoFloat::from(*x)).collect();
            match there.predict(&pairs) {
                Ok(found) => {
                    finite += 1;
                    found.value.high()
                }
                Err(_) => f32::NAN,
            }
        });
        let expected: Vec<f32> = expected.collect();
        assert!(finite > 800, "{curve} of {names:?}: {finite} finite");
        Case {
            name: format!("{curve} of {}", names.join(" and ")),
            rust: fitted.to_rust(names, "y\n"),
            c: fitted.to_c(names, "y\n"),
            header: fitted.to_c_header(names, "y\n", "case.h"),
            inputs: count,
            by_record: true,
            readings: flat,
            expected,
            pairs: [Vec::new(), Vec::new()],
        }
    }

    fn compare(&self, language: &str, folder: &Path, k: usize) {
        let read = |name: String| fs::read(folder.join(name)).unwrap();
        let found = read(format!("{k}.out"));
        let found = found.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
        assert_eq!(
            found.len(),
            self.expected.len(),
            "{language}: {}",
            self.name
        );
        let rows = self.readings.chunks(self.inputs);
        for ((row, expected), found) in rows.zip(&self.expected).zip(found) {
            // A record gives an error instead of predictions that are not finite.
            let is_none = self.by_record && expected.is_nan();
            let is_finite = found.is_finite() && row.iter().all(|x| x.is_finite());
            let same = match is_none {
                true => !is_finite,
                false => {
                    expected.to_bits() == found.to_bits() || (expected.is_nan() && found.is_nan())
                }
            };
            assert!(
                same,
                "{language}: {} of {row:?}: {expected} here, {found} compiled",
                self.name
            );
        }
        let found = read(format!("{k}.out64"));
        let found = found.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b));
        let [x, expected] = &self.pairs;
        assert_eq!(found.len(), expected.len());
        for ((x, expected), found) in x.iter().zip(expected).zip(found) {
            let same =
                expected.to_bits() == found.to_bits() || (expected.is_nan() && found.is_nan());
            assert!(
                same,
                "{language}: {} of {x}: {expected} here, {found} compiled",
                self.name
            );
        }
    }
}

fn cases() -> Vec<Case> {
    // These include widths that are summed in order and in lanes, and a layer of one unit behind
    // each.
    let curves = [
        "linear",
        "poly:1",
        "poly:2",
        "poly:5",
        "poly:12",
        "mlp:1",
        "mlp:8",
        "mlp:16,16",
        "mlp:40",
        "mlp:33,1,5",
        "mlp:64,64",
    ];
    let mut cases: Vec<Case> = curves
        .into_iter()
        .map(|name| Case::of_one(name, &calibration(name), [100.0, 295.0]))
        .collect();
    cases.extend(["linear", "poly:3", "mlp:4"].map(Case::of_pairs));
    cases.extend(FORMULAS.map(|formula| Case::of_function(formula.name())));
    cases.push(Case::of_several("linear", &["raw", "T", "for"]));
    cases.push(Case::of_several("poly:2", &["raw", "t_c"]));
    cases.push(Case::of_several("poly:3", &["X0_OFFSET", "a__b", "v1"]));
    cases.push(Case::of_several("poly:2", &["a", "b", "c", "d", "e"]));
    // Names of tables, of functions and of C++ alone.
    for name in [
        "P",
        "X_OFFSET",
        "Y_FACTOR",
        "calibrated",
        "class",
        "_Bool",
        "a__b",
    ] {
        cases.push(Case::of_several("linear", &[name]));
    }
    cases.push(Case::of_several("linear", &["P", "calibrated", "new"]));
    cases
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}: {out}{errors}");
}

const RUN_RUST: &str = "
fn run<const N: usize>(name: usize, f: fn([f32; N]) -> f32) {
    let bytes = std::fs::read(format!(\"{name}.in\")).unwrap();
    let x: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let y: Vec<u8> = x.as_chunks().0.iter().flat_map(|x| f(*x).to_le_bytes()).collect();
    std::fs::write(format!(\"{name}.out\"), y).unwrap();
}
fn run_f64(name: usize, f: fn(f64) -> f64) {
    let bytes = std::fs::read(format!(\"{name}.in64\")).unwrap();
    let x = bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b));
    let y: Vec<u8> = x.flat_map(|x| f(x).to_le_bytes()).collect();
    std::fs::write(format!(\"{name}.out64\"), y).unwrap();
}
";

const RUN_C: &str = "
#include <stdio.h>
static float x[9];
static FILE *in, *out;
static void files(const char *from, const char *to)
{
    in = fopen(from, \"rb\");
    out = fopen(to, \"wb\");
}
static void close_files(void)
{
    fclose(in);
    fclose(out);
}
static void put(float y)
{
    fwrite(&y, 4, 1, out);
}
";

/// All cases are in one program for each language, because compiling takes longest.
#[test]
fn emitted_code_has_the_bits_of_the_tape() {
    let cases = cases();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("firmware");
    fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let (mut rust, mut rust_main) = (String::from("#![no_std]\n"), String::new());
    let (mut c_head, mut c_main) = (String::from(RUN_C), String::new());
    for (k, case) in cases.iter().enumerate() {
        let bytes: Vec<u8> = case.readings.iter().flat_map(|x| x.to_le_bytes()).collect();
        fs::write(folder.join(format!("{k}.in")), bytes).unwrap();
        let bytes: Vec<u8> = case.pairs[0].iter().flat_map(|x| x.to_le_bytes()).collect();
        fs::write(folder.join(format!("{k}.in64")), bytes).unwrap();
        fs::write(folder.join(format!("{k}.out64")), []).unwrap();

        let name = format!("case{k}");
        file(&format!("{name}.rs"), &case.rust);
        writeln!(rust, "pub mod {name} {{ include!(\"{name}.rs\"); }}").unwrap();
        let call = match case.inputs {
            1 => format!("|[x]: [f32; 1]| firmware::{name}::calibrated(x)"),
            _ => format!("firmware::{name}::calibrated"),
        };
        writeln!(rust_main, "    run({k}, {call});").unwrap();
        if !case.pairs[0].is_empty() {
            writeln!(
                rust_main,
                "    run_f64({k}, firmware::{name}::calibrated_f64);"
            )
            .unwrap();
        }

        file(
            &format!("{name}.c"),
            &format!("#include \"{name}.h\"\n\n{}", case.c),
        );
        file(
            &format!("{name}.h"),
            &case.header.replace("CASE_H", &format!("CASE{k}_H")),
        );
        writeln!(
            c_head,
            "#define calibrated {name}\n#define calibrated_f64 {name}_f64\n#include \"{name}.h\"\n\
             #undef calibrated\n#undef calibrated_f64"
        )
        .unwrap();
        let arguments: Vec<String> = (0..case.inputs).map(|i| format!("x[{i}]")).collect();
        writeln!(
            c_main,
            "    files(\"{k}.in\", \"{k}.out\");\n    \
                 while (fread(x, 4, {}, in) == {}) put({name}({}));\n    close_files();",
            case.inputs,
            case.inputs,
            arguments.join(", ")
        )
        .unwrap();
        if !case.pairs[0].is_empty() {
            writeln!(
                c_main,
                "    files(\"{k}.in64\", \"{k}.out64\");\n    \
                     while (fread(&wide, 8, 1, in) == 1) {{\n        \
                         wide = {name}_f64(wide);\n        fwrite(&wide, 8, 1, out);\n    }}\n    \
                     close_files();"
            )
            .unwrap();
        }
    }
    file("firmware.rs", &rust);
    file(
        "main.rs",
        &format!("{RUN_RUST}\nfn main() {{\n{rust_main}}}\n"),
    );
    file(
        "main.c",
        &format!("{c_head}\nint main(void)\n{{\n    double wide;\n{c_main}    return 0;\n}}\n"),
    );

    let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
    let rustc = |arguments: &[&str]| {
        run(Command::new(&rustc)
            .args(["--edition", "2024", "-D", "warnings", "-O"])
            .args(arguments)
            .current_dir(&folder));
    };
    rustc(&["--crate-type", "rlib", "firmware.rs"]);
    rustc(&[
        "-L",
        ".",
        "--extern",
        "firmware=libfirmware.rlib",
        "main.rs",
    ]);
    run(Command::new(folder.join("main")).current_dir(&folder));
    for (k, case) in cases.iter().enumerate() {
        case.compare("Rust", &folder, k);
        fs::remove_file(folder.join(format!("{k}.out"))).unwrap();
        fs::write(folder.join(format!("{k}.out64")), []).unwrap();
    }

    if !has_cc() {
        return;
    }
    let cc = |arguments: &[&str]| {
        run(Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-std=c99"])
            .args(["-O2", "-fno-math-errno", "-ffp-contract=off"])
            .args(arguments)
            .current_dir(&folder));
    };
    let mut objects = Vec::new();
    for k in 0..cases.len() {
        let name = format!("case{k}");
        let renamed = [
            format!("-Dcalibrated={name}"),
            format!("-Dcalibrated_f64={name}_f64"),
        ];
        let (source, object) = (format!("{name}.c"), format!("{name}.o"));
        cc(&["-c", &renamed[0], &renamed[1], &source, "-o", &object]);
        objects.push(object);
    }
    let objects = objects.iter().map(String::as_str);
    let all: Vec<&str> = ["main.c"].into_iter().chain(objects).collect();
    cc(&[&all[..], &["-lm", "-o", "main_c"]].concat());
    run(Command::new(folder.join("main_c")).current_dir(&folder));
    for (k, case) in cases.iter().enumerate() {
        case.compare("C", &folder, k);
    }
    fs::remove_dir_all(folder).unwrap();
}
