//! Draws README's pictures of the examples `thermometer` and `overfit`, which print the same
//! results as numbers.
//!
//! ```text
//! cargo run --release --features plot --example pictures
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};

use baregrad::train::Samples;
use baregrad::train::plot::{self, Points};

// Both examples are modules here, for their fits; their `main` is not called.
#[allow(dead_code, unreachable_pub)]
mod overfit;
#[allow(dead_code, unreachable_pub)]
mod thermometer;

fn main() -> Result<(), Box<dyn Error>> {
    draw_thermometer()?;
    draw_overfit()
}

/// Draws the readings, the line through them and the residuals; and the losses during training.
fn draw_thermometer() -> Result<(), Box<dyn Error>> {
    let (line, fitted, [training, validation]) = thermometer::fit()?;
    let readings = |samples: &Samples| samples.x().iter().map(|x| x / 0.1).collect();
    let (x, x_validation): (Vec<f32>, Vec<f32>) = (readings(&training), readings(&validation));
    let predicted = fitted.predict(&line, training.x())?;
    let predicted_validation = fitted.predict(&line, validation.x())?;
    let points = [
        Points {
            name: "training",
            x: &x,
            y: training.y(),
            predicted: &predicted,
        },
        Points {
            name: "validation",
            x: &x_validation,
            y: validation.y(),
            predicted: &predicted_validation,
        },
    ];
    let ends = [20.0, 84.0];
    let curve = fitted.predict(&line, &ends.map(|t_u| 0.1 * t_u))?;
    let curve: Vec<(f32, f32)> = ends.into_iter().zip(curve).collect();

    plot::fit(
        picture("thermometer-fit.svg"),
        "Thermometer: readings and the line through them",
        ["t_u, unknown units", "t_c, °C"],
        &points,
        &curve,
    )?;
    plot::losses(
        picture("thermometer-loss.svg"),
        "Thermometer: loss while training",
        &[("thermometer", fitted.history())],
    )?;
    Ok(())
}

/// Draws the training and validation losses of the four runs.
fn draw_overfit() -> Result<(), Box<dyn Error>> {
    let runs = overfit::runs()?;
    let histories = runs.each_ref().map(|(name, run)| (*name, run.history()));
    plot::losses(
        picture("overfit.svg"),
        "Overfitting, and three cures",
        &histories,
    )?;
    Ok(())
}

/// Returns the path of a picture of the README, and prints it.
fn picture(name: &str) -> PathBuf {
    println!("examples/pictures/{name}");
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/pictures");
    pictures.join(name)
}
