//! Rewinding: the last nodes are dropped, with all that is known of them.

use core::cell::Cell;
use core::hint::black_box;

use super::params::Collected;
use super::state::{NEVER, State};
use crate::op::{Node, NodePtr};

impl State<'_> {
    /// Keeps the first `keep` nodes.
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

        // Results may be outdated, and inputs that wait for other data. Other leaves never are.
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

    /// Drops the nodes from number `keep` on, and what is known of them. Looks at no
    /// others, but for leaves and views in front of them: however much is kept, a loop
    /// that records and rewinds takes the time of what it records.
    pub(super) fn forget_dropped(&mut self, keep: usize) {
        for node in self.nodes.get(keep..).unwrap_or_default() {
            if node.has(Node::PARAM) {
                self.params.floats -= node.len();
            } else if !node.has(Node::BORROWED | Node::VIEW) {
                // Values stand the higher, the earlier they were recorded.
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

    /// Notes how much was in use at most, before that becomes less.
    pub(super) fn note_peak(&mut self) {
        self.floats_peak = self.floats_peak.max(self.used() + self.plan.floats);
    }
}

/// Moves numbers `by` places down and loses the first `by`; one by one, because `memmove` would
/// be linked for it, which is seldom done.
#[cold]
fn move_down(floats: &mut [f32], by: usize) {
    let floats = Cell::from_mut(floats).as_slice_of_cells();
    for (to, from) in floats.iter().zip(floats.iter().skip(by)) {
        to.set(black_box(from.get()));
    }
}
