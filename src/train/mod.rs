//! Training on the desktop: data, fitting, and a verdict on the fit. Needs the feature `std`.
//!
//! ```text
//! Dataset ── split ──► training part ── Scaler::fit ──► both parts scaled
//!                                                              │ samples
//!                                                              ▼
//! Model ────────────────────────────────────────────────────► Fit ──► Fitted
//!                                             history, verdict, parameters
//! ```
//!
//! A model is a function of variables, the same here as on the device. This module adds
//! the data and the training loop:
//!
//! ```
//! use baregrad::Var;
//! use baregrad::optim::Sgd;
//! use baregrad::train::{self, Dataset, Fit, Param, Scaler, Scaling};
//!
//! fn model<'t>(t_u: Var<'t>, w: Var<'t>, b: Var<'t>) -> Var<'t> {
//!     w * t_u + b
//! }
//!
//! let data = Dataset::new([
//!     ("t_u", [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4]),
//!     ("t_c", [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0]),
//! ])?;
//! let (training, validation) = data.split(0.2, 1)?;
//! let scaler = Scaler::fit(&training, &[("t_u", Scaling::Standard)])?;
//! let samples = |part: &Dataset| scaler.apply(part)?.samples(&["t_u"], &["t_c"]);
//! let (training, validation) = (samples(&training)?, samples(&validation)?);
//!
//! let line = train::model(
//!     [Param::scalar("w", 1.0), Param::scalar("b", 0.0)],
//!     |t_u, [w, b]| model(t_u, w, b),
//! );
//! let fitted = Fit::new(&line, &training)
//!     .validation(&validation)
//!     .epochs(200)
//!     .run(&mut Sgd::new(1e-1))?;
//!
//! println!("{}", fitted.history().last());   // Epoch 200, Training loss 2.…
//! println!("{}", fitted.verdict());          // good fit: …
//! let w = fitted.params()[0];                // °C per standard deviation of t_u
//! assert!((8.5..10.0).contains(&w));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | |
//! | --- | --- |
//! | [`Dataset`], [`Samples`] | named columns; the rows a model sees |
//! | [`Coarse`] | a column whose differences `f32` cannot resolve until it is scaled |
//! | [`split_indices`], [`k_fold_indices`], [`Batches`] | the rows of each part, and their order |
//! | [`Scaler`] | scales inputs to a size that learns well, and back |
//! | [`Model`], [`Param`], [`Curve`] | a model to fit; ready-made models of one variable |
//! | [`Fit`], [`EarlyStopping`], [`Clip`] | gradient descent and its settings |
//! | [`LeastSquares`], [`Regression`] | least squares: coefficients with their uncertainties |
//! | [`History`], [`Verdict`] | the losses of every epoch, and a judgement of them |
//! | [`Calibration`] | a fitted curve in the units of the data, as code for firmware |
//!
//! Further features, off by default: `csv` reads data, `json` writes histories (as CSV, they need
//! no feature), `plot` draws, `progress` shows a bar on a terminal, `safetensors` reads and
//! writes PyTorch's weights.
//!
//! Nothing here runs in parallel, and every random number comes from a seed: the same
//! seed gives the same bits on every machine.

mod batches;
mod calibration;
mod coarse;
#[cfg(feature = "csv")]
mod csv;
mod curve;
mod dataset;
mod digits;
mod error;
mod evaluate;
mod fit;
mod fitted;
mod history;
mod model;
mod observe;
#[cfg(feature = "plot")]
pub mod plot;
mod regression;
mod residuals;
#[cfg(feature = "safetensors")]
pub mod safetensors;
mod samples;
mod scale;
mod split;
mod step;
mod verdict;

pub use crate::calibrate::{Curve, EarlyStopping, Scale, Scaling};
pub use crate::optim::schedule::Schedule;
pub use batches::Batches;
pub use calibration::Calibration;
pub use coarse::Coarse;
#[cfg(feature = "csv")]
pub use csv::{CsvError, CsvErrorKind, read_csv};
pub use curve::CurveError;
pub use dataset::Dataset;
pub use digits::significant;
pub use error::DataError;
pub use fit::{Fit, FitError};
pub use fitted::Fitted;
pub use history::{Epoch, History, Stopped};
pub use model::{Function, Loss, Model, Param, model, mse};
pub use observe::lines;
#[cfg(feature = "progress")]
pub use observe::progress;
pub use regression::{
    Coefficient, Curvature, Ends, LeastSquares, MAX_PARAMETERS, Outlier, Predicted, Regression,
    RegressionError, Sufficient,
};
pub use samples::Samples;
pub use scale::Scaler;
pub use split::{Indices, k_fold_indices, split_indices};
pub use step::Clip;
pub use verdict::{Judgement, Verdict};

/// Implements `Debug` by `Display`, because a `main` that returns an error, and `unwrap`,
/// print errors with `Debug`.
macro_rules! debug_is_display {
    ($($error:ty),*) => {$(
        impl core::fmt::Debug for $error {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    )*};
}

debug_is_display!(CurveError, DataError, FitError, RegressionError);
#[cfg(feature = "csv")]
debug_is_display!(CsvError, CsvErrorKind);
#[cfg(feature = "plot")]
debug_is_display!(plot::PlotError);
#[cfg(feature = "safetensors")]
debug_is_display!(safetensors::SafetensorsError);
