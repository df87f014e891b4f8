//! The losses of a fit, and the reason why it ended.

use core::fmt;

/// The reason why a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// The last epoch was done, and the loss hardly fell over the last tenth of the epochs.
    Converged,
    /// The last epoch was done, but the loss was still falling.
    StillFalling,
    /// Early stopping: the watched loss had not improved for `patience` epochs.
    Early,
    /// The loss is no longer finite, or larger at the end than at the start.
    Diverged,
    /// The fit was asked to stop.
    Asked,
}

/// Prints the outcome in a few words, with a suggestion.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Converged => "converged",
            Reason::StillFalling => {
                "the loss was still falling: try more epochs, or a larger learning rate"
            }
            Reason::Early => "stopped early: the loss no longer became better",
            Reason::Diverged => "diverged: try a smaller learning rate",
            Reason::Asked => "stopped when asked to",
        })
    }
}

/// A loss that fell by less than this share of itself over the last tenth of the epochs
/// has converged.
const FALLING: f32 = 0.01;
/// A loss that fell by less than this share of the first loss has converged, too: its
/// root is 3e-5 of the spread of the references.
const TRIFLE: f32 = 1e-9;

/// Losses in scaled units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    /// The training loss before the first update.
    pub first: f32,
    /// The training loss of the last epoch, before its update.
    pub training: f32,
    /// The validation loss of the last epoch, before its update, if there are validation
    /// samples.
    pub validation: Option<f32>,
    /// The training loss after nine tenths of the epochs.
    pub(super) late: f32,
}

impl Losses {
    pub(super) const NONE: Self = Losses {
        first: f32::INFINITY,
        training: f32::INFINITY,
        validation: None,
        late: f32::INFINITY,
    };

    /// Judges the losses after the last epoch.
    pub(super) fn judge(&self) -> Reason {
        let fell = self.late - self.training;
        if self.training > self.first {
            Reason::Diverged
        } else if fell > FALLING * self.training && fell > TRIFLE * self.first {
            Reason::StillFalling
        } else {
            Reason::Converged
        }
    }
}
