//! The commands and their answers.
//!
//! Every answer ends with a line that begins with `ok` or `error: `, so that a
//! program knows when to send the next line. Computed numbers come with
//! their bits, `12.7:414b3333`.

use baregrad::calibrate::{
    Approximate, Calibration, Curve, MAX_DEGREE, PredictError, Prediction, RecordError, Scaling,
    Tracking, TwoFloat,
};
use baregrad::{Tape, Usage};

use crate::board::{Board, Damaged, Memory, Records, Samples};
use crate::failure::Failure;
use crate::kept::{FORMULAS, MAX_BYTES, MAX_PARAMS, Name, read};
use crate::line::{Line, Number, put, say};
use crate::options::Options;
use crate::rule::{RateSchedule, Rule, Setting, Whose};
use crate::store::{COPIES, Store, StoreError};
use crate::tracking::{self, MANY};
use crate::training::{self, End, Errors, FEW, Fitted, MAX_EPOCHS, Method, Plan, Scratch};

/// Epochs that `bench` counts.
const BENCH_EPOCHS: u32 = 10;
/// Bytes of a record in a line of `get`.
const BYTES_A_LINE: usize = 24;

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
                        .ok_or(Failure::Epochs)?,
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

    /// Chooses an optimizer, after a trial step with its options and the schedule.
    #[inline(never)]
    fn optimizer(&mut self, name: &str, lr: &str, text: &str) -> Result<(), Failure> {
        let rule = Rule::find(B::RULES, name).ok_or(Failure::Rule(B::RULES))?;
        let lr = number(lr, "lr").map_or(0.0, TwoFloat::high);
        if lr <= 0.0 {
            return Err(Failure::LearningRate);
        }
        // Firmware without schedules has no options either, and does not link the code that reads
        // them.
        if B::SCHEDULES.is_empty() {
            if text.split_ascii_whitespace().nth(3).is_some() {
                return Err(Failure::Options(&[]));
            }
        } else {
            let options = options(text, 3);
            let texts = &mut self.scratch.texts;
            let setting = Setting {
                rule,
                lr,
                options,
                ..self.plan.setting::<B>(texts)
            };
            setting.check()?;
            texts.set(Whose::Optimizer, options);
        }
        (self.plan.rule, self.plan.lr) = (rule, lr);
        self.plan.method = Some(Method::Descent);
        put!(&mut self.board, "ok ");
        self.say_setting(Whose::Optimizer);
        Ok(())
    }

    /// Chooses a schedule, after a trial step with the optimizer; `off` chooses none.
    #[inline(never)]
    fn schedule(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        let is_off = name == "off" && text.split_ascii_whitespace().nth(2).is_none();
        if B::SCHEDULES.is_empty() {
            if !is_off {
                return Err(Failure::Schedule(&[]));
            }
            say!(&mut self.board, "ok off");
            return Ok(());
        }
        let options = options(text, 2);
        let found = RateSchedule::find(B::SCHEDULES, name);
        let texts = &mut self.scratch.texts;
        match found {
            None if is_off => self.plan.schedule = None,
            None => return Err(Failure::Schedule(B::SCHEDULES)),
            Some(schedule) => {
                let setting = Setting {
                    schedule: Some((schedule, options)),
                    ..self.plan.setting::<B>(texts)
                };
                setting.check()?;
                texts.set(Whose::Schedule, options);
                self.plan.schedule = found;
                self.plan.method = Some(Method::Descent);
            }
        }
        put!(&mut self.board, "ok ");
        self.say_setting(Whose::Schedule);
        Ok(())
    }

    /// Sends the optimizer or the schedule with its options, in the syntax of the command.
    #[inline(never)]
    fn say_setting(&mut self, whose: Whose) {
        let Plan {
            rule, lr, schedule, ..
        } = self.plan;
        let board = &mut self.board;
        if B::SCHEDULES.is_empty() {
            return say!(board, "{rule} {}", Number::Single(lr));
        }
        match (whose, schedule) {
            (Whose::Optimizer, _) => put!(board, "{rule} {}", Number::Single(lr)),
            (Whose::Schedule, Some(schedule)) => put!(board, "{schedule}"),
            (Whose::Schedule, None) => return say!(board, "off"),
        }
        let options = self.scratch.texts.get(whose).0;
        if !options.is_empty() {
            put!(board, " {options}");
        }
        board.send(b"\r\n");
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

    #[inline(never)]
    fn say_fitted(&mut self, fitted: &Fitted) -> Result<(), Failure> {
        let mut params = [0.0; MAX_PARAMS];
        let calibration = self.records.current.read(&mut params)?;
        let board = &mut self.board;
        let loss = Number::Single(calibration.origin.loss);
        put!(board, "fit loss={loss} epochs={}", fitted.epochs);
        say_coefficients(board, &calibration);
        say!(board, " crc={:08x}", self.records.current.checksum());
        say_scaled(board, &calibration);
        for (what, scale, farthest) in [
            ("readings", calibration.input, calibration.range),
            (
                "references",
                calibration.output,
                [calibration.output.offset; 2],
            ),
        ] {
            let lost = farthest.iter().filter_map(|x| scale.lost(*x));
            if let Some(step) = lost.reduce(f32::max) {
                say!(
                    board,
                    "{what} lose digits, in steps of {}: take an origin off before you send them",
                    Number::Single(step)
                );
            }
        }
        match &fitted.end {
            End::Descent(reason, _) => say!(board, "{reason}"),
            End::Lm(status) => {
                say_errors(board, &calibration, &self.scratch.errors);
                say!(board, "{status}");
            }
        }
        say!(board, "ok");
        Ok(())
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

    /// Sends the record of the calibration in use, as lines of the command `put` for another board.
    #[inline(never)]
    fn get(&mut self) -> Result<(), Failure> {
        self.in_use()?;
        let chunks = self.records.current.bytes().chunks(BYTES_A_LINE);
        for (i, chunk) in chunks.enumerate() {
            put!(&mut self.board, "put {} ", i * BYTES_A_LINE);
            for byte in chunk {
                put!(&mut self.board, "{byte:02x}");
            }
            self.board.send(b"\r\n");
        }
        self.say_checksum();
        Ok(())
    }

    /// Takes bytes of a record. With the last of them the calibration is in use, if the record is
    /// valid and there is room for its curve.
    #[inline(never)]
    fn put(&mut self, offset: &str, hex: &str) -> Result<(), Failure> {
        self.untracked()?;
        let expected = self.records.incoming.bytes().len();
        let begins = offset == "0";
        let goes_on = offset.parse() == Ok(expected);
        if !begins && !goes_on {
            return Err(Failure::Offset { expected });
        }
        let mut bytes = [0; crate::MAX_LINE / 2];
        let mut count = 0;
        for (digits, to) in hex.as_bytes().chunks(2).zip(&mut bytes) {
            *to = byte(digits).ok_or(Failure::Hex)?;
            count += 1;
        }
        if begins {
            self.records.incoming.clear();
        }
        let added = self
            .records
            .incoming
            .push(bytes.get(..count).unwrap_or_default());
        let checked = check(self.records.incoming.bytes(), &mut self.scratch);
        if let Err(Failure::Record(RecordError::Length { expected, found })) = checked
            && added.is_ok()
            && found < expected
            && expected <= MAX_BYTES
        {
            say!(self.board_mut(), "ok {found} of {expected} bytes");
            return Ok(());
        }
        let Records { current, incoming } = &mut *self.records;
        match checked {
            Err(Failure::Record(RecordError::Length { expected, .. })) if expected > MAX_BYTES => {
                incoming.clear();
                return Err(Failure::Long { found: expected });
            }
            Err(failure) => {
                incoming.clear();
                return Err(failure);
            }
            Ok(()) => {}
        }
        current.copy_from(incoming.bytes())?;
        incoming.clear();
        self.origin = Origin::Put;
        self.say_checksum();
        Ok(())
    }

    #[inline(never)]
    fn status(&mut self) {
        let board = &mut self.board;
        let [count, capacity] = [
            self.samples.readings.len(),
            self.samples.readings.capacity(),
        ];
        say!(board, "board {}", B::NAME);
        match self.boots {
            Ok(boots) => say!(board, "boots {boots}"),
            Err(error) => say!(board, "boots not counted: {error}"),
        }
        say!(board, "samples {count} of {capacity}");
        say!(board, "model {}", self.plan.curve);
        match self.plan.method::<B>() {
            Ok(method) => say!(board, "method {method}"),
            Err(error) => say!(board, "method of no use: {error}"),
        }
        put!(board, "optimizer ");
        self.say_setting(Whose::Optimizer);
        let board = &mut self.board;
        match B::SCHEDULES {
            [] => say!(board, "schedule off, {}", Failure::Schedule(&[])),
            _ => {
                put!(board, "schedule ");
                self.say_setting(Whose::Schedule);
            }
        }
        let board = &mut self.board;
        match self.origin {
            Origin::None => say!(board, "calibration none"),
            origin => match Name::of(self.records.current.bytes()) {
                Ok(name) => say!(board, "calibration {} {name}", origin.name()),
                Err(error) => say!(board, "calibration {error}"),
            },
        }
        self.say_stored();
        let board = &mut self.board;
        match self.usage {
            Some(usage) => say!(board, "arena {usage}"),
            None => say!(board, "arena of {} floats", self.scratch.floats),
        }
        if let Some(ram) = board.ram() {
            say!(board, "ram {} of {} bytes", ram.used, ram.total);
        }
        say!(board, "ok");
    }

    /// Sends the name of the saved calibration, or the reason why there is none.
    #[inline(never)]
    fn say_stored(&mut self) {
        match store(&mut self.board).and_then(|mut store| store.look(&mut Name::of)) {
            Ok(stored) => {
                put!(&mut self.board, "stored {stored}");
                // A start of the firmware repairs damage, so a page that still lags is worn out.
                let copies = store(&mut self.board).and_then(|mut store| store.whole_copies());
                if let Ok(copies) = copies
                    && copies < COPIES
                {
                    put!(&mut self.board, " in {copies} of {COPIES} copies");
                }
                self.board.send(b"\r\n");
            }
            Err(StoreError::Empty) => say!(self.board_mut(), "stored none"),
            Err(error) => say!(self.board_mut(), "stored nothing of use: {error}"),
        }
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

/// Sends the coefficients of the unscaled reading, if a formula with them has six digits.
#[inline(never)]
fn say_coefficients<B: Board>(board: &mut B, calibration: &Calibration<'_>) {
    if let Curve::Function(formula) = calibration.curve {
        for (name, p) in formula.parameters().iter().zip(calibration.params) {
            put!(board, " {name}={}", Number::Single(*p));
        }
        return;
    }
    let Some([b, weights @ ..]) = calibration.coefficients() else {
        return;
    };
    let degree = calibration.curve.inputs();
    for (power, w) in (1..=degree).zip(weights) {
        let w = Number::Single(w);
        match degree {
            1 => put!(board, " w={w}"),
            _ => put!(board, " w{power}={w}"),
        }
    }
    put!(board, " b={}", Number::Single(b));
}

/// Sends the standard errors of the coefficients, and the standard deviation of the residuals.
#[inline(never)]
fn say_errors<B: Board>(board: &mut B, calibration: &Calibration<'_>, errors: &Errors) {
    let Errors {
        coefficients,
        deviation,
        freedom,
    } = errors;
    if *freedom == 0 {
        return say!(
            board,
            "no standard errors: as many samples as the model has coefficients"
        );
    }
    if let Some(errors) = coefficients {
        put!(board, "errors");
        let count = calibration.params.len();
        let names = match calibration.curve {
            Curve::Function(formula) => formula.parameters(),
            _ => &[],
        };
        let is_scaled = names.is_empty() && !calibration.has_coefficients();
        // Coefficients of the unscaled reading are sent in the order of `say_coefficients`, in
        // which the constant is last.
        for i in 0..count {
            let power = match (names.is_empty(), is_scaled) {
                (true, false) => (i + 1) % count,
                _ => i,
            };
            put!(board, " ");
            match (names.get(i), power) {
                (Some(name), _) => put!(board, "{name}"),
                (None, power) if is_scaled => put!(board, "c{power}"),
                (None, 0) => put!(board, "b"),
                (None, 1) if count == 2 => put!(board, "w"),
                (None, power) => put!(board, "w{power}"),
            }
            let error = errors.get(power).copied().unwrap_or(f32::NAN);
            put!(board, "+-{}", Number::Single(error));
        }
        board.send(b"\r\n");
    }
    let deviation = Number::Single(*deviation);
    say!(
        board,
        "residuals sigma={deviation} with {freedom} degrees of freedom"
    );
}

/// Sends the scale of readings, and the coefficients of the scaled reading.
#[inline(never)]
fn say_scaled<B: Board>(board: &mut B, calibration: &Calibration<'_>) {
    let Calibration {
        curve,
        input,
        output,
        ..
    } = calibration;
    let Some(coefficients) = calibration.scaled_coefficients() else {
        return;
    };
    let [centre, spread] = match curve.scaling() {
        Scaling::Standard => ["mean", "deviation"],
        _ => ["middle", "halfrange"],
    };
    let offset = Number::added_to(input.offset, input.spread());
    let deviation = Number::Single(input.spread());
    put!(board, "scaled {centre}={offset} {spread}={deviation}");
    for (power, c) in coefficients
        .into_iter()
        .enumerate()
        .take(curve.inputs() + 1)
    {
        let c = Number::added_to(c, output.spread());
        put!(board, " c{power}={c}");
    }
    board.send(b"\r\n");
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

/// Returns the options behind the first `words` words of a line.
fn options(text: &str, words: usize) -> Options<'_> {
    let mut rest = text.trim_ascii();
    for _ in 0..words {
        let end = rest.find([' ', '\t']).unwrap_or(rest.len());
        rest = rest.get(end..).unwrap_or_default().trim_ascii_start();
    }
    Options(rest)
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

/// Parses a byte of two hexadecimal digits.
fn byte(digits: &[u8]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    match *digits {
        [high, low] => Some((16 * digit(high)? + digit(low)?) as u8),
        _ => None,
    }
}
