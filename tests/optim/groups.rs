//! Tests of parameter groups, each with an optimizer of its own.

use super::{keep, restore};

use baregrad::optim::{Adam, AdamW, Optimizer, OptimizerError, ParamGroups, Sgd, Stateful};

/// Each group equals its optimizer alone, and setting the rate scales all groups.
#[test]
fn groups_are_their_parts() {
    let new = || {
        let rest = ParamGroups::new(2, Adam::<2>::new(0.02), Sgd::new(0.3).momentum::<9>(0.5));
        ParamGroups::new(1, AdamW::<1>::new(0.1), rest)
    };
    let (mut groups, mut adam_w) = (new(), AdamW::<1>::new(0.1));
    let (mut adam, mut sgd) = (Adam::<2>::new(0.02), Sgd::new(0.3).momentum::<2>(0.5));
    let [mut together, mut apart] = [[0.5, -1.0, 2.0, 0.25, 3.0]; 2];
    let mut kept = Vec::new();
    for step in 0..12 {
        if step == 6 {
            groups.set_learning_rate(0.05);
            adam_w.set_learning_rate(0.05);
            adam.set_learning_rate(0.01);
            sgd.set_learning_rate(0.15);
            kept.push((keep(&mut groups, 5), together));
        }
        let grads = together.map(|p| p + step as f32);
        groups.step(&mut together, &grads).unwrap();
        adam_w.step(&mut apart[..1], &grads[..1]).unwrap();
        adam.step(&mut apart[1..3], &grads[1..3]).unwrap();
        sgd.step(&mut apart[3..], &grads[3..]).unwrap();
        for (a, b) in together.iter().zip(&apart) {
            assert!((a - b).abs() < 1e-6, "step {step}: {together:?} {apart:?}");
        }
    }
    // The momentum factor is β₁ of the first group, as PyTorch's schedules have it.
    assert_eq!(groups.momentum_factor(), Some(0.9));
    assert_eq!(groups.second().second().momentum_factor(), Some(0.5));
    let mut resumed = new();
    let (state, mut again) = kept.remove(0);
    restore(&mut resumed, 5, &state);
    for step in 6..12 {
        let grads = again.map(|p| p + step as f32);
        resumed.step(&mut again, &grads).unwrap();
    }
    assert_eq!(again, together);
    let error = groups.step(&mut together, &[0.0; 4]).unwrap_err();
    assert_eq!(
        error,
        OptimizerError::GradientCount {
            params: 5,
            grads: 4
        }
    );
    assert!(
        groups
            .visit_state(13, &mut |name, _| panic!("{name}"))
            .is_err()
    );
}
