//! Compares values, gradients and trajectories with PyTorch's: see `tests/golden/README.md`.
//!
//! It has its own `main`, because libtest hides the output of passing tests, and the number of
//! comparisons is part of the result.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

mod support;

use std::process::ExitCode;

use serde::de::DeserializeOwned;
use support::{
    Report, directory, entries, groups, j2, losses, ops, optim, read, sched, seeds, special,
};

/// The name of a file without `.json`, and the function that runs it.
const FILES: [(&str, Runner); 12] = [
    ("ops", |file| run(file, ops::test)),
    ("entries", |file| run(file, entries::test)),
    ("special", |file| run(file, special::test)),
    ("optim", |file| run(file, optim::test)),
    ("optim_more", |file| run(file, optim::test)),
    ("seeds", |file| run(file, seeds::test)),
    ("j2_mlp", |file| run(file, j2::test)),
    ("losses", |file| run(file, losses::test)),
    ("more_losses", |file| run(file, losses::test)),
    ("sched", |file| run(file, sched::test)),
    ("sched_more", |file| run(file, sched::test)),
    ("groups", |file| run(file, groups::test)),
];

type Runner = fn(&str) -> Result<Option<Report>, String>;

fn run<T: DeserializeOwned>(file: &str, test: fn(T) -> Report) -> Result<Option<Report>, String> {
    Ok(read(file)?.map(test))
}

/// Accepts the arguments that `cargo test` and `cargo nextest` pass to libtest. To them
/// this is one test, `golden`; filters may also name files.
fn main() -> ExitCode {
    let mut filters = vec![];
    let mut verbose = false;
    let (mut list, mut ignored, mut exact) = (false, false, false);
    let mut skipped: Vec<String> = vec![];
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => list = true,
            "--ignored" => ignored = true,
            "--exact" => exact = true,
            "--nocapture" | "--no-capture" | "--show-output" => verbose = true,
            "--skip" => skipped.extend(args.next()),
            "--format" | "--color" | "--test-threads" | "--logfile" | "-Z" => {
                args.next();
            }
            _ if arg.starts_with('-') => {}
            _ => filters.push(arg),
        }
    }
    if list {
        if !ignored {
            println!("golden: test");
        }
        return ExitCode::SUCCESS;
    }

    let matches = |name: &str, filter: &String| {
        if exact {
            name == filter
        } else {
            name.contains(filter.as_str())
        }
    };
    let wanted = |file: &str| {
        let named = |filter| matches("golden", filter) || matches(file, filter);
        !ignored && (filters.is_empty() || filters.iter().any(named)) && !skipped.iter().any(named)
    };
    let (mut well, mut missing) = (true, 0);
    for (name, runner) in FILES {
        if !wanted(name) {
            continue;
        }
        let file = format!("{name}.json");
        match runner(&file) {
            Ok(Some(report)) => well &= report.print(&file, verbose),
            Ok(None) => {
                println!("{file}: not there");
                missing += 1;
            }
            Err(why) => {
                println!("{file}: FAILED {why}");
                well = false;
            }
        }
    }
    if missing == FILES.len() {
        println!("FAILED: no files in {}", directory().display());
        well = false;
    }
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
