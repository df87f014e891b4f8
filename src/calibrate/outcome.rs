//! The losses of a fit, and why it ended.

use core::fmt;

/// Why a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// After the last epoch, and over the last tenth of the epochs the loss hardly fell.
    Converged,
    /// After the last epoch, but the loss was still falling.
    StillFalling,
    /// The watched loss had not become better for as long as patience lasts.
    Early,
    /// The loss is no longer finite, or larger at the end than at the start.
    Diverged,
    /// It was asked to.
    Asked,
}

/// A few words on what happened and what to try.
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

/// A loss of which less than this share fell in the last tenth of the epochs has converged.
const FALLING: f32 = 0.01;
/// So has one that fell by less than this share of the first loss: 3e-5 of the spread of the
/// references.
const TRIFLE: f32 = 1e-9;

/// Losses of the scaled values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    /// The training loss before the first update.
    pub first: f32,
    /// The training loss of the last epoch, before its update.
    pub training: f32,
    /// The same of the samples to validate with, if there are any.
    pub validation: Option<f32>,
    /// The training loss when nine tenths of the epochs were over.
    pub(super) late: f32,
}

impl Losses {
    pub(super) const NONE: Self = Losses {
        first: f32::INFINITY,
        training: f32::INFINITY,
        validation: None,
        late: f32::INFINITY,
    };

    /// How it went, after the last epoch.
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
