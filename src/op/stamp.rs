//! Stamps, by which variables find their nodes: a node's number, and how many rewinds there
//! were before it was recorded.

/// A node's number in the low bits, as many as the tape needs for its nodes, and
/// above it the tape's generation when the node was recorded. So a variable that a
/// rewind dropped has a stamp that no node has, even if its place is taken again, until
/// all generations have gone by: of 4096 nodes, after a million rewinds, of a dozen
/// after 268 million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u32);

impl Stamp {
    /// The stamp of nodes that are not in use.
    pub(crate) const NONE: Stamp = Stamp(0);

    /// The stamp of variables that were never recorded: no node has it, used or not.
    pub(crate) const UNRECORDED: Stamp = Stamp(1);

    /// The stamp by which a tape asks for another tape's variable: no node has it, either.
    pub(crate) const FOREIGN: Stamp = Stamp(2);
}

/// Makes stamps, and finds what they stand for.
pub(crate) struct Stamps {
    /// The bits of a node's number: at least two, so that no stamp is less than 4.
    mask: u32,
    /// The generation of new nodes, above those bits.
    generation: u32,
}

impl Stamps {
    /// Makes stamps for a tape of so many nodes.
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

    /// The number of the node that has this stamp, if one has.
    #[inline(always)]
    pub(crate) fn id(&self, stamp: Stamp) -> usize {
        (stamp.0 & self.mask) as usize
    }

    /// Begins the next generation: nodes that are recorded from now on get other stamps.
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
