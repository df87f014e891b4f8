//! Calibrates a magnetometer: fits the ellipsoid on which 300 readings lie, nine parameters with
//! their standard errors. It fits twice, by recursive least squares, through which samples are
//! streamed, and by Levenberg–Marquardt. A board does each with 4 KiB of RAM beside the samples,
//! with the same bits (`embedded/ellipsoid.sh`).
//!
//! ```text
//! cargo run --release --example ellipsoid
//! ```

#![allow(unreachable_pub)] // `magnetometer` is also a module of firmware.

mod magnetometer;

use baregrad::function::Function;
use baregrad::function::models::Ellipsoid;
use baregrad::least_squares::OutOfRange;
use magnetometer::{SAMPLES, counts, fit, fit_by_squares, reading, report, report_squares};

fn main() -> Result<(), OutOfRange> {
    let counts = counts();
    let found = fit(&counts)?;
    report(&found, &mut |line| println!("{line}"));
    let solution = fit_by_squares(&counts);
    report_squares(&solution, &mut |line| println!("{line}"));

    // The range of the field's magnitude, which should be the same in all directions.
    let spread = |magnitude: &dyn Fn([f32; 3]) -> f32| {
        let magnitudes = (0..SAMPLES).map(|i| magnitude(reading(&counts, i)));
        let (low, high) = magnitudes.fold((f32::INFINITY, 0.0_f32), |(low, high), x| {
            (low.min(x), high.max(x))
        });
        let percent = 200.0 * (high - low) / (high + low);
        format!("{percent:.1} % between least and most")
    };
    println!();
    let raw = |[x, y, z]: [f32; 3]| (x * x + y * y + z * z).sqrt();
    println!("field as read: {}", spread(&raw));
    let corrected = |m| Ellipsoid::value(m, found.params) + 1.0;
    println!("corrected:     {}", spread(&corrected));

    let farthest = (solution
        .params()
        .iter()
        .zip(&found.params)
        .zip(&found.errors))
    .map(|((one, other), error)| (one - other).abs() / error)
    .fold(0.0, f32::max);
    println!("Levenberg–Marquardt is at most {farthest:.4} standard errors away");
    Ok(())
}
