//! Adapts the network of `examples/gestures` on a board. `gestures.sh` compares the output with
//! the example's.

#![no_std]
#![no_main]
#![allow(unreachable_pub)] // The example's files are modules of several crates.

use baregrad::record::Record;
use board::{println, stack};

#[path = "../../../examples/gestures/network.rs"]
mod network;
#[path = "../../../examples/gestures/sensor.rs"]
mod sensor;

board::entry!(run);

/// The record that the desktop trained, in flash.
const TRAINED: &[u8] = include_bytes!("../../../examples/gestures/trained.bin");

fn run() -> i32 {
    let record = match Record::read(TRAINED) {
        Ok(record) => record,
        Err(error) => {
            println!("{error}");
            return 1;
        }
    };
    stack::paint();
    let adapted = network::adapt(&record);
    let used = stack::used();
    match adapted {
        Ok(adapted) => network::report(&adapted, &mut |line| println!("{line}")),
        Err(error) => {
            println!("{error}");
            return 1;
        }
    }
    println!("stack: {used} bytes");
    0
}
