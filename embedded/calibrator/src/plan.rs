//! The plan of a fit: the curve, and the method with its settings.

use core::fmt;

use baregrad::calibrate::Curve;

use crate::board::Board;
use crate::failure::Failure;
use crate::options::Options;
use crate::rule::{PLAIN_SGD, RateSchedule, Rule, Setting, Texts, Whose};

/// The epochs of a fit if none are given.
const EPOCHS: u32 = 500;
/// The most epochs of one fit.
pub(crate) const MAX_EPOCHS: u32 = 100_000;

/// The method by which a curve is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Method {
    /// Least squares by Levenberg–Marquardt.
    Lm,
    /// Gradient descent with an optimizer.
    Descent,
}

impl Method {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "lm" => Some(Method::Lm),
            "descent" => Some(Method::Descent),
            _ => None,
        }
    }
}

/// Prints the name as the command `method` spells it.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Lm => "lm",
            Method::Descent => "descent",
        })
    }
}

/// The curve to fit, and the method with its settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) curve: Curve,
    /// The chosen method. `None` is least squares if the board has room for it.
    pub(crate) method: Option<Method>,
    /// The optimizer's update rule.
    pub(crate) rule: &'static Rule,
    /// The schedule of the learning rate; `None` keeps the rate constant.
    pub(crate) schedule: Option<&'static RateSchedule>,
    /// The learning rate.
    pub(crate) lr: f32,
    /// The number of passes over all samples, 1 to [`MAX_EPOCHS`]; for least squares the most.
    pub(crate) epochs: u32,
}

impl Plan {
    /// Makes the plan after a start: a line by least squares. Gradient descent has the first of
    /// these rules, and as many epochs as a line needs.
    pub(crate) fn new(rules: &'static [Rule]) -> Self {
        Plan {
            curve: Curve::Linear,
            method: None,
            rule: rules.first().unwrap_or(&PLAIN_SGD),
            schedule: None,
            lr: 0.1,
            epochs: EPOCHS,
        }
    }

    /// Returns the optimizer with its options and its schedule. On a board without schedules the
    /// compiler leaves out the code for both.
    #[inline(always)]
    pub(crate) fn setting<'t, B: Board>(&self, texts: &'t Texts<'_>) -> Setting<'t> {
        let Plan { rule, lr, .. } = *self;
        if B::SCHEDULES.is_empty() {
            return Setting {
                rule,
                lr,
                options: Options(""),
                schedule: None,
            };
        }
        let options = texts.get(Whose::Optimizer);
        let schedule = self.schedule;
        Setting {
            rule,
            lr,
            options,
            schedule: schedule.map(|schedule| (schedule, texts.get(Whose::Schedule))),
        }
    }

    /// Returns the method of the fit.
    ///
    /// # Errors
    /// The chosen method does not fit this curve, or has no room for it on this board.
    pub(crate) fn method<B: Board>(&self) -> Result<Method, Failure> {
        let curve = self.curve;
        let is_solved = !matches!(curve, Curve::Mlp { .. }) && curve.param_count() <= B::SOLVED;
        match (self.method, curve) {
            (Some(Method::Lm), _) if !is_solved => Err(Failure::Unsolved {
                curve,
                most: B::SOLVED,
            }),
            (Some(Method::Descent), Curve::Function(_)) => Err(Failure::Undescended(curve)),
            (Some(method), _) => Ok(method),
            (None, _) if is_solved => Ok(Method::Lm),
            (None, _) => Ok(Method::Descent),
        }
    }
}
