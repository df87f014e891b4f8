//! Graphs of many small operations, whose first backward pass is mostly planning.

use baregrad::{Tape, Var};

/// Records `n` operations, one after the other.
pub fn chain<'t>(tape: &'t Tape<'t>, n: usize) -> Var<'t> {
    (0..n).fold(tape.param(&[0.5], []), |y, _| y.sin())
}

/// Records `n` operations, a quarter of whose gradients are alive at once.
pub fn wide<'t>(tape: &'t Tape<'t>, n: usize) -> Var<'t> {
    let w = tape.param(&[0.5], []);
    let leaves: Vec<_> = (0..n / 4).map(|i| (w * i as f32).sin()).collect();
    leaves.iter().fold(w * 1.0, |s, l| s + *l * *l)
}

/// Records the same with buffers of different sizes, rows of 1 to 61 elements.
pub fn rows<'t>(tape: &'t Tape<'t>, n: usize) -> Var<'t> {
    let w = tape.param(&[0.5], []);
    let leaf = |i: usize| (w * tape.constant_from_fn([1 + i % 61], |j| (i + j) as f32)).sin();
    let leaves: Vec<_> = (0..n / 5).map(leaf).collect();
    leaves.iter().fold(w * 1.0, |s, l| s + (*l * *l).sum())
}
