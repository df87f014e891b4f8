//! A plot of samples with a fitted curve, and of the residuals below.

use std::vec::Vec;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::axis::{Axis, dot, key_line, padded};
use super::canvas::{Drawn, GRID, PX, Picture, TEXT, colour, text};
use super::points::Shown;

/// The colour of the band.
const BAND: RGBColor = RGBColor(214, 226, 236);

pub(super) struct Fit<'a> {
    pub(super) title: &'a str,
    pub(super) labels: [&'a str; 2],
    pub(super) points: Vec<Shown<'a>>,
    pub(super) curve: Vec<(f64, f64)>,
    /// The lower and the upper side of the band; empty without a band.
    pub(super) band: [Vec<(f64, f64)>; 2],
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
        let band = self.band.iter().flatten().map(|(_, y)| *y);
        let ys = padded(ys.chain(curve.map(|(_, y)| *y)).chain(band));
        // The axis of the residuals is symmetric about 0.
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
        let [lower_side, upper_side] = &self.band;
        if !lower_side.is_empty() {
            let around = lower_side.iter().chain(upper_side.iter().rev());
            let area = Polygon::new(around.copied().collect::<Vec<_>>(), BAND.filled());
            chart
                .draw_series([area])?
                .label("95 % of readings")
                .legend(|at| key_line(at, BAND.stroke_width(8 * PX)));
        }
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
