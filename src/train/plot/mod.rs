//! Pictures: the data with what was fitted to them, and how the loss fell.
//!
//! The extension decides the format: `.svg`, which names a font, or `.png`, which
//! brings one and looks the same on every machine. A picture is whole or is not
//! there: it is written beside its place, and then moved.
//!
//! Pictures stay small, however many points there are: if there are many, some are drawn,
//! always the same ones, the extremes among them, and the picture says so.
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

/// Draws samples with a fitted curve, and below it the residuals. `curve` holds points of
/// the curve from left to right, `labels` those of both axes.
///
/// If there are more than some 2500 samples, some are drawn: evenly spaced ones, and those
/// farthest up and down at each place.
///
/// # Errors
/// Numbers that are not finite; samples with more of `x`, `y` or `predicted` than of
/// another; a file that cannot be written, or ends in neither `.svg` nor `.png`.
pub fn fit(
    path: impl AsRef<Path>,
    title: &str,
    labels: [&str; 2],
    points: &[Points<'_>],
    curve: &[(f32, f32)],
) -> Result<(), PlotError> {
    fit_with_band(path, title, labels, points, curve, &[])
}

/// [`fit`] with a band around the curve: `band` holds readings from left to right, each with
/// the lower and the upper end of an interval of 95 %, which the legend says.
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

/// Draws the losses of some runs on logarithmic axes: of one run training and
/// validation together, of several above one another.
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

/// Draws losses by epoch from the first on, each a curve with its name, on logarithmic axes:
/// a panel for each list of them, two beside each other.
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
