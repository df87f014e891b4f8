//! Tests of the tape from the view of a PyTorch user: accumulation, errors and their texts, and
//! results after unusual calls.
//!
//! There is a file for each subject; shared helpers are here.

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

/// Returns the kind of an error, after checking the operation and the line that it names.
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
