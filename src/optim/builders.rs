//! Builders that optimizers have in common, written once: constructors for each
//! [`Storage`](super::Storage), options that only set a field, and those that need memory.

use super::{Show, halves};
use crate::function::TwoFloat;

/// A hyper-parameter as the numbers that [`Stateful::visit_hyper`](super::Stateful::visit_hyper)
/// shows of it.
pub(super) trait Shown {
    /// Shows it under this name.
    fn show(&self, name: &'static str, show: Show<'_>);
}

impl Shown for f32 {
    fn show(&self, name: &'static str, show: Show<'_>) {
        show(name, &[*self]);
    }
}

impl Shown for bool {
    fn show(&self, name: &'static str, show: Show<'_>) {
        show(name, &[f32::from(u8::from(*self))]);
    }
}

impl Shown for u32 {
    fn show(&self, name: &'static str, show: Show<'_>) {
        show(name, &halves(*self));
    }
}

impl Shown for TwoFloat {
    fn show(&self, name: &'static str, show: Show<'_>) {
        show(name, &[self.high(), self.low()]);
    }
}

impl<const K: usize> Shown for [f32; K] {
    fn show(&self, name: &'static str, show: Show<'_>) {
        show(name, self);
    }
}

/// Shows these fields, under their own names or under those that follow `as`; with a name of
/// the whole before them, first that name without numbers.
macro_rules! show_options {
    ($this:expr, $show:expr, $whole:literal: $($field:ident $(as $name:literal)?),* $(,)?) => {
        $show($whole, &[]);
        show_options!($this, $show, $($field $(as $name)?),*);
    };
    ($this:expr, $show:expr, $($field:ident $(as $name:literal)?),*) => {
        $(show_options!(@one $this, $show, $field $($name)?);)*
    };
    (@one $this:expr, $show:expr, $field:ident) => {
        show_options!(@one $this, $show, $field stringify!($field));
    };
    (@one $this:expr, $show:expr, $field:ident $name:expr) => {
        $crate::optim::builders::Shown::show(&$this.$field, $name, $show);
    };
}
pub(super) use show_options;

/// The constructors of an optimizer with so many buffers, for each `Storage`. Its rule
/// has a `const fn new(lr: f32)`. A rule that borrows something is named with `<'_>`.
macro_rules! constructors {
    ($rule:ident $(<$borrow:lifetime>)?: $buffers:literal, $default:literal) => {
        impl<const N: usize> Stepper<$rule$(<$borrow>)?, N, [[f32; N]; $buffers]> {
            #[doc = concat!("With learning rate `lr` (PyTorch's default is ", $default,
                ") and state for up to `N` parameters inline.")]
            #[must_use]
            #[inline(always)]
            pub const fn new(lr: f32) -> Self {
                Self::from_rule($rule::new(lr))
            }
        }

        #[cfg(feature = "std")]
        impl Stepper<$rule$(<$borrow>)?, 0, std::vec::Vec<f32>> {
            /// With learning rate `lr` and state for up to `params` parameters on the heap.
            #[must_use]
            pub fn on_heap(lr: f32, params: usize) -> Self {
                Self::from_rule_on_heap($rule::new(lr), params)
            }
        }

        impl<'s> Stepper<$rule$(<$borrow>)?, 0, &'s mut [f32]> {
            #[doc = concat!("With learning rate `lr` and state in a slice of the caller's: ",
                stringify!($buffers), " floats for each parameter, and one more for each option \
                that needs it. It is zeroed.")]
            #[must_use]
            pub fn with_state(lr: f32, state: &'s mut [f32]) -> Self {
                Self::from_rule_with_state($rule::new(lr), state)
            }
        }
    };
}
pub(super) use constructors;

/// Builders that set a field of the rule, and nothing else.
macro_rules! setters {
    ($rule:ident $(<$borrow:lifetime>)?: $(
        $(#[$doc:meta])* $option:ident: $type:ty => $($field:ident).+;
    )*) => {
        impl<const N: usize, S> Stepper<$rule$(<$borrow>)?, N, S> {$(
            $(#[$doc])*
            #[must_use]
            pub const fn $option(mut self, $option: $type) -> Self {
                self.rule.$($field).+ = $option;
                self
            }
        )*}
    };
}
pub(super) use setters;

/// The builder of a rule with [`Shapes`](super::Shapes) in a field `shapes`.
macro_rules! shapes_builder {
    ($rule:ident) => {
        impl<'s, const N: usize, S> Stepper<$rule<'s>, N, S> {
            /// The shapes of the parameters, in the order they were made:
            /// [`Tape::param_shapes`](crate::Tape::param_shapes) has them. Their elements are
            /// as many as there are parameters, and a tape's parameters must have just these.
            #[must_use]
            pub const fn shapes(mut self, shapes: &'s [crate::Shape]) -> Self {
                self.rule.shapes = Shapes::of(shapes);
                self
            }
        }
    };
}
pub(super) use shapes_builder;

/// The learning rate of a rule that has it in a field `lr`, as part of its `impl Rule`.
macro_rules! learning_rate_in_field {
    () => {
        fn learning_rate(&self) -> f32 {
            self.lr
        }

        fn set_learning_rate(&mut self, lr: f32) {
            self.lr = lr;
        }
    };
}
pub(super) use learning_rate_in_field;

/// The builders of a rule with a [`Objective`](super::Objective) in a field `objective`.
macro_rules! objective_builders {
    ($rule:ident) => {
        impl<const N: usize, S> Stepper<$rule, N, S> {
            /// Adds `weight_decay · p` to every gradient (L2 penalty). Default 0.
            #[must_use]
            pub const fn weight_decay(mut self, weight_decay: f32) -> Self {
                self.rule.objective.weight_decay = weight_decay;
                self
            }

            /// Climbs instead of descending.
            #[must_use]
            pub const fn maximize(mut self) -> Self {
                self.rule.objective.maximize = true;
                self
            }
        }
    };
    ($rule:ident, decoupled) => {
        objective_builders!($rule);

        impl<const N: usize, S> Stepper<$rule, N, S> {
            /// Weight decay is no penalty: the parameter is multiplied by
            /// `1 - lr · weight_decay` instead, as in [`AdamW`](crate::optim::AdamW).
            #[must_use]
            pub const fn decoupled_weight_decay(mut self) -> Self {
                self.rule.objective.decoupled = true;
                self
            }
        }
    };
}
pub(super) use objective_builders;

/// A builder after which the rule needs one buffer more, for each [`Storage`]. `$from`
/// is the number of buffers that there were; several can be given.
macro_rules! one_more_buffer {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty)?) for $rule:ident: $($inline:tt)*) => {
        one_more_buffer! {
            @each {$(#[$doc])*} $name ($($arg: $type)?) $rule $($inline)*
        }

        #[cfg(feature = "std")]
        impl Stepper<$rule, 0, std::vec::Vec<f32>> {
            $(#[$doc])*
            #[must_use]
            pub fn $name(self $(, $arg: $type)?) -> Self {
                let Self { rule, mut state } = self;
                let buffers = |rule: &$rule| $crate::optim::Rule::buffers(rule).len();
                let params = state.len() / buffers(&rule);
                let rule = rule.$name($($arg)?);
                state.resize(params * buffers(&rule), 0.0);
                Self { rule, state }
            }
        }

        impl Stepper<$rule, 0, &mut [f32]> {
            $(#[$doc])*
            #[must_use]
            pub fn $name(self $(, $arg: $type)?) -> Self {
                Self { rule: self.rule.$name($($arg)?), state: self.state }
            }
        }
    };
    (@each $docs:tt $name:ident $arg:tt $rule:ident $($from:literal $old:tt => $to:literal),*) => {
        $(one_more_buffer! { @inline $docs $name $arg $rule $from $old $to })*
    };
    (@inline {$(#[$doc:meta])*} $name:ident ($($arg:ident: $type:ty)?) $rule:ident
        $from:literal [$($old:ident)*] $to:literal) => {
        impl<const N: usize> Stepper<$rule, N, [[f32; N]; $from]> {
            $(#[$doc])*
            #[must_use]
            pub const fn $name(self $(, $arg: $type)?) -> Stepper<$rule, N, [[f32; N]; $to]> {
                let [$($old),*] = self.state;
                Stepper {
                    rule: self.rule.$name($($arg)?),
                    state: [$($old,)* [0.0; N]],
                }
            }
        }
    };
}
pub(super) use one_more_buffer;
