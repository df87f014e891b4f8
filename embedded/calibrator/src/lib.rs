//! Calibrates a sensor on the device itself: readings next to a reference come
//! in over a serial line, a model is trained where the sensor is, and what was
//! learned outlives a power cut.
//!
//! Nothing here knows a board. A firmware implements [`Board`] (a serial line, a
//! flash, and what else it has), makes a [`Memory`] of the size it can spare,
//! and calls [`Calibrator::run`]; see `embedded/boards`. The same code runs in
//! tests on the host, and gives the same bits there.
//!
//! ```text
//! calibrator   lines in, answers out: what a person at the terminal sees
//!   ↓    ↘
//! fit     store   training on a tape; three copies in flash
//!   ↓    ↙
//! calibration     model, scales, parameters
//! ```
//!
//! No heap, and no panics in what is written here: no indexing, no unwrapping.

#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![warn(clippy::panic)]

mod board;
mod calibrator;
// The tool for the desktop, which runs the same, has these two: it is published, and a
// package has only what is below it.
#[path = "../../../src/bin/baregrad/calibrator/calibration.rs"]
pub mod calibration;
#[path = "../../../src/bin/baregrad/calibrator/fit.rs"]
pub mod fit;
pub mod store;

pub use board::{Board, Damaged, Memory, Ram};
pub use calibrator::{Calibrator, MAX_LINE};
