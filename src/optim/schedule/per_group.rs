//! Numbers that a schedule may have for each group of parameters.

use super::{OptimizerError, Show};
use crate::function::TwoFloat;
use crate::optim::builders::Shown;

/// A number for each of `G` groups of parameters, or the same for all.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerGroup<const G: usize> {
    numbers: [TwoFloat; G],
    is_list: bool,
}

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
        Self {
            numbers: pairs,
            is_list: true,
        }
    }

    /// The same number for all of them.
    #[inline(always)] // of a constant, no `f64` is left
    pub(super) const fn all(number: f64) -> Self {
        Self {
            numbers: [TwoFloat::from_f64(number); G],
            is_list: false,
        }
    }

    /// A list of one number stands for all groups, too.
    pub(super) const fn one_for_all(mut self) -> Self {
        self.is_list = G > 1;
        self
    }

    /// # Errors
    /// A list of another number of values than there are groups.
    pub(super) fn check(&self, list: &'static str, groups: u32) -> Result<(), OptimizerError> {
        check_list(list, self.is_list.then_some(G), groups)
    }

    /// The number of that group. A group beyond the last has none, which is a NaN.
    pub(super) fn of(&self, group: u32) -> TwoFloat {
        of_group(&self.numbers, group, self.is_list)
            .copied()
            .unwrap_or(TwoFloat::from(f32::NAN))
    }
}

/// # Errors
/// A list of so many values where there is another number of groups.
pub(super) fn check_list(
    list: &'static str,
    values: Option<usize>,
    groups: u32,
) -> Result<(), OptimizerError> {
    match values {
        Some(values) if u32::try_from(values) != Ok(groups) => Err(OptimizerError::GroupValues {
            list,
            groups: u16::try_from(groups).unwrap_or(u16::MAX),
            values: u16::try_from(values).unwrap_or(u16::MAX),
        }),
        _ => Ok(()),
    }
}

/// The element of a group in a list; of what is no list, the first for all of them.
fn of_group<T>(list: &[T], group: u32, is_list: bool) -> Option<&T> {
    list.get(place(group, is_list))
}

/// The same, to be changed.
pub(super) fn of_group_mut<T>(list: &mut [T], group: u32, is_list: bool) -> Option<&mut T> {
    list.get_mut(place(group, is_list))
}

fn place(group: u32, is_list: bool) -> usize {
    if is_list {
        usize::try_from(group).unwrap_or(usize::MAX)
    } else {
        0
    }
}

impl<const G: usize> Shown for PerGroup<G> {
    fn show(&self, name: &'static str, show: Show<'_>) {
        let pairs = self.numbers.map(|x| [x.high(), x.low()]);
        show(name, pairs.as_flattened());
    }
}
