//! Decay rates and their powers `βᵗ`, with which optimizers correct the bias of averages that
//! start at zero.

use super::builders::Shown;
use super::q63::Q63;
use super::{OptimizerError, Show, Visit};
use crate::function::TwoFloat;
use crate::kernel::Lanes;

/// A decay rate `beta`, and `power`, which is `betaᵗ` after `t` steps.
///
/// A schedule may [change](Self::set_beta) the rate. As in PyTorch, the power of a step is then
/// that of the current rate, as if the rate had never been another. This requires the number of
/// steps: rate and step count then replace the power, marked by two highest bits that are never
/// both set in a Q63.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decay {
    pub(super) beta: Q63,
    pub(super) power: Q63,
}

impl Decay {
    /// A rate of 1, which does not decay and which [`new`](Self::new) does not create.
    pub(super) const ONE: Self = Self {
        beta: Q63::ONE,
        power: Q63::ONE,
    };

    /// Creates a rate before the first step. Always inlined, so that a constant argument leaves
    /// no `f64` code.
    #[inline(always)]
    pub(super) const fn new(beta: f64) -> Self {
        Self {
            beta: Q63::new(beta),
            power: Q63::ONE,
        }
    }

    /// Returns an error unless the rate is at least 0 and less than 1.
    pub(super) fn check(&self, expected: &'static str) -> Result<(), OptimizerError> {
        let out_of_range = |found| OptimizerError::HyperParameter { expected, found };
        self.beta.check().map_err(out_of_range)
    }

    /// Returns an error unless the rate is at least 0 and at most 1.
    pub(super) fn check_up_to_1(&self, expected: &'static str) -> Result<(), OptimizerError> {
        if self.beta == Q63::ONE {
            Ok(())
        } else {
            self.check(expected)
        }
    }

    /// `1 - betaᵗ` as a pair. Callers round results to `f32` once, just before they are applied
    /// to parameters, as PyTorch rounds its `f64`.
    pub(super) fn correction(&self) -> TwoFloat {
        self.power.one_minus().to_pair()
    }

    /// Advances to the power of the next step, if no schedule changed the rate.
    #[inline(always)]
    pub(super) fn advance(&mut self) {
        self.power = self.power.times(self.beta);
    }

    /// Advances to the power of the next step, whether or not a schedule changed the rate.
    pub(super) fn advance_any(&mut self) {
        match self.moved() {
            Some((_, u32::MAX)) => {}
            Some(_) => self.power.0 = self.power.0.wrapping_add(1),
            None => self.advance(),
        }
    }

    /// The rate and its power as Q63 numbers, whether or not a schedule changed the rate.
    pub(super) fn fixed(&self) -> Self {
        match self.moved() {
            Some((beta, steps)) => {
                let beta = Q63::of_f32(beta);
                let power = beta.to_the(steps);
                Self { beta, power }
            }
            None => *self,
        }
    }

    /// The rate and the number of steps, if a schedule changed the rate.
    pub(super) fn moved(&self) -> Option<(f32, u32)> {
        let bits = self.power.0;
        let beta = f32::from_bits((bits >> 32) as u32 & BETA);
        (bits >> 62 == Q63::MOVED).then_some((beta, bits as u32))
    }

    /// The current rate.
    pub(super) fn rate(&self) -> f32 {
        match self.moved() {
            Some((beta, _)) => beta,
            None => self.beta.to_pair().to_f32(),
        }
    }

    /// Sets the rate of the following steps. If it is not at least 0 and less than 1, the next
    /// [`check`](Self::check) returns an error.
    #[cold]
    pub(super) fn set_beta(&mut self, beta: f32) {
        if beta == self.rate() {
            return;
        }
        if !(0.0..1.0).contains(&beta) {
            self.beta = Q63(1 << 63 | u64::from(beta.to_bits()));
            return;
        }
        let steps = self
            .moved()
            .map_or_else(|| self.steps(), |(_, steps)| steps);
        self.power = Q63(Q63::MOVED << 62 | u64::from(beta.to_bits()) << 32 | u64::from(steps));
    }

    /// The number of steps after which the power was reached, or after which it became 0.
    fn steps(&self) -> u32 {
        let (mut power, mut steps) = (Q63::ONE, 0_u32);
        while power != self.power && power.0 != 0 {
            power = power.times(self.beta);
            steps = steps.saturating_add(1);
        }
        steps
    }
}

/// The bits of a rate below 2 that may be set: all but the sign and the highest exponent bit.
const BETA: u32 = 0x3fff_ffff;

impl Shown for Decay {
    fn show(&self, name: &'static str, show: Show<'_>) {
        show(name, &[self.beta.to_f32()]);
    }
}

/// The weights of the old value and of a new number in a running average: `rate` and
/// `1 - rate`. Each is rounded from `f64`, as PyTorch does before `f32` arithmetic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Average {
    pub(super) keep: f32,
    pub(super) fresh: f32,
}

impl Average {
    /// Creates the weights for a rate. Always inlined, so that a constant argument leaves no
    /// `f64` code.
    #[inline(always)]
    pub(super) const fn new(rate: f64) -> Self {
        Self {
            keep: rate as f32,
            fresh: (1.0 - rate) as f32,
        }
    }

    /// Returns the running average of squares after adding the square of `g`.
    #[inline(always)]
    pub(super) fn of_square<L: Lanes>(&self, average: L, g: L) -> L {
        L::splat(self.keep) * average + L::splat(self.fresh) * g * g
    }

    /// Visits both weights.
    pub(super) fn visit(&mut self, name: &'static str, visit: Visit<'_>) {
        let mut both = [self.keep, self.fresh];
        visit(name, &mut both);
        [self.keep, self.fresh] = both;
    }

    /// The weights for a rate that a schedule has set.
    pub(super) fn moved_to(rate: f32) -> Self {
        Self {
            keep: rate,
            fresh: 1.0 - rate,
        }
    }
}

impl Shown for Average {
    fn show(&self, name: &'static str, show: Show<'_>) {
        self.keep.show(name, show);
    }
}

/// β₁ of the optimizers related to Adam: the weight of a new gradient in the first moment, and
/// the bias correction. A schedule may change it, as PyTorch's schedules change `betas[0]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beta1 {
    /// `1 - β₁`.
    pub(super) fresh: f32,
    decay: Decay,
}

impl Beta1 {
    /// Creates a rate before the first step. Always inlined, so that a constant argument leaves
    /// no `f64` code.
    #[inline(always)]
    pub(super) const fn new(beta1: f64) -> Self {
        Self {
            fresh: Average::new(beta1).fresh,
            decay: Decay::new(beta1),
        }
    }

    /// Returns an error unless the rate is at least 0 and less than 1.
    pub(super) fn check(&self) -> Result<(), OptimizerError> {
        self.decay.check("0 <= beta1 < 1")
    }

    /// Advances to the next step, and returns its `1 - β₁ᵗ`.
    pub(super) fn advance(&mut self) -> TwoFloat {
        self.decay.advance_any();
        self.decay.fixed().correction()
    }

    /// The current rate.
    pub(super) fn rate(&self) -> f32 {
        self.decay.rate()
    }

    /// Sets the rate of the following steps.
    pub(super) fn set(&mut self, beta1: f32) {
        self.decay.set_beta(beta1);
        self.follow();
    }

    /// Visits the power.
    pub(super) fn visit(&mut self, visit: Visit<'_>) {
        self.decay.power.visit("beta1_power", visit);
        self.follow();
    }

    /// Forgets all steps.
    pub(super) fn reset(&mut self) {
        self.decay.power = Q63::ONE;
    }

    /// Updates the weight of a new gradient, if a schedule changed the rate.
    fn follow(&mut self) {
        if let Some((beta1, _)) = self.decay.moved() {
            self.fresh = Average::moved_to(beta1).fresh;
        }
    }
}

impl Shown for Beta1 {
    fn show(&self, name: &'static str, show: Show<'_>) {
        self.decay.show(name, show);
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::{Decay, Q63};

    /// A changed rate continues the step count, and the saved state contains rate and count.
    #[test]
    fn rates_that_move() {
        for beta in [0.0, 0.5, 0.85, 0.9, 0.95, 0.99] {
            for steps in [0, 1, 2, 7, 60, 200] {
                let mut decay = Decay::new(beta);
                (0..steps).for_each(|_| decay.advance_any());
                assert_eq!(decay.moved(), None);
                assert_eq!(decay.rate(), beta as f32);
                decay.set_beta(0.8125);
                let vanished = decay.moved().map_or(0, |(_, found)| found) < steps;
                assert!(!vanished || beta < 0.9, "{beta} {steps}");
                decay.advance_any();
                decay.set_beta(0.96);
                let Some((rate, found)) = decay.moved() else {
                    panic!("{beta}");
                };
                assert_eq!(rate, 0.96);
                assert!(vanished || found == steps + 1, "{beta}: {found}");
                let exact = f64::from(0.96_f32).powi(found as i32);
                let power = decay.fixed().power.to_f32();
                assert!(
                    (f64::from(power) / exact - 1.0).abs() < 1.5e-7,
                    "{power} {exact}"
                );

                let mut digits = [0.0; 3];
                decay
                    .power
                    .visit("power", &mut |_, now| digits.copy_from_slice(now));
                let mut kept = Decay::new(beta);
                kept.power
                    .visit("power", &mut |_, now| now.copy_from_slice(&digits));
                assert_eq!(kept.power, decay.power);
            }
        }
        for bad in [-0.5, 1.0, 2.0, f32::NAN] {
            let mut decay = Decay::new(0.9);
            decay.set_beta(bad);
            assert!(decay.check("0 <= beta < 1").is_err(), "{bad}");
        }
        for x in [0.0, 1e-30, 0.1, 0.5, 0.9, 1.0_f32.next_down()] {
            let found = Q63::of_f32(x).0 as f64 / (1_u64 << 63) as f64;
            assert!((found - f64::from(x)).abs() < 1e-18, "{x}");
        }
    }
}
