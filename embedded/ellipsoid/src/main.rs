//! The magnetometer of `examples/ellipsoid`, calibrated on a board. `ellipsoid.sh` compares
//! what both print.

#![no_std]
#![no_main]
#![allow(unreachable_pub)] // of what has several homes

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
