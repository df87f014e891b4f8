//! Lending: where an operation's slices are is found when it is recorded and
//! planned, once; a pass then takes them as they stand.
//!
//! A replay of eleven samples is a few hundred instructions. Looking up a slice
//! in the arena by offset and length, with every check, is a dozen, and a pass
//! takes four for each operation: more than the arithmetic itself. So nodes keep
//! pointers, to their numbers and to the nodes of their operands, and this module
//! turns them into slices.
//!
//! # Safety
//!
//! Beside the entry to AVX2 this is the only module with `unsafe` in it. What it
//! relies on:
//!
//! **Spans are valid.** A [`Span`] is made here only: by [`Floats::span`], which
//! checks that it is within the arena, by [`Span::of_input`], from a slice that
//! lives as long as the tape, and behind a result, where `State::record` has checked
//! that there is room for what the operation saves. All outlive every use: what their
//! spans show is lent only within a borrow of the tape's state.
//!
//! **Links are valid.** A [`Link`] is made by [`Nodes`], to a node that is in use or the
//! next to be, and an [`Operand`] of one. A tape follows those of nodes it has itself
//! filled and no others, and its nodes stay where they are as long as it borrows them.
//!
//! **Nothing is lent for reading and writing at once.** Values: a result is a span that
//! was free when the operation was recorded, as those of its operands were not, or it
//! is a view, and those are never run. Gradients: `State::plan` gives each a place
//! before all values, apart from all that are in use at the same time, as
//! those of a result and of its operands are; [`Backward::grad`] lends one operand's
//! at a time. Values are only read while a backward pass runs, gradients are not
//! touched while a forward pass does. Debug builds check both, and lend nothing that
//! overlaps.
//!
//! **Numbers in place of links are not followed.** While gradients are planned, nodes
//! keep other numbers where their places in the two chains of operations are
//! ([`set_number`]). No pass runs meanwhile. When planning ends, even by unwinding, the
//! forward chain is put back; the backward one is followed only from where a plan that
//! was completed begins it.
//!
//! **What is planned is up to date.** When a value is added or dropped, moves or
//! changes its length, `State` plans again before it runs backward.
//!
//! **One pointer.** All access to the arena goes through the pointers in [`Floats`]
//! and [`Nodes`], which took over the exclusive borrows, and copies of them.

#![allow(unsafe_code)]

use core::cell::Cell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::slice;

use super::{Attrs, Node, Op};
use crate::kernel::Acc;
use crate::shape::Shape;

/// Where a slice starts; null if there is none, so that an unused node is all zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Start(*mut f32);

// SAFETY: a pointer is used only by the tape that borrows what it points to, and
// that tape moves to another thread together with its nodes, or not at all: it
// borrows them exclusively.
unsafe impl Send for Start {}

impl Start {
    pub(crate) const NONE: Start = Start(core::ptr::null_mut());

    pub(crate) fn after(self, len: usize) -> Start {
        Start(self.0.wrapping_add(len))
    }

    /// How many numbers it is behind another of the same arena.
    pub(crate) fn beyond(self, other: Start) -> usize {
        self.0.addr().wrapping_sub(other.0.addr()) / size_of::<f32>()
    }

    /// Whether there is room for `len` numbers from here to `next`, which may also be
    /// in front.
    pub(crate) fn has_room(self, len: usize, next: Start) -> bool {
        let bytes = next.0.addr().wrapping_sub(self.0.addr());
        bytes as isize >= (len * size_of::<f32>()) as isize
    }
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

    pub(crate) fn start(self) -> Start {
        self.start
    }

    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.len as usize
    }

    fn is_apart_from(self, other: Span) -> bool {
        self.start.after(self.len()) <= other.start || other.start.after(other.len()) <= self.start
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
    #[inline(never)] // seldom called, from many places
    pub(crate) fn span(&self, place: usize, len: usize) -> Span {
        match self.get(place..).and_then(|from| from.get(..len)) {
            Some(_) => Span {
                start: self.start(place),
                len: len as u32,
            },
            None => Span::EMPTY,
        }
    }

    /// The same, to change them.
    pub(crate) fn part(&mut self, place: usize, len: usize) -> &mut [f32] {
        let span = self.span(place, len);
        // SAFETY: of the arena, and `self` is borrowed exclusively.
        unsafe { span.write() }
    }

    /// How far it is from `place` to the next cache line.
    pub(crate) fn to_line(&self, place: usize) -> usize {
        self.start.as_ptr().wrapping_add(place).align_offset(64)
    }

    /// Where the number at `place` stands.
    pub(crate) fn start(&self, place: usize) -> Start {
        Start(self.start.as_ptr()).after(place)
    }

    /// The place of a span that is not an input's.
    pub(crate) fn place(&self, span: Span) -> usize {
        self.place_of(span.start)
    }

    /// The place of a number of the arena.
    pub(crate) fn place_of(&self, start: Start) -> usize {
        start.beyond(Start(self.start.as_ptr()))
    }

    /// The first `n` numbers and the next `n`; none if there are not as many.
    #[inline(always)]
    pub(crate) fn pair(&mut self, n: usize) -> (&mut [f32], &mut [f32]) {
        #[cold]
        fn none<'a>() -> (&'a mut [f32], &'a mut [f32]) {
            (&mut [], &mut [])
        }
        if n > self.len / 2 {
            return none();
        }
        // SAFETY: both are within the arena, apart from each other.
        unsafe {
            (
                slice::from_raw_parts_mut(self.start.as_ptr(), n),
                slice::from_raw_parts_mut(self.start.add(n).as_ptr(), n),
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

/// What there is to know of an operand.
#[derive(Clone, Copy)]
pub(crate) struct Tensor {
    pub(crate) values: Span,
    /// Where the gradient starts, if there is one, once planned.
    pub(crate) grad: Start,
    pub(crate) shape: Shape,
}

impl Tensor {
    pub(crate) const UNUSED: Tensor = Tensor {
        values: Span::UNUSED,
        grad: Start::NONE,
        shape: Shape::UNUSED,
    };

    fn gradient(&self) -> Span {
        Span {
            start: self.grad,
            ..self.values
        }
    }
}

/// Of an operand that is not there.
struct Nothing(Tensor);

// SAFETY: nothing is behind its pointers.
unsafe impl Sync for Nothing {}

static NOTHING: Nothing = Nothing(Tensor {
    values: Span::EMPTY,
    grad: Start::NONE,
    shape: Shape::SCALAR,
});

/// An operand, by the tensor that its node starts with: so that one that is not there
/// can be read like any other, without a look at whether it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operand(*const Tensor);

// SAFETY: as for `Start`.
unsafe impl Send for Operand {}

impl Operand {
    /// Of unused nodes: all zeros. Never read.
    pub(crate) const UNUSED: Operand = Operand(core::ptr::null());

    /// One that is not there.
    pub(crate) const NONE: Operand = Operand(&raw const NOTHING.0);

    /// # Safety
    /// The operand of an operation, and nothing may write to its node during `'a`, nor
    /// may its tape end.
    #[inline(always)]
    unsafe fn tensor<'a>(self) -> &'a Tensor {
        // SAFETY: a link is valid, and so is `NOTHING`; the rest is the caller's word.
        unsafe { &*self.0 }
    }

    /// The node, if there is one.
    pub(crate) fn link(self) -> Option<Link> {
        if self == Operand::NONE {
            None
        } else {
            NonNull::new(self.0.cast_mut().cast()).map(Link)
        }
    }
}

/// A node of the same tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link(NonNull<Node>);

// SAFETY: as for `Start`.
unsafe impl Send for Link {}

impl Link {
    /// An operation's operand. A node starts with its tensor.
    pub(crate) fn operand(self) -> Operand {
        Operand(self.0.as_ptr().cast_const().cast())
    }

    /// # Safety
    /// Nothing may write to the node during `'a`, nor may its tape end.
    #[inline(always)]
    unsafe fn node<'a>(self) -> &'a Node {
        // SAFETY: a link is valid; the rest is the caller's word.
        unsafe { self.0.as_ref() }
    }
}

/// The arena's nodes. Seen as a slice: those in use.
pub(crate) struct Nodes<'t> {
    start: NonNull<Node>,
    used: usize,
    capacity: usize,
    borrowed: PhantomData<&'t mut [Node]>,
}

impl<'t> Nodes<'t> {
    pub(crate) fn new(nodes: &'t mut [Node]) -> Self {
        Nodes {
            used: 0,
            capacity: nodes.len(),
            start: NonNull::from(nodes).cast(),
            borrowed: PhantomData,
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Node `id`, if it is in use.
    #[inline(always)]
    pub(crate) fn link(&self, id: usize) -> Option<Link> {
        // SAFETY: within the arena, as all that are in use.
        (id < self.used).then(|| unsafe { self.nth(id) })
    }

    /// The next node to be used, if there is one.
    pub(crate) fn free(&self) -> Option<Link> {
        // SAFETY: within the arena.
        (self.used < self.capacity).then(|| unsafe { self.nth(self.used) })
    }

    /// Those in use, in recorded order.
    pub(crate) fn links(
        &self,
    ) -> impl DoubleEndedIterator<Item = Link> + ExactSizeIterator + use<'t> {
        let start = self.start;
        // SAFETY: as many are in use, and so within the arena.
        (0..self.used).map(move |id| Link(unsafe { start.add(id) }))
    }

    /// # Safety
    /// `id` is less than the capacity.
    #[inline(always)]
    unsafe fn nth(&self, id: usize) -> Link {
        // SAFETY: this is the caller's word.
        Link(unsafe { self.start.add(id) })
    }

    /// The node before.
    pub(crate) fn before(&self, link: Link) -> Option<Link> {
        // SAFETY: if it is not the first, there is one before it.
        (link.0 != self.start).then(|| unsafe { Link(link.0.sub(1)) })
    }

    /// A node's number from 1 on: in 16 bits, see `MAX_NODES`.
    pub(crate) fn number(&self, link: Link) -> u32 {
        let bytes = link.0.addr().get().wrapping_sub(self.start.addr().get());
        (bytes / size_of::<Node>()) as u32 + 1
    }

    /// The node with this number; none for 0.
    pub(crate) fn numbered(&self, number: u32) -> Option<Link> {
        self.link((number as usize).wrapping_sub(1))
    }

    /// Takes the next one into use, if there is one.
    pub(crate) fn grow(&mut self) {
        self.used = self.capacity.min(self.used + 1);
    }

    /// Keeps the first `keep`.
    pub(crate) fn truncate(&mut self, keep: usize) {
        self.used = self.used.min(keep);
    }

    /// The node that a node of this tape is linked to.
    #[inline(always)]
    pub(crate) fn at(&self, link: Link) -> &Node {
        // SAFETY: who writes to nodes borrows `self` exclusively.
        unsafe { link.node() }
    }

    /// An operation's operand, also one that is not there.
    pub(crate) fn tensor(&self, operand: Operand) -> &Tensor {
        // SAFETY: as above.
        unsafe { operand.tensor() }
    }

    /// The node that a node of this tape is linked to, to change it.
    pub(crate) fn at_mut(&mut self, mut link: Link) -> &mut Node {
        // SAFETY: a link is valid, and `self` is borrowed exclusively.
        unsafe { link.0.as_mut() }
    }
}

impl Deref for Nodes<'_> {
    type Target = [Node];
    #[inline(always)]
    fn deref(&self) -> &[Node] {
        // SAFETY: these are the parts of an exclusive borrow that still lasts.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.used) }
    }
}

impl DerefMut for Nodes<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [Node] {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.used) }
    }
}

/// Numbers that `tape::place` keeps in a node while gradients are planned, in place of
/// its links.
impl Node {
    pub(crate) fn gap(&self) -> usize {
        number(&self.next)
    }

    pub(crate) fn set_gap(&self, gap: usize) {
        set_number(&self.next, gap);
    }

    /// Two numbers of nodes, by [`Nodes::number`].
    pub(crate) fn below(&self) -> (u32, u32) {
        let both = number(&self.next_planned) as u32;
        (both & 0xFFFF, both >> 16)
    }

    pub(crate) fn set_below(&self, (left, right): (u32, u32)) {
        set_number(&self.next_planned, (left | right << 16) as usize);
    }
}

/// A number that is kept in place of a link.
pub(crate) fn number(link: &Cell<Option<Link>>) -> usize {
    link.get().map_or(0, |link| link.0.addr().get())
}

pub(crate) fn set_number(link: &Cell<Option<Link>>, number: usize) {
    link.set(NonNull::new(core::ptr::without_provenance_mut(number)).map(Link));
}

/// An input's data of another batch size stand, until they are taken over, where an
/// operation would have its operands.
impl Node {
    pub(crate) fn set_waiting(&mut self, data: Span) {
        let [first, ..] = &mut self.operands;
        *first = Operand(data.start.0.cast_const().cast());
        self.attrs.words[0] = data.len;
    }

    pub(crate) fn waiting(&self) -> Span {
        let [first, ..] = self.operands;
        Span {
            start: Start(first.0.cast_mut().cast()),
            len: self.attrs.words[0],
        }
    }

    /// Beside them stand those that it showed before others are tried.
    pub(crate) fn set_aside(&mut self, data: Span) {
        let [_, second, ..] = &mut self.operands;
        *second = Operand(data.start.0.cast_const().cast());
        self.attrs.words[1] = data.len;
    }

    pub(crate) fn aside(&self) -> Span {
        let [_, second, ..] = self.operands;
        Span {
            start: Start(second.0.cast_mut().cast()),
            len: self.attrs.words[1],
        }
    }
}

/// What an operation is given to compute its result.
pub struct Forward<'a> {
    node: &'a Node,
    floats: PhantomData<&'a mut [f32]>,
}

impl<'a> Forward<'a> {
    /// Runs the operations of a chain, one after the other.
    #[inline(always)]
    pub(crate) fn run(nodes: &'a Nodes<'_>, first: Option<Link>, floats: &'a mut Floats<'_>) {
        let mut next = first;
        while let Some(link) = next {
            let node = nodes.at(link);
            let Some(op) = node.op else { break };
            Self::run_one(op, node, floats);
            next = node.next.get();
        }
    }

    /// Runs one.
    #[inline(always)]
    pub(crate) fn run_one(op: &dyn Op, node: &Node, _: &mut Floats<'_>) {
        op.forward(&mut Forward {
            node,
            floats: PhantomData,
        });
    }

    /// The values of the first `N` operands, to read, and the result, to write;
    /// it holds the previous replay's values. Operands that are not there are
    /// empty.
    #[inline(always)]
    pub fn split<const N: usize>(&mut self) -> ([&[f32]; N], &mut [f32]) {
        let node = self.node;
        // No loop, which would stay one when compiled for size.
        let [a, b, c] = node.operands;
        // SAFETY: operands are apart from the result, and nothing else is written
        // while `self` is borrowed, which borrows the arena.
        let operands = unsafe {
            [
                a.tensor().values.read(),
                b.tensor().values.read(),
                c.tensor().values.read(),
            ]
        };
        let operands = match operands.first_chunk() {
            Some(operands) if !cfg!(debug_assertions) || self.is_sound() => *operands,
            _ => [&[] as &[f32]; N],
        };
        // SAFETY: as above; the node is an operation's and no view.
        (operands, unsafe { node.tensor.values.write() })
    }

    /// [`split`](Self::split), and behind the result, which is as long as recorded, what is
    /// kept for `backward`.
    #[inline(always)]
    pub(crate) fn split_with_saved<const N: usize>(&mut self) -> ([&[f32]; N], &mut [f32]) {
        let node = self.node;
        let (operands, _) = self.split();
        let both = Span {
            start: node.tensor.values.start,
            len: node.cap + u32::from(node.saved),
        };
        // SAFETY: room was made for both at once, apart from all operands; nothing else is
        // lent for writing while `self` is borrowed; the node is an operation's and no view.
        (operands, unsafe { both.write() })
    }

    /// The values of what operand `k` is itself computed from, as its operand `j`; of a node
    /// that another operation made, to bring its operands along.
    pub(crate) fn operand_of(&self, k: usize, j: usize) -> &'a [f32] {
        // SAFETY: operands are apart from the result, and read while `self` borrows the arena.
        unsafe { operand_of(self.node, k, j).values.read() }
    }

    /// Whether the result is apart from the operands.
    fn is_sound(&self) -> bool {
        let result = self.node.tensor.values;
        // SAFETY: no node changes while a pass runs.
        let apart = |operand: &Operand| unsafe { operand.tensor() }.values.is_apart_from(result);
        self.node.operands.iter().all(apart)
    }

    /// What is kept for `backward`, to write: as many numbers as
    /// [`Op::saves`](super::Op::saves) says.
    pub fn saved(&mut self) -> &mut [f32] {
        // SAFETY: behind the result, and nothing else is lent for writing while `self`
        // is borrowed; the node is an operation's and no view.
        unsafe { saved(self.node).write() }
    }

    /// The shape of operand `k`.
    pub fn operand_shape(&self, k: usize) -> Shape {
        operand_shape(self.node, k)
    }

    /// The shape of the result.
    pub fn shape(&self) -> Shape {
        self.node.tensor.shape
    }

    /// The attributes as the shape rule left them.
    #[inline(always)]
    pub fn attrs(&self) -> &'a Attrs {
        &self.node.attrs
    }
}

/// What an operation keeps: room was made for it when it was recorded, behind the
/// result where that is longest.
fn saved(node: &Node) -> Span {
    Span {
        start: node.tensor.values.start.after(node.cap as usize),
        len: u32::from(node.saved),
    }
}

/// What an operation is given to send gradients to its operands.
pub struct Backward<'a> {
    node: &'a Node,
    /// Bit `k`: the gradient of operand `k` was not lent yet, and holds nothing.
    firsts: u8,
    floats: PhantomData<&'a mut [f32]>,
}

impl<'a> Backward<'a> {
    /// Runs the planned operations of a chain backward. `anew`: whether gradients of
    /// parameters hold nothing yet.
    #[inline(always)]
    pub(crate) fn run(
        nodes: &'a Nodes<'_>,
        first: Option<Link>,
        _: &'a mut Floats<'_>,
        anew: bool,
    ) {
        let shift = if anew { Node::ANEW } else { 0 };
        let mut next = first;
        while let Some(link) = next {
            let node = nodes.at(link);
            let Some(op) = node.op else { break };
            let mut cx = Backward {
                node,
                firsts: node.firsts >> shift & Node::ADDING,
                floats: PhantomData,
            };
            op.backward(&mut cx);
            if cx.firsts != 0 {
                cx.clear_unlent();
            }
            next = node.next_planned.get();
        }
    }

    /// Clears the gradients that this operation should have been the first to
    /// write, and did not ask for.
    #[cold]
    #[inline(never)]
    fn clear_unlent(&mut self) {
        let mut firsts = self.firsts;
        for operand in &self.node.operands {
            if firsts & 1 != 0 {
                // SAFETY: planned, and nothing else is lent while `self` is borrowed.
                unsafe { operand.tensor().gradient().write() }.fill(-0.0);
            }
            firsts >>= 1;
        }
    }

    #[inline(always)]
    fn tensor(&self, k: usize) -> &'a Tensor {
        let operand = self.node.operands.get(k).copied().unwrap_or(Operand::NONE);
        // SAFETY: no node changes while a backward pass borrows them.
        unsafe { operand.tensor() }
    }

    /// The values of operand `k`.
    #[inline(always)]
    pub fn operand(&self, k: usize) -> &'a [f32] {
        // SAFETY: values do not change while a backward pass borrows the arena.
        unsafe { self.tensor(k).values.read() }
    }

    /// See [`Forward::operand_of`].
    pub(crate) fn operand_of(&self, k: usize, j: usize) -> &'a [f32] {
        // SAFETY: values do not change while a backward pass borrows the arena.
        unsafe { operand_of(self.node, k, j).values.read() }
    }

    /// The shape of operand `k`.
    pub fn operand_shape(&self, k: usize) -> Shape {
        operand_shape(self.node, k)
    }

    /// What `forward` kept.
    pub fn saved(&self) -> &'a [f32] {
        // SAFETY: as for operands; it stands among the values.
        unsafe { saved(self.node).read() }
    }

    /// The values of the result.
    #[inline(always)]
    pub fn output(&self) -> &'a [f32] {
        // SAFETY: as for operands.
        unsafe { self.node.tensor.values.read() }
    }

    /// The shape of the result.
    pub fn shape(&self) -> Shape {
        self.node.tensor.shape
    }

    /// The attributes as the shape rule left them.
    #[inline(always)]
    pub fn attrs(&self) -> &'a Attrs {
        &self.node.attrs
    }

    /// Whether a gradient flows to operand `k`.
    #[inline(always)]
    pub fn needs_grad(&self, k: usize) -> bool {
        let grad = self.tensor(k).grad;
        // If it is the result's, that was passed on as it is.
        grad != Start::NONE && grad != self.node.tensor.grad
    }

    /// The gradient of the result, to be changed before it is sent on: what it is
    /// worth before the last step of an operation that has several. For one that
    /// does not pass it on as it is ([`Op::passes_grad`](super::Op::passes_grad)).
    #[inline(always)]
    pub fn output_grad(&mut self) -> &mut [f32] {
        // SAFETY: planned, so within the arena and apart from all values; nothing else
        // is lent for writing while `self` is borrowed.
        unsafe { self.node.tensor.gradient().write() }
    }

    /// Whether the gradients of these operands, bit `k` for operand `k`, are needed
    /// and hold nothing yet.
    #[inline(always)]
    pub(crate) fn are_first(&self, operands: u8) -> bool {
        self.firsts & operands == operands
    }

    /// Lends the gradients needed for operand `k`: the result's, to read, and
    /// the operand's, to write or add to. `None` if no gradient flows there.
    ///
    /// To be called once for each operand, in order. An operand used twice, as
    /// in `x * x`, is written by the first call and added to by the second. An
    /// operand it is not called for gets zeros from this operation.
    #[inline(always)]
    pub fn grad(&mut self, k: usize) -> Option<Grad<'_>> {
        if !self.needs_grad(k) {
            return None;
        }
        let acc = if self.are_first(1 << k) {
            Acc::Set
        } else {
            Acc::Add
        };
        self.lend(k, acc)
    }

    /// [`grad`](Self::grad) of an operand that is known to be needed and to hold
    /// nothing yet, if so; with the same promise.
    #[inline(always)]
    pub(crate) fn first_grad(&mut self, k: usize) -> Option<Grad<'_>> {
        if !self.are_first(1 << k) {
            return None;
        }
        self.lend(k, Acc::Set)
    }

    /// The gradients of an operand that needs one.
    #[inline(always)]
    fn lend(&mut self, k: usize, acc: Acc) -> Option<Grad<'_>> {
        let (result, operand) = (self.node.tensor.gradient(), self.tensor(k).gradient());
        if cfg!(debug_assertions) && !operand.is_apart_from(result) {
            return None;
        }
        self.firsts &= !(1 << k);
        Some(Grad {
            // SAFETY: planned, so within the arena; apart from the operand's, and
            // nothing else is lent for writing while `self` is borrowed.
            output: unsafe { result.read() },
            // SAFETY: as above, and apart from all values.
            operand: unsafe { operand.write() },
            acc,
        })
    }
}

/// Operand `j` of the node that is operand `k`.
fn operand_of(node: &Node, k: usize, j: usize) -> &Tensor {
    let operand = node.operands.get(k).copied().unwrap_or(Operand::NONE);
    // SAFETY: no node changes while a pass borrows them, and all are of one tape.
    let maker = operand.link().map(|link| unsafe { link.node() });
    // A node that is no operation keeps other things where its operands would be.
    let maker = maker.filter(|node| node.op.is_some());
    let operand = maker.and_then(|node| node.operands.get(j).copied());
    // SAFETY: as above.
    unsafe { operand.unwrap_or(Operand::NONE).tensor() }
}

fn operand_shape(node: &Node, k: usize) -> Shape {
    let operand = node.operands.get(k).copied().unwrap_or(Operand::NONE);
    // SAFETY: no node changes while a pass borrows them.
    unsafe { operand.tensor() }.shape
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
