//! Gradient clipping, so that one bad batch cannot move the parameters far.

use crate::error::{Error, OptimizerError};
use crate::kernel::{self, Lanes, Map};
use crate::tape::Tape;

/// Limits the norm of all gradients together to `max_norm`, as
/// `torch.nn.utils.clip_grad_norm_`: multiplies them by `max_norm / (norm + 1e-6)` if that is
/// less than 1. Returns the norm before clipping. [`ClipGradNorm`] supports other norms.
///
/// Unlike in PyTorch, finite gradients are clipped correctly at any size, even if their norm
/// overflows `f32` (the returned norm is then infinite). As in PyTorch, a NaN makes all
/// gradients NaN, and an infinite gradient becomes NaN and the others 0.
///
/// ```
/// let mut grads = [6.0, -8.0];
/// assert_eq!(baregrad::optim::clip_grad_norm(&mut grads, 5.0), 10.0);
/// assert!((grads[0] - 3.0_f32).abs() < 1e-6 && (grads[1] + 4.0_f32).abs() < 1e-6);
/// ```
pub fn clip_grad_norm(grads: &mut [f32], max_norm: f32) -> f32 {
    let scale = scale_of(largest(grads));
    let scaled = Lanes::sqrt(kernel::sum_of(ScaledSquare { scale }, [&*grads]));
    shorten(grads, max_norm, scaled, scale);
    scaled / scale
}

/// The largest magnitude; NaN if any gradient is NaN.
pub(super) fn largest(grads: &[f32]) -> f32 {
    grads.iter().fold(0.0, |most: f32, g| {
        if g.abs() > most || g.is_nan() {
            g.abs()
        } else {
            most
        }
    })
}

/// The smallest magnitude; NaN if any gradient is NaN, and 0 without gradients.
fn smallest(grads: &[f32]) -> f32 {
    let magnitudes = grads.iter().map(|g| g.abs());
    let smaller = |least: f32, g: f32| if g < least || g.is_nan() { g } else { least };
    magnitudes.reduce(smaller).unwrap_or(0.0)
}

/// The power of two that scales the largest magnitude to the range from 1 to 2, so that its
/// square does not overflow. Scaling by a power of two is exact.
fn scale_of(largest: f32) -> f32 {
    let exponent = (largest.to_bits() >> 23).clamp(1, 253);
    f32::from_bits((254 - exponent) << 23)
}

/// Multiplies gradients with the norm `scaled / scale` by `max_norm / (norm + 1e-6)`, if that
/// is less than 1.
fn shorten(grads: &mut [f32], max_norm: f32, scaled: f32, scale: f32) {
    let factor = max_norm / (scaled + 1e-6 * scale);
    let whole = factor * scale;
    if whole < f32::MIN_POSITIVE {
        // The product is subnormal or 0 and has lost digits: apply its two factors one after
        // the other.
        grads.iter_mut().for_each(|g| *g = *g * scale * factor);
    } else if whole < 1.0 || whole.is_nan() {
        grads.iter_mut().for_each(|g| *g *= whole);
    }
}

/// A norm of all gradients together, `norm_type` in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Norm {
    /// The sum of magnitudes, `norm_type=1`.
    L1,
    /// The root of the sum of squares, `norm_type=2`.
    L2,
    /// The largest magnitude, `norm_type=inf`.
    Max,
    /// The smallest magnitude, `norm_type=-inf`.
    Min,
    /// The p-th root of the sum of p-th powers of the magnitudes, for any p except 0. As in
    /// PyTorch, p may be negative; the norm is then 0 if any gradient is 0. (For p = 0,
    /// PyTorch's norm counts tensors, which is of no use for clipping.)
    P(f32),
}

/// Gradient clipping with all options of `torch.nn.utils.clip_grad_norm_`.
///
/// | | default |
/// | --- | --- |
/// | [`norm_type`](Self::norm_type) | [`Norm::L2`] |
/// | [`error_if_nonfinite`](Self::error_if_nonfinite) | off |
///
/// ```
/// use baregrad::optim::{ClipGradNorm, Norm};
///
/// let clip = ClipGradNorm::new(2.0).norm_type(Norm::Max).error_if_nonfinite();
/// let mut grads = [1.0, -8.0];
/// assert_eq!(clip.apply(&mut grads)?, 8.0);
/// assert!((grads[1] + 2.0).abs() < 1e-6 && (grads[0] - 0.25).abs() < 1e-6);
/// assert!(clip.apply(&mut [1.0, f32::INFINITY]).is_err());
/// # Ok::<(), baregrad::optim::OptimizerError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipGradNorm {
    max_norm: f32,
    norm: Norm,
    error_if_nonfinite: bool,
}

impl ClipGradNorm {
    /// Clips gradients whose norm exceeds `max_norm` to that norm.
    #[must_use]
    pub const fn new(max_norm: f32) -> Self {
        Self {
            max_norm,
            norm: Norm::L2,
            error_if_nonfinite: false,
        }
    }

    /// Sets the norm.
    #[must_use]
    pub const fn norm_type(mut self, norm: Norm) -> Self {
        self.norm = norm;
        self
    }

    /// Makes an infinite or NaN norm an error. By default, [`clip_grad_norm`] describes the
    /// result.
    #[must_use]
    pub const fn error_if_nonfinite(mut self) -> Self {
        self.error_if_nonfinite = true;
        self
    }

    /// Clips the gradients. Returns their norm before clipping.
    ///
    /// # Errors
    /// A [`Norm::P`] of 0 or NaN; with [`error_if_nonfinite`](Self::error_if_nonfinite),
    /// gradients that are infinite or NaN, or whose norm overflows `f32`. Nothing has changed
    /// then.
    pub fn apply(&self, grads: &mut [f32]) -> Result<f32, OptimizerError> {
        let scale = scale_of(largest(grads));
        let (scaled, scale) = match self.norm {
            Norm::L2 => (
                Lanes::sqrt(kernel::sum_of(ScaledSquare { scale }, [&*grads])),
                scale,
            ),
            Norm::L1 => (kernel::sum_of(ScaledMagnitude { scale }, [&*grads]), scale),
            Norm::Max | Norm::P(f32::INFINITY) => (largest(grads) * scale, scale),
            Norm::Min | Norm::P(f32::NEG_INFINITY) => (smallest(grads), 1.0),
            Norm::P(p) if p != 0.0 && !p.is_nan() => norm_of_power(grads, p),
            Norm::P(p) => {
                return Err(OptimizerError::HyperParameter {
                    expected: "a p other than 0 in Norm::P",
                    found: p,
                });
            }
        };
        let norm = scaled / scale;
        if self.error_if_nonfinite && !norm.is_finite() {
            return Err(OptimizerError::NonFiniteNorm { found: norm });
        }
        shorten(grads, self.max_norm, scaled, scale);
        Ok(norm)
    }
}

/// Returns the norm times a power of two, and that power.
fn norm_of_power(grads: &[f32], p: f32) -> (f32, f32) {
    // The magnitude with the largest power: the largest for a positive p, the smallest for a
    // negative one. Powers of quotients by it are at most 1, and their sum is at least 1.
    let decides = if p > 0.0 {
        largest(grads)
    } else {
        smallest(grads)
    };
    if decides == 0.0 || !decides.is_finite() {
        return (decides, 1.0);
    }
    let scale = scale_of(decides);
    let sum = kernel::sum_of(QuotientPower { decides, p }, [grads]);
    (decides * scale * kernel::math::pow(sum, 1.0 / p), scale)
}

/// Limits every gradient to the range from `-max_value` to `max_value`, as
/// `torch.nn.utils.clip_grad_value_`, infinite ones included. NaN stays NaN.
pub fn clip_grad_value(grads: &mut [f32], max_value: f32) {
    for g in grads {
        if *g > max_value {
            *g = max_value;
        } else if *g < -max_value {
            *g = -max_value;
        }
    }
}

/// The square of `g · scale`.
struct ScaledSquare {
    scale: f32,
}

impl Map<1> for ScaledSquare {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g]: &[L; 1]) -> L {
        let g = g * L::splat(self.scale);
        g * g
    }
}

/// The magnitude of `g · scale`.
struct ScaledMagnitude {
    scale: f32,
}

impl Map<1> for ScaledMagnitude {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g]: &[L; 1]) -> L {
        (g * L::splat(self.scale)).abs()
    }
}

/// The p-th power of the magnitude of `g` over `decides`.
struct QuotientPower {
    decides: f32,
    p: f32,
}

impl Map<1> for QuotientPower {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g]: &[L; 1]) -> L {
        kernel::math::pow(g.abs() / L::splat(self.decides), L::splat(self.p))
    }
}

impl Tape<'_> {
    /// Clips the gradients of all parameters together by any norm, between `backward` and
    /// `step`: see [`ClipGradNorm`]. Returns their norm before clipping.
    ///
    /// ```
    /// # use baregrad::{Arena, optim::{ClipGradNorm, Norm}};
    /// # let mut arena = Arena::<16, 8>::new();
    /// # let tape = arena.tape();
    /// let w = tape.param(&[3.0, -1.0], [2]);
    /// tape.backward(w.square().sum())?;
    /// assert_eq!(tape.clip_grads(ClipGradNorm::new(4.0).norm_type(Norm::L1))?, 8.0);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`clip_grad_norm`](Self::clip_grad_norm) and of [`ClipGradNorm::apply`].
    #[track_caller]
    pub fn clip_grads(&self, clip: ClipGradNorm) -> Result<f32, Error> {
        self.change_grads("clip_grads", |grads| clip.apply(grads))
    }

    /// Clips the gradients of all parameters together by their norm, between `backward` and
    /// `step`: see [`clip_grad_norm`]. Returns their norm before clipping.
    ///
    /// ```
    /// # use baregrad::{Arena, optim::Sgd};
    /// # let mut arena = Arena::<16, 8>::new();
    /// # let tape = arena.tape();
    /// let w = tape.param(&[3.0], []);
    /// tape.backward(w.square())?;
    /// assert_eq!(tape.clip_grad_norm(1.0)?, 6.0);
    /// tape.step(&mut Sgd::new(1.0))?;
    /// assert!((w.item()? - 2.0).abs() < 1e-6);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// A parameter without a gradient, as in [`step`](Self::step), or the error that the tape
    /// keeps.
    #[track_caller]
    pub fn clip_grad_norm(&self, max_norm: f32) -> Result<f32, Error> {
        self.change_grads("clip_grad_norm", |grads| {
            Ok(clip_grad_norm(grads, max_norm))
        })
    }

    /// Clips every gradient by its value, between `backward` and `step`: see
    /// [`clip_grad_value`].
    ///
    /// # Errors
    /// A parameter without a gradient, as in [`step`](Self::step), or the error that the tape
    /// keeps.
    #[track_caller]
    pub fn clip_grad_value(&self, max_value: f32) -> Result<(), Error> {
        self.change_grads("clip_grad_value", |grads| {
            clip_grad_value(grads, max_value);
            Ok(())
        })
    }
}
