//! Plots of losses by epoch on logarithmic axes.

use core::ops::Range;
use std::string::{String, ToString};
use std::vec::Vec;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use super::super::history::{Epoch, History};
use super::axis::{Axis, key_line, log_labels, range, round_down, short};
use super::canvas::{Drawn, GRID, PX, Picture, TEXT, colour, text};
use super::points::{CURVE, at_once, extremes};

/// The number of points drawn of all curves together.
const CURVES: usize = 80_000;

pub(super) struct Losses<'a> {
    pub(super) title: &'a str,
    pub(super) runs: &'a [(&'a str, &'a History)],
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
            loss_panel(&upper, "training loss", &training, Some(legend), axis, None)?;
            return loss_panel(&lower, "validation loss", &validation, None, axis, None);
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
        loss_panel(&rest, "loss", &both, Some(legend), axis, None)
    }
}

pub(super) struct Panels<'a> {
    pub(super) title: &'a str,
    pub(super) panels: &'a [&'a [(&'a str, &'a [f32])]],
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
                let losses = epochs.map(|(i, loss)| ((i + 1) as f64, *loss));
                Curve::new(name, i, losses, most)
            };
            let curves: Vec<Curve> = curves.iter().enumerate().map(curve).collect();
            let legend = SeriesLabelPosition::LowerLeft;
            let axis = |epochs: Range<f64>| {
                let labels = log_labels(&epochs);
                epochs.log_scale().with_key_points(labels)
            };
            let labels: fn(&f64) -> String = |epoch| short(*epoch);
            loss_panel(area, "loss", &curves, Some(legend), axis, Some(labels))?;
        }
        Ok(())
    }
}

/// A curve of losses by epoch.
struct Curve {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
    /// The number of successive epochs for which four points are drawn.
    at_once: usize,
}

impl Curve {
    /// Curve `i` of a plot, with about `most` of these points. Losses that a logarithmic axis
    /// cannot show, such as 0, are left out.
    fn new(name: &str, i: usize, losses: impl Iterator<Item = (f64, f32)>, most: usize) -> Self {
        let points: Vec<(f64, f64)> = losses
            .filter(|(_, loss)| *loss > 0.0 && loss.is_finite())
            .map(|(epoch, loss)| (epoch, f64::from(loss)))
            .collect();
        Curve {
            name: name.to_string(),
            colour: colour(i),
            points: extremes(&points, most),
            at_once: at_once(points.len(), most),
        }
    }
}

impl Losses<'_> {
    /// A curve for each run in which `loss` has a value.
    fn curves(&self, loss: impl Fn(&Epoch) -> Option<f32>) -> Vec<Curve> {
        let most = (CURVES / self.runs.len().max(1) / 2).min(CURVE);
        let curve = |(i, (name, history)): (usize, &(&str, &History))| {
            let epochs = history.epochs().iter();
            let losses = epochs.filter_map(|epoch| Some((f64::from(epoch.epoch), loss(epoch)?)));
            Curve::new(name, i, losses, most)
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
    x_labels: Option<fn(&f64) -> String>,
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
    let mut mesh = chart.configure_mesh();
    if let Some(x_labels) = &x_labels {
        mesh.x_label_formatter(x_labels);
    }
    mesh.light_line_style(WHITE)
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
