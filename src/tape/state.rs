//! What a tape keeps, and how it records, replays and differentiates.
//!
//! # Memory
//!
//! One slice of floats, one slice of [`Node`]s, both lent by the caller:
//!
//! ```text
//! | parameters | values of constants and results →   …free…   ← | gradients of parameters |
//! 0            P                                   top         N-P                        N
//! ```
//!
//! Parameters stay contiguous, and so do their gradients: an optimizer sees
//! two flat slices. A parameter made late moves the values behind it. Between
//! `top` and `N-P` a backward pass keeps the gradients of intermediate results;
//! `plan` gives each a place from the moment the first operation adds
//! to it until its own operation has read it, so that buffers are shared.
//!
//! An operation's operands stand before its result, which makes one
//! `split_at_mut` enough to lend both.

use core::cell::Cell;
use core::ops::Range;
use core::panic::Location;

use super::{MAX_INPUTS, NONE, Tape, Usage};
use crate::error::{Error, ErrorKind, MAX_OPERANDS, Operands};
use crate::kernel::Acc;
use crate::op::{Attrs, Backward, Borrowed, Forward, Node, Op, Source, operand_shapes, values_at};
use crate::shape::Shape;
use crate::var::Var;

/// Offsets stay below the bits that mark borrowed and unplanned places, so
/// that no sum of an offset and a length overflows a 32-bit `usize`.
const MAX_FLOATS: usize = 1 << 30;
const UNPLANNED: u32 = 1 << 30;

pub(crate) struct State<'t> {
    pub(super) floats: &'t mut [f32],
    pub(super) nodes: &'t mut [Node],
    inputs: [Borrowed<'t>; MAX_INPUTS],
    input_count: usize,
    /// Nodes recorded.
    pub(super) len: usize,
    /// Floats taken by parameters, and floats taken by all values.
    pub(super) param_floats: usize,
    top: usize,
    /// Floats taken by gradients of intermediate results.
    scratch: usize,
    floats_peak: usize,
    nodes_peak: usize,
    pub(super) generation: u32,
    /// The loss whose gradient buffers are planned.
    planned: u16,
    first_param: u16,
    last_param: u16,
    pub(super) any_unused_allowed: bool,
    any_pending: bool,
    /// The first operation; and the first a parameter changes the result of.
    first_op: u16,
    pub(super) first_trained: u16,
    /// From this node on, values may be older than what they depend on.
    pub(super) outdated_from: u16,
}

impl<'t> State<'t> {
    pub(super) fn new(floats: &'t mut [f32], nodes: &'t mut [Node]) -> Self {
        let usable = floats.len().min(MAX_FLOATS);
        let floats = floats.get_mut(..usable).unwrap_or_default();
        let usable = nodes.len().min(NONE as usize);
        let nodes = nodes.get_mut(..usable).unwrap_or_default();
        State {
            floats,
            nodes,
            inputs: [Borrowed {
                data: &[],
                next: None,
                node: NONE,
            }; MAX_INPUTS],
            input_count: 0,
            len: 0,
            param_floats: 0,
            top: 0,
            scratch: 0,
            floats_peak: 0,
            nodes_peak: 0,
            generation: 1,
            planned: NONE,
            first_param: NONE,
            last_param: NONE,
            any_unused_allowed: false,
            any_pending: false,
            first_op: NONE,
            first_trained: NONE,
            outdated_from: NONE,
        }
    }

    /// The node a variable stands for, if it is still there.
    #[inline]
    pub(crate) fn resolve(&self, tape: &Tape<'t>, var: Var<'t>) -> Result<u16, ErrorKind> {
        if !core::ptr::eq(tape, var.tape) {
            return Err(ErrorKind::Foreign);
        }
        match self.nodes.get(var.id as usize) {
            Some(node) if (var.id as usize) < self.len && node.generation == var.generation => {
                Ok(var.id)
            }
            _ => Err(ErrorKind::Stale),
        }
    }

    pub(crate) fn node(&self, id: u16) -> Option<&Node> {
        self.nodes.get(..self.len)?.get(id as usize)
    }

    pub(crate) fn values(&self, id: u16) -> &[f32] {
        match self.node(id) {
            Some(node) => values_at(self.floats, &self.inputs, node.place, node.len),
            None => &[],
        }
    }

    pub(super) fn param(&self, id: u16) -> Result<&Node, ErrorKind> {
        self.node(id)
            .filter(|node| node.has(Node::PARAM))
            .ok_or(ErrorKind::NotParam)
    }

    /// Whether a gradient has reached a parameter.
    pub(crate) fn has_grad(&self, id: u16) -> bool {
        self.param(id).is_ok_and(|node| node.has(Node::WRITTEN))
    }

    /// A parameter's gradient.
    pub(crate) fn grad(&self, id: u16) -> Result<&[f32], ErrorKind> {
        let node = self.param(id)?;
        if !node.has(Node::WRITTEN) {
            return Err(ErrorKind::Unused {
                param: self.param_number(id),
                shape: node.shape,
            });
        }
        let start = self.grads_start() + node.place as usize;
        Ok(self
            .floats
            .get(start..start + node.len as usize)
            .unwrap_or_default())
    }

    pub(super) fn grads_start(&self) -> usize {
        self.floats.len().saturating_sub(self.param_floats)
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            floats: self.top + self.scratch + self.param_floats,
            floats_peak: self.floats_peak,
            floats_capacity: self.floats.len(),
            nodes: self.len,
            nodes_peak: self.nodes_peak,
            nodes_capacity: self.nodes.len(),
            inputs: self.input_count,
        }
    }

    // ---- leaves ----------------------------------------------------------

    pub(super) fn add_param(
        &mut self,
        values: &[f32],
        shape: Shape,
        at: &'static Location<'static>,
    ) -> Result<u16, ErrorKind> {
        expect_length(shape, values)?;
        let len = values.len();
        // Once for the value, once for the gradient.
        self.reserve(len.saturating_mul(2))?;
        let id = self.next_id()?;

        // Results behind the parameters move up, gradients already collected
        // move down, to keep both contiguous.
        let place = self.param_floats;
        shift(self.floats, place..self.top, place + len);
        for node in self.nodes.iter_mut().take(self.len) {
            if node.stands_from(place) {
                node.place += len as u32;
            }
        }
        let start = self.grads_start();
        shift(self.floats, start..self.floats.len(), start - len);
        self.param_floats += len;
        self.top += len;
        if let Some(to) = self.floats.get_mut(place..place + len) {
            to.copy_from_slice(values);
        }

        let flags = Node::PARAM | Node::REQUIRES_GRAD;
        self.push_leaf(shape, place as u32, flags, at);
        self.connect();
        match self.nodes.get_mut(self.last_param as usize) {
            Some(last) => last.operands[0] = id,
            None => self.first_param = id,
        }
        self.last_param = id;
        Ok(id)
    }

    pub(super) fn add_constant(
        &mut self,
        values: &[f32],
        shape: Shape,
        at: &'static Location<'static>,
    ) -> Result<u16, ErrorKind> {
        expect_length(shape, values)?;
        self.reserve(values.len())?;
        let id = self.next_id()?;
        let place = self.top;
        self.top += values.len();
        if let Some(to) = self.floats.get_mut(place..self.top) {
            to.copy_from_slice(values);
        }
        self.push_leaf(shape, place as u32, 0, at);
        Ok(id)
    }

    pub(super) fn add_input(
        &mut self,
        data: &'t [f32],
        shape: Shape,
        at: &'static Location<'static>,
    ) -> Result<u16, ErrorKind> {
        expect_length(shape, data)?;
        let id = self.next_id()?;
        let number = self.input_count;
        let slot = self.inputs.get_mut(number).ok_or(ErrorKind::Inputs {
            capacity: MAX_INPUTS,
        })?;
        *slot = Borrowed {
            data,
            next: None,
            node: id,
        };
        self.input_count += 1;
        self.push_leaf(shape, Node::BORROWED | number as u32, 0, at);
        Ok(id)
    }

    fn push_leaf(&mut self, shape: Shape, place: u32, flags: u8, at: &'static Location<'static>) {
        let len = shape.numel() as u32;
        self.push(Node {
            at: Some(at),
            shape,
            place,
            len,
            cap: len,
            operands: [NONE; MAX_OPERANDS],
            flags: Cell::new(flags),
            ..Node::EMPTY
        });
    }

    fn next_id(&self) -> Result<u16, ErrorKind> {
        if self.len < self.nodes.len() {
            Ok(self.len as u16)
        } else {
            Err(ErrorKind::Nodes {
                capacity: self.nodes.len(),
            })
        }
    }

    /// Refuses unless `more` floats fit beside everything that must stay.
    fn reserve(&self, more: usize) -> Result<(), ErrorKind> {
        let needed = (self.top + self.param_floats).saturating_add(more);
        if needed <= self.floats.len() {
            Ok(())
        } else {
            Err(ErrorKind::Floats {
                needed,
                capacity: self.floats.len(),
            })
        }
    }

    fn push(&mut self, node: Node) {
        if let Some(slot) = self.nodes.get_mut(self.len) {
            *slot = Node {
                generation: self.generation,
                grad: UNPLANNED,
                ..node
            };
            self.len += 1;
        }
        self.planned = NONE;
        self.scratch = 0;
        self.nodes_peak = self.nodes_peak.max(self.len);
        self.note_peak();
    }

    fn note_peak(&mut self) {
        let used = self.top + self.scratch + self.param_floats;
        self.floats_peak = self.floats_peak.max(used);
    }

    pub(crate) fn rebind(&mut self, id: u16, data: &'t [f32]) -> Result<(), ErrorKind> {
        let node = self
            .nodes
            .get_mut(id as usize)
            .filter(|node| node.op.is_none() && node.place & Node::BORROWED != 0)
            .ok_or(ErrorKind::NotInput)?;
        let number = (node.place & !Node::BORROWED) as usize;
        let slot = self.inputs.get_mut(number).ok_or(ErrorKind::NotInput)?;
        if data.len() == slot.data.len() {
            slot.data = data;
            slot.next = None;
        } else {
            let row = node.shape.without(0).numel();
            let rows = data.len().checked_div(row).unwrap_or(0);
            let most = (node.cap as usize).checked_div(row).unwrap_or(0);
            if node.shape.rank() == 0 || rows == 0 || rows * row != data.len() || rows > most {
                return Err(ErrorKind::Rows {
                    found: data.len(),
                    row,
                    most,
                });
            }
            slot.next = Some(data);
            self.any_pending = true;
        }
        // Which later results depend on it is not worth finding out: all may.
        self.outdated_from = self.outdated_from.min(id);
        Ok(())
    }

    /// An input's values per row, and the rows that were recorded.
    pub(crate) fn input_rows(&self, id: u16) -> Result<(usize, usize), ErrorKind> {
        let node = self
            .node(id)
            .filter(|node| node.op.is_none() && node.place & Node::BORROWED != 0)
            .ok_or(ErrorKind::NotInput)?;
        if node.shape.rank() == 0 {
            return Ok((0, 0));
        }
        let row = node.shape.without(0).numel();
        let rows = (node.cap as usize).checked_div(row).unwrap_or(0);
        Ok((row, rows))
    }

    pub(super) fn write(&mut self, id: u16, values: &[f32]) -> Result<(), ErrorKind> {
        let node = self.node(id).ok_or(ErrorKind::Stale)?;
        if node.op.is_some() || node.place & Node::BORROWED != 0 {
            return Err(ErrorKind::NotLeaf);
        }
        expect_length(node.shape, values)?;
        let start = node.place as usize;
        let end = start + values.len();
        if let Some(to) = self.floats.get_mut(start..end) {
            to.copy_from_slice(values);
        }
        self.outdated_from = self.outdated_from.min(id);
        Ok(())
    }

    // ---- recording -------------------------------------------------------

    pub(super) fn record(
        &mut self,
        op: &'static dyn Op,
        operands: [u16; MAX_OPERANDS],
        mut attrs: Attrs,
        grad_enabled: bool,
        at: &'static Location<'static>,
    ) -> Result<u16, ErrorKind> {
        let id = self.next_id()?;
        let mut node = Node {
            op: Some(op),
            at: Some(at),
            operands,
            ..Node::EMPTY
        };
        let (shapes, count) = operand_shapes(self.nodes, &node);
        let shapes = shapes.get(..count).unwrap_or_default();
        node.shape = op
            .shape(shapes, &mut attrs)
            .map_err(|why| ErrorKind::Shape {
                why,
                operands: Operands::new(shapes),
            })?;
        node.attrs = attrs;

        let mut requires_grad = false;
        for operand in operands {
            requires_grad |= self
                .node(operand)
                .is_some_and(|operand| operand.has(Node::REQUIRES_GRAD));
        }
        if requires_grad && grad_enabled {
            node.set(Node::REQUIRES_GRAD);
            self.first_trained = self.first_trained.min(id);
        }

        let len = node.shape.numel();
        node.len = len as u32;
        if op.is_view() {
            let source = self.node(operands[0]).ok_or(ErrorKind::Stale)?;
            node.place = source.place;
            node.cap = source.cap;
            node.set(Node::VIEW);
        } else {
            self.reserve(len)?;
            node.place = self.top as u32;
            node.cap = len as u32;
            self.top += len;
        }
        self.first_op = self.first_op.min(id);
        self.push(node);
        self.connect_node(id as usize);
        self.run_from(id);
        Ok(id)
    }

    /// Keeps the first `keep` nodes.
    pub(super) fn truncate(&mut self, keep: usize) {
        let (old_params, old_grads) = (self.param_floats, self.grads_start());
        self.len = self.len.min(keep);
        self.take_stock();

        // Close the gap that dropped parameters leave.
        let (params, top) = (self.param_floats, self.top.max(old_params));
        let gap = old_params - params;
        if gap > 0 {
            shift(self.floats, old_params..top, params);
            shift(self.floats, old_grads..old_grads + params, old_grads + gap);
            for node in self.nodes.iter_mut().take(self.len) {
                if node.stands_from(old_params) {
                    node.place -= gap as u32;
                }
            }
        }
        self.top = top - gap;

        // Leaves are never outdated, except inputs that wait for other data.
        let kept = self.nodes.iter().take(self.len).enumerate();
        let outdated = kept
            .skip(self.outdated_from as usize)
            .find(|(_, node)| node.op.is_some());
        self.outdated_from = outdated.map_or(NONE, |(id, _)| id as u16);
        let inputs = self.inputs.iter().take(self.input_count);
        let pending = inputs.filter(|input| input.next.is_some());
        self.any_pending = false;
        for input in pending {
            self.any_pending = true;
            self.outdated_from = self.outdated_from.min(input.node);
        }

        self.scratch = 0;
        self.planned = NONE;
        self.generation = self.generation.wrapping_add(1);
        self.connect();
    }

    /// Finds out again what is known of the nodes as a whole.
    fn take_stock(&mut self) {
        self.param_floats = 0;
        self.top = 0;
        self.input_count = 0;
        self.first_param = NONE;
        self.last_param = NONE;
        self.first_op = NONE;
        self.first_trained = NONE;
        // Backwards: each parameter keeps the number of the next.
        for (id, node) in self.nodes.iter_mut().take(self.len).enumerate().rev() {
            let id = id as u16;
            if node.has(Node::PARAM) {
                self.param_floats += node.len as usize;
                node.operands[0] = self.first_param;
                self.first_param = id;
                if self.last_param == NONE {
                    self.last_param = id;
                }
            } else if node.place & Node::BORROWED == 0 {
                self.top = self.top.max((node.place + node.cap) as usize);
            } else if node.op.is_none() {
                self.input_count += 1;
            }
            if node.op.is_some() {
                self.first_op = id;
                if node.has(Node::REQUIRES_GRAD) {
                    self.first_trained = id;
                }
            }
        }
    }

    // ---- forward ---------------------------------------------------------

    /// Computes the results from node `start` on, in order.
    #[inline]
    fn run_from(&mut self, start: u16) {
        let nodes = self.nodes.get(start as usize..self.len).unwrap_or_default();
        let Some(first) = nodes.first() else { return };
        let mut cx = Forward {
            nodes: self.nodes,
            inputs: &self.inputs,
            floats: self.floats,
            node: first,
        };
        for node in nodes {
            if let Some(op) = node.op
                && !node.has(Node::VIEW)
            {
                cx.node = node;
                op.forward(&mut cx);
            }
        }
    }

    pub(super) fn replay(&mut self) -> Result<(), Error> {
        if self.any_pending {
            self.take_over_pending()?;
        }
        self.run_from(self.first_op);
        self.outdated_from = NONE;
        Ok(())
    }

    /// Tells every operation again where its operands are, after some moved.
    fn connect(&mut self) {
        for id in 0..self.len {
            self.connect_node(id);
        }
    }

    fn connect_node(&mut self, id: usize) {
        let Some(node) = self.nodes.get(id) else {
            return;
        };
        if node.op.is_none() {
            return;
        }
        let sources = node.operands.map(|operand| match self.node(operand) {
            Some(operand) => Source {
                place: operand.place,
                len: operand.len,
                grad: Source::NO_GRAD,
            },
            None => Source {
                grad: Source::NO_GRAD,
                ..Source::NONE
            },
        });
        if let Some(node) = self.nodes.get_mut(id) {
            node.sources = sources;
        }
    }

    /// Runs the shape rules for inputs that were rebound with another batch
    /// size. If one refuses, those rebinds are undone.
    #[cold]
    fn take_over_pending(&mut self) -> Result<(), Error> {
        self.any_pending = false;
        self.planned = NONE;
        self.scratch = 0;
        self.resize_inputs(|input| input.next.unwrap_or(input.data));
        let result = self.run_shape_rules();
        if result.is_ok() {
            for input in self.inputs.iter_mut() {
                input.data = input.next.take().unwrap_or(input.data);
            }
        } else {
            for input in self.inputs.iter_mut() {
                input.next = None;
            }
            self.resize_inputs(|input| input.data);
            // These shapes were accepted before.
            let _ = self.run_shape_rules();
        }
        self.connect();
        result
    }

    fn resize_inputs(&mut self, data: impl Fn(&Borrowed<'t>) -> &'t [f32]) {
        for input in self.inputs.iter().take(self.input_count) {
            if let Some(node) = self.nodes.get_mut(input.node as usize) {
                let len = data(input).len();
                let row = node.shape.without(0).numel();
                if let Some(rows) = len.checked_div(row) {
                    node.shape = node.shape.with_dim(0, rows);
                    node.len = len as u32;
                }
            }
        }
    }

    fn run_shape_rules(&mut self) -> Result<(), Error> {
        for id in 0..self.len {
            let Some(node) = self.nodes.get(id) else {
                continue;
            };
            let Some(op) = node.op else { continue };
            let (shapes, count) = operand_shapes(self.nodes, node);
            let shapes = shapes.get(..count).unwrap_or_default();
            let mut attrs = node.attrs;
            let refused = |kind| Error {
                kind,
                op: op.name(),
                at: node.at.unwrap_or(Location::caller()),
            };
            let shape = op.shape(shapes, &mut attrs).map_err(|why| {
                refused(ErrorKind::Shape {
                    why,
                    operands: Operands::new(shapes),
                })
            })?;
            let len = shape.numel();
            if len > node.cap as usize {
                return Err(refused(ErrorKind::Length {
                    expected: node.cap as usize,
                    found: len,
                }));
            }
            if let Some(node) = self.nodes.get_mut(id) {
                node.shape = shape;
                node.attrs = attrs;
                node.len = len as u32;
            }
        }
        Ok(())
    }

    // ---- backward --------------------------------------------------------

    #[inline]
    fn trained(&self, id: u16) -> Result<&Node, ErrorKind> {
        let node = self.node(id).ok_or(ErrorKind::Stale)?;
        if node.has(Node::REQUIRES_GRAD) {
            Ok(node)
        } else {
            Err(ErrorKind::NoGradient)
        }
    }

    /// A single number that depends on a parameter.
    #[inline]
    pub(crate) fn differentiable(&self, loss: u16) -> Result<&Node, ErrorKind> {
        let node = self.trained(loss)?;
        if node.len == 1 {
            Ok(node)
        } else {
            Err(ErrorKind::NotScalar { shape: node.shape })
        }
    }

    #[inline]
    pub(crate) fn backward(
        &mut self,
        loss: u16,
        gradient: Option<&[f32]>,
    ) -> Result<(), ErrorKind> {
        let node = match gradient {
            Some(gradient) => {
                let node = self.trained(loss)?;
                expect_length(node.shape, gradient)?;
                node
            }
            None => self.differentiable(loss)?,
        };
        if self.outdated_from <= loss && node.op.is_some() {
            return Err(ErrorKind::NotReplayed);
        }
        if self.planned != loss {
            self.plan(loss)?;
        }

        let Some((values, grads)) = self.floats.split_at_mut_checked(self.top) else {
            return Ok(());
        };
        let Some(node) = self.nodes.get(loss as usize) else {
            return Ok(());
        };
        // A loss that is itself a parameter collects gradients.
        let acc = if node.has(Node::PARAM) && node.has(Node::WRITTEN) {
            Acc::Add
        } else {
            Acc::Set
        };
        let start = node.grad as usize;
        let seed = grads
            .get_mut(start..start + node.len as usize)
            .unwrap_or_default();
        match gradient {
            None => seed.iter_mut().for_each(|to| acc.put(to, 1.0)),
            Some(gradient) => seed
                .iter_mut()
                .zip(gradient)
                .for_each(|(to, g)| acc.put(to, *g)),
        }
        if node.has(Node::PARAM) {
            node.set(Node::WRITTEN);
            return Ok(());
        }

        let mut cx = Backward {
            nodes: self.nodes,
            inputs: &self.inputs,
            values,
            grads,
            node,
            lent: 0,
        };
        let span = self.first_trained as usize..=loss as usize;
        for node in self.nodes.get(span).unwrap_or_default().iter().rev() {
            if node.has(Node::PLANNED)
                && let Some(op) = node.op
            {
                cx.node = node;
                cx.lent = 0;
                op.backward(&mut cx);
                if node.firsts & !cx.lent != 0 {
                    cx.clear_unlent();
                }
            }
        }
        Ok(())
    }

    /// Gives every intermediate gradient that a backward pass from `loss`
    /// needs a place in the free floats.
    ///
    /// ```text
    /// for node from loss down to the first:
    ///     if its gradient has a place:                   (something adds to it)
    ///         for each operand that needs a gradient and has no place yet:
    ///             the lowest gap among the live buffers that is large enough
    ///         the node's own buffer is no longer live
    /// ```
    ///
    /// Places are relative to `top`, where the gradients begin.
    #[cold]
    fn plan(&mut self, loss: u16) -> Result<(), ErrorKind> {
        self.planned = NONE;
        let grads = self.floats.len() - self.top;
        let params_at = (grads - self.param_floats) as u32;
        for node in self.nodes.iter_mut().take(self.len) {
            node.clear(Node::LIVE | Node::PLANNED);
            node.firsts = 0;
            node.grad = if node.has(Node::PARAM) {
                params_at + node.place
            } else {
                UNPLANNED
            };
        }

        let mut end = 0;
        if self.node(loss).is_some_and(|node| node.op.is_some()) {
            end = self.place_gradient(loss, loss);
        }
        for id in (0..=loss).rev() {
            let Some(node) = self.node(id) else { continue };
            if !node.has(Node::LIVE) {
                continue;
            }
            let (mut sources, mut firsts) = (node.sources, 0);
            for (k, (source, operand)) in sources.iter_mut().zip(node.operands).enumerate() {
                let (waits, param) = match self.node(operand) {
                    Some(operand) if operand.has(Node::REQUIRES_GRAD) => {
                        (operand.grad == UNPLANNED, operand.has(Node::PARAM))
                    }
                    _ => continue,
                };
                if waits {
                    firsts |= 1 << k;
                    end = end.max(self.place_gradient(operand, id));
                }
                source.grad = self.node(operand).map_or(Source::NO_GRAD, |node| node.grad);
                if param {
                    source.grad |= Source::PARAM;
                }
            }
            if let Some(node) = self.nodes.get_mut(id as usize) {
                node.sources = sources;
                node.firsts = firsts;
                node.clear(Node::LIVE);
                node.set(Node::PLANNED);
            }
        }

        let needed = self.top + end as usize + self.param_floats;
        if needed > self.floats.len() {
            return Err(ErrorKind::Floats {
                needed,
                capacity: self.floats.len(),
            });
        }
        self.scratch = end as usize;
        self.note_peak();
        self.planned = loss;
        Ok(())
    }

    /// Places one buffer in the lowest gap; live ones belong to nodes up to
    /// `newest`. Returns where it ends.
    fn place_gradient(&mut self, id: u16, newest: u16) -> u32 {
        let len = self.node(id).map_or(0, |node| node.len);
        let mut start = 0u32;
        // Whenever a live buffer is in the way, go on behind it.
        while let Some(blocking) = self
            .nodes
            .iter()
            .take(newest as usize + 1)
            .find(|n| n.has(Node::LIVE) && n.grad < start + len && start < n.grad + n.len)
        {
            start = blocking.grad + blocking.len;
        }
        if let Some(node) = self.nodes.get_mut(id as usize) {
            node.grad = start;
            node.set(Node::LIVE);
        }
        start.saturating_add(len)
    }

    // ---- parameters ------------------------------------------------------

    /// Walks the parameters in the order they were made.
    fn params(&self) -> impl Iterator<Item = &Node> {
        let mut next = self.first_param;
        core::iter::from_fn(move || {
            let node = self.node(next)?;
            next = node.operands[0];
            Some(node)
        })
    }

    pub(crate) fn param_number(&self, id: u16) -> usize {
        self.node(id).map_or(0, |this| {
            self.params()
                .take_while(|node| !core::ptr::eq(*node, this))
                .count()
        })
    }

    #[inline]
    pub(crate) fn zero_grad(&self) {
        for param in self.params() {
            param.clear(Node::WRITTEN);
        }
    }

    /// Refuses unless every parameter has a gradient, or need not have one.
    #[inline]
    pub(super) fn ready_to_step(
        &self,
    ) -> Result<(), (ErrorKind, Option<&'static Location<'static>>)> {
        let settled = Node::WRITTEN | Node::ALLOW_UNUSED;
        match self.params().position(|param| !param.has(settled)) {
            None => Ok(()),
            Some(unused) => Err(self.unused(unused)),
        }
    }

    #[cold]
    fn unused(&self, param: usize) -> (ErrorKind, Option<&'static Location<'static>>) {
        let node = self.params().nth(param);
        let kind = ErrorKind::Unused {
            param,
            shape: node.map(|node| node.shape).unwrap_or_default(),
        };
        (kind, node.and_then(|node| node.at))
    }

    #[cold]
    pub(super) fn zero_unused(&mut self) {
        let start = self.grads_start();
        for node in self.nodes.iter().take(self.len) {
            if node.has(Node::PARAM) && !node.has(Node::WRITTEN) {
                let from = start + node.place as usize;
                if let Some(grad) = self.floats.get_mut(from..from + node.len as usize) {
                    grad.fill(0.0);
                }
            }
        }
    }

    /// An element of all parameters, and its gradient: 0 if none has reached it.
    pub(crate) fn param_element(&self, index: usize) -> Option<(f32, f32)> {
        let holds = |node: &&Node| index.wrapping_sub(node.place as usize) < node.len as usize;
        let node = self.params().find(holds)?;
        let grad = if node.has(Node::WRITTEN) {
            *self.floats.get(self.grads_start() + index)?
        } else {
            0.0
        };
        Some((*self.floats.get(index)?, grad))
    }

    /// All parameters and all their gradients.
    #[inline]
    pub(crate) fn params_and_grads(&mut self) -> (&mut [f32], &[f32]) {
        let start = self.grads_start();
        match self.floats.split_at_mut_checked(start) {
            Some((values, grads)) => (
                values.get_mut(..self.param_floats).unwrap_or_default(),
                grads,
            ),
            None => (&mut [], &[]),
        }
    }
}

/// `copy_within`, which would panic at ranges the compiler does not know to be
/// within the slice. Here they move nothing.
#[cold]
#[inline(never)] // unrolled at each of its calls, it takes 300 bytes more
fn shift(floats: &mut [f32], from: Range<usize>, to: usize) {
    let up = from.start < to;
    let floats = Cell::from_mut(floats).as_slice_of_cells();
    let target = floats.get(to..to.saturating_add(from.len()));
    let source = floats.get(from);
    let moves = (source.unwrap_or_default().iter()).zip(target.unwrap_or_default());
    let copy = |(from, to): (&Cell<f32>, &Cell<f32>)| to.set(from.get());
    // Nothing is overwritten before it is read.
    if up {
        moves.rev().for_each(copy);
    } else {
        moves.for_each(copy);
    }
}

fn expect_length(shape: Shape, values: &[f32]) -> Result<(), ErrorKind> {
    if shape.numel() == values.len() {
        Ok(())
    } else {
        Err(ErrorKind::Length {
            expected: shape.numel(),
            found: values.len(),
        })
    }
}
