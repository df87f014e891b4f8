//! The canvas of plots: size, colours and font, and writing the file.

use core::fmt;
use std::boxed::Box;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::turns::Turns;

/// The error of a plot that could not be drawn.
#[derive(Clone)]
pub struct PlotError {
    pub(super) path: PathBuf,
    pub(super) why: String,
}

impl fmt::Display for PlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl core::error::Error for PlotError {}

pub(super) type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Pixels of the drawing per pixel of the plot. SVG is drawn on a grid of whole pixels,
/// on which curves would have visible steps.
pub(super) const PX: u32 = 2;
pub(super) const SIZE: (u32, u32) = (800 * PX, 520 * PX);
pub(super) const TEXT: RGBColor = RGBColor(60, 60, 60);
pub(super) const GRID: RGBColor = RGBColor(225, 225, 225);
/// Colours that colour-blind people can tell apart, by M. Okabe and K. Ito.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
];

pub(super) fn colour(i: usize) -> RGBColor {
    COLOURS.get(i % COLOURS.len()).copied().unwrap_or(BLACK)
}

/// A picture that any backend can draw.
pub(super) trait Picture {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn
    where
        B::ErrorType: 'static;
}

pub(super) fn draw(path: &Path, picture: impl Picture) -> Result<(), PlotError> {
    register_font();
    let drawn = (|| -> Drawn {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let extension = extension.filter(|extension| ["svg", "png"].contains(extension));
        let extension = extension.ok_or("expected a file that ends in .svg or .png")?;
        // Resolves a symbolic link, so that the rename replaces its target.
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
                &Turns(BitMapBackend::new(&beside, SIZE)).into_drawing_area(),
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

/// Registers the font that measures text, and draws it in PNG files.
fn register_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let font = epaint_default_fonts::UBUNTU_LIGHT;
        let registered = plotters::style::register_font("sans-serif", FontStyle::Normal, font);
        debug_assert!(registered.is_ok());
    });
}

pub(super) fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size * PX).into_font().color(&TEXT)
}
