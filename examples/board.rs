//! Calibrates a sensor on a board, does the same here, and compares the bits.
//!
//! The board runs the calibrator (`embedded/README.md`) and hangs on a serial
//! port, or it is an emulated one at a socket:
//!
//! ```text
//! cargo run --release --example board -- /dev/ttyACM0 embedded/thermometer.csv
//! cargo run --release --example board -- COM3 samples.csv poly2 'adam 0.05' 1000
//! cargo run --release --example board -- unix:/run/serial samples.csv 'mlp 4'
//! ```
//!
//! A line of the file is a reading and its reference; lines that are no two
//! numbers, such as a heading, are skipped. Then come the model, the optimizer
//! and the number of epochs, if they are not to be `linear`, `sgd 0.1` and 500.
//! What was learned is saved on the board.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use baregrad::op::Node;

// The calibrator's own code: what runs on the board.
#[allow(dead_code, unreachable_pub)]
#[path = "../embedded/calibrator/src/calibration.rs"]
mod calibration;
#[allow(dead_code, unreachable_pub)]
#[path = "../embedded/calibrator/src/fit.rs"]
mod fit;

use calibration::{MAX_DEGREE, Model};
use fit::{FLOATS, Method, NODES, Plan, Sample, Scratch};

const USAGE: &str =
    "board <port|unix:path|tcp:host:port> <samples.csv> [model] [optimizer] [epochs]";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether board and desktop agree on every bit.
fn run() -> Result<bool, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [port, file, choices @ ..] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let choice = |i: usize, default: &'static str| choices.get(i).map_or(default, String::as_str);
    let plan = Plan {
        model: model(choice(0, "linear"))?,
        method: method(choice(1, "sgd 0.1"))?,
        epochs: choice(2, "500").parse()?,
    };
    let samples = samples(&fs::read_to_string(file)?);

    let mut board = Board::open(port)?;
    board.ask("clear")?;
    board.ask(&format!("model {}", choice(0, "linear")))?;
    board.ask(&format!("optimizer {}", choice(1, "sgd 0.1")))?;
    for Sample { reading, reference } in &samples {
        board.ask(&format!("add {reading} {reference}"))?;
    }
    let answer = board.ask(&format!("fit {}", plan.epochs))?;
    let there = answer
        .lines()
        .find(|line| line.starts_with("fit "))
        .unwrap_or_default();
    println!("board    {there}");

    let mut memory = vec![0.0; (MAX_DEGREE + 1) * samples.len() + FLOATS];
    let (inputs, rest) = memory.split_at_mut(MAX_DEGREE * samples.len());
    let (targets, floats) = rest.split_at_mut(samples.len());
    let mut scratch = Scratch {
        inputs,
        targets,
        floats,
        nodes: &mut [const { Node::EMPTY }; NODES],
    };
    let here =
        fit::fit(&plan, &samples, &mut scratch, &mut |_, _| {}).map_err(|e| e.to_string())?;
    let crc = here.calibration.checksum();
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
        let there = board.ask(&format!("read {reading}"))?;
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

fn samples(csv: &str) -> Vec<Sample> {
    let pairs = csv
        .lines()
        .filter_map(|line| line.split_once([',', ';', '\t']));
    pairs
        .filter_map(|(reading, reference)| {
            Some(Sample {
                reading: reading.trim().parse().ok()?,
                reference: reference.trim().parse().ok()?,
            })
        })
        .collect()
}

fn model(text: &str) -> Result<Model, Box<dyn Error>> {
    match text.split_once(' ') {
        None if text == "linear" => Some(Model::Linear),
        None if text == "poly2" => Some(Model::Poly2),
        None if text == "poly3" => Some(Model::Poly3),
        Some(("mlp", hidden)) => Model::mlp(hidden.parse()?),
        _ => None,
    }
    .ok_or_else(|| {
        format!("expected linear, poly2, poly3 or 'mlp 1' to 'mlp 8', found {text}").into()
    })
}

fn method(text: &str) -> Result<Method, Box<dyn Error>> {
    match text.split_once(' ') {
        Some(("sgd", lr)) => Ok(Method::Sgd { lr: lr.parse()? }),
        Some(("adam", lr)) => Ok(Method::Adam { lr: lr.parse()? }),
        _ => Err(format!("expected 'sgd <lr>' or 'adam <lr>', found {text}").into()),
    }
}

/// A serial line, or what an emulator has in its place.
trait Line: Read + Write {}
impl<T: Read + Write> Line for T {}

/// A board that runs the calibrator.
struct Board(BufReader<Box<dyn Line>>);

impl Board {
    fn open(port: &str) -> Result<Self, Box<dyn Error>> {
        // A long fit on a small board takes its time.
        let patience = Duration::from_secs(300);
        let line: Box<dyn Line> = match port.split_once(':') {
            #[cfg(unix)]
            Some(("unix", path)) => {
                let socket = std::os::unix::net::UnixStream::connect(path)?;
                socket.set_read_timeout(Some(patience))?;
                Box::new(socket)
            }
            Some(("tcp", address)) => {
                let socket = TcpStream::connect(address)?;
                socket.set_read_timeout(Some(patience))?;
                Box::new(socket)
            }
            _ => Box::new(serialport::new(port, 115_200).timeout(patience).open()?),
        };
        let mut board = Board(BufReader::new(line));
        // Whatever it was saying, or had half heard: until it obeys.
        writeln!(board.0.get_mut(), "\nmodel linear")?;
        while board.answer()? != Ok("ok linear\n".into()) {
            writeln!(board.0.get_mut(), "model linear")?;
        }
        // It may have obeyed more than once.
        writeln!(board.0.get_mut(), "model poly2")?;
        while board.answer()? != Ok("ok poly2\n".into()) {}
        Ok(board)
    }

    /// What it answers to a line, unless that is an error.
    fn ask(&mut self, line: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.0.get_mut(), "{line}")?;
        let answer = self.answer()?;
        answer.map_err(|error| format!("{line}: {error}").into())
    }

    /// Lines up to the one that ends an answer, or what that one calls an error.
    fn answer(&mut self) -> io::Result<Result<String, String>> {
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if let Some(error) = line.strip_prefix("error: ") {
                return Ok(Err(error.into()));
            }
            answer += &format!("{line}\n");
            if line == "ok" || line.starts_with("ok ") {
                return Ok(Ok(answer));
            }
        }
    }
}
