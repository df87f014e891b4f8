//! All that turns a reading into what it means, and its record.

use core::fmt;

use super::coefficients::{COEFFICIENTS, powers};
use super::curve::{Curve, MAX_NAME};
use super::formula::Formula;
use super::scale::Scale;
use crate::error::Error;
use crate::function::TwoFloat;
use crate::record::{Array, Record, RecordError, Writer};
use crate::tape::Tape;

/// From readings to what they mean, in the units of the data: a curve, its parameters, and
/// the scales of what goes in and comes out. Parameters are the caller's: on a heap, or not.
///
/// ```
/// use baregrad::calibrate::{Calibration, Curve, Origin, TwoFloat, Scale};
/// use baregrad::Arena;
///
/// let calibration = Calibration {
///     curve: Curve::Linear,
///     input: Scale { offset: 50.0.into(), factor: 0.1 },
///     output: Scale { offset: 10.0.into(), factor: 0.125 },
///     range: [20.0.into(), 80.0.into()],
///     params: &[1.0, 0.25],
///     origin: Origin { samples: 11, epochs: 500, loss: 2.9 },
/// };
///
/// let mut arena = Arena::<32, 8>::new();
/// let reading: TwoFloat = "60".parse()?;
/// let prediction = calibration.predict(&arena.tape(), reading)?;
/// assert_eq!(prediction.value.high(), 8.0 * (1.0 * (60.0 - 50.0) * 0.1 + 0.25) + 10.0);
/// assert!(prediction.is_inside);
///
/// // To bytes, and back: on another machine.
/// let mut bytes = [0; 256];
/// let bytes = calibration.write(&mut bytes)?;
/// let mut params = [0.0; 2];
/// assert_eq!(Calibration::read(bytes, &mut params)?, calibration);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration<'p> {
    /// From scaled readings to scaled results.
    pub curve: Curve,
    /// The scale of readings.
    pub input: Scale,
    /// The scale of results.
    pub output: Scale,
    /// The least and the largest reading that it was fitted to.
    pub range: [TwoFloat; 2],
    /// As many as the curve [has](Curve::param_count).
    pub params: &'p [f32],
    /// How it came about.
    pub origin: Origin,
}

/// How a calibration came about.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Origin {
    /// How many samples it was fitted to.
    pub samples: u32,
    /// How often all of them were gone through.
    pub epochs: u32,
    /// The mean squared error that was left over, in the unit of the results squared.
    pub loss: f32,
}

impl Origin {
    /// Adds its entries to a record.
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.array("loss", [], [self.loss]);
        writer.integer("epochs", self.epochs.into());
        writer.integer("samples", self.samples.into());
    }

    /// Its entries in a record.
    pub(super) fn read(record: &Record<'_>) -> Result<Self, RecordError> {
        let mut loss = [0.0];
        record.array("loss")?.copy_to(&mut loss)?;
        let [loss] = loss;
        let number = |name| {
            let number = u32::try_from(record.integer(name)?);
            number.map_err(|_| RecordError::Content {
                expected: "numbers of epochs and samples below 2^32",
            })
        };
        Ok(Origin {
            samples: number("samples")?,
            epochs: number("epochs")?,
            loss,
        })
    }
}

/// The scale of the numbers that a record has of it.
pub(super) fn scale_of(high: f32, low: f32, factor: f32) -> Scale {
    Scale {
        offset: TwoFloat::sum(high, low),
        factor,
    }
}

/// The meaning of a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The result, in its own unit.
    pub value: TwoFloat,
    /// Whether the reading is in the range that the calibration was fitted to. Outside of it
    /// nobody knows how far off the result is.
    pub is_inside: bool,
}

/// Why there is no prediction.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum PredictError {
    /// The reading, or what the curve makes of it, is not finite.
    NotFinite {
        /// The result.
        found: f32,
    },
    /// The arena is too small for the curve, or the parameters are not as many as it has.
    Tape(Error),
}

impl fmt::Display for PredictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PredictError::NotFinite { found } => write!(
                f,
                "expected a reading with a finite result, found {}",
                super::Decimal(*found)
            ),
            PredictError::Tape(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for PredictError {}

impl From<Error> for PredictError {
    fn from(error: Error) -> Self {
        PredictError::Tape(error)
    }
}

/// Numbers that a scale takes in a record.
pub(super) const SCALE: usize = 3;
/// The share of the largest result that coefficients may be off by.
const SIX_DIGITS: f32 = 1e-6;
/// Into so many parts the range is cut to look how far coefficients are off.
const PARTS: usize = 16;

/// The least and the largest of some numbers; `None` without any.
///
/// ```
/// use baregrad::calibrate::{TwoFloat, range};
///
/// let readings = [3.0, 1.0, 2.0].map(TwoFloat::from);
/// assert_eq!(range(readings.into_iter()), Some([1.0.into(), 3.0.into()]));
/// ```
pub fn range(mut values: impl Iterator<Item = TwoFloat>) -> Option<[TwoFloat; 2]> {
    let first = values.next()?;
    Some(values.fold([first, first], |[low, high], x| {
        [
            if x < low { x } else { low },
            if x > high { x } else { high },
        ]
    }))
}

impl<'p> Calibration<'p> {
    /// The meaning of a reading, computed on a tape that has room for the parameters, twice, and
    /// for the widest layers; that of a function, without the tape. The same bits on every
    /// machine.
    ///
    /// # Errors
    /// A result that is not finite; an arena that is too small.
    pub fn predict<'t>(
        &self,
        tape: &'t Tape<'t>,
        reading: TwoFloat,
    ) -> Result<Prediction, PredictError> {
        let x = self.input.apply(reading);
        let scaled = match self.curve {
            // The same bits, with nothing to plan.
            Curve::Function(formula) if self.params.len() == formula.parameters().len() => {
                formula.value(x, self.params)
            }
            curve => {
                let x = tape.constant(&[x], [1, 1]);
                tape.no_grad(|| curve.record(x, self.params)).item()?
            }
        };
        let value = self.output.invert(scaled);
        if !reading.is_finite() || !value.is_finite() {
            return Err(PredictError::NotFinite {
                found: value.high(),
            });
        }
        Ok(Prediction {
            value,
            is_inside: self.covers(reading),
        })
    }

    /// Whether a reading is in the range that it was fitted to, give or take what the range
    /// may be off by: of readings [differences](super::Differences) are kept, as `f32`.
    #[must_use]
    pub fn covers(&self, reading: TwoFloat) -> bool {
        let [low, high] = self.range;
        let off = self.range_is_off_by();
        reading.difference(low) >= -off && high.difference(reading) >= -off
    }

    /// How much the ends of the range may be off: 2⁻²³ of its width.
    #[must_use]
    pub fn range_is_off_by(&self) -> f32 {
        let [low, high] = self.range;
        high.difference(low) * f32::EPSILON
    }

    /// The coefficients of `1, z, z², …`, where `z` is the [scaled](Scale::apply) reading, in
    /// the unit of the results; those beyond the degree are 0. `None` for a network.
    ///
    /// ```
    /// use baregrad::calibrate::{Calibration, Curve, Origin, Scale};
    ///
    /// let calibration = Calibration {
    ///     curve: Curve::Poly(2),
    ///     input: Scale { offset: 50.0.into(), factor: 0.5 },
    ///     output: Scale { offset: 10.0.into(), factor: 0.25 },
    ///     range: [48.0.into(), 52.0.into()],
    ///     params: &[1.0, 0.5, 0.25], // T₁ + T₂ / 2 + 1/4, which is z + z² - 1/4
    ///     origin: Origin::default(),
    /// };
    /// let [c0, c1, c2, ..] = calibration.scaled_coefficients().unwrap();
    /// assert_eq!([c0, c1, c2], [9.0, 4.0, 4.0].map(Into::into));
    /// let [c0, c1, c2, ..] = calibration.coefficients().unwrap(); // z = 0.5 x - 25
    /// assert_eq!([c0, c1, c2], [2409.0, -98.0, 1.0]);
    /// ```
    #[must_use]
    pub fn scaled_coefficients(&self) -> Option<[TwoFloat; COEFFICIENTS]> {
        self.coefficients_of([TwoFloat::ZERO, TwoFloat::ONE])
    }

    /// The coefficients of `1, x, x², …` of the reading as it comes; those beyond the degree
    /// are 0. `None` for a network, and where terms cancel: if a formula in `f32` with these
    /// coefficients would miss a result in the range that was fitted by more than 1e-6 of the
    /// largest result there. Then those of the
    /// [scaled reading](Self::scaled_coefficients) are to be used.
    #[must_use]
    pub fn coefficients(&self) -> Option<[f32; COEFFICIENTS]> {
        let factor = TwoFloat::from(self.input.factor);
        let exact = self.coefficients_of([-(self.input.offset * factor), factor])?;
        let rounded = exact.map(TwoFloat::to_f32);
        let scaled = self.scaled_coefficients()?;
        let [low, high] = self.range;
        let step = high.difference(low) / PARTS as f32;
        let (mut largest, mut off) = (0.0_f32, 0.0_f32);
        for part in 0..=PARTS {
            let x = low.plus(part as f32 * step);
            let [mut found, reading] = [0.0, x.high()];
            for c in rounded.iter().rev() {
                found = found * reading + c;
            }
            let z = TwoFloat::from(self.input.apply(x));
            let mut expected = TwoFloat::ZERO;
            for c in scaled.into_iter().rev() {
                expected = expected * z + c;
            }
            let difference = expected.difference(found.into());
            if !difference.is_finite() {
                return None;
            }
            largest = largest.max(expected.high().abs());
            off = off.max(difference.abs());
        }
        (off <= SIX_DIGITS * largest).then_some(rounded)
    }

    /// Whether it has [coefficients](Self::coefficients) of the reading as it comes.
    #[must_use]
    pub fn has_coefficients(&self) -> bool {
        self.coefficients().is_some()
    }

    /// The coefficients of `1, u, u², …`, where the scaled reading is `a + b u`.
    fn coefficients_of(&self, scaled: [TwoFloat; 2]) -> Option<[TwoFloat; COEFFICIENTS]> {
        let (Curve::Linear | Curve::Poly(_)) = self.curve else {
            return None;
        };
        let mut coefficients = powers(self.params, scaled).map(|c| c / self.output.factor);
        let [constant, ..] = &mut coefficients;
        *constant = *constant + self.output.offset;
        Some(coefficients)
    }

    /// The most bytes that the record of a curve of so many parameters takes.
    #[must_use]
    pub const fn max_bytes(params: usize) -> usize {
        200 + 4 * params
    }

    /// Writes its record, of [`max_bytes`](Self::max_bytes) at most.
    ///
    /// # Errors
    /// Bytes that are too few.
    pub fn write<'b>(&self, bytes: &'b mut [u8]) -> Result<&'b [u8], RecordError> {
        let [low, high] = self.range;
        let mut writer = Writer::new(bytes);
        let mut name = [0; MAX_NAME];
        writer.text("curve", self.curve.name(&mut name));
        if let Curve::Mlp { seed, .. } = self.curve {
            writer.integer("seed", seed);
        }
        let numbers = |scale: &Scale| [scale.offset.high(), scale.offset.low(), scale.factor];
        let scales = [numbers(&self.input), numbers(&self.output)];
        writer.array("scales", [2, SCALE], scales.into_iter().flatten());
        let range = [low.high(), low.low(), high.high(), high.low()];
        writer.array("range", [2, 2], range);
        let params = self.params.iter().copied();
        writer.array("params", [self.params.len()], params);
        self.origin.write(&mut writer);
        writer.finish()
    }

    /// Reads its record; `params` has room for the parameters, and may have more. Of functions
    /// [`read_with`](Self::read_with) reads it.
    ///
    /// # Errors
    /// Bytes that are no record, or not one of a calibration, or one of a function; too little
    /// room.
    pub fn read(bytes: &[u8], params: &'p mut [f32]) -> Result<Self, RecordError> {
        Self::read_with(bytes, params, &[])
    }

    /// Reads its record, which may be of one of these functions: who reads it decides which of
    /// them it links.
    ///
    /// ```
    /// use baregrad::calibrate::{Calibration, Curve, FORMULAS, Origin, Scale};
    ///
    /// let calibration = Calibration {
    ///     curve: Curve::parse_with("power", &FORMULAS).unwrap(),
    ///     input: Scale::ONE,
    ///     output: Scale::ONE,
    ///     range: [1.0.into(), 100.0.into()],
    ///     params: &[3.0, 0.5],
    ///     origin: Origin::default(),
    /// };
    /// let mut bytes = [0; 256];
    /// let bytes = calibration.write(&mut bytes)?;
    /// let mut params = [0.0; 2];
    /// assert!(Calibration::read(bytes, &mut params).is_err()); // firmware without functions
    /// let there = Calibration::read_with(bytes, &mut params, &FORMULAS)?;
    /// let mut arena = baregrad::Arena::<16, 8>::new();
    /// let y = there.predict(&arena.tape(), 49.0.into())?;
    /// assert!((y.value.high() - 21.0).abs() < 1e-5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Bytes that are no record, or not one of a calibration, or one of another curve; too
    /// little room.
    pub fn read_with(
        bytes: &[u8],
        params: &'p mut [f32],
        formulas: &[&'static Formula],
    ) -> Result<Self, RecordError> {
        let record = Record::read(bytes)?;
        let content = |expected| RecordError::Content { expected };
        let curve = Curve::parse_with(record.text("curve")?, formulas);
        let mut curve = curve.ok_or(content("a curve that is known here"))?;
        if let Curve::Mlp { seed, .. } = &mut curve {
            *seed = record.integer("seed")?;
        }
        let mut scales = [0.0; 2 * SCALE];
        record.array("scales")?.copy_to(&mut scales)?;
        let [a, b, c, d, e, f] = scales;
        let (input, output) = (scale_of(a, b, c), scale_of(d, e, f));
        let mut range = [0.0; 4];
        record.array("range")?.copy_to(&mut range)?;
        let [a, b, c, d] = range;
        let range = [TwoFloat::sum(a, b), TwoFloat::sum(c, d)];
        let values: Array<'_> = record.array("params")?;
        let count = curve.param_count();
        let capacity = params.len();
        let Some(params) = params.get_mut(..count) else {
            return Err(RecordError::Count {
                expected: capacity,
                found: count,
            });
        };
        values.copy_to(params)?;
        let calibration = Calibration {
            curve,
            input,
            output,
            range,
            params,
            origin: Origin::read(&record)?,
        };
        if calibration.makes_sense() {
            Ok(calibration)
        } else {
            Err(content("finite numbers, and scales that are not 0"))
        }
    }

    fn makes_sense(&self) -> bool {
        let [low, high] = self.range;
        self.input.is_usable()
            && self.output.is_usable()
            && self.params.iter().all(|p| p.is_finite())
            && low.is_finite()
            && high.is_finite()
            && low <= high
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{Calibration, Origin, PredictError};
    use crate::Arena;
    use crate::calibrate::{Curve, RecordError, Scale, TwoFloat, Writer};

    const CURVES: [&str; 6] = [
        "linear",
        "poly:1",
        "poly:3",
        "poly:12",
        "mlp:8",
        "mlp:64,64,64,64",
    ];

    fn params(curve: &Curve) -> Vec<f32> {
        (0..curve.param_count())
            .map(|i| 0.5 - 0.01 * i as f32)
            .collect()
    }

    fn calibration(curve: Curve, params: &[f32]) -> Calibration<'_> {
        Calibration {
            curve,
            input: Scale {
                offset: "101325.07".parse().unwrap(),
                factor: 0.25,
            },
            output: Scale {
                offset: 10.0.into(),
                factor: 1e-3,
            },
            range: ["101320.05".parse().unwrap(), "101330.1".parse().unwrap()],
            params,
            origin: Origin {
                samples: 48,
                epochs: 100_000,
                loss: 1e-9,
            },
        }
    }

    #[test]
    fn bytes_give_the_calibration_back() {
        for name in CURVES {
            let mut curve = Curve::parse(name).unwrap();
            if let Curve::Mlp { seed, .. } = &mut curve {
                *seed = 7;
            }
            let params = params(&curve);
            let before = calibration(curve, &params);
            let mut bytes = std::vec![0; Calibration::max_bytes(params.len())];
            let bytes = before.write(&mut bytes).unwrap();
            let mut room = std::vec![9.0; params.len() + 3];
            assert_eq!(Calibration::read(bytes, &mut room), Ok(before), "{name}");
            let mut room = std::vec![9.0; params.len() - 1];
            let found = Calibration::read(bytes, &mut room);
            assert!(matches!(found, Err(RecordError::Count { .. })), "{name}");
        }
    }

    /// Coefficients of a formula against exact arithmetic, and `None` where they are of no
    /// use: results 2,500 that the formula would take for -127,816.
    #[test]
    fn coefficients_are_given_where_they_agree_to_six_digits() {
        let at = |text: &str, factor, curve, params| Calibration {
            input: Scale {
                offset: text.parse().unwrap(),
                factor,
            },
            ..calibration(curve, params)
        };
        for (offset, reach, agrees) in [
            ("51.8", 30.0_f64, [true, true]),
            ("500", 500.0, [true, true]),
            ("-3", 1.0, [true, false]),
            ("-0.3", 1e-3, [false, false]),
            ("8388607.25", 40.0, [false, false]),
            ("101325.07", 5.0, [false, false]),
        ] {
            for (curve, params, agrees) in [
                (Curve::Linear, &[0.75, -0.5][..], agrees[0]),
                (Curve::Poly(3), &[0.75, 0.25, -0.125, 0.5], agrees[1]),
            ] {
                let mut tried = at(offset, (1.0 / reach) as f32, curve, params);
                let middle = tried.input.offset.to_f64();
                tried.range = [middle - reach, middle + reach].map(TwoFloat::from_f64);
                let scaled = tried.scaled_coefficients().unwrap();
                let found = tried.coefficients();
                assert_eq!(found.is_some(), agrees, "{offset} {curve}");
                for i in 0..=100 {
                    let x = middle + reach * (f64::from(i) / 50.0 - 1.0);
                    let z = (x - middle) * f64::from(tried.input.factor);
                    let sum = match params {
                        [w, b] => f64::from(*w) * z + f64::from(*b),
                        _ => {
                            let (t2, t3) = (2.0 * z * z - 1.0, 4.0 * z * z * z - 3.0 * z);
                            0.75 * z + 0.25 * t2 - 0.125 * t3 + 0.5
                        }
                    };
                    let expected = sum / f64::from(tried.output.factor) + 10.0;
                    let horner = |x: f64, c: &[f64]| c.iter().rev().fold(0.0, |y, c| y * x + c);
                    let by_scaled = horner(z, &scaled.map(TwoFloat::to_f64));
                    assert!((by_scaled - expected).abs() < 1e-9, "{offset} {curve}");
                    if let Some(c) = found {
                        let c = c.map(f64::from);
                        // Results reach a thousand.
                        let off = (horner(x, &c) - expected).abs();
                        assert!(off < 2e-3, "{offset} {curve} {x}: {off}");
                    }
                }
            }
        }
        let network = Curve::mlp(&[2], 1).unwrap();
        assert_eq!(calibration(network, &[0.0; 7]).scaled_coefficients(), None);
        assert_eq!(calibration(network, &[0.0; 7]).coefficients(), None);
        let not_finite = at("0", 1.0, Curve::Linear, &[f32::INFINITY, 0.0]);
        assert_eq!(not_finite.coefficients(), None);
    }

    /// Every bit of every length, refused.
    #[test]
    fn no_bit_of_the_bytes_may_change() {
        let mut tried = 0;
        for name in ["linear", "poly:3", "mlp:8"] {
            let curve = Curve::parse(name).unwrap();
            let params = params(&curve);
            let mut bytes = [0; 512];
            let len = calibration(curve, &params).write(&mut bytes).unwrap().len();
            let mut room = [0.0; 25];
            for bit in 0..8 * len {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    Calibration::read(&bytes[..len], &mut room).is_err(),
                    "{bit}"
                );
                bytes[bit / 8] ^= 1 << (bit % 8);
                tried += 1;
            }
            for len in 0..len {
                assert!(
                    Calibration::read(&bytes[..len], &mut room).is_err(),
                    "{len}"
                );
                tried += 1;
            }
            assert!(Calibration::read(&bytes[..len], &mut room).is_ok());
        }
        assert!(tried > 5000, "{tried}");
    }

    #[test]
    fn numbers_no_calibration_has_are_refused() {
        let good = [1.0, 2.0];
        let with = |change: fn(&mut Calibration<'_>)| {
            let mut bad = calibration(Curve::Linear, &good);
            change(&mut bad);
            let mut bytes = [0; 256];
            let bytes = bad.write(&mut bytes).unwrap();
            let mut room = [0.0; 2];
            Calibration::read(bytes, &mut room).map(|_| ())
        };
        assert_eq!(with(|_| {}), Ok(()));
        for change in [
            (|bad| bad.input.factor = 0.0) as fn(&mut Calibration<'_>),
            |bad| bad.output.factor = f32::NAN,
            |bad| bad.output.offset = f32::INFINITY.into(),
            |bad| bad.params = &[1.0, f32::NAN],
            |bad| bad.params = &[1.0],
            |bad| bad.params = &[1.0; 3],
            |bad| bad.range = [1.0.into(), 0.0.into()],
            |bad| bad.range = [f32::NAN.into(), 0.0.into()],
            |bad| bad.curve = Curve::Poly(3),
        ] {
            assert!(with(change).is_err());
        }
        // A record, but of something else.
        let mut bytes = [0; 64];
        let mut writer = Writer::new(&mut bytes);
        writer.text("curve", "spline");
        let bytes = writer.finish().unwrap();
        let found = Calibration::read(bytes, &mut []);
        assert!(
            matches!(found, Err(RecordError::Content { .. })),
            "{found:?}"
        );
    }

    #[test]
    fn readings_outside_the_range_are_told_and_others_are_errors() {
        let params = [1.0, 0.0];
        let calibration = calibration(Curve::Linear, &params);
        let predict = |reading: TwoFloat| {
            let mut arena = Arena::<32, 8>::new();
            let tape = arena.tape();
            calibration.predict(&tape, reading)
        };
        for (text, is_inside) in [
            ("101320.05", true),
            ("101320.04999", false),
            ("101330.1", true),
            ("101330.10001", false),
            ("0", false),
        ] {
            let found = predict(text.parse().unwrap()).unwrap();
            assert_eq!(found.is_inside, is_inside, "{text}");
        }
        for reading in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38] {
            let found = predict(reading.into());
            assert!(
                matches!(found, Err(PredictError::NotFinite { .. })),
                "{reading}"
            );
        }
        // An arena that is too small is the tape's error.
        let mut arena = Arena::<1, 2>::new();
        let tape = arena.tape();
        let found = calibration.predict(&tape, TwoFloat::ZERO);
        assert!(matches!(found, Err(PredictError::Tape(_))));
    }
}
