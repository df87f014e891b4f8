//! RAdam: Adam that waits until its second moment can be trusted.

use super::builders::{constructors, learning_rate_in_field, objective_builders, setters};
use super::fraction::{Decay, Fraction};
use super::sweep::step_each;
use super::{
    Element, Objective, OptimizerError, Rule, Show, Stepper, Visit, lerp, require, visit_count,
};
use crate::function::TwoFloat;
use crate::kernel::Lanes;

/// Rectified Adam, as `torch.optim.RAdam`.
///
/// ```text
/// g ← gradient + weight_decay · p       (maximize: −gradient; decoupled: see AdamW)
/// m ← m + (1 − β₁) · (g − m)
/// v ← β₂ · v + (1 − β₂) · g²
/// ρ∞ ← 2 / (1 − β₂) − 1,  ρ ← ρ∞ − 2 t · β₂ᵗ / (1 − β₂ᵗ)
/// r ← √((ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ)) · √(1 − β₂ᵗ) / (√v + eps)   if ρ > 5, else 1
/// p ← p − m / (1 − β₁ᵗ) · lr · r
/// ```
///
/// L. Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond" (2020),
/// <https://arxiv.org/abs/1908.03265>. ρ is a small difference of large numbers at first,
/// and so a pair of `f32`.
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`betas`](RAdam::betas) | 0.9, 0.999 | 8 bytes: m and v |
/// | [`eps`](RAdam::eps) | 1e-8 | |
/// | [`weight_decay`](RAdam::weight_decay), [`decoupled_weight_decay`](RAdam::decoupled_weight_decay) | 0, off | |
pub type RAdam<const N: usize, S = [[f32; N]; 2]> = Stepper<RAdamRule, N, S>;

/// The formula of [`RAdam`].
#[derive(Clone, Debug)]
pub struct RAdamRule {
    lr: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    decays: [Decay; 2],
    rho_inf: TwoFloat,
    eps: f32,
    steps: u32,
    objective: Objective,
}

impl RAdamRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            one_minus_beta1: 0.1,
            beta2: 0.999,
            one_minus_beta2: 0.001,
            decays: [Decay::new(0.9), Decay::new(0.999)],
            rho_inf: const { TwoFloat::from_f64(2.0 / (1.0 - 0.999) - 1.0) },
            eps: 1e-8,
            steps: 0,
            objective: Objective::LOSS,
        }
    }

    /// The factor of `lr` where the second moment counts; `None` before.
    fn rectification(&self) -> Option<f32> {
        let [_, Decay { power, .. }] = self.decays;
        let twice = TwoFloat::of_count(self.steps) + TwoFloat::of_count(self.steps);
        let rho = self.rho_inf - twice * power.to_pair() / power.one_minus().to_pair();
        if rho <= TwoFloat::from(5.0) {
            return None;
        }
        let (rho, rho_inf) = (rho.to_f32(), self.rho_inf.to_f32());
        let part = (rho - 4.0) * (rho - 2.0) / ((rho_inf - 4.0) * (rho_inf - 2.0));
        Some(Lanes::sqrt(part * (rho_inf / rho)))
    }
}

impl RAdamRule {
    /// Another weight for gradients, if β₁ has moved.
    fn follow_beta1(&mut self) {
        let [decay1, _] = &self.decays;
        if let Some((beta1, _)) = decay1.moved() {
            self.one_minus_beta1 = 1.0 - beta1;
        }
    }
}

impl Rule for RAdamRule {
    fn buffers(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        require(self.lr >= 0.0, "lr >= 0", self.lr)?;
        let [decay1, decay2] = &self.decays;
        decay1.check("0 <= beta1 < 1")?;
        decay2.check("0 <= beta2 < 1")?;
        require(self.eps >= 0.0, "eps >= 0", self.eps)?;
        self.objective.check()?;
        step_each::<2, _>(params, grads, state, |_| {
            self.steps = self.steps.saturating_add(1);
            self.decays.iter_mut().for_each(Decay::advance_any);
            let [decay1, decay2] = &self.decays;
            let root = Lanes::sqrt(decay2.correction());
            Update {
                lr: self.lr,
                one_minus_beta1: self.one_minus_beta1,
                beta2: self.beta2,
                one_minus_beta2: self.one_minus_beta2,
                correction1: decay1.fixed().correction(),
                rectified: self.rectification().map(|r| [r, root]),
                eps: self.eps,
                objective: self.objective,
            }
        })
    }

    learning_rate_in_field!();

    fn momentum_factor(&self) -> Option<f32> {
        let [decay1, _] = &self.decays;
        Some(decay1.rate())
    }

    fn set_momentum_factor(&mut self, momentum: f32) {
        let [decay1, _] = &mut self.decays;
        decay1.set_beta(momentum);
        self.follow_beta1();
    }

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        visit_count("step", &mut self.steps, visit);
        let [decay1, decay2] = &mut self.decays;
        decay1.power.visit("beta1_power", visit);
        decay2.power.visit("beta2_power", visit);
        self.follow_beta1();
    }

    fn reset(&mut self) {
        self.steps = 0;
        for decay in &mut self.decays {
            decay.power = Fraction::ONE;
        }
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("RAdam", &[]);
        let [decay1, decay2] = &self.decays;
        show("beta1", &[decay1.beta.to_f32()]);
        show("beta2", &[decay2.beta.to_f32()]);
        show("eps", &[self.eps]);
        self.objective.show(show);
    }
}

constructors!(RAdamRule: 2, "1e-3");
objective_builders!(RAdamRule, decoupled);
setters! { RAdamRule:
    /// Added to the denominator, so that it is not zero.
    eps: f32 => eps;
}

impl<const N: usize, S> RAdam<N, S> {
    /// Decay rates of the two moments, at least 0 and less than 1.
    #[must_use]
    #[inline(always)] // of constants, no `f64` is left
    pub const fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.rule.one_minus_beta1 = (1.0 - beta1) as f32;
        self.rule.beta2 = beta2 as f32;
        self.rule.one_minus_beta2 = (1.0 - beta2) as f32;
        self.rule.decays = [Decay::new(beta1), Decay::new(beta2)];
        self.rule.rho_inf = TwoFloat::from_f64(2.0 / (1.0 - beta2) - 1.0);
        self
    }
}

/// The scalars of one step.
struct Update {
    lr: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    correction1: f32,
    /// The rectification, and the root of the second moment's correction.
    rectified: Option<[f32; 2]>,
    eps: f32,
    objective: Objective,
}

impl Element for Update {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [m, v] = state else { return p };
        let [p, g] = self.objective.apply(self.lr, p, g);
        *m = lerp(*m, g, self.one_minus_beta1);
        *v = L::splat(self.beta2) * *v + L::splat(self.one_minus_beta2) * g * g;
        let step = *m / L::splat(self.correction1) * L::splat(self.lr);
        match self.rectified {
            Some([rectification, root]) => {
                let adaptive = L::splat(root) / (v.sqrt() + L::splat(self.eps));
                p - step * adaptive * L::splat(rectification)
            }
            None => p - step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Update;
    use crate::optim::sweep::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        for objective in crate::optim::tests::OBJECTIVES {
            for rectified in [None, Some([0.3, 0.7])] {
                assert_lanes_agree::<2>(&Update {
                    lr: 0.1,
                    one_minus_beta1: 0.1,
                    beta2: 0.999,
                    one_minus_beta2: 0.001,
                    correction1: 0.5,
                    rectified,
                    eps: 1e-8,
                    objective,
                });
            }
        }
    }
}
