//! `baregrad board`: calibrates a sensor on a board, does the same here, and compares
//! the bits.
//!
//! The board runs the calibrator (`embedded/README.md`) and hangs on a serial
//! port, or it is an emulated one at a socket:
//!
//! ```text
//! baregrad board /dev/ttyACM0 embedded/thermometer.csv
//! baregrad board COM3 samples.csv poly2 'adam 0.05' 1000
//! baregrad board unix:/run/serial samples.csv 'mlp 4'
//! ```
//!
//! Everything is checked, and fitted here, before the board is talked to; and
//! whether the samples fit there, before it is asked to forget its own.

mod line;
mod samples;

use std::error::Error;
use std::{fmt, fs};

use baregrad::op::Node;

use crate::calibrator::calibration::{MAX_DEGREE, Model};
use crate::calibrator::fit::{self, FLOATS, MAX_EPOCHS, Method, NODES, Plan, Sample, Scratch};
use line::Board;
use samples::samples;

/// Calibrates a sensor on a board that runs the calibrator, does the same here, and
/// compares the bits.
///
/// A line of the file is a reading and its reference, with a comma, a semicolon, a tab
/// or spaces in between. Before them there may be one heading; empty lines and those
/// that begin with # are skipped. What was learned is saved on the board.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The board: a serial port, or unix:<PATH> or tcp:<HOST>:<PORT> of an emulated one
    port: String,
    /// The file of samples
    #[arg(value_name = "SAMPLES.CSV")]
    file: String,
    /// The model to fit: linear, poly2, poly3, 'mlp N' (a hidden layer of N units, 1 to 8)
    #[arg(default_value = "linear", allow_hyphen_values = true)]
    model: String,
    /// How: 'sgd LR' or 'adam LR', with a learning rate
    #[arg(default_value = "sgd 0.1", allow_hyphen_values = true)]
    optimizer: String,
    /// How many times all samples are seen
    #[arg(default_value = "500", allow_hyphen_values = true)]
    epochs: String,
}

/// Whether board and desktop agree on every bit.
pub(crate) fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    let (port, file) = (&args.port, &args.file);
    let plan = Plan {
        model: model(&args.model)?,
        method: method(&args.optimizer)?,
        epochs: epochs(&args.epochs)?,
    };
    let text = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    let text = String::from_utf8(text).map_err(|_| format!("{file}: expected UTF-8 text"))?;
    let samples = samples(&text).map_err(|error| format!("{file}{error}"))?;

    let mut memory = vec![0.0; (MAX_DEGREE + 1) * samples.len() + FLOATS];
    let (inputs, rest) = memory.split_at_mut(MAX_DEGREE * samples.len());
    let (targets, floats) = rest.split_at_mut(samples.len());
    let mut scratch = Scratch {
        inputs,
        targets,
        floats,
        nodes: &mut [const { Node::EMPTY }; NODES],
    };
    let here = fit::fit(&plan, &samples, &mut scratch, &mut |_, _| {})
        .map_err(|error| format!("{file}: {error}"))?;
    let crc = here.calibration.checksum();

    let mut board = Board::open(port).map_err(|error| format!("{port}: {error}"))?;
    let capacity = board.capacity()?;
    if samples.len() > capacity {
        return Err(format!(
            "{file}: expected at most {capacity} samples, which this board has room for, found {}",
            samples.len()
        )
        .into());
    }
    // A network may be too wide for it.
    board.ask(&format!("model {}", plan.model))?;
    board.ask(&format!("optimizer {}", Spelled(plan.method)))?;
    board.ask("clear")?;
    for Sample { reading, reference } in &samples {
        // The shortest digits that give the same bits, and an exponent rather than
        // more zeros than a line of the board holds.
        board.ask(&format!("add {reading:?} {reference:?}"))?;
    }
    let answer = board.ask(&format!("fit {}", plan.epochs))?;
    let there = answer
        .lines()
        .find(|line| line.starts_with("fit "))
        .unwrap_or_default();
    println!("board    {there}");
    println!(
        "desktop  fit loss={:?}:{:08x} epochs={} crc={crc:08x}",
        here.loss,
        here.loss.to_bits(),
        plan.epochs
    );

    println!(
        "\n{:>12} {:>12} {:>24} {:>24}",
        "reading", "reference", "board", "desktop"
    );
    let mut same = there.ends_with(&format!(" crc={crc:08x}"));
    for Sample { reading, reference } in &samples {
        let there = board.ask(&format!("read {reading:?}"))?;
        let there = there.trim().trim_start_matches("ok ").to_owned();
        let here = fit::evaluate(&here.calibration, *reading, &mut scratch)?;
        let here = format!("{here:?}:{:08x}", here.to_bits());
        same &= there == here;
        println!("{reading:>12} {reference:>12} {there:>24} {here:>24}");
    }
    match board.ask("save") {
        Ok(_) => println!("\nsaved on the board"),
        // Emulated boards may have no flash.
        Err(error) => println!("\nnot saved: {error}"),
    }
    println!("{}", if same { "same bits" } else { "the bits differ" });
    Ok(same)
}

fn model(text: &str) -> Result<Model, Box<dyn Error>> {
    match text.split_once(' ') {
        None if text == "linear" => Some(Model::Linear),
        None if text == "poly2" => Some(Model::Poly2),
        None if text == "poly3" => Some(Model::Poly3),
        Some(("mlp", hidden)) => hidden.parse().ok().and_then(Model::mlp),
        _ => None,
    }
    .ok_or_else(|| {
        format!("expected linear, poly2, poly3 or 'mlp 1' to 'mlp 8' as model, found '{text}'")
            .into()
    })
}

fn method(text: &str) -> Result<Method, Box<dyn Error>> {
    let (kind, lr) = text.split_once(' ').unwrap_or_default();
    let lr = lr
        .parse()
        .ok()
        .filter(|lr| f32::is_finite(*lr) && *lr > 0.0);
    match (kind, lr) {
        ("sgd", Some(lr)) => Ok(Method::Sgd { lr }),
        ("adam", Some(lr)) => Ok(Method::Adam { lr }),
        _ => Err(format!(
            "expected 'sgd <lr>' or 'adam <lr>' as optimizer, with a finite <lr> above 0, found '{text}'"
        )
        .into()),
    }
}

fn epochs(text: &str) -> Result<u32, Box<dyn Error>> {
    let epochs = text.parse().ok();
    let epochs = epochs.filter(|epochs| (1..=MAX_EPOCHS).contains(epochs));
    epochs.ok_or_else(|| format!("expected 1 to {MAX_EPOCHS} epochs, found '{text}'").into())
}

/// An optimizer as the board wants it.
struct Spelled(Method);

impl fmt::Display for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Method::Sgd { lr } => write!(f, "sgd {lr:?}"),
            Method::Adam { lr } => write!(f, "adam {lr:?}"),
        }
    }
}
