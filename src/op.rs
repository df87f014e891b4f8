//! What an operation is: a shape rule, a forward pass and a backward pass.
//!
//! The tape knows no operation by name. It keeps a `&'static dyn Op` and a few
//! words of attributes per node, so an operation nobody uses costs no flash,
//! and one written outside this crate is recorded, replayed and differentiated
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

use core::cell::Cell;
use core::panic::Location;

use crate::error::MAX_OPERANDS;
use crate::shape::{Shape, ShapeError};

mod lend;
mod stamp;

pub use lend::{Backward, Forward, Grad};
pub(crate) use lend::{Floats, Link, Nodes, Operand, Span, Start, Tensor, number, set_number};
pub(crate) use stamp::{Stamp, Stamps};

/// One kind of operation, with everything the tape needs to know of it.
pub trait Op: Sync {
    /// PyTorch's name for it, for errors and tests.
    fn name(&self) -> &'static str;

    /// The shape of the result.
    ///
    /// Called once when the operation is recorded, and again when an input was
    /// rebound with another batch size; never by a plain replay. What `forward`
    /// and `backward` would otherwise work out from the shapes each time
    /// belongs into spare words of `attrs`.
    ///
    /// # Errors
    /// Which rule the operands break.
    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError>;

    /// Computes the result from the operands.
    fn forward(&self, cx: &mut Forward<'_>);

    /// Sends the result's gradient on to the operands, each lent by
    /// [`Backward::grad`] in turn.
    fn backward(&self, cx: &mut Backward<'_>);

    /// A view shows its only operand's values under another shape: it takes no
    /// floats and its `forward` is never called.
    fn is_view(&self) -> bool {
        false
    }

    /// How many numbers `forward` keeps for `backward`, beside the result: PyTorch's
    /// `save_for_backward`. See [`Forward::saved`].
    fn saves(&self) -> u8 {
        0
    }

    /// Says that the gradient of operand `k`, if that has as many elements as the
    /// result, is the result's gradient as it is. It may then share its memory,
    /// instead of being asked for with [`Backward::grad`].
    fn passes_grad(&self, k: usize) -> Option<PassGrad> {
        let _ = k;
        None
    }
}

/// That an operation passes a gradient on as it is, and how: firmware without such an
/// operation is linked without it. See [`Op::passes_grad`].
#[derive(Clone, Copy)]
pub struct PassGrad(pub(crate) fn(&mut Nodes<'_>, Link, usize) -> bool);

impl PassGrad {
    /// The only one there is.
    #[allow(clippy::new_without_default)] // nothing is passed by default
    pub const fn new() -> Self {
        PassGrad(pass_grad)
    }
}

/// While planning, gives operand `k` of a node, if it can, the node's own gradient.
fn pass_grad(nodes: &mut Nodes<'_>, link: Link, k: usize) -> bool {
    let node = nodes.at(link);
    let operand = node.operands.get(k).copied().unwrap_or(Operand::NONE);
    let own = node.tensor.grad;
    // Once only: what is added for one must not reach the other.
    let mut later = node.operands.iter().skip(k + 1);
    let mut all = node.operands.iter();
    let passes = nodes.tensor(operand).values.len() == node.len()
        && !later.any(|other| *other == operand)
        && !all.any(|other| nodes.tensor(*other).grad == own);
    let Some(heir) = operand.link().filter(|_| passes) else {
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

/// A few words that belong to one recorded operation: a slope, an axis, the
/// sizes its shape rule found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attrs {
    /// Numbers, of whatever meaning the operation gives them.
    pub words: [u32; 4],
    /// A small number or a set of flags.
    pub tag: u32,
}

impl Attrs {
    /// No attributes: all zeros, as by default.
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

/// A tape's entry for one value. Opaque; public so that storage for a
/// [`Tape`](crate::Tape) can be made of it.
#[derive(Clone)]
#[repr(C)] // what every pass looks at comes first
pub struct Node {
    pub(crate) tensor: Tensor,
    /// `None` for parameters, inputs and constants.
    pub(crate) op: Option<&'static dyn Op>,
    pub(crate) operands: [Operand; MAX_OPERANDS],
    /// What runs next in a forward pass.
    pub(crate) next: Cell<Option<Link>>,
    /// The operation that runs next in the planned backward pass. While planning, both are borrowed
    /// for other purposes: see `tape::place`.
    pub(crate) next_planned: Cell<Option<Link>>,
    /// Bit `k`: operand `k` is the first to write its gradient buffer, in a pass that
    /// adds to gradients of parameters; bit `ANEW + k`: in one that starts anew.
    pub(crate) firsts: u8,
    /// Floats behind the values, for the operation to keep something in.
    pub(crate) saved: u8,
    pub(crate) flags: Cell<u16>,
    pub(crate) attrs: Attrs,
    /// Elements as recorded: the most there can be.
    pub(crate) cap: u32,
    pub(crate) stamp: Stamp,
    pub(crate) at: Option<&'static Location<'static>>,
}

impl Node {
    /// An unused entry. All zeros, so that a `static` arena takes no flash.
    #[allow(clippy::declare_interior_mutable_const)] // copied, never referred to
    pub const EMPTY: Node = Node {
        tensor: Tensor::UNUSED,
        op: None,
        operands: [Operand::UNUSED; MAX_OPERANDS],
        next: Cell::new(None),
        next_planned: Cell::new(None),
        firsts: 0,
        saved: 0,
        flags: Cell::new(0),
        attrs: Attrs::NONE,
        cap: 0,
        stamp: Stamp::NONE,
        at: None,
    };

    /// See `firsts`.
    pub(crate) const ANEW: u32 = 4;
    pub(crate) const ADDING: u8 = (1 << Self::ANEW) - 1;

    /// Gradients flow through this node.
    pub(crate) const REQUIRES_GRAD: u16 = 1;
    /// Trainable leaf.
    pub(crate) const PARAM: u16 = 2;
    /// A parameter whose gradient holds something; see `Collected`.
    pub(crate) const WRITTEN: u16 = 4;
    /// A parameter that may go without a gradient.
    pub(crate) const ALLOW_UNUSED: u16 = 8;
    /// A view of its values was recorded: there is one still, or was.
    pub(crate) const VIEWED: u16 = 16;
    /// Shows another node's values: nothing to compute.
    pub(crate) const VIEW: u16 = 32;
    /// The planned loss's gradient flows to this parameter.
    pub(crate) const PLANNED: u16 = 64;
    /// Its values are an input's, not the arena's.
    pub(crate) const BORROWED: u16 = 128;
    /// An input whose data of another batch size wait for the next replay.
    pub(crate) const PENDING: u16 = 256;

    /// No parameter has this one.
    pub(crate) const NO_PARAM: u16 = 512;
    /// An input that shows other data on trial.
    pub(crate) const TRIED: u16 = 1024;

    #[inline(always)]
    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }

    /// An input, and not a view of one.
    pub(crate) fn is_input(&self) -> bool {
        self.op.is_none() && self.has(Self::BORROWED)
    }

    /// Lets an input show other data, of as many rows as there are.
    pub(crate) fn show_rows(&mut self, data: Span) {
        let row = self.tensor.shape.row_numel();
        let rows = data.len().checked_div(row).unwrap_or(0);
        self.tensor.shape = self.tensor.shape.with_dim(0, rows);
        self.tensor.values = data;
    }

    /// An operation that a forward pass runs.
    pub(crate) fn runs_forward(&self) -> bool {
        self.op.is_some() && !self.has(Self::VIEW)
    }

    /// Its elements.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.tensor.values.len()
    }

    /// The floats that its gradient takes: at least one, so that no two have the same
    /// place.
    pub(crate) fn extent(&self) -> usize {
        self.len().max(1)
    }

    #[inline(always)]
    pub(crate) fn set(&self, flag: u16) {
        self.flags.set(self.flags.get() | flag);
    }

    #[inline(always)]
    pub(crate) fn clear(&self, flag: u16) {
        self.flags.set(self.flags.get() & !flag);
    }
}

impl core::fmt::Debug for Node {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let op = self.op.map_or("leaf", |op| op.name());
        f.debug_struct("Node")
            .field("op", &op)
            .field("shape", &self.tensor.shape)
            .finish_non_exhaustive()
    }
}
