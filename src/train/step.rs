//! Penalties and clipping, applied between `backward` and the step of the optimizer.

use std::vec::Vec;

use super::model::Param;
use crate::calibrate::TwoFloat;
use crate::optim::schedule::Rates;
use crate::optim::{Optimizer, OptimizerError, clip_grad_norm, clip_grad_value};

/// Limits the gradient, so that one bad batch cannot throw the parameters far away.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Clip {
    /// Limits the norm of the gradient of all parameters together, as
    /// `torch.nn.utils.clip_grad_norm_` does: multiplies it by `most / (norm + 1e-6)` if
    /// this factor is less than 1.
    ///
    /// Unlike PyTorch's, this clipping is exact for all finite gradients, whatever their size
    /// and number: see [`clip_grad_norm`]. As in PyTorch, a NaN among the gradients makes all of
    /// them NaN, and an infinity makes itself NaN and the others 0; the parameters then become
    /// NaN, and [`Fit`](super::Fit) reports that the loss diverged.
    Norm(f32),
    /// Limits each element of the gradient to `-most..=most`, as
    /// `torch.nn.utils.clip_grad_value_` does. An infinity is limited, too; a NaN stays.
    Value(f32),
}

impl Clip {
    pub(super) fn most(&self) -> f32 {
        match *self {
            Clip::Norm(most) | Clip::Value(most) => most,
        }
    }

    fn apply(&self, grads: &mut [f32]) {
        match *self {
            Clip::Norm(most) => {
                clip_grad_norm(grads, most);
            }
            Clip::Value(most) => clip_grad_value(grads, most),
        }
    }
}

/// The penalty `l1 · Σ|p| + l2 · Σp²` over the parameters that are not exempt. Its
/// gradient is `l1 · sign(p) + 2 · l2 · p`, with `sign(0) = 0`.
///
/// The penalty is added to the gradients here instead of being recorded on the tape, so
/// that training and validation losses stay comparable.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Penalty {
    pub(super) l1: f32,
    pub(super) l2: f32,
}

impl Penalty {
    fn loss(&self, p: f32) -> f32 {
        self.l1 * p.abs() + self.l2 * (p * p)
    }

    fn gradient(&self, p: f32) -> f32 {
        let sign = if p == 0.0 { 0.0 } else { p.signum() };
        self.l1 * sign + 2.0 * self.l2 * p
    }
}

/// A penalty, and the elements to which it applies.
#[derive(Clone, Debug)]
pub(super) struct Penalised {
    penalty: Penalty,
    /// Whether the penalty applies to each element; empty without a penalty.
    elements: Vec<bool>,
}

impl Penalised {
    pub(super) fn new(penalty: Penalty, params: &[Param]) -> Self {
        let each = |param: &Param| core::iter::repeat_n(param.penalised, param.values.len());
        let elements = if penalty == Penalty::default() {
            Vec::new()
        } else {
            params.iter().flat_map(each).collect()
        };
        Penalised { penalty, elements }
    }

    fn is_none(&self) -> bool {
        self.elements.is_empty()
    }

    /// The penalty of these parameters, summed in twice the precision of `f32`.
    pub(super) fn loss(&self, params: impl Iterator<Item = f32>) -> f32 {
        let elements = params.zip(&self.elements);
        let penalised = elements.filter(|(_, penalised)| **penalised);
        let sum: TwoFloat =
            penalised.fold(TwoFloat::ZERO, |sum, (p, _)| sum.plus(self.penalty.loss(p)));
        sum.to_f32()
    }

    /// Adds the gradients of the penalty to those of the loss.
    pub(super) fn add_to(&self, grads: &mut [f32], params: &[f32]) {
        let elements = grads.iter_mut().zip(params).zip(&self.elements);
        for ((g, &p), _) in elements.filter(|(_, penalised)| **penalised) {
            *g += self.penalty.gradient(p);
        }
    }
}

/// An optimizer whose gradients are first penalised and clipped.
pub(super) struct Prepared<'a, O: ?Sized> {
    pub(super) optimizer: &'a mut O,
    pub(super) clip: Option<Clip>,
    penalised: Penalised,
    grads: Vec<f32>,
}

impl<'a, O: Optimizer + ?Sized> Prepared<'a, O> {
    pub(super) fn new(
        optimizer: &'a mut O,
        clip: Option<Clip>,
        penalty: Penalty,
        params: &[Param],
    ) -> Self {
        Prepared {
            optimizer,
            clip,
            penalised: Penalised::new(penalty, params),
            grads: Vec::new(),
        }
    }
}

impl<O: Optimizer + ?Sized> Optimizer for Prepared<'_, O> {
    fn step(&mut self, params: &mut [f32], grads: &[f32]) -> Result<(), OptimizerError> {
        if self.clip.is_none() && self.penalised.is_none() {
            return self.optimizer.step(params, grads);
        }
        self.grads.clear();
        self.grads.extend_from_slice(grads);
        self.penalised.add_to(&mut self.grads, params);
        if let Some(clip) = self.clip {
            clip.apply(&mut self.grads);
        }
        self.optimizer.step(params, &self.grads)
    }

    fn refusals_change_nothing(&self) -> bool {
        self.optimizer.refusals_change_nothing()
    }

    fn learning_rate(&self) -> f32 {
        self.optimizer.learning_rate()
    }

    fn set_learning_rate(&mut self, lr: f32) {
        self.optimizer.set_learning_rate(lr);
    }

    fn momentum_factor(&self) -> Option<f32> {
        self.optimizer.momentum_factor()
    }

    fn set_momentum_factor(&mut self, momentum: f32) {
        self.optimizer.set_momentum_factor(momentum);
    }

    fn schedule(&mut self, start: bool, rates: &mut Rates, set: &mut dyn FnMut(&mut Rates)) {
        self.optimizer.schedule(start, rates, set);
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use std::vec::Vec;

    use super::{Clip, Penalty, Prepared};
    use crate::optim::{Optimizer, Sgd};
    use crate::train::Param;

    fn step(clip: Option<Clip>, l1: f32, l2: f32) -> [f32; 2] {
        let params = [
            Param::scalar("w", 3.0),
            Param::scalar("b", -2.0).without_penalty(),
        ];
        let mut sgd = Sgd::new(1.0);
        let mut values = [3.0, -2.0];
        let mut prepared = Prepared::new(&mut sgd, clip, Penalty { l1, l2 }, &params);
        assert!(prepared.step(&mut values, &[6.0, -8.0]).is_ok());
        values
    }

    #[test]
    fn penalties_add_their_gradient() {
        assert_eq!(step(None, 0.0, 0.0), [-3.0, 6.0]);
        assert_eq!(step(None, 0.5, 0.0), [-3.5, 6.0]);
        assert_eq!(step(None, 0.0, 0.25), [-4.5, 6.0]);
        assert_eq!(Penalty { l1: 1.0, l2: 1.0 }.gradient(0.0), 0.0);
    }

    #[test]
    fn gradients_are_clipped() {
        // The norm is 10, so the clipped gradient is half of the original.
        let [w, b] = step(Some(Clip::Norm(5.0)), 0.0, 0.0);
        assert!((w - 0.0).abs() < 1e-5 && (b - 2.0).abs() < 1e-5);
        assert_eq!(step(Some(Clip::Norm(11.0)), 0.0, 0.0), [-3.0, 6.0]);
        assert_eq!(step(Some(Clip::Value(7.0)), 0.0, 0.0), [-3.0, 5.0]);
    }

    fn clipped(clip: Clip, grads: &[f32]) -> Vec<f32> {
        let mut grads = grads.to_vec();
        clip.apply(&mut grads);
        grads
    }

    #[test]
    fn gradients_of_any_size_are_clipped() {
        // The formula in `f64`, where nothing overflows or underflows here.
        let formula = |most: f32, grads: &[f32]| -> Vec<f32> {
            let hypot = |norm: f64, g: &f32| norm.hypot(f64::from(*g));
            let norm = grads.iter().fold(0.0, hypot);
            let factor = (f64::from(most) / (norm + 1e-6)).min(1.0);
            grads
                .iter()
                .map(|g| (f64::from(*g) * factor) as f32)
                .collect()
        };
        let cases: [(f32, &[f32]); 9] = [
            (1.0, &[5e19, -5e19]),
            (1.0, &[3e38, 3e38, -3e38, 3e38]),
            (1e-3, &[f32::MAX; 1000]),
            (3e38, &[3e38, 3e38]),
            (1.0, &[5e19, 1e-30, 0.0]),
            (1.0, &[1e-30, -1e-30]),
            // PyTorch adds 1e-6 to the norm, so it also shortens gradients that are far
            // below 1e-6.
            (1e-7, &[3e-25, 4e-25]),
            (1e-12, &[3e-12, 4e-12]),
            (1e-40, &[1e-45, 1e30]),
        ];
        for (most, grads) in cases {
            let found = clipped(Clip::Norm(most), grads);
            let exact = formula(most, grads);
            for (found, exact) in found.iter().zip(&exact) {
                let ulp = exact.abs() * f32::EPSILON + f32::from_bits(1);
                assert!(
                    (found - exact).abs() <= ulp,
                    "{most} {grads:?}: {found} {exact}"
                );
            }
        }
        // The norm is 1e20, and the bound half of it; the expected values are PyTorch's
        // in `float64`.
        assert_eq!(clipped(Clip::Norm(5e19), &[6e19, -8e19]), [3e19, -4e19]);
        assert_eq!(clipped(Clip::Norm(1.0), &[1e-30, 0.0]), [1e-30, 0.0]);
    }

    #[test]
    fn what_is_not_finite_is_not_hidden() {
        // `clip_grad_norm_` does so with its default `error_if_nonfinite=False`.
        let [nan, inf] = [f32::NAN, f32::INFINITY];
        let all = clipped(Clip::Norm(1.0), &[1.0, nan, 0.0]);
        assert!(all.iter().all(|g| g.is_nan()), "{all:?}");
        let all = clipped(Clip::Norm(1.0), &[1.0, nan, inf]);
        assert!(all.iter().all(|g| g.is_nan()), "{all:?}");
        let some = clipped(Clip::Norm(1.0), &[1.0, -inf, 2.0]);
        assert!(
            some[0] == 0.0 && some[1].is_nan() && some[2] == 0.0,
            "{some:?}"
        );
        // `clip_grad_value_` does the same.
        let some = clipped(Clip::Value(1.0), &[-inf, nan, inf]);
        assert!(
            some[0] == -1.0 && some[1].is_nan() && some[2] == 1.0,
            "{some:?}"
        );
    }
}
