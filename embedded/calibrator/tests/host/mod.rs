//! A simulated board for tests on the host. It keeps the bytes that were sent, and has a flash
//! whose power can fail.

#![allow(dead_code, unreachable_pub)]

use std::collections::VecDeque;
use std::ops::Range;

use baregrad::Arena;
use baregrad::calibrate::{
    self, Calibration, Curve, Differences, Fit, Origin, Poll, ROWS, Scale, prepare, range,
};
use calibrator::{Board, Calibrator, Damaged, FLOATS, Kept, Memory, Ram};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// The readings and references of the thermometer in *Deep Learning with PyTorch*, chapter 5.
pub const THERMOMETER: [(f32, f32); 11] = [
    (35.7, 0.5),
    (55.9, 14.0),
    (58.2, 15.0),
    (81.9, 28.0),
    (56.3, 11.0),
    (48.9, 8.0),
    (33.9, 3.0),
    (21.8, -4.0),
    (48.4, 6.0),
    (60.4, 13.0),
    (68.4, 21.0),
];

/// Makes a calibration whose parameters depend on `number`.
pub fn calibration(number: u32, curve: &str) -> Kept {
    let curve = Curve::parse(curve).expect("a curve");
    let params = (0..curve.param_count()).map(|i| number as f32 * 1.37 + i as f32 / 3.0);
    let params: Vec<f32> = params.collect();
    let scale = Scale {
        offset: (number as f32).into(),
        factor: 1.0,
    };
    let calibration = Calibration {
        curve,
        input: scale,
        output: scale,
        range: [0.0.into(), 1.0.into()],
        params: &params,
        origin: Origin::default(),
    };
    Kept::write(&calibration).expect("room for it")
}

/// Flash in RAM. Erasing sets all bits of a page, writing clears bits of words. A word may be
/// written once, except that zeros may be written over anything, as on real flash.
///
/// Power can be set to fail after a number of bytes, even in the middle of a word. All calls fail
/// then until it is back.
#[derive(Clone)]
pub struct Flash<const WORD: usize, const PAGE: usize> {
    pub bytes: Vec<u8>,
    /// Bytes until power fails.
    pub power: Option<usize>,
    pub tear: Tear,
    /// Bytes written and erased so far.
    pub worked: usize,
    pub erased: usize,
}

/// The state in which a power cut leaves the flash that is being written or erased.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Tear {
    /// Bytes before the cut are done, the others untouched.
    #[default]
    Clean,
    /// The byte at the cut has half of its bits.
    Half,
    /// The same as `Clean`, but pages are erased from their end.
    FromTheEnd,
    /// Pages are erased all over: half of the bits of all bytes, then the other half, the bytes
    /// in scattered order.
    Scattered,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FlashError {
    NoPower,
    /// An access out of bounds or unaligned, or a word that was written before: a bug.
    Misuse,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl<const WORD: usize, const PAGE: usize> Flash<WORD, PAGE> {
    pub fn erased(pages: usize) -> Self {
        Flash {
            bytes: vec![0xff; pages * PAGE],
            power: None,
            tear: Tear::Clean,
            worked: 0,
            erased: 0,
        }
    }

    /// Works on a byte, unless power has failed.
    fn work(&mut self, at: usize, to: impl Fn(u8) -> u8) -> Result<(), FlashError> {
        let old = self.bytes[at];
        match &mut self.power {
            Some(0) => return Err(FlashError::NoPower),
            Some(left) => *left -= 1,
            None => {}
        }
        let mut new = to(old);
        if self.power == Some(0) && self.tear == Tear::Half {
            new = (old & 0xf0) | (new & 0x0f);
        }
        self.bytes[at] = new;
        self.worked += 1;
        Ok(())
    }

    fn check(&self, range: Range<usize>, unit: usize) -> Result<(), FlashError> {
        let whole = range.start.is_multiple_of(unit) && range.end.is_multiple_of(unit);
        if range.end > self.bytes.len() || !whole {
            return Err(FlashError::Misuse);
        }
        match self.power {
            Some(0) => Err(FlashError::NoPower),
            _ => Ok(()),
        }
    }
}

impl<const WORD: usize, const PAGE: usize> ErrorType for Flash<WORD, PAGE> {
    type Error = FlashError;
}

impl<const WORD: usize, const PAGE: usize> ReadNorFlash for Flash<WORD, PAGE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let range = offset as usize..offset as usize + bytes.len();
        self.check(range.clone(), 1)?;
        bytes.copy_from_slice(&self.bytes[range]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WORD: usize, const PAGE: usize> NorFlash for Flash<WORD, PAGE> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let range = from as usize..to as usize;
        self.check(range.clone(), PAGE)?;
        for page in range.clone().step_by(PAGE) {
            match self.tear {
                Tear::Clean | Tear::Half => {
                    (0..PAGE).try_for_each(|i| self.work(page + i, |_| 0xff))?;
                }
                Tear::FromTheEnd => {
                    (0..PAGE)
                        .rev()
                        .try_for_each(|i| self.work(page + i, |_| 0xff))?;
                }
                Tear::Scattered => {
                    for bits in [0x55, 0xff] {
                        // As `PAGE` is a power of two, an odd factor reaches every byte.
                        let mut places = (0..PAGE).map(|i| page + 389 * i % PAGE);
                        places.try_for_each(|at| self.work(at, |old| old | bits))?;
                    }
                }
            }
        }
        self.erased += range.len() / PAGE;
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let range = offset as usize..offset as usize + bytes.len();
        self.check(range.clone(), WORD)?;
        let words = self.bytes[range.clone()]
            .chunks(WORD)
            .zip(bytes.chunks(WORD));
        for (old, new) in words {
            let written = old.iter().any(|byte| *byte != 0xff);
            if written && new.iter().any(|byte| *byte != 0) {
                return Err(FlashError::Misuse);
            }
        }
        for (at, byte) in range.zip(bytes) {
            self.work(at, |old| old & byte)?;
        }
        Ok(())
    }
}

/// The micro:bit's flash: words of 4 bytes, pages of 1 KiB.
pub type SmallFlash = Flash<4, 1024>;

/// The simulated board.
pub struct HostBoard {
    pub flash: SmallFlash,
    pub sent: Vec<u8>,
    pub sensor: Option<f32>,
    /// Input during a fit: bytes, and `None` for an epoch without input.
    pub coming: VecDeque<Option<Result<u8, Damaged>>>,
    /// The number of calls of `feed`.
    pub fed: usize,
    ticks: u64,
}

impl HostBoard {
    pub fn new() -> Self {
        HostBoard {
            flash: SmallFlash::erased(PAGES),
            sent: Vec::new(),
            sensor: None,
            coming: VecDeque::new(),
            fed: 0,
            ticks: 0,
        }
    }
}

/// A page for each copy.
pub const PAGES: usize = 3;

impl Board for HostBoard {
    const NAME: &'static str = "host";
    const PAGES: Range<u32> = 0..(PAGES * 1024) as u32;
    type Flash = SmallFlash;

    fn flash(&mut self) -> &mut SmallFlash {
        &mut self.flash
    }

    /// Returns the bytes that come in during a fit; tests pass all others to the calibrator
    /// themselves.
    fn receive(&mut self) -> Option<Result<u8, Damaged>> {
        self.coming.pop_front().flatten()
    }

    fn feed(&mut self) {
        self.fed += 1;
    }

    fn send(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
    }

    fn sense(&mut self) -> Option<f32> {
        self.sensor
    }

    /// Adds 1000 ticks in each call.
    fn ticks(&mut self) -> (u64, &'static str) {
        self.ticks += 1000;
        (self.ticks, "looks")
    }

    fn ram(&self) -> Option<Ram> {
        None
    }
}

/// The memory of the micro:bit's calibrator.
pub type HostMemory = Memory<SAMPLES, FLOATS>;
pub const SAMPLES: usize = 48;

/// A calibrator with the means to talk to it.
pub struct Terminal<'m>(Calibrator<'m, HostBoard>);

impl<'m> Terminal<'m> {
    /// Starts the calibrator.
    pub fn new<const SAMPLES: usize, const FLOATS: usize>(
        board: HostBoard,
        memory: &'m mut Memory<SAMPLES, FLOATS>,
    ) -> Self {
        Terminal(Calibrator::new(board, memory))
    }

    pub fn board(&mut self) -> &mut HostBoard {
        self.0.board_mut()
    }

    /// Returns the greeting.
    pub fn greeting(&mut self) -> String {
        self.0.greet();
        self.sent()
    }

    /// Sends bytes, and returns the answer.
    pub fn bytes(&mut self, bytes: &[u8]) -> String {
        for byte in bytes {
            self.0.take(Ok(*byte));
        }
        self.sent()
    }

    /// Sends a damaged byte, and returns the answer.
    pub fn damaged(&mut self) -> String {
        self.0.take(Err(Damaged));
        self.sent()
    }

    /// Sends a line, and returns the answer.
    pub fn line(&mut self, line: &str) -> String {
        self.bytes(format!("{line}\n").as_bytes())
    }

    fn sent(&mut self) -> String {
        let sent = std::mem::take(&mut self.board().sent);
        String::from_utf8(sent).expect("text").replace("\r\n", "\n")
    }

    pub fn add_thermometer(&mut self) {
        for (i, line) in add_thermometer().enumerate() {
            assert_eq!(self.line(&line), format!("ok {}\n", i + 1));
        }
    }
}

/// Returns the lines that add the thermometer's samples.
pub fn add_thermometer() -> impl Iterator<Item = String> {
    let samples = THERMOMETER.iter();
    samples.map(|(reading, reference)| format!("add {reading} {reference}"))
}

/// Returns the library's fit of the thermometer, with the calls that the board makes. `poll` runs
/// an epoch.
pub fn fitted(
    curve: Curve,
    epochs: u32,
    mut poll: impl FnMut(&mut Fit<'_, '_>) -> Result<Poll, baregrad::Error>,
) -> Kept {
    let [mut readings, mut references, mut x, mut y] = [[0.0; 11]; 4];
    let mut readings = Differences::new(&mut readings);
    let mut references = Differences::new(&mut references);
    for line in add_thermometer() {
        let mut words = line.split(' ').skip(1).map(|word| word.parse().unwrap());
        readings.push(words.next().unwrap()).unwrap();
        references.push(words.next().unwrap()).unwrap();
    }
    let scales = prepare(&curve, readings.iter(), references.iter(), &mut x, &mut y);
    let [input, output] = scales.unwrap();
    let mut start = vec![0.0; curve.param_count()];
    curve.start(&mut start);
    let mut arena = Arena::<1024, 16>::new();
    let tape = arena.tape();
    let data = calibrate::Samples { x: &x, y: &y };
    let mut fit = Fit::new(&tape, data, ROWS, &mut [], |x| curve.record(x, &start))
        .unwrap()
        .epochs(epochs);
    while poll(&mut fit).unwrap() == Poll::Running {}
    Kept::write(&Calibration {
        curve,
        input,
        output,
        range: range(readings.iter()).unwrap(),
        params: &tape.params().unwrap(),
        origin: Origin {
            samples: 11,
            epochs: fit.epoch(),
            loss: output.invert_square(fit.losses().training),
        },
    })
    .unwrap()
}

/// The answer to the name of an unknown curve.
pub const NO_CURVE: &str = "expected linear, poly:1 to poly:12, mlp:<units> such as mlp:8 or mlp:3,2, steinhart-hart, exp, power or logistic";

/// The answers to wrong arguments of the commands `optimizer` and `schedule`.
const OPTIMIZER: &str = "expected optimizer <name> <lr> [option[=value]]...";
const SCHEDULE: &str = "expected schedule off|<name> [option[=value]]...";

/// Lines that are not valid commands, and the answers. None of them
/// changes anything, whatever the state.
pub const NO_COMMANDS: [(&str, &str); 57] = [
    ("calibrate", "expected a command, help lists them"),
    ("HELP", "expected a command, help lists them"),
    ("42", "expected a command, help lists them"),
    ("add1 2", "expected a command, help lists them"),
    ("help me", "expected help"),
    ("add", "expected add <reading> <reference>"),
    ("add 1", "expected add <reading> <reference>"),
    ("add 1 2 3", "expected add <reading> <reference>"),
    ("add one 2", "expected a finite number as <reading>"),
    ("add 1 two", "expected a finite number as <reference>"),
    ("add nan 2", "expected a finite number as <reading>"),
    ("add 1 NaN", "expected a finite number as <reference>"),
    ("add inf 2", "expected a finite number as <reading>"),
    ("add 1 -infinity", "expected a finite number as <reference>"),
    ("add 1e39 2", "expected a finite number as <reading>"),
    ("add 1,5 2", "expected a finite number as <reading>"),
    ("add 0x10 2", "expected a finite number as <reading>"),
    ("sample", "expected sample <reference>"),
    ("sample 1 2", "expected sample <reference>"),
    ("sample x", "expected a finite number as <reference>"),
    ("list all", "expected list"),
    ("clear 1", "expected clear"),
    ("list 1", "expected list"),
    ("remove", "expected remove <n>"),
    ("remove 1 2", "expected remove <n>"),
    ("get 1", "expected get"),
    ("put", "expected put <offset> <hex>"),
    ("put 0", "expected put <offset> <hex>"),
    ("put 24 00", "expected a record from its start, <offset> 0"),
    ("put 0 0", "expected bytes as <hex>, two digits each"),
    ("put 0 6x", "expected bytes as <hex>, two digits each"),
    (
        "put 0 0000000000000000000000",
        "expected a record, which begins with `bgrd`",
    ),
    ("model", "expected model linear|poly:<degree>|mlp:<units>"),
    ("model cubic", NO_CURVE),
    ("model linear 2", NO_CURVE),
    ("model mlp", NO_CURVE),
    ("model mlp:0", NO_CURVE),
    ("model poly0", NO_CURVE),
    ("model poly:13", NO_CURVE),
    ("model steinhart", NO_CURVE),
    ("model exp 2", NO_CURVE),
    ("method", "expected method lm|descent"),
    ("method newton", "expected method lm|descent"),
    ("method lm 2", "expected method lm|descent"),
    ("optimizer", OPTIMIZER),
    ("optimizer sgd", OPTIMIZER),
    ("schedule", SCHEDULE),
    ("optimizer sgd fast", "expected a finite <lr> above 0"),
    ("optimizer sgd 0", "expected a finite <lr> above 0"),
    ("optimizer adam -0.1", "expected a finite <lr> above 0"),
    ("optimizer adam inf", "expected a finite <lr> above 0"),
    ("fit 0", "expected 1 to 100000 epochs"),
    ("fit 100001", "expected 1 to 100000 epochs"),
    ("fit 1.5", "expected 1 to 100000 epochs"),
    ("fit 10 20", "expected fit [epochs]"),
    ("read", "expected read <reading>"),
    ("read it", "expected a finite number as <reading>"),
];

/// Bytes that are not a line of text, and the answers.
pub const NO_LINES: [(&[u8], &str); 6] = [
    (&[b'a'; 65], "expected a line of at most 64 bytes"),
    (&[b' '; 1000], "expected a line of at most 64 bytes"),
    (b"\0\0\0", "expected a line of ASCII text"),
    (b"add 1 2\x1b[A", "expected a line of ASCII text"),
    (
        "add 21,5\u{b0}C 2".as_bytes(),
        "expected a line of ASCII text",
    ),
    (
        &[0xff, 0x00, 0x80, 0xfe, 0xc3, 0x28],
        "expected a line of ASCII text",
    ),
];

/// Optimizers with options, each of which can fit a line.
pub const RULES: [&str; 24] = [
    "adagrad 0.1 lr_decay=0.01 eps=1e-6",
    "sgd 0.05",
    "sgd 0.05 momentum=0.9 nesterov weight_decay=0.01",
    "sgd 0.05 momentum=0.5 dampening=0.1",
    "adadelta 1",
    "adadelta 0.5 rho=0.5 eps=0.001",
    "adagrad 0.1 initial_accumulator_value=0.5",
    "adam 0.05 betas=0.8,0.99 amsgrad",
    "Adam 0.05",
    "adamw 0.05",
    "adamw 0.05 betas=0.75,0.875 weight_decay=0.1 amsgrad",
    "adamax 0.05 eps=1e-6",
    "asgd 0.05 lambd=0.01 alpha=0.5 t0=2",
    "nadam 0.05 momentum_decay=0.01 decoupled_weight_decay",
    "radam 0.1",
    "radam 0.1 betas=0.5,0.75",
    "rmsprop 0.02",
    "rmsprop 0.02 alpha=0.9 centered momentum=0.5",
    "rprop 0.01",
    "rprop 0.01 etas=0.25,1.5 step_sizes=0.001,2",
    "lbfgs 1",
    "lbfgs 0.5 max_iter=4 tolerance_grad=1e-6",
    "LBFGS 1 strong_wolfe",
    "sgd 0.1",
];

/// Schedules with options.
pub const SCHEDULES: [&str; 19] = [
    "constant",
    "constant factor=0.5 total_iters=3",
    "cosine t_max=9",
    "CosineAnnealingLR t_max=9 eta_min=0.001",
    "cyclic base_lr=0.01 max_lr=0.1 step_size_up=3",
    "cyclic base_lr=.01 max_lr=.1 exp_range=.95",
    "exponential gamma=0.9",
    "linear",
    "linear start_factor=0.1 end_factor=0.8 total_iters=9",
    "multistep milestones=3,8 gamma=0.5",
    "onecycle max_lr=0.2 total_steps=12",
    "onecycle max_lr=.2 total_steps=12 anneal=linear",
    "plateau patience=1 factor=0.5 threshold=0.9,rel",
    "plateau mode=min patience=0 threshold=0.05,abs",
    "polynomial total_iters=20 power=0.7",
    "step step_size=4 gamma=0.7",
    "steplr step_size=4",
    "warmrestarts t_0=3 t_mult=2",
    "CosineAnnealingWarmRestarts t_0=4",
];

/// Lines that a board with [`calibrator::FEW_RULES`] refuses, and the answers.
pub const FEW: [(&str, &str); 4] = [
    (
        "optimizer adamw 0.1",
        "expected an optimizer that this firmware holds: sgd adam",
    ),
    ("optimizer sgd 0.1 momentum=0.9", "expected no options here"),
    (
        "schedule step step_size=3",
        "expected off: this firmware holds no schedules",
    ),
    (
        "schedule fast",
        "expected off: this firmware holds no schedules",
    ),
];
