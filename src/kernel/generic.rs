//! The loops of the kernels, generic over [`Lanes`](super::Lanes), to be run with any lane type.
//!
//! # Element-wise
//!
//! An element's result does not depend on its position in a slice (`map.rs`).
//!
//! # Reductions
//!
//! ```text
//! if n <= IN_ORDER:  r = identity; for each i: r = combine(r, f(x[i]))
//!
//! else: for each block of 512, of sums, or for all, of extremes:
//!       partial[0..32] = identity
//!       for each i: partial[i % 32] = combine(partial[i % 32], f(x[i]))
//!       v[l]  = combine(combine(partial[l],    partial[8+l]),
//!                       combine(partial[16+l], partial[24+l]))     l = 0..8
//!       v[l]  = combine(v[l], v[l+4])                              l = 0..4
//!       v[l]  = combine(v[l], v[l+2])                              l = 0..2
//!       r     = combine(v[0], v[1])
//! ```
//!
//! Each block starts with the rounding error of the total of the blocks before it
//! (`compensated.rs`), so that the error does not grow with `n`. (The last block may be
//! short, even a single number, and is added in the same way.)
//!
//! In sums across rows, whose terms are not neighbours, each lane sums a column. Up to 64 terms
//! are added in order. More are added in blocks of 32, in order within each, and the blocks are
//! added up as above.
//!
//! The order depends on `n` alone. Thirty-two partial results are four vectors
//! of eight: an addition takes about four cycles, so four in flight keep the
//! adder busy. A core without SIMD keeps the partial results in memory, which
//! costs it little. The identity of addition is `-0.0`
//! (`0.0 + -0.0` would lose a sign), so lanes beyond the end change nothing.
//!
//! # Closures
//!
//! Closures that hold lanes are `#[inline(always)]` like everything else here: out of
//! line they would be compiled for the baseline, and every operation of a lane
//! type that needs more would be a call. (The closures over rows of a broadcast are
//! `#[inline(always)]` only on x86-64, which has such a type; firmware needs one copy of them.)
//!
//! # Short sums
//!
//! Short sums are added in order, because a tree saves little there, padding costs a
//! scalar core much, and a loop written by hand gives the same bits.

pub use super::axis::{reduce_axis, send_to_extremes, spread, sum_rows};
pub use super::map::{map, map_in_place, short_map, zip_in_place};
pub use super::matmul::{linear, matmul, matmul_nt, matmul_tn};
pub use super::movement::{cut, paste, transpose};
pub use super::reduce::{IN_ORDER, Max, Min, Reduce, Sum, in_order, long_reduce, reduce};
pub use super::softmax::{softmax, softmax_grad};
pub use super::zip::{zip, zip_grad};
