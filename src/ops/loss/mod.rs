//! Losses, one file each. A loss is one node and takes one pass over the data, without
//! intermediate buffers.
//!
//! | PyTorch | settings | short form |
//! | --- | --- | --- |
//! | `MSELoss` | [`MseLoss`] | [`Var::mse`] |
//! | `L1Loss` | [`L1Loss`] | [`Var::l1_loss`] |
//! | `SmoothL1Loss` | [`SmoothL1Loss`] | [`Var::smooth_l1_loss`] |
//! | `HuberLoss` | [`HuberLoss`] | [`Var::huber_loss`] |
//! | `BCELoss` | [`BceLoss`] | [`Var::binary_cross_entropy`] |
//! | `BCEWithLogitsLoss` | [`BceWithLogitsLoss`] | [`Var::binary_cross_entropy_with_logits`] |
//! | `CrossEntropyLoss` | [`CrossEntropyLoss`] | [`Var::cross_entropy`] |
//! | `NLLLoss` | [`NllLoss`] | [`Var::nll_loss`] |
//!
//! The first six are losses of pairs of elements. A [`Loss`] states the formula of a pair once,
//! for the tape and for [functions of one
//! sample](crate::function::Function::mean_loss). Sums are in the order of
//! [`kernel::sum`](crate::kernel::sum).
//!
//! ```
//! use baregrad::ops::loss::{HuberLoss, Reduction};
//! # let mut arena = baregrad::Arena::<64, 16>::new();
//! # let tape = arena.tape();
//! let x = tape.param(&[0.25, 3.0], [2]);
//! let target = tape.input(&[0.0, 0.0], [2]);
//! // PyTorch: HuberLoss(delta=0.5, reduction='sum')(x, target)
//! let loss = HuberLoss::new().delta(0.5).reduction(Reduction::Sum).of(x, target);
//! assert_eq!(loss.item()?, 0.03125 + 1.375);
//! tape.backward(loss)?;
//! assert_eq!(*x.grad()?, [0.25, 0.5]);
//! # Ok::<(), baregrad::Error>(())
//! ```

mod class;
mod elements;
mod rows;

use core::panic::Location;

pub use elements::Criterion;

use super::Entry;
use super::arithmetic::MulOp;
use super::stretch::{Alike, stretched_as};
use crate::kernel::Lanes;
use crate::op::{Attrs, Op};
use crate::shape::ShapeError;
use crate::var::Var;

/// Declares the file of each loss, exports its public items, and lists its entries for the
/// tests. (`cargo fmt` does not find files that a macro declares: format them with
/// `rustfmt --edition 2024 src/ops/loss/*.rs`.)
macro_rules! losses {
    ($($file:ident: [$($ENTRY:ident),*];)*) => {
        $(
            mod $file;
            pub use $file::*;
        )*

        /// Every loss, file by file.
        pub(super) const ENTRIES: &[Entry] = &[$($($file::$ENTRY,)*)*];
    };
}

losses! {
    mse: [ENTRY];
    l1: [ENTRY];
    smooth_l1: [ENTRY];
    huber: [ENTRY];
    bce: [ENTRY];
    bce_with_logits: [ENTRY, POS_WEIGHT];
    cross_entropy: [ENTRY, PROBABILITIES];
    nll: [ENTRY];
}

/// PyTorch's `reduction`: the mean or the sum of the losses of elements or rows, or neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// The mean of the losses.
    #[default]
    Mean,
    /// The sum of the losses.
    Sum,
    /// No reduction: a loss for each element or row.
    None,
}

impl Reduction {
    /// The bits of a tag that hold the reduction.
    const BITS: u32 = 3;

    const fn tag(self) -> u32 {
        self as u32
    }

    const fn of(attrs: &Attrs) -> Self {
        match attrs.tag & Self::BITS {
            0 => Reduction::Mean,
            1 => Reduction::Sum,
            _ => Reduction::None,
        }
    }

    /// Multiplies losses by weights and reduces them. These are further nodes, because the node
    /// of the losses has no operand left for the weights. The mean is divided by the number of
    /// losses.
    #[track_caller]
    fn weighted<'t>(self, losses: Var<'t>, weights: Var<'t>) -> Var<'t> {
        let weights = stretched_as(weights, losses);
        let losses = losses.tape().apply_plain(&Alike(MulOp), &[losses, weights]);
        match self {
            Reduction::Mean => losses.mean(),
            Reduction::Sum => losses.sum(),
            Reduction::None => losses,
        }
    }
}

/// A loss of one prediction and its target, with its settings. Its mean over samples is
/// recorded by [`mean_loss`](crate::function::Function::mean_loss) for a function, and by a
/// [`Criterion`] for two tensors.
///
/// ```
/// use baregrad::ops::loss::{Loss, Squared};
/// let (prediction, target) = (3.0, 5.0);
/// assert_eq!(Squared.of(prediction, target), 4.0);
/// assert_eq!(Squared::FACTOR * Squared.slope(prediction, target), -4.0);
/// ```
///
/// A loss of your own takes a few lines, and is fused into a function like the others:
///
/// ```
/// use baregrad::function::{Function, models::Line};
/// use baregrad::kernel::{Lanes, math};
/// use baregrad::ops::loss::Loss;
///
/// /// `ln cosh(prediction - target)`
/// #[derive(Clone, Copy, Default)]
/// struct LogCosh;
///
/// impl Loss for LogCosh {
///     const NAME: &'static str = "log_cosh";
///     fn of<L: Lanes>(self, prediction: L, target: L) -> L {
///         let d = prediction - target;
///         d + math::softplus(d * L::splat(-2.0)) - L::splat(core::f32::consts::LN_2)
///     }
///     fn slope<L: Lanes>(self, prediction: L, target: L) -> L {
///         math::tanh(prediction - target)
///     }
/// }
///
/// # let mut arena = baregrad::Arena::<32, 8>::new();
/// # let tape = arena.tape();
/// let (x, target) = (tape.input(&[1.0, 2.0], [2]), tape.input(&[2.0, 7.0], [2]));
/// let p = tape.param(&[2.0, 0.0], [2]);
/// let loss = Line::mean_loss(LogCosh, x, p, target);
/// assert!((loss.item()? - 1.1547).abs() < 1e-4);
/// # Ok::<(), baregrad::Error>(())
/// ```
pub trait Loss: Copy + Default + Sync + 'static {
    /// PyTorch's name of the loss, for errors.
    const NAME: &'static str;
    /// See [`Map::SHORT`](crate::kernel::Map::SHORT); 0 is better for a loss that takes many
    /// operations.
    const SHORT: usize = 16;
    /// A constant factor of the derivatives, which [`slope`](Self::slope) omits: it is multiplied
    /// once, not for each sample.
    const FACTOR: f32 = 1.0;
    /// True if gradients flow to the data of a function as well; see
    /// [`DataGrads`](crate::function::DataGrads).
    const DATA_GRADS: bool = false;
    /// True if a [`Criterion`] divides a weighted mean by the sum of the weights, not by the
    /// number of elements.
    const MEAN_BY_WEIGHTS: bool = false;
    /// The loss of one sample.
    fn of<L: Lanes>(self, prediction: L, target: L) -> L;
    /// The derivative with respect to the prediction, without [`FACTOR`](Self::FACTOR).
    fn slope<L: Lanes>(self, prediction: L, target: L) -> L;
    /// The derivative with respect to the target, without [`FACTOR`](Self::FACTOR). The default,
    /// the negative of [`slope`](Self::slope), is right for a loss of the difference of
    /// prediction and target.
    #[inline(always)]
    fn slope_of_target<L: Lanes>(self, prediction: L, target: L) -> L {
        -self.slope(prediction, target)
    }
    /// The settings, in the first two words of an operation's attributes. A loss without
    /// settings, whose size is 0, needs no implementation of this.
    #[inline(always)]
    fn pack(self) -> Attrs {
        const {
            assert!(
                size_of::<Self>() == 0,
                "a loss with settings must pack them"
            )
        };
        Attrs::NONE
    }
    /// The loss that [`pack`](Self::pack) packed.
    #[inline(always)]
    fn unpack(_: &Attrs) -> Self {
        const {
            assert!(
                size_of::<Self>() == 0,
                "a loss with settings must unpack them"
            )
        };
        Self::default()
    }
    /// Checks that the settings are in range.
    ///
    /// # Errors
    /// A setting is out of range. The error states the expected range.
    #[inline(always)]
    fn check(self) -> Result<(), ShapeError> {
        Ok(())
    }
}

/// Fails the operation if `weights` need a gradient, because none flows to them.
#[track_caller]
fn refuse_trained<'t>(op: &'static dyn Op, target: Var<'t>, weights: Var<'t>) -> Option<Var<'t>> {
    let is_trained = weights.tape().is_grad_enabled() && weights.requires_grad();
    if is_trained {
        let why = "no gradient flows to weights: see detach";
        Some(refuse(op, target, weights, why))
    } else {
        None
    }
}

/// Fails an operation: the tape keeps the error with `why`, the shapes and the caller's line.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn refuse<'t>(
    op: &'static dyn Op,
    x: Var<'t>,
    y: Var<'t>,
    why: &'static str,
) -> Var<'t> {
    let shapes = [x.shape(), y.shape()];
    let tape = x.tape();
    if let Ok(state) = tape.look() {
        state.fail_shapes(ShapeError::Other(why), &shapes);
    }
    tape.keep(op.name(), Location::caller())
}
