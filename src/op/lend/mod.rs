//! Lending: recording and planning find, once, where an operation's slices are; a pass
//! takes them as they stand.
//!
//! A replay of eleven samples is a few hundred instructions. Looking up a slice
//! in the arena by offset and length, with every check, is a dozen, and a pass
//! takes four for each operation: more than the arithmetic itself. So nodes keep
//! pointers, to their numbers and to the nodes of their operands, and this module
//! turns them into slices.
//!
//! # Safety
//!
//! Beside the entry to AVX2, `kernel/x86.rs`, this folder is the only one with `unsafe`
//! in it. It relies on this:
//!
//! **Raw slices are valid.** A [`RawSlice`] is made in `storage` only: by
//! [`Floats::raw_slice`], which checks that it is within the arena, by
//! [`RawSlice::of_input`], from a slice that lives as long as the tape, and behind a
//! result, where recording has checked that there is room for what the operation saves.
//! All outlive every use: their numbers are lent only within a borrow of the tape's state.
//!
//! **Pointers to nodes are valid.** A [`NodePtr`] is made by [`Nodes`], to a node that is in
//! use or the next to be, and an [`Operand`] from a `NodePtr`. A tape follows the pointers in
//! nodes that it has itself filled and no others, and its nodes stay where they are as long
//! as it borrows them.
//!
//! **Nothing is lent for reading and writing at once.** Values: a result is a part of the
//! arena that was free when the operation was recorded, as those of its operands were not,
//! or it is a view, and views are never run. Gradients: `State::make_plan` gives each a place
//! before all values, apart from all that are in use at the same time, as
//! those of a result and of its operands are; [`Backward::grad`] lends one operand's
//! at a time. Values are only read while a backward pass runs, gradients are not
//! touched while a forward pass does. Debug builds check both, and lend nothing that
//! overlaps.
//!
//! **Nobody follows the numbers in place of pointers.** While gradients are planned, nodes
//! keep other numbers where the pointers of the two chains of operations are
//! ([`set_number`]). No pass runs meanwhile. When planning ends, even by unwinding, the
//! forward chain is put back; the backward one is followed only from where a plan that
//! was completed begins it.
//!
//! **What is planned is up to date.** When a value is added or dropped, moves or
//! changes its length, `State` plans again before it runs backward.
//!
//! **One pointer.** All access to the arena goes through the pointers in [`Floats`]
//! and [`Nodes`], which took over the exclusive borrows, and copies of them.

#![allow(unsafe_code)]

mod context;
mod storage;

pub use context::{Backward, Forward, Grad};
pub(crate) use storage::{
    FloatPtr, Floats, NodePtr, Nodes, Operand, RawSlice, Tensor, number, set_number,
};
