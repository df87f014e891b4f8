//! Stochastic gradient descent.

use super::builders::Shown;
use super::sweep::other_buffers;
use super::{
    Element, Objective, OptimizerError, Rule, Show, Stepper, Visit, require, sweep, visit_number,
};
use crate::kernel::Lanes;

/// Stochastic gradient descent, optionally with momentum, as
/// `torch.optim.SGD`.
///
/// ```text
/// g ← gradient                          (maximize: −gradient)
/// g ← g + weight_decay · p
/// b ← momentum · b + (1 − dampening) · g      (first step: b ← g)
/// g ← b                                 (nesterov: g + momentum · b)
/// p ← p − lr · g
/// ```
///
/// The two lines with `b` apply only with momentum: B. T. Polyak, "Some methods of speeding up
/// the convergence of iteration methods" (1964), in the form of I. Sutskever et al., "On the
/// importance of initialization and momentum in deep learning" (2013), as modified by PyTorch.
///
/// | | default | RAM |
/// | --- | --- | --- |
/// | [`new`](Sgd::new) | no momentum | no state |
/// | [`momentum`](Sgd::momentum) | dampening 0, not Nesterov | 4 bytes per parameter, inline |
/// | [`momentum_with_state`](Sgd::momentum_with_state) | the same | a slice of the caller's |
/// | `momentum_on_heap` | the same | 4 bytes per parameter, heap (feature `std`) |
///
/// `N` is the number of parameters for which there is room inline, `S` the storage of the
/// momentum: see [`Stepper`].
///
/// ```
/// use baregrad::optim::{Optimizer, Sgd};
///
/// let mut sgd = Sgd::new(0.1).momentum::<2>(0.9).nesterov();
/// let mut params = [1.0, 0.0];
/// sgd.step(&mut params, &[0.5, -1.0])?;
/// assert_eq!(params, [0.905, 0.19]); // p − 0.1 · (g + 0.9 · g)
/// # Ok::<(), baregrad::optim::OptimizerError>(())
/// ```
pub type Sgd<const N: usize = 0, S = [[f32; N]; 1]> = Stepper<SgdRule, N, S>;

/// The formula of [`Sgd`].
#[derive(Clone, Debug)]
pub struct SgdRule {
    hyper: Hyper,
    /// Set by the builders that need it, so that other firmware does not link it.
    variant: Option<&'static Variant>,
}

/// A step other than plain gradient descent.
#[derive(Debug)]
struct Variant {
    step: AnyStep,
    buffers: &'static [&'static str],
}

/// The step for any hyper-parameters except momentum.
const ANY: &Variant = &Variant {
    step: Hyper::any_step,
    buffers: &[],
};

/// The step for any hyper-parameters.
const MOMENTUM: &Variant = &Variant {
    step: Hyper::any_step,
    buffers: &["momentum_buffer"],
};

type AnyStep = fn(&mut Hyper, &mut [f32], &[f32], &mut [&mut [f32]]) -> Result<(), OptimizerError>;

#[derive(Clone, Copy, Debug)]
struct Hyper {
    lr: f32,
    momentum: f32,
    /// `1 - dampening`, the weight of a new gradient in the buffer; or the dampening itself, if
    /// `tiny`.
    fresh: f32,
    /// Whether the dampening is not 0, but so small that `1 - dampening` rounds to 1.
    tiny: bool,
    nesterov: bool,
    /// Whether the buffer contains earlier gradients.
    started: bool,
    /// Whether the learning rate has been checked, and a step is just `p - lr · g`.
    is_descent: bool,
    objective: Objective,
}

impl Rule for SgdRule {
    #[inline(always)]
    fn buffers(&self) -> &'static [&'static str] {
        self.variant.map_or(&[], |variant| variant.buffers)
    }

    #[inline]
    fn step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        if !self.hyper.is_descent {
            if let Some(variant) = self.variant {
                return (variant.step)(&mut self.hyper, params, grads, state);
            }
            self.hyper.check_descent()?;
        }
        sweep(&Descent { lr: self.hyper.lr }, params, grads, [])
    }

    fn learning_rate(&self) -> f32 {
        self.hyper.lr
    }

    fn set_learning_rate(&mut self, lr: f32) {
        self.hyper.lr = lr;
        self.hyper.is_descent = false;
    }

    fn momentum_factor(&self) -> Option<f32> {
        (!self.buffers().is_empty()).then_some(self.hyper.momentum)
    }

    fn set_momentum_factor(&mut self, momentum: f32) {
        // Without momentum there is no buffer for it.
        if !self.buffers().is_empty() {
            self.hyper.momentum = momentum;
        }
    }

    fn visit_scalars(&mut self, visit: Visit<'_>) {
        let Hyper {
            momentum, started, ..
        } = &mut self.hyper;
        visit_number("momentum", momentum, visit);
        let mut scalars = [f32::from(u8::from(*started))];
        visit("started", &mut scalars);
        *started = scalars[0] != 0.0;
    }

    fn reset(&mut self) {
        self.hyper.started = false;
    }

    fn visit_hyper(&self, show: Show<'_>) {
        let Hyper {
            fresh,
            tiny,
            nesterov,
            objective,
            ..
        } = &self.hyper;
        show("SGD", &[]);
        show("dampening", &[*fresh, f32::from(u8::from(*tiny))]);
        nesterov.show("nesterov", show);
        objective.show("objective", show);
    }
}

impl SgdRule {
    const fn with_momentum(self, momentum: f32) -> Self {
        Self {
            hyper: Hyper {
                momentum,
                is_descent: false,
                ..self.hyper
            },
            variant: Some(MOMENTUM),
        }
    }
}

impl Sgd {
    /// Plain gradient descent with learning rate `lr` (PyTorch's default is `1e-3`): no
    /// momentum, no state.
    #[must_use]
    pub const fn new(lr: f32) -> Self {
        let hyper = Hyper {
            lr,
            momentum: 0.0,
            fresh: 1.0,
            tiny: false,
            nesterov: false,
            started: false,
            is_descent: false,
            objective: Objective::LOSS,
        };
        Self::from_rule(SgdRule {
            hyper,
            variant: None,
        })
    }

    /// Adds momentum (often 0.9) for up to `M` parameters, stored inline.
    #[must_use]
    pub const fn momentum<const M: usize>(self, momentum: f32) -> Sgd<M> {
        Stepper::from_rule(self.rule.with_momentum(momentum))
    }

    /// Adds momentum (often 0.9) for up to `params` parameters, stored on the heap.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn momentum_on_heap(self, momentum: f32, params: usize) -> Sgd<0, std::vec::Vec<f32>> {
        Stepper::from_rule_on_heap(self.rule.with_momentum(momentum), params)
    }

    /// Adds momentum (often 0.9), stored in a slice of the caller with one float per parameter.
    /// The slice is zeroed.
    ///
    /// ```
    /// use baregrad::optim::{Optimizer, Sgd};
    ///
    /// let mut memory = [0.0; 321];
    /// let mut sgd = Sgd::new(1e-3).momentum_with_state(0.9, &mut memory);
    /// sgd.step(&mut [0.0; 321], &[1.0; 321])?;
    /// # Ok::<(), baregrad::optim::OptimizerError>(())
    /// ```
    #[must_use]
    pub fn momentum_with_state(self, momentum: f32, state: &mut [f32]) -> Sgd<0, &mut [f32]> {
        Stepper::from_rule_with_state(self.rule.with_momentum(momentum), state)
    }
}

impl<const N: usize, S> Sgd<N, S> {
    /// Sets the part of a new gradient that does not enter the momentum. Default 0. As in
    /// PyTorch it may be negative. It must be finite, and `1 - dampening` within the range of
    /// `f32`.
    ///
    /// An `f64`, because `1 - dampening` is rounded to `f32`.
    #[must_use]
    #[inline(always)] // a constant argument leaves no `f64`
    pub const fn dampening(mut self, dampening: f64) -> Self {
        let fresh = (1.0 - dampening) as f32;
        self.rule.hyper.tiny = fresh == 1.0 && dampening != 0.0;
        // A dampening that rounds to 0 as an `f32` has no effect, but is still an error with
        // Nesterov.
        self.rule.hyper.fresh = match self.rule.hyper.tiny {
            true if dampening as f32 == 0.0 => f32::MIN_POSITIVE,
            true => dampening as f32,
            false => fresh,
        };
        self.with_any_step()
    }

    /// Adds `weight_decay · p` to every gradient (L2 penalty). Default 0.
    #[must_use]
    pub const fn weight_decay(mut self, weight_decay: f32) -> Self {
        self.rule.hyper.objective.weight_decay = weight_decay;
        self.with_any_step()
    }

    /// Uses Nesterov's momentum, which requires momentum and no dampening.
    #[must_use]
    pub const fn nesterov(mut self) -> Self {
        self.rule.hyper.nesterov = true;
        self.with_any_step()
    }

    /// Maximises the loss instead of minimising it.
    #[must_use]
    pub const fn maximize(mut self) -> Self {
        self.rule.hyper.objective.maximize = true;
        self.with_any_step()
    }

    /// Selects the step for any hyper-parameters.
    const fn with_any_step(mut self) -> Self {
        self.rule.hyper.is_descent = false;
        if self.rule.variant.is_none() {
            self.rule.variant = Some(ANY);
        }
        self
    }
}

impl Hyper {
    /// Checks the learning rate of plain descent once.
    #[cold]
    fn check_descent(&mut self) -> Result<(), OptimizerError> {
        require(self.lr >= 0.0, "lr >= 0", self.lr)?;
        self.is_descent = true;
        Ok(())
    }

    /// Performs a step with any hyper-parameters.
    fn any_step(
        &mut self,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), OptimizerError> {
        self.check()?;
        let mut hyper = *self;
        if hyper.tiny {
            hyper.fresh = 1.0;
        }
        if hyper.momentum == 0.0 {
            return sweep(&hyper, params, grads, []);
        }
        if !self.started {
            // The first gradient enters with weight 1. The buffer is zero before.
            hyper.fresh = 1.0;
        }
        let [buffer, ..] = state else {
            return Err(other_buffers(params));
        };
        sweep(&hyper, params, grads, [buffer])?;
        self.started = true;
        Ok(())
    }

    fn check(&self) -> Result<(), OptimizerError> {
        require(self.lr >= 0.0, "lr >= 0", self.lr)?;
        require(self.momentum >= 0.0, "momentum >= 0", self.momentum)?;
        self.objective.check()?;
        let dampening = if self.tiny {
            self.fresh
        } else {
            1.0 - self.fresh
        };
        require(dampening.is_finite(), "a finite dampening", dampening)?;
        if self.nesterov {
            require(
                self.momentum > 0.0,
                "momentum > 0 with nesterov",
                self.momentum,
            )?;
            require(dampening == 0.0, "dampening = 0 with nesterov", dampening)?;
        }
        Ok(())
    }
}

/// Plain gradient descent, which most firmware runs.
struct Descent {
    lr: f32,
}

impl Element for Descent {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, _: &mut [L]) -> L {
        p - L::splat(self.lr) * g
    }
}

impl Element for Hyper {
    #[inline(always)]
    fn apply<L: Lanes>(&self, p: L, g: L, state: &mut [L]) -> L {
        let mut g = self.objective.gradient(p, g);
        if let [b] = state {
            let momentum = L::splat(self.momentum);
            *b = momentum * *b + L::splat(self.fresh) * g;
            g = if self.nesterov { g + momentum * *b } else { *b };
        }
        p - L::splat(self.lr) * g
    }
}

#[cfg(test)]
mod tests {
    use super::{Descent, Hyper, Sgd};
    use crate::optim::sweep::tests::assert_lanes_agree;

    #[test]
    fn lanes_agree() {
        assert_lanes_agree::<0>(&Descent { lr: 0.1 });
        let plain = Sgd::new(0.1).rule.hyper;
        let decayed = Sgd::new(0.1).weight_decay(0.01).maximize().rule.hyper;
        for hyper in [plain, decayed] {
            assert_lanes_agree::<0>(&hyper);
            let heavy = Hyper {
                momentum: 0.9,
                fresh: 0.8,
                ..hyper
            };
            assert_lanes_agree::<1>(&heavy);
            assert_lanes_agree::<1>(&Hyper {
                nesterov: true,
                ..heavy
            });
        }
    }
}
