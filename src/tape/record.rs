//! Recording: gives leaves and operations their nodes and floats.

use core::cell::Cell;
use core::hint::black_box;
use core::mem;
use core::panic::Location;

use super::Tape;
use super::failure::Failed;
use super::params::Collected;
use super::state::State;
use crate::error::{ErrorKind, MAX_OPERANDS, Operands};
use crate::kernel::Level;
use crate::op::{Attrs, Forward, Node, NodePtr, Op, Operand, RawSlice, Stamp};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

/// The most elements a tensor can have: its node keeps their number in 32 bits.
const MAX_ELEMENTS: u32 = u32::MAX;

/// A value in the arena that no operation computes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    /// No gradient flows to it.
    Constant,
    /// A parameter, which optimizers change.
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

/// Computes a leaf's initial value at each position. A trait object, so that there is one copy of
/// `State::add`.
pub(super) type Value<'a> = &'a mut dyn FnMut(usize) -> f32;

impl<'t> State<'t> {
    /// Adds a leaf in the arena. `values` is the slice that `value` reads, if it reads one. It is
    /// an argument of its own, so that firmware that never passes a slice does not link the check
    /// of its length.
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
                let place = self.params.floats;
                // Gradients that were collected make room for the new parameter.
                if self.params.collected.get() != Collected::NONE {
                    move_up(self.floats.part(place, place + len), len);
                    if self.params.collected.get() == Collected::ALL {
                        self.params.collected.set(Collected::PLANNED);
                    }
                }
                self.params.floats += len;
                (place, Node::PARAM | Node::REQUIRES_GRAD)
            }
        };
        let slice = self.floats.raw_slice(place, len);
        let stamp = self.push_leaf(ptr, slice, len, flags, shape, at);
        let last = Last::of(self);
        let to = last.state.floats.part(place, len).iter_mut();
        if !Level::SCARCE_FLASH
            && let Some(values) = values
        {
            // Copies the slice without a call for each number. Where flash is scarce, this second
            // loop is left out: it would grow the firmware of a one-sample function from 5,600
            // bytes to 5,932, although that of the same model with operators would shrink by 32.
            to.zip(values).for_each(|(to, x)| *to = *x);
        } else {
            to.enumerate().for_each(|(i, to)| *to = value(i));
        }
        mem::forget(last);
        Ok(stamp)
    }

    /// Adds a leaf that borrows its data from the user.
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

    /// Fills the next node as a leaf and takes it into use.
    #[inline(always)]
    pub(super) fn push_leaf(
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

    /// Returns the next node, or fails if there is none or if `more` floats do not fit beside
    /// those that must stay.
    pub(super) fn reserve(&self, more: usize) -> Result<NodePtr, Failed> {
        let needed = self.used().saturating_add(more);
        if needed > self.floats.len() {
            return Err(self.fail(ErrorKind::Floats {
                needed,
                capacity: self.floats.len(),
            }));
        }
        self.nodes.free().ok_or_else(|| self.no_nodes())
    }

    pub(super) fn no_nodes(&self) -> Failed {
        self.fail(ErrorKind::Nodes {
            capacity: self.nodes.capacity(),
        })
    }

    /// Fails unless there is room for `floats` more floats and `nodes` more nodes.
    pub(crate) fn expect_room(&self, floats: usize, nodes: usize) -> Result<(), Failed> {
        self.reserve(floats)?;
        if nodes > self.nodes.capacity() - self.nodes.len() {
            return Err(self.no_nodes());
        }
        Ok(())
    }

    /// Takes the next node into use, once all but its shape, stamp and line are filled in.
    #[inline(never)]
    pub(super) fn push(
        &mut self,
        ptr: NodePtr,
        shape: &Shape,
        at: &'static Location<'static>,
    ) -> Stamp {
        let stamp = self.stamps.stamp(self.nodes.len());
        let node = self.nodes.at_mut(ptr);
        (node.stamp, node.at) = (stamp, Some(at));
        node.next.set(None);
        node.tensor.shape = *shape;
        self.nodes.grow();
        self.plan.forget();
        stamp
    }

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
        // The node is filled before `push` takes it into use.
        let (id, ptr) = match self.reserve(0) {
            // A mistake in the call itself is reported rather than the full arena, because a larger
            // arena would not mend it. Left out where flash is scarce: 316 bytes on a Cortex-M4F.
            Err(_) if !Level::SCARCE_FLASH => return Err(self.fail_full(tape, op, vars, attrs)),
            ptr => (self.nodes.len(), ptr?),
        };
        let mut operands = [Operand::NONE; MAX_OPERANDS];
        let mut flags = 0;
        for (operand, var) in operands.iter_mut().zip(vars) {
            let found = self.find(tape.stamp(*var))?;
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
                // Left out where flash is scarce: 96 bytes on a Cortex-M4F. Without this check all
                // accesses stay in bounds, because the values and the gradient of a view have the
                // length of its source, whatever its shape.
                if !Level::SCARCE_FLASH {
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

    /// The failure of an operation for which no node is left: the first mistake in the call
    /// itself, or else the full arena.
    #[cold]
    #[inline(never)]
    pub(super) fn fail_full(
        &self,
        tape: &Tape<'t>,
        op: &'static dyn Op,
        vars: &[Var<'t>],
        attrs: &Attrs,
    ) -> Failed {
        let (mut shapes, mut attrs) = ([Shape::SCALAR; MAX_OPERANDS], *attrs);
        for (to, var) in shapes.iter_mut().zip(vars) {
            match self.look(tape.stamp(*var)) {
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

    /// Fails unless a view has as many elements as its source.
    pub(super) fn expect_view(&self, source: Operand, shape: &Shape) -> Result<(), Failed> {
        let source = self.nodes.tensor(source).shape;
        if shape.numel() == source.numel() {
            Ok(())
        } else {
            Err(self.fail_shapes(ShapeError::Reshape, &[source]))
        }
    }

    /// Runs the shape rule of an operation, which may also set attributes of the result's node.
    pub(super) fn infer_shape(
        &mut self,
        op: &dyn Op,
        operands: [Operand; MAX_OPERANDS],
        count: usize,
        result: NodePtr,
    ) -> Result<Shape, Failed> {
        // Written out, because a loop is not unrolled when compiled for size.
        let [a, b, c] = operands;
        let shape = |operand| self.nodes.tensor(operand).shape;
        let shapes = [shape(a), shape(b), shape(c)];
        let shapes = shapes.get(..count).unwrap_or_default();
        let shape = op.shape(shapes, &mut self.nodes.at_mut(result).attrs);
        shape.map_err(|why| self.fail_shapes(why, shapes))
    }

    /// Appends an operation to the chain that a forward pass runs.
    pub(super) fn append(&mut self, ptr: NodePtr) {
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
        // Filled in place, because an error is too large to be passed around.
        if let ErrorKind::Shape { operands, .. } = &mut kind {
            operands.set(shapes);
        }
        self.fail(kind)
    }
}

/// A state whose last node is not computed yet. If the code that computes the node unwinds,
/// dropping this removes the node, and the tape is as before.
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

/// Moves floats up by `by` places, over the last `by`. One by one, and with `black_box`: firmware
/// need not link `memmove` for this rare case.
#[cold]
#[inline(never)]
fn move_up(floats: &mut [f32], by: usize) {
    let floats = Cell::from_mut(floats).as_slice_of_cells();
    for (to, from) in floats.iter().skip(by).zip(floats).rev() {
        to.set(black_box(from.get()));
    }
}
