//! Tables of numbers, which the functions of a file share.

use std::string::String;
use std::vec::Vec;

/// Numbers with a name: a single one if the shape is empty, otherwise row by row.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}
