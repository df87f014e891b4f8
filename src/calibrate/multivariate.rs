//! Calibrations of several inputs, and their records.

use super::calibration::{Origin, PredictError, Prediction, SCALE, covers, numbers_of, scale_of};
use super::curve::{Curve, MAX_NAME};
use super::scale::Scale;
use super::terms::{Degrees, MAX_INPUTS, polynomial};
use crate::function::TwoFloat;
use crate::record::{Record, RecordError, Writer};

/// The most terms of a polynomial of several inputs, the constant included.
pub const MAX_TERMS: usize = 512;

/// The scale of an input, and the range of the readings to which the calibration was fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input {
    /// The scale.
    pub scale: Scale,
    /// The smallest and the largest reading.
    pub range: [TwoFloat; 2],
}

impl Input {
    /// An input with the identity scale and the range 0 to 0: a placeholder for
    /// [`Multivariate::read`].
    pub const NONE: Self = Input {
        scale: Scale::ONE,
        range: [TwoFloat::ZERO; 2],
    };
}

/// Converts readings of several inputs, such as a pressure bridge and its temperature, to a
/// calibrated value: a line or a polynomial of all inputs, cross terms included, with the scales
/// of inputs and output. The caller owns the memory of inputs and parameters, on a heap or not.
///
/// Terms are products of Chebyshev polynomials of the scaled inputs, ordered by total degree
/// and, within it, by higher powers of earlier inputs first: for two inputs `u` and `v` and
/// degree 2 they are `u`, `v`, `T₂(u)`, `u v`, `T₂(v)`. The last parameter is the constant.
///
/// ```
/// use baregrad::calibrate::{Curve, Input, Multivariate, Origin, Scale};
///
/// let input = |low: f32, high: f32| Input {
///     scale: Scale { offset: ((low + high) / 2.0).into(), factor: 2.0 / (high - low) },
///     range: [low.into(), high.into()],
/// };
/// let calibration = Multivariate {
///     curve: Curve::Poly(2),
///     inputs: &[input(0.0, 1000.0), input(-10.0, 50.0)],
///     output: Scale { offset: 500.0.into(), factor: 0.01 },
///     params: &[4.0, -0.5, 0.0, 0.25, 0.0, 1.0],
///     origin: Origin::default(),
/// };
/// // u = 0.5, v = -1: 4 u - 0.5 v + 0.25 u v + 1 = 3.375
/// let prediction = calibration.predict(&[750.0.into(), (-10.0).into()])?;
/// assert_eq!(prediction.value.high(), 3.375 * 100.0 + 500.0);
/// assert!(prediction.is_inside);
///
/// // Writes the record, and reads it on another machine.
/// let mut bytes = [0; 512];
/// let bytes = calibration.write(&mut bytes)?;
/// let (mut inputs, mut params) = ([Input::NONE; 2], [0.0; 6]);
/// assert_eq!(Multivariate::read(bytes, &mut inputs, &mut params)?, calibration);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multivariate<'p> {
    /// [`Curve::Linear`] or [`Curve::Poly`], which converts scaled readings to scaled results.
    pub curve: Curve,
    /// The inputs, at most [`MAX_INPUTS`].
    pub inputs: &'p [Input],
    /// The scale of results.
    pub output: Scale,
    /// The parameters, one for each [term](Self::param_count), at most [`MAX_TERMS`].
    pub params: &'p [f32],
    /// The number of samples and passes of the fit, and its loss.
    pub origin: Origin,
}

/// The total degree of a curve of several inputs; `None` for other curves.
fn degree(curve: &Curve) -> Option<usize> {
    matches!(curve, Curve::Linear | Curve::Poly(_)).then(|| curve.inputs())
}

impl<'p> Multivariate<'p> {
    /// The number of parameters of a curve of `inputs` inputs; 0 if the curve is neither
    /// [`Curve::Linear`] nor [`Curve::Poly`].
    ///
    /// ```
    /// use baregrad::calibrate::{Curve, Multivariate};
    ///
    /// assert_eq!(Multivariate::param_count(&Curve::Linear, 3), 4);
    /// assert_eq!(Multivariate::param_count(&Curve::Poly(2), 2), 6); // u, v, u², u v, v², 1
    /// ```
    #[must_use]
    pub fn param_count(curve: &Curve, inputs: usize) -> usize {
        degree(curve).map_or(0, |degree| Degrees::count(inputs, degree))
    }

    /// Predicts the calibrated value for a reading of each input, with the same bits on
    /// every machine. Needs no tape, and some 500 bytes of stack: Chebyshev polynomials
    /// are computed anew for each term, because storing them would take more.
    ///
    /// # Errors
    /// The result is not finite. This includes a number of readings other than that of
    /// the inputs, and a number of parameters other than that of the terms.
    pub fn predict(&self, readings: &[TwoFloat]) -> Result<Prediction, PredictError> {
        let scaled = |k: usize| match (self.inputs.get(k), readings.get(k)) {
            (Some(input), Some(reading)) => input.scale.apply(*reading),
            _ => f32::NAN,
        };
        let is_whole = self.has_all_params() && readings.len() == self.inputs.len();
        let value = match is_whole {
            true => self.output.invert(self.scaled(1.0, &scaled, self.params)),
            false => f32::NAN.into(),
        };
        let all_finite = readings.iter().all(|reading| reading.is_finite());
        if !all_finite || !value.is_finite() {
            return Err(PredictError::NotFinite {
                found: value.high(),
            });
        }
        let mut pairs = self.inputs.iter().zip(readings);
        Ok(Prediction {
            value,
            is_inside: pairs.all(|(input, reading)| covers(input.range, *reading)),
        })
    }

    /// The scaled result for scaled inputs, in any type of number, where `one` is 1 of
    /// this type.
    pub(super) fn scaled<S>(&self, one: S, x: &(impl Fn(usize) -> S + Clone), params: &[S]) -> S
    where
        S: Copy
            + core::ops::Add<Output = S>
            + core::ops::Sub<Output = S>
            + core::ops::Mul<Output = S>,
    {
        let degrees = Degrees::new(self.inputs.len(), degree(&self.curve).unwrap_or(0));
        let (constant, terms) = params.split_last().unwrap_or((&one, &[]));
        polynomial(degrees, one, x, terms.iter().copied(), *constant)
    }

    fn has_all_params(&self) -> bool {
        let (inputs, params) = (self.inputs.len(), self.params.len());
        (1..=MAX_INPUTS).contains(&inputs)
            && params <= MAX_TERMS
            && params == Self::param_count(&self.curve, inputs)
    }

    /// The most bytes in the record of a calibration of `inputs` inputs and `params` parameters.
    #[must_use]
    pub const fn max_bytes(inputs: usize, params: usize) -> usize {
        220 + 28 * inputs + 4 * params
    }

    /// Writes the record, at most [`max_bytes`](Self::max_bytes) long. Programs and
    /// boards that know only [calibrations of one reading](super::Calibration) reject it
    /// as a record of an unknown curve.
    ///
    /// # Errors
    /// `bytes` is too short, or the number of parameters differs from the number of terms.
    pub fn write<'b>(&self, bytes: &'b mut [u8]) -> Result<&'b [u8], RecordError> {
        if !self.has_all_params() {
            return Err(RecordError::Content {
                expected: "as many parameters as a polynomial of its inputs has terms",
            });
        }
        let mut writer = Writer::new(bytes);
        writer.text("curve", SEVERAL);
        writer.text("terms", self.curve.name(&mut [0; MAX_NAME]));
        let inputs = self.inputs.iter().map(|input| &input.scale);
        let scales = inputs.chain([&self.output]).flat_map(numbers_of);
        writer.array("scales", [self.inputs.len() + 1, SCALE], scales);
        let range = self.inputs.iter().flat_map(|Input { range, .. }| {
            let [low, high] = range;
            [low.high(), low.low(), high.high(), high.low()]
        });
        writer.array("range", [self.inputs.len(), 2, 2], range);
        writer.array("params", [self.params.len()], self.params.iter().copied());
        self.origin.write(&mut writer);
        writer.finish()
    }

    /// Reads a record into `inputs` and `params`, which may be longer than needed.
    ///
    /// # Errors
    /// The bytes are not a record, or the record of something else; or there is too little room.
    pub fn read(
        bytes: &[u8],
        inputs: &'p mut [Input],
        params: &'p mut [f32],
    ) -> Result<Self, RecordError> {
        let record = Record::read(bytes)?;
        let content = |expected| RecordError::Content { expected };
        if record.text("curve")? != SEVERAL {
            return Err(content("a calibration of several readings"));
        }
        let curve = Curve::parse(record.text("terms")?);
        let curve = curve.filter(|curve| degree(curve).is_some());
        let curve = curve.ok_or(content("a line or a polynomial"))?;
        let (scales, ranges) = (record.array("scales")?, record.array("range")?);
        let count = scales.shape().dims().first().copied().unwrap_or(0);
        let count = count.saturating_sub(1);
        let room = |expected, found| RecordError::Count { expected, found };
        let capacity = inputs.len();
        let inputs = inputs.get_mut(..count).ok_or(room(capacity, count))?;
        let matches = |found: usize, expected: usize| match found == expected {
            true => Ok(()),
            false => Err(room(expected, found)),
        };
        matches(scales.shape().numel(), SCALE * (count + 1))?;
        matches(ranges.shape().numel(), 4 * count)?;
        let (mut scales, mut ranges) = (scales.values(), ranges.values());
        let mut next = || scales.next().unwrap_or(f32::NAN);
        let mut scale = || scale_of(next(), next(), next());
        let mut end = || ranges.next().unwrap_or(f32::NAN);
        let mut end = || TwoFloat::sum(end(), end());
        for input in &mut *inputs {
            *input = Input {
                scale: scale(),
                range: [end(), end()],
            };
        }
        let output = scale();
        let values = record.array("params")?;
        let (found, capacity) = (values.shape().numel(), params.len());
        let params = params.get_mut(..found).ok_or(room(capacity, found))?;
        values.copy_to(params)?;
        let calibration = Multivariate {
            curve,
            inputs,
            output,
            params,
            origin: Origin::read(&record)?,
        };
        if !calibration.has_all_params() {
            return Err(content("as many parameters as its curve has"));
        }
        let makes_sense = |input: &Input| {
            let [low, high] = input.range;
            input.scale.is_usable() && low.is_finite() && high.is_finite() && low <= high
        };
        let is_sound = output.is_usable()
            && calibration.params.iter().all(|p| p.is_finite())
            && calibration.inputs.iter().all(makes_sense);
        match is_sound {
            true => Ok(calibration),
            false => Err(content("finite numbers, and scales that are not 0")),
        }
    }
}

/// The value of the entry `curve`, which distinguishes these records from those of one reading.
const SEVERAL: &str = "several readings";

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{Input, Multivariate};
    use crate::Arena;
    use crate::calibrate::{
        Calibration, Curve, Origin, PredictError, RecordError, Scale, TwoFloat,
    };

    const ORIGIN: Origin = Origin {
        samples: 35,
        epochs: 4,
        loss: 1e-3,
    };

    fn input(low: &str, high: &str, factor: f32) -> Input {
        let range: [TwoFloat; 2] = [low, high].map(|text| text.parse().unwrap());
        Input {
            scale: Scale {
                offset: range[0].plus(high.len() as f32),
                factor,
            },
            range,
        }
    }

    fn params(count: usize) -> Vec<f32> {
        (0..count).map(|i| 0.5 - 0.13 * i as f32).collect()
    }

    fn of<'a>(curve: Curve, inputs: &'a [Input], params: &'a [f32]) -> Multivariate<'a> {
        let output = Scale {
            offset: "101325.07".parse().unwrap(),
            factor: 0.01,
        };
        Multivariate {
            curve,
            inputs,
            output,
            params,
            origin: ORIGIN,
        }
    }

    /// A calibration of one input has the bits of `Calibration`.
    #[test]
    fn one_input_has_the_bits_of_a_curve() {
        for name in ["linear", "poly:1", "poly:2", "poly:5", "poly:12"] {
            let curve = Curve::parse(name).unwrap();
            let params = params(curve.param_count());
            let inputs = [input("100000.01", "100010.5", 0.2)];
            let several = of(curve, &inputs, &params);
            let one = Calibration {
                curve,
                input: inputs[0].scale,
                output: several.output,
                range: inputs[0].range,
                params: &params,
                origin: ORIGIN,
            };
            for k in 0..50 {
                let reading = inputs[0].range[0].plus(0.37 * k as f32 - 3.0);
                let mut arena = Arena::<128, 16>::new();
                let expected = one.predict(&arena.tape(), reading).unwrap();
                assert_eq!(several.predict(&[reading]).unwrap(), expected, "{name}");
            }
        }
    }

    /// Compares with the sum of the products in `f64`, up to the precision of `f32`.
    #[test]
    fn several_inputs_are_sums_of_products_of_chebyshev_polynomials() {
        let inputs = [
            input("0", "9", 0.1),
            input("-5", "5", 0.2),
            input("2", "3", 0.3),
        ];
        let params = params(20);
        let several = of(Curve::Poly(3), &inputs, &params);
        let t = |degree: u32, x: f64| match degree {
            0 => 1.0,
            1 => x,
            2 => 2.0 * x * x - 1.0,
            _ => 4.0 * x * x * x - 3.0 * x,
        };
        let mut terms = Vec::new();
        for total in 1..=3 {
            for a in (0..=total).rev() {
                for b in (0..=total - a).rev() {
                    terms.push([a, b, total - a - b]);
                }
            }
        }
        terms.push([0; 3]);
        assert_eq!(terms.len(), params.len());
        for k in 0..100 {
            let readings = [0.09 * k as f32, 5.0 - 0.1 * k as f32, 2.0 + 0.01 * k as f32];
            let x = [0, 1, 2].map(|i| {
                let Scale { offset, factor } = inputs[i].scale;
                (f64::from(readings[i]) - offset.to_f64()) * f64::from(factor)
            });
            let sum: f64 = terms
                .iter()
                .zip(&params)
                .map(|(of, p)| f64::from(*p) * (0..3).map(|i| t(of[i], x[i])).product::<f64>())
                .sum();
            let expected = sum * 100.0 + several.output.offset.to_f64();
            let found = several.predict(&readings.map(TwoFloat::from)).unwrap();
            // The sum has twenty terms of at most 2, and the unit of the results is 100.
            assert!(
                (found.value.to_f64() - expected).abs() < 2e-3,
                "{readings:?}"
            );
            assert!(found.is_inside);
        }
        let outside = several.predict(&[10.0.into(), 0.0.into(), 2.5.into()]);
        assert!(!outside.unwrap().is_inside);
        for readings in [
            &[][..],
            &[1.0.into(); 2],
            &[1.0.into(); 4],
            &[f32::NAN.into(); 3],
        ] {
            let found = several.predict(readings);
            assert!(
                matches!(found, Err(PredictError::NotFinite { .. })),
                "{readings:?}"
            );
        }
    }

    #[test]
    fn bytes_give_it_back_and_no_bit_of_them_may_change() {
        let all = [
            input("0", "9", 0.1),
            input("101325.05", "101326", 0.2),
            input("2", "3", 0.3),
        ];
        for (name, count) in [("linear", 2), ("poly:2", 2), ("poly:3", 3), ("poly:4", 1)] {
            let curve = Curve::parse(name).unwrap();
            let (inputs, params) = (
                &all[..count],
                params(Multivariate::param_count(&curve, count)),
            );
            let before = of(curve, inputs, &params);
            let mut bytes = std::vec![0; Multivariate::max_bytes(count, params.len())];
            let len = before.write(&mut bytes).unwrap().len();
            let bytes = &mut bytes[..len];
            let (mut to, mut room) = ([Input::NONE; 4], std::vec![9.0; params.len() + 2]);
            assert_eq!(
                Multivariate::read(bytes, &mut to, &mut room),
                Ok(before),
                "{name}"
            );
            // A program that knows only calibrations of one reading reports an unknown curve.
            let found = Calibration::read(bytes, &mut room);
            let expected = "a curve that is known here";
            assert_eq!(found, Err(RecordError::Content { expected }), "{name}");
            for bit in 0..8 * len {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    Multivariate::read(bytes, &mut to, &mut room).is_err(),
                    "{bit}"
                );
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            for len in 0..len {
                assert!(Multivariate::read(&bytes[..len], &mut to, &mut room).is_err());
            }
            let few = Multivariate::read(bytes, &mut to[..count - 1], &mut room);
            assert!(matches!(few, Err(RecordError::Count { .. })), "{few:?}");
            let few = Multivariate::read(bytes, &mut to, &mut room[..params.len() - 1]);
            assert!(matches!(few, Err(RecordError::Count { .. })), "{few:?}");
        }
    }

    #[test]
    fn numbers_it_cannot_have_are_refused() {
        let inputs = [input("0", "9", 0.1), input("-5", "5", 0.2)];
        let good = [1.0, 2.0, 3.0];
        let with = |change: fn(&mut Multivariate<'_>)| {
            let mut bad = of(Curve::Linear, &inputs, &good);
            change(&mut bad);
            let mut bytes = [0; 512];
            let bytes = bad.write(&mut bytes)?;
            Multivariate::read(bytes, &mut [Input::NONE; 2], &mut [0.0; 3]).map(|_| ())
        };
        assert_eq!(with(|_| {}), Ok(()));
        for change in [
            (|bad| bad.output.factor = 0.0) as fn(&mut Multivariate<'_>),
            |bad| bad.params = &[1.0, f32::NAN, 0.0],
            |bad| bad.params = &[1.0; 2],
            |bad| bad.params = &[1.0; 4],
            |bad| bad.inputs = &[],
            |bad| bad.inputs = &[Input::NONE; 3],
            |bad| bad.curve = Curve::Poly(2),
            |bad| bad.curve = Curve::mlp(&[1], 0).unwrap(),
        ] {
            assert!(with(change).is_err());
        }
        let mut bytes = [0; 256];
        let line = Calibration {
            curve: Curve::Linear,
            input: Scale::ONE,
            output: Scale::ONE,
            range: [TwoFloat::ZERO; 2],
            params: &[1.0, 2.0],
            origin: ORIGIN,
        };
        let bytes = line.write(&mut bytes).unwrap();
        let (mut inputs, mut params) = ([Input::NONE; 2], [0.0; 3]);
        let found = Multivariate::read(bytes, &mut inputs, &mut params);
        let expected = "a calibration of several readings";
        assert_eq!(found, Err(RecordError::Content { expected }));
    }
}
