//! Planning: gives the gradients of intermediate results their places, and finds the
//! operations that a backward pass runs.
//!
//! A recording is planned by the first `backward` from a loss, and again only after
//! something was recorded or dropped, for another loss, or after a batch changed
//! its size. Planning walks all nodes twice, and in an arena of many nodes finds a place for
//! each gradient in logarithmic time: see [`places`](super::places).

use super::failure::Failed;
use super::params::Collected;
use super::places::{List, Places, SMALL, Tree};
use super::state::{MAX_FLOATS, PlanMany, State};
use crate::error::{ErrorKind, MAX_OPERANDS};
use crate::kernel::Level;
use crate::op::{FloatPtr, Node, NodePtr, Nodes, PassGrad};

/// A bit above those of [`Node::firsts`]: the operation computes a gradient for the operand.
const SENT: u32 = 1 << 8;

/// Returns the function that plans in a tree, for an arena of many nodes. The tape chooses when
/// it is made, so that firmware with few nodes does not link the function.
#[inline(always)]
pub(super) fn many<'t>(nodes: usize) -> Option<PlanMany<'t>> {
    (nodes > SMALL).then_some(plan_many as PlanMany<'t>)
}

/// Plans in a tree, which overwrites the pointers of the forward chain meanwhile.
fn plan_many<'t>(state: &mut State<'t>, loss: NodePtr) -> Result<(), Failed> {
    /// Restores the forward chain, even if an operation from outside unwinds.
    struct Restore<'a, 't>(&'a mut State<'t>);
    impl Drop for Restore<'_, '_> {
        fn drop(&mut self) {
            chain_forward(&self.0.nodes);
        }
    }
    Restore(state).0.make_plan_in::<Tree>(loss)
}

/// Chains all operations but views, in recorded order, for a forward pass.
fn chain_forward(nodes: &Nodes<'_>) {
    let mut next = None;
    for ptr in nodes.ptrs().rev() {
        let node = nodes.at(ptr);
        node.next.set(None);
        if node.runs_forward() {
            node.next.set(next);
            next = Some(ptr);
        }
    }
}

impl State<'_> {
    /// Gives every intermediate gradient that a backward pass from `loss`
    /// needs a place in the free floats, which begin behind the gradients of parameters.
    ///
    /// ```text
    /// for node from loss down to the first:
    ///     if its gradient has a place:                   (something adds to it)
    ///         for each operand that needs a gradient and has no place yet:
    ///             if the operation passes on its own gradient: the node's own buffer
    ///             otherwise: the lowest gap among the live ones that is large enough
    ///         the node's own buffer is no longer live, unless it was passed on
    ///         the node's operation is chained, if it computes a gradient for an operand
    /// ```
    #[inline(always)]
    pub(super) fn make_plan(&mut self, loss: NodePtr) -> Result<(), Failed> {
        match self.plan_many {
            Some(plan) => plan(self, loss),
            None => self.make_plan_in::<List>(loss),
        }
    }

    #[inline(always)]
    fn make_plan_in<P: Places>(&mut self, loss: NodePtr) -> Result<(), Failed> {
        self.plan.forget();
        self.plan.unreached = 0;
        for node in self.nodes.iter_mut() {
            node.clear(Node::PLANNED);
            node.tensor.grad = FloatPtr::NONE;
            if node.has(Node::PARAM) {
                node.tensor.grad = node.tensor.values.ptr().after(self.params.floats);
                self.plan.unreached += 1;
            }
        }

        P::begin(&self.plan.live, &self.nodes);
        self.plan.first = None;
        let mut last: Option<NodePtr> = None;
        self.place_gradient::<P>(loss);
        let mut next = Some(loss);
        while let Some(ptr) = next {
            next = self.nodes.before(ptr);
            let node = self.nodes.at(ptr);
            // A parameter sends its gradient nowhere.
            if node.op.is_none() || node.tensor.grad == FloatPtr::NONE {
                continue;
            }
            let mut sent = 0;
            for k in 0..MAX_OPERANDS {
                sent |= self.plan_operand::<P>(ptr, k);
            }
            self.nodes.at_mut(ptr).firsts = sent as u8;
            // No arena has so many floats. Going on could overflow sums of lengths.
            if self.plan.floats > MAX_FLOATS {
                break;
            }
            P::release(&self.plan.live, &self.nodes, self.top(), ptr);
            if sent != 0 {
                match last {
                    Some(last) => self.nodes.at(last).next_planned.set(Some(ptr)),
                    None => self.plan.first = Some(ptr),
                }
                last = Some(ptr);
            }
        }

        let needed = self.used() + self.plan.floats;
        if needed > self.floats.len() {
            self.plan.floats = 0;
            return Err(self.fail(ErrorKind::Floats {
                needed,
                capacity: self.floats.len(),
            }));
        }
        if Level::VECTORS {
            self.align_gradients();
        }
        self.params.reached = if self.plan.unreached == 0 {
            Collected::ALL
        } else {
            Collected::PLANNED
        };
        if self.params.collected.get() != Collected::NONE {
            self.params.collected.set(Collected::WRITTEN_OR_PLANNED);
        }
        self.floats_peak = self.floats_peak.max(needed);
        let node = self.nodes.at(loss);
        self.plan.seed = self.floats.place_of(node.tensor.grad);
        self.plan.seed_len = node.len();
        self.plan.loss = node.stamp;
        Ok(())
    }

    /// Gives the gradient of operand `k` of the node `ptr` a place, if it needs one and has
    /// none. Returns 0 if there is no gradient to compute, because none flows to the operand or
    /// the operand takes over the node's own; otherwise `SENT` and the operand's bits of `firsts`.
    #[inline(never)]
    fn plan_operand<P: Places>(&mut self, ptr: NodePtr, k: usize) -> u32 {
        let node = self.nodes.at(ptr);
        let operand = node.operands.get(k).and_then(|operand| operand.ptr());
        let Some(to) = operand.filter(|to| self.nodes.at(*to).has(Node::REQUIRES_GRAD)) else {
            return 0;
        };
        let (operand, bit) = (self.nodes.at(to), 1 << k);
        let mut firsts = 0;
        if operand.has(Node::PARAM) {
            if !operand.has(Node::PLANNED) {
                firsts = bit << Node::ANEW;
                self.plan.unreached -= 1;
            }
            operand.set(Node::PLANNED);
        } else if operand.tensor.grad == FloatPtr::NONE {
            let passes = node.op.and_then(|op| op.passes_grad(k));
            if passes.is_some_and(|PassGrad(pass)| pass(&mut self.nodes, ptr, k)) {
                P::hand_over(&self.nodes, ptr, to);
                return 0;
            }
            firsts = bit | bit << Node::ANEW;
            self.place_gradient::<P>(to);
        }
        SENT | firsts
    }

    /// Where the free floats begin.
    fn top(&self) -> FloatPtr {
        self.floats.ptr(2 * self.params.floats)
    }

    /// Places the gradient of a node in the lowest gap between live buffers.
    #[inline(never)]
    fn place_gradient<P: Places>(&mut self, ptr: NodePtr) {
        let top = self.top();
        let end = P::place(&self.plan.live, &mut self.nodes, top, ptr);
        self.plan.floats = self.plan.floats.max(end.beyond(top));
    }

    /// Moves all planned buffers up to the next cache line, if there is room to spare.
    fn align_gradients(&mut self) {
        let top = 2 * self.params.floats;
        let by = self.floats.to_line(top);
        if by > self.bottom - top - self.plan.floats {
            return;
        }
        for node in self.nodes.iter_mut() {
            if !node.has(Node::PARAM) && node.tensor.grad != FloatPtr::NONE {
                node.tensor.grad = node.tensor.grad.after(by);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::super::places::{SMALL, steps};
    use super::super::state::PlanMany;
    use super::super::{State, Tape};
    use super::plan_many;
    use crate::op::{FloatPtr, Node, NodePtr};
    use crate::var::Var;

    /// Declares a tape, and the vectors that it borrows.
    macro_rules! tape {
        ($tape:ident, $nodes:expr) => {
            let mut floats = std::vec![0.0; 2_000_000];
            let mut nodes = std::vec![Node::EMPTY; $nodes];
            let $tape = Tape::new(&mut floats, &mut nodes);
        };
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 33) as usize % n
        }
    }

    /// Records operations of every kind that planning treats differently: with one operand and
    /// more, that pass gradients on and that do not, views, the same operand twice.
    fn program<'t>(tape: &'t Tape<'t>, steps: usize, most: usize, seed: u64) -> Var<'t> {
        let mut random = Random(seed);
        let mut vars: Vec<Var<'t>> = Vec::new();
        for _ in 0..3 {
            let len = 1 + random.below(most);
            vars.push(tape.param_from_fn([len], |i| i as f32));
        }
        let scalar = tape.param(&[0.5], []);
        // The operands of each step are among this many of the last variables.
        let reach = [3, 20, usize::MAX][random.below(3)];
        for _ in 0..steps {
            let mut pick = || vars[vars.len() - 1 - random.below(vars.len().min(reach))];
            let (x, y) = (pick(), pick());
            let len = x.shape().numel();
            let alike = x.shape() == y.shape();
            vars.push(match random.below(10) {
                0 => x.sin(),
                1 => -x,
                2 if alike => x + y,
                2 => x + scalar,
                3 if alike => x * y,
                3 | 4 => x * x,
                5 => x.reshape([1, -1]),
                6 => x.reshape([-1]),
                7 => x.reshape([-1]).narrow(0, len / 3, len - len / 3),
                8 if len + y.shape().numel() <= 2 * most => {
                    tape.concat(&[x.reshape([-1]), y.reshape([-1])], 0)
                }
                8 => x + x,
                _ => x.sum().reshape([1]) * scalar,
            });
        }
        let mut loss = scalar * 2.0;
        for var in vars {
            if random.below(3) == 0 {
                loss = loss + var.sum();
            }
        }
        loss
    }

    /// Records `n` results whose gradients are all alive at once.
    fn wide<'t>(tape: &'t Tape<'t>, n: usize, most: usize) -> Var<'t> {
        let w = tape.param(&[0.5], []);
        let mut leaves = Vec::new();
        for i in 0..n {
            let row = tape.constant_from_fn([1 + i % most], |j| (i + j) as f32);
            leaves.push((w * row).sin());
        }
        leaves.iter().fold(w * 1.0, |s, l| s + (*l * *l).sum())
    }

    fn chain<'t>(tape: &'t Tape<'t>, n: usize) -> Var<'t> {
        (0..n).fold(tape.param(&[0.5], []), |y, _| y.sin())
    }

    fn ptrs(state: &State<'_>) -> Vec<NodePtr> {
        state.nodes.ptrs().collect()
    }

    /// The numbers of an operation's operands.
    fn operands(state: &State<'_>, ptr: NodePtr) -> Vec<usize> {
        let operands = state.nodes.at(ptr).operands.iter();
        let ptr = operands.map_while(|operand| operand.ptr());
        ptr.map(|ptr| state.id(ptr)).collect()
    }

    /// The plainest implementation of first fit, which planning must agree with: the place of
    /// each gradient, counted from that of the loss, and the floats they take in all.
    fn first_fit(state: &State<'_>, loss: usize) -> (Vec<Option<usize>>, usize) {
        let ptrs = ptrs(state);
        let node = |id: usize| state.nodes.at(ptrs[id]);
        let len = |id: usize| node(id).len().max(1);
        let mut places: Vec<Option<usize>> = std::vec![None; ptrs.len()];
        let mut live: Vec<(usize, usize)> = Vec::new();
        let mut most = 0;
        let mut place = |live: &mut Vec<(usize, usize)>, len: usize| {
            let mut start = 0;
            while let Some((_, end)) = live.iter().find(|(s, e)| *s < start + len && start < *e) {
                start = *end;
            }
            live.push((start, start + len));
            most = most.max(start + len);
            Some(start)
        };
        places[loss] = place(&mut live, len(loss));
        for id in (0..=loss).rev() {
            let (Some(op), Some(own)) = (node(id).op, places[id]) else {
                continue;
            };
            let operands = operands(state, ptrs[id]);
            let mut passed = false;
            for (k, to) in operands.iter().enumerate() {
                let flows = node(*to).has(Node::REQUIRES_GRAD) && !node(*to).has(Node::PARAM);
                if !flows || places[*to].is_some() {
                    continue;
                }
                let twice = operands[k + 1..].contains(to);
                if op.passes_grad(k).is_some()
                    && node(*to).len() == node(id).len()
                    && !twice
                    && operands.iter().all(|other| places[*other] != Some(own))
                {
                    places[*to] = Some(own);
                    passed = true;
                } else {
                    places[*to] = place(&mut live, len(*to));
                }
            }
            if !passed {
                live.retain(|(start, _)| *start != own);
            }
        }
        (places, most)
    }

    /// Plans in a list or a tree, and returns the result in the form of [`first_fit`].
    fn plan(state: &mut State<'_>, loss: usize, many: bool) -> (Vec<Option<usize>>, usize) {
        let ptrs = ptrs(state);
        state.plan_many = many.then_some(plan_many as PlanMany<'_>);
        state.make_plan(ptrs[loss]).unwrap();
        let first = state.nodes.at(ptrs[loss]).tensor.grad;
        let place = |ptr: &NodePtr| {
            let node = state.nodes.at(*ptr);
            let planned = !node.has(Node::PARAM) && node.tensor.grad != FloatPtr::NONE;
            planned.then(|| node.tensor.grad.beyond(first))
        };
        (ptrs.iter().map(place).collect(), state.plan.floats)
    }

    /// Checks that while an operation runs backward, the gradients that are still to be read do
    /// not overlap, except for one that was passed on.
    fn expect_apart(state: &State<'_>, loss: usize, places: &[Option<usize>]) {
        let ptrs = ptrs(state);
        let planned = |id: &usize| places[*id].is_some();
        // A gradient is live from the last operation that uses its node, which runs first, down
        // to the node itself, which reads it.
        let mut last_use = std::vec![0; ptrs.len()];
        for id in (0..=loss).filter(planned) {
            for to in operands(state, ptrs[id]) {
                last_use[to] = id;
            }
        }
        last_use[loss] = usize::MAX;
        for now in (0..=loss).filter(planned) {
            let live = (0..=now).filter(|id| planned(id) && last_use[*id] >= now);
            let mut live: Vec<_> = live
                .map(|id| {
                    (
                        places[id].unwrap(),
                        state.nodes.at(ptrs[id]).len().max(1),
                        id,
                    )
                })
                .collect();
            live.sort_unstable();
            for pair in live.windows(2) {
                let [(a, len, id), (b, _, other)] = pair else {
                    continue;
                };
                let passed = a == b && *other == now && last_use[*id] == now;
                assert!(a + len <= *b || passed, "{id} and {other} while {now}");
            }
        }
    }

    #[test]
    fn places_are_those_of_first_fit_and_apart() {
        let (mut taken, mut shared) = (0, 0);
        for seed in 0..400 {
            tape!(tape, 4000);
            let (steps, most) = ([10, 60, 300][seed % 3], [1, 4, 9, 50][seed % 4]);
            let loss = match seed % 20 {
                7 => wide(&tape, steps, most),
                _ => program(&tape, steps, most, seed as u64),
            };
            assert!(tape.error().is_none());
            let mut state = tape.state.borrow_mut();
            let loss = state.id(state.find(loss.stamp).unwrap());
            let expected = first_fit(&state, loss);
            for many in [false, true, false] {
                let found = plan(&mut state, loss, many);
                assert_eq!(found, expected, "program {seed}, {many}");
            }
            if loss < 300 {
                expect_apart(&state, loss, &expected.0);
            }
            taken += expected.1;
            let all = ptrs(&state).into_iter().zip(&expected.0);
            let planned = all.filter(|(_, place)| place.is_some());
            shared += planned
                .map(|(ptr, _)| state.nodes.at(ptr).len())
                .sum::<usize>();
        }
        // The programs must make buffers share floats, or the comparison shows little.
        assert!(taken * 2 < shared, "{taken} of {shared}");
    }

    /// Planning leaves the forward chain as it was.
    #[test]
    fn planning_puts_the_chain_back() {
        for seed in 0..40 {
            tape!(tape, 4000);
            let loss = program(&tape, 100, 9, seed);
            let mut state = tape.state.borrow_mut();
            let next = |state: &State<'_>| -> Vec<_> {
                state.nodes.iter().map(|node| node.next.get()).collect()
            };
            let before = next(&state);
            let loss = state.find(loss.stamp).unwrap();
            plan_many(&mut state, loss).unwrap();
            assert!(next(&state) == before);
        }
    }

    /// The buffers that planning looks at, per node.
    fn steps<'t>(tape: &'t Tape<'t>, loss: Var<'t>) -> usize {
        steps::take();
        tape.backward(loss).unwrap();
        steps::take() / tape.usage().nodes
    }

    /// Counts steps rather than time: an account that looked at all live buffers would take
    /// thousands.
    #[test]
    fn steps_grow_like_logarithms() {
        for n in [10_usize, 100, 300, 1000, 4000, 16_000] {
            let most = 12 * (n.ilog2() as usize + 2);
            tape!(tape, 2 * n);
            let found = steps(&tape, chain(&tape, n));
            assert!(found <= 30, "chain of {n}: {found}");
            for sizes in [1, 7, 61] {
                tape!(tape, 2 * n);
                let found = steps(&tape, wide(&tape, n / 5, sizes));
                assert!(found <= most, "{n} wide, sizes to {sizes}: {found}");
                tape!(tape, 4 * n + 100);
                let found = steps(&tape, program(&tape, n, sizes, n as u64));
                assert!(found <= most, "{n} of all kinds, to {sizes}: {found}");
            }
        }
        // A list looks at all live buffers, which is why only small tapes use one.
        tape!(tape, 4000);
        let loss = wide(&tape, 600, 7);
        tape.state.borrow_mut().plan_many = None;
        let found = steps(&tape, loss);
        assert!(found > SMALL, "{found}");
    }
}
