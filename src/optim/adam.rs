//! Adam: steps scaled by running estimates of the gradient's moments.

use super::builders::{Shown, learning_rate_in_field, one_more_buffer};
use super::decay::Decay;
use super::q63::Q63;
use super::sweep::{fit, other_buffers, sweep_fitted};
use super::{Element, Objective, OptimizerError, Rule, Show, Stepper, Visit, lerp, require};
use crate::kernel::Lanes;

/// Adam, optionally with AMSGrad, as `torch.optim.Adam`.
///
/// ```text
/// g ← gradient                          (maximize: −gradient)
/// g ← g + weight_decay · p
/// m ← m + (1 − β₁) · (g − m)
/// v ← β₂ · v + (1 − β₂) · g²
/// u ← v                                 (amsgrad: u ← max(u, v))
/// p ← p − lr / (1 − β₁ᵗ) · m / (√u / √(1 − β₂ᵗ) + eps)        step t = 1, 2, …
/// ```
///
/// D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization" (2015),
/// <https://arxiv.org/abs/1412.6980>; AMSGrad: S. J. Reddi, S. Kale and S. Kumar, "On the
/// Convergence of Adam and Beyond" (2018), <https://openreview.net/forum?id=ryQu7f-RZ>.
/// Operations are in PyTorch's order. `β₁ᵗ` and `β₂ᵗ` have 63 fractional bits; PyTorch computes
/// them in `f64`.
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`betas`](Adam::betas) | 0.9, 0.999 | 8 bytes: m and v |
/// | [`eps`](Adam::eps) | 1e-8 | |
/// | [`weight_decay`](Adam::weight_decay) | 0 | |
/// | [`amsgrad`](Adam::amsgrad) | off | 4 bytes more, only if used |
///
/// `N` is the number of parameters for which there is room inline, `S` the storage of the
/// state: see [`Stepper`].
///
/// ```
/// use baregrad::optim::{Adam, Optimizer};
///
/// let mut adam = Adam::<2>::new(0.1);
/// let mut params = [1.0, 0.0];
/// adam.step(&mut params, &[20.0, -0.003])?;
/// // The first step is lr long, whatever the size of the gradient.
/// assert!((params[0] - 0.9).abs() < 1e-5 && (params[1] - 0.1).abs() < 1e-5);
///
/// // Builders are `const`, so that an optimizer can be a `static`.
/// const AMSGRAD: usize = size_of_val(&Adam::<100>::new(0.1).eps(1e-6).amsgrad());
/// assert_eq!(AMSGRAD - size_of::<Adam<100>>(), 400);
/// # Ok::<(), baregrad::optim::OptimizerError>(())
/// ```
pub type Adam<const N: usize, S = [[f32; N]; 2]> = Stepper<AdamRule, N, S>;

/// The formula of [`Adam`].
#[derive(Clone, Debug)]
pub struct AdamRule {
    lr: f32,
    weights: Weights,
    decays: [Decay; 2],
    objective: Objective,
    /// Set by the builders that need it, so that other firmware does not link it.
    variant: Option<&'static Variant>,
}

/// A step other than the default.
#[derive(Debug)]
struct Variant {
    step: AnyStep,
    buffers: &'static [&'static str],
}

type AnyStep =
    fn(&mut AdamRule, &mut [f32], &[f32], &mut [&mut [f32]]) -> Result<(), OptimizerError>;

const BUFFERS: &[&str] = &["exp_avg", "exp_avg_sq"];

/// The step for any hyper-parameters.
const ANY: &Variant = &Variant {
    step: AdamRule::any_step,
    buffers: BUFFERS,
};

/// The step with a third buffer, `u`.
const AMSGRAD: &Variant = &Variant {
    step: AdamRule::any_step,
    buffers: &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
};

/// The scalars that are the same in every step.
#[derive(Clone, Copy, Debug)]
struct Weights {
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    eps: f32,
}

impl Weights {
    /// Always inlined, so that constant arguments leave no `f64` code.
    #[inline(always)]
    const fn new(beta1: f64, beta2: f64, eps: f32) -> Self {
        Self {
            one_minus_beta1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            eps,
        }
    }
}

impl Rule for AdamRule {
    #[inline(always)]
    fn buffers(&self) -> &'static [&'static str] {
        self.variant.map_or(BUFFERS, |variant| variant.buffers)
    }

    /// Not inlined: one copy for all sizes.
    #[inline(never)]
    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        if let Some(variant) = self.variant {
            return (variant.step)(self, params, grads, state);
        }
        require(self.lr >= 0.0, "lr >= 0", self.lr)?;
        let [m, v, ..] = state else {
            return Err(other_buffers(params));
        };
        let state = fit(params, grads, [m, v])?;
        self.advance();
        sweep_fitted(&Update::of(self), params, grads, state);
        Ok(())
    }

    learning_rate_in_field!();

    fn momentum_factor(&self) -> Option<f32> {
        let [decay1, _] = &self.decays;
        Some(decay1.rate())
    }

    fn set_momentum_factor(&mut self, momentum: f32) {
        self.set_beta1(momentum);
    }

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        let [decay1, decay2] = &mut self.decays;
        decay1.power.visit("beta1_power", visit);
        decay2.power.visit("beta2_power", visit);
        self.follow_beta1();
    }

    fn reset(&mut self) {
        for decay in &mut self.decays {
            decay.power = Q63::ONE;
        }
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("Adam", &[]);
        self.show_hyper(show);
    }
}

impl AdamRule {
    /// The rule of AdamW.
    pub(super) const fn decoupled(lr: f32) -> Self {
        let mut rule = Self::new(lr).with_any_step();
        rule.objective.decoupled = true;
        rule.objective.weight_decay = 0.01;
        rule
    }

    #[inline(always)] // constant arguments leave no `f64`
    pub(super) const fn set_betas(&mut self, beta1: f64, beta2: f64) {
        let [decay1, decay2] = &mut self.decays;
        decay1.beta = Q63::new(beta1);
        decay2.beta = Q63::new(beta2);
        self.weights = Weights::new(beta1, beta2, self.weights.eps);
    }

    /// Sets β₁ for a schedule.
    pub(super) fn set_beta1(&mut self, beta1: f32) {
        let [decay1, _] = &mut self.decays;
        decay1.set_beta(beta1);
        self.follow_beta1();
        *self = self.clone().with_any_step();
    }

    /// Updates the weight of a new gradient and selects the step for any β₁, if a schedule
    /// changed β₁.
    fn follow_beta1(&mut self) {
        let [decay1, _] = &self.decays;
        if let Some((beta1, _)) = decay1.moved() {
            self.weights.one_minus_beta1 = 1.0 - beta1;
            *self = self.clone().with_any_step();
        }
    }

    /// Shows all hyper-parameters that no step changes.
    pub(super) fn show_hyper(&self, show: Show<'_>) {
        let [beta1, beta2] = &self.decays;
        beta1.show("beta1", show);
        beta2.show("beta2", show);
        self.weights.eps.show("eps", show);
        self.objective.show("objective", show);
    }

    pub(super) const fn set_eps(&mut self, eps: f32) {
        self.weights.eps = eps;
    }

    pub(super) const fn objective_mut(&mut self) -> &mut Objective {
        &mut self.objective
    }

    const fn new(lr: f32) -> Self {
        Self {
            lr,
            weights: Weights::new(0.9, 0.999, 1e-8),
            decays: [Decay::new(0.9), Decay::new(0.999)],
            objective: Objective::LOSS,
            variant: None,
        }
    }

    /// Selects the step for any hyper-parameters, which also returns the errors of those out of
    /// range.
    const fn with_any_step(mut self) -> Self {
        if self.variant.is_none() {
            self.variant = Some(ANY);
        }
        self
    }

    pub(super) const fn amsgrad(mut self) -> Self {
        self.variant = Some(AMSGRAD);
        self
    }

    /// Performs a step with any hyper-parameters.
    pub(super) fn any_step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        self.check()?;
        match state {
            [m, v] => self.sweep_any(params, grads, [m, v]),
            [m, v, u] => self.sweep_any(params, grads, [m, v, u]),
            _ => Err(other_buffers(params)),
        }
    }

    fn sweep_any<const K: usize>(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: [&mut [f32]; K],
    ) -> Result<(), OptimizerError> {
        let state = fit(params, grads, state)?;
        self.decays.iter_mut().for_each(Decay::advance_any);
        let rule = AnyUpdate {
            update: Update::at(self, self.decays.map(|decay| decay.fixed())),
            objective: self.objective,
            keep: self.objective.keep(self.lr),
        };
        sweep_fitted(&rule, params, grads, state);
        Ok(())
    }

    fn check(&self) -> Result<(), OptimizerError> {
        require(self.lr >= 0.0, "lr >= 0", self.lr)?;
        let [decay1, decay2] = &self.decays;
        decay1.check("0 <= beta1 < 1")?;
        decay2.check("0 <= beta2 < 1")?;
        require(self.weights.eps >= 0.0, "eps >= 0", self.weights.eps)?;
        self.objective.check()
    }

    /// Advances to the powers of the next step.
    #[inline(always)]
    fn advance(&mut self) {
        self.decays.iter_mut().for_each(Decay::advance);
    }
}

impl<const N: usize> Adam<N> {
    /// Creates an Adam with learning rate `lr` (PyTorch's default is `1e-3`) and state for up
    /// to `N` parameters inline.
    #[must_use]
    #[inline(always)]
    pub const fn new(lr: f32) -> Self {
        Self::from_rule(AdamRule::new(lr))
    }
}

#[cfg(feature = "std")]
impl Adam<0, std::vec::Vec<f32>> {
    /// Creates an Adam with learning rate `lr` and state for up to `params` parameters on the
    /// heap.
    ///
    /// ```
    /// use baregrad::optim::{Adam, Optimizer};
    ///
    /// let mut adam = Adam::on_heap(1e-3, 321).betas(0.9, 0.99).amsgrad();
    /// adam.step(&mut vec![0.0; 321], &vec![1.0; 321])?;
    /// # Ok::<(), baregrad::optim::OptimizerError>(())
    /// ```
    #[must_use]
    pub fn on_heap(lr: f32, params: usize) -> Self {
        Self::from_rule_on_heap(AdamRule::new(lr), params)
    }
}

impl<'s> Adam<0, &'s mut [f32]> {
    /// Creates an Adam with learning rate `lr` and state in a slice of the caller, for example
    /// in memory that outlives the stack: 2 floats for each parameter, 3 with AMSGrad. The
    /// slice is zeroed.
    ///
    /// ```
    /// use baregrad::optim::{Adam, Optimizer};
    ///
    /// let mut memory = [0.0; 3 * 321];
    /// let mut adam = Adam::with_state(1e-3, &mut memory).amsgrad();
    /// adam.step(&mut [0.0; 321], &[1.0; 321])?;
    /// # Ok::<(), baregrad::optim::OptimizerError>(())
    /// ```
    #[must_use]
    pub fn with_state(lr: f32, state: &'s mut [f32]) -> Self {
        Self::from_rule_with_state(AdamRule::new(lr), state)
    }
}

one_more_buffer! {
    /// Divides by the largest second moment so far instead of the current one.
    amsgrad() for AdamRule: 2 [m v] => 3
}

impl<const N: usize, S> Adam<N, S> {
    /// Decay rates of the two moments, at least 0 and less than 1.
    #[must_use]
    #[inline(always)] // constant arguments leave no `f64`
    pub const fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.rule.set_betas(beta1, beta2);
        if !(beta1 > 0.5 && beta1 < 1.0 && beta2 >= 0.0 && beta2 < 1.0) {
            self.rule = self.rule.with_any_step();
        }
        self
    }

    /// Added to the denominator, so that it is not zero.
    #[must_use]
    #[inline(always)] // a constant in range does not link `any_step`
    pub const fn eps(mut self, eps: f32) -> Self {
        self.rule.weights.eps = eps;
        if eps.is_nan() || eps < 0.0 {
            self.rule = self.rule.with_any_step();
        }
        self
    }

    /// Adds `weight_decay · p` to every gradient (L2 penalty). At least 0, default 0.
    #[must_use]
    pub const fn weight_decay(mut self, weight_decay: f32) -> Self {
        self.rule.objective.weight_decay = weight_decay;
        self.rule = self.rule.with_any_step();
        self
    }

    /// Maximises the loss instead of minimising it.
    #[must_use]
    pub const fn maximize(mut self) -> Self {
        self.rule.objective.maximize = true;
        self.rule = self.rule.with_any_step();
        self
    }
}

/// The update that minimises a loss without weight decay, with β₁ > 0.5: the scalars of one
/// step.
#[derive(Clone, Copy)]
struct Update {
    weights: Weights,
    root_correction2: f32,
    step_size: f32,
}

impl Update {
    /// The scalars of the step to whose powers `rule` has advanced.
    #[inline(always)]
    fn of(rule: &AdamRule) -> Self {
        Self::at(rule, rule.decays)
    }

    #[inline(always)]
    fn at(rule: &AdamRule, decays: [Decay; 2]) -> Self {
        let [Decay { power: power1, .. }, Decay { power: power2, .. }] = decays;
        Self {
            weights: rule.weights,
            root_correction2: Lanes::sqrt(power2.one_minus().to_f32()),
            step_size: rule.lr / power1.one_minus().to_f32(),
        }
    }

    /// Returns the new parameter, given the updated `m`.
    #[inline(always)]
    fn descend<L: Lanes>(&self, p: L, g: L, m: L, v: &mut L, max: &mut [L]) -> L {
        *v = L::splat(self.weights.beta2) * *v + L::splat(self.weights.one_minus_beta2) * g * g;
        let mut u = *v;
        if let [max] = max {
            // `v` stays NaN once it is NaN, and so does this maximum.
            *max = L::select(max.gt(u), *max, u);
            u = *max;
        }
        let denominator = u.sqrt() / L::splat(self.root_correction2) + L::splat(self.weights.eps);
        p - L::splat(self.step_size) * m / denominator
    }
}

impl Element for Update {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [m, v, max @ ..] = state else {
            return p;
        };
        *m = *m + L::splat(self.weights.one_minus_beta1) * (g - *m);
        self.descend(p, g, *m, v, max)
    }
}

/// The update for any objective and any β₁.
struct AnyUpdate {
    update: Update,
    objective: Objective,
    keep: f32,
}

impl Element for AnyUpdate {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [m, v, max @ ..] = state else {
            return p;
        };
        let [p, g] = self.objective.apply(self.keep, p, g);
        *m = lerp(*m, g, self.update.weights.one_minus_beta1);
        self.update.descend(p, g, *m, v, max)
    }
}

#[cfg(test)]
mod tests {
    use super::{AdamRule, AnyUpdate, Decay, Q63, Update, Weights};
    use crate::optim::sweep::tests::assert_lanes_agree;
    use crate::optim::tests::OBJECTIVES;

    #[test]
    fn lanes_agree() {
        for [beta1, beta2] in [[0.9, 0.999], [0.3, 0.5]] {
            let betas = [beta1, beta2].map(Q63::new);
            for powers in [betas, [0.5, 0.99].map(Q63::new)] {
                let update = Update::of(&AdamRule {
                    weights: Weights::new(beta1, beta2, 1e-8),
                    decays: powers.map(|power| Decay { beta: power, power }),
                    ..AdamRule::new(0.1)
                });
                assert_lanes_agree::<2>(&update);
                assert_lanes_agree::<3>(&update);
                for objective in OBJECTIVES {
                    let any = AnyUpdate {
                        update,
                        objective,
                        keep: 0.999,
                    };
                    assert_lanes_agree::<2>(&any);
                    assert_lanes_agree::<3>(&any);
                }
            }
        }
    }
}
