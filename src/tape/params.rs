//! The parameters as a whole, and which of them hold gradients.

use core::cell::Cell;

use crate::op::Node;

/// The parameters as a whole.
pub(super) struct Params {
    /// The floats they take, and their gradients as many.
    pub(super) floats: usize,
    /// The parameters that hold gradients.
    pub(super) collected: Cell<Collected>,
    /// The parameters that gradients of the planned loss flow to.
    pub(super) reached: Collected,
}

/// A set of parameters: those whose node has one of these flags. With it, the usual epoch, one
/// `backward` after each `zero_grad`, looks at no parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Collected(pub(super) u16);

impl Collected {
    /// No parameter.
    pub(super) const NONE: Self = Self(0);
    /// The parameters that the planned loss depends on.
    pub(super) const PLANNED: Self = Self(Node::PLANNED);
    /// All parameters, if the planned loss depends on each. `NO_PARAM`, which none has, tells
    /// the set from [`PLANNED`](Self::PLANNED).
    pub(super) const ALL: Self = Self(Node::PLANNED | Node::NO_PARAM);
    /// The parameters with gradients from before.
    pub(super) const WRITTEN: Self = Self(Node::WRITTEN);
    /// The parameters with gradients from before, and those of the planned loss.
    pub(super) const WRITTEN_OR_PLANNED: Self = Self(Node::WRITTEN | Node::PLANNED);
}

/// The purpose that the gradients of all parameters are needed for. The number of each is the
/// bits of the `f32` that stands for a missing gradient and changes nothing, so that firmware
/// needs no table of them.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Purpose {
    /// Other gradients are to be added: -0.
    Add = 1 << 31,
    /// An optimizer's step: 0.
    Step = 0,
}
