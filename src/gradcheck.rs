//! Compares the gradients of `backward` with central differences, on any recorded model.
//!
//! ```
//! use baregrad::{Arena, gradcheck::gradcheck};
//!
//! let mut arena = Arena::<64, 16>::new();
//! let tape = arena.tape();
//! let w = tape.param(&[0.3, -0.7], [2]);
//! let x = tape.input(&[1.0, 2.0], [2]);
//! let loss = (w * x).sin().square().mean();
//!
//! let report = gradcheck(loss)?;
//! assert!(report.passed(), "{report}");
//! assert_eq!(report.checked, 2);
//! # Ok::<(), baregrad::Error>(())
//! ```
//!
//! # How far the two may be apart
//!
//! Each element of each parameter is moved by `±h` and the tape replayed. The
//! central difference `D(h) = (f(x + h) - f(x - h)) / 2h` is off by `h² f‴/6`;
//! Richardson's extrapolation `(4 D(h) - D(2h)) / 3` removes this error and leaves
//! `h⁴ f⁗'/30`. But `f` is computed in `f32`: if it is off by `δ |f|`, the quotient is off
//! by about `δ |f| / h`. As `h` falls, the first error falls and the second rises, and the
//! best `h` depends on the model. So [`STEPS`] steps are tried, each half the one before,
//! and the estimate with the smallest sum of its rounding error and its change against the
//! previous estimate is taken.
//!
//! A gradient passes if it differs from the estimate, sign included, by no more
//! than
//!
//! ```text
//! rtol · max(|gradient|, |estimate|)  +  δ |f| / h  +  atol
//! ```
//!
//! with `δ = 2⁻²¹`, eight half ULPs. This suits losses whose terms are not much
//! larger than the loss; a loss that is a small difference of large terms needs an
//! `atol`. Near a kink, such as that of `relu` at 0, there is no derivative to estimate.
//!
//! A model with [`detach`](crate::Var::detach) or [`no_grad`](crate::Tape::no_grad) does not
//! pass: the differences include the terms that the gradient leaves out.

use core::fmt;

use crate::error::Error;
use crate::var::Var;

/// The number of steps tried for each element, each half the one before.
pub const STEPS: usize = 7;

/// The relative error that a loss is assumed to have: `δ` of the [module](self).
const ROUNDING: f64 = 1.0 / (1 << 21) as f64;

/// Compares the gradients of `loss` with central differences, for every element
/// of every parameter. [`Gradcheck`] has options.
///
/// # Errors
/// The errors of [`replay`](crate::Tape::replay) and [`backward`](crate::Tape::backward).
#[track_caller]
pub fn gradcheck(loss: Var<'_>) -> Result<Report, Error> {
    Gradcheck::new().run(loss)
}

/// Options for [`gradcheck`], by PyTorch's names.
///
/// ```
/// # let mut arena = baregrad::Arena::<64, 16>::new();
/// # let tape = arena.tape();
/// use baregrad::gradcheck::Gradcheck;
///
/// let x = tape.param(&[1000.0], []);
/// let loss = (x - 1000.5).square();
/// // From 1000, steps of 125 down to 2: fine for a parabola.
/// assert!(Gradcheck::new().rtol(1e-4).run(loss)?.passed());
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gradcheck {
    eps: f32,
    rtol: f32,
    atol: f32,
}

impl Gradcheck {
    /// Returns the defaults: `eps` 1/8, `rtol` 1e-3, `atol` 0.
    pub const fn new() -> Self {
        Gradcheck {
            eps: 0.125,
            rtol: 1e-3,
            atol: 0.0,
        }
    }

    /// Sets the largest step, relative to the element if that is above 1, absolute otherwise.
    #[must_use]
    pub const fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Sets the difference that is allowed relative to the gradient.
    #[must_use]
    pub const fn rtol(mut self, rtol: f32) -> Self {
        self.rtol = rtol;
        self
    }

    /// Sets the absolute difference that is allowed in any case.
    #[must_use]
    pub const fn atol(mut self, atol: f32) -> Self {
        self.atol = atol;
        self
    }

    /// Runs the check. Afterwards the parameters have the same bits as before, the values are
    /// replayed, and the gradients are those of `loss` alone: earlier ones are cleared.
    ///
    /// A parameter that no gradient reaches counts as having gradient 0.
    ///
    /// # Errors
    /// The errors of [`replay`](crate::Tape::replay) and [`backward`](crate::Tape::backward).
    #[track_caller]
    pub fn run(&self, loss: Var<'_>) -> Result<Report, Error> {
        let tape = loss.tape();
        tape.replay()?;
        tape.zero_grad();
        tape.backward(loss)?;

        let mut report = Report::default();
        let count = tape.params()?.len();
        let mut worst = 0.0;
        for index in 0..count {
            let element = tape.leave("gradcheck", |state| Ok(state.param_element(index)))?;
            let Some((x, analytic)) = element else { break };
            let poked = Poked { loss, index, x };
            let estimate = self.differentiate(loss, index, x);
            drop(poked);
            let Estimate { numeric, noise } = estimate?;

            let analytic = f64::from(analytic);
            let difference = analytic - numeric;
            let size = analytic.abs().max(numeric.abs());
            let allowed = f64::from(self.rtol) * size + noise + f64::from(self.atol);
            // NaN does not pass, and counts as the largest difference.
            let passed = difference.abs() <= allowed;
            let ratio = match difference.abs() / allowed {
                _ if difference == 0.0 => 0.0,
                ratio if ratio.is_nan() => f64::INFINITY,
                ratio => ratio,
            };
            report.checked += 1;
            report.failed += usize::from(!passed);
            if report.worst.is_none() || ratio > worst {
                worst = ratio;
                report.worst = Some(Worst {
                    index,
                    analytic: analytic as f32,
                    numeric: numeric as f32,
                    difference: difference as f32,
                    allowed: allowed as f32,
                });
            }
        }
        tape.replay()?;
        Ok(report)
    }

    /// Estimates the derivative with [`STEPS`] steps, and returns the best estimate.
    #[track_caller]
    fn differentiate(&self, loss: Var<'_>, index: usize, x: f32) -> Result<Estimate, Error> {
        let mut best = Estimate {
            numeric: f64::NAN,
            noise: 0.0,
        };
        let mut least = f64::INFINITY;
        let mut step = self.eps * x.abs().max(1.0);
        let (mut coarse, mut before) = (f64::NAN, f64::NAN);
        for _ in 0..STEPS {
            // `above` and `below` are rounded, so the width is computed from them.
            let (above, below) = (x + step, x - step);
            let width = f64::from(above) - f64::from(below);
            let high = f64::from(evaluate(loss, index, above)?);
            let low = f64::from(evaluate(loss, index, below)?);
            let fine = (high - low) / width;

            let refined = (4.0 * fine - coarse) / 3.0;
            let noise = 2.0 * ROUNDING * high.abs().max(low.abs()) / width;
            let change = (refined - before).abs() + noise;
            if change < least {
                least = change;
                best = Estimate {
                    numeric: refined,
                    noise,
                };
            }
            (coarse, before) = (fine, refined);
            step *= 0.5;
        }
        Ok(best)
    }
}

impl Default for Gradcheck {
    fn default() -> Self {
        Self::new()
    }
}

struct Estimate {
    numeric: f64,
    noise: f64,
}

/// Restores a changed element when dropped, also if an operation unwinds.
struct Poked<'t> {
    loss: Var<'t>,
    index: usize,
    x: f32,
}

impl Drop for Poked<'_> {
    fn drop(&mut self) {
        // The element could be changed before, so this cannot fail.
        let _ = poke(self.loss, self.index, self.x);
    }
}

/// Overwrites element `index` among those of all parameters.
#[track_caller]
fn poke(loss: Var<'_>, index: usize, x: f32) -> Result<(), Error> {
    loss.tape().leave("gradcheck", |state| {
        if let Some(param) = state.params_and_grads().0.get_mut(index) {
            *param = x;
        }
        Ok(())
    })
}

/// Computes the loss with element `index` set to `x`.
#[track_caller]
fn evaluate(loss: Var<'_>, index: usize, x: f32) -> Result<f32, Error> {
    poke(loss, index, x)?;
    loss.tape().replay()?;
    loss.item()
}

/// The findings of [`gradcheck`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Report {
    /// Elements that were checked.
    pub checked: usize,
    /// Elements that failed.
    pub failed: usize,
    /// The element whose difference is largest relative to the difference that is allowed.
    pub worst: Option<Worst>,
}

/// One element of a [`Report`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Worst {
    /// The element's position among those of all parameters, in the order of recording, as in
    /// [`Tape::params`](crate::Tape::params).
    pub index: usize,
    /// The gradient from `backward`.
    pub analytic: f32,
    /// The estimate from central differences.
    pub numeric: f32,
    /// `analytic - numeric`.
    pub difference: f32,
    /// The largest difference that would have passed.
    pub allowed: f32,
}

impl Report {
    /// Returns whether all elements passed, and there was at least one.
    pub const fn passed(&self) -> bool {
        self.checked > 0 && self.failed == 0
    }
}

/// Prints `passed, 2 elements: worst is 0 with gradient 1.5e0, 1.4999e0 by differences (…)`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.passed() {
            write!(f, "passed, {} elements", self.checked)?;
        } else {
            write!(f, "failed, {} of {} elements", self.failed, self.checked)?;
        }
        match self.worst {
            Some(worst) => write!(
                f,
                ": worst is {} with gradient {:e}, {:e} by differences ({:+.1e}, allowed {:.1e})",
                worst.index, worst.analytic, worst.numeric, worst.difference, worst.allowed
            ),
            None => Ok(()),
        }
    }
}
