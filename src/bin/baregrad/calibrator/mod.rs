//! The calibrator's own code, to run here what a board runs. `embedded/calibrator` builds
//! firmware from these files, which stand here because a published package has only what
//! is below it.

// Firmware uses all of it.
#![allow(dead_code, unreachable_pub)]

pub mod calibration;
pub mod fit;
