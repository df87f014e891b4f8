//! Shortens gradients that are too long, so that one bad batch cannot throw the parameters
//! far away.

use crate::error::Error;
use crate::kernel::{self, Lanes, Map};
use crate::tape::Tape;

/// Makes all gradients together no longer than `max_norm`, as
/// `torch.nn.utils.clip_grad_norm_`: multiplies them by `max_norm / (norm + 1e-6)` if that is
/// less than 1. Returns the norm that they had.
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
    let largest = grads.iter().fold(0.0, |most: f32, g| {
        if g.abs() > most || g.is_nan() {
            g.abs()
        } else {
            most
        }
    });
    // Squares are of numbers up to 2: a power of two changes no digit.
    let exponent = (largest.to_bits() >> 23).clamp(1, 253);
    let scale = f32::from_bits((254 - exponent) << 23);
    let scaled = Lanes::sqrt(kernel::sum_of(ScaledSquare { scale }, [&*grads]));
    let factor = max_norm / (scaled + 1e-6 * scale);
    let whole = factor * scale;
    if whole < f32::MIN_POSITIVE {
        // It has lost digits: first the one factor, then the other.
        grads.iter_mut().for_each(|g| *g = *g * scale * factor);
    } else if whole < 1.0 || whole.is_nan() {
        grads.iter_mut().for_each(|g| *g *= whole);
    }
    scaled / scale
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

impl Tape<'_> {
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
        self.change_grads("clip_grad_norm", |grads| clip_grad_norm(grads, max_norm))
    }

    /// Clips every gradient of the parameters, between `backward` and `step`: see
    /// [`clip_grad_value`].
    ///
    /// # Errors
    /// A parameter without a gradient, as for [`step`](Self::step), or the error the tape
    /// keeps.
    #[track_caller]
    pub fn clip_grad_value(&self, max_value: f32) -> Result<(), Error> {
        self.change_grads("clip_grad_value", |grads| clip_grad_value(grads, max_value))
    }
}
