//! baregrad
#![no_std]
#[cfg(feature = "std")]
extern crate std;
pub mod kernel;
pub mod optim;
pub mod random;
