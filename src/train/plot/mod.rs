//! Plots of the data with a fitted curve, and of losses by epoch.
//!
//! The extension decides the format: `.svg`, which refers to a font by name, or `.png`, which is
//! drawn with a built-in font and looks the same on every machine. A plot is written to a file
//! beside its path and then renamed, so that the path never has a partial plot.
//!
//! Files stay small however many points there are: of many points, a fixed choice that
//! contains the extremes is drawn, and the plot says so.
//!
//! ```
//! use baregrad::train::plot::{self, Points};
//!
//! let (x, y) = ([35.7, 55.9, 58.2], [0.5, 14.0, 15.0]);
//! let predicted = [1.4, 12.6, 13.8];
//! let points = [Points { name: "readings", x: &x, y: &y, predicted: &predicted }];
//! let file = std::env::temp_dir().join("baregrad-fit.svg");
//! plot::fit(&file, "A line", ["t_u", "t_c"], &points, &[(30.0, -1.8), (60.0, 14.8)])?;
//! assert!(std::fs::read_to_string(&file)?.contains("A line"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod axis;
mod canvas;
mod fit;
mod losses;
mod points;
mod turns;

use std::path::Path;
use std::string::String;
use std::vec::Vec;

use super::history::History;
pub use canvas::PlotError;
use canvas::draw;
pub use points::Points;
use points::{CURVE, POINTS, Shown, extremes, finite_curve};

/// Draws samples with a fitted curve, and the residuals below. `curve` holds points of
/// the curve from left to right, and `labels` the labels of the x and y axes.
///
/// If there are more than about 2500 samples, only some are drawn: evenly spaced ones, and
/// the highest and lowest of each section of the x axis.
///
/// # Errors
/// A number is not finite; `x`, `y` and `predicted` of a series differ in length; or the
/// file cannot be written, or ends in neither `.svg` nor `.png`.
pub fn fit(
    path: impl AsRef<Path>,
    title: &str,
    labels: [&str; 2],
    points: &[Points<'_>],
    curve: &[(f32, f32)],
) -> Result<(), PlotError> {
    fit_with_band(path, title, labels, points, curve, &[])
}

/// Draws as [`fit`] does, with a band around the curve. `band` holds readings from left to
/// right, each with the lower and the upper end of a 95 % interval, as the legend says.
///
/// # Errors
/// As for [`fit`].
pub fn fit_with_band(
    path: impl AsRef<Path>,
    title: &str,
    labels: [&str; 2],
    points: &[Points<'_>],
    curve: &[(f32, f32)],
    band: &[(f32, f32, f32)],
) -> Result<(), PlotError> {
    let path = path.as_ref();
    let share = POINTS / points.len().max(1);
    let shown = points.iter().map(|points| Shown::new(points, share));
    let shown: Result<Vec<Shown<'_>>, String> = shown.collect();
    let picture = shown.and_then(|points| {
        let curve = finite_curve(curve)?;
        let side = |of: fn(&(f32, f32, f32)) -> (f32, f32)| -> Result<_, String> {
            let side: Vec<(f32, f32)> = band.iter().map(of).collect();
            Ok(extremes(&finite_curve(&side)?, CURVE))
        };
        let band = [
            side(|(x, low, _)| (*x, *low))?,
            side(|(x, _, high)| (*x, *high))?,
        ];
        Ok(fit::Fit {
            band,
            title,
            labels,
            points,
            curve: extremes(&curve, CURVE),
        })
    });
    picture
        .map_err(|why| PlotError {
            path: path.to_path_buf(),
            why,
        })
        .and_then(|picture| draw(path, picture))
}

/// Draws the losses of runs on a logarithmic axis: for one run, training and validation
/// loss in one panel; for several runs, the training losses above the validation losses.
/// Leaves out losses that are not finite or not above 0.
///
/// # Errors
/// The file cannot be written, or ends in neither `.svg` nor `.png`.
pub fn losses(
    path: impl AsRef<Path>,
    title: &str,
    runs: &[(&str, &History)],
) -> Result<(), PlotError> {
    draw(path.as_ref(), losses::Losses { title, runs })
}

/// Draws losses by epoch, from the first epoch on, as named curves on logarithmic axes.
/// Each element of `panels` is a panel; two panels are side by side. Leaves out losses that are
/// not finite or not above 0.
///
/// ```
/// use baregrad::train::plot;
///
/// let (fast, slow) = ([1.0, 0.1, 0.01], [1.0, 0.9, 0.8, 0.7]);
/// let file = std::env::temp_dir().join("baregrad-curves.svg");
/// plot::curves(&file, "Two ways down", &[&[("fast", &fast[..]), ("slow", &slow[..])]])?;
/// assert!(std::fs::read_to_string(&file)?.contains("slow"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The file cannot be written, or ends in neither `.svg` nor `.png`.
pub fn curves(
    path: impl AsRef<Path>,
    title: &str,
    panels: &[&[(&str, &[f32])]],
) -> Result<(), PlotError> {
    draw(path.as_ref(), losses::Panels { title, panels })
}
