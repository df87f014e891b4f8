//! The reason why a regression ended.

use std::string::String;
use std::vec::Vec;

use crate::least_squares::Status;

/// The reason why the solver ended, printed with the names of parameters.
#[derive(Clone, Debug)]
pub struct Ends {
    pub(super) status: Status,
    /// The names of a formula's parameters; empty for other curves.
    pub(super) parameters: Vec<String>,
}

impl Ends {
    /// The status that the solver returned.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Returns whether the parameters are at a minimum.
    pub fn is_converged(&self) -> bool {
        matches!(self.status, Status::Converged | Status::Exact)
    }

    /// Returns whether the parameters are at a minimum, or at least near one in a valley so flat
    /// that the data hardly determine some of them.
    pub fn is_usable(&self) -> bool {
        self.is_converged() || matches!(self.status, Status::IllConditioned { .. })
    }
}

impl core::fmt::Display for Ends {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let name = |parameter: usize| match self.parameters.get(parameter) {
            Some(name) => name.clone(),
            None => std::format!("{} of the scaled curve", parameter + 1),
        };
        match self.status {
            Status::IllConditioned { parameter } => write!(
                f,
                "not converged: parameter {} is hardly told apart from those before it",
                name(parameter)
            ),
            Status::Singular { parameter } => write!(
                f,
                "not converged: the data say nothing about parameter {}",
                name(parameter)
            ),
            Status::NotFinite { row } => write!(
                f,
                "not converged: the curve is not finite at the start, in row {}",
                row + 1
            ),
            status => status.fmt(f),
        }
    }
}
