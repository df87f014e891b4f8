//! What a tape knows of its parameters as a whole: which of them hold gradients.

use crate::op::Node;

/// Which parameters have collected gradients since the last `zero_grad`: those with
/// one of these flags. Kept so that the usual turn, one `backward` after each
/// `zero_grad`, looks at no parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Collected(pub(super) u16);

impl Collected {
    pub(super) const NONE: Self = Self(0);
    /// Those of the planned loss.
    pub(super) const PLANNED: Self = Self(Node::PLANNED);
    /// The same, and those are all there are.
    pub(super) const ALL: Self = Self(Node::PLANNED | Node::NO_PARAM);
    pub(super) const WRITTEN: Self = Self(Node::WRITTEN);
    /// Those of the planned loss as well.
    pub(super) const WRITTEN_OR_PLANNED: Self = Self(Node::WRITTEN | Node::PLANNED);
}

/// The purpose that the gradients of all parameters are needed for, as the bits of what changes
/// nothing there. (So a microcontroller needs no constants of its own for them.)
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Purpose {
    /// Other gradients are to be added: -0.
    Add = 1 << 31,
    /// An optimizer's step: 0.
    Step = 0,
}
