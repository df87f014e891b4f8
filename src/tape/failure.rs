//! The last failure: the call that fails writes its reason down here, and the call that returns
//! an [`Error`] to the user reads it.

use core::cell::Cell;
use core::panic::Location;

use crate::error::{Error, ErrorKind};

/// Zero-sized stand-in for an [`Error`] within the crate. An `Error` has 76 bytes on 32-bit
/// targets, which every call between two functions would move. The reason is kept in the
/// tape's state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed;

/// The reason of the last failure. Cells, because calls that only read the tape fail, too.
#[derive(Clone)]
pub(super) struct Failure {
    kind: Cell<ErrorKind>,
    /// The operation and the line, if they are others than those of the call that fails.
    op: Cell<Option<&'static str>>,
    at: Cell<Option<&'static Location<'static>>>,
    /// The reason was written down and not told yet. False: the last failure was a failed
    /// borrow, which cannot write its reason here; it is [`ErrorKind::Borrowed`].
    is_untold: Cell<bool>,
    /// An operation failed: the tape keeps this error, and nothing works but `rewind`.
    is_kept: Cell<bool>,
}

impl Failure {
    pub(super) fn new() -> Self {
        Failure {
            kind: Cell::new(ErrorKind::Borrowed),
            op: Cell::new(None),
            at: Cell::new(None),
            is_untold: Cell::new(false),
            is_kept: Cell::new(false),
        }
    }

    /// Writes down why a call fails.
    #[inline(always)]
    pub(super) fn set(&self, kind: ErrorKind) -> Failed {
        self.kind.set(kind);
        self.is_untold.set(true);
        self.set_place(None, None);
        Failed
    }

    /// Writes down the place of a mistake that is noticed in another call than it was made in.
    pub(super) fn set_place(
        &self,
        op: Option<&'static str>,
        at: Option<&'static Location<'static>>,
    ) {
        self.op.set(op);
        self.at.set(at);
    }

    pub(super) fn kind(&self) -> ErrorKind {
        self.kind.get()
    }

    /// Whether a reason was written down and not told yet, which from now on counts as told.
    pub(super) fn take(&self) -> bool {
        self.is_untold.replace(false)
    }

    /// Whether an operation failed, and the tape keeps the error.
    #[inline(always)]
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept.get()
    }

    /// Keeps the last failure, as that of operation `op` at `at`.
    pub(super) fn keep(&self, op: &'static str, at: &'static Location<'static>) {
        if !self.take() {
            self.kind.set(ErrorKind::Borrowed);
        }
        self.set_place(Some(op), Some(at));
        self.is_kept.set(true);
    }

    /// Keeps no error any longer.
    pub(super) fn clear(&self) {
        self.is_untold.set(false);
        self.is_kept.set(false);
    }

    /// The last failure, at its own place if it has one, or else in `op` at `at`.
    #[inline]
    pub(super) fn error(&self, op: &'static str, at: &'static Location<'static>) -> Error {
        Error {
            kind: self.kind.get(),
            op: self.op.get().unwrap_or(op),
            at: self.at.get().unwrap_or(at),
        }
    }
}
