//! Lending: where an operation's slices are is found when it is recorded and
//! planned, once; a pass then takes them as they stand.
//!
//! A replay of eleven samples is a few hundred instructions. Looking up a slice
//! in the arena by offset and length, with every check, is a dozen, and a pass
//! takes four for each operation: more than the arithmetic itself. So an
//! operation's node keeps pointers, and this module turns them into slices.
//!
//! # Safety
//!
//! Beside the entry to AVX2 this is the only module with `unsafe` in it. What it
//! relies on:
//!
//! **Spans are valid.** A [`Span`] is made here only: by [`Floats::span`], which
//! checks that it is within the arena, and by [`Span::of_input`], from a slice that
//! lives as long as the tape. Both outlive every use: a tape uses the nodes it
//! has itself filled and no others (see `State::len`), and lends what their spans
//! show only within a borrow of its state.
//!
//! **Nothing is lent for reading and writing at once.** Values: an operation's
//! result is a span behind those of all its operands, or it is a view, and those
//! are never run; [`Links::connect`] checks it and links nothing otherwise.
//! Gradients: those of an operation's result and of each of its operands are
//! spans apart from each other and behind all values, which [`Links::plan`]
//! checks; [`Backward::grad`] lends one operand's at a time. Values are only read
//! while a backward pass runs, gradients are not touched while a forward pass does.
//!
//! **Links are up to date.** When values move, `State` connects all nodes again;
//! when a value is added or dropped, or a length changes, it plans again before
//! it runs backward.
//!
//! **One pointer.** All access to the arena goes through the pointer in
//! [`Floats`], which took over the exclusive borrow, and copies of it.

#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::slice;

use super::{Attrs, Node};
use crate::error::MAX_OPERANDS;
use crate::kernel::Acc;
use crate::shape::Shape;

/// Where a slice starts; null if there is none, so that an unused node is all zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Start(*mut f32);

// SAFETY: a pointer is used only by the tape that borrows what it points to, and
// that tape moves to another thread together with its nodes, or not at all: it
// borrows them exclusively.
unsafe impl Send for Start {}

impl Start {
    const NONE: Start = Start(core::ptr::null_mut());
}

/// A slice of the arena, or of a borrowed input.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    start: Start,
    len: u32,
}

impl Span {
    /// Of unused nodes: all zeros. Never lent.
    pub(crate) const UNUSED: Span = Span {
        start: Start::NONE,
        len: 0,
    };

    const EMPTY: Span = Span {
        start: Start(NonNull::dangling().as_ptr()),
        len: 0,
    };

    /// Data that stay with the user, of which they are to live as long as the tape:
    /// to be read only.
    pub(crate) fn of_input(data: &[f32]) -> Span {
        Span {
            start: Start(data.as_ptr().cast_mut()),
            len: data.len() as u32,
        }
    }

    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.len as usize
    }

    fn end(self) -> *mut f32 {
        self.start.0.wrapping_add(self.len as usize)
    }

    fn is_before(self, other: Span) -> bool {
        self.end() <= other.start.0
    }

    fn is_apart_from(self, other: Span) -> bool {
        self.is_before(other) || other.is_before(self)
    }

    /// # Safety
    /// Nothing may write to it during `'a`, nor may the arena end.
    #[inline(always)]
    unsafe fn read<'a>(self) -> &'a [f32] {
        // SAFETY: a span is valid; the rest is the caller's word.
        unsafe { slice::from_raw_parts(self.start.0, self.len as usize) }
    }

    /// # Safety
    /// Nothing else may read or write it during `'a`, nor may the arena end. It is
    /// not an input's.
    #[inline(always)]
    unsafe fn write<'a>(self) -> &'a mut [f32] {
        // SAFETY: a span is valid; the rest is the caller's word.
        unsafe { slice::from_raw_parts_mut(self.start.0, self.len as usize) }
    }
}

/// The arena's numbers.
pub(crate) struct Floats<'t> {
    start: NonNull<f32>,
    len: usize,
    borrowed: PhantomData<&'t mut [f32]>,
}

impl<'t> Floats<'t> {
    pub(crate) fn new(floats: &'t mut [f32]) -> Self {
        Floats {
            len: floats.len(),
            start: NonNull::from(floats).cast(),
            borrowed: PhantomData,
        }
    }

    /// `len` numbers from the one at `place`; none if they are not all there.
    pub(crate) fn span(&self, place: usize, len: usize) -> Span {
        match self.get(place..).and_then(|from| from.get(..len)) {
            Some(_) => Span {
                start: Start(self.start.as_ptr().wrapping_add(place)),
                len: len as u32,
            },
            None => Span::EMPTY,
        }
    }

    /// The place of a span that is not an input's.
    pub(crate) fn place(&self, span: Span) -> usize {
        span.start.0.addr().wrapping_sub(self.start.addr().get()) / size_of::<f32>()
    }

    /// The first `n` numbers and the last `n`; none if they overlap.
    #[inline(always)]
    pub(crate) fn ends(&mut self, n: usize) -> (&mut [f32], &mut [f32]) {
        #[cold]
        fn none<'a>() -> (&'a mut [f32], &'a mut [f32]) {
            (&mut [], &mut [])
        }
        if n > self.len / 2 {
            return none();
        }
        // SAFETY: both are within the arena, apart from each other.
        unsafe {
            let last = self.start.add(self.len - n);
            (
                slice::from_raw_parts_mut(self.start.as_ptr(), n),
                slice::from_raw_parts_mut(last.as_ptr(), n),
            )
        }
    }

    /// What a node's span shows.
    #[inline(always)]
    pub(crate) fn show(&self, span: Span) -> &[f32] {
        // SAFETY: who writes to the arena borrows `self` exclusively.
        unsafe { span.read() }
    }
}

impl Deref for Floats<'_> {
    type Target = [f32];
    #[inline(always)]
    fn deref(&self) -> &[f32] {
        // SAFETY: these are the parts of an exclusive borrow that still lasts.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Floats<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

/// What a pass would otherwise look up: an operation's slices beside its result.
#[derive(Clone, Copy)]
pub(crate) struct Links {
    /// The operands' values; of an input with data to come, first those.
    operands: [Span; MAX_OPERANDS],
    /// Where the result's gradient starts, and those of the operands it flows to.
    grad: Start,
    grads: [Start; MAX_OPERANDS],
}

impl Links {
    pub(crate) const UNUSED: Links = Links {
        operands: [Span::UNUSED; MAX_OPERANDS],
        grad: Start::NONE,
        grads: [Start::NONE; MAX_OPERANDS],
    };

    /// Those of an input whose next data are these.
    pub(crate) fn to_data(data: Span) -> Links {
        Links {
            operands: [data; MAX_OPERANDS],
            ..Links::UNUSED
        }
    }

    /// The first operand's values, or an input's next data.
    pub(crate) fn first(&self) -> Span {
        let [first, ..] = self.operands;
        first
    }

    /// Finds the operands of an operation with this result. Places of gradients stay.
    pub(crate) fn connect(&mut self, result: &Node, operands: [Option<&Node>; MAX_OPERANDS]) {
        let may_be_read = |operand: &Node| {
            result.has(Node::VIEW)
                || operand.has(Node::BORROWED)
                || operand.values.is_before(result.values)
        };
        self.operands = operands.map(|operand| match operand {
            Some(operand) if may_be_read(operand) => operand.values,
            _ => Span::EMPTY,
        });
    }

    /// Sets the places of gradients: `grad` of the `len` numbers of the result's, and
    /// those of the operands it flows to. All gradients stand from `top` on.
    pub(crate) fn plan(
        &mut self,
        floats: &Floats<'_>,
        top: usize,
        [grad, len]: [usize; 2],
        grads: [Option<usize>; MAX_OPERANDS],
    ) {
        let at = |place: usize, len| floats.span(top.saturating_add(place), len);
        let result = at(grad, len);
        self.grad = result.start;
        for ((to, place), operand) in self.grads.iter_mut().zip(grads).zip(self.operands) {
            *to = match place.map(|place| at(place, operand.len())) {
                Some(span) if span.is_apart_from(result) && result.len() == len => span.start,
                _ => Start::NONE,
            };
        }
    }
}

/// What an operation is given to compute its result.
pub struct Forward<'a> {
    nodes: &'a [Node],
    node: &'a Node,
    floats: PhantomData<&'a mut [f32]>,
}

impl<'a> Forward<'a> {
    pub(crate) fn new(nodes: &'a [Node], first: &'a Node, _: &'a mut Floats<'_>) -> Self {
        Forward {
            nodes,
            node: first,
            floats: PhantomData,
        }
    }

    /// Goes on to a node of the same tape, not a view.
    #[inline(always)]
    pub(crate) fn turn_to(&mut self, node: &'a Node) {
        self.node = node;
    }

    /// The values of the first `N` operands, to read, and the result, to write;
    /// it holds the previous replay's values. Operands that are not there are
    /// empty.
    #[inline(always)]
    pub fn split<const N: usize>(&mut self) -> ([&[f32]; N], &mut [f32]) {
        let node = self.node;
        // No loop, which would stay one when compiled for size.
        let [a, b, c] = &node.links.operands;
        // SAFETY: operands are apart from the result, and nothing else is written
        // while `self` is borrowed, which borrows the arena.
        let operands = unsafe { [a.read(), b.read(), c.read()] };
        let operands = match operands.first_chunk() {
            Some(operands) => *operands,
            None => [&[] as &[f32]; N],
        };
        // SAFETY: as above; the node is an operation's and no view.
        (operands, unsafe { node.values.write() })
    }

    /// The shape of operand `k`.
    pub fn operand_shape(&self, k: usize) -> Shape {
        operand_shape(self.nodes, self.node, k)
    }

    /// The shape of the result.
    pub fn shape(&self) -> Shape {
        self.node.shape
    }

    /// The attributes as the shape rule left them.
    #[inline(always)]
    pub fn attrs(&self) -> &'a Attrs {
        &self.node.attrs
    }
}

/// What an operation is given to send gradients to its operands.
pub struct Backward<'a> {
    nodes: &'a [Node],
    node: &'a Node,
    /// Bit `k`: the gradient of operand `k` was not lent yet, and holds nothing.
    firsts: u8,
    floats: PhantomData<&'a mut [f32]>,
}

impl<'a> Backward<'a> {
    pub(crate) fn new(nodes: &'a [Node], first: &'a Node, _: &'a mut Floats<'_>) -> Self {
        Backward {
            nodes,
            node: first,
            firsts: 0,
            floats: PhantomData,
        }
    }

    /// Runs an operation backward, one whose gradients are planned. `firsts`: of
    /// which operands it is the first to write the gradient.
    #[inline(always)]
    pub(crate) fn run(&mut self, op: &dyn super::Op, node: &'a Node, firsts: u8) {
        self.node = node;
        self.firsts = firsts;
        op.backward(self);
        if self.firsts != 0 {
            self.clear_unlent();
        }
    }

    /// Clears the gradients that this operation should have been the first to
    /// write, and did not ask for.
    #[cold]
    #[inline(never)]
    fn clear_unlent(&mut self) {
        for k in 0..MAX_OPERANDS {
            if self.firsts & 1 << k != 0
                && let Some(grad) = self.grad(k)
            {
                grad.operand.fill(-0.0);
            }
        }
    }

    /// The values of operand `k`.
    #[inline(always)]
    pub fn operand(&self, k: usize) -> &'a [f32] {
        match self.node.links.operands.get(k) {
            // SAFETY: values do not change while a backward pass borrows the arena.
            Some(span) => unsafe { span.read() },
            None => &[],
        }
    }

    /// The shape of operand `k`.
    pub fn operand_shape(&self, k: usize) -> Shape {
        operand_shape(self.nodes, self.node, k)
    }

    /// The values of the result.
    #[inline(always)]
    pub fn output(&self) -> &'a [f32] {
        // SAFETY: as for operands.
        unsafe { self.node.values.read() }
    }

    /// The shape of the result.
    pub fn shape(&self) -> Shape {
        self.node.shape
    }

    /// The attributes as the shape rule left them.
    #[inline(always)]
    pub fn attrs(&self) -> &'a Attrs {
        &self.node.attrs
    }

    /// Whether a gradient flows to operand `k`.
    #[inline(always)]
    pub fn needs_grad(&self, k: usize) -> bool {
        let start = self.node.links.grads.get(k);
        start.is_some_and(|start| *start != Start::NONE)
    }

    /// Lends the gradients needed for operand `k`: the result's, to read, and
    /// the operand's, to write or add to. `None` if no gradient flows there.
    ///
    /// To be called once for each operand, in order. An operand used twice, as
    /// in `x * x`, is written by the first call and added to by the second. An
    /// operand it is not called for gets zeros from this operation.
    #[inline(always)]
    pub fn grad(&mut self, k: usize) -> Option<Grad<'_>> {
        let (node, links) = (self.node, &self.node.links);
        let start = *links.grads.get(k)?;
        if start == Start::NONE {
            return None;
        }
        let acc = if self.firsts & 1 << k != 0 {
            Acc::Set
        } else {
            Acc::Add
        };
        self.firsts &= !(1 << k);
        let len = links.operands.get(k)?.len;
        let result = Span {
            start: links.grad,
            len: node.values.len,
        };
        Some(Grad {
            // SAFETY: planned with these lengths, so within the arena; apart from the
            // operand's, and nothing else is lent for writing while `self` is borrowed.
            output: unsafe { result.read() },
            // SAFETY: as above, and behind all values.
            operand: unsafe { Span { start, len }.write() },
            acc,
        })
    }
}

fn operand_shape(nodes: &[Node], node: &Node, k: usize) -> Shape {
    node.operands
        .get(k)
        .and_then(|&id| nodes.get(id as usize))
        .map(|operand| operand.shape)
        .unwrap_or_default()
}

/// The gradients an operation works on for one of its operands.
#[derive(Debug)]
pub struct Grad<'g> {
    /// The loss's gradient with respect to the result.
    pub output: &'g [f32],
    /// The loss's gradient with respect to the operand. With [`Acc::Set`] it
    /// holds nothing yet and every element must be written.
    pub operand: &'g mut [f32],
    /// Whether to write or to add.
    pub acc: Acc,
}

impl Grad<'_> {
    /// Writes or adds the only element of the operand's gradient.
    #[inline(always)]
    pub fn put(self, x: f32) {
        // Adding is the exception, and kept out of the way.
        #[cold]
        #[inline(never)]
        fn add(to: &mut f32, x: f32) {
            *to += x;
        }
        match (self.operand, self.acc) {
            ([to, ..], Acc::Set) => *to = x,
            ([to, ..], Acc::Add) => add(to, x),
            _ => {}
        }
    }
}

impl core::fmt::Debug for Forward<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Forward")
            .field("node", self.node)
            .finish_non_exhaustive()
    }
}

impl core::fmt::Debug for Backward<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Backward")
            .field("node", self.node)
            .finish_non_exhaustive()
    }
}
