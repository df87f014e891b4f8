//! A calibration as a [record](crate::record): bytes with a checksum, the same on every machine.

use super::{Calibration, Origin};
use crate::calibrate::curve::{Curve, MAX_NAME};
use crate::calibrate::formula::Formula;
use crate::calibrate::scale::Scale;
use crate::function::TwoFloat;
use crate::record::{Array, Record, RecordError, Writer};

/// The number of floats of a scale in a record.
pub(in crate::calibrate) const SCALE: usize = 3;

/// The scale from its numbers in a record.
pub(in crate::calibrate) fn scale_of(high: f32, low: f32, factor: f32) -> Scale {
    Scale {
        offset: TwoFloat::sum(high, low),
        factor,
    }
}

/// The numbers of a scale in a record.
#[inline(always)] // as if it stood in the callers
pub(in crate::calibrate) fn numbers_of(scale: &Scale) -> [f32; SCALE] {
    [scale.offset.high(), scale.offset.low(), scale.factor]
}

impl Origin {
    /// Writes the entries of an origin to a record.
    pub(in crate::calibrate) fn write(&self, writer: &mut Writer<'_>) {
        writer.array("loss", [], [self.loss]);
        writer.integer("epochs", self.epochs.into());
        writer.integer("samples", self.samples.into());
    }

    /// Reads the entries of an origin from a record.
    pub(in crate::calibrate) fn read(record: &Record<'_>) -> Result<Self, RecordError> {
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

impl<'p> Calibration<'p> {
    /// The most bytes in the record of a curve of `params` parameters.
    #[must_use]
    pub const fn max_bytes(params: usize) -> usize {
        200 + 4 * params
    }

    /// Writes the record, at most [`max_bytes`](Self::max_bytes) long.
    ///
    /// # Errors
    /// `bytes` is too short.
    pub fn write<'b>(&self, bytes: &'b mut [u8]) -> Result<&'b [u8], RecordError> {
        let [low, high] = self.range;
        let mut writer = Writer::new(bytes);
        let mut name = [0; MAX_NAME];
        writer.text("curve", self.curve.name(&mut name));
        if let Curve::Mlp { seed, .. } = self.curve {
            writer.integer("seed", seed);
        }
        let scales = [numbers_of(&self.input), numbers_of(&self.output)];
        writer.array("scales", [2, SCALE], scales.into_iter().flatten());
        let range = [low.high(), low.low(), high.high(), high.low()];
        writer.array("range", [2, 2], range);
        let params = self.params.iter().copied();
        writer.array("params", [self.params.len()], params);
        self.origin.write(&mut writer);
        writer.finish()
    }

    /// Reads a record into `params`, which may be longer than needed. Records of formulas
    /// are read by [`read_with`](Self::read_with).
    ///
    /// # Errors
    /// The bytes are not a record, or the record of something else or of a formula; or
    /// there is too little room.
    pub fn read(bytes: &[u8], params: &'p mut [f32]) -> Result<Self, RecordError> {
        Self::read_with(bytes, params, &[])
    }

    /// Reads a record, which may be of one of `formulas`. The caller decides which
    /// formulas are linked.
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
    /// assert!(Calibration::read(bytes, &mut params).is_err()); // firmware without formulas
    /// let there = Calibration::read_with(bytes, &mut params, &FORMULAS)?;
    /// let mut arena = baregrad::Arena::<16, 8>::new();
    /// let y = there.predict(&arena.tape(), 49.0.into())?;
    /// assert!((y.value.high() - 21.0).abs() < 1e-5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The bytes are not a record, or the record of something else or of another curve;
    /// or there is too little room.
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
