//! Calibrates a sensor on the device itself: readings and their references come
//! in over a serial line, the device fits a curve to them, and saves the calibration in flash
//! such that a power cut does not lose it.
//!
//! This crate does not depend on a board. A firmware implements [`Board`] (a serial line, a
//! flash, and where it has them a sensor and a watchdog), makes a [`Memory`] of the size it can
//! spare, and calls [`Calibrator::run`]; see `embedded/boards`. The same code runs in
//! tests on the host, and gives the same bits there.
//!
//! ```text
//! calibrator   the commands and their answers: a file each for settings, report, status, transfer
//!   ↓     ↘
//! training  store   a fit that answers its line meanwhile; three copies in flash
//!   ↓  ↘  ↙   ↘
//! plan   ↓   tracking    the curve and the method; samples one at a time after a fit
//!   ↓    ↓   ↙
//! rule  memory   optimizers and schedules by name, with options; the room to work in
//!   ↓    ↓
//! kept   line, console   a calibration as bytes: in use, in flash, on the line; the line itself
//!   ↓
//! baregrad::calibrate   curves, scales, the fit, the record: the same as on the desktop
//! ```
//!
//! `failure` names every reason why a command fails. Rules and options are among what it names,
//! and fail with it: these three files import each other.
//!
//! This crate has no heap and no panics: it neither indexes nor unwraps.

#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![warn(clippy::panic)]

mod board;
mod calibrator;
mod console;
mod failure;
mod kept;
mod line;
mod memory;
mod options;
mod plan;
mod rule;
pub mod store;
mod tracking;
mod training;

pub use board::{Board, Ram};
pub use calibrator::Calibrator;
pub use kept::{Kept, MAX_BYTES, MAX_PARAMS};
pub use line::{Damaged, MAX_LINE};
pub use memory::{FLOATS, Memory, floats};
pub use rule::{ALL_RULES, ALL_SCHEDULES, FEW_RULES, RateSchedule, Rule};
