//! A fit on the board: that of the library, which is asked for an epoch at a time, so that
//! meanwhile the board answers its line, feeds its watchdog, and stops when asked to.

use core::fmt;

use baregrad::calibrate::{
    self, Calibration, Curve, Fit, Origin, Poll, ROWS, Reason, prepare, range,
};
use baregrad::op::Node;
use baregrad::optim::{Adam, Optimizer, Sgd};
use baregrad::{Tape, Usage};

use crate::board::{Board, NODES, Samples};
use crate::failure::Failure;
use crate::kept::{Kept, MAX_PARAMS};
use crate::line::{CTRL_C, Line, MAX_LINE, Number, say};

/// The epochs of a fit if none are given.
const EPOCHS: u32 = 500;
/// The most epochs of one fit.
pub(crate) const MAX_EPOCHS: u32 = 100_000;

/// How parameters are improved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Method {
    /// Gradient descent.
    Sgd,
    /// Adam with PyTorch's defaults.
    Adam,
}

/// The curve to fit, and how to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) curve: Curve,
    pub(crate) method: Method,
    /// The learning rate.
    pub(crate) lr: f32,
    /// How often all samples are gone through, 1 to [`MAX_EPOCHS`].
    pub(crate) epochs: u32,
}

impl Plan {
    /// A line, gradient descent, and as many epochs as a line needs.
    pub(crate) const DEFAULT: Self = Plan {
        curve: Curve::Linear,
        method: Method::Sgd,
        lr: 0.1,
        epochs: EPOCHS,
    };
}

impl Method {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "sgd" => Some(Method::Sgd),
            "adam" => Some(Method::Adam),
            _ => None,
        }
    }
}

/// As the command that chooses it spells it.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Sgd => "sgd",
            Method::Adam => "adam",
        })
    }
}

/// The memory that training needs besides the samples. What is left in it is of
/// no use.
pub(crate) struct Scratch<'m> {
    /// Scaled readings: one for each sample.
    pub(crate) x: &'m mut [f32],
    /// Scaled references.
    pub(crate) y: &'m mut [f32],
    pub(crate) floats: &'m mut [f32],
    /// So many that are known when it is compiled: without the planning of large tapes.
    pub(crate) nodes: &'m mut [Node; NODES],
}

/// The outcome of a fit.
pub(crate) struct Fitted {
    /// Converged, or still falling.
    pub(crate) reason: Reason,
    /// How much of the arena was used.
    pub(crate) usage: Usage,
    /// Ticks that the board counted in all epochs but the first, which warms up what caches
    /// there are.
    pub(crate) ticks: u64,
}

/// Fits the curve to the samples, from the same start every time. If a result is wanted, it
/// says about ten times how far it is. What comes in meanwhile is answered.
///
/// # Errors
/// Samples that cannot be fitted; a loss that grows; it was asked to stop; an arena too
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
    let Plan { curve, epochs, .. } = *plan;
    let Samples {
        readings,
        references,
    } = samples;
    let [input, output] = prepare(
        &curve,
        readings.iter(),
        references.iter(),
        scratch.x,
        scratch.y,
    )?;
    let n = readings.len();
    let data = calibrate::Samples {
        x: scratch.x.get(..n).unwrap_or_default(),
        y: scratch.y.get(..n).unwrap_or_default(),
    };
    let (mut sgd, mut adam);
    let optimizer: &mut dyn Optimizer = match plan.method {
        Method::Sgd => {
            sgd = Sgd::new(plan.lr);
            &mut sgd
        }
        Method::Adam => {
            adam = Adam::<MAX_PARAMS>::new(plan.lr);
            &mut adam
        }
    };
    let tape = Tape::new(scratch.floats, scratch.nodes);
    let mut fit = record(&tape, &curve, data)?.epochs(epochs);

    let every = epochs.div_ceil(10).max(1);
    let mut begin = 0;
    let reason = loop {
        let epoch = fit.epoch();
        let polled = fit.poll(optimizer)?;
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
        if is_asked_to_stop(board, line, epoch, loss) {
            let epoch = fit.epoch();
            return Err(Failure::Stopped { epoch });
        }
    };
    let (end, _) = board.ticks();
    let origin = Origin {
        samples: u32::try_from(n).unwrap_or(u32::MAX),
        epochs,
        loss: output.invert_square(fit.losses().training),
    };
    let calibration = Calibration {
        curve,
        input,
        output,
        range: range(readings.iter()).unwrap_or_default(),
        params: &tape.params()?,
        origin,
    };
    if let Some(result) = result {
        result.set(&calibration)?;
    }
    Ok(Fitted {
        reason,
        usage: tape.usage(),
        ticks: end.saturating_sub(begin),
    })
}

/// Between two epochs: feeds the watchdog, and answers what has come in. Whether that is
/// a wish to stop.
#[inline(never)]
fn is_asked_to_stop<B: Board>(board: &mut B, line: &mut Line, epoch: u32, loss: f32) -> bool {
    board.feed();
    // A line at most, or whoever sends without end would keep it from its work.
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
                let loss = Number::Single(loss);
                say!(board, "fitting epoch {epoch} loss={loss}");
                say!(board, "ok");
            }
            Ok(_) => say!(board, "error: {}", Failure::Busy),
            Err(error) => say!(board, "error: {}", Failure::Line(error)),
        }
    }
    board.feed();
    false
}

/// Whether there is room for a curve: records it as `fit` does, over as many rows as pass
/// the tape at a time, and goes through these once.
///
/// # Errors
/// More parameters than there is room for; an arena that is too small.
#[inline(never)]
pub(crate) fn check(curve: &Curve, scratch: &mut Scratch<'_>) -> Result<(), Failure> {
    let zeros = [0.0; ROWS];
    let data = calibrate::Samples {
        x: &zeros,
        y: &zeros,
    };
    let tape = Tape::new(scratch.floats, scratch.nodes);
    record(&tape, curve, data)?.poll(&mut Sgd::new(1.0))?;
    Ok(())
}

/// Records a curve and its loss, from where training starts. The last parameters count, as
/// with PyTorch's loop: where the loss no longer falls but by rounding, the least one says
/// nothing.
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
