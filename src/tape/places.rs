//! Placing buffers: keeps account of which free floats are taken, while gradients are planned.
//!
//! The buffers of live gradients stand one behind the other, with gaps between them. A
//! new buffer goes to the lowest gap that is large enough ("first fit"), and leaves a gap
//! when it is released. Two data structures give the same places:
//!
//! - [`List`], in the order of addresses: little code, and time that grows with the
//!   number of live buffers, for the few nodes of firmware.
//! - [`Tree`]: logarithmic time, for any number of nodes.
//!
//! Neither has memory of its own: their entries are kept in the nodes, in the fields that
//! chain the operations while nothing is planned.

use core::cell::Cell;

use crate::op::{FloatPtr, Node, NodePtr, Nodes, Operand, number, set_number};

/// The most nodes for which a list is used. It is as fast as the tree up to here: it looks at 85
/// buffers at most, because no more than two in three nodes have gradients alive at once. The
/// tree takes several times the code, which firmware with so few nodes does not link.
pub(super) const SMALL: usize = 128;

/// Where the account of live buffers begins. A [`List`] keeps a pointer to the lowest buffer
/// here. A [`Tree`] keeps a number in place of the pointer: the number of its root in the low 16
/// bits, and above them the number of bits of an address, less one.
pub(super) type Live = Cell<Option<NodePtr>>;

/// An account of live buffers.
pub(super) trait Places {
    /// Begins an account in which no buffer is live.
    fn begin(live: &Live, nodes: &Nodes<'_>);

    /// Gives the gradient of a node a place; `top` is where the free floats begin.
    /// Returns where the gradient ends.
    fn place(live: &Live, nodes: &mut Nodes<'_>, top: FloatPtr, ptr: NodePtr) -> FloatPtr;

    /// Notes that an operand of the node `ptr`, the heir, has the same buffer, which stays live
    /// when `ptr` releases it.
    fn hand_over(nodes: &Nodes<'_>, ptr: NodePtr, heir: NodePtr);

    /// Releases the buffer of a node whose gradient only its heir needs from now on, or no node.
    fn release(live: &Live, nodes: &Nodes<'_>, top: FloatPtr, ptr: NodePtr);
}

/// Live buffers from the lowest to the highest, chained by `next_planned`.
pub(super) struct List;

impl Places for List {
    #[inline(always)]
    fn begin(live: &Live, _: &Nodes<'_>) {
        live.set(None);
    }

    fn place(live: &Live, nodes: &mut Nodes<'_>, top: FloatPtr, ptr: NodePtr) -> FloatPtr {
        let len = nodes.at(ptr).extent();
        let (mut slot, mut end) = (live, top);
        while let Some(next) = slot.get() {
            count_step();
            let live = nodes.at(next);
            let grad = live.tensor.grad;
            // An heir begins where the node before it in the list does, so `grad` may be below
            // `end`.
            if end.has_room(len, grad) {
                break;
            }
            end = grad.after(live.extent());
            slot = &live.next_planned;
        }
        let next = slot.replace(Some(ptr));
        let node = nodes.at_mut(ptr);
        node.tensor.grad = end;
        node.next_planned.set(next);
        end.after(len)
    }

    #[inline(always)]
    fn hand_over(nodes: &Nodes<'_>, ptr: NodePtr, heir: NodePtr) {
        let next = nodes.at(ptr).next_planned.replace(Some(heir));
        nodes.at(heir).next_planned.set(next);
    }

    fn release(live: &Live, nodes: &Nodes<'_>, _: FloatPtr, ptr: NodePtr) {
        let mut slot = live;
        while let Some(next) = slot.get().filter(|next| *next != ptr) {
            count_step();
            slot = &nodes.at(next).next_planned;
        }
        slot.set(nodes.at(ptr).next_planned.take());
    }
}

/// Live buffers, each with the gap behind it, in a priority search tree. The root of each
/// subtree covers a range of addresses and is the buffer with the longest gap in it; its two
/// children cover the halves of the range. A step down halves the range, so a descent takes at
/// most as many steps as an address has bits, whatever buffers were placed and released. In the
/// worst case, a graph whose operations have three operands that each need a buffer, an
/// operation takes twelve descents to place them and five to release its own buffer, of at most
/// 31 steps each.
///
/// The first parameter, whose gradient needs no place here, is an entry at address 0 for the
/// gap in front of all buffers.
///
/// A node holds its gap in place of `next`, and the numbers of its children in place of
/// `next_planned`: see `op::lend`.
pub(super) struct Tree;

/// The first gap, in front of all buffers: as many floats as the largest arena has.
const ENDLESS: usize = 1 << 30;

impl Places for Tree {
    fn begin(live: &Live, nodes: &Nodes<'_>) {
        live.set(None);
        let front = nodes.ptrs().find(|ptr| nodes.at(*ptr).has(Node::PARAM));
        if let Some(front) = front {
            Account::new(live, nodes, FloatPtr::NONE).insert(front, ENDLESS);
        }
    }

    fn place(live: &Live, nodes: &mut Nodes<'_>, top: FloatPtr, ptr: NodePtr) -> FloatPtr {
        let len = nodes.at(ptr).extent();
        let account = Account::new(live, nodes, top);
        let lower = account.lowest_gap(len);
        // Without a gap, the buffer is placed beyond any arena, which `State::make_plan` refuses.
        let start = lower.map_or(top.after(ENDLESS), |lower| account.end(lower));
        nodes.at_mut(ptr).tensor.grad = start;
        if let Some(lower) = lower {
            let account = Account::new(live, nodes, top);
            let gap = nodes.at(lower).gap();
            let slot = account.remove(lower);
            account.insert_at(slot, lower, 0);
            account.insert(ptr, gap - len);
        }
        start.after(len)
    }

    /// Notes nothing: `release` finds the heir as the operand with the same place.
    fn hand_over(_: &Nodes<'_>, _: NodePtr, _: NodePtr) {}

    fn release(live: &Live, nodes: &Nodes<'_>, top: FloatPtr, ptr: NodePtr) {
        let account = Account::new(live, nodes, top);
        let node = nodes.at(ptr);
        let gap = node.gap();
        account.remove(ptr);
        let shares = |operand: &Operand| nodes.tensor(*operand).grad == node.tensor.grad;
        if let Some(heir) = node.operands.into_iter().find(shares) {
            // The heir's buffer is as long as the node's.
            heir.ptr().inspect(|heir| account.insert(*heir, gap));
        } else if let Some(lower) = account.lower(account.address(ptr)) {
            let gap = nodes.at(lower).gap() + node.extent() + gap;
            account.remove(lower);
            account.insert(lower, gap);
        }
    }
}

/// A view of the tree and of the nodes that hold its entries.
struct Account<'a, 't> {
    live: &'a Live,
    nodes: &'a Nodes<'t>,
    top: FloatPtr,
}

/// A place in the tree.
#[derive(Clone, Copy)]
struct Slot {
    /// The parent; `None` for the root.
    above: Option<NodePtr>,
    /// Whether this is the parent's right child.
    right: bool,
    /// The bit of an address that selects the child below this place.
    bit: usize,
}

impl Slot {
    /// The child's place to which an address belongs, below the buffer `here` in this place.
    fn down(self, here: NodePtr, address: usize) -> Slot {
        Slot {
            above: Some(here),
            right: address & self.bit != 0,
            bit: self.bit >> 1,
        }
    }
}

impl<'a, 't> Account<'a, 't> {
    fn new(live: &'a Live, nodes: &'a Nodes<'t>, top: FloatPtr) -> Self {
        Account { live, nodes, top }
    }

    /// Where a buffer begins, counted from 1; 0 for the entry in front of all buffers.
    fn address(&self, ptr: NodePtr) -> usize {
        let node = self.nodes.at(ptr);
        if node.has(Node::PARAM) {
            0
        } else {
            node.tensor.grad.beyond(self.top) + 1
        }
    }

    /// Where the gap behind a buffer begins.
    fn end(&self, ptr: NodePtr) -> FloatPtr {
        let node = self.nodes.at(ptr);
        if node.has(Node::PARAM) {
            self.top
        } else {
            node.tensor.grad.after(node.extent())
        }
    }

    fn gap(&self, number: u32) -> Option<usize> {
        let ptr = self.nodes.numbered(number)?;
        Some(self.nodes.at(ptr).gap())
    }

    /// The number of bits of an address, less one.
    fn bits(&self) -> usize {
        number(self.live) >> 16
    }

    fn root(&self) -> Slot {
        Slot {
            above: None,
            right: false,
            bit: 1 << self.bits(),
        }
    }

    /// The buffer in front of the lowest gap of at least `len`, if there is one.
    fn lowest_gap(&self, len: usize) -> Option<NodePtr> {
        let fits = |number| self.gap(number) >= Some(len);
        let (mut lowest, mut least) = (None, usize::MAX);
        let mut next = self.at(self.root());
        while let Some(ptr) = self.nodes.numbered(next).filter(|_| fits(next)) {
            count_step();
            let address = self.address(ptr);
            if address < least {
                (lowest, least) = (Some(ptr), address);
            }
            // Every address on the left is lower than every address on the right.
            let (left, right) = self.nodes.at(ptr).below();
            next = if fits(left) { left } else { right };
        }
        lowest
    }

    /// The highest buffer below an address.
    fn lower(&self, address: usize) -> Option<NodePtr> {
        let (mut highest, mut most) = (None, None);
        let mut look = |ptr| {
            count_step();
            let found = self.address(ptr);
            if found < address && most < Some(found) {
                (highest, most) = (Some(ptr), Some(found));
            }
            self.nodes.at(ptr).below()
        };
        // Descends to the address. Buffers to the left of the path are lower than the address,
        // and the further down their branch leaves the path, the higher they are.
        let (mut slot, mut beside) = (self.root(), 0);
        while let Some(ptr) = self.nodes.numbered(self.at(slot)) {
            let (left, _) = look(ptr);
            slot = slot.down(ptr, address);
            if slot.right && left != 0 {
                beside = left;
            }
        }
        while let Some(ptr) = self.nodes.numbered(beside) {
            let (left, right) = look(ptr);
            beside = if right == 0 { left } else { right };
        }
        highest
    }

    fn at(&self, slot: Slot) -> u32 {
        let Some(above) = slot.above else {
            return number(self.live) as u32 & 0xFFFF;
        };
        let (left, right) = self.nodes.at(above).below();
        if slot.right { right } else { left }
    }

    fn put(&self, slot: Slot, new: u32) {
        let Some(above) = slot.above else {
            set_number(self.live, self.bits() << 16 | new as usize);
            return;
        };
        let above = self.nodes.at(above);
        let (left, right) = above.below();
        above.set_below(if slot.right {
            (left, new)
        } else {
            (new, right)
        });
    }

    /// Exchanges the children of two buffers.
    fn exchange(&self, a: NodePtr, b: NodePtr) {
        let (a, b) = (self.nodes.at(a), self.nodes.at(b));
        a.next_planned.swap(&b.next_planned);
    }

    /// Adds a buffer.
    fn insert(&self, ptr: NodePtr, gap: usize) {
        let address = self.address(ptr);
        while address >> self.bits() > 1 {
            self.widen();
        }
        self.insert_at(self.root(), ptr, gap);
    }

    /// Adds a buffer at or below a place on its path. It sinks to the first place where its gap
    /// is longer than that of the buffer there, and replaces this buffer, which sinks in turn.
    fn insert_at(&self, mut slot: Slot, ptr: NodePtr, gap: usize) {
        let node = self.nodes.at(ptr);
        node.set_gap(gap);
        node.set_below((0, 0));
        let (mut sinks, mut address) = (ptr, self.address(ptr));
        while let Some(mut here) = self.nodes.numbered(self.at(slot)) {
            count_step();
            if self.nodes.at(sinks).gap() > self.nodes.at(here).gap() {
                self.put(slot, self.nodes.number(sinks));
                self.exchange(here, sinks);
                (here, sinks) = (sinks, here);
                address = self.address(sinks);
            }
            slot = slot.down(here, address);
        }
        self.put(slot, self.nodes.number(sinks));
    }

    /// Doubles the range of addresses: all buffers but the root move to the left half.
    fn widen(&self) {
        if let Some(root) = self.nodes.numbered(self.at(self.root())) {
            self.lift(self.root(), root);
            self.nodes.at(root).set_below((self.at(self.root()), 0));
            self.put(self.root(), self.nodes.number(root));
        }
        set_number(self.live, number(self.live) + (1 << 16));
    }

    /// Removes a buffer, and returns the place where it was.
    fn remove(&self, ptr: NodePtr) -> Slot {
        let address = self.address(ptr);
        let mut slot = self.root();
        while let Some(here) = self.nodes.numbered(self.at(slot))
            && here != ptr
        {
            count_step();
            slot = slot.down(here, address);
        }
        self.lift(slot, ptr);
        slot
    }

    /// Removes the buffer in a place: its child with the longer gap moves up, and the child's own
    /// place is filled in the same way.
    fn lift(&self, mut slot: Slot, ptr: NodePtr) {
        loop {
            count_step();
            let (left, right) = self.nodes.at(ptr).below();
            let goes_right = self.gap(right) > self.gap(left);
            let rises = if goes_right { right } else { left };
            self.put(slot, rises);
            let Some(rises) = self.nodes.numbered(rises) else {
                return;
            };
            self.exchange(ptr, rises);
            slot.above = Some(rises);
            slot.right = goes_right;
        }
    }
}

/// Counts the buffers that are looked at, in tests only.
#[cfg(not(test))]
#[inline(always)]
fn count_step() {}

#[cfg(test)]
use steps::count_step;

#[cfg(test)]
pub(super) mod steps {
    extern crate std;

    use core::cell::Cell;

    std::thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count_step() {
        STEPS.set(STEPS.get() + 1);
    }

    pub(in crate::tape) fn take() -> usize {
        STEPS.replace(0)
    }
}
