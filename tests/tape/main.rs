//! The tape, as someone who knows PyTorch expects it: what accumulates, what
//! is refused, what an error says, what is still right after the odd things
//! users do.
//!
//! A file for each subject; the helpers of all are here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod details;
mod empty;
mod errors;
mod gradients;
mod leaves;
mod memory;
mod odd_data;
mod rebinding;

use baregrad::op::Node;
use baregrad::optim::{Adam, Optimizer, OptimizerError, Sgd};
use baregrad::{Arena, Error, ErrorKind, Shape, ShapeError, Tape, Var};

type Small = Arena<256, 32>;

fn values(var: Var<'_>) -> Vec<f32> {
    var.value().unwrap().to_vec()
}

fn grad(var: Var<'_>) -> Vec<f32> {
    var.grad().unwrap().to_vec()
}

/// The kind of an error, and that of the line and operation it names.
#[track_caller]
fn refused<T>(result: Result<T, Error>, op: &str) -> ErrorKind {
    let caller = std::panic::Location::caller();
    let error = result.err().expect("an error");
    assert_eq!(error.op, op);
    assert_eq!(error.at.file(), caller.file());
    let distance = caller.line().abs_diff(error.at.line());
    assert!(distance <= 6, "{} is far from {caller}", error.at);
    error.kind
}

fn shapes(kind: ErrorKind) -> Vec<Shape> {
    match kind {
        ErrorKind::Shape { operands, .. } => operands.iter().collect(),
        other => panic!("no shapes in {other:?}"),
    }
}
