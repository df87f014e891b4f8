//! Runs `special.json`: every operation at zeros of both signs, infinities, NaN, subnormal
//! numbers and kinks, with incoming gradients of every kind, against PyTorch's `f32`.

use baregrad::ops;
use serde::Deserialize;

use super::ops::{Case, Leaves, run};
use super::{Report, message, ratio, ulp};

#[derive(Deserialize)]
pub struct File {
    cases: Vec<Case>,
}

/// An intended and documented difference from PyTorch.
struct Exception {
    ops: &'static [&'static str],
    /// The result (`None`), or the gradient of an operand.
    what: &'static [Option<usize>],
    why: &'static str,
    /// Returns whether the exception applies to this element of this case.
    at: fn(&At<'_>) -> bool,
}

/// An element of a result or gradient. The numbers are those of the operands at the same place for
/// element-wise operations, of the first elements for others.
struct At<'a> {
    case: &'a Case,
    /// The index of the element in the result or in the operand.
    i: usize,
    is_result: bool,
    /// The operand's elements at the same place.
    x: f64,
    g: f64,
    got: f64,
    truth: f64,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        ops: &["powi"],
        what: &[None],
        why: "PyTorch rounds odd exponents beyond 2^24 to even ones",
        at: |at| odd_beyond_f32(at) && at.opposite(),
    },
    Exception {
        ops: &["powi"],
        what: &[Some(0)],
        why: "PyTorch rounds odd exponents beyond 2^24 to even ones, and even ones less 1",
        at: |at| at.args("n").is_some_and(|n| n.abs() > 16_777_216.0) && at.opposite(),
    },
    Exception {
        ops: &["powi", "powf"],
        what: &[Some(0)],
        why: "PyTorch takes the derivative of 1 / x by x², which overflows",
        at: |at| at.x.abs() > 1.8e19 && at.g.is_infinite() && at.truth.is_nan(),
    },
    Exception {
        ops: &["rdiv_s"],
        what: &[None],
        why: "PyTorch multiplies by 1 / x, which overflows",
        at: |at| at.x.abs() < 2.94e-39,
    },
    Exception {
        ops: &["rdiv_s"],
        what: &[Some(0)],
        why: "PyTorch multiplies by (1 / x)², which overflows or is 0",
        at: |at| at.x.abs() < 5.5e-20 || at.x.abs() > 1.8e19,
    },
    Exception {
        ops: &["max", "amax", "maximum", "minimum"],
        what: &[None],
        why: "of zeros of both signs PyTorch's choice depends on the length",
        at: |at| at.got == 0.0 && at.truth == 0.0,
    },
    Exception {
        ops: &["gelu_erf"],
        what: &[None],
        why: "from 4 elements up PyTorch's overflows",
        at: |at| at.x > 1.7e38 && at.got as f32 == at.x as f32,
    },
    Exception {
        ops: &["gelu_tanh"],
        what: &[None],
        why: "PyTorch's sum of 1 and a tanh cancels",
        at: |at| at.x < 0.0 && (at.got - at.truth).abs() <= at.x.abs() * f64::EPSILON * 2e8,
    },
    Exception {
        ops: &["gelu_tanh"],
        what: &[Some(0)],
        why: "PyTorch has NaN where x² overflows",
        at: |at| at.x.is_finite() && at.x.abs() > 1.8e19 && at.truth.is_nan(),
    },
    Exception {
        ops: &["softplus"],
        what: &[Some(0)],
        why: "below -89 the logistic function is 0, PyTorch's exponential subnormal",
        at: |at| at.x < -89.0 && at.g.is_infinite(),
    },
    Exception {
        ops: &["logsigmoid"],
        what: &[Some(0)],
        why: "above 89 the logistic function of -x is 0, PyTorch's exponential subnormal",
        at: |at| at.x > 89.0 && at.g.is_infinite(),
    },
    Exception {
        ops: &["softsign"],
        what: &[Some(0)],
        why: "PyTorch's is the difference of two quotients",
        at: |at| at.x.is_infinite() || at.g.is_infinite() || at.got == 0.0 && at.truth == 0.0,
    },
    Exception {
        ops: &["var", "std"],
        what: &[Some(0)],
        why: "PyTorch's mean overflows",
        at: |at| at.any(|x| x.is_finite() && x.abs() > 1e38) && !at.truth.is_finite(),
    },
    Exception {
        ops: &["std"],
        what: &[None, Some(0)],
        why: "PyTorch's variance, or twice its deviation, overflows",
        at: |at| {
            at.any(|x| x.is_finite() && x.abs() > 1e38)
                && (at.truth.is_infinite() || at.truth == 0.0)
        },
    },
    Exception {
        ops: &["std"],
        what: &[Some(0)],
        why: "PyTorch divides by a subnormal deviation, and that overflows",
        at: |at| at.any(|x| x != 0.0) && !at.any(|x| x.abs() > 1e-37),
    },
    Exception {
        ops: &["prod"],
        what: &[None, Some(0)],
        why: "PyTorch's overflows on the way",
        at: |at| at.any(|x| x.is_finite() && x.abs() > 1e38) && !at.truth.is_finite(),
    },
    Exception {
        ops: &[
            "binary_cross_entropy_with_logits",
            "bce_with_logits_pos_weight",
        ],
        what: &[None],
        why: "a logit of -inf next to another target than 0 is PyTorch's inf - inf",
        at: |at| at.x == f64::NEG_INFINITY && at.got == f64::INFINITY && at.truth.is_nan(),
    },
    Exception {
        ops: &["softmax", "log_softmax"],
        what: &[Some(0)],
        why: "sums of nothing but -0.0 are -0.0, PyTorch's only of rows",
        at: |at| at.g == 0.0 && at.g.is_sign_negative() && at.got == 0.0 && at.truth == 0.0,
    },
    Exception {
        ops: &["layer_norm"],
        what: &[Some(1), Some(2)],
        why: "sums of nothing, or of nothing but -0.0, are -0.0",
        at: |at| at.got == 0.0 && at.truth == 0.0,
    },
    Exception {
        ops: &["layer_norm", "layer_norm_plain"],
        what: &[Some(0)],
        why: "of two infinite terms PyTorch has the difference, which is NaN",
        at: |at| at.got.is_infinite() && at.truth.is_nan() && at.case.g[0].f64s()[0].is_infinite(),
    },
    Exception {
        ops: &[
            "linear",
            "linear_identity",
            "linear_tanh",
            "linear_sigmoid",
            "linear_relu",
        ],
        what: &[Some(1), Some(2)],
        why: "gradients of no samples are -0.0, PyTorch's 0",
        at: |at| at.got == 0.0 && at.truth == 0.0 && at.case.g[0].f64s().is_empty(),
    },
    Exception {
        ops: &[
            "matmul",
            "linear",
            "linear_identity",
            "linear_tanh",
            "linear_sigmoid",
            "linear_relu",
        ],
        what: &[None],
        why: "sums of nothing but -0.0, or of nothing and a bias of -0.0, are -0.0",
        at: |at| at.got == 0.0 && at.truth == 0.0,
    },
];

fn odd_beyond_f32(at: &At<'_>) -> bool {
    at.args("n")
        .is_some_and(|n| n > 16_777_216.0 && n % 2.0 == 1.0)
}

impl At<'_> {
    fn opposite(&self) -> bool {
        self.got as f32 == -self.truth as f32
    }

    /// Returns whether the condition holds for any number that is reduced together with this one:
    /// a row, a column or all.
    fn any(&self, is: impl Fn(f64) -> bool) -> bool {
        let data = self.case.leaves[0].data.f64s();
        let (rows, columns) = match self.case.out_shape.as_slice() {
            [] => (1, data.len()),
            [n] => (*n, data.len() / n),
            _ => panic!("a reduction to more dimensions"),
        };
        let by_rows = self.args("axis") == Some(1.0);
        let of = |place: usize| match (by_rows, rows == 1) {
            (_, true) => 0,
            (true, _) => place / columns,
            (false, _) => place % rows,
        };
        // The index of a result is that of its group.
        let own = if self.is_result { self.i } else { of(self.i) };
        let mut all = data.iter().enumerate();
        all.any(|(place, x)| of(place) == own && is(*x))
    }

    fn args(&self, name: &str) -> Option<f64> {
        self.case.prog[0].args.as_ref()?.get(name)?.as_f64()
    }
}

/// Returns whether a number differs from PyTorch's `f32`. Signs of zeros count.
fn differs(got: f32, truth: f64, scale: f64) -> bool {
    let zeros = got == 0.0 && truth == 0.0;
    let allowed = (4.0 * ulp(truth)).max(2.5 * ulp(scale)).max(1e-37);
    ratio(got, truth, allowed) > 1.0 || zeros && got.is_sign_negative() != truth.is_sign_negative()
}

pub fn test(file: File) -> Report {
    let mut report = Report::default();
    let mut used = vec![0; EXCEPTIONS.len()];
    let mut elements = 0;
    for case in &file.cases {
        let op = case.prog[0].op.as_str();
        let outcome = std::panic::catch_unwind(|| run(case, Leaves::Copied, false));
        let outcome = match outcome.unwrap_or_else(|panic| Err(message(&*panic))) {
            Ok(outcome) => outcome,
            Err(why) => {
                report.fail(format!("{} {op}: {why}", case.id));
                continue;
            }
        };
        if outcome.shape != case.out_shape {
            let shape = &outcome.shape;
            report.fail(format!("{} {op}: shape {shape:?}", case.id));
        }
        let g = case.g[0].f64s();
        let mut compare = |what: Option<usize>, got: &[f32], truth: &[f64]| {
            let name = what.map_or("result".into(), |k| format!("gradient {k}"));
            if got.len() != truth.len() {
                report.fail(format!("{} {op}: {name} is {got:?}", case.id));
                return;
            }
            for (i, (&got, &truth)) in got.iter().zip(truth).enumerate() {
                elements += 1;
                let leaf = case.leaves[what.unwrap_or(0)].data.f64s();
                let pick = |from: &[f64]| from.get(i).or(from.first()).copied().unwrap_or(0.0);
                let at = At {
                    case,
                    i,
                    is_result: what.is_none(),
                    x: pick(&leaf),
                    g: pick(&g),
                    got: got.into(),
                    truth,
                };
                let scale = if what.is_some() && op.contains("_norm") {
                    // Every gradient has terms from all elements.
                    let finite = g.iter().filter(|g| g.is_finite());
                    finite.fold(0.0, |max: f64, g| max.max(g.abs()))
                } else if what.is_some() && at.g.is_finite() {
                    at.g
                } else {
                    0.0
                };
                if !differs(got, truth, scale) {
                    continue;
                }
                let excused = EXCEPTIONS
                    .iter()
                    .position(|e| e.ops.contains(&op) && e.what.contains(&what) && (e.at)(&at));
                if let Some(k) = excused {
                    used[k] += 1;
                    continue;
                }
                let operands: Vec<_> = case.leaves.iter().map(|x| pick(&x.data.f64s())).collect();
                let args = case.prog[0].args.as_ref();
                let args = args.map_or(String::new(), |args| format!("{args:?}"));
                report.fail(format!(
                    "{} {op} {args}, {name} [{i}] of {operands:?}, g = {}: {got:e} instead of {truth:e}",
                    case.id, at.g
                ));
            }
        };
        compare(None, &outcome.values[case.leaves.len()], &case.out.f64s());
        for (k, (got, truth)) in outcome.grads.iter().zip(&case.grads).enumerate() {
            let (got, truth) = (got.as_deref().unwrap_or(&[]), truth.as_ref());
            compare(Some(k), got, &truth.map_or(vec![], super::Nums::f64s));
        }
    }
    // An exception without an element that differs is a failure.
    for (exception, used) in EXCEPTIONS.iter().zip(&used) {
        if *used == 0 {
            report.fail(format!("no case differs: {}", exception.why));
        }
    }
    for entry in ops::ALL.iter().copied().flatten() {
        if !file.cases.iter().any(|case| case.prog[0].op == entry.name) {
            report.fail(format!("{}: no case in special.json", entry.name));
        }
    }
    let excused: usize = used.iter().sum();
    report.summary = format!(
        "{} cases, {elements} elements, of which {excused} differ as documented in {} ways",
        file.cases.len(),
        EXCEPTIONS.len()
    );
    report
}
