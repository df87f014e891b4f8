//! Adam: steps scaled by running estimates of the gradient's moments.

use super::fraction::Fraction;
use super::{Objective, Optimizer, OptimizerError, Rule, require, sweep};
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
/// order; what depends on the step only, there in `f64`, is computed
/// with 63 bits.
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
    eps: f32,
    betas: [Fraction; 2],
    /// `[β₁ᵗ, β₂ᵗ]` after `t` steps.
    powers: [Fraction; 2],
    objective: Objective,
    /// Set by the builders that need it: other firmware is linked without.
    more: Option<&'static More>,
}

/// What there is to a step besides the rule with hyper-parameters in range.
#[derive(Debug)]
struct More {
    check: fn(&Core) -> Result<(), OptimizerError>,
    /// Instead of the sweep with [`Update`].
    sweep: Option<Sweep>,
}

type Sweep =
    fn(&Core, &Update, &mut [f32], &[f32], &mut [&mut [f32]]) -> Result<(), OptimizerError>;

static IN_RANGE: More = More {
    check: Core::check,
    sweep: None,
};

static ANY_RULE: More = More {
    check: Core::check,
    sweep: Some(Core::sweep_any),
};

impl Core {
    const fn new(lr: f32) -> Self {
        const BETAS: [Fraction; 2] = [Fraction::new(0.9), Fraction::new(0.999)];
        Self {
            lr,
            eps: 1e-8,
            betas: BETAS,
            powers: [Fraction::ONE; 2],
            objective: Objective::LOSS,
            more: None,
        }
    }

    /// Hyper-parameters have changed that may be out of range.
    const fn checked(mut self) -> Self {
        if self.more.is_none() {
            self.more = Some(&IN_RANGE);
        }
        self
    }

    /// The rule is no longer [`Update`].
    const fn with_any_rule(mut self) -> Self {
        self.more = Some(&ANY_RULE);
        self
    }

    /// All but the learning rate, which each step checks.
    fn check(&self) -> Result<(), OptimizerError> {
        let ranges = ["0 <= beta1 < 1", "0 <= beta2 < 1"];
        for (beta, expected) in self.betas.into_iter().zip(ranges) {
            let out_of_range = |found| OptimizerError::HyperParameter { expected, found };
            beta.check().map_err(out_of_range)?;
        }
        require(self.eps >= 0.0, "eps >= 0", self.eps)?;
        self.objective.check()
    }

    /// One copy for all sizes.
    #[inline(never)]
    fn step<const K: usize>(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        mut state: [&mut [f32]; K],
    ) -> Result<(), OptimizerError> {
        require(self.lr >= 0.0, "lr >= 0", self.lr)?;
        let update = Update::after(self);
        let mut swept = None;
        if let Some(more) = self.more {
            (more.check)(self)?;
            if let Some(sweep) = more.sweep {
                swept = Some(sweep(self, &update, params, grads, &mut state));
            }
        }
        match swept {
            Some(swept) => swept?,
            None => sweep(&update, params, grads, state)?,
        }
        self.powers = update.powers;
        Ok(())
    }

    /// With weight decay, uphill, or with a small β₁.
    fn sweep_any(
        &self,
        update: &Update,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        let rule = AnyUpdate {
            update,
            objective: self.objective,
        };
        match state {
            [m, v] => sweep(&rule, params, grads, [m, v]),
            [m, v, u] => sweep(&rule, params, grads, [m, v, u]),
            _ => Ok(()),
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
        self.core = if beta1 > 0.5 {
            self.core.checked()
        } else {
            self.core.with_any_rule()
        };
        self
    }

    /// Added to the denominator, so that it is not zero.
    #[must_use]
    pub const fn eps(mut self, eps: f32) -> Self {
        self.core.eps = eps;
        self.core = self.core.checked();
        self
    }

    /// Adds `weight_decay · p` to every gradient (L2 penalty).
    #[must_use]
    pub const fn weight_decay(mut self, weight_decay: f32) -> Self {
        self.core.objective.weight_decay = weight_decay;
        self.core = self.core.with_any_rule();
        self
    }

    /// Climbs instead of descending.
    #[must_use]
    pub const fn maximize(mut self) -> Self {
        self.core.objective.maximize = true;
        self.core = self.core.with_any_rule();
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

    fn learning_rate(&self) -> f32 {
        self.core.lr
    }

    fn set_learning_rate(&mut self, lr: f32) {
        self.core.lr = lr;
    }
}

/// The rule, for a loss to be minimised and β₁ > 0.5: the scalars of one step.
struct Update {
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    root_correction2: f32,
    eps: f32,
    step_size: f32,
    /// What `Core`'s are after the step.
    powers: [Fraction; 2],
}

impl Update {
    /// The next one, after the steps there have been.
    #[inline(never)]
    fn after(core: &Core) -> Self {
        let ([beta1, beta2], [power1, power2]) = (core.betas, core.powers);
        let powers @ [power1, power2] = [power1.times(beta1), power2.times(beta2)];
        Self {
            one_minus_beta1: beta1.one_minus().to_f32(),
            beta2: beta2.to_f32(),
            one_minus_beta2: beta2.one_minus().to_f32(),
            root_correction2: power2.one_minus().sqrt(),
            eps: core.eps,
            step_size: power1.one_minus().divide(core.lr),
            powers,
        }
    }

    /// The new parameter, once `m` has been updated.
    #[inline(always)]
    fn descend<L: Lanes>(&self, p: L, g: L, m: L, v: &mut L, max: &mut [L]) -> L {
        *v = L::splat(self.beta2) * *v + L::splat(self.one_minus_beta2) * g * g;
        let mut u = *v;
        if let [max] = max {
            // Once `v` is NaN it stays so, and so does this maximum.
            *max = L::select(max.gt(u), *max, u);
            u = *max;
        }
        let denominator = u.sqrt() / L::splat(self.root_correction2) + L::splat(self.eps);
        p - L::splat(self.step_size) * m / denominator
    }
}

impl Rule for Update {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [m, v, max @ ..] = state else {
            return p;
        };
        *m = *m + L::splat(self.one_minus_beta1) * (g - *m);
        self.descend(p, g, *m, v, max)
    }
}

/// The rule for any objective and any β₁.
struct AnyUpdate<'a> {
    update: &'a Update,
    objective: Objective,
}

impl Rule for AnyUpdate<'_> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [m, v, max @ ..] = state else {
            return p;
        };
        let g = self.objective.gradient(p, g);
        // As `torch.lerp`: from the nearer end, exact at both.
        let weight = self.update.one_minus_beta1;
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
    use super::{AnyUpdate, Core, Fraction, Objective, Update};
    use crate::optim::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        let penalised = Objective {
            maximize: true,
            weight_decay: 0.01,
        };
        for betas in [[0.9, 0.999], [0.3, 0.5]] {
            let betas = betas.map(Fraction::new);
            for powers in [[Fraction::ONE; 2], betas, [0.5, 0.99].map(Fraction::new)] {
                let update = &Update::after(&Core {
                    betas,
                    powers,
                    ..Core::new(0.1)
                });
                assert_lanes_agree::<2>(update);
                assert_lanes_agree::<3>(update);
                for objective in [Objective::LOSS, penalised] {
                    let any = AnyUpdate { update, objective };
                    assert_lanes_agree::<2>(&any);
                    assert_lanes_agree::<3>(&any);
                }
            }
        }
    }
}
