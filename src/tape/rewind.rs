//! Rewinding: drops the last nodes, and undoes what recording them changed in the state.

use core::cell::Cell;
use core::hint::black_box;

use super::params::Collected;
use super::state::{NEVER, State};
use crate::op::{Node, NodePtr};

impl State<'_> {
    /// Keeps the first `keep` nodes and drops the others.
    pub(super) fn truncate(&mut self, keep: usize) {
        let old_params = self.params.floats;
        self.nodes_peak = self.nodes_peak.max(self.nodes.len());
        self.note_peak();
        self.forget_dropped(keep);

        // Close the gap that dropped parameters leave.
        let params = self.params.floats;
        if params < old_params && self.params.collected.get() != Collected::NONE {
            let grads = self.floats.get_mut(params..old_params + params);
            move_down(grads.unwrap_or_default(), old_params - params);
        }

        // The first outdated node is now a kept result, or an input that waits for other data:
        // other leaves are never outdated.
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

        self.plan.forget();
        self.stamps.advance();
    }

    /// Drops the nodes from number `keep` on. Looks at no kept node but the leaves and views
    /// directly in front of them, so that a loop that records and rewinds takes time
    /// proportional to what it records.
    pub(super) fn forget_dropped(&mut self, keep: usize) {
        for node in self.nodes.get(keep..).unwrap_or_default() {
            if node.has(Node::PARAM) {
                self.params.floats -= node.len();
            } else if !node.has(Node::BORROWED | Node::VIEW) {
                // Values are allocated downwards: the first one dropped ends highest.
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

    /// Updates the peak, before fewer floats are in use.
    pub(super) fn note_peak(&mut self) {
        self.floats_peak = self.floats_peak.max(self.used() + self.plan.floats);
    }
}

/// Moves floats down by `by` places, over the first `by`. One by one, and with `black_box`:
/// firmware need not link `memmove` for this rare case.
#[cold]
fn move_down(floats: &mut [f32], by: usize) {
    let floats = Cell::from_mut(floats).as_slice_of_cells();
    for (to, from) in floats.iter().zip(floats.iter().skip(by)) {
        to.set(black_box(from.get()));
    }
}
