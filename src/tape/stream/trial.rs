//! Trials: find out whether other numbers of rows fit, before anything is computed.
//!
//! ```text
//! for each number of rows:
//!     inputs show that many rows; their previous data are put aside
//!     run all shape rules, plan the gradients
//! all fit:    inputs keep the last number of rows
//! otherwise:  inputs show the data put aside again, and shapes and plan are as before;
//!             the error names the floats that suffice for every number of rows
//! ```
//!
//! A trial changes no value and no gradient: a result of fewer rows starts at the same float as
//! before.

use core::mem;

use super::super::failure::Failed;
use super::super::params::Collected;
use super::super::state::{State, TakeOver};
use crate::error::ErrorKind;
use crate::op::{Node, NodePtr, RawSlice, Stamp};

/// The parts of a state that are restored after a failed trial, beside the inputs.
struct Before<'t> {
    planned: Stamp,
    collected: Collected,
    floats_peak: usize,
    take_over: Option<TakeOver<'t>>,
    outdated_from: usize,
}

/// A state whose inputs show other data. If a shape rule unwinds, dropping this restores their
/// data, and the next replay runs all shape rules again.
struct Tried<'a, 't>(&'a mut State<'t>);

impl Drop for Tried<'_, '_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl<'t> State<'t> {
    /// Tries each number of rows in `trials`: `show` makes the inputs show as many rows, with
    /// [`try_data`](Self::try_data). If `needs_totals`, also checks that there is room for totals
    /// of gradients. If all fit, the shapes and the plan of the last trial stay.
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
            // The parameters that hold gradients must be marked before the plan is forgotten.
            self.mark_written();
        }
        // If a shape rule unwinds, the next replay must run all shape rules again.
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
                // The other number of rows may need even more floats, so it is tried as well.
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
        // The rules have accepted these shapes before, so this cannot fail.
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

    /// Makes an input show other data for the trial.
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

    /// Runs all shape rules and plans the gradients. Inputs that are not part of the trial, but
    /// wait for data of another batch size, show these data.
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
                // The new plan has not run: only gradients from before count as collected.
                self.params.collected.set(Collected::WRITTEN);
            }
        }
        Ok(())
    }

    /// Makes inputs show the data from before the trial again.
    fn give_back(&mut self) {
        for node in self.nodes.iter_mut() {
            if node.has(Node::TRIED) {
                node.show_rows(node.aside());
                node.clear(Node::TRIED);
            }
        }
        self.follow_sources();
    }

    /// Counts the parameters that the planned backward pass reaches as holding gradients, once
    /// that pass runs after a trial.
    pub(crate) fn collect_planned(&self) {
        if self.params.collected.get() == Collected::WRITTEN {
            self.params.collected.set(Collected::WRITTEN_OR_PLANNED);
        }
    }

    /// Returns whether `loss` is planned for the current shapes, so that no trial is needed.
    pub(crate) fn is_ready(&self, loss: NodePtr) -> bool {
        let node = self.nodes.at(loss);
        self.take_over.is_none() && self.plan.seed_len == 1 && self.plan.loss == node.stamp
    }
}
