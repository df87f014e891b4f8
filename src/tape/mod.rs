//! The tape: records operations once, runs them forward and backward.
//!
//! This file has the methods that users call. The documentation of `state` describes the
//! layout of the memory and the job of each file.

mod access;
mod failure;
mod params;
mod passes;
mod places;
mod plan;
mod planning;
mod rebind;
mod record;
mod rewind;
mod state;
mod stream;
mod usage;

use core::cell::{Cell, Ref, RefCell};
use core::fmt;
use core::mem::ManuallyDrop;
use core::panic::Location;
use core::ptr;

use crate::error::{Error, ErrorKind};
use crate::op::{Attrs, Node, Op};
use crate::shape::Shape;
use crate::var::Var;

pub(crate) use failure::Failed;
use record::Leaf;
pub(crate) use state::State;
pub use usage::Usage;

/// A recording of tensor operations, and everything needed to train it.
///
/// Made by [`Arena::tape`](crate::Arena::tape), or by [`Tape::new`] over any
/// two slices. The type does not depend on their sizes, so tapes of all sizes share one
/// copy of the code.
///
/// ```
/// use baregrad::{Arena, optim::Sgd};
///
/// let mut arena = Arena::<32, 16>::new();
/// let tape = arena.tape();
/// let w = tape.param(&[0.0], []);
/// let x = tape.input(&[1.0, 2.0, 3.0], [3]);
/// let y = tape.input(&[2.0, 4.0, 6.0], [3]);
/// let loss = (w * x - y).square().mean();
///
/// let mut sgd = Sgd::new(0.1);
/// for _ in 0..50 {
///     tape.zero_grad();
///     tape.backward(loss)?;
///     tape.step(&mut sgd)?;
///     tape.replay()?;
/// }
/// assert!((w.item()? - 2.0).abs() < 1e-6);
/// # Ok::<(), baregrad::Error>(())
/// ```
pub struct Tape<'t> {
    state: RefCell<State<'t>>,
    /// A shared borrow of the state, held while the tape keeps an error. Calls that change the
    /// state then fail to borrow it and need no check for a kept error: on a Cortex-M4F 8
    /// instructions less in every epoch and 44 bytes of flash less, for 12 bytes of RAM.
    /// `ManuallyDrop`, because a tape that had to be dropped could not be borrowed for `'t`.
    hold: Cell<Option<ManuallyDrop<Ref<'t, State<'t>>>>>,
    /// Set if the closure that computes a leaf's values records on the same tape. The state is
    /// borrowed until the closure returns and cannot keep that error, so `add` keeps it
    /// afterwards. Takes 8 bytes of flash on a Cortex-M4F; without it, the failure would be lost.
    missed: Cell<bool>,
    grad_enabled: Cell<bool>,
}

/// A point in a recording, to [`rewind`](Tape::rewind) to.
#[derive(Clone, Copy, Debug)]
pub struct Mark<'t> {
    /// The last node to keep, as a variable, which goes stale when that node is dropped. `None`
    /// keeps no node.
    last: Option<Var<'t>>,
    tape: &'t Tape<'t>,
}

impl<'t> Tape<'t> {
    /// Returns a tape over borrowed storage. [`Arena`](crate::Arena) owns its storage
    /// and is easier to use.
    ///
    /// ```
    /// use baregrad::{Tape, op::Node};
    ///
    /// let mut floats = [0.0; 16];
    /// let mut nodes = [const { Node::EMPTY }; 4];
    /// let tape = Tape::new(&mut floats, &mut nodes);
    /// let x = tape.param(&[3.0], []);
    /// assert_eq!((x * x).item()?, 9.0);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    pub fn new(floats: &'t mut [f32], nodes: &'t mut [Node]) -> Self {
        let plan_many = planning::many(nodes.len());
        Tape {
            state: RefCell::new(State::new(floats, nodes, plan_many)),
            missed: Cell::new(false),
            hold: Cell::new(None),
            grad_enabled: Cell::new(true),
        }
    }

    // ---- leaves ----------------------------------------------------------

    /// Records a trainable leaf and copies its values into the arena: as many values as
    /// `shape` has elements.
    ///
    /// On failure the tape keeps the error, as with every operation.
    #[track_caller]
    pub fn param(&'t self, values: &[f32], shape: impl Into<Shape>) -> Var<'t> {
        self.copy(Leaf::Param, values, &shape.into(), Location::caller())
    }

    /// Records a trainable leaf that starts with `value(i)` at position `i`, in the order in
    /// which [`param`](Self::param) takes values. Random weights are so drawn directly into
    /// the arena, without a table in flash or a buffer on the stack.
    ///
    /// `value` is called once for each element, or never if there is no room. The
    /// tape is borrowed while `value` runs: calls to it from `value` fail with
    /// [`ErrorKind::Borrowed`], and if `value` records something, the tape keeps this as an
    /// error of the leaf.
    ///
    /// ```
    /// use baregrad::random::{Uniform, seeded};
    /// # let mut arena = baregrad::Arena::<600, 4>::new();
    /// # let tape = arena.tape();
    /// // As PyTorch's `nn.Linear(16, 16)` starts.
    /// let start = Uniform::new(-0.25, 0.25)?;
    /// let mut rng = seeded(1);
    /// let w = tape.param_from_fn([16, 16], |_| start.sample(&mut rng));
    /// let b = tape.param_from_fn([16], |_| start.sample(&mut rng));
    /// assert!(w.value()?.iter().all(|w| w.abs() <= 0.25));
    /// # let _ = b;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn param_from_fn(
        &'t self,
        shape: impl Into<Shape>,
        mut value: impl FnMut(usize) -> f32,
    ) -> Var<'t> {
        self.add(
            Leaf::Param,
            &shape.into(),
            &mut value,
            None,
            Location::caller(),
        )
    }

    /// Records an input: data borrowed for the life of the tape, possibly from flash. No
    /// gradient flows into it; [`rebind`](Self::rebind) points it at other data.
    #[track_caller]
    pub fn input(&'t self, data: &'t [f32], shape: impl Into<Shape>) -> Var<'t> {
        let (shape, at) = (shape.into(), Location::caller());
        let made = self
            .enter()
            .and_then(|mut state| state.add_input(data, &shape, at));
        self.leaf(made, "input", at)
    }

    /// Records a constant and copies its values into the arena. No gradient flows into it.
    #[track_caller]
    pub fn constant(&'t self, values: &[f32], shape: impl Into<Shape>) -> Var<'t> {
        self.copy(Leaf::Constant, values, &shape.into(), Location::caller())
    }

    /// Records a constant with `value(i)` at position `i`, as in
    /// [`param_from_fn`](Self::param_from_fn). No gradient flows into it.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 4>::new();
    /// # let tape = arena.tape();
    /// // torch.linspace(-1, 1, 5)
    /// let x = tape.constant_from_fn([5], |i| (2 * i) as f32 / 4.0 - 1.0);
    /// assert_eq!(*x.value()?, [-1.0, -0.5, 0.0, 0.5, 1.0]);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    pub fn constant_from_fn(
        &'t self,
        shape: impl Into<Shape>,
        mut value: impl FnMut(usize) -> f32,
    ) -> Var<'t> {
        self.add(
            Leaf::Constant,
            &shape.into(),
            &mut value,
            None,
            Location::caller(),
        )
    }

    // ---- recording -------------------------------------------------------

    /// Records an operation and computes its result. Every built-in operation is recorded by
    /// this method, and so are your own ([`Op`]). On failure the tape keeps the error.
    #[track_caller]
    pub fn apply(&'t self, op: &'static dyn Op, operands: &[Var<'t>], attrs: Attrs) -> Var<'t> {
        self.apply_with(op, operands, &attrs)
    }

    /// [`apply`](Self::apply) without attributes.
    #[track_caller]
    #[inline]
    pub(crate) fn apply_plain(&'t self, op: &'static dyn Op, operands: &[Var<'t>]) -> Var<'t> {
        self.apply_with(op, operands, const { &Attrs::NONE })
    }

    #[track_caller]
    fn apply_with(&'t self, op: &'static dyn Op, operands: &[Var<'t>], attrs: &Attrs) -> Var<'t> {
        match self.record(op, operands, attrs, self.grad_enabled.get()) {
            Ok(var) => var,
            Err(_) => self.keep(op.name(), Location::caller()),
        }
    }

    /// Like [`apply`](Self::apply), but returns the error instead of keeping
    /// it: the tape is unchanged and can still be used.
    ///
    /// # Errors
    /// Shapes the operation refuses, a full arena, stale or foreign operands,
    /// or the error the tape already keeps.
    #[track_caller]
    pub fn try_apply(
        &'t self,
        op: &'static dyn Op,
        operands: &[Var<'t>],
        attrs: Attrs,
    ) -> Result<Var<'t>, Error> {
        let at = Location::caller();
        let made = self.record(op, operands, &attrs, self.grad_enabled.get());
        made.map_err(|_| self.why(op.name(), at))
    }

    #[track_caller]
    pub(crate) fn record(
        &'t self,
        op: &'static dyn Op,
        operands: &[Var<'t>],
        attrs: &Attrs,
        grad_enabled: bool,
    ) -> Result<Var<'t>, Failed> {
        let at = Location::caller();
        let mut state = self.enter()?;
        let stamp = state.record(self, op, operands, attrs, grad_enabled, at)?;
        Ok(Var::new(self, stamp))
    }

    /// Runs `record` without gradients: `backward` treats the recorded results as
    /// constants, as with PyTorch's `torch.no_grad`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 8>::new();
    /// # let tape = arena.tape();
    /// let w = tape.param(&[2.0], []);
    /// let validation = tape.no_grad(|| w * w);
    /// assert!(!validation.requires_grad());
    /// assert!((w * w).requires_grad());
    /// ```
    pub fn no_grad<R>(&'t self, record: impl FnOnce() -> R) -> R {
        /// Restores the mode even if `record` unwinds.
        struct Restore<'a>(&'a Cell<bool>, bool);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        let _restore = Restore(&self.grad_enabled, self.grad_enabled.replace(false));
        record()
    }

    /// Switches gradients on or off for what is recorded next, and returns the previous
    /// setting.
    pub fn set_grad_enabled(&self, enabled: bool) -> bool {
        self.grad_enabled.replace(enabled)
    }

    /// Whether what is recorded next can require gradients.
    pub fn is_grad_enabled(&self) -> bool {
        self.grad_enabled.get()
    }

    /// Marks this point of the recording.
    pub fn mark(&'t self) -> Mark<'t> {
        let last = match self.state.try_borrow() {
            Ok(state) => state.nodes.last().map(|last| Var::new(self, last.stamp)),
            // The tape runs code from outside, which calls this. The mark names a variable that
            // was never recorded, so that rewinding to it fails.
            Err(_) => Some(Var::unrecorded(self)),
        };
        Mark { last, tape: self }
    }

    /// Drops everything recorded after `mark`, for models whose shape depends
    /// on data: record, train one step, rewind. The use of a dropped variable is an
    /// error from now on. (It is recognised for about 2³² rewinds divided by the arena's
    /// nodes: 65,000 with the most nodes, 268 million with a dozen.)
    ///
    /// Also clears the error the tape keeps, if any: the failed operation was recorded
    /// after the mark.
    ///
    /// The time grows with what is dropped, not with what is kept, unless parameters are
    /// dropped while gradients are held: the gradients of the kept parameters then move.
    ///
    /// # Errors
    /// A mark of another tape, or one after the point of an earlier rewind.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 8>::new();
    /// # let tape = arena.tape();
    /// let w = tape.param(&[2.0], []);
    /// let mark = tape.mark();
    /// for steps in 1..4 {
    ///     let mut y = w;
    ///     for _ in 1..steps {
    ///         y = y * w;
    ///     }
    ///     assert_eq!(y.item()?, 2.0_f32.powi(steps));
    ///     tape.rewind(mark)?;
    /// }
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    pub fn rewind(&'t self, mark: Mark<'t>) -> Result<(), Error> {
        let at = Location::caller();
        drop(self.hold.take().map(ManuallyDrop::into_inner));
        let Ok(mut state) = self.state.try_borrow_mut() else {
            self.hold_if_failed();
            return Err(Error {
                kind: ErrorKind::Borrowed,
                op: "rewind",
                at,
            });
        };
        let kept = state.failure.clone();
        let keep = match mark.last {
            _ if !ptr::eq(self, mark.tape) => Err(state.fail(ErrorKind::Foreign)),
            Some(last) => state.find(self.stamp(last)).map(|last| state.id(last) + 1),
            None => Ok(0),
        };
        match keep {
            Ok(keep) => {
                state.truncate(keep);
                state.failure.clear();
                Ok(())
            }
            Err(_) => {
                let error = state.failure.error("rewind", at);
                state.failure = kept;
                drop(state);
                self.hold_if_failed();
                Err(error)
            }
        }
    }

    // ---- running ---------------------------------------------------------

    /// Computes every recorded result again, in recorded order, after
    /// parameters or inputs changed. Nothing is recorded or allocated; shapes are
    /// computed again only if an input was rebound with another batch size.
    ///
    /// # Errors
    /// Shapes that do not fit after a rebind (all rebinds with another batch
    /// size are then undone; replay again before the next `backward`), or the
    /// error the tape keeps.
    #[track_caller]
    #[inline]
    pub fn replay(&self) -> Result<(), Error> {
        self.leave("replay", |state| state.replay())
    }

    /// Adds the gradients of `loss`, a single number, to those of the
    /// parameters.
    ///
    /// The first call after something was recorded or dropped, for another loss, or for
    /// another batch size plans where in the arena the gradients are kept. Planning looks at
    /// every node of the tape, and for each operation searches the gradients that are alive:
    /// n log n in all, at most a microsecond an operation on a desktop, whatever the graph.
    /// (In an arena of up to 128 nodes the search is linear in the nodes, which takes less
    /// code.)
    ///
    /// # Errors
    /// A `loss` that has not exactly one element or depends on no parameter,
    /// values that are older than the parameters or inputs, an arena too small for the
    /// gradients, or the error the tape keeps. Gradients are then unchanged.
    #[track_caller]
    #[inline]
    pub fn backward(&'t self, loss: Var<'t>) -> Result<(), Error> {
        self.leave("backward", |state| state.backward(self.stamp(loss), None))
    }

    /// Like [`backward`](Self::backward), for a `result` of any shape and the
    /// gradient of some loss with respect to it, with as many elements.
    ///
    /// # Errors
    /// A gradient of another length, and the errors of [`backward`](Self::backward).
    #[track_caller]
    pub fn backward_with(&'t self, result: Var<'t>, gradient: &[f32]) -> Result<(), Error> {
        self.leave("backward_with", |state| {
            state.backward(self.stamp(result), Some(gradient))
        })
    }

    /// Forgets all gradients: the next `backward` overwrites them. Takes constant time.
    #[inline]
    pub fn zero_grad(&self) {
        // Only a cell changes, so this also works while a guard is alive.
        match self.state.try_borrow() {
            Ok(state) => state.zero_grad(),
            Err(_) => self.missed.set(true),
        }
    }

    /// Allows `param` to get no gradient, as in a frozen layer: a step then treats its
    /// gradient as zero.
    ///
    /// # Errors
    /// A variable that is no parameter of this tape; the error the tape keeps.
    #[track_caller]
    pub fn allow_unused(&'t self, param: Var<'t>) -> Result<(), Error> {
        self.leave("allow_unused", |state| {
            let node = state.param(state.look(self.stamp(param))?)?;
            node.set(Node::ALLOW_UNUSED);
            Ok(())
        })
    }

    /// Points an input at other data with the same trailing dimensions. The
    /// leading dimension, the batch, may be smaller than recorded.
    ///
    /// The results change with the next [`replay`](Self::replay), so that
    /// several inputs can be rebound to another batch size one after another.
    ///
    /// Takes constant time, unless a view of the input was recorded: all nodes are then
    /// searched for views.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<16, 8>::new();
    /// # let tape = arena.tape();
    /// let data = [1.0, 2.0, 3.0, 4.0, 5.0];
    /// let x = tape.input(&data[..3], [3]);
    /// let sum = x.sum();
    /// assert_eq!(sum.item()?, 6.0);
    /// tape.rebind(x, &data[3..])?;
    /// tape.replay()?;
    /// assert_eq!(sum.item()?, 9.0);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// Data that are no whole number of rows, or more rows than recorded; a
    /// variable that is no input of this tape; the error the tape keeps.
    #[track_caller]
    #[inline]
    pub fn rebind(&'t self, input: Var<'t>, data: &'t [f32]) -> Result<(), Error> {
        self.leave("rebind", |state| {
            let input = state.find(self.stamp(input))?;
            state.rebind(input, data)
        })
    }

    /// Overwrites a parameter or constant. Results change with the next
    /// [`replay`](Self::replay).
    ///
    /// # Errors
    /// Another number of values; a variable that is a result or an input; the error the tape
    /// keeps.
    #[track_caller]
    pub fn write(&'t self, leaf: Var<'t>, values: &[f32]) -> Result<(), Error> {
        self.leave("write", |state| {
            let leaf = state.find(self.stamp(leaf))?;
            state.write(leaf, values)
        })
    }

    // ---- looking inside --------------------------------------------------

    /// All parameters, one after the other in the order they were made.
    ///
    /// While the guard is alive, calls that change the tape are errors.
    ///
    /// # Errors
    /// The error the tape keeps.
    #[track_caller]
    pub fn params(&self) -> Result<Ref<'_, [f32]>, Error> {
        self.view("params", |state| {
            Ok(state.floats.get(..state.params.floats).unwrap_or_default())
        })
    }

    /// The gradients of all parameters, in the same order. The gradient of a parameter that
    /// no `backward` reached since the last `zero_grad` has no meaning: see
    /// [`Var::has_grad`].
    ///
    /// # Errors
    /// The error the tape keeps.
    #[track_caller]
    pub fn grads(&self) -> Result<Ref<'_, [f32]>, Error> {
        self.view("grads", |state| Ok(state.grads()))
    }

    /// Returns how much of the arena is in use, now and at the peak: record once on the
    /// desktop in a large arena, read the peak, and size the firmware's arena by it. Looks at
    /// every node, to count inputs.
    pub fn usage(&self) -> Usage {
        // The borrow fails only in code that the tape itself runs: guards only read.
        self.state.try_borrow().map_or(
            Usage {
                floats: 0,
                floats_peak: 0,
                floats_capacity: 0,
                nodes: 0,
                nodes_peak: 0,
                nodes_capacity: 0,
                inputs: 0,
            },
            |state| state.usage(),
        )
    }

    /// The error the tape keeps, if an operation failed.
    pub fn error(&self) -> Option<Error> {
        let kept = self
            .state
            .try_borrow()
            .is_ok_and(|state| state.failure.is_kept());
        kept.then(|| self.why("", Location::caller()))
    }
}

impl fmt::Debug for Tape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape")
            .field("usage", &self.usage())
            .field("error", &self.error())
            .finish_non_exhaustive()
    }
}
