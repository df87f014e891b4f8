//! The shapes of parameters, for rules that treat matrices differently from vectors.

use core::ops::Range;

use super::OptimizerError;
use crate::error::{Error, ErrorKind};
use crate::shape::Shape;
use crate::tape::Tape;

/// The shapes of the parameters, in the order in which they were created, for a
/// [`Rule`](super::Rule) that treats matrices differently from vectors, such as the rules of
/// [`Adafactor`](super::Adafactor) and [`Muon`](super::Muon). An optimizer receives them when
/// it is created, like PyTorch's optimizers receive their parameters. Rules that do not use
/// shapes do not store them, and pay nothing.
///
/// The shapes are borrowed, either from [`Tape::param_shapes`] or from a constant of the
/// firmware. By default all parameters are one vector.
///
/// ```
/// use baregrad::optim::{Optimizer, OptimizerError, Rule, Shapes, Stepper};
/// use baregrad::{Arena, Shape};
///
/// /// Gradient descent in which every tensor moves a distance of `lr`, whatever its gradient.
/// struct SameLength<'s> {
///     lr: f32,
///     shapes: Shapes<'s>,
/// }
///
/// impl Rule for SameLength<'_> {
///     fn buffers(&self) -> &'static [&'static str] {
///         &[]
///     }
///     fn step(
///         &mut self,
///         params: &mut [f32],
///         grads: &[f32],
///         _: &mut [&mut [f32]],
///     ) -> Result<(), OptimizerError> {
///         self.shapes.check(params, grads)?;
///         for (_shape, range) in self.shapes.parts(params.len()) {
///             let g = grads.get(range.clone()).unwrap_or_default();
///             let norm = g.iter().map(|g| g * g).sum::<f32>().sqrt();
///             for (p, g) in params.get_mut(range).unwrap_or_default().iter_mut().zip(g) {
///                 *p -= self.lr / norm * g;
///             }
///         }
///         Ok(())
///     }
///     fn shapes(&self) -> Shapes<'_> {
///         self.shapes
///     }
///     fn learning_rate(&self) -> f32 {
///         self.lr
///     }
///     fn set_learning_rate(&mut self, lr: f32) {
///         self.lr = lr;
///     }
/// }
///
/// let mut arena = Arena::<32, 16>::new();
/// let tape = arena.tape();
/// let w = tape.param(&[3.0, 4.0], [1, 2]);
/// let b = tape.param(&[1.0], []);
/// tape.backward(0.5 * w.square().sum() + b)?;
///
/// let mut shapes = [Shape::SCALAR; 2];
/// let shapes = Shapes::of(tape.param_shapes(&mut shapes)?);
/// let rule = SameLength { lr: 0.5, shapes };
/// tape.step(&mut Stepper::<_, 0, [[f32; 0]; 0]>::from_rule(rule))?;
/// assert_eq!(tape.params()?[..], [2.7, 3.6, 0.5]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Shapes<'s> {
    of_all: Option<&'s [Shape]>,
}

impl<'s> Shapes<'s> {
    /// All parameters as one vector: the default.
    pub const VECTOR: Self = Self { of_all: None };

    /// Takes the shape of each parameter.
    #[must_use]
    pub const fn of(shapes: &'s [Shape]) -> Self {
        Self {
            of_all: Some(shapes),
        }
    }

    /// Checks that there is a gradient for each element of the parameters, and that the shapes
    /// have as many elements.
    ///
    /// # Errors
    /// [`OptimizerError::GradientCount`] and [`OptimizerError::Shapes`].
    pub fn check(&self, params: &[f32], grads: &[f32]) -> Result<(), OptimizerError> {
        let (params, grads) = (params.len(), grads.len());
        if params != grads {
            return Err(OptimizerError::GradientCount { params, grads });
        }
        let elements = self.parts(params).map(|(shape, _)| shape.numel());
        let elements = elements.fold(0, usize::saturating_add);
        if elements == params {
            Ok(())
        } else {
            Err(OptimizerError::Shapes { elements, params })
        }
    }

    /// Iterates over the shapes and their ranges among the `params` elements.
    pub fn parts(&self, params: usize) -> impl Iterator<Item = (Shape, Range<usize>)> {
        let vector = self.of_all.is_none().then_some([params]);
        let vector = vector.map(|dims| Shape::new(&dims).unwrap_or_default());
        let all = vector
            .into_iter()
            .chain(self.of_all.unwrap_or_default().iter().copied());
        let mut next = 0_usize;
        all.map(move |shape| {
            let start = next;
            next = start.saturating_add(shape.numel());
            (shape, start..next)
        })
    }
}

impl Tape<'_> {
    /// Copies the shapes of all parameters, in the order in which they were created, to the
    /// beginning of `to`, for optimizers that use them: see [`Shapes`](crate::optim::Shapes).
    ///
    /// # Errors
    /// A `to` with fewer elements than there are parameters, or the error that the tape keeps.
    #[track_caller]
    pub fn param_shapes<'s>(&self, to: &'s mut [Shape]) -> Result<&'s [Shape], Error> {
        let count = self.leave("param_shapes", |state| {
            let mut count = 0_usize;
            for shape in state.param_shapes() {
                if let Some(place) = to.get_mut(count) {
                    *place = shape;
                }
                count = count.saturating_add(1);
            }
            if count > to.len() {
                return Err(state.fail(ErrorKind::Length {
                    expected: count,
                    found: to.len(),
                }));
            }
            Ok(count)
        })?;
        Ok(to.get(..count).unwrap_or_default())
    }

    /// Returns an error unless `told` are the shapes of all parameters.
    #[cold]
    #[track_caller]
    pub(super) fn check_param_shapes(&self, told: &[Shape]) -> Result<(), Error> {
        self.leave("step", |state| {
            let mut told = told.iter();
            let mut number = 0_usize;
            let mut differs = state.param_shapes().any(|shape| {
                let differs = told.next() != Some(&shape);
                number = number.saturating_add(usize::from(!differs));
                differs
            });
            differs |= told.next().is_some();
            if differs {
                let error = OptimizerError::OtherShape { param: number };
                return Err(state.fail(ErrorKind::Optimizer(error)));
            }
            Ok(())
        })
    }
}

impl Shapes<'_> {
    /// The shapes, if they were given.
    #[inline(always)]
    pub(super) const fn told(&self) -> Option<&[Shape]> {
        self.of_all
    }
}
