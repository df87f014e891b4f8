//! A layer of a network as one node: a linear map and an activation of its
//! results, so that only the results of both together take memory.

use core::marker::PhantomData;

use super::activation::{Identity, Relu, Sigmoid, Tanh};
use super::linalg::Linear;
use super::{Build, Entry, Unary};
use crate::kernel::{self, Lanes, Map};
use crate::op::{Attrs, Backward, Forward, Op};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        "linear_identity",
        Build::Three(|x, w, b, _| x.linear_identity(w, b)),
    ),
    entry(
        "linear_tanh",
        Build::Three(|x, w, b, _| x.linear_tanh(w, b)),
    ),
    entry(
        "linear_sigmoid",
        Build::Three(|x, w, b, _| x.linear_sigmoid(w, b)),
    ),
    entry(
        "linear_relu",
        Build::Three(|x, w, b, _| x.linear_relu(w, b)),
    ),
];

const fn entry(name: &'static str, build: Build) -> Entry {
    Entry::new(name, build).of(&[&[4, 3], &[3, 2], &[2]])
}

/// An activation whose derivative follows from its result alone, so that its input need
/// not be kept. It has no attributes.
pub trait Activation: Unary {
    /// The name of a layer with this activation.
    const LAYER: &'static str;
    /// True if this is the identity.
    const IDENTITY: bool = false;
}

impl Activation for Identity {
    const LAYER: &'static str = "linear_identity";
    const IDENTITY: bool = true;
}

impl Activation for Tanh {
    const LAYER: &'static str = "linear_tanh";
}

impl Activation for Sigmoid {
    const LAYER: &'static str = "linear_sigmoid";
}

impl Activation for Relu {
    const LAYER: &'static str = "linear_relu";
}

/// `a(x · w + b)`.
#[derive(Clone, Copy, Debug)]
pub struct Layer<A>(pub A);

struct Activate<A>(PhantomData<A>);
impl<A: Activation> Map<1> for Activate<A> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        A::forward(&Attrs::default(), x)
    }
}

/// The gradient of the activation's input, from its result and the result's gradient.
struct Before<A>(PhantomData<A>);
impl<A: Activation> Map<2> for Before<A> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g, y]: &[L; 2]) -> L {
        A::backward(&Attrs::default(), y, y, g)
    }
}

impl<A: Activation> Op for Layer<A> {
    fn name(&self) -> &'static str {
        A::LAYER
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        Linear::layer_shape(operands, attrs)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        Linear::layer_forward(cx);
        if !A::IDENTITY {
            let ([], y) = cx.split();
            kernel::map_in_place(Activate(PhantomData::<A>), y);
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        if !A::IDENTITY {
            let y = cx.output();
            kernel::zip_in_place(Before(PhantomData::<A>), cx.output_grad(), y);
        }
        Linear::layer_backward(cx);
    }
}

/// Layers.
impl<'t> Var<'t> {
    /// `x · w + b` as a layer without activation, such as the last one of a network.
    ///
    /// Same bits as [`linear`](Self::linear), without its special case for one input and one
    /// output: on a microcontroller it shares all its code with the other layers, and a network
    /// takes 200 bytes less flash.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0], [1, 2]);
    /// let w = tape.param(&[0.5, -0.25], [2, 1]);
    /// let b = tape.param(&[0.1], [1]);
    /// assert_eq!(x.linear_identity(w, b).item()?, x.linear(w, b).item()?);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn linear_identity(self, w: Var<'t>, b: Var<'t>) -> Var<'t> {
        self.tape().apply_plain(&Layer(Identity), &[self, w, b])
    }

    /// `tanh(x · w + b)` as one node: same bits as `x.linear(w, b).tanh()`, with half
    /// the memory for results and for their gradients.
    ///
    /// Gradients: those of [`linear`](Self::linear), with `g (1 - y²)` in place of `g`.
    ///
    /// ```
    /// # let mut arena = baregrad::Arena::<32, 8>::new();
    /// # let tape = arena.tape();
    /// let x = tape.input(&[1.0, 2.0], [1, 2]);
    /// let w = tape.param(&[0.5, -0.25], [2, 1]);
    /// let b = tape.param(&[0.1], [1]);
    /// let y = x.linear_tanh(w, b);
    /// assert_eq!(y.item()?, x.linear(w, b).tanh().item()?);
    /// # Ok::<(), baregrad::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn linear_tanh(self, w: Var<'t>, b: Var<'t>) -> Var<'t> {
        self.tape().apply_plain(&Layer(Tanh), &[self, w, b])
    }

    /// `sigmoid(x · w + b)` as one node: same bits as `x.linear(w, b).sigmoid()`.
    ///
    /// Gradients: those of [`linear`](Self::linear), with `g (1 - y) y` in place of `g`.
    #[track_caller]
    #[must_use]
    pub fn linear_sigmoid(self, w: Var<'t>, b: Var<'t>) -> Var<'t> {
        self.tape().apply_plain(&Layer(Sigmoid), &[self, w, b])
    }

    /// `max(x · w + b, 0)` as one node: same bits as `x.linear(w, b).relu()`.
    ///
    /// Gradients: those of [`linear`](Self::linear), with 0 in place of `g` where `y` is not
    /// above 0.
    #[track_caller]
    #[must_use]
    pub fn linear_relu(self, w: Var<'t>, b: Var<'t>) -> Var<'t> {
        self.tape().apply_plain(&Layer(Relu), &[self, w, b])
    }
}
