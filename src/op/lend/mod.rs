//! Lending: recording and planning find an operation's slices once, and passes use the
//! stored pointers.
//!
//! A replay of eleven samples is a few hundred instructions. To look up a slice
//! in the arena by offset and length, with every check, takes a dozen, and a pass
//! needs four slices for each operation: more than the arithmetic itself. So nodes keep
//! pointers to their numbers and to the nodes of their operands, and this module
//! turns them into slices.
//!
//! # Safety
//!
//! All `unsafe` code of the crate is in this folder and in `kernel/x86.rs`, the entry to AVX2.
//! This folder relies on the following:
//!
//! **Raw slices are valid.** Only `storage` makes a [`RawSlice`]: in
//! [`Floats::raw_slice`], which checks that it is within the arena; in
//! [`RawSlice::of_input`], from a slice that lives as long as the tape; and behind a
//! result, where recording has checked that there is room for what the operation saves.
//! All outlive every use: their numbers are lent only within a borrow of the tape's state.
//!
//! **Pointers to nodes are valid.** [`Nodes`] makes each [`NodePtr`], to a node that is in
//! use or the next to be, and an [`Operand`] is made from a `NodePtr`. A tape follows only the
//! pointers in nodes that it has filled itself, and its nodes do not move as long as it borrows
//! them.
//!
//! **Nothing is lent for reading and writing at once.** Values: a result takes floats that
//! were free when the operation was recorded, so it does not overlap its operands; a view does,
//! but no forward pass runs it. Gradients: `State::make_plan` gives each a place in front of all
//! values, and apart from all gradients that are in use at the same time, as those of a result
//! and of its operands are; [`Backward::grad`] lends the gradient of one operand at a time. A
//! backward pass only reads values, and a forward pass does not touch gradients. Debug builds
//! check both, and lend nothing that overlaps.
//!
//! **No number in place of a pointer is followed.** While gradients are planned, nodes
//! keep other numbers in the fields of the two chains of operations ([`set_number`]). No pass
//! runs meanwhile. When planning ends, even by unwinding, the forward chain is restored; the
//! backward chain is followed only from the first operation of a completed plan.
//!
//! **The plan is up to date.** After a value was added, dropped or moved, or changed its
//! length, `State` plans again before it runs backward.
//!
//! **One provenance.** All access to the arena goes through the pointers in [`Floats`]
//! and [`Nodes`], which own the exclusive borrows, or through copies of these pointers.

#![allow(unsafe_code)]

mod context;
mod storage;

pub use context::{Backward, Forward, Grad};
pub(crate) use storage::{
    FloatPtr, Floats, NodePtr, Nodes, Operand, RawSlice, Tensor, number, set_number,
};
