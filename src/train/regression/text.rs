//! Polynomials of several inputs as formulas for readers, source code for firmware, and records.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::solution::{Coefficient, Regression};
use crate::calibrate::{Input, Multivariate, Origin, TwoFloat, Words};
use crate::function::source::File;
use crate::train::digits::{Shortest, significant};

impl Regression {
    /// The fitted polynomial in the units of the data, such as
    /// `v = 1.5 + 0.2 * t - 3e-4 * t * p`.
    pub fn formula(&self, x: &[impl AsRef<str>], y: &str) -> String {
        let mut text = format!("{y} =");
        let coefficients = self.coefficients().unwrap_or_default();
        for (k, Coefficient { powers, value, .. }) in coefficients.iter().enumerate() {
            let sign = match (k, *value < 0.0) {
                (0, false) => " ",
                (0, true) => " -",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            text += &format!("{sign}{}", significant(value.abs(), 7));
            for (power, name) in powers.iter().zip(x) {
                let name = name.as_ref();
                match power {
                    0 => {}
                    1 => text += &format!(" * {name}"),
                    _ => text += &format!(" * {name}^{power}"),
                }
            }
        }
        text
    }

    /// Rust source for firmware: a function `calibrated` with an `f32` argument for each input,
    /// which needs neither `std` nor this crate. It returns the same bits as
    /// [`Multivariate::predict`] of the [record](Self::to_record), provided that the offsets of
    /// the scales are exact in one `f32`. The string is empty for formulas and networks, which
    /// [`Calibration::to_rust`](crate::train::Calibration::to_rust) prints.
    ///
    /// Inputs are scaled, and terms are products of their Chebyshev polynomials, because
    /// powers of readings far from 0 would cancel.
    pub fn to_rust(&self, x: &[impl AsRef<str>], y: &str) -> String {
        self.source(x, y)
            .map_or_else(String::new, |file| file.rust())
    }

    /// The same function in C99, with a `float` argument for each input, such as
    /// `float calibrated(float raw, float t)`. Its bits are the same under the conditions
    /// of [`Source::c`](crate::function::source::Source::c).
    pub fn to_c(&self, x: &[impl AsRef<str>], y: &str) -> String {
        self.source(x, y).map_or_else(String::new, |file| file.c())
    }

    /// The header of [`to_c`](Self::to_c), for a file named `name`.
    pub fn to_c_header(&self, x: &[impl AsRef<str>], y: &str, name: &str) -> String {
        self.source(x, y)
            .map_or_else(String::new, |file| file.header(name))
    }

    /// The [record](Multivariate::write) of a polynomial of the inputs, from which
    /// another program or firmware predicts the same bits. Parameters are rounded to
    /// `f32`. `None` for formulas and networks, which
    /// [`Calibration::to_record`](crate::train::Calibration::to_record) writes.
    ///
    /// ```
    /// use baregrad::calibrate::{Input, Multivariate};
    /// use baregrad::train::{Curve, LeastSquares};
    ///
    /// let raw = [100.0, 200.0, 300.0, 100.0, 200.0, 300.0];
    /// let t = [10.0, 10.0, 10.0, 30.0, 30.0, 31.0];
    /// let p = [1.0, 2.0, 3.0, 1.2, 2.2, 3.2];
    /// let fitted = LeastSquares::new(&Curve::Linear, &[&raw, &t], &p).run()?;
    /// let bytes = fitted.to_record().unwrap();
    /// let (mut inputs, mut params) = ([Input::NONE; 2], [0.0; 3]);
    /// let there = Multivariate::read(&bytes, &mut inputs, &mut params)?;
    /// let found = there.predict(&[250.0.into(), 20.0.into()])?;
    /// assert!((found.value.to_f64() - fitted.predict(&[250.0, 20.0]).value).abs() < 1e-5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_record(&self) -> Option<Vec<u8>> {
        self.with_multivariate(|calibration| {
            let (inputs, params) = (calibration.inputs.len(), calibration.params.len());
            let mut bytes = std::vec![0; Multivariate::max_bytes(inputs, params)];
            let written = calibration.write(&mut bytes);
            debug_assert!(written.is_ok());
            let len = written.map_or(0, <[u8]>::len);
            bytes.truncate(len);
            bytes
        })
    }

    /// The prediction, in units of `y`, of a device that has the
    /// [record](Self::to_record), from a reading for each input. `None` for formulas and
    /// networks, and if the result is not finite.
    pub fn predict_on_device(&self, x: &[f64]) -> Option<f64> {
        let readings: Vec<TwoFloat> = x.iter().map(|x| TwoFloat::from_f64(*x)).collect();
        let found = self.with_multivariate(|calibration| calibration.predict(&readings))?;
        Some(found.ok()?.value.to_f64())
    }

    /// Calls `f` with the polynomial in the form that a device has.
    fn with_multivariate<T>(&self, f: impl FnOnce(&Multivariate<'_>) -> T) -> Option<T> {
        self.terms.as_ref()?;
        let inputs = self.scales.iter().zip(&self.ranges);
        let inputs = inputs.map(|(scale, range)| Input {
            scale: *scale,
            range: range.map(TwoFloat::from_f64),
        });
        let inputs: Vec<Input> = inputs.collect();
        let params: Vec<f32> = self.params.iter().map(|p| *p as f32).collect();
        Some(f(&Multivariate {
            curve: self.curve,
            inputs: &inputs,
            output: self.output,
            params: &params,
            origin: self.origin(),
        }))
    }

    fn source(&self, x: &[impl AsRef<str>], y: &str) -> Option<File> {
        let ranges = self.ranges.iter();
        let words = Words {
            inputs: x.iter().map(|name| name.as_ref().to_string()).collect(),
            output: y.to_string(),
            ranges: ranges
                .map(|range| range.map(|end| Shortest(end).to_string()))
                .collect(),
            warnings: Vec::new(),
        };
        self.with_multivariate(|calibration| calibration.source(&words))
    }

    /// The number of rows and passes, and the mean squared residual without weights.
    pub(crate) fn origin(&self) -> Origin {
        let squares: f64 = self.residuals().map(|(_, r)| r * r).sum();
        Origin {
            samples: u32::try_from(self.rows()).unwrap_or(u32::MAX),
            epochs: self.passes(),
            loss: (squares / self.rows() as f64) as f32,
        }
    }
}
