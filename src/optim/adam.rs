//! Adam: steps scaled by running estimates of the gradient's moments.

use super::fraction::Fraction;
use super::{Objective, Optimizer, OptimizerError, Rule, check_lengths, require, sweep_checked};
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
/// D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization"
/// (2015), <https://arxiv.org/abs/1412.6980>; AMSGrad: S. J. Reddi, S. Kale
/// and S. Kumar, "On the Convergence of Adam and Beyond" (2018),
/// <https://openreview.net/forum?id=ryQu7f-RZ>. Operations are in PyTorch's
/// order; `β₁ᵗ` and `β₂ᵗ`, there in `f64`, have 63 bits.
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`betas`](Self::betas) | 0.9, 0.999 | 8 bytes: m and v |
/// | [`eps`](Self::eps) | 1e-8 | |
/// | [`weight_decay`](Self::weight_decay) | 0 | |
/// | [`amsgrad`](Self::amsgrad) | off | 4 bytes more, only if used |
///
/// `N` is the number of parameters whose state is held inline, `S` the
/// buffers it is held in.
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
#[derive(Clone, Debug)]
pub struct Adam<const N: usize, S = [[f32; N]; 2]> {
    core: Core,
    /// `[m, v]`, or `[m, v, u]` with AMSGrad.
    state: S,
}

/// All but the moments.
#[derive(Clone, Debug)]
struct Core {
    lr: f32,
    weights: Weights,
    betas: [Fraction; 2],
    /// `[β₁ᵗ, β₂ᵗ]` after `t` steps.
    powers: [Fraction; 2],
    objective: Objective,
    /// Set by the builders that need it: other firmware is linked without.
    any_step: Option<AnyStep>,
}

type AnyStep = fn(&mut Core, &mut [f32], &[f32], &mut [&mut [f32]]) -> Result<(), OptimizerError>;

/// The scalars of every step.
#[derive(Clone, Copy, Debug)]
struct Weights {
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    eps: f32,
}

impl Weights {
    /// Always inlined: of constants, no `f64` is left.
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

impl Core {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            weights: Weights::new(0.9, 0.999, 1e-8),
            betas: [Fraction::new(0.9), Fraction::new(0.999)],
            powers: [Fraction::ONE; 2],
            objective: Objective::LOSS,
            any_step: None,
        }
    }

    /// A hyper-parameter is out of range, or the rule no longer [`Update`].
    const fn with_any_step(mut self) -> Self {
        self.any_step = Some(Core::any_step);
        self
    }

    /// One copy for all sizes.
    #[inline(never)]
    fn step<const K: usize>(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        mut state: [&mut [f32]; K],
    ) -> Result<(), OptimizerError> {
        if let Some(any_step) = self.any_step {
            return any_step(self, params, grads, &mut state);
        }
        require(self.lr >= 0.0, "lr >= 0", self.lr)?;
        check_lengths(params, grads, &state)?;
        self.advance();
        sweep_checked(&Update::of(self), params, grads, state);
        Ok(())
    }

    /// A step with any hyper-parameters.
    fn any_step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        self.check()?;
        match state {
            [m, v] => self.sweep_any(params, grads, [m, v]),
            [m, v, u] => self.sweep_any(params, grads, [m, v, u]),
            // No constructor makes another number of buffers.
            _ => Ok(()),
        }
    }

    fn sweep_any<const K: usize>(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: [&mut [f32]; K],
    ) -> Result<(), OptimizerError> {
        check_lengths(params, grads, &state)?;
        self.advance();
        let rule = AnyUpdate {
            update: Update::of(self),
            objective: self.objective,
        };
        sweep_checked(&rule, params, grads, state);
        Ok(())
    }

    fn check(&self) -> Result<(), OptimizerError> {
        require(self.lr >= 0.0, "lr >= 0", self.lr)?;
        let ranges = ["0 <= beta1 < 1", "0 <= beta2 < 1"];
        for (beta, expected) in self.betas.into_iter().zip(ranges) {
            let out_of_range = |found| OptimizerError::HyperParameter { expected, found };
            beta.check().map_err(out_of_range)?;
        }
        require(self.weights.eps >= 0.0, "eps >= 0", self.weights.eps)?;
        self.objective.check()
    }

    /// To the powers of the step to come.
    #[inline(always)]
    fn advance(&mut self) {
        for (power, beta) in self.powers.iter_mut().zip(&self.betas) {
            *power = power.times(*beta);
        }
    }
}

impl<const N: usize> Adam<N> {
    /// Adam with learning rate `lr` (PyTorch's default is `1e-3`) and state
    /// for `N` parameters inline.
    #[must_use]
    #[inline(always)]
    pub const fn new(lr: f32) -> Self {
        Self {
            core: Core::new(lr),
            // Known when compiled: put where it is to be, and nowhere before.
            state: const { [[0.0; N]; 2] },
        }
    }

    /// Divides by the largest second moment so far instead of the current one.
    #[must_use]
    pub const fn amsgrad(self) -> Adam<N, [[f32; N]; 3]> {
        let [m, v] = self.state;
        Adam {
            core: self.core,
            state: [m, v, [0.0; N]],
        }
    }
}

#[cfg(feature = "std")]
impl Adam<0, [std::vec::Vec<f32>; 2]> {
    /// Adam with learning rate `lr` and state for `params` parameters on the
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
        Self {
            core: Core::new(lr),
            state: [std::vec![0.0; params], std::vec![0.0; params]],
        }
    }

    /// Divides by the largest second moment so far instead of the current one.
    #[must_use]
    pub fn amsgrad(self) -> Adam<0, [std::vec::Vec<f32>; 3]> {
        let [m, v] = self.state;
        let u = std::vec![0.0; v.len()];
        Adam {
            core: self.core,
            state: [m, v, u],
        }
    }
}

impl<'s> Adam<0, [&'s mut [f32]; 2]> {
    /// Adam with learning rate `lr` and state in two slices of the caller's, each
    /// as long as there are parameters: memory that outlives the stack's, say.
    /// They are zeroed.
    ///
    /// ```
    /// use baregrad::optim::{Adam, Optimizer};
    ///
    /// let mut memory = [0.0; 3 * 321];
    /// let (m, rest) = memory.split_at_mut(321);
    /// let (v, u) = rest.split_at_mut(321);
    /// let mut adam = Adam::with_state(1e-3, m, v).amsgrad_with_state(u);
    /// adam.step(&mut [0.0; 321], &[1.0; 321])?;
    /// # Ok::<(), baregrad::optim::OptimizerError>(())
    /// ```
    #[must_use]
    pub fn with_state(lr: f32, m: &'s mut [f32], v: &'s mut [f32]) -> Self {
        m.fill(0.0);
        v.fill(0.0);
        Self {
            core: Core::new(lr),
            state: [m, v],
        }
    }

    /// Divides by the largest second moment so far, held in a slice as long as
    /// the others, instead of the current one. It is zeroed.
    #[must_use]
    pub fn amsgrad_with_state(self, u: &'s mut [f32]) -> Adam<0, [&'s mut [f32]; 3]> {
        let [m, v] = self.state;
        u.fill(0.0);
        Adam {
            core: self.core,
            state: [m, v, u],
        }
    }
}

impl<const N: usize, S> Adam<N, S> {
    /// Decay rates of the two moments, at least 0 and less than 1.
    #[must_use]
    #[inline(always)] // of constants, no `f64` is left
    pub const fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.core.betas = [Fraction::new(beta1), Fraction::new(beta2)];
        self.core.weights = Weights::new(beta1, beta2, self.core.weights.eps);
        if !(beta1 > 0.5 && beta1 < 1.0 && beta2 >= 0.0 && beta2 < 1.0) {
            self.core = self.core.with_any_step();
        }
        self
    }

    /// Added to the denominator, so that it is not zero.
    #[must_use]
    #[inline(always)] // if it is in range, nothing more is linked
    pub const fn eps(mut self, eps: f32) -> Self {
        self.core.weights.eps = eps;
        if eps.is_nan() || eps < 0.0 {
            self.core = self.core.with_any_step();
        }
        self
    }

    /// Adds `weight_decay · p` to every gradient (L2 penalty).
    #[must_use]
    pub const fn weight_decay(mut self, weight_decay: f32) -> Self {
        self.core.objective.weight_decay = weight_decay;
        self.core = self.core.with_any_step();
        self
    }

    /// Climbs instead of descending.
    #[must_use]
    pub const fn maximize(mut self) -> Self {
        self.core.objective.maximize = true;
        self.core = self.core.with_any_step();
        self
    }
}

impl<const N: usize, B: AsMut<[f32]>, const K: usize> Adam<N, [B; K]> {
    /// Forgets all steps; hyper-parameters stay.
    pub fn reset(&mut self) {
        self.core.powers = [Fraction::ONE; 2];
        for buffer in &mut self.state {
            buffer.as_mut().fill(0.0);
        }
    }
}

impl<const N: usize, B: AsMut<[f32]>, const K: usize> Optimizer for Adam<N, [B; K]> {
    fn step(&mut self, params: &mut [f32], grads: &[f32]) -> Result<(), OptimizerError> {
        match self.state.as_mut_slice() {
            [m, v] => self.core.step(params, grads, [m.as_mut(), v.as_mut()]),
            [m, v, u] => {
                let state = [m.as_mut(), v.as_mut(), u.as_mut()];
                self.core.step(params, grads, state)
            }
            // No constructor makes another number of buffers.
            _ => Ok(()),
        }
    }

    fn refusals_change_nothing(&self) -> bool {
        true
    }

    fn learning_rate(&self) -> f32 {
        self.core.lr
    }

    fn set_learning_rate(&mut self, lr: f32) {
        self.core.lr = lr;
    }
}

/// The rule, for a loss to be minimised and β₁ > 0.5: the scalars of one step.
#[derive(Clone, Copy)]
struct Update {
    weights: Weights,
    root_correction2: f32,
    step_size: f32,
}

impl Update {
    /// Of the step whose powers are there.
    #[inline(always)]
    fn of(core: &Core) -> Self {
        let [power1, power2] = core.powers;
        Self {
            weights: core.weights,
            root_correction2: Lanes::sqrt(power2.one_minus().to_f32()),
            step_size: core.lr / power1.one_minus().to_f32(),
        }
    }

    /// The new parameter, once `m` has been updated.
    #[inline(always)]
    fn descend<L: Lanes>(&self, p: L, g: L, m: L, v: &mut L, max: &mut [L]) -> L {
        *v = L::splat(self.weights.beta2) * *v + L::splat(self.weights.one_minus_beta2) * g * g;
        let mut u = *v;
        if let [max] = max {
            // Once `v` is NaN it stays so, and so does this maximum.
            *max = L::select(max.gt(u), *max, u);
            u = *max;
        }
        let denominator = u.sqrt() / L::splat(self.root_correction2) + L::splat(self.weights.eps);
        p - L::splat(self.step_size) * m / denominator
    }
}

impl Rule for Update {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [m, v, max @ ..] = state else {
            return p;
        };
        *m = *m + L::splat(self.weights.one_minus_beta1) * (g - *m);
        self.descend(p, g, *m, v, max)
    }
}

/// The rule for any objective and any β₁.
struct AnyUpdate {
    update: Update,
    objective: Objective,
}

impl Rule for AnyUpdate {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [m, v, max @ ..] = state else {
            return p;
        };
        let g = self.objective.gradient(p, g);
        // As `torch.lerp`: from the nearer end, exact at both.
        let weight = self.update.weights.one_minus_beta1;
        *m = if weight < 0.5 {
            *m + L::splat(weight) * (g - *m)
        } else {
            g + L::splat(weight - 1.0) * (g - *m)
        };
        self.update.descend(p, g, *m, v, max)
    }
}

#[cfg(test)]
mod tests {
    use super::{AnyUpdate, Core, Fraction, Objective, Update, Weights};
    use crate::optim::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        let penalised = Objective {
            maximize: true,
            weight_decay: 0.01,
        };
        for [beta1, beta2] in [[0.9, 0.999], [0.3, 0.5]] {
            let betas = [beta1, beta2].map(Fraction::new);
            for powers in [betas, [0.5, 0.99].map(Fraction::new)] {
                let update = Update::of(&Core {
                    weights: Weights::new(beta1, beta2, 1e-8),
                    powers,
                    ..Core::new(0.1)
                });
                assert_lanes_agree::<2>(&update);
                assert_lanes_agree::<3>(&update);
                for objective in [Objective::LOSS, penalised] {
                    let any = AnyUpdate { update, objective };
                    assert_lanes_agree::<2>(&any);
                    assert_lanes_agree::<3>(&any);
                }
            }
        }
    }
}
