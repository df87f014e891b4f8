//! Adadelta: steps scaled by the size of earlier steps, so that they have the parameter's unit.

use super::builders::{constructors, options, rate_and_options, require_at_least_0};
use super::decay::Average;
use super::sweep::step_each;
use super::{Element, Objective, OptimizerError, Rule, Stepper, require};
use crate::kernel::Lanes;

/// Adadelta, as `torch.optim.Adadelta`.
///
/// ```text
/// g ← gradient + weight_decay · p       (maximize: −gradient)
/// v ← rho · v + (1 − rho) · g²
/// d ← √(a + eps) / √(v + eps) · g
/// a ← rho · a + (1 − rho) · d²
/// p ← p − lr · d
/// ```
///
/// M. D. Zeiler, "ADADELTA: An Adaptive Learning Rate Method" (2012),
/// <https://arxiv.org/abs/1212.5701>.
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`rho`](Adadelta::rho) | 0.9 | 8 bytes: v and a |
/// | [`eps`](Adadelta::eps) | 1e-6 | |
/// | [`weight_decay`](Adadelta::weight_decay) | 0 | |
pub type Adadelta<const N: usize, S = [[f32; N]; 2]> = Stepper<AdadeltaRule, N, S>;

/// The formula of [`Adadelta`].
#[derive(Clone, Debug)]
pub struct AdadeltaRule {
    lr: f32,
    rho: Average,
    eps: f32,
    objective: Objective,
}

impl AdadeltaRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            rho: const { Average::new(0.9) },
            eps: 1e-6,
            objective: Objective::LOSS,
        }
    }
}

impl Rule for AdadeltaRule {
    fn buffers(&self) -> &'static [&'static str] {
        &["square_avg", "acc_delta"]
    }

    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        require_at_least_0!(self, lr, eps);
        let rho = self.rho.keep;
        require((0.0..=1.0).contains(&rho), "0 <= rho <= 1", rho)?;
        self.objective.check()?;
        step_each::<2, _>(params, grads, state, |_| &*self)
    }

    rate_and_options!();
}

constructors!(AdadeltaRule: 2, "1");
options! { AdadeltaRule = "Adadelta":
    /// The decay rate of both averages, from 0 to 1.
    rho: f64 as Average::new;

    /// Added under both roots; determines the length of the first steps. At least 0.
    eps: f32;

    objective;
}

impl Element for AdadeltaRule {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [v, a] = state else { return p };
        let g = self.objective.gradient(p, g);
        let (rho, fresh, eps) = (
            L::splat(self.rho.keep),
            L::splat(self.rho.fresh),
            L::splat(self.eps),
        );
        *v = rho * *v + fresh * g * g;
        let delta = (*a + eps).sqrt() / (*v + eps).sqrt() * g;
        *a = rho * *a + fresh * delta * delta;
        p - L::splat(self.lr) * delta
    }
}

#[cfg(test)]
mod tests {
    use super::AdadeltaRule;
    use crate::optim::sweep::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        for objective in crate::optim::tests::OBJECTIVES {
            assert_lanes_agree::<2>(&AdadeltaRule {
                objective,
                ..AdadeltaRule::new(1.0)
            });
        }
    }
}
