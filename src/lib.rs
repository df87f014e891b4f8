//! Autograd in fixed arenas: train small models where the data is, on the
//! microcontroller. `no_std`, no heap, no panics, and the same bits on every
//! target.
//!
//! ```
//! use baregrad::{Arena, function, function::Function, optim::Sgd};
//!
//! function! {
//!     /// °C of a thermometer without units.
//!     pub fn Thermometer([t_u], [w, b]) { w * (0.1 * t_u) + b }
//! }
//!
//! const T_U: [f32; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
//! const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
//!
//! let mut arena = Arena::<8, 4>::new();         // 8 floats, 4 nodes: no heap
//! let tape = arena.tape();
//! let w_b = tape.param(&[1.0, 0.0], [2]);       // trainable
//! let t_u = tape.input(&T_U, [11]);             // borrowed: may stay in flash
//! let t_c = tape.input(&T_C, [11]);
//! let loss = Thermometer::mse(t_u, w_b, t_c);   // the mean squared error
//!
//! let mut sgd = Sgd::new(1e-2);
//! for _ in 0..5000 {
//!     tape.zero_grad();
//!     tape.backward(loss)?;
//!     tape.step(&mut sgd)?;
//!     tape.replay()?;                           // the recorded forward pass again
//! }
//! assert!((loss.item()? - 2.927647).abs() < 1e-5);
//! assert_eq!(format!("{:.3?}", &*w_b.value()?), "[5.367, -17.301]");
//! # Ok::<(), baregrad::Error>(())
//! ```
//!
//! # The mechanics of learning, in seven steps
//!
//! A thermometer shows numbers without units. Eleven of its readings, `t_u`, were
//! noted next to the temperature in °C, `t_c`. Which formula turns one into the other?
//!
//! **1. Choose a model.** A [function](mod@function) with parameters, here a line, and a
//! guess for them.
//!
//! ```
//! use baregrad::{function, function::Function};
//!
//! function! {
//!     fn Thermometer([t_u], [w, b]) { w * t_u + b }
//! }
//! assert_eq!(Thermometer::value([35.7], [1.0, 0.0]), 35.7); // as predicted by the guess
//! ```
//!
//! **2. Measure how wrong it is.** The loss is one number: here the mean of the
//! squared differences. Recording it on a tape computes it.
//!
//! ```
//! # use baregrad::{Arena, function, function::Function};
//! # function! { fn Thermometer([t_u], [w, b]) { w * t_u + b } }
//! # const T_U: [f32; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
//! # const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
//! let mut arena = Arena::<128, 16>::new();
//! let tape = arena.tape();
//! let w_b = tape.param(&[1.0, 0.0], [2]);
//! let (t_u, t_c) = (tape.input(&T_U, [11]), tape.input(&T_C, [11]));
//! let loss = Thermometer::mse(t_u, w_b, t_c);
//! assert_eq!(format!("{:.2}", loss.item()?), "1763.88");
//! # Ok::<(), baregrad::Error>(())
//! ```
//!
//! Networks, and control flow that depends on data, are recorded with operators, as in
//! PyTorch. For this model, operators give the same loss.
//!
//! ```
//! # use baregrad::{Arena, function, function::Function};
//! # function! { fn Thermometer([t_u], [w, b]) { w * t_u + b } }
//! # const T_U: [f32; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
//! # const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
//! # let mut arena = Arena::<64, 16>::new();
//! # let tape = arena.tape();
//! # let w_b = tape.param(&[1.0, 0.0], [2]);
//! # let (t_u, t_c) = (tape.input(&T_U, [11]), tape.input(&T_C, [11]));
//! # let loss = Thermometer::mse(t_u, w_b, t_c);
//! let (w, b) = (tape.param(&[1.0], []), tape.param(&[0.0], []));
//! let t_p = w * t_u + b;
//! let same = (t_p - t_c).square().mean();
//! assert!((same.item()? / loss.item()? - 1.0).abs() < 1e-6); // another order of the sum
//! # Ok::<(), baregrad::Error>(())
//! ```
//!
//! **3. Ask which way is down.** The gradient tells how the loss changes with each
//! parameter. `backward` applies the chain rule to what was recorded, from the
//! loss to the parameters.
//!
//! ```
//! # use baregrad::{Arena, function, function::Function};
//! # function! { fn Thermometer([t_u], [w, b]) { w * t_u + b } }
//! # const T_U: [f32; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
//! # const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
//! # let mut arena = Arena::<64, 16>::new();
//! # let tape = arena.tape();
//! # let w_b = tape.param(&[1.0, 0.0], [2]);
//! # let (t_u, t_c) = (tape.input(&T_U, [11]), tape.input(&T_C, [11]));
//! # let loss = Thermometer::mse(t_u, w_b, t_c);
//! tape.backward(loss)?;
//! assert_eq!(format!("{:.1?}", &*w_b.grad()?), "[4517.3, 82.6]");
//!
//! let by_hand = loss_at(1.05, 0.0) - loss_at(0.95, 0.0); // moving w a little
//! assert!((w_b.grad()?[0] - by_hand / 0.1).abs() < 1.0);
//!
//! fn loss_at(w: f32, b: f32) -> f32 {
//!     let errors = T_U.iter().zip(&T_C).map(|(t_u, t_c)| Thermometer::value([*t_u], [w, b]) - t_c);
//!     errors.map(|error| error * error).sum::<f32>() / 11.0
//! }
//! # Ok::<(), baregrad::Error>(())
//! ```
//!
//! **4. Take a step.** An optimizer moves the parameters against the gradient, as
//! far as the learning rate says. `replay` computes everything again.
//!
//! ```
//! use baregrad::optim::Sgd;
//! # use baregrad::{Arena, function, function::Function};
//! # function! { fn Thermometer([t_u], [w, b]) { w * t_u + b } }
//! # const T_U: [f32; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
//! # const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
//! # let mut arena = Arena::<64, 16>::new();
//! # let tape = arena.tape();
//! # let w_b = tape.param(&[1.0, 0.0], [2]);
//! # let (t_u, t_c) = (tape.input(&T_U, [11]), tape.input(&T_C, [11]));
//! # let loss = Thermometer::mse(t_u, w_b, t_c);
//! # tape.backward(loss)?;
//! tape.step(&mut Sgd::new(1e-4))?;
//! tape.replay()?;
//! assert!(loss.item()? < 1763.88 / 2.0);
//! # Ok::<(), baregrad::Error>(())
//! ```
//!
//! **5. Repeat, with a learning rate that fits.** Gradients add up, so a loop sets
//! them to zero. Steps that are too long overshoot, each by more than the last.
//!
//! ```
//! # use baregrad::optim::Sgd;
//! # use baregrad::{Arena, function, function::Function};
//! # function! { fn Thermometer([t_u], [w, b]) { w * t_u + b } }
//! # const T_U: [f32; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
//! # const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
//! # let mut arena = Arena::<64, 16>::new();
//! # let tape = arena.tape();
//! # let w_b = tape.param(&[1.0, 0.0], [2]);
//! # let (t_u, t_c) = (tape.input(&T_U, [11]), tape.input(&T_C, [11]));
//! # let loss = Thermometer::mse(t_u, w_b, t_c);
//! let mut sgd = Sgd::new(1e-2); // a hundred times as long
//! for _epoch in 1..=10 {
//!     tape.zero_grad();
//!     tape.backward(loss)?;
//!     tape.step(&mut sgd)?;
//!     tape.replay()?;
//! }
//! assert!(loss.item()?.is_infinite());
//! # Ok::<(), baregrad::Error>(())
//! ```
//!
//! **6. Normalise.** The gradient of `w` is fifty times that of `b`, because
//! readings are about fifty. Bring inputs near 1 and one learning rate suits both:
//! the example at the top of this page takes `0.1 * t_u` and gets there. Or take
//! an optimizer that scales its steps itself.
//!
//! ```
//! use baregrad::optim::Adam;
//! # use baregrad::{Arena, function, function::Function};
//! # function! { fn Thermometer([t_u], [w, b]) { w * t_u + b } }
//! # const T_U: [f32; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
//! # const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
//! # let mut arena = Arena::<64, 16>::new();
//! # let tape = arena.tape();
//! # let w_b = tape.param(&[1.0, 0.0], [2]);
//! # let (t_u, t_c) = (tape.input(&T_U, [11]), tape.input(&T_C, [11]));
//! # let loss = Thermometer::mse(t_u, w_b, t_c);
//! let mut adam = Adam::<2>::new(1e-1); // it remembers two numbers per parameter
//! for _epoch in 1..=2000 {
//!     tape.zero_grad();
//!     tape.backward(loss)?;
//!     tape.step(&mut adam)?;
//!     tape.replay()?;
//! }
//! assert_eq!(format!("{:.4?}", &*tape.params()?), "[0.5367, -17.3021]");
//! # Ok::<(), baregrad::Error>(())
//! ```
//!
//! **7. Validate.** Does the model hold for readings it has not seen? Keep some back,
//! measure their loss without gradients, and look at both losses. If the training
//! loss does not fall, the model is too simple; if the two diverge, it learns the
//! noise by heart. With `std`, [`train`] splits, scales and fits, and returns a verdict:
//!
//! ```
//! # #[cfg(feature = "std")]
//! # fn learn() -> Result<(), Box<dyn std::error::Error>> {
//! use baregrad::{optim::Sgd, train::{self, Dataset, Fit, Param, Scaler, Scaling, Verdict}};
//! # use baregrad::{function, function::Function};
//! # function! { fn Thermometer([t_u], [w, b]) { w * t_u + b } }
//! # const T_U: [f32; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
//! # const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
//!
//! let data = Dataset::new([("t_u", T_U), ("t_c", T_C)])?;
//! let (training, validation) = data.split(0.2, 1)?;
//! let scaler = Scaler::fit(&training, &[("t_u", Scaling::Fixed(0.1))])?;
//! let training = scaler.apply(&training)?.samples(&["t_u"], &["t_c"])?;
//! let validation = scaler.apply(&validation)?.samples(&["t_u"], &["t_c"])?;
//!
//! let start = [Param::scalar("w", 1.0), Param::scalar("b", 0.0)];
//! let line = train::model(start, |t_u, [w, b]| Thermometer::eval([t_u], [w, b]));
//! let fitted = Fit::new(&line, &training)
//!     .validation(&validation)
//!     .epochs(3000)
//!     .run(&mut Sgd::new(1e-2))?;
//! println!("{}", fitted.history().last()); // Epoch 3000, Training loss …, Validation loss …
//! assert_eq!(fitted.verdict().verdict, Verdict::GoodFit);
//! # Ok(())
//! # }
//! # #[cfg(feature = "std")]
//! # learn().unwrap();
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
//! Inside, each layer knows only those below it, except that `tape` and `var` know each other
//! (`tests/layers.rs` finds this drawing by these words, and compares it with the imports):
//!
//! ```text
//! train
//! → calibrate
//! → optim, least_squares, nn
//! → function
//! → ops, arena, gradcheck
//! → tape, var
//! → op
//! → kernel, error
//! → record
//! → shape, random
//! ```
//!
//! | | |
//! | --- | --- |
//! | [`Tape`], [`Var`], [`Arena`] | record, replay, differentiate |
//! | [`mod@function`] | a model of one sample: evaluated, differentiated, recorded, printed as source |
//! | [`ops`] | the operations |
//! | [`op`] | the trait of operations: write your own |
//! | [`kernel`] | SIMD loops over slices |
//! | [`nn`] | layers, and the initial values of their parameters |
//! | [`optim`] | PyTorch's optimizers and schedules |
//! | [`record`] | parameters, optimizers and schedules as bytes: training is saved and resumed |
//! | [`least_squares`] | Levenberg–Marquardt and recursive least squares, with standard errors |
//! | [`calibrate`] | readings of sensors: scales, curves, decimal numbers |
//! | [`train`] | on the desktop: data, fitting, validation, reports, pictures |
//! | [`random`] | seeded uniform and normal numbers, permutations |
//! | [`gradcheck`] | `backward` against finite differences |
//!
//! # What holds everywhere
//!
//! - **No heap.** A tape uses the memory that you hand over, and no other. A full arena is
//!   an error that says how much was needed; [`Tape::usage`] says how much was used.
//! - **No panics.** Operators cannot return a `Result`: the tape keeps the first failure
//!   with the operation, the shapes and your line, later operations do nothing, and every
//!   later call that returns a `Result` returns that failure.
//! - **Same bits.** The same recording, data and start give the same bits on
//!   every target and with every SIMD level: nothing is fused, and the order of
//!   every sum is a function of the shapes alone.
//! - **PyTorch is the convention.** Names, defaults, broadcasting, and
//!   gradients at kinks are those of PyTorch 2, unless an item says otherwise.
//!
//! # Features
//!
//! - `std` (default): [`HeapArena`], [`train`], optimizer state in a `Vec`, functions printed as
//!   Rust and C, AVX2 where the CPU has it. The environment variable `BAREGRAD_SIMD` selects another
//!   [`kernel::Level`].
//! - `csv`, `json`, `plot`, `progress`, `safetensors`: more of [`train`]. Each enables `std`
//!   and the crates that it needs.
//! - `cli`: the tool `baregrad`, with `csv`, `json`, `plot` and `progress`.
//! - `defmt`: `defmt::Format` for errors and small types.

#![no_std]

#[cfg(feature = "std")]
extern crate std;

mod arena;
pub mod calibrate;
mod error;
pub mod function;
pub mod gradcheck;
pub mod kernel;
pub mod least_squares;
pub mod nn;
pub mod op;
pub mod ops;
pub mod optim;
pub mod random;
pub mod record;
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
pub use tape::{Mark, Tape, Usage};
pub use var::Var;

/// The README's examples are tested, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
