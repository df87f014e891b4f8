//! A fitted curve in the units of the data: coefficients, and source code for firmware.

use core::fmt;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::coarse::{FINE, is_count, spacing};
use super::digits::{Shortest, exponent, significant};
use super::evaluate::predict;
use super::fitted::Fitted;
use super::model::{Model, Param};
use super::regression::Regression;
use crate::calibrate::{self, Curve, Origin, Scale, TwoFloat, Words, powers};
use crate::error::Error;
use crate::function::source::File;
use crate::var::Var;

/// A [`Curve`] that was fitted to scaled data, together with the scales: it converts
/// readings to calibrated values, both in the units of the data.
///
/// As a [`Model`], it computes the same as firmware: it scales the reading in `f32`,
/// evaluates the curve, and scales the result back in `f32`.
/// [`predict_f64`](Self::predict_f64) is for readings that `f32` does not resolve well.
///
/// ```
/// use baregrad::optim::Sgd;
/// use baregrad::train::{Calibration, Curve, Dataset, Fit, Scaler, Scaling};
///
/// let data = Dataset::new([("raw", [100.0, 200.0, 300.0]), ("bar", [1.0, 1.5, 2.0])])?;
/// let curve = Curve::Linear;
/// let scaler = Scaler::fit(&data, &[("raw", curve.scaling()), ("bar", Scaling::Standard)])?;
/// let samples = scaler.apply(&data)?.samples(&["raw"], &["bar"])?;
/// let fitted = Fit::new(&curve, &samples).run(&mut Sgd::new(0.5))?;
///
/// let scales = ["raw", "bar"].map(|name| scaler.scale(name).unwrap());
/// let calibration = Calibration::new(&curve, &fitted, ["raw", "bar"], scales, [100.0, 300.0]);
/// assert!((calibration.predict(&[250.0])?[0] - 1.75).abs() < 1e-6);
/// let coefficients = calibration.coefficients().unwrap();   // bar = 0.5 + 0.005 * raw
/// assert!((coefficients[0] - 0.5).abs() < 1e-6 && (coefficients[1] - 0.005).abs() < 1e-8);
/// assert!(calibration.to_rust().contains("pub fn calibrated(reading: f32) -> f32"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Calibration {
    curve: Curve,
    params: Vec<Param>,
    names: [String; 2],
    scales: [Scale; 2],
    /// The smallest and the largest reading of the training data.
    range: [f64; 2],
    origin: Origin,
    /// The parameters before they were rounded to `f32`, from which coefficients are
    /// computed; empty if they are not known.
    exact: Vec<f64>,
}

/// The largest ratio of the terms of a polynomial to the spread of its result for which it is
/// written in powers of the reading. Beyond, it is written in powers of the difference from an
/// origin, because terms that cancel lose a digit for every factor of ten.
const CANCELLING: f64 = 1e4;

impl Calibration {
    /// The calibration by `curve` with the parameters of `fitted`. `names` and `scales`
    /// belong to the readings and to the calibrated values, `range` to the readings.
    pub fn new(
        curve: &Curve,
        fitted: &Fitted,
        names: [&str; 2],
        scales: [Scale; 2],
        range: [f64; 2],
    ) -> Self {
        Calibration {
            curve: *curve,
            exact: Vec::new(),
            params: fitted.named_params().to_vec(),
            names: names.map(ToString::to_string),
            scales,
            range,
            origin: Origin {
                samples: u32::try_from(fitted.history().rows().0).unwrap_or(u32::MAX),
                epochs: fitted.history().last().epoch,
                loss: scales[1].invert_square(fitted.history().training_loss()),
            },
        }
    }

    /// The calibration that least squares found for a curve of one input; `None` for several
    /// inputs. `names` are the names of the readings and of the calibrated values.
    ///
    /// Parameters are rounded to `f32` for evaluating the curve, for its record and for
    /// source code; coefficients are computed from the parameters before rounding.
    ///
    /// ```
    /// use baregrad::train::{Calibration, Curve, LeastSquares};
    ///
    /// let (raw, bar) = ([100.0, 200.0, 300.0, 400.0], [1.0, 1.5, 2.1, 2.5]);
    /// let fitted = LeastSquares::new(&Curve::Linear, &[&raw], &bar).run()?;
    /// let calibration = Calibration::of_regression(&fitted, ["raw", "bar"]).unwrap();
    /// assert_eq!(calibration.to_string(), "bar = 0.5000000 + 0.005100000 * raw");
    /// assert!((calibration.predict(&[250.0])?[0] - 1.775).abs() < 1e-6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_regression(regression: &Regression, names: [&str; 2]) -> Option<Self> {
        let curve = *regression.curve();
        let ([input], [range]) = (regression.scales(), regression.ranges()) else {
            return None;
        };
        let exact = regression.params().to_vec();
        let mut rest = exact.iter();
        let mut params = curve.params();
        for param in &mut params {
            for (to, p) in param.values.iter_mut().zip(&mut rest) {
                *to = *p as f32;
            }
        }
        Some(Calibration {
            curve,
            params,
            exact,
            names: names.map(ToString::to_string),
            scales: [*input, regression.output_scale()],
            range: *range,
            origin: regression.origin(),
        })
    }

    /// The [record](calibrate::Calibration::write) of the calibration, from which a board
    /// or another program predicts the same bits. It does not contain the names.
    ///
    /// ```
    /// # use baregrad::optim::Sgd;
    /// # use baregrad::train::{Calibration, Curve, Dataset, Fit, Scaler, Scaling};
    /// # let data = Dataset::new([("raw", [100.0, 200.0, 300.0]), ("bar", [1.0, 1.5, 2.0])])?;
    /// # let columns = [("raw", Curve::Linear.scaling()), ("bar", Scaling::Standard)];
    /// # let scaler = Scaler::fit(&data, &columns)?;
    /// # let samples = scaler.apply(&data)?.samples(&["raw"], &["bar"])?;
    /// # let fitted = Fit::new(&Curve::Linear, &samples).run(&mut Sgd::new(0.5))?;
    /// # let scales = ["raw", "bar"].map(|name| scaler.scale(name).unwrap());
    /// # let calibration = Calibration::new(&Curve::Linear, &fitted, ["raw", "bar"], scales, [100.0, 300.0]);
    /// use baregrad::calibrate;
    ///
    /// let bytes = calibration.to_record();
    /// let mut params = [0.0; 2];
    /// let there = calibrate::Calibration::read(&bytes, &mut params)?;
    /// let mut arena = baregrad::Arena::<32, 8>::new();
    /// let bar = there.predict(&arena.tape(), "250".parse()?)?;
    /// assert_eq!(bar.value.high(), calibration.predict(&[250.0])?[0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_record(&self) -> Vec<u8> {
        let params = self.flat_params();
        let calibration = self.device_form(&params);
        let mut bytes = std::vec![0; calibrate::Calibration::max_bytes(params.len())];
        let written = calibration.write(&mut bytes);
        debug_assert!(written.is_ok());
        let len = written.map_or(0, <[u8]>::len);
        bytes.truncate(len);
        bytes
    }

    /// The calibrated values of the readings, computed in `f32` as in firmware.
    ///
    /// # Errors
    /// The tape returns an error. Without readings, the result is empty.
    pub fn predict(&self, readings: &[f32]) -> Result<Vec<f32>, Error> {
        predict(self, &self.params, readings, 1, 1024)
    }

    /// The calibrated values of the readings, scaled as [pairs](TwoFloat) of `f32`. Use it for
    /// readings or results that are large compared with their differences, such as seconds since
    /// 1970. The curve itself is computed in `f32`.
    ///
    /// # Errors
    /// The tape returns an error. Without readings, the result is empty.
    pub fn predict_f64(&self, readings: &[f64]) -> Result<Vec<f64>, Error> {
        let [x, y] = self.scales;
        let scaled = readings
            .iter()
            .map(|&reading| x.apply(TwoFloat::from_f64(reading)));
        let scaled: Vec<f32> = scaled.collect();
        let predicted = predict(&self.curve, &self.params, &scaled, 1, 1024)?;
        let meanings = predicted.iter().map(|&scaled| y.invert(scaled).to_f64());
        Ok(meanings.collect())
    }

    /// The coefficients of `1, x, x², …` in the units of the data, computed from the
    /// scaled parameters in `f64`; `None` for a network or a formula.
    ///
    /// If readings are far from 0, the terms nearly cancel, and the coefficients are less
    /// useful than those [about](Self::coefficients_about) an [`origin`](Self::origin)
    /// among the readings.
    pub fn coefficients(&self) -> Option<Vec<f64>> {
        self.coefficients_about(0.0)
    }

    /// The origin that is subtracted from the readings in the [displayed](fmt::Display)
    /// polynomial: 0, or a number among the readings if these are so far from 0 that the
    /// terms would cancel.
    pub fn origin(&self) -> f64 {
        let [x, _] = self.scales;
        // Ignores the constant: if it is large because the results are, another origin
        // does not reduce it.
        let mut coefficients = self.coefficients().unwrap_or_default();
        if let Some(constant) = coefficients.first_mut() {
            *constant = 0.0;
        }
        if self.cancelling(&coefficients, 0.0) > CANCELLING {
            x.offset.to_f64()
        } else {
            0.0
        }
    }

    /// The coefficients of `1, x - origin, (x - origin)², …` in the units of the data;
    /// `None` for a network or a formula.
    ///
    /// ```
    /// # use baregrad::optim::Sgd;
    /// # use baregrad::train::{Calibration, Curve, Dataset, Fit, Scaler, Scaling};
    /// // A clock next to a better one.
    /// let (clock, late) = ([1.7643e9, 1.7644e9, 1.7645e9], [0.0, 0.5, 1.0]);
    /// let data = Dataset::new([("clock", clock), ("late", late)])?;
    /// # let columns = [("clock", Curve::Linear.scaling()), ("late", Scaling::Standard)];
    /// # let scaler = Scaler::fit(&data, &columns)?;
    /// # let samples = scaler.apply(&data)?.samples(&["clock"], &["late"])?;
    /// # let fitted = Fit::new(&Curve::Linear, &samples).run(&mut Sgd::new(0.5))?;
    /// # let scales = ["clock", "late"].map(|name| scaler.scale(name).unwrap());
    /// # let names = ["clock", "late"];
    /// let calibration = Calibration::new(&Curve::Linear, &fitted, names, scales, [1.7643e9, 1.7645e9]);
    /// let [a, b] = calibration.coefficients_about(1.7644e9).unwrap()[..] else { panic!() };
    /// assert!((a - 0.5).abs() < 1e-6 && (b - 5e-6).abs() < 1e-12);
    /// assert_eq!(calibration.to_string(), "late = 0.5000000 + 5.000000e-6 * (clock - 1764400000)");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn coefficients_about(&self, origin: f64) -> Option<Vec<f64>> {
        if let Curve::Mlp { .. } | Curve::Function(_) = self.curve {
            return None;
        }
        let params = self.exact();
        if params.len() != self.curve.param_count() {
            return None;
        }
        let [x, y] = self.scales;
        // The scaled reading as a polynomial of the difference from the origin.
        let factor = f64::from(x.factor);
        let scaled = [(origin - x.offset.to_f64()) * factor, factor];
        let mut sum = powers(&params, scaled).to_vec();
        sum.truncate(params.len());
        let factor = f64::from(y.factor);
        sum.iter_mut().for_each(|c| *c /= factor);
        if let Some(constant) = sum.first_mut() {
            *constant += y.offset.to_f64();
        }
        Some(sum)
    }

    /// The parameters in the highest precision known.
    fn exact(&self) -> Vec<f64> {
        if self.exact.is_empty() {
            let params = self.params.iter().flat_map(|param| &param.values);
            params.map(|&p| p.into()).collect()
        } else {
            self.exact.clone()
        }
    }

    /// Rust source for firmware: constants and a function `calibrated`, for `include!` or
    /// a module. It needs neither `std` nor this crate, and returns the same bits as
    /// [`predict`](Self::predict).
    ///
    /// If `f32` does not resolve the readings or the results well, the source also has a
    /// function `calibrated_f64`, with the bits of [`predict_f64`](Self::predict_f64),
    /// and a comment that tells the reason.
    pub fn to_rust(&self) -> String {
        self.source().rust()
    }

    /// C99 source for firmware: `float calibrated(float reading)`, which returns the same bits
    /// as [`predict`](Self::predict), and `calibrated_f64` if [`to_rust`](Self::to_rust) has it.
    /// The source includes `float.h` and `stdint.h`. It must be compiled as described at
    /// [`Source::c`](crate::function::source::Source::c): with `-ffp-contract=off` and without
    /// `-ffast-math`.
    ///
    /// ```
    /// # use baregrad::train::{Calibration, Curve, LeastSquares};
    /// # let (raw, bar) = ([100.0, 200.0, 300.0, 400.0], [1.0, 1.5, 2.1, 2.5]);
    /// # let fitted = LeastSquares::new(&Curve::Linear, &[&raw], &bar).run()?;
    /// # let calibration = Calibration::of_regression(&fitted, ["raw", "bar"]).unwrap();
    /// let c = calibration.to_c();
    /// assert!(c.contains("readings from 100 to 400, and not to be trusted beyond."));
    /// assert!(c.contains("float calibrated(float reading)\n{\n    const float v0 = reading - X_OFFSET;"));
    /// # Ok::<(), baregrad::train::RegressionError>(())
    /// ```
    pub fn to_c(&self) -> String {
        self.source().c()
    }

    /// The header of [`to_c`](Self::to_c), for a file named `name`.
    pub fn to_c_header(&self, name: &str) -> String {
        self.source().header(name)
    }

    fn source(&self) -> File {
        let [reading, meaning] = self.names.clone();
        let warnings = self.warnings();
        let needs_pairs = !warnings.is_empty();
        let words = Words {
            inputs: Vec::from([reading]),
            output: meaning,
            ranges: Vec::from([self.range.map(|end| Shortest(end).to_string())]),
            warnings,
        };
        let params = self.flat_params();
        self.device_form(&params).source(&words, needs_pairs)
    }

    fn flat_params(&self) -> Vec<f32> {
        let params = self.params.iter().flat_map(|param| &param.values);
        params.copied().collect()
    }

    /// The calibration in the form that a device has.
    fn device_form<'p>(&self, params: &'p [f32]) -> calibrate::Calibration<'p> {
        let [input, output] = self.scales;
        calibrate::Calibration {
            curve: self.curve,
            input,
            output,
            range: self.range.map(TwoFloat::from_f64),
            params,
            origin: self.origin,
        }
    }

    /// A sentence for each column that the `f32` of firmware does not resolve well.
    ///
    /// [`Dataset::coarse`](super::Dataset::coarse) does the same for data.
    pub fn warnings(&self) -> Vec<String> {
        let [x, y] = self.scales;
        let reach =
            |scale: Scale| scale.offset.to_f64().abs() + 1.0 / f64::from(scale.factor.abs());
        let [reading, meaning] = &self.names;
        let mut warnings = Vec::new();
        for (scale, farthest, is_exact, name, what) in [
            (
                x,
                self.range
                    .iter()
                    .fold(0.0, |most: f64, x| most.max(x.abs())),
                self.range.iter().all(is_count),
                reading,
                "takes readings rounded to them",
            ),
            (
                y,
                reach(y),
                false,
                meaning,
                "returns numbers rounded to them",
            ),
        ] {
            let (spacing, spread) = (spacing(farthest), 1.0 / f64::from(scale.factor.abs()));
            // A scale whose offset is 0 may be fixed, so that its factor says nothing
            // about the spread.
            let offset = scale.offset.to_f64();
            if offset == 0.0 || spacing <= FINE * spread || is_exact {
                continue;
            }
            let near = Shortest(offset);
            let share = |steps: f64| {
                let [steps, share, spread] =
                    [(steps, 3), (steps / spread, 2), (spread, 3)].map(|(x, n)| significant(x, n));
                (steps, format!("{share} of its spread of {spread}"))
            };
            let (steps, of_spread) = share(spacing);
            warnings.push(format!(
                "`{name}` near {near} has steps of {steps} in f32, {of_spread}: \
                 `calibrated` {what}, `calibrated_f64` does not"
            ));
            if let Some(spacing) = scale.lost(TwoFloat::from_f64(farthest)) {
                let (steps, of_spread) = share(spacing.into());
                warnings.push(format!(
                    "`{name}` near {near} has steps of {steps} even in pairs of f32, {of_spread}: \
                     take off an origin before it is read"
                ));
            }
        }
        warnings
    }
}

impl Model for Calibration {
    fn params(&self) -> Vec<Param> {
        self.params.clone()
    }

    fn forward<'t>(&self, reading: Var<'t>, params: &[Var<'t>]) -> Var<'t> {
        let [x, y] = self.scales;
        y.invert_in(self.curve.record_on(x.apply_in(reading), params))
    }
}

/// Prints a polynomial with as many digits as needed, such as `t_c = -17.3 + 0.537 * t_u`, or
/// `late = 0.5 + 5e-6 * (clock - 1764400000)` if readings are far from 0; a formula with its
/// parameters; or the number of parameters of a network.
impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [reading, meaning] = &self.names;
        let origin = self.origin();
        if let Curve::Function(formula) = self.curve {
            let text = formula.text();
            write!(f, "{meaning} = {text}, x = {reading}")?;
            for (name, p) in formula.parameters().iter().zip(self.exact()) {
                write!(f, ", {name} = {}", significant(p, DIGITS))?;
            }
            return Ok(());
        }
        let Some(coefficients) = self.coefficients_about(origin) else {
            let count: usize = self.params.iter().map(|param| param.values.len()).sum();
            return write!(f, "{meaning} = a network of {reading}, {count} parameters");
        };
        let difference = match origin {
            0.0 => reading.clone(),
            _ if origin < 0.0 => format!("({reading} + {})", Shortest(-origin)),
            _ => format!("({reading} - {})", Shortest(origin)),
        };
        let cancelling = self.cancelling(&coefficients, origin);
        let lost = exponent(cancelling.max(1.0), 17).unwrap_or(0);
        let digits = usize::try_from(lost).map_or(DIGITS, |lost| (DIGITS + lost).min(17));
        write!(f, "{meaning} =")?;
        for (k, c) in coefficients.iter().enumerate() {
            let (sign, size) = match (k, *c < 0.0) {
                (0, false) => (" ", *c),
                (0, true) => (" -", -c),
                (_, false) => (" + ", *c),
                (_, true) => (" - ", -c),
            };
            write!(f, "{sign}{}", significant(size, digits))?;
            match k {
                0 => {}
                1 => write!(f, " * {difference}")?,
                _ => write!(f, " * {difference}^{k}")?,
            }
        }
        Ok(())
    }
}

/// The significant digits of an `f32`.
const DIGITS: usize = 7;

impl Calibration {
    /// The ratio of the sum of the absolute terms of the polynomial to the spread of the
    /// results.
    fn cancelling(&self, coefficients: &[f64], origin: f64) -> f64 {
        let [x, y] = self.scales;
        let difference = (x.offset.to_f64() - origin).abs() + 2.0 / f64::from(x.factor.abs());
        let terms = coefficients.iter().rev();
        let largest = terms.fold(0.0, |sum, c| sum * difference + c.abs());
        largest * f64::from(y.factor.abs())
    }
}
