//! Tests the models of the example `nist`, those of all 27 NIST sets for nonlinear regression.
//! `golden/nist_models.py` computed the values with 60 digits from NIST's formulas.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "../examples/nist/models.rs"]
mod models;

use std::collections::BTreeSet;

use baregrad::function::{Function, TwoFloat};

/// A line of the file.
struct At<'a> {
    line: &'a str,
    x: Vec<f64>,
    b: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

fn array<const N: usize>(numbers: &[f64]) -> [f32; N] {
    core::array::from_fn(|k| numbers[k] as f32)
}

impl models::Use for At<'_> {
    type Output = ();

    fn call<F: Function<X, P>, const X: usize, const P: usize>(self, _: F) {
        let line = self.line;
        assert_eq!((self.x.len(), self.b.len()), (X, P), "{line}");
        let (x, b) = (array::<X>(&self.x), array::<P>(&self.b));
        // The value in pairs. Formulas with π are less accurate, because π is an `f32` there, off
        // by 3e-8.
        let value = F::eval(x.map(TwoFloat::from), b.map(TwoFloat::from)).to_f64();
        let off = (value - self.value).abs();
        assert!(off <= 1e-6 * self.value.abs(), "{line}: {value}");

        // The value in `f32`. An exponential of 16 is accurate to 1e-6, and sums cancel to a
        // hundredth.
        let (value, gradient) = F::value_and_gradient(x, b);
        let off = (f64::from(value) - self.value).abs();
        assert!(off <= 1e-4 * self.value.abs(), "{line}: {value}");
        for k in 0..P {
            // The bound is relative to the derivative, or to a hundredth of value / parameter: an
            // angle of 88 has an error of 4e-6 in `f32`.
            let size = self.gradient[k].abs() + 1e-2 * (self.value / self.b[k]).abs();
            let off = (f64::from(gradient[k]) - self.gradient[k]).abs();
            assert!(off <= 1e-4 * size, "{line}: {k} {gradient:?}");
        }
    }
}

#[test]
fn all_models_of_nist_are_there_and_right() {
    let mut sets = BTreeSet::new();
    let table = include_str!("golden/nist_models.csv");
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(';');
        let name = fields.next().unwrap();
        let mut numbers = || -> Vec<f64> {
            let field = fields.next().unwrap().split(' ');
            field.map(|number| number.parse().unwrap()).collect()
        };
        let at = At {
            line,
            x: numbers(),
            b: numbers(),
            value: numbers()[0],
            gradient: numbers(),
        };
        assert!(models::by_name(name, at).is_some(), "no model of {name}");
        sets.insert(name);
    }
    assert_eq!(sets.len(), 27);
}
