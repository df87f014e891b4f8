//! Fits on the board. The library's fit runs one epoch at a time. Between two epochs the board
//! answers its line, feeds its watchdog, and stops if `stop` or Ctrl-C has come in. In least
//! squares, an epoch is a pass over the samples.

use baregrad::calibrate::{
    self, Calibration, Curve, CurveSolver, Fit, MAX_DEGREE, Origin, Poll, ROWS, Reason, Scale,
    TwoFloat, prepare, range,
};
use baregrad::least_squares::Status;
use baregrad::op::Node;
use baregrad::optim::{Adam, Optimizer, Sgd};
use baregrad::{Tape, Usage};

use crate::board::Board;
use crate::console::{Number, put, say};
use crate::failure::Failure;
use crate::kept::{Kept, MAX_PARAMS};
use crate::line::{CTRL_C, Line, MAX_LINE};
use crate::memory::{Errors, NODES, Samples, Scratch};
use crate::plan::{Method, Plan};
use crate::rule::{Make, Mover, Plain};

/// The outcome of a fit.
#[derive(Clone, Copy)]
pub(crate) struct Fitted {
    pub(crate) end: End,
    /// The number of passes over the samples.
    pub(crate) epochs: u32,
    /// The ticks of all epochs, for gradient descent without the first, which warms up caches.
    pub(crate) ticks: u64,
}

/// How a fit ended.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// The reason for stopping, and the use of the arena.
    Descent(Reason, Usage),
    /// The solver's status; its standard errors are in [`Scratch::errors`].
    Lm(Status),
}

/// Scaled samples, and their scales.
struct Prepared<'d> {
    data: calibrate::Samples<'d>,
    scales: [Scale; 2],
    range: [TwoFloat; 2],
}

impl Prepared<'_> {
    /// Makes the calibration of parameters and a loss, both of the scaled samples.
    fn calibration<'p>(
        &self,
        curve: Curve,
        params: &'p [f32],
        epochs: u32,
        loss: f32,
    ) -> Calibration<'p> {
        let [input, output] = self.scales;
        Calibration {
            curve,
            input,
            output,
            range: self.range,
            params,
            origin: Origin {
                samples: u32::try_from(self.data.len()).unwrap_or(u32::MAX),
                epochs,
                loss: output.invert_square(loss),
            },
        }
    }
}

/// Fits the curve to the samples, always from the same start, and answers lines that come in
/// meanwhile. With a `result`, the calibration is written to it, and gradient descent sends its
/// progress about ten times.
///
/// # Errors
/// The samples cannot be fitted, the loss diverges, `stop` or Ctrl-C came in, or the arena is too
/// small for the curve.
#[inline(never)]
pub(crate) fn fit<B: Board>(
    plan: &Plan,
    samples: &Samples<'_>,
    scratch: &mut Scratch<'_>,
    board: &mut B,
    line: &mut Line,
    result: Option<&mut Kept>,
) -> Result<Fitted, Failure> {
    let method = plan.method::<B>()?;
    let Samples {
        readings,
        references,
    } = samples;
    let scales = prepare(
        &plan.curve,
        readings.iter(),
        references.iter(),
        scratch.x,
        scratch.y,
    )?;
    let n = readings.len();
    let range = range(readings.iter()).unwrap_or_default();
    let prepared = Prepared {
        data: calibrate::Samples {
            x: scratch.x.get(..n).unwrap_or_default(),
            y: scratch.y.get(..n).unwrap_or_default(),
        },
        scales,
        range,
    };
    match method {
        Method::Descent => {
            let mut result = result;
            let mut fitted = Err(Failure::Busy);
            let texts = &scratch.texts;
            (scratch.lend)(&mut |floats, nodes| {
                if B::SCHEDULES.is_empty() {
                    let (arena, result) = ((floats, nodes), result.as_deref_mut());
                    fitted = descend_plainly(plan, &prepared, arena, board, line, result);
                    return;
                }
                let made = plan.setting::<B>(texts).with(&mut |mover| {
                    let result = result.as_deref_mut();
                    let arena = (&mut *floats, &mut *nodes);
                    fitted = descend(plan, &prepared, arena, mover, board, line, result);
                    Ok(())
                });
                if let Err(failure) = made {
                    fitted = Err(failure);
                }
            });
            fitted
        }
        Method::Lm => {
            let errors = &mut scratch.errors;
            if plan.curve.param_count() <= FEW {
                solve::<B, FEW>(plan, &prepared, board, line, errors, result)
            } else if B::SOLVED > FEW {
                solve::<B, { MAX_DEGREE + 1 }>(plan, &prepared, board, line, errors, result)
            } else {
                Err(Failure::Params(plan.curve))
            }
        }
    }
}

/// The most parameters of the small solver, enough for a cubic and all functions.
pub(crate) const FEW: usize = 4;

/// Fits by least squares. `P` is the most parameters of the solver.
#[inline(never)]
fn solve<B: Board, const P: usize>(
    plan: &Plan,
    prepared: &Prepared<'_>,
    board: &mut B,
    line: &mut Line,
    errors: &mut Errors,
    result: Option<&mut Kept>,
) -> Result<Fitted, Failure> {
    let curve = plan.curve;
    // Matching by reference keeps the solver in place; a copy would take as much stack again.
    let mut solver = CurveSolver::<P>::new(&curve, prepared.data);
    let Some(solver) = &mut solver else {
        return Err(Failure::Params(curve));
    };
    solver.set_max_passes(plan.epochs);
    let (begin, _) = board.ticks();
    let status = loop {
        if let Some(status) = solver.poll() {
            break status;
        }
        let epoch = solver.passes();
        if is_asked_to_stop(board, line, epoch, None) {
            return Err(Failure::Stopped { epoch });
        }
    };
    let (end, _) = board.ticks();
    match status {
        Status::Converged
        | Status::Exact
        | Status::MaxPasses
        | Status::NoProgress
        | Status::IllConditioned { .. } => {}
        status => return Err(Failure::Solve { curve, status }),
    }
    conclude(curve, prepared, solver, errors, result)?;
    Ok(Fitted {
        end: End::Lm(status),
        epochs: solver.passes(),
        ticks: end.saturating_sub(begin),
    })
}

/// Keeps the parameters of a solver that has ended, and their standard errors.
#[inline(never)]
fn conclude<const P: usize>(
    curve: Curve,
    prepared: &Prepared<'_>,
    solver: &mut CurveSolver<'_, P>,
    errors: &mut Errors,
    result: Option<&mut Kept>,
) -> Result<(), Failure> {
    let solution = solver.solution();
    let params = solution.params();
    let params = params.get(..curve.param_count()).unwrap_or_default();
    let (epochs, loss) = (solver.passes(), solver.loss(&solution));
    let calibration = prepared.calibration(curve, params, epochs, loss);
    errors.coefficients = calibration.standard_errors(&solution, !calibration.has_coefficients());
    errors.deviation = solution.residual_standard_deviation() / calibration.output.factor.abs();
    errors.freedom = solution.degrees_of_freedom();
    match result {
        Some(kept) => Ok(kept.set(&calibration)?),
        None => Ok(()),
    }
}

/// Fits by gradient descent on a board without schedules. It makes the optimizer itself, because
/// the calls of [`Setting::with`] would take stack.
#[inline(never)]
fn descend_plainly<'t, B: Board>(
    plan: &Plan,
    prepared: &Prepared<'t>,
    arena: (&'t mut [f32], &'t mut [Node; NODES]),
    board: &mut B,
    line: &mut Line,
    result: Option<&mut Kept>,
) -> Result<Fitted, Failure> {
    let (mut sgd, mut adam);
    let optimizer: &mut dyn Optimizer = match plan.rule.make() {
        Make::Adam => {
            adam = Adam::<MAX_PARAMS>::new(plan.lr);
            &mut adam
        }
        _ => {
            sgd = Sgd::new(plan.lr);
            &mut sgd
        }
    };
    descend(
        plan,
        prepared,
        arena,
        &mut Plain(optimizer),
        board,
        line,
        result,
    )
}

/// Fits by gradient descent, without sending progress if there is no `result`. The caller makes
/// the optimizer and passes it as a trait object, so that one copy of this code serves all
/// optimizers. It is inlined into its two callers, of which a board uses one.
#[inline(always)]
fn descend<'t, B: Board>(
    plan: &Plan,
    prepared: &Prepared<'t>,
    (floats, nodes): (&'t mut [f32], &'t mut [Node; NODES]),
    mover: &mut dyn Mover,
    board: &mut B,
    line: &mut Line,
    result: Option<&mut Kept>,
) -> Result<Fitted, Failure> {
    let tape = Tape::new(floats, nodes);
    let Plan { curve, epochs, .. } = *plan;
    let [_, output] = prepared.scales;
    let mut fit = record(&tape, &curve, prepared.data)?.epochs(epochs);

    let every = epochs.div_ceil(10).max(1);
    let mut begin = 0;
    let reason = loop {
        let epoch = fit.epoch();
        let polled = mover.poll(&mut fit)?;
        let loss = output.invert_square(fit.losses().training);
        if let Poll::Stopped(Reason::Diverged) = polled {
            return Err(Failure::Diverged { epoch, loss });
        }
        if result.is_some() && epoch > 0 && (epoch == epochs || epoch.is_multiple_of(every)) {
            say!(board, "epoch {epoch} loss={}", Number::Single(loss));
        }
        if let Poll::Stopped(reason) = polled {
            break reason;
        }
        if epoch == 0 {
            (begin, _) = board.ticks();
        }
        if is_asked_to_stop(board, line, epoch, Some(loss)) {
            let epoch = fit.epoch();
            return Err(Failure::Stopped { epoch });
        }
    };
    let (end, _) = board.ticks();
    let epochs = fit.epoch();
    if let Some(kept) = result {
        let params = tape.params()?;
        let loss = fit.losses().training;
        kept.set(&prepared.calibration(curve, &params, epochs, loss))?;
    }
    Ok(Fitted {
        end: End::Descent(reason, tape.usage()),
        epochs,
        ticks: end.saturating_sub(begin),
    })
}

/// Feeds the watchdog and answers the lines that have come in, between two epochs. Returns whether
/// `stop` or Ctrl-C was among them.
#[inline(never)]
fn is_asked_to_stop<B: Board>(
    board: &mut B,
    line: &mut Line,
    epoch: u32,
    loss: Option<f32>,
) -> bool {
    board.feed();
    // It takes at most the bytes of a line, so that a sender that never pauses cannot stall the
    // fit.
    for _ in 0..MAX_LINE {
        let Some(byte) = board.receive() else { break };
        if byte == Ok(CTRL_C) {
            *line = Line::EMPTY;
            return true;
        }
        if !line.push(byte) {
            continue;
        }
        let ended = line.take();
        match ended.text().map(str::trim_ascii) {
            Ok("") => {}
            Ok("stop") => return true,
            Ok("status") => {
                put!(board, "fitting epoch {epoch}");
                if let Some(loss) = loss {
                    put!(board, " loss={}", Number::Single(loss));
                }
                board.send(b"\r\n");
                say!(board, "ok");
            }
            Ok(_) => say!(board, "error: {}", Failure::Busy),
            Err(error) => say!(board, "error: {}", Failure::Line(error)),
        }
    }
    board.feed();
    false
}

/// Checks that there is room for a curve: records it as [`fit`] does, with as many rows as pass
/// the tape at a time, and runs an epoch.
///
/// # Errors
/// The curve has more parameters than there is room for, or the arena is too small.
#[inline(never)]
pub(crate) fn check(curve: &Curve, scratch: &mut Scratch<'_>) -> Result<(), Failure> {
    if let Curve::Function(_) = curve {
        // Functions take no arena.
        return Ok(());
    }
    let zeros = [0.0; ROWS];
    let data = calibrate::Samples {
        x: &zeros,
        y: &zeros,
    };
    scratch.with_arena(Ok(()), |floats, nodes| {
        let tape = Tape::new(floats, nodes);
        record(&tape, curve, data)?.poll(&mut Sgd::new(1.0))?;
        Ok(())
    })
}

/// Records a curve with its start parameters, and its loss. The fit keeps no copy of the best
/// parameters (`&mut []`): the last ones count, as in a plain PyTorch loop, because near the
/// minimum the losses differ by rounding only.
#[inline(never)]
fn record<'t>(
    tape: &'t Tape<'t>,
    curve: &Curve,
    data: calibrate::Samples<'t>,
) -> Result<Fit<'t, 'static>, Failure> {
    let count = curve.param_count();
    let mut start = [0.0; MAX_PARAMS];
    let start = start.get_mut(..count).ok_or(Failure::Params(*curve))?;
    curve.start(start);
    Ok(Fit::new(tape, data, ROWS, &mut [], |x| {
        curve.record(x, start)
    })?)
}
