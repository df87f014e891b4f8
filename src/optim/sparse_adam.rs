//! SparseAdam: Adam for the few parameters that have a gradient.

use super::builders::{constructors, learning_rate_in_field, setters};
use super::fraction::{Decay, Fraction};
use super::sweep::step_each;
use super::{Element, OptimizerError, Rule, Show, Stepper, Storage, Visit, require};
use crate::kernel::Lanes;

/// Adam for sparse gradients, as `torch.optim.SparseAdam`: parameters without a gradient, and
/// their moments, stay as they are.
///
/// ```text
/// g ← gradient, where there is one      (maximize: −gradient)
/// m ← m + (1 − β₁) · (g − m)
/// v ← v + (1 − β₂) · (g² − v)
/// p ← p − lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + eps)        t counts all steps
/// ```
///
/// D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization" (2015),
/// <https://arxiv.org/abs/1412.6980>. As there, and unlike in [`Adam`](super::Adam), `eps`
/// is next to a root that is not corrected.
///
/// [`step_sparse`](SparseAdam::step_sparse) takes indices and values. A step with dense
/// gradients, which PyTorch refuses, is one with all indices.
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`betas`](SparseAdam::betas) | 0.9, 0.999 | 8 bytes: m and v |
/// | [`eps`](SparseAdam::eps) | 1e-8 | |
/// | [`maximize`](SparseAdam::maximize) | off | |
///
/// ```
/// use baregrad::optim::SparseAdam;
///
/// let mut adam = SparseAdam::<4>::new(0.1);
/// let mut params = [1.0; 4];
/// adam.step_sparse(&mut params, &[0, 2], &[20.0, -0.003])?;
/// assert!((params[0] - 0.9_f32).abs() < 1e-4 && (params[2] - 1.1_f32).abs() < 1e-4);
/// assert_eq!((params[1], params[3]), (1.0, 1.0));
/// # Ok::<(), baregrad::optim::OptimizerError>(())
/// ```
pub type SparseAdam<const N: usize, S = [[f32; N]; 2]> = Stepper<SparseAdamRule, N, S>;

/// The formula of [`SparseAdam`].
#[derive(Clone, Debug)]
pub struct SparseAdamRule {
    lr: f32,
    one_minus_betas: [f32; 2],
    decays: [Decay; 2],
    eps: f32,
    maximize: bool,
}

impl SparseAdamRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            one_minus_betas: [0.1, 0.001],
            decays: [Decay::new(0.9), Decay::new(0.999)],
            eps: 1e-8,
            maximize: false,
        }
    }

    fn check(&self) -> Result<(), OptimizerError> {
        // PyTorch wants more than 0 of these two.
        require(self.lr > 0.0, "lr > 0", self.lr)?;
        require(self.eps > 0.0, "eps > 0", self.eps)?;
        let [decay1, decay2] = &self.decays;
        decay1.check("0 <= beta1 < 1")?;
        decay2.check("0 <= beta2 < 1")
    }

    /// To the next step.
    fn advance(&mut self) -> Update {
        self.decays.iter_mut().for_each(Decay::advance_any);
        let [decay1, decay2] = self.decays.map(|decay| decay.fixed());
        let [one_minus_beta1, one_minus_beta2] = self.one_minus_betas;
        Update {
            one_minus_beta1,
            one_minus_beta2,
            step_size: self.lr * Lanes::sqrt(decay2.correction()) / decay1.correction(),
            eps: self.eps,
            maximize: self.maximize,
        }
    }
}

impl SparseAdamRule {
    /// Another weight for gradients, if β₁ has moved.
    fn follow_beta1(&mut self) {
        let [decay1, _] = &self.decays;
        if let Some((beta1, _)) = decay1.moved() {
            let [one_minus_beta1, _] = &mut self.one_minus_betas;
            *one_minus_beta1 = 1.0 - beta1;
        }
    }
}

impl Rule for SparseAdamRule {
    fn buffers(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        self.check()?;
        step_each::<2, _>(params, grads, state, |_| self.advance())
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
        let [decay1, decay2] = &mut self.decays;
        decay1.power.visit("beta1_power", visit);
        decay2.power.visit("beta2_power", visit);
        self.follow_beta1();
    }

    fn reset(&mut self) {
        for decay in &mut self.decays {
            decay.power = Fraction::ONE;
        }
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show("SparseAdam", &[]);
        let [decay1, decay2] = &self.decays;
        show("beta1", &[decay1.beta.to_f32()]);
        show("beta2", &[decay2.beta.to_f32()]);
        show("eps", &[self.eps]);
        show("maximize", &[f32::from(u8::from(self.maximize))]);
    }
}

constructors!(SparseAdamRule: 2, "1e-3");
setters! { SparseAdamRule:
    /// Added to the denominator, so that it is not zero.
    eps: f32 => eps;
}

impl<const N: usize, S> SparseAdam<N, S> {
    /// Decay rates of the two moments, at least 0 and less than 1.
    #[must_use]
    #[inline(always)] // of constants, no `f64` is left
    pub const fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.rule.one_minus_betas = [(1.0 - beta1) as f32, (1.0 - beta2) as f32];
        self.rule.decays = [Decay::new(beta1), Decay::new(beta2)];
        self
    }

    /// Climbs instead of descending.
    #[must_use]
    pub const fn maximize(mut self) -> Self {
        self.rule.maximize = true;
        self
    }
}

impl<const N: usize, S: Storage> SparseAdam<N, S> {
    /// One update of the parameters at these `indices` by these gradients, one for each.
    /// Indices must increase: gradients of the same parameter are to be added up before, as
    /// `coalesce` does.
    ///
    /// # Errors
    /// Another number of values than of indices; indices that do not increase, or of no
    /// parameter; no room for so many parameters; a hyper-parameter out of range. Then
    /// nothing has changed.
    pub fn step_sparse(
        &mut self,
        params: &mut [f32],
        indices: &[usize],
        values: &[f32],
    ) -> Result<(), OptimizerError> {
        let Self { rule, state } = self;
        rule.check()?;
        if indices.len() != values.len() {
            return Err(OptimizerError::GradientCount {
                params: indices.len(),
                grads: values.len(),
            });
        }
        let mut least = 0;
        for &index in indices {
            let fits = index >= least && index < params.len();
            require(fits, "increasing indices of parameters", index as f32)?;
            least = index.saturating_add(1);
        }
        state.lend(2, |buffers| {
            let [m, v] = buffers else { return Ok(()) };
            let n = params.len();
            for buffer in [&*m, &*v] {
                if buffer.len() < n {
                    let state = buffer.len();
                    return Err(OptimizerError::StateSize { state, params: n });
                }
            }
            let update = rule.advance();
            for (&index, &g) in indices.iter().zip(values) {
                let element = (params.get_mut(index), m.get_mut(index), v.get_mut(index));
                if let (Some(p), Some(m), Some(v)) = element {
                    let mut state = [*m, *v];
                    *p = update.apply(*p, g, &mut state);
                    [*m, *v] = state;
                }
            }
            Ok(())
        })
    }
}

/// The scalars of one step.
struct Update {
    one_minus_beta1: f32,
    one_minus_beta2: f32,
    step_size: f32,
    eps: f32,
    maximize: bool,
}

impl Element for Update {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [m, v] = state else { return p };
        let g = if self.maximize { -g } else { g };
        *m = *m + (g - *m) * L::splat(self.one_minus_beta1);
        *v = *v + (g * g - *v) * L::splat(self.one_minus_beta2);
        p - L::splat(self.step_size) * (*m / (v.sqrt() + L::splat(self.eps)))
    }
}

#[cfg(test)]
mod tests {
    use super::Update;
    use crate::optim::sweep::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        for maximize in [false, true] {
            assert_lanes_agree::<2>(&Update {
                one_minus_beta1: 0.1,
                one_minus_beta2: 0.001,
                step_size: 0.1,
                eps: 1e-8,
                maximize,
            });
        }
    }
}
