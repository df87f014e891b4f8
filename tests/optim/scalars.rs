//! The scalars that optimizers multiply tensors with, to the last bit. PyTorch computes them (bias
//! corrections, step sizes, decays) in `f64` and rounds each to `f32` once, where it meets a
//! tensor. Every step here starts from a parameter, a gradient and a state on which all other
//! operations are exact, so that the new parameter shows the scalar.

use baregrad::Shape;
use baregrad::optim::{
    Adafactor, Adagrad, AdamW, Adamax, AdjustLr, Asgd, Muon, NAdam, Optimizer, RAdam, SparseAdam,
    Stateful,
};

/// Rates that are no short binary fractions.
const RATES: [f32; 3] = [0.1, 1e-3, 0.37];

/// Takes `steps` steps, each from the parameter `p` with gradient `g` and the state `buffers`.
/// Returns the new parameters.
fn steps<O: Optimizer + Stateful>(
    mut optimizer: O,
    steps: u32,
    [p, g]: [f32; 2],
    buffers: &[(&str, f32)],
) -> Vec<f32> {
    let mut step = |_| {
        let mut found = vec![];
        let set = &mut |name: &'static str, numbers: &mut [f32]| {
            if let Some((name, value)) = buffers.iter().find(|(known, _)| *known == name) {
                numbers.fill(*value);
                found.push(*name);
            }
        };
        optimizer.visit_state(1, set).unwrap();
        assert_eq!(found.len(), buffers.len(), "{found:?}");
        let mut params = [p];
        optimizer.step(&mut params, &[g]).unwrap();
        params[0]
    };
    (1..=steps).map(&mut step).collect()
}

/// Asserts that all steps have the bits of the formula, which takes the number of the step.
fn assert_steps(name: &str, found: &[f32], mut formula: impl FnMut(f64) -> f32) {
    for (t, &found) in (1..).zip(found) {
        let want = formula(f64::from(t));
        assert_eq!(
            found.to_bits(),
            want.to_bits(),
            "{name}, step {t}: {found} instead of {want}"
        );
    }
}

/// Decay rates: usual ones, 0, and some close to 1.
const BETAS: [f64; 6] = [0.0, 0.3, 0.9, 0.99, 0.9999, 0.999_999_9];

#[test]
fn adamax() {
    for lr in RATES {
        for beta1 in BETAS {
            let adamax = Adamax::<1>::new(lr).betas(beta1, 0.5).eps(0.0);
            let one = [("exp_avg", 1.0), ("exp_inf", 1.0)];
            let found = steps(adamax, 2_000, [0.0, 1.0], &one);
            let name = format!("Adamax {lr} {beta1}");
            let lr = f64::from(lr);
            assert_steps(&name, &found, |t| -((lr / (1.0 - beta1.powf(t))) as f32));
        }
    }
}

#[test]
fn sparse_adam() {
    for lr in RATES {
        for [beta1, beta2] in BETAS.map(|beta| [beta, 1.0 - (1.0 - beta) * 0.1]) {
            let adam = SparseAdam::<1>::new(lr).betas(beta1, beta2).eps(1e-30);
            let one = [("exp_avg", 1.0), ("exp_avg_sq", 1.0)];
            let found = steps(adam, 2_000, [0.0, 1.0], &one);
            let lr = f64::from(lr);
            assert_steps(&format!("SparseAdam {beta1}"), &found, |t| {
                let root = (1.0 - beta2.powf(t)).sqrt();
                -((lr * root / (1.0 - beta1.powf(t))) as f32)
            });
        }
    }
}

/// NAdam's scalars. The second moment's root is 1, and the last addition rounds; the product of
/// momenta is an `f32`, as in PyTorch.
#[test]
fn nadam() {
    for lr in RATES {
        for beta1 in BETAS {
            for decay in [0.0, 0.004, 1.7, 20.0] {
                let nadam = NAdam::<1>::new(lr).betas(beta1, 0.0).eps(0.0);
                let one = [("exp_avg", 1.0)];
                let found = steps(nadam.momentum_decay(decay), 500, [0.0, 1.0], &one);
                let mu = |t: f64| beta1 * (1.0 - 0.5 * 0.96_f64.powf(t * decay));
                let mut product = 1.0_f32;
                let lr = f64::from(lr);
                assert_steps(&format!("NAdam {lr} {beta1} {decay}"), &found, |t| {
                    product *= mu(t) as f32;
                    let product = f64::from(product);
                    let next = mu(t + 1.0);
                    let of_gradient = (lr * (1.0 - mu(t)) / (1.0 - product)) as f32;
                    let of_moment = (lr * next / (1.0 - product * next)) as f32;
                    -of_gradient - of_moment
                });
            }
        }
    }
}

/// RAdam's scalars. Second moments stay 1.
#[test]
fn radam() {
    for lr in RATES {
        for beta1 in BETAS {
            for beta2 in [0.5, 0.75, 0.9375, 0.998_046_875] {
                let radam = RAdam::<1>::new(lr).betas(beta1, beta2).eps(0.0);
                let one = [("exp_avg", 1.0), ("exp_avg_sq", 1.0)];
                let found = steps(radam, 1_000, [0.0, 1.0], &one);
                let rho_inf = 2.0 / (1.0 - beta2) - 1.0;
                assert_steps(&format!("RAdam {lr} {beta1} {beta2}"), &found, |t| {
                    let correction2 = 1.0 - beta2.powf(t);
                    let rho = rho_inf - 2.0 * t * beta2.powf(t) / correction2;
                    let part = (rho - 4.0) * (rho - 2.0) * rho_inf;
                    let rectification =
                        (part / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho)).sqrt() as f32;
                    let step = 1.0 / (1.0 - beta1.powf(t)) as f32 * lr;
                    if rho > 5.0 {
                        -(step * correction2.sqrt() as f32 * rectification)
                    } else {
                        -step
                    }
                });
            }
        }
    }
}

#[test]
fn adagrad() {
    for lr in RATES {
        for decay in [0.0, 1e-5, 0.003, 0.1, 1.0] {
            let adagrad = Adagrad::<1>::new(lr).lr_decay(decay).eps(0.0);
            let found = steps(adagrad, 5_000, [0.0, 1.0], &[("sum", 0.0)]);
            let name = format!("Adagrad {lr} {decay}");
            let [lr, decay] = [lr, decay].map(f64::from);
            assert_steps(&name, &found, |t| {
                -((lr / (1.0 + (t - 1.0) * decay)) as f32)
            });
        }
    }
}

/// Adagrad's scalars after a million steps.
#[test]
fn adagrad_late() {
    let mut adagrad = Adagrad::<1>::new(0.1).lr_decay(0.007).eps(0.0);
    for step in [1_000_000_u32, 16_777_217, 123_456_789] {
        let set = &mut |name: &'static str, numbers: &mut [f32]| match name {
            "step" => numbers.copy_from_slice(&[(step >> 16) as f32, (step & 0xffff) as f32]),
            "sum" => numbers.fill(0.0),
            _ => {}
        };
        adagrad.visit_state(1, set).unwrap();
        let mut params = [0.0];
        adagrad.step(&mut params, &[1.0]).unwrap();
        let [lr, decay] = [0.1_f32, 0.007].map(f64::from);
        let want = -((lr / (1.0 + f64::from(step) * decay)) as f32);
        assert_eq!(params[0].to_bits(), want.to_bits(), "{step}");
    }
}

/// The part of a parameter that decay leaves in a step without a gradient, which is a small
/// difference if `lr · weight_decay` is close to 1.
#[test]
fn what_decay_leaves() {
    let products = [0.03, 0.1, 0.37, 0.997, 9.97, 9.999_99, 12.3, 1e3];
    for lr in RATES {
        for decay in products {
            let left = (1.0 - f64::from(lr) * f64::from(decay)) as f32;
            let check = |name: &str, found: Vec<f32>| {
                assert_steps(&format!("{name} {lr} {decay}"), &found, |_| left);
            };
            let adam_w = AdamW::<1>::new(lr).weight_decay(decay);
            check("AdamW", steps(adam_w, 3, [1.0, 0.0], &[]));
            let nadam = NAdam::<1>::new(lr).decoupled_weight_decay();
            check(
                "NAdam",
                steps(nadam.weight_decay(decay), 3, [1.0, 0.0], &[]),
            );
            let radam = RAdam::<1>::new(lr).decoupled_weight_decay();
            check(
                "RAdam",
                steps(radam.weight_decay(decay), 3, [1.0, 0.0], &[]),
            );
            let asgd = Asgd::<1>::new(lr).lambd(decay).alpha(0.0);
            check("ASGD", steps(asgd, 3, [1.0, 0.0], &[]));
            let shapes = [Shape::from([1, 1])];
            let muon = Muon::<1>::new(lr).shapes(&shapes).weight_decay(decay);
            check("Muon", steps(muon, 3, [1.0, 0.0], &[]));
        }
    }
}

/// Adafactor's step for a gradient that equals its root mean square.
#[test]
fn adafactor() {
    for lr in [0.01, 0.37, 3.0] {
        for least in [1e-3, 0.07] {
            let adafactor = Adafactor::<1>::new(lr).eps2(least);
            let found = steps(adafactor, 3_000, [0.0, 1.0], &[("variance", 1.0)]);
            let name = format!("Adafactor {lr} {least}");
            let [lr, least] = [lr, least].map(f64::from);
            assert_steps(&name, &found, |t| {
                -((least * lr.min(1.0 / t.sqrt())) as f32)
            });
        }
    }
}

/// Muon's rate for matrices of every form, whose direction has a single element that is not 0.
#[test]
fn muon() {
    for lr in RATES {
        for [rows, cols] in [[1, 1], [3, 1], [1, 3], [7, 2], [2, 7], [11, 5], [97, 1]] {
            let ratio = rows as f64 / cols as f64;
            let factors = [
                (AdjustLr::Original, ratio.max(1.0).sqrt()),
                (AdjustLr::SpectralUnclamped, ratio.sqrt()),
                (
                    AdjustLr::MatchRmsAdamW,
                    0.2 * (rows.max(cols) as f64).sqrt(),
                ),
            ];
            let shapes = [Shape::from([rows, cols])];
            for (adjust, factor) in factors {
                let muon = Muon::<97>::new(lr).shapes(&shapes).weight_decay(0.0);
                // Without iterations the direction is the normalised gradient.
                let mut muon = muon.adjust_lr_fn(adjust).ns_steps(0).nesterov(false);
                let (mut params, mut grads) = ([0.0; 97], [0.0; 97]);
                grads[0] = 1.0;
                let n = rows * cols;
                muon.step(&mut params[..n], &grads[..n]).unwrap();
                let want = -((f64::from(lr) * factor) as f32);
                assert_eq!(
                    params[0].to_bits(),
                    want.to_bits(),
                    "{adjust:?} {lr} {rows} × {cols}: {} instead of {want}",
                    params[0]
                );
            }
        }
    }
}
