//! Sums of numbers that are computed one after the other.

use super::compensated::{BLOCK, carry};
use super::reduce::{IN_ORDER, PARTIALS, Sum, tree_of};

/// The sum of `n` numbers that are in no slice, in the order in which [`sum`](super::sum) adds a
/// slice of `n` numbers.
pub(crate) struct Running {
    in_order: bool,
    /// The number of terms in the current block.
    terms: usize,
    partial: [f32; PARTIALS],
    total: f32,
    part: f32,
}

impl Running {
    /// Begins a sum of `n` numbers.
    pub(crate) fn of(n: usize) -> Self {
        Running {
            in_order: n <= IN_ORDER,
            terms: 0,
            partial: [-0.0; PARTIALS],
            total: -0.0,
            part: -0.0,
        }
    }

    /// Adds the next number.
    pub(crate) fn add(&mut self, x: f32) {
        if self.in_order {
            self.total += x;
            return;
        }
        if let Some(partial) = self.partial.get_mut(self.terms % PARTIALS) {
            *partial += x;
        }
        self.terms += 1;
        if self.terms == BLOCK {
            self.close();
        }
    }

    /// Adds the numbers of a slice, one after the other.
    pub(crate) fn add_all(&mut self, mut xs: &[f32]) {
        // If the next number belongs to the first partial sum, adds a whole row of numbers, one to
        // each partial sum, which the compiler turns into vectors.
        while !self.in_order
            && self.terms.is_multiple_of(PARTIALS)
            && let Some((first, rest)) = xs.split_first_chunk::<PARTIALS>()
        {
            for (partial, x) in self.partial.iter_mut().zip(first) {
                *partial += x;
            }
            self.terms += PARTIALS;
            if self.terms == BLOCK {
                self.close();
            }
            xs = rest;
        }
        for x in xs {
            self.add(*x);
        }
    }

    /// Ends the current block.
    fn close(&mut self) {
        (self.total, self.part) = carry(self.total, self.part);
        self.part += tree_of::<Sum>(&mut self.partial);
        self.partial = [-0.0; PARTIALS];
        self.terms = 0;
    }

    /// The sum, after all `n` numbers were added.
    pub(crate) fn sum(mut self) -> f32 {
        if self.in_order {
            return self.total;
        }
        if self.terms > 0 {
            self.close();
        }
        self.total + self.part
    }
}

/// The sum of `n` terms, in the order in which [`sum`](super::sum) adds a slice of `n` numbers.
pub(crate) fn sum_in_turn(terms: impl Iterator<Item = f32>, n: usize) -> f32 {
    let mut sum = Running::of(n);
    terms.for_each(|x| sum.add(x));
    sum.sum()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::kernel;
    use crate::random::{fill_normal, seeded};

    #[test]
    fn the_bits_of_a_sum_of_as_many() {
        let mut x = [0.0; 2100];
        fill_normal(&mut seeded(1), 0.1, 1.0, &mut x).unwrap();
        let lengths = (0..=600).chain([1023, 1024, 1025, 1536, 2049, 2100]);
        for n in lengths {
            let found = sum_in_turn(x[..n].iter().copied(), n);
            assert_eq!(found.to_bits(), kernel::sum(&x[..n]).to_bits(), "{n}");
            // Adds the same numbers in pieces of growing length.
            let (mut pieces, mut rest) = (Running::of(n), &x[..n]);
            for len in 1.. {
                let piece = rest.split_off(..len.min(rest.len())).unwrap();
                pieces.add_all(piece);
                if piece.is_empty() {
                    break;
                }
            }
            assert_eq!(pieces.sum().to_bits(), found.to_bits(), "{n} in pieces");
        }
    }
}
