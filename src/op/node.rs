//! `Node`: a tape's entry for one value.

use core::cell::Cell;
use core::panic::Location;

use super::{Attrs, NodePtr, Op, Operand, RawSlice, Stamp, Tensor};
use crate::error::MAX_OPERANDS;

/// A tape's entry for one value. It is opaque, and public so that users can declare storage
/// for a [`Tape`](crate::Tape).
#[derive(Clone)]
#[repr(C)] // the fields that every pass reads come first
pub struct Node {
    pub(crate) tensor: Tensor,
    /// `None` for parameters, inputs and constants.
    pub(crate) op: Option<&'static dyn Op>,
    pub(crate) operands: [Operand; MAX_OPERANDS],
    /// The operation that runs next in a forward pass.
    pub(crate) next: Cell<Option<NodePtr>>,
    /// The operation that runs next in the planned backward pass. While gradients are planned,
    /// this field and `next` hold other numbers: see `tape::places`.
    pub(crate) next_planned: Cell<Option<NodePtr>>,
    /// Bit `k`: this operation is the first to write to the gradient of operand `k`, in a pass
    /// that adds to the gradients of parameters. Bit `ANEW + k`: the same in a pass that
    /// overwrites them.
    pub(crate) firsts: u8,
    /// The number of floats behind the values that the operation keeps for its backward pass.
    pub(crate) saved: u8,
    pub(crate) flags: Cell<u16>,
    pub(crate) attrs: Attrs,
    /// The number of elements as recorded, which other batch sizes cannot exceed.
    pub(crate) cap: u32,
    pub(crate) stamp: Stamp,
    pub(crate) at: Option<&'static Location<'static>>,
}

impl Node {
    /// An unused entry. All zeros, so that a `static` arena takes no flash.
    #[allow(clippy::declare_interior_mutable_const)] // only ever copied into arrays
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

    /// The shift, in `firsts`, of the bits of a pass that overwrites the gradients of parameters.
    pub(crate) const ANEW: u32 = 4;
    /// The bits of `firsts` for one pass.
    pub(crate) const ADDING: u8 = (1 << Self::ANEW) - 1;

    /// Gradients flow through this node.
    pub(crate) const REQUIRES_GRAD: u16 = 1;
    /// A parameter.
    pub(crate) const PARAM: u16 = 2;
    /// A parameter that holds a gradient from before the plan was made; see `Collected`.
    pub(crate) const WRITTEN: u16 = 4;
    /// A parameter that is allowed to get no gradient.
    pub(crate) const ALLOW_UNUSED: u16 = 8;
    /// A node of which a view was recorded, which may have been dropped since.
    pub(crate) const VIEWED: u16 = 16;
    /// A view, which shows another node's values and computes nothing.
    pub(crate) const VIEW: u16 = 32;
    /// A parameter that the planned loss depends on.
    pub(crate) const PLANNED: u16 = 64;
    /// An input or a view of one: the values are not in the arena.
    pub(crate) const BORROWED: u16 = 128;
    /// An input whose data of another batch size wait for the next replay.
    pub(crate) const PENDING: u16 = 256;
    /// A flag that no parameter has: see `Collected::ALL`.
    pub(crate) const NO_PARAM: u16 = 512;
    /// An input that shows other data for a trial.
    pub(crate) const TRIED: u16 = 1024;

    #[inline(always)]
    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }

    /// Returns whether this is an input, and not a view of one.
    pub(crate) fn is_input(&self) -> bool {
        self.op.is_none() && self.has(Self::BORROWED)
    }

    /// Makes an input show other data, with as many rows as these have.
    pub(crate) fn show_rows(&mut self, data: RawSlice) {
        let row = self.tensor.shape.row_numel();
        let rows = data.len().checked_div(row).unwrap_or(0);
        self.tensor.shape = self.tensor.shape.with_dim(0, rows);
        self.tensor.values = data;
    }

    /// Returns whether a forward pass runs this node: it is an operation and no view.
    pub(crate) fn runs_forward(&self) -> bool {
        self.op.is_some() && !self.has(Self::VIEW)
    }

    /// The number of elements.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.tensor.values.len()
    }

    /// The floats that the gradient takes: at least one, so that no two gradients have the same
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
