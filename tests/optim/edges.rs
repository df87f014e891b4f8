//! Tests of numbers at the ends of the range of `f32` and beyond, where optimizers have PyTorch's
//! values although the formula would give NaN.

use baregrad::optim::{Answer, Lbfgs, Optimizer, Rprop, Search, Stateful};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

/// In Rprop a NaN gradient has no sign, and an infinite one has, even in the first step. The values
/// are those of `torch.optim.Rprop(lr=0.1)` (2.15.0).
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
            // The bound is half a dozen roundings.
            let near = |found: f32, want: f32| (found - want).abs() <= 3e-7 * want.abs();
            assert!(near(params[i], want[i]), "step {step}: {params:?}");
            assert!(near(found[i], sizes[i]), "step {step}: {found:?}");
        }
    }
}

/// The line search of L-BFGS takes no more evaluations than `max_eval` leaves it, but at least
/// one. The table has the parameters and the number of all evaluations after three calls, on
/// Rosenbrock's function from (-1.5, 2), that `torch.optim.LBFGS(lr=1, history_size=4,
/// line_search_fn="strong_wolfe")` (2.15.0) gives in `f64`.
#[test]
fn a_line_search_ends_with_its_evaluations() {
    type Make = fn(Lbfgs<2, 4>) -> Lbfgs<2, 4>;
    let cases: [(&str, Make, [f64; 2], usize); 5] = [
        ("max_iter(1)", |search| search.max_iter(1), [-1.5, 2.0], 6),
        ("max_eval(1)", |search| search.max_eval(1), [-1.5, 2.0], 6),
        (
            "max_eval(2)",
            |search| search.max_eval(2),
            [-1.420_136_504_5, 2.023_710_425_1],
            7,
        ),
        (
            "max_eval(3)",
            |search| search.max_eval(3),
            [-1.414_230_948_8, 1.994_902_040_4],
            9,
        ),
        (
            "max_eval(5)",
            |search| search.max_eval(5),
            [-1.127_363_891_6, 1.290_185_619_2],
            15,
        ),
    ];
    for (name, set, want, evaluations) in cases {
        let mut search = set(Lbfgs::new(1.0).strong_wolfe());
        let (mut params, mut found) = ([-1.5_f32, 2.0], 0);
        for _ in 0..3 {
            loop {
                let [x, y] = params;
                let residual = y - x * x;
                let loss = (1.0 - x) * (1.0 - x) + 100.0 * (residual * residual);
                let grads = [-2.0 * (1.0 - x) - 400.0 * residual * x, 200.0 * residual];
                found += 1;
                if let Answer::Found(_) = search.tell(&mut params, loss, &grads).unwrap() {
                    break;
                }
            }
        }
        // Differences of losses round in `f32`, which moves PyTorch's own result by 3e-6 here.
        let near = |(p, want): (f32, f64)| (f64::from(p) - want).abs() < 1e-3;
        assert!(params.into_iter().zip(want).all(near), "{name}: {params:?}");
        assert_eq!(found, evaluations, "{name}");
    }
}
