//! Pictures: the data with what was fitted to them, and how the loss fell.
//!
//! The extension decides the format: `.svg`, which names a font, or `.png`, which
//! brings one and looks the same on every machine. A picture is whole or is not
//! there: it is written beside its place, and then moved.
//!
//! Pictures stay small, however many points there are: of many, some are drawn,
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

use core::fmt;
use core::ops::Range;
use std::boxed::Box;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::sync::Once;
use std::vec::Vec;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{
    AsRangedCoord, KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter,
};
use plotters::prelude::*;

use super::history::{Epoch, History};

/// A picture that could not be drawn.
#[derive(Clone)]
pub struct PlotError {
    path: PathBuf,
    why: String,
}

impl fmt::Display for PlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl core::error::Error for PlotError {}

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Pixels of what is thought of as one: SVG is drawn on a grid of whole pixels, so
/// that curves would have steps.
const PX: u32 = 2;
const SIZE: (u32, u32) = (800 * PX, 520 * PX);
const TEXT: RGBColor = RGBColor(60, 60, 60);
const GRID: RGBColor = RGBColor(225, 225, 225);
/// Told apart by people who see few colours, too: of M. Okabe and K. Ito.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
];

fn colour(i: usize) -> RGBColor {
    COLOURS.get(i % COLOURS.len()).copied().unwrap_or(BLACK)
}

/// Samples, with what the model predicts for each: as many `x`, `y` and
/// `predicted`.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    /// What the legend says.
    pub name: &'a str,
    /// Readings.
    pub x: &'a [f32],
    /// What they mean.
    pub y: &'a [f32],
    /// What the model makes of them.
    pub predicted: &'a [f32],
}

/// Draws samples with a fitted curve, and below it what is left over. `curve`
/// holds points of the curve from left to right, `labels` those of both axes.
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
    let path = path.as_ref();
    let share = POINTS / points.len().max(1);
    let shown = points.iter().map(|points| Shown::new(points, share));
    let shown: Result<Vec<Shown<'_>>, String> = shown.collect();
    let picture = shown.and_then(|points| {
        let curve = finite_curve(curve)?;
        Ok(Fit {
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
    draw(path.as_ref(), Losses { title, runs })
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
    draw(path.as_ref(), Panels { title, panels })
}

/// What can be drawn anywhere.
trait Picture {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static;
}

fn draw(path: &Path, picture: impl Picture) -> Result<(), PlotError> {
    register_font();
    let drawn = (|| -> Drawn {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let extension = extension.filter(|extension| ["svg", "png"].contains(extension));
        let extension = extension.ok_or("expected a file that ends in .svg or .png")?;
        // Where a link leads to, unless there is nothing yet.
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let mut name = OsString::from(".");
        name.push(path.file_stem().unwrap_or_default());
        name.push(std::format!(".{}.{extension}", std::process::id()));
        let beside = place.with_file_name(name);
        let drawn = if extension == "svg" {
            on(
                &SVGBackend::new(&beside, SIZE).into_drawing_area(),
                &picture,
            )
        } else {
            on(
                &BitMapBackend::new(&beside, SIZE).into_drawing_area(),
                &picture,
            )
        };
        let moved = drawn.and_then(|()| Ok(fs::rename(&beside, &place)?));
        if moved.is_err() {
            // Backends write what they have even if drawing failed.
            let _ = fs::remove_file(&beside);
        }
        moved
    })();
    drawn.map_err(|error| PlotError {
        path: path.to_path_buf(),
        why: error.to_string(),
    })
}

fn on<B: DrawingBackend>(area: &DrawingArea<B, Shift>, picture: &impl Picture) -> Drawn
where
    B::ErrorType: 'static,
{
    area.fill(&WHITE)?;
    picture.draw(area)?;
    area.present()?;
    Ok(())
}

/// Measures text, and draws it in PNG.
fn register_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let font = epaint_default_fonts::UBUNTU_LIGHT;
        let registered = plotters::style::register_font("sans-serif", FontStyle::Normal, font);
        debug_assert!(registered.is_ok());
    });
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size * PX).into_font().color(&TEXT)
}

// ---- points -----------------------------------------------------------------

/// Samples that are drawn, of all series together: each takes some 300 bytes of SVG.
const POINTS: usize = 2500;
/// Points of a curve that are drawn: each takes some 10 bytes.
const CURVE: usize = 4000;
/// Points of all curves together.
const CURVES: usize = 80_000;

/// The samples of a series that are drawn.
struct Shown<'a> {
    name: &'a str,
    of: usize,
    /// Readings, what they mean, and what the model leaves of that.
    points: Vec<[f64; 3]>,
}

impl<'a> Shown<'a> {
    fn new(points: &Points<'a>, most: usize) -> Result<Self, String> {
        let Points {
            name,
            x,
            y,
            predicted,
        } = *points;
        let lengths = [x.len(), y.len(), predicted.len()];
        if lengths.iter().any(|length| *length != x.len()) {
            return Err(std::format!(
                "`{name}`: expected as many x, y and predicted, found {lengths:?}"
            ));
        }
        for (what, values) in [("x", x), ("y", y), ("prediction", predicted)] {
            let mut values = values.iter().enumerate();
            if let Some((row, value)) = values.find(|(_, value)| !value.is_finite()) {
                return Err(std::format!(
                    "`{name}`, point {row}: expected a finite {what}, found {value}"
                ));
            }
        }
        let all = x.iter().zip(y).zip(predicted).map(|((x, y), predicted)| {
            let [x, y, predicted] = [*x, *y, *predicted].map(f64::from);
            [x, y, y - predicted]
        });
        Ok(Shown {
            name,
            of: x.len(),
            points: sample(all.collect(), most.max(16)),
        })
    }

    /// With how many are drawn, if these are not all.
    fn label(&self) -> String {
        match self.points.len() {
            shown if shown < self.of => std::format!("{}: {shown} of {}", self.name, self.of),
            _ => self.name.to_string(),
        }
    }

    fn column(&self, i: usize) -> impl Iterator<Item = f64> {
        self.points
            .iter()
            .filter_map(move |point| point.get(i).copied())
    }
}

/// At most so many of the points, in their order: half of them evenly spaced in
/// that order, and half of them the extremes of the second and third coordinate in
/// equal parts of the range of the first, with both ends of that.
fn sample(points: Vec<[f64; 3]>, most: usize) -> Vec<[f64; 3]> {
    if points.len() <= most {
        return points;
    }
    let (low, high) = range(points.iter().map(|[x, ..]| *x));
    let bins = (most / 2 - 2) / 4;
    let bin = |x: f64| ((x - low) / (high - low) * bins as f64) as usize;
    // Each part keeps the least y, the greatest y, the least and the greatest rest.
    let mut extremes: Vec<[Option<(usize, f64)>; 4]> = std::vec![[None; 4]; bins];
    let mut ends: [Option<(usize, f64)>; 2] = [None; 2];
    let keep = |least: &mut Option<(usize, f64)>, i: usize, x: f64| {
        if least.is_none_or(|(_, before)| x < before) {
            *least = Some((i, x));
        }
    };
    for (i, &[x, y, rest]) in points.iter().enumerate() {
        for (end, x) in ends.iter_mut().zip([x, -x]) {
            keep(end, i, x);
        }
        if let Some(part) = extremes.get_mut(bin(x).min(bins.saturating_sub(1))) {
            for (least, x) in part.iter_mut().zip([y, -y, rest, -rest]) {
                keep(least, i, x);
            }
        }
    }
    let even = most / 2;
    let mut chosen: Vec<usize> = (0..even).map(|i| i * points.len() / even).collect();
    let extremes = extremes.into_iter().flatten().chain(ends).flatten();
    chosen.extend(extremes.map(|(i, _)| i));
    chosen.sort_unstable();
    chosen.dedup();
    let chosen = chosen.into_iter().filter_map(|i| points.get(i));
    chosen.copied().collect()
}

fn finite_curve(curve: &[(f32, f32)]) -> Result<Vec<(f64, f64)>, String> {
    let finite = curve.iter().enumerate().map(|(i, &(x, y))| {
        if x.is_finite() && y.is_finite() {
            Ok((f64::from(x), f64::from(y)))
        } else {
            Err(std::format!(
                "point {i} of the curve: expected finite numbers, found ({x}, {y})"
            ))
        }
    });
    finite.collect()
}

/// At most so many points of a curve, or a few more: of every so many the first, the
/// last, the lowest and the highest, in their order.
fn extremes(curve: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if curve.len() <= most {
        return curve.to_vec();
    }
    let mut points = Vec::new();
    for part in curve.chunks(at_once(curve.len(), most)) {
        let by_height = || part.iter().enumerate();
        let compare = |a: &(usize, &(f64, f64)), b: &(usize, &(f64, f64))| a.1.1.total_cmp(&b.1.1);
        let lowest = by_height().min_by(compare).map_or(0, |(i, _)| i);
        let highest = by_height().max_by(compare).map_or(0, |(i, _)| i);
        let mut chosen = [0, lowest, highest, part.len() - 1];
        chosen.sort_unstable();
        let mut before = None;
        for i in chosen {
            if before != Some(i) {
                points.extend(part.get(i));
            }
            before = Some(i);
        }
    }
    points
}

/// How many points of a curve become four; 1 if all are drawn.
fn at_once(points: usize, most: usize) -> usize {
    if points <= most {
        1
    } else {
        points.div_ceil((most / 4).max(1))
    }
}

// ---- the fit ------------------------------------------------------------------

struct Fit<'a> {
    title: &'a str,
    labels: [&'a str; 2],
    points: Vec<Shown<'a>>,
    curve: Vec<(f64, f64)>,
}

impl Picture for Fit<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static,
    {
        let [x_label, y_label] = self.labels;
        let all = || self.points.iter();
        let curve = self.curve.iter();
        let xs = all().flat_map(|p| p.column(0));
        let ys = all().flat_map(|p| p.column(1));
        let xs = padded(xs.chain(curve.clone().map(|(x, _)| *x)));
        let ys = padded(ys.chain(curve.map(|(_, y)| *y)));
        // As far up as down.
        let residuals = padded(all().flat_map(|p| p.column(2)).flat_map(|r| [r, -r]));
        let (upper, lower) = area.split_vertically((68).percent());

        let mut chart = ChartBuilder::on(&upper)
            .caption(self.title, text(20))
            .margin(12 * PX)
            .margin_right(30 * PX)
            .margin_bottom(0)
            .x_label_area_size(8 * PX)
            .y_label_area_size(72 * PX)
            .build_cartesian_2d(Axis::without_ticks(&xs), Axis::new(&ys, 10))?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(GRID.stroke_width(PX))
            .axis_style(TEXT.stroke_width(PX))
            .y_desc(y_label)
            .label_style(text(14))
            .axis_desc_style(text(16))
            .draw()?;
        let fitted = LineSeries::new(
            self.curve.iter().copied(),
            BLACK.mix(0.7).stroke_width(2 * PX),
        );
        chart
            .draw_series(fitted)?
            .label("fit")
            .legend(|at| key_line(at, BLACK.mix(0.7)));
        for (i, shown) in all().enumerate() {
            let at = shown.points.iter().map(|&[x, y, _]| (x, y));
            chart
                .draw_series(at.map(|at| dot(at, 4, colour(i))))?
                .label(shown.label())
                .legend(move |(x, y)| dot((x + 9 * PX as i32, y), 4, colour(i)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(GRID)
            .label_font(text(14))
            .margin(6 * PX)
            .legend_area_size(26 * PX)
            .draw()?;

        let mut chart = ChartBuilder::on(&lower)
            .margin(12 * PX)
            .margin_right(30 * PX)
            .margin_top(4 * PX)
            .x_label_area_size(44 * PX)
            .y_label_area_size(72 * PX)
            .build_cartesian_2d(Axis::new(&xs, 10), Axis::new(&residuals, 5))?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(GRID.stroke_width(PX))
            .axis_style(TEXT.stroke_width(PX))
            .x_desc(x_label)
            .y_desc("data - fit")
            .label_style(text(14))
            .axis_desc_style(text(16))
            .draw()?;
        let zero = [(xs.start, 0.0), (xs.end, 0.0)];
        chart.draw_series(LineSeries::new(zero, BLACK.mix(0.7).stroke_width(PX)))?;
        for (i, shown) in all().enumerate() {
            for &[x, _, r] in &shown.points {
                let stem = PathElement::new([(x, 0.0), (x, r)], colour(i).stroke_width(PX));
                chart.draw_series([stem])?;
                chart.draw_series([dot((x, r), 3, colour(i))])?;
            }
        }
        Ok(())
    }
}

// ---- losses -------------------------------------------------------------------

struct Losses<'a> {
    title: &'a str,
    runs: &'a [(&'a str, &'a History)],
}

impl Picture for Losses<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static,
    {
        let training: Vec<Curve> = self.curves(|epoch| Some(epoch.training_loss));
        let validation: Vec<Curve> = self.curves(|epoch| epoch.validation_loss);
        let area = area.margin(4 * PX, 0, 0, 0);
        let rest = area.titled(self.title, text(20))?;
        let axis = |epochs: Range<f64>| Axis::new(&epochs, 10);
        if self.runs.len() > 1 {
            let (upper, lower) = rest.split_vertically((50).percent());
            let legend = SeriesLabelPosition::LowerLeft;
            loss_panel(&upper, "training loss", &training, Some(legend), axis)?;
            return loss_panel(&lower, "validation loss", &validation, None, axis);
        }
        let named = |name: &'static str, i: usize, curves: Vec<Curve>| {
            curves.into_iter().map(move |curve| Curve {
                name: name.to_string(),
                colour: colour(i),
                ..curve
            })
        };
        let both: Vec<Curve> = named("training", 0, training)
            .chain(named("validation", 1, validation))
            .collect();
        let legend = SeriesLabelPosition::UpperRight;
        loss_panel(&rest, "loss", &both, Some(legend), axis)
    }
}

struct Panels<'a> {
    title: &'a str,
    panels: &'a [&'a [(&'a str, &'a [f32])]],
}

impl Picture for Panels<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static,
    {
        let area = area.margin(4 * PX, 0, 0, 0);
        let rest = area.titled(self.title, text(20))?;
        let columns = self.panels.len().clamp(1, 2);
        let areas = rest.split_evenly((self.panels.len().div_ceil(columns).max(1), columns));
        let count: usize = self.panels.iter().map(|curves| curves.len()).sum();
        let most = (CURVES / count.max(1) / 2).min(CURVE);
        for (area, curves) in areas.iter().zip(self.panels) {
            let curve = |(i, (name, losses)): (usize, &(&str, &[f32]))| {
                let epochs = losses.iter().enumerate();
                let points: Vec<(f64, f64)> = epochs
                    .filter(|(_, loss)| **loss > 0.0 && loss.is_finite())
                    .map(|(i, loss)| ((i + 1) as f64, f64::from(*loss)))
                    .collect();
                Curve {
                    name: name.to_string(),
                    colour: colour(i),
                    points: extremes(&points, most),
                    at_once: at_once(points.len(), most),
                }
            };
            let curves: Vec<Curve> = curves.iter().enumerate().map(curve).collect();
            let legend = SeriesLabelPosition::LowerLeft;
            let axis = |epochs: Range<f64>| epochs.log_scale();
            loss_panel(area, "loss", &curves, Some(legend), axis)?;
        }
        Ok(())
    }
}

/// A loss by epochs.
struct Curve {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
    /// How many epochs became four points.
    at_once: usize,
}

impl Losses<'_> {
    /// One of each run that has such a loss.
    fn curves(&self, loss: impl Fn(&Epoch) -> Option<f32>) -> Vec<Curve> {
        let most = (CURVES / self.runs.len().max(1) / 2).min(CURVE);
        let curve = |(i, (name, history)): (usize, &(&str, &History))| {
            let points = points(history, &loss);
            Curve {
                name: name.to_string(),
                colour: colour(i),
                points: extremes(&points, most),
                at_once: at_once(points.len(), most),
            }
        };
        let curves = self.runs.iter().enumerate().map(curve);
        curves.filter(|curve| !curve.points.is_empty()).collect()
    }
}

fn loss_panel<B: DrawingBackend, X: AsRangedCoord<Value = f64>>(
    area: &DrawingArea<B, Shift>,
    label: &str,
    curves: &[Curve],
    legend: Option<SeriesLabelPosition>,
    x_axis: impl FnOnce(Range<f64>) -> X,
) -> Drawn
where
    B::ErrorType: 'static,
    X::CoordDescType: ValueFormatter<f64>,
{
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let last = all().map(|(epoch, _)| *epoch).fold(2.0, f64::max);
    let shown = match range(all().map(|(_, loss)| *loss)) {
        (least, most) if least < most => round_down(least)..1.0 / round_down(1.0 / most),
        (only, most) if only == most => only / 2.0..only * 2.0,
        _ => 0.5..2.0,
    };
    let labels = log_labels(&shown);
    let losses = shown.log_scale().with_key_points(labels);
    let epochs = 1.0..last;
    let at_once = curves.iter().map(|curve| curve.at_once).max().unwrap_or(1);
    let x_label = match at_once {
        1 => String::from("epoch"),
        _ => std::format!("epoch (of every {at_once} the first, last, lowest and highest)"),
    };

    let mut chart = ChartBuilder::on(area)
        .margin(12 * PX)
        .margin_right(30 * PX)
        .x_label_area_size(44 * PX)
        .y_label_area_size(72 * PX)
        .build_cartesian_2d(x_axis(epochs), losses)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID.stroke_width(PX))
        .axis_style(TEXT.stroke_width(PX))
        .x_desc(x_label)
        .y_desc(label)
        .y_label_formatter(&|y| short(*y))
        .label_style(text(14))
        .axis_desc_style(text(16))
        .draw()?;
    for Curve {
        name,
        colour,
        points,
        ..
    } in curves
    {
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2 * PX));
        chart
            .draw_series(line)?
            .label(name)
            .legend(move |at| key_line(at, colour));
    }
    if let Some(position) = legend {
        chart
            .configure_series_labels()
            .position(position)
            .background_style(WHITE.mix(0.85))
            .border_style(GRID)
            .label_font(text(14))
            .margin(6 * PX)
            .legend_area_size(26 * PX)
            .draw()?;
    }
    Ok(())
}

/// A loss by epochs. One of 0 has no place on a logarithmic axis.
fn points(history: &History, loss: &impl Fn(&Epoch) -> Option<f32>) -> Vec<(f64, f64)> {
    let point = |epoch: &Epoch| {
        let loss = loss(epoch).filter(|loss| *loss > 0.0 && loss.is_finite())?;
        Some((f64::from(epoch.epoch), f64::from(loss)))
    };
    history.epochs().iter().filter_map(point).collect()
}

// ---- axes ---------------------------------------------------------------------

fn dot<C>(at: C, radius: u32, colour: RGBColor) -> Circle<C, u32> {
    Circle::new(at, radius * PX, colour.filled())
}

fn key_line((x, y): (i32, i32), style: impl Into<ShapeStyle>) -> PathElement<(i32, i32)> {
    let style = style.into().stroke_width(2 * PX);
    PathElement::new([(x, y), (x + 18 * PX as i32, y)], style)
}

/// The least and the greatest value; of none, infinities that are not in order.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
        (low.min(x), high.max(x))
    })
}

/// From the least to the greatest value, and a little more. In `f64`, where
/// differences of what `f32` holds are finite.
fn padded(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = range(values);
    match high - low {
        width if width > 0.0 => low - 0.05 * width..high + 0.05 * width,
        _ if low == 0.0 || !low.is_finite() => -1.0..1.0,
        _ => low - low.abs() / 2.0..low + low.abs() / 2.0,
    }
}

/// A range and where it has labels: at multiples of 1, 2 or 5 times a power of ten.
/// Their number is bounded, whatever is shown, where plotters' own are looked for
/// until they are found.
struct Axis {
    shown: Range<f64>,
    multiples: Range<i64>,
    step: i64,
    power: i32,
    /// The power of ten of the greatest label.
    largest: i32,
}

impl Axis {
    /// At most so many labels, and one more.
    fn new(shown: &Range<f64>, most: u8) -> Self {
        let least = (shown.end - shown.start) / f64::from(most);
        let power = least.log10().floor();
        let decade = 10.0_f64.powf(power);
        let steps = [1, 2, 5, 10];
        let enough = |step: &i32| f64::from(*step) * decade >= least * 0.999;
        let step = steps.into_iter().find(enough).unwrap_or(10);
        let at = |x: f64| x / (f64::from(step) * decade);
        let first = at(shown.start).ceil() as i64;
        let last = at(shown.end).floor() as i64;
        let largest = shown.start.abs().max(shown.end.abs()).log10().floor();
        Axis {
            shown: shown.clone(),
            multiples: first
                ..last
                    .saturating_add(1)
                    .min(first.saturating_add(most.into()) + 1),
            step: step.into(),
            power: power as i32,
            largest: largest as i32,
        }
    }

    fn without_ticks(shown: &Range<f64>) -> Self {
        Axis {
            multiples: 0..0,
            ..Axis::new(shown, 1)
        }
    }

    fn values(&self) -> Vec<f64> {
        let values = self.multiples.clone().map(|i| {
            let digits = i.saturating_mul(self.step) as f64;
            // Powers of ten below 1 are no binary fractions, their inverses are.
            match self.power {
                power if power >= 0 => digits * 10.0_f64.powi(power),
                power if power > -300 => digits / 10.0_f64.powi(-power),
                power => digits * 10.0_f64.powi(power),
            }
        });
        values.collect()
    }

    /// With the digits that tell labels apart.
    fn label(&self, x: f64) -> String {
        if x == 0.0 {
            String::from("0")
        } else if (-4..6).contains(&self.largest) && self.power > -7 {
            std::format!("{x}")
        } else {
            let own = super::digits::exponent(x, 17).unwrap_or(0);
            let digits = usize::try_from(own - self.power).unwrap_or(0);
            let text = std::format!("{x:.digits$e}");
            match text.split_once('e') {
                Some((digits, exponent)) if digits.contains('.') => {
                    let digits = digits.trim_end_matches('0').trim_end_matches('.');
                    std::format!("{digits}e{exponent}")
                }
                _ => text,
            }
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let share = (value - self.shown.start) / (self.shown.end - self.shown.start);
        start + (share * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Plotters asks again for lines between the labels, which are not drawn.
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.values()
        }
    }

    fn range(&self) -> Range<f64> {
        self.shown.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        std::format!("{value}")
    }

    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

/// Where a logarithmic axis has labels: at powers of ten, at every few of them if
/// there are many, at 2 and 5 times them if there are few.
fn log_labels(shown: &Range<f64>) -> Vec<f64> {
    let [first, last] = [shown.start, shown.end].map(|x| x.log10());
    let decades = last - first;
    let steps: &[f64] = if decades < 2.5 {
        &[1.0, 2.0, 5.0]
    } else {
        &[1.0]
    };
    let every = (decades / 6.0).ceil().max(1.0) as usize;
    let powers = (first.floor() as i32..=last.ceil() as i32).step_by(every);
    let labels = powers.flat_map(|power| steps.iter().map(move |step| step * 10.0_f64.powi(power)));
    labels
        .filter(|x| (shown.start * 0.99..shown.end * 1.01).contains(x))
        .collect()
}

/// 1, 2 or 5 times a power of ten, less than `x`, so that a logarithmic axis ends
/// where it has a label.
fn round_down(x: f64) -> f64 {
    let decade = 10.0_f64.powf((x / 1.05).log10().floor());
    let steps = [5.0, 2.0].map(|step| step * decade);
    let step = steps.into_iter().find(|step| *step <= x / 1.05);
    step.unwrap_or(decade)
}

/// A label of a logarithmic axis: a digit and a power of ten.
fn short(x: f64) -> String {
    if (1e-3..1e6).contains(&x) {
        std::format!("{}", (x * 1e4).round() / 1e4)
    } else {
        std::format!("{x:.0e}")
    }
}
