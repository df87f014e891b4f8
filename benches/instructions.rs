//! A gate on instructions: valgrind counts those of the jobs and a few kernels,
//! and the benchmark fails if a count exceeds its committed number by more than an allowance.
//! Unlike times, the counts repeat exactly, however busy the machine is.
//!
//! ```text
//! cargo bench --bench instructions               count and compare
//! cargo bench --bench instructions -- --update   count and write the numbers
//! ```
//!
//! The committed numbers, in `instructions.txt`, are for 64-bit x86 at the
//! baseline level (SSE2), which every such CPU runs in the same way, and for the
//! compiler named there. J1, J2 and J6 are counted per epoch, J5 per solution, kernels per
//! call. `plan/…/n` is the first backward pass of a graph of `n` operations, with its planning.
//! `rewind/n` records an operation behind `n` others and drops it again. `rebind/n` rebinds an
//! input before `n` operations. If a cost that should be constant grew with `n`, these counts would
//! be thousands of times as large.

#![allow(clippy::unwrap_used, missing_docs)]

mod shared;

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::{env, fs, io};

use baregrad::HeapArena;
use baregrad::optim::Optimizer;
use shared::plain::{self, Data};
use shared::{Moons, Sine, graphs, jobs, wanted};

/// The allowance beyond a committed number: percent of it, and instructions.
/// Compilers from 1.95 to 1.97 agree to the instruction. Version 1.89, the
/// oldest that is supported, takes 5 % more in some loops, and 9 more for the 73 instructions of
/// a short sum. A check or a copy that slips into a loop costs more than that.
const PERCENT: u64 = 6;
const INSTRUCTIONS: u64 = 10;

const NUMBERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

/// The subjects: a name, and the number of runs that are counted. A kernel's
/// name ends with the length of its slices.
const SUBJECTS: [(&str, u32); 25] = [
    ("J1", 100),
    ("J1-function", 100),
    ("J1-linear-mse", 100),
    ("J1-operators", 100),
    ("cubic-function", 100),
    ("J2", 5),
    ("sum/11", 100),
    ("sum/4096", 1),
    ("dot/11", 100),
    ("dot/4096", 1),
    ("add/4096", 1),
    ("exp/4096", 1),
    ("tanh/4096", 1),
    ("matmul/256", 1),
    ("plan/chain/100", 1),
    ("plan/chain/1000", 1),
    ("plan/chain/16000", 1),
    ("plan/wide/100", 1),
    ("plan/wide/1000", 1),
    ("plan/wide/16000", 1),
    ("rewind/10000", 100),
    ("rebind/10000", 100),
    ("J5-lm", 100),
    ("J6-relu", 5),
    ("J6-tanh", 5),
];

/// Runs `run` several times. Valgrind counts in this function only, which it finds by its name.
#[inline(never)]
fn counted(times: u32, run: &mut dyn FnMut()) {
    for _ in 0..times {
        run();
    }
}

/// Runs a subject once to warm up, which plans gradients and detects the level, and then `times`
/// times for counting.
fn perform(name: &str, times: u32) {
    fn twice(times: u32, mut run: impl FnMut()) {
        run();
        counted(black_box(times), &mut run);
    }
    fn train<O: Optimizer>(times: u32, mut job: jobs::Job<'_, O>) {
        twice(times, || _ = black_box(job.epoch().unwrap()));
    }
    let mut arena = HeapArena::new(40_000, 32);
    let tape = arena.tape();
    match name {
        "J1" => train(times, jobs::thermometer_line(&tape)),
        "J1-linear-mse" => train(times, jobs::thermometer(&tape)),
        "J1-function" => train(times, jobs::thermometer_function(&tape)),
        "cubic-function" => train(times, jobs::cubic_function(&tape)),
        "J1-operators" => train(times, jobs::thermometer_operators(&tape)),
        "J5-lm" => twice(times, || _ = black_box(jobs::least_squares())),
        "J6-relu" | "J6-tanh" => {
            let activation = match name {
                "J6-relu" => jobs::Activation::Relu,
                _ => jobs::Activation::Tanh,
            };
            let moons = Moons::make();
            train(times, jobs::classifier(&tape, &moons, activation).job);
        }
        "J2" => train(times, jobs::sine(&tape, &Sine::load())),
        _ if name.starts_with('p') || name.starts_with('r') => graph(name, times),
        _ => {
            let (kernel, len) = name.split_once('/').unwrap();
            let lanes = plain::kernel(kernel).lanes;
            let mut data = Data::new(0, len.parse().unwrap());
            twice(times, || lanes(black_box(&mut data)));
        }
    }
}

/// Runs a subject on a graph of many operations, whose cost is not arithmetic.
fn graph(name: &str, times: u32) {
    let (step, n) = name.rsplit_once('/').unwrap();
    let n: usize = n.parse().unwrap();
    let mut arena = HeapArena::new(4 * n, 2 * n + 10);
    let tape = arena.tape();
    let x = tape.input(&[1.0], []);
    let loss = match step {
        "plan/wide" => graphs::wide(&tape, n),
        _ => graphs::chain(&tape, n),
    };
    let mark = tape.mark();
    let mut run = || match step {
        "rebind" => tape.rebind(x, &[2.0]).unwrap(),
        _ => {
            // A new operation makes the next backward pass plan anew.
            let more = loss * 1.0;
            if step != "rewind" {
                tape.backward(more).unwrap();
            }
            tape.rewind(mark).unwrap();
        }
    };
    run();
    counted(black_box(times), &mut run);
}

/// Runs this program under valgrind with one subject, and returns the instructions of a run, or
/// `None` if valgrind is not installed.
fn count(name: &str, times: u32) -> io::Result<Option<u64>> {
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*counted*")
        .arg(env::current_exe()?)
        .args(["--perform", name])
        .env("BAREGRAD_SIMD", "baseline")
        .output();
    let output = match valgrind {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        output => output?,
    };
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| {
        let (_, count) = line.split_once("Collected :")?;
        count.trim().parse::<u64>().ok()
    });
    match collected {
        Some(count) if output.status.success() && count > 0 => Ok(Some(count / u64::from(times))),
        _ => Err(io::Error::other(format!("{name}: valgrind said\n{told}"))),
    }
}

fn compiler() -> io::Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output()?.stdout;
    Ok(String::from_utf8_lossy(&version).trim().to_owned())
}

/// Counts, and compares or writes the numbers. Returns whether all are within their limits.
fn gate(update: bool) -> io::Result<bool> {
    let subjects = SUBJECTS.iter().filter(|(name, _)| update || wanted(name));
    if subjects.clone().next().is_none() {
        return Ok(true);
    }
    let committed = fs::read_to_string(NUMBERS)?;
    let compiler = compiler()?;
    let mut numbers =
        format!("# Written by `cargo bench --bench instructions -- --update`.\n# {compiler}\n");
    let mut good = true;
    println!("instructions, counted with {compiler}");
    for &(name, times) in subjects {
        let Some(count) = count(name, times)? else {
            println!("skipped: valgrind is not installed");
            return Ok(!update);
        };
        numbers += &format!("{name} {count}\n");
        let before = committed.lines().find_map(|line| {
            let (_, number) = line.split_once(' ').filter(|(n, _)| *n == name)?;
            number.parse::<u64>().ok()
        });
        let verdict = match before {
            None if update => "new".into(),
            None => {
                good = false;
                "FAILED: no committed number".into()
            }
            Some(before) => {
                let percent = (count as f64 / before as f64 - 1.0) * 100.0;
                let failed = count > before + before * PERCENT / 100 + INSTRUCTIONS;
                good &= !failed;
                let verdict = if failed { "FAILED: " } else { "" };
                format!("{verdict}{percent:+.1} % of {before}")
            }
        };
        println!("{name:16} {count:>8}  {verdict}");
    }
    if update {
        fs::write(NUMBERS, numbers)?;
        println!("written to {NUMBERS}");
        return Ok(true);
    }
    if !good {
        println!("allowed: {PERCENT} % and {INSTRUCTIONS} instructions more than\n{committed}");
    }
    Ok(good)
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [perform_arg, name] = &args[..]
        && perform_arg == "--perform"
    {
        for (_, times) in SUBJECTS.iter().filter(|(n, _)| n == name) {
            perform(name, *times);
        }
        return ExitCode::SUCCESS;
    }
    // Counts only when `cargo bench` runs it, as criterion does, and not in `cargo test`.
    if !args.iter().any(|arg| arg == "--bench") {
        println!("nothing is counted without --bench");
        return ExitCode::SUCCESS;
    }
    if cfg!(any(not(target_arch = "x86_64"), target_feature = "avx")) {
        println!("skipped: the committed numbers are of plain x86-64");
        return ExitCode::SUCCESS;
    }
    match gate(args.iter().any(|arg| arg == "--update")) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}
