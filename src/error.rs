//! The tape's error: what went wrong, in which operation, on which line.

use core::fmt;
use core::panic::Location;

use crate::shape::{MAX_RANK, Shape, ShapeError};

/// The most operands an operation has, and so the most shapes an error names.
pub(crate) const MAX_OPERANDS: usize = 3;

/// The reason why a tape did not do something.
///
/// Operators such as `a + b` cannot return a `Result`. The first failure is
/// kept by the tape, later operations do nothing, and every call that leaves
/// the tape ([`item`](crate::Var::item), [`backward`](crate::Tape::backward),
/// [`step`](crate::Tape::step), [`replay`](crate::Tape::replay), …) returns it.
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
/// Its `Debug` text is that of `Display`, for `fn main() -> Result<(), Error>` and
/// `unwrap` print the former. Without `std` it leaves out the value of an optimizer's
/// hyper-parameter: an `unwrap` would link the printing of floats for it, some 20 KB.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Error {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// The operation or method it went wrong in, as PyTorch names it.
    pub op: &'static str,
    /// The caller's line.
    pub at: &'static Location<'static>,
}

/// The kind of failure. `Debug` gives the text of `Display`, as for [`Error`].
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
        /// How many this call would have needed, with all that is in use.
        needed: usize,
        /// How many there are.
        capacity: usize,
    },
    /// The arena has too few nodes.
    Nodes {
        /// How many there are.
        capacity: usize,
    },
    /// A slice has another length than its shape.
    Length {
        /// How many values were expected.
        expected: usize,
        /// How many there were.
        found: usize,
    },
    /// A rebound input is no whole number of rows, or has more than recorded.
    Rows {
        /// How many values were found.
        found: usize,
        /// The values in a row.
        row: usize,
        /// The rows that were recorded.
        most: usize,
    },
    /// Data for an input are no whole number of rows, or not as many rows as
    /// those of the first.
    DataSet {
        /// The number of the data, counted from 0.
        input: usize,
        /// How many values were found.
        found: usize,
        /// The values in a row; 0 if the input has no rows.
        row: usize,
        /// The rows of the first data, once they are known.
        rows: Option<usize>,
    },
    /// Two of the data are for one input.
    InputTwice {
        /// The first of the two, counted from 0.
        first: usize,
        /// The second.
        second: usize,
    },
    /// An input has more elements than a tensor can have.
    TooLong {
        /// The most there can be.
        most: u32,
        /// How many values were found.
        found: usize,
    },
    /// The variable was recorded before a rewind that dropped it.
    Stale,
    /// The variable belongs to another tape.
    Foreign,
    /// Gradients are only defined of a single number.
    NotScalar {
        /// The shape that is not a single number's.
        shape: Shape,
    },
    /// The value does not depend on a parameter, or was recorded without
    /// gradients.
    NoGradient,
    /// Parameters or inputs have changed since the values were computed.
    NotReplayed,
    /// A parameter has no gradient: no `backward` since the last `zero_grad`
    /// reached it. The error's line is the one that made the parameter.
    Unused {
        /// The number of the parameter, counted from 0 in the order they were made.
        param: usize,
        /// Its shape.
        shape: Shape,
    },
    /// The variable is not a parameter.
    NotParam,
    /// The variable is not a borrowed input.
    NotInput,
    /// The variable is the result of an operation and cannot be set.
    NotLeaf,
    /// The tape is in use: a guard returned by `value`, `params` or `grads`
    /// is still alive, or it was asked from within something it runs, such as
    /// an optimizer's step or a function that gives a leaf its values.
    Borrowed,
    /// The optimizer refused the step.
    Optimizer(OptimizerError),
}

/// The shapes of an operation's operands, packed: errors are returned by value.
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

/// How a text shows a float. It is a pointer, so that `Display` and `Debug` share the code
/// of the text, and only firmware that calls `Display` links the printing of floats.
type Number = fn(&f32, &mut fmt::Formatter<'_>) -> fmt::Result;

/// How `Debug` shows a float: as `Display` does where there is room for it.
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
            Self::NotLeaf => f.write_str("the variable is computed, it cannot be set"),
            Self::Borrowed => f.write_str("the tape is in use: drop what value, params or grads lent, or return from the step or function that the tape runs"),
            Self::Optimizer(error) => error.text(f, number),
        }
    }
}

impl core::error::Error for Error {}

/// Why an optimizer refused to step. `Debug` gives the text of `Display`, as for
/// [`Error`].
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OptimizerError {
    /// There is not one gradient for each parameter.
    GradientCount {
        /// How many parameters there are.
        params: usize,
        /// How many gradients came with them.
        grads: usize,
    },
    /// The state was made for fewer parameters.
    StateSize {
        /// How many parameters the state has room for.
        state: usize,
        /// How many parameters there are.
        params: usize,
    },
    /// A hyper-parameter is out of range.
    HyperParameter {
        /// The condition that must hold, such as `lr >= 0`.
        expected: &'static str,
        /// The value for which it does not.
        found: f32,
    },
    /// The norm of gradients is infinite or NaN, and was not to be clipped then:
    /// [`ClipGradNorm::error_if_nonfinite`](crate::optim::ClipGradNorm::error_if_nonfinite).
    NonFiniteNorm {
        /// The norm.
        found: f32,
    },
    /// A schedule was given a list with another number of values than there are groups of
    /// parameters: see [`Scheduler::check`](crate::optim::schedule::Scheduler::check).
    GroupValues {
        /// The list, by PyTorch's name.
        list: &'static str,
        /// How many groups of parameters there are.
        groups: u16,
        /// How many values the list has.
        values: u16,
    },
    /// The shapes that the optimizer was told have not one element for each parameter.
    Shapes {
        /// How many elements they have in all.
        elements: usize,
        /// How many parameters there are.
        params: usize,
    },
    /// The shapes that the optimizer was told are not those of the tape's parameters.
    OtherShape {
        /// The first parameter that has another shape, counted from 0; the number of shapes
        /// told, if the tape has more or fewer parameters.
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
