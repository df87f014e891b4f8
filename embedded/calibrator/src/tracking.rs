//! Tracking: after a fit, the calibration follows samples one at a time. The state of the
//! library's tracker lies in the memory that a fit has for scaled readings.

use baregrad::calibrate::{MAX_DEGREE, TrackError, Tracker, Tracking, TwoFloat};

use crate::board::Board;
use crate::console::{Number, say};
use crate::failure::Failure;
use crate::kept::{Kept, MAX_PARAMS};
use crate::memory::{Samples, Scratch};

/// The syntax of the command.
pub(crate) const USAGE: &str = "track [on [forgetting] [sigma]|off]";
/// The most parameters of a curve that any board tracks.
pub(crate) const MANY: usize = MAX_DEGREE + 1;

/// Returns the most parameters of a curve that this memory has room to track, up to `P`. The
/// tracker's state takes no RAM of its own, because there is no fit while samples are tracked.
fn most<const P: usize>(scratch: &Scratch<'_>) -> usize {
    let fits = |params: &usize| Tracker::floats(*params) <= scratch.x.len();
    (1..=P).rev().find(fits).unwrap_or(0)
}

/// Begins to track the calibration in use. `P` is the most parameters of a curve that the
/// board fits by least squares.
///
/// # Errors
/// The curve is a network or has more parameters than there is room for, or an option is out of
/// range.
#[inline(never)]
pub(crate) fn begin<const P: usize>(
    kept: &Kept,
    samples: &Samples<'_>,
    scratch: &mut Scratch<'_>,
    options: Tracking,
) -> Result<(), Failure> {
    let mut params = [0.0; MAX_PARAMS];
    let calibration = kept.read(&mut params)?;
    // The samples of the fit determine its covariance. Their number tells whether they are still
    // there.
    let readings = &samples.readings;
    let is_known = readings.len() == calibration.origin.samples as usize;
    let reading = |i| readings.get(i).filter(|_| is_known);
    match Tracker::begin::<P>(scratch.x, &calibration, options, reading) {
        Ok(_) => Ok(()),
        Err(TrackError::Network | TrackError::Room { .. }) => Err(Failure::Untracked {
            curve: calibration.curve,
            most: most::<P>(scratch),
        }),
        Err(error) => Err(Failure::Track(error)),
    }
}

/// Takes a sample, and keeps the updated calibration.
///
/// # Errors
/// The sample was left out, and the calibration is as before.
#[inline(never)]
pub(crate) fn take<B: Board, const P: usize>(
    board: &mut B,
    kept: &mut Kept,
    scratch: &mut Scratch<'_>,
    [reading, reference]: [TwoFloat; 2],
) -> Result<(), Failure> {
    let mut params = [0.0; MAX_PARAMS];
    let mut calibration = kept.read(&mut params)?;
    let count = calibration.params.len();
    let tracker = Tracker::resume(scratch.x, count);
    let mut tracker = tracker.ok_or(Failure::NotTracking)?;
    let tracked = tracker.observe::<P>(&calibration, reading, reference);
    let tracked = tracked.map_err(Failure::LeftOut)?;
    let [low, high] = &mut calibration.range;
    if reading.difference(*low) < 0.0 {
        *low = reading;
    }
    if reading.difference(*high) > 0.0 {
        *high = reading;
    }
    calibration.params = tracked.params.get(..count).unwrap_or_default();
    kept.set(&calibration)?;
    let (samples, off) = (tracker.samples(), Number::Single(tracked.off));
    let jump = match tracked.is_jump {
        true => ", taken as a jump of the sensor",
        false => "",
    };
    say!(board, "ok {samples} tracked, off={off}{jump}");
    Ok(())
}

/// Sends the number of samples that were tracked, and the standard error of the result in the
/// middle of the range.
#[inline(never)]
pub(crate) fn say_state<B: Board, const P: usize>(
    board: &mut B,
    kept: &Kept,
    scratch: &mut Scratch<'_>,
) -> Result<(), Failure> {
    let mut params = [0.0; MAX_PARAMS];
    let calibration = kept.read(&mut params)?;
    let tracker = Tracker::resume(scratch.x, calibration.params.len());
    let tracker = tracker.ok_or(Failure::NotTracking)?;
    let [low, high] = calibration.range;
    let middle = low.plus(high.difference(low) * 0.5);
    say!(
        board,
        "ok tracking, samples {} left out {} forgetting={} sigma={} error={}",
        tracker.samples(),
        tracker.left_out(),
        Number::Single(tracker.forgetting()),
        Number::Single(tracker.sigma(&calibration)),
        Number::Single(tracker.standard_error::<P>(&calibration, middle)),
    );
    Ok(())
}
