//! The slices that an operation may use while a pass runs it.
//!
//! The [parent module](super) explains why this is sound.

use core::marker::PhantomData;

use super::super::{Attrs, Node, Op};
use super::{FloatPtr, Floats, NodePtr, Nodes, Operand, RawSlice, Tensor};
use crate::kernel::Acc;
use crate::shape::Shape;

/// Lends an operation its operands, to read, and its result, to write.
pub struct Forward<'a> {
    node: &'a Node,
    floats: PhantomData<&'a mut [f32]>,
}

impl<'a> Forward<'a> {
    /// Runs the operations of a chain, one after the other.
    #[inline(always)]
    pub(crate) fn run(nodes: &'a Nodes<'_>, first: Option<NodePtr>, floats: &'a mut Floats<'_>) {
        let mut next = first;
        while let Some(ptr) = next {
            let node = nodes.at(ptr);
            let Some(op) = node.op else { break };
            Self::run_one(op, node, floats);
            next = node.next.get();
        }
    }

    /// Runs one operation.
    #[inline(always)]
    pub(crate) fn run_one(op: &dyn Op, node: &Node, _: &mut Floats<'_>) {
        op.forward(&mut Forward {
            node,
            floats: PhantomData,
        });
    }

    /// Returns the values of the first `N` operands, to read, and the result, to write.
    /// The result holds the values of the previous replay. A missing operand is an empty slice.
    #[inline(always)]
    pub fn split<const N: usize>(&mut self) -> ([&[f32]; N], &mut [f32]) {
        let node = self.node;
        // Written out, because a loop is not unrolled when compiled for size.
        let [a, b, c] = node.operands;
        // SAFETY: operands do not overlap the result, and nothing else is written
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

    /// Like [`split`](Self::split), but the second slice is the result in its recorded length,
    /// followed by the numbers kept for `backward`.
    #[inline(always)]
    pub(crate) fn split_with_saved<const N: usize>(&mut self) -> ([&[f32]; N], &mut [f32]) {
        let node = self.node;
        let (operands, _) = self.split();
        let both = RawSlice::of_result_and_saved(node);
        // SAFETY: recording reserved both together, apart from all operands; nothing else is
        // lent for writing while `self` is borrowed; the node is an operation's and no view.
        (operands, unsafe { both.write() })
    }

    /// The values of operand `j` of operand `k`: an operation with more than three operands
    /// takes some of them from the node of another operation.
    pub(crate) fn operand_of(&self, k: usize, j: usize) -> &'a [f32] {
        // SAFETY: operands do not overlap the result, and `self` borrows the arena meanwhile.
        unsafe { operand_of(self.node, k, j).values.read() }
    }

    /// Returns whether the result overlaps no operand.
    fn is_sound(&self) -> bool {
        let result = self.node.tensor.values;
        // SAFETY: no node changes while a pass runs.
        let apart = |operand: &Operand| unsafe { operand.tensor() }.values.is_apart_from(result);
        self.node.operands.iter().all(apart)
    }

    /// The numbers kept for `backward`, to write: as many as
    /// [`Op::saves`](super::super::Op::saves) returns.
    pub fn saved(&mut self) -> &mut [f32] {
        // SAFETY: they are behind the result, and nothing else is lent for writing while `self`
        // is borrowed; the node is an operation's and no view.
        unsafe { RawSlice::of_saved(self.node).write() }
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

/// Lends an operation its values and gradients, to compute the gradients of its operands.
pub struct Backward<'a> {
    node: &'a Node,
    /// Bit `k`: the gradient of operand `k` was not lent yet and holds nothing, so that it must be
    /// overwritten.
    firsts: u8,
    floats: PhantomData<&'a mut [f32]>,
}

impl<'a> Backward<'a> {
    /// Runs the planned operations of a chain backward. `anew` says that the gradients of
    /// parameters hold nothing yet.
    #[inline(always)]
    pub(crate) fn run(
        nodes: &'a Nodes<'_>,
        first: Option<NodePtr>,
        _: &'a mut Floats<'_>,
        anew: bool,
    ) {
        let shift = if anew { Node::ANEW } else { 0 };
        let mut next = first;
        while let Some(ptr) = next {
            let node = nodes.at(ptr);
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

    /// Fills the gradients that this operation should have been the first to write, but did not
    /// borrow, with the identity of addition.
    #[cold]
    #[inline(never)]
    fn clear_unlent(&mut self) {
        let mut firsts = self.firsts;
        for operand in &self.node.operands {
            if firsts & 1 != 0 {
                // SAFETY: the gradient has a planned place, and nothing else is lent while `self`
                // is borrowed.
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

    /// The numbers that `forward` kept.
    pub fn saved(&self) -> &'a [f32] {
        // SAFETY: as for operands; these numbers are among the values.
        unsafe { RawSlice::of_saved(self.node).read() }
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
        // An operand that shares the result's gradient, which was passed on, needs nothing.
        grad != FloatPtr::NONE && grad != self.node.tensor.grad
    }

    /// The gradient of the result, for writing: an operation of several steps turns it into the
    /// gradient before its last step, and then computes those of its operands. An operation that
    /// passes its gradient on ([`Op::passes_grad`](super::super::Op::passes_grad)) must not
    /// change it.
    #[inline(always)]
    pub fn output_grad(&mut self) -> &mut [f32] {
        // SAFETY: the gradient has a planned place, within the arena and apart from all values;
        // nothing else is lent for writing while `self` is borrowed.
        unsafe { self.node.tensor.gradient().write() }
    }

    /// Returns whether the gradients of all `operands`, bit `k` for operand `k`, are needed
    /// and hold nothing yet.
    #[inline(always)]
    pub(crate) fn are_first(&self, operands: u8) -> bool {
        self.firsts & operands == operands
    }

    /// Lends the gradients for operand `k`: the result's, to read, and
    /// the operand's, to write or add to. Returns `None` if the operand needs no gradient.
    ///
    /// Call it once for each operand, in order. If the same variable is two operands, as
    /// in `x * x`, the first call returns [`Acc::Set`] and the second [`Acc::Add`]. Without a
    /// call, the operand's gradient gets zeros from this operation.
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

    /// Like [`grad`](Self::grad), but returns `None` unless the operand's gradient holds nothing
    /// yet (see [`are_first`](Self::are_first)). To be called in the same order.
    #[inline(always)]
    pub(crate) fn first_grad(&mut self, k: usize) -> Option<Grad<'_>> {
        if !self.are_first(1 << k) {
            return None;
        }
        self.lend(k, Acc::Set)
    }

    /// Lends the gradients for an operand that needs one.
    #[inline(always)]
    fn lend(&mut self, k: usize, acc: Acc) -> Option<Grad<'_>> {
        let (result, operand) = (self.node.tensor.gradient(), self.tensor(k).gradient());
        if cfg!(debug_assertions) && !operand.is_apart_from(result) {
            return None;
        }
        self.firsts &= !(1 << k);
        Some(Grad {
            // SAFETY: the gradient has a planned place within the arena, apart from the
            // operand's, and nothing else is lent for writing while `self` is borrowed.
            output: unsafe { result.read() },
            // SAFETY: as above, and it is apart from all values.
            operand: unsafe { operand.write() },
            acc,
        })
    }
}

/// Operand `j` of the node that is operand `k`.
fn operand_of(node: &Node, k: usize, j: usize) -> &Tensor {
    let operand = node.operands.get(k).copied().unwrap_or(Operand::NONE);
    // SAFETY: no node changes while a pass borrows them, and all are of one tape.
    let maker = operand.ptr().map(|ptr| unsafe { ptr.node() });
    // An input keeps other pointers in place of operands.
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
#[non_exhaustive]
pub struct Grad<'g> {
    /// The loss's gradient with respect to the result.
    pub output: &'g [f32],
    /// The loss's gradient with respect to the operand. With [`Acc::Set`] it
    /// holds nothing yet, and every element must be written.
    pub operand: &'g mut [f32],
    /// Whether to overwrite the operand's gradient or to add to it.
    pub acc: Acc,
}

impl Grad<'_> {
    /// Writes or adds the only element of the operand's gradient.
    #[inline(always)]
    pub fn put(self, x: f32) {
        // Adding is rare and out of line, so that the usual write is a single store.
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
