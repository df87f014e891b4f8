//! Adamax: Adam with the infinity norm of the gradients instead of the second moment.

use super::builders::{
    beta1_is_momentum, constructors, options, rate_and_options, require_at_least_0,
};
use super::decay::{Average, Beta1};
use super::sweep::step_each;
use super::{Element, Objective, OptimizerError, Rule, Stepper, Visit, lerp, require};
use crate::kernel::{Lanes, Mask};

/// Adam with the infinity norm, as `torch.optim.Adamax`.
///
/// ```text
/// g ← gradient + weight_decay · p       (maximize: −gradient)
/// m ← m + (1 − β₁) · (g − m)
/// u ← max(β₂ · u, |g| + eps)
/// p ← p − lr / (1 − β₁ᵗ) · m / u
/// ```
///
/// D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization" (2015), section
/// 7.1, <https://arxiv.org/abs/1412.6980>.
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`betas`](Adamax::betas) | 0.9, 0.999 | 8 bytes: m and u |
/// | [`eps`](Adamax::eps) | 1e-8 | |
/// | [`weight_decay`](Adamax::weight_decay) | 0 | |
pub type Adamax<const N: usize, S = [[f32; N]; 2]> = Stepper<AdamaxRule, N, S>;

/// The formula of [`Adamax`].
#[derive(Clone, Debug)]
pub struct AdamaxRule {
    lr: f32,
    beta1: Beta1,
    beta2: Average,
    beta2_in_range: bool,
    eps: f32,
    objective: Objective,
}

impl AdamaxRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            beta1: const { Beta1::new(0.9) },
            beta2: const { Average::new(0.999) },
            beta2_in_range: true,
            eps: 1e-8,
            objective: Objective::LOSS,
        }
    }

    #[inline(always)] // constant arguments leave no `f64`
    const fn set_betas(&mut self, beta1: f64, beta2: f64) {
        self.beta1 = Beta1::new(beta1);
        self.beta2 = Average::new(beta2);
        self.beta2_in_range = beta2 >= 0.0 && beta2 < 1.0;
    }
}

impl Rule for AdamaxRule {
    fn buffers(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_inf"]
    }

    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        require_at_least_0!(self, lr, eps);
        self.beta1.check()?;
        require(self.beta2_in_range, "0 <= beta2 < 1", self.beta2.keep)?;
        self.objective.check()?;
        step_each::<2, _>(params, grads, state, |_| Update {
            step_size: (self.lr / self.beta1.advance()).to_f32(),
            one_minus_beta1: self.beta1.fresh,
            beta2: self.beta2.keep,
            eps: self.eps,
            objective: self.objective,
        })
    }

    rate_and_options!();

    beta1_is_momentum!();

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        self.beta1.visit(visit);
    }

    fn reset(&mut self) {
        self.beta1.reset();
    }
}

constructors!(AdamaxRule: 2, "2e-3");
options! { AdamaxRule = "Adamax":
    /// The decay rates of the moment and of the infinity norm, at least 0 and less than 1.
    betas(beta1, beta2);

    /// Added to the magnitude of every gradient, so that the divisor is not zero; at least 0.
    eps: f32;

    objective;
}

/// The scalars of one step.
struct Update {
    step_size: f32,
    one_minus_beta1: f32,
    beta2: f32,
    eps: f32,
    objective: Objective,
}

impl Element for Update {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [m, u] = state else { return p };
        let g = self.objective.gradient(p, g);
        *m = lerp(*m, g, self.one_minus_beta1);
        let (old, new) = (L::splat(self.beta2) * *u, g.abs() + L::splat(self.eps));
        // If either number is NaN, so is the maximum.
        *u = L::select(old.gt(new).or(old.is_nan()), old, new);
        p - L::splat(self.step_size) * *m / *u
    }
}

#[cfg(test)]
mod tests {
    use super::Update;
    use crate::optim::sweep::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        for objective in crate::optim::tests::OBJECTIVES {
            assert_lanes_agree::<2>(&Update {
                step_size: 0.1,
                one_minus_beta1: 0.1,
                beta2: 0.999,
                eps: 1e-8,
                objective,
            });
        }
    }
}
