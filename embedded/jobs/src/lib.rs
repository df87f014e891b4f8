//! The work of boards, to be counted and compared.

#![no_std]
#![forbid(unsafe_code)]

pub mod elementary;
pub mod iris;
mod numpy;
pub mod recursive;
pub mod sine;
pub mod thermometer;

pub use baregrad::optim::Sgd;
