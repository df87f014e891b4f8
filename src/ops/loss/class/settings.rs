//! The settings of losses of classes, and the builders that set them.

use crate::op::Attrs;
use crate::ops::loss::Reduction;

/// The settings of a loss of rows of classes. Words: the smoothing; the index to ignore.
/// Tag: the reduction, and whether targets are probabilities.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops::loss) struct Settings {
    pub(in crate::ops::loss) reduction: Reduction,
    /// The part of each target that is shared by all classes, 0 to 1.
    pub(in crate::ops::loss) smoothing: f32,
    /// The class of rows that do not count.
    pub(in crate::ops::loss) ignored: i32,
}

impl Settings {
    /// PyTorch's defaults.
    pub(in crate::ops::loss) const DEFAULT: Self = Settings {
        reduction: Reduction::Mean,
        smoothing: 0.0,
        ignored: -100,
    };
    /// The bit of a tag that is set if targets are probabilities.
    pub(super) const PROBABILITIES: u32 = 4;

    pub(super) fn pack(self) -> Attrs {
        Attrs {
            words: [self.smoothing.to_bits(), self.ignored as u32, 0, 0],
            tag: self.reduction.tag(),
        }
    }

    pub(super) fn unpack(attrs: &Attrs) -> Self {
        let [smoothing, ignored, ..] = attrs.words;
        Settings {
            reduction: Reduction::of(attrs),
            smoothing: f32::from_bits(smoothing),
            ignored: ignored as i32,
        }
    }
}

/// The builders that all losses of classes have. The struct has the fields `settings` and
/// `weight`, and one more if it is given with its default.
macro_rules! class_builders {
    ($Loss:ident { $($field:ident: $default:expr)? }) => {
        impl Default for $Loss<'_> {
            fn default() -> Self {
                $Loss {
                    settings: Settings::DEFAULT,
                    weight: None,
                    $($field: $default,)?
                }
            }
        }

        impl<'t> $Loss<'t> {
            /// The mean of the loss, with PyTorch's defaults.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            /// Chooses the mean, the sum, or a loss for each row.
            #[must_use]
            pub fn reduction(mut self, reduction: $crate::ops::loss::Reduction) -> Self {
                self.settings.reduction = reduction;
                self
            }

            /// Sets a weight for each class, `[classes]`. As in PyTorch, a mean over rows is
            /// divided by the sum of the weights of their targets' classes, and is NaN if this
            /// sum is 0; if targets are probabilities, it is divided by the number of rows.
            ///
            /// No gradient flows to weights, and weights that need one are an error.
            #[must_use]
            pub fn weight(mut self, weight: Var<'t>) -> Self {
                self.weight = Some(weight);
                self
            }

            /// Sets the class of rows that do not count: -100 unless it is set. It has no effect
            /// on targets that are probabilities.
            #[must_use]
            pub fn ignore_index(mut self, class: i32) -> Self {
                self.settings.ignored = class;
                self
            }
        }
    };
}
pub(in crate::ops::loss) use class_builders;
