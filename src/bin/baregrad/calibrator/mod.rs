//! What runs on a board, to be run here as well. `embedded/calibrator` builds firmware
//! from these files, which stand here because a package has only what is below it.

// Firmware uses all of it.
#![allow(dead_code, unreachable_pub)]

pub mod calibration;
pub mod fit;
