//! SparseAdam: Adam for the few parameters that have a gradient.

use super::builders::{beta1_is_momentum, constructors, options, rate_and_options};
use super::decay::{Average, Beta1, Decay};
use super::q63::Q63;
use super::sweep::{other_buffers, step_each};
use super::{Element, OptimizerError, Rule, Stepper, Storage, Visit, require};
use crate::function::Real;
use crate::kernel::Lanes;

/// Adam for sparse gradients, as `torch.optim.SparseAdam`: parameters without a gradient, and
/// their moments, stay unchanged.
///
/// ```text
/// g ← gradient, if there is one         (maximize: −gradient)
/// m ← m + (1 − β₁) · (g − m)
/// v ← v + (1 − β₂) · (g² − v)
/// p ← p − lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + eps)        t counts all steps
/// ```
///
/// D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization" (2015),
/// <https://arxiv.org/abs/1412.6980>. As in PyTorch's SparseAdam, and unlike in
/// [`Adam`](super::Adam), `eps` is added to a root without bias correction.
///
/// [`step_sparse`](SparseAdam::step_sparse) takes indices and values. A step with dense
/// gradients, which PyTorch does not support, counts every parameter as having a gradient.
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
    beta1: Beta1,
    one_minus_beta2: f32,
    beta2: Decay,
    eps: f32,
    maximize: bool,
}

impl SparseAdamRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            beta1: const { Beta1::new(0.9) },
            one_minus_beta2: 0.001,
            beta2: const { Decay::new(0.999) },
            eps: 1e-8,
            maximize: false,
        }
    }

    #[inline(always)] // constant arguments leave no `f64`
    const fn set_betas(&mut self, beta1: f64, beta2: f64) {
        self.beta1 = Beta1::new(beta1);
        self.one_minus_beta2 = Average::new(beta2).fresh;
        self.beta2 = Decay::new(beta2);
    }

    fn check(&self) -> Result<(), OptimizerError> {
        // PyTorch, too, requires more than 0 for these two.
        require(self.lr > 0.0, "lr > 0", self.lr)?;
        require(self.eps > 0.0, "eps > 0", self.eps)?;
        self.beta1.check()?;
        self.beta2.check("0 <= beta2 < 1")
    }

    /// Advances to the next step.
    fn advance(&mut self) -> Update {
        self.beta2.advance();
        let correction1 = self.beta1.advance();
        Update {
            one_minus_beta1: self.beta1.fresh,
            one_minus_beta2: self.one_minus_beta2,
            step_size: (self.lr * Real::sqrt(self.beta2.correction()) / correction1).to_f32(),
            eps: self.eps,
            maximize: self.maximize,
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

    rate_and_options!();

    beta1_is_momentum!();

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        self.beta1.visit(visit);
        self.beta2.power.visit("beta2_power", visit);
    }

    fn reset(&mut self) {
        self.beta1.reset();
        self.beta2.power = Q63::ONE;
    }
}

constructors!(SparseAdamRule: 2, "1e-3");
options! { SparseAdamRule = "SparseAdam":
    /// Decay rates of the two moments, at least 0 and less than 1.
    betas(beta1, beta2);

    /// Added to the denominator, so that it is not zero; more than 0.
    eps: f32;

    /// Maximises the loss instead of minimising it.
    maximize: flag;
}

impl<const N: usize, S: Storage> SparseAdam<N, S> {
    /// Updates the parameters at `indices` by the gradients `values`, one for each index.
    /// Indices must increase: add up gradients of the same parameter first, as `coalesce` does
    /// in PyTorch.
    ///
    /// # Errors
    /// Different numbers of values and indices; indices that do not increase, or are out of
    /// range; no room for the state of this number of parameters; a hyper-parameter out of
    /// range. Nothing has changed then.
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
            let [m, v] = buffers else {
                return Err(other_buffers(params));
            };
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
