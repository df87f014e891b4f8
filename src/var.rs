//! `Var`: a value on a tape, as cheap to copy as a reference.

use core::cell::Ref;
use core::fmt;
use core::panic::Location;

use crate::error::Error;
use crate::op::{Attrs, Stamp};
use crate::shape::Shape;
use crate::tape::Tape;

/// A tensor recorded on a [`Tape`].
///
/// Arithmetic between `Var`s, and with `f32` on either side, records an
/// operation and computes its result at once. Shapes broadcast as in PyTorch.
///
/// ```
/// use baregrad::{Arena, Var};
///
/// fn model<'t>(t_u: Var<'t>, w: Var<'t>, b: Var<'t>) -> Var<'t> {
///     w * t_u + b
/// }
///
/// let mut arena = Arena::<32, 8>::new();
/// let tape = arena.tape();
/// let w = tape.param(&[2.0], []);
/// let b = tape.param(&[1.0], []);
/// let t_u = tape.input(&[1.0, 2.0, 3.0], [3]);
/// let t_p = model(t_u, w, b);
/// assert_eq!(*t_p.value()?, [3.0, 5.0, 7.0]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Var<'t> {
    pub(crate) tape: &'t Tape<'t>,
    // With a stamp of 32 bits, a variable has two words, which the compiler keeps in registers.
    pub(crate) stamp: Stamp,
}

impl<'t> Var<'t> {
    pub(crate) fn new(tape: &'t Tape<'t>, stamp: Stamp) -> Self {
        Var { tape, stamp }
    }

    /// The variable that a failed operation returns; the tape keeps the error.
    pub(crate) fn unrecorded(tape: &'t Tape<'t>) -> Self {
        Var::new(tape, Stamp::UNRECORDED)
    }

    /// Records an operation with this variable as its first operand.
    #[track_caller]
    pub(crate) fn unary(self, op: &'static dyn crate::op::Op, attrs: Attrs) -> Var<'t> {
        self.tape.apply(op, &[self], attrs)
    }

    /// The tape this variable is recorded on.
    pub fn tape(self) -> &'t Tape<'t> {
        self.tape
    }

    /// Returns the number in a tensor of one element. After a step, results keep their
    /// values until the next replay, as in PyTorch a loss does until the next
    /// forward pass.
    ///
    /// # Errors
    /// A tensor that has not exactly one element; a variable dropped by a rewind; the error
    /// the tape keeps.
    #[track_caller]
    #[inline]
    pub fn item(self) -> Result<f32, Error> {
        match self.tape.peek(self) {
            Some(x) => Ok(x),
            None => Err(self.no_item()),
        }
    }

    /// Finds out why [`item`](Self::item) has no number to return.
    #[cold]
    #[track_caller]
    fn no_item(self) -> Error {
        if let Ok(state) = self.tape.look()
            && let Ok(node) = state.look(self.tape.stamp(self))
        {
            state.not_scalar(node);
        }
        self.tape.why("item", Location::caller())
    }

    /// The values, row by row. While the guard is alive, calls that change the
    /// tape are errors.
    ///
    /// # Errors
    /// A variable dropped by a rewind; the error the tape keeps.
    #[track_caller]
    pub fn value(self) -> Result<Ref<'t, [f32]>, Error> {
        self.tape.view("value", |state| {
            let node = state.look(self.tape.stamp(self))?;
            Ok(state.values(node))
        })
    }

    /// The gradient that `backward` has collected for this parameter.
    ///
    /// Only parameters keep their gradients: those of intermediate results share memory and
    /// overwrite one another.
    ///
    /// # Errors
    /// A parameter that no `backward` since the last `zero_grad` reached; a variable that is
    /// no parameter, or was dropped by a rewind; the error the tape keeps.
    #[track_caller]
    pub fn grad(self) -> Result<Ref<'t, [f32]>, Error> {
        self.tape.view("grad", |state| {
            let node = state.look(self.tape.stamp(self))?;
            state.grad(node)
        })
    }

    /// Returns whether a `backward` since the last `zero_grad` reached this parameter.
    /// PyTorch's `.grad` is then not `None`.
    pub fn has_grad(self) -> bool {
        self.tape
            .read("has_grad", |state| {
                let node = state.look(self.tape.stamp(self))?;
                Ok(state.has_grad(node))
            })
            .unwrap_or(false)
    }

    /// The shape; `[]` for a variable that could not be recorded or was dropped by a rewind, and
    /// for every variable while the tape keeps an error.
    pub fn shape(self) -> Shape {
        self.tape
            .read("shape", |state| {
                let node = state.look(self.tape.stamp(self))?;
                Ok(node.tensor.shape)
            })
            .unwrap_or_default()
    }

    /// Whether gradients flow through this value.
    pub fn requires_grad(self) -> bool {
        self.tape
            .read("requires_grad", |state| {
                let node = state.look(self.tape.stamp(self))?;
                Ok(node.has(crate::op::Node::REQUIRES_GRAD))
            })
            .unwrap_or(false)
    }
}

/// Prints values and shape: `[3, 5] with shape [2]`. A scalar is printed as a number alone.
impl fmt::Display for Var<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            Ok(values) => match &*values {
                [x] if self.shape().rank() == 0 => fmt::Display::fmt(x, f),
                values => {
                    f.write_str("[")?;
                    for (i, x) in values.iter().enumerate() {
                        if i > 0 {
                            f.write_str(", ")?;
                        }
                        fmt::Display::fmt(x, f)?;
                    }
                    write!(f, "] with shape {}", self.shape())
                }
            },
            Err(error) => write!(f, "({error})"),
        }
    }
}

impl fmt::Debug for Var<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Var")
            .field("stamp", &self.stamp)
            .field("shape", &self.shape())
            .finish_non_exhaustive()
    }
}
