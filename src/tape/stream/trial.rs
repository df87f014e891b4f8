//! Trials: whether other numbers of rows fit, found out before anything is computed.
//!
//! ```text
//! for each number of rows:
//!     inputs show that many rows; what they showed is put aside
//!     find all shapes, plan the gradients
//! all fit:    inputs go on with the last number of rows
//! otherwise:  inputs show again what was put aside, and shapes and plan are as before;
//!             the error names the floats that suffice for every number of rows
//! ```
//!
//! No value and no gradient changes meanwhile: a result of fewer rows has its place at the
//! start of where it is anyway.

use core::mem;

use super::super::failure::Failed;
use super::super::params::Collected;
use super::super::state::{State, TakeOver};
use crate::error::ErrorKind;
use crate::op::{Node, NodePtr, RawSlice, Stamp};

/// The parts of a state that a refused trial restores, beside the inputs.
struct Before<'t> {
    planned: Stamp,
    collected: Collected,
    floats_peak: usize,
    take_over: Option<TakeOver<'t>>,
    outdated_from: usize,
}

/// A state whose inputs show other data. Should a shape rule unwind, they show their own
/// again, and the next replay finds all shapes.
struct Tried<'a, 't>(&'a mut State<'t>);

impl Drop for Tried<'_, '_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl<'t> State<'t> {
    /// Tries some numbers of rows, for each of which `show` lets inputs show as many, with
    /// [`try_data`](Self::try_data); and whether there is room for totals of gradients, if
    /// they are needed. The last trial stays.
    pub(crate) fn try_rows(
        &mut self,
        loss: NodePtr,
        trials: &[usize],
        needs_totals: bool,
        mut show: impl FnMut(&mut State<'t>, usize) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let before = Before {
            planned: self.plan.loss,
            collected: self.params.collected.get(),
            floats_peak: self.floats_peak,
            take_over: self.take_over,
            outdated_from: self.outdated_from,
        };
        if before.collected != Collected::NONE {
            // Their parameters must be marked before the present plan is forgotten.
            self.mark_written();
        }
        // If a shape rule unwinds, the next replay finds all shapes again.
        self.take_over = Some(Self::take_over_pending);
        self.outdated_from = 0;

        let tried = Tried(self);
        let mut fits = Ok(());
        let mut most = 0;
        for rows in trials {
            fits = show(&mut *tried.0, *rows).and_then(|()| tried.0.try_shapes(loss));
            let mut totals = 0;
            if needs_totals {
                match fits {
                    Ok(()) => fits = tried.0.expect_room_for_totals(),
                    // The error names the floats that are needed without totals.
                    Err(_) => totals = tried.0.params.floats,
                }
            }
            let Err(failed) = fits else { continue };
            match tried.0.failure.kind() {
                // Goes on: another number of rows may need even more.
                ErrorKind::Floats { needed, .. } => most = most.max(needed + totals),
                _ => {
                    fits = Err(failed);
                    most = 0;
                    break;
                }
            }
        }
        mem::forget(tried);
        if fits.is_ok() && most == 0 {
            for node in self.nodes.iter_mut() {
                node.clear(Node::TRIED | Node::PENDING);
            }
            self.take_over = None;
            return Ok(());
        }

        let failure = self.failure.clone();
        self.give_back();
        // The rules have accepted these shapes before, and cannot fail.
        let _ = self.run_shape_rules();
        self.plan.forget();
        let planned = self.nodes.ptr(self.stamps.id(before.planned));
        let planned = planned.filter(|ptr| self.nodes.at(*ptr).stamp == before.planned);
        match planned.map(|ptr| self.make_plan(ptr)) {
            Some(Ok(())) => self.params.collected.set(before.collected),
            _ if before.collected == Collected::NONE => {}
            _ => self.params.collected.set(Collected::WRITTEN),
        }
        self.floats_peak = before.floats_peak;
        self.take_over = before.take_over;
        self.outdated_from = before.outdated_from;
        self.failure = failure;
        if most > 0 {
            return Err(self.fail(ErrorKind::Floats {
                needed: most,
                capacity: self.floats.len(),
            }));
        }
        Err(Failed)
    }

    /// Lets an input show other data until the trial ends.
    pub(crate) fn try_data(&mut self, input: NodePtr, data: &'t [f32]) {
        self.try_slice(input, RawSlice::of_input(data));
    }

    fn try_slice(&mut self, input: NodePtr, data: RawSlice) {
        let node = self.nodes.at_mut(input);
        if !node.has(Node::TRIED) {
            node.set_aside(node.tensor.values);
            node.set(Node::TRIED);
        }
        node.show_rows(data);
    }

    /// Finds all shapes and plans the gradients, with what inputs show; those that wait
    /// for other data show that.
    fn try_shapes(&mut self, loss: NodePtr) -> Result<(), Failed> {
        self.plan.forget();
        for ptr in self.nodes.ptrs() {
            let node = self.nodes.at(ptr);
            if node.has(Node::PENDING) && !node.has(Node::TRIED) {
                self.try_slice(ptr, node.waiting());
            }
        }
        self.run_shape_rules()?;
        let node = self.nodes.at(loss);
        self.expect_differentiable(node, None)?;
        if node.op.is_some() {
            self.make_plan(loss)?;
            if self.params.collected.get() != Collected::NONE {
                // Nothing has been computed yet.
                self.params.collected.set(Collected::WRITTEN);
            }
        }
        Ok(())
    }

    /// Lets inputs show what they showed before the trial.
    fn give_back(&mut self) {
        for node in self.nodes.iter_mut() {
            if node.has(Node::TRIED) {
                node.show_rows(node.aside());
                node.clear(Node::TRIED);
            }
        }
        self.follow_sources();
    }

    /// After a trial, from the backward pass on that it planned: the parameters that this
    /// reaches hold gradients, too.
    pub(crate) fn collect_planned(&self) {
        if self.params.collected.get() == Collected::WRITTEN {
            self.params.collected.set(Collected::WRITTEN_OR_PLANNED);
        }
    }

    /// Whether there is nothing to try: `loss` is planned for the shapes there are.
    pub(crate) fn is_ready(&self, loss: NodePtr) -> bool {
        let node = self.nodes.at(loss);
        self.take_over.is_none() && self.plan.seed_len == 1 && self.plan.loss == node.stamp
    }
}
