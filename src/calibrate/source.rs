//! Prints calibrations as source code for firmware by evaluating them over symbols.
//!
//! The formulas are those of the other files of this module: the [scales](super::scale), the
//! recurrence and the sums of [`terms`](super::terms), softsign, and the formulas of one sample.
//! Hidden layers become loops over tables of weights, which take a fraction of the flash of
//! straight-line code and are easier to read; everything else is straight-line code.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::calibration::Calibration;
use super::curve::{Curve, Softsign};
use super::multivariate::Multivariate;
use super::scale::{Scale, inverted, scaled};
use super::terms::{chebyshev, sum};
use crate::function::source::{File, Head, Scalar, call, element, layer};
use crate::function::{Real as _, difference_of, sum_of};
use crate::op::Attrs;
use crate::ops::Each;

/// The name of the generated function, and the prefix of its constants.
const NAME: &str = "calibrated";

/// The texts for the comments of a generated file.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    /// The names of the inputs.
    pub(crate) inputs: Vec<String>,
    /// The name of the calibrated values.
    pub(crate) output: String,
    /// The smallest and the largest value of each input, as text.
    pub(crate) ranges: Vec<[String; 2]>,
    pub(crate) warnings: Vec<String>,
}

impl Words {
    /// The comment at the top of a file: the names, the curve, and the range of readings.
    fn comment(&self, curve: &Curve) -> Vec<String> {
        let of: Vec<String> = self.inputs.iter().map(|name| format!("`{name}`")).collect();
        let (of, output) = (of.join(" and "), &self.output);
        let mut lines = Vec::from([format!(
            "From {of} to `{output}`, {curve}. Written by baregrad; fitted to"
        )]);
        if let Curve::Function(formula) = curve {
            let (text, names) = (formula.text(), formula.parameters().join(", "));
            lines.insert(0, format!("{text}, by {names}."));
        }
        match (self.inputs.as_slice(), self.ranges.as_slice()) {
            ([_], [[low, high]]) => {
                lines.push(format!(
                    "readings from {low} to {high}, and not to be trusted beyond."
                ));
            }
            (names, ranges) => {
                for (name, [low, high]) in names.iter().zip(ranges) {
                    lines.push(format!("`{name}` from {low} to {high},"));
                }
                lines.push("and not to be trusted beyond.".to_string());
            }
        }
        for warning in &self.warnings {
            lines.push(String::new());
            lines.push(format!("Warning: {warning}."));
        }
        lines
    }

    fn title(&self) -> String {
        let of: Vec<String> = self.inputs.iter().map(|name| format!("`{name}`")).collect();
        format!("`{}` for a reading of {}.", self.output, of.join(" and "))
    }
}

/// The indices of the tables of a scale.
#[derive(Clone, Copy)]
struct Names {
    offset: usize,
    factor: usize,
}

impl Names {
    fn new(file: &mut File, name: &str, scale: &Scale) -> Self {
        Names {
            offset: file.table(&format!("{name}_OFFSET"), &[], &[scale.offset.high()]),
            factor: file.table(&format!("{name}_FACTOR"), &[], &[scale.factor]),
        }
    }

    fn apply(self, x: Scalar) -> Scalar {
        scaled(x, element(self.offset, 0), element(self.factor, 0))
    }

    fn invert(self, x: Scalar) -> Scalar {
        inverted(x, element(self.offset, 0), element(self.factor, 0))
    }
}

/// `x` where `condition` is finite, `otherwise` elsewhere.
fn where_finite(condition: Scalar, x: Scalar, otherwise: Scalar) -> Scalar {
    let infinity = condition.number(f32::INFINITY);
    x.where_(condition.abs().lt(infinity), otherwise)
}

impl Calibration<'_> {
    /// A function `calibrated` from `f32` to `f32`, with the bits of the predictions of
    /// [`train::Calibration`](crate::train::Calibration). With `pairs`, there is also a function
    /// `calibrated_f64` of an `f64`, with the bits of [`predict`](Self::predict).
    pub(crate) fn source(&self, words: &Words, pairs: bool) -> File {
        let mut file = File::new(NAME, words.comment(&self.curve));
        let x_names = Names::new(&mut file, "X", &self.input);
        let y_names = Names::new(&mut file, "Y", &self.output);
        let tables = self.curve.tables(self.params, &mut file);
        let head = |name, title: String, input: &str| Head {
            name,
            title,
            inputs: Vec::from([input.to_string()]),
        };
        if !pairs {
            file.function(head(NAME, words.title(), "reading"), false, |x| {
                let y = self.curve.write_down(x_names.apply(first(x)), &tables);
                y_names.invert(y)
            });
            return file;
        }
        let rests = [("X_REST", self.input), ("Y_REST", self.output)];
        let [x_rest, y_rest] =
            rests.map(|(name, scale)| file.table(name, &[], &[scale.offset.low()]));
        let title = "The curve, from scaled readings to scaled results.".to_string();
        let curve = file.function(head("calibrated_curve", title, "scaled"), true, |x| {
            self.curve.write_down(first(x), &tables)
        });
        file.function(head(NAME, words.title(), "reading"), false, |x| {
            y_names.invert(call(curve, x_names.apply(first(x))))
        });
        let title = "The same, of a reading that f32 does not hold.".to_string();
        file.function_of_pair(head("calibrated_f64", title, "reading"), |[high, low]| {
            // As in `TwoFloat`, the low part of an infinity is 0.
            let low = where_finite(low, low, low.number(0.0));
            let offset = [element(x_names.offset, 0), element(x_rest, 0)];
            let [rough, difference] = difference_of([high, low], offset);
            let difference = where_finite(rough, difference, rough);
            let y = call(curve, difference * element(x_names.factor, 0));
            let offset = [element(y_names.offset, 0), element(y_rest, 0)];
            let y = y / element(y_names.factor, 0);
            let (rough, [high, low]) = sum_of(offset, y);
            let none = low.number(0.0);
            let low = where_finite(rough, where_finite(high, low, none), none);
            [where_finite(rough, high, rough), low]
        });
        file
    }
}

impl Multivariate<'_> {
    /// A function `calibrated` with an `f32` argument for each input, which returns `f32`.
    pub(crate) fn source(&self, words: &Words) -> File {
        let mut file = File::new(NAME, words.comment(&self.curve));
        let names = self.inputs.iter().enumerate();
        let names: Vec<Names> = names
            .map(|(k, input)| Names::new(&mut file, &format!("X{k}"), &input.scale))
            .collect();
        let y_names = Names::new(&mut file, "Y", &self.output);
        let params = file.table("P", &[self.params.len()], self.params);
        let head = Head {
            name: NAME,
            title: words.title(),
            inputs: words.inputs.clone(),
        };
        file.function(head, false, |x| {
            let scaled: Vec<Scalar> = names
                .iter()
                .zip(x)
                .map(|(name, x)| name.apply(*x))
                .collect();
            let one = first(x).number(1.0);
            let params = (0..self.params.len()).map(|k| element(params, k));
            let params: Vec<Scalar> = params.collect();
            let at = |k: usize| scaled.get(k).copied().unwrap_or(one);
            y_names.invert(self.scaled(one, &at, &params))
        });
        file
    }
}

/// The only input.
fn first(x: &[Scalar]) -> Scalar {
    x.first().copied().unwrap_or_else(|| element(0, 0))
}

fn softsign(x: Scalar) -> Scalar {
    x.each(&Each(Softsign), Attrs::default())
}

impl Curve {
    /// Adds tables of the parameters to a file: for each layer a table of weights, with a row
    /// for each unit, and a table of biases; or a table for each parameter of a formula.
    fn tables(&self, params: &[f32], file: &mut File) -> Vec<usize> {
        if let Curve::Function(formula) = self {
            let named = formula.parameters().iter().zip(params);
            let named = named.map(|(name, p)| file.table(&name.to_uppercase(), &[], &[*p]));
            return named.collect();
        }
        let mut rest = params;
        let mut tables = Vec::new();
        for (i, [inputs, units]) in (1..).zip(self.layers()) {
            let mut next = |count: usize| {
                let (values, others) = rest.split_at_checked(count).unwrap_or((rest, &[]));
                rest = others;
                values
            };
            let (w, b) = (next(inputs * units), next(units));
            let rows = (0..units).flat_map(|unit| w.iter().skip(unit).step_by(units.max(1)));
            let rows: Vec<f32> = rows.copied().collect();
            let (w_name, b_name) = match self {
                Curve::Linear => ("W".to_string(), "B".to_string()),
                Curve::Poly(_) => ("C".to_string(), "C0".to_string()),
                _ => (format!("W{i}"), format!("B{i}")),
            };
            let (w_shape, b_shape) = match (self, units) {
                (Curve::Linear, _) => (Vec::new(), Vec::new()),
                (_, 1) => (Vec::from([inputs]), Vec::new()),
                _ => (Vec::from([units, inputs]), Vec::from([units])),
            };
            tables.push(file.table(&w_name, &w_shape, &rows));
            tables.push(file.table(&b_name, &b_shape, b));
        }
        tables
    }

    /// Evaluates the curve for a scaled reading in symbols, as [`record`](Self::record)
    /// does on a tape.
    fn write_down(&self, x: Scalar, tables: &[usize]) -> Scalar {
        if let Curve::Function(formula) = self {
            let params: Vec<Scalar> = tables.iter().map(|p| element(*p, 0)).collect();
            return formula.write_down(x, &params);
        }
        let count = self.inputs();
        let mut values: Vec<Scalar> = chebyshev(x.number(1.0), x).take(count).collect();
        let last = self.layers().count().saturating_sub(1);
        let tables = tables.as_chunks::<2>().0;
        for (i, ([_, units], [w, b])) in self.layers().zip(tables).enumerate() {
            values = match units {
                1 => {
                    let terms = values.iter().enumerate();
                    let terms = terms.map(|(k, x)| *x * element(*w, k));
                    let unit =
                        sum(terms).map_or_else(|| element(*b, 0), |sum| sum + element(*b, 0));
                    Vec::from([if i < last { softsign(unit) } else { unit }])
                }
                _ => layer(
                    [*w, *b],
                    units,
                    &values,
                    |[sum, x, w]| sum + x * w,
                    |[sum, b]| softsign(sum + b),
                ),
            };
        }
        first(&values)
    }
}
