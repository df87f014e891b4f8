//! Polynomials of several inputs, for people and for firmware.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::solution::{Coefficient, Regression};
use crate::train::digits::{Shortest, significant};

impl Regression {
    /// The fitted polynomial in the units of the data: `v = 1.5 + 0.2 * t - 3e-4 * t * p`.
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

    /// Rust for firmware: a function `calibrated` of as many readings as there are inputs, in
    /// `f32`, which needs neither `std` nor this crate. Empty for functions and networks,
    /// which [`Calibration::to_rust`](crate::train::Calibration::to_rust) prints.
    ///
    /// Inputs are scaled, and terms are products of Chebyshev polynomials of them, as powers of
    /// readings far from 0 would cancel.
    pub fn to_rust(&self, x: &[impl AsRef<str>], y: &str) -> String {
        let Some(terms) = &self.terms else {
            return String::new();
        };
        let clean = |name: &str| name.replace(char::is_control, " ");
        let names: Vec<String> = x.iter().map(|name| clean(name.as_ref())).collect();
        let mut code = format!(
            "// From {} to {}, {}. Written by baregrad; not to be trusted beyond\n",
            names.join(", "),
            clean(y),
            self.curve
        );
        for (name, [low, high]) in names.iter().zip(&self.ranges) {
            let (low, high) = (Shortest(*low), Shortest(*high));
            code += &format!("// {name} from {low} to {high},\n");
        }
        code += "// the range of the readings that it was fitted to.\n\n";
        let constant = |name: &str, value: f32| format!("const {name}: f32 = {value:?};\n");
        for (k, scale) in self.scales.iter().enumerate() {
            code += &constant(&format!("X{k}_OFFSET"), scale.offset.high());
            code += &constant(&format!("X{k}_FACTOR"), scale.factor);
        }
        code += &constant("Y_OFFSET", self.output.offset.high());
        code += &constant("Y_FACTOR", self.output.factor);

        let inputs = names.len();
        let arguments: Vec<String> = (0..inputs).map(|k| format!("x{k}")).collect();
        code += &format!(
            "\n/// `{}` for readings of {}.\npub fn calibrated([{}]: [f32; {inputs}]) -> f32 {{\n",
            clean(y),
            names.join(", "),
            arguments.join(", ")
        );
        let most = terms.most();
        for k in 0..inputs {
            // t0_2 is the second Chebyshev polynomial of input 0.
            code += &format!("    let t{k}_1 = (x{k} - X{k}_OFFSET) * X{k}_FACTOR;\n");
            for degree in 2..=most {
                let before = match degree {
                    2 => "1.0".to_string(),
                    _ => format!("t{k}_{}", degree - 2),
                };
                let last = degree - 1;
                code += &format!(
                    "    let t{k}_{degree} = (t{k}_1 + t{k}_1) * t{k}_{last} - {before};\n"
                );
            }
        }
        let params = || terms.degrees.iter().zip(&self.params);
        let unit = |degrees: &Vec<usize>| degrees.iter().all(|degree| *degree == 0);
        let rest = params().filter(|(degrees, _)| unit(degrees));
        let rest: f64 = rest.map(|(_, p)| *p).sum();
        code += &format!("    let mut y = {:?};\n", rest as f32);
        for (degrees, p) in params().filter(|(degrees, _)| !unit(degrees)) {
            let factors = degrees
                .iter()
                .enumerate()
                .filter(|(_, degree)| **degree > 0);
            let factors: Vec<String> = factors
                .map(|(k, degree)| format!("t{k}_{degree}"))
                .collect();
            code += &format!("    y += {:?} * {};\n", *p as f32, factors.join(" * "));
        }
        code += "    y / Y_FACTOR + Y_OFFSET\n}\n";
        code
    }
}
