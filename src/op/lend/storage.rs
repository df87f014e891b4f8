//! The arena's two slices, and pointers into them.
//!
//! The [parent module](super) explains why they are sound.

use core::cell::Cell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::slice;

use super::super::Node;
use crate::shape::Shape;

/// A pointer to the start of a slice; null if there is none, so that an unused node is all
/// zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FloatPtr(*mut f32);

// SAFETY: only the tape that borrows the memory exclusively uses pointers into it, and the
// pointers are in the nodes that the same tape borrows: they move to another thread together, or
// not at all.
unsafe impl Send for FloatPtr {}

impl FloatPtr {
    pub(crate) const NONE: FloatPtr = FloatPtr(core::ptr::null_mut());

    /// The pointer `len` floats further on.
    pub(crate) fn after(self, len: usize) -> FloatPtr {
        FloatPtr(self.0.wrapping_add(len))
    }

    /// The distance in floats from `other`, an earlier pointer into the same arena.
    pub(crate) fn beyond(self, other: FloatPtr) -> usize {
        self.0.addr().wrapping_sub(other.0.addr()) / size_of::<f32>()
    }

    /// Returns whether `len` floats fit between here and `next`; false if `next` is in front of
    /// here.
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
    /// The slice of an unused node: all zeros, and never lent, because the pointer is null.
    pub(crate) const UNUSED: RawSlice = RawSlice {
        ptr: FloatPtr::NONE,
        len: 0,
    };

    /// An empty slice, which may be lent.
    const EMPTY: RawSlice = RawSlice {
        ptr: FloatPtr(NonNull::dangling().as_ptr()),
        len: 0,
    };

    /// A user's data, for reading only. The caller guarantees that they live as long as the
    /// tape.
    pub(crate) fn of_input(data: &[f32]) -> RawSlice {
        RawSlice {
            ptr: FloatPtr(data.as_ptr().cast_mut()),
            len: data.len() as u32,
        }
    }

    /// The numbers that an operation keeps for its backward pass. Recording reserved room for
    /// them behind the result in its recorded length.
    pub(super) fn of_saved(node: &Node) -> RawSlice {
        RawSlice {
            ptr: node.tensor.values.ptr.after(node.cap as usize),
            len: u32::from(node.saved),
        }
    }

    /// A result in its recorded length, followed by the numbers that its operation keeps.
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

    /// Returns whether the two slices do not overlap.
    pub(super) fn is_apart_from(self, other: RawSlice) -> bool {
        self.ptr.after(self.len()) <= other.ptr || other.ptr.after(other.len()) <= self.ptr
    }

    /// Lends the numbers for reading.
    ///
    /// # Safety
    /// During `'a`, nothing may write to the slice, and the borrow of the arena must not end.
    #[inline(always)]
    pub(super) unsafe fn read<'a>(self) -> &'a [f32] {
        // SAFETY: a raw slice is valid; the caller guarantees the rest.
        unsafe { slice::from_raw_parts(self.ptr.0, self.len as usize) }
    }

    /// Lends the numbers for writing.
    ///
    /// # Safety
    /// During `'a`, nothing else may read or write the slice, and the borrow of the arena must
    /// not end. The slice must not be an input's.
    #[inline(always)]
    pub(super) unsafe fn write<'a>(self) -> &'a mut [f32] {
        // SAFETY: a raw slice is valid; the caller guarantees the rest.
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

    /// The `len` floats from `place` on; an empty slice if the arena ends before.
    #[inline(never)] // one copy: it is called in many places, and rarely
    pub(crate) fn raw_slice(&self, place: usize, len: usize) -> RawSlice {
        match self.get(place..).and_then(|from| from.get(..len)) {
            Some(_) => RawSlice {
                ptr: self.ptr(place),
                len: len as u32,
            },
            None => RawSlice::EMPTY,
        }
    }

    /// Lends the floats of [`raw_slice`](Self::raw_slice) for writing.
    pub(crate) fn part(&mut self, place: usize, len: usize) -> &mut [f32] {
        let slice = self.raw_slice(place, len);
        // SAFETY: the slice is of the arena, and `self` is borrowed exclusively.
        unsafe { slice.write() }
    }

    /// The number of floats from `place` to the start of the next cache line.
    pub(crate) fn to_line(&self, place: usize) -> usize {
        self.start.as_ptr().wrapping_add(place).align_offset(64)
    }

    /// The pointer to the float at `place`.
    pub(crate) fn ptr(&self, place: usize) -> FloatPtr {
        FloatPtr(self.start.as_ptr()).after(place)
    }

    /// The place of a slice of the arena, which must not be an input's.
    pub(crate) fn place(&self, slice: RawSlice) -> usize {
        self.place_of(slice.ptr)
    }

    /// The place of a float of the arena.
    pub(crate) fn place_of(&self, ptr: FloatPtr) -> usize {
        ptr.beyond(FloatPtr(self.start.as_ptr()))
    }

    /// The first `n` floats and the next `n`; empty slices if the arena has fewer.
    #[inline(always)]
    pub(crate) fn pair(&mut self, n: usize) -> (&mut [f32], &mut [f32]) {
        #[cold]
        fn none<'a>() -> (&'a mut [f32], &'a mut [f32]) {
            (&mut [], &mut [])
        }
        if n > self.len / 2 {
            return none();
        }
        // SAFETY: both are within the arena and do not overlap.
        unsafe {
            (
                slice::from_raw_parts_mut(self.start.as_ptr(), n),
                slice::from_raw_parts_mut(self.start.add(n).as_ptr(), n),
            )
        }
    }

    /// The floats of a node's slice.
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

/// A node's values, gradient and shape: all that an operation needs of its operands.
#[derive(Clone, Copy)]
pub(crate) struct Tensor {
    pub(crate) values: RawSlice,
    /// Where the planned gradient starts; [`FloatPtr::NONE`] without one.
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

/// The tensor of a missing operand.
struct Nothing(Tensor);

// SAFETY: its slice is empty and its gradient null, so that the pointers are never followed.
unsafe impl Sync for Nothing {}

static NOTHING: Nothing = Nothing(Tensor {
    values: RawSlice::EMPTY,
    grad: FloatPtr::NONE,
    shape: Shape::SCALAR,
});

/// A pointer to the tensor that an operand's node starts with. A missing operand points to a
/// static empty tensor, so that operands are read without a check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operand(*const Tensor);

// SAFETY: as for `FloatPtr`.
unsafe impl Send for Operand {}

impl Operand {
    /// The operand of an unused node: all zeros, and never read.
    pub(crate) const UNUSED: Operand = Operand(core::ptr::null());

    /// A missing operand.
    pub(crate) const NONE: Operand = Operand(&raw const NOTHING.0);

    /// The operand's tensor.
    ///
    /// # Safety
    /// This must be the operand of an operation. During `'a`, nothing may write to its node, and
    /// the borrow of the arena must not end.
    #[inline(always)]
    pub(super) unsafe fn tensor<'a>(self) -> &'a Tensor {
        // SAFETY: the pointer is valid, as is that to `NOTHING`; the caller guarantees the rest.
        unsafe { &*self.0 }
    }

    /// The operand's node; `None` for a missing operand.
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
    /// The node as an operand: a node starts with its tensor.
    pub(crate) fn operand(self) -> Operand {
        Operand(self.0.as_ptr().cast_const().cast())
    }

    /// The node.
    ///
    /// # Safety
    /// During `'a`, nothing may write to the node, and the borrow of the arena must not end.
    #[inline(always)]
    pub(super) unsafe fn node<'a>(self) -> &'a Node {
        // SAFETY: the pointer is valid; the caller guarantees the rest.
        unsafe { self.0.as_ref() }
    }
}

/// The arena's nodes. Dereferences to the nodes in use.
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
        // SAFETY: all nodes in use are within the arena.
        (id < self.used).then(|| unsafe { self.nth_unchecked(id) })
    }

    /// The next node to be used, if there is one.
    pub(crate) fn free(&self) -> Option<NodePtr> {
        // SAFETY: `used` is less than the capacity.
        (self.used < self.capacity).then(|| unsafe { self.nth_unchecked(self.used) })
    }

    /// Pointers to the nodes in use, in recorded order.
    pub(crate) fn ptrs(
        &self,
    ) -> impl DoubleEndedIterator<Item = NodePtr> + ExactSizeIterator + use<'t> {
        let start = self.start;
        // SAFETY: all nodes in use are within the arena.
        (0..self.used).map(move |id| NodePtr(unsafe { start.add(id) }))
    }

    /// Node `id`, in use or not.
    ///
    /// # Safety
    /// `id` is less than the capacity.
    #[inline(always)]
    unsafe fn nth_unchecked(&self, id: usize) -> NodePtr {
        // SAFETY: the caller guarantees it.
        NodePtr(unsafe { self.start.add(id) })
    }

    /// The node that was recorded before this one, if there is one.
    pub(crate) fn before(&self, ptr: NodePtr) -> Option<NodePtr> {
        // SAFETY: a node that is not the first has one before it.
        (ptr.0 != self.start).then(|| unsafe { NodePtr(ptr.0.sub(1)) })
    }

    /// A node's number, counted from 1. It fits into 16 bits: see `MAX_NODES`.
    pub(crate) fn number(&self, ptr: NodePtr) -> u32 {
        let bytes = ptr.0.addr().get().wrapping_sub(self.start.addr().get());
        (bytes / size_of::<Node>()) as u32 + 1
    }

    /// The node with this number, counted from 1; `None` for 0.
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

    /// The tensor of an operation's operand, also of a missing one.
    pub(crate) fn tensor(&self, operand: Operand) -> &Tensor {
        // SAFETY: as above.
        unsafe { operand.tensor() }
    }

    /// The node that a pointer of this tape points to, for changes.
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

/// Numbers that `tape::places` keeps in place of a node's two chain pointers, while gradients
/// are planned.
impl Node {
    /// The length of the gap behind the node's buffer.
    pub(crate) fn gap(&self) -> usize {
        number(&self.next)
    }

    pub(crate) fn set_gap(&self, gap: usize) {
        set_number(&self.next, gap);
    }

    /// The numbers, as of [`Nodes::number`], of the node's two children in the tree.
    pub(crate) fn below(&self) -> (u32, u32) {
        let both = number(&self.next_planned) as u32;
        (both & 0xFFFF, both >> 16)
    }

    pub(crate) fn set_below(&self, (left, right): (u32, u32)) {
        set_number(&self.next_planned, (left | right << 16) as usize);
    }
}

/// The number kept in place of a pointer to a node.
pub(crate) fn number(ptr: &Cell<Option<NodePtr>>) -> usize {
    ptr.get().map_or(0, |ptr| ptr.0.addr().get())
}

/// Stores a number in place of a pointer to a node.
pub(crate) fn set_number(ptr: &Cell<Option<NodePtr>>, number: usize) {
    ptr.set(NonNull::new(core::ptr::without_provenance_mut(number)).map(NodePtr));
}

/// Pointers that an input, which has no operands, keeps in place of them: the first to the data
/// of another batch size that wait for the next replay, the second to the data from before a
/// trial.
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
