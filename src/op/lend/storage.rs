//! The arena's two slices, and pointers into them.
//!
//! See the [module above](super) for what makes them sound.

use core::cell::Cell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::slice;

use super::super::Node;
use crate::shape::Shape;

/// A pointer to where a slice starts; null if there is none, so that an unused node is all
/// zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FloatPtr(*mut f32);

// SAFETY: a pointer is used only by the tape that borrows what it points to, and
// that tape moves to another thread together with its nodes, or not at all: it
// borrows them exclusively.
unsafe impl Send for FloatPtr {}

impl FloatPtr {
    pub(crate) const NONE: FloatPtr = FloatPtr(core::ptr::null_mut());

    /// The pointer `len` numbers further on.
    pub(crate) fn after(self, len: usize) -> FloatPtr {
        FloatPtr(self.0.wrapping_add(len))
    }

    /// How many numbers it is behind another of the same arena.
    pub(crate) fn beyond(self, other: FloatPtr) -> usize {
        self.0.addr().wrapping_sub(other.0.addr()) / size_of::<f32>()
    }

    /// Whether there is room for `len` numbers from here to `next`, which may also be
    /// in front.
    pub(crate) fn has_room(self, len: usize, next: FloatPtr) -> bool {
        let bytes = next.0.addr().wrapping_sub(self.0.addr());
        bytes as isize >= (len * size_of::<f32>()) as isize
    }
}

/// A slice of the arena, or of a borrowed input, as a pointer and a length of 32 bits.
#[derive(Clone, Copy)]
pub(crate) struct RawSlice {
    ptr: FloatPtr,
    len: u32,
}

impl RawSlice {
    /// The slice of an unused node: all zeros, and never lent.
    pub(crate) const UNUSED: RawSlice = RawSlice {
        ptr: FloatPtr::NONE,
        len: 0,
    };

    /// A slice of no numbers, which may be lent.
    const EMPTY: RawSlice = RawSlice {
        ptr: FloatPtr(NonNull::dangling().as_ptr()),
        len: 0,
    };

    /// Data that stay with the user, to be read only. The caller sees to it that they live as
    /// long as the tape.
    pub(crate) fn of_input(data: &[f32]) -> RawSlice {
        RawSlice {
            ptr: FloatPtr(data.as_ptr().cast_mut()),
            len: data.len() as u32,
        }
    }

    /// The numbers that an operation keeps for its backward pass: room was made for them
    /// when it was recorded, behind the result where that is longest.
    pub(super) fn of_saved(node: &Node) -> RawSlice {
        RawSlice {
            ptr: node.tensor.values.ptr.after(node.cap as usize),
            len: u32::from(node.saved),
        }
    }

    /// A result as long as recorded, and behind it what its operation keeps.
    #[inline(always)]
    pub(super) fn of_result_and_saved(node: &Node) -> RawSlice {
        RawSlice {
            ptr: node.tensor.values.ptr,
            len: node.cap + u32::from(node.saved),
        }
    }

    pub(crate) fn ptr(self) -> FloatPtr {
        self.ptr
    }

    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it has no number in common with another slice.
    pub(super) fn is_apart_from(self, other: RawSlice) -> bool {
        self.ptr.after(self.len()) <= other.ptr || other.ptr.after(other.len()) <= self.ptr
    }

    /// Lends the numbers for reading.
    ///
    /// # Safety
    /// Nothing may write to it during `'a`, nor may the arena end.
    #[inline(always)]
    pub(super) unsafe fn read<'a>(self) -> &'a [f32] {
        // SAFETY: a raw slice is valid; the rest is the caller's word.
        unsafe { slice::from_raw_parts(self.ptr.0, self.len as usize) }
    }

    /// Lends the numbers for writing.
    ///
    /// # Safety
    /// Nothing else may read or write it during `'a`, nor may the arena end. It is
    /// not an input's.
    #[inline(always)]
    pub(super) unsafe fn write<'a>(self) -> &'a mut [f32] {
        // SAFETY: a raw slice is valid; the rest is the caller's word.
        unsafe { slice::from_raw_parts_mut(self.ptr.0, self.len as usize) }
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
    #[inline(never)] // One copy: many places call it, and seldom.
    pub(crate) fn raw_slice(&self, place: usize, len: usize) -> RawSlice {
        match self.get(place..).and_then(|from| from.get(..len)) {
            Some(_) => RawSlice {
                ptr: self.ptr(place),
                len: len as u32,
            },
            None => RawSlice::EMPTY,
        }
    }

    /// [`raw_slice`](Self::raw_slice), lent for writing.
    pub(crate) fn part(&mut self, place: usize, len: usize) -> &mut [f32] {
        let slice = self.raw_slice(place, len);
        // SAFETY: the slice is of the arena, and `self` is borrowed exclusively.
        unsafe { slice.write() }
    }

    /// How far it is from `place` to the next cache line.
    pub(crate) fn to_line(&self, place: usize) -> usize {
        self.start.as_ptr().wrapping_add(place).align_offset(64)
    }

    /// Where the number at `place` stands.
    pub(crate) fn ptr(&self, place: usize) -> FloatPtr {
        FloatPtr(self.start.as_ptr()).after(place)
    }

    /// The place of a slice that is not an input's.
    pub(crate) fn place(&self, slice: RawSlice) -> usize {
        self.place_of(slice.ptr)
    }

    /// The place of a number of the arena.
    pub(crate) fn place_of(&self, ptr: FloatPtr) -> usize {
        ptr.beyond(FloatPtr(self.start.as_ptr()))
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

    /// The numbers of a node's slice.
    #[inline(always)]
    pub(crate) fn show(&self, slice: RawSlice) -> &[f32] {
        // SAFETY: writing to the arena takes an exclusive borrow of `self`.
        unsafe { slice.read() }
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

/// A node's values, gradient and shape: all that an operation asks of its operands.
#[derive(Clone, Copy)]
pub(crate) struct Tensor {
    pub(crate) values: RawSlice,
    /// Where the gradient starts, if there is one, once planned.
    pub(crate) grad: FloatPtr,
    pub(crate) shape: Shape,
}

impl Tensor {
    pub(crate) const UNUSED: Tensor = Tensor {
        values: RawSlice::UNUSED,
        grad: FloatPtr::NONE,
        shape: Shape::UNUSED,
    };

    pub(super) fn gradient(&self) -> RawSlice {
        RawSlice {
            ptr: self.grad,
            ..self.values
        }
    }
}

/// The tensor of an operand that is not there.
struct Nothing(Tensor);

// SAFETY: nothing is behind its pointers.
unsafe impl Sync for Nothing {}

static NOTHING: Nothing = Nothing(Tensor {
    values: RawSlice::EMPTY,
    grad: FloatPtr::NONE,
    shape: Shape::SCALAR,
});

/// An operand, by the tensor that its node starts with: so that one that is not there
/// can be read like any other, without a look at whether it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operand(*const Tensor);

// SAFETY: as for `FloatPtr`.
unsafe impl Send for Operand {}

impl Operand {
    /// The operand of an unused node: all zeros, and never read.
    pub(crate) const UNUSED: Operand = Operand(core::ptr::null());

    /// An operand that is not there.
    pub(crate) const NONE: Operand = Operand(&raw const NOTHING.0);

    /// Its tensor.
    ///
    /// # Safety
    /// It is the operand of an operation, and nothing may write to its node during `'a`, nor
    /// may its tape end.
    #[inline(always)]
    pub(super) unsafe fn tensor<'a>(self) -> &'a Tensor {
        // SAFETY: the pointer is valid, as is that to `NOTHING`; the rest is the caller's word.
        unsafe { &*self.0 }
    }

    /// The node, if there is one.
    pub(crate) fn ptr(self) -> Option<NodePtr> {
        if self == Operand::NONE {
            None
        } else {
            NonNull::new(self.0.cast_mut().cast()).map(NodePtr)
        }
    }
}

/// A pointer to a node of the same tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodePtr(NonNull<Node>);

// SAFETY: as for `FloatPtr`.
unsafe impl Send for NodePtr {}

impl NodePtr {
    /// The node as an operation's operand. A node starts with its tensor.
    pub(crate) fn operand(self) -> Operand {
        Operand(self.0.as_ptr().cast_const().cast())
    }

    /// The node.
    ///
    /// # Safety
    /// Nothing may write to the node during `'a`, nor may its tape end.
    #[inline(always)]
    pub(super) unsafe fn node<'a>(self) -> &'a Node {
        // SAFETY: the pointer is valid; the rest is the caller's word.
        unsafe { self.0.as_ref() }
    }
}

/// The arena's nodes, which dereference to those in use.
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
    pub(crate) fn ptr(&self, id: usize) -> Option<NodePtr> {
        // SAFETY: within the arena, as all that are in use.
        (id < self.used).then(|| unsafe { self.nth_unchecked(id) })
    }

    /// The next node to be used, if there is one.
    pub(crate) fn free(&self) -> Option<NodePtr> {
        // SAFETY: within the arena.
        (self.used < self.capacity).then(|| unsafe { self.nth_unchecked(self.used) })
    }

    /// Pointers to the nodes in use, in recorded order.
    pub(crate) fn ptrs(
        &self,
    ) -> impl DoubleEndedIterator<Item = NodePtr> + ExactSizeIterator + use<'t> {
        let start = self.start;
        // SAFETY: as many are in use, and so within the arena.
        (0..self.used).map(move |id| NodePtr(unsafe { start.add(id) }))
    }

    /// Node `id`, in use or not.
    ///
    /// # Safety
    /// `id` is less than the capacity.
    #[inline(always)]
    unsafe fn nth_unchecked(&self, id: usize) -> NodePtr {
        // SAFETY: the caller promises it.
        NodePtr(unsafe { self.start.add(id) })
    }

    /// The node that was recorded before this one, if there is one.
    pub(crate) fn before(&self, ptr: NodePtr) -> Option<NodePtr> {
        // SAFETY: if it is not the first, there is one before it.
        (ptr.0 != self.start).then(|| unsafe { NodePtr(ptr.0.sub(1)) })
    }

    /// A node's number from 1 on: in 16 bits, see `MAX_NODES`.
    pub(crate) fn number(&self, ptr: NodePtr) -> u32 {
        let bytes = ptr.0.addr().get().wrapping_sub(self.start.addr().get());
        (bytes / size_of::<Node>()) as u32 + 1
    }

    /// The node with this number; none for 0.
    pub(crate) fn numbered(&self, number: u32) -> Option<NodePtr> {
        self.ptr((number as usize).wrapping_sub(1))
    }

    /// Takes the next node into use, if there is one.
    pub(crate) fn grow(&mut self) {
        self.used = self.capacity.min(self.used + 1);
    }

    /// Keeps the first `keep` nodes in use, and no others.
    pub(crate) fn truncate(&mut self, keep: usize) {
        self.used = self.used.min(keep);
    }

    /// The node that a pointer of this tape points to.
    #[inline(always)]
    pub(crate) fn at(&self, ptr: NodePtr) -> &Node {
        // SAFETY: writing to nodes takes an exclusive borrow of `self`.
        unsafe { ptr.node() }
    }

    /// An operation's operand, also one that is not there.
    pub(crate) fn tensor(&self, operand: Operand) -> &Tensor {
        // SAFETY: as above.
        unsafe { operand.tensor() }
    }

    /// The node that a pointer of this tape points to, to be changed.
    pub(crate) fn at_mut(&mut self, mut ptr: NodePtr) -> &mut Node {
        // SAFETY: the pointer is valid, and `self` is borrowed exclusively.
        unsafe { ptr.0.as_mut() }
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

/// While gradients are planned, `tape::places` keeps other numbers in a node, in place of
/// its pointers.
impl Node {
    /// The length of the gap behind its buffer.
    pub(crate) fn gap(&self) -> usize {
        number(&self.next)
    }

    pub(crate) fn set_gap(&self, gap: usize) {
        set_number(&self.next, gap);
    }

    /// The numbers, by [`Nodes::number`], of the two nodes below it.
    pub(crate) fn below(&self) -> (u32, u32) {
        let both = number(&self.next_planned) as u32;
        (both & 0xFFFF, both >> 16)
    }

    pub(crate) fn set_below(&self, (left, right): (u32, u32)) {
        set_number(&self.next_planned, (left | right << 16) as usize);
    }
}

/// The number that stands in place of a pointer to a node.
pub(crate) fn number(ptr: &Cell<Option<NodePtr>>) -> usize {
    ptr.get().map_or(0, |ptr| ptr.0.addr().get())
}

/// Puts a number in place of a pointer to a node.
pub(crate) fn set_number(ptr: &Cell<Option<NodePtr>>, number: usize) {
    ptr.set(NonNull::new(core::ptr::without_provenance_mut(number)).map(NodePtr));
}

/// An input has no operands. In their place stand data of another batch size, until they are
/// taken over, and beside those the data that it showed before others were tried.
impl Node {
    pub(crate) fn set_waiting(&mut self, data: RawSlice) {
        let [first, ..] = &mut self.operands;
        *first = Operand(data.ptr.0.cast_const().cast());
        self.attrs.words[0] = data.len;
    }

    pub(crate) fn waiting(&self) -> RawSlice {
        let [first, ..] = self.operands;
        RawSlice {
            ptr: FloatPtr(first.0.cast_mut().cast()),
            len: self.attrs.words[0],
        }
    }

    pub(crate) fn set_aside(&mut self, data: RawSlice) {
        let [_, second, ..] = &mut self.operands;
        *second = Operand(data.ptr.0.cast_const().cast());
        self.attrs.words[1] = data.len;
    }

    pub(crate) fn aside(&self) -> RawSlice {
        let [_, second, ..] = self.operands;
        RawSlice {
            ptr: FloatPtr(second.0.cast_mut().cast()),
            len: self.attrs.words[1],
        }
    }
}
