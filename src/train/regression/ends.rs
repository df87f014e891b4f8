//! Why a regression ended.

use std::string::String;
use std::vec::Vec;

use crate::least_squares::Status;

/// Why the solver ended, in words that name parameters.
#[derive(Clone, Debug)]
pub struct Ends {
    pub(super) status: Status,
    /// The names of a function's parameters; none of other curves.
    pub(super) parameters: Vec<String>,
}

impl Ends {
    /// The status that the solver returned.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether the parameters are those of a minimum.
    pub fn is_converged(&self) -> bool {
        matches!(self.status, Status::Converged | Status::Exact)
    }

    /// Whether they are near a minimum at least: that of a valley so flat that some of them
    /// are hardly determined.
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
