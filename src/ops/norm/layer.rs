//! Layer normalisation: each row by itself.

use super::Groups;
use crate::op::{Attrs, Backward, Forward, Op};
use crate::ops::loss::refuse;
use crate::ops::{exactly, word};
use crate::shape::{MAX_RANK, Shape, ShapeError};
use crate::var::Var;

/// PyTorch's `layer_norm`: `(x - mean) / √(var + eps) · weight + bias`, over the last dimensions
/// of each sample. The variance is divided by the number of elements.
///
/// Gradient of `x`, with `y` the normalised values: `(g - mean(g) - y mean(g y)) / √(var + eps)`,
/// computed in this order, so that an infinite `g` may give infinities where PyTorch's order
/// gives NaN. The gradients of weight and bias are those of a product and a sum; without samples
/// they are -0.0.
///
/// The normalisation is one node, which takes memory only for its result; weight and bias are one
/// more node each. Sums are in the order of [`kernel::sum`](crate::kernel::sum). The rounding
/// error of the mean is subtracted as well, so that samples far from 0 keep their digits.
///
/// ```
/// use baregrad::ops::norm::LayerNorm;
/// # let mut arena = baregrad::Arena::<64, 8>::new();
/// # let tape = arena.tape();
/// let x = tape.input(&[1.0, 2.0, 3.0, 1001.0, 1002.0, 1003.0], [2, 3]);
/// let y = LayerNorm::new([3]).eps(0.0).of(x);
/// assert_eq!(y.value()?[..3], y.value()?[3..]);
/// assert!((y.value()?[2] - 1.5_f32.sqrt()).abs() < 1e-6);
/// # Ok::<(), baregrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'t> {
    shape: Shape,
    weight: Option<Var<'t>>,
    bias: Option<Var<'t>>,
    eps: f32,
}

impl<'t> LayerNorm<'t> {
    /// A normalisation over the last dimensions, which have this shape: PyTorch's
    /// `normalized_shape`. It has no weight and bias, and an `eps` of 1e-5.
    #[must_use]
    pub fn new(shape: impl Into<Shape>) -> Self {
        LayerNorm {
            shape: shape.into(),
            weight: None,
            bias: None,
            eps: 1e-5,
        }
    }

    /// Sets the factors of the normalised values, of the normalised shape.
    #[must_use]
    pub fn weight(mut self, weight: Var<'t>) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Sets the terms that are added after the factors, of the normalised shape.
    #[must_use]
    pub fn bias(mut self, bias: Var<'t>) -> Self {
        self.bias = Some(bias);
        self
    }

    /// Sets `eps`, which is added to the variance, so that equal numbers give 0.
    #[must_use]
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Records the normalisation of `x`.
    ///
    /// The tape keeps an error if the shape of `x` does not end in the normalised shape, or if
    /// weight or bias do not have it.
    #[track_caller]
    #[must_use]
    pub fn of(self, x: Var<'t>) -> Var<'t> {
        for affine in [self.weight, self.bias].into_iter().flatten() {
            if affine.shape() != self.shape {
                let why = "expected weights and bias of the normalised shape";
                return refuse(&NormalizeRows, x, affine, why);
            }
        }
        let mut words = [ABSENT; MAX_RANK];
        for (to, size) in words.iter_mut().zip(self.shape.dims()) {
            *to = word(*size).min(ABSENT - 1);
        }
        let attrs = Attrs {
            words,
            tag: self.eps.to_bits(),
        };
        let mut y = x.unary(&NormalizeRows, attrs);
        if let Some(weight) = self.weight {
            y = y * weight;
        }
        if let Some(bias) = self.bias {
            y = y + bias;
        }
        y
    }
}

/// The word of a dimension that the normalised shape does not have.
const ABSENT: u32 = u32::MAX;

/// Normalises over the last dimensions. Words: their sizes. Tag: `eps`.
#[derive(Debug)]
struct NormalizeRows;

impl NormalizeRows {
    fn rows(x: &Shape, attrs: &Attrs) -> Groups {
        let count = attrs.words.iter().filter(|size| **size != ABSENT).count();
        let (mut groups, mut inner) = (1_usize, 1_usize);
        for (axis, size) in x.dims().iter().enumerate() {
            let part = if axis + count < x.rank() {
                &mut groups
            } else {
                &mut inner
            };
            *part = part.saturating_mul(*size);
        }
        Groups {
            outer: 1,
            groups,
            inner,
        }
    }
}

impl Op for NormalizeRows {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        let count = attrs.words.iter().filter(|size| **size != ABSENT).count();
        if count == 0 {
            return Err(ShapeError::Other(
                "expected a normalised shape of at least one dimension",
            ));
        }
        let Some(front) = x.rank().checked_sub(count) else {
            return Err(ShapeError::TooFewDims { least: count });
        };
        let own = x.dims().iter().skip(front);
        if own.zip(attrs.words).any(|(own, size)| word(*own) != size) {
            return Err(ShapeError::Other(
                "expected a tensor that ends in the normalised shape",
            ));
        }
        Ok(*x)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let rows = Self::rows(&cx.operand_shape(0), cx.attrs());
        let eps = f32::from_bits(cx.attrs().tag);
        let ([x], out) = cx.split();
        rows.normalize(x, eps, out);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let rows = Self::rows(&cx.operand_shape(0), cx.attrs());
        let eps = f32::from_bits(cx.attrs().tag);
        rows.send(cx.operand(0), cx.output(), eps, cx);
    }
}

/// Normalisations.
impl<'t> Var<'t> {
    /// Normalises each sample over its last dimensions, whose shape is that of `weight` and
    /// `bias`: `(x - mean) / √(var + 1e-5) · weight + bias`. See [`LayerNorm`] for another
    /// `eps`, for a normalisation without weight or bias, and for gradients.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<64, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 3.0, 10.0, 30.0], [2, 2]);
    /// let (w, b) = (tape.param(&[2.0, 2.0], [2]), tape.param(&[0.5, 0.5], [2]));
    /// let y = x.layer_norm(w, b);
    /// assert!((y.value()?[0] + 1.5).abs() < 1e-4);
    /// assert!((y.value()?[3] - 2.5).abs() < 1e-4);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn layer_norm(self, weight: Var<'t>, bias: Var<'t>) -> Var<'t> {
        let norm = LayerNorm::new(weight.shape());
        norm.weight(weight).bias(bias).of(self)
    }
}
