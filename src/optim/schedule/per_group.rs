//! Numbers that a schedule may have for each group of parameters.

use super::Show;
use crate::function::TwoFloat;
use crate::optim::builders::Shown;

/// A number for each of `G` groups of parameters; a single number is that of all groups.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerGroup<const G: usize>([TwoFloat; G]);

impl<const G: usize> PerGroup<G> {
    /// The numbers of the groups, in their order.
    #[inline(always)] // of constants, no `f64` is left
    pub(super) const fn new(numbers: [f64; G]) -> Self {
        let mut pairs = [TwoFloat::ZERO; G];
        let (mut from, mut to) = (numbers.as_slice(), pairs.as_mut_slice());
        while let (Some((number, numbers)), Some((pair, pairs))) =
            (from.split_first(), to.split_first_mut())
        {
            *pair = TwoFloat::from_f64(*number);
            (from, to) = (numbers, pairs);
        }
        Self(pairs)
    }

    /// The same number for all of them.
    #[inline(always)] // of a constant, no `f64` is left
    pub(super) const fn all(number: f64) -> Self {
        Self([TwoFloat::from_f64(number); G])
    }

    /// The number of that group. A group beyond the last has none, which is a NaN.
    pub(super) fn of(&self, group: u32) -> TwoFloat {
        of_group(&self.0, group)
            .copied()
            .unwrap_or(TwoFloat::from(f32::NAN))
    }
}

/// The element of a group in a list, whose only element is that of all groups.
fn of_group<T>(list: &[T], group: u32) -> Option<&T> {
    match list {
        [for_all] => Some(for_all),
        for_each => for_each.get(usize::try_from(group).ok()?),
    }
}

/// The same, to be changed.
pub(super) fn of_group_mut<T>(list: &mut [T], group: u32) -> Option<&mut T> {
    match list {
        [for_all] => Some(for_all),
        for_each => for_each.get_mut(usize::try_from(group).ok()?),
    }
}

impl<const G: usize> Shown for PerGroup<G> {
    fn show(&self, name: &'static str, show: Show<'_>) {
        let pairs = self.0.map(|x| [x.high(), x.low()]);
        show(name, pairs.as_flattened());
    }
}
