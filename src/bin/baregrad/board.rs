//! `baregrad board` calibrates a sensor on a board, does the same here, and compares the
//! bits; or it sends a calibration to a board, or fetches it.
//!
//! The board runs the calibrator (`embedded/README.md`) and is connected to a serial
//! port, or it is emulated and listens on a socket:
//!
//! ```text
//! baregrad board /dev/ttyACM0 embedded/thermometer.csv
//! baregrad board COM3 samples.csv poly:2 'adam 0.05' 1000
//! baregrad board /dev/ttyACM0 thermistor.csv steinhart-hart
//! baregrad board unix:/run/serial samples.csv mlp:4
//! baregrad board /dev/ttyACM0 --put cal.bin
//! baregrad board /dev/ttyACM0 --get cal.bin
//! ```
//!
//! The tool fits and checks everything here before it talks to the board, and checks that
//! the board has room for the samples before it clears the board's own.

mod line;
mod samples;

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use baregrad::Tape;
use baregrad::calibrate::{
    Calibration, Curve, CurveSolver, Differences, FORMULAS, Fit, Input, MAX_DEGREE, Multivariate,
    Origin, Poll, Prediction, ROWS, Reason, Samples, TwoFloat, prepare, range,
};
use baregrad::least_squares::Status;
use baregrad::op::Node;
use baregrad::optim::{Adam, Optimizer, Sgd};

use line::Board;
use samples::{Sample, samples};

/// The most epochs of a fit, here and on a board.
const MAX_EPOCHS: u32 = 100_000;

/// Calibrates a sensor on a board that runs the calibrator, computes the same on this
/// computer, and compares the bits; or sends a calibration to the board, or fetches it.
///
/// Each line of the file is a reading and its reference, separated by a comma, a
/// semicolon, a tab or spaces. The first line may be a heading. Empty lines and lines that
/// begin with # are skipped. The board saves the calibration that it fitted or received.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The board: a serial port, or for an emulated one unix:<PATH> or tcp:<HOST>:<PORT>
    port: String,
    /// The file of samples
    #[arg(value_name = "SAMPLES.CSV", required_unless_present_any = ["put", "get"])]
    file: Option<String>,
    /// The model to fit: linear, poly:N (degree N), mlp:N,N,... (hidden layers of N units),
    /// steinhart-hart, exp, power, logistic
    #[arg(default_value = "linear", allow_hyphen_values = true)]
    model: String,
    /// How to fit: lm (least squares, not for networks), or 'sgd LR' or 'adam LR' with a
    /// learning rate [default: lm, for a network 'sgd 0.1']
    #[arg(allow_hyphen_values = true)]
    optimizer: Option<String>,
    /// Epochs: passes over all samples; for lm the most
    #[arg(default_value = "500", allow_hyphen_values = true)]
    epochs: String,
    /// Send this record of a calibration, which `baregrad fit --save` wrote, to be saved there
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "get"])]
    put: Option<PathBuf>,
    /// Fetch the record of the calibration that the board uses, and write it to this file
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    get: Option<PathBuf>,
    /// Replace the file that --get writes
    #[arg(long, requires = "get")]
    force: bool,
}

/// Runs the command, and returns whether board and desktop agree on every bit.
pub(crate) fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    match (&args.file, &args.put, &args.get) {
        (Some(file), ..) => calibrate(args, file),
        (_, Some(path), _) => put(&args.port, path),
        (_, _, Some(path)) => get(&args.port, path, args.force).map(|()| true),
        // clap makes sure that one of them is given.
        (None, None, None) => Err("expected a file of samples, --put or --get".into()),
    }
}

/// Fits samples on the board and here, and compares the results.
fn calibrate(args: &Args, file: &str) -> Result<bool, Box<dyn Error>> {
    let curve = curve(&args.model)?;
    let method = method(&curve, args.optimizer.as_deref())?;
    let epochs = epochs(&args.epochs)?;
    let text = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    let text = String::from_utf8(text).map_err(|_| format!("{file}: expected UTF-8 text"))?;
    let samples = samples(&text).map_err(|error| format!("{file}{error}"))?;
    let (record, reason) =
        fit(curve, method, epochs, &samples).map_err(|error| format!("{file}: {error}"))?;
    let mut params = vec![0.0; curve.param_count()];
    let here = Calibration::read_with(&record, &mut params, &FORMULAS)?;

    let mut board = open(&args.port)?;
    let capacity = board.capacity()?;
    if samples.len() > capacity {
        return Err(format!(
            "{file}: expected at most {capacity} samples, which this board has room for, found {}",
            samples.len()
        )
        .into());
    }
    // If the board has no room for the model, it says so before its samples are cleared.
    board.ask(&format!("model {curve}"))?;
    board.ask(&match method {
        Method::Lm => "method lm".to_owned(),
        Method::Descent(kind, lr) => format!("optimizer {} {lr:?}", kind.name()),
    })?;
    board.ask("clear")?;
    for [reading, reference] in &samples {
        // `Display` prints the shortest digits that give the same bits, and an exponent
        // instead of more zeros than fit in a line.
        board.ask(&format!("add {reading} {reference}"))?;
    }
    let answer = board.ask(&format!("fit {epochs}"))?;
    let there = answer.lines().find(|line| line.starts_with("fit "));
    say!("board    {}", there.unwrap_or_default());
    say!(
        "desktop  fit loss={:?}:{:08x} epochs={} crc={:08x}",
        here.origin.loss,
        here.origin.loss.to_bits(),
        here.origin.epochs,
        checksum(&record)
    );
    // Prints the standard errors, which a board reports after least squares.
    let sure = ["errors ", "no standard errors", "residuals sigma"];
    for line in answer.lines() {
        if sure.iter().any(|begin| line.starts_with(begin)) {
            say!("         {line}");
        }
    }
    say!("{reason}");

    let rows = samples
        .iter()
        .map(|[reading, reference]| (*reading, Some(*reference)));
    let same = board.get()? == record;
    finish(&mut board, &here, rows, same)
}

/// Sends the record of a calibration to a board.
fn put(port: &str, path: &Path) -> Result<bool, Box<dyn Error>> {
    let in_file = |why: &dyn Error| format!("{}: {why}", path.display());
    let record = fs::read(path).map_err(|why| in_file(&why))?;
    let mut params = vec![0.0; record.len()];
    let mut inputs = vec![Input::NONE; record.len()];
    if let Ok(several) = Multivariate::read(&record, &mut inputs, &mut params.clone()) {
        let count = several.inputs.len();
        let why = format!(
            "expected a calibration of one reading, which boards take, found one of {count}"
        );
        return Err(format!("{}: {why}", path.display()).into());
    }
    let here = Calibration::read_with(&record, &mut params, &FORMULAS);
    let here = here.map_err(|why| in_file(&why))?;
    let mut board = open(port)?;
    board.put(&record)?;
    say!("{}, crc={:08x}, sent", here.curve, checksum(&record));
    let same = board.get()? == record;
    // Compares five readings, evenly spaced over the fitted range.
    let [low, high] = here.range;
    let step = high.difference(low) / 4.0;
    let readings = (0..=4).map(|i| (low.plus(i as f32 * step), None));
    finish(&mut board, &here, readings, same)
}

/// Fetches the record of the calibration that a board uses.
fn get(port: &str, path: &Path, force: bool) -> Result<(), Box<dyn Error>> {
    let in_file = |why: &dyn Error| format!("{}: {why}", path.display());
    if path.exists() && !force {
        let path = path.display();
        return Err(format!("{path}: exists: write elsewhere, or replace it with --force").into());
    }
    let record = open(port)?.get()?;
    let mut params = vec![0.0; record.len()];
    let here = Calibration::read_with(&record, &mut params, &FORMULAS)?;
    let mut options = fs::OpenOptions::new();
    options
        .write(true)
        .truncate(force)
        .create(force)
        .create_new(!force);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(&record));
    written.map_err(|why| in_file(&why))?;
    say!(
        "{}, crc={:08x}, written: {}",
        here.curve,
        checksum(&record),
        path.display()
    );
    Ok(())
}

fn open(port: &str) -> Result<Board, Box<dyn Error>> {
    Board::open(port).map_err(|error| format!("{port}: {error}").into())
}

/// Compares the predictions of board and desktop for some readings, and saves the
/// calibration on the board.
fn finish(
    board: &mut Board,
    here: &Calibration<'_>,
    rows: impl Iterator<Item = (TwoFloat, Option<TwoFloat>)>,
    mut same: bool,
) -> Result<bool, Box<dyn Error>> {
    say!(
        "\n{:>12} {:>12} {:>24} {:>24}",
        "reading",
        "reference",
        "board",
        "desktop"
    );
    let mut floats = vec![0.0; 4 * here.params.len() + 1024];
    let mut nodes = [const { Node::EMPTY }; 32];
    for (reading, reference) in rows {
        let answer = board.ask(&format!("read {reading}"))?;
        let answer = answer.trim().trim_start_matches("ok ");
        // After a comma, the answer tells whether the reading is outside the fitted range.
        let there = answer.split(',').next().unwrap_or_default();
        let tape = Tape::new(&mut floats, &mut nodes);
        let Prediction { value, .. } = here.predict(&tape, reading)?;
        let [high, low] = [value.high(), value.low()];
        // A board prints the bits of one f32 if it resolves the results well enough,
        // otherwise of a pair.
        let here = if there.contains('+') {
            format!("{value}:{:08x}+{:08x}", high.to_bits(), low.to_bits())
        } else {
            format!("{high:?}:{:08x}", high.to_bits())
        };
        let bits = |text: &str| text.rsplit(':').next().map(str::to_owned);
        same &= bits(there) == bits(&here);
        let reference = reference.map_or(String::new(), |reference| reference.to_string());
        let reading = reading.to_string();
        say!("{reading:>12} {reference:>12} {there:>24} {here:>24}");
    }
    match board.ask("save") {
        Ok(_) => say!("\nsaved on the board"),
        // An emulated board may have no flash.
        Err(error) => say!("\nnot saved: {error}"),
    }
    say!("{}", if same { "same bits" } else { "the bits differ" });
    Ok(same)
}

/// Fits as the board does, with the same calls. Returns the record of the calibration,
/// and the reason why the fit ended.
fn fit(
    curve: Curve,
    method: Method,
    epochs: u32,
    samples: &[Sample],
) -> Result<(Vec<u8>, String), Box<dyn Error>> {
    let n = samples.len();
    let mut memory = vec![0.0; 4 * n];
    let (held, scaled) = memory.split_at_mut(2 * n);
    let (readings, references) = held.split_at_mut(n);
    let (mut readings, mut references) = (Differences::new(readings), Differences::new(references));
    for [reading, reference] in samples {
        readings.push(*reading)?;
        references.push(*reference)?;
    }
    let (x, y) = scaled.split_at_mut(n);
    let [input, output] = prepare(&curve, readings.iter(), references.iter(), x, y)?;
    let data = Samples { x, y };
    let fitted = match method {
        Method::Lm => solve(&curve, epochs, data)?,
        Method::Descent(kind, lr) => {
            let loss_in_units = |loss| output.invert_square(loss);
            descend(&curve, (kind, lr), epochs, data, &loss_in_units)?
        }
    };
    let calibration = Calibration {
        curve,
        input,
        output,
        range: range(readings.iter()).unwrap_or_default(),
        origin: Origin {
            samples: u32::try_from(n)?,
            epochs: fitted.epochs,
            loss: output.invert_square(fitted.loss),
        },
        params: &fitted.params,
    };
    let mut bytes = vec![0; Calibration::max_bytes(fitted.params.len())];
    let record = calibration.write(&mut bytes)?.to_vec();
    Ok((record, fitted.reason))
}

/// The outcome of a fit to scaled samples.
struct Fitted {
    params: Vec<f32>,
    epochs: u32,
    loss: f32,
    reason: String,
}

/// Fits by least squares. The solver of a board may have room for fewer parameters, with
/// the same bits.
fn solve(curve: &Curve, passes: u32, data: Samples<'_>) -> Result<Fitted, Box<dyn Error>> {
    let solver = CurveSolver::<{ MAX_DEGREE + 1 }>::new(curve, data);
    let mut solver = solver.ok_or("expected a line, a polynomial or a function for lm")?;
    solver.set_max_passes(passes);
    let solution = solver.solution();
    let status = solution.status();
    if let Status::Singular { .. } | Status::NotFinite { .. } | Status::TooFewRows = status {
        return Err(format!("{curve}: {status}").into());
    }
    Ok(Fitted {
        params: solution
            .params()
            .into_iter()
            .take(curve.param_count())
            .collect(),
        epochs: solver.passes(),
        loss: solver.loss(&solution),
        reason: status.to_string(),
    })
}

/// Fits by gradient descent.
fn descend(
    curve: &Curve,
    (kind, lr): (Kind, f32),
    epochs: u32,
    data: Samples<'_>,
    in_units: &dyn Fn(f32) -> f32,
) -> Result<Fitted, Box<dyn Error>> {
    let count = curve.param_count();
    let mut start = vec![0.0; count];
    curve.start(&mut start);
    let mut optimizer: Box<dyn Optimizer> = match kind {
        Kind::Sgd => Box::new(Sgd::new(lr)),
        Kind::Adam => Box::new(Adam::on_heap(lr, count)),
    };
    // Room for parameters and gradients, and for the values of layers of 64 units for each row.
    let mut floats = vec![0.0; 2 * count + ROWS * 1024];
    let mut nodes = [const { Node::EMPTY }; 32];
    let tape = Tape::new(&mut floats, &mut nodes);
    let mut fit = Fit::new(&tape, data, ROWS, &mut [], |x| curve.record(x, &start))?.epochs(epochs);
    let reason = loop {
        match fit.poll(&mut *optimizer)? {
            Poll::Running => {}
            Poll::Stopped(reason) => break reason,
        }
    };
    let loss = fit.losses().training;
    if reason == Reason::Diverged {
        return Err(format!(
            "diverged, loss {:?} after {} epochs: expected a smaller learning rate",
            in_units(loss),
            fit.epoch()
        )
        .into());
    }
    Ok(Fitted {
        params: tape.params()?.to_vec(),
        epochs,
        loss,
        reason: reason.to_string(),
    })
}

/// The checksum at the end of a record.
fn checksum(record: &[u8]) -> u32 {
    record
        .last_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Parses the name of a curve; also accepts `poly3` and `mlp 8`.
fn curve(text: &str) -> Result<Curve, Box<dyn Error>> {
    let spelled = text.replace(' ', ":");
    let joined = spelled
        .strip_prefix("poly")
        .map(|degree| format!("poly:{degree}"));
    let curve = Curve::parse_with(&spelled, &FORMULAS).or_else(|| Curve::parse(&joined?));
    curve.ok_or_else(|| {
        let formulas = FORMULAS.map(|formula| formula.name()).join(", ");
        format!(
            "expected linear, poly:1 to poly:12, or mlp:<units> as model, found '{text}'; there are {formulas} as well"
        )
        .into()
    })
}

/// A method of fitting.
#[derive(Clone, Copy)]
enum Method {
    /// Least squares.
    Lm,
    /// Gradient descent, with an optimizer and its learning rate.
    Descent(Kind, f32),
}

/// An optimizer.
#[derive(Clone, Copy)]
enum Kind {
    Sgd,
    Adam,
}

impl Kind {
    /// The name in the board's commands.
    fn name(self) -> &'static str {
        match self {
            Kind::Sgd => "sgd",
            Kind::Adam => "adam",
        }
    }
}

fn method(curve: &Curve, text: Option<&str>) -> Result<Method, Box<dyn Error>> {
    let is_network = matches!(curve, Curve::Mlp { .. });
    let is_function = matches!(curve, Curve::Function(_));
    let text = match text {
        Some(text) => text,
        None if is_network => "sgd 0.1",
        None => "lm",
    };
    let (kind, lr) = text.split_once(' ').unwrap_or((text, ""));
    let lr = lr
        .parse()
        .ok()
        .filter(|lr| f32::is_finite(*lr) && *lr > 0.0);
    let method = match (kind, lr) {
        ("lm", None) if text == "lm" => Method::Lm,
        ("sgd", Some(lr)) => Method::Descent(Kind::Sgd, lr),
        ("adam", Some(lr)) => Method::Descent(Kind::Adam, lr),
        _ => {
            return Err(format!(
                "expected 'sgd <lr>' or 'adam <lr>' as optimizer, with a finite <lr> above 0, found '{text}'; lm takes none"
            )
            .into());
        }
    };
    match method {
        Method::Lm if is_network => {
            Err(format!("expected 'sgd <lr>' or 'adam <lr>' for {curve}, found '{text}'").into())
        }
        Method::Descent(..) if is_function => {
            Err(format!("expected lm for {curve}, found '{text}'").into())
        }
        method => Ok(method),
    }
}

fn epochs(text: &str) -> Result<u32, Box<dyn Error>> {
    let epochs = text.parse().ok();
    let epochs = epochs.filter(|epochs| (1..=MAX_EPOCHS).contains(epochs));
    epochs.ok_or_else(|| format!("expected 1 to {MAX_EPOCHS} epochs, found '{text}'").into())
}
