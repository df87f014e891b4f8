//! Elements dropped at random in training.

use crate::error::Error;
use crate::ops::dropout;
use crate::tape::Tape;
use crate::var::Var;

/// PyTorch's `nn.Dropout`: in training, each element is 0 with probability `p`, and the others
/// are divided by `1 - p`; in evaluation, all elements pass as they are.
///
/// The layer does not draw from a generator: the layer's seed and a number on the tape, the step,
/// determine which elements are dropped. [`train`](Self::train) writes the step before a replay,
/// so that the same recording trains and evaluates. See the operation
/// [`Dropout`](dropout::Dropout) for details.
///
/// ```
/// use baregrad::{Arena, nn::Dropout};
///
/// let mut arena = Arena::<32, 8>::new();
/// let tape = arena.tape();
/// let layer = Dropout::new(&tape, 0.5, 3);
/// let y = layer.forward(tape.input(&[1.0; 8], [8]));
/// assert_eq!(*y.value()?, [1.0; 8]); // evaluation, until training begins
///
/// layer.train(1)?; // the number of the epoch or of the batch
/// tape.replay()?;
/// assert!(y.value()?.iter().all(|y| *y == 0.0 || *y == 2.0));
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dropout<'t> {
    step: Var<'t>,
    settings: dropout::Dropout,
}

impl<'t> Dropout<'t> {
    /// A layer that drops elements with probability `p`, from 0 to 1, after a call of
    /// [`train`](Self::train). Layers of the same network should have different seeds.
    ///
    /// If the arena is full, the tape keeps the error.
    #[track_caller]
    pub fn new(tape: &'t Tape<'t>, p: f32, seed: u64) -> Self {
        Dropout {
            step: tape.constant(&[-1.0], []),
            settings: dropout::Dropout::new(p).seed(seed),
        }
    }

    /// Records the layer for `x` of any shape. The result has the same shape.
    ///
    /// The tape keeps an error if `p` is not from 0 to 1.
    #[track_caller]
    #[must_use]
    pub fn forward(&self, x: Var<'t>) -> Var<'t> {
        self.settings.of(x, self.step)
    }

    /// Switches to training: from the next replay on, the layer drops the elements of this step,
    /// for example the number of the epoch. A step above 2²⁴ is rounded to an `f32`.
    ///
    /// # Errors
    /// The error that the tape keeps, if any.
    #[track_caller]
    pub fn train(&self, step: u32) -> Result<(), Error> {
        self.step.tape().write(self.step, &[step as f32])
    }

    /// Switches to evaluation: from the next replay on, all elements pass as they are.
    ///
    /// # Errors
    /// The error that the tape keeps, if any.
    #[track_caller]
    pub fn eval(&self) -> Result<(), Error> {
        self.step.tape().write(self.step, &[-1.0])
    }
}
