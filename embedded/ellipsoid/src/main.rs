//! Calibrates the magnetometer of `examples/ellipsoid` on a board. `ellipsoid.sh` compares the
//! output with the example's.

#![no_std]
#![no_main]
#![allow(unreachable_pub)] // The example's file is a module of several crates.

use board::{println, stack};

#[path = "../../../examples/ellipsoid/magnetometer.rs"]
mod magnetometer;

board::entry!(run);

fn run() -> i32 {
    let counts = magnetometer::counts();
    stack::paint();
    let found = magnetometer::fit(&counts);
    let used = stack::used() + size_of_val(&found);
    match found {
        Ok(found) => magnetometer::report(&found, &mut |line| println!("{line}")),
        Err(error) => {
            println!("{error}");
            return 1;
        }
    }
    println!("RAM beside the samples: {used} bytes");
    stack::paint();
    let solution = magnetometer::fit_by_squares(&counts);
    let used = stack::used() + size_of_val(&solution);
    magnetometer::report_squares(&solution, &mut |line| println!("{line}"));
    println!("RAM beside the samples: {used} bytes");
    0
}
