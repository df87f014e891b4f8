//! The tape's error: what went wrong, in which operation, on which line.

use core::fmt;
use core::panic::Location;

use crate::shape::{MAX_RANK, Shape, ShapeError};

/// The most operands an operation has, and so the most shapes an error names.
pub(crate) const MAX_OPERANDS: usize = 3;

/// The reason why a tape did not do something.
///
/// Operators such as `a + b` cannot return a `Result`. The tape keeps the first
/// failure, later operations do nothing, and every later call that returns a `Result`
/// ([`item`](crate::Var::item), [`backward`](crate::Tape::backward),
/// [`step`](crate::Tape::step), [`replay`](crate::Tape::replay), …) returns that failure.
///
/// ```
/// use baregrad::{Arena, ErrorKind};
///
/// let mut arena = Arena::<32, 8>::new();
/// let tape = arena.tape();
/// let a = tape.constant(&[0.0; 6], [2, 3]);
/// let b = tape.constant(&[0.0; 6], [3, 2]);
/// let loss = (a - b).square().mean();
///
/// let error = loss.item().unwrap_err();
/// assert_eq!(error.op, "sub");
/// assert!(matches!(error.kind, ErrorKind::Shape { .. }));
/// assert!(error.to_string().contains("[2, 3] and [3, 2]"));
/// assert!(error.at.file().ends_with(".rs"));
/// ```
///
/// `Debug` prints the text of `Display`, because `fn main() -> Result<(), Error>` and
/// `unwrap` print errors with `Debug`. Without `std`, `Debug` leaves out the value of an
/// optimizer's hyper-parameter: every `unwrap` would link the printing of floats, some 20 KB.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Error {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// The operation or method that failed, by PyTorch's name.
    pub op: &'static str,
    /// The caller's line.
    pub at: &'static Location<'static>,
}

/// The kind of failure. `Debug` prints the text of `Display`, as for [`Error`].
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operands' shapes do not fit the operation.
    Shape {
        /// The rule they break.
        why: ShapeError,
        /// The operands' shapes.
        operands: Operands,
    },
    /// The arena has too few floats.
    Floats {
        /// The floats that this call needs, including all that must stay in use.
        needed: usize,
        /// The floats of the arena.
        capacity: usize,
    },
    /// The arena has too few nodes.
    Nodes {
        /// The nodes of the arena.
        capacity: usize,
    },
    /// The length of a slice is not the number of elements of its shape.
    Length {
        /// The number of values that were expected.
        expected: usize,
        /// The number of values that were found.
        found: usize,
    },
    /// The data for a rebound input are no whole number of rows, or more rows than recorded.
    Rows {
        /// The number of values that were found.
        found: usize,
        /// The values in a row.
        row: usize,
        /// The rows that were recorded.
        most: usize,
    },
    /// The data for an input of [`backward_over`](crate::Tape::backward_over) are no whole
    /// number of rows, or another number of rows than the data for the first input.
    DataSet {
        /// The position in the list of data, counted from 0.
        input: usize,
        /// The number of values that were found.
        found: usize,
        /// The values in a row; 0 if the input has no rows.
        row: usize,
        /// The rows of the first data; `None` if the first data are at fault.
        rows: Option<usize>,
    },
    /// The data for [`backward_over`](crate::Tape::backward_over) name one input twice.
    InputTwice {
        /// The first position in the list of data, counted from 0.
        first: usize,
        /// The second position.
        second: usize,
    },
    /// An input has more elements than a tensor can have.
    TooLong {
        /// The most elements that a tensor can have.
        most: u32,
        /// The number of values that were found.
        found: usize,
    },
    /// The variable was dropped by a rewind.
    Stale,
    /// The variable belongs to another tape.
    Foreign,
    /// The call takes a tensor of a single element only.
    NotScalar {
        /// The shape of the tensor.
        shape: Shape,
    },
    /// The value does not depend on a parameter, or was recorded without
    /// gradients.
    NoGradient,
    /// Parameters or inputs have changed since the values were computed.
    NotReplayed,
    /// A parameter has no gradient: no `backward` since the last `zero_grad`
    /// reached it. In the error of a step or of clipping, the line is the one that made the
    /// parameter.
    Unused {
        /// The number of the parameter, counted from 0 in the order of recording.
        param: usize,
        /// The shape of the parameter.
        shape: Shape,
    },
    /// The variable is not a parameter.
    NotParam,
    /// The variable is not a borrowed input.
    NotInput,
    /// The variable is the result of an operation or a borrowed input: only parameters and
    /// constants can be overwritten.
    NotLeaf,
    /// The tape is in use: a guard returned by `value`, `params` or `grads`
    /// is still alive, or the call comes from a function that the tape itself runs, such as
    /// an optimizer's step or the closure of `param_from_fn`.
    Borrowed,
    /// The optimizer refused the step.
    Optimizer(OptimizerError),
}

/// The shapes of an operation's operands, packed, because errors are returned by value.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Operands {
    sizes: [[u32; MAX_RANK]; MAX_OPERANDS],
    ranks: [u8; MAX_OPERANDS],
    count: u8,
}

impl Operands {
    pub(crate) fn set(&mut self, shapes: &[Shape]) {
        let slots = self.sizes.iter_mut().zip(&mut self.ranks);
        for ((sizes, rank), shape) in slots.zip(shapes) {
            *sizes = shape.sizes();
            *rank = shape.rank() as u8;
        }
        self.count = shapes.len() as u8;
    }

    /// The shapes, in the operation's order.
    pub fn iter(&self) -> impl Iterator<Item = Shape> {
        let slots = self.sizes.iter().zip(&self.ranks).take(self.count as usize);
        slots.map(|(sizes, rank)| {
            let sizes = sizes.map(|size| size as usize);
            Shape::new(sizes.get(..*rank as usize).unwrap_or_default()).unwrap_or_default()
        })
    }
}

impl fmt::Display for Operands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, shape) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(" and ")?;
            }
            write!(f, "{shape}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Operands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Operands {
    fn format(&self, f: defmt::Formatter<'_>) {
        for (i, shape) in self.iter().enumerate() {
            if i > 0 {
                defmt::write!(f, " and ");
            }
            defmt::write!(f, "{}", shape);
        }
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Error {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "{=str}: {} ({=str}:{=u32})",
            self.op,
            self.kind,
            self.at.file(),
            self.at.line()
        );
    }
}

/// The function that prints a float in a message. It is a pointer, so that `Display` and
/// `Debug` share the code of the messages, and only firmware that calls `Display` links the
/// printing of floats.
type Number = fn(&f32, &mut fmt::Formatter<'_>) -> fmt::Result;

/// The function by which `Debug` prints a float: `Display` with `std`, a placeholder without.
const DEBUG_NUMBER: Number = if cfg!(feature = "std") {
    <f32 as fmt::Display>::fmt
} else {
    |_, f| f.write_str("another value")
};

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text(f, fmt::Display::fmt)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text(f, DEBUG_NUMBER)
    }
}

impl Error {
    fn text(&self, f: &mut fmt::Formatter<'_>, number: Number) -> fmt::Result {
        write!(f, "{}: ", self.op)?;
        self.kind.text(f, number)?;
        write!(f, ", at {}", self.at)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text(f, fmt::Display::fmt)
    }
}

impl fmt::Debug for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text(f, DEBUG_NUMBER)
    }
}

impl ErrorKind {
    fn text(&self, f: &mut fmt::Formatter<'_>, number: Number) -> fmt::Result {
        match self {
            Self::Shape { why, operands } if operands.count == 0 => write!(f, "{why}"),
            Self::Shape { why, operands } => write!(f, "{why}, operands are {operands}"),
            Self::Floats { needed, capacity } => write!(
                f,
                "the arena is full: {needed} floats are needed, it has {capacity}"
            ),
            Self::Nodes { capacity } => write!(
                f,
                "the arena is full: at least {} nodes are needed, it has {capacity}",
                capacity.saturating_add(1)
            ),
            Self::Length { expected, found } => {
                write!(f, "expected {expected} values, found {found}")
            }
            Self::Rows { found, row, most } => write!(
                f,
                "expected 1 to {most} rows of {row} values, found {found} values"
            ),
            Self::DataSet { input, row: 0, .. } => write!(f, "data {input} have no rows"),
            Self::DataSet {
                input,
                found,
                row,
                rows: None,
            } => write!(
                f,
                "expected whole rows of {row} values for data {input}, found {found} values"
            ),
            Self::DataSet {
                input,
                found,
                row,
                rows: Some(rows),
            } => write!(
                f,
                "expected {rows} rows of {row} values for data {input}, found {found} values"
            ),
            Self::InputTwice { first, second } => write!(
                f,
                "data {first} and data {second} are for the same input: expected each input once"
            ),
            Self::TooLong { most, found } => write!(
                f,
                "expected at most {most} values, found {found}: record fewer rows and give all of them to backward_over"
            ),
            Self::Stale => f.write_str("the variable was dropped by a rewind"),
            Self::Foreign => f.write_str("the variable belongs to another tape"),
            Self::NotScalar { shape } => write!(
                f,
                "expected a single number, found shape {shape} (reduce it, or give its gradient to backward_with)"
            ),
            Self::NoGradient => f.write_str("the value does not depend on a parameter"),
            Self::NotReplayed => f.write_str(
                "parameters or inputs have changed since the values were computed: replay first",
            ),
            Self::Unused { param, shape } => write!(
                f,
                "parameter {param} of shape {shape} got no gradient (if that is intended: allow_unused)"
            ),
            Self::NotParam => f.write_str("the variable is not a parameter"),
            Self::NotInput => f.write_str("the variable is not a borrowed input"),
            Self::NotLeaf => f.write_str("only parameters and constants can be set"),
            Self::Borrowed => f.write_str("the tape is in use: drop what value, params or grads lent, or return from the step or function that the tape runs"),
            Self::Optimizer(error) => error.text(f, number),
        }
    }
}

impl core::error::Error for Error {}

/// The reason why an optimizer refused a step. `Debug` prints the text of `Display`, as for
/// [`Error`].
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OptimizerError {
    /// The numbers of parameters and of gradients differ.
    GradientCount {
        /// The number of parameters.
        params: usize,
        /// The number of gradients.
        grads: usize,
    },
    /// The optimizer's state has room for fewer parameters.
    StateSize {
        /// The number of parameters that the state has room for.
        state: usize,
        /// The number of parameters.
        params: usize,
    },
    /// A hyper-parameter is out of range.
    HyperParameter {
        /// The condition that must hold, such as `lr >= 0`.
        expected: &'static str,
        /// The value that breaks the condition.
        found: f32,
    },
    /// The norm of the gradients is infinite or NaN, and the caller asked for an error then:
    /// [`ClipGradNorm::error_if_nonfinite`](crate::optim::ClipGradNorm::error_if_nonfinite).
    NonFiniteNorm {
        /// The norm.
        found: f32,
    },
    /// A schedule's list has another number of values than there are groups of
    /// parameters: see [`Scheduler::check`](crate::optim::schedule::Scheduler::check).
    GroupValues {
        /// The list, by PyTorch's name.
        list: &'static str,
        /// The number of groups of parameters.
        groups: u16,
        /// The number of values in the list.
        values: u16,
    },
    /// The shapes given to the optimizer have another number of elements than there are
    /// parameters.
    Shapes {
        /// The elements of all shapes given to the optimizer.
        elements: usize,
        /// The number of parameters.
        params: usize,
    },
    /// The shapes given to the optimizer are not those of the tape's parameters.
    OtherShape {
        /// The first parameter that has another shape, counted from 0; or the number of shapes
        /// given to the optimizer, if the tape has more or fewer parameters.
        param: usize,
    },
}

impl fmt::Display for OptimizerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text(f, fmt::Display::fmt)
    }
}

impl fmt::Debug for OptimizerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text(f, DEBUG_NUMBER)
    }
}

impl OptimizerError {
    fn text(&self, f: &mut fmt::Formatter<'_>, number: Number) -> fmt::Result {
        match *self {
            Self::GradientCount { params, grads } => {
                write!(
                    f,
                    "expected {params} gradients, one per parameter, found {grads}"
                )
            }
            Self::StateSize { state, params } => {
                write!(
                    f,
                    "expected at most {state} parameters, for which the state has room, found {params}: make it for {params}"
                )
            }
            Self::HyperParameter { expected, found } => {
                write!(f, "expected {expected}, found ")?;
                number(&found, f)
            }
            Self::NonFiniteNorm { found } => {
                f.write_str("expected gradients of a finite norm, found ")?;
                number(&found, f)
            }
            Self::GroupValues {
                list,
                groups,
                values,
            } => write!(
                f,
                "expected {groups} values for {list}, one per group of parameters, found {values}"
            ),
            Self::Shapes { elements, params } => write!(
                f,
                "expected shapes of {params} elements in all, one per parameter, found {elements}: take them from param_shapes"
            ),
            Self::OtherShape { param } => write!(
                f,
                "expected the shapes of the tape's parameters, found others from parameter {param} on: take them from param_shapes"
            ),
        }
    }
}

impl core::error::Error for OptimizerError {}
