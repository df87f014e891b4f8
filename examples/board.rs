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
//! A line of the file is a reading and its reference, with a comma, a semicolon, a
//! tab or spaces in between. Before them there may be one heading; empty lines and
//! those that begin with `#` are skipped. Then come the model, the optimizer
//! and the number of epochs, if they are not to be `linear`, `sgd 0.1` and 500.
//! What was learned is saved on the board.
//!
//! Everything is checked, and fitted here, before the board is talked to; and
//! whether the samples fit there, before it is asked to forget its own.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fmt, fs};

use baregrad::op::Node;

// The calibrator's own code: what runs on the board.
#[allow(dead_code, unreachable_pub)]
#[path = "../embedded/calibrator/src/calibration.rs"]
mod calibration;
#[allow(dead_code, unreachable_pub)]
#[path = "../embedded/calibrator/src/fit.rs"]
mod fit;

use calibration::{MAX_DEGREE, Model};
use fit::{FLOATS, MAX_EPOCHS, Method, NODES, Plan, Sample, Scratch};

const USAGE: &str =
    "board <port|unix:path|tcp:host:port> <samples.csv> [model] [optimizer] [epochs]";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether board and desktop agree on every bit.
pub fn run(arguments: &[String]) -> Result<bool, Box<dyn Error>> {
    let [port, file, choices @ ..] = arguments else {
        return Err(USAGE.into());
    };
    if choices.len() > 3 {
        return Err(format!("expected {USAGE}, found {} more", choices.len() - 3).into());
    }
    let choice = |i: usize, default: &'static str| choices.get(i).map_or(default, String::as_str);
    let plan = Plan {
        model: model(choice(0, "linear"))?,
        method: method(choice(1, "sgd 0.1"))?,
        epochs: epochs(choice(2, "500"))?,
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

/// The samples of a file, or what is wrong with it, to be written behind its name.
fn samples(text: &str) -> Result<Vec<Sample>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut heading = None;
    let mut samples = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let columns = columns(line);
        // At most one, of words only: a number that is misspelled is no heading.
        let is_heading = samples.is_empty()
            && heading.is_none()
            && columns.iter().all(|word| word.parse::<f32>().is_err())
            && columns.iter().any(|word| is_name(word));
        if is_heading {
            heading = Some(i + 1);
            continue;
        }
        let at = i + 1;
        let [reading, reference] = columns[..] else {
            return Err(format!(
                ":{at}: expected a reading and its reference, found {} in '{line}'",
                match columns.len() {
                    1 => "one column".into(),
                    n => format!("{n} columns"),
                }
            ));
        };
        let number = |what, word: &str| match word.parse::<f32>() {
            Ok(x) if x.is_finite() => Ok(x),
            Ok(_) if word.contains(|c: char| c.is_ascii_digit()) => Err(format!(
                ":{at}: expected {what} that f32 can hold, found '{word}'"
            )),
            _ => Err(format!(
                ":{at}: expected a finite number as {what}, found '{word}'{}",
                match word.replacen(',', ".", 1).parse::<f32>() {
                    Ok(_) if word.contains(',') => ": write a point, not a comma",
                    _ => "",
                }
            )),
        };
        samples.push(Sample {
            reading: number("reading", reading)?,
            reference: number("reference", reference)?,
        });
    }
    match (samples.is_empty(), heading) {
        (false, _) => Ok(samples),
        (true, None) => Err(": expected lines of a reading and its reference, found none".into()),
        (true, Some(at)) => Err(format!(
            ": expected lines of a reading and its reference, found only a heading in line {at}"
        )),
    }
}

/// The columns of a line: at every semicolon, if there is one, or else at every tab, or
/// comma, or wherever there are spaces.
fn columns(line: &str) -> Vec<&str> {
    for separator in [';', '\t', ','] {
        if line.contains(separator) {
            return line.split(separator).map(str::trim).collect();
        }
    }
    line.split_whitespace().collect()
}

/// Whether it may name a column: nothing that is meant as a number.
fn is_name(word: &str) -> bool {
    let word = word.trim_start_matches(['+', '-', '"', '\'']);
    word.starts_with(char::is_alphabetic) && !["nan", "inf"].contains(&&*word.to_lowercase())
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
        // The board may be saying something, or have half heard a line: wait until it answers.
        // These change nothing there.
        let expected = |what: &str| Err(format!("expected {what}"));
        writeln!(board.0.get_mut(), "\nhelp me")?;
        while board.answer()? != expected("help") {
            writeln!(board.0.get_mut(), "help me")?;
        }
        // It may have been asked more than once.
        writeln!(board.0.get_mut(), "list all")?;
        while board.answer()? != expected("list") {}
        Ok(board)
    }

    /// How many samples it has room for.
    fn capacity(&mut self) -> Result<usize, Box<dyn Error>> {
        let status = self.ask("status")?;
        let mut lines = status.lines().filter_map(|line| {
            let (_, capacity) = line.strip_prefix("samples ")?.split_once(" of ")?;
            capacity.parse().ok()
        });
        let found = lines.next();
        found.ok_or_else(|| format!("expected 'samples <n> of <room>', found {status:?}").into())
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
