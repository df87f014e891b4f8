//! Chooses the points to draw if there are too many.

use std::string::{String, ToString};
use std::vec::Vec;

use super::axis::range;

/// A series of samples with the predictions of the model. `x`, `y` and `predicted` have
/// the same length.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    /// The name in the legend.
    pub name: &'a str,
    /// The readings.
    pub x: &'a [f32],
    /// The reference of each reading.
    pub y: &'a [f32],
    /// The prediction of the model for each reading.
    pub predicted: &'a [f32],
}

/// The number of samples drawn, of all series together: each takes some 300 bytes of SVG.
pub(super) const POINTS: usize = 2500;
/// The number of points drawn of a curve: each takes some 10 bytes.
pub(super) const CURVE: usize = 4000;

/// The samples of a series that are drawn, out of `of` samples.
pub(super) struct Shown<'a> {
    pub(super) name: &'a str,
    pub(super) of: usize,
    /// The reading, the reference and the residual of each sample.
    pub(super) points: Vec<[f64; 3]>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(points: &Points<'a>, most: usize) -> Result<Self, String> {
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

    /// The name in the legend, with the number of samples drawn if these are not all.
    pub(super) fn label(&self) -> String {
        match self.points.len() {
            shown if shown < self.of => std::format!("{}: {shown} of {}", self.name, self.of),
            _ => self.name.to_string(),
        }
    }

    pub(super) fn column(&self, i: usize) -> impl Iterator<Item = f64> {
        self.points
            .iter()
            .filter_map(move |point| point.get(i).copied())
    }
}

/// At most `most` of the points, in their order. Half of them are evenly spaced in this
/// order. The other half are both ends of the range of the first coordinate, and the
/// extremes of the second and third coordinate in equal sections of this range.
fn sample(points: Vec<[f64; 3]>, most: usize) -> Vec<[f64; 3]> {
    if points.len() <= most {
        return points;
    }
    let (low, high) = range(points.iter().map(|[x, ..]| *x));
    let bins = (most / 2 - 2) / 4;
    let bin = |x: f64| ((x - low) / (high - low) * bins as f64) as usize;
    // Each section keeps the points with the smallest and largest y and the smallest and
    // largest residual.
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

pub(super) fn finite_curve(curve: &[(f32, f32)]) -> Result<Vec<(f64, f64)>, String> {
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

/// At most `most` points of a curve, or a few more: in their order, the first, the last,
/// the lowest and the highest of each group of successive points.
pub(super) fn extremes(curve: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
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

/// The number of successive points for which four are drawn; 1 if all points are drawn.
pub(super) fn at_once(points: usize, most: usize) -> usize {
    if points <= most {
        1
    } else {
        points.div_ceil((most / 4).max(1))
    }
}
