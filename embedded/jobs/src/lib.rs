//! The models that other packages train on a board, to count costs and compare results.

#![no_std]
#![forbid(unsafe_code)]

pub mod elementary;
pub mod iris;
mod numpy;
pub mod recursive;
pub mod sine;
pub mod thermometer;

pub use baregrad::optim::Sgd;
