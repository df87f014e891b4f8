//! The code that a calibration writes for firmware, compiled as firmware compiles
//! it, next to what the tape computes: the same bits.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use baregrad::optim::Adam;
use baregrad::train::{Calibration, Curve, Dataset, Fit, Model, Scaler, Scaling};

/// A name that a file may have, and that must not end up as code.
const READING: &str = "reading\nlet";

/// A calibration of readings that bend.
fn calibration(curve: &str) -> Calibration {
    let curve: Curve = curve.parse().unwrap();
    let x: Vec<f32> = (0..40).map(|i| 100.0 + 5.0 * i as f32).collect();
    let y: Vec<f32> = x.iter().map(|x| 0.001 * x * x - 0.1 * x + 3.0).collect();
    let data = Dataset::new([(READING, x), ("meaning", y)]).unwrap();
    let columns = [(READING, curve.scaling()), ("meaning", Scaling::Standard)];
    let scaler = Scaler::fit(&data, &columns).unwrap();
    let samples = scaler
        .apply(&data)
        .unwrap()
        .samples(&[READING], &["meaning"])
        .unwrap();
    let count = curve
        .params()
        .iter()
        .map(|param| param.values().len())
        .sum();
    let fitted = Fit::new(&curve, &samples)
        .epochs(20)
        .run(&mut Adam::on_heap(1e-2, count))
        .unwrap();
    let names = [READING, "meaning"];
    let scales = names.map(|name| scaler.scale(name).unwrap());
    Calibration::new(&curve, &fitted, names, scales, [100.0, 295.0])
}

/// Readings in and out of the range, and numbers that are hard to agree on.
fn readings() -> Vec<f32> {
    let hard = [
        0.0,
        -0.0,
        1e-40,
        1e30,
        -3e38,
        f32::MAX,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ];
    let usual = (0..200).map(|i| 90.0 + 1.1 * i as f32);
    usual.chain(hard).collect()
}

fn rustc(arguments: &[&str], directory: &Path) {
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc)
        .args(["--edition", "2024", "-D", "warnings"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The bits that the compiled code computes from the readings.
fn compiled(name: &str, code: &str, readings: &[f32]) -> Vec<u32> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).unwrap();
    let file = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    file("calibration.rs", code);
    file("firmware.rs", "#![no_std]\ninclude!(\"calibration.rs\");\n");
    let bits: Vec<u32> = readings.iter().map(|x| x.to_bits()).collect();
    file(
        "main.rs",
        &format!(
            "fn main() {{\n    for bits in {bits:?}_u32 {{\n        \
             println!(\"{{}}\", firmware::calibrated(f32::from_bits(bits)).to_bits());\n    }}\n}}\n"
        )
        .replace("]_u32", "_u32]"),
    );
    output(&directory)
}

/// The lines that `main.rs` prints.
fn output<T: std::str::FromStr<Err: std::fmt::Debug>>(directory: &Path) -> Vec<T> {
    let directory = directory.to_path_buf();
    rustc(&["--crate-type", "rlib", "firmware.rs"], &directory);
    rustc(
        &[
            "-O",
            "-L",
            ".",
            "--extern",
            "firmware=libfirmware.rlib",
            "main.rs",
        ],
        &directory,
    );
    let output = Command::new(directory.join("main")).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn emitted_code_has_the_bits_of_the_tape() {
    let readings = readings();
    // The last widths are summed in order, and in lanes; a layer of one unit
    // behind a wide one, too.
    for curve in [
        "linear",
        "poly:1",
        "poly:2",
        "poly:5",
        "mlp:1",
        "mlp:16,16",
        "mlp:40",
        "mlp:33,1,5",
    ] {
        let calibration = calibration(curve);
        let on_tape = calibration.predict(&readings).unwrap();
        let compiled = compiled(
            &curve.replace([':', ','], "_"),
            &calibration.to_rust(),
            &readings,
        );
        assert_eq!(compiled.len(), readings.len());
        for ((x, tape), firmware) in readings.iter().zip(&on_tape).zip(compiled) {
            let firmware = f32::from_bits(firmware);
            let same = tape.to_bits() == firmware.to_bits() || (tape.is_nan() && firmware.is_nan());
            assert!(
                same,
                "{curve} of {x}: {tape} on the tape, {firmware} compiled"
            );
        }
        let finite = on_tape.iter().filter(|y| y.is_finite()).count();
        assert!(finite >= 200, "{curve}: {finite} finite");
    }
}

#[test]
fn emitted_code_takes_readings_that_f32_does_not_hold() {
    // Seconds since 1970 next to Pascal: an exact line, which f32 has steps in.
    let x: Vec<f64> = (0..40).map(|i| 1764410400.0 + 5.0 * f64::from(i)).collect();
    let y: Vec<f64> = (0..40).map(|i| 101325.0 + 0.01 * f64::from(i)).collect();
    let data = Dataset::new([("s", x.clone()), ("Pa", y.clone())]).unwrap();
    for curve in ["linear", "poly:3", "mlp:4"] {
        let curve: Curve = curve.parse().unwrap();
        let columns = [("s", curve.scaling()), ("Pa", Scaling::Standard)];
        let scaler = Scaler::fit(&data, &columns).unwrap();
        let scaled = scaler.apply(&data).unwrap();
        let samples = scaled.samples(&["s"], &["Pa"]).unwrap();
        let params = curve.params();
        let count = params.iter().map(|param| param.values().len()).sum();
        let fitted = Fit::new(&curve, &samples)
            .epochs(3000)
            .run(&mut Adam::on_heap(1e-2, count))
            .unwrap();
        let names = ["s", "Pa"];
        let scales = names.map(|name| scaler.scale(name).unwrap());
        let range = [x[0], x[39]];
        let calibration = Calibration::new(&curve, &fitted, names, scales, range);

        let name = format!("f64-{curve}").replace(':', "_");
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).unwrap();
        let file = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
        file("calibration.rs", &calibration.to_rust());
        file("firmware.rs", "#![no_std]\ninclude!(\"calibration.rs\");\n");
        file(
            "main.rs",
            &format!(
                "fn main() {{\n    for x in {x:?} {{\n        \
                 println!(\"{{}}\", firmware::calibrated_f64(x).to_bits());\n    }}\n}}\n"
            ),
        );
        let found: Vec<u64> = output(&directory);
        let expected = calibration.predict_f64(&x).unwrap();
        let expected: Vec<u64> = expected.iter().map(|y| y.to_bits()).collect();
        assert_eq!(found, expected, "{curve}");
        // The results are nearer than the spacing of f32 there, 1 / 128: the network, which is no
        // line, is off by a third of that.
        for (y, found) in y.iter().zip(found) {
            let off = (y - f64::from_bits(found)).abs();
            assert!(off < 0.5 / 128.0, "{curve}: {off}");
        }
    }
}
