//! ASGD: gradient descent that also averages the parameters of its steps.

use super::builders::{constructors, options, rate_and_options, require_at_least_0};
use super::sweep::step_each;
use super::{
    Element, Objective, OptimizerError, Rule, Stateful as _, Stepper, Storage, Visit,
    one_minus_product, visit_count, visit_number,
};
use crate::function::{Real, TwoFloat};
use crate::kernel::Lanes;

/// Averaged stochastic gradient descent, as `torch.optim.ASGD`.
///
/// ```text
/// g ← gradient + weight_decay · p       (maximize: −gradient)
/// p ← p · (1 − lambd · η) − η · g
/// a ← a + μ · (p − a)                   (μ = 1: a ← p)
/// η ← lr / (1 + lambd · lr · t)^alpha,  before the first step lr
/// μ ← 1 / max(1, t − t0),               before the first step 1
/// ```
///
/// B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging",
/// SIAM J. Control and Optimization 30 (1992). The result is the average `a`: see
/// [`average`](Asgd::average).
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`lambd`](Asgd::lambd) | 1e-4 | 4 bytes: a |
/// | [`alpha`](Asgd::alpha) | 0.75 | |
/// | [`t0`](Asgd::t0) | 1e6: the step after which averaging starts | |
/// | [`weight_decay`](Asgd::weight_decay) | 0 | |
pub type Asgd<const N: usize, S = [[f32; N]; 1]> = Stepper<AsgdRule, N, S>;

/// The formula of [`Asgd`].
#[derive(Clone, Debug)]
pub struct AsgdRule {
    lr: f32,
    lambd: f32,
    alpha: TwoFloat,
    t0: f32,
    steps: u32,
    /// The learning rate of the next step.
    eta: f32,
    mu: f32,
    objective: Objective,
}

impl AsgdRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            lambd: 1e-4,
            alpha: const { TwoFloat::from_f64(0.75) },
            t0: 1e6,
            steps: 0,
            eta: 0.0,
            mu: 1.0,
            objective: Objective::LOSS,
        }
    }
}

impl Rule for AsgdRule {
    fn buffers(&self) -> &'static [&'static str] {
        &["ax"]
    }

    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        require_at_least_0!(self, lr);
        self.objective.check()?;
        step_each::<1, _>(params, grads, state, |_| {
            if self.steps == 0 {
                (self.eta, self.mu) = (self.lr, 1.0);
            }
            Update {
                keep: one_minus_product(self.lambd, self.eta),
                eta: self.eta,
                mu: self.mu,
                objective: self.objective,
            }
        })?;
        self.steps = self.steps.saturating_add(1);
        // Computed in pairs, because the base of the power is only a little more than 1.
        let lr = TwoFloat::from(self.lr);
        let base = TwoFloat::ONE + TwoFloat::from(self.lambd) * lr * TwoFloat::of_count(self.steps);
        self.eta = (lr / Real::pow(base, self.alpha)).to_f32();
        let since = self.steps as f32 - self.t0;
        self.mu = 1.0 / (if since > 1.0 { since } else { 1.0 });
        Ok(())
    }

    rate_and_options!();

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        visit_count("step", &mut self.steps, visit);
        visit_number("eta", &mut self.eta, visit);
        visit_number("mu", &mut self.mu, visit);
    }

    fn reset(&mut self) {
        self.steps = 0;
        (self.eta, self.mu) = (0.0, 1.0);
    }
}

constructors!(AsgdRule: 1, "1e-2");
options! { AsgdRule = "ASGD":
    /// The decay of the parameters and of the learning rate.
    lambd: f32;

    /// The exponent of the decay of the learning rate.
    alpha: f64 as TwoFloat::from_f64;

    /// The step after which averaging starts; before, the average is the last value.
    t0: f32;

    objective;
}

impl<const N: usize, S: Storage> Asgd<N, S> {
    /// Copies the average of the parameters, `ax` of PyTorch's state.
    ///
    /// # Errors
    /// A `to` with more elements than the optimizer has room for.
    pub fn average(&mut self, to: &mut [f32]) -> Result<(), OptimizerError> {
        self.visit_state(to.len(), &mut |name, numbers| {
            if name == "ax" {
                for (to, average) in to.iter_mut().zip(numbers) {
                    *to = *average;
                }
            }
        })
    }
}

/// The scalars of one step.
struct Update {
    keep: f32,
    eta: f32,
    mu: f32,
    objective: Objective,
}

impl Element for Update {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [average] = state else { return p };
        let g = self.objective.gradient(p, g);
        let p = p * L::splat(self.keep) - L::splat(self.eta) * g;
        *average = if self.mu == 1.0 {
            p
        } else {
            *average + (p - *average) * L::splat(self.mu)
        };
        p
    }
}

#[cfg(test)]
mod tests {
    use super::Update;
    use crate::optim::sweep::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        for objective in crate::optim::tests::OBJECTIVES {
            for mu in [1.0, 0.125] {
                assert_lanes_agree::<1>(&Update {
                    keep: 0.999,
                    eta: 0.05,
                    mu,
                    objective,
                });
            }
        }
    }
}
