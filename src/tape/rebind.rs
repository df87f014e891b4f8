//! Rebinding: points inputs at other data, and overwrites leaves in the arena.
//!
//! An input shows data with its current number of rows at once. Data with another number of
//! rows wait for the next replay, so that several inputs can be rebound before the shapes are
//! computed again.

use core::mem;

use super::failure::Failed;
use super::state::State;
use crate::error::ErrorKind;
use crate::op::{Node, NodePtr, Operand, RawSlice, Stamp};
use crate::shape::Shape;

impl<'t> State<'t> {
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
        // All later results count as outdated: to find those that depend on the input would take
        // longer than it saves.
        self.outdated_from = self.outdated_from.min(self.id(input));
        Ok(())
    }

    pub(super) fn input<'a>(&self, node: &'a Node) -> Result<&'a Node, Failed> {
        if node.is_input() {
            Ok(node)
        } else {
            Err(self.fail(ErrorKind::NotInput))
        }
    }

    /// An input's values per row, and the number of rows recorded; both 0 if it has no rows.
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

    /// Overwrites a [`leaf`](Self::leaf), one value after the other.
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

    /// Finds a parameter or constant. Fails for results and inputs, which cannot be overwritten.
    pub(crate) fn leaf(&self, stamp: Stamp) -> Result<NodePtr, Failed> {
        let leaf = self.find(stamp)?;
        let node = self.nodes.at(leaf);
        if node.op.is_some() || node.has(Node::BORROWED) {
            return Err(self.fail(ErrorKind::NotLeaf));
        }
        Ok(leaf)
    }

    /// The shape of a node.
    pub(crate) fn shape_of(&self, ptr: NodePtr) -> Shape {
        self.nodes.at(ptr).tensor.shape
    }

    /// Changes one element of a [`leaf`](Self::leaf).
    pub(crate) fn change(&mut self, leaf: NodePtr, index: usize, new: impl FnOnce(f32) -> f32) {
        let place = self.floats.place(self.nodes.at(leaf).tensor.values);
        if let Some(element) = self.floats.get_mut(place.saturating_add(index)) {
            *element = new(*element);
        }
        self.outdated_from = self.outdated_from.min(self.id(leaf));
    }

    /// Points views at the values of their sources, after inputs were pointed at other data.
    pub(super) fn follow_sources(&mut self) {
        for ptr in self.nodes.ptrs() {
            let view = self.nodes.at(ptr);
            let [source, ..] = view.operands;
            if view.has(Node::VIEW) {
                let values = self.nodes.tensor(source).values;
                self.nodes.at_mut(ptr).tensor.values = values;
            }
        }
    }

    /// Shows the data that inputs wait for, and runs all shape rules. If a rule refuses or
    /// unwinds, the rebinds are undone. After a rule has unwound, the next replay runs all
    /// shape rules again.
    #[cold]
    pub(super) fn take_over_pending(&mut self) -> Result<(), Failed> {
        self.plan.forget();
        self.exchange_pending();
        let exchanged = Exchanged(self);
        let result = exchanged.0.run_shape_rules();
        mem::forget(exchanged);
        if result.is_err() {
            self.exchange_pending();
        }
        self.clear_pending();
        if result.is_err() {
            // The rules have accepted these shapes before, so this cannot fail.
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

    /// Exchanges the data that inputs show for the data that they wait for.
    pub(super) fn exchange_pending(&mut self) {
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

    /// Computes the shape of a result again, after the shapes of its operands changed.
    pub(super) fn apply_shape_rule(&mut self, ptr: NodePtr) -> Result<(), Failed> {
        let node = self.nodes.at(ptr);
        let Some(op) = node.op else {
            return Ok(());
        };
        let (operands, cap, mut values) = (node.operands, node.cap as usize, node.tensor.values);
        let count = operands.iter().take_while(|o| **o != Operand::NONE);
        let shape = self.infer_shape(op, operands, count.count(), ptr)?;
        let len = shape.numel();
        if self.nodes.at(ptr).has(Node::VIEW) {
            // A view shows the values of its source.
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
}

/// A state whose inputs show the data that they waited for. If a shape rule unwinds, dropping
/// this undoes the exchange.
struct Exchanged<'a, 't>(&'a mut State<'t>);

impl Drop for Exchanged<'_, '_> {
    fn drop(&mut self) {
        self.0.exchange_pending();
        self.0.clear_pending();
        self.0.follow_sources();
    }
}

/// Copies floats up to the length of the shorter slice, where `copy_from_slice` could panic.
#[cold]
fn copy(from: &[f32], to: &mut [f32]) {
    for (to, x) in to.iter_mut().zip(from) {
        *to = *x;
    }
}
