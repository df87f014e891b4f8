//! Adagrad: steps divided by the root of the sum of all squared gradients so far.

use super::builders::{constructors, options, rate_and_options, require_at_least_0};
use super::sweep::step_each;
use super::{Element, Objective, OptimizerError, Rule, Stepper, Visit, visit_count};
use crate::function::TwoFloat;
use crate::kernel::Lanes;

/// Adagrad, as `torch.optim.Adagrad`.
///
/// ```text
/// g ← gradient + weight_decay · p       (maximize: −gradient)
/// s ← s + g²                            (first step: initial_accumulator_value + g²)
/// p ← p − lr / (1 + (t − 1) · lr_decay) · g / (√s + eps)
/// ```
///
/// J. Duchi, E. Hazan and Y. Singer, "Adaptive Subgradient Methods for Online Learning and
/// Stochastic Optimization", JMLR 12 (2011).
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`lr_decay`](Adagrad::lr_decay) | 0 | 4 bytes: s |
/// | [`initial_accumulator_value`](Adagrad::initial_accumulator_value) | 0 | |
/// | [`eps`](Adagrad::eps) | 1e-10 | |
/// | [`weight_decay`](Adagrad::weight_decay) | 0 | |
pub type Adagrad<const N: usize, S = [[f32; N]; 1]> = Stepper<AdagradRule, N, S>;

/// The formula of [`Adagrad`].
#[derive(Clone, Debug)]
pub struct AdagradRule {
    lr: f32,
    lr_decay: f32,
    initial_accumulator_value: f32,
    eps: f32,
    steps: u32,
    objective: Objective,
}

impl AdagradRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            lr_decay: 0.0,
            initial_accumulator_value: 0.0,
            eps: 1e-10,
            steps: 0,
            objective: Objective::LOSS,
        }
    }
}

impl Rule for AdagradRule {
    fn buffers(&self) -> &'static [&'static str] {
        &["sum"]
    }

    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        require_at_least_0!(self, lr, lr_decay, initial_accumulator_value, eps);
        self.objective.check()?;
        step_each::<1, _>(params, grads, state, |[sum]| {
            if self.steps == 0 {
                sum.fill(self.initial_accumulator_value);
            }
            let steps = TwoFloat::of_count(self.steps);
            let divisor = TwoFloat::ONE + steps * self.lr_decay;
            let update = Update {
                step_size: (self.lr / divisor).to_f32(),
                eps: self.eps,
                objective: self.objective,
            };
            self.steps = self.steps.saturating_add(1);
            update
        })
    }

    rate_and_options!();

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        visit_count("step", &mut self.steps, visit);
    }

    fn reset(&mut self) {
        self.steps = 0;
    }
}

constructors!(AdagradRule: 1, "1e-2");
options! { AdagradRule = "Adagrad":
    /// The learning rate of step `t` is divided by `1 + (t - 1) · lr_decay`; at least 0.
    lr_decay: f32;

    /// The initial value of the sums of squares, at least 0.
    initial_accumulator_value: f32;

    /// Added to the denominator, so that it is not zero; at least 0.
    eps: f32;

    objective;
}

/// The scalars of one step.
struct Update {
    step_size: f32,
    eps: f32,
    objective: Objective,
}

impl Element for Update {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [sum] = state else { return p };
        let g = self.objective.gradient(p, g);
        *sum = *sum + g * g;
        p - L::splat(self.step_size) * g / (sum.sqrt() + L::splat(self.eps))
    }
}

#[cfg(test)]
mod tests {
    use super::Update;
    use crate::optim::sweep::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        for objective in crate::optim::tests::OBJECTIVES {
            assert_lanes_agree::<1>(&Update {
                step_size: 0.1,
                eps: 1e-10,
                objective,
            });
        }
    }
}
