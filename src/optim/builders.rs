//! Builders that optimizers have in common, written once: constructors for each
//! [`Storage`](super::Storage), options that only set a field, and those that need memory.

use super::{Objective, Show, halves};
use crate::function::TwoFloat;

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

impl Shown for Objective {
    fn show(&self, _: &'static str, show: Show<'_>) {
        show_options!(self, show, weight_decay, decoupled as "decoupled_weight_decay", maximize);
    }
}

impl<const K: usize> Shown for [f32; K] {
    fn show(&self, name: &'static str, show: Show<'_>) {
        show(name, self);
    }
}

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

/// The options of a rule, once: a builder for each, and `show_options`, which shows them to
/// [`Stateful::visit_hyper`](super::Stateful::visit_hyper) behind the rule's name. An entry is
/// one of
///
/// ```text
/// eps: f32;                               the field of that name
/// alpha: f64 as TwoFloat::from_f64;       the same, made of an `f64` by a `const fn`
/// maximize: flag;                         the same, which the builder sets to true
/// etas: [minus: f32, plus: f32];          the same, an array that is given in parts
/// betas(beta1, beta2);                    what the rule's `set_betas` sets; shows these fields
/// objective;                              an `Objective`, in a field of that name
/// objective decoupled;                    the same, whose weight decay may be decoupled
/// ```
macro_rules! options {
    ($rule:ident $(<$borrow:lifetime>)? = $name:literal: $($entries:tt)*) => {
        options! { @each {$rule $(<$borrow>)?} $name [] $($entries)* }
    };
    (@each {$($rule:tt)*} $name:literal [$($field:ident)*]) => {
        impl $($rule)* {
            /// Shows its name and its options.
            fn show_options(&self, show: super::Show<'_>) {
                show($name, &[]);
                $(super::builders::Shown::show(&self.$field, stringify!($field), show);)*
            }
        }
    };
    (@each {$($rule:tt)*} $name:literal [$($field:ident)*]
        $(#[$doc:meta])* $option:ident: flag; $($rest:tt)*) => {
        impl<const N: usize, S> Stepper<$($rule)*, N, S> {
            $(#[$doc])*
            #[must_use]
            pub const fn $option(mut self) -> Self {
                self.rule.$option = true;
                self
            }
        }
        options! { @each {$($rule)*} $name [$($field)* $option] $($rest)* }
    };
    (@each {$($rule:tt)*} $name:literal [$($field:ident)*]
        $(#[$doc:meta])* $option:ident: f64 as $make:path; $($rest:tt)*) => {
        impl<const N: usize, S> Stepper<$($rule)*, N, S> {
            $(#[$doc])*
            #[must_use]
            #[inline(always)] // of a constant, no `f64` is left
            pub const fn $option(mut self, $option: f64) -> Self {
                self.rule.$option = $make($option);
                self
            }
        }
        options! { @each {$($rule)*} $name [$($field)* $option] $($rest)* }
    };
    (@each {$($rule:tt)*} $name:literal [$($field:ident)*]
        $(#[$doc:meta])* $option:ident: [$($part:ident: $type:ty),*]; $($rest:tt)*) => {
        impl<const N: usize, S> Stepper<$($rule)*, N, S> {
            $(#[$doc])*
            #[must_use]
            pub const fn $option(mut self, $($part: $type),*) -> Self {
                self.rule.$option = [$($part),*];
                self
            }
        }
        options! { @each {$($rule)*} $name [$($field)* $option] $($rest)* }
    };
    (@each {$($rule:tt)*} $name:literal [$($field:ident)*]
        $(#[$doc:meta])* $option:ident: $type:ty; $($rest:tt)*) => {
        impl<const N: usize, S> Stepper<$($rule)*, N, S> {
            $(#[$doc])*
            #[must_use]
            pub const fn $option(mut self, $option: $type) -> Self {
                self.rule.$option = $option;
                self
            }
        }
        options! { @each {$($rule)*} $name [$($field)* $option] $($rest)* }
    };
    (@each {$($rule:tt)*} $name:literal [$($field:ident)*]
        $(#[$doc:meta])* betas($($shown:ident),*); $($rest:tt)*) => {
        impl<const N: usize, S> Stepper<$($rule)*, N, S> {
            $(#[$doc])*
            #[must_use]
            #[inline(always)] // of constants, no `f64` is left
            pub const fn betas(mut self, beta1: f64, beta2: f64) -> Self {
                self.rule.set_betas(beta1, beta2);
                self
            }
        }
        options! { @each {$($rule)*} $name [$($field)* $($shown)*] $($rest)* }
    };
    (@each {$($rule:tt)*} $name:literal [$($field:ident)*] objective; $($rest:tt)*) => {
        impl<const N: usize, S> Stepper<$($rule)*, N, S> {
            /// Adds `weight_decay · p` to every gradient (L2 penalty), at least 0. Default 0.
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
        options! { @each {$($rule)*} $name [$($field)* objective] $($rest)* }
    };
    (@each {$($rule:tt)*} $name:literal [$($field:ident)*] objective decoupled; $($rest:tt)*) => {
        impl<const N: usize, S> Stepper<$($rule)*, N, S> {
            /// Weight decay is no penalty: the parameter is multiplied by
            /// `1 - lr · weight_decay` instead, as in [`AdamW`](crate::optim::AdamW).
            #[must_use]
            pub const fn decoupled_weight_decay(mut self) -> Self {
                self.rule.objective.decoupled = true;
                self
            }
        }
        options! { @each {$($rule)*} $name [$($field)*] objective; $($rest)* }
    };
}
pub(super) use options;

/// Fails unless these fields are at least 0, which a NaN is not.
macro_rules! require_at_least_0 {
    ($rule:expr, $($field:ident),*) => {
        $(super::require(
            $rule.$field >= 0.0,
            concat!(stringify!($field), " >= 0"),
            $rule.$field,
        )?;)*
    };
}
pub(super) use require_at_least_0;

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

/// The learning rate of a rule that has it in a field `lr`, and its [`options!`], as part of
/// its `impl Rule`.
macro_rules! rate_and_options {
    () => {
        super::builders::learning_rate_in_field!();

        fn visit_hyper(&self, show: super::Show<'_>) {
            self.show_options(show);
        }
    };
}
pub(super) use rate_and_options;

/// The momentum of a rule with a [`Beta1`](super::decay::Beta1) in a field `beta1`, as part of
/// its `impl Rule`.
macro_rules! beta1_is_momentum {
    () => {
        fn momentum_factor(&self) -> Option<f32> {
            Some(self.beta1.rate())
        }

        fn set_momentum_factor(&mut self, momentum: f32) {
            self.beta1.set(momentum);
        }
    };
}
pub(super) use beta1_is_momentum;

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
