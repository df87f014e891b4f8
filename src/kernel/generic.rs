//! The loops, once, over [`Lanes`](super::Lanes): each can be run here with any lane type.
//!
//! # Element-wise
//!
//! An element's result does not depend on where it stands in a slice (`map.rs`).
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
//! Each block of several goes on with what rounding took from the total of those before it
//! (`compensated.rs`), so that the error does not grow with `n`. (The last block may be
//! short, even of a single number, and goes the same way.)
//!
//! Sums across rows, whose terms are no neighbours, have lanes along the columns, and each
//! goes in order if it has up to 64 terms. If it has more, it goes in blocks of 32, in
//! order within, and these are added up in the same way.
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
//! line they would be compiled for the baseline, and call every operation of a lane
//! type that needs more. (Rows of a broadcast only where there is such a type: in
//! a firmware, one copy of them is enough.)
//!
//! # Short sums
//!
//! They go in order because there the tree saves little, padding costs a
//! scalar core much, and a loop anyone would write by hand gives the same bits.

pub use super::axis::{reduce_axis, send_to_extremes, spread, sum_rows};
pub use super::map::{map, map_in_place, short_map, zip_in_place};
pub use super::matmul::{linear, matmul, matmul_nt, matmul_tn};
pub use super::movement::{cut, paste, transpose};
pub use super::reduce::{IN_ORDER, Max, Min, Reduce, Sum, in_order, long_reduce, reduce};
pub use super::softmax::{softmax, softmax_grad};
pub use super::zip::{zip, zip_grad};
