//! Why fitting failed.

use core::fmt;

use crate::error::Error;

/// Why fitting failed.
#[derive(Clone)]
#[non_exhaustive]
pub enum FitError {
    /// A setting is out of range.
    Setting {
        /// The condition, such as `epochs >= 1`.
        expected: &'static str,
        /// The value for which it does not.
        found: f64,
    },
    /// Samples of validation have other columns than those of training.
    Columns {
        /// Inputs and targets of a training sample.
        training: [usize; 2],
        /// Inputs and targets of a validation sample.
        validation: [usize; 2],
    },
    /// The loss is no longer a finite number.
    Diverged {
        /// In which epoch.
        epoch: u32,
        /// The loss now.
        loss: f32,
        /// The learning rate of the updates before; of a search 1.
        learning_rate: f32,
        /// The largest absolute value among the inputs.
        largest_input: f32,
    },
    /// The validation loss is no finite number, while the training loss has not risen:
    /// a validation sample is far from all that the model is trained with.
    Validation {
        /// In which epoch.
        epoch: u32,
        /// The validation loss now.
        loss: f32,
        /// The largest absolute value among the inputs of the training samples.
        training_input: f32,
        /// The same of the validation samples.
        validation_input: f32,
    },
    /// The tape, or the optimizer, refused.
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
