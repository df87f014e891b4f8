//! Macros for the builders that optimizers have in common: constructors for each
//! [`Storage`](super::Storage), options that set a field, and options that need another buffer.

use super::{Objective, Show, halves};
use crate::function::TwoFloat;

/// Calls `show` with each field, under its own name or the one after `as`. If a name of the
/// whole is given, calls `show` with that name and no numbers first.
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

/// A hyper-parameter that [`Stateful::visit_hyper`](super::Stateful::visit_hyper) shows as
/// numbers.
pub(super) trait Shown {
    /// Calls `show` with the numbers of the hyper-parameter.
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

/// The constructors of an optimizer with this number of buffers, one for each `Storage`. The
/// rule has a `const fn new(lr: f32)`. A rule with a lifetime is written with `<'_>`.
macro_rules! constructors {
    ($rule:ident $(<$borrow:lifetime>)?: $buffers:literal, $default:literal) => {
        impl<const N: usize> Stepper<$rule$(<$borrow>)?, N, [[f32; N]; $buffers]> {
            #[doc = concat!("Creates the optimizer with learning rate `lr` (PyTorch's default is ",
                $default, ") and state for up to `N` parameters inline.")]
            #[must_use]
            #[inline(always)]
            pub const fn new(lr: f32) -> Self {
                Self::from_rule($rule::new(lr))
            }
        }

        #[cfg(feature = "std")]
        impl Stepper<$rule$(<$borrow>)?, 0, std::vec::Vec<f32>> {
            /// Creates the optimizer with learning rate `lr`, and state for up to `params`
            /// parameters on the heap.
            #[must_use]
            pub fn on_heap(lr: f32, params: usize) -> Self {
                Self::from_rule_on_heap($rule::new(lr), params)
            }
        }

        impl<'s> Stepper<$rule$(<$borrow>)?, 0, &'s mut [f32]> {
            #[doc = concat!("Creates the optimizer with learning rate `lr`, and state in a slice ",
                "of the caller: ", stringify!($buffers), " floats for each parameter, and one more \
                for each option that needs it. The slice is zeroed.")]
            #[must_use]
            pub fn with_state(lr: f32, state: &'s mut [f32]) -> Self {
                Self::from_rule_with_state($rule::new(lr), state)
            }
        }
    };
}
pub(super) use constructors;

/// The options of a rule, declared once: defines a builder for each, and `show_options`, which
/// shows the rule's name and its options to
/// [`Stateful::visit_hyper`](super::Stateful::visit_hyper). The entries are
///
/// ```text
/// eps: f32;                               sets the field `eps`
/// alpha: f64 as TwoFloat::from_f64;       sets it to a `const fn` of an `f64`
/// maximize: flag;                         sets it to true
/// etas: [minus: f32, plus: f32];          sets an array from its elements
/// betas(beta1, beta2);                    calls the rule's `set_betas`; shows these fields
/// objective;                              sets an `Objective` in the field `objective`
/// objective decoupled;                    the same, with a builder for decoupled weight decay
/// ```
macro_rules! options {
    ($rule:ident $(<$borrow:lifetime>)? = $name:literal: $($entries:tt)*) => {
        options! { @each {$rule $(<$borrow>)?} $name [] $($entries)* }
    };
    (@each {$($rule:tt)*} $name:literal [$($field:ident)*]) => {
        impl $($rule)* {
            /// Calls `show` with the rule's name and its options.
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
            #[inline(always)] // a constant argument leaves no `f64`
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
            #[inline(always)] // constant arguments leave no `f64`
            pub const fn betas(mut self, beta1: f64, beta2: f64) -> Self {
                self.rule.set_betas(beta1, beta2);
                self
            }
        }
        options! { @each {$($rule)*} $name [$($field)* $($shown)*] $($rest)* }
    };
    (@each {$($rule:tt)*} $name:literal [$($field:ident)*] objective; $($rest:tt)*) => {
        impl<const N: usize, S> Stepper<$($rule)*, N, S> {
            /// Adds `weight_decay · p` to every gradient (L2 penalty). At least 0, default 0.
            #[must_use]
            pub const fn weight_decay(mut self, weight_decay: f32) -> Self {
                self.rule.objective.weight_decay = weight_decay;
                self
            }

            /// Maximises the loss instead of minimising it.
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
            /// Decouples weight decay from the gradient: it multiplies the parameter by
            /// `1 - lr · weight_decay` instead of adding a penalty, as in
            /// [`AdamW`](crate::optim::AdamW).
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

/// Returns an error unless these fields are at least 0, which NaN is not.
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
            /// Sets the shapes of the parameters, in the order in which they were created, for
            /// example those of [`Tape::param_shapes`](crate::Tape::param_shapes).
            /// [`Tape::step`](crate::Tape::step) returns an error if the tape's parameters have
            /// other shapes.
            #[must_use]
            pub const fn shapes(mut self, shapes: &'s [crate::Shape]) -> Self {
                self.rule.shapes = Shapes::of(shapes);
                self
            }
        }
    };
}
pub(super) use shapes_builder;

/// The learning rate of a rule that stores it in a field `lr`, as part of its `impl Rule`.
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

/// The learning rate of a rule that stores it in a field `lr`, and `visit_hyper` for its
/// [`options!`], as part of its `impl Rule`.
macro_rules! rate_and_options {
    () => {
        super::builders::learning_rate_in_field!();

        fn visit_hyper(&self, show: super::Show<'_>) {
            self.show_options(show);
        }
    };
}
pub(super) use rate_and_options;

/// The momentum of a rule that stores it as a [`Beta1`](super::decay::Beta1) in a field
/// `beta1`, as part of its `impl Rule`.
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

/// A builder that adds a buffer to the rule, for each [`Storage`]. `$from` is the number of
/// buffers before and `$to` after; several such pairs can be given.
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
