//! RAdam: Adam whose first steps ignore the second moment, until its variance is small enough.

use super::builders::{
    beta1_is_momentum, constructors, options, rate_and_options, require_at_least_0,
};
use super::decay::{Average, Beta1, Decay};
use super::q63::Q63;
use super::sweep::step_each;
use super::{Element, Objective, OptimizerError, Rule, Stepper, Visit, lerp, visit_count};
use crate::function::{Real, TwoFloat};
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
/// <https://arxiv.org/abs/1908.03265>. In the first steps ρ is a small difference of large
/// numbers, and is therefore computed in pairs of `f32`.
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
    beta1: Beta1,
    beta2: Average,
    decay2: Decay,
    rho_inf: TwoFloat,
    eps: f32,
    steps: u32,
    objective: Objective,
}

impl RAdamRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            beta1: const { Beta1::new(0.9) },
            beta2: const { Average::new(0.999) },
            decay2: const { Decay::new(0.999) },
            rho_inf: const { rho_inf(0.999) },
            eps: 1e-8,
            steps: 0,
            objective: Objective::LOSS,
        }
    }

    #[inline(always)] // constant arguments leave no `f64`
    const fn set_betas(&mut self, beta1: f64, beta2: f64) {
        self.beta1 = Beta1::new(beta1);
        self.beta2 = Average::new(beta2);
        self.decay2 = Decay::new(beta2);
        self.rho_inf = rho_inf(beta2);
    }

    /// The factor of `lr` in steps that use the second moment; `None` in the first steps.
    fn rectification(&self) -> Option<f32> {
        let Decay { power, .. } = self.decay2;
        let twice = TwoFloat::of_count(self.steps) + TwoFloat::of_count(self.steps);
        let rho = self.rho_inf - twice * power.to_pair() / power.one_minus().to_pair();
        if rho <= TwoFloat::from(5.0) {
            return None;
        }
        let rho_inf = self.rho_inf;
        let part = (rho - 4.0) * (rho - 2.0) / ((rho_inf - 4.0) * (rho_inf - 2.0));
        Some(Real::sqrt(part * (rho_inf / rho)).to_f32())
    }
}

/// The limit of ρ for late steps, where `β₂ᵗ` is zero. Always inlined, so that a constant
/// argument leaves no `f64` code.
#[inline(always)]
const fn rho_inf(beta2: f64) -> TwoFloat {
    TwoFloat::from_f64(2.0 / (1.0 - beta2) - 1.0)
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
        require_at_least_0!(self, lr, eps);
        self.beta1.check()?;
        self.decay2.check("0 <= beta2 < 1")?;
        self.objective.check()?;
        step_each::<2, _>(params, grads, state, |_| {
            self.steps = self.steps.saturating_add(1);
            self.decay2.advance();
            let root = Real::sqrt(self.decay2.correction()).to_f32();
            Update {
                lr: self.lr,
                keep: self.objective.keep(self.lr),
                one_minus_beta1: self.beta1.fresh,
                beta2: self.beta2,
                correction1: self.beta1.advance().to_f32(),
                rectified: self.rectification().map(|r| [r, root]),
                eps: self.eps,
                objective: self.objective,
            }
        })
    }

    rate_and_options!();

    beta1_is_momentum!();

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        visit_count("step", &mut self.steps, visit);
        self.beta1.visit(visit);
        self.decay2.power.visit("beta2_power", visit);
    }

    fn reset(&mut self) {
        self.steps = 0;
        self.beta1.reset();
        self.decay2.power = Q63::ONE;
    }
}

constructors!(RAdamRule: 2, "1e-3");
options! { RAdamRule = "RAdam":
    /// Decay rates of the two moments, at least 0 and less than 1.
    betas(beta1, beta2);

    /// Added to the denominator, so that it is not zero; at least 0.
    eps: f32;

    objective decoupled;
}

/// The scalars of one step.
struct Update {
    lr: f32,
    keep: f32,
    one_minus_beta1: f32,
    beta2: Average,
    correction1: f32,
    /// The rectification, and the root of the bias correction of the second moment.
    rectified: Option<[f32; 2]>,
    eps: f32,
    objective: Objective,
}

impl Element for Update {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [m, v] = state else { return p };
        let [p, g] = self.objective.apply(self.keep, p, g);
        *m = lerp(*m, g, self.one_minus_beta1);
        *v = self.beta2.of_square(*v, g);
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
    use super::{Average, Update};
    use crate::optim::sweep::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        for objective in crate::optim::tests::OBJECTIVES {
            for rectified in [None, Some([0.3, 0.7])] {
                assert_lanes_agree::<2>(&Update {
                    lr: 0.1,
                    keep: 0.999,
                    one_minus_beta1: 0.1,
                    beta2: Average::new(0.999),
                    correction1: 0.5,
                    rectified,
                    eps: 1e-8,
                    objective,
                });
            }
        }
    }
}
