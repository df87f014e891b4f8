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
use crate::kernel::Acc;
use crate::shape::{Shape, ShapeError};

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
pub struct Node {
    /// `None` for parameters, inputs and constants.
    pub(crate) op: Option<&'static dyn Op>,
    pub(crate) at: Option<&'static Location<'static>>,
    pub(crate) attrs: Attrs,
    pub(crate) shape: Shape,
    /// Offset of the values in the arena, or [`Node::BORROWED`] and the
    /// input's number.
    pub(crate) place: u32,
    /// Elements now, and elements as recorded (the most there can be).
    pub(crate) len: u32,
    pub(crate) cap: u32,
    /// Offset of the gradient in the gradients, once planned.
    pub(crate) grad: u32,
    pub(crate) generation: u32,
    pub(crate) operands: [u16; MAX_OPERANDS],
    pub(crate) flags: Cell<u8>,
    /// Bit `k`: operand `k` is the first to write its gradient buffer.
    pub(crate) firsts: u8,
    /// Where the operands' values are, and their gradients once planned:
    /// what a pass would otherwise look up in the operands' own nodes.
    pub(crate) sources: [Source; MAX_OPERANDS],
}

/// An operand as its operation sees it.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    /// As [`Node::place`] and [`Node::len`].
    pub(crate) place: u32,
    pub(crate) len: u32,
    /// As [`Node::grad`], or [`Source::NO_GRAD`]; with [`Source::PARAM`] for
    /// parameters, whose gradients outlive a pass.
    pub(crate) grad: u32,
}

impl Source {
    pub(crate) const NO_GRAD: u32 = 1 << 30;
    pub(crate) const PARAM: u32 = 1 << 31;

    pub(crate) const NONE: Source = Source {
        place: 0,
        len: 0,
        grad: 0,
    };
}

impl Node {
    /// An unused entry. All zeros, so that a `static` arena takes no flash.
    #[allow(clippy::declare_interior_mutable_const)] // copied, never referred to
    pub const EMPTY: Node = Node {
        op: None,
        at: None,
        attrs: Attrs {
            words: [0; 4],
            tag: 0,
        },
        shape: Shape::SCALAR,
        place: 0,
        len: 0,
        cap: 0,
        grad: 0,
        generation: 0,
        operands: [0; MAX_OPERANDS],
        flags: Cell::new(0),
        firsts: 0,
        sources: [Source::NONE; MAX_OPERANDS],
    };

    /// Set in `place` of borrowed inputs.
    pub(crate) const BORROWED: u32 = 1 << 31;

    /// Gradients flow through this node.
    pub(crate) const REQUIRES_GRAD: u8 = 1;
    /// Trainable leaf. Its `operands` hold the number of the next one.
    pub(crate) const PARAM: u8 = 2;
    /// A parameter whose gradient holds something: the next one is added.
    pub(crate) const WRITTEN: u8 = 4;
    /// A parameter that may go without a gradient.
    pub(crate) const ALLOW_UNUSED: u8 = 8;
    /// Its gradient buffer is taken, at this point of planning.
    pub(crate) const LIVE: u8 = 16;
    /// Shows another node's values: nothing to compute.
    pub(crate) const VIEW: u8 = 32;
    /// A result on the way from the planned loss to a parameter.
    pub(crate) const PLANNED: u8 = 64;

    #[inline(always)]
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags.get() & flag != 0
    }

    /// Whether its values stand at `offset` in the arena or behind it, where
    /// they move if the parameters take more room or less. A view of a parameter
    /// stands among those and stays.
    pub(crate) fn stands_from(&self, offset: usize) -> bool {
        !self.has(Self::PARAM) && self.place & Self::BORROWED == 0 && self.place as usize >= offset
    }

    #[inline(always)]
    pub(crate) fn set(&self, flag: u8) {
        self.flags.set(self.flags.get() | flag);
    }

    #[inline(always)]
    pub(crate) fn clear(&self, flag: u8) {
        self.flags.set(self.flags.get() & !flag);
    }
}

impl core::fmt::Debug for Node {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let op = self.op.map_or("leaf", |op| op.name());
        f.debug_struct("Node")
            .field("op", &op)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// A slice that belongs to the user, possibly in flash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Borrowed<'t> {
    pub(crate) data: &'t [f32],
    /// Data of another batch size, taken over by the next replay.
    pub(crate) next: Option<&'t [f32]>,
    pub(crate) node: u16,
}

/// The values at a place of the arena, or of a borrowed input.
#[inline(always)]
pub(crate) fn values_at<'a>(
    values: &'a [f32],
    inputs: &'a [Borrowed<'_>],
    place: u32,
    len: u32,
) -> &'a [f32] {
    let found = if place & Node::BORROWED == 0 {
        let from = values.get(place as usize..);
        from.and_then(|from| from.get(..len as usize))
    } else {
        let number = (place & !Node::BORROWED) as usize;
        inputs.get(number).map(|input| input.data)
    };
    found.unwrap_or_default()
}

/// The shapes of a node's operands, and how many there are.
pub(crate) fn operand_shapes(nodes: &[Node], node: &Node) -> ([Shape; MAX_OPERANDS], usize) {
    let mut shapes = [Shape::SCALAR; MAX_OPERANDS];
    let mut count = 0;
    for (to, &id) in shapes.iter_mut().zip(&node.operands) {
        if let Some(operand) = nodes.get(id as usize) {
            *to = operand.shape;
            count += 1;
        }
    }
    (shapes, count)
}

/// What an operation is given to compute its result.
pub struct Forward<'a> {
    pub(crate) nodes: &'a [Node],
    pub(crate) inputs: &'a [Borrowed<'a>],
    pub(crate) floats: &'a mut [f32],
    pub(crate) node: &'a Node,
}

impl<'a> Forward<'a> {
    /// The values of the first `N` operands, to read, and the result, to write;
    /// it holds the previous replay's values. Operands that are not there are
    /// empty.
    #[inline(always)]
    pub fn split<const N: usize>(&mut self) -> ([&[f32]; N], &mut [f32]) {
        let Node {
            place,
            len,
            sources,
            ..
        } = self.node;
        // Operands stand before their result.
        let mut operands = [&[] as &[f32]; N];
        let Some((before, rest)) = self.floats.split_at_mut_checked(*place as usize) else {
            return (operands, &mut []);
        };
        for (to, source) in operands.iter_mut().zip(sources) {
            *to = values_at(before, self.inputs, source.place, source.len);
        }
        let output = rest.get_mut(..*len as usize).unwrap_or_default();
        (operands, output)
    }

    /// The shape of operand `k`.
    pub fn operand_shape(&self, k: usize) -> Shape {
        operand_shape(self.nodes, self.node, k)
    }

    /// The shape of the result.
    pub fn shape(&self) -> Shape {
        self.node.shape
    }

    /// The attributes as the shape rule left them.
    #[inline(always)]
    pub fn attrs(&self) -> &'a Attrs {
        &self.node.attrs
    }
}

/// What an operation is given to send gradients to its operands.
pub struct Backward<'a> {
    pub(crate) nodes: &'a [Node],
    pub(crate) inputs: &'a [Borrowed<'a>],
    pub(crate) values: &'a [f32],
    pub(crate) grads: &'a mut [f32],
    pub(crate) node: &'a Node,
    /// Bit `k`: operand `k`'s gradient was lent.
    pub(crate) lent: u8,
}

impl<'a> Backward<'a> {
    /// The values of operand `k`.
    #[inline(always)]
    pub fn operand(&self, k: usize) -> &'a [f32] {
        match self.node.sources.get(k) {
            Some(source) => values_at(self.values, self.inputs, source.place, source.len),
            None => &[],
        }
    }

    /// The shape of operand `k`.
    pub fn operand_shape(&self, k: usize) -> Shape {
        operand_shape(self.nodes, self.node, k)
    }

    /// The values of the result.
    #[inline(always)]
    pub fn output(&self) -> &'a [f32] {
        values_at(self.values, self.inputs, self.node.place, self.node.len)
    }

    /// The shape of the result.
    pub fn shape(&self) -> Shape {
        self.node.shape
    }

    /// The attributes as the shape rule left them.
    #[inline(always)]
    pub fn attrs(&self) -> &'a Attrs {
        &self.node.attrs
    }

    /// Lends the gradients needed for operand `k`: the result's, to read, and
    /// the operand's, to write or add to. `None` if no gradient flows there.
    ///
    /// To be called once for each operand, in order. An operand used twice, as
    /// in `x * x`, is written by the first call and added to by the second. An
    /// operand it is not called for gets zeros from this operation.
    #[inline]
    pub fn grad(&mut self, k: usize) -> Option<Grad<'_>> {
        let node = self.node;
        let source = node.sources.get(k)?;
        if source.grad & Source::NO_GRAD != 0 {
            return None;
        }
        let (from, to) = (node.grad as usize, (source.grad & !Source::PARAM) as usize);
        let [output, operand] = self
            .grads
            .get_disjoint_mut([from..from + node.len as usize, to..to + source.len as usize])
            .ok()?;
        self.lent |= 1 << k;
        let first = if source.grad & Source::PARAM == 0 {
            node.firsts & 1 << k != 0
        } else {
            let id = *node.operands.get(k)?;
            let param = self.nodes.get(id as usize)?;
            let first = !param.has(Node::WRITTEN);
            param.set(Node::WRITTEN);
            first
        };
        Some(Grad {
            output,
            operand,
            acc: if first { Acc::Set } else { Acc::Add },
        })
    }

    /// Clears the buffers that this operation should have been the first to
    /// write, and did not ask for.
    #[cold]
    pub(crate) fn clear_unlent(&mut self) {
        for (k, source) in self.node.sources.iter().enumerate() {
            if self.node.firsts & !self.lent & 1 << k != 0 {
                let start = source.grad as usize;
                if let Some(grad) = self.grads.get_mut(start..start + source.len as usize) {
                    grad.fill(-0.0);
                }
            }
        }
    }
}

fn operand_shape(nodes: &[Node], node: &Node, k: usize) -> Shape {
    node.operands
        .get(k)
        .and_then(|&id| nodes.get(id as usize))
        .map(|operand| operand.shape)
        .unwrap_or_default()
}

/// The gradients an operation works on for one of its operands.
#[derive(Debug)]
pub struct Grad<'g> {
    /// The loss's gradient with respect to the result.
    pub output: &'g [f32],
    /// The loss's gradient with respect to the operand. With [`Acc::Set`] it
    /// holds nothing yet and every element must be written.
    pub operand: &'g mut [f32],
    /// Whether to write or to add.
    pub acc: Acc,
}

impl core::fmt::Debug for Forward<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Forward")
            .field("node", self.node)
            .finish_non_exhaustive()
    }
}

impl core::fmt::Debug for Backward<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Backward")
            .field("node", self.node)
            .finish_non_exhaustive()
    }
}
