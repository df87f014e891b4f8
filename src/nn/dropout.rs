//! Dropout as a layer.

use crate::error::Error;
use crate::ops::dropout;
use crate::tape::Tape;
use crate::var::Var;

/// PyTorch's `nn.Dropout`: in training, each number is 0 with probability `p`, and the others
/// are divided by `1 - p`.
///
/// A layer begins at step 0 of the training. The caller says [the next step](Self::train)
/// before each replay, and [`eval`](Self::eval) before predictions: one recording serves both.
/// The [operation](dropout::Dropout) says which numbers are dropped at a step.
///
/// ```
/// use baregrad::{Arena, nn::Dropout};
///
/// let mut arena = Arena::<64, 8>::new();
/// let tape = arena.tape();
/// let layer = Dropout::new(&tape, 0.5, 1);
/// let y = layer.forward(tape.input(&[1.0; 8], [8]));
/// for step in 0..3 {
///     layer.train(step)?;
///     tape.replay()?;
///     assert!(y.value()?.iter().all(|y| *y == 0.0 || *y == 2.0));
/// }
/// layer.eval()?;
/// tape.replay()?;
/// assert_eq!(*y.value()?, [1.0; 8]);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dropout<'t> {
    options: dropout::Dropout,
    step: Var<'t>,
}

impl<'t> Dropout<'t> {
    /// A layer that drops with probability `p`, from 0 to 1. Layers of one network need seeds of
    /// their own, or they drop the same places.
    ///
    /// Another `p` is an error, which the tape keeps when the layer is recorded.
    #[track_caller]
    pub fn new(tape: &'t Tape<'t>, p: f32, seed: u64) -> Self {
        Dropout {
            options: dropout::Dropout::new(p).seed(seed),
            step: tape.constant(&[0.0], []),
        }
    }

    /// Records the layer for `x`, of any shape: of the same shape.
    #[track_caller]
    #[must_use]
    pub fn forward(&self, x: Var<'t>) -> Var<'t> {
        self.options.of(x, self.step)
    }

    /// Replays after this are of training, at this step: a number from 0 to 2²⁴, such as that
    /// of the epoch.
    ///
    /// # Errors
    /// Those of [`Tape::write`].
    #[track_caller]
    pub fn train(&self, step: u32) -> Result<(), Error> {
        self.step.tape().write(self.step, &[step as f32])
    }

    /// Replays after this drop nothing.
    ///
    /// # Errors
    /// Those of [`Tape::write`].
    #[track_caller]
    pub fn eval(&self) -> Result<(), Error> {
        self.step.tape().write(self.step, &[-1.0])
    }
}
