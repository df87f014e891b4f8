//! The commands and their answers.
//!
//! Every answer ends with a line that begins with `ok` or `error: `, so that a
//! program knows when to send the next line. Computed numbers come with
//! their bits, `12.7:414b3333`.

mod report;
mod settings;
mod status;
mod transfer;

use baregrad::calibrate::{
    Approximate, Calibration, Curve, MAX_DEGREE, PredictError, Prediction, Tracking, TwoFloat,
};
use baregrad::{Tape, Usage};

use crate::board::Board;
use crate::console::{Number, put, say};
use crate::failure::Failure;
use crate::kept::{FORMULAS, MAX_PARAMS, read};
use crate::line::{Damaged, Line};
use crate::memory::{Memory, Records, Samples, Scratch};
use crate::plan::{MAX_EPOCHS, Method, Plan};
use crate::store::{Store, StoreError};
use crate::tracking::{self, MANY};
use crate::training::{self, End, FEW, Fitted};

/// Epochs that `bench` counts.
const BENCH_EPOCHS: u32 = 10;

/// The syntax of the commands that choose an optimizer and a schedule.
const OPTIMIZER: &str = "optimizer <name> <lr> [option[=value]]...";
const SCHEDULE: &str = "schedule off|<name> [option[=value]]...";

/// The syntax of each command, which `help` and errors print, and the description for `help`.
const COMMANDS: [(&str, &str); 21] = [
    ("help", "this list"),
    ("add <reading> <reference>", "keep a sample"),
    (
        "sample <reference>",
        "read the board's sensor, keep a sample",
    ),
    ("list", "the samples, and how far results are off"),
    ("remove <n>", "forget a sample"),
    ("clear", "forget the samples"),
    ("model linear|poly:<degree>|mlp:<units>", "what to fit"),
    (
        "model steinhart-hart|exp|power|logistic",
        "or a function of the reading",
    ),
    ("method lm|descent", "by least squares, or gradient descent"),
    (OPTIMIZER, "how to descend"),
    (SCHEDULE, "how its rate goes"),
    (
        "fit [epochs]",
        "learn from the samples, until stop or Ctrl-C",
    ),
    ("read <reading>", "calibrate a reading"),
    (tracking::USAGE, "let the calibration follow samples"),
    ("save", "keep the calibration through power cuts"),
    ("load", "use the saved calibration"),
    ("erase", "forget the saved calibration"),
    ("get", "the calibration, as lines for put"),
    ("put <offset> <hex>", "use a calibration of elsewhere"),
    ("status", "what there is"),
    ("bench", "what an epoch takes"),
];

/// The firmware: a board, samples, and the calibration in use.
pub struct Calibrator<'m, B: Board> {
    board: B,
    line: Line,
    samples: Samples<'m>,
    scratch: Scratch<'m>,
    plan: Plan,
    records: &'m mut Records,
    origin: Origin,
    /// The use of the arena in the last fit by gradient descent.
    usage: Option<Usage>,
    /// The number of starts of the firmware.
    boots: Result<u32, StoreError>,
}

/// The origin of the calibration in use.
#[derive(Clone, Copy, Debug)]
enum Origin {
    None,
    /// The last `fit`.
    Fitted,
    /// Flash.
    Loaded,
    /// The serial line.
    Put,
    /// One of these, and it follows samples.
    Tracking,
    /// The same, after `track off`.
    Tracked,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Origin::None => "none",
            Origin::Fitted => "fitted",
            Origin::Loaded => "loaded",
            Origin::Put => "put",
            Origin::Tracking => "tracking",
            Origin::Tracked => "tracked",
        }
    }
}

impl<'m, B: Board> Calibrator<'m, B> {
    /// Counts the start of the firmware, and loads the saved calibration if there is one.
    pub fn new<const SAMPLES: usize, const FLOATS: usize, const OPTIONS: usize>(
        mut board: B,
        memory: &'m mut Memory<SAMPLES, FLOATS, OPTIONS>,
    ) -> Self {
        let (samples, scratch, records) = memory.split();
        let boots = store(&mut board).and_then(|mut store| store.boot());
        let mut calibrator = Calibrator {
            board,
            line: Line::EMPTY,
            samples,
            scratch,
            plan: Plan::new(B::RULES),
            records,
            origin: Origin::None,
            usage: None,
            boots,
        };
        // It fails if none is stored, which the greeting reports.
        let _ = calibrator.load();
        calibrator
    }

    /// Greets, then answers lines forever.
    pub fn run(mut self) -> ! {
        self.greet();
        loop {
            self.board.feed();
            if let Some(byte) = self.board.receive() {
                self.take(byte);
            }
        }
    }

    /// Sends the version, the board's name and the saved calibration, in the form of an answer.
    pub fn greet(&mut self) {
        let version = env!("CARGO_PKG_VERSION");
        say!(
            self.board_mut(),
            "baregrad calibrator {version} on {}, try help",
            B::NAME
        );
        self.say_stored();
        say!(
            self.board_mut(),
            "a reset keeps what was saved; samples, model, optimizer and schedule are lost"
        );
        say!(self.board_mut(), "ok");
    }

    /// Takes a byte from the serial line, and answers if it ended a line.
    pub fn take(&mut self, byte: Result<u8, Damaged>) {
        if !self.line.push(byte) {
            return;
        }
        let line = self.line.take();
        let done = match line.text() {
            Ok(text) => self.answer(text),
            Err(error) => Err(error.into()),
        };
        match done {
            Ok(()) => {}
            Err(failure) => say!(self.board_mut(), "error: {failure}"),
        }
    }

    /// Returns the board, for tests.
    pub fn board_mut(&mut self) -> &mut B {
        &mut self.board
    }

    /// Runs the command of a line. A failure changes nothing, and sends nothing but the progress
    /// of a fit.
    #[inline(never)]
    fn answer(&mut self, text: &str) -> Result<(), Failure> {
        let mut words = text.split_ascii_whitespace();
        let Some(name) = words.next() else {
            return Ok(()); // An empty line has no answer.
        };
        let arguments = [words.next(), words.next(), words.next()];
        match (name, arguments) {
            ("help", [None, ..]) => {
                for (usage, does) in COMMANDS {
                    say!(self.board_mut(), "{usage:38} {does}");
                }
                say!(self.board_mut(), "ok");
            }
            ("add", [Some(reading), Some(reference), None]) => {
                let reading = number(reading, "reading")?;
                self.add(reading, number(reference, "reference")?)?;
            }
            ("sample", [Some(reference), None, _]) => {
                let reference = number(reference, "reference")?;
                let reading = self.board.sense().ok_or(Failure::NoSensor)?;
                self.add(reading.into(), reference)?;
            }
            ("list", [None, ..]) => self.list()?,
            ("remove", [Some(n), None, _]) => self.remove(n)?,
            ("clear", [None, ..]) => {
                self.untracked()?;
                self.samples.readings.clear();
                self.samples.references.clear();
                self.say_count();
            }
            ("model", [Some(kind), more, None]) => {
                let curve = curve(kind, more).ok_or(Failure::Curve)?;
                training::check(&curve, &mut self.scratch)?;
                self.plan.curve = curve;
                say!(self.board_mut(), "ok {curve}");
            }
            ("method", [Some(name), None, _]) => {
                let method = Method::parse(name).ok_or(Failure::Usage("method lm|descent"))?;
                self.plan.method = Some(method);
                say!(self.board_mut(), "ok {method}");
            }
            ("optimizer", [Some(name), Some(lr), _]) => {
                self.optimizer(name, lr, text)?;
            }
            ("schedule", [Some(name), ..]) => self.schedule(name, text)?,
            ("fit", [epochs, None, _]) => {
                let epochs = match epochs {
                    Some(epochs) => epochs
                        .parse()
                        .ok()
                        .filter(|epochs| (1..=MAX_EPOCHS).contains(epochs))
                        .ok_or(Failure::Epochs { most: MAX_EPOCHS })?,
                    None => self.plan.epochs,
                };
                self.fit(epochs)?;
            }
            ("read", [Some(reading), None, _]) => self.read(number(reading, "reading")?)?,
            ("track", [what, a, b]) => self.track(what, [a, b])?,
            ("save", [None, ..]) => {
                self.in_use()?;
                store(&mut self.board)?.save(&self.records.current)?;
                self.say_checksum();
            }
            ("load", [None, ..]) => {
                self.untracked()?;
                self.load()?;
                self.say_checksum();
            }
            ("erase", [None, ..]) => {
                store(&mut self.board)?.erase()?;
                say!(self.board_mut(), "ok");
            }
            ("get", [None, ..]) => self.get()?,
            ("put", [Some(offset), Some(hex), None]) => self.put(offset, hex)?,
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

    #[inline(never)]
    fn add(&mut self, reading: TwoFloat, reference: TwoFloat) -> Result<(), Failure> {
        if let Origin::Tracking = self.origin {
            let sample = [reading, reference];
            let (board, kept) = (&mut self.board, &mut self.records.current);
            return if B::SOLVED > FEW {
                tracking::take::<B, MANY>(board, kept, &mut self.scratch, sample)
            } else {
                tracking::take::<B, FEW>(board, kept, &mut self.scratch, sample)
            };
        }
        let Samples {
            readings,
            references,
        } = &mut self.samples;
        let full = Failure::Full {
            capacity: readings.capacity(),
        };
        for (numbers, x, what) in [
            (&*readings, reading, "reading"),
            (&*references, reference, "reference"),
        ] {
            let first = numbers.get(0).unwrap_or(x);
            if !x.difference(first).is_finite() {
                return Err(Failure::Apart(what));
            }
        }
        // Both have the same length and capacity, so they fail together.
        if readings.push(reading).is_err() || references.push(reference).is_err() {
            return Err(full);
        }
        self.say_count();
        Ok(())
    }

    #[inline(never)]
    fn remove(&mut self, n: &str) -> Result<(), Failure> {
        let count = self.samples.readings.len();
        let n = n.parse().ok().filter(|n| (1..=count).contains(n));
        let index = n.ok_or(Failure::NoSample { count })? - 1;
        self.samples.readings.remove(index);
        self.samples.references.remove(index);
        self.say_count();
        Ok(())
    }

    fn say_count(&mut self) {
        let count = self.samples.readings.len();
        say!(self.board_mut(), "ok {count}");
    }

    /// Sends the samples, each with the result of the calibration in use less the reference.
    #[inline(never)]
    fn list(&mut self) -> Result<(), Failure> {
        let mut params = [0.0; MAX_PARAMS];
        let calibration = self.in_use().and_then(|()| {
            let read = self.records.current.read(&mut params);
            read.map_err(Failure::from)
        });
        let Samples {
            readings,
            references,
        } = &self.samples;
        for i in 0..readings.len() {
            let (Some(reading), Some(reference)) = (readings.written(i), references.written(i))
            else {
                break;
            };
            put!(&mut self.board, "{} {reading} {reference}", i + 1);
            if let Ok(calibration) = &calibration
                && let Ok(found) = predict(calibration, &mut self.scratch, reading.value)
            {
                let off = found.value.difference(reference.value);
                put!(&mut self.board, " off={}", Number::Single(off));
            }
            self.board.send(b"\r\n");
        }
        self.say_count();
        Ok(())
    }

    #[inline(never)]
    fn read(&mut self, reading: TwoFloat) -> Result<(), Failure> {
        self.in_use()?;
        let mut params = [0.0; MAX_PARAMS];
        let calibration = self.records.current.read(&mut params)?;
        let Prediction { value, is_inside } = predict(&calibration, &mut self.scratch, reading)?;
        let value = Number::in_unit_of(&calibration.output, value);
        put!(&mut self.board, "ok {value}");
        if !is_inside {
            let off = calibration.range_is_off_by();
            let [low, high] = calibration.range.map(|value| Approximate { value, off });
            put!(
                &mut self.board,
                ", outside of what was fitted, {low} to {high}"
            );
        }
        self.board.send(b"\r\n");
        Ok(())
    }

    /// Starts or ends tracking, and sends its state.
    #[inline(never)]
    fn track(&mut self, what: Option<&str>, more: [Option<&str>; 2]) -> Result<(), Failure> {
        let is_tracking = matches!(self.origin, Origin::Tracking);
        match (what, more) {
            (Some("on"), [forgetting, sigma]) => {
                self.in_use()?;
                let mut options = Tracking::default();
                if let Some(forgetting) = forgetting {
                    options.forgetting = number(forgetting, "forgetting")?.high();
                }
                if let Some(sigma) = sigma {
                    options.sigma = Some(number(sigma, "sigma")?.high());
                }
                if is_tracking {
                    return Err(Failure::Tracking);
                }
                let (kept, scratch) = (&self.records.current, &mut self.scratch);
                if B::SOLVED > FEW {
                    tracking::begin::<MANY>(kept, &self.samples, scratch, options)?;
                } else {
                    tracking::begin::<FEW>(kept, &self.samples, scratch, options)?;
                }
                self.origin = Origin::Tracking;
            }
            (Some("off"), [None, None]) if !is_tracking => return Err(Failure::NotTracking),
            (Some("off"), [None, None]) => self.origin = Origin::Tracked,
            (None, _) => {}
            _ => return Err(Failure::Usage(tracking::USAGE)),
        }
        let (board, kept) = (&mut self.board, &self.records.current);
        match self.origin {
            Origin::Tracking if B::SOLVED > FEW => {
                tracking::say_state::<B, MANY>(board, kept, &mut self.scratch)?;
            }
            Origin::Tracking => tracking::say_state::<B, FEW>(board, kept, &mut self.scratch)?,
            _ => say!(board, "ok not tracking"),
        }
        Ok(())
    }

    /// Checks that tracking is off, so that the calibration in use, the samples and the memory of
    /// fits may be replaced.
    ///
    /// # Errors
    /// Tracking is on.
    fn untracked(&self) -> Result<(), Failure> {
        match self.origin {
            Origin::Tracking => Err(Failure::Tracking),
            _ => Ok(()),
        }
    }

    /// Fits, and sends the result. Two functions do this one after the other, because the stack
    /// has no room for the frames of both.
    #[inline(never)]
    fn fit(&mut self, epochs: u32) -> Result<(), Failure> {
        let fitted = self.train(epochs, true)?;
        self.say_fitted(&fitted)
    }

    /// Fits, and keeps the result if `used`.
    #[inline(never)]
    fn train(&mut self, epochs: u32, used: bool) -> Result<Fitted, Failure> {
        self.untracked()?;
        let plan = Plan {
            epochs,
            ..self.plan
        };
        let fitted = training::fit(
            &plan,
            &self.samples,
            &mut self.scratch,
            &mut self.board,
            &mut self.line,
            used.then_some(&mut self.records.current),
        )?;
        if used {
            self.origin = Origin::Fitted;
        }
        if let (true, End::Descent(_, usage)) = (used, &fitted.end) {
            self.usage = Some(*usage);
        }
        Ok(fitted)
    }

    /// Measures the ticks of an epoch of gradient descent, or for a function of a pass of least
    /// squares.
    #[inline(never)]
    fn bench(&mut self) -> Result<(), Failure> {
        let method = self.plan.method;
        if !matches!(self.plan.curve, Curve::Function(_)) {
            self.plan.method = Some(Method::Descent);
        }
        let fitted = self.train(1 + BENCH_EPOCHS, false);
        self.plan.method = method;
        let fitted = fitted?;
        // The ticks of gradient descent are those of all epochs but the first, and of a last pass
        // that computes the loss, which lacks only the update.
        let epochs = fitted.epochs.max(1);
        let ticks = fitted.ticks / u64::from(epochs);
        let (_, unit) = self.board.ticks();
        say!(self.board_mut(), "ok {ticks} {unit} per epoch");
        Ok(())
    }

    #[inline(never)]
    fn load(&mut self) -> Result<(), Failure> {
        let (scratch, current) = (&mut self.scratch, &mut self.records.current);
        let checked = store(&mut self.board)?.look(&mut |stored| {
            let checked = check(stored, scratch);
            if checked.is_ok() {
                current.copy_from(stored)?;
            }
            Ok(checked)
        })?;
        checked?;
        self.origin = Origin::Loaded;
        Ok(())
    }

    fn say_checksum(&mut self) {
        let checksum = self.records.current.checksum();
        say!(self.board_mut(), "ok crc={checksum:08x}");
    }

    /// Checks that a calibration is in use.
    ///
    /// # Errors
    /// None is in use.
    fn in_use(&self) -> Result<(), Failure> {
        match self.origin {
            Origin::None => Err(Failure::NoCalibration),
            _ => Ok(()),
        }
    }
}

/// Checks that a record is valid and that there is room for its curve.
#[inline(never)]
fn check(record: &[u8], scratch: &mut Scratch<'_>) -> Result<(), Failure> {
    let mut params = [0.0; MAX_PARAMS];
    let calibration = read(record, &mut params)?;
    let [low, _] = calibration.range;
    match predict(&calibration, scratch, low) {
        Err(PredictError::Tape(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Returns the result of a calibration for a reading.
#[inline(never)]
fn predict(
    calibration: &Calibration<'_>,
    scratch: &mut Scratch<'_>,
    reading: TwoFloat,
) -> Result<Prediction, PredictError> {
    let none = PredictError::NotFinite { found: f32::NAN };
    scratch.with_arena(Err(none), |floats, nodes| {
        calibration.predict(&Tape::new(floats, nodes), reading)
    })
}

fn store<B: Board>(board: &mut B) -> Result<Store<'_, B::Flash>, StoreError> {
    Store::new(board.flash(), B::PAGES)
}

fn number(text: &str, what: &'static str) -> Result<TwoFloat, Failure> {
    text.parse().map_err(Failure::number(what))
}

/// Parses the name of a curve; also in the spellings `poly3`, `poly 3` and `mlp 8`.
fn curve(kind: &str, more: Option<&str>) -> Option<Curve> {
    let degree = |text: &str| {
        let degree = text.parse().ok()?;
        (1..=MAX_DEGREE)
            .contains(&degree)
            .then_some(Curve::Poly(degree))
    };
    match (kind, more) {
        ("poly", Some(text)) => degree(text),
        ("mlp", Some(units)) => Curve::mlp(&[units.parse().ok()?], 0),
        (_, Some(_)) => None,
        (name, None) => {
            Curve::parse_with(name, &FORMULAS).or_else(|| degree(name.strip_prefix("poly")?))
        }
    }
}
