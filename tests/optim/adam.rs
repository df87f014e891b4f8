//! Tests of Adam with betas of 0, and of `SparseAdam`, whose gradients have indices.

use baregrad::optim::{Adam, Optimizer, SparseAdam};
use baregrad::random::{fill_normal, seeded};

/// With betas of 0 nothing is left of an earlier gradient that was 1e9 times as large, because the
/// moments are interpolated like `torch.lerp`, which is exact at both ends.
#[test]
fn adam_without_memory_forgets_completely() {
    let mut adam = Adam::<1>::new(0.5).betas(0.0, 0.0).eps(0.0);
    let mut params = [0.0];
    adam.step(&mut params, &[1e8]).unwrap();
    assert_eq!(params, [-0.5]);
    adam.step(&mut params, &[0.125]).unwrap();
    assert_eq!(params, [-1.0]);
}

/// `SparseAdam` agrees with PyTorch's formula (`torch/optim/_functional.py`, `sparse_adam`) in
/// `f64`: moments of parameters without a gradient stay unchanged, but every step counts.
#[test]
fn sparse_adam_is_its_formula() {
    let (lr, beta1, beta2, eps) = (0.1, 0.8_f64, 0.99_f64, 1e-6);
    let mut adam = SparseAdam::<9>::new(lr as f32)
        .betas(beta1, beta2)
        .eps(eps as f32);
    let mut params = [0.5, -1.0, 2.0, 0.25, 3.0];
    let mut exact = params.map(f64::from);
    let [mut m, mut v] = [[0.0; 5]; 2];
    let mut rng = seeded(9);
    for step in 1..=40_i32 {
        let indices: Vec<usize> = (0..5)
            .filter(|i| !(step as usize * 7 + i * i).is_multiple_of(3))
            .collect();
        let mut values = vec![0.0; indices.len()];
        fill_normal(&mut rng, 0.0, 1.0, &mut values).unwrap();
        let before = params;
        adam.step_sparse(&mut params, &indices, &values).unwrap();
        let size = lr * (1.0 - beta2.powi(step)).sqrt() / (1.0 - beta1.powi(step));
        for (&i, &g) in indices.iter().zip(&values) {
            let g = f64::from(g);
            m[i] += (g - m[i]) * (1.0 - beta1);
            v[i] += (g * g - v[i]) * (1.0 - beta2);
            exact[i] -= size * m[i] / (v[i].sqrt() + eps);
        }
        for i in 0..5 {
            assert!(
                (f64::from(params[i]) - exact[i]).abs() < 3e-6,
                "step {step}, {i}"
            );
            assert!(indices.contains(&i) || params[i] == before[i]);
        }
    }

    let mut refused = adam.clone();
    let before = params;
    for (indices, values, message) in [
        (
            vec![1, 1],
            vec![1.0; 2],
            "expected increasing indices of parameters, found 1",
        ),
        (
            vec![3, 2],
            vec![1.0; 2],
            "expected increasing indices of parameters, found 2",
        ),
        (
            vec![5],
            vec![1.0],
            "expected increasing indices of parameters, found 5",
        ),
        (
            vec![0, 1],
            vec![1.0],
            "expected 2 gradients, one per parameter, found 1",
        ),
    ] {
        let error = refused
            .step_sparse(&mut params, &indices, &values)
            .unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let mut small = SparseAdam::<4>::new(0.1);
    assert!(small.step_sparse(&mut params, &[0], &[1.0]).is_err());
    assert!(
        SparseAdam::<9>::new(0.0)
            .step_sparse(&mut params, &[0], &[1.0])
            .is_err()
    );
    assert!(
        SparseAdam::<9>::new(0.1)
            .eps(0.0)
            .step_sparse(&mut params, &[0], &[1.0])
            .is_err()
    );
    assert_eq!(params, before);
    // Refused steps left no trace, and a dense gradient acts like one with all indices.
    let mut dense = params;
    adam.step_sparse(&mut params, &[0, 1, 2, 3, 4], &[0.5; 5])
        .unwrap();
    refused.step(&mut dense, &[0.5; 5]).unwrap();
    assert_eq!(params, dense);
}
