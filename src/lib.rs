//! Autograd in fixed arenas: train small models where the data is, on the
//! microcontroller. `no_std`, no heap, no panics, and the same bits on every
//! target.
//!
//! ```
//! use baregrad::{Arena, Var, optim::Sgd};
//!
//! const T_U: [f32; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
//! const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
//!
//! fn model<'t>(t_u: Var<'t>, w: Var<'t>, b: Var<'t>) -> Var<'t> {
//!     w * (0.1 * t_u) + b
//! }
//!
//! let mut arena = Arena::<128, 16>::new();      // 128 floats, 16 nodes: no heap
//! let tape = arena.tape();
//! let w = tape.param(&[1.0], []);               // trainable
//! let b = tape.param(&[0.0], []);
//! let t_u = tape.input(&T_U, [11]);             // borrowed: may stay in flash
//! let t_c = tape.input(&T_C, [11]);
//! let loss = (model(t_u, w, b) - t_c).square().mean();
//!
//! let mut sgd = Sgd::new(1e-2);
//! for _ in 0..5000 {
//!     tape.zero_grad();
//!     tape.backward(loss)?;
//!     tape.step(&mut sgd)?;
//!     tape.replay()?;                           // the recorded forward pass again
//! }
//! assert!((loss.item()? - 2.927647).abs() < 1e-5);
//! assert!((w.item()? - 5.3671).abs() < 1e-3 && (b.item()? + 17.3012).abs() < 1e-3);
//! # Ok::<(), baregrad::Error>(())
//! ```
//!
//! # How it fits together
//!
//! A model is recorded once, by running it. The [`Tape`] keeps what was
//! recorded in an [`Arena`] of a size you choose; a [`Var`] stands for a value
//! on it, is `Copy`, and has the operators. [`Tape::backward`] collects
//! gradients, an [`optim::Optimizer`] turns them into better parameters, and
//! [`Tape::replay`] computes everything again.
//!
//! Below that, each layer knows only the ones to its right:
//!
//! ```text
//! optim, ops  →  tape  →  op  →  shape, error
//!        ↘ kernel
//! ```
//!
//! | | |
//! | --- | --- |
//! | [`Tape`], [`Var`], [`Arena`] | record, replay, differentiate |
//! | [`ops`] | the operations, and the list tests are driven by |
//! | [`op`] | what an operation is: write your own |
//! | [`kernel`] | SIMD loops over slices |
//! | [`optim`] | SGD, Adam |
//! | [`random`] | seeded uniform and normal numbers, permutations |
//! | [`gradcheck`] | `backward` against finite differences |
//!
//! # What holds everywhere
//!
//! - **No heap.** Memory is what you hand over. A full arena is an error that
//!   says how much was needed; [`Tape::usage`] says how much was used.
//! - **No panics.** Operators cannot return a `Result`: the first failure is
//!   kept by the tape with the operation, the shapes and your line, later
//!   operations do nothing, and every call that leaves the tape returns it.
//! - **Same bits.** The same recording, data and start give the same bits on
//!   every target and with every SIMD level: nothing is fused, and the order of
//!   every sum is a function of the shapes alone.
//! - **PyTorch is the convention.** Names, defaults, broadcasting, and
//!   gradients at kinks are those of PyTorch 2, unless an item says otherwise.
//!
//! # Features
//!
//! - `std` (default): [`HeapArena`], optimizer state in a `Vec`, AVX2 where the
//!   CPU has it. `BAREGRAD_SIMD` asks for another [`kernel::Level`].
//! - `defmt`: `defmt::Format` for errors and small types.

#![no_std]

#[cfg(feature = "std")]
extern crate std;

mod arena;
mod batch;
mod error;
pub mod gradcheck;
pub mod kernel;
pub mod op;
pub mod ops;
pub mod optim;
pub mod random;
mod shape;
mod tape;
#[cfg(feature = "std")]
pub mod train;
mod var;

pub use arena::Arena;
#[cfg(feature = "std")]
pub use arena::HeapArena;
pub use error::{Error, ErrorKind, Operands};
pub use shape::{MAX_RANK, Shape, ShapeError};
pub use tape::{MAX_INPUTS, Mark, Tape, Usage};
pub use var::Var;

/// The README's examples are tested, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
