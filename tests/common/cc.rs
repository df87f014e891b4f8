//! The C compiler with which tests compile printed C.

use std::process::Command;

/// Returns whether there is a C compiler. With `BAREGRAD_CC=required`, panics if there is none.
pub(crate) fn has_cc() -> bool {
    let found = Command::new("cc").arg("--version").output().is_ok();
    if !found {
        let required = std::env::var("BAREGRAD_CC").is_ok_and(|value| value == "required");
        assert!(!required, "expected a compiler named cc, found none");
        eprintln!("SKIPPED: printed C is not compiled, as there is no compiler named cc");
    }
    found
}
