//! NAdam: Adam with Nesterov's momentum.

use super::builders::{constructors, options, rate_and_options, require_at_least_0};
use super::decay::{Average, Decay};
use super::q63::Q63;
use super::sweep::step_each;
use super::{
    Element, Objective, OptimizerError, Rule, Stepper, Visit, lerp, require, visit_number,
    visit_two,
};
use crate::function::TwoFloat;
use crate::kernel::Lanes;

/// Adam with Nesterov's momentum, as `torch.optim.NAdam`.
///
/// ```text
/// g ← gradient + weight_decay · p       (maximize: −gradient; decoupled: see AdamW)
/// μ ← β₁ · (1 − 0.96^(t · momentum_decay) / 2),  μ' the same for t + 1
/// m ← m + (1 − β₁) · (g − m)
/// v ← β₂ · v + (1 − β₂) · g²
/// d ← √(v / (1 − β₂ᵗ)) + eps
/// p ← p − lr · (1 − μ) / (1 − Πμ) · g / d − lr · μ' / (1 − Πμ · μ') · m / d
/// ```
///
/// T. Dozat, "Incorporating Nesterov Momentum into Adam" (2016),
/// <https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ>.
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`betas`](NAdam::betas) | 0.9, 0.999 | 8 bytes: m and v |
/// | [`eps`](NAdam::eps) | 1e-8 | |
/// | [`momentum_decay`](NAdam::momentum_decay) | 0.004 | |
/// | [`weight_decay`](NAdam::weight_decay), [`decoupled_weight_decay`](NAdam::decoupled_weight_decay) | 0, off | |
pub type NAdam<const N: usize, S = [[f32; N]; 2]> = Stepper<NAdamRule, N, S>;

/// The formula of [`NAdam`].
#[derive(Clone, Debug)]
pub struct NAdamRule {
    lr: f32,
    /// A pair: for a rate near 1, `1 - β₁` has digits that `f32` lacks.
    beta1: TwoFloat,
    beta2: Average,
    decay2: Decay,
    /// 0.96^momentum_decay, and its power for the current step.
    momentum_decay: Decay,
    eps: f32,
    mu_product: f32,
    objective: Objective,
}

impl NAdamRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            beta1: const { TwoFloat::from_f64(0.9) },
            beta2: const { Average::new(0.999) },
            decay2: Decay::new(0.999),
            momentum_decay: const { rate_of(0.004) },
            eps: 1e-8,
            mu_product: 1.0,
            objective: Objective::LOSS,
        }
    }

    #[inline(always)] // constant arguments leave no `f64`
    const fn set_betas(&mut self, beta1: f64, beta2: f64) {
        self.beta1 = TwoFloat::from_f64(beta1);
        self.beta2 = Average::new(beta2);
        self.decay2 = Decay::new(beta2);
    }

    fn mu(&self, power: Q63) -> TwoFloat {
        self.beta1 * (1.0 - power.to_pair().scaled(0.5))
    }
}

/// 0.96^momentum_decay by the series of the exponential function. For a constant argument, the
/// compiler evaluates it.
#[inline(always)]
const fn rate_of(momentum_decay: f64) -> Decay {
    const LN: f64 = -0.040_821_994_520_255_166; // ln 0.96
    if momentum_decay == 0.0 {
        return Decay::ONE;
    }
    // Halving the argument 10 times makes 11 terms sufficient; the result is squared as often.
    let x = momentum_decay * LN / 1024.0;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while k < 12.0 {
        term = term * x / k;
        sum += term;
        k += 1.0;
    }
    let mut squarings = 0;
    while squarings < 10 {
        sum *= sum;
        squarings += 1;
    }
    Decay::new(sum)
}

impl Rule for NAdamRule {
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
        let beta1 = self.beta1;
        let in_range = beta1 >= TwoFloat::ZERO && beta1 < TwoFloat::ONE;
        require(in_range, "0 <= beta1 < 1", beta1.to_f32())?;
        self.decay2.check("0 <= beta2 < 1")?;
        self.momentum_decay.check_up_to_1("momentum_decay >= 0")?;
        self.objective.check()?;
        step_each::<2, _>(params, grads, state, |_| {
            self.decay2.advance();
            self.momentum_decay.advance();
            let mut next = self.momentum_decay;
            next.advance();
            let (mu, next_mu) = (self.mu(self.momentum_decay.power), self.mu(next.power));
            // PyTorch keeps this product in `f32`, too.
            self.mu_product *= mu.to_f32();
            let product = TwoFloat::from(self.mu_product);
            Update {
                keep: self.objective.keep(self.lr),
                one_minus_beta1: (1.0 - self.beta1).to_f32(),
                beta2: self.beta2,
                correction2: self.decay2.correction().to_f32(),
                eps: self.eps,
                gradient_factor: (self.lr * (1.0 - mu) / (1.0 - product)).to_f32(),
                moment_factor: (self.lr * next_mu / (1.0 - product * next_mu)).to_f32(),
                objective: self.objective,
            }
        })
    }

    rate_and_options!();

    fn momentum_factor(&self) -> Option<f32> {
        Some(self.beta1.to_f32())
    }

    fn set_momentum_factor(&mut self, momentum: f32) {
        if momentum != self.beta1.to_f32() {
            self.beta1 = momentum.into();
        }
    }

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        visit_two("beta1", &mut self.beta1, visit);
        self.decay2.power.visit("beta2_power", visit);
        self.momentum_decay
            .power
            .visit("momentum_decay_power", visit);
        visit_number("mu_product", &mut self.mu_product, visit);
    }

    fn reset(&mut self) {
        self.decay2.power = Q63::ONE;
        self.momentum_decay.power = Q63::ONE;
        self.mu_product = 1.0;
    }
}

constructors!(NAdamRule: 2, "2e-3");
options! { NAdamRule = "NAdam":
    /// Decay rates of the two moments, at least 0 and less than 1.
    betas(beta2);

    /// The speed with which the momentum grows from half its final value, at least 0.
    momentum_decay: f64 as rate_of;

    /// Added to the denominator, so that it is not zero; at least 0.
    eps: f32;

    objective decoupled;
}

/// The scalars of one step.
struct Update {
    keep: f32,
    one_minus_beta1: f32,
    beta2: Average,
    correction2: f32,
    eps: f32,
    gradient_factor: f32,
    moment_factor: f32,
    objective: Objective,
}

impl Element for Update {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [m, v] = state else { return p };
        let [p, g] = self.objective.apply(self.keep, p, g);
        *m = lerp(*m, g, self.one_minus_beta1);
        *v = self.beta2.of_square(*v, g);
        let denominator = (*v / L::splat(self.correction2)).sqrt() + L::splat(self.eps);
        let p = p - L::splat(self.gradient_factor) * g / denominator;
        p - L::splat(self.moment_factor) * *m / denominator
    }
}

#[cfg(test)]
mod tests {
    use super::{Average, NAdam, Update, rate_of};
    use crate::optim::sweep::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        for objective in crate::optim::tests::OBJECTIVES {
            assert_lanes_agree::<2>(&Update {
                keep: 0.999,
                one_minus_beta1: 0.1,
                beta2: Average::new(0.999),
                correction2: 0.3,
                eps: 1e-8,
                gradient_factor: 0.05,
                moment_factor: 0.06,
                objective,
            });
        }
    }

    /// Compares 0.96^0.004, 0.96^0.5 and 0.96^30 with powers in `f64`.
    #[test]
    fn powers_of_the_decay() {
        for decay in [0.004, 0.5, 30.0] {
            let found = rate_of(decay).beta.to_f32();
            let exact = 0.96_f64.powf(decay);
            assert!(
                (f64::from(found) - exact).abs() < 1.2e-7 * exact,
                "{found} {exact}"
            );
        }
        // None at all is a momentum of half.
        assert_eq!(rate_of(0.0).beta.to_f32(), 1.0);
        let _ = NAdam::<1>::new(0.1);
    }
}
