//! Tests of the optimizers, a file for each subject, with shared helpers here.
//! `tests/reference/golden.rs` compares trajectories with PyTorch's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod adam;
mod clipping;
mod edges;
mod every;
mod groups;
mod hyper_parameters;
mod scalars;
mod search;
mod shapes;
mod state;

use baregrad::optim::{Optimizer, Stateful};
use baregrad::random::{fill_normal, seeded};

/// Returns the bits of the parameters after each step.
fn trajectory(optimizer: &mut dyn Optimizer) -> Vec<Vec<u32>> {
    let mut rng = seeded(20);
    let mut params = [0.6, 0.3, -1.9, 0.9, -0.2];
    let mut step = |_| {
        let mut grads = [0.0; 5];
        fill_normal(&mut rng, 0.0, 1.0, &mut grads).unwrap();
        optimizer.step(&mut params, &grads).unwrap();
        params.iter().map(|p| p.to_bits()).collect()
    };
    (0..20).map(&mut step).collect()
}

/// Everything that [`Stateful`] shows.
type Kept = Vec<(&'static str, Vec<f32>)>;

fn keep(optimizer: &mut impl Stateful, params: usize) -> Kept {
    let mut kept = Kept::new();
    optimizer
        .visit_state(params, &mut |name, numbers| {
            kept.push((name, numbers.to_vec()))
        })
        .unwrap();
    kept
}

fn restore(optimizer: &mut impl Stateful, params: usize, kept: &Kept) {
    let mut parts = kept.iter();
    optimizer
        .visit_state(params, &mut |name, numbers| {
            let (kept_name, kept) = parts.next().unwrap();
            assert_eq!(*kept_name, name);
            numbers.copy_from_slice(kept);
        })
        .unwrap();
    assert!(parts.next().is_none());
}
