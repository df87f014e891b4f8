//! Access of the rest of the crate to a tape's state, and the way a failure becomes an error.

use core::cell::{Ref, RefMut};
use core::mem::ManuallyDrop;
use core::panic::Location;
use core::ptr;

use super::Tape;
use super::failure::Failed;
use super::params::Purpose;
use super::record::{Leaf, Value};
use super::state::{State, UNWINDS};
use crate::error::{Error, ErrorKind, OptimizerError};
use crate::op::Stamp;
use crate::shape::Shape;
use crate::var::Var;

impl<'t> Tape<'t> {
    /// The stamp of a variable; [`Stamp::FOREIGN`] if the variable belongs to another tape.
    #[inline(always)]
    pub(crate) fn stamp(&self, var: Var<'t>) -> Stamp {
        if ptr::eq(self, var.tape) {
            var.stamp
        } else {
            Stamp::FOREIGN
        }
    }

    /// The only element of a value. `None` if there is not exactly one, or on any failure.
    #[inline]
    pub(crate) fn peek(&self, var: Var<'t>) -> Option<f32> {
        let state = self.state.try_borrow().ok()?;
        if state.failure.is_kept() {
            return None;
        }
        let node = state.nodes.at(state.lookup(self.stamp(var))?);
        match state.values(node) {
            [x] => Some(*x),
            _ => None,
        }
    }

    /// Passes all parameters to `visit`, which may overwrite them.
    #[track_caller]
    pub(crate) fn visit_params(
        &self,
        visit: &mut dyn FnMut(&'static str, &mut [f32]),
    ) -> Result<(), Error> {
        self.leave("visit_state", |state| {
            state.outdate_results();
            let (params, _) = state.params_and_grads();
            visit("params", params);
            Ok(())
        })
    }

    /// Runs an optimizer's step on the parameters and their gradients. Fails if a parameter has
    /// no gradient, unless it may go without. `refusals_change_nothing` says that a step that
    /// fails has changed no parameter, so that results stay up to date.
    #[track_caller]
    #[inline]
    pub(crate) fn update(
        &self,
        refusals_change_nothing: bool,
        step: impl FnOnce(&mut [f32], &[f32]) -> Result<(), OptimizerError>,
    ) -> Result<(), Error> {
        self.leave("step", |state| {
            if !state.every_param_has_grad() {
                state.settle(Purpose::Step)?;
            }
            // If the step unwinds, any parameter may have changed.
            let before = state.outdated_from();
            if UNWINDS {
                state.outdate_results();
            }
            let (params, grads) = state.params_and_grads();
            match step(params, grads) {
                Ok(()) => {
                    if !UNWINDS {
                        state.outdate_results();
                    }
                    Ok(())
                }
                Err(error) => {
                    if !refusals_change_nothing {
                        state.outdate_results();
                    } else if UNWINDS {
                        state.set_outdated_from(before);
                    }
                    Err(state.fail(ErrorKind::Optimizer(error)))
                }
            }
        })
    }

    /// Runs `change` on the gradients of all parameters. Fails like [`update`](Self::update) if a
    /// parameter has no gradient, or if `change` fails.
    #[track_caller]
    pub(crate) fn change_grads<R>(
        &self,
        op: &'static str,
        change: impl FnOnce(&mut [f32]) -> Result<R, OptimizerError>,
    ) -> Result<R, Error> {
        self.leave(op, |state| {
            if !state.every_param_has_grad() {
                state.settle(Purpose::Step)?;
            }
            change(state.grads_mut()).map_err(|error| state.fail(ErrorKind::Optimizer(error)))
        })
    }

    /// Runs `look` on the state, and turns a failure into an error.
    #[track_caller]
    pub(crate) fn read<R>(
        &self,
        op: &'static str,
        look: impl FnOnce(&State<'t>) -> Result<R, Failed>,
    ) -> Result<R, Error> {
        let at = Location::caller();
        let seen = self.look().and_then(|state| look(&state));
        seen.map_err(|_| self.why(op, at))
    }

    /// Returns a guard of a slice of the state. While the guard lives, the tape cannot change.
    #[track_caller]
    pub(crate) fn view(
        &self,
        op: &'static str,
        slice: impl for<'s> Fn(&'s State<'t>) -> Result<&'s [f32], Failed>,
    ) -> Result<Ref<'_, [f32]>, Error> {
        let at = Location::caller();
        let lent = self.look().and_then(|state| {
            slice(&state)?;
            Ok(Ref::map(state, |state| slice(state).unwrap_or_default()))
        });
        lent.map_err(|_| self.why(op, at))
    }

    /// Runs `run` on the state, which it may change, and turns a failure into an error.
    #[track_caller]
    #[inline]
    pub(crate) fn leave<R>(
        &self,
        op: &'static str,
        run: impl FnOnce(&mut State<'t>) -> Result<R, Failed>,
    ) -> Result<R, Error> {
        let at = Location::caller();
        let done = self.enter().and_then(|mut state| run(&mut state));
        done.map_err(|_| self.why(op, at))
    }

    /// Records a leaf with the values of a slice.
    pub(super) fn copy(
        &'t self,
        leaf: Leaf,
        values: &[f32],
        shape: &Shape,
        at: &'static Location<'static>,
    ) -> Var<'t> {
        let mut value = |i: usize| values.get(i).copied().unwrap_or_default();
        self.add(leaf, shape, &mut value, Some(values), at)
    }

    /// Records a leaf in the arena.
    pub(super) fn add(
        &'t self,
        leaf: Leaf,
        shape: &Shape,
        value: Value<'_>,
        values: Option<&[f32]>,
        at: &'static Location<'static>,
    ) -> Var<'t> {
        self.missed.set(false);
        let made = self
            .enter()
            .and_then(|mut state| state.add(leaf, shape, value, values, at));
        if self.missed.get() {
            return self.keep(leaf.name(), at);
        }
        self.leaf(made, leaf.name(), at)
    }

    /// The variable of a leaf. If recording failed, the tape keeps the error.
    #[inline(always)]
    pub(super) fn leaf(
        &'t self,
        made: Result<Stamp, Failed>,
        name: &'static str,
        at: &'static Location<'static>,
    ) -> Var<'t> {
        match made {
            Ok(stamp) => Var::new(self, stamp),
            Err(_) => self.keep(name, at),
        }
    }

    /// Keeps the last failure unless the tape keeps an earlier one, and returns a variable that
    /// was never recorded.
    #[cold]
    #[inline(never)]
    pub(crate) fn keep(&'t self, op: &'static str, at: &'static Location<'static>) -> Var<'t> {
        match self.state.try_borrow() {
            Ok(state) if state.failure.is_kept() => {}
            Ok(state) => {
                state.failure.keep(op, at);
                self.hold.set(Some(ManuallyDrop::new(state)));
            }
            Err(_) => self.missed.set(true),
        }
        Var::unrecorded(self)
    }

    /// Takes the shared borrow `hold` again, if the tape keeps an error.
    pub(super) fn hold_if_failed(&'t self) {
        let hold = self
            .state
            .try_borrow()
            .ok()
            .filter(|state| state.failure.is_kept());
        self.hold.set(hold.map(ManuallyDrop::new));
    }

    /// Borrows the state for changes. Fails if an error is kept, or while a guard is alive.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Result<RefMut<'_, State<'t>>, Failed> {
        self.state.try_borrow_mut().map_err(|_| Failed)
    }

    /// Borrows the state for reading. Fails if an error is kept.
    pub(crate) fn look(&self) -> Result<Ref<'_, State<'t>>, Failed> {
        match self.state.try_borrow() {
            Ok(state) if !state.failure.is_kept() => Ok(state),
            _ => Err(Failed),
        }
    }

    /// The error the tape keeps, or else the last failure, which is returned only once.
    ///
    /// Out of line: one copy for all methods makes the calibrator's firmware for a Cortex-M3 850
    /// bytes smaller. A firmware that calls few of them pays for it: 76 bytes, 5 instructions an
    /// epoch and 144 bytes of stack for a thermometer with operators on a Cortex-M4F.
    #[cold]
    #[inline(never)]
    pub(crate) fn why(&self, op: &'static str, at: &'static Location<'static>) -> Error {
        match self.state.try_borrow() {
            Ok(state) if state.failure.is_kept() || state.failure.take() => {
                state.failure.error(op, at)
            }
            _ => Error {
                kind: ErrorKind::Borrowed,
                op,
                at,
            },
        }
    }
}
