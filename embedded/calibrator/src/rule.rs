//! The optimizers and schedules of the commands `optimizer` and `schedule`, under PyTorch's
//! names: all of the library's whose arguments are numbers and words.
//!
//! A board lists the ones it holds in [`Board::RULES`](crate::Board::RULES) and
//! [`Board::SCHEDULES`](crate::Board::SCHEDULES); the others are not linked.

use core::fmt;

use baregrad::Error;
use baregrad::calibrate::{Fit, Poll};
use baregrad::optim::schedule::{self, Schedule, Scheduler};
use baregrad::optim::{self, Lbfgs, Optimizer, Search, Sgd};

use crate::failure::Failure;
use crate::kept::MAX_PARAMS;
use crate::options::{Known, Lower, Options};

/// An optimizer's update rule, as the command `optimizer` chooses it.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    name: &'static str,
    options: &'static [Known],
    make: Make,
}

/// The way in which a rule is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Make {
    /// SGD without options, made by the code that uses it.
    Sgd,
    /// Adam without options, made by the code that uses it.
    Adam,
    /// A function that makes the optimizer with its options, and calls a closure with it.
    With(fn(&Setting<'_>, Use<'_>) -> Result<(), Failure>),
}

/// A schedule of the learning rate from epoch to epoch, as the command `schedule` chooses it.
#[derive(Clone, Copy, Debug)]
pub struct RateSchedule {
    name: &'static str,
    options: &'static [Known],
    with: fn(Options<'_>, UseSchedule<'_>) -> Result<(), Failure>,
}

/// A closure that uses a [`Mover`], which lives as long as the call.
type Use<'u> = &'u mut dyn FnMut(&mut dyn Mover) -> Result<(), Failure>;

/// A closure that uses a schedule, which lives as long as the call.
type UseSchedule<'u> = &'u mut dyn FnMut(&mut dyn Schedule) -> Result<(), Failure>;

/// An optimizer, with a schedule or without, or a search.
pub(crate) trait Mover {
    /// Runs an epoch of a fit.
    fn poll(&mut self, fit: &mut Fit<'_, '_>) -> Result<Poll, Error>;

    /// Takes a step with a gradient of 0, which fails if options are out of range.
    fn try_out(&mut self) -> Result<(), Failure>;
}

/// A rule, its options, and the schedule of its learning rate.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'t> {
    pub(crate) rule: &'static Rule,
    pub(crate) lr: f32,
    pub(crate) options: Options<'t>,
    pub(crate) schedule: Option<(&'static RateSchedule, Options<'t>)>,
}

impl Setting<'_> {
    /// Makes the optimizer on the stack, and calls `use_it` with it.
    ///
    /// # Errors
    /// A value that an option does not take, or the failure of `use_it`.
    pub(crate) fn with(&self, use_it: Use<'_>) -> Result<(), Failure> {
        match self.rule.make {
            Make::Sgd => self.plain(&mut Sgd::new(self.lr), use_it),
            Make::Adam => self.plain(&mut optim::Adam::<MAX_PARAMS>::new(self.lr), use_it),
            Make::With(make) => make(self, use_it),
        }
    }

    /// Checks all options by their names, and by a trial step.
    ///
    /// # Errors
    /// An option is unknown, given twice or out of range.
    #[inline(never)]
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.options.check(self.rule.options)?;
        if let Some((schedule, options)) = self.schedule {
            options.check(schedule.options)?;
        }
        self.with(&mut |mover| mover.try_out())
    }

    /// Calls `use_it` with an optimizer, in firmware without schedules.
    #[inline(always)]
    fn plain(&self, optimizer: &mut dyn Optimizer, use_it: Use<'_>) -> Result<(), Failure> {
        match self.schedule {
            Some(_) => Err(Failure::Unscheduled(self.rule)),
            None => use_it(&mut Plain(optimizer)),
        }
    }

    /// Calls `use_it` with an optimizer, and with the schedule if there is one.
    #[inline(never)]
    fn scheduled(&self, optimizer: &mut dyn Optimizer, use_it: Use<'_>) -> Result<(), Failure> {
        let Some((schedule, options)) = self.schedule else {
            return use_it(&mut Plain(optimizer));
        };
        (schedule.with)(options, &mut |schedule| {
            let scheduler = Scheduler::new(schedule, &mut *optimizer);
            use_it(&mut Scheduled {
                optimizer: &mut *optimizer,
                scheduler,
            })
        })
    }
}

/// Prints the name as the command spells it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Lower(self.name).fmt(f)
    }
}

/// Prints the name as the command spells it, without the `LR` at the end of most PyTorch names.
impl fmt::Display for RateSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Lower(without_lr(self.name)).fmt(f)
    }
}

impl Rule {
    pub(crate) fn make(&self) -> Make {
        self.make
    }

    /// Finds a rule by its name, in any case.
    pub(crate) fn find(rules: &'static [Rule], name: &str) -> Option<&'static Rule> {
        let mut rules = rules.iter();
        rules.find(|rule| rule.name.eq_ignore_ascii_case(name))
    }
}

impl RateSchedule {
    /// Finds a schedule by its name, in any case, with or without `LR`, or by its short name.
    pub(crate) fn find(schedules: &'static [Self], name: &str) -> Option<&'static Self> {
        let mut short = SHORT.iter().filter(|(short, _)| *short == name);
        let name = short.next().map_or(name, |(_, long)| long);
        let mut schedules = schedules.iter();
        schedules.find(|schedule| {
            let long = schedule.name;
            [long, without_lr(long)]
                .iter()
                .any(|own| own.eq_ignore_ascii_case(name))
        })
    }
}

/// Short names for long ones.
const SHORT: [(&str, &str); 3] = [
    ("cosine", "CosineAnnealingLR"),
    ("warmrestarts", "CosineAnnealingWarmRestarts"),
    ("plateau", "ReduceLROnPlateau"),
];

fn without_lr(name: &'static str) -> &'static str {
    name.strip_suffix("LR").unwrap_or(name)
}

/// An optimizer with a constant learning rate.
pub(crate) struct Plain<'o>(pub(crate) &'o mut dyn Optimizer);

impl Mover for Plain<'_> {
    fn poll(&mut self, fit: &mut Fit<'_, '_>) -> Result<Poll, Error> {
        fit.poll(self.0)
    }

    fn try_out(&mut self) -> Result<(), Failure> {
        Ok(self.0.step(&mut [0.0], &[0.0])?)
    }
}

/// An optimizer and its schedule.
struct Scheduled<'o, 's> {
    optimizer: &'o mut dyn Optimizer,
    scheduler: Scheduler<&'s mut dyn Schedule>,
}

impl Mover for Scheduled<'_, '_> {
    fn poll(&mut self, fit: &mut Fit<'_, '_>) -> Result<Poll, Error> {
        fit.poll_scheduled(self.optimizer, &mut self.scheduler)
    }

    fn try_out(&mut self) -> Result<(), Failure> {
        self.optimizer.step(&mut [0.0], &[0.0])?;
        self.scheduler.step_with(0.0, self.optimizer);
        Ok(self.optimizer.step(&mut [0.0], &[0.0])?)
    }
}

/// A search, which takes no schedule.
struct Searched<'s>(&'s mut dyn Search);

impl Mover for Searched<'_> {
    fn poll(&mut self, fit: &mut Fit<'_, '_>) -> Result<Poll, Error> {
        fit.poll_search(self.0)
    }

    fn try_out(&mut self) -> Result<(), Failure> {
        self.0.tell(&mut [0.0], 0.0, &[0.0])?;
        Ok(())
    }
}

/// The most floats that a rule keeps for each parameter.
const BUFFERS: usize = 3;
/// The number of pairs that L-BFGS remembers, 1,332 bytes in all.
const HISTORY: usize = 4;
const LBFGS_FLOATS: usize = (2 * HISTORY + 5) * MAX_PARAMS + 2 * HISTORY;
/// The most milestones of `multistep`; a line has no room for many more.
const MILESTONES: usize = 16;

/// SGD without options.
pub(crate) const PLAIN_SGD: Rule = Rule {
    name: "SGD",
    options: &[],
    make: Make::Sgd,
};

/// Adam without options.
const PLAIN_ADAM: Rule = Rule {
    name: "Adam",
    options: &[],
    make: Make::Adam,
};

/// SGD and Adam, without options and without schedules, for boards of 8 KiB of RAM and 128 KiB of
/// flash.
pub const FEW_RULES: &[Rule] = &[PLAIN_SGD, PLAIN_ADAM];

/// Calls the builder's method for each of these options that is given.
macro_rules! apply {
    ($options:expr, $built:ident: $($option:ident($($value:expr),*))*) => {
        $(apply! { @one $options, $built $option($($value),*) })*
    };
    (@one $options:expr, $built:ident $option:ident()) => {
        if let Some(values) = $options.get(stringify!($option)) {
            $built = $built.$option();
            values.end()?;
        }
    };
    (@one $options:expr, $built:ident $option:ident($($value:expr),*)) => {
        if let Some(mut values) = $options.get(stringify!($option)) {
            $built = $built.$option($(apply!(@take values $value)),*);
            values.end()?;
        }
    };
    (@take $values:ident $value:expr) => {
        $values.take()?
    };
}

/// Makes the list of [`Known`] options: those of `new`'s arguments, and those of builder methods.
macro_rules! known {
    ([$($arg:ident)*] $($option:ident($($value:expr),*))*) => {
        &[
            $(Known { name: stringify!($arg), values: 1 },)*
            $(Known { name: stringify!($option), values: <[&str]>::len(&[$(stringify!($value)),*]) },)*
        ]
    };
}

/// Makes [`ALL_RULES`] of the library's list of optimizers, without those that need more than
/// numbers (shapes, or sparse gradients), and with SGD and L-BFGS, which the list lacks, at the
/// front.
macro_rules! rules {
    (@list [$($done:tt)*]) => {
        /// All optimizers that the calibrator knows.
        pub const ALL_RULES: &[Rule] = &[$($done)*];
    };
    (@list $done:tt Adafactor = $torch:literal $options:tt; $($rest:tt)*) => {
        rules! { @list $done $($rest)* }
    };
    (@list $done:tt Muon = $torch:literal $options:tt; $($rest:tt)*) => {
        rules! { @list $done $($rest)* }
    };
    (@list $done:tt SparseAdam = $torch:literal $options:tt; $($rest:tt)*) => {
        rules! { @list $done $($rest)* }
    };
    (@list [$($done:tt)*] $name:ident = $torch:literal
        [$($option:ident($($value:expr),*))*]; $($rest:tt)*) => {
        rules! { @list [$($done)* Rule {
            name: $torch,
            options: known!([] $($option($($value),*))*),
            make: Make::With(|setting, use_it| {
                let mut state = [0.0; BUFFERS * MAX_PARAMS];
                let mut rule = optim::$name::with_state(setting.lr, &mut state);
                apply!(setting.options, rule: $($option($($value),*))*);
                setting.scheduled(&mut rule, use_it)
            }),
        },] $($rest)* }
    };
    ($($list:tt)*) => {
        rules! { @list [SGD, LBFGS,] $($list)* }
    };
}

baregrad::each_optimizer!(rules);

/// SGD with PyTorch's options.
const SGD: Rule = Rule {
    name: "SGD",
    options: known!([] momentum(0.9) dampening(0.1) weight_decay(0.1) nesterov() maximize()),
    make: Make::With(|setting, use_it| {
        let plain = Sgd::new(setting.lr);
        let options = setting.options;
        let Some(mut values) = options.get("momentum") else {
            let mut sgd = plain;
            apply!(options, sgd: dampening(0.1) weight_decay(0.1) nesterov() maximize());
            return setting.scheduled(&mut sgd, use_it);
        };
        let mut state = [0.0; MAX_PARAMS];
        let mut sgd = plain.momentum_with_state(values.take()?, &mut state);
        values.end()?;
        apply!(options, sgd: dampening(0.1) weight_decay(0.1) nesterov() maximize());
        setting.scheduled(&mut sgd, use_it)
    }),
};

/// L-BFGS, with one evaluation of the loss in an epoch.
const LBFGS: Rule = Rule {
    name: "LBFGS",
    options: known!([] max_iter(20) max_eval(25) tolerance_grad(1e-7) tolerance_change(1e-9)
        strong_wolfe()),
    make: Make::With(|setting, use_it| {
        if setting.schedule.is_some() {
            return Err(Failure::Unscheduled(setting.rule));
        }
        let mut memory = [0.0; LBFGS_FLOATS];
        let mut search = Lbfgs::with_state(setting.lr, HISTORY, &mut memory);
        apply!(setting.options, search: max_iter(20) max_eval(25) tolerance_grad(1e-7)
            tolerance_change(1e-9) strong_wolfe());
        use_it(&mut Searched(&mut search))
    }),
};

/// Makes [`ALL_SCHEDULES`] of the library's list of schedules, without those that take functions.
macro_rules! schedules {
    (@list [$($done:tt)*]) => {
        /// All schedules that the calibrator knows.
        pub const ALL_SCHEDULES: &[RateSchedule] = &[$($done)*];
    };
    (@list $done:tt LambdaLr = $torch:literal $args:tt $options:tt; $($rest:tt)*) => {
        schedules! { @list $done $($rest)* }
    };
    (@list $done:tt MultiplicativeLr = $torch:literal $args:tt $options:tt; $($rest:tt)*) => {
        schedules! { @list $done $($rest)* }
    };
    // This one borrows its milestones.
    (@list [$($done:tt)*] MultiStepLr = $torch:literal $args:tt $options:tt; $($rest:tt)*) => {
        schedules! { @list [$($done)* MULTI_STEP,] $($rest)* }
    };
    (@list [$($done:tt)*] $name:ident = $torch:literal
        ($($arg:ident: $sample:expr $(=> $default:expr)?),*)
        [$($option:ident($($value:expr),*))*]; $($rest:tt)*) => {
        schedules! { @list [$($done)* RateSchedule {
            name: $torch,
            options: known!([$($arg)*] $($option($($value),*))*),
            with: |options, use_it| {
                let mut schedule = schedule::$name::new(
                    $(schedules!(@arg options $arg $($default)?)),*
                );
                apply!(options, schedule: $($option($($value),*))*);
                use_it(&mut schedule)
            },
        },] $($rest)* }
    };
    (@arg $options:ident $arg:ident) => { $options.required(stringify!($arg))? };
    (@arg $options:ident $arg:ident $default:expr) => {
        $options.or(stringify!($arg), $default)?
    };
    ($($list:tt)*) => {
        schedules! { @list [] $($list)* }
    };
}

baregrad::each_schedule!(schedules);

const MULTI_STEP: RateSchedule = RateSchedule {
    name: "MultiStepLR",
    options: known!([milestones] gamma(0.7)),
    with: |options, use_it| {
        let mut milestones = [0; MILESTONES];
        let mut count = 0;
        let values = options.get("milestones");
        let mut values = values.ok_or(Failure::Missing("milestones"))?;
        for to in &mut milestones {
            *to = values.take()?;
            count += 1;
            if values.is_empty() {
                break;
            }
        }
        values.end()?;
        let milestones = milestones.get(..count).unwrap_or_default();
        let mut schedule = schedule::MultiStepLr::new(milestones);
        apply!(options, schedule: gamma(0.7));
        use_it(&mut schedule)
    },
};

/// The options of the optimizer and of the schedule, as they were typed. The first half of the
/// bytes is the optimizer's, the second the schedule's; the bytes behind a text are 0.
pub(crate) struct Texts<'m>(pub(crate) &'m mut [u8]);

/// The owner of options: the optimizer, or its schedule.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Whose {
    Optimizer,
    Schedule,
}

impl Texts<'_> {
    /// Returns the options of the optimizer or of the schedule.
    pub(crate) fn get(&self, whose: Whose) -> Options<'_> {
        let (first, second) = self
            .0
            .split_at_checked(self.0.len() / 2)
            .unwrap_or_default();
        let half = match whose {
            Whose::Optimizer => first,
            Whose::Schedule => second,
        };
        let mut texts = half.split(|byte| *byte == 0);
        Options(str::from_utf8(texts.next().unwrap_or_default()).unwrap_or_default())
    }

    /// Keeps options. A half has room for a line, in firmware that has options.
    pub(crate) fn set(&mut self, whose: Whose, options: Options<'_>) {
        let middle = self.0.len() / 2;
        let (first, second) = self.0.split_at_mut_checked(middle).unwrap_or_default();
        let half = match whose {
            Whose::Optimizer => first,
            Whose::Schedule => second,
        };
        let zeros = core::iter::repeat(0);
        for (to, byte) in half.iter_mut().zip(options.0.bytes().chain(zeros)) {
            *to = byte;
        }
    }
}
