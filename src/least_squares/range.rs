//! The error of numbers that make no sense where they are given.

use core::fmt;

/// A number that is out of the range in which it makes sense.
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

    /// The range in which it makes sense, in words.
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

/// Fails unless `holds`, which NaN should not make true.
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
