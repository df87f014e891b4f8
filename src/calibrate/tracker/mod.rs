//! A calibration that follows new samples, one at a time.

mod error;

pub use error::{LeftOut, TrackError};

use super::calibration::Calibration;
use super::curve::Curve;
use crate::function::TwoFloat;
use crate::kernel::Lanes;
use crate::least_squares::{Recursive, Refused};

/// The options of a [`Tracker`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracking {
    /// The factor by which the weight of all samples so far shrinks with each new one, so that
    /// about the last `1 / (1 - forgetting)` samples count. More than 0.5, at most 1.
    pub forgetting: f32,
    /// The standard deviation of a sample, in units of the results. The default is that of the
    /// residuals of the fit, which the calibration's [`Origin`](super::Origin) tells.
    pub sigma: Option<f32>,
    /// The number of standard deviations beyond which a sample is left out as an outlier.
    pub gate: f32,
}

impl Default for Tracking {
    /// About the last 20 samples count, with the standard deviation of the fit and a gate of 5.
    fn default() -> Self {
        Tracking {
            forgetting: 0.95,
            sigma: None,
            gate: 5.0,
        }
    }
}

/// The number of successive samples outside the gate at which the sensor is assumed to
/// have jumped.
const JUMP: f32 = 5.0;
/// The standard deviation of a parameter before any sample, as a multiple of the standard
/// deviation that a single sample would leave.
const UNKNOWN: f32 = 1e4;
/// The least standard deviation of a sample, as a share of the largest result: the
/// rounding of `f32`.
const ROUNDING: f32 = 1e-6;
/// The most evenly spaced readings that replace unknown readings of the fit.
const STAND_INS: u32 = 64;

/// Updates a calibration after its fit: each sample moves the parameters a little, by [recursive
/// least squares](Recursive), or for a formula by a step of an extended Kalman filter.
///
/// The tracker starts from the parameters of the calibration and their covariance, which follows
/// from the readings of the fit. If these are no longer known, readings that are spread evenly
/// over the range of the calibration replace them. Forgetting does not raise a variance above
/// that of a single sample, so a sensor that rests at one reading unlearns nothing.
///
/// Samples outside the gate are left out, except the fifth in a row: the sensor is then
/// assumed to have jumped, and the covariance grows with the size of the jump.
///
/// The state is in `memory` of the caller, of [`floats`](Self::floats) numbers, which can
/// be saved and restored as a whole. `P` is the largest number of parameters for which
/// there is room on the stack; the bits do not depend on it.
///
/// ```
/// use baregrad::calibrate::{Calibration, Curve, Origin, Scale, Tracker, Tracking};
///
/// let fitted = [2.0, 1.0];
/// let line = Calibration {
///     curve: Curve::Linear,
///     input: Scale::ONE,
///     output: Scale::ONE,
///     range: [0.0.into(), 10.0.into()],
///     params: &fitted,
///     origin: Origin { samples: 20, loss: 0.01, ..Origin::default() },
/// };
/// let mut memory = [0.0; Tracker::floats(2)];
/// let readings = |_| None; // not known any more
/// let mut tracker = Tracker::begin::<2>(&mut memory, &line, Tracking::default(), readings)?;
/// let mut params = fitted;
/// for i in 0..100 {
///     let reading = (i % 11) as f32;
///     let is = 2.0 * reading + 1.0 + 0.005 * i as f32; // the sensor drifts
///     let now = Calibration { params: &params, ..line };
///     let tracked = tracker.observe::<2>(&now, reading.into(), is.into());
///     params = tracked.unwrap().params;
/// }
/// let [slope, constant] = params;
/// assert!((slope - 2.0).abs() < 0.02 && (constant - 1.4).abs() < 0.1);
/// # Ok::<(), baregrad::calibrate::TrackError>(())
/// ```
#[derive(Debug)]
pub struct Tracker<'m> {
    own: &'m mut [f32; OWN],
    /// The largest variance of each parameter to which forgetting may lead.
    limits: &'m mut [f32],
    /// The factors of the covariance, as [`Recursive::save`] writes them.
    triangle: &'m mut [f32],
}

/// The numbers in the state that do not depend on the curve: four options and three counts.
const OWN: usize = 7;

/// The result of a sample that was not left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracked<const P: usize> {
    /// The new parameters of the calibration; surplus ones are 0.
    pub params: [f32; P],
    /// The reference less the result before the update, in units of the results.
    pub off: f32,
    /// Whether the sample was taken as a jump of the sensor.
    pub is_jump: bool,
}

impl<'m> Tracker<'m> {
    /// The number of floats in the state for a curve of `params` parameters: 12 for a
    /// line, 21 for a cubic.
    #[must_use]
    pub const fn floats(params: usize) -> usize {
        OWN + params + params * (params + 1) / 2
    }

    /// Starts from a calibration. `reading(i)` returns the readings of the fit for `i` from 0,
    /// and `None` after the last one, or `None` for 0 if the readings are no longer known.
    ///
    /// # Errors
    /// The curve is a network; it has more parameters than `P`, or than `memory` has room
    /// for; or an option is out of range.
    pub fn begin<const P: usize>(
        memory: &'m mut [f32],
        calibration: &Calibration<'_>,
        options: Tracking,
        reading: impl Fn(usize) -> Option<TwoFloat>,
    ) -> Result<Self, TrackError> {
        Self::begin_with::<P>(memory, calibration, options, &reading)
    }

    #[inline(never)]
    fn begin_with<const P: usize>(
        memory: &'m mut [f32],
        calibration: &Calibration<'_>,
        options: Tracking,
        reading: &dyn Fn(usize) -> Option<TwoFloat>,
    ) -> Result<Self, TrackError> {
        let Calibration { curve, output, .. } = calibration;
        if let Curve::Mlp { .. } = curve {
            return Err(TrackError::Network);
        }
        let count = curve.param_count();
        let (needed, capacity) = (Self::floats(count), memory.len().min(Self::floats(P)));
        let room = TrackError::Room { needed, capacity };
        if needed > capacity {
            return Err(room);
        }
        let mut tracker = Self::resume(memory, count).ok_or(room)?;

        // Replacement readings have the total weight of the readings of the fit.
        let known = reading(0).is_some();
        let fitted = calibration.origin.samples.max(count as u32);
        let stand_ins = fitted.min(STAND_INS);
        let [low, high] = calibration.range;
        let step = high.difference(low) / stand_ins.saturating_sub(1).max(1) as f32;
        let at = |i: usize| match known {
            true => reading(i),
            false if i < stand_ins as usize => Some(low.plus(i as f32 * step)),
            false => None,
        };
        // Goes through the readings twice with the same code. The first pass measures the
        // size of each derivative, from which the initial variances of the parameters
        // follow, as if nothing were known.
        let (mut largest, mut squares, mut readings) = (0.0_f32, [0.0; P], 0.0_f32);
        let mut sigma = 0.0;
        let mut recursive: Option<Recursive<P>> = None;
        for is_second in [false, true] {
            if is_second {
                sigma = match options.sigma {
                    Some(sigma) => {
                        // Checks `sigma` before scaling, so that an error reports the
                        // given number.
                        Recursive::new([], [], sigma)?;
                        sigma * output.factor.abs()
                    }
                    None => {
                        let n = fitted as f32;
                        let freedom = (n - count as f32).max(1.0);
                        let variance = calibration.origin.loss * (n / freedom);
                        let sigma = Lanes::sqrt(variance) * output.factor.abs();
                        let least = ROUNDING * if largest > 0.0 { largest } else { 1.0 };
                        // Takes `least` if the loss is NaN, too.
                        if sigma > least { sigma } else { least }
                    }
                };
                let unknown = squares.map(|sum| match sum > 0.0 {
                    true => UNKNOWN * sigma / Lanes::sqrt(sum / readings),
                    false => 0.0,
                });
                let share = match known {
                    true => 1.0,
                    false => Lanes::sqrt(readings / fitted as f32),
                };
                recursive = Some(Recursive::new([0.0; P], unknown, share * sigma)?);
            }
            let mut i = 0;
            while let Some(reading) = at(i) {
                i = i.saturating_add(1);
                let Some((value, gradient)) = tangent::<P>(calibration, reading) else {
                    continue;
                };
                if let Some(recursive) = &mut recursive {
                    // A sample without innovation changes the covariance, but not the
                    // parameters.
                    let _ = correct(recursive, &gradient, 0.0);
                    continue;
                }
                readings += 1.0;
                largest = largest.max(value.abs());
                for (sum, d) in squares.iter_mut().zip(gradient) {
                    *sum += d * d;
                }
            }
        }
        let one = Recursive::new([0.0; P], [0.0; P], sigma)?;
        let one = one.forgetting(options.forgetting)?.gate(options.gate)?;
        let [variance, forgetting, growth, gate] = one.options();
        *tracker.own = [variance, forgetting, growth, gate, 0.0, 0.0, 0.0];
        let n = match known {
            true => readings,
            false => fitted as f32,
        };
        if let Some(recursive) = recursive {
            for (to, d) in tracker.limits.iter_mut().zip(recursive.diagonal()) {
                *to = d * n;
            }
            tracker.keep(&recursive);
        }
        Ok(tracker)
    }

    /// Continues with memory that [`begin`](Self::begin) or [`observe`](Self::observe)
    /// wrote for a curve of `params` parameters; `None` if the memory is too small.
    #[must_use]
    pub fn resume(memory: &'m mut [f32], params: usize) -> Option<Self> {
        let memory = memory.get_mut(..Self::floats(params))?;
        let (own, rest) = memory.split_first_chunk_mut()?;
        let (limits, triangle) = rest.split_at_mut_checked(params)?;
        Some(Tracker {
            own,
            limits,
            triangle,
        })
    }

    /// The filter in the form that takes a sample.
    #[inline(never)]
    fn recursive<const P: usize>(&self, params: &[f32]) -> Recursive<P> {
        let [variance, forgetting, growth, gate, ..] = *self.own;
        let options = [variance, forgetting, growth, gate];
        Recursive::of_parts(options, self.limits, params, self.triangle)
    }

    /// Stores the factors of the covariance.
    fn keep<const P: usize>(&mut self, recursive: &Recursive<P>) {
        for (to, factor) in self.triangle.iter_mut().zip(recursive.triangle()) {
            *to = factor;
        }
    }

    /// Takes a sample, a reading and the result that it should have had. `calibration` is the
    /// one that the tracker started from, with the parameters that the last sample returned.
    ///
    /// # Errors
    /// The sample was left out, because it is outside the gate or not finite.
    #[inline(never)]
    pub fn observe<const P: usize>(
        &mut self,
        calibration: &Calibration<'_>,
        reading: TwoFloat,
        reference: TwoFloat,
    ) -> Result<Tracked<P>, LeftOut> {
        let output = &calibration.output;
        // NaN stands for a tangent that is not finite, so that `correct` rejects the sample.
        let found = tangent::<P>(calibration, reading);
        let (value, gradient) = found.unwrap_or((f32::NAN, [0.0; P]));
        let innovation = output.apply(reference) - value;
        let mut recursive: Recursive<P> = self.recursive(calibration.params);
        let mut is_jump = false;
        loop {
            let taken = correct(&mut recursive, &gradient, innovation);
            let [_, _, _, _, samples, left_out, in_a_row] = &mut *self.own;
            match taken {
                Ok(_) => {
                    (*samples, *in_a_row) = (*samples + 1.0, 0.0);
                    self.keep(&recursive);
                    return Ok(Tracked {
                        params: recursive.params(),
                        off: innovation / output.factor,
                        is_jump,
                    });
                }
                Err(Refused::Outlier { deviation, .. }) if !is_jump && *in_a_row >= JUMP - 1.0 => {
                    // Resets the variances to those that a single sample leaves, times
                    // the square of the jump in standard deviations.
                    is_jump = true;
                    let ratio = innovation / deviation;
                    recursive.forget(ratio * ratio);
                }
                Err(refused) => {
                    *left_out += 1.0;
                    let Refused::Outlier { deviation, .. } = refused else {
                        return Err(LeftOut::NotFinite);
                    };
                    *in_a_row += 1.0;
                    return Err(LeftOut::Outlier {
                        off: innovation / output.factor,
                        deviation: deviation / output.factor.abs(),
                        in_a_row: *in_a_row as u32,
                    });
                }
            }
        }
    }

    /// The current standard error of the result for a reading, in units of the results.
    /// NaN if the result or its derivatives are not finite.
    #[must_use]
    pub fn standard_error<const P: usize>(
        &self,
        calibration: &Calibration<'_>,
        reading: TwoFloat,
    ) -> f32 {
        let Some((_, gradient)) = tangent::<P>(calibration, reading) else {
            return f32::NAN;
        };
        let recursive = self.recursive::<P>(calibration.params);
        recursive.standard_error_of(&gradient) / calibration.output.factor.abs()
    }

    /// The forgetting factor.
    #[must_use]
    pub fn forgetting(&self) -> f32 {
        let [_, forgetting, ..] = *self.own;
        forgetting
    }

    /// The standard deviation of a sample, in units of the results of this calibration.
    #[must_use]
    pub fn sigma(&self, calibration: &Calibration<'_>) -> f32 {
        let [variance, forgetting, ..] = *self.own;
        Lanes::sqrt(variance / forgetting) / calibration.output.factor.abs()
    }

    /// The number of samples taken; the count stops at 2²⁴.
    #[must_use]
    pub fn samples(&self) -> u32 {
        let [.., samples, _, _] = *self.own;
        samples as u32
    }

    /// The number of samples left out; the count stops at 2²⁴.
    #[must_use]
    pub fn left_out(&self) -> u32 {
        let [.., left_out, _] = *self.own;
        left_out as u32
    }
}

/// The value of the curve at a reading, and its derivatives by the parameters, all in
/// scaled units; `None` if they are not finite.
#[inline(never)]
fn tangent<const P: usize>(
    calibration: &Calibration<'_>,
    reading: TwoFloat,
) -> Option<(f32, [f32; P])> {
    let Calibration { curve, params, .. } = calibration;
    let mut gradient = [0.0; P];
    let value = curve.tangent(calibration.input.apply(reading), params, &mut gradient)?;
    let is_finite = value.is_finite() && gradient.iter().all(|d| d.is_finite());
    is_finite.then_some((value, gradient))
}

/// [`Recursive::correct`] out of line, so that it is in a board's flash once: 700 bytes
/// without an FPU.
#[inline(never)]
fn correct<const P: usize>(
    recursive: &mut Recursive<P>,
    gradient: &[f32; P],
    innovation: f32,
) -> Result<f32, Refused> {
    recursive.correct(gradient, innovation)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
