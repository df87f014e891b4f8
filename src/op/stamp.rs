//! Stamps, by which variables find their nodes: a node's number, and the number of rewinds
//! before it was recorded.

/// A node's number in the low bits, as many as the tape needs for its nodes, and
/// above it the tape's generation when the node was recorded. A rewind begins a new
/// generation, so that no node has the stamp of a dropped variable, even if another node
/// has its number. Generations repeat after 2³² / nodes rewinds: a million with 4096 nodes,
/// 268 million with a dozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u32);

impl Stamp {
    /// The stamp of nodes that are not in use.
    pub(crate) const NONE: Stamp = Stamp(0);

    /// The stamp of variables that were never recorded. No node has it.
    pub(crate) const UNRECORDED: Stamp = Stamp(1);

    /// Replaces the stamp of a variable of another tape. No node has it.
    pub(crate) const FOREIGN: Stamp = Stamp(2);
}

/// Makes the stamps of a tape, and finds the numbers in them.
pub(crate) struct Stamps {
    /// The bits of a node's number: at least two, so that no node's stamp is less than 4.
    mask: u32,
    /// The generation of new nodes, in the bits above `mask`.
    generation: u32,
}

impl Stamps {
    /// Makes stamps for a tape of up to `nodes` nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        let last = (nodes as u32).saturating_sub(1).max(2);
        let mask = u32::MAX.checked_shr(last.leading_zeros()).unwrap_or(0);
        Stamps {
            mask,
            generation: mask.wrapping_add(1),
        }
    }

    /// The stamp of node `id`, recorded now.
    pub(crate) fn stamp(&self, id: usize) -> Stamp {
        Stamp(self.generation | id as u32)
    }

    /// The node's number in a stamp. The node may have another stamp by now.
    #[inline(always)]
    pub(crate) fn id(&self, stamp: Stamp) -> usize {
        (stamp.0 & self.mask) as usize
    }

    /// Begins the next generation, so that nodes recorded from now on get new stamps.
    pub(crate) fn advance(&mut self) {
        let first = self.mask.wrapping_add(1);
        self.generation = match self.generation.wrapping_add(first) {
            0 => first, // generation 0 is that of unused nodes
            next => next,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Stamp, Stamps};

    #[test]
    fn every_node_has_its_own() {
        for nodes in [0, 1, 2, 3, 4, 5, 12, 16, 17, 65_535] {
            let mut stamps = Stamps::new(nodes);
            for _ in 0..3 {
                for id in [0, 1, nodes / 2, nodes.saturating_sub(1)] {
                    let stamp = stamps.stamp(id);
                    assert!(![Stamp::NONE, Stamp::UNRECORDED, Stamp::FOREIGN].contains(&stamp));
                    assert_eq!(stamps.id(stamp), id);
                }
                let before = stamps.stamp(0);
                stamps.advance();
                assert_ne!(stamps.stamp(0), before);
            }
        }
    }

    #[test]
    fn generations_begin_again_after_the_last() {
        let mut stamps = Stamps::new(65_535);
        let first = stamps.stamp(7);
        let all = (1..).take_while(|_| {
            stamps.advance();
            stamps.stamp(7) != first
        });
        assert_eq!(all.count(), 65_534);
    }
}
