//! Axes with their ticks and labels, and the marks of a legend.

use core::ops::Range;
use std::string::String;
use std::vec::Vec;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::canvas::PX;

pub(super) fn dot<C>(at: C, radius: u32, colour: RGBColor) -> Circle<C, u32> {
    Circle::new(at, radius * PX, colour.filled())
}

pub(super) fn key_line(
    (x, y): (i32, i32),
    style: impl Into<ShapeStyle>,
) -> PathElement<(i32, i32)> {
    let style = style.into().stroke_width(2 * PX);
    PathElement::new([(x, y), (x + 18 * PX as i32, y)], style)
}

/// The smallest and the largest value; infinity and minus infinity if there are no values.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
        (low.min(x), high.max(x))
    })
}

/// The range from the smallest to the largest value, widened a little. It is computed in
/// `f64`, in which differences of `f32` are finite.
pub(super) fn padded(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = range(values);
    match high - low {
        width if width > 0.0 => low - 0.05 * width..high + 0.05 * width,
        _ if low == 0.0 || !low.is_finite() => -1.0..1.0,
        _ => low - low.abs() / 2.0..low + low.abs() / 2.0,
    }
}

/// The range of an axis, with labels at multiples of 1, 2 or 5 times a power of ten. The number
/// of labels is bounded for every range, unlike that of the labels that `plotters` searches for.
pub(super) struct Axis {
    shown: Range<f64>,
    multiples: Range<i64>,
    step: i64,
    power: i32,
    /// The decimal exponent of the largest absolute value of the range.
    largest: i32,
}

impl Axis {
    /// An axis with at most `most + 1` labels.
    pub(super) fn new(shown: &Range<f64>, most: u8) -> Self {
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

    pub(super) fn without_ticks(shown: &Range<f64>) -> Self {
        Axis {
            multiples: 0..0,
            ..Axis::new(shown, 1)
        }
    }

    pub(super) fn values(&self) -> Vec<f64> {
        let values = self.multiples.clone().map(|i| {
            let digits = i.saturating_mul(self.step) as f64;
            // Divides by the inverse, because powers of ten below 1 are not exact in binary.
            match self.power {
                power if power >= 0 => digits * 10.0_f64.powi(power),
                power if power > -300 => digits / 10.0_f64.powi(-power),
                power => digits * 10.0_f64.powi(power),
            }
        });
        values.collect()
    }

    /// The text of a label, with enough digits to distinguish labels.
    pub(super) fn label(&self, x: f64) -> String {
        if x == 0.0 {
            String::from("0")
        } else if (-4..6).contains(&self.largest) && self.power > -7 {
            std::format!("{x}")
        } else {
            let own = super::super::digits::exponent(x, 17).unwrap_or(0);
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
        // `plotters` also asks for lines between the labels; there are none.
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

/// The labels of a logarithmic axis: powers of ten; every second, third, … of them if
/// there are many; and also 2 and 5 times the powers if there are few.
pub(super) fn log_labels(shown: &Range<f64>) -> Vec<f64> {
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

/// The largest of 1, 2 and 5 times a power of ten below `x / 1.05`, so that a logarithmic
/// axis ends at a label.
pub(super) fn round_down(x: f64) -> f64 {
    let decade = 10.0_f64.powf((x / 1.05).log10().floor());
    let steps = [5.0, 2.0].map(|step| step * decade);
    let step = steps.into_iter().find(|step| *step <= x / 1.05);
    step.unwrap_or(decade)
}

/// The text of a label on a logarithmic axis: in plain notation, or as a digit and a
/// power of ten.
pub(super) fn short(x: f64) -> String {
    if (1e-3..1e6).contains(&x) {
        std::format!("{}", (x * 1e4).round() / 1e4)
    } else {
        std::format!("{x:.0e}")
    }
}
