//! A model recorded on a tape with its data, which fitting, validating and predicting share.

use std::vec::Vec;

use super::model::{Loss, Model, Param};
use super::samples::Samples;
use crate::arena::HeapArena;
use crate::calibrate::Recorded;
use crate::error::{Error, ErrorKind};
use crate::tape::Tape;
use crate::var::Var;

/// A model recorded for a number of rows, with its loss.
pub(super) struct Recording<'t> {
    pub(super) params: Vec<Var<'t>>,
    pub(super) recorded: Recorded<'t>,
}

impl<'t> Recording<'t> {
    /// Records the model on the first `rows` of the samples.
    pub(super) fn new(
        tape: &'t Tape<'t>,
        model: &(impl Model + ?Sized),
        params: &[Param],
        loss: Loss<'_>,
        samples: &'t Samples,
        rows: usize,
    ) -> Self {
        let params = record_params(tape, params);
        let [x, y] = samples.range(0..rows);
        let x = tape.input(x, [rows, samples.inputs()]);
        let y = tape.input(y, [rows, samples.targets()]);
        let loss = loss(model.forward(x, &params), y);
        Recording {
            params,
            recorded: Recorded {
                tape,
                x,
                y,
                loss,
                rows,
            },
        }
    }
}

fn record_params<'t>(tape: &'t Tape<'t>, params: &[Param]) -> Vec<Var<'t>> {
    let record = |param: &Param| tape.param(&param.values, param.shape);
    params.iter().map(record).collect()
}

/// Finds by trial an arena that is large enough for a recording and its gradients.
pub(super) fn arena_for(
    model: &(impl Model + ?Sized),
    params: &[Param],
    loss: Loss<'_>,
    samples: &Samples,
    rows: usize,
) -> Result<HeapArena, Error> {
    fitting(|arena| {
        let tape = arena.tape();
        let recording = Recording::new(&tape, model, params, loss, samples, rows);
        tape.backward(recording.recorded.loss)
    })
}

/// Grows an arena until `attempt` fits into it, and returns an arena of this size.
fn fitting(attempt: impl Fn(&mut HeapArena) -> Result<(), Error>) -> Result<HeapArena, Error> {
    let (mut floats, mut nodes) = (1 << 10, 1 << 6);
    loop {
        let mut arena = HeapArena::new(floats, nodes);
        match attempt(&mut arena) {
            Ok(()) => return Ok(arena),
            Err(error) => match error.kind {
                ErrorKind::Floats { needed, .. } => floats = needed.max(2 * floats),
                // A tape counts its nodes in 16 bits, so a larger arena would not help.
                ErrorKind::Nodes { capacity } if capacity < usize::from(u16::MAX) => nodes *= 2,
                _ => return Err(error),
            },
        }
    }
}

/// Measures the mean loss over samples, without gradients.
pub(super) struct Evaluator<'t> {
    recording: Recording<'t>,
    samples: &'t Samples,
}

impl<'t> Evaluator<'t> {
    /// Records the model for `rows` rows at a time, under `no_grad`.
    pub(super) fn new(
        tape: &'t Tape<'t>,
        model: &(impl Model + ?Sized),
        params: &[Param],
        loss: Loss<'_>,
        samples: &'t Samples,
        rows: usize,
    ) -> Self {
        let record = || Recording::new(tape, model, params, loss, samples, rows);
        let recording = tape.no_grad(record);
        debug_assert!(!recording.recorded.loss.requires_grad());
        Evaluator { recording, samples }
    }

    /// The mean loss with the values of `params`.
    pub(super) fn loss(&self, params: &[Param]) -> Result<f32, Error> {
        let Recording {
            params: vars,
            recorded,
        } = &self.recording;
        for (var, param) in vars.iter().zip(params) {
            recorded.tape.write(*var, &param.values)?;
        }
        recorded.measure(self.samples.rows_in(0..self.samples.rows()))
    }
}

/// The loss of the first rows if the predictions are the targets themselves: 0 if the
/// loss means predictions to equal their targets.
///
/// # Errors
/// The loss does not accept predictions of the shape of the targets.
pub(super) fn loss_of_targets(
    loss: Loss<'_>,
    samples: &Samples,
    at_once: usize,
) -> Result<f32, Error> {
    let rows = samples.rows().min(at_once);
    let [_, y] = samples.range(0..rows);
    let record = |arena: &mut HeapArena| {
        let tape = arena.tape();
        let y = tape.input(y, [rows, samples.targets()]);
        loss(y, y).item()
    };
    let mut arena = fitting(|arena| record(arena).map(|_| ()))?;
    record(&mut arena)
}

/// The predictions of a model for rows of `inputs` numbers each, `at_once` rows at a time.
///
/// # Errors
/// `x` is no whole number of rows, or the model cannot be recorded on its rows.
pub(super) fn predict(
    model: &(impl Model + ?Sized),
    params: &[Param],
    x: &[f32],
    inputs: usize,
    at_once: usize,
) -> Result<Vec<f32>, Error> {
    let all = x.len().checked_div(inputs).unwrap_or(0);
    let rows = all.min(at_once);
    let first = x.get(..rows * inputs).unwrap_or_default();
    let record = |arena: &mut HeapArena| -> Result<Vec<f32>, Error> {
        let tape = arena.tape();
        let params = record_params(&tape, params);
        let input = tape.input(first, [rows, inputs]);
        let output = tape.no_grad(|| model.forward(input, &params));
        let mut predicted = Vec::new();
        for batch in x.chunks((rows * inputs).max(1)) {
            tape.rebind(input, batch)?;
            tape.replay()?;
            predicted.extend_from_slice(&output.value()?);
        }
        Ok(predicted)
    };
    let mut arena = fitting(|arena| record(arena).map(|_| ()))?;
    record(&mut arena)
}
