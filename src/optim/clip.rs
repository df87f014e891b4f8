//! Shortens gradients that are too long, so that one bad batch cannot throw the parameters
//! far away.

use crate::error::{Error, OptimizerError};
use crate::kernel::{self, Lanes, Map};
use crate::tape::Tape;

/// Makes all gradients together no longer than `max_norm`, as
/// `torch.nn.utils.clip_grad_norm_`: multiplies them by `max_norm / (norm + 1e-6)` if that is
/// less than 1. Returns the norm that they had. [`ClipGradNorm`] has other norms.
///
/// Unlike there, finite gradients are clipped rightly however large or small they are, also
/// if the norm is beyond the largest `f32` (it is returned as infinity then). As there, a NaN
/// among them makes all of them NaN, and an infinity makes itself NaN and the others 0.
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

/// The largest magnitude of all; NaN if one is NaN.
fn largest(grads: &[f32]) -> f32 {
    grads.iter().fold(0.0, |most: f32, g| {
        if g.abs() > most || g.is_nan() {
            g.abs()
        } else {
            most
        }
    })
}

/// The smallest magnitude of all; NaN if one is NaN, and 0 of none.
fn smallest(grads: &[f32]) -> f32 {
    let magnitudes = grads.iter().map(|g| g.abs());
    let smaller = |least: f32, g: f32| if g < least || g.is_nan() { g } else { least };
    magnitudes.reduce(smaller).unwrap_or(0.0)
}

/// The power of two by which the largest magnitude comes to 1 to 2, so that no power of it
/// leaves the range of `f32`, and no digit changes.
fn scale_of(largest: f32) -> f32 {
    let exponent = (largest.to_bits() >> 23).clamp(1, 253);
    f32::from_bits((254 - exponent) << 23)
}

/// Multiplies gradients whose norm is `scaled / scale` by `max_norm / (norm + 1e-6)`, if that is
/// less than 1.
fn shorten(grads: &mut [f32], max_norm: f32, scaled: f32, scale: f32) {
    let factor = max_norm / (scaled + 1e-6 * scale);
    let whole = factor * scale;
    if whole < f32::MIN_POSITIVE {
        // It has lost digits: first the one factor, then the other.
        grads.iter_mut().for_each(|g| *g = *g * scale * factor);
    } else if whole < 1.0 || whole.is_nan() {
        grads.iter_mut().for_each(|g| *g *= whole);
    }
}

/// A norm of all gradients together, PyTorch's `norm_type`.
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
    /// The p-th root of the sum of p-th powers of magnitudes, for any p other than 0: it may be
    /// negative, as in PyTorch, and the norm is 0 then if one gradient is. (Of p = 0 PyTorch
    /// counts tensors, which nobody would shorten gradients by.)
    P(f32),
}

/// How gradients are shortened, with all options of `torch.nn.utils.clip_grad_norm_`.
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
    /// Gradients of a norm of up to `max_norm` stay, others are made as long as that.
    #[must_use]
    pub const fn new(max_norm: f32) -> Self {
        Self {
            max_norm,
            norm: Norm::L2,
            error_if_nonfinite: false,
        }
    }

    /// The norm that is meant.
    #[must_use]
    pub const fn norm_type(mut self, norm: Norm) -> Self {
        self.norm = norm;
        self
    }

    /// Refuses gradients whose norm is infinite or NaN. Otherwise these become as
    /// [`clip_grad_norm`] says.
    #[must_use]
    pub const fn error_if_nonfinite(mut self) -> Self {
        self.error_if_nonfinite = true;
        self
    }

    /// Shortens the gradients. Returns the norm that they had.
    ///
    /// # Errors
    /// [`Norm::P`] of 0 or of NaN; with
    /// [`error_if_nonfinite`](Self::error_if_nonfinite) gradients that are infinite or NaN, or
    /// whose norm is beyond the largest `f32`. Then nothing has changed.
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

/// The norm of the p-th powers times a power of two, and that power.
fn norm_of_power(grads: &[f32], p: f32) -> (f32, f32) {
    // The magnitude that decides, of a negative p the smallest: powers of quotients by it are
    // 1 at most, and their sum is 1 at least.
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

/// Puts every gradient within `max_value` of zero, as `torch.nn.utils.clip_grad_value_`: an
/// infinity, too, and a NaN stays.
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

/// The p-th power of the magnitude of `g` over that which decides.
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
    /// Shortens the gradients of all parameters together, between `backward` and `step`, by any
    /// norm: see [`ClipGradNorm`]. Returns the norm that they had.
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
    /// As for [`clip_grad_norm`](Self::clip_grad_norm), and what [`ClipGradNorm::apply`] refuses.
    #[track_caller]
    pub fn clip_grads(&self, clip: ClipGradNorm) -> Result<f32, Error> {
        self.change_grads("clip_grads", |grads| clip.apply(grads))
    }

    /// Shortens the gradients of all parameters together, between `backward` and `step`: see
    /// [`clip_grad_norm`]. Returns the norm that they had.
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
    /// A parameter without a gradient, as for [`step`](Self::step), or the error the tape
    /// keeps.
    #[track_caller]
    pub fn clip_grad_norm(&self, max_norm: f32) -> Result<f32, Error> {
        self.change_grads("clip_grad_norm", |grads| {
            Ok(clip_grad_norm(grads, max_norm))
        })
    }

    /// Clips every gradient of the parameters, between `backward` and `step`: see
    /// [`clip_grad_value`].
    ///
    /// # Errors
    /// A parameter without a gradient, as for [`step`](Self::step), or the error the tape
    /// keeps.
    #[track_caller]
    pub fn clip_grad_value(&self, max_value: f32) -> Result<(), Error> {
        self.change_grads("clip_grad_value", |grads| {
            clip_grad_value(grads, max_value);
            Ok(())
        })
    }
}
