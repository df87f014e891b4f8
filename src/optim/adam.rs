//! Adam: steps scaled by running estimates of the gradient's moments.

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
/// order; what depends on the step only is computed in `f64`, as there.
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
    hyper: Hyper,
    /// `[β₁ᵗ, β₂ᵗ]` after `t` steps.
    powers: [f64; 2],
    /// `[m, v]`, or `[m, v, u]` with AMSGrad.
    state: S,
}

#[derive(Clone, Copy, Debug)]
struct Hyper {
    lr: f32,
    /// `f64`, because `1 - β` is what is rounded to `f32`.
    betas: [f64; 2],
    eps: f32,
    objective: Objective,
}

impl Hyper {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            betas: [0.9, 0.999],
            eps: 1e-8,
            objective: Objective::LOSS,
        }
    }

    fn check(&self) -> Result<(), OptimizerError> {
        let [beta1, beta2] = self.betas;
        let unit = 0.0..1.0;
        require(self.lr >= 0.0, "lr >= 0", self.lr)?;
        require(unit.contains(&beta1), "0 <= beta1 < 1", beta1 as f32)?;
        require(unit.contains(&beta2), "0 <= beta2 < 1", beta2 as f32)?;
        require(self.eps >= 0.0, "eps >= 0", self.eps)?;
        self.objective.check()
    }
}

impl<const N: usize> Adam<N> {
    /// Adam with learning rate `lr` (PyTorch's default is `1e-3`) and state
    /// for `N` parameters inline.
    #[must_use]
    pub const fn new(lr: f32) -> Self {
        Self {
            hyper: Hyper::new(lr),
            powers: [1.0; 2],
            state: [[0.0; N]; 2],
        }
    }

    /// Divides by the largest second moment so far instead of the current one.
    #[must_use]
    pub const fn amsgrad(self) -> Adam<N, [[f32; N]; 3]> {
        let [m, v] = self.state;
        Adam {
            hyper: self.hyper,
            powers: self.powers,
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
        let state = [std::vec![0.0; params], std::vec![0.0; params]];
        Self {
            hyper: Hyper::new(lr),
            powers: [1.0; 2],
            state,
        }
    }

    /// Divides by the largest second moment so far instead of the current one.
    #[must_use]
    pub fn amsgrad(self) -> Adam<0, [std::vec::Vec<f32>; 3]> {
        let [m, v] = self.state;
        let u = std::vec![0.0; v.len()];
        Adam {
            hyper: self.hyper,
            powers: self.powers,
            state: [m, v, u],
        }
    }
}

impl<const N: usize, S> Adam<N, S> {
    /// Decay rates of the two moments, at least 0 and less than 1.
    #[must_use]
    pub const fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.hyper.betas = [beta1, beta2];
        self
    }

    /// Added to the denominator, so that it is not zero.
    #[must_use]
    pub const fn eps(mut self, eps: f32) -> Self {
        self.hyper.eps = eps;
        self
    }

    /// Adds `weight_decay · p` to every gradient (L2 penalty).
    #[must_use]
    pub const fn weight_decay(mut self, weight_decay: f32) -> Self {
        self.hyper.objective.set_weight_decay(weight_decay);
        self
    }

    /// Climbs instead of descending.
    #[must_use]
    pub const fn maximize(mut self) -> Self {
        self.hyper.objective.maximize = true;
        self
    }
}

impl<const N: usize, B: AsMut<[f32]>, const K: usize> Adam<N, [B; K]> {
    /// Forgets all steps; hyper-parameters stay.
    pub fn reset(&mut self) {
        self.powers = [1.0; 2];
        for buffer in &mut self.state {
            buffer.as_mut().fill(0.0);
        }
    }
}

impl<const N: usize, B: AsMut<[f32]>, const K: usize> Optimizer for Adam<N, [B; K]> {
    fn step(&mut self, params: &mut [f32], grads: &[f32]) -> Result<(), OptimizerError> {
        self.hyper.check()?;
        let ([beta1, beta2], [power1, power2]) = (self.hyper.betas, self.powers);
        let powers = [power1 * beta1, power2 * beta2];
        let update = Update::new(&self.hyper, powers);
        sweep(
            &update,
            params,
            grads,
            self.state.each_mut().map(AsMut::as_mut),
        )?;
        self.powers = powers;
        Ok(())
    }

    fn learning_rate(&self) -> f32 {
        self.hyper.lr
    }

    fn set_learning_rate(&mut self, lr: f32) {
        self.hyper.lr = lr;
    }
}

/// The scalars of one step.
struct Update {
    objective: Objective,
    /// Whether a step of `m` is computed from its old value or back from `g`.
    from_m: bool,
    /// How far, in units of `g - m`.
    towards_g: f32,
    beta2: f32,
    one_minus_beta2: f32,
    root_correction2: f32,
    eps: f32,
    step_size: f32,
}

impl Update {
    fn new(hyper: &Hyper, [power1, power2]: [f64; 2]) -> Self {
        let [beta1, beta2] = hyper.betas;
        // As `torch.lerp`: from the nearer end, exact at both.
        let weight = (1.0 - beta1) as f32;
        let from_m = weight < 0.5;
        Self {
            objective: hyper.objective,
            from_m,
            towards_g: if from_m { weight } else { weight - 1.0 },
            beta2: beta2 as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            root_correction2: libm::sqrt(1.0 - power2) as f32,
            eps: hyper.eps,
            step_size: (f64::from(hyper.lr) / (1.0 - power1)) as f32,
        }
    }
}

impl Rule for Update {
    #[inline(always)]
    fn apply<L: Lanes, const K: usize>(&self, p: L, g: L, state: &mut [L; K]) -> L {
        let [m, v, max @ ..] = state.as_mut_slice() else {
            return p;
        };
        let g = self.objective.gradient(p, g);
        let near = if self.from_m { *m } else { g };
        *m = near + L::splat(self.towards_g) * (g - *m);
        *v = L::splat(self.beta2) * *v + L::splat(self.one_minus_beta2) * g * g;
        let mut u = *v;
        if let [max] = max {
            // Once `v` is NaN it stays so, and so does this maximum.
            *max = L::select(max.gt(u), *max, u);
            u = *max;
        }
        let denominator = u.sqrt() / L::splat(self.root_correction2) + L::splat(self.eps);
        p - L::splat(self.step_size) * *m / denominator
    }
}

#[cfg(test)]
mod tests {
    use super::{Hyper, Objective, Update};
    use crate::optim::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        let plain = Hyper::new(0.1);
        let objective = Objective {
            maximize: true,
            weight_decay: Some(0.01),
        };
        let decayed = Hyper { objective, ..plain };
        let short = Hyper {
            betas: [0.3, 0.5],
            ..plain
        };
        for hyper in [plain, decayed, short] {
            for powers in [hyper.betas, [0.5, 0.99], [0.0, 0.0]] {
                let update = Update::new(&hyper, powers);
                assert_lanes_agree::<2>(&update);
                assert_lanes_agree::<3>(&update);
            }
        }
    }
}
