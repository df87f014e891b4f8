//! Compares clipping by every norm, and `CyclicLr` with functions, with PyTorch's values, which
//! `golden/clip.py` wrote.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use baregrad::optim::schedule::{CyclicLr, ScaleMode, Scheduler};
use baregrad::optim::{ClipGradNorm, Norm, Optimizer, OptimizerError, Sgd, clip_grad_norm};
use baregrad::{Arena, ErrorKind};

fn numbers(text: &str) -> Vec<f64> {
    text.split(' ').map(|x| x.parse().unwrap()).collect()
}

fn norm_of(text: &str) -> Norm {
    match text {
        "1.0" => Norm::L1,
        "2.0" => Norm::L2,
        "inf" => Norm::Max,
        "-inf" => Norm::Min,
        p => Norm::P(p.parse().unwrap()),
    }
}

/// The allowed distance from PyTorch's `f64`: a power is off by 1.2 ULP, its root (for p = 1/2 its
/// square) and a sum of up to 33 by a few more, and the factor is rounded.
const RELATIVE: f64 = 8.0 * (1.0 / 16_777_216.0);

fn near(found: f32, expected: f64, what: &str) {
    let found = f64::from(found);
    let is_same = found == expected
        || (found.is_nan() && expected.is_nan())
        || (found - expected).abs() <= RELATIVE * expected.abs();
    assert!(is_same, "{what}: {found:e} instead of {expected:e}");
}

#[test]
fn gradients_are_clipped_by_every_norm() {
    let lines = include_str!("golden/clip.csv").lines().skip(1);
    let (mut count, mut shortened, mut refused) = (0, 0, 0);
    for line in lines {
        let mut columns = line.split(',');
        let mut next = || columns.next().unwrap();
        let norm_type = next();
        let clip = ClipGradNorm::new(next().parse().unwrap());
        let raises = next() == "1";
        let norm: f64 = next().parse().unwrap();
        let [grads, expected] = [numbers(next()), numbers(next())];
        let grads: Vec<f32> = grads.iter().map(|g| *g as f32).collect();
        let mut norms = vec![norm_of(norm_type)];
        // Every norm by its `p`.
        norms.push(Norm::P(norm_type.parse().unwrap()));
        for norm_type in norms {
            let clip = clip.norm_type(norm_type);
            let mut clipped = grads.clone();
            near(clip.apply(&mut clipped).unwrap(), norm, line);
            for (found, expected) in clipped.iter().zip(&expected) {
                near(*found, *expected, line);
            }
            let strict = clip.error_if_nonfinite();
            let mut untouched = grads.clone();
            let found = strict.apply(&mut untouched);
            if raises {
                assert!(matches!(found, Err(OptimizerError::NonFiniteNorm { .. })));
                let bits = |all: &[f32]| all.iter().map(|g| g.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&untouched), bits(&grads), "{line}");
                refused += 1;
            } else {
                near(found.unwrap(), norm, line);
            }
            shortened += usize::from(clipped != grads);
            count += 1;
        }
    }
    assert_eq!(count, 2 * 204);
    assert!(shortened > 200 && refused > 60, "{shortened} {refused}");
}

/// Norms are right even if powers leave the range of `f32`, where PyTorch's `f32` gives infinity
/// or 0.
#[test]
fn no_power_leaves_the_range() {
    for p in [1.0, 2.0, 3.0, 0.5, 30.0, f32::INFINITY, -1.0, -4.0, -30.0] {
        for size in [1e-42_f32, 1e-30, 1.0, 1e30, 1e38] {
            let mut grads = [size, -size];
            let found = ClipGradNorm::new(size / 2.0)
                .norm_type(Norm::P(p))
                .apply(&mut grads)
                .unwrap();
            let exact = f64::from(size) * 2.0_f64.powf(1.0 / f64::from(p));
            if exact < 3e38 {
                // Subnormal numbers have fewer digits.
                let least = f64::from(f32::from_bits(1)) / 2.0 * 1.1;
                let off = (f64::from(found) - exact).abs();
                assert!(off <= RELATIVE * exact + least, "{p} {size:e}: {found:e}");
            } else {
                assert_eq!(found, f32::INFINITY);
            }
        }
    }
    // The same by `clip_grad_norm`, which has no options.
    let mut both = [[3.0, -4.0, 1e-3]; 2];
    let norm = clip_grad_norm(&mut both[0], 2.5);
    let other = ClipGradNorm::new(2.5).apply(&mut both[1]).unwrap();
    assert_eq!(norm.to_bits(), other.to_bits());
    assert_eq!(both[0], both[1]);
    for norm in [
        Norm::L1,
        Norm::L2,
        Norm::Max,
        Norm::Min,
        Norm::P(3.0),
        Norm::P(-3.0),
    ] {
        let clip = ClipGradNorm::new(1.0).norm_type(norm);
        assert_eq!(clip.apply(&mut []), Ok(0.0), "{norm:?}");
        assert_eq!(clip.apply(&mut [0.0, -0.0]), Ok(0.0), "{norm:?}");
    }
    for p in [0.0, f32::NAN] {
        let refused = ClipGradNorm::new(1.0)
            .norm_type(Norm::P(p))
            .apply(&mut [1.0]);
        assert!(matches!(
            refused,
            Err(OptimizerError::HyperParameter { .. })
        ));
    }
}

#[test]
fn a_tape_refuses_gradients_without_a_finite_norm() {
    let mut arena = Arena::<32, 8>::new();
    let tape = arena.tape();
    let w = tape.param(&[3e38, -1.0], [2]);
    tape.backward((w * w).sum()).unwrap();
    let clip = ClipGradNorm::new(1.0).norm_type(Norm::Max);
    let refused = tape.clip_grads(clip.error_if_nonfinite()).unwrap_err();
    assert!(matches!(
        refused.kind,
        ErrorKind::Optimizer(OptimizerError::NonFiniteNorm { .. })
    ));
    let text = refused.to_string();
    assert!(
        text.contains("expected gradients of a finite norm, found inf"),
        "{text}"
    );
    let mut arena = Arena::<32, 8>::new();
    let tape = arena.tape();
    let w = tape.param(&[3.0, -1.0], [2]);
    tape.backward((w * w).sum()).unwrap();
    assert_eq!(tape.clip_grads(clip.error_if_nonfinite()).unwrap(), 6.0);
    let grads = w.grad().unwrap();
    assert!((grads[0] - 1.0).abs() < 1e-6 && (grads[1] + 1.0 / 3.0).abs() < 1e-6);
}

#[test]
fn cycles_are_scaled_by_functions() {
    let mut count = 0;
    for line in include_str!("golden/cycles.csv").lines().skip(1) {
        let columns: Vec<&str> = line.split(',').collect();
        let [name, mode, base, most, up, down, rates, momenta] = columns[..] else {
            panic!("{line}");
        };
        let scale: fn(u32) -> f64 = match name {
            "falling" => |x| 0.9_f64.powi(i32::try_from(x).unwrap()),
            "root" => |x| 1.0 / (1.0 + f64::from(x)).sqrt(),
            "one" => |_| 1.0,
            "turning" => |x| if x % 2 == 0 { 0.5 } else { -0.25 },
            other => panic!("{other}"),
        };
        let mode = match mode {
            "cycle" => ScaleMode::Cycle,
            _ => ScaleMode::Iterations,
        };
        let most: f64 = most.parse().unwrap();
        let mut sgd = Sgd::new(1.0).momentum::<1>(0.9);
        let cycle = CyclicLr::new(base.parse().unwrap(), most)
            .step_size_up(up.parse().unwrap())
            .step_size_down(down.parse().unwrap())
            .scale_fn(scale, mode);
        let mut scheduler = Scheduler::new(cycle, &mut sgd);
        for (rate, momentum) in numbers(rates).into_iter().zip(numbers(momenta)) {
            // The bound is relative to the largest rate, as for all schedules.
            let off = (f64::from(sgd.learning_rate()) - rate).abs();
            assert!(off <= 4.0 / 16_777_216.0 * most, "{line}");
            let off = (f64::from(sgd.momentum_factor().unwrap()) - momentum).abs();
            assert!(off <= 4.0 / 16_777_216.0, "{line}");
            scheduler.step(&mut sgd);
            count += 1;
        }
    }
    assert_eq!(count, 32 * 60);
}
