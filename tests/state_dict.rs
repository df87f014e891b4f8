//! Tests that training that was stopped after any epoch, saved, and restored elsewhere continues
//! with the same bits, for every optimizer and every schedule, in this process and in another one.
//! (The group `resume` of `bits.rs` tests other targets.) State that does not fit is refused with
//! the difference.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::process::Command;
use std::{env, fs};

use baregrad::optim::schedule::*;
use baregrad::optim::*;
use baregrad::record::{Record, RecordError, Writer};
use baregrad::{Arena, Error, Shape, Tape, Var};

/// The number of elements of all parameters.
const N: usize = 9;
const EPOCHS: usize = 12;

trait Trainer: Optimizer + Stateful {}
impl<O: Optimizer + Stateful> Trainer for O {}

type NewTrainer = fn() -> Box<dyn Trainer>;
type NewSchedule = fn() -> Box<dyn Schedule>;

/// The shapes of the parameters.
static SHAPES: [[usize; 2]; 2] = [[2, 3], [1, 3]];

fn shapes() -> &'static [Shape] {
    SHAPES.map(Shape::from).to_vec().leak()
}

/// Sets options of the list, one after another.
macro_rules! with_options {
    ($optimizer:expr;) => {
        $optimizer
    };
    ($optimizer:expr; shapes() $($rest:tt)*) => {
        with_options!($optimizer.shapes(shapes()); $($rest)*)
    };
    ($optimizer:expr; $option:ident($($value:expr),*) $($rest:tt)*) => {
        with_options!($optimizer.$option($($value),*); $($rest)*)
    };
}

/// Returns every optimizer with all its options, and without them if it has less state then.
/// (`every_optimizer_of_the_list` in `optim/every.rs` tests the defaults.)
fn optimizers() -> Vec<(&'static str, NewTrainer)> {
    let mut all: Vec<(&str, NewTrainer)> = vec![
        ("SGD", || Box::new(Sgd::new(0.1))),
        ("SGD with decay", || {
            Box::new(Sgd::new(0.1).weight_decay(0.01).maximize())
        }),
        ("SGD with momentum", || {
            Box::new(Sgd::new(0.1).momentum::<N>(0.9).dampening(0.1))
        }),
        ("SGD with Nesterov's momentum", || {
            Box::new(Sgd::new(0.1).momentum::<N>(0.9).nesterov())
        }),
        ("plain Adam", || Box::new(Adam::<N>::new(0.1))),
        ("plain RMSprop", || Box::new(RmsProp::<N>::new(0.1))),
        ("groups", || {
            let rest = ParamGroups::new(2, Adam::<2>::new(0.1), Adam::<2>::new(0.05).amsgrad());
            Box::new(ParamGroups::new(5, Sgd::new(0.1).momentum::<5>(0.5), rest))
        }),
    ];
    macro_rules! listed {
        ($($name:ident = $torch:literal [$($options:tt)*];)*) => {
            $(all.push(($torch, || Box::new(with_options!($name::<N>::new(0.1); $($options)*))));)*
        };
    }
    baregrad::each_optimizer!(listed);
    all
}

/// Returns every schedule: those of the list without options and with all, and all others.
fn schedules() -> Vec<(&'static str, NewSchedule)> {
    let mut all: Vec<(&str, NewSchedule)> = vec![
        ("one cycle of each group", || {
            let cycle = OneCycleLr::per_group([0.5, 0.25], EPOCHS as u32 + 1);
            Box::new(cycle.momentum_per_group([0.6, 0.7], [0.8, 0.9]))
        }),
        ("cycles of each group", || {
            Box::new(CyclicLr::per_group([0.01, 0.02], [0.1, 0.3]).step_size_up(3))
        }),
        ("plateaus of each group", || {
            Box::new(ReduceLrOnPlateau::per_group([0.01, 0.02]).patience(0))
        }),
        ("SequentialLR", || {
            Box::new(LinearLr::default().then(4, ExponentialLr::new(0.9)))
        }),
        ("ChainedScheduler", || {
            let plateau = || ReduceLrOnPlateau::new().patience(0).factor(0.5);
            Box::new(plateau().chain(plateau().patience(2)))
        }),
        ("a number", || Box::new(0.05_f32)),
        ("a function", || Box::new(|epoch| 0.1 / epoch as f32)),
    ];
    macro_rules! listed {
        ($(
            $name:ident = $torch:literal ($($arg:ident: $sample:expr $(=> $default:expr)?),*)
                [$($option:ident($($value:expr),*))*];
        )*) => {$(
            all.push(($torch, || Box::new($name::new($($sample),*))));
            if !stringify!($($option)*).is_empty() {
                all.push((concat!($torch, " with all options"), || {
                    Box::new($name::new($($sample),*)$(.$option($($value),*))*)
                }));
            }
        )*};
    }
    baregrad::each_schedule!(listed);
    all
}

/// A layer with a tanh, and its loss.
struct Model<'t> {
    tape: &'t Tape<'t>,
    params: [(&'static str, Var<'t>); 2],
    loss: Var<'t>,
}

const X: [f32; 8] = [0.5, -1.0, 0.25, 2.0, -0.75, 1.5, 1.0, -2.0];
const Y: [f32; 12] = [
    0.5, -0.25, 0.125, 0.75, 0.0, -0.5, 0.3, 0.6, -0.9, 0.2, -0.1, 0.4,
];

impl<'t> Model<'t> {
    /// Records the model, with weights that depend on `start`.
    fn new(tape: &'t Tape<'t>, start: f32) -> Self {
        let w = tape.param_from_fn([2, 3], |i| start * (1.0 - 0.25 * i as f32));
        let b = tape.param(&[start; 3], [1, 3]);
        let (x, y) = (tape.input(&X, [4, 2]), tape.input(&Y, [4, 3]));
        Model {
            tape,
            params: [("layer1.weight", w), ("layer1.bias", b)],
            loss: (x.matmul(w) + b).tanh().mse(y),
        }
    }

    fn loss_and_gradients(&self) -> Result<f32, Error> {
        self.tape.zero_grad();
        self.tape.replay()?;
        self.tape.backward(self.loss)?;
        self.loss.item()
    }

    fn bits(&self) -> Vec<u32> {
        let params = self.tape.params().unwrap();
        params.iter().map(|p| p.to_bits()).collect()
    }
}

/// A run: model, optimizer and schedule.
struct Run<'t> {
    model: Model<'t>,
    optimizer: Box<dyn Trainer>,
    scheduler: Scheduler<Box<dyn Schedule>>,
}

impl<'t> Run<'t> {
    fn new(tape: &'t Tape<'t>, start: f32, new: NewTrainer, schedule: NewSchedule) -> Self {
        let mut optimizer = new();
        let scheduler = Scheduler::new(schedule(), &mut *optimizer);
        Run {
            model: Model::new(tape, start),
            optimizer,
            scheduler,
        }
    }

    fn epoch(&mut self) {
        let loss = self.model.loss_and_gradients().unwrap();
        self.model.tape.step(&mut *self.optimizer).unwrap();
        self.scheduler.step_with(loss, &mut *self.optimizer);
    }

    fn save(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 4000];
        let mut writer = Writer::new(&mut bytes);
        writer.params("model", &self.model.params).unwrap();
        writer
            .state_dict("optimizer", &mut *self.optimizer, N)
            .unwrap();
        writer
            .state_dict("scheduler", &mut self.scheduler, 0)
            .unwrap();
        writer.finish().unwrap().to_vec()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let record = Record::read(bytes).unwrap();
        record.load_params("model", &self.model.params)?;
        record.load_state_dict("optimizer", &mut *self.optimizer, N)?;
        record.load_state_dict("scheduler", &mut self.scheduler, 0)
    }
}

/// Asserts that a run that is stopped after any epoch and restored into a run with another start
/// ends with the parameters and the state of the run that was never stopped.
fn resumes(name: &str, optimizer: NewTrainer, schedule: NewSchedule) {
    let mut arena = Arena::<256, 16>::new();
    let tape = arena.tape();
    let mut through = Run::new(&tape, 0.5, optimizer, schedule);
    let mut saved = vec![through.save()];
    for _ in 0..EPOCHS {
        through.epoch();
        saved.push(through.save());
    }
    assert_ne!(saved[EPOCHS - 1], saved[EPOCHS], "{name} stands still");
    for stopped in 0..=EPOCHS {
        let mut arena = Arena::<256, 16>::new();
        let tape = arena.tape();
        let mut resumed = Run::new(&tape, -0.3, optimizer, schedule);
        resumed.load(&saved[stopped]).unwrap();
        for later in &saved[stopped..] {
            assert_eq!(resumed.save(), *later, "{name}, stopped after {stopped}");
            resumed.epoch();
        }
        assert_eq!(resumed.model.bits().len(), N);
    }
}

#[test]
fn every_optimizer_resumes_after_any_epoch() {
    for (name, optimizer) in optimizers() {
        resumes(name, optimizer, || Box::new(ExponentialLr::new(0.95)));
    }
}

#[test]
fn every_schedule_resumes_after_any_epoch() {
    fn sgd() -> Sgd<N> {
        Sgd::new(0.1).momentum(0.9)
    }
    fn adam() -> Adam<N> {
        Adam::new(0.1)
    }
    for (name, schedule) in schedules() {
        // Lists of two numbers need two groups.
        if name.ends_with("of each group") {
            resumes(
                name,
                || Box::new(ParamGroups::new(5, sgd(), sgd())),
                schedule,
            );
            resumes(
                name,
                || Box::new(ParamGroups::new(5, adam(), adam())),
                schedule,
            );
            continue;
        }
        resumes(name, || Box::new(sgd()), schedule);
        resumes(name, || Box::new(adam()), schedule);
    }
}

/// L-BFGS resumes after any evaluation, between iterations and within a line search.
#[test]
fn a_search_resumes_after_any_evaluation() {
    const TIMES: usize = 40;
    fn tell(model: &Model<'_>, search: &mut Lbfgs<N, 3>) {
        let loss = model.loss_and_gradients().unwrap();
        model.tape.tell(loss, search).unwrap();
    }
    fn save(model: &Model<'_>, search: &mut Lbfgs<N, 3>) -> Vec<u8> {
        let mut bytes = vec![0; 4000];
        let mut writer = Writer::new(&mut bytes);
        writer.params("model", &model.params).unwrap();
        writer.state_dict("search", search, N).unwrap();
        writer.finish().unwrap().to_vec()
    }
    for new in [
        || Lbfgs::<N, 3>::new(1.0).strong_wolfe(),
        || Lbfgs::<N, 3>::new(0.3),
    ] {
        let mut arena = Arena::<256, 16>::new();
        let tape = arena.tape();
        let (through, mut search) = (Model::new(&tape, 0.5), new());
        let mut saved = vec![save(&through, &mut search)];
        for _ in 0..TIMES {
            tell(&through, &mut search);
            saved.push(save(&through, &mut search));
        }
        for stopped in 0..=TIMES {
            let mut arena = Arena::<256, 16>::new();
            let tape = arena.tape();
            let (resumed, mut search) = (Model::new(&tape, -0.3), new());
            let record = Record::read(&saved[stopped]).unwrap();
            record.load_params("model", &resumed.params).unwrap();
            record.load_state_dict("search", &mut search, N).unwrap();
            for later in &saved[stopped..] {
                assert_eq!(save(&resumed, &mut search), *later, "after {stopped}");
                tell(&resumed, &mut search);
            }
        }
    }
}

/// State can be restored into memory inline, in a slice or on the heap.
#[test]
fn a_state_fits_whatever_holds_it() {
    let mut bytes = [0; 600];
    let mut memory = [0.0; 2 * N];
    let (mut inline, mut lent) = (Adam::<N>::new(0.1), Adam::with_state(0.1, &mut memory));
    let mut params = [0.5; N];
    inline.step(&mut params, &[0.25; N]).unwrap();
    let mut writer = Writer::new(&mut bytes);
    writer.state_dict("adam", &mut inline, N).unwrap();
    let record = Record::read(writer.finish().unwrap()).unwrap();
    record.load_state_dict("adam", &mut lent, N).unwrap();
    let mut again = params;
    inline.step(&mut params, &[0.5; N]).unwrap();
    lent.step(&mut again, &[0.5; N]).unwrap();
    assert_eq!(params, again);
}

/// Returns the optimizer and the schedule of the run that another process continues.
fn half_way() -> (NewTrainer, NewSchedule) {
    (
        || Box::new(Adam::<N>::new(0.1).amsgrad()),
        || Box::new(ReduceLrOnPlateau::new().patience(1)),
    )
}

/// Another process continues a run of this one with the same bits.
#[test]
fn another_process_goes_on_to_the_same_bits() {
    const VARIABLE: &str = "BAREGRAD_TEST_RESUME";
    let (optimizer, schedule) = half_way();
    if let Some(path) = env::var_os(VARIABLE) {
        // This is the other process.
        let mut arena = Arena::<256, 16>::new();
        let tape = arena.tape();
        let mut run = Run::new(&tape, 7.0, optimizer, schedule);
        run.load(&fs::read(&path).unwrap()).unwrap();
        for _ in 0..EPOCHS / 2 {
            run.epoch();
        }
        fs::write(&path, run.save()).unwrap();
        return;
    }
    let mut arena = Arena::<256, 16>::new();
    let tape = arena.tape();
    let mut run = Run::new(&tape, 0.5, optimizer, schedule);
    for _ in 0..EPOCHS / 2 {
        run.epoch();
    }
    let name = format!("baregrad-resume-{}.bin", std::process::id());
    let path = env::temp_dir().join(name);
    fs::write(&path, run.save()).unwrap();
    let other = Command::new(env::current_exe().unwrap())
        .args(["--exact", "another_process_goes_on_to_the_same_bits"])
        .env(VARIABLE, &path)
        .output()
        .unwrap();
    assert!(other.status.success(), "{other:?}");
    for _ in 0..EPOCHS / 2 {
        run.epoch();
    }
    let there = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(there, run.save());
}

/// Every truncation and every flipped bit of a whole run's record is refused.
#[test]
fn no_bit_of_a_saved_run_may_change() {
    let mut arena = Arena::<256, 16>::new();
    let tape = arena.tape();
    let (optimizer, schedule) = half_way();
    let mut run = Run::new(&tape, 0.5, optimizer, schedule);
    for _ in 0..3 {
        run.epoch();
    }
    let mut bytes = run.save();
    let (mut cut, mut flipped) = (0, 0);
    for len in 0..bytes.len() {
        assert!(Record::read(&bytes[..len]).is_err(), "{len}");
        cut += 1;
    }
    for bit in 0..8 * bytes.len() {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::read(&bytes).is_err(), "{bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
        flipped += 1;
    }
    assert!(run.load(&bytes).is_ok());
    println!(
        "{cut} truncations and {flipped} flipped bits of {} bytes refused",
        bytes.len()
    );
    assert_eq!((cut, flipped), (bytes.len(), 8 * bytes.len()));

    // Writing to a buffer that is too small is an error, too.
    for capacity in 0..bytes.len() {
        let mut room = vec![0; capacity];
        let mut writer = Writer::new(&mut room);
        writer.params("model", &run.model.params).unwrap();
        let mut state = |name, state: &mut dyn Stateful, n| writer.state_dict(name, state, n);
        state("optimizer", &mut *run.optimizer, N).unwrap();
        state("scheduler", &mut run.scheduler, 0).unwrap();
        let needed = bytes.len();
        assert_eq!(writer.finish(), Err(RecordError::Full { needed, capacity }));
    }
}

fn saved(state: &mut dyn Stateful, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; 4000];
    let mut writer = Writer::new(&mut bytes);
    writer.state_dict("s", state, n).unwrap();
    writer.finish().unwrap().to_vec()
}

/// Asserts that restoring fails with this message, and changes nothing.
fn refused(from: &mut dyn Stateful, to: &mut dyn Stateful, [n, m]: [usize; 2], message: &str) {
    let (bytes, before) = (saved(from, n), saved(to, m.min(3)));
    let record = Record::read(&bytes).unwrap();
    let error = record.load_state_dict("s", to, m).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(format!("{error:?}"), message);
    assert_eq!(saved(to, m.min(3)), before, "{message}");
}

#[test]
fn a_state_of_another_kind_says_what_differs() {
    const M: usize = 3;
    let sgd = || Sgd::new(0.1);
    let adam = || Adam::<M>::new(0.1);
    let both = [M, M];
    refused(
        &mut AdamW::<M>::new(0.1),
        &mut adam(),
        both,
        "expected the state of Adam, found that of AdamW",
    );
    refused(
        &mut adam(),
        &mut sgd().momentum::<M>(0.9),
        both,
        "expected the state of SGD, found that of Adam",
    );
    refused(
        &mut sgd(),
        &mut sgd().momentum::<M>(0.9),
        both,
        "expected `s.momentum_buffer` in the record, which has no array of that name: load it into what it was saved from",
    );
    refused(
        &mut sgd().momentum::<M>(0.9),
        &mut sgd(),
        both,
        "expected no `s.9.momentum_buffer`, found it in the record: load it into what it was saved from",
    );
    refused(
        &mut adam().amsgrad(),
        &mut adam(),
        both,
        "expected no `s.12.max_exp_avg_sq`, found it in the record: load it into what it was saved from",
    );
    refused(
        &mut RmsProp::<M>::new(0.1).momentum(0.9),
        &mut RmsProp::<M>::new(0.1).centered(),
        both,
        "expected `grad_avg` in the record, found `momentum_buffer`: build it with the options that it was saved with",
    );
    refused(
        &mut sgd().momentum::<M>(0.9).nesterov(),
        &mut sgd().momentum::<M>(0.9),
        both,
        "expected a state that was saved with `nesterov` 0, found one with 1: build it with 1",
    );
    refused(
        &mut adam().betas(0.8, 0.999),
        &mut adam(),
        both,
        "expected a state that was saved with `beta1` 0.9, found one with 0.8: build it with 0.8",
    );
    refused(
        &mut adam(),
        &mut adam(),
        [M, 2],
        "expected `s.10.exp_avg` of shape [2] in the record, found shape [3]",
    );
    refused(
        &mut Adam::<M>::new(0.1),
        &mut adam(),
        [M, 4],
        "expected at most 3 parameters, for which the state has room, found 4: make it for 4",
    );
    refused(
        &mut ParamGroups::new(1, sgd(), sgd()),
        &mut ParamGroups::new(2, sgd(), sgd()),
        both,
        "expected a state that was saved with `elements` 2, found one with 1: build it with 1",
    );
    let lbfgs = || Lbfgs::<M, 2>::new(1.0);
    refused(
        &mut lbfgs().strong_wolfe(),
        &mut lbfgs(),
        both,
        "expected a state that was saved with `strong_wolfe` 0, found one with 1: build it with 1",
    );
    refused(
        &mut Lbfgs::<M, 3>::new(1.0),
        &mut lbfgs(),
        both,
        "expected a state that was saved with `history_size` 2, found one with 3: build it with 3",
    );

    let mut rates = Sgd::new(0.1);
    let mut scheduler = |schedule: Box<dyn Schedule>| Scheduler::new(schedule, &mut rates);
    refused(
        &mut scheduler(Box::new(StepLr::new(3))),
        &mut scheduler(Box::new(ExponentialLr::new(0.5))),
        both,
        "expected the state of ExponentialLR, found that of StepLR",
    );
    refused(
        &mut scheduler(Box::new(StepLr::new(4))),
        &mut scheduler(Box::new(StepLr::new(3))),
        both,
        "expected a state that was saved with `step_size` 3, found one with 4: build it with 4",
    );
    let plateau = || ReduceLrOnPlateau::new().patience(2);
    refused(
        &mut scheduler(Box::new(plateau())),
        &mut scheduler(Box::new(plateau().chain(0.5))),
        both,
        "expected the state of ChainedScheduler, found that of ReduceLROnPlateau",
    );
    // The state of a schedule is not loaded into an optimizer.
    refused(
        &mut scheduler(Box::new(0.1)),
        &mut adam(),
        both,
        "expected the state of Adam, found that of constant",
    );
    let bytes = saved(&mut adam(), M);
    let record = Record::read(&bytes).unwrap();
    let error = record.load_state_dict("t", &mut adam(), M).unwrap_err();
    assert!(matches!(error, LoadError::Missing { .. }), "{error}");
}

/// Returns the error of loading the state of one schedule into another.
fn error_of(saved_from: impl Schedule, into: impl Schedule) -> Option<String> {
    let mut rates = Sgd::new(0.1);
    let bytes = saved(&mut Scheduler::new(saved_from, &mut rates), 0);
    let record = Record::read(&bytes).unwrap();
    let loaded = record.load_state_dict("s", &mut Scheduler::new(into, &mut rates), 0);
    loaded.err().map(|error| error.to_string())
}

/// The state of a schedule contains its name, arguments and options, so that it cannot be loaded
/// into another schedule of the list, nor into one with one more option.
#[test]
fn a_schedule_is_told_from_every_other() {
    let mut all: Vec<(&str, NewSchedule)> = Vec::new();
    macro_rules! listed {
        ($(
            $name:ident = $torch:literal ($($arg:ident: $sample:expr $(=> $default:expr)?),*)
                [$($option:ident($($value:expr),*))*];
        )*) => {$(
            let new = || $name::new($($sample),*);
            all.push(($torch, || Box::new($name::new($($sample),*))));
            let mut names = Vec::new();
            new().visit_hyper(&mut |name, _| names.push(name.to_lowercase()));
            for arg in Vec::<&str>::from([$(stringify!($arg)),*]) {
                // The name in the state; functions cannot be compared.
                let shown = if arg == "milestones" { "milestone" } else { arg };
                let is_shown = names.iter().any(|name| name == shown);
                assert!(is_shown || arg == "lr_lambda", "{} {arg}", $torch);
            }
            $({
                let error = error_of(new().$option($($value),*), new()).unwrap_or_default();
                assert!(
                    error.starts_with("expected a state that was saved with `"),
                    "{} {}: {error}", $torch, stringify!($option),
                );
            })*
        )*};
    }
    baregrad::each_schedule!(listed);
    for (from, saved_from) in &all {
        for (to, into) in &all {
            let error = error_of(saved_from(), into());
            let other = format!("expected the state of {to}, found that of {from}");
            assert_eq!(error, (from != to).then_some(other));
        }
    }
    let one = || OneCycleLr::per_group([0.5, 0.25], 10);
    let other = error_of(OneCycleLr::per_group([0.5, 0.125], 10), one());
    assert!(other.unwrap().contains("`max_lr`"));
    assert_eq!(error_of(one(), one()), None);
    assert!(error_of(one(), OneCycleLr::new(0.5, 10)).is_some());
}

/// The state of an optimizer contains its name and options, so that it cannot be loaded into
/// another optimizer of the list, nor into one with one option less.
#[test]
fn an_optimizer_is_told_from_every_other() {
    fn error_of(mut saved_from: impl Stateful, mut into: impl Stateful) -> Option<String> {
        let bytes = saved(&mut saved_from, N);
        let record = Record::read(&bytes).unwrap();
        let loaded = record.load_state_dict("s", &mut into, N);
        loaded.err().map(|error| error.to_string())
    }
    let mut all: Vec<(&str, NewTrainer)> = Vec::new();
    macro_rules! listed {
        ($($name:ident = $torch:literal [$($option:ident $values:tt)*];)*) => {$(
            all.push(($torch, || Box::new($name::<N>::new(0.1))));
            $({
                let with_it = with_options!($name::<N>::new(0.1); $option $values);
                let error = error_of(with_it, $name::<N>::new(0.1));
                // Shapes are those of the parameters; the momentum is part of the state.
                let is_free = matches!(stringify!($option), "shapes" | "momentum");
                assert!(error.is_some() || is_free, "{} {}", $torch, stringify!($option));
            })*
        )*};
    }
    baregrad::each_optimizer!(listed);
    for (from, saved_from) in &all {
        for (to, into) in &all {
            let (mut saved_from, mut into) = (saved_from(), into());
            let bytes = saved(&mut *saved_from, N);
            let loaded = Record::read(&bytes)
                .unwrap()
                .load_state_dict("s", &mut *into, N);
            let error = loaded.err().map(|error| error.to_string());
            let other = format!("expected the state of {to}, found that of {from}");
            assert_eq!(error, (from != to).then_some(other));
        }
    }
}

#[test]
fn parameters_of_another_model_say_what_differs() {
    let mut arena = Arena::<256, 16>::new();
    let tape = arena.tape();
    let model = Model::new(&tape, 0.5);
    let mut bytes = [0; 300];
    let mut writer = Writer::new(&mut bytes);
    writer.params("model", &model.params).unwrap();
    writer.integer("model.epoch", 3);
    writer.integer("modeler", 4);
    let bytes = writer.finish().unwrap();
    let record = Record::read(bytes).unwrap();

    let mut arena = Arena::<256, 16>::new();
    let tape = arena.tape();
    let (w, b) = (tape.param(&[9.0; 6], [2, 3]), tape.param(&[9.0; 3], [1, 3]));
    let (turned, computed) = (tape.param(&[9.0; 6], [3, 2]), w * 1.0);
    let input = tape.input(&X[..6], [2, 3]);
    let refused = |params: &[(&str, Var<'_>)], message: &str| {
        let error = record.load_params("model", params).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert_eq!(*tape.params().unwrap(), [9.0; 15]);
    };
    let (weight, bias) = ("layer1.weight", "layer1.bias");
    refused(
        &[(weight, w), ("layer2.bias", b)],
        "expected `model.layer2.bias` in the record, which has no array of that name",
    );
    refused(
        &[(bias, b), (weight, turned)],
        "expected `model.layer1.weight` of shape [3, 2] in the record, found shape [2, 3]",
    );
    refused(
        &[(weight, w)],
        "expected no `model.layer1.bias`, found it in the record",
    );
    refused(
        &[(weight, w), (bias, b)],
        "expected no `model.epoch`, found it in the record",
    );
    refused(
        &[("epoch", w)],
        "expected `model.epoch` in the record, which has no array of that name",
    );
    refused(
        &[(bias, b), (weight, computed)],
        "load_params: only parameters and constants can be set",
    );
    refused(
        &[(bias, b), (weight, input)],
        "load_params: only parameters and constants can be set",
    );
    // The variable belongs to another tape.
    refused(
        &[(weight, model.params[0].1)],
        "expected no `model.layer1.bias`",
    );
    let error = record.load_params("other", &[(weight, w)]).unwrap_err();
    let long = "expected `other.layer1.weight` in the record, which has no array of that name";
    assert!(error.to_string().starts_with(long), "{error}");
    let name = "a.name.that.is.longer.than.what.an.error.has.room.for";
    let error = record.load_params("other", &[(name, w)]).unwrap_err();
    let cut = "expected `other.a.name.that.is.longer.than.wh` in";
    assert!(error.to_string().starts_with(cut), "{error}");
}

/// Two entries with the same name are refused when they are written.
#[test]
fn names_that_are_twice_in_a_record_are_refused() {
    let mut arena = Arena::<256, 16>::new();
    let tape = arena.tape();
    let model = Model::new(&tape, 0.5);
    let mut bytes = [0; 600];
    let [(name, w), (_, b)] = model.params;
    let mut writer = Writer::new(&mut bytes);
    writer.params("model", &[(name, w), (name, b)]).unwrap();
    let error = writer.finish().unwrap_err();
    assert_eq!(
        error,
        RecordError::Content {
            expected: "one entry of a name"
        }
    );
}
