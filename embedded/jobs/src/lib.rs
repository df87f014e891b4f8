//! What a board does, to be counted and compared.

#![no_std]
#![forbid(unsafe_code)]

pub mod elementary;
pub mod sine;
pub mod thermometer;

pub use baregrad::optim::Sgd;
