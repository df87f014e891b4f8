//! Least squares: finds the parameters that minimise the sum of squared residuals, and their
//! uncertainties.
//!
//! Gradient descent approaches the minimum over thousands of epochs.
//! [Levenberg–Marquardt](LevenbergMarquardt) converges to it in a few passes over the data and
//! then also knows the covariance of the parameters.
//!
//! ```
//! use baregrad::function;
//! use baregrad::least_squares::{CurveFit, LevenbergMarquardt};
//!
//! function! {
//!     /// °C of a thermometer without units.
//!     pub fn Thermometer([t_u], [w, b]) { w * (0.1 * t_u) + b }
//! }
//!
//! const T_U: [f32; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
//! const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
//!
//! let readings = CurveFit::new(Thermometer, &T_U, &T_C);
//! let solution = LevenbergMarquardt::new([1.0, 0.0]).run(&readings);
//! assert!(solution.is_converged());
//! assert_eq!(format!("{:.4?}", solution.params()), "[5.3677, -17.3048]");
//! let errors = solution.standard_errors().unwrap();
//! assert_eq!(format!("{errors:.3?}"), "[0.355, 1.927]");
//! ```
//!
//! No heap: the solver is a value whose size grows with the number of parameters as `P²` and
//! does not depend on the number of rows, which are computed whenever the solver needs them.
//! [`CurveFit`] takes a [`Function`](crate::function::Function) and slices; implement
//! [`Problem`] for anything else.
//!
//! | rows from | type |
//! | --- | --- |
//! | slices | [`CurveFit`] |
//! | raw counts of a converter, an iterator, or anything else | [`FitRows`] |
//! | a recorded tape | [`Recorded`] |
//!
//! [`RobustFit`] fits data with outliers and lists them.
//!
//! # Precision
//!
//! Sums are accumulated in [pairs](crate::function::TwoFloat) of `f32`, so that six to seven
//! digits of the parameters are right if the data determine them that well. If a model's own
//! rounding errors are large compared with the residuals, [`CurveFit::in_pairs`] computes the
//! predictions in pairs as well. `cargo run --release --example nist` solves NIST's reference
//! datasets for nonlinear regression and counts the correct digits.
//!
//! # Further items
//!
//! | | |
//! | --- | --- |
//! | [`Solution`] | parameters, covariance, correlation, intervals, the confidence band of a prediction, and the [input for a given value](Solution::input_for) |
//! | [`Goodness`] | R², adjusted R², the F statistic |
//! | [`StudentT`], [`FDistribution`] | tail probabilities and quantiles |
//! | [`Recursive`] | one sample at a time: recursive least squares, extended Kalman steps |
//! | [`York`], [`StraightLine`] | straight lines through points with errors in both coordinates |

mod bounds;
mod distribution;
mod goodness;
mod inference;
mod levenberg_marquardt;
mod normal;
mod problem;
mod range;
mod recorded;
mod recursive;
mod robust;
mod rows;
mod solution;
mod straight_line;

pub use bounds::{Bounds, Constraints, Held, Unbounded};
pub use distribution::{FDistribution, StudentT};
pub use goodness::Goodness;
pub use inference::{Estimate, InferenceError};
pub use levenberg_marquardt::LevenbergMarquardt;
pub use problem::{CurveFit, InPairs, Problem, Row, Sample};
pub use range::OutOfRange;
pub use recorded::Recorded;
pub use recursive::{Recursive, Refused};
pub use robust::{
    Outlier, Robust, RobustFit, RobustLoss, RobustSolution, outliers, residual_scale,
};
pub use rows::{Counts, FitRows, Restarted, Rows};
pub use solution::{Solution, Status};
pub use straight_line::{LineError, StraightLine, York};
