//! Parses and prints the names of curves.

use core::fmt;

use super::{Curve, MAX_DEGREE, MAX_HIDDEN};
use crate::calibrate::formula::Formula;

/// The most bytes in the name of a curve.
pub const MAX_NAME: usize = 16;

impl Curve {
    /// Parses a name such as `linear`, `poly:3` or `mlp:16,16`. A network has the seed 0.
    /// The names of formulas are parsed by [`parse_with`](Self::parse_with).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        // Splits by a list of one character: `core`'s search for a character cannot be
        // proved not to panic.
        match name.split_once([':']) {
            None if name == "linear" => Some(Curve::Linear),
            Some(("poly", degree)) => {
                let degree = degree.parse().ok();
                let degree = degree.filter(|degree| (1..=MAX_DEGREE).contains(degree));
                degree.map(Curve::Poly)
            }
            Some(("mlp", widths)) => {
                let mut list = [0; MAX_HIDDEN];
                let mut count = 0;
                for width in widths.split([',']) {
                    *list.get_mut(count)? = width.parse().ok()?;
                    count += 1;
                }
                Curve::mlp(list.get(..count)?, 0)
            }
            _ => None,
        }
    }

    /// Parses a name, which may also be that of one of `formulas`.
    ///
    /// ```
    /// use baregrad::calibrate::{Curve, FORMULAS};
    ///
    /// assert!(matches!(Curve::parse_with("exp", &FORMULAS), Some(Curve::Function(_))));
    /// assert_eq!(Curve::parse_with("poly:3", &FORMULAS), Some(Curve::Poly(3)));
    /// assert_eq!(Curve::parse("exp"), None);
    /// ```
    #[must_use]
    pub fn parse_with(name: &str, formulas: &[&'static Formula]) -> Option<Self> {
        let known = formulas.iter().find(|formula| formula.name() == name);
        known.map_or_else(
            || Curve::parse(name),
            |formula| Some(Curve::Function(formula)),
        )
    }

    /// Writes the name to `bytes` and returns it, in the form that
    /// [`parse_with`](Self::parse_with) reads.
    ///
    /// Does not use `core`'s formatting, which cannot be proved not to panic.
    #[must_use]
    pub fn name<'b>(&self, bytes: &'b mut [u8; MAX_NAME]) -> &'b str {
        let mut len = 0;
        let mut put = |text: &[u8]| {
            for byte in text {
                if let Some(to) = bytes.get_mut(len) {
                    *to = *byte;
                    len += 1;
                }
            }
        };
        // The two digits of a number below 100.
        let digits = |number: usize| [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
        match self {
            Curve::Linear => put(b"linear"),
            Curve::Poly(_) => put(b"poly"),
            Curve::Mlp { .. } => put(b"mlp"),
            Curve::Function(formula) => put(formula.name().as_bytes()),
        }
        let degree = matches!(self, Curve::Poly(_)).then(|| self.inputs());
        let widths = match self {
            Curve::Mlp { widths, .. } => Some(widths.iter()),
            _ => None,
        };
        let separators = core::iter::once(b":").chain(core::iter::repeat(b","));
        let numbers = degree.into_iter().chain(widths.into_iter().flatten());
        for (separator, number) in separators.zip(numbers) {
            put(separator);
            let [tens, ones] = digits(number);
            if number > 9 {
                put(&[tens]);
            }
            put(&[ones]);
        }
        let name = bytes.get(..len).unwrap_or_default();
        str::from_utf8(name).unwrap_or_default()
    }
}

/// Prints the [name](Curve::name).
impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name(&mut [0; MAX_NAME]))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::Curve;
    use crate::calibrate::Widths;

    #[test]
    fn names_read_back_and_others_are_none() {
        for name in [
            "linear",
            "poly:1",
            "poly:12",
            "mlp:1",
            "mlp:64,64,64,64",
            "mlp:16,3",
        ] {
            assert_eq!(Curve::parse(name).unwrap().to_string(), name);
        }
        for name in [
            "",
            "line",
            "linear:1",
            "poly",
            "poly:",
            "poly:0",
            "poly:13",
            "poly:x",
            "mlp:",
            "mlp:0",
            "mlp:8,",
            "mlp:65",
            "mlp:1,1,1,1,1",
            "poly:-1",
        ] {
            assert_eq!(Curve::parse(name), None, "{name}");
        }
        assert_eq!(Widths::new(&[]), None);
    }
}
