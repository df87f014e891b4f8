//! RMSprop: steps divided by the root mean square of the gradients.

use super::builders::{
    constructors, one_more_buffer, options, rate_and_options, require_at_least_0,
};
use super::decay::Average;
use super::sweep::step_each;
use super::{
    Element, Objective, OptimizerError, Rule, Stepper, Visit, lerp, require, visit_number,
};
use crate::kernel::Lanes;

/// RMSprop, optionally centered and with momentum, as `torch.optim.RMSprop`.
///
/// ```text
/// g ← gradient + weight_decay · p       (maximize: −gradient)
/// v ← alpha · v + (1 − alpha) · g²
/// a ← a + (1 − alpha) · (g − a)         (centered)
/// d ← √v + eps                          (centered: √(v − a²) + eps)
/// b ← momentum · b + g / d              (momentum)
/// p ← p − lr · g / d                    (momentum: p − lr · b)
/// ```
///
/// G. Hinton, lecture 6e of "Neural Networks for Machine Learning" (2012); centered as in A.
/// Graves, "Generating Sequences With Recurrent Neural Networks" (2013),
/// <https://arxiv.org/abs/1308.0850>.
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`alpha`](RmsProp::alpha) | 0.99 | 4 bytes: v |
/// | [`eps`](RmsProp::eps) | 1e-8 | |
/// | [`centered`](RmsProp::centered) | off | 4 bytes more: a |
/// | [`momentum`](RmsProp::momentum) | 0 | 4 bytes more: b |
/// | [`weight_decay`](RmsProp::weight_decay) | 0 | |
///
/// ```
/// use baregrad::optim::{Optimizer, RmsProp};
///
/// let mut rms_prop = RmsProp::<2>::new(1e-2).momentum(0.9).centered();
/// rms_prop.step(&mut [1.0, -2.0], &[0.5, 0.25])?;
/// # Ok::<(), baregrad::optim::OptimizerError>(())
/// ```
pub type RmsProp<const N: usize, S = [[f32; N]; 1]> = Stepper<RmsPropRule, N, S>;

/// The formula of [`RmsProp`].
#[derive(Clone, Debug)]
pub struct RmsPropRule {
    lr: f32,
    alpha: Average,
    eps: f32,
    momentum: f32,
    has_momentum: bool,
    centered: bool,
    objective: Objective,
}

impl RmsPropRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            alpha: const { Average::new(0.99) },
            eps: 1e-8,
            momentum: 0.0,
            has_momentum: false,
            centered: false,
            objective: Objective::LOSS,
        }
    }

    const fn centered(mut self) -> Self {
        self.centered = true;
        self
    }

    const fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self.has_momentum = true;
        self
    }
}

impl Rule for RmsPropRule {
    fn buffers(&self) -> &'static [&'static str] {
        match (self.centered, self.has_momentum) {
            (false, false) => &["square_avg"],
            (true, false) => &["square_avg", "grad_avg"],
            (false, true) => &["square_avg", "momentum_buffer"],
            (true, true) => &["square_avg", "grad_avg", "momentum_buffer"],
        }
    }

    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        require_at_least_0!(self, lr, eps, momentum);
        require(self.alpha.keep >= 0.0, "alpha >= 0", self.alpha.keep)?;
        self.objective.check()?;
        match state.len() {
            1 => step_each::<1, _>(params, grads, state, |_| &*self),
            2 => step_each::<2, _>(params, grads, state, |_| &*self),
            _ => step_each::<3, _>(params, grads, state, |_| &*self),
        }
    }

    rate_and_options!();

    fn momentum_factor(&self) -> Option<f32> {
        self.has_momentum.then_some(self.momentum)
    }

    fn set_momentum_factor(&mut self, momentum: f32) {
        if self.has_momentum {
            self.momentum = momentum;
        }
    }

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        visit_number("momentum", &mut self.momentum, visit);
    }
}

constructors!(RmsPropRule: 1, "1e-2");
options! { RmsPropRule = "RMSprop":
    /// The decay rate of the averages, at least 0.
    alpha: f64 as Average::new;

    /// Added to the denominator, so that it is not zero; at least 0.
    eps: f32;

    objective;
}

one_more_buffer! {
    /// Divides by the standard deviation of the gradients instead of their root mean square.
    centered() for RmsPropRule: 1 [v] => 2, 2 [v b] => 3
}

one_more_buffer! {
    /// Adds momentum, which averages the gradients after the division.
    momentum(momentum: f32) for RmsPropRule: 1 [v] => 2, 2 [v a] => 3
}

impl Element for RmsPropRule {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let Some((v, others)) = state.split_first_mut() else {
            return p;
        };
        let (a, b) = match others {
            [one] if self.has_momentum => (None, Some(one)),
            [one] => (Some(one), None),
            [one, other] => (Some(one), Some(other)),
            _ => (None, None),
        };
        let g = self.objective.gradient(p, g);
        *v = self.alpha.of_square(*v, g);
        let square = match a {
            Some(a) => {
                *a = lerp(*a, g, self.alpha.fresh);
                *v - *a * *a
            }
            None => *v,
        };
        let denominator = square.sqrt() + L::splat(self.eps);
        match b {
            Some(b) => {
                *b = L::splat(self.momentum) * *b + g / denominator;
                p - L::splat(self.lr) * *b
            }
            None => p - L::splat(self.lr) * g / denominator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RmsPropRule;
    use crate::optim::sweep::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        for objective in crate::optim::tests::OBJECTIVES {
            let rule = || RmsPropRule {
                objective,
                ..RmsPropRule::new(0.1)
            };
            assert_lanes_agree::<1>(&rule());
            assert_lanes_agree::<2>(&rule().centered());
            assert_lanes_agree::<2>(&rule().momentum(0.9));
            assert_lanes_agree::<3>(&rule().momentum(0.9).centered());
        }
    }
}
