//! Numbers and functions of a schedule that may differ between parameter groups.

use super::{Now, OptimizerError, Show};
use crate::function::TwoFloat;
use crate::optim::builders::Shown;

/// A number for each of `G` parameter groups, or one for all.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerGroup<const G: usize> {
    numbers: [TwoFloat; G],
    is_list: bool,
}

impl<const G: usize> PerGroup<G> {
    /// Takes the numbers of the groups, in order.
    #[inline(always)] // constant arguments leave no `f64`
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

    /// Takes one number for all groups.
    #[inline(always)] // a constant argument leaves no `f64`
    pub(super) const fn all(number: f64) -> Self {
        Self {
            numbers: [TwoFloat::from_f64(number); G],
            is_list: false,
        }
    }

    /// Lets a list of one number apply to all groups.
    pub(super) const fn one_for_all(mut self) -> Self {
        self.is_list = G > 1;
        self
    }

    /// Checks the length of a list.
    ///
    /// # Errors
    /// A list whose length is not the number of groups.
    pub(super) fn check(&self, list: &'static str, groups: u32) -> Result<(), OptimizerError> {
        check_list(list, self.is_list.then_some(G), groups)
    }

    /// The number of a group; NaN for a group beyond the end of the list.
    pub(super) fn of(&self, group: u32) -> TwoFloat {
        self.numbers
            .get(place(group, self.is_list))
            .copied()
            .unwrap_or(TwoFloat::from(f32::NAN))
    }
}

/// A function of the epoch for each of `G` parameter groups, or one for all. It returns the
/// factor of the rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factors<F, const G: usize> {
    functions: [F; G],
    is_list: bool,
}

impl<F: FnMut(u32) -> f64> Factors<F, 1> {
    /// Takes one function for all groups.
    pub(super) const fn all(function: F) -> Self {
        Self {
            functions: [function],
            is_list: false,
        }
    }
}

impl<F: FnMut(u32) -> f64, const G: usize> Factors<F, G> {
    /// Takes the functions of the groups, in order.
    pub(super) const fn per_group(functions: [F; G]) -> Self {
        Self {
            functions,
            is_list: true,
        }
    }

    /// The factor of a group in an epoch; NaN for a group beyond the end of the list.
    #[inline]
    pub(super) fn of(&mut self, now: &Now) -> TwoFloat {
        let function = self.functions.get_mut(place(now.group, self.is_list));
        TwoFloat::from_f64(function.map_or(f64::NAN, |function| function(now.epoch)))
    }

    /// Checks the length of a list.
    ///
    /// # Errors
    /// A list whose length is not the number of groups.
    pub(super) fn check(&self, groups: u32) -> Result<(), OptimizerError> {
        check_list("lr_lambda", self.is_list.then_some(G), groups)
    }
}

/// Checks that a list has `groups` values; `None` is no list.
///
/// # Errors
/// A list of another length.
fn check_list(
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

/// The index of a group's element. All groups use the first element if there is no list.
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
