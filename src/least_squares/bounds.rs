//! Bounds on parameters, and fixed parameters.

use super::normal::Normal;
use crate::function::TwoFloat;

/// The constraint on a parameter at the end of a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// None: the parameter is at its optimum.
    Free,
    /// The parameter was [fixed](super::LevenbergMarquardt::fixed).
    Fixed,
    /// The parameter is at its lower bound, and a smaller value would fit better.
    AtLower,
    /// The parameter is at its upper bound, and a larger value would fit better.
    AtUpper,
    /// None, but the data do not determine the parameter: given the parameters before it, they
    /// contain no further information.
    Undetermined,
}

/// The constraints on a solver's parameters: [`Unbounded`] or [`Bounds`]. The type is a
/// parameter of the solver, so that firmware without bounds does not link their code.
pub trait Constraints<const P: usize>: Clone + sealed::Limits<P> {}
impl<const P: usize, C: Clone + sealed::Limits<P>> Constraints<P> for C {}

/// No bounds: every parameter is free.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unbounded;

/// A lower and an upper bound for each parameter, and which parameters are fixed.
#[derive(Clone, Debug)]
pub struct Bounds<const P: usize> {
    lower: [f32; P],
    upper: [f32; P],
    fixed: [bool; P],
}

impl<const P: usize> Bounds<P> {
    /// No bounds, no fixed parameters.
    pub(super) const NONE: Self = Bounds {
        lower: [f32::NEG_INFINITY; P],
        upper: [f32::INFINITY; P],
        fixed: [false; P],
    };

    pub(super) fn bounds(self, lower: [f32; P], upper: [f32; P]) -> Self {
        Bounds {
            lower,
            upper,
            ..self
        }
    }

    pub(super) fn fixed(self, fixed: [bool; P]) -> Self {
        Bounds { fixed, ..self }
    }

    /// The bound at which parameter `j` is, if `step` leads beyond it.
    fn of(&self, j: usize, at: TwoFloat, step: f32) -> Option<Held> {
        let (lower, upper) = (self.lower.get(j)?, self.upper.get(j)?);
        if step < 0.0 && at <= TwoFloat::from(*lower) {
            Some(Held::AtLower)
        } else if step > 0.0 && at >= TwoFloat::from(*upper) {
            Some(Held::AtUpper)
        } else {
            None
        }
    }
}

pub(super) mod sealed {
    use super::{Held, Normal, TwoFloat};

    /// The interface through which a solver applies constraints.
    pub trait Limits<const P: usize> {
        /// Whether any parameter has a finite bound, at which a step may be cut off.
        fn is_bounded(&self) -> bool;

        /// The first parameter without a valid pair of bounds.
        fn invalid(&self) -> Option<usize>;

        /// The number of parameters that are not fixed.
        fn free(&self) -> usize;

        /// Moves parameters that are out of bounds to the nearest bound.
        fn clamp(&self, params: &mut [TwoFloat; P]);

        /// Holds the parameters that are fixed, or at a bound beyond which the sum of squares
        /// falls. Removes them from the sums at `params`, and returns the state of each.
        fn hold(&self, params: &[TwoFloat; P], normal: &mut Normal<P>) -> [Held; P];

        /// Holds the first free parameter at a bound beyond which `step` leads. Returns whether
        /// there is one.
        fn hold_beyond(
            &self,
            params: &[TwoFloat; P],
            step: &[TwoFloat; P],
            normal: &mut Normal<P>,
            held: &mut [Held; P],
        ) -> bool;
    }
}

impl<const P: usize> sealed::Limits<P> for Unbounded {
    #[inline(always)]
    fn is_bounded(&self) -> bool {
        false
    }
    #[inline(always)]
    fn invalid(&self) -> Option<usize> {
        None
    }
    #[inline(always)]
    fn free(&self) -> usize {
        P
    }
    #[inline(always)]
    fn clamp(&self, _: &mut [TwoFloat; P]) {}
    #[inline(always)]
    fn hold(&self, _: &[TwoFloat; P], _: &mut Normal<P>) -> [Held; P] {
        [Held::Free; P]
    }
    #[inline(always)]
    fn hold_beyond(
        &self,
        _: &[TwoFloat; P],
        _: &[TwoFloat; P],
        _: &mut Normal<P>,
        _: &mut [Held; P],
    ) -> bool {
        false
    }
}

impl<const P: usize> sealed::Limits<P> for Bounds<P> {
    fn is_bounded(&self) -> bool {
        let mut bounds = self.lower.iter().chain(&self.upper);
        bounds.any(|bound| bound.is_finite())
    }

    fn invalid(&self) -> Option<usize> {
        // Written so that a bound that is NaN is invalid.
        let is_valid = |(lower, upper): (&f32, &f32)| lower <= upper;
        let mut pairs = self.lower.iter().zip(&self.upper);
        pairs.position(|pair| !is_valid(pair))
    }

    fn free(&self) -> usize {
        self.fixed.iter().filter(|fixed| !**fixed).count()
    }

    fn clamp(&self, params: &mut [TwoFloat; P]) {
        let bounds = self.lower.iter().zip(&self.upper).zip(&self.fixed);
        for (p, ((lower, upper), fixed)) in params.iter_mut().zip(bounds) {
            let (lower, upper) = (TwoFloat::from(*lower), TwoFloat::from(*upper));
            if *fixed {
                continue;
            }
            if *p < lower {
                *p = lower;
            }
            if *p > upper {
                *p = upper;
            }
        }
    }

    fn hold(&self, params: &[TwoFloat; P], normal: &mut Normal<P>) -> [Held; P] {
        let mut all = [Held::Free; P];
        for (j, (held, p)) in all.iter_mut().zip(params).enumerate() {
            let downhill = normal.residual.jr.get(j).map_or(0.0, |jr| -jr.high());
            *held = match self.fixed.get(j) {
                Some(true) => Held::Fixed,
                _ => self.of(j, *p, downhill).unwrap_or(Held::Free),
            };
        }
        for (j, held) in all.iter().enumerate() {
            if *held != Held::Free {
                normal.hold(j);
            }
        }
        all
    }

    fn hold_beyond(
        &self,
        params: &[TwoFloat; P],
        step: &[TwoFloat; P],
        normal: &mut Normal<P>,
        held: &mut [Held; P],
    ) -> bool {
        for (j, ((p, step), held)) in params.iter().zip(step).zip(held).enumerate() {
            if *held == Held::Free
                && let Some(at) = self.of(j, *p, step.high())
            {
                *held = at;
                normal.hold(j);
                return true;
            }
        }
        false
    }
}
