//! Least squares: the parameters that make the sum of squared residuals as small as can be,
//! and how sure they are.
//!
//! Gradient descent gets near the minimum, in thousands of epochs;
//! [Levenberg–Marquardt](LevenbergMarquardt) gets there, in a few passes over the data, and
//! knows the parameters' covariance then.
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
//! No heap: the solver is a value whose size depends on the number of parameters alone, as
//! `P²`, and rows are computed when they are needed. [`CurveFit`] takes a
//! [`Function`](crate::function::Function) and slices; implement [`Problem`] for anything
//! else.
//!
//! | rows from | |
//! | --- | --- |
//! | slices | [`CurveFit`] |
//! | raw counts of a converter, an iterator, or anything else | [`FitRows`] |
//! | a recorded tape | [`Recorded`] |
//!
//! [`RobustFit`] is for data with outliers, which it names.
//!
//! # How many digits
//!
//! Sums are kept in [pairs](crate::function::TwoFloat) of `f32`, so that six to seven digits
//! of the parameters are right where those of the data suffice. Of a model whose own rounding
//! is large next to the residuals, [`CurveFit::in_pairs`] computes predictions in pairs as
//! well. `cargo run --release --example nist` solves NIST's sets for nonlinear regression, and
//! counts digits.
//!
//! # What else there is
//!
//! | | |
//! | --- | --- |
//! | [`Solution`] | parameters, covariance, correlation, intervals, the band of a prediction, and [which input means a value](Solution::input_for) |
//! | [`Goodness`] | R², adjusted R², the F statistic |
//! | [`StudentT`], [`FDistribution`] | tails and quantiles |
//! | [`Recursive`] | one sample at a time: recursive least squares, extended Kalman steps |
//! | [`York`], [`StraightLine`] | lines through points of which both coordinates are uncertain |

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
