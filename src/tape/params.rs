//! The parameters as a whole, and which of them hold gradients.

use core::cell::Cell;

use crate::op::Node;

/// The parameters as a whole.
pub(super) struct Params {
    /// The floats that all parameters take; their gradients take as many.
    pub(super) floats: usize,
    /// The parameters that hold gradients.
    pub(super) collected: Cell<Collected>,
    /// The parameters that gradients of the planned loss flow to.
    pub(super) reached: Collected,
}

/// A set of parameters: those whose node has one of these flags. It is replaced as a whole, so
/// that the usual epoch, one `backward` after each `zero_grad`, looks at no parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Collected(pub(super) u16);

impl Collected {
    /// No parameter.
    pub(super) const NONE: Self = Self(0);
    /// The parameters that the planned loss depends on.
    pub(super) const PLANNED: Self = Self(Node::PLANNED);
    /// All parameters, if the planned loss depends on each. `NO_PARAM`, a flag that no parameter
    /// has, makes this set differ from [`PLANNED`](Self::PLANNED).
    pub(super) const ALL: Self = Self(Node::PLANNED | Node::NO_PARAM);
    /// The parameters with gradients from before the plan was made.
    pub(super) const WRITTEN: Self = Self(Node::WRITTEN);
    /// The parameters with gradients from before the plan was made, and those that the planned
    /// loss depends on.
    pub(super) const WRITTEN_OR_PLANNED: Self = Self(Node::WRITTEN | Node::PLANNED);
}

/// The purpose for which missing gradients are filled in. The discriminant is the bit pattern of
/// the `f32` that is filled in, so that firmware needs no table.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Purpose {
    /// Other gradients will be added: -0, which changes no sum.
    Add = 1 << 31,
    /// An optimizer's step: 0.
    Step = 0,
}
