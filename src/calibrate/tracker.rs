//! A calibration that goes on following samples, one at a time.

use core::fmt;

use super::calibration::Calibration;
use super::curve::Curve;
use crate::function::TwoFloat;
use crate::kernel::Lanes;
use crate::least_squares::{OutOfRange, Recursive, Refused};

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

/// Why a sample was left out. The parameters are as before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LeftOut {
    /// The sample, the result of the reading or its derivatives are not finite.
    NotFinite,
    /// The sample is outside of the gate.
    Outlier {
        /// How much more it is than the result, in the unit of the results.
        off: f32,
        /// The standard deviation that this should have.
        deviation: f32,
        /// How many have been left out one after the other.
        in_a_row: u32,
    },
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeftOut::NotFinite => f.write_str(
                "expected a sample with a finite result and derivatives, found none: left out",
            ),
            LeftOut::Outlier {
                off,
                deviation,
                in_a_row,
            } => write!(
                f,
                "expected a sample in the gate, found it off by {} where the standard deviation is {}: left out, {in_a_row} in a row",
                super::Decimal(*off),
                super::Decimal(*deviation)
            ),
        }
    }
}

impl core::error::Error for LeftOut {}

/// Why a calibration cannot be tracked.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum TrackError {
    /// The curve is a network, whose parameters are too many and no sample tells apart.
    Network,
    /// The curve has more parameters than there is room for.
    Room {
        /// How many floats it takes.
        needed: usize,
        /// How many there are.
        capacity: usize,
    },
    /// The forgetting factor is not above 0.5 and at most 1, the gate or the standard deviation
    /// is not positive, or one that makes no sense follows from the calibration.
    Option(OutOfRange),
}

impl fmt::Display for TrackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrackError::Network => {
                f.write_str("expected a line, a polynomial or a function to track, found a network")
            }
            TrackError::Room { needed, capacity } => write!(
                f,
                "expected a curve that is tracked in {capacity} floats, it takes {needed}"
            ),
            // Not by its own `Display`: a board has no room for `core`'s formatting of floats.
            TrackError::Option(error) => write!(
                f,
                "{}: expected {}, found {}",
                error.what(),
                error.expected(),
                super::Decimal(error.found())
            ),
        }
    }
}

impl core::error::Error for TrackError {}

impl From<OutOfRange> for TrackError {
    fn from(error: OutOfRange) -> Self {
        TrackError::Option(error)
    }
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
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{LeftOut, TrackError, Tracker, Tracking};
    use crate::calibrate::{
        Calibration, Curve, CurveSolver, FORMULAS, Origin, Samples, Scale, TwoFloat, prepare, range,
    };
    use crate::function::models::Line;
    use crate::least_squares::Recursive;

    /// Readings, references, and what a test does with their calibration and solver's errors
    /// of results at the readings.
    fn fitted(
        name: &str,
        samples: &[[f32; 2]],
        test: impl FnOnce(Calibration<'_>, &[TwoFloat], &[f32]),
    ) {
        let curve = Curve::parse_with(name, &FORMULAS).unwrap();
        let column = |k: usize| samples.iter().map(move |s| TwoFloat::from(s[k]));
        let readings: Vec<TwoFloat> = column(0).collect();
        let n = samples.len();
        let (mut x, mut y) = (std::vec![0.0; n], std::vec![0.0; n]);
        let [input, output] =
            prepare(&curve, readings.iter().copied(), column(1), &mut x, &mut y).unwrap();
        let samples = Samples { x: &x, y: &y };
        let mut solver = CurveSolver::<4>::new(&curve, samples).unwrap();
        let solution = solver.solution();
        let params = solution.params();
        let calibration = Calibration {
            curve,
            input,
            output,
            range: range(readings.iter().copied()).unwrap(),
            params: &params[..curve.param_count()],
            origin: Origin {
                samples: n as u32,
                epochs: 1,
                loss: output.invert_square(solver.loss(&solution)),
            },
        };
        let errors: Vec<f32> = readings
            .iter()
            .map(|reading| {
                let (_, gradient) = super::tangent::<4>(&calibration, *reading).unwrap();
                solution.standard_error_of(&gradient).unwrap() / output.factor.abs()
            })
            .collect();
        test(calibration, &readings, &errors);
    }

    const THERMOMETER: [[f32; 2]; 11] = [
        [35.7, 0.5],
        [55.9, 14.0],
        [58.2, 15.0],
        [81.9, 28.0],
        [56.3, 11.0],
        [48.9, 8.0],
        [33.9, 3.0],
        [21.8, -4.0],
        [48.4, 6.0],
        [60.4, 13.0],
        [68.4, 21.0],
    ];
    const THERMISTOR: [[f32; 2]; 8] = [
        [32650.0, 0.3],
        [19900.0, 9.8],
        [12490.0, 20.1],
        [10000.0, 24.8],
        [8057.0, 30.2],
        [5327.0, 39.9],
        [3603.0, 50.1],
        [2488.0, 59.8],
    ];
    const DECAY: [[f32; 2]; 6] = [
        [0.0, 3.1],
        [1.0, 2.2],
        [2.0, 1.7],
        [3.0, 1.45],
        [4.0, 1.2],
        [6.0, 1.1],
    ];

    /// It begins as sure of results as the solver's covariance is, which other tests compare
    /// with the textbook's; also with a larger `P`.
    #[test]
    fn it_begins_with_the_covariance_of_the_fit() {
        for (name, samples) in [
            ("linear", &THERMOMETER[..]),
            ("poly:2", &THERMOMETER),
            ("poly:3", &THERMOMETER),
            ("steinhart-hart", &THERMISTOR),
            ("exp", &DECAY),
            ("power", &THERMISTOR),
        ] {
            fitted(name, samples, |calibration, readings, errors| {
                let mut memory = [0.0; Tracker::floats(4)];
                let at = |i: usize| readings.get(i).copied();
                let options = Tracking::default();
                let tracker = Tracker::begin::<13>(&mut memory, &calibration, options, at).unwrap();
                for (reading, error) in readings.iter().zip(errors) {
                    let found = tracker.standard_error::<4>(&calibration, *reading);
                    assert!(
                        (found / error - 1.0).abs() < 5e-3,
                        "{name} at {reading:?}: {found}, expected {error}"
                    );
                }
            });
        }
    }

    /// Readings that are not known any more are stood for by as many that are spread evenly:
    /// where they were, that makes no difference; of many, a part is enough.
    #[test]
    fn evenly_spread_readings_stand_for_those_that_are_forgotten() {
        for n in [11_usize, 1000] {
            let samples: Vec<[f32; 2]> = (0..n)
                .map(|i| {
                    let x = i as f32 * (20.0 / (n - 1) as f32);
                    [x, 3.0 * x + if i % 2 == 0 { 0.5 } else { -0.5 }]
                })
                .collect();
            fitted("linear", &samples, |calibration, readings, _| {
                let mut memory = [[0.0; Tracker::floats(2)]; 2];
                let [known, forgotten] = &mut memory;
                let options = Tracking::default();
                let at = |i: usize| readings.get(i).copied();
                let known = Tracker::begin::<2>(known, &calibration, options, at).unwrap();
                let forgotten =
                    Tracker::begin::<2>(forgotten, &calibration, options, |_| None).unwrap();
                for x in [-5.0, 0.0, 7.0, 20.0] {
                    let error = |t: &Tracker<'_>| t.standard_error::<2>(&calibration, x.into());
                    let ratio = error(&forgotten) / error(&known);
                    // The ends of fewer readings count for more.
                    assert!((ratio - 1.0).abs() < 0.03, "{n} at {x}: {ratio}");
                }
            });
        }
    }

    /// Each step has the bits of [`Recursive`] of just as many parameters.
    #[test]
    fn a_line_has_the_bits_of_recursive_least_squares() {
        fitted("linear", &THERMOMETER, |calibration, readings, _| {
            let options = Tracking {
                forgetting: 0.9,
                sigma: Some(2.0),
                gate: 4.0,
            };
            let mut memory = [[0.0; Tracker::floats(4)]; 2];
            let [small, large] = &mut memory;
            let at = |i: usize| readings.get(i).copied();
            let mut small = Tracker::begin::<2>(small, &calibration, options, at).unwrap();
            let mut large = Tracker::begin::<13>(large, &calibration, options, at).unwrap();
            let [w, b] = calibration.params.first_chunk().copied().unwrap();
            let deviations: Vec<f32> = small.limits.iter().map(|v| v.sqrt()).collect();
            let deviations = [deviations[0], deviations[1]];
            let sigma = 2.0 * calibration.output.factor;
            let mut host = Recursive::new([w, b], deviations, sigma)
                .unwrap()
                .forgetting(0.9)
                .unwrap()
                .gate(4.0)
                .unwrap();
            let state: Vec<f32> = [w, b].iter().chain(&*small.triangle).copied().collect();
            host.restore(&state).unwrap();
            let mut params = [[w, b]; 2];
            let mut taken = 0;
            for i in 0..500_u32 {
                let x = 20.0 + (i * 7 % 60) as f32;
                let y = 0.55 * x - 17.0 + 0.01 * i as f32 + (i * i % 5) as f32 - 2.0;
                let y = if i % 50 == 49 { y + 100.0 } else { y };
                let [from, to] = params;
                let now = |params| Calibration {
                    params,
                    ..calibration
                };
                let scaled = [
                    calibration.input.apply(x.into()),
                    calibration.output.apply(y.into()),
                ];
                let expected = host.observe::<Line, 1>([scaled[0]], scaled[1]);
                let a = small.observe::<2>(&now(&from), x.into(), y.into());
                let b = large.observe::<13>(&now(&to), x.into(), y.into());
                assert_eq!(expected.is_ok(), a.is_ok(), "{i}");
                assert_eq!(expected.is_ok(), b.is_ok(), "{i}");
                if let (Ok(a), Ok(b)) = (a, b) {
                    taken += 1;
                    params = [a.params, [b.params[0], b.params[1]]];
                }
                for params in params {
                    assert_eq!(params.map(f32::to_bits), host.params().map(f32::to_bits));
                }
            }
            assert_eq!((taken, small.samples(), small.left_out()), (490, 490, 10));
            let mut slope = params[0][0] * calibration.input.factor / calibration.output.factor;
            slope -= 0.55;
            assert!(slope.abs() < 0.05, "{slope}");
        });
    }

    /// Follows samples of `is(i, reading)`, and returns how far the result at `look` is off in
    /// the end, how many were left out and how many jumps there were.
    fn follow(
        calibration: &Calibration<'_>,
        readings: &[TwoFloat],
        options: Tracking,
        samples: u32,
        sample: impl Fn(u32) -> [f32; 2],
    ) -> ([f32; 4], u32, u32) {
        let mut memory = [0.0; Tracker::floats(4)];
        let at = |i: usize| readings.get(i).copied();
        let mut tracker = Tracker::begin::<4>(&mut memory, calibration, options, at).unwrap();
        let mut params = [0.0; 4];
        let count = calibration.params.len();
        params[..count].copy_from_slice(calibration.params);
        let mut jumps = 0;
        for i in 0..samples {
            let now = Calibration {
                params: &params[..count],
                ..*calibration
            };
            let [x, y] = sample(i);
            if let Ok(tracked) = tracker.observe::<4>(&now, x.into(), y.into()) {
                jumps += u32::from(tracked.is_jump);
                params = tracked.params;
            }
        }
        (params, tracker.left_out(), jumps)
    }

    /// A thermistor whose resistance creeps up by 5 % is followed to 0.2 °C, where the
    /// calibration of the beginning would be 1 °C off; outliers are left out.
    #[test]
    fn a_drifting_thermistor_is_followed_and_outliers_are_not() {
        fitted("steinhart-hart", &THERMISTOR, |calibration, readings, _| {
            let is = |x: f32| super::tangent::<4>(&calibration, x.into()).unwrap().0;
            let sample = |i: u32| {
                let t = 3000.0 + (i * 37 % 29) as f32 * 900.0;
                let noise = (i * 7919 % 13) as f32 / 13.0 - 0.5;
                let outlier = if i % 40 == 39 { 25.0 } else { 0.0 };
                [
                    t * (1.0 + 0.05 * i as f32 / 1000.0),
                    is(t) + 0.3 * noise + outlier,
                ]
            };
            let options = Tracking::default();
            let (params, left_out, jumps) = follow(&calibration, readings, options, 1000, sample);
            assert_eq!((left_out, jumps), (25, 0));
            for t in [4000.0, 12000.0, 25000.0_f32] {
                let now = Calibration {
                    params: &params[..3],
                    ..calibration
                };
                let off = |c: &Calibration<'_>| {
                    super::tangent::<4>(c, (t * 1.05).into()).unwrap().0 - is(t)
                };
                assert!(off(&now).abs() < 0.2, "{}", off(&now));
                assert!(off(&calibration).abs() > 0.9);
            }
        });
    }

    /// A sensor that is off by 30 from one sample to the next is believed at the fifth.
    #[test]
    fn a_jump_is_followed_after_five_samples() {
        fitted("linear", &THERMOMETER, |calibration, readings, _| {
            let line = |x: f32| 0.536_772 * x - 17.304_78;
            let sample = |i: u32| {
                let x = 25.0 + (i * 7 % 50) as f32;
                [x, line(x) + if i < 20 { 0.0 } else { 300.0 }]
            };
            let options = Tracking::default();
            let (params, left_out, jumps) = follow(&calibration, readings, options, 60, sample);
            assert_eq!((left_out, jumps), (4, 1));
            let [w, b, ..] = params;
            let z = calibration.input.apply(50.0.into());
            let found = calibration.output.invert(w * z + b).high();
            assert!((found - line(50.0) - 300.0).abs() < 1.0, "{found}");
        });
    }

    /// A sensor that rests at one reading for long says nothing of others: what was known of
    /// them stays, to within what a single sample would have told.
    #[test]
    fn a_resting_sensor_unlearns_nothing() {
        for name in ["linear", "poly:3"] {
            fitted(name, &THERMOMETER, |calibration, readings, errors| {
                let result = |params: &[f32], x: f32| {
                    let now = Calibration {
                        params,
                        ..calibration
                    };
                    let value = super::tangent::<4>(&now, x.into()).unwrap().0;
                    calibration.output.invert(value).high()
                };
                let before = calibration.params;
                let sample = |i: u32| [56.0, result(before, 56.0) + (i % 2) as f32 - 0.5];
                let options = Tracking::default();
                let (params, ..) = follow(&calibration, readings, options, 100_000, sample);
                let count = before.len();
                for (reading, error) in readings.iter().zip(errors) {
                    let x = reading.high();
                    let moved = result(&params[..count], x) - result(before, x);
                    assert!(moved.abs() < 4.0 * error, "{name} at {x}: {moved}, {error}");
                }
            });
        }
    }

    /// Calibrations that fit exactly, of no samples, or with a loss that is no number, begin
    /// all the same.
    #[test]
    fn it_begins_from_calibrations_of_all_kinds() {
        let params = [2.0, 1.0];
        for (samples, loss) in [
            (0, 0.0),
            (2, 0.0),
            (11, f32::NAN),
            (u32::MAX, 1.0),
            (1, 1e-30),
        ] {
            for ends in [[0.0, 10.0], [3.0, 3.0]] {
                let line = Calibration {
                    curve: Curve::Linear,
                    input: Scale::ONE,
                    output: Scale::ONE,
                    range: ends.map(TwoFloat::from),
                    params: &params,
                    origin: Origin {
                        samples,
                        epochs: 1,
                        loss,
                    },
                };
                let options = Tracking::default();
                let mut memory = [0.0; Tracker::floats(2)];
                let begun = Tracker::begin::<2>(&mut memory, &line, options, |_| None);
                let mut tracker = begun.unwrap();
                let tracked = tracker.observe::<2>(&line, 3.0.into(), 7.0.into());
                let found = tracked.unwrap().params;
                assert!((found[0] * 3.0 + found[1] - 7.0).abs() < 1e-5, "{found:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_tracked_says_so() {
        let line = Calibration {
            curve: Curve::Linear,
            input: Scale::ONE,
            output: Scale {
                offset: TwoFloat::ZERO,
                factor: 0.5,
            },
            range: [0.0.into(), 10.0.into()],
            params: &[2.0, 1.0],
            origin: Origin {
                samples: 11,
                epochs: 1,
                loss: 0.01,
            },
        };
        let begin = |calibration: &Calibration<'_>, room: usize, options| {
            let mut memory = std::vec![0.0; room];
            let begun = Tracker::begin::<4>(&mut memory, calibration, options, |_| None);
            begun.map(|_| ())
        };
        let options = Tracking::default();
        let needed = Tracker::floats(2);
        assert_eq!(begin(&line, needed, options), Ok(()));
        let capacity = needed - 1;
        let room = Err(TrackError::Room { needed, capacity });
        assert_eq!(begin(&line, capacity, options), room);
        let more = Calibration {
            curve: Curve::Poly(4),
            params: &[0.0; 5],
            ..line
        };
        let found = begin(&more, 100, options);
        let [needed, capacity] = [5, 4].map(Tracker::floats);
        assert_eq!(found, Err(TrackError::Room { needed, capacity }));
        let network = Calibration {
            curve: Curve::mlp(&[1], 0).unwrap(),
            params: &[0.0; 4],
            ..line
        };
        assert_eq!(begin(&network, 100, options), Err(TrackError::Network));
        for (options, expected) in [
            (
                Tracking {
                    sigma: Some(-3.0),
                    ..options
                },
                "standard deviation of a reading: expected more than 0, and a square that is \
                 neither 0 nor infinite, found -3.0",
            ),
            (
                Tracking {
                    forgetting: 0.25,
                    ..options
                },
                "forgetting factor: expected more than 0.5, at most 1, found 0.25",
            ),
            (
                Tracking {
                    gate: 0.0,
                    ..options
                },
                "gate: expected more than 0 standard deviations, found 0.0",
            ),
        ] {
            let error = begin(&line, 100, options).unwrap_err();
            assert_eq!(std::string::ToString::to_string(&error), expected);
        }
        let mut memory = [0.0; 100];
        let mut tracker = Tracker::begin::<2>(&mut memory, &line, options, |_| None).unwrap();
        for [x, y] in [[f32::NAN, 0.0], [0.0, f32::INFINITY]] {
            let found = tracker.observe::<2>(&line, x.into(), y.into());
            assert_eq!(found, Err(LeftOut::NotFinite));
        }
        let found = tracker
            .observe::<2>(&line, 3.0.into(), 15.0.into())
            .unwrap_err();
        let text = std::string::ToString::to_string(&found);
        assert!(
            text.starts_with("expected a sample in the gate, found it off by 1.0 where ")
                && text.ends_with(": left out, 1 in a row"),
            "{text}"
        );
        assert_eq!((tracker.samples(), tracker.left_out()), (0, 3));
    }
}
