//! The trait of operations: a shape rule, a forward pass and a backward pass.
//!
//! The tape knows no operation by name. It keeps a `&'static dyn Op` and a few
//! words of attributes per node, so an unused operation costs no flash,
//! and an operation written outside this crate is recorded, replayed and differentiated
//! exactly like the built-in ones:
//!
//! ```
//! use baregrad::kernel::{self, Lanes, Map};
//! use baregrad::op::{Attrs, Backward, Forward, Op};
//! use baregrad::{Arena, Shape, ShapeError};
//!
//! /// `x³`, and its derivative `3x²`.
//! struct Cube;
//!
//! struct Forwards;
//! impl Map<1> for Forwards {
//!     fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
//!         x * x * x
//!     }
//! }
//!
//! struct Backwards;
//! impl Map<2> for Backwards {
//!     fn apply<L: Lanes>(&self, &[x, g]: &[L; 2]) -> L {
//!         g * (L::splat(3.0) * (x * x))
//!     }
//! }
//!
//! impl Op for Cube {
//!     fn name(&self) -> &'static str {
//!         "cube"
//!     }
//!     fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
//!         match operands {
//!             [x] => Ok(*x),
//!             _ => Err(ShapeError::Operands { expected: 1 }),
//!         }
//!     }
//!     fn forward(&self, cx: &mut Forward<'_>) {
//!         let ([x], y) = cx.split();
//!         kernel::map(Forwards, [x], y, kernel::Acc::Set);
//!     }
//!     fn backward(&self, cx: &mut Backward<'_>) {
//!         let x = cx.operand(0);
//!         if let Some(grad) = cx.grad(0) {
//!             kernel::map(Backwards, [x, grad.output], grad.operand, grad.acc);
//!         }
//!     }
//! }
//!
//! let mut arena = Arena::<16, 4>::new();
//! let tape = arena.tape();
//! let x = tape.param(&[2.0], []);
//! let y = tape.apply(&Cube, &[x], Attrs::default());
//! tape.backward(y)?;
//! assert_eq!(y.item()?, 8.0);
//! assert_eq!(*x.grad()?, [12.0]);
//! # Ok::<(), baregrad::Error>(())
//! ```

use crate::shape::{Shape, ShapeError};

mod lend;
mod node;
mod stamp;

pub use lend::{Backward, Forward, Grad};
pub(crate) use lend::{
    FloatPtr, Floats, NodePtr, Nodes, Operand, RawSlice, Tensor, number, set_number,
};
pub use node::Node;
pub(crate) use stamp::{Stamp, Stamps};

/// One kind of operation, with everything the tape needs to know about it.
pub trait Op: Sync {
    /// The name of the operation, in errors and tests; for built-in ones that of PyTorch.
    fn name(&self) -> &'static str;

    /// Returns the shape of the result.
    ///
    /// Called once when the operation is recorded, and again when an input was
    /// rebound with another batch size; never by a plain replay. Numbers that `forward`
    /// and `backward` would otherwise compute from the shapes each time
    /// belong in spare words of `attrs`.
    ///
    /// # Errors
    /// The rule that the operands break.
    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError>;

    /// Computes the result from the operands.
    fn forward(&self, cx: &mut Forward<'_>);

    /// Computes the gradients of the operands from that of the result. [`Backward::grad`] lends
    /// the slices for one operand after the other.
    fn backward(&self, cx: &mut Backward<'_>);

    /// Returns whether the operation is a view, which shows its only operand's values under
    /// another shape: it takes no floats, and its `forward` is never called.
    fn is_view(&self) -> bool {
        false
    }

    /// The number of floats that `forward` keeps for `backward`, beside the result: PyTorch's
    /// `save_for_backward`. See [`Forward::saved`].
    fn saves(&self) -> u8 {
        0
    }

    /// Returns `Some` if the gradient of operand `k` equals that of the result whenever both
    /// have as many elements. The tape may then let the two share memory, and
    /// [`Backward::grad`] returns `None` for the operand.
    fn passes_grad(&self, k: usize) -> Option<PassGrad> {
        let _ = k;
        None
    }
}

/// Returned by an operation that passes a gradient on unchanged: see [`Op::passes_grad`]. It
/// holds a function pointer, so that firmware without such an operation does not link the code
/// for it: 92 bytes of flash on a Cortex-M4F.
#[derive(Clone, Copy)]
pub struct PassGrad(pub(crate) fn(&mut Nodes<'_>, NodePtr, usize) -> bool);

impl PassGrad {
    /// The only value of this type.
    #[allow(clippy::new_without_default)] // by default, no gradient is passed on
    pub const fn new() -> Self {
        PassGrad(pass_grad)
    }
}

/// Makes operand `k` of a node share the node's gradient, and returns whether that is possible.
/// Called while planning.
fn pass_grad(nodes: &mut Nodes<'_>, ptr: NodePtr, k: usize) -> bool {
    let node = nodes.at(ptr);
    let operand = node.operands.get(k).copied().unwrap_or(Operand::NONE);
    let own = node.tensor.grad;
    // Two operands never share a gradient: a term added for one must not reach the other.
    let mut later = node.operands.iter().skip(k + 1);
    let mut all = node.operands.iter();
    let passes = nodes.tensor(operand).values.len() == node.len()
        && !later.any(|other| *other == operand)
        && !all.any(|other| nodes.tensor(*other).grad == own);
    let Some(heir) = operand.ptr().filter(|_| passes) else {
        return false;
    };
    let heir = nodes.at_mut(heir);
    heir.tensor.grad = own;
    true
}

impl core::fmt::Debug for PassGrad {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PassGrad")
    }
}

/// A few words that belong to one recorded operation, such as a slope, an axis, or the
/// sizes that its shape rule computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attrs {
    /// Numbers whose meaning is up to the operation.
    pub words: [u32; 4],
    /// A small number or a set of flags.
    pub tag: u32,
}

impl Attrs {
    /// No attributes: all zeros, like the default.
    pub(crate) const NONE: Attrs = Attrs {
        words: [0; 4],
        tag: 0,
    };

    /// Attributes that hold one number.
    pub const fn float(x: f32) -> Self {
        Self::floats(x, 0.0)
    }

    /// Attributes that hold two numbers.
    pub const fn floats(x: f32, y: f32) -> Self {
        Attrs {
            words: [x.to_bits(), y.to_bits(), 0, 0],
            tag: 0,
        }
    }

    /// The first number.
    #[inline(always)]
    pub const fn x(&self) -> f32 {
        f32::from_bits(self.words[0])
    }

    /// The second number.
    #[inline(always)]
    pub const fn y(&self) -> f32 {
        f32::from_bits(self.words[1])
    }

    /// The words as sizes.
    #[inline(always)]
    pub const fn sizes(&self) -> [usize; 4] {
        let [a, b, c, d] = self.words;
        [a as usize, b as usize, c as usize, d as usize]
    }
}
