//! Trains the thermometer on a board and prints the report.

#![no_std]
#![no_main]

board::entry!(run);

fn run() -> i32 {
    board::print!("{}", jobs::thermometer::Report);
    0
}
