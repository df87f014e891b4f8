//! Adadelta: steps as long as those before, in the parameter's own unit.

use super::builders::{constructors, learning_rate_in_field, objective_builders, setters};
use super::sweep::step_each;
use super::{Element, Objective, OptimizerError, Rule, Show, Stepper, require};
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
    rho: f32,
    one_minus_rho: f32,
    eps: f32,
    objective: Objective,
}

impl AdadeltaRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            rho: 0.9,
            one_minus_rho: 0.1,
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
        require(self.lr >= 0.0, "lr >= 0", self.lr)?;
        let in_range = self.rho >= 0.0 && self.rho <= 1.0;
        require(in_range, "0 <= rho <= 1", self.rho)?;
        require(self.eps >= 0.0, "eps >= 0", self.eps)?;
        self.objective.check()?;
        step_each::<2, _>(params, grads, state, |_| &*self)
    }

    learning_rate_in_field!();

    fn visit_hyper(&self, show: Show<'_>) {
        show("Adadelta", &[]);
        show("rho", &[self.rho]);
        show("eps", &[self.eps]);
        self.objective.show(show);
    }
}

constructors!(AdadeltaRule: 2, "1");
objective_builders!(AdadeltaRule);
setters! { AdadeltaRule:
    /// Added under both roots: how long the first steps are.
    eps: f32 => eps;
}

impl<const N: usize, S> Adadelta<N, S> {
    /// The decay rate of both averages, from 0 to 1.
    #[must_use]
    #[inline(always)] // of a constant, no `f64` is left
    pub const fn rho(mut self, rho: f64) -> Self {
        self.rule.rho = rho as f32;
        self.rule.one_minus_rho = (1.0 - rho) as f32;
        self
    }
}

impl Element for AdadeltaRule {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [v, a] = state else { return p };
        let [p, g] = self.objective.apply(self.lr, p, g);
        let (rho, fresh, eps) = (
            L::splat(self.rho),
            L::splat(self.one_minus_rho),
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
