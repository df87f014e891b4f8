//! AdamW: Adam with decoupled weight decay.

use super::adam::AdamRule;
use super::builders::{constructors, one_more_buffer};
use super::{OptimizerError, Rule, Show, Stepper, Visit};

/// Adam with decoupled weight decay, optionally with AMSGrad, as `torch.optim.AdamW`.
///
/// ```text
/// p ← p · (1 − lr · weight_decay)
/// p ← a step of Adam without penalty
/// ```
///
/// I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization" (2019),
/// <https://arxiv.org/abs/1711.05101>. The step is that of [`Adam`](super::Adam).
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`betas`](AdamW::betas) | 0.9, 0.999 | 8 bytes |
/// | [`eps`](AdamW::eps) | 1e-8 | |
/// | [`weight_decay`](AdamW::weight_decay) | 0.01 | |
/// | [`amsgrad`](AdamW::amsgrad) | off | 4 bytes more, only if used |
///
/// ```
/// use baregrad::optim::{AdamW, Optimizer};
///
/// let mut adam_w = AdamW::<2>::new(1e-2).weight_decay(0.1);
/// adam_w.step(&mut [1.0, -2.0], &[0.5, 0.25])?;
/// # Ok::<(), baregrad::optim::OptimizerError>(())
/// ```
pub type AdamW<const N: usize, S = [[f32; N]; 2]> = Stepper<AdamWRule, N, S>;

/// The formula of [`AdamW`].
#[derive(Clone, Debug)]
pub struct AdamWRule(AdamRule);

impl AdamWRule {
    const fn new(lr: f32) -> Self {
        Self(AdamRule::decoupled(lr))
    }

    const fn amsgrad(self) -> Self {
        Self(self.0.amsgrad())
    }
}

impl Rule for AdamWRule {
    fn buffers(&self) -> &'static [&'static str] {
        self.0.buffers()
    }

    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        self.0.any_step(params, grads, state)
    }

    fn learning_rate(&self) -> f32 {
        self.0.learning_rate()
    }

    fn set_learning_rate(&mut self, lr: f32) {
        self.0.set_learning_rate(lr);
    }

    fn momentum_factor(&self) -> Option<f32> {
        self.0.momentum_factor()
    }

    fn set_momentum_factor(&mut self, momentum: f32) {
        self.0.set_momentum_factor(momentum);
    }

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        self.0.visit_scalars(visit);
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("AdamW", &[]);
        self.0.show_hyper(show);
    }
}

constructors!(AdamWRule: 2, "1e-3");

one_more_buffer! {
    /// Divides by the largest second moment so far instead of the current one.
    amsgrad() for AdamWRule: 2 [m v] => 3
}

impl<const N: usize, S> AdamW<N, S> {
    /// Decay rates of the two moments, at least 0 and less than 1.
    #[must_use]
    #[inline(always)] // constant arguments leave no `f64`
    pub const fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.rule.0.set_betas(beta1, beta2);
        self
    }

    /// Added to the denominator, so that it is not zero.
    #[must_use]
    pub const fn eps(mut self, eps: f32) -> Self {
        self.rule.0.set_eps(eps);
        self
    }

    /// The weight decay: each step takes the part `lr · weight_decay` off a parameter.
    #[must_use]
    pub const fn weight_decay(mut self, weight_decay: f32) -> Self {
        self.rule.0.objective_mut().weight_decay = weight_decay;
        self
    }

    /// Maximises the loss instead of minimising it.
    #[must_use]
    pub const fn maximize(mut self) -> Self {
        self.rule.0.objective_mut().maximize = true;
        self
    }
}
