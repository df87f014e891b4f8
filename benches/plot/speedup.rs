//! Draws how many times faster kernels are with vectors than as plain loops, by
//! the length of their slices, from criterion's results of an earlier run:
//!
//! ```text
//! cargo bench --bench kernels -- '^(sum|dot|add|exp|tanh|matmul)/(scalar|baseline|avx2)/'
//! cargo run --release -p baregrad-benches --features plot --example speedup
//! ```
//!
//! The picture is written to `benches/speedup.svg`, or to the path in the first argument.

#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{env, fs};

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'c, 'a> = ChartContext<'c, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The kernels, each with the title of its panel.
const KERNELS: [(&str, &str); 6] = [
    ("sum", "sum of x"),
    ("dot", "dot product"),
    ("add", "x + y (the plain loop gets vectors, too)"),
    ("exp", "exp, against libm"),
    ("tanh", "tanh, against libm"),
    ("matmul", "matrix product, by the size of a matrix"),
];

/// Levels, by the names of criterion's directories and of the legend. The
/// colours are safe for colour-blind readers.
const LEVELS: [(&str, &str, RGBColor); 2] = [
    ("baseline", "baseline (SSE2)", RGBColor(0, 114, 178)),
    ("avx2", "AVX2", RGBColor(213, 94, 0)),
];

const SIZE: (u32, u32) = (960, 620);
const COLUMNS: usize = 3;
/// The range of lengths, 1 to a million, as logarithms to base 2 like all coordinates.
const LENGTHS: Range<f64> = 0.0..20.0;

/// Nanoseconds per call, by length.
type Times = BTreeMap<u32, f64>;

/// The speed of a level relative to the plain loop, by length.
struct Curve {
    points: Vec<(f64, f64)>,
    colour: RGBColor,
}

/// Returns criterion's directory, which is beside an ancestor of this program.
fn measured() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let mut parents = program.ancestors().map(|dir| dir.join("criterion"));
    let found = parents.find(|dir| dir.is_dir());
    found.ok_or_else(|| "nothing measured yet: cargo bench --bench kernels".into())
}

/// Reads the median times of a kernel at a level.
fn times(measured: &Path, kernel: &str, level: &str) -> Result<Times> {
    let mut times = Times::new();
    let dir = measured.join(kernel).join(level);
    let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        // The directory also holds a report.
        let Ok(length) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let file = entry.path().join("new/estimates.json");
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let estimates: serde_json::Value = serde_json::from_str(&text)?;
        let median = estimates.pointer("/median/point_estimate");
        let median = median.and_then(serde_json::Value::as_f64);
        let median = median.ok_or_else(|| format!("{}: no median", file.display()))?;
        times.insert(length, median);
    }
    Ok(times)
}

/// Returns the curves of a kernel, and prints a line for each.
fn curves(measured: &Path, kernel: &str) -> Result<Vec<Curve>> {
    let plain = times(measured, kernel, "scalar")?;
    let mut curves = Vec::new();
    for (level, label, colour) in LEVELS {
        // The machine may lack this level.
        if !measured.join(kernel).join(level).is_dir() {
            continue;
        }
        let lanes = times(measured, kernel, level)?;
        let both = lanes
            .iter()
            .filter_map(|(n, ns)| Some((*n, plain.get(n)? / ns)));
        print!("{kernel:8} {label:16}");
        let mut points = Vec::new();
        for (n, factor) in both {
            if n.is_power_of_two() {
                print!(" {n}: {factor:.2}");
            }
            points.push((f64::from(n).log2(), factor.log2()));
        }
        println!();
        curves.push(Curve { points, colour });
    }
    Ok(curves)
}

/// Draws axes, and a line of equal speed.
fn axes<'c, 'a>(panel: &'c Panel<'a>, title: &str, factors: Range<f64>) -> Result<Chart<'c, 'a>> {
    let steps = (factors.end - factors.start) as usize;
    let mut chart = ChartBuilder::on(panel)
        .margin(8)
        .caption(title, ("sans-serif", 14))
        .x_label_area_size(22)
        .y_label_area_size(38)
        .build_cartesian_2d(LENGTHS, factors)?;
    chart
        .configure_mesh()
        .x_labels(11)
        .y_labels(steps + 1)
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .axis_style(BLACK.mix(0.5))
        .label_style(("sans-serif", 12))
        .x_label_formatter(&|x| match x.exp2() {
            n if n < 1024.0 => format!("{n}"),
            n if n < 1_048_576.0 => format!("{}k", n / 1024.0),
            n => format!("{}M", n / 1_048_576.0),
        })
        .y_label_formatter(&|y| match y.exp2() {
            factor if factor < 1.0 => format!("1/{}", factor.recip()),
            factor => format!("{factor}"),
        })
        .draw()?;
    let ends = [LENGTHS.start, LENGTHS.end].map(|x| (x, 0.0));
    chart.draw_series(LineSeries::new(ends, BLACK.mix(0.5)))?;
    Ok(chart)
}

/// Draws the title and the legend.
fn head(area: &Panel<'_>) -> Result<()> {
    let text = |size: u32| ("sans-serif", size).into_font();
    let title = "Times faster than the plain loop, by number of elements";
    area.draw(&Text::new(title, (16, 10), text(20)))?;
    for (x, (_, label, colour)) in (18..).step_by(170).zip(LEVELS) {
        let ends = [(x, 46), (x + 24, 46)];
        area.draw(&PathElement::new(ends, colour.stroke_width(2)))?;
        area.draw(&Circle::new((x + 12, 46), 3, colour.filled()))?;
        area.draw(&Text::new(label, (x + 32, 39), text(14)))?;
    }
    Ok(())
}

fn draw(measured: &Path, to: &Path) -> Result<()> {
    let all: Vec<_> = KERNELS
        .iter()
        .map(|(kernel, _)| curves(measured, kernel))
        .collect::<Result<_>>()?;
    // All panels have one scale, which holds every point and the line of equal speed.
    let points = all.iter().flatten().flat_map(|curve| &curve.points);
    let factors = points.fold(0.0..1.0, |range: Range<f64>, (_, factor)| {
        range.start.min(factor.floor())..range.end.max(factor.ceil())
    });

    let page = SVGBackend::new(to, SIZE).into_drawing_area();
    page.fill(&WHITE)?;
    let (top, panels) = page.split_vertically(58);
    head(&top)?;
    let rows = KERNELS.len().div_ceil(COLUMNS);
    let panels = panels.split_evenly((rows, COLUMNS));
    for (((_, title), curves), panel) in KERNELS.iter().zip(all).zip(panels) {
        let mut chart = axes(&panel, title, factors.clone())?;
        for Curve { points, colour } in curves {
            let dots = points.iter().map(|at| Circle::new(*at, 2, colour.filled()));
            chart.draw_series(dots)?;
            chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
        }
    }
    page.present()?;
    println!("{}", to.display());
    Ok(())
}

fn main() -> Result<()> {
    let font = epaint_default_fonts::UBUNTU_LIGHT;
    plotters::style::register_font("sans-serif", FontStyle::Normal, font)
        .map_err(|_| "the font cannot be read")?;

    let to = env::args_os().nth(1).map(PathBuf::from);
    let committed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("speedup.svg");
    draw(&measured()?, &to.unwrap_or_else(committed))
}
