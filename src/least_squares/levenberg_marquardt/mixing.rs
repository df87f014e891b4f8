//! Anderson mixing of the last, undamped steps.

use crate::function::TwoFloat;

/// The maximum number of undamped steps.
const STEPS: u8 = 8;

/// The undamped steps so far.
#[derive(Clone, Debug)]
pub(super) struct Polish<const P: usize> {
    /// The last two steps: their starting points, and the steps.
    before: [Option<([TwoFloat; P], [f32; P])>; 2],
    /// The length of the shortest step, in standard errors. The solver has its starting point.
    pub(super) shortest: f32,
    /// The shortest step.
    pub(super) step: [f32; P],
    /// The weakest column at the start of the shortest step: see `Normal::weakest`.
    pub(super) weakest: (usize, f32),
    pub(super) left: u8,
}

impl<const P: usize> Polish<P> {
    pub(super) const NEW: Self = Polish {
        before: [None; 2],
        shortest: f32::INFINITY,
        step: [0.0; P],
        weakest: (0, 1.0),
        left: STEPS,
    };

    /// Forgets all steps; the number of steps left stays.
    pub(super) fn forget(&mut self) {
        *self = Polish {
            left: self.left,
            ..Polish::NEW
        };
    }

    /// The next parameters after `at`, with `step` as the undamped step there: their sum,
    /// corrected by the last two steps with Anderson's method of depth 2 (D. G. Anderson,
    /// "Iterative procedures for nonlinear integral equations", 1965). Lengths are weighted by
    /// the norms of the Jacobian's columns.
    pub(super) fn mixed(
        &mut self,
        at: [TwoFloat; P],
        step: [f32; P],
        norms: &[f32; P],
    ) -> [TwoFloat; P] {
        let (mut at_changes, mut changes) = ([[0.0; P]; 2], [[0.0; P]; 2]);
        let [last, older] = &self.before;
        if let Some((last_at, last_step)) = last {
            at_changes[0] = moved(&at, last_at);
            changes[0] = minus(step, last_step);
            if let Some((older_at, older_step)) = older {
                at_changes[1] = moved(last_at, older_at);
                changes[1] = minus(*last_step, older_step);
            }
        }
        let [first, second] = &changes;
        let dot = |a, b| dot(a, b, norms);
        let (a, b, c) = (dot(first, first), dot(first, second), dot(second, second));
        let (u, v) = (dot(first, &step), dot(second, &step));
        let determinant = a * c - b * b;
        let weights = if determinant > 1e-4 * a * c {
            [(u * c - v * b) / determinant, (v * a - u * b) / determinant]
        } else if a > 0.0 {
            [u / a, 0.0]
        } else {
            [0.0; 2]
        };
        self.before = [Some((at, step)), *last];

        let mut to = at;
        for (to, step) in to.iter_mut().zip(step) {
            *to = *to + step;
        }
        for ((weight, at_change), change) in weights.iter().zip(&at_changes).zip(&changes) {
            for ((to, at), step) in to.iter_mut().zip(at_change).zip(change) {
                *to = *to - weight * (at + step);
            }
        }
        to
    }
}

/// The difference of two steps.
fn minus<const P: usize>(a: [f32; P], b: &[f32; P]) -> [f32; P] {
    let mut difference = a;
    for (a, b) in difference.iter_mut().zip(b) {
        *a -= b;
    }
    difference
}

/// The difference of two sets of parameters.
fn moved<const P: usize>(a: &[TwoFloat; P], b: &[TwoFloat; P]) -> [f32; P] {
    let mut difference = [0.0; P];
    for ((to, a), b) in difference.iter_mut().zip(a).zip(b) {
        *to = f32::from(*a - *b);
    }
    difference
}

/// The inner product of two steps, weighted by the norms of the Jacobian's columns.
fn dot<const P: usize>(a: &[f32; P], b: &[f32; P], norms: &[f32; P]) -> f32 {
    let mut sum = 0.0;
    for ((a, b), norm) in a.iter().zip(b).zip(norms) {
        sum += (norm * a) * (norm * b);
    }
    sum
}
