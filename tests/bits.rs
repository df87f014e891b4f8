//! Tests that bits are the same at every SIMD level, in every profile and on every target. Does
//! the work at each level that this machine has, or at the one that `BAREGRAD_SIMD`
//! names, and compares the digests with the committed ones.
//!
//! ```text
//! BAREGRAD_SIMD=scalar cargo test --test bits
//! RUSTFLAGS='-C target-cpu=native' cargo test --release --test bits
//! ```

#![allow(missing_docs, unreachable_pub)]

use std::process::ExitCode;

use baregrad::kernel::{self, Level};

// The model that boards train, too.
#[path = "../embedded/jobs/src/thermometer.rs"]
#[allow(dead_code)]
mod thermometer;
#[path = "bits/workload/mod.rs"]
mod workload;

fn main() -> ExitCode {
    let levels = match levels() {
        Ok(levels) => levels,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if std::env::args().any(|argument| argument == "--write-record") {
        return write_record();
    }
    let mut failed = false;
    for group in &workload::GROUPS {
        for &level in &levels {
            #[cfg(feature = "std")]
            kernel::set_level(level);
            assert_eq!(kernel::level(), level);
            let name = group.name;
            match group.digest() {
                Ok(digest) if digest.0 == group.digest => {
                    println!("{name:15} {digest}  {level}");
                }
                Ok(digest) => {
                    let expected = workload::Digest(group.digest);
                    println!("{name:15} {digest}  {level}: expected {expected}");
                    failed = true;
                }
                Err(error) => {
                    println!("{name:15} {level}: {error}");
                    failed = true;
                }
            }
        }
    }
    ExitCode::from(u8::from(failed))
}

/// Writes the record from which the group `resume` continues.
fn write_record() -> ExitCode {
    let mut bytes = [0; workload::resume::RECORD];
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bits/half_way.bin");
    let record = match workload::resume::half_way(&mut bytes) {
        Ok(record) => record,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{path}: {} bytes", record.len());
    ExitCode::from(u8::from(std::fs::write(path, record).is_err()))
}

#[cfg(feature = "std")]
fn levels() -> Result<Vec<Level>, kernel::LevelError> {
    Ok(match kernel::level_from_env()? {
        Some(level) => vec![level],
        None => Level::available().collect(),
    })
}

/// Returns the levels. Without `std` there is one.
#[cfg(not(feature = "std"))]
fn levels() -> Result<Vec<Level>, std::convert::Infallible> {
    Ok(vec![kernel::level()])
}
