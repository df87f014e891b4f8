//! The last failure: the function that fails stores the reason here, and the method that returns
//! an [`Error`] to the user reads it.

use core::cell::Cell;
use core::panic::Location;

use crate::error::{Error, ErrorKind};

/// Zero-sized stand-in for an [`Error`] within the crate. An `Error` has 76 bytes on 32-bit
/// targets, which every function would move to its caller. The reason is in the tape's state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed;

/// The reason of the last failure. The fields are cells, because calls that only read the tape
/// fail, too.
#[derive(Clone)]
pub(super) struct Failure {
    kind: Cell<ErrorKind>,
    /// The operation and the line of the failure, if they differ from those of the call that
    /// returns the error.
    op: Cell<Option<&'static str>>,
    at: Cell<Option<&'static Location<'static>>>,
    /// Whether a reason is stored that was not returned to the user yet. If not, the state could
    /// not be borrowed, which cannot be stored in it: [`ErrorKind::Borrowed`].
    is_untold: Cell<bool>,
    /// Whether an operation failed: the tape then keeps its error, and every call but `rewind`
    /// fails.
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

    /// Stores the reason why a call fails.
    #[inline(always)]
    pub(super) fn set(&self, kind: ErrorKind) -> Failed {
        self.kind.set(kind);
        self.is_untold.set(true);
        self.set_place(None, None);
        Failed
    }

    /// Stores the operation and the line of a mistake that only a later call notices.
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

    /// Returns whether there is a stored reason that was not returned to the user yet, and marks
    /// it as returned.
    pub(super) fn take(&self) -> bool {
        self.is_untold.replace(false)
    }

    /// Whether an operation failed, and the tape keeps the error.
    #[inline(always)]
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept.get()
    }

    /// Keeps the last failure as the error of operation `op` at `at`.
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

    /// The last failure as an error: of its own operation and line if it has stored them, or else
    /// of `op` at `at`.
    #[inline]
    pub(super) fn error(&self, op: &'static str, at: &'static Location<'static>) -> Error {
        Error {
            kind: self.kind.get(),
            op: self.op.get().unwrap_or(op),
            at: self.at.get().unwrap_or(at),
        }
    }
}
