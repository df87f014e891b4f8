//! Parameter groups: different optimizers for different parameters.

use super::schedule::Rates;
use super::{Optimizer, OptimizerError, Show, Stateful, Visit, halves};

/// One optimizer for the first `elements` elements of the parameters, and another for the rest,
/// like parameter groups of `torch.optim`: with another learning rate or weight decay, or
/// another algorithm. Nest `ParamGroups` for more than two groups.
///
/// Parameters are in the order in which they were created; a matrix has rows times columns
/// elements.
///
/// A [schedule](super::schedule) starts from the rate of each group, as in PyTorch. Factors
/// apply to both groups. Absolute numbers, such as `eta_min`, are the same for both, unless the
/// schedule was created with numbers `per_group`, as with
/// [`OneCycleLr::per_group`](super::schedule::OneCycleLr::per_group).
/// [`set_learning_rate`](Optimizer::set_learning_rate) sets the rate of the first group, and
/// keeps the ratio of the rates; a momentum is set for both groups.
///
/// ```
/// use baregrad::optim::{AdamW, Optimizer, ParamGroups, Sgd};
///
/// // Four weights that decay, and two biases that do not and learn faster.
/// let weights = AdamW::<4>::new(0.125).weight_decay(0.1);
/// let mut groups = ParamGroups::new(4, weights, Sgd::new(0.5));
/// groups.step(&mut [0.5; 6], &[1.0; 6])?;
/// groups.set_learning_rate(0.0625); // half of it, as a schedule does
/// assert_eq!(groups.second().learning_rate(), 0.25);
/// # Ok::<(), baregrad::optim::OptimizerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ParamGroups<A, B> {
    elements: usize,
    first: A,
    second: B,
    /// The learning rate of the second group over that of the first.
    ratio: f32,
    /// The rates of the second group, which a schedule updates.
    rates: Rates,
}

impl<A: Optimizer, B: Optimizer> ParamGroups<A, B> {
    /// Uses `first` for the first `elements` elements, and `second` for the rest.
    pub fn new(elements: usize, first: A, second: B) -> Self {
        let ratio = second.learning_rate() / first.learning_rate();
        Self {
            elements,
            rates: Rates::of(&second),
            first,
            second,
            ratio: if ratio.is_finite() { ratio } else { 1.0 },
        }
    }
}

impl<A, B> ParamGroups<A, B> {
    /// The optimizer of the first group.
    pub const fn first(&self) -> &A {
        &self.first
    }

    /// The optimizer of the second group.
    pub const fn second(&self) -> &B {
        &self.second
    }
}

impl<A: Optimizer, B: Optimizer> Optimizer for ParamGroups<A, B> {
    /// If the second group returns an error, the first group has been updated already.
    fn step(&mut self, params: &mut [f32], grads: &[f32]) -> Result<(), OptimizerError> {
        let (n, g) = (params.len(), grads.len());
        if n != g {
            return Err(OptimizerError::GradientCount {
                params: n,
                grads: g,
            });
        }
        let split = self.elements.min(n);
        let (first, second) = params.split_at_mut_checked(split).unwrap_or_default();
        let (of_first, of_second) = grads.split_at_checked(split).unwrap_or_default();
        self.first.step(first, of_first)?;
        self.second.step(second, of_second)
    }

    fn learning_rate(&self) -> f32 {
        self.first.learning_rate()
    }

    fn set_learning_rate(&mut self, lr: f32) {
        self.first.set_learning_rate(lr);
        self.second.set_learning_rate(lr * self.ratio);
    }

    fn momentum_factor(&self) -> Option<f32> {
        self.first
            .momentum_factor()
            .or_else(|| self.second.momentum_factor())
    }

    fn set_momentum_factor(&mut self, momentum: f32) {
        self.first.set_momentum_factor(momentum);
        self.second.set_momentum_factor(momentum);
    }

    fn schedule(&mut self, start: bool, rates: &mut Rates, set: &mut dyn FnMut(&mut Rates)) {
        if start {
            self.rates = Rates::of(&self.second);
        }
        self.first.schedule(start, rates, set);
        self.second.schedule(start, &mut self.rates, set);
    }
}

impl<A: Stateful, B: Stateful> Stateful for ParamGroups<A, B> {
    fn visit_state(&mut self, params: usize, visit: Visit<'_>) -> Result<(), OptimizerError> {
        let split = self.elements.min(params);
        // Checks for room in both groups before anything is visited.
        self.second
            .visit_state(params.saturating_sub(split), &mut |_, _| ())?;
        self.first.visit_state(split, &mut |_, _| ())?;
        self.rates.visit(visit);
        self.first.visit_state(split, visit)?;
        self.second.visit_state(params.saturating_sub(split), visit)
    }

    fn visit_hyper(&self, show: Show<'_>) {
        show(
            "elements",
            &halves(u32::try_from(self.elements).unwrap_or(u32::MAX)),
        );
        self.first.visit_hyper(show);
        self.second.visit_hyper(show);
    }
}
