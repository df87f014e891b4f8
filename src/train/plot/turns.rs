//! Draws lines that turn back in PNG files.

use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, DrawingBackend, DrawingErrorKind,
};
use std::vec::Vec;

/// A backend that splits lines where they turn back, and draws them piece by piece. Plotters
/// fills the outline of a thick line. Where the line turns by nearly 180°, the inner edges of
/// the outline meet far away, so that a narrow peak would be drawn many times too high, and also
/// below its foot. SVG files do not need this backend, because the viewer draws outlines.
pub(super) struct Turns<B>(pub(super) B);

impl<B: DrawingBackend> DrawingBackend for Turns<B> {
    type ErrorType = B::ErrorType;

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        let mut piece: Vec<BackendCoord> = Vec::new();
        for next in path {
            if piece.last() == Some(&next) {
                continue;
            }
            if let [.., before, turn] = *piece
                && turns_back(before, turn, next)
            {
                self.0.draw_path(piece.drain(..), style)?;
                piece.push(turn);
            }
            piece.push(next);
        }
        if piece.len() > 1 {
            self.0.draw_path(piece, style)?;
        }
        Ok(())
    }

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.present()
    }

    fn draw_pixel(
        &mut self,
        at: BackendCoord,
        colour: BackendColor,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_pixel(at, colour)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_line(from, to, style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        corner: BackendCoord,
        opposite: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_rect(corner, opposite, style, fill)
    }
}

/// Returns whether the line through the three points turns by more than 90° at the second one.
fn turns_back(before: BackendCoord, turn: BackendCoord, next: BackendCoord) -> bool {
    let step = |from: BackendCoord, to: BackendCoord| {
        [to.0, to.1]
            .map(i64::from)
            .into_iter()
            .zip([from.0, from.1].map(i64::from))
            .map(|(to, from)| to - from)
    };
    let dot: i64 = step(before, turn)
        .zip(step(turn, next))
        .map(|(a, b)| a * b)
        .sum();
    dot < 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Turns;
    use plotters::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// The rows of a bitmap, of 100 by 200 pixels, on which something was drawn.
    fn rows(draw: impl FnOnce(BitMapBackend<'_>)) -> Vec<usize> {
        let mut pixels = vec![255; 100 * 200 * 3];
        draw(BitMapBackend::with_buffer(&mut pixels, (100, 200)));
        let rows = pixels.chunks(100 * 3).enumerate();
        rows.filter(|(_, row)| row.iter().any(|byte| *byte != 255))
            .map(|(row, _)| row)
            .collect()
    }

    #[test]
    fn a_narrow_peak_ends_where_it_does() {
        let peak = [(20, 80), (50, 80), (51, 20), (52, 80), (80, 80)];
        let style = BLACK.stroke_width(4);
        let found = rows(|bitmap| Turns(bitmap).draw_path(peak, &style).unwrap());
        // The line extends from its tip to its foot, and beyond by half of its width of 4
        // pixels.
        let (first, last) = (*found.first().unwrap(), *found.last().unwrap());
        assert!((18..=20).contains(&first), "{first}");
        assert!((80..=82).contains(&last), "{last}");
    }
}
