//! Solves NIST's data sets for nonlinear regression, whose parameters and standard errors are
//! certified to eleven digits, in `f32`.
//!
//! ```text
//! cargo run --release --example nist [-- FOLDER]
//! ```
//!
//! Reads every `.dat` file of the folder, in NIST's format, or the files that come with this
//! crate. The number of digits is the log relative error (LRE), `-log10` of the relative error, of
//! the worst parameter and of the worst standard error.

mod models;
mod set;

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use set::{Precision, Run, Set};

fn main() -> Result<(), Box<dyn Error>> {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/nist");
    let folder = env::args().nth(1).unwrap_or_else(|| shipped.to_owned());
    let mut files: Vec<_> = fs::read_dir(&folder)
        .map_err(|error| format!("{folder}: {error}"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("dat"))
        })
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("{folder}: expected files that end in .dat, found none").into());
    }

    println!("set        start  parameters  standard errors  passes  why it ended");
    let mut runs = Vec::new();
    for path in &files {
        for (start, run) in solve(path)?.into_iter().enumerate() {
            let [parameters, errors] = run.digits;
            println!(
                "{:<10} {:>5} {parameters:>11.1} {errors:>16.1} {:>7}  {}",
                path.file_stem().unwrap_or_default().to_string_lossy(),
                start + 1,
                run.passes,
                run.status
            );
            runs.push(run);
        }
    }
    let digits = |of: fn(&Run) -> f64| runs.iter().map(of);
    let [parameters, errors]: [fn(&Run) -> f64; 2] = [|run| run.digits[0], |run| run.digits[1]];
    let mean = |of| digits(of).sum::<f64>() / runs.len() as f64;
    println!(
        "runs {}, parameters >= 4 digits {}, standard errors >= 3 digits {}, mean LRE {:.1} / {:.1}",
        runs.len(),
        digits(parameters).filter(|digits| *digits >= 4.0).count(),
        digits(errors).filter(|digits| *digits >= 3.0).count(),
        mean(parameters),
        mean(errors)
    );
    Ok(())
}

/// Solves the set in a file from both of its starts.
fn solve(path: &Path) -> Result<[Run; 2], Box<dyn Error>> {
    let name = path.display();
    // Some files have bytes of other encodings in their references.
    let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
    let set = Set::parse(&text).map_err(|error| format!("{name}: {error}"))?;
    let run = |start| {
        set.run(start, Precision::Pairs)
            .map_err(|error| format!("{name}: {error}"))
    };
    Ok([run(0)?, run(1)?])
}
