//! The operations, one entry each, and the list of all of them.
//!
//! An entry holds everything about an operation: shape rule, forward,
//! backward, method and documentation. Element-wise operations only state the
//! formula of an element ([`Unary`], [`Binary`]); the loops are in
//! [`kernel`]. The tests compare every operation in its file's `ENTRIES` with
//! PyTorch, check it against finite differences and run it with every lane
//! type.

pub mod activation;
pub mod arithmetic;
pub mod arrange;
pub mod axes;
pub mod batched;
pub mod compare;
pub mod conv;
pub mod dropout;
pub mod index;
pub mod layer;
pub mod linalg;
pub mod loss;
pub mod math;
pub mod norm;
pub mod pieces;
pub mod pool;
pub mod reduce;
pub mod shape;
pub mod softmax;
mod stretch;

use core::marker::PhantomData;

use crate::kernel::{self, Acc, Broadcast, Lanes, Map, Row};
use crate::op::{Attrs, Backward, Forward, Op, PassGrad};
use crate::shape::{Shape, ShapeError};
use crate::var::Var;

/// Every operation, file by file: for the tests, and not part of the documented interface.
#[doc(hidden)]
pub const ALL: &[&[Entry]] = &joined::<{ ELEMENTARY.len() + STRUCTURAL.len() }>();

/// The operations on elements, sums of them, and losses.
#[doc(hidden)]
pub const ELEMENTARY: &[&[Entry]] = &[
    arithmetic::ENTRIES,
    compare::ENTRIES,
    math::ENTRIES,
    activation::ENTRIES,
    linalg::ENTRIES,
    layer::ENTRIES,
    shape::ENTRIES,
    reduce::ENTRIES,
    softmax::ENTRIES,
    loss::ENTRIES,
    axes::ENTRIES,
];

/// The operations that move elements, and those of layers. Two lists, so that a board with
/// little flash can be tested with one of them.
#[doc(hidden)]
pub const STRUCTURAL: &[&[Entry]] = &[
    arrange::ENTRIES,
    pieces::ENTRIES,
    conv::ENTRIES,
    pool::ENTRIES,
    norm::ENTRIES,
    dropout::ENTRIES,
    batched::ENTRIES,
    index::ENTRIES,
];

/// Both lists, one after the other.
const fn joined<const N: usize>() -> [&'static [Entry]; N] {
    let mut all: [&[Entry]; N] = [&[]; N];
    let mut rest = all.as_mut_slice();
    let (mut files, mut others) = (ELEMENTARY, STRUCTURAL);
    while let [to, after @ ..] = rest {
        if let [file, later @ ..] = files {
            *to = *file;
            files = later;
        } else if let [file, later @ ..] = others {
            *to = *file;
            others = later;
        }
        rest = after;
    }
    all
}

/// Everything that tests need to run an operation.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name in PyTorch's reference values.
    pub name: &'static str,
    /// Records the operation.
    pub build: Build,
    /// The shapes of the operands.
    pub shapes: &'static [&'static [usize]],
    /// The numbers that the operands are drawn from.
    pub domain: Domain,
    /// The arguments.
    pub args: Args,
}

impl Entry {
    const fn new(name: &'static str, build: Build) -> Self {
        Entry {
            name,
            build,
            shapes: &[&[2, 3]],
            domain: Domain::Signed,
            args: Args::NONE,
        }
    }

    /// An operation on one tensor.
    const fn each(name: &'static str, build: for<'t> fn(Var<'t>, &Args) -> Var<'t>) -> Self {
        Self::new(name, Build::One(build))
    }

    /// An operation on pairs of elements, tested on a row that is broadcast to a matrix.
    const fn pair(
        name: &'static str,
        build: for<'t> fn(Var<'t>, Var<'t>, &Args) -> Var<'t>,
    ) -> Self {
        Self::new(name, Build::Two(build)).of(&[&[3], &[2, 3]])
    }

    const fn with(mut self, args: Args) -> Self {
        self.args = args;
        self
    }

    const fn on(mut self, domain: Domain) -> Self {
        self.domain = domain;
        self
    }

    const fn of(mut self, shapes: &'static [&'static [usize]]) -> Self {
        self.shapes = shapes;
        self
    }
}

/// The function with which tests record an operation.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Build {
    /// One operand.
    One(for<'t> fn(Var<'t>, &Args) -> Var<'t>),
    /// Two operands.
    Two(for<'t> fn(Var<'t>, Var<'t>, &Args) -> Var<'t>),
    /// Three operands.
    Three(for<'t> fn(Var<'t>, Var<'t>, Var<'t>, &Args) -> Var<'t>),
    /// One or more operands; the first one is also passed by itself.
    Many(for<'t> fn(Var<'t>, &[Var<'t>], &Args) -> Var<'t>),
}

impl Build {
    /// Records the operation; `None` if it takes another number of operands.
    pub fn call<'t>(&self, operands: &[Var<'t>], args: &Args) -> Option<Var<'t>> {
        match (self, operands) {
            (Build::One(f), [x]) => Some(f(*x, args)),
            (Build::Two(f), [x, y]) => Some(f(*x, *y, args)),
            (Build::Three(f), [x, y, z]) => Some(f(*x, *y, *z, args)),
            (Build::Many(f), [first, ..]) => Some(f(*first, operands, args)),
            _ => None,
        }
    }
}

/// The numbers on which tests run an operation.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Numbers of either sign, at a distance from 0.
    Signed,
    /// Positive numbers, at a distance from 0.
    Positive,
    /// Numbers between 0 and 1, at a distance from both.
    Probability,
}

/// Arguments besides the operands, by PyTorch's names. Each operation reads
/// only its own.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Args {
    pub c: f32,
    pub n: i32,
    pub p: f32,
    pub slope: f32,
    pub alpha: f32,
    pub min: Option<f32>,
    pub max: Option<f32>,
    pub d0: isize,
    pub d1: isize,
    pub axis: Option<isize>,
    pub keepdim: bool,
    pub start: usize,
    pub length: usize,
    /// A shape for `reshape`; its first `rank` dimensions count.
    pub shape: [isize; 4],
    pub rank: usize,
    pub correction: f32,
    /// Several axes for reductions; the first `axes_len` count, or `axis` if there are none.
    pub axes: [isize; 4],
    pub axes_len: usize,
}

impl Args {
    /// The axes of a reduction; an empty slice stands for all axes.
    pub fn axes(&self) -> &[isize] {
        match &self.axis {
            Some(axis) if self.axes_len == 0 => core::slice::from_ref(axis),
            _ => self.axes.get(..self.axes_len).unwrap_or_default(),
        }
    }

    /// Arguments that suit every operation.
    pub const NONE: Args = Args {
        c: 1.75,
        n: 3,
        p: 1.7,
        slope: 0.2,
        alpha: 0.7,
        min: None,
        max: None,
        d0: 0,
        d1: 1,
        axis: None,
        keepdim: false,
        start: 1,
        length: 2,
        shape: [1; 4],
        rank: 0,
        correction: 1.0,
        axes: [0; 4],
        axes_len: 0,
    };
}

/// An operation on every element of one tensor.
pub trait Unary: Sync {
    /// PyTorch's name.
    const NAME: &'static str;
    /// See [`Map::SHORT`].
    const SHORT: usize = 16;
    /// True if `backward` returns `g`.
    const PASSES_GRAD: bool = false;
    /// True if `backward` multiplies `g` by a factor that is expensive to compute. A
    /// [`Jet`](crate::function::Jet) then computes this factor once, with a `g` of 1, rather
    /// than for each of its derivatives.
    const DEAR: bool = false;
    /// `f(x)`.
    fn forward<L: Lanes>(attrs: &Attrs, x: L) -> L;
    /// The gradient of `x`, from `x`, `y = f(x)` and the gradient `g` of `y`.
    fn backward<L: Lanes>(attrs: &Attrs, x: L, y: L, g: L) -> L;
}

/// Makes an [`Op`] of a [`Unary`].
#[derive(Clone, Copy, Debug)]
pub struct Each<U>(pub U);

struct EachForward<'a, U>(&'a Attrs, PhantomData<U>);
impl<U: Unary> Map<1> for EachForward<'_, U> {
    const SHORT: usize = U::SHORT;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x]: &[L; 1]) -> L {
        U::forward(self.0, x)
    }
}

struct EachBackward<'a, U>(&'a Attrs, PhantomData<U>);
impl<U: Unary> Map<3> for EachBackward<'_, U> {
    const SHORT: usize = U::SHORT;
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[x, y, g]: &[L; 3]) -> L {
        U::backward(self.0, x, y, g)
    }
}

impl<U: Unary> Op for Each<U> {
    fn name(&self) -> &'static str {
        U::NAME
    }

    fn shape(&self, operands: &[Shape], _: &mut Attrs) -> Result<Shape, ShapeError> {
        let [x] = exactly(operands)?;
        Ok(*x)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let f = EachForward(cx.attrs(), PhantomData::<U>);
        let ([x], y) = cx.split();
        kernel::set_map(f, [x], y);
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        let f = EachBackward(cx.attrs(), PhantomData::<U>);
        let (x, y) = (cx.operand(0), cx.output());
        if let Some(grad) = cx.grad(0) {
            kernel::map(f, [x, y, grad.output], grad.operand, grad.acc);
        }
    }

    fn passes_grad(&self, _: usize) -> Option<PassGrad> {
        U::PASSES_GRAD.then(PassGrad::new)
    }
}

/// An operation on pairs of elements of two tensors, which are broadcast to one shape.
pub trait Binary: Sync {
    /// PyTorch's name.
    const NAME: &'static str;
    /// True for each of `grad_a` and `grad_b` that returns `g`.
    const PASSES_GRAD: [bool; 2] = [false; 2];
    /// As [`Unary::DEAR`], for both `grad_a` and `grad_b`.
    const DEAR: bool = false;
    /// `f(a, b)`.
    fn forward<L: Lanes>(a: L, b: L) -> L;
    /// The gradient of `a` from the gradient `g` of the result.
    fn grad_a<L: Lanes>(g: L, a: L, b: L) -> L;
    /// The gradient of `b` from the gradient `g` of the result.
    fn grad_b<L: Lanes>(g: L, a: L, b: L) -> L;
}

/// Makes an [`Op`] of a [`Binary`].
#[derive(Clone, Copy, Debug)]
pub struct Pair<B>(pub B);

struct PairForward<B>(PhantomData<B>);
impl<B: Binary> Map<2> for PairForward<B> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[a, b]: &[L; 2]) -> L {
        B::forward(a, b)
    }
}

/// [`Binary::grad_a`]. The operand whose gradient it is comes first, then the other one.
struct GradA<B>(PhantomData<B>);
impl<B: Binary> Map<3> for GradA<B> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g, a, b]: &[L; 3]) -> L {
        B::grad_a(g, a, b)
    }
}

/// [`Binary::grad_b`]. The operand whose gradient it is comes first, then the other one.
struct GradB<B>(PhantomData<B>);
impl<B: Binary> Map<3> for GradB<B> {
    #[inline(always)]
    fn apply<L: Lanes>(&self, &[g, b, a]: &[L; 3]) -> L {
        B::grad_b(g, a, b)
    }
}

impl<B: Binary> Op for Pair<B> {
    fn name(&self) -> &'static str {
        B::NAME
    }

    fn shape(&self, operands: &[Shape], attrs: &mut Attrs) -> Result<Shape, ShapeError> {
        let [a, b] = exactly(operands)?;
        let (shape, stretch) = Broadcast::new(a, b).ok_or(ShapeError::Broadcast)?;
        (attrs.words, attrs.tag) = stretch.pack();
        Ok(shape)
    }

    fn forward(&self, cx: &mut Forward<'_>) {
        let attrs = cx.attrs();
        let ([a, b], out) = cx.split();
        let f = PairForward::<B>(PhantomData);
        match Row::unpack(attrs.tag) {
            Some(row) if kernel::is_short::<2, PairForward<B>>(out.len()) => {
                kernel::zip_row(f, row, a, b, out);
            }
            _ => zip(f, attrs, a, b, out),
        }
    }

    fn backward(&self, cx: &mut Backward<'_>) {
        send(GradA::<B>(PhantomData), cx, [0, 1]);
        send(GradB::<B>(PhantomData), cx, [1, 0]);
    }

    fn passes_grad(&self, k: usize) -> Option<PassGrad> {
        match B::PASSES_GRAD {
            [false, false] => None,
            passes => (*passes.get(k)?).then(PassGrad::new),
        }
    }
}

/// Passes the gradient on to operand `k`; `other` is the index of the other operand.
#[inline(always)]
fn send<F: Map<3>>(f: F, cx: &mut Backward<'_>, [k, other]: [usize; 2]) {
    let attrs = cx.attrs();
    let (own, other) = (cx.operand(k), cx.operand(other));
    let Some(grad) = cx.grad(k) else { return };
    let slices = [grad.output, own, other];
    match Row::unpack(attrs.tag) {
        Some(row) if kernel::is_short::<3, F>(grad.output.len()) => {
            let row = if k == 0 { row } else { row.swap() };
            kernel::zip_grad_row(f, row, slices, grad.operand, grad.acc);
        }
        _ => zip_grad(f, attrs, k, slices, grad.operand, grad.acc),
    }
}

// Not inlined: short rows would pay for the registers and the stack that a loop over several
// dimensions needs.
#[inline(never)]
fn zip<F: Map<2>>(f: F, attrs: &Attrs, a: &[f32], b: &[f32], out: &mut [f32]) {
    let stretch = Broadcast::unpack(&attrs.words, attrs.tag);
    kernel::zip(f, &stretch, a, b, out);
}

#[inline(never)]
fn zip_grad<F: Map<3>>(
    f: F,
    attrs: &Attrs,
    k: usize,
    slices: [&[f32]; 3],
    grad: &mut [f32],
    acc: Acc,
) {
    let stretch = Broadcast::unpack(&attrs.words, attrs.tag);
    let stretch = if k == 0 { stretch } else { stretch.swap() };
    kernel::zip_grad(f, &stretch, slices, grad, acc);
}

/// The word that stands for an axis that does not fit into a word. No shape has this axis.
const WIDE_AXIS: u32 = i32::MAX as u32;

/// Packs an axis, as the caller gave it, into a word of the attributes. An axis that does not fit
/// into a word takes two more, which otherwise hold sizes: such an axis is an error, after which
/// no sizes are read.
fn pack_axis(axis: isize) -> [u32; 3] {
    let wide = axis as i64 as u64;
    match i32::try_from(axis) {
        Ok(near) if near as u32 != WIDE_AXIS => [near as u32, 0, 0],
        _ => [WIDE_AXIS, wide as u32, (wide >> 32) as u32],
    }
}

/// The axis that [`pack_axis`] packed.
fn unpack_axis([near, low, high]: [u32; 3]) -> isize {
    if near == WIDE_AXIS {
        wide(low, high) as isize
    } else {
        near as i32 as isize
    }
}

/// A size in two words.
fn halves(size: usize) -> [u32; 2] {
    let wide = size as u64;
    [wide as u32, (wide >> 32) as u32]
}

/// The size that [`halves`] packed.
fn wide(low: u32, high: u32) -> usize {
    (u64::from(low) | u64::from(high) << 32) as usize
}

/// A size as a word of the attributes; larger sizes become `u32::MAX`.
fn word(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// The shapes of exactly `N` operands, or an error.
pub(crate) fn exactly<const N: usize>(operands: &[Shape]) -> Result<&[Shape; N], ShapeError> {
    operands
        .try_into()
        .map_err(|_| ShapeError::Operands { expected: N })
}
