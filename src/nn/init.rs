//! Initial values of parameters: `torch.nn.init`, in `f32`.
//!
//! | | distribution |
//! | --- | --- |
//! | [`uniform`] | from `low` to below `high` |
//! | [`normal`] | of the given mean and standard deviation |
//! | [`xavier_uniform`] | within `gain √(6 / (inputs + outputs))` of 0 |
//! | [`xavier_normal`] | of standard deviation `gain √(2 / (inputs + outputs))` |
//! | [`kaiming_uniform`] | within `gain √(3 / fan)` of 0 |
//! | [`kaiming_normal`] | of standard deviation `gain / √fan` |
//! | [`linear`] | as in `nn.Linear`: within `1 / √inputs` of 0 |
//!
//! `inputs` of each unit and `outputs` of each input are PyTorch's `fan_in` and `fan_out`; for a
//! convolution, they are channels times the length of the kernel. Xavier initialisation is for
//! layers followed by tanh or a similar function (X. Glorot and Y. Bengio, 2010), Kaiming
//! initialisation for layers followed by relu (K. He and others, 2015).
//!
//! ```
//! use baregrad::nn::init::{self, Nonlinearity};
//! use baregrad::random::seeded;
//!
//! let (inputs, outputs) = (24, 8);
//! let mut weights = [0.0; 24 * 8];
//! init::xavier_uniform(&mut seeded(1), inputs, outputs, Nonlinearity::Tanh.gain(), &mut weights)?;
//! let bound = 5.0 / 3.0 * (6.0_f32 / 32.0).sqrt();
//! assert!(weights.iter().all(|w| w.abs() <= bound));
//!
//! init::kaiming_normal(&mut seeded(1), inputs, Nonlinearity::Relu, &mut weights)?;
//! # Ok::<(), baregrad::random::RandomError>(())
//! ```

use crate::kernel::Lanes;
use crate::random::{RandomError, Rng, fill_normal, fill_uniform};

/// The function that follows a layer, which determines the layer's [gain](Self::gain).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Nonlinearity {
    /// None, as after a linear layer or a convolution.
    Linear,
    /// The logistic function.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// `x` above 0, this slope times `x` below. PyTorch's default slope is 0.01, but 0 in
    /// `kaiming_uniform`, which is [`Relu`](Self::Relu).
    LeakyRelu(f32),
    /// The scaled exponential linear unit.
    Selu,
}

impl Nonlinearity {
    /// `torch.nn.init.calculate_gain`: the factor by which weights are larger than without a
    /// nonlinearity, so that results keep the magnitude of the inputs.
    ///
    /// ```
    /// use baregrad::nn::init::Nonlinearity;
    ///
    /// assert_eq!(Nonlinearity::Relu.gain(), core::f32::consts::SQRT_2);
    /// ```
    #[must_use]
    pub fn gain(self) -> f32 {
        match self {
            Self::Linear | Self::Sigmoid => 1.0,
            Self::Tanh => 5.0 / 3.0,
            Self::Relu => core::f32::consts::SQRT_2,
            Self::LeakyRelu(slope) => Lanes::sqrt(2.0 / (1.0 + slope * slope)),
            Self::Selu => 0.75,
        }
    }
}

/// Fills `to` with uniform numbers from `low` to below `high`: see [`fill_uniform`].
///
/// # Errors
/// `low > high`, or one of `low`, `high` and `high - low` is not finite. Then nothing is
/// written or drawn.
pub fn uniform<R: Rng + ?Sized>(
    rng: &mut R,
    low: f32,
    high: f32,
    to: &mut [f32],
) -> Result<(), RandomError> {
    fill_uniform(rng, low, high, to)
}

/// Fills `to` with normally distributed numbers: see [`fill_normal`].
///
/// # Errors
/// `std < 0`, or one of `mean` and `std` is not finite. Then nothing is written or drawn.
pub fn normal<R: Rng + ?Sized>(
    rng: &mut R,
    mean: f32,
    std: f32,
    to: &mut [f32],
) -> Result<(), RandomError> {
    fill_normal(rng, mean, std, to)
}

/// Fills `to` with uniform numbers within `gain √(6 / (inputs + outputs))` of 0.
///
/// # Errors
/// A gain that is negative or not finite, or `inputs` and `outputs` that are both 0.
pub fn xavier_uniform<R: Rng + ?Sized>(
    rng: &mut R,
    inputs: usize,
    outputs: usize,
    gain: f32,
    to: &mut [f32],
) -> Result<(), RandomError> {
    within(rng, gain * root(6.0, inputs as f32 + outputs as f32), to)
}

/// Fills `to` with normal numbers of standard deviation `gain √(2 / (inputs + outputs))`.
///
/// # Errors
/// A gain that is negative or not finite, or `inputs` and `outputs` that are both 0.
pub fn xavier_normal<R: Rng + ?Sized>(
    rng: &mut R,
    inputs: usize,
    outputs: usize,
    gain: f32,
    to: &mut [f32],
) -> Result<(), RandomError> {
    let std = gain * root(2.0, inputs as f32 + outputs as f32);
    fill_normal(rng, 0.0, std, to)
}

/// Fills `to` with uniform numbers within `gain √(3 / fan)` of 0. The fan is the number of
/// inputs, which preserves the magnitude of results (PyTorch's default), or of outputs, which
/// preserves the magnitude of gradients.
///
/// # Errors
/// A slope that is NaN, or a fan of 0.
pub fn kaiming_uniform<R: Rng + ?Sized>(
    rng: &mut R,
    fan: usize,
    followed_by: Nonlinearity,
    to: &mut [f32],
) -> Result<(), RandomError> {
    within(rng, followed_by.gain() * root(3.0, fan as f32), to)
}

/// Fills `to` with normal numbers of standard deviation `gain / √fan`. The fan is as in
/// [`kaiming_uniform`].
///
/// # Errors
/// A slope that is NaN, or a fan of 0.
pub fn kaiming_normal<R: Rng + ?Sized>(
    rng: &mut R,
    fan: usize,
    followed_by: Nonlinearity,
    to: &mut [f32],
) -> Result<(), RandomError> {
    fill_normal(rng, 0.0, followed_by.gain() * root(1.0, fan as f32), to)
}

/// Fills `to` with weights or biases as `nn.Linear` and `nn.Conv1d` do: with uniform numbers
/// within [`linear_bound`]`(inputs)` of 0.
pub fn linear<R: Rng + ?Sized>(rng: &mut R, inputs: usize, to: &mut [f32]) {
    // The bound is finite, so this does not fail.
    let filled = within(rng, linear_bound(inputs), to);
    debug_assert!(filled.is_ok());
}

/// `1 / √inputs`, or 0 without inputs. PyTorch computes the same bound by `kaiming_uniform` with
/// a slope of √5.
#[must_use]
pub fn linear_bound(inputs: usize) -> f32 {
    if inputs == 0 {
        return 0.0;
    }
    1.0 / Lanes::sqrt(inputs as f32)
}

fn within<R: Rng + ?Sized>(rng: &mut R, bound: f32, to: &mut [f32]) -> Result<(), RandomError> {
    fill_uniform(rng, -bound, bound, to)
}

fn root(numerator: f32, fan: f32) -> f32 {
    Lanes::sqrt(numerator / fan)
}
