//! Numbers at the end of what `f32` holds, and beyond it: where optimizers have PyTorch's
//! values although a formula by itself would give NaN.

use baregrad::optim::{Optimizer, Rprop, Stateful};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

/// A gradient that is no number has no sign, and an infinite one has, also in the first step,
/// where nothing was before: parameters and step sizes of `torch.optim.Rprop(lr=0.1)` (2.15.0).
#[test]
fn signs_of_what_is_no_number() {
    let steps: [([f32; 3], [f32; 3], [f32; 3]); 5] = [
        ([NAN, INF, -1.0], [0.0, -0.1, 0.1], [0.1, 0.1, 0.1]),
        ([1.0, INF, NAN], [-0.1, -0.22, 0.1], [0.1, 0.12, 0.1]),
        ([1.0, -INF, -1.0], [-0.22, -0.22, 0.2], [0.12, 0.06, 0.1]),
        ([1.0, 1.0, -1.0], [-0.364, -0.28, 0.32], [0.144, 0.06, 0.12]),
        ([NAN, 0.0, 1.0], [-0.364, -0.28, 0.32], [0.144, 0.06, 0.06]),
    ];
    let mut rprop = Rprop::<3>::new(0.1);
    let mut params = [0.0; 3];
    for (step, (grads, want, sizes)) in steps.into_iter().enumerate() {
        rprop.step(&mut params, &grads).unwrap();
        let mut found = [0.0; 3];
        rprop
            .visit_state(3, &mut |name, numbers| {
                if name == "step_size" {
                    found.copy_from_slice(numbers);
                }
            })
            .unwrap();
        for i in 0..3 {
            // Half a dozen roundings.
            let near = |found: f32, want: f32| (found - want).abs() <= 3e-7 * want.abs();
            assert!(near(params[i], want[i]), "step {step}: {params:?}");
            assert!(near(found[i], sizes[i]), "step {step}: {found:?}");
        }
    }
}
