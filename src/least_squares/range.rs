//! The error for a number outside its valid range.

use core::fmt;

/// A number that is outside its valid range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutOfRange {
    what: &'static str,
    expected: &'static str,
    found: f32,
}

impl OutOfRange {
    /// The name of the number.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The valid range, in words.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        self.expected
    }

    /// The number that was given.
    #[must_use]
    pub fn found(&self) -> f32 {
        self.found
    }
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OutOfRange {
            what,
            expected,
            found,
        } = self;
        write!(f, "{what}: expected {expected}, found {found}")
    }
}

impl core::error::Error for OutOfRange {}

/// Returns an error unless `holds`. Callers phrase the condition so that NaN makes it false.
pub(super) fn require(
    holds: bool,
    what: &'static str,
    expected: &'static str,
    found: f32,
) -> Result<(), OutOfRange> {
    if holds {
        Ok(())
    } else {
        Err(OutOfRange {
            what,
            expected,
            found,
        })
    }
}

/// Returns an error unless the value for which an input is sought is finite, and its standard
/// deviation finite and not negative.
pub(super) fn require_value(value: f32, deviation: f32) -> Result<(), OutOfRange> {
    require(value.is_finite(), "value", "a finite number", value)?;
    require(
        deviation >= 0.0 && deviation.is_finite(),
        "standard deviation of the value",
        "0 or more, and finite",
        deviation,
    )
}
