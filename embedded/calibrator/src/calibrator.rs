//! Lines in, answers out.
//!
//! Every answer ends with a line that begins with `ok` or `error: `, so that a
//! program knows when to send the next. Numbers that were computed come with
//! their bits, `12.7:414b3333`.

use core::fmt::{self, Write};

use baregrad::{Error, Usage};

use crate::board::{Board, Damaged, Memory};
use crate::calibration::{Calibration, MAX_HIDDEN, Model};
use crate::fit::{self, FitError, MAX_EPOCHS, Method, Plan, Sample, Scratch};
use crate::store::{COPIES, Store, StoreError};

/// The most bytes of a line, its end not counted.
pub const MAX_LINE: usize = 64;
/// Epochs that `bench` counts.
const BENCH_EPOCHS: u32 = 10;

/// How a command is written, which `help` and errors tell, and what it does.
const COMMANDS: [(&str, &str); 14] = [
    ("help", "this list"),
    ("add <reading> <reference>", "keep a sample"),
    (
        "sample <reference>",
        "read the board's sensor, keep a sample",
    ),
    ("list", "the samples"),
    ("clear", "forget the samples"),
    ("model linear|poly2|poly3|mlp <hidden>", "what to fit"),
    ("optimizer sgd|adam <lr>", "how to fit it"),
    ("fit [epochs]", "learn from the samples"),
    ("read <reading>", "calibrate a reading"),
    ("save", "keep the calibration through power cuts"),
    ("load", "use the saved calibration"),
    ("erase", "forget the saved calibration"),
    ("status", "what there is"),
    ("bench", "what an epoch takes"),
];

/// The firmware: a board, samples, and the calibration in use.
pub struct Calibrator<'m, B: Board> {
    board: B,
    line: Line,
    samples: &'m mut [Sample],
    /// How many of them there are.
    count: usize,
    scratch: Scratch<'m>,
    plan: Plan,
    /// In use, and whether it is the one of the last `fit` or that in flash.
    current: Option<(Calibration, Origin)>,
    /// What the last fit took of the arena.
    usage: Option<Usage>,
    /// How often the firmware has started.
    boots: Result<u32, StoreError>,
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    Fitted,
    Loaded,
}

/// Why a command did nothing.
enum Failure {
    /// The line is no command.
    Line(LineError),
    Unknown,
    /// How the command is written.
    Usage(&'static str),
    /// No finite number where this was expected.
    Number(&'static str),
    Hidden {
        most: usize,
    },
    LearningRate,
    Epochs,
    Full {
        capacity: usize,
    },
    NoSensor,
    NoCalibration,
    Fit(FitError),
    Store(StoreError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Line(LineError::TooLong) => {
                write!(f, "expected a line of at most {MAX_LINE} bytes")
            }
            Failure::Line(LineError::NotText) => f.write_str("expected a line of ASCII text"),
            Failure::Line(LineError::Damaged) => {
                f.write_str("expected 115200 baud 8N1 and a line at a time, bytes were lost")
            }
            Failure::Unknown => f.write_str("expected a command, help lists them"),
            Failure::Usage(usage) => write!(f, "expected {usage}"),
            Failure::Number(what) => write!(f, "expected a finite number as <{what}>"),
            Failure::Hidden { most } => write!(f, "expected 1 to {most} hidden units"),
            Failure::LearningRate => f.write_str("expected a finite <lr> above 0"),
            Failure::Epochs => write!(f, "expected 1 to {MAX_EPOCHS} epochs"),
            Failure::Full { capacity } => {
                write!(f, "expected at most {capacity} samples: clear them or fit")
            }
            Failure::NoSensor => f.write_str("expected a sensor that answers, there is none here"),
            Failure::NoCalibration => f.write_str("expected a calibration: fit or load first"),
            Failure::Fit(error) => error.fmt(f),
            Failure::Store(error) => error.fmt(f),
        }
    }
}

impl From<FitError> for Failure {
    fn from(error: FitError) -> Self {
        Failure::Fit(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Fit(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Store(error)
    }
}

/// Writes to the board's serial line.
struct Console<'b, B>(&'b mut B);

impl<B: Board> Write for Console<'_, B> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.send(text.as_bytes());
        Ok(())
    }
}

/// A line to the board's serial line. That cannot fail, as far as we know.
macro_rules! say {
    ($board:expr, $($format:tt)*) => {{
        let mut console = Console(&mut $board);
        let _ = console.write_fmt(format_args!($($format)*));
        let _ = console.write_str("\r\n");
    }};
}

/// A number and its bits: `12.7:414b3333`.
struct Bits(f32);

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{:08x}", self.0, self.0.to_bits())
    }
}

impl<'m, B: Board> Calibrator<'m, B> {
    /// Counts the start, and uses the saved calibration if there is one.
    pub fn new<const SAMPLES: usize, const FLOATS: usize>(
        mut board: B,
        memory: &'m mut Memory<SAMPLES, FLOATS>,
    ) -> Self {
        let (samples, scratch) = memory.split();
        let boots = store(&mut board).and_then(|mut store| store.boot());
        let found = store(&mut board).and_then(|mut store| store.load());
        Calibrator {
            board,
            line: Line::EMPTY,
            samples,
            count: 0,
            scratch,
            plan: Plan::DEFAULT,
            current: found.ok().map(|calibration| (calibration, Origin::Loaded)),
            usage: None,
            boots,
        }
    }

    /// Greets, then answers lines for ever.
    pub fn run(mut self) -> ! {
        self.greet();
        loop {
            let byte = self.board.receive();
            self.take(byte);
        }
    }

    /// Says who is there and what is saved, as an answer.
    pub fn greet(&mut self) {
        let version = env!("CARGO_PKG_VERSION");
        say!(
            self.board,
            "baregrad calibrator {version} on {}, try help",
            B::NAME
        );
        self.say_stored();
        say!(self.board, "ok");
    }

    /// Takes a byte from the line, and answers if it was the last of one.
    pub fn take(&mut self, byte: Result<u8, Damaged>) {
        if !self.line.push(byte) {
            return;
        }
        let line = core::mem::replace(&mut self.line, Line::EMPTY);
        let done = match line.text() {
            Ok(text) => self.answer(text),
            Err(error) => Err(Failure::Line(error)),
        };
        match done {
            Ok(()) => {}
            Err(failure) => say!(self.board, "error: {failure}"),
        }
    }

    /// The board, for tests to look at.
    pub fn board_mut(&mut self) -> &mut B {
        &mut self.board
    }

    /// Does what a line asks for. On failure nothing has changed, and nothing
    /// but progress was said.
    fn answer(&mut self, text: &str) -> Result<(), Failure> {
        let mut words = text.split_ascii_whitespace();
        let Some(name) = words.next() else {
            return Ok(()); // an empty line: a person looking whether we are there
        };
        let arguments = [words.next(), words.next(), words.next()];
        match (name, arguments) {
            ("help", [None, ..]) => {
                for (usage, does) in COMMANDS {
                    say!(self.board, "{usage:38} {does}");
                }
                say!(self.board, "ok");
            }
            ("add", [Some(reading), Some(reference), None]) => {
                let reading = number(reading, "reading")?;
                self.add(reading, number(reference, "reference")?)?;
            }
            ("sample", [Some(reference), None, _]) => {
                let reference = number(reference, "reference")?;
                let reading = self.board.sense().ok_or(Failure::NoSensor)?;
                self.add(reading, reference)?;
            }
            ("list", [None, ..]) => {
                for (i, sample) in self.samples.iter().take(self.count).enumerate() {
                    let Sample { reading, reference } = sample;
                    say!(self.board, "{} {reading:?} {reference:?}", i + 1);
                }
                say!(self.board, "ok {}", self.count);
            }
            ("clear", [None, ..]) => {
                self.count = 0;
                say!(self.board, "ok 0");
            }
            ("model", [Some(kind), hidden, None]) => {
                self.plan.model = self.model(kind, hidden)?;
                say!(self.board, "ok {}", self.plan.model);
            }
            ("optimizer", [Some(kind), Some(lr), None]) => {
                self.plan.method = method(kind, lr)?;
                say!(self.board, "ok {}", self.plan.method);
            }
            ("fit", [epochs, None, _]) => {
                let epochs = match epochs {
                    Some(epochs) => epochs
                        .parse()
                        .ok()
                        .filter(|epochs| (1..=MAX_EPOCHS).contains(epochs))
                        .ok_or(Failure::Epochs)?,
                    None => self.plan.epochs,
                };
                self.fit(epochs)?;
            }
            ("read", [Some(reading), None, _]) => {
                let reading = number(reading, "reading")?;
                let calibration = self.calibration()?;
                let value = fit::evaluate(&calibration, reading, &mut self.scratch)?;
                say!(self.board, "ok {}", Bits(value));
            }
            ("save", [None, ..]) => {
                let calibration = self.calibration()?;
                store(&mut self.board)?.save(&calibration)?;
                say!(self.board, "ok crc={:08x}", calibration.checksum());
            }
            ("load", [None, ..]) => {
                let calibration = store(&mut self.board)?.load()?;
                self.current = Some((calibration, Origin::Loaded));
                say!(self.board, "ok crc={:08x}", calibration.checksum());
            }
            ("erase", [None, ..]) => {
                store(&mut self.board)?.erase()?;
                say!(self.board, "ok");
            }
            ("status", [None, ..]) => self.status(),
            ("bench", [None, ..]) => self.bench()?,
            _ => {
                let usage = COMMANDS.iter().map(|(usage, _)| *usage);
                let mut known = usage.filter(|usage| usage.split(' ').next() == Some(name));
                return Err(known.next().map_or(Failure::Unknown, Failure::Usage));
            }
        }
        Ok(())
    }

    fn add(&mut self, reading: f32, reference: f32) -> Result<(), Failure> {
        let capacity = self.samples.len();
        let free = self.samples.get_mut(self.count);
        *free.ok_or(Failure::Full { capacity })? = Sample { reading, reference };
        self.count += 1;
        say!(self.board, "ok {}", self.count);
        Ok(())
    }

    fn model(&self, kind: &str, hidden: Option<&str>) -> Result<Model, Failure> {
        match (kind, hidden) {
            ("linear", None) => Ok(Model::Linear),
            ("poly2", None) => Ok(Model::Poly2),
            ("poly3", None) => Ok(Model::Poly3),
            ("mlp", Some(hidden)) => {
                let fits = |hidden: &usize| fit::floats(*hidden) <= self.scratch.floats.len();
                let most = (1..=MAX_HIDDEN).take_while(fits).last().unwrap_or(0);
                let hidden = hidden.parse().ok().filter(|hidden| *hidden <= most);
                hidden.and_then(Model::mlp).ok_or(Failure::Hidden { most })
            }
            _ => Err(Failure::Usage("model linear|poly2|poly3|mlp <hidden>")),
        }
    }

    fn fit(&mut self, epochs: u32) -> Result<(), Failure> {
        let plan = Plan {
            epochs,
            ..self.plan
        };
        let samples = self.samples.get(..self.count).unwrap_or_default();
        let board = &mut self.board;
        let fitted = fit::fit(&plan, samples, &mut self.scratch, &mut |epoch, loss| {
            say!(*board, "epoch {epoch} loss={}", Bits(loss));
        })?;
        let calibration = fitted.calibration;
        self.usage = Some(fitted.usage);
        self.current = Some((calibration, Origin::Fitted));

        let mut console = Console(&mut self.board);
        // A serial line does not fail.
        let _ = write!(console, "fit loss={} epochs={epochs}", Bits(fitted.loss));
        if let Some([b, weights @ ..]) = calibration.coefficients() {
            let degree = plan.model.degree();
            for (power, w) in (1..).zip(weights).take(degree) {
                let _ = match degree {
                    1 => write!(console, " w={}", Bits(w)),
                    _ => write!(console, " w{power}={}", Bits(w)),
                };
            }
            let _ = write!(console, " b={}", Bits(b));
        }
        say!(self.board, " crc={:08x}", calibration.checksum());
        say!(self.board, "ok");
        Ok(())
    }

    /// A fit of more epochs, and one of fewer: the difference is epochs. Before
    /// them one that warms up what caches there are.
    fn bench(&mut self) -> Result<(), Failure> {
        let samples = self.samples.get(..self.count).unwrap_or_default();
        let mut took = [0; 3];
        let (_, unit) = self.board.ticks();
        for (took, epochs) in took.iter_mut().zip([1, 1, 1 + BENCH_EPOCHS]) {
            let plan = Plan {
                epochs,
                ..self.plan
            };
            let (start, _) = self.board.ticks();
            fit::fit(&plan, samples, &mut self.scratch, &mut |_, _| {})?;
            let (end, _) = self.board.ticks();
            *took = end.saturating_sub(start);
        }
        let [_, one, more] = took;
        let ticks = more.saturating_sub(one) / u64::from(BENCH_EPOCHS);
        say!(self.board, "ok {ticks} {unit} per epoch");
        Ok(())
    }

    fn status(&mut self) {
        let (count, capacity) = (self.count, self.samples.len());
        say!(self.board, "board {}", B::NAME);
        match self.boots {
            Ok(boots) => say!(self.board, "boots {boots}"),
            Err(error) => say!(self.board, "boots not counted: {error}"),
        }
        say!(self.board, "samples {count} of {capacity}");
        say!(self.board, "model {}", self.plan.model);
        say!(self.board, "optimizer {}", self.plan.method);
        match self.current {
            Some((calibration, origin)) => {
                let origin = match origin {
                    Origin::Fitted => "fitted",
                    Origin::Loaded => "loaded",
                };
                let (model, crc) = (calibration.model, calibration.checksum());
                say!(self.board, "calibration {origin} {model} crc={crc:08x}");
            }
            None => say!(self.board, "calibration none"),
        }
        self.say_stored();
        match self.usage {
            Some(usage) => say!(self.board, "arena {usage}"),
            None => say!(self.board, "arena of {} floats", self.scratch.floats.len()),
        }
        if let Some(ram) = self.board.ram() {
            say!(self.board, "ram {} of {} bytes", ram.used, ram.total);
        }
        say!(self.board, "ok");
    }

    /// What `load` would find.
    fn say_stored(&mut self) {
        match store(&mut self.board).and_then(|mut store| store.load()) {
            Ok(stored) => {
                let (model, crc) = (stored.model, stored.checksum());
                // A start repairs damage: a page that stays behind is worn out.
                let copies = store(&mut self.board).and_then(|mut store| store.whole_copies());
                match copies {
                    Ok(copies) if copies < COPIES => say!(
                        self.board,
                        "stored {model} crc={crc:08x} in {copies} of {COPIES} copies"
                    ),
                    _ => say!(self.board, "stored {model} crc={crc:08x}"),
                }
            }
            Err(StoreError::Empty) => say!(self.board, "stored none"),
            Err(error) => say!(self.board, "stored nothing of use: {error}"),
        }
    }

    fn calibration(&self) -> Result<Calibration, Failure> {
        match self.current {
            Some((calibration, _)) => Ok(calibration),
            None => Err(Failure::NoCalibration),
        }
    }
}

fn store<B: Board>(board: &mut B) -> Result<Store<'_, B::Flash>, StoreError> {
    Store::new(board.flash(), B::PAGES)
}

fn number(text: &str, what: &'static str) -> Result<f32, Failure> {
    match text.parse() {
        Ok(x) if f32::is_finite(x) => Ok(x),
        _ => Err(Failure::Number(what)),
    }
}

fn method(kind: &str, lr: &str) -> Result<Method, Failure> {
    let lr = match lr.parse() {
        Ok(lr) if f32::is_finite(lr) && lr > 0.0 => lr,
        _ => return Err(Failure::LearningRate),
    };
    match kind {
        "sgd" => Ok(Method::Sgd { lr }),
        "adam" => Ok(Method::Adam { lr }),
        _ => Err(Failure::Usage("optimizer sgd|adam <lr>")),
    }
}

/// As the command that chooses it spells it.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Sgd { lr } => write!(f, "sgd {}", Bits(*lr)),
            Method::Adam { lr } => write!(f, "adam {}", Bits(*lr)),
        }
    }
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug)]
enum LineError {
    TooLong,
    NotText,
    Damaged,
}

/// A line as it comes in. What is wrong with it is told when it ends, once.
struct Line {
    bytes: [u8; MAX_LINE],
    len: usize,
    error: Option<LineError>,
}

impl Line {
    const EMPTY: Self = Line {
        bytes: [0; MAX_LINE],
        len: 0,
        error: None,
    };

    /// Takes a byte. Whether the line has ended; its end is no part of it.
    fn push(&mut self, byte: Result<u8, Damaged>) -> bool {
        match byte {
            Ok(b'\r' | b'\n') => return true,
            // Rubbed out, or so people at a terminal believe.
            Ok(0x08 | 0x7f) => self.len = self.len.saturating_sub(1),
            Ok(byte @ (b'\t' | b' '..=b'~')) => match self.bytes.get_mut(self.len) {
                Some(free) => {
                    *free = byte;
                    self.len += 1;
                }
                None => self.fail(LineError::TooLong),
            },
            Ok(_) => self.fail(LineError::NotText),
            Err(Damaged) => self.fail(LineError::Damaged),
        }
        false
    }

    fn fail(&mut self, error: LineError) {
        self.error.get_or_insert(error);
    }

    fn text(&self) -> Result<&str, LineError> {
        match self.error {
            Some(error) => Err(error),
            None => {
                let bytes = self.bytes.get(..self.len).unwrap_or_default();
                str::from_utf8(bytes).map_err(|_| LineError::NotText)
            }
        }
    }
}
