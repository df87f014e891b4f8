//! The state of a tape: its memory, and the bookkeeping of that memory.
//!
//! # Memory
//!
//! A tape has one slice of floats and one slice of [`Node`]s, both borrowed from the caller:
//!
//! ```text
//! | parameters → | their gradients → | intermediate gradients …free…   ← values |
//! 0              P                  2P                           bottom         N
//! ```
//!
//! Parameters stay contiguous, and so do their gradients: an optimizer sees two flat
//! slices. Values of constants and results never move. A backward pass keeps the gradients of
//! intermediate results in the free floats between them; `planning` gives each gradient a place
//! from the moment the first operation adds to it until its own operation has read it, so that
//! buffers are shared.
//!
//! No operation writes to floats that it reads. Each node has pointers to its own values and
//! gradient and to the nodes of its operands (see `op::lend`). Recording and planning set these
//! pointers; a pass only follows them.
//!
//! # Files
//!
//! The state owns a [`Plan`], [`Params`] and a [`Failure`], none of which knows the state. The
//! methods of the state are in a file for each job: `record`, `rewind`, `rebind`, `planning`,
//! `passes` and `stream`. Only `mod`, `access`, `record` and `stream` use `Tape` and `Var`.

use core::cell::Cell;
use core::ops::Range;
use core::ptr;

use super::failure::{Failed, Failure};
use super::params::{Collected, Params};
use super::plan::Plan;
use super::usage::Usage;
use crate::error::ErrorKind;
use crate::op::{Floats, Node, NodePtr, Nodes, Stamp, Stamps};
use crate::shape::Shape;

/// The most floats a tape uses, so that no sum of two lengths overflows a 32-bit `usize`.
pub(super) const MAX_FLOATS: usize = 1 << 30;

/// The most nodes a tape uses. Their numbers fit into 16 bits, even counted from 1 as planning
/// does, and half of a stamp remains for generations.
const MAX_NODES: usize = (1 << 16) - 1;

/// Stands for no node where a node's number is kept; greater than every number.
pub(super) const NEVER: usize = usize::MAX;

/// True if panics unwind: a panic in code from outside, such as a shape rule or an optimizer, may
/// then be caught, and the tape must still be valid. False on microcontrollers, where the
/// precautions are compiled out.
pub(super) const UNWINDS: bool = cfg!(panic = "unwind");

pub(crate) struct State<'t> {
    pub(super) floats: Floats<'t>,
    pub(super) nodes: Nodes<'t>,
    /// Where the values of constants and results begin.
    pub(super) bottom: usize,
    pub(super) floats_peak: usize,
    pub(super) nodes_peak: usize,
    pub(super) stamps: Stamps,
    pub(super) params: Params,
    pub(super) plan: Plan,
    /// The number of the first operation whose result depends on a parameter.
    pub(super) first_trained: usize,
    /// Shows the data of other batch sizes that inputs wait for; `None` if no input waits.
    pub(super) take_over: Option<TakeOver<'t>>,
    /// The first and the last operation to run.
    pub(super) first_op: Option<NodePtr>,
    pub(super) last_op: Option<NodePtr>,
    /// From this node on, values may be older than the leaves that they depend on.
    pub(super) outdated_from: usize,
    pub(super) failure: Failure,
    /// Plans gradients in an arena of many nodes; `None` in a small one.
    pub(super) plan_many: Option<PlanMany<'t>>,
}

/// Plans the gradients in an arena of many nodes. A function pointer, so that firmware with few
/// nodes does not link the function, which saves 2,180 bytes of flash on a Cortex-M4F.
pub(super) type PlanMany<'t> = fn(&mut State<'t>, NodePtr) -> Result<(), Failed>;

/// Shows data of other batch sizes that inputs wait for. A function pointer, so that firmware
/// that never rebinds an input does not link the function, which saves 792 bytes of flash and
/// 236 of stack on a Cortex-M4F.
pub(super) type TakeOver<'t> = fn(&mut State<'t>) -> Result<(), Failed>;

impl<'t> State<'t> {
    pub(super) fn new(
        floats: &'t mut [f32],
        nodes: &'t mut [Node],
        plan_many: Option<PlanMany<'t>>,
    ) -> Self {
        let usable_floats = floats.len().min(MAX_FLOATS);
        let floats = floats.get_mut(..usable_floats).unwrap_or_default();
        let usable = nodes.len().min(MAX_NODES);
        let nodes = nodes.get_mut(..usable).unwrap_or_default();
        State {
            bottom: usable_floats,
            floats: Floats::new(floats),
            stamps: Stamps::new(nodes.len()),
            nodes: Nodes::new(nodes),
            floats_peak: 0,
            nodes_peak: 0,
            params: Params {
                floats: 0,
                collected: Cell::new(Collected::NONE),
                reached: Collected::NONE,
            },
            plan: Plan::new(),
            plan_many,
            take_over: None,
            first_op: None,
            last_op: None,
            first_trained: NEVER,
            outdated_from: NEVER,
            failure: Failure::new(),
        }
    }

    /// Stores the reason why a call fails. One copy for all callers, out of their way.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&self, kind: ErrorKind) -> Failed {
        self.failure.set(kind)
    }

    pub(super) fn expect_length(&self, shape: &Shape, values: &[f32]) -> Result<(), Failed> {
        if shape.numel() == values.len() {
            Ok(())
        } else {
            Err(self.fail(ErrorKind::Length {
                expected: shape.numel(),
                found: values.len(),
            }))
        }
    }

    /// The node that a stamp stands for, if it is still there.
    #[inline(never)] // one copy: `peek`, which is called in every epoch, inlines `lookup`
    pub(crate) fn find(&self, stamp: Stamp) -> Result<NodePtr, Failed> {
        let ptr = self.lookup(stamp);
        ptr.ok_or_else(|| self.unknown(stamp))
    }

    #[inline(always)]
    pub(super) fn lookup(&self, stamp: Stamp) -> Option<NodePtr> {
        let ptr = self.nodes.ptr(self.stamps.id(stamp));
        ptr.filter(|ptr| self.nodes.at(*ptr).stamp == stamp)
    }

    #[cold]
    #[inline(never)]
    pub(super) fn unknown(&self, stamp: Stamp) -> Failed {
        self.fail(if stamp == Stamp::FOREIGN {
            ErrorKind::Foreign
        } else {
            ErrorKind::Stale
        })
    }

    pub(crate) fn look(&self, stamp: Stamp) -> Result<&Node, Failed> {
        self.find(stamp).map(|ptr| self.nodes.at(ptr))
    }

    /// A node's number.
    pub(super) fn id(&self, ptr: NodePtr) -> usize {
        self.stamps.id(self.nodes.at(ptr).stamp)
    }

    pub(crate) fn values(&self, node: &Node) -> &[f32] {
        self.floats.show(node.tensor.values)
    }

    pub(super) fn param<'a>(&self, node: &'a Node) -> Result<&'a Node, Failed> {
        if node.has(Node::PARAM) {
            Ok(node)
        } else {
            Err(self.fail(ErrorKind::NotParam))
        }
    }

    /// Returns whether a gradient has reached a parameter since the last `zero_grad`.
    #[inline]
    pub(crate) fn has_grad(&self, param: &Node) -> bool {
        param.has(self.params.collected.get().0)
    }

    /// A parameter's gradient.
    pub(crate) fn grad(&self, node: &Node) -> Result<&[f32], Failed> {
        let node = self.param(node)?;
        if !self.has_grad(node) {
            let number = self.all_params().take_while(|other| !ptr::eq(*other, node));
            return Err(self.unused(number.count(), &node.tensor.shape));
        }
        Ok(self.floats.get(self.grad_range(node)).unwrap_or_default())
    }

    pub(super) fn unused(&self, param: usize, shape: &Shape) -> Failed {
        let shape = *shape;
        self.fail(ErrorKind::Unused { param, shape })
    }

    /// The place of a parameter's gradient among the floats.
    pub(super) fn grad_range(&self, param: &Node) -> Range<usize> {
        let start = self.params.floats + self.floats.place(param.tensor.values);
        start..start + param.len()
    }

    /// The gradients of all parameters.
    pub(super) fn grads(&self) -> &[f32] {
        let end = 2 * self.params.floats;
        self.floats.get(self.params.floats..end).unwrap_or_default()
    }

    /// The floats that must stay: all in use but the gradients of intermediate results.
    pub(super) fn used(&self) -> usize {
        2 * self.params.floats + (self.floats.len() - self.bottom)
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            floats: self.used() + self.plan.floats,
            floats_peak: self.floats_peak.max(self.used()),
            floats_capacity: self.floats.len(),
            nodes: self.nodes.len(),
            nodes_peak: self.nodes_peak.max(self.nodes.len()),
            nodes_capacity: self.nodes.capacity(),
            inputs: self.nodes.iter().filter(|node| node.is_input()).count(),
        }
    }

    /// Walks the parameters in the order they were made.
    pub(super) fn all_params(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.has(Node::PARAM))
    }

    /// The shapes of the parameters, in the order they were made.
    pub(crate) fn param_shapes(&self) -> impl Iterator<Item = Shape> {
        self.all_params().map(|node| node.tensor.shape)
    }

    /// Element `index` among those of all parameters, and its gradient: 0 if no backward pass
    /// has reached it. Searches all nodes for the parameter.
    pub(crate) fn param_element(&self, index: usize) -> Option<(f32, f32)> {
        let holds =
            |node: &&Node| index.wrapping_sub(self.floats.place(node.tensor.values)) < node.len();
        let node = self.all_params().find(holds)?;
        let grad = if self.has_grad(node) {
            *self.grads().get(index)?
        } else {
            0.0
        };
        Some((*self.floats.get(index)?, grad))
    }

    /// The gradients of all parameters, for writing.
    pub(crate) fn grads_mut(&mut self) -> &mut [f32] {
        let (_, grads) = self.floats.pair(self.params.floats);
        grads
    }

    /// All parameters, for writing, and all their gradients.
    #[inline]
    pub(crate) fn params_and_grads(&mut self) -> (&mut [f32], &[f32]) {
        let (params, grads) = self.floats.pair(self.params.floats);
        (params, grads)
    }
}
