//! A calibration that goes on following samples, one at a time.

mod error;

pub use error::{LeftOut, TrackError};

use super::calibration::Calibration;
use super::curve::Curve;
use crate::function::TwoFloat;
use crate::kernel::Lanes;
use crate::least_squares::{Recursive, Refused};

/// The choices of a [`Tracker`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracking {
    /// The weight of all samples so far shrinks by this factor with each new one, so that
    /// about the last `1 / (1 - forgetting)` of them count. More than 0.5, at most 1.
    pub forgetting: f32,
    /// The standard deviation of a sample, in the unit of the results. If there is none, that
    /// of the residuals of the fit, which the calibration's [`Origin`](super::Origin) tells.
    pub sigma: Option<f32>,
    /// Samples that are more than so many standard deviations off are left out.
    pub gate: f32,
}

impl Default for Tracking {
    /// The last 20 samples, with the standard deviation of the fit, and 5 of them as gate.
    fn default() -> Self {
        Tracking {
            forgetting: 0.95,
            sigma: None,
            gate: 5.0,
        }
    }
}

/// After so many samples in a row outside of the gate the sensor is believed to have jumped.
const JUMP: f32 = 5.0;
/// The standard deviation of a parameter of which no sample has told yet, in those that a single
/// sample would leave it.
const UNKNOWN: f32 = 1e4;
/// The least standard deviation of a sample, as a share of the largest result: what `f32` rounds.
const ROUNDING: f32 = 1e-6;
/// The most readings that stand for those of a fit.
const STAND_INS: u32 = 64;

/// Lets a calibration follow its sensor after the fit: each sample moves the parameters a
/// little, by [recursive least squares](Recursive), or for a function by an extended Kalman
/// step.
///
/// It starts from the calibration, and from how sure the fit was of it: the covariance of the
/// readings that it was fitted to. If these are not known any more, readings that are spread
/// evenly over the calibration's range stand for them. Forgetting lets no variance grow beyond
/// that of one sample, so that a sensor that rests unlearns nothing.
///
/// Samples outside of the gate are left out, but for the fifth in a row: then the sensor is
/// believed to have jumped, and the parameters are as unsure as the jump is large.
///
/// Its state is in memory of the caller's, of [`floats`](Self::floats) numbers, to be kept or
/// saved with no thought of what they mean. `P` is the most parameters of a curve that there
/// is room for on the stack: the bits are the same for each that suffices.
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
    /// The variances beyond which forgetting lets none grow: one of each parameter.
    limits: &'m mut [f32],
    /// How sure the parameters are, as [`Recursive::save`] writes it.
    triangle: &'m mut [f32],
}

/// Numbers that a [`Tracker`] has whatever the curve is: four of options, three counts.
const OWN: usize = 7;

/// A sample that was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracked<const P: usize> {
    /// The calibration's parameters from now on; those that the curve does not have are 0.
    pub params: [f32; P],
    /// How much more the sample is than the result was before, in the unit of the results.
    pub off: f32,
    /// Whether it was taken as a jump of the sensor.
    pub is_jump: bool,
}

impl<'m> Tracker<'m> {
    /// How many floats it keeps for a curve of so many parameters: 12 for a line, 21 for a
    /// cubic.
    #[must_use]
    pub const fn floats(params: usize) -> usize {
        OWN + params + params * (params + 1) / 2
    }

    /// Starts from a calibration. `reading` gives the readings that it was fitted to by their
    /// number, from 0 on, and `None` behind the last; or `None` at once, if they are not known
    /// any more.
    ///
    /// # Errors
    /// A network; more parameters than `P` or than there is memory for; options that make no
    /// sense.
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

        // Readings that stand for others count for as many as there were.
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
        // Twice through the readings, by the same code: the first time for the size of each
        // derivative, from which the parameters' variances start, as if nothing were known.
        let (mut largest, mut squares, mut readings) = (0.0_f32, [0.0; P], 0.0_f32);
        let mut sigma = 0.0;
        let mut recursive: Option<Recursive<P>> = None;
        for is_second in [false, true] {
            if is_second {
                sigma = match options.sigma {
                    Some(sigma) => {
                        // An error has the number that was given, not the scaled one.
                        Recursive::new([], [], sigma)?;
                        sigma * output.factor.abs()
                    }
                    None => {
                        let n = fitted as f32;
                        let freedom = (n - count as f32).max(1.0);
                        let variance = calibration.origin.loss * (n / freedom);
                        let sigma = Lanes::sqrt(variance) * output.factor.abs();
                        let least = ROUNDING * if largest > 0.0 { largest } else { 1.0 };
                        // Also if the loss is no number.
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
                    // A sample that is where it was expected moves no parameter.
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

    /// Goes on with memory that [`begin`](Self::begin) or [`observe`](Self::observe) left, for
    /// a curve of so many parameters; `None` if it is too small for that.
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

    /// All that is needed for a sample.
    #[inline(never)]
    fn recursive<const P: usize>(&self, params: &[f32]) -> Recursive<P> {
        let [variance, forgetting, growth, gate, ..] = *self.own;
        let options = [variance, forgetting, growth, gate];
        Recursive::of_parts(options, self.limits, params, self.triangle)
    }

    /// Keeps how sure the parameters are.
    fn keep<const P: usize>(&mut self, recursive: &Recursive<P>) {
        for (to, factor) in self.triangle.iter_mut().zip(recursive.triangle()) {
            *to = factor;
        }
    }

    /// Takes a sample: a reading, and what the result should have been. The calibration is the
    /// one that it began with, with the parameters that the last sample left.
    ///
    /// # Errors
    /// A sample that was left out: outside of the gate, or not finite.
    #[inline(never)]
    pub fn observe<const P: usize>(
        &mut self,
        calibration: &Calibration<'_>,
        reading: TwoFloat,
        reference: TwoFloat,
    ) -> Result<Tracked<P>, LeftOut> {
        let output = &calibration.output;
        // Without a finite tangent nothing is taken: what is not finite is not gone on with.
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
                    // As if nothing but one sample had told of the parameters, and as unsure
                    // as the jump is large.
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

    /// The standard error of the result of a reading, in the unit of the results: how sure the
    /// parameters are now. NaN where that is not finite.
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

    /// The standard deviation of a sample, in the unit of the results of this calibration.
    #[must_use]
    pub fn sigma(&self, calibration: &Calibration<'_>) -> f32 {
        let [variance, forgetting, ..] = *self.own;
        Lanes::sqrt(variance / forgetting) / calibration.output.factor.abs()
    }

    /// How many samples were taken; beyond 2²⁴ they are no longer counted.
    #[must_use]
    pub fn samples(&self) -> u32 {
        let [.., samples, _, _] = *self.own;
        samples as u32
    }

    /// How many samples were left out; beyond 2²⁴ they are no longer counted.
    #[must_use]
    pub fn left_out(&self) -> u32 {
        let [.., left_out, _] = *self.own;
        left_out as u32
    }
}

/// The curve's value at a reading and its derivatives by the parameters, all of them scaled;
/// `None` if they are not finite.
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

/// [`Recursive::correct`], out of line: once in the flash of a board, 700 bytes without an FPU.
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
