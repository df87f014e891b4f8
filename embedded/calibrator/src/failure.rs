//! The reasons why a command fails, and their texts.

use core::fmt;

use baregrad::calibrate::{
    Curve, Decimal, DecimalError, LeftOut, PredictError, PrepareError, RecordError, TrackError,
};
use baregrad::least_squares::Status;
use baregrad::optim::OptimizerError;
use baregrad::{Error, ErrorKind};

use crate::kept::{MAX_BYTES, MAX_PARAMS};
use crate::line::{LineError, MAX_LINE};
use crate::options::Known;
use crate::rule::{RateSchedule, Rule};
use crate::store::StoreError;

pub(crate) enum Failure {
    /// The line could not be read.
    Line(LineError),
    Unknown,
    /// Wrong arguments of a command, which is written like this.
    Usage(&'static str),
    /// This argument is not a finite number.
    Number(&'static str),
    /// This argument is so far from the first sample's that `f32` does not hold the difference.
    Apart(&'static str),
    /// There is no such curve.
    Curve,
    /// A curve of more parameters than there is room for.
    Params(Curve),
    /// Least squares does not fit this curve, or has no room for it on this board.
    Unsolved {
        curve: Curve,
        /// The most parameters that there is room for.
        most: usize,
    },
    /// Gradient descent does not fit functions.
    Undescended(Curve),
    /// Least squares did not end at a minimum.
    Solve {
        curve: Curve,
        status: Status,
    },
    LearningRate,
    /// There is no such optimizer in this firmware, which holds these.
    Rule(&'static [Rule]),
    /// There is no such schedule in this firmware, which holds these.
    Schedule(&'static [RateSchedule]),
    /// An option that is unknown or given twice; these are known.
    Options(&'static [Known]),
    /// This option, which has no default, is missing.
    Missing(&'static str),
    /// A value that an option does not take.
    Value {
        option: &'static str,
        expected: &'static str,
    },
    /// A hyper-parameter is out of range.
    HyperParameter {
        expected: &'static str,
        found: f32,
    },
    /// The rule takes no schedule.
    Unscheduled(&'static Rule),
    Epochs {
        /// The most epochs of a fit.
        most: u32,
    },
    Full {
        capacity: usize,
    },
    /// There is no such sample.
    NoSample {
        count: usize,
    },
    NoSensor,
    NoCalibration,
    Prepare(PrepareError),
    /// The loss grew, or is no longer finite.
    Diverged {
        /// The number of epochs so far.
        epoch: u32,
        /// The loss in this epoch, in the reference's unit squared.
        loss: f32,
    },
    /// `stop` or Ctrl-C ended a fit.
    Stopped {
        /// The number of epochs so far.
        epoch: u32,
    },
    /// A command other than `status` and `stop` during a fit.
    Busy,
    /// A reading whose result is not finite.
    NotFinite {
        found: f32,
    },
    /// The arena is too small for the curve.
    Tape(ErrorKind),
    /// `put` with an offset that neither continues the record nor starts one.
    Offset {
        expected: usize,
    },
    /// Text that does not consist of pairs of hexadecimal digits.
    Hex,
    /// A record that there is no room for.
    Long {
        found: usize,
    },
    Record(RecordError),
    Store(StoreError),
    /// Tracking is on, and keeps its state in the memory that the command needs.
    Tracking,
    NotTracking,
    /// The curve cannot be tracked here.
    Untracked {
        curve: Curve,
        /// The most parameters that there is room for.
        most: usize,
    },
    Track(TrackError),
    /// A sample that the calibration does not follow.
    LeftOut(LeftOut),
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
            Failure::Apart(what) => {
                write!(f, "expected a <{what}> at most 3.4e38 from the first one")
            }
            Failure::Curve => f.write_str(
                "expected linear, poly:1 to poly:12, mlp:<units> such as mlp:8 or mlp:3,2, steinhart-hart, exp, power or logistic",
            ),
            Failure::Params(curve) => write!(
                f,
                "expected a curve of at most {MAX_PARAMS} parameters, {curve} has {}",
                curve.param_count()
            ),
            Failure::Unsolved { curve, most } => write!(
                f,
                "expected a line, a polynomial or a function of at most {most} parameters for lm, {curve} takes method descent"
            ),
            Failure::Undescended(curve) => {
                write!(f, "expected method lm, which {curve} is fitted by")
            }
            Failure::Solve {
                curve,
                status: Status::Singular { parameter },
            } => {
                f.write_str("expected readings that determine the model, found none that tell of ")?;
                match curve {
                    Curve::Function(formula) => {
                        f.write_str(formula.parameters().get(*parameter).unwrap_or(&"it"))
                    }
                    _ if *parameter < curve.inputs() => write!(f, "degree {}", parameter + 1),
                    _ => f.write_str("the constant"),
                }
            }
            Failure::Solve {
                curve,
                status: Status::NotFinite { row },
            } => write!(
                f,
                "expected readings that {curve} has finite results for, sample {} has none",
                row + 1
            ),
            Failure::Solve { status, .. } => status.fmt(f),
            Failure::LearningRate => f.write_str("expected a finite <lr> above 0"),
            Failure::Rule(rules) => {
                f.write_str("expected an optimizer that this firmware holds:")?;
                rules.iter().try_for_each(|rule| write!(f, " {rule}"))
            }
            Failure::Schedule([]) => {
                f.write_str("expected off: this firmware holds no schedules")
            }
            Failure::Schedule(schedules) => {
                f.write_str("expected off, or a schedule that this firmware holds:")?;
                schedules.iter().try_for_each(|known| write!(f, " {known}"))
            }
            Failure::Options([]) => f.write_str("expected no options here"),
            Failure::Options(known) => {
                f.write_str("expected each option once, of")?;
                known.iter().try_for_each(|option| write!(f, " {option}"))
            }
            Failure::Missing(option) => write!(f, "expected the option {option}=<x>, found none"),
            Failure::Value { option, expected } => write!(f, "expected {expected} in {option}=<x>"),
            Failure::HyperParameter { expected, found } => {
                write!(f, "expected {expected}, found {}", Decimal(*found))
            }
            Failure::Unscheduled(rule) => write!(
                f,
                "expected no schedule with {rule}"
            ),
            Failure::Epochs { most } => write!(f, "expected 1 to {most} epochs"),
            Failure::Full { capacity } => write!(
                f,
                "expected at most {capacity} samples: remove one, clear them or fit"
            ),
            Failure::NoSample { count: 0 } => {
                f.write_str("expected the number of a sample, there are none")
            }
            Failure::NoSample { count } => write!(f, "expected a sample from 1 to {count}"),
            Failure::NoSensor => f.write_str("expected a sensor that answers, there is none here"),
            Failure::NoCalibration => {
                f.write_str("expected a calibration: fit, load or put one first")
            }
            Failure::Prepare(error) => error.fmt(f),
            Failure::Diverged { epoch, loss } => write!(
                f,
                "diverged, loss {} after {epoch} epochs: expected a smaller learning rate",
                Decimal(*loss)
            ),
            Failure::Stopped { epoch } => write!(
                f,
                "stopped after {epoch} epochs as asked: all is as it was before the fit"
            ),
            Failure::Busy => f.write_str("expected status, or stop or Ctrl-C, during a fit"),
            Failure::NotFinite { found } => write!(
                f,
                "expected a reading with a finite result, found {}",
                Decimal(*found)
            ),
            // `Debug`, because `Display` would link `core`'s formatting of floats.
            Failure::Tape(kind) => write!(f, "{kind:?}"),
            Failure::Offset { expected: 0 } => {
                f.write_str("expected a record from its start, <offset> 0")
            }
            Failure::Offset { expected } => {
                write!(f, "expected <offset> {expected}, or 0 to begin again")
            }
            Failure::Hex => f.write_str("expected bytes as <hex>, two digits each"),
            Failure::Long { found } => write!(
                f,
                "expected a record of at most {MAX_BYTES} bytes, as curves of {MAX_PARAMS} parameters have, found one of {found}"
            ),
            Failure::Record(error) => error.fmt(f),
            Failure::Store(error) => error.fmt(f),
            Failure::Tracking => f.write_str("expected track off first, samples are tracked"),
            Failure::NotTracking => f.write_str("expected track on first"),
            Failure::Untracked { curve, most } => write!(
                f,
                "expected a line, a polynomial or a function of at most {most} parameters to track, {curve} has {}",
                curve.param_count()
            ),
            Failure::Track(error) => error.fmt(f),
            Failure::LeftOut(error) => error.fmt(f),
        }
    }
}

impl Failure {
    /// Makes the failure for an argument whose text is not a number.
    pub(crate) fn number(what: &'static str) -> impl Fn(DecimalError) -> Failure {
        move |_| Failure::Number(what)
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        Failure::Prepare(error)
    }
}

impl From<PredictError> for Failure {
    fn from(error: PredictError) -> Self {
        match error {
            PredictError::NotFinite { found } => Failure::NotFinite { found },
            PredictError::Tape(error) => error.into(),
            _ => Failure::NotFinite { found: f32::NAN },
        }
    }
}

impl From<OptimizerError> for Failure {
    fn from(error: OptimizerError) -> Self {
        match error {
            OptimizerError::HyperParameter { expected, found } => {
                Failure::HyperParameter { expected, found }
            }
            // Options lead to no other error.
            _ => Failure::LearningRate,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Tape(error.kind)
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        Failure::Record(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Store(error)
    }
}

impl From<LineError> for Failure {
    fn from(error: LineError) -> Self {
        Failure::Line(error)
    }
}
