//! The parameters that early stopping goes back to.

use std::vec::Vec;

use super::model::Param;
use crate::calibrate::{self, EarlyStopping, Seen};

/// The best epoch so far, and what the parameters were.
pub(super) struct Best {
    pub(super) epoch: u32,
    pub(super) params: Vec<Param>,
}

/// Early stopping at work, with the parameters of the best epoch.
pub(super) struct Watch {
    watch: calibrate::Watch,
    restore_best: bool,
    best: Option<Best>,
}

impl Watch {
    pub(super) fn new(early: EarlyStopping) -> Self {
        Watch {
            watch: calibrate::Watch::new(early),
            restore_best: early.restore_best,
            best: None,
        }
    }

    /// Looks at an epoch and the loss of the parameters `before` its updates. Whether
    /// patience has run out.
    pub(super) fn see(&mut self, epoch: u32, loss: f32, before: Vec<Param>) -> bool {
        let seen = self.watch.see(epoch, loss);
        if seen == Seen::Best {
            let params = before;
            self.best = Some(Best { epoch, params });
        }
        seen == Seen::TooLong
    }

    /// The best epoch, unless the last parameters are to be kept.
    pub(super) fn best(self) -> Option<Best> {
        self.best.filter(|_| self.restore_best)
    }
}
