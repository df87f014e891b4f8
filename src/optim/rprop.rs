//! Rprop: steps that depend on the signs of the gradients only.

use super::builders::{constructors, options, rate_and_options, require_at_least_0};
use super::sweep::step_each;
use super::{Element, OptimizerError, Rule, Stepper, Visit, require, visit_count};
use crate::kernel::Lanes;

/// Resilient backpropagation, as `torch.optim.Rprop`: for training with the whole data set in
/// every step, where a gradient changes its sign only if a minimum was passed.
///
/// ```text
/// s ← s · eta₊ if g has the sign of the previous step, s · eta₋ if it has the other, else s;
///     limited to the step sizes; s = lr before the first step
/// g ← 0 where the sign has changed      (maximize: −gradient)
/// p ← p − sign(g) · s
/// ```
///
/// Only the sign of a gradient matters. NaN has none: as in PyTorch, the parameter and its step
/// size then stay unchanged.
///
/// M. Riedmiller and H. Braun, "A direct adaptive method for faster backpropagation
/// learning: the RPROP algorithm" (1993).
///
/// | | default | RAM per parameter |
/// | --- | --- | --- |
/// | [`etas`](Rprop::etas) | 0.5, 1.2 | 8 bytes: the gradient before, s |
/// | [`step_sizes`](Rprop::step_sizes) | 1e-6, 50 | |
/// | [`maximize`](Rprop::maximize) | off | |
pub type Rprop<const N: usize, S = [[f32; N]; 2]> = Stepper<RpropRule, N, S>;

/// The formula of [`Rprop`].
#[derive(Clone, Debug)]
pub struct RpropRule {
    lr: f32,
    etas: [f32; 2],
    step_sizes: [f32; 2],
    maximize: bool,
    steps: u32,
}

impl RpropRule {
    const fn new(lr: f32) -> Self {
        Self {
            lr,
            etas: [0.5, 1.2],
            step_sizes: [1e-6, 50.0],
            maximize: false,
            steps: 0,
        }
    }
}

impl Rule for RpropRule {
    fn buffers(&self) -> &'static [&'static str] {
        &["prev", "step_size"]
    }

    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        require_at_least_0!(self, lr);
        let [minus, plus] = self.etas;
        require(minus > 0.0 && minus < 1.0, "0 < etaminus < 1", minus)?;
        require(plus > 1.0, "etaplus > 1", plus)?;
        step_each::<2, _>(params, grads, state, |[_, size]| {
            if self.steps == 0 {
                size.fill(self.lr);
            }
            self.steps = self.steps.saturating_add(1);
            &*self
        })
    }

    rate_and_options!();

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        visit_count("step", &mut self.steps, visit);
    }

    fn reset(&mut self) {
        self.steps = 0;
    }
}

constructors!(RpropRule: 2, "1e-2");

options! { RpropRule = "Rprop":
    /// The factors of a step size: `minus`, between 0 and 1, after a change of sign, and `plus`,
    /// more than 1, after a repeated sign.
    etas: [minus: f32, plus: f32];

    /// The smallest and the largest step size.
    step_sizes: [least: f32, most: f32];

    /// Maximises the loss instead of minimising it.
    maximize: flag;
}

impl Element for RpropRule {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let [prev, size] = state else { return p };
        let ([minus, plus], [least, most]) =
            (self.etas.map(L::splat), self.step_sizes.map(L::splat));
        let zero = L::splat(0.0);
        let g = if self.maximize { -g } else { g };
        let product = g * *prev;
        let changed = product.lt(zero);
        // A product that is neither positive nor negative is 0 or NaN, for example infinity
        // times 0 if the first gradient is infinite.
        let eta = L::select(product.gt(zero), plus, L::splat(1.0));
        let eta = L::select(changed, minus, eta);
        let new = *size * eta;
        let new = L::select(new.lt(least), least, new);
        *size = L::select(new.gt(most), most, new);
        let g = L::select(changed, zero, g);
        *prev = g;
        let step = L::select(g.gt(zero), *size, zero);
        p - L::select(g.lt(zero), -*size, step)
    }
}

#[cfg(test)]
mod tests {
    use super::RpropRule;
    use crate::optim::sweep::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        for maximize in [false, true] {
            assert_lanes_agree::<2>(&RpropRule {
                maximize,
                ..RpropRule::new(0.1)
            });
        }
    }
}
