//! Micro-batches: gradients over more data than a tape was recorded for.
//!
//! ```text
//! rows of a micro-batch: as many as recorded; the first takes the remainder
//! for each micro-batch, in order:
//!     rebind, replay
//!     backward, with rows / all rows as the loss's gradient
//!     total += rows / all rows * loss
//! ```
//!
//! The gradient of a mean is the mean of the micro-batches' gradients, weighted
//! by their rows. Sums within a micro-batch are in the order of its shape, and
//! micro-batches are added in order, so that the bits depend on the rows
//! recorded and the rows given, not on the target.
//!
//! A gradient to which a million micro-batches were added one by one would be off by
//! percents. So if there are more than 64, after every 64 the gradients are added to totals
//! and start again from the rounding errors of these additions. The totals take a float for
//! each float of the parameters, set aside until the end. The loss is a compensated sum
//! throughout.
//!
//! The shorter micro-batch comes first, so that the inputs end with as many rows as recorded.
//! Before the first, both numbers of rows are tried, so that an operation that cannot do with
//! fewer rows, or an arena that is too small, fails before anything has changed.

mod totals;
mod trial;

use core::mem;
use core::panic::Location;
use core::slice;

use crate::error::{Error, ErrorKind};
use crate::kernel::compensated::carry_all;
use crate::tape::{Failed, State, Tape};
use crate::var::Var;

impl<'t> Tape<'t> {
    /// Adds the gradients of the mean of `loss` over a data set of any size to
    /// those of the parameters, and returns that mean. The tape is recorded with
    /// as many rows as fit into the arena; `data` has all rows of each input.
    ///
    /// `loss` must be a mean over the rows, as [`mse`](Var::mse) is, with or
    /// without terms that depend on parameters only. Data that fit in one
    /// micro-batch give the same bits as [`replay`](Self::replay) and
    /// [`backward`](Self::backward). Inputs that are not listed keep their data.
    ///
    /// More than 64 micro-batches need one more free float for each float of the
    /// parameters than [`backward`](Self::backward): totals that keep the gradients
    /// as accurate as those of 64 micro-batches, even if there are millions.
    ///
    /// The call replays each micro-batch, so that a loop needs no `replay`:
    ///
    /// ```
    /// use baregrad::{Arena, optim::Sgd};
    ///
    /// // y = 2x + 1 for a thousand samples; the tape holds 64 of them at a time.
    /// static X: [f32; 1000] = {
    ///     let (mut x, mut i) = ([0.0; 1000], 0);
    ///     while i < 1000 {
    ///         x[i] = i as f32 / 500.0 - 1.0;
    ///         i += 1;
    ///     }
    ///     x
    /// };
    /// let y_all = X.map(|x| 2.0 * x + 1.0);
    ///
    /// let mut arena = Arena::<200, 8>::new();
    /// let tape = arena.tape();
    /// let (w, b) = (tape.param(&[0.0], [1, 1]), tape.param(&[0.0], [1]));
    /// let (x, y) = (tape.input(&X[..64], [64, 1]), tape.input(&y_all[..64], [64, 1]));
    /// let loss = x.linear(w, b).mse(y);
    ///
    /// let mut sgd = Sgd::new(0.5);
    /// let mut mean = f32::INFINITY;
    /// for _ in 0..50 {
    ///     tape.zero_grad();
    ///     mean = tape.backward_over(loss, &[(x, &X), (y, &y_all)])?;
    ///     tape.step(&mut sgd)?;
    /// }
    /// assert!(mean < 1e-6 && (w.item()? - 2.0).abs() < 1e-3);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// Data that are no whole number of rows, or have another number of rows than
    /// the first ([`ErrorKind::DataSet`]); a variable that is no input, or an input named
    /// twice ([`ErrorKind::InputTwice`]); the errors of [`replay`](Self::replay) and
    /// [`backward`](Self::backward) for any micro-batch, such as an operation that cannot
    /// do with fewer rows or an arena too small ([`ErrorKind::Floats`] names the floats that
    /// suffice for all micro-batches, and for the totals of more than 64). Inputs, values and
    /// gradients are then as before.
    #[track_caller]
    pub fn backward_over(
        &'t self,
        loss: Var<'t>,
        data: &[(Var<'t>, &'t [f32])],
    ) -> Result<f32, Error> {
        let at = Location::caller();
        let mean = self.accumulate(loss, data);
        mean.map_err(|_| self.why("backward_over", at))
    }

    fn accumulate(&'t self, loss: Var<'t>, data: &[(Var<'t>, &'t [f32])]) -> Result<f32, Failed> {
        let mut state = self.enter()?;
        let node = state.look(self.stamp(loss))?;
        state.expect_differentiable(node, None)?;
        let (mut rows, mut most) = (None, usize::MAX);
        for (input, (var, values)) in data.iter().enumerate() {
            let node = state.look(self.stamp(*var))?;
            let (row, recorded) = state.input_rows(node)?;
            let mut others = data.iter().take(input);
            if let Some(first) = others.position(|(other, _)| other.stamp == var.stamp) {
                let second = input;
                return Err(state.fail(ErrorKind::InputTwice { first, second }));
            }
            let found = values.len().checked_div(row).unwrap_or(0);
            if found == 0 || found * row != values.len() || rows.is_some_and(|r| r != found) {
                return Err(fail_data(&state, input, [values.len(), row], rows));
            }
            rows = Some(found);
            most = most.min(recorded);
        }
        // `data` may be empty.
        let rows = rows.ok_or_else(|| fail_data(&state, 0, [0, 0], None))?;

        let odd = rows.checked_rem(most).unwrap_or(0);
        let first = if odd == 0 { most.min(rows) } else { odd };
        let are_many = rows.div_ceil(most.max(1)) > FEW;
        self.try_batches(&mut state, loss, data, [rows, most, first], are_many)?;

        if are_many {
            state.set_totals_aside();
        }
        let mut half_done = HalfDone {
            state: &mut state,
            has_totals: are_many,
        };
        let mean = self.stream(&mut half_done, loss, data, [rows, most, first])?;
        half_done.finish();
        Ok(mean)
    }

    /// Runs one micro-batch after the other, and returns the mean of the loss.
    #[inline(always)]
    fn stream(
        &'t self,
        half_done: &mut HalfDone<'_, 't>,
        loss: Var<'t>,
        data: &[(Var<'t>, &'t [f32])],
        [rows, most, first]: [usize; 3],
    ) -> Result<f32, Failed> {
        let has_totals = half_done.has_totals;
        let state = &mut *half_done.state;
        let mut mean = Compensated::default();
        let mut start = 0;
        let mut left = FEW;
        while start < rows {
            if left == 0 && has_totals {
                state.carry_grads();
                mean.carry();
                left = FEW;
            }
            left = left.wrapping_sub(1);
            let len = if start == 0 { first } else { most };
            for (var, values) in data {
                let input = state.find(self.stamp(*var))?;
                let row = values.len().checked_div(rows).unwrap_or(0);
                let batch = values.get(start * row..(start + len) * row);
                state.rebind(input, batch.unwrap_or_default())?;
            }
            state.replay()?;
            state.collect_planned();
            let weight = len as f32 / rows as f32;
            state.backward(self.stamp(loss), Some(&[weight]))?;
            let value = state
                .values(state.look(self.stamp(loss))?)
                .first()
                .copied()
                .unwrap_or(f32::NAN);
            mean.add(weight * value);
            start += len;
        }
        Ok(mean.total())
    }

    /// Tries the number of rows of the first micro-batch and of the others. If either does not
    /// fit, fails before anything has changed.
    #[cold]
    #[inline(never)]
    fn try_batches(
        &'t self,
        state: &mut State<'t>,
        loss: Var<'t>,
        data: &[(Var<'t>, &'t [f32])],
        [rows, most, first]: [usize; 3],
        needs_totals: bool,
    ) -> Result<(), Failed> {
        let loss = state.find(self.stamp(loss))?;
        let is_ready = |state: &State<'t>, rows| {
            let mut inputs = data.iter().map(|(var, _)| state.look(self.stamp(*var)));
            state.is_ready(loss)
                && inputs.all(|node| node.is_ok_and(|node| node.tensor.shape.dim(0) == rows))
        };
        let lens = [most, first];
        let has_others = rows > first && first != most;
        // If a number of rows is planned already, its trial can be left out; not with totals,
        // because the plan does not tell whether there is room for them.
        let trials = match has_others {
            true if !needs_totals && is_ready(state, most) => lens.get(1..),
            true => lens.get(..),
            false if !needs_totals && is_ready(state, first) => None,
            false => lens.get(1..),
        };
        let Some(trials) = trials else { return Ok(()) };
        state.try_rows(loss, trials, needs_totals, |state, len| {
            for (var, values) in data {
                let input = state.find(self.stamp(*var))?;
                let row = values.len().checked_div(rows).unwrap_or(0);
                state.try_data(input, values.get(..len * row).unwrap_or_default());
            }
            Ok(())
        })
    }
}

/// A pass over data that is not finished. If an operation unwinds, dropping this forgets the
/// gradients, which are those of only some of the data.
struct HalfDone<'a, 't> {
    state: &'a mut State<'t>,
    /// Whether memory is set aside for totals.
    has_totals: bool,
}

impl HalfDone<'_, '_> {
    fn finish(mut self) {
        self.give_totals_back();
        mem::forget(self);
    }

    fn give_totals_back(&mut self) {
        if self.has_totals {
            self.state.give_totals_back();
        }
    }
}

impl Drop for HalfDone<'_, '_> {
    fn drop(&mut self) {
        self.give_totals_back();
        self.state.zero_grad();
    }
}

// Out of line, because `accumulate` would otherwise reserve room for an error on its stack.
#[cold]
#[inline(never)]
fn fail_data(
    state: &State<'_>,
    input: usize,
    [found, row]: [usize; 2],
    rows: Option<usize>,
) -> Failed {
    state.fail(ErrorKind::DataSet {
        input,
        found,
        row,
        rows,
    })
}

/// The most micro-batches whose gradients are added up without totals. With more micro-batches,
/// gradients are carried over to the totals after every `FEW`.
const FEW: usize = 64;

/// A sum that also adds up its rounding errors (A. Neumaier, "Rundungsfehleranalyse einiger
/// Verfahren zur Summation endlicher Summen", 1974). A plain sum of thousands of micro-batches
/// would lose digits, and `f64` needs a software library on a microcontroller.
#[derive(Default)]
struct Compensated {
    sum: f32,
    lost: f32,
}

impl Compensated {
    fn add(&mut self, x: f32) {
        // `carry` finds the rounding error exactly if the smaller number is added to the larger.
        let (mut large, mut small) = if self.sum.abs() >= x.abs() {
            (self.sum, x)
        } else {
            (x, self.sum)
        };
        carry(&mut large, &mut small);
        self.sum = large;
        self.lost += small;
    }

    /// Adds the rounding errors so far to the sum, before their own sum loses digits.
    #[cold]
    fn carry(&mut self) {
        carry(&mut self.sum, &mut self.lost);
    }

    fn total(&self) -> f32 {
        self.sum + self.lost
    }
}

/// Carries a part over to its total, by the function that carries gradients, so that firmware
/// links one copy of the code.
fn carry(total: &mut f32, part: &mut f32) {
    carry_all(slice::from_mut(total), slice::from_mut(part));
}
