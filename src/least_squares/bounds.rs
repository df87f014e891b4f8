//! Bounds on parameters, and parameters that stay as they are.

use super::normal::Normal;
use crate::function::TwoFloat;

/// Whether a parameter was free to move at the end of a fit, or what held it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing: it is where the data want it.
    Free,
    /// It was [fixed](super::LevenbergMarquardt::fixed).
    Fixed,
    /// Its lower bound: the data want it smaller.
    AtLower,
    /// Its upper bound: the data want it larger.
    AtUpper,
    /// Nothing, but the data say nothing about it either that the parameters before it do not
    /// account for.
    Undetermined,
}

/// The limits that a solver keeps parameters in: none, or [`Bounds`]. A type of its own, so
/// that firmware without limits is not linked with them.
pub trait Constraints<const P: usize>: Clone + sealed::Limits<P> {}
impl<const P: usize, C: Clone + sealed::Limits<P>> Constraints<P> for C {}

/// No limits: every parameter is free.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unbounded;

/// Limits of each parameter.
#[derive(Clone, Debug)]
pub struct Bounds<const P: usize> {
    lower: [f32; P],
    upper: [f32; P],
    fixed: [bool; P],
}

impl<const P: usize> Bounds<P> {
    /// None.
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

    /// The bound that parameter `j` is at, if a step there would lead beyond.
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

    /// How a solver asks for limits.
    pub trait Limits<const P: usize> {
        /// Whether there is a bound, which may keep a step from where it wants to lead.
        fn is_bounded(&self) -> bool;

        /// The first parameter whose bounds are none.
        fn invalid(&self) -> Option<usize>;

        /// How many parameters are not fixed.
        fn free(&self) -> usize;

        /// Moves parameters back to their bounds.
        fn clamp(&self, params: &mut [TwoFloat; P]);

        /// Holds parameters that are fixed, or at a bound beyond which there is less: in the
        /// sums at `params`, and by name.
        fn hold(&self, params: &[TwoFloat; P], normal: &mut Normal<P>) -> [Held; P];

        /// Holds a parameter at a bound beyond which a step would lead; whether there is one.
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
        // Not if one is no number, either.
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
