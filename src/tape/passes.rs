//! Passes: compute results again, and collect gradients.

use super::failure::Failed;
use super::params::{Collected, Purpose};
use super::state::{NEVER, State, UNWINDS};
use crate::error::ErrorKind;
use crate::op::{Backward, Forward, Node, Stamp};

impl State<'_> {
    #[inline]
    pub(crate) fn replay(&mut self) -> Result<(), Failed> {
        if let Some(take_over) = self.take_over {
            take_over(self)?;
        }
        if UNWINDS {
            self.outdated_from = 0;
        }
        Forward::run(&self.nodes, self.first_op, &mut self.floats);
        self.outdated_from = NEVER;
        Ok(())
    }

    /// Fails unless a node depends on a parameter and has as many elements as `gradient`, or one
    /// element if that is `None`.
    pub(crate) fn expect_differentiable(
        &self,
        node: &Node,
        gradient: Option<&[f32]>,
    ) -> Result<(), Failed> {
        if !node.has(Node::REQUIRES_GRAD) {
            Err(self.fail(ErrorKind::NoGradient))
        } else if let Some(gradient) = gradient {
            self.expect_length(&node.tensor.shape, gradient)
        } else if node.len() != 1 {
            Err(self.not_scalar(node))
        } else {
            Ok(())
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn not_scalar(&self, node: &Node) -> Failed {
        self.fail(ErrorKind::NotScalar {
            shape: node.tensor.shape,
        })
    }

    #[inline]
    pub(crate) fn backward(&mut self, loss: Stamp, gradient: Option<&[f32]>) -> Result<(), Failed> {
        if self.plan.loss != loss
            || self.plan.seed_len != gradient.map_or(1, <[f32]>::len)
            || self.outdated_from <= self.stamps.id(loss)
        {
            self.prepare(loss, gradient)?;
            if self.plan.loss != loss {
                return Ok(());
            }
        }
        let starts_anew = self.params.collected.get() == Collected::NONE;
        if starts_anew {
            self.params.collected.set(self.params.reached);
        }
        // If an operation unwinds, the gradients are incomplete and must count as missing.
        let collected = self.params.collected.get();
        if UNWINDS {
            self.params.collected.set(Collected::NONE);
        }
        match gradient {
            None => {
                if let Some(seed) = self.floats.get_mut(self.plan.seed) {
                    *seed = 1.0;
                }
            }
            Some(gradient) => {
                let seed = self.floats.get_mut(self.plan.seed..).unwrap_or_default();
                for (to, g) in seed.iter_mut().take(self.plan.seed_len).zip(gradient) {
                    *to = *g;
                }
            }
        }

        Backward::run(&self.nodes, self.plan.first, &mut self.floats, starts_anew);
        if UNWINDS {
            self.params.collected.set(collected);
        }
        Ok(())
    }

    /// Fails unless the loss can be differentiated, and plans its gradients. For a loss that is
    /// itself a parameter there is nothing to plan: its gradient is added here.
    #[cold]
    #[inline(never)]
    pub(super) fn prepare(&mut self, stamp: Stamp, gradient: Option<&[f32]>) -> Result<(), Failed> {
        let loss = self.find(stamp)?;
        let node = self.nodes.at(loss);
        self.expect_differentiable(node, gradient)?;
        let is_param = node.op.is_none();
        if !is_param {
            if self.outdated_from <= self.id(loss) {
                return Err(self.fail(ErrorKind::NotReplayed));
            }
            if self.plan.loss == stamp {
                return Ok(());
            }
        }
        if is_param || self.params.collected.get() != Collected::NONE {
            self.mark_written();
        }
        if !is_param {
            return self.make_plan(loss);
        }
        self.plan.forget(); // its sets of parameters lack the one marked next
        let node = self.nodes.at(loss);
        node.set(Node::WRITTEN);
        let range = self.grad_range(node);
        let to = self.floats.part(range.start, range.len());
        for (to, g) in to.iter_mut().zip(gradient.unwrap_or(&[1.0])) {
            *to += g;
        }
        Ok(())
    }

    /// Marks the parameters that hold gradients, before another plan is made, and fills the
    /// gradients of the others with -0, to which gradients can be added.
    pub(super) fn mark_written(&mut self) {
        let _ = self.settle(Purpose::Add);
        self.params.collected.set(Collected::WRITTEN);
    }

    /// Fills the gradients that no backward pass has reached with the value for `purpose`, and
    /// marks the parameters that hold gradients. For a step, fails at the first parameter without
    /// a gradient that was not [allowed](Node::ALLOW_UNUSED) to have none, with the line that
    /// made it. Looks at all nodes, which takes no longer than a replay.
    #[cold]
    #[inline(never)]
    pub(super) fn settle(&mut self, purpose: Purpose) -> Result<(), Failed> {
        let collected = self.params.collected.get().0;
        let (mut number, mut place) = (0, self.params.floats);
        for param in self.nodes.iter().filter(|node| node.has(Node::PARAM)) {
            if param.has(collected) {
                param.set(Node::WRITTEN);
            } else {
                param.clear(Node::WRITTEN);
                if purpose == Purpose::Step && !param.has(Node::ALLOW_UNUSED) {
                    let failed = self.unused(number, &param.tensor.shape);
                    self.failure.set_place(None, param.at);
                    return Err(failed);
                }
                let nothing = f32::from_bits(purpose as u32);
                self.floats.part(place, param.len()).fill(nothing);
            }
            number += 1;
            place += param.len();
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn zero_grad(&self) {
        self.params.collected.set(Collected::NONE);
    }

    /// Returns true only if `backward` has reached every parameter. May return false although it
    /// has: `settle` then looks at each parameter.
    #[inline]
    pub(super) fn every_param_has_grad(&self) -> bool {
        self.params.collected.get() == Collected::ALL
    }

    pub(super) fn outdated_from(&self) -> usize {
        self.outdated_from
    }

    pub(super) fn set_outdated_from(&mut self, id: usize) {
        self.outdated_from = id;
    }

    /// Notes that parameters may have changed: the results that depend on them are outdated.
    #[inline]
    pub(super) fn outdate_results(&mut self) {
        self.outdated_from = self.outdated_from.min(self.first_trained);
    }
}
