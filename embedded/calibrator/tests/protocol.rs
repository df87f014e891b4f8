//! Every command and every error, as a person at the terminal sees them.

mod host;

use calibrator::fit::FLOATS;
use calibrator::{Board, Calibrator, Damaged, MAX_LINE, Memory};
use host::{HostBoard, HostMemory, SAMPLES, Terminal};

/// Runs a test with a calibrator that was just switched on.
fn with_terminal(test: impl FnOnce(Terminal<'_>)) {
    let mut memory = HostMemory::new();
    test(Terminal::new(HostBoard::new(), &mut memory));
}

#[test]
fn prints() {
    with_terminal(|mut t| {
        print!("{}", t.greeting());
        print!("{}", t.line("help"));
        t.add_thermometer();
        for line in [
            "list",
            "fit 200",
            "read 55.9",
            "status",
            "save",
            "status",
            "model poly2",
            "fit 1000",
            "model poly3",
            "optimizer adam 0.05",
            "fit 1000",
            "model mlp 8",
            "fit 1000",
            "status",
            "bench",
            "erase",
            "load",
            "model mlp 9",
            "read nan",
            "sample 3",
            "optimizer sgd 2",
            "fit",
            "optimizer sgd 1e30",
            "fit",
        ] {
            println!("> {line}");
            print!("{}", t.line(line));
        }
    });
}
