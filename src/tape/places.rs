//! Placing buffers: which of the free floats are taken, while gradients are planned.
//!
//! The buffers of live gradients stand one behind the other, with gaps between them. A
//! new one goes to the lowest gap that is large enough ("first fit"), and leaves a gap
//! when it is released. Two ways to keep account of this give the same places:
//!
//! - [`List`], in the order of addresses: little code, and time that grows with the
//!   number of live buffers. For as few nodes as firmware has.
//! - [`Tree`]: logarithmic time, whatever is recorded.
//!
//! Neither has memory of its own: what they know of a live buffer is kept in its node,
//! where the chains of operations are while nothing is planned.

use core::cell::Cell;

use crate::op::{FloatPtr, Node, NodePtr, Nodes, Operand, number, set_number};

/// On a tape of so many nodes or fewer, a list is as fast: it looks at 85 buffers at
/// most, as no more than two in three nodes have gradients alive at once. The tree takes
/// several times the code, which firmware with so few nodes is linked without.
pub(super) const SMALL: usize = 128;

/// Where an account of live buffers begins. A [`List`] has a pointer to the lowest buffer here;
/// a [`Tree`], in place of one, the number of its root, and above it how many bits addresses
/// have, less one.
pub(super) type Live = Cell<Option<NodePtr>>;

pub(super) trait Places {
    /// Begins an account in which no buffer is live.
    fn begin(live: &Live, nodes: &Nodes<'_>);

    /// Gives the gradient of a node a place; `top` is where the free floats begin.
    /// Returns where it ends.
    fn place(live: &Live, nodes: &mut Nodes<'_>, top: FloatPtr, ptr: NodePtr) -> FloatPtr;

    /// Notes that an operand of the node `ptr`, the heir, has the same buffer, which stays live
    /// when that of `ptr` is released.
    fn hand_over(nodes: &Nodes<'_>, ptr: NodePtr, heir: NodePtr);

    /// Releases the buffer of a node whose gradient is needed no longer, or by its heir only.
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
            // A node's heir is behind it, and begins where it does.
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

/// Live buffers, each with the gap behind it: a search tree by address, in which no
/// gap is longer than the one of the buffer above it (a priority search tree: the halves
/// of a range of addresses are below whichever buffer in it has the longest gap). So a
/// step down halves the range, and there are at most as many as an address has bits,
/// however buffers come and go. The worst there can be is a graph whose operations have
/// three operands, of which each needs a buffer: for each operation, twelve ways down and
/// five for the one that is released, of at most 31 steps.
///
/// A parameter, which needs no place, stands for what is in front of all.
///
/// A node holds its gap in place of `next`, and the numbers of the two below it in
/// place of `next_planned`: see `op::lend`.
pub(super) struct Tree;

/// The gap in front of all buffers to begin with: as many floats as the largest arena has.
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
        // Without a gap it is placed beyond any arena, which `State::make_plan` refuses.
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

/// The tree, to be looked at and changed.
struct Account<'a, 't> {
    live: &'a Live,
    nodes: &'a Nodes<'t>,
    top: FloatPtr,
}

/// A place in the tree: below which buffer, and on which side; and the bit that tells
/// the sides below it.
#[derive(Clone, Copy)]
struct Slot {
    above: Option<NodePtr>,
    right: bool,
    bit: usize,
}

impl Slot {
    /// Where an address belongs below the buffer that is here.
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

    /// Where a buffer begins, from 1 on. The one in front of all is at 0.
    fn address(&self, ptr: NodePtr) -> usize {
        let node = self.nodes.at(ptr);
        if node.has(Node::PARAM) {
            0
        } else {
            node.tensor.grad.beyond(self.top) + 1
        }
    }

    /// Where the gap behind it begins.
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

    /// How many bits addresses have, less one.
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
            // All to the left are lower than all to the right.
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
        // Goes down to the address. Buffers to the left of the way are lower than it, and the
        // further down their branch leaves the way, the higher they are.
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

    /// Lets two buffers exchange what is below them.
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

    /// Adds a buffer at or below a place it belongs to: it goes down to where its gap is
    /// the longest, takes the place of the buffer there, and that goes on.
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

    /// Doubles the range of addresses: all there are go to the left of the root.
    fn widen(&self) {
        if let Some(root) = self.nodes.numbered(self.at(self.root())) {
            self.lift(self.root(), root);
            self.nodes.at(root).set_below((self.at(self.root()), 0));
            self.put(self.root(), self.nodes.number(root));
        }
        set_number(self.live, number(self.live) + (1 << 16));
    }

    /// Takes a buffer out, and says where it was.
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

    /// Takes a buffer out of where it is: of the two below it, that with the longer gap
    /// rises, and leaves a place in the same way.
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

/// Tests count how many buffers are looked at.
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
