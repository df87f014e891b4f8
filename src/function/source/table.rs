//! Tables of numbers, which functions of a file share.

use std::string::String;
use std::vec::Vec;

/// Numbers with a name: one without a shape, otherwise row by row.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}
