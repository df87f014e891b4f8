//! Training that is stopped, saved and resumed, on the same or another machine.

use baregrad::optim::schedule::*;
use baregrad::optim::{Adam, AdamW, Optimizer, RmsProp, Sgd, Stateful};
use baregrad::record::{Record, Writer};
use baregrad::{Arena, Error, Tape, Var};

use super::{Digest, Group};

/// Training that is stopped after every epoch, saved and restored; and a run that a
/// desktop has begun.
pub const RESUME: Group = Group {
    name: "resume",
    run: resume,
    stack: 7000,
    digest: 0x4446_6470_5fcd_ca44,
};

/// The record of the first run of [`resume`] in its middle, written by a desktop with
/// `cargo test --test bits -- --write-record`.
const HALF_WAY: &[u8] = include_bytes!("../half_way.bin");
const MIDDLE: usize = 4;
const WHOLE: usize = 8;

/// Bytes that are enough for a record.
pub const RECORD: usize = 1500;

static SEEN: [f32; 5] = [3.57, 5.59, 5.82, 8.19, 5.63];
static MEANT: [f32; 5] = [0.5, 14.0, 15.0, 28.0, 11.0];

/// A line through a few samples, its optimizer and its schedule.
struct Run<'t, O, S> {
    tape: &'t Tape<'t>,
    loss: Var<'t>,
    params: [(&'static str, Var<'t>); 2],
    optimizer: O,
    scheduler: Scheduler<S>,
}

impl<'t, O: Optimizer + Stateful, S: Schedule> Run<'t, O, S> {
    fn new(tape: &'t Tape<'t>, start: f32, mut optimizer: O, schedule: S) -> Self {
        let (w, b) = (tape.param(&[start], []), tape.param(&[0.0], []));
        let (x, y) = (tape.input(&SEEN, [5]), tape.input(&MEANT, [5]));
        let scheduler = Scheduler::new(schedule, &mut optimizer);
        Run {
            tape,
            loss: (w * x + b).mse(y),
            params: [("w", w), ("b", b)],
            optimizer,
            scheduler,
        }
    }

    fn epochs(&mut self, epochs: usize) -> Result<(), Error> {
        for _ in 0..epochs {
            self.tape.zero_grad();
            self.tape.replay()?;
            self.tape.backward(self.loss)?;
            self.tape.step(&mut self.optimizer)?;
            self.scheduler
                .step_with(self.loss.item()?, &mut self.optimizer);
        }
        Ok(())
    }

    /// Writes the record of the run. It is empty if writing fails.
    fn save<'b>(&mut self, bytes: &'b mut [u8]) -> Result<&'b [u8], Error> {
        let mut writer = Writer::new(bytes);
        writer.params("model", &self.params)?;
        let optimizer = writer.state_dict("optimizer", &mut self.optimizer, 2);
        let scheduler = writer.state_dict("scheduler", &mut self.scheduler, 0);
        let all = optimizer.and(scheduler).is_ok();
        Ok(writer.finish().ok().filter(|_| all).unwrap_or_default())
    }

    fn load(&mut self, bytes: &[u8]) -> bool {
        Record::read(bytes).is_ok_and(|record| {
            record.load_params("model", &self.params).is_ok()
                && record
                    .load_state_dict("optimizer", &mut self.optimizer, 2)
                    .is_ok()
                && record
                    .load_state_dict("scheduler", &mut self.scheduler, 0)
                    .is_ok()
        })
    }
}

/// Records the first run, whose record a desktop has written.
fn first_run<'t>(
    tape: &'t Tape<'t>,
    start: f32,
) -> Run<'t, impl Optimizer + Stateful, impl Schedule> {
    let schedule = OneCycleLr::new(0.5, WHOLE as u32 + 1).chain(ExponentialLr::new(0.9));
    Run::new(tape, start, Adam::<2>::new(0.1).amsgrad(), schedule)
}

/// Writes the record of the first run in its middle.
#[allow(dead_code)] // Boards do not write it.
pub fn half_way(bytes: &mut [u8]) -> Result<&[u8], Error> {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let mut run = first_run(&tape, 1.0);
    run.epochs(MIDDLE)?;
    run.save(bytes)
}

/// Finishes the run that a desktop has begun, and writes the same record as the desktop, so that a
/// desktop can finish a run of this machine. Then stops runs after every epoch.
fn resume(digest: &mut Digest) -> Result<(), Error> {
    let mut bytes = [0; RECORD];
    let same = half_way(&mut bytes)? == HALF_WAY;
    {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let mut run = first_run(&tape, -3.0);
        let loaded = run.load(HALF_WAY);
        run.epochs(WHOLE - MIDDLE)?;
        digest.add(&[f32::from(u8::from(same)), f32::from(u8::from(loaded))]);
        digest.add(&tape.params()?);
    }
    stop_and_go(
        digest,
        || Sgd::new(0.01).momentum::<2>(0.8),
        || CyclicLr::new(0.001, 0.01).step_size_up(3),
    )?;
    stop_and_go(
        digest,
        || AdamW::<2>::new(0.5),
        || ReduceLrOnPlateau::new().patience(1),
    )?;
    stop_and_go(
        digest,
        || RmsProp::<2>::new(0.1).centered(),
        || LinearLr::default().then(3, CosineAnnealingLr::new(5)),
    )
}

/// Continues in a new run after every epoch, through a record.
fn stop_and_go<O: Optimizer + Stateful, S: Schedule>(
    digest: &mut Digest,
    optimizer: fn() -> O,
    schedule: fn() -> S,
) -> Result<(), Error> {
    let (mut bytes, mut len) = ([0; RECORD], 0);
    for epoch in 0..WHOLE {
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let mut run = Run::new(&tape, 1.0 + epoch as f32, optimizer(), schedule());
        let loaded = epoch == 0 || run.load(bytes.get(..len).unwrap_or_default());
        run.epochs(1)?;
        digest.add(&[f32::from(u8::from(loaded))]);
        digest.add(&tape.params()?);
        len = run.save(&mut bytes)?.len();
    }
    for byte in bytes.get(..len).unwrap_or_default() {
        digest.add(&[f32::from(*byte)]);
    }
    Ok(())
}
