//! Pictures: the data with what was fitted to them, and how the loss fell.
//!
//! The extension decides the format: `.svg`, which names a font, or `.png`, which
//! brings one and looks the same on every machine.
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
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::sync::Once;
use std::vec::Vec;

use plotters::coord::Shift;
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

/// Samples, with what the model predicts for each.
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
/// # Errors
/// The file cannot be written, or ends in neither `.svg` nor `.png`.
pub fn fit(
    path: impl AsRef<Path>,
    title: &str,
    labels: [&str; 2],
    points: &[Points<'_>],
    curve: &[(f32, f32)],
) -> Result<(), PlotError> {
    draw(
        path.as_ref(),
        Fit {
            title,
            labels,
            points,
            curve,
        },
    )
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

/// What can be drawn anywhere.
trait Picture {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static;
}

fn draw(path: &Path, picture: impl Picture) -> Result<(), PlotError> {
    register_font();
    let extension = path.extension().and_then(|extension| extension.to_str());
    let drawn = match extension {
        Some("svg") => on(&SVGBackend::new(path, SIZE).into_drawing_area(), &picture),
        Some("png") => on(
            &BitMapBackend::new(path, SIZE).into_drawing_area(),
            &picture,
        ),
        _ => Err("expected a file that ends in .svg or .png".into()),
    };
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

struct Fit<'a> {
    title: &'a str,
    labels: [&'a str; 2],
    points: &'a [Points<'a>],
    curve: &'a [(f32, f32)],
}

impl Picture for Fit<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static,
    {
        let [x_label, y_label] = self.labels;
        let all = || self.points.iter();
        let curve = self.curve.iter();
        let xs = all().flat_map(|p| p.x).chain(curve.clone().map(|(x, _)| x));
        let ys = all().flat_map(|p| p.y).chain(curve.map(|(_, y)| y));
        let (xs, ys) = (padded(xs.copied()), padded(ys.copied()));
        let left_over: Vec<Vec<f32>> = all()
            .map(|p| p.y.iter().zip(p.predicted).map(|(y, p)| y - p).collect())
            .collect();
        // As far up as down.
        let residuals = padded(left_over.iter().flatten().flat_map(|r| [*r, -*r]));
        let (upper, lower) = area.split_vertically((68).percent());

        let mut chart = ChartBuilder::on(&upper)
            .caption(self.title, text(20))
            .margin(12 * PX)
            .margin_right(30 * PX)
            .margin_bottom(0)
            .x_label_area_size(8 * PX)
            .y_label_area_size(72 * PX)
            .build_cartesian_2d(xs.clone(), ys)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(GRID.stroke_width(PX))
            .axis_style(TEXT.stroke_width(PX))
            .x_labels(0)
            .y_desc(y_label)
            .y_label_formatter(&|y| short(*y))
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
        for (i, points) in all().enumerate() {
            let at = points.x.iter().copied().zip(points.y.iter().copied());
            chart
                .draw_series(at.map(|at| dot(at, 4, colour(i))))?
                .label(points.name)
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
            .build_cartesian_2d(xs.clone(), residuals)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(GRID.stroke_width(PX))
            .axis_style(TEXT.stroke_width(PX))
            .y_labels(5)
            .x_desc(x_label)
            .y_desc("data - fit")
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| short(*y))
            .label_style(text(14))
            .axis_desc_style(text(16))
            .draw()?;
        let zero = [(xs.start, 0.0), (xs.end, 0.0)];
        chart.draw_series(LineSeries::new(zero, BLACK.mix(0.7).stroke_width(PX)))?;
        for (i, (points, left_over)) in all().zip(&left_over).enumerate() {
            for (&x, &r) in points.x.iter().zip(left_over) {
                let stem = PathElement::new([(x, 0.0), (x, r)], colour(i).stroke_width(PX));
                chart.draw_series([stem])?;
                chart.draw_series([dot((x, r), 3, colour(i))])?;
            }
        }
        Ok(())
    }
}

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
        if self.runs.len() > 1 {
            let (upper, lower) = rest.split_vertically((50).percent());
            let legend = SeriesLabelPosition::LowerLeft;
            loss_panel(&upper, "training loss", &training, Some(legend))?;
            return loss_panel(&lower, "validation loss", &validation, None);
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
        loss_panel(&rest, "loss", &both, Some(legend))
    }
}

/// A loss by epochs.
struct Curve {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

impl Losses<'_> {
    /// One of each run that has such a loss.
    fn curves(&self, loss: impl Fn(&Epoch) -> Option<f32>) -> Vec<Curve> {
        let curves = self
            .runs
            .iter()
            .enumerate()
            .map(|(i, (name, history))| Curve {
                name: name.to_string(),
                colour: colour(i),
                points: points(history, &loss),
            });
        curves.filter(|curve| !curve.points.is_empty()).collect()
    }
}

fn loss_panel<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    label: &str,
    curves: &[Curve],
    legend: Option<SeriesLabelPosition>,
) -> Drawn
where
    B::ErrorType: 'static,
{
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let last = all().map(|(epoch, _)| *epoch).fold(2.0, f64::max);
    let least = all().map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min);
    let most = all().map(|(_, loss)| *loss).fold(0.0, f64::max);
    let (least, most) = if least < most {
        (least, most)
    } else {
        (0.5, 2.0)
    };
    let shown = round_down(least)..1.0 / round_down(1.0 / most);
    let labels = log_labels(&shown);
    let losses = shown.log_scale().with_key_points(labels);

    let mut chart = ChartBuilder::on(area)
        .margin(12 * PX)
        .margin_right(30 * PX)
        .x_label_area_size(44 * PX)
        .y_label_area_size(72 * PX)
        .build_cartesian_2d(1.0..last, losses)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID.stroke_width(PX))
        .axis_style(TEXT.stroke_width(PX))
        .x_desc("epoch")
        .y_desc(label)
        .x_label_formatter(&|x| std::format!("{x:.0}"))
        .y_label_formatter(&|y| short(*y as f32))
        .label_style(text(14))
        .axis_desc_style(text(16))
        .draw()?;
    for Curve {
        name,
        colour,
        points,
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

/// As many points of a curve as the picture is wide enough for. A loss of 0 has
/// no place on a logarithmic axis.
fn points(history: &History, loss: &impl Fn(&Epoch) -> Option<f32>) -> Vec<(f64, f64)> {
    let epochs = history.epochs();
    let step = epochs.len().div_ceil(400).max(1);
    // The first epochs are where most happens.
    let shown = |i: usize| i < 50 || i.is_multiple_of(step) || i + 1 == epochs.len();
    let point = |(i, epoch): (usize, &Epoch)| {
        let loss = loss(epoch).filter(|loss| shown(i) && *loss > 0.0)?;
        Some((f64::from(epoch.epoch), f64::from(loss)))
    };
    epochs.iter().enumerate().filter_map(point).collect()
}

fn dot<C>(at: C, radius: u32, colour: RGBColor) -> Circle<C, u32> {
    Circle::new(at, radius * PX, colour.filled())
}

fn key_line((x, y): (i32, i32), style: impl Into<ShapeStyle>) -> PathElement<(i32, i32)> {
    let style = style.into().stroke_width(2 * PX);
    PathElement::new([(x, y), (x + 18 * PX as i32, y)], style)
}

/// From the least to the greatest value, and a little more.
fn padded(values: impl Iterator<Item = f32>) -> Range<f32> {
    let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| {
        (low.min(x), high.max(x))
    });
    match high - low {
        width if width > 0.0 => low - 0.05 * width..high + 0.05 * width,
        _ if low.is_finite() => low - 1.0..high + 1.0,
        _ => -1.0..1.0,
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

/// A number on an axis, without the digits that rounding left there.
fn short(x: f32) -> String {
    let rounded = (f64::from(x) * 1e4).round() / 1e4;
    if x != 0.0 && (x.abs() < 1e-3 || x.abs() >= 1e6) {
        std::format!("{x:.0e}")
    } else {
        std::format!("{rounded}")
    }
}
