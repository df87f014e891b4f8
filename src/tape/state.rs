//! What a tape keeps, and how it records, replays and differentiates.
//!
//! # Memory
//!
//! One slice of floats, one slice of [`Node`]s, both lent by the caller:
//!
//! ```text
//! | parameters → | their gradients → | intermediate gradients …free…   ← values |
//! 0              P                  2P                           bottom         N
//! ```
//!
//! Parameters stay contiguous, and so do their gradients: an optimizer sees two flat
//! slices. Values of constants and results stay where they were put. A backward pass
//! keeps the gradients of intermediate results between the two; `plan`, in a file of
//! its own, gives each a place from the moment the first operation adds to it until its own operation has
//! read it, so that buffers are shared.
//!
//! What is written is always apart from what is read, and where it is, is kept in the
//! nodes, which also know those of their operands (see `op::lend`): `plan` finds the
//! gradients, and a pass takes them as they stand.

mod totals;
mod trial;

use core::cell::Cell;
use core::hint::black_box;
use core::mem;
use core::ops::Range;
use core::panic::Location;
use core::ptr;

use super::failure::{Failed, Failure};
use super::places::Live;
use super::plan::{self, PlanMany};
use super::{Tape, Usage};
use crate::error::{ErrorKind, MAX_OPERANDS, Operands};
use crate::kernel::Level;
use crate::op::{Attrs, Backward, Floats, Forward, Node, NodePtr, Nodes, Op};
use crate::op::{Operand, RawSlice, Stamp, Stamps};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

/// So that no sum of two lengths overflows a 32-bit `usize`.
pub(super) const MAX_FLOATS: usize = 1 << 30;

/// So that half of a stamp is left for generations, and planning can count to as many
/// in 16 bits, from one on.
const MAX_NODES: usize = (1 << 16) - 1;

/// The most elements a tensor has: its node keeps their number in 32 bits.
const MAX_ELEMENTS: u32 = u32::MAX;

/// Behind every node.
const NEVER: usize = usize::MAX;

/// Whether what comes from outside, such as a shape rule or an optimizer, can be left by
/// a panic that somebody catches. Where it cannot, as on microcontrollers, being ready
/// for it costs nothing.
pub(super) const UNWINDS: bool = cfg!(panic = "unwind");

pub(crate) struct State<'t> {
    pub(super) floats: Floats<'t>,
    pub(super) nodes: Nodes<'t>,
    /// Floats taken by parameters, and where the other values begin.
    pub(super) param_floats: usize,
    pub(super) bottom: usize,
    /// Floats taken by gradients of intermediate results.
    pub(super) scratch: usize,
    pub(super) floats_peak: usize,
    nodes_peak: usize,
    stamps: Stamps,
    /// The loss whose gradient buffers are planned, where its own is and how long,
    /// and to which parameters gradients flow.
    pub(super) planned: Stamp,
    pub(super) first_planned: Option<NodePtr>,
    pub(super) seed: usize,
    pub(super) seed_len: usize,
    pub(super) reached: Collected,
    /// Parameters to which none flow, and what is live, while planning.
    pub(super) unreached: usize,
    pub(super) live: Live,
    /// Which parameters hold gradients.
    pub(super) collected: Cell<Collected>,
    /// The first operation that a parameter changes the result of.
    first_trained: usize,
    /// What takes over the data of other batch sizes that inputs wait for: a firmware
    /// that never rebinds any does without.
    take_over: Option<TakeOver<'t>>,
    /// The first and the last operation to run.
    first_op: Option<NodePtr>,
    last_op: Option<NodePtr>,
    /// From this node on, values may be older than what they depend on.
    outdated_from: usize,
    pub(super) failure: Failure,
    /// How gradients are planned, if there are many nodes.
    pub(super) plan_many: Option<PlanMany<'t>>,
}

/// Which parameters have collected gradients since the last `zero_grad`: those with
/// one of these flags. Kept so that the usual turn, one `backward` after each
/// `zero_grad`, looks at no parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Collected(u16);

impl Collected {
    pub(super) const NONE: Self = Self(0);
    /// Those of the planned loss.
    pub(super) const PLANNED: Self = Self(Node::PLANNED);
    /// The same, and those are all there are.
    pub(super) const ALL: Self = Self(Node::PLANNED | Node::NO_PARAM);
    const WRITTEN: Self = Self(Node::WRITTEN);
    /// Those of the planned loss as well.
    pub(super) const WRITTEN_OR_PLANNED: Self = Self(Node::WRITTEN | Node::PLANNED);
}

type TakeOver<'t> = fn(&mut State<'t>) -> Result<(), Failed>;

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

/// A value in the arena that is not computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    Constant,
    /// Trainable.
    Param,
}

impl Leaf {
    pub(super) fn name(self) -> &'static str {
        match self {
            Leaf::Param => "param",
            Leaf::Constant => "constant",
        }
    }
}

/// What a leaf starts with, by position. Not generic: one copy of the code around it.
pub(super) type Value<'a> = &'a mut dyn FnMut(usize) -> f32;

impl<'t> State<'t> {
    pub(super) fn new(floats: &'t mut [f32], nodes: &'t mut [Node]) -> Self {
        let usable_floats = floats.len().min(MAX_FLOATS);
        let floats = floats.get_mut(..usable_floats).unwrap_or_default();
        let usable = nodes.len().min(MAX_NODES);
        let nodes = nodes.get_mut(..usable).unwrap_or_default();
        State {
            unreached: 0,
            plan_many: plan::many(usable),
            bottom: usable_floats,
            floats: Floats::new(floats),
            stamps: Stamps::new(nodes.len()),
            nodes: Nodes::new(nodes),
            param_floats: 0,
            scratch: 0,
            floats_peak: 0,
            nodes_peak: 0,
            planned: Stamp::NONE,
            first_planned: None,
            live: Cell::new(None),
            seed: usize::MAX, // none
            seed_len: 0,
            reached: Collected::NONE,
            collected: Cell::new(Collected::NONE),
            take_over: None,
            first_op: None,
            last_op: None,
            first_trained: NEVER,
            outdated_from: NEVER,
            failure: Failure::new(),
        }
    }

    // ---- failing ----------------------------------------------------------

    /// Writes down why a call fails: one copy of that, out of the way.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&self, kind: ErrorKind) -> Failed {
        self.failure.set(kind)
    }

    fn expect_length(&self, shape: &Shape, values: &[f32]) -> Result<(), Failed> {
        if shape.numel() == values.len() {
            Ok(())
        } else {
            Err(self.fail(ErrorKind::Length {
                expected: shape.numel(),
                found: values.len(),
            }))
        }
    }

    // ---- looking ----------------------------------------------------------

    /// The node a variable stands for, if it is still there.
    #[inline(never)] // one copy: what is called in every epoch looks for itself
    pub(crate) fn find(&self, tape: &Tape<'t>, var: Var<'t>) -> Result<NodePtr, Failed> {
        let ptr = self.lookup(tape, var);
        ptr.ok_or_else(|| self.unknown(tape, var))
    }

    #[inline(always)]
    pub(super) fn lookup(&self, tape: &Tape<'t>, var: Var<'t>) -> Option<NodePtr> {
        let ptr = self.nodes.ptr(self.stamps.id(var.stamp));
        ptr.filter(|ptr| self.nodes.at(*ptr).stamp == var.stamp && ptr::eq(tape, var.tape))
    }

    #[cold]
    #[inline(never)]
    fn unknown(&self, tape: &Tape<'t>, var: Var<'t>) -> Failed {
        self.fail(if ptr::eq(tape, var.tape) {
            ErrorKind::Stale
        } else {
            ErrorKind::Foreign
        })
    }

    pub(crate) fn look(&self, tape: &Tape<'t>, var: Var<'t>) -> Result<&Node, Failed> {
        self.find(tape, var).map(|ptr| self.nodes.at(ptr))
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

    /// Whether a gradient has reached a parameter.
    #[inline]
    pub(crate) fn has_grad(&self, param: &Node) -> bool {
        param.has(self.collected.get().0)
    }

    /// A parameter's gradient.
    pub(crate) fn grad(&self, node: &Node) -> Result<&[f32], Failed> {
        let node = self.param(node)?;
        if !self.has_grad(node) {
            let number = self.params().take_while(|other| !ptr::eq(*other, node));
            return Err(self.unused(number.count(), &node.tensor.shape));
        }
        Ok(self.floats.get(self.grad_range(node)).unwrap_or_default())
    }

    fn unused(&self, param: usize, shape: &Shape) -> Failed {
        let shape = *shape;
        self.fail(ErrorKind::Unused { param, shape })
    }

    /// Where a parameter's gradient stands.
    fn grad_range(&self, param: &Node) -> Range<usize> {
        let start = self.param_floats + self.floats.place(param.tensor.values);
        start..start + param.len()
    }

    /// Where all of them stand.
    pub(super) fn grads(&self) -> &[f32] {
        let end = 2 * self.param_floats;
        self.floats.get(self.param_floats..end).unwrap_or_default()
    }

    /// Floats that must stay.
    pub(super) fn used(&self) -> usize {
        2 * self.param_floats + (self.floats.len() - self.bottom)
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            floats: self.used() + self.scratch,
            floats_peak: self.floats_peak.max(self.used()),
            floats_capacity: self.floats.len(),
            nodes: self.nodes.len(),
            nodes_peak: self.nodes_peak.max(self.nodes.len()),
            nodes_capacity: self.nodes.capacity(),
            inputs: self.nodes.iter().filter(|node| node.is_input()).count(),
        }
    }

    // ---- leaves ----------------------------------------------------------

    /// A leaf in the arena, `values` being the slice that `value` reads, if it reads one.
    /// (Apart, and not either of the two: firmware without one is linked without it.)
    pub(super) fn add(
        &mut self,
        leaf: Leaf,
        shape: &Shape,
        value: Value<'_>,
        values: Option<&[f32]>,
        at: &'static Location<'static>,
    ) -> Result<Stamp, Failed> {
        if let Some(values) = values {
            self.expect_length(shape, values)?;
        }
        let len = shape.numel();
        let gradient = if leaf == Leaf::Param { len } else { 0 };
        let ptr = self.reserve(len.saturating_add(gradient))?;
        let (place, flags) = match leaf {
            Leaf::Constant => {
                self.bottom -= len;
                (self.bottom, 0)
            }
            Leaf::Param => {
                let place = self.param_floats;
                // Gradients already collected move.
                if self.collected.get() != Collected::NONE {
                    move_up(self.floats.part(place, place + len), len);
                    if self.collected.get() == Collected::ALL {
                        self.collected.set(Collected::PLANNED);
                    }
                }
                self.param_floats += len;
                (place, Node::PARAM | Node::REQUIRES_GRAD)
            }
        };
        let slice = self.floats.raw_slice(place, len);
        let stamp = self.push_leaf(ptr, slice, len, flags, shape, at);
        let last = Last::of(self);
        let to = last.state.floats.part(place, len).iter_mut();
        if Level::VECTORS
            && let Some(values) = values
        {
            // Without a call for each of them. Flash is not scarce there.
            to.zip(values).for_each(|(to, x)| *to = *x);
        } else {
            to.enumerate().for_each(|(i, to)| *to = value(i));
        }
        mem::forget(last);
        Ok(stamp)
    }

    /// Data that stay where they are.
    pub(super) fn add_input(
        &mut self,
        data: &'t [f32],
        shape: &Shape,
        at: &'static Location<'static>,
    ) -> Result<Stamp, Failed> {
        self.expect_length(shape, data)?;
        if u32::try_from(data.len()).is_err() {
            return Err(self.fail(ErrorKind::TooLong {
                most: MAX_ELEMENTS,
                found: data.len(),
            }));
        }
        let ptr = self.reserve(0)?;
        let values = RawSlice::of_input(data);
        Ok(self.push_leaf(ptr, values, data.len(), Node::BORROWED, shape, at))
    }

    /// Takes the next node into use for a leaf.
    #[inline(always)]
    fn push_leaf(
        &mut self,
        ptr: NodePtr,
        values: RawSlice,
        len: usize,
        flags: u16,
        shape: &Shape,
        at: &'static Location<'static>,
    ) -> Stamp {
        let node = self.nodes.at_mut(ptr);
        (node.op, node.saved) = (None, 0);
        (node.tensor.values, node.cap) = (values, len as u32);
        node.flags.set(flags);
        self.push(ptr, shape, at)
    }

    /// The next node, if there is one and `more` floats fit beside everything
    /// that must stay.
    fn reserve(&self, more: usize) -> Result<NodePtr, Failed> {
        let needed = self.used().saturating_add(more);
        if needed > self.floats.len() {
            return Err(self.fail(ErrorKind::Floats {
                needed,
                capacity: self.floats.len(),
            }));
        }
        self.nodes.free().ok_or_else(|| self.no_nodes())
    }

    fn no_nodes(&self) -> Failed {
        self.fail(ErrorKind::Nodes {
            capacity: self.nodes.capacity(),
        })
    }

    /// Refuses more floats or nodes than there is room for.
    pub(crate) fn expect_room(&self, floats: usize, nodes: usize) -> Result<(), Failed> {
        self.reserve(floats)?;
        if nodes > self.nodes.capacity() - self.nodes.len() {
            return Err(self.no_nodes());
        }
        Ok(())
    }

    /// Takes the next node into use, now that it is filled.
    #[inline(never)]
    fn push(&mut self, ptr: NodePtr, shape: &Shape, at: &'static Location<'static>) -> Stamp {
        let stamp = self.stamps.stamp(self.nodes.len());
        let node = self.nodes.at_mut(ptr);
        (node.stamp, node.at) = (stamp, Some(at));
        node.next.set(None);
        node.tensor.shape = *shape;
        self.nodes.grow();
        self.forget_plan();
        stamp
    }

    /// Before what is in use becomes less.
    fn note_peak(&mut self) {
        self.floats_peak = self.floats_peak.max(self.used() + self.scratch);
    }

    pub(crate) fn rebind(&mut self, input: NodePtr, data: &'t [f32]) -> Result<(), Failed> {
        let node = self.input(self.nodes.at(input))?;
        if data.len() == node.len() {
            let node = self.nodes.at_mut(input);
            node.tensor.values = RawSlice::of_input(data);
            node.clear(Node::PENDING);
            if node.has(Node::VIEWED) {
                self.follow_sources();
            }
        } else {
            let row = node.tensor.shape.row_numel();
            let rows = data.len().checked_div(row).unwrap_or(0);
            let most = (node.cap as usize).checked_div(row).unwrap_or(0);
            if node.tensor.shape.rank() == 0 || rows == 0 || rows * row != data.len() || rows > most
            {
                return Err(self.fail(ErrorKind::Rows {
                    found: data.len(),
                    row,
                    most,
                }));
            }
            let node = self.nodes.at_mut(input);
            node.set_waiting(RawSlice::of_input(data));
            node.set(Node::PENDING);
            self.take_over = Some(Self::take_over_pending);
        }
        // Which later results depend on it is not worth finding out: all may.
        self.outdated_from = self.outdated_from.min(self.id(input));
        Ok(())
    }

    fn input<'a>(&self, node: &'a Node) -> Result<&'a Node, Failed> {
        if node.is_input() {
            Ok(node)
        } else {
            Err(self.fail(ErrorKind::NotInput))
        }
    }

    /// An input's values per row, and the rows that were recorded; both 0 if there are none.
    pub(crate) fn input_rows(&self, node: &Node) -> Result<(usize, usize), Failed> {
        let node = self.input(node)?;
        if node.tensor.shape.rank() == 0 || node.cap == 0 {
            return Ok((0, 0));
        }
        let row = node.tensor.shape.row_numel();
        let rows = (node.cap as usize).checked_div(row).unwrap_or(0);
        Ok((row, rows))
    }

    pub(super) fn write(&mut self, leaf: NodePtr, values: &[f32]) -> Result<(), Failed> {
        let node = self.nodes.at(leaf);
        if node.op.is_some() || node.has(Node::BORROWED) {
            return Err(self.fail(ErrorKind::NotLeaf));
        }
        self.expect_length(&node.tensor.shape, values)?;
        let place = self.floats.place(node.tensor.values);
        copy(values, self.floats.part(place, values.len()));
        self.outdated_from = self.outdated_from.min(self.id(leaf));
        Ok(())
    }

    /// Overwrites a leaf in the arena, one value after the other.
    pub(crate) fn overwrite(
        &mut self,
        leaf: NodePtr,
        values: &mut dyn Iterator<Item = f32>,
    ) -> Result<(), Failed> {
        let tensor = self.nodes.at(leaf).tensor;
        let place = self.floats.place(tensor.values);
        let to = self.floats.part(place, tensor.shape.numel());
        for (to, value) in to.iter_mut().zip(values) {
            *to = value;
        }
        self.outdated_from = self.outdated_from.min(self.id(leaf));
        Ok(())
    }

    // ---- recording -------------------------------------------------------

    pub(super) fn record(
        &mut self,
        tape: &Tape<'t>,
        op: &'static dyn Op,
        vars: &[Var<'t>],
        attrs: &Attrs,
        grad_enabled: bool,
        at: &'static Location<'static>,
    ) -> Result<Stamp, Failed> {
        if vars.len() > MAX_OPERANDS {
            return Err(self.fail_shapes(
                ShapeError::Operands {
                    expected: MAX_OPERANDS,
                },
                &[],
            ));
        }
        // Until it is pushed, the node is not in use.
        let (id, ptr) = match self.reserve(0) {
            // Another reason says more, where flash is not scarce.
            Err(_) if Level::VECTORS => return Err(self.fail_full(tape, op, vars, attrs)),
            ptr => (self.nodes.len(), ptr?),
        };
        let mut operands = [Operand::NONE; MAX_OPERANDS];
        let mut flags = 0;
        for (operand, var) in operands.iter_mut().zip(vars) {
            let found = self.find(tape, *var)?;
            *operand = found.operand();
            flags |= self.nodes.at(found).flags.get() & Node::REQUIRES_GRAD;
        }
        if !grad_enabled {
            flags = 0;
        }
        self.nodes.at_mut(ptr).attrs = *attrs;
        let shape = self.infer_shape(op, operands, vars.len(), ptr)?;

        let [first, ..] = operands;
        let source = first.ptr().filter(|_| op.is_view());
        let (values, cap, saved) = match source {
            Some(source) => {
                // Where flash is scarce, the gradient that a view of another number of
                // elements can be given is still no longer than its source.
                if Level::VECTORS {
                    self.expect_view(first, &shape)?;
                }
                let source = self.nodes.at(source);
                source.set(Node::VIEWED);
                flags |= Node::VIEW | source.flags.get() & Node::BORROWED;
                (source.tensor.values, source.cap, 0)
            }
            None => {
                let (len, saved) = (shape.numel(), op.saves());
                let room = len.saturating_add(saved.into());
                self.reserve(room)?;
                self.bottom -= room;
                (self.floats.raw_slice(self.bottom, len), len as u32, saved)
            }
        };
        let node = self.nodes.at_mut(ptr);
        (node.op, node.operands, node.saved) = (Some(op), operands, saved);
        (node.tensor.values, node.cap) = (values, cap);
        node.flags.set(flags);
        let stamp = self.push(ptr, &shape, at);
        if flags & Node::REQUIRES_GRAD != 0 {
            self.first_trained = self.first_trained.min(id);
        }
        if flags & Node::VIEW == 0 {
            self.append(ptr);
            let last = Last::of(self);
            Forward::run_one(op, last.state.nodes.at(ptr), &mut last.state.floats);
            mem::forget(last);
        }
        Ok(stamp)
    }

    /// Refuses an operation for which there is no node: for that, or for what else is wrong.
    #[cold]
    #[inline(never)]
    fn fail_full(
        &self,
        tape: &Tape<'t>,
        op: &'static dyn Op,
        vars: &[Var<'t>],
        attrs: &Attrs,
    ) -> Failed {
        let (mut shapes, mut attrs) = ([Shape::SCALAR; MAX_OPERANDS], *attrs);
        for (to, var) in shapes.iter_mut().zip(vars) {
            match self.look(tape, *var) {
                Ok(node) => *to = node.tensor.shape,
                Err(failed) => return failed,
            }
        }
        let shapes = shapes.get(..vars.len()).unwrap_or_default();
        match (op.shape(shapes, &mut attrs), shapes) {
            (Err(why), _) => self.fail_shapes(why, shapes),
            (Ok(shape), [source, ..]) if op.is_view() && shape.numel() != source.numel() => {
                self.fail_shapes(ShapeError::Reshape, &[*source])
            }
            _ => self.no_nodes(),
        }
    }

    /// Refuses a view of another number of elements than its source has.
    fn expect_view(&self, source: Operand, shape: &Shape) -> Result<(), Failed> {
        let source = self.nodes.tensor(source).shape;
        if shape.numel() == source.numel() {
            Ok(())
        } else {
            Err(self.fail_shapes(ShapeError::Reshape, &[source]))
        }
    }

    /// The shape of a result. The rule may also set attributes of its node.
    fn infer_shape(
        &mut self,
        op: &dyn Op,
        operands: [Operand; MAX_OPERANDS],
        count: usize,
        result: NodePtr,
    ) -> Result<Shape, Failed> {
        // No loop, which would stay one when compiled for size.
        let [a, b, c] = operands;
        let shape = |operand| self.nodes.tensor(operand).shape;
        let shapes = [shape(a), shape(b), shape(c)];
        let shapes = shapes.get(..count).unwrap_or_default();
        let shape = op.shape(shapes, &mut self.nodes.at_mut(result).attrs);
        shape.map_err(|why| self.fail_shapes(why, shapes))
    }

    /// Runs an operation after all others.
    fn append(&mut self, ptr: NodePtr) {
        match self.last_op {
            Some(last) => self.nodes.at(last).next.set(Some(ptr)),
            None => self.first_op = Some(ptr),
        }
        self.last_op = Some(ptr);
    }

    #[cold]
    pub(crate) fn fail_shapes(&self, why: ShapeError, shapes: &[Shape]) -> Failed {
        let mut kind = ErrorKind::Shape {
            why,
            operands: Operands::default(),
        };
        // Where it is: an error is too large to be passed around while it is made.
        if let ErrorKind::Shape { operands, .. } = &mut kind {
            operands.set(shapes);
        }
        self.fail(kind)
    }

    /// Keeps the first `keep` nodes.
    pub(super) fn truncate(&mut self, keep: usize) {
        let old_params = self.param_floats;
        self.nodes_peak = self.nodes_peak.max(self.nodes.len());
        self.note_peak();
        self.forget_dropped(keep);

        // Close the gap that dropped parameters leave.
        let params = self.param_floats;
        if params < old_params && self.collected.get() != Collected::NONE {
            let grads = self.floats.get_mut(params..old_params + params);
            move_down(grads.unwrap_or_default(), old_params - params);
        }

        // Leaves are never outdated, except inputs that wait for other data.
        let kept = self.nodes.iter().enumerate();
        let outdated = kept
            .skip(self.outdated_from)
            .find(|(_, node)| node.op.is_some());
        self.outdated_from = outdated.map_or(NEVER, |(id, _)| id);
        if self.take_over.is_some() {
            let mut kept = self.nodes.iter();
            if let Some(pending) = kept.position(|node| node.has(Node::PENDING)) {
                self.outdated_from = self.outdated_from.min(pending);
            }
        }

        self.forget_plan();
        self.stamps.advance();
    }

    /// Drops the nodes from number `keep` on, and what is known of them. Looks at no
    /// others, but for leaves and views in front of them: however much is kept, a loop
    /// that records and rewinds takes the time of what it records.
    fn forget_dropped(&mut self, keep: usize) {
        for node in self.nodes.get(keep..).unwrap_or_default() {
            if node.has(Node::PARAM) {
                self.param_floats -= node.len();
            } else if !node.has(Node::BORROWED | Node::VIEW) {
                // The first values dropped stand highest.
                let end = self.floats.place(node.tensor.values) + node.cap as usize;
                self.bottom = self.bottom.max(end + usize::from(node.saved));
            }
        }
        self.nodes.truncate(keep);
        if self.first_trained >= keep {
            self.first_trained = NEVER;
        }
        let runs = |ptr: &NodePtr| self.nodes.at(*ptr).runs_forward();
        self.last_op = self.nodes.ptrs().rev().find(runs);
        match self.last_op {
            Some(last) => self.nodes.at(last).next.set(None),
            None => self.first_op = None,
        }
    }

    // ---- forward ---------------------------------------------------------

    #[inline]
    pub(crate) fn replay(&mut self) -> Result<(), Failed> {
        if let Some(take_over) = self.take_over {
            take_over(self)?;
        }
        if UNWINDS {
            self.outdated_from = 0;
        }
        Forward::run(&self.nodes, self.first_op, &mut self.floats);
        self.outdated_from = NEVER;
        Ok(())
    }

    /// Tells views where their sources are, after some moved.
    fn follow_sources(&mut self) {
        for ptr in self.nodes.ptrs() {
            let view = self.nodes.at(ptr);
            let [source, ..] = view.operands;
            if view.has(Node::VIEW) {
                let values = self.nodes.tensor(source).values;
                self.nodes.at_mut(ptr).tensor.values = values;
            }
        }
    }

    /// Runs the shape rules for inputs that were rebound with another batch
    /// size. If one refuses, or unwinds, those rebinds are undone. After it has unwound,
    /// the next replay finds all shapes again.
    #[cold]
    pub(super) fn take_over_pending(&mut self) -> Result<(), Failed> {
        self.forget_plan();
        self.exchange_pending();
        let exchanged = Exchanged(self);
        let result = exchanged.0.run_shape_rules();
        mem::forget(exchanged);
        if result.is_err() {
            self.exchange_pending();
        }
        self.clear_pending();
        if result.is_err() {
            // These shapes were accepted before.
            let _ = self.run_shape_rules();
        }
        self.take_over = None;
        result
    }

    pub(super) fn clear_pending(&mut self) {
        for node in self.nodes.iter_mut() {
            node.clear(Node::PENDING);
        }
    }

    /// Exchanges the data of inputs and those that are to come.
    fn exchange_pending(&mut self) {
        for node in self.nodes.iter_mut() {
            if node.has(Node::PENDING) {
                let (old, new) = (node.tensor.values, node.waiting());
                node.show_rows(new);
                node.set_waiting(old);
            }
        }
    }

    pub(super) fn run_shape_rules(&mut self) -> Result<(), Failed> {
        for ptr in self.nodes.ptrs() {
            if let Err(failed) = self.apply_shape_rule(ptr) {
                let node = self.nodes.at(ptr);
                self.failure.set_place(node.op.map(|op| op.name()), node.at);
                return Err(failed);
            }
        }
        self.follow_sources();
        Ok(())
    }

    /// Finds the shape of a result again, after those of its operands changed.
    fn apply_shape_rule(&mut self, ptr: NodePtr) -> Result<(), Failed> {
        let node = self.nodes.at(ptr);
        let Some(op) = node.op else {
            return Ok(());
        };
        let (operands, cap, mut values) = (node.operands, node.cap as usize, node.tensor.values);
        let count = operands.iter().take_while(|o| **o != Operand::NONE);
        let shape = self.infer_shape(op, operands, count.count(), ptr)?;
        let len = shape.numel();
        if self.nodes.at(ptr).has(Node::VIEW) {
            // It gets its source's values.
            let [source, ..] = operands;
            self.expect_view(source, &shape)?;
        } else if len > cap {
            return Err(self.fail(ErrorKind::Length {
                expected: cap,
                found: len,
            }));
        } else {
            values = self.floats.raw_slice(self.floats.place(values), len);
        }
        let node = self.nodes.at_mut(ptr);
        (node.tensor.shape, node.tensor.values) = (shape, values);
        Ok(())
    }

    // ---- backward --------------------------------------------------------

    /// Gradients are planned again before they are computed.
    pub(super) fn forget_plan(&mut self) {
        self.planned = Stamp::NONE;
        self.scratch = 0;
    }

    /// Refuses what depends on no parameter, or has another length than a gradient: a
    /// single number, if none is given.
    pub(crate) fn expect_differentiable(
        &self,
        node: &Node,
        gradient: Option<&[f32]>,
    ) -> Result<(), Failed> {
        if !node.has(Node::REQUIRES_GRAD) {
            Err(self.fail(ErrorKind::NoGradient))
        } else if let Some(gradient) = gradient {
            self.expect_length(&node.tensor.shape, gradient)
        } else if node.len() != 1 {
            Err(self.not_scalar(node))
        } else {
            Ok(())
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn not_scalar(&self, node: &Node) -> Failed {
        self.fail(ErrorKind::NotScalar {
            shape: node.tensor.shape,
        })
    }

    #[inline]
    pub(crate) fn backward(
        &mut self,
        tape: &Tape<'t>,
        var: Var<'t>,
        gradient: Option<&[f32]>,
    ) -> Result<(), Failed> {
        let loss = var.stamp;
        if !ptr::eq(tape, var.tape)
            || self.planned != loss
            || self.seed_len != gradient.map_or(1, <[f32]>::len)
            || self.outdated_from <= self.stamps.id(loss)
        {
            self.prepare(tape, var, gradient)?;
            if self.planned != loss {
                return Ok(());
            }
        }
        let starts_anew = self.collected.get() == Collected::NONE;
        if starts_anew {
            self.collected.set(self.reached);
        }
        // Should an operation unwind, gradients are half done: they are forgotten.
        let collected = self.collected.get();
        if UNWINDS {
            self.collected.set(Collected::NONE);
        }
        match gradient {
            None => {
                if let Some(seed) = self.floats.get_mut(self.seed) {
                    *seed = 1.0;
                }
            }
            Some(gradient) => {
                let seed = self.floats.get_mut(self.seed..).unwrap_or_default();
                for (to, g) in seed.iter_mut().take(self.seed_len).zip(gradient) {
                    *to = *g;
                }
            }
        }

        Backward::run(
            &self.nodes,
            self.first_planned,
            &mut self.floats,
            starts_anew,
        );
        if UNWINDS {
            self.collected.set(collected);
        }
        Ok(())
    }

    /// Refuses what has no gradients, and plans them. A loss that is itself a parameter
    /// has only its own to collect, and that is done here.
    #[cold]
    #[inline(never)]
    fn prepare(
        &mut self,
        tape: &Tape<'t>,
        var: Var<'t>,
        gradient: Option<&[f32]>,
    ) -> Result<(), Failed> {
        let loss = self.find(tape, var)?;
        let node = self.nodes.at(loss);
        self.expect_differentiable(node, gradient)?;
        let is_param = node.op.is_none();
        if !is_param {
            if self.outdated_from <= self.id(loss) {
                return Err(self.fail(ErrorKind::NotReplayed));
            }
            if self.planned == var.stamp {
                return Ok(());
            }
        }
        if is_param || self.collected.get() != Collected::NONE {
            self.mark_written();
        }
        if !is_param {
            return self.plan(loss);
        }
        self.forget_plan(); // it would not know of the mark
        let node = self.nodes.at(loss);
        node.set(Node::WRITTEN);
        let range = self.grad_range(node);
        let to = self.floats.part(range.start, range.len());
        for (to, g) in to.iter_mut().zip(gradient.unwrap_or(&[1.0])) {
            *to += g;
        }
        Ok(())
    }

    /// Marks the parameters that hold gradients, before another plan, and prepares
    /// the others for gradients to be added: they get the identity of addition.
    fn mark_written(&mut self) {
        let _ = self.settle(Purpose::Add);
        self.collected.set(Collected::WRITTEN);
    }

    /// Fills the gradients of parameters that no backward pass has reached with what
    /// changes nothing: of a sum, or of a step. A step refuses the first parameter that
    /// may not go without, and says where that was made. Looks at all nodes: no longer
    /// than a replay takes.
    #[cold]
    #[inline(never)]
    pub(super) fn settle(&mut self, purpose: Purpose) -> Result<(), Failed> {
        let collected = self.collected.get().0;
        let (mut number, mut place) = (0, self.param_floats);
        for param in self.nodes.iter().filter(|node| node.has(Node::PARAM)) {
            if param.has(collected) {
                param.set(Node::WRITTEN);
            } else {
                param.clear(Node::WRITTEN);
                if purpose == Purpose::Step && !param.has(Node::ALLOW_UNUSED) {
                    let failed = self.unused(number, &param.tensor.shape);
                    self.failure.set_place(None, param.at);
                    return Err(failed);
                }
                let nothing = f32::from_bits(purpose as u32);
                self.floats.part(place, param.len()).fill(nothing);
            }
            number += 1;
            place += param.len();
        }
        Ok(())
    }

    // ---- parameters ------------------------------------------------------

    /// Walks the parameters in the order they were made.
    fn params(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.has(Node::PARAM))
    }

    #[inline]
    pub(crate) fn zero_grad(&self) {
        self.collected.set(Collected::NONE);
    }

    /// Whether `backward` has reached every parameter, seen at a glance: if not, it
    /// may have all the same.
    #[inline]
    pub(super) fn every_param_has_grad(&self) -> bool {
        self.collected.get() == Collected::ALL
    }

    pub(super) fn outdated_from(&self) -> usize {
        self.outdated_from
    }

    pub(super) fn set_outdated_from(&mut self, id: usize) {
        self.outdated_from = id;
    }

    /// After a step, what depends on parameters is older than they are.
    #[inline]
    pub(super) fn outdate_results(&mut self) {
        self.outdated_from = self.outdated_from.min(self.first_trained);
    }

    /// An element of all parameters, and its gradient: 0 if none has reached it. Looks
    /// for the parameter among all nodes.
    pub(crate) fn param_element(&self, index: usize) -> Option<(f32, f32)> {
        let holds =
            |node: &&Node| index.wrapping_sub(self.floats.place(node.tensor.values)) < node.len();
        let node = self.params().find(holds)?;
        let grad = if self.has_grad(node) {
            *self.grads().get(index)?
        } else {
            0.0
        };
        Some((*self.floats.get(index)?, grad))
    }

    /// All gradients of parameters, to be changed.
    pub(crate) fn grads_mut(&mut self) -> &mut [f32] {
        let (_, grads) = self.floats.pair(self.param_floats);
        grads
    }

    /// All parameters and all their gradients.
    #[inline]
    pub(crate) fn params_and_grads(&mut self) -> (&mut [f32], &[f32]) {
        let (params, grads) = self.floats.pair(self.param_floats);
        (params, grads)
    }
}

/// A state whose last node is not computed yet. If what comes from outside unwinds
/// meanwhile, it is dropped, and the tape is as before.
struct Last<'a, 't> {
    state: &'a mut State<'t>,
    floats_peak: usize,
    nodes_peak: usize,
}

impl<'a, 't> Last<'a, 't> {
    fn of(state: &'a mut State<'t>) -> Self {
        Last {
            floats_peak: state.floats_peak,
            nodes_peak: state.nodes_peak,
            state,
        }
    }
}

impl Drop for Last<'_, '_> {
    fn drop(&mut self) {
        let state = &mut *self.state;
        state.truncate(state.nodes.len().saturating_sub(1));
        (state.floats_peak, state.nodes_peak) = (self.floats_peak, self.nodes_peak);
    }
}

/// Inputs that show what they waited for. If a shape rule unwinds, that is undone.
struct Exchanged<'a, 't>(&'a mut State<'t>);

impl Drop for Exchanged<'_, '_> {
    fn drop(&mut self) {
        self.0.exchange_pending();
        self.0.clear_pending();
        self.0.follow_sources();
    }
}

/// One by one and unseen by the compiler, which would call `memcpy` instead: a library
/// of its own on a microcontroller, for something that is seldom done.
#[cold]
fn copy(from: &[f32], to: &mut [f32]) {
    for (to, x) in to.iter_mut().zip(from) {
        *to = black_box(*x);
    }
}

/// Moves numbers `by` places up, what was there being lost; as [`copy`] does.
#[cold]
#[inline(never)]
fn move_up(floats: &mut [f32], by: usize) {
    let floats = Cell::from_mut(floats).as_slice_of_cells();
    for (to, from) in floats.iter().skip(by).zip(floats).rev() {
        to.set(black_box(from.get()));
    }
}

/// Moves them down.
#[cold]
fn move_down(floats: &mut [f32], by: usize) {
    let floats = Cell::from_mut(floats).as_slice_of_cells();
    for (to, from) in floats.iter().zip(floats.iter().skip(by)) {
        to.set(black_box(from.get()));
    }
}
