//! What runs on a board and on the host alike. Whoever runs a job prints its
//! report, and the reports must be the same, character by character.

#![no_std]
#![forbid(unsafe_code)]

pub mod elementary;
pub mod sine;
pub mod thermometer;

pub use baregrad::optim::Sgd;
