//! The error of a failed fit.

use core::fmt;

use crate::error::Error;

/// The reason why fitting failed.
#[derive(Clone)]
#[non_exhaustive]
pub enum FitError {
    /// A setting is out of range.
    Setting {
        /// The condition that the value has to meet, such as `epochs >= 1`.
        expected: &'static str,
        /// The value that does not meet it.
        found: f64,
    },
    /// The validation samples have other columns than the training samples.
    Columns {
        /// The numbers of inputs and targets in a training sample.
        training: [usize; 2],
        /// The numbers of inputs and targets in a validation sample.
        validation: [usize; 2],
    },
    /// The loss is no longer finite.
    Diverged {
        /// The epoch of this loss.
        epoch: u32,
        /// The loss that is not finite.
        loss: f32,
        /// The learning rate of the updates before; 1 for a search.
        learning_rate: f32,
        /// The largest absolute value among the inputs of the training samples.
        largest_input: f32,
    },
    /// The validation loss is not finite although the training loss has not risen: a
    /// validation sample lies far from all training samples.
    Validation {
        /// The epoch of this loss.
        epoch: u32,
        /// The validation loss that is not finite.
        loss: f32,
        /// The largest absolute value among the inputs of the training samples.
        training_input: f32,
        /// The largest absolute value among the inputs of the validation samples.
        validation_input: f32,
    },
    /// The tape or the optimizer returned an error.
    Tape(Error),
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Columns {
                training: [x, y],
                validation: [vx, vy],
            } => write!(
                f,
                "expected {x} inputs and {y} targets in a validation sample, as in a training sample, found {vx} and {vy}"
            ),
            Self::Diverged {
                epoch,
                loss,
                learning_rate,
                largest_input,
            } => write!(
                f,
                "the loss is {loss} at epoch {epoch}: try a smaller learning rate than {learning_rate}, or normalise the inputs, which reach {largest_input}"
            ),
            Self::Validation {
                epoch,
                loss,
                training_input,
                validation_input,
            } => write!(
                f,
                "the validation loss is {loss} at epoch {epoch}, that of training is finite: inputs to validate with reach {validation_input}, those to train with {training_input}; remove outliers, or split the rows otherwise"
            ),
            Self::Tape(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for FitError {}

impl From<Error> for FitError {
    fn from(error: Error) -> Self {
        Self::Tape(error)
    }
}
