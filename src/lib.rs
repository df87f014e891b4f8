//! baregrad
#![no_std]
#[cfg(feature = "std")]
extern crate std;

mod arena;
mod error;
pub mod kernel;
pub mod op;
pub mod ops;
pub mod optim;
pub mod random;
mod shape;
mod tape;
mod var;

#[cfg(feature = "std")]
pub use arena::HeapArena;
pub use arena::Arena;
pub use error::{Error, ErrorKind, Operands};
pub use shape::{MAX_RANK, Shape, ShapeError};
pub use tape::{MAX_INPUTS, Mark, Tape, Usage};
pub use var::Var;
