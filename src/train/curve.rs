//! [Curves](crate::calibrate::Curve) as models: their names, parameters and recording.

use core::fmt;
use core::str::FromStr;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::model::{Model, Param};
use crate::calibrate::{Curve, FORMULAS, MAX_DEGREE, MAX_HIDDEN, MAX_WIDTH};
use crate::var::Var;

/// An error from parsing a [`Curve`]: no curve has this name.
#[derive(Clone, PartialEq, Eq)]
pub struct CurveError {
    found: String,
}

impl fmt::Display for CurveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected linear, poly:N with N from 1 to {MAX_DEGREE}, ")?;
        for formula in FORMULAS {
            write!(f, "{}, ", formula.name())?;
        }
        write!(
            f,
            "or mlp:N,N,… with up to {MAX_HIDDEN} layers of 1 to {MAX_WIDTH} units, found `{}`",
            self.found
        )
    }
}

impl core::error::Error for CurveError {}

/// Parses a curve as [`parse_with`](Curve::parse_with) does, with all [`FORMULAS`].
///
/// ```
/// use baregrad::train::Curve;
///
/// let curve: Curve = "mlp:16,16".parse()?;
/// assert_eq!(Some(curve), Curve::mlp(&[16, 16], 0));
/// # Ok::<(), baregrad::train::CurveError>(())
/// ```
impl FromStr for Curve {
    type Err = CurveError;

    fn from_str(text: &str) -> Result<Self, CurveError> {
        Curve::parse_with(text, &FORMULAS).ok_or_else(|| CurveError {
            found: text.to_string(),
        })
    }
}

/// The parameters are the weights, then the biases, of each layer: `w` and `b` of a line,
/// `c` and `c0` of a polynomial, `w1`, `b1`, `w2`, … of a network. Biases have no
/// penalty. A formula has one parameter `p` that holds all its values, without penalty.
impl Model for Curve {
    fn params(&self) -> Vec<Param> {
        let mut start = std::vec![0.0; self.param_count()];
        self.start(&mut start);
        if let Curve::Function(formula) = self {
            let count = formula.parameters().len();
            return Vec::from([Param::new("p", start, [count]).without_penalty()]);
        }
        let mut rest = start.as_slice();
        let mut params = Vec::new();
        for (i, [inputs, units]) in (1..).zip(self.layers()) {
            let mut next = |count: usize| {
                let (values, others) = rest.split_at(count);
                rest = others;
                values.to_vec()
            };
            let (w, b) = match self {
                Curve::Linear => (String::from("w"), String::from("b")),
                Curve::Poly(_) => (String::from("c"), String::from("c0")),
                _ => (format!("w{i}"), format!("b{i}")),
            };
            params.push(Param::new(w, next(inputs * units), [inputs, units]));
            params.push(Param::new(b, next(units), [units]).without_penalty());
        }
        params
    }

    fn forward<'t>(&self, x: Var<'t>, params: &[Var<'t>]) -> Var<'t> {
        self.record_on(x, params)
    }
}

#[cfg(test)]
mod tests {
    use super::Curve;
    use std::format;
    use std::string::ToString;

    #[test]
    fn names_that_are_no_curve_are_refused() {
        for bad in ["", "line", "poly:13", "mlp:8,", "mlp:1,1,1,1,1"] {
            let error = bad.parse::<Curve>().map_err(|error| error.to_string());
            let expected = format!("found `{bad}`");
            assert!(
                error.is_err_and(|error| error.ends_with(&expected)),
                "{bad}"
            );
        }
    }
}
