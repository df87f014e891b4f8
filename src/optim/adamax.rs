//! Adamax: Adam with the largest gradient instead of the second moment.

use super::builders::{constructors, learning_rate_in_field, objective_builders, setters};
use super::fraction::{Decay, Fraction};
use super::sweep::step_each;
use super::{Element, Objective, OptimizerError, Rule, Show, Stepper, Visit, lerp, require};
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
    one_minus_beta1: f32,
    decay1: Decay,
    beta2: f32,
    beta2_is_fraction: bool,
    eps: f32,
    objective: Objective,
}

impl AdamaxRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            one_minus_beta1: 0.1,
            decay1: Decay::new(0.9),
            beta2: 0.999,
            beta2_is_fraction: true,
            eps: 1e-8,
            objective: Objective::LOSS,
        }
    }
}

impl AdamaxRule {
    /// Another weight for gradients, if β₁ has moved.
    fn follow_beta1(&mut self) {
        if let Some((beta1, _)) = self.decay1.moved() {
            self.one_minus_beta1 = 1.0 - beta1;
        }
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
        require(self.lr >= 0.0, "lr >= 0", self.lr)?;
        self.decay1.check("0 <= beta1 < 1")?;
        require(self.beta2_is_fraction, "0 <= beta2 < 1", self.beta2)?;
        require(self.eps >= 0.0, "eps >= 0", self.eps)?;
        self.objective.check()?;
        step_each::<2, _>(params, grads, state, |_| {
            self.decay1.advance_any();
            Update {
                step_size: self.lr / self.decay1.fixed().correction(),
                one_minus_beta1: self.one_minus_beta1,
                beta2: self.beta2,
                eps: self.eps,
                objective: self.objective,
            }
        })
    }

    learning_rate_in_field!();

    fn momentum_factor(&self) -> Option<f32> {
        Some(self.decay1.rate())
    }

    fn set_momentum_factor(&mut self, momentum: f32) {
        self.decay1.set_beta(momentum);
        self.follow_beta1();
    }

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        self.decay1.power.visit("beta1_power", visit);
        self.follow_beta1();
    }

    fn reset(&mut self) {
        self.decay1.power = Fraction::ONE;
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("Adamax", &[]);
        show("beta1", &[self.decay1.beta.to_f32()]);
        show("beta2", &[self.beta2]);
        show("eps", &[self.eps]);
        self.objective.show(show);
    }
}

constructors!(AdamaxRule: 2, "2e-3");
objective_builders!(AdamaxRule);
setters! { AdamaxRule:
    /// Added to gradients' magnitudes, so that none is zero.
    eps: f32 => eps;
}

impl<const N: usize, S> Adamax<N, S> {
    /// Decay rates of the moment and of the largest gradient, at least 0 and less than 1.
    #[must_use]
    #[inline(always)] // of constants, no `f64` is left
    pub const fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.rule.one_minus_beta1 = (1.0 - beta1) as f32;
        self.rule.decay1 = Decay::new(beta1);
        self.rule.beta2 = beta2 as f32;
        self.rule.beta2_is_fraction = beta2 >= 0.0 && beta2 < 1.0;
        self
    }
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
        let [p, g] = self.objective.apply(0.0, p, g);
        *m = lerp(*m, g, self.one_minus_beta1);
        let (old, new) = (L::splat(self.beta2) * *u, g.abs() + L::splat(self.eps));
        // A NaN is the maximum, whichever is it.
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
